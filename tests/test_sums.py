"""Sums by products with ones, against NumPy's."""

import numpy
import pytest

import autograd.numpy as np
from autograd import Tensor, backend
from autograd.nn import sigmoid_cross_entropy

AXES = [0, 1, 2, 3, -1, (0, 1), (2, 3), (0, 1, 2), (1, 2, 3), (1, 2), (0, 3), (3, 2), (0, 1, 2, 3)]


def of(rng, dtype, layout):
    x = rng.standard_normal((5, 6, 7, 8)).astype(dtype)
    return {"in order": x, "transposed": x.T, "strided": x[::2, :, ::-1]}[layout]


@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("layout", ["in order", "transposed", "strided"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("name", ["sum", "mean", "var"])
def test_they_are_numpys_over_all_axes_and_in_all_layouts(name, axis, layout, dtype, keepdims, rng):
    x = of(rng, dtype, layout)
    found = getattr(np, name)(backend.asarray(x), axis=axis, keepdims=keepdims)
    expected = getattr(numpy, name)(x.astype("float64"), axis=axis, keepdims=keepdims)
    assert found.dtype == dtype and found.shape == expected.shape
    scale = abs(x).astype("float64").sum() / 8
    tolerance = scale * numpy.finfo(dtype).eps
    numpy.testing.assert_allclose(backend.to_numpy(found), expected, rtol=0, atol=tolerance)


@pytest.mark.parametrize("shape", [(100, 1), (1, 100), (0, 100), (100, 0)])
@pytest.mark.parametrize("axis", [0, 1])
def test_sums_of_one_number_or_none(shape, axis, rng):
    x = rng.standard_normal(shape)
    found = backend.to_numpy(np.sum(backend.asarray(x), axis=axis))
    numpy.testing.assert_allclose(found, x.sum(axis), rtol=1e-12)


@pytest.mark.parametrize("axis", [4, -5, (0, 4)])
def test_an_axis_that_there_is_not_is_refused(axis, rng):
    with pytest.raises(ValueError, match="out of bounds"):
        np.sum(backend.asarray(of(rng, "float64", "in order")), axis=axis)


def test_the_same_axis_twice_is_refused(rng):
    with pytest.raises(ValueError, match="each only once"):
        np.sum(backend.asarray(of(rng, "float64", "in order")), axis=(0, -4))


@pytest.mark.parametrize("targets", [(300, 400), (400,)])
def test_a_large_cross_entropy_and_its_gradient_are_those_of_the_definition(targets, rng):
    """So large that it is shared between cores."""
    x, t = rng.standard_normal((300, 400)), rng.random(targets)
    g = rng.standard_normal((300, 400))
    logits = Tensor(backend.asarray(x))
    losses = sigmoid_cross_entropy(logits, backend.asarray(t))
    losses.backward(backend.asarray(g))
    expected = numpy.logaddexp(0, x) - t * x
    numpy.testing.assert_allclose(backend.to_numpy(losses.data), expected, atol=1e-13)
    slope = g * (1 / (1 + numpy.exp(-x)) - t)
    numpy.testing.assert_allclose(backend.to_numpy(logits.grad), slope, atol=1e-13)
