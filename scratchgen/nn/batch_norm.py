"""Batch normalisation: activations of mean 0 and variance 1 over a batch.

S. Ioffe and C. Szegedy (2015), "Batch normalization: accelerating deep network training by reducing
internal covariate shift", algorithms 1 and 2.

    y = γ (x − µ) / √(σ² + ε) + β         for each channel

In training µ and σ² are the mean and the variance over the batch and its positions, and gradients
go through both: what becomes of an example depends on the others beside it. After training an
example is to be taken by itself, with *running* averages of µ and σ² over the batches of training.

A gradient penalty asks for the slope of each example's score by that example. With this layer in
the critic there is none, and layer normalisation is used, or nothing (I. Gulrajani et al. 2017,
"Improved training of Wasserstein GANs", §4).
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd import Tensor, changes
from autograd.backend.whole import seen, whole
from autograd.nn import batch_norm_with_statistics
from scratchgen.nn.module import Module


class BatchNorm(Module):
    """(N, …, C) → the same. ``decay``: of the running averages, at each batch.

    With ``rng``, in training, by the statistics of the batch, which the running ones move towards;
    without, by the running ones. One value alone has no variance: then always by the running ones.
    """

    buffers = ("mean", "variance")

    def __init__(self, channels: int, decay: float = 0.9, epsilon: float = 1e-5) -> None:
        self.decay, self.epsilon = decay, epsilon
        self.gain = Tensor(np.ones(channels, "float32"))  # γ
        self.bias = Tensor(np.zeros(channels, "float32"))  # β
        self.mean = np.zeros(channels, "float32")
        self.variance = np.ones(channels, "float32")

    def __call__(self, x: Any, rng: Any = None) -> Any:
        if x.ndim < 2 or x.shape[-1] != len(self.mean):
            expected = f"{len(self.mean)} channels: (N, …, C)"
            raise ValueError(f"BatchNorm: input {tuple(x.shape)}, expected {expected}")
        values = x.size // x.shape[-1]  # of each channel
        if rng is None or values < 2:
            return self._scaled(x - seen(self.mean), seen(self.variance))
        y, mean, variance = batch_norm_with_statistics(x, self.gain, self.bias, self.epsilon)
        move_average(self.mean, mean, self.decay)
        # n values are nearer to their own mean than to that of the data: made up for
        move_average(self.variance, variance, self.decay, values / (values - 1))
        return y

    def _scaled(self, centred: Any, variance: Any) -> Any:
        return centred * (self.gain / np.sqrt(variance + self.epsilon)) + self.bias


@whole
def move_average(average: Any, value: Any, decay: float, factor: float = 1.0) -> None:
    """Move a running average, in place, towards ``factor`` times a value of today's."""
    average *= decay
    average += ((1 - decay) * factor) * value
    changes.note(average)
