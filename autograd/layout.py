"""Where the boxes of a drawing go: layers, order within a layer, coordinates.

The method is that of Sugiyama, Tagawa & Toda (1981) for directed acyclic graphs:

1. each node's *layer* is its longest path to an output, so that it stands right above its users;
2. an edge that crosses layers passes through a *bend* in each of them; the edges out of one node
   share their bends, as one trunk with branches;
3. within the layers, nodes are ordered by the mean position of their neighbours (the barycentre),
   down and up in turn, and the order with the fewest crossings is kept;
4. coordinates: each node wants to stand at the mean of its neighbours, at a distance from the next.
   The least-squares answer for a whole layer is an isotonic regression, found by pooling.
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

SWEEPS = 12
COLUMN_GAP, ROW_GAP, PORT_GAP = 22.0, 34.0, 14.0
STRAIGHT = 8.0  # how much more a bend insists on standing below the one above it than a box does

Point = tuple[float, float]
Edge = tuple[int, int]


@dataclass
class Layout:
    """Centres of the boxes, and the corners of the edges from the source's foot to the target."""

    centres: list[Point]
    paths: dict[Edge, list[Point]]
    width: float
    height: float


@dataclass
class _Item:
    """A box or a bend."""

    layer: int
    width: float
    x: float = 0.0
    above: list[_Item] = field(default_factory=list)
    below: list[_Item] = field(default_factory=list)
    place: int = 0  # from the left, within the layer
    is_bend: bool = False


def arrange(sizes: Sequence[tuple[float, float]], edges: Sequence[Edge]) -> Layout:
    """Place boxes of those (width, height); each edge leads from a box to a later one."""
    layers_of = _layers(len(sizes), edges)
    boxes = [_Item(layer, w) for layer, (w, _) in zip(layers_of, sizes, strict=True)]
    layers: list[list[_Item]] = [[] for _ in range(max(layers_of) + 1)]
    for box in boxes:
        layers[box.layer].append(box)
    routes = _route(boxes, edges, layers)
    _order(layers)
    _place(layers)
    left = min(item.x - item.width / 2 for item in itertools.chain(*layers))
    for item in itertools.chain(*layers):
        item.x -= left
    tops, heights = _rows(boxes, sizes, len(layers))
    middles = [top + height / 2 for top, height in zip(tops, heights, strict=True)]
    centres = [(box.x, middles[box.layer]) for box in boxes]
    ports = _ports(boxes, routes)
    paths = {}
    for (source, target), bends in routes.items():
        path = [(centres[source][0], centres[source][1] + sizes[source][1] / 2)]
        for bend in bends:  # straight down past the boxes of that layer
            top = tops[bend.layer]
            path += [(bend.x, top), (bend.x, top + heights[bend.layer])]
        end = (ports[source, target], centres[target][1] - sizes[target][1] / 2)
        paths[source, target] = [*path, end]
    width = max(item.x + item.width / 2 for item in itertools.chain(*layers))
    return Layout(centres, paths, width, tops[-1] + heights[-1])


def _rows(
    boxes: list[_Item], sizes: Sequence[tuple[float, float]], count: int
) -> tuple[list[float], list[float]]:
    """Where each layer begins, and how high it is."""
    heights = [0.0] * count
    for box, (_, height) in zip(boxes, sizes, strict=True):
        heights[box.layer] = max(heights[box.layer], height)
    tops = itertools.accumulate((height + ROW_GAP for height in heights[:-1]), initial=0.0)
    return list(tops), heights


def _layers(count: int, edges: Sequence[Edge]) -> list[int]:
    """Of each node its layer, counted from the top: the longest path to the bottom decides."""
    users = defaultdict(list)
    for source, target in edges:
        users[source].append(target)
    up = [0] * count
    for node in reversed(range(count)):
        up[node] = max((up[user] + 1 for user in users[node]), default=0)
    return [max(up) - layer for layer in up]


def _route(
    boxes: list[_Item], edges: Sequence[Edge], layers: list[list[_Item]]
) -> dict[Edge, list[_Item]]:
    """Put bends into the layers that edges cross, and link all neighbours; each edge's bends."""
    routes: dict[Edge, list[_Item]] = {}
    trunks: dict[int, list[_Item]] = defaultdict(list)
    for source, target in sorted(set(edges)):
        first = boxes[source].layer + 1
        trunk = trunks[source]
        while first + len(trunk) < boxes[target].layer:
            bend = _Item(first + len(trunk), 6.0, is_bend=True)
            layers[bend.layer].append(bend)
            _link(trunk[-1] if trunk else boxes[source], bend)
            trunk.append(bend)
        routes[source, target] = bends = trunk[: boxes[target].layer - first]
        _link(bends[-1] if bends else boxes[source], boxes[target])
    return routes


def _link(upper: _Item, lower: _Item) -> None:
    upper.below.append(lower)
    lower.above.append(upper)


def _order(layers: list[list[_Item]]) -> None:
    """Sort the layers so that few edges cross."""
    for layer in layers:
        _number(layer)
    best, fewest = [list(layer) for layer in layers], _crossings(layers)
    for sweep in range(SWEEPS):
        if fewest == 0:
            break
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            layer.sort(key=lambda item: _barycentre(item, item.above if down else item.below))
            _number(layer)
        crossings = _crossings(layers)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    for layer, order in zip(layers, best, strict=True):
        layer[:] = order
        _number(layer)


