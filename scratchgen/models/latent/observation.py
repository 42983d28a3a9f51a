"""The distribution of an image given the decoder's output.

Each kind says how many numbers the decoder has to put out, and what they mean.
"""

from __future__ import annotations

import math
from typing import Any

import autograd.numpy as np
from autograd.nn import sigmoid, softmax
from scratchgen.distributions import normal
from scratchgen.models.images import ImageConfig, log_prob_of, logits_of, sample_of


class Categorical:
    """Every value by itself: a logit for each level, or with two levels one for level 1."""

    def __init__(self, config: ImageConfig) -> None:
        self.levels = config.levels
        self.shape = (config.height, config.width, config.colours, logits_of(config.levels))
        self.numbers = math.prod(self.shape)

    def log_prob(self, parameters: Any, x: Any, rng: Any) -> Any:
        """ln p(x | z) in nats: parameters (…, N, numbers), x (N, H, W, colours) → (…, N)."""
        lead = parameters.shape[:-1]
        logits = parameters.reshape(*lead, *self.shape)
        return np.sum(log_prob_of(logits, np.broadcast_to(x, logits.shape[:-1])), axis=(-3, -2, -1))

    def sample(self, parameters: Any, rng: Any, temperature: float = 1.0) -> Any:
        """Images (N, H, W, colours) of integer levels, for parameters (N, numbers)."""
        return sample_of(parameters.reshape(-1, *self.shape), rng, temperature)

    def mean(self, parameters: Any) -> Any:
        """E x, of real numbers from 0 to levels − 1: (N, H, W, colours)."""
        logits = parameters.reshape(-1, *self.shape)
        if self.levels == 2:
            return sigmoid(logits[..., 0])
        return np.sum(softmax(logits) * np.arange(self.levels), axis=-1)


class Gaussian:
    """Of images made continuous by uniform noise, y = (x + u) / levels: N(µ, σ²) of each value.

    ln ∫ N((x + u) / levels; µ, σ²) du is bounded from below by its value for one u, less
    d ln levels: see :mod:`scratchgen.models.flows.flow` for dequantisation.
    """

    def __init__(self, config: ImageConfig) -> None:
        self.levels = config.levels
        self.shape = (config.height, config.width, config.colours)
        self.numbers = 2 * math.prod(self.shape)

    def log_prob(self, parameters: Any, x: Any, rng: Any) -> Any:
        """ln p(x | z) in nats from one u: parameters (…, N, numbers), x (N, …) → (…, N)."""
        mean, log_std = self._split(parameters)
        u = rng.random(mean.shape)
        y = ((x + u) / self.levels).astype(mean.dtype)
        each = normal.log_prob(mean, log_std, y) - math.log(self.levels)
        return np.sum(each, axis=(-3, -2, -1))

    def sample(self, parameters: Any, rng: Any, temperature: float = 1.0) -> Any:
        """Images (N, H, W, colours): of what is drawn the level that it rounds down to."""
        mean, log_std = self._split(parameters)
        y = mean + temperature * (normal.sample(mean, log_std, rng) - mean)
        return np.clip(np.floor(y * self.levels), 0, self.levels - 1).astype(int)

    def mean(self, parameters: Any) -> Any:
        """E x, of real numbers from 0 to levels − 1: (N, H, W, colours)."""
        mean, _ = self._split(parameters)
        return np.clip(mean * self.levels - 0.5, 0, self.levels - 1)

    def _split(self, parameters: Any) -> tuple[Any, Any]:
        pair = parameters.reshape(*parameters.shape[:-1], *self.shape, 2)
        return pair[..., 0], pair[..., 1]


def observation_of(config: Any) -> Categorical | Gaussian:
    """The one that ``config.output`` names."""
    return Gaussian(config) if config.output == "gaussian" else Categorical(config)
