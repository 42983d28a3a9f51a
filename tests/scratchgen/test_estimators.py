"""Gradient estimators against exact gradients, by enumeration or in closed form."""

import itertools

import numpy
import pytest
import scipy.special
import scipy.stats

import autograd.numpy as np
from autograd import Tensor, backend, grad
from scratchgen import estimators
from scratchgen.distributions import bernoulli, categorical, normal
from tests.scratchgen import exact

LOGITS = numpy.array([[0.3, -1.0, 0.8], [1.2, 0.1, -0.4]])  # of two numbers with three categories
TARGET = numpy.array([[0.2, -0.9, 1.0], [0.7, 0.4, -0.3]])
MEAN, LOG_STD = numpy.array([0.7, -0.3]), numpy.array([-0.2, 0.4])


def gradients(estimate, *parameters, n):
    """``estimate(repeated parameters)`` of n draws (n,), and each one's gradient: host arrays.

    Every draw has a copy of the parameters to itself, whose gradient is that of its estimate.
    """
    copies = [Tensor(backend.asarray(numpy.broadcast_to(p, (n, *p.shape)))) for p in parameters]
    values = estimate(*copies)
    np.sum(values).backward()
    return backend.to_numpy(values.detach()), [backend.to_numpy(c.grad) for c in copies]


def assert_unbiased(found, expected):
    """Within four standard errors of the mean, for every element."""
    error = found.std(0) / numpy.sqrt(len(found))
    assert (error > 0).all(), "nothing is left to chance, and the test shows nothing"
    assert (abs(found.mean(0) - expected) < 4 * error).all(), (found.mean(0), expected, error)


# ---------------------------------------------------------------------------------- continuous z


def cubic(z):
    """f(z) (…) of z (…, 2), with E f known: not linear, and the two interact."""
    a, b = z[..., 0], z[..., 1]
    return a**2 * b + 0.5 * b**2 + a + 5


def expected_cubic(mean, log_std):
    variance = np.exp(2 * log_std)
    second = mean * mean + variance
    return second[0] * mean[1] + 0.5 * second[1] + mean[0] + 5


def estimates_of_cubic(kind, baseline=None, n=100_000):
    rng = backend.default_rng(3)

    def estimate(mean, log_std):
        if kind == "pathwise":
            return estimators.pathwise(cubic, normal, (mean, log_std), rng)
        return estimators.score_function(cubic, normal, (mean, log_std), rng, baseline)

    return gradients(estimate, MEAN, LOG_STD, n=n)


@pytest.mark.parametrize("kind", ["score_function", "pathwise"])
def test_both_estimators_are_unbiased_for_a_normal_distribution(kind):
    values, found = estimates_of_cubic(kind)
    parameters = backend.asarray(MEAN), backend.asarray(LOG_STD)
    assert_unbiased(values, expected_cubic(*parameters).item())
    for i, estimate in enumerate(found):
        assert_unbiased(estimate, backend.to_numpy(grad(expected_cubic, i)(*parameters)))


def test_the_pathwise_gradient_of_a_draw_is_that_of_its_function():
    # f = z² at z = µ + σ ε: by µ 2 z, by ln σ 2 z (z − µ)
    drawn = []

    def square(z):
        drawn.append(backend.to_numpy(z.detach()))
        return np.sum(z * z, axis=-1)

    rng = backend.default_rng(0)
    _, (by_mean, by_log_std) = gradients(
        lambda *p: estimators.pathwise(square, normal, p, rng), MEAN, LOG_STD, n=50
    )
    numpy.testing.assert_allclose(by_mean, 2 * drawn[0], rtol=1e-12)
    numpy.testing.assert_allclose(by_log_std, 2 * drawn[0] * (drawn[0] - MEAN), rtol=1e-12)


def test_a_baseline_makes_the_variance_less_and_the_pathwise_estimate_has_far_less():
    def variance(kind, baseline=None):
        _, (by_mean, _) = estimates_of_cubic(kind, baseline)
        return by_mean.var(0)

    plain = variance("score_function")
    with_baseline = variance("score_function", estimators.leave_one_out)
    path = variance("pathwise")
    assert (with_baseline < 0.6 * plain).all(), with_baseline / plain
    assert (path < 0.4 * with_baseline).all() and (path < 0.15 * plain).all(), path / plain


def test_a_baseline_takes_a_constant_of_f_out_of_the_estimate():
    def variance(constant, baseline):
        rng = backend.default_rng(3)
        _, (by_mean, _) = gradients(
            lambda *p: estimators.score_function(
                lambda z: cubic(z) + constant, normal, p, rng, baseline
            ),
            MEAN,
            LOG_STD,
            n=10_000,
        )
        return by_mean.var(0)

    assert (variance(100, None) > 50 * variance(0, None)).all()
    with_baseline = [variance(c, estimators.leave_one_out) for c in (0, 100)]
    numpy.testing.assert_allclose(*with_baseline, rtol=1e-9)


