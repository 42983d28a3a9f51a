"""Optimisers against their papers' equations and PyTorch's; their state; clipping; schedules."""

import math

import numpy
import pytest
from safetensors.numpy import load, save

import autograd.numpy as np
from autograd import Tensor, backend
from scratchgen.optim import (
    OPTIMISERS,
    SGD,
    Adam,
    Adamax,
    AdamW,
    ExponentialMovingAverage,
    FlatParameters,
    RMSprop,
    clip_by_norm,
    constant,
    cosine,
    exponential,
    linear_warmup,
)
from scratchgen.optim import optimiser as optimiser_module

EVERY_FORM = [
    *OPTIMISERS.values(),
    lambda x, rate=0.01: SGD(x, rate, momentum=0.9),
    lambda x, rate=0.01: SGD(x, rate, momentum=0.9, nesterov=True),
]
FORMS = [*OPTIMISERS, "momentum", "nesterov"]


def tensors(rng, *shapes, dtype="float64"):
    return [Tensor(backend.asarray(rng.standard_normal(s).astype(dtype))) for s in shapes]


def values(parameters):
    return [backend.to_numpy(x.data).copy() for x in parameters]


# ------------------------------------------------------------------------------ update rules
# Each is what its paper has, one parameter array θ and one step t at a time. ``s`` holds what is
# carried from step to step, from 0.


def adam(theta, g, t, s):
    s["m"] = 0.8 * s["m"] + 0.2 * g
    s["v"] = 0.9 * s["v"] + 0.1 * g**2
    m_hat, v_hat = s["m"] / (1 - 0.8**t), s["v"] / (1 - 0.9**t)
    return theta - 0.1 * m_hat / (numpy.sqrt(v_hat) + 1e-3)


def adamw(theta, g, t, s):
    eta, alpha, decay = 1.0, 0.1, 0.1 * 0.05  # the paper's λ is our learning rate times ours
    s["m"] = 0.8 * s["m"] + 0.2 * g
    s["v"] = 0.9 * s["v"] + 0.1 * g**2
    m_hat, v_hat = s["m"] / (1 - 0.8**t), s["v"] / (1 - 0.9**t)
    return theta - eta * (alpha * m_hat / (numpy.sqrt(v_hat) + 1e-3) + decay * theta)


def adamax(theta, g, t, s):
    s["m"] = 0.8 * s["m"] + 0.2 * g
    s["u"] = numpy.maximum(0.9 * s["u"], abs(g))
    return theta - 0.1 / (1 - 0.8**t) * s["m"] / s["u"]


def rmsprop(theta, g, t, s):
    s["v"] = 0.8 * s["v"] + 0.2 * g**2
    return theta - 0.1 * g / (numpy.sqrt(s["v"]) + 1e-3)


def plain_descent(theta, g, t, s):
    return theta - 0.1 * g


def momentum(theta, g, t, s):
    s["v"] = 0.8 * s["v"] - 0.1 * g
    return theta + s["v"]


BETAS = {"beta1": 0.8, "beta2": 0.9}


@pytest.mark.parametrize("block", [3, 2**14])
@pytest.mark.parametrize(
    "rule, make",
    [
        (adam, lambda x: Adam(x, 0.1, **BETAS, epsilon=1e-3)),
        (adamw, lambda x: AdamW(x, 0.1, **BETAS, epsilon=1e-3, weight_decay=0.05)),
        (adamax, lambda x: Adamax(x, 0.1, **BETAS, epsilon=0)),
        (rmsprop, lambda x: RMSprop(x, 0.1, decay=0.8, epsilon=1e-3)),
        (plain_descent, lambda x: SGD(x, 0.1)),
        (momentum, lambda x: SGD(x, 0.1, momentum=0.8)),
    ],
    ids=lambda x: getattr(x, "__name__", ""),
)
def test_an_optimiser_follows_the_equations_of_its_paper(rng, block, rule, make, monkeypatch):
    monkeypatch.setattr(optimiser_module, "_BLOCK", block)
    parameters = tensors(rng, (2, 3), (4,), ())
    theta = values(parameters)
    carried = [dict.fromkeys("muv", 0.0) for _ in theta]
    optimiser = make(parameters)
    for t in range(1, 6):
        gradients = [rng.standard_normal(x.shape) for x in theta]
        for i, g in enumerate(gradients):
            parameters[i].grad = backend.asarray(g)
            theta[i] = rule(theta[i], g, t, carried[i])
        optimiser.step()
        for found, expected in zip(values(parameters), theta, strict=True):
            numpy.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-14)


