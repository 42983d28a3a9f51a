"""BiGAN: where the game ends, which loss is whose, the encoder, reconstructions."""

import io
import itertools
import json
import math
from collections import Counter

import numpy
import pytest
from rich.console import Console
from scipy.spatial.distance import jensenshannon
from scipy.special import expit, rel_entr

import autograd.numpy as np
from autograd import Tensor, backend, grad, no_grad
from scratchgen.models.adversarial.bigan import BiGAN, BiGANConfig, PairCritic, paired
from scratchgen.models.adversarial.losses import LOSSES
from scratchgen.optim import Adam
from scratchgen.training import Run, checkpoint, job
from scratchgen.training.media.images import IMAGES

NETWORKS = [
    {"network": "dense"},
    {"network": "dense", "encoder": "gaussian", "spectral": 1},
    {"network": "conv", "encoder": "gaussian"},
    {"network": "conv", "norm": "none", "spectral": 1},
]


def make(height=6, width=5, seed=0, **options):
    sizes = {"levels": 5, "latents": 3, "hidden": 4, "layers": 2, "joint": 6}
    return BiGAN(BiGANConfig(height, width, **(sizes | options)), backend.default_rng(seed))


def in_float64(model, rng, spread=0.4):
    model.astype("float64")
    for x in model.parameters().values():
        x[...] = backend.asarray(spread * rng.standard_normal(x.shape))
    return model


def images(rng, model, n):
    return backend.asarray(rng.integers(0, model.config.levels, (n, *model.shape)))


def some_labels(rng, model, n):
    classes = model.config.classes
    return backend.asarray(rng.integers(0, classes, n)) if classes else None


def weights(module):
    """Parameters without buffers."""
    return {name: backend.to_numpy(x.data).copy() for name, x in module.parameters().items()}


def alike(before, module):
    """The names of parameters that are bit for bit as before."""
    return {name for name, x in weights(module).items() if x.tobytes() == before[name].tobytes()}


# ------------------------------------------------------------------------- where the game ends

N = 3
"""Images, and codes, all equally likely."""


def graphs(encoder, generator):
    """Probabilities of all pairs [image, code], of (x, E(x)) and of (G(z), z)."""
    coded, drawn = numpy.zeros((2, N, N))
    coded[range(N), encoder] = drawn[generator, range(N)] = 1 / N
    return coded, drawn


def value(coded, drawn):
    """V of the best critic, by the loss of the model: scores of N pairs of each kind."""
    with numpy.errstate(divide="ignore", invalid="ignore"):
        scores = numpy.clip(numpy.log(coded / drawn), -1e3, 1e3)
    real, fake = (backend.asarray(scores[pairs > 0]) for pairs in (coded, drawn))
    return -LOSSES["saturating"].critic(real, fake).item()


def test_only_an_encoder_that_inverts_the_generator_brings_the_value_to_its_least():
    """Of all functions E and G between three images and three codes."""
    inverse = 0
    for encoder, generator in itertools.product(itertools.product(range(N), repeat=N), repeat=2):
        coded, drawn = graphs(encoder, generator)
        found = value(coded, drawn)
        divergence = jensenshannon(coded.ravel(), drawn.ravel()) ** 2
        assert found == pytest.approx(2 * divergence - math.log(4), abs=1e-12)
        agree = sum(generator[encoder[x]] == x for x in range(N))
        assert found == pytest.approx(-agree / N * math.log(4), abs=1e-12)
        inverts = agree == N and all(encoder[generator[z]] == z for z in range(N))
        assert (found < -math.log(4) + 1e-9) == inverts
        inverse += inverts
    assert inverse == math.factorial(N)


def joint(coder, maker):
    """Probabilities [x, z] of both kinds of pairs, by logits of e(z | x) [x, z] and g(x | z)."""
    e, g = (np.exp(logits) / np.sum(np.exp(logits), -1)[:, None] for logits in (coder, maker))
    return e / N, np.swapaxes(g, 0, 1) / N


