"""Critics that measure transport: Lipschitz functions, and how a network is kept to be one.

M. Arjovsky, S. Chintala and L. Bottou (2017), "Wasserstein GAN"; I. Gulrajani et al. (2017),
"Improved training of Wasserstein GANs"; T. Miyato et al. (2018), "Spectral normalization for
generative adversarial networks"; C. Villani (2009), "Optimal transport".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

from scipy.optimize import linear_sum_assignment

import autograd.numpy as np
from autograd import backend, grad
from scratchgen.derivations.claim import claim
from scratchgen.derivations.differences import EPSILON, along, slope
from scratchgen.derivations.figures import axes
from scratchgen.derivations.proof import Proof
from scratchgen.judging.scores import wasserstein_distance
from scratchgen.models.adversarial.losses import LOSSES, gradient_penalty
from scratchgen.models.adversarial.points import PointGAN, PointGANConfig
from scratchgen.nn import MLP

POINTS = 8
"""Of the data, and as many draws."""


def _distances(x: Any, y: Any) -> Any:
    """|x_i − y_j| of points (N, D) and (M, D): (N, M)."""
    return np.sqrt(np.sum((x[:, None] - y[None]) ** 2, axis=-1))


def _points(rng: Any) -> tuple[Any, Any]:
    """Data and draws in the plane, the draws further right: (N, 2) each."""
    shape = (POINTS, 2)
    return rng.standard_normal(shape), rng.standard_normal(shape) + np.array([2.0, 0.5])


def _carried(x: Any, y: Any) -> float:
    return wasserstein_distance(backend.to_numpy(x), backend.to_numpy(y))


def _work_of_squares(x: Any, y: Any) -> Any:
    return np.mean(np.sum((x - _partners(x, y)) ** 2, axis=1))


def _partners(x: Any, y: Any) -> Any:
    """y, each in the place of the x that the best transport takes it to."""
    _, order = linear_sum_assignment(backend.to_numpy(_distances(x, y)))
    return y[backend.asarray(order)]


def _best_critic(x: Any, y: Any) -> Callable[[Any], Any]:
    """f(a) = min_j |a − y_j| − v_j, of points x and their partners y."""
    cost, v = _distances(x, y), np.zeros(POINTS)
    reduced = cost - np.diag(cost)[:, None]
    for _ in range(POINTS):
        v = np.min(v[:, None] + reduced, axis=0)
    return lambda a: np.min(_distances(a, y) - v, axis=1)


# ---------------------------------------------------------------------------------------- duality


@claim(
    section="adversarial",
    statement=r"W(p, q) = \max_{|f(a) - f(b)| \leq |a - b|} E_p f - E_q f",
    says="The least work of carrying p to q is the most that a critic of slopes up to 1 can tell.",
    source="Villani, remark 6.5; Arjovsky, Chintala & Bottou, eq. 2",
    method="exact transport",
    wrong={
        "slopes up to 2": {"steepness": 2.0},
        "the squares of distances carried": {"cost": _work_of_squares},
    },
)
def kantorovich_rubinstein_duality(proof: Proof, *, steepness=1.0, cost=_carried) -> None:
    """Whatever takes x_i to y_i, such an f rises by |x_i − y_i| at most: E_p f − E_q f ≤ W.

    Of the best transport an f is made that reaches it. No exchange of partners along a cycle may
    gain, so the numbers |x_i − y_j| − |x_i − y_i|, as lengths of ways from i to j, have no negative
    cycle, and there are shortest ways to every j. Let v_j be the
    length of the shortest that ends in j:

    v_j ≤ v_i + |x_i − y_j| − |x_i − y_i|        and      f(a) = min_j |a − y_j| − v_j

    A minimum of functions of slope 1 has slopes up to 1. By the inequality f(x_i) = |x_i − y_i| −
    v_i, and f(y_i) ≤ −v_i. So f falls by |x_i − y_i| from each x_i to its y_i, and the means of
    that are W.
    """
    x, y = _points(proof.rng)
    w, size = cost(x, y), np.max(_distances(x, y))
    f, wgan = _best_critic(x, _partners(x, y)), LOSSES["wgan"]
    proof.step("W by the best assignment", w)
    # a distance has 5 roundings, and ways are sums of N distances and N + 1 differences
    rounding = 5 + 2 * POINTS + POINTS
    told = -wgan.critic(steepness * f(x), steepness * f(y))
    proof.equal("E_p f − E_q f", told, w, rounding=rounding, scale=size)
    a, b = 3 * proof.rng.standard_normal((50, 2)), 3 * proof.rng.standard_normal((50, 2))
    rise = np.abs(f(a) - f(b))
    apart = np.sqrt(np.sum((a - b) ** 2, axis=1))
    proof.at_most("|f(a) − f(b)| ≤ |a − b|", rise, apart, rounding=rounding, scale=size + apart)
    for _ in range(3):
        other = _cones(proof.rng)
        proof.at_most("another one", -wgan.critic(other(x), other(y)), w, rounding=rounding)


def _cones(rng: Any) -> Callable[[Any], Any]:
    """Another function of slopes up to 1."""
    tips, heights = 2 * rng.standard_normal((3, 2)), rng.standard_normal((3,))
    return lambda a: np.min(_distances(a, tips) + heights, axis=1)


@claim(
    section="adversarial",
    statement=r"W(p, q) = \int |F(t) - G(t)|\, dt = \frac{1}{N} \sum_i |x_{(i)} - y_{(i)}|",
    says="On a line the best transport keeps the order, and W lies between the two curves.",
    source="C. Villani (2003), Topics in optimal transportation, theorem 2.18",
    method="exact transport",
    wrong={
        "taken as they come, not in order": {"ordered": lambda x: x},
        "the areas not taken as positive": {"size": lambda x: x},
    },
)
def transport_on_a_line_keeps_the_order(proof: Proof, *, ordered=np.sort, size=np.abs) -> None:
    """Two carriers that cross, x < x' and y < y', go no less far than two that do not.

    So the best transport takes the smallest to the smallest, and so on. Over t go those for whom t
    is between x_(i) and y_(i), to the right as many as F(t) − G(t), or to the left: the distances
    add up to ∫ |F − G|. The best critic has the slope of that sign, f' = sign(G − F), for by parts

    E_p f − E_q f = ∫ f' (G − F) dt
    """
    x, y = proof.rng.standard_normal((7,)), 0.5 * proof.rng.standard_normal((9,))
    x = np.concatenate([x, np.array([-4.0, 4.0])])  # so that F and G cross
    w = _carried(x[:, None], y[:, None])
    places = np.sort(np.concatenate([x, y]))
    gap = np.mean(x <= places[:-1, None], axis=1) - np.mean(y <= places[:-1, None], axis=1)
    widths = places[1:] - places[:-1]
    proof.step("F − G", gap)
    rounding, scale = 2 * len(places), np.max(np.abs(places))  # a sum over all places
    in_order = np.mean(np.abs(ordered(x) - ordered(y)))
    proof.equal("mean |x − y| in order", in_order, w, rounding=rounding, scale=scale)
    proof.equal("∫ |F − G| dt", np.sum(size(gap) * widths), w, rounding=rounding, scale=scale)
    rises = np.cumsum(np.sign(-gap) * widths)
    best = np.concatenate([np.zeros(1), rises])
    told = -LOSSES["wgan"].critic(_at(best, places, x), _at(best, places, y))
    proof.equal("E_p f − E_q f", told, w, rounding=2 * rounding, scale=scale)


def _at(values: Any, places: Any, x: Any) -> Any:
    """The values (P,) at those of the places (P,) where x (N,) is: (N,)."""
    return values[np.argmax(places == x[:, None], axis=1)]


def _gradients(theta: float, steepness: float, heights: Any, loss: str) -> tuple[Any, Any]:
    """What the critic still loses, and the generator's gradient by θ."""
    line = np.stack([np.zeros(POINTS), heights], axis=1)

    def critic(points: Any) -> Any:
        return steepness * (0.5 - points[:, 0] / theta)

    def played(at: Any) -> Any:
        drawn = line + at * np.array([1.0, 0.0])
        return LOSSES[loss].generator(critic(drawn))

    moved = line + theta * np.array([1.0, 0.0])
    lost = LOSSES["saturating"].critic(critic(line), critic(moved))
    return lost, grad(played)(np.array(theta))


