"""Glow: invertible 1 × 1 convolutions between coupling layers, at several scales.

D. P. Kingma and P. Dhariwal (2018), "Glow: Generative flow with invertible 1 × 1 convolutions".

A *step of flow* (figure 2a) has three layers, each invertible with a cheap determinant:

- *actnorm* scales and shifts the channels, at first so that they have mean 0 and variance 1;
- an *invertible 1 × 1 convolution* mixes the channels, which a coupling can only change by halves;
- an *affine coupling* scales and shifts one half by what a network makes of the other half. The
  network's last layer starts at zero, so that the step is linear at first, and training starts
  well however many steps there are.

Of images, the architecture is multi-scale (figure 2b). At each of L scales, every 2 × 2 pixels
become one with four times the channels, K steps follow, and then half of the channels are done:
they are noise z, and the others go on to the next scale, at which a pixel sees twice as far:

    (h, w, c) → squeeze → (h/2, w/2, 4c) → K steps → split → z (h/2, w/2, 2c) and on (h/2, w/2, 2c)

In the last coupling before a split, the half that goes on is the one that the network sees. So
given this half, what is done is normal, with a mean and a variance that the network predicts. (The
authors' code has a learnt prior for that.)

A point, (N, D), is an image of one pixel with D channels, and K steps are all of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scratchgen.config import require
from scratchgen.models.flows.flow import ImageFlow, ImageFlowConfig, PointConfig, PointFlow
from scratchgen.nn import MLP, ConvNet, zeros
from scratchgen.transforms.actnorm import ActNorm
from scratchgen.transforms.coupling import AffineCoupling, channelwise, half
from scratchgen.transforms.invertible1x1 import Invertible1x1
from scratchgen.transforms.shapes import Flatten, Split, Squeeze
from scratchgen.transforms.transform import Compose, Transform

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class GlowConfig(ImageFlowConfig):
    """The defaults train well on the packaged digits."""

    scales: int = 2
    """L in the paper: the image is squeezed, and all but the last time split, so often."""
    depth: int = 8
    """K in the paper: steps of flow at each scale."""
    hidden: int = 64
    """Channels of the hidden layers of the networks in the couplings."""
    dropout: float = 0.1
    """Rate of these that are dropped in training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.scales >= 1, "scales", "at least 1")
        for name in ("height", "width"):
            require(self, getattr(self, name) >= 2, name, "at least 2 to be squeezed")
        most = min(self.height, self.width).bit_length() - 1  # 2^scales is at most either side
        image = f"{self.height} × {self.width} pixels"
        require(self, self.scales <= most, "scales", f"at most {most} for images of {image}")
        for name in ("height", "width"):
            side = 2**self.scales
            fits = getattr(self, name) % side == 0
            require(self, fits, name, f"divisible by {side} to be squeezed {self.scales} times")
        require(self, self.depth >= 1, "depth", "at least 1")
        require(self, self.hidden >= 1, "hidden", "at least 1")
        require(self, 0 <= self.dropout < 1, "dropout", "from 0 to below 1")


@dataclass(frozen=True)
class GlowPointsConfig(PointConfig):
    """The defaults train well on the packaged two-dimensional densities."""

    depth: int = 8
    """K in the paper: steps of flow."""
    hidden: int = 64
    """Units of the two hidden layers of the networks in the couplings."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.dimensions >= 2, "dimensions", "at least 2 to be coupled")
        require(self, self.depth >= 1, "depth", "at least 1")
        require(self, self.hidden >= 1, "hidden", "at least 1")


# --------------------------------------------------------------------------------------- images


class Glow(ImageFlow):
    """P(x), or P(x | label), of images (N, height, width, colours) of integer levels, bounded."""

    def __init__(self, config: GlowConfig, rng: Any) -> None:
        shape = config.height, config.width, config.colours
        super().__init__(config, _scale(shape, config.scales, config, rng), rng)


def _scale(shape: tuple[int, int, int], scales: int, config: GlowConfig, rng: Any) -> Compose:
    """Images of that shape to vectors (N, d), in so many scales from this one on."""
    height, width, channels = shape[0] // 2, shape[1] // 2, 4 * shape[2]
    transforms: list[Transform] = [Squeeze()]
    for _ in range(config.depth):
        network = ConvNet(
            channels,
            2 * channels,
            rng,
            hidden=config.hidden,
            context=config.classes,
            dropout=config.dropout,
        )
        mask = channelwise(channels, flip=True)  # the second half, which goes on, is seen
        transforms += _step(channels, mask, network, rng)
    if scales == 1:
        return Compose([*transforms, Flatten((height, width, channels))])
    rest = _scale((height, width, channels // 2), scales - 1, config, rng)
    return Compose([*transforms, Split(rest)])


def _step(width: int, mask: Any, network: Any, rng: Any) -> list[Transform]:
    """A step of flow."""
    return [ActNorm(width), Invertible1x1(width, rng), AffineCoupling(mask, network)]


# --------------------------------------------------------------------------------------- points


class GlowPoints(PointFlow):
    """p(x), or p(x | label), for points x (N, D)."""

    def __init__(self, config: GlowPointsConfig, rng: Any) -> None:
        width = config.dimensions
        transforms: list[Transform] = []
        for _ in range(config.depth):
            network = MLP(
                width, 2 * width, rng, hidden=config.hidden, context=config.classes, last=zeros
            )
            transforms += _step(width, half(width), network, rng)
        super().__init__(config, Compose(transforms))
