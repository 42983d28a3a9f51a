"""Gated PixelCNN against exact answers: small images can be enumerated."""

import itertools

import numpy
import pytest

from autograd import backend, no_grad
from scratchgen.models.autoregressive.gatedpixelcnn import GatedPixelCNN, GatedPixelCNNConfig
from scratchgen.nn.masked import RowsConv
from tests.scratchgen import exact


def make(height=3, width=3, levels=2, seed=0, spread=0.7, **fields):
    """A small model in float64 with random weights in every layer."""
    fields = {"channels": 6, "layers": 2, "first_size": 3} | fields
    config = GatedPixelCNNConfig(height=height, width=width, levels=levels, **fields)
    return exact.randomised(GatedPixelCNN(config, backend.default_rng(seed)), seed, spread)


def labels(*values):
    return backend.asarray(numpy.array(values))


@pytest.mark.parametrize(
    ("height", "width", "colours", "levels", "fields"),
    [
        (3, 3, 1, 2, {}),
        (3, 3, 1, 2, {"first_size": 5, "layers": 1}),
        (3, 3, 1, 2, {"first_size": 7, "layers": 3}),
        (2, 3, 1, 3, {}),
        (2, 2, 2, 2, {}),
        (1, 3, 3, 2, {}),
        (3, 1, 3, 2, {}),
        (2, 1, 3, 3, {}),
    ],
)
def test_the_probabilities_of_all_images_sum_to_one(height, width, colours, levels, fields):
    exact.assert_a_density_not_uniform(make(height, width, levels, colours=colours, **fields))


def test_the_probabilities_sum_to_one_for_each_label_and_differ_between_labels():
    model = make(classes=3)
    for k in range(3):
        exact.assert_a_density_not_uniform(model, k)
    p = [exact.probabilities(model, k) for k in range(3)]
    for a, b in itertools.combinations(p, 2):
        assert abs(a - b).sum() > 0.1


def test_each_image_has_the_density_of_its_own_label():
    model = make(classes=3)
    x = exact.every_image(model)[100:103]
    together = exact.log_prob(model, x, labels(2, 0, 1))
    alone = [exact.log_prob(model, x[i : i + 1], labels(k))[0] for i, k in enumerate((2, 0, 1))]
    numpy.testing.assert_allclose(together, alone, rtol=1e-12)


def test_a_new_conditional_model_ignores_the_label_and_learns_it():
    model = GatedPixelCNN(GatedPixelCNNConfig(classes=2, layers=1), backend.default_rng(0))
    x = numpy.random.default_rng(0).integers(0, 17, (2, 8, 8, 1))
    numpy.testing.assert_array_equal(
        exact.log_prob(model, x, labels(0, 0)), exact.log_prob(model, x, labels(1, 1))
    )
    loss, _ = model.loss((backend.asarray(x), labels(0, 1)), None)
    loss.backward()
    for layer in model.layers:
        for table in (layer.vertical_labels, layer.horizontal_labels):
            assert backend.to_numpy(table.weight.grad).any(-1).all()


@pytest.mark.parametrize("first_size", [3, 5])
def test_every_earlier_pixel_in_reach_is_seen_and_there_is_no_blind_spot(first_size):
    side, layers = 9, 2
    reach = first_size // 2 + layers
    model = make(side, side, layers=layers, first_size=first_size, spread=0.3)
    embedded = numpy.random.default_rng(0).uniform(0.5, 1, (1, side, side, 3))
    for row, column in itertools.product(range(side), range(side)):
        seen = exact.seen(model.network, embedded, (row, column)).any(-1)
        expected = numpy.zeros((side, side), bool)
        for i, j in itertools.product(range(side), range(side)):
            near = row - i <= reach and abs(j - column) <= reach
            expected[i, j] = near and (i, j) < (row, column)
        numpy.testing.assert_array_equal(seen, expected, f"of the pixel {row, column}")


def test_a_value_sees_all_values_before_it_its_pixels_colours_in_order():
    model = make(3, 4, colours=3, channels=48, layers=3, first_size=5, spread=0.2)
    embedded = numpy.random.default_rng(0).uniform(0.5, 1, (1, 3, 4, 9))
    places = list(itertools.product(range(3), range(4), range(3)))
    for i, place in enumerate(places):
        seen = exact.seen(model.network, embedded, place)[..., ::3]  # of each group, the level
        numpy.testing.assert_array_equal(seen.ravel(), numpy.arange(len(places)) < i, f"of {place}")


def test_the_vertical_stack_sees_the_rows_above_only():
    model = make(5, 5, spread=0.3)
    embedded = numpy.random.default_rng(0).uniform(0.5, 1, (1, 5, 5, 3))
    for layer in range(3):

        def above(x, layer=layer):
            return model.vertical(x, lambda conv, x: conv(x), None)[layer]

        seen = exact.seen(above, embedded, (3, 2)).any(-1)
        expected = numpy.zeros((5, 5), bool)
        reach = 1 + layer
        expected[max(3 - reach, 0) : 3, max(2 - reach, 0) : 3 + reach] = True
        numpy.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize("mask", ["A", "B"])
@pytest.mark.parametrize("size", [3, 5])
def test_the_rows_convolution_at_a_row_is_that_row_of_the_whole(mask, size, rng):
    conv = RowsConv(2, 3, size, mask, backend.default_rng(0))
    conv.astype("float64")
    x = backend.asarray(rng.standard_normal((2, 4, 5, 2)))
    with no_grad():
        whole = backend.to_numpy(conv(x))
        rows = [backend.to_numpy(conv.at_row(x, row)) for row in range(4)]
    numpy.testing.assert_allclose(numpy.concatenate(rows, 1), whole, rtol=0, atol=1e-12)


