"""The VAE with a flow posterior, against exact answers: a code of two numbers can be integrated."""

import functools

import numpy
import pytest
import scipy.special
import scipy.stats

import autograd.numpy as np
from autograd import backend, no_grad
from scratchgen.models.latent.flowvae import POSTERIORS, FlowVAE, FlowVAEConfig
from scratchgen.models.latent.vae import VAE, VAEConfig
from scratchgen.optim import Adam
from tests.scratchgen import exact

SMALL = {
    "height": 2,
    "width": 3,
    "levels": 2,
    "latents": 2,
    "hidden": 8,
    "flow_hidden": 8,
    "dropout": 0,
}


SPREAD = {"planar": 0.5, "radial": 0.35, "iaf": 0.2}
"""Of random weights with which draws are well bent, but not out of all proportion."""


def make(posterior="planar", seed=0, spread=None, **fields):
    """A small model in float64 with random weights in every layer."""
    config = FlowVAEConfig(posterior=posterior, **(SMALL | {"transforms": 3} | fields))
    model = FlowVAE(config, backend.default_rng(seed))
    return exact.randomised(model, seed, spread or SPREAD[posterior])


@functools.cache
def trained(posterior, transforms=4):
    """One of which all but the decoder was trained on two images, ``images(2, model)``."""
    fields = SMALL | {"posterior": posterior, "transforms": transforms}
    model = FlowVAE(FlowVAEConfig(**fields), backend.default_rng(0))
    model.astype("float64")
    exact.randomised(model.decoder, spread=2.0)
    batch = backend.asarray(numpy.concatenate([images(2, model)] * 32))
    learned = [p for name, p in model.parameters().items() if not name.startswith("decoder")]
    optimiser, rng = Adam(learned, 0.02), backend.default_rng(0)
    for _ in range(150):
        model.loss(batch, rng)[0].backward()
        optimiser.step()
    return model


def images(n, model, seed=0):
    return numpy.random.default_rng(seed).integers(0, model.config.levels, (n, *model.shape))


def grid(side):
    """Points (side², 2) of [−7, 7]², and the area that belongs to each."""
    t = numpy.linspace(-7, 7, side)
    return numpy.stack(numpy.meshgrid(t, t, indexing="ij"), -1).reshape(-1, 2), (t[1] - t[0]) ** 2


def log_p(model, x, context=None):
    """ln p(x) = ln ∫ N(z; 0, 1) p(x | z) dz by quadrature: (N,)."""
    points, area = grid(141)
    log_prior = -0.5 * (points**2).sum(1) - numpy.log(2 * numpy.pi)
    codes = backend.asarray(numpy.broadcast_to(points[:, None], (len(points), len(x), 2)))
    with no_grad():
        parameters = model.decode(codes, context)
        given = model.observation.log_prob(parameters, backend.asarray(x), None)
    return scipy.special.logsumexp(
        log_prior[:, None] + backend.to_numpy(given), axis=0
    ) + numpy.log(area)


def log_weights(model, x, k, seed=1):
    with no_grad():
        return backend.to_numpy(model.log_weights(backend.asarray(x), k, backend.default_rng(seed)))


def elbos(model, x, n, seed=2):
    """n independent estimates for each image: (n, N)."""
    with no_grad():
        many = backend.asarray(numpy.concatenate([x] * n))
        bound = model.elbo(many, backend.default_rng(seed)).bound
    return backend.to_numpy(bound).reshape(n, len(x))


def assert_within_four_errors(found, expected):
    error = found.std(0) / numpy.sqrt(len(found))
    assert (abs(found.mean(0) - expected) < 4 * error).all(), (found.mean(0), expected, error)


