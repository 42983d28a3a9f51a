"""Pictures of what a model's codes stand for."""

import io

import numpy
import pytest
from matplotlib.image import imread
from rich.console import Console

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
    run = train(tmp_path / "a", "vae", "latents=2", "hidden=8")
    names = {"final", "reconstructions", "interpolations", "traversals", "plane"}
    assert {path.stem for path in (tmp_path / "a" / "samples").iterdir()} == names
    assert codes.shows(run.model()) == IMAGES.shows(run.model()) and len(names) == 5
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
    assert (labels[first] == labels[second]).all() and (first != second).all()
    assert sorted(labels[first]) == [0, 1], "of class 2 there is only one image"
    run = train(tmp_path / "a", "cvae", "hidden=8", "latents=2")
    drawn = {path.stem for path in (tmp_path / "a" / "samples").iterdir()}
    assert drawn == {"final", "reconstructions", "interpolations", "traversals", "plane"}
    assert run.config.classes == 10
