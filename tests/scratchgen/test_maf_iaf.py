"""Masked autoregressive transforms, and the flows MAF and IAF made of them."""

import math

import numpy
import pytest
import scipy.stats

import autograd.numpy as np
from autograd import Tensor, backend, jacobian, no_grad
from scratchgen.data import toys
from scratchgen.models.flows.flow import Noise, PointConfig, PointFlow
from scratchgen.models.flows.iaf import IAF, IAFConfig, IAFPoints, IAFPointsConfig
from scratchgen.models.flows.maf import MAF, MAFConfig, MAFPoints, MAFPointsConfig
from scratchgen.optim import Adam
from scratchgen.transforms import Compose, Inverse
from scratchgen.transforms.autoregressive import MaskedAutoregressive, MaskedNetwork
from tests.scratchgen import bijections, quadrature

ORDERS = ("forward", "reversed")


def make(dimensions=5, seed=0, spread=0.5, **options):
    """A small transform in float64 with random parameters."""
    options = {"hidden": 12} | options
    transform = MaskedAutoregressive(dimensions, backend.default_rng(seed), **options)
    return bijections.randomised(transform, seed, spread)


def points(rng, n, dimensions):
    return backend.asarray(rng.standard_normal((n, dimensions)))


def host(*arrays):
    return [backend.to_numpy(x.data if isinstance(x, Tensor) else x) for x in arrays]


def conditionals(transform, x, context=None):
    with no_grad():
        return host(*transform.conditionals(backend.asarray(x), context))


# ------------------------------------------------------------------------------- the transform


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("context", [0, 3])
@pytest.mark.parametrize(("dimensions", "layers"), [(1, 1), (2, 2), (5, 1), (5, 3)])
def test_it_is_a_bijection_with_the_log_determinants_of_its_jacobians(
    dimensions, layers, context, order, rng
):
    transform = make(dimensions, layers=layers, context=context, order=order)
    x = rng.standard_normal((3, dimensions))
    given = rng.standard_normal((3, context)) if context else None
    bijections.assert_is_a_bijection(transform, x, given)
    bijections.assert_is_a_bijection(Inverse(transform), x, given)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("layers", [1, 3])
def test_a_mean_and_a_scale_depend_on_exactly_the_numbers_before_theirs(order, layers, rng):
    transform = make(6, layers=layers, order=order)
    for parameter in transform.parameters().values():
        parameter[...] = np.abs(parameter.data)  # every ReLU is open, and no two paths cancel
    x = backend.asarray(rng.uniform(0.1, 0.2, 6))

    def of(which):
        return lambda v: transform.conditionals(v.reshape(1, 6))[which][0]

    steps = list(range(6)) if order == "forward" else list(range(5, -1, -1))
    before = {(i, j) for i in range(6) for j in range(6) if steps[j] < steps[i]}
    for which in (0, 1):
        depends = host(jacobian(of(which))(x))[0] != 0
        assert set(zip(*map(list, depends.nonzero()), strict=True)) == before


@pytest.mark.parametrize("order", ORDERS)
def test_both_jacobians_are_triangular(order, rng):
    transform = make(6, order=order)
    steps = numpy.arange(6) if order == "forward" else numpy.arange(6)[::-1]
    later = steps[:, None] < steps
    for function in (transform.forward, transform.inverse):
        x = points(rng, 1, 6)[0]
        matrix = host(jacobian(lambda v, f=function: f(v.reshape(1, 6))[0][0])(x))[0]
        assert (matrix[later] == 0).all()
        assert (matrix.diagonal() > 0).all()
        assert (matrix[later.T] != 0).any()


@pytest.mark.parametrize(("dimensions", "hidden"), [(6, 3), (64, 8), (3, 1), (1, 4)])
def test_few_hidden_units_are_spread_over_all_degrees(dimensions, hidden, rng):
    transform = make(dimensions, hidden=hidden)
    x = rng.standard_normal((2, dimensions))
    bijections.assert_log_det_is_the_jacobians(transform.forward, x)


