"""StackGAN: the condition, the matching-aware critic, and two stages of which one is at work."""

import dataclasses
import itertools
import math

import numpy
import pytest

import autograd.numpy as np
from autograd import Tensor, backend, no_grad
from scratchgen import data as datasets
from scratchgen.errors import UsageError
from scratchgen.models.adversarial.losses import LOSSES
from scratchgen.models.adversarial.stackgan import (
    Condition,
    Residual,
    StackGAN,
    StackGANConfig,
    mismatched,
)
from scratchgen.optim import Adam
from scratchgen.training.media.images import IMAGES, Images
from scratchgen.training.run_folder import RunFolder
from scratchgen.training.settings import TrainingSettings
from scratchgen.training.trainer import Trainer

SMALL = {
    "levels": 5,
    "classes": 3,
    "latents": 3,
    "hidden": 4,
    "embedding": 4,
    "conditions": 2,
    "blocks": 1,
    "first_steps": 2,
}


def make(height=6, width=5, seed=0, **options):
    return StackGAN(StackGANConfig(height, width, **(SMALL | options)), backend.default_rng(seed))


def batch(rng, model, n=6):
    n *= model.config.critic_steps
    x = backend.asarray(rng.integers(0, model.config.levels, (n, *model.shape)))
    return x, backend.asarray(rng.integers(0, model.config.classes, n))


def one_hot(labels, classes=3, dtype="float64"):
    return backend.asarray(numpy.eye(classes)[labels].astype(dtype))


def in_float64(model, rng, spread=0.4):
    """With random weights."""
    model.astype("float64")
    for x in model.parameters().values():
        x[...] = backend.asarray(spread * rng.standard_normal(x.shape))
    return model


def values(module):
    """Parameters, and buffers too."""
    return {name: x.tobytes() for name, x in module.values().items()}


def in_stage_two(model):
    model.begun[...] = 1
    return model


# --------------------------------------------------------------------------------------- condition


def condition(rng, **options):
    config = StackGANConfig(**(SMALL | {"conditions": 4} | options))
    return in_float64(Condition(config, backend.default_rng(0)), rng, 0.7)


def host(x):
    return backend.to_numpy(getattr(x, "data", x))


def test_the_divergence_is_that_of_the_draws_from_a_standard_normal(rng):
    """KL = E ln q(c) / p(c), here by the mean over draws of the condition itself, and closed."""
    layer = condition(rng)
    n = 200_000
    for label in range(3):
        vectors = one_hot([label])
        with no_grad():
            mean, log_std = (host(x)[0] for x in layer.moments(vectors))
            c = host(layer(vectors, backend.asarray(rng.standard_normal((n, 4)))))
            found = layer.kl(vectors).item()
        ratio = (-0.5 * ((c - mean) / numpy.exp(log_std)) ** 2 - log_std + 0.5 * c**2).sum(1)
        assert abs(ratio.mean() - found) < 5 * ratio.std() / math.sqrt(n)
        closed = 0.5 * (mean**2 + numpy.exp(2 * log_std) - 1 - 2 * log_std).sum()
        assert found == pytest.approx(closed, rel=1e-12) and found > 0.1


def test_conditions_are_distributed_around_the_mean_of_their_class(rng):
    layer, n = condition(rng), 100_000
    labels = numpy.arange(n) % 3
    with no_grad():
        c = host(layer(one_hot(labels), backend.asarray(rng.standard_normal((n, 4)))))
        mean, log_std = (host(x) for x in layer.moments(one_hot([0, 1, 2])))
    for label in range(3):
        own, std = c[labels == label], numpy.exp(log_std[label])
        numpy.testing.assert_allclose(own.mean(0), mean[label], atol=5 * std.max() / 180)
        numpy.testing.assert_allclose(own.std(0), std, rtol=0.03)


