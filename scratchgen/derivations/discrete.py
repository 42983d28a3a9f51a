"""Distributions over a few values as arrays of probabilities: draws, entropies, divergences.

All in nats, of all cells of an array (so a table is a joint distribution), and all computed by
:mod:`scratchgen.distributions.categorical`, whose logits are here ln p.
"""

from __future__ import annotations

import math
from typing import Any

import autograd.numpy as np
from scratchgen.distributions import categorical


def distribution(rng: Any, *shape: int) -> Any:
    """A random one over ``shape``, of K cells, of which none is below 1 / 11 K."""
    weights = rng.random(shape) + 0.1
    return weights / np.sum(weights)


def entropy(p: Any) -> Any:
    """H(p) = −Σ p ln p."""
    return categorical.entropy(_logits(p))


def conditional_entropy(joint: Any) -> Any:
    """H(Y | X) = −Σ p(x, y) ln p(y | x) of a table with the rows x and the columns y."""
    return -np.sum(joint * np.log(joint / np.sum(joint, axis=1, keepdims=True)))


def kl(p: Any, q: Any) -> Any:
    """KL(p ‖ q) = Σ p ln (p / q); infinite where q = 0 < p."""
    return categorical.kl(_logits(p), _logits(q))


def js(p: Any, q: Any) -> Any:
    """JS(p, q) = ½ KL(p ‖ m) + ½ KL(q ‖ m) with the mixture m = ½ (p + q)."""
    middle = 0.5 * (p + q)
    return 0.5 * kl(p, middle) + 0.5 * kl(q, middle)


def mutual_information(joint: Any) -> Any:
    """I(X; Y) = KL(p(x, y) ‖ p(x) p(y)) of a table."""
    return kl(joint, np.outer(np.sum(joint, axis=1), np.sum(joint, axis=0)))


def roundings(cells: int) -> int:
    """How many can add up in any of these, in relation to the entropies that it is made of.

    Two sums of all cells (one makes the probabilities add up to 1). Of a term there are the
    logarithm, the product and the exponential, which turns the rounding of ln p into |ln p| times
    as much in p: 8 in all where no p is below e⁻⁶.
    """
    return 2 * cells + 8


def _logits(p: Any) -> Any:
    flat = np.reshape(p, (-1,))
    possible = flat > 0
    return np.where(possible, np.log(np.where(possible, flat, 1.0)), -math.inf)
