"""Progressive growing: a GAN that begins with small images, and whose networks grow with them.

T. Karras, T. Aila, S. Laine and J. Lehtinen (2018), "Progressive growing of GANs for improved
quality, stability, and variation".

Generator and critic begin with images of the smallest resolution, on data averaged down to it;
there is little to get wrong. When they can do that, both get a block for the next one, and so on:
coarse structure is learnt first, and many of the steps are of small networks. There is a stage for
each resolution k, of ``stage_steps`` steps; layers are those of :mod:`.resolutions`.

A new block, with random weights, would upset what was learnt: so it is faded in (§2, figure 2). In
the first half of a stage α rises from 0 to 1 in a line, and of hidden images h_k, with D and U
between resolutions k − 1 and k,

    generator    x̃ = α t_k(h_k) + (1 − α) U t_{k−1}(h_{k−1})             h_k = G_k(h_{k−1})
    critic       h_{k−1} = α C_k(f_k(x)) + (1 − α) f_{k−1}(D x)
    data         x ← α x + (1 − α) U D x

with t ("to RGB") and f ("from RGB") convolutions of one pixel, tanh and leaky ReLU included, and G
and C the new blocks. At α = 0 the generator is the smaller one, its images repeated, and the critic
scores what the smaller one does of images averaged; D U = 1, so that it finds both data and draws
as they were: the game goes on where it stood. Only distances are others: repeated images are twice
as far apart, so a critic of slope 1 has slope ½ now, and the same scores are half of the new
Wasserstein distance. At α = 1 t_{k−1} and f_{k−1} are out of use, for good.

With each stage the optimisers begin anew, as in the authors' code. Layers not yet in use have no
gradient, which counts as 0, and Adam leaves them bit for bit as they are; but it counts the steps.
It divides by √(1 − β₂ᵗ) to make up for a mean square that began as 0 t steps ago, and that of a new
layer began just now: its first steps would be longer, √((1 − β₂ᵗ) / (1 − β₂)) times, 32 times with
β₂ = 0.999.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd.nn import leaky_relu
from scratchgen.config import require
from scratchgen.models.adversarial.gan import GAN
from scratchgen.models.adversarial.resolutions import (
    SLOPE,
    EqualConv,
    Generator,
    ResolutionsConfig,
    Score,
    Shrink,
    averaged,
    ladder,
    repeated,
)
from scratchgen.nn import Module

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class ProgressiveGANConfig(ResolutionsConfig):
    """The defaults train well on the packaged digits."""

    stage_steps: int = 300
    """Of a stage; the last one goes on to the end of the run. Before it, that is for
    ``resolutions`` − 1 times as many steps, images are smaller ones, repeated."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.stage_steps >= 1, "stage_steps", "at least 1")

    def growth(self, step: float) -> tuple[int, float]:
        """The stage at a step, the resolution of its images, and α."""
        stages = step / self.stage_steps
        stage = min(int(stages), self.resolutions - 1)
        return stage, min(1.0, 2 * (stages - stage)) if stage else 1.0


# ------------------------------------------------------------------------------------- networks


class GrowingGenerator(Generator):
    """Noise (N, latents) → images of the resolution of its ``stage``, which the model sets."""

    stage, alpha = 0, 1.0

    def __call__(self, z: Any, vectors: Any = None, rng: Any = None) -> Any:
        hidden = self.hidden(z, vectors, self.stage + 1)
        x = self.image(hidden[-1], self.stage)
        if self.alpha == 1:
            return x
        smaller = self.image(hidden[-2], self.stage - 1)
        return faded(x, repeated(smaller, self.sides[self.stage]), self.alpha)


class GrowingCritic(Module):
    """Images of the resolution of its ``stage``, which the model sets → scores (N,)."""

    stage, alpha = 0, 1.0

    def __init__(self, config: ProgressiveGANConfig, rng: Any) -> None:
        channels = config.channels
        self.from_image = [EqualConv(config.colours, c, 1, rng) for c in channels]
        self.shrink = [Shrink(c, c, rng) for c in channels[1:]]
        self.score = Score(channels[0], config, rng)

    def __call__(self, x: Any, vectors: Any = None, rng: Any = None) -> Any:
        h = self._seen(x, self.stage)
        for i in reversed(range(self.stage)):
            h = self.shrink[i](h)
            if self.alpha < 1 and i == self.stage - 1:  # after the new block
                h = faded(h, self._seen(averaged(x), i), self.alpha)
        return self.score(h, vectors)

    def _seen(self, x: Any, resolution: int) -> Any:
        """Images as hidden images of the same resolution."""
        return leaky_relu(self.from_image[resolution](x), SLOPE)


def faded(new: Any, old: Any, alpha: float) -> Any:
    """α new + (1 − α) old"""
    return alpha * new + (1 - alpha) * old


# ---------------------------------------------------------------------------------------- model


class ProgressiveGAN(GAN):
    """A generator of images (N, height, width, colours) of integer levels, and their critic."""

    buffers = ("step",)

    def __init__(self, config: ProgressiveGANConfig, rng: Any) -> None:
        self.config = config
        self.generator = GrowingGenerator(config, rng)
        self.critic = GrowingCritic(config, rng)
        self.step = np.zeros(1, "float32")

    def turns(
        self, batch: Any, rng: Any, step: Any = 0
    ) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        """As of any GAN, of networks as large as they are at that step."""
        self.grow(step)
        yield from super().turns(batch, rng, step)

    def phase(self, step: int) -> None:
        """No two steps are alike: each is noted in ``step``, and most fade further."""

    def begins_anew(self, step: int) -> bool:
        """Whether a stage begins at that step, not the first."""
        stage, late = divmod(step, self.config.stage_steps)
        return late == 0 and 0 < stage < self.config.resolutions

    def grow(self, step: int) -> None:
        """Have the networks be as large as at that step."""
        self.step[...] = step  # for those who load the weights
        self._set(step)

    def _set(self, step: float) -> None:
        """In training by a number that is known, and not read off a GPU that it would wait for."""
        for network in (self.generator, self.critic):
            network.stage, network.alpha = self.config.growth(step)

    def real(self, x: Any) -> Any:
        """Numbers from −1 to 1, at the resolution of the stage, faded in like draws."""
        stage, alpha = self.critic.stage, self.critic.alpha
        images = ladder(super().real(x), self.config.resolutions)
        if alpha == 1:
            return images[stage]
        smaller = repeated(images[stage - 1], self.config.sides[stage])
        return faded(images[stage], smaller, alpha)

    def draws(self, z: Any, labels: Any = None) -> Any:
        """At the resolution of the data, (n, height, width, colours), whatever the stage."""
        self._set(self.step.item())
        x = super().draws(z, labels)
        for sides in self.config.sides[self.generator.stage + 1 :]:
            x = repeated(x, sides)
        return x