def test_the_gradient_goes_through_the_draw_into_mean_spread_and_embedding(rng):
    layer = condition(rng)
    vectors, epsilon = one_hot([0, 2, 1, 2]), backend.asarray(rng.standard_normal((4, 4)))
    weight = backend.asarray(rng.standard_normal((4, 4)))

    def value():
        c = layer(vectors, epsilon)
        return np.sum(np.sin(c) * weight) + np.mean(layer.kl(vectors))

    value().backward()
    for name, x in layer.parameters().items():
        gradient, before = host(x.grad).ravel(), host(x).copy()
        for place in range(x.size):
            change, found = numpy.zeros(x.size), []
            change[place] = 1e-6
            for sign in (1, -1):
                x[...] = backend.asarray(before + sign * change.reshape(x.shape))
                found.append(value().item())
            x[...] = backend.asarray(before)
            slope = (found[0] - found[1]) / 2e-6
            assert gradient[place] == pytest.approx(slope, rel=1e-6, abs=1e-7), name
        assert abs(gradient).max() > 0.1, name


def test_without_spread_the_condition_is_a_function_of_the_class(rng):
    layer = condition(rng)
    layer.moments_of.bias[4:] = -1e3  # ln σ
    epsilon = backend.asarray(rng.standard_normal((50, 4)))
    labels = rng.integers(0, 3, 50)
    with no_grad():
        c = host(layer(one_hot(labels), epsilon))
        mean = host(layer.moments(one_hot(labels))[0])
    numpy.testing.assert_array_equal(c, mean)
    assert len(numpy.unique(c, axis=0)) == 3


# ------------------------------------------------------------------------------------------ critic


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_a_mismatched_label_is_each_of_the_other_classes_as_often(rng, classes):
    labels = numpy.arange(36_000) % classes
    found = host(mismatched(backend.asarray(labels), classes, backend.default_rng(0)))
    assert found.min() == 0 and found.max() == classes - 1
    counts = numpy.zeros((classes, classes))
    numpy.add.at(counts, (labels, found), 1)
    assert not counts.diagonal().any()
    expected = len(labels) / classes / (classes - 1)
    others = counts[~numpy.eye(classes, dtype=bool)]
    assert (abs(others - expected) < 6 * math.sqrt(expected)).all()


def stub(model, monkeypatch):
    """A linear critic; what it is shown and told."""
    seen = []

    def critic(x, vectors, rng):
        seen.append((host(x), host(vectors).argmax(1)))
        return np.sum(x, axis=(1, 2, 3)) * 0.1 + vectors @ backend.asarray([0.3, -0.2, 0.5])

    monkeypatch.setattr(model, "critic", critic)
    return seen


@pytest.mark.parametrize("loss", ["nonsaturating", "lsgan", "hinge"])
def test_real_images_with_a_wrong_class_count_half_of_what_is_false(rng, loss, monkeypatch):
    """E a(s(x, y)) + ½ E b(s(x̃, y)) + ½ E b(s(x, y'))"""
    model = in_float64(make(loss=loss), rng)
    stage = model.second
    seen = stub(stage, monkeypatch)
    real = backend.asarray(rng.uniform(-1, 1, (6, *model.shape)))
    labels = numpy.array([0, 1, 2, 2, 1, 0])
    found = stage.critic_loss(real, backend.default_rng(0), backend.asarray(labels)).item()
    (x, right), (same, wrong), (fake, asked) = seen
    assert (x == host(real)).all() and (same == x).all() and (fake != x).all()
    assert (right == labels).all() and (asked == labels).all() and (wrong != labels).all()
    s, w, f = (a.sum((1, 2, 3)) * 0.1 + numpy.array([0.3, -0.2, 0.5])[told] for a, told in seen)
    softplus = lambda a: numpy.logaddexp(0, a)  # noqa: E731
    true, false = {
        "nonsaturating": (softplus(-s), (softplus(f), softplus(w))),
        "lsgan": ((s - 1) ** 2 / 2, (f**2 / 2, w**2 / 2)),
        "hinge": (numpy.maximum(0, 1 - s), (numpy.maximum(0, 1 + f), numpy.maximum(0, 1 + w))),
    }[loss]
    expected = true.mean() + 0.5 * sum(x.mean() for x in false)
    assert found == pytest.approx(expected, rel=1e-12)


