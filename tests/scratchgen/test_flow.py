"""What all flows have in common: draws of the exact probability, losses, labels, initialisation."""

import itertools
import math

import numpy
import pytest

import autograd.numpy as np
from autograd import backend, no_grad
from scratchgen.models.flows.glow import Glow, GlowConfig, GlowPoints, GlowPointsConfig
from scratchgen.models.flows.maf import MAF, MAFConfig, MAFPoints, MAFPointsConfig
from scratchgen.models.flows.nice import NICE, NICEConfig, NICEPoints, NICEPointsConfig
from scratchgen.transforms import ActNorm, Inverse
from tests.scratchgen import bijections, exact
from tests.scratchgen.test_dequantize_logit import IMAGES, LEVELS, Given, cells

PRIORS = ["normal", "logistic"]


def image_model(spread=0.4, **fields):
    """A flow of the 1 × 2 images of three levels, in float64 with random parameters.

    With this margin of the logit next to nothing of its mass is beyond the levels.
    """
    sizes = {"couplings": 3, "hidden": 6, "dropout": 0.0, "alpha": 1e-5}
    config = NICEConfig(height=1, width=2, levels=LEVELS, **sizes | fields)
    return bijections.randomised(NICE(config, backend.default_rng(0)), 1, spread)


def point_model(**fields):
    config = NICEPointsConfig(**{"couplings": 3, "hidden": 16} | fields)
    return bijections.randomised(NICEPoints(config, backend.default_rng(0)))


def host(x):
    return backend.to_numpy(getattr(x, "data", x))


def test_the_loss_can_be_asked_for_without_gradients():
    rng = backend.default_rng(0)
    for flow, x in ((point_model(), rng.standard_normal((4, 2))), (image_model(), IMAGES)):
        with no_grad():
            loss, metrics = flow.loss(backend.asarray(x), backend.default_rng(1))
        assert float(host(loss)) == float(host(metrics["nats"]))


# ---------------------------------------------------------------------------------------- draws


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize("label", [None, 0, 1])
def test_images_are_drawn_with_their_exact_probability(prior, label):
    flow = image_model(prior=prior, classes=0 if label is None else 2)
    p = numpy.exp(cells(flow, 160, label)).mean(1)
    assert p.sum() == pytest.approx(1, abs=2e-3)
    drawn = host(flow.sample(20_000, backend.default_rng(0), label)).reshape(-1, 2)
    exact.assert_frequencies(drawn @ [LEVELS, 1], p / p.sum())


@pytest.mark.parametrize("prior", PRIORS)
def test_without_temperature_every_image_is_that_of_the_most_likely_noise(prior):
    flow = image_model(prior=prior)
    mode = host(flow.mean(np.zeros((1, 2))))
    cold, warm = (host(flow.sample(50, backend.default_rng(0), temperature=t)) for t in (1e-9, 1.0))
    assert (cold == mode).all() and (warm != mode).any()


def test_the_last_stage_of_what_is_transported_is_a_sample():
    model = point_model()
    stages = [host(x) for x in model.transported(9, backend.default_rng(0))]
    assert len(stages) == 1 + len(model.transform.transforms)
    numpy.testing.assert_array_equal(stages[-1], host(model.sample(9, backend.default_rng(0))))
    for one, after in itertools.pairwise(stages):
        assert (one != after).any()


# ------------------------------------------------------------------------------ weights and loss


