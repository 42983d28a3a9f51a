"""How good is a model? Its likelihood of data that it was not trained on, or else its draws."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from scratchgen.errors import UsageError
from scratchgen.metrics import bits_per_dimension
from scratchgen.training.media.judging import Judgement, is_judged
from scratchgen.training.media.medium import Figure, Medium


@dataclass(frozen=True)
class Evaluation:
    """The figures of one model on one part of its data."""

    nll_nats: float
    """Mean −ln p, or its bound, in nats per image, per character or per sample of sound."""
    nll_nats_standard_error: float | None
    """Of that mean: the standard deviation over independent pieces of the data / √(their number).

    None if there is only one piece.
    """
    bits_per_dim: float
    """The same in bits per number of an image, per character or per sample."""
    n: int
    """Images, characters or samples."""
    figure: Figure
    """Whether the nats are −ln p, or a bound of it."""
    accuracy: float | None = None
    """The share whose class is told rightly, for a model that tells it."""

    def sentence(self, medium: Medium) -> str:
        """As users read it."""
        places, error = digits(self.nll_nats), self.nll_nats_standard_error
        deviation = "" if error is None else f" ± {error:.{places}f}"
        told = "" if self.accuracy is None else f", {self.accuracy:.1%} of classes right"
        return (
            f"{self.figure.sign}{self.nll_nats:.{places}f}{deviation} nats per {medium.unit}, "
            f"{self.bits_per_dim:.3f} {medium.bits}{self.figure.remark}{told}"
        )

    def count(self, medium: Medium) -> str:
        return f"{self.n:,} {medium.unit}s" if self.n >= 10_000 else f"{self.n} {medium.unit}s"

    def comparison(self, medium: Medium, data: Any) -> str:
        """What there is to compare it with; nothing if there is not."""
        references = medium.references(data).items()
        if self.figure.kind == "reconstruction" or not references:  # which is no likelihood
            return ""
        compared = ", ".join(f"{name} {nats:.{digits(nats)}f}" for name, nats in references)
        return f"{compared} nats per {medium.unit}"

    def record(self) -> dict[str, Any]:
        """As it is kept in ``metrics.jsonl``."""
        return {
            "nats": self.nll_nats,
            "nats_standard_error": self.nll_nats_standard_error,
            "bits_per_dimension": self.bits_per_dim,
            "figure": self.figure.kind,
            "importance_samples": self.figure.importance_samples,
            "accuracy": self.accuracy,
        }

    def fields(self) -> dict[str, Any]:
        """All of it, in one level."""
        fields = dataclasses.asdict(self)
        return {**fields.pop("figure"), **fields}


def evaluate(
    model: Any, medium: Medium, data: Any, part: str, samples: int | None = None
) -> Evaluation | Judgement:
    """−ln p of that part of the data, or a bound of it from so many importance samples.

    Of a model without a likelihood what its draws are next to that part, and for ``samples``
    UsageError.
    """
    if is_judged(model):
        if samples is not None:
            raise UsageError(f"--importance-samples {samples}: there is no likelihood to bound")
        return medium.judge(model, data, part)
    figure = medium.figure(model, samples)
    nats, units = medium.nats(model, data, part, samples=samples)
    mean = float(nats.mean())
    error = float(nats.std(ddof=1) / math.sqrt(len(nats))) if len(nats) > 1 else None
    bits = bits_per_dimension(mean, medium.dimensions(data))
    return Evaluation(mean, error, bits, units, figure, medium.accuracy(model, data, part))


def digits(nats: float) -> int:
    """How many digits after the point such a figure is shown with."""
    return 2 if nats >= 10 else 4
