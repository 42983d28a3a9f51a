"""GAN of points: in the plane, where generator and critic can be looked at.

I. Gulrajani, F. Ahmed, M. Arjovsky, V. Dumoulin and A. Courville (2017), "Improved training of
Wasserstein GANs", figure 1a for such points and the surface of a critic of them.

Both players are multilayer perceptrons: the generator's takes noise to points, x̃ = g(z), and the
critic's points to scores, s = f(x). Noise has one mode, and g is continuous: data of several modes
apart from one another it can only resemble with thin threads of draws between them. What is hard is
something else: to have draws at *all* modes. A generator is only told where its own draws should
move, so a mode without draws goes without notice for long; and where the critic judges each draw by
itself, all of them may run after the best score, together, from mode to mode (*mode collapse*).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from autograd.nn import leaky_relu
from scratchgen.config import require
from scratchgen.models.adversarial.game import Game, GameConfig
from scratchgen.models.flows.flow import PointConfig
from scratchgen.nn import MLP

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class PointGANConfig(GameConfig, PointConfig):
    """The defaults suit densities in the plane."""

    latents: int = 4
    loss: str = "wgan-gp"
    critic_steps: int = 3
    penalty: float = 1.0
    hidden: int = 64
    """Units of a hidden layer of both networks."""
    layers: int = 3
    """Hidden layers of both."""

    def __post_init__(self) -> None:
        GameConfig.__post_init__(self)
        PointConfig.__post_init__(self)
        require(self, self.hidden >= 1, "hidden", "at least 1")
        require(self, self.layers >= 1, "layers", "at least 1")


# ---------------------------------------------------------------------------------------- model


class PointCritic(MLP):
    """Points (N, D) → scores (N,)."""

    def __call__(self, x: Any, context: Any = None, rng: Any = None) -> Any:
        return super().__call__(x, context, rng)[:, 0]


class PointGAN(Game):
    """Points (N, D) that are made of noise, given labels if there are classes."""

    def __init__(self, config: PointGANConfig, rng: Any) -> None:
        self.config = config
        size: dict[str, Any] = {
            "hidden": config.hidden,
            "layers": config.layers,
            "context": config.classes,
        }
        self.generator = MLP(config.latents, config.dimensions, rng, **size)
        self.critic = PointCritic(config.dimensions, 1, rng, **size, activation=leaky_relu)

    def real(self, x: Any) -> Any:
        """Points as they are. Raises ValueError for those of another number of dimensions."""
        if x.ndim != 2 or x.shape[1] != self.config.dimensions:
            raise ValueError(
                f"PointGAN: points {tuple(x.shape)}, expected (N, {self.config.dimensions})"
            )
        return x
