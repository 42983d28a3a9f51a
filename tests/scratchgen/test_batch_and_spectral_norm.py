"""Batch and spectral normalisation."""

import contextlib

import numpy
import pytest

import autograd.numpy as np
from autograd import Tensor, backend, constant
from autograd.functional import grad
from autograd.replay import recorded
from autograd.test_util import check_grads
from scratchgen.nn import BatchNorm, SpectralConv, SpectralDense
from scratchgen.training import checkpoint

# ------------------------------------------------------------------------------------------- batch


def batch_norm(rng, channels=3, **options):
    layer = BatchNorm(channels, **options)
    layer.astype("float64")
    for x in (layer.gain, layer.bias):
        x[...] = backend.asarray(rng.standard_normal(channels))
    return layer


def applied(layer, x, rng=None):
    return backend.to_numpy(layer(backend.asarray(x), rng).data)


@pytest.mark.parametrize("shape", [(7, 3), (4, 5, 6, 3)])
def test_in_training_each_channel_has_the_mean_and_variance_that_were_learnt(rng, shape):
    layer = batch_norm(rng, epsilon=0.0)
    y = applied(layer, 5 + 3 * rng.standard_normal(shape), backend.default_rng(0)).reshape(-1, 3)
    numpy.testing.assert_allclose(y.mean(0), backend.to_numpy(layer.bias.data))
    numpy.testing.assert_allclose(y.std(0), abs(backend.to_numpy(layer.gain.data)))


def test_after_it_each_example_is_taken_by_itself_with_the_running_statistics(rng):
    layer = batch_norm(rng)
    for _ in range(3):
        applied(layer, 5 + 3 * rng.standard_normal((6, 2, 2, 3)), backend.default_rng(0))
    x = rng.standard_normal((6, 2, 2, 3))
    together = applied(layer, x)
    alone = numpy.concatenate([applied(layer, x[i : i + 1]) for i in range(6)])
    numpy.testing.assert_array_equal(together, alone)
    values = {name: backend.to_numpy(x) for name, x in layer.values().items()}
    scaled = (x - values["mean"]) / numpy.sqrt(values["variance"] + layer.epsilon)
    numpy.testing.assert_allclose(together, scaled * values["gain"] + values["bias"])
    assert (abs(together - applied(layer, x, backend.default_rng(0))) > 0.1).any()


def test_the_running_statistics_are_averages_over_the_batches_of_training(rng):
    layer, batches = batch_norm(rng, decay=0.7), 2 + rng.standard_normal((4, 5, 2, 2, 3))
    mean, variance = numpy.zeros(3), numpy.ones(3)
    for batch in batches:
        mean = 0.7 * mean + 0.3 * batch.mean((0, 1, 2))
        variance = 0.7 * variance + 0.3 * batch.var((0, 1, 2), ddof=1)
        applied(layer, batch, backend.default_rng(0))
        applied(layer, batch)  # changes nothing
    numpy.testing.assert_allclose(backend.to_numpy(layer.mean), mean)
    numpy.testing.assert_allclose(backend.to_numpy(layer.variance), variance)


def test_the_gradient_goes_through_the_statistics_of_the_batch(rng):
    layer = batch_norm(rng)
    check_grads(lambda x: layer(x, backend.default_rng(0)))(rng.standard_normal((4, 2, 3)))
    x = Tensor(backend.asarray(rng.standard_normal((5, 3))))
    y = layer(x, backend.default_rng(0))
    np.sum(y * y[::-1].data).backward()
    assert abs(backend.to_numpy(np.sum(x.grad, axis=0))).max() < 1e-12  # a shift changes nothing
    assert not isinstance(layer.mean, Tensor) and not isinstance(layer.variance, Tensor)


def test_one_value_alone_is_normalised_by_the_running_statistics(rng):
    layer, x = batch_norm(rng), rng.standard_normal((1, 3))
    before = layer.values()
    numpy.testing.assert_array_equal(applied(layer, x, backend.default_rng(0)), applied(layer, x))
    for name, value in layer.values().items():
        numpy.testing.assert_array_equal(value, before[name])


