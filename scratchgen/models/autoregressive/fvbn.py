"""Fully visible belief network: a logistic regression for each value, on all values before it.

B. J. Frey (1998), "Graphical Models for Machine Learning and Digital Communication".
R. M. Neal (1992), "Connectionist learning of belief networks".

There are no hidden units. The value x_j of a binary vector is Bernoulli, and its logit is linear in
the values that are generated before it:

    p(x_j = 1 | x_<j) = σ(b_j + Σ_{i<j} W_ij x_i)

All logits at once are b + x (W ⊙ M), with the mask M strictly triangular: in raster order,

                to x_1 x_2 x_3 x_4
    from x_1       ·   ■   ■   ■
         x_2       ·   ·   ■   ■
         x_3       ·   ·   ·   ■
         x_4       ·   ·   ·   ·

−ln p(x) is convex in W and b: training finds no minimum but the best. Being
D separate regressions it has to learn every dependence anew for each value; NADE and MADE share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from scratchgen.models.autoregressive.binary import BinaryConfig, BinaryModel, earlier
from scratchgen.nn.initialisers import zeros
from scratchgen.nn.masked_dense import MaskedDense


@dataclass(frozen=True)
class FVBNConfig(BinaryConfig):
    """There is nothing to choose but the order."""


class FVBN(BinaryModel):
    """p(x) for images x (N, height, width, colours) of zeros and ones."""

    def __init__(self, config: FVBNConfig, rng: Any) -> None:
        super().__init__(config)
        self.regressions = MaskedDense(config.dimensions, config.dimensions, rng, zeros)
        self.mask = earlier(self.order)

    def logits(self, v: Any, rng: Any = None) -> Any:
        """All logits: (N, D) → (N, D). There is no dropout."""
        return self.regressions(v, self.mask)

    def cached(self, n: int, context: Any = None) -> Any:
        return _Cached(self, n)


class _Cached:
    """Vectors being generated, with the logits that the values so far make of the bias."""

    def __init__(self, model: FVBN, n: int) -> None:
        self.weight = model.regressions.weight.data * model.mask
        self.logits = np.zeros((n, 1), self.weight.dtype) + model.regressions.bias.data

    def logit(self, i: int) -> Any:
        return self.logits[:, i]

    def put(self, i: int, value: Any) -> None:
        self.logits += value[:, None] * self.weight[i]
