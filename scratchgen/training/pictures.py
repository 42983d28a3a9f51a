"""Images as a picture to look at."""

from __future__ import annotations

import math
from pathlib import Path

import numpy
from matplotlib.image import imsave


def save_grid(
    path: Path, images: numpy.ndarray, levels: int, columns: int = 0, scale: int = 8
) -> None:
    """Write images (N, H, W, 1) of levels 0 (paper: white) … levels − 1 (ink: black) as one PNG.

    They stand row by row in a grid of ``columns`` (by default as square as can be), each pixel
    ``scale`` pixels wide, with white space between and around them: small digits fill their image
    to its edge, and are hard to read with anything darker next to them.
    """
    count, height, width, _ = images.shape
    columns = columns or math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    space = 2 * scale
    down, right = height * scale + space, width * scale + space  # from one image to the next
    picture = numpy.full((rows * down + space, columns * right + space), 255, "uint8")
    grey = numpy.rint(255 - images[..., 0] * (255 / (levels - 1))).astype("uint8")
    large = grey.repeat(scale, axis=1).repeat(scale, axis=2)
    for i, image in enumerate(large):
        top, left = (i // columns) * down + space, (i % columns) * right + space
        picture[top : top + height * scale, left : left + width * scale] = image
    imsave(path, picture, cmap="gray", vmin=0, vmax=255)
