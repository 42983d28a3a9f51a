"""Generators and critics of images at several resolutions: the ladder, and layers for it.

T. Karras, T. Aila, S. Laine and J. Lehtinen (2018), "Progressive growing of GANs for improved
quality, stability, and variation"; A. Karnewar and O. Wang (2020), "MSG-GAN: multi-scale gradients
for generative adversarial networks".

**The ladder.** Of images H × W there are those of the sides ⌈H / 2⌉ × ⌈W / 2⌉, and so on down: each
pixel the mean of a block of 2 × 2 (D, :func:`averaged`), of as many as there are at an odd edge.
Back up each pixel is repeated over its block (U, :func:`repeated`). The mean of what was repeated
is the pixel, D U = 1, so that P = U D is a projection, P² = U (D U) D = P: onto the images that are
constant over each block, and as a block's mean is the constant that is nearest to it, onto the
nearest one.

Resolutions are numbered from the smallest, 0. Hidden images have ``hidden`` channels at the
largest, and twice as many at each smaller one. Both papers' networks are made of the same layers
(Karras et al., §3 and §4), which are here; no layer has a transposed convolution or a step of two
in it.

**Equalised learning rate** (§4.1). Weights w begin as N(0, 1), and the layer computes with c w,

    c = gain / √fan_in            (K. He et al. 2015, "Delving deep into rectifiers", eq. 15)

which keeps the mean square of activations at 1 all through the network: a leaky ReLU of slope a
leaves of E y² the share (1 + a²) / 2, so that gain² = 2 / (1 + a²) before one, and 1 where none
follows. Adam changes every w by about as much in a step, whatever its gradient's scale; with w
itself of variance c², as elsewhere, that is much for a weight of a wide layer and little for one of
a narrow layer. Here all change by the same share of themselves. A bias is added as it is.

**Pixelwise normalisation** (§4.2) of the generator's hidden images: b = a / √(mean_c a² + 10⁻⁸),
over the channels c of each pixel, so that the two players cannot drive each other's scales up.

**Minibatch standard deviation** (§3) shows a critic how varied a batch is: of each feature at each
pixel the standard deviation over the batch; the mean of them all is one number, which is put beside
the features of every image as one more channel. A generator whose draws are all alike gives itself
away by it.

With it a score depends on the images beside its own, s_n = f(x_n, X), which the gradient penalty
has to allow for. Take the mean score F(X) = (1/N) Σ_n s_n as the critic of a whole batch, and let
the distance of batches be that of their images on average, d(X, Y) = (1/N) Σ_n ‖x_n − y_n‖. By that
distance, to carry batches of N independent data to batches of draws costs W(p, q), as it does for
one image: the best plan for one, N times, is a plan for the batch, and none is better in any of its
places. F rises by at most 1 for each unit of d if ‖∂F/∂x_n‖ ≤ 1/N for each n, that is, if the slope
of the *sum* of scores by each image is at most 1: :func:`.losses.gradient_penalty` takes just that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd.nn import average_pool, conv, dense, leaky_relu, upsample_nearest
from scratchgen.config import require
from scratchgen.models.adversarial.game import GameConfig
from scratchgen.models.images import ImageConfig
from scratchgen.nn import Conv, Dense, Module
from scratchgen.nn.halve import halved_sides

SLOPE = 0.2
"""Of leaky ReLU below 0."""
RECTIFIED = math.sqrt(2 / (1 + SLOPE**2))
"""The gain of a layer before it."""
EPSILON = 1e-8
"""Under square roots."""

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class ResolutionsConfig(GameConfig, ImageConfig):
    """Images of a ladder of resolutions."""

    latents: int = 64
    loss: str = "wgan-gp"
    weight_clip: float = 1.0
    """With the loss wgan: how far from 0 the critic's weights may be, before their factor c."""
    resolutions: int = 3
    """Of images: each has half the sides of the next, and the largest is that of the data."""
    hidden: int = 16
    """Channels of hidden images of the largest resolution; at each smaller one twice as many."""

    def __post_init__(self) -> None:
        GameConfig.__post_init__(self)
        ImageConfig.__post_init__(self)
        largest = max(self.height, self.width)
        most = 1 + math.ceil(math.log2(largest))  # of which the smallest is a single pixel
        halves = f"from 1 to {most}: a side of {largest} is not halved more often"
        require(self, 1 <= self.resolutions <= most, "resolutions", halves)
        require(self, self.hidden >= 1, "hidden", "at least 1")

    @property
    def sides(self) -> list[tuple[int, int]]:
        """(height, width) of each resolution, from the smallest."""
        return halved_sides(self.height, self.width, self.resolutions - 1)[::-1]

    @property
    def channels(self) -> list[int]:
        """Of hidden images of each resolution, from the smallest."""
        return [self.hidden * 2**i for i in reversed(range(self.resolutions))]


