"""Nested dicts, lists and tuples of arrays."""

from __future__ import annotations

from collections.abc import Callable
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
    counts = [len(leaves) for leaves, _ in parts]

    def rebuild(new: list[Any]) -> Any:
        items, start = [], 0
        for (_, part), count in zip(parts, counts, strict=True):
            items.append(part(new[start : start + count]))
            start += count
        return type(structure)(*items) if hasattr(structure, "_fields") else type(structure)(items)

    return [leaf for leaves, _ in parts for leaf in leaves], rebuild
