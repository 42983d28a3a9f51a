"""Sampling images, with and without the features of earlier pixels kept.

A whole call of ``model.sample`` is timed, from no images to n of them: with method "cached", which
computes for a new value only what depends on it, and with "naive", which runs the whole network for
each value. The naive way is timed once, the cached one as often as the seconds allow (median).

Both get the same random numbers, and the row says how many of the images differ. The two sum in
another order, so a rounding error may, rarely, put a value on another level, and with it what
follows in that image. More than an eighth of the images would be a fault: RuntimeError.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy

from autograd import backend
from benchmarks.bench import Options
from scratchgen.models.autoregressive.gatedpixelcnn import GatedPixelCNN, GatedPixelCNNConfig
from scratchgen.models.autoregressive.pixelcnn import PixelCNN, PixelCNNConfig

COLUMNS = ("cached, s", "naive, s", "naive / cached", "images that differ")
MODELS: tuple[tuple[Any, Any], ...] = (
    (PixelCNN, PixelCNNConfig),
    (GatedPixelCNN, GatedPixelCNNConfig),
)


@dataclass(frozen=True)
class Case:
    """Images of side × side pixels, by a network of the default width and depth."""

    images: int
    side: int
    levels: int

    def __str__(self) -> str:
        return f"{self.images}x{self.side}x{self.side}, {self.levels} levels"


CASES = (Case(64, 8, 17), Case(16, 28, 2), Case(16, 28, 256))


def rows(options: Options) -> Iterator[dict]:
    """One row for each model and case."""
    work = list(itertools.product(MODELS, CASES))
    for done, ((model, config), case) in enumerate(work):
        name = f"{model.__name__}, {case}"
        options.began(name, done, len(work))
        made = model(config(case.side, case.side, levels=case.levels), backend.default_rng(0))
        disturb(made)
        yield _row(name, made, case.images, options.seconds)


def cells(row: dict) -> list[str]:
    """A row as text, for ``COLUMNS``."""
    differ = f"{row['differ']} of {row['images']}"
    return [f"{row['cached_s']:.3g}", f"{row['naive_s']:.3g}", f"{row['ratio']:.1f}", differ]


def disturb(model: Any) -> None:
    """Add noise to all weights: some begin at zero, and would hide what comes before them."""
    rng = numpy.random.default_rng(1)
    model.load({k: v + 0.05 * rng.standard_normal(v.shape) for k, v in model.values().items()})


def _row(name: str, model: Any, images: int, seconds: float) -> dict:
    _timed(model, 1, "cached")  # a first call loads libraries
    naive, naive_s = _timed(model, images, "naive")
    times: list[float] = []
    while not times or sum(times) < seconds:
        cached, cached_s = _timed(model, images, "cached")
        times.append(cached_s)
    differ = int((naive != cached).any(axis=(1, 2, 3)).sum())
    if differ > images // 8:
        raise RuntimeError(f"{name}: {differ} images of cached and naive sampling differ")
    median = float(numpy.median(times))
    return {
        "name": name,
        "images": images,
        "cached_s": median,
        "naive_s": naive_s,
        "ratio": naive_s / median,
        "differ": differ,
    }


def _timed(model: Any, images: int, method: str) -> tuple[numpy.ndarray, float]:
    """The images, always of the same random numbers, and the seconds they took."""
    rng = backend.default_rng(2)
    start = time.perf_counter()
    sampled = backend.to_numpy(model.sample(images, rng, method=method))
    return sampled, time.perf_counter() - start
