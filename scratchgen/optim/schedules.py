"""Learning-rate schedules: functions of the step that return a factor.

Steps count from 0, as an optimiser's ``steps`` does before each step, so nothing but that number
is needed to resume. Factors multiply:

    factor = linear_warmup(optimiser.steps, 100) * cosine(optimiser.steps, 5000)
    optimiser.learning_rate = factor * settings.learning_rate
"""

from __future__ import annotations

import math


def constant(step: int) -> float:
    """1 at every step."""
    return 1.0


def linear_warmup(step: int, steps: int) -> float:
    """(step + 1) / steps, then 1: from 1 / steps at the first step to 1 at step ``steps`` − 1.

    P. Goyal et al. (2017), "Accurate, large minibatch SGD", §2.2. No warm-up if ``steps`` is 0.
    """
    _check("linear_warmup", "steps", steps, 0)
    return min(1.0, (step + 1) / steps) if steps else 1.0


def cosine(step: int, steps: int, last: float = 0.0) -> float:
    """From 1 at step 0 to ``last`` at step ``steps`` and after: half a period of a cosine.

        last + (1 − last) (1 + cos(π step / steps)) / 2

    I. Loshchilov and F. Hutter (2017), "SGDR: stochastic gradient descent with warm restarts",
    eq. 5, without restarts.
    """
    _check("cosine", "steps", steps, 1)
    done = min(step / steps, 1.0)
    return last + (1 - last) * (1 + math.cos(math.pi * done)) / 2


def exponential(step: int, rate: float, steps: int = 1) -> float:
    """rate^(step / steps): a factor ``rate`` every ``steps`` steps, without jumps in between."""
    _check("exponential", "steps", steps, 1)
    if not rate > 0:
        raise ValueError(f"exponential: the rate is {rate}, not above 0")
    return rate ** (step / steps)


def _check(function: str, name: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{function}: {name} is {value}, below {least}")
