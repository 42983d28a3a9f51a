"""The folder that a training run leaves behind.

config.json              the command, the model's and the training's fields, seed, versions
metrics.jsonl            one line for each epoch, and one for the test part
checkpoint.safetensors   the best weights so far, by validation
samples/*.png            pictures of samples
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scratchgen.errors import RunError
from scratchgen.training import checkpoint


class RunFolder:
    """A new run folder. Raises RunError if it cannot be made, or holds a run already."""

    def __init__(self, path: Path) -> None:
        if (path / "config.json").exists():
            raise RunError(f"{path} holds a run already; choose another folder or remove it")
        try:
            (path / "samples").mkdir(parents=True, exist_ok=True)
            (path / "metrics.jsonl").touch()
        except OSError as error:
            raise RunError(f"cannot write to the folder {path}: {error.strerror}") from error
        self.path = path
        self.checkpoint = path / "checkpoint.safetensors"

    @classmethod
    def numbered(cls, parent: Path, name: str) -> RunFolder:
        """The first of ``parent``/name-1, name-2, … that does not exist yet."""
        for i in itertools.count(1):
            path = parent / f"{name}-{i}"
            try:
                path.mkdir(parents=True)
            except FileExistsError:
                continue
            except OSError as error:
                raise RunError(f"cannot write to the folder {path}: {error.strerror}") from error
            return cls(path)
        raise AssertionError("itertools.count has no end")

    def write_config(self, config: Mapping[str, Any]) -> None:
        text = json.dumps(config, indent=2)
        (self.path / "config.json").write_text(text + "\n", encoding="utf-8")

    def add_metrics(self, record: Mapping[str, Any]) -> None:
        """Append one line to ``metrics.jsonl``."""
        with (self.path / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")

    def save_checkpoint(self, values: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        checkpoint.save(self.checkpoint, values, metadata)

    def picture(self, name: str) -> Path:
        """Where the picture ``name`` belongs."""
        return self.path / "samples" / f"{name}.png"
