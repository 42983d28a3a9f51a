"""Recorded steps: what a step does to its arrays, without what it takes to find out.

In a small model a step of training takes as long to be written down as a graph, and to be walked
back through, as to be computed. Yet each step does the same as the one before. So

    step = recorded(step)

writes down which functions are called on which arrays (:mod:`autograd.traced`), gradients and the
optimiser's step included, and from then on just calls them: a straight line of code, which can be
read, ``print(step.source)``. There are no Tensors in it and no graph. Results of elementwise
functions are written to buffers that are planned once: when the last call that reads one is done,
another result goes there, and what is a view of one is made once. The numbers are the same, bit for
bit.

What a step may be: a function of arrays and generators of random numbers, besides what is the same
in every call, and of parameters, which stay where they are in memory. It must not decide anything
by a value, nor keep an array that it has made. None of this is taken on trust:

* a step that reads a value or keeps an array is found out as it is recorded;
* it is recorded twice, once more in its third call, and now and then after that, and all recordings
  must agree: else it depends on something that changes;
* what it changes by itself, and not by a call that is written down, is seen to have changed;
* arguments of other shapes, or other numbers among them, make recordings of their own;
* a replay looks whether parameters are where they were, and whether their gradients are used up.

What cannot be found out: what a step prints, counts or keeps in attributes that are no arrays is
done when it is recorded, and then no more.

To record a step is also to take it. So one that cannot be replayed has been taken, too; a warning
says why (:class:`NotReplayed`), and from then on the step is what it was. The idea is that of JAX's
``jit`` (Frostig, Johnson and Leary 2018, "Compiling machine learning programs via high-level
tracing"), but nothing is compiled: NumPy does the work.
"""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any

import numpy

from autograd import backend, core
from autograd.backend.whole import state
from autograd.core import Tensor, constant
from autograd.program import Program
from autograd.recording import Recording, difference, record
from autograd.structures import flatten

AGAIN = (3, *(4**k for k in range(2, 32)))
"""Calls that are recorded once more, besides the first two."""

MANY = 8
"""Recordings of one step, by its arguments: more are a sign that one of them is always another."""


class NotReplayed(UserWarning):
    """Why a step is taken as it is, each time."""


def recorded(step: Callable[..., Any]) -> Recorded:
    """``step``, to be recorded in its first calls and then replayed; usable as a decorator.

    Its arguments are arrays, generators, numbers, strings and Tensors, nested in tuples, lists and
    dicts, by position. It returns what ``step`` returns, with plain arrays in the place of Tensors.
    On other backends than NumPy, and for a step that cannot be replayed, it is just called.
    """
    return Recorded(step)


class Recorded:
    """A step as a function that takes it, records it, and then replays it."""

    def __init__(self, step: Callable[..., Any]) -> None:
        functools.update_wrapper(self, step)
        self.step = step
        self.refusal: str | None = None
        """Why it is not replayed; None if it is, or if that is not known yet."""
        self._known: list[tuple[Any, Recording | Program]] = []  # by signature
        self._lock = threading.Lock()

    def __call__(self, *args: Any) -> Any:
        observed = core.hooks or not core.is_recording() or state.recorder is not None
        if self.refusal is not None or observed or backend.current() != "numpy":
            return _detached(self.step(*args))
        try:
            signature = _signature(args)
        except TypeError as error:
            self._refuse(str(error))
            return _detached(self.step(*args))
        if not self._lock.acquire(blocking=False):  # another thread has its buffers
            return _detached(self.step(*args))
        try:
            return self._taken(signature, args)
        finally:
            self._lock.release()

    def _taken(self, signature: Any, args: tuple) -> Any:
        found = next((known for other, known in self._known if other == signature), None)
        if not isinstance(found, Program):
            return self._record(signature, found, args)
        found.calls += 1
        if found.gradients_left():
            return _detached(self.step(*args))  # which adds to them
        if not found.fits():
            return self._record(signature, None, args)
        if found.calls in AGAIN:
            return self._compared(found, args)
        return found(args)

    @property
    def source(self) -> str:
        """The code that is replayed, of the latest signature that there is some for.

        Raises RuntimeError if there is none, saying why.
        """
        sources = [found.source for _, found in self._known if isinstance(found, Program)]
        if not sources:
            raise RuntimeError(self.refusal or "the step was not recorded yet: call it twice")
        return sources[-1]

    def _record(self, signature: Any, before: Recording | None, args: tuple) -> Any:
        recording, result = record(self.step, args, before)
        refusal = recording.refusal
        if before is not None and refusal is None:
            refusal = difference(before, recording)
        self._known = [(other, known) for other, known in self._known if other != signature]
        if len(self._known) == MANY:
            refusal = f"it was called with {MANY + 1} different sets of shapes and numbers"
        if refusal is None:
            self._known.append((signature, Program(recording) if before else recording))
        else:
            self._refuse(refusal)
        return result

    def _compared(self, program: Program, args: tuple) -> Any:
        """The step once more, recorded, to see whether it is still what is replayed."""
        recording, result = record(self.step, args, program.recording)
        refusal = recording.refusal or difference(program.recording, recording)
        if refusal is not None:
            self._refuse(f"{refusal} (seen in call {program.calls})")
        return result

    def _refuse(self, reason: str) -> None:
        self.refusal = reason
        self._known.clear()
        warnings.warn(f"the step is not replayed: {reason}", NotReplayed, stacklevel=5)


def _detached(result: Any) -> Any:
    leaves, rebuild = flatten(result)
    return rebuild([constant(x) for x in leaves])


def _signature(x: Any) -> Any:
    """What two calls must have in common for one recording. Raises TypeError for what may change.

    Numbers are compared as they are written, or 1 were True, and 0.0 were −0.0.
    """
    if isinstance(x, numpy.ndarray):
        return numpy.ndarray, x.shape, x.strides, x.dtype
    if isinstance(x, numpy.random.Generator):
        return numpy.random.Generator
    if isinstance(x, tuple | list):
        return type(x), [_signature(item) for item in x]
    if isinstance(x, dict):
        return dict, [(key, _signature(value)) for key, value in x.items()]
    if isinstance(x, Tensor | type):
        return type(x), id(x)
    if x is None or isinstance(
        x, str | bytes | int | float | complex | numpy.generic | numpy.dtype
    ):
        return type(x), repr(x)
    raise TypeError(f"an argument is of type {type(x).__name__}, which may change inside")
