"""Flows: what an invertible function does to a density.

G. Papamakarios, E. Nalisnick, D. J. Rezende, S. Mohamed and B. Lakshminarayanan (2021),
"Normalizing flows for probabilistic modeling and inference". As everywhere in this project, f goes
from data x to noise z, and log_det is ln |det ∂f/∂x|.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import autograd.numpy as np
from autograd import backend, constant, no_grad
from autograd.scipy.stats import norm
from scratchgen.derivations.claim import claim
from scratchgen.derivations.differences import EPSILON, slope
from scratchgen.derivations.figures import axes
from scratchgen.derivations.proof import Proof
from scratchgen.derivations.small_models import log_det_jacobian, matrix_of, randomised
from scratchgen.distributions import normal
from scratchgen.models.flows.flow import Noise, PointFlow
from scratchgen.models.flows.realnvp import RealNVPPoints, RealNVPPointsConfig
from scratchgen.nn import MLP
from scratchgen.transforms.actnorm import ActNorm
from scratchgen.transforms.autoregressive import MaskedAutoregressive
from scratchgen.transforms.coupling import AffineCoupling, half
from scratchgen.transforms.invertible1x1 import Invertible1x1
from scratchgen.transforms.radial import Radial
from scratchgen.transforms.spline import RationalQuadraticSpline, SplineCoupling
from scratchgen.transforms.transform import Compose, Transform

D = 4
"""Numbers of a point."""

# --------------------------------------------------------------------------------- one dimension


@claim(
    section="flows",
    statement=r"Y = 2 X + 1,\; X \sim U(0, 1)"
    "\n" + r"p_Y(y) = p_X(x) \left| \frac{dx}{dy} \right| = \frac{1}{2}",
    says="Stretched to twice its length, a uniform density becomes half as high.",
    source="Lecture example",
    method="closed form",
    wrong={
        "multiplied by the slope of y": {"factor": lambda log_det: np.exp(-log_det)},
        "the slope forgotten": {"factor": lambda log_det: np.exp(0 * log_det)},
    },
)
def a_stretched_uniform_density_is_lower(proof: Proof, *, factor=np.exp) -> None:
    """P(Y ≤ y) = P(X ≤ (y − 1) / 2) = (y − 1) / 2 for y from 1 to 3, whose derivative is ½.

    By the rule: x = (y − 1) / 2, dx/dy = ½ and p_X(x) = 1, so p_Y = 1 · ½. The area is 2 · ½ = 1,
    as before; without the slope it would be 2.
    """
    transform = ActNorm(1)
    transform.astype("float64")
    transform.log_scale[...] = -math.log(2)
    transform.shift[...] = -0.5
    y = 1 + 2 * proof.rng.random((10, 1))
    x, log_det = transform.forward(y)
    # x by an exponential, a product and a sum, of numbers up to 3
    proof.equal("x = (y − 1) / 2", x, (y - 1) / 2, rounding=4, scale=3.0)
    density = factor(log_det)
    proof.step("p_Y(y)", density)
    proof.equal("p_Y(y)", density, np.full(10, 0.5), rounding=4)
    proof.equal("area 2 p_Y", 2 * density, np.ones(10), rounding=4)


def _log_normal(mean: Any, log_std: Any, y: Any) -> Any:
    return np.exp(normal.log_prob(mean, log_std, np.log(y)) - np.log(y))


def _before_and_after() -> Any:
    figure, panel = axes("x, and y = exp x", "density")
    x = np.linspace(-2.5, 3, 300)
    y = np.linspace(0.01, 5, 400)
    p_x = np.exp(normal.log_prob(0.0, math.log(0.6), x))
    p_y = _log_normal(0.0, math.log(0.6), y)
    panel.plot(*(backend.to_numpy(a) for a in (x, p_x)), label="p(x), normal")
    panel.plot(*(backend.to_numpy(a) for a in (y, p_y)), label="p(y) = p(x) / y")
    wrong = backend.to_numpy(p_y * y)
    panel.plot(backend.to_numpy(y), wrong, "--", color="grey", label="without 1 / y: area 1.2")
    panel.legend(frameon=False, fontsize=9)
    return figure


@claim(
    section="flows",
    statement=r"Y = e^X,\; X \sim \mathcal{N}(\mu, \sigma^2)"
    "\n" + r"p_Y(y) = \frac{1}{y}\, \mathcal{N}(\ln y; \mu, \sigma^2)",
    says="The exponential of a normal number has a density that is the slope of its distribution.",
    source="N. Johnson and S. Kotz (1970), ch. 14",
    method="finite differences",
    wrong={
        "1/y forgotten": {"density": lambda m, s, y: y * _log_normal(m, s, y)},
        "multiplied by y": {"density": lambda m, s, y: y * y * _log_normal(m, s, y)},
    },
    figure=_before_and_after,
)
def the_exponential_of_a_normal_is_log_normal(proof: Proof, *, density=_log_normal) -> None:
    """P(Y ≤ y) = P(X ≤ ln y) = Φ((ln y − µ) / σ). By the chain rule its derivative by y is

    N(ln y; µ, σ²) · d ln y / dy = N(ln y; µ, σ²) / y
    """
    mean, log_std = proof.rng.standard_normal((5,)) / 4, -proof.rng.random((5,)) / 2
    y = 1.5 + proof.rng.random((5,))

    def probability(t: Any) -> Any:
        return norm.cdf((np.log(y + t) - mean) * np.exp(-log_std))

    # a logarithm, a difference, a product, an exponential and Φ, which is at most 1
    found, bound = slope(probability, rounding=8)
    proof.step("d/dy P(Y ≤ y)", found)
    because = "Richardson's remainder and rounding"
    proof.within("p_Y(y)", density(mean, log_std, y), found, bound, because)


# -------------------------------------------------------------------------------- more dimensions


def _flow(rng: Any) -> RealNVPPoints:
    config = RealNVPPointsConfig(dimensions=D, couplings=3, hidden=6, layers=1)
    return randomised(RealNVPPoints(config, rng), rng)


@claim(
    section="flows",
    statement=r"p(x) = p_Z(f(x)) \left| \det \frac{\partial f}{\partial x} \right|",
    says="A density is that of the noise, times how much volumes grow on the way to it.",
    source="Papamakarios et al., §2.1; L. Dinh, D. Krueger and Y. Bengio (2014), NICE",
    method="Jacobian",
    wrong={
        "divided by the determinant": {"change": lambda log_det: -log_det},
        "the determinant forgotten": {"change": lambda log_det: 0 * log_det},
    },
)
def the_density_of_data_is_that_of_their_noise(
    proof: Proof, *, change=lambda log_det: log_det
) -> None:
    """A cube dx around x goes to a parallelepiped around z of the volume |det ∂f/∂x| dx, with the
    same probability in it:

    p(x) dx = p_Z(z) dz = p_Z(z) |det ∂f/∂x| dx

    Right the whole matrix ∂f/∂x, by as many backward passes as there are dimensions; left the
    model, which never makes it.
    """
    model = _flow(proof.rng)
    x = proof.rng.standard_normal((4, D))
    z = model.transform.forward(x)[0]
    log_p_z = np.sum(normal.standard_log_prob(z), axis=1)
    found, condition = log_det_jacobian(lambda v: model.transform.forward(v)[0], x)
    proof.step("ln |det ∂f/∂x|", found)
    # a factorisation of D × D numbers; z through 3 networks of D · 6 products each
    rounding = D * D * condition + 3 * 2 * (6 * D)
    right = log_p_z + change(found)
    proof.equal("ln p(x)", model.log_prob(x), right, rounding=rounding)


def _noise_of(transform: Transform, x: Any) -> Any:
    return transform.forward(x)[0]


def _chain(rng: Any) -> Compose:
    """Transforms of three kinds, each with an inverse."""
    network = MLP(D, 2 * D, rng, hidden=6, layers=1)
    transforms = [
        MaskedAutoregressive(D, rng, hidden=6, layers=1),
        Radial(D, rng),
        AffineCoupling(half(D), network),
    ]
    return Compose([randomised(t, rng) for t in transforms])


@claim(
    section="flows",
    statement=r"\ln \left| \det \frac{\partial (g \circ f)}{\partial x} \right| ="
    r" \ln \left| \det \frac{\partial g}{\partial y} \right|_{y = f(x)}"
    r" + \ln \left| \det \frac{\partial f}{\partial x} \right|",
    says="Of functions one after the other the log-determinants add up, each at its own input.",
    source="Papamakarios et al., §2.1",
    method="Jacobian",
    wrong={"all at the first input": {"at": lambda x, y: x}},
)
def log_determinants_add_up(proof: Proof, *, at=lambda x, y: y) -> None:
    """The chain rule says J_{g∘f}(x) = J_g(f(x)) J_f(x), and det (A B) = det A det B.

    So the chain of four transforms has as its log-determinant the sum of theirs; the second one's
    belongs to the output of the first, and not to x.
    """
    spline = RationalQuadraticSpline(bins=4)
    network = MLP(D, D * spline.numbers, proof.rng, hidden=6, layers=1)
    last = randomised(SplineCoupling(half(D, True), network, spline), proof.rng)
    chain = Compose([*_chain(proof.rng).transforms, last])
    x = proof.rng.standard_normal((3, D))
    whole, condition = log_det_jacobian(lambda v: chain.forward(v)[0], x)
    total, place, most = np.zeros(3), x, condition
    for transform in chain.transforms:
        part, own = log_det_jacobian(partial(_noise_of, transform), place)
        proof.step(f"ln |det|, {type(transform).__name__}", part)
        total, most = total + part, most + own
        place = at(x, transform.forward(place)[0])
    # five factorisations
    rounding = D * D * most
    proof.equal("Σ ln |det|", total, whole, rounding=rounding, scale=1.0)
    log_det = chain.forward(x)[1]
    proof.equal("log_det of the chain", log_det, whole, rounding=rounding, scale=1.0)


@claim(
    section="flows",
    statement=r"\frac{\partial f^{-1}}{\partial z} = \left( \frac{\partial f}{\partial x}"
    r" \right)^{-1}"
    "\n" + r"\ln |\det J_{f^{-1}}(f(x))| = -\ln |\det J_f(x)|",
    says="The inverse squeezes by what the function stretches, at the point that it came from.",
    source="M. Spivak (1965), Calculus on manifolds, theorem 2-11; Papamakarios et al., §2.1",
    method="Jacobian",
    wrong={
        "the inverse looked at in x": {"at": lambda x, z: x},
        "the transpose for the inverse": {"inverted": lambda j: j.T},
    },
)
def the_inverse_has_the_inverse_jacobian(
    proof: Proof, *, at=lambda x, z: z, inverted=np.linalg.inv
) -> None:
    """Differentiate f⁻¹(f(x)) = x: J_{f⁻¹}(f(x)) J_f(x) = I. So the one matrix is the inverse of
    the other, and the determinants are the inverse of one another.
    """
    chain = _chain(proof.rng)
    x = proof.rng.standard_normal((1, D))
    z, log_det = chain.forward(x)
    place = constant(at(x, z))
    there = matrix_of(lambda v: chain.forward(v)[0], x[0])
    again = matrix_of(lambda v: chain.inverse(v)[0], place[0])
    condition = np.linalg.cond(there)
    proof.step("condition", condition)
    # the inversion; x itself comes back with an error of as many ε as the functions have roundings
    rounding = 4 * D * D * float(condition.item()) + 3 * 2 * 6 * D
    proof.equal("∂f⁻¹/∂z", again, inverted(there), rounding=rounding)
    back_log_det = chain.inverse(place)[1]
    proof.equal("log_det of f⁻¹", back_log_det, -log_det, rounding=rounding, scale=1.0)
    proof.equal("f⁻¹(f(x))", chain.inverse(z)[0], x, rounding=rounding, scale=1.0)


def _plane(steps: int, side: float) -> tuple[Any, float]:
    """The middles (steps², 2) of the cells of the square [−side, side]², and the area of one."""
    h = 2 * side / steps
    middles = -side + h * (np.arange(steps) + 0.5)
    rows = np.broadcast_to(middles[:, None], (steps, steps))
    columns = np.broadcast_to(middles, (steps, steps))
    return np.stack([rows, columns], axis=-1).reshape(-1, 2), h * h


def _smooth(rng: Any) -> list[Any]:
    """A rotation and two couplings in the plane, with no kinks, that scale by e^½ at most."""
    layers: list[Any] = [Invertible1x1(2, rng)]
    layers[0].astype("float64")
    for flip in (False, True):
        network = MLP(2, 4, rng, hidden=4, layers=1, activation=np.tanh)
        layers.append(randomised(AffineCoupling(half(2, flip), network), rng, spread=0.3))
        network.output.weight[...] = 0.3 * (2 * rng.random((4, 4)) - 1)
        layers[-1].scale[...] = 0.5
    return layers


@claim(
    section="flows",
    statement=r"\int p_Z(f(x)) \left| \det \frac{\partial f}{\partial x} \right| dx = 1",
    says="Whatever its parameters are, a flow's density has the volume one under it.",
    source="Papamakarios et al., §2.1",
    method="quadrature",
    wrong={
        "the determinant of the inverse": {"times": -1.0},
        "the determinant forgotten": {"times": 0.0},
    },
)
def a_flow_is_normalised(proof: Proof, *, times=1.0) -> None:
    """Substitute z = f(x), dz = |det ∂f/∂x| dx: the integral becomes ∫ p_Z(z) dz = 1.

    The density here is smooth and light-tailed, and a sum over a grid then converges faster than
    any power of its step. So where the step is halved, what the sum changes by is far more than
    what it is off afterwards.

    Beyond the square [−S, S]² ‖x‖ > S. A rotation keeps that; then each number is once scaled, by
    e^−½ at least, and shifted, by T at most. So ‖z‖ > ρ = e^−½ S − √2 T, of which the probability
    is exp(−½ ρ²).
    """
    layers = _smooth(proof.rng)
    chain, noise, side = Compose(layers), Noise(), 15.0
    found = []
    for steps in (90, 180):
        x, area = _plane(steps, side)
        z, log_det = chain.forward(x)
        found.append(area * np.sum(np.exp(noise.log_prob(z) + times * log_det)))
    proof.step("∫ p(x) dx, step ⅓", found[0])
    proof.step("∫ p(x) dx, step ⅙", found[1])
    outputs = [layer.network.output for layer in layers[1:]]
    reach = [np.sum(np.abs(o.weight.data), axis=0) + np.abs(o.bias.data) for o in outputs]
    shift = float(np.max(np.stack(reach)).item())  # as |tanh| ≤ 1
    beyond = math.exp(-0.5 * (math.exp(-0.5) * side - math.sqrt(2) * shift) ** 2)
    # pairs of 180² terms are added, of numbers with logarithms to −40
    bound = np.abs(found[1] - found[0]) + beyond + (15 + 40) * EPSILON
    because = "the change from halving the step, exp(−½ ρ²), rounding"
    proof.within("∫ p(x) dx", found[1], 1.0, bound, because)


@claim(
    section="flows",
    statement=r"\mathrm{KL}(p_X \,\|\, q_X) = \mathrm{KL}(p_Z \,\|\, q_Z),\quad z = f(x)",
    says="No invertible function changes a divergence: data and noise are as far from the model.",
    source="Papamakarios et al., §2.3.3",
    method="Monte Carlo",
    wrong={"the log-determinant left in one density": {"left_in": 1.0}},
)
def divergences_do_not_change_under_a_flow(proof: Proof, *, left_in=0.0) -> None:
    """Both densities take up the same determinant, which cancels in their ratio:

    ln p_X(x) / q_X(x) = ln (p_Z(z) |det J|) / (q_Z(z) |det J|) = ln p_Z(z) / q_Z(z)

    So a flow fitted to data by maximum likelihood, KL(data ‖ model), is as much one that makes the
    data's noise normal. Here p_Z = N(µ, σ²) and q_Z = N(0, 1), whose divergence has a closed form,
    and the mean of the ratio is over data x = f⁻¹(z), z ~ p_Z.
    """
    scaling = ActNorm(D)
    scaling.astype("float64")
    scaling.log_scale[...] = 1.0
    chain = Compose([scaling, _chain(proof.rng)])
    mean, log_std = np.array([0.3, -0.2, 0.4, 0.0]), np.array([-0.1, 0.1, 0.0, -0.2])
    model = PointFlow(RealNVPPointsConfig(dimensions=D), chain)
    z = normal.sample(np.broadcast_to(mean, (20_000, D)), log_std, proof.rng)
    with no_grad():
        x, log_det = chain.inverse(z)
    log_p = np.sum(normal.log_prob(mean, log_std, z), axis=1) - log_det
    right = np.sum(normal.kl_to_standard(mean, log_std))
    proof.step("KL(p_Z ‖ q_Z)", right)
    ratio = log_p - model.log_prob(x) - left_in * log_det
    proof.mean("E ln p_X(x) / q_X(x)", ratio, right)
