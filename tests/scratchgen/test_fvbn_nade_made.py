"""FVBN, NADE and MADE against exact answers: small binary images can be enumerated."""

import functools
import itertools
import json

import numpy
import pytest
import scipy.special
from rich.console import Console

import autograd.numpy as np
from autograd import backend, no_grad
from scratchgen.data import load
from scratchgen.models.autoregressive.binary import earlier
from scratchgen.models.autoregressive.fvbn import FVBN, FVBNConfig
from scratchgen.models.autoregressive.made import MADE, MADEConfig
from scratchgen.models.autoregressive.nade import NADE, NADEConfig
from scratchgen.training import Run, job, presets
from tests.scratchgen import exact

MODELS = {
    "fvbn": (FVBN, FVBNConfig, {}),
    "nade": (NADE, NADEConfig, {"hidden": 5}),
    "made": (MADE, MADEConfig, {"hidden": 20, "layers": 2, "masks": 1, "order": "raster"}),
}


def new(name, height=3, width=3, **fields):
    model, config, small = MODELS[name]
    config = config(height=height, width=width, **(small | fields))
    return model(config, backend.default_rng(0))


def make(name, *size, seed=0, spread=0.7, **fields):
    """A small model in float64 with random weights in every layer."""
    return exact.randomised(new(name, *size, **fields), seed, spread)


def host(x):
    return backend.to_numpy(x)


def logits(model, v, **options):
    with no_grad():
        return host(model.logits(backend.asarray(v), **options))


KINDS = [
    ("fvbn", {}),
    ("fvbn", {"order": "random"}),
    ("nade", {}),
    ("nade", {"order": "random", "order_seed": 4}),
    ("made", {}),
    ("made", {"order": "random", "layers": 1}),
    ("made", {"direct": 0, "layers": 3}),
    ("made", {"masks": 3}),
    ("made", {"masks": 4, "order": "agnostic", "layers": 1}),
    ("made", {"masks": 3, "order": "agnostic", "direct": 0}),
]
kinds = pytest.mark.parametrize(("name", "fields"), KINDS)
names = pytest.mark.parametrize("name", MODELS)


# ----------------------------------------------------------------- what holds of every density


@kinds
@pytest.mark.parametrize("size", [(3, 3), (1, 1), (1, 7), (2, 2, 2)])
def test_the_probabilities_of_all_images_sum_to_one(name, fields, size):
    height, width, *colours = size
    model = make(name, height, width, colours=colours[0] if colours else 1, **fields)
    if size == (1, 1):
        assert exact.probabilities(model).sum() == pytest.approx(1, abs=1e-12)
    else:
        exact.assert_a_density_not_uniform(model)


@kinds
def test_samples_occur_as_often_as_their_probability_says(name, fields):
    for method in ("cached", "naive"):
        exact.assert_samples_follow(make(name, 2, 3, **fields), method, n=10_000)


@kinds
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_cached_sampling_equals_naive_sampling(name, fields, dtype):
    model = make(name, 4, 5, colours=2, spread=0.3, **fields)
    model.astype(dtype)
    exact.assert_cached_is_naive(model)
    exact.assert_cached_is_naive(model, temperature=0.5)
    for n in (0, 1):
        assert exact.sample(model, n).shape == (n, 4, 5, 2)


@names
@pytest.mark.parametrize("order", ["raster", "random"])
def test_completions_keep_what_is_known_and_draw_the_rest_given_what_is_before_it(name, order):
    model = make(name, 2, 3, order=order)
    first = numpy.zeros(6, bool)
    first[model.order[:2]] = True
    scattered = numpy.array([0, 1, 0, 0, 1, 1], bool)
    for method in ("cached", "naive"):
        exact.assert_completions_follow(model, method, first.reshape(2, 3, 1))
        exact.assert_completions_follow_the_order(model, method, scattered.reshape(2, 3, 1))


@kinds
def test_both_ways_of_sampling_complete_alike(name, fields):
    model = make(name, **fields)
    known = numpy.indices((3, 3)).sum(0)[..., None] % 2 == 1
    given = numpy.random.default_rng(0).integers(0, 2, (40, 3, 3, 1))
    cached, naive = (
        exact.sample(model, 40, 1, method, given=given, known=known)
        for method in ("cached", "naive")
    )
    numpy.testing.assert_array_equal(cached, naive)
    assert (cached[:, known] == given[:, known]).all()
    assert len(numpy.unique(cached[:, ~known], axis=0)) > 4


@kinds
def test_a_new_model_is_float32_and_every_parameter_learns(name, fields):
    x = backend.asarray(numpy.random.default_rng(0).integers(0, 2, (5, 3, 3, 1)))
    exact.assert_float32_and_every_parameter_learns(new(name, **fields), x)


