"""Mixtures of logistics over the levels of a pixel: the output distribution of PixelCNN++.

T. Salimans, A. Karpathy, X. Chen and D. P. Kingma (2017), "PixelCNN++: improving the PixelCNN with
discretized logistic mixture likelihood and other modifications", §2.1 and §2.2.

A pixel's level x ∈ {0, …, L − 1} stands for the number v = 2x / (L − 1) − 1 in [−1, 1] and for the
bin of half-width δ = 1 / (L − 1) around it; the first bin reaches to −∞, the last to +∞. With
µ and s in these units, a component gives the level what the logistic gives the bin (eq. 2):

    p(x) = σ(b) − σ(a),    a = (v − δ − µ) / s,  b = (v + δ − µ) / s

Far from µ both sigmoids round to the same number, whose difference then has no logarithm; the
paper's code falls back on the density at v. There is no need to, since

    σ(b) − σ(a) = σ(b) σ(−a) (1 − e^{−w}),    w = b − a = 2δ / s

is a product whose logarithm is exact to rounding wherever the bin is. In the first bin a = −∞ and
what is left is σ(b); in the last, σ(−a).

In float32 all values and gradients are finite for log s from −40 to 40. (The paper's network keeps
log s at −7 or above: with 256 levels one bin then takes up nearly everything.)
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd.nn import softplus
from scratchgen.distributions import logistic, mixture

# ---------------------------------------------------------------------------------- one channel


def log_prob(logits: Any, mean: Any, log_scale: Any, x: Any, levels: int = 256) -> Any:
    """ln p(x) in nats, for integer levels x (…) and logits, µ and log s of K components (…, K).

    Raises TypeError for levels that are not integers, ValueError for fewer than two levels.
    """
    return mixture.log_prob(logits, component_log_prob(mean, log_scale, x[..., None], levels))


def component_log_prob(mean: Any, log_scale: Any, x: Any, levels: int = 256) -> Any:
    """ln (σ(b) − σ(a)) in nats, for each element: one logistic, at integer levels x."""
    _check(x, levels)
    x = x.astype(mean.dtype)  # levels of 8 bits would overflow
    half = 1 / (levels - 1)
    inverse_scale = np.exp(-log_scale)
    # from 2x ± 1, so that two neighbours compute the very same edge between them
    upper = ((2 * x + 1) * half - 1 - mean) * inverse_scale  # b
    lower = ((2 * x - 1) * half - 1 - mean) * inverse_scale  # a
    first, last = x == 0, x == levels - 1
    below_upper = np.where(last, 0.0, -softplus(-upper))  # ln σ(b)
    above_lower = np.where(first, 0.0, -softplus(lower))  # ln σ(−a)
    within = np.log(-np.expm1(-2 * half * inverse_scale))  # ln (1 − e^{−w})
    return below_upper + above_lower + np.where(first | last, 0.0, within)


def sample(
    logits: Any,
    mean: Any,
    log_scale: Any,
    rng: Any,
    levels: int = 256,
    *,
    temperature: float = 1.0,
) -> Any:
    """Integer levels (…), for logits, µ and log s (…, K): the level nearest to a logistic's sample.

    What lies outside of [−1, 1] goes to the first or last level, as their bins say.
    ``temperature`` is that of the choice of component.
    """
    v = mixture.sample(logits, logistic.sample, (mean, log_scale), rng, temperature=temperature)
    return _nearest_level(v, levels)


def _nearest_level(v: Any, levels: int) -> Any:
    _check_levels(levels)
    return np.round((np.clip(v, -1, 1) + 1) * ((levels - 1) / 2)).astype(int)


def _check(x: Any, levels: int) -> None:
    _check_levels(levels)
    if x.dtype.kind not in "iu":
        raise TypeError(
            f"discretised_logistic_mixture: x is an array of integer levels, not {x.dtype}"
        )


def _check_levels(levels: int) -> None:
    if levels < 2:
        raise ValueError(f"levels={levels}: levels must be at least 2")


# ------------------------------------------------------------------------- red, green and blue
#
# One component is chosen for the pixel. Given it, the channels depend on each other linearly
# (eq. 3): the mean of green is moved by the red one, that of blue by red and green.


def log_prob_rgb(
    logits: Any, mean: Any, log_scale: Any, coefficients: Any, x: Any, levels: int = 256
) -> Any:
    """ln p(r, g, b) in nats: integer levels x (…, 3), logits (…, K) and the others (…, K, 3) → (…).

    The means are µ_r, µ_g + α r, µ_b + β r + γ g, with r and g in [−1, 1] and α, β, γ the
    ``coefficients`` (tanh of the network's outputs, in the paper's code).
    """
    _check(x, levels)
    _check_channels(mean, coefficients, x)
    x = x[..., None, :]  # (…, 1, 3), for all components
    v = x.astype(mean.dtype) * (2 / (levels - 1)) - 1
    alpha, beta, gamma = (coefficients[..., i] for i in range(3))
    red, green = v[..., 0], v[..., 1]
    means = [
        mean[..., 0],
        mean[..., 1] + alpha * red,
        mean[..., 2] + beta * red + gamma * green,
    ]
    channels = component_log_prob(np.stack(means, -1), log_scale, x, levels)  # (…, K, 3)
    return mixture.log_prob(logits, np.sum(channels, axis=-1))


def sample_rgb(
    logits: Any,
    mean: Any,
    log_scale: Any,
    coefficients: Any,
    rng: Any,
    levels: int = 256,
    *,
    temperature: float = 1.0,
) -> Any:
    """Integer levels (…, 3), for logits (…, K) and the other parameters (…, K, 3).

    Green depends on the *level* drawn for red, as in :func:`log_prob_rgb`, and not on the number
    before rounding.
    """

    def draw(mean: Any, log_scale: Any, coefficients: Any, rng: Any) -> Any:
        alpha, beta, gamma = (coefficients[..., i] for i in range(3))
        red, r = channel(mean[..., 0], log_scale[..., 0], rng)
        green, g = channel(mean[..., 1] + alpha * r, log_scale[..., 1], rng)
        blue, _ = channel(mean[..., 2] + beta * r + gamma * g, log_scale[..., 2], rng)
        return np.stack([red, green, blue], -1)

    def channel(mean: Any, log_scale: Any, rng: Any) -> tuple[Any, Any]:
        """A level, and the number in [−1, 1] that it stands for."""
        level = _nearest_level(logistic.sample(mean, log_scale, rng), levels)
        return level, level.astype(mean.dtype) * (2 / (levels - 1)) - 1

    parameters = (mean, log_scale, coefficients)
    return mixture.sample(logits, draw, parameters, rng, temperature=temperature)


def _check_channels(mean: Any, coefficients: Any, x: Any) -> None:
    if not mean.shape[-1] == coefficients.shape[-1] == x.shape[-1] == 3:
        raise ValueError(
            f"discretised_logistic_mixture: means {tuple(mean.shape)}, coefficients "
            f"{tuple(coefficients.shape)} and x {tuple(x.shape)}, expected three channels last"
        )
