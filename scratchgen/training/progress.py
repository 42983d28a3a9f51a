"""Progress on the terminal."""

from __future__ import annotations

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

    def steps(self, step: int, epoch: int, nats: float, per_second: float) -> None:
        self._bar.update(self._task, completed=step, epoch=f"{epoch}/{self._epochs}")
        self._show(nats, per_second)

    def epoch(self, record: dict[str, Any]) -> None:
        nats = record["validation_nats"]
        self._validation = f"validation {_short(nats)}, "
        speed = record[f"{self._medium.unit}s_per_second"]
        self._show(record["train_nats"], speed)
        if not self._console.is_terminal:
            bits = record["validation_bits_per_dimension"]
            self._console.print(
                f"epoch {record['epoch']}/{self._epochs}: "
                f"train {record['train_nats']:.{digits(nats)}f}, "
                f"validation {nats:.{digits(nats)}f} nats, {bits:.3f} {self._medium.bits}; "
                f"{speed:,.0f} {self._medium.unit}s/s",
                highlight=False,
                soft_wrap=True,
                markup=False,
            )

    def _show(self, nats: float, per_second: float) -> None:
        bits = bits_per_dimension(nats, self._dimensions)
        text = f"{_short(nats)} nats, {bits:.2f} bits, {self._validation}"
        self._bar.update(self._task, loss=f"{text}{per_second:,.0f} {self._medium.unit}s/s")


def _short(nats: float) -> str:
    return f"{nats:.{digits(nats) - 1}f}"
