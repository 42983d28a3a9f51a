"""The masked convolutions of autoregressive models of images.

Pixels are generated in raster order: row by row from the top, each row from the left. What is
computed for a pixel may then depend only on the pixels before it, so the kernel of a convolution
is cut off at its centre (3 × 3 here; ■ is kept, · is masked):

    mask A  ■ ■ ■        mask B  ■ ■ ■
            ■ · ·                ■ ■ ·
            · · ·                · · ·

Mask A, for the first layer, leaves out the pixel itself, whose value is to be predicted. Mask B,
for the layers after it, keeps it: their input at that pixel does not know its value any more.

The colours of one pixel are generated in an order too, R, G, B. The features of a pixel are then
split into as many groups, each allowed to know only the colours before its own. At the centre of
the kernel, a feature of one group sees (mask A) the groups before it, (mask B) its own as well:

    mask A      from R G B        mask B      from R G B
         to R        · · ·             to R        ■ · ·
         to G        ■ · ·             to G        ■ ■ ·
         to B        ■ ■ ·             to B        ■ ■ ■

A. van den Oord et al. (2016), "Pixel Recurrent Neural Networks", §3.4 and figures 2 and 4. The
convolution over whole rows is from A. van den Oord et al. (2016), "Conditional Image Generation
with PixelCNN Decoders", §2.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
from autograd import Tensor, backend
from autograd.nn import conv
from scratchgen.nn.initialisers import he_normal
from scratchgen.nn.module import Module


def group_starts(features: int, colours: int) -> list[int]:
    """Where the group of each colour begins among the features, and where the last one ends."""
    return [-(-colour * features // colours) for colour in range(colours + 1)]


def causal_mask(size: int | tuple[int, int], kind: str) -> list[list[bool]]:
    """Which taps of a kernel of size × size, or height × width, mask "A" or "B" keeps."""
    height, width = (size, size) if isinstance(size, int) else size
    if kind not in ("A", "B"):
        raise ValueError(f"there are masks 'A' and 'B', not {kind!r}")
    if height % 2 == 0 or width % 2 == 0 or (height * width == 1 and kind == "A"):
        raise ValueError(f"a kernel with mask {kind} has odd sides, not {height} × {width}")
    centre = (height // 2, width // 2)
    last = centre if kind == "B" else (centre[0], centre[1] - 1)
    return [[(row, column) <= last for column in range(width)] for row in range(height)]


class MaskedConv(Module):
    """A convolution of images over the pixels before each pixel: (N, H, W, C) → (N, H, W, D).

    ``size``: the side of the kernel, or its (height, width); odd. The image keeps its size: zeros
    are padded. Masked weights exist in ``weight`` (height, width, C, D), but do not count and do
    not change; taps that are masked for all features are never computed.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int | tuple[int, int],
        mask: str,
        rng: Any,
        init: Callable = he_normal,
        *,
        colours: int = 1,
    ) -> None:
        # with several colours, some of a pixel's features see its own even with mask A
        self.taps = causal_mask(size, mask if colours == 1 else "B")
        height, width = len(self.taps), len(self.taps[0])
        self.before = height * width // 2  # taps before the centre, in raster order
        self.inputs, self.outputs = group_starts(inputs, colours), group_starts(outputs, colours)
        self.seen = self.inputs[:-1] if mask == "A" else self.inputs[1:]
        """How many input features at the centre the outputs of each colour see."""
        self.mask = self._mask(height, width) if colours > 1 else None
        groups = zip(self.seen, self.outputs, self.outputs[1:], strict=False)
        kept = self.before * inputs * outputs + sum(n * (b - a) for n, a, b in groups)  # weights
        fans = {"fan_in": kept / outputs, "fan_out": kept / inputs}  # means over the features
        self.weight = Tensor(init(rng, (height, width, inputs, outputs), **fans))
        self.bias = Tensor(np.zeros(outputs, "float32"))

    def _mask(self, height: int, width: int) -> Any:
        """Which weights count: (height, width, C, D). Only those of the centre differ by group."""
        before = [[i * width + j < self.before for j in range(width)] for i in range(height)]
        mask = np.zeros((height, width, self.inputs[-1], self.outputs[-1]), bool)
        mask[backend.asarray(before)] = True
        for colour, seen in enumerate(self.seen):
            mask[height // 2, width // 2, :seen, self._group(colour)] = True
        return mask

    def _group(self, colour: int) -> slice:
        """The output features of a colour."""
        return slice(self.outputs[colour], self.outputs[colour + 1])

    def __call__(self, x: Any) -> Any:
        weight = self.weight if self.mask is None else self.weight * self.mask
        return conv(x, weight, self.bias, padding="same", taps=self.taps)

    # ------------------------------------------------------------------- one pixel, for sampling

    @property
    def padding(self) -> int:
        """How many rows and columns of zeros surround the image."""
        return max(self.weight.shape[:2]) // 2

    def empty(self, x: Any) -> Any:
        """Zeros for the input of a whole image x (N, H, W, …), with the zeros around it."""
        count, height, width = x.shape[:3]
        p = self.padding
        shape = (count, height + 2 * p, width + 2 * p, self.inputs[-1])
        return np.zeros(shape, self.weight.dtype)

    def padded(self, x: Any) -> tuple[Any, Any]:
        """The input x (N, H, W, C) with zeros around it, and the view of x therein."""
        padded, p = self.empty(x), self.padding
        view = padded[:, p:-p, p:-p] if p else padded
        view[...] = x
        return padded, view

    def put(self, padded: Any, row: int, column: int, colour: int, x: Any) -> None:
        """Write the input features x (N, 1, 1, …) of one colour at one pixel into ``padded``."""
        group = slice(self.inputs[colour], self.inputs[colour + 1])
        padded[:, self.padding + row, self.padding + column, group] = x[:, 0, 0]

    def at(self, padded: Any, row: int, column: int, colour: int = 0) -> Any:
        """The output features of one colour at one pixel alone, as an image: (N, 1, 1, D').

        ``padded``, (N, H + 2p, W + 2p, C), is the input with its zeros around it, p = ``padding``.
        What a colour sees are the first entries of the kernel, its taps being in raster order.
        """
        height, width, channels, outputs = self.weight.shape
        group = self._group(colour)
        kept = self.before * channels + self.seen[colour]
        top, left = row + self.padding - height // 2, column + self.padding - width // 2
        patch = padded[:, top : top + height, left : left + width]
        x = patch.reshape(len(patch), -1)[:, :kept]
        w = self.weight.reshape(-1, outputs)[:kept, group]
        return (np.matmul(x, w) + self.bias[group]).reshape(len(x), 1, 1, -1)


class RowsConv(Module):
    """A convolution of images over whole rows above each pixel: (N, H, W, C) → (N, H, W, D).

    Of a size × size kernel these are the upper rows, in full width: with mask "A" only those above
    the centre, with mask "B" the row of the centre too. The image keeps its size: zeros are padded.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int,
        mask: str,
        rng: Any,
        init: Callable = he_normal,
    ) -> None:
        if mask not in ("A", "B"):
            raise ValueError(f"there are masks 'A' and 'B', not {mask!r}")
        if size % 2 == 0 or (size == 1 and mask == "A"):
            raise ValueError(f"a kernel with mask {mask} has an odd size, not {size}")
        rows = size // 2 + (mask == "B")
        fans = {"fan_in": rows * size * inputs, "fan_out": rows * size * outputs}
        self.weight = Tensor(init(rng, (rows, size, inputs, outputs), **fans))
        self.bias = Tensor(np.zeros(outputs, "float32"))

    def __call__(self, x: Any) -> Any:
        side = self.weight.shape[1] // 2
        y = conv(x, self.weight, self.bias, padding=((side, 0), (side, side)))
        return y[:, : x.shape[1]]  # with mask A there is a row too many: what all rows give

    def at_row(self, x: Any, row: int) -> Any:
        """The output at one row alone, from the input x (N, H, W, C): (N, 1, W, D)."""
        rows, size, _, _ = self.weight.shape
        first = row - size // 2
        above = x[:, max(first, 0) : max(first + rows, 0)]
        missing = rows - above.shape[1]  # rows over the top of the image
        return conv(above, self.weight, self.bias, padding=((missing, 0), (size // 2, size // 2)))
