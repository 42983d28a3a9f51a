"""Softmax cross-entropy, the loss of whatever predicts one of several values."""

from __future__ import annotations

from typing import Any

import numpy

from autograd.nn import softmax_cross_entropy
from benchmarks.kernels.kernel import CONSTANT, Case, Input, Kernel, Run


def _case(rows: int, classes: int) -> Case:
    """L = ln Σ_k exp x_k − x_t for each row.

    That is an exponential and a sum for each class, a logarithm and a difference. Going backward,
    x̄_k = exp x_k · (L̄ / Σ) is a product for each class, after one quotient; x̄_t is L̄ less.
    """

    def inputs(rng: numpy.random.Generator) -> list[Input]:
        labels = rng.integers(0, classes, rows)
        return [Input(rng.normal(size=(rows, classes))), Input(labels, CONSTANT)]

    counts = rows * (2 * classes + 2), rows * (classes + 2)
    return Case(f"softmax cross-entropy, {rows}x{classes}", inputs, _ours, _in_torch, counts)


def _ours(x: Any, labels: Any) -> Run:
    return lambda: softmax_cross_entropy(x, labels)


def _in_torch(torch: Any, x: Any, labels: Any) -> Run:
    return lambda: torch.nn.functional.cross_entropy(x, labels, reduction="none")


KERNEL = Kernel(
    "cross-entropy",
    _case(1, 1),
    (_case(32, 10), _case(4096, 17), _case(12544, 256)),  # 17 and 256: levels of grey
)
