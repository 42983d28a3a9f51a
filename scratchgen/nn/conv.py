"""The convolutional layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
from autograd import Tensor
from autograd.nn import conv
from scratchgen.nn.initialisers import he_normal
from scratchgen.nn.module import Module


class Conv(Module):
    """A convolution of images with a size × size kernel: (N, H, W, C) → (N, H, W, D).

    The image keeps its size: zeros are padded around it. With size 1 it is a dense layer on the
    channels of each pixel.
    """

    def __init__(
        self, inputs: int, outputs: int, size: int, rng: Any, init: Callable = he_normal
    ) -> None:
        fans = {"fan_in": inputs * size**2, "fan_out": outputs * size**2}
        self.weight = Tensor(init(rng, (size, size, inputs, outputs), **fans))
        self.bias = Tensor(np.zeros(outputs, "float32"))

    def __call__(self, x: Any) -> Any:
        return conv(x, self.weight, self.bias, padding="same")
