"""InfoGAN: the bound of the mutual information, who raises it, and what its noise comes to mean."""

import dataclasses
import itertools
import json
import math
from collections import Counter

import numpy
import pytest
from rich.console import Console

import autograd.numpy as np
from autograd import backend, no_grad
from scratchgen.judging.scores import agreement
from scratchgen.models.adversarial.gan import GAN, GANConfig
from scratchgen.models.adversarial.infogan import InfoGAN, InfoGANConfig
from scratchgen.models.adversarial.losses import LOSSES
from scratchgen.optim import Adam
from scratchgen.training import Run, job

NETWORKS = [
    {"network": "dense"},
    {"network": "dense", "spectral": 1},
    {"network": "conv"},
    {"network": "conv", "spectral": 1},
]


def make(height=6, width=5, seed=0, **options):
    sizes = {"levels": 5, "latents": 3, "hidden": 4, "layers": 2, "categories": 4, "codes": 2}
    return InfoGAN(InfoGANConfig(height, width, **(sizes | options)), backend.default_rng(seed))


def batch(rng, model, n=6):
    """Of a step; with labels if the model has classes."""
    n *= model.config.critic_steps
    x = backend.asarray(rng.integers(0, model.config.levels, (n, *model.shape)))
    classes = model.config.classes
    return (x, backend.asarray(rng.integers(0, classes, n))) if classes else x


def weights(module):
    return {name: backend.to_numpy(x.data).copy() for name, x in module.parameters().items()}


def played(model, batches, learning_rate, beta1=0.5):
    """Train; after each turn: its player and metrics."""
    optimisers = {
        name: Adam(module.parameters().values(), learning_rate, beta1=beta1)
        for name, (module, _) in model.players.items()
    }
    for step, x in enumerate(batches):
        for player, loss, metrics in model.turns(x, backend.default_rng(step), step):
            loss.backward()
            optimisers[player].step()
            yield player, metrics


# --------------------------------------------------------------------------------------- the bound


def noise_of(model, categories, codes=None):
    """With these categories (n,) and codes (n, m)."""
    n, config = len(categories), model.config
    codes = numpy.zeros((n, config.codes)) if codes is None else codes
    parts = [numpy.ones((n, config.latents)), numpy.eye(config.categories)[categories], codes]
    return backend.asarray(numpy.concatenate(parts, -1))


def bound(model, categories, logits, codes=None, mean=None):
    """The two parts of L_I over these draws, as numbers."""
    mean = numpy.zeros((len(categories), model.config.codes)) if mean is None else mean
    noise = noise_of(model, categories, codes)
    found = model.information(noise, backend.asarray(logits), backend.asarray(mean))
    return [part.item() for part in found]


def every_pair(rng, images=5, of_each=12, categories=4):
    """The joint table (K, images) of a discrete generator, with the (category, image) of each draw.

    A draw stands for a probability of 1 / (K · of_each): their mean is the expectation itself.
    """
    counts = rng.multinomial(of_each, rng.dirichlet(numpy.ones(images)), categories)
    counts = counts[:, counts.any(0)]
    pairs = [
        (c, x) for c, x in itertools.product(*map(range, counts.shape)) for _ in range(counts[c, x])
    ]
    return counts / counts.sum(), *numpy.array(pairs).T


def information(joint):
    """I of two variables by their table: KL of it to the product of its margins."""
    product = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    held = joint > 0
    return (joint[held] * numpy.log(joint[held] / product[held])).sum()


@pytest.mark.parametrize("seed", range(5))
def test_the_bound_is_below_the_information_and_is_it_where_q_is_the_posterior(seed):
    rng, model = numpy.random.default_rng(seed), make()
    joint, c, x = every_pair(rng)
    posterior = joint / joint.sum(0)
    with numpy.errstate(divide="ignore"):
        log_posterior = numpy.maximum(numpy.log(posterior.T), -700)
    exact = information(joint)
    assert 0 < exact < math.log(4)
    # a constant at each image changes no probability
    logits = log_posterior + rng.standard_normal((joint.shape[1], 1))
    assert bound(model, c, logits[x])[0] == pytest.approx(exact, rel=1e-10)
    for spread in (0.01, 0.3, 3.0):
        log_q = log_posterior + spread * rng.standard_normal(log_posterior.shape)
        log_q -= numpy.log(numpy.exp(log_q).sum(-1, keepdims=True))
        # what is missing is the divergence of q from the posterior, over images
        missing = (joint * (log_posterior - log_q).T).sum()
        found = bound(model, c, log_q[x])[0]
        assert found < exact and found == pytest.approx(exact - missing, rel=1e-9)


