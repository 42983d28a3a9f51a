"""The networks of adversarial models: noise to images, images to scores.

A *generator* is called ``generator(z, vectors, rng)`` with noise z (N, latents) and returns images
(N, H, W, colours) of values from −1 to 1. A *critic* is called ``critic(x, vectors, rng)`` with
such images and returns scores (N,). ``vectors`` (N, classes) are the labels of class-conditional
models, or None; both are given them beside their input (M. Mirza and S. Osindero 2014, "Conditional
generative adversarial nets", §3.2). ``rng`` is a generator in training, or None.

Dense networks see an image as a row of numbers. The convolutional ones are those of A. Radford,
L. Metz and S. Chintala (2016), "Unsupervised representation learning with deep convolutional
generative adversarial networks" (§3):

* no pooling: the critic halves sides by convolutions in steps of two, the generator doubles them by
  transposed ones, back through the very same sides, odd ones too;
* no hidden dense layers: noise becomes the smallest image by one dense layer, the critic's smallest
  image a score by another;
* batch normalisation in both, but neither of the image made nor of the image shown;
* ReLU in the generator, tanh at its end; leaky ReLU of slope 0.2 in the critic;
* all weights from N(0, 0.02²).

In the critic data and draws are batches of their own. It has no batch normalisation where a score
must depend on one image alone, for a gradient penalty, nor beside spectral normalisation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import autograd.numpy as np
from autograd.nn import leaky_relu, relu
from scratchgen.config import require
from scratchgen.models.adversarial.game import GameConfig
from scratchgen.models.images import ImageConfig
from scratchgen.nn import MLP, BatchNorm, Dense, Double, Halve, Module, SpectralConv, SpectralDense
from scratchgen.nn.halve import halved_sides

KERNEL = 4
"""Side of a kernel. Twice the steps: each pixel made then meets as many inputs as any other."""
SLOPE = 0.2
"""Of leaky ReLU below 0."""

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class NetworkConfig(GameConfig, ImageConfig):
    """A generator of images and their critic."""

    network: str = "dense"
    """Both: dense, or conv for convolutional ones."""
    hidden: int = 256
    """Units of a hidden layer; in convolutional networks channels of the largest hidden images."""
    layers: int = 2
    """Hidden layers; in convolutional networks how often sides are halved."""
    norm: str = "batch"
    """In convolutional networks: batch normalisation, or none."""
    spectral: int = 0
    """1 for spectral normalisation of the critic's weights, in place of its batch normalisation."""

    def __post_init__(self) -> None:
        GameConfig.__post_init__(self)
        ImageConfig.__post_init__(self)
        require(self, self.network in ("dense", "conv"), "network", "dense or conv")
        require(self, self.hidden >= 1, "hidden", "at least 1")
        require(self, self.layers >= 1, "layers", "at least 1")
        if self.network == "conv":  # each layer has twice the channels: too many do not fit memory
            largest = max(self.height, self.width)
            most = max(2, (largest - 1).bit_length())  # the default always is possible
            often = f"from 1 to {most}: a side of {largest} is not halved more often"
            require(self, self.layers <= most, "layers", often)
        require(self, self.norm in ("batch", "none"), "norm", "batch or none")
        require(self, self.spectral in (0, 1), "spectral", "0 or 1")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of an image: (height, width, colours)."""
        return self.height, self.width, self.colours


def generator(config: NetworkConfig, rng: Any) -> DenseGenerator | ConvGenerator:
    """The one that ``config.network`` names."""
    return ConvGenerator(config, rng) if config.network == "conv" else DenseGenerator(config, rng)


def critic(config: NetworkConfig, rng: Any) -> DenseCritic | ConvCritic:
    """Likewise."""
    return ConvCritic(config, rng) if config.network == "conv" else DenseCritic(config, rng)


# ----------------------------------------------------------------------------------------- dense


class DenseGenerator(Module):
    """``layers`` hidden layers of ``hidden`` units with ReLU, and tanh at the end."""

    def __init__(self, config: NetworkConfig, rng: Any) -> None:
        self.shape = config.shape
        self.network = MLP(
            config.latents,
            math.prod(config.shape),
            rng,
            hidden=config.hidden,
            layers=config.layers,
            context=config.classes,
        )

    def __call__(self, z: Any, vectors: Any = None, rng: Any = None) -> Any:
        return np.tanh(self.network(z, vectors)).reshape(-1, *self.shape)


class DenseCritic(Module):
    """The same with leaky ReLU: the features are the last hidden layer's."""

    def __init__(self, config: NetworkConfig, rng: Any) -> None:
        widths = [math.prod(config.shape) + config.classes] + [config.hidden] * config.layers
        layer = SpectralDense if config.spectral else PlainDense
        self.hidden = [layer(a, b, rng) for a, b in pairwise(widths)]
        self.width = widths[-1]
        self.score = layer(self.width, 1, rng)

    def features(self, x: Any, vectors: Any = None, rng: Any = None) -> Any:
        """(N, width)"""
        h = x.reshape(len(x), -1)
        if vectors is not None:
            h = np.concatenate([h, vectors], -1)
        for layer in self.hidden:
            h = leaky_relu(layer(h, rng), SLOPE)
        return h

    def __call__(self, x: Any, vectors: Any = None, rng: Any = None) -> Any:
        return self.score(self.features(x, vectors, rng), rng)[:, 0]


