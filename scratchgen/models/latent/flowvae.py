"""VAE with a flow posterior: a code drawn from a normal distribution, then bent to fit.

D. J. Rezende and S. Mohamed (2015), "Variational inference with normalizing flows".

The bound of a variational autoencoder falls short of ln p(x) by KL(q(z | x) ‖ p(z | x)), and a q of
independent normal numbers cannot be like the posterior wherever the decoder makes numbers of z
depend on one another. So the draw z_0 goes through K invertible transforms (eqs. 6 and 7):

    z_K = f_K ∘ … ∘ f_1 (z_0),    ln q(z_K | x) = ln q_0(z_0 | x) − Σ_k ln |det ∂f_k/∂z_{k−1}|

They are planar, radial (the paper's §4.1) or inverse autoregressive ones (D. P. Kingma et al. 2016,
"Improving variational inference with inverse autoregressive flow"), and *amortised*: their
parameters, too, are computed from the encoder's features of x. All that is asked of them is the
density of their own draws, so they are never inverted. The free energy (eq. 15) becomes here

    L(x) = E_{z_0} ln p(x | z_K) − KL(q_0 ‖ p(z)) − E_{z_0} (ln p(z_0) − ln p(z_K) − Σ_k ln |det|)

in which the divergence of the normal q_0 is known exactly, and a draw is needed only for what the
transforms change in it. With K = 0 that is nothing, and L(x) the bound of the plain model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from scratchgen.config import require
from scratchgen.distributions import normal
from scratchgen.models.latent.latent import Elbo
from scratchgen.models.latent.vae import VAE, VAEConfig, log_prior, reparameterised
from scratchgen.transforms import Compose, MaskedAutoregressive, Planar, Radial, Transform

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class FlowVAEConfig(VAEConfig):
    """The defaults train well on the packaged digits."""

    posterior: str = "planar"
    """Transforms of its draws: planar, radial, or iaf for inverse autoregressive ones."""
    transforms: int = 8
    """K, how many there are; with 0 the model is a plain VAE."""
    flow_hidden: int = 64
    """Units of the hidden layer of an inverse autoregressive transform."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.posterior in POSTERIORS, "posterior", " or ".join(POSTERIORS))
        require(self, self.transforms >= 0, "transforms", "at least 1, or 0 for none")
        require(self, self.flow_hidden >= 1, "flow_hidden", "at least 1")


# ---------------------------------------------------------------------------------- transforms


def _planar(config: FlowVAEConfig, k: int, features: int, rng: Any) -> Transform:
    return Planar(config.latents, rng, context=features)


def _radial(config: FlowVAEConfig, k: int, features: int, rng: Any) -> Transform:
    return Radial(config.latents, rng, context=features)


def _iaf(config: FlowVAEConfig, k: int, features: int, rng: Any) -> Transform:
    return MaskedAutoregressive(
        config.latents,
        rng,
        hidden=config.flow_hidden,
        layers=1,
        context=features,
        order="reversed" if k % 2 else "forward",
    )


POSTERIORS = {"planar": _planar, "radial": _radial, "iaf": _iaf}

# --------------------------------------------------------------------------------------- model


class FlowVAE(VAE):
    """p(x), or p(x | label), for images x (N, height, width, colours) of integer levels."""

    def __init__(self, config: FlowVAEConfig, rng: Any) -> None:
        super().__init__(config, rng)
        make = POSTERIORS[config.posterior]
        self.flow = Compose(
            [make(config, k, self.encoder.width, rng) for k in range(config.transforms)]
        )

    def transformed(self, z: Any, features: Any, rng: Any = None) -> tuple[Any, Any]:
        """z_K (k, N, latents) and Σ ln |det| (k, N), of draws z_0 and the features of N images."""
        context = np.concatenate([features] * len(z))
        flat = z.reshape(len(context), z.shape[-1])
        flat, log_det = self.flow.forward(flat, context, rng)
        return flat.reshape(*z.shape), log_det.reshape(*z.shape[:-1])

    def draw(
        self, x: Any, k: int, rng: Any, vectors: Any = None, *, training: bool = False
    ) -> tuple[Any, Any]:
        noise = rng if training else None
        mean, log_std, features = self.posterior(x, vectors, noise)
        z_0 = reparameterised(mean, log_std, k, rng)
        z, log_det = self.transformed(z_0, features, noise)
        return z, np.sum(normal.log_prob(mean, log_std, z_0), axis=-1) - log_det

    def elbo(self, x: Any, rng: Any, context: Any = None, *, training: bool = False) -> Elbo:
        """As that of the plain model; the divergence is all in one part."""
        vectors, noise = self.vectors(context, len(x)), rng if training else None
        mean, log_std, features = self.posterior(x, vectors, noise)
        z_0 = reparameterised(mean, log_std, 1, rng)
        z, log_det = self.transformed(z_0, features, noise)
        change = log_prior(z_0) - log_prior(z) - log_det  # (1, N)
        kl = np.sum(normal.kl_to_standard(mean, log_std), axis=-1) + change[0]
        reconstruction = self.observation.log_prob(self._decoded(z[0], vectors, noise), x, rng)
        return Elbo(reconstruction, kl, kl[:, None])

    def mean_code(self, x: Any, context: Any = None) -> Any:
        """What the mean of q_0 becomes: (N, latents)."""
        mean, _, features = self.posterior(x, self.vectors(context, len(x)))
        return self.transformed(mean[None], features)[0][0]
