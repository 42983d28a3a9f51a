"""StackGAN: first a small image of what was asked for, then a large one of the small.

H. Zhang, T. Xu, H. Li, S. Zhang, X. Wang, X. Huang and D. Metaxas (2017), "StackGAN: text to
photo-realistic image synthesis with stacked generative adversarial networks".

To draw a large image that also is what was asked for is hard to learn at once. Here two generators
do it. That of *stage I* makes of noise and the class an image of half the sides, x̃₀ = g₀(z, c₀):
the rough shape. That of *stage II* sees it, and the class once more, x̃ = g(x̃₀, c), mends it, and
adds what half the sides have no room for; noise it needs none, as what varies is in x̃₀. Stage I is
trained first, against a critic of images of half the sides; then stage II against one of whole
images, while stage I stays as it is. What the paper's are asked for is a caption, and its embedding
e is that of a network trained on captions; here it is a class, and e a vector learnt.

**Conditioning augmentation** (§3.2). One e for each class is a set of few points, and of what lies
between them a generator would learn nothing. The condition is a draw around each:

    c = µ(e) + σ(e) ε,     ε ~ N(0, 1),     so that   ∂c/∂µ = 1,  ∂c/∂σ = ε

whose gradient goes on into e. That σ does not shrink to 0 is seen to by a term of the generator's
loss (eq. 2), which pulls all conditions towards one distribution, and so towards one another:

    λ KL(N(µ(e), σ(e)²) ‖ N(0, 1)) = λ Σ_j ½ (µ_j² + σ_j² − 1 − 2 ln σ_j)

It also takes from c what the critic does not ask for: with a large λ that is the class itself.

**The critic** is told the class where the image is smallest, beside each of its positions, and a
convolution of 1 × 1 joins the two (figure 2). It has to learn two things, what an image is and what
belongs to a class; of draws that are none yet it learns only the first. It is therefore shown real
images with a *wrong* class y' as well, as no less false than draws (S. Reed et al. 2016,
"Generative adversarial text to image synthesis", algorithm 1). With the loss a(s) for what is real
and b(s) for what is not,

    E_p a(s(x, y)) + ½ E_q b(s(x̃, y)) + ½ E_p b(s(x, y'))

which is half the loss against draws and half that against wrong classes. For a discriminator the
best of it has D = p / (p + ½ q + ½ w), with w(x | y) the images of all other classes: where they
are, it is low whatever the draws, and a draw of a wrong class has much to gain by leaving.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

import autograd.numpy as np
from autograd import Tensor, no_grad
from autograd.nn import leaky_relu, one_hot, relu
from scratchgen.config import require
from scratchgen.distributions import normal
from scratchgen.models.adversarial.game import Game
from scratchgen.models.adversarial.gan import GAN
from scratchgen.models.adversarial.losses import LOSSES
from scratchgen.models.adversarial.networks import (
    KERNEL,
    SLOPE,
    ConvCritic,
    ConvGenerator,
    NetworkConfig,
    PlainDense,
    channels_of,
    small_normal,
)
from scratchgen.models.adversarial.resolutions import averaged, repeated
from scratchgen.models.labels import checked_labels, labels_as_vectors
from scratchgen.nn import BatchNorm, Conv, Dense, Double, Halve, Module, SpectralDense
from scratchgen.nn.halve import halved_sides
from scratchgen.nn.initialisers import lecun_normal

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class StackGANConfig(NetworkConfig):
    """The defaults train well on the packaged digits."""

    classes: int = 10
    """Of the data: an image is made of one that is asked for."""
    network: str = "conv"
    """Of both stages; there are no others than convolutional ones."""
    hidden: int = 32
    """Channels of the largest hidden images."""
    layers: int = 2
    """How often whole images are halved, and doubled; those of stage I are once less."""
    embedding: int = 32
    """Numbers of the vector that a class is."""
    conditions: int = 16
    """Numbers of the condition that is drawn around it."""
    divergence: float = 0.02
    """What that of conditions from N(0, 1) counts; λ of the equation, in the paper 1."""
    blocks: int = 2
    """Residual blocks of stage II."""
    first_steps: int = 2000
    """Of training, for stage I; all others are for stage II."""

    def __post_init__(self) -> None:
        super().__post_init__()
        two = "at least 2: images are of one, and their critics are also shown a wrong one"
        require(self, self.classes >= 2, "classes", two)
        require(self, self.network == "conv", "network", "conv")
        require(self, self.layers >= 2, "layers", "at least 2: at stage I it is one less")
        for name in ("embedding", "conditions", "blocks", "first_steps"):
            require(self, getattr(self, name) >= 1, name, "at least 1")
        require(self, 0 <= self.divergence < math.inf, "divergence", "at least 0")


def networks_of(config: StackGANConfig, stage: int) -> NetworkConfig:
    """What networks of stage 1 or 2 are made by. They are not told the class as in other models."""
    own = {field.name: getattr(config, field.name) for field in fields(NetworkConfig)}
    networks = NetworkConfig(**(own | {"classes": 0}))
    if stage == 2:
        return networks
    height, width = halved_sides(config.height, config.width, 1)[1]
    return replace(networks, height=height, width=width, layers=config.layers - 1)


# ------------------------------------------------------------------------------------- condition


class Condition(Module):
    """Conditioning augmentation: the embedding e of a class, and c ~ N(µ(e), σ(e)²)."""

    def __init__(self, config: StackGANConfig, rng: Any) -> None:
        shape = (config.classes, config.embedding)
        self.embedding = Tensor(lecun_normal(rng, shape, fan_in=1, fan_out=config.embedding))
        self.moments_of = Dense(config.embedding, 2 * config.conditions, rng, lecun_normal)

    def moments(self, vectors: Any) -> tuple[Any, Any]:
        """µ(e) and ln σ(e) for labels (N, classes): (N, conditions) both."""
        both = self.moments_of(vectors @ self.embedding)
        half = both.shape[-1] // 2
        return both[:, :half], both[:, half:]

    def __call__(self, vectors: Any, epsilon: Any) -> Any:
        """c = µ + σ ε: (N, conditions)."""
        mean, log_std = self.moments(vectors)
        return mean + np.exp(log_std) * epsilon

    def kl(self, vectors: Any) -> Any:
        """KL(N(µ, σ²) ‖ N(0, 1)) in nats: (N,)."""
        return np.sum(normal.kl_to_standard(*self.moments(vectors)), axis=-1)


# ------------------------------------------------------------------------------------ generators


class FirstGenerator(ConvGenerator):
    """Noise (N, latents), beside it ε of the condition, → images of half the sides."""

    def __init__(self, config: StackGANConfig, rng: Any) -> None:
        self.latents = config.latents
        self.numbers = config.latents + config.conditions  # of noise; and of its first layer
        super().__init__(replace(networks_of(config, 1), latents=self.numbers), rng)
        self.condition = Condition(config, rng)

    def __call__(self, z: Any, vectors: Any = None, rng: Any = None) -> Any:
        c = self.condition(vectors, z[:, self.latents :])
        return super().__call__(np.concatenate([z[:, : self.latents], c], -1), None, rng)


class Rectified(Module):
    """A convolution, batch normalisation if there is to be any, and ReLU."""

    def __init__(self, conv: Any, batch: bool) -> None:
        self.conv = conv
        self.norm = BatchNorm(conv.bias.size) if batch else None
        if batch:
            conv.bias = None  # it would be taken away again with the mean

    def __call__(self, x: Any, rng: Any = None) -> Any:
        h = self.conv(x)
        return relu(h if self.norm is None else self.norm(h, rng))


class Residual(Module):
    """h + f(h), where f is two convolutions that keep sides and channels."""

    def __init__(self, channels: int, batch: bool, rng: Any) -> None:
        self.first = Rectified(Conv(channels, channels, 3, rng, small_normal), batch)
        self.second = Conv(channels, channels, 3, rng, small_normal)

    def __call__(self, h: Any, rng: Any = None) -> Any:
        return h + self.second(self.first(h, rng))


class SecondGenerator(Module):
    """What stage I makes of its noise → images of all the sides. ε of the condition comes last.

    The image of stage I is halved like a critic's, its smallest joined with the condition, carried
    through residual blocks, and doubled to a whole image. ``before``: makes images of stage I.
    """

    def __init__(self, config: StackGANConfig, before: Callable, numbers: int, rng: Any) -> None:
        """``before`` takes ``numbers`` of noise; its parameters are another player's."""
        self.before, self.numbers_before = before, numbers
        self.numbers = numbers + config.conditions
        self.condition = Condition(config, rng)
        batch, channels = config.norm == "batch", channels_of(config)
        sides = halved_sides(config.height, config.width, config.layers)
        look = Conv(channels[0], channels[1], 3, rng, small_normal)
        halve = [Halve(a, b, KERNEL, rng, small_normal) for a, b in pairwise(channels[1:])]
        self.down = [Rectified(conv, batch) for conv in (look, *halve)]
        most = channels[-1]
        self.join = Rectified(Conv(most + config.conditions, most, 3, rng, small_normal), batch)
        self.blocks = [Residual(most, batch, rng) for _ in range(config.blocks)]
        doubles = [
            Double(channels[i + 1], channels[i], sides[i], rng, KERNEL, small_normal)
            for i in reversed(range(config.layers))
        ]
        self.up = [Rectified(double, batch) for double in doubles[:-1]]
        self.last = doubles[-1]

    def __call__(self, z: Any, vectors: Any = None, rng: Any = None) -> Any:
        before, epsilon = z[:, : self.numbers_before], z[:, self.numbers_before :]
        with no_grad():
            small = self.before(before, vectors)
        return self.refined(small, self.condition(vectors, epsilon), rng)

    def refined(self, small: Any, c: Any, rng: Any = None) -> Any:
        """Images (N, ⌈H / 2⌉, ⌈W / 2⌉, colours) and conditions (N, conditions) → (N, H, W, …)."""
        h = small
        for layer in self.down:
            h = layer(h, rng)
        h = self.join(beside(h, c), rng)
        for block in self.blocks:
            h = block(h, rng)
        for layer in self.up:
            h = layer(h, rng)
        return np.tanh(self.last(h))


