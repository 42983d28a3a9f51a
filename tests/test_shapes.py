"""Functions that move elements about, against NumPy's."""

import numpy
import pytest

import autograd.numpy as np
from autograd import backend


@pytest.mark.parametrize(
    "where", [1, 3, 7, 9, numpy.int64(2), [2, 5], [0, 3], [-1], [5, 2], [3, 9]]
)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_an_array_is_cut_where_numpy_cuts_it(where, axis, rng):
    x = rng.standard_normal((7, 7))
    found = np.array_split(backend.asarray(x), where, axis)
    expected = numpy.array_split(x, where, axis)
    assert len(found) == len(expected)
    for part, same in zip(found, expected, strict=True):
        numpy.testing.assert_array_equal(backend.to_numpy(part), same)


def test_no_parts_are_refused():
    with pytest.raises(ValueError, match="array_split: 0 parts; at least 1"):
        np.array_split(backend.asarray(numpy.zeros(3)), 0)
