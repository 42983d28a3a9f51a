"""Draws against data: scores for models without a density.

T. Salimans et al. (2016), "Improved techniques for training GANs"; M. Heusel et al. (2017), "GANs
trained by a two time-scale update rule converge to a local Nash equilibrium"; T. Kynkäänniemi et
al. (2019), "Improved precision and recall metric for assessing generative models".

All of them are of samples: of points as they are, of images as a classifier sees them, by its
features or its probabilities (:mod:`scratchgen.judging.classifier`; the papers take a large network
of photographs). Their values depend on that network and on the size of the samples, so only those
of the same classifier and the same size can be compared. Arrays are the host's.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.special import entr

ROWS = 1_000
"""Of a matrix of distances that are in memory at a time."""


def inception_score(p: numpy.ndarray) -> float:
    """exp(E_x KL(p(y | x) ‖ p(y))), from 1 to the number of classes K, for p(y | x) (N, K).

    p(y) is the mean of p(y | x). By the information between x and y, H(y) − H(y | x), the score is
    K where every image is of one class beyond doubt and all classes are as frequent, and 1 where
    all images look alike, or none like any class. (Salimans et al. 2016, §4.)
    """
    p = _sample("inception_score", p)
    if (p < 0).any() or not (p.sum(1) > 0).all():
        raise ValueError("inception_score: probabilities are at least 0, and not all of them 0")
    p = p / p.sum(1, keepdims=True)  # those of float32 do not quite sum to 1
    information = entr(p.mean(0)).sum() - entr(p).sum(1).mean()
    return float(numpy.exp(information))


def frechet_distance(x: numpy.ndarray, y: numpy.ndarray) -> float:
    """Between the normal distributions of the means and covariances of x (N, D) and y (M, D).

        d² = |µ₁ − µ₂|² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½)

    the square of their Wasserstein-2 distance (Heusel et al. 2017, eq. 6, which like most of those
    who followed calls the square the distance). With Σ₁ = AᵀA and Σ₂ = BᵀB the eigenvalues of
    Σ₁ Σ₂ are, but for zeros, those of the symmetric A Σ₂ Aᵀ = (A Bᵀ)(A Bᵀ)ᵀ: the trace of the root
    is the sum of the singular values of A Bᵀ, and no root of a matrix is taken, nor is anything
    lost where a covariance is singular, as that of fewer draws than features. Of one draw it is 0.
    """
    x, y = _samples("frechet_distance", x, y)
    a, b = _root_of_covariance(x), _root_of_covariance(y)
    root = numpy.linalg.svd(a @ b.T, compute_uv=False).sum()
    between = ((x.mean(0) - y.mean(0)) ** 2).sum()
    return float(max(between + (a * a).sum() + (b * b).sum() - 2 * root, 0.0))


def _root_of_covariance(x: numpy.ndarray) -> numpy.ndarray:
    """A triangular matrix A with AᵀA the covariance of x (N, D)."""
    root: Any = numpy.linalg.qr((x - x.mean(0)) / max(len(x) - 1, 1) ** 0.5, mode="r")
    return root


def precision_and_recall(
    real: numpy.ndarray, fake: numpy.ndarray, neighbours: int = 3
) -> tuple[float, float]:
    """The share of draws that lie among the data, and of data that lie among the draws.

    A sample's region is the union of balls around its members, each as large as to reach the
    member's k-th nearest neighbour. Precision is the share of draws (M, D) in the region of data
    (N, D): how real they are; recall that of data in the region of draws: how varied these are.
    (Kynkäänniemi et al. 2019, eqs. 1 and 2, with k = 3 as there.) Of fewer than k + 1 members the
    farthest one is the k-th, and alone one has no neighbour: its ball is a point.
    """
    real, fake = _samples("precision_and_recall", real, fake)
    if neighbours < 1:
        raise ValueError(f"precision_and_recall: neighbours is {neighbours}; at least 1")
    return _share_within(fake, real, neighbours), _share_within(real, fake, neighbours)


def _share_within(x: numpy.ndarray, region: numpy.ndarray, neighbours: int) -> float:
    """The share of x (N, D) in one of the balls around the members of ``region`` (M, D)."""
    k = min(neighbours, len(region) - 1)  # the nearest is the member itself
    radii = [numpy.partition(part, k, axis=1)[:, k] for part in _distances(region, region)]
    radius = numpy.concatenate(radii)
    within = [(part <= radius).any(1) for part in _distances(x, region)]
    return float(numpy.concatenate(within).mean())


def _distances(x: numpy.ndarray, y: numpy.ndarray) -> Iterator[numpy.ndarray]:
    """Those of each of x (N, D) to all of y (M, D), some rows of (N, M) at a time."""
    for start in range(0, len(x), ROWS):
        yield cdist(x[start : start + ROWS], y)


def agreement(groups: numpy.ndarray, labels: numpy.ndarray) -> float:
    """The share of examples whose group, of groups found without labels (N,), is that of its label.

    Groups have no names: each is given one label and each label one group, so that most examples
    agree. (That is an assignment again, of the table of how often each meets each.)
    """
    if len(groups) != len(labels) or not len(groups):
        raise ValueError(f"agreement: {len(groups)} groups and {len(labels)} labels; one of each")
    table = numpy.zeros((1 + int(groups.max()), 1 + int(labels.max())), int)
    numpy.add.at(table, (groups, labels), 1)
    return float(table[linear_sum_assignment(table, maximize=True)].sum() / len(groups))


def wasserstein_distance(x: numpy.ndarray, y: numpy.ndarray) -> float:
    """W₁ of two samples of one size, both (N, D): how far a point is carried on average, at least.

    Between samples of one size the best transport takes each point of one to one of the other
    (the vertices of Birkhoff's polytope are permutations), so it is an assignment, and found
    exactly, in O(N³).
    """
    x, y = _samples("wasserstein_distance", x, y)
    if len(x) != len(y):
        raise ValueError(f"wasserstein_distance: {len(x)} and {len(y)} points; as many of both")
    cost = cdist(x, y)
    return float(cost[linear_sum_assignment(cost)].mean())


@dataclass(frozen=True)
class Modes:
    """What a sample covers of a mixture."""

    found: int
    """Components that a point lies near."""
    share: float
    """Of the points, near some component."""


def modes_found(x: numpy.ndarray, centres: numpy.ndarray, sigma: float) -> Modes:
    """The components N(µ_k, σ² I) of a mixture, µ (K, D), that points x (N, D) lie near.

    Near is within 3 σ of the mean, where 98.9 % of a component in the plane are. (Z. Lin et al.
    2018, "PacGAN: the power of two samples in generative adversarial networks", §4.1.)
    """
    x, centres = _samples("modes_found", x, centres)
    distance = cdist(x, centres)
    near = distance.min(1) <= 3 * sigma
    return Modes(len(numpy.unique(distance.argmin(1)[near])), float(near.mean()))


def _samples(name: str, x: numpy.ndarray, y: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Both in float64, if they are of as many dimensions."""
    x, y = _sample(name, x), _sample(name, y)
    if x.shape[1] != y.shape[1]:
        raise ValueError(f"{name}: samples of {x.shape[1]} and of {y.shape[1]} dimensions")
    return x, y


def _sample(name: str, x: numpy.ndarray) -> numpy.ndarray:
    """In float64, if it is one: (N, D), neither of them 0, of finite numbers."""
    if x.ndim != 2 or 0 in x.shape:
        raise ValueError(f"{name}: a sample of shape {x.shape}; expected (N, D), neither of them 0")
    if not numpy.isfinite(x).all():
        raise ValueError(f"{name}: there are values that are NaN or infinite")
    return x.astype("float64")
