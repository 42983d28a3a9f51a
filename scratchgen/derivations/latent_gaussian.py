"""Where everything is normal or linear: evidence, posterior and gap, denoising and PCA, exactly.

The linear-Gaussian model, or probabilistic PCA, is z ~ N(0, 1), x = W z + b + s ε. Then

    p(x) = N(b, W Wᵀ + s²),     p(z | x) = N(M⁻¹ Wᵀ (x − b) / s², M⁻¹),     M = 1 + Wᵀ W / s²

M. E. Tipping and C. M. Bishop (1999), "Probabilistic principal component analysis".
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import autograd.numpy as np
from autograd import backend, grad
from autograd.numpy.linalg import eigh, inv, slogdet, solve
from scratchgen.derivations.claim import claim
from scratchgen.derivations.differences import EPSILON
from scratchgen.derivations.figures import axes
from scratchgen.derivations.latent_divergences import condition, full_divergence
from scratchgen.derivations.proof import Proof
from scratchgen.distributions import normal
from scratchgen.models.latent.gmm import GaussianMixture, GaussianMixtureConfig
from scratchgen.models.latent.ladder import Normal, combined

BECAUSE = "rounding errors of D × D systems, times the condition of the covariance"


def gaussian(means: Any, covariances: Any, logits: Any = None) -> GaussianMixture:
    """The model of means (K, D) and covariances (K, D, D)."""
    k, d = means.shape
    model = GaussianMixture(GaussianMixtureConfig(d, components=k), backend.default_rng(0))
    model.astype("float64")
    model.means[...], model.covariances[...] = means, covariances
    if logits is not None:
        model.logits[...] = logits
    return model


def log_normal(mean: Any, covariance: Any, x: Any) -> Any:
    """ln N(x; µ, Σ) of x (N, D): (N,)."""
    return gaussian(mean[None], covariance[None]).log_components(x).data[:, 0]


class Linear(NamedTuple):
    """x = W z + b + s ε."""

    weight: Any
    bias: Any
    std: float

    @property
    def covariance(self) -> Any:
        """Of x."""
        d = self.weight.shape[0]
        return self.weight @ self.weight.T + self.std**2 * np.eye(d)

    @property
    def precision(self) -> Any:
        """Of the posterior, M."""
        return np.eye(self.weight.shape[1]) + self.weight.T @ self.weight / self.std**2

    def posterior_mean(self, x: Any) -> Any:
        """Of one x (D,)."""
        return solve(self.precision, self.weight.T @ (x - self.bias) / self.std**2)

    def log_likelihood(self, z: Any, x: Any) -> Any:
        """ln p(x | z) of codes z (N, 2): (N,)."""
        mean = z @ self.weight.T + self.bias
        return np.sum(normal.log_prob(mean, math.log(self.std), x), axis=-1)


def _linear(rng: Any) -> tuple[Linear, Any]:
    """A model of x (4,) with two codes, which are not independent given x, and an x."""
    weight = 0.4 * rng.standard_normal((4, 2)) + np.array([[1.0, 1.0], [0.0, 1.0], [0, 0], [0, 0]])
    return Linear(weight, rng.standard_normal((4,)), 0.6), rng.standard_normal((4,))


def _tolerance(model: Linear, scale: Any) -> Any:
    """Of systems of 4 and 2 equations, 2 D² rounding errors times the condition of each."""
    conditions = condition(model.covariance) + condition(model.precision)
    return 2 * 16 * conditions * EPSILON * scale


@claim(
    section="latent",
    statement=r"p(x) = \dfrac{p(z) \, p(x \mid z)}{p(z \mid x)}"
    r" = \mathcal{N}(x;\, b,\, W W^\top + s^2)"
    "\n" + r"p(z \mid x) = \mathcal{N}(M^{-1} W^\top (x - b) / s^2,\, M^{-1})"
    "\n" + r"M = 1 + W^\top W / s^2",
    says="In a linear-Gaussian model evidence and posterior are normal, and known.",
    source="Tipping & Bishop, §3.1",
    method="closed form",
    wrong={
        "the prior's 1 left out of M": {"prior": 0.0},
        "the prior counted twice": {"prior": 2.0},
    },
)
def the_evidence_of_probabilistic_pca(proof: Proof, *, prior=1.0) -> None:
    """x is linear in normal numbers, with the covariance E (W z + s ε)(W z + s ε)ᵀ = W Wᵀ + s².

    As a function of z, −2 ln p(z) p(x | z) is |z|² + |x − b − W z|² / s² + …, in which

    zᵀ (1 + Wᵀ W / s²) z − 2 zᵀ Wᵀ (x − b) / s² = zᵀ M z − 2 zᵀ M m + …,     m = M⁻¹ Wᵀ (x − b) / s²

    so the posterior is N(m, M⁻¹). By Bayes' theorem the quotient with it is p(x), whatever z is.
    """
    model, x = _linear(proof.rng)
    z = proof.rng.standard_normal((5, 2))
    precision = model.precision + (prior - 1) * np.eye(2)
    mean = solve(precision, model.weight.T @ (x - model.bias) / model.std**2)
    posterior = log_normal(mean, inv(precision), z)
    parts = np.sum(normal.standard_log_prob(z), axis=-1), model.log_likelihood(z, x), -posterior
    evidence = log_normal(model.bias, model.covariance, x[None])[0]
    proof.step("ln p(x)", evidence)
    proof.step("ln p(z | x)", posterior)
    size = np.max(np.abs(parts[0]) + np.abs(parts[1]) + np.abs(parts[2])) + np.abs(evidence)
    left = parts[0] + parts[1] + parts[2]
    what = "ln p(z) + ln p(x | z) − ln p(z | x)"
    proof.within(what, left, evidence, _tolerance(model, size), BECAUSE)


def mean_bound(model: Linear, x: Any, mean: Any, log_std: Any) -> Any:
    """The ELBO of q = N(mean, exp(log_std)²), independent codes, and the size of its parts.

    ln p(x | z) is quadratic in z: its mean is that of the points m ± √2 σ_j e_j.
    """
    steps = math.sqrt(2) * np.diag(np.exp(log_std))
    values = model.log_likelihood(np.concatenate([mean + steps, mean - steps]), x)
    divergence = np.sum(normal.kl_to_standard(mean, log_std))
    return np.mean(values) - divergence, np.max(np.abs(values)) + divergence


def _gap_against_width() -> Any:
    figure, panel = axes("width of q, in units of 1/√M_jj", "nats")
    model, x = _linear(Proof("gap against width").rng)
    centre, widths = model.posterior_mean(x), [0.2 + k / 20 for k in range(41)]
    best = -0.5 * np.log(np.diagonal(model.precision))
    evidence = log_normal(model.bias, model.covariance, x[None])[0]
    bounds = [mean_bound(model, x, centre, best + math.log(w))[0].item() for w in widths]
    panel.plot(widths, bounds, label="ELBO(q)")
    panel.axhline(evidence.item(), color="grey", linestyle="--", label="ln p(x)")
    panel.fill_between(widths, bounds, evidence.item(), alpha=0.2, label="KL(q ‖ p(z | x))")
    panel.axvline(1.0, color="grey", linewidth=0.5)
    panel.legend(frameon=False, fontsize=9)
    return figure


@claim(
    section="latent",
    statement=r"\ln p(x) - \mathcal{L}(q) = \mathrm{KL}(q \,\|\, \mathcal{N}(m, M^{-1}))"
    "\n" + r"\min_\sigma: \; \sigma_j^2 = \dfrac{1}{M_{jj}}, \quad"
    r" \mathrm{gap} = \frac{1}{2} \left(\sum_j \ln M_{jj} - \ln |M|\right)",
    says="Codes that q takes for independent cost a gap, even with the best mean and width.",
    source="Kingma & Welling, eq. 1; Tipping & Bishop, §3.1",
    method="closed form",
    wrong={
        "the divergence the wrong way round": {
            "divergence": lambda m, c, n, d: full_divergence(n, d, m, c)
        },
        "the best width taken from the posterior's variances": {
            "width": lambda precision: 0.5 * np.log(np.diagonal(inv(precision)))
        },
    },
    figure=_gap_against_width,
)
def the_gap_of_a_linear_vae(
    proof: Proof,
    *,
    divergence=full_divergence,
    width=lambda precision: -0.5 * np.log(np.diagonal(precision)),
) -> None:
    """Of q = N(µ, diag σ²) against N(m, M⁻¹), with d = µ − m,

    KL = ½ (Σ_j M_jj σ_j² + dᵀ M d − D − ln |M| − Σ_j ln σ_j²)

    By µ it is least at m, and by σ_j² where M_jj = 1 / σ_j². What is left, ½ (Σ ln M_jj − ln |M|),
    by Hadamard's inequality is 0 only if M is diagonal. The variances of the posterior itself
    are larger, (M⁻¹)_jj ≥ 1 / M_jj: q is too sure of itself.
    """
    model, x = _linear(proof.rng)
    evidence = log_normal(model.bias, model.covariance, x[None])[0]
    m, covariance = model.posterior_mean(x), inv(model.precision)
    best = width(model.precision)
    least = 0.5 * (np.sum(np.log(np.diagonal(model.precision))) - slogdet(model.precision)[1])
    random = proof.rng.standard_normal((2,)), 0.5 * proof.rng.standard_normal((2,)) - 0.5
    for what, (mean, log_std) in (("a random q", random), ("the best q", (m, best))):
        bound, size = mean_bound(model, x, mean, log_std)
        gap = divergence(mean, np.diag(np.exp(2 * log_std)), m, covariance)
        tolerance = _tolerance(model, size + np.abs(evidence))
        proof.within(f"ln p(x) − L of {what}", evidence - bound, gap, tolerance, BECAUSE)
    proof.within("the least gap", evidence - bound, least, tolerance, BECAUSE)
    slope = grad(lambda s: mean_bound(model, x, m, s)[0])(best)
    proof.within("∂L/∂ln σ at the best q", slope, 0.0, tolerance, BECAUSE)


@claim(
    section="latent",
    statement=r"\mathcal{N}(z; \mu_p, \sigma_p^2)\, \mathcal{N}(\mu; z, \sigma^2) ="
    r" c\, \mathcal{N}(z; \mu_q, \sigma_q^2)"
    "\n" + r"\dfrac{1}{\sigma_q^2} = \dfrac{1}{\sigma_p^2} + \dfrac{1}{\sigma^2}, \quad"
    r" \dfrac{\mu_q}{\sigma_q^2} = \dfrac{\mu_p}{\sigma_p^2} + \dfrac{\mu}{\sigma^2}",
    says="What is expected from above and seen from below meet in the mean weighted by precision.",
    source="C. K. Sønderby et al. (2016), Ladder variational autoencoders, §2",
    method="closed form",
    wrong={
        "deviations added in place of precisions": {
            "both": lambda p, e: Normal(combined(p, e).mean, np.logaddexp(p.log_std, e.log_std))
        },
        "the means weighted alike": {
            "both": lambda p, e: Normal(0.5 * (p.mean + e.mean), combined(p, e).log_std)
        },
    },
)
def precisions_add(proof: Proof, *, both=combined) -> None:
    """The exponents add up to a quadratic in z,

    z² (1 / σ_p² + 1 / σ²) − 2 z (µ_p / σ_p² + µ / σ²) + …

    that of N(µ_q, σ_q²). The constant c is what is left, the density of µ when z is not known:
    c = N(µ; µ_p, σ_p² + σ²).
    """
    draws = [proof.rng.standard_normal((4,)) for _ in range(4)]
    prior, evidence = Normal(draws[0], 0.5 * draws[1]), Normal(draws[2] + 4, 0.5 * draws[3])
    posterior = both(prior, evidence)
    z = np.array([[-1.0], [0.0], [2.0]])
    one = normal.log_prob(prior.mean, prior.log_std, z)
    two = normal.log_prob(z, evidence.log_std, evidence.mean)
    three = normal.log_prob(posterior.mean, posterior.log_std, z)
    total = np.logaddexp(2 * prior.log_std, 2 * evidence.log_std) / 2
    constant = normal.log_prob(prior.mean, total, evidence.mean)
    proof.step("µ_q", posterior.mean)
    proof.step("σ_q", np.exp(posterior.log_std))
    # three densities of 8 operations and exponents of ln σ; ± (z − µ) as large as µ counts, too
    size = np.abs(one) + np.abs(two) + np.abs(three) + np.abs(constant) + 10
    left = one + two - three
    proof.equal("prior · evidence / posterior", left, constant + 0 * z, rounding=40, scale=size)


@claim(
    section="latent",
    statement=r"\mathbb{E}[x \mid y] = y + \sigma^2 \,\nabla \ln p_\sigma(y), \quad"
    r" y = x + \sigma \varepsilon",
    says="The best denoiser moves what it sees uphill, by the variance times the score.",
    source="K. Miyasawa (1961); P. Vincent (2011); B. Efron (2011)",
    method="closed form",
    wrong={
        "σ in place of σ²": {"times": lambda std: std},
        "the score of the density without noise": {"smoothed": 0.0},
    },
)
def the_best_denoiser_knows_the_score(
    proof: Proof, *, times=lambda std: std * std, smoothed=1.0
) -> None:
    """Differentiate p_σ(y) = ∫ p(x) N(y; x, σ²) dx by y:

    ∇p_σ(y) = ∫ p(x) N(y; x, σ²) (x − y) / σ² dx = p_σ(y) (E[x | y] − y) / σ²

    and divide by p_σ(y). Here x is from a mixture of normal distributions. For each, E[x | y, k] is

    µ_k + Σ_k (Σ_k + σ²)⁻¹ (y − µ_k)

    and the mean of these under p(k | y) is E[x | y]. The score is the engine's gradient.
    """
    d, k, std = 2, 3, 0.7
    roots = 0.5 * proof.rng.standard_normal((k, d, d))
    clean = roots @ np.swapaxes(roots, 1, 2) + 0.2 * np.eye(d)
    means, logits = 1.5 * proof.rng.standard_normal((k, d)), proof.rng.standard_normal((k,))
    noisy = gaussian(means, clean + std**2 * np.eye(d), logits)
    y = means + 0.5 + proof.rng.random((k, d))
    each = []
    for i in range(k):
        pull = solve(noisy.covariances.data[i], (y - means[i]).T).T
        each.append(means[i] + pull @ clean[i])
    expected = np.sum(noisy.responsibilities(y).data.T[..., None] * np.stack(each), axis=0)
    seen = gaussian(means, clean + smoothed * std**2 * np.eye(d), logits)
    score = grad(lambda y: np.sum(seen.log_prob(y)))(y)
    proof.step("∇ ln p_σ(y)", score)
    proof.step("E[x | y]", expected)
    # D × D systems and their gradients, of points within 10 and logarithms within 50
    tolerance = 2 * d**2 * k * condition(noisy.covariances.data) * EPSILON * 50
    proof.within("y + σ² ∇ ln p_σ(y)", y + times(std) * score, expected, tolerance, BECAUSE)


@claim(
    section="latent",
    statement=r"\min_{A, B} \mathbb{E} \, |x - A B x|^2 = \sum_{j > k} \lambda_j",
    says="The best linear autoencoder is PCA: it loses the variances of the directions it drops.",
    source="P. Baldi and K. Hornik (1989); C. Eckart and G. Young (1936)",
    method="closed form",
    wrong={
        "the kept eigenvalues": {"lost": lambda values, k: np.sum(values[-k:])},
        "the discarded standard deviations": {
            "lost": lambda values, k: np.sum(np.sqrt(values[:-k]))
        },
    },
)
def a_linear_autoencoder_is_pca(
    proof: Proof, *, lost=lambda values, k: np.sum(values[:-k])
) -> None:
    """For x of mean 0 and covariance C, E |x − A B x|² = tr (1 − AB) C (1 − AB)ᵀ.

    To an encoder B (k, D) the best decoder is A = C Bᵀ (B C Bᵀ)⁻¹, by least squares, and the error
    tr C − tr (B C Bᵀ)⁻¹ B C² Bᵀ. The last part is the sum of k eigenvalues at most, those of C that
    are greatest, which the eigenvectors of these reach: B = Vᵀ, A = V. There the gradient is 0.
    """
    d, k = 5, 2
    root = proof.rng.standard_normal((d, d))
    covariance = root @ root.T + np.diag(np.array([0.5, 1.0, 1.5, 2.0, 8.0]))
    values, vectors = eigh(covariance)  # from the least on

    def error(a: Any, b: Any) -> Any:
        rest = np.eye(d) - a @ b
        return np.trace(rest @ covariance @ rest.T)

    v = vectors[:, -k:]
    proof.step("the eigenvalues", values)
    # eigenvectors and products of D × D matrices
    rounding, size = 4 * d * d, np.sum(values)
    least = lost(values, k)
    proof.equal("error of PCA", error(v, v.T), least, rounding=rounding, scale=size)
    for i, name in enumerate(("decoder", "encoder")):
        slope = grad(error, i)(v, v.T)
        proof.equal(f"gradient by the {name}", slope, 0.0, rounding=rounding, scale=size)
    for _ in range(5):
        b = proof.rng.standard_normal((k, d))
        a = solve(b @ covariance @ b.T, b @ covariance).T
        proof.at_most("least ≤ error of a random one", least, error(a, b), rounding=rounding)


@claim(
    section="latent",
    statement=r"s^2 = \dfrac{1}{D - k} \sum_{j > k} \lambda_j, \quad"
    r" W = V (\Lambda - s^2)^{1/2}: \quad \nabla \ln p = 0",
    says="At its maximum, probabilistic PCA calls the mean of the discarded variances noise.",
    source="Tipping & Bishop, §3.2",
    method="closed form",
    wrong={
        "their sum": {"noise": lambda discarded: np.sum(discarded)},
        "the noise not taken off the kept variances": {"off": 0.0},
    },
)
def the_maximum_of_probabilistic_pca(
    proof: Proof, *, noise=lambda discarded: np.mean(discarded), off=1.0
) -> None:
    """With data of the covariance S, the mean log-likelihood is −½ (ln |C| + tr C⁻¹ S) + constant.

    Its gradient by C is −½ (C⁻¹ − C⁻¹ S C⁻¹), by W it is that times 2W. With W = V (Λ − s²)^½ the
    model's C has the eigenvalues Λ along V, as S has, and s² in all other directions. There

    C⁻¹ W = C⁻¹ S C⁻¹ W         0 = Σ_{j>k} (1 / s² − λ_j / s⁴),  so that s² is the mean of the λ_j
    """
    d, k = 5, 2
    turn = eigh(proof.rng.standard_normal((d, d)))[1]
    values = np.array([0.5, 0.8, 1.0, 3.0, 6.0]) + 0.2 * proof.rng.random((d,))
    scatter = (turn * values) @ turn.T
    variance = noise(values[:-k])
    weight = turn[:, -k:] * np.sqrt(np.abs(values[-k:] - off * variance))
    proof.step("s²", variance)

    def loss(weight: Any, variance: Any) -> Any:
        covariance = weight @ weight.T + variance * np.eye(d)
        return slogdet(covariance)[1] + np.trace(solve(covariance, scatter))

    # systems of D equations, whose condition is at most 7 / 0.5; parts of the slopes are below 5
    rounding, size = 2 * d * d * 14, 5.0
    for i, name in enumerate(("W", "s²")):
        slope = grad(loss, i)(weight, variance)
        proof.equal(f"∂ ln p / ∂{name}", slope, 0.0, rounding=rounding, scale=size)
