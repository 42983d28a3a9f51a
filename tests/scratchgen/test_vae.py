"""The variational autoencoder and its parts: networks, observations, what is trained, errors."""

import math

import numpy
import pytest
import scipy.stats

import autograd.numpy as np
from autograd import backend, no_grad
from scratchgen.models.latent.networks import NetworkConfig, decoder, encoder
from scratchgen.models.latent.observation import Bernoulli, Categorical, Gaussian, observation_of
from scratchgen.models.latent.vae import VAE, VAEConfig
from tests.scratchgen import exact

# ---------------------------------------------------------------------------------------- helpers


def make(height=4, width=4, levels=3, seed=0, spread=0.4, **fields):
    """A small model in float64 with random weights in every layer."""
    fields = {"latents": 3, "hidden": 8, "dropout": 0.0} | fields
    config = VAEConfig(height, width, levels=levels, **fields)
    return exact.randomised(VAE(config, backend.default_rng(seed)), seed, spread)


def images(model, n, seed=0):
    shape = n, *exact.shape_of(model)
    x = numpy.random.default_rng(seed).integers(0, model.config.levels, shape)
    return backend.asarray(x)


def host(x):
    return backend.to_numpy(x.data if hasattr(x, "node") else x)


def bound(model, x, context=None, seed=0, training=False):
    with no_grad():
        return host(model.elbo(x, backend.default_rng(seed), context, training=training).bound)


# -------------------------------------------------------------------------------------- networks

SIDES = [(8, 8), (28, 28), (7, 5), (1, 3), (9, 12)]


@pytest.mark.parametrize("network", ["dense", "conv"])
@pytest.mark.parametrize(("height", "width"), SIDES)
@pytest.mark.parametrize("layers", [0, 1, 3])
@pytest.mark.parametrize("classes", [0, 4])
def test_networks_take_images_of_any_sides_to_features_and_codes_to_images(
    network, height, width, layers, classes
):
    config = NetworkConfig(
        height, width, 2, latents=3, network=network, hidden=16, layers=layers, classes=classes
    )
    rng = backend.default_rng(0)
    numbers = 3 * config.dimensions
    encode, decode = encoder(config, rng), decoder(config, 3, numbers, rng)
    x = rng.standard_normal((2, height, width, 2)).astype("float32")
    z = rng.standard_normal((5, 2, 3)).astype("float32")
    vectors = np.eye(classes, dtype="float32")[:2] if classes else None
    features = encode(x, vectors)
    assert features.shape == (2, encode.width) and features.dtype == "float32"
    many = None if vectors is None else np.broadcast_to(vectors, (5, 2, classes))
    y = decode(z, many)
    assert y.shape == (5, 2, numbers) and y.dtype == "float32"
    for i in range(5):
        numpy.testing.assert_allclose(host(decode(z[i], vectors)), host(y[i]), atol=1e-5)
    if classes:
        assert (host(encode(x, vectors[::-1])) != host(features)).any(1).all()
        assert (host(decode(z, many[:, ::-1])) != host(y)).any(2).all()


@pytest.mark.parametrize(("height", "width"), SIDES)
def test_every_pixel_reaches_the_features_and_the_code_every_pixel(height, width):
    config = NetworkConfig(height, width, latents=2, network="conv", hidden=4, layers=2)
    rng = backend.default_rng(0)
    encode, decode = encoder(config, rng), decoder(config, 2, config.dimensions, rng)
    exact.opened(encode), exact.opened(decode)
    x = numpy.ones((1, height, width, 1), "float32")
    seen = exact.seen(lambda x: np.sum(encode(x), -1, keepdims=True), x, (0,))
    assert seen.all()
    y = host(decode(backend.asarray(numpy.ones((1, 2), "float32"))))
    assert (y > 0).all()


@pytest.mark.parametrize("network", ["dense", "conv"])
def test_dropout_acts_in_training_only(network):
    model = make(network=network, dropout=0.5)
    x = images(model, 6)
    assert (bound(model, x, training=True) != bound(model, x)).all()
    numpy.testing.assert_array_equal(bound(model, x), bound(model, x))
    with no_grad():
        z = model.mean_code(x)
        numpy.testing.assert_array_equal(host(model.mean_code(x)), host(z))
        numpy.testing.assert_array_equal(host(model.decode(z)), host(model.decode(z)))


