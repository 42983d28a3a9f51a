"""Models small enough to be enumerated, at random parameters, for the claims about models."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, TypeVar

import autograd.numpy as np
from autograd import constant, jacobian
from scratchgen.nn import Module

M = TypeVar("M", bound=Module)


def randomised(module: M, rng: Any, spread: float = 0.5) -> M:
    """The module in float64, each parameter drawn anew from N(0, spread²)."""
    module.astype("float64")
    for x in module.parameters().values():
        x[...] = spread * rng.standard_normal(x.shape)
    return module


def positive(module: M, rng: Any, spread: float = 0.5) -> M:
    """Likewise, each parameter between ½ and 1 times ``spread``: so that no two paths cancel."""
    module.astype("float64")
    for x in module.parameters().values():
        x[...] = spread * (0.5 + 0.5 * rng.random(x.shape))
    return module


def every_image(*shape: int, levels: int = 2) -> Any:
    """All images (levels^d, *shape) of the levels 0 … levels − 1."""
    values = itertools.product(range(levels), repeat=math.prod(shape))
    return np.array(list(values)).reshape(-1, *shape)


def some_seed(rng: Any) -> int:
    """For what takes a seed, and not a generator."""
    return int(rng.integers(0, 2**30, (1,)).item())


def matrix_of(function: Callable[[Any], Any], x: Any) -> Any:
    """∂y/∂x (D, D) at one point x (D,), by the engine, of y = function(x) for points (N, D)."""
    return constant(jacobian(lambda v: function(v[None])[0])(x))


def log_det_jacobian(function: Callable[[Any], Any], x: Any) -> tuple[Any, float]:
    """ln |det ∂y/∂x| (N,) of y = function(x), x (N, …), each example by itself; and its condition.

    The matrices are those that the engine computes.
    """
    shape, size = x.shape[1:], math.prod(x.shape[1:])
    found, conditions = [], []
    for i in range(len(x)):
        flat = jacobian(lambda v: function(v.reshape(1, *shape)).reshape(-1))
        matrix = constant(flat(x[i].reshape(size)))
        found.append(np.linalg.slogdet(matrix)[1])
        singular = np.linalg.svd(matrix, compute_uv=False)
        conditions.append(singular[0] / singular[-1])
    return np.stack(found), max(float(c.item()) for c in conditions)
