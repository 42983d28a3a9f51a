"""The ladder VAE: two layers of latent variables, inferred from both ends.

C. K. Sønderby, T. Raiko, L. Maaløe, S. K. Sønderby and O. Winther (2016), "Ladder variational
autoencoders".

An image is made from above: z_2 decides what is likely for z_1, and z_1 what is for x,

    p(z_2) = N(0, 1)      p(z_1 | z_2) = N(µ_p(z_2), σ_p²(z_2))      p(x | z_1)

and inferred in two passes. The first goes up and leaves nothing to chance: features of x, and
features of these, each with a mean µ̂ and a deviation σ̂ that say what the image tells of its layer's
z. The second comes down, the way the image was made. At the top q(z_2 | x) = N(µ̂_2, σ̂_2²). Below,
what the image tells meets what z_2 makes expect. If the one were the likelihood N(µ̂_1; z_1, σ̂_1²)
of z_1, and the other is its prior, the posterior would be, by Bayes' theorem,

    q(z_1 | z_2, x) = N(µ_q, σ_q²) ∝ N(z_1; µ_p, σ_p²) N(µ̂_1; z_1, σ̂_1²)

    1 / σ_q² = 1 / σ_p² + 1 / σ̂_1²,     µ_q = (µ_p / σ_p² + µ̂_1 / σ̂_1²) σ_q²

with the means weighted by their precisions, and so it is defined. The encoder only has to correct
the prior, and need not learn again what z_2 says already. The bound of ln p(x) is

    L(x) = E_q ln p(x | z_1) − E_q KL(q(z_1 | z_2, x) ‖ p(z_1 | z_2)) − KL(q(z_2 | x) ‖ p(z_2))

Nothing forces both layers to be used. Without KL_2, what is left is a VAE of one layer; without
KL_1, z_1 is but noise between z_2 and the image, and what is left is another. Early in training, a
layer that means little yet costs more than it gives. It is given up (*collapse*), and afterwards
nothing tells what it would be good for. Where the divergence is faded in (``kl_warmup``), both
layers find a use before they cost anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import autograd.numpy as np
from autograd import constant
from autograd.nn import sigmoid
from scratchgen.config import require
from scratchgen.distributions import normal
from scratchgen.models.latent.latent import Elbo, LatentConfig, LatentModel
from scratchgen.models.latent.networks import decoder, encoder
from scratchgen.nn import MLP, Dense
from scratchgen.nn.initialisers import glorot_normal

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class LadderConfig(LatentConfig):
    """The defaults train well on the packaged digits."""

    latents: int = 16
    """Numbers of z_1."""
    top: int = 8
    """Numbers of z_2."""
    hidden: int = 100
    dropout: float = 0.2
    kl_warmup: int = 800

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.top >= 1, "top", "at least 1")


# --------------------------------------------------------------------------------------- layers

LOG_STD = 8.0
"""|ln σ| stays below it, so that no quotient of two variances overflows."""


class Normal(NamedTuple):
    """N(µ, σ²), independent for each number of a layer."""

    mean: Any
    log_std: Any


def normal_of(parameters: Any) -> Normal:
    """Of what a network puts out, (…, 2 · numbers): µ, and ln σ made smaller than LOG_STD."""
    mean, log_std = np.split(parameters, 2, axis=-1)
    return Normal(mean, LOG_STD * np.tanh(log_std / LOG_STD))


def combined(prior: Normal, evidence: Normal) -> Normal:
    """∝ N(z; µ_p, σ_p²) N(z; µ̂, σ̂²): precisions add up, and weight the means.

    Of the two, the share of the evidence in the precision is 1 / (1 + σ̂² / σ_p²).
    """
    weight = sigmoid(2 * (prior.log_std - evidence.log_std))
    mean = prior.mean + weight * (evidence.mean - prior.mean)
    log_precision = np.logaddexp(-2 * prior.log_std, -2 * evidence.log_std)
    return Normal(mean, -0.5 * log_precision)


class Layer(NamedTuple):
    """The latent numbers of one layer, for k draws of what is above it: each (k, N, numbers)."""

    prior: Normal
    posterior: Normal
    z: Any
    """Drawn from the posterior."""

    @property
    def kl(self) -> Any:
        """KL(q ‖ p) exactly: (k, N)."""
        return np.sum(normal.kl(*self.posterior, *self.prior), axis=-1)

    @property
    def log_ratio(self) -> Any:
        """ln p(z) − ln q(z): (k, N)."""
        each = normal.log_prob(*self.prior, self.z) - normal.log_prob(*self.posterior, self.z)
        return np.sum(each, axis=-1)


# ---------------------------------------------------------------------------------------- model


class LadderVAE(LatentModel):
    """p(x), or p(x | label), for images x (N, height, width, colours) of integer levels."""

    def __init__(self, config: LadderConfig, rng: Any) -> None:
        super().__init__(config)

        def network(inputs: int, outputs: int) -> MLP:
            return MLP(
                inputs,
                outputs,
                rng,
                hidden=config.hidden,
                layers=config.layers,
                context=config.classes,
            )

        self.encoder = encoder(config, rng)
        self.evidence = Dense(self.encoder.width, 2 * config.latents, rng, glorot_normal)
        self.up = network(self.encoder.width, 2 * config.top)
        self.down = network(config.top, 2 * config.latents)
        self.decoder = decoder(config, config.latents, self.observation.numbers, rng)

    # ----------------------------------------------------------------------------------- latents

    def infer(
        self, x: Any, k: int, rng: Any, vectors: Any = None, noise: Any = None
    ) -> list[Layer]:
        """z_1 and z_2 drawn k times from q(z_1, z_2 | x), with their distributions.

        ``vectors``: labels (N, classes) or None. ``noise``: a generator for dropout, or None; it
        is left out of the networks between the layers, where it leaves z_2 without a use.
        """
        self.check(x)
        features = self.encoder(self.scaled(x), vectors, noise)
        top = normal_of(self.up(features, vectors))
        posterior_2 = Normal(*(np.stack([part] * k) for part in top))
        prior_2 = Normal(*(np.zeros_like(part) for part in posterior_2))
        z_2 = normal.sample(*posterior_2, rng)
        prior_1 = self.prior(z_2, vectors)
        posterior_1 = combined(prior_1, normal_of(self.evidence(features)))
        z_1 = normal.sample(*posterior_1, rng)
        return [Layer(prior_1, posterior_1, z_1), Layer(prior_2, posterior_2, z_2)]

    def prior(self, z_2: Any, vectors: Any = None) -> Normal:
        """p(z_1 | z_2), for z_2 (…, N, top)."""
        return normal_of(self.down(z_2, self._for_each(vectors, z_2)))

    def mean_code(self, x: Any, context: Any = None) -> Any:
        """The mean of q(z_1 | z_2, x) at the mean of q(z_2 | x): (N, latents)."""
        vectors = self.vectors(context, len(x))
        self.check(x)
        features = self.encoder(self.scaled(x), vectors)
        top = normal_of(self.up(features, vectors))
        return combined(self.prior(top.mean, vectors), normal_of(self.evidence(features))).mean

    # ------------------------------------------------------------------------------------ bounds

    def elbo(self, x: Any, rng: Any, context: Any = None, *, training: bool = False) -> Elbo:
        """The bound; its parts are KL_1 and KL_2."""
        vectors, noise = self.vectors(context, len(x)), rng if training else None
        layers = self.infer(x, 1, rng, vectors, noise)
        parameters = self._decoded(layers[0].z[0], vectors, noise)
        parts = np.stack([layer.kl[0] for layer in layers], axis=-1)
        return Elbo(self.observation.log_prob(parameters, x, rng), np.sum(parts, axis=-1), parts)

    def log_weights(
        self, x: Any, k: int, rng: Any, context: Any = None, *, training: bool = False
    ) -> Any:
        """ln p(x, z_1, z_2) − ln q(z_1, z_2 | x), of k draws for each image: (k, N)."""
        vectors, noise = self.vectors(context, len(x)), rng if training else None
        lower, upper = self.infer(x, k, rng, vectors, noise)
        parameters = self._decoded(lower.z, vectors, noise)
        return self.observation.log_prob(parameters, x, rng) + lower.log_ratio + upper.log_ratio

    def metrics(self, elbo: Elbo) -> dict[str, Any]:
        """KL_1 and KL_2 too."""
        parts = np.mean(constant(elbo.parts), axis=0)
        return {**super().metrics(elbo), "kl_1": parts[0], "kl_2": parts[1]}

    # -------------------------------------------------------------------------------- generation

    def sample_prior(self, n: int, rng: Any, context: Any = None) -> Any:
        """z_1 (n, latents), of z_2 ~ p(z_2)."""
        z_2 = rng.standard_normal((n, self.config.top)).astype(self.dtype)
        return normal.sample(*self.prior(z_2, self.vectors(context, n)), rng)
