"""M2: a VAE that is told the classes of some images, and learns to tell those of the others.

D. P. Kingma, D. J. Rezende, S. Mohamed and M. Welling (2014), "Semi-supervised learning with deep
generative models".

An image is made of its class y and of a code z, which is left to say what the class does not
(eq. 2): p(y) = 1 / C, p(z) = N(0, 1), and p(x | y, z) from a decoder. Besides an encoder that finds
z, q(z | x, y), there is a classifier, q(y | x) (eq. 4). If y is known, it is observed like x, and
the bound is that of a class-conditional VAE (:mod:`.vae`), plus ln p(y) (eq. 6):

    ln p(x, y) ≥ L(x, y) = E_{q(z | x, y)} ln p(x | y, z) + ln p(y) − KL(q(z | x, y) ‖ p(z))

If it is not known, it is one more latent variable. A sum over all classes takes the place of draws
(eq. 7):

    ln p(x) ≥ U(x) = Σ_y q(y | x) (L(x, y) − ln q(y | x))

With r(y), certain of the class where it is known and q(y | x) where it is not, both are the same:

    Σ_y r(y) (L(x, y) − ln r(y)) = Σ_y r(y) (E ln p(x | y, z) − KL(q(z | x, y) ‖ p(z)))
                                   − KL(r(y) ‖ p(y))

so that is how the bound is computed (eq. 8 is its sum over all images). From L alone the classifier
would learn nothing. So each image of known class adds what the classifier makes of it (eq. 9):

    − α ln q(y | x)

(α here is what counts for one such image; in the paper it is 0.1 times the number of all images,
divided by the number of these.)
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd import constant, no_grad
from autograd.nn import softmax
from autograd.scipy.special import logsumexp
from scratchgen.config import require
from scratchgen.distributions import categorical
from scratchgen.models.labels import checked_labels
from scratchgen.models.latent.latent import Elbo
from scratchgen.models.latent.networks import NetworkConfig, encoder
from scratchgen.models.latent.vae import VAE, VAEConfig
from scratchgen.nn import Dense
from scratchgen.nn.initialisers import glorot_normal

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class M2Config(VAEConfig):
    """The defaults train well on the packaged digits."""

    classes: int = 10
    """Of the images."""
    labelled: int = 100
    """Training images whose class is known; 0 for all."""
    alpha: float = 10.0
    """What −ln q(y | x) of each of these counts, beside the bounds of all."""
    dropout: float = 0.3

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.classes >= 1, "classes", "at least 1")
        enough = self.labelled == 0 or self.labelled >= self.classes
        require(self, enough, "labelled", f"at least {self.classes}, or 0 for all")
        require(self, 0 <= self.alpha < math.inf, "alpha", "at least 0, and finite")
        require(self, self.samples == 1, "samples", "1: it is not by weights that classes are told")


def without_classes(config: M2Config) -> NetworkConfig:
    """The same networks, given no label."""
    names = [field.name for field in dataclasses.fields(NetworkConfig) if field.name != "classes"]
    return NetworkConfig(**{name: getattr(config, name) for name in names})


# ---------------------------------------------------------------------------------------- model


class M2(VAE):
    """p(x) = Σ_y ∫ p(y) p(z) p(x | y, z) dz for images x (N, height, width, colours).

    Labels (N,) may be −1, for a class not known. Where they are not, what is bounded is ln p(x, y).
    """

    def __init__(self, config: M2Config, rng: Any) -> None:
        super().__init__(config, rng)
        self.features = encoder(without_classes(config), rng)
        self.classifier = Dense(self.features.width, config.classes, rng, glorot_normal)

    # ------------------------------------------------------------------------------------ classes

    def class_logits(self, x: Any, rng: Any = None) -> Any:
        """ln q(y | x) of every class, up to a constant: (N, classes). ``rng``: for dropout."""
        self.check(x)
        return self.classifier(self.features(self.scaled(x), None, rng))

    def classify(self, x: Any) -> Any:
        """The class that is the most probable by q(y | x): (N,)."""
        return np.argmax(self.class_logits(x), axis=-1)

    def known(self, context: Any, n: int) -> tuple[Any, Any]:
        """Which labels (N,) are known, (N, 1), and y as vectors, (N, classes): else all False."""
        y = checked_labels(self, -1 if context is None else context, n, unknown=True)
        return y[:, None] >= 0, y[:, None] == np.arange(self.config.classes)

    # ------------------------------------------------------------------------------------- bounds

    def elbo(self, x: Any, rng: Any, context: Any = None, *, training: bool = False) -> Elbo:
        """U(x), or L(x, y) where the label is known; the last part of the divergence is y's."""
        n, classes = len(x), self.config.classes
        known, is_class = self.known(context, n)
        logits = self.class_logits(x, rng if training else None)
        r = np.where(known, is_class, softmax(logits))  # (N, classes)
        entropy = np.where(known[:, 0], 0.0, categorical.entropy(logits))
        every = np.repeat(np.arange(classes), n)
        each = super().elbo(np.concatenate([x] * classes), rng, every, training=training)
        each_kl = each.parts.reshape(classes, n, self.config.latents)
        kl = np.sum(r.T[..., None] * each_kl, axis=0)
        parts = np.concatenate([kl, (math.log(classes) - entropy)[:, None]], axis=-1)
        reconstruction = np.sum(r.T * each.reconstruction.reshape(classes, n), axis=0)
        return Elbo(reconstruction, np.sum(parts, axis=-1), parts)

    def log_weights(
        self, x: Any, k: int, rng: Any, context: Any = None, *, training: bool = False
    ) -> Any:
        """ln Σ_y w(y), w(y) = p(x, y, z) / q(z | x, y) of k draws of z for each class: (k, N).

        The classifier has no part in it. Where the class is known the sum is over that one alone.
        """
        known, is_class = self.known(context, len(x))
        log_w = []
        for y in range(self.config.classes):  # one after the other, for the memory
            each = super().log_weights(x, k, rng, y, training=training)
            possible = ~known[:, 0] | is_class[:, y]
            log_w.append(np.where(possible, each, -math.inf))
        return logsumexp(np.stack(log_w), axis=0) - math.log(self.config.classes)

    def loss(self, batch: Any, rng: Any, step: Any = None) -> tuple[Any, dict[str, Any]]:
        """The bound's, and −α ln q(y | x) of each image of known class: means over all images."""
        loss, metrics = super().loss(batch, rng, step)
        x, context = batch if isinstance(batch, tuple) else (batch, None)
        known, is_class = self.known(context, len(x))
        log_q = categorical.log_prob(self.class_logits(x, rng), np.argmax(is_class, axis=-1))
        classification = -np.mean(np.where(known[:, 0], log_q, 0.0))
        metrics["classification"] = constant(classification)
        return loss + self.config.alpha * classification, metrics

    # --------------------------------------------------------------------------------- generation

    def mean_code(self, x: Any, context: Any = None) -> Any:
        """The mean of q(z | x, y), for the class that x seems to have if none is given."""
        return super().mean_code(x, self.classify(x) if context is None else context)

    def sample(self, n: int, rng: Any, context: Any = None, temperature: float = 1.0) -> Any:
        """``n`` images (n, H, W, colours), of classes drawn from p(y) if none are given."""
        if context is None:
            context = (rng.random(n) * self.config.classes).astype(int)
        return super().sample(n, rng, context, temperature)

    def mean(self, z: Any, context: Any = None) -> Any:
        """The mean of p(x | y, z), and of p(x | z) if no classes are given: (N, H, W, colours)."""
        if context is not None:
            return super().mean(z, context)
        total = 0.0
        for y in range(self.config.classes):
            total = total + super().mean(z, y)
        return total / self.config.classes

    def reconstruct(self, x: Any, context: Any = None) -> Any:
        """The mean image of each image's mean code, of the class that it seems to have if none."""
        with no_grad():
            return super().reconstruct(x, self.classify(x) if context is None else context)
