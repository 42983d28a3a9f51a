"""Autoencoders: principal components, the score of noisy data, the Markov chain of the denoiser."""

import math

import numpy
import pytest
import scipy.linalg
import scipy.optimize
import scipy.special

import autograd.numpy as np
from autograd import Tensor, backend, no_grad
from autograd.test_util import check_grads
from scratchgen.models.latent.autoencoder import (
    Autoencoder,
    AutoencoderConfig,
    Denoiser,
    DenoiserConfig,
)
from scratchgen.optim import Adam
from tests.scratchgen import exact


def make(kind=Autoencoder, height=2, width=2, levels=2, seed=0, spread=0.7, **sizes):
    config = {Autoencoder: AutoencoderConfig, Denoiser: DenoiserConfig}[kind]
    sizes = {"hidden": 8, "latents": 3, "dropout": 0.0} | sizes
    model = kind(
        config(height=height, width=width, levels=levels, **sizes), backend.default_rng(seed)
    )
    return exact.randomised(model, seed, spread)


def images(rng, n, model):
    return rng.integers(0, model.config.levels, (n, *model.shape))


# ----------------------------------------------------------------------- real data, squared error


class UnitNormal:
    """N(x; µ, 1) of real numbers, in place of a model's observation: squared error."""

    def __init__(self, shape):
        self.shape, self.numbers = shape, math.prod(shape)

    def log_prob(self, parameters, x, rng):
        error = parameters.reshape(-1, *self.shape) - x
        return -0.5 * np.sum(error * error, axis=(1, 2, 3))

    def mean(self, parameters):
        return parameters.reshape(-1, *self.shape)


def of_real_numbers(kind, dimensions, latents, seed=0, **options):
    """A model of points (N, 1, D, 1) in float64, as it is initialised."""
    base = make(kind, 1, dimensions, latents=latents, seed=seed, **options)

    class Real(kind):
        scaled = staticmethod(lambda x: x)
        check = staticmethod(lambda x: None)

    model = Real(base.config, backend.default_rng(seed))
    model.observation = UnitNormal(model.shape)
    # the decoder's outputs are as many: one for each number, as with two levels
    model.astype("float64")
    return model


def minimise(model, x, rng=lambda: None):
    """Train to convergence on all of x at once."""
    parameters = list(model.parameters().values())
    x = backend.asarray(x)

    def load(flat):
        start = 0
        for p in parameters:
            p[...] = backend.asarray(flat[start : start + p.size].reshape(p.shape))
            start += p.size

    def loss(flat):
        load(flat)
        for p in parameters:
            p.grad = None
        value, _ = model.loss(x, rng())
        value.backward()
        grads = [backend.to_numpy(p.grad).ravel() for p in parameters]
        return value.item(), numpy.concatenate(grads)

    start = numpy.concatenate([backend.to_numpy(p.data).ravel() for p in parameters])
    options = {"maxiter": 3000, "maxfun": 4000, "ftol": 1e-15, "gtol": 1e-9}
    load(scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x)


def reconstructed(model, x):
    with no_grad():
        return backend.to_numpy(model.reconstruct(backend.asarray(x)))


def test_a_linear_autoencoder_finds_the_subspace_of_the_principal_components(rng):
    spread = (
        numpy.diag([2.0, 1.5, 1.0, 0.7, 0.4, 0.2]) @ scipy.linalg.qr(rng.standard_normal((6, 6)))[0]
    )
    x = rng.standard_normal((200, 6)) @ spread + rng.standard_normal(6)
    model = of_real_numbers(Autoencoder, 6, latents=3, layers=0)
    minimise(model, x.reshape(-1, 1, 6, 1))
    _, _, components = numpy.linalg.svd(x - x.mean(0), full_matrices=False)
    principal = components[:3].T
    decoding = backend.to_numpy(model.decoder.output.weight.data).T  # (6, 3)
    encoding = backend.to_numpy(model.code.weight.data)
    assert scipy.linalg.subspace_angles(decoding, principal).max() < 1e-3
    assert scipy.linalg.subspace_angles(encoding, principal).max() < 1e-3
    projected = x.mean(0) + (x - x.mean(0)) @ principal @ principal.T
    found = reconstructed(model, x.reshape(-1, 1, 6, 1)).reshape(-1, 6)
    numpy.testing.assert_allclose(found, projected, rtol=0, atol=1e-3)
    # in another basis than theirs
    assert scipy.linalg.subspace_angles(decoding[:, :1], principal[:, :1]).max() > 0.01