def test_the_bound_of_a_q_that_knows_nothing_is_0_and_of_one_that_knows_all_the_entropy(rng):
    model, c = make(), numpy.arange(40) % 4
    assert bound(model, c, numpy.full((40, 4), 7.0))[0] == pytest.approx(0, abs=1e-12)
    assert bound(model, c, 100 * numpy.eye(4)[c])[0] == pytest.approx(math.log(4))


def test_the_bound_of_codes_is_greatest_where_each_is_told_exactly(rng):
    model, codes = make(codes=3, deviation=0.4), rng.uniform(-1, 1, (20, 3))
    other = codes + 1e-3 * rng.standard_normal(codes.shape)
    found, less = (
        bound(model, numpy.zeros(20, int), numpy.zeros((20, 4)), codes, mean)[1]
        for mean in (codes, other)
    )
    assert found == pytest.approx(3 * math.log(2 / (0.4 * math.sqrt(2 * math.pi)))) and less < found


@pytest.mark.parametrize("bins", [1, 2, 8])
def test_the_bound_of_codes_is_below_the_information_of_the_bin_that_each_is_in(bins):
    """An image that tells the bin of a uniform code tells ln(bins); q is normal, the truth is not.

    With the bins' own deviation, w / √12, the bound falls short by ½ ln(2πe / 12).
    """
    points = (numpy.arange(8000) + 0.5) / 8000 * 2 - 1
    middle = (numpy.floor((points + 1) / 2 * bins) + 0.5) / bins * 2 - 1
    short = 0.5 * math.log(2 * math.pi * math.e / 12)
    for factor in (0.5, 1.0, 2.0):
        model = make(codes=1, deviation=factor * 2 / bins / math.sqrt(12))
        category = numpy.zeros(len(points), int)
        logits = numpy.zeros((len(points), 4))
        _, found = bound(model, category, logits, points[:, None], middle[:, None])
        assert found < math.log(bins)
        more = math.log(factor) + (1 / factor**2 - 1) / 2
        assert found == pytest.approx(math.log(bins) - short - more, abs=1e-5)


def test_the_bound_is_a_sum_over_codes(rng):
    model, category, logits = make(codes=2), numpy.zeros(9, int), rng.standard_normal((9, 4))
    codes, mean = rng.uniform(-1, 1, (2, 9, 2))
    one = make(codes=1)
    apart = [bound(one, category, logits, codes[:, [j]], mean[:, [j]])[1] for j in (0, 1)]
    assert bound(model, category, logits, codes, mean)[1] == pytest.approx(sum(apart))
    none = numpy.zeros((9, 0))
    assert bound(make(codes=0), category, logits, none, none)[1] == 0


# ------------------------------------------------------------------------------------------- turns


@pytest.mark.parametrize("options", NETWORKS)
@pytest.mark.parametrize("loss", LOSSES)
def test_each_turn_gives_a_gradient_to_all_of_its_player_and_to_no_one_else(rng, loss, options):
    model = make(loss=loss, classes=2, critic_steps=2, **options)
    for x in model.parameters().values():  # no ReLU dead, no weight 0
        x[...] = x.data + backend.asarray(0.05 * rng.standard_normal(x.shape).astype("float32"))
    order = []
    for player, value, metrics in model.turns(batch(rng, model), backend.default_rng(0)):
        value.backward()
        own = model.players[player][0].parameters()
        for name, x in own.items():
            assert x.grad is not None and x.grad.dtype == "float32", name
            cancels = loss in ("wgan", "wgan-gp", "hinge") and name.endswith("score.bias")
            assert cancels or backend.to_numpy(x.grad).any(), name
        owned = {id(x) for x in own.values()}
        assert all(x.grad is None or id(x) in owned for x in model.parameters().values())
        for x in own.values():
            x.grad = None
        assert metrics[player].item() == value.item() and math.isfinite(value.item())
        order.append(player)
    assert order == ["critic", "critic", "generator"]
    assert Counter(order) == {name: turns for name, (_, turns) in model.players.items()}
    assert metrics.keys() == {"generator", "information", "codes"}
    assert all(x.dtype == "float32" and x.shape == () for x in metrics.values())