def test_the_degrees_are_evenly_spread():
    network = MaskedNetwork(range(4), 2, backend.default_rng(0), hidden=6)
    first, second, last = host(*network.masks)
    # degrees of the units 1 1 2 2 3 3: seen by them, of the inputs 1 2 3 4; seen by outputs
    numpy.testing.assert_array_equal(first.sum(0), [1, 1, 2, 2, 3, 3])
    numpy.testing.assert_array_equal(second.sum(0), [2, 2, 4, 4, 6, 6])
    numpy.testing.assert_array_equal(last.sum(0), [0, 2, 4, 6] * 2)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("context", [0, 2])
def test_in_parallel_is_the_same_as_one_number_after_the_other(order, context, rng):
    transform = make(5, context=context, order=order)
    given = points(rng, 4, context) if context else None
    places = range(5) if order == "forward" else range(4, -1, -1)
    x = rng.standard_normal((4, 5))
    mean, log_scale = conditionals(transform, x, given)
    z, log_det = bijections.run(transform.forward, x, None if given is None else host(given)[0])
    so_far, back = rng.standard_normal((2, 4, 5))  # what is not known yet: anything
    for i in places:
        one_mean, one_log_scale = conditionals(transform, so_far, given)
        numpy.testing.assert_allclose(one_mean[:, i], mean[:, i], rtol=0, atol=1e-13)
        numpy.testing.assert_allclose(one_log_scale[:, i], log_scale[:, i], rtol=0, atol=1e-13)
        so_far[:, i] = x[:, i]
        one_mean, one_log_scale = conditionals(transform, back, given)
        back[:, i] = one_mean[:, i] + numpy.exp(one_log_scale[:, i]) * z[:, i]
    numpy.testing.assert_allclose(z, (x - mean) / numpy.exp(log_scale), rtol=1e-12)
    numpy.testing.assert_allclose(log_det, -log_scale.sum(1), rtol=1e-12)
    numpy.testing.assert_allclose(back, x, rtol=0, atol=1e-12)


def test_the_density_is_the_product_of_normal_conditionals(rng):
    transform = make(4, order="reversed")
    x = rng.standard_normal((6, 4))
    mean, log_scale = conditionals(transform, x)
    expected = scipy.stats.norm.logpdf(x, mean, numpy.exp(log_scale)).sum(1)
    flow = PointFlow(PointConfig(4), transform)
    with no_grad():
        (found,) = host(flow.log_prob(backend.asarray(x)))
    numpy.testing.assert_allclose(found, expected, rtol=1e-12)


def test_it_is_the_identity_at_first(rng):
    transform = MaskedAutoregressive(4, backend.default_rng(0), context=2)
    x, context = (rng.standard_normal((3, n)).astype("float32") for n in (4, 2))
    for function in (transform.forward, transform.inverse):
        y, log_det = bijections.run(function, x, context)
        numpy.testing.assert_array_equal(y, x)
        numpy.testing.assert_array_equal(log_det, 0)


@pytest.mark.parametrize("direction", [lambda t: t, Inverse])
def test_every_parameter_learns_and_float32_stays_float32(direction, rng):
    x, context = rng.standard_normal((20, 5)), points(rng, 20, 3)
    bijections.assert_every_parameter_learns(direction(make(5, context=3)), x, context)
    transform = make(5)
    transform.astype("float32")
    bijections.assert_float32_stays_float32(direction(transform), x)


# ------------------------------------------------------------------------------------- context


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("layers", [1, 2])
def test_every_mean_and_scale_depends_on_all_of_the_context_and_not_only_linearly(
    order, layers, rng
):
    transform = make(4, context=3, layers=layers, order=order)
    x = points(rng, 1, 4)
    for which in (0, 1):

        def of(context, which=which):
            return transform.conditionals(x, context.reshape(1, 3))[which][0]

        here, there = (host(jacobian(of)(points(rng, 1, 3)[0]))[0] for _ in range(2))
        assert (here != 0).all()
        assert (here != there).all()


