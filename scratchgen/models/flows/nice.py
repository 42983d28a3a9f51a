"""NICE: half of the numbers shift the other half, then the other way round, and all are scaled.

L. Dinh, D. Krueger and Y. Bengio (2014), "NICE: Non-linear independent components estimation".

The numbers x_1, …, x_d are parted into those of even and of odd places. An additive coupling
(:mod:`scratchgen.transforms.coupling`) leaves the one half and adds to the other what a network
makes of the first (eqs. 9 and 10); the next exchanges their roles. From three couplings on every
number can act on every other (§3.2). They keep volumes, and so would their composition: what can
be squeezed or stretched is each of the resulting numbers, at the end (§3.3):

    z = h_L(… h_1(x)) ⊙ exp(s)        ln |det ∂z/∂x| = Σ_i s_i

Where s_i is large the data vary little along z_i: it has to be stretched to fill the noise. So s
orders the components by importance, like the inverse variances of a principal component analysis.
The noise is normal, or as in the paper's experiments logistic, whose gradient is bounded.

Images are taken as vectors, pixel after pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd import Tensor
from scratchgen.config import require
from scratchgen.models.flows.flow import (
    ImageFlow,
    ImageFlowConfig,
    Noise,
    PointConfig,
    PointFlow,
)
from scratchgen.nn import MLP, zeros
from scratchgen.transforms.coupling import AdditiveCoupling, checkerboard
from scratchgen.transforms.shapes import Flatten
from scratchgen.transforms.transform import Compose, Transform, check_width, per_channel

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class NICEConfig(ImageFlowConfig):
    """The defaults train well on the packaged digits."""

    couplings: int = 6
    """Additive couplings, one after the other."""
    hidden: int = 200
    """Units of a hidden layer of their networks."""
    layers: int = 2
    """Hidden layers."""
    dropout: float = 0.3
    """Rate of hidden units that are dropped in training."""
    prior: str = "logistic"
    """Distribution of the noise: logistic or normal."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.dimensions >= 2, "width", "at least 2 if there is one number in a row")
        _check(self)


@dataclass(frozen=True)
class NICEPointsConfig(PointConfig):
    """The defaults suit densities in the plane."""

    couplings: int = 8
    """Additive couplings, one after the other."""
    hidden: int = 64
    """Units of a hidden layer of their networks."""
    layers: int = 2
    """Hidden layers."""
    dropout: float = 0.0
    """Rate of hidden units that are dropped in training."""
    prior: str = "logistic"
    """Distribution of the noise: logistic or normal."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.dimensions >= 2, "dimensions", "at least 2")
        _check(self)


def _check(config: NICEConfig | NICEPointsConfig) -> None:
    for name in ("couplings", "hidden", "layers"):
        require(config, getattr(config, name) >= 1, name, "at least 1")
    require(config, 0 <= config.dropout < 1, "dropout", "from 0 to below 1")
    require(config, config.prior in ("logistic", "normal"), "prior", "logistic or normal")


# -------------------------------------------------------------------------------------- layers


class Scaling(Transform):
    """z = x ⊙ exp(s) over the last axis, with one s for each number, learnt; 0 at first."""

    def __init__(self, width: int) -> None:
        self.log_scale = Tensor(np.zeros(width, "float32"))

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        check_width(self, x, len(self.log_scale))
        return x * np.exp(self.log_scale), per_channel(x, self.log_scale)

    def inverse(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        check_width(self, z, len(self.log_scale))
        return z * np.exp(-self.log_scale), -per_channel(z, self.log_scale)


def _transforms(width: int, config: NICEConfig | NICEPointsConfig, rng: Any) -> list[Transform]:
    """The couplings and the scaling, of vectors (N, width)."""

    def coupling(odd: bool) -> AdditiveCoupling:
        network = MLP(
            width,
            width,
            rng,
            hidden=config.hidden,
            layers=config.layers,
            context=config.classes,
            dropout=config.dropout,
            last=zeros,
        )
        return AdditiveCoupling(checkerboard(1, width, odd).reshape(width), network)

    return [*(coupling(i % 2 == 1) for i in range(config.couplings)), Scaling(width)]


# -------------------------------------------------------------------------------------- models


class NICE(ImageFlow):
    """P(x), or P(x | label), of images (N, height, width, colours) of integer levels, bounded."""

    def __init__(self, config: NICEConfig, rng: Any) -> None:
        shape = config.height, config.width, config.colours
        transforms = _transforms(config.dimensions, config, rng)
        super().__init__(config, Compose([Flatten(shape), *transforms]), rng, Noise(config.prior))


class NICEPoints(PointFlow):
    """p(x), or p(x | label), of points (N, D)."""

    def __init__(self, config: NICEPointsConfig, rng: Any) -> None:
        transforms = _transforms(config.dimensions, config, rng)
        super().__init__(config, Compose(transforms), Noise(config.prior))
