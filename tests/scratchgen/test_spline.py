"""Rational-quadratic splines on every branch: bins, their edges, both tails, and extremes."""

import numpy
import pytest

import autograd.numpy as np
from autograd import Tensor, backend, no_grad
from autograd.test_util import check_grads
from scratchgen.data.toys import TOYS
from scratchgen.models.flows.spline import (
    SplineConfig,
    SplineFlow,
    SplinePoints,
    SplinePointsConfig,
)
from scratchgen.nn import MLP, Module, zeros
from scratchgen.optim import Adam
from scratchgen.transforms.coupling import checkerboard, half
from scratchgen.transforms.spline import RationalQuadraticSpline, SplineCoupling
from scratchgen.transforms.transform import Compose
from tests.scratchgen import bijections, exact, quadrature

SPLINE = RationalQuadraticSpline(bins=5, bound=2.0)
BOTH = pytest.mark.parametrize("direction", ["forward", "inverse"])


def parameters(n, spline=SPLINE, seed=0, spread=2.0):
    """(n, numbers): a spline for each of n numbers."""
    return spread * numpy.random.default_rng(seed).standard_normal((n, spline.numbers))


def knots(theta, spline=SPLINE):
    """x, y and slope of the K + 1 knots, by the formulas of the paper's §3.1."""
    K, B, least = spline.bins, spline.bound, spline.least

    def places(logits):
        e = numpy.exp(logits - logits.max())
        parts = least + (1 - K * least) * e / e.sum()
        return numpy.append(0, numpy.cumsum(parts)) * 2 * B - B

    slopes = least + numpy.log1p(numpy.exp(theta[2 * K :] + numpy.log(numpy.expm1(1 - least))))
    return places(theta[:K]), places(theta[K : 2 * K]), numpy.concatenate([[1], slopes, [1]])


def apply(x, theta, direction="forward", spline=SPLINE):
    """One function at many places, or as many functions as places: host arrays."""
    with no_grad():
        theta = backend.asarray(numpy.broadcast_to(theta, (len(x), theta.shape[-1])).copy())
        found = getattr(spline, direction)(backend.asarray(x), theta)
        return tuple(backend.to_numpy(v) for v in found)


def derivative(x, theta, direction="forward", spline=SPLINE):
    """dy/dx from the engine."""
    x = Tensor(backend.asarray(x))
    theta = backend.asarray(numpy.broadcast_to(theta, (len(x), theta.shape[-1])).copy())
    np.sum(getattr(spline, direction)(x, theta)[0]).backward()
    return backend.to_numpy(x.grad)


def places_of_every_branch(edges, bound=2.0):
    """The middle and two other places of every bin, every edge, ±B, and both tails."""
    inside = numpy.concatenate([edges[:-1] + f * numpy.diff(edges) for f in (0.01, 0.5, 0.9)])
    tails = [-30.0, -bound - 1e-9, bound + 1e-9, 3.0]
    return numpy.concatenate([inside, edges, [-bound, bound], tails])


@BOTH
def test_the_log_slope_is_the_derivatives_in_all_bins_and_tails_and_at_the_edges(direction):
    for seed in range(3):
        theta = parameters(1, seed=seed, spread=1.0)[0]
        edges = knots(theta)[0 if direction == "forward" else 1]
        x = places_of_every_branch(edges)
        slope = numpy.exp(apply(x, theta, direction)[1])
        numpy.testing.assert_allclose(slope, derivative(x, theta, direction), rtol=1e-8)
        h = 1e-6 * numpy.diff(edges).min()
        # from either side: where two branches meet, that is on both
        y, left, right = (apply(x + d, theta, direction)[0] for d in (0, -h, h))
        numpy.testing.assert_allclose((y - left) / h, slope, rtol=1e-3)
        numpy.testing.assert_allclose((right - y) / h, slope, rtol=1e-3)


def test_in_each_bin_it_is_the_formula_of_the_paper():
    theta = parameters(1, seed=1)[0]
    xs, ys, d = knots(theta)
    for k in range(SPLINE.bins):
        w, h = xs[k + 1] - xs[k], ys[k + 1] - ys[k]
        s, xi = h / w, numpy.linspace(0.05, 0.95, 7)
        y, log_slope = apply(xs[k] + w * xi, theta)
        bottom = s + (d[k + 1] + d[k] - 2 * s) * xi * (1 - xi)
        expected = ys[k] + h * (s * xi**2 + d[k] * xi * (1 - xi)) / bottom  # eq. 4
        numpy.testing.assert_allclose(y, expected, rtol=0, atol=1e-12)
        top = d[k + 1] * xi**2 + 2 * s * xi * (1 - xi) + d[k] * (1 - xi) ** 2
        numpy.testing.assert_allclose(numpy.exp(log_slope), s**2 * top / bottom**2)  # eq. 5


