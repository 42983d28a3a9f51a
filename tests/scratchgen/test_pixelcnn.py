"""PixelCNN against exact answers: small images can be enumerated."""

import itertools

import numpy
import pytest
import scipy.stats

import autograd.numpy as np
from autograd import Tensor, backend, no_grad
from scratchgen.models.autoregressive.pixelcnn import PixelCNN, PixelCNNConfig


def make(height=3, width=3, levels=2, seed=0, spread=0.7, **fields):
    """A small model in float64 with random weights in every layer."""
    fields = {"channels": 8, "blocks": 2, "first_size": 3} | fields
    config = PixelCNNConfig(height=height, width=width, levels=levels, **fields)
    model = PixelCNN(config, backend.default_rng(seed))
    model.astype("float64")
    rng = numpy.random.default_rng(seed)
    model.load({k: spread * rng.standard_normal(x.shape) for k, x in model.parameters().items()})
    return model


def all_binary_images():
    images = numpy.array(list(itertools.product([0, 1], repeat=9)))
    return backend.asarray(images.reshape(-1, 3, 3, 1))


def log_prob(model, x):
    with no_grad():
        return backend.to_numpy(model.log_prob(x))


def images(rng, n, height, width, levels):
    return backend.asarray(rng.integers(0, levels, (n, height, width, 1)))


@pytest.mark.parametrize("first_size", [3, 5, 7])
def test_the_probabilities_of_all_binary_images_sum_to_one(first_size):
    p = numpy.exp(log_prob(make(first_size=first_size), all_binary_images()))
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert p.max() > 5 / 512, "the model is not uniform"


def test_log_prob_is_the_log_softmax_of_the_networks_logits(rng):
    model = make(4, 5, levels=3)
    x = images(rng, 6, 4, 5, 3)
    with no_grad():
        logits = backend.to_numpy(model.network(model.embed(x)))
    log_p = logits - numpy.log(numpy.exp(logits).sum(-1, keepdims=True))
    expected = numpy.take_along_axis(log_p, backend.to_numpy(x), -1).sum((1, 2, 3))
    numpy.testing.assert_allclose(log_prob(model, x), expected, rtol=1e-12)


def test_a_pixel_depends_on_no_pixel_from_itself_on(rng):
    model = make(4, 5, levels=4)
    x = images(rng, 1, 4, 5, 4)
    with no_grad():
        before = backend.to_numpy(model.network(model.embed(x)))[0]
        for row, column in itertools.product(range(4), range(5)):
            y = x.copy()
            y[0, row, column, 0] = (x[0, row, column, 0] + 1) % 4
            after = backend.to_numpy(model.network(model.embed(y)))[0]
            moved = abs(after - before).max(-1).ravel() > 1e-12
            place = row * 5 + column
            assert not moved[: place + 1].any()
            assert moved[place + 1 :].any() or place == 19


@pytest.mark.parametrize("first_size", [3, 5])
def test_the_receptive_field_is_that_of_theory_blind_spot_included(first_size):
    side, blocks = 9, 2
    first = first_size // 2  # rows and columns that the first layer, with mask A, reaches
    model = make(side, side, blocks=blocks, first_size=first_size)
    for x in model.parameters().values():
        x[...] = np.abs(x.data)  # so every ReLU is open and no two paths cancel
    embedded = numpy.random.default_rng(0).uniform(0.5, 1, (1, side, side, 3))
    for row, column in itertools.product(range(side), range(side)):
        x = Tensor(backend.asarray(embedded))
        np.sum(model.network(x)[0, row, column]).backward()
        seen = backend.to_numpy(x.grad)[0].any(-1)
        expected = numpy.zeros((side, side), bool)
        for i, j in itertools.product(range(row + 1), range(side)):
            up, right = row - i, j - column
            # the first row up may be the first layer's; each further one is one column to the right
            limit = first + min(up - 1, blocks) if up else -1  # beyond it: the blind spot
            reach = first + blocks
            expected[i, j] = up <= reach and -reach <= right <= limit
        numpy.testing.assert_array_equal(seen, expected, f"of the pixel {row, column}")


def test_the_layers_after_the_first_see_the_pixel_itself():
    # the receptive field of the whole cannot tell: the residual connections see it in any case
    model = make(4, 4)
    for x in model.parameters().values():
        x[...] = np.abs(x.data)
    for block in model.blocks:
        h = Tensor(backend.asarray(numpy.ones((1, 4, 4, 8))))
        np.sum((block(h, lambda conv, x: conv(x), 0.0, None) - h)[0, 2, 2]).backward()
        seen = backend.to_numpy(h.grad)[0].any(-1)
        expected = numpy.zeros((4, 4), bool)
        expected[1, 1:4] = expected[2, 1:3] = True
        numpy.testing.assert_array_equal(seen, expected)


