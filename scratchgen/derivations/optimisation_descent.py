"""Descent on a quadratic: which learning rates converge, how fast, and what momentum adds.

f(θ) = ½ Σ_k λ_k θ_k², in the coordinates of the curvature's eigenvectors: all about a minimum that
a learning rate can know is in the curvatures λ, from µ to L, and in κ = L / µ. Y. Nesterov (2004),
"Introductory lectures on convex optimization", §2.1.5; B. T. Polyak (1964).
"""

from __future__ import annotations

import math
from typing import Any

import autograd.numpy as np
from autograd import Tensor, backend, grad
from scratchgen.derivations.claim import claim
from scratchgen.derivations.figures import axes
from scratchgen.derivations.proof import Proof
from scratchgen.optim import SGD

STEPS = 40
LEAST, LARGEST = 1.0, 16.0
"""µ and L."""


def descend(
    start: Any, curvature: Any, rate: float, momentum: float = 0.0, steps: int = STEPS
) -> Any:
    """θ_0 … θ_T of SGD on ½ θᵀ H θ with H = ``curvature`` (n, n): (T + 1, n)."""
    x = Tensor(start)
    optimiser = SGD([x], rate, momentum=momentum)
    positions = [x.data.copy()]
    for _ in range(steps):
        (0.5 * np.sum(x * (curvature @ x))).backward()
        optimiser.step()
        positions.append(x.data.copy())
    return np.stack(positions)


def _between(rng: Any, count: int = 5) -> Any:
    """Curvatures from µ to L, with both of them."""
    inner = LEAST + (LARGEST - LEAST) * rng.random((count - 2,))
    return np.concatenate([np.array([LEAST]), inner, np.array([LARGEST])])


def _rate_against_step() -> Any:
    values = np.array([LEAST, 3.0, LARGEST])
    rates = [k / 60 * 2.2 / LARGEST for k in range(1, 60)]
    ends = [descend(np.ones(3) / math.sqrt(3), np.diag(values), eta) for eta in rates]
    measured = [np.linalg.norm(x[-1]) ** (1 / STEPS) for x in ends]
    figure, panel = axes("learning rate η", "factor on the error at each step")
    panel.plot(rates, backend.to_numpy(np.stack(measured)), label=f"measured over {STEPS} steps")
    for value, name in ((LEAST, "|1 − ηµ|"), (LARGEST, "|1 − ηL|")):
        panel.plot(rates, [abs(1 - eta * value) for eta in rates], ":", label=name)
    panel.axvline(2 / (LEAST + LARGEST), color="grey", linewidth=0.5)
    panel.axvline(2 / LARGEST, color="grey", linewidth=0.5)
    panel.axhline(1.0, color="grey", linewidth=0.5)
    panel.set_ylim(0, 1.5)
    panel.legend(frameon=False, fontsize=9)
    return figure


@claim(
    section="optimisation",
    statement=r"\theta_t = (I - \eta H)^t\, \theta_0"
    "\n" + r"\|\theta_t\| \leq \left(\max_k |1 - \eta \lambda_k|\right)^t \|\theta_0\|"
    "\n" + r"\theta_t \to 0 \ \mathrm{for\ all}\ \theta_0"
    "\n" + r"\mathrm{if\ and\ only\ if} \quad 0 < \eta < 2 / L",
    says="From everywhere descent converges at rates below 2 by the largest curvature, not above.",
    source="Nesterov (2004), §1.2.3; Y. LeCun et al. (1998), Efficient backprop, §5",
    method="closed form",
    wrong={
        "up to 1 / L only": {"edge": 1 / LARGEST},
        "up to 2 by the least curvature": {"edge": 2 / LEAST},
        "a gradient twice as long, of θᵀ H θ": {"slope": 2.0},
    },
    figure=_rate_against_step,
)
def descent_converges_below_two_over_l(proof: Proof, *, edge=2 / LARGEST, slope=1.0) -> None:
    """∇f = H θ, so θ_{t+1} = (I − η H) θ_t. Along the eigenvector of λ each step multiplies the
    error by 1 − ηλ. The largest of |1 − ηλ|, over µ ≤ λ ≤ L, is at one of the ends. It is below 1
    as long as 1 − ηL > −1; at η = 2/L the steepest direction swings between two points for ever.
    """
    values, start = _between(proof.rng), 1 + proof.rng.random((5,))
    q, _ = np.linalg.qr(proof.rng.standard_normal((5, 5)))
    curved, t = (q * values) @ q.T, np.arange(STEPS + 1)[:, None]
    for share in (0.5, 0.99, 1.01):
        eta = share * edge
        found = descend(q @ start, curved, eta)
        factors = 1 - slope * eta * values
        expected = (factors**t * start) @ q.T
        worst = max(abs(1 - eta * LEAST), abs(1 - eta * LARGEST))
        # T steps of two products of 5 terms, by numbers up to η L of what is left of the start
        rounding, size = STEPS * 2 * 10, max(worst, 1.0) ** STEPS * np.linalg.norm(start)
        what = f"η = {share} of the edge"
        proof.equal(
            f"θ_t, {what}", found, expected, rounding=rounding, scale=size * (1 + eta * LARGEST)
        )
        lengths = np.linalg.norm(found, axis=1)
        bound = worst ** t[:, 0] * lengths[0]
        proof.at_most(f"‖θ_t‖, {what}", lengths, bound, rounding=rounding, scale=size)
        steepest = np.abs(found @ q[:, -1])
        grown = steepest[1:] - steepest[:-1]
        grown = grown if share > 1 else -grown  # grows beyond the edge, falls before it
        proof.at_most(f"the steepest direction, {what}", 0.0, grown, rounding=rounding, scale=size)
    still = np.abs(descend(start, np.diag(values), edge)[:, -1])
    proof.equal("|θ_t| at the edge itself", still, start[-1] + 0 * still, rounding=4 * STEPS)


