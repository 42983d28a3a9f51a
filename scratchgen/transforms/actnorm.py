"""Activation normalisation: a scale and a shift of each channel, set from the first batch of data.

D. P. Kingma and P. Dhariwal (2018), "Glow: Generative flow with invertible 1 × 1 convolutions",
§3.1 and table 1:

    z_ij = s ⊙ x_ij + b        ln |det ∂z/∂x| = h w Σ_c ln |s_c|

for every pixel ij of h × w, and without the factor for points. At first s and b are such that over
the first batch each channel of z has mean 0 and variance 1. From then on they are parameters like
any others: an example never depends on the rest of its batch, however small this is, as it does in
batch normalisation.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd import Tensor
from scratchgen.transforms.transform import Transform, check_width, per_channel

CONSTANT = 1e-5
"""Deviation of a channel, relative to its mean, up to which it is rounding."""


class ActNorm(Transform):
    """z = s ⊙ x + b over the last axis, (N, …, channels), with s = exp(log_scale) above 0."""

    def __init__(self, channels: int) -> None:
        self.log_scale = Tensor(np.zeros(channels, "float32"))
        self.shift = Tensor(np.zeros(channels, "float32"))

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        check_width(self, x, len(self.shift))
        return x * np.exp(self.log_scale) + self.shift, per_channel(x, self.log_scale)

    def inverse(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        check_width(self, z, len(self.shift))
        return (z - self.shift) * np.exp(-self.log_scale), -per_channel(z, self.log_scale)

    def initialise(self, x: Any, context: Any = None) -> Any:
        """Each channel of z then has mean 0 and variance 1 over x and all its pixels.

        One that is constant over them gets mean 0, and the scale stays 1.
        """
        check_width(self, x, len(self.shift))
        over = tuple(range(x.ndim - 1))
        mean, deviation = np.mean(x, axis=over), np.std(x, axis=over)
        deviation = np.where(deviation > CONSTANT * np.abs(mean), deviation, 1.0)
        self.log_scale[...] = -np.log(deviation)
        self.shift[...] = -mean / deviation
        return self.forward(x)[0]