# ------------------------------------------------------------------------- orders and masks


def before(order):
    """(D, D): whether value j comes before value i in the order, at [i, j]."""
    place = numpy.argsort(order)
    return place[None, :] < place[:, None]


def jacobian(function, v):
    """Which values each of the logits has a gradient by."""
    return numpy.stack([exact.seen(function, v, (i,)) for i in range(v.shape[1])])


@names
@pytest.mark.parametrize("order", ["raster", "random"])
@pytest.mark.parametrize("size", [(3, 3, 1), (1, 8, 1), (2, 2, 3), (1, 1, 1)])
def test_a_logit_has_a_gradient_by_all_values_before_it_and_by_no_other(name, order, size):
    height, width, colours = size
    model = make(name, height, width, colours=colours, order=order)
    v = numpy.random.default_rng(0).uniform(0.1, 1, (1, height * width * colours))
    expected = before(range(v.shape[1]) if order == "raster" else model.order)
    numpy.testing.assert_array_equal(jacobian(model.logits, v), expected)


@pytest.mark.parametrize("order", ["raster", "random", "agnostic"])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("direct", [0, 1])
def test_what_mades_masks_let_through_is_what_comes_before_in_their_order(order, layers, direct):
    fields = {"order": order, "layers": layers, "direct": direct, "masks": 3, "hidden": 60}
    model = make("made", **fields)
    for x in model.parameters().values():
        x[...] = np.abs(x.data)  # so every ReLU is open and no two paths cancel
    v = numpy.random.default_rng(0).uniform(0.1, 1, (1, 9))
    for masks in model.masks:
        found = jacobian(functools.partial(model.logits, masks=masks), v)
        numpy.testing.assert_array_equal(found, before(masks.order))


def test_a_hidden_unit_of_mades_sees_as_many_values_as_its_degree():
    model = make("made", order="random", layers=2)
    (masks,) = model.masks
    rank = numpy.argsort(masks.order)
    first, second = (host(m).astype(int) for m in masks.hidden)
    for paths, degrees in ((first, masks.degrees[1]), (first @ second, masks.degrees[2])):
        for unit, degree in enumerate(degrees):
            assert 1 <= degree <= 8
            if degree in masks.degrees[1]:  # a unit that reaches so far is there before it
                numpy.testing.assert_array_equal(paths[:, unit] > 0, rank < degree)


def test_degrees_are_never_below_the_least_of_the_layer_before():
    config = MADEConfig(height=4, width=8, hidden=3, layers=6)
    for masks in MADE(config, backend.default_rng(0)).masks:
        for below, above in itertools.pairwise(masks.degrees):
            assert min(below) <= min(above) and max(above) <= 31
        assert all(host(mask).any(0).all() for mask in masks.hidden), "every unit sees some"


def test_without_direct_connections_made_has_no_such_weights():
    assert "direct" in new("made").parameters()
    assert "direct" not in new("made", direct=0).parameters()


def test_mades_masks_differ_in_connections_and_only_agnostic_ones_in_order():
    for order, orders in (("raster", 1), ("random", 1), ("agnostic", 4)):
        masks = new("made", masks=4, order=order).masks
        assert len({tuple(m.order) for m in masks}) == orders
        assert len({tuple(m.degrees[1]) for m in masks}) == 4


def test_orders_and_masks_follow_from_the_configuration_alone():
    for name in MODELS:
        model, config, small = MODELS[name]
        small = small | {"order": "random"}
        one = model(config(**small), backend.default_rng(0))
        same = model(config(**small), backend.default_rng(1))
        other = model(config(order_seed=1, **small), backend.default_rng(0))
        assert one.order == same.order != other.order
        assert sorted(one.order) == list(range(64)) != one.order
        raster = config(**(small | {"order": "raster"}))
        assert model(raster, backend.default_rng(0)).order == list(range(64))
    # orders of the past must stay what they were, or models of the past could not be used
    assert new("fvbn", order="random").order == [7, 5, 1, 3, 4, 2, 0, 8, 6]


@names
def test_masks_never_change_the_weights_and_masked_ones_get_no_gradient(name):
    model = make(name, order="random")
    weights = model.values()
    x = exact.every_image(model)
    loss, _ = model.loss(backend.asarray(x), backend.default_rng(0))
    loss.backward()
    exact.sample(model, 5)
    for path, value in model.values().items():
        numpy.testing.assert_array_equal(value, weights[path])
    gradients = {path: host(x.grad) for path, x in model.parameters().items()}
    masked = {}
    if name == "fvbn":
        masked = {"regressions.weight": model.mask}
    if name == "made":
        (masks,) = model.masks
        masked = {f"hidden.{i}.weight": mask for i, mask in enumerate(masks.hidden)}
        masked |= {"output.weight": masks.output, "direct": masks.direct}
    for path, mask in masked.items():
        assert (weights[path][~host(mask)] != 0).all(), "as they were drawn"
        assert (gradients[path][~host(mask)] == 0).all()
        assert not host(mask).all()


