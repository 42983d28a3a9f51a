"""Linear algebra: ``numpy.linalg``, differentiable, of one matrix or of stacks (..., n, n).

The rules are those of Giles (2008), "Collected matrix derivative results for forward and reverse
mode algorithmic differentiation", except where a source is named. X̄ stands for ∂L/∂X.

:func:`cholesky` and :func:`eigh` read one triangle of a symmetric matrix, and the gradient is with
respect to what they read: zero in the other triangle, where other libraries give each of A_ij and
A_ji one half. Both are the same to a matrix that is symmetric by its making, such as X Xᵀ.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy

from autograd import backend
from autograd.backend import Array, xp
from autograd.core import defvjp, defvjp_argnums
from autograd.numpy import reductions
from autograd.numpy.elementwise import where
from autograd.numpy.passthrough import module_getattr, value_of
from autograd.numpy.shapes import expand_dims, moveaxis, swapaxes, tril, triu
from autograd.table import Call, Draw, call, composite, operation

__getattr__ = module_getattr(lambda: xp.linalg, ["matrix_rank"])

_NOT_SQUARE = call(numpy.ones((2, 3)))


class SlogdetResult(NamedTuple):
    sign: Array  # (...)
    logabsdet: Array  # (...)


class EighResult(NamedTuple):
    eigenvalues: Array  # (..., n), ascending
    eigenvectors: Array  # (..., n, n), in the columns


class SVDResult(NamedTuple):
    U: Array  # (..., m, k)
    S: Array  # (..., k), descending
    Vh: Array  # (..., k, n)


def _transposed(a: Any) -> Any:
    return swapaxes(a, -1, -2)


def _per_matrix(x: Any) -> Any:
    """One number for each matrix, (...), as (..., 1, 1)."""
    return expand_dims(x, (-2, -1))


# ---------------------------------------------------------------------------------- samples


def _batch(d: Draw) -> tuple[int, ...]:
    return d.shape(max_ndim=2, max_side=2)


def _regular(d: Draw, batch: tuple[int, ...], n: int) -> Array:
    """Matrices far from singular: those with a dominant diagonal."""
    return d.array((*batch, n, n), -1.0, 1.0) + (n + 1) * numpy.eye(n)


def _square_samples(d: Draw) -> Call:
    return call(_regular(d, _batch(d), d.integer(1, 3)))


def _spread(d: Draw, m: int, n: int) -> Array:
    """Positive definite, if symmetric, with eigenvalues (or singular values) well apart."""
    levels = 2.0 * (1.0 + numpy.arange(n))
    return numpy.eye(m, n) * levels + d.array((*_batch(d), m, n), -0.3, 0.3)


def _system_samples(d: Draw) -> Call:
    batch, n, columns = _batch(d), d.integer(1, 3), d.integer(0, 2)
    a = _regular(d, d.choice([batch, ()]), n)
    return call(a, d.array(d.choice([(n,), (n, columns), (*batch, n, columns)])))


# ----------------------------------------------------------------------- inverses and systems


@operation(r"Y = X^{-1}", _square_samples, [_NOT_SQUARE], analytic=True)
def inv(a):
    """A⁻¹. To solve a system, :func:`solve` is faster and more exact."""
    return xp.linalg.inv(a)


defvjp(inv, lambda y, a: lambda g: -_transposed(y) @ g @ _transposed(y))


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
    batch = numpy.broadcast_shapes(a.shape[:-2], b.shape[:-2])  # which CuPy's solve does not do
    a = xp.broadcast_to(a, (*batch, *a.shape[-2:]))
    return xp.linalg.solve(a, xp.broadcast_to(b, (*batch, *b.shape[-2:])))


def _solve_rule(argnums, x, args, kwargs):
    a, b = args
    is_vector = b.ndim == 1

    def vjp(g):
        """B̄ = A⁻ᵀ X̄, Ā = −B̄ Xᵀ"""
        g, y = (g[..., None], x[..., None]) if is_vector else (g, x)
        b_bar = solve(_transposed(a), g)
        return [
            -b_bar @ _transposed(y) if i == 0 else b_bar[..., 0] if is_vector else b_bar
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
            return triangle(-left @ _transposed(right))

        return [a_bar() if i == 0 else b_bar[..., 0] if is_vector else b_bar for i in argnums]

    return vjp


defvjp_argnums(solve_triangular, _solve_triangular_rule)


def _wide_or_tall(d: Draw) -> Array:
    return _spread(d, d.integer(1, 3), d.integer(1, 3))


@operation(r"Y = X^+", lambda d: call(_wide_or_tall(d)), [call(numpy.ones(3))])
def pinv(a, rcond=1e-15):
    """Pseudo-inverses; singular values below ``rcond`` times the largest count as zero.

    The gradient (Golub & Pereyra 1973) holds where the rank does not change.
    """
    return xp.linalg.pinv(a, rcond)


def _pinv_rule(y, a, rcond=1e-15):
    def vjp(g):
        """Ā = −Yᵀ Ȳ Yᵀ + (I − A Y) Ȳᵀ Y Yᵀ + Yᵀ Y Ȳᵀ (I − Y A)"""
        yt, gt = _transposed(y), _transposed(g)
        left, right = gt @ y, y @ gt
        return (left - a @ (y @ left)) @ yt + yt @ (right - (right @ y) @ a) - yt @ g @ yt

    return vjp


defvjp(pinv, _pinv_rule, None)


def _power_samples(d: Draw) -> Call:
    return call(_regular(d, _batch(d), d.integer(1, 3)), d.integer(-2, 5))


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


@operation(r"y = |X|", _square_samples, [_NOT_SQUARE], analytic=True)
def det(a):
    """Determinants. The gradient |A| A⁻ᵀ is found by the inverse, so a singular A has none here.

    For more than a few rows use :func:`slogdet`, which neither overflows nor underflows.
    """
    return xp.linalg.det(a)


defvjp(det, lambda y, a: lambda g: _per_matrix(g * y) * _transposed(inv(a)))


@operation(
    r"y = (\operatorname{sign} |X|, \log \operatorname{abs} |X|)", _square_samples, [_NOT_SQUARE]
)
def slogdet(a):
    """Sign and logarithm of the absolute value of determinants. The sign counts as a constant."""
    return SlogdetResult(*xp.linalg.slogdet(a))


defvjp(slogdet, lambda _, a: lambda g: _per_matrix(g[1]) * _transposed(inv(a)))

# ---------------------------------------------------------------------------- decompositions


def _lower(x: Any) -> Any:
    """Φ: the lower triangle, with half of the diagonal."""
    n = x.shape[-1]
    return x * (xp.tri(n, dtype=x.dtype) - 0.5 * xp.eye(n, dtype=x.dtype))


def _read_from(triangle: str, s: Any) -> Any:
    """A gradient S with respect to all of a symmetric matrix as one to the triangle that is read.

    An element of the triangle stands for two, so its gradient is S_ij + S_ji.
    """
    read = _lower(s + _transposed(s))
    return read if triangle == "L" else _transposed(read)


def _positive_samples(d: Draw) -> Call:
    n = d.integer(1, 3)
    return call(_spread(d, n, n), upper=d.boolean())


@operation(r"X = Y Y^\top", _positive_samples, [_NOT_SQUARE])
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
        lower, g = (_transposed(y), _transposed(g)) if upper else (y, g)
        p = _lower(_transposed(lower) @ g)
        left = solve_triangular(lower, p, 1, True)  # L⁻ᵀ P
        s = solve_triangular(lower, _transposed(left), 1, True)  # (L⁻ᵀ P L⁻¹)ᵀ
        return _read_from("U" if upper else "L", s)

    return vjp


defvjp(cholesky, _cholesky_rule, None)


def _reciprocal(x: Any, used: Any) -> Any:
    """1 / x. At x = 0: NaN where ``used``, to say that there is no value; 0 elsewhere."""
    zero = value_of(x) == 0
    return where(zero & used, math.nan, where(zero, 0.0, 1.0 / where(zero, 1.0, x)))


def _inverse_gaps(x: Any, *bars: Any) -> Any:
    """F_ij = 1 / (x_j − x_i), with F_ii = 0, for gradients ``bars`` of the vectors (in columns)."""
    used: Any = False
    for bar in bars:
        used = used | xp.any(value_of(bar) != 0, axis=-2)  # (..., k): which vectors matter
    pairs = (used[..., None, :] | used[..., :, None]) & ~xp.eye(x.shape[-1], dtype=bool)
    return _reciprocal(x[..., None, :] - x[..., :, None], pairs)


def _eigh_samples(d: Draw) -> Call:
    n = d.integer(1, 3)
    return call(_spread(d, n, n), d.choice(["L", "U"]))


@operation(r"X = V \operatorname{diag}(w) V^\top", _eigh_samples, [_NOT_SQUARE])
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
        m = _transposed(v) @ v_bar
        turned = 0.5 * _inverse_gaps(w, v_bar) * (m - _transposed(m))
        inner = xp.eye(w.shape[-1], dtype=w.dtype) * w_bar[..., None, :] + turned
        return _read_from(UPLO.upper(), v @ inner @ _transposed(v))

    return vjp


defvjp(eigh, _eigh_rule, None)


@composite(r"X = V \operatorname{diag}(y) V^\top", _eigh_samples, [_NOT_SQUARE])
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
    v_bar = _transposed(vh_bar)
    m, n = _transposed(u) @ u_bar, vh @ v_bar
    f = _inverse_gaps(s * s, u_bar, v_bar)
    rows, columns = s[..., :, None], s[..., None, :]
    inner = f * (m - _transposed(m)) * columns + rows * f * (n - _transposed(n))
    inner = inner + xp.eye(s.shape[-1], dtype=s.dtype) * s_bar[..., None, :]
    a_bar = u @ inner @ vh
    if u.shape[-2] > u.shape[-1]:
        used = xp.any(value_of(u_bar) != 0, axis=-2)
        a_bar = a_bar + ((u_bar - u @ m) * _reciprocal(s, used)[..., None, :]) @ vh
    if vh.shape[-1] > vh.shape[-2]:
        used = xp.any(value_of(v_bar) != 0, axis=-2)
        a_bar = a_bar + (u * _reciprocal(s, used)[..., None, :]) @ (vh_bar - _transposed(n) @ vh)
    return a_bar


defvjp(svd, _svd_rule, None, None)

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


def norm(x, ord=None, axis=None, keepdims=False):
    """:func:`reductions.norm`, and the norms of matrices that :func:`singular_value_norm` gives."""
    axes = (0, 1) if axis is None and x.ndim == 2 else axis
    if ord in ("nuc", 2, -2) and isinstance(axes, tuple | list) and len(axes) == 2:
        return singular_value_norm(x, ord, axes, keepdims)
    return reductions.norm(x, ord, axis, keepdims)