def test_moving_the_statistics_does_not_disturb_a_graph_that_is_still_to_be_walked(rng):
    layer, x = batch_norm(rng), Tensor(backend.asarray(rng.standard_normal((4, 3))))
    expected = grad(lambda x: np.sum(layer(x)))(x.data)
    y = np.sum(layer(x))
    layer(x.data, backend.default_rng(0))
    y.backward()
    numpy.testing.assert_array_equal(backend.to_numpy(x.grad), backend.to_numpy(expected))


@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("make", [lambda: BatchNorm(2), lambda: spectral_conv()])
def test_a_step_is_replayed_in_training_as_after_it_with_the_buffers_of_the_day(rng, make, frozen):
    if backend.current() != "numpy":
        pytest.skip("steps are recorded on NumPy only")
    layers = make(), make()
    shift = Tensor(numpy.zeros(2, "float32"))

    def step_of(layer):
        def step(x, rng):
            with layer.frozen() if frozen else contextlib.nullcontext():
                y = layer(np.tanh(x + shift), rng)
                after = layer(np.tanh(x + shift))
                np.sum(y * y + after * after * after).backward()
            return y, after

        return step

    steps = step_of(layers[0]), recorded(step_of(layers[1]))
    for _ in range(5):
        x = rng.standard_normal((4, 5, 5, 2)).astype("float32")
        found = []
        for layer, step in zip(layers, steps, strict=True):
            results = [constant(y).copy() for y in step(x, numpy.random.default_rng(0))]
            if not frozen:  # weights that change from step to step
                for p in layer.parameters().values():
                    results.append(p.grad.copy())
                    p.grad = None
            for p in layer.parameters().values():
                p[...] = p.data * 0.9
            results += [shift.grad, *layer.values().values()]
            shift.grad = None
            found.append(results)
        for expected, other in zip(*found, strict=True):
            numpy.testing.assert_array_equal(other, expected)
    assert steps[1].refusal is None and "replay" in steps[1].source


def spectral_conv():
    return SpectralConv(2, 3, 3, backend.default_rng(1))


@pytest.mark.parametrize("make", [lambda: BatchNorm(2), spectral_conv])
def test_buffers_are_saved_and_loaded(rng, tmp_path, make):
    layer, x = make(), backend.asarray(rng.standard_normal((4, 5, 5, 2)).astype("float32"))
    for _ in range(3):
        layer(x, backend.default_rng(0))
    checkpoint.save(tmp_path / "a.safetensors", layer.values(), {})
    again = make()
    assert (applied(again, x) != applied(layer, x)).any()
    again.load(checkpoint.load(tmp_path / "a.safetensors")[0])
    numpy.testing.assert_array_equal(applied(again, x), applied(layer, x))
    for name in layer.buffers:
        numpy.testing.assert_array_equal(again.values()[name], layer.values()[name])
        assert name not in layer.parameters() and layer.values()[name].dtype == "float32"


def test_float32_stays(rng):
    layer, x = BatchNorm(2), backend.asarray(rng.standard_normal((4, 2)).astype("float32"))
    assert layer(x, backend.default_rng(0)).dtype == layer(x).dtype == "float32"
    layer = SpectralDense(2, 3, backend.default_rng(0))
    assert layer(x, backend.default_rng(0)).dtype == layer(x).dtype == "float32"


@pytest.mark.parametrize("shape", [(3,), (4, 2), (4, 2, 1)])
def test_another_number_of_channels_is_refused(shape):
    with pytest.raises(ValueError, match=r"BatchNorm: input .* expected 3 channels: \(N, …, C\)"):
        BatchNorm(3)(numpy.zeros(shape))


# ---------------------------------------------------------------------------------------- spectral


def spectral(kind, rng, *sizes, **options):
    layer = kind(*sizes, backend.default_rng(0), **options)
    layer.astype("float64")
    layer.weight[...] = backend.asarray(rng.standard_normal(layer.weight.shape))
    return layer


def converged(layer, iterations=500):
    for _ in range(iterations):
        layer.normalised(backend.default_rng(0))
    return layer


def singular_values(weight):
    weight = backend.to_numpy(weight.data)
    return numpy.linalg.svd(weight.reshape(-1, weight.shape[-1]), compute_uv=False)


