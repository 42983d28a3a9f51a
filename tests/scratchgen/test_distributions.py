"""Distributions: they are normalised, agree with SciPy, and the samplers draw from them."""

import itertools

import numpy
import pytest
import scipy.integrate
import scipy.stats

import autograd.numpy as np
from autograd import backend
from autograd.core import Tensor
from autograd.test_util import check_grads
from scratchgen.distributions import (
    bernoulli,
    categorical,
    logistic,
    mixture,
    normal,
)
from scratchgen.distributions import discretised_logistic_mixture as dlm

# Samples are tested at the level 0.01 with fixed seeds: these tests never fail by chance.
LEVEL = 0.01
LINE = numpy.linspace(-60, 60, 200_001)


def on(x, dtype=None):
    return backend.asarray(x, dtype)


def host(x):
    return backend.to_numpy(x)


def generator(seed=0):
    return backend.default_rng(seed)


def integral(values):
    return scipy.integrate.simpson(values, x=LINE)


def gradients(f, *args):
    """f(*args) in float32, and the gradients of its sum."""
    tensors = [Tensor(on(x, "float32")) for x in args]
    y = f(*tensors)
    y.sum().backward()
    return host(y), [host(t.grad) for t in tensors if t.grad is not None]


def assert_finite_in_float32(f, *args):
    y, grads = gradients(f, *args)
    for x in [y, *grads]:
        assert x.dtype == "float32" and numpy.isfinite(x).all(), x


@pytest.fixture
def logits(rng):
    return backend.asarray(3 * rng.standard_normal((4, 6)))


# ---------------------------------------------------------------------------------- categorical


def test_categorical_probabilities_sum_to_one(logits):
    classes = numpy.arange(6)
    log_p = [categorical.log_prob(logits, backend.asarray(numpy.full(4, k))) for k in classes]
    p = numpy.exp([backend.to_numpy(x) for x in log_p])
    numpy.testing.assert_allclose(p.sum(0), 1, rtol=1e-12)


def test_categorical_samples_occur_as_often_as_their_probability_says(logits):
    n = 20_000
    many = backend.asarray(numpy.tile(backend.to_numpy(logits), (n, 1, 1)))
    draws = backend.to_numpy(categorical.sample(many, backend.default_rng(0)))
    for row in range(4):
        counts = numpy.bincount(draws[:, row], minlength=6)
        x = backend.to_numpy(logits)[row]
        p = numpy.exp(x) / numpy.exp(x).sum()
        assert scipy.stats.chisquare(counts, n * p).pvalue > 0.01


@pytest.mark.parametrize("shift", [-1e4, 0.0, 1e4])
def test_categorical_samples_only_classes_that_are_possible_whatever_the_scale(shift):
    row = numpy.array([-numpy.inf, 0.0, -numpy.inf, 0.0, -numpy.inf]) + shift
    many = backend.asarray(numpy.tile(row.astype("float32"), (1000, 1)))
    draws = backend.to_numpy(categorical.sample(many, backend.default_rng(0)))
    assert set(draws.tolist()) == {1, 3}


def test_categorical_entropy_and_kl_against_scipy(logits, rng):
    other = 3 * rng.standard_normal((4, 6))
    p, q = scipy.special.softmax(host(logits), -1), scipy.special.softmax(other, -1)
    numpy.testing.assert_allclose(host(categorical.entropy(logits)), scipy.stats.entropy(p, axis=1))
    expected = scipy.stats.entropy(p, q, axis=1)
    numpy.testing.assert_allclose(host(categorical.kl(logits, on(other))), expected)
    numpy.testing.assert_allclose(host(categorical.kl(logits, logits + 7)), 0, atol=1e-14)


def test_a_class_that_is_impossible_adds_nothing_to_entropy_and_kl():
    p, q = [-numpy.inf, 0.0, 0.0], [0.0, 1.0, 1.0]
    entropy, (gradient,) = gradients(categorical.entropy, p)
    assert entropy == pytest.approx(numpy.log(2)) and numpy.isfinite(gradient).all()
    kl, grads = gradients(categorical.kl, p, q)
    assert kl == pytest.approx(numpy.log(1 + numpy.exp(-1) / 2)) and numpy.isfinite(grads).all()
    both = host(categorical.kl(on(p), on(p)))
    assert both == 0
    assert host(categorical.kl(on(q), on(p))) == numpy.inf


