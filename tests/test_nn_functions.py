"""Activations, losses, embeddings and dropout: exact values, extremes, wrong inputs."""

import math
import sys

import numpy
import pytest
import scipy.special
from hypothesis import given
from hypothesis import strategies as st

import autograd.numpy as np
from autograd import Tensor, backend, core, grad, nn
from autograd.backend import threads
from autograd.nn.dropout import masked
from autograd.nn.embedding import sum_by_index
from autograd.test_util import check_grads

on_numpy_only = pytest.mark.skipif("config.getoption('--backend') != 'numpy'")


def array(values, dtype=float):
    return backend.asarray(numpy.array(values, dtype))


def host(x):
    return backend.to_numpy(x.data if isinstance(x, Tensor) else x)


def gradient(f, x):
    return host(grad(lambda x: np.sum(f(x)))(array(x)))


# -------------------------------------------------------------------------------- activations


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigmoid_keeps_its_relative_accuracy_and_does_not_overflow(dtype):
    x = numpy.linspace(-85, 85, 1001).astype(dtype)
    y = host(nn.sigmoid(array(x, dtype)))
    assert y.dtype == dtype
    numpy.testing.assert_allclose(y, scipy.special.expit(x), rtol=4 * numpy.finfo(dtype).eps)
    assert host(nn.sigmoid(array([-1e4, 1e4], dtype))).tolist() == [0, 1]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softplus_is_linear_far_to_the_right_and_exponential_far_to_the_left(dtype):
    y = host(nn.softplus(array([-1e4, -30, 0, 1e4], dtype)))
    numpy.testing.assert_allclose(y, [0, math.exp(-30), math.log(2), 1e4], rtol=1e-6)
    assert gradient(nn.softplus, [-1e4, 0.0, 1e4]).tolist() == [0, 0.5, 1]


def test_gelu_is_accurate_in_its_left_tail_and_close_to_its_tanh_form():
    x = numpy.linspace(-30, 5, 101)
    y = host(nn.gelu(array(x)))
    numpy.testing.assert_allclose(y, x * scipy.special.ndtr(x), rtol=1e-14)
    numpy.testing.assert_allclose(host(nn.gelu(array(x), "tanh")), y, atol=5e-4)


def test_gradients_at_the_kinks_are_those_documented():
    assert gradient(nn.relu, [0.0, -0.0]).tolist() == [0, 0]
    assert gradient(lambda x: nn.leaky_relu(x, 0.2), [0.0]).tolist() == [0.2]
    assert gradient(lambda x: nn.elu(x, 2.0), [0.0]).tolist() == [2]


@pytest.mark.parametrize(
    "f",
    [
        lambda x: nn.leaky_relu(x, 0.0),
        lambda x: nn.leaky_relu(x, 0.3),
        lambda x: nn.leaky_relu(x, 1.0),
        lambda x: nn.elu(x, 0.0),
        lambda x: nn.elu(x, 0.4),
    ],
    ids=["leaky 0", "leaky 0.3", "leaky 1", "elu 0", "elu 0.4"],
)
def test_rectifiers_with_other_slopes_have_right_gradients(f):
    check_grads(f, order=2)(array([-2.0, -0.3, 0.4, 3.0]))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("slope", [None, 0.2, 1.0])
def test_large_rectifiers_and_their_gradients_are_those_of_their_parts(dtype, slope, monkeypatch):
    """Bit for bit, with 0, −0, ∞ and NaN, and in any layout."""
    monkeypatch.setattr(threads, "STREAM", 2**21)  # one example at a time

    def f(x):
        return nn.relu(x) if slope is None else nn.leaky_relu(x, slope)

    rng = numpy.random.default_rng(0)
    values = rng.normal(size=(5, 2**17)).astype(dtype)
    values[:, :6] = [0.0, -0.0, math.inf, -math.inf, math.nan, -1.0]
    g = rng.normal(size=values.shape).astype(dtype)
    for layout in (lambda x: x, lambda x: numpy.asfortranarray(x.T).T):
        large = Tensor(backend.asarray(layout(values)))
        y = f(large)
        y.backward(backend.asarray(g))
        assert y.dtype == large.grad.dtype == dtype
        for i in range(0, 5, 2):
            small = Tensor(backend.asarray(values[i]))
            part = f(small)
            part.backward(backend.asarray(g[i]))
            assert host(y)[i].tobytes() == host(part).tobytes()
            assert host(large.grad)[i].tobytes() == host(small.grad).tobytes()


