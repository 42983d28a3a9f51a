"""The command that plays the game f = x y: what it measures, what it draws, what it refuses."""

import math
import re

import numpy
import pytest
from matplotlib.image import imread

from scratchgen import cli
from scratchgen.training import plots


@pytest.fixture
def game(tmp_path, monkeypatch, capsys):
    """Runs the command in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)

    def run(*argv):
        code = cli.main(["game", *argv])
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


@pytest.fixture
def figures(monkeypatch):
    """The figures that were drawn."""
    drawn, save = [], plots.save
    monkeypatch.setattr(
        plots, "save", lambda figure, path: (drawn.append(figure), save(figure, path))
    )
    return drawn


def numbers(line):
    """The three growths that the line tells: measured, exact, and of steps in turns."""
    found = re.fullmatch(
        r"steps of both at once lead (\S+) times as far away, √\(1 \+ η²\)\^\d+ = (\S+); "
        r"steps in turns (\S+) times at most",
        line,
    )
    return [float(number) for number in found.groups()]


@pytest.mark.parametrize("steps, rate", [(1, 0.5), (60, 0.2), (40, 1.5)])
def test_the_measured_growth_is_the_exact_one(game, steps, rate):
    code, out, err = game("--steps", str(steps), "--learning-rate", str(rate))
    assert (code, err) == (0, "")
    line, path = out.splitlines()
    measured, exact, around = numbers(line)
    assert exact == pytest.approx((1 + rate**2) ** (steps / 2), rel=1e-5)
    assert measured == pytest.approx(exact, rel=1e-5)
    assert around <= math.sqrt((2 + rate) / (2 - rate)) * (1 + 1e-5)
    assert path == "game.png"


def test_both_ways_and_their_distances_are_drawn_over_the_closed_form(game, figures, tmp_path):
    assert game("--steps", "30", "--learning-rate", "0.3", "--out", "b.png")[0] == 0
    assert imread(tmp_path / "b.png").shape[:2] == (440, 1260)
    simultaneous, alternating, distance = figures[0].axes
    assert [axes.get_title() for axes in (simultaneous, alternating)] == [
        "simultaneous",
        "alternating",
    ]
    x, y = simultaneous.lines[0].get_data()
    assert (x[1], y[1]) == (1.0, 0.3), "both move from (1, 0)"
    x, y = alternating.lines[0].get_data()
    numpy.testing.assert_allclose((x[2], y[2]), (0.91, 0.3 + 0.3 * 0.91))
    outwards, around, exact = (line.get_ydata() for line in distance.lines)
    assert distance.lines[2].get_label() == "√(1 + η²)ᵗ, η = 0.3"
    numpy.testing.assert_allclose(exact, 1.09 ** (numpy.arange(31) / 2))
    numpy.testing.assert_allclose(outwards, exact)
    numpy.testing.assert_allclose(around, numpy.hypot(x, y))


def test_learning_rates_from_2_on_lead_away_in_turns_too(game):
    _, out, _ = game("--steps", "20", "--learning-rate", "2.5")
    measured, exact, around = numbers(out.splitlines()[0])
    assert measured == pytest.approx(exact, rel=1e-5) and around > exact


@pytest.mark.parametrize(
    "argv, message",
    [
        (["--steps", "0"], "--steps 0: at least 1"),
        (["--steps", "100001"], "--steps 100001: at most 100000"),
        (["--steps", "many"], "argument --steps: invalid int value: 'many'"),
        (["--learning-rate", "0"], "--learning-rate 0: above 0"),
        (["--learning-rate", "-0.1"], "--learning-rate -0.1: above 0"),
        (["--learning-rate", "nan"], "--learning-rate nan: above 0"),
        (["--learning-rate", "inf"], "--learning-rate inf: above 0"),
        (["--learning-rate", "1e300"], "--steps 60: of 1e+300 they lead more than 1e+100 times"),
        (
            ["--learning-rate", "9", "--steps", "200"],
            "--steps 200: of 9 they lead more than 1e+100 times",
        ),
        (  # those in turns alone, of both at once 8e89 times
            ["--learning-rate", "10", "--steps", "90"],
            "--steps 90: of 10 they lead more than 1e+100 times",
        ),
        (["--out", "a.jpg"], "--out a.jpg: what is drawn is a .png file; name it a.png"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(game, tmp_path, argv, message):
    code, out, err = game(*argv)
    assert (code, out) == (2, "") and err.count("\n") == 1
    assert err.startswith(f"scratchgen: {message}")
    assert list(tmp_path.iterdir()) == []


def test_steps_too_small_to_lead_anywhere_are_no_error(game):
    _, out, _ = game("--steps", "3", "--learning-rate", "1e-9")
    assert numbers(out.splitlines()[0]) == pytest.approx([1, 1, 1])


def test_a_picture_that_cannot_be_written_is_one_line(game):
    code, _, err = game("--steps", "2", "--out", "missing/a.png")
    assert (
        code == 1 and err == "scratchgen: cannot write missing/a.png: No such file or directory\n"
    )
