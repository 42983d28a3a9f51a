"""Layers, their parameters and masks."""

import numpy
import pytest

from autograd import backend
from autograd.functional import jacobian
from autograd.nn import one_hot
from scratchgen.nn import (
    LSTM,
    Conv,
    Dense,
    Embedding,
    GroupNorm,
    LayerNorm,
    MaskedConv,
    Module,
    WeightNormConv,
    WeightNormDense,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    orthogonal,
    zeros,
)


def taps(size, kind):
    """Which taps of its kernel a masked convolution computes."""
    return MaskedConv(1, 1, size, kind, backend.default_rng(0)).taps


class Network(Module):
    def __init__(self, rng):
        self.blocks = [MaskedConv(2, 3, 3, "B", rng), Dense(3, 4, rng)]
        self.head = Dense(4, 5, rng)
        self.name = "not a parameter"


@pytest.fixture
def network():
    return Network(backend.default_rng(0))


def test_masks_keep_what_comes_before_in_raster_order():
    rows = {kind: ["".join(".#"[x] for x in row) for row in taps(3, kind)] for kind in "AB"}
    assert rows == {"A": ["###", "#..", "..."], "B": ["###", "##.", "..."]}
    assert taps(1, "B") == [[True]]
    assert numpy.sum(taps(7, "A")) == 24


@pytest.mark.parametrize("size, kind", [(2, "B"), (1, "A"), (3, "C")])
def test_impossible_masks_are_refused(size, kind):
    with pytest.raises(ValueError, match="mask"):
        MaskedConv(1, 1, size, kind, backend.default_rng(0))


@pytest.mark.parametrize("kind", ["A", "B"])
def test_the_mask_is_in_what_is_computed_and_not_in_the_weights(kind, rng):
    conv = MaskedConv(2, 3, 3, kind, backend.default_rng(0))
    before = backend.to_numpy(conv.weight.data).copy()
    masked = ~numpy.array(taps(3, kind))
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
    x = rng.standard_normal((2, 4, 5, 2))
    padded, _ = conv.padded(backend.asarray(x))
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


# -------------------------------------------------------------------------------- initialisers


@pytest.mark.parametrize(
    "init, variance",
    [
        (he_normal, 2 / 300),
        (he_uniform, 2 / 300),
        (glorot_normal, 2 / 800),
        (glorot_uniform, 2 / 800),
        (lecun_normal, 1 / 300),
    ],
)
def test_initial_weights_have_the_variance_of_the_paper(init, variance):
    w = backend.to_numpy(init(backend.default_rng(0), (300, 500), fan_in=300, fan_out=500))
    assert w.dtype == "float32"
    assert w.var() == pytest.approx(variance, rel=0.02)
    assert abs(w.mean()) < 4 * (variance / w.size) ** 0.5
    if init in (he_uniform, glorot_uniform):
        assert abs(w).max() == pytest.approx((3 * variance) ** 0.5, rel=1e-3), "a flat density"


@pytest.mark.parametrize("shape", [(6, 6), (8, 5), (5, 8), (3, 3, 2, 7), (1, 4)])
def test_orthogonal_weights_have_orthonormal_columns_or_rows(shape):
    w = backend.to_numpy(orthogonal(backend.default_rng(0), shape, fan_in=1, fan_out=1))
    assert w.shape == shape and w.dtype == "float32"
    w = w.reshape(-1, shape[-1]).astype("float64")
    product = w.T @ w if w.shape[0] >= w.shape[1] else w @ w.T
    numpy.testing.assert_allclose(product, numpy.eye(len(product)), atol=1e-6)


def test_orthogonal_weights_are_uniform_and_not_of_the_signs_that_lapack_prefers():
    rng = backend.default_rng(0)
    draws = [backend.to_numpy(orthogonal(rng, (3, 3), 3, 3)) for _ in range(600)]
    assert abs(numpy.mean(draws, axis=0)).max() < 4 * (1 / 3 / 600) ** 0.5
    determinants = numpy.sign(numpy.linalg.det(numpy.array(draws)))
    assert abs(determinants.mean()) < 4 / 600**0.5, "reflections are as frequent as rotations"


# ------------------------------------------------------------------------- embedding and LSTM


def in_double(layer, rng):
    """The layer in float64 with random parameters, on which nothing is 0 or 1 by chance."""
    layer.astype("float64")
    for x in layer.parameters().values():
        x[...] = backend.asarray(0.5 + rng.random(x.shape))
    return layer


def host(x):
    return backend.to_numpy(x).copy()


