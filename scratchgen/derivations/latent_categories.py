"""Categories drawn as a function of noise: Gumbel's maximum, and its relaxation.

E. J. Gumbel (1954), "Statistical theory of extreme values"; E. Jang, S. Gu and B. Poole (2017),
"Categorical reparameterization with Gumbel-softmax".
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd.nn import one_hot, softmax
from autograd.scipy.special import logsumexp
from scratchgen.derivations.claim import claim
from scratchgen.derivations.proof import Proof
from scratchgen.estimators import gumbel, gumbel_max, gumbel_softmax, straight_through

DRAWS = 20_000


def _reversed_noise(logits: Any, rng: Any) -> Any:
    return np.argmax(logits - gumbel(logits.shape, rng, logits.dtype), axis=-1)


def _exponential_noise(logits: Any, rng: Any) -> Any:
    return np.argmax(logits - np.log(rng.random(logits.shape)), axis=-1)


@claim(
    section="latent",
    statement=r"P(\mathrm{argmax}_k (l_k + G_k) = j) = \dfrac{e^{l_j}}{\sum_k e^{l_k}}"
    "\n" + r"\mathbb{E} \max_k (l_k + G_k) = \ln \sum_k e^{l_k} + \gamma",
    says="Noise of Gumbel's distribution and a maximum draw a category.",
    source="C. J. Maddison, D. Tarlow and T. Minka (2014), A* sampling",
    method="Monte Carlo",
    wrong={
        "noise of the wrong sign": {"draw": _reversed_noise},
        "−ln u in place of −ln(−ln u)": {"draw": _exponential_noise},
    },
)
def the_gumbel_max_trick(proof: Proof, *, draw=gumbel_max) -> None:
    """l_k + G_k has the distribution function exp(−exp(l_k − g)). The largest is at j and is g with

    density of l_j + G_j at g, times Π_{k≠j} exp(−exp(l_k − g))
        = exp(l_j − g) exp(−exp(−g) Σ_k exp l_k)
        = softmax(l)_j · [density at g of Gumbel noise about ln Σ_k exp l_k]

    So it is j with probability softmax(l)_j, and how large it is does not depend on j. Gumbel noise
    has the mean γ = 0.5772…
    """
    logits = np.array([1.5, 0.5, 0.0, -1.0])
    rows = np.broadcast_to(logits, (DRAWS, 4))
    proof.step("softmax(l)", softmax(logits))
    proof.mean("argmax = j", one_hot(draw(rows, proof.rng), 4, "float64"), softmax(logits))
    largest = np.max(rows + gumbel(rows.shape, proof.rng, "float64"), axis=-1)
    proof.mean("max_k (l_k + G_k)", largest, logsumexp(logits) + 0.5772156649015329)


@claim(
    section="latent",
    statement=r"y = \mathrm{softmax}((l + G) / \tau): \quad"
    r"0 \leq 1 - y_{\max} \leq (K - 1)\, e^{-\Delta / \tau}"
    "\n" + r"\Delta = \mathrm{largest} - \mathrm{second\ of}\ l + G",
    says="As the temperature falls, the relaxed category becomes the one that the maximum draws.",
    source="C. J. Maddison, A. Mnih and Y. W. Teh (2017), The concrete distribution, prop. 1",
    method="closed form",
    wrong={
        "multiplied by τ": {
            "relaxed": lambda logits, rng, tau: gumbel_softmax(logits, rng, 1 / tau)
        },
        "the logits alone divided": {
            "relaxed": lambda logits, rng, tau: softmax(
                logits / tau + gumbel(logits.shape, rng, logits.dtype)
            )
        },
    },
)
def relaxed_categories_tend_to_corners(proof: Proof, *, relaxed=gumbel_softmax) -> None:
    """With a = l + G and its largest a_m, 1 / y_m = Σ_k exp((a_k − a_m) / τ) = 1 + Σ_{k≠m} …

    Each of the K − 1 others is at most exp(−Δ / τ), and 1 − y_m ≤ 1 / y_m − 1. So y is within that
    of the corner of m, which :func:`gumbel_max` draws with the same noise. Its mean is then
    softmax(l). *Straight-through*, the corner itself is passed on.
    """

    class Noise:
        """The same uniform numbers in each call."""

        uniform = proof.rng.random((DRAWS // 20, 4))

        def random(self, shape: tuple[int, ...]) -> Any:
            return self.uniform

    logits = np.broadcast_to(np.array([1.5, 0.5, 0.0, -1.0]), (DRAWS // 20, 4))
    a = np.sort(logits + gumbel(logits.shape, Noise(), "float64"), axis=-1)
    gap, corner = a[:, -1] - a[:, -2], one_hot(gumbel_max(logits, Noise()), 4, "float64")
    for tau in (1.0, 0.3, 0.1, 0.03):
        y = relaxed(logits, Noise(), tau)
        missing = np.sum((1 - y) * corner, axis=-1)
        # what is rounded are numbers up to 1
        bound = 3 * np.exp(-gap / tau)
        proof.at_most(f"1 − y_m, τ = {tau:g}", missing, bound, rounding=12, scale=1.0)
        proof.equal(f"Σ y, τ = {tau:g}", np.sum(y, axis=-1), 1.0, rounding=8)
        straight = straight_through(logits, Noise(), tau)
        proof.equal(f"straight through, τ = {tau:g}", straight, corner, rounding=0)
        proof.step(f"mean of y, τ = {tau:g}", np.mean(y, axis=0))
