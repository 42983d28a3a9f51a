"""PixelCNN++: a PixelCNN of several scales that knows that levels are numbers.

T. Salimans, A. Karpathy, X. Chen and D. P. Kingma (2017), "PixelCNN++: improving the PixelCNN with
discretized logistic mixture likelihood and other modifications".

The density is that of the PixelCNN (:mod:`.pixelcnn`), p(x) = Π_i p(x_i | x_<i) over the pixels in
raster order, and the network has the two streams of the gated PixelCNN (:mod:`.gatedpixelcnn`), of
which the vertical one sees the rows above a pixel and the horizontal one the pixels to its left as
well. What is different:

*Mixtures of logistics* (§2.1, :mod:`scratchgen.distributions.discretised_logistic_mixture`). In
place of a logit for each level, the network gives a pixel a few logistic distributions, each with
its weight π, mean µ and scale s. A level has the probability of its bin, so that from the start
close levels have close probabilities.

*Whole pixels* (§2.2). The network knows nothing of the colours within a pixel. Each component is a
distribution of all three, whose means depend on each other linearly. The better a component
explains red, the likelier it is the one that green is drawn from:

    p(g | r) = Σ_k w_k p_k(g | r),    w_k ∝ π_k p_k(r)

*Several scales* (§2.3) with *short cuts* (§2.4). Each stream goes down to half size and further by
convolutions of stride 2, and back up by transposed ones. On the way up, the last block also gets
what the first one found, the one before it what the second found, and so on: no detail is lost.

    8 × 8   ■ → ■ ↘                 ↗ ■ → ■
    4 × 4           ■ → ■ ───→ ■ → ■

The convolutions are shifted ones (:mod:`scratchgen.nn.shifted`). Row i of a scale knows the rows to
2i of the next larger one, and is made known to its rows 2i and 2i + 1, and likewise for columns: so
nothing is told to what comes before it. Row 2i + 1 learns of row 2i in the larger scale only, and
sees as far in it as the convolutions of that scale reach.

*Dropout* (§2.5) in every block. The paper's weight normalisation is left out: its gains start from
data. Instead, each block starts as the identity.

Sampling computes no feature twice (P. Ramachandran et al. 2017, "Fast generation for convolutional
autoregressive models"). A scale of half the size has new ones at every second pixel of every second
row alone.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd.nn import dropout, elu, sigmoid
from scratchgen.config import require
from scratchgen.distributions import discretised_logistic_mixture as logistics
from scratchgen.distributions import mixture
from scratchgen.models.autoregressive.images import AutoregressiveModel, Generation
from scratchgen.models.images import ImageConfig
from scratchgen.nn import Conv, Module, ShiftedConv, ShiftedConvTranspose
from scratchgen.nn.initialisers import he_normal, lecun_normal, zeros

SMALLEST_LOG_SCALE = -7.0
"""Of a logistic. With 256 levels in [−1, 1], one bin then has nearly all of its probability."""

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class PixelCNNPPConfig(ImageConfig):
    """The defaults train well on the packaged digits."""

    channels: int = 32
    """Features of a pixel in each stream; 160 in the paper."""
    scales: int = 2
    """Sizes of the image that the streams see, each half of the one before; 3 in the paper."""
    blocks: int = 1
    """Gated residual blocks in a row: at each scale, down and up; 5 in the paper."""
    components: int = 5
    """Logistics in a mixture; 10 in the paper."""
    dropout: float = 0.4
    """Rate of the features of each block that are dropped in training; 0.5 in the paper."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.colours in (1, 3), "colours", "1 or 3")
        for name in ("channels", "scales", "blocks", "components"):
            require(self, getattr(self, name) >= 1, name, "at least 1")
        require(self, 0 <= self.dropout < 1, "dropout", "from 0 to below 1")


# --------------------------------------------------------------------------------------- layers


def concat_elu(x: Any) -> Any:
    """elu of x and of −x, so that both signs get through: (…, C) → (…, 2C)."""
    return elu(np.concatenate([x, -x], -1))


def shifted(
    inputs: int, outputs: int, right: bool, rng: Any, init: Callable = he_normal, stride: int = 1
) -> ShiftedConv:
    """A convolution of the horizontal stream (``right``) or of the vertical one."""
    size = (2, 2) if right else (2, 3)
    return ShiftedConv(inputs, outputs, size, rng, init, right=right, stride=stride)


