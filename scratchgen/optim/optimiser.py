"""What all optimisers have in common."""

from __future__ import annotations

from collections.abc import Iterable

from autograd import Tensor, backend
from autograd.backend import Array
from autograd.backend.threads import in_parts
from autograd.backend.whole import whole
from scratchgen.optim.flat import FlatParameters
from scratchgen.optim.state import Stateful

_BLOCK = 400_000
"""How many parameters are updated at a time on a CPU, so that they stay in its cache.

Smaller blocks would fit better, but two cores then ask so often for Python's lock that they wait
for each other: 650,000 parameters of Adam take 0.55 ms in blocks of 400,000 and 0.8 in 130,000.
"""

_PASSES = 8
"""About how often an update goes over them: more than a million numbers are worth a second core."""


class Optimiser(Stateful):
    """Changes parameters in place, one ``step()`` after each backward pass.

    The parameters become views of one buffer, ``flat``, so they must all have the same dtype, and
    only one optimiser can have them. ``learning_rate`` may be changed at any time, as a schedule
    does (:mod:`scratchgen.optim.schedules`).
    """

    def __init__(self, parameters: Iterable[Tensor], learning_rate: float) -> None:
        if not learning_rate >= 0:
            raise ValueError(f"{type(self).__name__}: learning_rate is {learning_rate}, below 0")
        super().__init__(FlatParameters(parameters))
        self.learning_rate = learning_rate

    @whole
    def step(self) -> None:
        """One update from the gradients that the last backward pass left, which are cleared."""
        self.steps += 1
        gradient = self.flat.collect_gradients()
        block = gradient.size if backend.current() == "cupy" else _BLOCK

        def update(start: int, stop: int) -> None:
            for first in range(start, stop, max(block, 1)):
                part = slice(first, min(first + block, stop))
                self._update(self.flat.data[part], gradient[part], part)

        in_parts(update, gradient.size, _PASSES * gradient.size)
        self.flat.changed()

    def _update(self, data: Array, g: Array, part: slice) -> None:
        """Change ``data``, a part of the parameters, by their gradient ``g``, both (n,).

        ``part`` is where they are in the flat buffers. ``self.steps`` is t: 1 in the first step.
        ``g`` is not needed afterwards and may be written over.
        """
        raise NotImplementedError

    def _check(self, **chosen: float) -> None:
        """Raise ValueError for a decay rate or momentum that is not from 0 to below 1."""
        for name, value in chosen.items():
            if not 0 <= value < 1:
                raise ValueError(f"{type(self).__name__}: {name} is {value}, not in [0, 1)")
