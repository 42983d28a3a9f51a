"""Divergences: how far one distribution is from another, by measures that disagree.

T. M. Cover and J. A. Thomas (2006), "Elements of information theory"; J. Lin (1991), "Divergence
measures based on the Shannon entropy"; M. Arjovsky, S. Chintala and L. Bottou (2017), "Wasserstein
GAN".
"""

from __future__ import annotations

import math
from typing import Any

import autograd.numpy as np
from autograd import backend
from scratchgen.derivations.claim import claim
from scratchgen.derivations.discrete import (
    distribution,
    entropy,
    js,
    kl,
    mutual_information,
    roundings,
)
from scratchgen.derivations.figures import axes
from scratchgen.derivations.proof import Proof
from scratchgen.judging.scores import wasserstein_distance

CELLS = 8
"""Of the random distributions here."""


@claim(
    section="information",
    statement=r"\mathrm{KL}(p \,\|\, q) = \sum_x p(x) \ln \frac{p(x)}{q(x)} \geq 0",
    says="A divergence is never negative, and zero for equal distributions only.",
    source="Cover & Thomas, theorem 2.6.3 (Gibbs' inequality)",
    method="enumeration",
    wrong={"the mean under q, not p": {"divergence": lambda p, q: -kl(q, p)}},
)
def gibbs_inequality(proof: Proof, *, divergence=kl) -> None:
    """The logarithm lies below its tangent at 1, ln t ≤ t − 1, and meets it there only. So

    −KL(p ‖ q) = Σ p ln (q / p) ≤ Σ p (q / p − 1) = Σ q − Σ p = 0

    and where p ≠ q in some x, it is less.
    """
    p, q = distribution(proof.rng, CELLS), distribution(proof.rng, CELLS)
    ratio = q / p
    proof.at_most("ln (q / p)", np.log(ratio), ratio - 1, rounding=4)
    proof.step("KL(p ‖ q)", divergence(p, q))
    proof.at_most("0 ≤ KL(p ‖ q)", 0.0, divergence(p, q), rounding=roundings(CELLS))
    proof.equal("KL(p ‖ p)", divergence(p, p), 0.0, rounding=roundings(CELLS), scale=entropy(p))


@claim(
    section="information",
    statement=r"\mathrm{KL}(p \,\|\, q) = \frac{1}{2} \ln \frac{4}{3}"
    "\n" + r"\mathrm{KL}(q \,\|\, p) = \frac{3}{4} \ln 3 - \ln 2",
    says="KL is no distance: from p to q it is not as far as from q to p.",
    source="Cover & Thomas, example 2.3.1 with r = 1/2 and s = 1/4",
    method="closed form",
    wrong={"taken for a distance": {"back": lambda q, p: kl(p, q)}},
)
def kl_is_not_symmetric(proof: Proof, *, back=kl) -> None:
    """A fair coin p = (½, ½), and q = (¾, ¼):

    KL(p ‖ q) = ½ ln (½ / ¾) + ½ ln (½ / ¼) = ½ ln (⅔ · 2) = ½ ln (4/3) = 0.1438
    KL(q ‖ p) = ¾ ln (¾ / ½) + ¼ ln (¼ / ½) = ¾ ln 3 − ¾ ln 2 − ¼ ln 2 = ¾ ln 3 − ln 2 = 0.1308
    """
    p, q = np.array([0.5, 0.5]), np.array([0.75, 0.25])
    forth, there = 0.5 * math.log(4 / 3), 0.75 * math.log(3) - math.log(2)
    proof.equal("KL(p ‖ q)", kl(p, q), forth, rounding=roundings(2), scale=math.log(2))
    proof.equal("KL(q ‖ p)", back(q, p), there, rounding=roundings(2), scale=math.log(2))
    proof.differ("KL(p ‖ q) ≠ KL(q ‖ p)", kl(p, q), back(q, p), by=0.013)


def _smoothed(p: Any, q: Any) -> Any:
    """KL to q mixed with a little of the uniform distribution."""
    return kl(p, 0.999 * q + 0.001 / len(q))


@claim(
    section="information",
    statement=r"q(x) = 0 < p(x) \;\Rightarrow\; \mathrm{KL}(p \,\|\, q) = \infty",
    says="Where q excludes what p allows, KL is infinite, and the other way round it need not be.",
    source="Cover & Thomas, eq. 2.26",
    method="closed form",
    wrong={"zeros made small numbers": {"divergence": _smoothed}},
)
def kl_may_be_infinite(proof: Proof, *, divergence=kl) -> None:
    """With p = (½, ½) and q = (1, 0), by p ln (p / 0) = ∞ and 0 ln (0 / p) = 0,

    KL(p ‖ q) = ½ ln ½ + ½ ln (½ / 0) = ∞
    KL(q ‖ p) = 1 ln (1 / ½) + 0 = ln 2
    """
    p, q = np.array([0.5, 0.5]), np.array([1.0, 0.0])
    proof.equal("KL(p ‖ q)", divergence(p, q), math.inf, rounding=0)
    proof.equal("KL(q ‖ p)", divergence(q, p), math.log(2), rounding=roundings(2))


