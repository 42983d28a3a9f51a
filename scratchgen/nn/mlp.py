"""The multilayer perceptron: dense layers with a non-linear function between them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import autograd.numpy as np
from autograd.nn import dropout, relu
from scratchgen.nn.dense import Dense
from scratchgen.nn.initialisers import glorot_normal
from scratchgen.nn.module import Module


class MLP(Module):
    """(…, inputs) → (…, outputs) through ``layers`` hidden layers of ``hidden`` units.

    ``context``: how many further inputs there are, passed apart. ``last``: how the weights of the
    last layer are initialised; with :func:`zeros` the network puts out 0 at first.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        rng: Any,
        *,
        hidden: int = 64,
        layers: int = 2,
        context: int = 0,
        dropout: float = 0.0,
        activation: Callable[[Any], Any] = relu,
        last: Callable = glorot_normal,
    ) -> None:
        self.rate, self.activation = dropout, activation
        widths = [inputs + context] + [hidden] * layers
        self.hidden = [Dense(a, b, rng) for a, b in itertools.pairwise(widths)]
        self.output = Dense(widths[-1], outputs, rng, last)

    def __call__(self, x: Any, context: Any = None, rng: Any = None) -> Any:
        """``rng``: a generator for dropout in training, or None."""
        h = x if context is None else np.concatenate([x, context], -1)
        for layer in self.hidden:
            h = layer.rectified(h) if self.activation is relu else self.activation(layer(h))
            if rng is not None and self.rate:
                h = dropout(h, self.rate, rng)
        return self.output(h)
