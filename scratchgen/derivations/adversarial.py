"""The adversarial game: what the best critic knows, and what its players make of it.

Data x have the distribution p, draws of a generator q. A critic gives each value a score s, and a
loss of scratchgen.models.adversarial.losses is a mean over scores of data and of draws. Here the
values are a few, and the batches hold each of them as often as p and q say: their means are
expectations, exactly.

I. Goodfellow et al. (2014), "Generative adversarial nets"; M. Arjovsky and L. Bottou (2017),
"Towards principled methods for training generative adversarial networks"; X. Mao et al. (2017),
"Least squares generative adversarial networks"; J. H. Lim and J. C. Ye (2017), "Geometric GAN"; G.
Gidel et al. (2019), "A variational inequality perspective on generative adversarial networks".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import autograd.numpy as np
from autograd import backend, constant, grad, hessian
from autograd.nn import one_hot, sigmoid, softmax
from scratchgen.derivations.claim import claim
from scratchgen.derivations.discrete import distribution, js, kl, roundings
from scratchgen.derivations.figures import axes
from scratchgen.derivations.proof import Proof
from scratchgen.models.adversarial import bilinear
from scratchgen.models.adversarial.losses import LOSSES

CELLS = 6
"""Values that data and draws have."""

BATCH = 60
"""Of data; the batches of draws are half as large again, so that p and q never are the same."""

LN_4 = math.log(4)

# ------------------------------------------------------------------------------ the best critic


def _batches(rng: Any) -> tuple[Any, Any]:
    """Values of data (N,) and of draws (1.5 N,), each value at least once in both."""
    return _batch(rng, BATCH), _batch(rng, 3 * BATCH // 2 + 1)


def _batch(rng: Any, size: int) -> Any:
    return np.concatenate([np.arange(CELLS), rng.integers(0, CELLS, (size - CELLS,))])


def _frequencies(batch: Any) -> Any:
    """The distribution (K,) that a batch is of."""
    return np.mean(one_hot(batch, CELLS, "float64"), axis=0)


def _critic_loss(loss: str, real: Any, fake: Any) -> Callable[[Any], Any]:
    """Scores of the values (K,) → what the critic minimises."""
    return lambda scores: LOSSES[loss].critic(scores[real], scores[fake])


def _log_odds(p: Any, q: Any) -> Any:
    return np.log(p / q)


@claim(
    section="adversarial",
    statement=r"D^*(x) = \frac{p(x)}{p(x) + q(x)}, \quad s^*(x) = \ln \frac{p(x)}{q(x)}",
    says="The best discriminator gives the probability that a value is of the data.",
    source="Goodfellow et al., proposition 1",
    method="closed form",
    wrong={
        "the odds of the draws": {"best": lambda p, q: np.log(q / p)},
        "p alone, whatever q is": {"best": lambda p, q: np.log(p / (1 - p))},
    },
)
def the_best_discriminator(proof: Proof, *, best=_log_odds) -> None:
    """The critic's loss is a sum over values, of which each has a score of its own:

    L = Σ p softplus(−s) + q softplus(s)
    ∂L/∂s = −p σ(−s) + q σ(s) = (p + q) σ(s) − p       which is 0 at D = σ(s) = p / (p + q)
    ∂²L/∂s² = (p + q) σ(s) σ(−s) > 0                   so that L is convex, and least there

    By σ(s) / σ(−s) = exp s the score is ln (p / q); and (p + q) D (1 − D) = p q / (p + q).
    """
    real, fake = _batches(proof.rng)
    p, q = _frequencies(real), _frequencies(fake)
    loss, scores = _critic_loss("saturating", real, fake), best(p, q)
    proof.step("D*", sigmoid(scores))
    # a sum over the batch, of each term a logarithm, an exponential and 2 quotients
    rounding = 2 * BATCH + 8
    proof.equal("D*", sigmoid(scores), p / (p + q), rounding=8)
    proof.equal("∂L/∂s", grad(loss)(scores), 0.0, rounding=rounding, scale=np.max(p + q))
    curvature = np.diag(p * q / (p + q))
    proof.equal("∂²L/∂s²", hessian(loss)(scores), curvature, rounding=rounding)
    other = scores + proof.rng.standard_normal((CELLS,))
    proof.at_most("L(s*) ≤ L(s)", loss(scores), loss(other), rounding=rounding)


@claim(
    section="adversarial",
    statement=r"\max_D V = 2\, \mathrm{JS}(p, q) - \ln 4"
    "\n" + r"\mathrm{TV}(p, q)^2 \leq \max_D V + \ln 4",
    says="To the best discriminator the game is worth −ln 4 where p = q, and more elsewhere.",
    source="Goodfellow et al., theorem 1",
    method="enumeration",
    wrong={
        "JS counted once": {"times": 1.0},
        "−ln 2 at p = q": {"least": -math.log(2)},
    },
)
def the_value_of_the_game(proof: Proof, *, times=2.0, least=-LN_4) -> None:
    """Put D* into V = E_p ln D + E_q ln (1 − D), with the mixture m = ½ (p + q):

    V = Σ p ln (p / 2m) + Σ q ln (q / 2m) = KL(p ‖ m) + KL(q ‖ m) − 2 ln 2 = 2 JS(p, q) − ln 4

    JS is 0 for p = q, and only then: by Pinsker's inequality each of the divergences is at least
    2 TV(p, m)² = ½ TV(p, q)², so that V + ln 4 ≥ TV(p, q)², which is 0 for p = q alone.
    """
    real, fake = _batches(proof.rng)
    p, q = _frequencies(real), _frequencies(fake)
    value = -_critic_loss("saturating", real, fake)(_log_odds(p, q))
    proof.step("JS(p, q)", js(p, q))
    # a sum over the batch, and those of the divergences, of which none is above ln 4
    rounding = 2 * BATCH + roundings(CELLS)
    right = times * js(p, q) + least
    proof.equal("V at D*", value, right, rounding=rounding, scale=LN_4)
    variation = 0.5 * np.sum(np.abs(p - q))
    above = value - least
    proof.at_most("TV² ≤ V + ln 4", variation**2, above, rounding=rounding, scale=LN_4)
    same = -_critic_loss("saturating", real, real)(np.zeros(CELLS))
    proof.equal("V where p = q", same, least, rounding=rounding)


# ----------------------------------------------------------------------- the generator's gradient


def _pull(loss: str, scores: Any) -> Any:
    """The gradient by each score (N,) of what the generator minimises, its mean not divided."""
    return len(scores) * grad(LOSSES[loss].generator)(scores)


def _pulls() -> Any:
    figure, panel = axes("score s of a draw", "gradient by s")
    scores = np.linspace(-6, 6, 121)
    for loss, formula in (("saturating", "−σ(s)"), ("nonsaturating", "−σ(−s)"), ("wgan", "−1")):
        pull = backend.to_numpy(_pull(loss, scores))
        panel.plot(backend.to_numpy(scores), pull, label=f"{loss}: {formula}")
    panel.annotate("the critic is sure:\nthese are draws", (-5.9, -0.45), fontsize=9)
    panel.legend(frameon=False, fontsize=9)
    return figure


@claim(
    section="adversarial",
    statement=r"\frac{\partial}{\partial s} \ln (1 - D) = -\sigma(s),"
    r"\quad \frac{\partial}{\partial s} (-\ln D) = -\sigma(-s)",
    says="Sure of a draw, the critic leaves the saturating loss no gradient, the other its most.",
    source="Goodfellow et al., §3",
    method="closed form",
    wrong={
        "the two exchanged": {"slope": lambda s: sigmoid(-s)},
        "by D, not by its logit": {"slope": lambda s: 1 / sigmoid(-s)},
    },
    figure=_pulls,
)
def saturating_and_nonsaturating_gradients(proof: Proof, *, slope=sigmoid) -> None:
    """With D = σ(s), whose slope is D (1 − D):

    ln (1 − D)      −D (1 − D) / (1 − D) = −D = −σ(s)
    −ln D           −D (1 − D) / D = −(1 − D) = −σ(−s)

    Both are negative, so both losses raise the scores of draws; they add up to −1, and are
    exp s to 1. Of a draw that the critic is sure of, s = −20, the first is 2 · 10⁻⁹.
    """
    scores = np.concatenate([3 * proof.rng.standard_normal((6,)), np.array([-20.0, 20.0])])
    saturating, other = _pull("saturating", scores), _pull("nonsaturating", scores)
    proof.step("s", scores)
    proof.step("−σ(s)", saturating)
    proof.step("−σ(−s)", other)
    # an exponential has 2 roundings, what is made of it 3, and the mean, divided and not, 2
    proof.equal("of ln (1 − D)", saturating, -slope(scores), rounding=8, scale=saturating)
    proof.equal("of −ln D", other, -slope(-scores), rounding=8, scale=other)
    proof.equal("their sum", saturating + other, -1.0, rounding=8)
    both = np.maximum(saturating, other)
    proof.at_most("both raise the score", both, 0.0, rounding=0)


def _as_draws_change(loss: str, logits: Any, p: Any, held: Callable[[Any], Any]) -> Any:
    """∂/∂θ of the generator's loss where q = softmax(θ) and the critic is the best one for it."""

    def mean_loss(theta: Any) -> Any:
        q = softmax(theta)
        scores = _log_odds(p, held(q))
        each = np.stack([LOSSES[loss].generator(scores[k : k + 1]) for k in range(CELLS)])
        return np.sum(q * each)

    return grad(mean_loss)(logits)


