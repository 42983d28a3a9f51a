"""Dequantisation against the exact probability of small images, and the logit at its boundaries."""

import itertools
import math

import numpy
import pytest
import scipy.special
import scipy.stats

import autograd.numpy as np
from autograd import Tensor, backend, jacobian, no_grad
from scratchgen.models.flows.flow import MOST_LEVELS
from scratchgen.models.flows.spline import SplineConfig, SplineFlow
from scratchgen.models.images import ImageConfig
from scratchgen.models.labels import labels_as_vectors
from scratchgen.optim import Adam
from scratchgen.transforms.dequantize import Dequantize, VariationalDequantize
from scratchgen.transforms.logit import Logit
from tests.scratchgen import bijections

# ---------------------------------------------------------------------------------------- logit


@pytest.mark.parametrize("alpha", [0.05, 1e-6, 0.4])
def test_the_logit_is_a_bijection_with_the_jacobians_log_determinant(alpha, rng):
    x = rng.uniform(0.02, 0.98, (4, 2, 3, 1))
    # the inverse loses digits of x where p is near 0 or 1
    bijections.assert_is_a_bijection(Logit(alpha), x, atol=1e-8)


def test_at_0_and_1_the_logit_is_finite_and_so_are_its_gradients():
    for alpha, dtype in itertools.product([0.05, 1e-6], ["float32", "float64"]):
        x = Tensor(backend.asarray([[0.0, 0.5, 1.0]], dtype=dtype))
        z, log_det = Logit(alpha).forward(x)
        edge = math.log(alpha / (1 - alpha))
        numpy.testing.assert_allclose(backend.to_numpy(z.data), [[edge, 0, -edge]], rtol=1e-6)
        (np.sum(z * z) + np.sum(log_det)).backward()
        assert numpy.isfinite(backend.to_numpy(log_det.data)).all()
        assert numpy.isfinite(backend.to_numpy(x.grad)).all()


def test_in_float32_the_logit_keeps_its_digits_at_both_ends():
    x = numpy.array([[0.0, 1e-7, 1e-3, 0.5, 1 - 2.0**-10, 1 - 2.0**-24, 1.0]])
    z, log_det = bijections.run(Logit(1e-6).forward, x.astype("float32"))
    exact, expected = bijections.run(Logit(1e-6).forward, x)
    numpy.testing.assert_allclose(z, exact, rtol=0, atol=3e-6)
    numpy.testing.assert_allclose(log_det, expected, rtol=1e-6)


def test_the_inverse_of_the_logit_takes_any_number():
    z = Tensor(np.array([[-1e30, -1e4, -90.0, 90.0, 1e4]]))
    x, log_det = Logit(0.05).inverse(z)
    (np.sum(x) + np.sum(log_det)).backward()
    for found in (x.data, log_det.data, z.grad):
        assert numpy.isfinite(backend.to_numpy(found)).all()
    beyond = 0.05 / 0.9
    numpy.testing.assert_allclose(backend.to_numpy(x.data)[0, [0, -1]], [-beyond, 1 + beyond])


def test_numbers_outside_of_0_to_1_and_wrong_margins_are_errors():
    if backend.current() == "numpy":  # a device would have to be waited for
        for wrong in (-1e-3, 1.5, math.nan):
            with pytest.raises(ValueError, match=r"Logit: numbers from .*, expected from 0 to 1"):
                Logit().forward(np.array([[0.5, wrong]]))
    for alpha in (0.0, 0.5, -1.0):
        with pytest.raises(ValueError, match=f"alpha={alpha}; it must be above 0 and below 0.5"):
            Logit(alpha)


# -------------------------------------------------------------------------------- dequantisation


class Given:
    """A generator whose next uniform numbers are known."""

    def __init__(self, u):
        self.u = u

    def random(self, shape):
        return np.broadcast_to(self.u, shape)


def every_level(levels):
    return np.arange(levels).reshape(-1, 1, 1, 1)


