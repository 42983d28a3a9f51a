"""Images of the user's own in a NumPy archive, as ``numpy.savez`` writes it."""

from __future__ import annotations

from pathlib import Path

import numpy

from scratchgen.data.images import ImageData, smallest_type, split_by_five
from scratchgen.errors import RunError


def load(path: Path, levels: int | None = None) -> ImageData:
    """Integers 0 … levels − 1, (N, H, W) or (N, H, W, C): the array ``images``, or the only one.

    The number of levels is the largest value plus one, or ``levels`` where that is more; truth
    values count as 0 and 1. An array ``labels``, (N,) integers, is optional. Split by i mod 5, as
    :func:`scratchgen.data.images.split_by_five` says. Raises RunError, one line, for anything else.
    """
    arrays = _arrays(path)
    images = _images(path, arrays)
    largest = int(images.max())
    levels = max(levels or 2, largest + 1, 2)
    if images.ndim == 3:
        images = images[..., None]
    images = images.astype(smallest_type(levels))  # (N, H, W, C)
    return split_by_five(str(path), levels, images, _labels(path, arrays, len(images)))


def _arrays(path: Path) -> dict[str, numpy.ndarray]:
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


def _images(path: Path, arrays: dict[str, numpy.ndarray]) -> numpy.ndarray:
    """The array of images, checked."""
    names = [name for name in arrays if name != "labels"]
    if "images" not in arrays and len(names) != 1:
        raise RunError(f"{path}: no array 'images'; it has {', '.join(arrays) or 'none'}")
    name = "images" if "images" in arrays else names[0]
    images = arrays[name]
    what = f"{path}: array {name!r}"
    if images.ndim not in (3, 4) or 0 in images.shape:
        raise RunError(
            f"{what} has the shape {images.shape}; expected (N, height, width) or "
            "(N, height, width, channels), none of them 0"
        )
    if images.dtype.kind == "f" and not numpy.isfinite(images).all():
        bad = numpy.argwhere(~numpy.isfinite(images))
        first = tuple(int(i) for i in bad[0])
        raise RunError(
            f"{what} has {len(bad)} values that are NaN or infinite, the first at {first}; "
            "expected integers from 0 up"
        )
    if images.dtype.kind not in "bui":
        raise RunError(
            f"{what} is of {images.dtype}; expected integers from 0 up: for grey values from "
            "0 to 1, save (array * 255).round().astype('uint8')"
        )
    if int(images.min()) < 0:
        raise RunError(f"{what} has the value {images.min()}; expected integers from 0 up")
    if int(images.max()) > 65535:
        raise RunError(f"{what} has the value {images.max()}; expected at most 65535")
    return images


def _labels(path: Path, arrays: dict[str, numpy.ndarray], count: int) -> numpy.ndarray | None:
    labels = arrays.get("labels")
    if labels is None:
        return None
    if labels.shape != (count,) or labels.dtype.kind not in "bui":
        raise RunError(
            f"{path}: array 'labels' is {labels.dtype} of shape {labels.shape}; expected "
            f"integers of shape ({count},), one for each image"
        )
    return labels
