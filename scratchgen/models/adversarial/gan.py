"""GAN: a generator of images that learns from a critic alone.

I. Goodfellow, J. Pouget-Abadie, M. Mirza, B. Xu, D. Warde-Farley, S. Ozair, A. Courville and
Y. Bengio (2014), "Generative adversarial nets".

An image is made of noise, x̃ = g(z), z ~ N(0, 1); nothing is added to it, and there is no p(x | z).
What q is, the distribution of x̃, cannot be computed, so there is no likelihood to raise. A critic,
who is shown images of the data and images made, learns to tell them apart, and its score, a
function of the image, can be differentiated: its gradient tells the generator what to change. How
the two take turns is in :mod:`.game`, what each minimises in :mod:`.losses`.

With ``network=conv`` both are convolutional: A. Radford, L. Metz and S. Chintala (2016),
"Unsupervised representation learning with deep convolutional generative adversarial networks"
(:mod:`.networks`). With ``classes`` both are told the class, and images are made of the class asked
for: M. Mirza and S. Osindero (2014), "Conditional generative adversarial nets".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from scratchgen.models.adversarial.game import Game
from scratchgen.models.adversarial.networks import NetworkConfig, critic, generator
from scratchgen.models.images import ImageModel

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class GANConfig(NetworkConfig):
    """The defaults train well on the packaged digits."""


# ---------------------------------------------------------------------------------------- model


class GAN(Game, ImageModel):
    """A generator of images (N, height, width, colours) of integer levels, and their critic."""

    def __init__(self, config: GANConfig, rng: Any) -> None:
        self.config = config
        self.generator = generator(config, rng)
        self.critic = critic(config, rng)

    def real(self, x: Any) -> Any:
        """Levels as numbers from −1 to 1, as the generator makes them."""
        self.check(x)
        return self.scaled(x)

    def sample(self, n: int, rng: Any, context: Any = None, temperature: float = 1.0) -> Any:
        """``n`` images, each value the nearest level."""
        return self.rounded(super().sample(n, rng, context, temperature))

    def mean(self, z: Any, context: Any = None) -> Any:
        """The images that are made of this noise, each value the nearest level."""
        return self.rounded(self.draws(z, context))