def test_the_context_enters_every_layer():
    network = make(4, context=3, layers=3).network
    for layer, mask in zip([*network.hidden, network.output], host(*network.masks), strict=True):
        assert mask.shape == layer.weight.shape
        assert mask[:3].all()


def test_an_example_is_transformed_by_its_own_context_alone(rng):
    transform = make(4, context=2)
    x, context = rng.standard_normal((3, 4)), rng.standard_normal((3, 2))
    z, log_det = bijections.run(transform.forward, x, context)
    for i in range(3):
        one, its = bijections.run(transform.forward, x[i : i + 1], context[i : i + 1])
        numpy.testing.assert_allclose(one[0], z[i], rtol=1e-12)
        numpy.testing.assert_allclose(its[0], log_det[i], rtol=1e-12)
    other, _ = bijections.run(transform.forward, x, context[::-1])
    assert (abs(other - z)[[0, 2]] > 1e-6).all()


# ------------------------------------------------------------------------------ IAF against MAF


def small(kind, **options):
    """The model ``kind`` (MAFPoints or IAFPoints) in float64 with random parameters."""
    config = {MAFPoints: MAFPointsConfig, IAFPoints: IAFPointsConfig}[kind]
    sizes = {"dimensions": 4, "depth": 3, "hidden": 12} | options
    return bijections.randomised(kind(config(**sizes), backend.default_rng(0)), spread=0.3)


def test_with_the_same_parameters_iaf_is_the_inverse_of_maf(rng):
    maf = make(4, order="reversed")
    iaf = Inverse(make(4, order="reversed", seed=1))
    iaf.load({f"transform.{name}": x for name, x in maf.values().items()})
    x = rng.standard_normal((5, 4))
    z, log_det = bijections.run(maf.forward, x)
    back, other = bijections.run(iaf.forward, z)
    numpy.testing.assert_allclose(back, x, rtol=0, atol=1e-12)
    numpy.testing.assert_allclose(other, -log_det, rtol=0, atol=1e-12)
    numpy.testing.assert_array_equal(bijections.run(iaf.inverse, x)[0], z)


def test_the_density_that_iaf_gives_its_draws_at_once_is_that_which_it_computes_in_sequence(rng):
    """ln p(x) = ln p_Z(z) − ln |det ∂x/∂z|, known with the draw; and from x alone."""
    flow = small(IAFPoints)
    z = points(rng, 6, 4)
    with no_grad():
        x, log_det = flow.transform.inverse(z)
        with_the_draw, alone = host(Noise().log_prob(z) - log_det, flow.log_prob(x))
    numpy.testing.assert_allclose(alone, with_the_draw, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("kind", "to_noise", "to_data"),
    [(MAFPoints, 1, 4), (IAFPoints, 4, 1), (MAF, 1, 6), (IAF, 6, 1)],
)
def test_maf_is_parallel_from_data_to_noise_and_iaf_from_noise_to_data(
    kind, to_noise, to_data, monkeypatch, rng
):
    """By the number of times that the one network runs: once, or for each of 4 or 6 numbers."""
    runs = []
    whole = MaskedNetwork.__call__

    def counted(self, *arguments):
        runs.append(self)
        return whole(self, *arguments)

    monkeypatch.setattr(MaskedNetwork, "__call__", counted)
    points_of = kind in (MAFPoints, IAFPoints)
    flow = small(kind, depth=1) if points_of else small_images(kind, depth=1)
    x = rng.uniform(0.1, 0.9, (2, 4) if points_of else (2, 2, 3, 1))
    z, _ = flow.transform.forward(backend.asarray(x))
    assert len(runs) == to_noise
    flow.transform.inverse(z)
    assert len(runs) == to_noise + to_data