@claim(
    section="optimisation",
    statement=r"\min_\eta \max(|1 - \eta \mu|, |1 - \eta L|) = \dfrac{\kappa - 1}{\kappa + 1}"
    "\n" + r"\mathrm{at}\ \eta = \dfrac{2}{\mu + L}, \quad \kappa = \dfrac{L}{\mu}",
    says="The best learning rate serves the flattest and the steepest direction equally badly.",
    source="Nesterov (2004), theorem 2.1.15",
    method="closed form",
    wrong={
        "the reciprocal of the largest curvature": {"best": lambda mu, large: 1 / large},
        "the geometric mean": {"best": lambda mu, large: 1 / math.sqrt(mu * large)},
    },
)
def the_best_rate_serves_both_ends(
    proof: Proof, *, best=lambda mu, large: 2 / (mu + large)
) -> None:
    """|1 − ηµ| falls with η until 1/µ, |1 − ηL| rises from 1/L on: the larger of them is least
    where 1 − ηµ = ηL − 1, at η = 2 / (µ + L), and there (L − µ) / (L + µ) = (κ − 1) / (κ + 1).

    About κ / 2 steps are needed for each factor e. Any other η is worse in one of the directions.
    """
    values, steps = _between(proof.rng), 20
    eta, kappa = best(LEAST, LARGEST), LARGEST / LEAST
    rate = (kappa - 1) / (kappa + 1)
    # two operations on either side; 1 − ηλ is rounded by ε of 2, at each of the steps
    rounding = 2 * 2 * steps
    for what, end in (("flattest", 0), ("steepest", -1)):
        start = (np.arange(5) == (end % 5)) * 1.0
        found = np.linalg.norm(descend(start, np.diag(values), eta, steps=steps)[-1])
        proof.equal(f"the {what} direction", found, rate**steps, rounding=rounding / rate)
    for other in (0.9 * eta, 1.1 * eta):
        worst = max(abs(1 - other * LEAST), abs(1 - other * LARGEST))
        proof.at_most(f"(κ − 1) / (κ + 1) against η = {other:.3f}", rate, worst, rounding=4)


def _swing(mu: float, rate: float, value: float) -> tuple[float, float]:
    """Modulus and angle of the roots of r² − (1 + µ − αλ) r + µ, where they are complex."""
    half = (1 + mu - rate * value) / 2
    return math.sqrt(mu), math.acos(half / math.sqrt(mu))


