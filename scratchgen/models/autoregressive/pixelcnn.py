"""PixelCNN: a convolutional network that predicts each pixel from those before it.

A. van den Oord, N. Kalchbrenner and K. Kavukcuoglu (2016), "Pixel Recurrent Neural Networks".

The pixels x_1, …, x_d of an image are taken in raster order, row by row, and the density is the
product of the conditional distributions of each given those before it (eq. 1):

    p(x) = Π_i p(x_i | x_1, …, x_{i−1})

Each factor is a categorical distribution over the pixel's levels (§2.3). One network computes the
logits of all of them at once. Its convolutions are masked (§3.4, :mod:`scratchgen.nn.masked`), so
that what it says about a pixel depends on earlier pixels only: training is parallel over pixels,
and sampling goes one pixel at a time.

A stack of such convolutions does not see all of the earlier pixels. With 3 × 3 kernels a layer that
reaches one row up reaches one column to the right, so from row r − k at most the columns up to
c + k reach the pixel (r, c). Those further to the right are the *blind spot*, which the gated
PixelCNN removes. (A larger first kernel, of side 2s + 1, moves it s − 1 columns to the right.)

Here images have one channel, of ``levels`` grey levels.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd import no_grad
from autograd.nn import dropout, relu
from scratchgen.config import require
from scratchgen.distributions import categorical
from scratchgen.nn import Conv, MaskedConv, Module
from scratchgen.nn.initialisers import glorot_normal, zeros

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class PixelCNNConfig:
    """The defaults train well on the packaged digits."""

    height: int = 8
    width: int = 8
    levels: int = 17
    channels: int = 64
    """Features of a pixel between blocks; 2h in the paper."""
    blocks: int = 6
    first_size: int = 5
    """Side of the first layer's kernel, which has mask A."""
    dropout: float = 0.3
    """Rate of the features of each block that are dropped in training."""

    def __post_init__(self) -> None:
        for name in ("height", "width", "blocks"):
            require(self, getattr(self, name) >= 1, name, "at least 1")
        require(self, self.levels >= 2, "levels", "at least 2")
        require(self, self.channels >= 2 and self.channels % 2 == 0, "channels", "even, from 2 up")
        odd = self.first_size >= 3 and self.first_size % 2 == 1
        require(self, odd, "first_size", "odd, from 3 up")
        require(self, 0 <= self.dropout < 1, "dropout", "from 0 to below 1")


# --------------------------------------------------------------------------------------- layers

Apply = Callable[[MaskedConv, Any], Any]
"""How a masked convolution is applied: to a whole image, or to one pixel in sampling."""