def _vanishing() -> Any:
    figure, panel = axes("steepness k of the critic", "|gradient by θ|", y_scale="log")
    heights, steps = np.arange(POINTS) / POINTS, list(range(2, 81, 2))
    for loss in ("saturating", "nonsaturating"):
        slopes = [abs(_gradients(0.5, k, heights, loss)[1]) for k in steps]
        panel.plot(steps, backend.to_numpy(np.stack(slopes)), label=loss)
    panel.plot(steps, [1.0] * len(steps), label="W, critic of slope 1")
    panel.legend(frameon=False, fontsize=9)
    return figure


@claim(
    section="adversarial",
    statement=r"\left|\partial_\theta E_q \ln (1 - D)\right| \leq \frac{k}{|\theta|} e^{-k / 2}"
    r"\rightarrow 0, \quad \partial_\theta W = \mathrm{sign}\, \theta",
    says="The surer a discriminator of parallel lines, the less it tells where to go; W does.",
    source="Arjovsky & Bottou (2017), theorem 2.4; Arjovsky, Chintala & Bottou, example 1",
    method="closed form",
    wrong={
        "the nonsaturating loss": {"loss": "nonsaturating"},
        "the squared distance carried": {"cost": lambda x, y: _carried(x, y) ** 2},
    },
    figure=_vanishing,
)
def a_perfect_discriminator_gives_no_gradient(
    proof: Proof, *, loss="saturating", cost=_carried
) -> None:
    """Data are on the line x = 0, draws (θ, y) on x = θ; a critic s = k (½ − x / θ) parts them.

    Data have the score k/2, draws −k/2. As k grows it loses 2 softplus(−k/2) ≤ 2 exp(−k/2), next to
    nothing: V goes to 2 JS − ln 4 = 0 whatever θ is. The generator's gradient is

    ∂/∂θ E ln (1 − D) = −σ(s) ∂s/∂x = σ(−k/2) k / θ ≤ k exp(−k/2) / |θ|

    which vanishes as well. (That of −ln D is σ(k/2) k / θ in size, and explodes.) The best critic
    of slope 1, s = −x sign θ, leaves −E s the slope sign θ, that of W = |θ|.
    """
    heights = proof.rng.random((POINTS,))
    line = np.stack([np.zeros(POINTS), heights], axis=1)
    for theta in (-0.7, 0.5, 2.0):
        for k in (20.0, 60.0, 200.0):
            lost, pull = _gradients(theta, k, heights, loss)
            # two exponentials of k / 2, whose rounding they multiply by as much
            rounding, least = k + 8 + POINTS, math.exp(-k / 2)
            proof.at_most(f"critic's loss, k = {k:.0f}", lost, 2 * least, rounding=rounding)
            size, bound = np.abs(pull), k / abs(theta) * least
            proof.at_most(f"|∂θ|, θ = {theta}, k = {k:.0f}", size, bound, rounding=rounding)
        # slope 1 towards the data: s = |θ| (½ − x / θ)
        _, pull = _gradients(theta, abs(theta), heights, "wgan")
        sign = math.copysign(1.0, theta)
        proof.equal(f"∂θ of −E s, θ = {theta}", pull, sign, rounding=4 + POINTS)
        h, right = 2.0**-4, np.array([1.0, 0.0])
        rise = cost(line, line + (theta + h) * right) - cost(line, line + (theta - h) * right)
        # each distance has 4 roundings and their mean POINTS, divided by 2h
        rounding, scale = 4 + POINTS, (abs(theta) + h) / h
        proof.equal(f"∂W/∂θ, θ = {theta}", rise / (2 * h), sign, rounding=rounding, scale=scale)


