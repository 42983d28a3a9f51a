"""Gradient descent in three forms, for functions of any structure of parameters.

The signatures and conventions are those of HIPS/autograd: ``grad(x, i)`` is the gradient at
iteration i, ``callback(x, i, g)`` is called before each step, and the last x is returned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autograd import numpy as np
from autograd.misc.flatten import flatten

Step = Callable[[Any, int], Any]


def _descend(grad: Callable, x0: Any, callback: Callable | None, num_iters: int, step: Step) -> Any:
    """x ← x + step(g, i), on one vector of all parameters."""
    x, unflatten = flatten(x0)
    for i in range(num_iters):
        g = grad(unflatten(x), i)
        if callback:
            callback(unflatten(x), i, g)
        x = x + step(flatten(g)[0], i)
    return unflatten(x)


def sgd(
    grad: Callable,
    x0: Any,
    callback: Callable | None = None,
    num_iters: int = 200,
    step_size: float = 0.1,
    mass: float = 0.9,
) -> Any:
    """Descent with momentum (Polyak 1964): v ← m v − (1 − m) g, x ← x + α v."""
    velocity: Any = 0.0

    def step(g: Any, i: int) -> Any:
        nonlocal velocity
        velocity = mass * velocity - (1 - mass) * g
        return step_size * velocity

    return _descend(grad, x0, callback, num_iters, step)


def rmsprop(
    grad: Callable,
    x0: Any,
    callback: Callable | None = None,
    num_iters: int = 100,
    step_size: float = 0.1,
    gamma: float = 0.9,
    eps: float = 1e-8,
) -> Any:
    """Root mean square propagation (Tieleman & Hinton 2012), from a mean square of 1:

    s ← γ s + (1 − γ) g², x ← x − α g / (√s + ε)
    """
    mean_square: Any = 1.0

    def step(g: Any, i: int) -> Any:
        nonlocal mean_square
        mean_square = gamma * mean_square + (1 - gamma) * g * g
        return -step_size * g / (np.sqrt(mean_square) + eps)

    return _descend(grad, x0, callback, num_iters, step)


def adam(
    grad: Callable,
    x0: Any,
    callback: Callable | None = None,
    num_iters: int = 100,
    step_size: float = 0.001,
    b1: float = 0.9,
    b2: float = 0.999,
    eps: float = 1e-8,
) -> Any:
    """Adam (Kingma & Ba 2015, algorithm 1):

    m ← β₁ m + (1 − β₁) g, s ← β₂ s + (1 − β₂) g², x ← x − α m̂ / (√ŝ + ε),

    where m̂ = m / (1 − β₁ᵗ) and ŝ = s / (1 − β₂ᵗ) undo that the means start at 0.
    """
    mean: Any = 0.0
    mean_square: Any = 0.0

    def step(g: Any, i: int) -> Any:
        nonlocal mean, mean_square
        mean = b1 * mean + (1 - b1) * g
        mean_square = b2 * mean_square + (1 - b2) * g * g
        unbiased_mean = mean / (1 - b1 ** (i + 1))
        unbiased_square = mean_square / (1 - b2 ** (i + 1))
        return -step_size * unbiased_mean / (np.sqrt(unbiased_square) + eps)

    return _descend(grad, x0, callback, num_iters, step)
