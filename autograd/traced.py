"""Writing down what a step does to its arrays, call by call, while it does it.

Each array that a step is given, or makes of these, is a :class:`Traced` one, which hands whatever
is done to it to the :class:`Recorder`. That has the call made on the plain arrays, writes it down,
and gives back the result as a traced array again. A primitive is one call, forward as well as in a
gradient rule, and so is a function that is marked :func:`~.whole`; what a rule does with operators
and NumPy's functions is written down as such.

What is no such array is a constant of the recording: parameters, whose values change but not where
they are in memory, numbers, shapes.

A recorder never stands in the way. Where a step does what cannot be replayed, such as to look at a
value and to decide by it, it gets the value, the recorder remembers why, and the step goes on.
"""

from __future__ import annotations

import functools
import operator
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy

from autograd import core
from autograd.backend.whole import state
from autograd.changes import owner_of
from autograd.structures import flatten, like

# ---------------------------------------------------------------------------- what is written down


@dataclass(frozen=True)
class Variable:
    """The place of a value that differs from one replay to the next."""

    number: int


@dataclass(frozen=True)
class Result:
    """What a call gave, as far as a plan of the memory has to know."""

    variable: Variable
    shape: tuple[int, ...]
    dtype: Any
    owner: int  # whose memory it is, by a number of the recording; -1: none, of a number
    is_new: bool  # an array in memory of its own, in order


@dataclass
class Call:
    """One call of a recording. Variables stand in the arguments in place of their values."""

    function: Callable[..., Any]
    args: tuple
    kwargs: dict[str, Any]
    results: list[Result]
    gives: str  # "one" result, "several", or "none"
    lists: dict[int, list[Any]]  # by argument: what the call put into an empty list, nested

    def made(self) -> list[Result]:
        """All results, those in lists too."""
        found = flatten([self.results, list(self.lists.values())])[0]
        return [x for x in found if isinstance(x, Result)]


def written(call: Call) -> list[numpy.ndarray]:
    """Constant arrays that a call changes: parameters' gradients, for one."""
    into = flatten(call.kwargs.get("out"))[0]
    if call.function in (operator.setitem, numpy.copyto) or _is_at(call.function):
        into = [*into, call.args[0]]
    return [x for x in into if isinstance(x, numpy.ndarray)]


def _is_at(function: Any) -> bool:
    """Whether it is the method ``at`` of an elementwise function."""
    return isinstance(getattr(function, "__self__", None), numpy.ufunc) and (
        function.__name__ == "at"
    )


class Method:
    """A method of arrays and of NumPy's scalars, as a function."""

    def __init__(self, name: str) -> None:
        self.__name__ = name

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        return getattr(x, self.__name__)(*args, **kwargs)


@functools.cache
def method(name: str) -> Method:
    """The one of that name: each is the same object every time."""
    return Method(name)


# -------------------------------------------------------------------------------------- arrays


