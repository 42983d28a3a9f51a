"""Functions that a recorded step keeps as a whole: see :mod:`autograd.replay`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class _State:
    recorder: Any = None  # of the step that is being recorded


state = _State()


def whole(function: F) -> F:
    """Have ``function`` written down as one call, and not as what it does to its arrays.

    For functions of plain arrays that work in parts, on several cores, or in memory of their own,
    and for checks that read values. What they read is what they are given, so they are no closures,
    and they do not change it. (Primitives are kept as a whole without being told.)
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if state.recorder is None:
            return function(*args, **kwargs)
        return state.recorder.call(function, args, kwargs)

    return call  # type: ignore[return-value]
