"""The ladder VAE against quadrature over both of its layers, and against a linear-Gaussian case."""

import math

import numpy
import pytest
import scipy.special
import scipy.stats

import autograd.numpy as np
from autograd import Tensor, backend, no_grad
from autograd.test_util import check_grads
from scratchgen.distributions import normal
from scratchgen.models.latent.ladder import (
    LOG_STD,
    LadderConfig,
    LadderVAE,
    Normal,
    combined,
    normal_of,
)
from tests.scratchgen import exact

NODES = 200


def make(height=2, width=2, levels=2, seed=0, latents=1, top=1, hidden=8, spread=0.5, **sizes):
    """With random weights; ``spread``: about ln σ̂_1. If it is large, weights w vary little."""
    config = LadderConfig(
        height=height,
        width=width,
        levels=levels,
        latents=latents,
        top=top,
        hidden=hidden,
        **{"dropout": 0.0, "kl_warmup": 0} | sizes,
    )
    model = exact.randomised(LadderVAE(config, backend.default_rng(seed)), seed, 0.6)
    layers = (model.evidence, latents, spread), (model.up.output, top, 0.5)
    for layer, numbers, log_std in layers:
        layer.weight[...] = 0.1 * layer.weight.data
        layer.bias[...] = backend.asarray([0.3] * numbers + [log_std] * numbers)
    return model


def images(rng, n, model):
    return rng.integers(0, model.config.levels, (n, *model.shape))


def quadrature():
    """Nodes ε and weights for the mean over ε ~ N(0, 1), also of functions with kinks."""
    nodes = numpy.linspace(-7, 7, NODES)
    weights = scipy.stats.norm.pdf(nodes)
    return nodes, weights / weights.sum()


def host(pair):
    return [backend.to_numpy(x) for x in pair]


def over_both_layers(model, label=None):
    """z_1 (NODES², 1) of p(z_1, z_2), with the weights of their mean."""
    nodes, weights = quadrature()
    vectors = None if label is None else model.vectors(label, NODES)
    mean, log_std = host(model.prior(backend.asarray(nodes[:, None]), vectors))
    z_1 = mean + numpy.exp(log_std) * nodes  # (z_2, z_1)
    return z_1.reshape(-1, 1), numpy.outer(weights, weights).ravel()


def log_p_given(model, x, z_1, label=None):
    """ln p(x | z_1) of each image and each z_1: (images, z_1)."""
    with no_grad():
        context = None if label is None else np.full(len(z_1), label)
        logits = backend.to_numpy(model.decode(backend.asarray(z_1), context))
    logits = logits.reshape(len(z_1), math.prod(model.shape), -1)
    if model.config.levels == 2:  # of level 1; that of level 0 is 0
        logits = numpy.concatenate([numpy.zeros_like(logits), logits], -1)
    log_p = scipy.special.log_softmax(logits, -1)
    is_level = x.reshape(len(x), -1, 1) == numpy.arange(model.config.levels)
    return is_level.reshape(len(x), -1).astype(float) @ log_p.reshape(len(z_1), -1).T


def exact_probabilities(model, label=None):
    """p of every image by quadrature over both layers."""
    z_1, weights = over_both_layers(model, label)
    return numpy.exp(log_p_given(model, exact.every_image(model), z_1, label)) @ weights