def beside(h: Any, c: Any) -> Any:
    """c (N, D) at each position of h (N, H, W, C): (N, H, W, C + D)."""
    places = (*h.shape[:-1], c.shape[-1])
    return np.concatenate([h, np.broadcast_to(c[:, None, None], places)], -1)


# ---------------------------------------------------------------------------------------- critic


class MatchingCritic(ConvCritic):
    """Images and labels (N, classes) → scores (N,) of images that are real *and* of the class."""

    def __init__(self, config: StackGANConfig, stage: int, rng: Any) -> None:
        networks = networks_of(config, stage)
        super().__init__(networks, rng)
        sides = halved_sides(networks.height, networks.width, networks.layers)[-1]
        channels = channels_of(networks)[-1]
        self.smallest = (*sides, channels)
        dense: Any = SpectralDense if config.spectral else PlainDense
        self.join = dense(channels + config.classes, channels, rng)  # a convolution of 1 × 1

    def __call__(self, x: Any, vectors: Any = None, rng: Any = None) -> Any:
        h = self.features(x, None, rng).reshape(-1, *self.smallest)
        h = leaky_relu(self.join(beside(h, vectors), rng), SLOPE)
        return self.score(h.reshape(len(h), -1), rng)[:, 0]


def mismatched(labels: Any, classes: int, rng: Any) -> Any:
    """For each of the labels (N,) one of the other classes, each as likely: (N,)."""
    further = rng.integers(1, classes, len(labels))
    return (labels + further) % classes


