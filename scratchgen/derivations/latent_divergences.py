"""Divergences of latent variables in closed form, each against another computation.

KL(q ‖ p) = E_q [ln q − ln p]. For two normal distributions that is the mean of a polynomial of
degree two, for which a few nodes are as good as all of an integral.

D. P. Kingma and M. Welling (2014), "Auto-encoding variational Bayes", appendix B.
"""

from __future__ import annotations

import math
from typing import Any

import autograd.numpy as np
from autograd import grad
from autograd.nn import sigmoid, softmax, softplus
from autograd.numpy.linalg import cholesky, eigvalsh, inv, slogdet
from scratchgen.derivations.claim import claim
from scratchgen.derivations.discrete import kl, roundings
from scratchgen.derivations.proof import Proof
from scratchgen.distributions import bernoulli, categorical, normal
from scratchgen.models.latent.gmm import GaussianMixture, GaussianMixtureConfig
from scratchgen.models.latent.gumbelvae import GumbelVAE, GumbelVAEConfig
from scratchgen.models.latent.ladder import Layer, Normal


def _normals(rng: Any, count: int) -> list[Any]:
    return [rng.standard_normal((6,)) for _ in range(count)]


def at_two_nodes(mean: Any, log_std: Any, f: Any) -> Any:
    """E f(z), z ~ N(µ, σ²), of a cubic f: ½ f(µ − σ) + ½ f(µ + σ), Gauss's and Hermite's rule."""
    std = np.exp(log_std)
    return 0.5 * f(mean - std) + 0.5 * f(mean + std)


@claim(
    section="latent",
    statement=r"\mathrm{KL}(\mathcal{N}(\mu, \sigma^2) \,\|\, \mathcal{N}(0, 1))"
    "\n" + r"\quad = \frac{1}{2} (\mu^2 + \sigma^2 - 1 - 2 \ln \sigma)",
    says="What a VAE pays for a code: its mean squared, and a width that is not one.",
    source="Kingma & Welling, appendix B",
    method="quadrature",
    wrong={
        "the ½ dropped": {"closed": lambda m, s: 2 * normal.kl_to_standard(m, s)},
        "ln σ² put in for ln σ": {"closed": lambda m, s: normal.kl_to_standard(m, 2 * s)},
        "ln σ of the wrong sign": {"closed": lambda m, s: normal.kl_to_standard(m, s) + 2 * s},
    },
)
def the_divergence_of_a_code_from_the_prior(proof: Proof, *, closed=normal.kl_to_standard) -> None:
    """With z = µ + σ ε, ln q(z) = −½ ε² − ln σ − ½ ln 2π and ln p(z) = −½ z² − ½ ln 2π. In the mean

    E_q ln q = −½ − ln σ − ½ ln 2π
    E_q ln p = −½ (µ² + σ²) − ½ ln 2π

    and the difference is what is claimed. The integrand is quadratic in z, so two nodes are exact.
    """
    mean, log_std = _normals(proof.rng, 2)
    log_std = log_std - 0.5

    def ratio(z: Any) -> Any:
        return normal.log_prob(mean, log_std, z) - normal.standard_log_prob(z)

    # ε² out of z by a subtraction, whose rounding is that of µ / σ; 12 operations
    size = (1 + np.abs(mean)) * (1 + np.exp(-log_std)) + np.abs(log_std) + mean**2
    divergence = closed(mean, log_std)
    proof.step("µ", mean)
    proof.step("σ", np.exp(log_std))
    means = at_two_nodes(mean, log_std, ratio)
    proof.equal("KL(q ‖ N(0, 1))", divergence, means, rounding=12, scale=size)
    proof.at_most("0 ≤ KL", 0.0, divergence, rounding=12, scale=size)


