"""Each kernel, in three sizes and two dtypes, forward and backward: how fast, and how fast at best.

A row is one pass ("forward", "backward" through a graph that is there, or "both") of one size in
one dtype on one backend, against one peer. Besides what :func:`benchmarks.timing.interleave` says
it has

    gflops, gbs     the least operations and bytes it takes, by the time that it took
    roofline        the least time of a machine with its rates, by the time that it took
    bound           what that least time is of: "arithmetic" or "memory"
    bytes           the least it has to move
    overhead_ms     the time of the same pass of the tiniest size: Python, and launches on a GPU
    overtakes       on a GPU: from how many bytes on it is faster than the CPU (None: it never is)

What counts as an operation and as a byte stands in :mod:`benchmarks.kernels.kernel`, and how the
machine's rates are measured in :mod:`benchmarks.kernels.roofline`.
"""

from __future__ import annotations

import gc
import itertools
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from autograd import backend
from benchmarks.bench import Options
from benchmarks.kernels import (
    convolutions,
    coupling,
    cross_entropy,
    elementwise,
    embedding,
    lstm,
    matmul,
    spline,
)
from benchmarks.kernels.crossover import with_crossovers
from benchmarks.kernels.kernel import BOTH, DTYPES, PASSES, Case, Data, Kernel, data, flops
from benchmarks.kernels.programs import Ours, torch_variants
from benchmarks.kernels.roofline import Roofline, measure
from benchmarks.timing import PAUSE, Program, interleave

KERNELS = (
    matmul.KERNEL,
    elementwise.KERNEL,
    cross_entropy.KERNEL,
    *convolutions.KERNELS,
    lstm.KERNEL,
    embedding.KERNEL,
    coupling.KERNEL,
    spline.KERNEL,
)
ALL = ["conv", *(kernel.name for kernel in KERNELS)]  # "conv" for those of every kind
PART = 0.2  # of the seconds asked for is spent on each row: there are hundreds
TURNS = {"float32": 3, "float64": 2}  # at least
TIMED = {"float32": PASSES, "float64": (BOTH,)}
"""The passes that are timed in each dtype: of float64 the sum tells enough, and takes a third."""
TRIAL = 0.01  # s: how long each variant of a peer is tried for each pass

COLUMNS = (
    "ours, ms",
    "GFLOP/s",
    "GB/s",
    "of roofline",
    "overhead",
    "peer, ms",
    "ratio",
    "quartiles",
    "backend",
)


def rows(options: Options) -> Iterator[dict[str, Any]]:
    """The rows of one kernel after those of another: in all, some four minutes by default."""
    kernels = chosen(options.names)
    total = len(DTYPES) * len(options.backends) * sum(len(k.cases) for k in kernels)
    counter = itertools.count()
    options.began("the machine's own rates", 0, total)
    rooflines = {}
    for name in options.backends:
        with backend.using(name):
            rooflines[name] = measure()
    for kernel in kernels:
        found = []
        for dtype, name in itertools.product(DTYPES, options.backends):
            with backend.using(name):
                tiniest = Ours(kernel.tiniest, data(kernel.tiniest, dtype)).passes
                for case in kernel.cases:
                    options.began(f"{case.name}, {dtype} ({name})", next(counter), total)
                    about = {"kernel": kernel.name, "size": case.name, "dtype": dtype}
                    overheads = _overheads(tiniest)
                    for row in _of_case(case, dtype, rooflines[name], options):
                        overhead = {"overhead_ms": overheads[row["pass"]]}
                        found.append({"backend": name, **about, **row, **overhead})
                    gc.collect()
        yield from with_crossovers(found)


def chosen(names: Sequence[str]) -> list[Kernel]:
    """The kernels of these names, or of a name that these begin: "conv" for "conv-3x3". Or all."""

    def is_asked_for(kernel: Kernel) -> bool:
        return any(kernel.name == name or kernel.name.startswith(f"{name}-") for name in names)

    return [kernel for kernel in KERNELS if not names or is_asked_for(kernel)]


