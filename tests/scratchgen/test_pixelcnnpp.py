"""PixelCNN++ against exact answers: small images can be enumerated."""

import itertools

import numpy
import pytest

import autograd.numpy as np
from autograd import backend, no_grad
from scratchgen.distributions import discretised_logistic_mixture as logistics
from scratchgen.models.autoregressive.pixelcnnpp import (
    SMALLEST_LOG_SCALE,
    Block,
    PixelCNNPP,
    PixelCNNPPConfig,
    ToImage,
    concat_elu,
)
from scratchgen.nn import ShiftedConv, ShiftedConvTranspose
from tests.scratchgen import exact


def make(height=3, width=3, levels=2, spread=0.25, **fields):
    """A small model in float64 with random weights in every layer, and bins that differ."""
    fields = {"channels": 4, "blocks": 1, "components": 3} | fields
    config = PixelCNNPPConfig(height=height, width=width, levels=levels, **fields)
    model = exact.randomised(PixelCNNPP(config, backend.default_rng(0)), spread=spread)
    bias = model.output.bias.data.reshape(config.components, -1)
    bias[:, 1 + config.colours : 1 + 2 * config.colours] -= 2  # log-scales
    model.output.bias[...] = bias.reshape(-1)
    return model


def host(x):
    return backend.to_numpy(x)


SMALL = [
    (3, 3, 1, 2, {"spread": 0.35}),
    (2, 3, 1, 3, {"scales": 3}),
    (4, 2, 1, 2, {"blocks": 2}),
    (3, 2, 1, 3, {"scales": 1}),
    (1, 5, 1, 3, {"scales": 3}),
    (5, 1, 1, 3, {}),
    (1, 2, 3, 3, {}),
    (2, 1, 3, 2, {"scales": 3}),
    (2, 2, 3, 2, {}),
]


@pytest.mark.parametrize(("height", "width", "colours", "levels", "fields"), SMALL)
def test_the_probabilities_of_all_images_sum_to_one(height, width, colours, levels, fields):
    exact.assert_a_density_not_uniform(make(height, width, levels, colours=colours, **fields))


LARGER = [
    (5, 4, 1, 5, {"scales": 3}),
    (4, 5, 1, 4, {"blocks": 2}),
    (3, 6, 1, 2, {"scales": 1}),
    (1, 1, 1, 3, {}),
    (7, 1, 1, 3, {"scales": 4}),
    (3, 3, 3, 3, {}),
    (2, 5, 3, 2, {"scales": 3}),
]


@pytest.mark.parametrize(("height", "width", "colours", "levels", "fields"), LARGER)
def test_cached_sampling_equals_naive_sampling(height, width, colours, levels, fields):
    exact.assert_cached_is_naive(make(height, width, levels, colours=colours, **fields))


def test_cached_sampling_equals_naive_sampling_in_float32_and_with_a_temperature():
    model = make(4, 3, 5)
    model.astype("float32")
    exact.assert_cached_is_naive(model, temperature=1.3)


@pytest.mark.parametrize("method", ["cached", "naive"])
@pytest.mark.parametrize("fields", [{"levels": 3}, {"height": 1, "colours": 3}])
def test_samples_occur_as_often_as_their_probability_says(method, fields):
    exact.assert_samples_follow(make(**{"height": 2, "width": 2} | fields), method, n=5_000)


@pytest.mark.parametrize("method", ["cached", "naive"])
def test_completions_follow_the_distribution_given_what_is_known(method):
    known = numpy.zeros((3, 2, 1), bool)
    known[:2] = True
    exact.assert_completions_follow(make(3, 2, 3), method, known)


@pytest.mark.parametrize("method", ["cached", "naive"])
@pytest.mark.parametrize("colours", [1, 2])
def test_of_a_pixel_some_colours_may_be_known_and_the_others_are_drawn_given_them(method, colours):
    known = numpy.zeros((1, 2, 3), bool)
    known[:, 0] = True
    known[:, 1, :colours] = True
    exact.assert_completions_follow(make(1, 2, 3, colours=3, spread=0.35), method, known)


@pytest.mark.parametrize("method", ["cached", "naive"])
def test_a_known_colour_is_kept_though_an_earlier_one_is_not_known(method):
    model = make(3, 3, levels=4, colours=3)
    rng = numpy.random.default_rng(0)
    given, known = rng.integers(0, 4, (20, 3, 3, 3)), rng.random((20, 3, 3, 3)) < 0.5
    images = exact.sample(model, 20, 0, method, given=given, known=known)
    assert (images[known] == given[known]).all()
    assert (images[~known] != given[~known]).any()


