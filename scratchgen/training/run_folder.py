"""The folder that a training run leaves behind.

config.json              the command, the model's and the training's fields, seed, versions
metrics.jsonl            one line for each epoch, and one for the test part
checkpoint.safetensors   the best weights so far, by validation
state.safetensors        what it takes to go on: latest weights, optimiser, step
samples/*                what the model drew: .png, .txt, .wav
report.html              all of it on one page
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
    """The paths in a run folder, and how they are written: each file whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config = path / "config.json"
        self.metrics = path / "metrics.jsonl"
        self.checkpoint = path / "checkpoint.safetensors"
        self.state = path / "state.safetensors"
        self.report = path / "report.html"

    @classmethod
    def new(cls, path: Path) -> RunFolder:
        """Make the folder. Raises RunError if it cannot be made, or holds a run already."""
        folder = cls(path)
        if folder.config.exists():
            raise RunError(
                f"{path} holds a run already; choose another folder, remove it, "
                f"or go on with it: --resume {path}"
            )
        try:
            (path / "samples").mkdir(parents=True, exist_ok=True)
            folder.metrics.write_text("")
        except OSError as error:
            raise _cannot_write(path, error) from error
        return folder

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
                raise _cannot_write(path, error) from error
            return cls.new(path)
        raise AssertionError("itertools.count has no end")

    @classmethod
    def existing(cls, path: Path) -> RunFolder:
        """The folder of a run. Raises RunError if there is none."""
        folder = cls(path)
        if not folder.config.is_file():
            missing = (
                "there is no config.json in it" if path.is_dir() else "there is no such folder"
            )
            raise RunError(f"{path} is not the folder of a run: {missing}")
        return folder

    def write_config(self, config: Mapping[str, Any]) -> None:
        _write(self.config, json.dumps(config, indent=2) + "\n")

    def read_config(self) -> dict[str, Any]:
        try:
            found = json.loads(self.config.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(f"cannot read {self.config}: {error}") from error
        if not isinstance(found, dict):
            raise RunError(f"cannot read {self.config}: it holds no fields")
        return found

    def add_metrics(self, record: Mapping[str, Any]) -> None:
        """Append one line to ``metrics.jsonl``."""
        try:
            with self.metrics.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        except OSError as error:
            raise _cannot_write(self.path, error) from error

    def read_metrics(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``; of a run that was killed the last may be incomplete."""
        records: list[dict[str, Any]] = []
        if not self.metrics.exists():  # lost, or not yet written
            return records
        for line in self.metrics.read_text(encoding="utf-8").splitlines():
            try:
                records.append(json.loads(line))
            except ValueError:
                break
        return records

    def forget_metrics_after(self, step: int) -> None:
        """Keep the lines of epochs up to that step."""
        kept = [record for record in self.read_metrics() if record.get("step", step + 1) <= step]
        _write(self.metrics, "".join(json.dumps(record) + "\n" for record in kept))

    def save_checkpoint(self, values: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        checkpoint.save(self.checkpoint, values, metadata)

    def load_checkpoint(self) -> dict[str, Any]:
        """The best weights, by parameter path."""
        return checkpoint.load(self.checkpoint)[0]

    def save_state(self, arrays: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
        checkpoint.save(self.state, arrays, metadata)

    def load_state(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return checkpoint.load(self.state)

    def write_report(self, page: str) -> None:
        _write(self.report, page)

    def sample(self, name: str) -> Path:
        """Where the file ``name`` of something drawn belongs."""
        return self.path / "samples" / name


def _write(path: Path, text: str) -> None:
    with checkpoint.replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _cannot_write(path: Path, error: OSError) -> RunError:
    return RunError(f"cannot write to the folder {path}: {error.strerror}")
