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
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from autograd import backend
from autograd.backend import Array, xp
from autograd.backend.threads import in_parts
from autograd.nn.conv_geometry import Geometry


def gather(x: Array, w: Array, b: Array | None, geometry: Geometry) -> Array:
    """columns(x) @ w + b, for w of (taps, C_in, C_out)."""
    w = w.reshape(-1, w.shape[-1])
    dtype = xp.result_type(x, w) if b is None else xp.result_type(x, w, b)
    y = xp.empty((len(x), *geometry.out, w.shape[-1]), dtype)

    def work(start: int, stop: int) -> None:
        columns = _Columns(geometry, x.shape[-1], x.dtype)
        for images in columns.blocks(start, stop):
            rows = y[images].reshape(-1, w.shape[-1])
            xp.matmul(columns.of(x[images]), w, out=rows)
            if b is not None:
                rows += b  # while they are in the cache

    in_parts(work, len(x))
    return y


def scatter(g: Array, w: Array, b: Array | None, geometry: Geometry) -> Array:
    """columnsᵀ(g @ wᵀ) + b, for w of (taps, C_in, C_out).

    For stride one that is a gather too, which takes a fifth less time than to add up: it writes
    each value once. With few channels in x and many in g its columns would be the larger ones.
    """
    _, c_in, c_out = w.shape
    if geometry.transposed is not None and 2 * c_in > c_out:
        return gather(g, w.swapaxes(1, 2), b, geometry.transposed)
    w = w.reshape(-1, c_out).T
    dtype = xp.result_type(g, w) if b is None else xp.result_type(g, w, b)
    x = xp.empty((len(g), *geometry.sides, c_in), dtype)

    def work(start: int, stop: int) -> None:
        columns = _Columns(geometry, c_in, dtype)
        for images in columns.blocks(start, stop):
            x[images] = columns.transpose(g[images].reshape(-1, c_out) @ w)
            if b is not None:
                x[images] += b

    in_parts(work, len(g))
    return x


def correlate(x: Array, g: Array, geometry: Geometry) -> Array:
    """columns(x)ᵀ @ g, of shape (taps, C_in, C_out)."""
    taps, c_in, c_out = len(geometry.taps), x.shape[-1], g.shape[-1]

    def work(start: int, stop: int) -> Array:
        columns = _Columns(geometry, c_in, x.dtype)
        w = xp.zeros((taps * c_in, c_out), xp.result_type(x, g))
        for images in columns.blocks(start, stop):
            w += columns.of(x[images]).T @ g[images].reshape(-1, c_out)
        return w

    return sum(in_parts(work, len(x))).reshape(taps, c_in, c_out)


class _Columns:
    """The columns of a few images at a time, in buffers that are used again and again."""

    def __init__(self, geometry: Geometry, channels: int, dtype: Any) -> None:
        self.geometry = geometry
        self.channels = channels
        self.dtype = dtype
        image = math.prod(geometry.out) * len(geometry.taps) * channels * dtype.itemsize
        fits = 2**20 if backend.current() == "numpy" else 2**28  # a core's cache; part of a GPU's
        self.images = max(1, fits // max(1, image))
        self.padded: Any = None
        self.columns: Any = None

    def blocks(self, start: int, stop: int) -> Iterator[slice]:
        """The images from ``start`` to ``stop``, as many at a time as fit."""
        self.images = max(1, min(self.images, stop - start))
        for first in range(start, stop, self.images):
            yield slice(first, min(first + self.images, stop))

    def of(self, x: Array) -> Array:
        """What each output position reads: (N, *sides, C_in) -> (N·out, taps·C_in)."""
        geometry = self.geometry
        if geometry.is_pointwise:
            return x.reshape(-1, self.channels)
        if geometry.is_padded:
            padded = self._padded()[: len(x)]
            padded[geometry.inside] = x
            x = padded
        if self.columns is None:
            shape = (self.images, *geometry.out, len(geometry.taps), self.channels)
            self.columns = xp.empty(shape, self.dtype)
        columns = self.columns[: len(x)]
        for i, window in enumerate(geometry.windows):
            columns[..., i, :] = x[window]
        return columns.reshape(-1, len(geometry.taps) * self.channels)

    def transpose(self, columns: Array) -> Array:
        """Each value added to where it was read from: (N·out, taps·C_in) -> (N, *sides, C_in)."""
        geometry = self.geometry
        columns = columns.reshape(-1, *geometry.out, len(geometry.taps), self.channels)
        padded = self._padded()[: len(columns)]
        padded[...] = 0
        for i, window in enumerate(geometry.windows):
            padded[window] += columns[..., i, :]
        return padded[geometry.inside]

    def _padded(self) -> Array:
        if self.padded is None:
            shape = (self.images, *self.geometry.padded, self.channels)
            self.padded = xp.zeros(shape, self.dtype)
        return self.padded