def exact_bound(model, x):
    """(reconstruction, KL_1, KL_2) of each image by quadrature over q."""
    nodes, weights = quadrature()
    with no_grad():
        features = model.encoder(model.scaled(backend.asarray(x)), None, None)
        evidence = host(normal_of(model.evidence(features)))
        mean, log_std = (part[:, 0] for part in host(normal_of(model.up(features))))
        found = []
        for i in range(len(x)):
            z_2 = mean[i] + numpy.exp(log_std[i]) * nodes
            prior = host(model.prior(backend.asarray(z_2[:, None])))
            m, s = evidence[0][i, 0], numpy.exp(evidence[1][i, 0])
            n, t = prior[0][:, 0], numpy.exp(prior[1][:, 0])
            variance = 1 / (1 / s**2 + 1 / t**2)
            centre = variance * (m / s**2 + n / t**2)
            kl_1 = 0.5 * ((variance + (centre - n) ** 2) / t**2 - 1 - numpy.log(variance / t**2))
            z_1 = centre[:, None] + numpy.sqrt(variance)[:, None] * nodes
            log_p = log_p_given(model, x[i : i + 1], z_1.reshape(-1, 1)).reshape(NODES, NODES)
            variance_2 = numpy.exp(2 * log_std[i])
            kl_2 = 0.5 * (variance_2 + mean[i] ** 2 - 1 - numpy.log(variance_2))
            found.append((weights @ log_p @ weights, weights @ kl_1, kl_2))
    return numpy.array(found).T


def repeated(model, x, n, label=None):
    """n estimates of the bound's reconstruction, KL_1 and KL_2, of each image: (3, n, images)."""
    with no_grad():
        every = backend.asarray(numpy.tile(x, (n, 1, 1, 1)))
        elbo = model.elbo(every, backend.default_rng(0), label)
        parts = [elbo.reconstruction, elbo.parts[:, 0], elbo.parts[:, 1]]
        numpy.testing.assert_allclose(
            *host((elbo.kl, elbo.parts[:, 0] + elbo.parts[:, 1])), rtol=1e-12
        )
        bound = elbo.reconstruction - elbo.parts[:, 0] - elbo.parts[:, 1]
        numpy.testing.assert_allclose(*host((elbo.bound, bound)), rtol=1e-12)
        return numpy.stack(host(parts)).reshape(3, n, -1)


def assert_within_four_standard_errors(draws, expected):
    """The means of independent draws (n, …)."""
    errors = draws.std(0, ddof=1) / math.sqrt(len(draws))
    assert (abs(draws.mean(0) - expected) <= 4 * errors + 1e-9).all()


# ----------------------------------------------------------------------------- precision weighting


def test_precisions_add_up_and_weight_the_means(rng):
    (m, a), (n, b) = prior, evidence = rng.standard_normal((2, 2, 50))
    with no_grad():
        mean, log_std = host(
            combined(*(Normal(*map(backend.asarray, x)) for x in (prior, evidence)))
        )
    precisions = numpy.exp(-2 * a), numpy.exp(-2 * b)
    expected = (m * precisions[0] + n * precisions[1]) / sum(precisions)
    numpy.testing.assert_allclose(numpy.exp(-2 * log_std), sum(precisions), rtol=1e-12)
    numpy.testing.assert_allclose(mean, expected, rtol=1e-12)


def test_the_combination_is_the_normalised_product_of_the_densities():
    prior, evidence = Normal(0.3, -0.2), Normal(-1.1, 0.4)
    grid = numpy.linspace(-8, 8, 20_001)
    product = numpy.exp(
        sum(scipy.stats.norm.logpdf(grid, m, math.exp(s)) for m, s in (prior, evidence))
    )
    product /= numpy.trapezoid(product, grid)
    on_device = [Normal(*(backend.asarray(x) for x in pair)) for pair in (prior, evidence)]
    mean, log_std = (x.item() for x in combined(*on_device))
    numpy.testing.assert_allclose(
        scipy.stats.norm.pdf(grid, mean, math.exp(log_std)), product, rtol=0, atol=1e-9
    )


def test_evidence_that_says_nothing_leaves_the_prior_and_certain_evidence_replaces_it():
    prior = Normal(*(backend.asarray([x], dtype="float32") for x in (0.3, -0.2)))
    for log_std, expected in ((30.0, (0.3, -0.2)), (-30.0, (-1.1, -30.0))):
        evidence = Normal(*(backend.asarray([x], dtype="float32") for x in (-1.1, log_std)))
        found = combined(prior, evidence)
        assert found.mean.dtype == found.log_std.dtype == "float32"
        numpy.testing.assert_allclose(
            [found.mean.item(), found.log_std.item()], expected, rtol=0, atol=1e-6
        )