# ------------------------------------------------------------------------------------ discrete z


def interaction(y):
    """f (…) of one-hot or relaxed vectors y (…, 2, 3): not linear, and the numbers interact."""
    s = np.sum((y - backend.asarray(TARGET)) ** 2, axis=-1)
    return s[..., 0] * s[..., 1] + s[..., 0]


def of_categories(z):
    return interaction(np.eye(3)[z])


def expected_interaction(logits):
    log_p = logits - np.log(np.sum(np.exp(logits), axis=-1, keepdims=True))
    total = 0.0
    for i, j in itertools.product(range(3), repeat=2):
        value = of_categories(backend.asarray(numpy.array([i, j]))).item()
        total = total + value * np.exp(log_p[0, i] + log_p[1, j])
    return total


EXACT = numpy.array(backend.to_numpy(grad(expected_interaction)(backend.asarray(LOGITS))))


@pytest.mark.parametrize("baseline", [None, estimators.leave_one_out])
def test_the_score_function_is_unbiased_for_categories(baseline):
    rng = backend.default_rng(1)
    values, (found,) = gradients(
        lambda p: estimators.score_function(of_categories, categorical, (p,), rng, baseline),
        LOGITS,
        n=50_000,
    )
    assert_unbiased(values, expected_interaction(backend.asarray(LOGITS)).item())
    assert_unbiased(found, EXACT)


def test_leave_one_out_is_unbiased_with_as_few_draws_as_two():
    """Where a baseline that includes the draw itself would take half of the gradient away."""
    rng = backend.default_rng(1)
    n = 50_000
    copies = Tensor(backend.asarray(numpy.broadcast_to(LOGITS, (2, n, 2, 3))))
    values = estimators.score_function(
        of_categories, categorical, (copies,), rng, estimators.leave_one_out
    )
    assert values.shape == (2, n)
    np.sum(values).backward()
    assert_unbiased(backend.to_numpy(copies.grad).mean(0), EXACT)


def test_the_baseline_makes_the_variance_for_categories_less():
    def variance(baseline):
        rng = backend.default_rng(1)
        _, (found,) = gradients(
            lambda p: estimators.score_function(of_categories, categorical, (p,), rng, baseline),
            LOGITS,
            n=20_000,
        )
        return found.var(0).sum()

    assert variance(estimators.leave_one_out) < 0.5 * variance(None)


def test_the_score_function_is_unbiased_for_bernoulli_numbers():
    logits, rng = numpy.array([0.4, -1.1, 0.8]), backend.default_rng(0)

    def f(z):
        return 1.0 * (z[..., 0] + 2 * z[..., 1] - 3 * z[..., 2]) ** 2

    def expected(logits):
        p = 1 / (1 + np.exp(-logits))
        total = 0.0
        for z in itertools.product((0, 1), repeat=3):
            q = [p[i] if z[i] else 1 - p[i] for i in range(3)]
            total = total + q[0] * q[1] * q[2] * f(numpy.array(z)).item()
        return total

    _, (found,) = gradients(
        lambda p: estimators.score_function(f, bernoulli, (p,), rng), logits, n=50_000
    )
    assert_unbiased(found, backend.to_numpy(grad(expected)(backend.asarray(logits))))


def test_parameters_of_f_get_their_own_gradient():
    scale, logits = Tensor(backend.asarray([2.0])), backend.asarray(LOGITS)
    rng = backend.default_rng(0)
    values = estimators.score_function(
        lambda z: scale * of_categories(z),
        categorical,
        (Tensor(np.broadcast_to(logits, (100, 2, 3))),),
        rng,
        estimators.leave_one_out,
    )
    np.sum(values).backward()
    assert scale.grad.item() == pytest.approx(np.sum(values).item() / 2, rel=1e-12)


# --------------------------------------------------------------------------------------- Gumbel


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gumbel_max_samples_follow_the_softmax(dtype):
    logits = numpy.array([0.3, -2.0, 1.5, 0.0, -4.0])
    rows = backend.asarray(numpy.broadcast_to(logits, (40_000, 5)), dtype)
    found = backend.to_numpy(estimators.gumbel_max(rows, backend.default_rng(0)))
    exact.assert_frequencies(found, scipy.special.softmax(logits))


def test_the_noise_is_gumbels():
    noise = backend.to_numpy(estimators.gumbel((20_000,), backend.default_rng(0), "float64"))
    assert scipy.stats.kstest(noise, "gumbel_r").pvalue > 0.01