@pytest.mark.parametrize("kind, sizes", [(SpectralDense, (6, 5)), (SpectralConv, (2, 5, 3))])
def test_the_largest_singular_value_tends_to_1_an_iteration_at_a_time(rng, kind, sizes):
    layer = spectral(kind, rng, *sizes)
    normalised = (layer.normalised(backend.default_rng(0)) for _ in range(60))
    largest = [singular_values(weight)[0] for weight in normalised]
    assert largest[0] > 1.01 and (numpy.diff(largest) < 1e-12).all()
    assert abs(largest[-1] - 1) < 1e-3
    found = singular_values(converged(layer).normalised())
    numpy.testing.assert_allclose(
        found, singular_values(layer.weight) / singular_values(layer.weight)[0], rtol=1e-6
    )


def test_an_iteration_is_that_of_the_paper(rng):
    layer = spectral(SpectralDense, rng, 6, 5)
    w, u = backend.to_numpy(layer.weight.data).T, backend.to_numpy(layer.left)
    v = w.T @ u / numpy.linalg.norm(w.T @ u)
    u = w @ v / numpy.linalg.norm(w @ v)
    found = backend.to_numpy(layer.normalised(backend.default_rng(0)).data)
    numpy.testing.assert_allclose(found.T, w / (u @ w @ v))
    numpy.testing.assert_allclose(backend.to_numpy(layer.left), u)


def test_without_a_generator_the_layer_is_always_the_same(rng):
    layer = spectral(SpectralDense, rng, 6, 5)
    x = rng.standard_normal((4, 6))
    first = applied(layer, x)
    numpy.testing.assert_array_equal(applied(layer, x), first)
    applied(layer, x, backend.default_rng(0))
    assert (applied(layer, x) != first).any()


def test_the_vector_goes_along_with_weights_that_change_slowly(rng):
    layer = converged(spectral(SpectralDense, rng, 6, 5))
    for _ in range(100):
        layer.weight[...] = layer.weight.data + backend.asarray(0.01 * rng.standard_normal((6, 5)))
        assert abs(singular_values(layer.normalised(backend.default_rng(0)))[0] - 1) < 0.01


@pytest.mark.parametrize("kind, sizes", [(SpectralDense, (4, 3)), (SpectralConv, (2, 3, 2))])
def test_its_gradient_is_that_of_the_weight_over_its_singular_value(rng, kind, sizes):
    """By the derivative of σ, that is u vᵀ of numpy's decomposition, and by differences."""
    layer = converged(spectral(kind, rng, *sizes))
    towards = rng.standard_normal(layer.weight.shape)
    weight = backend.to_numpy(layer.weight.data)
    np.sum(layer.normalised() * backend.asarray(towards)).backward()

    def by_numpy(w):
        return (towards * w).sum() / numpy.linalg.svd(w.reshape(-1, w.shape[-1]))[1][0]

    step, found = 1e-6, backend.to_numpy(layer.weight.grad)
    for place in numpy.ndindex(weight.shape):
        change = numpy.zeros_like(weight)
        change[place] = step
        slope = (by_numpy(weight + change) - by_numpy(weight - change)) / (2 * step)
        assert abs(found[place] - slope) < 1e-6


@pytest.mark.parametrize("size, stride, side", [(3, 1, 5), (4, 2, 6), (4, 2, 5), (3, 2, 6)])
def test_a_convolution_makes_no_patch_longer_and_an_image_by_no_more_than_is_said(
    rng, size, stride, side
):
    layer = converged(spectral(SpectralConv, rng, 2, 4, size, stride=stride))
    layer.bias[...] = 0.0
    inputs = side * side * 2
    basis = numpy.eye(inputs).reshape(inputs, side, side, 2)
    outputs = applied(layer, basis)
    assert outputs.shape == (inputs, -(-side // stride), -(-side // stride), 4)
    longest = numpy.linalg.svd(outputs.reshape(inputs, -1), compute_uv=False)[0]
    assert longest <= -(-size // stride) * (1 + 1e-9)
    assert longest > 1, "no more than a patch: the bound shows nothing"


def test_slopes_are_at_most_1(rng):
    layer = converged(spectral(SpectralDense, rng, 5, 1))
    slope = grad(lambda x: np.sum(layer(x)))(backend.asarray(rng.standard_normal((4, 5))))
    numpy.testing.assert_allclose(numpy.linalg.norm(backend.to_numpy(slope), axis=1), 1)
