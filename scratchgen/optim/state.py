"""What an optimiser must remember to go on, as host arrays by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy

import autograd.numpy as np
from autograd import backend
from autograd.backend import Array
from scratchgen.optim.flat import FlatParameters


class Stateful:
    """A count of steps and flat buffers, one number in each for each parameter.

    A process that loads the state (and the weights) goes on exactly, bit for bit, as the one that
    saved it would have. What is chosen rather than computed, such as the learning rate, is not part
    of it: give it to the constructor again.
    """

    def __init__(self, flat: FlatParameters) -> None:
        self.flat = flat
        self.steps = 0  # so far
        self._buffers: dict[str, Array] = {}

    def state(self) -> dict[str, numpy.ndarray]:
        """Copies, on the host: ``steps``, a single int64, and the buffers by name."""
        copies = {name: backend.to_numpy(x).copy() for name, x in self._buffers.items()}
        return {"steps": numpy.array(self.steps, "int64"), **copies}

    def load_state(self, values: Mapping[str, Any]) -> None:
        """Go on from what :meth:`state` returned, here or in another process.

        Raises ValueError, and changes nothing, if a name is missing or unknown or an array has
        another shape or dtype.
        """
        expected: dict[str, Any] = {"steps": numpy.array(0, "int64"), **self._buffers}
        owner = type(self).__name__
        for name, x in expected.items():
            if name not in values:
                raise ValueError(f"load_state: {name!r} is missing; {owner} needs it")
            value = values[name]
            if value.shape != x.shape or value.dtype != x.dtype:
                raise ValueError(
                    f"load_state: {name!r} is {value.dtype} of shape {value.shape}; "
                    f"{owner} needs {x.dtype} of shape {x.shape}"
                )
        if extra := values.keys() - expected.keys():
            raise ValueError(f"load_state: {owner} has no {min(extra)!r} in its state")
        self.steps = int(values["steps"])
        for name, x in self._buffers.items():
            x[...] = backend.asarray(values[name])

    def restart(self) -> None:
        """Forget all steps so far."""
        self.steps = 0
        for x in self._buffers.values():
            x[...] = 0

    def _buffer(self, name: str) -> Array:
        """A new buffer of zeros that becomes part of the state."""
        self._buffers[name] = np.zeros_like(self.flat.data)
        return self._buffers[name]
