"""Images as a picture to look at."""

from __future__ import annotations

import math
from pathlib import Path

import numpy
from matplotlib.image import imsave


def save_grid(
    path: Path, images: numpy.ndarray, levels: int, columns: int = 0, scale: int = 6
) -> None:
    """Write images (N, H, W, 1) of levels 0 (black) … levels − 1 (white) as one PNG.

    They stand row by row in a grid of ``columns`` (by default as square as can be), each pixel
    ``scale`` pixels wide, with white lines between and around them.
    """
    count, height, width, _ = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    line = max(1, scale // 2)
    tile_height, tile_width = height * scale + line, width * scale + line
    picture = numpy.full((rows * tile_height + line, columns * tile_width + line), 255, "uint8")
    grey = numpy.rint(images[..., 0] * (255 / (levels - 1))).astype("uint8")
    large = grey.repeat(scale, axis=1).repeat(scale, axis=2)
    for i, image in enumerate(large):
        top, left = (i // columns) * tile_height + line, (i % columns) * tile_width + line
        picture[top : top + height * scale, left : left + width * scale] = image
    imsave(path, picture, cmap="gray", vmin=0, vmax=255)
