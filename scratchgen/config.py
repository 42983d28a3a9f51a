"""Configurations are frozen dataclasses; here the words ``field=value`` change their fields."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import itertools
import textwrap
import typing
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from scratchgen.errors import UsageError, unknown


def override(configs: Sequence[Any], assignments: Sequence[str]) -> list[Any]:
    """``configs`` with the fields named in ``assignments`` ("channels=64") replaced.

    Each field belongs to whichever of the dataclasses has it. Raises :class:`UsageError` for an
    unknown field, a value of the wrong type, and a value that the dataclass itself refuses.
    """
    owners = {f.name: i for i, c in enumerate(configs) for f in dataclasses.fields(c)}
    changes: list[dict[str, Any]] = [{} for _ in configs]
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError(f"--set {assignment}: write field=value, such as --set {name}=1")
        if name not in owners:
            raise unknown("field", name, owners)
        config = configs[owners[name]]
        kind = typing.get_type_hints(type(config))[name]
        changes[owners[name]][name] = _parsed(name, text, kind)
    try:
        return [dataclasses.replace(c, **new) for c, new in zip(configs, changes, strict=True)]
    except ValueError as error:
        raise UsageError(str(error)) from error


def assigned(assignments: Sequence[str], name: str) -> int | None:
    """The whole number that the last of "field=value" gives the field ``name``, if any does."""
    values = [a.partition("=")[2] for a in assignments if a.partition("=")[0] == name]
    return _parsed(name, values[-1], int) if values else None


@dataclass(frozen=True)
class Field:
    """A field of a configuration, as a user reads about it."""

    name: str
    kind: str
    default: Any
    meaning: str


def fields(config: Any) -> list[Field]:
    """The fields of a dataclass, each with the string that follows it in the source."""
    meanings: dict[str, str] = {}
    for owner in reversed(type(config).__mro__[:-1]):  # without object
        meanings |= _meanings(owner)
    return [
        Field(f.name, str(f.type), getattr(config, f.name), meanings.get(f.name, ""))
        for f in dataclasses.fields(config)
    ]


def _meanings(owner: type) -> dict[str, str]:
    """The string after each of the fields that this class adds to its bases."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(owner))).body[0]
    assert isinstance(tree, ast.ClassDef)
    found = {}
    for field, after in itertools.pairwise(tree.body):
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
            match after:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    found[field.target.id] = " ".join(text.split())
    return found


def _parsed(name: str, text: str, kind: type) -> Any:
    """``text`` as a value of the type ``kind``."""
    try:
        return kind(text)
    except ValueError:
        expected = {int: "a whole number", float: "a number"}[kind]
        raise UsageError(f"--set {name}={text}: {name} is {expected}") from None


def require(config: Any, condition: bool, name: str, expected: str) -> None:
    """Raise ValueError unless the ``condition`` on the field ``name`` of ``config`` holds."""
    if not condition:
        raise ValueError(f"{name}={getattr(config, name)}: {name} must be {expected}")