@claim(
    section="information",
    statement=r"-\sum_x p(x) \ln q(x) = H(p) + \mathrm{KL}(p \,\|\, q)",
    says="A code made for q costs the entropy of p and, on top, their divergence.",
    source="Cover & Thomas, theorem 5.4.3",
    method="enumeration",
    wrong={"the divergence the wrong way round": {"divergence": lambda p, q: kl(q, p)}},
)
def cross_entropy_is_entropy_plus_divergence(proof: Proof, *, divergence=kl) -> None:
    """Write ln q = ln p − ln (p / q) under the sum:

    −Σ p ln q = −Σ p ln p + Σ p ln (p / q) = H(p) + KL(p ‖ q)

    So to minimise a cross-entropy over q, as in maximum likelihood, is to minimise KL(p ‖ q).
    """
    p, q = distribution(proof.rng, CELLS), distribution(proof.rng, CELLS)
    cross_entropy = -np.sum(p * np.log(q))
    proof.step("H(p)", entropy(p))
    proof.step("KL(p ‖ q)", divergence(p, q))
    right = entropy(p) + divergence(p, q)
    proof.equal("−Σ p ln q", cross_entropy, right, rounding=roundings(CELLS))


def _marginals(joint: Any) -> tuple[Any, Any]:
    return np.sum(joint, axis=1), np.sum(joint, axis=0)


@claim(
    section="information",
    statement=r"\mathrm{KL}(p(x, y) \,\|\, q(x)\, r(y)) = "
    "\n" + r"\quad \mathrm{KL}(p(x) \,\|\, q) + \mathrm{KL}(p(y) \,\|\, r) + I_p(X; Y)",
    says="Divergences of independent variables add up; dependence costs its mutual information.",
    source="Cover & Thomas, theorem 2.5.3",
    method="enumeration",
    wrong={
        "the dependence forgotten": {"dependence": lambda joint: 0.0},
        "the dependence of the wrong sign": {
            "dependence": lambda joint: -mutual_information(joint)
        },
    },
)
def divergences_of_independent_variables_add(
    proof: Proof, *, dependence=mutual_information
) -> None:
    """Under the logarithm, p(x, y) / q(x) r(y) = p(x) / q(x) · p(y) / r(y) · p(x, y) / p(x) p(y).

    The mean of each part under p(x, y) is one of the terms. Where X and Y are independent under p
    too, p(x, y) = p(x) p(y), the last is 0.
    """
    joint = distribution(proof.rng, 3, 4)
    q, r = distribution(proof.rng, 3), distribution(proof.rng, 4)
    x, y = _marginals(joint)
    apart = kl(x, q) + kl(y, r)
    proof.step("KL(p(x) ‖ q) + KL(p(y) ‖ r)", apart)
    proof.step("I(X; Y)", dependence(joint))
    # entropies of the table are at most ln 12 and the terms of cross-entropies at most twice that
    size, rounding = 2 * math.log(12), roundings(12)
    whole = kl(joint, np.outer(q, r))
    right = apart + dependence(joint)
    proof.equal("KL(p(x, y) ‖ q r)", whole, right, rounding=rounding, scale=size)
    independent = kl(np.outer(x, y), np.outer(q, r))
    proof.equal("KL(p(x) p(y) ‖ q r)", independent, apart, rounding=rounding, scale=size)


def _mixed(a: Any, b: Any, share: float) -> Any:
    return share * a + (1 - share) * b


@claim(
    section="information",
    statement=r"\mathrm{KL}(\lambda p_1 + \mu p_2 \,\|\, \lambda q_1 + \mu q_2) \leq"
    "\n" + r"\quad \lambda \mathrm{KL}(p_1 \,\|\, q_1) + \mu \mathrm{KL}(p_2 \,\|\, q_2),"
    r"\quad \mu = 1 - \lambda",
    says="KL is convex in both distributions together: mixing brings them nearer.",
    source="Cover & Thomas, theorem 2.7.2",
    method="enumeration",
    wrong={
        "the second pair mixed the other way": {"other": lambda a, b, share: _mixed(b, a, share)},
    },
)
def kl_is_convex(proof: Proof, *, other=_mixed) -> None:
    """A coin chooses the pair, the first with probability λ.

    Of (coin, x) the divergence is the mean on the right, by the chain rule, as both coins are the
    same and add nothing. To forget the coin is a processing of (coin, x), which never raises a
    divergence; what is left is the divergence of the mixtures.
    """
    fixed = [np.array(x) for x in ([0.9, 0.1], [0.1, 0.9], [0.8, 0.2], [0.3, 0.7])]
    random = [distribution(proof.rng, CELLS) for _ in range(4)]
    for what, (p, p2, q, q2) in (("of coins", fixed), ("of random ones", random)):
        for share in (0.25, 0.5):
            left = kl(_mixed(p, p2, share), other(q, q2, share))
            right = share * kl(p, q) + (1 - share) * kl(p2, q2)
            # mixing adds 3 roundings; entropies are at most ln 8
            rounding, size = roundings(CELLS) + 3, math.log(CELLS)
            proof.at_most(f"KL {what}, λ = {share}", left, right, rounding=rounding, scale=size)


