"""VAE with categorical codes, trained through a relaxation of them.

E. Jang, S. Gu and B. Poole (2017), "Categorical reparameterization with Gumbel-softmax".

The code of an image is discrete: ``latents`` independent choices of one out of K ``categories``
each. A priori all are alike, and given x the encoder puts out the logits of every choice:

    p(z) = Π_j 1 / K,   q(z | x) = Π_j softmax(l_j(x))[z_j]

The divergence is a sum over the categories, and exact:

    KL(q(z | x) ‖ p(z)) = Σ_j (ln K − H(q_j))

What is left of the bound, E_q ln p(x | z), is an expectation whose gradient by the logits of q is
to be estimated from a draw. ``estimator`` says how (:mod:`scratchgen.estimators`, where they are
derived):

    gumbel            the decoder is given relaxed vectors, softmax((l + G) / τ)
    straight_through  it is given one-hot vectors, and the gradient is that of the relaxed ones
    score             the score function, with several draws and for each the mean of f of the
                      others as a baseline: noisier, but unbiased

The temperature τ falls in training, from 1 to ``lowest_temperature``, as exp(−``annealing`` · step)
(§4.2 of the paper). Bounds that are reported are those of discrete codes, whatever it was trained
by.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd import no_grad
from autograd.nn import one_hot, softmax
from scratchgen.config import require
from scratchgen.distributions import categorical
from scratchgen.estimators import (
    gumbel_softmax,
    leave_one_out,
    score_function,
    straight_through,
)
from scratchgen.models.latent.latent import Elbo, LatentConfig, LatentModel
from scratchgen.models.latent.networks import decoder, encoder
from scratchgen.nn import Dense
from scratchgen.nn.initialisers import glorot_normal

# -------------------------------------------------------------------------------- configuration

ESTIMATORS = ("gumbel", "straight_through", "score")


@dataclass(frozen=True)
class GumbelVAEConfig(LatentConfig):
    """The defaults train well on the packaged digits. ``latents`` is the number of choices."""

    dropout: float = 0.2
    categories: int = 10
    """That each of the latent numbers is one of."""
    estimator: str = "gumbel"
    """Of the gradient by q: gumbel, straight_through or score."""
    lowest_temperature: float = 0.5
    """Of the relaxation, at the end of the annealing."""
    annealing: float = 1e-3
    """Rate per step at which the temperature falls from 1."""
    draws: int = 4
    """Codes of each image that the score function is estimated from."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.categories >= 2, "categories", "at least 2")
        require(self, self.estimator in ESTIMATORS, "estimator", " or ".join(ESTIMATORS))
        positive = 0 < self.lowest_temperature <= 1
        require(self, positive, "lowest_temperature", "above 0 and at most 1")
        require(self, 0 <= self.annealing < math.inf, "annealing", "at least 0, and finite")
        require(self, self.draws >= 2, "draws", "at least 2")


# --------------------------------------------------------------------------------------- model