# ----------------------------------------------------------------------------------- densities


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_the_density_of_the_codes_drawn_integrates_to_one(posterior):
    """z_K on a grid of z_0: Σ of q(z_K) times the areas that the cells have become."""
    model, side = make(posterior), 400
    x = backend.asarray(images(1, model))
    with no_grad():
        mean, log_std, features = model.posterior(x)
        noise, _ = grid(side)
        z_0 = mean + np.exp(log_std) * backend.asarray(noise)
        z, log_det = model.transformed(z_0[:, None], features)
    mean, log_std, z, log_det = (backend.to_numpy(a) for a in (mean, log_std, z[:, 0], log_det))
    log_q = -0.5 * (noise**2).sum(1) - numpy.log(2 * numpy.pi) - log_std.sum() - log_det[:, 0]
    corners, q = z.reshape(side, side, 2), numpy.exp(log_q).reshape(side, side)
    a, b = corners[1:, 1:] - corners[:-1, :-1], corners[1:, :-1] - corners[:-1, 1:]
    areas = abs(a[..., 0] * b[..., 1] - a[..., 1] * b[..., 0]) / 2  # half the diagonals' product
    q = (q[1:, 1:] + q[:-1, 1:] + q[1:, :-1] + q[:-1, :-1]) / 4
    assert (q * areas).sum() == pytest.approx(1, abs=1e-3)
    assert abs(log_det).max() > 0.3, "the flow is the identity, and the sum shows nothing"


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_draws_come_with_their_density(posterior):
    """E_q g(z) / q(z) = ∫ g = 1 for a density g within the reach of q."""
    model = make(posterior)
    x = backend.asarray(images(4, model))
    with no_grad():
        z, log_q = (backend.to_numpy(a) for a in model.draw(x, 40_000, backend.default_rng(0)))
    assert z.shape == (40_000, 4, 2) and log_q.shape == (40_000, 4)
    centre, std = z.mean(0), 0.5 * z.std(0)
    log_g = scipy.stats.norm.logpdf(z, centre, std).sum(-1)
    assert_within_four_errors(numpy.exp(log_g - log_q), 1)


def test_of_two_inverse_autoregressive_transforms_the_second_goes_the_other_way():
    """Else no number of a code would depend on the noise of a later one."""
    model = make("iaf", transforms=2)
    z_0 = numpy.random.default_rng(0).standard_normal((20, 1, 2))

    def changed(by):
        with no_grad():
            _, _, features = model.posterior(backend.asarray(images(1, model)))
            return backend.to_numpy(model.transformed(backend.asarray(z_0 + by), features)[0])

    for by in numpy.eye(2):
        assert (changed(by) != changed(0)).any(axis=(0, 1)).all()


# -------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_the_bound_is_a_bound_and_the_weights_have_the_mean_p(posterior):
    model = trained(posterior)
    x = images(2, model)
    log_w, p = log_weights(model, x, 40_000), log_p(model, x)
    assert_within_four_errors(numpy.exp(log_w - p), 1)
    bounds = [
        (scipy.special.logsumexp(log_w.reshape(k, -1, 2), 0) - numpy.log(k)).mean(0)
        for k in (1, 2, 8)
    ]
    assert (numpy.diff([*bounds, p], axis=0) > 0).all()


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_the_bound_with_the_normal_divergence_taken_exactly_is_that_of_the_weights(posterior):
    model = make(posterior)
    x = images(5, model)
    bound, log_w = elbos(model, x, 20_000), log_weights(model, x, 20_000)
    difference = bound.mean(0) - log_w.mean(0)
    error = numpy.sqrt((bound.var(0) + log_w.var(0)) / 20_000)
    assert (abs(difference) < 4 * error).all()


