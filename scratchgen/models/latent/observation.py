"""The distribution of an image given the decoder's output: Bernoulli, categorical, or Gaussian.

Each kind says how many ``numbers`` the decoder has to put out, and what they mean: they are its
parameters, for all values of an image in a row.
"""

from __future__ import annotations

import math
from typing import Any

import autograd.numpy as np
from autograd.nn import sigmoid, sigmoid_cross_entropy, softmax
from scratchgen.distributions import bernoulli, categorical, normal
from scratchgen.models.images import ImageConfig


class Observation:
    """p(x | z) of images x (N, H, W, colours) of integer levels."""

    numbers: int
    """Parameters of one image."""

    def __init__(self, config: ImageConfig) -> None:
        self.levels = config.levels
        self.shape = config.height, config.width, config.colours

    def log_prob(self, parameters: Any, x: Any, rng: Any) -> Any:
        """ln p(x | z) in nats: parameters (…, N, numbers), x (N, H, W, colours) → (…, N).

        ``rng``: a generator, for a kind that makes the levels continuous by noise.
        """
        raise NotImplementedError

    def sample(self, parameters: Any, rng: Any, temperature: float = 1.0) -> Any:
        """Images (N, H, W, colours) of integer levels, for parameters (N, numbers)."""
        raise NotImplementedError

    def mean(self, parameters: Any) -> Any:
        """E x, of real numbers from 0 to levels − 1: (N, H, W, colours)."""
        raise NotImplementedError


class Bernoulli(Observation):
    """Of binary images: the logit of level 1 for each value."""

    def __init__(self, config: ImageConfig) -> None:
        super().__init__(config)
        self.numbers = math.prod(self.shape)

    def log_prob(self, parameters: Any, x: Any, rng: Any) -> Any:
        # the sign last: of one number an image, and not of each value
        return -np.sum(sigmoid_cross_entropy(parameters, x.reshape(len(x), self.numbers)), axis=-1)

    def sample(self, parameters: Any, rng: Any, temperature: float = 1.0) -> Any:
        x = bernoulli.sample(parameters, rng, temperature=temperature)
        return x.reshape(*x.shape[:-1], *self.shape)

    def mean(self, parameters: Any) -> Any:
        return sigmoid(parameters).reshape(*parameters.shape[:-1], *self.shape)


class Categorical(Observation):
    """A logit for each level of each value."""

    def __init__(self, config: ImageConfig) -> None:
        super().__init__(config)
        self.numbers = math.prod(self.shape) * self.levels

    def log_prob(self, parameters: Any, x: Any, rng: Any) -> Any:
        logits = self._logits(parameters)
        x = np.broadcast_to(x, logits.shape[:-1])
        return np.sum(categorical.log_prob(logits, x), axis=(-3, -2, -1))

    def sample(self, parameters: Any, rng: Any, temperature: float = 1.0) -> Any:
        return categorical.sample(self._logits(parameters), rng, temperature=temperature)

    def mean(self, parameters: Any) -> Any:
        levels = np.arange(self.levels).astype(parameters.dtype)
        return np.sum(softmax(self._logits(parameters)) * levels, axis=-1)

    def _logits(self, parameters: Any) -> Any:
        return parameters.reshape(*parameters.shape[:-1], *self.shape, self.levels)


class Gaussian(Observation):
    """Of images made continuous by uniform noise, y = (x + u) / levels: N(µ, σ²) of each value.

    The parameters are µ and ln σ of one value after the other. Of an image of d values

        ln P(x) = ln ∫ N((x + u) / levels; µ, σ²) du − d ln levels

    and ln N at one u, less d ln levels, is at most that on average: a bound from below. See
    :mod:`scratchgen.models.flows.flow` for dequantisation.
    """

    def __init__(self, config: ImageConfig) -> None:
        super().__init__(config)
        self.numbers = 2 * math.prod(self.shape)

    def log_prob(self, parameters: Any, x: Any, rng: Any) -> Any:
        mean, log_std = self._split(parameters)
        u = rng.random(mean.shape)
        y = ((x + u) / self.levels).astype(mean.dtype)
        each = normal.log_prob(mean, log_std, y) - math.log(self.levels)
        return np.sum(each, axis=(-3, -2, -1))

    def sample(self, parameters: Any, rng: Any, temperature: float = 1.0) -> Any:
        """The level that what is drawn rounds down to. ``temperature`` multiplies σ."""
        mean, log_std = self._split(parameters)
        y = mean + temperature * (normal.sample(mean, log_std, rng) - mean)
        return np.clip(np.floor(y * self.levels), 0, self.levels - 1).astype(int)

    def mean(self, parameters: Any) -> Any:
        mean, _ = self._split(parameters)
        return np.clip(mean * self.levels - 0.5, 0, self.levels - 1)

    def _split(self, parameters: Any) -> tuple[Any, Any]:
        pair = parameters.reshape(*parameters.shape[:-1], *self.shape, 2)
        return pair[..., 0], pair[..., 1]


def observation_of(config: Any) -> Observation:
    """The one that ``config.output`` names; categorical with two levels is Bernoulli."""
    if config.output == "gaussian":
        return Gaussian(config)
    return Bernoulli(config) if config.levels == 2 else Categorical(config)
