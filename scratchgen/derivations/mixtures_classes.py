"""Mixtures whose component is a class: Bayes' classifier.

R. O. Duda, P. E. Hart and D. G. Stork (2001), "Pattern classification", ch. 2.
"""

from __future__ import annotations

import itertools
from typing import Any

import autograd.numpy as np
from autograd.numpy.linalg import slogdet, solve
from scratchgen.derivations.claim import claim
from scratchgen.derivations.latent_divergences import condition
from scratchgen.derivations.proof import Proof
from scratchgen.models.latent.bayes import BayesClassifier, BayesConfig


@claim(
    section="mixtures",
    statement=r"\min_f P(f(x) \neq y) = 1 - \sum_x \max_y p(x, y)",
    says="No classifier errs less than the one that takes the class most probable given x.",
    source="Duda, Hart & Stork, §2.3",
    method="enumeration",
    wrong={
        "the class of the highest likelihood, priors forgotten": {
            "score": lambda joint, prior: joint / prior
        },
        "the class that is most frequent": {"score": lambda joint, prior: prior + 0 * joint},
    },
)
def bayes_classifier_errs_least(proof: Proof, *, score=lambda joint, prior: joint) -> None:
    """f is right with the probability Σ_x p(x, f(x)), a sum in which each x has one term, of the
    class that is chosen for it. It is greatest where each is.

    There are 2⁶ classifiers of six values into two classes, and all are tried.
    """
    # class 0 has three quarters of the cases; likelihoods rise by x for one, and fall for the other
    slope = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    given = np.stack([slope[::-1], slope], axis=-1) * (1 + 0.1 * proof.rng.random((6, 2)))
    prior = np.array([0.75, 0.25])
    joint = given / np.sum(given, axis=0) * prior
    choice = np.argmax(score(joint, prior), axis=1)
    error = 1 - np.sum(np.take_along_axis(joint, choice[:, None], 1))
    proof.step("p(x, y)", joint)
    proof.step("f(x)", choice)
    every = np.array(list(itertools.product((0, 1), repeat=6)))
    errors = 1 - np.sum(joint[np.arange(6), every], axis=1)
    # sums of 6 and of 12
    proof.equal("the error of f", error, np.min(errors), rounding=20, scale=1.0)
    proof.at_most("it ≤ each of 64", error, errors, rounding=20, scale=1.0)
    least = 1 - np.sum(np.max(joint, axis=1))
    proof.equal("1 − Σ max p(x, y)", least, np.min(errors), rounding=20, scale=1.0)


def _classifier(rng: Any, covariance: str) -> tuple[BayesClassifier, Any]:
    """Two classes of one normal distribution each in the plane, and points."""
    model = BayesClassifier(BayesConfig(2, classes=2, covariance=covariance), rng)
    model.astype("float64")
    roots = 0.5 * rng.standard_normal(model.covariances.shape)
    model.covariances[...] = roots @ np.swapaxes(roots, 1, 2) + 0.5 * np.eye(2)
    model.means[...] = np.array([[-1.0, 0.0], [1.0, 0.0]]) + 0.4 * rng.standard_normal((2, 2))
    model.logits[...] = np.array([0.8, -0.8])
    return model, 2 * rng.standard_normal((8, 2))


