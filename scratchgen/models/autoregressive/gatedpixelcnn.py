"""Gated PixelCNN: two stacks of convolutions that together see every earlier pixel.

A. van den Oord, N. Kalchbrenner, O. Vinyals, L. Espeholt, A. Graves and K. Kavukcuoglu (2016),
"Conditional Image Generation with PixelCNN Decoders".

The density is that of the PixelCNN (:mod:`.pixelcnn`): p(x | label) = Π_i p(x_i | x_<i, label), in
raster order. The network differs in three things.

*No blind spot* (§2.2). For the pixel ■ the vertical stack sees the rows above it, in full width,
and the horizontal stack the pixels to its left in its own row; the horizontal one also gets what
the vertical one found, but not the reverse, or later pixels of a row would be seen by earlier ones:

    vertical    ▪ ▪ ▪ ▪ ▪        horizontal    · · · · ·
                ▪ ▪ ▪ ▪ ▪                      · · · · ·
                · · ■ · ·                      ▪ ▪ ■ · ·

So the vertical features of a whole row are known when the row above is, and sampling computes them
once per row.

*Gated units* (§2.1, eq. 2): y = tanh(W_f ∗ x) ⊙ σ(W_g ∗ x).

*Classes* (§2.3, eq. 4): y = tanh(W_f ∗ x + V_f h) ⊙ σ(W_g ∗ x + V_g h), with h the label's one-hot
vector, so that V h is a row of a table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd.nn import dropout, gated, relu
from scratchgen.config import require
from scratchgen.models.autoregressive.images import AutoregressiveModel, CachedGeneration
from scratchgen.models.images import ImageConfig, logits_of
from scratchgen.nn import Conv, Embedding, MaskedConv, Module
from scratchgen.nn.initialisers import glorot_normal, zeros
from scratchgen.nn.masked import RowsConv

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class GatedPixelCNNConfig(ImageConfig):
    """The defaults train well on the packaged digits."""

    classes: int = 0
    """Labels that the images are conditioned on; 0 for an unconditional model."""
    channels: int = 32
    """Features of a pixel in each stack; p in the paper."""
    layers: int = 4
    """Gated layers after the first."""
    first_size: int = 5
    """Side of the first layer's kernels, which have mask A."""
    dropout: float = 0.3
    """Rate of the features of each horizontal layer that are dropped in training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.layers >= 1, "layers", "at least 1")
        require(self, self.classes >= 0, "classes", "at least 1, or 0 for none")
        multiple = self.channels >= 1 and self.channels % self.colours == 0
        require(self, multiple, "channels", f"a multiple of colours={self.colours}")
        odd = self.first_size >= 3 and self.first_size % 2 == 1
        require(self, odd, "first_size", "odd, from 3 up")
        require(self, 0 <= self.dropout < 1, "dropout", "from 0 to below 1")


# --------------------------------------------------------------------------------------- layers

Apply = Callable[[Any, Any], Any]
"""How a masked convolution is applied: to a whole image, or in sampling to one row or value."""


class GatedLayer(Module):
    """One layer of both stacks (figure 2)."""

    def __init__(
        self, inputs: int, size: int, mask: str, config: GatedPixelCNNConfig, rng: Any
    ) -> None:
        p, colours = config.channels, config.colours
        self.colour_size = p // colours
        self.vertical = RowsConv(inputs, 2 * p, size, mask, rng, glorot_normal)
        self.link = Conv(2 * p, 2 * p, 1, rng, glorot_normal)
        self.horizontal = MaskedConv(
            inputs, 2 * p, (1, size), mask, rng, glorot_normal, colours=colours
        )
        self.expand = MaskedConv(p, p, 1, "B", rng, glorot_normal, colours=colours)
        if config.classes:
            self.vertical_labels = Embedding(config.classes, 2 * p, rng, zeros)
            self.horizontal_labels = Embedding(config.classes, 2 * p, rng, zeros)

    def down(self, v: Any, apply: Apply, context: Any) -> tuple[Any, Any]:
        """The vertical stack: its features (N, H, W, p), and what the other stack gets (…, 2p)."""
        v = apply(self.vertical, v)
        if context is not None:
            v = v + self.vertical_labels(context)[:, None, None]
        above = self.link(v)
        if context is not None:
            above = above + self.horizontal_labels(context)[:, None, None]
        return self.gate(v), above

    def across(self, h: Any, above: Any, apply: Apply, rate: float, rng: Any) -> Any:
        """The horizontal stack, before its residual connection: features (N, H, W, p)."""
        y = self.gate(apply(self.horizontal, h) + above)
        if rng is not None:
            y = dropout(y, rate, rng)
        return apply(self.expand, y)

    def gate(self, y: Any) -> Any:
        """tanh(f) ⊙ σ(g), for y = (f, g) of each colour in turn: (…, 2p) → (…, p)."""
        pairs = y.reshape(*y.shape[:-1], -1, 2 * self.colour_size)
        return gated(pairs).reshape(*y.shape[:-1], -1)


class GatedPixelCNN(AutoregressiveModel):
    """p(x), or p(x | label), for images x (N, height, width, colours) of integer levels."""

    def __init__(self, config: GatedPixelCNNConfig, rng: Any) -> None:
        self.config = config
        p, colours = config.channels, config.colours
        out = colours * logits_of(config.levels)
        self.layers = [GatedLayer(3 * colours, config.first_size, "A", config, rng)]
        self.layers += [GatedLayer(p, 3, "B", config, rng) for _ in range(config.layers)]
        self.hidden = MaskedConv(p, p, 1, "B", rng, colours=colours)
        self.output = MaskedConv(p, out, 1, "B", rng, glorot_normal, colours=colours)

    @property
    def first(self) -> MaskedConv:
        """The convolution of the horizontal stack that sees the image itself."""
        return self.layers[0].horizontal

    def network(self, embedded: Any, rng: Any = None, context: Any = None) -> Any:
        """Logits (N, H, W, colours, levels) of every value given those before it.

        ``embedded``: the image, ``embed(x)``. ``rng``: a generator for dropout; None (as in
        evaluation) for no dropout. ``context``: labels (N,), or None without classes.
        """
        above = self.vertical(embedded, _to_image, context)
        y = self.horizontal(embedded, above, _to_image, rng)
        return y.reshape(*y.shape[:-1], self.config.colours, -1)

    def vertical(self, v: Any, apply: Apply, context: Any) -> list[Any]:
        """What each layer of the horizontal stack gets from the rows above: (N, H, W, 2p) each."""
        links = []
        for layer in self.layers:
            v, above = layer.down(v, apply, context)
            links.append(above)
        return links

    def horizontal(self, h: Any, above: list[Any], apply: Apply, rng: Any = None) -> Any:
        """The horizontal stack, with residual connections but for the first layer, to the logits.

        (N, H, W, 3 · colours) → (N, H, W, colours · levels)
        """
        first, *others = zip(self.layers, above, strict=True)
        rate = self.config.dropout
        h = first[0].across(h, first[1], apply, rate, rng)
        for layer, link in others:
            h = h + layer.across(h, link, apply, rate, rng)
        return apply(self.output, relu(apply(self.hidden, relu(h))))

    def cached(self, n: int, context: Any) -> CachedGeneration:
        return _Cached(self, n, context)


def _to_image(conv: Any, x: Any) -> Any:
    return conv(x)


# ------------------------------------------------------------------------------------- sampling


class _Cached(CachedGeneration):
    """Images being generated: the vertical stack once per row, the horizontal one per value."""

    def __init__(self, model: GatedPixelCNN, n: int, context: Any) -> None:
        super().__init__(model, n, context)
        self._rows = {model.layers[0].vertical: self.embedded}  # inputs of the vertical layers
        self._above: list[Any] = []  # for the horizontal stack, of the current row

    def logits(self, row: int, column: int, colour: int) -> Any:
        self.place = row, column, colour
        if column == colour == 0:
            self._above = self.model.vertical(None, self._apply_to_row, self.context)
        width = 2 * self.model.layers[0].colour_size
        group = slice(colour * width, (colour + 1) * width)
        above = [x[:, :, column : column + 1, group] for x in self._above]
        return self.model.horizontal(None, above, self.apply)[:, 0, 0]

    def _apply_to_row(self, conv: RowsConv, x: Any) -> Any:
        """The output at the current row, from the input x (n, 1, W, C) there."""
        if conv not in self._rows:
            self._rows[conv] = np.zeros((*self.image.shape[:3], x.shape[-1]), x.dtype)
        if conv is not self.model.layers[0].vertical:  # whose input, the image, is there
            self._rows[conv][:, self.place[0]] = x[:, 0]
        return conv.at_row(self._rows[conv], self.place[0])
