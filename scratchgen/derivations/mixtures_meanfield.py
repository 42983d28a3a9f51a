"""Mean field: the best approximation by independent factors, found one factor at a time.

For p̃(z) = Z p(z) and q(z) = Π_i q_i(z_i), the bound is L(q) = E_q ln p̃ + Σ_i H(q_i) ≤ ln Z.

M. J. Wainwright and M. I. Jordan (2008), "Graphical models, exponential families, and variational
inference"; C. M. Bishop (2006), "Pattern recognition and machine learning", §10.1.
"""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import autograd.numpy as np
from autograd import grad
from autograd.nn import softmax
from autograd.numpy.linalg import inv
from scratchgen.derivations.claim import claim
from scratchgen.derivations.discrete import (
    distribution,
    entropy,
    kl,
    mutual_information,
    roundings,
)
from scratchgen.derivations.latent_divergences import condition, full_divergence
from scratchgen.derivations.proof import Proof

SIZES = 3, 2, 4
"""Values of z₁, z₂, z₃."""


def product(factors: Any) -> Any:
    """The table Π_i q_i(z_i) of factors (K_i,)."""
    return reduce(lambda table, factor: table[..., None] * factor, factors)


def bound(factors: Any, log_target: Any) -> Any:
    """E_q ln p̃ + Σ_i H(q_i)."""
    return np.sum(product(factors) * log_target) + sum(entropy(factor) for factor in factors)


def mean_over_others(factors: Any, log_target: Any, i: int) -> Any:
    """E ln p̃ under all factors but q_i: (K_i,)."""
    ones = np.ones(factors[i].shape)
    others = product([ones if j == i else factor for j, factor in enumerate(factors)])
    axes = tuple(j for j in range(len(factors)) if j != i)
    return np.sum(others * log_target, axis=axes)


def log_of_mean(factors: Any, log_target: Any, i: int) -> Any:
    """ln E p̃ in place of E ln p̃."""
    return np.log(mean_over_others(factors, np.exp(log_target), i))


def _case(rng: Any) -> tuple[Any, list[Any]]:
    return np.log(3 * distribution(rng, *SIZES)), [distribution(rng, size) for size in SIZES]


@claim(
    section="mixtures",
    statement=r"q(z) = \prod_{i=1}^{m} q_i(z_i): \quad 2 m \;\mathrm{numbers\ for}\; 2^m"
    "\n" + r"H(q) = \sum_{i=1}^{m} H(q_i)",
    says="Of m binary variables mean field keeps 2m numbers where the table keeps 2 to the m.",
    source="Lecture example",
    method="enumeration",
    wrong={
        "a number for each pair": {"kept": lambda m: m * (m - 1)},
        "one factor for all": {"kept": lambda m: 2},
    },
)
def mean_field_keeps_two_numbers_a_variable(proof: Proof, *, kept=lambda m: 2 * m) -> None:
    """A table over m binary variables has a cell for each of 2^m values.

    Each factor has two, q_i(0) and q_i(1), of which one would do, since they add up to 1.

    The product is a distribution, and its entropy the sum: −Σ q ln Π q_i = −Σ_i Σ q_i ln q_i.
    """
    for m in (2, 3, 6, 10):
        factors = [distribution(proof.rng, 2) for _ in range(m)]
        table = product(factors)
        numbers = sum(factor.size for factor in factors)
        proof.equal(f"numbers of the factors, m = {m}", numbers, kept(m), rounding=0)
        proof.equal(f"numbers of the table, m = {m}", table.size, 2**m, rounding=0)
        # m products in a cell, and the sums
        rounding = roundings(2**m) + m
        proof.equal(f"Σ q, m = {m}", np.sum(table), 1.0, rounding=rounding)
        total = sum(entropy(factor) for factor in factors)
        proof.equal(f"H(q), m = {m}", entropy(table), total, rounding=rounding)


