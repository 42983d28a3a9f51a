"""Adversarial losses: what the best critic knows, and what the players' gradients are."""

import math

import numpy
import pytest
import scipy.stats
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist, jensenshannon
from scipy.special import expit

import autograd.numpy as np
from autograd import Tensor, backend, grad, no_grad
from autograd.test_util import check_grads
from scratchgen.models.adversarial import bilinear
from scratchgen.models.adversarial.losses import LOSSES, gradient_penalty
from scratchgen.nn import MLP
from scratchgen.optim import Adam, cosine

# Of each of five symbols, how many are in the data and among the draws, out of twenty.
P, Q = numpy.array([8, 6, 3, 2, 1]), numpy.array([1, 4, 3, 2, 10])


def expected(loss, scores):
    """What the critic minimises where data and draws are exactly of p and q: scores (5,) → ()."""
    real, fake = (numpy.repeat(numpy.arange(5), counts) for counts in (P, Q))
    return LOSSES[loss].critic(scores[backend.asarray(real)], scores[backend.asarray(fake)])


def trained_scores(loss, rate, steps=400):
    """A score for each symbol, from 0 down the slope of the critic's loss; and the loss then.

    Rare symbols take longer steps, or they would take long.
    """
    rates = backend.asarray(rate / (p + q))
    scores = np.zeros(5)
    for _ in range(steps):
        scores = scores - rates * grad(lambda scores: expected(loss, scores))(scores)
    return backend.to_numpy(scores), expected(loss, scores).item()


p, q = P / 20, Q / 20


def chi_squared():
    """Pearson's, between p + q and 2 q."""
    return ((2 * q - (p + q)) ** 2 / (p + q)).sum()


# ------------------------------------------------------------------------------ the best critic


@pytest.mark.parametrize("loss", ["saturating", "nonsaturating"])
def test_the_best_discriminator_is_p_over_p_plus_q_and_the_game_is_worth_2_js_minus_log_4(loss):
    scores, value = trained_scores(loss, rate=4.0)
    numpy.testing.assert_allclose(expit(scores), p / (p + q), atol=1e-6)
    worth = 2 * jensenshannon(p, q) ** 2 - math.log(4)
    assert -value == pytest.approx(worth, abs=1e-8)
    closed = expected(loss, backend.asarray(numpy.log(p / q))).item()
    assert -closed == pytest.approx(worth, abs=1e-14)


def test_the_best_least_squares_critic_is_the_same_and_measures_pearsons_chi_squared():
    scores, value = trained_scores("lsgan", rate=0.5)
    numpy.testing.assert_allclose(scores, p / (p + q), atol=1e-8)
    assert value == pytest.approx(1 / 4 - chi_squared() / 8, abs=1e-12)
    both = (p + q) @ (scores - 1) ** 2 / 2  # the generator's loss, and what it cannot change
    assert both == pytest.approx(1 / 4 + chi_squared() / 8, abs=1e-8)


def test_the_best_hinge_critic_is_a_sign_and_measures_the_mass_in_common():
    scores, value = trained_scores("hinge", rate=0.02)
    apart = p != q
    assert apart.sum() == 3
    numpy.testing.assert_allclose(scores[apart], numpy.sign(p - q)[apart], atol=0.02)
    assert value == pytest.approx(2 * numpy.minimum(p, q).sum(), abs=0.01)
    best = expected("hinge", backend.asarray(numpy.sign(p - q))).item()
    assert best == pytest.approx(2 * numpy.minimum(p, q).sum(), abs=1e-14)


@pytest.mark.parametrize("loss", LOSSES)
def test_no_critic_does_better_than_the_best(loss, rng):
    """Of the Wasserstein losses: among those whose scores rise by 1 at most for each unit."""
    best = {
        "saturating": numpy.log(p / q),
        "nonsaturating": numpy.log(p / q),
        "lsgan": p / (p + q),
        "hinge": numpy.sign(p - q),
    }.get(loss)
    steps = rng.uniform(-1, 1, (50, 5))
    if best is None:  # one unit from each symbol to the next
        rises = numpy.sign(numpy.cumsum(q - p))[:-1]
        best = numpy.concatenate([[0], numpy.cumsum(rises)])
        others = numpy.cumsum(steps, axis=1)
        lowest = -scipy.stats.wasserstein_distance(range(5), range(5), p, q)
        assert expected(loss, backend.asarray(best)).item() == pytest.approx(lowest, abs=1e-14)
    else:
        others = best + steps
    least = expected(loss, backend.asarray(best)).item()
    assert all(expected(loss, backend.asarray(other)).item() >= least - 1e-12 for other in others)


