"""Matrices as products: Cholesky, eigenvalues, singular values, and the norms that these give.

:func:`cholesky` and :func:`eigh` read one triangle of a symmetric matrix, and the gradient is with
respect to what they read: zero in the other triangle, where other libraries give each of A_ij and
A_ji one half. Both are the same to a matrix that is symmetric by its making, such as X Xᵀ.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy

from autograd.backend import Array, xp
from autograd.core import defvjp
from autograd.numpy.elementwise import where
from autograd.numpy.linalg.systems import (
    NOT_SQUARE,
    matrix_transpose,
    solve_triangular,
    stack_shape,
)
from autograd.numpy.passthrough import value_of
from autograd.numpy.shapes import expand_dims, moveaxis
from autograd.table import Call, Draw, call, composite, operation


class EighResult(NamedTuple):
    eigenvalues: Array  # (..., n), ascending
    eigenvectors: Array  # (..., n, n), in the columns


class SVDResult(NamedTuple):
    U: Array  # (..., m, k)
    S: Array  # (..., k), descending
    Vh: Array  # (..., k, n)


def _spread(d: Draw, m: int, n: int) -> Array:
    """Positive definite, if symmetric, with eigenvalues (or singular values) well apart."""
    levels = 2.0 * (1.0 + numpy.arange(n))
    return numpy.eye(m, n) * levels + d.array((*stack_shape(d), m, n), -0.3, 0.3)


def _wide_or_tall(d: Draw) -> Array:
    return _spread(d, d.integer(1, 3), d.integer(1, 3))


# ------------------------------------------------------------ of symmetric matrices: triangles


def _lower(x: Any) -> Any:
    """Φ: the lower triangle, with half of the diagonal."""
    n = x.shape[-1]
    return x * (xp.tri(n, dtype=x.dtype) - 0.5 * xp.eye(n, dtype=x.dtype))


def _read_from(triangle: str, s: Any) -> Any:
    """A gradient S with respect to all of a symmetric matrix as one to the triangle that is read.

    An element of the triangle stands for two, so its gradient is S_ij + S_ji.
    """
    read = _lower(s + matrix_transpose(s))
    return read if triangle == "L" else matrix_transpose(read)


def _positive_samples(d: Draw) -> Call:
    n = d.integer(1, 3)
    return call(_spread(d, n, n), upper=d.boolean())


@operation(r"X = Y Y^\top", _positive_samples, [NOT_SQUARE])
def cholesky(a, upper=False):
    """The lower triangular L with A = L Lᵀ, of positive definite A; or Lᵀ, if ``upper``.

    Only the lower (or upper) triangle of ``a`` is read, and only there its gradient is not zero.
    Raises LinAlgError if A is not positive definite (on a GPU, L is NaN).
    """
    if upper:
        return xp.swapaxes(xp.linalg.cholesky(xp.swapaxes(a, -1, -2)), -1, -2)
    return xp.linalg.cholesky(a)


def _cholesky_rule(y, a, upper=False):
    def vjp(g):
        """Ā = L⁻ᵀ Φ(Lᵀ L̄) L⁻¹, symmetrised (Murray 2016, arXiv:1602.07527, eq. 10)"""
        lower, g = (matrix_transpose(y), matrix_transpose(g)) if upper else (y, g)
        p = _lower(matrix_transpose(lower) @ g)
        left = solve_triangular(lower, p, 1, True)  # L⁻ᵀ P
        s = solve_triangular(lower, matrix_transpose(left), 1, True)  # (L⁻ᵀ P L⁻¹)ᵀ
        return _read_from("U" if upper else "L", s)

    return vjp


defvjp(cholesky, _cholesky_rule, None)


def _reciprocal(x: Any, used: Any) -> Any:
    """1 / x. At x = 0: NaN where ``used``, to say that there is no value; 0 elsewhere."""
    zero = value_of(x) == 0
    return where(zero & used, math.nan, where(zero, 0.0, 1.0 / where(zero, 1.0, x)))


def _used(v_bar: Any) -> Any:
    """Which of the vectors in the columns a gradient arrives at: (..., k)."""
    return xp.any(value_of(v_bar) != 0, axis=-2)


def _inverse_gaps(x: Any, used: Any) -> Any:
    """F_ij = 1 / (x_j − x_i), with F_ii = 0; ``used`` says which vectors' gradients it is for."""
    pairs = (used[..., None, :] | used[..., :, None]) & ~xp.eye(x.shape[-1], dtype=bool)
    return _reciprocal(x[..., None, :] - x[..., :, None], pairs)


def _eigh_samples(d: Draw) -> Call:
    n = d.integer(1, 3)
    return call(_spread(d, n, n), d.choice(["L", "U"]))


@operation(r"X = V \operatorname{diag}(w) V^\top", _eigh_samples, [NOT_SQUARE])
def eigh(a, UPLO="L"):  # noqa: N803 (NumPy's name)
    """Eigenvalues w and eigenvectors V of symmetric matrices: A = V diag(w) Vᵀ.

    Only the triangle ``UPLO`` of ``a`` is read, and only there its gradient is not zero. Where
    eigenvalues are equal, their eigenvectors have no derivative: a gradient through those
    eigenvectors is NaN, while functions of the eigenvalues alone keep theirs. The signs of the
    eigenvectors are arbitrary: only what does not depend on them has a meaning.
    """
    return EighResult(*xp.linalg.eigh(a, UPLO))