def test_every_parameter_is_of_one_player():
    model = make(network="conv")
    owned = [id(x) for module, _ in model.players.values() for x in module.parameters().values()]
    assert len(set(owned)) == len(owned)
    assert set(owned) == {id(x) for x in model.parameters().values()}
    critic, head = (set(map(id, m.parameters().values())) for m in (model.critic, model.head))
    of_critic = model.players["critic"][0].parameters().values()
    assert critic | head == set(map(id, of_critic)) and head


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("network", ["dense", "conv"])
def test_without_weight_on_the_information_it_is_a_gan(rng, loss, network):
    """Both players minimise what they do in a GAN whose z is all of this noise."""
    model = in_float64(make(loss=loss, network=network, information=0.0), rng)
    options = {"levels": 5, "latents": 9, "hidden": 4, "layers": 2}
    plain = GAN(GANConfig(6, 5, loss=loss, network=network, **options), backend.default_rng(0))
    plain.astype("float64")
    for module in ("generator", "critic"):
        getattr(plain, module).load(getattr(model, module).values())
    plain.noise = model.noise
    x = batch(rng, model)
    for one, other in zip(
        model.turns(x, backend.default_rng(3)), plain.turns(x, backend.default_rng(3)), strict=True
    ):
        assert one[0] == other[0] and one[1].item() == pytest.approx(other[1].item(), rel=1e-12)


def in_float64(model, rng, spread=0.4):
    """With random weights, so large that slopes are about 1."""
    model.astype("float64")
    for x in model.parameters().values():
        x[...] = backend.asarray(spread * rng.standard_normal(x.shape))
    return model


@pytest.mark.parametrize("player", ["critic", "generator"])
@pytest.mark.parametrize("network", ["dense", "conv"])
def test_the_gradient_of_what_each_minimises_is_its_slope(rng, player, network):
    model = in_float64(make(4, 3, hidden=3, network=network, deviation=0.7, information=1.3), rng)
    real = backend.asarray(rng.uniform(-1, 1, (5, *model.shape)))

    def loss():
        if player == "critic":
            return model.critic_loss(real, backend.default_rng(2))
        return model.generator_loss(5, backend.default_rng(2))

    loss().backward()
    checked = 0
    for name, x in model.players[player][0].parameters().items():
        gradient, weight = backend.to_numpy(x.grad), backend.to_numpy(x.data).copy()
        for place in rng.permutation(x.size)[:6]:
            change = numpy.zeros(x.size)
            change[place] = 1e-6
            change, values = change.reshape(x.shape), []
            for sign in (1, -1):
                x[...] = backend.asarray(weight + sign * change)
                values.append(loss().item())
            x[...] = backend.asarray(weight)
            slope = (values[0] - values[1]) / 2e-6
            assert abs(gradient.flat[place] - slope) < 1e-7 * max(1, abs(slope)), name
            checked += abs(slope) > 1e-3
    assert checked > 12


def test_lambda_times_the_bound_is_taken_off_both_losses(rng):
    """And the bound is that of the category and the codes that the draws were made of."""
    model = in_float64(make(information=1.3), rng)
    without = in_float64(make(information=0.0), rng)
    without.load(model.values())
    real = backend.asarray(rng.uniform(-1, 1, (7, *model.shape)))
    noise = model.noise(7, backend.default_rng(5))
    with no_grad():
        features = model.critic.features(model.generator(noise))
        told = backend.to_numpy(model.head(features))
    _, category, codes = map(backend.to_numpy, model.parts(noise))
    expected = sum(bound(model, category.argmax(-1), told[:, :4], codes, told[:, 4:]))
    assert abs(expected) > 0.1
    for loss in (
        lambda m: m.generator_loss(7, backend.default_rng(5)),
        lambda m: m.critic_loss(real, backend.default_rng(5)),
    ):
        assert (loss(without) - loss(model)).item() == pytest.approx(1.3 * expected)
    *_, (_, _, metrics) = model.turns(batch(rng, model, 7), backend.default_rng(5))
    assert metrics["information"].item() <= math.log(4)


