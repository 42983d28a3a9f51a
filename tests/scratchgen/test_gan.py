"""GAN: whose turn changes what, the gradient penalty, the networks, samples."""

import math

import numpy
import pytest

import autograd.numpy as np
from autograd import Tensor, backend, no_grad
from autograd.functional import jacobian
from scratchgen.models.adversarial.gan import GAN, GANConfig
from scratchgen.models.adversarial.losses import LOSSES, gradient_penalty
from scratchgen.models.adversarial.networks import KERNEL, PlainHalve, small_normal
from scratchgen.nn import Double
from scratchgen.optim import Adam

NETWORKS = [
    {"network": "dense"},
    {"network": "dense", "spectral": 1},
    {"network": "conv"},
    {"network": "conv", "norm": "none"},
    {"network": "conv", "spectral": 1},
]


def make(height=6, width=5, seed=0, **options):
    sizes = {"levels": 5, "latents": 3, "hidden": 4, "layers": 2}
    return GAN(GANConfig(height, width, **(sizes | options)), backend.default_rng(seed))


def images(rng, model, n):
    return backend.asarray(rng.integers(0, model.config.levels, (n, *model.shape)))


def batch(rng, model, n=6):
    """Of a step; with labels if the model has classes."""
    n *= model.config.critic_steps
    x, classes = images(rng, model, n), model.config.classes
    return (x, backend.asarray(rng.integers(0, classes, n))) if classes else x


def scores(model, x, vectors=None, rng=None):
    with no_grad():
        return backend.to_numpy(model.critic(x, vectors, rng))


def weights(module):
    """Parameters without buffers, which are statistics of what went through."""
    return {name: backend.to_numpy(x.data).copy() for name, x in module.parameters().items()}


def alike(before, module):
    """The names of parameters that are bit for bit as before."""
    return {name for name, x in weights(module).items() if x.tobytes() == before[name].tobytes()}


# ------------------------------------------------------------------------------------------- turns


def steps(model, rng, count=1, learning_rate=1e-2):
    """Train; after each turn: its player, loss and metrics, and the weights before it."""
    optimisers = {
        name: Adam(module.parameters().values(), learning_rate)
        for name, (module, _) in model.players.items()
    }
    for step in range(count):
        turns = model.turns(batch(rng, model), backend.default_rng(step), step)
        for player, loss, metrics in turns:
            before = weights(model)
            loss.backward()
            optimisers[player].step()
            yield player, loss, metrics, before


@pytest.mark.parametrize("options", NETWORKS)
@pytest.mark.parametrize("loss", LOSSES)
def test_each_turn_gives_a_gradient_to_all_of_its_player_and_changes_no_one_else(
    rng, loss, options
):
    model = make(loss=loss, classes=2, critic_steps=2, **options)
    for x in model.parameters().values():  # no ReLU dead, no weight 0
        x[...] = x.data + backend.asarray(0.05 * rng.standard_normal(x.shape).astype("float32"))
    turns = model.turns(batch(rng, model), backend.default_rng(0))
    order = []
    for player, value, metrics in turns:
        other = {"critic": model.generator, "generator": model.critic}[player]
        before = weights(other)
        value.backward()
        own = model.players[player][0].parameters()
        for name, x in own.items():
            assert x.grad is not None and x.grad.dtype == "float32", name
            # what is added to the scores of data and of draws alike cancels out
            cancels = loss in ("wgan", "wgan-gp", "hinge") and name.endswith("bias")
            assert cancels or backend.to_numpy(x.grad).any(), name
        assert all(x.grad is None for x in other.parameters().values())
        Adam(own.values(), 1e-2).step()
        for x in own.values():
            x.grad = None
        assert alike(before, other) == set(before)
        assert metrics[player].item() == value.item() and value.dtype == "float32"
        order.append(player)
    assert order == ["critic", "critic", "generator"]


@pytest.mark.parametrize("network", ["dense", "conv"])
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains_a_few_steps_and_stays_finite(rng, loss, network):
    model = make(loss=loss, network=network, critic_steps=2)
    before = weights(model)
    for _, value, _, _ in steps(model, rng, 4):
        assert math.isfinite(value.item())
    for name, x in model.values().items():
        assert numpy.isfinite(x).all(), name
    assert not alike(before, model) - {"critic.score.bias"}


