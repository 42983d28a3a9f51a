"""Where an operation stands in the source: its function, its gradient rule, and their helpers.

An operation is written in one of two ways, and both are found by reading the file's syntax tree:
as a function, which a ``defvjp(...)`` statement follows, or as a row of a table,
``tanh = _unary("tanh", ...)``, which holds the rule as well. The helpers are the functions of this
package that have no other place in the table, and that those statements name.
"""

from __future__ import annotations

import ast
import functools
import inspect
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import FunctionType, ModuleType
from typing import Any

from autograd.table import Operation, operations

_ROW = ast.Assign | ast.AnnAssign
_HOME = os.path.dirname(os.path.dirname(__file__))


@dataclass(frozen=True)
class Excerpt:
    """A piece of a source file."""

    path: str  # from the directory that holds the package
    line: int
    text: str


@dataclass(frozen=True)
class Source:
    """All that says what an operation does."""

    forward: list[Excerpt]
    gradient: list[Excerpt]  # nothing, if a row holds it or if other operations supply it
    helpers: list[Excerpt]


def source_of(op: Operation) -> Source:
    """The statements that make ``op``, in the order in which they are best read."""
    module = sys.modules[op.function.__module__]
    made = _statement(module, lambda statement: _makes(statement, module, op.function))
    row = isinstance(made, _ROW)
    forward = [_excerpt(module, made)] if made else []
    if row or made is None:
        forward.append(_of_function(op.function))
    rules = [s for s in _statements(module) if _gives_rule(s, module, op.function)]
    gradient = [_excerpt(module, statement) for statement in rules]
    if op.primitive and not rules and not row:
        makers = [*op.function.rules.makers.values(), op.function.rules.for_all]  # type: ignore[attr-defined]
        gradient = [_of_function(maker) for maker in dict.fromkeys(makers) if maker]
    helpers: dict[Any, Excerpt] = {}
    for statement in [made, *rules]:
        if statement is not None:
            _add_helpers(helpers, _body(statement), module, op)
    return Source(forward, gradient, list(helpers.values()))


@functools.cache
def _text(module: ModuleType) -> str:
    return inspect.getsource(module)


@functools.cache
def _statements(module: ModuleType) -> list[ast.stmt]:
    return ast.parse(_text(module)).body


def _statement(module: ModuleType, is_it: Callable[[ast.stmt], bool]) -> ast.stmt | None:
    return next((statement for statement in _statements(module) if is_it(statement)), None)


def _makes(statement: ast.stmt, module: ModuleType, function: Callable) -> bool:
    """Whether ``statement`` is what defines ``function``, as a function or as a row."""
    if isinstance(statement, ast.FunctionDef):
        return getattr(module, statement.name, None) is function
    if not isinstance(statement, _ROW) or not _holds(statement.value, ast.Call):
        return False  # another name for it, perhaps
    targets = getattr(statement, "targets", None) or [statement.target]  # type: ignore[union-attr]
    names = [node.id for target in targets for node in ast.walk(target)
             if isinstance(node, ast.Name)]  # fmt: skip
    return any(getattr(module, name, None) is function for name in names)


def _holds(expression: ast.expr | None, kind: type[ast.AST]) -> bool:
    return expression is not None and any(isinstance(x, kind) for x in ast.walk(expression))


def _gives_rule(statement: ast.stmt, module: ModuleType, function: Callable) -> bool:
    """Whether ``statement`` is a ``defvjp(function, ...)``."""
    if not isinstance(statement, ast.Expr) or not isinstance(statement.value, ast.Call):
        return False
    called, arguments = statement.value.func, statement.value.args
    return (
        getattr(called, "id", getattr(called, "attr", "")).startswith("defvjp")
        and bool(arguments)
        and isinstance(arguments[0], ast.Name)
        and getattr(module, arguments[0].id, None) is function
    )


def _body(statement: ast.stmt) -> Iterator[ast.AST]:
    """What runs when the operation does: no decorators, samples, or makers of rows."""
    if isinstance(statement, ast.FunctionDef):
        yield from statement.body
    elif isinstance(statement, _ROW | ast.Expr) and isinstance(statement.value, ast.Call):
        yield from statement.value.args
        yield from (keyword.value for keyword in statement.value.keywords)


def _add_helpers(
    found: dict[Any, Excerpt], nodes: Iterator[ast.AST], module: ModuleType, op: Operation
) -> None:
    """The functions that ``nodes`` name, then those that these name, and so on."""
    names = [node.id for root in nodes for node in ast.walk(root) if isinstance(node, ast.Name)]
    for name in dict.fromkeys(names):
        helper: Any = getattr(module, name, None)
        if helper in found or helper is op.samples or not _is_helper(helper, module):
            continue
        found[helper] = _of_function(helper)
        home = sys.modules[helper.__module__]
        definition = ast.parse(found[helper].text).body[0]
        _add_helpers(found, _body(definition), home, op)
        for rule in _statements(home):  # if it is a primitive of its own
            if _gives_rule(rule, home, helper):
                found[rule] = _excerpt(home, rule)
                _add_helpers(found, _body(rule), home, op)


def _is_helper(value: Any, module: ModuleType) -> bool:
    """Whether ``value`` is a function to be shown with those that call it."""
    if not isinstance(value, FunctionType) or not value.__module__.startswith("autograd."):
        return False
    if value in {op.function for op in operations.values()}:
        return False
    return value.__module__ == module.__name__ or value.__name__.startswith("_")


def _excerpt(module: ModuleType, statement: ast.stmt) -> Excerpt:
    decorators = getattr(statement, "decorator_list", [])
    first = min([statement.lineno, *(decorator.lineno for decorator in decorators)])
    lines = _text(module).splitlines()[first - 1 : statement.end_lineno]
    return Excerpt(_path(inspect.getfile(module)), first, "\n".join(lines))


def _of_function(function: Callable) -> Excerpt:
    function = inspect.unwrap(function)
    lines, first = inspect.getsourcelines(function)
    text = textwrap.dedent("".join(lines)).rstrip()
    return Excerpt(_path(inspect.getfile(function)), first, text)


def _path(file: str) -> str:
    return os.path.relpath(file, _HOME)