class GumbelVAE(LatentModel):
    """p(x), or p(x | label), for images x (N, height, width, colours) of integer levels.

    Codes z (…, latents · categories) are a one-hot vector for each choice, all in a row.
    """

    pictures = ("reconstructions",)  # between two choices there is nothing

    def __init__(self, config: GumbelVAEConfig, rng: Any) -> None:
        super().__init__(config)
        numbers = config.latents * config.categories
        self.encoder = encoder(config, rng)
        self.code = Dense(self.encoder.width, numbers, rng, glorot_normal)
        self.decoder = decoder(config, numbers, self.observation.numbers, rng)

    # ------------------------------------------------------------------------------- posterior

    def posterior(self, x: Any, vectors: Any = None, rng: Any = None) -> Any:
        """The logits of q(z | x): (N, latents, categories)."""
        self.check(x)
        logits = self.code(self.encoder(self.scaled(x), vectors, rng))
        return logits.reshape(len(x), self.config.latents, self.config.categories)

    def divergence(self, logits: Any) -> Any:
        """KL(q(z | x) ‖ p(z)) of each choice: (N, latents)."""
        return math.log(self.config.categories) - categorical.entropy(logits)

    def mean_code(self, x: Any, context: Any = None) -> Any:
        """The mean of one-hot vectors: the probabilities of all categories, in a row."""
        return in_a_row(softmax(self.posterior(x, self.vectors(context, len(x)))))

    # ---------------------------------------------------------------------------------- bounds

    def elbo(self, x: Any, rng: Any, context: Any = None, *, training: bool = False) -> Elbo:
        """The bound from one discrete code. Its gradient leaves out how q changes what is drawn."""
        vectors, noise = self.vectors(context, len(x)), rng if training else None
        logits = self.posterior(x, vectors, noise)
        z = self.code_of(categorical.sample(logits, rng))
        kl = self.divergence(logits)
        return Elbo(self._log_prob(z, x, vectors, rng, noise), np.sum(kl, axis=-1), kl)

    def log_weights(
        self, x: Any, k: int, rng: Any, context: Any = None, *, training: bool = False
    ) -> Any:
        """ln p(x, z) − ln q(z | x) of k codes z ~ q(z | x) of each image: (k, N)."""
        vectors, noise = self.vectors(context, len(x)), rng if training else None
        logits = repeated(self.posterior(x, vectors, noise), k)
        z = categorical.sample(logits, rng)
        log_q = np.sum(categorical.log_prob(logits, z), axis=-1)
        log_prior = -self.config.latents * math.log(self.config.categories)
        return self._log_prob(self.code_of(z), x, vectors, rng, noise) + log_prior - log_q

    def _log_prob(self, z: Any, x: Any, vectors: Any, rng: Any, noise: Any) -> Any:
        """ln p(x | z) of codes z (…, N, latents · categories), one-hot or relaxed: (…, N)."""
        return self.observation.log_prob(self._decoded(z, vectors, noise), x, rng)

    # -------------------------------------------------------------------------------- training

    def loss(self, batch: Any, rng: Any, step: Any = None) -> tuple[Any, dict[str, Any]]:
        """−L of a batch as in the base, with the gradient by q that the estimator gives.

        Where the decoder is given relaxed codes, the loss is not −L; the nats reported are.
        """
        x, context = batch if isinstance(batch, tuple) else (batch, None)
        vectors = self.vectors(context, len(x))
        logits = self.posterior(x, vectors, rng)
        kl = self.divergence(logits)
        reconstruction = self.reconstruction(logits, x, vectors, rng, self.temperature(step))
        elbo = reported = Elbo(reconstruction, np.sum(kl, axis=-1), kl)
        if self.config.estimator == "gumbel":
            with no_grad():
                reported = self.elbo(x, rng, context, training=True)
        return self.weighed(elbo, step), self.metrics(reported)

    def reconstruction(
        self, logits: Any, x: Any, vectors: Any, rng: Any, temperature: float
    ) -> Any:
        """ln p(x | z) (N,) of z ~ q(z | x), with an estimate of its gradient by q's logits."""

        def log_prob(z: Any) -> Any:
            return self._log_prob(z, x, vectors, rng, rng)

        match self.config.estimator:
            case "gumbel":
                return log_prob(in_a_row(gumbel_softmax(logits, rng, temperature)))
            case "straight_through":
                return log_prob(in_a_row(straight_through(logits, rng, temperature)))
        q = (repeated(logits, self.config.draws),)
        each = score_function(
            lambda z: log_prob(self.code_of(z)), categorical, q, rng, leave_one_out
        )
        return np.mean(each, axis=0)

    def phase(self, step: int) -> int | None:
        """No two steps are alike before the temperature is as low as it gets."""
        lowest = self.temperature(step) == self.config.lowest_temperature
        return super().phase(step) if lowest else None

    def temperature(self, step: Any) -> float:
        """τ after so many steps; the lowest if step is None."""
        lowest = self.config.lowest_temperature
        return lowest if step is None else max(lowest, math.exp(-self.config.annealing * step))

    # ------------------------------------------------------------------------------ generation

    def sample_prior(self, n: int, rng: Any, context: Any = None) -> Any:
        shape = n, self.config.latents, self.config.categories
        return self.code_of(categorical.sample(np.zeros(shape, self.dtype), rng))

    def code_of(self, choices: Any) -> Any:
        """Categories (…, latents), integers, as a code (…, latents · categories)."""
        return in_a_row(one_hot(choices, self.config.categories, self.dtype))


def in_a_row(z: Any) -> Any:
    """(…, latents, categories) → (…, latents · categories)."""
    return z.reshape(*z.shape[:-2], z.shape[-2] * z.shape[-1])


def repeated(logits: Any, k: int) -> Any:
    """The same for each of k draws: (…) → (k, …)."""
    return np.broadcast_to(logits, (k, *logits.shape))
