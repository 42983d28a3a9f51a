"""How long does ours take, and how long a peer, on the same machine at the same moment?

A machine's speed drifts: its clock, its caches, whatever else it runs. So the two are timed in
turns within one process, and what is reported is medians and the ratio within a turn.

They must not get into each other's way, either. Threads of BLAS and OpenMP that have finished wait
for more work in a busy loop, for tens of milliseconds: on two cores a matrix product in one library
right after one in another took 30 times as long. Hence a pause before each turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from autograd import backend
from scratchgen.optim import Adam

PAUSE = 0.06  # s: until the other's threads have gone to sleep
TURN = 0.06  # s: how long a turn lasts, so that it was worth the pause


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
    seconds: float = 2.0,
    min_turns: int = 7,
) -> Timing:
    """Time the functions in turns for about ``seconds`` (and for ``min_turns`` at least).

    Of several peers (another layout, another setting) the one with the smallest median counts. A
    turn begins with a pause and one call that is not counted; the median of its others is its time.
    """
    functions = [ours, peer, *more_peers]
    times: list[list[float]] = [[] for _ in functions]
    end = time.perf_counter() + seconds
    while len(times[0]) < min_turns or time.perf_counter() < end:
        for function, found in zip(functions, times, strict=True):
            found.append(_turn(function))
    medians = [float(numpy.median(found)) for found in times[1:]]
    best = medians.index(min(medians))
    ratios = [a / b for a, b in zip(times[0], times[1 + best], strict=True)]
    return Timing(
        _quartiles(times[0]), _quartiles(times[1 + best]), _quartiles(ratios), best, len(ratios)
    )


def against(
    name: str, ours: Callable[[], object], peers: Mapping[str, Callable[[], object]], seconds: float
) -> dict:
    """A row of ours against the fastest of the peers. If there are none it has no ratio."""
    if not peers:
        alone = interleave(ours, ours, seconds=seconds).row(name, "")
        return {**alone, "peer": None, "peer_ms": None, "ratio": None, "spread": None}
    timing = interleave(ours, *peers.values(), seconds=seconds)
    return timing.row(name, list(peers)[timing.peer])


def training_step(model: Any, batch: numpy.ndarray, rate: float) -> Callable[[], None]:
    """The loss of ``model`` on ``batch``, the backward pass and a step of Adam, as a program."""
    x, rng = backend.asarray(batch), backend.default_rng(0)
    optimiser = Adam(model.parameters().values(), rate)

    def run() -> None:
        model.loss(x, rng)[0].backward()
        optimiser.step()

    return run


def _turn(function: Callable[[], object]) -> float:
    """Milliseconds that one call takes."""
    time.sleep(PAUSE)
    function()
    found: list[float] = []
    end = time.perf_counter() + TURN
    while (start := time.perf_counter()) < end or not found:
        function()
        found.append((time.perf_counter() - start) * 1e3)
    return float(numpy.median(found))


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    low, middle, high = numpy.percentile(values, [25, 50, 75])
    return float(low), float(middle), float(high)
