"""Row LSTM and Diagonal BiLSTM against exact answers: small images can be enumerated."""

import itertools

import numpy
import pytest

import autograd.numpy as np
from autograd import backend, no_grad
from autograd.nn import lstm_cell
from scratchgen.models.autoregressive.diagonalbilstm import (
    DiagonalBiLSTM,
    diagonal_scan,
    moved_down,
    skew,
    unskew,
)
from scratchgen.models.autoregressive.pixelrnn import LineLSTM, PixelRNNConfig
from scratchgen.models.autoregressive.rowlstm import RowLSTM
from tests.scratchgen import exact

both = pytest.mark.parametrize("kind", [RowLSTM, DiagonalBiLSTM])


def make(kind, height=3, width=3, levels=2, spread=0.5, **fields):
    """A small model in float64 with random weights in every layer."""
    fields = {"hidden": 6, "layers": 2, "first_size": 3} | fields
    config = PixelRNNConfig(height=height, width=width, levels=levels, **fields)
    return exact.randomised(kind(config, backend.default_rng(0)), spread=spread)


def open_paths(model, spread=0.05):
    """The model with small positive weights: no two paths cancel, and no gate saturates."""
    for x in model.parameters().values():
        x[...] = spread * np.abs(x.data)
    return model


def positive(*shape):
    return numpy.random.default_rng(0).uniform(0.5, 1, (1, *shape))


def places(height, width):
    return list(itertools.product(range(height), range(width)))


# -------------------------------------------------------------------------------------- density


@both
@pytest.mark.parametrize(
    ("height", "width", "colours", "levels"),
    [(3, 3, 1, 2), (2, 3, 1, 3), (2, 2, 2, 2), (1, 3, 3, 2), (3, 1, 3, 2), (2, 1, 2, 4)],
)
def test_the_probabilities_of_all_images_sum_to_one(kind, height, width, colours, levels):
    exact.assert_a_density_not_uniform(make(kind, height, width, levels, colours=colours))


@both
@pytest.mark.parametrize("method", ["cached", "naive"])
def test_samples_occur_as_often_as_their_probability_says(kind, method):
    exact.assert_samples_follow(make(kind, 2, 2, colours=2), method, 2_000)


@both
@pytest.mark.parametrize("method", ["cached", "naive"])
def test_completions_keep_what_is_known_and_draw_the_rest(kind, method):
    known = numpy.array([[[1, 0], [1, 0]], [[0, 1], [1, 1]]], bool)  # differs by colour
    model = make(kind, 2, 2, colours=2)
    exact.assert_completions_follow_the_order(model, method, known, temperature=0.8)


# ------------------------------------------------------------------------------ receptive fields


@both
def test_a_value_depends_on_values_before_it_only_whatever_the_weights(kind):
    model = make(kind, 4, 5, levels=4, colours=2)
    x = numpy.random.default_rng(0).integers(0, 4, (1, 4, 5, 2))
    with no_grad():
        before = backend.to_numpy(model.network(model.embed(backend.asarray(x))))[0]
        for i, place in enumerate(itertools.product(range(4), range(5), range(2))):
            y = x.copy()
            y[(0, *place)] = (y[(0, *place)] + 1) % 4
            after = backend.to_numpy(model.network(model.embed(backend.asarray(y))))[0]
            moved = (abs(after - before) > 1e-12).any(-1).ravel()
            assert not moved[: i + 1].any(), f"by {place}"
            assert moved[i + 1 :].any() or i == 39


@pytest.mark.parametrize(("layers", "first_size"), [(1, 3), (2, 3), (1, 5)])
def test_the_row_lstm_sees_the_triangle_of_theory(layers, first_size):
    side, first = 7, first_size // 2
    model = open_paths(make(RowLSTM, side, side, layers=layers, first_size=first_size))
    for row, column in itertools.product((1, side - 1), range(side)):
        seen = exact.seen(model.network, positive(side, side, 3), (row, column)).any(-1)
        expected = numpy.zeros((side, side), bool)
        for i, j in places(row + 1, side):
            up, right = row - i, j - column
            # a column on either side with each row; to the left the input kernels reach one more
            limit = up - 1 + first if up else -1
            expected[i, j] = -(up + layers + first) <= right <= limit
        numpy.testing.assert_array_equal(seen, expected, f"of the pixel {row, column}")


def test_one_row_lstm_sees_the_three_states_above_and_masked_features_of_its_row():
    layer = open_paths(make(RowLSTM, 5, 7)).layers[0]
    for row, column in places(5, 7):
        seen = exact.seen(layer.states, positive(5, 7, 12), (row, column)).any(-1)
        expected = numpy.zeros((5, 7), bool)
        for i, j in places(row + 1, 7):
            expected[i, j] = -(row - i) - 1 <= j - column <= row - i
        numpy.testing.assert_array_equal(seen, expected, f"of the pixel {row, column}")


