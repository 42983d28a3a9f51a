"""Glow on images and on points: determinants, initialisation, what is kept, what is drawn."""

import itertools

import numpy
import pytest

import autograd.numpy as np
from autograd import Tensor, backend, jacobian, no_grad
from scratchgen.data.toys import TOYS
from scratchgen.models.flows.glow import Glow, GlowConfig, GlowPoints, GlowPointsConfig
from scratchgen.optim import Adam
from scratchgen.transforms.actnorm import ActNorm
from scratchgen.transforms.coupling import AffineCoupling
from scratchgen.transforms.shapes import Split
from tests.scratchgen import bijections, quadrature

SMALL = {"height": 4, "width": 4, "levels": 5, "depth": 2, "hidden": 4, "dropout": 0.0}


def images_model(seed=0, **fields):
    return Glow(GlowConfig(**SMALL | fields), backend.default_rng(seed))


def points_model(seed=0, **fields):
    fields = {"depth": 3, "hidden": 8} | fields
    return GlowPoints(GlowPointsConfig(**fields), backend.default_rng(seed))


def random(model, seed=0, spread=0.3):
    """The model in float64 with random parameters."""
    return bijections.randomised(model, seed, spread)


def images(rng, model, n=7):
    config = model.config
    return rng.integers(0, config.levels, (n, config.height, config.width, config.colours))


def one_hot(labels, classes):
    return None if labels is None else numpy.eye(classes)[labels]


def log_prob(model, x, context=None):
    with no_grad():
        return backend.to_numpy(model.log_prob(backend.asarray(x), context))


def log_weights(model, x, context=None, training=False):
    """Always with the same noise added to x."""
    with no_grad():
        x, rng = backend.asarray(x), backend.default_rng(0)
        return backend.to_numpy(model.log_weights(x, 1, rng, context, training=training))


# -------------------------------------------------------------------- densities and determinants


@pytest.mark.parametrize(
    ("height", "width", "colours", "scales", "classes"),
    [(4, 4, 1, 2, 3), (4, 4, 1, 1, 0), (2, 4, 2, 1, 0)],
)
def test_log_determinants_of_images_are_the_jacobians(height, width, colours, scales, classes, rng):
    fields = {"height": height, "width": width, "colours": colours, "scales": scales}
    model = random(images_model(classes=classes, depth=1, **fields))
    y = rng.uniform(0.05, 0.95, (2, height, width, colours))
    context = one_hot(rng.integers(0, 3, 2), 3) if classes else None
    bijections.assert_is_a_bijection(model.transform, y, context)


@pytest.mark.parametrize("dimensions", [2, 3, 5])
@pytest.mark.parametrize("classes", [0, 3])
def test_log_determinants_of_points_are_the_jacobians(dimensions, classes, rng):
    model = random(points_model(dimensions=dimensions, classes=classes))
    context = one_hot(rng.integers(0, 3, 4), 3) if classes else None
    bijections.assert_is_a_bijection(model.transform, rng.standard_normal((4, dimensions)), context)


