"""Student's t distribution: ``scipy.stats.t``, differentiable."""

from __future__ import annotations

import math

import numpy

from autograd import numpy as np
from autograd.scipy.special import gammaln
from autograd.table import Call, Draw, call, composite


def _samples(d: Draw) -> Call:
    x, df, loc, scale = d.broadcastable(4)
    return call(d.array(x), d.array(df, 1.0, 4.0), d.array(loc), d.array(scale, 0.5, 2.0))


_WRONG = [call(numpy.zeros((2, 3)), numpy.ones(4))]


@composite(
    r"y = \log \tfrac{\Gamma((n + 1) / 2)}{\Gamma(n / 2) \sigma \sqrt{n \pi}}"
    r" - \tfrac{n + 1}{2} \log(1 + z^2 / n), \quad z = (x - \mu) / \sigma",
    _samples,
    _WRONG,
)
def logpdf(x, df, loc=0.0, scale=1.0):
    """The logarithm of the density with ``df`` degrees of freedom, in nats."""
    z = (x - loc) / scale
    df, scale = (np.asarray(value, z.dtype) for value in (df, scale))
    half = 0.5 * (df + 1)
    norm = gammaln(half) - gammaln(0.5 * df) - 0.5 * np.log(math.pi * df) - np.log(scale)
    return norm - half * np.log1p(z * z / df)


def pdf(x, df, loc=0.0, scale=1.0):
    """The density."""
    return np.exp(logpdf(x, df, loc, scale))
