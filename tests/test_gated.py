"""The gated unit against its two factors: values, extremes, gradients, what is kept."""

import numpy
import pytest
import scipy.special

import autograd.numpy as np
from autograd import Tensor, backend, core, grad
from autograd.backend import threads
from autograd.nn import gated, sigmoid


def array(x):
    return backend.asarray(numpy.asarray(x))


def host(x):
    return backend.to_numpy(x.data if isinstance(x, Tensor) else x)


def definition(x):
    half = x.shape[-1] // 2
    return np.tanh(x[..., :half]) * sigmoid(x[..., half:])


LAYOUTS = {
    "in order": lambda x: x,
    "every other row": lambda x: numpy.repeat(x, 2, axis=1)[:, ::2],
    "channels first in memory": lambda x: numpy.moveaxis(numpy.moveaxis(x, -1, 1).copy(), 1, -1),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("room", [threads.STREAM, 2**12], ids=["", "a few rows at a time"])
def test_a_large_one_and_its_gradient_are_the_definitions(layout, dtype, room, monkeypatch):
    monkeypatch.setattr(threads, "STREAM", room)  # and on all cores, for as many numbers
    rng = numpy.random.default_rng(0)
    values = LAYOUTS[layout](rng.normal(size=(3, 1001, 64)).astype(dtype) * 3)
    g = array(rng.normal(size=(3, 1001, 32)).astype(dtype))
    x, z = Tensor(array(values)), Tensor(array(values))
    y, expected = gated(x), definition(z)
    y.backward(g)
    expected.backward(g)
    assert y.dtype == x.grad.dtype == dtype
    atol = 4 * numpy.finfo(dtype).eps
    numpy.testing.assert_allclose(host(y), host(expected), rtol=0, atol=atol)
    numpy.testing.assert_allclose(host(x.grad), host(z.grad), rtol=0, atol=5 * atol)
    numpy.testing.assert_array_equal(host(gated(array(values))), host(y))


def test_gradients_of_second_and_third_order_are_the_definitions():
    rng = numpy.random.default_rng(0)
    x, weights = array(rng.normal(size=(4, 6))), array(rng.normal(size=(4, 6)))

    def slopes(f, order):
        if order == 0:
            return lambda x: np.sum(f(x))
        return lambda x: np.sum(grad(slopes(f, order - 1))(x) * weights)

    for order in (1, 2, 3):
        ours, expected = (host(slopes(f, order)(x)) for f in (gated, definition))
        numpy.testing.assert_allclose(ours, expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_closed_gate_lets_nothing_through_and_an_open_one_all(dtype):
    a = numpy.array([0.5, -0.5, 3.0], dtype)
    for b, gate in ((1e4, 1.0), (0.0, 0.5), (-1e4, 0.0)):
        x = Tensor(array(numpy.concatenate([a, numpy.full(3, b, dtype)])))
        y = gated(x)
        y.backward(array(numpy.ones(3, dtype)))
        numpy.testing.assert_allclose(host(y), numpy.tanh(a) * gate, rtol=1e-6)
        slope = numpy.tanh(a) * gate * (1 - gate)
        numpy.testing.assert_allclose(host(x.grad)[3:], slope, rtol=1e-6)


def test_the_gate_is_as_exact_as_the_rounding_of_one():
    b = numpy.linspace(-40, 40, 201)
    x = numpy.stack([numpy.full(201, 20.0), b], axis=-1)
    y = host(gated(array(x)))[:, 0]
    numpy.testing.assert_allclose(y, scipy.special.expit(b), rtol=0, atol=3e-16)


def test_the_two_factors_are_kept_and_nothing_else():
    x = Tensor(array(numpy.ones((5, 8))))
    y = gated(x)
    kept = core.captured(y.node)
    assert sum(value.size for value in kept) == x.size
    assert all(value is not x and value is not y for value in kept)


@pytest.mark.parametrize("shape", [(4, 3), ()])
def test_what_has_no_two_halves_is_refused_with_its_shape(shape):
    with pytest.raises(ValueError, match=r"^gated: x \(.*even length") as caught:
        gated(Tensor(array(numpy.zeros(shape))))
    assert "\n" not in str(caught.value)


def test_integers_are_refused_with_the_remedy():
    with pytest.raises(TypeError, match=r"gated: x is int64; expected a float type"):
        gated(array(numpy.zeros((2, 4), int)))


@pytest.mark.peers
def test_values_and_gradients_agree_with_pytorch():
    torch = pytest.importorskip("torch")
    rng = numpy.random.default_rng(0)
    values, g = rng.normal(size=(2, 7, 6)) * 3, rng.normal(size=(2, 7, 3))
    x, theirs = Tensor(array(values)), torch.tensor(values, requires_grad=True)
    y = gated(x)
    y.backward(array(g))
    a, b = theirs.chunk(2, dim=-1)
    z = torch.tanh(a) * torch.sigmoid(b)
    z.backward(torch.tensor(g))
    numpy.testing.assert_allclose(host(y), z.detach().numpy(), atol=1e-14)
    numpy.testing.assert_allclose(host(x.grad), theirs.grad.numpy(), atol=1e-14)
