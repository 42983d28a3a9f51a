"""CycleGAN: images out of outlines and outlines out of images, learnt without pairs.

J.-Y. Zhu, T. Park, P. Isola and A. A. Efros (2017), "Unpaired image-to-image translation using
cycle-consistent adversarial networks".

There are sources s and images x, but it is not known which belong together: a step's sources are
made of one half of its batch, and its images are the other half (:mod:`.translation` for what
sources are). There are two generators, x̃ = G(s) and s̃ = F(x), each with a critic of its own, who
tells what was made from what is real. That alone asks of G no more than the right distribution of
images: any of the many maps that give it would do, such as one that makes a good 3 of an outline of
a 7. What is asked for besides is that nothing of a source be lost: that F find it again (eq. 2).

    critics      as in :mod:`.losses`, of D_X(x) and D_X(x̃), and of D_S(s) and D_S(s̃)
    generators   the same losses of D_X(x̃) and of D_S(s̃)
                 + λ (E |F(G(s)) − s| + E |G(F(x)) − x|),   λ = 10
                 + µ (E |G(x) − x| + E |F(s) − s|),         µ = 0, or 5 (§5.2)

with means over all values, which go from −1 to 1. Where the cycle closes, F undoes what G does.
That may still be the wrong thing, the outline of a 7 to a 3 and the 3 back to it; but networks more
easily learn what leaves things where they are. The last term asks that what is an image already be
left as it is. It is a help where sources look like images, as outlines do. Where they do not, as
inverted ones, it is in the way: the cycle closes no less, and on wrong images. The losses are the
least squares of LSGAN, with which the paper found training to be more stable; it has the
generators' without the factor ½, so that beside them its λ and µ count half as much as these.

**The buffer.** A generator answers the critic as this one now is, and the critic what the generator
makes now. It may forget what was wrong with earlier draws, and then the generator goes back to
them, and so on in circles. So the critic is also shown draws of the past: of each generator 50 are
kept, and half of the time one of them is shown in place of a new one, which is kept in its stead.
(A. Shrivastava et al. 2017, "Learning from simulated and unsupervised images through adversarial
training", §2.3.)
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd import constant, no_grad
from autograd.backend.whole import whole
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
class CycleGANConfig(TranslationConfig):
    """The defaults train well on the packaged digits."""

    loss: str = "lsgan"
    cycle: float = 10.0
    """What the way there and back counts, beside the critics' scores: λ in the paper."""
    identity: float = 0.0
    """What it counts that the generator of images leave images as they are, and that of sources
    sources: in the paper 0 or half of ``cycle``; for inverted images 0."""
    buffer: int = 50
    """Earlier draws of each generator that its critic may be shown."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, 0 <= self.cycle < math.inf, "cycle", "at least 0")
        require(self, 0 <= self.identity < math.inf, "identity", "at least 0")
        require(self, self.buffer >= 0, "buffer", "at least 1, or 0 for none")


# --------------------------------------------------------------------------------------- buffer


class DrawBuffer(Module):
    """Earlier draws (size, …), and which of its places hold one (size,): empty at first.

    Both are kept with the weights, so that a run which goes on shows its critics the same.
    """

    buffers = ("draws", "filled")

    def __init__(self, size: int, shape: tuple[int, ...]) -> None:
        self.draws = np.zeros((size, *shape), "float32")
        self.filled = np.zeros(size, bool)

    @whole
    def shown(self, new: Any, rng: Any) -> Any:
        """New draws (N, …), half of them exchanged for earlier ones, where there are any.

        Each of them is given a place by chance, another than the others'. If that is empty, the
        draw is kept there, and is shown too. If not, it is shown, or with probability ½ kept, and
        what was there is shown instead. More than there are places: the rest is shown.
        """
        size = len(self.draws)
        places = np.argsort(rng.random(size))[: len(new)]
        rest, new = new[size:], new[:size]
        old, filled = self.draws[places], self.filled[places]
        exchanged = filled & (rng.random(len(new)) < 0.5)
        self.draws[places] = _chosen(filled & ~exchanged, old, new)
        self.filled[places] = True
        return np.concatenate([_chosen(exchanged, old, new), rest])


def _chosen(which: Any, x: Any, y: Any) -> Any:
    """x where ``which`` (N,) holds, y elsewhere, both (N, …)."""
    return np.where(which.reshape(-1, *[1] * (x.ndim - 1)), x, y)


# ---------------------------------------------------------------------------------------- model


class Pair(Module):
    """Two modules of which one belongs to images and one to sources: one player's."""

    def __init__(self, image: Any, source: Any) -> None:
        self.image, self.source = image, source


