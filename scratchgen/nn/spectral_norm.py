"""Layers whose weights are divided by their largest singular value.

    W̄ = W / σ(W),     σ(W) = max ‖W v‖ / ‖v‖

T. Miyato, T. Kataoka, M. Koyama and Y. Yoshida (2018), "Spectral normalization for generative
adversarial networks", eq. 8. No output of W̄ is longer than its input: a network of such layers,
with leaky ReLU between them, is 1-Lipschitz, and its scores rise by no more than 1 for each unit of
distance.

σ is found by *power iteration* (algorithm 1): from any u that is not orthogonal to the first left
singular vector,

    v ← Wᵀu / ‖Wᵀu‖,     u ← W v / ‖W v‖,     σ = uᵀ W v

tend to the first singular vectors and value. W changes little from step to step, so one iteration
at each is enough, with the u of the step before: a buffer. To the gradient u and v are constants;
that of uᵀ W v by W is u vᵀ, which is the gradient of σ itself (eq. 9).

A kernel (k, k, C, D) is the matrix of D rows that takes a patch of k² C numbers to an output of D.
A value of the image is in up to ⌈k / stride⌉² patches, so that the convolution of a whole image may
be longer than the image, by ⌈k / stride⌉ at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
from autograd import Tensor, changes, constant
from autograd.backend.whole import seen, whole
from autograd.nn import conv, dense
from scratchgen.nn.initialisers import he_normal
from scratchgen.nn.module import Module


class _SpectralNorm(Module):
    """``weight`` W, its outputs last, ``bias``, and ``left``, the vector u (outputs,)."""

    buffers = ("left",)

    def __init__(self, weight: Any, rng: Any) -> None:
        self.weight = Tensor(weight)
        self.bias = Tensor(np.zeros(weight.shape[-1], "float32"))
        self.left = _unit(rng.standard_normal(weight.shape[-1]).astype("float32"))

    def normalised(self, rng: Any = None) -> Any:
        """W̄. With ``rng``, in training, u is kept for the next time."""
        matrix = self.weight.reshape(-1, self.weight.shape[-1])  # Wᵀ of the equations
        right, left = _iterated(constant(matrix), seen(self.left))
        if rng is not None:
            _put(self.left, left)
        return self.weight / np.sum((right @ matrix) * left)


class SpectralDense(_SpectralNorm):
    """A dense layer with normalised weights: (…, inputs) → (…, outputs)."""

    def __init__(self, inputs: int, outputs: int, rng: Any, init: Callable = he_normal) -> None:
        super().__init__(init(rng, (inputs, outputs), fan_in=inputs, fan_out=outputs), rng)

    def __call__(self, x: Any, rng: Any = None) -> Any:
        return dense(x, self.normalised(rng), self.bias)


class SpectralConv(_SpectralNorm):
    """A convolution with normalised weights: (N, H, W, C) → (N, ⌈H / stride⌉, ⌈W / stride⌉, D)."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        rng: Any,
        init: Callable = he_normal,
        stride: int = 1,
    ) -> None:
        fans = {"fan_in": inputs * size**2, "fan_out": outputs * size**2}
        super().__init__(init(rng, (size, size, inputs, outputs), **fans), rng)
        self.stride = stride

    def __call__(self, x: Any, rng: Any = None) -> Any:
        weight = self.normalised(rng)
        return conv(x, weight, self.bias, stride=self.stride, padding="same")


def _iterated(matrix: Any, left: Any) -> tuple[Any, Any]:
    """v and the next u, for ``matrix`` Wᵀ (inputs, outputs)."""
    right = _unit(matrix @ left)
    return right, _unit(right @ matrix)


@whole
def _put(buffer: Any, value: Any) -> None:
    buffer[...] = value
    changes.note(buffer)


def _unit(vector: Any) -> Any:
    return vector / np.sqrt(np.sum(vector * vector))