def _overheads(passes: Mapping[str, Program]) -> dict[str, float]:
    """Milliseconds of each pass of the tiniest size, at about the time of the rows they are in."""
    if _device() == "cuda":
        return {w: interleave(passes[w], {}, 0.0, 1, "cuda")[0]["ours_ms"] for w in PASSES}
    time.sleep(PAUSE)
    found = [[_typical(passes[which]) for which in PASSES] for _ in range(3)]
    return dict(zip(PASSES, map(statistics.median, zip(*found, strict=True)), strict=True))


def _of_case(
    case: Case, dtype: str, roofline: Roofline, options: Options
) -> Iterator[dict[str, Any]]:
    """The rows of one size on the current backend."""
    given = data(case, dtype)
    ours = Ours(case, given).passes
    torch = fastest(torch_variants(case, given, _device())) if "torch" in options.families else {}
    for which in TIMED[dtype]:
        peers: dict[str, Mapping[str, Program]] = {family: {} for family in options.families}
        if torch:
            peers["torch"] = torch[which]
        seconds = PART * options.seconds
        timings = interleave(ours[which], peers, seconds, TURNS[dtype], _device())
        for timing in timings:
            cost = _against_roofline(case, given, which, dtype, timing["ours_ms"], roofline)
            yield {"name": f"{case.name}: {dtype} {which}", "pass": which, **timing, **cost}


def fastest(
    variants: Mapping[str, Mapping[str, Program]],
) -> dict[str, Mapping[str, Program]]:
    """Of each pass the fastest variant, by a short trial: whole turns of all would take too long.

    On a GPU, where the clock here would not see it, all of them.
    """
    if _device() == "cuda":
        return {which: {v: passes[which] for v, passes in variants.items()} for which in PASSES}
    times: dict[str, dict[str, float]] = {which: {} for which in PASSES}
    for variant, passes in variants.items():
        time.sleep(PAUSE)
        for which in PASSES:
            times[which][variant] = _typical(passes[which])
    best = {which: min(found, key=found.__getitem__) for which, found in times.items()}
    return {which: {v: variants[v][which]} for which, v in best.items()}


def _typical(program: Program) -> float:
    """Milliseconds of a call, the median of some after one that is not counted if it is short."""
    found: list[float] = []
    end = time.perf_counter() + TRIAL
    while (start := time.perf_counter()) < end:
        program()
        found.append(1e3 * (time.perf_counter() - start))
    return statistics.median(found[1:] or found)


def _against_roofline(
    case: Case, given: Data, which: str, dtype: str, ms: float, roofline: Roofline
) -> dict[str, Any]:
    operations, size = flops(case, which), given.bytes(which)
    return {
        "bytes": size,
        "gflops": operations / ms / 1e6,
        "gbs": size / ms / 1e6,
        "roofline": 1e3 * roofline.seconds(operations, size, dtype) / ms,
        "bound": roofline.bound(operations, size, dtype),
    }


def _device() -> str:
    return "cuda" if backend.current() == "cupy" else "cpu"


def cells(row: dict[str, Any]) -> list[str]:
    """A row as text, for ``COLUMNS``."""
    own = [f"{row['ours_ms']:.3g}", f"{row['gflops']:.3g}", f"{row['gbs']:.3g}"]
    own += [f"{row['roofline']:.0%}", f"{row['overhead_ms'] / row['ours_ms']:.0%}"]
    peer = [f"no {row['family'] or 'peer'}", "", ""]
    if row["peer"] is not None:
        low, high = row["spread"]
        peer = [f"{row['peer_ms']:.3g}", f"{row['ratio']:.2f}", f"{low:.2f} to {high:.2f}"]
    return [*own, *peer, row["backend"] + _overtaking(row)]


def _overtaking(row: dict[str, Any]) -> str:
    if "overtakes" not in row:
        return ""
    if not row["overtakes"]:
        return ", slower at all sizes" if row["overtakes"] is None else ", faster at all sizes"
    return f", faster from {row['overtakes'] / 1e6:.2g} MB on"