@claim(
    section="latent",
    statement=r"\mathrm{KL}(q \,\|\, p) = \frac{1}{2} \left(\dfrac{\sigma_q^2 +"
    r" (\mu_q - \mu_p)^2}{\sigma_p^2} - 1\right) - \ln \dfrac{\sigma_q}{\sigma_p}",
    says="Between two normal distributions only the shift and the ratio of widths count.",
    source="S. Kullback (1959), Information theory and statistics, ch. 9",
    method="quadrature",
    wrong={
        "the wrong way round": {"closed": lambda m, s, m2, s2: normal.kl(m2, s2, m, s)},
        "the shift in units of q": {
            "closed": lambda m, s, m2, s2: normal.kl(m2 + (m - m2) * np.exp(s2 - s), s, m2, s2)
        },
    },
)
def the_divergence_of_two_normals(proof: Proof, *, closed=normal.kl) -> None:
    """KL is the same in every unit of z. In that of p, u = (z − µ_p) / σ_p, p is standard, and q is

    N((µ_q − µ_p) / σ_p, σ_q² / σ_p²)

    whose divergence from N(0, 1) is ½ (mean² + variance − 1 − ln variance).
    """
    log_std, other, other_std = _normals(proof.rng, 3)
    log_std, other_std = 0.5 * log_std, 0.5 * other_std
    mean = other + 1 + proof.rng.random((6,))  # never near to one another

    def ratio(z: Any) -> Any:
        return normal.log_prob(mean, log_std, z) - normal.log_prob(other, other_std, z)

    spread = (np.abs(mean) + np.abs(other) + np.exp(log_std)) * np.exp(-other_std)
    size = (1 + spread) ** 2 + (1 + np.abs(mean)) * np.exp(-log_std)
    size = size + np.abs(log_std) + np.abs(other_std)
    means = at_two_nodes(mean, log_std, ratio)
    divergence = closed(mean, log_std, other, other_std)
    proof.equal("KL(q ‖ p)", divergence, means, rounding=16, scale=size)
    q, p = Normal(mean, log_std), Normal(other, other_std)
    draws = at_two_nodes(mean, log_std, lambda z: -Layer(p, q, z).log_ratio)
    total, rounding = np.sum(divergence), 16 + 6  # a layer adds up its numbers
    proof.equal("E −ln (p / q) of a layer", draws, total, rounding=rounding, scale=np.sum(size))


def condition(matrices: Any) -> float:
    """λ_max / λ_min of a symmetric matrix, of a stack (…, D, D) the largest."""
    values = eigvalsh(matrices)
    return np.max(values[..., -1] / values[..., 0]).item()


def full_divergence(mean: Any, covariance: Any, other: Any, other_covariance: Any) -> Any:
    """KL of two normal distributions of vectors, by trace and determinants: ()."""
    precision, shift = inv(other_covariance), mean - other
    volumes = slogdet(other_covariance)[1] - slogdet(covariance)[1]
    squares = np.trace(precision @ covariance) + shift @ precision @ shift
    return 0.5 * (squares - mean.shape[0] + volumes)


def _without_dimensions(*parameters: Any) -> Any:
    return full_divergence(*parameters) + 0.5 * parameters[0].shape[0]


def _volumes_exchanged(mean: Any, covariance: Any, other: Any, other_covariance: Any) -> Any:
    volumes = slogdet(other_covariance)[1] - slogdet(covariance)[1]
    return full_divergence(mean, covariance, other, other_covariance) - volumes