# ---------------------------------------------------------------------------- receptive fields


def pixels_seen(model, place):
    """The pixels (H, W) that the mixture of the pixel at this place depends on."""
    embedded = numpy.random.default_rng(0).uniform(0.5, 1, (1, *model.shape[:2], 3))
    return exact.seen(model.mixture, embedded, place).any(-1)


def earlier(height, width, place):
    """The pixels (H, W) before this one, in raster order."""
    return numpy.arange(height * width).reshape(height, width) < place[0] * width + place[1]


@pytest.mark.parametrize(
    ("height", "width", "fields"),
    [
        (4, 4, {}),
        (5, 5, {"scales": 3}),
        (6, 3, {"scales": 3}),
        (3, 6, {"scales": 1}),
        (1, 6, {}),
    ],
)
def test_a_pixel_sees_exactly_the_pixels_before_it_and_there_is_no_blind_spot(
    height, width, fields
):
    model = make(height, width, spread=0.15, **fields)
    for place in itertools.product(range(height), range(width)):
        seen = pixels_seen(model, place)
        numpy.testing.assert_array_equal(seen, earlier(height, width, place), f"of {place}")


def test_with_two_blocks_the_network_sees_every_earlier_pixel_of_the_digits():
    model = make(8, 8, blocks=2, spread=0.15)
    for place in [(7, 0), (7, 7), (6, 7), (1, 0)]:  # those with the farthest to see
        numpy.testing.assert_array_equal(pixels_seen(model, place), earlier(8, 8, place))


def test_of_its_own_row_an_odd_row_sees_what_the_first_scale_reaches_and_an_even_row_more():
    one, two = (make(3, 14, scales=scales, spread=0.15) for scales in (1, 2))
    # 1 column by the first layer and by each convolution: two a block. The short cut into a block
    # of the way up comes after the first of these.
    for model, row, reach in [(one, 1, 5), (one, 2, 5), (two, 1, 4), (two, 2, 13)]:
        seen = pixels_seen(model, (row, 13))[row]
        assert set(numpy.flatnonzero(seen)) == set(range(13 - reach, 13))


def test_the_vertical_stream_sees_the_rows_above_only():
    model = make(5, 4, spread=0.15)
    x = numpy.random.default_rng(0).uniform(0.5, 1, (1, 5, 4, 3))

    def vertical(x):
        return model.look_up(x, ToImage())[0][-1]

    for row, column in [(0, 2), (1, 0), (2, 3), (3, 1), (4, 2)]:
        seen = exact.seen(vertical, x, (row, column)).any(-1)
        numpy.testing.assert_array_equal(seen, numpy.arange(5)[:, None] < row + 0 * numpy.arange(4))


# ------------------------------------------------------------------------------------- layers


@pytest.mark.parametrize(
    ("size", "options", "expected"),
    [
        ((2, 3), {}, [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 0), (0, 1)]),
        ((2, 2), {"right": True}, [(-1, -1), (-1, 0), (0, -1), (0, 0)]),
        ((2, 3), {"further": (1, 0)}, [(-2, -1), (-2, 0), (-2, 1), (-1, -1), (-1, 0), (-1, 1)]),
        ((1, 3), {"further": (1, 0)}, [(-1, -1), (-1, 0), (-1, 1)]),
        ((2, 1), {"right": True, "further": (0, 1)}, [(-1, -1), (0, -1)]),
    ],
)
@pytest.mark.parametrize("stride", [1, 2])
def test_a_shifted_convolution_sees_its_place_and_what_is_before_it(
    size, options, expected, stride
):
    conv = ShiftedConv(1, 1, size, backend.default_rng(0), stride=stride, **options)
    conv.astype("float64")
    for row, column in itertools.product(range(0, 5, stride), range(0, 6, stride)):
        place = row // stride, column // stride
        seen = exact.seen(conv, numpy.ones((1, 5, 6, 1)), place)[..., 0]
        places = {(row + i, column + j) for i, j in expected}
        inside = {(i, j) for i, j in places if 0 <= i < 5 and 0 <= j < 6}
        assert set(zip(*numpy.nonzero(seen), strict=True)) == inside