def test_the_gated_unit_is_tanh_times_sigmoid_of_each_colours_halves(rng):
    layer = make(channels=6, colours=3).layers[0]
    y = rng.standard_normal((2, 3, 3, 12))
    gated = backend.to_numpy(layer.gate(backend.asarray(y)))
    parts = [
        numpy.tanh(y[..., 4 * c : 4 * c + 2]) / (1 + numpy.exp(-y[..., 4 * c + 2 : 4 * c + 4]))
        for c in range(3)
    ]
    numpy.testing.assert_allclose(gated, numpy.concatenate(parts, -1), rtol=1e-12)


@pytest.mark.parametrize(
    "fields",
    [
        {"levels": 5},
        {"levels": 5, "first_size": 7},
        {"levels": 2, "colours": 2},
        {"levels": 4, "colours": 3, "layers": 3},
        {"levels": 3, "classes": 4},
        {"levels": 3, "classes": 4, "colours": 3},
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cached_sampling_equals_naive_sampling(fields, dtype):
    model = make(5, 4, spread=0.4, **fields)
    model.astype(dtype)
    context = labels(*range(4), *range(4)) if "classes" in fields else None
    exact.assert_cached_is_naive(model, 8, context=context)


def test_cached_sampling_runs_the_vertical_stack_once_per_row(monkeypatch):
    rows, pixels = [], []
    at_row, at = RowsConv.at_row, type(make().first).at
    monkeypatch.setattr(RowsConv, "at_row", lambda *a: rows.append(a[2]) or at_row(*a))
    monkeypatch.setattr(type(make().first), "at", lambda *a: pixels.append(a[2:]) or at(*a))
    make(4, 5, colours=2).sample(1, backend.default_rng(0))
    assert rows == sorted([0, 1, 2, 3] * 3)  # the first layer and two others
    assert len(pixels) == 4 * 5 * 2 * (2 * 3 + 2) and pixels == sorted(pixels)


@pytest.mark.parametrize("method", ["cached", "naive"])
def test_samples_occur_as_often_as_their_probability_says(method):
    model = make(2, 2, colours=2, classes=2, spread=0.5)
    exact.assert_samples_follow(model, method, context=1)


@pytest.mark.parametrize("method", ["cached", "naive"])
def test_completion_keeps_what_is_known_and_draws_the_rest_given_what_is_before_it(method):
    known = numpy.array([[[1, 0], [1, 1]], [[0, 1], [1, 1]]], bool)  # differs by colour
    model = make(2, 2, colours=2, spread=0.5)
    exact.assert_completions_follow_the_order(model, method, known)


def test_dropout_acts_with_a_generator_and_not_without():
    exact.assert_dropout_acts_with_a_generator_only(make(4, 4, dropout=0.5))


def test_the_loss_is_the_negative_mean_log_prob_and_reports_it(rng):
    model = make(4, 4, levels=3, dropout=0.0, classes=2)
    x = rng.integers(0, 3, (5, 4, 4, 1))
    context = labels(0, 1, 0, 1, 1)
    loss, metrics = model.loss((backend.asarray(x), context), backend.default_rng(0))
    assert loss.item() == pytest.approx(-exact.log_prob(model, x, context).mean(), rel=1e-12)
    assert metrics["nats"].item() == loss.item()


@pytest.mark.parametrize("fields", [{}, {"colours": 2, "classes": 3}])
def test_the_whole_model_is_float32_as_it_comes_and_every_parameter_learns(fields):
    config = GatedPixelCNNConfig(channels=8, layers=2, **fields)
    model = GatedPixelCNN(config, backend.default_rng(0))
    x = numpy.random.default_rng(0).integers(0, 17, (3, 8, 8, config.colours))
    images = backend.asarray(x)
    batch = (images, labels(0, 1, 2)) if fields else images
    exact.assert_float32_and_every_parameter_learns(model, batch)
    for path, parameter in model.parameters().items():
        assert backend.to_numpy(parameter.grad).any(), path


def test_wrong_uses_are_errors_that_say_what_is_expected(rng):
    x = backend.asarray(rng.integers(0, 2, (2, 4, 4, 1)))
    plain, conditional = make(4, 4), make(4, 4, classes=3)
    with pytest.raises(ValueError, match="class-conditional: pass context, labels 0 … 2"):
        conditional.log_prob(x)
    with pytest.raises(ValueError, match="class-conditional: pass context"):
        conditional.sample(1, backend.default_rng(0))
    with pytest.raises(ValueError, match=r"context \(3,\), expected one label or \(2,\)"):
        conditional.log_prob(x, labels(0, 1, 2))
    with pytest.raises(ValueError, match="not class-conditional: context must be None"):
        plain.log_prob(x, labels(0, 1))
    with pytest.raises(ValueError, match=r"GatedPixelCNN: images \(2, 4, 4, 1\), expected"):
        make(4, 4, colours=2).log_prob(x)
    wrong = {"channels": 0, "first_size": 4, "levels": 1, "dropout": 1.0, "classes": -1}
    for field, value in wrong.items():
        with pytest.raises(ValueError, match=f"{field}={value}: {field} must be"):
            GatedPixelCNNConfig(**{field: value})
    with pytest.raises(ValueError, match="channels=8: channels must be a multiple of colours=3"):
        GatedPixelCNNConfig(channels=8, colours=3)
