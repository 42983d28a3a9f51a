"""MSG-GAN: a generator of images at all resolutions at once, and a critic who sees them all.

A. Karnewar and O. Wang (2020), "MSG-GAN: multi-scale gradients for generative adversarial
networks".

A generator of many layers hears from its critic through the last of them only. Where data and draws
have little in common, what arrives further down says little. Growing step by step
(:mod:`.progressivegan`) is one remedy, with stages to be chosen. Here there are none: each of the
hidden images h_k of the generator, from the smallest resolution up, is made an image,

    h_k = G_k(h_{k−1})         x̃_k = tanh t_k(h_k)                k = 0 … K

and the critic, on its way down, has each of them put beside its own hidden images of that
resolution (φ_simple, §2, concatenation of channels),

    h = f(x_K),     h ← C_k([h; x_k]) for k = K … 1 (at K of h alone),     s = score([h; x_0])

So each x̃_k, and with it each block of the generator, has a short way to the score and a gradient
of its own. Data are shown at all resolutions too, each the average of the next: x_{k−1} = D x_k.
That draws agree with one another in the same way is not asked for anywhere, but a critic sees if
they do not. The image that counts is the largest, x̃_K.

A score is a function of the whole ladder, one point x = (x_0, …, x_K) of a space of Σ_k H_k W_k
dimensions. The distance there is ‖x − y‖² = Σ_k ‖x_k − y_k‖², and by duality Wasserstein's distance
between ladders is that of the critics whose slope is at most 1 by it:

    ‖∂s/∂x‖² = Σ_k ‖∂s/∂x_k‖² ≤ 1

The gradient penalty is thus one, of the slope by all resolutions together, at x̂ = ε x + (1 − ε) x̃
with one ε for an image: a point on the line between two ladders. (The paper has the mean of a
penalty for each, which asks for a slope of √(K + 1).) A ladder is therefore one row of numbers
here, and the game and its losses are those of :mod:`.game`, unchanged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd.nn import leaky_relu
from scratchgen.models.adversarial.gan import GAN
from scratchgen.models.adversarial.resolutions import (
    SLOPE,
    EqualConv,
    Generator,
    ResolutionsConfig,
    Score,
    Shrink,
    ladder,
)
from scratchgen.nn import Module

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class MSGGANConfig(ResolutionsConfig):
    """The defaults train well on the packaged digits."""

    @property
    def shapes(self) -> list[tuple[int, int, int]]:
        """(height, width, colours) of an image at each resolution, from the smallest."""
        return [(*sides, self.colours) for sides in self.sides]


def joined(images: list[Any]) -> Any:
    """Images (N, H, W, C) of all resolutions, from the smallest, as rows of numbers: (N, D)."""
    return np.concatenate([x.reshape(len(x), -1) for x in images], -1)


def parted(x: Any, shapes: list[tuple[int, int, int]]) -> list[Any]:
    """The inverse, for images of these shapes."""
    images, start = [], 0
    for shape in shapes:
        end = start + math.prod(shape)
        images.append(x[:, start:end].reshape(len(x), *shape))
        start = end
    return images


# ------------------------------------------------------------------------------------- networks


class LadderGenerator(Generator):
    """Noise (N, latents) → images of all resolutions, :func:`joined`."""

    def __call__(self, z: Any, vectors: Any = None, rng: Any = None) -> Any:
        hidden = self.hidden(z, vectors, len(self.sides))
        return joined([self.image(h, i) for i, h in enumerate(hidden)])


class LadderCritic(Module):
    """Images of all resolutions, :func:`joined` → scores (N,)."""

    def __init__(self, config: MSGGANConfig, rng: Any) -> None:
        channels, colours = config.channels, config.colours
        self.shapes = config.shapes
        self.from_image = EqualConv(colours, channels[-1], 1, rng)
        beside = [c + colours for c in channels[:-1]] + channels[-1:]  # with the image, or of it
        self.shrink = [Shrink(beside[i], channels[i], rng) for i in range(1, len(channels))]
        self.score = Score(beside[0], config, rng)

    def __call__(self, x: Any, vectors: Any = None, rng: Any = None) -> Any:
        *smaller, largest = parted(x, self.shapes)
        h = leaky_relu(self.from_image(largest), SLOPE)
        for shrink, image in zip(reversed(self.shrink), reversed(smaller), strict=True):
            h = np.concatenate([shrink(h), image], -1)
        return self.score(h, vectors)


# ---------------------------------------------------------------------------------------- model


class MSGGAN(GAN):
    """A generator of images (N, height, width, colours) of integer levels, and their critic."""

    def __init__(self, config: MSGGANConfig, rng: Any) -> None:
        self.config = config
        self.generator = LadderGenerator(config, rng)
        self.critic = LadderCritic(config, rng)

    def real(self, x: Any) -> Any:
        """Numbers from −1 to 1 of all resolutions, :func:`joined`."""
        return joined(ladder(super().real(x), self.config.resolutions))

    def ladders(self, z: Any, labels: Any = None) -> list[Any]:
        """Draws (n, H, W, colours) of each resolution, from the smallest."""
        return parted(super().draws(z, labels), self.config.shapes)

    def draws(self, z: Any, labels: Any = None) -> Any:
        """Of the largest one."""
        return self.ladders(z, labels)[-1]