# ----------------------------------------------------------------------------------- the ladder


def averaged(x: Any) -> Any:
    """D: the mean of each block of 2 × 2, (N, H, W, C) → (N, ⌈H / 2⌉, ⌈W / 2⌉, C)."""
    for axis in (1, 2):
        if x.shape[axis] % 2:  # the edge twice, whose mean is the edge
            edge = x[:, -1:] if axis == 1 else x[:, :, -1:]
            x = np.concatenate([x, edge], axis)
    return average_pool(x, 2)


def repeated(x: Any, sides: tuple[int, int]) -> Any:
    """U: each pixel over its block, (N, ⌈H / 2⌉, ⌈W / 2⌉, C) → (N, H, W, C), sides = (H, W)."""
    height, width = sides
    return upsample_nearest(x, 2)[:, :height, :width]


def ladder(x: Any, resolutions: int) -> list[Any]:
    """Images (N, H, W, C) at all resolutions, from the smallest."""
    images = [x]
    for _ in range(resolutions - 1):
        images.append(averaged(images[-1]))
    return images[::-1]


# --------------------------------------------------------------------------------------- layers


def unit_normal(rng: Any, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Any:
    """N(0, 1), float32, whatever the fans: for layers that scale their weights themselves."""
    return rng.standard_normal(shape).astype("float32")


class EqualDense(Dense):
    """A dense layer of equalised learning rate: y = x (c w) + b."""

    def __init__(self, inputs: int, outputs: int, rng: Any, gain: float = RECTIFIED) -> None:
        super().__init__(inputs, outputs, rng, unit_normal)
        self.scale = gain / math.sqrt(inputs)

    def __call__(self, x: Any) -> Any:
        return dense(x, self.scale * self.weight, self.bias)


class EqualConv(Conv):
    """A convolution of equalised learning rate: (N, H, W, C) → (N, H, W, D)."""

    def __init__(
        self, inputs: int, outputs: int, size: int, rng: Any, gain: float = RECTIFIED
    ) -> None:
        super().__init__(inputs, outputs, size, rng, unit_normal)
        self.scale = gain / math.sqrt(inputs * size**2)

    def __call__(self, x: Any) -> Any:
        return conv(x, self.scale * self.weight, self.bias, padding="same")


def pixel_norm(x: Any) -> Any:
    """a / √(mean_c a² + ε): features of mean square 1 at each pixel, (N, H, W, C) → the same."""
    return x / np.sqrt(np.mean(x * x, axis=-1, keepdims=True) + EPSILON)


def with_deviation(x: Any) -> Any:
    """The mean of standard deviations over the batch beside the features: C → C + 1 channels.

    σ = mean_{h w c} √(mean_n (x_{nhwc} − mean_n x_{nhwc})² + ε)
    """
    centred = x - np.mean(x, axis=0, keepdims=True)
    deviation = np.mean(np.sqrt(np.mean(centred * centred, axis=0) + EPSILON))
    return np.concatenate([x, np.broadcast_to(deviation, (*x.shape[:-1], 1))], -1)


# ----------------------------------------------------------------------------------- generators


def _normalised(x: Any) -> Any:
    return pixel_norm(leaky_relu(x, SLOPE))


class First(Module):
    """Noise (N, latents) to hidden images of the smallest resolution."""

    def __init__(self, config: ResolutionsConfig, rng: Any) -> None:
        channels = config.channels[0]
        self.shape = (*config.sides[0], channels)
        self.dense = EqualDense(config.latents + config.classes, math.prod(self.shape), rng)
        self.conv = EqualConv(channels, channels, 3, rng)

    def __call__(self, z: Any, vectors: Any) -> Any:
        if vectors is not None:
            z = np.concatenate([z, vectors], -1)
        h = _normalised(self.dense(z).reshape(-1, *self.shape))
        return _normalised(self.conv(h))


class Grow(Module):
    """Hidden images of one resolution to those of the next: repeated, and two convolutions."""

    def __init__(self, inputs: int, outputs: int, sides: tuple[int, int], rng: Any) -> None:
        self.sides = sides
        self.first = EqualConv(inputs, outputs, 3, rng)
        self.second = EqualConv(outputs, outputs, 3, rng)

    def __call__(self, x: Any) -> Any:
        h = _normalised(self.first(repeated(x, self.sides)))
        return _normalised(self.second(h))


class Generator(Module):
    """Hidden images of every resolution, and layers that make images of each."""

    def __init__(self, config: ResolutionsConfig, rng: Any) -> None:
        channels, self.sides = config.channels, config.sides
        self.first = First(config, rng)
        self.grow = [
            Grow(channels[i - 1], channels[i], self.sides[i], rng)
            for i in range(1, config.resolutions)
        ]
        self.to_image = [EqualConv(c, config.colours, 1, rng, gain=1) for c in channels]

    def hidden(self, z: Any, vectors: Any, resolutions: int) -> list[Any]:
        """Of the smallest ``resolutions``, from the smallest."""
        h = [self.first(z, vectors)]
        for grow in self.grow[: resolutions - 1]:
            h.append(grow(h[-1]))
        return h

    def image(self, h: Any, resolution: int) -> Any:
        """Of that resolution, values from −1 to 1, of hidden images of the same."""
        return np.tanh(self.to_image[resolution](h))


# -------------------------------------------------------------------------------------- critics


class Shrink(Module):
    """Hidden images of one resolution to those of the one below: two convolutions, and averaged."""

    def __init__(self, inputs: int, channels: int, rng: Any) -> None:
        """``inputs`` channels to ``channels``, and to twice as many at the end."""
        self.first = EqualConv(inputs, channels, 3, rng)
        self.second = EqualConv(channels, 2 * channels, 3, rng)

    def __call__(self, x: Any) -> Any:
        h = leaky_relu(self.first(x), SLOPE)
        return averaged(leaky_relu(self.second(h), SLOPE))


class Score(Module):
    """Hidden images of the smallest resolution, with their deviation and labels, to scores (N,)."""

    def __init__(self, inputs: int, config: ResolutionsConfig, rng: Any) -> None:
        height, width = config.sides[0]
        channels = config.channels[0]
        self.conv = EqualConv(inputs + 1 + config.classes, channels, 3, rng)
        self.dense = EqualDense(height * width * channels, 1, rng, gain=1)

    def __call__(self, x: Any, vectors: Any) -> Any:
        h = with_deviation(x)
        if vectors is not None:
            places = (*h.shape[:-1], vectors.shape[-1])
            h = np.concatenate([h, np.broadcast_to(vectors[:, None, None], places)], -1)
        h = leaky_relu(self.conv(h), SLOPE)
        return self.dense(h.reshape(len(h), -1))[:, 0]