@pytest.mark.parametrize("levels", [2, 17, 256, MOST_LEVELS])
@pytest.mark.parametrize("u", [0.0, 1e-12, 0.5, 1 - 1e-9, 1 - 2.0**-53])
def test_also_with_the_least_and_the_largest_noise_float32_rounds_down_to_the_level(levels, u):
    x = every_level(levels)
    y, _ = Dequantize(levels).forward(x, None, Given(u))
    assert y.dtype == "float32"
    assert np.all(y >= 0).item() and np.all(y < 1).item()
    back, _ = Dequantize(levels).inverse(y)
    numpy.testing.assert_array_equal(backend.to_numpy(back), backend.to_numpy(x))


def test_uniform_noise_is_uniform_and_its_log_determinant_that_of_the_scale():
    x = np.full((20_000, 1, 2, 1), 3)
    y, log_det = Dequantize(5).forward(x, None, backend.default_rng(0))
    u = 5 * backend.to_numpy(y).astype(float) - 3
    assert scipy.stats.kstest(u.ravel(), "uniform").pvalue > 0.01
    assert abs(numpy.corrcoef(u[:, 0, 0, 0], u[:, 0, 1, 0])[0, 1]) < 0.03
    numpy.testing.assert_allclose(backend.to_numpy(log_det), -2 * math.log(5), rtol=1e-6)


def test_a_share_of_the_noise_as_small_as_is_said_keeps_clear_of_its_level():
    for levels, most in ((256, 1.3e-4), (MOST_LEVELS, 2e-3)):
        u = (numpy.arange(2**16) + 0.5) / 2**16
        y, _ = Dequantize(levels).forward(
            np.zeros((len(u), 1), int), None, Given(backend.asarray(u[:, None]))
        )
        moved = abs(backend.to_numpy(y)[:, 0] * levels - u) > 1e-8
        assert moved.mean() == pytest.approx(levels * 2.0**-21, abs=2 / len(u))
        assert moved.mean() < most


def test_more_levels_than_float32_has_noise_for_are_refused():
    assert SplineConfig(levels=4096).levels == 4096
    with pytest.raises(ValueError) as raised:
        SplineConfig(levels=65536)
    assert str(raised.value) == (
        "levels=65536: levels must be at most 4096 in a flow: "
        "store images of 16 bits as images // 256"
    )


def test_what_is_beyond_the_levels_becomes_the_first_or_the_last():
    y = np.array([[-0.3, 0.0, 0.26, 0.9999, 1.0, 1.7]])
    levels, _ = Dequantize(4).inverse(y)
    assert levels.dtype.kind == "i"
    assert backend.to_numpy(levels).tolist() == [[0, 0, 1, 3, 3, 3]]


def test_dequantisation_needs_a_generator():
    for transform in (Dequantize(3), variational()):
        with pytest.raises(ValueError, match="Dequantize: it draws noise; pass rng, a generator"):
            transform.forward(np.zeros((1, 1, 2, 1), int))


# ---------------------------------------------------------------------------- variational


def variational(levels=3, height=1, width=2, colours=1, spread=None):
    config = ImageConfig(height=height, width=width, colours=colours, levels=levels)
    transform = VariationalDequantize(config, backend.default_rng(0))
    if spread:
        bijections.randomised(transform, spread=spread).astype("float32")
    return transform


def noise(transform, image, n, seed=0):
    """(u, ln q(u | x)) of n draws for one image: host arrays (n, d), (n,)."""
    x = backend.asarray(numpy.broadcast_to(image, (n, *numpy.shape(image))).copy())
    with no_grad():
        y, log_det = transform.forward(x, None, backend.default_rng(seed))
    u = backend.to_numpy(y).astype(float) * transform.levels - backend.to_numpy(x)
    d = numpy.size(image)
    return u.reshape(n, d), -backend.to_numpy(log_det).astype(float) - d * math.log(
        transform.levels
    )


def test_variational_noise_is_uniform_at_first():
    u, log_q = noise(variational(), [[[0], [2]]], 5_000)
    numpy.testing.assert_allclose(log_q, 0, rtol=0, atol=1e-5)
    assert scipy.stats.kstest(u.ravel(), "uniform").pvalue > 0.01


