"""Gaussian mixtures and Bayes classifiers against closed forms, SciPy and scikit-learn."""

import numpy
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import autograd.numpy as np
from autograd import backend, no_grad
from autograd.nn.losses import softmax_cross_entropy
from scratchgen.models.latent.bayes import (
    BayesClassifier,
    BayesConfig,
    ImageBayes,
    ImageBayesConfig,
)
from scratchgen.models.latent.gmm import (
    GaussianMixture,
    GaussianMixtureConfig,
    ImageMixture,
    ImageMixtureConfig,
)
from scratchgen.nn import Dense
from scratchgen.optim import Adam
from tests.scratchgen import exact

KINDS = ("full", "diagonal", "tied")


def host(x):
    return backend.to_numpy(getattr(x, "data", x))


def mixture(x=None, components=3, covariance="full", floor=1e-9, seed=0, dimensions=2):
    """In float64; with points x (N, D), as EM starts from them."""
    dimensions = dimensions if x is None else x.shape[1]
    config = GaussianMixtureConfig(
        dimensions=dimensions, components=components, covariance=covariance, floor=floor
    )
    model = GaussianMixture(config, backend.default_rng(seed))
    model.astype("float64")
    if x is not None:
        model.initialise(backend.asarray(x), backend.default_rng(seed))
    return model


def random_mixture(covariance, components=3, dimensions=2, seed=0, spread=1.0):
    """With random weights, means and covariances."""
    model = mixture(components=components, covariance=covariance, dimensions=dimensions)
    rng = numpy.random.default_rng(seed)
    values = {
        "logits": rng.standard_normal(components),
        "means": 2 * spread * rng.standard_normal((components, dimensions)),
    }
    shape = model.covariances.shape
    if covariance == "diagonal":
        values["covariances"] = spread**2 * rng.uniform(0.3, 2, shape)
    else:
        root = rng.standard_normal(shape)
        values["covariances"] = spread**2 * (root @ root.swapaxes(1, 2) + 0.3 * numpy.eye(shape[1]))
    model.load(values)
    return model


def matrices(model):
    """Every component's covariance, (K, D, D), on the host."""
    found = host(model.covariances)
    if model.config.covariance == "diagonal":
        return numpy.stack([numpy.diag(variances) for variances in found])
    return numpy.broadcast_to(found, (model.size, *found.shape[1:]))


def log_joint(model, x):
    """ln π_k N(x; µ_k, Σ_k), by SciPy: (N, K)."""
    means, covariances = host(model.means), matrices(model)
    columns = [
        numpy.atleast_1d(scipy.stats.multivariate_normal(mean, matrix).logpdf(x))
        for mean, matrix in zip(means, covariances, strict=True)
    ]
    return numpy.stack(columns, -1) + scipy.special.log_softmax(host(model.logits))


def clusters(rng, n=90, dimensions=2, k=3, apart=3.0):
    """Points of ``k`` normal distributions, and which each is from."""
    labels = rng.integers(0, k, n)
    roots = rng.standard_normal((k, dimensions, dimensions))
    means = apart * rng.standard_normal((k, dimensions))
    noise = rng.standard_normal((n, dimensions, 1))
    return (roots[labels] @ noise)[..., 0] + means[labels], labels


def log_likelihood(model, x):
    return exact.log_prob(model, x).mean()


# -------------------------------------------------------------------------------------- density


@pytest.mark.parametrize("covariance", KINDS)
@pytest.mark.parametrize("dimensions", [1, 3])
def test_the_density_and_the_responsibilities_are_those_that_scipy_computes(
    covariance, dimensions, rng
):
    model = random_mixture(covariance, dimensions=dimensions)
    x = 3 * rng.standard_normal((20, dimensions))
    joint = log_joint(model, x)
    expected = scipy.special.logsumexp(joint, 1)
    numpy.testing.assert_allclose(exact.log_prob(model, x), expected, rtol=1e-10)
    r = host(model.responsibilities(backend.asarray(x)))
    numpy.testing.assert_allclose(r, scipy.special.softmax(joint, 1), rtol=0, atol=1e-11)


@pytest.mark.parametrize("covariance", KINDS)
def test_the_density_integrates_to_one(covariance):
    model = random_mixture(covariance)
    line = numpy.linspace(-15, 15, 401)
    grid = numpy.stack(numpy.meshgrid(line, line), -1).reshape(-1, 2)
    p = numpy.exp(exact.log_prob(model, grid)).reshape(401, 401)
    total = scipy.integrate.simpson(scipy.integrate.simpson(p, x=line), x=line)
    assert total == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("covariance", KINDS)
