"""Drawings of a graph: every operation, its shape, and the memory that its gradient keeps alive.

    import autograd.numpy as np
    from autograd import Tensor
    from autograd.graph import draw

    x, W = Tensor(np.ones((32, 4))), Tensor(np.ones((4, 8)))
    draw(np.sum(np.tanh(x @ W)), "graph.svg", names={"x": x, "W": W})

or, in one line:

    python -c "import autograd.numpy as np; from autograd import Tensor, graph
    x = Tensor(np.ones(3)); print(graph.draw(np.sum(np.tanh(x) * x)))" > graph.svg

A box *keeps* the arrays that its rules have captured and that nothing older keeps; arrays that
belong to a leaf, or that an older operation keeps already, it *shares*. So each array is counted
once, as the memory that it is a view of, and the sum over all boxes is what the graph keeps alive
until the backward pass.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from autograd import changes, core, errors
from autograd.core import ItemNode, LeafNode, Node, Tensor
from autograd.layout import Layout, Point, arrange, curve

LIMIT = 300  # boxes; a picture of more cannot be read
FONT = "'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif"
INK, FAINT, EDGE, ORANGE = "#1f2933", "#5b6675", "#8a94a6", "#c2680f"
FILLS = {"leaf": "#e3f3ea", "operation": "#ffffff", "item": "#f1f3f6", "more": "#ffffff"}
STROKES = {"leaf": "#3a9d6c", "operation": "#8a94a6", "item": "#b6bdc9", "more": "#b6bdc9"}


@dataclass(frozen=True)
class Box:
    """One node as it is drawn."""

    kind: str  # leaf, operation, item (one of several results), more (left out)
    name: str
    shape: str  # with the dtype
    keeps: int  # bytes
    shares: int
    freed: bool  # by a backward pass

    def lines(self) -> list[str]:
        """What is written in the box below the name."""
        memory = [
            f"{verb} {human(count)}"
            for verb, count in (("keeps", self.keeps), ("shares", self.shares))
            if count
        ]
        last = "freed" if self.freed else ", ".join(memory)
        return [line for line in (self.shape, last) if line]


@dataclass(frozen=True)
class Graph:
    """What there is to draw: boxes, inputs before outputs, and how they hang together."""

    boxes: list[Box]
    edges: dict[tuple[int, int], int]  # (from, to): how many times
    title: str
    kept: int  # bytes, by the whole graph, beside the leaves themselves


def draw(
    y: Tensor,
    file: str | os.PathLike | None = None,
    *,
    names: Mapping[str, Tensor] | None = None,
    depth: int | None = None,
) -> str:
    """A drawing of all that ``y`` depends on, as SVG text; also written to ``file``.

    ``file``: its ending, ``.svg`` or ``.dot``, says which of the two is made.
    ``names``: what to call which Tensors.
    ``depth``: draw only what is at most so many operations above ``y``.

    Raises TypeError if ``y`` has no graph, and ValueError for an SVG of more than 300 boxes.
    """
    ending = ".svg" if file is None else Path(file).suffix
    if ending not in (".svg", ".dot"):
        raise ValueError(f"draw: {str(file)!r} must end in .svg or .dot")
    text = (to_svg if ending == ".svg" else to_dot)(y, names=names, depth=depth)
    if file is not None:
        Path(file).write_text(text, encoding="utf-8")
    return text


# --------------------------------------------------------------------------- what there is to draw


def describe(
    y: Tensor, names: Mapping[str, Tensor] | None = None, depth: int | None = None
) -> Graph:
    """The graph of ``y`` in words and numbers."""
    if not isinstance(y, Tensor):
        raise TypeError(
            f"draw: expected a Tensor, got {errors.describe(y)}; a plain array has no graph "
            "(did any Tensor enter the computation, outside no_grad()?)"
        )
    nodes = sorted(core.ancestors([y.node]), key=_age)
    memory = retained(nodes)
    names_of = {tensor.node: name for name, tensor in (names or {}).items()}
    shown = nodes if depth is None else _near(y.node, depth)
    boxes: list[Box] = []
    edges: dict[tuple[int, int], int] = {}
    place: dict[Node, int] = {}
    for node in shown:
        left_out = [parent for parent in node.parents if parent not in place]
        if left_out:
            boxes.append(Box("more", "…", "", 0, 0, False))
            edges[len(boxes) - 1, len(boxes)] = len(left_out)
        for parent in node.parents:
            if parent in place:
                edge = place[parent], len(boxes)
                edges[edge] = edges.get(edge, 0) + 1
        place[node] = len(boxes)
        boxes.append(_box(node, memory[node], names_of.get(node)))
    return Graph(boxes, edges, _title(nodes, shown), sum(keeps for keeps, _ in memory.values()))


def _title(nodes: list[Node], shown: list[Node]) -> str:
    leaves = sum(type(node) is LeafNode for node in nodes)
    operations = len(nodes) - leaves - sum(type(node) is ItemNode for node in nodes)
    title = f"{operations} operation{'s' * (operations != 1)}"
    title += f", {leaves} {'leaf' if leaves == 1 else 'leaves'}"
    if len(shown) < len(nodes):
        title += f" (the nearest {len(shown)} of {len(nodes)} nodes)"
    return title


def retained(nodes: Iterable[Node]) -> dict[Node, tuple[int, int]]:
    """For each node, oldest first, the bytes that it alone so far keeps, and those it shares."""
    nodes = list(nodes)
    captured = {node: core.captured(node) for node in nodes}
    leaves = [node.tensor() for node in nodes if isinstance(node, LeafNode) and node.tensor]
    for values in captured.values():  # a variable that only rules still know
        leaves += [x for x in values if isinstance(x, Tensor) and type(x.node) is LeafNode]
    known = {id(changes.owner_of(leaf.data)) for leaf in leaves if leaf is not None}
    result = {}
    for node in nodes:
        keeps = shares = 0
        arrays = (x.data if isinstance(x, Tensor) else x for x in captured[node])
        owners = {id(owner): owner for owner in map(changes.owner_of, arrays)}
        for key, owner in owners.items():
            if key in known:
                shares += owner.nbytes
            else:
                keeps += owner.nbytes
        known.update(owners)
        result[node] = keeps, shares
    return result


def _box(node: Node, memory: tuple[int, int], name: str | None) -> Box:
    if isinstance(node, ItemNode):
        kind, label = "item", f"[{node.index}]"
    elif isinstance(node, LeafNode):
        kind, label = "leaf", "leaf"
    else:
        kind, label = "operation", node.name
    if name is not None:
        label = name if kind == "leaf" else f"{name} = {label}"
    several = node.shape and isinstance(node.shape[0], tuple)
    shape = (
        f"{len(node.shape)} results"
        if several
        else f"{tuple(node.shape)} {node.dtype}".replace("()", "scalar")
    )
    return Box(kind, label, shape, *memory, node.vjps is None)


def _near(node: Node, depth: int) -> list[Node]:
    """The nodes at most ``depth`` steps above ``node``, oldest first."""
    found = {node}
    boundary = [node]
    for _ in range(depth):
        boundary = [p for n in boundary for p in dict.fromkeys(n.parents) if p not in found]
        found.update(boundary)
    return sorted(found, key=_age)


def _age(node: Node) -> tuple[float, int]:
    return node.number, getattr(node, "index", 0)


def human(count: float) -> str:
    """Bytes, to be read: 96 B, 8.2 kB, 1.3 GB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