# ------------------------------------------------------------------------------------ observations


def parameters_of(observation, n, seed=0):
    rng = numpy.random.default_rng(seed)
    return backend.asarray(rng.standard_normal((n, observation.numbers)))


def pmf(observation, parameters):
    """p of each level of an image of one value, exactly: (levels,)."""
    p = host(parameters)[0]
    if isinstance(observation, Bernoulli):
        return numpy.array([1, numpy.exp(p[0])]) / (1 + numpy.exp(p[0]))
    if isinstance(observation, Categorical):
        return numpy.exp(p) / numpy.exp(p).sum()
    ends = numpy.arange(observation.levels + 1) / observation.levels
    return numpy.diff(scipy.stats.norm(p[0], numpy.exp(p[1])).cdf(ends))


@pytest.mark.parametrize("levels", [2, 5])
def test_probabilities_of_all_levels_are_those_of_the_logits_and_sum_to_one(levels):
    observation = observation_of(VAEConfig(1, 1, levels=levels))
    assert isinstance(observation, Bernoulli if levels == 2 else Categorical)
    parameters = parameters_of(observation, 1)
    x = backend.asarray(numpy.arange(levels).reshape(-1, 1, 1, 1))
    log_p = observation.log_prob(
        np.broadcast_to(parameters, (levels, observation.numbers)), x, None
    )
    numpy.testing.assert_allclose(numpy.exp(host(log_p)), pmf(observation, parameters), rtol=1e-12)
    assert numpy.exp(host(log_p)).sum() == pytest.approx(1, rel=1e-12)


def test_a_gaussian_bounds_the_probability_of_the_levels_that_round_to_an_image():
    class Uniform:
        def random(self, shape):
            return np.broadcast_to(u, shape)

    nodes, weights = numpy.polynomial.legendre.leggauss(30)
    observation = observation_of(VAEConfig(1, 1, levels=4, output="gaussian"))
    assert isinstance(observation, Gaussian)
    parameters = backend.asarray([[0.4, -1.2]])
    p = pmf(observation, parameters)
    for level in range(4):
        found = []
        for node in nodes:
            u = backend.asarray((node + 1) / 2)
            x = backend.asarray(numpy.full((1, 1, 1, 1), level))
            found.append(host(observation.log_prob(parameters, x, Uniform())).item())
        assert numpy.exp(found) @ weights / 2 == pytest.approx(p[level], rel=1e-10)
        assert numpy.array(found) @ weights / 2 < math.log(p[level])


@pytest.mark.parametrize(
    ("output", "levels"), [("categorical", 2), ("categorical", 5), ("gaussian", 4)]
)
@pytest.mark.parametrize("temperature", [1.0, 0.4])
def test_samples_of_an_observation_follow_its_probabilities(output, levels, temperature):
    observation = observation_of(VAEConfig(1, 1, levels=levels, output=output))
    if output == "gaussian":
        parameters = backend.asarray([[0.4, -1.2]])
        log_std = -1.2 + math.log(temperature)
        p = pmf(observation, backend.asarray([[0.4, log_std]]))
        # what falls below the lowest level or above the highest is counted in
        tails = scipy.stats.norm(0.4, math.exp(log_std))
        p[0], p[-1] = p[0] + tails.cdf(0), p[-1] + tails.sf(1)
    else:
        parameters = parameters_of(observation, 1)
        p = pmf(observation, parameters / temperature)
    many = np.broadcast_to(parameters, (20_000, observation.numbers))
    x = host(observation.sample(many, backend.default_rng(0), temperature))
    assert x.shape == (20_000, 1, 1, 1) and x.dtype.kind == "i"
    exact.assert_frequencies(x.ravel(), p)