# ------------------------------------------------------------------------------------ bernoulli

BERNOULLI_LOGITS = numpy.array([-30.0, -3.0, -0.5, 0.0, 0.7, 4.0, 30.0])


def test_bernoulli_against_scipy_and_sums_over_both_values():
    p = scipy.special.expit(BERNOULLI_LOGITS)
    x = numpy.array([[0], [1]]) * numpy.ones(7, int)
    logits = on(BERNOULLI_LOGITS)
    log_p = numpy.stack([host(bernoulli.log_prob(logits, on(row))) for row in x])
    numpy.testing.assert_allclose(log_p[:, 1:-1], scipy.stats.bernoulli.logpmf(x, p)[:, 1:-1])
    numpy.testing.assert_allclose(log_p[[0, 1], [-1, 0]], -30)  # where 1 − p has no digits left
    numpy.testing.assert_allclose(numpy.exp(log_p).sum(0), 1)
    entropy = -(numpy.exp(log_p) * log_p).sum(0)
    numpy.testing.assert_allclose(host(bernoulli.entropy(logits)), entropy, atol=1e-14)
    log_q = log_p[:, ::-1]
    kl = (numpy.exp(log_p) * (log_p - log_q)).sum(0)
    other = on(BERNOULLI_LOGITS[::-1].copy())
    numpy.testing.assert_allclose(host(bernoulli.kl(logits, other)), kl, atol=1e-15)


def test_bernoulli_is_the_categorical_of_two_classes(rng):
    first, second = rng.standard_normal((2, 5))
    pair, other = (on(numpy.stack([0 * x, x], -1)) for x in (first, second))
    same = [
        (bernoulli.entropy(on(first)), categorical.entropy(pair)),
        (bernoulli.kl(on(first), on(second)), categorical.kl(pair, other)),
    ]
    for one, two in same:
        numpy.testing.assert_allclose(host(one), host(two))


def test_bernoulli_samples_occur_as_often_as_their_probability_says():
    n = 20_000
    many = on(numpy.tile(BERNOULLI_LOGITS[1:-1], (n, 1)))
    draws = host(bernoulli.sample(many, generator()))
    assert draws.shape == (n, 5) and set(numpy.unique(draws)) == {0, 1}
    for ones, p in zip(draws.sum(0), scipy.special.expit(BERNOULLI_LOGITS[1:-1]), strict=True):
        assert scipy.stats.chisquare([n - ones, ones], [n * (1 - p), n * p]).pvalue > LEVEL


# ---------------------------------------------------------------------------------- temperature


def sampler(distribution):
    return {"bernoulli": bernoulli.sample, "categorical": categorical.sample}[distribution]


@pytest.mark.parametrize("distribution", ["bernoulli", "categorical"])
def test_temperature_one_changes_no_random_number_and_no_result(distribution, logits):
    rng, other = generator(3), generator(3)
    plain = host(sampler(distribution)(logits, rng))
    numpy.testing.assert_array_equal(
        plain, host(sampler(distribution)(logits, other, temperature=1.0))
    )
    numpy.testing.assert_array_equal(host(rng.random(3)), host(other.random(3)))


def test_temperature_one_is_inversion_with_the_generators_own_numbers(logits):
    """Bit for bit what was drawn before there were temperatures."""
    x = host(logits).astype("float32")
    sums = numpy.cumsum(numpy.exp(x - x.max(-1, keepdims=True)), -1)
    u = numpy.random.default_rng(5).random((4, 1))
    if backend.current() != "cupy":  # whose generator has numbers of its own
        found = host(categorical.sample(on(x), generator(5)))
        numpy.testing.assert_array_equal(found, (sums < u * sums[:, -1:]).sum(-1))


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_a_temperature_samples_from_the_power_of_the_probabilities(temperature):
    n, p = 20_000, numpy.array([0.2, 0.5, 0.3])
    many = on(numpy.tile(numpy.log(p), (n, 1)))
    counts = numpy.bincount(host(categorical.sample(many, generator(), temperature=temperature)))
    expected = p ** (1 / temperature) / (p ** (1 / temperature)).sum()
    assert scipy.stats.chisquare(counts, n * expected).pvalue > LEVEL
    logit = on(numpy.full(n, numpy.log(p[1] / p[0])))
    ones = host(bernoulli.sample(logit, generator(), temperature=temperature)).sum()
    odds = (p[1] / p[0]) ** (1 / temperature)
    expected = n * numpy.array([1, odds]) / (1 + odds)
    assert scipy.stats.chisquare([n - ones, ones], expected).pvalue > LEVEL


