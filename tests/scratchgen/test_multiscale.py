"""Multi-scale PixelCNN against exact answers: small images can be enumerated."""

import itertools

import numpy
import pytest

import autograd.numpy as np
from autograd import backend, no_grad
from scratchgen.models.autoregressive import multiscale
from scratchgen.models.autoregressive.multiscale import MultiScaleConfig, MultiScalePixelCNN
from scratchgen.models.autoregressive.pixelcnn import PixelCNN
from tests.scratchgen import exact


def make(height=2, width=2, levels=2, seed=0, spread=0.7, **fields):
    """A small model in float64 with random weights in every layer."""
    fields = {"channels": 8, "blocks": 2, "first_size": 3, "small_layers": 1} | fields
    config = MultiScaleConfig(height=height, width=width, levels=levels, **fields)
    return exact.randomised(MultiScalePixelCNN(config, backend.default_rng(seed)), seed, spread)


def in_order(config):
    """The places of all values of an image in the order of the model, from its definition."""

    def scale(place):  # the number of the scale at which a pixel is generated
        fits = [place[0] % 2**k == place[1] % 2**k == 0 for k in range(config.scales, -1, -1)]
        return fits.index(True)

    places = itertools.product(range(config.height), range(config.width), range(config.colours))
    return sorted(places, key=lambda place: (scale(place), place))


SMALL = [
    {},
    {"height": 2, "width": 4},
    {"height": 4, "width": 2},
    {"levels": 3},
    {"colours": 2},
    {"height": 4, "width": 2, "small_layers": 2, "first_size": 5},
]


@pytest.mark.parametrize("fields", SMALL)
def test_the_probabilities_of_all_images_sum_to_one(fields):
    exact.assert_a_density_not_uniform(make(**fields))


def test_with_two_scales_too_the_probabilities_sum_to_one():
    exact.assert_a_density_not_uniform(make(4, 4, scales=2, channels=4, blocks=1, spread=0.5))


