"""Bounds of a likelihood from importance weights: how they are taken, measured and marked."""

import math
import tracemalloc

import numpy
import pytest
import scipy.special

import autograd.numpy as np
from autograd import Tensor, backend, no_grad
from scratchgen.data import digits
from scratchgen.errors import UsageError
from scratchgen.models import bounds
from scratchgen.models.bounds import BoundedModel
from scratchgen.models.images import ImageConfig, ImageModel
from scratchgen.models.latent.autoencoder import (
    Autoencoder,
    AutoencoderConfig,
    Denoiser,
    DenoiserConfig,
)
from scratchgen.models.latent.bayes import ImageBayes, ImageBayesConfig
from scratchgen.models.latent.flowvae import FlowVAE, FlowVAEConfig
from scratchgen.models.latent.gmm import ImageMixture, ImageMixtureConfig
from scratchgen.models.latent.gumbelvae import GumbelVAE, GumbelVAEConfig
from scratchgen.models.latent.ladder import LadderConfig, LadderVAE
from scratchgen.models.latent.m2 import M2, M2Config
from scratchgen.models.latent.vae import VAE, VAEConfig
from scratchgen.training.evaluation import evaluate
from scratchgen.training.media.images import IMAGES
from scratchgen.training.media.labels import UNKNOWN, given_labels, labels_to_learn
from scratchgen.training.media.medium import Figure
from tests.scratchgen import exact


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
    monkeypatch.setattr(bounds, "NUMBERS", 12 * 8 * 8 * 17)
    parts = [model.log_weights(x, k, rng) for rng in [backend.default_rng(0)] for k in (2, 2, 1)]
    log_w = numpy.concatenate([backend.to_numpy(part) for part in parts])
    model.drawn.clear()
    found = backend.to_numpy(model.log_prob_iw(x, 5, backend.default_rng(0)))
    assert model.drawn == [2, 2, 1]
    numpy.testing.assert_allclose(found, scipy.special.logsumexp(log_w, axis=0) - math.log(5))


@pytest.mark.parametrize(
    ("config", "together"),
    [
        (ImageConfig(8, 8, 1, 17), bounds.NUMBERS // (40 * 8 * 8 * 17)),
        (ImageConfig(8, 8, 1, 2), 1_000),
        (ImageConfig(28, 28, 1, 2), bounds.NUMBERS // (40 * 28 * 28)),
        (ImageConfig(28, 28, 3, 256), 1),
    ],
)
def test_the_larger_what_is_computed_of_a_draw_the_fewer_are_made_together(config, together):
    model = Guess(config)
    model.log_prob_iw(np.zeros((40, *model.shape), int), 1_000, backend.default_rng(0))
    assert max(model.drawn) == together and sum(model.drawn) == 1_000


def test_many_draws_of_photographs_fit_into_200_megabytes():
    model = VAE(VAEConfig(28, 28, levels=256, hidden=50), backend.default_rng(0))
    x = backend.asarray(numpy.random.default_rng(0).integers(0, 256, (16, 28, 28, 1)))
    with no_grad():
        tracemalloc.start()
        model.log_prob_iw(x, 12, backend.default_rng(0))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 200e6


@pytest.mark.parametrize("n, k", [(1, 1), (5, 1), (0, 3)])
def test_one_draw_one_image_or_none_will_do(n, k):
    assert Guess().log_prob_iw(images(n), k, backend.default_rng(0)).shape == (n,)


LATENT = {
    "vae": (VAE, VAEConfig, {}),
    "conv": (VAE, VAEConfig, {"network": "conv", "layers": 2}),
    "binary": (VAE, VAEConfig, {"levels": 2}),
    "gaussian": (VAE, VAEConfig, {"output": "gaussian"}),
    "classes": (VAE, VAEConfig, {"classes": 3}),
    "planar": (FlowVAE, FlowVAEConfig, {"posterior": "planar"}),
    "radial": (FlowVAE, FlowVAEConfig, {"posterior": "radial"}),
    "iaf": (FlowVAE, FlowVAEConfig, {"posterior": "iaf"}),
    "gumbel": (GumbelVAE, GumbelVAEConfig, {}),
    "ladder": (LadderVAE, LadderConfig, {}),
    "m2": (M2, M2Config, {"classes": 3}),
}
MODELS = LATENT | {
    "autoencoder": (Autoencoder, AutoencoderConfig, {}),
    "denoiser": (Denoiser, DenoiserConfig, {"network": "conv", "transitions": 2}),
    "mixture": (ImageMixture, ImageMixtureConfig, {}),
    "bayes": (ImageBayes, ImageBayesConfig, {"classes": 3}),
}


def make(kind, **fields):
    model, config, own = MODELS[kind]
    return model(config(**{"height": 4, "width": 3, "levels": 5} | own | fields), default())


def default():
    return backend.default_rng(0)


@pytest.mark.parametrize("kind", MODELS)
def test_real_models_take_no_images_and_draw_none(kind):
    model = make(kind)
    x, labels = np.zeros((0, 4, 3, 1), int), 0 if kind == "classes" else None
    found = {}
    with no_grad():
        if kind in LATENT:
            elbo = model.elbo(x, default(), labels)
            found |= {"elbo": (elbo.bound, (0,)), "kl": (elbo.parts.sum(axis=-1), (0,))}
        if isinstance(model, BoundedModel):
            found["bound"] = model.log_prob_iw(x, 3, default(), labels), (0,)
        else:
            found["reconstruction"] = model.reconstruction(x), (0,)
        if hasattr(model, "reconstruct"):
            found["mean image"] = model.reconstruct(x, labels), x.shape
        if hasattr(model, "sample"):
            found["sample"] = model.sample(0, default(), labels), x.shape
    for name, (array, shape) in found.items():
        assert array.shape == shape, name


EACH = [(kind, network) for kind in LATENT for network in ("encoder", "decoder")]


@pytest.mark.parametrize(("kind", "network"), [*EACH, ("m2", "features")])
def test_in_training_each_network_has_dropout_and_without_it_none(kind, network):
    model = make(kind, hidden=20, dropout=0.5)
    exact.randomised(model, spread=0.3)
    for name in {"encoder", "decoder", "features"} & set(vars(model)) - {network}:
        getattr(model, name).rate = 0.0
    x = backend.asarray(numpy.random.default_rng(0).integers(0, model.config.levels, (4, 4, 3, 1)))
    labels = 1 if kind == "classes" else None

    def found(training):
        with no_grad():
            elbo = model.elbo(x, default(), labels, training=training)
            log_w = model.log_weights(x, 2, default(), labels, training=training)
            return backend.to_numpy(elbo.bound), backend.to_numpy(log_w)

    (bound, log_w), (without, log_w_without) = found(True), found(False)
    assert (bound != without).all()
    if network != "features":  # the classifier has no part in the weights
        assert (log_w != log_w_without).all()
    numpy.testing.assert_array_equal(found(False)[0], without)


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