def test_the_lowest_temperatures_take_the_likeliest(logits):
    draws = host(categorical.sample(logits.astype("float32"), generator(), temperature=1e-6))
    numpy.testing.assert_array_equal(draws, host(logits).argmax(-1))
    draws = host(bernoulli.sample(logits.astype("float32"), generator(), temperature=1e-6))
    numpy.testing.assert_array_equal(draws, host(logits) > 0)


@pytest.mark.parametrize("temperature", [0, -1.0, numpy.nan])
@pytest.mark.parametrize("distribution", ["bernoulli", "categorical"])
def test_a_temperature_must_be_positive(distribution, temperature, logits):
    with pytest.raises(ValueError, match=r"temperature=.*: temperature must be above 0"):
        sampler(distribution)(logits, generator(), temperature=temperature)


# --------------------------------------------------------------------------- normal and logistic

CONTINUOUS = {"normal": (normal, scipy.stats.norm), "logistic": (logistic, scipy.stats.logistic)}
both_continuous = pytest.mark.parametrize("name", list(CONTINUOUS))
MEAN, LOG_SCALE = numpy.array([-1.5, 0.0, 2.0]), numpy.array([-1.2, 0.0, 0.8])


@both_continuous
def test_densities_against_scipy_and_their_integral(name):
    distribution, peer = CONTINUOUS[name]
    for mean, log_scale in zip(MEAN, LOG_SCALE, strict=True):
        log_p = host(distribution.log_prob(on(mean), on(log_scale), on(LINE)))
        expected = peer.logpdf(LINE, mean, numpy.exp(log_scale))
        numpy.testing.assert_allclose(log_p, expected, rtol=1e-10, atol=1e-12)
        assert integral(numpy.exp(log_p)) == pytest.approx(1, rel=1e-10)
        entropy = -integral(numpy.exp(log_p) * log_p)
        assert host(distribution.entropy(on(log_scale))) == pytest.approx(entropy, rel=1e-9)


@both_continuous
def test_samples_follow_the_distribution_function(name):
    distribution, peer = CONTINUOUS[name]
    mean, log_scale = on(numpy.tile(MEAN, (5000, 1))), on(LOG_SCALE)
    draws = host(distribution.sample(mean, log_scale, generator()))
    assert draws.shape == (5000, 3)
    for x, m, s in zip(draws.T, MEAN, numpy.exp(LOG_SCALE), strict=True):
        assert scipy.stats.kstest(x, peer(m, s).cdf).pvalue > LEVEL


@both_continuous
def test_samples_have_the_type_of_the_parameters_and_their_gradients(name):
    distribution, _ = CONTINUOUS[name]
    mean, log_scale = MEAN.astype("float32"), LOG_SCALE.astype("float32")

    def draw(mean, log_scale):
        return distribution.sample(mean, log_scale, generator(1))

    x, (by_mean, by_log_scale) = gradients(draw, mean, log_scale)
    assert x.dtype == "float32"
    numpy.testing.assert_array_equal(by_mean, 1)
    numpy.testing.assert_allclose(by_log_scale, x - mean, rtol=1e-5, atol=1e-6)


class _Zero:
    """A generator whose uniform numbers are all 0, the least that one may return."""

    def random(self, shape):
        return on(numpy.zeros(shape))


def test_a_logistic_sample_is_finite_even_where_the_uniform_number_is_zero():
    x = host(logistic.sample(on(MEAN), on(LOG_SCALE), _Zero()))
    assert numpy.isfinite(x).all()


def test_normal_kl_against_its_integral():
    for (m, s), (n, t) in itertools.product(zip(MEAN, LOG_SCALE, strict=True), repeat=2):
        log_p, log_q = (host(normal.log_prob(on(a), on(b), on(LINE))) for a, b in ((m, s), (n, t)))
        expected = integral(numpy.exp(log_p) * (log_p - log_q))
        found = host(normal.kl(on(m), on(s), on(n), on(t)))
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
    zero = on(numpy.zeros(3))
    standard = normal.kl_to_standard(on(MEAN), on(LOG_SCALE))
    numpy.testing.assert_allclose(
        host(normal.kl(on(MEAN), on(LOG_SCALE), zero, zero)), host(standard)
    )


