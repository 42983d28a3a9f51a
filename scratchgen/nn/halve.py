"""Layers that halve the sides of images by convolutions in steps of two, and that double them.

No pooling and no unpooling: how an image is made smaller, or larger, is learnt (A. Radford, L. Metz
and S. Chintala 2016, "Unsupervised representation learning with deep convolutional generative
adversarial networks", §3). Odd sides are halved upwards, ⌈H / 2⌉, and doubled back to odd ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
from autograd import Tensor
from autograd.nn import conv, conv_transpose
from scratchgen.nn.conv import Conv
from scratchgen.nn.initialisers import he_normal
from scratchgen.nn.module import Module


class Halve(Conv):
    """A convolution in steps of two: (N, H, W, C) → (N, ⌈H / 2⌉, ⌈W / 2⌉, D)."""

    def __call__(self, x: Any) -> Any:
        return conv(x, self.weight, self.bias, stride=2, padding="same")


class Double(Module):
    """Its transpose: (N, ⌈H / 2⌉, ⌈W / 2⌉, C) → (N, H, W, D), with sides = (H, W) even or odd."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        sides: tuple[int, int],
        rng: Any,
        size: int = 3,
        init: Callable = he_normal,
    ) -> None:
        self.sides = sides
        # of the size² places of the kernel a quarter meets an input, on average
        fans = {"fan_in": size**2 * inputs // 4, "fan_out": size**2 * outputs}
        self.weight = Tensor(init(rng, (size, size, outputs, inputs), **fans))
        self.bias = Tensor(np.zeros(outputs, "float32"))

    def __call__(self, x: Any) -> Any:
        more = [1 - side % 2 for side in self.sides]  # than 2 ⌈side / 2⌉ − 1
        return conv_transpose(
            x, self.weight, self.bias, stride=2, padding="same", output_padding=more
        )


def halved_sides(height: int, width: int, times: int) -> list[tuple[int, int]]:
    """(H, W) of an image, of the image halved once, and so on, ``times`` times."""
    sides = [(height, width)]
    for _ in range(times):
        height, width = sides[-1]
        sides.append((-(-height // 2), -(-width // 2)))
    return sides
