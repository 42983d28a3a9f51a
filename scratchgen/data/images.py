"""A data set of images of discrete grey levels, with its split."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass

import numpy

from scratchgen.errors import RunError, UsageError, unknown

PARTS = ("train", "validation", "test")


@dataclass(frozen=True)
class ImageData:
    """Images in the host's memory, (N, height, width, channels) of integers 0 … levels − 1."""

    name: str
    levels: int
    train: numpy.ndarray
    validation: numpy.ndarray
    test: numpy.ndarray
    labels: Mapping[str, numpy.ndarray] | None = None
    """By the name of the part, an integer (N,) that says what each image shows; None if unknown."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image: (height, width, channels)."""
        return self.train.shape[1:]

    def part(self, name: str) -> numpy.ndarray:
        """The images of the part "train", "validation" or "test".

        Raises UsageError, with the nearest name, for any other.
        """
        if name not in PARTS:
            raise unknown("part of the data", name, PARTS)
        images: numpy.ndarray = getattr(self, name)
        return images


def split_by_five(
    name: str, levels: int, images: numpy.ndarray, labels: numpy.ndarray | None = None
) -> ImageData:
    """Data that have no split of their own, in the fixed one: by the remainder of i / 5.

    Image i is in the test part if i mod 5 = 4, in the validation part if i mod 5 = 3, and in the
    training part otherwise. Raises RunError if that leaves a part empty.
    """
    if len(images) < 5:
        raise RunError(
            f"{name}: {len(images)} images; at least 5 are needed to train, validate and test on"
        )
    rows = rows_by_five(len(images))
    parts = {part: images[chosen] for part, chosen in rows.items()}
    named = None if labels is None else {part: labels[chosen] for part, chosen in rows.items()}
    return ImageData(name, levels, **parts, labels=named)


def rows_by_five(count: int) -> dict[str, numpy.ndarray]:
    """Which of so many examples are in each part, as truth values (count,)."""
    fifth = numpy.arange(count) % 5
    return {"train": fifth < 3, "validation": fifth == 3, "test": fifth == 4}


def requantise(data: ImageData, levels: int | None) -> ImageData:
    """``data`` with its L levels made ``levels`` = k of about equal width: x → ⌊x k / L⌋.

    With k = 2 that is the threshold at half: 1 where x ≥ L / 2. None leaves the data as they are.
    Raises UsageError unless 2 ≤ k ≤ L.
    """
    if levels is None or levels == data.levels:
        return data
    if not 2 <= levels <= data.levels:
        raise UsageError(f"levels={levels}: {data.name} can have 2 to {data.levels} levels")
    table = (numpy.arange(data.levels) * levels // data.levels).astype(smallest_type(levels))
    parts = {part: table[data.part(part)] for part in PARTS}
    return dataclasses.replace(data, levels=levels, **parts)


def smallest_type(levels: int) -> str:
    """The type in which pixels of that many levels are kept."""
    return "uint8" if levels <= 256 else "int32"
