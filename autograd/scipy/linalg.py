"""``scipy.linalg``: what is differentiable of it, and the current backend's own functions."""

from autograd import backend
from autograd.numpy.linalg import solve_triangular
from autograd.numpy.passthrough import module_getattr

__all__ = ["solve_triangular"]

__getattr__ = module_getattr(backend.linalg)
