"""VAE: a decoder that makes images of noise, and an encoder that finds the noise of an image.

D. P. Kingma and M. Welling (2014), "Auto-encoding variational Bayes".

An image x comes from a code z that nobody sees: z ~ p(z) = N(0, 1), x ~ p(x | z), whose parameters
a network computes from z, the *decoder*. Which z an image came from is not known, and p(z | x) out
of reach. Another network, the *encoder*, puts a normal distribution in its place (eq. 9),

    q(z | x) = N(z; µ(x), σ(x)²),     independent for each number of z,

and both are trained together to raise the evidence lower bound (:mod:`.latent`; eq. 10):

    L(x) = E_q ln p(x | z) − KL(q(z | x) ‖ p(z)),    KL = Σ_j ½ (µ_j² + σ_j² − 1 − 2 ln σ_j)

The expectation is estimated from a draw z ~ q(z | x). That z depends on µ and σ, and so does what
the decoder makes of it; but drawing is no function to be differentiated. *Reparameterisation* makes
it one (§2.4): the noise ε is drawn, of which nothing depends on the encoder, and

    z = µ(x) + σ(x) ε,   ε ~ N(0, 1),     so that   ∂z/∂µ = 1,  ∂z/∂σ = ε

The gradient thus goes through z into the encoder. The network puts out ln σ, not ln σ².

With ``samples`` k > 1 what is raised is the bound from k draws, ln 1/k Σ_i w_i of the weights
w = p(x, z) / q(z | x) (:mod:`scratchgen.models.bounds`; Y. Burda, R. Grosse and R. Salakhutdinov
2016, "Importance weighted autoencoders"). With ``classes`` all but the prior is given the label y,
p(x | z, y) and q(z | x, y), and z need not tell what the label tells already (K. Sohn, H. Lee and
X. Yan 2015, "Learning structured output representation using deep conditional generative models").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd import constant
from scratchgen.config import require
from scratchgen.distributions import normal
from scratchgen.models.latent.latent import Elbo, LatentConfig, LatentModel
from scratchgen.models.latent.networks import decoder, encoder
from scratchgen.nn import Dense
from scratchgen.nn.initialisers import zeros

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class VAEConfig(LatentConfig):
    """The defaults train well on the packaged digits."""

    samples: int = 1
    """Codes drawn of each image in a step; more than one for the importance-weighted bound."""
    hidden: int = 256
    dropout: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.samples >= 1, "samples", "at least 1")
        plain = self.beta == 1 and not self.free_bits and not self.kl_warmup
        one = "1 with beta, free_bits or kl_warmup: other bounds have no divergence to weigh"
        require(self, self.samples == 1 or plain, "samples", one)


# ---------------------------------------------------------------------------------------- model


class VAE(LatentModel):
    """p(x), or p(x | label), for images x (N, height, width, colours) of integer levels."""

    def __init__(self, config: VAEConfig, rng: Any) -> None:
        super().__init__(config)
        self.encoder = encoder(config, rng)
        # at zero: q starts out as the prior
        self.code = Dense(self.encoder.width, 2 * config.latents, rng, zeros)
        self.decoder = decoder(config, config.latents, self.observation.numbers, rng)

    # ------------------------------------------------------------------------------- posterior

    def posterior(self, x: Any, vectors: Any = None, rng: Any = None) -> tuple[Any, Any, Any]:
        """µ and ln σ of q(z | x), (N, latents) both, and the encoder's features (N, width).

        ``vectors``: labels (N, classes) or None. ``rng``: for dropout in training, or None.
        """
        self.check(x)
        features = self.encoder(self.scaled(x), vectors, rng)
        both = self.code(features)
        mean, log_std = both[:, : self.config.latents], both[:, self.config.latents :]
        return mean, log_std, features

    def draw(
        self, x: Any, k: int, rng: Any, vectors: Any = None, *, training: bool = False
    ) -> tuple[Any, Any]:
        """k codes of each image, z ~ q(z | x) (k, N, latents), and their ln q(z | x) (k, N)."""
        mean, log_std, _ = self.posterior(x, vectors, rng if training else None)
        z = reparameterised(mean, log_std, k, rng)
        return z, np.sum(normal.log_prob(mean, log_std, z), axis=-1)

    def mean_code(self, x: Any, context: Any = None) -> Any:
        return self.posterior(x, self.vectors(context, len(x)))[0]

    # ---------------------------------------------------------------------------------- bounds

    def elbo(self, x: Any, rng: Any, context: Any = None, *, training: bool = False) -> Elbo:
        vectors, noise = self.vectors(context, len(x)), rng if training else None
        mean, log_std, _ = self.posterior(x, vectors, noise)
        z = reparameterised(mean, log_std, 1, rng)[0]
        kl = normal.kl_to_standard(mean, log_std)
        reconstruction = self.observation.log_prob(self._decoded(z, vectors, noise), x, rng)
        return Elbo(reconstruction, np.sum(kl, axis=-1), kl)

    def log_weights(
        self, x: Any, k: int, rng: Any, context: Any = None, *, training: bool = False
    ) -> Any:
        """ln p(x, z) − ln q(z | x) of k codes z ~ q(z | x) of each image: (k, N)."""
        vectors, noise = self.vectors(context, len(x)), rng if training else None
        z, log_q = self.draw(x, k, rng, vectors, training=training)
        log_p = self.observation.log_prob(self._decoded(z, vectors, noise), x, rng)
        return log_p + log_prior(z) - log_q

    def loss(self, batch: Any, rng: Any, step: Any = None) -> tuple[Any, dict[str, Any]]:
        if self.config.samples == 1:
            return super().loss(batch, rng, step)
        x, context = batch if isinstance(batch, tuple) else (batch, None)
        k = self.config.samples
        nats = -np.mean(self.log_prob_iw(x, k, rng, context, training=True))
        return nats, {"nats": constant(nats)}

    # ------------------------------------------------------------------------------ generation

    def sample_prior(self, n: int, rng: Any, context: Any = None) -> Any:
        return rng.standard_normal((n, self.config.latents)).astype(self.dtype)


def log_prior(z: Any) -> Any:
    """ln N(z; 0, 1) in nats: (…, latents) → (…)."""
    return np.sum(normal.standard_log_prob(z), axis=-1)


def reparameterised(mean: Any, log_std: Any, k: int, rng: Any) -> Any:
    """k draws of N(µ, σ²) that gradients go through, z = µ + σ ε: (N, D) twice → (k, N, D)."""
    noise = rng.standard_normal((k, *mean.shape)).astype(mean.dtype)
    return mean + np.exp(log_std) * noise
