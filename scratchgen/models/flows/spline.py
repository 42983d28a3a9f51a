"""Neural spline flow: couplings that transform each number by a spline.

C. Durkan, A. Bekasov, I. Murray and G. Papamakarios (2019), "Neural spline flows".

A coupling leaves half of the numbers as they are, and transforms each of the others by a monotone
function, which a network chooses that sees the first half. In Real NVP that is x exp(s) + t, and it
takes many couplings to make several modes of one. Here it is a rational-quadratic spline of K bins
(:mod:`scratchgen.transforms.spline`): flexible, with an exact inverse as cheap as itself, so that
density and draws take one run of each network.

    x → coupling → coupling of the other half → coupling of yet another half → … → z

Splines take the interval [−B, B] to itself, and leave numbers outside of it alone. So data should
lie within it; noise from beyond is not changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from scratchgen.config import require
from scratchgen.models.flows.flow import ImageFlow, ImageFlowConfig, PointConfig, PointFlow
from scratchgen.nn import MLP, zeros
from scratchgen.transforms.coupling import half
from scratchgen.transforms.shapes import Flatten
from scratchgen.transforms.spline import RationalQuadraticSpline, SplineCoupling
from scratchgen.transforms.transform import Compose, Transform

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class SplineConfig(ImageFlowConfig):
    """The defaults train well on the packaged digits."""

    couplings: int = 6
    """How many there are, one after the other."""
    bins: int = 8
    """Of a spline: K."""
    bound: float = 3.0
    """B; beyond it a spline is the identity. With alpha = 0.05 images lie within 2.95."""
    alpha: float = 0.05
    hidden: int = 128
    """Units of each of the two hidden layers of a coupling's network."""
    dropout: float = 0.1
    """Rate of them that are dropped in training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.height * self.width > 1, "width", "such that there are two pixels")
        require(self, 0 <= self.dropout < 1, "dropout", "from 0 to below 1")
        _check(self)


@dataclass(frozen=True)
class SplinePointsConfig(PointConfig):
    """The defaults train well on the packaged two-dimensional densities."""

    couplings: int = 4
    """How many there are, one after the other."""
    bins: int = 16
    """Of a spline: K."""
    bound: float = 5.0
    """B; beyond it a spline is the identity, and the points should lie within."""
    hidden: int = 64
    """Units of each of the two hidden layers of a coupling's network."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.dimensions >= 2, "dimensions", "at least 2")
        _check(self)


def _check(config: SplineConfig | SplinePointsConfig) -> None:
    require(config, config.couplings >= 1, "couplings", "at least 1")
    require(config, config.hidden >= 1, "hidden", "at least 1")
    least = RationalQuadraticSpline.least  # width of a bin
    require(config, config.bins * least < 1, "bins", f"below {1 / least:g}")
    RationalQuadraticSpline(config.bins, config.bound)  # says what is wrong with these


# --------------------------------------------------------------------------------------- models


def _couplings(
    config: Any, masks: Sequence[Any], rng: Any, dropout: float = 0.0
) -> list[Transform]:
    """Couplings of numbers in a row (N, d): each mask, and then the opposite of it, by turns."""
    spline, d = RationalQuadraticSpline(config.bins, config.bound), config.dimensions
    found: list[Transform] = []
    for i in range(config.couplings):
        mask = masks[i // 2 % len(masks)]
        network = MLP(
            d,
            d * spline.numbers,
            rng,
            hidden=config.hidden,
            context=config.classes,
            dropout=dropout,
            last=zeros,  # at first all is the identity
        )
        found.append(SplineCoupling(1 - mask if i % 2 else mask, network, spline))
    return found


def _stripes(height: int, width: int, colours: int) -> list[Any]:
    """Masks of all numbers in a row: of every other pixel, every other column, every other row."""
    pixel = np.arange(height * width * colours) // colours
    row, column = pixel // width, pixel % width
    parities = [row + column] + [column] * (width > 1) + [row] * (height > 1)
    return [(parity % 2 == 0).astype("float32") for parity in parities]


class SplineFlow(ImageFlow):
    """P(x), or P(x | label), for images x (N, height, width, colours) of integer levels."""

    def __init__(self, config: SplineConfig, rng: Any) -> None:
        shape = config.height, config.width, config.colours
        couplings = _couplings(config, _stripes(*shape), rng, config.dropout)
        super().__init__(config, Compose([Flatten(shape), *couplings]), rng)


class SplinePoints(PointFlow):
    """p(x), or p(x | label), for points x (N, D)."""

    def __init__(self, config: SplinePointsConfig, rng: Any) -> None:
        couplings = _couplings(config, [half(config.dimensions)], rng)
        super().__init__(config, Compose(couplings))
