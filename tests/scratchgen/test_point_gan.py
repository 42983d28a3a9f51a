"""The GAN of points: two players trained in turns, from a step to a run folder."""

import io
import itertools
import json
import os
import signal

import numpy
import pytest
from matplotlib.image import imread
from rich.console import Console

from autograd import backend
from autograd.backend.whole import whole as in_each_step
from scratchgen import cli
from scratchgen.config import override
from scratchgen.data import points, toys
from scratchgen.errors import Interrupted, RunError, UsageError
from scratchgen.judging.scores import modes_found, wasserstein_distance
from scratchgen.models.adversarial.losses import LOSSES
from scratchgen.models.adversarial.points import PointGAN, PointGANConfig
from scratchgen.training import Run, checkpoint, job
from scratchgen.training.run_folder import RunFolder
from tests.scratchgen.exact import randomised

SHIFTED = ("wgan", "wgan-gp", "hinge")
"""Losses that stay the same when a number is added to all scores; hinge, if these are small."""

QUICK = ("hidden=8", "layers=2", "batch_size=20")


def model(**fields):
    return PointGAN(PointGANConfig(hidden=8, layers=2, **fields), backend.default_rng(0))


def some(n, dtype="float32", seed=1):
    return backend.default_rng(seed).standard_normal((n, 2)).astype(dtype)


def train(out, *changes, data=None):
    output = io.StringIO()
    task = job.Job("gan-2d", [*QUICK, *changes], data=data, out=out, command="the command")
    return job.train(task, Console(file=output, width=200)), output.getvalue()


def weights(module):
    return {name: backend.to_numpy(x.data).copy() for name, x in module.parameters().items()}


def same(a, b):
    return all((a[name] == b[name]).all() for name in a)


# ---------------------------------------------------------------------------------------- model


def test_noise_becomes_points_and_points_scores():
    gan = model(latents=3)
    x = gan.sample(5, backend.default_rng(0))
    assert x.shape == (5, 2) and x.dtype == "float32"
    scores = gan.critic(x, None, None)
    assert scores.shape == (5,) and scores.dtype == "float32"
    assert len(numpy.unique(backend.to_numpy(x)[:, 0])) == 5
    cold = backend.to_numpy(gan.sample(5, backend.default_rng(0), temperature=0.0))
    assert (cold == cold[0]).all()


def test_both_players_are_told_the_class():
    gan = randomised(model(classes=3))
    z = gan.noise(4, backend.default_rng(0))
    first, second = (backend.to_numpy(gan.draws(z, label)) for label in (0, 1))
    assert (first != second).all()
    vectors = [backend.asarray(numpy.eye(3)[[label] * 4]) for label in (0, 1)]
    x = some(4, "float64")
    scores = [backend.to_numpy(gan.critic(x, v).data) for v in vectors]
    assert (scores[0] != scores[1]).all()
    with pytest.raises(ValueError, match="class-conditional: pass context"):
        gan.sample(4, backend.default_rng(0))


def test_points_of_another_number_of_dimensions_are_refused():
    with pytest.raises(ValueError, match=r"PointGAN: points \(6, 3\), expected \(N, 2\)"):
        next(model(critic_steps=1).turns(some(9).reshape(6, 3), backend.default_rng(0)))


@pytest.mark.parametrize(
    "change, message",
    [
        ("loss=wasserstein", "loss must be saturating or nonsaturating or lsgan or wgan or"),
        ("critic_steps=0", "critic_steps must be at least 1"),
        ("latents=0", "latents must be at least 1"),
        ("weight_clip=0", "weight_clip must be above 0"),
        ("penalty=-1", "penalty must be at least 0"),
        ("dimensions=0", "dimensions must be at least 1"),
        ("classes=-1", "classes must be at least 1, or 0 for none"),
        ("hidden=0", "hidden must be at least 1"),
        ("layers=0", "layers must be at least 1"),
    ],
)
def test_a_configuration_that_makes_no_sense_is_refused(change, message):
    with pytest.raises(UsageError, match=message):
        override([PointGANConfig()], [change])


# ---------------------------------------------------------------------------------------- turns


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("classes", [0, 3])
def test_a_turn_has_gradients_for_all_of_its_player_and_none_of_the_other(loss, classes):
    gan = randomised(model(loss=loss, classes=classes, critic_steps=1), spread=0.2)
    labels = backend.asarray(numpy.arange(60) % 3) if classes else None
    batch = some(60, "float64") if labels is None else (some(60, "float64"), labels)
    for player, value, metrics in gan.turns(batch, backend.default_rng(0)):
        value.backward()
        assert metrics[player].item() == value.item()
        for name, (module, _) in gan.players.items():
            for path, x in module.parameters().items():
                if name != player:
                    assert x.grad is None, (player, name, path)
                elif (name, path) != ("critic", "output.bias") or loss not in SHIFTED:
                    assert backend.to_numpy(x.grad).any(), (player, path)
                x.grad = None