@pytest.mark.parametrize("network", ["dense", "conv"])
def test_after_each_turn_of_the_critic_its_weights_are_within_the_clip(rng, network):
    model = make(loss="wgan", weight_clip=0.03, critic_steps=3, network=network)
    moved, within = [], []
    for player, _, _, before in steps(model, rng, 2, learning_rate=0.1):
        within.append(largest({k: x for k, x in before.items() if k.startswith("critic.")}))
        if player == "critic":
            moved.append(largest(weights(model.critic)))
    assert min(moved) > 0.03, "no step went further, and the test shows nothing"
    assert len(within) == 8 and max(within[1:]) <= numpy.float32(0.03)
    assert largest(weights(model.generator)) > 0.03


def largest(values):
    """In absolute value, of all weights."""
    return max(abs(x).max() for x in values.values())


def test_each_turn_of_the_critic_sees_other_data_and_the_generator_makes_as_many(rng, monkeypatch):
    model, sizes = make(critic_steps=3), []
    x = images(rng, model, 12)
    monkeypatch.setattr(model, "real", lambda part: sizes.append(part) or model.scaled(part))
    generated = []
    original = model.generator.__class__.__call__
    monkeypatch.setattr(
        model.generator.__class__,
        "__call__",
        lambda self, z, *rest: generated.append(z) or original(self, z, *rest),
    )
    assert len(list(model.turns(x, backend.default_rng(0)))) == 4
    numpy.testing.assert_array_equal(
        numpy.concatenate([backend.to_numpy(part) for part in sizes]), backend.to_numpy(x)
    )
    assert [len(z) for z in generated] == [4, 4, 4, 4]
    assert len({backend.to_numpy(z).tobytes() for z in generated}) == 4


# ------------------------------------------------------------------------------------------ frozen


def test_within_frozen_parameters_are_constants_and_after_it_what_they_were(rng):
    model = make(network="conv")
    before, tensors = weights(model), model.critic.parameters()
    x = Tensor(model.scaled(images(rng, model, 3)))
    with model.critic.frozen():
        assert not model.critic.parameters()
        np.sum(model.critic(x, None, backend.default_rng(0))).backward()
    assert backend.to_numpy(x.grad).any()
    after = model.critic.parameters()
    assert list(after) == list(tensors) and all(after[name] is tensors[name] for name in after)
    assert all(tensor.grad is None for tensor in after.values())
    assert alike(before, model) == set(before)


def test_parameters_are_back_after_an_exception_in_frozen():
    model = make(network="conv")
    tensors = model.parameters()
    with pytest.raises(ZeroDivisionError), model.critic.frozen():
        raise ZeroDivisionError
    after = model.parameters()
    assert list(after) == list(tensors) and all(after[name] is tensors[name] for name in after)


# -------------------------------------------------------------------------------- gradient penalty


def in_float64(model, rng, spread=0.4):
    """With random weights, so large that slopes are about 1."""
    model.astype("float64")
    for x in model.parameters().values():
        x[...] = backend.asarray(spread * rng.standard_normal(x.shape))
    return model


@pytest.mark.parametrize("options", [{"network": "dense"}, {"network": "conv"}])
@pytest.mark.parametrize("classes", [0, 2])
def test_the_gradient_of_the_penalty_by_the_critics_parameters_is_its_slope(rng, options, classes):
    model = in_float64(make(4, 3, loss="wgan-gp", classes=classes, hidden=3, **options), rng)
    real, fake = (backend.asarray(rng.uniform(-1, 1, (5, *model.shape))) for _ in range(2))
    vectors = backend.asarray(numpy.eye(2)[[0, 1, 1, 0, 1]]) if classes else None

    def penalty():
        critic = lambda x: model.critic(x, vectors, backend.default_rng(0))  # noqa: E731
        return gradient_penalty(critic, real, fake, backend.default_rng(1))

    assert penalty().item() > 0.01
    penalty().backward()
    checked = 0
    for name, x in model.critic.parameters().items():
        if name.endswith("bias"):  # slopes do not depend on it, but where a ReLU turns
            assert x.grad is None or not backend.to_numpy(x.grad).any()
            continue
        gradient, weight = backend.to_numpy(x.grad), backend.to_numpy(x.data).copy()
        for place in rng.permutation(x.size)[:12]:
            change = numpy.zeros(x.size)
            change[place] = 1e-6
            change, values = change.reshape(x.shape), []
            for sign in (1, -1):
                x[...] = backend.asarray(weight + sign * change)
                values.append(penalty().item())
            x[...] = backend.asarray(weight)
            slope = (values[0] - values[1]) / 2e-6
            assert abs(gradient.flat[place] - slope) < 1e-7 * max(1, abs(slope)), name
            checked += abs(slope) > 1e-3
    assert checked > 12


