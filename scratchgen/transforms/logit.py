"""The logit of numbers from 0 to 1. (A draft; to be written.)"""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd.nn import sigmoid, softplus
from scratchgen.transforms.transform import Transform, per_example


class Logit(Transform):
    """z = logit(α + (1 − 2α) x)."""

    def __init__(self, alpha: float = 0.05) -> None:
        self.alpha = alpha

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        p = self.alpha + (1 - 2 * self.alpha) * x
        z = np.log(p) - np.log1p(-p)
        return z, per_example(softplus(z) + softplus(-z) + np.log(1 - 2 * self.alpha))

    def inverse(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        x = (sigmoid(z) - self.alpha) / (1 - 2 * self.alpha)
        return x, -self.forward(x)[1]
