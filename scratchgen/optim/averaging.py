"""A running average of the weights, which is often a better model than the last weights are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from autograd.backend import Array
from scratchgen.optim.flat import FlatParameters
from scratchgen.optim.state import Stateful


class ExponentialMovingAverage(Stateful):
    """The average of the weights θ_t after each step t = 1, 2, …, recent ones counting most.

        a_t = d a_{t−1} + (1 − d) θ_t,   a_0 = 0          ``sum``
        θ̂_t = a_t / (1 − dᵗ)                               the average, its bias to 0 removed

    Its memory is about 1 / (1 − d) steps; the initial weights are not in it. From B. T. Polyak and
    A. B. Juditsky (1992), "Acceleration of stochastic approximation by averaging", as given by
    Kingma and Ba (2015), §7.2.

        average = ExponentialMovingAverage(optimiser.flat, 0.999)
        optimiser.step(); average.update()
        with average.in_place(): …             # the model has the average as its weights
    """

    def __init__(self, flat: FlatParameters, decay: float = 0.999) -> None:
        if not 0 <= decay < 1:
            raise ValueError(f"ExponentialMovingAverage: decay is {decay}, not in [0, 1)")
        super().__init__(flat)
        self.decay = decay
        self.sum = self._buffer("sum")
        self._swapped = False

    def update(self) -> None:
        """Count the weights as they are now. Called after each step of the optimiser."""
        if self._swapped:
            raise RuntimeError("ExponentialMovingAverage: the weights are the average now")
        self.steps += 1
        self.sum *= self.decay
        self.sum += (1 - self.decay) * self.flat.data

    def average(self) -> Array:
        """θ̂_t, a new flat array on the device. Raises RuntimeError before the first update."""
        if not self.steps:
            raise RuntimeError("ExponentialMovingAverage: no weights yet; call update() first")
        return self.sum / (1 - self.decay**self.steps)

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """Within a ``with`` block the weights are the average; after it, what they were before."""
        if self._swapped:
            raise RuntimeError("ExponentialMovingAverage: the weights are the average already")
        average, weights = self.average(), self.flat.data.copy()
        self._set(average)
        self._swapped = True
        try:
            yield
        finally:
            self._set(weights)
            self._swapped = False

    def _set(self, values: Array) -> None:
        self.flat.data[...] = values
        self.flat.changed()
