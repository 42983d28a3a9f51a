"""The variational autoencoder against exact answers.

An expectation over q(z | x) is an integral over noise ε, and a generator that puts out the nodes of
a Gauss-Hermite rule in place of random numbers makes the model's own code compute it: exactly where
the integrand is a polynomial, and to many digits where it is smooth.
"""

import itertools
import math

import numpy
import pytest
import scipy.stats

import autograd.numpy as np
from autograd import backend, no_grad
from scratchgen.distributions import normal
from scratchgen.models.latent.observation import Observation
from scratchgen.models.latent.vae import VAE, VAEConfig
from tests.scratchgen import exact

# -------------------------------------------------------------------------------------- quadrature


class Nodes:
    """A "generator" whose only normal vector is the one that it is made with."""

    def __init__(self, node):
        self.node = backend.asarray(node)

    def standard_normal(self, shape):
        return np.broadcast_to(self.node, shape)


def rule(latents, nodes):
    """(weights, ε) with Σ weights f(ε) = E f(ε), ε ~ N(0, 1) of so many dimensions."""
    x, w = numpy.polynomial.hermite_e.hermegauss(nodes)
    points = numpy.array(list(itertools.product(x, repeat=latents)))
    weights = numpy.prod(list(itertools.product(w / w.sum(), repeat=latents)), axis=1)
    return zip(weights, points, strict=True)


def expected(model, function, nodes):
    """E over ε of ``function(generator)``."""
    return sum(w * function(Nodes(e)) for w, e in rule(model.config.latents, nodes))


def host(x):
    return backend.to_numpy(x.data if hasattr(x, "node") else x)


def within(samples, value, errors=4):
    """The mean of independent ``samples`` (n, …) is ``value`` within so many standard errors."""
    error = samples.std(0, ddof=1) / math.sqrt(len(samples))
    assert (error > 0).all()
    assert (abs(samples.mean(0) - value) < errors * error).all(), (samples.mean(0), value, error)


# ------------------------------------------------------------------------- linear-Gaussian model


class NormalObservation(Observation):
    """p(x | z) = N(x; µ, s²) of real numbers, with the decoder's output as µ."""

    def __init__(self, config, std):
        super().__init__(config)
        self.numbers, self.std = config.dimensions, std

    def log_prob(self, parameters, x, rng):
        x = x.reshape(len(x), -1)
        return np.sum(normal.log_prob(parameters, math.log(self.std), x), axis=-1)


class LinearGaussian(VAE):
    """Linear encoder and decoder, for real x: x = z W + b + s ε, so x ~ N(b, WᵀW + s²)."""

    def __init__(self, dimensions=5, latents=2, std=0.6, seed=0):
        config = VAEConfig(1, dimensions, latents=latents, levels=2, layers=0)
        super().__init__(config, backend.default_rng(seed))
        self.observation = NormalObservation(config, std)
        exact.randomised(self, seed, 0.5)

    def check(self, x):
        pass

    def scaled(self, x):
        return x

    def data(self, n, seed=0):
        x = numpy.random.default_rng(seed).standard_normal((n, 1, self.config.dimensions, 1))
        return 1.5 * x

    @property
    def decoder_arrays(self):
        return host(self.decoder.output.weight), host(self.decoder.output.bias)

    def log_evidence(self, x):
        w, b = self.decoder_arrays
        covariance = w.T @ w + self.observation.std**2 * numpy.eye(len(b))
        return scipy.stats.multivariate_normal(b, covariance).logpdf(x.reshape(len(x), -1))

    def true_posterior(self, x):
        """The mean (N, latents) and covariance of p(z | x)."""
        w, b = self.decoder_arrays
        covariance = numpy.linalg.inv(numpy.eye(len(w)) + w @ w.T / self.observation.std**2)
        return (x.reshape(len(x), -1) - b) @ w.T @ covariance / self.observation.std**2, covariance

    def gap(self, x):
        """KL(q(z | x) ‖ p(z | x)), of two normal distributions."""
        mean, log_std, _ = map(host, self.posterior(backend.asarray(x)))
        target, covariance = self.true_posterior(x)
        precision = numpy.linalg.inv(covariance)
        shift = mean - target
        return 0.5 * (
            (numpy.exp(2 * log_std) * numpy.diag(precision)).sum(1)
            + numpy.einsum("ni,ij,nj->n", shift, precision, shift)
            - mean.shape[1]
            + numpy.linalg.slogdet(covariance)[1]
            - 2 * log_std.sum(1)
        )