# ---------------------------------------------------------------------------------------- stages


class Stage(Game):
    """The game of one stage, of images as large as its generator makes them."""

    def __init__(self, config: StackGANConfig, generator: Any, critic: MatchingCritic) -> None:
        self.config, self.generator, self.critic = config, generator, critic

    def noise(self, n: int, rng: Any) -> Any:
        return rng.standard_normal((n, self.generator.numbers)).astype(self.dtype)

    def critic_loss(self, real: Any, rng: Any, labels: Any = None) -> Any:
        """Half that against draws, half that against real images with a wrong class."""
        vectors = labels_as_vectors(self, labels, len(real))
        others = mismatched(labels, self.config.classes, rng)
        with no_grad():
            fake = self.generator(self.noise(len(real), rng), vectors, rng)
        against = LOSSES[self.config.loss].critic
        right = self.critic(real, vectors, rng)
        wrong = self.critic(real, one_hot(others, self.config.classes, self.dtype), rng)
        loss = 0.5 * (against(right, self.critic(fake, vectors, rng)) + against(right, wrong))
        return loss + self.penalty(real, fake, vectors, rng)

    def generator_loss(self, n: int, rng: Any, labels: Any = None) -> Any:
        """Also λ KL(N(µ, σ²) ‖ N(0, 1)), of the conditions of ``n`` draws."""
        kl = np.mean(self.generator.condition.kl(labels_as_vectors(self, labels, n)))
        return super().generator_loss(n, rng, labels) + self.config.divergence * kl


