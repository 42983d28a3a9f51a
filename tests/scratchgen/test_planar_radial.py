"""The planar and the radial transform: their determinants, constraints and limits."""

import itertools
import math

import numpy
import pytest

import autograd.numpy as np
from autograd import Tensor, backend
from scratchgen.models.flows.flow import PointConfig, PointFlow
from scratchgen.transforms import Compose, InverseNotAvailable
from scratchgen.transforms.planar import LEAST_SLOPE, Planar, slope
from scratchgen.transforms.radial import Radial
from tests.scratchgen import bijections
from tests.scratchgen.bijections import randomised, run

KINDS = [Planar, Radial]


def make(kind, dimensions=3, context=0, seed=0, spread=1.0):
    transform = kind(dimensions, backend.default_rng(seed), context)
    return randomised(transform, seed, spread)


def points(n, dimensions, seed=0):
    return 2 * numpy.random.default_rng(seed).standard_normal((n, dimensions))


def with_numbers(kind, *numbers):
    """A transform whose own parameters are these, all in a row."""
    numbers = numpy.concatenate([numpy.atleast_1d(x).astype(float) for x in numbers])
    transform = kind(
        (len(numbers) - 1) // 2 if kind is Planar else len(numbers) - 2, backend.default_rng(0)
    )
    transform.astype("float64")
    transform.numbers.own[...] = backend.asarray(numbers)
    return transform


def planar_with(wu, dimensions=3, b=0.3, seed=0):
    """A planar transform whose u has the product ``wu`` with w, and parts across w."""
    rng = numpy.random.default_rng(seed)
    w, u = rng.standard_normal((2, dimensions))
    return with_numbers(Planar, w, u + (wu - w @ u) * w / (w @ w), b)


def u_hat(transform):
    """û, from what the transform does where tanh has saturated."""
    w = backend.to_numpy(transform.numbers.own.data)[: transform.dimensions]
    far = (100 * w / (w @ w))[None]
    return (run(transform.forward, far)[0] - far)[0]


# --------------------------------------------------------------------------------- determinants


@pytest.mark.parametrize("dimensions", [1, 2, 5])
@pytest.mark.parametrize("context", [0, 4])
@pytest.mark.parametrize("kind", KINDS)
def test_log_det_is_that_of_the_jacobian(kind, dimensions, context):
    for seed in range(3):
        transform = make(kind, dimensions, context, seed)
        given = points(6, context, seed=9) if context else None
        bijections.assert_log_det_is_the_jacobians(transform.forward, points(6, dimensions), given)


@pytest.mark.parametrize("wu", [-20.0, -3.0, -1.0, -0.5, 0.0, 2.0, 20.0])
def test_log_det_is_that_of_the_jacobian_on_both_sides_of_the_constraint(wu):
    # u violates wᵀu ≥ −1, so is changed, in the first two cases; elsewhere it need not have been
    transform = planar_with(wu)
    bijections.assert_log_det_is_the_jacobians(transform.forward, points(8, 3))


@pytest.mark.parametrize("wu", [-4.0, 0.7])
def test_the_planar_determinant_is_that_of_the_lemma(wu):
    transform = planar_with(wu)
    w, b = (backend.to_numpy(transform.numbers.own.data)[i] for i in (slice(3), -1))
    z = points(10, 3)
    psi = (1 - numpy.tanh(z @ w + b) ** 2)[:, None] * w
    u = u_hat(transform)
    whole = numpy.linalg.slogdet(numpy.eye(3) + u[:, None] * psi[:, None, :])[1]
    _, log_det = run(transform.forward, z)
    numpy.testing.assert_allclose(log_det, numpy.log1p(psi @ u), rtol=0, atol=1e-10)
    numpy.testing.assert_allclose(log_det, whole, rtol=0, atol=1e-10)


def test_the_equations_are_those_of_the_paper(rng):
    w, u, b = rng.standard_normal(3), rng.standard_normal(3), 0.4
    z = points(7, 3)
    m = math.log(math.expm1(1 - LEAST_SLOPE))
    wu_hat = LEAST_SLOPE - 1 + math.log1p(math.exp(w @ u + m))
    u_new = u + (wu_hat - w @ u) * w / (w @ w)
    expected = z + u_new * numpy.tanh(z @ w + b)[:, None]
    found, _ = run(with_numbers(Planar, w, u, b).forward, z)
    numpy.testing.assert_allclose(found, expected, rtol=0, atol=1e-10)

    centre, alpha = rng.standard_normal(3), 1e-3 + math.log1p(math.exp(0.3))
    beta = alpha * (LEAST_SLOPE - 1 + math.log1p(math.exp(-1.2 + m)))
    r = numpy.linalg.norm(z - centre, axis=1, keepdims=True)
    expected = z + beta / (alpha + r) * (z - centre)
    found, log_det = run(with_numbers(Radial, centre, 0.3, -1.2).forward, z)
    numpy.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    h, slope_of_h = 1 / (alpha + r[:, 0]), -1 / (alpha + r[:, 0]) ** 2
    determinant = (1 + beta * h) ** 2 * (1 + beta * h + beta * slope_of_h * r[:, 0])
    numpy.testing.assert_allclose(log_det, numpy.log(determinant), rtol=0, atol=1e-12)


