"""The 3×3 convolution of stride one with 16 products for every 4 outputs, in place of 36.

Two neighbouring outputs of a convolution with 3 taps, y₀ = d₀g₀ + d₁g₁ + d₂g₂ and
y₁ = d₁g₀ + d₂g₁ + d₃g₂, take 6 products. Winograd (1980) needs 4:

    m₀ = (d₀ − d₂) g₀                         y₀ = m₀ + m₁ + m₂
    m₁ = (d₁ + d₂) (g₀ + g₁ + g₂) / 2         y₁ = m₁ − m₂ + m₃
    m₂ = (d₂ − d₁) (g₀ − g₁ + g₂) / 2
    m₃ = (d₃ − d₁) g₂

or, with matrices B, G and A for the three sums, y = Aᵀ[(G g) ⊙ (Bᵀ d)]. In two dimensions each sum
is taken along both: a tile of 4×4 inputs gives 2×2 outputs by 4·4 products (Lavin & Gray 2016,
"Fast algorithms for convolutional neural networks", §4.1). With channels, each of the 16 products
is a matrix product over all tiles, (tiles, C_in) @ (C_in, C_out). The gradient with respect to g
follows from the same three sums, transposed: Gᵀ[(Bᵀ d)ᵀ (A ȳ)] G.

For 64 channels, where the sums take half as long as the products, that is a third less time than
by columns; and rounding errors are smaller, as each output is a sum of fewer terms.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from autograd import backend
from autograd.backend import Array, xp
from autograd.nn.conv_geometry import Geometry

G = ((1.0, 0.0, 0.0), (0.5, 0.5, 0.5), (0.5, -0.5, 0.5), (0.0, 0.0, 1.0))


def applies(geometry: Geometry, images: int, c_in: int, c_out: int) -> bool:
    """Whether the convolution is of this kind, and the products large enough to be worth it."""
    first, *others = geometry.boxes
    return (
        not others
        and first.shape == (3, 3)
        and all(offsets.step == 1 for offsets in first.offsets)
        and geometry.stride == (1, 1)
        and all(side % 2 == 0 for side in geometry.out)
        and images * geometry.out[0] * geometry.out[1] >= 512
        and c_in * c_out >= 24 * (c_in + c_out)
        and backend.current() != "cupy"  # where it has not been measured
    )


def weights(taps: Array) -> Array:
    """G g Gᵀ: (9, C_in, C_out) -> (16, C_in, C_out)."""
    return (_weight_sums(taps.dtype) @ taps.reshape(9, -1)).reshape(16, *taps.shape[1:])


def weights_transpose(products: Array) -> Array:
    """Gᵀ m G: (16, C_in, C_out) -> (9, C_in, C_out)."""
    flat = _weight_sums(products.dtype).T @ products.reshape(16, -1)
    return flat.reshape(9, *products.shape[1:])


def _weight_sums(dtype: Any) -> Array:
    """The Kronecker product of G with itself: both sums at once, for a flattened kernel."""
    rows = [[a * b for a in G[i] for b in G[j]] for i in range(4) for j in range(4)]
    return xp.asarray(rows, dtype=dtype)


def gather(
    y: Array, x: Array, w: Array, b: Array | None, geometry: Geometry, start: int, stop: int
) -> None:
    """y = conv(x) + b for the images from ``start`` to ``stop``, with w from :func:`weights`."""
    tiles = _Tiles(geometry, w.shape[1], w.shape[2], y.dtype, stop - start)
    for images in tiles.blocks(start, stop):
        read = tiles.of_input(x[images])
        products = tiles.buffer("products", (*read.shape[:-1], w.shape[-1]))
        xp.matmul(read, w, out=products)
        if b is not None:
            products[5] += b  # m₁₁ is in all four sums, with a plus
        tiles.to_output(products, y[images])


def correlate(x: Array, g: Array, geometry: Geometry, start: int, stop: int) -> Array:
    """The part of those images in the gradient with respect to :func:`weights`."""
    c_in, c_out = x.shape[-1], g.shape[-1]
    dtype = xp.result_type(x, g)
    tiles = _Tiles(geometry, c_in, c_out, dtype, stop - start)
    total = xp.zeros((16, c_in, c_out), dtype)
    for images in tiles.blocks(start, stop):
        total += tiles.of_input(x[images]).swapaxes(1, 2) @ tiles.of_output(g[images])
    return total


class _Tiles:
    """The three sums, for as many images at a time as fit into a core's cache."""

    def __init__(self, geometry: Geometry, c_in: int, c_out: int, dtype: Any, count: int) -> None:
        self.geometry = geometry
        self.dtype = dtype
        self.high, self.wide = (side // 2 for side in geometry.out)
        image = 16 * self.high * self.wide * (c_in + c_out) * dtype.itemsize
        self.images = max(1, min(count, 2**20 // image))
        self.buffers: dict[str, Array] = {}

    def blocks(self, start: int, stop: int) -> Iterator[slice]:
        for first in range(start, stop, self.images):
            yield slice(first, min(first + self.images, stop))

    def buffer(self, name: str, shape: tuple[int, ...]) -> Array:
        """Memory that is used again for the next images, if there are as many."""
        if name not in self.buffers or self.buffers[name].shape != shape:
            self.buffers[name] = xp.zeros(shape, self.dtype)
        return self.buffers[name]

    def of_input(self, x: Array) -> Array:
        """Bᵀ d B: (N, H, W, C) -> (16, tiles, C)."""
        n, c = len(x), x.shape[-1]
        x = self._padded(x)
        across = self.buffer("across", (4, n, 2 * self.high + 2, self.wide, c))
        _input_sums([x[:, :, k : k + 2 * self.wide - 1 : 2] for k in range(4)], across)
        both = self.buffer("inputs", (4, 4, n, self.high, self.wide, c))
        _input_sums([across[:, :, k : k + 2 * self.high - 1 : 2] for k in range(4)], both)
        return both.reshape(16, -1, c)

    def _padded(self, x: Array) -> Array:
        """All that the outputs read: two more rows and columns than there are outputs."""
        geometry = self.geometry
        if geometry.padded != geometry.sides:
            padded = self.buffer("padded", (len(x), *geometry.padded, x.shape[-1]))
            padded[geometry.inside] = x
            x = padded
        top, left = (
            before + offsets[0]
            for before, offsets in zip(geometry.before, geometry.boxes[0].offsets, strict=True)
        )
        return x[:, top:, left:]

    def to_output(self, products: Array, y: Array) -> None:
        """Aᵀ m A: (16, tiles, C) -> (N, H, W, C), which is written into ``y``."""
        n, c = len(y), y.shape[-1]
        products = products.reshape(4, 4, n, self.high, self.wide, c)
        down = self.buffer("down", (2, *products.shape[1:]))
        _output_sums(products, down)
        y = y.reshape(n, self.high, 2, self.wide, 2, c)
        for row in range(2):
            _output_sums(down[row], [y[:, :, row, :, 0], y[:, :, row, :, 1]])

    def of_output(self, g: Array) -> Array:
        """A g Aᵀ: (N, H, W, C) -> (16, tiles, C)."""
        n, c = len(g), g.shape[-1]
        g = g.reshape(n, self.high, 2, self.wide, 2, c)
        across = self.buffer("spread", (4, n, self.high, 2, self.wide, c))
        _spread([g[:, :, :, :, 0], g[:, :, :, :, 1]], across)
        both = self.buffer("outputs", (4, 4, n, self.high, self.wide, c))
        _spread([across[:, :, :, 0], across[:, :, :, 1]], both)
        return both.reshape(16, -1, c)


def _input_sums(d: Any, out: Any) -> None:
    """Bᵀ d."""
    xp.subtract(d[0], d[2], out=out[0])
    xp.add(d[1], d[2], out=out[1])
    xp.subtract(d[2], d[1], out=out[2])
    xp.subtract(d[3], d[1], out=out[3])


def _output_sums(m: Any, out: Any) -> None:
    """Aᵀ m."""
    first = xp.add(m[1], m[2], out=out[0])
    first += m[0]
    second = xp.subtract(m[1], m[2], out=out[1])
    second += m[3]


def _spread(y: Any, out: Any) -> None:
    """A y."""
    out[0][...] = y[0]
    xp.add(y[0], y[1], out=out[1])
    xp.subtract(y[0], y[1], out=out[2])
    out[3][...] = y[1]