class Traced:
    """An array of a step that is being recorded. Afterwards it is as good as its plain one."""

    __array_namespace_name__ = "numpy"

    def __init__(self, plain: Any, variable: Variable) -> None:
        self.plain, self.variable = plain, variable

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if any(isinstance(x, core.Tensor) for x in inputs):
            return NotImplemented
        return _call(ufunc if method == "__call__" else getattr(ufunc, method), inputs, kwargs)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return _call(function, args, kwargs)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return self._read().__array__(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # such as __array_interface__, a way in behind our back
            raise AttributeError(name)
        value = getattr(self.plain, name)  # shape, dtype, flags, …
        return functools.partial(_call_method, name, self) if callable(value) else value

    def __getitem__(self, index: Any) -> Any:
        return _call(operator.getitem, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        _call(operator.setitem, (self, index, value), {})

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __len__(self) -> int:
        return len(self.plain)

    @property
    def T(self) -> Any:  # noqa: N802 (NumPy's name)
        return _call_method("transpose", self)

    def _read(self) -> Any:
        if state.recorder is not None:
            state.recorder.refuse(
                f"it reads a value of an array {self.shape}, and what it does may depend on it"
            )
        return self.plain

    def item(self) -> Any:
        return self._read().item()

    def tolist(self) -> Any:
        return self._read().tolist()

    def __bool__(self) -> bool:
        return bool(self._read())

    def __int__(self) -> int:
        return int(self._read())

    def __index__(self) -> int:
        return operator.index(self._read())

    def __float__(self) -> float:
        return float(self._read())

    __hash__ = None  # type: ignore[assignment]


def _add_operators() -> None:
    def binary(function: Any, reflected: bool) -> Any:
        def call(self: Traced, other: Any) -> Any:
            if isinstance(other, core.Tensor):
                return NotImplemented
            return _call(function, (other, self) if reflected else (self, other), {})

        return call

    def in_place(function: Any) -> Any:
        def call(self: Traced, other: Any) -> Any:
            return _call(function, (self, other), {"out": (self,)})

        return call

    for name, function in {
        **{"add": numpy.add, "sub": numpy.subtract, "mul": numpy.multiply},
        **{"truediv": numpy.divide, "floordiv": numpy.floor_divide, "mod": numpy.remainder},
        **{"pow": numpy.power, "matmul": numpy.matmul},
        **{"and": numpy.bitwise_and, "or": numpy.bitwise_or, "xor": numpy.bitwise_xor},
    }.items():
        setattr(Traced, f"__{name}__", binary(function, False))
        setattr(Traced, f"__r{name}__", binary(function, True))
        setattr(Traced, f"__i{name}__", in_place(function))
    for name, function in {
        **{"lt": numpy.less, "le": numpy.less_equal, "eq": numpy.equal},
        **{"gt": numpy.greater, "ge": numpy.greater_equal, "ne": numpy.not_equal},
    }.items():
        setattr(Traced, f"__{name}__", binary(function, False))
    for name, unary in {
        **{"neg": numpy.negative, "abs": numpy.absolute, "invert": numpy.invert},
    }.items():
        setattr(Traced, f"__{name}__", lambda self, unary=unary: _call(unary, (self,), {}))


_add_operators()


class TracedGenerator:
    """A generator of random numbers of which each draw is written down."""

    def __init__(self, plain: Any, variable: Variable) -> None:
        self.plain, self.variable = plain, variable

    def __getattr__(self, name: str) -> Any:
        if name in ("shuffle", "spawn", "bit_generator") and state.recorder is not None:
            state.recorder.refuse(f"it uses its generator's {name}")
            return getattr(self.plain, name)
        return functools.partial(_call_method, name, self)


def _call_method(name: str, x: Any, *args: Any, **kwargs: Any) -> Any:
    return _call(method(name), (x, *args), kwargs)


def _call(function: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
    if state.recorder is None:  # after the step, or within another call
        return function(*_plain(args), **_plain(kwargs))
    return state.recorder.call(function, args, kwargs)


# ------------------------------------------------------------------------------------ recording

_OF_SHAPES_ALONE = (numpy.shape, numpy.ndim, numpy.size, numpy.result_type)


class Recorder(core.Hook):
    """Has every call made, and writes it down."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.leaves: dict[int, core.Tensor] = {}  # variables that the step's graph begins with
        self.refusal: str | None = None  # why the step cannot be replayed
        self._values: list[Any] = []  # of all variables: kept, so that owners stay apart
        self._owners: dict[int, int] = {}
        self._traced: list[weakref.ref[Traced]] = []
        self._written: dict[int, tuple[Any, Any]] = {}  # constants, and what the step left in them

    def refuse(self, reason: str) -> None:
        """The step cannot be replayed. The first reason counts."""
        self.refusal = self.refusal or reason

    # What the engine tells it (:class:`core.Hook`).

    def forward(self, name: str, args: tuple, run: Any) -> Any:
        if state.recorder is None:  # within another call
            return run()
        return self.call(run.func, run.args, run.keywords)

    def recorded(self, node: core.Node) -> None:
        for parent in node.parents:
            leaf = parent.tensor() if type(parent) is core.LeafNode else None
            if leaf is not None and not isinstance(leaf.data, Traced):
                self.leaves.setdefault(id(leaf), leaf)

    def backward(self, node: core.Node, gradient: Any, run: Any) -> Any:
        return run()

    # What arrays tell it.

    def call(self, function: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
        """``function(*args, **kwargs)``, written down."""
        entry = Call(function, _variables(args), _variables(kwargs), [], "none", {})
        plain_args, plain_kwargs = _plain(args), _plain(kwargs)
        self._check_written(entry)
        state.recorder = None
        try:
            result = function(*plain_args, **plain_kwargs)
        finally:
            state.recorder = self
        for i, (arg, plain) in enumerate(zip(args, plain_args, strict=True)):
            if type(arg) is list and not arg and plain:
                leaves, rebuild = flatten(plain)
                traced = [self.traced(x) if isinstance(x, numpy.ndarray) else x for x in leaves]
                arg += rebuild(traced)
                entry.lists[i] = rebuild([_of(self.result, x) for x in traced])
        self.calls.append(entry)
        self._note_written(entry)
        if "out" in kwargs:
            out = kwargs["out"]
            return out[0] if isinstance(out, tuple) and len(out) == 1 else out
        return self._returned(entry, result)

    def traced(self, value: Any) -> Traced:
        """An array, or a number of NumPy's, traced."""
        found = Traced(value, self.variable(value))
        self._traced.append(weakref.ref(found))
        return found

    def variable(self, value: Any) -> Variable:
        """A new one, for that value."""
        self._values.append(value)
        return Variable(len(self._values) - 1)

    def result(self, x: Traced) -> Result:
        """What is to be known of a traced array."""
        plain = x.plain
        if not isinstance(plain, numpy.ndarray):  # a number: it has no memory to share
            return Result(x.variable, (), plain.dtype, -1, False)
        is_new = plain.base is None and plain.ndim > 0 and plain.flags.c_contiguous
        return Result(x.variable, plain.shape, plain.dtype, self.owner(plain), is_new)

    def owner(self, array: Any) -> int:
        """A number for the array that ``array`` is a view of."""
        owner = owner_of(array)
        self._values.append(owner)  # or another might be in its place later
        return self._owners.setdefault(id(owner), len(self._owners))

    def end(self) -> None:
        """Let go of all values. Somebody else may have kept one."""
        self._values.clear()
        for link in self._traced:
            left = link()
            if left is not None:
                self.refuse(
                    f"an array {left.shape} that it has made is kept outside of it; write it into "
                    "an array that is there (np.copyto), or return it"
                )

    def _note_written(self, entry: Call) -> None:
        """Remember what a call has left in constants that it wrote to, an optimiser's step too."""
        found = written(entry)
        if not found and not entry.results:
            found = [array for array, _ in self._written.values()]
        self._written |= {id(x): (x, x.copy()) for x in found}

    def _check_written(self, entry: Call) -> None:
        """Refuse if NumPy has changed by itself what the step also writes to."""
        for x in flatten([entry.args, entry.kwargs])[0]:
            array, left = self._written.get(id(x), (x, x))
            if array is not left and not numpy.array_equal(array, left, equal_nan=True):
                self.refuse(
                    f"it changes an array {array.shape} in a way that is not seen, as there are "
                    "none of its own in it; do it in a function that is marked as whole"
                )

    def _returned(self, entry: Call, result: Any) -> Any:
        if isinstance(result, numpy.ndarray | numpy.generic):
            traced = self.traced(result)
            entry.results, entry.gives = [self.result(traced)], "one"
            return traced
        if isinstance(result, tuple | list) and any(isinstance(x, numpy.ndarray) for x in result):
            several = [self.traced(x) for x in result]
            entry.results, entry.gives = [self.result(x) for x in several], "several"
            return like(result, several)
        if result is None:
            return None
        self.calls.pop()
        if entry.function not in _OF_SHAPES_ALONE:
            name = getattr(entry.function, "__name__", "a function")
            self.refuse(f"{name} makes {type(result).__name__} of its arrays, which is no array")
        return result


def _of(function: Callable[[Traced], Any], x: Any) -> Any:
    return function(x) if isinstance(x, Traced) else x


def _plain(x: Any) -> Any:
    """Arguments as the function is to see them."""
    return x.plain if isinstance(x, Traced | TracedGenerator) else _mapped(_plain, x)


def _variables(x: Any) -> Any:
    """Arguments with variables in the place of what differs."""
    return x.variable if isinstance(x, Traced | TracedGenerator) else _mapped(_variables, x)


def _mapped(function: Callable[[Any], Any], x: Any) -> Any:
    if isinstance(x, tuple | list):
        return like(x, map(function, x))
    if type(x) is dict:
        return {key: function(value) for key, value in x.items()}
    return x
