"""Convolutions with fewer products, by sums before and after: Winograd's minimal filtering.

Two neighbouring outputs of a convolution with 3 taps, y₀ = d₀g₀ + d₁g₁ + d₂g₂ and
y₁ = d₁g₀ + d₂g₁ + d₃g₂, take 6 products; with 2 taps, 4. Winograd (1980) needs 4, and 3:

    3 taps: m₀ = (d₀ − d₂) g₀                   2 taps: m₀ = (d₀ − d₁) g₀
            m₁ = (d₁ + d₂) (g₀ + g₁ + g₂) / 2           m₁ = d₁ (g₀ + g₁)
            m₂ = (d₂ − d₁) (g₀ − g₁ + g₂) / 2           m₂ = (d₂ − d₁) g₁
            m₃ = (d₃ − d₁) g₂
            y₀ = m₀ + m₁ + m₂                           y₀ = m₀ + m₁
            y₁ = m₁ − m₂ + m₃                           y₁ = m₁ + m₂

or, with matrices of the three sums, y = A[(G g) ⊙ (B d)]. A tile of m outputs of r taps takes
m + r − 1 products, one for each of as many points p, of which one is at infinity:

    G: g as a polynomial, Σ_k g_k pᵏ, over N_p = Π_q (p − q), the other points q; at ∞ g_{r−1}
    B: d with the coefficients of Π_q (x − q), and at ∞ with those of the product over all points
    A: y_i = Σ_p pⁱ m_p, and the last output m_∞ besides

It is the transpose of the multiplication of polynomials from their values at points (Toom 1963,
Cook 1966). The errors of rounding grow with the number of points and depend on where they are:
least where they are spread evenly over the circle that numbers and ∞ make, p = tan φ. Of five,
{±tan 18°, ±tan 54°, ∞}, here as fractions of 8, which float32 has exactly, errors are half of those
of {0, ±1, 2, ∞}: 2.5 times those of the direct sum (or 5, where BLAS adds it up in blocks).

In two dimensions each sum is taken along both, as one sum with the Kronecker product of its matrix
with itself. A 3×3 kernel then makes tiles of 2×2 outputs by 4·4 products in place of 36, a 2×2
kernel tiles of 4×4 by 5·5 in place of 64 (Lavin & Gray 2016, "Fast algorithms for convolutional
neural networks", §4.1). With channels, each of the products is one of matrices: (tiles, C_in) @
(C_in, C_out). The gradient with respect to g is made of the same sums, transposed:
Gᵀ[(B d)ᵀ (Aᵀ ȳ)]. Outputs of the last tiles that lie beyond the side are cut off.

A kernel with a stride is one with stride 1 of the input's residues modulo the stride, side by side
as channels: a 4×4 kernel of stride 2 is a 2×2 kernel of 4 C_in channels. So is its transpose, where
residues are channels of the result (:func:`transposed`).

Sums take time, too, so it pays for many channels. From 64 to 64 (3×3, float32), it takes two thirds
of the time of :mod:`autograd.nn.conv_kernels`.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy

from autograd import backend
from autograd.backend import Array, xp
from autograd.backend.scratch import Empty, kept
from autograd.backend.threads import in_blocks, in_parts
from autograd.nn.conv_geometry import Box, Geometry, Sides

Matrix = list[list[Fraction]]

POINTS = {
    3: (Fraction(0), Fraction(1)),
    4: (Fraction(0), Fraction(1), Fraction(-1)),
    5: (Fraction(3, 8), Fraction(-3, 8), Fraction(5, 4), Fraction(-5, 4)),
}
"""Besides the one at infinity, by how many there are with it."""
TILES = {2: (2, 4), 3: (2,)}
"""Outputs along the side of a tile, by the number of taps."""


def matrices(outputs: int, taps: int) -> dict[str, Matrix]:
    """A, B and G for tiles of so many outputs along one dimension, exactly."""
    points = POINTS[outputs + taps - 1]
    a: Matrix = [[p**i for p in points] + [Fraction(i == outputs - 1)] for i in range(outputs)]
    b: Matrix = []
    g: Matrix = []
    for i, p in enumerate(points):
        others = points[:i] + points[i + 1 :]
        scale = math.prod((p - q for q in others), start=Fraction(1))
        sign = 1 if scale > 0 else -1
        b.append([sign * c for c in _coefficients(others)] + [Fraction(0)])
        g.append([p**k / abs(scale) for k in range(taps)])
    b.append(_coefficients(points))
    g.append([Fraction(k == taps - 1) for k in range(taps)])
    return {"A": a, "B": b, "G": g}


def _coefficients(roots: tuple[Fraction, ...]) -> list[Fraction]:
    """Of Π (x − root), from the constant to the highest power."""
    zero, found = Fraction(0), [Fraction(1)]
    for root in roots:
        found = [
            low - root * high for low, high in zip([zero, *found], [*found, zero], strict=True)
        ]
    return found


@functools.cache
def _kronecker(name: str, rows: tuple[int, int], columns: tuple[int, int]) -> numpy.ndarray:
    """The matrix of a sum along both dimensions, for (outputs, taps) of each."""
    pair = (numpy.array(matrices(*side)[name], float) for side in (rows, columns))
    return numpy.kron(*pair)


# ------------------------------------------------------------------------------ where it applies


def best_tile(
    geometry: Geometry, images: int, c_in: int, c_out: int, largest: int = 4
) -> Sides | None:
    """The sides of the tiles with which it takes least time; None where the direct way does.

    Not over ``largest``: the gradient with respect to the weights is first added up for each
    point, and for many of them that takes longer than the products saved.
    """
    if backend.current() == "cupy" or images * math.prod(geometry.out) < 512:  # not measured there
        return None
    return _best_tile(geometry, images, c_in, c_out, largest)


@functools.lru_cache(maxsize=1024)
def _best_tile(
    geometry: Geometry, images: int, c_in: int, c_out: int, largest: int
) -> Sides | None:
    taps = _taps_of_residues(geometry)
    if taps is None or any(r not in TILES for r in taps):
        return None
    depth = math.prod(geometry.stride) * c_in
    best, least = None, images * math.prod(geometry.out) * math.prod(taps) * depth * c_out
    for tile in itertools.product(*(TILES[r] for r in taps)):
        tiles = math.prod(-(-side // m) for side, m in zip(geometry.out, tile, strict=True))
        points = math.prod(m + r - 1 for m, r in zip(tile, taps, strict=True))
        # one element of a sum takes as long as 30 products in a matrix product, by measurement; of
        # G g as 15, by estimate: it is summed once for all images, and never decides where it pays
        time = images * tiles * points * (depth * c_out + 30 * (depth + c_out))
        time += 15 * points * depth * c_out
        if time < least and max(tile) <= largest:
            best, least = tile, time
    return best


def _taps_of_residues(geometry: Geometry) -> Sides | None:
    """The sides of the kernel of each residue; None if it has more than one form."""
    first, *others = geometry.boxes
    if others or len(geometry.out) != 2:
        return None
    pairs = list(zip(first.offsets, geometry.stride, strict=True))
    if any(taps.step != 1 or len(taps) % s for taps, s in pairs):
        return None
    return tuple(len(taps) // s for taps, s in pairs)


@functools.lru_cache(maxsize=1024)
def transposed(geometry: Geometry) -> Geometry | None:
    """The input gradient as one convolution of ȳ, whose channels are residues; None if it is not.

    With tap = s·t + r, input i was read at the outputs o of i − offset₀ = s·(o + t) + r. So the
    inputs of one o + t = q, for all r, are the channels of an output q that reads ȳ at q − t.
    """
    taps = _taps_of_residues(geometry)
    if taps is None:
        return None
    sides, positions, offsets = [], [], []
    for side, s, r, (start, *_) in zip(
        geometry.sides, geometry.stride, taps, geometry.boxes[0].offsets, strict=True
    ):
        first = -start // s
        sides.append((side - 1 - start) // s - first + 1)
        positions.append(range(r - 1, -1, -1))
        offsets.append(range(first - r + 1, first + 1))
    box = Box(tuple(positions), tuple(offsets))
    return Geometry(geometry.out, tuple(sides), taps, (1,) * len(sides), (box,))


# -------------------------------------------------------------------------------- how it is done


class Winograd:
    """The convolutions of one geometry, or their transposes, for some of the images at a time."""

    def __init__(self, geometry: Geometry, tile: Sides, spread: Sides | None = None) -> None:
        self.geometry, self.tile = geometry, tile
        self.spread = spread or (1, 1)  # rows and columns of residues in a position of the output
        self.begin: Sides = (0, 0)  # where the result begins among them
        self.flipped = spread is not None
        pairs = zip(geometry.boxes[0].shape, geometry.stride, strict=True)
        self.taps = tuple(k // s for k, s in pairs)
        self.points = math.prod(m + r - 1 for m, r in zip(tile, self.taps, strict=True))
        self.residues = math.prod(geometry.stride)
        self.high, self.wide = (-(-side // m) for side, m in zip(geometry.out, tile, strict=True))
        sides = tuple(zip(tile, self.taps, strict=True))
        self.a, self.b, self.g = (_kronecker(name, *sides) for name in "ABG")

    @classmethod
    @functools.lru_cache(maxsize=1024)
    def of(cls, geometry: Geometry, tile: Sides) -> Winograd:
        """The convolution of ``geometry``: the same object each time, for what is kept of it."""
        return cls(geometry, tile)

    @classmethod
    @functools.lru_cache(maxsize=1024)
    def transpose(cls, geometry: Geometry, tile: Sides) -> Winograd:
        """The input gradient of ``geometry``, by :func:`transposed`; the same object each time."""
        up = transposed(geometry)
        assert up is not None
        way = cls(up, tile, geometry.stride)
        starts = (offsets.start for offsets in geometry.boxes[0].offsets)
        way.begin = tuple(-start % s for start, s in zip(starts, geometry.stride, strict=True))
        return way

    def weights(self, w: Array) -> Array:
        """G g: (k·k, C_in, C_out) -> (points, residues·C_in, C_out), or that transposed."""
        rows, s, columns, t = self._split()
        split = w.reshape(rows, s, columns, t, *w.shape[1:])
        if self.flipped:  # C_out is summed over
            split = split[::-1, :, ::-1].transpose(0, 2, 5, 1, 3, 4)
        else:
            split = split.transpose(0, 2, 1, 3, 4, 5)
        depth = w.shape[2] if self.flipped else self.residues * w.shape[1]
        split = split.reshape(rows * columns, -1)
        sums, g = xp.empty((self.points, split.shape[1]), w.dtype), xp.asarray(self.g, w.dtype)

        def work(start: int, stop: int) -> None:
            _by_columns(g, split[:, start:stop], sums[:, start:stop])

        in_parts(work, split.shape[1], 2 * sums.size)
        return sums.reshape(self.points, depth, -1)

    def weights_transpose(self, m: Array, c_in: int, c_out: int) -> Array:
        """What :meth:`correlate` returns as the gradient, (k·k, C_in, C_out)."""
        rows, s, columns, t = self._split()
        split = m.reshape(rows, columns, s, t, c_in, c_out).transpose(0, 2, 1, 3, 4, 5)
        return split.reshape(-1, c_in, c_out)

    def _split(self) -> Sides:
        """The sides of the kernel as taps of each residue: (taps, stride, taps, stride)."""
        residues = (a * b for a, b in zip(self.geometry.stride, self.spread, strict=True))
        return tuple(side for pair in zip(self.taps, residues, strict=True) for side in pair)

    def gather(self, y: Array, x: Array, w: Array, b: Array | None, start: int, stop: int) -> None:
        """y = conv(x) + b for the images from ``start`` to ``stop``, w from :meth:`weights`."""
        for images, tiles in self._blocks(x, y, start, stop):
            tiles.read.sums(x[images], tiles.of_x)
            xp.matmul(tiles.x_by_tiles, w, out=tiles.y_by_tiles)
            tiles.written.sums_transposed(tiles.of_y, b, y[images])

    def correlate(self, x: Array, g: Array, start: int, stop: int) -> Array:
        """What those images add to the gradient: Gᵀ m, (taps·taps, residues·C_in·C_out)."""
        dtype, depth, c_out = xp.result_type(x, g), self.residues * x.shape[-1], g.shape[-1]
        total = xp.zeros((self.points, depth, c_out), dtype)
        for images, tiles in self._blocks(x, g, start, stop):
            tiles.read.sums(x[images], tiles.of_x)
            tiles.written.sums(g[images], tiles.of_y)
            total += tiles.x_by_tiles.swapaxes(1, 2) @ tiles.y_by_tiles
        g_transposed = xp.ascontiguousarray(xp.asarray(self.g, dtype).T)
        result = xp.empty((len(g_transposed), depth * c_out), dtype)
        _by_columns(g_transposed, total.reshape(self.points, -1), result)
        return result

    def _blocks(self, x: Array, y: Array, start: int, stop: int) -> Iterator[tuple[slice, _Tiles]]:
        """Some images at a time, with memory for the sums of x and of y."""
        dtype = xp.result_type(x, y)
        memory = kept(_Tiles, self, x.shape[-1], y.shape[1:], dtype)
        channels = self.residues * x.shape[-1] + math.prod(self.spread) * y.shape[-1]
        bytes_each = self.points * self.high * self.wide * channels * dtype.itemsize
        return in_blocks(memory, start, stop, bytes_each)


def _by_columns(matrix: Array, x: Array, out: Array) -> None:
    """matrix @ x, for 2048 columns at a time if they are so many: it takes a third of the time."""
    width = math.gcd(x.shape[1], 2048)
    if width >= 512:
        x, out = (a.reshape(len(a), -1, width).swapaxes(0, 1) for a in (x, out))
    xp.matmul(matrix, x, out=out)


def _by_tiles(sums: Array, channels: int) -> Array:
    """(points, rows of tiles, …) -> (points, tiles, channels), a view."""
    return sums.reshape(len(sums), -1, channels)


class _Tiles:
    """The sums of some images' tiles, on both sides of the products: memory, and views of it."""

    def __init__(
        self, empty: Empty, way: Winograd, c_in: int, y_shape: Sides, dtype: Any, images: int
    ) -> None:
        depth, c_out = way.residues * c_in, math.prod(way.spread) * y_shape[-1]
        rows = way.points, images * way.high  # of tiles, for each point
        self.of_x = empty((*rows, way.wide * depth), dtype)
        self.of_y = empty((*rows, way.wide * c_out), dtype)
        self.x_by_tiles, self.y_by_tiles = _by_tiles(self.of_x, depth), _by_tiles(self.of_y, c_out)
        self.read = _Read(empty, way, c_in, dtype, images)
        self.written = _Written(empty, way, y_shape, dtype, images)

    def begin(self) -> None:
        """Zeros around the images, and where tiles reach beyond the sides."""
        self.read.padded[...] = 0
        if self.written.whole is not None:
            self.written.whole[...] = 0


