"""PixelCNN against exact answers: small images can be enumerated."""

import itertools

import numpy
import pytest
import scipy.special

import autograd.numpy as np
from autograd import backend, no_grad
from scratchgen.models.autoregressive.pixelcnn import PixelCNN, PixelCNNConfig
from scratchgen.nn import MaskedConv
from tests.scratchgen import exact


def make(height=3, width=3, levels=2, seed=0, spread=0.7, **fields):
    """A small model in float64 with random weights in every layer."""
    fields = {"channels": 8, "blocks": 2, "first_size": 3} | fields
    config = PixelCNNConfig(height=height, width=width, levels=levels, **fields)
    return exact.randomised(PixelCNN(config, backend.default_rng(seed)), seed, spread)


def images(rng, n, model):
    return rng.integers(0, model.config.levels, (n, *model.shape))


def logits_of(model, x):
    with no_grad():
        return backend.to_numpy(model.network(model.embed(backend.asarray(x))))


@pytest.mark.parametrize("first_size", [3, 5, 7])
def test_the_probabilities_of_all_binary_images_sum_to_one(first_size):
    exact.assert_a_density_not_uniform(make(first_size=first_size))


@pytest.mark.parametrize(
    ("height", "width", "colours", "levels"),
    [(2, 2, 2, 2), (1, 3, 3, 2), (3, 1, 3, 2), (2, 1, 3, 3), (2, 3, 1, 3), (1, 1, 2, 4)],
)
def test_the_probabilities_of_all_images_of_several_colours_and_levels_sum_to_one(
    height, width, colours, levels
):
    exact.assert_a_density_not_uniform(make(height, width, levels, colours=colours, channels=10))


def test_log_prob_is_the_log_softmax_of_the_networks_logits(rng):
    model = make(4, 5, levels=3)
    x = images(rng, 6, model)
    log_p = scipy.special.log_softmax(logits_of(model, x), -1)
    expected = numpy.take_along_axis(log_p, x[..., None], -1).sum((1, 2, 3, 4))
    numpy.testing.assert_allclose(exact.log_prob(model, x), expected, rtol=1e-12)


def test_with_two_levels_one_logit_is_the_log_odds_of_level_one(rng):
    model = make(3, 4, colours=2)
    x = images(rng, 6, model)
    logits = logits_of(model, x)
    assert logits.shape == (6, 3, 4, 2, 1)
    p = 1 / (1 + numpy.exp(-logits[..., 0]))
    expected = numpy.log(numpy.where(x == 1, p, 1 - p)).sum((1, 2, 3))
    numpy.testing.assert_allclose(exact.log_prob(model, x), expected, rtol=1e-12)


def test_a_pixel_depends_on_no_pixel_from_itself_on(rng):
    model = make(4, 5, levels=4)
    x = images(rng, 1, model)
    before = logits_of(model, x)[0]
    for row, column in itertools.product(range(4), range(5)):
        y = x.copy()
        y[0, row, column, 0] = (x[0, row, column, 0] + 1) % 4
        moved = abs(logits_of(model, y)[0] - before).max((-1, -2)).ravel() > 1e-12
        place = row * 5 + column
        assert not moved[: place + 1].any()
        assert moved[place + 1 :].any() or place == 19


@pytest.mark.parametrize("first_size", [3, 5])
def test_the_receptive_field_is_that_of_theory_blind_spot_included(first_size):
    side, blocks = 9, 2
    first = first_size // 2  # rows and columns that the first layer, with mask A, reaches
    model = exact.opened(make(side, side, blocks=blocks, first_size=first_size))
    embedded = numpy.random.default_rng(0).uniform(0.5, 1, (1, side, side, 3))
    for row, column in itertools.product(range(side), range(side)):
        seen = exact.seen(model.network, embedded, (row, column)).any(-1)
        expected = numpy.zeros((side, side), bool)
        for i, j in itertools.product(range(row + 1), range(side)):
            up, right = row - i, j - column
            # the first row up may be the first layer's; each further one is one column to the right
            limit = first + min(up - 1, blocks) if up else -1  # beyond it: the blind spot
            reach = first + blocks
            expected[i, j] = up <= reach and -reach <= right <= limit
        numpy.testing.assert_array_equal(seen, expected, f"of the pixel {row, column}")


