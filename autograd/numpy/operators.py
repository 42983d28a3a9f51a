"""Gives :class:`autograd.core.Tensor` NumPy's operators and methods."""

from __future__ import annotations

import operator
from typing import Any

from autograd.core import Tensor
from autograd.numpy import elementwise as e
from autograd.numpy import indexing, passthrough, products, reductions, shapes
from autograd.numpy.passthrough import value_of


def _reflected(function: Any) -> Any:
    return lambda self, other: function(other, self)


for _name, _function in {
    "add": e.add,
    "sub": e.subtract,
    "mul": e.multiply,
    "truediv": e.divide,
    "floordiv": e.floor_divide,
    "mod": e.mod,
    "pow": e.power,
    "matmul": products.matmul,
}.items():
    setattr(Tensor, f"__{_name}__", _function)
    setattr(Tensor, f"__r{_name}__", _reflected(_function))


def _comparison(function: Any) -> Any:
    return lambda self, other: function(self.data, value_of(other))


for _name in ["lt", "le", "gt", "ge", "eq", "ne"]:
    setattr(Tensor, f"__{_name}__", _comparison(getattr(operator, _name)))


def _iterate(self: Tensor) -> Any:
    if self.ndim == 0:
        raise TypeError("iteration over a Tensor without axes")
    return (self[i] for i in range(len(self)))


def _reshape(self: Tensor, *shape: Any) -> Any:
    return shapes.reshape(self, shape[0] if len(shape) == 1 else shape)


def _transpose(self: Tensor, *axes: Any) -> Any:
    return shapes.transpose(self, axes[0] if len(axes) == 1 else axes or None)


_METHODS = {
    "__neg__": e.negative,
    "__pos__": lambda self: self,
    "__abs__": e.absolute,
    "__getitem__": indexing.getitem,
    "__iter__": _iterate,
    "reshape": _reshape,
    "transpose": _transpose,
    "T": property(shapes.transpose),
    "flatten": shapes.ravel,
    "copy": lambda self: self + 0.0,
    "sort": indexing.sort,
    "take": indexing.take,
    "dot": products.dot,
    **{name: getattr(e, name) for name in "astype clip round".split()},
    **{name: getattr(reductions, name) for name in "cumsum max mean min prod std sum var".split()},
    **{name: getattr(shapes, name) for name in "diagonal ravel repeat squeeze trace".split()},
    "swapaxes": shapes.swapaxes,
    **{
        name: getattr(passthrough, name)
        for name in "all any argmax argmin argsort nonzero searchsorted".split()
    },
}
for _name, _method in _METHODS.items():
    setattr(Tensor, _name, _method)
