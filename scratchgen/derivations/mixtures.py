"""Mixtures: a latent variable of few values, its exact posterior, and EM.

p(x) = Σ_k π_k N(x; µ_k, Σ_k), with the responsibilities r_k = p(k | x), and for any q(k)

    ln p(x) = F(q, θ) + KL(q ‖ r),     F(q, θ) = Σ_k q_k (ln π_k N(x; µ_k, Σ_k) − ln q_k)

A. P. Dempster, N. M. Laird and D. B. Rubin (1977), "Maximum likelihood from incomplete data via the
EM algorithm".
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd.nn import log_softmax, softmax
from scratchgen.derivations.claim import claim
from scratchgen.derivations.differences import slope
from scratchgen.derivations.figures import axes
from scratchgen.derivations.latent_divergences import condition
from scratchgen.derivations.proof import Proof
from scratchgen.distributions import categorical
from scratchgen.models.latent.gmm import GaussianMixture, GaussianMixtureConfig

COMPONENTS, POINTS = 3, 40
KINDS = ("full", "diagonal", "tied")


def _mixture(rng: Any, kind: str = "full") -> tuple[GaussianMixture, Any]:
    """A model in the plane with random parameters, and points of three overlapping groups."""
    config = GaussianMixtureConfig(2, components=COMPONENTS, covariance=kind, floor=1e-6)
    model = GaussianMixture(config, rng)
    model.astype("float64")
    model.logits[...] = np.array([1.0, 0.0, -1.0]) + 0.3 * rng.standard_normal((COMPONENTS,))
    centres = np.array([[0.0, 0.0], [2.5, 0.0], [0.0, 2.5]])
    model.means[...] = centres + 0.4 * rng.standard_normal((COMPONENTS, 2))
    if kind == "diagonal":
        model.covariances[...] = 0.5 + rng.random(model.covariances.shape)
    else:
        roots = 0.5 * rng.standard_normal(model.covariances.shape)
        model.covariances[...] = roots @ np.swapaxes(roots, 1, 2) + 0.5 * np.eye(2)
    shape = np.array([[1.0, 0.5], [0.0, 0.8]])
    points = rng.standard_normal((POINTS, 2)) @ shape + centres[np.arange(POINTS) % COMPONENTS]
    return model, points


def _rounding(model: GaussianMixture) -> float:
    """How many can add up in ln p of all points: 2 × 2 systems, sums of K, and of the points."""
    if model.config.covariance == "diagonal":
        return POINTS + 2 * COMPONENTS + 16
    return POINTS + 2 * COMPONENTS + 16 + 4 * condition(model.covariances.data)


def _size(model: GaussianMixture, x: Any) -> Any:
    return np.sum(np.max(np.abs(model.log_joint(x).data), axis=1))


def _e_step(model: GaussianMixture, x: Any) -> Any:
    """ln r."""
    return model.e_step(x)[0].data


def _without_weights(model: GaussianMixture, x: Any) -> Any:
    """ln r as if all components were alike probable."""
    return log_softmax(model.log_components(x).data)


def _rise_of_em() -> Any:
    figure, panel = axes("step of EM", "nats per point")
    model, x = _mixture(Proof("rise of EM").rng)
    model.means[...] = (
        0.1 * model.means.data
    )  # nearly the same for all components, so that it lasts
    likelihoods, bounds = [np.mean(model.log_prob(x).data).item()], []
    for _ in range(16):
        log_r = _e_step(model, x)
        model.m_step(x, log_r)
        bounds.append(np.mean(model.lower_bound(x, log_r).data).item())
        likelihoods.append(np.mean(model.log_prob(x).data).item())
    for step, (low, lifted, high) in enumerate(
        zip(likelihoods, bounds, likelihoods[1:], strict=False)
    ):
        panel.plot([step, step + 1], [low, lifted], color="C1", linewidth=1)
        panel.plot([step + 1, step + 1], [lifted, high], color="C0", linewidth=1)
    panel.plot(likelihoods, "o", color="C0", markersize=4, label="ln p(x; θ), touched by F(r, θ)")
    panel.plot(range(1, 17), bounds, ".", color="C1", label="F(r, θ′) after the M-step")
    panel.legend(frameon=False, fontsize=9)
    return figure


@claim(
    section="mixtures",
    statement=r"F(q, \theta) \leq F(r, \theta) = \ln p(x; \theta)"
    "\n" + r"\quad \leq F(r, \theta') \leq \ln p(x; \theta')",
    says="EM lifts a bound that touches the likelihood, and so the likelihood never falls.",
    source="Dempster, Laird & Rubin; R. M. Neal and G. E. Hinton (1998), lemmas 1 and 2",
    method="step by step",
    wrong={
        "responsibilities without the components' weights": {"e_step": _without_weights},
    },
    figure=_rise_of_em,
)
def em_never_falls(proof: Proof, *, e_step=_e_step) -> None:
    """By turns, with θ′ = argmax F(r, θ′):

    F(q, θ) = ln p(x; θ) − KL(q ‖ r) ≤ ln p(x; θ)       for any q
    F(r, θ) = ln p(x; θ)                                the E-step: the bound touches
    F(r, θ′) ≥ F(r, θ)                                  the M-step: the bound rises
    ln p(x; θ′) ≥ F(r, θ′)                              and the likelihood is above it

    for full, diagonal and tied covariances.
    """
    for kind in KINDS:
        model, x = _mixture(proof.rng, kind)
        other = log_softmax(proof.rng.standard_normal((POINTS, COMPONENTS)))
        for step in range(3):
            log_r, name = e_step(model, x), f"{kind}, step {step + 1}"
            before = np.sum(model.log_prob(x).data)
            touching = np.sum(model.lower_bound(x, log_r).data)
            below = np.sum(model.lower_bound(x, other).data)
            size, rounding = _size(model, x), _rounding(model)
            proof.equal(f"F(r, θ), {name}", touching, before, rounding=rounding, scale=size)
            proof.at_most(f"F(q, θ), {name}", below, before, rounding=rounding, scale=size)
            model.m_step(x, log_r)
            lifted, after = np.sum(model.lower_bound(x, log_r).data), np.sum(model.log_prob(x).data)
            size, rounding = size + _size(model, x), rounding + _rounding(model)
            what = f"F(r, θ) ≤ F(r, θ′), {name}"
            proof.at_most(what, touching, lifted, rounding=rounding, scale=size)
            proof.at_most(f"F(r, θ′), {name}", lifted, after, rounding=rounding, scale=size)
        proof.step(f"ln p(x) of all points, {kind}", after)


@claim(
    section="mixtures",
    statement=r"\ln p(x) = Q(q) + H(q) + \mathrm{KL}(q \,\|\, r)"
    "\n" + r"Q(q) = \sum_k q_k \ln \pi_k \mathcal{N}(x; \mu_k, \Sigma_k)",
    says="The likelihood is what EM maximises, an entropy, and the distance to the posterior.",
    source="C. M. Bishop (2006), Pattern recognition, eq. 9.70",
    method="enumeration",
    wrong={
        "the divergence the wrong way round": {"divergence": lambda q, r: categorical.kl(r, q)},
        "the entropy of the wrong sign": {"choice": lambda q: -categorical.entropy(q)},
        "the entropy forgotten": {"choice": lambda q: 0.0 * categorical.entropy(q)},
    },
)
def the_likelihood_in_three_parts(
    proof: Proof, *, choice=categorical.entropy, divergence=categorical.kl
) -> None:
    """ln p(x) does not depend on k, so it is its own mean, and p(x, k) = p(x) r_k:

    ln p(x) = Σ q_k (ln p(x, k) − ln r_k)
            = Σ q_k ln p(x, k) − Σ q_k ln q_k + Σ q_k (ln q_k − ln r_k)

    which are Q, H and KL. By the parameters, H is constant: to maximise Q is to maximise the bound
    F = Q + H.
    """
    model, x = _mixture(proof.rng)
    log_q = log_softmax(proof.rng.standard_normal((POINTS, COMPONENTS)))
    log_r, joint = _e_step(model, x), model.log_joint(x).data
    expected = np.sum(np.exp(log_q) * joint, axis=1)
    parts = expected, choice(log_q), divergence(log_q, log_r)
    proof.step("Q, H and KL of the first point", np.stack([part[0] for part in parts]))
    rounding = 6 * COMPONENTS + 16 + 4 * condition(model.covariances.data)
    size = np.max(np.abs(joint))
    total, log_p = parts[0] + parts[1] + parts[2], model.log_prob(x).data
    proof.equal("Q + H + KL", total, log_p, rounding=rounding, scale=size)
    bound = model.lower_bound(x, log_q).data
    proof.equal("F", bound, parts[0] + parts[1], rounding=rounding, scale=size)


def _unbiased(model: GaussianMixture, log_r: Any, old: Any) -> None:
    """Covariances divided by N_k − 1."""
    counts = np.sum(np.exp(log_r), axis=0)[:, None, None]
    model.covariances[...] = model.covariances.data * counts / (counts - 1)


def _about_old_means(model: GaussianMixture, log_r: Any, old: Any) -> None:
    """Covariances about the means of the step before."""
    shift = old - model.means.data
    model.covariances[...] = model.covariances.data + shift[:, :, None] * shift[:, None, :]


def _weights_of_the_most_responsible(model: GaussianMixture, log_r: Any, old: Any) -> None:
    winners = np.argmax(log_r, axis=1)[:, None] == np.arange(COMPONENTS)
    model.logits[...] = np.log((np.sum(winners, axis=0) + 1.0) / (POINTS + COMPONENTS))


@claim(
    section="mixtures",
    statement=r"\pi_k = \dfrac{N_k}{N}, \quad \mu_k = \sum_n \dfrac{r_{nk}}{N_k} x_n,"
    r" \quad N_k = \sum_n r_{nk}"
    "\n" + r"\Sigma_k = \sum_n \dfrac{r_{nk}}{N_k} (x_n - \mu_k)(x_n - \mu_k)^\top:"
    r" \quad \nabla_\theta F(r, \theta) = 0",
    says="The M-step's weighted means and covariances are where the bound's gradient is zero.",
    source="Dempster, Laird & Rubin, §4.3; Bishop, eq. 9.24 to 9.26",
    method="closed form",
    wrong={
        "N_k − 1 for N_k": {"change": _unbiased},
        "covariances about the old means": {"change": _about_old_means},
        "weights of the points it is most responsible for": {
            "change": _weights_of_the_most_responsible
        },
    },
)
def the_m_step_is_stationary(proof: Proof, *, change=None) -> None:
    """With d_nk = x_n − µ_k and ln N = −½ ln |Σ| − ½ dᵀ Σ⁻¹ d + constant, the gradients are

    of F = Σ_n Σ_k r_nk (ln π_k N(x_n; µ_k, Σ_k) − ln r_nk)

    by µ_k       Σ_k⁻¹ Σ_n r_nk d_nk                            0 at the weighted mean
    by Σ_k       −½ Σ_k⁻¹ (N_k − Σ_n r_nk d_nk d_nkᵀ Σ_k⁻¹)      0 at the weighted covariance
    by logits    N_k − N π_k                                    0 where π_k = N_k / N

    They are taken by the engine at what the M-step sets. A tied covariance is the mean of the S_k
    by π_k, and a diagonal one takes the diagonal of S_k.
    """
    for kind in KINDS if change is None else ("full",):
        model, x = _mixture(proof.rng, kind)
        log_r, old = _e_step(model, x), model.means.data.copy()
        model.m_step(x, log_r)
        if change is not None:
            change(model, log_r, old)
        for parameter in model.parameters().values():
            parameter.grad = None
        np.sum(model.lower_bound(x, log_r)).backward()
        covariances = model.covariances.data
        least = (
            np.min(covariances) if kind == "diagonal" else np.min(np.linalg.eigvalsh(covariances))
        )
        # each point's part is r (d Σ⁻¹)²; 2 × 2 systems amplify as their least eigenvalue says
        reach = np.max(np.abs(x[:, None, :] - model.means.data))
        size = POINTS * (1 + reach**2 / least) / least
        for name, parameter in model.parameters().items():
            what = f"∂F/∂{name}, {kind}"
            proof.equal(what, parameter.grad, 0.0, rounding=COMPONENTS + 16, scale=size)


@claim(
    section="mixtures",
    statement=r"\nabla \ln p(x; \theta) = \mathbb{E}_r \nabla \ln p(x, k; \theta)"
    r" = \nabla_\theta F(q, \theta) \; \mathrm{at}\; q = r",
    says="The likelihood's gradient is the complete data's, averaged over the posterior.",
    source="R. A. Fisher's identity; Dempster, Laird & Rubin, §2",
    method="finite differences",
    wrong={
        "averaged over the prior": {
            "average": lambda model, x: 0 * _e_step(model, x) + log_softmax(model.logits.data)
        },
        "over components alike probable": {"average": _without_weights},
    },
)
def the_gradient_is_an_average_over_the_posterior(proof: Proof, *, average=_e_step) -> None:
    """∇ ln p(x) = Σ_k ∇p(x, k) / p(x) = Σ_k p(x, k) / p(x) ∇ ln p(x, k) = Σ_k r_k ∇ ln p(x, k).

    With q held at r, that is the gradient of F: bound and likelihood touch with the same slope. It
    is what gradient ascent on a mixture follows, and at a fixed point of EM it is 0.
    """
    model, x = _mixture(proof.rng)
    parameters = model.parameters()
    start = {name: parameter.data.copy() for name, parameter in parameters.items()}
    direction = {name: proof.rng.random(value.shape) - 0.3 for name, value in start.items()}
    turned = direction["covariances"]
    direction["covariances"] = 0.1 * (turned + np.swapaxes(turned, 1, 2))
    np.sum(model.lower_bound(x, average(model, x))).backward()
    along = 0.0
    for name, parameter in parameters.items():
        proof.step(f"∂F/∂{name}", parameter.grad)
        along = along + np.sum(parameter.grad * direction[name])

    def log_likelihood(t: float) -> Any:
        for name, parameter in parameters.items():
            parameter[...] = start[name] + t * direction[name]
        return np.sum(model.log_prob(x).data)

    value, bound = slope(log_likelihood, rounding=4 * _rounding(model))
    because = "Richardson's remainder and rounding"
    proof.within("F along a direction of θ", along, value, bound, because)


@claim(
    section="mixtures",
    statement=r"\Sigma_{\mathrm{tied}} = \sum_k \pi_k S_k, \quad"
    r" \Sigma_{k,\, \mathrm{diagonal}} = \mathrm{diag}(S_k)",
    says="A shared covariance is the mean of all, by weight; an axis-parallel one is the diagonal.",
    source="C. Fraley and A. E. Raftery (2002), Model-based clustering (EEE, VVI)",
    method="closed form",
    wrong={
        "the mean of all, alike weighted": {"weights": lambda pi: 0 * pi + 1 / COMPONENTS},
        "the weights of the step before": {"which": 0},
    },
)
def tied_and_diagonal_covariances(proof: Proof, *, weights=lambda pi: pi, which=1) -> None:
    """With one Σ for all, F = −½ Σ_k N_k (ln |Σ| + tr Σ⁻¹ S_k) + …, in which

    Σ_k N_k tr Σ⁻¹ S_k = N tr Σ⁻¹ (Σ_k π_k S_k)

    as if the mean covariance were that of one component. With a diagonal Σ only the diagonal of S_k
    is in the trace.
    """
    model, x = _mixture(proof.rng)
    log_r = _e_step(model, x)
    before = softmax(model.logits.data)
    model.m_step(x, log_r)
    full, pi = model.covariances.data, softmax(model.logits.data)
    proof.step("S_k", full)
    mean = np.sum(weights((before, pi)[which])[:, None, None] * full, axis=0)
    others = {}
    for kind in ("tied", "diagonal"):
        other, _ = _mixture(proof.rng, kind)
        other.m_step(x, log_r)
        others[kind] = other.covariances.data
    # sums of the points, 8 for the shares and eigenvectors, and of K covariances
    rounding = POINTS + COMPONENTS + 16
    size = np.max(np.abs(full)) + np.max(np.abs(x)) ** 2
    proof.equal("tied", others["tied"][0], mean, rounding=rounding, scale=size)
    diagonal = np.diagonal(full, axis1=1, axis2=2)
    proof.equal("diagonal", others["diagonal"], diagonal, rounding=rounding, scale=size)


@claim(
    section="mixtures",
    statement=r"\mathrm{Cov}\, x = \sum_k \pi_k \Sigma_k + \sum_k \pi_k d_k d_k^\top"
    "\n" + r"d_k = \mu_k - \mathbb{E} x, \quad \mathbb{E} x = \sum_k \pi_k \mu_k",
    says="A mixture varies within its components, and between them.",
    source="N. A. Weiss (2005), A course in probability (law of total variance)",
    method="Monte Carlo",
    wrong={
        "what is within components alone": {"between": 0.0},
        "the weights squared between them": {"power": 2.0},
    },
)
def the_variance_of_a_mixture(proof: Proof, *, between=1.0, power=1.0) -> None:
    """E x = E E[x | k] = Σ π_k µ_k. With x − µ = (x − µ_k) + (µ_k − µ), of which the first has the
    mean 0 given k,

    E (x − µ)(x − µ)ᵀ = E Cov[x | k] + E (µ_k − µ)(µ_k − µ)ᵀ
    """
    model, _ = _mixture(proof.rng)
    # narrow and slanting, so that it counts which way round a root of them is taken
    model.covariances[...] = model.covariances.data + np.array([[2.0, 1.2], [1.2, 1.0]])
    pi, means = softmax(model.logits.data), model.means.data
    mean = pi @ means
    apart = means - mean
    within = np.sum(pi[:, None, None] * model.covariances.data, axis=0)
    rest = (pi[:, None] ** power * apart).T @ apart
    proof.step("within", within)
    proof.step("between", rest)
    x = model.sample(20_000, proof.rng) - mean
    proof.mean("E x − µ", x, np.zeros(2))
    squares = np.stack([x[:, 0] ** 2, x[:, 0] * x[:, 1], x[:, 1] ** 2], axis=-1)
    both = within + between * rest
    right = np.stack([both[0, 0], both[0, 1], both[1, 1]])
    proof.mean("E (x − µ)(x − µ)ᵀ", squares, right)
