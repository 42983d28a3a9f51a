"""The game of generator and critic: what all adversarial models have in common.

I. Goodfellow, J. Pouget-Abadie, M. Mirza, B. Xu, D. Warde-Farley, S. Ozair, A. Courville and
Y. Bengio (2014), "Generative adversarial nets".

A generator makes draws of noise, x̃ = g(z). A critic is shown data and draws, and gives each a
score. In a step of training (algorithm 1) the critic has k turns, and in each of them learns from
other data and other draws to tell the two apart; then the generator has one, and learns to make
draws that this critic scores like data. What each of them minimises is a field of every model:
:mod:`scratchgen.models.adversarial.losses`.

In the critic's turn draws are constants, and in the generator's the critic's weights are: each is
only changed by its own loss. There is no common quantity that both bring down, so no loss tells how
good the draws are; that is for :mod:`scratchgen.judging`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd import constant, no_grad
from scratchgen.config import require
from scratchgen.models.adversarial.losses import LOSSES, gradient_penalty
from scratchgen.models.labels import checked_labels, labels_as_vectors
from scratchgen.nn import Module

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class GameConfig:
    """What generators and critics play by; each model adds fields of its own."""

    latents: int = 32
    """Numbers of the noise that a draw is made of."""
    classes: int = 0
    """Of the data, that both players are told; 0 for none."""
    loss: str = "nonsaturating"
    """saturating, nonsaturating, lsgan, wgan, wgan-gp or hinge."""
    critic_steps: int = 1
    """Turns of the critic in a step, before the generator's one; k in the paper."""
    weight_clip: float = 0.01
    """With the loss wgan: how far from 0 the critic's weights may be."""
    penalty: float = 10.0
    """With the loss wgan-gp: what the critic's slopes other than 1 count."""

    def __post_init__(self) -> None:
        require(self, self.latents >= 1, "latents", "at least 1")
        require(self, self.classes >= 0, "classes", "at least 1, or 0 for none")
        require(self, self.loss in LOSSES, "loss", " or ".join(LOSSES))
        require(self, self.critic_steps >= 1, "critic_steps", "at least 1")
        require(self, 0 < self.weight_clip < math.inf, "weight_clip", "above 0")
        require(self, 0 <= self.penalty < math.inf, "penalty", "at least 0")


# ----------------------------------------------------------------------------------------- game


class Together(Module):
    """Modules that play as one: what changes in their turn."""

    def __init__(self, *modules: Module) -> None:
        self.modules = modules


class Game(Module):
    """A generator and a critic.

    A model adds the two: ``generator(z, vectors, rng)``, noise (N, latents) → draws (N, …), and
    ``critic(x, vectors, rng)``, data or draws (N, …) → scores (N,). ``vectors`` are labels (N,
    classes) with a 1 each, or None; ``rng`` is a generator in training, or None.
    """

    config: Any
    generator: Any
    critic: Any

    @property
    def players(self) -> dict[str, tuple[Module, int]]:
        """Of each player the module, and how many turns it has in a step."""
        return {"critic": (self.critic, self.config.critic_steps), "generator": (self.generator, 1)}

    def turns(
        self, batch: Any, rng: Any, step: Any = None
    ) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        """The turns of a step: whose it is, what it minimises, and what is reported of it.

        ``batch``: data (k · N, …), or data and labels, for the k turns of the critic. After each
        turn that player's weights are to be changed, before the next is asked for.
        """
        parts = self.minibatches(batch)
        yield from self.critic_turns(parts, rng)
        loss, metrics = self.generator_turn(*parts[0], rng)
        yield "generator", loss, {name: constant(value) for name, value in metrics.items()}

    def minibatches(self, batch: Any) -> list[tuple[Any, Any]]:
        """Data and labels, or None, of each of the critic's turns."""
        x, labels = batch if isinstance(batch, tuple) else (batch, None)
        if not len(x):
            raise ValueError(f"{type(self).__name__}: a batch of no data, expected at least 1")
        turns = min(self.config.critic_steps, len(x))  # an epoch's last batch may be very small
        size = len(x) // turns
        parts = [slice(turn * size, (turn + 1) * size) for turn in range(turns)]
        return [(x[part], None if labels is None else labels[part]) for part in parts]

    def critic_turns(
        self, parts: Sequence[tuple[Any, Any]], rng: Any
    ) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        """One for each of the minibatches."""
        for x, labels in parts:
            loss = self.critic_loss(self.real(x), rng, labels)
            yield "critic", loss, {"critic": constant(loss)}
            self.clip()

    def generator_turn(self, x: Any, labels: Any, rng: Any) -> tuple[Any, dict[str, Any]]:
        """What the generator minimises, and what is reported of it; as many draws as data ``x``."""
        loss = self.generator_loss(len(x), rng, labels)
        return loss, {"generator": loss}

    def real(self, x: Any) -> Any:
        """Data as the critic sees them, like draws: here as they are."""
        return x

    def critic_loss(self, real: Any, rng: Any, labels: Any = None) -> Any:
        """What the critic minimises, of data (N, …) as :meth:`real` gives them."""
        vectors = labels_as_vectors(self, labels, len(real))
        with no_grad():
            fake = self.generator(self.noise(len(real), rng), vectors, rng)
        return self.telling_apart(real, fake, vectors, rng)

    def telling_apart(self, real: Any, fake: Any, vectors: Any, rng: Any) -> Any:
        """The loss of a critic of data and draws, both (N, …)."""
        loss = LOSSES[self.config.loss].critic(
            self.critic(real, vectors, rng), self.critic(fake, vectors, rng)
        )
        return loss + self.penalty(real, fake, vectors, rng)

    def penalty(self, real: Any, fake: Any, vectors: Any, rng: Any) -> Any:
        """With the loss wgan-gp what is added to it, for slopes other than 1 between the two."""
        if self.config.loss != "wgan-gp":
            return 0.0
        slopes = gradient_penalty(lambda x: self.critic(x, vectors, rng), real, fake, rng)
        return self.config.penalty * slopes

    def generator_loss(self, n: int, rng: Any, labels: Any = None) -> Any:
        """What the generator minimises, over ``n`` draws; the critic's weights are constants."""
        vectors = labels_as_vectors(self, labels, n)
        fake = self.generator(self.noise(n, rng), vectors, rng)
        with self.critic.frozen():
            return LOSSES[self.config.loss].generator(self.critic(fake, vectors, rng))

    def clip(self) -> None:
        """With the loss wgan, put the critic's weights back within their bounds."""
        if self.config.loss == "wgan":
            bound = self.config.weight_clip
            for weight in self.critic.parameters().values():
                weight[...] = np.clip(weight.data, -bound, bound)

    def noise(self, n: int, rng: Any) -> Any:
        """z ~ N(0, 1): (n, latents)."""
        return rng.standard_normal((n, self.config.latents)).astype(self.dtype)

    def draws(self, z: Any, labels: Any = None) -> Any:
        """What the generator makes of noise (n, latents), outside of training."""
        with no_grad():
            return self.generator(z, labels_as_vectors(self, labels, len(z)), None)

    def sample(self, n: int, rng: Any, context: Any = None, temperature: float = 1.0) -> Any:
        """``n`` draws. ``temperature`` multiplies their noise: below 1 they are less varied."""
        checked_labels(self, context, n)
        return self.draws(temperature * self.noise(n, rng), context)
