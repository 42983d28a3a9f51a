"""The packaged data, its split, and the figures that every model should beat."""

import math

import numpy
import pytest

from scratchgen import metrics
from scratchgen.data import digits


@pytest.fixture(scope="module")
def data():
    return digits.load()


def test_the_digits_are_split_as_stated(data):
    assert [len(x) for x in (data.train, data.validation, data.test)] == [1079, 359, 359]
    assert data.shape == (8, 8, 1) and data.levels == 17
    every = numpy.concatenate([data.train, data.validation, data.test])
    assert every.dtype == "uint8" and (every.min(), every.max()) == (0, 16)
    # the sums of images 0, 3 and 4, the first of each part
    assert [int(x[0].sum()) for x in (data.train, data.validation, data.test)] == [294, 267, 258]


def test_the_figures_to_compare_with(data):
    assert metrics.uniform_nats(data.shape, data.levels) == pytest.approx(181.33, abs=0.005)
    nats = metrics.independent_nats(data.train, data.test, data.levels)
    assert nats == pytest.approx(106.94, abs=0.005)


def test_independent_pixels_against_counting_by_hand():
    train = numpy.array([[0, 1], [0, 2], [1, 2]])
    test = numpy.array([[0, 0], [1, 2]])
    first = -math.log(3 / 6) - math.log(1 / 6)
    second = -math.log(2 / 6) - math.log(3 / 6)
    found = metrics.independent_nats(train, test, levels=3)
    assert found == pytest.approx((first + second) / 2)


def test_bits_per_dimension():
    assert metrics.bits_per_dimension(math.log(2) * 10, 10) == pytest.approx(1)
    uniform = metrics.uniform_nats((8, 8, 1), 256)
    assert metrics.bits_per_dimension(uniform, 64) == pytest.approx(8)
