"""Special functions and densities: values against SciPy, and what happens at the ends."""

import math

import numpy
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import autograd.numpy as np
from autograd import Tensor, grad
from autograd.backend import asarray, to_numpy
from autograd.scipy import special, stats
from autograd.test_util import check_grads

INF = math.inf


def close(actual, expected, tolerance=1e-12):
    actual = actual.data if isinstance(actual, Tensor) else actual
    numpy.testing.assert_allclose(to_numpy(actual), expected, tolerance, tolerance)


def gradient(f, *x, argnum=0):
    """The gradient of Σ f at host arrays, as a host array."""
    x = [asarray(numpy.asarray(value, float)) for value in x]
    return to_numpy(grad(lambda *x: np.sum(f(*x)), argnum)(*x))


# ------------------------------------------------------------------------------- elementwise

REAL = numpy.array([-700.0, -30.0, -3.0, -0.5, 0.0, 1e-10, 0.5, 3.0, 30.0, 700.0])
POSITIVE = numpy.array([1e-8, 0.1, 1.0, 1.5, 20.0, 150.0])


@pytest.mark.parametrize(
    ("names", "x"),
    [
        ("erf erfc expit log_expit ndtr log_ndtr i0 i1", REAL),
        ("gamma gammaln digamma psi", POSITIVE),
        ("logit", numpy.array([0.0, 1e-300, 0.3, 1.0])),
        ("erfinv", numpy.array([-0.999, 0.0, 0.5])),
    ],
)
def test_functions_of_one_argument_are_scipys(names, x):
    for name in names.split():
        close(getattr(special, name)(asarray(x)), getattr(scipy.special, name)(x))


@pytest.mark.parametrize("name", ["xlogy", "xlog1py", "beta", "betaln"])
def test_functions_of_two_arguments_are_scipys(name):
    x, y = POSITIVE[:, None], POSITIVE
    expected = getattr(scipy.special, name)(x, y)
    close(getattr(special, name)(asarray(x), asarray(y)), expected)


def test_polygamma_is_scipys_in_the_dtype_of_its_argument():
    for n in range(4):
        close(special.polygamma(n, asarray(POSITIVE)), scipy.special.polygamma(n, POSITIVE))
    assert special.polygamma(2, asarray(POSITIVE.astype("float32"))).dtype == "float32"


def test_zero_times_log_of_zero_is_zero_and_has_no_gradient():
    zero = numpy.zeros(1)
    for f, y in ((special.xlogy, 0.0), (special.xlog1py, -1.0)):
        close(f(asarray(zero), asarray(zero + y)), [0.0])
        assert gradient(f, zero, zero + y, argnum=0) == 0
        assert gradient(f, zero, zero + y, argnum=1) == 0
    # an entropy Σ p log p of certain outcomes
    p = numpy.array([0.0, 0.0, 1.0])
    assert numpy.isfinite(gradient(lambda p: special.xlogy(p, p), p)).all()


def test_gradients_far_out_are_their_limits():
    x = numpy.array([-100.0, -20.0])
    expected = numpy.exp(scipy.stats.norm.logpdf(x) - scipy.stats.norm.logcdf(x))
    close(gradient(special.log_ndtr, x), expected, 1e-9)
    close(gradient(special.log_expit, [-800.0, 800.0]), [1.0, 0.0])
    close(gradient(special.expit, [-800.0, 800.0]), [0.0, 0.0])
    close(gradient(special.i1, [0.0]), [0.5])


# ----------------------------------------------------------------------------------- logsumexp


@given(
    st.lists(st.sampled_from([-INF, -1e6, -800.0, -1.0, 0.0, 2.0, 800.0, 1e6]), min_size=6),
    st.sampled_from([None, 0, -1, (0, 1)]),
    st.booleans(),
    st.booleans(),
)
def test_logsumexp_is_scipys_and_its_gradient_sums_to_one(values, axis, keepdims, is_weighted):
    a = numpy.array(values[:6]).reshape(2, 3)
    b = numpy.array([0.5, 0.0, 2.0]) if is_weighted else None
    logs = numpy.array([math.log(0.5), -INF, math.log(2.0)]) if is_weighted else 0.0
    expected = scipy.special.logsumexp(a + logs, axis, keepdims=keepdims)
    weights = None if b is None else asarray(b)

    def f(a):
        return special.logsumexp(a, axis, weights, keepdims)

    close(f(asarray(a)), expected)
    found = gradient(f, a)
    assert (found >= 0).all()
    total = found.sum(axis=axis, keepdims=keepdims)
    close(asarray(total), numpy.where(numpy.isneginf(expected), 0.0, 1.0), 1e-9)  # ε · 1e6