@claim(
    section="latent",
    statement=r"\mathrm{KL}(q \,\|\, p) = \frac{1}{2} (\mathrm{tr}\, \Sigma_p^{-1} \Sigma_q +"
    r" d^\top \Sigma_p^{-1} d - D"
    "\n" + r"\quad +\; \ln |\Sigma_p| - \ln |\Sigma_q|), \quad d = \mu_q - \mu_p",
    says="With full covariances, the trace takes the place of the ratio of variances.",
    source="Kullback, ch. 9",
    method="quadrature",
    wrong={
        "the determinants exchanged": {"closed": _volumes_exchanged},
        "D not taken off": {"closed": _without_dimensions},
        "the wrong way round": {"closed": lambda m, c, n, d: full_divergence(n, d, m, c)},
    },
)
def the_divergence_of_two_normal_vectors(proof: Proof, *, closed=full_divergence) -> None:
    """E_q (z − µ_p)ᵀ Σ_p⁻¹ (z − µ_p) = tr Σ_p⁻¹ E_q (z − µ_p)(z − µ_p)ᵀ = tr Σ_p⁻¹ (Σ_q + d dᵀ)

    and likewise E_q (z − µ_q)ᵀ Σ_q⁻¹ (z − µ_q) = tr I = D. With ½ ln |Σ_p| − ½ ln |Σ_q| from the
    normalising constants that is the claim. For a quadratic in z the mean is that of the 2D points
    µ_q ± √D L e_i, with L Lᵀ = Σ_q, which have the mean and the covariance of q.
    """
    size = 3
    model = GaussianMixture(GaussianMixtureConfig(size, components=2), proof.rng)
    model.astype("float64")
    roots = 0.4 * proof.rng.standard_normal((2, size, size))
    model.covariances[...] = roots @ np.swapaxes(roots, 1, 2) + 0.5 * np.eye(size)
    model.means[...] = proof.rng.standard_normal((2, size))
    means, covariances = model.means.data, model.covariances.data
    steps = math.sqrt(size) * cholesky(covariances[0]).T
    both = model.log_components(np.concatenate([means[0] + steps, means[0] - steps])).data
    log_q, log_p = both[:, 0], both[:, 1]
    divergence = closed(means[0], covariances[0], means[1], covariances[1])
    proof.step("ln q − ln p at the 2D points", log_q - log_p)
    # inverses, determinants and triangular systems: D² times the condition, twice
    rounding = 2 * size**2 * condition(covariances)
    scale, mean = np.max(np.abs(log_q) + np.abs(log_p)), np.mean(log_q - log_p)
    proof.equal("KL(q ‖ p)", divergence, mean, rounding=rounding, scale=scale)


@claim(
    section="latent",
    statement=r"\mathrm{KL}\left(\prod_j q_j \,\|\, K^{-J}\right) = \sum_j (\ln K - H(q_j))",
    says="Against a uniform prior each choice costs what it lacks of full entropy.",
    source="E. Jang, S. Gu and B. Poole (2017)",
    method="enumeration",
    wrong={
        "the entropy of the wrong sign": {
            "cost": lambda logits: math.log(logits.shape[-1]) + categorical.entropy(logits)
        },
        "ln K counted once for all": {
            "cost": lambda logits: (
                math.log(logits.shape[-1]) / logits.shape[-2] - categorical.entropy(logits)
            )
        },
    },
)
def the_divergence_of_categorical_codes(proof: Proof, *, cost=None) -> None:
    """KL(q_j ‖ 1/K) = Σ q_j ln q_j − Σ q_j ln (1/K) = ln K − H(q_j).

    Divergences of independent choices add up. The other side is the sum over all K^J codes, of
    which each has the probability Π_j q_j.
    """
    choices, classes = 3, 4
    logits = proof.rng.standard_normal((choices, classes))
    config = GumbelVAEConfig(1, 1, levels=2, latents=choices, categories=classes, hidden=2)
    model = GumbelVAE(config, proof.rng)
    each = (cost or model.divergence)(logits)
    q = softmax(logits)
    codes = np.outer(np.outer(q[0], q[1]), q[2])
    uniform = np.full(codes.shape, 1.0 / classes**choices)
    proof.step("of each choice", each)
    whole, size = kl(codes, uniform), 2 * choices * math.log(classes)
    rounding = roundings(classes**choices)
    proof.equal("KL over all codes", whole, np.sum(each), rounding=rounding, scale=size)


def _bregman(logits: Any, other: Any) -> Any:
    return softplus(other) - softplus(logits) - (other - logits) * sigmoid(logits)