def test_with_clipping_the_critics_weights_are_bounded_and_the_heads_are_free(rng):
    model = make(loss="wgan", weight_clip=0.03)
    *_, (last, _) = played(model, [batch(rng, model) for _ in range(2)], 0.1)
    assert last == "generator"
    largest = [max(abs(x).max() for x in weights(m).values()) for m in (model.critic, model.head)]
    assert largest[0] <= numpy.float32(0.03) < 0.1 < largest[1]


# ------------------------------------------------------------------------------- noise and images


def test_noise_is_normal_then_a_category_as_likely_as_any_then_uniform(rng):
    model = make()
    z, category, codes = (
        backend.to_numpy(part) for part in model.parts(model.noise(20_000, backend.default_rng(0)))
    )
    assert z.shape[1:] == (3,) and category.shape[1:] == (4,) and codes.shape[1:] == (2,)
    assert z.dtype == category.dtype == codes.dtype == "float32"
    assert abs(z.mean(0)).max() < 0.03 and abs(z.std(0) - 1).max() < 0.03
    assert set(category.ravel()) == {0, 1} and (category.sum(-1) == 1).all()
    assert abs(category.mean(0) - 0.25).max() < 0.015
    assert -1 <= codes.min() < -0.999 and 0.999 < codes.max() <= 1
    assert abs(codes.mean(0)).max() < 0.02 and abs(codes.var(0) - 1 / 3).max() < 0.01
    every = numpy.corrcoef(numpy.concatenate([z, category[:, :3], codes], -1).T)
    every[3:6, 3:6] = 0  # of one category two values are not independent
    assert abs(every - numpy.diag(numpy.diag(every))).max() < 0.03


@pytest.mark.parametrize("options", NETWORKS)
def test_every_part_of_the_noise_changes_the_image(rng, options):
    model = in_float64(make(hidden=16, **options), rng)
    noise = backend.to_numpy(model.noise(1, backend.default_rng(0)))
    made = backend.to_numpy(model.draws(backend.asarray(noise)))
    for number in range(noise.shape[-1]):
        moved = noise + 0.1 * numpy.eye(noise.shape[-1])[number]
        assert (backend.to_numpy(model.draws(backend.asarray(moved))) != made).any(), number


def test_a_temperature_of_0_leaves_the_category_and_the_codes(rng, monkeypatch):
    model, seen = in_float64(make(), rng), []
    monkeypatch.setattr(model, "draws", lambda noise, _: seen.append(noise) or np.zeros(1))
    model.sample(50, backend.default_rng(0), temperature=0.0)
    model.sample(50, backend.default_rng(0))
    (z, *told), (other, *same) = (list(map(backend.to_numpy, model.parts(x))) for x in seen)
    assert not z.any() and other.any()
    for a, b in zip(told, same, strict=True):
        numpy.testing.assert_array_equal(a, b)


def test_q_of_an_image_is_a_distribution_that_depends_on_it_alone(rng):
    model = in_float64(make(network="conv"), rng)
    x = batch(rng, model)
    log_q, mean = map(backend.to_numpy, model.recognise(x))
    numpy.testing.assert_allclose(numpy.exp(log_q).sum(-1), 1)
    assert log_q.shape == (6, 4) and mean.shape == (6, 2)
    first = list(map(backend.to_numpy, model.recognise(x[:2])))
    numpy.testing.assert_allclose(first[0], log_q[:2], rtol=1e-12)
    numpy.testing.assert_allclose(first[1], mean[:2], rtol=1e-12)


