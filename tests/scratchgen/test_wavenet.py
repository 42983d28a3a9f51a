"""WaveNet against exact answers: short sequences of few levels can be enumerated."""

import itertools

import numpy
import pytest

import autograd.numpy as np
from autograd import backend, no_grad
from scratchgen.data.wav import mu_law_encode
from scratchgen.models.autoregressive.wavenet import (
    CachedGeneration,
    Conditions,
    WaveNet,
    WaveNetConfig,
)
from scratchgen.nn import CausalConv
from tests.scratchgen.exact import (
    assert_float32_and_every_parameter_learns,
    assert_frequencies,
    randomised,
    seen,
)

LENGTH = 5  # of the sequences that are enumerated


def make(levels=3, spread=0.7, **fields):
    """A small model in float64 with random weights in every layer."""
    small = {"stacks": 1, "layers": 2, "residual": 5, "skip": 6, "hop": 3, "window": 8}
    config = WaveNetConfig(levels=levels, **(small | fields))
    return randomised(WaveNet(config, backend.default_rng(0)), spread=spread)


def opened(model):
    """The model with small positive weights: no unit is closed, and no two paths cancel."""
    model.load({k: 0.1 + 0.1 * abs(v) for k, v in model.values().items()})
    return model


def conditions(model, n, length, seed=0):
    """Random labels and features, if the model has any."""
    rng, config = numpy.random.default_rng(seed), model.config
    labels, features = None, None
    if config.classes:
        labels = backend.asarray(rng.integers(config.classes, size=n))
    if config.features:
        frames = -(-length // config.hop)
        features = backend.asarray(rng.standard_normal((n, frames, config.features)))
    return Conditions(labels, features)


def codes(shape, levels=3, seed=0):
    return backend.asarray(numpy.random.default_rng(seed).integers(levels, size=shape))


def log_prob(model, x, context=None):
    with no_grad():
        return backend.to_numpy(model.log_prob(backend.asarray(x), context))


def every_sequence(levels, length=LENGTH):
    return numpy.array(list(itertools.product(range(levels), repeat=length)))


def same_for_all(context, n):
    """The conditions of one sequence for ``n`` of them."""
    repeated = [
        None if x is None else backend.asarray(numpy.repeat(backend.to_numpy(x), n, axis=0))
        for x in (context.labels, context.features)
    ]
    return Conditions(*repeated)


CONDITIONED = [{}, {"classes": 3}, {"features": 2}, {"classes": 2, "features": 2}]
SHAPES = [
    {},
    {"layers": 1},
    {"stacks": 2, "layers": 3},
    {"stacks": 3, "layers": 1, "kernel": 3},
    {"layers": 3, "kernel": 4, "levels": 2},
    {"levels": 2, "classes": 3},
    {"features": 2},
    {"classes": 2, "features": 2, "hop": 1},
]


# --------------------------------------------------------------------------------- the density


@pytest.mark.parametrize("fields", SHAPES, ids=str)
def test_the_probabilities_of_all_sequences_sum_to_one(fields):
    model = make(**fields)
    every = every_sequence(model.config.levels)
    context = same_for_all(conditions(model, 1, LENGTH), len(every))
    p = numpy.exp(log_prob(model, every, context))
    numpy.testing.assert_allclose(p.sum(), 1, rtol=0, atol=1e-12)
    assert p.max() > 3 / len(p), "the model is uniform, and the sum shows nothing"


def test_log_prob_is_the_papers_equations(rng):
    model = make(stacks=2, classes=2, features=2)
    x, context = codes((4, 7)), conditions(model, 4, 7)
    p = model.values()
    code, labels = backend.to_numpy(x), backend.to_numpy(context.labels)
    frames = backend.to_numpy(context.features)
    h = numpy.concatenate([numpy.zeros((4, 1, 5)), p["first.weight"][code[:, :-1]]], 1)
    local = numpy.stack([frames[:, t // 3] @ p["upsample"][t % 3].T for t in range(7)], 1)
    s = p["skip.bias"]
    for i, d in enumerate([1, 2, 1, 2]):
        layer = f"layers.{i}."
        past = numpy.concatenate([numpy.zeros((4, d, 5)), h], 1)[:, :7]
        w = p[layer + "conv.weight"]
        y = past @ w[0] + h @ w[1] + p[layer + "conv.bias"]
        y += p[layer + "labels.weight"][labels][:, None] + local @ p[layer + "features"]
        z = numpy.tanh(y[..., :5]) / (1 + numpy.exp(-y[..., 5:]))
        s = s + z @ p["skip.weight"][5 * i : 5 * i + 5]
        h = h + z @ p[layer + "residual"] if i < 3 else None
    hidden = numpy.maximum(s, 0) @ p["hidden.weight"] + p["hidden.bias"]
    logits = numpy.maximum(hidden, 0) @ p["output.weight"] + p["output.bias"]
    log_p = logits - numpy.log(numpy.exp(logits).sum(-1, keepdims=True))
    expected = numpy.take_along_axis(log_p, code[..., None], -1).sum((1, 2))
    numpy.testing.assert_allclose(log_prob(model, x, context), expected, rtol=1e-12)


def test_the_loss_is_in_nats_per_sample():
    model = make()
    x = codes((4, 7))
    loss, metrics = model.loss((x, None), None)
    assert loss.item() == pytest.approx(-log_prob(model, x).mean() / 7, rel=1e-12)
    assert metrics["nats"].item() == model.loss(x, None)[0].item() == loss.item()


@pytest.mark.parametrize("fields", CONDITIONED, ids=str)
def test_a_new_model_is_float32_and_every_parameter_learns(fields):
    config = WaveNetConfig(levels=5, stacks=1, layers=3, residual=4, skip=8, hop=4, **fields)
    model = WaveNet(config, backend.default_rng(0))
    batch = codes((2, 10), 5), conditions(model, 2, 10)
    assert_float32_and_every_parameter_learns(model, batch)


def test_a_new_model_of_twenty_layers_is_nearly_uniform_and_its_first_layers_learn():
    model = WaveNet(WaveNetConfig(), backend.default_rng(0))
    loss, _ = model.loss(codes((1, 500), 256), None)
    assert 0.9 * numpy.log(256) < loss.item() < 1.5 * numpy.log(256)
    loss.backward()
    sizes = [np.sqrt(np.mean(y.conv.weight.grad**2)).item() for y in model.layers]
    assert min(sizes) > 0.05 * max(sizes)


# ------------------------------------------------------------------------- the receptive field


@pytest.mark.parametrize(
    ("stacks", "layers", "kernel", "expected"),
    [(1, 1, 2, 2), (1, 3, 2, 8), (2, 3, 2, 15), (3, 1, 3, 7), (1, 3, 3, 15), (2, 2, 4, 19)],
)
def test_the_receptive_field_is_that_of_theory(stacks, layers, kernel, expected):
    model = opened(make(stacks=stacks, layers=layers, kernel=kernel))
    assert model.config.receptive_field == expected
    length = 2 * expected + 3
    with no_grad():  # the gradient by what stands below each sample: place t + 1 holds sample t
        embedded = backend.to_numpy(model.embed(codes((1, length)))) + 0.5
    for t in range(length):
        places = seen(model.network, embedded, (t,))
        samples = numpy.arange(length) - 1
        within = (t - expected <= samples) & (samples < t)
        numpy.testing.assert_array_equal(places, within[:, None].repeat(5, 1), f"of sample {t}")


def test_below_each_sample_stands_the_one_before_it_and_below_the_first_nothing():
    model = make()
    x = codes((3, 6))
    with no_grad():
        embedded, rows = model.embed(x), model.first(x)
        numpy.testing.assert_array_equal(
            backend.to_numpy(embedded)[:, 1:], backend.to_numpy(rows)[:, :-1]
        )
        assert (backend.to_numpy(embedded)[:, 0] == 0).all()


@pytest.mark.parametrize("fields", [{}, {"stacks": 2}, {"layers": 3, "kernel": 3}], ids=str)
def test_a_sample_depends_on_all_those_of_its_receptive_field_and_no_others(fields):
    model = opened(make(levels=4, **fields))
    field, length = model.config.receptive_field, 2 * model.config.receptive_field + 2
    x = codes((1, length), 4)
    with no_grad():
        before = backend.to_numpy(model.network(model.embed(x)))[0]
        for s in range(length):
            y = x.copy()
            y[0, s] = (x[0, s] + 1) % 4
            after = backend.to_numpy(model.network(model.embed(y)))[0]
            moved = abs(after - before).max(-1) > 1e-12
            t = numpy.arange(length)
            numpy.testing.assert_array_equal(moved, (s < t) & (t <= s + field))


# ----------------------------------------------------------------------------------- sampling


def sample(model, n, length, method="cached", seed=3, **options):
    drawn = model.sample(n, backend.default_rng(seed), length, method, **options)
    return backend.to_numpy(drawn)


@pytest.mark.parametrize("fields", SHAPES, ids=str)
@pytest.mark.parametrize("prompt", [0, 1, 4, 17])
def test_cached_sampling_equals_naive_sampling(fields, prompt):
    model = make(**fields)
    given = codes((6, prompt), model.config.levels, seed=1) if prompt else None
    context = conditions(model, 6, prompt + 20)
    cached, naive = (
        sample(model, 6, 20, method, given=given, context=context) for method in ("cached", "naive")
    )
    numpy.testing.assert_array_equal(cached, naive)
    assert cached.shape == (6, 20)
    assert len(numpy.unique(cached)) == model.config.levels


@pytest.mark.parametrize("fields", CONDITIONED, ids=str)
def test_cached_sampling_equals_naive_sampling_in_float32(fields):
    model = make(levels=16, stacks=2, layers=3, spread=0.4, **fields)
    model.astype("float32")
    context = conditions(model, 5, 40)
    cached, naive = (sample(model, 5, 40, way, context=context) for way in ("cached", "naive"))
    numpy.testing.assert_array_equal(cached, naive)


def test_the_cached_logits_are_those_of_the_whole_network_at_every_sample():
    model = make(stacks=2, kernel=3, classes=2, features=2)
    context = conditions(model, 3, 30)
    x = codes((3, 30))
    with no_grad():
        labels, features = model.conditions(context, 3, 30)
        whole = backend.to_numpy(model.network(model.embed(x), labels, features))
        for start in (0, 1, 9, 25):
            state = CachedGeneration(model, x[:, :start], 30 - start, labels, features)
            for t in range(start, 30):
                logits = backend.to_numpy(state.logits(t))
                numpy.testing.assert_allclose(logits, whole[:, t], rtol=0, atol=1e-11)
                state.put(t, x[:, t])


@pytest.mark.parametrize("method", ["cached", "naive"])
@pytest.mark.parametrize("fields", [{}, {"classes": 2, "features": 2}], ids=str)
def test_samples_occur_as_often_as_their_probability_says(method, fields):
    model = make(**fields)
    n, length, every = 20_000, 4, every_sequence(3, 4)
    context = conditions(model, 1, length)
    p = numpy.exp(log_prob(model, every, same_for_all(context, len(every))))
    found = sample(model, n, length, method, seed=0, context=same_for_all(context, n))
    assert_frequencies(found @ 3 ** numpy.arange(length)[::-1], p)


def test_what_goes_on_from_a_prompt_follows_the_distribution_given_it():
    model = make()
    n, prompt, every = 20_000, numpy.array([2, 0, 1, 1, 2, 0]), every_sequence(3, 2)
    whole = numpy.concatenate([prompt[None].repeat(9, 0), every], 1)
    log_p = log_prob(model, whole) - log_prob(model, prompt[None])
    found = sample(model, n, 2, given=backend.asarray(prompt))
    assert_frequencies(found @ [3, 1], numpy.exp(log_p))


def test_temperature_near_zero_takes_the_likeliest_code_each_time():
    model = make()
    drawn = sample(model, 2, 6, temperature=1e-6)
    numpy.testing.assert_array_equal(drawn[0], drawn[1])
    with no_grad():
        logits = backend.to_numpy(model.network(model.embed(backend.asarray(drawn))))
    numpy.testing.assert_array_equal(logits.argmax(-1), drawn)


# --------------------------------------------------------------------------------- conditions


@pytest.mark.parametrize("fields", CONDITIONED[1:], ids=str)
def test_conditions_change_the_density_and_each_sequence_has_its_own(fields):
    model = make(**fields)
    x = codes((1, 8)).repeat(2, axis=0)
    context = conditions(model, 2, 8, seed=2)
    together = log_prob(model, x, context)
    assert abs(together[0] - together[1]) > 1e-3
    for i in (0, 1):
        own = [None if c is None else c[i : i + 1] for c in (context.labels, context.features)]
        alone = log_prob(model, x[i : i + 1], Conditions(*own))
        numpy.testing.assert_allclose(alone[0], together[i], rtol=1e-12)


def test_a_frame_of_features_is_heard_by_its_samples_and_what_follows_them():
    model = opened(make(features=2, hop=3))
    context, x = conditions(model, 1, 15), codes((1, 15))
    changed = context.features.copy()
    changed[0, 2] += 1.0
    with no_grad():
        outputs = [
            backend.to_numpy(model.network(model.embed(x), None, model.conditions(c, 1, 15)[1]))
            for c in (context, Conditions(features=backend.asarray(changed)))
        ]
    moved = abs(outputs[1] - outputs[0]).max((0, 2)) > 1e-12
    t = numpy.arange(15)
    reach = model.config.receptive_field - 2  # they enter after the first layer's convolution
    within = (t >= 6) & (t < 9 + reach)
    numpy.testing.assert_array_equal(moved, within)


def test_a_new_model_repeats_each_frame_over_its_samples():
    config = WaveNetConfig(features=2, hop=3, layers=1, stacks=1)
    model = WaveNet(config, backend.default_rng(0))
    context = conditions(model, 2, 7)
    with no_grad():
        upsampled = backend.to_numpy(model.conditions(context, 2, 7)[1])
    expected = backend.to_numpy(context.features).repeat(3, axis=1)[:, :7]
    numpy.testing.assert_allclose(upsampled, expected, rtol=1e-6)


# --------------------------------------------------------------------------- causal convolution


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (2, 1), (2, 4), (3, 2), (4, 3)])
@pytest.mark.parametrize("known", [0, 1, 3, 11])
def test_a_causal_convolution_step_by_step_is_that_of_the_whole(kernel, dilation, known, rng):
    conv = CausalConv(3, 4, kernel, dilation, backend.default_rng(0))
    conv.astype("float64")
    conv.bias[...] = backend.asarray(rng.standard_normal(4))
    x = backend.asarray(rng.standard_normal((2, 20, 3)))
    with no_grad():
        whole = backend.to_numpy(conv(x))
        queue = conv.start(x[:, :known])
        for t in range(known, 20):
            step = backend.to_numpy(conv.step(x[:, t], queue))
            numpy.testing.assert_allclose(step, whole[:, t], rtol=0, atol=1e-12)


# --------------------------------------------------------------------------------- wrong input


def test_a_sequence_shorter_than_the_receptive_field_has_a_density():
    model = WaveNet(WaveNetConfig(residual=4, skip=4), backend.default_rng(0))
    assert model.config.receptive_field == 2047
    x = backend.asarray(mu_law_encode(numpy.sin(numpy.arange(12.0))[None]))
    total = log_prob(model, x)
    assert numpy.isfinite(total).all() and numpy.isfinite(log_prob(model, x[:, :1])).all()
    assert sample(model, 2, 3).shape == (2, 3)


@pytest.mark.parametrize(
    ("fields", "context", "message"),
    [
        ({}, Conditions(labels=[0, 1]), "not conditioned on labels"),
        ({}, Conditions(features=[[[0.0]], [[0.0]]]), "not conditioned on features"),
        ({"classes": 2}, None, "pass labels, 0 … 1"),
        ({"classes": 2}, Conditions(labels=[0]), r"labels \(1,\), expected \(2,\)"),
        ({"features": 2}, None, "pass features"),
        ({"features": 2}, Conditions(features=[[[0.0, 0]]] * 2), "at least 2 frames"),
        ({"features": 2}, Conditions(features=[[[0.0] * 3] * 2] * 2), r"\(2, frames, 2\)"),
        ({"features": 2}, Conditions(features=[[[0.0] * 2] * 2]), r"\(1, 2, 2\), expected"),
    ],
)
def test_conditions_that_do_not_fit_are_an_error_of_one_line(fields, context, message):
    model = make(**fields)
    if context is not None:
        arrays = [None if x is None else backend.asarray(x) for x in context._asdict().values()]
        context = Conditions(*arrays)
    with pytest.raises(ValueError, match=message) as error:
        model.log_prob(codes((2, 5)), context)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("shape", [(5,), (2, 5, 1), (2, 0)])
def test_codes_of_another_shape_are_an_error_of_one_line(shape):
    with pytest.raises(ValueError, match=r"expected \(N, T\) with T at least 1"):
        make().log_prob(codes(shape))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "fast"}, "there are the methods 'cached' and 'naive'"),
        ({"given": codes((3, 4))}, r"given \(3, 4\), expected \(2, P\) or \(P,\)"),
        ({"given": codes((2, 4, 1))}, r"given \(2, 4, 1\)"),
        ({"given": codes(())}, r"given \(\)"),
        ({"length": -1}, "length=-1"),
        ({"temperature": 0.0}, "temperature must be above 0"),
    ],
    ids=str,
)
def test_sampling_what_cannot_be_is_an_error_of_one_line(options, message):
    with pytest.raises(ValueError, match=message):
        sample(make(), 2, **({"length": 3} | options))


@pytest.mark.parametrize(
    "field", ["levels", "stacks", "layers", "kernel", "residual", "skip", "hop", "window"]
)
def test_a_configuration_that_cannot_be_is_an_error_of_one_line(field):
    with pytest.raises(ValueError, match=f"{field}=0: {field} must be at least"):
        WaveNetConfig(**{field: 0})
    for name in ("classes", "features"):
        with pytest.raises(ValueError, match=f"{name}=-1: {name} must be at least 1, or 0"):
            WaveNetConfig(**{name: -1})
