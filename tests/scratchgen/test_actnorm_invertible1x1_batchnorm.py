"""The layers of flows that act on channels: each with the Jacobian's determinant, both ways."""

import math

import numpy
import pytest

import autograd.numpy as np
from autograd import Tensor, backend, no_grad
from scratchgen.transforms.actnorm import ActNorm
from scratchgen.transforms.batchnorm import EPSILON, BatchNormFlow
from scratchgen.transforms.invertible1x1 import Invertible1x1, lu
from scratchgen.transforms.transform import Compose
from tests.scratchgen import bijections

SHAPES = [(3, 5), (2, 2, 3, 4), (2, 3, 1, 2), (4, 1)]  # points, images, images of a row, numbers


def make(kind, channels, seed=0):
    """In float64, with random parameters and random running statistics."""
    transform = {
        "actnorm": lambda: ActNorm(channels),
        "1x1": lambda: Invertible1x1(channels, backend.default_rng(seed)),
        "batchnorm": lambda: BatchNormFlow(channels),
    }[kind]()
    bijections.randomised(transform, seed)
    if kind == "batchnorm":
        rng = numpy.random.default_rng(seed)
        transform.mean = backend.asarray(rng.standard_normal(channels))
        transform.variance = backend.asarray(rng.uniform(0.1, 4, channels))
    return transform


