"""Pictures of what a model's codes stand for."""

import io

import numpy
import pytest
from matplotlib.image import imread
from rich.console import Console

import autograd.numpy as np
from autograd import backend
from scratchgen import cli
from scratchgen.errors import UsageError
from scratchgen.training import Run, job
from scratchgen.training.media import codes
from scratchgen.training.media.images import IMAGES
from scratchgen.training.media.medium import Request
from scratchgen.training.pictures import grid


def train(out, model, *changes):
    task = job.Job(model, ["steps=2", *changes], out=out)
    return Run.open(job.train(task, Console(file=io.StringIO())).path)


def test_a_run_leaves_a_picture_of_each_kind_that_the_model_has(tmp_path):
    train(tmp_path / "a", "vae", "latents=2", "hidden=8")
    names = {"final", "reconstructions", "interpolations", "traversals", "plane"}
    assert {path.stem for path in (tmp_path / "a" / "samples").iterdir()} == names
    three = train(tmp_path / "b", "vae", "latents=3", "hidden=8")
    assert "plane" not in IMAGES.shows(three.model())


def test_an_autoregressive_model_has_samples_only(tmp_path, capsys):
    run = train(tmp_path / "a", "pixelcnn", "channels=4", "blocks=1")
    assert IMAGES.shows(run.model()) == ()
    assert [path.name for path in (tmp_path / "a" / "samples").iterdir()] == ["final.png"]
    assert cli.main(["sample", str(run.folder.path), "--show", "plane"]) == 2
    assert "--show plane: of this model there are samples only" in capsys.readouterr().err


def test_a_model_without_pixels_in_order_completes_no_images(tmp_path):
    run = train(tmp_path / "a", "vae", "hidden=8")
    with pytest.raises(UsageError, match="only an autoregressive model completes images"):
        IMAGES.draw(tmp_path / "b.png", run, Request(given="test"))


def test_reconstructions_stand_beside_their_originals(tmp_path):
    run = train(tmp_path / "a", "vae", "hidden=8")
    IMAGES.draw(tmp_path / "b.png", run, Request(n=4, show="reconstructions"))
    model, x = run.model(), run.data().test[:4]
    again = backend.to_numpy(model.reconstruct(backend.asarray(x)))
    pairs = numpy.stack([x, again], 1).reshape(-1, 8, 8, 1)
    found = numpy.rint(imread(tmp_path / "b.png")[..., :3] * 255)
    numpy.testing.assert_array_equal(found, grid(pairs, 17, columns=8))


@pytest.mark.parametrize("name, changes", [("vae", ["hidden=8"]), ("realnvp", ["hidden=4"])])
def test_an_interpolation_begins_and_ends_with_what_the_two_codes_stand_for(
    tmp_path, name, changes
):
    run = train(tmp_path / "a", name, *changes)
    IMAGES.draw(tmp_path / "b.png", run, Request(n=1, show="interpolations"))
    model, x = run.model(), backend.asarray(run.data().test)
    (first,), (second,) = codes.pairs(None, len(x), 1)
    ends = backend.to_numpy(model.mean(model.mean_code(x[[first, second]])))
    found = numpy.rint(imread(tmp_path / "b.png")[..., :3] * 255)
    row = grid(numpy.concatenate([ends[:1], *[ends[:1]] * (codes.STEPS - 2), ends[1:]]), 17, 10)
    width = 8 * 8 + 16  # an image and the space before it
    for part in (slice(0, width), slice(-width, None)):
        assert numpy.abs(found[:, part] - row[:, part]).max() <= 16  # a level, by rounding
    if name == "realnvp":
        assert (ends == backend.to_numpy(x[[first, second]])).mean() > 0.95, "it is invertible"


def test_the_pictures_of_a_class_conditional_model_keep_to_a_class(tmp_path):
    labels = numpy.array([0, 1, 1, 0, 2, 1])
    first, second = codes.pairs(labels, 6, 3)
    numpy.testing.assert_array_equal(labels[first], [0, 1, 2])
    numpy.testing.assert_array_equal(labels[second], [0, 1, 2])
    assert (first == second).tolist() == [False, False, True], "of class 2 there is only one image"
    train(tmp_path / "a", "cvae", "hidden=8", "latents=2")
    drawn = {path.stem for path in (tmp_path / "a" / "samples").iterdir()}
    assert drawn == {"final", "reconstructions", "interpolations", "traversals", "plane"}