class _Read:
    """What the tiles of some images read: memory for it, and views of it."""

    def __init__(self, empty: Empty, way: Winograd, channels: int, dtype: Any, images: int) -> None:
        geometry = way.geometry
        self.way, self.b = way, xp.asarray(way.b, dtype)
        first = [
            b + o.start for b, o in zip(geometry.before, geometry.boxes[0].offsets, strict=True)
        ]
        sides = zip(first, geometry.stride, way.taps, way.tile, (way.high, way.wide), strict=True)
        ends = (start + s * (m * count + r - 1) for start, s, r, m, count in sides)
        padded = map(max, zip(geometry.padded, ends, strict=True))
        self.padded = empty((images, *padded, channels), dtype)
        self.inside = self.padded[geometry.inside]
        self.overlapping = self._overlapping(first)
        self.tiles = empty(self.overlapping.shape, dtype)
        # B d as a product for each row of tiles: in one for all, the rows of d may lie a power of
        # two apart, and so share a line of the cache; it took twice as long
        self.rows = self.tiles.reshape(way.points, images * way.high, -1).swapaxes(0, 1)

    def _overlapping(self, first: list[int]) -> Array:
        """What each tile reads: (row, column in it, N, tiles down, across, stride, stride, C)."""
        way = self.way
        x = self.padded[:, first[0] :, first[1] :]
        (s, t), (m, k), (n, down, across, c) = way.geometry.stride, way.tile, x.strides
        inputs = (m + r - 1 for m, r in zip(way.tile, way.taps, strict=True))
        return xp.lib.stride_tricks.as_strided(
            x,
            (*inputs, len(x), way.high, way.wide, s, t, x.shape[-1]),
            (s * down, t * across, n, m * s * down, k * t * across, down, across, c),
        )

    def sums(self, x: Array, out: Array) -> None:
        """B d: (N, H, W, C) -> (points, rows of tiles, across · residues · C)."""
        self.inside[...] = x
        self.tiles[...] = self.overlapping
        xp.matmul(self.b, self.rows, out=out.swapaxes(0, 1))


