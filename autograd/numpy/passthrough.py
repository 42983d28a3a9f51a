"""What is not differentiated: the current backend's own functions, by their names.

A module of functions ends in ``__getattr__ = module_getattr(…)`` and then offers, besides its own,
whatever the backend's module of that name has.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Container
from typing import Any

from autograd.backend import xp
from autograd.core import Tensor

# Their results are indices, truth values, shapes, or new arrays that only look like their argument.
CONSTANT = frozenset(
    "all any argmax argmin argpartition argsort argwhere array_equal array_equiv allclose bincount "
    "count_nonzero digitize empty_like equal flatnonzero full_like greater greater_equal isclose "
    "iscomplex iscomplexobj isfinite isinf isnan isneginf isposinf isreal isrealobj isscalar less "
    "less_equal lexsort logical_and logical_not logical_or logical_xor ndim nonzero not_equal "
    "ones_like result_type searchsorted shape signbit size unique zeros_like".split()
)


def module_getattr(
    get_module: Callable[[], Any], constant: Container[str] = ()
) -> Callable[[str], Any]:
    """A module's ``__getattr__``: the functions of ``get_module()``, the current backend's module.

    They accept Tensors if their names are in ``constant``, since their results have no gradient;
    the others refuse them, since the gradient would be lost.
    """

    @functools.cache
    def undifferentiated(name: str) -> Any:
        def function(*args: Any, **kwargs: Any) -> Any:
            if name in constant:
                args = tuple(map(value_of, args))
                kwargs = {key: value_of(value) for key, value in kwargs.items()}
            elif any(map(_holds_tensor, (*args, *kwargs.values()))):
                raise TypeError(
                    f"{name}: this function has no gradient here, and an argument is a Tensor; "
                    "detach() it if it counts as a constant"
                )
            return getattr(get_module(), name)(*args, **kwargs)

        function.__name__ = function.__qualname__ = name
        function.__doc__ = f"``{name}`` of the current backend, undifferentiated."
        return function

    def __getattr__(name: str) -> Any:  # noqa: N807 (it becomes a module's)
        if name.startswith("__") and name != "__version__":
            raise AttributeError(name)
        value = getattr(get_module(), name)
        if isinstance(value, type) or not callable(value):
            return value
        return undifferentiated(name)

    return __getattr__


def value_of(x: Any) -> Any:
    """The plain array of a Tensor; anything else as it is."""
    return x.data if isinstance(x, Tensor) else x


def _holds_tensor(x: Any) -> bool:
    if isinstance(x, tuple | list):
        return any(map(_holds_tensor, x))
    return isinstance(x, Tensor)


__getattr__ = module_getattr(lambda: xp, CONSTANT)