@pytest.mark.parametrize("loss", LOSSES)
def test_losses_and_gradients_are_in_the_type_of_the_model(loss):
    gan = model(loss=loss, critic_steps=1)
    for player, value, _ in gan.turns(some(8), backend.default_rng(0)):
        value.backward()
        assert value.dtype == "float32"
        module, _ = gan.players[player]
        assert all(x.grad.dtype == "float32" for x in module.parameters().values())


def test_a_batch_too_small_for_all_turns_of_the_critic_has_fewer_of_them():
    gan = model(critic_steps=3)
    found = [(name, value.item()) for name, value, _ in gan.turns(some(2), backend.default_rng(0))]
    assert [name for name, _ in found] == ["critic", "critic", "generator"]
    assert numpy.isfinite([value for _, value in found]).all()


def watched(monkeypatch):
    """What happens in training: for each loss, whose it is, of what data and with what weights."""
    seen, critic_loss, generator_loss = [], PointGAN.critic_loss, PointGAN.generator_loss

    @in_each_step
    def note(player, gan, data):
        data = None if data is None else backend.to_numpy(data).copy()
        seen.append((player, data, weights(gan.critic), weights(gan.generator)))

    def of_critic(self, real, *more):
        note("critic", self, real)
        return critic_loss(self, real, *more)

    def of_generator(self, *more):
        note("generator", self, None)
        return generator_loss(self, *more)

    monkeypatch.setattr(PointGAN, "critic_loss", of_critic)
    monkeypatch.setattr(PointGAN, "generator_loss", of_generator)
    return seen


def test_the_trainer_gives_the_critic_k_turns_a_step_with_other_data_each(tmp_path, monkeypatch):
    seen = watched(monkeypatch)
    train(tmp_path / "a", "steps=3", "critic_steps=4")
    assert [player for player, *_ in seen] == [*["critic"] * 4, "generator"] * 3
    data = [x for player, x, *_ in seen if player == "critic"]
    assert {x.shape for x in data} == {(20, 2)}
    assert len(numpy.unique(numpy.concatenate(data), axis=0)) == 240
    for (player, _, *before), (_, _, *after) in itertools.pairwise(seen):
        stayed = [same(*pair) for pair in zip(before, after, strict=True)]
        assert stayed == ([False, True] if player == "critic" else [True, False])


def test_with_the_loss_wgan_the_critics_weights_are_within_their_bounds_after_each_turn(
    tmp_path, monkeypatch
):
    seen = watched(monkeypatch)
    folder, _ = train(tmp_path / "a", "steps=4", "loss=wgan", "weight_clip=0.05")
    for player, _, critic, generator in seen[1:]:  # at first they are as they were made
        largest = max(numpy.abs(x).max() for x in critic.values())
        assert largest == numpy.float32(0.05), player
        assert max(numpy.abs(x).max() for x in generator.values()) > 0.05
    kept, _ = checkpoint.load(folder.checkpoint)
    critic = [x for name, x in kept.items() if name.startswith("critic")]
    largest = max(numpy.abs(x).max() for x in critic)  # of an average of what was within them
    assert 0.03 < largest <= 0.05 * (1 + 1e-6)


# ----------------------------------------------------------------------------------------- runs


def lines(folder):
    return [json.loads(line) for line in folder.metrics.read_text().splitlines()]


def test_a_run_records_the_losses_of_both_players_and_leaves_its_pictures(tmp_path):
    folder, _ = train(tmp_path / "a", "epochs=2", "epoch_steps=3")
    first, second, _ = lines(folder)
    assert {"train_critic", "train_generator", "validation_wasserstein"} <= first.keys()
    assert second["best_epoch"] == 2
    drawn = {path.name for path in (folder.path / "samples").iterdir()}
    assert {"final.png", "critic.png"} <= drawn and "density.png" not in drawn
    for name in ("final.png", "critic.png"):
        assert imread(folder.path / "samples" / name).shape[0] >= 500


def test_the_critic_can_be_looked_at_in_the_plane_only(tmp_path, rng, capsys):
    train(tmp_path / "a", "steps=1", "classes=8")
    assert not (tmp_path / "a" / "samples" / "critic.png").exists()
    numpy.savez(tmp_path / "a.npz", points=rng.standard_normal((100, 3)))
    train(tmp_path / "b", "steps=1", data=str(tmp_path / "a.npz"))
    assert cli.main(["sample", str(tmp_path / "b"), "--show", "critic"]) == 2
    assert "samples only" in capsys.readouterr().err


