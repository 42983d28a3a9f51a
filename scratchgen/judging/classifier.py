"""A small classifier, trained on the spot: images as it sees them can be compared.

Inception score and Fréchet distance were made for a network of a thousand classes of photographs,
that has to be fetched and sees nothing in an eight by eight digit. This one learns the classes of
the data at hand in some hundred steps, on the project's own engine: two convolutions that halve
the image, a hidden layer, whose units are the *features* of an image, and a number for each class.

It is trained with a seed of its own, on the training part alone: for the same data it is the same
classifier, whatever model it judges. Data without labels have none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy

import autograd.numpy as np
from autograd import backend, no_grad
from autograd.nn import relu, softmax
from scratchgen.config import require
from scratchgen.data import ImageData
from scratchgen.distributions import categorical
from scratchgen.models.images import ImageConfig, ImageModel
from scratchgen.nn import Dense, Halve
from scratchgen.optim import Adam, cosine, linear_warmup

STEPS = 800
"""Of training, whatever the data."""

BATCH = 64
"""Images in a step."""


@dataclass(frozen=True)
class ClassifierConfig(ImageConfig):
    """The images and classes that it tells apart, and the size of its layers."""

    classes: int = 10
    """At least 2."""
    channels: int = 32
    """After the first halving; twice as many after the second."""
    features: int = 64
    """Units of the hidden layer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.classes >= 2, "classes", "at least 2")


class Classifier(ImageModel):
    """p(class | image) for images (N, H, W, colours) of integer levels."""

    def __init__(self, config: ClassifierConfig, rng: Any) -> None:
        self.config = config
        channels = (config.colours, config.channels, 2 * config.channels)
        self.halve = [Halve(a, b, 3, rng) for a, b in pairwise(channels)]
        height, width = (-(-side // 4) for side in (config.height, config.width))
        self.hidden = Dense(height * width * channels[-1], config.features, rng)
        self.output = Dense(config.features, config.classes, rng)

    def features(self, x: Any) -> Any:
        """What it makes of images before it decides: (N, features), from −1 to 1.

        By hyperbolic tangents: what is like nothing it knows does not come out large, and no unit
        is dead.
        """
        h = self.scaled(x)
        for layer in self.halve:
            h = relu(layer(h))
        return np.tanh(self.hidden(h.reshape(len(x), -1)))

    def loss(self, x: Any, labels: Any) -> Any:
        """Mean −ln p(label | image)."""
        return -np.mean(categorical.log_prob(self.output(self.features(x)), labels))

    def seen(self, images: numpy.ndarray) -> Seen:
        """What it sees in images (N, …) of the host."""
        features, p = [], []
        with no_grad():
            for start in range(0, len(images), 500):
                h = self.features(backend.asarray(images[start : start + 500]))
                features.append(backend.to_numpy(h))
                p.append(backend.to_numpy(softmax(self.output(h), -1)))
        return Seen(numpy.concatenate(features), numpy.concatenate(p))


@dataclass(frozen=True)
class Seen:
    """Images as a classifier sees them, in the host's memory."""

    features: numpy.ndarray
    """(N, features)"""
    p: numpy.ndarray
    """Probabilities (N, classes)."""

    def right(self, labels: numpy.ndarray) -> float:
        """The share whose likeliest class is that of ``labels`` (N,)."""
        return float((self.p.argmax(1) == labels).mean())


def untrained(data: ImageData) -> Classifier | None:
    """A classifier of such images, with its first weights; None if there are no classes to learn.

    That is if the images have no labels, or all have the same.
    """
    if data.labels is None:
        return None
    classes = 1 + max(int(labels.max()) for labels in data.labels.values())
    if classes < 2:
        return None
    height, width, colours = data.shape
    config = ClassifierConfig(height, width, colours, data.levels, classes)
    return Classifier(config, backend.default_rng(0))


def trained(data: ImageData) -> Classifier | None:
    """The classifier of the training part of ``data``; None if there are no classes to learn."""
    classifier = untrained(data)
    if classifier is None:
        return None
    assert data.labels is not None
    x, labels = backend.asarray(data.train), backend.asarray(data.labels["train"].astype(int))
    rng, optimiser = backend.default_rng(1), Adam(classifier.parameters().values())
    batches = math.ceil(len(x) / BATCH)
    for step in range(STEPS):
        if step % batches == 0:
            order = np.argsort(rng.random(len(x)))
        rows = order[step % batches * BATCH : (step % batches + 1) * BATCH]
        classifier.loss(x[rows], labels[rows]).backward()
        optimiser.learning_rate = 4e-3 * cosine(step, STEPS) * linear_warmup(step, 20)
        optimiser.step()
    return classifier