@pytest.mark.parametrize("kind", [MAFPoints, IAFPoints])
@pytest.mark.parametrize("classes", [0, 3])
def test_the_point_flows_are_bijections_and_their_orders_go_by_turns(kind, classes, rng):
    flow = small(kind, classes=classes)
    context = None if not classes else numpy.eye(3)[[0, 2]]
    bijections.assert_is_a_bijection(flow.transform, rng.standard_normal((2, 4)), context)
    layers = [x.transform if isinstance(x, Inverse) else x for x in flow.transform.transforms]
    assert [x.order[0] for x in layers if isinstance(x, MaskedAutoregressive)] == [0, 3, 0]
    assert [isinstance(x, Inverse) for x in flow.transform.transforms[1::2]] == [
        kind is IAFPoints
    ] * 3


@pytest.mark.parametrize("kind", [MAFPoints, IAFPoints])
def test_samples_have_the_moments_of_the_density(kind):
    """∫ p(x) (x, x²) dx on a grid against 20,000 samples, within four standard errors."""
    flow = small(kind, dimensions=2)
    log_p, area = quadrature.log_densities(flow, -20, 20, 400)
    axis = numpy.linspace(-20, 20, 801)[1::2]  # the middles of the squares
    grid = numpy.stack(numpy.meshgrid(axis, axis), -1).reshape(-1, 2)
    weights = numpy.exp(log_p) * area
    assert weights.sum() == pytest.approx(1, abs=1e-3)
    (x,) = host(flow.sample(20_000, backend.default_rng(1)))
    for power in (1, 2):
        error = 4 * (x**power).std(0) / math.sqrt(len(x))
        assert (abs((x**power).mean(0) - weights @ grid**power) < error).all()


# ------------------------------------------------------------------------------------ precision


@pytest.mark.parametrize("direction", [lambda t: t, Inverse])
@pytest.mark.parametrize(("dtype", "bound"), [("float32", 5e-6), ("float64", 1e-14)])
def test_the_way_there_and_back_stays_exact_with_depth(direction, dtype, bound, rng):
    x = rng.standard_normal((100, 8)).astype(dtype)
    for depth in (1, 4, 16):
        layers = [
            direction(make(8, seed, spread=0.2, order=ORDERS[seed % 2])) for seed in range(depth)
        ]
        flow = Compose(layers)
        flow.astype(dtype)
        z, log_det = bijections.run(flow.forward, x)
        back, other = bijections.run(flow.inverse, z)
        assert abs(back - x).max() < bound * depth
        assert abs(other + log_det).max() < bound * depth


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("size", [30.0, 1e6, 1e30])
def test_extreme_scales_are_bounded_and_finite_with_their_gradients(sign, size, rng):
    transform = MaskedAutoregressive(3, backend.default_rng(0), hidden=8)
    transform.network.output.bias[3:] = sign * size  # of the log-scales
    for function in (transform.forward, transform.inverse):
        x = Tensor(backend.asarray(rng.standard_normal((4, 3)).astype("float32")))
        y, log_det = function(x)
        (np.sum(y * y) + np.sum(log_det)).backward()
        numpy.testing.assert_allclose(abs(host(log_det)[0]), 3 * transform.limit, rtol=1e-6)
        for array in host(y, log_det, x.grad, *(p.grad for p in transform.parameters().values())):
            assert numpy.isfinite(array).all()


@pytest.mark.parametrize("size", [1e3, 1e8])
def test_inputs_far_away_have_finite_values_and_gradients(size, rng):
    transform = make(3)
    transform.astype("float32")
    for function in (transform.forward, transform.inverse):
        x = Tensor(backend.asarray((size * rng.standard_normal((4, 3))).astype("float32")))
        y, log_det = function(x)
        (np.sum(y) + np.sum(log_det)).backward()
        for array in host(y, log_det, x.grad, *(p.grad for p in transform.parameters().values())):
            assert numpy.isfinite(array).all()


# ------------------------------------------------------------------------- against known truths

CORRELATION = 0.8


