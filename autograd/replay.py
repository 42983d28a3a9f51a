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
import keyword
import math
import operator
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy

from autograd import backend, core
from autograd.backend.whole import state
from autograd.core import Tensor, constant, give_gradient
from autograd.numpy.indexing import getitem
from autograd.structures import flatten
from autograd.traced import (
    Call,
    Method,
    Recorder,
    Result,
    Traced,
    Variable,
    written,
)

AGAIN = (3, *(4**k for k in range(2, 32)))
"""Calls that are recorded once more, besides the first two."""

MANY = 8
"""Recordings of one step, by its arguments: more are a sign that one of them is always another."""


_GIVE = give_gradient.__wrapped__  # type: ignore[attr-defined]


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
            refusal = _difference(before, recording)
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
        refusal = recording.refusal or _difference(program.recording, recording)
        if refusal is not None:
            self._refuse(f"{refusal} (seen in call {program.calls})")
        return result

    def _refuse(self, reason: str) -> None:
        self.refusal = reason
        self._known.clear()
        warnings.warn(f"the step is not replayed: {reason}", NotReplayed, stacklevel=5)


# ------------------------------------------------------------------------------------ recording


@dataclass
class Recording:
    """All calls of a step, and where its values come from and go to."""

    calls: list[Call]
    inputs: list[Variable]  # the arrays and generators among the arguments
    rebuild: Callable[[list[Any]], Any]  # what is returned, from
    outputs: list[Any]  # these: results, or constants
    parameters: list[tuple[Tensor, Any]]  # and where their values are
    staying: set[int]  # owners of memory that is where it is in every replay
    refusal: str | None

    def constants(self) -> list[numpy.ndarray]:
        """Arrays that calls are given, and parameters' values."""
        found = [x for call in self.calls for x in _leaves([call.args, call.kwargs])]
        found += [data for _, data in self.parameters]
        return [x for x in found if isinstance(x, numpy.ndarray)]


def record(
    step: Callable[..., Any], args: tuple, before: Recording | None = None
) -> tuple[Recording, Any]:
    """Take the step, write it down, and return both the recording and what the step returned.

    ``before``: an earlier recording of it, whose constants are watched.
    """
    recorder = Recorder(before.constants() if before else ())
    leaves, rebuild = flatten(list(args))
    traced = [recorder.input(x) for x in leaves]
    state.recorder = recorder
    try:
        with core.hook(recorder):
            result = step(*rebuild(traced))
    finally:
        state.recorder = None
    returned, rebuild_result = flatten(result)
    returned = [constant(x) for x in returned]
    values = rebuild_result([x.plain if isinstance(x, Traced) else x for x in returned])
    recording = Recording(
        recorder.calls,
        [x.variable for x in traced if hasattr(x, "variable")],
        rebuild_result,
        [recorder.result(x) if isinstance(x, Traced) else x for x in returned],
        [(leaf, leaf.data) for leaf in recorder.leaves.values()],
        _staying(recorder, [x for x in leaves if isinstance(x, numpy.ndarray)]),
        None,
    )
    del result, returned, traced
    recorder.end()
    recording.refusal = recorder.refusal
    return recording, values


def _staying(recorder: Recorder, inputs: list[numpy.ndarray]) -> set[int]:
    """The owners of constants, whose memory is where it is in every replay."""
    given = {recorder.owner(x) for x in inputs}
    constants = (x for call in recorder.calls for x in _leaves([call.args, call.kwargs]))
    return {recorder.owner(x) for x in constants if isinstance(x, numpy.ndarray)} - given


def _is_input(x: Any) -> bool:
    return isinstance(x, numpy.ndarray | numpy.random.Generator)


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


def _difference(first: Recording, second: Recording) -> str | None:
    """What shows that two recordings are not of the same calls on the same constants, or None."""
    ids = {id(array) for call in second.calls for array in written(call)}
    for a, b in zip(first.calls, second.calls, strict=False):
        names = [getattr(call.function, "__name__", "a function") for call in (a, b)]
        if a.function != b.function:
            return f"it called {names[0]} the first time, and {names[1]} in its place the second"
        if not _alike([a.args, a.kwargs], [b.args, b.kwargs], ids):
            return (
                f"it gave {names[1]} something else the second time: it depends on what is not "
                "among its arguments"
            )
        if a.made() != b.made():
            return f"{names[1]} gave an array of another shape or kind the second time"
    if len(first.calls) != len(second.calls):
        return f"it made {len(first.calls)} calls the first time, and {len(second.calls)} then"
    if not _alike(first.outputs, second.outputs, ids):
        return "it returned something else the second time, which is not made of its arguments"
    return None