def test_the_colours_of_a_pixel_are_seen_in_their_order():
    # in so narrow an image there is no blind spot
    height, width, colours = 2, 2, 3
    model = exact.opened(make(height, width, levels=3, colours=colours, channels=24))
    embedded = numpy.random.default_rng(0).uniform(0.5, 1, (1, height, width, 3 * colours))
    places = list(itertools.product(range(height), range(width), range(colours)))
    for i, place in enumerate(places):
        seen = exact.seen(model.network, embedded, place)[..., ::3]  # of each group, the level
        numpy.testing.assert_array_equal(seen.ravel(), numpy.arange(len(places)) < i, f"of {place}")


@pytest.mark.parametrize("mask", ["A", "B"])
@pytest.mark.parametrize("size", [3, (1, 5)])
def test_the_masked_weights_are_those_of_the_order_of_pixels_and_colours(mask, size):
    conv = MaskedConv(5, 7, size, mask, backend.default_rng(0), colours=3)
    height, width = conv.weight.shape[:2]
    from_colour, to_colour = numpy.array([0, 0, 1, 1, 2]), numpy.array([0, 0, 0, 1, 1, 2, 2])
    expected = numpy.zeros(conv.weight.shape, bool)
    for i, j in itertools.product(range(height), range(width)):
        expected[i, j] = (i, j) < (height // 2, width // 2)
    earlier = from_colour[:, None] < to_colour
    same = from_colour[:, None] == to_colour
    expected[height // 2, width // 2] = earlier | same if mask == "B" else earlier
    x = backend.asarray(numpy.random.default_rng(0).uniform(1, 2, (1, 6, 6, 5)))
    before = backend.to_numpy(conv.weight.data).copy()
    np.sum(conv(x)).backward()
    numpy.testing.assert_array_equal(backend.to_numpy(conv.weight.grad) != 0, expected)
    numpy.testing.assert_array_equal(backend.to_numpy(conv.weight.data), before)


@pytest.mark.parametrize("mask", ["A", "B"])
@pytest.mark.parametrize("colours", [1, 3])
def test_the_masked_convolution_at_a_place_is_that_value_of_the_whole(mask, colours, rng):
    conv = MaskedConv(5, 7, (3, 5), mask, backend.default_rng(0), colours=colours)
    conv.astype("float64")
    x = backend.asarray(rng.standard_normal((2, 4, 5, 5)))
    padded, view = conv.padded(x)
    assert view.shape == x.shape
    with no_grad():
        whole = backend.to_numpy(conv(x))
        for row, column in itertools.product(range(4), range(5)):
            parts = [backend.to_numpy(conv.at(padded, row, column, c)) for c in range(colours)]
            at_once = numpy.concatenate(parts, -1)[:, 0, 0]
            numpy.testing.assert_allclose(at_once, whole[:, row, column], rtol=0, atol=1e-12)


def test_the_layers_after_the_first_see_the_pixel_itself():
    # the receptive field of the whole cannot tell: the residual connections see it in any case
    for block in exact.opened(make(4, 4)).blocks:

        def branch(h, block=block):
            return block(h, lambda conv, x: conv(x), 0.0, None) - h

        seen = exact.seen(branch, numpy.ones((1, 4, 4, 8)), (2, 2)).any(-1)
        expected = numpy.zeros((4, 4), bool)
        expected[1, 1:4] = expected[2, 1:3] = True
        numpy.testing.assert_array_equal(seen, expected)


def test_the_blind_spot_leaves_the_density_unchanged(rng):
    model = make(3, 6, blocks=3)
    x = images(rng, 1, model)
    y = x.copy()
    y[0, 1, 5, 0] = 1 - x[0, 1, 5, 0]  # before (2, 2), but more than one column to its right
    a, b = (logits_of(model, z)[0, 2] for z in (x, y))
    numpy.testing.assert_allclose(a[:4], b[:4], rtol=0, atol=1e-12)
    assert abs(a[4] - b[4]).max() > 1e-6


@pytest.mark.parametrize(
    ("first_size", "colours", "levels"), [(3, 1, 5), (7, 1, 5), (3, 2, 2), (5, 3, 4)]
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cached_sampling_equals_naive_sampling(first_size, colours, levels, dtype):
    model = make(5, 4, levels, colours=colours, first_size=first_size, spread=0.4)
    model.astype(dtype)
    exact.assert_cached_is_naive(model)


@pytest.mark.parametrize("method", ["cached", "naive"])
def test_samples_occur_as_often_as_their_probability_says(method):
    exact.assert_samples_follow(make(spread=0.5), method)


@pytest.mark.parametrize("method", ["cached", "naive"])
def test_completion_keeps_what_is_known_and_draws_the_rest_from_its_conditional(method):
    top = numpy.zeros((3, 3, 1), bool)
    top[:2] = True
    exact.assert_completions_follow(make(spread=0.5), method, top)


@pytest.mark.parametrize("method", ["cached", "naive"])
def test_completion_may_know_some_colours_of_a_pixel_only(method):
    model = make(3, 3, levels=4, colours=3, spread=0.3)
    rng = numpy.random.default_rng(0)
    given, known = images(rng, 20, model), rng.random((20, 3, 3, 3)) < 0.5
    x = exact.sample(model, 20, 1, method, given=given, known=known)
    assert (x[known] == given[known]).all()
    assert (x[~known] != given[~known]).any()


@pytest.mark.parametrize("method", ["cached", "naive"])
def test_a_completed_value_is_drawn_given_those_before_it_and_no_later_ones(method):
    known = numpy.array([[[1, 0], [1, 1]], [[0, 1], [1, 1]]], bool)  # differs by colour
    model = make(2, 2, colours=2, spread=0.5)
    exact.assert_completions_follow_the_order(model, method, known)


def test_temperature_divides_the_logits():
    model = make(1, 2, levels=3, spread=0.3)
    nothing = numpy.zeros(model.shape, bool)
    exact.assert_completions_follow_the_order(model, "cached", nothing, 10_000, temperature=0.5)
    with pytest.raises(ValueError, match="temperature=0: temperature must be above 0"):
        exact.sample(model, 1, temperature=0)


def test_the_loss_is_the_negative_mean_log_prob_and_reports_it(rng):
    model = make(4, 4, levels=3, dropout=0.0)
    x = images(rng, 5, model)
    loss, metrics = model.loss(backend.asarray(x), backend.default_rng(0))
    assert loss.item() == pytest.approx(-exact.log_prob(model, x).mean(), rel=1e-12)
    assert metrics["nats"].item() == loss.item()


def test_dropout_acts_with_a_generator_and_not_without(rng):
    exact.assert_dropout_acts_with_a_generator_only(make(4, 4, dropout=0.5))


@pytest.mark.parametrize("colours", [1, 2])
def test_the_model_is_float32_as_it_comes_and_every_parameter_learns(rng, colours):
    config = PixelCNNConfig(channels=8, blocks=1, colours=colours)
    model = PixelCNN(config, backend.default_rng(0))
    batch = backend.asarray(images(rng, 2, model))
    exact.assert_float32_and_every_parameter_learns(model, batch)


def test_wrong_uses_are_errors_that_say_what_is_expected(rng):
    model = make(4, 4)
    x = backend.asarray(images(rng, 1, model))
    with pytest.raises(ValueError, match=r"images \(1, 4, 3, 1\), expected \(N, 4, 4, 1\)"):
        model.log_prob(x[:, :, :3])
    if backend.current() == "numpy":  # a device would have to be waited for
        with pytest.raises(ValueError, match="images of levels 0 to 2, expected 0 to 1"):
            model.log_prob(backend.asarray(numpy.arange(16).reshape(1, 4, 4, 1) % 3))
    with pytest.raises(ValueError, match="'cached' and 'naive', not 'fast'"):
        model.sample(1, backend.default_rng(0), "fast")
    with pytest.raises(ValueError, match="both given and known"):
        model.sample(1, backend.default_rng(0), given=x)
    with pytest.raises(ValueError, match="not class-conditional"):
        model.sample(1, backend.default_rng(0), context=0)
    with pytest.raises(ValueError, match="channels=4: channels must be even, from 6 up"):
        PixelCNNConfig(channels=4, colours=3)
    for field, value in {"channels": 7, "first_size": 4, "levels": 1, "dropout": 1.0}.items():
        with pytest.raises(ValueError, match=f"{field}={value}: {field} must be"):
            PixelCNNConfig(**{field: value})