def test_logsumexp_of_nothing_but_minus_infinity():
    a = numpy.array([[-INF, -INF], [-INF, 1.0]])
    close(special.logsumexp(asarray(a), axis=1), [-INF, 1.0])
    close(gradient(lambda a: special.logsumexp(a, axis=1), a), [[0.0, 0.0], [0.0, 1.0]])

    def second(a):
        return np.sum(grad(lambda a: np.sum(special.logsumexp(a, axis=1)))(a) ** 2)

    close(gradient(second, a), numpy.zeros((2, 2)))


def test_logsumexp_of_infinity_and_of_nan():
    close(special.logsumexp(asarray(numpy.array([1.0, INF]))), INF)
    close(gradient(special.logsumexp, [1.0, INF, -INF]), [0.0, 1.0, 0.0])
    assert numpy.isnan(to_numpy(special.logsumexp(asarray(numpy.array([1.0, numpy.nan])))))
    assert numpy.isnan(gradient(special.logsumexp, [1.0, numpy.nan])).any()


def test_logsumexp_ignores_infinities_of_weight_zero():
    a, b = asarray(numpy.array([INF, 2.0])), asarray(numpy.array([0.0, 1.0]))
    close(special.logsumexp(a, b=b), 2.0)
    close(gradient(lambda a: special.logsumexp(a, b=b), [INF, 2.0]), [0.0, 1.0])


def test_logsumexp_keeps_float32():
    x = Tensor(asarray(numpy.ones((2, 3), "float32")))
    y = special.logsumexp(x, axis=-1)
    y.sum().backward()
    assert y.dtype == x.grad.dtype == "float32"


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_over_all_or_one_axis_is_scipys(rng, name):
    x = rng.normal(size=(3, 4))
    for axis in (None, 0, -1):
        expected = getattr(scipy.special, name)(x, axis)
        close(getattr(special, name)(asarray(x), axis), expected)


def test_what_has_no_gradient_refuses_tensors():
    x = Tensor(asarray(numpy.ones(3)))
    with pytest.raises(TypeError, match=r"^erfcx: this function has no gradient here"):
        special.erfcx(x)
    close(special.erfcx(x.detach()), scipy.special.erfcx(numpy.ones(3)))
    close(special.gammasgn(x), numpy.ones(3))


# ----------------------------------------------------------------------------------- densities


def test_the_normal_distribution_is_scipys(rng):
    x, loc, scale = rng.normal(size=(5, 1)) * 10, rng.normal(size=3), rng.uniform(0.5, 2, 3)
    device = [asarray(value) for value in (x, loc, scale)]
    for name in ("pdf", "logpdf", "cdf", "logcdf", "sf", "logsf"):
        expected = getattr(scipy.stats.norm, name)
        close(getattr(stats.norm, name)(*device), expected(x, loc, scale))
        close(getattr(stats.norm, name)(device[0], 0.5, 2.0), expected(x, 0.5, 2.0))
    assert stats.norm.logpdf(device[0].astype("float32"), 0.5, 2.0).dtype == "float32"


def test_students_t_distribution_is_scipys(rng):
    x = rng.normal(size=5)
    close(stats.t.logpdf(asarray(x), 3.0, 0.5, 2.0), scipy.stats.t.logpdf(x, 3.0, 0.5, 2.0))
    close(stats.t.pdf(asarray(x), 2.5), scipy.stats.t.pdf(x, 2.5))
    assert stats.t.logpdf(asarray(x).astype("float32"), 3.0).dtype == "float32"


def test_the_multivariate_normal_distribution_is_scipys(rng):
    x, mean = rng.normal(size=(4, 2, 3)), rng.normal(size=3)
    root = rng.normal(size=(3, 3))
    of_scipy = scipy.stats.multivariate_normal
    of_ours = stats.multivariate_normal
    for cov in (root @ root.T + numpy.eye(3), rng.uniform(0.5, 2, 3), 2.0):
        device = asarray(cov) if isinstance(cov, numpy.ndarray) else cov
        for name in ("pdf", "logpdf"):
            expected = getattr(of_scipy, name)(x, mean, cov)
            close(getattr(of_ours, name)(asarray(x), asarray(mean), device), expected)
        close(of_ours.entropy(asarray(mean), device), of_scipy.entropy(mean, cov))
    close(of_ours.logpdf(asarray(x)), of_scipy.logpdf(x, numpy.zeros(3)))
    matrix = asarray(root @ root.T + numpy.eye(3))
    check_grads(of_ours.logpdf)(asarray(x[0, 0]), asarray(mean), matrix)
    check_grads(of_ours.entropy)(asarray(mean), matrix)
