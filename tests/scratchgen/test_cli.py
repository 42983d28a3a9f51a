"""The command line: what goes wrong is one line and the right exit code."""

import importlib.util
import json
import os

import pytest

from autograd import backend
from scratchgen import cli
from scratchgen.models.autoregressive.pixelcnn import PixelCNN

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
        (["train", "zzz"], "unknown model 'zzz' (there are: pixelcnn)"),
        (["tran", "pixelcnn"], "unknown command 'tran'; did you mean 'train'?"),
        ([], "COMMAND"),
        (["train"], "MODEL"),
        (train("--set", "chanels=8"), "unknown field 'chanels'; did you mean 'channels'?"),
        (train("--set", "channels=many"), "channels=many: channels is a whole number"),
        (train("--set", "channels=8.5"), "channels=8.5: channels is a whole number"),
        (train("--set", "dropout=much"), "dropout=much: dropout is a number"),
        (train("--set", "channels"), "write field=value, such as --set channels=1"),
        (train("--set", "channels=7"), "channels=7: channels must be even"),
        (train("--set", "dropout=nan"), "dropout=nan: dropout must be from 0 to below 1"),
        (train("--set", "learning_rate=inf"), "learning_rate=inf: learning_rate must be above 0"),
        (train("--set", "levels=16"), "the images of digits have levels 17"),
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


def test_ctrl_c_is_one_line_and_exit_code_130(scratchgen, tmp_path, monkeypatch):
    def interrupted(self, batch, rng):
        raise KeyboardInterrupt

    monkeypatch.setattr(PixelCNN, "loss", interrupted)
    code, _, err = scratchgen(*train("--out", "here"))
    assert code == 130 and err.count("\n") == 1
    assert "interrupted at step 0" in err and "here/checkpoint.safetensors" in err
    assert (tmp_path / "here" / "checkpoint.safetensors").exists()


def test_a_failure_is_one_line_and_with_debug_the_traceback(scratchgen, monkeypatch):
    def failing(self, batch, rng):
        raise ValueError("one\ntwo")

    monkeypatch.setattr(PixelCNN, "loss", failing)
    code, _, err = scratchgen(*train("--out", "a"))
    assert (code, err) == (1, "scratchgen: one two (--debug shows where)\n")
    with pytest.raises(ValueError, match="one\ntwo"):
        scratchgen(*train("--out", "b", "--debug"))


@pytest.mark.parametrize("argv", [["--help"], ["train", "--help"], ["--version"]])
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
