"""Convolutions with fewer products, by sums before and after: Winograd's minimal filtering.

Two neighbouring outputs of a convolution with 3 taps, y₀ = d₀g₀ + d₁g₁ + d₂g₂ and
y₁ = d₁g₀ + d₂g₁ + d₃g₂, take 6 products; with 2 taps, 4. Winograd (1980) needs 4, and 3:

    3 taps: m₀ = (d₀ − d₂) g₀                   2 taps: m₀ = (d₀ − d₁) g₀
            m₁ = (d₁ + d₂) (g₀ + g₁ + g₂) / 2           m₁ = d₁ (g₀ + g₁)
            m₂ = (d₂ − d₁) (g₀ − g₁ + g₂) / 2           m₂ = (d₂ − d₁) g₁
            m₃ = (d₃ − d₁) g₂
            y₀ = m₀ + m₁ + m₂                           y₀ = m₀ + m₁
            y₁ = m₁ − m₂ + m₃                           y₁ = m₁ + m₂

or, with matrices B, G and A for the three sums, y = Aᵀ[(G g) ⊙ (Bᵀ d)]. In two dimensions each sum
is taken along both, and a 3×3 kernel makes tiles of 2×2 outputs by 4·4 products in place of 36, a
2×2 kernel by 9 in place of 16 (Lavin & Gray 2016, "Fast algorithms for convolutional neural
networks", §4.1). With channels, each product is one of matrices: (tiles, C_in) @ (C_in, C_out).
The gradient with respect to g is the transpose of the same three sums: Gᵀ[(Bᵀ d)ᵀ (A ȳ)] G.

A kernel with a stride is one with stride 1 of the input's residues modulo the stride, set side by
side as channels: so a 4×4 kernel of stride 2 is a 2×2 kernel of 4 C_in channels.

Sums move memory, products do not, so it pays for many channels. For 64 (3×3, float32) it takes two
thirds of the time of :mod:`autograd.nn.conv_kernels`, and with smaller rounding errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from autograd import backend
from autograd.backend import Array, xp
from autograd.backend.threads import CACHE, one_blas_thread
from autograd.nn.conv_geometry import Geometry, Sides

G: dict[int, tuple] = {2: ((1.0, 0.0), (1.0, 1.0), (0.0, 1.0))}
G[3] = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))
SUM = 30  # measured: how many products of a matrix product take as long as an element of a sum


def applies(geometry: Geometry, images: int, c_in: int, c_out: int) -> bool:
    """Whether the convolution is of this kind, and the products it saves take longer than sums."""
    first, *others = geometry.boxes
    if others or len(geometry.out) != 2 or backend.current() == "cupy":  # there, not measured
        return False
    if any(step != 1 for step in (offsets.step for offsets in first.offsets)):
        return False
    if any(k % s or k // s not in G for k, s in zip(first.shape, geometry.stride, strict=True)):
        return False
    if any(side % 2 for side in geometry.out) or images * math.prod(geometry.out) < 512:
        return False
    points = math.prod(k // s + 1 for k, s in zip(first.shape, geometry.stride, strict=True))
    residues = math.prod(geometry.stride)
    saved = 4 * math.prod(first.shape) - points * residues
    return saved * c_in * c_out > SUM * points * (residues * c_in + c_out)


class Sums:
    """The three sums, and their transposes, for one geometry."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.taps = [k // s for k, s in zip(geometry.boxes[0].shape, geometry.stride, strict=True)]
        self.points = [taps + 1 for taps in self.taps]
        self.high, self.wide = (side // 2 for side in geometry.out)  # tiles

    def weights(self, w: Array) -> Array:
        """G g Gᵀ: (k·k, C_in, C_out) -> (points, residues·C_in, C_out)."""
        split = w.reshape(*self._split(), *w.shape[1:]).transpose(0, 2, 1, 3, 4, 5)
        with one_blas_thread():
            sums = self._matrix(w.dtype) @ split.reshape(math.prod(self.taps), -1)
        return sums.reshape(math.prod(self.points), -1, w.shape[-1])

    def weights_transpose(self, m: Array, c_in: int) -> Array:
        """Gᵀ m G: (points, residues·C_in, C_out) -> (k·k, C_in, C_out)."""
        with one_blas_thread():
            split = self._matrix(m.dtype).T @ m.reshape(len(m), -1)
        (rows, s, columns, t), c_out = self._split(), m.shape[-1]
        split = split.reshape(rows, columns, s, t, c_in, c_out).transpose(0, 2, 1, 3, 4, 5)
        return split.reshape(-1, c_in, c_out)

    def _split(self) -> Sides:
        """The kernel as taps and residues, for rows and for columns."""
        pairs = zip(self.taps, self.geometry.stride, strict=True)
        return tuple(side for pair in pairs for side in pair)

    def _matrix(self, dtype: Any) -> Array:
        """G along both dimensions at once: its Kronecker product with itself."""
        rows, columns = (G[taps] for taps in self.taps)
        return xp.asarray([[a * b for a in p for b in q] for p in rows for q in columns], dtype)

    def gather(self, y: Array, x: Array, w: Array, b: Array | None, start: int, stop: int) -> None:
        """y = conv(x) + b for the images from ``start`` to ``stop``, w from :meth:`weights`."""
        work = _Tiles(self, x.shape[-1], y.shape[-1], y.dtype, stop - start)
        for images in work.blocks(start, stop):
            read = work.of_input(x[images])
            products = work.buffer("products", (*read.shape[:-1], w.shape[-1]))
            xp.matmul(read, w, out=products)
            if b is not None:
                products[self.points[1] + 1] += b  # m₁₁ is in all four sums, with a plus
            work.to_output(products, y[images])

    def correlate(self, x: Array, g: Array, start: int, stop: int) -> Array:
        """What those images add to the gradient with respect to :meth:`weights`."""
        dtype = xp.result_type(x, g)
        work = _Tiles(self, x.shape[-1], g.shape[-1], dtype, stop - start)
        depth = math.prod(self.geometry.stride) * x.shape[-1]
        total = xp.zeros((math.prod(self.points), depth, g.shape[-1]), dtype)
        for images in work.blocks(start, stop):
            total += work.of_input(x[images]).swapaxes(1, 2) @ work.of_output(g[images])
        return total


class _Tiles:
    """The sums of as many images at a time as fit into a core's cache."""

    def __init__(self, sums: Sums, c_in: int, c_out: int, dtype: Any, count: int) -> None:
        self.sums = sums
        self.dtype = dtype
        depth = math.prod(sums.geometry.stride) * c_in + c_out
        image = math.prod(sums.points) * sums.high * sums.wide * depth * dtype.itemsize
        self.images = max(1, min(count, CACHE // image))
        self.buffers: dict[str, Array] = {}

    def blocks(self, start: int, stop: int) -> Iterator[slice]:
        for first in range(start, stop, self.images):
            yield slice(first, min(first + self.images, stop))

    def buffer(self, name: str, shape: Sides) -> Array:
        """Memory that is used again for the next images, if there are as many."""
        if name not in self.buffers or self.buffers[name].shape != shape:
            self.buffers[name] = xp.zeros(shape, self.dtype)
        return self.buffers[name]

    def of_input(self, x: Array) -> Array:
        """Bᵀ d B: (N, H, W, C) -> (points, tiles, residues·C)."""
        (rows, columns), high, wide = self.sums.points, self.sums.high, self.sums.wide
        x = self._residues(x)
        n, height, _, *depth = x.shape
        across = self.buffer("across", (columns, n, height, wide, *depth))
        _input_sums([x[:, :, k : k + 2 * wide - 1 : 2] for k in range(columns)], across)
        both = self.buffer("inputs", (rows, columns, n, high, wide, *depth))
        _input_sums([across[:, :, k : k + 2 * high - 1 : 2] for k in range(rows)], both)
        return both.reshape(rows * columns, n * high * wide, -1)

    def _residues(self, x: Array) -> Array:
        """All that the outputs read: (N, H, W, C) -> (N, H′, W′, stride, stride, C), a view."""
        geometry = self.sums.geometry
        if geometry.padded != geometry.sides:
            padded = self.buffer("padded", (len(x), *geometry.padded, x.shape[-1]))
            padded[geometry.inside] = x
            x = padded
        index, split = [slice(None)], [len(x)]
        for i, (stride, taps) in enumerate(zip(geometry.stride, self.sums.taps, strict=True)):
            first = geometry.before[i] + geometry.boxes[0].offsets[i][0]
            count = geometry.out[i] + taps - 1
            index.append(slice(first, first + stride * count))
            split += [count, stride]
        return x[tuple(index)].reshape(*split, x.shape[-1]).transpose(0, 1, 3, 2, 4, 5)

    def to_output(self, products: Array, y: Array) -> None:
        """Aᵀ m A: (points, tiles, C) -> (N, H, W, C), which is written into ``y``."""
        high, wide = self.sums.high, self.sums.wide
        n, c = len(y), y.shape[-1]
        products = products.reshape(*self.sums.points, n, high, wide, c)
        down = self.buffer("down", (2, *products.shape[1:]))
        _output_sums(products, down)
        y = y.reshape(n, high, 2, wide, 2, c)  # a view
        for row in range(2):
            _output_sums(down[row], [y[:, :, row, :, 0], y[:, :, row, :, 1]])

    def of_output(self, g: Array) -> Array:
        """A g Aᵀ: (N, H, W, C) -> (points, tiles, C)."""
        (rows, columns), high, wide = self.sums.points, self.sums.high, self.sums.wide
        n, c = len(g), g.shape[-1]
        g = g.reshape(n, high, 2, wide, 2, c)
        across = self.buffer("spread", (columns, n, high, 2, wide, c))
        _output_sums_transpose(g[:, :, :, :, 0], g[:, :, :, :, 1], across)
        both = self.buffer("outputs", (rows, columns, n, high, wide, c))
        _output_sums_transpose(across[:, :, :, 0], across[:, :, :, 1], both)
        return both.reshape(rows * columns, -1, c)


def _input_sums(d: Any, out: Array) -> None:
    """Bᵀ d."""
    if len(d) == 3:
        xp.subtract(d[0], d[1], out=out[0])
        out[1] = d[1]
        xp.subtract(d[2], d[1], out=out[2])
    else:
        xp.subtract(d[0], d[2], out=out[0])
        xp.add(d[1], d[2], out=out[1])
        xp.subtract(d[2], d[1], out=out[2])
        xp.subtract(d[3], d[1], out=out[3])


def _output_sums(m: Array, out: Any) -> None:
    """Aᵀ m."""
    if len(m) == 3:
        xp.add(m[0], m[1], out=out[0])
        xp.add(m[1], m[2], out=out[1])
    else:
        first = xp.add(m[1], m[2], out=out[0])
        first += m[0]
        second = xp.subtract(m[1], m[2], out=out[1])
        second += m[3]


def _output_sums_transpose(y0: Array, y1: Array, out: Array) -> None:
    """A y."""
    out[0] = y0
    xp.add(y0, y1, out=out[1])
    if len(out) == 4:
        xp.subtract(y0, y1, out=out[2])
    out[-1] = y1