def test_it_goes_through_its_knots_with_their_slopes():
    theta = parameters(1, seed=2)[0]
    xs, ys, slopes = knots(theta)
    y, log_slope = apply(xs, theta)
    numpy.testing.assert_allclose(y, ys, rtol=0, atol=1e-12)
    numpy.testing.assert_allclose(numpy.exp(log_slope), slopes, rtol=1e-9)
    x, log_slope = apply(ys, theta, "inverse")
    numpy.testing.assert_allclose(x, xs, rtol=0, atol=1e-12)
    numpy.testing.assert_allclose(numpy.exp(-log_slope), slopes, rtol=1e-9)


@BOTH
def test_outside_of_the_bound_it_is_the_identity(direction):
    x = numpy.array([-numpy.inf, -1e30, -2 - 1e-12, 2 + 1e-12, 5.0, numpy.inf])
    y, log_slope = apply(x, parameters(6), direction)
    numpy.testing.assert_array_equal(y, x)
    numpy.testing.assert_array_equal(log_slope, 0)


@BOTH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("bins", [2, 5, 8, 13])
def test_with_parameters_of_zero_it_is_the_identity(direction, dtype, bins):
    spline = RationalQuadraticSpline(bins=bins, bound=3.0)
    x = numpy.linspace(-4, 4, 81).astype(dtype)
    y, log_slope = apply(x, numpy.zeros(spline.numbers, dtype), direction, spline)
    rounding = 24 * numpy.finfo(dtype).eps
    numpy.testing.assert_allclose(y, x, rtol=0, atol=rounding)
    numpy.testing.assert_allclose(log_slope, 0, rtol=0, atol=rounding)


@pytest.mark.parametrize("spread", [0.5, 3.0, 20.0])
def test_there_and_back_to_rounding_errors(spread):
    x = numpy.random.default_rng(1).uniform(-2.5, 2.5, 500)
    theta = parameters(500, spread=spread)
    y, forward = apply(x, theta)
    back, inverse = apply(y, theta, "inverse")
    slope = numpy.exp(numpy.maximum(inverse, 0))  # by which an error of y is magnified
    assert (abs(back - x) / slope).max() < 1e-13
    if spread < 1:
        numpy.testing.assert_allclose(inverse, -forward, rtol=0, atol=1e-10)


def extreme():
    """Splines of parameters ±10⁴: all but one bin minimal, slopes minimal or enormous."""
    rng = numpy.random.default_rng(0)
    theta = 1e4 * rng.choice([-1.0, 0.0, 1.0], (200, SPLINE.numbers))
    theta[0], theta[1] = 1e4, -1e4
    return theta


@BOTH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_parameters_give_finite_values_and_gradients_and_bounded_numbers(direction, dtype):
    theta = Tensor(backend.asarray(extreme()[:, None], dtype=dtype))
    grid = numpy.concatenate([numpy.linspace(-2, 2, 101), [-2.0, 2.0, -1e30, 1e30]])
    x = Tensor(backend.asarray(numpy.broadcast_to(grid, (200, len(grid))).copy(), dtype=dtype))
    each = np.broadcast_to(theta, (200, len(grid), SPLINE.numbers))
    y, log_slope = getattr(SPLINE, direction)(x, each)
    (np.sum(np.where(np.abs(x) < 3, y, 0.0)) + np.sum(log_slope)).backward()
    for found in (y.data, log_slope.data, x.grad, theta.grad):
        assert found.dtype == dtype and numpy.isfinite(backend.to_numpy(found)).all()
    inside = backend.to_numpy(y.data)[:, :-2]
    assert (abs(inside) <= 2).all()


