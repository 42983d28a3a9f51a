"""Inverse autoregressive flow: each number of the noise is shifted and scaled by those before it.

D. P. Kingma, T. Salimans, R. Jozefowicz, X. Chen, I. Sutskever and M. Welling (2016), "Improved
variational inference with inverse autoregressive flow".

It is a masked autoregressive flow the other way round: the shift µ_i and the log-scale α_i of a
number are functions of the *noise* before it, not of the data. As in G. Papamakarios, T. Pavlakou
and I. Murray (2017), "Masked autoregressive flow for density estimation":

    from noise to data    x_i = (z_i − µ_i(z_<i)) exp(−α_i(z_<i))
    from data to noise    z_i = x_i exp(α_i(z_<i)) + µ_i(z_<i)

So what was fast is slow, and the reverse. A draw and its density take one run of each network; the
density of anything else takes D runs, one after the other. That suits the posterior of a
variational autoencoder, which is asked for the density of its own draws only. To learn from data by
their likelihood, as here, each step of training takes D runs of each network, and the gradient goes
back through all of them.

As in MAF (:mod:`.maf`) an actnorm is before each transform, and the orders go by turns.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scratchgen.models.flows.flow import ImageFlow, ImageFlowConfig, PointFlow
from scratchgen.models.flows.maf import MAFPointsConfig, autoregressive_layers, check_sizes
from scratchgen.transforms.shapes import Flatten
from scratchgen.transforms.transform import Compose, Inverse

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class IAFConfig(ImageFlowConfig):
    """The defaults train on the packaged digits in the time of other models: it is a small one."""

    depth: int = 2
    """Autoregressive transforms."""
    hidden: int = 64
    """Units of a hidden layer of their networks."""
    layers: int = 1
    """Hidden layers of each."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes(self)


@dataclass(frozen=True)
class IAFPointsConfig(MAFPointsConfig):
    """The defaults train well on the packaged two-dimensional densities."""


# --------------------------------------------------------------------------------------- models


class IAF(ImageFlow):
    """P(x), or P(x | label), for images x (N, height, width, colours) of integer levels."""

    def __init__(self, config: IAFConfig, rng: Any) -> None:
        flat = Flatten((config.height, config.width, config.colours))
        layers = autoregressive_layers(config, rng, direction=Inverse)
        super().__init__(config, Compose([flat, *layers]), rng)


class IAFPoints(PointFlow):
    """p(x), or p(x | label), for points x (N, D)."""

    def __init__(self, config: IAFPointsConfig, rng: Any) -> None:
        super().__init__(config, Compose(autoregressive_layers(config, rng, direction=Inverse)))