@claim(
    section="information",
    statement=r"2\, \mathrm{TV}(p, q)^2 \leq \mathrm{KL}(p \,\|\, q),"
    "\n" + r"\mathrm{TV}(p, q) = \frac{1}{2} \sum_x |p(x) - q(x)|",
    says="A small divergence leaves no event with very different probabilities.",
    source="Cover & Thomas, lemma 11.6.1 (Pinsker's inequality)",
    method="enumeration",
    wrong={"total variation without the ½": {"half": 1.0}},
)
def divergence_bounds_total_variation(proof: Proof, *, half=0.5) -> None:
    """Two values are enough: to merge those with p > q, and the rest, leaves TV and lowers KL.

    For these, KL as a function of q has the slope (q − p) / q (1 − q), which for q > p is at least
    4 (q − p), the slope of 2 (p − q)², since q (1 − q) ≤ ¼; likewise for q < p. Near p = q = ½ the
    two sides agree, so that 2 is the best constant.
    """
    coins = np.array([0.5 + 0.01, 0.5 - 0.01]), np.array([0.5, 0.5])
    random = distribution(proof.rng, CELLS), distribution(proof.rng, CELLS)
    for what, (p, q) in (("of coins", coins), ("of random ones", random)):
        variation = half * np.sum(np.abs(p - q))
        proof.step(f"TV {what}", variation)
        divergence = kl(p, q)
        rounding, size = roundings(CELLS), math.log(CELLS)
        proof.at_most(f"2 TV² {what}", 2 * variation**2, divergence, rounding=rounding, scale=size)


@claim(
    section="information",
    statement=r"\mathrm{JS}(p, q) = H\left(\frac{p + q}{2}\right) - \frac{H(p) + H(q)}{2}",
    says="JS is what a draw of the mixture tells about which of the two it is from.",
    source="Lin (1991)",
    method="enumeration",
    wrong={"the halves of the entropies forgotten": {"half": 1.0}},
)
def js_is_a_mutual_information(proof: Proof, *, half=0.5) -> None:
    """A fair coin C chooses p or q, and X is drawn from it, so its distribution is m = ½ (p + q).

    I(C; X) = H(X) − H(X | C) = H(m) − ½ H(p) − ½ H(q)
    I(C; X) = Σ ½ p ln (½ p / ½ m) + Σ ½ q ln (½ q / ½ m) = ½ KL(p ‖ m) + ½ KL(q ‖ m) = JS(p, q)
    """
    p, q = distribution(proof.rng, CELLS), distribution(proof.rng, CELLS)
    divergence, mixture = js(p, q), entropy(0.5 * (p + q))
    told = mutual_information(0.5 * np.stack([p, q]))
    proof.step("JS(p, q)", divergence)
    difference = mixture - half * entropy(p) - half * entropy(q)
    rounding, size = roundings(2 * CELLS), mixture
    proof.equal("H(m) − ½ H(p) − ½ H(q)", difference, divergence, rounding=rounding, scale=size)
    proof.equal("I(C; X)", told, divergence, rounding=rounding, scale=size + math.log(2))


def _without_halves(p: Any, q: Any) -> Any:
    return 2 * js(p, q)


@claim(
    section="information",
    statement=r"0 \leq \mathrm{JS}(p, q) = \mathrm{JS}(q, p) \leq \ln 2",
    says="JS is symmetric, and ln 2 at most, which it is where p and q share nothing.",
    source="Lin (1991)",
    method="enumeration",
    wrong={
        "without the halves": {"divergence": _without_halves},
        "KL in place of JS": {"divergence": kl},
    },
)
def js_is_at_most_ln_two(proof: Proof, *, divergence=js) -> None:
    """As p ≤ 2m for the mixture m = ½ (p + q), ln (p / m) ≤ ln 2, with equality where q = 0:

    KL(p ‖ m) = Σ p ln (p / m) ≤ ln 2,      and so for q, and for the mean of the two.
    """
    p, q = distribution(proof.rng, CELLS), distribution(proof.rng, CELLS)
    rounding, size = roundings(CELLS), math.log(CELLS)
    value = divergence(p, q)
    proof.at_most("0 ≤ JS(p, q)", 0.0, value, rounding=rounding, scale=size)
    proof.equal("JS(p, q) = JS(q, p)", value, divergence(q, p), rounding=rounding, scale=size)
    proof.at_most("JS(p, q) ≤ ln 2", value, math.log(2), rounding=rounding, scale=size)
    apart = np.concatenate([p, np.zeros(CELLS)]), np.concatenate([np.zeros(CELLS), q])
    proof.equal("JS of disjoint p, q", divergence(*apart), math.log(2), rounding=2 * rounding)


