"""The models that can be trained by name, each with its data set and settings that suit the two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scratchgen.data import ImageData, digits
from scratchgen.errors import unknown
from scratchgen.models.autoregressive.pixelcnn import PixelCNN, PixelCNNConfig
from scratchgen.training.settings import TrainingSettings


@dataclass(frozen=True)
class Preset:
    """A model, what it is trained on, and how."""

    model: Callable[[Any, Any], Any]
    """(config, rng) → the model with random initial weights."""
    config: Any
    data: Callable[[], ImageData]
    training: TrainingSettings


PRESETS = {
    "pixelcnn": Preset(PixelCNN, PixelCNNConfig(), digits.load, TrainingSettings(epochs=25)),
}


def find(name: str) -> Preset:
    """The preset of that name. Raises UsageError, with the nearest name, if there is none."""
    if name not in PRESETS:
        raise unknown("model", name, PRESETS)
    return PRESETS[name]