# -------------------------------------------------------------------------------- the generator


GRADIENTS = {  # of the generator's loss by a draw's score s
    "saturating": lambda s: -expit(s),
    "nonsaturating": lambda s: -expit(-s),
    "lsgan": lambda s: s - 1,
    "wgan": lambda s: -numpy.ones_like(s),
    "wgan-gp": lambda s: -numpy.ones_like(s),
    "hinge": lambda s: -numpy.ones_like(s),
}


@pytest.mark.parametrize("loss", LOSSES)
def test_the_gradient_that_a_score_gives_the_generator(loss):
    s = numpy.linspace(-30, 30, 13)
    found = backend.to_numpy(grad(LOSSES[loss].generator)(backend.asarray(s)))
    numpy.testing.assert_allclose(found * len(s), GRADIENTS[loss](s), rtol=1e-12)


def test_where_the_critic_is_sure_only_the_nonsaturating_gradient_is_left():
    s = np.full(1, -20.0)  # certainly a draw
    saturating, other = (
        grad(LOSSES[name].generator)(s).item() for name in ("saturating", "nonsaturating")
    )
    assert abs(saturating) < 1e-8 and other == pytest.approx(-1)


def generator_gradient(loss, logits, scores):
    """By the logits of q = softmax, of E_q of what the generator loses by each symbol."""

    def mean(logits):
        weights = np.exp(logits) / np.sum(np.exp(logits))
        return sum(weights[i] * LOSSES[loss].generator(scores[i : i + 1]) for i in range(5))

    return backend.to_numpy(grad(mean)(logits))


def test_both_losses_of_the_generator_have_the_same_fixed_point_and_different_gradients():
    """Against the best critic for each q; both bring q to p, and are at rest only there."""
    ends = []
    for loss in ("saturating", "nonsaturating"):
        logits = np.log(backend.asarray(q))
        for step in range(150):
            weights = np.exp(logits) / np.sum(np.exp(logits))
            slope = generator_gradient(loss, logits, np.log(backend.asarray(p) / weights))
            if step == 0:
                ends.append(slope)
            logits = logits - 10 * backend.asarray(slope)
        numpy.testing.assert_allclose(backend.to_numpy(weights), p, atol=1e-4)
        at_rest = generator_gradient(loss, np.log(backend.asarray(p)), np.zeros(5))
        numpy.testing.assert_allclose(at_rest, 0, atol=1e-16)
    first, second = ends
    assert numpy.abs(first - second).max() > 0.02 and min(map(numpy.ptp, ends)) > 0.02


