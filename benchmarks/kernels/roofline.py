"""How fast could it be? The machine's own rates, measured, bound the time of a kernel from below.

S. Williams, A. Waterman and D. Patterson (2009), "Roofline: an insightful visual performance model
for multicore architectures":

    time ≥ max(operations / rate of a matrix product, bytes / bandwidth of a copy)

The rate is that of the fastest of some large matrix products, on all cores. What is in a cache is
moved faster than what is in memory, and the programs here run on the same arrays time after time;
so the bandwidth is that of a copy of as many bytes, source and destination together, again and
again. A program that reads more than it writes can be a little faster than a copy.
"""

from __future__ import annotations

import bisect
import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autograd import backend
from autograd.backend import xp
from autograd.backend.products import product
from autograd.backend.threads import WORTH_SHARING, AllBlasThreads, OneBlasThread, in_parts
from benchmarks.kernels.kernel import DTYPES

SIDES = {"numpy": (512, 1536), "cupy": (2048, 4096)}  # of square matrices
LARGEST = {"numpy": 2**28, "cupy": 2**31}  # bytes: more than any cache has room for
ROUNDS = 5
SMALLEST = {"numpy": 2**16, "cupy": 2**22}  # bytes: below, a copy takes as long as to call it


@dataclass(frozen=True)
class Roofline:
    """Operations per second by dtype, and bytes per second by how many bytes there are to move."""

    rates: Mapping[str, float]
    bandwidths: Sequence[tuple[int, float]]  # in rising order

    def bandwidth(self, size: int) -> float:
        """Interpolated in the logarithm of ``size``, and constant beyond the measured ones."""
        sizes = [s for s, _ in self.bandwidths]
        i = bisect.bisect(sizes, size)
        if i in (0, len(sizes)):
            return self.bandwidths[min(i, len(sizes) - 1)][1]
        (s0, b0), (s1, b1) = self.bandwidths[i - 1], self.bandwidths[i]
        return b0 + (b1 - b0) * math.log(size / s0) / math.log(s1 / s0)

    def seconds(self, flops: float, size: int, dtype: str) -> float:
        """The least time for so many operations and bytes."""
        return max(flops / self.rates[dtype], size / self.bandwidth(size))

    def bound(self, flops: float, size: int, dtype: str) -> str:
        """Which of the two it is that takes that long."""
        products = flops / self.rates[dtype] > size / self.bandwidth(size)
        return "arithmetic" if products else "memory"


def measure() -> Roofline:
    """The rates of the machine that the current backend computes on: a few seconds.

    They are the best of several rounds over everything: a machine that something else has slowed
    down for a moment would seem to have been outdone later.
    """
    name = backend.current() if backend.current() in SIDES else "numpy"
    sizes = [SMALLEST[name]]
    while sizes[-1] < LARGEST[name]:
        sizes.append(4 * sizes[-1])
    rates, bandwidths = dict.fromkeys(DTYPES, 0.0), dict.fromkeys(sizes, 0.0)
    for _ in range(ROUNDS):
        for dtype, side in itertools.product(DTYPES, SIDES[name]):
            rates[dtype] = max(rates[dtype], _rate(side, dtype))
        for size in sizes:
            bandwidths[size] = max(bandwidths[size], _bandwidth(size))
    return Roofline(rates, list(bandwidths.items()))


def _rate(side: int, dtype: str) -> float:
    """Operations per second in the product of two square matrices: as ours, and as BLAS has it."""
    x = xp.ones((side, side), dtype)

    def by_blas() -> Any:
        with OneBlasThread(), AllBlasThreads():
            return xp.matmul(x, x)

    return 2 * side**3 / min(_seconds(lambda: product(x, x)), _seconds(by_blas))


def _bandwidth(size: int) -> float:
    """Bytes read and written per second by copies of half as many; on one core, or on all."""
    count = size // 2
    source, target = xp.ones(count, "uint8"), xp.zeros(count, "uint8")
    times = max(1, 2**24 // size)

    def copies(start: int, stop: int) -> None:
        a, b = source[start:stop], target[start:stop]
        for _ in range(times):
            b[...] = a

    on_one = _seconds(lambda: copies(0, count))
    on_all = _seconds(lambda: in_parts(copies, count, WORTH_SHARING))
    return size * times / min(on_one, on_all)


def _seconds(run: Callable[[], object]) -> float:
    """Of a call, after one that is not counted."""
    for _ in range(2):
        backend.synchronize()
        start = time.perf_counter()
        run()
        backend.synchronize()
    return time.perf_counter() - start
