"""A data set of images of discrete grey levels, with its split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy


@dataclass(frozen=True)
class ImageData:
    """Images in the host's memory, (N, height, width, channels) of integers 0 … levels − 1."""

    name: str
    levels: int
    train: numpy.ndarray
    validation: numpy.ndarray
    test: numpy.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image: (height, width, channels)."""
        return self.train.shape[1:]