def test_relaxed_vectors_sum_to_one_and_are_largest_at_the_sample():
    rows = backend.asarray(numpy.broadcast_to(LOGITS, (500, 2, 3)))
    category = backend.to_numpy(estimators.gumbel_max(rows, backend.default_rng(4)))
    for temperature in (5.0, 0.5, 0.01):
        y = estimators.gumbel_softmax(rows, backend.default_rng(4), temperature)
        y = backend.to_numpy(y)
        numpy.testing.assert_allclose(y.sum(-1), 1, rtol=0, atol=1e-12)
        numpy.testing.assert_array_equal(y.argmax(-1), category)


def test_the_relaxed_vectors_tend_to_one_hot_ones_as_the_temperature_falls():
    rows = backend.asarray(numpy.broadcast_to(LOGITS, (2_000, 2, 3)))

    def distance(temperature):
        y = estimators.gumbel_softmax(rows, backend.default_rng(4), temperature)
        return 1 - backend.to_numpy(y).max(-1).mean()

    far = [distance(t) for t in (10.0, 1.0, 0.1, 0.01, 0.001)]
    assert far == sorted(far, reverse=True)
    assert far[0] > 0.5 and far[-1] < 1e-3
    # the nearest of two largest numbers are τ apart with a probability in proportion to τ
    assert far[-2] < 0.15 * far[-3]


def mean_gradient(estimator, temperature, n=200_000):
    rng = backend.default_rng(2)
    _, (found,) = gradients(lambda p: interaction(estimator(p, rng, temperature)), LOGITS, n=n)
    return found.mean(0), found.std(0) / numpy.sqrt(n), found.var(0).sum()


def test_the_relaxed_gradient_is_biased_less_and_noisier_as_the_temperature_falls():
    temperatures = (2.0, 1.0, 0.5, 0.1, 0.03)
    means, errors, variances = zip(
        *(mean_gradient(estimators.gumbel_softmax, t) for t in temperatures), strict=True
    )
    biases = [numpy.linalg.norm(mean - EXACT) / numpy.linalg.norm(EXACT) for mean in means]
    assert biases == sorted(biases, reverse=True), biases
    assert biases[0] > 0.5 and biases[-1] < 0.06, biases
    assert (abs(means[0] - EXACT) > 4 * errors[0]).any()
    assert variances[-1] > variances[-2] > variances[-3]


def test_the_straight_through_value_is_one_hot_and_its_gradient_the_relaxed_one():
    rows = numpy.broadcast_to(LOGITS, (100, 2, 3))
    weights = backend.asarray(numpy.random.default_rng(0).standard_normal((100, 2, 3)))
    found = []
    for estimator in (estimators.straight_through, estimators.gumbel_softmax):
        logits = Tensor(backend.asarray(rows))
        y = estimator(logits, backend.default_rng(4), 0.7)
        np.sum(weights * y).backward()
        found.append((backend.to_numpy(y.detach()), backend.to_numpy(logits.grad)))
    (hard, hard_gradient), (soft, soft_gradient) = found
    numpy.testing.assert_allclose(hard, numpy.eye(3)[soft.argmax(-1)], rtol=0, atol=1e-12)
    numpy.testing.assert_array_equal(hard_gradient, soft_gradient)


# --------------------------------------------------------------------------------------- limits


class Edges:
    """A generator whose uniform numbers are the least and the largest there are."""

    def random(self, shape):
        u = numpy.zeros(shape)
        u[..., ::2] = 1 - 2.0**-53
        return backend.asarray(u)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("temperature", [1e-4, 1e4])
def test_extreme_noise_logits_and_temperatures_give_finite_values_and_gradients(dtype, temperature):
    rows = numpy.array([[0.0, 0.0, 0.0], [1e4, -1e4, 0.0], [-80.0, 80.0, 80.0]])
    for rng in (Edges(), backend.default_rng(0)):
        for estimator in (estimators.gumbel_softmax, estimators.straight_through):
            logits = Tensor(backend.asarray(rows, dtype))
            y = estimator(logits, rng, temperature)
            np.sum(y * backend.asarray(rows, dtype)).backward()
            assert y.dtype == logits.grad.dtype == dtype
            assert numpy.isfinite(backend.to_numpy(y.detach())).all()
            assert numpy.isfinite(backend.to_numpy(logits.grad)).all()


def test_wrong_uses_are_errors_that_say_what_is_expected():
    with pytest.raises(ValueError, match="temperature=0: temperature must be above 0"):
        estimators.gumbel_softmax(backend.asarray(LOGITS), backend.default_rng(0), 0)
    with pytest.raises(ValueError, match="leave_one_out: one draw"):
        estimators.leave_one_out(backend.asarray([[1.0, 2.0]]))
