"""The normal distribution N(loc, scale²) of numbers: ``scipy.stats.norm``, differentiable."""

from __future__ import annotations

import math
from typing import Any

import numpy

from autograd import numpy as np
from autograd.scipy.special import log_ndtr, ndtr
from autograd.table import Call, Draw, call, composite


def _samples(d: Draw) -> Call:
    x, loc, scale = d.broadcastable(3)
    return call(d.array(x), d.array(loc), d.array(scale, 0.5, 2.0))


_WRONG = [call(numpy.zeros((2, 3)), numpy.zeros(4))]


def _log(scale: Any) -> Any:
    return math.log(scale) if isinstance(scale, int | float) else np.log(scale)


@composite(r"y = e^{-z^2 / 2} / \sigma \sqrt{2 \pi}, \ z = (x - \mu) / \sigma", _samples, _WRONG)
def pdf(x, loc=0.0, scale=1.0):
    """The density."""
    return np.exp(logpdf(x, loc, scale))


@composite(r"y = -z^2 / 2 - \log \sigma \sqrt{2 \pi}", _samples, _WRONG)
def logpdf(x, loc=0.0, scale=1.0):
    """The logarithm of the density, in nats."""
    z = (x - loc) / scale
    return -0.5 * z * z - _log(scale) - 0.5 * math.log(2 * math.pi)


@composite(r"y = \Phi(z)", _samples, _WRONG)
def cdf(x, loc=0.0, scale=1.0):
    """The probability of a value up to ``x``."""
    return ndtr((x - loc) / scale)


@composite(r"y = \log \Phi(z)", _samples, _WRONG)
def logcdf(x, loc=0.0, scale=1.0):
    """Its logarithm, exact far to the left too, where the probability itself underflows."""
    return log_ndtr((x - loc) / scale)


@composite(r"y = 1 - \Phi(z)", _samples, _WRONG)
def sf(x, loc=0.0, scale=1.0):
    """The probability of a value above ``x``."""
    return ndtr((loc - x) / scale)


@composite(r"y = \log(1 - \Phi(z))", _samples, _WRONG)
def logsf(x, loc=0.0, scale=1.0):
    """Its logarithm, exact far to the right too."""
    return log_ndtr((loc - x) / scale)
