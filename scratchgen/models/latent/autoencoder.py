"""Autoencoders: images to codes of few numbers, and back; with noise, denoising autoencoders.

P. Vincent, H. Larochelle, Y. Bengio and P.-A. Manzagol (2008), "Extracting and composing robust
features with denoising autoencoders".

An encoder makes a code z of an image x, and a decoder the parameters of a distribution of images
out of the code. The two learn together to give the image itself back (§2.2):

    max E ln p(x | z(x))

Where both are linear and p is a normal distribution around the decoder's output, they find the
subspace of the principal components (P. Baldi and K. Hornik 1989, "Neural networks and principal
component analysis: learning from examples without local minima"). The code has to be shorter than
the image, or otherwise hindered, or the best that there is to learn is to copy.

**Denoising.** The encoder is shown a corrupted image x̃ ~ q(x̃ | x), and what counts is still x
(§2.3): max E ln p(x | z(x̃)). Then copying is not best, however long the code, and the model has to
know what images are like. In the least squares the best is r(x̃) = E[x | x̃], and for Gaussian noise
that tells the *score*, the direction in which the data's density rises:

    r(x̃) = x̃ + σ² ∇ ln p_σ(x̃),     p_σ the density of x̃

P. Vincent (2011), "A connection between score matching and denoising autoencoders". G. Alain and
Y. Bengio (2014), "What regularized auto-encoders learn from the data-generating distribution",
theorem 1.

Neither is a density. But the denoiser can be drawn from: corrupting an image and drawing one anew,

    x̃_t ~ q(x̃ | x_t),     x_{t+1} ~ p(x | z(x̃_t))

is a Markov chain, and if p(x | z(x̃)) is the distribution of what x̃ may have been made from, it ends
up in the distribution of the data (Y. Bengio, L. Yao, G. Alain and P. Vincent 2013, "Generalized
denoising auto-encoders as generative models", theorem 1). Values drawn independently given a code
are that distribution only nearly, and the less so the stronger the noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd import backend, constant, no_grad
from scratchgen.config import require
from scratchgen.models.images import ImageModel
from scratchgen.models.latent.networks import NetworkConfig, decoder, encoder
from scratchgen.models.latent.observation import observation_of
from scratchgen.nn import Dense
from scratchgen.nn.initialisers import glorot_normal

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class AutoencoderConfig(NetworkConfig):
    """The defaults train well on the packaged digits."""

    dropout: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.classes == 0, "classes", "0: an autoencoder is given no labels")


@dataclass(frozen=True)
class DenoiserConfig(AutoencoderConfig):
    """The defaults train well on the packaged digits."""

    noise: str = "masking"
    """masking: values, scaled to [−1, 1], become 0; or gaussian: normal noise is added to them."""
    rate: float = 0.5
    """Of values masked; or the standard deviation of the normal noise."""
    transitions: int = 50
    """Of the Markov chain that ends in a sample."""
    dropout: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.noise in ("masking", "gaussian"), "noise", "masking or gaussian")
        require(self, 0 < self.rate < math.inf, "rate", "above 0, and finite")
        require(self, self.noise == "gaussian" or self.rate < 1, "rate", "below 1 for masking")
        require(self, self.transitions >= 1, "transitions", "at least 1")


# ---------------------------------------------------------------------------------------- model


class Autoencoder(ImageModel):
    """A code z (N, latents) for images x (N, height, width, colours), and p(x | z)."""

    pictures = ("reconstructions", "interpolations", "traversals")

    def __init__(self, config: AutoencoderConfig, rng: Any) -> None:
        self.config = config
        self.observation = observation_of(config)
        self.encoder = encoder(config, rng)
        self.code = Dense(self.encoder.width, config.latents, rng, glorot_normal)
        self.decoder = decoder(config, config.latents, self.observation.numbers, rng)

    def encode(self, v: Any, rng: Any = None) -> Any:
        """The codes of images scaled to [−1, 1]: (N, H, W, colours) → (N, latents).

        ``rng``: a generator for dropout in training, or None; likewise in :meth:`decode`.
        """
        return self.code(self.encoder(v, None, rng))

    def decode(self, z: Any, context: Any = None, rng: Any = None) -> Any:
        """Parameters of p(x | z) for the observation: (N, latents) → (N, numbers)."""
        self.labels(context, len(z))
        return self.decoder(z, None, rng)

    def loss(self, batch: Any, rng: Any, step: Any = None) -> tuple[Any, dict[str, Any]]:
        """−ln p(x | z) in nats per image of a batch (N, H, W, colours)."""
        self.check(batch)
        z = self.encode(self.shown(self.scaled(batch), rng), rng)
        nats = -np.mean(self.observation.log_prob(self.decode(z, rng=rng), batch, rng))
        return nats, {"nats": constant(nats)}

    def shown(self, v: Any, rng: Any) -> Any:
        """What the encoder is shown of images v in training: all."""
        return v

    def reconstruction(self, x: Any) -> Any:
        """ln p(x | z(x)) in nats per image (N,): no likelihood, for z was made knowing x.

        The noise of a Gaussian observation's dequantisation is always the same.
        """
        parameters = self.decode(self.mean_code(x))
        return self.observation.log_prob(parameters, x, backend.default_rng(0))

    def mean_code(self, x: Any, context: Any = None) -> Any:
        """The codes of images, nothing hidden from the encoder: (N, latents)."""
        self.check(x)
        self.labels(context, len(x))
        return self.encode(self.scaled(x))

    def mean(self, z: Any, context: Any = None) -> Any:
        """The mean of p(x | z), of real numbers from 0 to levels − 1: (N, H, W, colours)."""
        with no_grad():
            return self.observation.mean(self.decode(z, context))

    def reconstruct(self, x: Any, context: Any = None) -> Any:
        """The mean image of each image's code."""
        with no_grad():
            return self.mean(self.mean_code(x, context))


class Denoiser(Autoencoder):
    """The same, trained to see images through noise; so images can be drawn from it."""

    def shown(self, v: Any, rng: Any) -> Any:
        return self.corrupted(v, rng)

    def corrupted(self, v: Any, rng: Any) -> Any:
        """x̃ ~ q(x̃ | x), for images scaled to [−1, 1]."""
        if self.config.noise == "masking":
            return v * (rng.random(v.shape) >= self.config.rate)
        return v + self.config.rate * rng.standard_normal(v.shape).astype(v.dtype)

    def sample(self, n: int, rng: Any, context: Any = None, temperature: float = 1.0) -> Any:
        """``n`` images (n, H, W, colours): as many Markov chains, begun at uniform noise.

        ``temperature``: of each draw from p(x | z(x̃)).
        """
        self.labels(context, n)
        with no_grad():
            x = (rng.random((n, *self.shape)) * self.config.levels).astype(int)
            for _ in range(self.config.transitions):
                x = self.transition(x, rng, temperature)
            return x

    def transition(self, x: Any, rng: Any, temperature: float = 1.0) -> Any:
        """The next images of Markov chains that have come to x (N, H, W, colours)."""
        z = self.encode(self.corrupted(self.scaled(x), rng))
        return self.observation.sample(self.decode(z), rng, temperature)