def _alike(a: Any, b: Any, ids: set[int]) -> bool:
    """Whether constants are the same: arrays with these ``ids``, which are written to, as such."""
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(_alike(x, y, ids) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_alike(a[key], b[key], ids) for key in a)
    if a is b:
        return True
    if isinstance(a, numpy.ndarray) or isinstance(b, numpy.ndarray):
        return id(b) not in ids and _same_bits(a, b)
    if isinstance(a, float | complex | numpy.generic):
        return type(a) is type(b) and repr(a) == repr(b)  # −0.0 is another than 0.0
    return type(a) is type(b) and not isinstance(a, Tensor) and a == b


def _same_bits(a: Any, b: Any) -> bool:
    """Whether two values are equal, NaN to NaN, and 0 not to −0."""
    if not isinstance(a, numpy.ndarray | numpy.generic):
        return a is b or a == b
    same = isinstance(b, numpy.ndarray | numpy.generic) and (a.shape, a.dtype) == (b.shape, b.dtype)
    return same and numpy.asarray(a).tobytes() == numpy.asarray(b).tobytes()


def _gives_gradient(call: Call) -> bool:
    """Whether it leaves a variable for a gradient."""
    return call.function is _GIVE and isinstance(call.args[1], Variable)


def _leaves(x: Any) -> list[Any]:
    return flatten(x)[0]


# -------------------------------------------------------------------------------------- program