@claim(
    section="optimisation",
    statement=r"\theta_{t+1} = (1 + \mu - \alpha \lambda)\, \theta_t - \mu\, \theta_{t-1}"
    "\n" + r"\theta_t = \mu^{t/2} (A \cos \omega t + B \sin \omega t)"
    "\n" + r"\cos \omega = \dfrac{1 + \mu - \alpha \lambda}{2 \sqrt{\mu}}",
    says="With enough momentum all directions swing, and all die away by the root of it, √µ.",
    source="Polyak (1964); G. Goh (2017), Why momentum really works",
    method="closed form",
    wrong={
        "by µ at each step": {"swing": lambda *of: (of[0], _swing(*of)[1])},
        "as plain descent would, by 1 − αλ": {
            "swing": lambda mu, rate, value: (abs(1 - rate * value), _swing(mu, rate, value)[1])
        },
    },
)
def momentum_swings_and_dies_by_its_root(proof: Proof, *, swing=_swing) -> None:
    """v_{t+1} = µ v_t + λ θ_t and v_t = (θ_{t−1} − θ_t) / α, put into θ_{t+1} = θ_t − α v_{t+1},
    make the recurrence above. Try θ_t = rᵗ:

    r² − (1 + µ − αλ) r + µ = 0,        the product of whose roots is µ.

    Where they are complex they are √µ e^{±iω}: for (1 − √µ)² < αλ < (1 + √µ)². With
    √α = 2 / (√L + √µ_f) and √µ = (√κ − 1) / (√κ + 1) (µ_f the least curvature) that is so for all
    λ: about √κ / 2 steps for a factor e where plain descent needs κ / 2.
    """
    root = math.sqrt(LARGEST / LEAST)
    mu = ((root - 1) / (root + 1)) ** 2
    rate = (2 / (math.sqrt(LARGEST) + math.sqrt(LEAST))) ** 2
    t = np.arange(STEPS + 1)
    for value in (2.0, 5.0, 11.0):  # between the ends, where the two roots are equal
        start = 1 + proof.rng.random((1,))
        found = descend(start, np.diag(np.array([value])), rate, momentum=mu)[:, 0]
        modulus, omega = swing(mu, rate, value)
        # θ_0 = A, and θ_1 = (1 − αλ) A = √µ (A cos ω + B sin ω)
        first = math.sqrt(mu)
        b = ((1 - rate * value) / first - math.cos(omega)) / math.sin(omega)
        wave = np.cos(omega * t) + b * np.sin(omega * t)
        # T steps of 4 operations on either side; the angle, rounded, is multiplied by T
        size = (1 + abs(b)) / math.sin(omega) * np.max(start)
        expected = modulus**t * wave * start
        proof.equal(f"θ_t, λ = {value:g}", found, expected, rounding=2 * 4 * STEPS, scale=size)
    proof.at_most(
        "√µ against (κ − 1) / (κ + 1)", math.sqrt(mu), (root**2 - 1) / (root**2 + 1), rounding=4
    )


@claim(
    section="optimisation",
    statement=r"f(\theta - \eta \nabla f) \leq f(\theta) - \eta \left(1 - \dfrac{\eta L}{2}\right)"
    r" \|\nabla f\|^2",
    says="A step shorter than 2 / L always lowers a function whose slope changes by L at most.",
    source="Nesterov (2004), §1.2.3",
    method="closed form",
    wrong={
        "as if the function were a plane": {"loss": lambda eta, bend: eta},
        "bent by half of what it is": {"loss": lambda eta, bend: eta * (1 - eta * bend / 4)},
    },
)
def a_short_step_lowers_a_smooth_function(
    proof: Proof, *, loss=lambda eta, bend: eta * (1 - eta * bend / 2)
) -> None:
    """Let ‖∇f(a) − ∇f(b)‖ ≤ L ‖a − b‖. With φ(s) = f(θ − s ∇f), φ′(s) = −⟨∇f(θ − s∇f), ∇f⟩, and

    f(θ − η ∇f) = f(θ) + ∫₀^η φ′ ≤ f(θ) − ∫₀^η (1 − s L) ds ‖∇f‖² = f(θ) − (η − η² L / 2) ‖∇f‖²

    Least for η = 1/L: then ‖∇f‖² / 2L is gained at least. The steepest direction of a quadratic
    attains it. The other function here is ln (1 + Σ exp θ_k), whose curvature is ½ at most.
    """
    bumps = lambda x: np.log(1 + np.sum(np.exp(x)))  # noqa: E731
    bowl = lambda x: 0.5 * LARGEST * np.sum(x * x)  # noqa: E731
    start = proof.rng.standard_normal((5,)) + 1
    for what, f, bend in (("log-sum-exp", bumps, 0.5), ("steepest bowl", bowl, LARGEST)):
        slope = grad(f)(start)
        for share in (0.5, 1.0, 2.0):
            eta = share / bend
            bound = f(start) - loss(eta, bend) * np.sum(slope * slope)
            x = Tensor(start.copy())
            x.grad = slope
            SGD([x], eta).step()
            # sums of 5 terms, 8 operations on them
            size = f(start) + eta * np.sum(slope * slope)
            proof.at_most(
                f"f, {what}, η = {share:g} / L", f(x.data), bound, rounding=13, scale=size
            )
    proof.equal("f, of the bowl at 2 / L", f(x.data), f(start), rounding=13)