def test_nesterovs_momentum_is_the_gradient_ahead_as_in_the_paper(rng):
    """Sutskever et al. (2013), eqs. 3 and 4, on ½ Σ k x²: the parameters are the point ahead."""
    (x,) = tensors(rng, (4,))
    theta, v = values([x])[0], numpy.zeros(4)
    k = numpy.array([0.5, 1.0, 2.0, 3.0])
    optimiser = SGD([x], 0.1, momentum=0.8, nesterov=True)
    for _ in range(6):
        v = 0.8 * v - 0.1 * k * (theta + 0.8 * v)
        theta = theta + v
        np.sum(0.5 * backend.asarray(k) * x * x).backward()
        optimiser.step()
        numpy.testing.assert_allclose(values([x])[0], theta + 0.8 * v, rtol=1e-12)


@pytest.mark.peers
@pytest.mark.parametrize(
    "make, peer, settings",
    [
        (lambda x: Adam(x, 0.1), "Adam", {}),
        (lambda x: AdamW(x, 0.1, weight_decay=0.05), "AdamW", {"weight_decay": 0.05}),
        (lambda x: Adamax(x, 0.1), "Adamax", {}),
        (lambda x: RMSprop(x, 0.1, decay=0.95), "RMSprop", {"alpha": 0.95}),
        (lambda x: SGD(x, 0.1), "SGD", {}),
        (lambda x: SGD(x, 0.1, momentum=0.9), "SGD", {"momentum": 0.9}),
        (lambda x: SGD(x, 0.1, 0.9, True), "SGD", {"momentum": 0.9, "nesterov": True}),
    ],
)
def test_an_optimiser_with_schedule_and_clipping_does_as_pytorchs(rng, make, peer, settings):
    torch = pytest.importorskip("torch")
    parameters = tensors(rng, (2, 3), (4,))
    theirs = [torch.tensor(x, requires_grad=True) for x in values(parameters)]
    optimiser, other = make(parameters), getattr(torch.optim, peer)(theirs, lr=0.1, **settings)
    for step in range(20):
        optimiser.learning_rate = other.param_groups[0]["lr"] = 0.1 * cosine(step, 15, 0.1)
        for x, y in zip(parameters, theirs, strict=True):
            g = rng.standard_normal(x.shape)
            x.grad, y.grad = backend.asarray(g), torch.tensor(g)
        norm = clip_by_norm(optimiser.flat, 3.0)
        expected = torch.nn.utils.clip_grad_norm_(theirs, 3.0)
        assert norm.item() == pytest.approx(expected.item(), rel=1e-12)
        optimiser.step()
        other.step()
        for x, y in zip(values(parameters), theirs, strict=True):  # torch adds 1e-6 to the norm
            numpy.testing.assert_allclose(x, y.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_weights_decay_by_the_learning_rate_times_the_decay_without_any_gradient(rng):
    (x,) = tensors(rng, (3,))
    before = values([x])[0]
    AdamW([x], 0.5, weight_decay=0.1).step()
    numpy.testing.assert_allclose(values([x])[0], 0.95 * before, rtol=1e-14)


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda x: Adam(x, -1.0), "Adam: learning_rate is -1"),
        (lambda x: Adam(x, math.nan), "Adam: learning_rate is nan"),
        (lambda x: Adamax(x, beta1=1.0), "Adamax: beta1 is 1.0"),
        (lambda x: RMSprop(x, decay=-0.1), "RMSprop: decay is -0.1"),
        (lambda x: AdamW(x, weight_decay=-0.1), "AdamW: weight_decay is -0.1"),
        (lambda x: SGD(x, momentum=1.5), "SGD: momentum is 1.5"),
        (lambda x: SGD(x, nesterov=True), "SGD: nesterov is a kind of momentum"),
    ],
)
def test_impossible_settings_are_refused(rng, make, message):
    with pytest.raises(ValueError, match=message):
        make(tensors(rng, (2,)))


# ---------------------------------------------------------------------- what all have in common


