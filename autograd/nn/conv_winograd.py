"""Convolutions with fewer products, by sums before and after: Winograd's minimal filtering.

Two neighbouring outputs of a convolution with 3 taps, y₀ = d₀g₀ + d₁g₁ + d₂g₂ and
y₁ = d₁g₀ + d₂g₁ + d₃g₂, take 6 products; with 2 taps, 4. Winograd (1980) needs 4, and 3:

    3 taps: m₀ = (d₀ − d₂) g₀                   2 taps: m₀ = (d₀ − d₁) g₀
            m₁ = (d₁ + d₂) (g₀ + g₁ + g₂) / 2           m₁ = d₁ (g₀ + g₁)
            m₂ = (d₂ − d₁) (g₀ − g₁ + g₂) / 2           m₂ = (d₂ − d₁) g₁
            m₃ = (d₃ − d₁) g₂
            y₀ = m₀ + m₁ + m₂                           y₀ = m₀ + m₁
            y₁ = m₁ − m₂ + m₃                           y₁ = m₁ + m₂

or, with matrices of the three sums, y = A[(G g) ⊙ (B d)]. In two dimensions each sum is taken along
both, as one sum with the Kronecker product of its matrix with itself. A 3×3 kernel then makes tiles
of 2×2 outputs by 4·4 products in place of 36, a 2×2 kernel by 9 in place of 16 (Lavin & Gray 2016,
"Fast algorithms for convolutional neural networks", §4.1). With channels, each of the products is
one of matrices: (tiles, C_in) @ (C_in, C_out). The gradient with respect to g is made of the same
sums, transposed: Gᵀ[(B d)ᵀ (Aᵀ ȳ)].

A kernel with a stride is one with stride 1 of the input's residues modulo the stride, side by side
as channels: a 4×4 kernel of stride 2 is a 2×2 kernel of 4 C_in channels.

Sums take time, too, so it pays for many channels. From 64 to 64 (3×3, float32), it takes two thirds
of the time of :mod:`autograd.nn.conv_kernels`, and rounding errors are smaller.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from typing import Any

import numpy

from autograd import backend
from autograd.backend import Array, xp
from autograd.backend.threads import OneBlasThread, in_blocks
from autograd.nn.conv_geometry import Geometry, Sides

# by the number of taps
A = {2: [[1, 1, 0], [0, 1, 1]], 3: [[1, 1, 1, 0], [0, 1, -1, 1]]}
B = {
    2: [[1, -1, 0], [0, 1, 0], [0, -1, 1]],
    3: [[1, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, -1, 0, 1]],
}
G = {2: [[1, 0], [1, 1], [0, 1]], 3: [[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]]}


def applies(geometry: Geometry, images: int, c_in: int, c_out: int) -> bool:
    """Whether the convolution is of this kind, and the products saved take longer than the sums."""
    first, *others = geometry.boxes
    if others or len(geometry.out) != 2 or backend.current() == "cupy":  # not measured there
        return False
    pairs = list(zip(first.offsets, geometry.stride, strict=True))
    if any(taps.step != 1 or len(taps) % s or len(taps) // s not in G for taps, s in pairs):
        return False
    if any(side % 2 for side in geometry.out) or images * math.prod(geometry.out) < 512:
        return False
    points = math.prod(len(taps) // s + 1 for taps, s in pairs)
    residues = math.prod(geometry.stride)
    saved = 4 * math.prod(first.shape) - points * residues
    # one element of a sum takes as long as 30 products in a matrix product, by measurement
    return saved * c_in * c_out > 30 * points * (residues * c_in + c_out)


class Winograd:
    """The convolutions of one geometry, for some of the images at a time."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        taps = [k // s for k, s in zip(geometry.boxes[0].shape, geometry.stride, strict=True)]
        self.taps = taps
        self.points = (taps[0] + 1) * (taps[1] + 1)
        self.residues = math.prod(geometry.stride)
        self.high, self.wide = (side // 2 for side in geometry.out)  # tiles
        self.a, self.b, self.g = (_kronecker(name, *taps) for name in "ABG")

    def weights(self, w: Array) -> Array:
        """G g: (k·k, C_in, C_out) -> (points, residues·C_in, C_out)."""
        split = w.reshape(*self._split(), *w.shape[1:]).transpose(0, 2, 1, 3, 4, 5)
        with OneBlasThread():
            sums = xp.asarray(self.g, w.dtype) @ split.reshape(math.prod(self.taps), -1)
        return sums.reshape(self.points, -1, w.shape[-1])

    def weights_transpose(self, m: Array, c_in: int) -> Array:
        """Gᵀ m: (points, residues·C_in, C_out) -> (k·k, C_in, C_out)."""
        (rows, s, columns, t), c_out = self._split(), m.shape[-1]
        with OneBlasThread():
            sums = xp.asarray(self.g, m.dtype).T @ m.reshape(self.points, -1)
        split = sums.reshape(rows, columns, s, t, c_in, c_out).transpose(0, 2, 1, 3, 4, 5)
        return split.reshape(-1, c_in, c_out)

    def _split(self) -> Sides:
        """The sides of the kernel as taps of each residue: (taps, stride, taps, stride)."""
        pairs = zip(self.taps, self.geometry.stride, strict=True)
        return tuple(side for pair in pairs for side in pair)

    def gather(self, y: Array, x: Array, w: Array, b: Array | None, start: int, stop: int) -> None:
        """y = conv(x) + b for the images from ``start`` to ``stop``, w from :meth:`weights`."""
        for images, tiles in self._blocks(x, y, start, stop):
            xp.matmul(tiles.of_input(x[images]), w, out=tiles.products)
            tiles.to_output(b, y[images])

    def correlate(self, x: Array, g: Array, start: int, stop: int) -> Array:
        """What those images add to the gradient with respect to :meth:`weights`."""
        depth = self.residues * x.shape[-1]
        total = xp.zeros((self.points, depth, g.shape[-1]), xp.result_type(x, g))
        for images, tiles in self._blocks(x, g, start, stop):
            total += tiles.of_input(x[images]).swapaxes(1, 2) @ tiles.of_output(g[images])
        return total

    def _blocks(self, x: Array, y: Array, start: int, stop: int) -> Iterator[tuple[slice, _Tiles]]:
        dtype, c_in, c_out = xp.result_type(x, y), x.shape[-1], y.shape[-1]
        numbers = self.points * self.high * self.wide * (self.residues * c_in + c_out)
        make = functools.partial(_Tiles, self, c_in, c_out, dtype)
        return in_blocks(make, start, stop, numbers * dtype.itemsize)


@functools.cache
def _kronecker(name: str, rows: int, columns: int) -> list[list[float]]:
    """The matrix of a sum along both dimensions."""
    matrices: dict[str, Any] = {"A": A, "B": B, "G": G}
    matrix = matrices[name]
    return numpy.kron(matrix[rows], matrix[columns]).tolist()


class _Tiles:
    """The sums of some images: memory for them, and views of it."""

    def __init__(self, way: Winograd, c_in: int, c_out: int, dtype: Any, images: int) -> None:
        geometry, points, rows = way.geometry, way.points, images * way.high
        self.way = way
        self.a, self.b = (xp.asarray(matrix, dtype) for matrix in (way.a, way.b))
        self.padded = xp.zeros((images, *geometry.padded, c_in), dtype)
        self.inside = self.padded[geometry.inside]
        self.overlapping = self._overlapping()
        self.read = xp.empty(self.overlapping.shape, dtype)
        depth = way.residues * c_in
        self.input = xp.empty((points, rows * way.wide, depth), dtype)
        # Bd as a product for each row of tiles: in one for all, the rows of d may lie a power of
        # two apart, and so share a line of the cache; it took twice as long
        self.read_rows = self.read.reshape(points, rows, -1).swapaxes(0, 1)
        self.input_rows = self.input.reshape(points, rows, -1).swapaxes(0, 1)
        self.products = xp.empty((points, rows * way.wide, c_out), dtype)
        self.output = xp.empty((2, 2, images, way.high, way.wide, c_out), dtype)

    def _overlapping(self) -> Array:
        """What each tile reads: (row, column in it, N, tiles down, across, stride, stride, C)."""
        way, geometry = self.way, self.way.geometry
        pairs = zip(geometry.before, geometry.boxes[0].offsets, strict=True)
        start = tuple(slice(before + taps[0], None) for before, taps in pairs)
        x = self.padded[(slice(None), *start)]
        (s, t), (n, down, across, c) = geometry.stride, x.strides
        return xp.lib.stride_tricks.as_strided(
            x,
            (*(k + 1 for k in way.taps), len(x), way.high, way.wide, s, t, x.shape[-1]),
            (s * down, t * across, n, 2 * s * down, 2 * t * across, down, across, c),
        )

    def of_input(self, x: Array) -> Array:
        """B d: (N, H, W, C) -> (points, tiles, residues·C)."""
        self.inside[...] = x
        self.read[...] = self.overlapping
        xp.matmul(self.b, self.read_rows, out=self.input_rows)
        return self.input

    def to_output(self, b: Array | None, y: Array) -> None:
        """A m + b, from ``products`` = (points, tiles, C) to ``y`` = (N, H, W, C)."""
        flat = self.products.reshape(self.way.points, -1)
        xp.matmul(self.a, flat, out=self.output.reshape(4, -1))
        if b is None:
            self._by_tiles(y)[...] = self.output
        else:
            xp.add(self.output, b, out=self._by_tiles(y))

    def of_output(self, g: Array) -> Array:
        """Aᵀ ȳ: (N, H, W, C) -> (points, tiles, C)."""
        self.output[...] = self._by_tiles(g)
        flat = self.products.reshape(self.way.points, -1)
        xp.matmul(self.a.T, self.output.reshape(4, -1), out=flat)
        return self.products

    def _by_tiles(self, y: Array) -> Array:
        """(N, H, W, C) -> (row, column in the tile, N, tiles down, across, C), a view."""
        view = y.reshape(len(y), self.way.high, 2, self.way.wide, 2, y.shape[-1])
        return view.transpose(2, 4, 0, 1, 3, 5)