class _Written:
    """What the tiles of some images write, or their transpose reads: memory for it, and views."""

    def __init__(
        self, empty: Empty, way: Winograd, y_shape: Sides, dtype: Any, images: int
    ) -> None:
        (s, t), (m, n) = way.spread, way.tile
        *y_sides, channels = y_shape
        sides = way.high * m * s, way.wide * n * t
        self.way, self.a = way, xp.asarray(way.a, dtype)
        self.a_transposed = xp.ascontiguousarray(self.a.T)  # of which products take less time
        self.tiles = empty((m, n, images, way.high, way.wide, s, t, channels), dtype)
        self.rows = self.tiles.reshape(m * n, images * way.high, -1).swapaxes(0, 1)
        self.whole = None  # unless tiles reach beyond the sides
        if tuple(y_sides) != sides:
            self.whole = empty((images, *sides, channels), dtype)
            pairs = zip(way.begin, y_sides, strict=True)
            self.inside = self.whole[(slice(None), *(slice(i, i + side) for i, side in pairs))]

    def sums_transposed(self, products: Array, b: Array | None, y: Array) -> None:
        """A m + b: (points, rows of tiles, across · C) -> y = (N, H, W, C)."""
        xp.matmul(self.a, products.swapaxes(0, 1), out=self.rows)
        placed = self._placed(y if self.whole is None else self.whole)
        if b is None:
            placed[...] = self.tiles
        else:
            xp.add(self.tiles, b, out=placed)
        if self.whole is not None:
            y[...] = self.inside

    def sums(self, g: Array, out: Array) -> None:
        """Aᵀ ȳ: (N, H, W, C) -> (points, rows of tiles, across · C)."""
        if self.whole is not None:
            self.inside[...] = g
        self.tiles[...] = self._placed(g if self.whole is None else self.whole)
        xp.matmul(self.a_transposed, self.rows, out=out.swapaxes(0, 1))

    def _placed(self, y: Array) -> Array:
        """(N, H, W, C) in the order of ``tiles``, a view."""
        (s, t), (m, n) = self.way.spread, self.way.tile
        view = y.reshape(len(y), self.way.high, m, s, self.way.wide, n, t, y.shape[-1])
        return view.transpose(2, 5, 0, 1, 4, 3, 6, 7)