@claim(
    section="adversarial",
    statement=r"\nabla_\theta E_q \ln (1 - D^*) = \nabla_\theta\, 2\, \mathrm{JS}(p, q)"
    "\n" + r"-\nabla_\theta E_q \ln D^* = \nabla_\theta"
    r"\left[\mathrm{KL}(q \,\|\, p) - 2\, \mathrm{JS}(p, q)\right]",
    says="At the best critic one loss lowers 2 JS, one KL(q ‖ p) − 2 JS; both rest at p = q.",
    source="Arjovsky & Bottou, theorem 2.5",
    method="closed form",
    wrong={
        "KL the wrong way round": {"divergence": lambda q, p: kl(p, q)},
        "JS added, not taken away": {"sign": 1.0},
        "the critic follows the generator": {"held": lambda q: q},
    },
)
def what_the_generator_minimises(proof: Proof, *, divergence=kl, sign=-1.0, held=constant) -> None:
    """The critic is the best one for q, and held there while q changes by dq, Σ dq = 0.

    d E_q ln (1 − D*) = Σ dq ln (q / (p + q))
    d 2 JS = d (Σ p ln (p / m) + Σ q ln (q / m)) = Σ dq ln (q / m),     m = ½ (p + q)

    the same, as 2 m = p + q and Σ dq ln 2 = 0. For the other, −ln D = ln ((1 − D) / D) − ln (1 − D)
    where (1 − D*) / D* = q / p:

    −d E_q ln D* = Σ dq ln (q / p) − Σ dq ln (1 − D*) = d KL(q ‖ p) − d 2 JS

    At p = q the critic says ½ to all, and none of the two has a slope. But away from it the second
    pays for what it draws beyond the data (KL(q ‖ p) is ∞ where p = 0 < q) and gets something for
    differing from them (− 2 JS).
    """
    p, logits = distribution(proof.rng, CELLS), proof.rng.standard_normal((CELLS,))
    first = grad(lambda theta: 2 * js(p, softmax(theta)))(logits)
    second = grad(lambda theta: divergence(softmax(theta), p) + sign * 2 * js(p, softmax(theta)))(
        logits
    )
    proof.step("∇ 2 JS", first)
    proof.step("∇ (KL(q ‖ p) − 2 JS)", second)
    # softmax and its rule after the divergences; logarithms of at most 1 / smallest probability
    q = softmax(logits)
    rounding, size = 2 * roundings(CELLS), 1 + np.max(np.abs(_log_odds(p, q)))
    for what, loss, right in (
        ("∇ E ln (1 − D*)", "saturating", first),
        ("−∇ E ln D*", "nonsaturating", second),
    ):
        found = _as_draws_change(loss, logits, p, held)
        proof.equal(what, found, right, rounding=rounding, scale=size)
        rest = _as_draws_change(loss, np.log(p), p, held)
        proof.equal(f"{what} at p = q", rest, 0.0, rounding=rounding, scale=1.0)


