"""Convolutions that see only what is before a pixel by a shift of the image, and not by a mask.

Where an image is padded decides what a convolution sees. With all the zeros above it, the output
■ stands in the last row of the kernel, and sees the rows down to its own: *down-shifted*. With the
zeros above and to the left, it stands in the last corner: *down-right-shifted*.

    down-shifted, 2 × 3    ▪ ▪ ▪        down-right-shifted, 2 × 2    ▪ ▪
                           ▪ ■ ▪                                     ▪ ■

All weights count, and there is no mask to apply. Both see the place ■ itself: a first layer, whose
input is the image, is shifted a row further down or a column further to the right.

At stride 2 the output (i, j) is that at (2i, 2j), so it knows nothing after that place. On the way
back, a transposed convolution spreads (i, j) to the rows 2i and 2i + 1 and, down-right-shifted, the
columns 2j and 2j + 1, all of which may know it.

T. Salimans, A. Karpathy, X. Chen and D. P. Kingma (2017), "PixelCNN++: improving the PixelCNN with
discretized logistic mixture likelihood and other modifications", §2.3; A. van den Oord et al.
(2016), "Conditional Image Generation with PixelCNN Decoders", §2.2, for convolutions by shifts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
from autograd import Tensor
from autograd.nn import conv, conv_transpose
from scratchgen.nn.initialisers import he_normal
from scratchgen.nn.module import Module


class ShiftedConv(Module):
    """A shifted convolution of images: (N, H, W, C) → (N, ⌈H / stride⌉, ⌈W / stride⌉, D).

    ``right``: whether it is shifted to the right too, and not only down. ``size``: the kernel's
    (height, width); without ``right`` the width is odd. ``further``: rows down and columns to the
    right that the output is shifted beyond that, after which its own place is not seen.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: tuple[int, int],
        rng: Any,
        init: Callable = he_normal,
        *,
        right: bool = False,
        stride: int = 1,
        further: tuple[int, int] = (0, 0),
    ) -> None:
        height, width = size
        fans = {"fan_in": height * width * inputs, "fan_out": height * width * outputs}
        self.weight = Tensor(init(rng, (height, width, inputs, outputs), **fans))
        self.bias = Tensor(np.zeros(outputs, "float32"))
        self.stride = stride
        self.above = height - 1 + further[0]
        """Rows of zeros above the image."""
        self.left = (width - 1 if right else width // 2) + further[1]
        """Columns of zeros to the left of it."""
        self.right = 0 if right else width // 2

    def __call__(self, x: Any) -> Any:
        _, height, width, _ = x.shape
        pads = ((self.above, 0), (self.left, self.right))
        y = conv(x, self.weight, self.bias, padding=pads, stride=self.stride)
        # the last row or column is one too many if the output is shifted further
        return y[:, : -(-height // self.stride), : -(-width // self.stride)]

    # ------------------------------------------------------- one row or one pixel, for sampling

    def empty(self, n: int, height: int, width: int) -> Any:
        """Zeros for n images (N, H, W, C) of the input, with the zeros around them."""
        shape = (n, self.above + height, self.left + width + self.right, self.weight.shape[2])
        return np.zeros(shape, self.weight.dtype)

    def put(self, padded: Any, row: int, columns: slice, x: Any) -> None:
        """Write the input x (N, 1, columns, C) into one row of ``padded``."""
        place = slice(self.left + columns.start, self.left + columns.stop)
        padded[:, self.above + row, place] = x[:, 0]

    def at(self, padded: Any, row: int, columns: slice) -> Any:
        """The output at these columns of one row of the input: (N, 1, ⌈columns / stride⌉, D).

        ``padded``: the input with zeros around it, see :meth:`empty`.
        """
        height, width = self.weight.shape[:2]
        patch = padded[:, row : row + height, columns.start : columns.stop + width - 1]
        return conv(patch, self.weight, self.bias, stride=self.stride)


class ShiftedConvTranspose(Module):
    """The transpose of a shifted convolution at stride 2: (N, H, W, C) → (N, 2H, 2W, D).

    Its kernel is 2 × 3 or, with ``right``, 2 × 2.
    """

    def __init__(
        self, inputs: int, outputs: int, rng: Any, init: Callable = he_normal, *, right: bool
    ) -> None:
        width = 2 if right else 3
        reach = 2 * width / 4  # positions of the kernel that meet at one output
        fans = {"fan_in": reach * inputs, "fan_out": 2 * width * outputs}
        self.weight = Tensor(init(rng, (2, width, outputs, inputs), **fans))
        self.bias = Tensor(np.zeros(outputs, "float32"))
        self.options = {
            "stride": 2,
            "padding": ((0, 0), (0, 0) if right else (1, 1)),
            "output_padding": (0, 0 if right else 1),
        }

    def __call__(self, x: Any) -> Any:
        return conv_transpose(x, self.weight, self.bias, **self.options)