def test_the_density_of_variational_noise_is_that_of_the_change_of_variables():
    # uniform numbers w become u, which has the density q(u) = 1 / |det ∂u/∂w|
    transform = variational(width=3, spread=0.15)
    x = np.array([0, 2, 1]).reshape(1, 1, 3, 1)

    def u(w):
        return transform.noise(x, Given(w.reshape(1, 1, 3, 1)))[0].reshape(3)

    for seed in range(4):
        w = backend.asarray(numpy.random.default_rng(seed).uniform(0.2, 0.8, 3))
        matrix = backend.to_numpy(jacobian(u)(w)).astype(float)
        with no_grad():
            log_q = transform.noise(x, Given(w.reshape(1, 1, 3, 1)))[1].item()
        assert log_q == pytest.approx(-numpy.linalg.slogdet(matrix)[1], abs=1e-3)


def test_variational_noise_is_drawn_from_its_density_which_depends_on_the_image():
    transform, means = variational(spread=0.3), []
    for image in ([[[0], [2]]], [[[2], [0]]]):
        u, log_q = noise(transform, image, 40_000)
        assert (u >= 0).all() and (u < 1).all()
        ones = numpy.exp(-log_q)  # E_q 1/q is the volume of the cube
        assert ones.std() > 0.05, "q is uniform, and the test shows nothing"
        assert abs(ones.mean() - 1) < 4 * ones.std() / math.sqrt(len(ones))
        means.append(u.mean(0))
    assert abs(means[0] - means[1]).max() > 0.02


def test_every_parameter_of_variational_noise_learns_and_extremes_stay_finite():
    for spread in (0.3, 30.0):
        transform = variational(spread=spread)
        x = backend.asarray(numpy.random.default_rng(0).integers(0, 3, (20, 1, 2, 1)))
        y, log_det = transform.forward(x, None, backend.default_rng(0))
        (np.sum(y * y) + np.sum(log_det)).backward()
        assert {y.dtype.name, log_det.dtype.name} == {"float32"}
        assert (backend.to_numpy(y.data) < 1).all()
        assert numpy.isfinite(backend.to_numpy(log_det.data)).all()
        for name, parameter in transform.parameters().items():
            grad = backend.to_numpy(parameter.grad)
            assert numpy.isfinite(grad).all(), name
            assert grad.any() or spread > 1, name


# ------------------------------------------------------------- the exact probability of an image

LEVELS = 3


def model(kind="uniform", seed=0, **fields):
    """A flow of 1 × 2 images with random parameters."""
    fields = {"couplings": 2, "bins": 4, "hidden": 6, "dropout": 0.0} | fields
    config = SplineConfig(height=1, width=2, levels=LEVELS, dequantization=kind, **fields)
    flow = SplineFlow(config, backend.default_rng(0))
    bijections.randomised(flow.transform, seed, 0.7)
    if kind == "variational":
        bijections.randomised(flow.dequantize, seed, 0.15).astype("float32")
    return flow


IMAGES = numpy.array(list(itertools.product(range(LEVELS), repeat=2))).reshape(-1, 1, 2, 1)


def cells(flow, side=80, label=None):
    """ln p(x + u) on a grid of u of each image, (images, side²): by the midpoint rule."""
    context = labels_as_vectors(flow, label, side**2)
    u = (numpy.arange(side) + 0.5) / side
    u = numpy.stack(numpy.meshgrid(u, u, indexing="ij"), -1).reshape(-1, 1, 2, 1)
    found = []
    with no_grad():
        for image in IMAGES:
            z, log_det = flow.transform.forward(backend.asarray((image + u) / LEVELS), context)
            log_p = flow.noise.log_prob(z) + log_det - 2 * math.log(LEVELS)
            found.append(backend.to_numpy(log_p))
    return numpy.array(found)


