"""Bounds of a likelihood from importance weights: how they are taken, measured and marked."""

import math

import numpy
import pytest
import scipy.special

import autograd.numpy as np
from autograd import Tensor, backend
from scratchgen.data import digits
from scratchgen.errors import UsageError
from scratchgen.models import bounds
from scratchgen.models.bounds import BoundedModel
from scratchgen.models.images import ImageConfig, ImageModel
from scratchgen.training.evaluation import evaluate
from scratchgen.training.media.images import IMAGES
from scratchgen.training.media.labels import UNKNOWN, given_labels, labels_to_learn
from scratchgen.training.media.medium import Figure


class Guess(BoundedModel):
    """ln w = −(mean of the image) − noise: of nothing, but with known weights."""

    importance_samples = 3

    def __init__(self, config=None):
        self.config = config or ImageConfig()
        self.weight = Tensor(np.zeros(1, "float32"))
        self.drawn = []

    def log_weights(self, x, k, rng, context=None, *, training=False):
        self.drawn.append(k)
        return -np.mean(x.astype("float64"), axis=(1, 2, 3)) - rng.random((k, len(x)))


def images(n=5):
    return backend.asarray(numpy.random.default_rng(0).integers(0, 17, (n, 8, 8, 1)))


def test_the_estimate_is_the_logarithm_of_the_mean_weight():
    model, x = Guess(), images()
    log_w = backend.to_numpy(model.log_weights(x, 7, backend.default_rng(0)))
    found = backend.to_numpy(model.log_prob_iw(x, 7, backend.default_rng(0)))
    expected = scipy.special.logsumexp(log_w, axis=0) - math.log(7)
    numpy.testing.assert_allclose(found, expected, rtol=1e-12)


def test_many_draws_go_through_the_model_in_parts_and_are_all_counted(monkeypatch):
    model, x = Guess(), images()
    monkeypatch.setattr(bounds, "ROWS", 12)
    parts = [model.log_weights(x, k, rng) for rng in [backend.default_rng(0)] for k in (2, 2, 1)]
    log_w = numpy.concatenate([backend.to_numpy(part) for part in parts])
    model.drawn.clear()
    found = backend.to_numpy(model.log_prob_iw(x, 5, backend.default_rng(0)))
    assert model.drawn == [2, 2, 1]
    numpy.testing.assert_allclose(found, scipy.special.logsumexp(log_w, axis=0) - math.log(5))


@pytest.mark.parametrize("n, k", [(1, 1), (5, 1), (0, 3)])
def test_one_draw_one_image_or_none_will_do(n, k):
    assert Guess().log_prob_iw(images(n), k, backend.default_rng(0)).shape == (n,)


def test_no_draws_are_refused():
    with pytest.raises(ValueError, match="k=0 importance samples; at least 1"):
        Guess().log_prob_iw(images(), 0, backend.default_rng(0))


def test_a_bound_is_measured_with_its_own_number_of_draws_or_that_asked_for():
    model, data = Guess(), digits.load()
    few, many = evaluate(model, IMAGES, data, "test"), evaluate(model, IMAGES, data, "test", 40)
    assert (few.figure, many.figure) == (Figure("bound", 3), Figure("bound", 40))
    assert many.nll_nats < few.nll_nats, "E ln of a mean grows with their number"
    assert evaluate(model, IMAGES, data, "test") == few, "the same draws each time"
    assert few.sentence(IMAGES).startswith("≤ ")
    assert few.sentence(IMAGES).endswith("(a bound, from 3 importance samples)")


def test_a_likelihood_needs_no_draws_and_asking_for_them_is_an_error():
    class Exact(ImageModel):
        def log_prob(self, x, context=None):
            return -np.mean(x.astype("float64"), axis=(1, 2, 3))

    with pytest.raises(UsageError, match="--importance-samples 4: the model has no latent"):
        IMAGES.figure(Exact(), 4)
    assert IMAGES.figure(Exact()) == Figure("likelihood")


def test_a_semi_supervised_model_is_told_some_labels_of_each_class_and_none_in_evaluation():
    class Config:
        classes, labelled = 10, 25

    data = digits.load()
    told = labels_to_learn(Config, data)
    known = told != UNKNOWN
    assert known.sum() == 25
    counts = numpy.bincount(told[known], minlength=10)
    assert counts.min() == 2 and counts.max() == 3
    numpy.testing.assert_array_equal(told[known], data.labels["train"][known])
    assert given_labels(Config, data, "test") is None
    del Config.labelled
    numpy.testing.assert_array_equal(labels_to_learn(Config, data), data.labels["train"])
    numpy.testing.assert_array_equal(given_labels(Config, data, "test"), data.labels["test"])
