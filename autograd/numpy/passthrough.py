"""What ``autograd.numpy`` does not differentiate: the current backend's own functions."""

from __future__ import annotations

import functools
from typing import Any

from autograd.backend import xp
from autograd.core import Tensor

# Their results are indices, truth values, shapes, or new arrays that only look like their argument.
CONSTANT = frozenset(
    [
        "all",
        "any",
        "argmax",
        "argmin",
        "argpartition",
        "argsort",
        "argwhere",
        "array_equal",
        "array_equiv",
        "allclose",
        "bincount",
        "copyto",
        "count_nonzero",
        "digitize",
        "empty_like",
        "equal",
        "flatnonzero",
        "full_like",
        "greater",
        "greater_equal",
        "iscomplex",
        "iscomplexobj",
        "isclose",
        "isfinite",
        "isinf",
        "isnan",
        "isneginf",
        "isposinf",
        "isreal",
        "isrealobj",
        "isscalar",
        "less",
        "less_equal",
        "lexsort",
        "logical_and",
        "logical_not",
        "logical_or",
        "logical_xor",
        "ndim",
        "nonzero",
        "not_equal",
        "ones_like",
        "result_type",
        "searchsorted",
        "shape",
        "signbit",
        "size",
        "unique",
        "zeros_like",
    ]
)


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(name)
    value = getattr(xp, name)
    if isinstance(value, type) or not callable(value):
        return value
    return _undifferentiated(name)


@functools.cache
def _undifferentiated(name: str) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        if name in CONSTANT:
            args = tuple(map(value_of, args))
            kwargs = {key: value_of(value) for key, value in kwargs.items()}
        elif any(map(_holds_tensor, (*args, *kwargs.values()))):
            raise TypeError(
                f"{name}: this function has no gradient here, and an argument is a Tensor; "
                "detach() it if it counts as a constant"
            )
        return getattr(xp, name)(*args, **kwargs)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"``{name}`` of the current backend, undifferentiated."
    return function


def value_of(x: Any) -> Any:
    """The plain array of a Tensor; anything else as it is."""
    return x.data if isinstance(x, Tensor) else x


def _holds_tensor(x: Any) -> bool:
    if isinstance(x, tuple | list):
        return any(map(_holds_tensor, x))
    return isinstance(x, Tensor)