def log_weights(flow, n, seed=0):
    """(n, images)"""
    with no_grad():
        x = backend.asarray(IMAGES)
        log_w = flow.log_weights(x, n, backend.default_rng(seed))
    return backend.to_numpy(log_w).astype(float)


def test_the_probabilities_of_all_images_sum_to_the_mass_between_0_and_1():
    # The inverse of the logit leads a little beyond 0 and 1; what is there is of no image.
    flow = model()
    total = numpy.exp(cells(flow)).mean(1).sum()
    edge = math.log((1 - flow.config.alpha) / flow.config.alpha)
    axis = (numpy.arange(320) + 0.5) / 320 * 16 - 8
    z = numpy.stack(numpy.meshgrid(axis, axis), -1).reshape(-1, 1, 2, 1)
    after_logit = flow.transform.transforms[1]
    with no_grad():
        noise, log_det = after_logit.forward(backend.asarray(z))
        p = backend.to_numpy(np.exp(flow.noise.log_prob(noise) + log_det)) * (16 / 320) ** 2
    assert p.sum() == pytest.approx(1, abs=1e-3)
    outside = p[(abs(z) > edge).any((1, 2, 3))].sum()
    assert total + outside == pytest.approx(1, abs=3e-3)
    assert 0.9 < total < 1


@pytest.mark.parametrize("kind", ["uniform", "variational"])
def test_the_weights_have_the_exact_probability_as_their_mean_and_their_logarithms_bound_it(kind):
    flow = model(kind)
    exact = scipy.special.logsumexp(cells(flow), axis=1) - math.log(80**2)
    log_w = log_weights(flow, 4_000)
    relative = numpy.exp(log_w - exact)
    error = relative.std(0) / math.sqrt(len(relative))
    assert (abs(relative.mean(0) - 1) < 4 * error).all()
    assert error.max() < 0.05
    gap = exact - log_w.mean(0)
    assert (gap > 4 * log_w.std(0) / math.sqrt(len(log_w))).all()
    if kind == "uniform":
        expected = exact - cells(flow).mean(1)  # KL(q ‖ p(x + u) / P(x))
        assert (abs(gap - expected) < 4 * log_w.std(0) / math.sqrt(len(log_w))).all()


@pytest.mark.parametrize("kind", ["uniform", "variational"])
def test_more_draws_bound_the_exact_probability_more_tightly(kind):
    flow = model(kind)
    exact = scipy.special.logsumexp(cells(flow), axis=1) - math.log(80**2)
    log_w = log_weights(flow, 4_096)
    gaps = []
    for k in (1, 4, 16, 64, 256):
        each = scipy.special.logsumexp(log_w.reshape(-1, k, len(IMAGES)), axis=1) - math.log(k)
        gaps.append((exact - each.mean(0)).mean())
    assert (numpy.diff(gaps) < 0).all(), gaps
    assert abs(gaps[-1]) < 0.05 * gaps[0]
    with no_grad():
        one = flow.log_prob_iw(backend.asarray(IMAGES), 1_000, backend.default_rng(1))
    numpy.testing.assert_allclose(backend.to_numpy(one), exact, rtol=0, atol=0.15)


def test_learnt_noise_bounds_the_same_density_more_tightly_than_uniform_noise():
    flow = model("variational", seed=1)
    uniform = model("uniform", seed=1)
    flow.dequantize = VariationalDequantize(flow.config, backend.default_rng(0))
    optimiser = Adam(flow.dequantize.parameters().values(), learning_rate=0.02)
    exact = scipy.special.logsumexp(cells(flow), axis=1) - math.log(80**2)
    numpy.testing.assert_array_equal(cells(flow), cells(uniform))
    batch = backend.asarray(numpy.concatenate([IMAGES] * 8))
    for step in range(80):
        loss, _ = flow.loss(batch, backend.default_rng(step))
        loss.backward()
        optimiser.step()
    learnt, flat = ((exact - log_weights(f, 2_000).mean(0)).mean() for f in (flow, uniform))
    assert 0 < learnt < 0.5 * flat
