"""Fixed points, differentiable without the iterations that found them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autograd import functional, structures
from autograd.backend import to_numpy, xp
from autograd.core import defvjp_argnums, primitive
from autograd.numpy.passthrough import value_of


def fixed_point(f: Callable, a: Any, x0: Any, distance: Callable, tol: float) -> Any:
    """The x with x = f(a)(x), by iteration from ``x0`` until ``distance(x, before)`` ≤ ``tol``.

    ``a``: an array, or a structure of arrays. ``f(a)`` must be a contraction near x, or neither
    this iteration ends nor that of the gradient. With ū = x̄ + (∂f/∂x)ᵀ ū, a fixed point too,
    the gradient is ā = (∂f/∂a)ᵀ ū, by the implicit function theorem (Christianson 1994, "Reverse
    accumulation and attractive fixed points"). What f depends on besides ``a`` counts as constant.
    """
    leaves, rebuild = structures.flatten(a)
    return _iterate(lambda leaves: f(rebuild(leaves)), value_of(x0), distance, tol, *leaves)


@primitive
def _iterate(f, x0, distance, tol, *leaves):
    step = f(list(leaves))
    x, before = step(x0), x0
    while to_numpy(distance(x, before) > tol):
        x, before = step(x), x
    return xp.asarray(x)


def _implicit_rule(argnums, x, args, kwargs):
    f, _, distance, tol, *leaves = args
    tracked = [i - 4 for i in argnums]

    def adjoint(given):
        *leaves, x, x_bar = given
        pull_back, _ = functional.make_vjp(f(leaves))(x)
        return lambda u: x_bar + pull_back(u)

    def vjp(g):
        u = _iterate(adjoint, xp.zeros_like(value_of(g)), distance, tol, *leaves, x, g)

        def of_tracked(values):
            given = list(leaves)
            for i, value in zip(tracked, values, strict=True):
                given[i] = value
            return f(given)(x)

        pull_back, _ = functional.make_vjp(of_tracked)([leaves[i] for i in tracked])
        return pull_back(u)

    return vjp


defvjp_argnums(_iterate, _implicit_rule)
