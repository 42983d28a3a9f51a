"""Images of discrete levels: what the models of them have in common, whatever their kind.

An image x is (height, width, colours) of integers, each with ``levels`` levels, 0 … levels − 1. The
distribution of a value is categorical, given by a logit for each level, or with two levels
Bernoulli, given by the one logit ln p(1) / p(0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd import backend
from autograd.backend.whole import whole
from scratchgen.config import require
from scratchgen.distributions import bernoulli, categorical
from scratchgen.models.labels import checked_labels
from scratchgen.nn import Module


@dataclass(frozen=True)
class ImageConfig:
    """The images that a model is of; each model adds fields of its own."""

    height: int = 8
    """Of an image, in pixels."""
    width: int = 8
    """Likewise."""
    colours: int = 1
    """Values of a pixel: 3 for R, G, B, and in an autoregressive model generated in that order."""
    levels: int = 17
    """Of each value: 256 in a photograph; 2 in a binary image, whose output is Bernoulli."""

    def __post_init__(self) -> None:
        for name in ("height", "width", "colours"):
            require(self, getattr(self, name) >= 1, name, "at least 1")
        require(self, self.levels >= 2, "levels", "at least 2")

    @property
    def dimensions(self) -> int:
        """Numbers of an image."""
        return self.height * self.width * self.colours


def logits_of(levels: int) -> int:
    """How many numbers give the distribution of one value."""
    return 1 if levels == 2 else levels


def log_prob_of(logits: Any, x: Any) -> Any:
    """ln p of integer values x (…), in nats, for logits (…, logits_of(levels))."""
    if logits.shape[-1] > 1:
        return categorical.log_prob(logits, x)
    return bernoulli.log_prob(logits[..., 0], x)


def sample_of(logits: Any, rng: Any, temperature: float) -> Any:
    """An integer value (…) for each row of logits (…, logits_of(levels)); a uniform number each."""
    if logits.shape[-1] > 1:
        return categorical.sample(logits, rng, temperature=temperature)
    return bernoulli.sample(logits[..., 0], rng, temperature=temperature)


class ImageModel(Module):
    """A model of images (N, height, width, colours) of integer levels, or of them given labels."""

    config: Any
    """Has ``height``, ``width``, ``colours`` and ``levels``, and with labels ``classes``."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image: (height, width, colours)."""
        return self.config.height, self.config.width, self.config.colours

    def scaled(self, x: Any) -> Any:
        """Levels 0 … levels − 1 as numbers from −1 to 1."""
        return x.astype(self.dtype) * (2 / (self.config.levels - 1)) - 1

    def rounded(self, x: Any) -> Any:
        """Numbers from −1 to 1 as the nearest levels 0 … levels − 1: the way back."""
        return np.round((x + 1) * ((self.config.levels - 1) / 2)).astype(int)

    @whole
    def check(self, x: Any) -> None:
        """Raise ValueError for images of another shape than (N, height, width, colours).

        On the CPU also for values that are no levels; a GPU would have to be waited for.
        """
        if x.shape[1:] != self.shape:
            expected = ", ".join(map(str, self.shape))
            name = type(self).__name__
            raise ValueError(f"{name}: images {tuple(x.shape)}, expected (N, {expected})")
        levels = self.config.levels
        if backend.current() == "numpy" and x.size and not 0 <= x.min() <= x.max() < levels:
            raise ValueError(f"images of levels {x.min()} to {x.max()}, expected 0 to {levels - 1}")

    def labels(self, context: Any, n: int) -> Any:
        """``context`` as labels (n,), or None. Raises ValueError if it is missing or too much."""
        return checked_labels(self, context, n)
