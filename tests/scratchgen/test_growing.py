"""Images of several resolutions: the ladder, its layers, progressive growing and MSG-GAN."""

import math
from itertools import pairwise

import numpy
import pytest

import autograd.numpy as np
from autograd import backend, no_grad
from autograd.functional import jacobian
from autograd.test_util import check_grads
from scratchgen.data import digits
from scratchgen.errors import Interrupted
from scratchgen.models.adversarial.losses import LOSSES, gradient_penalty
from scratchgen.models.adversarial.msggan import MSGGAN, MSGGANConfig, joined, parted
from scratchgen.models.adversarial.progressivegan import ProgressiveGAN, ProgressiveGANConfig
from scratchgen.models.adversarial.resolutions import (
    SLOPE,
    EqualConv,
    EqualDense,
    Shrink,
    averaged,
    ladder,
    pixel_norm,
    repeated,
    with_deviation,
)
from scratchgen.nn import Module
from scratchgen.optim import Adam
from scratchgen.training.media.images import IMAGES
from scratchgen.training.run_folder import RunFolder
from scratchgen.training.settings import TrainingSettings
from scratchgen.training.trainer import Trainer

SIDES = [(8, 8), (7, 5), (1, 3), (2, 1)]
SIZES = {"levels": 5, "latents": 3, "hidden": 2, "resolutions": 3}


def progressive(height=6, width=5, seed=0, **options):
    """Stages of ten steps."""
    config = ProgressiveGANConfig(height, width, **(SIZES | {"stage_steps": 10} | options))
    return ProgressiveGAN(config, backend.default_rng(seed))


def msg(height=6, width=5, seed=0, **options):
    return MSGGAN(MSGGANConfig(height, width, **(SIZES | options)), backend.default_rng(seed))


def in_float64(model, rng):
    """With biases other than 0, so that nothing is at a kink."""
    model.astype("float64")
    for name, x in model.parameters().items():
        if name.endswith("bias"):
            x[...] = backend.asarray(0.3 * rng.standard_normal(x.shape))
    return model


def batch(rng, model, n=6):
    """Of a step; with labels if the model has classes."""
    x = backend.asarray(rng.integers(0, model.config.levels, (n, *model.shape)))
    classes = model.config.classes
    return (x, backend.asarray(rng.integers(0, classes, n))) if classes else x


def vectors_of(model, n):
    """Labels in turn, or None."""
    classes = model.config.classes
    return backend.asarray(numpy.eye(classes)[numpy.arange(n) % classes]) if classes else None


def host(x):
    return backend.to_numpy(getattr(x, "data", x))


def equal(a, b):
    numpy.testing.assert_array_equal(host(a), host(b))


def close(a, b, **tolerance):
    numpy.testing.assert_allclose(host(a), host(b), **({"rtol": 1e-12} | tolerance))


# ---------------------------------------------------------------------------------- the ladder