KINDS = ["actnorm", "1x1", "batchnorm"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_log_determinants_are_the_jacobians_of_points_and_of_images_in_both_directions(
    kind, shape, rng
):
    bijections.assert_is_a_bijection(make(kind, shape[-1]), rng.standard_normal(shape))


@pytest.mark.parametrize("kind", KINDS)
def test_context_is_not_looked_at(kind, rng):
    transform, x, context = make(kind, 3), rng.standard_normal((2, 2, 2, 3)), rng.random((2, 4))
    bijections.assert_is_a_bijection(transform, x, context)
    for there, here in zip(
        bijections.run(transform.forward, x, context),
        bijections.run(transform.forward, x),
        strict=True,
    ):
        numpy.testing.assert_array_equal(there, here)


@pytest.mark.parametrize("kind", KINDS)
def test_each_is_float32_as_it_was_made_and_every_parameter_learns(kind, rng):
    makers = {
        "actnorm": ActNorm,
        "1x1": lambda channels: Invertible1x1(channels, backend.default_rng(0)),
        "batchnorm": BatchNormFlow,
    }
    transform, x = makers[kind](4), rng.standard_normal((3, 2, 2, 4))
    transform.initialise(backend.asarray(x, dtype="float32"))
    assert {x.dtype.name for x in transform.values().values()} == {"float32"}
    bijections.assert_float32_stays_float32(transform, x)
    z, log_det = transform.forward(backend.asarray(x, dtype="float32"), rng=backend.default_rng(0))
    assert z.dtype == log_det.dtype == "float32"
    assert {x.dtype.name for x in transform.values().values()} == {"float32"}
    bijections.assert_every_parameter_learns(make(kind, 4), x)


@pytest.mark.parametrize("kind", KINDS)
def test_another_number_of_channels_is_an_error(kind):
    transform = make(kind, 3)
    name = type(transform).__name__
    for x in (np.zeros((2, 4)), np.zeros((2, 3, 1)), np.zeros(3)):
        for function in (transform.forward, transform.inverse, transform.initialise):
            if function == transform.initialise and kind == "1x1":
                continue  # has nothing to set from data
            with pytest.raises(ValueError, match=rf"{name}: input .* expected \(N, …, 3\)"):
                function(x)


@pytest.mark.parametrize("kind", KINDS)
def test_values_come_back_the_same_in_a_model_made_with_another_seed(kind, rng):
    x = rng.standard_normal((5, 6))
    one, other = make(kind, 6), make(kind, 6, seed=1)
    z, log_det = bijections.run(one.forward, x)
    assert (bijections.run(other.forward, x)[0] != z).any()
    other.load(one.values())
    for found, expected in zip(bijections.run(other.forward, x), (z, log_det), strict=True):
        numpy.testing.assert_array_equal(found, expected)
    numpy.testing.assert_allclose(bijections.run(other.inverse, z)[0], x, rtol=0, atol=1e-10)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("depth", [1, 8, 32])
def test_the_error_of_a_round_trip_grows_slowly_with_depth(dtype, depth, rng):
    generator = backend.default_rng(0)
    transforms = [
        transform
        for _ in range(depth)
        for transform in (ActNorm(8), Invertible1x1(8, generator), BatchNormFlow(8))
    ]
    chain = Compose(transforms)
    for x in chain.parameters().values():
        x[...] = x.data + backend.asarray(0.05 * rng.standard_normal(x.shape), dtype="float32")
    chain.astype(dtype)
    x = rng.standard_normal((64, 8)).astype(dtype)
    with no_grad():
        chain.initialise(backend.asarray(x))
    z, there = bijections.run(chain.forward, x)
    back, again = bijections.run(chain.inverse, z)
    epsilon = numpy.finfo(dtype).eps
    assert abs(back - x).max() < 300 * epsilon * depth
    assert abs(again + there).max() < 300 * epsilon * depth


# -------------------------------------------------------------------------------------- actnorm


def initialised(x, dtype="float32"):
    """An ActNorm set from x, and what it makes of x."""
    transform = ActNorm(x.shape[-1])
    transform.astype(dtype)
    with no_grad():
        z = transform.initialise(backend.asarray(x, dtype=dtype))
    numpy.testing.assert_array_equal(
        backend.to_numpy(z), bijections.run(transform.forward, x.astype(dtype))[0]
    )
    return transform, backend.to_numpy(z)


@pytest.mark.parametrize("shape", [(50, 3), (5, 4, 6, 3), (1, 4, 4, 3)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_actnorm_gives_each_channel_of_the_first_batch_mean_0_and_variance_1(shape, dtype, rng):
    x = [10, -300, 0] + [0.01, 40, 1e3] * rng.standard_normal(shape)
    _, z = initialised(x, dtype)
    over = tuple(range(z.ndim - 1))
    atol = 1e-3 if dtype == "float32" else 1e-10
    numpy.testing.assert_allclose(z.mean(over), 0, atol=atol)
    numpy.testing.assert_allclose(z.std(over), 1, rtol=atol)


@pytest.mark.parametrize("value", [0.0, 1e-12, 0.1, -1e6])
@pytest.mark.parametrize("shape", [(37, 2), (5, 4, 3, 2)])
def test_a_constant_channel_becomes_0_and_is_not_blown_up(value, shape, rng):
    x = rng.standard_normal(shape)
    x[..., 1] = value
    transform, z = initialised(x)
    numpy.testing.assert_allclose(z[..., 0].std(), 1, rtol=1e-5)
    assert abs(z[..., 1]).max() <= 1e-6 * abs(value)
    numpy.testing.assert_array_equal(backend.to_numpy(transform.log_scale)[1], 0)


def test_a_first_batch_of_one_point_is_shifted_to_0(rng):
    x = rng.standard_normal((1, 4))
    transform, z = initialised(x)
    numpy.testing.assert_allclose(z, 0, atol=1e-6)
    _, log_det = bijections.run(transform.forward, x.astype("float32"))
    numpy.testing.assert_array_equal(log_det, 0)


def test_a_chain_of_layers_is_initialised_each_from_what_the_one_before_puts_out(rng):
    chain = Compose([ActNorm(3), Invertible1x1(3, backend.default_rng(0)), ActNorm(3)])
    x = rng.standard_normal((99, 3)) @ rng.standard_normal((3, 3)) + 5
    with no_grad():
        chain.initialise(backend.asarray(x, dtype="float32"))
    z, _ = bijections.run(chain.forward, x.astype("float32"))
    numpy.testing.assert_allclose(z.mean(0), 0, atol=1e-4)
    numpy.testing.assert_allclose(z.std(0), 1, rtol=1e-4)


@pytest.mark.parametrize("kind", ["actnorm", "1x1"])
@pytest.mark.parametrize("log_scale", [-40.0, 40.0])
def test_an_extreme_scale_gives_finite_values_and_gradients(kind, log_scale, rng):
    transform = make(kind, 3)
    transform.astype("float32")
    transform.log_scale[1] = log_scale
    x = Tensor(backend.asarray(rng.standard_normal((4, 3)), dtype="float32"))
    for function in (transform.forward, transform.inverse):
        y, log_det = function(x)
        (np.sum(y) + np.sum(log_det)).backward()
        for found in [y, log_det, x.grad] + [p.grad for p in transform.parameters().values()]:
            if found is not None:  # in one direction, the shift has no say in the gradient
                assert numpy.isfinite(backend.to_numpy(found)).all()


# ---------------------------------------------------------------------------------------- 1 × 1


def test_the_lu_decomposition_multiplies_to_the_matrix_with_factors_of_at_most_1(rng):
    for n in (1, 2, 3, 17):
        matrix = rng.standard_normal((n, n))
        permutation, triangles = map(backend.to_numpy, lu(backend.asarray(matrix)))
        lower = numpy.tril(triangles, -1) + numpy.eye(n)
        numpy.testing.assert_allclose(
            permutation @ lower @ numpy.triu(triangles), matrix, rtol=0, atol=1e-12
        )
        assert sorted(permutation.argmax(0)) == list(range(n)) and permutation.sum() == n
        assert abs(lower).max() <= 1


@pytest.mark.parametrize("channels", [1, 2, 3, 16])
def test_at_first_it_is_a_random_rotation_or_reflection_that_keeps_volumes(channels):
    signs = set()
    for seed in range(12):
        transform = Invertible1x1(channels, backend.default_rng(seed))
        weight, log_det = bijections.run(transform.forward, numpy.eye(channels, dtype="float32"))
        numpy.testing.assert_allclose(weight @ weight.T, numpy.eye(channels), atol=1e-5)
        numpy.testing.assert_allclose(log_det, 0, atol=1e-5)
        signs.add(round(float(numpy.linalg.det(weight))))
    assert signs == {-1, 1} or channels == 1


def test_images_and_points_go_through_the_same_matrix(rng):
    transform, x = make("1x1", 4), rng.standard_normal((3, 5, 2, 4))
    images, log_det = bijections.run(transform.forward, x)
    points, each = bijections.run(transform.forward, x.reshape(-1, 4))
    numpy.testing.assert_allclose(images.reshape(-1, 4), points, rtol=0, atol=1e-12)
    numpy.testing.assert_allclose(log_det, 10 * each[0], rtol=1e-12)


def test_what_is_stored_beyond_the_triangles_has_no_effect(rng):
    transform, x = make("1x1", 4), rng.standard_normal((2, 4))
    before = [bijections.run(f, x)[0] for f in (transform.forward, transform.inverse)]
    transform.below[...] = np.tril(transform.below.data, -1)
    transform.above[...] = np.triu(transform.above.data, 1)
    after = [bijections.run(f, x)[0] for f in (transform.forward, transform.inverse)]
    numpy.testing.assert_array_equal(before, after)


def test_a_weight_that_is_singular_by_underflow_is_an_error_in_the_inverse_only(rng):
    transform = make("1x1", 3)
    transform.astype("float32")
    transform.log_scale[1] = -200.0  # exp of it is 0
    x = Tensor(backend.asarray(rng.standard_normal((4, 3)), dtype="float32"))
    z, log_det = transform.forward(x)
    (np.sum(z) + np.sum(log_det)).backward()
    for found in (z, log_det, x.grad, *(p.grad for p in transform.parameters().values())):
        assert numpy.isfinite(backend.to_numpy(found)).all()
    if backend.current() != "cupy":  # which would have to be waited for
        with pytest.raises(ValueError, match="singular"):
            transform.inverse(z)


# ---------------------------------------------------------------------------- batch normalisation


def trained_and_evaluated(transform, x):
    """z of the batch x (N, …) with a generator, as in training, and without."""
    with no_grad():
        z, log_det = transform.forward(backend.asarray(x), rng=backend.default_rng(0))
    return (backend.to_numpy(z), backend.to_numpy(log_det)), bijections.run(transform.forward, x)


@pytest.mark.parametrize("shape", [(40, 3), (6, 3, 2, 3)])
def test_in_training_the_batch_is_normalised_by_its_own_statistics(shape, rng):
    transform, x = make("batchnorm", 3), 2 + 3 * rng.standard_normal(shape)
    (z, log_det), (other, other_log_det) = trained_and_evaluated(transform, x)
    over = tuple(range(x.ndim - 1))
    gain, bias = (backend.to_numpy(p) for p in (transform.log_gain, transform.bias))
    numpy.testing.assert_allclose(z.mean(over), bias, atol=1e-12)
    numpy.testing.assert_allclose(z.std(over), numpy.exp(gain), rtol=1e-5)
    pixels = math.prod(shape[1:-1])
    expected = pixels * (gain - 0.5 * numpy.log(x.var(over) + EPSILON)).sum()
    numpy.testing.assert_allclose(log_det, numpy.full(len(x), expected), rtol=1e-12)
    assert abs(z - other).max() > 0.1 and abs(log_det - other_log_det).min() > 0.1


def test_in_evaluation_an_example_does_not_depend_on_its_batch_and_nothing_is_kept(rng):
    transform, x = make("batchnorm", 3), rng.standard_normal((9, 3))
    before = transform.values()
    whole = bijections.run(transform.forward, x)
    alone = [bijections.run(transform.forward, x[i : i + 1]) for i in range(9)]
    for i, found in enumerate(whole):
        numpy.testing.assert_allclose(found, numpy.concatenate([one[i] for one in alone]))
    bijections.run(transform.inverse, x)
    for name, value in transform.values().items():
        numpy.testing.assert_array_equal(value, before[name], name)


def test_after_training_the_inverse_still_undoes_the_function_of_evaluation(rng):
    transform = make("batchnorm", 3)
    for _ in range(5):
        x = 2 + 3 * rng.standard_normal((20, 3))
        trained_and_evaluated(transform, x)
    z = bijections.assert_log_det_is_the_jacobians(transform.forward, x)
    back, log_det = bijections.run(transform.inverse, z)
    numpy.testing.assert_allclose(back, x, rtol=0, atol=1e-10)
    numpy.testing.assert_allclose(log_det, -bijections.run(transform.forward, x)[1], rtol=1e-12)


@pytest.mark.parametrize("shape", [(8, 2), (2, 2, 2, 2)])
def test_the_running_statistics_converge_to_those_of_the_data(shape, rng):
    # batches of 8 values a channel: the variance within one is 7/8 of the data's
    mean, deviation = numpy.array([3.0, -1.0]), numpy.array([0.5, 2.0])
    transform = BatchNormFlow(2, decay=0.995)
    transform.astype("float64")
    for _ in range(1500):
        x = mean + deviation * rng.standard_normal(shape)
        with no_grad():
            transform.forward(backend.asarray(x), rng=backend.default_rng(0))
    found = [backend.to_numpy(transform.mean), backend.to_numpy(transform.variance)]
    # four standard errors: of the means of n values, a fraction (1 − decay)/(1 + decay) is left
    left = math.sqrt(0.005 / 1.995)
    assert (abs(found[0] - mean) < 4 * left * deviation / math.sqrt(8)).all()
    assert (abs(found[1] / deviation**2 - 1) < 4 * left * math.sqrt(2 / 7)).all()
    assert 4 * left * math.sqrt(2 / 7) < 1 / 8, "the test would pass with the batches' variance"


def test_the_first_batch_gives_the_first_running_statistics(rng):
    transform, x = BatchNormFlow(2), (7 + 3 * rng.standard_normal((500, 2))).astype("float32")
    with no_grad():
        transform.initialise(backend.asarray(x))
    z, _ = bijections.run(transform.forward, x)
    numpy.testing.assert_allclose(z.mean(0), 0, atol=1e-5)
    numpy.testing.assert_allclose(z.std(0), 1, rtol=1e-2)


def test_in_training_the_gradient_flows_through_the_statistics_of_the_batch(rng):
    # z does not change when all of a channel is shifted, nor, but for ε, when it is scaled
    transform, values = make("batchnorm", 3), rng.standard_normal((10, 3))
    x = Tensor(backend.asarray(values))
    z, _ = transform.forward(x, rng=backend.default_rng(0))
    np.sum(z * backend.asarray(rng.standard_normal((10, 3)))).backward()
    gradient = backend.to_numpy(x.grad)
    assert abs(gradient).max() > 0.1
    numpy.testing.assert_allclose(gradient.sum(0), 0, atol=1e-10)
    numpy.testing.assert_allclose((gradient * values).sum(0), 0, atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 3), (5, 3), (1, 2, 2, 3)])
def test_batches_of_one_point_and_constant_channels_stay_finite(shape):
    transform = BatchNormFlow(3)
    x = Tensor(np.ones(shape, "float32"))
    transform.initialise(x.data)
    z, log_det = transform.forward(x, rng=backend.default_rng(0))
    (np.sum(z * z) + np.sum(log_det)).backward()
    everything = [z, log_det, x.grad, *transform.values().values()]
    assert all(numpy.isfinite(backend.to_numpy(found)).all() for found in everything)
    if math.prod(shape) == 3:
        numpy.testing.assert_array_equal(
            backend.to_numpy(log_det),
            bijections.run(transform.forward, numpy.ones(shape, "float32"))[1],
        )