def test_the_first_step_is_the_learning_rate_whatever_the_scale_of_the_gradient(rng):
    parameters = tensors(rng, (4,))
    before = values(parameters)[0]
    parameters[0].grad = backend.asarray(numpy.array([1e-3, -1.0, 1e3, -1e6]))
    Adam(parameters, learning_rate=0.01).step()
    steps = values(parameters)[0] - before
    numpy.testing.assert_allclose(steps, [-0.01, 0.01, -0.01, 0.01], rtol=1e-4)


@pytest.mark.parametrize("make", EVERY_FORM, ids=FORMS)
def test_a_quadratic_is_minimised_under_a_schedule(rng, make):
    x, y = tensors(rng, (3,), (2, 2))
    optimiser = make([x, y], 0.1)
    for step in range(300):
        optimiser.learning_rate = 0.1 * cosine(step, 300)
        (np.sum((x - 1.0) ** 2) + np.sum((y + 2.0) ** 2)).backward()
        optimiser.step()
    assert abs(values([x])[0] - 1).max() < 0.02 and abs(values([y])[0] + 2).max() < 0.02


@pytest.mark.parametrize("make", [m for m in EVERY_FORM if m is not AdamW])
def test_a_step_clears_gradients_and_a_parameter_without_one_stays(rng, make):
    x, y = tensors(rng, (3,), (2,))
    before = values([y])[0]
    optimiser = make([x, y])
    np.sum(x).backward()
    optimiser.step()
    assert x.grad is None and y.grad is None
    numpy.testing.assert_array_equal(values([y])[0], before)


@pytest.mark.parametrize("make", EVERY_FORM, ids=FORMS)
def test_float32_stays_float32(rng, make):
    (x,) = tensors(rng, (3,), dtype="float32")
    optimiser = make([x])
    np.sum(x * x).backward()
    assert clip_by_norm([x], 0.1).dtype == clip_by_norm(optimiser.flat, 0.1).dtype == "float32"
    optimiser.step()
    kept = [value.dtype for name, value in optimiser.state().items() if name != "steps"]
    assert x.dtype == "float32" and all(dtype == "float32" for dtype in kept)


def test_a_backward_pass_after_the_step_that_changed_its_weights_is_an_error(rng):
    x, _ = parameters = tensors(rng, (3,), (3,))
    optimiser = Adam(parameters)
    late = np.sum(x * x * x)
    np.sum(x).backward()
    optimiser.step()
    with pytest.raises(RuntimeError, match="changed in place"):
        late.backward()


def test_parameters_become_views_of_one_buffer_with_their_values_kept(rng):
    parameters = tensors(rng, (2, 3), (4,))
    before = values(parameters)
    flat = FlatParameters(parameters)
    for found, expected in zip(values(parameters), before, strict=True):
        numpy.testing.assert_array_equal(found, expected)
    flat.data *= 2
    for found, expected in zip(values(parameters), before, strict=True):
        numpy.testing.assert_array_equal(found, 2 * expected)


def test_what_cannot_be_one_buffer_is_refused(rng):
    with pytest.raises(ValueError, match="no parameters"):
        FlatParameters([])
    mixed = tensors(rng, (2,)) + tensors(rng, (2,), dtype="float32")
    with pytest.raises(ValueError, match="several dtypes"):
        FlatParameters(mixed)


def test_parameters_that_another_optimiser_took_over_are_not_silently_left_alone(rng):
    (x,) = tensors(rng, (3,))
    first, second = SGD([x]), SGD([x])
    second.step()
    with pytest.raises(RuntimeError, match="moved to other memory"):
        first.step()


# ----------------------------------------------------------------------------------------- state


def train(optimiser, x, steps):
    """Some steps whose gradients depend on how many there were before."""
    for _ in range(steps):
        weights = backend.asarray(numpy.sin(numpy.arange(5.0) + optimiser.steps), x.dtype)
        np.sum(weights * x * x).backward()
        clip_by_norm(optimiser.flat, 1.0)
        optimiser.learning_rate = 0.1 * linear_warmup(optimiser.steps, 5)
        optimiser.step()


