"""The animated picture of training: a frame for each epoch, the same however often interrupted."""

import base64
import contextlib
import io
import os
import signal

import numpy
import pytest
from matplotlib.image import imread
from PIL import Image, ImageSequence
from rich.console import Console

from autograd import backend
from autograd.backend.whole import whole as in_each_step
from scratchgen.errors import Interrupted, RunError
from scratchgen.judging import classifier
from scratchgen.models.adversarial.game import Game
from scratchgen.training import Run, animation, checkpoint, job
from scratchgen.training.animation import MOST, Animation
from scratchgen.training.media import images, points
from scratchgen.training.media.images import IMAGES
from scratchgen.training.media.points import POINTS
from scratchgen.training.pictures import grid
from scratchgen.training.run_folder import RunFolder

TINY = ("hidden=4", "layers=1", "epoch_steps=2", "batch_size=8", "average=0.5", "schedule=constant")


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Judge a few draws only, images by a classifier that has learnt next to nothing."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(classifier, "STEPS", 2)
        for module in (images, points):
            patched.setattr(module, "JUDGED", 20)
        yield


@pytest.fixture(scope="module", params=["gan", "gan-2d"])
def whole(request, tmp_path_factory):
    """A model, and a run of it that nothing interrupted."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    return request.param, train(path, "epochs=3", model=request.param)[0]


def train(out, *changes, model="gan"):
    output = io.StringIO()
    fields = ("network=dense", *TINY) if model == "gan" else TINY
    folder = job.train(job.Job(model, [*fields, *changes], out=out), Console(file=output))
    return folder, output.getvalue()


def resume(path, *changes):
    job.resume(path, changes, Console(file=io.StringIO()))


def shown(path):
    """The frames of an animated picture, and how many milliseconds each is seen."""
    with Image.open(path) as picture:
        frames = [
            (numpy.asarray(frame.convert("RGB")), frame.info.get("duration"))
            for frame in ImageSequence.Iterator(picture)
        ]
    return [x for x, _ in frames], [duration for _, duration in frames]


def moving(folder):
    return folder.sample("training.png")


def levels(number):
    """Draws all of one level, and so unlike those of another."""
    return numpy.full((2, 3), number)


def painted(draws):
    return numpy.full((4, 5, 3), draws[0, 0], "uint8")


def animated(path, epochs):
    made = Animation(path, painted)
    for epoch in epochs:
        made.add(epoch, levels(epoch))
    made.write()
    return made


# ---------------------------------------------------------------------------------------- frames


def test_the_frames_are_the_pictures_of_the_epochs_in_their_order_the_last_one_seen_longest(
    tmp_path,
):
    animated(tmp_path / "a.png", range(1, 13))
    frames, durations = shown(tmp_path / "a.png")
    assert [int(x[0, 0, 0]) for x in frames] == list(range(1, 13))
    assert durations == [animation.FRAME] * 11 + [animation.LAST]
    assert all((x == x[0, 0, 0]).all() and x.shape == (4, 5, 3) for x in frames)


def test_of_a_long_training_epochs_evenly_spaced_and_the_latest_are_shown(tmp_path):
    short = animated(tmp_path / "a.png", range(1, MOST + 1))
    assert list(short.draws) == list(range(1, MOST + 1))
    longer = animated(tmp_path / "b.png", range(1, MOST + 2))
    assert list(longer.draws) == list(range(1, MOST + 2, 2))
    even = animated(tmp_path / "c.png", range(1, MOST + 3))
    assert list(even.draws) == [*range(1, MOST + 2, 2), MOST + 2]
    longest = animated(tmp_path / "d.png", range(1, 5 * MOST))
    assert list(longest.draws) == [*range(1, 5 * MOST, 8), 5 * MOST - 1]
    assert len(shown(tmp_path / "d.png")[0]) == len(longest.draws) <= MOST + 1


@pytest.mark.parametrize("stop", [1, 5, MOST, MOST + 1, 2 * MOST + 2])
def test_the_file_does_not_tell_where_training_was_interrupted(tmp_path, stop):
    last = 2 * MOST + 7
    animated(tmp_path / "whole.png", range(1, last))
    first = animated(tmp_path / "a.png", range(1, stop + 1))
    second = Animation(tmp_path / "a.png", painted)
    second.load_state(first.state())
    for epoch in range(stop, last):  # the last epoch again, if its state was not saved
        second.add(epoch, levels(epoch))
        second.write()
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "whole.png").read_bytes()


def test_an_epoch_that_is_added_again_is_another_frame(tmp_path):
    made = animated(tmp_path / "a.png", [1, 2])
    made.add(2, levels(7))
    made.write()
    assert [int(x[0, 0, 0]) for x in shown(tmp_path / "a.png")[0]] == [1, 7]


def test_nothing_is_written_where_there_is_nothing_to_show(tmp_path):
    animated(tmp_path / "a.png", [])
    assert list(tmp_path.iterdir()) == []


def test_the_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    made = animated(tmp_path / "a.png", [1, 2])
    before = (tmp_path / "a.png").read_bytes()
    made.add(3, levels(3))

    def full(self, file, *more, **options):
        file.write_bytes(before[:50])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(RunError, match=r"cannot write .*a\.png: No space left on device"):
        made.write()
    assert (tmp_path / "a.png").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


# ------------------------------------------------------------------------------------------ runs


@pytest.mark.parametrize("model, changes", [("gan", ["classes=10"]), ("gan", []), ("gan-2d", [])])
def test_the_last_frame_is_the_picture_of_samples(tmp_path, model, changes):
    """The same noise, the same averaged weights, and of a conditional model each class in turn."""
    folder, output = train(tmp_path / "a", "epochs=3", *changes, model=model)
    frames, _ = shown(moving(folder))
    assert len(frames) == 3 and (frames[0] != frames[1]).any()
    final = imread(folder.sample("final.png"))[..., :3]
    assert (frames[-1] == numpy.rint(final * 255)).all()
    assert f"training: {moving(folder)}" in output.splitlines()


def test_each_frame_is_drawn_with_the_averaged_weights_of_its_epoch(tmp_path):
    one, _ = train(tmp_path / "a", "epochs=1")
    two, _ = train(tmp_path / "b", "epochs=2")
    frames, _ = shown(moving(two))
    x = Run.open(one.path).model().sample(64, backend.default_rng(0))
    assert (frames[0] == grid(backend.to_numpy(x), 17)).all()


def test_the_noise_is_that_of_the_runs_seed(tmp_path):
    folder, _ = train(tmp_path / "a", "epochs=1")
    run = Run.open(folder.path)
    model, data = run.model(), run.data()
    zero, again, one = (IMAGES.in_training(model, data, seed) for seed in (0, 0, 1))
    assert (zero == again).all() and (zero != one).any()


def test_draws_are_kept_in_the_smallest_type_that_holds_their_levels(tmp_path):
    folder, _ = train(tmp_path / "a", "epochs=1")
    arrays, _ = checkpoint.load(folder.state)
    assert arrays["animation.1"].dtype == "uint8"
    assert arrays["animation.1"].shape == (64, 8, 8, 1)


def test_points_of_a_conditional_model_are_in_the_colours_of_their_classes(tmp_path):
    folder, _ = train(tmp_path / "a", "epochs=1", "classes=8", model="gan-2d")
    (frame,), _ = shown(moving(folder))
    inside = frame[60:-60, 60:-60].reshape(-1, 3).astype(int)
    assert (numpy.ptp(inside, axis=1) > 50).any()


def test_the_report_shows_it(tmp_path):
    folder, _ = train(tmp_path / "a", "epochs=2")
    page = folder.report.read_text(encoding="utf-8")
    assert base64.b64encode(moving(folder).read_bytes()).decode() in page


def test_of_a_model_with_a_likelihood_there_is_none(tmp_path):
    task = job.Job("made", ["epochs=1", "epoch_steps=2"], out=tmp_path / "a")
    folder = job.train(task, Console(file=io.StringIO()))
    assert not moving(folder).exists()
    run = Run.open(folder.path)
    assert IMAGES.in_training(run.model(), run.data(), 0) is None
    flow = Run.open(job.train(job.Job("nice-2d", ["steps=1"], out=tmp_path / "b"), quiet()).path)
    assert POINTS.in_training(flow.model(), flow.data(), 0) is None


def quiet():
    return Console(file=io.StringIO())


# -------------------------------------------------------------------------------- interruptions


@pytest.mark.parametrize("step", [1, 3, 6])
def test_a_run_that_was_interrupted_ends_with_the_same_file_byte_for_byte(
    whole, tmp_path, monkeypatch, step
):
    model, uninterrupted = whole
    loss, count = Game.generator_loss, iter(range(1, 1000))

    @in_each_step
    def stop():
        if next(count) == step:
            os.kill(os.getpid(), signal.SIGINT)

    def stopping(self, *more):
        stop()
        return loss(self, *more)

    with monkeypatch.context() as patched:
        patched.setattr(Game, "generator_loss", stopping)
        with pytest.raises(Interrupted, match=f"at step {step} of 6"):
            train(tmp_path / "a", "epochs=3", model=model)
    path = moving(RunFolder(tmp_path / "a"))
    assert path.exists() == (step >= 2)
    assert step < 2 or len(shown(path)[0]) == step // 2
    resume(tmp_path / "a")
    assert path.read_bytes() == moving(uninterrupted).read_bytes()


class Killed(BaseException):
    """The process ends here; nothing catches this."""


@pytest.mark.parametrize("call", [4, 5, 6, 8])
def test_a_run_killed_while_it_writes_a_file_ends_with_the_same_picture(
    whole, tmp_path, monkeypatch, call
):
    """After the first ones, which there are before any picture: checkpoint, picture, state."""
    model, uninterrupted = whole
    sync, count = os.fsync, iter(range(1, 1000))

    def killed(descriptor):
        if next(count) == call:
            os.ftruncate(descriptor, 30)
            raise Killed
        sync(descriptor)

    path = tmp_path / "a"
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", killed)
        patched.setattr(type(path), "unlink", lambda *args, **kwargs: None)  # .part is left behind
        with contextlib.suppress(Killed):
            train(path, "epochs=3", model=model)
    picture = moving(RunFolder(path))
    if picture.exists():
        shown(picture)
    if (path / "config.json").exists():
        resume(path)
    else:
        train(path, "epochs=3", model=model)
    assert picture.read_bytes() == moving(uninterrupted).read_bytes()


@pytest.mark.parametrize("length", ["epochs=1", "steps=3"])
def test_a_finished_run_that_is_trained_longer_goes_on_with_its_frames(whole, tmp_path, length):
    """After three steps the second epoch is half done; its frame is made again."""
    model, uninterrupted = whole
    short, _ = train(tmp_path / "a", length, model=model)
    resume(short.path, "epochs=3", "steps=0")
    assert moving(short).read_bytes() == moving(uninterrupted).read_bytes()
    assert len(shown(moving(short))[0]) == 3
