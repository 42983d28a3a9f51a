"""The gated activation unit of the WaveNet and of the gated PixelCNN, as one operation.

Its two factors and their product are computed for as many rows at a time as stay in a core's cache,
and so is the way back; each core has rows of its own. Both factors are a tanh, as
σ(b) = (1 + tanh(b/2)) / 2.
"""

from __future__ import annotations

from typing import Any

import numpy

from autograd import numpy as np
from autograd.backend import xp
from autograd.backend.products import as_rows
from autograd.backend.threads import in_blocks, in_parts
from autograd.backend.whole import whole
from autograd.core import Tensor, defvjp, is_recording, primitive
from autograd.table import Call, Draw, call, composite

TANH = 8  # a number here takes as long as at least so many of those that in_parts counts


def _samples(d: Draw) -> Call:
    return call(d.array((*d.shape(max_ndim=2), 2 * d.integer(0, 3))))


@composite(
    r"y = \tanh(a) \odot \sigma(b), \quad x = (a, b)",
    _samples,
    [call(numpy.zeros((2, 3))), call(numpy.zeros(()))],
    analytic=True,
)
def gated(x):
    """tanh(a) ⊙ σ(b) of the halves a and b of the last axis: (..., 2C) -> (..., C).

    Equation 2 of van den Oord et al. 2016 ("WaveNet"), and of their "Conditional image generation
    with PixelCNN decoders". σ is exact to the rounding of 1; where b is far below 0, tanh(a) σ(b)
    has less relative accuracy than the product of the two functions.
    Kept for the gradient: both factors, but not x.
    Raises ValueError if the last axis is odd.
    """
    if x.ndim == 0 or x.shape[-1] % 2:
        raise ValueError(f"gated: x {x.shape} has no last axis of even length, (..., 2C)")
    if x.dtype.kind not in "fc":
        raise TypeError(f"gated: x is {x.dtype}; expected a float type, as of x.astype('float32')")
    return _gated(x, [] if is_recording() and isinstance(x, Tensor) else None)


@primitive
def _gated(x, kept):
    """The same; ``kept``, an empty list or None, receives the factors, (rows, C) each."""
    pairs = as_rows(x)
    shape = len(pairs), x.shape[-1] // 2
    y = xp.empty(shape, x.dtype)
    if kept is not None:
        kept += [xp.empty(shape, x.dtype), xp.empty(shape, x.dtype)]

    def work(start: int, stop: int) -> None:
        for rows, scratch in _blocks(y, start, stop):
            t, s = (factor[rows] for factor in kept) if kept else scratch
            xp.tanh(pairs[rows, : shape[1]], out=t)
            xp.multiply(pairs[rows, shape[1] :], 0.5, out=s)
            xp.tanh(s, out=s)
            s += 1
            s *= 0.5
            xp.multiply(t, s, out=y[rows])

    in_parts(work, len(y), TANH * x.size)
    return y.reshape((*x.shape[:-1], shape[1]))


def _rule(_, x, kept):
    """ā = ȳ s (1 − t²) and b̄ = ȳ t s (1 − s) of the factors t and s."""
    node, shape = x.node, x.shape

    def vjp(g):
        if not is_recording():
            return _backward(g, *kept).reshape(shape)
        nowhere = xp.broadcast_to(xp.zeros((), g.dtype), shape)  # x was not kept, just its place
        t, s = _factors(Tensor(nowhere, node), *(f.reshape(g.shape) for f in kept))
        return np.concatenate([g * s * (1 - t * t), g * (t * s) * (1 - s)], axis=-1)

    return vjp


defvjp(_gated, _rule, None)


@whole
def _backward(g: Any, t: Any, s: Any) -> Any:
    """ȳ and the factors -> x̄, (rows, 2C)."""
    g, channels = as_rows(g), t.shape[1]
    x = xp.empty((len(g), 2 * channels), t.dtype)

    def work(start: int, stop: int) -> None:
        for rows, (y, slope) in _blocks(t, start, stop):
            xp.multiply(t[rows], s[rows], out=y)
            xp.multiply(y, t[rows], out=slope)
            xp.subtract(s[rows], slope, out=slope)
            xp.multiply(slope, g[rows], out=x[rows, :channels])
            xp.subtract(1, s[rows], out=slope)
            slope *= y
            xp.multiply(slope, g[rows], out=x[rows, channels:])

    in_parts(work, len(g), TANH * g.size)
    return x


@primitive
def _factors(x, t, s):
    """(tanh(a), σ(b)), which are known already: x says whom to differentiate by."""
    return t, s


def _factors_rule(factors, x, t, s):
    t, s = factors
    return lambda g: np.concatenate([g[0] * (1 - t * t), g[1] * (s * (1 - s))], axis=-1)


defvjp(_factors, _factors_rule, None, None)


def _blocks(y: Any, start: int, stop: int) -> Any:
    """Rows, some at a time, each time with memory for two arrays (rows, C)."""

    def memory(rows: int) -> list[Any]:
        return [xp.empty((rows, y.shape[1]), y.dtype) for _ in range(2)]

    return in_blocks(memory, start, stop, 3 * y[:1].nbytes, stream=True)  # the result and these two