# ---------------------------------------------------------------------- what makes each of them


def test_the_mask_of_an_fvbn_is_strictly_triangular_in_its_order():
    numpy.testing.assert_array_equal(host(earlier(range(5))), numpy.triu(numpy.ones((5, 5)), 1))
    order = [3, 0, 4, 1, 2]
    mask = host(earlier(order))
    numpy.testing.assert_array_equal(mask[order][:, order], numpy.triu(numpy.ones((5, 5)), 1))


def test_an_fvbn_is_a_logistic_regression_of_each_value():
    model = make("fvbn", 1, 4)
    weight, bias = (model.values()[f"regressions.{x}"] for x in ("weight", "bias"))
    for v in itertools.product([0, 1], repeat=4):
        for j in range(4):
            expected = bias[j] + sum(weight[i, j] * v[i] for i in range(j))
            assert logits(model, numpy.array([v], float))[0, j] == pytest.approx(expected)


def test_a_new_fvbn_gives_all_images_the_same_probability():
    numpy.testing.assert_allclose(exact.probabilities(new("fvbn", 2, 2)), 1 / 16, rtol=1e-6)


def test_the_running_sums_of_nade_are_its_recursion():
    model = make("nade", 3, 3, order="random")
    w, v, b, c = (model.values()[x] for x in ("inputs", "outputs", "bias", "hidden_bias"))
    x = numpy.random.default_rng(0).integers(0, 2, (6, 9))
    expected = numpy.zeros((6, 9))
    for n in range(6):
        a = c.copy()
        for step, i in enumerate(model.order):
            expected[n, i] = b[step] + v[step] @ (1 / (1 + numpy.exp(-a)))
            a += w[step] * x[n, i]
    numpy.testing.assert_allclose(logits(model, x.astype(float)), expected, rtol=1e-12)


def test_the_density_of_mades_ensemble_is_the_mean_over_its_masks():
    model = make("made", masks=3, order="agnostic")
    x = exact.every_image(model)
    p = numpy.exp(exact.log_prob(model, x))
    v = x.reshape(len(x), -1).astype(float)
    ones = [1 / (1 + numpy.exp(-logits(model, v, masks=m))) for m in model.masks]
    members = [numpy.where(v == 1, q, 1 - q).prod(-1) for q in ones]
    numpy.testing.assert_allclose(p, numpy.mean(members, 0), rtol=1e-10)
    assert all(abs(p - q).max() > 1e-3 for q in members)


def test_each_step_of_training_uses_one_of_mades_masks_and_in_time_all():
    model = make("made", masks=3, order="agnostic", dropout=0.0)
    x = backend.asarray(exact.every_image(model)[::50])
    v = host(model.embed(x))
    members = []
    for masks in model.masks:
        q = 1 / (1 + numpy.exp(-logits(model, v, masks=masks)))
        members.append(-numpy.log(numpy.where(v == 1, q, 1 - q)).sum(-1).mean())
    found = [model.loss(x, backend.default_rng(s))[0].item() for s in range(40)]
    used = numpy.abs(numpy.subtract.outer(found, members)) < 1e-9
    assert (used.sum(1) == 1).all() and (used.sum(0) > 4).all()


def test_cached_sampling_of_made_uses_each_weight_once():
    model = make("made", 3, 4, order="random", masks=1)
    state = model.cached(1)
    used = [numpy.zeros(w.shape, int) for w in state.weights]
    for i in model.order:
        used[0][i] += 1
        for layer, units in enumerate(state.units):
            used[layer + 1][host(units[state.steps[i]])] += 1
    assert all((count == 1).all() for count in used)


@pytest.mark.parametrize("name", ["nade", "made"])
def test_dropout_acts_with_a_generator_and_not_without(name):
    exact.assert_dropout_acts_with_a_generator_only(make(name, dropout=0.5))


# ----------------------------------------------------------------------------- wrong uses


