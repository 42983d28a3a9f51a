"""What a training run needs to know beside the model and the data."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scratchgen.config import require
from scratchgen.optim import OPTIMISERS


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained; each preset has defaults of its own."""

    epochs: int
    """Passes over the training data, or stretches of ``epoch_steps``; each ends in a validation."""
    steps: int = 0
    """If not 0: the number of steps, in place of epochs."""
    epoch_steps: int = 0
    """Steps of an epoch; 0 for once through the training data."""
    patience: int = 0
    """Stop after so many epochs in a row without a better validation; 0 for never."""
    batch_size: int = 64
    """Examples in a step."""
    learning_rate: float = 4e-3
    """At its highest."""
    optimiser: str = "adam"
    """adam, adamw, adamax, rmsprop or sgd."""
    beta1: float = 0.9
    """Of adam, adamw and adamax: the decay of the mean gradient."""
    schedule: str = "constant"
    """Of the learning rate: constant, or cosine, down to 0 at the end of the run."""
    warmup: int = 0
    """Steps in which the learning rate rises to its highest, in a line."""
    clip: float = 0.0
    """The largest norm of the gradient; 0 for any."""
    average: float = 0.0
    """Decay of the moving average of the weights that is validated and kept; 0 for none."""

    def __post_init__(self) -> None:
        require(self, self.epochs >= 1, "epochs", "at least 1")
        require(self, self.steps >= 0, "steps", "at least 1, or 0 to go by epochs")
        require(self, self.epoch_steps >= 0, "epoch_steps", "at least 1, or 0 for all the data")
        require(self, self.patience >= 0, "patience", "at least 1, or 0 for none")
        require(self, self.batch_size >= 1, "batch_size", "at least 1")
        require(self, 0 < self.learning_rate < math.inf, "learning_rate", "above 0")
        require(self, self.optimiser in OPTIMISERS, "optimiser", " or ".join(OPTIMISERS))
        require(self, 0 <= self.beta1 < 1, "beta1", "from 0 to below 1")
        require(self, self.schedule in ("constant", "cosine"), "schedule", "constant or cosine")
        require(self, self.warmup >= 0, "warmup", "at least 0")
        require(self, 0 <= self.clip < math.inf, "clip", "at least 0")
        require(self, 0 <= self.average < 1, "average", "from 0 to below 1")
