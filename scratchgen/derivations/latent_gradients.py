"""Gradients of expectations by what is drawn from: their means, and how much they vary.

Both estimators are derived in :mod:`scratchgen.estimators`. For a quadratic f and a normal q the
estimate of one draw is a polynomial in its noise, whose mean and variance are known.

S. Mohamed, M. Rosca, M. Figurnov and A. Mnih (2020), "Monte Carlo gradient estimation in machine
learning".
"""

from __future__ import annotations

import math
from typing import Any

import autograd.numpy as np
from autograd import Tensor, grad
from autograd.nn import one_hot, softmax
from scratchgen.derivations.claim import claim
from scratchgen.derivations.figures import axes
from scratchgen.derivations.proof import Proof
from scratchgen.distributions import categorical, normal
from scratchgen.estimators import leave_one_out, pathwise, score_function

DRAWS = 20_000


class Nodes:
    """A "generator" of the four nodes of Gauss's and Hermite's rule, in place of noise.

    The roots ±√(3 ± √6) of He₄(ε) = ε⁴ − 6 ε² + 3, with the weights 1 / 4 (3 ± √6): their weighted
    mean is E f(ε), ε ~ N(0, 1), for polynomials f up to the degree 7.
    """

    squares = 3 - math.sqrt(6), 3 + math.sqrt(6)

    def standard_normal(self, shape: tuple[int, ...] = (4,)) -> Any:
        small, large = (math.sqrt(square) for square in self.squares)
        return np.array([-large, -small, small, large])

    @property
    def weights(self) -> Any:
        small, large = (1 / (4 * square) for square in self.squares)
        return np.array([large, small, small, large])


def each_draw(estimate: Any, mean: Any, log_std: Any, n: int) -> tuple[Any, Any]:
    """The gradients by µ and by ln σ of ``estimate(µ, ln σ)`` (n,), of every draw: (n,) both."""
    parameters = tuple(Tensor(np.zeros(n) + x) for x in (mean, log_std))
    np.sum(estimate(*parameters)).backward()
    return parameters[0].grad, parameters[1].grad


def _quadratic(z: Any) -> Any:
    return z * z


@claim(
    section="latent",
    statement=r"\mathbb{E}_q \nabla \ln q = 0, \quad \mathbb{E}_q \nabla \ln q \,"
    r"(\nabla \ln q)^\top = -\mathbb{E}_q \nabla^2 \ln q",
    says="The score has mean zero, since probabilities add up to one however they change.",
    source="R. A. Fisher (1925), Theory of statistical estimation; Mohamed et al., §4.1",
    method="enumeration",
    wrong={
        "the normalising constant forgotten": {
            "log_q": lambda logits, z: np.squeeze(np.take_along_axis(logits, z[:, None], 1), 1)
        },
        "the mean under another distribution": {"under": lambda logits: 0.0 * logits + 0.25},
    },
)
def the_score_has_mean_zero(
    proof: Proof, *, log_q=categorical.log_prob, under=lambda logits: softmax(logits)
) -> None:
    """Σ_z q(z) ∂ ln q(z) = Σ_z ∂q(z) = ∂ Σ_z q(z) = ∂ 1 = 0.

    Once more, 0 = Σ ∂q ∂ᵀ ln q + Σ q ∂∂ᵀ ln q = E ∂ ln q ∂ᵀ ln q + E ∂∂ᵀ ln q: the covariance of
    the score (*Fisher's information*) is the curvature of −ln q. With logits, ∂ ln q(z) / ∂l is
    one-hot(z) − q, and the covariance diag(q) − q qᵀ. For N(µ, σ²) the scores are ε / σ by µ and
    ε² − 1 by ln σ, with the variances 1 / σ² and 2.
    """
    values = 4
    logits = proof.rng.standard_normal((values,))
    q = under(logits)
    rows = np.broadcast_to(logits, (values, values))
    scores = grad(lambda rows: np.sum(log_q(rows, np.arange(values))))(rows)  # of each z
    proof.step("∇ ln q of each z", scores)
    # softmax 2 K + 4 and the sum K, of numbers below 1
    rounding = 3 * values + 4
    proof.equal("E ∇ ln q", q @ scores, 0.0, rounding=rounding, scale=1.0)
    covariance = (q[:, None] * scores).T @ scores
    curvature = np.diag(q) - np.outer(q, q)
    proof.equal("E ∇ ln q ∇ᵀ ln q", covariance, curvature, rounding=2 * rounding, scale=1.0)

    rule, mean, log_std = Nodes(), 0.5, -0.3
    z = mean + math.exp(log_std) * rule.standard_normal()
    by = each_draw(lambda m, s: normal.log_prob(m, s, z), mean, log_std, 4)
    for what, score, variance in (("µ", by[0], math.exp(-2 * log_std)), ("ln σ", by[1], 2.0)):
        # ε 4, its square 1, the weights 2 and the sum of 4; ε² is at most 5.5, its square 30
        name = f"E ∂ ln q / ∂{what}"
        proof.equal(name, np.sum(rule.weights * score), 0.0, rounding=12, scale=5.5)
        second = np.sum(rule.weights * score**2)
        proof.equal(f"variance by {what}", second, variance, rounding=24, scale=5.5)