def conditional_gaussian():
    """Parameters set by hand: x_1 ~ N(0, 1), x_2 | x_1 ~ N(ρ x_1, 1 − ρ²)."""
    transform = MaskedAutoregressive(2, backend.default_rng(0), hidden=2, layers=1)
    transform.astype("float64")
    network, limit = transform.network, transform.limit
    network.hidden[0].weight[...] = backend.asarray([[1.0, -1.0], [7.0, 7.0]])  # 7: masked
    network.output.weight[...] = 7.0
    network.output.weight[:, 1] = backend.asarray([CORRELATION, -CORRELATION])  # ρ relu(x) − …
    network.output.weight[:, 3] = 0.0
    log_scale = 0.5 * math.log(1 - CORRELATION**2)
    network.output.bias[3] = limit * math.atanh(log_scale / limit)
    return transform


def test_with_the_right_parameters_it_is_a_correlated_gaussian_exactly(rng):
    covariance = numpy.array([[1, CORRELATION], [CORRELATION, 1]])
    x = rng.standard_normal((10, 2))
    expected = scipy.stats.multivariate_normal([0, 0], covariance).logpdf(x)
    flow = PointFlow(PointConfig(), conditional_gaussian())
    with no_grad():
        (found,) = host(flow.log_prob(backend.asarray(x)))
    numpy.testing.assert_allclose(found, expected, rtol=1e-12)
    (drawn,) = host(flow.sample(50_000, backend.default_rng(0)))
    numpy.testing.assert_allclose(numpy.cov(drawn.T), covariance, atol=0.03)


def test_one_transform_learns_a_correlated_gaussian(rng):
    """KL(p ‖ q) in closed form for each x_1, and over x_1 by quadrature of 60 nodes."""
    transform = MaskedAutoregressive(2, backend.default_rng(0), hidden=16, layers=1)
    flow = PointFlow(PointConfig(), transform)
    optimiser = Adam(flow.parameters().values())
    deviation = math.sqrt(1 - CORRELATION**2)
    divergence = []
    for step in range(600):
        x = rng.standard_normal((512, 2))
        x[:, 1] = CORRELATION * x[:, 0] + deviation * x[:, 1]
        if step % 599 == 0:
            divergence.append(divergence_from_gaussian(transform))
        loss, _ = flow.loss(backend.asarray(x.astype("float32")), None)
        loss.backward()
        optimiser.learning_rate = 1e-2 * (1 - step / 600)
        optimiser.step()
    assert divergence[0] == pytest.approx(-0.5 * math.log(1 - CORRELATION**2), rel=1e-5)
    assert -1e-5 < divergence[1] < 2e-3


def divergence_from_gaussian(transform):
    nodes, weights = numpy.polynomial.hermite_e.hermegauss(60)
    x = numpy.stack([nodes, 0 * nodes], -1).astype("float32")
    mean, log_scale = (a.astype("float64") for a in conditionals(transform, x))
    true_mean = numpy.stack([0 * nodes, CORRELATION * nodes], -1)
    true_variance = numpy.array([1, 1 - CORRELATION**2])
    variance = numpy.exp(2 * log_scale)
    ratio = (true_variance + (true_mean - mean) ** 2) / variance
    kl = 0.5 * (ratio - 1 + numpy.log(variance / true_variance)).sum(-1)
    return weights @ kl / weights.sum()


# --------------------------------------------------------------------------------------- models


def small_images(kind, **options):
    config = {MAF: MAFConfig, IAF: IAFConfig}[kind]
    sizes = {"height": 2, "width": 3, "levels": 4, "depth": 2, "hidden": 12} | options
    return kind(config(**sizes), backend.default_rng(0))


