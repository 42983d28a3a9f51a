"""Which labels of images a model is told, in training and when it is measured."""

from __future__ import annotations

from typing import Any

import numpy

from scratchgen.data import ImageData

UNKNOWN = -1
"""The label of an image whose class the model is not told."""


def labels_to_learn(config: Any, data: ImageData) -> Any:
    """The labels (N,) of the training part, for a model that learns from them; None for others.

    A model that finds labels itself (its configuration has ``labelled``) is told so many of them,
    0 for all, as many of each class as of any other or one fewer while there are any, and for the
    rest UNKNOWN.
    """
    if not getattr(config, "classes", 0):
        return None
    assert data.labels is not None  # Images.check has seen to it
    labels = data.labels["train"].astype(int)
    if not hasattr(config, "labelled"):
        return labels
    rank = numpy.zeros(len(labels), int)  # of an image among those of its class
    for label in range(config.classes):
        rank[labels == label] = numpy.arange((labels == label).sum())
    told = numpy.argsort(rank, kind="stable")[: config.labelled or None]
    known = numpy.full(len(labels), UNKNOWN)
    known[told] = labels[told]
    return known


def given_labels(config: Any, data: ImageData, part: str) -> Any:
    """The labels (N,) that a density of images is conditioned on; None if it is not."""
    if not getattr(config, "classes", 0) or hasattr(config, "labelled"):
        return None
    assert data.labels is not None
    return data.labels[part]
