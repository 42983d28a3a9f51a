"""Plots of points in the plane."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from scratchgen.errors import RunError

PANELS = 9
"""Stages of a transport that are shown at most."""

ARROWS = 20
"""On a side of the picture of a critic."""

DPI = 100
"""Pixels to the unit of a figure's size."""


def points(x: numpy.ndarray, labels: Any, low: float, high: float) -> Figure:
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
    return figure


def density(
    path: Path, p: Callable[[numpy.ndarray], numpy.ndarray], low: float, high: float
) -> None:
    """The density p: (N, 2) → (N,) on the square [low, high]², darker where it is higher."""
    steps = 200
    width = (high - low) / steps
    values = p(_cells(low, high, steps)).reshape(steps, steps)
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


def critic(
    path: Path,
    score: Callable[[numpy.ndarray], numpy.ndarray],
    slope: Callable[[numpy.ndarray], numpy.ndarray],
    data: numpy.ndarray,
    samples: numpy.ndarray,
    low: float,
    high: float,
) -> None:
    """Scores: (N, 2) → (N,) on the square [low, high]², and arrows up their slope: (N, 2) → (N, 2).

    Over them data and samples, (N, 2) both: an arrow is where a sample there is told to go.
    """
    steps = 100
    cells, coarse = _cells(low, high, steps), _cells(low, high, ARROWS)
    figure = Figure(figsize=(6.4, 5.4), layout="constrained")
    axes = figure.subplots()
    surface = axes.contourf(
        *cells.T.reshape(2, steps, steps), score(cells).reshape(steps, steps), 20, cmap="RdBu_r"
    )
    figure.colorbar(surface, ax=axes, shrink=0.8, label="score")
    for name, x, colour in (("data", data, "tab:green"), ("samples", samples, "black")):
        axes.scatter(x[:, 0], x[:, 1], s=3, linewidths=0, c=colour, label=name)
    axes.quiver(*coarse.T, *slope(coarse).T, color="dimgrey", width=0.003)
    axes.legend(loc="upper right", fontsize=7, markerscale=4)
    _frame(axes, low, high)
    save(figure, path)


def game(
    path: Path, trajectories: Mapping[str, numpy.ndarray], exact: numpy.ndarray, formula: str
) -> None:
    """Ways of two players in the plane, (steps + 1, 2) by name, from where they began.

    Beside them how far each is from the origin over the steps, and what that is by a ``formula``:
    ``exact`` (steps + 1,).
    """
    figure = Figure(figsize=(4.2 * (len(trajectories) + 1), 4.4), layout="constrained")
    *panels, distance = figure.subplots(1, len(trajectories) + 1)
    reach = 1.05 * max(float(numpy.abs(places).max()) for places in trajectories.values())
    for axes, (name, places) in zip(panels, trajectories.items(), strict=True):
        axes.plot(*places.T, marker=".", markersize=3, linewidth=0.7, color="black")
        axes.plot(*places[0], "o", color="tab:green")
        axes.plot(0, 0, "+", color="tab:red")
        axes.set_title(name, fontsize=10)
        _frame(axes, -reach, reach)
        distance.plot(radius(places), linewidth=2.5, label=name)
    distance.plot(exact, "--", linewidth=1, color="black", label=formula)
    distance.set_yscale("log")
    distance.set_title("distance from the equilibrium", fontsize=10)
    distance.set_xlabel("step", fontsize=8)
    distance.tick_params(labelsize=7, which="both")
    distance.legend(frameon=False, fontsize=8)
    save(figure, path)


def radius(places: numpy.ndarray) -> numpy.ndarray:
    """How far from the origin each of (N, 2) is: (N,)."""
    return numpy.hypot(*places.T)


def pixels(figure: Figure) -> numpy.ndarray:
    """What :func:`save` writes, (height, width, 3) of 0 … 255."""
    figure.set_dpi(DPI)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return numpy.asarray(canvas.buffer_rgba())[..., :3]


def save(figure: Figure, path: Path) -> None:
    """As PNG. Raises RunError if the file cannot be written."""
    try:
        figure.savefig(path, format="png", dpi=DPI)
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error


def _cells(low: float, high: float, steps: int) -> numpy.ndarray:
    """The middle of each of steps × steps cells of the square [low, high]²: (steps², 2)."""
    axis = low + (numpy.arange(steps) + 0.5) * ((high - low) / steps)
    return numpy.stack(numpy.meshgrid(axis, axis), -1).reshape(-1, 2)


def _frame(axes: Any, low: float, high: float) -> None:
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.set_aspect("equal")
    axes.tick_params(labelsize=7)
