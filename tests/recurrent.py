"""What the tests of the recurrent layers share."""

import numpy
from hypothesis import strategies as st

import autograd.numpy as np
from autograd import Tensor, backend


def host(x):
    return backend.to_numpy(x.data if isinstance(x, Tensor) else x)


def arrays(shapes, seed, dtype, scale):
    """Normal numbers on the current backend."""
    rng = numpy.random.default_rng(seed)
    return [backend.asarray((scale * rng.normal(size=shape)).astype(dtype)) for shape in shapes]


def loss(outputs, weights):
    """A number that all outputs enter, each element with a weight of its own."""
    return sum((np.sum(y * y * w) for y, w in zip(outputs, weights, strict=True)), 0.0)


def gradients(function, args, seed=1):
    """Outputs of the function, and the gradients of :func:`loss` with respect to ``args``."""
    rng = numpy.random.default_rng(seed)
    variables = [Tensor(a) for a in args]
    outputs = function(*variables)
    weights = [backend.asarray(rng.normal(size=y.shape).astype(y.dtype)) for y in outputs]
    loss(outputs, weights).backward()
    return [host(y) for y in outputs], [host(v.grad) for v in variables]


sizes = st.tuples(st.integers(1, 20), st.integers(1, 6), st.integers(1, 5), st.integers(1, 5))


def assert_equals_its_definition(function, definition, args):
    """With all gradients."""
    outputs, found = gradients(function, args)
    expected_outputs, expected = gradients(definition, args)
    for a, b in zip(outputs + found, expected_outputs + expected, strict=True):
        numpy.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * max(1.0, abs(b).max()))