def game(rng, encoder_loss, generator_loss, steps=120):
    """Play with tables, by the slopes of the losses, always against the best discriminator."""
    tables = [backend.asarray(rng.standard_normal((N, N))) for _ in range(2)]
    values = []
    for _ in range(steps):
        coded, drawn = joint(*tables)
        scores = np.log(coded / drawn)
        lose, gain = (
            backend.asarray(
                [[loss(scores[x, z : z + 1]).item() for z in range(N)] for x in range(N)]
            )
            for loss in (encoder_loss, generator_loss)
        )

        def both(coder, maker, lose=lose, gain=gain):
            coded, drawn = joint(coder, maker)
            return np.sum(coded * lose) + np.sum(drawn * gain)

        slopes = [grad(both, i)(*tables) for i in range(2)]
        tables = [table - 2 * slope for table, slope in zip(tables, slopes, strict=True)]
        p, q = (backend.to_numpy(mass) for mass in joint(*tables))
        values.append((rel_entr(p, p + q) + rel_entr(q, p + q)).sum())
    return p, q, values


@pytest.mark.parametrize("loss", ["saturating", "nonsaturating"])
def test_a_stochastic_encoder_ends_as_the_posterior_of_the_generator(rng, loss):
    loss = LOSSES[loss]
    coded, drawn, values = game(rng, loss.encoder, loss.generator)
    assert values[0] > -1.3 and values[-1] == pytest.approx(-math.log(4), abs=1e-6)
    posterior = drawn / drawn.sum(1, keepdims=True)
    numpy.testing.assert_allclose(coded * N, posterior, atol=1e-3)
    assert numpy.ptp(posterior, axis=1).max() > 0.3, "codes that say nothing show nothing"


def test_with_the_roles_of_the_encoder_not_swapped_the_joint_distributions_stay_apart(rng):
    for loss in ("saturating", "nonsaturating"):
        generator_loss = LOSSES[loss].generator
        *_, values = game(rng, generator_loss, generator_loss, steps=60)
        assert values[-1] > -1.3, loss


# ---------------------------------------------------------------------------- whose loss is what

GRADIENTS = {  # of the encoder's loss by the score s of an image of the data
    "saturating": lambda s: expit(-s),
    "nonsaturating": expit,
    "lsgan": lambda s: s,
    "wgan": numpy.ones_like,
    "wgan-gp": numpy.ones_like,
    "hinge": numpy.ones_like,
}


@pytest.mark.parametrize("loss", LOSSES)
def test_the_encoder_minimises_the_generators_loss_with_data_and_draws_swapped(rng, loss):
    s = numpy.linspace(-20, 20, 11)
    found = backend.to_numpy(grad(LOSSES[loss].encoder)(backend.asarray(s)))
    numpy.testing.assert_allclose(found * len(s), GRADIENTS[loss](s), rtol=1e-12)
    # and mirrored scores swap them for the critic too
    real, fake = (backend.asarray(3 * rng.standard_normal(7)) for _ in range(2))
    critic, middle = LOSSES[loss].critic, LOSSES[loss].middle
    mirrored = critic(2 * middle - fake, 2 * middle - real).item()
    assert mirrored == pytest.approx(critic(real, fake).item(), rel=1e-12)


def test_with_the_saturating_loss_what_both_minimise_is_the_value_itself(rng):
    real, fake = (backend.asarray(3 * rng.standard_normal(7)) for _ in range(2))
    loss = LOSSES["saturating"]
    both = loss.encoder(real).item() + loss.generator(fake).item()
    assert both == pytest.approx(-loss.critic(real, fake).item(), rel=1e-12)


