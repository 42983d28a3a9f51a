"""The models that can be trained by name, each with its data set and settings that suit the two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from scratchgen.config import override
from scratchgen.data import ImageData
from scratchgen.errors import UsageError, unknown
from scratchgen.models.autoregressive.gatedpixelcnn import GatedPixelCNN, GatedPixelCNNConfig
from scratchgen.models.autoregressive.pixelcnn import PixelCNN, PixelCNNConfig
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

    def configured(self, data: ImageData, changes: Sequence[str]) -> tuple[Any, TrainingSettings]:
        """The model's configuration for images like those of ``data``, and the settings."""
        fitting = [f"{name}={value}" for name, value in image_fields(data).items()]
        config, settings = override([self.config, self.training], [*fitting, *changes])
        check_fits(config, data)
        return config, settings


PRESETS = {
    "pixelcnn": Preset(
        PixelCNN,
        PixelCNNConfig(),
        "digits",
        TrainingSettings(epochs=25),
        "masked convolutions predict each pixel from those before it",
    ),
    "gatedpixelcnn": Preset(
        GatedPixelCNN,
        GatedPixelCNNConfig(),
        "digits",
        TrainingSettings(epochs=25),
        "two stacks of gated convolutions: no blind spot; conditioned on classes if asked to",
    ),
}


def find(name: str) -> Preset:
    """The preset of that name. Raises UsageError, with the nearest name, if there is none."""
    if name not in PRESETS:
        raise unknown("model", name, PRESETS)
    return PRESETS[name]


def image_fields(data: ImageData) -> dict[str, int]:
    """The fields of a model's configuration that its data decide."""
    height, width, colours = data.shape
    return {"height": height, "width": width, "colours": colours, "levels": data.levels}


def check_fits(config: Any, data: ImageData) -> None:
    """Raise UsageError unless the model is one of images like those of ``data``."""
    for name, value in image_fields(data).items():
        if getattr(config, name) != value:
            raise UsageError(
                f"{name}={getattr(config, name)}: the images of {data.name} have {name} {value}"
            )
    classes = getattr(config, "classes", 0)
    if classes and data.labels is None:
        raise UsageError(f"classes={classes}: the images of {data.name} have no labels")
    if classes and data.labels:
        needed = 1 + max(int(labels.max()) for labels in data.labels.values())
        if needed > classes:
            raise UsageError(f"classes={classes}: {data.name} has {needed} classes")


def labels_of(config: Any, data: ImageData, part: str) -> Any:
    """The labels (N,) that a class-conditional model is given with that part; None for others."""
    if not getattr(config, "classes", 0):
        return None
    assert data.labels is not None  # check_fits has seen to it
    return data.labels[part]
