"""Adam against its equations, and the buffer that it works on."""

import numpy
import pytest

import autograd.numpy as np
from autograd import Tensor, backend
from scratchgen.optim import Adam, FlatParameters
from scratchgen.optim import adam as adam_module


def tensors(rng, *shapes, dtype="float64"):
    return [Tensor(backend.asarray(rng.standard_normal(s).astype(dtype))) for s in shapes]


def values(parameters):
    return [backend.to_numpy(x.data).copy() for x in parameters]


@pytest.mark.parametrize("block", [3, 2**14])
def test_adam_follows_the_equations_of_the_paper(rng, block, monkeypatch):
    monkeypatch.setattr(adam_module, "_BLOCK", block)
    parameters = tensors(rng, (2, 3), (4,), ())
    theta = values(parameters)
    optimiser = Adam(parameters, learning_rate=0.1, beta1=0.8, beta2=0.9, epsilon=1e-3)
    m = [numpy.zeros_like(x) for x in theta]
    v = [numpy.zeros_like(x) for x in theta]
    for t in range(1, 6):
        gradients = [rng.standard_normal(x.shape) for x in theta]
        for i, g in enumerate(gradients):
            parameters[i].grad = backend.asarray(g)
            m[i] = 0.8 * m[i] + 0.2 * g
            v[i] = 0.9 * v[i] + 0.1 * g**2
            m_hat, v_hat = m[i] / (1 - 0.8**t), v[i] / (1 - 0.9**t)
            theta[i] = theta[i] - 0.1 * m_hat / (numpy.sqrt(v_hat) + 1e-3)
        optimiser.step()
        for found, expected in zip(values(parameters), theta, strict=True):
            numpy.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_the_first_step_is_the_learning_rate_whatever_the_scale_of_the_gradient(rng):
    parameters = tensors(rng, (4,))
    before = values(parameters)[0]
    parameters[0].grad = backend.asarray(numpy.array([1e-3, -1.0, 1e3, -1e6]))
    Adam(parameters, learning_rate=0.01).step()
    steps = values(parameters)[0] - before
    numpy.testing.assert_allclose(steps, [-0.01, 0.01, -0.01, 0.01], rtol=1e-4)


def test_adam_minimises_a_quadratic(rng):
    x, y = tensors(rng, (3,), (2, 2))
    optimiser = Adam([x, y], learning_rate=0.1)
    for _ in range(300):
        (np.sum((x - 1.0) ** 2) + np.sum((y + 2.0) ** 2)).backward()
        optimiser.step()
    assert abs(values([x])[0] - 1).max() < 1e-3 and abs(values([y])[0] + 2).max() < 1e-3


def test_a_step_clears_gradients_and_a_parameter_without_one_stays(rng):
    x, y = tensors(rng, (3,), (2,))
    before = values([y])[0]
    optimiser = Adam([x, y])
    np.sum(x).backward()
    optimiser.step()
    assert x.grad is None and y.grad is None
    numpy.testing.assert_array_equal(values([y])[0], before)


def test_float32_stays_float32(rng):
    (x,) = tensors(rng, (3,), dtype="float32")
    optimiser = Adam([x])
    np.sum(x * x).backward()
    optimiser.step()
    assert x.dtype == "float32" and optimiser.mean.dtype == optimiser.square.dtype == "float32"


def test_a_backward_pass_after_the_step_that_changed_its_weights_is_an_error(rng):
    x, _ = parameters = tensors(rng, (3,), (3,))
    optimiser = Adam(parameters)
    late = np.sum(x * x * x)
    np.sum(x).backward()
    optimiser.step()
    with pytest.raises(RuntimeError, match="changed in place"):
        late.backward()


def test_parameters_become_views_of_one_buffer_with_their_values_kept(rng):
    parameters = tensors(rng, (2, 3), (4,))
    before = values(parameters)
    flat = FlatParameters(parameters)
    for found, expected in zip(values(parameters), before, strict=True):
        numpy.testing.assert_array_equal(found, expected)
    flat.data *= 2
    for found, expected in zip(values(parameters), before, strict=True):
        numpy.testing.assert_array_equal(found, 2 * expected)


def test_what_cannot_be_one_buffer_is_refused(rng):
    with pytest.raises(ValueError, match="no parameters"):
        FlatParameters([])
    mixed = tensors(rng, (2,)) + tensors(rng, (2,), dtype="float32")
    with pytest.raises(ValueError, match="several dtypes"):
        FlatParameters(mixed)
