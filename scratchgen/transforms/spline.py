"""Rational-quadratic splines: flexible monotone functions whose inverse is a quadratic formula.

C. Durkan, A. Bekasov, I. Murray and G. Papamakarios (2019), "Neural spline flows". The splines:
J. A. Gregory and R. Delbourgo (1982), "Piecewise rational quadratic interpolation to monotonic
data".

K + 1 knots (x_k, y_k), rising in both, from (−B, −B) to (B, B), and a positive slope d_k at each,
make K bins. In a bin of width w and height h, s = h / w, with the place ξ = (x − x_k) / w in it and
η = (y − y_k) / h, both from 0 to 1 (eqs. 4 and 5; the denominator, a sum of what is not negative,
is s + (d_k + d_{k+1} − 2s) ξ (1 − ξ) in the paper):

    η = ξ (s ξ + d_k (1 − ξ)) / q,        q = s (ξ² + (1 − ξ)²) + (d_k + d_{k+1}) ξ (1 − ξ)

    dy/dx = s² (d_{k+1} ξ² + 2 s ξ (1 − ξ) + d_k (1 − ξ)²) / q²

This rises from d_k at one knot to d_{k+1} at the next, whatever the knots are, so that the whole is
monotone and continuously differentiable. Outside of [−B, B] it is the identity, and so the slopes
d_0 and d_K are 1.

To find ξ for a given η is to solve a ξ² + b ξ + c = 0 (eqs. 6 to 8). Divided by h, and with
t = d_k (1 − η) − d_{k+1} η, they are

    b = t + 2 s η,    c = −s η,    b² − 4 a c = t² + 4 s² η (1 − η) = r²

    ξ = 2 c / (−b − r) = 2 s η / (t + 2 s η + r)

For t < 0 the denominator is a difference, but (r + t) (r − t) = 4 s² η (1 − η), and so with
u = r + |t| no digits are lost on either side:

    ξ = 2 s η / (u + 2 s η)  where t ≥ 0,        ξ = u / (u + 2 s (1 − η))  where t < 0
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd.backend import xp
from autograd.nn import softmax, softplus
from autograd.numpy.indexing import scatter
from scratchgen.config import require
from scratchgen.transforms.coupling import Coupling

# --------------------------------------------------------------------------------------- spline


@dataclass(frozen=True)
class RationalQuadraticSpline:
    """A monotone function of each number, given by parameters of its own: all 0 for the identity.

    In both directions ``parameters`` (…, numbers) are unconstrained real numbers for each x (…).
    """

    bins: int = 8
    """K."""
    bound: float = 3.0
    """B."""
    least: float = 1e-3
    """Width and height of a bin at least, as parts of 2B, and slope at a knot."""

    def __post_init__(self) -> None:
        require(self, self.bins >= 2, "bins", "at least 2")
        require(self, 0 < self.bound < math.inf, "bound", "above 0")
        most = 1 / self.bins
        require(self, 0 < self.least < most, "least", f"above 0 and below 1 / bins = {most:.3g}")

    @property
    def numbers(self) -> int:
        """How many parameters there are: of K widths, K heights and K − 1 slopes."""
        return 3 * self.bins - 1

    def forward(self, x: Any, parameters: Any) -> tuple[Any, Any]:
        """y and ln dy/dx: both (…)."""
        inside = np.abs(x) <= self.bound
        # what is outside goes through at 0 and is not looked at: its gradient is 0 there, not NaN
        place = np.where(inside, x, 0.0)
        (x0, y0, d0), (x1, y1, d1) = self._bin(place, parameters, 0)
        xi = (place - x0) / (x1 - x0)
        h = y1 - y0
        s = h / (x1 - x0)
        q = _q(xi, s, d0, d1)
        y = y0 + h * xi * (s * xi + d0 * (1 - xi)) / q
        return np.where(inside, y, x), np.where(inside, _log_slope(xi, s, d0, d1, q), 0.0)

    def inverse(self, y: Any, parameters: Any) -> tuple[Any, Any]:
        """x and ln dx/dy: both (…)."""
        inside = np.abs(y) <= self.bound
        place = np.where(inside, y, 0.0)
        (x0, y0, d0), (x1, y1, d1) = self._bin(place, parameters, 1)
        eta = (place - y0) / (y1 - y0)
        w = x1 - x0
        s = (y1 - y0) / w
        t = d0 * (1 - eta) - d1 * eta
        rising = t >= 0
        u = np.sqrt(t * t + 4 * s * s * eta * (1 - eta)) + np.where(rising, t, -t)
        part = 2 * s * np.where(rising, eta, 1 - eta)
        xi = np.where(rising, part, u) / (u + part)
        log_slope = _log_slope(xi, s, d0, d1, _q(xi, s, d0, d1))
        return np.where(inside, x0 + w * xi, y), np.where(inside, -log_slope, 0.0)

    def _bin(self, place: Any, parameters: Any, axis: int) -> tuple[Any, Any]:
        """(x, y, slope), each (…), of the knots on the left and the right of ``place``.

        ``axis``: 0 if that is a place on the x axis, 1 if on the y axis.
        """
        knots = self._knots(parameters)
        k = np.sum(knots[..., axis, 1:-1] <= place[..., None], axis=-1)
        # sums over bins, of which all but one are 0: the gradient of an index is a slow scatter
        here = (np.arange(self.bins) == k[..., None])[..., None, :]
        left, right = (np.sum(here * x, -1) for x in (knots[..., :-1], knots[..., 1:]))
        return tuple(left[..., i] for i in range(3)), tuple(right[..., i] for i in range(3))

    def _knots(self, parameters: Any) -> Any:
        """(…, numbers) → (…, 3, K + 1): x, y and slope of each knot."""
        lead, K = parameters.shape[:-1], self.bins
        if parameters.shape[-1] != self.numbers:
            raise ValueError(
                f"RationalQuadraticSpline: parameters {tuple(parameters.shape)}, "
                f"expected (…, {self.numbers}) for {K} bins"
            )
        parts = softmax(parameters[..., : 2 * K].reshape(*lead, 2, K))
        parts = self.least + (1 - K * self.least) * parts
        inner = 2 * self.bound * np.cumsum(parts, -1)[..., :-1] - self.bound
        end = np.full((*lead, 2, 1), self.bound, parts.dtype)  # exactly, without rounding
        places = np.concatenate([-end, inner, end], -1)
        at_0 = math.log(math.expm1(1 - self.least))  # makes the slope 1 where the parameter is 0
        slopes = self.least + softplus(parameters[..., None, 2 * K :] + at_0)
        one = np.ones((*lead, 1, 1), parts.dtype)
        return np.concatenate([places, np.concatenate([one, slopes, one], -1)], -2)


def _q(xi: Any, s: Any, d0: Any, d1: Any) -> Any:
    """The denominator of y."""
    return s * (xi * xi + (1 - xi) * (1 - xi)) + (d0 + d1) * (xi * (1 - xi))


def _log_slope(xi: Any, s: Any, d0: Any, d1: Any, q: Any) -> Any:
    """ln dy/dx at ξ."""
    rest = 1 - xi
    slopes = d1 * (xi * xi) + 2 * s * (xi * rest) + d0 * (rest * rest)
    return np.log(slopes) + 2 * np.log(s / q)


# ------------------------------------------------------------------------------------- coupling


class SplineCoupling(Coupling):
    """z_i = spline(x_i; θ_i), θ = network(m ⊙ x), for the numbers that the mask m is 0 for.

    The network puts out the spline's parameters for each number of x, (N, …, width · numbers);
    those of numbers that pass unchanged are not used.
    """

    def __init__(
        self,
        mask: Any,
        network: Callable[[Any, Any, Any], Any],
        spline: RationalQuadraticSpline | None = None,
    ) -> None:
        super().__init__(mask, network)
        self.spline = spline or RationalQuadraticSpline()

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        return self._with_changed(self.spline.forward, x, context, rng)

    def inverse(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        return self._with_changed(self.spline.inverse, z, context)

    def _with_changed(self, function: Any, x: Any, context: Any, rng: Any = None) -> Any:
        parameters = self._ask_network(x, context, rng, self.spline.numbers)
        parameters = parameters.reshape(*x.shape, self.spline.numbers)
        others = slice(None), xp.broadcast_to(self.mask == 0, x.shape[1:])
        y, log_slope = function(x[others], parameters[others])  # (N, how many are changed)
        return self.mask * x + scatter(y, others, x.shape), np.sum(log_slope, -1)
