"""The command line: what goes wrong is one line and the right exit code."""

import importlib.util
import json
import os
import signal

import numpy
import pytest
from matplotlib.image import imread

from autograd import backend
from scratchgen import cli
from scratchgen.config import fields
from scratchgen.models.autoregressive.pixelcnn import PixelCNN
from scratchgen.training import presets

SMALL = ["--set", "channels=8", "--set", "blocks=1", "--set", "first_size=3"]


@pytest.fixture
def scratchgen(tmp_path, monkeypatch, capsys):
    """Runs the command in an empty folder: (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "environ", dict(os.environ))  # the command sets the number of threads

    def run(*argv):
        code = cli.main(list(argv))
        output = capsys.readouterr()
        return code, output.out, output.err

    return run


def train(*argv):
    return ["train", "pixelcnn", "--backend", backend.current(), *SMALL, *argv]


def test_training_leaves_a_run_folder_and_says_where(scratchgen, tmp_path):
    code, out, err = scratchgen(*train("--steps", "3", "--seed", "4"))
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "run folder: runs/pixelcnn-1"
    config = json.loads((tmp_path / "runs" / "pixelcnn-1" / "config.json").read_text())
    assert config["command"].startswith("scratchgen train pixelcnn --backend")
    assert config["seed"] == 4 and config["training"]["steps"] == 3


def test_the_run_folder_can_be_chosen_but_not_written_over(scratchgen, tmp_path):
    assert scratchgen(*train("--steps", "1", "--out", "here"))[0] == 0
    assert (tmp_path / "here" / "samples" / "final.png").exists()
    code, _, err = scratchgen(*train("--steps", "1", "--out", "here"))
    assert code == 1 and "here holds a run already" in err


@pytest.mark.parametrize(
    "argv, message",
    [
        (["train", "pixlecnn"], "unknown model 'pixlecnn'; did you mean 'pixelcnn'?"),
        (["train", "zzz"], "unknown model 'zzz' (there are: pixelcnn"),
        (["tran", "pixelcnn"], "unknown command 'tran'; did you mean 'train'?"),
        ([], "COMMAND"),
        (["train"], "which MODEL?"),
        (train("--dtype", "float16"), "unknown dtype 'float16'"),
        (train("--data", "digit"), "unknown data set 'digit'; did you mean 'digits'?"),
        (
            ["train", "--resume", "a", "--seed", "1"],
            "--resume goes on with the settings in a; leave",
        ),
        (["train", "pixelcnn", "--resume", "a"], "leave out a MODEL"),
        (["models", "pixelcn"], "unknown model 'pixelcn'; did you mean 'pixelcnn'?"),
        (["data", "--download", "mnits"], "did you mean 'mnist'?"),
        (["sample", "a", "-n", "0"], "-n 0: at least 1"),
        (["sample", "a", "--temperature", "0"], "--temperature 0.0: above 0"),
        (["sample", "a", "--known", "top"], "--known: which images? Add --given test"),
        (["sample", "a", "--given", "test", "--known", "up"], "unknown half 'up'"),
        (["sample", "a", "--length", "0"], "--length 0.0: above 0"),
        (["evaluate", "a", "--backend", "cuda"], "unknown backend 'cuda'"),
        (train("--set", "chanels=8"), "unknown field 'chanels'; did you mean 'channels'?"),
        (train("--set", "channels=many"), "channels=many: channels is a whole number"),
        (train("--set", "channels=8.5"), "channels=8.5: channels is a whole number"),
        (train("--set", "dropout=much"), "dropout=much: dropout is a number"),
        (train("--set", "channels"), "write field=value, such as --set channels=1"),
        (train("--set", "channels=7"), "channels=7: channels must be even"),
        (train("--set", "dropout=nan"), "dropout=nan: dropout must be from 0 to below 1"),
        (train("--set", "learning_rate=inf"), "learning_rate=inf: learning_rate must be above 0"),
        (train("--set", "levels=18"), "levels=18: digits can have 2 to 17 levels"),
        (train("--set", "height=9"), "height=9: the images of digits have height 8"),
        (train("--epochs", "0"), "--epochs 0: at least 1"),
        (train("--steps", "-3"), "--steps -3: at least 1"),
        (train("--epochs", "1", "--steps", "1"), "not allowed with"),
        (train("--epochs", "few"), "invalid int value: 'few'"),
        (train("--seed", "-1"), "--seed -1: a seed is 0 or more"),
        (train("--threads", "0"), "--threads 0: at least 1"),
        (train("--epoch", "3"), "unknown argument '--epoch'; did you mean '--epochs'?"),
        (["train", "pixelcnn", "--backend", "cuda"], "unknown backend 'cuda'"),
    ],
)
def test_what_does_not_exist_or_makes_no_sense_is_one_line_and_exit_code_2(
    scratchgen, tmp_path, argv, message
):
    code, out, err = scratchgen(*argv)
    assert code == 2 and out == ""
    assert err.startswith("scratchgen: ") and err.count("\n") == 1 and message in err
    assert not list(tmp_path.iterdir()), "nothing was left behind"


def test_a_folder_that_cannot_be_written_is_one_line_and_exit_code_1(scratchgen, tmp_path):
    (tmp_path / "file").touch()
    code, _, err = scratchgen(*train("--out", "file/run"))
    assert code == 1 and err.count("\n") == 1
    assert "cannot write to the folder file/run: Not a directory" in err
    (tmp_path / "runs").touch()
    code, _, err = scratchgen(*train())
    assert code == 1 and err.count("\n") == 1 and "cannot write to the folder runs" in err


@pytest.mark.skipif(importlib.util.find_spec("cupy") is not None, reason="CuPy is installed")
def test_cupy_without_cupy_is_one_line_and_exit_code_1(scratchgen, tmp_path):
    code, _, err = scratchgen("train", "pixelcnn", "--backend", "cupy")
    assert code == 1 and err.count("\n") == 1 and "CuPy is not installed" in err
    assert not list(tmp_path.iterdir())


def test_ctrl_c_is_one_line_and_exit_code_130_and_says_how_to_go_on(scratchgen, monkeypatch):
    loss = PixelCNN.loss

    def interrupted(self, batch, rng, step):
        os.kill(os.getpid(), signal.SIGINT)
        return loss(self, batch, rng)

    with monkeypatch.context() as patched:
        patched.setattr(PixelCNN, "loss", interrupted)
        code, _, err = scratchgen(*train("--out", "here", "--steps", "3"))
    assert code == 130 and err.count("\n") == 1 and "interrupted at step 1 of 3" in err
    words = err.split("go on with: scratchgen ")[1].split()
    code, out, _ = scratchgen(*words, "--backend", backend.current())
    assert code == 0 and out.splitlines()[-1] == "run folder: here"


def test_a_failure_is_one_line_and_with_debug_the_traceback(scratchgen, monkeypatch):
    def failing(self, batch, rng, step):
        raise ValueError("one\ntwo")

    monkeypatch.setattr(PixelCNN, "loss", failing)
    code, _, err = scratchgen(*train("--out", "a"))
    assert (code, err) == (1, "scratchgen: one two (--debug shows where)\n")
    with pytest.raises(ValueError, match="one\ntwo"):
        scratchgen(*train("--out", "b", "--debug"))


@pytest.mark.parametrize(
    "argv", [["--help"], ["--version"], *([command, "--help"] for command in cli.COMMANDS)]
)
def test_help_is_on_standard_output_with_exit_code_0(scratchgen, argv, capsys):
    with pytest.raises(SystemExit) as stopped:
        scratchgen(*argv)
    assert stopped.value.code == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize("argv, threads", [([], "1"), (["--threads", "2"], "2")])
def test_one_thread_is_used_unless_more_are_asked_for(scratchgen, monkeypatch, argv, threads):
    monkeypatch.delitem(os.environ, "OPENBLAS_NUM_THREADS", raising=False)
    scratchgen(*train("--steps", "1", *argv))
    assert os.environ["OPENBLAS_NUM_THREADS"] == threads


def test_threads_that_the_environment_asks_for_are_kept(scratchgen, monkeypatch):
    monkeypatch.setitem(os.environ, "OPENBLAS_NUM_THREADS", "3")
    scratchgen(*train("--steps", "1"))
    assert os.environ["OPENBLAS_NUM_THREADS"] == "3"


def test_the_backend_is_the_one_before_when_the_command_ends(scratchgen):
    before = backend.current()
    scratchgen("train", "pixelcnn", "--backend", "strict", *SMALL, "--steps", "1")
    assert backend.current() == before


@pytest.fixture
def a_run(scratchgen):
    """A small run in the folder "run"."""
    assert scratchgen(*train("--steps", "2", "--out", "run"))[0] == 0
    return "run"


def with_backend(*argv):
    return [*argv, "--backend", backend.current()]


def test_sample_writes_a_picture_that_the_seed_decides(scratchgen, tmp_path, a_run):
    for seed, name in ("0", "a.png"), ("0", "b.png"), ("1", "c.png"):
        argv = ["sample", a_run, "-n", "4", "--seed", seed, "-o", name]
        assert scratchgen(*with_backend(*argv)) == (0, f"{name}\n", "")
    a, b, c = ((tmp_path / name).read_bytes() for name in ("a.png", "b.png", "c.png"))
    assert a == b != c


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("-o", "b.jpg"), "-o b.jpg: what is drawn is a .png file; name it b.png"),
        (("--prompt", "def"), "--prompt means nothing for a model of images"),
        (("--length", "3"), "--length means nothing for a model of images"),
    ],
)
def test_sample_refuses_what_is_not_for_images(scratchgen, a_run, options, message):
    code, out, err = scratchgen("sample", a_run, *options)
    assert code == 2 and out == "" and message in err


def test_sample_completes_images_beside_the_originals(scratchgen, tmp_path, a_run):
    argv = ["sample", a_run, "-n", "2", "--given", "test", "--known", "left"]
    assert scratchgen(*with_backend(*argv))[0] == 0
    picture = imread(tmp_path / a_run / "sample.png")[..., :3]
    assert picture.shape == (2 * 80 + 16, 3 * 80 + 16, 3)
    original, hidden, completed = (picture[16:80, x : x + 64] for x in (16, 96, 176))
    numpy.testing.assert_array_equal(completed[:, :32], original[:, :32])
    numpy.testing.assert_array_equal(hidden[:, :32], original[:, :32])
    assert not (hidden[:, 32:] == original[:, 32:]).all()


def test_evaluate_prints_the_figures_that_training_ended_with(scratchgen, tmp_path, a_run):
    code, out, err = scratchgen(*with_backend("evaluate", a_run, "--json"))
    figures = json.loads(out)
    assert (code, err) == (0, "") and figures["split"] == "test" and figures["n"] == 359
    last = json.loads((tmp_path / a_run / "metrics.jsonl").read_text().splitlines()[-1])
    assert figures["nll_nats"] == last["test_nats"]
    assert figures["nll_nats_standard_error"] == last["test_nats_standard_error"]
    code, out, _ = scratchgen(*with_backend("evaluate", a_run, "--split", "validation"))
    assert code == 0 and out.startswith("validation: ") and "nats per image" in out


def test_a_part_that_does_not_exist_is_one_line(scratchgen, a_run):
    code, _, err = scratchgen(*with_backend("evaluate", a_run, "--split", "tets"))
    assert code == 2 and "did you mean 'test'?" in err and err.count("\n") == 1


def test_a_folder_that_holds_no_run_is_one_line(scratchgen):
    for command in (
        ["sample", "nowhere"],
        ["evaluate", "nowhere"],
        ["train", "--resume", "nowhere"],
    ):
        code, _, err = scratchgen(*with_backend(*command))
        assert code == 1 and err.count("\n") == 1
        assert "nowhere is not the folder of a run: there is no such folder" in err


def test_models_lists_every_field_with_its_meaning_and_the_paper(scratchgen):
    code, out, _ = scratchgen("models")
    assert code == 0 and all(name in out for name in presets.PRESETS)
    for name, preset in presets.PRESETS.items():
        code, out, _ = scratchgen("models", name)
        assert code == 0 and "Source: " in out
        assert all(field.name in out and field.meaning for field in fields(preset.config))


def test_data_lists_what_there_is_and_its_licence(scratchgen):
    code, out, _ = scratchgen("data")
    assert code == 0 and "digits" in out and "CC BY 4.0" in out and "fashion-mnist" in out


def test_data_of_the_users_own_are_trained_on(scratchgen, tmp_path):
    images = numpy.random.default_rng(0).integers(0, 3, (40, 5, 6))
    numpy.savez(tmp_path / "own.npz", images=images)
    code, _, err = scratchgen(*train("--data", "own.npz", "--steps", "2", "--out", "run"))
    assert (code, err) == (0, "")
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert [config[name] for name in ("height", "width", "levels")] == [5, 6, 3]
    assert scratchgen(*with_backend("evaluate", "run"))[0] == 0


def test_images_that_cannot_be_drawn_are_refused_before_training(scratchgen, tmp_path):
    images = numpy.random.default_rng(0).integers(0, 3, (40, 3, 6, 5))  # colours first
    numpy.savez(tmp_path / "own.npz", images=images)
    code, _, err = scratchgen(*train("--data", "own.npz", "--steps", "2", "--out", "run"))
    assert code == 1 and err.count("\n") == 1 and not (tmp_path / "run").exists()
    assert "own.npz: images of 3 x 6 x 5: " in err and "move the axis of colours to the end" in err


def test_levels_decides_how_the_data_are_quantised(scratchgen, tmp_path):
    assert scratchgen(*train("--set", "levels=2", "--steps", "2", "--out", "run"))[0] == 0
    assert scratchgen(*with_backend("evaluate", "run"))[0] == 0