class Program:
    """A recording as a function in Python's own code, with the memory that it works in."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.calls = 2  # of the step
        self.leaves = [call.args[0] for call in recording.calls if call.function is _GIVE]
        memory = Memory(recording)
        self.bytes = memory.bytes
        self.source, names = _Writer(recording, memory).source()
        exec(compile(self.source, "<recorded step>", "exec"), names)
        self.run: Callable[..., Any] = names["replay"]

    def fits(self) -> bool:
        """Whether all is where it was when the step was recorded."""
        moved = any(leaf.data is not data for leaf, data in self.recording.parameters)
        return not moved and not self.gradients_left()

    def gradients_left(self) -> bool:
        """Whether there are gradients from before the step."""
        return any(leaf.grad is not None for leaf in self.leaves)

    def __call__(self, args: tuple) -> Any:
        with numpy.errstate(all="ignore"):  # as rules do where ∞ and NaN are meant
            return self.recording.rebuild(self.run(*filter(_is_input, _leaves(list(args)))))


_VIEWS = (
    "broadcast_to expand_dims getitem moveaxis ravel reshape seen squeeze swapaxes transpose"
).split()


class Memory:
    """Where values are: which of them stay in place from one replay to the next, and in what.

    A function of NumPy's that works on each element writes into a buffer. When the last call that
    reads a buffer, or a view of it, has been made, the next result of as many bytes goes there.
    """

    def __init__(self, recording: Recording) -> None:
        self.arrays: dict[Variable, numpy.ndarray] = {}  # of those that stay in place
        self.in_place: set[int] = set()  # calls that write into their array
        self.made: set[int] = set()  # calls that have been made: of views of what stays
        self.bytes = 0
        self.last_use: dict[Variable, int] = {}
        self._owner: dict[Variable, int] = {}
        self._buffers: dict[int, numpy.ndarray] = {}  # by owner
        self._free: dict[int, list[numpy.ndarray]] = {}  # by size
        self._plan(recording)

    def _plan(self, recording: Recording) -> None:
        ends = self._last_uses(recording)
        gradients = {self._owner.get(c.args[1]) for c in recording.calls if _gives_gradient(c)}
        self.staying = staying = set(recording.staying)
        for i, call in enumerate(recording.calls):
            result = call.results[0] if call.gives == "one" and not call.lists else None
            if result is not None and result.owner in staying and self._is_made_once(call):
                args, kwargs = map(self._resolved, (call.args, call.kwargs))
                self.arrays[result.variable] = call.function(*args, **kwargs)
                self.made.add(i)
            elif result is None or result.owner in gradients:  # a gradient is its leaf's
                pass
            elif result.is_new and direct(call.function):
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


class _Writer:
    """Writes a recording as Python's code."""

    def __init__(self, recording: Recording, memory: Memory) -> None:
        self.recording, self.memory = recording, memory
        self.names: dict[str, Any] = {"replay": None}  # what the code refers to, but for itself
        self._known: dict[int, str] = {}  # the names of constants, by id

    def source(self) -> tuple[str, dict[str, Any]]:
        """The code of a function ``replay``, and the names that it needs."""
        lines = [
            line for i, call in enumerate(self.recording.calls) for line in self._call(i, call)
        ]
        inputs = ", ".join(self._value(x) for x in self.recording.inputs)
        lines.append(f"return [{', '.join(map(self._returned, self.recording.outputs))}]")
        body = "".join(f"    {line}\n" for line in lines)
        return f"{self._arrays()}def replay({inputs}):\n{body}", self.names

    def _arrays(self) -> str:
        """What the names of arrays stand for, as comments."""
        of_buffers = {self._value(x) for x in self.memory.arrays}
        return "".join(
            f"# {name}: {'buffer' if name in of_buffers else 'constant'} {x.shape} {x.dtype}\n"
            for name, x in self.names.items()
            if isinstance(x, numpy.ndarray)
        )

    def _call(self, i: int, call: Call) -> list[str]:
        if i in self.memory.made:
            return []
        args = [self._value(x) for x in call.args]
        lines = []
        for at in call.lists:
            args[at] = f"list{at}"
            lines.append(f"list{at} = []")
        kwargs = {key: self._value(value) for key, value in call.kwargs.items()}
        if i in self.memory.in_place:
            kwargs["out"] = self._value(call.results[0].variable)
        text = self._expression(call.function, args, kwargs)
        if call.results and i not in self.memory.in_place:
            to = ", ".join(self._value(x.variable) for x in call.results)
            text = f"{to}{',' if call.gives == 'several' else ''} = {text}"
        lines.append(text)
        for at, items in call.lists.items():
            lines.append(f"{self._pattern(items)} = list{at}")
        return lines + self._released(i, call)

    def _pattern(self, x: Any) -> str:
        """What a nested list is assigned to: names for its variables."""
        if isinstance(x, tuple | list):
            return f"({' '.join(self._pattern(item) + ',' for item in x)})"
        return self._value(x.variable) if isinstance(x, Result) else "_"

    def _released(self, i: int, call: Call) -> list[str]:
        """The end of what no later call needs: its memory is free for the next ones."""
        given = [x for x in _leaves([call.args, call.kwargs]) if isinstance(x, Variable)]
        found = dict.fromkeys([*given, *(x.variable for x in call.made())])
        names = [self._value(x) for x in found if self._ends(x, i)]
        names += [f"list{at}" for at in call.lists]
        return [f"del {', '.join(names)}"] if names else []

    def _ends(self, x: Variable, i: int) -> bool:
        return self.memory.last_use.get(x) == i and x not in self.memory.arrays

    def _expression(self, function: Any, args: list[str], kwargs: dict[str, str]) -> str:
        if function is operator.getitem or _is_getitem(function):
            return f"{args[0]}[{_without_parentheses(args[1])}]"
        if function is operator.setitem:
            return f"{args[0]}[{_without_parentheses(args[1])}] = {args[2]}"
        if isinstance(function, Method):
            name = f"{args.pop(0)}.{function.__name__}"
        else:
            name = self._name(direct(function) or function)
        return f"{name}({', '.join([*args, *(f'{key}={x}' for key, x in kwargs.items())])})"

    def _value(self, x: Any) -> str:
        if isinstance(x, Variable):
            if x not in self.memory.arrays:
                return f"x{x.number}"
            return self._constant(self.memory.arrays[x], f"b{x.number}")
        if type(x) is tuple:
            return f"({', '.join(map(self._value, x))}{',' if len(x) == 1 else ''})"
        if type(x) is list:
            return f"[{', '.join(map(self._value, x))}]"
        if x is None or x is ... or type(x) in (bool, int, str) or x is not x:
            return repr(x) if x is not ... else "..."
        if type(x) is float and math.isfinite(x):
            return repr(x)
        if type(x) is slice:
            return f"slice({', '.join(map(self._value, (x.start, x.stop, x.step)))})"
        return self._constant(x, f"c{len(self.names)}")

    def _returned(self, x: Any) -> str:
        """An array for the caller to keep: not one that the next replay writes to."""
        if not isinstance(x, Result):
            text = self._value(x)
            return f"{text}.copy()" if isinstance(x, numpy.ndarray) else text
        text = self._value(x.variable)
        return f"{text}.copy()" if x.owner in self.memory.staying else text

    def _constant(self, x: Any, name: str) -> str:
        if id(x) not in self._known:
            self._known[id(x)] = name
            self.names[name] = x
        return self._known[id(x)]

    def _name(self, function: Any) -> str:
        """The name of a function, with a number after it if it is another one's too."""
        owner = getattr(function, "__self__", None)
        name = getattr(function, "__name__", "function").strip("<>_")
        if isinstance(owner, numpy.ufunc):
            name = f"{owner.__name__}_{name}"
        if keyword.iskeyword(name):
            name += "_"
        for number in range(len(self.names) + 1):
            unique = name + (str(number) if number else "")
            if self.names.setdefault(unique, function) == function:
                return unique
        raise AssertionError("there are more names than functions")


def _without_parentheses(index: str) -> str:
    return index[1:-1] if index.startswith("(") and len(index) > 2 else index


def _is_getitem(function: Any) -> bool:
    return function is getitem.__wrapped__  # type: ignore[attr-defined]
