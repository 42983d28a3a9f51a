"""The networks of models with latent variables: images to features, codes to images.

An *encoder* is called ``encoder(x, vectors, rng)`` with images scaled to [−1, 1], (N, H, W,
colours), and returns ``encoder.width`` features of each, (N, width): what a model needs to know of
an image, for a last layer of its own to turn into the parameters of q. A *decoder* is called
``decoder(z, vectors, rng)`` with codes z (…, inputs) and returns (…, outputs), which the
observation takes for the parameters of p(x | z). ``vectors`` (…, classes) are the labels of
class-conditional models, or None; both networks are given them beside their input. ``rng`` is a
generator for dropout in training, or None.

Dense networks see an image as a row of numbers. Convolutional ones take it through sides of
⌈H / 2⌉, ⌈H / 4⌉, …, and the decoder goes the same way back by transposed convolutions (A. Radford,
L. Metz and S. Chintala 2016, "Unsupervised representation learning with deep convolutional
generative adversarial networks", §3), through the very same sides, odd ones too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import autograd.numpy as np
from autograd.nn import dropout, relu
from scratchgen.config import require
from scratchgen.models.images import ImageConfig
from scratchgen.nn import MLP, Conv, Dense, Double, Halve, Module
from scratchgen.nn.halve import halved_sides
from scratchgen.nn.initialisers import glorot_normal

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class NetworkConfig(ImageConfig):
    """The networks of a model of images that has codes for them."""

    latents: int = 16
    """Numbers of a code z."""
    classes: int = 0
    """Of the images, that everything is conditioned on; 0 for none."""
    network: str = "dense"
    """Encoder and decoder: dense, or conv for convolutional ones."""
    hidden: int = 200
    """Units of a hidden layer; in convolutional networks channels of the largest images."""
    layers: int = 1
    """Hidden layers; in convolutional networks how often sides are halved and channels doubled."""
    dropout: float = 0.0
    """Rate of the units of each hidden layer that are dropped in training."""
    output: str = "categorical"
    """p of a value given z: categorical (Bernoulli with two levels), or gaussian."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.latents >= 1, "latents", "at least 1")
        require(self, self.classes >= 0, "classes", "at least 1, or 0 for none")
        require(self, self.network in ("dense", "conv"), "network", "dense or conv")
        require(self, self.hidden >= 1, "hidden", "at least 1")
        require(self, self.layers >= 0, "layers", "at least 0")
        require(self, 0 <= self.dropout < 1, "dropout", "from 0 to below 1")
        kinds = ("categorical", "gaussian")
        require(self, self.output in kinds, "output", " or ".join(kinds))


def encoder(config: NetworkConfig, rng: Any) -> DenseEncoder | ConvEncoder:
    """The one that ``config.network`` names."""
    return ConvEncoder(config, rng) if config.network == "conv" else DenseEncoder(config, rng)


def decoder(config: NetworkConfig, inputs: int, outputs: int, rng: Any) -> MLP | ConvDecoder:
    """Likewise. ``outputs`` is a number for each number of an image, or several."""
    if config.network == "conv":
        return ConvDecoder(config, inputs, outputs, rng)
    return MLP(
        inputs,
        outputs,
        rng,
        hidden=config.hidden,
        layers=config.layers,
        context=config.classes,
        dropout=config.dropout,
    )


# ----------------------------------------------------------------------------------------- dense


class DenseEncoder(Module):
    """Images through ``layers`` hidden layers of ``hidden`` units: the features are the last one's.

    With no hidden layer the features are the image itself.
    """

    def __init__(self, config: NetworkConfig, rng: Any) -> None:
        self.rate = config.dropout
        widths = [config.dimensions + config.classes] + [config.hidden] * config.layers
        self.hidden = [Dense(a, b, rng) for a, b in pairwise(widths)]
        self.width = widths[-1]

    def __call__(self, x: Any, vectors: Any = None, rng: Any = None) -> Any:
        h = x.reshape(len(x), math.prod(x.shape[1:]))
        if vectors is not None:
            h = np.concatenate([h, vectors], -1)
        for layer in self.hidden:
            h = dropped(layer.rectified(h), self.rate, rng)
        return h


# --------------------------------------------------------------------------------- convolutional


class ConvEncoder(Module):
    """A convolution, then ``layers`` that halve the sides and double the channels."""

    def __init__(self, config: NetworkConfig, rng: Any) -> None:
        self.rate = config.dropout
        self.first = Conv(config.colours + config.classes, config.hidden, 3, rng)
        channels = channels_of(config)
        self.halve = [Halve(a, b, 3, rng) for a, b in pairwise(channels)]
        smallest = halved_sides(config.height, config.width, config.layers)[-1]
        self.width = math.prod(smallest) * channels[-1]

    def __call__(self, x: Any, vectors: Any = None, rng: Any = None) -> Any:
        if vectors is not None:
            places = (*x.shape[:-1], vectors.shape[-1])
            x = np.concatenate([x, np.broadcast_to(vectors[:, None, None], places)], -1)
        h = dropped(relu(self.first(x)), self.rate, rng)
        for layer in self.halve:
            h = dropped(relu(layer(h)), self.rate, rng)
        return h.reshape(len(h), self.width)


class ConvDecoder(Module):
    """A dense layer to the smallest image, doubled ``layers`` times, and a last convolution."""

    def __init__(self, config: NetworkConfig, inputs: int, outputs: int, rng: Any) -> None:
        self.rate, self.outputs = config.dropout, outputs
        channels = channels_of(config)
        sides = halved_sides(config.height, config.width, config.layers)
        self.smallest = (*sides[-1], channels[-1])
        self.first = Dense(inputs + config.classes, math.prod(self.smallest), rng)
        self.double = [
            Double(channels[i + 1], channels[i], sides[i], rng)
            for i in reversed(range(config.layers))
        ]
        each = outputs // (config.height * config.width)  # numbers of a pixel
        self.last = Conv(channels[0], each, 3, rng, glorot_normal)

    def __call__(self, z: Any, vectors: Any = None, rng: Any = None) -> Any:
        if vectors is not None:
            z = np.concatenate([z, vectors], -1)
        h = self.first(z.reshape(math.prod(z.shape[:-1]), z.shape[-1]))
        h = dropped(relu(h), self.rate, rng).reshape(len(h), *self.smallest)
        for layer in self.double:
            h = dropped(relu(layer(h)), self.rate, rng)
        return self.last(h).reshape(*z.shape[:-1], self.outputs)


def channels_of(config: NetworkConfig) -> list[int]:
    """Of the images in a convolutional network, from the largest to the smallest."""
    return [config.hidden * 2**i for i in range(config.layers + 1)]


def dropped(h: Any, rate: float, rng: Any) -> Any:
    """Hidden units after dropout, if it is training and there is any."""
    return dropout(h, rate, rng) if rng is not None and rate else h