def test_without_transforms_it_is_the_plain_model_exactly():
    flow = make(transforms=0)
    fields = {name: value for name, value in SMALL.items() if name != "flow_hidden"}
    plain = VAE(VAEConfig(**fields), backend.default_rng(0))
    plain.astype("float64")
    plain.load(flow.values())
    x = images(6, flow)
    numpy.testing.assert_array_equal(elbos(flow, x, 3), elbos(plain, x, 3))
    numpy.testing.assert_array_equal(log_weights(flow, x, 3), log_weights(plain, x, 3))
    assert log_p(flow, x) == pytest.approx(log_p(plain, x), abs=1e-12)


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_a_new_model_has_the_bound_of_the_plain_model_of_the_same_seed(posterior):
    flow = FlowVAE(FlowVAEConfig(posterior=posterior), backend.default_rng(4))
    plain = VAE(VAEConfig(), backend.default_rng(4))
    x = images(6, flow)
    numpy.testing.assert_allclose(elbos(flow, x, 2), elbos(plain, x, 2), rtol=1e-5)


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_a_flow_posterior_comes_nearer_to_the_true_one_than_a_normal_posterior(posterior):
    def gap(model):
        x = images(2, model)
        return (log_p(model, x) - log_weights(model, x, 4_000).mean(0)).mean()

    assert 0 < gap(trained(posterior)) < 0.9 * gap(trained("planar", transforms=0))


# ----------------------------------------------------------------------------------------- uses


@pytest.mark.parametrize("posterior", POSTERIORS)
@pytest.mark.parametrize("fields", [{}, {"classes": 3}, {"network": "conv"}, {"samples": 3}])
def test_the_model_is_float32_as_it_comes_and_every_parameter_learns(posterior, fields):
    config = FlowVAEConfig(posterior=posterior, transforms=2, hidden=8, flow_hidden=8, **fields)
    model = FlowVAE(config, backend.default_rng(0))
    x = backend.asarray(images(4, model))
    batch = (x, backend.asarray(numpy.arange(4) % 3)) if config.classes else x
    loss, metrics = model.loss(batch, backend.default_rng(0), 0)
    loss.backward()
    assert loss.dtype == "float32"
    assert metrics["nats"].item() == pytest.approx(loss.item(), rel=1e-6)
    assert {p.grad.dtype.name for p in model.parameters().values()} == {"float32"}
    exact.randomised(model, spread=0.3)
    model.loss(batch, backend.default_rng(0), 0)[0].backward()
    for name, parameter in model.parameters().items():
        assert backend.to_numpy(parameter.grad).any(), name


def test_the_divergence_is_weighted_in_training_and_the_nats_are_those_of_the_bound():
    model = make(beta=2.0, kl_warmup=4)
    x = backend.asarray(images(6, model))
    elbo = model.elbo(x, backend.default_rng(0), training=True)
    loss, metrics = model.loss(x, backend.default_rng(0), 1)  # half-way through the warm-up
    expected = 2.0 * 0.5 * np.mean(elbo.kl) - np.mean(elbo.reconstruction)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    assert metrics["nats"].item() == pytest.approx(-np.mean(elbo.bound).item(), rel=1e-12)


def test_the_mean_code_is_what_the_mean_of_the_normal_draw_becomes():
    model = make()
    x = backend.asarray(images(3, model))
    mean, _, features = model.posterior(x)
    expected = model.flow.forward(mean, features)[0]
    numpy.testing.assert_allclose(
        backend.to_numpy(model.mean_code(x).detach()), backend.to_numpy(expected.detach())
    )
    assert model.reconstruct(x).shape == x.shape
    assert model.sample(5, backend.default_rng(0)).shape == (5, *model.shape)


@pytest.mark.parametrize("posterior", POSTERIORS)
def test_extreme_features_give_a_finite_bound_and_gradient(posterior):
    for scale in (1e-8, 1e3, 1e5):
        model = make(posterior, transforms=1)
        model.astype("float32")
        for name, parameter in model.parameters().items():
            if name.startswith("flow"):
                parameter[...] = scale * parameter.data
        loss, _ = model.loss(backend.asarray(images(6, model)), backend.default_rng(0))
        loss.backward()
        assert numpy.isfinite(loss.item())
        for name, parameter in model.parameters().items():
            assert numpy.isfinite(backend.to_numpy(parameter.grad)).all(), (scale, name)


def test_wrong_configurations_are_errors_that_say_what_is_expected():
    with pytest.raises(ValueError, match="posterior must be planar or radial or iaf"):
        FlowVAEConfig(posterior="flat")
    with pytest.raises(ValueError, match="transforms must be at least 1, or 0 for none"):
        FlowVAEConfig(transforms=-1)
