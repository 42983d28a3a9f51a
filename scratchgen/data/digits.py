"""Handwritten digits: 1,797 real images of 8 × 8 pixels in 17 grey levels.

Optical Recognition of Handwritten Digits, E. Alpaydin and C. Kaynak (1998), UCI Machine Learning
Repository, doi:10.24432/C50P49, CC BY 4.0; see ``digits.md`` beside this file.
"""

from __future__ import annotations

from pathlib import Path

import numpy

from scratchgen.data.images import ImageData, split_by_five

LEVELS = 17


def load() -> ImageData:
    """The digits in their fixed split, so that figures compare, with labels 0 … 9.

    Image i is in the test part if i mod 5 = 4 (359 images), in the validation part if i mod 5 = 3
    (359), and in the training part otherwise (1,079).
    """
    with numpy.load(Path(__file__).with_name("digits.npz")) as file:
        images, labels = file["images"], file["labels"]
    return split_by_five("digits", LEVELS, images[..., None], labels)  # (1797, 8, 8, 1)
