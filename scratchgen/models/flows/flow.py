"""Flows: data are noise that went through an invertible function.

G. Papamakarios, E. Nalisnick, D. J. Rezende, S. Mohamed and B. Lakshminarayanan (2021),
"Normalizing flows for probabilistic modeling and inference".

To draw, z ~ p_Z is taken back through x = f⁻¹(z). The density of x is that of its z, times how much
f spreads points apart around it (:mod:`scratchgen.transforms.transform`):

    ln p(x) = ln p_Z(f(x)) + ln |det ∂f/∂x|

f is a composition of transforms; what tells flows apart is which.

**Points** are vectors of D real numbers (:class:`PointFlow`). **Images** (:class:`ImageFlow`) have
integer levels, of which a density knows nothing: it could put ever higher peaks on them. So their
levels are made continuous first, by noise u in [0, 1) on each number (*dequantisation*), and the
probability of an image is that of all points which round down to it:

    P(x) = ∫_{[0, 1)^d} p(x + u) du  ≥  exp E_{u ~ q(u | x)} ln (p(x + u) / q(u | x))

L. Theis, A. van den Oord and M. Bethge (2016), "A note on the evaluation of generative models",
eq. 4, for uniform q; J. Ho et al. (2019), "Flow++", eqs. 11 and 12, for any. So a flow bounds the
likelihood of images, as a variational autoencoder does, and k draws of u bound it more tightly.
The network sees y = (x + u) / levels in [0, 1), which has a density levels^d times as large as
x + u: hence the *offset* d ln levels in ln P(x), by which figures for y and for x differ.

A flow may put some of its mass a little beyond [0, 1)^d, by the margin of the logit. That is no
image's, and Σ_x P(x) is what is left: less than 1. Samples from there get the nearest levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import autograd.numpy as np
from autograd import constant, no_grad
from scratchgen.config import require
from scratchgen.distributions import logistic, normal
from scratchgen.models.bounds import BoundedModel
from scratchgen.models.images import ImageConfig
from scratchgen.models.labels import labels_as_vectors
from scratchgen.nn import Module
from scratchgen.transforms.dequantize import Dequantize, VariationalDequantize
from scratchgen.transforms.logit import Logit
from scratchgen.transforms.transform import Compose, Transform, per_example

MOST_LEVELS = 4096
"""Of an image. In float32 much of the noise in a level would be lost if there were more."""

# ---------------------------------------------------------------------------------------- noise


class Noise:
    """The distribution p_Z of independent standard normal numbers, or of logistic ones."""

    def __init__(self, kind: str = "normal") -> None:
        self.of = {"normal": normal, "logistic": logistic}[kind]

    def log_prob(self, z: Any) -> Any:
        """ln p_Z(z) in nats: (N, …) → (N,)."""
        return per_example(self.of.standard_log_prob(z))

    def sample(self, shape: tuple[int, ...], rng: Any, dtype: Any, temperature: float = 1.0) -> Any:
        """z of that shape. ``temperature`` multiplies it: below 1 it stays nearer to its mode."""
        zero = np.zeros(shape, dtype)
        return temperature * self.of.sample(zero, zero, rng)


# --------------------------------------------------------------------------------------- points


@dataclass(frozen=True)
class PointConfig:
    """What points a model is of; each model adds fields of its own."""

    dimensions: int = 2
    """Numbers of a point."""
    classes: int = 0
    """Of the points, that the density is conditioned on; 0 for none."""

    def __post_init__(self) -> None:
        require(self, self.dimensions >= 1, "dimensions", "at least 1")
        require(self, self.classes >= 0, "classes", "at least 1, or 0 for none")


class PointFlow(Module):
    """p(x), or p(x | label), for points x (N, D) of real numbers."""

    def __init__(
        self, config: PointConfig, transform: Transform, noise: Noise | None = None
    ) -> None:
        self.config, self.transform, self.noise = config, transform, noise or Noise()

    def log_prob(self, x: Any, context: Any = None, *, rng: Any = None) -> Any:
        """ln p(x) in nats: x (N, D) → (N,), given labels ``context`` (N,) if there are classes.

        ``rng``: a generator in training; None for the density itself.
        """
        self.check(x)
        z, log_det = self.transform.forward(x, self._context(context, len(x)), rng)
        return self.noise.log_prob(z) + log_det

    def check(self, x: Any) -> None:
        """Raise ValueError for points of another number of dimensions."""
        if x.ndim != 2 or x.shape[1] != self.config.dimensions:
            raise ValueError(
                f"{type(self).__name__}: points {tuple(x.shape)}, "
                f"expected (N, {self.config.dimensions})"
            )

    def _context(self, labels: Any, n: int) -> Any:
        """Labels (N,) or one for all as vectors (N, classes) for the networks."""
        return labels_as_vectors(self, labels, n)

    def loss(self, batch: Any, rng: Any, step: Any = None) -> tuple[Any, dict[str, Any]]:
        """−ln p of a batch of points, or of (points, labels), in nats per point."""
        x, context = batch if isinstance(batch, tuple) else (batch, None)
        nats = -np.mean(self.log_prob(x, context, rng=rng))
        return nats, {"nats": constant(nats)}

    def initialise(self, batch: Any, rng: Any) -> None:
        """Make parameters that are to suit the data suit this batch, before training."""
        x, context = batch if isinstance(batch, tuple) else (batch, None)
        with no_grad():
            self.transform.initialise(x, self._context(context, len(x)))

    def transported(self, n: int, rng: Any) -> list[Any]:
        """``n`` points (n, D) as noise, and after the inverse of each transform, up to data."""
        whole = self.transform
        layers = whole.transforms if isinstance(whole, Compose) else [whole]
        stages = [self.noise.sample((n, self.config.dimensions), rng, self.dtype)]
        for layer in reversed(layers):
            stages.append(layer.inverse(stages[-1])[0])
        return stages

    def sample(self, n: int, rng: Any, context: Any = None, temperature: float = 1.0) -> Any:
        """``n`` points (n, D). ``temperature`` multiplies the noise that they are made of."""
        with no_grad():
            z = self.noise.sample((n, self.config.dimensions), rng, self.dtype, temperature)
            return self.transform.inverse(z, self._context(context, n))[0]


# --------------------------------------------------------------------------------------- images


@dataclass(frozen=True)
class ImageFlowConfig(ImageConfig):
    """What images a flow is of, and how they are made continuous; each flow adds its own fields."""

    classes: int = 0
    """Of the images, that the density is conditioned on; 0 for none."""
    alpha: float = 0.01
    """Margin that keeps the logit of what was scaled to [0, 1) finite."""
    dequantization: str = "uniform"
    """Noise that makes levels continuous: uniform, or variational, from a flow of its own."""

    def __post_init__(self) -> None:
        super().__post_init__()
        few = f"at most {MOST_LEVELS} in a flow: store images of 16 bits as images // 256"
        require(self, self.levels <= MOST_LEVELS, "levels", few)
        require(self, self.classes >= 0, "classes", "at least 1, or 0 for none")
        require(self, 0 < self.alpha < 0.5, "alpha", "above 0 and below 0.5")
        kinds = ("uniform", "variational")
        require(self, self.dequantization in kinds, "dequantization", " or ".join(kinds))


class ImageFlow(BoundedModel):
    """P(x), or P(x | label), of images of integer levels, bounded by a flow of continuous ones."""

    importance_samples: ClassVar[int] = 16
    pictures: ClassVar[tuple[str, ...]] = ("interpolations",)
    """That can be made of its codes, besides samples."""

    def __init__(
        self, config: ImageFlowConfig, transform: Transform, rng: Any, noise: Noise | None = None
    ) -> None:
        """``transform``: of continuous images (N, H, W, colours) to noise (N, d), all in a row."""
        self.config, self.noise = config, noise or Noise()
        self.dequantize = (
            Dequantize(config.levels)
            if config.dequantization == "uniform"
            else VariationalDequantize(config, rng)
        )
        self.transform = Compose([Logit(config.alpha), transform])

    def log_weights(
        self, x: Any, k: int, rng: Any, context: Any = None, *, training: bool = False
    ) -> Any:
        """ln p(y) − ln q(u | x) − d ln levels, for k draws of u each: (k, N)."""
        self.check(x)
        vectors = self._context(context, len(x))
        if k > 1:
            x = np.concatenate([x] * k)
            vectors = None if vectors is None else np.concatenate([vectors] * k)
        y, log_det = self.dequantize.forward(x, vectors, rng)
        z, change = self.transform.forward(y, vectors, rng if training else None)
        return (self.noise.log_prob(z) + log_det + change).reshape(k, -1)

    def _context(self, context: Any, n: int) -> Any:
        return labels_as_vectors(self, context, n)

    def loss(self, batch: Any, rng: Any, step: Any = None) -> tuple[Any, dict[str, Any]]:
        """The bound of −ln P of a batch of images, or (images, labels), in nats per image."""
        x, context = batch if isinstance(batch, tuple) else (batch, None)
        nats = -np.mean(self.log_weights(x, 1, rng, context, training=True))
        return nats, {"nats": constant(nats)}

    def initialise(self, batch: Any, rng: Any) -> None:
        """Make parameters that are to suit the data suit this batch, before training."""
        x, context = batch if isinstance(batch, tuple) else (batch, None)
        vectors = self._context(context, len(x))
        with no_grad():
            y, _ = self.dequantize.forward(x, vectors, rng)
            self.transform.initialise(y, vectors)

    def mean_code(self, x: Any, context: Any = None) -> Any:
        """The noise z (N, d) that images come from, each number in the middle of its level."""
        y = ((x + 0.5) / self.config.levels).astype(self.dtype)
        with no_grad():
            return self.transform.forward(y, self._context(context, len(x)))[0]

    def mean(self, z: Any, context: Any = None) -> Any:
        """The images (N, H, W, colours) that noise z becomes; there is only one for each."""
        with no_grad():
            y, _ = self.transform.inverse(z, self._context(context, len(z)))
            return self.dequantize.inverse(y)[0]

    def sample(self, n: int, rng: Any, context: Any = None, temperature: float = 1.0) -> Any:
        """``n`` images (n, H, W, colours). ``temperature`` multiplies the noise they come from."""
        shape = (n, self.config.dimensions)
        return self.mean(self.noise.sample(shape, rng, self.dtype, temperature), context)
