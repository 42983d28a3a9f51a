"""The normal distribution N(mean, cov) of vectors: ``scipy.stats.multivariate_normal``.

``x`` holds vectors (..., n). ``cov`` is a matrix (n, n), of which the lower triangle is read, or
the variances (n,) of independent components, or one variance for all.
"""

from __future__ import annotations

import math
from typing import Any

from autograd import numpy as np
from autograd.numpy.linalg import cholesky, solve_triangular


def logpdf(x: Any, mean: Any = None, cov: Any = 1.0, allow_singular: bool = False) -> Any:
    """−½ (x − µ)ᵀ Σ⁻¹ (x − µ) − ½ log |2πΣ|: the logarithm of the density, in nats, (...).

    By a Cholesky factor, without an inverse. Raises LinAlgError if Σ is not positive definite, and
    ValueError if ``allow_singular``, of SciPy's signature, is true.
    """
    if allow_singular:
        raise ValueError("multivariate_normal: a singular covariance has no density here")
    centred = x if mean is None else x - mean
    n = centred.shape[-1]
    root = cholesky(_matrix(cov, n, centred.dtype))
    rows = np.reshape(centred, (-1, n))
    z = solve_triangular(root, rows.T, lower=True)  # (n, rows)
    squares = np.reshape(np.sum(z * z, axis=0), centred.shape[:-1])
    return -0.5 * squares - _log_det(root) - 0.5 * n * math.log(2 * math.pi)


def pdf(x: Any, mean: Any = None, cov: Any = 1.0, allow_singular: bool = False) -> Any:
    """The density: (...)."""
    return np.exp(logpdf(x, mean, cov, allow_singular))


def entropy(mean: Any = None, cov: Any = 1.0) -> Any:
    """½ log |2πeΣ|: the entropy, in nats. Only the length of ``mean`` matters."""
    n = np.shape(cov)[0] if np.ndim(cov) else 1 if mean is None else np.size(mean)
    root = cholesky(_matrix(cov, n, getattr(cov, "dtype", None)))
    return _log_det(root) + 0.5 * n * math.log(2 * math.pi * math.e)


def _matrix(cov: Any, n: int, dtype: Any) -> Any:
    return cov if np.ndim(cov) == 2 else np.eye(n, dtype=dtype) * cov


def _log_det(root: Any) -> Any:
    """½ log |Σ|, for Σ = R Rᵀ with triangular R."""
    return np.sum(np.log(np.diagonal(root)))
