"""The masked convolution of autoregressive models of images.

Pixels are generated in raster order: row by row from the top, each row from the left. What is
computed for a pixel may then depend only on the pixels before it, so the kernel of a convolution
is cut off at its centre (3 × 3 here; ■ is kept, · is masked):

    mask A  ■ ■ ■        mask B  ■ ■ ■
            ■ · ·                ■ ■ ·
            · · ·                · · ·

Mask A, for the first layer, leaves out the pixel itself, whose value is to be predicted. Mask B,
for the layers after it, keeps it: their input at that pixel does not know its value any more.

A. van den Oord et al. (2016), "Pixel Recurrent Neural Networks", §3.4 and figure 2.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd import Tensor
from autograd.nn import conv
from scratchgen.nn.initialisers import he_normal
from scratchgen.nn.module import Module


def causal_mask(size: int, kind: str) -> list[list[bool]]:
    """Which taps of a size × size kernel mask "A" or "B" keeps."""
    if kind not in ("A", "B"):
        raise ValueError(f"there are masks 'A' and 'B', not {kind!r}")
    if size % 2 == 0 or (size == 1 and kind == "A"):
        raise ValueError(f"a kernel with mask {kind} has an odd size, not {size}")
    centre = (size // 2, size // 2)
    last = centre if kind == "B" else (centre[0], centre[1] - 1)
    return [[(row, column) <= last for column in range(size)] for row in range(size)]


class MaskedConv(Module):
    """A convolution of images over the pixels before each pixel: (N, H, W, C) → (N, H, W, D).

    The image keeps its size: zeros are padded. Masked taps are never computed; their weights exist
    in ``weight`` (size, size, C, D), but are neither read nor changed.
    """

    def __init__(self, inputs: int, outputs: int, size: int, mask: str, rng: Any) -> None:
        self.mask = causal_mask(size, mask)
        self.kept = sum(map(sum, self.mask))  # as the mask follows raster order, the first ones
        fans = {"fan_in": inputs * self.kept, "fan_out": outputs * self.kept}
        self.weight = Tensor(he_normal(rng, (size, size, inputs, outputs), **fans))
        self.bias = Tensor(np.zeros(outputs, "float32"))

    @property
    def padding(self) -> int:
        """How many rows and columns of zeros surround the image."""
        return self.weight.shape[0] // 2

    def __call__(self, x: Any) -> Any:
        return conv(x, self.weight, self.bias, padding="same", taps=self.mask)

    def at(self, padded: Any, row: int, column: int) -> Any:
        """The output at one pixel alone, as an image of that pixel: (N, 1, 1, D).

        ``padded``, (N, H + 2p, W + 2p, C), is the input with its zeros around it, p = ``padding``.
        """
        size, _, channels, outputs = self.weight.shape
        patch = padded[:, row : row + size, column : column + size]
        x = patch.reshape(len(patch), -1)[:, : self.kept * channels]
        w = self.weight.reshape(-1, outputs)[: self.kept * channels]
        return (np.matmul(x, w) + self.bias).reshape(-1, 1, 1, outputs)
