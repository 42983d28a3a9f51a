"""Points: densities in the plane and files of one's own, from data to picture."""

import io
import json
import math

import numpy
import pytest
import scipy.stats
from matplotlib.image import imread
from rich.console import Console

from autograd import backend
from scratchgen import cli
from scratchgen.data import points, toys
from scratchgen.errors import RunError, UsageError
from scratchgen.training import Run, job, plots
from scratchgen.training.media.points import POINTS, _gaussian_nats

QUICK = ("steps=3", "hidden=8")


def train(out, *changes, data=None, model="maf-2d"):
    output = io.StringIO()
    task = job.Job(model, [*QUICK, *changes], data=data, out=out, command="the command")
    return job.train(task, Console(file=output, width=200)), output.getvalue()


@pytest.mark.parametrize("name", toys.TOYS)
def test_a_known_density_comes_with_its_entropy_and_always_the_same_points(name):
    data, again = points.load(name), points.load(name)
    assert data.entropy == toys.TOYS[name].entropy and data.dimensions == 2
    for part, size in points.SIZES.items():
        assert data.part(part).shape == (size, 2)
        numpy.testing.assert_array_equal(data.part(part), again.part(part))
    log_p = backend.to_numpy(toys.TOYS[name].log_prob(backend.asarray(data.test)))
    assert abs(-log_p.mean() - data.entropy) <= 4 * log_p.std() / math.sqrt(len(log_p)) + 1e-9
    assert not numpy.isin(data.test[:, 0], data.train[:, 0]).any()


@pytest.mark.parametrize("name", ["spirals", "eight-gaussians"])
def test_the_labels_of_a_density_are_parts_of_equal_weight_and_turn_into_each_other(name):
    toy, data = toys.TOYS[name], points.load(name)
    counts = numpy.bincount(data.labels["train"], minlength=toy.classes)
    assert len(counts) == toy.classes and scipy.stats.chisquare(counts).pvalue > 0.001
    turn = math.tau / toy.classes
    matrix = numpy.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    turned = backend.to_numpy(toy.label(backend.asarray(data.test @ matrix)))
    numpy.testing.assert_array_equal(turned, (data.labels["test"] + 1) % toy.classes)


def test_the_labels_of_the_grid_are_parts_of_equal_weight():
    counts = numpy.bincount(points.load("grid").labels["train"])
    assert len(counts) == 25 and scipy.stats.chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize("name", ["checkerboard", "ring"])
def test_a_density_without_parts_has_no_labels(name):
    assert points.load(name).labels is None
    with pytest.raises(TypeError, match="has no parts"):
        toys.TOYS[name].label(None)


def test_a_file_of_points_is_split_by_five_with_its_labels(tmp_path):
    x, labels = numpy.arange(30.0).reshape(10, 3), numpy.arange(10) % 3
    numpy.savez(tmp_path / "a.npz", points=x, labels=labels)
    data = points.load(str(tmp_path / "a.npz"))
    numpy.testing.assert_array_equal(data.test, x[[4, 9]])
    numpy.testing.assert_array_equal(data.validation, x[[3, 8]])
    numpy.testing.assert_array_equal(data.labels["test"], labels[[4, 9]])
    assert len(data.train) == 6 and data.entropy is None and data.dimensions == 3