# ----------------------------------------------------------------------------------- other losses


def _pearson(p: Any, q: Any) -> Any:
    """χ² between p + q and 2 q."""
    return np.sum((2 * q - (p + q)) ** 2 / (p + q))


@claim(
    section="adversarial",
    statement=r"s^* = \frac{p}{p + q}, \quad L^* = \frac{1}{4} - \frac{1}{8} \chi^2,"
    r"\quad \chi^2 = \sum_x \frac{(p - q)^2}{p + q}",
    says="With least squares the best critic is a probability, and its loss tells Pearson's χ².",
    source="Mao et al., §3.2",
    method="closed form",
    wrong={
        "χ² between p and q": {"divergence": lambda p, q: np.sum((p - q) ** 2 / q)},
        "the ½ of both squares forgotten": {"half": 1.0},
    },
)
def least_squares_measure_pearson(proof: Proof, *, divergence=_pearson, half=0.5) -> None:
    """The critic's loss, ½ Σ p (s − 1)² + q s², has the slope p (s − 1) + q s, 0 at p / (p + q).

    L* = ½ Σ p q² / (p + q)² + q p² / (p + q)² = ½ Σ p q / (p + q)

    and by 4 p q = (p + q)² − (p − q)² this is ½ (2 − χ²) / 4.

    A generator wants its draws' scores to be 1, ½ (s − 1)², an encoder those of data to be 0, ½ s².
    Their slopes are s − 1 and s.
    """
    real, fake = _batches(proof.rng)
    p, q = _frequencies(real), _frequencies(fake)
    loss, scores = _critic_loss("lsgan", real, fake), p / (p + q)
    # a sum over the batch, of each term a difference, a square and the score's 3
    rounding = 2 * BATCH + 6
    proof.equal("∂L/∂s", grad(loss)(scores), 0.0, rounding=rounding, scale=np.max(p + q))
    other = scores + proof.rng.standard_normal((CELLS,))
    proof.at_most("L(s*) ≤ L(s)", loss(scores), loss(other), rounding=rounding)
    proof.step("χ²", divergence(p, q))
    right = half * (2 - divergence(p, q)) / 4
    proof.equal("L(s*)", loss(scores), right, rounding=rounding, scale=1.0)
    # the mean over the values, divided and not
    proof.equal("of the generator", _pull("lsgan", scores), scores - 1, rounding=6, scale=1.0)
    own = CELLS * grad(LOSSES["lsgan"].encoder)(scores)
    proof.equal("of an encoder", own, scores, rounding=6, scale=1.0)


