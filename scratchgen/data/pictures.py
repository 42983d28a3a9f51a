"""Images of the user's own in a folder of PNG and JPEG files."""

from __future__ import annotations

from pathlib import Path

import numpy
from PIL import Image  # comes with matplotlib

from scratchgen.data.images import ImageData, split_by_five
from scratchgen.errors import RunError

LEVELS = 256
SUFFIXES = (".png", ".jpg", ".jpeg")
_GREY, _COLOUR = ("1", "L", "LA"), ("P", "RGB", "RGBA", "CMYK", "YCbCr")


def load(folder: Path) -> ImageData:
    """The pictures in the folder itself, by name, in 256 levels: grey (C = 1) or RGB (C = 3).

    If any has colours, all are taken as RGB; transparency is dropped. All must be of one size.
    Split by i mod 5 in the order of their names, as :func:`scratchgen.data.images.split_by_five`
    says. Raises RunError, one line, for anything else.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    except OSError as error:
        raise RunError(f"{folder}: cannot be read: {error.strerror or error}") from error
    if not paths:
        raise RunError(f"{folder}: no images in this folder; expected {', '.join(SUFFIXES)} files")
    pixels = [_read(path) for path in paths]
    height, width, _ = pixels[0].shape
    for path, image in zip(paths, pixels, strict=True):
        if image.shape[:2] != (height, width):
            raise RunError(
                f"{path}: {image.shape[0]} x {image.shape[1]} pixels (height x width), but "
                f"{paths[0].name} has {height} x {width}; make all images the same size"
            )
    channels = max(image.shape[2] for image in pixels)
    images = [numpy.broadcast_to(image, (height, width, channels)) for image in pixels]
    return split_by_five(str(folder), LEVELS, numpy.stack(images))


def _read(path: Path) -> numpy.ndarray:
    """The pixels, (H, W, 1) or (H, W, 3), uint8."""
    try:
        with Image.open(path) as image:
            if image.mode in _GREY:
                return numpy.asarray(image.convert("L"))[..., None]
            if image.mode in _COLOUR:
                # a palette with transparency must go through RGBA
                step = image.convert("RGBA") if image.mode == "P" else image
                return numpy.asarray(step.convert("RGB"))
            mode = image.mode
    except Exception as error:  # whatever a damaged file leads to
        reason = " ".join(str(error).split()) or type(error).__name__
        raise RunError(f"{path}: cannot be read as an image ({reason})") from error
    raise RunError(f"{path}: pixels of the kind {mode!r}; save it with 8 bits, grey or RGB")
