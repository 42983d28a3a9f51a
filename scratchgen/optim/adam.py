"""Adam and its relatives: steps scaled by running estimates of the gradient's moments."""

from __future__ import annotations

import math
from collections.abc import Iterable

import autograd.numpy as np
from autograd import Tensor
from autograd.backend import Array, xp
from scratchgen.optim.optimiser import Optimiser


class Adam(Optimiser):
    """D. P. Kingma and J. Ba (2015), "Adam: a method for stochastic optimization", algorithm 1.

    With the gradient g_t at step t = 1, 2, …:

        m_t = β₁ m_{t−1} + (1 − β₁) g_t          mean of the gradient, biased towards m_0 = 0
        v_t = β₂ v_{t−1} + (1 − β₂) g_t²         mean of its square, likewise
        m̂_t = m_t / (1 − β₁ᵗ),  v̂_t = v_t / (1 − β₂ᵗ)               without the bias
        θ_t = θ_{t−1} − α m̂_t / (√v̂_t + ε)

    What is kept are the sums s_t = β₁ s_{t−1} + g_t and r_t = β₂ r_{t−1} + g_t², which take a pass
    less each: m_t = (1 − β₁) s_t and v_t = (1 − β₂) r_t. With c = √((1 − β₂) / (1 − β₂ᵗ)) it is

        θ_t = θ_{t−1} − α (1 − β₁) / (c (1 − β₁ᵗ)) · s_t / (√r_t + ε / c)
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(parameters, learning_rate)
        self._check(beta1=beta1, beta2=beta2)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.sums = self._buffer("sums")
        self.squares = self._buffer("squares")

    def _update(self, data: Array, g: Array, part: slice) -> None:
        s, r = self.sums[part], self.squares[part]
        s *= self.beta1
        s += g
        g *= g  # the last that is read of it, so the rest is computed in its memory
        r *= self.beta2
        r += g
        c = math.sqrt((1 - self.beta2) / (1 - self.beta2**self.steps))
        scale = self.learning_rate * (1 - self.beta1) / (1 - self.beta1**self.steps)
        root = xp.sqrt(r, out=g)
        root += self.epsilon / c
        move = xp.divide(s, root, out=root)
        move *= scale / c
        data -= move


class AdamW(Adam):
    """I. Loshchilov and F. Hutter (2019), "Decoupled weight decay regularization", algorithm 2.

    Adam whose weights also decay, by a share of themselves that no gradient statistics scale:

        θ_t = θ_{t−1} − α (m̂_t / (√v̂_t + ε) + λ θ_{t−1})

    Here the learning rate α multiplies the decay λ too, so that a schedule acts on both. The paper
    has a schedule factor η_t (α m̂_t / (√v̂_t + ε) + λ′ θ_{t−1}): its λ′ is α λ. All parameters
    decay, biases too.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float = 1e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
        weight_decay: float = 0.01,
    ) -> None:
        if not weight_decay >= 0:
            raise ValueError(f"AdamW: weight_decay is {weight_decay}, below 0")
        super().__init__(parameters, learning_rate, beta1, beta2, epsilon)
        self.weight_decay = weight_decay

    def _update(self, data: Array, g: Array, part: slice) -> None:
        data *= 1 - self.learning_rate * self.weight_decay
        super()._update(data, g, part)


class Adamax(Optimiser):
    """Kingma and Ba (2015), algorithm 2: Adam with a running maximum in place of the mean square.

        m_t = β₁ m_{t−1} + (1 − β₁) g_t
        u_t = max(β₂ u_{t−1}, |g_t| + ε)
        θ_t = θ_{t−1} − α / (1 − β₁ᵗ) · m_t / u_t

    ε is not in the paper: it keeps a parameter whose gradient has always been 0 where it is,
    instead of making it 0 / 0.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float = 2e-3,
        beta1: float = 0.9,
        beta2: float = 0.999,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(parameters, learning_rate)
        self._check(beta1=beta1, beta2=beta2)
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.mean = self._buffer("mean")
        self.largest = self._buffer("largest")

    def _update(self, data: Array, g: Array, part: slice) -> None:
        m, u = self.mean[part], self.largest[part]
        m *= self.beta1
        m += (1 - self.beta1) * g
        u *= self.beta2
        u[...] = np.maximum(u, np.abs(g) + self.epsilon)
        data -= self.learning_rate / (1 - self.beta1**self.steps) * m / u
