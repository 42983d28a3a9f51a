"""Progress on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from scratchgen.metrics import bits_per_dimension
from scratchgen.training.evaluation import digits
from scratchgen.training.media.medium import Medium


class ProgressBar:
    """A bar with the loss, the validation figure, the speed and the time left.

    Where the output is no terminal (a pipe, a file), there is a line for each epoch instead.
    """

    def __init__(
        self, console: Console, step: int, total: int, epochs: int, medium: Medium, data: Any
    ) -> None:
        """``step`` of ``total`` is where it starts."""
        self._console, self._epochs = console, epochs
        self._medium, self._dimensions = medium, medium.dimensions(data)
        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(bar_width=None),
            TextColumn("{task.fields[loss]}"),
            TimeRemainingColumn(compact=True),
            console=console,
            disable=not console.is_terminal,
            expand=True,
        )
        self._task = self._bar.add_task(
            "training", total=total, completed=step, epoch=f"0/{epochs}", loss=""
        )
        self._validation = ""

    def __enter__(self) -> ProgressBar:
        self._bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        self._bar.stop()

    def steps(self, step: int, epoch: int, metrics: Mapping[str, float], per_second: float) -> None:
        self._bar.update(self._task, completed=step, epoch=f"{epoch}/{self._epochs}")
        self._show(metrics, per_second)

    def epoch(self, record: dict[str, Any]) -> None:
        train = {
            name.removeprefix("train_"): x
            for name, x in record.items()
            if name.startswith("train_")
        }
        name, value = validation_of(record)
        self._validation = f"validation {_short(value)}, "
        speed = record[f"{self._medium.unit}s_per_second"]
        self._show(train, speed)
        if not self._console.is_terminal:
            in_bits = record.get("validation_bits_per_dimension")
            bits = "" if in_bits is None else f", {in_bits:.3f} {self._medium.bits}"
            self._console.print(
                f"epoch {record['epoch']}/{self._epochs}: "
                f"train {_told(train, digits(value))}, "
                f"validation {value:.{digits(value)}f} {name}{bits}; "
                f"{speed:,.0f} {self._medium.unit}s/s",
                highlight=False,
                soft_wrap=True,
                markup=False,
            )

    def _show(self, metrics: Mapping[str, float], per_second: float) -> None:
        text = _told(metrics, 1)
        if "nats" in metrics:
            nats = metrics["nats"]
            bits = bits_per_dimension(nats, self._dimensions)
            text = f"{_short(nats)} nats, {bits:.2f} bits"
        speed = f"{per_second:,.0f} {self._medium.unit}s/s"
        self._bar.update(self._task, loss=f"{text}, {self._validation}{speed}")


def validation_of(record: Mapping[str, Any]) -> tuple[str, float]:
    """What an epoch's validation measured, and its value."""
    names = (name for name in record if name.startswith("validation_") and "bits" not in name)
    name = next(names)
    return name.removeprefix("validation_"), record[name]


def _told(metrics: Mapping[str, float], places: int) -> str:
    """The nats if there are any; else everything that was reported, by name."""
    if "nats" in metrics:
        return f"{metrics['nats']:.{places}f}"
    return ", ".join(f"{name} {value:.3f}" for name, value in metrics.items())


def _short(value: float) -> str:
    return f"{value:.{digits(value) - 1}f}"
