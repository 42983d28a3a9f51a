"""Batch normalisation as one operation, with its gradient in closed form.

Written in operations of NumPy's, it reads and writes arrays of its input's size ten times on the
way there, on one core, and more often on the way back. Here each core has rows of its own, of which
as many at a time as stay in its cache: x is read three times, and x and ȳ twice on the way back.

Mean and variance of all rows are put together from those of parts (Chan, Golub and LeVeque 1983,
"Algorithms for computing the sample variance"): no core waits for the others in between.
"""

from __future__ import annotations

import math
from typing import Any

import numpy

from autograd import numpy as np
from autograd.backend import xp
from autograd.backend.products import as_rows
from autograd.backend.threads import blocks, in_blocks, in_parts
from autograd.backend.whole import whole
from autograd.core import constant, defvjp_argnums, is_recording, primitive
from autograd.table import Call, Draw, call, composite

LONG = 4096  # numbers: NumPy handles shorter rows with a loss, so some are taken as one


def _samples(d: Draw) -> Call:
    # distinct, as the slope is steep where the values of a channel are close to one another
    shape = d.shape(min_ndim=2, max_ndim=3, min_side=2)
    channels = shape[-1:]
    return call(d.distinct(shape), d.array(channels), d.array(channels), 0.5)


_CHANNELS = numpy.ones(3)


@composite(
    r"y = \gamma \frac{x - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta",
    _samples,
    [
        call(numpy.zeros(3), _CHANNELS, _CHANNELS),  # no batch
        call(numpy.zeros((4, 2)), _CHANNELS, _CHANNELS),
        call(numpy.zeros((4, 3)), numpy.ones(1), _CHANNELS),  # one number for all channels
        call(numpy.zeros((0, 3)), _CHANNELS, _CHANNELS),  # no values to take the mean of
        call(numpy.zeros((4, 3)), _CHANNELS, _CHANNELS, -1.0),
    ],
)
def batch_norm(x, gain, bias, epsilon=1e-5):
    """γ (x − µ) / √(σ² + ε) + β, with the mean µ and the variance σ² of each channel: (..., C).

    They are over all axes but the last, and gradients go through them (Ioffe & Szegedy 2015, "Batch
    normalization", algorithm 1). Arguments: ``gain`` γ and ``bias`` β (C,). Returns: (..., C).
    Raises ValueError for other shapes, without any values, and for ε < 0.
    """
    return batch_norm_with_statistics(x, gain, bias, epsilon)[0]


def batch_norm_with_statistics(x: Any, gain: Any, bias: Any, epsilon: float = 1e-5) -> tuple:
    """(:func:`batch_norm`, µ, σ²): the statistics (C,) are plain arrays, constants.

    The variance is that of these values, divided by their number.
    """
    shapes = tuple(x.shape), tuple(gain.shape), tuple(bias.shape)
    if x.ndim < 2 or not shapes[1] == shapes[2] == shapes[0][-1:]:
        raise ValueError(
            f"batch_norm: x {shapes[0]}, gain {shapes[1]}, bias {shapes[2]}; "
            "expected (..., C), (C,) and (C,)"
        )
    if 0 in shapes[0][:-1]:
        raise ValueError(f"batch_norm: x {shapes[0]} has no values to take the mean of")
    if epsilon < 0:
        raise ValueError(f"batch_norm: epsilon is {epsilon}, and must not be negative")
    statistics: list[Any] = []
    y = _batch_norm(x, gain, bias, epsilon, statistics)
    return y, *statistics


@primitive
def _batch_norm(x, gain, bias, epsilon, statistics):
    """y; ``statistics``, an empty list, receives µ and σ²."""
    rows, n = _in_rows(x), x.size // max(1, x.shape[-1])
    parts = in_parts(lambda start, stop: _moments(rows[start:stop], x.shape[-1]), len(rows), x.size)
    mean, variance = _together(parts, n)
    statistics += [mean, variance]
    scale = gain / xp.sqrt(variance + epsilon)
    y = xp.empty(rows.shape, xp.result_type(x, gain, bias))
    mean, scale, bias = (_repeated(v, rows) for v in (mean, scale, bias))

    def work(start: int, stop: int) -> None:
        for part in blocks(start, stop, 2 * rows[:1].nbytes, stream=True):
            xp.subtract(rows[part], mean, out=y[part])
            y[part] *= scale
            y[part] += bias

    in_parts(work, len(rows), 2 * x.size)
    return y.reshape(x.shape)


