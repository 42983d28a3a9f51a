"""Data of independent examples: fed in a new random order every epoch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import autograd.numpy as np
from autograd import backend


class Examples:
    """Independent examples, in a new random order every epoch."""

    def __init__(self, x: Any, labels: Any, batch_size: int) -> None:
        self.x = backend.asarray(x)
        self.labels = None if labels is None else backend.asarray(labels)
        self.batch_size = batch_size
        self.batches = math.ceil(len(x) / batch_size)

    def after(self, step: int, rng: Callable[[int], Any]) -> Iterator[tuple[Any, int]]:
        while True:
            epoch, first = divmod(step, self.batches)
            order = np.argsort(rng(epoch).random(len(self.x)))
            for i in range(first, self.batches):
                rows = order[i * self.batch_size : (i + 1) * self.batch_size]
                x = self.x[rows]
                batch = x if self.labels is None else (x, self.labels[rows])
                yield batch, len(rows)
            step = (epoch + 1) * self.batches

    def keep(self, metrics: Mapping[str, Any]) -> None:
        pass  # no batch depends on the one before

    def state(self) -> dict[str, Any]:
        return {}

    def load_state(self, arrays: Mapping[str, Any]) -> None:
        pass


def batches_of(*arrays: Any, size: int = 128) -> Iterator[list[Any]]:
    """The arrays in pieces, on the device; None stays None."""
    for start in range(0, len(arrays[0]), size):
        part = slice(start, start + size)
        yield [None if array is None else backend.asarray(array[part]) for array in arrays]
