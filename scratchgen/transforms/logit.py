"""The logit of numbers from 0 to 1.

G. Papamakarios, T. Pavlakou and I. Murray (2017), "Masked autoregressive flow for density
estimation"; after L. Dinh, J. Sohl-Dickstein and S. Bengio (2017), "Density estimation using Real
NVP", §4.1, where there is a margin on one side only.
"""

from __future__ import annotations

import math
from typing import Any

import autograd.numpy as np
from autograd import backend, constant
from autograd.backend.whole import whole
from autograd.nn import sigmoid, softplus
from scratchgen.transforms.transform import Transform, per_example


class Logit(Transform):
    """z = ln p − ln q with p = α + (1 − 2α) x and q = 1 − p, for x from 0 to 1, these included.

        ln dz/dx = ln (1 − 2α) − ln p − ln q

    The margin α keeps both finite: z goes from ln (α / (1 − α)) to minus that. The inverse takes
    any z; what is outside of that range comes from beyond 0 and 1.
    """

    def __init__(self, alpha: float = 0.05) -> None:
        if not 0 < alpha < 0.5:
            raise ValueError(f"Logit: alpha={alpha}; it must be above 0 and below 0.5")
        self.alpha = alpha

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        """Raises ValueError for x outside of [0, 1]: on the CPU only; a GPU would be waited for."""
        _check_range(constant(x))
        scale = 1 - 2 * self.alpha
        log_p = np.log(self.alpha + scale * x)
        log_q = np.log(self.alpha + scale * (1 - x))  # 1 − p has lost digits where p is near 1
        return log_p - log_q, per_example(math.log(scale) - log_p - log_q)

    def inverse(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        scale = 1 - 2 * self.alpha
        minus_log_pq = softplus(-z) + softplus(z)  # p = σ(z), q = σ(−z)
        return (sigmoid(z) - self.alpha) / scale, -per_example(math.log(scale) + minus_log_pq)


@whole
def _check_range(x: Any) -> None:
    if backend.current() != "numpy" or not x.size:
        return
    low, high = x.min(), x.max()
    if not 0 <= low <= high <= 1:  # not a number either
        raise ValueError(f"Logit: numbers from {low:g} to {high:g}, expected from 0 to 1")