@claim(
    section="adversarial",
    statement=r"s^* = \mathrm{sign}(p - q),"
    r"\quad L^* = 2 \sum_x \min(p, q) = 2 - 2\, \mathrm{TV}(p, q)",
    says="With the hinge the best critic says which is likelier, and measures total variation.",
    source="Lim & Ye; T. Miyato et al. (2018), eqs. 16 and 17",
    method="enumeration",
    wrong={
        "total variation without the ½": {"half": 1.0},
        "the best scores those of a discriminator": {"best": _log_odds},
    },
)
def the_hinge_measures_total_variation(
    proof: Proof, *, half=0.5, best=lambda p, q: np.sign(p - q)
) -> None:
    """Of each value L = p max(0, 1 − s) + q max(0, 1 + s).

    Between −1 and 1 that is p + q + (q − p) s, a line, least at one of the ends, at s = 1 if p > q:
    2 q, and else 2 p. Beyond the ends it rises. So L* = 2 Σ min(p, q), and

    min(p, q) = ½ (p + q) − ½ |p − q|       summed 1 − TV(p, q)
    """
    real, fake = _batches(proof.rng)
    p, q = _frequencies(real), _frequencies(fake)
    loss, scores = _critic_loss("hinge", real, fake), best(p, q)
    least, rounding = loss(scores), 2 * BATCH + 3  # a sum over the batch, a sum and a maximum
    proof.step("s*", scores)
    proof.equal("L* = 2 Σ min(p, q)", least, 2 * np.sum(np.minimum(p, q)), rounding=rounding)
    variation = half * np.sum(np.abs(p - q))
    proof.equal("L* = 2 − 2 TV", least, 2 - 2 * variation, rounding=rounding, scale=2.0)
    others = [np.zeros(CELLS), 0.9 * scores, 1.1 * scores, proof.rng.standard_normal((CELLS,))]
    losses = np.stack([loss(other) for other in others])
    proof.at_most("L* ≤ L(s)", least, losses, rounding=rounding)


# -------------------------------------------------------------------------------- the game f = x y

STEPS = 60