# -------------------------------------------------------------------------------------------- DOT


def to_dot(
    y: Tensor, *, names: Mapping[str, Tensor] | None = None, depth: int | None = None
) -> str:
    """The graph of ``y`` in Graphviz's language, of any size."""
    graph = describe(y, names, depth)
    lines = [
        "digraph {",
        f'  label="{graph.title}\\nkept for the backward pass: {human(graph.kept)}"; labelloc=t;',
        '  node [shape=box, style="rounded,filled", fontname="Helvetica", fillcolor=white];',
        f'  edge [color="{EDGE}"]; fontname="Helvetica";',
    ]
    for i, box in enumerate(graph.boxes):
        label = "\\n".join(map(_quoted, [box.name, *box.lines()]))
        form = ', shape=ellipse, style="filled"' if box.kind == "leaf" else ""
        colours = f'color="{STROKES[box.kind]}", fillcolor="{FILLS[box.kind]}"'
        lines.append(f'  n{i} [label="{label}", {colours}{form}];')
    for (source, target), times in graph.edges.items():
        label = f' [label="×{times}"]' if times > 1 else ""
        lines.append(f"  n{source} -> n{target}{label};")
    return "\n".join([*lines, "}", ""])


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ")


# -------------------------------------------------------------------------------------------- SVG


def to_svg(
    y: Tensor, *, names: Mapping[str, Tensor] | None = None, depth: int | None = None
) -> str:
    """The graph of ``y`` as a picture, of up to 300 boxes."""
    graph = describe(y, names, depth)
    if len(graph.boxes) > LIMIT:
        raise ValueError(
            f"draw: the graph of {y.node.name!r} has {len(graph.boxes)} nodes, and a picture of "
            f"more than {LIMIT} cannot be read; pass depth=20 for the part nearest to the result, "
            "or hand to_dot(y) to Graphviz"
        )
    sizes = [_size(box) for box in graph.boxes]
    layout = arrange(sizes, list(graph.edges))
    margin, head = 24.0, 84.0
    body = _arrows(layout, graph.edges)
    last = len(graph.boxes) - 1
    for i, (box, size, centre) in enumerate(zip(graph.boxes, sizes, layout.centres, strict=True)):
        share = box.keeps / graph.kept if graph.kept else 0.0
        body += _drawn(box, size, centre, share, is_result=i == last)
    width = max(layout.width, 430.0)
    shift = margin + (width - layout.width) / 2
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width + 2 * margin:.0f}" '
            f'height="{layout.height + head + margin:.0f}" font-family="{FONT}">',
            _STYLE,
            '<rect width="100%" height="100%" fill="#ffffff"/>',
            *_heading(graph, margin),
            f'<g transform="translate({shift:.1f} {head:.0f})">',
            *body,
            "</g>",
            "</svg>",
            "",
        ]
    )


