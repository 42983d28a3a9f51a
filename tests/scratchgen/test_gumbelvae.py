"""The VAE with categorical codes, against exact answers: a small one has few, all enumerated."""

import itertools
import math

import numpy
import pytest
import scipy.special

import autograd.numpy as np
from autograd import backend, no_grad
from scratchgen.distributions import categorical
from scratchgen.models.latent.gumbelvae import ESTIMATORS, GumbelVAE, GumbelVAEConfig
from scratchgen.optim import Adam
from tests.scratchgen import exact

SMALL = {
    "height": 2,
    "width": 2,
    "levels": 2,
    "latents": 2,
    "categories": 3,
    "hidden": 6,
    "dropout": 0,
}


def make(seed=0, spread=0.8, **fields):
    """A small model in float64 with random weights in every layer."""
    model = GumbelVAE(GumbelVAEConfig(**(SMALL | fields)), backend.default_rng(seed))
    return exact.randomised(model, seed, spread)


def images(n, model, seed=0):
    return numpy.random.default_rng(seed).integers(0, model.config.levels, (n, *model.shape))


def every_code(model):
    """(categories^latents, latents)"""
    choices = range(model.config.categories)
    return numpy.array(list(itertools.product(choices, repeat=model.config.latents)))


def log_likelihoods(model, x, context=None):
    """ln p(x | z) of every code: (codes, N), a Tensor unless there is no graph."""
    z = every_code(model)
    z = model.code_of(backend.asarray(numpy.repeat(z[:, None], len(x), axis=1)))
    return model.observation.log_prob(model.decode(z, context), backend.asarray(x), None)


def exact_elbo(model, x):
    """Σ_z q(z | x) (ln p(x | z) + ln p(z) − ln q(z | x)): (N,)."""
    logits = model.posterior(backend.asarray(x))
    z = every_code(model)
    z = backend.asarray(numpy.repeat(z[:, None], len(x), axis=1))
    repeated = np.broadcast_to(logits, (len(z), *logits.shape))
    log_q = np.sum(categorical.log_prob(repeated, z), axis=-1)
    log_prior = -model.config.latents * math.log(model.config.categories)
    return np.sum(np.exp(log_q) * (log_likelihoods(model, x) + log_prior - log_q), axis=0)


def log_p(model, x):
    """ln p(x) = ln Σ_z p(z) p(x | z): (N,)."""
    with no_grad():
        given = backend.to_numpy(log_likelihoods(model, x))
    return scipy.special.logsumexp(given, axis=0) - math.log(len(given))


def host(x):
    return backend.to_numpy(x.detach())


def assert_within_four_errors(found, expected):
    error = found.std(0) / numpy.sqrt(len(found))
    assert (abs(found.mean(0) - expected) < 4 * error + 1e-12).all(), (found.mean(0), expected)


# -------------------------------------------------------------------------------------- bounds


def test_the_bound_is_on_average_that_of_all_codes_enumerated():
    model, n = make(), 20_000
    x = images(4, model)
    many = backend.asarray(numpy.concatenate([x] * n))
    with no_grad():
        bound = backend.to_numpy(model.elbo(many, backend.default_rng(0)).bound)
    assert_within_four_errors(bound.reshape(n, 4), host(exact_elbo(model, x)))


def test_the_bound_is_a_bound_and_the_weights_have_the_mean_p():
    model = make()
    x = images(4, model)
    assert (host(exact_elbo(model, x)) < log_p(model, x) - 1e-3).all()
    with no_grad():
        log_w = model.log_weights(backend.asarray(x), 20_000, backend.default_rng(1))
    log_w = backend.to_numpy(log_w)
    assert log_w.shape == (20_000, 4)
    assert_within_four_errors(log_w, host(exact_elbo(model, x)))
    assert_within_four_errors(numpy.exp(log_w - log_p(model, x)), 1)


def test_the_divergence_is_exact():
    model = make(latents=1, categories=4)
    x = images(5, model)
    log_q = scipy.special.log_softmax(host(model.posterior(backend.asarray(x))), axis=-1)
    expected = (numpy.exp(log_q) * (log_q + math.log(4))).sum(-1)
    elbo = model.elbo(backend.asarray(x), backend.default_rng(0))
    numpy.testing.assert_allclose(host(elbo.parts), expected, rtol=0, atol=1e-12)
    numpy.testing.assert_allclose(host(elbo.kl), expected.sum(-1), rtol=0, atol=1e-12)


