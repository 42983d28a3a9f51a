"""Diagonal BiLSTM: a PixelRNN that goes over the diagonals of an image and sees all earlier pixels.

A. van den Oord, N. Kalchbrenner and K. Kavukcuoglu (2016), "Pixel Recurrent Neural Networks", §3.2.

One LSTM starts from the upper left corner, another from the upper right. The state of a pixel is
computed from those of the pixel above it and of the one beside it, on the side where the LSTM comes
from, so that all pixels of a diagonal can be computed at once. To have the diagonals as columns,
the image is skewed: each row is moved one place further to the right than the row above it.

    a b c              a b c · ·
    d e f    skewed    · d e f ·       column by column: a, then d b, then g e c, …
    g h i              · · g h i

There, the pixel above (b, for e) and the one to the left (d) are both in the column before, in the
row above and in the same row: a convolution of that column with a 2 × 1 kernel. What is outside the
image does no harm. On the left it has zero gates and stays at the state of zero, as if padded; on
the right it is not zero, but only reached by what is itself outside.

The LSTM from the left sees of ■ what is above and to the left, ■ included (its features know only
earlier pixels). The one from the right would see what is above and to the right, and in the row
of ■ that is the future. So its map is moved down by one row before the two are added:

    from the left    ▪ ▪ ▪ · ·    from the right    · · ▪ ▪ ▪    moved down    · · ▪ ▪ ▪
                     ▪ ▪ ▪ · ·                      · · ▪ ▪ ▪                  · · ▪ ▪ ▪
                     ▪ ▪ ■ · ·                      · · ■ ▪ ▪                  · · ■ · ·

So one layer sees all earlier pixels, for any size of the image. It takes one thing more, which the
paper does not mention. Features know only what is before their pixel, so none in a row knows the
value of its last pixel, and below it would be seen only where the first kernel reaches it. Hence
the image gets one more column on the right, a margin of zeros, whose features know all of the row
and whose own values are not predicted. The rest is in :mod:`.pixelrnn`.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from scratchgen.models.autoregressive.pixelrnn import (
    CachedStates,
    LineLSTM,
    PixelRNN,
    PixelRNNConfig,
    RecurrentLayer,
    States,
)

# ----------------------------------------------------------------------------------------- skew


def skew(x: Any) -> Any:
    """Row i of images moved by i to the right: (N, H, W, C) → (N, H, W + H − 1, C).

    With H zeros after each row, rows are W + H long. Cut again into rows that are one shorter, row
    i starts i places earlier than it did, so what it holds stands i places further on:

        a b c · · ·         a b c · ·
        d e f · · ·    →    · d e f ·
        g h i · · ·         · · g h i   · · ·  (left over)
    """
    n, height, width, channels = x.shape
    x = np.pad(x, ((0, 0), (0, 0), (0, height), (0, 0)))
    x = x.reshape(n, -1, channels)[:, :-height]
    return x.reshape(n, height, width + height - 1, channels)


def unskew(x: Any) -> Any:
    """The images that were skewed: (N, H, W + H − 1, C) → (N, H, W, C), by the same way back."""
    n, height, length, channels = x.shape
    x = np.pad(x.reshape(n, -1, channels), ((0, 0), (0, height), (0, 0)))
    return x.reshape(n, height, length + 1, channels)[:, :, : length + 1 - height]


# --------------------------------------------------------------------------------------- layers


class DiagonalLayer(RecurrentLayer):
    """A residual layer with two LSTMs, whose h are added."""

    def __init__(self, config: PixelRNNConfig, rng: Any) -> None:
        self.from_left = LineLSTM(config, 1, (2, 1), rng)
        self.from_right = LineLSTM(config, 1, (2, 1), rng)
        super().__init__(config, rng)

    def states(self, x: Any) -> Any:
        left = diagonal_scan(self.from_left, x)
        right = np.flip(diagonal_scan(self.from_right, np.flip(x, 2)), 2)
        return left + moved_down(right)


def diagonal_scan(lstm: LineLSTM, x: Any) -> Any:
    """All h of an LSTM from the upper left corner: (N, H, W, 2h) → (N, H, W, h)."""
    return unskew(lstm.scan(skew(lstm.input(x)), axis=2))


def moved_down(x: Any) -> Any:
    """Each row of images (N, H, W, C) in the place of the next, and zeros in that of the first."""
    return np.pad(x[:, :-1], ((0, 0), (1, 0), (0, 0), (0, 0)))


class DiagonalBiLSTM(PixelRNN):
    """p(x) for images x (N, height, width, colours) of integer levels."""

    layer = DiagonalLayer

    def network(self, embedded: Any, rng: Any = None, context: Any = None) -> Any:
        return super().network(with_margin(embedded), rng, context)[:, :, :-1]

    def cached(self, n: int, context: Any) -> CachedStates:
        return _Cached(self, n, context)


def with_margin(x: Any) -> Any:
    """Images with a column of zeros on the right: (N, H, W, C) → (N, H, W + 1, C)."""
    return np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 0)))


# ------------------------------------------------------------------------------------- sampling


class _Cached(CachedStates):
    """Images being generated: a step of the LSTMs from the left for each value.

    Those from the right need a row whole, and are needed in the next one: they go over it when that
    begins. Their columns are counted from the right.
    """

    def __init__(self, model: DiagonalBiLSTM, n: int, context: Any) -> None:
        super().__init__(model, n, context)
        padded, self.embedded = model.first.padded(with_margin(self.embedded))
        self._inputs = {model.first: padded}
        above, left = (-1, 0), (0, -1)
        self._left = {
            x: States(x.from_left, self.embedded, [above, left], left) for x in model.layers
        }
        self._right = {
            x: States(x.from_right, self.embedded, [above, left], left) for x in model.layers
        }

    def logits(self, row: int, column: int, colour: int) -> Any:
        if row > 0 and column == colour == 0:
            self._finish(row - 1)
        return super().logits(row, column, colour)

    def states(self, layer: DiagonalLayer, x: Any) -> Any:
        row, column, colour = self.place
        z = self.apply(layer.from_left.input, x)[:, 0, 0]
        h = self._left[layer].step(z, *self.place)
        mirrored = self.embedded.shape[2] - 1 - column
        return (h + self._right[layer].at(row - 1, mirrored, colour))[:, None, None]

    def _finish(self, row: int) -> None:
        """What the next row needs of this one, all of whose values are known."""
        _, _, width, colours = self.image.shape
        for colour in range(colours):
            super().logits(row, width, colour)  # for the states of the margin
        for layer, states in self._right.items():
            x = self._inputs[layer.from_left.input][:, row : row + 1]  # as the kernel is 1 × 1
            z = np.flip(layer.from_right.input(x), 2)  # (n, 1, W + 1, 4h)
            for column in range(width + 1):
                states.step(z[:, 0, column], row, column)