@pytest.mark.parametrize(
    ("output", "levels"), [("categorical", 2), ("categorical", 5), ("gaussian", 50)]
)
def test_the_mean_image_is_the_mean_of_samples(output, levels):
    observation = observation_of(VAEConfig(2, 3, 2, levels, output=output))
    parameters = parameters_of(observation, 1)
    if output == "gaussian":  # well within the levels
        pairs = numpy.stack([numpy.linspace(0.4, 0.6, 12), numpy.full(12, -3.0)], -1)
        parameters = backend.asarray(pairs.reshape(1, -1))
    many = np.broadcast_to(parameters, (20_000, observation.numbers))
    x = host(observation.sample(many, backend.default_rng(0)))
    mean = host(observation.mean(parameters))
    assert mean.shape == (1, 2, 3, 2)
    error = x.std(0) / math.sqrt(len(x))
    assert (abs(x.mean(0) - mean[0]) < 4.5 * error).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("output", "levels"), [("categorical", 2), ("categorical", 5), ("gaussian", 4)]
)
def test_what_is_known_of_images_is_of_the_parameters_type(output, levels, dtype):
    observation = observation_of(VAEConfig(2, 3, levels=levels, output=output))
    parameters = parameters_of(observation, 4).astype(dtype)
    assert observation.mean(parameters).dtype == dtype
    x = observation.sample(parameters, backend.default_rng(0))
    assert observation.log_prob(parameters, x, backend.default_rng(0)).dtype == dtype


@pytest.mark.parametrize(
    ("output", "levels"), [("categorical", 2), ("categorical", 3), ("gaussian", 3)]
)
def test_several_codes_of_an_image_are_observed_at_once(output, levels):
    observation = observation_of(VAEConfig(2, 3, levels=levels, output=output))
    parameters = parameters_of(observation, 8).reshape(4, 2, -1)
    x = backend.asarray(numpy.random.default_rng(1).integers(0, levels, (2, 2, 3, 1)))
    u = backend.asarray(numpy.random.default_rng(2).random((4, 2, 2, 3, 1)))

    class Uniform:
        def __init__(self, u):
            self.u = u

        def random(self, shape):
            assert shape == self.u.shape
            return self.u

    together = host(observation.log_prob(parameters, x, Uniform(u)))
    for i in range(4):
        alone = observation.log_prob(parameters[i], x, Uniform(u[i]))
        numpy.testing.assert_allclose(together[i], host(alone), rtol=1e-12)


# ---------------------------------------------------------------------------------- what is trained


def loss(model, x, step=None, context=None, seed=0):
    batch = x if context is None else (x, context)
    return model.loss(batch, backend.default_rng(seed), step)


def with_fields(model, **fields):
    """The same weights under another configuration."""
    other = make(model.config.height, model.config.width, model.config.levels, **fields)
    other.load(model.values())
    return other


def test_by_default_the_loss_is_the_negative_bound_and_so_are_the_nats():
    model = make()
    x = images(model, 5)
    found, metrics = loss(model, x, step=0)
    assert found.item() == pytest.approx(-bound(model, x).mean(), rel=1e-12)
    assert metrics["nats"].item() == pytest.approx(found.item(), rel=1e-12)


def test_beta_free_bits_and_warm_up_weigh_the_divergence_as_their_formulas_say():
    model = make()
    x = images(model, 5)
    with no_grad():
        elbo = model.elbo(x, backend.default_rng(0))
    reconstruction, parts = host(elbo.reconstruction).mean(), host(elbo.parts).mean(0)
    floor = float(numpy.median(parts))
    assert parts.min() < floor < parts.max()
    cases = [
        ({"beta": 4.0}, None, 4 * parts.sum()),
        ({"beta": 0.0}, None, 0),
        ({"free_bits": floor}, None, numpy.maximum(parts, floor).sum()),
        ({"kl_warmup": 10}, 0, 0.1 * parts.sum()),
        ({"kl_warmup": 10}, 4, 0.5 * parts.sum()),
        ({"kl_warmup": 10}, 9, parts.sum()),
        ({"kl_warmup": 10}, 500, parts.sum()),
        ({"kl_warmup": 10}, None, parts.sum()),
        ({"kl_warmup": 4, "beta": 2.0, "free_bits": floor}, 1, numpy.maximum(parts, floor).sum()),
    ]
    for fields, step, divergence in cases:
        found, metrics = loss(with_fields(model, **fields), x, step)
        assert found.item() == pytest.approx(divergence - reconstruction, rel=1e-12), fields
        assert metrics["nats"].item() == pytest.approx(parts.sum() - reconstruction, rel=1e-12)
        assert metrics["kl"].item() == pytest.approx(parts.sum(), rel=1e-12)


