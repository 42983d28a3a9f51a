"""How long does ours take, and how long a peer, on the same machine at the same moment?

A machine's speed drifts: its clock, its caches, whatever else it runs. So the two are timed in
turns within one process, and what is reported is medians and the ratio within a turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy


@dataclass(frozen=True)
class Timing:
    """Quartiles over the turns. Times are in milliseconds for one call."""

    ours_ms: tuple[float, float, float]
    peer_ms: tuple[float, float, float]
    ratio: tuple[float, float, float]  # ours / peer within a turn: below 1, ours is faster
    peer: int  # which of the peers was the fastest, and is reported
    turns: int

    def row(self, name: str, peer: str) -> dict:
        """One row of a table: medians, and the quartiles of the ratio as its spread."""
        return {
            "name": name,
            "ours_ms": self.ours_ms[1],
            "peer": peer,
            "peer_ms": self.peer_ms[1],
            "ratio": self.ratio[1],
            "spread": (self.ratio[0], self.ratio[2]),
        }


def interleave(
    ours: Callable[[], object],
    peer: Callable[[], object],
    *more_peers: Callable[[], object],
    seconds: float = 1.0,
    min_turns: int = 7,
) -> Timing:
    """Time the functions in turns for about ``seconds`` (and for ``min_turns`` at least).

    Of several peers (another layout, another setting) the one with the smallest median counts. In
    each turn each function first runs once untimed: it brings its own data into the caches, and
    the other's threads, which wait in a busy loop for more work, fall asleep.
    """
    functions = [ours, peer, *more_peers]
    repeats = [_repeats(function) for function in functions]
    times: list[list[float]] = [[] for _ in functions]
    end = time.perf_counter() + seconds
    while len(times[0]) < min_turns or time.perf_counter() < end:
        for function, repeat, found in zip(functions, repeats, times, strict=True):
            function()
            found.append(_milliseconds(function, repeat))
    medians = [float(numpy.median(found)) for found in times[1:]]
    best = medians.index(min(medians))
    ratios = [a / b for a, b in zip(times[0], times[1 + best], strict=True)]
    return Timing(
        _quartiles(times[0]), _quartiles(times[1 + best]), _quartiles(ratios), best, len(ratios)
    )


def _repeats(function: Callable[[], object], target_ms: float = 10.0) -> int:
    """How often to call it in one turn, so that the clock's resolution does not matter."""
    function()
    return max(1, int(target_ms / max(_milliseconds(function, 1), 1e-3)))


def _milliseconds(function: Callable[[], object], repeat: int) -> float:
    start = time.perf_counter()
    for _ in range(repeat):
        function()
    return (time.perf_counter() - start) / repeat * 1e3


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    low, middle, high = numpy.percentile(values, [25, 50, 75])
    return float(low), float(middle), float(high)
