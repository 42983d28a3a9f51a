"""Picking elements: ``x[index]`` of every kind that NumPy knows, and what is made of it."""

from __future__ import annotations

from typing import Any

import numpy

from autograd.backend import is_array, xp
from autograd.core import defvjp
from autograd.numpy.passthrough import value_of
from autograd.numpy.shapes import as_array
from autograd.table import Call, Draw, call, composite, operation


def _index_samples(d: Draw) -> Call:
    shape = d.shape(min_ndim=2, min_side=1)
    x = d.array(shape)
    rows = numpy.array([d.integer(-shape[0], shape[0] - 1) for _ in range(d.integer(0, 4))], int)
    columns = numpy.array([d.integer(0, shape[1] - 1) for _ in rows], int)
    kinds = [
        d.integer(-shape[0], shape[0] - 1),
        slice(d.choice([None, 0, 1]), d.choice([None, -1, 2]), d.choice([None, 2, -1])),
        (Ellipsis, d.integer(0, shape[-1] - 1)),
        (slice(None), None, d.integer(0, shape[1] - 1)),
        rows,
        (rows, columns),
        (rows[:, None], columns[None, :]),
        (slice(None), columns),
        (d.integer(0, shape[0] - 1), columns),
        x > 0,
        (slice(None), x[0].reshape(shape[1], -1)[:, 0] > 0),
    ]
    return call(x, d.choice(kinds))


@operation(r"y = x_I", _index_samples, [call(numpy.zeros((2, 3)), 5)], analytic=True)
def getitem(a, index):
    """``a[index]``: integers, slices, ``...``, None, integer arrays, masks, and mixtures."""
    return a[index]


def _scatter_samples(d: Draw) -> Call:
    (x, index), _ = _index_samples(d)
    return call(d.array(x[index].shape), index, x.shape)


@operation(r"y_I \mathrel{+}= x", _scatter_samples, [call(numpy.zeros(3), 0, (2, 2))], True)
def scatter(x, index, shape):
    """Zeros of ``shape`` with ``x`` added at ``index``: the transpose of ``a[index]``."""
    y = xp.zeros(shape, x.dtype)
    if _may_repeat(index):
        xp.add.at(y, index, x)
    else:
        y[index] = x
    return y


def _may_repeat(index: Any) -> bool:
    """Whether ``index`` can name an element twice: only integer arrays can."""
    parts = index if isinstance(index, tuple) else (index,)
    return any(
        isinstance(part, list) or (is_array(part) and part.ndim > 0 and part.dtype.kind != "b")
        for part in parts
    )


def _getitem_rule(_, a, index):
    shape = a.shape
    return lambda g: scatter(g, index, shape)


defvjp(getitem, _getitem_rule)
defvjp(scatter, lambda _, x, index, shape: lambda g: g[index])


def _take_samples(d: Draw) -> Call:
    shape = d.shape(min_ndim=1, min_side=1)
    axis = d.choice([None, d.axis(len(shape))])
    count = int(numpy.prod(shape)) if axis is None else shape[axis]
    picked = [d.integer(0, count - 1) for _ in range(4)]
    return call(d.array(shape), d.choice([numpy.array(picked), picked[0]]), axis)


@composite(r"y_i = x_{I_i}", _take_samples, [call(numpy.zeros(3), 5, 0)], analytic=True)
def take(a, indices, axis=None):
    """Elements (or slices along ``axis``) at integer indices."""
    a = as_array(a)
    if axis is None:
        return getitem(a.reshape(-1), indices)
    return getitem(a, (slice(None),) * (axis % a.ndim) + (indices,))


def _along_samples(d: Draw) -> Call:
    shape = d.shape(min_ndim=1, min_side=1)
    axis = d.axis(len(shape))
    picked = list(shape)
    picked[axis] = d.integer(1, 3)
    indices = numpy.floor(d.array(tuple(picked), 0, shape[axis])).astype(int)
    return call(d.array(shape), indices, axis)


@composite(r"y_{i} = x_{I_{i}}", _along_samples, [call(numpy.zeros(3), numpy.array([5]), 0)], True)
def take_along_axis(arr, indices, axis):
    """Elements at integer indices along one axis, as ``argsort`` and ``argmax`` give them."""
    if axis is None:
        return getitem(arr.reshape(-1), indices)
    grid = []
    for i, side in enumerate(arr.shape):
        sides = [1] * arr.ndim
        sides[i] = side
        grid.append(indices if i == axis % arr.ndim else xp.arange(side).reshape(sides))
    return getitem(arr, tuple(grid))


def _sort_samples(d: Draw) -> Call:
    shape = d.shape(min_ndim=1)
    return call(d.distinct(shape), d.choice([None, d.axis(len(shape))]))


@composite(r"y_1 \le y_2 \le \dots", _sort_samples, [call(numpy.zeros(3), 1)])
def sort(a, axis=-1):
    """``a`` in ascending order along ``axis`` (None: flattened)."""
    a = as_array(a)
    if axis is None:
        a, axis = a.reshape(-1), 0
    return take_along_axis(a, xp.argsort(value_of(a), axis), axis)