def test_rectifiers_keep_their_output_for_the_gradient_and_not_their_input():
    for f in (nn.relu, nn.leaky_relu, nn.elu, nn.sigmoid, nn.softmax, nn.log_softmax):
        x = Tensor(array([[0.5, -1.0]]))
        y = f(x)
        kept = [k.data if isinstance(k, Tensor) else k for k in core.captured(y.node)]
        assert len(kept) == 1 and kept[0] is y.data, f.__name__


@pytest.mark.parametrize("classes", [1, 3, 17, 32, 33, 100])
@pytest.mark.parametrize("scale", [1.0, 1e3])
def test_softmax_equals_its_definition_for_short_and_long_rows_and_large_logits(classes, scale):
    x = scale * numpy.random.default_rng(classes).normal(size=(2, 4, classes))
    for axis in (-1, 2, 0, 1):
        p = scipy.special.softmax(x, axis)
        numpy.testing.assert_allclose(host(nn.softmax(array(x), axis)), p, rtol=1e-12)
        y = host(nn.log_softmax(array(x), axis))
        numpy.testing.assert_allclose(y, scipy.special.log_softmax(x, axis), rtol=1e-12, atol=1e-15)


def test_softmax_gives_no_probability_to_minus_infinity():
    x = array([[-math.inf, 0.0, -math.inf, 0.0]])
    assert host(nn.softmax(x)).tolist() == [[0, 0.5, 0, 0.5]]
    g = gradient(lambda x: nn.softmax(x)[:, 1], [[-math.inf, 0.0, -math.inf, 0.0]])
    assert g.tolist() == [[0, 0.25, 0, -0.25]]


def test_log_softmax_is_accurate_where_a_probability_is_almost_one():
    y = host(nn.log_softmax(array([[20.0, 0.0]], "float32")))
    numpy.testing.assert_allclose(y[0, 0], -math.log1p(math.exp(-20)), atol=1e-8)


# ------------------------------------------------------------------------------------- losses


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softmax_cross_entropy_of_extreme_logits_is_finite_and_right(dtype):
    x = array([[1e4, -1e4, 0], [1e4, -1e4, 0], [-1e4, -1e4, -1e4], [1e4, 1e4, -1e4]], dtype)
    labels = array([0, 1, 2, 0], int)
    losses = host(nn.softmax_cross_entropy(x, labels))
    assert losses.dtype == dtype
    numpy.testing.assert_allclose(losses, [0, 2e4, math.log(3), math.log(2)], rtol=1e-6)
    g = host(grad(lambda x: np.sum(nn.softmax_cross_entropy(x, labels)))(x))
    third = 1 / 3
    expected = [[0, 0, 0], [1, -1, 0], [third, third, third - 1], [-0.5, 0.5, 0]]
    numpy.testing.assert_allclose(g, expected, rtol=1e-6)


@given(st.integers(0, 99), st.floats(0.1, 80), st.sampled_from([(5,), (2, 3), ()]))
def test_softmax_cross_entropy_is_minus_the_log_softmax_at_the_label(seed, scale, shape):
    rng = numpy.random.default_rng(seed)
    x = scale * rng.normal(size=(*shape, 6))
    labels = rng.integers(0, 6, shape)
    log_p = scipy.special.log_softmax(x, -1)
    expected = -numpy.take_along_axis(log_p, numpy.asarray(labels)[..., None], -1)[..., 0]
    for dtype in ("uint8", "int32", "int64"):
        losses = host(nn.softmax_cross_entropy(array(x), array(labels, dtype)))
        numpy.testing.assert_allclose(losses, expected, rtol=1e-12, atol=1e-14)
        assert (losses >= 0).all()


def test_softmax_cross_entropy_is_never_negative_in_float32():
    x = numpy.random.default_rng(0).uniform(-30, 30, (5000, 8)).astype("float32")
    losses = host(nn.softmax_cross_entropy(array(x, "float32"), array(x.argmax(-1), int)))
    assert losses.min() >= 0


def test_softmax_cross_entropy_keeps_the_exponentials_and_not_the_logits():
    x = Tensor(array(numpy.zeros((5, 7))))
    losses = nn.softmax_cross_entropy(x, array([0, 1, 2, 3, 4], int))
    kept = core.captured(losses.node)
    assert not any(k is x or k is x.data for k in kept)
    assert sorted(k.shape for k in kept) == [(5,), (5,), (5, 7)]  # totals, labels, exponentials


