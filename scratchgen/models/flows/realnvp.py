"""Real NVP: half of the numbers scale and shift the other half, at several scales of an image.

L. Dinh, J. Sohl-Dickstein and S. Bengio (2017), "Density estimation using Real NVP".

An affine coupling (:mod:`scratchgen.transforms.coupling`) leaves the numbers under a mask m as they
are, and a network of them says how the others are scaled and shifted (eq. 9):

    z = x ⊙ exp(s) + t,    (s, t) = (1 − m) ⊙ (a tanh ŝ, t̂),  (ŝ, t̂) = network(m ⊙ x)

Its inverse is as cheap, and its log-determinant is Σ s. Couplings alternate, so that what one
leaves the next one changes. For **points** the mask is the first half of the dimensions, then the
second, and so on, and the network is a multilayer perceptron.

For **images** the network is convolutional, and there are several scales (§§3.4 and 3.6). At each

    three couplings     with a checkerboard for a mask: of two neighbours, one predicts the other;
    squeeze             each 2 × 2 pixels become one of four times the channels, (H/2, W/2, 4C);
    three couplings     with half of the channels for a mask;
    split               half of the channels are done with, and are noise from here on,

and the other half goes on to the next scale, whose pixels are twice as large. The last scale has
four checkerboard couplings. So there is less and less to compute, and the numbers that leave early
are the fine detail, given what goes on: this half is what the last coupling before a split sees.

The networks of the paper are deep residual ones with batch normalisation; here they have three
convolutions (:class:`scratchgen.nn.ConvNet`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scratchgen.config import require
from scratchgen.models.flows.flow import ImageFlow, ImageFlowConfig, PointConfig, PointFlow
from scratchgen.nn import MLP, ConvNet, zeros
from scratchgen.transforms.coupling import AffineCoupling, channelwise, checkerboard, half
from scratchgen.transforms.shapes import Flatten, Split, Squeeze
from scratchgen.transforms.transform import Compose

# ---------------------------------------------------------------------------------------- images


@dataclass(frozen=True)
class RealNVPConfig(ImageFlowConfig):
    """The defaults train well on the packaged digits."""

    scales: int = 2
    """How many sizes of pixels there are; each after the first halves height and width."""
    hidden: int = 48
    """Channels inside of a coupling's network."""
    dropout: float = 0.15
    """Rate of these that are dropped in training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.scales >= 1, "scales", "at least 1")
        require(self, self.hidden >= 1, "hidden", "at least 1")
        require(self, 0 <= self.dropout < 1, "dropout", "from 0 to below 1")
        most = min(self.height, self.width).bit_length()  # 2^(scales − 1) is at most either side
        image = f"{self.height} × {self.width} pixels"
        require(self, self.scales <= most, "scales", f"at most {most} for images of {image}")
        least = 2 ** (self.scales - 1)
        for name in ("height", "width"):
            divisible = getattr(self, name) % least == 0
            require(self, divisible, name, f"a multiple of {least} with {self.scales} scales")
        pixels = self.height * self.width // least**2
        require(self, pixels >= 2, "scales", "so few that two pixels are left for the last")


class RealNVP(ImageFlow):
    """P(x), or P(x | label), of images (N, height, width, colours) of integer levels, bounded."""

    def __init__(self, config: RealNVPConfig, rng: Any) -> None:
        shape = config.height, config.width, config.colours
        super().__init__(config, _scale(shape, config.scales, config, rng), rng)


def _scale(shape: tuple[int, int, int], scales: int, config: RealNVPConfig, rng: Any) -> Compose:
    """Images of that shape to vectors (N, d), in so many scales from this one on."""
    height, width, channels = shape

    def coupling(mask: Any, channels: int) -> AffineCoupling:
        network = ConvNet(
            channels,
            2 * channels,
            rng,
            hidden=config.hidden,
            context=config.classes,
            dropout=config.dropout,
        )
        return AffineCoupling(mask, network)

    def checkerboards(count: int) -> list[AffineCoupling]:
        masks = [checkerboard(height, width, i % 2 == 1) for i in range(count)]
        return [coupling(mask, channels) for mask in masks]

    if scales == 1:
        return Compose([*checkerboards(4), Flatten(shape)])
    # the last of these couplings sees the second half, which goes on, and changes what is done
    halves = [channelwise(4 * channels, i % 2 == 0) for i in range(3)]
    smaller = height // 2, width // 2, 2 * channels  # of the four times as many, half go on
    return Compose(
        [
            *checkerboards(3),
            Squeeze(),
            *(coupling(mask, 4 * channels) for mask in halves),
            Split(_scale(smaller, scales - 1, config, rng)),
        ]
    )


# ---------------------------------------------------------------------------------------- points


@dataclass(frozen=True)
class RealNVPPointsConfig(PointConfig):
    """The defaults suit densities in the plane."""

    couplings: int = 8
    """Affine couplings, one after the other."""
    hidden: int = 64
    """Units of a hidden layer of their networks."""
    layers: int = 2
    """Hidden layers."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.dimensions >= 2, "dimensions", "at least 2")
        for name in ("couplings", "hidden", "layers"):
            require(self, getattr(self, name) >= 1, name, "at least 1")


class RealNVPPoints(PointFlow):
    """p(x), or p(x | label), of points (N, D)."""

    def __init__(self, config: RealNVPPointsConfig, rng: Any) -> None:
        width = config.dimensions

        def coupling(flip: bool) -> AffineCoupling:
            network = MLP(
                width,
                2 * width,
                rng,
                hidden=config.hidden,
                layers=config.layers,
                context=config.classes,
                last=zeros,
            )
            return AffineCoupling(half(width, flip), network)

        couplings = [coupling(i % 2 == 1) for i in range(config.couplings)]
        super().__init__(config, Compose(couplings))