def test_samples_have_the_moments_of_the_mixture(covariance):
    model, n = random_mixture(covariance, dimensions=3), 40_000
    x = host(model.sample(n, backend.default_rng(0)))
    weights = scipy.special.softmax(host(model.logits))
    means, covariances = host(model.means), matrices(model)
    mean = weights @ means
    second = numpy.einsum("k,kij->ij", weights, covariances)
    second += numpy.einsum("k,ki,kj->ij", weights, means - mean, means - mean)
    error = numpy.sqrt(numpy.diag(second) / n)
    assert (abs(x.mean(0) - mean) < 4 * error).all()
    products = (x - mean)[:, :, None] * (x - mean)[:, None]
    assert (abs(products.mean(0) - second) < 4 * products.std(0) / numpy.sqrt(n)).all()


def test_temperature_multiplies_the_distances_from_the_means():
    model = random_mixture("full")
    x, near = (host(model.sample(50, backend.default_rng(0), temperature=t)) for t in (1, 1e-9))
    distance = abs(near[:, None] - host(model.means)).max(-1)
    assert distance.min(1).max() < 1e-8 and len(set(distance.argmin(1))) == 3
    half = host(model.sample(50, backend.default_rng(0), temperature=0.5))
    numpy.testing.assert_allclose(half - near, 0.5 * (x - near), rtol=0, atol=1e-7)