@pytest.mark.parametrize("dequantization", ["uniform", "variational"])
def test_each_of_several_weights_is_of_its_own_image_and_label(dequantization):
    flow = image_model(classes=3, dequantization=dequantization)
    labels = numpy.arange(len(IMAGES)) % 3
    u = numpy.random.default_rng(0).random((3, *IMAGES.shape))

    def weights(of):
        noise = Given(backend.asarray(u[:, of].reshape(-1, *IMAGES.shape[1:])))
        images, context = backend.asarray(IMAGES[of]), backend.asarray(labels[of])
        with no_grad():
            return host(flow.log_weights(images, 3, noise, context))

    each = [weights([i]) for i in range(len(IMAGES))]
    together = weights(list(range(len(IMAGES))))
    assert together.shape == (3, len(IMAGES))
    numpy.testing.assert_allclose(together, numpy.concatenate(each, 1), rtol=1e-6)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_loss_is_the_mean_weight_with_dropout(dropout):
    flow, x = image_model(dropout=dropout, hidden=32), backend.asarray(IMAGES)
    means = [
        -host(flow.log_weights(x, 1, backend.default_rng(0), training=training)).mean()
        for training in (True, False)
    ]
    loss = flow.loss(x, backend.default_rng(0))[0].item()
    assert loss == pytest.approx(means[0], rel=1e-6)
    assert (abs(loss - means[1]) > 1e-3) == (dropout > 0)


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_the_loss_of_points_is_that_of_their_density_with_dropout(dropout, rng):
    model, x = point_model(dropout=dropout), backend.asarray(rng.standard_normal((7, 2)))
    loss = model.loss(x, backend.default_rng(0))[0].item()
    inside = -host(model.log_prob(x, rng=backend.default_rng(0))).mean()
    outside = -host(model.log_prob(x)).mean()
    assert loss == pytest.approx(inside, rel=1e-6)
    assert (abs(loss - outside) > 1e-3) == (dropout > 0)


# -------------------------------------------------------------------------------- initialisation


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        (Glow, GlowConfig(height=4, width=4, levels=5, depth=2, hidden=4, classes=2)),
        (MAF, MAFConfig(height=2, width=2, levels=5, depth=2, hidden=8, classes=2)),
        (GlowPoints, GlowPointsConfig(depth=2, hidden=4, classes=2)),
        (MAFPoints, MAFPointsConfig(depth=2, hidden=8, classes=2)),
    ],
)
def test_after_initialisation_of_the_model_every_actnorm_has_unit_activations(
    kind, config, monkeypatch, rng
):
    model, made, forward = kind(config, backend.default_rng(0)), [], ActNorm.forward

    def recorded(self, *arguments):
        found = forward(self, *arguments)
        made.append(host(found[0]))
        return found

    labels = backend.asarray(numpy.arange(60) % 2)
    if kind in (Glow, MAF):
        x = backend.asarray(numpy.minimum(4, rng.integers(0, 9, (60, *model.shape))))
    else:
        x = backend.asarray(5 + 3 * rng.standard_normal((60, 2)), dtype="float32")
    model.initialise((x, labels), backend.default_rng(1))
    monkeypatch.setattr(ActNorm, "forward", recorded)
    with no_grad():
        if kind in (Glow, MAF):
            model.log_weights(x, 1, backend.default_rng(1), labels)
        else:
            model.log_prob(x, labels)
    assert len(made) >= 2
    for z in made:
        over = tuple(range(z.ndim - 1))
        numpy.testing.assert_allclose(z.mean(over), 0, atol=1e-3)
        numpy.testing.assert_allclose(z.std(over), 1, rtol=1e-3)


def test_the_inverse_of_a_transform_is_not_initialised_from_what_goes_into_it(rng):
    inner, x = ActNorm(3), backend.asarray(rng.standard_normal((9, 3)), dtype="float32")
    z = Inverse(inner).initialise(x)
    numpy.testing.assert_array_equal(host(z), host(x))
    assert not host(inner.shift).any()


# ---------------------------------------------------------------------------- the tests' own tools


@pytest.mark.parametrize(
    "function",
    [
        lambda x, context: (x + math.nan, 0 * np.sum(x, 1)),  # the Jacobian is the identity's
        lambda x, context: (math.nan * x, math.nan * np.sum(x, 1)),
    ],
)
def test_what_gives_no_numbers_is_no_bijection(function):
    with pytest.raises(AssertionError), numpy.errstate(invalid="ignore"):
        bijections.assert_log_det_is_the_jacobians(function, numpy.ones((2, 3)))
