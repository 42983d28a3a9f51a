"""pix2pix: an image out of its outline, learnt from pairs of them.

P. Isola, J.-Y. Zhu, T. Zhou and A. A. Efros (2017), "Image-to-image translation with conditional
adversarial networks".

There are pairs (s, x) of a source and its image (:mod:`.translation` for what sources are). That a
generator's image x̃ = G(s) be near x, on average, is easily asked for, but of all images that the
source may be of, the one nearest on average is a middle: the median of each pixel by itself, grey
where it may be dark or light, like no image. So a critic is shown *pairs*, true ones (s, x) and
made ones (s, x̃), and learns to tell them apart: x̃ has to be an image, and one that goes with s.
It scores patches: how pixels go together nearby. What is where is left to the distance (eq. 4):

    critic      as in :mod:`.losses`, of D(s, x) and D(s, x̃)
    generator   the same loss of D(s, x̃)  +  λ E |x − x̃|,   λ = 100

with the mean over all values, which go from −1 to 1.

There is no z: a generator that is given a source learns to pay noise no attention. What noise
there is comes from dropout, and for that it is left on when images are made, as in the paper (§3.1,
§3.3): two translations of one source differ, if only a little.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd import constant
from scratchgen.config import require
from scratchgen.models.adversarial.losses import LOSSES
from scratchgen.models.adversarial.translation import (
    PatchCritic,
    TranslationConfig,
    Translator,
    UNet,
    distance,
)
from scratchgen.nn import Module

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class Pix2PixConfig(TranslationConfig):
    """The defaults train well on the packaged digits."""

    l1: float = 100.0
    """What the distance from the image counts, beside the critic's score: λ in the paper."""
    dropout: float = 0.5
    """Rate of the generator's only noise, in training and when images are made."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, 0 <= self.l1 < math.inf, "l1", "at least 0")
        require(self, 0 <= self.dropout < 1, "dropout", "from 0 to below 1")


# ---------------------------------------------------------------------------------------- model


class Pix2Pix(Translator):
    """A generator of images out of sources, and a critic of pairs of both."""

    def __init__(self, config: Pix2PixConfig, rng: Any) -> None:
        self.config = config
        self.generator = UNet(config, rng, config.dropout)
        self.critic = PatchCritic(config, 2 * config.colours, rng)

    @property
    def players(self) -> dict[str, tuple[Module, int]]:
        """Of each player the module, and how many turns it has in a step."""
        return {"critic": (self.critic, 1), "generator": (self.generator, 1)}

    def turns(
        self, x: Any, rng: Any, step: Any = None
    ) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        """Of images (N, …): the critic's turn, then the generator's, with the same translations."""
        source, real = self.scaled(self.source(x)), self.scaled(x)
        made = self.generator(source, rng)
        loss = self.critic_loss(source, real, constant(made))
        yield "critic", loss, {"critic": constant(loss)}
        loss = self.generator_loss(source, real, made)
        error = distance(real, constant(made)) / 2  # of values from 0 to 1
        yield "generator", loss, {"generator": constant(loss), "error": error}

    def critic_loss(self, source: Any, real: Any, made: Any) -> Any:
        """What the critic minimises; what was made is constant."""
        true, false = self.score(source, real), self.score(source, made)
        return LOSSES[self.config.loss].critic(true, false)

    def generator_loss(self, source: Any, real: Any, made: Any) -> Any:
        """What the generator minimises; the critic's weights are constants."""
        with self.critic.frozen():
            loss = LOSSES[self.config.loss].generator(self.score(source, made))
        return loss + self.config.l1 * distance(real, made)

    def score(self, source: Any, image: Any) -> Any:
        """Of pairs: (N,)."""
        return self.critic(np.concatenate([source, image], -1))

    def translated(self, source: Any, rng: Any) -> Any:
        """The images made of sources, both levels (N, …)."""
        return self.through(self.generator, source, rng)