def test_a_latent_number_below_its_free_bits_gets_no_gradient_from_the_divergence():
    model = with_fields(make(), beta=1.0, free_bits=1e3)
    x = images(model, 5)
    loss(model, x)[0].backward()
    gradient = host(model.code.bias.grad).copy()
    model.code.bias.grad = None
    (-np.mean(model.elbo(x, backend.default_rng(0)).reconstruction)).backward()
    numpy.testing.assert_allclose(host(model.code.bias.grad), gradient, rtol=1e-12)


@pytest.mark.parametrize("network", ["dense", "conv"])
@pytest.mark.parametrize("samples", [1, 3])
def test_the_model_is_float32_as_it_comes_and_every_parameter_learns(network, samples):
    config = VAEConfig(7, 6, 2, latents=3, network=network, hidden=8, layers=2, samples=samples)
    model = VAE(config, backend.default_rng(0))
    x = images(model, 4)
    value, metrics = loss(model, x)
    value.backward()
    assert value.dtype == "float32" and math.isfinite(metrics["nats"].item())
    for name, parameter in model.parameters().items():
        assert parameter.dtype == "float32" and parameter.grad.dtype == "float32", name
    with no_grad():
        assert model.sample_prior(2, backend.default_rng(0)).dtype == "float32"
        assert model.log_weights(x, 2, backend.default_rng(0)).dtype == "float32"
    exact.randomised(model, spread=0.3)
    loss(model, x)[0].backward()
    for name, parameter in model.parameters().items():
        assert host(parameter.grad).any(), name


def test_the_gaussian_output_trains_too():
    model = VAE(VAEConfig(4, 4, output="gaussian"), backend.default_rng(0))
    value, _ = loss(model, images(model, 4))
    value.backward()
    assert value.dtype == "float32"
    assert all(numpy.isfinite(host(x.grad)).all() for x in model.parameters().values())


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("levels", [2, 17])
@pytest.mark.parametrize("log_std", [-40.0, 40.0])
def test_codes_of_extreme_spread_have_finite_bounds_and_gradients(samples, levels, log_std):
    config = VAEConfig(3, 3, levels=levels, latents=2, hidden=4, samples=samples)
    model = VAE(config, backend.default_rng(0))
    model.code.bias[2:] = log_std
    value, _ = loss(model, images(model, 4))
    value.backward()
    assert math.isfinite(value.item())
    for name, x in model.parameters().items():
        assert numpy.isfinite(host(x.grad)).all(), name


@pytest.mark.parametrize("log_std", [-30.0, 40.0])
def test_gaussian_outputs_of_extreme_spread_have_finite_bounds_and_gradients(log_std):
    model = VAE(VAEConfig(3, 3, output="gaussian"), backend.default_rng(0))
    model.decoder.output.bias[1::2] = log_std
    value, _ = loss(model, images(model, 4))
    value.backward()
    assert math.isfinite(value.item())
    assert all(numpy.isfinite(host(x.grad)).all() for x in model.parameters().values())


@pytest.mark.parametrize("logit", [-1e4, 1e4])
def test_saturated_outputs_have_finite_values_and_gradients(logit):
    model = make(levels=2)
    model.decoder.output.bias[...] = logit
    value, _ = loss(model, images(model, 4))
    value.backward()
    assert math.isfinite(value.item())
    assert all(numpy.isfinite(host(x.grad)).all() for x in model.parameters().values())


# ------------------------------------------------------------------------------------------ classes


@pytest.mark.parametrize("network", ["dense", "conv"])
def test_labels_change_everything_but_the_prior(network):
    model = make(network=network, classes=3)
    x, labels = images(model, 6), backend.asarray(numpy.arange(6) % 3)
    others = backend.asarray((numpy.arange(6) + 1) % 3)
    with no_grad():
        z = model.mean_code(x, labels)
        assert (host(z) != host(model.mean_code(x, others))).all()
        assert (host(model.decode(z, labels)) != host(model.decode(z, others))).any(1).all()
        priors = [host(model.sample_prior(6, backend.default_rng(0), c)) for c in (labels, others)]
        numpy.testing.assert_array_equal(*priors)
        weights = host(model.log_weights(x, 4, backend.default_rng(0), labels))
    assert weights.shape == (4, 6)
    for i in range(6):
        alone = bound(model, x, labels[i])
        numpy.testing.assert_allclose(alone[i], bound(model, x, labels)[i], rtol=1e-12)


