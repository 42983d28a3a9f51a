"""The dense layer in which some of the weights do not count."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
from autograd import Tensor
from scratchgen.nn.initialisers import he_normal
from scratchgen.nn.module import Module


class MaskedDense(Module):
    """y = x (W ⊙ M) + b over the last axis: (…, inputs) → (…, outputs).

    The mask M (inputs, outputs), booleans, is given with x, so one layer can be used with several.
    Where it is False a weight does not count, and gets no gradient; the weights themselves are
    never changed. They are initialised as if about half of them counted.
    """

    def __init__(self, inputs: int, outputs: int, rng: Any, init: Callable = he_normal) -> None:
        fans = {"fan_in": inputs / 2, "fan_out": outputs / 2}
        self.weight = Tensor(init(rng, (inputs, outputs), **fans))
        self.bias = Tensor(np.zeros(outputs, "float32"))

    def __call__(self, x: Any, mask: Any) -> Any:
        return np.matmul(x, self.weight * mask) + self.bias
