"""What autoregressive models of binary vectors have in common: an order, and sampling in it.

An image (N, height, width, colours) of zeros and ones is taken as a vector x of D values, row by
row. The values are generated in an order o_1, …, o_D, any permutation of 1, …, D, and each is
Bernoulli given those before it:

    p(x) = Π_t p(x_{o_t} | x_{o_1}, …, x_{o_{t−1}}),   p(x_i = 1 | …) = σ(l_i)

A model says how the logit l_i depends on the values before x_i. Neighbours mean nothing to it, so
that any table of zeros and ones will do, as images of one row.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import autograd.numpy as np
from autograd import backend, no_grad
from scratchgen.config import require
from scratchgen.distributions import bernoulli
from scratchgen.models.autoregressive.images import AutoregressiveModel, check_sampling
from scratchgen.models.images import ImageConfig

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class BinaryConfig(ImageConfig):
    """Images of zeros and ones, and the order in which their values are generated."""

    levels: int = 2
    """Of each value: 0 and 1. Others are not modelled."""
    order: str = "raster"
    """Of the values: raster, row by row from the top; or random, a permutation."""
    order_seed: int = 0
    """Which random choice it is: the order is no parameter, and must follow from this alone."""

    orders: ClassVar[tuple[str, ...]] = ("raster", "random")

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.levels == 2, "levels", "2, as the model is of binary values")
        require(self, self.order in self.orders, "order", " or ".join(self.orders))
        require(self, self.order_seed >= 0, "order_seed", "at least 0")


def ordering(config: BinaryConfig, chance: random.Random) -> list[int]:
    """The values 0 … D − 1 in the order of generation.

    ``chance`` is Python's own generator, which gives the same order on every backend.
    """
    places = list(range(config.dimensions))
    if config.order != "raster":
        chance.shuffle(places)
    return places


def steps_of(order: Sequence[int]) -> list[int]:
    """For each value the step, 1 … D, at which it is generated: the inverse of the order."""
    steps = [0] * len(order)
    for step, i in enumerate(order, start=1):
        steps[i] = step
    return steps


def earlier(order: Sequence[int]) -> Any:
    """A mask (D, D) that holds at i, j if x_i is generated before x_j.

    With rows and columns taken in the order it is strictly upper triangular.
    """
    steps = backend.asarray(steps_of(order))
    return steps[:, None] < steps


# ---------------------------------------------------------------------------------------- model


class BinaryModel(AutoregressiveModel):
    """p(x) for images x (N, height, width, colours) of zeros and ones.

    A model adds ``logits(v, rng=None)``, those (N, D) of all values from vectors v (N, D), and
    ``cached``.
    """

    config: Any

    def __init__(self, config: BinaryConfig) -> None:
        self.config = config
        self.order = ordering(config, random.Random(config.order_seed))

    def logits(self, v: Any, rng: Any = None) -> Any:
        raise NotImplementedError

    def embed(self, x: Any) -> Any:
        """Images (N, H, W, colours) as vectors of zeros and ones, (N, D), of the weights' type."""
        return x.reshape(len(x), self.config.dimensions).astype(self.dtype)

    def network(self, embedded: Any, rng: Any = None, context: Any = None) -> Any:
        """:meth:`logits`, in the form of images: (N, D) → (N, H, W, colours, 1)."""
        return self.logits(embedded, rng).reshape(len(embedded), *self.shape, 1)

    def sample(
        self,
        n: int,
        rng: Any,
        method: str = "cached",
        given: Any = None,
        known: Any = None,
        temperature: float = 1.0,
        context: Any = None,
    ) -> Any:
        """``n`` images (n, H, W, colours), drawn value by value in the model's order.

        The arguments are those of :meth:`AutoregressiveModel.sample`.
        """
        check_sampling(method, given, known)
        self.labels(context, n)
        if given is not None:
            given = np.broadcast_to(given, (n, *self.shape)).reshape(n, -1)
            known = np.broadcast_to(known, (n, *self.shape)).reshape(n, -1)
        with no_grad():
            vectors = self.drawn(n, rng, method, given, known, temperature)
        return vectors.reshape(n, *self.shape)

    def drawn(
        self, n: int, rng: Any, method: str, given: Any, known: Any, temperature: float
    ) -> Any:
        """As :meth:`sample`, of vectors: ``given``, ``known`` and the result are (n, D)."""
        state: VectorGeneration = (
            self.cached(n) if method == "cached" else Naive(self, n, self.logits)
        )
        return generate(n, self.order, state, rng, given, known, temperature)

    def cached(self, n: int, context: Any = None) -> Any:
        raise NotImplementedError


# ------------------------------------------------------------------------------------- sampling


class VectorGeneration(Protocol):
    """Vectors being generated."""

    def logit(self, i: int) -> Any:
        """Logits (n,) of the value x_i given those before it."""

    def put(self, i: int, value: Any) -> None:
        """Set x_i to ``value`` (n,), of the weights' type."""


class Naive:
    """The naive way: every value by a run of the whole network ``logits``."""

    def __init__(self, model: BinaryModel, n: int, logits: Callable[[Any], Any]) -> None:
        self.v = model.embed(np.zeros((n, *model.shape)))
        self.logits = logits

    def logit(self, i: int) -> Any:
        return self.logits(self.v)[:, i]

    def put(self, i: int, value: Any) -> None:
        self.v[:, i] = value


def generate(
    n: int,
    order: Sequence[int],
    state: VectorGeneration,
    rng: Any,
    given: Any,
    known: Any,
    temperature: float,
) -> Any:
    """``n`` vectors (n, D) of integers, drawn value by value along ``order``."""
    vectors = np.zeros((n, len(order)), int)
    for i in order:
        logit = state.logit(i)
        value = bernoulli.sample(logit, rng, temperature=temperature)  # (n,)
        if given is not None:
            value = np.where(known[:, i], given[:, i], value)
        vectors[:, i] = value
        state.put(i, value.astype(logit.dtype))
    return vectors