@pytest.mark.parametrize(("height", "width"), [(4, 6), (5, 3), (1, 5), (5, 1)])
def test_one_diagonal_layer_sees_all_earlier_pixels(height, width):
    model = open_paths(make(DiagonalBiLSTM, height, width, layers=1))
    for n, place in enumerate(places(height, width)):
        seen = exact.seen(model.network, positive(height, width, 3), place).any(-1)
        expected = numpy.arange(height * width) < n
        numpy.testing.assert_array_equal(seen.ravel(), expected, f"of the pixel {place}")


def test_the_features_of_a_pixel_enter_by_mask_b():
    # the receptive field of the whole cannot tell: the residual connections see it in any case
    row, diagonal = make(RowLSTM).layers[0], make(DiagonalBiLSTM).layers[0]
    assert row.lstm.input.taps == [[True, True, False]]
    assert diagonal.from_left.input.taps == diagonal.from_right.input.taps == [[True]]


def test_the_two_directions_see_the_pixels_above_on_their_own_side():
    layer = open_paths(make(DiagonalBiLSTM, 4, 5)).layers[0]
    x = positive(4, 5, 12)

    def from_right(x):
        return moved_down(np.flip(diagonal_scan(layer.from_right, np.flip(x, 2)), 2))

    for row, column in places(4, 5):
        left = exact.seen(lambda x: diagonal_scan(layer.from_left, x), x, (row, column)).any(-1)
        right = exact.seen(from_right, x, (row, column)).any(-1)
        for i, j in places(4, 5):
            assert left[i, j] == (i <= row and j <= column)
            assert right[i, j] == (i < row and j >= column)


@both
def test_a_value_sees_the_colours_of_its_pixel_in_their_order_and_all_of_earlier_pixels(kind):
    model = open_paths(make(kind, 2, 2, colours=3))  # in which the Row LSTM sees everything, too
    every = list(itertools.product(range(2), range(2), range(3)))
    for n, place in enumerate(every):
        seen = exact.seen(model.network, positive(2, 2, 9), place)[..., ::3]  # the levels
        numpy.testing.assert_array_equal(seen.ravel(), numpy.arange(12) < n, f"of {place}")


# --------------------------------------------------------------------------------- skew, the cell


@pytest.mark.parametrize(("height", "width"), [(3, 3), (2, 5), (5, 2), (1, 4), (4, 1)])
def test_skewed_rows_stand_one_place_further_each_and_unskewed_ones_where_they_were(height, width):
    x = numpy.random.default_rng(0).standard_normal((2, height, width, 3))
    expected = numpy.zeros((2, height, width + height - 1, 3))
    for i in range(height):
        expected[:, i, i : i + width] = x[:, i]
    skewed = skew(backend.asarray(x))
    numpy.testing.assert_array_equal(backend.to_numpy(skewed), expected)
    numpy.testing.assert_array_equal(backend.to_numpy(unskew(skewed)), x)


def test_unskew_ignores_what_is_outside_the_image():
    x = numpy.random.default_rng(0).standard_normal((1, 4, 8, 2))  # skewed images of width 5
    expected = numpy.stack([x[:, i, i : i + 5] for i in range(4)], 1)
    numpy.testing.assert_array_equal(backend.to_numpy(unskew(backend.asarray(x))), expected)


def test_the_cell_is_that_of_an_lstm(rng):
    lstm = make(RowLSTM).layers[0].lstm
    z, c = (
        backend.asarray(rng.standard_normal((5, 24))),
        backend.asarray(rng.standard_normal((5, 6))),
    )
    zeros = [np.zeros(shape) for shape in ((5, 6), (6, 24), (24,))]
    expected = lstm_cell(z, zeros[0], c, np.eye(24), *zeros[1:])
    for ours, theirs in zip(lstm.cell(z, c), expected, strict=True):
        numpy.testing.assert_allclose(backend.to_numpy(ours), backend.to_numpy(theirs), atol=1e-12)


def test_the_cell_of_several_colours_is_a_cell_of_each(rng):
    lstm = make(RowLSTM, colours=3).layers[0].lstm
    z, c = (
        backend.asarray(rng.standard_normal((5, 24))),
        backend.asarray(rng.standard_normal((5, 6))),
    )
    whole = lstm.cell(z, c)
    parts = [lstm.cell(z[:, 8 * i : 8 * i + 8], c[:, 2 * i : 2 * i + 2]) for i in range(3)]
    for x, of_colours in zip(whole, zip(*parts, strict=True), strict=True):
        numpy.testing.assert_array_equal(
            backend.to_numpy(x), backend.to_numpy(np.concatenate(of_colours, -1))
        )