@BOTH
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_it_rises_everywhere_also_with_minimal_bins(direction, dtype):
    grid = numpy.linspace(-2.2, 2.2, 2001).astype(dtype)
    for theta in [*extreme()[:20], *parameters(20, spread=5.0)]:
        y, log_slope = apply(grid, theta.astype(dtype), direction)
        rounding = 16 * numpy.finfo(dtype).eps
        assert (numpy.diff(y) > -rounding).all()
        assert numpy.isfinite(log_slope).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_extreme_splines_are_inverted_to_rounding_errors(dtype):
    # b² − 4ac as it stands becomes negative here, and −b and its root cancel
    y = numpy.random.default_rng(0).uniform(-2, 2, 200).astype(dtype)
    theta = extreme().astype(dtype)
    x, log_slope = apply(y, theta, "inverse")
    back, _ = apply(x, theta)
    magnified = 1 + numpy.exp(-log_slope)  # what becomes of an error of x
    assert (abs(back - y) / magnified).max() < 16 * numpy.finfo(dtype).eps


@BOTH
def test_the_gradients_by_place_and_parameters_are_those_of_finite_differences(direction):
    rng = numpy.random.default_rng(0)
    x = numpy.append(rng.uniform(-1.9, 1.9, 12), [-2.5, 3.0])

    def both(x, theta):
        return np.stack(getattr(SPLINE, direction)(x, theta))

    check_grads(both, modes=["rev"], order=1)(
        backend.asarray(x), backend.asarray(parameters(14, spread=1.0))
    )


