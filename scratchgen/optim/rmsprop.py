"""RMSprop: steps scaled by the root of the gradient's running mean square."""

from __future__ import annotations

from collections.abc import Iterable

import autograd.numpy as np
from autograd import Tensor
from autograd.backend import Array
from scratchgen.optim.optimiser import Optimiser


class RMSprop(Optimiser):
    """T. Tieleman and G. Hinton (2012), "Neural networks for machine learning", lecture 6e.

        v_t = ρ v_{t−1} + (1 − ρ) g_t²
        θ_t = θ_{t−1} − α g_t / (√v_t + ε)

    Unlike Adam's, the mean square from v_0 = 0 is not corrected for its bias, so the first step is
    1 / √(1 − ρ) times as long as a later one.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float = 1e-3,
        decay: float = 0.9,
        epsilon: float = 1e-8,
    ) -> None:
        super().__init__(parameters, learning_rate)
        self._check(decay=decay)
        self.decay, self.epsilon = decay, epsilon
        self.square = self._buffer("square")

    def _update(self, data: Array, g: Array, part: slice) -> None:
        v = self.square[part]
        v *= self.decay
        v += (1 - self.decay) * (g * g)
        data -= self.learning_rate * g / (np.sqrt(v) + self.epsilon)
