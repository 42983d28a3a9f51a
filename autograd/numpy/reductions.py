"""Sums, means, extremes: functions that reduce one or several axes."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy

from autograd.backend import is_array, xp
from autograd.backend.sums import sum_over
from autograd.core import defvjp
from autograd.numpy.elementwise import absolute, sqrt, where
from autograd.numpy.passthrough import value_of
from autograd.numpy.shapes import concatenate, flip
from autograd.table import Call, Draw, call, composite, operation

_NO_SUCH_AXIS = call(numpy.zeros((2, 3)), axis=2)


def _over_axes(distinct: bool = False, min_side: int = 0) -> Any:
    """Samples of (array, axis, keepdims)."""

    def samples(d: Draw) -> Call:
        shape = d.shape(min_side=min_side)
        x = d.distinct(shape) if distinct else d.array(shape)
        return call(x, axis=d.axes(len(shape)), keepdims=d.boolean())

    return samples


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """``axis`` as a tuple of axes counted from the front."""
    if axis is None:
        return tuple(range(ndim))
    return tuple(i % ndim for i in (axis if isinstance(axis, tuple | list) else (axis,)))


def _checked(axis: Any, ndim: int) -> tuple[int, ...]:
    """The same in order, if there are such axes, and each only once."""
    return _in_order(tuple(axis) if isinstance(axis, list) else axis, ndim)


@functools.lru_cache
def _in_order(axis: int | tuple[int, ...], ndim: int) -> tuple[int, ...]:
    for i in axis if isinstance(axis, tuple) else (axis,):
        if not -ndim <= i < ndim:
            raise numpy.exceptions.AxisError(i, ndim)
    axes = _axes(axis, ndim)
    if len(set(axes)) < len(axes):
        raise ValueError(f"axes {axes}: each only once")
    return tuple(sorted(axes))


def _restored(y: Any, shape: tuple[int, ...], axis: Any) -> Any:
    """``y`` with the axes that a reduction of ``shape`` took away put back, of length one."""
    axes = _axes(axis, len(shape))
    return y.reshape(tuple(1 if i in axes else side for i, side in enumerate(shape)))


def _count(shape: tuple[int, ...], axis: Any) -> int:
    return math.prod(shape[i] for i in _axes(axis, len(shape)))


@operation(r"y = \sum_i x_i", _over_axes(), [_NO_SUCH_AXIS], analytic=True)
def sum(a, axis=None, keepdims=False):
    """Sum over ``axis`` (an axis, a tuple of them, or None for all)."""
    if not is_array(a):
        return xp.sum(a, axis=axis, keepdims=keepdims)
    if axis is None:  # NumPy's functions take 2 to 6 µs longer than the method
        return a.sum(keepdims=keepdims)
    return sum_over(a, _checked(axis, a.ndim), keepdims)


def _sum_rule(_, a, axis=None, keepdims=False):
    shape = a.shape
    return lambda g: broadcast_to(_restored(g, shape, axis), shape)


defvjp(sum, _sum_rule)


def _broadcast_samples(d: Draw) -> Call:
    full = d.shape()
    return call(d.array(d.part_of(full)), full)


@operation(
    r"y_{i \dots} = x_i",
    _broadcast_samples,
    [call(numpy.zeros(3), (2, 4))],
    analytic=True,
)
def broadcast_to(array, shape):
    """``array`` repeated, without copying, along new axes and axes of length one."""
    return xp.broadcast_to(array, shape)


defvjp(broadcast_to, lambda _, array, shape: lambda g: g)  # the engine sums over what was repeated


@operation(r"y = \tfrac1n \sum_i x_i", _over_axes(min_side=1), [_NO_SUCH_AXIS], analytic=True)
def mean(a, axis=None, keepdims=False):
    """Mean over ``axis``."""
    if not is_array(a) or a.dtype.char not in "fd":
        return xp.mean(a, axis=axis, keepdims=keepdims)
    if axis is None and a.size:
        return a.sum(keepdims=keepdims) / a.size
    return sum_over(a, _checked(axis, a.ndim), keepdims) / _count(a.shape, axis)


def _mean_rule(_, a, axis=None, keepdims=False):
    shape = a.shape
    count = _count(shape, axis)
    return lambda g: broadcast_to(_restored(g, shape, axis) / count, shape)


defvjp(mean, _mean_rule)


@operation(
    r"y = \tfrac1{n - d} \sum_i (x_i - \bar x)^2", _over_axes(min_side=2), [_NO_SUCH_AXIS], True
)
def var(a, axis=None, ddof=0, keepdims=False):
    """Variance over ``axis``, with divisor n − ddof."""
    centred = a - mean.__wrapped__(a, axis, keepdims=True)
    scale = 1.0 / (_count(xp.shape(a), axis) - ddof)
    return sum.__wrapped__(centred * centred, axis, keepdims) * scale


def _var_rule(_, a, axis=None, ddof=0, keepdims=False):
    shape = a.shape
    scale = 2.0 / (_count(shape, axis) - ddof)
    return lambda g: (_restored(g, shape, axis) * scale) * (a - mean(a, axis, keepdims=True))


defvjp(var, _var_rule)


@composite(
    r"y = \sqrt{\tfrac1{n - d} \sum_i (x_i - \bar x)^2}",
    lambda d: call(d.distinct(d.shape(min_ndim=1, min_side=2)), axis=-1, keepdims=d.boolean()),
    [_NO_SUCH_AXIS],
    analytic=True,
)
def std(a, axis=None, ddof=0, keepdims=False):
    """Standard deviation over ``axis``: √var, whose gradient is not finite where var is 0."""
    return sqrt(var(a, axis, ddof, keepdims))


@operation(r"y = \prod_i x_i", _over_axes(), [_NO_SUCH_AXIS], analytic=True)
def prod(a, axis=None, keepdims=False):
    """Product over ``axis``."""
    return xp.prod(a, axis=axis, keepdims=keepdims)


def _prod_rule(_, a, axis=None, keepdims=False):
    shape = a.shape
    if 0 in shape:
        return lambda g: xp.zeros(shape, g.dtype)

    def vjp(g):
        """∂y/∂x_i is the product of all the others: those before i times those after it."""
        axes = _axes(axis, len(shape))
        kept = tuple(i for i in range(len(shape)) if i not in axes)
        rows = a.transpose((*kept, *axes)).reshape((-1, _count(shape, axis)))  # (kept, reduced)
        others = _products_before(rows) * _products_before(rows[:, ::-1])[:, ::-1]
        moved = others.reshape([shape[i] for i in (*kept, *axes)])
        back = [(*kept, *axes).index(i) for i in range(len(shape))]
        return _restored(g, shape, axis) * moved.transpose(back)

    return vjp


def _products_before(rows: Any) -> Any:
    """(1, x₁, x₁x₂, …) of each row, which no zero among the x makes undefined."""
    running = [xp.ones_like(value_of(rows[:, :1]))]
    for i in range(rows.shape[1] - 1):
        running.append(running[-1] * rows[:, i : i + 1])
    return concatenate(running, axis=1)


defvjp(prod, _prod_rule)


def _extreme_rule(y, a, axis=None, keepdims=False):
    shape = a.shape

    def vjp(g):
        """Equal shares to all elements that are the extreme."""
        chosen = a == _restored(y, shape, axis)
        ties = xp.sum(chosen, axis=_axes(axis, len(shape)), keepdims=True)
        return where(chosen, _restored(g, shape, axis) / ties.astype(g.dtype), 0.0)

    return vjp


@operation(r"y = \max_i x_i", _over_axes(distinct=True, min_side=1), [_NO_SUCH_AXIS])
def max(a, axis=None, keepdims=False):
    """Largest element over ``axis``. Elements that tie share the gradient equally."""
    return xp.max(a, axis=axis, keepdims=keepdims)


@operation(r"y = \min_i x_i", _over_axes(distinct=True, min_side=1), [_NO_SUCH_AXIS])
def min(a, axis=None, keepdims=False):
    """Smallest element over ``axis``. Elements that tie share the gradient equally."""
    return xp.min(a, axis=axis, keepdims=keepdims)


defvjp(max, _extreme_rule)
defvjp(min, _extreme_rule)
amax, amin = max, min


def _cumsum_samples(d: Draw) -> Call:
    shape = d.shape(min_ndim=1)
    return call(d.array(shape), axis=d.choice([None, d.axis(len(shape))]))


@operation(r"y_i = \sum_{j \le i} x_j", _cumsum_samples, [_NO_SUCH_AXIS], analytic=True)
def cumsum(a, axis=None):
    """Running sum along ``axis``, or of the flattened array."""
    return xp.cumsum(a, axis=axis)


def _cumsum_rule(_, a, axis=None):
    shape = a.shape

    def vjp(g):
        """The transpose of a running sum is one from the other end."""
        along = 0 if axis is None else axis
        return flip(cumsum(flip(g, along), along), along).reshape(shape)

    return vjp


defvjp(cumsum, _cumsum_rule)


def _norm_samples(d: Draw) -> Call:
    shape = d.shape(min_ndim=1, max_ndim=2, min_side=1)
    order = d.choice([None, 1, 2, 3, math.inf])
    return call(d.distinct(shape), ord=order, axis=-1, keepdims=d.boolean())


@composite(r"y = \bigl(\sum_i |x_i|^p\bigr)^{1/p}", _norm_samples, [call(numpy.zeros(3), ord="x")])
def norm(x, ord=None, axis=None, keepdims=False):
    """Vector norm over ``axis`` (Euclidean by default), or Frobenius norm over two axes or all.

    The gradient of the Euclidean norm at zero is taken to be zero.
    """
    if ord in (None, "fro") or (ord == 2 and len(_axes(axis, x.ndim)) == 1):
        return euclidean_norm(x, axis=axis, keepdims=keepdims)
    if not isinstance(ord, int | float) or len(_axes(axis, x.ndim)) != 1:
        raise ValueError(
            f"norm: order {ord!r} over axis {axis} of {x.shape} has no gradient here; "
            "there are p-norms of vectors, and the Frobenius norm"
        )
    if ord == math.inf:
        return max(absolute(x), axis=axis, keepdims=keepdims)
    return sum(absolute(x) ** ord, axis=axis, keepdims=keepdims) ** (1.0 / ord)


@operation(r"y = \sqrt{\sum_i x_i^2}", _over_axes(distinct=True, min_side=1), [_NO_SUCH_AXIS])
def euclidean_norm(x, axis=None, keepdims=False):
    """The length of vectors; its gradient at zero is taken to be zero."""
    return xp.sqrt(xp.sum(x * x, axis=axis, keepdims=keepdims))


def _euclidean_rule(y, x, axis=None, keepdims=False):
    shape = x.shape

    def vjp(g):
        length = _restored(y, shape, axis)
        return _restored(g, shape, axis) * (x / where(length == 0, 1.0, length))

    return vjp


defvjp(euclidean_norm, _euclidean_rule)
