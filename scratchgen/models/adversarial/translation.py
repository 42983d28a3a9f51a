"""From one image to another: the tasks, and the networks of models that learn them.

P. Isola, J.-Y. Zhu, T. Zhou and A. A. Efros (2017), "Image-to-image translation with conditional
adversarial networks", §3.2; J.-Y. Zhu, T. Park, P. Isola and A. A. Efros (2017), "Unpaired
image-to-image translation using cycle-consistent adversarial networks", §4.

A *source* s is made of an image x of the data, and a generator is to make of s an image that might
be x. What sources are is the task:

**sketch**. A value is *ink* where it is nearer to the last level than to 0. The source is the
outline of the ink, without levels in between: ink of whose four neighbours one is not ink. Beyond
the image there is none.

    i = [x > (L − 1) / 2]       s_rc = (L − 1) i_rc (1 − i_(r−1)c i_(r+1)c i_r(c−1) i_r(c+1))

Many images have one outline, so there is something to invent: what is inside, and how dark.

**inverted**. s = L − 1 − x: paper for ink. There is one answer, and it is the task's own inverse.

The **generator** is a U-Net: sides are halved and doubled again, and each layer that doubles them
sees, beside what comes from below, what there was on the way down at these sides. Where things are
in an image then need not pass through the smallest one. Activations are normalised over the
positions of their own image (instance normalisation), so that a translation is of its source alone,
the same in training and after it. Those of the first layer are not, nor those of the smallest
image, of which nothing would be left if it were a single pixel.

The **critic** scores patches. It is convolutional to its end, so each number of its last image
comes from a square of the input (§3.2.2), whose side doubles with each of k layers that halve:

    r_k = 2 (r_(k−1) − 1) + 4 = 5 · 2^k − 2,   from r_0 = 3

The mean over patches is the score, as in the paper's text; in the authors' code each patch has a
loss of its own, and the mean is of these. What is right or wrong farther apart than a patch it does
not see: that is for the other term of each model's loss. It has no normalisation, with which a
patch's number would depend on the whole image.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import autograd.numpy as np
from autograd import no_grad
from autograd.nn import dropout, leaky_relu, relu
from scratchgen.config import require
from scratchgen.models.adversarial.losses import LOSSES
from scratchgen.models.adversarial.networks import KERNEL, SLOPE, small_normal
from scratchgen.models.images import ImageConfig, ImageModel
from scratchgen.nn import Conv, Double, GroupNorm, Halve, Module
from scratchgen.nn.halve import halved_sides

# ----------------------------------------------------------------------------------------- tasks


def sketch(x: Any, levels: int) -> Any:
    """The outlines of images (N, H, W, C), in the first level and the last; each colour alone."""
    ink = x > (levels - 1) / 2
    wide = np.pad(ink, ((0, 0), (1, 1), (1, 1), (0, 0)))
    above, below = wide[:, :-2, 1:-1], wide[:, 2:, 1:-1]
    left, right = wide[:, 1:-1, :-2], wide[:, 1:-1, 2:]
    return (levels - 1) * (ink & ~(above & below & left & right)).astype(x.dtype)


def inverted(x: Any, levels: int) -> Any:
    """Images whose first level is the last, and so on."""
    return levels - 1 - x


TASKS = {"sketch": sketch, "inverted": inverted}

# -------------------------------------------------------------------------------- configuration

UNBOUNDED = [name for name in LOSSES if not name.startswith("wgan")]
"""Losses for critics of any slope."""


@dataclass(frozen=True)
class TranslationConfig(ImageConfig):
    """Translations between images, and the networks."""

    task: str = "sketch"
    """What images are made of: sketch, their outlines, or inverted, themselves inverted."""
    hidden: int = 32
    """Channels of the largest hidden images, of generators and of critics."""
    layers: int = 2
    """How often a generator halves sides, and doubles them again."""
    patch_layers: int = 1
    """How often a critic halves sides: k for patches of 5 · 2^k − 2 pixels."""
    loss: str = "nonsaturating"
    """saturating, nonsaturating, lsgan or hinge."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.task in TASKS, "task", " or ".join(TASKS))
        require(self, self.hidden >= 1, "hidden", "at least 1")
        largest = max(self.height, self.width)
        require(self, largest > 1, "height", "at least 2, or the width: networks halve the sides")
        most = (largest - 1).bit_length()  # until the larger side is 1
        why = f"a side of {largest} is not halved more often"
        require(self, 1 <= self.layers <= most, "layers", f"from 1 to {most}: {why}")
        most = max(2, most)  # each doubles the channels: too many do not fit into memory
        patches = 0 <= self.patch_layers <= most
        require(self, patches, "patch_layers", f"from 0 to {most}: {why}")
        require(self, self.loss in UNBOUNDED, "loss", " or ".join(UNBOUNDED))

    @property
    def critic_steps(self) -> int:
        """Turns of the critic in a step: one, as in both papers."""
        return 1