def normal_is_consistent(log_prob, sample, entropy, kl_to_standard):
    """Whether the four functions speak of one distribution, whose second parameter is log σ."""
    mean, log_std, n = 0.4, 0.7, 5000
    log_p = host(log_prob(on(mean), on(log_std), on(LINE)))
    p, log_q = numpy.exp(log_p), scipy.stats.norm.logpdf(LINE)
    x = host(sample(on(numpy.full(n, mean)), on(log_std), generator()))
    return {
        "integral": integral(p) == pytest.approx(1),
        "deviation": integral(p * (LINE - mean) ** 2) == pytest.approx(numpy.exp(2 * log_std)),
        "sample": scipy.stats.kstest(x, scipy.stats.norm(mean, numpy.exp(log_std)).cdf).pvalue
        > LEVEL,
        "entropy": host(entropy(on(log_std))) == pytest.approx(-integral(p * log_p)),
        "kl": host(kl_to_standard(on(mean), on(log_std)))
        == pytest.approx(integral(p * (log_p - log_q))),
    }


def test_taking_exp_of_the_log_variance_for_the_deviation_is_noticed_wherever_it_is_done():
    right = {
        "log_prob": normal.log_prob,
        "sample": normal.sample,
        "entropy": normal.entropy,
        "kl_to_standard": normal.kl_to_standard,
    }
    assert all(normal_is_consistent(**right).values())
    wrong = {  # each as if the parameter, log σ, were doubled or halved on the way
        "log_prob": lambda mean, s, x: normal.log_prob(mean, 2 * s, x),
        "sample": lambda mean, s, rng: normal.sample(mean, 2 * s, rng),
        "entropy": lambda s: normal.entropy(0.5 * s),
        "kl_to_standard": lambda mean, s: normal.kl_to_standard(mean, 0.5 * s),
    }
    for name, function in wrong.items():
        assert not all(normal_is_consistent(**{**right, name: function}).values()), name


# ------------------------------------------------------------------------------------- mixtures


@pytest.fixture
def parts(rng):
    """Logits, means and log-scales of three components."""
    return rng.standard_normal(3), 3 * rng.standard_normal(3), 0.5 * rng.standard_normal(3)


@both_continuous
def test_a_mixture_is_the_weighted_sum_and_integrates_to_one(name, parts):
    distribution, peer = CONTINUOUS[name]
    logits, mean, log_scale = parts
    components = distribution.log_prob(on(mean), on(log_scale), on(LINE[:, None]))
    p = numpy.exp(host(mixture.log_prob(on(logits), components)))
    weights = scipy.special.softmax(logits)
    expected = peer.pdf(LINE[:, None], mean, numpy.exp(log_scale)) @ weights
    numpy.testing.assert_allclose(p, expected, rtol=1e-10, atol=1e-300)
    assert integral(p) == pytest.approx(1, rel=1e-10)


@both_continuous
def test_samples_of_a_mixture_follow_its_distribution_function(name, parts):
    distribution, peer = CONTINUOUS[name]
    many = [on(numpy.tile(x, (5000, 1))) for x in parts]
    x = host(mixture.sample(many[0], distribution.sample, tuple(many[1:]), generator(2)))
    weights = scipy.special.softmax(parts[0])
    peers = peer(parts[1], numpy.exp(parts[2]))
    assert x.shape == (5000,)
    assert scipy.stats.kstest(x, lambda x: peers.cdf(x[:, None]) @ weights).pvalue > LEVEL


def test_the_numbers_of_a_vector_share_one_component():
    mean = numpy.array([[-5.0, -5.0], [5.0, 5.0]])  # two components of pairs
    log_std = numpy.zeros((2, 2))
    many = [on(numpy.broadcast_to(x, (200, *x.shape)).copy()) for x in (mean, log_std)]
    x = host(mixture.sample(on(numpy.zeros((200, 2))), normal.sample, tuple(many), generator()))
    assert x.shape == (200, 2)
    assert ((x[:, 0] > 0) == (x[:, 1] > 0)).all() and 0.3 < (x[:, 0] > 0).mean() < 0.7
    components = np.sum(normal.log_prob(*many, on(x[:, None])), axis=-1)
    found = host(mixture.log_prob(on(numpy.zeros((200, 2))), components))
    expected = [0.5 * scipy.stats.multivariate_normal(m, numpy.eye(2)).pdf(x) for m in mean]
    numpy.testing.assert_allclose(found, numpy.log(sum(expected)))


