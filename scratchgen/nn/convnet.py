"""A small network of convolutions, which keeps the size of an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
from autograd.nn import dropout, relu
from scratchgen.nn.conv import Conv
from scratchgen.nn.dense import Dense
from scratchgen.nn.initialisers import zeros
from scratchgen.nn.module import Module


class ConvNet(Module):
    """(N, H, W, inputs) → (N, H, W, outputs): convolutions 3 × 3, 1 × 1, 3 × 3, with ReLU between.

    The first one also sees the row and the column of each pixel: a convolution by itself does the
    same everywhere, and could not tell the middle of a digit from the empty margin.

    ``context``: how many numbers (N, context) further say what is added to each channel after the
    first layer. ``last``: how the weights of the last layer are initialised; with :func:`zeros` the
    network puts out 0 at first.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        rng: Any,
        *,
        hidden: int = 32,
        context: int = 0,
        dropout: float = 0.0,
        last: Callable = zeros,
    ) -> None:
        self.rate = dropout
        self.first = Conv(inputs + 2, hidden, 3, rng)
        self.context = Dense(context, hidden, rng) if context else None
        self.middle = Conv(hidden, hidden, 1, rng)
        self.output = Conv(hidden, outputs, 3, rng, last)

    def __call__(self, x: Any, context: Any = None, rng: Any = None) -> Any:
        """``rng``: a generator for dropout in training, or None."""
        h = self.first(np.concatenate([x, _places(x)], -1))
        if self.context is not None:
            h = h + self.context(context)[:, None, None]
        h = relu(self.middle(relu(h)))
        if rng is not None and self.rate:
            h = dropout(h, self.rate, rng)
        return self.output(h)


def _places(x: Any) -> Any:
    """Row and column of each pixel of x (N, H, W, C), from −1 to 1: (N, H, W, 2)."""
    n, height, width, _ = x.shape
    rows = np.linspace(-1, 1, height)[:, None] * np.ones(width)
    columns = np.ones(height)[:, None] * np.linspace(-1, 1, width)
    place = np.stack([rows, columns], -1).astype(x.dtype)
    return np.broadcast_to(place, (n, *place.shape))
