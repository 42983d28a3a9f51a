"""Linear algebra: ``numpy.linalg``, differentiable."""

from autograd.numpy.reductions import norm

__all__ = ["norm"]
