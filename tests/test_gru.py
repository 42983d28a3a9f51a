"""The GRU: the fused operation against its definition, itself, and PyTorch."""

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd.numpy as np
from autograd import Tensor, backend, core, grad, no_grad
from autograd.nn.gru import gru, gru_cell, gru_definition
from autograd.test_util import check_grads
from tests.recurrent import arrays, assert_equals_its_definition, gradients, host, loss, sizes


def arguments(n, steps, channels, hidden, seed=0, dtype=float, scale=1.0):
    """x, h0, w_x, w_h, b, b_h on the current backend."""
    shapes = [
        (n, steps, channels),
        (n, hidden),
        (channels, 3 * hidden),
        (hidden, 3 * hidden),
        (3 * hidden,),
        (hidden,),
    ]
    return arrays(shapes, seed, dtype, scale)


@given(sizes, st.integers(0, 99), st.sampled_from([0.3, 1.0, 5.0]))
def test_sequence_equals_its_definition_with_all_gradients(size, seed, scale):
    args = arguments(*size, seed=seed, scale=scale)
    assert_equals_its_definition(gru, gru_definition, args)


@given(sizes)
def test_cell_applied_step_by_step_equals_the_sequence(size):
    x, h, *parameters = arguments(*size)
    hs, last = gru(x, h, *parameters)
    for t in range(size[1]):
        h = gru_cell(x[:, t], h, *parameters)
        numpy.testing.assert_allclose(host(hs[:, t]), host(h), rtol=1e-12, atol=1e-13)
    numpy.testing.assert_array_equal(host(last), host(hs[:, -1]))


@given(st.integers(1, 5))
def test_two_halves_equal_the_whole_sequence(cut):
    x, h0, *parameters = arguments(3, 6, 2, 4)
    whole, end = gru(x, h0, *parameters)
    first, h = gru(x[:, :cut], h0, *parameters)
    second, same = gru(x[:, cut:], h, *parameters)
    numpy.testing.assert_allclose(
        numpy.concatenate([host(first), host(second)], 1), host(whole), rtol=1e-12
    )
    numpy.testing.assert_allclose(host(same), host(end), rtol=1e-12)


@pytest.mark.parametrize("n", [1, 3])
def test_first_and_second_derivatives_agree_with_the_oracles(n):
    args = arguments(n, 3, 2, 2)
    check_grads(gru, order=2)(*args)


@pytest.mark.parametrize("wanted", range(6))
def test_each_gradient_alone_is_the_same_as_with_the_others(wanted):
    args = arguments(17, 4, 3, 2)
    _, together = gradients(gru, args)
    weights = numpy.random.default_rng(1)
    outputs = gru(*args)
    weights = [backend.asarray(weights.normal(size=y.shape)) for y in outputs]

    def of_one(value):
        new = list(args)
        new[wanted] = value
        return loss(gru(*new), weights)

    numpy.testing.assert_allclose(
        host(grad(of_one)(args[wanted])), together[wanted], rtol=1e-12, atol=1e-13
    )


@pytest.mark.parametrize("used", range(2))
def test_each_output_alone_gives_the_gradient_of_the_definition(used):
    args = arguments(4, 3, 2, 3)

    def of_weights(function):
        return grad(lambda w_h: np.sum(function(*args[:3], w_h, *args[4:])[used]))(args[3])

    numpy.testing.assert_allclose(
        host(of_weights(gru)), host(of_weights(gru_definition)), rtol=1e-12, atol=1e-14
    )


def test_a_gradient_may_be_asked_for_twice():
    variables = [Tensor(a) for a in arguments(18, 3, 2, 2)]
    y = np.sum(gru(*variables)[0] ** 2)
    y.backward(retain_graph=True)
    once = [host(v.grad).copy() for v in variables]
    y.backward()
    for v, g in zip(variables, once, strict=True):
        numpy.testing.assert_allclose(host(v.grad), 2 * g, rtol=1e-14)


def test_float32_stays_float32_and_is_close_to_float64():
    args = arguments(20, 5, 3, 4)
    outputs, found = gradients(gru, [a.astype("float32") for a in args])
    expected_outputs, expected = gradients(gru, args)
    for a, b in zip(outputs + found, expected_outputs + expected, strict=True):
        assert a.dtype == "float32"
        numpy.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_saturated_gates_give_finite_values_and_gradients():
    outputs, found = gradients(gru, arguments(2, 3, 2, 2, dtype="float32", scale=1e3))
    assert all(numpy.isfinite(a).all() for a in outputs + found)


