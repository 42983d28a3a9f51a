"""Distributions: they sum to one, and the sampler draws from them."""

import numpy
import pytest
import scipy.stats

from autograd import backend
from scratchgen.distributions import categorical


@pytest.fixture
def logits(rng):
    return backend.asarray(3 * rng.standard_normal((4, 6)))


def test_categorical_probabilities_sum_to_one(logits):
    classes = numpy.arange(6)
    log_p = [categorical.log_prob(logits, backend.asarray(numpy.full(4, k))) for k in classes]
    p = numpy.exp([backend.to_numpy(x) for x in log_p])
    numpy.testing.assert_allclose(p.sum(0), 1, rtol=1e-12)


def test_categorical_samples_occur_as_often_as_their_probability_says(logits):
    n = 20_000
    many = backend.asarray(numpy.tile(backend.to_numpy(logits), (n, 1, 1)))
    draws = backend.to_numpy(categorical.sample(many, backend.default_rng(0)))
    for row in range(4):
        counts = numpy.bincount(draws[:, row], minlength=6)
        x = backend.to_numpy(logits)[row]
        p = numpy.exp(x) / numpy.exp(x).sum()
        assert scipy.stats.chisquare(counts, n * p).pvalue > 0.01


@pytest.mark.parametrize("shift", [-1e4, 0.0, 1e4])
def test_categorical_samples_only_classes_that_are_possible_whatever_the_scale(shift):
    row = numpy.array([-numpy.inf, 0.0, -numpy.inf, 0.0, -numpy.inf]) + shift
    many = backend.asarray(numpy.tile(row.astype("float32"), (1000, 1)))
    draws = backend.to_numpy(categorical.sample(many, backend.default_rng(0)))
    assert set(draws.tolist()) == {1, 3}