class White:
    """A generator whose noise, in the sample, is exactly white, and unrelated to the data."""

    def __init__(self, x):
        self.x = numpy.concatenate([x.reshape(len(x), -1), numpy.ones((len(x), 1))], axis=1)

    def standard_normal(self, shape):
        n = numpy.random.default_rng(3).standard_normal((shape[0], math.prod(shape[1:])))
        n -= self.x @ numpy.linalg.lstsq(self.x, n, rcond=None)[0]
        n = n @ numpy.linalg.inv(numpy.linalg.cholesky(n.T @ n / len(n))).T
        return backend.asarray(n.reshape(shape))


def linear_denoiser(sigma, x):
    model = of_real_numbers(Denoiser, 2, latents=2, layers=0, noise="gaussian", rate=sigma)
    minimise(model, x.reshape(-1, 1, 2, 1), rng=lambda: White(x))
    return model


def score_of(model, sigma, points):
    """(r(x) − x) / σ²."""
    points = points.reshape(-1, 1, 2, 1)
    return ((reconstructed(model, points) - points) / sigma**2).reshape(-1, 2)


def test_a_linear_denoiser_of_a_gaussian_gives_the_score_exactly(rng):
    mean, factor = numpy.array([0.5, -1.0]), numpy.array([[1.0, 0.0], [0.6, 0.5]])
    x = rng.standard_normal((500, 2)) @ factor.T + mean
    mean, covariance = x.mean(0), numpy.cov(x.T, bias=True)
    points, errors = x[:50], []
    for sigma in (0.2, 0.1):
        found = score_of(linear_denoiser(sigma, x), sigma, points)
        of_noisy = -numpy.linalg.solve(covariance + sigma**2 * numpy.eye(2), (points - mean).T).T
        numpy.testing.assert_allclose(found, of_noisy, rtol=0, atol=1e-3)
        of_data = -numpy.linalg.solve(covariance, (points - mean).T).T
        errors.append(abs(found - of_data).max())
    # the noisy density's score becomes the data's as σ² goes to 0
    assert 3 < errors[0] / errors[1] < 4.5


CENTRES = numpy.array([[-1.0, 0.0], [1.0, 0.5]])


def mixture_score(x, variance):
    """∇ ln of the mixture of two Gaussians of that variance."""
    away = CENTRES - x[:, None]  # (N, 2 centres, 2)
    share = scipy.special.softmax(-0.5 * (away**2).sum(-1) / variance, axis=-1)
    return (share[..., None] * away).sum(1) / variance


def test_a_denoiser_of_a_mixture_points_along_the_score(rng):
    sigma, deviation = 0.4, 0.5
    model = of_real_numbers(
        Denoiser, 2, latents=16, hidden=64, noise="gaussian", rate=sigma, layers=1
    )
    optimiser = Adam(list(model.parameters().values()), 0.01)

    def draw(n):
        x = CENTRES[rng.integers(0, 2, n)] + deviation * rng.standard_normal((n, 2))
        return x.reshape(-1, 1, 2, 1)

    for step in range(1000):
        optimiser.learning_rate = 0.01 * (1 - step / 1000)
        loss, _ = model.loss(backend.asarray(draw(400)), backend.default_rng(step))
        loss.backward()
        optimiser.step()
    points = (draw(500) + sigma * rng.standard_normal((500, 1, 2, 1))).reshape(-1, 2)
    found = score_of(model, sigma, points)
    expected = mixture_score(points, deviation**2 + sigma**2)
    assert numpy.linalg.norm(found - expected) < 0.15 * numpy.linalg.norm(expected)
    long = numpy.linalg.norm(expected, axis=1) > 0.5
    cosine = (found * expected).sum(1) / (
        numpy.linalg.norm(found, axis=1) * numpy.linalg.norm(expected, axis=1)
    )
    assert numpy.quantile(cosine[long], 0.05) > 0.95


# ----------------------------------------------------------------------------------------- images