def test_samples_occur_as_often_as_the_models_probability_says():
    model = make()
    drawn = backend.to_numpy(model.sample(20_000, backend.default_rng(0)))
    p = numpy.exp(log_p(model, exact.every_image(model)))
    assert p.sum() == pytest.approx(1, abs=1e-12)
    assert p.max() > 2 / len(p)
    exact.assert_frequencies(exact.number(model, drawn), p)


# ----------------------------------------------------------------------------------- gradients


def exact_gradient(model, x):
    (-np.mean(exact_elbo(model, x))).backward()
    return taken(model)


def taken(model):
    """The gradients of all parameters, which are cleared, in a row."""
    found = []
    for parameter in model.parameters().values():
        found.append(backend.to_numpy(parameter.grad).ravel().copy())
        parameter.grad = None
    return numpy.concatenate(found)


def gradients(model, x, batches=40, copies=500, step=None):
    """Independent estimates, each from a batch in which every image occurs often."""
    batch, rng = backend.asarray(numpy.concatenate([x] * copies)), backend.default_rng(5)
    found = []
    for _ in range(batches):
        model.loss(batch, rng, step)[0].backward()
        found.append(taken(model))
    return numpy.array(found)


def test_the_gradient_of_the_score_function_is_that_of_the_exact_bound():
    model = make(estimator="score", draws=2, spread=0.5)
    x = images(3, model)
    found, expected = gradients(model, x), exact_gradient(model, x)
    error = found.std(0, ddof=1) / numpy.sqrt(len(found))
    z = (found.mean(0) - expected)[error > 1e-12] / error[error > 1e-12]
    assert abs(z).max() < 4.5, "of about 150 numbers, in units of their standard errors"
    assert 0.7 < z.std() < 1.3


def test_the_relaxed_gradient_nears_the_exact_one_as_the_temperature_falls():
    def bias(temperature):
        model = make(estimator="gumbel", lowest_temperature=temperature, spread=0.5)
        x = images(3, model)
        expected = exact_gradient(model, x)
        found = gradients(model, x, batches=10, copies=2_000).mean(0)
        return numpy.linalg.norm(found - expected) / numpy.linalg.norm(expected)

    biases = [bias(t) for t in (1.0, 0.3, 0.05)]
    assert biases == sorted(biases, reverse=True), biases
    assert biases[0] > 3 * biases[-1], biases


def test_the_straight_through_decoder_gradient_is_exact():
    """What is biased is the encoder's alone, for the decoder is given codes drawn from q."""
    model = make(estimator="straight_through", spread=0.5)
    x = images(3, model)
    found, expected = gradients(model, x), exact_gradient(model, x)
    names = [n for n, p in model.parameters().items() for _ in range(p.size)]
    of_decoder = numpy.array([n.startswith("decoder") for n in names])
    error = found.std(0, ddof=1) / numpy.sqrt(len(found))
    z = abs(found.mean(0) - expected) / (error + 1e-12)
    assert z[of_decoder].max() < 4.5
    assert z[~of_decoder].max() > 10


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_training_raises_the_exact_bound(estimator):
    model = GumbelVAE(GumbelVAEConfig(**SMALL, estimator=estimator), backend.default_rng(0))
    x = images(40, model)
    before = host(exact_elbo(model, x)).mean()
    optimiser, rng = Adam(model.parameters().values(), 0.02), backend.default_rng(0)
    batch = backend.asarray(x)
    for step in range(100):
        model.loss(batch, rng, step)[0].backward()
        optimiser.step()
    assert host(exact_elbo(model, x)).mean() > before + 0.1


# ------------------------------------------------------------------------------------- training


def test_the_temperature_falls_from_one_to_its_lowest():
    model = make(lowest_temperature=0.4, annealing=0.01)
    assert model.temperature(0) == 1
    assert model.temperature(50) == pytest.approx(math.exp(-0.5))
    assert model.temperature(1_000) == model.temperature(None) == 0.4