def _smooth(z: Any) -> Any:
    return np.sin(2 * z) + 0.5 * z * z


def _score(f: Any, mean: Any, log_std: Any, rng: Any) -> Any:
    return score_function(f, normal, (mean, log_std), rng)


def _score_at_moving_draws(f: Any, mean: Any, log_std: Any, rng: Any) -> Any:
    """As if the draws could be differentiated through as well."""
    return _score(f, mean, log_std, rng) + pathwise(f, normal, (mean, log_std), rng)


def _path_without_noise(f: Any, mean: Any, log_std: Any, rng: Any) -> Any:
    """z = µ + σ, for which ∂z/∂ln σ = σ in place of σ ε."""
    return f(mean + np.exp(log_std) + np.exp(log_std.data) * (rng.standard_normal(mean.shape) - 1))


@claim(
    section="latent",
    statement=r"\nabla \mathbb{E}_q f = \mathbb{E}_q f(z) \nabla \ln q(z) = "
    r"\mathbb{E}_\varepsilon f'(z) \nabla z"
    "\n" + r"z = \mu + \sigma \varepsilon",
    says="Score function and reparameterisation estimate the same gradient.",
    source="Mohamed et al., §4 and §5; Kingma & Welling, §2.4",
    method="Monte Carlo",
    wrong={
        "both at once": {"score": _score_at_moving_draws},
        "the noise left out of ∂z/∂ln σ": {"path": _path_without_noise},
    },
)
def two_estimators_have_one_mean(
    proof: Proof,
    *,
    score=_score,
    path=lambda f, mean, log_std, rng: pathwise(f, normal, (mean, log_std), rng),
) -> None:
    """Differentiate the density, or the draw:

    ∇ ∫ q(z) f(z) dz = ∫ ∇q(z) f(z) dz = ∫ q(z) ∇ ln q(z) f(z) dz
    ∇ ∫ p(ε) f(µ + σ ε) dε = ∫ p(ε) f′(z) ∇(µ + σ ε) dε

    with ∂z/∂µ = 1 and ∂z/∂ln σ = σ ε. For f(z) = sin 2z + ½ z² the mean is known, for
    E exp(2iz) = exp(2iµ − 2σ²):

    E f = sin(2µ) exp(−2σ²) + ½ (µ² + σ²)
    """
    mean, log_std = 0.4 + 0.3 * proof.rng.random(()), -0.3 + 0.2 * proof.rng.random(())

    def expectation(mean: Any, log_std: Any) -> Any:
        variance = np.exp(2 * log_std)
        return np.sin(2 * mean) * np.exp(-2 * variance) + 0.5 * (mean * mean + variance)

    exact = np.stack([grad(expectation, i)(mean, log_std) for i in (0, 1)])
    proof.step("∇ E f by (µ, ln σ)", exact)
    for what, estimator in (("score function", score), ("pathwise", path)):
        found = each_draw(
            lambda m, s, e=estimator: e(_smooth, m, s, proof.rng), mean, log_std, DRAWS
        )
        draws = np.stack(found, axis=-1)
        proof.step(f"variance, {what}", np.var(draws, axis=0))
        proof.mean(what, draws, exact)