def test_the_density_of_points_is_that_of_their_noise_times_the_determinant(rng):
    model, x = random(points_model()), rng.standard_normal((5, 2))
    z, _ = bijections.run(model.transform.forward, x)
    log_det = bijections.log_determinants(model.transform.forward, x)
    expected = -0.5 * (z**2).sum(1) - numpy.log(2 * numpy.pi) + log_det
    numpy.testing.assert_allclose(log_prob(model, x), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("classes", [0, 2])
def test_the_density_of_random_points_integrates_to_one(classes):
    model = random(points_model(classes=classes), spread=0.2)
    context = 1 if classes else None
    assert quadrature.integral(model, -12, 12, 400, context) == pytest.approx(1, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", TOYS)
def test_the_density_of_points_integrates_to_one_after_training(name):
    rng, model = backend.default_rng(0), points_model(hidden=32)
    optimiser = Adam(model.parameters().values(), learning_rate=3e-3)
    batch = TOYS[name].sample(2_000, rng).astype("float32")
    model.initialise(batch, rng)
    before = model.loss(batch, rng)[0].item()
    for _ in range(300):
        loss, _ = model.loss(TOYS[name].sample(200, rng).astype("float32"), rng)
        loss.backward()
        optimiser.step()
    assert model.loss(batch, rng)[0].item() < before - 0.1
    model.astype("float64")
    assert quadrature.integral(model, -10, 10, 1_000) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("depth", [1, 4, 16])
def test_the_error_of_a_round_trip_grows_slowly_with_depth(dtype, depth, rng):
    for model, x in (
        (points_model(depth=depth), rng.standard_normal((20, 2))),
        (images_model(depth=depth), rng.uniform(0.05, 0.95, (20, 4, 4, 1))),
    ):
        for parameter in model.parameters().values():
            parameter[...] = parameter.data + 0.05 * backend.asarray(
                rng.standard_normal(parameter.shape), dtype="float32"
            )
        model.astype(dtype)
        x = x.astype(dtype)
        with no_grad():
            model.transform.initialise(backend.asarray(x))
        z, there = bijections.run(model.transform.forward, x)
        back, again = bijections.run(model.transform.inverse, z)
        epsilon = numpy.finfo(dtype).eps
        assert abs(back - x).max() < 500 * epsilon * depth
        assert abs(again + there).max() < 2000 * epsilon * depth


# ---------------------------------------------------------------------------------- architecture


def steps_of(transform):
    """All transforms within, in the order in which data pass through them."""
    if hasattr(transform, "transforms"):
        return list(itertools.chain.from_iterable(map(steps_of, transform.transforms)))
    if isinstance(transform, Split):
        return [transform, *steps_of(transform.inner)]
    return [transform]


def test_initialisation_gives_every_actnorm_unit_activations(rng, monkeypatch):
    made, forward = [], ActNorm.forward

    def recorded(self, x, context=None, rng=None):
        z, log_det = forward(self, x, context, rng)
        made.append(backend.to_numpy(z))
        return z, log_det

    model = images_model(height=8, width=8, colours=2, scales=3)
    y = backend.asarray(rng.uniform(0, 1, (30, 8, 8, 2)) ** 3, dtype="float32")
    with no_grad():
        model.transform.initialise(y)
        with monkeypatch.context() as patched:
            patched.setattr(ActNorm, "forward", recorded)
            model.transform.forward(y)
    shapes = [(30, 4, 4, 8), (30, 2, 2, 16), (30, 1, 1, 32)]
    assert [z.shape for z in made] == [shape for shape in shapes for _ in range(2)]
    for z in made:
        numpy.testing.assert_allclose(z.mean((0, 1, 2)), 0, atol=1e-3)
        numpy.testing.assert_allclose(z.std((0, 1, 2)), 1, rtol=1e-3)


@pytest.mark.parametrize(("make", "pixels"), [(images_model, (2, 2)), (points_model, ())])
def test_at_first_every_coupling_is_the_identity(make, pixels, rng):
    steps = steps_of(make(classes=2).transform)
    couplings = [transform for transform in steps if isinstance(transform, AffineCoupling)]
    assert len(couplings) >= 3
    for coupling in couplings:
        x = rng.standard_normal((3, *pixels, *coupling.mask.shape))
        z, log_det = bijections.run(coupling.forward, x, numpy.ones((3, 2)))
        numpy.testing.assert_array_equal(z, x)
        numpy.testing.assert_array_equal(log_det, 0)


def test_a_first_batch_of_equal_images_or_of_one_leaves_all_finite(rng):
    model = images_model()
    for x in (numpy.zeros((6, 4, 4, 1), int), images(rng, model, 1)):
        model.initialise(backend.asarray(x), backend.default_rng(0))
        loss, _ = model.loss(backend.asarray(x), backend.default_rng(1))
        loss.backward()
        values = [loss, *(p.grad for p in model.parameters().values())]
        assert all(numpy.isfinite(backend.to_numpy(value)).all() for value in values)


def test_what_is_split_off_was_scaled_by_a_function_of_what_goes_on(rng):
    model = random(images_model(scales=2))
    steps = steps_of(model.transform)
    place = next(i for i, transform in enumerate(steps) if isinstance(transform, Split))
    coupling = steps[place - 1]
    assert isinstance(coupling, AffineCoupling)
    x = backend.asarray(rng.standard_normal((1, 1, 1, 4)))
    change = backend.to_numpy(jacobian(lambda x: coupling.forward(x)[0])(x)).reshape(4, 4)
    numpy.testing.assert_array_equal(change[2:], numpy.eye(4)[2:])  # goes on as it is
    assert (change[:2, 2:] != 0).all()  # is done: depends on that


def test_every_number_of_the_noise_depends_on_every_value_of_the_image():
    model = random(images_model(height=4, width=4, depth=3), spread=0.5)
    y = backend.asarray(numpy.random.default_rng(0).uniform(0.2, 0.8, (1, 4, 4, 1)))
    change = jacobian(lambda y: model.transform.forward(y)[0])(y)
    assert (backend.to_numpy(change) != 0).all()


# -------------------------------------------------------------------------- labels, rng, dtypes


def test_labels_shift_the_density_and_are_asked_for(rng):
    model = random(images_model(classes=3))
    x = images(rng, model)
    by_label = [log_weights(model, x, label) for label in range(3)]
    assert all((a != b).all() for a, b in itertools.combinations(by_label, 2))
    mixed = log_weights(model, x, backend.asarray(numpy.arange(7) % 3))
    numpy.testing.assert_allclose(mixed[0], [by_label[i % 3][0, i] for i in range(7)], rtol=1e-12)
    with pytest.raises(ValueError, match="class-conditional: pass context"):
        log_weights(model, x)
    with pytest.raises(ValueError, match="not class-conditional"):
        log_weights(images_model(), x, 1)


def test_dropout_acts_in_training_only(rng):
    model = random(images_model(dropout=0.5))
    x = images(rng, model)
    assert (log_weights(model, x) == log_weights(model, x)).all()
    assert (log_weights(model, x) != log_weights(model, x, training=True)).all()


@pytest.mark.parametrize("make", [images_model, points_model])
def test_all_is_float32_as_it_comes_and_every_parameter_learns(make, rng):
    model = make(classes=2)
    x = images(rng, model) if make is images_model else rng.standard_normal((7, 2))
    x = backend.asarray(x, dtype=None if make is images_model else "float32")
    batch = x, backend.asarray(numpy.arange(7) % 2)
    model.initialise(batch, backend.default_rng(0))
    loss, metrics = model.loss(batch, backend.default_rng(0))
    loss.backward()
    assert metrics["nats"].item() == loss.item()
    for name, parameter in model.parameters().items():
        assert parameter.dtype == parameter.grad.dtype == "float32", name
    assert {value.dtype.name for value in model.values().values()} == {"float32"}
    random(model)
    model.loss(batch, backend.default_rng(0))[0].backward()
    for name, parameter in model.parameters().items():
        assert backend.to_numpy(parameter.grad).any(), name


def test_extreme_points_have_finite_densities_and_gradients():
    model = points_model()
    points = [[0.0, 0.0], [1e6, -1e6], [-1e10, 1e-30], [3e-39, 1e8]]
    x = Tensor(backend.asarray(points, dtype="float32"))
    log_p = model.log_prob(x)
    np.sum(log_p).backward()
    for found in (log_p, x.grad, *(p.grad for p in model.parameters().values())):
        assert numpy.isfinite(backend.to_numpy(found)).all()


def test_saturated_couplings_have_finite_densities_gradients_and_samples(rng):
    model = random(images_model(), spread=0.3)
    model.astype("float32")
    for name, x in model.parameters().items():
        if name.endswith("network.output.bias"):
            x[...] = 1e4  # the tanh of it is 1
    x = backend.asarray(images(rng, model))
    loss, _ = model.loss(x, backend.default_rng(0))
    loss.backward()
    for found in (loss, *(p.grad for p in model.parameters().values())):
        assert numpy.isfinite(backend.to_numpy(found)).all()
    drawn = backend.to_numpy(model.sample(5, backend.default_rng(0)))
    assert drawn.min() >= 0 and drawn.max() < model.config.levels


# ------------------------------------------------------------------------- samples, what is kept


def test_images_come_back_from_their_noise(rng):
    model = random(images_model(colours=2))
    x = images(rng, model, 20)
    z = model.mean_code(backend.asarray(x))
    assert z.shape == (20, 32)
    numpy.testing.assert_array_equal(backend.to_numpy(model.mean(z)), x)


def test_samples_of_points_have_the_density_that_the_model_claims():
    # E_p [q / p] = ∫ q = 1 for any density q: here a normal one that lies well within p
    model = random(points_model(), spread=0.2)
    x = backend.to_numpy(model.sample(40_000, backend.default_rng(0)))
    mean, deviation = x.mean(0), 0.5 * x.std(0)
    log_q = -0.5 * (((x - mean) / deviation) ** 2).sum(1) - numpy.log(
        2 * numpy.pi * deviation.prod()
    )
    weights = numpy.exp(log_q - log_prob(model, x))
    error = weights.std() / numpy.sqrt(len(x))
    assert error < 0.05 and abs(weights.mean() - 1) < 4 * error


@pytest.mark.parametrize("make", [images_model, points_model])
def test_values_give_the_same_model_when_it_was_made_with_another_seed(make, rng):
    model, other = random(make(seed=0)), make(seed=1)
    other.astype("float64")
    other.load(model.values())
    samples = [backend.to_numpy(m.sample(9, backend.default_rng(0))) for m in (model, other)]
    numpy.testing.assert_array_equal(*samples)
    x = samples[0]
    density = log_weights if make is images_model else log_prob
    numpy.testing.assert_array_equal(density(model, x), density(other, x))


def test_wrong_configurations_are_errors_that_say_what_is_expected():
    for fields, message in {
        ("height", 1): "height=1: height must be at least 2 to be squeezed",
        ("scales", 4): "scales=4: scales must be at most 3 for images of 8 × 8 pixels",
        ("scales", 20_000): "scales=20000: scales must be at most 3 for images of 8 × 8 pixels",
        ("height", 6): "height=6: height must be divisible by 4 to be squeezed 2 times",
        ("width", 7): "width=7: width must be divisible by 4",
        ("scales", 0): "scales=0: scales must be at least 1",
        ("depth", 0): "depth=0: depth must be at least 1",
        ("hidden", 0): "hidden=0: hidden must be at least 1",
        ("dropout", 1.0): "dropout=1.0: dropout must be from 0 to below 1",
    }.items():
        with pytest.raises(ValueError, match=message):
            GlowConfig(**dict([fields]))
    with pytest.raises(ValueError, match="dimensions=1: dimensions must be at least 2"):
        GlowPointsConfig(dimensions=1)
    with pytest.raises(ValueError, match=r"images \(2, 4, 6, 1\), expected \(N, 4, 4, 1\)"):
        images_model().loss(np.zeros((2, 4, 6, 1), int), backend.default_rng(0))
