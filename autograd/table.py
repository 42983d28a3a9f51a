"""The table of all operations: each with its formula, sample inputs and wrong inputs.

An operation's forward, gradient, formula and samples stand side by side in its source file; the
two decorators here collect them, so that tests, ``python -m autograd.explain`` and documentation
can go through every operation there is.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from autograd import core
from autograd.backend import is_array
from autograd.structures import flatten

Call = tuple[tuple, dict]
"""Arguments and keyword arguments."""


class Draw:
    """A source of sample arguments. All that it gives derives from :meth:`integer`.

    Here that is a seeded generator; the tests put hypothesis in its place, which then shrinks a
    failing example to a small one.
    """

    def __init__(self, seed: int = 0) -> None:
        self._rng = numpy.random.default_rng(seed)

    def integer(self, low: int, high: int) -> int:
        """An integer from low to high, both included."""
        return int(self._rng.integers(low, high + 1))

    def boolean(self) -> bool:
        return self.integer(0, 1) == 1

    def choice(self, options: Sequence[Any]) -> Any:
        return options[self.integer(0, len(options) - 1)]

    def shape(self, min_ndim: int = 0, max_ndim: int = 3, min_side: int = 0, max_side: int = 3):
        """A shape; sides of 0 and 1 are among the choices."""
        ndim = self.integer(min_ndim, max_ndim)
        return tuple(self.integer(min_side, max_side) for _ in range(ndim))

    def broadcastable(self, count: int, **limits: int) -> list[tuple[int, ...]]:
        """Shapes that broadcast together; one of them is the whole."""
        full = self.shape(**limits)
        whole = self.integer(0, count - 1)
        return [full if i == whole else self.part_of(full) for i in range(count)]

    def part_of(self, full: tuple[int, ...]) -> tuple[int, ...]:
        """A shape that broadcasts to ``full``."""
        kept = full[self.integer(0, len(full)) :]
        return tuple(1 if self.boolean() else side for side in kept)

    def array(self, shape: tuple[int, ...], low: float = -2.0, high: float = 2.0) -> numpy.ndarray:
        """Uniform values from low to high, float64."""
        rng = numpy.random.default_rng(self.integer(0, 2**32 - 1))
        return rng.uniform(low, high, shape)

    def distinct(
        self, shape: tuple[int, ...], gap: float = 0.1, offset: float = 0.0
    ) -> numpy.ndarray:
        """Values of both signs, at least 0.6 · gap apart and 0.3 · gap from offset + gap · n."""
        rng = numpy.random.default_rng(self.integer(0, 2**32 - 1))
        size = int(numpy.prod(shape))
        steps = rng.permutation(size) - size // 2 + rng.uniform(0.3, 0.7)
        return numpy.asarray((offset + gap * steps).reshape(shape))

    def axis(self, ndim: int) -> int:
        """One axis, counted from either end."""
        return self.integer(-ndim, ndim - 1)

    def axes(self, ndim: int) -> int | tuple[int, ...] | None:
        """None, one axis, or several."""
        kind = self.integer(0, 2)
        if kind == 0 or ndim == 0:
            return None
        if kind == 1:
            return self.axis(ndim)
        chosen = [axis for axis in range(ndim) if self.boolean()]
        return tuple(axis - ndim if self.boolean() else axis for axis in chosen)


@dataclass(frozen=True)
class Operation:
    """One row of the table."""

    name: str  # such as "numpy.elementwise.exp": where its source stands
    function: Callable
    formula: str  # LaTeX
    samples: Callable[[Draw], Call]
    wrong: tuple[Call, ...]  # each must raise an error that names the operation
    analytic: bool  # accepts complex numbers and is analytic: the complex step applies
    primitive: bool  # has gradient rules of its own

    def of_arrays(self, args: tuple, kwargs: dict) -> tuple[Callable, list[Any]]:
        """The operation as a function of its floating-point arrays, all else fixed; the arrays."""
        leaves, rebuild = flatten([list(args), kwargs])
        at = [i for i, x in enumerate(leaves) if is_array(x) and x.dtype.kind == "f"]

        def function(*arrays: Any) -> Any:
            new = list(leaves)
            for i, array in zip(at, arrays, strict=True):
                new[i] = array
            args, kwargs = rebuild(new)
            return self.function(*args, **kwargs)

        function.__name__ = self.function.__name__
        return function, [leaves[i] for i in at]


operations: dict[str, Operation] = {}


def operation(
    formula: str,
    samples: Callable[[Draw], Call],
    wrong: Sequence[Call] = (),
    analytic: bool = False,
) -> Callable[[Callable], Callable]:
    """Make a function a primitive and enter it into the table. Its rule follows it."""

    def enter(function: Callable) -> Callable:
        call = core.primitive(function)
        return _enter(call, formula, samples, wrong, analytic, primitive=True)

    return enter


def composite(
    formula: str,
    samples: Callable[[Draw], Call],
    wrong: Sequence[Call] = (),
    analytic: bool = False,
) -> Callable[[Callable], Callable]:
    """Enter a function that is made of other operations, and has its gradient from them."""

    def enter(function: Callable) -> Callable:
        return _enter(function, formula, samples, wrong, analytic, primitive=False)

    return enter


def _enter(function: Callable, formula, samples, wrong, analytic, primitive) -> Callable:
    name = f"{function.__module__.removeprefix('autograd.')}.{function.__name__.strip('_')}"
    if name in operations:
        raise ValueError(f"there are two operations named {name}")
    operations[name] = Operation(
        name, function, formula, samples, tuple(wrong), analytic, primitive
    )
    return function


def call(*args: Any, **kwargs: Any) -> Call:
    """Arguments as the table writes them."""
    return args, kwargs


def find(name: str) -> Operation:
    """The operation of that full or last name. Raises KeyError with the nearest ones."""
    if name in operations:
        return operations[name]
    found = [key for key in operations if key.rpartition(".")[2] == name]
    if len(found) == 1:
        return operations[found[0]]
    last = [key.rpartition(".")[2] for key in operations]
    near = found or difflib.get_close_matches(name, [*last, *operations], n=3)
    raise KeyError(
        f"no operation {name!r}" + (f"; did you mean {', '.join(near)}?" if near else "")
    )