def _rule(argnums, _, args, kwargs):
    """x̄ = γ/√(σ² + ε) (ȳ − mean ȳ − x̂ mean(ȳ x̂)), γ̄ = Σ ȳ x̂ and β̄ = Σ ȳ for x̂ of γ = 1, β = 0."""
    x, gain, _, epsilon, (mean, variance) = args

    def vjp(g):
        if is_recording():
            found = _differentiable(x, gain, epsilon, g)
        else:
            found = _backward(constant(x), constant(gain), mean, variance, epsilon, g)
        return [found[argnum] for argnum in argnums]

    return vjp


defvjp_argnums(_batch_norm, _rule)


def _differentiable(x: Any, gain: Any, epsilon: float, g: Any) -> tuple[Any, Any, Any]:
    """The rule in operations, for gradients of gradients."""
    over = tuple(range(x.ndim - 1))
    centred = x - np.mean(x, axis=over)
    inverse = 1 / np.sqrt(np.mean(centred * centred, axis=over) + epsilon)
    normal = centred * inverse
    slopes = g - np.mean(g, axis=over) - normal * np.mean(g * normal, axis=over)
    return gain * inverse * slopes, np.sum(g * normal, axis=over), np.sum(g, axis=over)


@whole
def _backward(x: Any, gain: Any, mean: Any, variance: Any, epsilon: float, g: Any) -> tuple:
    """(x̄, γ̄, β̄) of ȳ."""
    rows, rows_of_g, channels = _in_rows(x), _in_rows(g), x.shape[-1]
    means = _repeated(mean, rows)

    def sums(start: int, stop: int) -> tuple[Any, Any]:
        """Σ ȳ and Σ ȳ (x − µ)."""
        total, products = 0, 0
        for part, scratch in in_blocks(memory, start, stop, 3 * rows[:1].nbytes):
            xp.subtract(rows[part], means, out=scratch)
            scratch *= rows_of_g[part]
            total = total + _sum(rows_of_g[part], channels)
            products = products + _sum(scratch, channels)
        return total, products

    def memory(count: int) -> Any:
        return xp.empty((count, rows.shape[1]), rows.dtype)

    parts = in_parts(sums, len(rows), 2 * x.size)
    total, products = (sum(part) for part in zip(*parts, strict=True))
    inverse = 1 / xp.sqrt(variance + epsilon)
    n = x.size // max(1, channels)
    scale = gain * inverse
    by_g, by_x, rest = (
        _repeated(v, rows)
        for v in (scale, -scale * inverse * inverse * products / n, -scale * total / n)
    )
    slopes = xp.empty(rows.shape, rows.dtype)

    def work(start: int, stop: int) -> None:
        for part, scratch in in_blocks(memory, start, stop, 4 * rows[:1].nbytes, stream=True):
            y = slopes[part]
            xp.subtract(rows[part], means, out=y)
            y *= by_x
            y += rest
            xp.multiply(rows_of_g[part], by_g, out=scratch)
            y += scratch

    in_parts(work, len(rows), 3 * x.size)
    return slopes.reshape(x.shape), products * inverse, total


# ------------------------------------------------------------------------------------------ rows


def _in_rows(x: Any) -> Any:
    """(..., C) -> (rows, k·C): some positions side by side."""
    rows = as_rows(x)
    count, channels = rows.shape
    k = 1
    while count % (2 * k) == 0 and 2 * k * channels <= LONG:
        k *= 2
    return xp.ascontiguousarray(rows).reshape(count // k, k * channels)


def _repeated(v: Any, rows: Any) -> Any:
    """What each channel has, (C,), for the channels of all positions that are side by side."""
    return xp.tile(v, rows.shape[1] // max(1, len(v)))


def _sum(rows: Any, channels: int) -> Any:
    """Over all positions: (rows, k·C) -> (C,). As a product with ones: see backend/sums.py."""
    return (xp.ones(len(rows), rows.dtype) @ rows).reshape(-1, channels).sum(axis=0)


def _moments(rows: Any, channels: int) -> tuple[int, Any, Any]:
    """How many positions these are, their mean, and the sum of the squares of what differs."""
    n = math.prod(rows.shape) // max(1, channels)
    mean = _sum(rows, channels) / n
    means, squares = _repeated(mean, rows), 0

    def memory(count: int) -> Any:
        return xp.empty((count, rows.shape[1]), rows.dtype)

    for part, scratch in in_blocks(memory, 0, len(rows), 2 * rows[:1].nbytes):
        xp.subtract(rows[part], means, out=scratch)
        scratch *= scratch
        squares = squares + _sum(scratch, channels)
    return n, mean, squares


def _together(parts: list[tuple[int, Any, Any]], n: int) -> tuple[Any, Any]:
    """Mean and variance of all positions."""
    mean = sum(count * m for count, m, _ in parts) / n
    squares = sum(s + count * (m - mean) ** 2 for count, m, s in parts)
    return mean, squares / n
