"""The product of two matrices: the layer without a bias, and the peak of what a machine does."""

from __future__ import annotations

from typing import Any

import numpy

import autograd.numpy as np
from benchmarks.kernels.kernel import PARAMETER, Case, Input, Kernel, Run


def _case(m: int, k: int, n: int) -> Case:
    """y = x w: (m, k), (k, n) → (m, n).

    Each of the m n outputs is a sum of k products. Going backward, x̄ = ȳ wᵀ has m k sums of n, and
    w̄ = xᵀ ȳ has k n sums of m.
    """

    def inputs(rng: numpy.random.Generator) -> list[Input]:
        return [Input(rng.normal(size=(m, k))), Input(rng.normal(size=(k, n)), PARAMETER)]

    name = f"matrix product, {m}x{k} by {k}x{n}"
    return Case(name, inputs, _ours, _in_torch, (2 * m * k * n, 4 * m * k * n))


def _ours(x: Any, w: Any) -> Run:
    return lambda: np.matmul(x, w)


def _in_torch(torch: Any, x: Any, w: Any) -> Run:
    return lambda: torch.matmul(x, w)


KERNEL = Kernel(
    "matmul", _case(1, 1, 1), (_case(32, 32, 32), _case(256, 256, 256), _case(*[1024] * 3))
)