def test_components_that_do_not_fit_the_logits_are_refused():
    with pytest.raises(ValueError, match=r"mixture: logits \(5, 3\).*\(5, 1\)"):
        mixture.log_prob(on(numpy.zeros((5, 3))), on(numpy.zeros((5, 1))))


# ------------------------------------------------------------------ discretised logistic mixture


def every_level(levels, *parameters):
    """All levels (L,) and the parameters (L, K)."""
    return [on(numpy.tile(p, (levels, 1))) for p in parameters], on(numpy.arange(levels))


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_the_levels_have_the_probabilities_of_their_bins(levels, parts):
    logits, mean, log_scale = parts[0], parts[1] / 4, parts[2] - 2
    parameters, x = every_level(levels, logits, mean, log_scale)
    p = numpy.exp(host(dlm.log_prob(*parameters, x, levels)))
    edges = (2 * numpy.arange(levels + 1) - 1) / (levels - 1) - 1
    edges[0], edges[-1] = -numpy.inf, numpy.inf
    peer = scipy.stats.logistic(mean, numpy.exp(log_scale))
    expected = numpy.diff(peer.cdf(edges[:, None]), axis=0) @ scipy.special.softmax(logits)
    numpy.testing.assert_allclose(p, expected, rtol=1e-8, atol=1e-14)
    assert p.sum() == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("mean, log_scale", [(0.3, -7.0), (-50.0, 0.0), (1.0, 3.0), (0.0, -15.0)])
def test_the_levels_sum_to_one_in_float32_whatever_the_parameters(mean, log_scale):
    parameters, _ = every_level(256, [0.0], [mean], [log_scale])
    x = on(numpy.arange(256, dtype="uint8"))  # as images are stored
    log_p = host(dlm.log_prob(*(p.astype("float32") for p in parameters), x))
    assert log_p.dtype == "float32"
    assert numpy.exp(log_p.astype(float)).sum() == pytest.approx(1, abs=2e-5)


def test_the_tails_are_exact_where_both_sigmoids_round_to_the_same():
    """ln p against the leading term: for a ≫ 0, σ(b) − σ(a) → e^−a (1 − e^−w)."""
    mean, scale, x = numpy.float32(-1.0), 0.01, 200
    log_p = host(dlm.component_log_prob(on([mean]), on([numpy.log(scale)], "float32"), on([x])))
    a, w = ((2 * x - 1) / 255) / scale, 2 / 255 / scale
    assert log_p == pytest.approx(-a + numpy.log1p(-numpy.exp(-w)), rel=1e-6)


def test_levels_occur_as_often_as_their_probability_says(parts):
    n, levels = 20_000, 9
    parameters = parts[0], parts[1] / 4, parts[2] - 2
    one, x = every_level(levels, *parameters)
    p = numpy.exp(host(dlm.log_prob(*one, x, levels)))
    many = [on(numpy.tile(q, (n, 1))) for q in parameters]
    draws = host(dlm.sample(*many, generator(), levels))
    counts = numpy.bincount(draws, minlength=levels)
    assert draws.shape == (n,) and len(counts) == levels
    assert scipy.stats.chisquare(counts, n * p).pvalue > LEVEL


@pytest.fixture
def rgb(rng):
    """Two components of three channels: logits (2,), and means, log-scales, coefficients (2, 3)."""
    mean, log_scale, coefficients = rng.standard_normal((3, 2, 3))
    return rng.standard_normal(2), mean / 2, 0.3 * log_scale - 1, numpy.tanh(coefficients)


def cube(levels, parameters, n=1):
    """Every colour, n times each, and the parameters repeated as often."""
    colours = numpy.array(list(itertools.product(range(levels), repeat=3)) * n)
    return colours, [on(numpy.broadcast_to(p, (len(colours), *p.shape)).copy()) for p in parameters]