# ----------------------------------------------------------------------------------- constraint


def test_the_slope_is_above_its_least_increasing_and_one_at_zero():
    x = numpy.linspace(-200, 50, 2001)
    s = backend.to_numpy(slope(backend.asarray(x)))
    assert (s >= LEAST_SLOPE).all() and (numpy.diff(s) >= 0).all()
    assert slope(backend.asarray([0.0])).item() == pytest.approx(1, abs=1e-15)


@pytest.mark.parametrize("wu", [-50.0, -5.0, -1.001, -0.9, 0.0, 3.0])
def test_the_part_of_u_along_w_is_kept_above_minus_one_and_the_rest_of_u_as_it_is(wu):
    transform = planar_with(wu)
    numbers = backend.to_numpy(transform.numbers.own.data)
    w, u = numbers[:3], numbers[3:6]
    assert w @ u_hat(transform) == pytest.approx(slope(backend.asarray([wu])).item() - 1, abs=1e-9)
    assert w @ u_hat(transform) > -1
    moved = u_hat(transform) - u
    numpy.testing.assert_allclose(moved, (moved @ w) * w / (w @ w), rtol=0, atol=1e-9)


@pytest.mark.parametrize("wu", [-30.0, -2.0, 1.0])
def test_the_planar_transform_keeps_the_order_along_w(wu):
    transform = planar_with(wu)
    w = backend.to_numpy(transform.numbers.own.data)[:3]
    t = numpy.linspace(-8, 8, 4001)
    z, _ = run(transform.forward, t[:, None] * w / (w @ w))
    assert (numpy.diff(z @ w) > 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("context", [0, 4])
def test_a_new_transform_is_the_identity_and_every_parameter_then_learns(kind, context):
    transform = kind(3, backend.default_rng(0), context)
    x = points(5, 3).astype("float32")
    given = points(5, context).astype("float32") if context else None
    z, log_det = run(transform.forward, x, given)
    numpy.testing.assert_allclose(z, x, rtol=0, atol=1e-6)
    numpy.testing.assert_allclose(log_det, 0, rtol=0, atol=1e-6)
    on_device = backend.asarray(given) if context else None
    y, log_det = transform.forward(backend.asarray(x), on_device)
    (np.sum(y**3) + np.sum(log_det)).backward()
    for name, parameter in transform.parameters().items():
        gradient = backend.to_numpy(parameter.grad)
        u_or_beta = slice(3, 6) if kind is Planar else slice(4, 5)
        assert gradient[..., u_or_beta].all(), name
    randomised(transform)
    given = None if on_device is None else on_device.astype("float64")
    bijections.assert_every_parameter_learns(transform, points(5, 3), given)


# ------------------------------------------------------------------------------------- inverse


@pytest.mark.parametrize("dimensions", [1, 2, 4])
@pytest.mark.parametrize("context", [0, 3])
def test_the_radial_transform_is_a_bijection(dimensions, context):
    for seed in range(4):
        transform = make(Radial, dimensions, context, seed, spread=1.5)
        given = points(5, context, seed=9) if context else None
        bijections.assert_is_a_bijection(transform, points(5, dimensions), given)


@pytest.mark.parametrize("alpha", [-8.0, 0.0, 6.0])
@pytest.mark.parametrize("beta", [-12.0, 0.0, 9.0])
def test_the_radial_inverse_uses_the_root_that_is_not_negative(alpha, beta):
    transform = with_numbers(Radial, [0.2, -0.5], alpha, beta)
    z = numpy.concatenate([points(5, 2), 1e-3 * points(5, 2), 1e3 * points(5, 2)])
    there, log_det = run(transform.forward, z)
    back, other = run(transform.inverse, there)
    numpy.testing.assert_allclose(back, z, rtol=1e-7, atol=1e-7)
    numpy.testing.assert_allclose(other, -log_det, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("dtype", "limit"), [("float32", 1e-4), ("float64", 1e-12)])
@pytest.mark.parametrize("depth", [1, 8, 32])
def test_there_and_back_through_many_radial_transforms(dtype, limit, depth):
    chain = Compose([make(Radial, 2, seed=seed, spread=0.5) for seed in range(depth)])
    chain.astype(dtype)
    x = points(50, 2).astype(dtype)
    z, _ = run(chain.forward, x)
    back, _ = run(chain.inverse, z)
    assert back.dtype == dtype
    assert abs(back - x).max() < limit * depth


def test_the_inverse_of_the_planar_transform_is_not_available_and_says_so():
    transform = make(Planar, 2)
    with pytest.raises(InverseNotAvailable, match="Planar has no inverse in closed form"):
        transform.inverse(backend.asarray(points(3, 2)))
    flow = PointFlow(PointConfig(), Compose([make(Radial, 2), make(Planar, 2)]))
    assert flow.log_prob(backend.asarray(points(3, 2))).shape == (3,)
    with pytest.raises(InverseNotAvailable, match="Planar has no inverse"):
        flow.sample(3, backend.default_rng(0))


# -------------------------------------------------------------------------------------- density


@pytest.mark.parametrize("kind", KINDS)
def test_the_density_of_points_sent_through_integrates_to_one(kind):
    chain = Compose([make(kind, 2, seed=seed) for seed in range(4)])
    flow = PointFlow(PointConfig(), chain)
    side = numpy.linspace(-15, 15, 401)
    grid = numpy.stack(numpy.meshgrid(side, side), -1).reshape(-1, 2)
    p = numpy.exp(backend.to_numpy(flow.log_prob(backend.asarray(grid)).detach()))
    assert p.sum() * (side[1] - side[0]) ** 2 == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_with_a_context_each_example_has_a_transform_of_its_own(kind):
    transform = make(kind, 2, context=3)
    x, given = points(4, 2), points(4, 3, seed=1)
    z, log_det = run(transform.forward, x, given)
    for i in range(4):
        one, one_log_det = run(transform.forward, x[i : i + 1], given[i : i + 1])
        numpy.testing.assert_allclose(one[0], z[i], rtol=0, atol=1e-12)
        numpy.testing.assert_allclose(one_log_det[0], log_det[i], rtol=0, atol=1e-12)
    other, _ = run(transform.forward, x, given[::-1].copy())
    assert (abs(other - z) > 1e-6).any(axis=1).all()


# --------------------------------------------------------------------------------------- limits


def extremes(kind):
    """Parameters, in a row, at the limits of what training could make of them."""
    huge = [1e4, -1e4]
    if kind is Planar:
        yield [0, 0, 1, 1, 0]  # no w
        yield [1e-8, 0, 1, 1, 0]
        yield [1, 0, -1e3, 0, 0]  # wᵀu far below −1
        yield [*huge, *huge, 0]
        yield [*huge, -1e4, 1e4, 1]
        yield [1, 1, 1, 1, 1e6]  # tanh saturated
    else:
        yield [0, 0, -1e3, -1e3]  # α and 1 + m as small as they may be
        yield [0, 0, 1e4, 1e4]
        yield [*huge, -1e3, 1e4]
        yield [0, 0, 0, 0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", KINDS)
def test_values_and_gradients_are_finite_at_the_limits(kind, dtype):
    for numbers in extremes(kind):
        transform = with_numbers(kind, numbers)
        transform.astype(dtype)
        x = Tensor(backend.asarray([[0.0, 0.0], [1.0, -1.0], [1e4, 1e4], [1e-20, 0.0]], dtype))
        functions = [transform.forward] + [transform.inverse] * (kind is Radial)
        for function in functions:
            x.grad = transform.numbers.own.grad = None
            z, log_det = function(x)
            (np.sum(z) + np.sum(log_det)).backward()
            for y in (z.detach(), log_det.detach(), x.grad, transform.numbers.own.grad):
                assert numpy.isfinite(backend.to_numpy(y)).all(), numbers


def test_a_saturated_tanh_changes_no_volume():
    x = backend.asarray([[1e3, 1e3], [-1e3, -1e3]])
    _, log_det = with_numbers(Planar, [1.0, 1.0], [0.5, -2.0], 0.0).forward(x)
    numpy.testing.assert_array_equal(backend.to_numpy(log_det.detach()), 0)


@pytest.mark.parametrize("kind", KINDS)
def test_the_transform_is_float32_as_it_is_made(kind):
    transform = kind(2, backend.default_rng(0))
    x = Tensor(backend.asarray(points(3, 2), "float32"))
    z, log_det = transform.forward(x)
    np.sum(z * z + log_det[:, None]).backward()
    assert {y.dtype.name for y in (z, log_det, x.grad)} == {"float32"}
    if kind is Radial:
        bijections.assert_float32_stays_float32(transform, points(3, 2))


@pytest.mark.parametrize("kind", KINDS)
def test_wrong_uses_are_errors_that_say_what_is_expected(kind):
    functions = [make(kind, 2).forward] + [make(kind, 2).inverse] * (kind is Radial)
    for shape, function in itertools.product([(4, 3), (4, 1, 2), (2,)], functions):
        with pytest.raises(ValueError) as raised:
            function(np.zeros(shape))
        assert str(raised.value) == f"{kind.__name__}: input {shape}, expected (N, 2)"
    with pytest.raises(ValueError, match="computed from context"):
        make(kind, 2, context=3).forward(backend.asarray(points(4, 2)))
