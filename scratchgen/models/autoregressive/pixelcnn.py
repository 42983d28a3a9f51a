"""PixelCNN: a convolutional network that predicts each pixel from those before it.

A. van den Oord, N. Kalchbrenner and K. Kavukcuoglu (2016), "Pixel Recurrent Neural Networks".

The pixels x_1, …, x_d of an image are taken in raster order, row by row, and the density is the
product of the conditional distributions of each given those before it (eq. 1):

    p(x) = Π_i p(x_i | x_1, …, x_{i−1})

The colours of a pixel have an order as well: G is given R, and B is given both (eq. 2):

    p(x_i | x_<i) = p(x_i,R | x_<i) p(x_i,G | x_<i, x_i,R) p(x_i,B | x_<i, x_i,R, x_i,G)

Each factor is a categorical distribution over the levels (§2.2), or with two levels a Bernoulli
distribution. One network computes the logits of all of them at once. Its convolutions are masked
(§3.4, :mod:`scratchgen.nn.masked`), so that what it says about a value depends on earlier values
only: training is parallel over pixels, and sampling (:mod:`.images`) goes one value at a time.

A stack of such convolutions does not see all of the earlier pixels. With 3 × 3 kernels a layer that
reaches one row up reaches one column to the right, so from row r − k at most the columns up to
c + k reach the pixel (r, c). Those further to the right are the *blind spot*, which the gated
PixelCNN removes. (A larger first kernel, of side 2s + 1, moves it s − 1 columns to the right.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from autograd.nn import dropout, relu
from scratchgen.config import require
from scratchgen.models.autoregressive.images import AutoregressiveModel, CachedGeneration
from scratchgen.models.images import ImageConfig, logits_of
from scratchgen.nn import MaskedConv, Module
from scratchgen.nn.initialisers import glorot_normal, zeros

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class PixelCNNConfig(ImageConfig):
    """The defaults train well on the packaged digits."""

    channels: int = 64
    """Features of a pixel between blocks; 2h in the paper."""
    blocks: int = 6
    """Residual blocks."""
    first_size: int = 5
    """Side of the first layer's kernel, which has mask A."""
    dropout: float = 0.3
    """Rate of the features of each block that are dropped in training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.blocks >= 1, "blocks", "at least 1")
        least = 2 * self.colours
        even = self.channels >= least and self.channels % 2 == 0
        require(self, even, "channels", f"even, from {least} up")
        odd = self.first_size >= 3 and self.first_size % 2 == 1
        require(self, odd, "first_size", "odd, from 3 up")
        require(self, 0 <= self.dropout < 1, "dropout", "from 0 to below 1")


# --------------------------------------------------------------------------------------- layers

Apply = Callable[[MaskedConv, Any], Any]
"""How a masked convolution is applied: to a whole image, or to one value in sampling."""


class ResidualBlock(Module):
    """h + f(h), where f squeezes the features to half, mixes pixels, and expands (figure 5, left).

    The expansion starts at zero, so a new block is the identity and the depth of the network does
    no harm at the start of training (H. Zhang et al. 2019, "Fixup initialization").
    """

    def __init__(self, channels: int, rng: Any, colours: int = 1) -> None:
        half = channels // 2
        self.squeeze = MaskedConv(channels, half, 1, "B", rng, colours=colours)
        self.conv = MaskedConv(half, half, 3, "B", rng, colours=colours)
        self.expand = MaskedConv(half, channels, 1, "B", rng, zeros, colours=colours)

    def __call__(self, h: Any, apply: Apply, rate: float, rng: Any) -> Any:
        f = apply(self.squeeze, relu(h))
        f = relu(apply(self.conv, relu(f)))
        if rng is not None:
            f = dropout(f, rate, rng)
        return h + apply(self.expand, f)


class PixelCNN(AutoregressiveModel):
    """p(x) for images x (N, height, width, colours) of integer levels."""

    def __init__(self, config: PixelCNNConfig, rng: Any) -> None:
        self.config = config
        channels, colours = config.channels, config.colours
        out = colours * logits_of(config.levels)
        self.first = MaskedConv(3 * colours, channels, config.first_size, "A", rng, colours=colours)
        self.blocks = [ResidualBlock(channels, rng, colours) for _ in range(config.blocks)]
        self.hidden = MaskedConv(channels, channels, 1, "B", rng, colours=colours)
        self.output = MaskedConv(channels, out, 1, "B", rng, glorot_normal, colours=colours)

    def network(self, embedded: Any, rng: Any = None, context: Any = None) -> Any:
        """Logits (N, H, W, colours, levels) of every value given those before it.

        ``embedded``: the image, ``embed(x)``. ``rng``: a generator for dropout; None (as in
        evaluation) for no dropout. ``context`` is None: the model has no classes.
        """
        y = self.forward(embedded, lambda conv, x: conv(x), rng)
        return y.reshape(*y.shape[:-1], self.config.colours, -1)

    def forward(self, h: Any, apply: Apply, rng: Any = None, biases: Any = ()) -> Any:
        """All layers: (N, H, W, 3 · colours) → (N, H, W, colours · levels).

        ``biases``: none, or for each block what is added to its input (N, H, W, channels).
        """
        h = apply(self.first, h)
        for i, block in enumerate(self.blocks):
            h = block(h + biases[i] if biases else h, apply, self.config.dropout, rng)
        return apply(self.output, relu(apply(self.hidden, relu(h))))

    def cached(self, n: int, context: Any) -> CachedGeneration:
        return _Cached(self, n, context)


class _Cached(CachedGeneration):
    def logits(self, row: int, column: int, colour: int) -> Any:
        self.place = row, column, colour
        return self.model.forward(self.embedded, self.apply)[:, 0, 0]