# -------------------------------------------------------------------------------------- clipping


def _product_of_norms(bound: float, sides: list[tuple[int, int]]) -> float:
    return math.prod(bound * math.sqrt(m * n) for m, n in sides)


def _clipped(model: Any) -> None:
    model.clip()


@claim(
    section="adversarial",
    statement=r"|w| \leq c \;\Rightarrow\; \|\nabla f\| \leq \prod_l \|W_l\|_2"
    r" \leq \prod_l c \sqrt{m_l n_l}",
    says="Clipped weights bound how fast scores rise, by much more than the bound of a weight.",
    source="Arjovsky, Chintala & Bottou, §3",
    method="closed form",
    wrong={
        "the layers' widths forgotten": {"limit": lambda c, sides: c ** len(sides)},
        "not clipped": {"clip": lambda model: None},
    },
)
def clipped_weights_bound_the_slope(
    proof: Proof, *, limit=_product_of_norms, clip=_clipped
) -> None:
    """The slope of layers is a product, ∇f = W₁ E₁ W₂ E₂ … of weights and the slopes of leaky ReLU.

    The latter are 1 at most, so ‖∇f‖ ≤ ∏ ‖W_l‖₂. And with m × n weights up to c,

    ‖W‖₂² ≤ Σ w² ≤ m n c²

    with equality where all are c. Then every unit is positive for a positive input, and f has the
    slope that the product says: the bound cannot be lower. Nor does it say that f has slope 1; what
    the critic measures is W times an unknown factor.
    """
    c = 0.25
    config = PointGANConfig(loss="wgan", weight_clip=c, hidden=6, layers=2, latents=2)
    model = PointGAN(config, proof.rng)
    model.astype("float64")
    layers = [*model.critic.hidden, model.critic.output]
    bound = limit(c, [layer.weight.shape for layer in layers])
    proof.step("∏ c √(m n)", bound)
    x = np.abs(proof.rng.standard_normal((5, 2)))
    rounding = 2 * sum(layer.weight.shape[0] + 2 for layer in layers)  # a product a layer
    for name, drawn in (("random", proof.rng.standard_normal), ("all are c", np.ones)):
        for layer in layers:
            layer.weight[...] = drawn(layer.weight.shape)
        clip(model)
        highest = np.max(np.abs(np.concatenate([layer.weight.reshape(-1) for layer in layers])))
        proof.at_most(f"|w| ≤ c, {name}", highest, c, rounding=0)
        slopes = grad(lambda x: np.sum(model.critic(x)))(x)
        length = np.max(np.sqrt(np.sum(slopes * slopes, axis=1)))
        norms = math.prod(float(np.linalg.norm(w.weight.data, 2).item()) for w in layers)
        proof.at_most(f"‖∇f‖ ≤ ∏ ‖W‖, {name}", length, norms, rounding=rounding)
        proof.at_most(f"∏ ‖W‖ ≤ ∏ c √(m n), {name}", norms, bound, rounding=rounding)
    proof.equal("‖∇f‖ where all are c", length, bound, rounding=rounding)