@pytest.mark.parametrize("fields", SMALL)
def test_the_small_image_has_the_density_of_the_smallest_network(fields):
    model = make(**fields)
    smallest = model.smallest
    assert exact.shape_of(smallest) == (model.shape[0] // 2, model.shape[1] // 2, model.shape[2])
    small = exact.number(smallest, exact.every_image(model)[:, ::2, ::2])
    marginal = numpy.bincount(small, exact.probabilities(model))
    numpy.testing.assert_allclose(marginal, exact.probabilities(smallest), rtol=1e-10)


def test_without_scales_the_model_is_a_pixelcnn():
    model = make(2, 3, levels=3, scales=0)
    pixelcnn = PixelCNN(model.config, backend.default_rng(0))
    pixelcnn.astype("float64")
    pixelcnn.load({k.removeprefix("smallest."): x for k, x in model.values().items()})
    images = exact.every_image(model)
    numpy.testing.assert_array_equal(
        exact.log_prob(model, images), exact.log_prob(pixelcnn, images)
    )
    drawn = [exact.sample(y, 10) for y in (model, pixelcnn)]
    numpy.testing.assert_array_equal(*drawn)


@pytest.mark.parametrize(
    "fields",
    [
        {"height": 4, "width": 4},
        {"height": 4, "width": 6, "first_size": 11, "small_layers": 2},
        {"height": 4, "width": 4, "colours": 3, "channels": 12},
        {"height": 8, "width": 4, "first_size": 9, "scales": 2},
        {"height": 4, "width": 4, "colours": 2, "channels": 16, "scales": 2},
    ],
)
def test_a_value_sees_those_of_smaller_images_and_the_earlier_ones_of_its_own(fields):
    # the kernels are so large that there is no blind spot
    model = exact.opened(make(blocks=3, **{"small_layers": 3, "first_size": 7} | fields))
    height, width, colours = model.shape
    embedded = numpy.random.default_rng(0).uniform(0.5, 1, (1, height, width, 3 * colours))
    places = in_order(model.config)
    for i, place in enumerate(places):
        seen = exact.seen(lambda x: model.network(model.pyramid(x)), embedded, place)
        levels = seen[..., ::3]  # not the rows and columns of the pixels
        assert {tuple(map(int, at)) for at in numpy.argwhere(levels)} == set(places[:i]), place


@pytest.mark.parametrize("layers", [1, 2])
def test_the_features_of_the_small_image_come_from_around_each_pixel(layers):
    [conditional] = exact.opened(make(12, 10, small_layers=layers)).larger
    small = numpy.random.default_rng(0).uniform(0.5, 1, (1, 6, 5, 3))
    for block, place in enumerate([(4, 7), (5, 4)]):
        seen = exact.seen(lambda x, i=block: conditional.biases_of(x)[i], small, (*place, 0))
        expected = numpy.zeros((6, 5), bool)
        row, column = place[0] // 2, place[1] // 2
        expected[row - layers : row + layers + 1, column - layers : column + layers + 1] = True
        numpy.testing.assert_array_equal(seen.any(-1), expected)


@pytest.mark.parametrize(
    "fields",
    [
        {"levels": 5, "first_size": 5},
        {"height": 8, "scales": 2, "levels": 4},
        {"levels": 2, "colours": 2},
        {"levels": 4, "colours": 3, "channels": 10, "small_layers": 2},
        {"scales": 0, "levels": 3},
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cached_sampling_equals_naive_sampling(fields, dtype):
    model = make(**{"height": 6, "width": 4, "spread": 0.4} | fields)
    model.astype(dtype)
    exact.assert_cached_is_naive(model)


def test_cached_sampling_upsamples_each_small_image_once(monkeypatch):
    model, sizes = make(8, 4, scales=2), []
    upsample = multiscale.depth_to_space
    monkeypatch.setattr(
        multiscale, "depth_to_space", lambda x, n: sizes.append(x.shape[1:3]) or upsample(x, n)
    )
    exact.sample(model, 1)
    assert sizes == [(2, 1), (4, 2)]


@pytest.mark.parametrize("method", ["cached", "naive"])
@pytest.mark.parametrize("fields", [{"width": 4}, {"levels": 3}, {"colours": 2}])
def test_samples_occur_as_often_as_their_probability_says(method, fields):
    exact.assert_samples_follow(make(spread=0.5, **fields), method)


@pytest.mark.parametrize("method", ["cached", "naive"])
def test_given_the_small_image_the_rest_is_drawn_from_its_conditional(method):
    known = numpy.zeros((2, 4, 1), bool)
    known[::2, ::2] = True
    known[0, 1] = True  # the first of the others
    exact.assert_completions_follow(make(2, 4, spread=0.5), method, known)


@pytest.mark.parametrize("method", ["cached", "naive"])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("fields", [{"width": 4}, {"levels": 3}, {"colours": 2}])
def test_completions_keep_what_is_known_and_follow_the_order(method, seed, fields):
    model = make(spread=0.5, **fields)
    known = numpy.random.default_rng(seed).random(model.shape) < 0.5
    exact.assert_completions_follow_the_order(model, method, known)


def test_the_temperature_is_that_of_every_scale():
    model = make(2, 4, spread=0.5)
    nothing = numpy.zeros(model.shape, bool)
    exact.assert_completions_follow_the_order(model, "cached", nothing, temperature=0.5)


def test_dropout_acts_at_every_scale_with_a_generator_and_not_without():
    model = make(4, 4, dropout=0.5)
    x = backend.asarray(numpy.random.default_rng(0).integers(0, 2, (5, 4, 4, 1)))

    def logits(seed):
        generator = None if seed is None else backend.default_rng(seed)
        with no_grad():
            return backend.to_numpy(model.network(model.embed(x), generator))

    differ = (logits(0) != logits(1))[..., 0, 0].any(0)
    assert differ[::2, ::2].any() and differ[1::2].any()
    assert (logits(0) == logits(0)).all() and (logits(None) == logits(None)).all()


@pytest.mark.parametrize("fields", [{}, {"scales": 2, "colours": 2}])
def test_the_model_is_float32_as_it_comes_and_every_parameter_learns(fields):
    config = MultiScaleConfig(channels=8, blocks=2, **fields)
    model = MultiScalePixelCNN(config, backend.default_rng(0))
    batch = numpy.random.default_rng(0).integers(0, 17, (3, *model.shape))
    exact.assert_float32_and_every_parameter_learns(model, backend.asarray(batch))


def test_wrong_uses_are_errors_that_say_what_is_expected():
    model, rng = make(4, 4), backend.default_rng(0)
    x = np.zeros((1, 4, 4, 1), int)
    with pytest.raises(ValueError, match=r"MultiScalePixelCNN: images \(1, 4, 2, 1\), expected"):
        model.log_prob(x[:, :, :2])
    with pytest.raises(ValueError, match="MultiScalePixelCNN is not class-conditional"):
        model.sample(1, rng, context=0)
    with pytest.raises(ValueError, match="'cached' and 'naive', not 'fast'"):
        model.sample(1, rng, "fast")
    with pytest.raises(ValueError, match="both given and known"):
        model.sample(1, rng, given=x)
    with pytest.raises(ValueError, match="both given and known"):
        model.sample(1, rng, known=x == 0)
    multiple = "width=6: width must be a multiple of 4, 2 to the power scales=2"
    with pytest.raises(ValueError, match=multiple):
        MultiScaleConfig(width=6, scales=2)
    for field, value in {"height": 7, "scales": -1, "small_layers": 0, "levels": 1}.items():
        with pytest.raises(ValueError, match=f"{field}={value}: {field} must be"):
            MultiScaleConfig(**{field: value})