class Block(Module):
    """h + a ⊙ σ(b), where two convolutions make a and b from h and from short cuts.

    It starts as the identity: the convolution that gives a and b starts at zero.
    """

    def __init__(self, channels: int, right: bool, joined: int, rate: float, rng: Any) -> None:
        """``joined``: how many short cuts there are, of as many channels each."""
        self.first = shifted(2 * channels, channels, right, rng)
        self.link = Conv(2 * joined * channels, channels, 1, rng) if joined else None
        self.second = shifted(2 * channels, 2 * channels, right, rng, zeros)
        self.rate = rate

    def __call__(self, h: Any, short_cuts: list[Any], apply: Any, rng: Any) -> Any:
        y = apply(self.first, concat_elu(h))
        if self.link is not None:
            y = y + self.link(concat_elu(np.concatenate(short_cuts, -1)))
        y = concat_elu(y)
        if rng is not None:
            y = dropout(y, self.rate, rng)
        a, b = np.split(apply(self.second, y), 2, -1)
        return h + a * sigmoid(b)


class Scale(Module):
    """The blocks of one stream at one scale, and between down and up those of the scale below."""

    def __init__(self, config: PixelCNNPPConfig, right: bool, rng: Any, scale: int = 0) -> None:
        def blocks(joined: int) -> list[Block]:
            each = config.channels, right, joined, config.dropout, rng
            return [Block(*each) for _ in range(config.blocks)]

        self.down = blocks(joined=int(right))  # the horizontal stream gets the vertical one
        self.up = blocks(joined=int(right) + 1)
        self.below = None
        if scale + 1 < config.scales:
            c = config.channels
            self.smaller = shifted(c, c, right, rng, lecun_normal, stride=2)
            self.below = Scale(config, right, rng, scale + 1)
            self.larger = ShiftedConvTranspose(c, c, rng, lecun_normal, right=right)

    def __call__(self, h: Any, above: Any, apply: Any, rng: Any) -> list[list[Any]]:
        """(N, H, W, C) → the features after each block, for this scale and for each one below.

        The last ones of this scale, ``[0][-1]``, are the result. ``above``: the same of the
        vertical stream, for the horizontal one, or None.
        """
        links = [[x] for x in above[0]] if above else [[]] * len(self.down + self.up)
        found: list[Any] = []
        below: list[list[Any]] = []
        for block in self.down:
            h = block(h, links[len(found)], apply, rng)
            found.append(h)
        if self.below is not None:
            height, width = h.shape[1:3]
            h = apply(self.smaller, h)
            if h is not None:  # in sampling it is at every second place only
                below = self.below(h, above[1:] if above else None, apply.below, rng)
                h = below[0][-1]
            h = apply(self.larger, h)[:, :height, :width]  # odd sides have been rounded up
        for block, opposite in zip(self.up, found[::-1], strict=True):
            h = block(h, [*links[len(found)], opposite], apply, rng)
            found.append(h)
        return [found, *below]


class ToImage:
    """How a layer is applied to whole images; :class:`ToPlace` is the other way."""

    def __call__(self, layer: Any, x: Any) -> Any:
        return layer(x)

    @property
    def below(self) -> ToImage:
        """The way of the scale below."""
        return self


