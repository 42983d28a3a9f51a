"""Densities, differentiable in their parameters too, under the names of ``scipy.stats``."""

from autograd.scipy.stats import multivariate_normal, norm, t

__all__ = ["multivariate_normal", "norm", "t"]