# ------------------------------------------------------------------------------- gradient penalty


@claim(
    section="adversarial",
    statement=r"\nabla f\left((1 - t)\, x + t\, y\right) = \frac{x - y}{|x - y|}",
    says="Between a point and where it is carried to, the best critic rises straight, by slope 1.",
    source="Gulrajani et al., proposition 1",
    method="exact transport",
    wrong={
        "uphill to the draws": {"uphill": -1.0},
        "between any two points": {"partners": lambda x, y: np.flip(_partners(x, y), axis=0)},
    },
)
def the_best_critic_has_slope_one_between_partners(
    proof: Proof, *, uphill=1.0, partners=_partners
) -> None:
    """The best critic f falls by |x − y| from x to its partner y, and by no more than 1 per length.

    So it falls by 1 per length all the way: for a(t) = (1 − t) x + t y,

    f(a(t)) = f(x) − t |x − y|,        d f(a(t)) / dt = −⟨∇f, x − y⟩ = −|x − y|

    where f is differentiable. As ‖∇f‖ ≤ 1, that inner product is as large as it can be: ∇f is the
    unit vector from y to x. The penalty (‖∇f‖ − 1)² is then 0 there: it forbids no best critic.
    """
    x, y = _points(proof.rng)
    f, near = _best_critic(x, _partners(x, y)), partners(x, y)
    way, length = x - near, np.sqrt(np.sum((x - near) ** 2, axis=1))
    # a distance has 5 roundings, those of a difference are of the points' size, and f's of N more
    rounding, size = 5 + 3 * POINTS, np.max(_distances(x, y)) + np.max(np.abs(x))
    for t in (0.25, 0.5, 0.75):
        between = x - t * way
        scale = size / ((1 - t) * length)
        right = f(x) - uphill * t * length
        proof.equal(f"f, t = {t}", f(between), right, rounding=rounding, scale=size)
        slopes, unit = grad(lambda a: np.sum(f(a)))(between), uphill * way / length[:, None]
        proof.equal(f"∇f, t = {t}", slopes, unit, rounding=rounding, scale=scale[:, None])
    penalty = gradient_penalty(f, x, near, proof.rng)
    because = "(10⁻¹² under the root, and rounding)²"
    off = 1e-12 + rounding * EPSILON
    proof.within("E (‖∇f‖ − 1)²", penalty, 0.0, off**2, because)


