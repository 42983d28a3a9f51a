"""Optimisers: what their recursions add up to, and what that does to the length of a step.

Each runs :mod:`scratchgen.optim` on given gradients, beside the sum that its recursion unrolls to.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd import Tensor
from scratchgen.derivations.claim import claim
from scratchgen.derivations.proof import Proof
from scratchgen.optim import (
    SGD,
    Adam,
    Adamax,
    AdamW,
    ExponentialMovingAverage,
    FlatParameters,
    RMSprop,
    clip_by_norm,
    cosine,
)

STEPS, N = 12, 5
ALPHA, BETA1, BETA2 = 0.01, 0.9, 0.999
TINY = 1e-150
"""In the place of ε where the equation has none: below every rounding error."""


def path(optimiser: Any, x: Tensor, gradients: Any) -> Any:
    """θ_1 … θ_T after steps by the gradients (T, n): (T, n)."""
    positions = []
    for t in range(len(gradients)):
        x.grad = gradients[t]
        optimiser.step()
        positions.append(x.data.copy())
    return np.stack(positions)


def weights(decay: float, steps: int = STEPS) -> Any:
    """The matrix of d^(t−i) for i ≤ t, and 0 above: (T, T). Times (T, n): sums of the past."""
    age = np.arange(steps)[:, None] - np.arange(steps)
    return np.where(age >= 0, decay ** np.maximum(age, 0), 0.0)


def corrections(decay: float, steps: int = STEPS) -> Any:
    """1 − dᵗ for t = 1 … T, as a column."""
    return 1 - decay ** np.arange(1, steps + 1)[:, None]


@claim(
    section="optimisation",
    statement=r"v_t = \sum_{i \leq t} \mu^{t-i} g_i"
    "\n" + r"\theta_t = \theta_0 - \alpha \sum_{i \leq t} \dfrac{1 - \mu^{t-i+1}}{1 - \mu} g_i",
    says="With momentum each gradient is in the end stepped along 1 / (1 − µ) times.",
    source="B. T. Polyak (1964); I. Sutskever et al. (2013), eqs. 1 and 2",
    method="closed form",
    wrong={
        "as a mean, with 1 − µ before the gradient": {"share": lambda mu: 1 - mu},
        "no momentum": {"share": lambda mu: None},
    },
)
def momentum_multiplies_the_learning_rate(proof: Proof, *, share=lambda mu: 1.0) -> None:
    """Unroll v_t = µ v_{t−1} + g_t from v_0 = 0: v_t = Σ_{i≤t} µ^{t−i} g_i. Then θ_t = θ_0 − α Σ
    v_k, in which g_i stands with 1 + µ + … + µ^{t−i} = (1 − µ^{t−i+1}) / (1 − µ).
    """
    mu, alpha = 0.9, 0.1
    start, gradients = proof.rng.standard_normal((N,)), proof.rng.standard_normal((STEPS, N))
    x = Tensor(start)
    found = path(SGD([x], alpha, momentum=mu), x, gradients)
    if (factor := share(mu)) is None:
        mu, factor = 0.0, 1.0
    velocity = factor * weights(mu) @ gradients
    proof.step("v_T", velocity[-1])
    expected = start - alpha * np.cumsum(velocity, axis=0)
    # T steps of 4 operations, on either side
    rounding, size = 2 * 4 * STEPS, 1 + 10 * alpha * STEPS
    proof.equal("θ_t", found, expected, rounding=rounding, scale=size)
    many = (1 - 0.9 ** np.arange(STEPS, 0, -1)) / (1 - 0.9)
    proof.equal(
        "θ_T", found[-1], start - alpha * factor * many @ gradients, rounding=rounding, scale=size
    )


def _nesterov(theta: Any, v: Any, slope: Any, mu: float, alpha: float) -> tuple[Any, Any]:
    v = mu * v - alpha * slope(theta + mu * v)
    return theta + v, v


def _polyak(theta: Any, v: Any, slope: Any, mu: float, alpha: float) -> tuple[Any, Any]:
    v = mu * v - alpha * slope(theta)
    return theta + v, v


@claim(
    section="optimisation",
    statement=r"v_{t+1} = \mu v_t - \alpha \nabla f(\theta_t + \mu v_t),"
    "\n" + r"\theta_{t+1} = \theta_t + v_{t+1}"
    "\n" + r"\varphi_t = \theta_t + \mu v_t",
    says="Nesterov's momentum looks ahead; the parameters kept here are the point it looks from.",
    source="Sutskever et al. (2013), eqs. 3 and 4",
    method="step by step",
    wrong={"the gradient where one is, not where one looks": {"paper": _polyak}},
)
def nesterovs_momentum_looks_ahead(proof: Proof, *, paper=_nesterov) -> None:
    """Put φ_t = θ_t + µ v_t. The gradient g is taken at φ_t, and with V = −v / α, V_{t+1} = µ V_t +
    g,

    φ_{t+1} = θ_t + (1 + µ) v_{t+1} = φ_t − µ v_t + (1 + µ) v_{t+1}
            = φ_t − α (g + µ V_{t+1})          as v_{t+1} − µ v_t = −α g

    which is what ``SGD(nesterov=True)`` does, where only φ is kept.
    """
    mu, alpha, bend = 0.9, 0.05, 0.5 + proof.rng.random((N,))
    slope = lambda theta: bend * np.tanh(theta)  # noqa: E731
    start = 1 + proof.rng.random((N,))
    x = Tensor(start)
    optimiser = SGD([x], alpha, momentum=mu, nesterov=True)
    theta, v, ours, theirs = start, 0 * start, [], []
    for _ in range(STEPS):
        ours.append(path(optimiser, x, slope(x.data)[None])[0])
        theta, v = paper(theta, v, slope, mu, alpha)
        theirs.append(theta + mu * v)
    # T steps of 8 operations each, on either side, by numbers of the size of the start
    rounding = 2 * 8 * STEPS
    proof.equal("φ_t", np.stack(ours), np.stack(theirs), rounding=rounding, scale=2.0)


@claim(
    section="optimisation",
    statement=r"m_t = (1 - \beta_1) \sum_{i \leq t} \beta_1^{t-i} g_i, \quad"
    r" \hat{m}_t = \dfrac{m_t}{1 - \beta_1^t}"
    "\n"
    + r"\mathbb{E}\, \hat{m}_t = \mathbb{E}\, g, \quad \mathbb{E}\, \hat{v}_t = \mathbb{E}\, g^2",
    says="What Adam divides its averages by is the sum of their weights, so they are true means.",
    source="Kingma & Ba (2015), eqs. 1 to 4",
    method="Monte Carlo",
    wrong={
        "no correction of the bias": {"sums": lambda beta, t: 1.0},
        "1 − β at every step": {"sums": lambda beta, t: 1 - beta},
    },
)
def adams_averages_have_no_bias(proof: Proof, *, sums=lambda beta, t: 1 - beta**t) -> None:
    """Unroll m_t = β m_{t−1} + (1 − β) g_t from m_0 = 0. The weights add up to

    (1 − β) Σ_{i≤t} β^{t−i} = (1 − β) (1 − βᵗ) / (1 − β) = 1 − βᵗ

    so for gradients that all have one mean, E m_t = (1 − βᵗ) E g; likewise for squares. For
    constant gradients m̂_t = g and v̂_t = g² without any chance.

    Here each of many parameters has its own normal gradients, of mean 1 and variance 4.
    """
    count, steps = 20_000, 4
    x = Tensor(np.zeros(count))
    optimiser = Adam([x], ALPHA, BETA1, BETA2)
    path(optimiser, x, 1 + 2 * proof.rng.standard_normal((steps, count)))
    m, v = (1 - BETA1) * optimiser.sums, (1 - BETA2) * optimiser.squares
    proof.mean("E m̂", m / sums(BETA1, steps), 1.0)
    proof.mean("E v̂", v / sums(BETA2, steps), 1.0 + 4.0)
    g = np.full((STEPS, N), 3.0)
    x = Tensor(np.zeros(N))
    optimiser = Adam([x], ALPHA, BETA1, BETA2)
    path(optimiser, x, g)
    # T steps of 3 operations; 1 − βᵗ is rounded off by ε, in relation to itself more
    rounding = 3 * STEPS + 2 / (1 - BETA2**STEPS)
    m, v = (1 - BETA1) * optimiser.sums, (1 - BETA2) * optimiser.squares
    proof.equal("m̂, constant g", m / sums(BETA1, STEPS), g[0], rounding=rounding)
    proof.equal("v̂, constant g", v / sums(BETA2, STEPS), g[0] ** 2, rounding=rounding)


def _adam(gradients: Any, scale: float = 1.0) -> Any:
    """−(θ_t − θ_{t−1}) / α of Adam, t = 1 … T."""
    x = Tensor(np.zeros(gradients.shape[1]))
    found = path(Adam([x], ALPHA, BETA1, BETA2, epsilon=TINY), x, scale * gradients)
    return -np.diff(np.concatenate([np.zeros((1, len(found[0]))), found]), axis=0) / ALPHA


@claim(
    section="optimisation",
    statement=r"\theta_1 = \theta_0 - \alpha\, \mathrm{sign}\, g_1"
    "\n" + r"\Delta_t(c\, g) = \Delta_t(g)"
    "\n" + r"g_1 = \ldots = g_{t-1} = 0: \quad |\Delta_t| = \alpha"
    r" \dfrac{1 - \beta_1}{1 - \beta_1^t} \sqrt{\dfrac{1 - \beta_2^t}{1 - \beta_2}}",
    says="Adam's first step is α long, whatever the unit that the loss is measured in.",
    source="Kingma & Ba (2015), §2.1",
    method="closed form",
    wrong={
        "no correction of the bias": {"first": (1 - BETA1) / (1 - BETA2) ** 0.5},
        "in proportion to the gradient": {"first": None},
    },
)
def adams_first_step_has_length_alpha(proof: Proof, *, first=1.0) -> None:
    """m̂_1 = g_1 and v̂_1 = g_1², so m̂_1 / √v̂_1 = g_1 / |g_1|. For c g all m̂ are c times as
    large, and so are all √v̂: the quotients stay. (ε is 10⁻¹⁵⁰ here; the usual 10⁻⁸ matters to
    gradients of about that size. Where all g are the same, steps are α g / (|g| + ε).)

    Without the correction it would be (1 − β₁) / √(1 − β₂) = 3.2 times as long. That is the length
    of a late step by a gradient that comes after zeros only, where t is large and nothing
    corrected.
    """
    gradients = proof.rng.standard_normal((STEPS, N)) + 0.1
    steps, scaled = _adam(gradients), _adam(gradients, 1e6)
    g = gradients[0]
    expected = np.sign(g) * first if first is not None else g
    # 12 operations on a step; positions are sums of T steps, of which Δ is a difference
    rounding = 12 + STEPS
    proof.equal("Δ_1 / α", steps[0], expected, rounding=rounding)
    proof.equal("Δ_t / α of 10⁶ g", scaled, steps, rounding=2 * rounding)
    x = Tensor(np.zeros(N))
    same = path(Adam([x], ALPHA, BETA1, BETA2, epsilon=0.5), x, g + 0 * gradients)
    damped = -ALPHA * STEPS * g / (np.abs(g) + 0.5)
    # 1 − βᵗ is rounded off by ε, in relation to itself more
    off = rounding * STEPS + 2 / (1 - BETA2)
    proof.equal("θ_T of constant g, ε = ½", same[-1], damped, rounding=off)
    sparse = np.zeros((STEPS, N)) + (np.arange(STEPS) == STEPS - 1)[:, None] * g
    longest = (1 - BETA1) / (1 - BETA2) ** 0.5 * (1 - BETA2**STEPS) ** 0.5 / (1 - BETA1**STEPS)
    proof.equal("|Δ_T| / α after zeros", np.abs(_adam(sparse)[-1]), longest, rounding=rounding)


@claim(
    section="optimisation",
    statement=r"g = 0: \quad \theta_t = (1 - \alpha \lambda)^t\, \theta_0",
    says="AdamW's decay takes the same share of all weights; as part of the gradient it would not.",
    source="I. Loshchilov and F. Hutter (2019), Decoupled weight decay regularization, §2",
    method="closed form",
    wrong={
        "the decay as part of the gradient": {"coupled": True},
        "the decay not multiplied by the learning rate": {"share": lambda alpha, decay: decay},
    },
)
def decoupled_decay_takes_the_same_share_of_all(
    proof: Proof, *, coupled=False, share=lambda alpha, decay: alpha * decay
) -> None:
    """Without a gradient m̂ = v̂ = 0, and θ_t = θ_{t−1} − α λ θ_{t−1} = (1 − α λ) θ_{t−1}.

    Had λ θ been added to the gradient, Adam would have divided it by its own root mean square: the
    first step would be α for a large weight and for a small one.
    """
    decay, start = 0.1, 1 + 4 * proof.rng.random((N,))
    x = Tensor(start)
    if coupled:
        adam = Adam([x], ALPHA, BETA1, BETA2)
        found = np.concatenate([path(adam, x, (decay * x.data)[None]) for _ in range(STEPS)])
    else:
        adam = AdamW([x], ALPHA, BETA1, BETA2, weight_decay=decay)
        found = path(adam, x, np.zeros((STEPS, N)))
    left = (1 - share(ALPHA, decay)) ** np.arange(1, STEPS + 1)[:, None]
    # a product and the rounding of 1 − α λ at each step, on either side
    proof.equal("θ_t", found, left * start, rounding=2 * 2 * STEPS)


def _adamax_bound(beta1: float, beta2: float, t: Any) -> Any:
    ratio = beta1 / beta2
    return (1 - beta1) / (1 - beta1**t) * (1 - ratio**t) / (1 - ratio)


@claim(
    section="optimisation",
    statement=r"u_t = \max_{i \leq t} \beta_2^{t-i} |g_i|,"
    "\n" + r"|\Delta_t| \leq \alpha \dfrac{1 - \beta_1}{1 - \beta_1^t}"
    r" \sum_{k < t} \left(\dfrac{\beta_1}{\beta_2}\right)^k",
    says="AdaMax's steps are hardly longer than α, though longer they are when gradients fade.",
    source="Kingma & Ba (2015), §7.1, whose bound |Δ| ≤ α is that for β₂ = 1",
    method="closed form",
    wrong={"the paper's bound, α": {"bound": lambda beta1, beta2, t: t / t}},
)
def adamax_steps_are_hardly_longer_than_alpha(proof: Proof, *, bound=_adamax_bound) -> None:
    """Unroll u_t = max(β₂ u_{t−1}, |g_t|): the largest of β₂^{t−i} |g_i|. So |g_i| ≤ β₂^{−(t−i)}
    u_t, and

    |m̂_t| / u_t ≤ (1 − β₁) / (1 − β₁ᵗ) Σ_{i≤t} β₁^{t−i} β₂^{−(t−i)}

    where the weights add up to 1 but for the powers of β₂. Gradients that fade as β₂ⁱ attain it.
    With β₁ = 0.9 and β₂ = 0.999 it tends to 1.009 α; here β₂ = 0.95, for which it tends to 1.9 α.
    """
    beta2, t = 0.95, np.arange(1, STEPS + 1)[:, None] * 1.0
    gradients = proof.rng.standard_normal((STEPS, N)) + 0.1
    fading = beta2**t * (0.5 + proof.rng.random((N,)))
    found = []
    for what, g in (("at random", gradients), ("that fade as β₂ᵗ", fading)):
        x = Tensor(np.zeros(N))
        optimiser = Adamax([x], ALPHA, BETA1, beta2, epsilon=TINY)
        positions = np.concatenate([np.zeros((1, N)), path(optimiser, x, g)])
        found.append(np.abs(np.diff(positions, axis=0)) / ALPHA)
        largest = np.max(weights(beta2)[-1][:, None] * np.abs(g), axis=0)
        proof.equal(f"u_T, gradients {what}", optimiser.largest, largest, rounding=2 * STEPS)
        # T steps of 4 operations; differences of sums of T of them
        limit = bound(BETA1, beta2, t) + 0 * g
        proof.at_most(f"|Δ_t| / α, gradients {what}", found[-1], limit, rounding=6 * STEPS)
    limit = bound(BETA1, beta2, t) + 0 * fading
    proof.equal("|Δ_t| / α attains it", found[1], limit, rounding=6 * STEPS)


@claim(
    section="optimisation",
    statement=r"v_t = (1 - \rho) \sum_{i \leq t} \rho^{t-i} g_i^2"
    "\n" + r"g_t = g: \quad |\Delta_t| = \dfrac{\alpha}{\sqrt{1 - \rho^t}}",
    says="RMSprop's first steps are its longest, as its mean square starts at 0 and stays biased.",
    source="T. Tieleman and G. Hinton (2012), lecture 6e; Kingma & Ba (2015), §5",
    method="closed form",
    wrong={"as if the bias were corrected": {"sums": lambda rho: corrections(rho) ** 0}},
)
def rmsprop_begins_with_long_steps(proof: Proof, *, sums=corrections) -> None:
    """The weights of the squares add up to 1 − ρᵗ. For a constant gradient v_t = (1 − ρᵗ) g², and

    Δ_t = −α g / √v_t = −α sign g / √(1 − ρᵗ):        3.2 α at first with ρ = 0.9, in the end α.
    """
    rho = 0.9
    g = proof.rng.standard_normal((STEPS, N))
    x = Tensor(np.zeros(N))
    optimiser = RMSprop([x], ALPHA, rho, epsilon=TINY)
    path(optimiser, x, g)
    squares = (1 - rho) * weights(rho)[-1] @ (g * g)
    # T steps of 3 operations, on either side
    proof.equal("v_T", optimiser.square, squares, rounding=2 * 3 * STEPS)
    x = Tensor(np.zeros(N))
    optimiser = RMSprop([x], ALPHA, rho, epsilon=TINY)
    found = np.concatenate([np.zeros((1, N)), path(optimiser, x, g[:1] + 0 * g)])
    steps = np.abs(np.diff(found, axis=0)) / ALPHA
    expected = 1 / np.sqrt(sums(rho)) + 0 * g
    # and the differences of sums of T steps; 1 − ρ is rounded by ε / (1 − ρ)
    proof.equal("|Δ_t| / α", steps, expected, rounding=3 * STEPS + 1 / (1 - rho), scale=10.0)


def _clipped(gradients: list[Any], largest: float) -> list[Any]:
    parameters = [Tensor(0 * g) for g in gradients]
    for x, g in zip(parameters, gradients, strict=True):
        x.grad = g
    clip_by_norm(parameters, largest)
    return [x.grad for x in parameters]


@claim(
    section="optimisation",
    statement=r"g \mapsto g\, \min(1, c / \|g\|): \quad \|g'\| = \min(\|g\|, c),"
    "\n" + r"\langle g, g' \rangle = \|g\| \|g'\|",
    says="Clipping by the norm of all gradients together shortens a step and does not turn it.",
    source="R. Pascanu, T. Mikolov and Y. Bengio (2013), algorithm 1",
    method="closed form",
    wrong={
        "each element by itself": {"clipped": lambda gs, c: [np.clip(g, -c, c) for g in gs]},
        "each parameter by itself": {"clipped": lambda gs, c: [_clipped([g], c)[0] for g in gs]},
    },
)
def clipping_by_norm_does_not_turn(proof: Proof, *, clipped=_clipped) -> None:
    """One factor f > 0 for all: ⟨g, f g⟩ = f ‖g‖² = ‖g‖ ‖f g‖, the case of equality in Cauchy's and
    Schwarz's inequality. Where parts are clipped by themselves, the parts that were long lose more,
    and the direction is another. It is also what is nearest to g within the ball ‖g′‖ ≤ c.
    """
    gradients = [1 + proof.rng.random((2, 3)), 0.1 * proof.rng.random((4,))]
    g = np.concatenate([x.reshape(-1) for x in gradients])
    length = np.linalg.norm(g)
    for what, largest in (("too long", 0.5), ("short enough", 20.0)):
        after = np.concatenate([x.reshape(-1) for x in clipped(gradients, largest)])
        # two sums of N squares, roots and products
        norm = np.linalg.norm(after)
        proof.equal(f"‖g′‖, {what}", norm, np.minimum(length, largest), rounding=2 * len(g) + 4)
        cosine = np.sum(g * after) / (length * norm)
        proof.equal(f"the cosine of g and g′, {what}", cosine, 1.0, rounding=3 * len(g) + 8)
    flat = FlatParameters([Tensor(0 * x) for x in gradients])
    for x, gradient in zip(flat.parameters, gradients, strict=True):
        x.grad = gradient
    clip_by_norm(flat, 0.5)
    proof.equal("g′ in one array", flat.gradient, 0.5 / length * g, rounding=2 * len(g) + 4)


@claim(
    section="optimisation",
    statement=r"\hat{\theta}_t = \dfrac{1 - d}{1 - d^t} \sum_{i \leq t} d^{t-i} \theta_i",
    says="An exponential average of weights is a true mean of them, with a memory of 1 / (1 − d).",
    source="Polyak & Juditsky (1992); Kingma & Ba (2015), §7.2",
    method="closed form",
    wrong={
        "no correction of the bias": {"sums": lambda d: corrections(d) ** 0},
        "the oldest counting most": {"ages": lambda d: np.flip(weights(d), axis=1)},
    },
)
def a_running_average_is_a_true_mean(proof: Proof, *, sums=corrections, ages=weights) -> None:
    """a_t = d a_{t−1} + (1 − d) θ_t from a_0 = 0 has weights (1 − d) d^{t−i}, which add up to 1 −
    dᵗ. Divided by it, they add up to 1: if the weights θ stand still, so does the average. The mean
    age of what is in it is Σ k (1 − d) d^k = d / (1 − d).
    """
    d, x = 0.8, Tensor(np.zeros(N))
    flat = FlatParameters([x])
    average = ExponentialMovingAverage(flat, d)
    theta, found = 1 + proof.rng.random((STEPS, N)), []
    for t in range(STEPS):
        flat.data[...] = theta[t]
        average.update()
        found.append(average.average())
    expected = (1 - d) * ages(d) @ theta / sums(d)
    # T steps of 3 operations on either side; 1 − d is rounded by ε / (1 − d)
    rounding = 2 * 3 * STEPS + 2 / (1 - d)
    proof.equal("θ̂_t", np.stack(found), expected, rounding=rounding)
    k = np.arange(400)
    proof.equal("the mean age", np.sum(k * (1 - d) * d**k), d / (1 - d), rounding=400)


@claim(
    section="optimisation",
    statement=r"c_k = l + \frac{1}{2} (1 - l) (1 + \cos \pi k / T):"
    "\n" + r"c_k + c_{T-k} = 1 + l, \quad \frac{1}{T} \sum_{k < T} c_k = \frac{1 + l}{2}"
    r" + \frac{1 - l}{2 T}",
    says="A cosine schedule spends half of the learning rate, as a straight line would.",
    source="I. Loshchilov and F. Hutter (2017), SGDR, eq. 5",
    method="closed form",
    wrong={
        "a quarter of the rate": {"whole": lambda last: 0.5 + 0.5 * last},
        "without what is left in the end": {"whole": lambda last: 1.0},
    },
)
def a_cosine_schedule_spends_half(proof: Proof, *, whole=lambda last: 1 + last) -> None:
    """cos(π − x) = −cos x, so a step and its mirror image add up to 2 l + (1 − l) = 1 + l.

    The T + 1 values from k = 0 to T are (T + 1) / 2 such pairs. Without the last, which is l:

    Σ_{k<T} c_k = (T + 1) (1 + l) / 2 − l = T (1 + l) / 2 + (1 − l) / 2
    """
    steps, last = 30, 0.1
    factors = np.array([cosine(k, steps, last) for k in range(steps + 1)])
    # a cosine of an angle up to π, itself rounded, and 4 operations, twice
    pairs = factors + np.flip(factors)
    proof.equal("c_k + c_{T−k}", pairs, np.full(steps + 1, whole(last)), rounding=2 * (4 + 4))
    spent = np.mean(factors[:-1])
    half = whole(last) / 2 + (1 - last) / (2 * steps)
    proof.equal("the mean of c_k", spent, half, rounding=steps + 8)
    proof.equal("c_0 and c_T", factors[np.array([0, steps])], np.array([1.0, last]), rounding=4)
