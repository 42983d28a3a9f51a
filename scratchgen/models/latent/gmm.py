"""Gaussian mixture: each point comes from one of K normal distributions, nobody sees which.

A. P. Dempster, N. M. Laird and D. B. Rubin (1977), "Maximum likelihood from incomplete data via the
EM algorithm".

The latent variable is the number k of the component that a point x was drawn from:

    p(x) = Σ_k π_k N(x; µ_k, Σ_k),     p(k | x) = π_k N(x; µ_k, Σ_k) / p(x) = r_k

With so few values of the latent variable its posterior, the *responsibilities* r, is known exactly,
where a variational autoencoder has to approximate it. For any q(k) in its place

    ln p(x) = F(q, θ) + KL(q ‖ r),     F(q, θ) = Σ_k q_k (ln π_k N(x; µ_k, Σ_k) − ln q_k)

and EM climbs F by turns (R. M. Neal and G. E. Hinton 1998, "A view of the EM algorithm that
justifies incremental, sparse, and other variants"). The *E-step* takes q = r, which makes F equal
to ln p(x). The *M-step* takes the parameters θ that are best for this q. They are known in closed
form: with N_k = Σ_n r_nk, each component is the mean and the covariance of the points that it is
responsible for, in proportion,

    π_k = N_k / N,   µ_k = Σ_n r_nk x_n / N_k,   S_k = Σ_n r_nk (x_n − µ_k)(x_n − µ_k)ᵀ / N_k

so that ln p(x) ≥ F(q, θ) has risen, or not changed. The covariance Σ_k is S_k itself (*full*), its
diagonal (*diagonal*), or Σ_k π_k S_k for all of them (*tied*).

**The floor.** The likelihood has no maximum: a component that sits on a single point has a density
there that grows without bound as it shrinks. So no component may have a variance below ``floor`` in
any direction. What maximises F under this constraint has the eigenvectors of S_k and its
eigenvalues, those below the floor raised to it; hence the likelihood never falls, which it may
where the floor is added to the diagonal instead.

**Empty components.** Responsibilities are kept as logarithms, so that a component may be far from
all points, and its weight as small as it likes: there are still some points that it is responsible
for more than for others, and it moves to them. Only with a weight of 0 it is responsible for
nothing; F does not depend on its mean and covariance then, and they stay as they are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import autograd.numpy as np
from autograd import Tensor, no_grad
from autograd.nn import log_softmax
from autograd.numpy.linalg import cholesky, eigh, solve_triangular
from autograd.scipy.special import logsumexp
from scratchgen.config import require
from scratchgen.distributions import categorical, normal
from scratchgen.models.bounds import BoundedModel
from scratchgen.models.flows.flow import PointConfig
from scratchgen.models.images import ImageConfig
from scratchgen.models.labels import checked_labels
from scratchgen.nn import Module
from scratchgen.transforms.dequantize import Dequantize
from scratchgen.transforms.logit import Logit

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class MixtureConfig:
    """What mixtures of points and of images have in common."""

    components: int = 8
    """Normal distributions."""
    covariance: str = "full"
    """Of each component: full, diagonal, or tied, a full one that is the same for all."""
    floor: float = 1e-3
    """The least variance of a component in any direction."""

    def __post_init__(self) -> None:
        require(self, self.components >= 1, "components", "at least 1")
        kinds = ("full", "diagonal", "tied")
        require(self, self.covariance in kinds, "covariance", "full, diagonal or tied")
        require(self, 0 < self.floor < math.inf, "floor", "above 0")


@dataclass(frozen=True)
class GaussianMixtureConfig(MixtureConfig, PointConfig):
    """The defaults train well on densities in the plane."""

    components: int = 32

    def __post_init__(self) -> None:
        PointConfig.__post_init__(self)
        MixtureConfig.__post_init__(self)
        require(self, self.classes == 0, "classes", "0: with classes, take a Bayes classifier")


@dataclass(frozen=True)
class ImageMixtureConfig(MixtureConfig, ImageConfig):
    """The defaults train well on the packaged digits.

    There a component has about one image for each number of one. The high floor keeps it from
    fitting these few too well.
    """

    components: int = 15
    floor: float = 0.4
    alpha: float = 0.005
    """Margin that keeps the logit of what was scaled to [0, 1) finite."""

    def __post_init__(self) -> None:
        ImageConfig.__post_init__(self)
        MixtureConfig.__post_init__(self)
        require(self, 0 < self.alpha < 0.5, "alpha", "above 0 and below 0.5")


# --------------------------------------------------------------------------------------- points


class GaussianMixture(Module):
    """p(x) = Σ_k π_k N(x; µ_k, Σ_k) of points x (N, D), with π = softmax(logits)."""

    def __init__(self, config: Any, rng: Any) -> None:
        """``config``: with ``dimensions`` D and the fields of a :class:`MixtureConfig`."""
        self.config = config
        n, d = self.size, config.dimensions
        shape = {"full": (n, d, d), "diagonal": (n, d), "tied": (1, d, d)}[config.covariance]
        unit = np.ones(d) if config.covariance == "diagonal" else np.eye(d)
        self.logits = Tensor(np.zeros(n, "float32"))
        self.means = Tensor(rng.standard_normal((n, d)).astype("float32"))
        self.covariances = Tensor(np.zeros(shape, "float32") + unit.astype("float32"))

    @property
    def size(self) -> int:
        """K."""
        return self.config.components

    # ------------------------------------------------------------------------------- likelihood

    def log_components(self, x: Any) -> Any:
        """ln N(x; µ_k, Σ_k) of every component, in nats: (N, D) → (N, K)."""
        self.check(x)
        every = range(self.size)
        if self.config.covariance == "diagonal":
            log_std = 0.5 * np.log(self.covariances)
            each = [np.sum(normal.log_prob(self.means[k], log_std[k], x), 1) for k in every]
        else:
            roots = self._matrices(cholesky(self.covariances))
            each = [_log_normal(self.means[k], roots[k], x) for k in every]
        return np.stack(each, axis=-1)

    def log_joint(self, x: Any, allowed: Any = None) -> Any:
        """ln π_k N(x; µ_k, Σ_k): (N, D) → (N, K).

        ``allowed``: truth values (N, K), which components a point may be from; the others' −∞.
        """
        joint = log_softmax(self.logits) + self.log_components(x)
        return joint if allowed is None else np.where(allowed, joint, -math.inf)

    def log_prob(self, x: Any, context: Any = None, *, rng: Any = None) -> Any:
        """ln p(x) in nats: (N, D) → (N,). ``context`` is None: the model has no classes."""
        checked_labels(self, context, len(x))
        return logsumexp(self.log_joint(x), axis=1)

    def responsibilities(self, x: Any) -> Any:
        """p(k | x): (N, D) → (N, K)."""
        return np.exp(self.e_step(x)[0])

    def check(self, x: Any) -> None:
        """Raise ValueError for points of another number of dimensions."""
        if x.ndim != 2 or x.shape[1] != self.config.dimensions:
            raise ValueError(
                f"{type(self).__name__}: points {tuple(x.shape)}, "
                f"expected (N, {self.config.dimensions})"
            )

    def _matrices(self, x: Any) -> Any:
        """One for each component, where a tied covariance is one for all: (K, D, D)."""
        return np.broadcast_to(x, (self.size, *x.shape[1:]))

    # ------------------------------------------------------------------------------------ EM

    def e_step(self, x: Any, allowed: Any = None) -> tuple[Any, Any]:
        """ln r_nk (N, K) and ln p(x_n) (N,), or that of x_n from one of the ``allowed``."""
        joint = self.log_joint(x, allowed)
        log_p = logsumexp(joint, axis=1)
        return joint - log_p[:, None], log_p

    def m_step(self, x: Any, log_r: Any) -> None:
        """Set the parameters to those that maximise F for points x (N, D) and ln r (N, K)."""
        with no_grad():
            log_n = logsumexp(log_r, axis=0)  # ln N_k
            empty = log_n == -math.inf
            share = np.exp(log_r - np.where(empty, 0.0, log_n)).T  # (K, N), each row's sum is 1
            self.logits[...] = log_n - math.log(len(x))
            self.means[...] = np.where(empty[:, None], self.means, share @ x)
            scatter = np.stack(
                [self._scatter(share[k], x - self.means[k]) for k in range(self.size)]
            )
            if self.config.covariance == "tied":
                weights = np.exp(self.logits)[:, None, None]
                self.covariances[...] = self._floored(np.sum(weights * scatter, 0, keepdims=True))
            else:
                kept = empty.reshape(-1, *[1] * (scatter.ndim - 1))
                self.covariances[...] = np.where(kept, self.covariances, self._floored(scatter))

    def lower_bound(self, x: Any, log_q: Any) -> Any:
        """F(q, θ) for each point: x (N, D) and ln q (N, K) → (N,)."""
        q = np.exp(log_q)
        joint, log_q = (np.where(q > 0, a, 0.0) for a in (self.log_joint(x), log_q))  # 0 ln 0 = 0
        return np.sum(q * (joint - log_q), axis=1)

    def em_step(self, x: Any, allowed: Any = None) -> Any:
        """An E-step and an M-step. Returns the mean ln p(x_n) before them, ()."""
        with no_grad():
            log_r, log_p = self.e_step(x, allowed)
            self.m_step(x, log_r)
            return np.mean(log_p)

    def _scatter(self, weights: Any, centred: Any) -> Any:
        """Σ_n w_n c_n c_nᵀ, or its diagonal: (N,) and (N, D) → (D, D) or (D,)."""
        if self.config.covariance == "diagonal":
            return weights @ centred**2
        return (weights[:, None] * centred).T @ centred

    def _floored(self, scatter: Any) -> Any:
        """The covariances with no variance below the floor for which F is highest."""
        if self.config.covariance == "diagonal":
            return np.maximum(scatter, self.config.floor)
        values, vectors = eigh(scatter)
        root = vectors * np.sqrt(np.maximum(values, self.config.floor))[:, None, :]
        return root @ np.swapaxes(root, -1, -2)

    # --------------------------------------------------------------------------------- training

    def initialise(self, batch: Any, rng: Any) -> None:
        """Start EM from points (N, D), all that there are to learn from.

        The means are :meth:`seeds`. All covariances are that of the points around their nearest
        seeds. Raises ValueError for fewer points than components, and for points too far apart.
        """
        with no_grad():
            self._check_scale(batch)
            self._start(batch, self.seeds(batch, self.config.components, rng))

    def seeds(self, x: Any, n: int, rng: Any) -> Any:
        """``n`` of the points x (N, D), far from one another: (n, D).

        The first is drawn at random, and each further one in proportion to its squared distance
        from the nearest so far: D. Arthur and S. Vassilvitskii (2007), "k-means++".
        """
        self.check(x)
        if n > len(x):
            raise ValueError(
                f"{type(self).__name__}: {n} components need at least as many points, not {len(x)}"
            )
        u = rng.random(n)
        weights = np.ones(len(x))
        found: list[Any] = []
        for i in range(n):
            cumulative = np.cumsum(weights)
            place = np.sum(cumulative <= u[i] * cumulative[-1])
            found.append(x[np.minimum(place, len(x) - 1)])
            square = np.sum((x - found[-1]) ** 2, axis=1).astype("float64")
            weights = np.minimum(weights, square) if i else square
        return np.stack(found)

    def _start(self, x: Any, seeds: Any) -> None:
        squares = [np.sum((x - seeds[k]) ** 2, axis=1) for k in range(self.size)]
        nearest = np.argmin(np.stack(squares, axis=1), axis=1)
        uniform = np.full(len(x), 1 / len(x), x.dtype)
        self.means[...] = seeds
        self.logits[...] = 0.0
        self.covariances[...] = self._floored(self._scatter(uniform, x - seeds[nearest])[None])

    def _check_scale(self, x: Any) -> None:
        """Raise ValueError for points so far apart that the floor is lost beside their distances.

        No variance exceeds the largest squared distance from the mean of all points. Where that is
        rounded by more than the floor, a covariance may turn out not to be positive definite.
        """
        limits = np.finfo(self.means.dtype)
        limit = float(limits.max)
        if self.config.covariance != "diagonal":
            limit = min(limit, self.config.floor / float(limits.eps))
        x = x.astype("float64")
        largest = np.max(np.sum((x - np.mean(x, axis=0)) ** 2, axis=1)).item()
        if not largest < limit:
            raise ValueError(
                f"{type(self).__name__}: points {math.sqrt(largest):.3g} from their mean, in "
                f"{self.means.dtype} with floor={self.config.floor:g}: scale them, or raise floor"
            )

    def update(self, batch: Any, rng: Any) -> dict[str, Any]:
        """A step of training is one of EM, on all points that there are to learn from.

        From a part of them the M-step would keep nothing of what the others have taught.
        """
        return {"nats": -self.em_step(batch)}

    # --------------------------------------------------------------------------------- sampling

    def sample(self, n: int, rng: Any, context: Any = None, temperature: float = 1.0) -> Any:
        """``n`` points (n, D). ``temperature`` multiplies their distances from the means."""
        checked_labels(self, context, n)
        return self._drawn(np.broadcast_to(self.logits.data, (n, self.size)), rng, temperature)

    def _drawn(self, logits: Any, rng: Any, temperature: float) -> Any:
        """A point from one of the components for each row of logits (n, K): (n, D)."""
        with no_grad():
            k = categorical.sample(logits, rng)
            noise = rng.standard_normal((len(k), self.config.dimensions)).astype(self.means.dtype)
            if self.config.covariance == "diagonal":
                spread = np.sqrt(self.covariances)[k] * noise
            else:
                roots = self._matrices(cholesky(self.covariances))
                spread = np.zeros_like(noise)
                for j in range(self.size):
                    spread = np.where((k == j)[:, None], noise @ roots[j].T, spread)
            return self.means[k] + temperature * spread


def _log_normal(mean: Any, root: Any, x: Any) -> Any:
    """ln N(x; µ, R Rᵀ) = −½ |z|² − ln |R| − ½ D ln 2π with R z = x − µ and R triangular: (N,)."""
    # A stack of one matrix is solved by NumPy, a matrix by SciPy. Its threads and NumPy's hinder
    # each other (autograd.backend.threads): on two busy cores EM took 10 to 30 times as long.
    z = solve_triangular(root[None], (x - mean).T[None], lower=True)[0]  # (D, N)
    log_det = np.sum(np.log(np.diagonal(root)))
    return -0.5 * np.sum(z * z, axis=0) - log_det - 0.5 * len(z) * math.log(2 * math.pi)


# --------------------------------------------------------------------------------------- images


class ImageMixture(BoundedModel):
    """P(x) of images of integer levels: a mixture of their logits, when made continuous; a bound.

    As in a flow (:mod:`scratchgen.models.flows.flow`), each level is an interval of [0, 1), in
    which noise chooses a number, and its logit can be any real number, as with a normal
    distribution it has to:

        y = (x + u) / levels,   z = logit y,     ln P(x) ≥ E_u [ln p(z) + ln |det ∂z/∂x|]
    """

    importance_samples: ClassVar[int] = 16

    def __init__(self, config: Any, rng: Any) -> None:
        """``config``: an :class:`ImageMixtureConfig`."""
        self.config = config
        self.dequantize, self.logit = Dequantize(config.levels), Logit(config.alpha)
        self.mixture = self.mixture_of(config, rng)

    @staticmethod
    def mixture_of(config: Any, rng: Any) -> GaussianMixture:
        """The mixture of points that images become."""
        return GaussianMixture(config, rng)

    def points(self, x: Any, rng: Any) -> tuple[Any, Any]:
        """z (N, d) and ln |det ∂z/∂x| (N,) of images (N, H, W, colours), with noise from ``rng``.

        With None in its place each number is in the middle of its level.
        """
        self.check(x)
        if rng is None:
            y = (x + 0.5) / self.config.levels
            log_det = -self.config.dimensions * math.log(self.config.levels)
        else:
            y, log_det = self.dequantize.forward(x, None, rng)
        z, change = self.logit.forward(y.astype(self.dtype))
        return z.reshape(len(x), self.config.dimensions), log_det + change

    def log_weights(
        self, x: Any, k: int, rng: Any, context: Any = None, *, training: bool = False
    ) -> Any:
        """ln p(z) + ln |det ∂z/∂x|, for k draws of the noise each: (N, …) → (k, N)."""
        if context is not None:
            context = np.concatenate([self.labels(context, len(x))] * k)
        z, log_det = self.points(np.concatenate([x] * k), rng)
        return (self.mixture.log_prob(z, context) + log_det).reshape(k, len(x))

    def initialise(self, batch: Any, rng: Any) -> None:
        """Start EM from images, all that there are to learn from."""
        z, _ = self.points(batch, rng)
        self.mixture.initialise(z, rng)

    def update(self, batch: Any, rng: Any) -> dict[str, Any]:
        """A step of EM, on all of the images, with noise that is drawn anew in every step."""
        z, log_det = self.points(batch, rng)
        nats = self.mixture.update(z, rng)["nats"]
        return {"nats": nats - np.mean(log_det)}

    def sample(self, n: int, rng: Any, context: Any = None, temperature: float = 1.0) -> Any:
        """``n`` images (n, H, W, colours): of each point that is drawn, the levels it is in.

        ``temperature`` multiplies the points' distances from the means.
        """
        z = self.mixture.sample(n, rng, context, temperature)
        y, _ = self.logit.inverse(z)
        return self.dequantize.inverse(y)[0].reshape(n, *self.shape)