def _variance(weights: Any, draws: Any) -> Any:
    return np.sum(weights * draws**2) - np.sum(weights * draws) ** 2


def _variances_against_width() -> Any:
    figure, panel = axes("σ", "variance of one draw", y_scale="log")
    widths = [0.05 * k for k in range(1, 41)]
    mean = 1.0
    for name, f in (
        ("score function", lambda s: mean**4 / s**2 + 14 * mean**2 + 15 * s**2),
        ("with the best baseline", lambda s: 8 * mean**2 + 6 * s**2),
        ("pathwise", lambda s: 4 * s**2),
    ):
        panel.plot(widths, [f(s) for s in widths], label=name)
    panel.set_title("∂/∂µ of E z², µ = 1", fontsize=10)
    panel.legend(frameon=False, fontsize=9)
    return figure


@claim(
    section="latent",
    statement=r"f = z^2: \quad \mathrm{Var}[f'(z)] = 4 \sigma^2"
    "\n"
    + r"\mathrm{Var}[f(z)\, \partial_\mu \ln q] = \dfrac{\mu^4}{\sigma^2} + 14 \mu^2 + 15 \sigma^2",
    says="As q narrows, the pathwise gradient becomes certain, and the score function's useless.",
    source="Mohamed et al., §3 (f = (x − k)², k = 0)",
    method="quadrature",
    wrong={
        "the third and fifth powers' means dropped": {
            "of_score": lambda m, v: m**4 / v + 3 * v,
        },
        "the second moment taken for the variance": {
            "of_score": lambda m, v: m**4 / v + 18 * m**2 + 15 * v,
        },
    },
    figure=_variances_against_width,
)
def variances_of_both_estimators(
    proof: Proof, *, of_score=lambda m, v: m**4 / v + 14 * m**2 + 15 * v
) -> None:
    """E z² = µ² + σ² has the derivative 2µ by µ. With z = µ + σ ε and E ε², ε⁴, ε⁶ = 1, 3, 15:

    pathwise    f′(z) = 2 (µ + σ ε)           mean 2µ,   variance 4σ²
    score       f(z) ε / σ = µ² ε / σ + 2µ ε² + σ ε³

    Its mean is 2µ too. The square has the mean µ⁴ / σ² + 2 µ² · 3 + 4µ² · 3 + 15σ², and less 4µ²

    µ⁴ / σ² + 14µ² + 15σ²

    At the four nodes that stand for the noise, means of polynomials up to the degree 7 are exact.
    """
    rule, mean, log_std = Nodes(), 0.5 + proof.rng.random(()), -proof.rng.random(())
    variance, std = np.exp(2 * log_std), np.exp(log_std)
    path, score = (
        each_draw(lambda m, s, e=e: e(_quadratic, normal, (m, s), rule), mean, log_std, 4)[0]
        for e in (pathwise, score_function)
    )
    # nodes 4, z 2, f 2, the score 6, weights 2 and the sum of 4, and as many again in the square
    rounding, size = 40, np.max(np.abs(score))
    for what, draws in (("pathwise", path), ("score function", score)):
        average = np.sum(rule.weights * draws)
        proof.equal(f"mean, {what}", average, 2 * mean, rounding=rounding, scale=size)
    proof.step("σ", std)
    found = _variance(rule.weights, path)
    proof.equal("variance, pathwise", found, 4 * variance, rounding=rounding, scale=size**2)
    found = _variance(rule.weights, score)
    right = of_score(mean, variance)
    proof.equal("variance, score function", found, right, rounding=rounding, scale=size**2)


