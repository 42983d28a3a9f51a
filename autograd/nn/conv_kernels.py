"""How a convolution is computed: gather what each output reads, then one matrix product.

Row r of the matrix of *columns* holds the inputs that output position r reads, tap by tap. With
the kernel as a matrix w of (taps·C_in, C_out), the three members of the family are

    conv                 y  = columns(x) @ w
    conv_weight_grad     w̄  = columns(x)ᵀ @ ȳ
    conv_input_grad      x̄  = columnsᵀ(ȳ @ wᵀ)        each value added to where it was read from

(Chellapilla et al. 2006, "im2col"). The matrix is never made as a whole: it is as many times larger
than x as the kernel has taps. A few images at a time, it fits into the cache, is used there and
overwritten: for 32 images of 28×28×64 and a 3×3 kernel that took 14 ms, at once 32 ms.

On the CPU every core works on images of its own (:mod:`autograd.backend.threads`): 11.5 ms, since
the copies are shared too. The same code runs on CuPy, a few hundred images at a time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from autograd import backend
from autograd.backend import Array, xp
from autograd.backend.threads import in_parts

Sides = tuple[int, ...]
Index = tuple[slice, ...]


@dataclass(frozen=True)
class Geometry:
    """Which inputs each output position reads. All tuples have one entry for each dimension.

    Output position o reads, for each tap t, the input position stride·o + dilation·t − before.
    """

    sides: Sides  # of the input
    out: Sides  # of the output
    kernel: Sides
    stride: Sides
    dilation: Sides
    before: Sides  # zeros in front of the input
    after: Sides  # and behind it
    taps: tuple[Sides, ...]  # the positions in the kernel that count, in order

    @cached_property
    def padded(self) -> Sides:
        pads = zip(self.before, self.sides, self.after, strict=True)
        return tuple(before + side + after for before, side, after in pads)

    @cached_property
    def inside(self) -> Index:
        """Where the input lies within the padded input."""
        pairs = zip(self.before, self.sides, strict=True)
        return (slice(None), *(slice(start, start + side) for start, side in pairs))

    @cached_property
    def windows(self) -> list[Index]:
        """What each tap reads of the padded input, over all output positions."""
        return [
            (
                slice(None),
                *(
                    slice(d * t, d * t + s * (out - 1) + 1, s)
                    for d, t, s, out in zip(self.dilation, tap, self.stride, self.out, strict=True)
                ),
            )
            for tap in self.taps
        ]

    @property
    def is_padded(self) -> bool:
        return self.padded != self.sides

    @property
    def is_pointwise(self) -> bool:
        """Whether the columns are the input itself."""
        return len(self.taps) == 1 and self.sides == self.out and not self.is_padded

    def reversed(self) -> Geometry | None:
        """That of the input gradient as a convolution of ȳ with the flipped kernel, if it is one.

        x̄ at i collects ȳ at o = i + before − dilation·t, which for stride 1 is a convolution that
        reads ȳ with the taps in opposite order, dilation·(kernel − 1) − before in front.
        """
        reach = [d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True)]
        before = tuple(r - b for r, b in zip(reach, self.before, strict=True))
        after = tuple(r - a for r, a in zip(reach, self.after, strict=True))
        if any(s != 1 for s in self.stride) or min(*before, *after) < 0:
            return None
        flipped = [
            tuple(k - 1 - t for k, t in zip(self.kernel, tap, strict=True)) for tap in self.taps
        ]
        return Geometry(
            self.out, self.sides, self.kernel, self.stride, self.dilation, before, after,
            tuple(flipped),
        )  # fmt: skip


def gather(x: Array, w: Array, b: Array | None, geometry: Geometry) -> Array:
    """columns(x) @ w + b, for w of (taps, C_in, C_out)."""
    w = w.reshape(-1, w.shape[-1])
    dtype = xp.result_type(x, w) if b is None else xp.result_type(x, w, b)
    y = xp.empty((len(x), *geometry.out, w.shape[-1]), dtype)

    def work(start: int, stop: int) -> None:
        columns = _Columns(geometry, x)
        for images in columns.blocks(start, stop):
            rows = y[images].reshape(-1, w.shape[-1])
            xp.matmul(columns.of(x[images]), w, out=rows)
            if b is not None:
                rows += b  # while they are in the cache

    in_parts(work, len(x))
    return y


def scatter(g: Array, w: Array, b: Array | None, geometry: Geometry) -> Array:
    """columnsᵀ(g @ wᵀ) + b: each product is added to the input positions that it came from.

    Where it can, that is a gather too, which has no sums to write and read again (a quarter less
    time for 64 channels); but for few input channels the columns of g would be the larger ones.
    """
    reverse = geometry.reversed()
    if reverse is not None and 2 * w.shape[1] > w.shape[2]:
        return gather(g, w.swapaxes(1, 2), b, reverse)
    taps, channels, _ = w.shape
    w = w.reshape(-1, w.shape[-1]).T
    x = xp.empty((len(g), *geometry.sides, channels), xp.result_type(g, w))

    def work(start: int, stop: int) -> None:
        columns = _Columns(geometry, x)
        for images in columns.blocks(start, stop):
            rows = g[images].reshape(-1, g.shape[-1])
            x[images] = columns.back(xp.matmul(rows, w))
            if b is not None:
                x[images] += b

    in_parts(work, len(g))
    return x


def correlate(x: Array, g: Array, geometry: Geometry) -> Array:
    """columns(x)ᵀ @ g, of shape (taps, C_in, C_out)."""
    shape = (len(geometry.taps) * x.shape[-1], g.shape[-1])

    def work(start: int, stop: int) -> Array:
        columns = _Columns(geometry, x)
        total = xp.zeros(shape, xp.result_type(x, g))
        for images in columns.blocks(start, stop):
            total += columns.of(x[images]).T @ g[images].reshape(-1, g.shape[-1])
        return total

    first, *others = in_parts(work, len(x))
    for other in others:
        first += other
    return first.reshape(len(geometry.taps), x.shape[-1], g.shape[-1])


class _Columns:
    """The matrix of columns of a few images at a time, in buffers that are used again."""

    def __init__(self, geometry: Geometry, x: Array) -> None:
        self.geometry = geometry
        self.channels = x.shape[-1]
        self.dtype = x.dtype
        row = len(geometry.taps) * self.channels * x.dtype.itemsize
        size = 2**20 if backend.current() == "numpy" else 2**28  # a core's cache; a part of a GPU's
        self.images = max(1, size // max(1, row * math.prod(geometry.out)))
        self._padded: Any = None
        self._columns: Any = None

    def blocks(self, start: int, stop: int) -> Iterator[slice]:
        for first in range(start, stop, self.images):
            yield slice(first, min(first + self.images, stop))

    def of(self, x: Array) -> Array:
        """The columns of ``x``: (images·positions, taps·channels)."""
        geometry = self.geometry
        if geometry.is_pointwise:
            return x.reshape(-1, self.channels)
        if geometry.is_padded:
            padded = self._padded_buffer(len(x))
            padded[geometry.inside] = x
            x = padded
        columns = self._columns_buffer(len(x))
        for i, window in enumerate(geometry.windows):
            columns[..., i, :] = x[window]
        return columns.reshape(-1, len(geometry.taps) * self.channels)

    def back(self, columns: Array) -> Array:
        """The transpose of :meth:`of`: what each input position was read as, added up."""
        geometry = self.geometry
        columns = columns.reshape(-1, *geometry.out, len(geometry.taps), self.channels)
        padded = self._padded_buffer(len(columns))
        padded[...] = 0
        for i, window in enumerate(geometry.windows):
            padded[window] += columns[..., i, :]
        return padded[geometry.inside]

    def _padded_buffer(self, images: int) -> Array:
        if self._padded is None or len(self._padded) < images:
            self._padded = xp.zeros((images, *self.geometry.padded, self.channels), self.dtype)
        return self._padded[:images]

    def _columns_buffer(self, images: int) -> Array:
        if self._columns is None or len(self._columns) < images:
            shape = (images, *self.geometry.out, len(self.geometry.taps), self.channels)
            self._columns = xp.empty(shape, self.dtype)
        return self._columns[:images]