def _number(layer: list[_Item]) -> None:
    for place, item in enumerate(layer):
        item.place = place


def _barycentre(item: _Item, neighbours: list[_Item]) -> float:
    if not neighbours:
        return item.place
    return sum(other.place for other in neighbours) / len(neighbours)


def _crossings(layers: list[list[_Item]]) -> int:
    """Pairs of edges between neighbouring layers that change sides: inversions."""
    count = 0
    for layer in layers:
        ends: list[int] = []
        for item in layer:
            places = sorted(other.place for other in item.below)
            count += sum(len(ends) - bisect.bisect_right(ends, place) for place in places)
            for place in places:
                bisect.insort(ends, place)
    return count


def _place(layers: list[list[_Item]]) -> None:
    """Coordinates across: near the neighbours, but never closer than the widths allow."""
    for layer in layers:
        _settle(layer, [0.0] * len(layer), [1.0] * len(layer))
    for sweep in range(2 * SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            wishes = [_wish(item, item.above if down else item.below) for item in layer]
            _settle(layer, *map(list, zip(*wishes, strict=True)))
    for layer in layers:
        for item in layer:
            if item.is_bend and not any(other.is_bend for other in item.above):
                _straighten(item, layers)


def _wish(item: _Item, neighbours: list[_Item]) -> tuple[float, float]:
    """Where ``item`` would like to stand, and how much."""
    if not neighbours:
        return item.x, 0.1
    if item.is_bend:
        neighbours = [other for other in neighbours if other.is_bend] or neighbours
    pulls = [_pull(other) for other in neighbours]
    x = sum(pull * other.x for pull, other in zip(pulls, neighbours, strict=True)) / sum(pulls)
    return x, STRAIGHT if item.is_bend else 1.0


def _pull(neighbour: _Item) -> float:
    """The main line, operation below operation, is to be straight; inputs come in at its side."""
    return 0.2 if neighbour.is_bend else 1.0 if neighbour.above else 0.1


def _straighten(bend: _Item, layers: list[list[_Item]]) -> None:
    """Move the bends of one trunk onto as few verticals as their neighbours leave room for."""
    trunk = [bend]
    while following := [other for other in trunk[-1].below if other.is_bend]:
        trunk.append(following[0])
    run: list[_Item] = []
    low, high = -math.inf, math.inf
    for item in [*trunk, None]:
        if item is not None:
            left, right = _room(item, layers[item.layer])
            if max(low, left) <= min(high, right):
                run.append(item)
                low, high = max(low, left), min(high, right)
                continue
        middle = sum(other.x for other in run) / len(run)
        for other in run:
            other.x = min(max(middle, low), high)
        if item is not None:
            run, low, high = [item], left, right


def _room(item: _Item, layer: list[_Item]) -> tuple[float, float]:
    """How far to the left and to the right ``item`` can go."""
    low, high = -math.inf, math.inf
    if item.place > 0:
        other = layer[item.place - 1]
        low = other.x + (other.width + item.width) / 2 + COLUMN_GAP
    if item.place < len(layer) - 1:
        other = layer[item.place + 1]
        high = other.x - (other.width + item.width) / 2 - COLUMN_GAP
    return min(low, item.x), max(high, item.x)  # rounding aside, it stands within


def _settle(layer: list[_Item], wishes: list[float], weights: list[float]) -> None:
    """The x nearest to ``wishes`` in weighted least squares that keep order and distances."""
    offsets = [0.0]
    for left, right in itertools.pairwise(layer):
        offsets.append(offsets[-1] + (left.width + right.width) / 2 + COLUMN_GAP)
    pools: list[tuple[float, float, int]] = []  # (mean, weight, how many), means increasing
    for wish, weight, offset in zip(wishes, weights, offsets, strict=True):
        mean, count = wish - offset, 1
        while pools and pools[-1][0] >= mean:
            other, other_weight, other_count = pools.pop()
            mean = (mean * weight + other * other_weight) / (weight + other_weight)
            weight, count = weight + other_weight, count + other_count
        pools.append((mean, weight, count))
    means = [mean for mean, _, count in pools for _ in range(count)]
    for item, mean, offset in zip(layer, means, offsets, strict=True):
        item.x = mean + offset


def _ports(boxes: list[_Item], routes: dict[Edge, list[_Item]]) -> dict[Edge, float]:
    """Where along its target's head each edge ends: side by side, in the order they come from."""
    arriving = defaultdict(list)
    for (source, target), bends in routes.items():
        arriving[target].append(((bends[-1] if bends else boxes[source]).x, source))
    ports = {}
    for target, sources in arriving.items():
        gap = min(PORT_GAP, 0.8 * boxes[target].width / len(sources))
        for place, (_, source) in enumerate(sorted(sources)):
            ports[source, target] = boxes[target].x + gap * (place - (len(sources) - 1) / 2)
    return ports


def curve(path: Sequence[Point]) -> str:
    """An SVG path through the corners that leaves and enters each of them vertically."""
    (x, y), *rest = path
    parts = [f"M{x:.1f} {y:.1f}"]
    for next_x, next_y in rest:
        if math.isclose(x, next_x, abs_tol=0.5):
            parts.append(f"L{next_x:.1f} {next_y:.1f}")
        else:
            middle = (y + next_y) / 2
            parts.append(
                f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {next_y:.1f}"
            )
        x, y = next_x, next_y
    return "".join(parts)