# -------------------------------------------------------------------------------- large scores


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("signs", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_loss_and_gradient_are_finite_for_scores_of_ten_thousand(loss, signs):
    real, fake = (Tensor(np.full(3, sign * 1e4, "float32")) for sign in signs)
    for value in (LOSSES[loss].critic(real, fake), LOSSES[loss].generator(fake)):
        value.backward()
        assert value.dtype == "float32" and math.isfinite(value.item())
        for scores in (real, fake):
            assert scores.grad is None or numpy.isfinite(backend.to_numpy(scores.grad)).all()
        assert fake.grad.dtype == "float32"


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_is_a_mean_over_the_batch(loss, rng):
    real, fake = (backend.asarray(rng.standard_normal(6)) for _ in range(2))
    twice = [np.concatenate([x, x]) for x in (real, fake)]
    once = LOSSES[loss].critic(real, fake).item()
    assert LOSSES[loss].critic(*twice).item() == pytest.approx(once, rel=1e-14)
    assert LOSSES[loss].generator(twice[1]).item() == pytest.approx(
        LOSSES[loss].generator(fake).item(), rel=1e-14
    )


# ---------------------------------------------------------------------------------- the penalty


@pytest.mark.parametrize("shape", [(4, 2), (3, 2, 2, 1)])
def test_the_penalty_is_that_of_slopes_between_data_and_draws(shape, rng):
    """For s = ½ |x|², whose slope at x is x."""
    real, fake = (rng.standard_normal(shape) for _ in range(2))

    def critic(x):
        return np.sum(x.reshape(len(x), -1) ** 2, axis=1) / 2

    found = gradient_penalty(
        critic, backend.asarray(real), backend.asarray(fake), backend.default_rng(3)
    ).item()
    draws = backend.to_numpy(backend.default_rng(3).random((len(real), *[1] * (len(shape) - 1))))
    between = (draws * real + (1 - draws) * fake).reshape(len(real), -1)
    assert found == pytest.approx(((numpy.linalg.norm(between, axis=1) - 1) ** 2).mean())


def test_the_penaltys_gradient_by_the_critics_parameters_is_that_of_differences(rng):
    real, fake = (backend.asarray(rng.standard_normal((5, 3))) for _ in range(2))

    def penalty(first, bias, second):
        def critic(x):
            return np.tanh(x @ first + bias) @ second

        return gradient_penalty(critic, real, fake, backend.default_rng(0))

    shapes = (3, 4), (4,), (4,)
    arguments = [backend.asarray(rng.standard_normal(shape)) for shape in shapes]
    check_grads(penalty, "rev", order=1)(*arguments)


def test_the_penalty_of_a_flat_critic_is_1_and_its_gradient_finite():
    weight = Tensor(np.zeros(2, "float32"))
    x = np.ones((3, 2), "float32")
    value = gradient_penalty(lambda x: x @ weight, x, x, backend.default_rng(0))
    value.backward()
    assert value.dtype == "float32" and value.item() == pytest.approx(1, abs=1e-5)
    assert numpy.isfinite(backend.to_numpy(weight.grad)).all()


# ---------------------------------------------------------------------------- optimal transport


def critics_distance(x, y, penalty=10.0, steps=400):
    """E_p s − E_q s of a critic trained to tell x (N, D) from y (N, D), with the penalty.

    It may be above the distance W: of c times a critic of slope 1, c W − λ (c − 1)² is greatest at
    c = 1 + W / 2λ.
    """
    x, y = (backend.asarray(points.astype("float32")) for points in (x, y))
    rng = backend.default_rng(0)
    critic = MLP(x.shape[1], 1, rng, hidden=48, layers=2)
    optimiser = Adam(critic.parameters().values(), 1e-2)

    def scores(points):
        return critic(points)[:, 0]

    for step in range(steps):
        order = rng.permutation(len(y))  # other pairs to draw lines between
        loss = LOSSES["wgan-gp"].critic(scores(x), scores(y))
        loss = loss + penalty * gradient_penalty(scores, x, y[order], rng)
        loss.backward()
        optimiser.learning_rate = 1e-2 * cosine(step, steps)
        optimiser.step()
    with no_grad():
        return -LOSSES["wgan-gp"].critic(scores(x), scores(y)).item()


def test_the_critic_measures_the_distance_of_transport_on_a_line(rng):
    x = numpy.concatenate([rng.normal(-2, 0.4, (32, 1)), rng.normal(1, 0.3, (32, 1))])
    y = rng.normal(0.5, 0.5, (64, 1))
    exact = scipy.stats.wasserstein_distance(x[:, 0], y[:, 0])
    assert critics_distance(x, y) == pytest.approx(exact, rel=0.1)


@pytest.mark.parametrize("case", ["shifted", "turned"])
def test_the_critic_measures_the_distance_of_transport_in_the_plane(case, rng):
    x = rng.standard_normal((64, 2)) * [1.0, 0.3]
    y = rng.standard_normal((64, 2)) * [1.0, 0.3]
    y = y + numpy.array([0.5, 1.5]) if case == "shifted" else y[:, ::-1] * 2
    cost = cdist(x, y)
    exact = cost[linear_sum_assignment(cost)].mean()
    assert critics_distance(x, y) == pytest.approx(exact, rel=0.1)


# ---------------------------------------------------------------------------- the bilinear game


@pytest.mark.parametrize("rate", [0.01, 0.3, 1.0])
def test_simultaneous_steps_lead_out_of_the_bilinear_game_at_a_known_rate(rate):
    places = backend.to_numpy(bilinear.trajectory(60, rate, alternating=False, start=(0.6, -0.8)))
    radius = numpy.linalg.norm(places, axis=1)
    numpy.testing.assert_allclose(radius, math.hypot(1, rate) ** numpy.arange(61), rtol=1e-12)


@pytest.mark.parametrize("rate", [0.01, 0.3, 1.0, 1.9])
def test_alternating_steps_go_around_it_on_an_ellipse(rate):
    x, y = backend.to_numpy(bilinear.trajectory(60, rate, alternating=True, start=(0.6, -0.8))).T
    kept = x * x + y * y - rate * x * y
    numpy.testing.assert_allclose(kept, kept[0], rtol=1e-11)
    radius = numpy.hypot(x, y)
    assert radius.max() <= radius.min() * math.sqrt((2 + rate) / (2 - rate)) * (1 + 1e-12)
    before, after = numpy.stack([x, y])[:, :-1], numpy.stack([x, y])[:, 1:]
    matrix = after @ numpy.linalg.pinv(before)
    numpy.testing.assert_allclose(matrix, [[1, -rate], [rate, 1 - rate**2]], atol=1e-10)
