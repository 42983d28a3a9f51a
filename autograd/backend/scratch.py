"""What a kernel works in: memory, and views of it, that a thread keeps from one call to the next.

A kernel that takes some images at a time needs memory for them, and a dozen views of that. To make
these takes up to 100 µs, the twentieth part of a large convolution; and as it is Python's work,
other cores wait for Python's lock meanwhile, and sleep. So views are made once for each kind of
work. Their memory is the same for all of them, as a thread does one work after another: it stays
in the cache of the thread's core.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import numpy

from autograd import backend
from autograd.backend import Array, xp

ROOM = 2**23  # bytes that a thread keeps; work that needs more gets memory of its own
KINDS = 256  # of work that a thread keeps views for

Empty = Callable[[tuple[int, ...], Any], Array]
"""Gives memory of that shape and dtype."""


class Scratch(Protocol):
    """Memory to work in."""

    def begin(self) -> None:
        """Make ready what must be so before the work, such as zeros at the sides."""


S = TypeVar("S", bound=Scratch)


def kept(make: Callable[..., S], *about: Any) -> Callable[[int], S]:
    """``make(empty, *about, count)`` as a function of ``count``; what was made before, if it was.

    ``empty`` is where its memory is from; what it is ``about`` must be hashable. It has begun, and
    is to be used until this thread asks for another: that may be in the same memory.
    """
    if backend.current() != "numpy":
        return lambda count: _begun(make(xp.empty, *about, count))
    return lambda count: _begun(_own.of((make, *about, count)))


def _begun(scratch: S) -> S:
    scratch.begin()
    return scratch


class _Own(threading.local):
    """The memory of a thread, and what was made of it."""

    def __init__(self) -> None:
        self.memory = numpy.empty(ROOM, numpy.uint8)
        self.made: dict[tuple, Any] = {}

    def of(self, kind: tuple) -> Any:
        if kind not in self.made:
            make, *about = kind
            cut = _Cut(self.memory)
            made = make(cut, *about)
            if cut.used > ROOM:
                return made
            if len(self.made) == KINDS:
                self.made.clear()
            self.made[kind] = made
        return self.made[kind]


class _Cut:
    """Arrays cut from a piece of memory, one after another."""

    def __init__(self, memory: numpy.ndarray) -> None:
        self.memory, self.used = memory, 0

    def __call__(self, shape: tuple[int, ...], dtype: Any) -> numpy.ndarray:
        size = math.prod(shape) * numpy.dtype(dtype).itemsize
        start, self.used = self.used, self.used + size + -size % 64  # whole lines of the cache
        if self.used > ROOM:
            return numpy.empty(shape, dtype)
        return self.memory[start : start + size].view(dtype).reshape(shape)


_own = _Own()