# -------------------------------------------------------------------------------- exact likelihood


@pytest.mark.parametrize("height, width, levels", [(2, 2, 2), (3, 3, 2), (1, 2, 4)])
def test_the_probabilities_of_all_images_sum_to_one_by_quadrature_and_by_importance_weights(
    height, width, levels
):
    model = make(height, width, levels, spread=2.5)
    p = exact_probabilities(model)
    assert p.sum() == pytest.approx(1, abs=1e-10) and p.max() > 2 / len(p)
    every = backend.asarray(exact.every_image(model))
    with no_grad():
        w = backend.to_numpy(np.exp(model.log_weights(every, 500, backend.default_rng(0))))
    assert_within_four_standard_errors(w.sum(1), 1)
    if len(p) == 16:  # of hundreds some would be further off
        assert_within_four_standard_errors(w, p)


def test_the_bound_and_its_parts_are_those_of_quadrature_and_below_the_likelihood(rng):
    model = make()
    x = exact.every_image(model)
    expected = exact_bound(model, x)
    assert_within_four_standard_errors(repeated(model, x, 2000).swapaxes(0, 1), expected)
    reconstruction, kl_1, kl_2 = expected
    gap = numpy.log(exact_probabilities(model)) - (reconstruction - kl_1 - kl_2)
    assert min(gap.min(), kl_1.min(), kl_2.min()) > 1e-4


def test_the_bound_grows_with_the_number_of_importance_samples(rng):
    model = make()
    every = backend.asarray(numpy.tile(exact.every_image(model), (200, 1, 1, 1)))
    log_p = numpy.log(exact_probabilities(model)).mean()
    with no_grad():
        bounds = [
            backend.to_numpy(model.log_prob_iw(every, k, backend.default_rng(0))).mean()
            for k in (1, 4, 16, 64)
        ]
        bound = backend.to_numpy(model.elbo(every, backend.default_rng(1)).bound).mean()
    assert bounds == sorted(bounds) and bounds[-1] == pytest.approx(log_p, abs=0.02)
    assert bounds[0] == pytest.approx(bound, abs=0.05) and bound < log_p - 0.05


def test_samples_occur_as_often_as_their_probability_says():
    model = make()
    x = backend.to_numpy(model.sample(20_000, backend.default_rng(0)))
    exact.assert_frequencies(exact.number(model, x), exact_probabilities(model))


def test_with_classes_all_of_it_is_conditioned_on_the_label():
    model = make(classes=3, spread=2.5)
    every = backend.asarray(exact.every_image(model))
    p = [exact_probabilities(model, label) for label in range(3)]
    assert abs(p[0] - p[1]).max() > 0.01
    z_2 = np.zeros((2, 1))
    first, second = host(model.prior(z_2, model.vectors(backend.asarray([0, 1]), 2)).mean)
    assert first != second
    for label in range(3):
        with no_grad():
            w = np.exp(model.log_weights(every, 2000, backend.default_rng(0), label))
        assert_within_four_standard_errors(backend.to_numpy(w), p[label])
    x = backend.to_numpy(model.sample(10_000, backend.default_rng(0), context=2))
    exact.assert_frequencies(exact.number(model, x), p[2])


# -------------------------------------------------------------------------------- linear Gaussian

A, B, S, C, T = 1.3, 0.4, 0.7, -0.8, 0.5  # z_1 ~ N(A z_2 + B, S²), x ~ N(C z_1, T²)


class RealNumber:
    """N(x; µ, T²) of one real number, in place of a model's observation."""

    def log_prob(self, parameters, x, rng):
        return np.sum(normal.log_prob(parameters, np.log(np.full(1, T)), x[:, :, 0, 0]), axis=-1)


