"""Dropout."""

from __future__ import annotations

from typing import Any

import numpy

from autograd.backend import xp
from autograd.core import defvjp
from autograd.table import Call, Draw, call, operation


def dropout(x: Any, rate: float, rng: Any) -> Any:
    """Each element becomes 0 with probability ``rate``, the others grow by 1 / (1 − rate).

    So the expectation stays x (Srivastava et al. 2014, "inverted"): in evaluation, leave it out.
    ``rng``: a generator of the current backend, ``backend.default_rng(seed)``; one draw for each
    element, none if the rate is 0. Raises ValueError unless 0 ≤ rate < 1.
    """
    if not 0 <= rate < 1:
        raise ValueError(f"dropout: the rate must lie in [0, 1), not {rate}")
    if rate == 0:
        return x
    keep = rng.random(x.shape, dtype=xp.float32) >= rate
    return masked(x, keep, 1 / (1 - rate))


def _masked_samples(d: Draw) -> Call:
    shape = d.shape()
    return call(d.array(shape), d.array(shape) > 0, d.choice([1, 2]))


@operation(
    r"y = a x \text{ where } m \text{, else } 0",
    _masked_samples,
    [call(numpy.zeros(3), numpy.zeros(4, bool), 2.0)],
    analytic=True,
)
def masked(x, mask, scale=1.0):
    """scale · x where the boolean ``mask`` holds, 0 elsewhere. Only the mask is kept."""
    y = x * scale
    y *= mask
    return y


defvjp(masked, lambda _, x, mask, scale=1.0: lambda g: masked(g, mask, scale), None, None)
