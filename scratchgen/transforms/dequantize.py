"""Dequantisation: noise that makes integer levels continuous. (A draft; to be written.)"""

from __future__ import annotations

import math
from typing import Any

import autograd.numpy as np
from scratchgen.transforms.transform import Transform, no_change


class Dequantize(Transform):
    """y = (x + u) / levels with u uniform in [0, 1): log_det = −d ln levels − ln q(u), q = 1."""

    def __init__(self, levels: int) -> None:
        self.levels = levels

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        y = ((x + rng.random(x.shape)) / self.levels).astype("float32")
        return y, no_change(y) - math.log(self.levels) * math.prod(x.shape[1:])

    def inverse(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        levels = np.clip(np.floor(z * self.levels), 0, self.levels - 1)
        return levels.astype(int), no_change(z)


class VariationalDequantize(Dequantize):
    """To be written."""

    def __init__(self, config: Any, rng: Any) -> None:
        super().__init__(config.levels)
