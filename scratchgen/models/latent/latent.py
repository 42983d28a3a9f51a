"""Models of images with latent variables: p(x, z) = p(z) p(x | z), and q(z | x) to find z by.

D. P. Kingma and M. Welling (2014), "Auto-encoding variational Bayes". D. J. Rezende, S. Mohamed
and D. Wierstra (2014), "Stochastic backpropagation and approximate inference in deep generative
models".

For any q, ln p(x) is the *evidence lower bound* plus a divergence that is never negative:

    ln p(x) = L(x) + KL(q(z | x) ‖ p(z | x)),     L(x) = E_q ln p(x | z) − KL(q(z | x) ‖ p(z))
                                                         reconstruction

What is trained may weigh the two differently; what is reported is always L. With ``beta`` β the
divergence counts β times (I. Higgins et al. 2017, "β-VAE", eq. 4); in the first ``kl_warmup`` steps
it is faded in (C. K. Sønderby et al. 2016, "Ladder variational autoencoders", §2.3); and with
``free_bits`` λ each part of it costs λ nats even where it is less (D. P. Kingma et al. 2016,
"Improving variational inference with inverse autoregressive flow", eq. 15).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import autograd.numpy as np
from autograd import constant, no_grad
from scratchgen.config import require
from scratchgen.models.bounds import BoundedModel
from scratchgen.models.labels import labels_as_vectors
from scratchgen.models.latent.networks import NetworkConfig
from scratchgen.models.latent.observation import observation_of

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class LatentConfig(NetworkConfig):
    """What models with latent variables have in common; each adds fields of its own."""

    beta: float = 1.0
    """What the divergence of q from the prior counts in training."""
    free_bits: float = 0.0
    """Nats that each part of the divergence costs at least in training."""
    kl_warmup: int = 0
    """Steps in which the divergence is faded in."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, 0 <= self.beta < math.inf, "beta", "at least 0, and finite")
        require(self, 0 <= self.free_bits < math.inf, "free_bits", "at least 0, and finite")
        require(self, self.kl_warmup >= 0, "kl_warmup", "at least 1, or 0 for none")


# ---------------------------------------------------------------------------------------- model


class Elbo(NamedTuple):
    """The evidence lower bound of each image, and what it is made of, in nats."""

    reconstruction: Any
    """E_q ln p(x | z), estimated from one z: (N,)."""
    kl: Any
    """KL(q(z | x) ‖ p(z)), exactly or from that z: (N,)."""
    parts: Any
    """What ``kl`` is the sum of, by latent number or by layer: (N, parts)."""

    @property
    def bound(self) -> Any:
        """L = reconstruction − KL: (N,)."""
        return self.reconstruction - self.kl


class LatentModel(BoundedModel):
    """p(x) = ∫ p(z) p(x | z) dz of images of integer levels, bounded with the help of q(z | x).

    A model adds its ``decoder``, ``elbo``, ``log_weights`` (of :class:`BoundedModel`),
    ``sample_prior`` and ``mean_code``.
    """

    decoder: Any
    """One of :mod:`.networks`."""

    pictures: ClassVar[tuple[str, ...]] = ("reconstructions", "interpolations", "traversals")
    """That can be made of its codes, besides samples."""

    def __init__(self, config: LatentConfig) -> None:
        self.config = config
        self.observation = observation_of(config)

    def elbo(self, x: Any, rng: Any, context: Any = None, *, training: bool = False) -> Elbo:
        """The bound of ln p(x), of images (N, H, W, colours), given labels (N,) if it has classes.

        ``training``: with dropout.
        """
        raise NotImplementedError

    def decode(self, z: Any, context: Any = None) -> Any:
        """Parameters of p(x | z) for the observation: (…, N, latents) → (…, N, numbers).

        ``context``: the labels of N images.
        """
        return self._decoded(z, self.vectors(context, z.shape[-2]), None)

    def _decoded(self, z: Any, vectors: Any, rng: Any) -> Any:
        """Likewise, given labels as vectors (N, classes). ``rng``: for dropout in training."""
        return self.decoder(z, self._for_each(vectors, z), rng)

    def _for_each(self, vectors: Any, z: Any) -> Any:
        """The labels (N, classes) or None, for each of z (…, N, numbers)."""
        if vectors is None:
            return None
        return np.broadcast_to(vectors, (*z.shape[:-1], vectors.shape[-1]))

    def sample_prior(self, n: int, rng: Any, context: Any = None) -> Any:
        """z ~ p(z), (n, latents)."""
        raise NotImplementedError

    def mean_code(self, x: Any, context: Any = None) -> Any:
        """The mean of q(z | x), or what stands for it: (N, latents)."""
        raise NotImplementedError

    # --------------------------------------------------------------------------------- training

    def loss(self, batch: Any, rng: Any, step: Any = None) -> tuple[Any, dict[str, Any]]:
        """−L of a batch of images, or (images, labels), with the divergence weighted by the config.

        ``step`` counts from 0; None is after the warm-up. The nats reported are those of −L itself.
        """
        x, context = batch if isinstance(batch, tuple) else (batch, None)
        elbo = self.elbo(x, rng, context, training=True)
        return self.weighed(elbo, step), self.metrics(elbo)

    def phase(self, step: int) -> int | None:
        """What the loss depends on besides the batch: no two steps of the warm-up are alike."""
        return None if step < self.config.kl_warmup else 0

    def weighed(self, elbo: Elbo, step: Any) -> Any:
        """Minus the mean of the bound over the batch, with the divergence weighted."""
        parts = np.mean(elbo.parts, axis=0)
        if self.config.free_bits:
            parts = np.maximum(parts, self.config.free_bits)
        return self.kl_weight(step) * np.sum(parts) - np.mean(elbo.reconstruction)

    def metrics(self, elbo: Elbo) -> dict[str, Any]:
        """What is reported of a batch, in nats per image."""
        return {"nats": np.mean(-constant(elbo.bound)), "kl": np.mean(constant(elbo.kl))}

    def kl_weight(self, step: Any) -> float:
        """β, and less during the warm-up."""
        if step is None or not self.config.kl_warmup:
            return self.config.beta
        return self.config.beta * min(1.0, (step + 1) / self.config.kl_warmup)

    def vectors(self, context: Any, n: int) -> Any:
        """Labels as what networks are given, (n, classes) or None; see :mod:`..labels`."""
        return labels_as_vectors(self, context, n)

    # --------------------------------------------------------------------------------- sampling

    def sample(self, n: int, rng: Any, context: Any = None, temperature: float = 1.0) -> Any:
        """``n`` images (n, H, W, colours): z ~ p(z), then x ~ p(x | z).

        ``temperature``: of the second draw. For the probable image of each z, see :meth:`mean`.
        """
        with no_grad():
            z = self.sample_prior(n, rng, context)
            return self.observation.sample(self.decode(z, context), rng, temperature)

    def mean(self, z: Any, context: Any = None) -> Any:
        """The mean of p(x | z), of real numbers from 0 to levels − 1: (N, H, W, colours)."""
        with no_grad():
            return self.observation.mean(self.decode(z, context))

    def reconstruct(self, x: Any, context: Any = None) -> Any:
        """The mean image of each image's mean code."""
        with no_grad():
            return self.mean(self.mean_code(x, context), context)
