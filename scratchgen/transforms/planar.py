"""The planar transform: space is stretched, or squeezed, across one hyperplane.

D. J. Rezende and S. Mohamed (2015), "Variational inference with normalizing flows".

Every z is moved along the one direction û, by an amount that depends on which side of the
hyperplane wᵀz + b = 0 it lies, and how far from it (eq. 10):

    f(z) = z + û tanh(wᵀz + b)

The Jacobian is the identity plus a matrix of rank one, û ψ(z)ᵀ with ψ(z) = tanh'(wᵀz + b) w. By the
matrix determinant lemma its determinant takes D operations (eqs. 11 and 12):

    det ∂f/∂z = det (I + û ψᵀ) = 1 + ψᵀû = 1 + tanh'(wᵀz + b) wᵀû

tanh' goes from 0 to 1, so f is invertible if wᵀû > −1. To see to that, u is free, and û is u with
its part along w changed (appendix A.1):

    û = u + (m(wᵀu) − wᵀu) w / ‖w‖²,   so that   wᵀû = m(wᵀu)

for an increasing m from the real numbers to those above −1. The paper's is m(x) = −1 + ln (1 + eˣ).
This one is moved so that m(0) = 0: with u = 0, f is then the identity, and û does not grow without
limit as w becomes 0. It also stays a little above −1, so that ln det is finite everywhere.

In the direction of w the inverse is the solution of an equation without a closed form, so this is a
transform for what is only ever sent one way, such as the samples of a posterior.
"""

from __future__ import annotations

import math
from typing import Any

import autograd.numpy as np
from autograd import Tensor
from autograd.nn import softplus
from scratchgen.nn import Dense, Module
from scratchgen.nn.initialisers import zeros
from scratchgen.transforms.transform import Transform, check_vectors

LEAST_SLOPE = 1e-3
"""How much a transform may squeeze one direction."""


def slope(x: Any) -> Any:
    """1 + m(x): increasing, from LEAST_SLOPE to ∞, and 1 at x = 0."""
    return LEAST_SLOPE + softplus(x + math.log(math.expm1(1 - LEAST_SLOPE)))


class Numbers(Module):
    """The parameters of a transform: its own, or, *amortised*, those that a context asks for.

    ``initial`` (n,) is what they are at first. With ``context``, the width C of the contexts, each
    example has parameters of its own, which are a linear function of its context.
    """

    def __init__(self, initial: Any, rng: Any, context: int) -> None:
        if context:
            self.layer = Dense(context, len(initial), rng, zeros)
            self.layer.bias[...] = initial
        else:
            self.own = Tensor(initial)
        self.amortised = context > 0

    def __call__(self, context: Any) -> Any:
        """(n,), or for a context (N, C) of the width given (N, n)."""
        if not self.amortised:
            return self.own
        if context is None:
            raise ValueError("amortised parameters are computed from context (N, C), not from None")
        return self.layer(context)


class Planar(Transform):
    """f(z) = z + û tanh(wᵀz + b) of vectors (N, D).

    ``context``: the width of the contexts that w, u and b are computed from; 0 if they are
    parameters themselves. It starts as the identity, with a hyperplane at random.
    """

    def __init__(self, dimensions: int, rng: Any, context: int = 0) -> None:
        self.dimensions = dimensions
        w = rng.standard_normal(dimensions) / math.sqrt(dimensions)
        initial = np.concatenate([w, np.zeros(dimensions + 1)]).astype("float32")
        self.numbers = Numbers(initial, rng, context)

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        check_vectors(self, x, self.dimensions)
        numbers, d = self.numbers(context), self.dimensions
        w, u, b = numbers[..., :d], numbers[..., d : 2 * d], numbers[..., 2 * d :]
        wu = np.sum(w * u, axis=-1, keepdims=True)
        s = slope(wu)  # 1 + wᵀû
        square = np.sum(w * w, axis=-1, keepdims=True)
        u_hat = u + (s - 1 - wu) * w / np.maximum(square, 1e-12)  # at w = 0 it is u
        h = np.tanh(np.sum(w * x, axis=-1, keepdims=True) + b)  # (N, 1)
        determinant = h * h + (1 - h * h) * s  # 1 + tanh' wᵀû, as a sum in which nothing cancels
        return x + u_hat * h, np.log(determinant)[:, 0]
