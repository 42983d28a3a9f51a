"""The normal distribution N(µ, σ²) of each element, given by its mean µ and by log σ.

The second parameter is the logarithm of the *standard deviation*, in every function here. Many
networks put out the logarithm of the variance, log σ² = 2 log σ: halve it first,

    normal.sample(mean, 0.5 * log_variance, rng)

for exp(log σ²) is σ², not σ. Where it is taken for σ nothing fails: at σ = 1 the two agree, and
elsewhere the model learns to put out half of what it should, but likelihoods, samples and KL
divergences that follow different conventions no longer belong to one distribution.

In float32 all values and gradients are finite for |log σ| up to 40 and x within 1e10 σ of µ.
"""

from __future__ import annotations

import math
from typing import Any

import autograd.numpy as np


def log_prob(mean: Any, log_std: Any, x: Any) -> Any:
    """ln N(x; µ, σ²) = −½ z² − log σ − ½ ln 2π with z = (x − µ) / σ, in nats, for each element.

    Sum over the dimensions of x yourself.
    """
    return standard_log_prob((x - mean) * np.exp(-log_std)) - log_std


def standard_log_prob(z: Any) -> Any:
    """ln N(z; 0, 1) = −½ z² − ½ ln 2π in nats, for each element."""
    return -0.5 * (z * z) - 0.5 * math.log(2 * math.pi)


def sample(mean: Any, log_std: Any, rng: Any) -> Any:
    """µ + σ ε with ε ~ N(0, 1): x (…), of the shape to which the parameters broadcast.

    Differentiable with respect to both: the reparameterisation of D. P. Kingma and M. Welling
    (2014), "Auto-encoding variational Bayes", §2.4.
    """
    std = np.exp(log_std)
    noise = rng.standard_normal((mean + std).shape).astype(std.dtype)
    return mean + std * noise


def entropy(log_std: Any) -> Any:
    """H = log σ + ½ ln 2πe in nats, for each element; it does not depend on the mean."""
    return log_std + 0.5 * math.log(2 * math.pi * math.e)


def kl(mean: Any, log_std: Any, other_mean: Any, other_log_std: Any) -> Any:
    """KL(p ‖ q) = ½ ((σ_p² + (µ_p − µ_q)²) / σ_q² − 1) − log (σ_p / σ_q) in nats, for each element.

    KL is the same in every unit of x, so in that where q is the standard normal.
    """
    shift = (mean - other_mean) * np.exp(-other_log_std)
    return kl_to_standard(shift, log_std - other_log_std)


def kl_to_standard(mean: Any, log_std: Any) -> Any:
    """KL(N(µ, σ²) ‖ N(0, 1)) = ½ (µ² + σ² − 1 − 2 log σ) in nats, for each element.

    That of a variational autoencoder (Kingma & Welling 2014, appendix B).
    """
    log_variance = 2 * log_std
    return 0.5 * (mean * mean + (np.expm1(log_variance) - log_variance))