@pytest.mark.parametrize("make", EVERY_FORM, ids=FORMS)
def test_a_resumed_run_is_the_uninterrupted_one_bit_for_bit(rng, make):
    (x,) = tensors(rng, (5,), dtype="float32")
    start = values([x])[0]
    optimiser = make([x], 0.1)
    train(optimiser, x, 8)
    y = Tensor(backend.asarray(start))
    stopped = make([y], 0.1)
    train(stopped, y, 3)
    file, weights = save(stopped.state()), values([y])[0]
    train(stopped, y, 2)  # of which nothing is left in the file

    z = Tensor(backend.asarray(weights))
    resumed = make([z], 0.1)
    resumed.load_state(load(file))
    assert resumed.steps == 3
    train(resumed, z, 5)
    assert values([z])[0].tobytes() == values([x])[0].tobytes()
    assert resumed.state().keys() == optimiser.state().keys()
    for name, value in resumed.state().items():
        assert value.tobytes() == optimiser.state()[name].tobytes(), name


def test_the_state_is_a_copy_on_the_host_and_loading_it_keeps_no_link(rng):
    (x,) = tensors(rng, (5,))
    optimiser = Adam([x])
    train(optimiser, x, 1)
    state = optimiser.state()
    assert {name: (type(v), v.dtype, v.shape) for name, v in state.items()} == {
        "steps": (numpy.ndarray, "int64", ()),
        "sums": (numpy.ndarray, "float64", (5,)),
        "squares": (numpy.ndarray, "float64", (5,)),
    }
    optimiser.load_state(state)
    before = state["sums"].copy()
    train(optimiser, x, 1)
    numpy.testing.assert_array_equal(state["sums"], before)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda s: s.pop("sums"), "^load_state: 'sums' is missing; Adam needs it$"),
        (lambda s: s.pop("steps"), "^load_state: 'steps' is missing; Adam needs it$"),
        (
            lambda s: s.update(squares=numpy.zeros(4)),
            r"^load_state: 'squares' is float64 of shape \(4,\); "
            r"Adam needs float64 of shape \(5,\)$",
        ),
        (lambda s: s.update(sums=numpy.zeros(5, "float32")), "'sums' is float32 of shape"),
        (lambda s: s.update(velocity=s["sums"]), "^load_state: Adam has no 'velocity' in its st"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_and_nothing_is_loaded(rng, change, message):
    (x,) = tensors(rng, (5,))
    optimiser = Adam([x])
    train(optimiser, x, 2)
    before = optimiser.state()
    state = {name: value + 1 for name, value in before.items()}
    state["steps"] = numpy.array(9)
    change(state)
    with pytest.raises(ValueError, match=message):
        optimiser.load_state(state)
    for name, value in optimiser.state().items():
        numpy.testing.assert_array_equal(value, before[name])


# -------------------------------------------------------------------------------------- clipping


def gradients(parameters):
    return [backend.to_numpy(x.grad) for x in parameters]


@pytest.mark.parametrize("flat", [False, True])
def test_clipping_scales_all_gradients_to_the_largest_norm_and_shorter_ones_not_at_all(rng, flat):
    parameters = tensors(rng, (2, 3), (4,), ())
    subject = FlatParameters(parameters) if flat else parameters
    given = [rng.standard_normal(x.shape) for x in parameters]
    norm = math.sqrt(sum((g**2).sum() for g in given))
    for largest, factor in [(2 * norm, 1.0), (norm / 4, 0.25)]:
        for x, g in zip(parameters, given, strict=True):
            x.grad = backend.asarray(g.copy())
        assert clip_by_norm(subject, largest).item() == pytest.approx(norm, rel=1e-14)
        for found, g in zip(gradients(parameters), given, strict=True):
            numpy.testing.assert_allclose(found, factor * g, rtol=0 if factor == 1 else 1e-14)


def test_clipped_gradients_reach_the_optimiser_and_later_ones_add_to_them(rng):
    x, unused = parameters = tensors(rng, (3,), (2,))
    before = values(parameters)
    optimiser = SGD(parameters, 1.0)
    np.sum(3.0 * x).backward()
    clip_by_norm(optimiser.flat, math.sqrt(3))  # (1, 1, 1)
    np.sum(2.0 * x).backward()
    optimiser.step()
    numpy.testing.assert_allclose(values([x])[0], before[0] - 3, rtol=1e-14)
    numpy.testing.assert_array_equal(values([unused])[0], before[1])
    assert x.grad is None and unused.grad is None


def test_gradients_of_zero_stay_zero(rng):
    (x,) = tensors(rng, (3,))
    flat = FlatParameters([x])
    assert clip_by_norm(flat, 1.0).item() == 0
    assert not gradients([x])[0].any()


def test_clipping_refuses_what_has_no_meaning(rng):
    (x,) = tensors(rng, (3,))
    with pytest.raises(ValueError, match="largest norm is 0"):
        clip_by_norm([x], 0)
    with pytest.raises(ValueError, match="no parameter has a gradient"):
        clip_by_norm([x], 1.0)


# ------------------------------------------------------------------------------------- schedules


def test_schedules_take_their_values_at_their_ends_and_between():
    assert [constant(t) for t in (0, 10**9)] == [1, 1]
    assert [linear_warmup(t, 4) for t in range(6)] == [0.25, 0.5, 0.75, 1, 1, 1]
    assert linear_warmup(0, 0) == 1
    assert [cosine(t, 4) for t in (0, 2, 4, 9)] == pytest.approx([1, 0.5, 0, 0], abs=1e-15)
    assert cosine(1, 3, 0.2) == pytest.approx(0.2 + 0.8 * 0.75)
    assert cosine(5, 3, 0.2) == pytest.approx(0.2)
    assert [exponential(t, 0.5, 2) for t in (0, 2, 4)] == [1, 0.5, 0.25]
    assert exponential(1, 0.5, 2) == pytest.approx(math.sqrt(0.5))


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: linear_warmup(0, -1), "linear_warmup: steps is -1"),
        (lambda: cosine(0, 0), "cosine: steps is 0"),
        (lambda: exponential(0, 0.0), "exponential: the rate is 0.0"),
        (lambda: exponential(0, 0.5, 0), "exponential: steps is 0"),
    ],
)
def test_impossible_schedules_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# --------------------------------------------------------------------------------------- average


