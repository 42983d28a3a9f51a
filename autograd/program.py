"""A recording as a function in Python's own code, with the memory of :mod:`autograd.buffers`."""

from __future__ import annotations

import keyword
import math
import operator
from collections.abc import Callable
from typing import Any

import numpy

from autograd.buffers import GIVE, Memory, direct, writing
from autograd.numpy.indexing import getitem
from autograd.recording import Recording
from autograd.structures import flatten
from autograd.traced import Call, Method, Result, Variable


class Program:
    """A recording, to be replayed."""

    def __init__(self, recording: Recording) -> None:
        self.recording = recording
        self.calls = 2  # of the step
        self.leaves = [call.args[0] for call in recording.calls if call.function is GIVE]
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
        function = direct(call.function) or call.function
        if i in self.memory.in_place:
            function = writing(function) or function
            kwargs["out"] = self._value(call.results[0].variable)
        text = self._expression(function, args, kwargs)
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
            name = self._name(function)
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


def _is_input(x: Any) -> bool:
    return isinstance(x, numpy.ndarray | numpy.random.Generator)


def _leaves(x: Any) -> list[Any]:
    return flatten(x)[0]