@pytest.mark.parametrize(
    ("name", "field", "value", "message"),
    [
        ("fvbn", "levels", 17, "levels=17: levels must be 2, as the model is of binary values"),
        ("nade", "order", "agnostic", "order=agnostic: order must be raster or random"),
        ("made", "order", "rnd", "order must be raster or random or agnostic"),
        ("nade", "order_seed", -1, "order_seed must be at least 0"),
        ("nade", "hidden", 0, "hidden must be at least 1"),
        ("nade", "dropout", 1.0, "dropout must be from 0 to below 1"),
        ("made", "hidden", 0, "hidden must be at least 1"),
        ("made", "layers", 0, "layers must be at least 1"),
        ("made", "masks", 0, "masks must be at least 1"),
        ("made", "direct", 2, "direct must be 0 or 1"),
        ("made", "dropout", -0.1, "dropout must be from 0 to below 1"),
        ("made", "height", 0, "height must be at least 1"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(name, field, value, message):
    with pytest.raises(ValueError, match=message):
        MODELS[name][1](**{field: value})


@names
def test_wrong_uses_are_errors_that_say_what_is_expected(name):
    model = make(name)
    x = backend.asarray(numpy.zeros((2, 3, 4, 1), int))
    with pytest.raises(ValueError, match=r"images \(2, 3, 4, 1\), expected \(N, 3, 3, 1\)"):
        model.log_prob(x)
    with pytest.raises(ValueError, match="not class-conditional"):
        model.log_prob(x[:, :, :3], context=backend.asarray(numpy.zeros(2, int)))
    rng = backend.default_rng(0)
    with pytest.raises(ValueError, match="'cached' and 'naive', not 'fast'"):
        model.sample(1, rng, "fast")
    with pytest.raises(ValueError, match="pass both given and known"):
        model.sample(1, rng, given=x)
    with pytest.raises(ValueError, match="not class-conditional"):
        model.sample(1, rng, context=0)


# --------------------------------------------------------------------------------- training


def archive(path):
    """Vectors of 12 values, of which each of the last 6 repeats an earlier one, in three parts."""
    halves = numpy.random.default_rng(0).integers(0, 2, (300, 6), "uint8")
    rows = numpy.concatenate([halves, halves[:, ::-1]], axis=1)
    numpy.savez(path, train=rows[:200], valid=rows[200:240], test=rows[240:])
    return str(path)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("fvbn", ()),
        ("nade", ("hidden=20", "order=random")),
        ("made", ("hidden=20", "masks=3", "order=agnostic")),
    ],
)
def test_the_preset_trains_on_vectors_given_in_three_parts(tmp_path, name, changes):
    data = archive(tmp_path / "x.npz")
    task = job.Job(
        name,
        ["epochs=4", "batch_size=10", "learning_rate=0.02", *changes],
        data=data,
        out=tmp_path / "run",
    )
    folder = job.train(task, Console(quiet=True))
    run = Run.open(folder.path)
    assert (run.config.height, run.config.width, run.config.levels) == (1, 12, 2)
    *epochs, test = map(json.loads, (folder.path / "metrics.jsonl").read_text().splitlines())
    assert test["test_nats"] < 8, "12 values alone: 8.32; 6 and their copies: 4.16"
    model = run.model()  # built anew: the order is the one of training
    found = -exact.log_prob(model, load(data).validation).mean()
    assert found == pytest.approx(min(x["validation_nats"] for x in epochs), rel=1e-5)


@names
def test_the_digits_are_made_binary_for_the_preset(name):
    preset = presets.find(name)
    assert preset.levels == preset.config.levels == 2
    config, _ = preset.configured(load(preset.data, preset.levels), [])
    assert config.levels == 2 and config.dimensions == 64


def mixture(n, dimensions=30, components=6):
    """Vectors of a mixture of independent values, (n, D), and the ln p of each, exactly."""
    rng = numpy.random.default_rng(0)
    q = rng.beta(0.3, 0.3, (components, dimensions)).clip(0.02, 0.98)
    x = (rng.random((n, dimensions)) < q[rng.integers(0, components, n)]).astype("uint8")
    each = x @ numpy.log(q).T + (1 - x) @ numpy.log(1 - q).T
    return x, scipy.special.logsumexp(each, axis=1) - numpy.log(components)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "changes"), [("nade", ()), ("made", ("masks=4", "epochs=60"))])
def test_training_comes_within_three_tenths_of_a_nat_of_a_known_density(tmp_path, name, changes):
    x, log_p = mixture(9000)
    path = tmp_path / "x.npz"
    numpy.savez(path, train=x[:6000], valid=x[6000:7000], test=x[7000:])
    task = job.Job(name, changes, data=str(path), out=tmp_path / "run")
    folder = job.train(task, Console(quiet=True))
    *_, test = map(json.loads, (folder.path / "metrics.jsonl").read_text().splitlines())
    assert test["test_nats"] < -log_p[7000:].mean() + 0.3
