"""Images as a picture to look at."""

from __future__ import annotations

import math
from pathlib import Path

import numpy
from matplotlib.image import imsave

from scratchgen.errors import RunError


def save_grid(
    path: Path, images: numpy.ndarray, levels: int, columns: int = 0, scale: int = 0
) -> None:
    """Write images (N, H, W, 1 or 3) of levels 0 … levels − 1 as one PNG.

    With one channel, level 0 is paper (white) and the last one ink (black); three are red, green
    and blue. The images stand row by row in a grid of ``columns`` (by default as square as can be),
    each pixel ``scale`` pixels wide (by default so that an image is about 64 wide), with white
    space between and around them: small digits fill their image to its edge, and are hard to read
    with anything darker next to them. Values that are no number are drawn in light blue.

    Raises RunError if the file cannot be written.
    """
    try:
        imsave(path, grid(images, levels, columns, scale))
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error


def grid(images: numpy.ndarray, levels: int, columns: int = 0, scale: int = 0) -> numpy.ndarray:
    """The picture that :func:`save_grid` writes, (height, width, 3) of 0 … 255."""
    count, height, width, _ = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    scale = scale or max(1, 64 // width)
    rows = math.ceil(count / columns)
    space = 2 * scale
    down, right = height * scale + space, width * scale + space  # from one image to the next
    picture = numpy.full((rows * down + space, columns * right + space, 3), 255, "uint8")
    large = _colours(images, levels).repeat(scale, axis=1).repeat(scale, axis=2)
    for i, image in enumerate(large):
        top, left = (i // columns) * down + space, (i % columns) * right + space
        picture[top : top + height * scale, left : left + width * scale] = image
    return picture


def _colours(images: numpy.ndarray, levels: int) -> numpy.ndarray:
    """(N, H, W, channels) → (N, H, W, 3) of 0 … 255."""
    light = images * (255 / (levels - 1))
    if images.shape[-1] == 1:
        light = (255 - light).repeat(3, axis=-1)
    return numpy.where(numpy.isnan(light), (204, 221, 255), numpy.rint(light)).astype("uint8")