def test_a_file_with_three_parts_keeps_them(tmp_path):
    parts = {name: numpy.full((2 + i, 2), i) for i, name in enumerate(("train", "valid", "test"))}
    numpy.savez(tmp_path / "a.npz", **parts)
    data = points.load(str(tmp_path / "a.npz"))
    assert (len(data.train), len(data.validation), len(data.test)) == (2, 3, 4)
    assert data.validation.dtype == "float64" and (data.validation == 1).all()


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"points": numpy.ones(5)}, r"'points' is float64 of shape \(5,\); expected numbers"),
        ({"points": numpy.ones((5, 0))}, "neither of them 0"),
        ({"points": numpy.full((5, 2), "a")}, "expected numbers"),
        ({"points": numpy.full((5, 2), numpy.nan)}, "10 values that are no numbers below 1e.15"),
        ({"points": numpy.ones((4, 2))}, "4 points; at least 5"),
        ({"points": numpy.ones((5, 2)), "labels": numpy.ones(5)}, "'labels' is float64"),
        ({"train": numpy.ones((5, 2)), "test": numpy.ones((5, 2))}, "no array 'valid'"),
        ({"other": numpy.ones((5, 2))}, "no array 'train', but other"),
        ({"points": numpy.full((5, 2), 1e200)}, "10 values that are no numbers"),
        ({"points": numpy.ones((5, 2)), "labels": numpy.arange(-1, 4)}, "has the label -1"),
        ({"train": numpy.ones((5, 2)), "labels": numpy.ones(5, int)}, "of which points"),
        (
            {"train": numpy.ones((5, 2)), "valid": numpy.ones((5, 3)), "test": numpy.ones((5, 2))},
            r"have points of \[2, 3, 2\] dimensions",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_one_clear_line(tmp_path, arrays, message):
    numpy.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(RunError, match=message):
        points.load(str(tmp_path / "a.npz"))


def test_a_misspelt_density_and_a_missing_file_are_named(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'spirals'"):
        points.load("spiral")
    with pytest.raises(RunError, match="no such file"):
        points.load(str(tmp_path / "a.npz"))
    (tmp_path / "a.txt").write_text("1 2")
    with pytest.raises(UsageError, match=r"expected an \.npz file of points, or checkerboard"):
        points.load(str(tmp_path / "a.txt"))


def test_one_gaussian_is_fitted_to_the_training_part(rng):
    train, test = rng.standard_normal((50, 3)) * [1, 2, 3], rng.standard_normal((40, 3))
    normal = scipy.stats.multivariate_normal(train.mean(0), numpy.cov(train.T, bias=True))
    assert math.isclose(_gaussian_nats(train, test), -normal.logpdf(test).mean())


def test_a_run_leaves_its_figures_and_pictures(tmp_path):
    folder, output = train(tmp_path / "a", data="eight-gaussians")
    assert "to compare: the density itself 2.5" in output and "one Gaussian 4." in output
    assert "nats per point" in output and "(20,000 points" in output
    drawn = {path.name for path in (tmp_path / "a" / "samples").iterdir()}
    assert drawn == {"final.png", "density.png", "layers.png"}
    for name in drawn:
        assert imread(tmp_path / "a" / "samples" / name).shape[0] >= 500
    run = Run.open(folder.path)
    assert run.description["medium"].keys() == {"low", "high"}
    *_, test = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    data = run.data()
    nats, n = POINTS.nats(run.model(), data, "test")
    assert n == 20_000 and math.isclose(nats.mean(), test["test_nats"], rel_tol=1e-6)


def test_a_model_conditioned_on_the_parts_of_a_density_is_given_their_labels(tmp_path):
    train(tmp_path / "a", "classes=8", data="eight-gaussians")
    assert [path.name for path in (tmp_path / "a" / "samples").iterdir()] == ["final.png"]
    assert cli.main(["sample", str(tmp_path / "a"), "--label", "3", "-n", "50"]) == 0
    with pytest.raises(UsageError, match="classes=3: eight-gaussians has 8 classes"):
        train(tmp_path / "b", "classes=3", data="eight-gaussians")
    with pytest.raises(UsageError, match="the points of ring have no labels"):
        train(tmp_path / "b", "classes=3", data="ring")


def test_points_of_more_dimensions_are_trained_on_and_their_first_two_drawn(tmp_path, rng):
    numpy.savez(tmp_path / "a.npz", points=rng.standard_normal((100, 3)))
    folder, output = train(tmp_path / "a", data=str(tmp_path / "a.npz"))
    assert Run.open(folder.path).config.dimensions == 3
    assert "to compare: one Gaussian" in output
    assert [path.name for path in (tmp_path / "a" / "samples").iterdir()] == ["final.png"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--set", "levels=2"], "levels=2: points are real numbers"),
        (["--data", "digits"], "unknown data set 'digits'"),
        (["--set", "dimensions=3"], "dimensions=3: the points of checkerboard have 2"),
    ],
)
def test_what_points_do_not_have_is_refused(argv, message, capsys, tmp_path):
    assert cli.main(["train", "maf-2d", *argv, "--out", str(tmp_path / "a")]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "points",
    [numpy.ones((20, 2)), numpy.stack([numpy.arange(20.0), numpy.ones(20)], 1), numpy.eye(5, 4)],
)
def test_points_without_a_gaussian_density_are_trained_on_all_the_same(tmp_path, points):
    numpy.savez(tmp_path / "a.npz", points=points)
    folder, output = train(tmp_path / "a", data=str(tmp_path / "a.npz"))
    assert "to compare" not in output and folder.report.exists()


def test_single_numbers_are_drawn_as_a_histogram(tmp_path, rng):
    numpy.savez(tmp_path / "a.npz", points=10 + rng.standard_normal((200, 1)))
    train(tmp_path / "a", data=str(tmp_path / "a.npz"))
    picture = imread(tmp_path / "a" / "samples" / "final.png")[..., :3]
    assert (picture.max(-1) < 0.2).mean() > 0.02, "there is something black in it"


def test_the_density_is_drawn_the_right_way_round_with_its_sum(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "save", lambda figure, path: figures.append(figure))
    plots.density(tmp_path / "a.png", lambda x: (x[:, 0] > 0.5) * (x[:, 1] > 0), -1, 1)
    axes = figures[0].axes[0]
    values = axes.images[0].get_array()
    assert axes.images[0].origin == "lower", "the first row is at the bottom"
    assert values[150, 175] == 1 and values[175, 125] == 0 == values[25, 175]
    assert axes.get_title().endswith("is 0.500")


def test_a_picture_that_there_is_not_is_refused_with_those_there_are(tmp_path, capsys):
    train(tmp_path / "a")
    assert cli.main(["sample", str(tmp_path / "a"), "--show", "density"]) == 0
    assert cli.main(["sample", str(tmp_path / "a"), "--show", "plane"]) == 2
    assert "(there are: density, layers)" in capsys.readouterr().err