@claim(
    section="adversarial",
    statement=r"\min_c\, {-c}\, W + \lambda (c - 1)^2 \quad \mathrm{at} \quad"
    r" c = 1 + \frac{W}{2 \lambda}",
    says="With a gradient penalty the best critic is too steep, and tells too long a distance.",
    source="Gulrajani et al., eq. 3, of c times the best critic",
    method="closed form",
    wrong={
        "the square's 2 forgotten": {"factor": 1.0},
        "slope 1, as the penalty asks for": {"factor": 0.0},
    },
)
def a_gradient_penalty_overshoots(proof: Proof, *, factor=0.5) -> None:
    """Of c f, with the best critic f of slope 1, the loss of wgan-gp is −c W + λ (c − 1)².

    Its slope −W + 2λ (c − 1) is 0 at c = 1 + W / 2λ. The critic then measures, as E_p s − E_q s,

    c W = W + W² / 2λ        and its loss is −c W + λ (W / 2λ)² = −W − W² / 4λ
    """
    x, y = _points(proof.rng)
    w, f, penalty = _carried(x, y), _best_critic(x, _partners(x, y)), 10.0

    def loss(c: Any) -> Any:
        measured = LOSSES["wgan-gp"].critic(c * f(x), c * f(y))
        return measured + penalty * gradient_penalty(lambda a: c * f(a), x, y, proof.rng)

    best = 1 + factor * w / penalty
    proof.step("W", w)
    proof.step("c", best)
    size = float(np.max(_distances(x, y)).item()) + penalty
    # δ = 10⁻¹² under the penalty's root makes ‖∇f‖ larger by δ / 2c, and its slope less by δ / 2c²
    tolerance = penalty * 1e-12 + (5 + 4 * POINTS) * EPSILON * size * best
    because = "10⁻¹² under the penalty's root, and rounding"
    proof.within("∂ loss / ∂c", grad(loss)(np.array(best)), 0.0, tolerance, because)
    least = -w - w * w / (4 * penalty)
    proof.within("loss at c", loss(np.array(best)), least, tolerance, because)


def _of_squares(critic: Any, real: Any, fake: Any, rng: Any) -> Any:
    """E (‖∂s/∂x̂‖² − 1)², which is 0 for the same critics."""
    share = rng.random((len(real), 1))
    slopes = grad(lambda x: np.sum(critic(x)))(share * real + (1 - share) * fake)
    return np.mean((np.sum(slopes * slopes, axis=1) - 1) ** 2)


def _between_others(critic: Any, real: Any, fake: Any, rng: Any) -> Any:
    return gradient_penalty(critic, real, np.flip(fake, axis=0), rng)


class _Given:
    """In place of a generator: the numbers that both sides are to draw."""

    def __init__(self, numbers: Any) -> None:
        self.numbers = numbers

    def random(self, shape: tuple[int, ...]) -> Any:
        return self.numbers.reshape(shape)


@claim(
    section="adversarial",
    statement=r"\left\langle \nabla_w E \left(\|\nabla_x f_w\| - 1\right)^2, v \right\rangle ="
    r" \frac{d}{dt} E \left(\|\nabla_x f_{w + t v}\| - 1\right)^2",
    says="The penalty's gradient by the weights is of second order, and is what differences say.",
    source="Gulrajani et al., eq. 3",
    method="finite differences",
    wrong={
        "the gradient of the squared slope's": {"penalty": _of_squares},
        "data and draws paired otherwise": {"penalty": _between_others},
    },
)
def the_penalty_has_a_gradient_of_second_order(proof: Proof, *, penalty=gradient_penalty) -> None:
    """The penalty is made of the critic's gradient by its input, x̂ between data and draws.

    To change it, the weights are differentiated through that gradient: with g = ∇_x f,

    ∇_w (‖g‖ − 1)² = 2 (‖g‖ − 1) (∂g/∂w)ᵀ g / ‖g‖,        ∂g/∂w = ∂²f / ∂x ∂w

    by a backward pass through the backward pass. Differences of the penalty itself, along a random
    direction v of each weight, do without any.
    """
    x, y = _points(proof.rng)
    critic = MLP(2, 1, proof.rng, hidden=5, layers=2, activation=np.tanh)
    critic.astype("float64")
    places = _Given(proof.rng.random((POINTS, 1)))
    for number, layer in enumerate([*critic.hidden, critic.output], 1):
        kept = layer.weight.data

        def penalised(weight: Any, layer: Any = layer, which: Any = penalty) -> Any:
            layer.weight = weight
            return which(lambda x: critic(x)[:, 0], x, y, places)

        v = proof.rng.standard_normal(kept.shape)
        gradient = grad(penalised)(kept)
        phi = along(partial(penalised, which=gradient_penalty), kept, v)
        # through three layers and back, sums of 5 and a tanh each, and a mean over the points
        value, bound = slope(phi, rounding=2 * 3 * (5 + 4) + POINTS)
        layer.weight = kept
        because = "Richardson's remainder and rounding"
        proof.within(f"⟨∇ penalty, v⟩, layer {number}", np.sum(gradient * v), value, bound, because)
