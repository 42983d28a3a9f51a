"""Layers, their parameters and masks."""

import numpy
import pytest

from autograd import backend
from scratchgen.nn import Conv, Dense, MaskedConv, Module, glorot_normal, he_normal
from scratchgen.nn.masked import causal_mask


class Network(Module):
    def __init__(self, rng):
        self.blocks = [MaskedConv(2, 3, 3, "B", rng), Dense(3, 4, rng)]
        self.head = Dense(4, 5, rng)
        self.name = "not a parameter"


@pytest.fixture
def network():
    return Network(backend.default_rng(0))


def test_masks_keep_what_comes_before_in_raster_order():
    rows = {kind: ["".join(".#"[x] for x in row) for row in causal_mask(3, kind)] for kind in "AB"}
    assert rows == {"A": ["###", "#..", "..."], "B": ["###", "##.", "..."]}
    assert causal_mask(1, "B") == [[True]]
    assert numpy.sum(causal_mask(7, "A")) == 24


@pytest.mark.parametrize("size, kind", [(2, "B"), (1, "A"), (3, "C")])
def test_impossible_masks_are_refused(size, kind):
    with pytest.raises(ValueError, match="mask"):
        causal_mask(size, kind)


@pytest.mark.parametrize("kind", ["A", "B"])
def test_the_mask_is_in_what_is_computed_and_not_in_the_weights(kind, rng):
    conv = MaskedConv(2, 3, 3, kind, backend.default_rng(0))
    before = backend.to_numpy(conv.weight.data).copy()
    masked = ~numpy.array(causal_mask(3, kind))
    assert (before[masked] != 0).all()
    x = backend.asarray(rng.standard_normal((2, 4, 5, 2)).astype("float32"))
    y = conv(x)
    y.sum().backward()
    numpy.testing.assert_array_equal(backend.to_numpy(conv.weight.data), before)
    gradient = backend.to_numpy(conv.weight.grad)
    assert (gradient[masked] == 0).all() and (gradient[~masked] != 0).all()
    conv.weight[...] = backend.asarray(numpy.where(masked[..., None, None], numpy.nan, before))
    numpy.testing.assert_array_equal(backend.to_numpy(conv(x).data), backend.to_numpy(y.data))


@pytest.mark.parametrize("size, kind", [(3, "A"), (3, "B"), (5, "A"), (1, "B")])
def test_the_output_at_one_pixel_is_that_of_the_whole_image(size, kind, rng):
    conv = MaskedConv(2, 3, size, kind, backend.default_rng(0))
    conv.astype("float64")
    p = conv.padding
    x = rng.standard_normal((2, 4, 5, 2))
    padded = backend.asarray(numpy.pad(x, ((0, 0), (p, p), (p, p), (0, 0))))
    whole = backend.to_numpy(conv(backend.asarray(x)).data)
    for row, column in numpy.ndindex(4, 5):
        one = backend.to_numpy(conv.at(padded, row, column).data)
        numpy.testing.assert_allclose(one[:, 0, 0], whole[:, row, column], rtol=1e-12)


def test_a_convolution_keeps_the_size_of_the_image_and_sees_zeros_around_it(rng):
    conv = Conv(1, 1, 3, backend.default_rng(0))
    conv.weight[...] = backend.asarray(numpy.ones((3, 3, 1, 1), "float32"))
    y = conv(backend.asarray(numpy.ones((1, 3, 4, 1), "float32")))
    expected = [[4, 6, 6, 4], [6, 9, 9, 6], [4, 6, 6, 4]]
    numpy.testing.assert_array_equal(backend.to_numpy(y.data)[0, :, :, 0], expected)


def test_dense_is_a_product_and_a_bias_over_the_last_axis(rng):
    dense = Dense(3, 4, backend.default_rng(0))
    dense.astype("float64")
    dense.bias[...] = backend.asarray(rng.standard_normal(4))
    x = rng.standard_normal((2, 5, 3))
    w, b = backend.to_numpy(dense.weight.data), backend.to_numpy(dense.bias.data)
    y = backend.to_numpy(dense(backend.asarray(x)).data)
    numpy.testing.assert_allclose(y, x @ w + b, rtol=1e-12)


def test_parameters_are_named_by_their_attribute_path(network):
    assert {path: x.shape for path, x in network.parameters().items()} == {
        "blocks.0.weight": (3, 3, 2, 3),
        "blocks.0.bias": (3,),
        "blocks.1.weight": (3, 4),
        "blocks.1.bias": (4,),
        "head.weight": (4, 5),
        "head.bias": (5,),
    }


def test_values_are_copies_and_load_puts_them_back(network):
    values = network.values()
    network.head.weight[...] = 0.0
    assert values["head.weight"].any()
    weight = network.head.weight
    network.load(values)
    assert network.head.weight is weight, "loaded in place"
    numpy.testing.assert_array_equal(backend.to_numpy(weight.data), values["head.weight"])


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda v: v.pop("head.bias"), "no value for the parameter 'head.bias'"),
        (lambda v: v.update(tail=v["head.bias"]), "there is no parameter 'tail'"),
        (lambda v: v.update({"head.bias": numpy.zeros(3)}), r"head.bias has shape \(5,\)"),
    ],
)
def test_values_that_do_not_fit_are_refused_and_nothing_is_loaded(network, change, message):
    before = network.values()
    values = {path: x + 1 for path, x in before.items()}
    change(values)
    with pytest.raises(ValueError, match=message):
        network.load(values)
    for path, x in network.values().items():
        numpy.testing.assert_array_equal(x, before[path])


@pytest.mark.parametrize("init, variance", [(he_normal, 2 / 300), (glorot_normal, 2 / 800)])
def test_initial_weights_have_the_variance_of_the_paper(init, variance):
    w = backend.to_numpy(init(backend.default_rng(0), (300, 500), fan_in=300, fan_out=500))
    assert w.dtype == "float32"
    assert w.var() == pytest.approx(variance, rel=0.02)
    assert abs(w.mean()) < 4 * (variance / w.size) ** 0.5