# ------------------------------------------------------------------------------------- networks


class UNet(Module):
    """Images (N, H, W, colours) of values from −1 to 1 → such images.

    ``rate``: of the dropout in all layers but the last that double sides.
    """

    def __init__(self, config: TranslationConfig, rng: Any, rate: float = 0.0) -> None:
        self.rate = rate
        channels = channels_of(config.colours, config.hidden, config.layers)
        inputs = [*(2 * c for c in channels[:-1]), channels[-1]]  # with those of the way down
        sides = halved_sides(config.height, config.width, config.layers)
        between = channels[1:-1]  # of the images that are neither the largest nor the smallest
        self.halve = [Halve(a, b, KERNEL, rng, small_normal) for a, b in pairwise(channels)]
        self.double = [
            Double(inputs[i + 1], channels[i], sides[i], rng, KERNEL, small_normal)
            for i in reversed(range(config.layers))
        ]
        self.norms_down = [GroupNorm(c, c) for c in between[1:]]
        self.norms_up = [GroupNorm(c, c) for c in reversed(between)]
        before_norms: list[Any] = [*self.halve[1:-1], *self.double[:-1]]
        for layer in before_norms:
            layer.bias = None  # which normalisation would take away again

    def __call__(self, x: Any, rng: Any = None) -> Any:
        """``rng``: a generator for dropout, in training and after it; None for none."""
        h, skips = x, []
        for i, halve in enumerate(self.halve):
            h = halve(h)
            if 0 < i < len(self.halve) - 1:
                h = self.norms_down[i - 1](h)
            h = leaky_relu(h, SLOPE)
            skips.append(h)
        for i, skip in enumerate(reversed(skips[:-1])):
            h = relu(self.norms_up[i](self.double[i](h)))
            if rng is not None and self.rate:
                h = dropout(h, self.rate, rng)
            h = np.concatenate([h, skip], -1)
        return np.tanh(self.double[-1](h))


class PatchCritic(Module):
    """Images (N, H, W, inputs) → scores (N,), each the mean of those of its patches."""

    def __init__(self, config: TranslationConfig, inputs: int, rng: Any) -> None:
        channels = channels_of(inputs, config.hidden, config.patch_layers)
        self.halve = [Halve(a, b, KERNEL, rng, small_normal) for a, b in pairwise(channels)]
        self.score = Conv(channels[-1], 1, 3, rng, small_normal)

    def patches(self, x: Any) -> Any:
        """(N, h, w), with sides halved ``patch_layers`` times."""
        for halve in self.halve:
            x = leaky_relu(halve(x), SLOPE)
        return self.score(x)[..., 0]

    def __call__(self, x: Any) -> Any:
        return np.mean(self.patches(x), axis=(1, 2))


def channels_of(inputs: int, hidden: int, times: int) -> list[int]:
    """Of an image, of it halved once, and so on, ``times`` times."""
    return [inputs] + [hidden * 2**i for i in range(times)]


# ---------------------------------------------------------------------------------------- model


class Translator(ImageModel):
    """A model that makes images of sources, both (N, height, width, colours) of integer levels.

    It adds ``translated(source, rng)``, the images made of sources.
    """

    pictures = ("translations",)

    def source(self, x: Any) -> Any:
        """What the task makes of images x (N, …): levels again."""
        self.check(x)
        return TASKS[self.config.task](x, self.config.levels)

    def through(self, generator: Any, x: Any, rng: Any) -> Any:
        """What a generator makes of images x (N, …), each value the nearest level."""
        self.check(x)
        with no_grad():
            return self.rounded(generator(self.scaled(x), rng))


def distance(x: Any, y: Any) -> Any:
    """E |x − y| over all values: ()."""
    return np.mean(np.abs(x - y))