def test_the_penalty_is_of_the_slope_between_images_and_draws_of_their_own_class(rng, monkeypatch):
    """Of the linear critic it is (0.1 √D − 1)²."""
    stage = in_float64(make(loss="wgan-gp", penalty=7.0), rng).second
    seen = stub(stage, monkeypatch)
    real = backend.asarray(rng.uniform(-1, 1, (6, 6, 5, 1)))
    labels = numpy.array([0, 1, 2, 2, 1, 0])
    found = stage.critic_loss(real, backend.default_rng(0), backend.asarray(labels)).item()
    (x, right), _, (fake, _), (between, told) = seen
    assert (right == labels).all() and (told == labels).all()
    part = (between - fake) / (x - fake)  # of the way, one for an image
    assert part.std((1, 2, 3)).max() < 1e-9 and part.mean((1, 2, 3)).std() > 0.1
    s, w, f = (a.sum((1, 2, 3)) * 0.1 + numpy.array([0.3, -0.2, 0.5])[told] for a, told in seen[:3])
    apart = 0.5 * (f.mean() + w.mean()) - s.mean()
    assert found == pytest.approx(apart + 7 * (0.1 * math.sqrt(30) - 1) ** 2, rel=1e-9)


def test_the_best_critic_knows_draws_and_images_of_other_classes_alike(monkeypatch):
    """On black and white pixels of two classes, by descent: D = p / (p + ½ q + ½ w)."""
    stage = in_float64(make(1, 1, classes=2), numpy.random.default_rng(0)).second
    table = Tensor(backend.asarray(numpy.zeros((2, 2))))  # scores by class and pixel
    pixels, labels = numpy.array([0, 0, 0, 0, 1, 0, 1, 1]), numpy.array([0, 0, 0, 0, 0, 1, 1, 1])
    made = numpy.array([0, 1, 1, 1, 0, 0, 0, 1])  # for the same classes

    def images(pixels):
        return backend.asarray(2.0 * pixels.reshape(-1, 1, 1, 1) - 1)

    def score(x, vectors, rng):
        white = (x[:, :, 0, 0] + 1) / 2
        return np.sum(vectors @ table * np.concatenate([1 - white, white], 1), axis=1)

    generator = type(stage.generator)
    monkeypatch.setattr(generator, "__call__", lambda self, z, vectors, rng: images(made))
    monkeypatch.setattr(stage, "critic", score)
    optimiser = Adam([table], 0.1)
    for _ in range(400):
        stage.critic_loss(
            images(pixels), backend.default_rng(0), backend.asarray(labels)
        ).backward()
        optimiser.step()
    p, q, w = (numpy.zeros((2, 2)) for _ in range(3))
    numpy.add.at(p, (labels, pixels), 1 / 8)
    numpy.add.at(q, (labels, made), 1 / 8)
    numpy.add.at(w, (1 - labels, pixels), 1 / 8)
    best = p / (p + 0.5 * (q + w))
    numpy.testing.assert_allclose(1 / (1 + numpy.exp(-host(table))), best, atol=1e-4)


def test_the_critic_joins_image_and_class_before_it_scores_them(rng):
    """The difference that a class makes depends on the image."""
    model = in_float64(make(), rng)
    x = backend.asarray(rng.uniform(-1, 1, (5, *model.shape)))
    with no_grad():
        each = [host(model.critic(x, one_hot([label] * 5))) for label in range(3)]
    assert numpy.ptp(each[0] - each[1]) > 1e-3 and numpy.ptp(each[0] - each[2]) > 1e-3


