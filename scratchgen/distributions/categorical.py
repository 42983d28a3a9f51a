"""The categorical distribution over K classes, given by logits: p(k) = exp(l_k) / Σ_j exp(l_j)."""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd.nn import log_softmax
from autograd.nn.losses import softmax_cross_entropy
from scratchgen.distributions.temperature import tempered


def log_prob(logits: Any, x: Any) -> Any:
    """ln p(x) in nats, for logits (…, K) and integer classes x (…)."""
    return -softmax_cross_entropy(logits, x)


def sample(logits: Any, rng: Any, *, temperature: float = 1.0) -> Any:
    """A class for each row of logits (…, K), by inversion: the first k with Σ_{j ≤ k} p(j) ≥ u.

    One uniform number u is drawn for each row. The cumulative sums are taken without the
    normalising constant; u is scaled by their last in its place.
    """
    centred = logits - np.max(logits, axis=-1, keepdims=True)
    cumulative = np.cumsum(np.exp(tempered(centred, temperature)), axis=-1)
    u = rng.random(logits.shape[:-1])[..., None]
    return np.sum(cumulative < u * cumulative[..., -1:], axis=-1)


def entropy(logits: Any) -> Any:
    """H = −Σ_k p(k) ln p(k) in nats, of logits (…, K): (…), from 0 to ln K."""
    log_p = log_softmax(logits)
    p = np.exp(log_p)
    return -np.sum(p * np.where(p > 0, log_p, 0.0), axis=-1)  # 0 ln 0 = 0


def kl(logits: Any, other: Any) -> Any:
    """KL(p ‖ q) = Σ_k p(k) ln (p(k) / q(k)) in nats, for logits (…, K) of p and of q: (…).

    It is infinite where q excludes (with a logit of −∞) what p does not.
    """
    log_p, log_q = log_softmax(logits), log_softmax(other)
    p = np.exp(log_p)
    possible = p > 0
    ratio = np.where(possible, log_p, 0.0) - np.where(possible, log_q, 0.0)
    return np.sum(p * ratio, axis=-1)