def test_colours_sum_to_one_and_occur_as_often_as_their_probability_says(rgb):
    levels, n = 4, 400
    colours, parameters = cube(levels, rgb)
    p = numpy.exp(host(dlm.log_prob_rgb(*parameters, on(colours), levels)))
    assert p.sum() == pytest.approx(1, rel=1e-12)
    _, many = cube(levels, rgb, n)
    draws = host(dlm.sample_rgb(*many, generator(), levels))
    assert draws.shape == (n * levels**3, 3)
    counts = numpy.bincount(draws @ [levels**2, levels, 1], minlength=levels**3)
    assert scipy.stats.chisquare(counts, len(draws) * p).pvalue > LEVEL


def test_each_channel_is_moved_by_those_before_it_as_the_paper_says(rgb):
    """Equation 3, channel by channel, for one component."""
    levels = 256
    _, mean, log_scale, (alpha, beta, gamma) = (p[0] for p in rgb)
    x = numpy.array([30, 200, 90])
    r, g, _ = 2 * x / (levels - 1) - 1
    means = mean + numpy.array([0, alpha * r, beta * r + gamma * g])
    each = [on(numpy.zeros((3, 1))), on(means[:, None]), on(log_scale[:, None])]
    expected = host(dlm.log_prob(*each, on(x), levels)).sum()
    one = [on(numpy.zeros(1)), *(on(p[:1]) for p in rgb[1:])]
    assert host(dlm.log_prob_rgb(*one, on(x), levels)) == pytest.approx(expected, rel=1e-12)


def test_without_coefficients_and_with_one_component_the_channels_are_independent(rgb):
    colours, parameters = cube(3, [numpy.zeros(1), *(p[:1] for p in rgb[1:3]), numpy.zeros((1, 3))])
    found = host(dlm.log_prob_rgb(*parameters, on(colours), 3))
    logits, mean, log_scale, _ = parameters
    channels = [
        host(dlm.log_prob(logits, mean[..., i], log_scale[..., i], on(colours[:, i]), 3))
        for i in range(3)
    ]
    numpy.testing.assert_allclose(found, sum(channels))


@pytest.mark.parametrize(
    "x, levels, error, message",
    [
        (numpy.zeros(2), 256, TypeError, "integer levels, not float64"),
        (numpy.zeros(2, int), 1, ValueError, "levels=1: levels must be at least 2"),
    ],
)
def test_what_is_no_level_is_refused(x, levels, error, message):
    parameters = [on(numpy.zeros((2, 3)))] * 3
    with pytest.raises(error, match=message):
        dlm.log_prob(*parameters, on(x), levels)
    if error is ValueError:
        with pytest.raises(error, match=message):
            dlm.sample(*parameters, generator(), levels)


def test_images_without_three_channels_are_refused():
    logits, rest = on(numpy.zeros((5, 2))), [on(numpy.zeros((5, 2, 3)))] * 3
    with pytest.raises(ValueError, match=r"x \(5, 1\), expected three channels last"):
        dlm.log_prob_rgb(logits, *rest, on(numpy.zeros((5, 1), int)))


def test_the_temperature_of_a_mixture_is_that_of_its_choice_of_component():
    n = 300
    logits, log_scale = on(numpy.tile([0.0, 1.0], (n, 1))), on(numpy.zeros((n, 2)))
    mean = on(numpy.tile([-50.0, 50.0], (n, 1)))
    drawn = {
        "mixture": lambda t: mixture.sample(
            logits, normal.sample, (mean, log_scale), generator(), temperature=t
        ),
        "one channel": lambda t: dlm.sample(logits, mean, log_scale, generator(), temperature=t),
        "red": lambda t: dlm.sample_rgb(
            logits,
            *(np.stack([x, x, x], -1) for x in (mean, log_scale, 0 * mean)),
            generator(),
            temperature=t,
        )[:, 0],
    }
    for name, sample in drawn.items():
        share = {t: (host(sample(t)) > 0).mean() for t in (1e-6, 1.0, 1e6)}
        assert share[1e-6] == 1, name
        assert abs(share[1.0] - 0.73) < 0.06 and abs(share[1e6] - 0.5) < 0.06, name


# ------------------------------------------------------------------------ gradients and extremes


