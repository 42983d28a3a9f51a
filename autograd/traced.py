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
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy

from autograd import core
from autograd.backend.whole import state
from autograd.changes import owner_of
from autograd.structures import flatten, like
from autograd.watched import Watch

_OF_NO_VALUE = "shape dtype ndim size nbytes itemsize strides flags base".split()  # attributes

_OF_SHAPES_ALONE = (numpy.shape, numpy.ndim, numpy.size, numpy.result_type)

_AS_MANY_AS_VALUES_SAY = (
    "argwhere compress extract flatnonzero nonzero trim_zeros union1d unique unique_all "
    "unique_counts unique_inverse unique_values"
).split()

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
        value = getattr(self.plain, name)
        if callable(value):
            return functools.partial(_call_method, name, self)
        if name not in _OF_NO_VALUE and state.recorder is not None:
            state.recorder.refuse(f"it uses the attribute {name!r} of an array {self.shape}")
        return value

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
    """What arrays do by a function of each element; NumPy's numbers sometimes take other ways."""

    def binary(name: str, function: Any, reflected: bool) -> Any:
        of_numbers = getattr(operator, f"__{name}__", function)

        def call(self: Traced, other: Any) -> Any:
            if isinstance(other, core.Tensor):
                return NotImplemented
            pair = (other, self) if reflected else (self, other)
            arrays = any(isinstance(_plain(x), numpy.ndarray) for x in pair)
            return _call(function if arrays else of_numbers, pair, {})

        return call

    def in_place(name: str, function: Any) -> Any:
        def call(self: Traced, other: Any) -> Any:
            if isinstance(other, core.Tensor):
                return NotImplemented
            if not isinstance(self.plain, numpy.ndarray):  # a number: there is no place
                return getattr(self, f"__{name}__")(other)
            return _call(function, (self, other), {"out": (self,)})

        return call

    for name, function in {
        **{"add": numpy.add, "sub": numpy.subtract, "mul": numpy.multiply},
        **{"truediv": numpy.divide, "floordiv": numpy.floor_divide, "mod": numpy.remainder},
        **{"pow": numpy.power, "matmul": numpy.matmul, "divmod": numpy.divmod},
        **{"and": numpy.bitwise_and, "or": numpy.bitwise_or, "xor": numpy.bitwise_xor},
        **{"lshift": numpy.left_shift, "rshift": numpy.right_shift},
    }.items():
        setattr(Traced, f"__{name}__", binary(name, function, False))
        setattr(Traced, f"__r{name}__", binary(name, function, True))
        setattr(Traced, f"__i{name}__", in_place(name, function))
    for name, function in {
        **{"lt": numpy.less, "le": numpy.less_equal, "eq": numpy.equal},
        **{"gt": numpy.greater, "ge": numpy.greater_equal, "ne": numpy.not_equal},
    }.items():
        setattr(Traced, f"__{name}__", binary(name, function, False))
    for name, unary in {
        **{"neg": numpy.negative, "pos": numpy.positive},
        **{"abs": numpy.absolute, "invert": numpy.invert},
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
            value = getattr(self.plain, name)
            return (lambda *args: value(*_plain(args))) if callable(value) else value
        return functools.partial(_call_method, name, self)


def _call_method(name: str, x: Any, *args: Any, **kwargs: Any) -> Any:
    return _call(method(name), (x, *args), kwargs)


def _call(function: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
    if state.recorder is None:  # after the step, or within another call
        return function(*_plain(args), **_plain(kwargs))
    return state.recorder.call(function, args, kwargs)


# ------------------------------------------------------------------------------------ recording


class Recorder(core.Hook):
    """Has every call made, and writes it down."""

    def __init__(self, watched: Iterable[Any] = ()) -> None:
        """``watched``: constants of an earlier recording, that only calls may change."""
        self.calls: list[Call] = []
        self.leaves: dict[int, core.Tensor] = {}  # variables that the step's graph begins with
        self.refusal: str | None = None  # why the step cannot be replayed
        self._values: list[Any] = []  # of all variables: kept, so that owners stay apart
        self._owners: dict[int, int] = {}
        self._own: set[int] = set()  # owners of what the step was given, or made
        self._traced: list[weakref.ref[Traced]] = []
        self._watch = Watch(watched)

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

    def whole(self, function: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
        """A call of a function that, if it returns nothing, may change what is watched."""
        if function is _GIVE:
            result = self.call(function, args, kwargs)
            if not isinstance(args[0].data, Traced):
                self._watch.given(args[0])
            return result
        annotations = getattr(function, "__annotations__", {})
        if annotations.get("return") not in (None, "None"):
            return self.call(function, args, kwargs)
        self._refuse_changes()
        result = self.call(function, args, kwargs)
        self._watch.look()
        return result

    def call(self, function: Callable[..., Any], args: tuple, kwargs: dict[str, Any]) -> Any:
        """``function(*args, **kwargs)``, written down."""
        entry = Call(function, _variables(args), _variables(kwargs), [], "none", {})
        plain_args, plain_kwargs = _plain(args), _plain(kwargs)
        self._check(entry, args)
        state.recorder = None
        try:
            result = function(*plain_args, **plain_kwargs)
        except Exception:
            self.refuse("it goes on after an error")
            raise
        finally:
            state.recorder = self
        for i, (arg, plain) in enumerate(zip(args, plain_args, strict=True)):
            if type(arg) is list and len(plain) != len(arg):
                self._filled(entry, i, arg, plain)
        self.calls.append(entry)
        for x in written(entry):
            self._watch.written(x)
        out = kwargs.get("out")
        if out is not None:
            return out[0] if isinstance(out, tuple) and len(out) == 1 else out
        return self._returned(entry, result)

    def _filled(self, entry: Call, i: int, arg: list, plain: list) -> None:
        """What a call has put into a list."""
        if arg:
            self.refuse("a call adds to a list that was not empty")
            arg[:] = plain
            return
        leaves, rebuild = flatten(plain)
        traced = [self.traced(x) if isinstance(x, numpy.ndarray) else x for x in leaves]
        arg += rebuild(traced)
        entry.lists[i] = rebuild([_of(self.result, x) for x in traced])

    def _check(self, entry: Call, args: tuple) -> None:
        """Refuse what a replay could not do the same way."""
        name = getattr(entry.function, "__name__", "")
        one_condition = name == "where" and len(args) == 1
        by_mask = name == "getitem" and any(
            isinstance(x, Traced) and x.dtype.kind == "b" for x in flatten([args[1]])[0]
        )
        counts = name in ("repeat", "tile") and any(isinstance(x, Traced) for x in args[1:])
        if name in _AS_MANY_AS_VALUES_SAY or one_condition or by_mask or counts:
            self.refuse(f"how much {name} gives depends on values")
        for x in flatten([entry.args, entry.kwargs])[0]:
            if isinstance(x, numpy.ndarray) and self.owner(x) in self._own:
                self.refuse(f"it gives {name} an array {x.shape} of its own in a way not seen")
        for x in written(entry):
            if reason := self._watch.changed(x):
                self.refuse(reason)

    def _refuse_changes(self) -> None:
        for reason in self._watch.changes():
            self.refuse(reason)

    def traced(self, value: Any) -> Traced:
        """An array, or a number of NumPy's, traced."""
        found = Traced(value, self.variable(value))
        self._traced.append(weakref.ref(found))
        return found

    def variable(self, value: Any) -> Variable:
        """A new one, for that value."""
        self._values.append(value)
        return Variable(len(self._values) - 1)

    def input(self, value: Any) -> Any:
        """An argument of the step, traced: an array or a generator; others as they are."""
        if isinstance(value, numpy.random.Generator):
            return TracedGenerator(value, self.variable(value))
        if not isinstance(value, numpy.ndarray):
            return value
        self._own.add(self.owner(value))
        return self.traced(value)

    def result(self, x: Traced) -> Result:
        """What is to be known of a traced array."""
        plain = x.plain
        if not isinstance(plain, numpy.ndarray):  # a number: it has no memory to share
            return Result(x.variable, (), plain.dtype, -1, False)
        is_new = plain.base is None and plain.ndim > 0 and plain.flags.c_contiguous
        known = id(owner_of(plain)) in self._owners
        owner = self.owner(plain)
        if not known and plain.base is None:
            self._own.add(owner)
        return Result(x.variable, plain.shape, plain.dtype, owner, is_new)

    def owner(self, array: Any) -> int:
        """A number for the array that ``array`` is a view of."""
        owner = owner_of(array)
        self._values.append(owner)  # or another might be in its place later
        return self._owners.setdefault(id(owner), len(self._owners))

    def end(self) -> None:
        """Let go of all values. Somebody else may have kept one."""
        self._refuse_changes()
        self._values.clear()
        for link in self._traced:
            left = link()
            if left is not None:
                self.refuse(
                    f"an array {left.shape} that it has made is kept outside of it; write it into "
                    "an array that is there (np.copyto), or return it"
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


_GIVE = core.give_gradient.__wrapped__  # type: ignore[attr-defined]


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
