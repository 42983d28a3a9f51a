"""Products of matrices, however they are split and in whatever order they lie, against NumPy's."""

import numpy
import pytest

import autograd.numpy as np
from autograd import backend
from autograd.backend.maxima import COPIES, at_least
from autograd.nn import dense, dense_relu

SHAPES = [
    (3, 4, 5),  # on one core
    (70, 1, 1010),  # no sums
    (70, 300, 1010),  # by columns, and of transposes in tiles of 32, and rows and columns over
    (140, 1200, 120),  # by rows, and in tiles of 16 columns
    (3000, 80, 75),  # many rows, of a few at a time
    (60, 9000, 40),  # a sum over parts
]


def laid_out(rng, shape, dtype, transposed):
    x = rng.standard_normal(shape[::-1] if transposed else shape).astype(dtype)
    return x.T if transposed else x


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layouts", [(False, False), (False, True), (True, False), (True, True)])
def test_they_are_numpys_in_all_shapes_and_layouts(shape, dtype, layouts, rng):
    m, k, n = shape
    x = laid_out(rng, (m, k), dtype, layouts[0])
    y = laid_out(rng, (k, n), dtype, layouts[1])
    b = (3 * k**0.5 * rng.standard_normal(n)).astype(dtype)
    given = [backend.asarray(array) for array in (x, y, b)]
    expected = x.astype(float) @ y.astype(float)
    atol = 8 * numpy.finfo(dtype).eps * k
    for found, value in (
        (np.matmul(*given[:2]), expected),
        (dense(*given), expected + b),
        (dense_relu(*given), numpy.maximum(expected + b, 0)),
    ):
        assert found.dtype == dtype
        numpy.testing.assert_allclose(backend.to_numpy(found), value, rtol=0, atol=atol)


@pytest.mark.parametrize(
    "cut", [(), (0,), (5,), (3, COPIES), (2, COPIES + 1), (3, 7, 1001), (0, 4)], ids=str
)
@pytest.mark.parametrize("layout", ["in order", "transposed", "strided"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
@pytest.mark.parametrize("number", [0, 0.2])
def test_the_larger_of_an_array_and_a_number_is_numpys(cut, layout, dtype, number, rng):
    x = rng.standard_normal(cut)
    x = numpy.asarray(
        numpy.where(rng.random(cut) < 0.1, numpy.nan, x) if dtype[0] == "f" else 9 * x
    )
    x = {"in order": x, "transposed": x.T, "strided": x[..., ::-1] if cut else x}[layout]
    x = x.astype(dtype, order="K")
    expected = numpy.maximum(x, number)
    given = backend.asarray(x)
    found = at_least(number, given)
    assert found.dtype == expected.dtype
    numpy.testing.assert_array_equal(backend.to_numpy(found), expected)
    numpy.testing.assert_array_equal(backend.to_numpy(given), x)  # is not written to
    if found.dtype == given.dtype:
        at_least(number, given, out=given)
        numpy.testing.assert_array_equal(backend.to_numpy(given), expected)
