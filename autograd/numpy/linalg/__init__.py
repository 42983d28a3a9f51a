"""Linear algebra: ``numpy.linalg``, differentiable, of one matrix or of stacks (..., n, n)."""

from autograd.backend import xp
from autograd.numpy import reductions
from autograd.numpy.linalg.decompositions import (
    cholesky,
    eigh,
    eigvalsh,
    pinv,
    singular_value_norm,
    svd,
)
from autograd.numpy.linalg.systems import (
    det,
    inv,
    matrix_power,
    matrix_transpose,
    slogdet,
    solve,
    solve_triangular,
)
from autograd.numpy.passthrough import module_getattr
from autograd.numpy.shapes import asarray

__all__ = [
    "cholesky",
    "det",
    "eigh",
    "eigvalsh",
    "inv",
    "matrix_power",
    "matrix_transpose",
    "norm",
    "pinv",
    "slogdet",
    "solve",
    "solve_triangular",
    "svd",
]

__getattr__ = module_getattr(lambda: xp.linalg, ["matrix_rank"])


def norm(x, ord=None, axis=None, keepdims=False):
    """:func:`reductions.norm`, and the norms of matrices that :func:`singular_value_norm` gives."""
    x = asarray(x)  # of numbers and Tensors in lists, too
    axes = (0, 1) if axis is None and x.ndim == 2 else axis
    if ord in ("nuc", 2, -2) and isinstance(axes, tuple | list) and len(axes) == 2:
        return singular_value_norm(x, ord, axes, keepdims)
    return reductions.norm(x, ord, axis, keepdims)
