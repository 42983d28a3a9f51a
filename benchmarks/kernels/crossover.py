"""From which size on is the GPU faster than the CPU?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

KEYS = ("kernel", "dtype", "pass")


def crossover(sizes: Sequence[float], cpu_ms: Sequence[float], gpu_ms: Sequence[float]) -> float:
    """The size at which both take equally long: linear in the logarithms of size and ratio.

    ``sizes`` rise. It is the first after which the GPU stays ahead: 0 if it always is, and infinity
    if it is behind at the largest.
    """
    ahead = [math.log(c / g) for c, g in zip(cpu_ms, gpu_ms, strict=True)]  # of the CPU, if > 0
    behind = [i for i, log_ratio in enumerate(ahead) if log_ratio <= 0]
    if not behind:
        return 0.0
    i = behind[-1]
    if i == len(sizes) - 1:
        return math.inf
    part = -ahead[i] / (ahead[i + 1] - ahead[i])
    return sizes[i] * (sizes[i + 1] / sizes[i]) ** part


def with_crossovers(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows, those on the GPU with "overtakes": from how many bytes on it is the faster one.

    None: it is not, at any size. Rows are of one kernel, dtype and pass if these agree.
    """
    found = []
    for row in rows:
        same = [other for other in rows if all(other[key] == row[key] for key in KEYS)]
        by_backend = {
            name: {other["bytes"]: other["ours_ms"] for other in same if other["backend"] == name}
            for name in ("numpy", "cupy")
        }
        sizes = sorted(by_backend["numpy"].keys() & by_backend["cupy"].keys())
        if row["backend"] == "cupy" and sizes:
            cpu, gpu = ([by_backend[name][s] for s in sizes] for name in ("numpy", "cupy"))
            size = crossover(sizes, cpu, gpu)
            row = {**row, "overtakes": size if math.isfinite(size) else None}
        found.append(row)
    return found
