"""Figures of claims: plain axes, and pictures as SVG in the colour of the text around them."""

from __future__ import annotations

import html
import io
import re
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.textpath import TextPath

_COMMANDS = {Path.MOVETO: "M", Path.LINETO: "L", Path.CURVE3: "Q", Path.CURVE4: "C"}

FORMULA_SIZE = 19.0
"""Of the letters, in pixels."""


def axes(
    x_label: str, y_label: str, *, x_scale: str = "linear", y_scale: str = "linear"
) -> tuple[Figure, Any]:
    """A figure and its axes, with labels; a scale is "linear" or "log"."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    panel = figure.subplots()
    panel.set(xlabel=x_label, ylabel=y_label, xscale=x_scale, yscale=y_scale)
    panel.spines[["top", "right"]].set_visible(False)
    return figure, panel


def figure_svg(figure: Figure, key: str, alt: str) -> str:
    """``figure`` as an SVG element. What is black takes the text's colour; ``key`` starts its ids.

    (In one page, the ids of several would otherwise be the same.)
    """
    text = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": key}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None})
    svg = text.getvalue()[text.getvalue().index("<svg") :]
    svg = re.sub(r' id="([^"]+)"', rf' id="{key}-\1"', svg)
    svg = re.sub(r'href="#([^"]+)"', rf'href="#{key}-\1"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{key}-\1)", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = svg.replace("#000000", "currentColor")
    head = f'<svg role="img" aria-label="{html.escape(alt)}" fill="currentColor" '
    return svg.replace("<svg ", head, 1).strip()


def formula_svg(latex: str, alt: str) -> str:
    """A formula, typeset by matplotlib's mathtext, as an SVG element of one path.

    Raises ValueError for what mathtext does not know.
    """
    font = FontProperties(math_fontfamily="cm")
    path = TextPath((0, 0), f"${latex}$", size=FORMULA_SIZE, prop=font)
    box = path.get_extents()
    steps = []
    for numbers, code in path.iter_segments(simplify=False):
        drawn = " ".join(f"{x:.2f}" for x in numbers)
        steps.append("Z" if code == Path.CLOSEPOLY else _COMMANDS[code] + drawn)
    left = min(box.x0, 0.0) - 1  # keeps a \\quad at the beginning
    width, height = box.x1 - left + 1, box.height + 2
    return (
        f'<svg class="formula" role="img" aria-label="{html.escape(alt)}" width="{width:.0f}" '
        f'height="{height:.0f}" viewBox="{left:.2f} {-box.y1 - 1:.2f} {width:.2f} {height:.2f}">'
        f'<path transform="scale(1,-1)" fill="currentColor" d="{"".join(steps)}"/></svg>'
    )
