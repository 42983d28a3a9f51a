"""Changes in place: none may go unnoticed that a later backward pass would suffer from.

Operations and changes draw their numbers from one counter. A rule that captured an array when it
got number n is wrong if that array's memory was changed at a number above n. So recording an
operation costs nothing extra, and the backward pass looks closer only if anything was changed
after the operation at hand.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterable
from typing import Any

from autograd.backend import Array, is_array

next_number = itertools.count(1).__next__
last: int = 0  # the number of the latest change
_changes: dict[int, tuple[int, Any]] = {}  # owner of the memory -> (when it was changed, weak link)


def note(array: Array) -> None:
    """Say that ``array`` was changed in place. Whoever writes into a Tensor's data calls this."""
    global last
    owner = owner_of(array)
    key = id(owner)
    last = next_number()
    _changes[key] = last, weakref.ref(owner, lambda _: _changes.pop(key, None))


def check(number: float, captured: Iterable[Any]) -> None:
    """Raise RuntimeError if one of the captured arrays was changed after ``number``."""
    for value in captured:
        array = value if is_array(value) else value.data
        when, _ = _changes.get(id(owner_of(array)), (0, None))
        if when > number:
            raise RuntimeError(
                f"an array of shape {array.shape} that this gradient needs was changed in place "
                "after the forward pass; change it later, or use a copy"
            )


def owner_of(array: Array) -> Any:
    """The array whose memory this one is a view of, through whatever stands in between."""
    owner = base = array
    while (base := getattr(base, "base", None)) is not None:
        if is_array(base):
            owner = base
    return owner
