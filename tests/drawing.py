"""Sample arguments of the table, drawn by hypothesis and laid out in every way."""

from typing import Any

import numpy
from hypothesis import strategies as st

from autograd import backend
from autograd.structures import flatten
from autograd.table import Draw


class HypothesisDraw(Draw):
    """The table's source of samples with hypothesis behind it, so that failures shrink."""

    def __init__(self, data: Any) -> None:
        self._data = data

    def integer(self, low: int, high: int) -> int:
        return self._data.draw(st.integers(low, high))


def lay_out(x: numpy.ndarray, layout: str) -> numpy.ndarray:
    """The same values in another arrangement in memory."""
    if layout == "transposed":
        return numpy.asfortranarray(x) if x.ndim else x
    if layout == "strided":
        return numpy.repeat(x, 2, axis=-1)[..., ::2] if x.ndim else x
    if layout == "reversed":
        return numpy.flip(numpy.flip(x).copy())
    return x


LAYOUTS = ("contiguous", "transposed", "strided", "reversed")


def on_backend(args: tuple, kwargs: dict, dtype: Any = None, layout: str = "contiguous") -> tuple:
    """Arguments with their arrays on the current backend, floating-point ones as ``dtype``."""

    def convert(x: Any) -> Any:
        if not isinstance(x, numpy.ndarray):
            return x
        x = lay_out(x, layout)
        return backend.asarray(x.astype(dtype) if dtype and x.dtype.kind == "f" else x)

    leaves, rebuild = flatten([list(args), kwargs])
    args, kwargs = rebuild([convert(leaf) for leaf in leaves])
    return tuple(args), kwargs
