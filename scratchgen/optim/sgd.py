"""Stochastic gradient descent, plain or with momentum."""

from __future__ import annotations

from collections.abc import Iterable

from autograd import Tensor
from autograd.backend import Array
from scratchgen.optim.optimiser import Optimiser


class SGD(Optimiser):
    """Descent along the gradient, or with ``momentum`` µ along a decaying sum of the gradients.

        plain       θ_t = θ_{t−1} − α g_t
        momentum    v_t = µ v_{t−1} + g_t,   θ_t = θ_{t−1} − α v_t
        nesterov    v_t = µ v_{t−1} + g_t,   θ_t = θ_{t−1} − α (g_t + µ v_t)

    Momentum: B. T. Polyak (1964), "Some methods of speeding up the convergence of iteration
    methods". Nesterov's: I. Sutskever et al. (2013), "On the importance of initialization and
    momentum in deep learning", eqs. 3 and 4, which take the gradient at the point θ + µ v that the
    momentum alone would lead to; here the parameters are that point. Where those papers have
    −α inside v, it stands outside, so that a change of the learning rate acts at once.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        learning_rate: float = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(parameters, learning_rate)
        self._check(momentum=momentum)
        if nesterov and not momentum:
            raise ValueError("SGD: nesterov is a kind of momentum; set momentum above 0 too")
        self.momentum, self.nesterov = momentum, nesterov
        self.velocity = self._buffer("velocity") if momentum else None

    def _update(self, data: Array, g: Array, part: slice) -> None:
        if self.velocity is None:
            data -= self.learning_rate * g
            return
        v = self.velocity[part]
        v *= self.momentum
        v += g
        data -= self.learning_rate * (g + self.momentum * v if self.nesterov else v)
