"""What a training run needs to know beside the model and the data."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scratchgen.config import require


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained; each preset has defaults of its own."""

    epochs: int
    """Passes over the training images."""
    steps: int = 0
    """If not 0: the number of steps, in place of epochs."""
    batch_size: int = 64
    learning_rate: float = 4e-3

    def __post_init__(self) -> None:
        require(self, self.epochs >= 1, "epochs", "at least 1")
        require(self, self.steps >= 0, "steps", "at least 1, or 0 to go by epochs")
        require(self, self.batch_size >= 1, "batch_size", "at least 1")
        require(self, 0 < self.learning_rate < math.inf, "learning_rate", "above 0")