def of_parameters(name):
    """A function of (logits, mean, log_scale) (4, 3) each, and its name for messages."""
    x = numpy.array([0, 3, 11, 16])
    line = numpy.array([-1.3, 0.2, 0.9, 4.0])[:, None]
    labels = numpy.array([0, 2, 1, 1])
    return {
        "bernoulli.log_prob": lambda a, m, s: bernoulli.log_prob(
            a, on(labels[:, None] > 0) * on([True] * 3)
        ),
        "bernoulli.entropy": lambda a, m, s: bernoulli.entropy(a),
        "bernoulli.kl": lambda a, m, s: bernoulli.kl(a, m),
        "categorical.log_prob": lambda a, m, s: categorical.log_prob(a, on(labels)),
        "categorical.entropy": lambda a, m, s: categorical.entropy(a),
        "categorical.kl": lambda a, m, s: categorical.kl(a, m),
        "normal.log_prob": lambda a, m, s: normal.log_prob(m, s, on(line, m.dtype)),
        "normal.entropy": lambda a, m, s: normal.entropy(s),
        "normal.kl": lambda a, m, s: normal.kl(m, s, a, 0.5 * s),
        "normal.kl_to_standard": lambda a, m, s: normal.kl_to_standard(m, s),
        "logistic.log_prob": lambda a, m, s: logistic.log_prob(m, s, on(line, m.dtype)),
        "logistic.entropy": lambda a, m, s: logistic.entropy(s),
        "mixture.log_prob": lambda a, m, s: mixture.log_prob(
            a, normal.log_prob(m, s, on(line, m.dtype))
        ),
        "dlm.log_prob": lambda a, m, s: dlm.log_prob(a, m, s, on(x), 17),
        "dlm.log_prob_rgb": lambda a, m, s: dlm.log_prob_rgb(
            a[:, :2],
            *(np.stack([y, 0.5 * y], 1) for y in (m, s, m)),
            on(x[:, None] + [0, 0, 0]),
            17,
        ),
    }[name]


FUNCTIONS = """bernoulli.log_prob bernoulli.entropy bernoulli.kl categorical.log_prob
categorical.entropy categorical.kl normal.log_prob normal.entropy normal.kl normal.kl_to_standard
logistic.log_prob logistic.entropy mixture.log_prob dlm.log_prob dlm.log_prob_rgb""".split()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients(name, rng):
    logits, mean, log_scale = rng.standard_normal((3, 4, 3))
    check_grads(of_parameters(name), ["rev"], order=2)(on(logits), on(mean), on(0.5 * log_scale))


LARGE = numpy.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4], [0.0, 0.0, 0.0], [-1e4, -1e4, -1e4]])


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize("log_scale", [-20.0, 0.0, 20.0])
def test_values_and_gradients_are_finite_in_float32_at_extreme_parameters(name, log_scale):
    scales = numpy.full((4, 3), log_scale)
    for logits, mean in itertools.product([LARGE, LARGE[::-1].copy()], [LARGE, -LARGE, 0 * LARGE]):
        assert_finite_in_float32(of_parameters(name), logits, mean, scales)


@pytest.mark.parametrize("log_scale", [-40.0, 40.0])
def test_the_scales_that_the_docstrings_promise_are_finite(log_scale):
    deviations = numpy.array([-1e10, -1.0, 0.0, 1.0, 1e10])
    x = on((deviations * numpy.exp(log_scale)).astype("float32"))
    for distribution in (normal, logistic):
        assert_finite_in_float32(
            lambda m, s, of=distribution.log_prob: of(m, s, x),
            numpy.zeros(5),
            numpy.full(5, log_scale),
        )
    levels = on(numpy.array([0, 1, 128, 254, 255]))
    for mean in (-2.0, 0.0, 1.0):
        assert_finite_in_float32(
            lambda m, s: dlm.component_log_prob(m, s, levels),
            numpy.full(5, mean),
            numpy.full(5, log_scale),
        )


def test_the_discretised_logistic_keeps_a_slope_where_its_probability_vanishes():
    """A bin far in the tail still says which way the mean should go."""
    _, (slope, _) = gradients(
        lambda m, s: dlm.component_log_prob(m, s, on(numpy.array([0, 100, 255]))),
        [0.9, 0.9, -0.9],
        [-6.0, -6.0, -6.0],
    )
    numpy.testing.assert_allclose(slope, numpy.array([-1, -1, 1]) * numpy.exp(6), rtol=1e-5)