@claim(
    section="mixtures",
    statement=r"q_i^*(z_i) \propto \exp \mathbb{E}_{j \neq i} \ln \tilde p(z)"
    "\n" + r"\mathcal{L}(q_i) = \mathcal{L}(q_i^*) - \mathrm{KL}(q_i \,\|\, q_i^*)",
    says="The best factor is, given all others, the exponential of their mean of ln p, normalised.",
    source="Bishop, eq. 10.9; Wainwright & Jordan, §5.3",
    method="enumeration",
    wrong={
        "ln E p in place of E ln p": {"expectation": log_of_mean},
        "the entropy counted twice": {"factor": 0.5},
    },
)
def the_best_factor(proof: Proof, *, expectation=mean_over_others, factor=1.0) -> None:
    """Keep what depends on q_i. With a(z_i) = E_{j≠i} ln p̃ and q_i* = exp(a) / Z_i,

    L = Σ q_i a + H(q_i) + Σ_{j≠i} H(q_j)
      = Σ q_i (ln q_i* + ln Z_i − ln q_i) + …
      = −KL(q_i ‖ q_i*) + ln Z_i + Σ_{j≠i} H(q_j)

    which is greatest for q_i = q_i*. The gradient by its logits is 0 there.
    """
    log_target, factors = _case(proof.rng)
    # products of three factors, sums of the table's 24 cells and of the entropies
    rounding = 2 * 24 + 8 * len(SIZES)
    size = np.max(np.abs(log_target)) + 1 + sum(math.log(k) for k in SIZES)
    for i in range(len(SIZES)):
        best = softmax(factor * expectation(factors, log_target, i))
        proof.step(f"q_{i + 1}*", best)

        def along(logits: Any, i: int = i) -> Any:
            return bound([*factors[:i], softmax(logits), *factors[i + 1 :]], log_target)

        most, now = along(np.log(best)), bound(factors, log_target)
        left = most - kl(factors[i], best)
        proof.equal(f"L(q_{i + 1}*) − KL", left, now, rounding=rounding, scale=size)
        slope = grad(along)(np.log(best))
        proof.equal(f"∂L / ∂ logits of q_{i + 1}*", slope, 0.0, rounding=rounding, scale=size)


def _one_by_one(factors: list[Any], log_target: Any) -> list[Any]:
    """A sweep in which each factor sees those that were updated before it."""
    factors = list(factors)
    for i in range(len(factors)):
        factors[i] = softmax(mean_over_others(factors, log_target, i))
    return factors


def _all_at_once(factors: list[Any], log_target: Any) -> list[Any]:
    return [softmax(mean_over_others(factors, log_target, i)) for i in range(len(factors))]


@claim(
    section="mixtures",
    statement=r"\mathcal{L}(q^{(0)}) \leq \mathcal{L}(q^{(1)}) \leq \cdots \leq \ln Z"
    "\n" + r"\ln Z - \mathcal{L}(q) = \mathrm{KL}(q \,\|\, p)",
    says="Updating one factor after the other never lowers the bound; all at once may.",
    source="Bishop, §10.1.1; Wainwright & Jordan, §5.3",
    method="step by step",
    wrong={"all factors at once": {"sweep": _all_at_once}},
)
def coordinate_updates_never_lower_the_bound(proof: Proof, *, sweep=_one_by_one) -> None:
    """Each update maximises L over one factor while the others stay, so L cannot fall. Updated at
    once, each factor is the best answer to what the others were, not to what they are.

    The target here are two coins that avoid each other, ln p̃ = −3 [z₁ = z₂] + small random numbers:
    at once, both turn to the same side, then both to the other one.
    """
    alike = np.array([[1.0, 0.0], [0.0, 1.0]])
    targets = {
        "a random table": _case(proof.rng),
        "two coins": (
            -3 * alike + 0.1 * proof.rng.random((2, 2)),
            [np.array([0.6, 0.4]), np.array([0.6, 0.4])],
        ),
    }
    for what, (log_target, factors) in targets.items():
        evidence = np.log(np.sum(np.exp(log_target)))
        size = np.max(np.abs(log_target)) + math.log(24)
        before, rounding = bound(factors, log_target), 2 * 24 + 8 * len(SIZES)
        for k in range(1, 5):
            factors = sweep(factors, log_target)
            now = bound(factors, log_target)
            proof.at_most(f"L before sweep {k}, {what}", before, now, rounding=rounding, scale=size)
            proof.at_most(
                f"L after sweep {k}, {what}", now, evidence, rounding=rounding, scale=size
            )
            before = now
        proof.step(f"L, {what}", now)
        gap = kl(product(factors), np.exp(log_target - evidence))
        proof.equal(f"ln Z − L, {what}", evidence - now, gap, rounding=rounding, scale=size)