def test_only_the_forget_gates_have_a_bias_of_one_at_first():
    lstm = LineLSTM(PixelRNNConfig(hidden=4, colours=2), 1, (2, 1), backend.default_rng(0))
    bias = backend.to_numpy(lstm.input.bias.data)
    numpy.testing.assert_array_equal(bias, [0, 0, 1, 1, 0, 0, 0, 0] * 2)


@both
def test_a_new_layer_is_the_identity(kind, rng):
    config = PixelRNNConfig(height=4, width=4, hidden=4, layers=1, levels=3)
    model = kind(config, backend.default_rng(0))
    x = model.embed(backend.asarray(rng.integers(0, 3, (2, 4, 4, 1))))
    with no_grad():
        before = model.network(x)
        model.layers = []
        numpy.testing.assert_array_equal(*map(backend.to_numpy, (before, model.network(x))))


# ------------------------------------------------------------------------------------- sampling


@both
@pytest.mark.parametrize(
    ("height", "width", "fields"),
    [
        (5, 4, {"levels": 5}),
        (4, 5, {"levels": 5, "first_size": 7, "layers": 1}),
        (4, 3, {"levels": 2, "colours": 2}),
        (3, 4, {"levels": 4, "colours": 3, "layers": 3}),
        (1, 5, {"levels": 3}),
        (5, 1, {"levels": 3}),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cached_sampling_equals_naive_sampling(kind, height, width, fields, dtype):
    model = make(kind, height, width, spread=0.4, **fields)
    model.astype(dtype)
    exact.assert_cached_is_naive(model)


@both
@pytest.mark.parametrize("colours", [1, 3])
def test_the_logits_step_by_step_are_those_of_the_whole_network(kind, colours):
    model = make(kind, 4, 5, levels=3, colours=colours)
    x = backend.asarray(numpy.random.default_rng(0).integers(0, 3, (2, 4, 5, colours)))
    with no_grad():
        whole = backend.to_numpy(model.network(model.embed(x)))
        generation = model.cached(2, None)
        for place in itertools.product(range(4), range(5), range(colours)):
            logits = backend.to_numpy(generation.logits(*place))
            expected = whole[(slice(None), *place)]
            numpy.testing.assert_allclose(logits, expected, rtol=0, atol=1e-12)
            generation.put(*place, x[(slice(None), *place)])


@both
def test_cached_sampling_never_runs_an_lstm_over_the_image(kind, monkeypatch):
    model = make(kind, 4, 5)
    monkeypatch.delattr(LineLSTM, "scan")
    model.sample(1, backend.default_rng(0))
    with pytest.raises(AttributeError, match="scan"):
        model.sample(1, backend.default_rng(0), "naive")


# ------------------------------------------------------------------------------------- training


@both
@pytest.mark.parametrize("colours", [1, 2])
def test_the_whole_model_is_float32_as_it_comes_and_every_parameter_learns(kind, colours):
    config = PixelRNNConfig(height=4, width=4, hidden=4, layers=2, colours=colours)
    model = kind(config, backend.default_rng(0))
    for layer in model.layers:  # at zero it keeps the gradient of the LSTM at zero
        layer.expand.weight[...] = 0.1
    x = backend.asarray(numpy.random.default_rng(0).integers(0, 17, (3, 4, 4, colours)))
    exact.assert_float32_and_every_parameter_learns(model, x)
    for path, parameter in model.parameters().items():
        assert backend.to_numpy(parameter.grad).any(), path


@both
def test_dropout_acts_with_a_generator_and_not_without(kind, rng):
    model = make(kind, 4, 4, dropout=0.5)
    x = backend.asarray(rng.integers(0, 2, (5, 4, 4, 1)))
    with no_grad():
        one, two = (backend.to_numpy(model.log_prob(x, rng=backend.default_rng(s))) for s in (0, 1))
        again = backend.to_numpy(model.log_prob(x, rng=backend.default_rng(0)))
        without = backend.to_numpy(model.log_prob(x))
    assert (one != two).all() and (one == again).all() and (one != without).all()


def test_wrong_fields_are_errors_that_say_what_is_expected():
    wrong = {"hidden": 0, "layers": 0, "first_size": 4, "levels": 1, "dropout": 1.0}
    for field, value in wrong.items():
        with pytest.raises(ValueError, match=f"{field}={value}: {field} must be"):
            PixelRNNConfig(**{field: value})
    with pytest.raises(ValueError, match="hidden=8: hidden must be a multiple of colours=3"):
        PixelRNNConfig(hidden=8, colours=3)
