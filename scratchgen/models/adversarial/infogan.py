"""InfoGAN: a GAN some of whose noise can be told from the image, and so comes to mean something.

X. Chen, Y. Duan, R. Houthooft, J. Schulman, I. Sutskever and P. Abbeel (2016), "InfoGAN:
interpretable representation learning by information maximizing generative adversarial nets".

Besides z, which may mean anything or nothing, the noise has a *category* c, one of K that are all
as likely, and *codes* u, m numbers uniform from −1 to 1: x̃ = g(z, c, u). Nothing in the game makes
a generator heed c. Here it is to raise the mutual information of c and the image made of it,

    I(c; x̃) = H(c) − H(c | x̃) = H(c) + E ln p(c | x̃)

whose posterior p(c | x̃) is not known. A network q(c | x) that takes its place gives too little, by
what it is wrong (eq. 4):

    I(c; x̃) = H(c) + E ln q(c | x̃) + E KL(p(c | x̃) ‖ q(c | x̃)) ≥ H(c) + E ln q(c | x̃) = L_I

The pair (c, x̃) need not be drawn from the posterior: drawing c first, and x̃ of it, gives the same
pairs (lemma 5.1, eq. 5). So L_I is the mean over draws of ln q, of the c that each was made of. It
is at most H(c) = ln K, and for a given generator is greatest at q = p(c | x̃), where it is I. For
the codes it is the same, with H(u) = m ln 2 and a normal distribution of each number:

    L_I = ln K + E ln q(c | x̃)  +  m ln 2 + Σ_j E ln N(u_j; µ_j(x̃), σ²)

σ is given, not learnt, for of images without noise a code can be read to any precision: I(u; x̃)
has no bound, and a σ that follows would raise L_I for ever. So σ says how exactly is enough, and by
the slope of the normal's logarithm, (u − µ) / σ², what that counts. (In the authors' code σ is 1.)

Generator and q raise L_I together, and the critic has no part in it (eq. 6):

    min_{g, q} max_critic  V − λ L_I

But q and the critic have their features in common, all layers but the last of the critic; q adds a
*head* to them. A parameter is changed in one player's turn only. Features and head are changed in
the critic's, as in the authors' code: what is minimised in it is the critic's loss − λ L_I, and in
the generator's turn, when both are constants, the generator's loss − λ L_I. Were the head changed
in the generator's instead, it would have to read features that are learnt for the critic's ends
alone, and would stand still in the k turns in which these change.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import autograd.numpy as np
from autograd import no_grad
from autograd.nn import leaky_relu, log_softmax, one_hot
from scratchgen.config import require
from scratchgen.distributions import normal
from scratchgen.models.adversarial.game import Together
from scratchgen.models.adversarial.gan import GAN
from scratchgen.models.adversarial.losses import LOSSES
from scratchgen.models.adversarial.networks import SLOPE, NetworkConfig, critic, generator
from scratchgen.models.labels import checked_labels, labels_as_vectors
from scratchgen.nn import MLP, Module

HEAD = 128
"""Units of the head's hidden layer."""

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class InfoGANConfig(NetworkConfig):
    """The defaults train well on the packaged digits."""

    categories: int = 10
    """Of the noise, all as likely; K."""
    codes: int = 2
    """Further numbers of the noise that the image is to tell, uniform from −1 to 1; m."""
    deviation: float = 0.5
    """σ of q(u | x): how exactly the codes are to be told."""
    information: float = 0.3
    """What the bound of the mutual information counts against the losses of the game; λ."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.categories >= 2, "categories", "at least 2")
        require(self, self.codes >= 0, "codes", "at least 0")
        require(self, 0 < self.deviation < math.inf, "deviation", "above 0")
        require(self, 0 <= self.information < math.inf, "information", "at least 0")


# ---------------------------------------------------------------------------------------- model


class InfoGAN(GAN):
    """A GAN whose noise (N, latents + K + m) is z, the category as a vector, and the codes."""

    pictures = ("factors",)

    def __init__(self, config: InfoGANConfig, rng: Any) -> None:
        self.config = config
        told = config.categories + config.codes
        self.generator = generator(dataclasses.replace(config, latents=config.latents + told), rng)
        self.critic = critic(config, rng)
        activation = partial(leaky_relu, slope=SLOPE)
        width = self.critic.width
        self.head = MLP(width, told, rng, hidden=HEAD, layers=1, activation=activation)

    @property
    def players(self) -> dict[str, tuple[Module, int]]:
        both = Together(self.critic, self.head)
        return super().players | {"critic": (both, self.config.critic_steps)}

    # --------------------------------------------------------------------------------- training

    def generator_turn(self, x: Any, labels: Any, rng: Any) -> tuple[Any, dict[str, Any]]:
        """What is reported is also L_I, of the category and of the codes."""
        loss, told = self._generator_loss(len(x), rng, labels)
        return loss, {"generator": loss, "information": told[0], "codes": told[1]}

    def critic_loss(self, real: Any, rng: Any, labels: Any = None) -> Any:
        """What critic and head minimise, of data (N, …) as :meth:`real` gives them."""
        vectors = labels_as_vectors(self, labels, len(real))
        noise = self.noise(len(real), rng)
        with no_grad():
            fake = self.generator(noise, vectors, rng)
        score, *told = self._seen(fake, vectors, rng)
        loss = LOSSES[self.config.loss].critic(self.critic(real, vectors, rng), score)
        loss = loss + self.penalty(real, fake, vectors, rng)
        return loss - self.config.information * sum(self.information(noise, *told))

    def generator_loss(self, n: int, rng: Any, labels: Any = None) -> Any:
        """What the generator minimises, over ``n`` draws; critic and head are constants."""
        return self._generator_loss(n, rng, labels)[0]

    def _generator_loss(self, n: int, rng: Any, labels: Any) -> tuple[Any, tuple[Any, Any]]:
        """The loss, and of it the parts of L_I."""
        vectors = labels_as_vectors(self, labels, n)
        noise = self.noise(n, rng)
        fake = self.generator(noise, vectors, rng)
        with self.critic.frozen(), self.head.frozen():
            score, *told = self._seen(fake, vectors, rng)
        information = self.information(noise, *told)
        loss = LOSSES[self.config.loss].generator(score)
        return loss - self.config.information * sum(information), information

    def information(self, noise: Any, logits: Any, mean: Any) -> tuple[Any, Any]:
        """L_I in nats, () each: of the category, ln K at most, of the codes m ln (2 / σ √2π).

        ``noise`` (N, latents + K + m) that draws were made of, and of each of them logits (N, K) of
        q(c | x̃) and means (N, m) of q(u | x̃).
        """
        _, category, codes = self.parts(noise)
        log_q = np.sum(category * log_softmax(logits), axis=-1)
        deviation = self.config.deviation
        log_density = normal.standard_log_prob((codes - mean) / deviation) - math.log(deviation)
        return (
            math.log(self.config.categories) + np.mean(log_q),
            self.config.codes * math.log(2) + np.mean(np.sum(log_density, axis=-1)),
        )

    def _seen(self, x: Any, vectors: Any, rng: Any) -> tuple[Any, Any, Any]:
        """What critic and head make of the same features: scores (N,), logits and means of q."""
        features = self.critic.features(x, vectors, rng)
        found = self.head(features)
        categories = self.config.categories
        score = self.critic.score(features, rng)[:, 0]
        return score, found[:, :categories], found[:, categories:]

    # ------------------------------------------------------------------------- noise and images

    def noise(self, n: int, rng: Any) -> Any:
        """z ~ N(0, 1), c with a 1 at the category, u uniform: (n, latents + K + m)."""
        z = super().noise(n, rng)
        category = rng.integers(0, self.config.categories, n)
        codes = (2 * rng.random((n, self.config.codes)) - 1).astype(self.dtype)
        return np.concatenate([z, one_hot(category, self.config.categories, self.dtype), codes], -1)

    def parts(self, noise: Any) -> tuple[Any, Any, Any]:
        """z (N, latents), the category (N, K) and the codes (N, m) of noise."""
        first = self.config.latents
        second = first + self.config.categories
        return noise[:, :first], noise[:, first:second], noise[:, second:]

    def recognise(self, x: Any, context: Any = None) -> tuple[Any, Any]:
        """Of images of levels: ln q(c | x) (N, K), and the means (N, m) of q(u | x)."""
        with no_grad():
            vectors = labels_as_vectors(self, context, len(x))
            _, logits, mean = self._seen(self.real(x), vectors, None)
        return log_softmax(logits), mean

    def sample(self, n: int, rng: Any, context: Any = None, temperature: float = 1.0) -> Any:
        """``n`` images. ``temperature`` multiplies z alone: there is no less of a category."""
        checked_labels(self, context, n)
        z, *told = self.parts(self.noise(n, rng))
        return self.mean(np.concatenate([temperature * z, *told], -1), context)