@pytest.mark.parametrize("estimator", ["gumbel", "straight_through"])
def test_codes_are_relaxed_at_the_temperature_of_the_step(estimator):
    def gradient(lowest, step):
        model = make(estimator=estimator, lowest_temperature=lowest, annealing=0.01)
        model.loss(backend.asarray(images(6, model)), backend.default_rng(0), step)[0].backward()
        return taken(model)

    warm, cold = gradient(1.0, None), gradient(0.1, None)
    numpy.testing.assert_array_equal(gradient(0.1, 0), warm)
    numpy.testing.assert_array_equal(gradient(0.1, 1_000), cold)
    numpy.testing.assert_array_equal(gradient(0.1, 50), gradient(math.exp(-0.5), None))
    assert abs(warm - cold).max() > 1e-3


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_divergence_is_weighted_in_training_and_the_nats_are_those_of_discrete_codes(estimator):
    def averages(**fields):
        model = make(estimator=estimator, spread=1.5, **fields)
        x = backend.asarray(numpy.concatenate([images(4, model)] * 1_000))
        loss, metrics = model.loss(x, backend.default_rng(0), 0)
        return loss.item(), metrics["nats"].item(), metrics["kl"].item()

    loss, nats, kl = averages()
    model = make(spread=1.5)  # of which the relaxed bound is by 0.6 nats another
    assert nats == pytest.approx(-host(exact_elbo(model, images(4, model))).mean(), abs=0.25)
    assert averages(beta=3.0) == pytest.approx((loss + 2 * kl, nats, kl), rel=1e-9)
    assert averages(kl_warmup=4) == pytest.approx((loss - 0.75 * kl, nats, kl), rel=1e-9)
    assert averages(free_bits=1.0) == pytest.approx((loss - kl + 2.0, nats, kl), rel=1e-9)
    if estimator != "gumbel":
        assert nats == pytest.approx(loss, rel=1e-9)


@pytest.mark.parametrize("estimator", ESTIMATORS)
@pytest.mark.parametrize(
    "fields", [{}, {"classes": 3}, {"network": "conv"}, {"output": "gaussian"}]
)
def test_the_model_is_float32_as_it_comes_and_every_parameter_learns(estimator, fields):
    config = GumbelVAEConfig(estimator=estimator, latents=3, hidden=8, **fields)
    model = GumbelVAE(config, backend.default_rng(0))
    x = backend.asarray(images(4, model))
    labels = backend.asarray(numpy.arange(4) % 3) if config.classes else None
    batch = x if labels is None else (x, labels)
    loss, metrics = model.loss(batch, backend.default_rng(0), 0)
    loss.backward()
    assert loss.dtype == metrics["nats"].dtype == "float32"
    assert {p.grad.dtype.name for p in model.parameters().values()} == {"float32"}
    assert model.log_weights(x, 2, backend.default_rng(0), labels).dtype == "float32"
    exact.randomised(model, spread=0.3)
    model.loss(batch, backend.default_rng(0), 0)[0].backward()
    for name, parameter in model.parameters().items():
        assert backend.to_numpy(parameter.grad).any(), name
    assert model.sample(5, backend.default_rng(0), 1 if config.classes else None).shape[0] == 5
    assert model.reconstruct(x, labels).shape == x.shape


def test_the_mean_code_is_the_mean_of_the_codes_drawn():
    model = make()
    x = images(6, model)
    logits = host(model.posterior(backend.asarray(x)))
    found = host(model.mean_code(backend.asarray(x)))
    expected = scipy.special.softmax(logits, -1).reshape(6, -1)
    numpy.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_extreme_logits_give_a_finite_bound_and_gradient(estimator):
    model = make(estimator=estimator, lowest_temperature=1e-3)
    model.astype("float32")
    model.code.weight[...] = 1e5 * model.code.weight.data
    x = backend.asarray(images(6, model))
    loss, _ = model.loss(x, backend.default_rng(0))
    loss.backward()
    assert math.isfinite(loss.item())
    for name, parameter in model.parameters().items():
        assert numpy.isfinite(backend.to_numpy(parameter.grad)).all(), name
    assert numpy.isfinite(host(model.elbo(x, backend.default_rng(0)).bound)).all()
    assert numpy.isfinite(host(model.log_weights(x, 3, backend.default_rng(0)))).all()


def test_wrong_configurations_are_errors_that_say_what_is_expected():
    for field, value in {
        "categories": 1,
        "estimator": "guess",
        "lowest_temperature": 0.0,
        "annealing": -1.0,
        "draws": 1,
    }.items():
        with pytest.raises(ValueError, match=f"{field}={value}: {field} must be"):
            GumbelVAEConfig(**{field: value})
    with pytest.raises(ValueError, match="annealing=inf: annealing must be"):
        GumbelVAEConfig(annealing=math.inf)
