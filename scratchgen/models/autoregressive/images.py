"""What autoregressive models of images have in common: the order of pixels, and sampling in it.

The values of an image x (N, height, width, colours) are taken row by row, in a row pixel by pixel,
in a pixel colour by colour, and each is drawn from its distribution given those before it:

    p(x) = Π_i p(x_i | x_1, …, x_{i−1})
"""

from __future__ import annotations

import itertools
from typing import Any

import autograd.numpy as np
from autograd import constant, no_grad
from scratchgen.models.images import ImageModel, log_prob_of, sample_of
from scratchgen.nn import MaskedConv


def check_sampling(method: str, given: Any, known: Any) -> None:
    """Raise ValueError for a method that there is not, or for half of what completion takes."""
    if method not in ("cached", "naive"):
        raise ValueError(f"sample: there are the methods 'cached' and 'naive', not {method!r}")
    if (given is None) != (known is None):
        raise ValueError("sample: to complete images pass both given and known")


class AutoregressiveModel(ImageModel):
    """p(x), or p(x | label), for images x (N, height, width, colours) of integer levels.

    A model adds ``network(embedded, rng=None, context=None)``, the logits (N, height, width,
    colours, logits_of(levels)) of all values from ``embed(x)``, and ``cached``.
    """

    def network(self, embedded: Any, rng: Any = None, context: Any = None) -> Any:
        raise NotImplementedError

    def cached(self, n: int, context: Any) -> Generation:
        """The way of generating ``n`` images that computes for a value only what depends on it."""
        raise NotImplementedError

    def embed(self, x: Any) -> Any:
        """What the network sees of an image: (N, H, W, colours) → (N, H, W, 3 · colours).

        For each colour its level, scaled to [−1, 1], and the pixel's row and column, likewise. (The
        place, though the same for all colours, is in each group of features; see MaskedConv.)
        """
        height, width, colours = self.shape
        rows = np.linspace(-1, 1, height)[:, None, None, None] * np.ones((1, width, colours, 1))
        columns = np.linspace(-1, 1, width)[:, None, None] * np.ones((height, 1, colours, 1))
        place = np.concatenate([rows, columns], -1).astype(self.dtype)  # (H, W, colours, 2)
        place = np.broadcast_to(place, (len(x), *place.shape))
        embedded = np.concatenate([self.scaled(x)[..., None], place], -1)
        return embedded.reshape(len(x), height, width, 3 * colours)

    # ------------------------------------------------------------------------------- likelihood

    def log_prob(self, x: Any, context: Any = None, *, rng: Any = None) -> Any:
        """ln p(x) in nats per image: x (N, H, W, colours) of integers 0 … levels − 1 → (N,).

        ``context``: the labels (N,) of a class-conditional model. ``rng``: a generator for dropout,
        in training; None for the density itself. Raises ValueError for images of another shape.
        """
        self.check(x)
        logits = self.network(self.embed(x), rng, self.labels(context, len(x)))
        return np.sum(log_prob_of(logits, x), axis=(1, 2, 3))

    def loss(self, batch: Any, rng: Any, step: Any = None) -> tuple[Any, dict[str, Any]]:
        """−ln p of a batch of images, in nats per image, and what to report about it.

        For a class-conditional model the batch is a pair (images, labels).
        """
        x, context = batch if isinstance(batch, tuple) else (batch, None)
        nats = -np.mean(self.log_prob(x, context, rng=rng))
        return nats, {"nats": constant(nats)}

    # --------------------------------------------------------------------------------- sampling

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
        """``n`` images (n, H, W, colours), drawn value by value from their distributions.

        ``method``: "cached" keeps the features of earlier pixels and computes for a new value only
        its own, in a time that grows with the number of pixels; "naive" runs the whole network for
        each value. With the same ``rng`` both give the same images.

        ``given`` and ``known`` complete occluded images: where the boolean ``known`` holds, the
        value is that of ``given`` and not drawn. Both must broadcast to (n, H, W, colours).
        ``temperature`` divides the logits: below 1 samples are more likely ones, and less varied.
        ``context``: the labels (n,) of a class-conditional model, or one for all.
        """
        check_sampling(method, given, known)
        height, width, colours = self.shape
        if given is not None:
            given = np.broadcast_to(given, (n, *self.shape))
            known = np.broadcast_to(known, (n, *self.shape))
        labels = self.labels(context, n)
        with no_grad():
            state = self.cached(n, labels) if method == "cached" else Generation(self, n, labels)
            for place in itertools.product(range(height), range(width), range(colours)):
                level = sample_of(state.logits(*place), rng, temperature)  # (n,)
                if given is not None:
                    at = (slice(None), *place)
                    level = np.where(known[at], given[at], level)
                state.put(*place, level)
        return state.image


class Generation:
    """Images being generated: here the naive way, every value by a run of the whole network."""

    def __init__(self, model: Any, n: int, context: Any) -> None:
        self.model, self.context = model, context
        self.image = np.zeros((n, *model.shape), int)
        self.embedded = model.embed(self.image)

    def logits(self, row: int, column: int, colour: int) -> Any:
        """Logits (n, logits_of(levels)) of a value given those before it."""
        return self.model.network(self.embedded, None, self.context)[:, row, column, colour]

    def put(self, row: int, column: int, colour: int, level: Any) -> None:
        """Set that value to levels (n,)."""
        self.image[:, row, column, colour] = level
        self.embedded[:, row, column, 3 * colour] = self.model.scaled(level)


class CachedGeneration(Generation):
    """The same with the input of every masked convolution kept.

    For a new value each layer computes the features of its colour at its pixel, and no others. The
    model's layers take :meth:`apply` in place of a call of the convolution.
    """

    place: tuple[int, int, int]
    """Row, column and colour of the value to be predicted."""

    def __init__(self, model: Any, n: int, context: Any) -> None:
        super().__init__(model, n, context)
        padded, self.embedded = model.first.padded(self.embedded)
        self._inputs = {model.first: padded}

    def apply(self, conv: MaskedConv, x: Any) -> Any:
        """The output at ``place``, from the input x (n, 1, 1, C) there; both of its colour only."""
        if conv not in self._inputs:
            self._inputs[conv] = conv.empty(self.embedded)
        if conv is not self.model.first:  # whose input, the image, is there
            conv.put(self._inputs[conv], *self.place, x)
        return conv.at(self._inputs[conv], *self.place)