@pytest.mark.parametrize("network", ["dense", "conv"])
def test_q_is_told_the_class_if_there_are_any(rng, network):
    model = in_float64(make(network=network, classes=2), rng)
    x, _ = batch(rng, model)
    zero, one = (backend.to_numpy(model.recognise(x, label)[0]) for label in (0, 1))
    assert (abs(zero - one).max(-1) > 1e-6).all()
    with pytest.raises(ValueError, match="InfoGAN is class-conditional: pass context"):
        model.recognise(x)


# ----------------------------------------------------------------------------------- what it finds


def shapes(rng, n):
    """Images of one of two kinds, a line each, of a strength of 6 to 8."""
    kind = rng.integers(0, 2, n)
    lines = numpy.zeros((2, 4, 4, 1), int)
    lines[0, 0] = lines[1, :, 3] = 1
    return lines[kind] * rng.integers(6, 9, (n, 1, 1, 1)), kind


def test_the_category_comes_to_mean_the_kind_of_image_without_any_labels(rng):
    sizes = {"levels": 9, "latents": 2, "hidden": 32, "categories": 2, "codes": 0}
    model = make(4, 4, network="dense", **sizes)
    batches = [backend.asarray(shapes(rng, 48)[0]) for _ in range(200)]
    told = [m["information"].item() for _, m in played(model, batches, 2e-3) if len(m) > 1]
    assert abs(told[0]) < 0.5 and max(told) <= math.log(2)
    assert numpy.mean(told[-20:]) > 0.9 * math.log(2)
    x, kind = shapes(rng, 300)
    log_q, _ = model.recognise(backend.asarray(x))
    assert agreement(backend.to_numpy(log_q).argmax(-1), kind) > 0.95


# ------------------------------------------------------------------------------------------- runs


@pytest.mark.parametrize("classes", [0, 3])
def test_a_run_on_labelled_images_is_judged_by_how_far_its_categories_are_their_classes(
    classes, rng, tmp_path
):
    images, labels = rng.integers(0, 4, (60, 5, 6)), rng.integers(0, 3, 60)
    numpy.savez(tmp_path / "few.npz", images=images, labels=labels)
    changes = ["hidden=4", "categories=4", "batch_size=5", "epochs=1", f"classes={classes}"]
    task = job.Job("infogan", changes, data=str(tmp_path / "few.npz"), out=tmp_path / "run")
    job.train(task, Console(quiet=True))
    run = Run.open(tmp_path / "run")
    labels = run.data().labels["test"].astype(int)
    told = backend.asarray(labels) if classes else None
    log_q, _ = run.model().recognise(backend.asarray(run.data().test), told)
    test = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert test["test_categories"] == agreement(backend.to_numpy(log_q).argmax(-1), labels)


def test_a_run_that_goes_on_ends_with_the_same_weights_bit_for_bit(rng, tmp_path):
    numpy.savez(tmp_path / "few.npz", images=rng.integers(0, 4, (20, 5, 6)))
    changes = ["hidden=4", "categories=3", "batch_size=4", "epoch_steps=2", "critic_steps=2"]

    def run(name, epochs):
        task = job.Job("infogan", [*changes, f"epochs={epochs}"], data=str(tmp_path / "few.npz"))
        return job.train(dataclasses.replace(task, out=tmp_path / name), Console(quiet=True))

    whole, begun = run("whole", 2), run("begun", 1)
    assert begun.checkpoint.read_bytes() != whole.checkpoint.read_bytes()
    job.resume(begun.path, ["epochs=2"], Console(quiet=True))
    assert begun.checkpoint.read_bytes() == whole.checkpoint.read_bytes()
    for name in ("final.png", "factors.png"):
        assert begun.sample(name).read_bytes() == whole.sample(name).read_bytes()
    records = [json.loads(line) for line in (whole.path / "metrics.jsonl").read_text().splitlines()]
    assert all(record["train_information"] <= math.log(3) for record in records[:-1])


# ---------------------------------------------------------------------------------- configuration


@pytest.mark.parametrize(
    "field, value",
    [
        ("categories", 1),
        ("codes", -1),
        ("deviation", 0.0),
        ("information", -0.1),
        ("loss", "f"),
        ("height", 0),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(field, value):
    with pytest.raises(ValueError, match=f"{field}={value}: {field} must be"):
        InfoGANConfig(**{field: value})
