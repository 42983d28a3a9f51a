"""The dense layer as one operation, and with a rectifier.

In a small network, what an operation takes to be written down and walked back through is as long
as what it computes: to add the bias to the product where it lies, and to rectify it there, saves
two of the three.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from autograd.backend import xp
from autograd.backend.maxima import at_least
from autograd.backend.products import as_rows, product
from autograd.core import defvjp, defvjp_argnums
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
    return _layer(x, weight, bias, lambda sums: None)


def _layer(x: Any, weight: Any, bias: Any, activate: Callable[[Any], object]) -> Any:
    """Both layers. ``activate`` changes a part of the sums x W + b in place."""
    if x.ndim == 0 or weight.shape != (x.shape[-1], bias.size) or bias.ndim != 1:
        raise ValueError(
            f"input {tuple(x.shape)}, weight {tuple(weight.shape)}, bias {tuple(bias.shape)}; "
            "expected (..., C), (C, D) and (D,)"
        )

    def finish(part: Any, columns: slice) -> None:
        part += bias[columns]
        activate(part)

    if xp.result_type(x, weight, bias) == xp.result_type(x, weight):
        y = product(as_rows(x), weight, finish)
    else:  # a bias of more digits than the product has
        y = product(as_rows(x), weight) + bias
        activate(y)
    return y.reshape((*x.shape[:-1], len(bias)))


defvjp(
    dense,
    lambda _, x, weight, bias: lambda g: matmul(g, weight.T),
    lambda _, x, weight, bias: lambda g: matmul(as_rows(x).T, as_rows(g)),
    lambda _, x, weight, bias: lambda g: g,  # the engine sums over the rows
)


def _rectified_samples(d: Draw) -> Call:
    """Of both signs, none near 0: no product here is as large as the bias."""
    inputs, outputs = d.integer(0, 3), d.integer(0, 3)
    x = d.array((*d.shape(max_ndim=2), inputs), -1.0, 1.0)
    bias = d.array((outputs,), 4.0, 5.0) * numpy.resize([1.0, -1.0], outputs)
    return call(x, d.array((inputs, outputs), -1.0, 1.0), bias)


@operation(
    r"Y = \max(X W + b, 0)",
    _rectified_samples,
    [call(_X, _W.T, _B), call(_X, _W, numpy.zeros(1))],
)
def dense_relu(x: Any, weight: Any, bias: Any) -> Any:
    """A hidden layer, ``relu(dense(x, weight, bias))``: (..., C), (C, D), (D,) -> (..., D)."""
    return _layer(x, weight, bias, lambda sums: at_least(0, sums, out=sums))


def _rectified_rule(argnums: Any, y: Any, args: tuple, kwargs: dict) -> Any:
    """That of the dense layer, for what the rectifier let through."""
    x, weight, _ = args
    rules = {
        0: lambda g: matmul(g, weight.T),
        1: lambda g: matmul(as_rows(x).T, as_rows(g)),
        2: lambda g: g,
    }
    wanted = [rules[i] for i in argnums]

    def vjp(g: Any) -> list[Any]:
        g = g * (y > 0)
        return [rule(g) for rule in wanted]

    return vjp


defvjp_argnums(dense_relu, _rectified_rule)