def test_with_the_nonsaturating_loss_both_minimise_what_a_critic_told_the_opposite_would(rng):
    real, fake = (backend.asarray(3 * rng.standard_normal(7)) for _ in range(2))
    loss = LOSSES["nonsaturating"]
    both = loss.encoder(real).item() + loss.generator(fake).item()
    assert both == pytest.approx(loss.critic(fake, real).item(), rel=1e-12)


def mean_scores(model, x):
    """Of pairs of data and of draws, always of the same noise."""
    with no_grad():
        pairs = model.pairs(x, None, backend.default_rng(1))
        return [np.mean(model.critic(some)).item() for some in pairs]


@pytest.mark.parametrize("options", [NETWORKS[0], {"network": "conv", "encoder": "gaussian"}])
@pytest.mark.parametrize("loss", LOSSES)
def test_the_critic_tells_data_from_draws_and_the_others_make_them_alike(rng, loss, options):
    """By the scores after a small step down each loss; all are between the marks of lsgan."""
    model = in_float64(make(loss=loss, penalty=0, norm="none", **options), rng, spread=0.2)
    model.critic.score.bias[...] = 0.5
    x = model.real(images(rng, model, 20))
    before, values = mean_scores(model, x), weights(model)
    assert max(abs(score - 0.5) for score in before) < 0.4
    losses = {"critic": model.critic_loss, "generator": model.generator_loss}
    for player, sign in (("critic", 1), ("generator", -1)):
        losses[player](x, backend.default_rng(1)).backward()
        for p in model.players[player][0].parameters().values():
            if p.grad is not None:  # of the last bias of all there may be none
                p[...] = p.data - 1e-5 * p.grad
        real, fake = mean_scores(model, x)
        apart = sign * (real - before[0]), sign * (before[1] - fake)
        assert sum(apart) > 0
        assert player == "critic" or min(apart) > 0
        for name, p in model.parameters().items():
            p[...], p.grad = backend.asarray(values[name]), None


@pytest.mark.parametrize("options", NETWORKS)
@pytest.mark.parametrize("loss", LOSSES)
def test_each_turn_gives_a_gradient_to_all_of_its_player_and_changes_no_one_else(
    rng, loss, options
):
    model = make(loss=loss, classes=2, critic_steps=2, **options)
    for x in model.parameters().values():  # no ReLU dead, no weight 0
        x[...] = x.data + backend.asarray(0.05 * rng.standard_normal(x.shape).astype("float32"))
    makers = {"generator": model.generator, "encoder": model.encoder}
    batch = images(rng, model, 12), some_labels(rng, model, 12)
    order = []
    for player, value, metrics in model.turns(batch, backend.default_rng(0)):
        others = [model.critic] if player == "generator" else [*makers.values()]
        before = [weights(other) for other in others]
        value.backward()
        own = model.players[player][0].parameters()
        expected = [model.critic] if player == "critic" else [*makers.values()]
        assert {id(x) for x in own.values()} == {
            id(x) for module in expected for x in module.parameters().values()
        }
        for name, x in own.items():
            assert x.grad is not None and x.grad.dtype == "float32", name
            # what is added to the scores of data and of draws alike cancels out
            cancels = loss in ("wgan", "wgan-gp", "hinge") and name.endswith("bias")
            assert cancels or backend.to_numpy(x.grad).any(), name
        assert all(x.grad is None for other in others for x in other.parameters().values())
        Adam(own.values(), 1e-2).step()
        for x in own.values():
            x.grad = None
        for kept, other in zip(before, others, strict=True):
            assert alike(kept, other) == set(kept)
        assert metrics[player].item() == value.item() and value.dtype == "float32"
        order.append(player)
    assert order == ["critic", "critic", "generator"]
    assert Counter(order) == {name: turns for name, (_, turns) in model.players.items()}
    assert sum(len(module.parameters()) for module, _ in model.players.values()) == len(
        model.parameters()
    )


