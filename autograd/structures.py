"""Nested dicts, lists and tuples of arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def flatten(structure: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """The arrays and numbers in nested dicts, lists and tuples, and the way back."""
    if isinstance(structure, dict):
        keys = list(structure)
        leaves, rebuild_values = flatten([structure[key] for key in keys])
        return leaves, lambda new: dict(zip(keys, rebuild_values(new), strict=True))
    if not isinstance(structure, tuple | list):
        return [structure], lambda new: new[0]
    parts = [flatten(item) for item in structure]
    kind, rebuilds = type(structure), [(len(leaves), rebuild) for leaves, rebuild in parts]

    def rebuild(new: list[Any]) -> Any:  # which keeps none of the old leaves alive
        items, start = [], 0
        for count, part in rebuilds:
            items.append(part(new[start : start + count]))
            start += count
        return _made(kind, items)

    return [leaf for leaves, _ in parts for leaf in leaves], rebuild


def like(structure: Any, items: Iterable[Any]) -> Any:
    """``items`` as a tuple or a list of the same kind, named or not."""
    return _made(type(structure), items)


def _made(kind: type, items: Iterable[Any]) -> Any:
    return kind(*items) if hasattr(kind, "_fields") else kind(items)