def test_the_blind_spot_leaves_the_density_unchanged(rng):
    model = make(3, 6, blocks=3)
    x = images(rng, 1, 3, 6, 2)
    y = x.copy()
    y[0, 1, 5, 0] = 1 - x[0, 1, 5, 0]  # before (2, 2), but more than one column to its right
    with no_grad():
        a, b = (backend.to_numpy(model.network(model.embed(z)))[0, 2] for z in (x, y))
    numpy.testing.assert_allclose(a[:4], b[:4], rtol=0, atol=1e-12)
    assert abs(a[4] - b[4]).max() > 1e-6


@pytest.mark.parametrize("first_size", [3, 7])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cached_sampling_equals_naive_sampling(first_size, dtype):
    model = make(5, 4, levels=5, first_size=first_size, spread=0.4)
    model.astype(dtype)
    cached, naive = (
        backend.to_numpy(model.sample(20, backend.default_rng(3), method))
        for method in ("cached", "naive")
    )
    numpy.testing.assert_array_equal(cached, naive)
    assert len(numpy.unique(cached)) == 5 and cached.shape == (20, 5, 4, 1)


@pytest.mark.parametrize("method", ["cached", "naive"])
def test_samples_occur_as_often_as_their_probability_says(method):
    model = make(spread=0.5)
    n = 20_000
    x = backend.to_numpy(model.sample(n, backend.default_rng(0), method)).reshape(n, 9)
    counts = numpy.bincount(x @ (2 ** numpy.arange(9)[::-1]), minlength=512)
    expected = n * numpy.exp(log_prob(model, all_binary_images()))
    common = expected > 5
    counts = numpy.append(counts[common], counts[~common].sum())
    expected = numpy.append(expected[common], expected[~common].sum())
    assert scipy.stats.chisquare(counts, expected, sum_check=False).pvalue > 0.01


@pytest.mark.parametrize("method", ["cached", "naive"])
def test_completion_keeps_what_is_known_and_draws_the_rest_from_its_conditional(method):
    model = make(spread=0.5)
    n = 4_000
    top = numpy.zeros((3, 3, 1), bool)
    top[:2] = True
    given = numpy.arange(9).reshape(3, 3, 1) % 2
    x = model.sample(
        n, backend.default_rng(0), method, backend.asarray(given), backend.asarray(top)
    )
    x = backend.to_numpy(x)
    assert (x[:, :2] == given[:2]).all()
    every = backend.to_numpy(all_binary_images())
    fits = (every[:, :2] == given[:2]).all((1, 2, 3))
    p = numpy.exp(log_prob(model, all_binary_images()))[fits]
    counts = numpy.bincount(x[:, 2, :, 0] @ [4, 2, 1], minlength=8)
    assert scipy.stats.chisquare(counts, n * p / p.sum()).pvalue > 0.01


def test_the_loss_is_the_negative_mean_log_prob_and_reports_it(rng):
    model = make(4, 4, levels=3, dropout=0.0)
    x = images(rng, 5, 4, 4, 3)
    loss, metrics = model.loss(x, backend.default_rng(0))
    expected = -log_prob(model, x).mean()
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert metrics["nats"].item() == loss.item()


def test_dropout_acts_with_a_generator_and_not_without(rng):
    model = make(4, 4, dropout=0.5)
    x = images(rng, 5, 4, 4, 2)
    with no_grad():
        one, two = (backend.to_numpy(model.log_prob(x, rng=backend.default_rng(s))) for s in (0, 1))
        again = backend.to_numpy(model.log_prob(x, rng=backend.default_rng(0)))
    assert (one != two).all() and (one == again).all()
    assert (log_prob(model, x) == log_prob(model, x)).all()


def test_the_whole_model_is_float32_as_it_comes(rng):
    model = PixelCNN(PixelCNNConfig(channels=8, blocks=1), backend.default_rng(0))
    loss, _ = model.loss(images(rng, 2, 8, 8, 17), backend.default_rng(0))
    loss.backward()
    assert {x.dtype for x in model.parameters().values()} == {numpy.dtype("float32")}
    assert loss.dtype == "float32"
    assert all(x.grad.dtype == "float32" for x in model.parameters().values())


def test_wrong_uses_are_errors_that_say_what_is_expected(rng):
    model = make(4, 4)
    with pytest.raises(ValueError, match=r"images \(2, 4, 5, 1\), expected \(N, 4, 4, 1\)"):
        model.log_prob(images(rng, 2, 4, 5, 2))
    with pytest.raises(ValueError, match="'cached' and 'naive', not 'fast'"):
        model.sample(1, backend.default_rng(0), "fast")
    with pytest.raises(ValueError, match="both given and known"):
        model.sample(1, backend.default_rng(0), given=images(rng, 1, 4, 4, 2))
    for field, value in {"channels": 7, "first_size": 4, "levels": 1, "dropout": 1.0}.items():
        with pytest.raises(ValueError, match=f"{field}={value}: {field} must be"):
            PixelCNNConfig(**{field: value})