def _eigh_rule(y, a, UPLO="L"):  # noqa: N803
    w, v = y

    def vjp(gs):
        """Ā = V (diag(w̄) + F ∘ ½(M − Mᵀ)) Vᵀ with M = Vᵀ V̄, F_ij = 1 / (w_j − w_i)"""
        w_bar, v_bar = gs
        m = matrix_transpose(v) @ v_bar
        turned = 0.5 * _inverse_gaps(w, _used(v_bar)) * (m - matrix_transpose(m))
        inner = xp.eye(w.shape[-1], dtype=w.dtype) * w_bar[..., None, :] + turned
        return _read_from(UPLO.upper(), v @ inner @ matrix_transpose(v))

    return vjp


defvjp(eigh, _eigh_rule, None)


@composite(r"X = V \operatorname{diag}(y) V^\top", _eigh_samples, [NOT_SQUARE])
def eigvalsh(a, UPLO="L"):  # noqa: N803
    """The eigenvalues of symmetric matrices, ascending: see :func:`eigh`."""
    return eigh(a, UPLO).eigenvalues


def _svd_samples(d: Draw) -> Call:
    return call(_wide_or_tall(d), full_matrices=False, compute_uv=d.boolean())


@operation(r"X = U \operatorname{diag}(s) V^\top", _svd_samples, [call(numpy.ones(3))])
def svd(a, full_matrices=True, compute_uv=True):
    """Singular values s and vectors of A = U diag(s) Vᵀ; s alone if not ``compute_uv``.

    With ``full_matrices``, which has a gradient for square matrices only, U and V are square. Where
    singular values are equal (or zero, if A is not square) a gradient through their vectors is NaN,
    while functions of the values alone keep theirs. The signs of the vectors are arbitrary.
    """
    found = xp.linalg.svd(a, full_matrices, compute_uv)
    return SVDResult(*found) if compute_uv else found


def _svd_rule(y, a, full_matrices=True, compute_uv=True):
    if not compute_uv:
        return lambda g: _values_gradient(g, a)
    m, n = a.shape[-2:]
    if full_matrices and m != n:
        raise ValueError(
            f"svd: with full_matrices=True the last vectors of a matrix {(m, n)} are arbitrary and "
            "have no gradient; use full_matrices=False"
        )
    return lambda gs: _svd_gradient(gs, *y)


def _values_gradient(s_bar: Any, a: Any) -> Any:
    """Ā = U diag(s̄) Vᵀ"""
    u, _, vh = svd(a, full_matrices=False)
    return (u * s_bar[..., None, :]) @ vh


def _svd_gradient(gs: Any, u: Any, s: Any, vh: Any) -> Any:
    """Ā = U (F∘(M − Mᵀ) S + S F∘(N − Nᵀ) + diag(s̄)) Vᵀ + (I − U Uᵀ) Ū S⁻¹ Vᵀ + U S⁻¹ V̄ᵀ (I − V Vᵀ)

    with M = Uᵀ Ū, N = Vᵀ V̄, F_ij = 1 / (s_j² − s_i²) (Townsend 2016, "Differentiating the singular
    value decomposition"). The last two terms are what moves U and V out of the space they span.
    """
    u_bar, s_bar, vh_bar = gs
    v_bar = matrix_transpose(vh_bar)
    m, n = matrix_transpose(u) @ u_bar, vh @ v_bar
    f = _inverse_gaps(s * s, _used(u_bar) | _used(v_bar))
    rows, columns = s[..., :, None], s[..., None, :]
    inner = f * (m - matrix_transpose(m)) * columns + rows * f * (n - matrix_transpose(n))
    inner = inner + xp.eye(s.shape[-1], dtype=s.dtype) * s_bar[..., None, :]
    a_bar = u @ inner @ vh
    if u.shape[-2] > u.shape[-1]:
        outside = u_bar - u @ m
        a_bar = a_bar + (outside * _reciprocal(s, _used(u_bar))[..., None, :]) @ vh
    if vh.shape[-1] > vh.shape[-2]:
        outside = vh_bar - matrix_transpose(n) @ vh
        a_bar = a_bar + (u * _reciprocal(s, _used(v_bar))[..., None, :]) @ outside
    return a_bar


defvjp(svd, _svd_rule, None, None)


@operation(r"Y = X^+", lambda d: call(_wide_or_tall(d)), [call(numpy.ones(3))])
def pinv(a, rcond=1e-15):
    """Pseudo-inverses; singular values below ``rcond`` times the largest count as zero.

    The gradient (Golub & Pereyra 1973) holds where the rank does not change.
    """
    return xp.linalg.pinv(a, rcond)


def _pinv_rule(y, a, rcond=1e-15):
    def vjp(g):
        """Ā = −Yᵀ Ȳ Yᵀ + (I − A Y) Ȳᵀ Y Yᵀ + Yᵀ Y Ȳᵀ (I − Y A)"""
        yt, gt = matrix_transpose(y), matrix_transpose(g)
        left, right = gt @ y, y @ gt
        return (left - a @ (y @ left)) @ yt + yt @ (right - (right @ y) @ a) - yt @ g @ yt

    return vjp


defvjp(pinv, _pinv_rule, None)


# ------------------------------------------------------------------------------------- norms


@composite(
    r"y = \sum_i s_i \text{ or } \max_i s_i",
    lambda d: call(_wide_or_tall(d), d.choice(["nuc", 2, -2]), (-2, -1), d.boolean()),
    [call(numpy.ones(3), "nuc", (0, 1))],
)
def singular_value_norm(x, ord, axis, keepdims=False):
    """The sum ("nuc"), the largest (2) or the smallest (−2) of the singular values."""
    s = svd(moveaxis(x, axis, (-2, -1)), compute_uv=False)
    y = s.sum(axis=-1) if ord == "nuc" else s[..., 0 if ord == 2 else -1]
    return expand_dims(y, tuple(i % x.ndim for i in axis)) if keepdims else y