def test_with_one_class_it_is_the_plain_model_whose_biases_hold_the_labels_weights():
    conditional = make(classes=1)
    plain = make()
    values = conditional.values()
    d, latents = plain.config.dimensions, plain.config.latents
    for layer, inputs in {"encoder.hidden.0": d, "decoder.hidden.0": latents}.items():
        weight = values[f"{layer}.weight"]
        values[f"{layer}.weight"] = weight[:inputs]
        values[f"{layer}.bias"] = values[f"{layer}.bias"] + weight[inputs]
    plain.load(values)
    x = images(plain, 5)
    numpy.testing.assert_allclose(bound(conditional, x, 0), bound(plain, x), rtol=1e-12)
    a, b = (
        host(model.sample(5, backend.default_rng(0), context))
        for model, context in ((conditional, 0), (plain, None))
    )
    numpy.testing.assert_array_equal(a, b)


def test_a_batch_with_labels_is_learnt_from_given_them():
    model = make(classes=3)
    x, labels = images(model, 6), backend.asarray(numpy.arange(6) % 3)
    value, _ = loss(model, x, context=labels)
    assert value.item() == pytest.approx(-bound(model, x, labels).mean(), rel=1e-12)


# ----------------------------------------------------------------------------------------- the rest


@pytest.mark.parametrize("levels", [2, 4])
def test_samples_and_reconstructions_are_images(levels):
    model = make(5, 3, levels, colours=2)
    x = host(model.sample(9, backend.default_rng(0)))
    assert x.shape == (9, 5, 3, 2) and x.dtype.kind == "i"
    assert x.min() >= 0 and x.max() < levels
    mean = host(model.reconstruct(images(model, 4)))
    assert mean.shape == (4, 5, 3, 2) and mean.min() >= 0 and mean.max() <= levels - 1


def test_the_temperature_of_a_sample_is_that_of_the_image_given_the_code():
    model = make(levels=5)
    x = host(model.sample(9, backend.default_rng(0), temperature=1e-9))
    with no_grad():
        logits = model.decode(model.sample_prior(9, backend.default_rng(0)))
    numpy.testing.assert_array_equal(x, host(logits).reshape(*x.shape, 5).argmax(-1))


def test_wrong_uses_are_errors_that_say_what_is_expected():
    model, rng = make(), backend.default_rng(0)
    x = images(model, 2)
    for call in (
        model.elbo,
        lambda x, rng: model.log_weights(x, 2, rng),
        lambda x, _: model.mean_code(x),
    ):
        with pytest.raises(ValueError, match=r"images \(2, 3, 4, 1\), expected \(N, 4, 4, 1\)"):
            call(x[:, 1:], rng)
    with pytest.raises(ValueError, match="not class-conditional"):
        model.elbo(x, rng, 0)
    with pytest.raises(ValueError, match="is class-conditional: pass context"):
        make(classes=2).sample(1, rng)
    wrong = {
        "latents": 0, "hidden": 0, "layers": -1, "dropout": 1.0, "network": "deep", "samples": 0,
        "output": "poisson", "beta": -1.0, "free_bits": -1.0, "kl_warmup": -1, "classes": -1,
    }  # fmt: skip
    for field, value in wrong.items():
        with pytest.raises(ValueError, match=f"{field}={value}: {field} must be"):
            VAEConfig(**{field: value})
    for field in ("beta", "free_bits"):
        for value in (math.inf, math.nan):
            with pytest.raises(ValueError, match=f"{field} must be at least 0, and finite"):
                VAEConfig(**{field: value})
    for field, value in {"beta": 2.0, "free_bits": 0.1, "kl_warmup": 9}.items():
        with pytest.raises(ValueError, match="samples=2: samples must be 1 with beta"):
            VAEConfig(samples=2, **{field: value})
