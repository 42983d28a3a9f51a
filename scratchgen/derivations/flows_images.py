"""Flows of images: levels made continuous, and numbers from 0 to 1 made any.

L. Theis, A. van den Oord and M. Bethge (2016), "A note on the evaluation of generative models";
J. Ho et al. (2019), "Flow++".
"""

from __future__ import annotations

import math
import types
from typing import Any

import autograd.numpy as np
from autograd import constant
from autograd.nn import sigmoid
from scratchgen.derivations.claim import claim
from scratchgen.derivations.differences import EPSILON
from scratchgen.derivations.proof import Proof
from scratchgen.derivations.small_models import log_det_jacobian, randomised
from scratchgen.distributions import logistic
from scratchgen.transforms.dequantize import Dequantize, VariationalDequantize
from scratchgen.transforms.logit import Logit

LEVELS = 8


def _on_a_level(rng: Any, log_scale: float, steps: int) -> tuple[Any, Any, Any, Any]:
    """A logistic density at x + u: its mean, ln p (LEVELS, steps), ln P (LEVELS,), and the bound
    h² max |g″| / 24 of the midpoint rule of step h for the mean of g = ln p over u.

    With σ′ ≤ ¼, |g″| = 2 σ′(z) / s² is 1 / 2s² at most.
    """
    mean, scale = 3.0 + 2 * rng.random((1,)), math.exp(log_scale)
    x, u = np.arange(LEVELS), (np.arange(steps) + 0.5) / steps
    log_p = logistic.log_prob(mean, log_scale, x[:, None] + u)
    p = sigmoid((x + 1 - mean) / scale) - sigmoid((x - mean) / scale)
    return mean, log_p, np.log(p), 1 / (48 * scale**2 * steps**2)


ROUNDING = 2000
"""Of ln P: of two sigmoids up to 1 whose difference, on the outermost levels, is above 1/1000."""


@claim(
    section="flows",
    statement=r"\mathbb{E}_u \ln p(x + u) \leq \ln \int_0^1 p(x + u)\, du = \ln P(x)"
    "\n" + r"p(x + u) = L^{-d}\, p_Y((x + u) / L)",
    says="With uniform noise on its levels a density bounds the likelihood of an image from below.",
    source="Theis et al., §3.1",
    method="quadrature",
    wrong={
        "the offset d ln L forgotten": {"offset": lambda d, levels: 0.0},
        "the offset added": {"offset": lambda d, levels: -d * math.log(levels)},
        "the offset once for the image": {"offset": lambda d, levels: math.log(levels)},
    },
)
def dequantisation_bounds_the_likelihood(
    proof: Proof, *, offset=lambda d, levels: d * math.log(levels)
) -> None:
    """P(x) is the probability that x + u rounds down to x. By Jensen's inequality for the concave
    logarithm, E_u ln p(x + u) ≤ ln E_u p(x + u) = ln P(x).

    The flow sees y = (x + u) / L, whose density is L^d times as high, as [0, L)^d is squeezed to
    [0, 1)^d: ln p(x + u) = ln p_Y(y) − d ln L. Here d = 2 and each number is logistic, of mean µ
    and scale s, so P(x) is a difference of two sigmoids for each.
    """
    d, steps, log_scale = 2, 400, 0.2
    mean, log_p, log_mass, bound = _on_a_level(proof.rng, log_scale, steps)
    y = (np.arange(LEVELS)[:, None] + (np.arange(steps) + 0.5) / steps) / LEVELS
    log_p_y = logistic.log_prob(mean / LEVELS, log_scale - math.log(LEVELS), y)
    average = d * np.mean(log_p_y, axis=1) - offset(d, LEVELS)
    proof.step("E ln p(x + u)", average)
    proof.step("ln P(x)", d * log_mass)
    right = d * np.mean(log_p, axis=1)
    # a mean in pairs of logarithms below 10 in size, each of a product and two functions
    proof.equal("E ln p_Y(y) − d ln L", average, right, rounding=20, scale=10.0 * d)
    violated = np.maximum(average - d * log_mass, 0.0)
    tolerance = d * (bound + ROUNDING * EPSILON)
    because = "d h² / 48 s² of the midpoint rule, rounding"
    proof.within("above ln P(x)", violated, np.zeros(LEVELS), tolerance, because)
    ours = Dequantize(LEVELS).forward(np.zeros((1, 1, d), int), rng=proof.rng)[1]
    proof.equal("log_det of Dequantize", ours, -offset(d, LEVELS), rounding=4)


def _from_uniform(log_posterior: Any) -> Any:
    return -np.mean(log_posterior, axis=1)


def _to_uniform(log_posterior: Any) -> Any:
    return np.mean(np.exp(log_posterior) * log_posterior, axis=1)