@claim(
    section="latent",
    statement=r"\mathbb{E} (f - b) \nabla \ln q = \nabla \mathbb{E} f, \quad"
    r" b^* = \dfrac{\mathbb{E} f s^2}{\mathbb{E} s^2}"
    "\n" + r"\mathrm{Var}(b) = \mathrm{Var}(b^*) + (b - b^*)^2\, \mathbb{E} s^2",
    says="Any baseline leaves the mean alone, and one makes the variance least: not quite E f.",
    source="E. Greensmith, P. L. Bartlett and J. Baxter (2004), Variance reduction techniques",
    method="quadrature",
    wrong={
        "the mean of f taken for the best": {"best": lambda m, v: m**2 + v},
        "f at the mean taken for the best": {"best": lambda m, v: m**2},
    },
)
def the_best_baseline(proof: Proof, *, best=lambda m, v: m**2 + 3 * v) -> None:
    """With the score s = ∇ ln q, E s = 0, so E (f − b) s = E f s whatever b is. The variance

    E (f − b)² s² − (E f s)² = E f² s² − 2b E f s² + b² E s² − (E f s)²

    is a parabola in b with its lowest point at b* = E f s² / E s². For f = z² and s = ε / σ

    b* = E (µ + σ ε)² ε² = µ² + 3σ²         E s² = 1 / σ²         Var(b*) = 8µ² + 6σ²

    which unlike the variance without a baseline stays finite as σ → 0.
    """
    rule, mean, log_std = Nodes(), 0.5 + proof.rng.random(()), -proof.rng.random(())
    variance = np.exp(2 * log_std)
    b = best(mean, variance)
    proof.step("b*", b)

    def draws(b: Any) -> Any:
        def estimate(m: Any, s: Any) -> Any:
            return score_function(_quadratic, normal, (m, s), rule, lambda _: b)

        return each_draw(estimate, mean, log_std, 4)[0]

    least = 8 * mean**2 + 6 * variance
    found = _variance(rule.weights, draws(b))
    # as in the variances above
    rounding, size = 40, np.max(np.abs(draws(0.0)))
    proof.equal("Var(b*)", found, least, rounding=rounding, scale=size**2)
    for what, other in (("0", 0.0), ("E f", mean**2 + variance), ("5", 5.0)):
        values = draws(other)
        average = np.sum(rule.weights * values)
        size = np.max(np.abs(values)) + 5.0
        proof.equal(f"mean, b = {what}", average, 2 * mean, rounding=rounding, scale=size)
        right = least + (other - b) ** 2 / variance
        found = _variance(rule.weights, values)
        proof.equal(f"Var(b), b = {what}", found, right, rounding=rounding, scale=size**2)


@claim(
    section="latent",
    statement=r"\mathbb{E} \frac{1}{k} \sum_i (f(z_i) - b_i) \nabla \ln q(z_i)"
    r" = \nabla \mathbb{E} f, \quad b_i = \dfrac{1}{k - 1} \sum_{j \neq i} f(z_j)",
    says="The mean of the other draws is a baseline; with the draw's own f the gradient shrinks.",
    source="W. Kool, H. van Hoof and M. Welling (2019), Buy 4 REINFORCE samples",
    method="Monte Carlo",
    wrong={
        "the mean of all draws": {"baseline": lambda values: np.mean(values, axis=0)},
    },
)
def a_baseline_leaves_its_own_draw_out(proof: Proof, *, baseline=leave_one_out) -> None:
    """b_i depends on the other draws only. Given them, s_i = ∇ ln q(z_i) has the mean 0, and

    E (f(z_i) − b_i) s_i = E f s − b_i E s = E f s

    The mean of all k has the draw's own f(z_i) / k in it, which takes E f s / k off: what is
    estimated then is (1 − 1/k) ∇ E f.
    """
    k, classes = 2, 3
    logits = Tensor(np.broadcast_to(np.array([0.5, 0.0, -0.5]), (k, DRAWS, classes)) * 1.0)
    worth = np.array([1.0, 3.0, -2.0])
    values = score_function(
        lambda z: np.sum(one_hot(z, classes, "float64") * worth, axis=-1),
        categorical,
        (logits,),
        proof.rng,
        baseline,
    )
    np.sum(np.mean(values, axis=0)).backward()
    exact = grad(lambda logits: np.sum(softmax(logits) * worth))(logits.data[0, 0])
    few = 1 + proof.rng.random((3, 4))  # of three draws, four times
    others = np.stack([few[1] + few[2], few[0] + few[2], few[0] + few[1]]) / 2
    proof.equal("b_i", leave_one_out(few), others, rounding=6)
    proof.step("∇ E f by the logits", exact)
    proof.mean("(f − b) ∇ ln q", np.sum(logits.grad, axis=0), exact)


