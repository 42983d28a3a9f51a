"""Convolutions without columns: one product for each tap, of the inputs where they lie.

    y[o]  =  Σ_t  x[s·o + offset_t] @ w_t               w̄_t  =  Σ_o  x[s·o + offset_t]ᵀ @ ȳ[o]

What a tap reads along the last dimension is a matrix as it lies in memory, with a row for each
output position. So nothing is copied, and the zeros around the input are not even multiplied: a
tap's product is as many rows shorter. The products of several taps have to be added up, with one
more pass over the output for each; where the input has many channels, their copies take longer.
"""

from __future__ import annotations

from functools import partial

from autograd import backend
from autograd.backend import Array, xp
from autograd.backend.products import multiply, multiply_transposed
from autograd.backend.threads import blocks, in_blocks
from autograd.nn.conv_geometry import Geometry


def applies(geometry: Geometry, c_in: int, c_out: int) -> bool:
    """Whether this takes no longer than columns."""
    if geometry.is_pointwise:
        return True
    if backend.current() == "cupy":  # not measured there
        return False
    return len(geometry.out) == 1 and geometry.out[0] >= 8 and c_in >= 8 and 2 * c_in >= c_out


def gather(
    y: Array, x: Array, w: Array, b: Array | None, geometry: Geometry, start: int, stop: int
) -> None:
    """y = conv(x) + b for the images from ``start`` to ``stop``; w is (taps, C_in, C_out)."""
    first, *others = geometry.reads
    for images, products in in_blocks(partial(_like, y), start, stop, y[:1].nbytes):
        source, target = xp.ascontiguousarray(x[images]), y[images]
        if first.zeros:
            target[...] = 0
        multiply(source[first.inputs], w[first.tap], target[first.outputs])
        for read in others:
            multiply(source[read.inputs], w[read.tap], products[read.outputs])
            target[read.outputs] += products[read.outputs]
        if b is not None:
            target += b


def correlate(x: Array, g: Array, geometry: Geometry, start: int, stop: int) -> Array:
    """What those images add to w̄, (taps, C_in, C_out)."""
    shape = len(geometry.numbers), x.shape[-1], g.shape[-1]
    total = xp.zeros(shape, xp.result_type(x, g))
    for images in blocks(start, stop, x[:1].nbytes):
        for read in geometry.reads:
            total[read.tap] += multiply_transposed(x[images][read.inputs], g[images][read.outputs])
    return total


def _like(y: Array, images: int) -> Array:
    """Memory for the results of as many images."""
    return xp.empty((images, *y.shape[1:]), y.dtype)