@claim(
    section="mixtures",
    statement=r"p(z) = \prod_i p_i(z_i): \quad q = p \;\mathrm{after\ one\ sweep}"
    "\n" + r"\min_{q = \prod q_i} \mathrm{KL}(p \,\|\, q) = I_p(z_1; z_2)",
    says="Mean field finds independent variables; else a product is I(z₁; z₂) away by KL(p ‖ q).",
    source="Wainwright & Jordan, §5.3; Cover & Thomas, eq. 2.28",
    method="enumeration",
    wrong={
        "although they depend on one another": {"target": lambda p, q, joint: joint},
        "the divergence's other direction": {"divergence": lambda p, q: kl(q, p)},
    },
)
def mean_field_is_exact_for_independent_variables(
    proof: Proof, *, target=lambda p, q, joint: np.outer(p, q), divergence=kl
) -> None:
    """With ln p̃ = ln p₁(z₁) + ln p₂(z₂), E_{q₂} ln p̃ = ln p₁(z₁) + constant: q₁* = p₁ for any q₂.

    In the other direction, KL(p ‖ q₁ q₂) = I_p(z₁; z₂) + KL(p₁ ‖ q₁) + KL(p₂ ‖ q₂), which is least
    at p's marginals. There the loss is the mutual information, 0 for independent variables only.
    """
    joint = distribution(proof.rng, 3, 4)
    marginals = [np.sum(joint, axis=1), np.sum(joint, axis=0)]
    p = target(*marginals, joint)
    factors = [distribution(proof.rng, 3), distribution(proof.rng, 4)]
    swept = _one_by_one(factors, np.log(p))
    proof.step("q after one sweep", product(swept))
    # softmax of sums of 4, from logarithms as large as 5, and products
    proof.equal("q₁ q₂ after one sweep", product(swept), p, rounding=8 * 5, scale=np.max(p))
    information, size = mutual_information(joint), entropy(joint)
    proof.step("I_p(z₁; z₂)", information)
    least = divergence(joint, product(marginals))
    rounding = roundings(12)
    proof.equal("KL(p ‖ p₁ p₂)", least, information, rounding=rounding, scale=size)
    other = divergence(joint, product(factors))
    proof.at_most("KL(p ‖ p₁ p₂) ≤ KL(p ‖ q₁ q₂)", least, other, rounding=rounding, scale=size)


def _exclusive(precision: Any) -> Any:
    """ln σ of the factors that make KL(q ‖ p) least."""
    return -0.5 * np.log(np.diagonal(precision))


@claim(
    section="mixtures",
    statement=r"\mathrm{argmin}\, \mathrm{KL}(q \,\|\, p): \sigma_j^2 = \dfrac{1}{\Lambda_{jj}}"
    r" \;\leq\; \mathrm{argmin}\, \mathrm{KL}(p \,\|\, q): \sigma_j^2 = (\Lambda^{-1})_{jj}",
    says="Mean field is too narrow: its variances are those given all other variables.",
    source="Bishop, §10.1.2",
    method="closed form",
    wrong={
        "the marginals' variances": {
            "width": lambda precision: 0.5 * np.log(np.diagonal(inv(precision)))
        },
        "the precisions' roots for widths": {
            "width": lambda precision: 0.5 * np.log(np.diagonal(precision))
        },
    },
)
def mean_field_is_too_narrow(proof: Proof, *, width=_exclusive) -> None:
    """Against p = N(0, Λ⁻¹), for q = N(0, diag σ²),

    2 KL(q ‖ p) = Σ_j Λ_jj σ_j² − Σ_j ln σ_j² + …         0 = Λ_jj − 1 / σ_j²
    2 KL(p ‖ q) = Σ_j (Λ⁻¹)_jj / σ_j² + Σ_j ln σ_j² + …   0 = −(Λ⁻¹)_jj / σ_j⁴ + 1 / σ_j²

    1 / Λ_jj is the variance of z_j given all others, which is at most that of z_j.
    """
    d = 3
    root = proof.rng.standard_normal((d, d))
    precision = root @ root.T + 0.5 * np.eye(d) + 0.5
    covariance, zero = inv(precision), np.zeros(d)

    def reverse(log_std: Any) -> Any:
        return full_divergence(zero, np.diag(np.exp(2 * log_std)), zero, covariance)

    def forward(log_std: Any) -> Any:
        return full_divergence(zero, covariance, zero, np.diag(np.exp(2 * log_std)))

    narrow, wide = width(precision), 0.5 * np.log(np.diagonal(covariance))
    proof.step("σ of KL(q ‖ p)", np.exp(narrow))
    proof.step("σ of KL(p ‖ q)", np.exp(wide))
    # inverses of D × D matrices, times their condition; the terms of either slope are 1
    rounding = 2 * d * d * condition(precision)
    proof.equal("∂KL(q ‖ p) / ∂ln σ", grad(reverse)(narrow), 0.0, rounding=rounding, scale=1.0)
    proof.equal("∂KL(p ‖ q) / ∂ln σ", grad(forward)(wide), 0.0, rounding=rounding, scale=1.0)
    proof.at_most("1 / Λ_jj", np.exp(2 * narrow), np.diagonal(covariance), rounding=rounding)
