"""How a convolution is computed: gather what each output reads, then one matrix product.

Row r of the matrix of *columns* holds the inputs that output position r reads, tap by tap. With
the kernel as a matrix w of (taps·C_in, C_out), the three members of the family are

    conv                 y  =  columns(x) @ w
    conv_weight_grad     w̄  =  columns(x)ᵀ @ ȳ
    conv_input_grad      x̄  =  columnsᵀ(ȳ @ wᵀ)       each value added to where it was read from

(Chellapilla et al. 2006, "im2col"). The matrix is never made as a whole: it is as many times larger
than x as the kernel has taps. A few images at a time, it stays in the cache, is used there, and is
overwritten. On the CPU, every core does so with images of its own, so that copies are shared out
as products are (:mod:`autograd.backend.threads`). On CuPy the same code takes more at a time.
Some convolutions go another way: with fewer products (:mod:`autograd.nn.conv_winograd`), or, where
that takes no longer, without copies (:mod:`autograd.nn.conv_views`).

Throughout, weights are flat: (positions in the kernel, C_in, C_out).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from autograd.backend import Array, xp
from autograd.backend.products import as_rows, multiply, multiply_transposed
from autograd.backend.scratch import Empty, kept
from autograd.backend.threads import in_blocks, in_parts
from autograd.nn import conv_views, conv_winograd
from autograd.nn.conv_geometry import Box, Geometry
from autograd.nn.conv_winograd import Winograd, best_tile

LIGHT = 24
"""Products here take as long as one number of those that in_parts counts.