POINTS = 6
"""On each of the parallel lines."""


def _on_lines(theta: float) -> tuple[Any, Any]:
    """P and Q as probabilities of the points of both lines, which for θ = 0 are the same points."""
    if theta == 0:
        same = np.full(POINTS, 1 / POINTS)
        return same, same
    p = np.concatenate([np.full(POINTS, 1 / POINTS), np.zeros(POINTS)])
    return p, np.flip(p)


def _carried(theta: float, heights: Any) -> float:
    """W(P, Q), exactly, by the best assignment of the points of one line to those of the other."""
    y = backend.to_numpy(heights)[:, None]
    return wasserstein_distance(y * [0, 1], y * [0, 1] + [theta, 0])


def _parallel_lines() -> Any:
    figure, panel = axes("θ", "nats; of W, a distance")
    grid = [i / 20 for i in range(-30, 31)]
    heights, top = np.arange(POINTS) / POINTS, 1.8
    panel.plot(grid, [_carried(theta, heights) for theta in grid], label="W(P, Q) = |θ|")
    jumps = [float(backend.to_numpy(js(*_on_lines(theta)))) for theta in grid]
    panel.plot(grid, [x or math.nan for x in jumps], label="JS(P, Q) = ln 2")
    panel.plot(grid, [top if theta else math.nan for theta in grid], "--", label="KL(P ‖ Q) = ∞")
    panel.plot(0, 0, "o", color="tab:red", label="all three, θ = 0")
    panel.set_yticks([0, math.log(2), 1, 1.5, top], ["0", "ln 2", "1", "1.5", "∞"])
    panel.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


@claim(
    section="information",
    statement=r"\mathrm{KL}(P \,\|\, Q) = \infty, \quad \mathrm{JS}(P, Q) = \ln 2, "
    r"\quad W(P, Q) = |\theta|",
    says="Of two parallel lines only transport tells how far they are apart.",
    source="Arjovsky, Chintala & Bottou, example 1; lecture example",
    method="exact transport",
    wrong={
        "the squared distance carried": {"distance": lambda *x: _carried(*x) ** 2},
        "JS taken for a distance, too": {"apart": lambda theta: math.log(2) * abs(theta)},
    },
    figure=_parallel_lines,
)
def parallel_lines(proof: Proof, *, distance=_carried, apart=lambda theta: math.log(2)) -> None:
    """P is uniform on the line x = 0 between y = 0 and 1, Q on the line x = θ.

    For θ ≠ 0 they share no point, so that KL is infinite both ways, and JS is ln 2. A point (0, y)
    cannot be carried to the other line over less than |θ|, and straight across it is just that:
    W = |θ|. For θ = 0 all three are 0. As θ goes to 0, W does, but JS and KL jump: they have no
    slope to follow.

    (Here with a few random points on each line, of the same heights.)
    """
    heights = proof.rng.random((POINTS,))
    thetas = [-1.5, -0.1, 1e-6, 0.3, 2.0]
    pairs, far = [_on_lines(theta) for theta in thetas], np.array([abs(t) for t in thetas])
    forth, back = np.stack([kl(p, q) for p, q in pairs]), np.stack([kl(q, p) for p, q in pairs])
    proof.step("θ", thetas)
    proof.equal("KL(P ‖ Q)", forth, math.inf, rounding=0)
    proof.equal("KL(Q ‖ P)", back, math.inf, rounding=0)
    shared = np.stack([js(p, q) for p, q in pairs])
    right = np.array([apart(theta) for theta in thetas])
    proof.equal("JS(P, Q)", shared, right, rounding=roundings(2 * POINTS))
    carried = np.array([distance(theta, heights) for theta in thetas])
    # of each distance 4 roundings, of their mean POINTS
    proof.equal("W(P, Q) = |θ|", carried, far, rounding=4 + POINTS, scale=far)
    same, _ = _on_lines(0.0)
    proof.equal("JS(P, Q), θ = 0", js(same, same), 0.0, rounding=roundings(POINTS), scale=1.0)
    proof.equal("W(P, Q), θ = 0", distance(0.0, heights), 0.0, rounding=4 + POINTS, scale=1.0)
