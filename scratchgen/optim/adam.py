"""Adam: steps scaled by running estimates of the gradient's first two moments."""

from __future__ import annotations

import math
from collections.abc import Iterable

import autograd.numpy as np
from autograd import Tensor, backend
from autograd.backend import Array
from scratchgen.optim.flat import FlatParameters

_BLOCK = 2**14
"""How many parameters are updated at a time on a CPU, so that the temporaries stay in its cache:
90,000 parameters then take 0.18 ms in place of 0.40."""


class Adam:
    """D. P. Kingma and J. Ba (2015), "Adam: a method for stochastic optimization", algorithm 1.

    With the gradient g_t at step t = 1, 2, …:

        m_t = β₁ m_{t−1} + (1 − β₁) g_t          mean of the gradient, biased towards m_0 = 0
        v_t = β₂ v_{t−1} + (1 − β₂) g_t²         mean of its square, likewise
        m̂_t = m_t / (1 − β₁ᵗ),  v̂_t = v_t / (1 − β₂ᵗ)               without the bias
        θ_t = θ_{t−1} − α m̂_t / (√v̂_t + ε)

    ``step()`` reads and clears the parameters' ``grad`` and changes the parameters in place. They
    become views of one buffer, so they must all have the same dtype.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        self.flat = FlatParameters(parameters)
        self.learning_rate = learning_rate
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.steps = 0
        self.mean = np.zeros_like(self.flat.data)
        self.square = np.zeros_like(self.flat.data)

    def step(self) -> None:
        """One update from the gradients that the last backward pass left."""
        self.steps += 1
        gradient = self.flat.collect_gradients()
        block = gradient.size if backend.current() == "cupy" else _BLOCK
        for start in range(0, gradient.size, block):
            self._update(slice(start, start + block), gradient)
        self.flat.changed()

    def _update(self, part: slice, gradient: Array) -> None:
        g, m, v = gradient[part], self.mean[part], self.square[part]
        m *= self.beta1
        m += (1 - self.beta1) * g
        v *= self.beta2
        v += (1 - self.beta2) * (g * g)
        scale = self.learning_rate / (1 - self.beta1**self.steps)
        root = np.sqrt(v)
        root *= 1 / math.sqrt(1 - self.beta2**self.steps)
        root += self.epsilon
        data = self.flat.data[part]
        data -= scale * m / root
