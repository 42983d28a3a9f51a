"""M2 against quadrature over its code and enumeration of its classes, and against the VAE."""

import math

import numpy
import pytest
import scipy.special
import scipy.stats

import autograd.numpy as np
from autograd import Tensor, backend, no_grad
from autograd.test_util import check_grads
from scratchgen.models.latent.m2 import M2, M2Config
from scratchgen.models.latent.vae import VAE, VAEConfig
from tests.scratchgen import exact

CLASSES, NODES = 3, 400


def make(height=2, width=2, levels=2, seed=0, latents=1, hidden=8, classes=CLASSES, **sizes):
    config = M2Config(
        height=height,
        width=width,
        levels=levels,
        latents=latents,
        hidden=hidden,
        classes=classes,
        **{"dropout": 0.0, "kl_warmup": 0} | sizes,
    )
    model = exact.randomised(M2(config, backend.default_rng(seed)), seed, 0.6)
    # with q of nothing but chance the weights would vary too much to be averaged
    model.code.weight[...] = 0.1 * model.code.weight.data
    model.code.bias[...] = backend.asarray([0.3] * latents + [0.2] * latents)
    return model


def images(rng, n, model):
    return rng.integers(0, model.config.levels, (n, *model.shape))


def host(x):
    return backend.to_numpy(x)


def quadrature():
    """Nodes ε and weights for the mean over ε ~ N(0, 1), also of functions with kinks."""
    nodes = numpy.linspace(-7, 7, NODES)
    weights = scipy.stats.norm.pdf(nodes)
    return nodes, weights / weights.sum()


def log_p_given(model, x, z, label):
    """ln p(x | y, z) of binary images: (images, z)."""
    with no_grad():
        logits = host(model.decode(backend.asarray(z), np.full(len(z), label)))
    x = x.reshape(len(x), -1)
    return x @ scipy.special.log_expit(logits).T + (1 - x) @ scipy.special.log_expit(-logits).T


def exact_joint(model):
    """p(x, y) of every image and every class, by quadrature over z: (images, classes)."""
    nodes, weights = quadrature()
    every = exact.every_image(model)
    given = [
        numpy.exp(log_p_given(model, every, nodes[:, None], y)) @ weights for y in range(CLASSES)
    ]
    return numpy.stack(given, axis=1) / CLASSES


def exact_labelled(model, x):
    """E_q ln p(x | y, z) and KL(q(z | x, y) ‖ p(z)), by quadrature over q: (images, classes)."""
    nodes, weights = quadrature()
    reconstruction, kl = numpy.zeros((2, len(x), CLASSES))
    for y in range(CLASSES):
        with no_grad():
            vectors = model.vectors(np.full(len(x), y), len(x))
            mean, log_std, _ = (host(part) for part in model.posterior(backend.asarray(x), vectors))
        kl[:, y] = (0.5 * (mean**2 + numpy.exp(2 * log_std) - 1) - log_std)[:, 0]
        for i in range(len(x)):
            z = mean[i] + numpy.exp(log_std[i]) * nodes[:, None]
            reconstruction[i, y] = log_p_given(model, x[i : i + 1], z, y)[0] @ weights
    return reconstruction, kl


def q_of(model, x):
    """q(y | x): (images, classes)."""
    with no_grad():
        return scipy.special.softmax(host(model.class_logits(backend.asarray(x))), axis=-1)


def repeated(model, x, n, labels=None):
    """n estimates of each image's bound: reconstruction and divergence (n, images) each."""
    with no_grad():
        every = backend.asarray(numpy.tile(x, (n, 1, 1, 1)))
        labels = None if labels is None else backend.asarray(numpy.tile(labels, n))
        elbo = model.elbo(every, backend.default_rng(0), labels)
        numpy.testing.assert_allclose(host(elbo.parts.sum(axis=-1)), host(elbo.kl), rtol=1e-12)
        return host(elbo.reconstruction).reshape(n, -1), host(elbo.kl).reshape(n, -1)


def assert_within_four_standard_errors(draws, expected):
    """The means of independent draws (n, …)."""
    errors = draws.std(0, ddof=1) / math.sqrt(len(draws))
    assert (abs(draws.mean(0) - expected) <= 4 * errors + 1e-9).all()


# -------------------------------------------------------------------------------------- the bounds


