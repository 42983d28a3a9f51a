"""BiGAN and ALI: an encoder, learnt beside the generator by a critic of pairs.

J. Donahue, P. Krähenbühl and T. Darrell (2017), "Adversarial feature learning"; V. Dumoulin,
I. Belghazi, B. Poole, O. Mastropietro, A. Lamb, M. Arjovsky and A. Courville (2017), "Adversarially
learned inference".

A generator makes images of codes, x̃ = G(z), z ~ N(0, 1). An encoder makes codes of images, E(x).
Neither is ever shown what the other makes of its own: there is no x → E(x) → G(E(x)) in training,
and no distance between images. What they share is a critic, who is given *pairs* of an image and a
code, and learns to tell where a pair is from:

    (x, E(x)), x of the data: the distribution P;          (G(z), z), z of noise: Q

    V = E_P ln D(x, z) + E_Q ln (1 − D(x, z))

The critic raises V, encoder and generator together lower it. Pairs are points like any others: for
given E and G the best critic is D = P / (P + Q), and V is then 2 JS(P ‖ Q) − ln 4, which is least,
−ln 4, where P = Q and nowhere else (as in Goodfellow et al. 2014, theorem 1).

**What P = Q says.** The marginal distributions are alike: G(z) is distributed as the data, and
E(x) as noise. And, of functions E and G, *each undoes the other* (Donahue et al., theorem 2). For
the graph of E, all (x, z) with z = E(x), has probability 1 under P, hence under Q, whose pairs are
(G(z), z):

    z = E(G(z)) for almost all z;          likewise, by the graph of G, x = G(E(x)) for almost all x

Before that, pairs on one graph only have D = 1 or 0, and add nothing to V: what lowers it are pairs
on both. Of n images and n codes, all equally likely, and m pairs on both graphs, it is −(m/n) ln 4:
to the best critic a pair is right or wrong, and nearly right is wrong. A network is smoother than
that, and so there is a slope to go down; but what it leads to first is that G(E(x)) is an image
*like* x in what this critic goes by, of its class perhaps, and not in its pixels.

**A stochastic encoder** (ALI; ``encoder=gaussian``) draws the code: z = µ(x) + σ(x) ε, ε ~ N(0, 1),
through which its gradient goes. P is then p(x) e(z | x), and where it equals Q, e is the posterior
of the generator, q(z | x). The graph of G still has probability 1: G(z) = x for what e draws, while
several codes may now stand for the same image.

**What each minimises** is by ``loss`` (:mod:`.losses`): the critic as ever, the generator what it
would without an encoder, and the encoder the same with the parts of data and draws swapped. With
the loss saturating that is V itself; with nonsaturating they minimise what the critic would if it
had been told the opposite, as both papers do in practice. The penalty of wgan-gp is on the slope by
image and code at once: a pair is one point, and the line to another is straight in both.

With ``classes`` all three are told the class.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import autograd.numpy as np
from autograd import no_grad
from autograd.nn import leaky_relu
from scratchgen.config import require
from scratchgen.distributions import normal
from scratchgen.models.adversarial.game import Together
from scratchgen.models.adversarial.gan import GAN
from scratchgen.models.adversarial.losses import LOSSES
from scratchgen.models.adversarial.networks import (
    SLOPE,
    NetworkConfig,
    PlainDense,
    critic,
    generator,
)
from scratchgen.models.labels import labels_as_vectors
from scratchgen.nn import Dense, Module, SpectralDense, glorot_normal

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class BiGANConfig(NetworkConfig):
    """The defaults train well on the packaged digits."""

    encoder: str = "deterministic"
    """deterministic (BiGAN), or gaussian for one that draws its codes (ALI)."""
    joint: int = 256
    """Units of the critic's two hidden layers that see what is in the image beside the code."""

    def __post_init__(self) -> None:
        super().__post_init__()
        kinds = ("deterministic", "gaussian")
        require(self, self.encoder in kinds, "encoder", " or ".join(kinds))
        require(self, self.joint >= 1, "joint", "at least 1")


# --------------------------------------------------------------------------------------- networks


def features(config: NetworkConfig, rng: Any) -> Any:
    """A critic of images that gives no score: its ``features(x, vectors, rng)`` (N, width)."""
    network: Any = critic(config, rng)
    network.score = None
    return network


