"""Making images and sequences smaller or larger: pooling, up-sampling, space to depth and back.

All act on (N, *sides, C) of one or more spatial dimensions. A window, stride, scale or block is a
number, or one for each of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy

from autograd.backend import xp
from autograd.core import defvjp
from autograd.nn.conv_geometry import Geometry, each, geometry_of
from autograd.numpy.passthrough import value_of
from autograd.numpy.reductions import broadcast_to, mean
from autograd.table import Call, Draw, call, composite, operation

Numbers = int | Sequence[int]

# ------------------------------------------------------------------------------------- windows


def _geometry(x_shape: tuple[int, ...], window: Numbers, stride: Numbers | None) -> Geometry:
    kernel = _each(x_shape, window, "window")
    return geometry_of(
        tuple(x_shape[1:-1]), kernel, kernel if stride is None else stride, "valid", 1, None
    )


def _each(x_shape: tuple[int, ...], value: Numbers, name: str) -> tuple[int, ...]:
    """One positive number for each spatial dimension."""
    if len(x_shape) < 3:
        raise ValueError(f"the input must be (N, *sides, C), not {tuple(x_shape)}")
    values = each(value, len(x_shape) - 2, name)
    if min(values) < 1:
        raise ValueError(f"{name} {value!r} must be positive")
    return values


def _drawn(d: Draw, distinct: bool = False) -> Call:
    """Input, window and stride."""
    dims = d.choice([1, 2])
    window = tuple(d.integer(1, 3 if dims == 1 else 2) for _ in range(dims))
    shape = (d.integer(0, 2), *(side + d.integer(0, 3) for side in window), d.integer(0, 2))
    x = d.distinct(shape) if distinct else d.array(shape)
    return call(x, window, d.choice([None, 1, tuple(d.integer(1, 3) for _ in window)]))


_IMAGE = numpy.zeros((2, 4, 4, 3))
_WRONG = [
    call(_IMAGE, 5),
    call(_IMAGE, 0),
    call(_IMAGE, (2, 2, 2)),
    call(_IMAGE, 2, 0),
    call(_IMAGE[0, 0], 2),
]


@operation(r"y_{n o t c} = x_{n,\, s o + t,\, c}", _drawn, _WRONG, analytic=True)
def windows(x: Any, window: Numbers, stride: Numbers | None = None) -> Any:
    """What each window sees: (N, *sides, C) -> (N, *out, positions in the window, C).

    Windows stand ``stride`` apart (by default, side by side) and lie within x:
    out = ⌊(side − window) / stride⌋ + 1.
    """
    geometry = _geometry(x.shape, window, stride)
    y = xp.empty((len(x), *geometry.out, len(geometry.numbers), x.shape[-1]), x.dtype)
    for i, read in enumerate(geometry.windows):
        y[..., i, :] = x[read]
    return y


def _transpose_samples(d: Draw) -> Call:
    (x, window, stride), _ = _drawn(d)
    geometry = _geometry(x.shape, window, stride)
    g = d.array((len(x), *geometry.out, len(geometry.numbers), x.shape[-1]))
    return call(g, x.shape, window, stride)


@operation(
    r"x_{n i c} = \sum_{o, t :\, s o + t = i} y_{n o t c}",
    _transpose_samples,
    [call(numpy.zeros((2, 2, 2, 4, 3)), (2, 6, 4, 3), 2), call(_IMAGE, (2, 4, 4, 3), 2)],
    analytic=True,
)
def windows_transpose(
    y: Any, x_shape: tuple[int, ...], window: Numbers, stride: Numbers | None = None
) -> Any:
    """The transpose of :func:`windows`: each value added to where it was seen."""
    geometry = _geometry(x_shape, window, stride)
    expected = (x_shape[0], *geometry.out, len(geometry.numbers), x_shape[-1])
    if y.shape != expected:
        raise ValueError(f"the windows of {tuple(x_shape)} are {expected}, not {y.shape}")
    x = xp.zeros(x_shape, y.dtype)
    for i, read in enumerate(geometry.windows):
        x[read] += y[..., i, :]
    return x


def _windows_rule(_, x, window, stride=None):
    shape = x.shape
    return lambda g: windows_transpose(g, shape, window, stride)


defvjp(windows, _windows_rule)
defvjp(
    windows_transpose,
    lambda _, y, x_shape, window, stride=None: lambda g: windows(g, window, stride),
)

# ------------------------------------------------------------------------------------- pooling


@composite(r"y_{n o c} = \tfrac1{|T|} \sum_t x_{n,\, s o + t,\, c}", _drawn, _WRONG, analytic=True)
def average_pool(x: Any, window: Numbers, stride: Numbers | None = None) -> Any:
    """The mean over each window: (N, *sides, C) -> (N, *out, C), out as in :func:`windows`."""
    return mean(windows(x, window, stride), axis=-2)


@operation(r"y_{n o c} = \max_t x_{n,\, s o + t,\, c}", lambda d: _drawn(d, distinct=True), _WRONG)
def max_pool(x: Any, window: Numbers, stride: Numbers | None = None) -> Any:
    """The largest value in each window: (N, *sides, C) -> (N, *out, C), out as in :func:`windows`.

    Values that tie share the gradient equally, as in :func:`autograd.numpy.max`.
    """
    first, *others = _geometry(x.shape, window, stride).windows
    y = x[first].copy()
    for read in others:
        xp.maximum(y, x[read], out=y)
    return y


def _max_pool_rule(y, x, window, stride=None):
    shape = x.shape

    def vjp(g):
        largest = value_of(y)[..., None, :]
        won = windows(value_of(x), window, stride) == largest
        share = won / xp.sum(won, axis=-2, keepdims=True).astype(g.dtype)  # constant nearly always
        return windows_transpose(g.reshape(largest.shape) * share, shape, window, stride)

    return vjp


defvjp(max_pool, _max_pool_rule)

# --------------------------------------------------------------------------------- up-sampling


def _scale_samples(d: Draw) -> Call:
    shape = d.shape(min_ndim=3, max_ndim=4, max_side=2)
    return call(d.array(shape), d.choice([1, 2, tuple(d.integer(1, 3) for _ in shape[1:-1])]))


@composite(
    r"y_{n, i, c} = x_{n, \lfloor i / s \rfloor, c}",
    _scale_samples,
    [call(_IMAGE, 0), call(_IMAGE, (2, 2, 2)), call(_IMAGE[0, 0], 2)],
    analytic=True,
)
def upsample_nearest(x: Any, scale: Numbers) -> Any:
    """Each position ``scale`` times along each side: (N, *sides, C) -> (N, *scale·sides, C)."""
    n, *sides, c = x.shape
    scales = _each(x.shape, scale, "scale")
    thin = [n, *(k for side in sides for k in (side, 1)), c]  # (N, H, 1, W, 1, C)
    full = [n, *(k for pair in zip(sides, scales, strict=True) for k in pair), c]
    large = [side * s for side, s in zip(sides, scales, strict=True)]
    return broadcast_to(x.reshape(thin), tuple(full)).reshape((n, *large, c))


# ------------------------------------------------------------------------------ space and depth


def _blocks_samples(d: Draw) -> Call:
    dims = d.choice([1, 2])
    block = tuple(d.integer(1, 2) for _ in range(dims))
    shape = (d.integer(0, 2), *(b * d.integer(0, 2) for b in block), d.integer(0, 2))
    return call(d.array(shape), block)


@composite(
    r"y_{n, o, (t, c)} = x_{n,\, b o + t,\, c}",
    _blocks_samples,
    [call(_IMAGE, 3), call(_IMAGE, 0), call(_IMAGE[0, 0], 2)],
    analytic=True,
)
def space_to_depth(x: Any, block: Numbers) -> Any:
    """Each block of positions into channels: (N, H, W, C) -> (N, H/b, W/b, b·b·C).

    Channel (t, c), of number t·C + c, holds channel c of position t in the block, positions
    counted row by row. (PyTorch's ``pixel_unshuffle`` numbers them c·b·b + t.) Also called
    "squeeze" (Dinh et al. 2017, fig. 3).
    """
    n, *sides, c = x.shape
    blocks = _each(x.shape, block, "block")
    if any(side % b for side, b in zip(sides, blocks, strict=True)):
        raise ValueError(f"the sides of {x.shape} are not multiples of the block {block}")
    small = [side // b for side, b in zip(sides, blocks, strict=True)]
    split = [n, *(k for pair in zip(small, blocks, strict=True) for k in pair), c]
    dims = len(sides)
    inner = [2 * i + 2 for i in range(dims)]  # (N, H/b, b, W/b, b, C) -> (N, H/b, W/b, b, b, C)
    order = (0, *(i - 1 for i in inner), *inner, 2 * dims + 1)
    return x.reshape(split).transpose(order).reshape((n, *small, math.prod(blocks) * c))


def _depth_samples(d: Draw) -> Call:
    (x, block), _ = _blocks_samples(d)
    small = [side // b for side, b in zip(x.shape[1:-1], block, strict=True)]
    return call(d.array((len(x), *small, math.prod(block) * x.shape[-1])), block)


@composite(
    r"y_{n,\, b o + t,\, c} = x_{n, o, (t, c)}",
    _depth_samples,
    [call(_IMAGE, 2), call(_IMAGE, 0), call(_IMAGE[0, 0], 2)],
    analytic=True,
)
def depth_to_space(x: Any, block: Numbers) -> Any:
    """The inverse of :func:`space_to_depth`: (N, H, W, b·b·C) -> (N, b·H, b·W, C)."""
    n, *sides, depth = x.shape
    blocks = _each(x.shape, block, "block")
    if depth % math.prod(blocks):
        raise ValueError(f"the {depth} channels of {x.shape} do not fill blocks of {blocks}")
    dims = len(sides)
    split = [n, *sides, *blocks, depth // math.prod(blocks)]
    order = (0, *(k for i in range(dims) for k in (1 + i, 1 + dims + i)), 1 + 2 * dims)
    large = [side * b for side, b in zip(sides, blocks, strict=True)]
    return x.reshape(split).transpose(order).reshape((n, *large, split[-1]))
