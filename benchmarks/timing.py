"""How long does ours take, and how long its peers, on the same machine at the same moment?

A machine's speed drifts: its clock, its caches, whatever else it runs. So all are timed in turns
within one process, and what is reported is medians and the ratio within a turn.

They must not get into each other's way, either. Threads of BLAS and OpenMP that have finished wait
for more work in a busy loop, for tens of milliseconds: on two cores a matrix product in one library
right after one in another took 30 times as long. Hence a pause before each turn.

What a program does only when it is first called (compiling, above all) is never counted.
"""

from __future__ import annotations

import functools
import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy

from autograd import backend
from autograd.replay import recorded
from autograd.structures import flatten
from scratchgen.optim import Adam

Program = Callable[[], object]
"""One call is one step."""

PAUSE = 0.06  # s: until the other's threads have gone to sleep
TURN = 0.06  # s: how long a turn lasts, so that it was worth the pause
WARM_UP = 3  # calls before all turns: in them ours is recorded, and JAX and torch.compile compile
TRIAL = 3  # turns, after which those of a family's variants stop that are no match for its best
MATCH = 1.2  # times the best's median

OURS = ("", "")
LABELS = {"torch": "torch eager", "torch-compile": "torch compiled", "jax": "jax jitted"}


def interleave(
    ours: Program,
    peers: Mapping[str, Mapping[str, Program]],
    seconds: float = 2.0,
    min_turns: int = 7,
    device: str = "cpu",
) -> list[dict[str, Any]]:
    """Time ours and its peers in turns for about ``seconds``, and for ``min_turns`` at least.

    ``peers``: by family ("torch"), programs by variant ("channels last"). Of a family the variant
    with the smallest median counts. Returns a row for each family: the medians, the ratio ours /
    peer within a turn (median; below 1, ours is faster), and its quartiles as spread. All of these
    are None for a family without a program; so they are in the one row that there is without peers.

    ``device`` says where the programs run. On "cuda" a clock on the host would only see how fast
    work is handed over, so events on the device are timed.
    """
    programs = {OURS: ours}
    programs |= {(f, v): run for f, variants in peers.items() for v, run in variants.items()}
    for program in programs.values():
        for _ in range(WARM_UP):
            program()
    times: dict[tuple[str, str], list[float]] = {which: [] for which in programs}
    end = time.perf_counter() + seconds
    while len(times[OURS]) < min_turns or time.perf_counter() < end:
        for which, found in times.items():
            found.append(_turn(programs[which], _clock(which[0], device)))
        if len(times[OURS]) == TRIAL:
            times = _matches(times)
    return [_row(times, family) for family in peers or [""]]


def _best(times: Mapping[tuple[str, str], list[float]], family: str) -> tuple[str, str]:
    """The fastest variant of the family."""
    return min((which for which in times if which[0] == family), key=lambda w: _median(times[w]))


def _matches(times: dict[tuple[str, str], list[float]]) -> dict[tuple[str, str], list[float]]:
    """Without the variants that are too slow to be their family's best."""
    limits = {family: MATCH * _median(times[_best(times, family)]) for family, _ in times}
    return {which: found for which, found in times.items() if _median(found) <= limits[which[0]]}


def _row(times: Mapping[tuple[str, str], list[float]], family: str) -> dict[str, Any]:
    ours = times[OURS]
    row: dict[str, Any] = {"ours_ms": _median(ours), "family": family or None, "turns": len(ours)}
    if family not in {found for found, _ in times if found}:
        return row | dict.fromkeys(("peer", "peer_ms", "ratio", "spread"))
    best = _best(times, family)
    ratios = [a / b for a, b in zip(ours, times[best], strict=True)]
    low, ratio, high = map(float, numpy.percentile(ratios, [25, 50, 75]))
    label = LABELS.get(family, family) + (f", {best[1]}" if best[1] else "")
    return row | {
        "peer": label,
        "peer_ms": _median(times[best]),
        "ratio": ratio,
        "spread": [low, high],
    }


def _median(times: Sequence[float]) -> float:
    return float(numpy.median(times))


# --------------------------------------------------------------------------------- one turn of one

Clock = Callable[[Program, int], float]
"""Milliseconds that so many calls of a program take, from the first to the end of the last."""


def _turn(program: Program, clock: Clock) -> float:
    """Milliseconds that one call takes. The first call of a turn is not counted."""
    time.sleep(PAUSE)
    clock(program, 1)
    if clock is not _host:  # many calls at once, or the device would wait for the host
        count = _count(program, clock)
        return clock(program, count) / count
    found: list[float] = []
    end = time.perf_counter() + TURN
    while time.perf_counter() < end or not found:
        found.append(clock(program, 1))
    return _median(found)


def _count(program: Program, clock: Clock) -> int:
    """Of calls that fill a turn."""
    return max(1, min(1000, round(1e3 * TURN / max(clock(program, 1), 1e-3))))


def _clock(family: str, device: str) -> Clock:
    if device == "cpu":
        return _host
    return {"": _cupy_events, "jax": _jax_done}.get(family, _torch_events)


def _host(program: Program, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        program()
    return 1e3 * (time.perf_counter() - start)


def _jax_done(program: Program, count: int) -> float:
    """On the host's clock, for JAX shows no events; until the last result is there."""
    jax = importlib.import_module("jax")
    return _host(lambda: jax.block_until_ready([program() for _ in range(count)][-1]), 1)


def _cupy_events(program: Program, count: int) -> float:
    cuda = importlib.import_module("cupy").cuda
    start, end = cuda.Event(), cuda.Event()
    start.record()
    for _ in range(count):
        program()
    end.record()
    end.synchronize()
    return cuda.get_elapsed_time(start, end)


def _torch_events(program: Program, count: int) -> float:
    cuda = importlib.import_module("torch").cuda
    start, end = cuda.Event(enable_timing=True), cuda.Event(enable_timing=True)
    start.record()
    for _ in range(count):
        program()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


# --------------------------------------------------------------------------------- ours


def training_step(model: Any, batch: Any, rate: float, replayed: bool = True) -> Program:
    """The loss of ``model`` on ``batch``, the backward pass and a step of Adam, as a program.

    ``batch``: an array, or several in tuples and lists. ``replayed``: as in training, recorded in
    the first two calls and then replayed.
    """
    step, args = step_of(model, batch, rate)
    return functools.partial(recorded(step) if replayed else step, *args)


def step_of(model: Any, batch: Any, rate: float) -> tuple[Callable[..., None], tuple[Any, Any]]:
    """The same as a function, and what to call it with: the batch and a generator."""
    arrays, rebuild = flatten(batch)
    optimiser = Adam(model.parameters().values(), rate)

    def step(x: Any, rng: Any) -> None:
        model.loss(x, rng)[0].backward()
        optimiser.step()

    return step, (rebuild([backend.asarray(x) for x in arrays]), backend.default_rng(0))