@BOTH
def test_the_gradient_of_the_identity_is_that_of_the_branch_it_is_on(direction):
    # at the middle of a bin of the identity the two cases of the inverse meet
    def both(x, theta):
        return np.stack(getattr(SPLINE, direction)(x, theta))

    edges = numpy.linspace(-2, 2, SPLINE.bins + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    theta = numpy.zeros((SPLINE.bins, SPLINE.numbers))
    check_grads(both, modes=["rev"], order=1)(backend.asarray(middles), backend.asarray(theta))


# ------------------------------------------------------------------------------------- coupling


def coupling(mask, width, context=0, spline=SPLINE, seed=0):
    rng = backend.default_rng(seed)
    network = MLP(width, width * spline.numbers, rng, hidden=8, context=context)
    return SplineCoupling(mask, network, spline)


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("context", [0, 3])
def test_the_coupling_is_a_bijection_with_the_jacobians_log_determinant(flip, context):
    transform = bijections.randomised(coupling(half(5, flip), 5, context), spread=0.7)
    rng = numpy.random.default_rng(0)
    x = rng.uniform(-1.8, 1.8, (6, 5))
    x[0], x[1] = 2.5 + rng.random(5), -2.5 - rng.random(5)  # both tails
    x[2, ::2] = 3.0
    given = rng.standard_normal((6, context)) if context else None
    bijections.assert_is_a_bijection(transform, x, given)


def test_the_coupling_of_images_has_masks_of_several_axes():
    transform = coupling(checkerboard(2, 3), 1)
    transform.network = _OnImages(transform.network)
    bijections.randomised(transform)
    x = numpy.random.default_rng(0).uniform(-1.8, 1.8, (4, 2, 3, 1))
    bijections.assert_is_a_bijection(transform, x)


class _OnImages(Module):
    """Each pixel's from the sum over the image, which the mask lets through in part."""

    def __init__(self, network):
        self.network = network

    def __call__(self, x, context=None, rng=None):
        total = np.sum(x, axis=(1, 2), keepdims=True)
        return self.network(np.broadcast_to(total, x.shape), context, rng)


def test_what_the_mask_keeps_passes_unchanged_and_the_rest_depends_on_it_and_itself_only():
    transform = bijections.randomised(coupling(half(4), 4))
    x = numpy.random.default_rng(0).uniform(-1.5, 1.5, (1, 4))
    z, _ = bijections.run(transform.forward, x)
    numpy.testing.assert_array_equal(z[:, :2], x[:, :2])
    for i in range(4):
        moved = x.copy()
        moved[0, i] += 0.1
        other, _ = bijections.run(transform.forward, moved)
        expected = {0: [0, 2, 3], 1: [1, 2, 3], 2: [2], 3: [3]}[i]
        assert numpy.flatnonzero(other[0] != z[0]).tolist() == expected


def test_every_parameter_of_the_network_learns_and_float32_stays_so():
    x = numpy.random.default_rng(0).uniform(-1.8, 1.8, (20, 4))
    bijections.assert_float32_stays_float32(coupling(half(4), 4), x)
    transform = bijections.randomised(coupling(half(4), 4), spread=1.0)
    z, log_det = transform.forward(backend.asarray(x))
    (np.sum(z * z) + np.sum(log_det)).backward()
    for name, parameter in transform.network.parameters().items():
        assert backend.to_numpy(parameter.grad).any(), name


@pytest.mark.parametrize(("dtype", "most"), [("float32", 2e-5), ("float64", 1e-13)])
def test_the_error_of_there_and_back_grows_slowly_with_depth(dtype, most):
    x = numpy.random.default_rng(0).uniform(-1.8, 1.8, (200, 4)).astype(dtype)
    errors = []
    for depth in (1, 4, 16):
        layers = [coupling(half(4, i % 2 == 1), 4, seed=i) for i in range(depth)]
        flow = bijections.randomised(Compose(layers), spread=0.3)
        flow.astype(dtype)
        z, there = bijections.run(flow.forward, x)
        back, again = bijections.run(flow.inverse, z)
        assert z.dtype == back.dtype == dtype
        errors.append(abs(back - x).max() / depth)
        numpy.testing.assert_allclose(again, -there, rtol=0, atol=100 * depth * most)
    assert max(errors) < most, errors


def test_a_network_that_puts_out_zeros_makes_the_coupling_the_identity():
    network = MLP(4, 4 * SPLINE.numbers, backend.default_rng(0), last=zeros)
    x = numpy.random.default_rng(0).uniform(-3, 3, (9, 4)).astype("float32")
    z, log_det = bijections.run(SplineCoupling(half(4), network, SPLINE).forward, x)
    numpy.testing.assert_allclose(z, x, rtol=0, atol=2e-6)
    numpy.testing.assert_allclose(log_det, 0, rtol=0, atol=2e-6)


def test_wrong_uses_are_errors_that_say_what_is_expected():
    with pytest.raises(ValueError, match=r"parameters \(3, 13\), expected \(…, 14\) for 5 bins"):
        SPLINE.forward(np.zeros(3), np.zeros((3, 13)))
    for fields, message in (
        ({"bins": 1}, "bins=1: bins must be at least 2"),
        ({"bound": 0.0}, "bound=0.0: bound must be above 0"),
        ({"bins": 8, "least": 0.2}, "least=0.2: least must be above 0 and below 1 / bins = 0.125"),
    ):
        with pytest.raises(ValueError, match=message):
            RationalQuadraticSpline(**fields)


# --------------------------------------------------------------------------------------- models


def points_model(seed=0, **fields):
    fields = {"couplings": 4, "bins": 6, "hidden": 8} | fields
    return SplinePoints(SplinePointsConfig(**fields), backend.default_rng(seed))


def images_model(seed=0, **fields):
    fields = {"height": 2, "width": 4, "levels": 5, "bins": 4, "hidden": 8, "dropout": 0.0} | fields
    return SplineFlow(SplineConfig(**fields), backend.default_rng(seed))


@pytest.mark.parametrize("classes", [0, 3])
def test_the_flows_are_bijections(classes):
    rng = numpy.random.default_rng(0)
    context = numpy.eye(3) if classes else None
    points = bijections.randomised(points_model(dimensions=3, classes=classes), spread=0.3)
    bijections.assert_is_a_bijection(points.transform, rng.uniform(-6, 6, (3, 3)), context)
    images = images_model(couplings=2, colours=2, height=1, width=2, classes=classes)
    bijections.randomised(images, spread=0.3)
    x = rng.uniform(0.1, 0.9, (3, 1, 2, 2))
    bijections.assert_is_a_bijection(images.transform, x, context)


def test_each_number_is_changed_by_some_coupling_and_seen_by_another():
    for model in (images_model(couplings=2), images_model(), points_model(couplings=2)):
        layers = model.transform.transforms
        if isinstance(model, SplineFlow):
            layers = layers[1].transforms[1:]  # without the logit, and without Flatten
        masks = [backend.to_numpy(layer.mask) for layer in layers]
        assert len(masks) == model.config.couplings and len(masks[0]) == model.config.dimensions
        assert (numpy.sum(masks, 0) > 0).all() and (numpy.sum(masks, 0) < len(masks)).all()


@pytest.mark.parametrize("classes", [0, 2])
def test_the_density_of_random_points_integrates_to_one(classes):
    model = bijections.randomised(points_model(couplings=2, classes=classes), spread=0.4)
    context = 1 if classes else None
    assert quadrature.integral(model, -6, 6, 240, context) == pytest.approx(1, abs=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize("name", TOYS)
def test_after_training_the_density_integrates_to_one_and_is_near_to_the_truth(name):
    rng, toy = backend.default_rng(0), TOYS[name]
    model = points_model(bins=8, hidden=32)
    optimiser = Adam(model.parameters().values(), learning_rate=3e-3)
    for _ in range(300):
        loss, _ = model.loss(toy.sample(256, rng).astype("float32"), rng)
        loss.backward()
        optimiser.step()
    model.astype("float64")
    assert quadrature.integral(model, -6, 6, 720) == pytest.approx(1, abs=1e-3)
    x = toy.sample(10_000, rng)
    with no_grad():
        divergence = np.mean(toy.log_prob(x) - model.log_prob(x)).item()
    assert 0 < divergence < 0.5


def test_points_are_drawn_from_the_density(rng):
    model = bijections.randomised(points_model(couplings=2), spread=0.4)
    x = backend.to_numpy(model.sample(10_000, backend.default_rng(0)))
    log_p, area = quadrature.log_densities(model, -6, 6, 240)
    p = (numpy.exp(log_p) * area).reshape(12, 20, 12, 20).sum((1, 3)).ravel()  # of squares
    square = numpy.floor(x + 6).astype(int)
    found = square[:, 1] * 12 + square[:, 0]  # as meshgrid counts
    exact.assert_frequencies(found, p / p.sum())


def test_images_are_drawn_and_recovered_from_their_noise():
    model = bijections.randomised(images_model(), spread=0.3)
    x = numpy.random.default_rng(0).integers(0, 5, (30, 2, 4, 1))
    z = model.mean_code(backend.asarray(x))
    assert z.shape == (30, 8)
    numpy.testing.assert_array_equal(backend.to_numpy(model.mean(z)), x)
    drawn = backend.to_numpy(model.sample(200, backend.default_rng(0)))
    assert drawn.shape == (200, 2, 4, 1) and set(drawn.ravel()) == set(range(5))


@pytest.mark.parametrize("kind", ["uniform", "variational"])
def test_the_models_are_float32_as_they_come_and_every_parameter_learns(kind):
    rng = numpy.random.default_rng(0)
    images = backend.asarray(rng.integers(0, 5, (20, 2, 4, 1)))
    points = backend.asarray(rng.uniform(-4, 4, (20, 2)), dtype="float32")
    for model, batch in ((images_model(dequantization=kind), images), (points_model(), points)):
        for randomise in (False, True):
            if randomise:
                for x in model.parameters().values():
                    x[...] = x.data + backend.asarray(0.2 * rng.standard_normal(x.shape), "float32")
            loss, metrics = model.loss(batch, backend.default_rng(0))
            loss.backward()
            assert loss.dtype == "float32" and metrics["nats"].item() == loss.item()
        for name, x in model.parameters().items():
            assert x.dtype == x.grad.dtype == "float32", name
            assert backend.to_numpy(x.grad).any(), name


def test_dropout_acts_in_training_only():
    x = backend.asarray(numpy.random.default_rng(0).integers(0, 5, (20, 2, 4, 1)))
    model = bijections.randomised(images_model(dropout=0.5))
    with no_grad():
        weights = [
            backend.to_numpy(model.log_weights(x, 1, backend.default_rng(0), training=training))
            for training in (False, False, True)
        ]
    numpy.testing.assert_array_equal(weights[0], weights[1])
    assert (weights[0] != weights[2]).all()


def test_wrong_configurations_are_errors_that_name_the_field():
    for config in (SplineConfig, SplinePointsConfig):
        for field, value in {"couplings": 0, "bins": 1, "bound": -1.0, "hidden": 0}.items():
            with pytest.raises(ValueError, match=f"{field}={value}: {field} must be"):
                config(**{field: value})
    with pytest.raises(ValueError, match=r"dropout=1\.0: dropout must be from 0 to below 1"):
        SplineConfig(dropout=1.0)
    for config in (SplineConfig, SplinePointsConfig):
        assert config(bins=999).bins == 999
        with pytest.raises(ValueError, match="bins=1000: bins must be below 1000"):
            config(bins=1000)
    with pytest.raises(ValueError, match="dimensions=1: dimensions must be at least 2"):
        SplinePointsConfig(dimensions=1)
