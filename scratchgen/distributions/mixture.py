"""A mixture p(x) = Σ_k π_k p_k(x) of K components of any kind, with π = softmax(logits).

With components that are normal, for numbers x (…) and parameters (…, K):

    mixture.log_prob(logits, normal.log_prob(mean, log_std, x[..., None]))
    mixture.sample(logits, normal.sample, (mean, log_std), rng)

Where x is a vector of D numbers the parameters are (…, K, D), and the logarithms of the components'
densities are summed over D before they are mixed: the numbers share one choice of k.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
from autograd.nn import log_softmax
from autograd.scipy.special import logsumexp
from scratchgen.distributions import categorical


def log_prob(logits: Any, log_probs: Any) -> Any:
    """ln Σ_k π_k p_k(x) in nats, from logits (…, K) and every component's ln p_k(x) (…, K): (…)."""
    if log_probs.shape[-1:] != logits.shape[-1:]:
        raise ValueError(
            f"mixture: logits {tuple(logits.shape)} do not fit the components' log-probabilities "
            f"{tuple(log_probs.shape)}: (…, K) both"
        )
    return logsumexp(log_softmax(logits) + log_probs, axis=-1)


def sample(
    logits: Any,
    draw: Callable[..., Any],
    parameters: tuple[Any, ...],
    rng: Any,
    *,
    temperature: float = 1.0,
) -> Any:
    """x (…): a component k for each row of logits (…, K), then ``draw(*parameters of k, rng)``.

    Each of the ``parameters`` is (…, K), or (…, K, D) for vectors. ``temperature`` is that of the
    choice of k, not of the components.
    """
    k = categorical.sample(logits, rng, temperature=temperature)
    return draw(*(select(parameter, k) for parameter in parameters), rng)


def select(parameter: Any, k: Any) -> Any:
    """The parameter of component k: (…, K, *event) at integers k (…) → (…, *event)."""
    axis = k.ndim
    index = k.reshape((*k.shape, *[1] * (parameter.ndim - axis)))
    return np.squeeze(np.take_along_axis(parameter, index, axis), axis)
