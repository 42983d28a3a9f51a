"""What must hold of every invertible transform, in both directions.

There and back is not enough: the same wrong log-determinant passes it twice. So each direction's is
compared with the determinant of the Jacobian that the engine computes, and the Jacobian itself with
finite differences.
"""

import numpy

import autograd.numpy as np
from autograd import Tensor, backend, jacobian, no_grad
from autograd.test_util import check_grads


def randomised(transform, seed=0, spread=0.5):
    """The transform in float64 with random parameters."""
    transform.astype("float64")
    rng = numpy.random.default_rng(seed)
    for x in transform.parameters().values():
        x[...] = backend.asarray(spread * rng.standard_normal(x.shape))
    return transform


def log_determinants(function, x, context=None):
    """ln |det ∂y/∂x| of each example, from the engine's Jacobian, and y: host arrays.

    ``function(x, context) -> (y, log_det)``; x (N, …), a host array. An example's y must depend on
    that example alone.
    """
    found = []
    for i in range(len(x)):
        one = None if context is None else backend.asarray(context[i : i + 1])

        def flat(v, one=one):
            return function(v.reshape(1, *x.shape[1:]), one)[0].reshape(-1)

        matrix = backend.to_numpy(jacobian(flat)(backend.asarray(x[i].reshape(-1))))
        sign, logdet = numpy.linalg.slogdet(matrix)
        assert sign != 0, "the Jacobian is singular"
        found.append(logdet)
    return numpy.array(found)


def run(function, x, context=None):
    """``function(x, context)``: (y, log_det) as host arrays."""
    with no_grad():
        context = None if context is None else backend.asarray(context)
        y, log_det = function(backend.asarray(x), context)
        return backend.to_numpy(y), backend.to_numpy(log_det)


def assert_log_det_is_the_jacobians(function, x, context=None, atol=1e-8):
    """In float64, for every example. Returns y. ``function``: a ``forward`` or an ``inverse``."""
    y, log_det = run(function, x, context)
    assert log_det.shape == (len(x),) and log_det.dtype == y.dtype == "float64"
    assert numpy.isfinite(y).all() and numpy.isfinite(log_det).all()
    expected = log_determinants(function, x, context)
    numpy.testing.assert_allclose(log_det, expected, rtol=0, atol=atol)
    return y


def assert_is_a_bijection(transform, x, context=None, atol=1e-8):
    """Log-determinants of both directions, there and back, and back and there; gradients too."""
    z = assert_log_det_is_the_jacobians(transform.forward, x, context, atol)
    back = assert_log_det_is_the_jacobians(transform.inverse, z, context, atol)
    numpy.testing.assert_allclose(back, x, rtol=0, atol=atol)
    _, there = run(transform.forward, x, context)
    _, again = run(transform.inverse, z, context)
    numpy.testing.assert_allclose(again, -there, rtol=0, atol=atol)
    on_device = None if context is None else backend.asarray(context)

    def both(x):
        z, log_det = transform.forward(x, on_device)
        return np.concatenate([z.reshape(-1), log_det])

    check_grads(both, modes=["rev"], order=1)(backend.asarray(x))


def assert_every_parameter_learns(transform, x, context=None):
    """Each parameter has a gradient by z and log_det that is not zero everywhere."""
    z, log_det = transform.forward(backend.asarray(x), context)
    weights = backend.asarray(numpy.random.default_rng(1).standard_normal(z.shape))
    (np.sum(z * weights) + np.sum(log_det)).backward()
    for name, parameter in transform.parameters().items():
        assert parameter.grad is not None, name
        assert backend.to_numpy(parameter.grad).any(), name


def assert_float32_stays_float32(transform, x, context=None):
    """Both directions and the gradient, of the transform as it was made."""
    x = Tensor(backend.asarray(x, dtype="float32"))
    z, log_det = transform.forward(x, context)
    back, other = transform.inverse(z, context)
    assert {y.dtype.name for y in (z, log_det, back, other)} == {"float32"}
    np.sum(z * z + 0.0).backward()
    assert x.grad.dtype == "float32"
