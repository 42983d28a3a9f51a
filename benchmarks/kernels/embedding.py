"""Rows of a table by their number: letters, or levels of grey, as vectors."""

from __future__ import annotations

from typing import Any

import numpy

from autograd.nn import embedding
from benchmarks.kernels.kernel import CONSTANT, PARAMETER, Case, Input, Kernel, Run


def _case(rows: int, channels: int, shape: tuple[int, ...]) -> Case:
    """y_n = table_{t_n}: nothing to compute. Going backward, ȳ_n is added to row t_n.

    There are more indices than rows in all cases, so that the whole table is read.
    """
    count = int(numpy.prod(shape))

    def inputs(rng: numpy.random.Generator) -> list[Input]:
        table = Input(rng.normal(size=(rows, channels)), PARAMETER, again=False)
        return [table, Input(rng.integers(0, rows, shape), CONSTANT)]

    name = f"embedding, {rows}x{channels}, {'x'.join(map(str, shape))} indices"
    return Case(name, inputs, _ours, _in_torch, (0, count * channels))


def _ours(table: Any, indices: Any) -> Run:
    return lambda: embedding(table, indices)


def _in_torch(torch: Any, table: Any, indices: Any) -> Run:
    return lambda: torch.nn.functional.embedding(indices, table)


KERNEL = Kernel(
    "embedding",
    _case(1, 1, (1, 1)),
    (_case(27, 16, (8, 8)), _case(256, 64, (32, 64)), _case(256, 64, (32, 784))),
)
