"""Bayes classifier: a Gaussian mixture of each class, and the class that makes x most probable.

A. Y. Ng and M. I. Jordan (2002), "On discriminative vs. generative classifiers: A comparison of
logistic regression and naive Bayes".

A density of each class and the probability of the class are a classifier, by Bayes' rule:

    p(y | x) = p(y) p(x | y) / Σ_y' p(y') p(x | y')

Here p(x | y) is a mixture of K normal distributions (:mod:`.gmm`). Together they are one mixture of
all classes' components, of which each belongs to a class, and p(y) is the sum of their weights:

    p(x, y) = Σ_{k of class y} π_k N(x; µ_k, Σ_k)

So the same EM maximises ln p(x, y): in the E-step, a point of a known class is of that class's
components alone. One of unknown class may be of any, as in a mixture without classes; both kinds
are learned from together (K. Nigam et al. 2000, "Text classification from labeled and unlabeled
documents using EM").

With one component a class, ln p(y | x) is quadratic in x, and linear if the covariance is tied:
quadratic and linear discriminant analysis. With diagonal covariances it is naive Bayes. Logistic
regression has the same linear form, but is trained to maximise ln p(y | x) itself. It errs less
with much data; with little, the density often does, for it is known sooner.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd import no_grad
from autograd.nn import log_softmax
from autograd.scipy.special import logsumexp
from scratchgen.config import require
from scratchgen.models.flows.flow import PointConfig
from scratchgen.models.labels import checked_labels
from scratchgen.models.latent.gmm import (
    GaussianMixture,
    ImageMixture,
    ImageMixtureConfig,
    MixtureConfig,
)

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class BayesConfig(MixtureConfig, PointConfig):
    """Of points."""

    components: int = 1
    """Normal distributions of each class."""
    classes: int = 2
    """Of the points."""

    def __post_init__(self) -> None:
        PointConfig.__post_init__(self)
        MixtureConfig.__post_init__(self)
        require(self, self.classes >= 1, "classes", "at least 1")


@dataclass(frozen=True)
class ImageBayesConfig(ImageMixtureConfig):
    """The defaults train well on the packaged digits."""

    components: int = 1
    """Normal distributions of each class."""
    floor: float = 0.5
    classes: int = 10
    """Of the images."""
    labelled: int = 0
    """Training images whose class is told, 0 for all; that of the others is found out."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.classes >= 1, "classes", "at least 1")
        enough = self.labelled == 0 or self.labelled >= self.classes
        require(self, enough, "labelled", f"at least {self.classes}, or 0 for all")


# --------------------------------------------------------------------------------------- points


class BayesClassifier(GaussianMixture):
    """p(x, y) of points x (N, D) and classes y, and from it p(x) and p(y | x).

    The components are those of class 0, then of class 1, and so on.
    """

    @property
    def size(self) -> int:
        """Components of all classes."""
        return self.config.classes * self.config.components

    def log_classes(self, joint: Any) -> Any:
        """The sums of every class's components, in logarithms: (…, size) → (…, classes)."""
        shape = *joint.shape[:-1], self.config.classes, self.config.components
        return logsumexp(joint.reshape(*shape), axis=-1)

    def log_priors(self) -> Any:
        """ln p(y): (classes,)."""
        return self.log_classes(log_softmax(self.logits))

    def log_posterior(self, x: Any) -> Any:
        """ln p(y | x): (N, D) → (N, classes)."""
        return log_softmax(self.log_classes(self.log_joint(x)))

    def classify(self, x: Any) -> Any:
        """The most probable class of each point: (N, D) → (N,)."""
        return np.argmax(self.log_posterior(x), axis=1)

    def log_prob(self, x: Any, context: Any = None, *, rng: Any = None) -> Any:
        """ln p(x), or ln p(x | y) for labels ``context``, in nats: (N, D) → (N,)."""
        if context is None:
            return logsumexp(self.log_joint(x), axis=1)
        labels = checked_labels(self, context, len(x))
        log_p = logsumexp(self.log_joint(x, self.allowed(labels)), axis=1)
        return log_p - self.log_priors()[labels]

    def allowed(self, labels: Any) -> Any:
        """Which components are of the class; all of them, if it is −1, unknown: (N, size)."""
        owner = np.arange(self.size) // self.config.components
        labels = labels[:, None]
        return np.logical_or(labels < 0, labels == owner)

    def initialise(self, batch: Any, rng: Any) -> None:
        """Start EM from points and labels, −1 if unknown; each class from those of its own."""
        x, labels = batch
        n = self.config.components
        with no_grad():
            self._check_scale(x)
            of = [x[np.flatnonzero(labels == y)] for y in range(self.config.classes)]
            for y, points in enumerate(of):
                if len(points) < n:
                    raise ValueError(
                        f"{type(self).__name__}: {n} components a class need as many points of "
                        f"each, and of class {y} there are {len(points)}"
                    )
            self._start(x, np.concatenate([self.seeds(points, n, rng) for points in of]))

    def update(self, batch: Any, rng: Any) -> dict[str, Any]:
        """A step of EM, which reports −ln p(x, y), or −ln p(x) where y is unknown.

        As in the mixture, ``batch`` is all of the points.
        """
        x, labels = batch
        return {"nats": -self.em_step(x, self.allowed(labels))}

    def sample(self, n: int, rng: Any, context: Any = None, temperature: float = 1.0) -> Any:
        """``n`` points (n, D), of any class, or of the classes ``context``."""
        logits = np.broadcast_to(self.logits.data, (n, self.size))
        if context is not None:
            allowed = self.allowed(checked_labels(self, context, n))
            logits = np.where(allowed, logits, -math.inf)
        return self._drawn(logits, rng, temperature)


# --------------------------------------------------------------------------------------- images


class ImageBayes(ImageMixture):
    """P(x) = Σ_y p(y) P(x | y) of images of integer levels, learned with labels, and p(y | x)."""

    mixture: BayesClassifier

    @staticmethod
    def mixture_of(config: Any, rng: Any) -> BayesClassifier:
        return BayesClassifier(config, rng)

    def initialise(self, batch: Any, rng: Any) -> None:
        """Start EM from images and labels, −1 if unknown."""
        x, labels = batch
        z, _ = self.points(x, rng)
        self.mixture.initialise((z, labels), rng)

    def update(self, batch: Any, rng: Any) -> dict[str, Any]:
        """A step of EM, on all of the images and labels: −ln P(x, y), or −ln P(x) of unknown y."""
        x, labels = batch
        z, log_det = self.points(x, rng)
        nats = self.mixture.update((z, labels), rng)["nats"]
        return {"nats": nats - np.mean(log_det)}

    def classify(self, x: Any) -> Any:
        """The most probable class (N,) of each image, its values in the middle of their levels."""
        z, _ = self.points(x, None)
        return self.mixture.classify(z)
