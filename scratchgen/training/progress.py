"""Progress on the terminal."""

from __future__ import annotations

import math
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from scratchgen.metrics import bits_per_dimension


class ProgressBar:
    """A bar with the loss, the validation figure, the speed and the time left.

    Where the output is no terminal (a pipe, a file), there is a line for each epoch instead.
    """

    def __init__(
        self, console: Console, step: int, total: int, epochs: int, shape: tuple[int, ...]
    ) -> None:
        """``step`` of ``total`` is where it starts; ``shape`` is that of one image."""
        self._console, self._epochs, self._dimensions = console, epochs, math.prod(shape)
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

    def steps(self, step: int, epoch: int, nats: float, images_per_second: float) -> None:
        self._bar.update(self._task, completed=step, epoch=f"{epoch}/{self._epochs}")
        self._show(nats, images_per_second)

    def epoch(self, record: dict[str, Any]) -> None:
        nats = record["validation_nats"]
        self._validation = f"validation {nats:.1f}, "
        self._show(record["train_nats"], record["images_per_second"])
        if not self._console.is_terminal:
            bits = record["validation_bits_per_dimension"]
            self._console.print(
                f"epoch {record['epoch']}/{self._epochs}: train {record['train_nats']:.2f}, "
                f"validation {nats:.2f} nats, {bits:.3f} bits/dim; "
                f"{record['images_per_second']:,.0f} images/s",
                highlight=False,
                soft_wrap=True,
                markup=False,
            )

    def _show(self, nats: float, images_per_second: float) -> None:
        bits = bits_per_dimension(nats, self._dimensions)
        text = f"{nats:.1f} nats, {bits:.2f} bits/dim, {self._validation}"
        self._bar.update(self._task, loss=f"{text}{images_per_second:,.0f} img/s")