def test_arguments_in_any_layout_of_memory_give_the_same():
    args = [host(a) for a in arguments(18, 4, 3, 5)]
    expected = gradients(gru, [backend.asarray(a) for a in args])
    for change in (
        numpy.asfortranarray,
        lambda a: numpy.repeat(a, 2, -1)[..., ::2],
        lambda a: numpy.flip(numpy.flip(a).copy()),
    ):
        found = gradients(gru, [backend.asarray(change(a)) for a in args])
        for a, b in zip(found[0] + found[1], expected[0] + expected[1], strict=True):
            numpy.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_only_the_gates_and_the_candidates_sums_are_kept_besides_arguments_and_output():
    n, steps, channels, hidden = 4, 6, 3, 5
    variables = [Tensor(a) for a in arguments(n, steps, channels, hidden)]
    hs, _ = gru(*variables)
    known = [v.data for v in variables]
    kept = [k.data if isinstance(k, Tensor) else k for k in core.captured(hs.node.parents[0])]
    extra = [k for k in kept if not any(k is a for a in [*known, hs.data])]
    assert sorted(k.shape for k in extra) == [
        (3, steps, n, hidden),
        (steps, n, hidden),
    ]


def test_without_gradients_the_values_are_the_same():
    args = arguments(19, 5, 3, 4)
    expected = [host(y) for y in gru(*map(Tensor, args))]
    with no_grad():
        unrecorded = gru(*map(Tensor, args))
    for outputs in (gru(*args), unrecorded):
        for a, b in zip(outputs, expected, strict=True):
            assert not isinstance(a, Tensor)
            numpy.testing.assert_array_equal(host(a), b)


@pytest.mark.parametrize(
    ("changed", "shape", "message"),
    [
        (1, (2, 5), r"gru: h \(batch, hidden\) has shape \(2, 5\), expected \(2, 4\)"),
        (2, (2, 12), r"gru: w_x \(channels, 3 hidden\) has shape \(2, 12\), expected \(3, 12\)"),
        (3, (4, 16), r"gru: w_h \(hidden, 3 hidden\) has shape \(4, 16\), expected \(4, 12\)"),
        (4, (4,), r"gru: b \(3 hidden,\) has shape \(4,\), expected \(12,\) for x \(2, 6, 3\)"),
        (5, (12,), r"gru: b_h \(hidden,\) has shape \(12,\), expected \(4,\)"),
        (0, (2, 3), r"gru: expected x \(batch, time, channels\) and .*, got \(2, 3\)"),
        (0, (2, 0, 3), r"gru: x \(2, 0, 3\) holds nothing to read"),
    ],
)
def test_wrong_shapes_are_named_in_one_line(changed, shape, message):
    args = arguments(2, 6, 3, 4)
    args[changed] = backend.asarray(numpy.zeros(shape))
    with pytest.raises(ValueError, match=message) as caught:
        gru(*args)
    assert "\n" not in str(caught.value)


@pytest.mark.peers
@given(sizes, st.integers(0, 99))
def test_sequence_agrees_with_torch_on_outputs_and_all_gradients(size, seed):
    torch = pytest.importorskip("torch")
    args = [host(a) for a in arguments(*size, seed=seed)]
    x, h0, w_x, w_h, b, b_h = theirs = [torch.tensor(a, requires_grad=True) for a in args]
    layer = torch.nn.GRU(*size[2:], batch_first=True).double()
    weights = {"weight_ih_l0": w_x.T, "weight_hh_l0": w_h.T, "bias_ih_l0": b}
    weights["bias_hh_l0"] = torch.cat([torch.zeros(2 * size[3]), b_h])
    hs, h = torch.func.functional_call(layer, weights, (x, h0[None]))
    expected = [hs, h[0]]
    rng = numpy.random.default_rng(1)
    sum((y * y * torch.tensor(rng.normal(size=y.shape))).sum() for y in expected).backward()
    outputs, found = gradients(gru, [backend.asarray(a) for a in args])
    expected = [y.detach() for y in expected] + [v.grad for v in theirs]
    for a, other in zip(outputs + found, expected, strict=True):
        value = other.numpy()
        numpy.testing.assert_allclose(a, value, rtol=1e-10, atol=1e-10 * max(1.0, abs(value).max()))