def test_softmax_cross_entropy_has_right_derivatives_of_third_order():
    labels = array([2, 0], int)
    x = array([[0.3, -0.2, 0.5], [1.0, 0.1, -0.4]])

    def slope(x):  # of the losses' cubes, so that all orders mix
        return grad(lambda x: np.sum(nn.softmax_cross_entropy(x, labels) ** 3))(x)

    check_grads(slope, order=2)(x)


def test_softmax_cross_entropy_gradient_of_a_transposed_gradient():
    x = Tensor(array(numpy.ones((2, 3, 4))))
    labels = array([[0, 1, 2], [3, 0, 1]], int)
    y = np.transpose(nn.softmax_cross_entropy(x, labels))
    g = numpy.arange(6.0).reshape(3, 2)
    np.sum(y * array(g)).backward()
    one_hot = numpy.eye(4)[host(labels)]
    numpy.testing.assert_allclose(host(x.grad), g.T[..., None] * (0.25 - one_hot), rtol=1e-14)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_large_softmax_cross_entropy_and_its_gradient_are_those_of_the_definition(dtype):
    """So large that cores share it, some rows at a time; logits that overflow are among them."""
    rng = numpy.random.default_rng(0)
    x = rng.standard_normal((40, 61, 300)).astype(dtype)
    x[3] *= 1e4
    labels, g = rng.integers(300, size=(40, 61)), rng.standard_normal((40, 61)).astype(dtype)
    logits = Tensor(array(x, dtype))
    losses = nn.softmax_cross_entropy(logits, array(labels, int))
    losses.backward(array(g, dtype))
    log_p = scipy.special.log_softmax(x.astype(float), -1)
    chosen = numpy.eye(300)[labels]
    eps = 32 * numpy.finfo(dtype).eps
    numpy.testing.assert_allclose(host(losses), -(log_p * chosen).sum(-1), rtol=eps, atol=eps)
    expected = g[..., None] * (numpy.exp(log_p) - chosen)
    numpy.testing.assert_allclose(host(logits.grad), expected, rtol=0, atol=2 * eps)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigmoid_cross_entropy_of_extreme_logits_is_finite_and_right(dtype):
    x = array([1e4, 1e4, -1e4, -1e4, 0], dtype)
    targets = array([1, 0, 1, 0, 0.25], dtype)
    losses = host(nn.sigmoid_cross_entropy(x, targets))
    assert losses.dtype == dtype
    numpy.testing.assert_allclose(losses, [0, 1e4, 1e4, 0, math.log(2)], rtol=1e-6)
    g = host(grad(lambda x: np.sum(nn.sigmoid_cross_entropy(x, targets)))(x))
    assert g.tolist() == [0, 1, -1, 0, 0.25]


def test_sigmoid_cross_entropy_keeps_small_losses_in_float32():
    x = array([30.0, -30.0], "float32")
    losses = host(nn.sigmoid_cross_entropy(x, array([1, 0], "float32")))
    numpy.testing.assert_allclose(losses, math.exp(-30), rtol=1e-6)


@pytest.mark.parametrize("kind", ["bool", "uint8", "int64"])
def test_sigmoid_cross_entropy_takes_binary_data_as_they_are(kind):
    x = array([[-1.0, 2.0], [0.5, 3.0]], "float32")
    losses = nn.sigmoid_cross_entropy(x, array([0, 1], kind))
    assert losses.dtype == "float32"
    same = nn.sigmoid_cross_entropy(x, array([[0, 1], [0, 1]], "float32"))
    numpy.testing.assert_array_equal(host(losses), host(same))


# --------------------------------------------------------------------------------- embeddings


def test_one_hot_codes():
    codes = nn.one_hot(array([[2, 0]], int), 3, "float32")
    assert codes.dtype == "float32"
    assert host(codes).tolist() == [[[0, 0, 1], [1, 0, 0]]]