class PixelCNNPP(AutoregressiveModel):
    """p(x) for images x (N, height, width, colours) of integer levels."""

    def __init__(self, config: PixelCNNPPConfig, rng: Any) -> None:
        self.config = config
        c, k, inputs = config.channels, config.components, 3 * config.colours
        first = {"inputs": inputs, "outputs": c, "rng": rng, "init": lecun_normal}
        self.rows_above = ShiftedConv(size=(2, 3), further=(1, 0), **first)
        self.pixels_left = ShiftedConv(size=(2, 1), further=(0, 1), right=True, **first)
        self.vertical = Scale(config, False, rng)
        self.horizontal = Scale(config, True, rng)
        each = 10 if config.colours == 3 else 3  # parameters of a component
        self.output = Conv(2 * c, each * k, 1, rng, zeros)
        self._spread_out()

    def _spread_out(self) -> None:
        """Let the components start side by side, so that together they cover all levels."""
        k, colours = self.config.components, self.config.colours
        bias = np.zeros((k, len(self.output.bias) // k), "float32")
        bias[:, 1 : 1 + colours] = (2 * np.arange(k)[:, None] + 1) / k - 1  # means
        bias[:, 1 + colours : 1 + 2 * colours] = -math.log(k)  # log-scales
        self.output.bias[...] = bias.reshape(-1)

    # ---------------------------------------------------------------------------------- network

    def mixture(self, embedded: Any, rng: Any = None) -> Any:
        """The parameters (N, H, W, K, 3 or 10) of every pixel's mixture, from ``embed(x)``.

        ``rng``: a generator for dropout; None (as in evaluation) for no dropout.
        """
        above = self.look_up(embedded, ToImage(), rng)
        return self.look_left(embedded, above, ToImage(), rng)

    def look_up(self, embedded: Any, apply: Any, rng: Any = None) -> list[list[Any]]:
        """What the vertical stream finds, for each scale and block."""
        return self.vertical(apply(self.rows_above, embedded), None, apply, rng)

    def look_left(self, embedded: Any, above: list[list[Any]], apply: Any, rng: Any = None) -> Any:
        """The horizontal stream, to the mixture's parameters."""
        h = self.horizontal(apply(self.pixels_left, embedded), above, apply, rng)[0][-1]
        y = self.output(concat_elu(h))
        return y.reshape(*y.shape[:-1], self.config.components, -1)

    def split(self, parameters: Any) -> tuple[Any, Any, Any, Any]:
        """A mixture's logits (…, K) and means, log-scales and coefficients (…, K, colours)."""
        colours = self.config.colours
        logits, mean, log_scale, coefficients = (
            parameters[..., a:b]
            for a, b in itertools.pairwise([0, 1, 1 + colours, 1 + 2 * colours, None])
        )
        log_scale = np.maximum(log_scale, SMALLEST_LOG_SCALE)
        return logits[..., 0], mean, log_scale, np.tanh(coefficients)

    # ------------------------------------------------------------------------------- likelihood

    def log_prob(self, x: Any, context: Any = None, *, rng: Any = None) -> Any:
        """ln p(x) in nats per image: x (N, H, W, colours) of integers 0 … levels − 1 → (N,).

        ``context``: None, as there are no classes. ``rng``: a generator for dropout, in training;
        None for the density itself. Raises ValueError for images of another shape.
        """
        self.check(x)
        self.labels(context, len(x))  # refuses any
        logits, mean, log_scale, coefficients = self.split(self.mixture(self.embed(x), rng))
        levels = self.config.levels
        if self.config.colours == 3:
            pixels = logistics.log_prob_rgb(logits, mean, log_scale, coefficients, x, levels)
        else:
            pixels = logistics.log_prob(logits, mean[..., 0], log_scale[..., 0], x[..., 0], levels)
        return np.sum(pixels, axis=(1, 2))

    def network(self, embedded: Any, rng: Any = None, context: Any = None) -> Any:
        """Logits (N, H, W, colours, logits_of(levels)) of every value given those before it."""
        parameters = self.mixture(embedded, rng)
        x = np.round((embedded[..., ::3] + 1) * ((self.config.levels - 1) / 2)).astype(int)
        colours = range(self.config.colours)
        return np.stack([self.logits(parameters, x, colour) for colour in colours], -2)

    def logits(self, parameters: Any, x: Any, colour: int) -> Any:
        """Of a colour's levels given the earlier colours of its pixels x (…, colours).

        ``parameters``: (…, K, 3 or 10). With more than two levels these are ln p: (…, levels).
        """
        weights, mean, log_scale, coefficients = self.split(parameters)
        levels = self.config.levels
        v = self.scaled(x)[..., None, :]

        def component(colour: int, level: Any) -> Any:
            """ln p_k of a level given the earlier colours, for every component: (…, K)."""
            m = mean[..., colour]
            for earlier in range(colour):
                m = m + coefficients[..., colour - 1 + earlier] * v[..., earlier]
            return logistics.component_log_prob(m, log_scale[..., colour], level, levels)

        for earlier in range(colour):
            weights = weights + component(earlier, x[..., earlier, None])
        every = np.arange(levels).reshape(-1, *[1] * weights.ndim)
        log_p = np.moveaxis(mixture.log_prob(weights, component(colour, every)), 0, -1)
        return log_p if levels > 2 else log_p[..., 1:] - log_p[..., :1]

    def cached(self, n: int, context: Any) -> Generation:
        return _Cached(self, n, context)


# ------------------------------------------------------------------------------------- sampling


class ToPlace:
    """Layers applied at one row or at one pixel, where all before it has been computed.

    A shifted convolution reads its input from a copy of the whole that is kept. Of a transposed one
    the output is kept, as it is there before it is read.
    """

    def __init__(self, n: int, height: int, width: int, scales: int) -> None:
        self.shape = n, height, width
        self.below = ToPlace(n, -(-height // 2), -(-width // 2), scales - 1) if scales > 1 else None
        self._kept: dict[Any, Any] = {}

    def move(self, row: int, columns: slice) -> None:
        """Go to these columns, of a pixel or all, in that row."""
        self.row, self.columns = row, columns
        if self.below is not None:
            self.below.move(row // 2, slice(columns.start // 2, -(-columns.stop // 2)))

    def __call__(self, layer: Any, x: Any) -> Any:
        """The output of the layer at the place, from its input x (n, 1, columns, C) there.

        At stride 2 it is that of the scale below, or None where this has none of its own. If x is
        None, the input is what was kept.
        """
        if isinstance(layer, ShiftedConvTranspose):
            return self._spread(layer, x)
        if x is not None:
            self.put(layer, x)
        if self.row % layer.stride or self.columns.start % layer.stride:
            return None  # its output is at other places
        return layer.at(self._input(layer), self.row, self.columns)

    def put(self, layer: ShiftedConv, x: Any) -> None:
        """Keep the layer's input x at the place."""
        layer.put(self._input(layer), self.row, self.columns, x)

    def _input(self, layer: ShiftedConv) -> Any:
        if layer not in self._kept:
            self._kept[layer] = layer.empty(*self.shape)
        return self._kept[layer]

    def _spread(self, layer: ShiftedConvTranspose, x: Any) -> Any:
        """Up from the scale below, whose input x is there at every second place only."""
        if x is not None:
            y = layer(x)  # for two rows, and two columns to a pixel
            if layer not in self._kept:
                n, height, width = self.shape
                self._kept[layer] = np.zeros((n, height + 1, width + 1, y.shape[-1]), y.dtype)
            start = self.columns.start
            self._kept[layer][:, self.row : self.row + 2, start : start + y.shape[2]] = y
        return self._kept[layer][:, self.row : self.row + 1, self.columns]


class _Cached(Generation):
    """Images being generated: the vertical stream once per row, the horizontal one per pixel."""

    def __init__(self, model: PixelCNNPP, n: int, context: Any) -> None:
        super().__init__(model, n, context)
        self._rows, self._pixels = (
            ToPlace(n, *model.shape[:2], model.config.scales) for _ in range(2)
        )
        self._above: list[list[Any]] = []  # what the vertical stream finds for the current row
        self._parameters: Any = None  # of the current pixel's mixture

    def logits(self, row: int, column: int, colour: int) -> Any:
        if colour == 0:
            self._move(row, column)
        return self.model.logits(self._parameters, self.image[:, row, column], colour)

    def _move(self, row: int, column: int) -> None:
        if column == 0:
            self._rows.move(row, slice(0, self.model.shape[1]))
            self._above = self.model.look_up(None, self._rows)
        self._pixels.move(row, slice(column, column + 1))
        above = [
            [x[:, :, column >> scale : (column >> scale) + 1] for x in features]
            for scale, features in enumerate(self._above)
        ]
        self._parameters = self.model.look_left(None, above, self._pixels)[:, 0, 0]

    def put(self, row: int, column: int, colour: int, level: Any) -> None:
        super().put(row, column, colour, level)
        x = self.embedded[:, row : row + 1]
        self._pixels.put(self.model.pixels_left, x[:, :, column : column + 1])
        if column == self.model.shape[1] - 1:
            self._rows.put(self.model.rows_above, x)
