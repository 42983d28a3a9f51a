"""Batch normalisation against its definition and PyTorch's: values, statistics, gradients."""

import numpy
import pytest

import autograd.numpy as np
from autograd import Tensor, backend, core, grad
from autograd.backend import threads
from autograd.nn import batch_norm, batch_norm_with_statistics
from autograd.replay import recorded

EPSILON = 1e-3


def array(x):
    return backend.asarray(numpy.asarray(x))


def host(x):
    return backend.to_numpy(x.data if isinstance(x, Tensor) else x)


def definition(x, gain, bias):
    over = tuple(range(x.ndim - 1))
    centred = x - np.mean(x, axis=over)
    variance = np.mean(centred * centred, axis=over)
    return gain * centred / np.sqrt(variance + EPSILON) + bias


def drawn(shape, dtype="float64", seed=0):
    """x, far from 0, gain, bias, and a gradient of the result."""
    rng = numpy.random.default_rng(seed)
    c = shape[-1:]
    found = 5 + 2 * rng.normal(size=shape), rng.normal(size=c), rng.normal(size=c)
    return [x.astype(dtype) for x in (*found, rng.normal(size=shape))]


LAYOUTS = {
    "in order": lambda x: x,
    "every other row": lambda x: numpy.repeat(x, 2, axis=1)[:, ::2],
    "channels first in memory": lambda x: numpy.moveaxis(numpy.moveaxis(x, -1, 1).copy(), 1, -1),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(64, 16, 16, 64), (3, 1001, 7), (6, 1, 5), (2, 1, 2)])
def test_values_statistics_and_gradients_are_the_definitions(layout, dtype, shape, monkeypatch):
    for name in ("CACHE", "STREAM"):  # a few rows at a time, the large ones on all cores
        monkeypatch.setattr(threads, name, 2**14)
    x, gain, bias, g = drawn(shape, dtype)
    ours = [Tensor(array(v)) for v in (LAYOUTS[layout](x), gain, bias)]
    exact = [Tensor(array(v.astype("float64"))) for v in (x, gain, bias)]
    y, mean, variance = batch_norm_with_statistics(*ours, EPSILON)
    expected = definition(*exact)
    y.backward(array(LAYOUTS[layout](g)))
    expected.backward(array(g.astype("float64")))
    rows = x.astype("float64").reshape(-1, shape[-1])
    tolerance = {"rtol": 2e-4, "atol": 2e-5} if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-9}
    for found, right in [(y, expected), (mean, rows.mean(0)), (variance, rows.var(0))]:
        assert found.dtype == dtype
        numpy.testing.assert_allclose(host(found), host(right), **tolerance)
    for found, right in zip(ours, exact, strict=True):
        assert found.grad.dtype == dtype
        scale = max(1.0, abs(host(right.grad)).max())
        numpy.testing.assert_allclose(
            host(found.grad) / scale, host(right.grad) / scale, **tolerance
        )


def test_the_statistics_are_constants():
    x, gain, bias, _ = drawn((4, 3))
    _, mean, variance = batch_norm_with_statistics(Tensor(array(x)), array(gain), array(bias))
    assert not isinstance(mean, Tensor) and not isinstance(variance, Tensor)


@pytest.mark.parametrize("of", [0, 1])
def test_gradients_of_second_and_third_order_are_the_definitions(of):
    *args, weights = map(array, drawn((4, 2, 3)))

    def slopes(f, order):
        if order == 0:
            return lambda *args: np.sum(f(*args) ** 3)
        return lambda *args: np.sum(grad(slopes(f, order - 1), of)(*args) ** 2 * weights)

    for order in (1, 2):
        found = grad(slopes(lambda *a: batch_norm(*a, EPSILON), order), of)(*args)
        expected = grad(slopes(definition, order), of)(*args)
        scale = abs(host(expected)).max()
        numpy.testing.assert_allclose(host(found) / scale, host(expected) / scale, atol=1e-9)


def test_kept_for_the_gradient_is_the_input_and_what_there_is_of_each_channel():
    x, gain, bias, _ = drawn((40, 5, 3))
    y = batch_norm(*map(Tensor, map(array, (x, gain, bias))))
    sizes = sorted(core.constant(kept).size for kept in core.captured(y.node))
    assert sizes == [3, 3, 3, x.size]


def test_a_channel_without_variance_has_its_bias_and_a_gradient_that_is_finite():
    x = Tensor(array(numpy.full((6, 2), 3.0)))
    y = batch_norm(x, array([2.0, 2.0]), array([0.5, -1.0]))
    numpy.testing.assert_allclose(host(y), numpy.tile([0.5, -1.0], (6, 1)))
    y.backward(array(numpy.arange(12.0).reshape(6, 2)))
    assert numpy.isfinite(host(x.grad)).all()


def test_a_recorded_step_with_it_is_the_step():
    x, gain, bias, g = map(array, drawn((4, 5, 3)))
    parameters = Tensor(gain), Tensor(bias)

    def step(x):
        y, mean, variance = batch_norm_with_statistics(x, *parameters)
        np.sum(y * y * g).backward()
        return y, mean, variance

    def taken(step, x):
        found = [*map(host, step(x)), *(host(p.grad) for p in parameters)]
        for p in parameters:
            p.grad = None
        return found

    replayed = recorded(step)
    for i in range(4):
        for expected, found in zip(taken(step, x + i), taken(replayed, x + i), strict=True):
            numpy.testing.assert_array_equal(found, expected)
    assert backend.current() != "numpy" or "batch_norm" in replayed.source


@pytest.mark.peers
@pytest.mark.parametrize("shape", [(50, 6), (8, 9, 7, 16)])
def test_values_statistics_and_gradients_are_those_of_pytorch(shape):
    torch = pytest.importorskip("torch")
    x, gain, bias, g = drawn(shape)
    ours = [Tensor(array(v)) for v in (x, gain, bias)]
    y, mean, variance = batch_norm_with_statistics(*ours, EPSILON)
    y.backward(array(g))
    first = torch.from_numpy(numpy.moveaxis(x, -1, 1).copy()).requires_grad_()
    others = [torch.from_numpy(v).requires_grad_() for v in (gain, bias)]
    averages = torch.zeros(shape[-1]).double(), torch.zeros(shape[-1]).double()
    z = torch.nn.functional.batch_norm(
        first, *averages, *others, training=True, momentum=1.0, eps=EPSILON
    )
    z.backward(torch.from_numpy(numpy.moveaxis(g, -1, 1).copy()))
    n = x.size / shape[-1]
    pairs = [
        (y, numpy.moveaxis(z.detach().numpy(), 1, -1)),
        (mean, averages[0].numpy()),
        (variance, averages[1].numpy() * (n - 1) / n),  # PyTorch's has no bias
        (ours[0].grad, numpy.moveaxis(first.grad.numpy(), 1, -1)),
        *((a.grad, b.grad.numpy()) for a, b in zip(ours[1:], others, strict=True)),
    ]
    for found, expected in pairs:
        numpy.testing.assert_allclose(host(found), expected, rtol=1e-9, atol=1e-10)