@pytest.mark.parametrize("latents", [1, 2, 3])
def test_the_gap_of_the_bound_is_the_divergence_of_q_from_the_true_posterior(latents):
    model = LinearGaussian(latents=latents, seed=latents)
    x = model.data(4)
    with no_grad():
        bound = host(expected(model, lambda e: model.elbo(backend.asarray(x), e).bound, 3))
        other = host(expected(model, lambda e: model.log_weights(backend.asarray(x), 1, e)[0], 3))
    gap = model.log_evidence(x) - bound
    assert gap.min() > 0.1
    numpy.testing.assert_allclose(gap, model.gap(x), rtol=0, atol=1e-10 * abs(bound).max())
    numpy.testing.assert_allclose(other, bound, rtol=1e-11)


def test_the_weight_of_one_draw_has_the_gradient_of_the_bound():
    model = LinearGaussian()
    x = backend.asarray(model.data(4))
    gradients = []
    for value in (
        expected(model, lambda e: model.elbo(x, e).bound, 3),
        expected(model, lambda e: model.log_weights(x, 1, e)[0], 3),
    ):
        for parameter in model.parameters().values():
            parameter.grad = None
        np.mean(value).backward()
        gradients.append([host(parameter.grad) for parameter in model.parameters().values()])
    for a, b in zip(*gradients, strict=True):
        assert abs(a).max() > 1e-3
        numpy.testing.assert_allclose(a, b, rtol=0, atol=1e-10 * abs(a).max())


def test_random_draws_estimate_that_gap_within_four_standard_errors():
    model, n = LinearGaussian(), 20_000
    x = model.data(1)
    many = backend.asarray(numpy.repeat(x, n, axis=0))
    with no_grad():
        bounds = host(model.elbo(many, backend.default_rng(0)).bound)
        weights = host(model.log_weights(backend.asarray(x), n, backend.default_rng(1))[:, 0])
    for found in (bounds, weights):
        within(model.log_evidence(x) - found, model.gap(x))


def with_exact_posterior(seed=0):
    """A model whose encoder puts out p(z | x), which is of independent numbers here."""
    model = LinearGaussian(seed=seed)
    w, b = model.decoder_arrays
    w = numpy.linalg.qr(w.T)[0].T * [[0.7], [1.6]]  # orthogonal rows
    model.decoder.output.weight[...] = backend.asarray(w)
    _, covariance = model.true_posterior(model.data(1))
    a = w.T @ covariance / model.observation.std**2
    model.code.weight[...] = backend.asarray(numpy.concatenate([a, 0 * a], axis=1))
    log_std = 0.5 * numpy.log(numpy.diag(covariance))
    model.code.bias[...] = backend.asarray(numpy.concatenate([-b @ a, log_std]))
    return model


def test_with_the_true_posterior_every_weight_is_the_evidence():
    model = with_exact_posterior()
    x = model.data(6)
    with no_grad():
        log_w = host(model.log_weights(backend.asarray(x), 9, backend.default_rng(0)))
    expected = numpy.broadcast_to(model.log_evidence(x), log_w.shape)
    numpy.testing.assert_allclose(log_w, expected, rtol=1e-10)


def test_training_finds_the_true_posterior_and_the_evidence():
    # the bound is greatest where q is p(z | x): its gradient by the encoder vanishes there
    model = with_exact_posterior()
    x = backend.asarray(model.data(6))
    np.mean(expected(model, lambda e: model.elbo(x, e).bound, 3)).backward()
    for gradient in (model.code.weight.grad, model.code.bias.grad):
        numpy.testing.assert_allclose(host(gradient), 0, atol=1e-10)
    assert abs(host(model.decoder.output.weight.grad)).max() > 0.1


