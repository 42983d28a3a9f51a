"""How good is a model? Its likelihood of images that it was not trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy

from autograd import backend, no_grad
from scratchgen.metrics import bits_per_dimension


@dataclass(frozen=True)
class Evaluation:
    """The figures of one model on one part of its data."""

    nll_nats: float
    """Mean −ln p(x) in nats per image."""
    nll_nats_standard_error: float
    """Of that mean: the standard deviation over images / √n."""
    bits_per_dim: float
    n: int


def evaluate(model: Any, images: Any, labels: Any = None) -> Evaluation:
    """−ln p(x) over ``images`` (N, …), host arrays; −ln p(x | label) with ``labels`` (N,)."""
    nats = nats_each(model, images, labels)
    mean = float(nats.mean())
    error = float(nats.std(ddof=1) / math.sqrt(len(nats))) if len(nats) > 1 else math.nan
    return Evaluation(mean, error, bits_per_dimension(mean, math.prod(images.shape[1:])), len(nats))


def mean_nats(model: Any, images: Any, labels: Any = None) -> float:
    """Mean −ln p(x) in nats per image."""
    return float(nats_each(model, images, labels).mean())


def nats_each(model: Any, images: Any, labels: Any = None, batch_size: int = 128) -> numpy.ndarray:
    """−ln p(x) in nats of each of ``images`` (N, …), host arrays: float64 (N,)."""
    found = []
    with no_grad():
        for start in range(0, len(images), batch_size):
            part = slice(start, start + batch_size)
            context = None if labels is None else backend.asarray(labels[part])
            nats = -model.log_prob(backend.asarray(images[part]), context)
            found.append(backend.to_numpy(nats).astype("float64"))
    return numpy.concatenate(found)