@pytest.mark.parametrize("network", ["dense", "conv"])
@pytest.mark.parametrize("levels", [2, 3])
def test_the_reconstruction_is_the_log_softmax_of_what_is_decoded(network, levels, rng):
    model = make(height=3, width=4, levels=levels, network=network)
    x = images(rng, 5, model)
    with no_grad():
        z = model.mean_code(backend.asarray(x))
        logits = backend.to_numpy(model.decode(z)).reshape(*x.shape, -1)
        found = backend.to_numpy(model.reconstruction(backend.asarray(x)))
    if levels == 2:  # of level 1; that of level 0 is 0
        logits = numpy.concatenate([numpy.zeros_like(logits), logits], -1)
    log_p = scipy.special.log_softmax(logits, -1)
    expected = numpy.take_along_axis(log_p, x[..., None], -1).sum((1, 2, 3, 4))
    numpy.testing.assert_allclose(found, expected, rtol=1e-12)
    p = numpy.exp(log_p)
    numpy.testing.assert_allclose(reconstructed(model, x), p @ numpy.arange(levels), rtol=1e-12)


def test_the_loss_is_the_negative_mean_reconstruction_and_reports_it(rng):
    model = make(levels=3)
    x = backend.asarray(images(rng, 5, model))
    loss, metrics = model.loss(x, backend.default_rng(0))
    with no_grad():
        assert loss.item() == pytest.approx(-model.reconstruction(x).mean().item(), rel=1e-12)
    assert metrics["nats"].item() == loss.item()


def test_an_autoencoder_is_no_density_and_has_nothing_to_draw_from():
    assert not hasattr(Autoencoder, "log_prob") and not hasattr(Autoencoder, "sample")
    assert not hasattr(Denoiser, "log_prob")


def test_the_denoiser_is_shown_noise_and_has_to_say_what_was_there(rng):
    model = make(Denoiser, levels=5, noise="gaussian", rate=0.3)
    x = backend.asarray(images(rng, 5, model))
    with no_grad():
        noise = backend.default_rng(7).standard_normal(x.shape)
        parameters = model.decode(model.encode(model.scaled(x) + 0.3 * noise))
        expected = -np.mean(model.observation.log_prob(parameters, x, None))
    loss, _ = model.loss(x, backend.default_rng(7))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    with no_grad():  # what is measured is shown without noise
        plain = model.observation.log_prob(model.decode(model.mean_code(x)), x, None)
        numpy.testing.assert_allclose(*map(backend.to_numpy, (model.reconstruction(x), plain)))


def test_masking_hides_a_share_of_the_values_and_gaussian_noise_has_its_deviation():
    v = backend.asarray(numpy.full((50, 20, 20, 1), 0.5, "float32"))
    masked = make(Denoiser, noise="masking", rate=0.3).corrupted(v, backend.default_rng(0))
    noisy = make(Denoiser, noise="gaussian", rate=0.3).corrupted(v, backend.default_rng(0))
    assert masked.dtype == noisy.dtype == "float32"
    masked, noisy = backend.to_numpy(masked), backend.to_numpy(noisy)
    assert set(numpy.unique(masked)) == {0.0, 0.5}
    assert (masked == 0).mean() == pytest.approx(0.3, abs=4 * math.sqrt(0.21 / 20_000))
    assert noisy.mean() == pytest.approx(0.5, abs=4 * 0.3 / math.sqrt(20_000))
    assert noisy.std() == pytest.approx(0.3, abs=4 * 0.3 / math.sqrt(40_000))


def test_a_transition_of_the_chain_follows_its_enumerated_kernel():
    model = make(Denoiser, 1, 2, levels=2, rate=0.4, spread=1.5)
    every = exact.every_image(model)
    start, n = every[2], 20_000
    v = 2.0 * start - 1
    kernel = numpy.zeros(len(every))
    for kept in numpy.ndindex(2, 2):
        kept = numpy.array(kept).reshape(1, 2, 1)
        probability = numpy.where(kept, 0.6, 0.4).prod()
        with no_grad():
            z = model.encode(backend.asarray((v * kept)[None]))
            copies = z + np.zeros((len(every), 1))
            log_p = model.observation.log_prob(model.decode(copies), backend.asarray(every), None)
        kernel += probability * numpy.exp(backend.to_numpy(log_p))
    assert kernel.sum() == pytest.approx(1, abs=1e-12)
    x = backend.asarray(numpy.repeat(start[None], n, axis=0))
    with no_grad():
        found = backend.to_numpy(model.transition(x, backend.default_rng(0)))
    exact.assert_frequencies(exact.number(model, found), kernel)


