"""Units of likelihood, and the figures that any model of images should beat.

Inside, a likelihood is in nats per example. This is the one place where nats become bits per
dimension, the unit in which papers compare models of images.
"""

from __future__ import annotations

import math

import numpy


def bits_per_dimension(nats: float, dimensions: int) -> float:
    """−log₂ p(x) / d from −ln p(x), for an example of d dimensions: nats / (d ln 2).

    ``dimensions`` counts every number of an example: height · width · channels of an image.
    """
    return nats / (dimensions * math.log(2))


def uniform_nats(shape: tuple[int, ...], levels: int) -> float:
    """−ln p(x) when every pixel takes each of its levels with equal probability: d ln(levels)."""
    return math.prod(shape) * math.log(levels)


def independent_nats(train: numpy.ndarray, test: numpy.ndarray, levels: int) -> float:
    """Mean −ln p(x) of ``test`` under independent pixels, each with its own histogram.

    p(x) = Π_i (n_i(x_i) + 1) / (N + levels), where n_i(v) counts the training images whose pixel
    i has the level v: add-one smoothing, as a level that never occurred must not have p = 0.
    """
    train, test = train.reshape(len(train), -1), test.reshape(len(test), -1)  # (N, d)
    values = numpy.arange(levels)[:, None, None]
    counts = (train == values).sum(axis=1) + 1.0  # (levels, d)
    log_p = numpy.log(counts / (len(train) + levels))
    return float(-log_p[test, numpy.arange(test.shape[1])].sum(axis=1).mean())


def marginal_nats(train: numpy.ndarray, test: numpy.ndarray, levels: int) -> float:
    """Mean −ln p(x_t) of the elements of a sequence drawn independently from one histogram.

    p(v) = (n(v) + 1) / (T + levels), where n(v) counts the training elements equal to v: the
    marginal entropy of the training part, but measured on the sequence ``test``.
    """
    counts = numpy.bincount(train.ravel(), minlength=levels) + 1.0
    log_p = numpy.log(counts / counts.sum())
    return float(-log_p[test].mean())
