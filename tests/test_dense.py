"""The dense layer as one operation, against its definition by two."""

import numpy
import pytest

import autograd.numpy as np
from autograd import Tensor, backend, grad
from autograd.nn import dense


def arrays(rng, *shapes, dtype="float64"):
    return [backend.asarray(rng.standard_normal(shape), dtype=dtype) for shape in shapes]


def host(x):
    return backend.to_numpy(x.data if isinstance(x, Tensor) else x)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 0, 3), (4, 500, 3)])
def test_values_and_gradients_are_those_of_a_product_and_a_sum(dtype, shape, rng):
    values = arrays(rng, shape, (3, 4), (4,), dtype=dtype)
    (g,) = arrays(rng, (*shape[:-1], 4), dtype=dtype)
    one, two = ([Tensor(x) for x in values] for _ in range(2))
    y, expected = dense(*one), np.matmul(two[0], two[1]) + two[2]
    y.backward(g)
    expected.backward(g)
    atol = 1e3 * numpy.finfo(dtype).eps
    assert y.dtype == dtype
    numpy.testing.assert_allclose(host(y), host(expected), rtol=0, atol=atol)
    for a, b in zip(one, two, strict=True):
        assert a.grad.dtype == dtype
        numpy.testing.assert_allclose(host(a.grad), host(b.grad), rtol=0, atol=atol)


def test_gradients_of_gradients_are_those_of_the_definition(rng):
    x, w, b, v = arrays(rng, (5, 3), (3, 4), (4,), (5, 3))

    def second(f):
        def slope(w):
            return np.sum(grad(lambda x: np.sum(np.tanh(f(x, w, b))))(x) * v)

        return host(grad(slope)(w))

    numpy.testing.assert_allclose(
        second(dense), second(lambda x, w, b: np.matmul(x, w) + b), rtol=1e-12
    )


def test_dtypes_promote_as_in_the_definition(rng):
    x, w = arrays(rng, (5, 3), (3, 4), dtype="float32")
    (b,) = arrays(rng, (4,))
    y = dense(x, w, b)
    assert y.dtype == "float64"
    numpy.testing.assert_array_equal(host(y), host(np.matmul(x, w) + b))


def test_shapes_that_do_not_fit_are_named(rng):
    x, w, b = arrays(rng, (5, 3), (4, 2), (2,))
    message = r"dense: input \(5, 3\), weight \(4, 2\), bias \(2,\); expected \(..., C\), \(C, D\)"
    with pytest.raises(ValueError, match=message):
        dense(x, w, b)
