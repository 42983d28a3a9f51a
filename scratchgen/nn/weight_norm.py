"""Layers whose weights have their length and their direction as separate parameters.

    w = g v / ‖v‖        for the weights w of each output

T. Salimans and D. P. Kingma (2016), "Weight normalization: a simple reparameterization to
accelerate training of deep neural networks", eq. 2. The gradient with respect to v is orthogonal
to v, so that ‖v‖ grows with every step of plain descent, and the steps of the direction settle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
from autograd import Tensor, backend, no_grad
from autograd.nn import conv
from scratchgen.nn.initialisers import he_normal
from scratchgen.nn.module import Module


class _WeightNorm(Module):
    """``direction`` v (…, outputs), ``gain`` g (outputs,) and ``bias`` (outputs,)."""

    def __init__(self, weight: Any) -> None:
        """At first, w is the array ``weight``; without a direction, as of zeros, ValueError."""
        length = _length(weight)
        if not backend.to_numpy(length).all():
            raise ValueError("weights of length 0 have no direction; initialise them otherwise")
        self.direction = Tensor(weight)
        self.gain = Tensor(length)
        self.bias = Tensor(np.zeros(weight.shape[-1], "float32"))

    @property
    def weight(self) -> Any:
        """w, as the layer uses it."""
        return self.direction * (self.gain / _length(self.direction))

    def initialise(self, x: Any, epsilon: float = 1e-8) -> Any:
        """Set gain and bias so that each output has mean 0 and variance 1 over the batch ``x``.

            g ← g / σ,   b ← (b − µ) / σ            with outputs of mean µ, σ² + ε their variance

        Returns these outputs, to initialise the next layer with. §3 of the paper.
        """
        with no_grad():
            y = self(x)
            over = tuple(range(y.ndim - 1))
            mean, deviation = np.mean(y, axis=over), np.sqrt(np.var(y, axis=over) + epsilon)
            self.gain[...] = self.gain.data / deviation
            self.bias[...] = (self.bias.data - mean) / deviation
            return (y - mean) / deviation

    def __call__(self, x: Any) -> Any:
        raise NotImplementedError


class WeightNormDense(_WeightNorm):
    """A dense layer with normalised weights: (…, inputs) → (…, outputs)."""

    def __init__(self, inputs: int, outputs: int, rng: Any, init: Callable = he_normal) -> None:
        super().__init__(init(rng, (inputs, outputs), fan_in=inputs, fan_out=outputs))

    def __call__(self, x: Any) -> Any:
        return np.matmul(x, self.weight) + self.bias


class WeightNormConv(_WeightNorm):
    """A convolution with normalised weights, (N, H, W, C) → (N, H, W, D); zeros are padded."""

    def __init__(
        self, inputs: int, outputs: int, size: int, rng: Any, init: Callable = he_normal
    ) -> None:
        fans = {"fan_in": inputs * size**2, "fan_out": outputs * size**2}
        super().__init__(init(rng, (size, size, inputs, outputs), **fans))

    def __call__(self, x: Any) -> Any:
        return conv(x, self.weight, self.bias, padding="same")


def _length(weight: Any) -> Any:
    """‖·‖ of the weights of each output: (…, outputs) → (outputs,)."""
    return np.sqrt(np.sum(weight * weight, axis=tuple(range(weight.ndim - 1))))