def linear_gaussian(shift=0.0, scale=1.0):
    """A ladder whose q(z_1 | z_2, x) is exact, and q(z_2 | x) too but for ``shift``, ``scale``."""
    base = make(1, 1)

    class Linear(LadderVAE):
        _dtype = numpy.dtype("float64")
        scaled = staticmethod(lambda x: x)
        check = staticmethod(lambda x: None)

    def both(mean, std):
        raw = LOG_STD * math.atanh(math.log(std) / LOG_STD)
        return np.concatenate([mean, np.full_like(mean, raw)], axis=-1)

    marginal = C * C * S * S + T * T  # of x given z_2
    precision = 1 + (C * A) ** 2 / marginal
    model = Linear(base.config, backend.default_rng(0))
    model.astype("float64")
    model.observation = RealNumber()
    model.encoder = lambda x, vectors=None, rng=None: x.reshape(-1, 1)
    model.evidence = lambda x: both(x / C, T / abs(C))
    model.up = lambda x, vectors=None, rng=None: both(
        shift + C * A * (x - C * B) / marginal / precision, scale / math.sqrt(precision)
    )
    model.down = lambda z, vectors=None, rng=None: both(A * z + B, S)
    model.decoder = lambda z, vectors=None, rng=None: C * z
    return model


X = numpy.array([-1.5, 0.2, 2.0]).reshape(-1, 1, 1, 1)
EVIDENCE = scipy.stats.norm.logpdf(X.ravel(), C * B, math.sqrt(C * C * (A * A + S * S) + T * T))


def test_with_the_exact_posterior_every_weight_is_the_likelihood():
    with no_grad():
        log_w = linear_gaussian().log_weights(backend.asarray(X), 7, backend.default_rng(0))
    numpy.testing.assert_allclose(
        backend.to_numpy(log_w), numpy.tile(EVIDENCE, (7, 1)), rtol=0, atol=1e-10
    )


def test_the_gap_of_the_bound_is_the_divergence_of_q_from_the_posterior():
    shift, scale = 0.5, 1.6
    model, n = linear_gaussian(shift, scale), 5000
    precision = 1 + (C * A) ** 2 / (C * C * S * S + T * T)
    # of N(m + shift, scale² v) from N(m, v)
    gap = 0.5 * (scale**2 + shift**2 * precision - 1) - math.log(scale)
    reconstruction, kl_1, kl_2 = repeated(model, X, n)
    assert_within_four_standard_errors(reconstruction - kl_1 - kl_2, EVIDENCE - gap)


def test_the_mean_code_is_the_mean_of_z_1_given_the_image():
    model, variance = linear_gaussian(), A * A + S * S
    expected = (B / variance + C * X / T**2) / (1 / variance + C * C / T**2)
    with no_grad():
        found = backend.to_numpy(model.mean_code(backend.asarray(X)))
    numpy.testing.assert_allclose(found, expected.reshape(-1, 1), rtol=1e-12)


# ---------------------------------------------------------------------------------------- training


def test_the_loss_is_the_bound_weighed_by_the_config_and_reports_each_layer(rng):
    x = images(rng, 6, make())
    for sizes, step, weight in (
        ({"kl_warmup": 10}, None, 1.0),
        ({"beta": 3.0, "kl_warmup": 0}, 0, 3.0),
        ({"kl_warmup": 10}, 3, 0.4),
    ):
        model = make(**sizes)
        elbo = model.elbo(backend.asarray(x), backend.default_rng(0))
        loss, metrics = model.loss(backend.asarray(x), backend.default_rng(0), step)
        reconstruction = elbo.reconstruction.mean().item()
        kl = [x.item() for x in elbo.parts.mean(axis=0)]
        assert loss.item() == pytest.approx(weight * sum(kl) - reconstruction, rel=1e-12)
        assert metrics["nats"].item() == pytest.approx(sum(kl) - reconstruction, rel=1e-12)
        found = [metrics[name].item() for name in ("kl_1", "kl_2", "kl")]
        assert found == pytest.approx([*kl, sum(kl)], rel=1e-12)


def test_free_bits_are_what_each_layer_costs_at_least(rng):
    model = make(free_bits=50.0, kl_warmup=0)
    x = backend.asarray(images(rng, 6, model))
    loss, metrics = model.loss(x, backend.default_rng(0))
    reconstruction = metrics["kl"].item() - metrics["nats"].item()
    assert loss.item() == pytest.approx(100 - reconstruction, rel=1e-12)


