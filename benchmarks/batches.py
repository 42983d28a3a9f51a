"""Sampling a PixelCNN of 28 × 28 pixels in batches of more and more images, cached and naive.

The naive way runs the whole network for each of the 784 values, and every one of these runs takes
as long; the first few are timed, and count for all. The cached way is timed from the first value to
the last. What a batch gains grows with its size as far as the naive way fills the machine with it,
while the cached way at first only has to wait for Python (P. Ramachandran et al. 2017, "Fast
generation for convolutional autoregressive models", figure 3: up to 183 times, on a GPU).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

from autograd import backend, no_grad
from benchmarks.bench import Options
from benchmarks.sampling import disturb
from scratchgen.distributions import bernoulli
from scratchgen.models.autoregressive.images import Generation
from scratchgen.models.autoregressive.pixelcnn import PixelCNN, PixelCNNConfig

COLUMNS = ("cached, s", "naive, s", "naive / cached", "cached, images/s")
SIZES = (1, 4, 16, 64, 256)
SIDE = 28
TIMED = 8  # naive values


def rows(options: Options) -> Iterator[dict]:
    """One row for each size of the batch. Values are counted, not seconds."""
    model = PixelCNN(PixelCNNConfig(SIDE, SIDE, levels=2), backend.default_rng(0))
    disturb(model)
    model.sample(1, backend.default_rng(0))  # a first call loads libraries
    for done, n in enumerate(SIZES):
        name = f"PixelCNN, {n}x{SIDE}x{SIDE}, 2 levels"
        options.began(name, done, len(SIZES))
        start = time.perf_counter()
        backend.to_numpy(model.sample(n, backend.default_rng(0)))
        cached = time.perf_counter() - start
        naive = _naive_value(model, n) * SIDE * SIDE
        yield {
            "name": name,
            "images": n,
            "cached_s": cached,
            "naive_s": naive,
            "ratio": naive / cached,
        }


def cells(row: dict) -> list[str]:
    """A row as text, for ``COLUMNS``."""
    speed = row["images"] / row["cached_s"]
    seconds = [f"{row[way]:.3g}" for way in ("cached_s", "naive_s")]
    return [*seconds, f"{row['ratio']:.0f}", f"{speed:.1f}"]


def _naive_value(model: PixelCNN, n: int) -> float:
    """Seconds that a value of n images takes, the naive way."""
    state: Any = Generation(model, n, None)
    rng = backend.default_rng(0)
    places = itertools.islice(itertools.product(range(SIDE), range(SIDE), range(1)), 1 + TIMED)
    with no_grad():
        for i, place in enumerate(places):
            if i == 1:  # the first warms up
                start = time.perf_counter()
            state.put(*place, bernoulli.sample(state.logits(*place)[:, 0], rng))
    backend.to_numpy(state.image)
    return (time.perf_counter() - start) / TIMED