def test_spectral_normalisation_is_of_every_layer_of_both_critics_and_of_nothing_else():
    model = make(spectral=1)
    normalised = {name.rpartition(".")[0] for name in model.values() if name.endswith("left")}
    assert normalised == {
        name.rpartition(".")[0]
        for name in model.parameters()
        if name.endswith("weight") and "critic" in name
    }
    assert len(normalised) == 3 + 4


@pytest.mark.parametrize("norm", ["batch", "none"])
def test_batch_normalisation_can_be_left_out_of_both_stages(norm):
    names = make(norm=norm).values()
    assert any("norm" in name for name in names) == (norm == "batch")


# ------------------------------------------------------------------------------------------- turns


def trained_turns(model, rng, step, learning_rate=1e-2):
    """The turns of a step: of each its player, gradients, and the model before it and after."""
    optimisers = {
        name: Adam(module.parameters().values(), learning_rate)
        for name, (module, _) in model.players.items()
    }
    for player, loss, metrics in model.turns(batch(rng, model), backend.default_rng(step), step):
        assert metrics[player.partition("_")[2]].item() == loss.item()
        assert loss.dtype == "float32" and math.isfinite(loss.item())
        before = values(model)
        for x in model.parameters().values():
            x.grad = None
        loss.backward()
        gradients = {
            name: host(x.grad) for name, x in model.parameters().items() if x.grad is not None
        }
        optimisers[player].step()
        yield player, gradients, before, values(model)


@pytest.mark.parametrize("options", [{}, {"norm": "none"}, {"spectral": 1}])
@pytest.mark.parametrize("loss", LOSSES)
def test_a_turn_changes_all_of_its_player_and_nothing_else(rng, loss, options):
    model = make(loss=loss, critic_steps=2, **options)
    for x in model.parameters().values():  # no ReLU dead, no weight 0
        x[...] = x.data + backend.asarray(0.05 * rng.standard_normal(x.shape).astype("float32"))
    for step, stage in ((0, "first"), (2, "second")):
        order = []
        for player, gradients, before, after in trained_turns(model, rng, step):
            own = f"{player.replace('_', '.')}."
            assert gradients.keys() == {n for n in model.parameters() if n.startswith(own)}
            for name, x in gradients.items():
                # what is added to all scores alike cancels out
                cancels = loss in ("wgan", "wgan-gp", "hinge") and name.endswith("score.bias")
                assert x.dtype == "float32" and (cancels or x.any()), name
            for name in model.parameters():
                assert name.startswith(own) or after[name] == before[name], name
            order.append(player)
        assert order == [f"{stage}_critic", f"{stage}_critic", f"{stage}_generator"]


def test_every_parameter_is_one_players():
    model = make()
    names = [id(x) for module, _ in model.players.values() for x in module.parameters().values()]
    assert sorted(names) == sorted(map(id, model.parameters().values()))
    assert len(set(names)) == len(names) == len(model.parameters())


def test_in_stage_two_nothing_of_stage_one_changes_and_before_it_nothing_of_stage_two(rng):
    model = make()
    for steps, still, moved in (((0, 1), "second.", "first."), ((2, 3, 4), "first.", "second.")):
        before = values(model)
        for step in steps:
            list(trained_turns(model, rng, step))
        after = values(model)
        assert {name for name in before if before[name] == after[name]} >= {
            name for name in before if name.startswith(still)
        }, "parameters or running statistics"
        changed = {name for name in before if before[name] != after[name]} - {"begun"}
        assert all(name.startswith(moved) for name in changed) and len(changed) > 15


def test_stage_one_is_shown_images_of_half_the_sides(rng, monkeypatch):
    model = make(3, 5)
    x, labels = batch(rng, model)
    shown = {}
    for name, stage in (("first", model.first), ("second", model.second)):
        original = stage.critic_loss
        monkeypatch.setattr(
            stage,
            "critic_loss",
            lambda real, *rest, name=name, original=original: (
                shown.update({name: host(real)}) or original(real, *rest)
            ),
        )
    for step in (0, 2):
        list(model.turns((x, labels), backend.default_rng(0), step))
    whole, half = host(model.real(x)), numpy.zeros((6, 2, 3, 1))
    for i, j in itertools.product(range(2), range(3)):
        half[:, i, j] = whole[:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].mean((1, 2))
    numpy.testing.assert_array_equal(shown["second"], whole)
    numpy.testing.assert_allclose(shown["first"], half, atol=1e-6)


