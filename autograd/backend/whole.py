"""Functions that a recorded step keeps as a whole: see :mod:`autograd.replay`."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


class _State(threading.local):
    recorder: Any = None  # of the step that this thread records


state = _State()


def whole(function: F) -> F:
    """Have ``function`` written down as one call, and not as what it does to its arrays.

    For functions of plain arrays that work in parts, on several cores, or in memory of their own,
    for checks that read values, and for what changes in a step: weights, running averages. What
    they read is what they are given, so they are no closures; of that they change no array but one
    that stays where it is from step to step, and then they return nothing. (Primitives are kept as
    a whole without being told.)
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if state.recorder is None:
            return function(*args, **kwargs)
        return state.recorder.whole(function, args, kwargs)

    return call  # type: ignore[return-value]


@whole
def seen(x: Any) -> Any:
    """``x`` itself, an array that stays where it is, and whose values change from step to step.

    What a step does to it with NumPy's functions is then written down as well; of a plain array
    only what primitives do is, as nobody else is asked.
    """
    return x
