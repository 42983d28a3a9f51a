"""Batch normalisation as a layer of a flow.

L. Dinh, J. Sohl-Dickstein and S. Bengio (2017), "Density estimation using Real NVP", §3.7;
G. Papamakarios, T. Pavlakou and I. Murray (2017), "Masked autoregressive flow for density
estimation", appendix B:

    z = (x − m) ⊙ (v + ε)^(−1/2) ⊙ exp(γ) + β        ln |det ∂z/∂x| = h w Σ_c (γ_c − ½ ln (v_c + ε))

over the h × w pixels of an image, and without the factor for points. In training m and v are the
mean and the variance of each channel over the batch. What is said of one example then depends on
the others in its batch, and is no density. That of the model, to evaluate as to draw from, is with
*running* averages of m and v over the batches of training, in both directions. The two must not be
mixed: noise made of data by the one function, and taken back by the inverse of the other, does not
give the data.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd import Tensor, constant, no_grad
from autograd.backend.whole import seen
from scratchgen.nn.batch_norm import move_average
from scratchgen.transforms.transform import Transform, check_width, per_channel

EPSILON = 1e-5
"""ε: a channel that is constant over a batch keeps a finite log-determinant."""


class BatchNormFlow(Transform):
    """Over the last axis: (N, …, channels). ``decay``: of the running averages, at each batch."""

    buffers = ("mean", "variance")

    def __init__(self, channels: int, decay: float = 0.95) -> None:
        self.decay = decay
        self.mean = np.zeros(channels, "float32")
        self.variance = np.ones(channels, "float32")
        self.log_gain = Tensor(np.zeros(channels, "float32"))  # γ
        self.bias = Tensor(np.zeros(channels, "float32"))  # β

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        """With ``rng`` by the statistics of the batch, which the running ones move towards.

        One point alone has no variance, and is normalised by the running statistics.
        """
        check_width(self, x, len(self.bias))
        mean, variance = seen(self.mean), seen(self.variance)
        if rng is not None and _values(x) > 1:
            mean, variance = _statistics(x)
            self._keep(x, self.decay)
        log_scale = self._log_scale(variance)
        return (x - mean) * np.exp(log_scale) + self.bias, per_channel(x, log_scale)

    def inverse(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        """By the running statistics: there is no batch of data."""
        check_width(self, z, len(self.bias))
        log_scale = self._log_scale(self.variance)
        return (z - self.bias) * np.exp(-log_scale) + self.mean, -per_channel(z, log_scale)

    def initialise(self, x: Any, context: Any = None) -> Any:
        """The running statistics are at first those of x."""
        check_width(self, x, len(self.bias))
        if _values(x) > 1:
            self._keep(x, 0.0)
        return self.forward(x)[0]

    def _log_scale(self, variance: Any) -> Any:
        return self.log_gain - 0.5 * np.log(variance + EPSILON)

    def _keep(self, x: Any, decay: float) -> None:
        """The variance of n values is on average (n − 1)/n of that of the data: made up for."""
        with no_grad():
            mean, variance = map(constant, _statistics(x))
        move_average(self.mean, mean, decay)
        move_average(self.variance, variance, decay, _values(x) / (_values(x) - 1))


def _statistics(x: Any) -> tuple[Any, Any]:
    """Mean and variance (channels,) over a batch and its pixels."""
    over = tuple(range(x.ndim - 1))
    return np.mean(x, axis=over), np.var(x, axis=over)


def _values(x: Any) -> int:
    """Of each channel."""
    return x.size // x.shape[-1]