def test_without_labels_the_bound_is_that_of_enumeration_and_below_the_likelihood():
    model = make()
    x = exact.every_image(model)
    q, (reconstruction, kl) = q_of(model, x), exact_labelled(model, x)
    of_y = (q * numpy.log(q * CLASSES)).sum(1)  # KL(q(y | x) ‖ p(y))
    found, divergence = repeated(model, x, 1000)
    assert_within_four_standard_errors(found, (q * reconstruction).sum(1))
    numpy.testing.assert_allclose(divergence[0], (q * kl).sum(1) + of_y, rtol=1e-10)
    # U(x) as in the paper, eq. 7
    labelled = reconstruction - kl - math.log(CLASSES)
    bound = (q * (labelled - numpy.log(q))).sum(1)
    assert_within_four_standard_errors(found - divergence, bound)
    joint = exact_joint(model)
    assert joint.sum() == pytest.approx(1, abs=1e-10)
    assert (numpy.log(joint.sum(1)) - bound > 1e-3).all()


def test_with_labels_it_is_the_conditional_vaes_plus_the_labels_own_probability():
    model = make()
    x = exact.every_image(model)
    y = numpy.arange(len(x)) % CLASSES
    reconstruction, kl = (part[numpy.arange(len(x)), y] for part in exact_labelled(model, x))
    found, divergence = repeated(model, x, 1000, y)
    assert_within_four_standard_errors(found, reconstruction)
    numpy.testing.assert_allclose(divergence[0], kl + math.log(CLASSES), rtol=1e-10)
    bound = reconstruction - kl - math.log(CLASSES)
    log_joint = numpy.log(exact_joint(model))[numpy.arange(len(x)), y]
    assert (log_joint - bound > 1e-4).all()
    with no_grad():  # a conditional VAE with the same weights has the same divergence
        config = VAEConfig(height=2, width=2, levels=2, latents=1, hidden=8, classes=CLASSES)
        vae = VAE(config, backend.default_rng(0))
        vae.astype("float64")
        vae.load({k: v for k, v in model.values().items() if k in vae.parameters()})
        conditional = vae.elbo(backend.asarray(x), backend.default_rng(0), backend.asarray(y))
    numpy.testing.assert_allclose(host(conditional.kl), kl, rtol=1e-10)


def test_each_image_of_a_batch_is_bounded_by_what_is_known_of_it():
    model = make()
    x = exact.every_image(model)
    y = numpy.arange(len(x)) % (CLASSES + 1) - 1
    q, (reconstruction, kl) = q_of(model, x), exact_labelled(model, x)
    r = numpy.where((y >= 0)[:, None], y[:, None] == numpy.arange(CLASSES), q)
    entropy = -scipy.special.xlogy(r, r).sum(1)
    found, divergence = repeated(model, x, 1000, y)
    expected = (r * (reconstruction - kl)).sum(1) + entropy - math.log(CLASSES)
    assert_within_four_standard_errors(found - divergence, expected)


def test_the_importance_weights_average_to_the_likelihood_with_labels_and_without():
    model = make()
    x, joint = exact.every_image(model), exact_joint(model)
    y = numpy.arange(len(x)) % (CLASSES + 1) - 1
    for labels in (None, y):
        with no_grad():
            context = None if labels is None else backend.asarray(labels)
            log_w = model.log_weights(backend.asarray(x), 2000, backend.default_rng(0), context)
        p = joint.sum(1)
        if labels is not None:
            p = numpy.where(y >= 0, joint[numpy.arange(len(x)), y], p)
        assert_within_four_standard_errors(numpy.exp(host(log_w)), p)


def test_more_importance_samples_bound_more_tightly(rng):
    model = make()
    every = backend.asarray(numpy.tile(exact.every_image(model), (100, 1, 1, 1)))
    log_p = numpy.log(exact_joint(model).sum(1)).mean()
    with no_grad():
        bound = host(model.elbo(every, backend.default_rng(0)).bound).mean()
        bounds = [
            host(model.log_prob_iw(every, k, backend.default_rng(0))).mean() for k in (1, 5, 50)
        ]
    assert [bound, *bounds] == sorted([bound, *bounds])
    assert bounds[-1] == pytest.approx(log_p, abs=0.02)


def test_samples_occur_as_often_as_their_probability_says():
    model = make()
    joint = exact_joint(model)
    x = host(model.sample(20_000, backend.default_rng(0)))
    exact.assert_frequencies(exact.number(model, x), joint.sum(1))
    x = host(model.sample(20_000, backend.default_rng(0), context=1))
    exact.assert_frequencies(exact.number(model, x), CLASSES * joint[:, 1])


# ----------------------------------------------------------------------------------------- limits