@pytest.mark.parametrize("kind", [MAF, IAF])
@pytest.mark.parametrize("classes", [0, 3])
def test_the_image_flows_are_bijections_learn_and_draw(kind, classes, rng):
    model = small_images(kind, classes=classes)
    images = backend.asarray(rng.integers(0, 4, (20, 2, 3, 1)))
    labels = backend.asarray(rng.integers(0, 3, 20)) if classes else None
    batch = images if labels is None else (images, labels)
    model.initialise(batch, backend.default_rng(0))
    loss, metrics = model.loss(batch, backend.default_rng(0))
    assert loss.dtype == "float32" and metrics["nats"].item() == loss.item()
    bijections.randomised(model, spread=0.2)
    model.loss(batch, backend.default_rng(0))[0].backward()
    for name, parameter in model.parameters().items():
        assert host(parameter.grad)[0].any(), name
    inside = rng.uniform(0.1, 0.9, (2, 2, 3, 1))
    context = numpy.eye(3)[:2] if classes else None
    bijections.assert_is_a_bijection(model.transform, inside, context)
    (drawn,) = host(model.sample(5, backend.default_rng(0), 1 if classes else None))
    assert drawn.shape == (5, 2, 3, 1)
    assert drawn.dtype.kind == "i" and 0 <= drawn.min() <= drawn.max() < 4


def test_dropout_acts_in_training_only(rng):
    model = small_images(MAF, dropout=0.5)
    bijections.randomised(model, spread=0.3)
    y = backend.asarray(rng.uniform(0.1, 0.9, (5, 2, 3, 1)))
    with no_grad():
        first, second = (
            host(*model.transform.forward(y, rng=backend.default_rng(seed))) for seed in (0, 1)
        )
        plain, again = (host(*model.transform.forward(y)) for _ in range(2))
    assert (first[1] != second[1]).all() and (first[1] != plain[1]).all()
    numpy.testing.assert_array_equal(plain[1], again[1])


def test_wrong_uses_are_errors_that_say_what_is_expected(rng):
    transform = make(4, context=2)
    for shape in [(3, 5), (3, 1, 4)]:
        for function in (transform.forward, transform.inverse):
            with pytest.raises(ValueError) as raised:
                function(np.zeros(shape), points(rng, 3, 2))
            assert str(raised.value) == f"MaskedAutoregressive: input {shape}, expected (N, 4)"
    with pytest.raises(ValueError, match="context None, expected 2 numbers"):
        transform.forward(points(rng, 3, 4))
    with pytest.raises(ValueError, match=r"context \(3, 3\), expected 2 numbers"):
        transform.inverse(points(rng, 3, 4), points(rng, 3, 3))
    with pytest.raises(ValueError, match="order='random', expected forward or reversed"):
        make(4, order="random")
    for config in (MAFConfig, MAFPointsConfig, IAFConfig, IAFPointsConfig):
        for field in ("depth", "hidden", "layers"):
            with pytest.raises(ValueError, match=f"{field}=0: {field} must be at least 1"):
                config(**{field: 0})
    with pytest.raises(ValueError, match=r"dropout=1\.5: dropout must be from"):
        MAFConfig(dropout=1.5)


# ------------------------------------------------------------------------------- after training


@pytest.mark.slow
@pytest.mark.parametrize("toy", toys.TOYS)
@pytest.mark.parametrize("kind", [MAFPoints, IAFPoints])
def test_after_training_the_density_integrates_to_one(kind, toy):
    config = {MAFPoints: MAFPointsConfig, IAFPoints: IAFPointsConfig}[kind]
    flow, rng = kind(config(depth=4), backend.default_rng(0)), backend.default_rng(1)
    truth = toys.find(toy)
    flow.initialise(truth.sample(512, rng).astype("float32"), rng)
    optimiser = Adam(flow.parameters().values())
    before = after = 0.0
    for step in range(500):
        loss, _ = flow.loss(truth.sample(256, rng).astype("float32"), rng)
        loss.backward()
        optimiser.learning_rate = 4e-3 * (1 - step / 500)
        optimiser.step()
        before += loss.item() / 50 if step < 50 else 0
        after += loss.item() / 50 if step >= 450 else 0
    assert truth.entropy - 0.1 < after < before - 0.2
    flow.astype("float64")
    assert quadrature.integral(flow, -12, 12, 400) == pytest.approx(1, abs=1e-3)
