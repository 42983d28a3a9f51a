"""Densities in the plane whose entropy is known, to see and to measure what a model learns.

The mean of −ln q(x) over samples of p is at least p's entropy H, and H + KL(p‖q) exactly; so a
model's likelihood minus ``entropy`` is its divergence from the truth, which real data never tell.
All of them lie within the square [−4, 4]², the mixtures but for their tails.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy

import autograd.numpy as np
from autograd import backend
from autograd.scipy.special import logsumexp
from scratchgen.errors import unknown


class Toy(ABC):
    """A density in the plane."""

    classes: int = 0
    """Of how many parts of equal weight it consists, if they can be told apart."""

    def label(self, x: Any) -> Any:
        """Which of its parts each of the points (N, 2) belongs to: integers (N,)."""
        raise TypeError(f"{type(self).__name__} has no parts")

    @property
    @abstractmethod
    def entropy(self) -> float:
        """H = −∫ p(x) ln p(x) dx, in nats."""

    @abstractmethod
    def sample(self, n: int, rng: Any) -> Any:
        """n points, (n, 2), on the backend that ``rng`` is of."""

    @abstractmethod
    def log_prob(self, x: Any) -> Any:
        """ln p(x) in nats, (N,), for points (N, 2); −∞ where p(x) = 0."""


class Uniform(Toy):
    """Uniform on a region of area A: p(x) = 1 / A there, and H = ln A."""

    @property
    @abstractmethod
    def area(self) -> float:
        """A."""

    @abstractmethod
    def contains(self, x: Any) -> Any:
        """Whether the points (N, 2) are in the region: truth values (N,)."""

    @property
    def entropy(self) -> float:
        return math.log(self.area)

    def log_prob(self, x: Any) -> Any:
        return np.where(self.contains(x), -self.entropy, -math.inf).astype(x.dtype)


@dataclass(frozen=True)
class Checkerboard(Uniform):
    """The dark squares of a board of ``squares`` × ``squares`` (an even number) on [−4, 4]²."""

    squares: int = 4

    @property
    def area(self) -> float:
        return 64 / 2

    @property
    def _side(self) -> float:
        return 8 / self.squares

    def contains(self, x: Any) -> Any:
        square = np.floor((x + 4) / self._side)
        on_board = np.logical_and(square >= 0, square < self.squares)
        dark = (square[:, 0] + square[:, 1]) % 2 == 0
        return np.logical_and(np.logical_and(on_board[:, 0], on_board[:, 1]), dark)

    def sample(self, n: int, rng: Any) -> Any:
        u = rng.random((n, 4))
        row = np.floor(u[:, 0] * self.squares)
        column = 2 * np.floor(u[:, 1] * (self.squares // 2)) + row % 2  # of the dark ones
        square = np.stack([row, column], axis=-1)
        return (square + u[:, 2:]) * self._side - 4


@dataclass(frozen=True)
class Ring(Uniform):
    """The band between two circles around 0: A = π (outer² − inner²)."""

    inner: float = 2.5
    outer: float = 3.5

    @property
    def area(self) -> float:
        return math.pi * (self.outer**2 - self.inner**2)

    def contains(self, x: Any) -> Any:
        r = np.hypot(x[:, 0], x[:, 1])
        return np.logical_and(r >= self.inner, r < self.outer)

    def sample(self, n: int, rng: Any) -> Any:
        u = rng.random((n, 2))
        return _from_polar(_radius(u[:, 0], self.inner, self.outer), u[:, 1] * math.tau)


@dataclass(frozen=True)
class Spirals(Uniform):
    """Arms that wind around 0: every other one of 2 · ``arms`` sectors of a ring, twisted.

    The twist turns the point at radius r by the angle ``twist`` · r. In polar coordinates its
    Jacobian is (1 0; twist 1), of determinant 1, and r is kept: the area r dr dθ is that of the
    untwisted sectors, A = π (outer² − inner²) / 2.
    """

    arms: int = 2
    twist: float = 1.5
    inner: float = 0.5
    outer: float = 4.0

    @property
    def area(self) -> float:
        return math.pi * (self.outer**2 - self.inner**2) / 2

    @property
    def classes(self) -> int:  # type: ignore[override]
        return self.arms

    def label(self, x: Any) -> Any:
        """Its arm."""
        r = np.hypot(x[:, 0], x[:, 1])
        return np.floor(self._untwisted(x, r) % math.tau / self._turn).astype(int)

    @property
    def _turn(self) -> float:
        """The angle from one arm to the next."""
        return math.tau / self.arms

    def _untwisted(self, x: Any, r: Any) -> Any:
        return np.arctan2(x[:, 1], x[:, 0]) - self.twist * r

    def contains(self, x: Any) -> Any:
        r = np.hypot(x[:, 0], x[:, 1])
        angle = self._untwisted(x, r)
        in_sector = angle % self._turn < self._turn / 2
        return np.logical_and(in_sector, np.logical_and(r >= self.inner, r < self.outer))

    def sample(self, n: int, rng: Any) -> Any:
        u = rng.random((n, 3))
        r = _radius(u[:, 0], self.inner, self.outer)
        angle = (np.floor(u[:, 1] * self.arms) + u[:, 2] / 2) * self._turn
        return _from_polar(r, angle + self.twist * r)


class Gaussians(Toy):
    """Gaussians of equal weight and width σ, each around a centre µ_k.

    p(x) = 1/K Σ_k N(x; µ_k, σ² I). The entropy has no closed form: it is an integral, taken by the
    trapezoidal rule, which for so smooth an integrand errs by less than 1e-10.
    """

    sigma: float

    @property
    @abstractmethod
    def centres(self) -> Any:
        """µ, (K, 2)."""

    @cached_property
    def entropy(self) -> float:  # type: ignore[override]  # computed once
        step = self.sigma / 5
        with backend.using("numpy"):
            reach = numpy.abs(self.centres).max() + 9 * self.sigma
            axis = numpy.arange(-reach, reach, step)
            grid = numpy.stack(numpy.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
            log_p = self.log_prob(grid)
            return float(-(numpy.exp(log_p) * log_p).sum() * step**2)

    def _squares(self, x: Any) -> Any:
        """‖x − µ_k‖²: (N, K)."""
        return np.sum((x[:, None, :] - self.centres.astype(x.dtype)) ** 2, axis=-1)

    def label(self, x: Any) -> Any:
        """The nearest of the Gaussians."""
        return np.argmin(self._squares(x), axis=-1)

    def sample(self, n: int, rng: Any) -> Any:
        mode = np.floor(rng.random(n) * self.classes).astype(int)
        return self.centres[mode] + self.sigma * rng.standard_normal((n, 2))

    def log_prob(self, x: Any) -> Any:
        constant = math.log(self.classes * math.tau * self.sigma**2)
        return logsumexp(-self._squares(x) / (2 * self.sigma**2), axis=-1) - constant


@dataclass(frozen=True)
class GaussianCircle(Gaussians):
    """``modes`` Gaussians evenly on a circle around 0."""

    modes: int = 8
    radius: float = 3.0
    sigma: float = 0.3

    @property
    def classes(self) -> int:  # type: ignore[override]
        return self.modes

    @property
    def centres(self) -> Any:
        return _from_polar(self.radius, np.arange(self.modes) * (math.tau / self.modes))


@dataclass(frozen=True)
class GaussianGrid(Gaussians):
    """``side`` × ``side`` Gaussians, ``spacing`` apart, around 0."""

    side: int = 5
    spacing: float = 1.5
    sigma: float = 0.15

    @property
    def classes(self) -> int:  # type: ignore[override]
        return self.side**2

    @property
    def centres(self) -> Any:
        axis = (np.arange(self.side) - (self.side - 1) / 2) * self.spacing
        return np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)


TOYS: dict[str, Toy] = {
    "checkerboard": Checkerboard(),
    "ring": Ring(),
    "spirals": Spirals(),
    "eight-gaussians": GaussianCircle(),
    "grid": GaussianGrid(),
}


def find(name: str) -> Toy:
    """The density of that name. Raises UsageError, with the nearest name, if there is none."""
    if name not in TOYS:
        raise unknown("density", name, TOYS)
    return TOYS[name]


def _radius(u: Any, inner: float, outer: float) -> Any:
    """Radii uniform by area between two circles, from u uniform in [0, 1)."""
    return np.sqrt(inner**2 + u * (outer**2 - inner**2))


def _from_polar(r: Any, angle: Any) -> Any:
    return np.stack([r * np.cos(angle), r * np.sin(angle)], axis=-1)