def test_each_turn_of_the_critic_has_other_data_and_the_last_turn_those_of_the_first(
    rng, monkeypatch
):
    model, seen = make(critic_steps=2, classes=3), []
    original = BiGAN.pairs

    def pairs(self, real, vectors, rng):
        seen.append((self.rounded(real), vectors))
        return original(self, real, vectors, rng)

    monkeypatch.setattr(BiGAN, "pairs", pairs)
    x, labels = images(rng, model, 9), some_labels(rng, model, 9)
    assert len(list(model.turns((x, labels), backend.default_rng(0)))) == 3
    for (data, vectors), part in zip(seen, (slice(4), slice(4, 8), slice(4)), strict=True):
        numpy.testing.assert_array_equal(*map(backend.to_numpy, (data, x[part])))
        found = backend.to_numpy(vectors).argmax(1)
        numpy.testing.assert_array_equal(found, backend.to_numpy(labels[part]))


# -------------------------------------------------------------------------------------- gradients


def check_slopes(rng, loss, parameters):
    """Compare gradients with central differences, in some places of each parameter."""
    loss().backward()
    checked = 0
    for name, x in parameters.items():
        gradient, weight = backend.to_numpy(x.grad), backend.to_numpy(x.data).copy()
        for place in rng.permutation(x.size)[:6]:
            change, values = numpy.zeros(x.size), []
            change[place] = 1e-6
            for sign in (1, -1):
                x[...] = backend.asarray(weight + sign * change.reshape(x.shape))
                values.append(loss().item())
            x[...] = backend.asarray(weight)
            slope = (values[0] - values[1]) / 2e-6
            assert abs(gradient.flat[place] - slope) < 1e-6 * max(1, abs(slope)), name
            checked += abs(slope) > 1e-4
    assert checked > 8


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("options", [NETWORKS[0], NETWORKS[2]])
def test_the_gradients_of_encoder_and_generator_are_slopes(rng, loss, options):
    model = in_float64(make(4, 3, loss=loss, classes=2, hidden=3, **options), rng)
    x, labels = model.real(images(rng, model, 5)), some_labels(rng, model, 5)
    for module in (model.encoder, model.generator):
        parameters = module.parameters()
        check_slopes(
            rng, lambda: model.generator_loss(x, backend.default_rng(1), labels), parameters
        )
        for p in model.parameters().values():
            p.grad = None


@pytest.mark.parametrize("options", [NETWORKS[0], NETWORKS[2]])
def test_the_gradient_of_the_critic_of_pairs_with_its_penalty_is_its_slope(rng, options):
    model = in_float64(make(4, 3, loss="wgan-gp", hidden=3, penalty=1.0, **options), rng)
    x = model.real(images(rng, model, 5))
    parameters = {
        name: p for name, p in model.critic.parameters().items() if name.endswith("weight")
    }
    check_slopes(rng, lambda: model.critic_loss(x, backend.default_rng(1)), parameters)


def test_the_penalty_is_on_the_slope_by_image_and_code_at_once(rng, monkeypatch):
    """Of a linear critic it is (‖w‖ − 1)², of all of w, anywhere on the line between two pairs."""
    model = in_float64(make(loss="wgan-gp", penalty=7.0), rng)
    w = backend.asarray(rng.standard_normal(6 * 5 + 3))
    seen = []

    def linear(self, pairs, vectors=None, rng=None):
        seen.append(backend.to_numpy(pairs.data if isinstance(pairs, Tensor) else pairs))
        return pairs @ w

    monkeypatch.setattr(PairCritic, "__call__", linear)
    x = model.real(images(rng, model, 4))
    found = model.critic_loss(x, backend.default_rng(0)).item()
    coded, drawn, between = seen
    host = backend.to_numpy(w)
    apart = (drawn @ host).mean() - (coded @ host).mean()
    penalty = 7 * (numpy.linalg.norm(host) - 1) ** 2
    assert found == pytest.approx(apart + penalty, rel=1e-9)
    part = (between - drawn) / (coded - drawn)
    assert numpy.ptp(part, axis=1).max() < 1e-9 and len(numpy.unique(part[:, 0].round(6))) == 4


