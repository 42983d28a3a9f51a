"""The dense layer, as one operation.

In a small network, what an operation takes to be written down and walked back through is as long
as what it computes: to add the bias to the product where it lies saves one of the two.
"""

from __future__ import annotations

from typing import Any

import numpy

from autograd.backend import xp
from autograd.backend.products import as_rows, product
from autograd.core import defvjp
from autograd.numpy.products import matmul
from autograd.table import Call, Draw, call, operation


def _samples(d: Draw) -> Call:
    inputs, outputs = d.integer(0, 3), d.integer(0, 3)
    x = d.array((*d.shape(max_ndim=2), inputs))
    return call(x, d.array((inputs, outputs)), d.array((outputs,)))


_X, _W, _B = numpy.zeros((2, 3)), numpy.zeros((3, 4)), numpy.zeros(4)


@operation(
    r"Y = X W + b",
    _samples,
    [call(_X, _W.T, _B), call(_X, _W, numpy.zeros(1)), call(_X, _W[0], _B), call(_X[0, 0], _W, _B)],
    analytic=True,
)
def dense(x: Any, weight: Any, bias: Any) -> Any:
    """x W + b over the last axis of x: (..., C), (C, D), (D,) -> (..., D).

    The same as ``matmul(x, weight) + bias``. Raises ValueError for shapes that do not fit.
    """
    if x.ndim == 0 or weight.shape != (x.shape[-1], bias.size) or bias.ndim != 1:
        raise ValueError(
            f"dense: input {tuple(x.shape)}, weight {tuple(weight.shape)}, bias "
            f"{tuple(bias.shape)}; expected (..., C), (C, D) and (D,)"
        )
    y = product(as_rows(x), weight)
    y = xp.add(y, bias, out=y if y.dtype == xp.result_type(y, bias) else None)
    return y.reshape((*x.shape[:-1], len(bias)))


defvjp(
    dense,
    lambda _, x, weight, bias: lambda g: matmul(g, weight.T),
    lambda _, x, weight, bias: lambda g: matmul(as_rows(x).T, as_rows(g)),
    lambda _, x, weight, bias: lambda g: g,  # the engine sums over the rows
)
