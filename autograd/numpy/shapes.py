"""Functions that move elements about: each is linear, and its rule is the way back."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy

from autograd.backend import Array, is_array, xp
from autograd.core import Tensor, defvjp, defvjp_argnums
from autograd.numpy.elementwise import where
from autograd.table import Call, Draw, call, composite, operation


def _reshape_samples(d: Draw) -> Call:
    shape = d.shape()
    order = [shape[i] for i in numpy.random.default_rng(len(shape)).permutation(len(shape))]
    return call(d.array(shape), d.choice([order, math.prod(shape), (1, *shape, 1)]))


@operation(r"y = x", _reshape_samples, [call(numpy.zeros((2, 3)), (4, 2))], analytic=True)
def reshape(a, shape):
    """``a`` with another shape of the same size; one side may be −1."""
    return xp.reshape(a, shape)


def _reshape_rule(_, a, *args, **kwargs):
    shape = a.shape
    return lambda g: reshape(g, shape)


defvjp(reshape, _reshape_rule)


@composite(r"y = x", lambda d: call(d.array(d.shape())), [call()], analytic=True)
def ravel(a):
    """``a`` with one axis."""
    return reshape(a, (-1,))


def _transpose_samples(d: Draw) -> Call:
    shape = d.shape()
    axes = numpy.random.default_rng(d.integer(0, 99)).permutation(len(shape)).tolist()
    return call(d.array(shape), d.choice([None, [axis - len(shape) for axis in axes]]))


@operation(
    r"y_{ji} = x_{ij}", _transpose_samples, [call(numpy.zeros((2, 3)), (0, 0))], analytic=True
)
def transpose(a, axes=None):
    """``a`` with its axes in another order, reversed by default."""
    return xp.transpose(a, axes)


def _transpose_rule(_, a, axes=None):
    if axes is None:
        return lambda g: transpose(g)
    ndim = a.ndim
    inverse = [0] * ndim
    for i, axis in enumerate(axes):
        inverse[axis % ndim] = i
    return lambda g: transpose(g, inverse)


defvjp(transpose, _transpose_rule)


def _two_axes(d: Draw) -> Call:
    shape = d.shape(min_ndim=1)
    return call(d.array(shape), d.axis(len(shape)), d.axis(len(shape)))


@operation(r"y_{ji} = x_{ij}", _two_axes, [call(numpy.zeros((2, 3)), 0, 2)], analytic=True)
def swapaxes(a, axis1, axis2):
    """``a`` with two axes exchanged."""
    return xp.swapaxes(a, axis1, axis2)


defvjp(swapaxes, lambda _, a, axis1, axis2: lambda g: swapaxes(g, axis1, axis2))


@operation(r"y_{ji} = x_{ij}", _two_axes, [call(numpy.zeros((2, 3)), 0, 2)], analytic=True)
def moveaxis(a, source, destination):
    """``a`` with one axis (or several) moved, the others in their order."""
    return xp.moveaxis(a, source, destination)


defvjp(moveaxis, lambda _, a, source, destination: lambda g: moveaxis(g, destination, source))


@operation(
    r"y = x",
    lambda d: call(d.array((1, *d.shape(max_ndim=2), 1)), d.choice([None, 0, -1, (0, -1)])),
    [call(numpy.zeros((2, 3)), 0)],
    analytic=True,
)
def squeeze(a, axis=None):
    """``a`` without those axes, or without all axes, of length one."""
    return xp.squeeze(a, axis)


@operation(
    r"y = x",
    lambda d: call(d.array(d.shape(max_ndim=2)), d.choice([0, -1, (0, -1)])),
    [call(numpy.zeros(3), 5)],
    analytic=True,
)
def expand_dims(a, axis):
    """``a`` with new axes of length one."""
    return xp.expand_dims(a, axis)


defvjp(squeeze, _reshape_rule)
defvjp(expand_dims, _reshape_rule)


def _at_least(ndim: int) -> Any:
    def function(a):
        a = as_array(a)
        missing = ndim - a.ndim
        if missing <= 0:
            return a
        front, back = {(3, 1): (1, 1), (3, 2): (0, 1)}.get((ndim, a.ndim), (missing, 0))
        return reshape(a, (1,) * front + a.shape + (1,) * back)

    function.__name__ = f"atleast_{ndim}d"
    function.__doc__ = f"``a`` with at least {ndim} axes; NumPy's rule says where the new ones go."
    return composite(r"y = x", lambda d: call(d.array(d.shape())), [call()], True)(function)


atleast_1d, atleast_2d, atleast_3d = _at_least(1), _at_least(2), _at_least(3)


@operation(
    r"y_i = x_{n - i}",
    lambda d: call(x := d.array(d.shape()), d.axes(x.ndim)),
    [call(numpy.zeros(3), 1)],
    analytic=True,
)
def flip(m, axis=None):
    """``m`` with the elements along ``axis`` (one, several or all) in reverse order."""
    return xp.flip(m, axis)


defvjp(flip, lambda _, m, axis=None: lambda g: flip(g, axis))


def flipud(m):
    """``m`` with its first axis reversed."""
    return flip(m, 0)


def fliplr(m):
    """``m`` with its second axis reversed."""
    return flip(m, 1)


def _roll_samples(d: Draw) -> Call:
    shape = d.shape(min_ndim=1)
    return call(d.array(shape), d.integer(-4, 4), d.choice([None, d.axis(len(shape))]))


@operation(r"y_{i + s} = x_i", _roll_samples, [call(numpy.zeros(3), 1, 1)], analytic=True)
def roll(a, shift, axis=None):
    """``a`` with its elements moved along ``axis``; those that leave at one end enter the other."""
    return xp.roll(a, shift, axis)


def _roll_rule(_, a, shift, axis=None):
    back = tuple(-s for s in shift) if isinstance(shift, tuple | list) else -shift
    return lambda g: roll(g, back, axis)


defvjp(roll, _roll_rule)


def _rot90_samples(d: Draw) -> Call:
    return call(d.array(d.shape(min_ndim=2)), d.integer(-3, 3))


@operation(r"y = x", _rot90_samples, [call(numpy.zeros(3))], analytic=True)
def rot90(m, k=1, axes=(0, 1)):
    """``m`` turned by k quarter turns in the plane of two axes."""
    return xp.rot90(m, k, axes)


defvjp(rot90, lambda _, m, k=1, axes=(0, 1): lambda g: rot90(g, -k, axes))

# ------------------------------------------------------------------------------------- joining


def _concatenate_samples(d: Draw) -> Call:
    shape = d.shape(min_ndim=1)
    axis = d.axis(len(shape))
    arrays = []
    for _ in range(d.integer(1, 3)):
        part = list(shape)
        part[axis] = d.integer(0, 3)
        arrays.append(d.array(tuple(part)))
    return call(arrays, axis)


@composite(
    r"y = (x_1, x_2, \dots)",
    _concatenate_samples,
    [call([numpy.zeros((2, 3)), numpy.zeros((2, 2))], 0)],
    analytic=True,
)
def concatenate(arrays, axis=0):
    """``arrays`` one after another along an existing axis (None: flattened)."""
    if axis is None:
        return concatenate_args(0, *[ravel(as_array(a)) for a in arrays])
    return concatenate_args(axis, *map(as_array, arrays))


@operation(
    r"y = (x_1, x_2, \dots)",
    lambda d: (lambda arrays, axis: call(axis, *arrays))(*_concatenate_samples(d)[0]),
    [call(0, numpy.zeros((2, 3)), numpy.zeros((2, 2)))],
    analytic=True,
)
def concatenate_args(axis, *arrays):
    """:func:`concatenate`, with the arrays as arguments."""
    return xp.concatenate(arrays, axis)


def _concatenate_rule(argnums, _, args, kwargs):
    axis = args[0]
    ends = numpy.cumsum([a.shape[axis] for a in args[1:]]).tolist()
    ndim = args[1].ndim

    def vjp(g):
        return [_piece(g, axis % ndim, ends[i - 2] if i > 1 else 0, ends[i - 1]) for i in argnums]

    return vjp


def _piece(x: Any, axis: int, start: int, stop: int) -> Any:
    return x[(slice(None),) * axis + (slice(start, stop),)]


defvjp_argnums(concatenate_args, _concatenate_rule)


def _stack_samples(d: Draw) -> Call:
    shape = d.shape(max_ndim=2)
    arrays = [d.array(shape) for _ in range(d.integer(1, 3))]
    return call(arrays, d.axis(len(shape) + 1))


@composite(
    r"y = (x_1, x_2, \dots)",
    _stack_samples,
    [call([numpy.zeros(2), numpy.zeros(3)], 0)],
    analytic=True,
)
def stack(arrays, axis=0):
    """``arrays`` of one shape along a new axis."""
    return concatenate([expand_dims(as_array(a), axis) for a in arrays], axis)


def vstack(tup):
    """``tup`` one below another: along the first axis, of at least two."""
    return concatenate([atleast_2d(a) for a in tup], 0)


row_stack = vstack


def hstack(tup):
    """``tup`` side by side: along the second axis, or the first if there is only one."""
    arrays = [atleast_1d(a) for a in tup]
    return concatenate(arrays, 0 if arrays[0].ndim == 1 else 1)


def dstack(tup):
    """``tup`` along the third axis."""
    return concatenate([atleast_3d(a) for a in tup], 2)


def column_stack(tup):
    """Vectors as the columns of a matrix, beside matrices as they are."""
    columns = [reshape(a, (-1, 1)) if a.ndim < 2 else a for a in map(as_array, tup)]
    return concatenate(columns, 1)


def append(arr, values, axis=None):
    """``values`` after ``arr``."""
    return concatenate([arr, values], axis)


def array(object, dtype=None, **kwargs):
    """An array of numbers, of arrays, and of Tensors, nested in lists and tuples as in NumPy."""
    if isinstance(object, Tensor):
        return object + 0.0 if dtype is None else object.astype(dtype)
    if isinstance(object, list | tuple) and _holds_tensor(object):
        made = stack([as_array(array(item)) for item in object])
        return made if dtype is None else made.astype(dtype)
    return xp.array(object, dtype=dtype, **kwargs)


def full(shape, fill_value, dtype=None):
    """An array of that shape, every element ``fill_value``."""
    if isinstance(fill_value, Tensor):
        return fill_value + xp.zeros(shape, dtype or fill_value.dtype)
    return xp.full(shape, fill_value, dtype)


def asarray(a, dtype=None):
    """``a`` as an array; a Tensor stays as it is."""
    if isinstance(a, Tensor) and dtype in (None, a.dtype):
        return a
    if isinstance(a, Tensor | list | tuple):
        return array(a, dtype)
    return xp.asarray(a, dtype=dtype)


def _holds_tensor(items: Sequence[Any]) -> bool:
    return any(
        isinstance(item, Tensor) or (isinstance(item, list | tuple) and _holds_tensor(item))
        for item in items
    )


def as_array(a: Any) -> Any:
    """``a`` as an array or a Tensor, if it is a number, a list or a tuple."""
    return a if isinstance(a, Tensor) or is_array(a) else array(a)


# ----------------------------------------------------------------------------------- splitting


def _split_samples(d: Draw) -> Call:
    count = d.integer(1, 3)
    shape = (d.integer(0, 2), count * d.integer(0, 2))
    return call(d.array(shape), d.choice([count, [1]]), d.choice([1, -1]))


@operation(
    r"(y_1, y_2, \dots) = x", _split_samples, [call(numpy.zeros((2, 3)), 2, 5)], analytic=True
)
def array_split(ary, indices_or_sections, axis=0):
    """``ary`` cut along ``axis`` into that many parts, or at those indices: a tuple of parts.

    Where that many parts cannot be equal, the first ones are larger by 1.
    """
    side, sections = ary.shape[axis], indices_or_sections
    if isinstance(sections, int | numpy.integer):
        if sections < 1:
            raise ValueError(f"array_split: {sections} parts; at least 1")
        size, larger = divmod(side, sections)
        sections = [size * i + min(i, larger) for i in range(1, sections)]
    before = (slice(None),) * (axis % ary.ndim)
    ends = itertools.pairwise([0, *sections, side])
    return tuple([ary[(*before, slice(start, stop))] for start, stop in ends])


defvjp(
    array_split,
    lambda _, ary, indices_or_sections, axis=0: lambda gs: concatenate(gs, axis),
)


def split(ary, indices_or_sections, axis=0):
    """``ary`` cut along ``axis``: into that many equal parts, or at those indices."""
    sections = indices_or_sections
    if isinstance(sections, int) and ary.shape[axis] % sections:
        raise ValueError(
            f"split: axis {axis} of {ary.shape} does not divide into {sections} equal parts"
        )
    return list(array_split(ary, sections, axis))


def vsplit(ary, indices_or_sections):
    """:func:`split` along the first axis."""
    return split(ary, indices_or_sections, 0)


def hsplit(ary, indices_or_sections):
    """:func:`split` along the second axis, or the first if there is only one."""
    return split(ary, indices_or_sections, 0 if ary.ndim == 1 else 1)


def dsplit(ary, indices_or_sections):
    """:func:`split` along the third axis."""
    return split(ary, indices_or_sections, 2)


# ---------------------------------------------------------------------------------- repeating


def _pad_samples(d: Draw) -> Call:
    x = d.array(d.shape())
    widths = [(d.integer(0, 2), d.integer(0, 2)) for _ in x.shape]
    return call(x, widths if widths and d.boolean() else 1)


@operation(r"y = (0, x, 0)", _pad_samples, [call(numpy.zeros((2, 3)), [(1, 1)] * 3)], analytic=True)
def pad(array, pad_width, mode="constant", constant_values=0):
    """``array`` with a border of a constant, ``pad_width`` = (before, after) wide for each axis."""
    if mode != "constant":
        raise ValueError(f"pad: mode {mode!r} has no gradient here; there is 'constant'")
    return xp.pad(array, pad_width, mode, constant_values=constant_values)


def _pad_rule(_, array, pad_width, mode="constant", constant_values=0):
    widths = numpy.broadcast_to(numpy.asarray(pad_width), (array.ndim, 2)).tolist()
    inside = tuple(slice(w[0], w[0] + side) for w, side in zip(widths, array.shape, strict=True))
    return lambda g: g[inside]


defvjp(pad, _pad_rule)


def _repeat_samples(d: Draw) -> Call:
    shape = d.shape(min_ndim=1)
    axis = d.axis(len(shape))
    each = [d.integer(0, 2) for _ in range(shape[axis])]
    return call(d.array(shape), *d.choice([(d.integer(0, 3), axis), (each, axis), (2, None)]))


@operation(
    r"y = (x_1, x_1, x_2, x_2, \dots)", _repeat_samples, [call(numpy.zeros(3), [1, 2])], True
)
def repeat(a, repeats, axis=None):
    """Each element ``repeats`` times (an integer, or a list of one for each element)."""
    return xp.repeat(a, repeats, axis)


def _repeat_rule(_, a, repeats, axis=None):
    shape = a.shape

    def vjp(g):
        along = 0 if axis is None else axis % len(shape)
        full = (math.prod(shape),) if axis is None else shape
        if isinstance(repeats, int):
            grouped = g.reshape((*full[: along + 1], repeats, *full[along + 1 :]))
            return grouped.sum(axis=along + 1).reshape(shape)
        ends = numpy.cumsum(repeats).tolist()
        starts = [0, *ends[:-1]]
        parts = [_piece(g, along, i, j).sum(axis=along) for i, j in zip(starts, ends, strict=True)]
        return stack(parts, along).reshape(shape) if parts else g.reshape(shape)

    return vjp


defvjp(repeat, _repeat_rule)


def _tile_samples(d: Draw) -> Call:
    return call(d.array(d.shape(max_ndim=2)), d.choice([2, (2, 1), (1, 2, 3), ()]))


@operation(r"y = (x, x, \dots)", _tile_samples, [call(numpy.zeros(3), (-1,))], analytic=True)
def tile(A, reps):  # noqa: N803 (NumPy's name)
    """``A`` repeated as a whole, ``reps`` times along each axis."""
    return xp.tile(A, reps)


def _tile_rule(_, A, reps):  # noqa: N803
    shape = A.shape
    reps = (reps,) if isinstance(reps, int) else tuple(reps)
    ndim = max(len(shape), len(reps))
    reps = (1,) * (ndim - len(reps)) + reps
    sides = (1,) * (ndim - len(shape)) + shape
    grouped = [n for pair in zip(reps, sides, strict=True) for n in pair]  # (rep, side, rep, side…)
    return lambda g: g.reshape(grouped).sum(axis=tuple(range(0, 2 * ndim, 2))).reshape(shape)


defvjp(tile, _tile_rule)

# ------------------------------------------------------------------------- diagonals, triangles


def _square(d: Draw) -> Array:
    return d.array(d.shape(min_ndim=2))


def _diagonal_samples(d: Draw) -> Call:
    return call(_square(d), d.integer(-1, 1))


@operation(r"y_i = x_{i, i + k}", _diagonal_samples, [call(numpy.zeros(3))], analytic=True)
def diagonal(a, offset=0, axis1=0, axis2=1):
    """The diagonal in the plane of two axes, as the last axis."""
    return xp.diagonal(a, offset, axis1, axis2)


def _diagonal_rule(_, a, offset=0, axis1=0, axis2=1):
    shape = a.shape
    rows, columns = shape[axis1], shape[axis2]
    length = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    i = numpy.arange(length) - min(offset, 0)
    j = numpy.arange(length) + max(offset, 0)
    on = numpy.zeros((rows, columns), bool)
    on[i, j] = True
    which = numpy.zeros((rows, columns), int)
    which[i, j] = numpy.arange(length)

    def vjp(g):
        if length == 0:
            return xp.zeros(shape, g.dtype)
        spread = where(xp.asarray(on), g[..., xp.asarray(which)], 0.0)  # (..., rows, columns)
        return moveaxis(spread, (-2, -1), (axis1, axis2))

    return vjp


defvjp(diagonal, _diagonal_rule)


@composite(
    r"Y_{i, i + k} = x_i",
    lambda d: call(d.array(d.shape(min_ndim=1, max_ndim=2)), d.integer(-1, 1)),
    [call(numpy.zeros((2, 2, 2)))],
    analytic=True,
)
def diag(v, k=0):
    """The matrix with ``v`` on its k-th diagonal, or the k-th diagonal of the matrix ``v``."""
    v = as_array(v)
    if v.ndim == 2:
        return diagonal(v, k)
    if v.ndim != 1:
        raise ValueError(f"diag: expected a vector or a matrix, got {v.shape}")
    n = v.shape[0]
    embedded = where(xp.eye(n, dtype=bool), v, 0.0)  # (n, n)
    return pad(embedded, [(max(-k, 0), max(k, 0)), (max(k, 0), max(-k, 0))])


@composite(r"y = \sum_i x_{ii}", _diagonal_samples, [call(numpy.zeros(3))], analytic=True)
def trace(a, offset=0, axis1=0, axis2=1):
    """The sum of the diagonal."""
    return diagonal(a, offset, axis1, axis2).sum(axis=-1)


@operation(
    r"y_{ij} = x_{ij} [j \le i + k]", _diagonal_samples, [call(numpy.zeros(3), "k")], analytic=True
)
def tril(m, k=0):
    """``m`` with zeros above its k-th diagonal."""
    return xp.tril(m, k)


@operation(
    r"y_{ij} = x_{ij} [j \ge i + k]", _diagonal_samples, [call(numpy.zeros(3), "k")], analytic=True
)
def triu(m, k=0):
    """``m`` with zeros below its k-th diagonal."""
    return xp.triu(m, k)


defvjp(tril, lambda _, m, k=0: lambda g: tril(g, k))
defvjp(triu, lambda _, m, k=0: lambda g: triu(g, k))