# --------------------------------------------------------------------------------- pairs and codes


@pytest.mark.parametrize("options", NETWORKS)
def test_a_pair_is_an_image_and_its_code_or_a_code_and_its_image(rng, options):
    model = in_float64(
        make(classes=2, **(options | {"encoder": "deterministic", "norm": "none"})), rng
    )
    x, labels = model.real(images(rng, model, 4)), some_labels(rng, model, 4)
    vectors = np.eye(2)[labels]
    with no_grad():
        coded, drawn = map(backend.to_numpy, model.pairs(x, vectors, backend.default_rng(1)))
        codes = model.encoder(x, vectors)
        z = model.noise(4, backend.default_rng(1))
        made = model.generator(z, vectors)
    for pairs, image, code in ((coded, x, codes), (drawn, made, z)):
        numpy.testing.assert_array_equal(pairs[:, :30], backend.to_numpy(image).reshape(4, 30))
        numpy.testing.assert_array_equal(pairs[:, 30:], backend.to_numpy(code))
    assert coded.shape == drawn.shape == (4, 33)


@pytest.mark.parametrize("options", NETWORKS)
def test_a_score_depends_on_the_image_on_the_code_and_on_the_class(rng, options):
    model = in_float64(make(classes=2, hidden=16, **options), rng)
    x, z = model.real(images(rng, model, 1)), model.noise(1, backend.default_rng(0))
    vectors = [np.eye(2)[i : i + 1] for i in range(2)]
    with no_grad():
        found = [
            model.critic(paired(*pair), given).item()
            for pair, given in (
                ((x, z), vectors[0]),
                ((-x, z), vectors[0]),
                ((x, -z), vectors[0]),
                ((x, z), vectors[1]),
            )
        ]
        codes = [backend.to_numpy(model.encoder(x, given)) for given in vectors]
    assert len(set(found)) == 4 and (codes[0] != codes[1]).all()


def test_no_code_of_the_encoder_is_bounded_by_the_critics_spectral_normalisation():
    for network in ("dense", "conv"):
        model = make(network=network, spectral=1)
        assert not [name for name in model.encoder.values() if name.endswith("left")]
        layers = len([name for name in model.critic.parameters() if name.endswith("weight")])
        assert sum(name.endswith("left") for name in model.critic.values()) == layers == 5


def test_a_gaussian_encoder_draws_in_training_and_gives_its_mean_otherwise(rng):
    model = in_float64(make(encoder="gaussian"), rng)
    x = images(rng, model, 1)
    mean = backend.to_numpy(model.mean_code(x))[0]
    with no_grad():
        code = backend.to_numpy(model.encoder.code(model.encoder.image.features(model.real(x))))
        many = model.real(np.concatenate([x] * 20_000))
        drawn = backend.to_numpy(model.encoder(many, None, backend.default_rng(0)))
    numpy.testing.assert_array_equal(mean, code[0, :3])
    spread = numpy.exp(code[0, 3:])
    numpy.testing.assert_allclose((drawn.mean(0) - mean) / spread, 0, atol=4 / math.sqrt(20_000))
    numpy.testing.assert_allclose(drawn.std(0), spread, rtol=0.02)


@pytest.mark.parametrize("network", ["dense", "conv"])
def test_a_reconstruction_is_what_the_generator_makes_of_the_mean_code(rng, network):
    model = in_float64(make(network=network, classes=2), rng)
    x, labels = images(rng, model, 6), some_labels(rng, model, 6)
    before = model.values()
    found = backend.to_numpy(model.reconstruct(x, labels))
    z = model.mean_code(x, labels)
    made = backend.to_numpy(model.draws(z, labels))
    numpy.testing.assert_array_equal(found, numpy.round((made + 1) * 2))
    assert found.shape == (6, 6, 5, 1) and found.min() >= 0 and found.max() <= 4
    error = model.reconstruction_error(model.real(x), labels).item()
    assert error == pytest.approx(((backend.to_numpy(model.real(x)) - made) ** 2).mean())
    for name, value in model.values().items():
        numpy.testing.assert_array_equal(value, before[name])
    with pytest.raises(ValueError, match="BiGAN is class-conditional: pass context"):
        model.reconstruct(x)


