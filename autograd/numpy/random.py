"""Random numbers of the current backend: ``autograd.numpy.random.normal(…)`` and so on."""

from typing import Any

from autograd.backend import xp


def __getattr__(name: str) -> Any:
    return getattr(xp.random, name)