def state_of(path):
    arrays, metadata = checkpoint.load(path / "state.safetensors")
    del metadata["seconds"]
    return {name: x.tobytes() for name, x in arrays.items()}, metadata


def test_a_run_that_was_stopped_goes_on_bit_for_bit_with_both_players(tmp_path, monkeypatch):
    changes = ("epochs=2", "epoch_steps=4", "critic_steps=2", "average=0.9", "warmup=3")
    whole, _ = train(tmp_path / "whole", *changes)
    generator_loss, count = PointGAN.generator_loss, iter(range(1, 1000))

    @in_each_step
    def stop():
        if next(count) == 6:
            os.kill(os.getpid(), signal.SIGINT)

    def stopping(self, *more):
        stop()
        return generator_loss(self, *more)

    with monkeypatch.context() as patched:
        patched.setattr(PointGAN, "generator_loss", stopping)
        with pytest.raises(Interrupted, match="at step 6 of 8"):
            train(tmp_path / "a", *changes)
    job.resume(tmp_path / "a", [], Console(file=io.StringIO()))
    arrays, metadata = state_of(tmp_path / "a")
    assert (arrays, metadata) == state_of(whole.path)
    for player in ("critic", "generator"):
        for kept in ("optimiser.sums", "optimiser.squares", "average.sum"):
            assert any(name.startswith(f"{player}.{kept}") for name in arrays), (player, kept)
    assert RunFolder(tmp_path / "a").checkpoint.read_bytes() == whole.checkpoint.read_bytes()


def test_the_weights_that_are_kept_are_the_averages_of_both_players(tmp_path):
    folder, _ = train(tmp_path / "a", "steps=6", "average=0.9")
    kept, _ = checkpoint.load(folder.checkpoint)
    last, _ = checkpoint.load(folder.state)
    for name, x in kept.items():
        if name != "critic.output.bias":  # which does not change
            assert (x != last[f"weights.{name}"]).any(), name


def test_a_run_that_diverges_says_so_in_one_line(tmp_path):
    with pytest.raises(
        RunError, match=r"the critic became \S+ by step \d+.*learning_rate=2.5e\+29"
    ) as error:
        train(tmp_path / "a", "learning_rate=1e30", "steps=10")
    assert "\n" not in str(error.value)
    arrays, metadata = checkpoint.load(tmp_path / "a" / "state.safetensors")
    assert metadata["step"] == 0 and all(numpy.isfinite(x).all() for x in arrays.values())


def test_a_run_that_diverges_later_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    good, _ = train(tmp_path / "good", "epochs=1", "epoch_steps=4")
    critic_loss, count = PointGAN.critic_loss, iter(range(1000))

    @in_each_step
    def factor():
        return backend.asarray(numpy.inf if next(count) >= 5 * 3 else 1.0, "float32")

    def spoilt(self, *more):
        return critic_loss(self, *more) * factor()

    monkeypatch.setattr(PointGAN, "critic_loss", spoilt)
    with pytest.raises(RunError, match="the critic became"):
        train(tmp_path / "a", "epochs=2", "epoch_steps=4", "schedule=constant")
    kept, metadata = checkpoint.load(tmp_path / "a" / "checkpoint.safetensors")
    assert metadata["step"] == 4 and all(numpy.isfinite(x).all() for x in kept.values())
    assert kept.keys() == checkpoint.load(good.checkpoint)[0].keys()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_the_default_run_finds_all_eight_modes_of_the_ring(tmp_path, seed):
    task = job.Job("gan-2d", [], seed=seed, out=tmp_path / "a")
    folder = job.train(task, Console(file=io.StringIO()))
    toy = toys.find("eight-gaussians")
    x = backend.to_numpy(Run.open(folder.path).model().sample(2500, backend.default_rng(0)))
    found = modes_found(x, backend.to_numpy(toy.centres), toy.sigma)
    counts = numpy.bincount(backend.to_numpy(toy.label(backend.asarray(x))), minlength=8)
    assert found.found == 8 and found.share > 0.8 and counts.min() > 2500 / 8 / 2


def test_a_few_steps_bring_the_draws_nearer_to_the_data(tmp_path):
    folder, _ = train(
        tmp_path / "a", "epochs=2", "epoch_steps=60", "hidden=32", "batch_size=64", "average=0"
    )
    real = points.load("eight-gaussians").validation[:512]
    untrained = PointGAN(PointGANConfig(hidden=32), backend.default_rng(0))
    at_first = backend.to_numpy(untrained.sample(512, backend.default_rng(0)))
    *_, last, _ = lines(folder)
    assert last["validation_wasserstein"] < 0.75 * wasserstein_distance(real, at_first)