def test_the_penalty_is_that_of_the_slopes_between_data_and_draws(rng):
    """Of a linear critic it is (‖w‖ − 1)² wherever; of a quadratic one ‖2 x̂‖, x̂ in between."""
    real, fake = (backend.asarray(rng.standard_normal((4, 3, 2, 1))) for _ in range(2))
    w = rng.standard_normal((3, 2, 1))
    found = gradient_penalty(
        lambda x: np.sum(x * backend.asarray(w), axis=(1, 2, 3)), real, fake, backend.default_rng(0)
    )
    assert found.item() == pytest.approx((numpy.linalg.norm(w) - 1) ** 2)
    seen = []

    def quadratic(x):
        seen.append(backend.to_numpy(x.data))
        return np.sum(x * x, axis=(1, 2, 3))

    found = gradient_penalty(quadratic, real, fake, backend.default_rng(0)).item()
    between, real, fake = seen[0], backend.to_numpy(real), backend.to_numpy(fake)
    part = (between - fake) / (real - fake)
    assert (part > 0).all() and (part < 1).all() and len(numpy.unique(part.round(9))) == 4
    lengths = 2 * numpy.linalg.norm(between.reshape(4, -1), axis=1)
    assert found == pytest.approx(((lengths - 1) ** 2).mean())


@pytest.mark.parametrize("options", NETWORKS)
def test_for_the_penalty_no_score_depends_on_another_image(rng, options):
    model = in_float64(make(loss="wgan-gp", hidden=2, **options), rng)
    x = backend.asarray(rng.uniform(-1, 1, (3, *model.shape)))
    found = backend.to_numpy(jacobian(lambda x: model.critic(x, None, backend.default_rng(0)))(x))
    depends = abs(found).reshape(3, 3, -1).sum(-1)
    assert (depends[numpy.eye(3, dtype=bool)] > 0).all()
    assert not depends[~numpy.eye(3, dtype=bool)].any()


def test_with_another_loss_the_convolutional_critic_has_batch_normalisation(rng):
    model = in_float64(make(network="conv", loss="hinge"), rng)
    x = model.scaled(images(rng, model, 4))
    together = scores(model, x, rng=backend.default_rng(0))
    assert (abs(together[:2] - scores(model, x[:2], rng=backend.default_rng(0))) > 1e-3).all()
    names = set(model.critic.parameters())
    assert {"norms.0.gain", "halve.0.bias"} <= names and "halve.1.bias" not in names
    assert not {"double.0.bias", "norms.2.bias"} & set(model.generator.parameters())
    for options in ({"loss": "wgan-gp"}, {"norm": "none"}, {"spectral": 1}):
        names = set(make(network="conv", **options).critic.parameters())
        assert "norms.0.gain" not in names and "halve.1.bias" in names


# ---------------------------------------------------------------------------------------- networks


@pytest.mark.parametrize("options", NETWORKS)
@pytest.mark.parametrize(
    "height, width, layers", [(8, 8, 2), (28, 28, 2), (28, 28, 3), (9, 4, 2), (1, 5, 3)]
)
def test_images_of_any_sides_are_made_and_scored(options, height, width, layers):
    model = make(height, width, layers=layers, colours=3, hidden=16, **options)
    with no_grad():
        noise = 100 * model.noise(2, backend.default_rng(0))
        made = model.generator(noise, None, backend.default_rng(0))
        score = model.critic(made, None, backend.default_rng(0))
    assert made.shape == (2, height, width, 3) and score.shape == (2,)
    assert abs(backend.to_numpy(made)).max() <= 1 and made.dtype == score.dtype == "float32"