@pytest.mark.parametrize("sides", SIDES)
def test_repeating_what_was_averaged_is_the_orthogonal_projection_on_blocks(sides):
    count = math.prod(sides)
    every = backend.asarray(numpy.eye(count).reshape(count, *sides, 1))  # a basis of images
    small = averaged(every)
    assert small.shape[1:3] == tuple(-(-side // 2) for side in sides)
    projection = host(repeated(small, sides)).reshape(count, count)
    close(projection @ projection, projection, atol=1e-15)
    close(projection, projection.T)
    assert numpy.linalg.matrix_rank(projection) == small[0].size


@pytest.mark.parametrize("sides", SIDES)
def test_the_average_of_what_was_repeated_is_the_same_exactly(rng, sides):
    smaller = tuple(-(-side // 2) for side in sides)
    x = backend.asarray(rng.standard_normal((3, *smaller, 2)).astype("float32"))
    equal(averaged(repeated(x, sides)), x)


def test_an_average_is_of_the_pixels_that_there_are():
    x = numpy.array([[1.0, 3, 5], [5, 7, 1], [2, 4, 9]])[None, ..., None]
    expected = numpy.array([[4.0, 3], [3, 9]])[None, ..., None]
    equal(averaged(backend.asarray(x)), expected)


def test_images_of_data_at_all_resolutions_are_averages_of_each_other(rng):
    model = msg(7, 5)
    x = batch(rng, model)
    images = parted(model.real(x), model.config.shapes)
    assert [image.shape[1:3] for image in images] == [(2, 2), (4, 3), (7, 5)]
    equal(images[2], model.scaled(x))
    for smaller, larger in pairwise(images):
        equal(smaller, averaged(larger))
    for image in ladder(backend.asarray(numpy.full((1, 7, 5, 1), 3.0)), 4):
        equal(image, numpy.full(image.shape, 3.0))


# --------------------------------------------------------------------------------------- layers


def test_the_deviation_of_a_batch_is_that_of_its_features_on_average(rng):
    x = rng.standard_normal((4, 3, 2, 5))
    found = host(with_deviation(backend.asarray(x)))
    equal(found[..., :5], x)
    close(found[..., 5], numpy.full((4, 3, 2), x.std(0).mean()), rtol=1e-6)
    two = host(with_deviation(backend.asarray(x[:2])))  # of a and b it is |a − b| / 2
    close(two[..., 5].max(), abs(x[0] - x[1]).mean() / 2, rtol=1e-6)
    alike = host(with_deviation(backend.asarray(x[[0, 0, 0]])))
    close(alike[..., 5], numpy.full((3, 3, 2), 1e-4))


def test_pixel_norm_gives_the_features_of_each_pixel_the_mean_square_1(rng):
    x = rng.standard_normal((2, 3, 4, 5))
    found = host(pixel_norm(backend.asarray(x)))
    close((found**2).mean(-1), numpy.ones((2, 3, 4)), rtol=1e-6)
    close(found / x, numpy.broadcast_to((found / x)[..., :1], x.shape))
    assert (found / x > 0).all()


def test_at_first_weights_have_variance_1_and_so_have_what_layers_put_out(rng):
    """Of inputs that a leaky ReLU has been through too."""
    conv, dense = EqualConv(64, 50, 3, rng), EqualDense(400, 300, rng, gain=1)
    for layer in (conv, dense):
        weight = host(layer.weight)
        assert weight.mean() == pytest.approx(0, abs=0.02) and weight.var() == pytest.approx(
            1, 0.02
        )
        assert not host(layer.bias).any() and weight.dtype == "float32"
    y = host(conv(backend.asarray(rng.standard_normal((20, 9, 9, 64)).astype("float32"))))
    rectified = numpy.where(y > 0, y, SLOPE * y)[:, 1:-1, 1:-1]  # at the edge there are fewer
    assert (rectified**2).mean() == pytest.approx(1, rel=0.05)
    y = dense(backend.asarray(rng.standard_normal((200, 400)).astype("float32")))
    assert host(y).var() == pytest.approx(1, rel=0.05)


def test_a_step_changes_all_weights_by_the_same_share_of_themselves(rng):
    """Adam, first step: by the learning rate; what layers compute with then by c times that."""
    for inputs in (1, 10, 1000):
        layer = EqualDense(inputs, 5, rng, gain=1)
        before, made_with = host(layer.weight).copy(), host(layer.scale * layer.weight)
        x = backend.asarray(rng.standard_normal((7, inputs)).astype("float32"))
        optimiser = Adam(layer.parameters().values(), 0.01)
        np.sum(layer(x) ** 2).backward()
        optimiser.step()
        close(abs(host(layer.weight) - before), numpy.full(before.shape, 0.01), rtol=1e-3)
        change = abs(host(layer.scale * layer.weight) - made_with)
        close(change, numpy.full(change.shape, 0.01 / math.sqrt(inputs)), rtol=1e-3)


def test_what_a_layer_puts_out_has_gain_for_a_leaky_relu_where_one_follows_and_else_1():
    for model in (progressive(colours=3), msg(colours=3)):
        for name, layer in layers_of(model):
            last = "to_image" in name or name == "critic.score.dense"
            assert layer.scale**2 * layer.weight[..., 0].size == pytest.approx(
                1 if last else 2 / 1.04
            ), name


def layers_of(module, prefix=""):
    """(path, layer) of equalised learning rate."""
    for name, value in vars(module).items():
        for i, item in enumerate(value if isinstance(value, list) else [value]):
            path = f"{prefix}{name}.{i}" if isinstance(value, list) else f"{prefix}{name}"
            if isinstance(item, EqualConv | EqualDense):
                yield path, item
            elif isinstance(item, Module):
                yield from layers_of(item, f"{path}.")


@pytest.mark.parametrize("make", [progressive, msg])
def test_the_scale_of_a_generators_weights_makes_no_difference_to_its_hidden_images(rng, make):
    """Every layer is followed by pixelwise normalisation."""
    model = in_float64(make(hidden=8), rng)
    z = model.noise(4, backend.default_rng(0))
    before = model.generator.hidden(z, None, 3)
    for name, layer in layers_of(model.generator):
        if "to_image" not in name:
            for x in layer.parameters().values():
                x[...] = 7 * x.data
    for h, same in zip(before, model.generator.hidden(z, None, 3), strict=True):
        close(h, same, rtol=1e-4, atol=1e-6)
        close((host(h) ** 2).mean(-1), numpy.ones(h.shape[:-1]), rtol=1e-4)


def test_both_convolutions_of_a_critics_block_are_followed_by_leaky_relu(rng):
    block = Shrink(2, 2, rng)
    block.first = block.second = lambda x: x
    x = rng.standard_normal((3, 4, 6, 2))
    twice = backend.asarray(numpy.where(x > 0, x, SLOPE**2 * x))
    close(block(backend.asarray(x)), averaged(twice))


@pytest.mark.parametrize(
    "layer", [averaged, lambda x: repeated(x, (5, 4)), pixel_norm, with_deviation]
)
def test_layers_have_derivatives_of_second_order(rng, layer):
    x = backend.asarray(rng.standard_normal((2, 3, 2, 2)))
    check_grads(lambda x: layer(x) ** 3, "rev", order=2)(x)


# -------------------------------------------------------------------------------------- growing

CLASSES = pytest.mark.parametrize("classes", [0, 2])
STAGES = pytest.mark.parametrize("stage", [1, 2])


def test_stages_follow_each_other_and_alpha_rises_in_the_first_half_of_each_but_the_first():
    config = progressive().config
    expected = {
        0: (0, 1.0),
        9: (0, 1.0),
        10: (1, 0.0),
        11: (1, 0.2),
        14: (1, 0.8),
        15: (1, 1.0),
        19: (1, 1.0),
        20: (2, 0.0),
        25: (2, 1.0),
        29: (2, 1.0),  # the last step of a run of three stages
        30: (2, 1.0),
        1000: (2, 1.0),
    }
    for step, (stage, alpha) in expected.items():
        assert config.growth(step) == (stage, pytest.approx(alpha, abs=1e-12)), step
    assert progressive(resolutions=1).config.growth(3) == (0, 1.0)


def test_optimisers_begin_anew_with_each_stage_but_the_first():
    model = progressive(resolutions=3, stage_steps=4)
    assert [step for step in range(20) if model.begins_anew(step)] == [4, 8]


@CLASSES
@STAGES
def test_at_alpha_0_the_generator_is_the_smaller_one_and_its_images_repeated(stage, classes):
    model = progressive(classes=classes)
    z, vectors = model.noise(4, backend.default_rng(1)), vectors_of(model, 4)
    made = []
    for step in (10 * stage - 1, 10 * stage):
        model.grow(step)
        made.append(model.generator(z, vectors))
    assert model.generator.alpha == 0 and made[1].shape[1:3] == model.config.sides[stage]
    equal(made[1], repeated(made[0], model.config.sides[stage]))


@CLASSES
@STAGES
def test_at_alpha_0_the_critic_is_the_smaller_one_of_images_averaged(rng, stage, classes):
    model = progressive(classes=classes)
    shape = (4, *model.config.sides[stage], 1)
    x = backend.asarray(rng.uniform(-1, 1, shape).astype("float32"))
    vectors = vectors_of(model, 4)
    found = []
    for step in (10 * stage - 1, 10 * stage):
        model.grow(step)
        found.append(model.critic(averaged(x) if step % 10 else x, vectors))
    equal(found[1], found[0])
    assert host(found[0]).std() > 0


@STAGES
def test_at_alpha_0_both_losses_are_those_of_the_step_before(rng, stage):
    """D U = 1: the critic finds data and draws as they were."""
    model = progressive(loss="nonsaturating")
    x, losses = batch(rng, model), []
    for step in (10 * stage - 1, 10 * stage):
        turns = model.turns(x, backend.default_rng(2), step)
        losses.append([loss.item() for _, loss, _ in turns])
    assert losses[0] == losses[1]


@STAGES
def test_at_alpha_1_the_old_branch_does_nothing_and_before_that_it_does(rng, stage):
    model = in_float64(progressive(), rng)
    z = model.noise(4, backend.default_rng(1))
    x = backend.asarray(rng.uniform(-1, 1, (4, *model.config.sides[stage], 1)))
    found = {}
    for change in (0, 5):
        for layers in (model.generator.to_image, model.critic.from_image):
            layers[stage - 1].bias[...] = layers[stage - 1].bias.data + change
        for step in (10 * stage + 5 - 1e-9, 10 * stage + 4, 10 * stage + 5):
            model.grow(step)
            with no_grad():
                found[change, step % 10] = model.generator(z, None), model.critic(x, None)
    for network in (0, 1):
        before, faint, alone = ([found[c, s][network] for c in (0, 5)] for s in (4, 5 - 1e-9, 5))
        equal(*alone)
        assert abs(host(before[0]) - host(before[1])).max() > 1e-3
        close(faint[0], alone[0], rtol=1e-6, atol=1e-7)


@STAGES
def test_in_between_both_branches_count_as_alpha_says(rng, stage):
    model = in_float64(progressive(), rng)
    model.critic.score = lambda h, vectors: h
    z = model.noise(4, backend.default_rng(1))
    x = batch(rng, model)
    images = backend.asarray(rng.uniform(-1, 1, (4, *model.config.sides[stage], 1)))
    if stage == 2:  # below, the critic is not linear
        model.critic.shrink[0] = lambda h: h
    found = []
    for part in (0.0, 1.0, 0.6):
        model.grow(10 * stage + 5 * part)
        assert model.generator.alpha == pytest.approx(part)
        with no_grad():
            found.append((model.generator(z), model.critic(images), model.real(x)))
    for old, new, both in zip(*found, strict=True):
        close(both, 0.4 * old + 0.6 * new, atol=1e-12)
        assert abs(host(old) - host(new)).max() > 1e-2
    close(found[0][2], repeated(averaged(found[1][2]), model.config.sides[stage]))
    close(found[1][2], ladder(model.scaled(x), 3)[stage])


def test_layers_not_yet_in_use_stay_bit_for_bit_as_they_are_and_then_learn(rng):
    model = progressive(loss="nonsaturating")
    optimisers = {
        name: Adam(module.parameters().values(), 1e-2)
        for name, (module, _) in model.players.items()
    }
    later = {  # the stage before which a layer is not used
        "generator.grow.0.": 1,
        "generator.grow.1.": 2,
        "generator.to_image.1.": 1,
        "generator.to_image.2.": 2,
        "critic.from_image.1.": 1,
        "critic.from_image.2.": 2,
        "critic.shrink.0.": 1,
        "critic.shrink.1.": 2,
    }
    begun = model.values()
    for stage, steps in ((0, range(3)), (1, range(10, 13)), (2, range(20, 23))):
        for step in steps:
            for player, loss, _ in model.turns(batch(rng, model), backend.default_rng(step), step):
                loss.backward()
                optimisers[player].step()
        for name, x in model.values().items():
            if name == "step":
                continue
            first = max((s for start, s in later.items() if name.startswith(start)), default=0)
            changed = x.tobytes() != begun[name].tobytes()
            assert changed == (stage >= first), (name, stage)


def test_while_a_block_is_faded_in_every_layer_in_use_has_a_gradient(rng):
    model = in_float64(progressive(classes=2), rng)
    used = {name for name in model.parameters() if "image.0" not in name}
    for _, loss, _ in model.turns(batch(rng, model), backend.default_rng(0), 23):
        loss.backward()
    cancels = "critic.score.dense.bias"  # of data and of draws alike
    found = {name for name, x in model.parameters().items() if x.grad is not None}
    assert used <= found | {cancels}
    assert all(host(model.parameters()[name].grad).any() for name in used - {cancels})
    assert not any("image.0" in name for name in found)


def test_who_loads_the_weights_draws_images_as_large_as_they_were_repeated(rng):
    model = progressive(7, 5)
    for step, stage in ((5, 0), (13, 1), (29, 2)):
        list(model.turns(batch(rng, model), backend.default_rng(0), step))
        loaded = progressive(7, 5, seed=1)
        loaded.load(model.values())
        z = model.noise(4, backend.default_rng(0))
        x = loaded.draws(z)
        assert loaded.generator.stage == stage and x.shape == (4, 7, 5, 1)
        equal(x, model.draws(z))
        small = ladder(x, 3)[stage]
        assert small.shape[1:3] == model.config.sides[stage]
        for sides in model.config.sides[stage + 1 :]:
            small = repeated(small, sides)
        close(x, small, rtol=1e-6)
        assert host(loaded.sample(3, backend.default_rng(0))).dtype.kind == "i"


def test_a_run_that_was_stopped_goes_on_bit_for_bit_across_stages(tmp_path, monkeypatch):
    monkeypatch.setattr(type(IMAGES), "validate", lambda *_: ("frechet", 1.0))
    settings = TrainingSettings(epochs=2, epoch_steps=6, batch_size=8, average=0.9)
    data = digits.load()

    def run(name, stop=0):
        model = progressive(8, 8, levels=17, stage_steps=4)
        path = tmp_path / name
        folder = RunFolder(path) if path.exists() else RunFolder.new(path)
        trainer = Trainer(model, IMAGES, data, settings, 0, folder)
        trainer.restore()
        trainer.run(stop=lambda: trainer.step == stop)
        return model.values()

    whole = run("whole")
    assert whole["step"] == 11
    for stop in (3, 4, 9):  # before, at and after the end of a stage
        with pytest.raises(Interrupted):
            run(f"stopped at {stop}", stop)
        again = run(f"stopped at {stop}")
        assert {k: x.tobytes() for k, x in again.items()} == {
            k: x.tobytes() for k, x in whole.items()
        }


# -------------------------------------------------------------------------------------- MSG-GAN


@pytest.mark.parametrize("resolutions", [1, 2, 3])
def test_parting_is_the_inverse_of_joining(rng, resolutions):
    shapes = msg(resolutions=resolutions, colours=3).config.shapes
    images = [backend.asarray(rng.standard_normal((4, *shape))) for shape in shapes]
    for a, b in zip(parted(joined(images), shapes), images, strict=True):
        equal(a, b)


def test_the_score_depends_on_every_pixel_of_every_resolution(rng):
    model = in_float64(msg(), rng)
    x = backend.asarray(rng.uniform(-1, 1, (3, sum(map(math.prod, model.config.shapes)))))
    slopes = host(jacobian(model.critic)(x))[numpy.arange(3), numpy.arange(3)]
    for part in parted(slopes, model.config.shapes):
        assert (abs(part) > 1e-9).all()


def test_each_resolution_gives_its_block_a_gradient_of_its_own(rng):
    """The score's slope by the image of one resolution alone: only layers up to it hear of it."""
    model = in_float64(msg(), rng)
    z = model.noise(4, backend.default_rng(0))
    for resolution in range(3):
        images = parted(model.generator(z), model.config.shapes)
        images = [x if i == resolution else backend.asarray(host(x)) for i, x in enumerate(images)]
        with model.critic.frozen():
            np.sum(model.critic(joined(images))).backward()
        gradients = {name: x.grad for name, x in model.generator.parameters().items()}
        layers = {name.rsplit(".", 1)[0] for name, g in gradients.items() if host(g).any()}
        blocks = [f"grow.{i}.{which}" for i in range(resolution) for which in ("first", "second")]
        assert layers == {"first.dense", "first.conv", f"to_image.{resolution}", *blocks}
        for x in model.generator.parameters().values():
            x.grad = None


def test_the_penalty_is_of_the_slope_by_all_resolutions_together(rng):
    model = msg(loss="wgan-gp", penalty=1.0)
    weights = [rng.standard_normal(shape) for shape in model.config.shapes]
    flat = backend.asarray(numpy.concatenate([w.reshape(-1) for w in weights]).astype("float32"))
    seen = []

    def critic(x, vectors=None, rng=None):
        seen.append(host(x))
        return np.sum(x * flat, axis=-1)

    model.critic = critic
    real = model.real(batch(rng, model))
    loss = model.critic_loss(real, backend.default_rng(0)).item()
    distance = host(critic(backend.asarray(seen[1]))).mean() - host(critic(real)).mean()
    length = math.sqrt(sum((w**2).sum() for w in weights))
    assert loss == pytest.approx(distance + (length - 1) ** 2, rel=1e-5)
    real, fake, between = (x.astype("float64") for x in seen[:3])
    part = (between - fake) / (real - fake)  # one for an image, of all resolutions
    assert part.std(1).max() < 1e-4 and part.mean(1).std() > 0.1


def test_images_of_every_resolution_are_of_values_from_minus_1_to_1(rng):
    model = in_float64(msg(), rng)
    for layer in model.generator.to_image:
        layer.weight[...] = 50 * layer.weight.data
    for x in model.ladders(model.noise(8, backend.default_rng(0))):
        assert 0.9 < abs(host(x)).max() <= 1


def test_samples_are_of_the_largest_resolution(rng):
    model = msg(7, 5, classes=2)
    z = model.noise(4, backend.default_rng(0))
    labels = backend.asarray(numpy.array([0, 1, 1, 0]))
    images = model.ladders(z, labels)
    assert [x.shape for x in images] == [(4, 2, 2, 1), (4, 4, 3, 1), (4, 7, 5, 1)]
    equal(model.draws(z, labels), images[2])
    equal(model.sample(4, backend.default_rng(0), labels), model.rounded(images[2]))


# ------------------------------------------------------------------------------------ both games


@pytest.mark.parametrize("make, step", [(progressive, 12), (progressive, 22), (msg, 0)])
def test_gradients_of_both_losses_are_their_slopes(rng, make, step):
    """Along a direction for each parameter, in float64; with the gradient penalty."""
    model = in_float64(make(4, 3, loss="wgan-gp", classes=2), rng)
    x, labels = batch(rng, model, 3)
    if make is progressive:
        model.grow(step)
    real = model.real(x)
    losses = {
        "critic": lambda: model.critic_loss(real, backend.default_rng(1), labels),
        "generator": lambda: model.generator_loss(3, backend.default_rng(1), labels),
    }
    for player, value in losses.items():
        value().backward()
        checked = 0
        for name, weight in model.players[player][0].parameters().items():
            direction = rng.standard_normal(weight.shape)
            claimed = 0.0 if weight.grad is None else (host(weight.grad) * direction).sum()
            found = slope_along(value, weight, direction)
            assert abs(claimed - found) < 1e-6 * max(1, abs(found)), name
            checked += abs(found) > 1e-4
        assert checked > 8


def slope_along(value, weight, direction):
    """By central differences."""
    at, values = host(weight).copy(), []
    for sign in (1, -1):
        weight[...] = backend.asarray(at + sign * 1e-6 * direction)
        with no_grad():
            values.append(value().item())
    weight[...] = backend.asarray(at)
    return (values[0] - values[1]) / 2e-6


def test_the_penalty_of_a_critic_of_batches_is_of_the_slope_of_the_sum(rng):
    """s_n = a · x_n + b · mean of x: the sum's slope by each x is a + b."""
    a, b = (backend.asarray(rng.standard_normal(3)) for _ in "ab")
    real, fake = (backend.asarray(rng.standard_normal((5, 3))) for _ in range(2))
    found = gradient_penalty(
        lambda x: x @ a + np.mean(x, axis=0) @ b, real, fake, backend.default_rng(0)
    )
    assert found.item() == pytest.approx((numpy.linalg.norm(host(a) + host(b)) - 1) ** 2)


@pytest.mark.parametrize("make", [progressive, msg])
def test_a_critic_sees_how_varied_a_batch_is(rng, make):
    """Its score of an image depends on those beside it, by their deviation alone."""
    model = in_float64(make(), rng)
    if make is progressive:
        model.grow(29)
    x = model.real(batch(rng, model, 4))
    score = host(model.critic(x))
    close(score[::-1], model.critic(x[::-1]))
    assert (abs(score[:2] - host(model.critic(x[:2]))) > 1e-6).all()


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("make", [progressive, msg])
def test_every_loss_trains_a_few_steps_and_stays_finite(rng, make, loss):
    model = make(7, 5, colours=3, classes=2, loss=loss)
    players = model.players.items()
    optimisers = {name: Adam(module.parameters().values(), 1e-2) for name, (module, _) in players}
    before = model.values()
    for step in (9, 10, 12, 19, 24, 26):
        for player, value, metrics in model.turns(
            batch(rng, model), backend.default_rng(step), step
        ):
            assert math.isfinite(value.item()) and value.dtype == "float32"
            assert metrics[player].item() == value.item()
            value.backward()
            optimisers[player].step()
    for name, x in model.values().items():
        assert numpy.isfinite(x).all(), name
        assert name == "critic.score.dense.bias" or x.tobytes() != before[name].tobytes(), name


@pytest.mark.parametrize("make", [progressive, msg])
@pytest.mark.parametrize(
    "sides, resolutions", [((8, 8), 4), ((28, 28), 3), ((1, 3), 3), ((1, 1), 1)]
)
def test_images_of_any_sides_are_made_and_scored(rng, make, sides, resolutions):
    model = make(*sides, resolutions=resolutions)
    list(model.turns(batch(rng, model, 3), backend.default_rng(0), 100))
    x = host(model.draws(100 * model.noise(2, backend.default_rng(0))))
    assert x.shape == (2, *sides, 1) and x.dtype == "float32" and abs(x).max() <= 1


@pytest.mark.parametrize("make", [progressive, msg])
def test_labels_reach_both_players(rng, make):
    model = in_float64(make(classes=3, hidden=4), rng)
    if make is progressive:
        model.grow(29)
    z = backend.asarray(numpy.repeat(rng.standard_normal((1, 3)), 3, 0))
    made = host(model.draws(z, backend.asarray(numpy.arange(3))))
    real = model.real(backend.asarray(numpy.zeros((3, *model.shape), int)))
    scores = host(model.critic(real, vectors_of(model, 3)))
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert abs(made[a] - made[b]).max() > 1e-3 and abs(scores[a] - scores[b]) > 1e-6


@pytest.mark.parametrize(
    "field, value, expected",
    [
        ("resolutions", 5, "from 1 to 4: a side of 8 is not halved more often"),
        ("resolutions", 0, "from 1 to 4"),
        ("hidden", 0, "at least 1"),
        ("latents", 0, "at least 1"),
        ("loss", "f", "saturating or"),
        ("levels", 1, "at least 2"),
        ("stage_steps", 0, "at least 1"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(field, value, expected):
    for config in (ProgressiveGANConfig, MSGGANConfig):
        if field != "stage_steps" or config is ProgressiveGANConfig:
            with pytest.raises(ValueError, match=f"{field}={value}: {field} must be {expected}"):
                config(**{field: value})


def test_images_of_another_shape_are_refused():
    for model in (progressive(), msg()):
        name = type(model).__name__
        with pytest.raises(ValueError, match=rf"{name}: images \(2, 5, 6, 1\), expected"):
            list(model.turns(numpy.zeros((2, 5, 6, 1), int), backend.default_rng(0)))
