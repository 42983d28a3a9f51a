"""A matrix product with vectors that lie in several arrays, as if they had been joined.

Where a network joins the features of many layers and multiplies them by one matrix, to join them is
to copy them all, and to take the gradient apart is to read it in strips. Here each array is
multiplied where it lies, some rows at a time, and the sum stays in a core's cache.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from autograd import numpy as np
from autograd.backend import xp
from autograd.backend.products import as_rows, multiply
from autograd.backend.threads import in_blocks, in_parts
from autograd.core import defvjp_argnums, primitive
from autograd.table import Call, Draw, call, composite


def _samples(d: Draw) -> Call:
    shape = d.shape(min_ndim=1, max_ndim=2)
    widths = [d.integer(1, 3) for _ in range(d.integer(2, 3))]
    return call([d.array((*shape, n)) for n in widths], d.array((sum(widths), d.integer(0, 3))))


@composite(
    r"y = (x_1, x_2, \dots) W",
    _samples,
    [
        call([numpy.zeros((2, 3)), numpy.zeros((2, 2))], numpy.zeros((4, 2))),
        call([numpy.zeros((2, 3)), numpy.zeros((3, 2))], numpy.zeros((5, 2))),
        call([], numpy.zeros((0, 2))),
    ],
    analytic=True,
)
def joined_matmul(xs: Sequence[Any], w: Any) -> Any:
    """Σ_l x_l W_l, for arrays x_l (..., C_l) and W (Σ C_l, D), of which W_l are C_l rows: (..., D).

    The same as ``matmul(concatenate(xs, -1), w)``. Raises ValueError for shapes that do not fit.
    """
    shapes = [tuple(x.shape) for x in xs]
    if w.ndim != 2 or () in shapes:
        raise ValueError(
            f"joined_matmul: {shapes} and {tuple(w.shape)}, expected (..., C) and (C, D)"
        )
    if len({shape[:-1] for shape in shapes}) != 1 or sum(shape[-1] for shape in shapes) != len(w):
        raise ValueError(f"joined_matmul: arrays {shapes} do not fit a matrix {tuple(w.shape)}")
    return _joined_matmul(w, *xs)


@primitive
def _joined_matmul(w, *xs):
    rows = [as_rows(x) for x in xs]
    matrices = [xp.ascontiguousarray(part) for part in _split(w, xs)]
    y = xp.empty((len(rows[0]), w.shape[1]), xp.result_type(w, *xs))

    def work(start: int, stop: int) -> None:
        for part, scratch in in_blocks(memory, start, stop, y[:1].nbytes):
            multiply(rows[0][part], matrices[0], y[part])
            for x, matrix in zip(rows[1:], matrices[1:], strict=True):
                multiply(x[part], matrix, scratch)
                y[part] += scratch

    def memory(count: int) -> Any:
        return xp.empty((count, y.shape[1]), y.dtype)

    in_parts(work, len(y), w.size * len(y))
    return y.reshape((*xs[0].shape[:-1], w.shape[1]))


def _split(w: Any, xs: Sequence[Any]) -> list[Any]:
    """The rows of w that each of xs is multiplied by."""
    ends = numpy.cumsum([x.shape[-1] for x in xs]).tolist()
    return [w[end - x.shape[-1] : end] for x, end in zip(xs, ends, strict=True)]


def _rule(argnums, _, args, kwargs):
    """x̄_l = ȳ W_lᵀ, and of W̄ the rows x_lᵀ ȳ."""
    w, *xs = args
    matrices = _split(w, xs) if any(argnums) else []
    xs = xs if 0 in argnums else []

    def vjp(g):
        def of(argnum: int) -> Any:
            if argnum:
                return np.matmul(g, matrices[argnum - 1].T)
            return np.concatenate([np.matmul(_rows(x).T, _rows(g)) for x in xs])

        return [of(argnum) for argnum in argnums]

    return vjp


defvjp_argnums(_joined_matmul, _rule)


def _rows(x: Any) -> Any:
    """(..., C) -> (rows, C), recorded."""
    return np.reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))