@pytest.mark.parametrize("options", NETWORKS)
@pytest.mark.parametrize("height, width, layers", [(28, 28, 2), (9, 4, 2), (1, 5, 3)])
def test_images_of_any_sides_are_coded_and_made_again(rng, options, height, width, layers):
    model = make(height, width, layers=layers, colours=3, **options)
    x = images(rng, model, 2)
    assert model.mean_code(x).shape == (2, 3) and model.mean_code(x).dtype == "float32"
    assert model.reconstruct(x).shape == x.shape
    for _, value, _ in model.turns(x, backend.default_rng(0)):
        assert math.isfinite(value.item())


@pytest.mark.parametrize(
    "field, value", [("encoder", "bernoulli"), ("joint", 0), ("loss", "f"), ("latents", 0)]
)
def test_a_configuration_that_cannot_be_is_refused(field, value):
    with pytest.raises(ValueError, match=f"{field}={value}: {field} must be"):
        BiGANConfig(**{field: value})


def test_images_of_another_shape_are_refused(rng):
    model = make()
    with pytest.raises(ValueError, match=r"BiGAN: images \(2, 5, 6, 1\), expected \(N, 6, 5, 1\)"):
        model.mean_code(numpy.zeros((2, 5, 6, 1), int))


# ------------------------------------------------------------------------------------------- runs

QUICK = ("hidden=4", "joint=8", "batch_size=20", "epoch_steps=3")


@pytest.fixture
def unlabelled(tmp_path, rng):
    """A file of images without classes: judged by their pixels, with no classifier to learn."""
    parts = {"train": 50, "validation": 20, "test": 20}
    images = {name: rng.integers(0, 5, (n, 5, 6, 3)) for name, n in parts.items()}
    numpy.savez(tmp_path / "images.npz", **images)
    return str(tmp_path / "images.npz")


def train(data, out, *changes):
    task = job.Job("bigan", [*QUICK, *changes], data=data, out=out)
    return job.train(task, Console(file=io.StringIO()))


def test_a_run_records_the_error_of_reconstructions_and_leaves_its_pictures(tmp_path, unlabelled):
    folder = train(unlabelled, tmp_path / "a", "epochs=2")
    first, second, _ = map(json.loads, folder.metrics.read_text().splitlines())
    recorded = {"train_critic", "train_generator", "train_reconstruction", "validation_frechet"}
    assert recorded <= first.keys() and 0 < first["train_reconstruction"] < 4
    assert second["best_epoch"] == 2
    run = Run.open(folder.path)
    assert IMAGES.shows(run.model()) == ("reconstructions", "interpolations")
    drawn = {path.name for path in (folder.path / "samples").iterdir()}
    assert {"final.png", "reconstructions.png", "interpolations.png"} <= drawn


def test_a_run_that_goes_on_is_bit_for_bit_the_run_that_was_not_stopped(tmp_path, unlabelled):
    whole = train(unlabelled, tmp_path / "whole", "epochs=2", "encoder=gaussian", "critic_steps=2")
    train(unlabelled, tmp_path / "a", "epochs=1", "encoder=gaussian", "critic_steps=2")
    part = job.resume(tmp_path / "a", ["epochs=2"], Console(file=io.StringIO()))
    assert part.checkpoint.read_bytes() == whole.checkpoint.read_bytes()
    kept, _ = checkpoint.load(whole.checkpoint)
    assert {name.split(".")[0] for name in kept} == {"generator", "encoder", "critic"}
