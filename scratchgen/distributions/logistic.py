"""The logistic distribution of each element, given by its mean µ and the log of its scale s.

Its distribution function is the sigmoid: P(X ≤ x) = σ(z) with z = (x − µ) / s. Its standard
deviation is s π / √3, about 1.8 s. (The KL divergence of two logistics has no closed form.)

In float32 all values and gradients are finite for |log s| up to 40 and x within 1e10 s of µ.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd.nn import softplus


def log_prob(mean: Any, log_scale: Any, x: Any) -> Any:
    """ln p(x) = ln σ(z) + ln σ(−z) − log s in nats, for each element, as dσ/dz = σ(z) σ(−z)."""
    return standard_log_prob((x - mean) * np.exp(-log_scale)) - log_scale


def standard_log_prob(z: Any) -> Any:
    """ln p(z) = ln σ(z) + ln σ(−z) in nats, for each element, with µ = 0 and s = 1."""
    return -(softplus(-z) + softplus(z))


def sample(mean: Any, log_scale: Any, rng: Any) -> Any:
    """µ + s ln (u / (1 − u)), u uniform: x (…), of the shape to which the parameters broadcast.

    Inversion of the distribution function, and differentiable with respect to both parameters.
    """
    scale = np.exp(log_scale)
    u = rng.random((mean + scale).shape)
    u = np.clip(u, 2.0**-54, 1 - 2.0**-53)  # as the logits of 0 and 1 are infinite
    noise = (np.log(u) - np.log1p(-u)).astype(scale.dtype)
    return mean + scale * noise


def entropy(log_scale: Any) -> Any:
    """H = log s + 2 in nats, for each element; it does not depend on the mean."""
    return log_scale + 2
