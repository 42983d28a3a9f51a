"""Masked autoregressive flow: each number is normal given those before it, several times over.

G. Papamakarios, T. Pavlakou and I. Murray (2017), "Masked autoregressive flow for density
estimation".

One masked autoregressive transform (:mod:`scratchgen.transforms.autoregressive`),

    z_i = (x_i − µ_i(x_<i)) exp(−α_i(x_<i)),

makes standard normal noise of data in which every number is normal given those before it. Other
data leave a z that still has some structure. So this is modelled in turn by another transform, in
the reversed order, and so on (§3.1), with an actnorm before each, where the paper has batch
normalisation:

    x → actnorm → autoregressive, forward → actnorm → autoregressive, reversed → … → z

The density of data takes one run of each network, a draw D runs: one for every number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scratchgen.config import require
from scratchgen.models.flows.flow import ImageFlow, ImageFlowConfig, PointConfig, PointFlow
from scratchgen.transforms.actnorm import ActNorm
from scratchgen.transforms.autoregressive import MaskedAutoregressive
from scratchgen.transforms.shapes import Flatten
from scratchgen.transforms.transform import Compose, Transform

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class MAFConfig(ImageFlowConfig):
    """The defaults train well on the packaged digits."""

    depth: int = 4
    """Autoregressive transforms."""
    hidden: int = 256
    """Units of a hidden layer of their networks."""
    layers: int = 1
    """Hidden layers of each."""
    dropout: float = 0.5
    """Rate of the hidden units that are dropped in training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self)
        require(self, 0 <= self.dropout < 1, "dropout", "from 0 to below 1")


@dataclass(frozen=True)
class MAFPointsConfig(PointConfig):
    """The defaults train well on the packaged two-dimensional densities."""

    depth: int = 8
    """Autoregressive transforms."""
    hidden: int = 64
    """Units of a hidden layer of their networks."""
    layers: int = 2
    """Hidden layers of each."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self)


def check_sizes(config: Any) -> None:
    """Raise ValueError unless there is at least one of all that a flow is made of."""
    for name in ("depth", "hidden", "layers"):
        require(config, getattr(config, name) >= 1, name, "at least 1")


# --------------------------------------------------------------------------------------- models


def autoregressive_layers(
    config: Any,
    rng: Any,
    *,
    dropout: float = 0.0,
    direction: Callable[[Transform], Transform] = lambda layer: layer,
) -> list[Transform]:
    """``depth`` pairs of an actnorm and an autoregressive transform, the orders by turns.

    ``direction``: Inverse for transforms that are autoregressive from noise to data.
    """
    found: list[Transform] = []
    for number in range(config.depth):
        layer = MaskedAutoregressive(
            config.dimensions,
            rng,
            hidden=config.hidden,
            layers=config.layers,
            context=config.classes,
            order="reversed" if number % 2 else "forward",
            dropout=dropout,
        )
        found += [ActNorm(config.dimensions), direction(layer)]
    return found


class MAF(ImageFlow):
    """P(x), or P(x | label), for images x (N, height, width, colours) of integer levels."""

    def __init__(self, config: MAFConfig, rng: Any) -> None:
        flat = Flatten((config.height, config.width, config.colours))
        layers = autoregressive_layers(config, rng, dropout=config.dropout)
        super().__init__(config, Compose([flat, *layers]), rng)


class MAFPoints(PointFlow):
    """p(x), or p(x | label), for points x (N, D)."""

    def __init__(self, config: MAFPointsConfig, rng: Any) -> None:
        super().__init__(config, Compose(autoregressive_layers(config, rng)))
