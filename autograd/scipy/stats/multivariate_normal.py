"""The normal distribution N(mean, cov) of vectors: ``scipy.stats.multivariate_normal``.

``x`` holds vectors (..., n). ``cov`` is a matrix (n, n), of which the lower triangle is read, or
the variances (n,) of independent components, or one variance for all.
"""

from __future__ import annotations

import math
from typing import Any

import numpy

from autograd import numpy as np
from autograd.numpy.linalg import cholesky, solve_triangular
from autograd.table import Call, Draw, call, composite


def _samples(d: Draw) -> Call:
    n = d.integer(1, 3)
    matrix = 2.0 * numpy.eye(n) + d.array((n, n), -0.3, 0.3)
    cov = d.choice([matrix, d.array((n,), 0.5, 2.0), d.array((), 0.5, 2.0)])
    return call(d.array((*d.shape(max_ndim=2), n)), d.array((n,)), cov)


_WRONG = [
    call(numpy.zeros((2, 3)), numpy.zeros(4)),
    call(numpy.zeros(3), numpy.zeros(3), numpy.eye(2)),
]


@composite(
    r"y = -\tfrac12 (x - \mu)^\top \Sigma^{-1} (x - \mu) - \tfrac12 \log |2 \pi \Sigma|",
    _samples,
    _WRONG,
)
def logpdf(x, mean=None, cov=1.0):
    """The logarithm of the density, in nats: (...). By a Cholesky factor, without an inverse.

    Raises LinAlgError if a matrix ``cov`` is not positive definite.
    """
    centred = x if mean is None else x - mean
    n = centred.shape[-1]
    root = cholesky(_matrix(cov, n, centred.dtype))
    rows = np.reshape(centred, (-1, n))
    z = solve_triangular(root, rows.T, lower=True)  # (n, rows)
    squares = np.reshape(np.sum(z * z, axis=0), centred.shape[:-1])
    return -0.5 * squares - _log_det(root) - 0.5 * n * math.log(2 * math.pi)


def _matrix(cov: Any, n: int, dtype: Any) -> Any:
    return cov if np.ndim(cov) == 2 else np.eye(n, dtype=dtype) * cov


def _log_det(root: Any) -> Any:
    return np.sum(np.log(np.diagonal(root)))


@composite(r"y = \exp(\log p)", _samples, _WRONG)
def pdf(x, mean=None, cov=1.0):
    """The density: (...)."""
    return np.exp(logpdf(x, mean, cov))


def _entropy_samples(d: Draw) -> Call:
    (_, mean, cov), _ = _samples(d)
    return call(mean, cov)


@composite(
    r"y = \tfrac12 \log |2 \pi e \Sigma|", _entropy_samples, [call(None, numpy.ones((2, 3)))]
)
def entropy(mean=None, cov=1.0):
    """The entropy, in nats. Of ``mean`` only the length matters, and only if ``cov`` has none."""
    n = np.shape(cov)[0] if np.ndim(cov) else 1 if mean is None else np.size(mean)
    root = cholesky(_matrix(cov, n, getattr(cov, "dtype", None)))
    return _log_det(root) + 0.5 * n * math.log(2 * math.pi * math.e)
