"""Dequantisation: noise that makes integer levels continuous.

L. Theis, A. van den Oord and M. Bethge (2016), "A note on the evaluation of generative models",
§3.1. Variational dequantisation: J. Ho et al. (2019), "Flow++: Improving flow-based generative
models with variational dequantization and architecture design", §3.1.

To an image x of d numbers of levels 0 … L − 1 noise u in [0, 1)^d is added, of a density q(u | x),
and the sum is scaled, y = (x + u) / L. As p(x + u) = p(y) / L^d,

    ln P(x) = ln ∫ p(x + u) du  ≥  E_q [ln p(y) − d ln L − ln q(u | x)]

so that −d ln L − ln q(u | x) takes the place of a log-determinant. The gap is the divergence of q
from the density that u has in the model, p(x + u) / P(x). *Uniform* noise, q = 1, asks of a smooth
p that it be flat on a cube around each image. *Variational* noise is learnt together with p: it
is a flow itself, of logistic noise e, which sees the image,

    v = f(e; x),   u = σ(v),      ln q(u | x) = ln p_E(e) − ln |det ∂v/∂e| − Σ ln (u (1 − u))

The sigmoid of logistic noise is uniform. So where f is the identity, as it is at first, both are
the same.
"""

from __future__ import annotations

import math
from typing import Any

import autograd.numpy as np
from autograd.nn import sigmoid, softplus
from scratchgen.distributions import logistic
from scratchgen.nn import ConvNet, Module, zeros
from scratchgen.transforms.coupling import AffineCoupling, checkerboard
from scratchgen.transforms.transform import Compose, Transform, no_change, per_example


class Dequantize(Transform):
    """y = (x + u) / levels in [0, 1), u uniform: (N, …) of integers → (N, …), float32.

    ``log_det`` is −d ln levels. The ``inverse`` rounds down; of a rounding there is no determinant,
    and its ``log_det`` is 0.

    In float32 y must stay clear of the neighbouring levels, and of 1. So u is moved to at least
    levels · 2⁻²² from 0 and from 1: of uniform noise a share of levels · 2⁻²¹, 0.01 % with 256
    levels and 0.2 % with 4096. ``log_det`` knows nothing of it.
    """

    def __init__(self, levels: int) -> None:
        self.levels = levels

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        """``rng``: what to draw u with, also outside of training."""
        if rng is None:
            raise ValueError(f"{type(self).__name__}: it draws noise; pass rng, a generator")
        u, log_q = self.noise(x, rng)
        margin = self.levels * 2.0**-22
        y = ((x + np.clip(u, margin, 1 - margin)) / self.levels).astype("float32")
        return y, -math.prod(x.shape[1:]) * math.log(self.levels) - log_q

    def inverse(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        levels = np.clip(np.floor(z * self.levels), 0, self.levels - 1)
        return levels.astype(int), no_change(z)

    def noise(self, x: Any, rng: Any) -> tuple[Any, Any]:
        """u for images x, of the same shape, and ln q(u | x) (N,)."""
        return rng.random(x.shape), np.zeros(len(x), "float32")


COUPLINGS = 4
"""Of the flow that variational noise comes from."""


class VariationalDequantize(Dequantize):
    """The same with noise that is learnt: u ~ q(u | x), for images (N, H, W, C).

    Labels, the ``context``, are not looked at, though the best q depends on them: in the model u
    has the density p(x + u | label) / P(x | label). The bound is valid, but looser.
    """

    def __init__(self, config: Any, rng: Any) -> None:
        """``config``: has height, width, colours and levels."""
        super().__init__(config.levels)
        self.flow = Compose(
            [
                AffineCoupling(
                    checkerboard(config.height, config.width, flip=i % 2 == 1),
                    _NetworkOfNoiseAndImage(config.colours, config.levels, rng),
                )
                for i in range(COUPLINGS)
            ]
        )

    def noise(self, x: Any, rng: Any) -> tuple[Any, Any]:
        zero = np.zeros(x.shape, "float32")
        e = logistic.sample(zero, zero, rng)
        v, log_det = self.flow.forward(e, x)
        log_slope = -softplus(v) - softplus(-v)  # of the sigmoid: ln (u (1 − u))
        return sigmoid(v), per_example(logistic.log_prob(zero, zero, e) - log_slope) - log_det


class _NetworkOfNoiseAndImage(Module):
    """Scales and shifts of a coupling, 0 at first. Its context is the image, of integer levels."""

    def __init__(self, colours: int, levels: int, rng: Any) -> None:
        self.levels = levels
        self.network = ConvNet(2 * colours, 2 * colours, rng, last=zeros)

    def __call__(self, e: Any, x: Any, rng: Any = None) -> Any:
        image = (x * (2 / (self.levels - 1)) - 1).astype("float32")
        return self.network(np.concatenate([e, image], -1))