def test_an_embedding_is_a_product_with_one_hot_codes_and_starts_with_variance_1():
    layer = Embedding(500, 40, backend.default_rng(0))
    indices = backend.asarray(numpy.array([[3, 0], [499, 3], [7, 7]]))
    y = layer(indices)
    assert y.shape == (3, 2, 40) and y.dtype == "float32"
    codes = host(one_hot(indices, 500))
    numpy.testing.assert_array_equal(host(y), codes @ host(layer.weight))
    y.sum().backward()
    numpy.testing.assert_array_equal(host(layer.weight.grad)[:, 0], codes.sum(axis=(0, 1)))
    assert host(layer.weight).var() == pytest.approx(1, rel=0.02)


def sigmoid(z):
    return 1 / (1 + numpy.exp(-z))


def test_the_lstm_layer_follows_the_equations_gate_by_gate(rng):
    layer = LSTM(2, 3, backend.default_rng(0))
    layer.astype("float64")
    x = rng.standard_normal((4, 5, 2))
    hs, (h_last, c_last) = layer(backend.asarray(x))
    w_x, w_h, b = (
        numpy.split(host(w), 4, axis=-1) for w in (layer.weight_x, layer.weight_h, layer.bias)
    )
    h = c = numpy.zeros((4, 3))
    for t in range(5):
        i, f, g, o = (x[:, t] @ w_x[k] + h @ w_h[k] + b[k] for k in range(4))
        c = sigmoid(f) * c + sigmoid(i) * numpy.tanh(g)
        h = sigmoid(o) * numpy.tanh(c)
        numpy.testing.assert_allclose(host(hs)[:, t], h, rtol=1e-10)
    numpy.testing.assert_allclose(host(h_last), h, rtol=1e-10)
    numpy.testing.assert_allclose(host(c_last), c, rtol=1e-10)


def test_an_lstm_goes_on_from_a_state_in_parts_or_single_steps(rng):
    layer = in_double(LSTM(2, 3, backend.default_rng(0)), rng)
    x = backend.asarray(rng.standard_normal((4, 5, 2)))
    whole, _ = layer(x)
    first, state = layer(x[:, :3])
    second, _ = layer(x[:, 3:], state)
    parts = numpy.concatenate([host(first), host(second)], axis=1)
    numpy.testing.assert_allclose(parts, host(whole), rtol=1e-12)
    state = layer.start(4)
    for t in range(5):
        state = layer.step(x[:, t], state)
        numpy.testing.assert_allclose(host(state[0]), host(whole)[:, t], rtol=1e-12)


def test_an_lstm_starts_in_float32_remembering_with_orthogonal_gates():
    layer = LSTM(3, 8, backend.default_rng(0))
    assert {path: (x.shape, x.dtype) for path, x in layer.parameters().items()} == {
        "weight_x": ((3, 32), "float32"),
        "weight_h": ((8, 32), "float32"),
        "bias": ((32,), "float32"),
    }
    numpy.testing.assert_array_equal(host(layer.bias).reshape(4, 8).mean(axis=1), [0, 1, 0, 0])
    for gate in numpy.split(host(layer.weight_h), 4, axis=1):
        numpy.testing.assert_allclose(gate.T @ gate, numpy.eye(8), atol=1e-6)
    hs, _ = layer(backend.asarray(numpy.ones((2, 4, 3), "float32")))
    assert hs.dtype == "float32"
    hs.sum().backward()
    assert all(x.grad.dtype == "float32" for x in layer.parameters().values())


# ------------------------------------------------------------------------------- normalisation


def normalised(x, axes, epsilon):
    """The papers' equation, without gain and bias."""
    mean = x.mean(axis=axes, keepdims=True)
    return (x - mean) / numpy.sqrt(((x - mean) ** 2).mean(axis=axes, keepdims=True) + epsilon)


@pytest.mark.parametrize("shape", [(4, 6), (2, 5, 6), (2, 3, 4, 6)])
def test_layer_norm_follows_its_equation_over_the_channels(rng, shape):
    layer = in_double(LayerNorm(6, epsilon=0.1), rng)
    x = 3 + 2 * rng.standard_normal(shape)
    expected = normalised(x, -1, 0.1) * host(layer.gain) + host(layer.bias)
    numpy.testing.assert_allclose(host(layer(backend.asarray(x))), expected, rtol=1e-12)