def test_embedding_adds_up_the_gradients_of_repeated_indices():
    table = Tensor(array(numpy.zeros((4, 2))))
    rows = nn.embedding(table, array([[1, 3], [1, 1]], int))
    assert rows.shape == (2, 2, 2)
    rows.backward(array([[[1, 10], [2, 20]], [[3, 30], [4, 40]]]))
    assert host(table.grad).tolist() == [[0, 0], [8, 80], [0, 0], [2, 20]]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_embedding_gradient_equals_that_of_the_product_with_one_hot_codes(dtype, rng):
    indices = array(rng.integers(0, 9, (40, 5)), int)
    table, g = array(rng.normal(size=(9, 6)), dtype), array(rng.normal(size=(40, 5, 6)), dtype)

    def by_look_up(table):
        return np.sum(nn.embedding(table, indices) ** 2 * g)

    def by_product(table):
        return np.sum((nn.one_hot(indices, 9, dtype) @ table) ** 2 * g)

    found, expected = grad(by_look_up)(table), grad(by_product)(table)
    assert found.dtype == dtype
    tolerance = 100 * numpy.finfo(dtype).eps
    numpy.testing.assert_allclose(host(found), host(expected), rtol=tolerance, atol=tolerance)


def test_sums_by_index_are_the_same_bits_every_time(rng):
    x, indices = array(rng.normal(size=(3000, 4)), "float32"), array(rng.integers(0, 3, 3000), int)
    first = host(sum_by_index(x, indices, 3))
    for _ in range(3):
        numpy.testing.assert_array_equal(host(sum_by_index(x, indices, 3)), first)


def test_sums_by_index_in_pieces_are_the_same(rng, monkeypatch):
    # float16 takes the product with one-hot codes on every backend
    x, indices = array(rng.integers(0, 9, (50, 4)), "float16"), array(rng.integers(0, 7, 50), int)
    whole = host(sum_by_index(x, indices, 7))
    monkeypatch.setattr(sys.modules["autograd.nn.embedding"], "_LARGEST_ONE_HOT", 7 * 8)
    numpy.testing.assert_array_equal(host(sum_by_index(x, indices, 7)), whole)
    expected = numpy.zeros((7, 4))
    numpy.add.at(expected, host(indices), host(x))
    numpy.testing.assert_array_equal(whole, expected)


# ------------------------------------------------------------------------------------ dropout


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_expectation_and_drops_at_its_rate(rate):
    x = array(numpy.ones((200, 500)), "float32")
    y = host(nn.dropout(x, rate, backend.default_rng(0)))
    assert y.dtype == "float32"
    assert numpy.unique(y).tolist() == [0, numpy.float32(1 / (1 - rate))]
    assert (y == 0).mean() == pytest.approx(rate, abs=0.005)
    assert y.mean() == pytest.approx(1, abs=0.02)


def test_dropout_is_determined_by_the_seed_in_every_dtype():
    x = numpy.ones((3, 50))
    draws = [
        host(nn.dropout(array(x, dtype), 0.5, backend.default_rng(seed)))
        for seed, dtype in [(1, "float64"), (1, "float32"), (2, "float64")]
    ]
    numpy.testing.assert_array_equal(draws[0], draws[1])
    assert (draws[0] != draws[2]).any()


def test_dropout_of_rate_zero_is_the_identity_and_draws_nothing():
    rng, x = backend.default_rng(0), array([1.0, 2.0])
    assert nn.dropout(x, 0, rng) is x
    numpy.testing.assert_array_equal(
        host(rng.random((3,))), host(backend.default_rng(0).random((3,)))
    )


def test_dropout_gradient_passes_where_values_passed_and_keeps_only_the_mask():
    x = Tensor(array(numpy.ones((4, 25)), "float32"))
    y = nn.dropout(x, 0.4, backend.default_rng(3))
    assert [k.dtype for k in core.captured(y.node)] == ["bool"]
    np.sum(y).backward()
    numpy.testing.assert_array_equal(host(x.grad), host(y))  # as x is 1
    assert x.grad.dtype == "float32"


def test_masked_makes_no_nan_of_a_finite_value():
    assert host(masked(array([1.0, 2.0]), array([True, False], bool), 2.0)).tolist() == [2, 0]


# ------------------------------------------------------------------------------- wrong inputs