@claim(
    section="mixtures",
    statement=r"\ln \dfrac{p(1 \mid x)}{p(0 \mid x)} = w^\top x + c, \quad"
    r" w = \Sigma^{-1} (\mu_1 - \mu_0)"
    "\n" + r"c = \ln \dfrac{\pi_1}{\pi_0} - \frac{1}{2} (\mu_1^\top \Sigma^{-1} \mu_1 -"
    r" \mu_0^\top \Sigma^{-1} \mu_0)",
    says="With one covariance for both classes their border is a plane: linear discriminants.",
    source="Duda, Hart & Stork, §2.6.2; Ng & Jordan (2002)",
    method="closed form",
    wrong={
        "the prior odds left out": {"odds": 0.0},
        "the difference of means itself for w": {"direction": lambda covariance, d: d},
    },
)
def equal_covariances_make_a_plane(
    proof: Proof, *, odds=1.0, direction=lambda covariance, d: solve(covariance, d)
) -> None:
    """In ln π_1 N(x; µ_1, Σ) − ln π_0 N(x; µ_0, Σ) the normalising constants and xᵀ Σ⁻¹ x cancel.

    What is left of −½ (x − µ)ᵀ Σ⁻¹ (x − µ) is µᵀ Σ⁻¹ x − ½ µᵀ Σ⁻¹ µ. So the posterior is a logistic
    regression's, σ(wᵀ x + c).
    """
    model, x = _classifier(proof.rng, "tied")
    log_p = model.log_posterior(x).data
    mean, covariance = model.means.data, model.covariances.data[0]
    w = direction(covariance, mean[1] - mean[0])
    pulls = solve(covariance, mean.T).T
    heights = np.sum(mean * pulls, axis=1)
    log_prior = model.log_priors().data
    c = odds * (log_prior[1] - log_prior[0]) - 0.5 * (heights[1] - heights[0])
    proof.step("w", w)
    proof.step("c", c)
    # 2 × 2 systems, densities and logarithms, of numbers as large as the densities' logarithms
    joint = model.log_joint(x).data
    scale = np.max(np.abs(joint)) + np.max(np.abs(x @ w)) + np.max(np.abs(heights))
    rounding = 8 * condition(covariance) + 16
    ones = np.ones(len(x), int)
    bayes = model.log_prob(x, ones).data + log_prior[1] - model.log_prob(x).data
    proof.equal("ln p(1 | x) by Bayes", log_p[:, 1], bayes, rounding=rounding, scale=scale)
    found = log_p[:, 1] - log_p[:, 0]
    proof.equal("ln p(1 | x) − ln p(0 | x)", found, x @ w + c, rounding=rounding, scale=scale)


@claim(
    section="mixtures",
    statement=r"P(\mathrm{error}) \leq \sqrt{\pi_0 \pi_1} \int \sqrt{p_0 p_1} \, dx"
    r" = \sqrt{\pi_0 \pi_1}\, e^{-B}"
    "\n" + r"B = \frac{1}{8} d^\top \Sigma^{-1} d + \frac{1}{2} \ln"
    r" \dfrac{|\Sigma|}{\sqrt{|\Sigma_0| |\Sigma_1|}},"
    r" \quad \Sigma = \dfrac{\Sigma_0 + \Sigma_1}{2}",
    says="The overlap of two classes, a closed form for normal ones, bounds the error.",
    source="A. Bhattacharyya (1943); Duda, Hart & Stork, §2.8",
    method="Monte Carlo",
    wrong={
        "½ in place of ⅛": {"eighth": 0.5},
        "the determinants forgotten": {"volumes": 0.0},
    },
)
def the_overlap_bounds_the_error(proof: Proof, *, eighth=0.125, volumes=1.0) -> None:
    """The classifier errs at x with the probability min_y p(y | x), and min(a, b) ≤ √(ab):

    P(error) = ∫ min(π_0 p_0, π_1 p_1) dx ≤ ∫ √(π_0 p_0 π_1 p_1) dx

    For normal densities the exponent is quadratic in x, and completing the square gives B. Both
    integrals are means over draws of x ~ p: of min_y p(y | x), and of √(p(0 | x) p(1 | x)).
    """
    model, _ = _classifier(proof.rng, "full")
    # one wide, one narrow, so that the determinants count
    model.covariances[...] = model.covariances.data * np.array([[[0.3]], [[3.0]]])
    means, covariances = model.means.data, model.covariances.data
    middle, d = np.mean(covariances, axis=0), means[1] - means[0]
    half = slogdet(middle)[1] - 0.5 * np.sum(slogdet(covariances)[1])
    b = eighth * (d @ solve(middle, d)) + 0.5 * volumes * half
    weights = np.exp(0.5 * np.sum(model.log_priors().data))
    bound = weights * np.exp(-b)
    x = model.sample(20_000, proof.rng)
    posterior = np.exp(model.log_posterior(x).data)
    proof.step("the bound", bound)
    proof.mean("E √(p(0 | x) p(1 | x))", np.sqrt(np.prod(posterior, axis=1)), bound)
    proof.mean_at_most("P(error)", np.min(posterior, axis=1), bound)
