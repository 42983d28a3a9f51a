"""Spline flows: monotone functions of one number with an inverse in closed form.

C. Durkan, A. Bekasov, I. Murray and G. Papamakarios (2019), "Neural spline flows".
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import autograd.numpy as np
from autograd import backend
from scratchgen.derivations.claim import claim
from scratchgen.derivations.differences import EPSILON, slope
from scratchgen.derivations.figures import axes
from scratchgen.derivations.proof import Proof
from scratchgen.transforms.spline import RationalQuadraticSpline


def _log_slope(spline: RationalQuadraticSpline, x: Any, parameters: Any, _: Any) -> Any:
    return spline.forward(x, parameters)[1]


def _mean_slope(spline: RationalQuadraticSpline, x: Any, parameters: Any, knots: Any) -> Any:
    """ln of height / width of the bins, one x in each."""
    return np.log((knots[1, 1:] - knots[1, :-1]) / (knots[0, 1:] - knots[0, :-1]))


def _spline_and_slope() -> Any:
    spline, parameters, knots = _spline(Proof("spline").rng, spread=1.5)
    x = np.linspace(-3.6, 3.6, 400)
    y, log_slope = spline.forward(x, np.broadcast_to(parameters, (400, spline.numbers)))
    shown = [backend.to_numpy(a) for a in (x, y, np.exp(log_slope), knots)]
    figure, panel = axes("x", "y, and dy/dx")
    panel.plot(shown[0], shown[1], label="y(x), the identity beyond ±3")
    panel.plot(shown[0], shown[2], label="dy/dx, continuous and positive")
    panel.plot(shown[3][0], shown[3][1], "o", markersize=4, color="black", label="knots")
    panel.legend(frameon=False, fontsize=9)
    return figure


def _spline(rng: Any, spread: float = 1.0) -> tuple[RationalQuadraticSpline, Any, Any]:
    """A spline, its parameters, and its knots (3, K + 1): x, y and slope."""
    spline = RationalQuadraticSpline(bins=4)
    parameters = spread * (2 * rng.random((spline.numbers,)) - 1)
    return spline, parameters, spline._knots(parameters)


@claim(
    section="flows",
    statement=r"y'(x_k \pm 0) = \delta_k > 0, \quad y(x_k) = y_k"
    "\n" + r"y' = \frac{s^2}{q^2} \left( \delta_{k+1} \xi^2 + 2 s \xi (1 - \xi)"
    r" + \delta_k (1 - \xi)^2 \right)",
    says="A rational-quadratic spline rises through its knots with the slopes that it is given.",
    source="Durkan et al., eqs. 4 and 5",
    method="finite differences",
    wrong={
        "the bin's mean slope": {"log_slope": _mean_slope},
        "the slope of the inverse": {
            "log_slope": lambda spline, x, parameters, _: -spline.forward(x, parameters)[1]
        },
    },
    figure=_spline_and_slope,
)
def a_spline_rises_through_its_knots(proof: Proof, *, log_slope=_log_slope) -> None:
    """In a bin, η = ξ (s ξ + d_k (1 − ξ)) / q with q = s + (d_k + d_{k+1} − 2s) ξ (1 − ξ). At ξ = 0
    η = 0 and at ξ = 1 η = s / s = 1. The quotient rule gives

    dy/dx = s² (d_{k+1} ξ² + 2 s ξ (1 − ξ) + d_k (1 − ξ)²) / q²

    which is s² d_k / s² = d_k at ξ = 0 and d_{k+1} at ξ = 1, from either side; all terms are
    positive, so y rises.
    """
    spline, parameters, knots = _spline(proof.rng)
    count = 4
    middle = 0.5 * (knots[0, 1:] + knots[0, :-1]) + 0.1 * (proof.rng.random((count,)) - 0.5)
    each = np.broadcast_to(parameters, (count, spline.numbers))
    found, bound = slope(lambda t: spline.forward(middle + t, each)[0], rounding=60)
    because = "Richardson's remainder and rounding"
    ours = np.exp(log_slope(spline, middle, each, knots))
    proof.within("dy/dx inside of bins", ours, found, bound, because)
    inner = knots[:, 1:-1]
    each = np.broadcast_to(parameters, (inner.shape[1], spline.numbers))
    y, at_knots = spline.forward(inner[0], each)
    # of y and ξ a dozen operations each, in numbers up to 2 B = 6
    proof.equal("y(x_k)", y, inner[1], rounding=24, scale=6.0)
    proof.equal("y'(x_k + 0)", np.exp(at_knots), inner[2], rounding=60)
    h = 1e-7
    near, nearer = (np.exp(spline.forward(inner[0] - t, each)[1]) for t in (h, h / 2))
    # y' is smooth inside a bin: with half of the distance, half of what it is off is left
    tolerance = 2 * np.abs(near - nearer) + 60 * EPSILON * inner[2]
    because = "twice what y' changes by where the distance is halved"
    proof.within("y'(x_k − 0)", nearer, inner[2], tolerance, because)
    x = np.linspace(-3.5, 3.5, 200)
    y, _ = spline.forward(x, np.broadcast_to(parameters, (200, spline.numbers)))
    proof.at_most("0 < Δy", np.zeros(199), np.diff(y), rounding=0)


def _ends(knots: Any) -> tuple[Any, Any]:
    """Of each bin the left and the right one."""
    return knots[:-1], knots[1:]


def _root(s: Any, d0: Any, d1: Any, eta: Any, sign: float = -1.0) -> Any:
    """ξ = 2c / (−b ∓ √(b² − 4ac))."""
    a = s - d0 + eta * (d1 + d0 - 2 * s)
    b = d0 - eta * (d1 + d0 - 2 * s)
    c = -s * eta
    return 2 * c / (-b + sign * np.sqrt(b * b - 4 * a * c))


@claim(
    section="flows",
    statement=r"a \xi^2 + b \xi + c = 0, \quad \xi = \frac{2 c}{-b - \sqrt{b^2 - 4 a c}}",
    says="A spline is inverted by the formula for a quadratic equation, in the bin of y.",
    source="Durkan et al., eqs. 6 to 8",
    method="closed form",
    wrong={
        "the other root": {"root": partial(_root, sign=1.0)},
        "the bin's straight line": {"root": lambda s, d0, d1, eta: eta},
    },
)
def a_spline_is_inverted_by_a_quadratic_formula(proof: Proof, *, root=_root) -> None:
    """η = ξ (s ξ + d_k (1 − ξ)) / (s + (d_k + d_{k+1} − 2s) ξ (1 − ξ)): multiply by the denominator
    and order by powers of ξ,

    (s − d_k + η D) ξ² + (d_k − η D) ξ − s η = 0,      D = d_k + d_{k+1} − 2s

    whose root between 0 and 1 is the one with the minus in the denominator: at η = 0 it is 0.
    """
    spline, parameters, knots = _spline(proof.rng)
    count = spline.bins
    place = 0.2 + 0.6 * proof.rng.random((count,))
    x0, x1, y0, y1, d0, d1 = (part for row in range(3) for part in _ends(knots[row]))
    y = y0 + place * (y1 - y0)
    s = (y1 - y0) / (x1 - x0)
    right = x0 + (x1 - x0) * root(s, d0, d1, place)
    each = np.broadcast_to(parameters, (count, spline.numbers))
    x, log_det = spline.inverse(y, each)
    # the discriminant is t² + 4 s² η (1 − η) ≥ 0.64 s², of terms as large as the greatest of s and
    # the slopes squared: rounding is amplified by as much
    all_slopes = np.concatenate([d0, d1, s])
    steep = float((np.max(all_slopes) / np.min(all_slopes)).item())
    rounding = 30 * steep**2
    proof.equal("x", x, right, rounding=rounding, scale=6.0)
    back, forward = spline.forward(right, each)
    proof.equal("y(x(y))", back, y, rounding=rounding, scale=6.0)
    proof.equal(
        "ln dx/dy", log_det, -forward, rounding=rounding * steep, scale=1.0 + math.log(steep)
    )
