"""Products of matrices, shared between the cores, and of many rows split as OpenBLAS does best.

For a large product OpenBLAS copies both matrices into an order of its own. For one of at most a
million multiplications it does not (on x86 with AVX-512), and so many small ones take less time
than a large one: for 64 to 64 channels, in float32 on one core, 107 to 113 GFLOP/s in place of 73
to 93. And the threads of BLAS wait for more work in a busy loop, which takes a core away from
whatever else is shared between cores (:mod:`autograd.backend.threads`); here there are none.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from autograd import backend
from autograd.backend import Array, xp
from autograd.backend.threads import WORTH_SHARING, OneBlasThread, in_parts

SMALL = 10**6  # multiplications
TINY = 2**13  # multiplications, for which OpenBLAS takes no second thread
MANY = 4  # times as many rows as columns
LIGHT = 8  # multiplications that take as long as other work on one number
FINISHING = 16  # multiplications that take as long as all that is done to a number of the result
LONG = 256  # numbers a sum, from which tiles are faster
TILE_ROWS = 32
TILE_COLUMNS = 32, 16  # the best first


Finish = Callable[[Array, slice], object]
"""What is done to each core's part of a product: (part, which columns it has)."""


def _nothing(part: Array, columns: slice) -> None:
    pass


def product(x: Array, y: Array, finish: Finish = _nothing, out: Array | None = None) -> Array:
    """x @ y for matrices whose shapes fit, to ``out``; each part of it was given to ``finish``."""
    (m, k), n = x.shape, y.shape[1]
    if out is None:
        out = xp.empty((m, n), xp.result_type(x, y))
    work = m * n * (k + FINISHING) // LIGHT
    if k == 1:  # nothing to sum: BLAS takes 0.65 ms for (64, 1) by (1, 6272), this 0.1
        xp.multiply(x, y, out=out)
    elif backend.current() != "numpy" or work < WORTH_SHARING:
        matmul_on_one_core(x, y, out)
    elif k >= MANY * max(m, n):
        x = x.T
        parts = in_parts(lambda i, j: multiply_transposed(x[i:j], y[i:j]), k, work)
        xp.copyto(out, sum(parts))
    else:
        _shared_product(x, y, out, work, finish)
        return out
    finish(out, slice(n))
    return out


def _shared_product(x: Array, y: Array, out: Array, work: int, finish: Finish) -> None:
    """x @ y to ``out``, of which each core has some rows or columns, and finishes them."""
    (m, k), n = x.shape, y.shape[1]
    many = m >= MANY * max(k, n)
    if many:
        y = xp.ascontiguousarray(y)

    def some_rows(start: int, stop: int) -> None:
        (multiply if many else _matmul)(x[start:stop], y, out[start:stop])
        finish(out[start:stop], slice(n))

    def some_columns(start: int, stop: int) -> None:
        columns = slice(start, stop)
        _matmul(x, y[:, columns], out[:, columns])
        finish(out[:, columns], columns)

    if m >= n:
        in_parts(some_rows, m, work)
    else:
        in_parts(some_columns, n, work)


def _matmul(x: Array, y: Array, out: Array) -> None:
    """x @ y to ``out``, on one core.

    With the transpose of a matrix that lies in order, such as weights in a backward pass, OpenBLAS
    is slow unless x has hundreds of rows: so that is done in tiles. For x of (64, 784) and y of
    (784, 400), in float32 on one core, 107 GFLOP/s in place of 76.
    """
    (m, k), n = x.shape, y.shape[1]
    width = next((w for w in TILE_COLUMNS if TILE_ROWS * k * w <= SMALL and w <= n), 0)
    is_transpose = x.flags.c_contiguous and y.strides[0] == y.itemsize
    if not is_transpose or not width or m < TILE_ROWS or k < LONG:
        xp.matmul(x, y, out=out)
        return
    rows, columns = m - m % TILE_ROWS, n - n % width  # in whole tiles
    tiles = out[:rows, :columns].reshape(rows // TILE_ROWS, TILE_ROWS, columns // width, width)
    xp.matmul(
        x[:rows].reshape(rows // TILE_ROWS, 1, TILE_ROWS, k),
        y[:, :columns].reshape(k, columns // width, width).swapaxes(0, 1),
        out=tiles.swapaxes(1, 2),
    )
    xp.matmul(x[rows:], y, out=out[rows:])
    xp.matmul(x[:rows], y[:, columns:], out=out[:rows, columns:])


def matmul_on_one_core(x: Array, y: Array, out: Array | None = None) -> Array:
    """x @ y, of matrices or vectors, without the threads of BLAS (on a GPU as ever)."""
    if x.size * (y.shape[-1] if y.ndim > 1 else 1) < TINY:
        return xp.matmul(x, y, out=out)
    with OneBlasThread():
        return xp.matmul(x, y, out=out)


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
