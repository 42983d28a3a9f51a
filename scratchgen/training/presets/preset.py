"""What a preset is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scratchgen.config import override
from scratchgen.training.media.images import IMAGES
from scratchgen.training.media.medium import Medium
from scratchgen.training.settings import TrainingSettings


@dataclass(frozen=True)
class Preset:
    """A model, what it is trained on, and how."""

    model: Callable[[Any, Any], Any]
    """(config, rng) → the model with random initial weights."""
    config: Any
    data: str
    """The name of a data set (:mod:`scratchgen.data`)."""
    training: TrainingSettings
    summary: str
    """A line for the list of models."""
    levels: int | None = None
    """That the images are given, if not their own number; ``--set levels=…`` goes before."""

    compared_at: int | None = None
    """The only number of levels with which it is on the leaderboard; None for any."""

    medium: Medium = IMAGES
    """What it is a model of."""
    density: bool = True
    """Whether it has a likelihood, or a bound of one, to be compared by."""

    def configured(self, data: Any, changes: Sequence[str]) -> tuple[Any, TrainingSettings]:
        """The model's configuration for data like these, and the settings."""
        fitting = [f"{name}={value}" for name, value in self.medium.fields(data).items()]
        config, settings = override([self.config, self.training], [*fitting, *changes])
        self.medium.check(config, data)
        return config, settings
