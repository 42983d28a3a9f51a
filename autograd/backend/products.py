"""Products of matrices, shared between the cores, and of many rows split as OpenBLAS does best.

For a large product OpenBLAS copies both matrices into an order of its own. For one of at most a
million multiplications it does not (on x86 with AVX-512), and so many small ones take less time
than a large one: for 64 to 64 channels, in float32 on one core, 107 to 113 GFLOP/s in place of 73
to 93. And the threads of BLAS wait for more work in a busy loop, which takes a core away from
whatever else is shared between cores (:mod:`autograd.backend.threads`); here there are none.
"""

from __future__ import annotations

import math

from autograd import backend
from autograd.backend import Array, xp
from autograd.backend.threads import WORTH_SHARING, OneBlasThread, in_parts

SMALL = 10**6  # multiplications
TINY = 2**13  # multiplications, for which OpenBLAS takes no second thread
MANY = 4  # times as many rows as columns
LIGHT = 8  # multiplications that take as long as other work on one number


def product(x: Array, y: Array) -> Array:
    """x @ y for matrices whose shapes fit."""
    (m, k), n = x.shape, y.shape[1]
    work = m * k * n // LIGHT
    if backend.current() != "numpy" or work < WORTH_SHARING:
        return matmul_on_one_core(x, y)
    if k >= MANY * max(m, n):
        x = x.T
        return sum(in_parts(lambda i, j: multiply_transposed(x[i:j], y[i:j]), k, work))
    out = xp.empty((m, n), xp.result_type(x, y))
    if m >= MANY * max(k, n):
        y = xp.ascontiguousarray(y)
        in_parts(lambda start, stop: multiply(x[start:stop], y, out[start:stop]), m, work)
    elif m >= n:
        in_parts(lambda i, j: xp.matmul(x[i:j], y, out=out[i:j]), m, work)
    else:
        in_parts(lambda i, j: xp.matmul(x, y[:, i:j], out=out[:, i:j]), n, work)
    return out


def matmul_on_one_core(x: Array, y: Array) -> Array:
    """x @ y, of matrices or vectors, without the threads of BLAS (on a GPU as ever)."""
    if x.size * (y.shape[-1] if y.ndim > 1 else 1) < TINY:
        return xp.matmul(x, y)
    with OneBlasThread():
        return xp.matmul(x, y)


def multiply(x: Array, w: Array, out: Array) -> None:
    """x @ w for x (..., C) and w (C, C'), written to ``out`` (..., C'); w in order in memory."""
    if x.flags.c_contiguous and out.flags.c_contiguous:
        x, out = as_rows(x), as_rows(out)
    for part, target in zip(_parts(x, w.size, 16), _parts(out, w.size, 16), strict=True):
        xp.matmul(part, w, out=target)


def multiply_transposed(x: Array, y: Array) -> Array:
    """xᵀ @ y for x (..., C) and y (..., C'), over all their rows: (C, C')."""
    x, y = as_rows(x), as_rows(y)
    size, total = x.shape[1] * y.shape[1], 0
    for a, b in zip(_parts(x, size, 64), _parts(y, size, 64), strict=True):
        product = a.swapaxes(-1, -2) @ b
        total += product if product.ndim == 2 else product.sum(0)
    return total


def as_rows(x: Array) -> Array:
    """(..., C) -> (rows, C)."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def _parts(x: Array, size: int, at_least: int) -> list[Array]:
    """(..., many, C) as (..., parts, rows, C) and the rows left over: views for small products.

    ``size``: how many multiplications a row takes. In one part, if parts would have less than
    ``at_least`` rows: the small matrix, read or written for each, would take longer than they do.
    """
    many, channels = x.shape[-2:]
    rows = SMALL // max(1, size)
    if many <= rows or rows < at_least or backend.current() == "cupy":
        return [x]
    whole = many - many % rows
    parts = x[..., :whole, :].reshape(*x.shape[:-2], whole // rows, rows, channels)
    return [parts, x[..., whole:, :]]
