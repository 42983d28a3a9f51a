"""Where the values of a replay are: which of them have memory that stays, and which share it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy

from autograd.core import give_gradient
from autograd.numpy.products import matmul, matmul_to
from autograd.recording import Recording
from autograd.structures import flatten
from autograd.traced import Call, Result, Variable, written

GIVE = give_gradient.__wrapped__  # type: ignore[attr-defined]
_MATMUL = matmul.__wrapped__  # type: ignore[attr-defined]

_VIEWS = (
    "broadcast_to expand_dims getitem moveaxis ravel reshape seen squeeze swapaxes transpose"
).split()


class Memory:
    """Where values are: which of them stay in place from one replay to the next, and in what.

    A function of NumPy's that works on each element writes into a buffer, and so does a product of
    matrices. When the last call that reads a buffer, or a view of it, has been made, the next
    result of as many bytes goes there. What is only made to be copied to where a gradient is kept
    is written there at once.
    """

    def __init__(self, recording: Recording) -> None:
        self.arrays: dict[Variable, numpy.ndarray] = {}  # of those that stay in place
        self.in_place: set[int] = set()  # calls that write into their array
        self.made: set[int] = set()  # calls that are left out: views of what stays, needless copies
        self.bytes = 0
        self.last_use: dict[Variable, int] = {}
        self._owner: dict[Variable, int] = {}
        self._buffers: dict[int, numpy.ndarray] = {}  # by owner
        self._free: dict[int, list[numpy.ndarray]] = {}  # by size
        self._plan(recording)

    def _plan(self, recording: Recording) -> None:
        ends = self._last_uses(recording)
        gradients = {self._owner.get(c.args[1]) for c in recording.calls if _gives_gradient(c)}
        homes = self._homes(recording)
        self.staying = staying = set(recording.staying)
        for i, call in enumerate(recording.calls):
            result = call.results[0] if call.gives == "one" and not call.lists else None
            if result is not None and result.owner in staying and self._is_made_once(call):
                args, kwargs = map(self._resolved, (call.args, call.kwargs))
                self.arrays[result.variable] = call.function(*args, **kwargs)
                self.made.add(i)
            elif result is None or result.owner in gradients:  # a gradient is its leaf's
                pass
            elif i in homes:
                copy, self.arrays[result.variable] = homes[i]
                self.in_place.add(i)
                self.made.add(copy)
            elif result.is_new and writing(call.function):
                self.arrays[result.variable] = self._array(result)
                self.in_place.add(i)
                staying.add(result.owner)
            for owner in ends.get(i, ()):
                if owner in self._buffers:
                    buffer = self._buffers.pop(owner)
                    self._free.setdefault(buffer.nbytes, []).append(buffer)

    def _last_uses(self, recording: Recording) -> dict[int, list[int]]:
        """Of each call, the owners of memory that no later one reads."""
        last_of_owner: dict[int, int] = {}
        for i, call in enumerate(recording.calls):
            self._owner |= {x.variable: x.owner for x in call.made()}
            variables = [x for x in _leaves([call.args, call.kwargs]) if isinstance(x, Variable)]
            for variable in [*variables, *(x.variable for x in call.made())]:
                self.last_use[variable] = i
                last_of_owner[self._owner.get(variable, -1)] = i
        kept = [*recording.inputs]
        kept += [x.variable for x in recording.outputs if isinstance(x, Result)]
        kept += [c.args[1] for c in recording.calls if _gives_gradient(c)]
        for variable in kept:
            self.last_use.pop(variable, None)
            last_of_owner.pop(self._owner.get(variable, -1), None)
        ends: dict[int, list[int]] = {}
        for owner, i in last_of_owner.items():
            ends.setdefault(i, []).append(owner)
        return ends

    def _homes(self, recording: Recording) -> dict[int, tuple[int, numpy.ndarray]]:
        """Of calls whose results are only copied: (the call that copies, where to).

        Where to is a constant array that nothing but copies has been given until then. Between the
        two nothing else is copied there, nor could a function that returns nothing have read it.
        """
        homes: dict[int, tuple[int, numpy.ndarray]] = {}
        uses = self._uses(recording)
        ends = {self._owner.get(x.variable) for x in recording.outputs if isinstance(x, Result)}
        given: list[numpy.ndarray] = []
        for i, call in enumerate(recording.calls):
            if call.function is not numpy.copyto or not _is_copy_to_constant(call):
                given += [x for x in _leaves([call.args, call.kwargs]) if _is_array(x)]
                continue
            home, source = call.args
            owner = self._owner.get(source, -1)
            first, *others = uses.get(owner, [-1])
            between = recording.calls[first + 1 : i]
            if (
                others == [i]
                and owner not in ends
                and _makes_as(recording.calls[first], home)
                and not any(map(_reads_unseen, between))
                and not any(
                    numpy.may_share_memory(home, x)
                    for x in [*given, *(x for c in between for x in written(c))]
                )
            ):
                homes[first] = i, home
        return homes

    def _uses(self, recording: Recording) -> dict[int, list[int]]:
        """By owner of memory: the calls that make it, and views of it, and those that read it."""
        uses: dict[int, list[int]] = {}
        for i, call in enumerate(recording.calls):
            read = (x for x in _leaves([call.args, call.kwargs]) if isinstance(x, Variable))
            for owner in {x.owner for x in call.made()} | {self._owner.get(x, -1) for x in read}:
                uses.setdefault(owner, []).append(i)
        return uses

    def _array(self, result: Result) -> numpy.ndarray:
        size = math.prod(result.shape) * result.dtype.itemsize
        free = self._free.get(size)
        buffer = free.pop() if free else self._new(size)
        self._buffers[result.owner] = buffer
        return buffer.view(result.dtype).reshape(result.shape)

    def _new(self, size: int) -> numpy.ndarray:
        self.bytes += size
        return numpy.empty(size, numpy.uint8)

    def _is_made_once(self, call: Call) -> bool:
        """Whether it makes a view of what stays in place, and so the same every time."""
        given = _leaves([call.args, call.kwargs])
        stays = all(x in self.arrays for x in given if isinstance(x, Variable))
        return stays and getattr(call.function, "__name__", "") in _VIEWS

    def _resolved(self, x: Any) -> Any:
        leaves, rebuild = flatten(x)
        return rebuild([self.arrays[i] if isinstance(i, Variable) else i for i in leaves])


def direct(function: Callable[..., Any]) -> numpy.ufunc | None:
    """The elementwise function of NumPy that ``function`` is, or that it calls; None for others."""
    if getattr(function, "__module__", None) == "autograd.numpy.elementwise":
        function = getattr(numpy, function.__name__, function)
    return function if isinstance(function, numpy.ufunc) and function.nout == 1 else None


def writing(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """The function that does the same and takes ``out``; None if there is none."""
    return matmul_to if function is _MATMUL else direct(function)


def _is_array(x: Any) -> bool:
    return isinstance(x, numpy.ndarray)


def _is_copy_to_constant(call: Call) -> bool:
    """Whether ``copyto`` is given an array that stays, what to copy, and nothing else."""
    if call.kwargs or len(call.args) != 2:
        return False
    return _is_array(call.args[0]) and isinstance(call.args[1], Variable)


def _makes_as(call: Call, home: numpy.ndarray) -> bool:
    """Whether a call can write its result to ``home``."""
    if call.gives != "one" or call.lists or not writing(call.function):
        return False
    made = call.results[0]
    return made.is_new and (made.shape, made.dtype) == (home.shape, home.dtype)


def _reads_unseen(call: Call) -> bool:
    """Whether a call may read what is not among its arguments, as an optimiser's step does."""
    return call.gives == "none" and "out" not in call.kwargs and not written(call)


def _gives_gradient(call: Call) -> bool:
    """Whether it leaves a variable for a gradient."""
    return call.function is GIVE and isinstance(call.args[1], Variable)


def _leaves(x: Any) -> list[Any]:
    return flatten(x)[0]
