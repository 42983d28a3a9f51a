"""Points: vectors of real numbers, of a density in the plane that is known, or the user's own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy

from autograd import backend
from scratchgen.data.images import PARTS, rows_by_five
from scratchgen.data.loading import existing
from scratchgen.data.npz import arrays_of, labels_of, names_of_parts
from scratchgen.data.toys import TOYS
from scratchgen.errors import RunError, UsageError, unknown

SIZES = {"train": 50_000, "validation": 5_000, "test": 20_000}
"""Points of each part of a density that is known."""


LARGEST = 1e15
"""Above any number of a point: its square must be a number too, in float32."""


@dataclass(frozen=True)
class PointData:
    """Points in the host's memory, (N, D) of real numbers, with their split."""

    name: str
    train: numpy.ndarray
    validation: numpy.ndarray
    test: numpy.ndarray
    labels: Mapping[str, numpy.ndarray] | None = None
    """By the name of the part, integers (N,) that say what each point belongs to."""
    entropy: float | None = None
    """In nats, of the density that they were drawn from; None if it is unknown."""

    @property
    def dimensions(self) -> int:
        """D."""
        return self.train.shape[1]

    def part(self, name: str) -> numpy.ndarray:
        """The points of the part "train", "validation" or "test"; UsageError for any other."""
        if name not in PARTS:
            raise unknown("part of the data", name, PARTS)
        points: numpy.ndarray = getattr(self, name)
        return points


def load(name: str) -> PointData:
    """The points that ``--data`` names: a density of :mod:`scratchgen.data.toys`, or a file.

    From a density the points are drawn with a fixed seed, the same on every backend. An ``.npz``
    archive has them in ``points`` (N, D), split by i mod 5 as images are, if you like with integers
    ``labels`` (N,); or in ``train``, ``valid`` and ``test``.

    Raises UsageError, with the nearest name, if there is no such data set; RunError for a file that
    cannot be used.
    """
    if name in TOYS:
        return _drawn(name)
    path = existing(name, TOYS)
    if path.suffix.lower() != ".npz":
        raise UsageError(f"{path}: expected an .npz file of points, or {', '.join(TOYS)}")
    return _from_file(path)


def _drawn(name: str) -> PointData:
    toy = TOYS[name]
    with backend.using("numpy"):
        rng = backend.default_rng(0)
        parts = {part: toy.sample(size, rng) for part, size in SIZES.items()}
        labels = {part: toy.label(x) for part, x in parts.items()} if toy.classes else None
        return PointData(name, **parts, labels=labels, entropy=toy.entropy)


def _from_file(path: Path) -> PointData:
    arrays, name = arrays_of(path), str(path)
    if "points" in arrays:
        points = _checked(path, "points", arrays["points"])
        if len(points) < 5:
            raise RunError(f"{path}: {len(points)} points; at least 5, to train, validate and test")
        rows, labels = rows_by_five(len(points)), labels_of(path, arrays, len(points))
        train, validation, test = (points[rows[part]] for part in PARTS)
        named = None if labels is None else {part: labels[rows[part]] for part in PARTS}
        return PointData(name, train, validation, test, named)
    if "labels" in arrays:
        raise RunError(f"{path}: 'labels' of which points? They belong to an array 'points'")
    names = names_of_parts(path, arrays)
    train, validation, test = parts = [_checked(path, array, arrays[array]) for array in names]
    widths = [points.shape[1] for points in parts]
    if len(set(widths)) > 1:
        raise RunError(f"{path}: {', '.join(names)} have points of {widths} dimensions")
    return PointData(name, train, validation, test)


def _checked(path: Path, name: str, points: numpy.ndarray) -> numpy.ndarray:
    """The points in float64, if they are finite numbers (N, D)."""
    if points.ndim != 2 or 0 in points.shape or points.dtype.kind not in "fiu":
        raise RunError(
            f"{path}: array {name!r} is {points.dtype} of shape {points.shape}; "
            "expected numbers (N, D), neither of them 0"
        )
    bad = int((~(numpy.abs(points) < LARGEST)).sum())
    if bad:
        raise RunError(
            f"{path}: array {name!r} has {bad} values that are no numbers below {LARGEST:g}"
        )
    return points.astype("float64")
