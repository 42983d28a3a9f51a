"""Reverse-mode automatic differentiation on NumPy and CuPy, of any order.

import autograd.numpy as np
from autograd import Tensor, grad

x = Tensor([1.0, 2.0])
np.sum(np.tanh(x)).backward()   # x.grad
grad(np.tanh)(0.5)              # derivatives of functions
"""

from autograd import backend
from autograd import numpy as numpy  # gives Tensor its operators
from autograd.core import Tensor, constant, no_grad
from autograd.functional import (
    checkpoint,
    egrad,
    elementwise_grad,
    grad,
    grad_and_aux,
    grad_named,
    hessian,
    hessian_tensor_product,
    hessian_vector_product,
    jacobian,
    make_hvp,
    make_jvp,
    make_jvp_reversemode,
    make_vjp,
    tensor_jacobian_product,
    value_and_grad,
    vector_jacobian_product,
)
from autograd.replay import recorded

__all__ = [
    "Tensor",
    "backend",
    "checkpoint",
    "constant",
    "egrad",
    "elementwise_grad",
    "grad",
    "grad_and_aux",
    "grad_named",
    "hessian",
    "hessian_tensor_product",
    "hessian_vector_product",
    "jacobian",
    "make_hvp",
    "make_jvp",
    "make_jvp_reversemode",
    "make_vjp",
    "no_grad",
    "recorded",
    "tensor_jacobian_product",
    "value_and_grad",
    "vector_jacobian_product",
]