class PlainDense(Dense):
    """A dense layer that is called as a normalised one is."""

    def __call__(self, x: Any, rng: Any = None) -> Any:
        return super().__call__(x)


# --------------------------------------------------------------------------------- convolutional


def small_normal(rng: Any, shape: tuple[int, ...], fan_in: int = 0, fan_out: int = 0) -> Any:
    """N(0, 0.02²), float32, whatever the fans (Radford et al. 2016, §4)."""
    return (0.02 * rng.standard_normal(shape)).astype("float32")


class PlainHalve(Halve):
    """A convolution in steps of two that is called as a normalised one is."""

    def __call__(self, x: Any, rng: Any = None) -> Any:
        return super().__call__(x)


class ConvGenerator(Module):
    """A dense layer to the smallest image, whose sides are doubled ``layers`` times."""

    def __init__(self, config: Any, rng: Any) -> None:
        channels = channels_of(config)
        sides = halved_sides(config.height, config.width, config.layers)
        self.smallest = (*sides[-1], channels[-1])
        inputs = config.latents + config.classes
        self.first = Dense(inputs, math.prod(self.smallest), rng, small_normal)
        self.double = [
            Double(channels[i + 1], channels[i], sides[i], rng, KERNEL, small_normal)
            for i in reversed(range(config.layers))
        ]
        batch = config.norm == "batch"
        self.norms = [BatchNorm(c) for c in reversed(channels[1:])] if batch else []
        _without_bias(self.double[:-1] if batch else [])

    def __call__(self, z: Any, vectors: Any = None, rng: Any = None) -> Any:
        if vectors is not None:
            z = np.concatenate([z, vectors], -1)
        h = self.first(z).reshape(-1, *self.smallest)
        for i, double in enumerate(self.double):
            if self.norms:
                h = self.norms[i](h, rng)
            h = double(relu(h))
        return np.tanh(h)


class ConvCritic(Module):
    """Convolutions that halve the sides ``layers`` times: the features are the smallest image."""

    def __init__(self, config: Any, rng: Any) -> None:
        channels = channels_of(config)
        channels[0] += config.classes
        layer: Any = partial(SpectralConv, stride=2) if config.spectral else PlainHalve
        self.halve = [layer(a, b, KERNEL, rng, small_normal) for a, b in pairwise(channels)]
        batch = config.norm == "batch" and config.loss != "wgan-gp" and not config.spectral
        self.norms = [BatchNorm(c) for c in channels[2:]] if batch else []
        _without_bias(self.halve[1:] if batch else [])
        smallest = halved_sides(config.height, config.width, config.layers)[-1]
        self.width = math.prod(smallest) * channels[-1]
        score = SpectralDense if config.spectral else PlainDense
        self.score = score(self.width, 1, rng, small_normal)

    def features(self, x: Any, vectors: Any = None, rng: Any = None) -> Any:
        """(N, width)"""
        if vectors is not None:
            places = (*x.shape[:-1], vectors.shape[-1])
            x = np.concatenate([x, np.broadcast_to(vectors[:, None, None], places)], -1)
        h = leaky_relu(self.halve[0](x, rng), SLOPE)
        for i, halve in enumerate(self.halve[1:]):
            h = halve(h, rng)
            if self.norms:
                h = self.norms[i](h, rng)
            h = leaky_relu(h, SLOPE)
        return h.reshape(len(h), -1)

    def __call__(self, x: Any, vectors: Any = None, rng: Any = None) -> Any:
        return self.score(self.features(x, vectors, rng), rng)[:, 0]


def _without_bias(layers: Sequence[Any]) -> None:
    """Of layers before batch normalisation, which would take it away again with the mean."""
    for layer in layers:
        layer.bias = None


def channels_of(config: NetworkConfig) -> list[int]:
    """Of the images in a convolutional network, from the largest to the smallest."""
    return [config.colours] + [config.hidden * 2**i for i in range(config.layers)]
