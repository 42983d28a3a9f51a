"""Importance weights: bounds from several draws, and how they are computed.

Y. Burda, R. Grosse and R. Salakhutdinov (2016), "Importance weighted autoencoders".
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import autograd.numpy as np
from autograd.scipy.special import logsumexp
from scratchgen.derivations.claim import claim
from scratchgen.derivations.discrete import distribution
from scratchgen.derivations.proof import Proof
from scratchgen.derivations.small_models import randomised
from scratchgen.models.bounds import BoundedModel
from scratchgen.models.latent.latent import LatentConfig
from scratchgen.models.latent.m2 import M2, M2Config
from scratchgen.models.latent.vae import VAE, VAEConfig

CODES = 4
"""Values of z."""


class Weights(BoundedModel):
    """A model whose log-weights are given, (k, N)."""

    def __init__(self, log_w: Any) -> None:
        self.config = LatentConfig(1, 1, levels=2)
        self.log_w = log_w

    def log_weights(
        self, x: Any, k: int, rng: Any, context: Any = None, *, training: bool = False
    ) -> Any:
        return self.log_w


def log_mean(log_w: Any) -> Any:
    """ln 1/k Σ_i w_i of ln w (k, N): (N,)."""
    return Weights(log_w).log_prob_iw(log_w[0], log_w.shape[0], None)


def _every(values: Any, k: int) -> Any:
    """All of the CODES^k ways to draw k of the values (CODES,): (k, CODES^k)."""
    ways = np.array(list(itertools.product(range(CODES), repeat=k)))
    return values[ways].T


@claim(
    section="latent",
    statement=r"\mathcal{L}_k = \mathbb{E} \ln \frac{1}{k} \sum_{i=1}^k w_i: \quad"
    r"\mathcal{L}_1 \leq \mathcal{L}_2 \leq \cdots \leq \ln p(x)",
    says="More draws make the bound tighter; their mean weight is unbiased, its logarithm is not.",
    source="Burda, Grosse & Salakhutdinov, theorem 1",
    method="enumeration",
    wrong={
        "the sum in place of the mean": {"log_mean": lambda log_w: logsumexp(log_w, axis=0)},
        "the mean of the logarithms": {"log_mean": lambda log_w: np.mean(log_w, axis=0)},
        "the largest weight": {"log_mean": lambda log_w: np.max(log_w, axis=0)},
    },
)
def more_weights_bound_more_tightly(proof: Proof, *, log_mean=log_mean) -> None:
    """The mean of k weights is the mean over j of the means that leave one out, W_j. By Jensen

    ln 1/k Σ_i w_i = ln 1/k Σ_j W_j ≥ 1/k Σ_j ln W_j

    and each ln W_j, of k − 1 weights, has the mean L_{k−1}. For each k, E 1/k Σ w_i = E w = p(x),
    and E ln ≤ ln E = ln p(x), which is what an unbiased estimate of ln p(x) would have to reach.
    The means are over all CODES^k draws.
    """
    joint, q = distribution(proof.rng, 3, CODES)[0], distribution(proof.rng, CODES)
    log_w, evidence = np.log(joint / q), np.sum(joint)
    proof.step("ln p(x)", np.log(evidence))
    before = None
    for k in (1, 2, 3, 4):
        probability = np.prod(_every(q, k), axis=0)
        value = log_mean(_every(log_w, k))
        # probabilities k, logarithms and weights 8, and the sum over all draws
        rounding, size = CODES**k + k + 8, 1 + np.max(np.abs(log_w))
        average, bound = np.sum(probability * np.exp(value)), np.sum(probability * value)
        proof.step(f"L_{k}", bound)
        proof.equal(
            f"E of the mean weight, k = {k}", average, evidence, rounding=rounding, scale=size
        )
        proof.at_most(f"L_{k}", bound, np.log(evidence), rounding=rounding, scale=size)
        if before is not None:
            proof.at_most(f"L_{k - 1} ≤ L_{k}", before, bound, rounding=rounding, scale=size)
        before = bound


@claim(
    section="latent",
    statement=r"\ln p(x) - \mathcal{L}_k = \dfrac{\mathrm{Var}\, w}{2 k \, p(x)^2} + O(k^{-2})",
    says="What is missing of the evidence falls as one over the number of draws.",
    source="S. Nowozin (2018), Debiasing evidence approximations, prop. 1",
    method="enumeration",
    wrong={
        "the ½ dropped": {"half": 1.0},
        "the deviation in place of the variance": {"power": 0.5},
    },
)
def the_bias_of_the_bound_falls_with_k(proof: Proof, *, half=0.5, power=1.0) -> None:
    """Let u = 1/k Σ w_i / p(x) − 1, of mean 0, and v = Var w / p(x)². By Taylor's theorem

    ln (1 + u) = u − u²/2 + u³/3 − …,     E u² = v / k,   E u³ = κ₃ / k²

    so −E ln (1 + u) = v / 2k + O(1/k²). Let w be (1 + a) p(x) or (1 − a) p(x), alike probable. Of k
    draws a binomial number are of the first kind, so that the mean is a sum of k + 1 terms. Odd
    powers of u have the mean 0, and E u⁴ = 3 (a²/k)² − 2 a⁴/k³. As |u| ≤ a, what follows u⁴ / 4 is
    less than u⁶ / 6 (1 − a²), with E u⁶ ≤ 15 (a²/k)³.
    """
    a = 0.3 + 0.2 * proof.rng.random(())
    for k in (4, 16, 64):
        counts = np.array([float(i) for i in range(k + 1)])
        ways = np.array([math.comb(k, i) / 2.0**k for i in range(k + 1)])
        u = a * (2 * counts - k) / k
        missing = -np.sum(ways * np.log1p(u))
        first = half * (a * a) ** power / k
        square = a * a / k
        fourth = (3 * square**2 - 2 * a**4 / k**3) / 4
        bound = 15 * square**3 / (6 * (1 - a * a)) + 4 * (k + 8) * 2.0**-52 * a
        because = "E u⁶ / 6 (1 − a²), and rounding"
        proof.step(f"ln p(x) − L_k, k = {k}", missing)
        proof.within(f"without E u⁴ / 4, k = {k}", missing - fourth, first, bound, because)


class _Signs:
    """A "generator" of one corner of the cube in place of noise."""

    def __init__(self, signs: tuple[float, ...]) -> None:
        self.signs = signs

    def standard_normal(self, shape: tuple[int, ...]) -> Any:
        return np.broadcast_to(np.array(list(self.signs)), shape)


@claim(
    section="latent",
    statement=r"\mathbb{E}_\varepsilon [\ln p(x, z) - \ln q(z)] ="
    r" \mathbb{E}_\varepsilon \ln p(x \mid z) - \mathrm{KL}(q \,\|\, p(z))",
    says="A VAE's bound by draws and its bound with the divergence in closed form agree.",
    source="Kingma & Welling, estimators A and B (eq. 6 and 7)",
    method="quadrature",
    wrong={
        "the divergence halved": {"share": 0.5},
        "the divergence added": {"share": -1.0},
    },
)
def both_estimates_of_a_vaes_bound_agree(proof: Proof, *, share=1.0) -> None:
    """Estimator A has ln p(x | z) + ln p(z) − ln q(z) of a draw, B ln p(x | z) − KL(q ‖ p(z)).

    With z = µ + σ ε, ln p(z) − ln q(z) is quadratic in each ε_j, and the corners ε_j = ±1 have the
    mean 0 and the mean square 1 of the noise: over them its mean is −KL exactly. Each corner's
    ln p(x | z), whatever network it is from, is in both estimates. With a class y that is known,
    ln p(y) is in both as well, among the divergences.
    """
    sizes: dict[str, Any] = {"height": 1, "width": 3, "levels": 2, "latents": 2, "hidden": 5}
    vae, m2 = VAE(VAEConfig(**sizes), proof.rng), M2(M2Config(**sizes, classes=3), proof.rng)
    x = proof.rng.integers(0, 2, (4, 1, 3, 1))
    corners = [_Signs(signs) for signs in itertools.product((-1.0, 1.0), repeat=2)]
    for name, model, y in (("VAE", vae, None), ("M2, y known", m2, np.array([0, 1, 2, 0]))):
        model = randomised(model, proof.rng, spread=0.8)
        weights = [model.log_weights(x, 1, corner, y)[0].data for corner in corners]
        bounds = [model.elbo(x, corner, y) for corner in corners]
        divergence = bounds[0].kl.data
        proof.step(f"KL(q ‖ p(z)) of four images, {name}", divergence)
        mean = np.mean(np.stack([b.reconstruction.data for b in bounds]), axis=0)
        by_draws, bound = np.mean(np.stack(weights), axis=0), mean - share * divergence
        # both are sums of the same networks' outputs; two densities of 8 roundings in each code,
        # where that of z = µ + σ ε is |µ| / σ times as large in ε = (z − µ) / σ
        centre, log_std, _ = model.posterior(x, model.vectors(y, 4))
        lost = np.sum((1 + np.abs(centre.data)) * np.exp(-log_std.data), axis=-1)
        size, rounding = lost + np.abs(mean) + np.abs(divergence), 2 * 2 * 8 + 8
        proof.equal(f"the mean of ln w, {name}", by_draws, bound, rounding=rounding, scale=size)


@claim(
    section="latent",
    statement=r"\ln \frac{1}{k} \sum_i e^{a_i} = m + \ln \frac{1}{k} \sum_i e^{a_i - m},"
    r"\quad m = \max_i a_i",
    says="Weights of images underflow, but their logarithms are averaged safely.",
    source="P. Blanchard, D. J. Higham and N. J. Higham (2021), Accurately computing log-sum-exp",
    method="closed form",
    wrong={
        "exponentials of the numbers themselves": {
            "log_mean": lambda a: np.log(np.mean(np.exp(a), axis=0))
        },
        "the largest alone": {"log_mean": lambda a: np.max(a, axis=0)},
    },
)
def weights_are_averaged_as_logarithms(proof: Proof, *, log_mean=log_mean) -> None:
    """Take e^m out of the sum. What is left has a term of 1 and none larger.

    So nothing overflows, and what underflows would not have counted. The result is between m − ln k
    and m, and adding c to all a_i adds c to it.

    At c = −735, e^(a + c) is still a number, but one with few digits left: below 10⁻³⁰⁸ the
    distances between the numbers do not shrink any more.
    """
    k, shift = 8, -735.0
    a = proof.rng.standard_normal((k, 3))
    expected = np.log(np.mean(np.exp(a), axis=0))
    # adding −735 rounds each a_i by as much as numbers of that size are
    rounding, size = k + 6, 740.0
    proof.equal("at a", log_mean(a), expected, rounding=rounding, scale=4.0)
    moved = log_mean(a + shift)
    proof.equal("at a − 735", moved, expected + shift, rounding=rounding, scale=size)
    largest = np.max(a + shift, axis=0)
    proof.at_most("m − ln k", largest - math.log(k), moved, rounding=rounding, scale=size)
    proof.at_most("at most m", moved, largest, rounding=rounding, scale=size)
