"""A finished run, to use: its model with the best weights, and its data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autograd import backend
from scratchgen.config import override
from scratchgen.errors import RunError, UsageError
from scratchgen.training import presets
from scratchgen.training.media.medium import Medium
from scratchgen.training.run_folder import RunFolder
from scratchgen.training.settings import TrainingSettings


class Run:
    """What a run folder's ``config.json`` describes.

    Raises RunError if it names a model, a field or a value that there is not: it was edited, or
    written by another version.
    """

    def __init__(self, folder: RunFolder, description: Mapping[str, Any]) -> None:
        self.folder, self.description = folder, description
        try:
            self.preset = presets.find(description["model"])
            self.config = _fields(self.preset.config, description["config"])
            self.settings: TrainingSettings = _fields(self.preset.training, description["training"])
            self.seed, self.dtype = int(description["seed"]), str(description["dtype"])
        except KeyError as error:
            raise RunError(f"{folder.config}: there is no entry {error}") from error
        except (TypeError, ValueError, UsageError) as error:
            raise RunError(f"{folder.config}: {error}") from error

    @classmethod
    def open(cls, path: Path | str) -> Run:
        folder = RunFolder.existing(Path(path))
        return cls(folder, folder.read_config())

    def changed(self, changes: Sequence[str]) -> Run:
        """The same run with other training settings, "field=value"."""
        (settings,) = override([self.settings], changes)
        return Run(self.folder, {**self.description, "training": dataclasses.asdict(settings)})

    @property
    def medium(self) -> Medium:
        """What it is a model of."""
        return self.preset.medium

    def data(self) -> Any:
        """The data that it was trained on. Raises RunError if they are others now."""
        data = self.medium.load(self.description["data"], getattr(self.config, "levels", None))
        try:
            self.medium.check(self.config, data)
        except UsageError as error:
            raise RunError(f"{self.folder.config}: {error}") from error
        return data

    def new_model(self) -> Any:
        """The model with the weights that training began with."""
        model = self.preset.model(self.config, backend.default_rng(self.seed))
        if self.dtype != "float32":
            model.astype(self.dtype)
        return model

    def model(self) -> Any:
        """The model with the best weights. Raises RunError if these are not of this model."""
        if not self.folder.checkpoint.exists():
            raise RunError(
                f"{self.folder.path} has no weights yet, as training stopped before the first "
                f"validation; go on with: scratchgen train --resume {self.folder.path}"
            )
        model = self.new_model()
        try:
            model.load(self.folder.load_checkpoint())
        except ValueError as error:
            raise RunError(
                f"{self.folder.checkpoint} is not of the model in config.json: {error}"
            ) from error
        return model


def _fields(default: Any, values: Mapping[str, Any]) -> Any:
    """``default`` with all fields as in ``values``, of the same types."""
    for name, value in values.items():
        expected = getattr(default, name, None)
        if expected is not None and not isinstance(value, int | type(expected)):
            raise ValueError(f"{name}={value!r} is not of the type {type(expected).__name__}")
    return dataclasses.replace(default, **values)
