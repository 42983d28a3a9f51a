"""Models of which a lower bound of ln p(x) is known, from draws of what is not observed.

A model with latent variables z has p(x) = ∫ p(x, z) dz. With any q(z | x) to draw from,

    w = p(x, z) / q(z | x),   z ~ q(z | x),    has the mean   E w = p(x)

and by Jensen's inequality E ln w ≤ ln p(x): the evidence lower bound (D. P. Kingma and M. Welling
2014, "Auto-encoding variational Bayes", eq. 2). The mean of k such weights is less uncertain than
one, and its logarithm nearer to ln p(x) on average, with every k (Y. Burda, R. Grosse and
R. Salakhutdinov 2016, "Importance weighted autoencoders", eq. 8 and theorem 1):

    E ln w_1  ≤  E ln ½ (w_1 + w_2)  ≤  …  ≤  E ln 1/k Σ_i w_i  ≤  ln p(x)
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import autograd.numpy as np
from autograd.scipy.special import logsumexp
from scratchgen.models.images import ImageModel, logits_of

NUMBERS = 10_000_000
"""Numbers that the distributions of all values of all draws take which are computed together.

In float32 they are 40 MB, and what else is in memory then at most about four times as much, unless
hidden layers are much wider than that, as those of convolutional networks may be.
"""


class BoundedModel(ImageModel):
    """A model of images whose ln p(x) is estimated from importance weights, from below."""

    importance_samples: ClassVar[int] = 100
    """k of the figure that a finished run is reported with."""

    def log_weights(
        self, x: Any, k: int, rng: Any, context: Any = None, *, training: bool = False
    ) -> Any:
        """ln w of k independent draws for each image: (N, H, W, colours) → (k, N), in nats.

        ``context``: the labels (N,) of a class-conditional model. ``training``: with dropout, and
        what else is done in training only.
        """
        raise NotImplementedError

    def log_prob_iw(
        self, x: Any, k: int, rng: Any, context: Any = None, *, training: bool = False
    ) -> Any:
        """ln 1/k Σ_i w_i, in nats per image (N,): on average at most ln p(x), and nearer with k."""
        if k < 1:
            raise ValueError(f"log_prob_iw: k={k} importance samples; at least 1")
        each = math.prod(self.shape) * logits_of(self.config.levels)  # numbers of one draw
        most = max(1, NUMBERS // max(1, len(x) * each))
        sizes = [min(most, k - start) for start in range(0, k, most)]
        log_w = [self.log_weights(x, n, rng, context, training=training) for n in sizes]
        return logsumexp(np.concatenate(log_w), axis=0) - math.log(k)