@pytest.mark.parametrize("count", [1, 4, 12])
@pytest.mark.parametrize("labelled", [False, True])
def test_a_run_on_few_images_ends_with_its_pictures_and_report(tmp_path, rng, count, labelled):
    labels = {"labels": numpy.arange(5 * count) % 3} if labelled else {}
    numpy.savez(tmp_path / "few.npz", images=rng.integers(0, 4, (5 * count, 4, 4)), **labels)
    changes = ["steps=1", "hidden=4", "latents=2", *(["classes=3"] if labelled else [])]
    task = job.Job("vae", changes, data=str(tmp_path / "few.npz"), out=tmp_path / "a")
    folder = job.train(task, Console(file=io.StringIO()))
    assert folder.report.exists() and folder.sample("interpolations.png").exists()


class Linear:
    """A code is the mean of an image and its label; an image is 3 times its code's first number."""

    pictures = ("reconstructions", "interpolations", "traversals")

    class config:  # noqa: N801
        latents, classes = 2, 10

    def mean_code(self, x, labels):
        return np.stack([np.mean(x * 1.0, axis=(1, 2, 3)), labels * 1.0], -1)

    def mean(self, z, labels):
        assert (backend.to_numpy(labels) == backend.to_numpy(z[:, 1])).all() or self.moved
        return np.broadcast_to(3 * z[:, 0, None, None, None], (len(z), 2, 2, 1))

    moved = False


@pytest.fixture
def linear(monkeypatch):
    """What is drawn of that model, for three images of each of two classes."""
    x = numpy.zeros((6, 2, 2, 1), int) + numpy.array([0, 1, 2, 3, 4, 5])[:, None, None, None]

    class Data:
        test, levels, labels = x, 17, {"test": numpy.array([0, 0, 0, 1, 1, 1])}

    class run:  # noqa: N801
        config = Linear.config

        @staticmethod
        def data():
            return Data

    drawn = []
    monkeypatch.setattr(codes, "save_grid", lambda path, images, *_, **__: drawn.append(images))

    def draw(name, n, moved=False):
        model = Linear()
        model.moved = moved
        codes.draw(None, run, model, name, n)
        return drawn.pop()[:, 0, 0, 0]

    return draw


def test_interpolations_go_along_the_line_in_equal_steps(linear):
    for row in linear("interpolations", 2).reshape(2, codes.STEPS):
        numpy.testing.assert_allclose(numpy.diff(row), (row[-1] - row[0]) / (codes.STEPS - 1))
        assert row[0] != row[-1]


def test_traversals_go_over_the_range_of_the_codes_the_most_varied_first(linear):
    most, label = linear("traversals", 2, moved=True).reshape(2, codes.STEPS)
    numpy.testing.assert_allclose(most, numpy.linspace(0, 15, codes.STEPS))
    numpy.testing.assert_allclose(label, 0)  # of the first image: the label does not change it


def test_factors_are_categories_over_other_noise_and_codes_one_at_a_time(tmp_path, rng):
    """In a row of each grid there is one category, and in a column all else is the same."""
    numpy.savez(tmp_path / "few.npz", images=rng.integers(0, 4, (20, 5, 6)))
    changes = ["steps=1", "hidden=4", "latents=3", "categories=4", "codes=2"]
    task = job.Job("infogan", changes, data=str(tmp_path / "few.npz"), out=tmp_path / "a")
    run = Run.open(job.train(task, Console(quiet=True)).path)
    names = {path.stem for path in (tmp_path / "a" / "samples").iterdir()}
    assert {"final", "factors"} <= names and IMAGES.shows(run.model()) == ("factors",)
    first, *others = codes.factors(run.model(), 5).values()
    assert first.shape == (4, 5, 3 + 4 + 2) and first.dtype == "float32" and len(others) == 2
    for noise in (first, *others):
        numpy.testing.assert_array_equal(noise[..., 3:7], numpy.eye(4)[:, None].repeat(5, 1))
        rest = noise[..., [0, 1, 2, 7, 8]]
        assert (rest == rest[:1]).all()
    assert len(numpy.unique(first[0, :, :3], axis=0)) == 5
    for number, noise in enumerate(others):
        assert (noise[..., :3] == first[0, 0, :3]).all()
        numpy.testing.assert_allclose(noise[0, :, 7 + number], numpy.linspace(-1, 1, 5))
        assert not noise[..., 8 - number].any()