def _spiral() -> Any:
    figure, panel = axes("x", "y")
    for name, alternating in (("simultaneous", False), ("alternating", True)):
        path = bilinear.trajectory(STEPS, 0.2, alternating=alternating)
        x, y = backend.to_numpy(path).T
        panel.plot(x, y, ".-", markersize=4, linewidth=0.8, label=f"{name}, η = 0.2")
    panel.plot(0, 0, "k+", label="the equilibrium")
    panel.set_aspect("equal")
    panel.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def _path(rng: Any, rate: float, alternating: bool) -> tuple[Any, Any]:
    """Both players' places (steps + 1,), from a random start at a distance of 1 or more."""
    x, y = backend.to_numpy(1 + rng.random((2,))).tolist()
    path = bilinear.trajectory(STEPS, rate, alternating=alternating, start=(x, y))
    return path[:, 0], path[:, 1]


@claim(
    section="adversarial",
    statement=r"x' = x - \eta\, y,\; y' = y + \eta\, x"
    r"\quad \Rightarrow \quad x'^2 + y'^2 = (1 + \eta^2) (x^2 + y^2)",
    says="In the game f = x y simultaneous steps spiral outwards, however short they are.",
    source="Gidel et al., proposition 1",
    method="step by step",
    wrong={
        "the second player answers the first": {"alternating": True},
        "followed in time, a circle": {"factor": lambda rate: 1.0},
        "longer by 1 + η² a step": {"factor": lambda rate: 1 + rate**2},
    },
    figure=_spiral,
)
def simultaneous_steps_spiral_outwards(
    proof: Proof, *, alternating=False, factor=lambda rate: math.sqrt(1 + rate**2)
) -> None:
    """One player minimises f = x y over x, the other −x y over y. Both step from the same (x, y):

    (x − η y)² + (y + η x)² = x² − 2η x y + η² y² + y² + 2η x y + η² x² = (1 + η²) (x² + y²)

    The mixed terms cancel, so that the distance from the equilibrium (0, 0) is multiplied by
    √(1 + η²) at every step: after n of them, by (1 + η²)^(n/2).
    """
    for rate in (0.05, 0.3, 1.0):
        x, y = _path(proof.rng, rate, alternating)
        distance = np.sqrt(x * x + y * y)
        right = distance[0] * factor(rate) ** np.arange(STEPS + 1.0)
        # each step turns and stretches: 2 roundings of either number and 2 of the power
        rounding = 4 * STEPS + 4
        proof.equal(f"distance, η = {rate}", distance, right, rounding=rounding, scale=right)


@claim(
    section="adversarial",
    statement=r"x' = x - \eta\, y,\; y' = y + \eta\, x' \quad \Rightarrow"
    "\n" + r"\quad x'^2 + y'^2 - \eta\, x' y' = x^2 + y^2 - \eta\, x y",
    says="In the game f = x y alternating steps go around on an ellipse, and never arrive.",
    source="Gidel et al., proposition 1",
    method="step by step",
    wrong={
        "the other diagonal": {"sign": 1.0},
        "a circle": {"sign": 0.0},
        "both from the same point": {"alternating": False},
    },
)
def alternating_steps_keep_an_ellipse(proof: Proof, *, alternating=True, sign=-1.0) -> None:
    """The second player sees what the first has done. From x = x' + η y and y' = y + η x':

    x² + y² − η x y = x (x − η y) + y² = x x' + y² = (x' + η y) x' + y² = x'² + y (η x' + y)
                    = x'² + y y' = x'² + y'² − η x' y'

    The steps are a product by a matrix of determinant 1 and trace 2 − η² = 2 cos θ. With η = 1 it
    turns by θ = 60°, and the players are back after six steps.
    """
    for rate in (0.05, 0.3, 1.0):
        x, y = _path(proof.rng, rate, alternating)
        kept = x * x + y * y + sign * rate * x * y
        # 4 roundings a step, and the ellipse is longer than wide, which counts twice: by its square
        rounding = (4 * STEPS + 5) * (2 + rate) / (2 - rate)
        proof.equal(f"x² + y² − η x y, η = {rate}", kept, kept[0], rounding=rounding)
    x, y = _path(proof.rng, 1.0, alternating)
    path = np.stack([x, y])
    proof.equal("six steps later", path[:, 6:], path[:, :-6], rounding=4 * 6 * 3)
