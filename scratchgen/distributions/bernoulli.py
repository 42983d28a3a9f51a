"""The Bernoulli distribution of x ∈ {0, 1}, given by logits: p(1) = σ(l) = 1 / (1 + exp(−l))."""

from __future__ import annotations

from typing import Any

from autograd.nn import sigmoid, sigmoid_cross_entropy, softplus
from scratchgen.distributions.temperature import tempered


def log_prob(logits: Any, x: Any) -> Any:
    """ln p(x) = x ln σ(l) + (1 − x) ln σ(−l) in nats, element by element.

    ``logits`` (…); ``x`` of that shape, or lacking leading axes: 0 and 1 or booleans, or
    probabilities of 1 between them, for the expectation. Raises ValueError for other shapes.
    """
    return -sigmoid_cross_entropy(logits, x)


def sample(logits: Any, rng: Any, *, temperature: float = 1.0) -> Any:
    """0 or 1 for each of the logits (…): 1 where a uniform random number is below p(1)."""
    return (rng.random(logits.shape) < sigmoid(tempered(logits, temperature))).astype(int)


def entropy(logits: Any) -> Any:
    """H = −Σ_x p(x) ln p(x) in nats. Every term is positive, so that nothing cancels."""
    return sigmoid(logits) * softplus(-logits) + sigmoid(-logits) * softplus(logits)


def kl(logits: Any, other: Any) -> Any:
    """KL(p ‖ q) = Σ_x p(x) ln (p(x) / q(x)) in nats, for the logits of p and those of q."""
    ones = sigmoid(logits) * (softplus(-other) - softplus(-logits))
    zeros = sigmoid(-logits) * (softplus(other) - softplus(logits))
    return ones + zeros
