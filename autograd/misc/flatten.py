"""Parameters in dicts, lists and tuples as one vector, and back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from autograd import numpy as np
from autograd import structures


def flatten(value: Any) -> tuple[Any, Callable[[Any], Any]]:
    """(vector, unflatten): all numbers in a structure, and the way back. Both are differentiable.

    ``unflatten(vector)`` has the structure, shapes and floating-point types of ``value``. Raises
    ValueError for a vector of another length. Dicts go by their sorted keys, so that a gradient
    whose dict was filled in another order still meets its parameters.
    """
    leaves, rebuild = structures.flatten(_with_sorted_keys(value))
    shapes = [np.shape(leaf) for leaf in leaves]
    dtypes = [np.result_type(leaf) for leaf in leaves]
    ends = [0]
    for shape in shapes:
        ends.append(ends[-1] + math.prod(shape))

    def unflatten(vector: Any) -> Any:
        if vector.shape != (ends[-1],):
            raise ValueError(f"unflatten: expected a vector ({ends[-1]},), got {vector.shape}")
        return rebuild([part(vector, i) for i in range(len(leaves))])

    def part(vector: Any, i: int) -> Any:
        piece = np.reshape(vector[ends[i] : ends[i + 1]], shapes[i])
        is_same = dtypes[i].kind != "f" or dtypes[i] == vector.dtype
        return piece if is_same else np.astype(piece, dtypes[i])

    pieces = [np.reshape(np.asarray(leaf), (-1,)) for leaf in leaves]
    return np.concatenate(pieces) if pieces else np.zeros(0), unflatten


def _with_sorted_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _with_sorted_keys(value[key]) for key in sorted(value)}
    if not isinstance(value, tuple | list):
        return value
    items = map(_with_sorted_keys, value)
    return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)


def flatten_func(func: Callable, example: Any) -> tuple[Callable, Callable[[Any], Any], Any]:
    """(f, unflatten, vector): ``func``, from a structure to one, as f from a vector to a vector."""
    vector, unflatten = flatten(example)

    def flat(vector: Any, *args: Any) -> Any:
        return flatten(func(unflatten(vector), *args))[0]

    return flat, unflatten, vector
