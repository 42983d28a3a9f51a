"""Generation by the WaveNet: with queues of what its layers will need again, and without.

A sample of the cached way is timed, and one of the naive way after a prompt as long as the
receptive field: for one and for many sequences, and then along two lines. One has more and more
layers and about the same receptive field, the other the same layers and a larger and larger
receptive field. Cached, the time of a sample grows with the layers only (T. L. Paine et al. 2016,
"Fast WaveNet generation algorithm": O(L) for O(2^L)).

Both ways get the same random numbers, and must draw the same codes: a rounding error may, rarely,
choose another one, so more than an eighth of the sequences that differ would be a fault.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy

from autograd import backend
from benchmarks.bench import Options
from scratchgen.models.autoregressive.wavenet import WaveNet, WaveNetConfig

COLUMNS = ("layers", "receptive field", "cached, samples/s", "naive / cached")

COUNTS = (1, 64)
"""Of sequences generated at once by the default network."""

MORE_LAYERS = ((1, 8), (2, 7), (4, 6), (8, 5), (16, 4))
"""Stacks, and layers of each: 8 to 64 layers that see about as many samples, 256 to 241."""

LARGER_FIELDS = ((12, 1), (6, 2), (4, 3), (3, 4), (2, 6), (1, 12))
"""The same: 12 layers that see 13 to 4096 samples."""


def rows(options: Options) -> Iterator[dict]:
    """A row for each count of sequences, and for each point of the two curves."""
    work = [(f"{n} sequences" if n > 1 else "1 sequence", WaveNetConfig(), n) for n in COUNTS]
    for curve, points in (("more layers", MORE_LAYERS), ("larger field", LARGER_FIELDS)):
        for stacks, layers in points:
            config = WaveNetConfig(stacks=stacks, layers=layers)
            work.append((f"{curve}, {stacks}x{layers}", config, 1))
    for done, (name, config, n) in enumerate(work):
        options.began(name, done, len(work))
        yield _row(name, config, n, options.seconds)


def cells(row: dict) -> list[str]:
    """A row as text, for ``COLUMNS``."""
    speed, ratio = f"{row['samples_per_s']:.0f}", f"{row['ratio']:.1f}"
    return [str(row["layers"]), str(row["receptive_field"]), speed, ratio]


def _row(name: str, config: WaveNetConfig, n: int, seconds: float) -> dict:
    model, field = WaveNet(config, backend.default_rng(0)), config.receptive_field
    given = backend.asarray(numpy.random.default_rng(0).integers(config.levels, size=(n, field)))
    _seconds(model, n, 1, "naive", given)  # a first call loads libraries
    few = 8 if n == 1 else 2
    naive, naive_s = _seconds(model, n, few, "naive", given)
    cached, _ = _seconds(model, n, few, "cached", given)
    differ = int((naive != cached).any(axis=1).sum())
    if differ > n // 8:
        raise RuntimeError(f"{name}: {differ} sequences of cached and naive sampling differ")
    times = [_seconds(model, n, 100, "cached")[1] / 100]
    while sum(times) * 100 < seconds:
        times.append(_seconds(model, n, 100, "cached")[1] / 100)
    cached_ms, naive_ms = 1e3 * float(numpy.median(times)), 1e3 * naive_s / few
    return {
        "name": name,
        "layers": len(config.dilations),
        "receptive_field": field,
        "cached_ms": cached_ms,  # of a sample of all n sequences
        "naive_ms": naive_ms,
        "ratio": naive_ms / cached_ms,
        "samples_per_s": 1e3 * n / cached_ms,
        "differ": differ,
    }


def _seconds(
    model: WaveNet, n: int, length: int, method: str, given: Any = None
) -> tuple[numpy.ndarray, float]:
    """The codes, always of the same random numbers, and the seconds they took."""
    rng = backend.default_rng(2)
    start = time.perf_counter()
    codes = backend.to_numpy(model.sample(n, rng, length, method, given))
    return codes, time.perf_counter() - start