@pytest.mark.parametrize(
    ("error", "message", "wrong"),
    [
        (
            TypeError,
            "softmax_cross_entropy: labels are an array of integers, not float64",
            lambda: nn.softmax_cross_entropy(array([[1.0, 2.0]]), array([1.0])),
        ),
        (
            TypeError,
            "not list; use .astype",
            lambda: nn.softmax_cross_entropy(array([[1.0, 2.0]]), [1]),
        ),
        (
            ValueError,
            r"softmax_cross_entropy: labels \(2,\) do not fit logits \(3, 2\)",
            lambda: nn.softmax_cross_entropy(array(numpy.zeros((3, 2))), array([0, 1], int)),
        ),
        (
            ValueError,
            r"sigmoid_cross_entropy: targets \(3,\) do not fit logits \(3, 1\)",
            lambda: nn.sigmoid_cross_entropy(array(numpy.zeros((3, 1))), array([0, 1, 1], float)),
        ),
        (
            TypeError,
            "embedding: labels are an array of integers, not float64",
            lambda: nn.embedding(array(numpy.zeros((3, 2))), array([0.0])),
        ),
        (TypeError, "one_hot: labels are", lambda: nn.one_hot(array([0.0]), 2)),
        (
            ValueError,
            r"dropout: the rate must lie in \[0, 1\), not 1",
            lambda: nn.dropout(array([1.0]), 1, backend.default_rng(0)),
        ),
        (
            ValueError,
            r"dropout: the rate must lie in \[0, 1\), not -0.1",
            lambda: nn.dropout(array([1.0]), -0.1, backend.default_rng(0)),
        ),
        (
            ValueError,
            "gelu: approximate is 'none' or 'tanh', not 'fast'",
            lambda: nn.gelu(array([1.0]), "fast"),
        ),
    ],
)
def test_wrong_inputs_say_what_is_wrong_in_one_line(error, message, wrong):
    with pytest.raises(error, match=message) as caught:
        wrong()
    assert "\n" not in str(caught.value)


@on_numpy_only
@pytest.mark.parametrize("label", [-1, 3])
def test_labels_outside_of_the_classes_are_refused(label):
    labels = array([0, label], int)
    message = f"label {label} is outside of 0 to 2"
    for call in (
        lambda: nn.softmax_cross_entropy(array(numpy.zeros((2, 3))), labels),
        lambda: nn.embedding(array(numpy.zeros((3, 2))), labels),
        lambda: nn.one_hot(labels, 3),
    ):
        with pytest.raises(ValueError, match=message):
            call()


# -------------------------------------------------------------------------------------- peers


@pytest.mark.peers
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (nn.sigmoid, "sigmoid"),
        (nn.softplus, "softplus"),
        (nn.relu, "relu"),
        (nn.leaky_relu, "leaky_relu"),
        (nn.elu, "elu"),
        (nn.gelu, "gelu"),
        (lambda x: nn.gelu(x, "tanh"), "gelu tanh"),
        (nn.softmax, "softmax"),
        (nn.log_softmax, "log_softmax"),
    ],
)
def test_activations_agree_with_torch(ours, theirs, rng):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    f = {
        "softmax": lambda x: functional.softmax(x, -1),
        "log_softmax": lambda x: functional.log_softmax(x, -1),
        "gelu tanh": lambda x: functional.gelu(x, approximate="tanh"),
        "sigmoid": torch.sigmoid,
    }.get(theirs) or getattr(functional, theirs)
    x, g = 3 * rng.normal(size=(4, 5, 6)), rng.normal(size=(4, 5, 6))
    mine, other = Tensor(array(x)), torch.tensor(x, requires_grad=True)
    y, expected = ours(mine), f(other)
    y.backward(array(g))
    expected.backward(torch.tensor(g))
    numpy.testing.assert_allclose(host(y), expected.detach().numpy(), rtol=1e-10, atol=1e-12)
    numpy.testing.assert_allclose(host(mine.grad), other.grad.numpy(), rtol=1e-10, atol=1e-12)


@pytest.mark.peers
def test_losses_agree_with_torch(rng):
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x, labels = 3 * rng.normal(size=(7, 5)), rng.integers(0, 5, 7)
    targets = rng.uniform(size=(7, 5))
    cases = [
        (
            lambda x: nn.softmax_cross_entropy(x, array(labels, int)),
            lambda x: functional.cross_entropy(x, torch.tensor(labels), reduction="none"),
        ),
        (
            lambda x: nn.sigmoid_cross_entropy(x, array(targets)),
            lambda x: functional.binary_cross_entropy_with_logits(
                x, torch.tensor(targets), reduction="none"
            ),
        ),
    ]
    for ours, theirs in cases:
        mine, other = Tensor(array(x)), torch.tensor(x, requires_grad=True)
        y, expected = ours(mine), theirs(other)
        numpy.testing.assert_allclose(host(y), expected.detach().numpy(), rtol=1e-10)
        np.sum(y * y).backward()
        (expected * expected).sum().backward()
        numpy.testing.assert_allclose(host(mine.grad), other.grad.numpy(), rtol=1e-10, atol=1e-12)