def test_with_one_class_it_is_a_vae():
    model = make(classes=1, latents=3, levels=3)
    values = model.values()
    vae = VAE(
        VAEConfig(height=2, width=2, levels=3, latents=3, hidden=8, dropout=0.0),
        backend.default_rng(0),
    )
    vae.astype("float64")
    for network in ("encoder", "decoder"):  # the label's weight is one more bias
        weight = values[f"{network}.hidden.0.weight"]
        values[f"{network}.hidden.0.weight"] = weight[:-1]
        values[f"{network}.hidden.0.bias"] = values[f"{network}.hidden.0.bias"] + weight[-1]
    vae.load({name: x for name, x in values.items() if name in vae.parameters()})
    x = backend.asarray(images(numpy.random.default_rng(0), 6, model))
    for labels in (None, np.zeros(6, int), np.full(6, -1)):
        a = model.elbo(x, backend.default_rng(0), labels)
        b = vae.elbo(x, backend.default_rng(0))
        numpy.testing.assert_allclose(host(a.bound.data), host(b.bound.data), rtol=1e-12)
        with no_grad():
            w = model.log_weights(x, 4, backend.default_rng(0), labels)
            numpy.testing.assert_allclose(
                host(w), host(vae.log_weights(x, 4, backend.default_rng(0))), rtol=1e-12
            )
        loss, _ = model.loss((x, labels), backend.default_rng(0))
        assert loss.item() == pytest.approx(
            vae.loss(x, backend.default_rng(0))[0].item(), rel=1e-12
        )


def test_a_certain_classifier_gives_the_bound_of_its_class(rng):
    model = make()
    x = backend.asarray(images(rng, 5, model))
    model.classifier.weight[...] = 0.0
    model.classifier.bias[...] = backend.asarray([0.0, 500.0, 0.0])
    with no_grad():
        told = model.elbo(x, backend.default_rng(0), np.full(5, 1))
        guessed = model.elbo(x, backend.default_rng(0))
    numpy.testing.assert_allclose(host(guessed.bound), host(told.bound), rtol=1e-12)


# --------------------------------------------------------------------------------- classification


def test_the_class_told_is_the_most_probable_one(rng):
    model = make()
    x = images(rng, 20, model)
    with no_grad():
        told = host(model.classify(backend.asarray(x)))
    numpy.testing.assert_array_equal(told, q_of(model, x).argmax(1))
    assert len(set(told)) > 1


def test_alpha_weighs_the_log_probability_of_known_classes_alone(rng):
    x = images(rng, 6, make())
    y = numpy.array([0, -1, 2, -1, -1, 1])
    batch = backend.asarray(x), backend.asarray(y)
    plain, _ = make(alpha=0.0).loss(batch, backend.default_rng(0))
    model = make(alpha=7.0)
    loss, metrics = model.loss(batch, backend.default_rng(0))
    q = q_of(model, x)
    classification = -sum(math.log(q[i, y[i]]) for i in (0, 2, 5)) / 6
    assert metrics["classification"].item() == pytest.approx(classification, rel=1e-12)
    assert loss.item() - plain.item() == pytest.approx(7 * classification, rel=1e-9)
    none = batch[0], np.full(6, -1)
    loss, metrics = model.loss(none, backend.default_rng(0))
    assert metrics["classification"].item() == 0
    assert loss.item() == make(alpha=0.0).loss(none, backend.default_rng(0))[0].item()


def test_from_labels_alone_the_classifier_learns_by_alpha_only(rng):
    batch = backend.asarray(images(rng, 6, make())), backend.asarray(numpy.arange(6) % CLASSES)
    for alpha, learns in ((0.0, False), (1.0, True)):
        model = make(alpha=alpha)
        model.loss(batch, backend.default_rng(0))[0].backward()
        gradient = model.classifier.weight.grad
        assert (gradient is not None and host(gradient).any()) == learns


def test_the_classification_is_learnt_with_dropout(rng):
    model = make(dropout=0.5, hidden=20)
    x, y = backend.asarray(images(rng, 6, model)), numpy.arange(6) % CLASSES
    _, metrics = model.loss((x, backend.asarray(y)), backend.default_rng(0))
    without = -numpy.log(q_of(model, host(x))[numpy.arange(6), y]).mean()
    assert abs(metrics["classification"].item() - without) > 1e-3


def test_an_image_of_unknown_class_has_the_code_and_the_reconstruction_of_its_likeliest(rng):
    model = make(latents=3, levels=4)
    x = images(rng, 20, model)
    logits = host(model.class_logits(backend.asarray(x)).detach())
    model.classifier.bias[...] = model.classifier.bias.data - backend.asarray(logits.mean(0))
    likeliest = q_of(model, x).argmax(1)
    assert len(set(likeliest)) > 1
    x, y, other = (backend.asarray(a) for a in (x, likeliest, (likeliest + 1) % CLASSES))
    with no_grad():
        for method in (model.mean_code, model.reconstruct):
            found = host(method(x))
            numpy.testing.assert_array_equal(found, host(method(x, y)))
            assert (found != host(method(x, other))).reshape(20, -1).any(1).all()
        code = model.mean_code(x, y)
        numpy.testing.assert_array_equal(host(model.reconstruct(x)), host(model.mean(code, y)))


