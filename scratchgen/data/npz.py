"""Images of the user's own in a NumPy archive, as ``numpy.savez`` writes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy

from scratchgen.data.images import PARTS, ImageData, smallest_type, split_by_five
from scratchgen.errors import RunError


def load(path: Path, levels: int | None = None) -> ImageData:
    """Integers 0 … levels − 1, (N, H, W), (N, H, W, C), or vectors (N, D) as images of one row.

    These are in the array ``images``, or in the only one, and are split by i mod 5, as
    :func:`scratchgen.data.images.split_by_five` says; an array ``labels``, (N,) integers, is
    optional. Or they are in three arrays, ``train``, ``valid`` (or ``validation``) and ``test``,
    which then are the parts.

    The number of levels is the largest value plus one, or ``levels`` where that is more; truth
    values count as 0 and 1, and whole numbers of a type with fractions as integers. Raises
    RunError, one line, for anything else.
    """
    arrays = arrays_of(path)
    if "images" not in arrays and len(arrays.keys() & {*PARTS, "valid"}) > 1:
        return _given_split(path, arrays, levels)
    images = _checked(path, *_only_images(path, arrays))
    levels = _levels([images], levels)
    labels = labels_of(path, arrays, len(images))
    return split_by_five(str(path), levels, images.astype(smallest_type(levels)), labels)


def arrays_of(path: Path) -> dict[str, numpy.ndarray]:
    """All arrays of the archive by name. Raises RunError if it cannot be read as one."""
    try:
        with path.open("rb") as stream:  # NumPy would leave a damaged file open
            file = numpy.load(stream, allow_pickle=False)
            single = isinstance(file, numpy.ndarray)
            arrays = {} if single else {name: file[name] for name in file.files}
    except Exception as error:  # whatever a damaged file leads to
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RunError(
            f"{path}: cannot be read as an .npz archive of numbers ({reason}); "
            "write it with numpy.savez(path, images=array)"
        ) from error
    if single:
        raise RunError(f"{path}: one array; write it with numpy.savez(path, images=array)")
    # what is no array within the archive comes as bytes
    return {name: x for name, x in arrays.items() if isinstance(x, numpy.ndarray)}


def _only_images(path: Path, arrays: dict[str, numpy.ndarray]) -> tuple[str, numpy.ndarray]:
    """The array of images, and its name."""
    names = [name for name in arrays if name != "labels"]
    if "images" not in arrays and len(names) != 1:
        raise RunError(
            f"{path}: no array 'images', nor 'train', 'valid' and 'test'; "
            f"it has {', '.join(arrays) or 'none'}"
        )
    name = "images" if "images" in arrays else names[0]
    return name, arrays[name]


def _given_split(path: Path, arrays: dict[str, numpy.ndarray], levels: int | None) -> ImageData:
    """The three parts as they are."""
    names = names_of_parts(path, arrays)
    parts = [_checked(path, name, arrays[name]) for name in names]
    for name, images in zip(names, parts, strict=True):
        if images.shape[1:] != parts[0].shape[1:]:
            raise RunError(
                f"{path}: array {name!r} has the shape {arrays[name].shape}, 'train' "
                f"{arrays['train'].shape}; they may differ in the first number only"
            )
    levels = _levels(parts, levels)
    train, validation, test = (images.astype(smallest_type(levels)) for images in parts)
    return ImageData(str(path), levels, train, validation, test)


def names_of_parts(path: Path, arrays: Mapping[str, numpy.ndarray]) -> list[str]:
    """The names of the arrays with the three parts. Raises RunError unless there are these."""
    if {"valid", "validation"} <= arrays.keys():
        raise RunError(f"{path}: both 'valid' and 'validation'; leave one of them out")
    names = ["train", "validation" if "validation" in arrays else "valid", "test"]
    for name in names:
        if name not in arrays:
            raise RunError(f"{path}: no array {name!r}, but {', '.join(arrays) or 'none'}")
    return names


def _checked(path: Path, name: str, images: numpy.ndarray) -> numpy.ndarray:
    """The images as (N, H, W, C), if they are integers 0 … 65535."""
    what = f"{path}: array {name!r}"
    if images.ndim not in (2, 3, 4) or 0 in images.shape:
        raise RunError(
            f"{what} has the shape {images.shape}; expected (N, height, width), "
            "(N, height, width, channels) or (N, values), none of them 0"
        )
    if images.dtype.kind == "f" and not numpy.isfinite(images).all():
        bad = numpy.argwhere(~numpy.isfinite(images))
        first = tuple(int(i) for i in bad[0])
        raise RunError(
            f"{what} has {len(bad)} values that are NaN or infinite, the first at {first}; "
            "expected integers from 0 up"
        )
    whole = images.dtype.kind == "f" and (images == numpy.rint(images)).all()
    if images.dtype.kind not in "bui" and not whole:
        raise RunError(
            f"{what} is of {images.dtype}; expected integers from 0 up: for grey values from "
            "0 to 1, save (array * 255).round().astype('uint8')"
        )
    if int(images.min()) < 0:
        raise RunError(f"{what} has the value {images.min()}; expected integers from 0 up")
    if int(images.max()) > 65535:
        raise RunError(f"{what} has the value {images.max()}; expected at most 65535")
    if images.ndim == 2:
        images = images[:, None]
    return images if images.ndim == 4 else images[..., None]


def _levels(parts: Iterable[numpy.ndarray], levels: int | None) -> int:
    return max(levels or 2, *(int(images.max()) + 1 for images in parts), 2)


def labels_of(path: Path, arrays: dict[str, numpy.ndarray], count: int) -> numpy.ndarray | None:
    """The array ``labels`` if there is one. Raises RunError unless it is (count,) integers."""
    labels = arrays.get("labels")
    if labels is None:
        return None
    if labels.shape != (count,) or labels.dtype.kind not in "bui":
        raise RunError(
            f"{path}: array 'labels' is {labels.dtype} of shape {labels.shape}; expected "
            f"integers of shape ({count},), one for each example"
        )
    if int(labels.min()) < 0:
        raise RunError(f"{path}: array 'labels' has the label {labels.min()}; expected 0 up")
    return labels
