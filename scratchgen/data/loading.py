"""The one entry to image data: a name, or the path of data of the user's own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from scratchgen.data import digits, mnist, npz
from scratchgen.data.images import ImageData, requantise
from scratchgen.errors import RunError, UsageError, unknown

NAMES = ("digits", *mnist.SOURCES)


def load(name: str, levels: int | None = None) -> ImageData:
    """The images that ``--data`` names, in their fixed split, with ``levels`` levels or their own.

    ``name`` is "digits", "mnist", "fashion-mnist", or a path: a folder of the four IDX files, a
    folder of PNG or JPEG files, or an ``.npz`` archive. IDX files have a test set of their own, and
    the last sixth of their training set is the validation part; everything else is split by
    i mod 5, as the digits are.

    Data of L levels become ``levels`` = k ≤ L of them by ⌊x k / L⌋. An archive does not say how
    many levels it has: ``levels`` does, and must be above its largest value, unless that is 255.

    Raises UsageError, with the nearest name, if there is no such data set, and for an impossible
    number of levels; RunError for files that cannot be used.
    """
    if levels is not None and levels < 2:
        raise UsageError(f"levels={levels}: at least 2")
    if name == "digits":
        return requantise(digits.load(), levels)
    if name in mnist.SOURCES:
        return requantise(mnist.load(name), levels)
    return _from_path(existing(name, NAMES), levels)


def existing(name: str, names: Iterable[str]) -> Path:
    """The absolute path that ``--data`` names, where it is none of the data sets' ``names``.

    Raises UsageError, with the nearest of these, if it does not look like a path; RunError if
    there is no such file or folder.
    """
    path = Path(os.path.expanduser(name))  # which leaves an unknown ~user as it is
    try:
        if name and path.exists():
            return path.resolve()  # so that the name in a run folder is good from anywhere
    except OSError as error:  # of no permission, or a name that is too long
        raise RunError(f"{name}: cannot be read: {error.strerror or error}") from error
    if len(path.parts) > 1 or path.suffix:
        raise RunError(f"{name}: no such file or folder")
    raise UsageError(f"{unknown('data set', name, names)}, nor is it a file or folder here")


def _from_path(path: Path, levels: int | None) -> ImageData:
    if path.is_file() and path.suffix.lower() == ".npz":
        data = npz.load(path, levels)
        if levels is not None and levels < data.levels != 256:
            raise UsageError(
                f"levels={levels}: {path} has values up to {data.levels - 1}; "
                f"at least {data.levels}"
            )
        return requantise(data, levels)
    if not path.is_dir():
        raise UsageError(
            f"{path}: expected an .npz file, a folder of the four IDX files, or one of images"
        )
    if mnist.has_idx_files(path):
        return requantise(mnist.from_folder(path), levels)
    from scratchgen.data import pictures  # takes its time to load, and is seldom needed

    return requantise(pictures.load(path), levels)
