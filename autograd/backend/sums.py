"""Sums over the first or the last axes of an array, by matrix products with ones.

    Σ_j x_ij = (X 1)_i            Σ_i x_ij = (1ᵀ X)_j

NumPy adds up rows one number after the other unless they are long, and columns row by row; BLAS
keeps many sums at a time. For 25,088 rows of 64 numbers in float32, on one core: 0.10 ms in place
of 0.66 over the last axis, and 0.09 in place of 0.45 over the first, with a smaller error.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy

from autograd import backend
from autograd.backend import Array
from autograd.backend.products import matmul_on_one_core
from autograd.backend.whole import whole

FEW = 64  # numbers: their sum takes no time either way


@functools.lru_cache(maxsize=64)
def _ones(count: int, dtype: Any) -> Array:
    return numpy.ones(count, dtype)


@whole
def sum_over(x: Array, axes: tuple[int, ...], keepdims: bool = False) -> Array:
    """The sum over ``axes``, which are in order and count from the front."""
    count = len(axes)
    by_product = (
        backend.current() == "numpy"
        and 0 < count < x.ndim
        and x.size > FEW
        and x.dtype.char in "fd"
        and x.flags.c_contiguous
    )
    if by_product and axes[0] == x.ndim - count:  # so the last ones
        kept, summed = x.shape[:-count], math.prod(x.shape[-count:])
        if summed > 1:
            y = matmul_on_one_core(x.reshape(-1, summed), _ones(summed, x.dtype))
            return y.reshape((*kept, *[1] * count) if keepdims else kept)
    if by_product and axes[-1] == count - 1:  # so the first ones
        kept, summed = x.shape[count:], math.prod(x.shape[:count])
        if math.prod(kept) > 1:
            y = matmul_on_one_core(_ones(summed, x.dtype), x.reshape(summed, -1))
            return y.reshape((*[1] * count, *kept) if keepdims else kept)
    return x.sum(axis=axes, keepdims=keepdims)