@pytest.mark.parametrize("sides", [(8, 8), (7, 14), (28, 28), (5, 3), (1, 2)])
def test_doubling_is_the_adjoint_of_halving(rng, sides):
    """⟨A x, y⟩ = ⟨x, Aᵀ y⟩ for the layers of the critic and of the generator."""
    halve = PlainHalve(3, 4, KERNEL, backend.default_rng(0))
    double = Double(4, 3, sides, backend.default_rng(0), KERNEL, small_normal)
    for layer in (halve, double):
        layer.astype("float64")
    halve.weight[...] = double.weight.data
    x = backend.asarray(rng.standard_normal((2, *sides, 3)))
    with no_grad():
        smaller = halve(x)
        y = backend.asarray(rng.standard_normal(smaller.shape))
        larger = double(y)
        assert larger.shape == x.shape
        left, right = np.sum(smaller * y).item(), np.sum(x * larger).item()
    assert left == pytest.approx(right, rel=1e-12) and abs(left) > 1e-6


def test_convolutional_networks_begin_as_in_the_paper():
    model = make(28, 28, network="conv", hidden=32, latents=64)
    for name, x in weights(model).items():
        if name.endswith("weight"):
            assert abs(x.mean()) < 2e-3 and x.std() == pytest.approx(0.02, rel=0.1), name
        else:
            assert (x == (1 if name.endswith("gain") else 0)).all(), name


@pytest.mark.parametrize("network, most", [("dense", 1), ("conv", (KERNEL / 2) ** 2)])
def test_a_critic_with_spectral_normalisation_rises_no_faster_than_is_said(rng, network, most):
    """1 for each unit of distance and each layer; by convolutions kernel / stride each."""
    model = make(spectral=1, loss="hinge", network=network)
    for _ in steps(model, rng, 20):
        pass
    for _ in range(300):
        scores(model, model.scaled(images(rng, model, 1)), rng=backend.default_rng(0))
    layers = model.critic.hidden if network == "dense" else model.critic.halve
    for layer in (*layers, model.critic.score):
        weight = backend.to_numpy(layer.normalised().data)
        found = numpy.linalg.svd(weight.reshape(-1, weight.shape[-1]), compute_uv=False)
        assert found[0] == pytest.approx(1, abs=1e-4)
    a, b = (
        backend.asarray(rng.uniform(-1, 1, (500, *model.shape)).astype("float32")) for _ in "ab"
    )
    rise = abs(scores(model, a) - scores(model, b))
    distance = numpy.linalg.norm(backend.to_numpy(a - b).reshape(500, -1), axis=1)
    assert (rise <= distance * most * 1.001).all() and rise.max() > 0


def test_in_training_a_draw_depends_on_the_others_beside_it_and_after_it_on_its_noise_alone(rng):
    model = in_float64(make(network="conv"), rng)
    z = backend.asarray(rng.standard_normal((4, 3)))

    def made(z, rng=None):
        with no_grad():
            return backend.to_numpy(model.generator(z, None, rng))

    together = made(z, backend.default_rng(0))[:2]
    assert (abs(together - made(z[:2], backend.default_rng(0))).max((1, 2, 3)) > 1e-3).all()
    numpy.testing.assert_allclose(made(z)[:2], made(z[:2]), rtol=1e-12)


# ----------------------------------------------------------------------------------------- samples


@pytest.mark.parametrize("options", NETWORKS)
def test_labels_reach_both_players(rng, options):
    model = in_float64(make(classes=3, hidden=16, **options), rng)
    z = backend.asarray(numpy.repeat(rng.standard_normal((1, 3)), 3, 0))
    made = backend.to_numpy(model.draws(z, backend.asarray(numpy.arange(3))))
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert (made[a] != made[b]).any()
    x = model.scaled(images(rng, model, 1))
    vectors = numpy.eye(3)
    found = {scores(model, x, backend.asarray(vectors[i : i + 1])).item() for i in range(3)}
    assert len(found) == 3


def test_labels_are_those_of_the_images_they_come_with(rng, monkeypatch):
    model = make(classes=3, critic_steps=2)
    x, labels = batch(rng, model, 4)
    told = []
    original = model.critic.__class__.__call__

    def critic(self, x, vectors=None, rng=None):
        told.append(backend.to_numpy(vectors).argmax(-1).tolist())
        return original(self, x, vectors, rng)

    monkeypatch.setattr(model.critic.__class__, "__call__", critic)
    list(model.turns((x, labels), backend.default_rng(0)))
    first, second = (backend.to_numpy(labels)[part].tolist() for part in (slice(4), slice(4, 8)))
    assert told == [first, first, second, second, first]