@pytest.mark.parametrize("right", [False, True])
def test_a_transposed_convolution_sees_the_place_that_a_strided_one_makes_of_its_own(right):
    larger = ShiftedConvTranspose(1, 1, backend.default_rng(0), right=right)
    larger.astype("float64")
    x = numpy.ones((1, 3, 4, 1))
    for row, column in itertools.product(range(6), range(8)):
        seen = exact.seen(larger, x, (row, column))[..., 0]
        columns = [column // 2, column // 2 + 1] if not right and column % 2 else [column // 2]
        expected = {(row // 2, j) for j in columns if j < 4}
        assert set(zip(*numpy.nonzero(seen), strict=True)) == expected


@pytest.mark.parametrize("options", [{}, {"right": True}, {"further": (1, 0)}, {"stride": 2}])
def test_a_shifted_convolution_at_a_place_is_that_part_of_the_whole(options, rng):
    conv = ShiftedConv(2, 3, (2, 3), backend.default_rng(0), **options)
    conv.astype("float64")
    x, stride = backend.asarray(rng.standard_normal((2, 5, 4, 2))), conv.stride
    padded = conv.empty(2, 5, 4)
    with no_grad():
        whole = host(conv(x))
        for row in range(5):
            conv.put(padded, row, slice(0, 4), x[:, row : row + 1])
            if row % stride == 0:
                line = host(conv.at(padded, row, slice(0, 4)))
                numpy.testing.assert_allclose(line[:, 0], whole[:, row // stride], atol=1e-12)
                for column in range(0, 4, stride):
                    pixel = host(conv.at(padded, row, slice(column, column + 1)))[:, 0, 0]
                    expected = whole[:, row // stride, column // stride]
                    numpy.testing.assert_allclose(pixel, expected, atol=1e-12)


def test_concatenated_elu_is_elu_of_both_signs():
    y = host(concat_elu(backend.asarray([[-1.0, 2.0]])))
    numpy.testing.assert_allclose(y, [[numpy.expm1(-1), 2, 1, numpy.expm1(-2)]])


def test_a_new_block_is_the_identity(rng):
    block = Block(4, True, 1, 0.5, backend.default_rng(0))
    h, link = (backend.asarray(rng.standard_normal((2, 3, 3, 4))) for _ in range(2))
    with no_grad():
        y = block(h, [link], ToImage(), backend.default_rng(0))
    numpy.testing.assert_array_equal(host(y), host(h))


def test_a_block_adds_a_gated_by_b(rng):
    block = exact.randomised(Block(2, False, 0, 0.0, backend.default_rng(0)))
    h = backend.asarray(rng.standard_normal((2, 3, 3, 2)))
    with no_grad():
        ab = host(block.second(concat_elu(block.first(concat_elu(h)))))
        y = host(block(h, [], ToImage(), None))
    numpy.testing.assert_allclose(y - host(h), ab[..., :2] / (1 + numpy.exp(-ab[..., 2:])))


# ------------------------------------------------------------------------------- distributions


@pytest.mark.parametrize("scale", [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 100.0])
@pytest.mark.parametrize("levels", [2, 17, 256])
def test_the_levels_of_a_discretised_logistic_sum_to_one_down_to_a_scale_of_1e_6(scale, levels):
    means = numpy.array([-3.0, -1.0, 0.0, 0.3, 1 / (levels - 1), 1.0])  # some on an edge
    log_scale = backend.asarray(numpy.full(6, numpy.log(scale)))
    every = backend.asarray(numpy.arange(levels)[:, None])
    p = numpy.exp(
        host(logistics.component_log_prob(backend.asarray(means), log_scale, every, levels))
    )
    numpy.testing.assert_allclose(p.sum(0), 1, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("colours", "levels"), [(1, 2), (1, 5), (3, 2), (3, 4)])
def test_the_density_is_that_of_its_values_given_those_before_them(colours, levels, rng):
    model = make(3, 2, levels, colours=colours)
    x = rng.integers(0, levels, (20, 3, 2, colours))
    with no_grad():
        logits = host(model.network(model.embed(backend.asarray(x))))
    if levels == 2:  # the one logit is that of level 1 against level 0
        logits = numpy.concatenate([0 * logits, logits], -1)
    log_p = logits - numpy.log(numpy.exp(logits).sum(-1, keepdims=True))
    assert levels == 2 or abs(log_p - logits).max() < 1e-10, "they are normalised as they are"
    values = numpy.take_along_axis(log_p, x[..., None], -1).sum((1, 2, 3, 4))
    numpy.testing.assert_allclose(exact.log_prob(model, x), values, rtol=1e-10)


def test_red_tells_which_component_green_is_drawn_from():
    """Two components far apart, no linear dependence: red decides all the same."""
    model = make(1, 1, levels=3, colours=3, components=2)
    mixture = numpy.zeros((2, 10))
    mixture[:, 1:4] = [[-1], [1]]  # means of all three colours
    mixture[:, 4:7] = -4  # log-scales
    for red, expected in [(0, 0), (2, 2)]:
        x = backend.asarray(numpy.array([red, 1, 1]))
        logits = host(model.logits(backend.asarray(mixture), x, 1))
        assert logits.argmax() == expected and numpy.exp(logits).max() > 0.99


def test_the_mean_of_a_colour_moves_with_the_earlier_colours():
    model = make(1, 1, levels=3, colours=3, components=1)
    mixture = numpy.zeros((1, 10))
    mixture[:, 4:7] = -4
    mixture[:, 7:] = numpy.arctanh([0.9, -0.9, 0.9])  # α, β, γ
    for (red, green), expected in {(2, 1): (2, 0), (0, 1): (0, 2), (1, 2): (1, 2)}.items():
        x = backend.asarray(numpy.array([red, green, 1]))
        found = [host(model.logits(backend.asarray(mixture), x, c)).argmax() for c in (1, 2)]
        assert tuple(found) == expected


def test_scales_have_a_least_and_coefficients_lie_between_minus_one_and_one(rng):
    model = make(1, 1, colours=3)
    parameters = 20 * rng.standard_normal((3, 10))
    logits, mean, log_scale, coefficients = model.split(backend.asarray(parameters))
    numpy.testing.assert_array_equal(host(logits), parameters[:, 0])
    numpy.testing.assert_array_equal(host(mean), parameters[:, 1:4])
    expected = numpy.maximum(parameters[:, 4:7], SMALLEST_LOG_SCALE)
    numpy.testing.assert_array_equal(host(log_scale), expected)
    numpy.testing.assert_allclose(host(coefficients), numpy.tanh(parameters[:, 7:]))


# ------------------------------------------------------------------------------------ training


def test_a_new_model_gives_every_level_a_share():
    model = PixelCNNPP(PixelCNNPPConfig(), backend.default_rng(0))
    with no_grad():
        logits = host(model.network(model.embed(np.zeros((1, 8, 8, 1), int))))
    assert numpy.exp(logits).min() > 0.1 / 17


@pytest.mark.parametrize("fields", [{}, {"colours": 3, "scales": 3}])
def test_the_whole_model_is_float32_as_it_comes_and_every_parameter_learns(fields, rng):
    config = PixelCNNPPConfig(height=5, channels=8, **fields)
    model = PixelCNNPP(config, backend.default_rng(0))
    x = backend.asarray(rng.integers(0, 17, (3, 5, 8, config.colours)))
    exact.assert_float32_and_every_parameter_learns(model, x)


def test_dropout_acts_with_a_generator_and_not_without(rng):
    model = make(4, 4)
    x = backend.asarray(rng.integers(0, 2, (5, 4, 4, 1)))
    with no_grad():
        one, two = (host(model.log_prob(x, rng=backend.default_rng(s))) for s in (0, 1))
        again = host(model.log_prob(x, rng=backend.default_rng(0)))
    assert (one != two).all() and (one == again).all()
    assert (host(model.log_prob(x).data) == host(model.log_prob(x).data)).all()


def test_cached_sampling_runs_a_smaller_scale_at_every_second_row_and_pixel_only(monkeypatch):
    rows, pixels, at = [], [], ShiftedConv.at

    def counted(conv, padded, row, columns):
        one = columns.stop - columns.start == 1
        (pixels if one else rows).append((padded.shape[2], row))
        return at(conv, padded, row, columns)

    monkeypatch.setattr(ShiftedConv, "at", counted)
    make(4, 6, colours=3).sample(1, backend.default_rng(0))
    # the first layer, 4 of the first scale; at every second place 1 to and 4 of the second scale
    assert len(rows) == 4 * (1 + 4) + 2 * (1 + 4)
    assert len(pixels) == 24 * (1 + 4) + 6 * (1 + 4)


def test_wrong_uses_are_errors_that_say_what_is_expected(rng):
    x = backend.asarray(rng.integers(0, 2, (2, 4, 4, 1)))
    with pytest.raises(
        ValueError, match=r"PixelCNNPP: images \(2, 4, 4, 1\), expected \(N, 3, 3, 1\)"
    ):
        make().log_prob(x)
    with pytest.raises(ValueError, match="not class-conditional"):
        make(4, 4).log_prob(x, backend.asarray(numpy.array([0, 1])))
    with pytest.raises(ValueError, match="'cached' and 'naive', not 'fast'"):
        make().sample(1, backend.default_rng(0), "fast")
    wrong = {"colours": 2, "levels": 1, "channels": 0, "scales": 0, "blocks": 0, "components": 0}
    for field, value in {**wrong, "dropout": 1.0}.items():
        with pytest.raises(ValueError, match=f"{field}={value}: {field} must be"):
            PixelCNNPPConfig(**{field: value})