def test_with_the_best_denoiser_the_chain_ends_up_in_the_distribution_of_the_data():
    # of one value, which is shown or hidden: then it is drawn from the data, p = 0.1, 0.2, 0.3, 0.4
    p = numpy.array([0.1, 0.2, 0.3, 0.4])
    model = make(Denoiser, 1, 1, levels=4, rate=0.3, transitions=30)
    levels = model.scaled(np.arange(4))

    def decode(z, context=None, rng=None):
        shown = np.where(np.abs(z - levels) < 1e-6, 0.0, -1e4)  # (N, 4)
        return np.where(z == 0, backend.asarray(numpy.log(p)), shown)

    model.encode = lambda v, rng=None: v.reshape(-1, 1)
    model.decode = decode
    x = backend.to_numpy(model.sample(20_000, backend.default_rng(0)))
    exact.assert_frequencies(x.ravel(), p)


def test_the_temperature_is_that_of_every_draw_of_the_chain():
    p = numpy.array([0.1, 0.2, 0.3, 0.4])
    model = make(Denoiser, 1, 1, levels=4, transitions=2)
    model.decode = lambda z: np.broadcast_to(backend.asarray(numpy.log(p)), (len(z), 4))
    x = backend.to_numpy(model.sample(20_000, backend.default_rng(0), temperature=0.5))
    exact.assert_frequencies(x.ravel(), p**2 / (p**2).sum())


@pytest.mark.parametrize("kind", [Autoencoder, Denoiser])
@pytest.mark.parametrize("network", ["dense", "conv"])
def test_the_model_is_float32_as_it_comes_and_every_parameter_learns(kind, network, rng):
    config = {Autoencoder: AutoencoderConfig, Denoiser: DenoiserConfig}[kind]
    model = kind(config(hidden=8, latents=4, network=network), backend.default_rng(0))
    x = backend.asarray(images(rng, 4, model))
    loss, _ = model.loss(x, backend.default_rng(0))
    loss.backward()
    assert loss.dtype == "float32"
    for name, parameter in model.parameters().items():
        assert parameter.grad.dtype == "float32", name
        assert backend.to_numpy(parameter.grad).any(), name
    with no_grad():
        found = model.reconstruction(x), model.mean_code(x), model.reconstruct(x)
        assert {array.dtype.name for array in found} == {"float32"}
    if kind is Denoiser:
        drawn = backend.to_numpy(model.sample(6, backend.default_rng(0)))
        assert drawn.shape == (6, 8, 8, 1) and 0 <= drawn.min() < drawn.max() <= 16


def test_the_gradient_is_that_of_finite_differences(rng):
    model = make(Denoiser, levels=3)
    x = backend.asarray(images(rng, 4, model))
    weight = model.code.weight

    def loss(w):
        model.code.weight = w
        return model.loss(x, backend.default_rng(0))[0]

    check_grads(loss, modes=["rev"], order=1)(weight.data)
    model.code.weight = Tensor(weight.data)


def test_extreme_weights_give_finite_values_and_gradients(rng):
    model = make(Denoiser, levels=3, spread=1.0)
    model.astype("float32")
    for x in model.decoder.parameters().values():
        x[...] = 1e6 * x.data
    loss, _ = model.loss(backend.asarray(images(rng, 4, model)), backend.default_rng(0))
    loss.backward()
    assert math.isfinite(loss.item()) and loss.item() > 1e5
    for name, x in model.parameters().items():
        assert numpy.isfinite(backend.to_numpy(x.grad)).all(), name


def test_wrong_uses_are_errors_that_say_what_is_expected(rng):
    model = make()
    x = backend.asarray(images(rng, 1, model))
    with pytest.raises(ValueError, match=r"images \(1, 2, 1, 1\), expected \(N, 2, 2, 1\)"):
        model.reconstruction(x[:, :, :1])
    with pytest.raises(ValueError, match="not class-conditional"):
        model.mean_code(x, 0)
    with pytest.raises(ValueError, match="classes=10: classes must be 0: an autoencoder is given"):
        AutoencoderConfig(classes=10)
    wrong = {"noise": "salt", "rate": 0.0, "transitions": 0, "output": "poisson"}
    for field, value in wrong.items():
        with pytest.raises(ValueError, match=f"{field}={value}: {field} must be"):
            DenoiserConfig(**{field: value})
    with pytest.raises(ValueError, match=r"rate=1.5: rate must be below 1 for masking"):
        DenoiserConfig(rate=1.5)
    with pytest.raises(ValueError, match="rate=inf: rate must be above 0, and finite"):
        DenoiserConfig(noise="gaussian", rate=math.inf)
    assert DenoiserConfig(noise="gaussian", rate=1.5).rate == 1.5
