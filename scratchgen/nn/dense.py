"""The dense (fully connected) layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
from autograd import Tensor
from autograd.nn import dense, dense_relu
from scratchgen.nn.initialisers import he_normal
from scratchgen.nn.module import Module


class Dense(Module):
    """y = x W + b over the last axis: (…, inputs) → (…, outputs)."""

    def __init__(self, inputs: int, outputs: int, rng: Any, init: Callable = he_normal) -> None:
        self.weight = Tensor(init(rng, (inputs, outputs), fan_in=inputs, fan_out=outputs))
        self.bias = Tensor(np.zeros(outputs, "float32"))

    def __call__(self, x: Any) -> Any:
        return dense(x, self.weight, self.bias)

    def rectified(self, x: Any) -> Any:
        """relu(x W + b), as one operation."""
        return dense_relu(x, self.weight, self.bias)
