"""Systems of linear equations, inverses and determinants, of one matrix or of stacks (..., n, n).

The rules are those of Giles (2008), "Collected matrix derivative results for forward and reverse
mode algorithmic differentiation", except where a source is named. X̄ stands for ∂L/∂X.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy

from autograd import backend
from autograd.backend import Array, xp
from autograd.core import defvjp, defvjp_argnums
from autograd.numpy.shapes import expand_dims, swapaxes, tril, triu
from autograd.table import Call, Draw, call, composite, operation

NOT_SQUARE = call(numpy.ones((2, 3)))


class SlogdetResult(NamedTuple):
    sign: Array  # (...)
    logabsdet: Array  # (...)


def matrix_transpose(x: Any) -> Any:
    """The transposes of matrices (..., m, n)."""
    return swapaxes(x, -1, -2)


def _per_matrix(x: Any) -> Any:
    """One number for each matrix, (...), as (..., 1, 1)."""
    return expand_dims(x, (-2, -1))


# ---------------------------------------------------------------------------------- samples


def stack_shape(d: Draw) -> tuple[int, ...]:
    return d.shape(max_ndim=2, max_side=2)


def _regular(d: Draw, stack: tuple[int, ...], n: int) -> Array:
    """Matrices far from singular: those with a dominant diagonal."""
    return d.array((*stack, n, n), -1.0, 1.0) + (n + 1) * numpy.eye(n)


def _square_samples(d: Draw) -> Call:
    return call(_regular(d, stack_shape(d), d.integer(1, 3)))


def _system_samples(d: Draw) -> Call:
    stack, n, columns = stack_shape(d), d.integer(1, 3), d.integer(0, 2)
    a = _regular(d, d.choice([stack, ()]), n)
    return call(a, d.array(d.choice([(n,), (n, columns), (*stack, n, columns)])))


# ----------------------------------------------------------------------- inverses and systems


@operation(r"Y = X^{-1}", _square_samples, [NOT_SQUARE], analytic=True)
def inv(a):
    """A⁻¹. To solve a system, :func:`solve` is faster and more exact."""
    return xp.linalg.inv(a)


defvjp(inv, lambda y, a: lambda g: -matrix_transpose(y) @ g @ matrix_transpose(y))


@operation(
    r"Y = X_1^{-1} X_2",
    _system_samples,
    [call(numpy.ones((2, 3)), numpy.ones(2)), call(numpy.eye(3), numpy.ones((2, 1)))],
    analytic=True,
)
def solve(a, b):
    """The solution x of a x = b: b is one vector (n,), or matrices (..., n, k)."""
    _check_system(a, b)
    return _solved(a, b)


def _check_system(a: Any, b: Any) -> None:
    if a.ndim < 2 or a.shape[-1] != a.shape[-2]:
        raise ValueError(f"expected square matrices (..., n, n) on the left, got {a.shape}")
    n = a.shape[-1]
    if b.ndim == 0 or b.shape[-min(b.ndim, 2)] != n:
        raise ValueError(f"{n} equations take right sides ({n},) or (..., {n}, k), not {b.shape}")


def _solved(a: Array, b: Array) -> Array:
    if b.ndim == 1:
        return _solved(a, b[:, None])[..., 0]
    stack = numpy.broadcast_shapes(a.shape[:-2], b.shape[:-2])  # which CuPy's solve does not do
    a = xp.broadcast_to(a, (*stack, *a.shape[-2:]))
    return xp.linalg.solve(a, xp.broadcast_to(b, (*stack, *b.shape[-2:])))


def _solve_rule(argnums, x, args, kwargs):
    a, b = args
    is_vector = b.ndim == 1

    def vjp(g):
        """B̄ = A⁻ᵀ X̄, Ā = −B̄ Xᵀ"""
        g, y = (g[..., None], x[..., None]) if is_vector else (g, x)
        b_bar = solve(matrix_transpose(a), g)
        return [
            -b_bar @ matrix_transpose(y) if i == 0 else b_bar[..., 0] if is_vector else b_bar
            for i in argnums
        ]

    return vjp


defvjp_argnums(solve, _solve_rule)


def _triangular_samples(d: Draw) -> Call:
    (a, b), _ = _system_samples(d)
    return call(a, b, trans=d.choice([0, 1, 2, "N", "T", "C"]), lower=d.boolean())


@operation(
    r"Y = X_1^{-1} X_2, \quad X_1 \text{ triangular}",
    _triangular_samples,
    [
        call(numpy.ones((2, 3)), numpy.ones(2)),
        call(numpy.eye(3), numpy.ones(2)),
        call(numpy.eye(3), numpy.ones(3), trans="H"),
    ],
)
def solve_triangular(a, b, trans=0, lower=False):
    """The solution x of T x = b, where T is the upper (or lower) triangle of ``a``.

    ``trans``: 0 or "N" for T x = b; 1, 2, "T" or "C" for Tᵀ x = b. The shapes are those of
    :func:`solve`. The other triangle of ``a`` is not read, and its gradient is zero.
    """
    _check_system(a, b)
    is_transposed = _is_transposed(trans)
    if a.ndim == 2 and b.ndim <= 2:
        return backend.linalg().solve_triangular(
            a, b, trans=int(is_transposed), lower=lower, check_finite=False
        )
    triangle = xp.tril(a) if lower else xp.triu(a)  # SciPy < 1.16 takes no stacks of matrices
    return _solved(xp.swapaxes(triangle, -1, -2) if is_transposed else triangle, b)


def _is_transposed(trans: Any) -> bool:
    if trans not in (0, 1, 2, "N", "T", "C"):
        raise ValueError(f"trans is 0 ('N'), 1 ('T') or 2 ('C'), not {trans!r}")
    return trans not in (0, "N")


def _solve_triangular_rule(argnums, x, args, kwargs):
    return _triangular_rule(argnums, x, *args, **kwargs)


def _triangular_rule(argnums, x, a, b, trans=0, lower=False):
    is_vector = b.ndim == 1
    is_transposed = _is_transposed(trans)
    triangle = tril if lower else triu

    def vjp(g):
        """B̄ = T⁻ᵀ X̄, T̄ = −B̄ Xᵀ, of which Ā is the triangle that was read."""
        g, y = (g[..., None], x[..., None]) if is_vector else (g, x)
        b_bar = solve_triangular(a, g, 0 if is_transposed else 1, lower)

        def a_bar():
            left, right = (y, b_bar) if is_transposed else (b_bar, y)
            return triangle(-left @ matrix_transpose(right))

        return [a_bar() if i == 0 else b_bar[..., 0] if is_vector else b_bar for i in argnums]

    return vjp


defvjp_argnums(solve_triangular, _solve_triangular_rule)


def _power_samples(d: Draw) -> Call:
    return call(_regular(d, stack_shape(d), d.integer(1, 3)), d.integer(-2, 5))


@composite(r"Y = X^n", _power_samples, [call(numpy.ones((2, 3)), 2)], analytic=True)
def matrix_power(a, n):
    """Aⁿ for an integer n, by repeated squaring; of the inverse, if n is negative."""
    if n < 0:
        a, n = inv(a), -n
    if n == 0:
        return 0.0 * a + xp.eye(a.shape[-1], dtype=a.dtype)
    power = None
    while n:
        if n % 2:
            power = a if power is None else power @ a
        n //= 2
        a = a @ a if n else a
    return power


# ------------------------------------------------------------------------------ determinants


@operation(r"y = |X|", _square_samples, [NOT_SQUARE], analytic=True)
def det(a):
    """Determinants. The gradient |A| A⁻ᵀ is found by the inverse, so a singular A has none here.

    For more than a few rows use :func:`slogdet`, which neither overflows nor underflows.
    """
    return xp.linalg.det(a)


defvjp(det, lambda y, a: lambda g: _per_matrix(g * y) * matrix_transpose(inv(a)))


@operation(
    r"y = (\operatorname{sign} |X|, \log \operatorname{abs} |X|)", _square_samples, [NOT_SQUARE]
)
def slogdet(a):
    """Sign and logarithm of the absolute value of determinants. The sign counts as a constant."""
    return SlogdetResult(*xp.linalg.slogdet(a))


defvjp(slogdet, lambda _, a: lambda g: _per_matrix(g[1]) * matrix_transpose(inv(a)))