def test_the_average_weighs_each_steps_weights_by_its_age_and_the_weights_sum_to_one(rng):
    parameters = tensors(rng, (2, 2), (3,))
    optimiser = SGD(parameters, 0.1)
    average = ExponentialMovingAverage(optimiser.flat, decay=0.7)
    seen = []
    for _ in range(5):
        np.sum(parameters[0] * parameters[0]).backward()
        optimiser.step()
        average.update()
        seen.append(backend.to_numpy(optimiser.flat.data).copy())
    weights = 0.7 ** numpy.arange(4, -1, -1.0)
    expected = numpy.average(seen, axis=0, weights=weights)
    numpy.testing.assert_allclose(backend.to_numpy(average.average()), expected, rtol=1e-13)

    with average.in_place():
        now = numpy.concatenate([x.ravel() for x in values(parameters)])
        numpy.testing.assert_array_equal(now, backend.to_numpy(average.average()))
        with pytest.raises(RuntimeError, match="are the average"):
            average.update()
    assert backend.to_numpy(optimiser.flat.data).tobytes() == seen[-1].tobytes()


def test_the_weights_come_back_after_an_error_and_a_graph_over_the_swap_is_an_error(rng):
    (x,) = tensors(rng, (3,))
    before = values([x])[0]
    flat = FlatParameters([x])
    average = ExponentialMovingAverage(flat)
    with pytest.raises(RuntimeError, match="call update"):
        average.average()
    average.update()
    late = np.sum(x * x)
    with pytest.raises(KeyError), average.in_place():
        raise KeyError
    numpy.testing.assert_array_equal(values([x])[0], before)
    with pytest.raises(RuntimeError, match="changed in place"):
        late.backward()


def test_an_average_is_resumed_bit_for_bit(rng):
    (x,) = tensors(rng, (5,), dtype="float32")
    optimiser = SGD([x], 0.1)
    first, second = (ExponentialMovingAverage(optimiser.flat, 0.9) for _ in range(2))
    train(optimiser, x, 1)
    first.update()
    second.load_state(load(save(first.state())))
    train(optimiser, x, 1)
    first.update()
    second.update()
    assert (
        backend.to_numpy(first.average()).tobytes() == backend.to_numpy(second.average()).tobytes()
    )
    with pytest.raises(ValueError, match="Average: decay is 1"):
        ExponentialMovingAverage(optimiser.flat, 1.0)


def test_an_optimiser_that_begins_anew_takes_the_steps_of_a_new_one(rng):
    (x,), (y,) = tensors(rng, (5,)), tensors(rng, (5,))
    used = Adam([x])
    train(used, x, 3)
    used.restart()
    y[...] = x.data
    new = Adam([y])
    train(used, x, 3)
    train(new, y, 3)
    numpy.testing.assert_array_equal(backend.to_numpy(x.data), backend.to_numpy(y.data))