def test_the_generators_loss_has_the_divergence_of_its_conditions(rng):
    losses = []
    labels = backend.asarray([0, 2, 2, 1])
    for divergence in (0.0, 0.3):
        model = in_float64(make(divergence=divergence), numpy.random.default_rng(1))
        for stage in (model.first, model.second):
            losses.append(stage.generator_loss(4, backend.default_rng(0), labels).item())
            kl = host(stage.generator.condition.kl(one_hot([0, 2, 2, 1]))).mean()
            losses.append(kl)
    for i in (0, 2):
        assert losses[i + 4] - losses[i] == pytest.approx(0.3 * losses[i + 1], rel=1e-9)
        assert losses[i + 1] > 0.1


def test_with_the_loss_wgan_the_critic_at_work_is_clipped(rng):
    model = make(loss="wgan", weight_clip=0.03)
    for step, critic in ((0, model.first.critic), (2, model.second.critic)):
        *_, last = trained_turns(model, rng, step, learning_rate=0.1)
        assert last[0].endswith("generator")
        largest = max(abs(host(x)).max() for x in critic.parameters().values())
        assert largest == numpy.float32(0.03)


# ----------------------------------------------------------------------------------------- samples


def test_draws_are_stage_ones_pixels_doubled_until_stage_two_begins(rng):
    model = in_float64(make(3, 5, first_steps=2), rng)
    labels = backend.asarray([0, 1, 2])
    z = model.noise(3, backend.default_rng(0))
    assert z.shape == (3, 3 + 2 + 2)

    def found(generator, z):
        with no_grad():
            return host(generator(z, one_hot([0, 1, 2])))

    for step in (None, 0, 1):
        next(model.turns(batch(rng, model), backend.default_rng(0), step))
        small = found(model.first.generator, z[:, :5])
        assert small.shape == (3, 2, 3, 1)
        doubled = small.repeat(2, 1).repeat(2, 2)[:, :3, :5]
        numpy.testing.assert_array_equal(host(model.draws(z, labels)), doubled)
    next(model.turns(batch(rng, model), backend.default_rng(0), 2))
    whole = found(model.second.generator, z)
    numpy.testing.assert_array_equal(host(model.draws(z, labels)), whole)
    other = make(3, 5, seed=1)
    other.astype("float64")
    other.load(model.values())
    numpy.testing.assert_array_equal(host(other.draws(z, labels)), whole)


def test_stage_two_is_told_image_class_and_spread(rng):
    """Each part of the noise, and the class at each stage, makes another image of it."""
    model = in_stage_two(in_float64(make(), rng))
    z = host(model.noise(1, backend.default_rng(0)))

    def drawn(z, label):
        return host(model.draws(backend.asarray(z), label))

    first = drawn(z, 0)
    for part in (slice(0, 3), slice(3, 5), slice(5, 7)):
        other = z.copy()
        other[:, part] += 1
        assert abs(drawn(other, 0) - first).max() > 1e-3
    with no_grad():
        small = model.first.generator(backend.asarray(z[:, :5]), one_hot([0]))
        c = [
            model.second.generator.condition(one_hot([k]), backend.asarray(z[:, 5:]))
            for k in (0, 1)
        ]
        made = [host(model.second.generator.refined(small, each)) for each in c]
    numpy.testing.assert_array_equal(made[0], first)
    assert abs(made[1] - made[0]).max() > 1e-3