class CycleGAN(Translator):
    """Generators of images out of sources and of sources out of images, and a critic of each."""

    def __init__(self, config: CycleGANConfig, rng: Any) -> None:
        self.config = config
        self.generators = Pair(UNet(config, rng), UNet(config, rng))
        self.critics = Pair(*[PatchCritic(config, config.colours, rng) for _ in range(2)])
        self.earlier = Pair(*[DrawBuffer(config.buffer, self.shape) for _ in range(2)])

    @property
    def players(self) -> dict[str, tuple[Module, int]]:
        """Of each player the module, and how many turns it has in a step.

        The generators are one player: the cycle is of both.
        """
        return {"critic": (self.critics, 1), "generator": (self.generators, 1)}

    def turns(
        self, x: Any, rng: Any, step: Any = None
    ) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        """Of images (N, …), half for sources: the critics' turn, then the generators'.

        An epoch's last batch may be one image: it is both.
        """
        half = max(1, len(x) // 2)
        source, image = self.scaled(self.source(x[:half])), self.scaled(x[-half:])
        made_source, made_image = self.generators.source(image), self.generators.image(source)
        shown_source = self.earlier.source.shown(constant(made_source), rng)
        shown_image = self.earlier.image.shown(constant(made_image), rng)
        loss = self.critic_loss(source, image, shown_source, shown_image)
        yield "critic", loss, {"critic": constant(loss)}
        loss, cycle = self.generator_loss(source, image, made_source, made_image)
        error = constant(cycle) / 4  # the mean of both, of values from 0 to 1
        yield "generator", loss, {"generator": constant(loss), "cycle_error": error}

    def critic_loss(self, source: Any, image: Any, made_source: Any, made_image: Any) -> Any:
        """What the critics minimise, of what is real and what was made: constants."""
        loss, critics = LOSSES[self.config.loss].critic, self.critics
        of_images = loss(critics.image(image), critics.image(made_image))
        return of_images + loss(critics.source(source), critics.source(made_source))

    def generator_loss(
        self, source: Any, image: Any, made_source: Any, made_image: Any
    ) -> tuple[Any, Any]:
        """What the generators minimise, and the cycle's part in it; the critics are constants."""
        loss, critics = LOSSES[self.config.loss].generator, self.critics
        with critics.frozen():
            total = loss(critics.image(made_image)) + loss(critics.source(made_source))
        cycle = self.cycle(source, image, made_source, made_image)
        total = total + self.config.cycle * cycle
        if self.config.identity:
            total = total + self.config.identity * self.identity(source, image)
        return total, cycle

    def cycle(self, source: Any, image: Any, made_source: Any, made_image: Any) -> Any:
        """E |F(G(s)) − s| + E |G(F(x)) − x|."""
        there_and_back = distance(self.generators.source(made_image), source)
        return there_and_back + distance(self.generators.image(made_source), image)

    def identity(self, source: Any, image: Any) -> Any:
        """E |G(x) − x| + E |F(s) − s|."""
        kept = distance(self.generators.image(image), image)
        return kept + distance(self.generators.source(source), source)

    def cycle_error(self, x: Any) -> Any:
        """How far images x (N, …) and their sources are from where they began, there and back.

        The mean over both and all values, of values from 0 to 1.
        """
        with no_grad():
            source, image = self.scaled(self.source(x)), self.scaled(x)
            made = self.generators.source(image), self.generators.image(source)
            return self.cycle(source, image, *made) / 4

    def translated(self, source: Any, rng: Any = None) -> Any:
        """The images made of sources, both levels (N, …)."""
        return self.through(self.generators.image, source, rng)

    def translated_back(self, image: Any, rng: Any = None) -> Any:
        """The sources made of images, likewise."""
        return self.through(self.generators.source, image, rng)