By measurement, on two cores: 64 images of 8×8 (3×3, mask B, 32 to 32 channels, 21
million products) take 0.67 ms by one thread and 0.70 by two; 32 of 28×28 3.6 and 2.1. All layers
of a PixelCNN fall to these sides, and of the latter the least gain is from 1.0 to 0.6 ms, of 64 to
17 channels (1×1, 27 million).
"""

Run = Callable[[int, int], None]
"""What computes a result for the images from the first number to the one before the second."""


def gather(x: Array, w: Array, b: Array | None, geometry: Geometry) -> Array:
    """y = columns(x) @ w + b."""
    y = xp.empty((len(x), *geometry.out, w.shape[-1]), _dtype(x, w, b))
    size = _work(y.size * w.shape[1], geometry, x, y)
    in_parts(_gathering(y, x, w, b, geometry), len(x), size)
    return y


def scatter(g: Array, w: Array, b: Array | None, geometry: Geometry) -> Array:
    """x̄ = columnsᵀ(g @ wᵀ) + b.

    That is a convolution of g, or several (:attr:`Geometry.transposed`), and computed as one, as
    what is gathered is written once, and what is scattered is added up again and again. But where
    x has few channels and g has many, the columns of g are the larger ones; then it is scattered,
    unless the convolution goes another way.
    """
    c_in, c_out = w.shape[1:]
    x = xp.empty((len(g), *geometry.sides, c_in), _dtype(g, w, b))
    size = _work(g.size * c_in, geometry, x, g)
    up = conv_winograd.transposed(geometry)
    if up and (tile := best_tile(up, len(g), c_out, math.prod(geometry.stride) * c_in)):
        way = Winograd.transpose(geometry, tile)
        run = partial(way.gather, x, g, way.weights(w), b)
        in_parts(run, len(g), size)
        return x
    parts = [part for _, part in geometry.transposed if part]
    if 4 * c_in < c_out and not any(
        conv_views.applies(part, c_out, c_in) or best_tile(part, len(g), c_out, c_in)
        for part in parts
    ):
        run = partial(_scatter, x, g, xp.ascontiguousarray(_matrix(w, geometry).T), b, geometry)
        in_parts(run, len(g), size)
        return x
    w = w.swapaxes(1, 2)
    runs = [_gathering(x[at], g, w, b, part) for at, part in geometry.transposed]

    def run_all(start: int, stop: int) -> None:
        for run in runs:
            run(start, stop)

    in_parts(run_all, len(g), size)
    return x


def correlate(x: Array, g: Array, geometry: Geometry) -> Array:
    """w̄ = columns(x)ᵀ @ g."""
    c_in, c_out = x.shape[-1], g.shape[-1]
    size = _work(g.size * c_in, geometry, x, g)
    if tile := best_tile(geometry, len(x), c_in, c_out, largest=2):
        way = Winograd.of(geometry, tile)
        parts = in_parts(partial(way.correlate, x, g), len(x), size)
        taps = way.weights_transpose(sum(parts), c_in, c_out)
    else:
        applies = conv_views.applies(geometry, c_in, c_out)
        work = partial(conv_views.correlate if applies else _correlate, x, g, geometry)
        taps = sum(in_parts(work, len(x), size)).reshape(-1, c_in, c_out)
    count = math.prod(geometry.kernel)
    if geometry.numbers == list(range(count)):
        return taps
    w = xp.zeros((count, c_in, c_out), taps.dtype)
    w[geometry.numbers] = taps
    return w


def _work(size: int, geometry: Geometry, x: Array, y: Array) -> int:
    """What in_parts is to count for ``size`` products for each tap, between x and y.

    With few channels on one side there are few products, and the other side takes the time.
    """
    return size * len(geometry.numbers) // LIGHT + max(x.size, y.size)


def sum_positions(x: Array) -> Array:
    """(N, *sides, C) -> (C,), as a product with a row of ones.

    It reads x once, on all cores: a fifth of the time of a sum over the leading axes.
    """

    def work(start: int, stop: int) -> Array:
        rows = as_rows(x[start:stop])
        return xp.ones(len(rows), x.dtype) @ rows

    return sum(in_parts(work, len(x), x.size))


# ---------------------------------------------------------------------- each for some of the images


def _gathering(y: Array, x: Array, w: Array, b: Array | None, geometry: Geometry | None) -> Run:
    """What writes the convolution of x into ``y``."""
    if geometry is None:  # no output reads anything
        return partial(_fill, y, b)
    if tile := best_tile(geometry, len(x), *w.shape[1:]):
        way = Winograd.of(geometry, tile)
        return partial(way.gather, y, x, way.weights(_taps(w, geometry)), b)
    if conv_views.applies(geometry, *w.shape[1:]):
        taps = xp.ascontiguousarray(_taps(w, geometry))
        return partial(conv_views.gather, y, x, taps, b, geometry)
    return partial(_gather, y, x, _matrix(w, geometry), b, geometry)


def _fill(y: Array, b: Array | None, start: int, stop: int) -> None:
    y[start:stop] = 0 if b is None else b


def _gather(
    y: Array,
    x: Array,
    matrix: Array,
    b: Array | None,
    geometry: Geometry,
    start: int,
    stop: int,
) -> None:
    for images, columns in _blocks(geometry, x, start, stop):
        target = y[images]
        in_order = target.flags.c_contiguous
        rows = target if in_order else xp.empty(target.shape, y.dtype)
        flat = as_rows(rows)
        multiply(columns.of(x[images]), matrix, flat)
        if b is not None:
            flat += b  # while they are in the cache
        if not in_order:
            target[...] = rows


def _scatter(
    x: Array,
    g: Array,
    matrix: Array,
    b: Array | None,
    geometry: Geometry,
    start: int,
    stop: int,
) -> None:
    for images, columns in _blocks(geometry, x, start, stop, taps_first=False):
        multiply(as_rows(g[images]), matrix, columns.flat)
        rows = columns.transpose()
        x[images] = rows if b is None else rows + b


def _correlate(x: Array, g: Array, geometry: Geometry, start: int, stop: int) -> Array:
    shape = (len(geometry.numbers) * x.shape[-1], g.shape[-1])
    total = xp.zeros(shape, _dtype(x, g))
    for images, columns in _blocks(geometry, x, start, stop):
        total += multiply_transposed(columns.of(x[images]), g[images])
    return total


def _blocks(
    geometry: Geometry, x: Array, start: int, stop: int, taps_first: bool = True
) -> Iterator[tuple[slice, Any]]:
    channels, size = x.shape[-1], x.dtype.itemsize
    bytes_each = math.prod(geometry.out) * len(geometry.numbers) * channels * size
    memory = kept(_Columns, geometry, channels, x.dtype, taps_first and channels == 1)
    return in_blocks(memory, start, stop, bytes_each)


def _taps(w: Array, geometry: Geometry) -> Array:
    """The weights of the taps that count, in the order in which they are read."""
    return w if geometry.numbers == list(range(len(w))) else w[geometry.numbers]


def _matrix(w: Array, geometry: Geometry) -> Array:
    """The same as (taps·C_in, C_out)."""
    return xp.ascontiguousarray(_taps(w, geometry).reshape(-1, w.shape[-1]))


def _dtype(*arrays: Array | None) -> Any:
    return xp.result_type(*(a for a in arrays if a is not None))


# -------------------------------------------------------------------------------------- columns


class _Columns:
    """The columns of some images: memory for them, and views of it.

    ``taps_first``: in memory all positions of the first tap come before those of the second. Of a
    single channel that is copied in a third of the time, row by row and not tap by tap.
    """

    def __init__(
        self,
        empty: Empty,
        geometry: Geometry,
        channels: int,
        dtype: Any,
        taps_first: bool,
        images: int,
    ) -> None:
        self.geometry = geometry
        self.padded = empty((images, *geometry.padded, channels), dtype)
        self.inside = self.padded[geometry.inside]
        taps, positions = len(geometry.numbers), (images, *geometry.out)
        if taps_first:
            self.columns = xp.moveaxis(empty((taps, *positions, channels), dtype), 0, -2)
        else:
            self.columns = empty((*positions, taps, channels), dtype)
        self.flat = self.columns.reshape(-1, taps * channels)  # a view
        self.copies = []  # (to, from)
        first = 0
        for box in geometry.boxes:
            last = first + math.prod(box.shape)
            part = self.columns[..., first:last, :]
            part = part.reshape(*positions, *box.shape, channels)  # a view
            self.copies.append((part, _windows(self.padded, geometry, box)))
            first = last

    def begin(self) -> None:
        """Zeros around the images."""
        self.padded[...] = 0

    def of(self, x: Array) -> Array:
        """What each output position reads: (N, *sides, C_in) -> (N·out, taps·C_in)."""
        self.inside[...] = x
        for to, values in self.copies:
            to[...] = values
        return self.flat

    def transpose(self) -> Array:
        """Each value of ``flat`` added to where it was read from: (N, *sides, C_in)."""
        self.padded[...] = 0
        for i, window in enumerate(self.geometry.windows):
            self.padded[window] += self.columns[..., i, :]
        return self.inside


def _windows(x: Array, geometry: Geometry, box: Box) -> Array:
    """A view of the padded input: (N, *out, *box, C_in), what each output reads through each tap.

    To copy it at once takes half the time of a copy for each tap, as the columns are filled in
    the order in which they lie in memory.
    """
    steps = x.strides[1:-1]
    starts = (b + r[0] for b, r in zip(geometry.before, box.offsets, strict=True))
    x = x[(slice(None), *(slice(start, None) for start in starts))]
    along_out = (s * step for s, step in zip(geometry.stride, steps, strict=True))
    along_box = (r.step * step for r, step in zip(box.offsets, steps, strict=True))
    return xp.lib.stride_tricks.as_strided(
        x,
        (len(x), *geometry.out, *box.shape, x.shape[-1]),
        (x.strides[0], *along_out, *along_box, x.strides[-1]),
    )