@claim(
    section="flows",
    statement=r"\ln P(x) - \mathbb{E}_u \ln p(x + u) = \mathrm{KL}(q(u) \,\|\, p(u \mid x))",
    says="What uniform dequantisation loses is how far from flat the density is on a level.",
    source="Ho et al., §3.1",
    method="quadrature",
    wrong={"the divergence the wrong way round": {"divergence": _to_uniform}},
)
def the_gap_of_dequantisation_is_a_divergence(proof: Proof, *, divergence=_from_uniform) -> None:
    """Given x the model itself has a density of u, p(u | x) = p(x + u) / P(x). With q = 1,

    KL(q ‖ p(u | x)) = ∫ ln (1 / p(u | x)) du = ∫ [ln P(x) − ln p(x + u)] du

    It is 0 where p is flat on [x, x + 1). Noise from a learnt q(u | x) makes it less.

    The integral for P(x) is a sum here, too: p″ = p (g″ + g′²) with g = ln p is at most 1.5 p / s²,
    three times as much as g″, and p on the level at most e^(1/s) times its mean.
    """
    log_scale = -0.5
    _, log_p, log_mass, bound = _on_a_level(proof.rng, log_scale, 2000)
    log_posterior = log_p - np.log(np.mean(np.exp(log_p), axis=1, keepdims=True))
    found = divergence(log_posterior)
    proof.step("KL(q ‖ p(u | x))", found)
    tolerance = 3 * math.exp(math.exp(-log_scale)) * bound + ROUNDING * EPSILON
    because = "3 e^(1/s) h² / 48 s² of the midpoint rule, rounding"
    gap = log_mass - np.mean(log_p, axis=1)
    proof.within("ln P(x) − E ln p(x + u)", gap, found, tolerance, because)


class _Given:
    """In place of a generator: the uniform numbers that it is to draw."""

    def __init__(self, numbers: Any) -> None:
        self.numbers = numbers

    def random(self, shape: tuple[int, ...]) -> Any:
        return self.numbers.reshape(shape)


@claim(
    section="flows",
    statement=r"u = \sigma(v),\; v = f(e; x)"
    "\n" + r"\ln q(u \mid x) = \ln p(e) - \ln \left| \det \frac{\partial v}{\partial e} \right|"
    r" - \sum_i \ln u_i (1 - u_i)",
    says="Learnt noise is a flow's, and its density has the determinants of all that made it.",
    source="Ho et al., §3.1",
    method="Jacobian",
    wrong={
        "the slope of the sigmoid forgotten": {"slopes": 0.0},
        "the determinants of the wrong sign": {"sign": 1.0},
    },
)
def learnt_noise_has_the_density_of_a_flow(proof: Proof, *, slopes=1.0, sign=-1.0) -> None:
    """u is made of e, e of uniform numbers w, e = ln (w / (1 − w)), whose density is 1. So

    ln q(u | x) = −ln |det ∂u/∂w|

    and by the chain rule the three determinants are those of e, of v and of σ, σ′ = u (1 − u). With
    f the identity, σ undoes what e is made by: u = w, which is uniform noise.
    """
    size = types.SimpleNamespace(height=2, width=2, colours=1, levels=LEVELS)
    transform = randomised(VariationalDequantize(size, proof.rng), proof.rng, spread=0.1)
    x = proof.rng.integers(0, LEVELS, (1, 2, 2, 1))
    w = 0.2 + 0.6 * proof.rng.random((1, 2, 2, 1))
    u, log_q = transform.noise(x, _Given(w))
    found, condition = log_det_jacobian(lambda w: transform.noise(x, _Given(w))[0], w)
    of_sigmoid = np.sum(np.log(constant(u) * (1 - constant(u))))
    proof.step("u", constant(u))
    right = sign * (found - (1 - slopes) * of_sigmoid)
    # e is float32: a factorisation of 4 × 4 numbers of that precision, and sums of 4
    rounding = 16 * condition + 3 * 4 + 8
    proof.equal("ln q(u | x)", log_q.astype("float32"), right, rounding=rounding, scale=4.0)


@claim(
    section="flows",
    statement=r"z = \ln \frac{p}{1 - p},\; p = \alpha + (1 - 2 \alpha) x"
    "\n" + r"\ln \frac{dz}{dx} = \ln (1 - 2 \alpha) - \ln p - \ln (1 - p)",
    says="The logit spreads the ends of an interval out, and most where they are nearest.",
    source="G. Papamakarios et al. (2017), MAF; L. Dinh et al. (2017), Real NVP, §4.1, with 1 − α",
    method="Jacobian",
    wrong={
        "the scaling of x forgotten": {"scaling": lambda alpha: 1.0},
        "scaled by α only": {"scaling": lambda alpha: 1 - alpha},
    },
)
def the_logit_has_a_slope_of_its_own(proof: Proof, *, scaling=lambda alpha: 1 - 2 * alpha) -> None:
    """d ln (p / (1 − p)) / dp = 1/p + 1/(1 − p) = 1 / (p (1 − p)), and dp/dx = 1 − 2α.

    For an image of d numbers these add up, as each z depends on its own x alone. The slope is least
    in the middle, 4 (1 − 2α), and where α is small goes up to (1 − 2α) / α (1 − α) at the ends.
    """
    alpha, d = 0.05, 4
    transform = Logit(alpha)
    x = proof.rng.random((3, d))
    p = alpha + (1 - 2 * alpha) * x
    z, log_det = transform.forward(x)
    right = np.sum(math.log(scaling(alpha)) - np.log(p) - np.log(1 - p), axis=1)
    found, condition = log_det_jacobian(lambda v: transform.forward(v)[0], x)
    # two logarithms of each of d numbers, whose p has been rounded relative to 1 (1 / α as much)
    rounding = d * 4 + d / alpha
    proof.equal("ln |det J|", found, right, rounding=rounding + condition)
    proof.equal("log_det", log_det, right, rounding=rounding)
    proof.equal("p = σ(z)", sigmoid(z), p, rounding=8)
    again, back = transform.inverse(z)
    # σ has the slope p (1 − p), so that a rounding of z is no more than one of ln p in p
    proof.equal("x from z", again, x, rounding=12, scale=1.0)
    proof.equal("log_det of the inverse", back, -right, rounding=rounding)