@claim(
    section="latent",
    statement=r"\mathrm{KL}(l \,\|\, m) = A(m) - A(l) - (m - l)\, A'(l)"
    "\n" + r"A(l) = \ln (1 + e^l), \quad A'(l) = \dfrac{1}{1 + e^{-l}}",
    says="For a coin given by its logit, KL is what a tangent of softplus misses.",
    source="M. J. Wainwright and M. I. Jordan (2008), Graphical models, §5.2",
    method="enumeration",
    wrong={
        "the tangent at the other logit": {"closed": lambda p, q: _bregman(q, p)},
        "the tangent forgotten": {"closed": lambda p, q: softplus(q) - softplus(p)},
    },
)
def the_divergence_of_coins_is_a_tangents_error(proof: Proof, *, closed=_bregman) -> None:
    """p(x) = exp(l x − A(l)) for x = 0, 1, so that ln p(x) − ln q(x) = (l − m) x + A(m) − A(l).

    The mean of x under p is σ(l) = A′(l):

    KL = (l − m) A′(l) + A(m) − A(l)

    and that of −ln p(x) = A(l) − l x, the entropy, is A(l) − l A′(l).

    A is convex, and lies above its tangent at l: KL ≥ 0. On the other sides stand the sum over both
    values, and the function that is used in models.
    """
    first, second = _normals(proof.rng, 2)
    # a second coin that is more certain
    second = np.where(first > 0, first + 1 + np.abs(second), first - 1 - np.abs(second))
    total = 0.0
    for x, p in ((np.ones(6), sigmoid(first)), (np.zeros(6), sigmoid(-first))):
        total = total + p * (bernoulli.log_prob(first, x) - bernoulli.log_prob(second, x))
    # softplus 3, σ 4, products and sums 4; numbers are no larger than the logits
    size, found = 1 + np.abs(first) + np.abs(second), closed(first, second)
    proof.equal("A(m) − A(l) − (m − l) A′(l)", found, total, rounding=12, scale=size)
    divergence = bernoulli.kl(first, second)
    proof.equal("bernoulli.kl", divergence, total, rounding=12, scale=size)
    own = softplus(first) - first * sigmoid(first)
    proof.equal("H = A(l) − l A′(l)", bernoulli.entropy(first), own, rounding=12, scale=size)
    slopes = grad(lambda logits: np.sum(softplus(logits)))(first)
    proof.equal("A′(l) = σ(l)", slopes, sigmoid(first), rounding=4)


def _third(r: Any) -> Any:
    return r - 1 - np.log(r)


@claim(
    section="latent",
    statement=r"r = \dfrac{p(z)}{q(z)}, \; z \sim q: \quad \mathrm{KL}(q \,\|\, p) ="
    r" \mathbb{E}[-\ln r]"
    "\n" + r"\quad = \mathbb{E}[r - 1 - \ln r], \quad r - 1 - \ln r \geq 0",
    says="A term of mean zero makes the estimate of a divergence positive in every draw.",
    source="J. Schulman (2020), Approximating KL divergence",
    method="Monte Carlo",
    wrong={
        "half the squared log-ratio, which is biased": {"other": lambda r: 0.5 * np.log(r) ** 2},
        "the ratio's mean not taken off": {"other": lambda r: r - np.log(r)},
    },
)
def a_divergence_from_draws(proof: Proof, *, other=_third) -> None:
    """E_q r = Σ_z q(z) p(z) / q(z) = 1, so r − 1 has the mean 0 and may be added to −ln r.

    The logarithm lies below its tangent at 1: r − 1 − ln r ≥ 0. Here p is narrower than q, so that
    r stays bounded.
    """
    q, p = (0.8, 0.0), (0.0, math.log(0.7))
    z = q[0] + proof.rng.standard_normal((20_000,))
    r = np.exp(normal.log_prob(*p, z) - normal.log_prob(*q, z))
    exact = normal.kl(np.array(q[0]), np.array(q[1]), np.array(p[0]), np.array(p[1]))
    proof.step("KL(q ‖ p)", exact)
    proof.mean("E [−ln r]", -np.log(r), exact)
    proof.mean("E [r − 1]", r - 1, 0.0)
    proof.mean("E [r − 1 − ln r]", other(r), exact)
    proof.at_most("0 ≤ r − 1 − ln r", 0.0, other(r), rounding=4, scale=1 + r)