def test_samples_are_levels_and_the_same_seed_gives_the_same(rng):
    model = in_float64(make(network="conv"), rng, spread=1.0)
    found = [backend.to_numpy(model.sample(50, backend.default_rng(seed))) for seed in (0, 0, 1)]
    assert found[0].shape == (50, 6, 5, 1) and found[0].dtype.kind == "i"
    assert found[0].min() == 0 and found[0].max() == 4
    numpy.testing.assert_array_equal(found[0], found[1])
    assert (found[0] != found[2]).any()
    model = make(classes=2)
    one = backend.to_numpy(model.sample(5, backend.default_rng(0), context=1))
    with pytest.raises(ValueError, match="pass context"):
        model.sample(5, backend.default_rng(0))
    each = backend.to_numpy(
        model.sample(5, backend.default_rng(0), context=backend.asarray(numpy.ones(5, int)))
    )
    numpy.testing.assert_array_equal(one, each)


def test_rounding_is_the_inverse_of_scaling_and_takes_the_nearest_level(rng):
    model = make(levels=17)
    x = images(rng, model, 20)
    numpy.testing.assert_array_equal(*map(backend.to_numpy, (model.rounded(model.real(x)), x)))
    for change in (-0.45, 0.45):  # of the way to the next level
        moved = np.clip(model.real(x) + change * 2 / 16, -1, 1)
        numpy.testing.assert_array_equal(*map(backend.to_numpy, (model.rounded(moved), x)))


def test_a_temperature_of_0_always_draws_the_same_image(rng):
    model = in_float64(make(network="conv"), rng)
    found = backend.to_numpy(model.sample(5, backend.default_rng(0), temperature=0.0))
    assert (found == found[:1]).all()


def test_sampling_changes_no_running_statistics(rng):
    model = make(network="conv")
    before = model.values()
    model.sample(5, backend.default_rng(0))
    for name, x in model.values().items():
        numpy.testing.assert_array_equal(x, before[name])


@pytest.mark.parametrize(
    "field, value",
    [
        ("network", "recurrent"),
        ("hidden", 0),
        ("layers", 0),
        ("norm", "layer"),
        ("spectral", 2),
        ("latents", 0),
        ("loss", "f"),
        ("height", 0),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(field, value):
    with pytest.raises(ValueError, match=f"{field}={value}: {field} must be"):
        GANConfig(**{field: value})


def test_sides_are_not_halved_more_often_than_until_they_are_one_pixel():
    """Each time doubles the channels: 9 layers on the digits took all the memory there was."""
    assert GANConfig(network="conv", layers=3).layers == 3
    with pytest.raises(ValueError, match=r"layers=4: layers must be from 1 to 3: a side of 8"):
        GANConfig(network="conv", layers=4)
    assert GANConfig(network="conv", height=1, width=5, layers=3).layers == 3
    assert GANConfig(network="conv", height=1, width=1, layers=2).layers == 2
    assert GANConfig(network="dense", layers=9).layers == 9


def test_a_batch_of_no_data_is_refused(rng):
    with pytest.raises(ValueError, match="GAN: a batch of no data, expected at least 1"):
        list(make().turns(numpy.zeros((0, 6, 5, 1), int), backend.default_rng(0)))


def test_images_of_another_shape_or_level_are_refused(rng):
    model = make()
    with pytest.raises(ValueError, match=r"GAN: images \(2, 5, 6, 1\), expected \(N, 6, 5, 1\)"):
        list(model.turns(numpy.zeros((2, 5, 6, 1), int), backend.default_rng(0)))


@pytest.mark.parametrize("options", [{"network": "dense"}, {"network": "conv", "norm": "none"}])
def test_every_hidden_layer_of_the_generator_is_rectified(options):
    # far below 0 its units are off, and nothing of the noise gets through
    probe = make(hidden=4, layers=2, **options).generator
    hidden = [name for name in probe.parameters() if name.endswith("bias")][:-1]
    assert len(hidden) == 2
    for name in hidden:
        model = make(hidden=4, layers=2, **options)
        z = model.noise(5, backend.default_rng(0))
        assert backend.to_numpy(model.draws(z)).std(0).max() > 0
        model.generator.parameters()[name][...] = -1e3
        assert backend.to_numpy(model.draws(z)).std(0).max() == 0, name
