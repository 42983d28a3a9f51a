"""Faults to plant in gradient rules and in the engine, in memory, for as long as a block runs."""

from __future__ import annotations

import contextlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

from autograd import changes, core
from autograd.backend import to_numpy, xp
from autograd.core import Rules, Tensor, Vjp, is_recording, recording

# ----------------------------------------------------------------------------- faults in the rules

Fault = Callable[[Vjp], Vjp]
"""From a right rule to a wrong one."""


def negated(rule: Vjp) -> Vjp:
    """The wrong sign."""
    return lambda g: -rule(g)


def scaled(rule: Vjp) -> Vjp:
    """A factor that should not be there, or that is missing."""
    return lambda g: 0.5 * rule(g)


def shifted(rule: Vjp) -> Vjp:
    """A constant too much."""
    return lambda g: rule(g) + 1.0


def ignored(rule: Vjp) -> Vjp:
    """As if the result did not depend on that input."""
    return lambda g: rule(g) * 0.0


def detached(rule: Vjp) -> Vjp:
    """Right, but it cannot be differentiated again."""

    def faulty(g: Any) -> Any:
        with recording(False):
            x = rule(g)
        return x.data if isinstance(x, Tensor) else x

    return faulty


def negated_when_recorded(rule: Vjp) -> Vjp:
    """Right in first order only: the form that is recorded, for higher orders, is another."""

    def faulty(g: Any) -> Any:
        x = rule(g)
        return -x if is_recording() else x

    return faulty


FAULTS: tuple[Fault, ...] = (negated, scaled, shifted, ignored, detached, negated_when_recorded)


def let_through(rule: Vjp) -> Vjp:
    """For a constant, which has no gradient: the gradient of its own sum."""
    return rule


def without_result(k: int, effect: list[bool]) -> Fault:
    """As if the k-th of several results were constant; ``effect`` tells if that makes a change."""

    def fault(rule: Vjp) -> Vjp:
        def faulty(gs: tuple) -> Any:
            x = rule(tuple(g * 0.0 if i == k else g for i, g in enumerate(gs)))
            right = rule(gs)
            values = [to_numpy(y.data if isinstance(y, Tensor) else y) for y in (x, right)]
            effect.append(bool((values[0] != values[1]).any()))
            return x

        return faulty

    return fault


@contextlib.contextmanager
def planted(rules: Rules, argument: int, fault: Fault) -> Iterator[None]:
    """Within this block the rule for that argument has the fault."""
    before = dict(rules.makers), set(rules.constants), rules.for_all
    if argument in rules.constants:
        rules.constants.discard(argument)
        rules.makers[argument] = lambda ans, *args, **kwargs: fault(_ones(args[argument].shape))
    elif rules.for_all is not None:
        rules.for_all = _one_of_all(rules.for_all, argument, fault)
    else:
        maker = rules.makers[argument]
        rules.makers[argument] = lambda *args, **kwargs: fault(maker(*args, **kwargs))
    try:
        yield
    finally:
        makers, constants, rules.for_all = before
        rules.makers.clear()
        rules.makers.update(makers)
        rules.constants.clear()
        rules.constants.update(constants)


def _ones(shape: tuple[int, ...]) -> Vjp:
    return lambda g: xp.ones(shape, g.dtype)


def _one_of_all(maker: Callable, argument: int, fault: Fault) -> Callable:
    """The rule for all arguments, with the fault in one of the gradients that it returns."""

    def faulty_maker(argnums: list[int], ans: Any, args: tuple, kwargs: dict) -> Vjp:
        rule = maker(argnums, ans, args, kwargs)
        if argument not in argnums:
            return rule
        place = argnums.index(argument)

        def faulty(g: Any) -> list[Any]:
            xs = list(rule(g))
            xs[place] = fault(lambda g: list(rule(g))[place])(g)
            return xs

        return faulty

    return faulty_maker


# ---------------------------------------------------------------------------- the engine, tried

ENGINE: tuple[tuple[str, Callable, str, str], ...] = (
    (
        "takes one slice of axes in front, instead of their sum",
        core.unbroadcast,
        "x = _sum_over_first(x, extra)",
        "x = x[(0,) * extra]",
    ),
    (
        "takes one slice of stretched axes, instead of their sum",
        core.unbroadcast,
        "return x.sum(axis=stretched, keepdims=True)",
        "return x[tuple(slice(0, side) for side in shape)]",
    ),
    (
        "the second gradient of a node replaces the first",
        core.backward_pass,
        "gradients[parent] = gradients[parent] + x",
        "gradients[parent] = x",
    ),
    (
        "the third gradient of a node replaces the sum",
        core.backward_pass,
        "gradients[parent] += x",
        "gradients[parent] = x",
    ),
    (
        "adds in place into a gradient that others hold",
        core.backward_pass,
        "elif parent in owned:",
        "elif not create_graph:",
    ),
    (
        "gradients share memory with the seed",
        core._kept,
        "return g if owned else g.copy()",
        "return g",
    ),
    (
        "a seed for the same node replaces the one before",
        core.backward_pass,
        "gradients[node] + seed if node in gradients else seed",
        "seed",
    ),
    (
        "the seed is not cast",
        core.backward_pass,
        "seed if seed.dtype == node.dtype else seed.astype(node.dtype)",
        "seed",
    ),
    (
        "the graph is not freed",
        core.backward_pass,
        "if not retain_graph and node.parents:",
        "if False:",
    ),
    (
        "gradients are not cast",
        core._fit,
        "return x if x.dtype == parent.dtype else x.astype(parent.dtype)",
        "return x",
    ),
    (
        "the second gradient of one of several results replaces the first",
        core._collect,
        "items[node.index] + g if node.index in items else g",
        "g",
    ),
    (
        "a result that was not used has a gradient",
        core._prepare,
        "xp.zeros(shape, dtype)",
        "xp.ones(shape, dtype)",
    ),
    (
        "changes in place are not noticed",
        changes.check,
        "if when > number:",
        "if False:",
    ),
    (
        "a freed graph is not noticed",
        core._prepare,
        "if vjps is None:",
        "if False:",
    ),
    (
        "a second backward pass replaces the gradients of the first",
        core.give_gradient,
        "leaf.grad += g",
        "leaf.grad = g",
    ),
)


@contextlib.contextmanager
def changed(function: Any, line: str, faulty: str) -> Iterator[None]:
    """Within this block ``function`` runs with ``faulty`` in the place of ``line``."""
    function = inspect.unwrap(function)
    source = textwrap.dedent(inspect.getsource(function))
    if source.count(line) != 1:
        raise ValueError(f"{function.__qualname__} no longer has the line {line!r} once")
    namespace: dict[str, Any] = {}
    code = compile(source.replace(line, faulty), inspect.getfile(function), "exec")
    exec(code, dict(function.__globals__), namespace)
    before = function.__code__
    function.__code__ = inspect.unwrap(namespace[function.__name__]).__code__
    try:
        yield
    finally:
        function.__code__ = before