class Encoder(Module):
    """Images (N, H, W, colours) → codes (N, latents)."""

    def __init__(self, config: BiGANConfig, rng: Any) -> None:
        self.image = features(replace(config, spectral=0), rng)  # codes have no bound to keep
        self.latents, self.gaussian = config.latents, config.encoder == "gaussian"
        numbers = 2 * config.latents if self.gaussian else config.latents
        self.code = Dense(self.image.width, numbers, rng, glorot_normal)

    def __call__(self, x: Any, vectors: Any = None, rng: Any = None) -> Any:
        """A gaussian encoder draws with ``rng``, in training; without it gives the mean."""
        code = self.code(self.image.features(x, vectors, rng))
        if not self.gaussian:
            return code
        mean, log_std = code[:, : self.latents], code[:, self.latents :]
        return mean if rng is None else normal.sample(mean, log_std, rng)


def paired(x: Any, z: Any) -> Any:
    """Images (N, …) and their codes (N, latents), each pair a row of numbers."""
    return np.concatenate([x.reshape(len(x), -1), z], -1)


class PairCritic(Module):
    """Pairs (N, numbers of an image + latents) → scores (N,)."""

    def __init__(self, config: BiGANConfig, rng: Any) -> None:
        self.shape = config.shape
        self.image = features(config, rng)
        layer = SpectralDense if config.spectral else PlainDense
        widths = [self.image.width + config.latents, config.joint, config.joint]
        self.hidden = [layer(a, b, rng) for a, b in pairwise(widths)]
        self.score = layer(config.joint, 1, rng)

    def __call__(self, pairs: Any, vectors: Any = None, rng: Any = None) -> Any:
        numbers = math.prod(self.shape)
        x, z = pairs[:, :numbers].reshape(-1, *self.shape), pairs[:, numbers:]
        h = np.concatenate([self.image.features(x, vectors, rng), z], -1)
        for layer in self.hidden:
            h = leaky_relu(layer(h, rng), SLOPE)
        return self.score(h, rng)[:, 0]


# ---------------------------------------------------------------------------------------- model


class BiGAN(GAN):
    """A generator of images, an encoder of them, and the critic of pairs."""

    pictures: ClassVar[tuple[str, ...]] = ("reconstructions", "interpolations")
    """That can be made of its codes, besides samples."""

    def __init__(self, config: BiGANConfig, rng: Any) -> None:
        self.config = config
        self.generator = generator(config, rng)
        self.encoder = Encoder(config, rng)
        self.critic = PairCritic(config, rng)

    # --------------------------------------------------------------------------------- training

    @property
    def players(self) -> dict[str, tuple[Module, int]]:
        return super().players | {"generator": (Together(self.generator, self.encoder), 1)}

    def generator_turn(self, x: Any, labels: Any, rng: Any) -> tuple[Any, dict[str, Any]]:
        """In this game it too is of data: those of the critic's first turn."""
        real = self.real(x)
        loss = self.generator_loss(real, rng, labels)
        return loss, {"generator": loss, "reconstruction": self.reconstruction_error(real, labels)}

    def pairs(self, real: Any, vectors: Any, rng: Any) -> tuple[Any, Any]:
        """(x, E(x)) of data as :meth:`real` gives them, and as many (G(z), z) of noise."""
        z = self.noise(len(real), rng)
        coded = paired(real, self.encoder(real, vectors, rng))
        return coded, paired(self.generator(z, vectors, rng), z)

    def critic_loss(self, real: Any, rng: Any, labels: Any = None) -> Any:
        """What the critic minimises, of pairs of data and of draws."""
        vectors = labels_as_vectors(self, labels, len(real))
        with no_grad():
            coded, drawn = self.pairs(real, vectors, rng)
        return self.telling_apart(coded, drawn, vectors, rng)

    def generator_loss(self, real: Any, rng: Any, labels: Any = None) -> Any:
        """What generator and encoder minimise together; the critic's weights are constants."""
        vectors = labels_as_vectors(self, labels, len(real))
        coded, drawn = self.pairs(real, vectors, rng)
        loss = LOSSES[self.config.loss]
        with self.critic.frozen():
            encoded = loss.encoder(self.critic(coded, vectors, rng))
            return encoded + loss.generator(self.critic(drawn, vectors, rng))

    def reconstruction_error(self, real: Any, labels: Any = None) -> Any:
        """Mean (x − G(E(x)))² of a value from −1 to 1, which no one minimises: ()"""
        with no_grad():
            vectors = labels_as_vectors(self, labels, len(real))
            again = self.generator(self.encoder(real, vectors), vectors)
            return np.mean((real - again) ** 2)

    # ------------------------------------------------------------------------------------- codes

    def mean_code(self, x: Any, context: Any = None) -> Any:
        """E(x) of images of levels, of a gaussian encoder µ(x): (N, latents)."""
        with no_grad():
            return self.encoder(self.real(x), labels_as_vectors(self, context, len(x)))

    def reconstruct(self, x: Any, context: Any = None) -> Any:
        """G(E(x)): an image that the generator has for each."""
        return self.mean(self.mean_code(x, context), context)
