"""Pictures of results: ratios to peers, fractions of a roofline, growth with size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from scratchgen.errors import UsageError

COLOURS = {
    "torch": "#d9541e",
    "torch-compile": "#8a4fbf",
    "jax": "#1f77b4",
    "not replayed": "#6a8f3c",
}
MARKERS = {"forward": ">", "backward": "<", "both": "o"}

Series = Mapping[str, Sequence[tuple[float, float]]]
"""(size, milliseconds) of each machine or backend, by its name."""


def chart(rows: Sequence[dict[str, Any]], file: str) -> None:
    """Write the ratios to ``file``, in the format that its name says."""
    if not any(row.get("ratio") and row.get("peer") for row in rows):
        raise UsageError(f"chart {file}: these rows have no ratio to a peer")
    ratios(rows).savefig(file, dpi=120)


def ratios(rows: Sequence[dict[str, Any]]) -> Figure:
    """A bar from 1 to each row's ratio, and its quartiles; of one bench, all peers together."""
    rows = [row for row in rows if row.get("peer")]
    names = [_name(row) for row in rows]
    figure = Figure(figsize=(9, 1.2 + 0.24 * len(rows) + 0.1 * len(set(names))), layout="tight")
    panel = figure.subplots()
    shown, y = set(), 0.0
    for i, (row, name) in enumerate(zip(rows, names, strict=True)):
        y += 1.0 if i == 0 or name == names[i - 1] else 1.5
        family = row.get("family") or "torch"
        panel.barh(
            y, row["ratio"] - 1, 0.8, left=1, color=COLOURS[family], alpha=0.75,
            label=None if family in shown else family,
        )  # fmt: skip
        panel.plot(row["spread"], [y, y], color="black", linewidth=1)
        end = max(1.0, row["ratio"], *row["spread"])
        panel.text(end * 1.03, y, f"{row['ratio']:.2f}", va="center", fontsize=8)
        first = i == 0 or name != names[i - 1]
        if first:
            own = names.count(name)
            panel.annotate(
                name, (0, y + (own - 1) / 2), (-6, 0), ("axes fraction", "data"), "offset points",
                ha="right", va="center", fontsize=8, annotation_clip=False,
            )  # fmt: skip
        shown.add(family)
    panel.axvline(1, color="black", linewidth=1)
    panel.set(xscale="log", yticks=[], xlabel="here / peer: left of 1, here is faster")
    panel.set_ylim(y + 0.7, 0.3)
    low = min(0.5, *(min(row["spread"]) for row in rows))
    panel.set_xlim(low / 1.1, 1.5 * max(2.0, *(max(row["spread"]) for row in rows)))
    _plain_numbers(panel.xaxis)
    panel.spines[["top", "right", "left"]].set_visible(False)
    panel.legend(frameon=False, ncols=3, loc="lower right", bbox_to_anchor=(1, 1), fontsize=8)
    return figure


def _name(row: dict[str, Any]) -> str:
    return row["name"] + (" (GPU)" if row.get("backend") == "cupy" else "")


def _plain_numbers(axis: Any) -> None:
    """0.5, 1, 2 in place of powers of ten."""
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def rooflines(rows: Sequence[dict[str, Any]]) -> Figure:
    """What part of the machine's rates each kernel reaches: a panel for each backend and dtype."""
    panels = list(dict.fromkeys((row["backend"], row["dtype"]) for row in rows))
    sizes = list(dict.fromkeys(row["size"] for row in rows))
    height = 1.2 + 0.22 * len(sizes)
    figure = Figure(figsize=(4 + 3 * len(panels), height), layout="tight")
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axis, which in zip(axes, panels, strict=True):
        for pass_, marker in MARKERS.items():
            found = {
                row["size"]: row["roofline"]
                for row in rows
                if (row["backend"], row["dtype"], row["pass"]) == (*which, pass_)
            }
            places = [sizes.index(size) for size in found]
            axis.plot(list(found.values()), places, marker, label=pass_, alpha=0.75, markersize=5)
        axis.set(xlim=(0, None), xlabel="part of the roofline")
        axis.set_title(", ".join(which), fontsize=9)
        axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.0%}"))
        axis.axvline(1, color="black", linewidth=1)
        axis.grid(axis="y", alpha=0.3)
        axis.spines[["top", "right", "left"]].set_visible(False)
    axes[0].set_yticks(range(len(sizes)), sizes, fontsize=8)
    axes[0].set_ylim(len(sizes) - 0.5, -0.5)
    axes[0].legend(frameon=False, fontsize=8)
    return figure


def growth(lines: Mapping[str, Series]) -> Figure:
    """Time over size, both in logarithms: a panel for each line, with its exponent."""
    columns = min(3, len(lines))
    down = math.ceil(len(lines) / columns)
    figure = Figure(figsize=(3.6 * columns, 3 * down), layout="tight")
    panels = figure.subplots(down, columns, squeeze=False).ravel()
    for panel, (title, series) in zip(panels, lines.items(), strict=False):
        for name, points in series.items():
            sizes, times = zip(*points, strict=True)
            label = f"{name}: n^{exponent(points):.2f}" if len(points) > 1 else name
            panel.plot(sizes, times, "o-", label=label, markersize=3)
        panel.set(xscale="log", yscale="log", ylabel="ms")
        panel.set_title(title, fontsize=9)
        panel.set_xticks(sizes, [f"{size:g}" for size in sizes])
        panel.xaxis.set_minor_formatter(NullFormatter())
        _plain_numbers(panel.yaxis)
        panel.spines[["top", "right"]].set_visible(False)
        panel.legend(frameon=False, fontsize=7)
    for panel in panels[len(lines) :]:
        panel.set_axis_off()
    return figure


def exponent(points: Sequence[tuple[float, float]]) -> float:
    """p of c · n^p, by least squares in logarithms, of the larger half of the sizes."""
    sizes, times = numpy.log(sorted(points)[-max(2, (len(points) + 1) // 2) :]).T
    return float(numpy.polyfit(sizes, times, 1)[0])