def test_a_residual_block_adds_to_its_input_what_two_convolutions_make_of_it(rng):
    block = in_float64(Residual(4, True, backend.default_rng(0)), rng)
    h = backend.asarray(rng.standard_normal((2, 3, 3, 4)))
    change = host(block.second(block.first(h)))
    assert abs(change).max() > 0.1
    numpy.testing.assert_allclose(host(block(h)), host(h) + change, rtol=1e-12)


@pytest.mark.parametrize("height, width, layers", [(8, 8, 2), (28, 28, 3), (9, 4, 2), (1, 3, 2)])
@pytest.mark.parametrize("stage", [1, 2])
def test_images_of_any_sides_are_drawn(height, width, layers, stage):
    model = make(height, width, layers=layers, colours=3)
    model.begun[...] = stage - 1
    found = host(model.sample(4, backend.default_rng(0), context=2))
    assert found.shape == (4, height, width, 3) and found.dtype.kind == "i"
    assert 0 <= found.min() <= found.max() <= 4
    numpy.testing.assert_array_equal(found, host(model.sample(4, backend.default_rng(0), 2)))


def test_a_temperature_of_0_draws_the_mean_condition_of_a_class(rng):
    model = in_stage_two(in_float64(make(), rng))
    labels = backend.asarray([0, 0, 1, 1])
    found = host(model.draws(0 * model.noise(4, backend.default_rng(0)), labels))
    assert (found[0] == found[1]).all() and (found[2] == found[3]).all()
    assert abs(found[0] - found[2]).max() > 1e-3


# ------------------------------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    "field, value",
    [
        ("classes", 0),
        ("classes", 1),
        ("network", "dense"),
        ("layers", 1),
        ("embedding", 0),
        ("conditions", 0),
        ("blocks", 0),
        ("first_steps", 0),
        ("divergence", -0.1),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(field, value):
    with pytest.raises(ValueError, match=f"{field}={value}: {field} must be") as raised:
        StackGANConfig(**{field: value})
    assert "\n" not in str(raised.value)


def test_without_labels_there_is_one_clear_line(rng):
    model = make()
    x, _ = batch(rng, model)
    expected = r"StackGAN is class-conditional: pass context, labels 0 … 2"
    with pytest.raises(ValueError, match=expected):
        next(model.turns(x, backend.default_rng(0), 0))
    with pytest.raises(ValueError, match=expected):
        model.sample(2, backend.default_rng(0))
    data = dataclasses.replace(datasets.load("digits"), labels=None)
    with pytest.raises(UsageError, match="classes=10: the images of digits have no labels; an"):
        IMAGES.check(StackGANConfig(), data)


# ---------------------------------------------------------------------------------------- training


class Unjudged(Images):
    """Without a classifier, which would be trained first."""

    def validate(self, model, data):
        return "frechet", 1.0


def train(path, steps):
    """Epochs are of three steps; the second stage begins within the second. Goes on if it can."""
    settings = TrainingSettings(
        epochs=3, steps=steps, epoch_steps=3, batch_size=8, beta1=0.5, average=0.9
    )
    model = make(8, 8, levels=17, classes=10, first_steps=4)
    folder = RunFolder(path) if path.exists() else RunFolder.new(path)
    trainer = Trainer(model, Unjudged(), datasets.load("digits"), settings, 0, folder)
    trainer.restore()
    trainer.run()
    return model, folder.load_state()[0], folder.load_checkpoint()


@pytest.mark.parametrize("stopped", [2, 4, 5])
def test_a_run_goes_on_bit_for_bit_before_and_after_the_second_stage_begins(tmp_path, stopped):
    _, *whole = train(tmp_path / "a", 7)
    model, *_ = train(tmp_path / "b", stopped)
    assert model.begun.item() == (stopped > 4)
    model, *again = train(tmp_path / "b", 7)
    assert model.begun.item() == 1
    for expected, found in zip(whole, again, strict=True):
        assert expected.keys() == found.keys()
        for name, x in expected.items():
            assert x.tobytes() == found[name].tobytes(), name
