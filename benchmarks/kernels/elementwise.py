"""A chain of elementwise functions, as in the middle of a coupling layer: no matrices at all."""

from __future__ import annotations

from typing import Any

import numpy

import autograd.numpy as np
from benchmarks.kernels.kernel import Case, Input, Kernel, Run


def _case(n: int) -> Case:
    """y = x eᵗ, t = tanh s: three operations for each number.

    Going backward, x̄ = ȳ eᵗ is one more and s̄ = ȳ y (1 − t²) four.
    """

    def inputs(rng: numpy.random.Generator) -> list[Input]:
        return [Input(rng.normal(size=n)), Input(rng.normal(size=n))]

    return Case(f"x exp(tanh s), {n} numbers", inputs, _ours, _in_torch, (3 * n, 5 * n))


def _ours(x: Any, s: Any) -> Run:
    return lambda: x * np.exp(np.tanh(s))


def _in_torch(torch: Any, x: Any, s: Any) -> Run:
    return lambda: x * torch.exp(torch.tanh(s))


KERNEL = Kernel("elementwise", _case(1), (_case(1000), _case(100_000), _case(4_000_000)))
