"""The categorical distribution over K classes, given by logits: p(k) = exp(l_k) / Σ_j exp(l_j)."""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd.nn.losses import softmax_cross_entropy


def log_prob(logits: Any, x: Any) -> Any:
    """ln p(x) in nats, for logits (…, K) and integer classes x (…)."""
    return -softmax_cross_entropy(logits, x)


def sample(logits: Any, rng: Any) -> Any:
    """A class for each row of logits (…, K), by inversion: the first k with Σ_{j ≤ k} p(j) ≥ u.

    One uniform number u is drawn for each row. The cumulative sums are taken without the
    normalising constant; u is scaled by their last in its place.
    """
    cumulative = np.cumsum(np.exp(logits - np.max(logits, axis=-1, keepdims=True)), axis=-1)
    u = rng.random(logits.shape[:-1])[..., None]
    return np.sum(cumulative < u * cumulative[..., -1:], axis=-1)