# ------------------------------------------------------------------------------------------- EM


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 5),
    st.sampled_from(KINDS),
    st.integers(1, 4),
    st.sampled_from([1e-9, 1e-3, 0.5, 3.0]),
    st.booleans(),
)
def test_the_likelihood_never_falls(seed, components, covariance, dimensions, floor, repeated):
    rng = numpy.random.default_rng(seed)
    x, _ = clusters(rng, int(rng.integers(components, 30)), dimensions, apart=1.0)
    if repeated:  # as many points as there are, some of them several times: components collapse
        x = x[rng.integers(0, 1 + len(x) // 2, len(x))]
    model = mixture(x, components, covariance, floor, seed % 100)
    data = backend.asarray(x)
    found = [host(model.em_step(data)) for _ in range(12)] + [log_likelihood(model, x)]
    assert numpy.isfinite(found).all()
    assert (numpy.diff(found) > -1e-9 * (1 + numpy.abs(found[1:]))).all()


@pytest.mark.parametrize("covariance", KINDS)
def test_em_step_returns_the_likelihood_before_it(covariance, rng):
    x, _ = clusters(rng)
    model = mixture(x, covariance=covariance)
    before = log_likelihood(model, x)
    assert host(model.em_step(backend.asarray(x))) == pytest.approx(before, rel=1e-12)
    assert log_likelihood(model, x) > before


@pytest.mark.parametrize("covariance", KINDS)
def test_the_lower_bound_is_touched_by_the_e_step_and_raised_by_the_m_step(covariance, rng):
    x, _ = clusters(rng)
    model, data = mixture(x, covariance=covariance), backend.asarray(x)

    def bound(log_q):
        with no_grad():
            return host(model.lower_bound(data, log_q))

    with no_grad():
        log_r, log_p = model.e_step(data)
    numpy.testing.assert_allclose(bound(log_r), host(log_p), rtol=1e-12)
    other = scipy.special.log_softmax(rng.standard_normal((90, 3)), 1)
    other[:5] = [0, -numpy.inf, -numpy.inf]
    other = backend.asarray(other)
    gap = host(log_p) - bound(other)
    divergence = scipy.special.rel_entr(numpy.exp(host(other)), numpy.exp(host(log_r))).sum(1)
    numpy.testing.assert_allclose(gap, divergence, rtol=1e-9)
    model.m_step(data, log_r)
    stale, after = bound(log_r), exact.log_prob(model, x)
    assert stale.mean() > host(log_p).mean() + 1e-3
    assert (stale <= after + 1e-12).all() and stale.mean() < after.mean() - 1e-6


@pytest.mark.parametrize("covariance", KINDS)
@pytest.mark.parametrize("floor", [1e-9, 3.0])
def test_no_other_parameters_within_the_floor_have_a_higher_lower_bound(covariance, floor, rng):
    x, _ = clusters(rng, apart=1.0)
    model, data = mixture(x, covariance=covariance, floor=floor), backend.asarray(x)
    log_q = backend.asarray(scipy.special.log_softmax(2 * rng.standard_normal((90, 3)), 1))
    model.m_step(data, log_q)
    best, values = host(model.lower_bound(data, log_q)).mean(), model.values()
    raised = numpy.isclose(numpy.linalg.eigvalsh(matrices(model)), floor, rtol=1e-9)
    assert raised.any() == (floor == 3.0)
    for size in numpy.repeat([1e-3, 1e-2, 0.1], 30):
        changed = {name: v + size * rng.standard_normal(v.shape) for name, v in values.items()}
        changed["covariances"] = floored(changed["covariances"], floor)
        model.load(changed)
        assert host(model.lower_bound(data, log_q)).mean() < best


def floored(covariances, floor):
    """The nearest covariances that are symmetric and within the floor."""
    if covariances.ndim == 2:
        return covariances.clip(floor)
    values, vectors = numpy.linalg.eigh((covariances + covariances.swapaxes(1, 2)) / 2)
    return (vectors * values.clip(floor)[:, None]) @ vectors.swapaxes(1, 2)


@pytest.mark.parametrize("covariance", KINDS)
def test_at_the_fixed_point_the_gradient_of_the_likelihood_is_zero(covariance, rng):
    x, _ = clusters(rng, 100, apart=8.0)
    model, data = mixture(x, covariance=covariance), backend.asarray(x)
    np.mean(model.log_prob(data)).backward()
    assert max(abs(host(p.grad)).max() for p in model.parameters().values()) > 1e-3
    for p in model.parameters().values():
        p.grad = None
    for _ in range(60):
        model.em_step(data)
    np.mean(model.log_prob(data)).backward()
    for name, p in model.parameters().items():
        gradient = host(p.grad)
        if gradient.ndim == 3:  # along symmetric matrices: only one triangle is read
            gradient = gradient + gradient.swapaxes(1, 2)
        assert abs(gradient).max() < 1e-8, name


def test_one_component_is_the_mean_and_the_covariance_of_the_points(rng):
    x, _ = clusters(rng, dimensions=3)
    expected = numpy.cov(x.T, bias=True)
    for covariance in KINDS:
        model = mixture(x, 1, covariance)
        model.em_step(backend.asarray(x))
        numpy.testing.assert_allclose(host(model.means)[0], x.mean(0), atol=1e-12)
        wanted = numpy.diag(numpy.diag(expected)) if covariance == "diagonal" else expected
        numpy.testing.assert_allclose(matrices(model)[0], wanted, atol=1e-12)


def test_on_a_line_full_is_diagonal(rng):
    x, _ = clusters(rng, dimensions=1)
    full, diagonal = (mixture(x, 3, covariance) for covariance in ("full", "diagonal"))
    for _ in range(10):
        for model in (full, diagonal):
            model.em_step(backend.asarray(x))
    numpy.testing.assert_allclose(matrices(full), matrices(diagonal), rtol=1e-9)
    assert log_likelihood(full, x) == pytest.approx(log_likelihood(diagonal, x), rel=1e-12)


def test_a_tied_covariance_is_the_weighted_mean_of_the_full_ones(rng):
    x, _ = clusters(rng)
    log_r = backend.asarray(scipy.special.log_softmax(2 * rng.standard_normal((90, 3)), 1))
    full, tied = (mixture(x, 3, covariance) for covariance in ("full", "tied"))
    for model in (full, tied):
        model.m_step(backend.asarray(x), log_r)
    weights = numpy.exp(host(log_r)).mean(0)
    expected = numpy.einsum("k,kij->ij", weights, matrices(full))
    numpy.testing.assert_allclose(host(tied.covariances)[0], expected, rtol=1e-9)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")  # that it has not converged
@pytest.mark.parametrize("covariance", KINDS)
def test_from_the_same_start_em_is_that_of_scikit_learn(covariance, rng):
    sklearn = pytest.importorskip("sklearn.mixture")
    x, _ = clusters(rng, 300, 3, 4)
    model = mixture(x, 4, covariance)
    start = model.values()
    precisions = numpy.linalg.inv(matrices(model))
    peer = sklearn.GaussianMixture(
        4,
        covariance_type="diag" if covariance == "diagonal" else covariance,
        tol=0,
        reg_covar=0,
        max_iter=25,
        weights_init=numpy.full(4, 0.25),
        means_init=start["means"],
        precisions_init={
            "full": precisions,
            "diagonal": numpy.diagonal(precisions, 0, 1, 2),
            "tied": precisions[0],
        }[covariance],
    ).fit(x)
    for _ in range(25):
        model.em_step(backend.asarray(x))
    end = model.values()
    numpy.testing.assert_allclose(numpy.exp(end["logits"]), peer.weights_, rtol=1e-9)
    numpy.testing.assert_allclose(end["means"], peer.means_, rtol=1e-8)
    covariances = end["covariances"][0] if covariance == "tied" else end["covariances"]
    numpy.testing.assert_allclose(covariances, peer.covariances_, rtol=1e-8, atol=1e-10)
    numpy.testing.assert_allclose(exact.log_prob(model, x), peer.score_samples(x), rtol=1e-9)
    r = host(model.responsibilities(backend.asarray(x)))
    numpy.testing.assert_allclose(r, peer.predict_proba(x), atol=1e-9)


# ---------------------------------------------------------------------------------------- start


def test_seeds_are_points_and_far_ones_are_likelier(rng):
    x = numpy.array([[0.0, 0], [1, 0], [0, 3]])
    model, counts = mixture(dimensions=2), numpy.zeros((3, 3))
    for seed in range(1_000):
        first, second = host(model.seeds(backend.asarray(x), 2, backend.default_rng(seed)))
        counts[(x == first).all(1).argmax(), (x == second).all(1).argmax()] += 1
    squares = ((x[:, None] - x) ** 2).sum(-1)
    expected = squares / squares.sum(1, keepdims=True) / 3
    exact.assert_frequencies(
        numpy.repeat(numpy.arange(9), counts.ravel().astype(int)), expected.ravel()
    )


def test_no_point_is_a_seed_twice_while_there_are_others(rng):
    x = numpy.repeat(numpy.array([[0.0, 0], [1, 0], [0, 3], [9, 9]]), 3, 0)
    for seed in range(50):
        seeds = host(mixture(dimensions=2).seeds(backend.asarray(x), 4, backend.default_rng(seed)))
        assert len(numpy.unique(seeds, axis=0)) == 4


@pytest.mark.parametrize("covariance", KINDS)
def test_em_starts_from_seeds_and_the_covariance_around_them(covariance, rng):
    x, _ = clusters(rng)
    model = mixture(x, covariance=covariance)
    means = host(model.means)
    assert all((x == mean).all(1).any() for mean in means)
    nearest = ((x[:, None] - means) ** 2).sum(-1).argmin(1)
    around = x - means[nearest]
    expected = around.T @ around / len(x)
    if covariance == "diagonal":
        expected = numpy.diag(numpy.diag(expected))
    for matrix in matrices(model):
        numpy.testing.assert_allclose(matrix, expected, rtol=1e-9)
    assert (host(model.logits) == 0).all()


# ------------------------------------------------------------------------- floor and empty ones


@pytest.mark.parametrize("covariance", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_component_on_a_single_point_is_kept_finite_by_the_floor(covariance, dtype, rng):
    x = numpy.concatenate([rng.standard_normal((20, 3)), numpy.full((5, 3), 9.0)])
    model = mixture(x, 2, covariance, floor=1e-3)
    model.astype(dtype)
    model.load(
        {
            "logits": numpy.zeros(2),
            "means": numpy.array([[0.0] * 3, [9.0] * 3]),
            "covariances": 0 * host(model.covariances)
            + (0.1 if covariance == "diagonal" else 0.1 * numpy.eye(3)),
        }
    )
    data = backend.asarray(x.astype(dtype))
    for _ in range(10):
        model.em_step(data)
    least = numpy.linalg.eigvalsh(matrices(model).astype("float64")).min(1)
    assert (least > 0.999e-3).all()
    if covariance != "tied":
        numpy.testing.assert_allclose(matrices(model)[1], 1e-3 * numpy.eye(3), atol=1e-8)
    log_p = model.log_prob(data)
    np.sum(log_p).backward()
    for array in [log_p, *(p.grad for p in model.parameters().values())]:
        assert array.dtype == dtype and numpy.isfinite(host(array)).all()


@pytest.mark.parametrize("covariance", KINDS)
def test_a_component_without_weight_stays_as_it_is_and_harms_nobody(covariance, rng):
    x, _ = clusters(rng)
    model, two = mixture(x, 3, covariance), mixture(x, 2, covariance)
    values = model.values()
    two.load(
        {
            "logits": values["logits"][:2],
            "means": values["means"][:2],
            "covariances": values["covariances"][:2],
        }
    )
    model.logits[2] = -numpy.inf
    for m in (model, two):
        for _ in range(5):
            m.em_step(backend.asarray(x))
    after = model.values()
    numpy.testing.assert_array_equal(after["means"][2], values["means"][2])
    if covariance != "tied":
        numpy.testing.assert_array_equal(after["covariances"][2], values["covariances"][2])
    assert after["logits"][2] == -numpy.inf
    assert log_likelihood(model, x) == pytest.approx(log_likelihood(two, x), rel=1e-12)
    np.sum(model.log_prob(backend.asarray(x))).backward()
    assert all(numpy.isfinite(host(p.grad)).all() for p in model.parameters().values())
    assert numpy.isfinite(host(model.sample(20, backend.default_rng(0)))).all()


@pytest.mark.parametrize("covariance", KINDS)
def test_a_component_far_from_all_points_comes_back_to_them(covariance, rng):
    x, _ = clusters(rng)
    model, data = mixture(x, 3, covariance, floor=1e-3), backend.asarray(x)
    model.means[2] = 1e3  # where exp of its log-density is 0 in any floating-point format
    before = host(model.em_step(data))
    assert (host(model.means)[2] <= x.max(0)).all() and (host(model.means)[2] >= x.min(0)).all()
    weight = host(model.logits)[2]
    found = [host(model.em_step(data)) for _ in range(10)]
    assert numpy.diff([before, *found]).min() >= -1e-12
    assert weight < -1e4 and host(model.logits)[2] > weight


@pytest.mark.parametrize("covariance", KINDS)
def test_as_many_components_as_points_or_equal_points_are_no_trouble(covariance):
    x = numpy.array([[1.0, 2], [1, 2], [1, 2], [5, -1]])
    model = mixture(x, 4, covariance, floor=1e-2)
    found = [host(model.em_step(backend.asarray(x))) for _ in range(10)]
    assert numpy.isfinite(found).all() and numpy.diff(found).min() > -1e-12


def test_float32_stays_positive_definite_down_to_the_least_floor_that_is_accepted(rng):
    x = (10 * rng.standard_normal((200, 3)) @ rng.standard_normal((3, 40))).astype("float32")
    least = ((x - x.mean(0)) ** 2).sum(1).max() * numpy.finfo("float32").eps

    def started(floor):
        config = GaussianMixtureConfig(dimensions=40, components=2, floor=floor)
        model = GaussianMixture(config, backend.default_rng(0))
        model.initialise(backend.asarray(x), backend.default_rng(0))
        return model

    model = started(1.01 * least)
    found = [host(model.em_step(backend.asarray(x))) for _ in range(10)]
    assert numpy.isfinite(found).all() and found[-1] > found[0]
    with pytest.raises(ValueError, match=r"from their mean, in float32 .*: scale them, or raise"):
        started(0.99 * least)


# --------------------------------------------------------------------------------------- images


def image_mixture(height=1, width=1, levels=4, components=2, **fields):
    config = ImageMixtureConfig(height=height, width=width, levels=levels, **fields)
    config = ImageMixtureConfig(**{**vars(config), "components": components})
    model = ImageMixture(config, backend.default_rng(0))
    model.astype("float64")
    return model


def test_the_bound_of_an_image_tends_to_the_integral_over_its_levels():
    model = image_mixture(alpha=0.05)
    values = {"logits": [0.3, 0.0], "means": [[-1.0], [1.5]], "covariances": [[[0.5]], [[0.2]]]}
    model.mixture.load({name: numpy.array(x) for name, x in values.items()})
    weights = scipy.special.softmax(values["logits"])
    edges = scipy.special.logit(0.05 + 0.9 * numpy.linspace(0, 1, 5))
    cdf = sum(
        w * scipy.stats.norm(m[0], s[0][0] ** 0.5).cdf(edges)
        for w, m, s in zip(weights, values["means"], values["covariances"], strict=True)
    )
    x = backend.asarray(numpy.arange(4).reshape(4, 1, 1, 1))
    with no_grad():
        log_p = host(model.log_prob_iw(x, 20_000, backend.default_rng(0)))
        weights = host(model.log_weights(x, 20_000, backend.default_rng(0)))
    expected = numpy.log(numpy.diff(cdf))
    numpy.testing.assert_allclose(log_p, expected, atol=0.02)
    assert (weights.mean(0) < expected).all()
    images = host(model.sample(20_000, backend.default_rng(0))).ravel()
    p = numpy.diff(numpy.concatenate([[0], cdf[1:4], [1]]))  # what is beyond is cut off
    exact.assert_frequencies(images, p)


def test_the_temperature_of_images_multiplies_the_distances_from_the_means():
    model = image_mixture(levels=200, alpha=0.05)
    values = {"logits": [0.3, 0.0], "means": [[-1.0], [1.5]], "covariances": [[[0.5]], [[0.2]]]}
    model.mixture.load({name: numpy.array(x) for name, x in values.items()})
    images = host(model.sample(50, backend.default_rng(0), temperature=1e-9)).ravel()
    levels = 200 * (scipy.special.expit([-1.0, 1.5]) - 0.05) / 0.9
    assert set(images) == set(levels.astype(int))


def test_images_are_points_with_the_determinant_of_the_engines_jacobian(rng):
    model = image_mixture(2, 3, levels=5)
    x = backend.asarray(rng.integers(0, 5, (4, 2, 3, 1)))
    z, log_det = (host(a) for a in model.points(x, None))
    y = (host(x).reshape(4, -1) + 0.5) / 5
    scale = 1 - 2 * model.config.alpha
    p = model.config.alpha + scale * y
    numpy.testing.assert_allclose(z, scipy.special.logit(p), rtol=1e-9)
    numpy.testing.assert_allclose(log_det, numpy.log(scale / (p * (1 - p)) / 5).sum(1), rtol=1e-9)
    drawn, change = (host(a) for a in model.points(x, backend.default_rng(0)))
    back = (scipy.special.expit(drawn) - model.config.alpha) / scale * 5
    numpy.testing.assert_array_equal(numpy.floor(back), host(x).reshape(4, -1))
    p = scipy.special.expit(drawn)
    numpy.testing.assert_allclose(change, numpy.log(scale / (p * (1 - p)) / 5).sum(1), rtol=1e-6)


def test_a_mixture_of_images_learns_them_in_float32_and_draws_such(rng):
    config = ImageMixtureConfig(height=3, width=3, levels=4, components=2)
    model = ImageMixture(config, backend.default_rng(0))
    pattern = rng.integers(0, 2, (2, 3, 3, 1))
    x = (3 * pattern)[rng.integers(0, 2, 100)]
    x = backend.asarray(numpy.abs(x - rng.integers(0, 2, x.shape)))
    model.initialise(x, backend.default_rng(0))
    nats = [host(model.update(x, backend.default_rng(i))["nats"]) for i in range(10)]
    assert nats[-1] < nats[0] and nats[-1].dtype == "float32"
    assert all(p.dtype == "float32" for p in model.parameters().values())
    with no_grad():
        bound = -host(model.log_weights(x, 1, backend.default_rng(10))).mean()
    assert host(model.update(x, backend.default_rng(10))["nats"]) == pytest.approx(bound, rel=1e-5)
    assert bound < 9 * numpy.log(4)
    images = host(model.sample(300, backend.default_rng(0)))
    assert images.shape == (300, 3, 3, 1) and images.dtype.kind == "i"
    numpy.testing.assert_allclose(images.mean(0), host(x).mean(0), atol=0.4)
    with pytest.raises(ValueError, match="not class-conditional"):
        model.log_weights(x, 1, backend.default_rng(0), 1)


# ---------------------------------------------------------------------------- Bayes classifiers


def classifier(x, labels, components=1, covariance="full", floor=1e-9, steps=3):
    config = BayesConfig(
        dimensions=x.shape[1],
        components=components,
        covariance=covariance,
        floor=floor,
        classes=int(labels.max()) + 1,
    )
    model = BayesClassifier(config, backend.default_rng(0))
    model.astype("float64")
    batch = backend.asarray(x), backend.asarray(labels)
    model.initialise(batch, backend.default_rng(0))
    for _ in range(steps):
        model.update(batch, backend.default_rng(0))
    return model


def test_with_a_tied_covariance_it_is_linear_discriminant_analysis(rng):
    x, labels = clusters(rng, 200, 3)
    model = classifier(x, labels, covariance="tied")
    priors = numpy.bincount(labels) / len(x)
    means = numpy.stack([x[labels == y].mean(0) for y in range(3)])
    within = x - means[labels]
    slopes = numpy.linalg.solve(within.T @ within / len(x), means.T)  # Σ⁻¹ µ_y
    scores = x @ slopes - 0.5 * (means.T * slopes).sum(0) + numpy.log(priors)
    posterior = host(model.log_posterior(backend.asarray(x)))
    numpy.testing.assert_allclose(posterior, scipy.special.log_softmax(scores, 1), atol=1e-9)
    numpy.testing.assert_array_equal(host(model.classify(backend.asarray(x))), scores.argmax(1))


def test_with_full_covariances_it_is_quadratic_discriminant_analysis(rng):
    x, labels = clusters(rng, 200, 3)
    model = classifier(x, labels)
    scores = []
    for y in range(3):
        own = x[labels == y]
        density = scipy.stats.multivariate_normal(own.mean(0), numpy.cov(own.T, bias=True))
        scores.append(density.logpdf(x) + numpy.log((labels == y).mean()))
    posterior = host(model.log_posterior(backend.asarray(x)))
    numpy.testing.assert_allclose(posterior, scipy.special.log_softmax(scores, 0).T, atol=1e-8)


def test_with_several_components_each_class_is_a_mixture_of_its_own(rng):
    x, labels = clusters(rng, 200)
    model = classifier(x, labels, components=2, steps=20)
    data, told = backend.asarray(x), backend.asarray(labels)
    for y in range(3):  # each as if EM had seen nothing else, from the same start
        alone = mixture(x[labels == y], 2)
        start = classifier(x, labels, components=2, steps=0).values()
        part = slice(2 * y, 2 * y + 2)
        alone.load({name: value[part] for name, value in start.items()})
        for _ in range(20):
            alone.em_step(data[np.flatnonzero(told == y)])
        with no_grad():
            given_class = host(model.log_prob(data, y))
        numpy.testing.assert_allclose(given_class, exact.log_prob(alone, x), rtol=1e-9)
    priors = numpy.exp(host(model.log_priors()))
    numpy.testing.assert_allclose(priors, numpy.bincount(labels) / len(x), rtol=1e-12)
    with no_grad():
        each = [host(model.log_prob(data, y)) + numpy.log(priors[y]) for y in range(3)]
    total = scipy.special.logsumexp(each, 0)
    numpy.testing.assert_allclose(exact.log_prob(model, x), total, rtol=1e-12)
    posterior = host(model.log_posterior(data))
    numpy.testing.assert_allclose(posterior, (each - total).T, atol=1e-10)


def test_where_no_label_is_known_it_is_a_mixture_without_classes(rng):
    x, labels = clusters(rng)
    model = classifier(x, labels, steps=0)
    plain = mixture(x, 3)
    plain.load(model.values())
    unknown = backend.asarray(numpy.full(len(x), -1))
    for _ in range(5):
        nats = host(model.update((backend.asarray(x), unknown), None)["nats"])
        assert nats == pytest.approx(-host(plain.em_step(backend.asarray(x))), rel=1e-12)
    for name, value in model.values().items():
        numpy.testing.assert_allclose(value, plain.values()[name], rtol=1e-9, atol=1e-12)


def test_points_without_labels_help_and_the_joint_likelihood_never_falls(rng):
    labels = rng.integers(0, 3, 400)
    x = 1.5 * rng.standard_normal((3, 5))[labels] + rng.standard_normal((400, 5))
    known = numpy.where(numpy.arange(400) < 12, labels, -1)
    assert set(known[:12]) == {0, 1, 2}
    few = classifier(x[:12], labels[:12], covariance="tied")
    both = classifier(x, known, covariance="tied", steps=0)
    batch = backend.asarray(x), backend.asarray(known)
    nats = [host(both.update(batch, None)["nats"]) for _ in range(60)]
    assert numpy.diff(nats).max() < 1e-12
    accuracy = [(host(m.classify(batch[0])) == labels).mean() for m in (few, both)]
    assert accuracy[1] > accuracy[0] + 0.01


def test_samples_of_a_class_are_of_its_components(rng):
    x, labels = clusters(rng, 300, apart=20.0)
    model = classifier(x, labels)
    told = backend.asarray(numpy.arange(60) % 3)
    points = model.sample(60, backend.default_rng(0), told)
    numpy.testing.assert_array_equal(host(model.classify(points)), numpy.arange(60) % 3)
    near = host(model.sample(60, backend.default_rng(0), told, temperature=1e-9))
    numpy.testing.assert_allclose(near, host(model.means)[host(told)], rtol=0, atol=1e-6)
    found = host(model.classify(model.sample(20_000, backend.default_rng(0))))
    exact.assert_frequencies(found, numpy.exp(host(model.log_priors())))


def logistic_regression(x, labels, classes, steps=300):
    """Trained to the end by Adam, with a little weight decay, without which it has none."""
    layer = Dense(x.shape[1], classes, backend.default_rng(0))
    optimiser = Adam(layer.parameters().values(), 0.05)
    for _ in range(steps):
        loss = np.mean(softmax_cross_entropy(layer(x), labels))
        (loss + 1e-3 * np.sum(layer.weight * layer.weight)).backward()
        optimiser.step()
    return layer


def test_with_few_examples_the_density_classifies_better_than_logistic_regression(rng):
    means = rng.standard_normal((2, 20)) * 0.4

    def draw(n):
        labels = numpy.arange(n) % 2
        x = means[labels] + rng.standard_normal((n, 20))
        return x.astype("float32"), labels

    test, truth = draw(4_000)

    def errors(n):
        x, labels = draw(n)
        density = classifier(x.astype("float64"), labels, covariance="diagonal", steps=1)
        density.astype("float32")
        layer = logistic_regression(backend.asarray(x), backend.asarray(labels), 2)
        with no_grad():
            logits = host(layer(backend.asarray(test)))
        guesses = host(density.classify(backend.asarray(test))), logits.argmax(1)
        return [(guess != truth).mean() for guess in guesses]

    few = numpy.mean([errors(40) for _ in range(4)], 0)
    many = errors(4_000)
    assert few[0] < few[1] - 0.01
    assert many[0] == pytest.approx(many[1], abs=0.01) and many[0] < few[0]


def test_images_are_classified_with_labels_told_in_training_only(rng):
    config = ImageBayesConfig(height=2, width=2, levels=4, classes=2, labelled=2)
    model = ImageBayes(config, backend.default_rng(0))
    labels = rng.integers(0, 2, 60)
    x = numpy.clip(3 * labels[:, None, None, None] + rng.integers(-1, 2, (60, 2, 2, 1)), 0, 3)
    batch = backend.asarray(x), backend.asarray(labels)
    model.initialise(batch, backend.default_rng(0))
    for i in range(3):
        nats = host(model.update(batch, backend.default_rng(i))["nats"])
    assert (host(model.classify(batch[0])) == labels).all()
    with no_grad():
        marginal = host(model.log_weights(batch[0], 2, backend.default_rng(0)))
        each = [host(model.log_weights(batch[0], 2, backend.default_rng(0), y)) for y in range(2)]
    log_priors = host(model.mixture.log_priors())[:, None, None]
    total = scipy.special.logsumexp(each + log_priors, 0)
    numpy.testing.assert_allclose(marginal, total, rtol=1e-4)
    assert nats == pytest.approx(-marginal.mean(), abs=0.5)
    images = host(model.sample(10, backend.default_rng(0), backend.asarray(numpy.full(10, 1))))
    assert images.mean() > 2


# --------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("label", [-1, 2, 5])
def test_a_label_that_is_no_class_is_an_error_on_the_cpu(label, rng):
    if backend.current() != "numpy":
        pytest.skip("a device would have to be waited for")
    points = BayesClassifier(BayesConfig(), backend.default_rng(0))
    of_images = ImageBayes(ImageBayesConfig(2, 2, classes=2), backend.default_rng(0))
    x, labels = backend.asarray(rng.standard_normal((3, 2))), backend.asarray([0, label, 1])
    draws = backend.default_rng(0)
    for context in (label, labels):
        calls = [
            lambda context=context: points.log_prob(x, context),
            lambda context=context: points.sample(3, draws, context),
            lambda context=context: of_images.log_weights(
                np.zeros((3, 2, 2, 1), int), 2, draws, context
            ),
            lambda context=context: of_images.sample(3, draws, context),
        ]
        for call in calls:
            with pytest.raises(ValueError, match=r"labels of .* to .*, expected 0 to 1$"):
                call()


def test_wrong_uses_are_errors_that_say_what_is_expected(rng):
    x = backend.asarray(rng.standard_normal((3, 2)))
    with pytest.raises(ValueError, match="4 components need at least as many points, not 3"):
        GaussianMixture(GaussianMixtureConfig(components=4), backend.default_rng(0)).initialise(
            x, backend.default_rng(0)
        )
    with pytest.raises(ValueError, match=r"points \(3, 2\), expected \(N, 5\)"):
        mixture(dimensions=5).log_prob(x)
    with pytest.raises(ValueError, match="not class-conditional"):
        mixture().log_prob(x, 1)
    with pytest.raises(ValueError, match=r"points 1.5e\+38 from their mean, in float32"):
        GaussianMixture(
            GaussianMixtureConfig(components=2, covariance="diagonal"), backend.default_rng(0)
        ).initialise(backend.asarray(numpy.array([[0, 0], [3e38, 0]], "float32")), rng)
    with pytest.raises(ValueError, match="of class 1 there are 0"):
        classifier(host(x), numpy.array([0, 0, 2]))
    with pytest.raises(ValueError, match=r"images \(2, 1, 1, 1\), expected \(N, 2, 2, 1\)"):
        image_mixture(2, 2).points(backend.asarray(numpy.zeros((2, 1, 1, 1), int)), None)
    for fields in ({"components": 0}, {"covariance": "round"}, {"floor": 0.0}, {"classes": 2}):
        with pytest.raises(ValueError, match=f"{next(iter(fields))} must be"):
            GaussianMixtureConfig(**fields)
    for fields in ({"alpha": 0.5}, {"classes": 0}, {"labelled": 9}, {"labelled": -1}):
        with pytest.raises(ValueError, match=f"{next(iter(fields))} must be"):
            ImageBayesConfig(**fields)
