"""The classes that a model's distribution may be conditioned on."""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd import backend
from autograd.backend.whole import whole
from autograd.nn import one_hot


def checked_labels(model: Any, context: Any, n: int, *, unknown: bool = False) -> Any:
    """``context``, labels (n,) or one for all, as labels (n,); None for a model without classes.

    Raises ValueError if they are missing, too much, or of another number, and on the CPU if one is
    no class; a GPU would have to be waited for. ``unknown``: −1 is allowed, for a class not known.
    """
    name, classes = type(model).__name__, getattr(model.config, "classes", 0)
    if context is None and classes:
        raise ValueError(f"{name} is class-conditional: pass context, labels 0 … {classes - 1}")
    if context is None:
        return None
    if not classes:
        raise ValueError(f"{name} is not class-conditional: context must be None")
    if np.shape(context) not in ((), (n,)):
        raise ValueError(f"{name}: context {np.shape(context)}, expected one label or ({n},)")
    labels = np.zeros(n, int) + context
    _check_range(name, labels, classes, unknown)
    return labels


@whole
def _check_range(name: str, labels: Any, classes: int, unknown: bool) -> None:
    if backend.current() != "numpy" or not labels.size:
        return
    low, high = labels.min(), labels.max()
    if not (-1 if unknown else 0) <= low <= high < classes:
        expected = f"0 to {classes - 1}" + ", or -1" * unknown
        raise ValueError(f"{name}: labels of {low} to {high}, expected {expected}")


def labels_as_vectors(model: Any, context: Any, n: int) -> Any:
    """The same as vectors (n, classes), each with a 1 at its label: what networks are given."""
    labels = checked_labels(model, context, n)
    return None if labels is None else one_hot(labels, model.config.classes, model.dtype)
