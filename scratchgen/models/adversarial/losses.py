"""What critic and generator minimise: the losses of generative adversarial networks.

A generator makes x̃ = g(z) of noise, whose distribution is q; data x have the distribution p. A
critic gives each a number, its score s. (Where the critic is a *discriminator*, s is the logit of
the probability D = σ(s) that x is real.) The two play against each other, and a loss says for what.
Each is given as two functions of scores, means over the batch:

**saturating** (I. Goodfellow et al. 2014, "Generative adversarial nets", eq. 1). The value of the
game is V = E_p ln D(x) + E_q ln (1 − D(x̃)); the critic raises it, the generator lowers it.

    critic      E_p softplus(−s) + E_q softplus(s)
    generator  −E_q softplus(s)

For a given q the best critic has D = p / (p + q), and V is then 2 JS(p ‖ q) − ln 4 (proposition 1,
theorem 1). Where the critic is sure of itself the generator's gradient, −σ(s), is next to nothing.

**nonsaturating** (§3). The same critic; the generator raises ln D(x̃) instead. The fixed point is
the same, and its gradient, −σ(−s), is largest where the other's is smallest.

    generator   E_q softplus(−s)

**lsgan** (X. Mao et al. 2017, "Least squares generative adversarial networks", eq. 9):

    critic      ½ E_p (s − 1)² + ½ E_q s²              generator   ½ E_q (s − 1)²

The best critic has s = p / (p + q), a probability itself, and its loss is then ¼ − ⅛ χ², with
χ² = Σ (p − q)² / (p + q): Pearson's χ² divergence between p + q and 2 q, as in the paper's §3.2.

**wgan** (M. Arjovsky, S. Chintala and L. Bottou 2017, "Wasserstein GAN", eqs. 2 and 3). If no score
rises faster than 1 for each unit of distance, the best difference of mean scores is the distance
over which p's mass has to be carried to become q's, W(p, q). The critic's weights are clipped to
[−c, c], which bounds how fast scores rise, if not by 1.

    critic      E_q s − E_p s                          generator  −E_q s

**wgan-gp** (I. Gulrajani et al. 2017, "Improved training of Wasserstein GANs", eq. 3). The same,
and instead of clipping a penalty for slopes other than 1, between data and draws,
x̂ = ε x + (1 − ε) x̃:

    critic      E_q s − E_p s + λ E (‖∂s/∂x̂‖ − 1)²

Slopes a little above 1 cost little: of c times a critic of slope 1, c W − λ (c − 1)² is greatest at
c = 1 + W / 2λ, so that what the critic measures is above the distance by that.

**hinge** (J. H. Lim and J. C. Ye 2017, "Geometric GAN"; T. Miyato et al. 2018, "Spectral
normalization for generative adversarial networks", eqs. 16 and 17). Scores beyond ±1 are good
enough; the best critic's are ±1, the sign that of p − q, and its loss is 2 Σ min(p, q).

    critic      E_p max(0, 1 − s) + E_q max(0, 1 + s)  generator  −E_q s

**Where data are made too**, by an encoder (:mod:`.bigan`), it plays on the generator's side: what
the critic sees of data is to be taken for a draw. In every loss above data and draws swap their
parts when all scores are mirrored, s → 2 m − s, in the score m between the two: ½ for least
squares, whose marks are 1 and 0, and else 0. So an encoder minimises the generator's loss of the
mirrored scores of data:

    saturating  −E_p softplus(−s), all of V that depends on it     nonsaturating  E_p softplus(s)
    lsgan       ½ E_p s²                                           the others     E_p s
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd import grad
from autograd.nn import relu, softplus


@dataclass(frozen=True)
class Loss:
    """What the two players minimise, as functions of scores (N,)."""

    critic: Callable[[Any, Any], Any]
    """(scores of data, scores of draws) → ()"""
    generator: Callable[[Any], Any]
    """scores of draws → ()"""
    middle: float = 0.0
    """The score of what is as much like data as like draws."""

    def encoder(self, real: Any) -> Any:
        """What makes data look like draws minimises this: scores of data → ()"""
        return self.generator(2 * self.middle - real)


def _saturating_critic(real: Any, fake: Any) -> Any:
    return np.mean(softplus(-real)) + np.mean(softplus(fake))


def _least_squares_critic(real: Any, fake: Any) -> Any:
    return 0.5 * np.mean((real - 1) ** 2) + 0.5 * np.mean(fake**2)


def _wasserstein_critic(real: Any, fake: Any) -> Any:
    return np.mean(fake) - np.mean(real)


def _hinge_critic(real: Any, fake: Any) -> Any:
    return np.mean(relu(1 - real)) + np.mean(relu(1 + fake))


def _raise_score(fake: Any) -> Any:
    return -np.mean(fake)


LOSSES = {
    "saturating": Loss(_saturating_critic, lambda fake: -np.mean(softplus(fake))),
    "nonsaturating": Loss(_saturating_critic, lambda fake: np.mean(softplus(-fake))),
    "lsgan": Loss(_least_squares_critic, lambda fake: 0.5 * np.mean((fake - 1) ** 2), 0.5),
    "wgan": Loss(_wasserstein_critic, _raise_score),
    "wgan-gp": Loss(_wasserstein_critic, _raise_score),
    "hinge": Loss(_hinge_critic, _raise_score),
}


def gradient_penalty(critic: Callable[[Any], Any], real: Any, fake: Any, rng: Any) -> Any:
    """E (‖∂s/∂x̂‖ − 1)² at x̂ = ε x + (1 − ε) x̃, ε uniform for each pair: (N, …) twice → ().

    ``critic``: x (N, …) → scores (N,), of which each depends on its own x alone (no batch
    normalisation in it). The gradient by the critic's parameters is of second order.
    """
    epsilon = rng.random((len(real), *[1] * (real.ndim - 1))).astype(real.dtype)
    between = epsilon * real + (1 - epsilon) * fake
    slope = grad(lambda x: np.sum(critic(x)))(between).reshape(len(real), -1)
    length = np.sqrt(np.sum(slope * slope, axis=1) + 1e-12)  # whose gradient at 0 is finite
    return np.mean((length - 1) ** 2)