def test_the_mean_image_of_a_code_is_that_of_all_classes_if_none_is_given(rng):
    model = make(latents=3, levels=4)
    z = backend.asarray(rng.standard_normal((5, 3)))
    each = numpy.stack([host(model.mean(z, np.full(5, y))) for y in range(CLASSES)])
    assert abs(each[0] - each[1]).max() > 0.1
    numpy.testing.assert_allclose(host(model.mean(z)), each.mean(0), rtol=1e-12)


# ----------------------------------------------------------------------------------------- safety


@pytest.mark.parametrize("sizes", [{}, {"network": "conv", "layers": 2}])
def test_the_model_is_float32_as_it_comes_and_every_parameter_learns(rng, sizes):
    model = M2(M2Config(hidden=8, dropout=0.1, **sizes), backend.default_rng(0))
    x, y = backend.asarray(images(rng, 6, model)), np.arange(6) - 1
    loss, metrics = model.loss((x, y), backend.default_rng(0), 0)
    loss.backward()
    assert {loss.dtype, *(value.dtype for value in metrics.values())} == {numpy.dtype("float32")}
    for name, parameter in model.parameters().items():
        assert parameter.grad.dtype == "float32", name
    with no_grad():
        assert model.reconstruct(x).shape == model.sample(6, backend.default_rng(0)).shape
        z = model.mean_code(x)
        assert z.shape == (6, 16)
        by_class = np.stack([model.mean(z, label) for label in range(10)])
        numpy.testing.assert_allclose(
            host(model.mean(z)), host(by_class).mean(0), rtol=1e-5, atol=1e-5
        )
    exact.randomised(model, spread=0.3)  # at first q does not depend on the image
    model.loss((x, y), backend.default_rng(0), 0)[0].backward()
    for name, parameter in model.parameters().items():
        assert host(parameter.grad).any(), name


@pytest.mark.parametrize("size", [50.0, 1e3, 1e30])
def test_a_saturated_classifier_has_finite_values_and_gradients(size, rng):
    model = make()
    model.astype("float32")
    model.classifier.bias[...] = backend.asarray([0.0, size, -size])
    x = backend.asarray(images(rng, 4, model))
    for labels in (np.full(4, -1), np.full(4, 1), np.full(4, 2)):
        loss, _ = model.loss((x, labels), backend.default_rng(0))
        loss.backward()
        assert math.isfinite(loss.item())
        for name, parameter in model.parameters().items():
            assert numpy.isfinite(host(parameter.grad)).all(), name
            parameter.grad = None


def test_gradients_go_through_weights_where_classes_are_known(rng):
    model = make()
    x = backend.asarray(images(rng, 4, model))
    loss = -np.mean(model.log_weights(x, 3, backend.default_rng(0), np.array([0, -1, 2, 1])))
    loss.backward()
    for name, parameter in model.parameters().items():
        if parameter.grad is not None:
            assert numpy.isfinite(host(parameter.grad)).all(), name


def test_the_gradient_is_that_of_finite_differences(rng):
    model = make(hidden=3)
    batch = backend.asarray(images(rng, 3, model)), np.array([1, -1, -1])
    for layer in (model.classifier, model.code, model.decoder.output):
        weight = layer.weight

        def loss(w, layer=layer):
            layer.weight = w
            return model.loss(batch, backend.default_rng(0))[0]

        check_grads(loss, modes=["rev"], order=1)(weight.data)
        layer.weight = Tensor(weight.data)


def test_wrong_uses_are_errors_that_say_what_is_expected(rng):
    model = make()
    x = backend.asarray(images(rng, 3, model))
    if backend.current() == "numpy":  # a device would have to be waited for
        with pytest.raises(ValueError, match="M2: labels of -2 to 3, expected 0 to 2, or -1"):
            model.elbo(x, backend.default_rng(0), np.array([-2, 0, 3]))
    with pytest.raises(ValueError, match=r"M2: context \(2,\), expected one label or \(3,\)"):
        model.elbo(x, backend.default_rng(0), np.zeros(2, int))
    with pytest.raises(ValueError, match=r"images \(3, 2, 1, 1\), expected \(N, 2, 2, 1\)"):
        model.classify(x[:, :, :1])
    for field, value in {"classes": 0, "labelled": -1, "alpha": -1.0}.items():
        with pytest.raises(ValueError, match=f"{field}={value}: {field} must be"):
            M2Config(**{field: value})
    for labelled in (1, 9):
        with pytest.raises(ValueError, match="labelled must be at least 10, or 0 for all"):
            M2Config(labelled=labelled)
    assert [M2Config(labelled=n).labelled for n in (0, 10)] == [0, 10]
    with pytest.raises(ValueError, match="alpha=inf: alpha must be"):
        M2Config(alpha=math.inf)
    with pytest.raises(ValueError, match="samples=2: samples must be 1"):
        M2Config(samples=2)