def test_the_gradient_is_that_of_finite_differences(rng):
    model = make(latents=2, top=2, hidden=3)
    x = backend.asarray(images(rng, 3, model))
    for layer in (model.evidence, model.up.output, model.down.output):
        weight = layer.weight

        def loss(w, layer=layer):
            layer.weight = w
            return model.loss(x, backend.default_rng(0))[0]

        check_grads(loss, modes=["rev"], order=1)(weight.data)
        layer.weight = Tensor(weight.data)


@pytest.mark.parametrize("sizes", [{}, {"network": "conv", "layers": 2}, {"classes": 3}])
def test_the_model_is_float32_as_it_comes_and_every_parameter_learns(rng, sizes):
    model = LadderVAE(LadderConfig(hidden=8, dropout=0.2, **sizes), backend.default_rng(0))
    x = backend.asarray(images(rng, 5, model))
    context = backend.asarray(numpy.arange(5) % 3) if sizes.get("classes") else None
    loss, metrics = model.loss((x, context), backend.default_rng(0), 0)
    loss.backward()
    assert {loss.dtype, *(value.dtype for value in metrics.values())} == {numpy.dtype("float32")}
    for name, parameter in model.parameters().items():
        assert parameter.grad.dtype == "float32", name
    with no_grad():
        assert model.log_weights(x, 3, backend.default_rng(0), context).dtype == "float32"
        assert model.mean_code(x, context).shape == (5, 16)
        assert model.reconstruct(x, context).shape == (5, 8, 8, 1)
        assert model.sample(5, backend.default_rng(0), context).shape == (5, 8, 8, 1)
    exact.randomised(model, spread=0.3)  # at first q does not depend on the image
    model.loss((x, context), backend.default_rng(0), 0)[0].backward()
    for name, parameter in model.parameters().items():
        assert backend.to_numpy(parameter.grad).any(), name


def test_dropout_acts_in_training_only(rng):
    model = make(2, 2, dropout=0.5, latents=3, top=3)
    x = backend.asarray(images(rng, 4, model))

    def bound(training):
        with no_grad():
            elbo = model.elbo(x, backend.default_rng(0), training=training)
            return backend.to_numpy(elbo.kl)

    assert (bound(True) != bound(False)).all()
    numpy.testing.assert_array_equal(bound(False), bound(False))


@pytest.mark.parametrize("factor", [1e3, 1e6])
@pytest.mark.parametrize("where", ["evidence", "up", "down"])
def test_extreme_log_variances_give_finite_values_and_gradients(where, factor, rng):
    model = make(latents=3, top=2)
    model.astype("float32")
    layer = getattr(model, where)
    layer = getattr(layer, "output", layer)
    half = layer.bias.shape[0] // 2
    for sign in (-1, 1):
        layer.bias[half:] = sign * factor
        x = backend.asarray(images(rng, 4, model))
        loss, _ = model.loss(x, backend.default_rng(0))
        loss.backward()
        assert math.isfinite(loss.item())
        for name, parameter in model.parameters().items():
            assert numpy.isfinite(backend.to_numpy(parameter.grad)).all(), name
            parameter.grad = None
        with no_grad():
            log_w = backend.to_numpy(model.log_weights(x, 3, backend.default_rng(0)))
        assert numpy.isfinite(log_w).all()


def test_wrong_uses_are_errors_that_say_what_is_expected(rng):
    model = make()
    x = backend.asarray(images(rng, 1, model))
    with pytest.raises(ValueError, match=r"images \(1, 2, 1, 1\), expected \(N, 2, 2, 1\)"):
        model.elbo(x[:, :, :1], backend.default_rng(0))
    with pytest.raises(ValueError, match="LadderVAE is not class-conditional"):
        model.sample(1, backend.default_rng(0), context=0)
    with pytest.raises(ValueError, match="top=0: top must be at least 1"):
        LadderConfig(top=0)
