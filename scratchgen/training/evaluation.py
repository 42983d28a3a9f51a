"""How good is a model? Its likelihood of data that it was not trained on."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from scratchgen.metrics import bits_per_dimension
from scratchgen.training.media.medium import Medium


@dataclass(frozen=True)
class Evaluation:
    """The figures of one model on one part of its data."""

    nll_nats: float
    """Mean −ln p in nats per image, per character or per sample of sound."""
    nll_nats_standard_error: float | None
    """Of that mean: the standard deviation over independent pieces of the data / √(their number).

    None if there is only one piece.
    """
    bits_per_dim: float
    """The same in bits per number of an image, per character or per sample."""
    n: int
    """Images, characters or samples."""

    def sentence(self, medium: Medium) -> str:
        """As users read it."""
        places, error = digits(self.nll_nats), self.nll_nats_standard_error
        deviation = "" if error is None else f" ± {error:.{places}f}"
        return (
            f"{self.nll_nats:.{places}f}{deviation} nats per {medium.unit}, "
            f"{self.bits_per_dim:.3f} {medium.bits}"
        )

    def count(self, medium: Medium) -> str:
        return f"{self.n:,} {medium.unit}s" if self.n >= 10_000 else f"{self.n} {medium.unit}s"


def evaluate(model: Any, medium: Medium, data: Any, part: str) -> Evaluation:
    """−ln p of that part of the data."""
    nats, units = medium.nats(model, data, part)
    mean = float(nats.mean())
    error = float(nats.std(ddof=1) / math.sqrt(len(nats))) if len(nats) > 1 else None
    return Evaluation(mean, error, bits_per_dimension(mean, medium.dimensions(data)), units)


def digits(nats: float) -> int:
    """How many digits after the point such a figure is shown with."""
    return 2 if nats >= 10 else 4