class StackGAN(GAN):
    """p(x | label): images (N, height, width, colours) of integer levels, made in two stages.

    Until stage II has begun draws are those of stage I, each pixel doubled.
    """

    buffers = ("begun",)

    def __init__(self, config: StackGANConfig, rng: Any) -> None:
        self.config = config
        first = FirstGenerator(config, rng)
        # its method: were it here itself, its parameters would be the second generator's as well
        second = SecondGenerator(config, first.__call__, first.numbers, rng)
        self.first = Stage(config, first, MatchingCritic(config, 1, rng))
        self.second = Stage(config, second, MatchingCritic(config, 2, rng))
        self.begun = np.zeros(1, "int64")  # whether stage II has: 0 or 1

    @property
    def players(self) -> dict[str, tuple[Module, int]]:
        return {
            f"{name}_{player}": with_turns
            for name, stage in (("first", self.first), ("second", self.second))
            for player, with_turns in stage.players.items()
        }

    def turns(
        self, batch: Any, rng: Any, step: Any = None
    ) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        x, labels = batch if isinstance(batch, tuple) else (batch, None)
        labels = checked_labels(self, labels, len(x))
        whole = self.real(x)
        if (step or 0) < self.config.first_steps:
            name, stage, images = "first", self.first, averaged(whole)
        else:
            name, stage, images = "second", self.second, whole
            self.begun[...] = 1
        for player, loss, metrics in stage.turns((images, labels), rng):
            yield f"{name}_{player}", loss, metrics

    def phase(self, step: int) -> int:
        """Which stage learns."""
        return 1 if step < self.config.first_steps else 2

    def noise(self, n: int, rng: Any) -> Any:
        """Of both stages, that of stage I first: (n, latents + 2 conditions)."""
        return self.second.noise(n, rng)

    def generator(self, z: Any, vectors: Any = None, rng: Any = None) -> Any:
        if self.begun.item():
            return self.second.generator(z, vectors, rng)
        small = self.first.generator(z[:, : self.first.generator.numbers], vectors, rng)
        return repeated(small, self.shape[:2])

    def critic(self, x: Any, vectors: Any = None, rng: Any = None) -> Any:
        """Of whole images: that of stage II."""
        return self.second.critic(x, vectors, rng)
