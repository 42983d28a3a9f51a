"""How a run changes the weights: optimiser, schedule, clipping, averaging, by its settings."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import numpy

from autograd.backend.whole import whole
from scratchgen.optim import (
    OPTIMISERS,
    ExponentialMovingAverage,
    clip_by_norm,
    cosine,
    linear_warmup,
)
from scratchgen.training.settings import TrainingSettings


class Optimisation:
    """One ``step()`` after each backward pass, and all that must be remembered between them."""

    def __init__(self, model: Any, settings: TrainingSettings, total: int) -> None:
        """``total``: the steps of the whole run, which the schedule is spread over.

        Only the parameters of ``model`` change: of a model whose parts play against each other
        each part has an optimisation of its own.
        """
        self.settings, self.total = settings, total
        self.steps = 0  # so far, since whenever the optimiser remembers gradients
        optimiser = OPTIMISERS[settings.optimiser]
        momentum = {"beta1": settings.beta1} if settings.optimiser.startswith("adam") else {}
        parameters = model.parameters().values()
        self.optimiser = optimiser(parameters, settings.learning_rate, **momentum)
        self.average = (
            ExponentialMovingAverage(self.optimiser.flat, settings.average)
            if settings.average
            else None
        )

    @whole
    def step(self) -> None:
        if self.settings.clip:
            clip_by_norm(self.optimiser.flat, self.settings.clip)
        self.optimiser.learning_rate = self.settings.learning_rate * self._factor()
        self.optimiser.step()
        self.steps += 1

    def restart(self) -> None:
        """Have the optimiser forget the gradients so far; the schedule goes on."""
        self.optimiser.restart()

    @whole
    def changed(self) -> None:
        """Called when the weights are what they are to be after a step."""
        if self.average:
            self.average.update()

    def _factor(self) -> float:
        """What the schedule multiplies the learning rate by at this step."""
        factor = linear_warmup(self.steps, self.settings.warmup)
        if self.settings.schedule == "cosine":
            factor *= cosine(self.steps, self.total)
        return factor

    def averaged(self) -> contextlib.AbstractContextManager[None]:
        """Within this block the model has the weights that are validated and kept."""
        if self.average and self.average.steps:  # none of a player who had no turn yet
            return self.average.in_place()
        return contextlib.nullcontext()

    def state(self) -> dict[str, Any]:
        """Host arrays by name."""
        arrays = {f"optimiser.{name}": x for name, x in self.optimiser.state().items()}
        arrays["steps"] = numpy.array(self.steps, "int64")
        if self.average:
            arrays |= {f"average.{name}": x for name, x in self.average.state().items()}
        return arrays

    def load_state(self, arrays: Mapping[str, Any]) -> None:
        """Raises ValueError if they are not of the same model and settings."""
        if "steps" not in arrays:
            raise ValueError("load_state: 'steps' is missing")
        self.optimiser.load_state(under("optimiser.", arrays))
        self.steps = int(arrays["steps"])
        if self.average:
            self.average.load_state(under("average.", arrays))


def under(prefix: str, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays whose names begin with ``prefix``, without it."""
    return {name.removeprefix(prefix): x for name, x in arrays.items() if name.startswith(prefix)}