class ResidualBlock(Module):
    """h + f(h), where f squeezes the features to half, mixes pixels, and expands (figure 5, left).

    The expansion starts at zero, so a new block is the identity and the depth of the network does
    no harm at the start of training (H. Zhang et al. 2019, "Fixup initialization", §2).
    """

    def __init__(self, channels: int, rng: Any) -> None:
        self.squeeze = Conv(channels, channels // 2, 1, rng)
        self.conv = MaskedConv(channels // 2, channels // 2, 3, "B", rng)
        self.expand = Conv(channels // 2, channels, 1, rng, zeros)

    def __call__(self, h: Any, apply: Apply, rate: float, rng: Any) -> Any:
        f = self.squeeze(relu(h))
        f = relu(apply(self.conv, relu(f)))
        if rng is not None:
            f = dropout(f, rate, rng)
        return h + self.expand(f)


class PixelCNN(Module):
    """p(x) for images x (N, height, width, 1) of integer levels."""

    def __init__(self, config: PixelCNNConfig, rng: Any) -> None:
        self.config = config
        channels = config.channels
        self.first = MaskedConv(3, channels, config.first_size, "A", rng)
        self.blocks = [ResidualBlock(channels, rng) for _ in range(config.blocks)]
        self.hidden = Conv(channels, channels, 1, rng)
        self.output = Conv(channels, config.levels, 1, rng, glorot_normal)

    def embed(self, x: Any) -> Any:
        """What the network sees of an image: (N, H, W, 1) → (N, H, W, 3).

        Each pixel is its level, scaled to [−1, 1], and its row and column, likewise.
        """
        height, width = self.config.height, self.config.width
        rows = np.linspace(-1, 1, height)[:, None, None] * np.ones((1, width, 1))
        columns = np.linspace(-1, 1, width)[:, None] * np.ones((height, 1, 1))
        place = np.concatenate([rows, columns], -1).astype(self._dtype)  # (H, W, 2)
        place = np.broadcast_to(place, (len(x), height, width, 2))
        return np.concatenate([self.scaled(x), place], -1)

    def scaled(self, x: Any) -> Any:
        """Levels 0 … levels − 1 as numbers from −1 to 1."""
        return x.astype(self._dtype) * (2 / (self.config.levels - 1)) - 1

    @property
    def _dtype(self) -> Any:
        return self.first.weight.dtype

    def network(self, embedded: Any, rng: Any = None) -> Any:
        """Logits (N, H, W, levels) of every pixel given those before it, from ``embed(x)``.

        ``rng``: a generator for dropout; None (as in evaluation) for no dropout.
        """
        return self.after_first(self.first(embedded), _to_image, rng)

    def after_first(self, h: Any, apply: Apply, rng: Any = None) -> Any:
        """The rest of the network, from the first layer's output to the logits."""
        for block in self.blocks:
            h = block(h, apply, self.config.dropout, rng)
        return self.output(relu(self.hidden(relu(h))))

    # ------------------------------------------------------------------------------- likelihood

    def log_prob(self, x: Any, *, rng: Any = None) -> Any:
        """ln p(x) in nats per image: x (N, H, W, 1) of integers 0 … levels − 1 → (N,).

        ``rng``: a generator for dropout, in training; None for the density itself.
        """
        expected = (self.config.height, self.config.width, 1)
        if x.shape[1:] != expected:
            raise ValueError(
                f"PixelCNN: images {tuple(x.shape)}, expected (N, {', '.join(map(str, expected))})"
            )
        logits = self.network(self.embed(x), rng)  # (N, H, W, levels)
        return np.sum(categorical.log_prob(logits, x[..., 0]), axis=(1, 2))

    def loss(self, batch: Any, rng: Any) -> tuple[Any, dict[str, Any]]:
        """−ln p of a batch of images, in nats per image, and what to report about it."""
        nats = -np.mean(self.log_prob(batch, rng=rng))
        return nats, {"nats": nats.detach()}

    # --------------------------------------------------------------------------------- sampling

    def sample(
        self, n: int, rng: Any, method: str = "cached", given: Any = None, known: Any = None
    ) -> Any:
        """``n`` images (n, H, W, 1), drawn pixel by pixel from their conditional distributions.

        ``method``: "cached" keeps every layer's features of earlier pixels and computes for a new
        pixel only its own, in a time that grows with the number of pixels; "naive" runs the whole
        network for each pixel. With the same ``rng`` both give the same images.

        ``given`` and ``known`` complete occluded images: where the boolean ``known`` holds, the
        pixel is that of ``given`` and not drawn. Both must broadcast to (n, H, W, 1).
        """
        methods = {"cached": _Cached, "naive": _Naive}
        if method not in methods:
            raise ValueError(f"sample: there are the methods 'cached' and 'naive', not {method!r}")
        if (given is None) != (known is None):
            raise ValueError("sample: to complete images pass both given and known")
        shape = (n, self.config.height, self.config.width, 1)
        if given is not None:
            given, known = np.broadcast_to(given, shape), np.broadcast_to(known, shape)
        with no_grad():
            state = methods[method](self, n)
            for row, column in itertools.product(range(shape[1]), range(shape[2])):
                level = categorical.sample(state.logits(row, column), rng)  # (n,)
                if given is not None:
                    at = (slice(None), row, column, 0)
                    level = np.where(known[at], given[at], level)
                state.put(row, column, level)
        return state.image


class _Naive:
    """Images being generated, every pixel by a run of the whole network."""

    def __init__(self, model: PixelCNN, n: int) -> None:
        self.model = model
        self.image = np.zeros((n, model.config.height, model.config.width, 1), int)

    def logits(self, row: int, column: int) -> Any:
        """Logits (N, levels) of the pixel (row, column) given those before it."""
        return self.model.network(self.model.embed(self.image))[:, row, column]

    def put(self, row: int, column: int, level: Any) -> None:
        """Set that pixel to levels (N,)."""
        self.image[:, row, column, 0] = level


class _Cached(_Naive):
    """The same with the input of every masked convolution kept, with its zeros around it."""

    def __init__(self, model: PixelCNN, n: int) -> None:
        super().__init__(model, n)
        self._inputs = {model.first: _padded(model.embed(self.image), model.first.padding)}

    def logits(self, row: int, column: int) -> Any:
        def apply(conv: MaskedConv, x: Any) -> Any:  # x, (N, 1, 1, C), is the input at this pixel
            if conv not in self._inputs:
                shape = (*self.image.shape[:-1], x.shape[-1])
                self._inputs[conv] = _padded(np.zeros(shape, x.dtype), conv.padding)
            self._inputs[conv][:, conv.padding + row, conv.padding + column] = x[:, 0, 0]
            return conv.at(self._inputs[conv], row, column)

        first = self.model.first
        h = first.at(self._inputs[first], row, column)  # mask A: it does not see the pixel itself
        return self.model.after_first(h, apply)[:, 0, 0]

    def put(self, row: int, column: int, level: Any) -> None:
        super().put(row, column, level)
        p = self.model.first.padding
        embedded = self._inputs[self.model.first]
        embedded[:, p + row, p + column, 0] = self.model.scaled(level)


def _padded(x: Any, p: int) -> Any:
    return np.pad(x, ((0, 0), (p, p), (p, p), (0, 0)))


def _to_image(conv: MaskedConv, x: Any) -> Any:
    return conv(x)