@pytest.mark.parametrize("shape", [(4, 6), (2, 5, 6), (2, 3, 4, 6)])
@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_group_norm_follows_its_equation_over_positions_and_groups(rng, shape, groups):
    layer = in_double(GroupNorm(groups, 6, epsilon=0.1), rng)
    x = 3 + 2 * rng.standard_normal(shape)
    parts = numpy.split(x, groups, axis=-1)
    parts = [normalised(part, tuple(range(1, x.ndim)), 0.1) for part in parts]
    expected = numpy.concatenate(parts, axis=-1) * host(layer.gain) + host(layer.bias)
    found = host(layer(backend.asarray(x)))
    numpy.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_what_norms_let_through_between_positions(rng):
    """LayerNorm keeps the positions of a sequence apart, GroupNorm does not; examples both do."""
    x = backend.asarray(rng.standard_normal((2, 3, 4)))

    def influences(layer):
        derivative = abs(host(jacobian(lambda x: in_double(layer, rng)(x))(x)))
        return derivative.max(axis=(2, 5)) > 1e-12  # (N, P, N, P)

    same = numpy.eye(2, dtype=bool)[:, None, :, None]
    numpy.testing.assert_array_equal(
        influences(LayerNorm(4)), same & numpy.eye(3, dtype=bool)[None, :, None, :]
    )
    numpy.testing.assert_array_equal(
        influences(GroupNorm(2, 4)), same & numpy.ones((3, 1, 3), bool)
    )


def test_norms_refuse_channels_that_do_not_fit():
    with pytest.raises(ValueError, match="6 channels are not 4 equal groups"):
        GroupNorm(4, 6)
    for layer in (LayerNorm(1), GroupNorm(1, 1)):
        with pytest.raises(ValueError, match=r"Norm: input \(2, 6\), expected 1 channels"):
            layer(backend.asarray(numpy.zeros((2, 6), "float32")))


@pytest.mark.peers
def test_norms_do_as_pytorchs(rng):
    torch = pytest.importorskip("torch")
    x = rng.standard_normal((2, 3, 5, 6))
    for layer, peer in [
        (LayerNorm(6), torch.nn.LayerNorm(6)),
        (GroupNorm(3, 6), torch.nn.GroupNorm(3, 6)),
    ]:
        in_double(layer, rng)
        peer.double().load_state_dict(
            {"weight": torch.tensor(host(layer.gain)), "bias": torch.tensor(host(layer.bias))}
        )
        if isinstance(layer, GroupNorm):
            expected = peer(torch.tensor(x).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        else:
            expected = peer(torch.tensor(x))
        found = host(layer(backend.asarray(x)))
        numpy.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-10, atol=1e-12)


# ----------------------------------------------------------------------- weight normalisation


def weight_norm_layers():
    rng = backend.default_rng(0)
    return [WeightNormDense(3, 4, rng), WeightNormConv(3, 4, 3, rng)]


@pytest.mark.parametrize("i", [0, 1])
def test_the_gain_is_the_length_of_the_weights_and_the_direction_has_none(rng, i):
    layer = weight_norm_layers()[i]
    plain = [Dense, Conv][i](*[(3, 4), (3, 4, 3)][i], backend.default_rng(0))
    x = backend.asarray(rng.standard_normal((5, 6, 7, 3)).astype("float32"))
    if i == 0:  # the generator's first draw is the weight of either
        numpy.testing.assert_allclose(host(layer(x)), host(plain(x)), rtol=1e-4, atol=1e-5)
    in_double(layer, rng)
    w, g = host(layer.weight).reshape(-1, 4), host(layer.gain)
    v = host(layer.direction).reshape(-1, 4)
    numpy.testing.assert_allclose(w, g * v / numpy.linalg.norm(v, axis=0), rtol=1e-12)
    (layer(x.astype("float64")) ** 2).sum().backward()
    along = (host(layer.direction.grad).reshape(-1, 4) * v).sum(axis=0)
    assert abs(along).max() < 1e-10 * abs(host(layer.direction.grad)).max() * abs(v).max() * len(v)


@pytest.mark.parametrize("i", [0, 1])
def test_initialising_on_data_gives_outputs_of_mean_0_and_variance_1(rng, i):
    layer = weight_norm_layers()[i]
    x = backend.asarray((2 + rng.standard_normal((5, 6, 7, 3))).astype("float32"))
    y = host(layer.initialise(x))
    assert y.dtype == layer.gain.dtype == "float32"
    numpy.testing.assert_allclose(host(layer(x)), y, atol=1e-4)
    numpy.testing.assert_allclose(y.mean(axis=(0, 1, 2)), 0, atol=1e-4)
    numpy.testing.assert_allclose(y.var(axis=(0, 1, 2)), 1, rtol=1e-4)
    layer(x).sum().backward()
    assert all(x.grad is not None for x in layer.parameters().values())


def test_normalised_weights_without_a_direction_are_refused(rng):
    with pytest.raises(ValueError, match="no direction"):
        WeightNormDense(3, 4, rng, init=zeros)
