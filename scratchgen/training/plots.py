"""Plots of points in the plane."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy
from matplotlib.figure import Figure

from scratchgen.errors import RunError

PANELS = 9
"""Stages of a transport that are shown at most."""


def scatter(path: Path, x: numpy.ndarray, labels: Any, low: float, high: float) -> None:
    """Points (N, 2), those of each label (N,) in a colour; of more dimensions the first two.

    Numbers (N, 1) as a histogram.
    """
    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.subplots()
    if x.shape[1] == 1:
        axes.hist(x[:, 0], bins=50, range=(low, high), color="black")
    else:
        colours = {"c": "black"} if labels is None else {"c": labels, "cmap": "tab10"}
        axes.scatter(x[:, 0], x[:, 1], s=3, linewidths=0, **colours)
        _frame(axes, low, high)
    save(figure, path)


def density(
    path: Path, p: Callable[[numpy.ndarray], numpy.ndarray], low: float, high: float
) -> None:
    """The density p: (N, 2) → (N,) on the square [low, high]², darker where it is higher."""
    steps = 200
    width = (high - low) / steps
    axis = low + (numpy.arange(steps) + 0.5) * width  # the middle of each cell
    grid = numpy.stack(numpy.meshgrid(axis, axis), -1).reshape(-1, 2)
    values = p(grid).reshape(steps, steps)
    figure = Figure(figsize=(5.6, 5), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(values, cmap="Blues", extent=(low, high, low, high), origin="lower")
    figure.colorbar(image, ax=axes, shrink=0.8)
    axes.set_title(f"p(x); its sum over this square is {values.sum() * width**2:.3f}", fontsize=10)
    _frame(axes, low, high)
    save(figure, path)


def transport(path: Path, stages: Sequence[numpy.ndarray], low: float, high: float) -> None:
    """The same points (N, 2) at each stage of a flow, in the colour of where they came from."""
    shown = numpy.unique(numpy.linspace(0, len(stages) - 1, PANELS).round().astype(int))
    columns = math.ceil(len(shown) / math.ceil(len(shown) / 5))
    rows = math.ceil(len(shown) / columns)
    figure = Figure(figsize=(2.6 * columns, 2.7 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    start = stages[0]
    angle = numpy.arctan2(start[:, 1], start[:, 0])
    for axes, stage in zip(panels, shown, strict=False):
        x = stages[stage]
        axes.scatter(x[:, 0], x[:, 1], c=angle, cmap="twilight", s=2, linewidths=0)
        axes.set_title("noise" if stage == 0 else f"after {stage} of {len(stages) - 1}", fontsize=9)
        reach = max(-low, high, float(numpy.quantile(numpy.abs(x), 0.995)))
        _frame(axes, -reach, reach)
    for axes in panels[len(shown) :]:
        axes.remove()
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """As PNG. Raises RunError if the file cannot be written."""
    try:
        figure.savefig(path, format="png", dpi=100)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error


def _frame(axes: Any, low: float, high: float) -> None:
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")
    axes.tick_params(labelsize=7)
