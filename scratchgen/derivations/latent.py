"""Latent variables: the evidence lower bound, read in three ways, and what it leads to.

A model p(x, z) = p(z) p(x | z) of which x alone is seen has the evidence p(x) = Σ_z p(x, z) and the
posterior p(z | x) = p(x, z) / p(x). With any distribution q(z) in the posterior's place

    ELBO(q) = E_q [ln p(x, z) − ln q(z)]

is a bound of ln p(x) from below. Here z has a few values, and sums over them are exact.

D. P. Kingma and M. Welling (2014), "Auto-encoding variational Bayes".
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd import grad
from autograd.nn import softmax
from scratchgen.derivations.claim import claim
from scratchgen.derivations.discrete import (
    distribution,
    entropy,
    kl,
    mutual_information,
    roundings,
)
from scratchgen.derivations.proof import Proof
from scratchgen.distributions import normal
from scratchgen.models.latent.latent import Elbo, LatentConfig, LatentModel
from scratchgen.models.latent.m2 import M2, M2Config

CODES = 5
"""Values of z."""


def _case(rng: Any) -> tuple[Any, Any, Any]:
    """p(z), p(x | z) at the x that is seen, of 4, and a q(z): (CODES,) each."""
    joint = distribution(rng, 4, CODES)
    prior = np.sum(joint, axis=0)
    return prior, joint[0] / prior, distribution(rng, CODES)


def elbo(q: Any, log_joint: Any) -> Any:
    """Σ_z q(z) (ln p(x, z) − ln q(z)), for q and ln p(x, z) as arrays over z."""
    return np.sum(q * (log_joint - np.log(q)))


def _size(q: Any, log_joint: Any) -> Any:
    """Of the terms of the ELBO."""
    return np.sum(q * (np.abs(log_joint) + np.abs(np.log(q))))


@claim(
    section="latent",
    statement="\n".join(
        [
            r"\mathcal{L}(q) = \mathbb{E}_q [\ln p(x, z) - \ln q(z)]",
            r"\quad = \mathbb{E}_q \ln p(x \mid z) - \mathrm{KL}(q(z) \,\|\, p(z))",
            r"\quad = \ln p(x) - \mathrm{KL}(q(z) \,\|\, p(z \mid x))",
        ]
    ),
    says="The bound is reconstruction less distance from the prior, or evidence less its gap.",
    source="Kingma & Welling, eq. 1 to 3",
    method="enumeration",
    wrong={
        "the divergences the wrong way round": {"divergence": lambda q, p: kl(p, q)},
        "a cross-entropy taken for the divergence": {
            "divergence": lambda q, p: -np.sum(q * np.log(p))
        },
    },
)
def the_elbo_has_three_forms(proof: Proof, *, divergence=kl) -> None:
    """Write p(x, z) = p(z) p(x | z), or p(x, z) = p(x) p(z | x), and split the logarithm:

    ELBO = E_q ln p(x | z) − E_q ln (q / p(z)) = E_q ln p(x | z) − KL(q ‖ p(z))
    ELBO = E_q ln p(x) − E_q ln (q / p(z | x)) = ln p(x) − KL(q ‖ p(z | x))

    where ln p(x) does not depend on z, and is its own mean.
    """
    prior, likelihood, q = _case(proof.rng)
    joint = prior * likelihood
    evidence = np.sum(joint)
    bound = elbo(q, np.log(joint))
    proof.step("ln p(x)", np.log(evidence))
    proof.step("E_q [ln p(x, z) − ln q(z)]", bound)
    reconstruction = np.sum(q * np.log(likelihood))
    second = reconstruction - divergence(q, prior)
    third = np.log(evidence) - divergence(q, joint / evidence)
    # another sum for the joint table; what adds up to the bound is as large as its terms
    rounding, size = roundings(CODES) + CODES, _size(q, np.log(joint))
    proof.equal("E ln p(x | z) − KL(q ‖ p(z))", second, bound, rounding=rounding, scale=size)
    proof.equal("ln p(x) − KL(q ‖ p(z | x))", third, bound, rounding=rounding, scale=size)


@claim(
    section="latent",
    statement=r"\mathbb{E}_q \ln w \leq \ln \mathbb{E}_q w = \ln p(x),"
    r" \quad w = \dfrac{p(x, z)}{q(z)}"
    "\n" + r"\ln p(x) - \mathcal{L} = \mathbb{E}_q [t - 1 - \ln t], \quad t = w / p(x)",
    says="Jensen's inequality makes the bound: what it misses is how much the weights vary.",
    source="M. I. Jordan et al. (1999), An introduction to variational methods",
    method="enumeration",
    wrong={
        "the weights averaged under the prior": {"under": lambda q, prior: prior},
        "weights p(x | z) / q(z), the prior forgotten": {"weight": lambda p_z, p_x, q: p_x / q},
    },
)
def jensens_gap(
    proof: Proof,
    *,
    under=lambda q, prior: q,
    weight=lambda prior, likelihood, q: prior * likelihood / q,
) -> None:
    """Step by step:

    ln p(x) = ln Σ_z p(x, z) = ln Σ_z q(z) p(x, z) / q(z)       multiplied and divided by q
            = ln E_q w                                          a mean
            ≥ E_q ln w = ELBO(q)                                the logarithm is concave

    With t = w / p(x) the mean E_q t is 1, so E_q (t − 1 − ln t) = −E_q ln t = ln p(x) − E_q ln w.
    The logarithm lies below its tangent, ln t ≤ t − 1: no term is negative. All are 0 only where w
    does not vary with z. Then q(z) ∝ p(x, z), the posterior.
    """
    prior, likelihood, q = _case(proof.rng)
    evidence = np.sum(prior * likelihood)
    w, mean = weight(prior, likelihood, q), under(q, prior)
    # the sums of p(z), of p(x) and of the mean; weights 4, logarithm 2
    rounding = 3 * CODES + 6
    proof.equal("E_q w", np.sum(mean * w), evidence, rounding=rounding)
    bound, size = np.sum(mean * np.log(w)), _size(q, np.log(prior * likelihood))
    t = w / evidence
    terms = t - 1 - np.log(t)
    proof.step("t − 1 − ln t for each z", terms)
    proof.at_most("E_q ln w ≤ ln p(x)", bound, np.log(evidence), rounding=rounding, scale=size)
    proof.at_most("0 ≤ t − 1 − ln t", 0.0, terms, rounding=4, scale=1 + t)
    gap = np.log(evidence) - bound
    # the t are as large as their mean, 1
    proof.equal("ln p(x) − E_q ln w", gap, np.sum(mean * terms), rounding=rounding, scale=2 + size)
    constant = weight(prior, likelihood, prior * likelihood / evidence)
    proof.equal("w where q = p(z | x)", constant, evidence, rounding=rounding)


@claim(
    section="latent",
    statement=r"\mathrm{argmax}_q \, \mathcal{L}(q) = p(z \mid x)"
    "\n" + r"\dfrac{\partial \mathcal{L}}{\partial l_z} = q_z (a_z - \mathbb{E}_q a),"
    r"\quad a = \ln \dfrac{p(x, z)}{q}",
    says="The best q is the posterior, and there the bound is the evidence itself.",
    source="R. M. Neal and G. E. Hinton (1998), lemma 1",
    method="closed form",
    wrong={
        "the likelihood made to sum to one, without the prior": {
            "best": lambda prior, likelihood: likelihood / np.sum(likelihood)
        },
        "the prior": {"best": lambda prior, likelihood: prior},
    },
)
def the_best_q_is_the_posterior(
    proof: Proof,
    *,
    best=lambda prior, likelihood: prior * likelihood / np.sum(prior * likelihood),
) -> None:
    """With q = softmax(l), ∂q_k / ∂l_z = q_k ([k = z] − q_z). The −ln q of the bound adds nothing,

    Σ_k q_k ∂ ln q_k / ∂l_z = Σ_k ∂q_k / ∂l_z = 0
    ∂L/∂l_z = Σ_k a_k ∂q_k / ∂l_z = q_z (a_z − Σ_k q_k a_k)

    It is 0 in all z where a is the same for all, q(z) ∝ p(x, z). There a = ln p(x) is the bound.
    """
    prior, likelihood, start = _case(proof.rng)
    log_joint = np.log(prior * likelihood)

    def bound(logits: Any) -> Any:
        return elbo(softmax(logits), log_joint)

    rounding, size = 4 * (CODES + 4), _size(start, log_joint)
    a = log_joint - np.log(start)
    expected = start * (a - np.sum(start * a))
    gradient = grad(bound)(np.log(start))
    proof.equal("∂L/∂l at a random q", gradient, expected, rounding=rounding, scale=size)
    q = best(prior, likelihood)
    proof.step("the best q", q)
    size = _size(q, log_joint)
    slope = grad(bound)(np.log(q))
    proof.equal("∂L/∂l at the best q", slope, 0.0, rounding=rounding, scale=size)
    evidence = np.log(np.sum(prior * likelihood))
    proof.equal("L at the best q", elbo(q, log_joint), evidence, rounding=rounding, scale=size)
    proof.at_most("L at a random q", elbo(start, log_joint), elbo(q, log_joint), rounding=rounding)


def _of_rows(q: Any, p: Any) -> Any:
    """KL(q(· | row) ‖ p(· | row)) of every row of two tables."""
    rows = [x / np.sum(x, axis=1, keepdims=True) for x in (q, p)]
    return np.sum(rows[0] * np.log(rows[0] / rows[1]), axis=1)


@claim(
    section="latent",
    statement=r"\mathrm{KL}(q(z_1, z_2) \,\|\, p(z_1, z_2)) = \mathrm{KL}(q(z_2) \,\|\, p(z_2))"
    "\n" + r"\quad +\; \mathbb{E}_{q(z_2)} \mathrm{KL}(q(z_1 \mid z_2) \,\|\, p(z_1 \mid z_2))",
    says="In a hierarchy of latent variables every layer pays its own divergence.",
    source="Cover & Thomas, theorem 2.5.3; C. K. Sønderby et al. (2016)",
    method="enumeration",
    wrong={
        "the mean under the prior of the upper layer": {"above": lambda q, p: p},
        "as if the layers were independent": {
            "below": lambda q, p: kl(np.sum(q, axis=0), np.sum(p, axis=0))
        },
    },
)
def a_hierarchy_pays_by_layers(proof: Proof, *, above=lambda q, p: q, below=_of_rows) -> None:
    """Under the logarithm, q(z₁, z₂) / p(z₁, z₂) = q(z₂) / p(z₂) · q(z₁ | z₂) / p(z₁ | z₂).

    The mean of the first part under q(z₁, z₂) is KL(q(z₂) ‖ p(z₂)). Of the second, take the mean
    over z₁ first: for each z₂ that is a divergence, whose mean over z₂ is left.
    """
    q, p = distribution(proof.rng, 3, 4), distribution(proof.rng, 3, 4)  # rows z₂
    upper_q, upper_p = np.sum(q, axis=1), np.sum(p, axis=1)
    upper, lower = kl(upper_q, upper_p), np.sum(above(upper_q, upper_p) * below(q, p))
    proof.step("KL(q(z₂) ‖ p(z₂))", upper)
    proof.step("E KL(q(z₁ | z₂) ‖ p(z₁ | z₂))", lower)
    size = entropy(q) - np.sum(q * np.log(p))
    proof.equal("KL of both layers", kl(q, p), upper + lower, rounding=roundings(12), scale=size)


@claim(
    section="latent",
    statement=r"\mathbb{E}_{p(x)} \mathrm{KL}(q(z \mid x) \,\|\, p(z)) = "
    r"I_q(x; z) + \mathrm{KL}(q(z) \,\|\, p(z))"
    "\n" + r"q(z) = \mathbb{E}_{p(x)} \, q(z \mid x)",
    says="What codes tell of images costs divergence: where that is zero, they tell nothing.",
    source="M. D. Hoffman and M. J. Johnson (2016), ELBO surgery",
    method="enumeration",
    wrong={
        "the marginal divergence the wrong way round": {"marginal": lambda q, p: kl(p, q)},
        "codes forgotten to overlap": {"told": lambda joint: entropy(np.sum(joint, axis=1))},
    },
)
def a_collapsed_posterior_tells_nothing(
    proof: Proof, *, told=mutual_information, marginal=kl
) -> None:
    """Multiply and divide by the marginal q(z) under the logarithm, and take the mean over x and z:

    E ln (q(z | x) / p(z)) = E ln (q(z | x) / q(z)) + E ln (q(z) / p(z))
                           = I_q(x; z) + KL(q(z) ‖ p(z))

    Both are never negative, so I_q(x; z) ≤ E KL: where every q(z | x) is the prior (*posterior
    collapse*), z is independent of x.
    """
    joint, prior = distribution(proof.rng, 4, CODES), distribution(proof.rng, CODES)
    data = np.sum(joint, axis=1)  # p(x), and q(z | x) = joint / data
    every = np.stack([kl(joint[x] / data[x], prior) for x in range(4)])
    divergence = np.sum(data * every)
    proof.step("KL(q(z | x) ‖ p(z)) for each x", every)
    information, rest = told(joint), marginal(np.sum(joint, axis=0), prior)
    proof.step("I_q(x; z)", information)
    proof.step("KL(q(z) ‖ p(z))", rest)
    size = entropy(joint) - np.sum(joint * np.log(prior))
    rounding = roundings(4 * CODES)
    proof.equal("E KL", divergence, information + rest, rounding=rounding, scale=size)
    proof.at_most("I_q(x; z)", information, divergence, rounding=rounding, scale=size)


@claim(
    section="latent",
    statement=r"\max_q \mathbb{E}_q \ln p(x \mid z) - \beta \, \mathrm{KL}(q \,\|\, p(z))"
    "\n" + r"\quad = \beta \ln \sum_z p(z) \, p(x \mid z)^{1 / \beta}",
    says="With a weight β on the divergence, the best q is the posterior of a tempered likelihood.",
    source="I. Higgins et al. (2017), β-VAE, eq. 4",
    method="enumeration",
    wrong={
        "the power β in place of 1/β": {"power": lambda beta: beta},
        "the posterior itself": {"power": lambda beta: 1.0},
    },
)
def beta_tempers_the_likelihood(proof: Proof, *, power=lambda beta: 1 / beta) -> None:
    """Divide by β: E_q ln p(x | z)^(1/β) − KL(q ‖ p(z)) is the bound of another model, with

    p(z) p(x | z)^(1/β) = Z q*(z)

    in the place of p(x, z). So it is ln Z − KL(q ‖ q*), and β times that is

    E_q ln p(x | z) − β KL(q ‖ p(z)) = β ln Z − β KL(q ‖ q*)

    greatest for q = q*. With β > 1 q* is nearer to the prior than the posterior is.
    """
    prior, likelihood, start = _case(proof.rng)
    for beta in (0.5, 2.0, 4.0):
        tempered = prior * likelihood ** power(beta)
        total = np.sum(tempered)
        best, most = tempered / total, beta * np.log(total)
        model = LatentModel(LatentConfig(1, 1, levels=2, beta=beta))
        for what, q in (("q*", best), ("a random q", start)):
            reconstruction = np.sum(q * np.log(likelihood)).reshape(1)
            parts = kl(q, prior).reshape(1, 1)
            value = -model.weighed(Elbo(reconstruction, parts[:, 0], parts), None)
            right = most - beta * kl(q, best)
            # powers 2 and another sum; the logarithms that β multiplies, and ln p(x | z)
            size = 3 * beta * np.max(np.abs(np.log(q * prior))) + np.max(np.abs(np.log(likelihood)))
            rounding = roundings(CODES) + CODES + 2
            proof.equal(f"at {what}, β = {beta:g}", value, right, rounding=rounding, scale=size)


def _each_at_least(parts: Any, bits: float) -> Any:
    return np.sum(np.maximum(parts, bits))


@claim(
    section="latent",
    statement=r"\sum_j \max(\lambda, \mathrm{KL}_j): \quad"
    r"\dfrac{\partial}{\partial \ln \sigma_j} = [\mathrm{KL}_j > \lambda] \,(\sigma_j^2 - 1)",
    says="Below λ free nats a latent number costs the same whatever it does, and is left alone.",
    source="D. P. Kingma et al. (2016), Improving variational inference with IAF, eq. 15",
    method="closed form",
    wrong={
        "at least λ of all parts together": {
            "cost": lambda parts, bits: np.maximum(np.sum(parts), bits)
        },
        "λ paid on top": {"cost": lambda parts, bits: np.sum(parts + bits)},
        "λ taken off": {"cost": lambda parts, bits: np.sum(np.maximum(parts - bits, 0.0))},
    },
)
def free_bits_leave_small_parts_alone(proof: Proof, *, cost=_each_at_least) -> None:
    """KL_j = ½ (µ_j² + σ_j² − 1 − 2 ln σ_j) has the derivative σ_j² − 1 by ln σ_j.

    max(λ, KL_j) has that where KL_j > λ, and 0 where KL_j < λ: nothing draws q_j to the prior, and
    the reconstruction alone decides what is done with it. What is paid is no less than the
    divergence, so that a bound stays a bound.
    """
    bits, mean = 0.5, np.array([[0.1, 0.3, -2.0, 3.0]])
    model = LatentModel(LatentConfig(1, 1, latents=4, levels=2, free_bits=bits))
    reconstruction = -2 - proof.rng.random((1,))
    log_std = 0.4 * (proof.rng.random((1, 4)) - 0.5)

    def loss(log_std: Any) -> Any:
        parts = normal.kl_to_standard(mean, log_std)
        return model.weighed(Elbo(reconstruction, np.sum(parts, axis=-1), parts), None)

    parts = normal.kl_to_standard(mean, log_std)
    proof.step("KL_j", parts[0])
    # KL_j 8 each and a sum of 4; the numbers are at most 10
    paid, rounding = loss(log_std) + np.sum(reconstruction), 4 * 8 + 4
    proof.equal("what is paid", paid, cost(parts, bits), rounding=rounding, scale=10.0)
    proof.at_most("Σ KL_j", np.sum(parts), paid, rounding=rounding, scale=10.0)
    slope = np.where(np.array([[False, False, True, True]]), np.exp(2 * log_std) - 1, 0.0)
    proof.equal("∂/∂ln σ_j", grad(loss)(log_std), slope, rounding=8, scale=2.0)


class _Still:
    """A "generator" of zeros, so that a code is the mean of q."""

    def standard_normal(self, shape: tuple[int, ...]) -> Any:
        return np.zeros(shape)


@claim(
    section="latent",
    statement=r"\mathcal{U}(x) = \sum_y q(y \mid x) \,\mathcal{L}(x, y) + H(q(y \mid x))"
    "\n" + r"\quad = \ln p(x) - \mathrm{KL}(q(y, z) \,\|\, p(y, z \mid x))",
    says="A class that is not told is one more latent variable, summed over.",
    source="D. P. Kingma et al. (2014), Semi-supervised learning, eq. 7",
    method="enumeration",
    wrong={
        "the entropy forgotten": {"choice": lambda q: 0.0},
        "the entropy of the wrong sign": {"choice": lambda q: -entropy(q)},
    },
)
def an_unknown_class_is_summed_over(proof: Proof, *, choice=entropy) -> None:
    """The bound with both latent variables, and q(y, z) = q(y | x) q(z | x, y):

    E_q [ln p(x, y, z) − ln q(z | x, y) − ln q(y | x)]
        = Σ_y q(y | x) (E_{q(z | x, y)} [ln p(x, y, z) − ln q(z | x, y)] − ln q(y | x))

    In the bracket is L(x, y), the bound of ln p(x, y); and −Σ q ln q is the entropy. First for a
    table, then for the model's networks, with one code for each class.
    """
    q, joint = distribution(proof.rng, 3, 4), distribution(proof.rng, 3, 3, 4)[0]  # p(x, y, z)
    classes = np.sum(q, axis=1)
    codes = q / classes[:, None]
    each = np.stack([elbo(codes[y], np.log(joint[y])) for y in range(3)])
    whole = elbo(q, np.log(joint))
    right, size = np.sum(classes * each) + choice(classes), _size(q, np.log(joint))
    proof.equal("U of a table", right, whole, rounding=roundings(12), scale=size)
    evidence = np.sum(joint)
    gap = np.log(evidence) - kl(q, joint / evidence)
    proof.equal("ln p(x) − KL", gap, whole, rounding=roundings(12) + 12, scale=size)

    model = M2(M2Config(1, 2, levels=2, latents=2, hidden=4, classes=3), proof.rng)
    model.astype("float64")
    for parameter in model.parameters().values():
        parameter[...] = 0.7 * proof.rng.standard_normal(parameter.shape)
    x = proof.rng.integers(0, 2, (1, 1, 2, 1))
    each = np.stack([model.elbo(x, _Still(), y).bound[0] for y in range(3)])
    classes = softmax(model.class_logits(x))[0]
    right = np.sum(classes * each) + choice(classes)
    # the same networks on both sides; what is added up differently is Σ_y and the parts of the KL
    rounding, size = 3 * 4 + roundings(3), 10 + np.max(np.abs(each))
    found = model.elbo(x, _Still()).bound[0]
    proof.equal("U of the model", found, right, rounding=rounding, scale=size)