@claim(
    section="latent",
    statement=r"\mathcal{L}(\varphi) = x \varphi^2 + \ln \varphi: \quad"
    r" \nabla \mathcal{L} = 2 \varphi x + \dfrac{1}{\varphi}"
    "\n"
    + r"\mathcal{L} = \mathbb{E}_{\mathcal{N}(0, \varphi^2)}[x z^2] + H - \frac{1}{2} \ln 2 \pi e",
    says="The recipe of variational inference, from model to gradient, on the lecture's example.",
    source="Lecture example",
    method="step by step",
    wrong={
        "the gradient of ln φ forgotten": {"gradient": lambda x, phi: 2 * phi * x},
        "the square not differentiated": {"gradient": lambda x, phi: phi * phi * x + 1 / phi},
        "the entropy's sign": {"gradient": lambda x, phi: 2 * phi * x - 1 / phi},
    },
)
def the_variational_recipe(proof: Proof, *, gradient=lambda x, phi: 2 * phi * x + 1 / phi) -> None:
    """1. A model: ln p(x, z) = x z² + constant, with x < 0.
    2. A family: q(z; φ) = N(0, φ²).
    3. The bound: E_q x z² = x φ², and the entropy of q is ln φ + ½ ln 2πe. So up to constants

        L(φ) = x φ² + ln φ

    4. Its gradient: 2φx + 1/φ. With z = φ ε it is also the mean of ε ∂(x z²)/∂z + 1/φ, since
       E 2x φ ε² = 2φx: what a draw of ε gives is unbiased.
    5. Its zero: φ² = −1 / 2x. There q is the posterior, ∝ exp(x z²).
    """
    rule, x = Nodes(), -0.5 - proof.rng.random(())
    phi = 0.3 + proof.rng.random(())
    proof.step("x", x)
    proof.step("φ", phi)

    def bound(phi: Any) -> Any:
        return x * phi**2 + np.log(phi)

    slope = gradient(x, phi)
    size = 2 * phi * np.abs(x) + 1 / phi
    proof.equal("the engine's gradient of L", grad(bound)(phi), slope, rounding=6, scale=size)

    def each(log_phi: Any) -> Any:
        z = pathwise(lambda z: x * z * z, normal, (np.zeros(4), log_phi + np.zeros(4)), rule)
        return z + normal.entropy(log_phi)

    # the rule 10, σ = exp ln φ 4, products 4; ε² at most 5.5
    value = np.sum(rule.weights * each(np.log(phi)))
    right = bound(phi) + 0.5 * math.log(2 * math.pi * math.e)
    proof.equal("E_q x z² + H", value, right, rounding=18, scale=5.5 * size)
    by_log = grad(lambda s: np.sum(rule.weights * each(s)))(np.log(phi))
    proof.equal("the pathwise gradient", by_log / phi, slope, rounding=18, scale=5.5 * size)
    best = np.sqrt(-1 / (2 * x))
    proof.equal("the gradient at φ²= −1/2x", gradient(x, best), 0.0, rounding=6, scale=2 / best)
    z = np.array([-1.0, 0.3, 2.0])
    ratio = normal.log_prob(0.0, np.log(best), z) - x * z * z
    proof.equal("ln q − x z², the same for all z", ratio - ratio[0], 0.0, rounding=12, scale=10.0)