# --------------------------------------------------------------------------- codes and divergence


def small(latents=1, seed=0, spread=0.7, levels=2, **fields):
    """A VAE of 3 × 3 images in float64 with random weights in every layer."""
    fields = {"hidden": 8, "layers": 1, "latents": latents, "dropout": 0.0} | fields
    config = VAEConfig(3, 3, levels=levels, **fields)
    return exact.randomised(VAE(config, backend.default_rng(seed)), seed, spread)


def some_images(model, n, seed=0):
    shape = n, *exact.shape_of(model)
    return numpy.random.default_rng(seed).integers(0, model.config.levels, shape)


def test_drawn_codes_have_the_mean_and_the_variance_that_the_encoder_says():
    model, n = small(latents=2, seed=1), 40_000
    x = backend.asarray(some_images(model, 1))
    with no_grad():
        mean, log_std, _ = map(host, model.posterior(x))
        z, log_q = map(host, model.draw(x, n, backend.default_rng(0)))
    assert (abs(log_std) > 0.2).all(), "at σ = 1 a wrong convention would not show"
    z, std = z[:, 0], numpy.exp(log_std[0])
    within(z, mean[0])
    within((z - mean[0]) ** 2, std**2)
    density = scipy.stats.norm(mean[0], std).logpdf(z).sum(1)
    numpy.testing.assert_allclose(log_q[:, 0], density, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("latents", [1, 3])
def test_the_divergence_in_closed_form_is_the_mean_of_the_log_ratio(latents):
    model = small(latents=latents)
    x = backend.asarray(some_images(model, 3))

    def log_ratio(rng, k=1):
        z, log_q = model.draw(x, k, rng)
        return host(log_q) - scipy.stats.norm.logpdf(host(z)).sum(-1)

    with no_grad():
        elbo = model.elbo(x, backend.default_rng(0))
        exactly = expected(model, lambda e: log_ratio(e)[0], 3)
        drawn = log_ratio(backend.default_rng(1), 20_000)
    numpy.testing.assert_allclose(host(elbo.kl), exactly, rtol=1e-10)
    numpy.testing.assert_allclose(host(elbo.parts).sum(1), host(elbo.kl), rtol=1e-12)
    assert elbo.parts.shape == (3, latents)
    within(drawn, host(elbo.kl))


# -------------------------------------------------------------------------------------- gradients


def gradient_by_code(model, value):
    """Of ``value`` with respect to the bias of the layer that puts out µ and ln σ."""
    for x in model.parameters().values():
        x.grad = None
    value.backward()
    return host(model.code.bias.grad).copy()


def pathwise(model, x, rng):
    """∇ E_q ln p(x | z) through z = µ + σ ε."""
    return gradient_by_code(model, np.mean(model.elbo(x, rng).reconstruction))


def score_function(model, x, rng):
    """The same as E_q [ln p(x | z) ∇ ln q(z | x)], z a number like any other."""
    mean, log_std, _ = model.posterior(x)
    with no_grad():
        z = model.draw(x, 1, rng)[0]
        reward = model.observation.log_prob(model.decode(z), x, rng)[0]
    log_q = np.sum(normal.log_prob(mean, log_std, z[0]), axis=-1)
    return gradient_by_code(model, np.mean(reward * log_q))


@pytest.mark.parametrize("latents", [1, 2])
def test_the_pathwise_gradient_is_the_score_function_gradient_in_expectation(latents):
    model = small(latents=latents, spread=0.2, layers=0)  # smooth, without ReLUs
    x = backend.asarray(some_images(model, 2))
    a, b = (expected(model, lambda e, f=f: f(model, x, e), 30) for f in (pathwise, score_function))
    assert (abs(a) > 1e-3).all()
    numpy.testing.assert_allclose(a, b, rtol=1e-8)


def test_both_estimators_of_the_gradient_agree_within_their_errors():
    model, rng = small(spread=0.5), backend.default_rng(0)
    x = backend.asarray(numpy.repeat(some_images(model, 1), 500, axis=0))
    paths, scores = (
        numpy.array([estimate(model, x, rng) for _ in range(100)])
        for estimate in (pathwise, score_function)
    )
    within(paths - scores, 0)
    assert (paths.std(0) < 0.7 * scores.std(0)).all()


# ---------------------------------------------------------- likelihoods of all images, enumerated


def evidence(model, x, context=None, reach=12.0, points=601):
    """p(x) = ∫ p(z) p(x | z) dz by the trapezoidal rule, which is exact for what falls off so."""
    axis = numpy.linspace(-reach, reach, points)
    grid = numpy.array(list(itertools.product(axis, repeat=model.config.latents)))
    weight = numpy.exp(scipy.stats.norm.logpdf(grid).sum(1)) * (axis[1] - axis[0]) ** grid.shape[1]
    kept = weight > 1e-18
    grid, weight = grid[kept], weight[kept]
    with no_grad():
        parameters = model.decode(backend.asarray(grid[:, None]), context)  # (points, 1, numbers)
        log_p = [
            host(model.observation.log_prob(parameters, backend.asarray(image[None]), None))[:, 0]
            for image in x
        ]
    return numpy.exp(numpy.array(log_p)) @ weight


@pytest.mark.parametrize(("latents", "points"), [(1, 1201), (2, 81)])
def test_all_binary_images_have_probability_one_together_and_the_bound_is_below_each(
    latents, points
):
    model = small(latents)
    x = exact.every_image(model)
    p = evidence(model, x, points=points)
    assert p.sum() == pytest.approx(1, abs=1e-9) and p.max() > 3 / len(p)
    with no_grad():
        images = backend.asarray(x)
        bound = host(expected(model, lambda e: model.elbo(images, e).bound, 20))
        by_weights = host(expected(model, lambda e: model.log_weights(images, 1, e)[0], 20))
    assert (bound < numpy.log(p)).all()
    numpy.testing.assert_allclose(by_weights, bound, rtol=1e-10)


def test_the_mean_weight_is_the_probability():
    model = small(spread=0.4)
    x = some_images(model, 5)
    with no_grad():
        log_w = host(model.log_weights(backend.asarray(x), 100_000, backend.default_rng(0)))
    within(numpy.exp(log_w), evidence(model, x))


def test_samples_occur_as_often_as_the_integral_over_codes_says():
    model = small(seed=3)
    x = backend.to_numpy(model.sample(20_000, backend.default_rng(0)))
    p = evidence(model, exact.every_image(model), points=1201)
    exact.assert_frequencies(exact.number(model, x), p / p.sum())


def test_the_bound_from_more_draws_is_tighter_and_tends_to_the_likelihood():
    model, n = small(seed=2), 4_000
    for parameter in model.code.parameters().values():
        parameter[...] = 0.1 * parameter.data  # q near the prior: it reaches where p(z | x) is
    x = some_images(model, 1, seed=1)
    many = backend.asarray(numpy.repeat(x, n, axis=0))
    log_p = numpy.log(evidence(model, x))
    with no_grad():
        bounds = [
            host(model.log_prob_iw(many, k, backend.default_rng(k))) for k in (1, 2, 5, 20, 100)
        ]
        elbo = host(expected(model, lambda e: model.elbo(backend.asarray(x), e).bound, 100))
        last = host(model.log_prob_iw(backend.asarray(x), 200_000, backend.default_rng(0)))
    within(bounds[0], elbo)
    for fewer, more in itertools.pairwise(bounds):
        error = math.hypot(fewer.std(), more.std()) / math.sqrt(n)
        assert more.mean() - fewer.mean() > 2 * error
    assert bounds[-1].mean() < log_p + 4 * bounds[-1].std() / math.sqrt(n)
    assert abs(last - log_p) < 0.01 and log_p - elbo > 0.1


def test_training_with_several_draws_raises_the_bound_from_as_many():
    model = small(samples=5)
    x = backend.asarray(some_images(model, 4))
    loss, metrics = model.loss(x, backend.default_rng(7))
    bound = model.log_prob_iw(x, 5, backend.default_rng(7))
    assert loss.item() == pytest.approx(-np.mean(bound).item(), rel=1e-12)
    assert metrics["nats"].item() == loss.item()
