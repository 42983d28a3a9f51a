"""The embedding layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from autograd import Tensor
from autograd.nn import embedding
from scratchgen.nn.initialisers import lecun_normal
from scratchgen.nn.module import Module


class Embedding(Module):
    """A learned vector for each of ``count`` symbols: integers (…) → (…, outputs).

    The same as a dense layer without bias on one-hot codes. As one number of such a code is not 0,
    each vector is initialised as if it had one input: N(0, 1).

    Raises TypeError for indices that are not integers and, on NumPy, ValueError for one that is not
    from 0 to count − 1.
    """

    def __init__(self, count: int, outputs: int, rng: Any, init: Callable = lecun_normal) -> None:
        self.weight = Tensor(init(rng, (count, outputs), fan_in=1, fan_out=outputs))

    def __call__(self, indices: Any) -> Any:
        return embedding(self.weight, indices)