def _arrows(layout: Layout, times: Mapping[tuple[int, int], int]) -> list[str]:
    """The edges; what several have in common at their beginning is drawn once."""
    parts = []
    drawn: set[tuple[Point, Point]] = set()
    for edge, path in layout.paths.items():
        pieces = list(itertools.pairwise(path))
        start = next(i for i, piece in enumerate(pieces) if piece not in drawn)
        drawn.update(pieces)
        x, y = path[-1]
        line = [*path[start:-1], (x, y - 5)]  # the arrow's head takes the last bit
        parts.append(f'<path class="edge" d="{curve(line)}" marker-end="url(#head)"/>')
        if times[edge] > 1:
            parts.append(
                f'<text class="small" x="{x + 7:.1f}" y="{y - 5:.1f}">×{times[edge]}</text>'
            )
    return parts


_STYLE = f"""<style>
.edge {{ fill: none; stroke: {EDGE}; stroke-width: 1.2 }}
.name {{ font-size: 13px; font-weight: 600; fill: {INK}; text-anchor: middle }}
.detail {{ font-size: 11px; fill: {FAINT}; text-anchor: middle }}
.small {{ font-size: 11px; fill: {FAINT} }}
</style>
<defs><marker id="head" orient="auto" markerWidth="6" markerHeight="7" refX="1" refY="3.5"
 markerUnits="userSpaceOnUse"><path d="M0 0L6 3.5L0 7z" fill="{EDGE}"/></marker></defs>"""


def _size(box: Box) -> tuple[float, float]:
    if box.kind == "more":
        return 40.0, 22.0
    lines = box.lines()
    width = max([8.2 * len(box.name), *(6.5 * len(line) for line in lines)]) + 22
    return max(width, 64.0), 27.0 + 15 * len(lines)


def _drawn(
    box: Box, size: tuple[float, float], centre: tuple[float, float], share: float, is_result: bool
) -> list[str]:
    (width, height), (x, y) = size, centre
    left, top = x - width / 2, y - height / 2
    radius = height / 2 if box.kind in ("leaf", "more") else 7
    stroke = INK if is_result else STROKES[box.kind]
    dashes = ' stroke-dasharray="4 3"' if box.kind == "more" else ""
    parts = [
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" '
        f'rx="{radius:.1f}" fill="{FILLS[box.kind]}" stroke="{stroke}" '
        f'stroke-width="{1.8 if is_result else 1.2}"{dashes}/>'
    ]
    if share > 0:
        long = max(2.0, share * (width - 16))
        parts.append(
            f'<rect x="{left + 8:.1f}" y="{top + height - 5:.1f}" width="{long:.1f}" height="3" '
            f'rx="1.5" fill="{ORANGE}"/>'
        )
    parts.append(f'<text class="name" x="{x:.1f}" y="{top + 16:.1f}">{escape(box.name)}</text>')
    for i, line in enumerate(box.lines()):
        words = escape(line)
        if line.startswith("keeps"):
            keeps, comma, shares = words.partition(",")
            words = f'<tspan fill="{ORANGE}">{keeps}</tspan>{comma}{shares}'
        parts.append(f'<text class="detail" x="{x:.1f}" y="{top + 31 + 15 * i:.1f}">{words}</text>')
    return parts


def _heading(graph: Graph, margin: float) -> list[str]:
    """Title, total, and what the colours mean."""
    green, grey = STROKES["leaf"], STROKES["operation"]
    return [
        f'<g transform="translate({margin:.0f} 0)">',
        f'<text x="0" y="28" font-size="15" font-weight="600" fill="{INK}">'
        f"kept for the backward pass: {human(graph.kept)}</text>",
        f'<text class="small" x="0" y="46">{escape(graph.title)}</text>',
        f'<rect x="1" y="55" width="22" height="11" rx="5.5" fill="{FILLS["leaf"]}" '
        f'stroke="{green}"/><text class="small" x="29" y="65">leaf</text>',
        f'<rect x="62" y="55" width="22" height="11" rx="3" fill="#ffffff" stroke="{grey}"/>'
        '<text class="small" x="90" y="65">operation</text>',
        f'<rect x="156" y="59" width="22" height="3" rx="1.5" fill="{ORANGE}"/>'
        '<text class="small" x="184" y="65">its share of what is kept</text>',
        "</g>",
    ]
