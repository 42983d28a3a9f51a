"""The training job: what it leaves behind, and that it is the same every time."""

import contextlib
import dataclasses
import io
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy
import pytest
import safetensors.numpy
import scipy.stats
from matplotlib.image import imread
from rich.console import Console

from autograd import backend
from autograd.backend import threads
from autograd.backend.whole import whole as in_each_step
from scratchgen.config import override
from scratchgen.data import digits
from scratchgen.errors import Interrupted, RunError, UsageError
from scratchgen.models.autoregressive.gatedpixelcnn import GatedPixelCNNConfig
from scratchgen.models.autoregressive.pixelcnn import PixelCNN, PixelCNNConfig
from scratchgen.optim import cosine
from scratchgen.training import Run, checkpoint, job, presets, trainer
from scratchgen.training.evaluation import evaluate
from scratchgen.training.media.images import IMAGES, nats_each
from scratchgen.training.media.medium import Request
from scratchgen.training.optimisation import Optimisation
from scratchgen.training.pictures import save_grid
from scratchgen.training.progress import validation_of
from scratchgen.training.run_folder import RunFolder
from scratchgen.training.settings import TrainingSettings

SMALL = ("channels=8", "blocks=1", "first_size=3")


def train(out, *changes, seed=0):
    output = io.StringIO()
    task = job.Job("pixelcnn", [*SMALL, *changes], seed=seed, out=out, command="the command")
    folder = job.train(task, Console(file=output, width=100))
    return folder, output.getvalue()


def lines(folder):
    return [json.loads(line) for line in (folder.path / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return train(tmp_path_factory.mktemp("runs") / "a", "epochs=2")


def test_the_same_seed_gives_the_same_weights_and_samples_bit_for_bit(run, tmp_path):
    again, _ = train(tmp_path / "b", "epochs=2")
    for name in ("checkpoint.safetensors", "samples/final.png"):
        assert (again.path / name).read_bytes() == (run[0].path / name).read_bytes()


def test_another_seed_gives_other_weights(run, tmp_path):
    other, _ = train(tmp_path / "b", "epochs=2", seed=1)
    assert other.checkpoint.read_bytes() != run[0].checkpoint.read_bytes()


def test_the_run_folder_tells_what_was_run(run):
    config = json.loads((run[0].path / "config.json").read_text())
    assert config["command"] == "the command" and config["seed"] == 0
    assert config["config"]["channels"] == 8 and config["training"]["epochs"] == 2
    assert config["backend"] == backend.current()


def test_there_is_a_line_of_metrics_for_each_epoch_and_one_for_the_test(run):
    first, second, test = lines(run[0])
    assert (first["step"], second["step"]) == (17, 34)
    assert second["validation_nats"] < first["validation_nats"] < 181
    assert math.isclose(test["test_bits_per_dimension"], test["test_nats"] / 64 / math.log(2))


def test_the_checkpoint_holds_the_best_weights_and_the_test_figure_is_theirs(run):
    folder, _ = run
    _, metadata = checkpoint.load(folder.checkpoint)
    model = Run.open(folder.path).model()
    records = lines(folder)
    best = min(records[:-1], key=lambda record: record["validation_nats"])
    assert metadata["epoch"] == best["epoch"]
    data = digits.load()
    assert nats_each(model, data.validation).mean() == pytest.approx(
        best["validation_nats"], rel=1e-6
    )
    assert nats_each(model, data.test).mean() == pytest.approx(records[-1]["test_nats"], rel=1e-6)


def test_the_output_ends_with_the_test_figure_and_the_picture(run):
    folder, output = run
    epoch1, epoch2, test, compare, samples, report, where = output.splitlines()
    assert epoch1.startswith("epoch 1/2: train ") and epoch2.startswith("epoch 2/2: train ")
    assert test.startswith(f"test: {lines(folder)[-1]['test_nats']:.2f} ± ")
    assert report == f"report: {folder.path / 'report.html'}"
    assert compare == "to compare: independent pixels 106.94, uniform 181.33 nats per image"
    assert samples == f"samples: {folder.path / 'samples' / 'final.png'}"
    assert where == f"run folder: {folder.path}"
    assert imread(folder.path / "samples" / "final.png").shape[:2] == (8 * 80 + 16, 8 * 80 + 16)


def test_the_best_weights_are_kept_when_later_ones_are_worse(tmp_path, monkeypatch):
    figures = iter([90.0, 80.0, 85.0])
    monkeypatch.setattr(type(IMAGES), "validate", lambda *_: ("nats", next(figures)))
    three, _ = train(tmp_path / "three", "epochs=3")
    figures = iter([90.0, 80.0])
    two, output = train(tmp_path / "two", "epochs=2")
    assert three.checkpoint.read_bytes() == two.checkpoint.read_bytes()
    assert lines(three)[-1] == lines(two)[-1], "the test figure is of the best weights"
    assert "weights of epoch 2" in output
    assert [record["best_epoch"] for record in lines(three)[:-1]] == [1, 2, 2]


def test_patience_ends_a_run_that_does_not_get_better_and_resuming_it_changes_nothing(
    tmp_path, monkeypatch
):
    figures = iter([90.0, 80.0, 85.0, 80.0, 81.0])
    monkeypatch.setattr(type(IMAGES), "validate", lambda *_: ("nats", next(figures)))
    folder, output = train(tmp_path / "a", "epochs=9", "patience=2")
    assert [record["epoch"] for record in lines(folder)] == [1, 2, 3, 4, 2]
    assert "weights of epoch 2" in output
    before = folder.checkpoint.read_bytes()
    resume(folder.path)
    assert folder.checkpoint.read_bytes() == before and next(figures) == 81.0


def test_an_epoch_can_be_a_number_of_steps(tmp_path):
    folder, _ = train(tmp_path / "a", "epochs=3", "epoch_steps=7")
    assert [record.get("step") for record in lines(folder)] == [7, 14, 21, None]
    whole, _ = train(tmp_path / "b", "steps=21")
    assert lines(whole)[-2]["validation_nats"] == lines(folder)[-2]["validation_nats"]


def test_an_optimiser_begins_anew_where_the_model_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(PixelCNN, "begins_anew", lambda self, step: step == 3, raising=False)
    folder, _ = train(tmp_path / "a", "steps=5", "schedule=cosine")
    arrays, _ = folder.load_state()
    assert arrays["optimiser.steps"] == 2 and arrays["steps"] == 5
    monkeypatch.delattr(PixelCNN, "begins_anew")
    other, _ = train(tmp_path / "b", "steps=5", "schedule=cosine")
    assert other.load_state()[0]["optimiser.steps"] == 5
    assert other.checkpoint.read_bytes() != folder.checkpoint.read_bytes()


def test_a_schedule_goes_on_where_an_optimiser_begins_anew():
    model = PixelCNN(override([PixelCNNConfig()], SMALL)[0], backend.default_rng(0))
    settings = TrainingSettings(epochs=1, learning_rate=0.5, schedule="cosine")
    optimisation = Optimisation(model, settings, 10)
    for _ in range(3):
        optimisation.step()
    optimisation.restart()
    optimisation.step()
    assert optimisation.optimiser.steps == 1
    assert optimisation.optimiser.learning_rate == 0.5 * cosine(3, 10)


def test_a_run_whose_metrics_were_lost_goes_on(tmp_path):
    folder, _ = train(tmp_path / "a", "epochs=1")
    (folder.path / "metrics.jsonl").unlink()
    job.resume(folder.path, ["epochs=2"], Console(file=io.StringIO()))
    assert [record["epoch"] for record in lines(folder)] == [2, 2]


def test_steps_stop_in_the_middle_of_an_epoch_and_still_validate(tmp_path):
    folder, _ = train(tmp_path / "a", "steps=20")
    assert [record.get("step") for record in lines(folder)] == [17, 20, None]


def at_step(step, monkeypatch, act):
    """Have ``act`` called within the model's loss at that step, replayed or not."""
    loss, count = PixelCNN.loss, iter(range(1, 1000))

    @in_each_step
    def acting():
        if next(count) == step:
            act()

    def loss_and_act(self, batch, rng, number):
        acting()
        return loss(self, batch, rng, number)

    monkeypatch.setattr(PixelCNN, "loss", loss_and_act)


def press_ctrl_c():
    os.kill(os.getpid(), signal.SIGINT)


def resume(path, *changes):
    output = io.StringIO()
    job.resume(path, changes, Console(file=output, width=100))
    return output.getvalue()


def files(path):
    """What must be the same however often a run was interrupted: weights, pictures, figures."""
    names = ("checkpoint.safetensors", "samples/final.png")
    figures = [
        {k: x for k, x in record.items() if "second" not in k} for record in lines(RunFolder(path))
    ]
    arrays, state = checkpoint.load(path / "state.safetensors")
    del state["seconds"]
    weights = {name: x.tobytes() for name, x in arrays.items()}
    return [(path / name).read_bytes() for name in names], figures, state, weights


@pytest.mark.parametrize("step", [1, 5, 17, 20, 34])
def test_a_run_stopped_by_ctrl_c_resumes_to_the_same_weights_bit_for_bit(
    run, tmp_path, monkeypatch, step
):
    with monkeypatch.context() as patched:
        at_step(step, patched, press_ctrl_c)
        with pytest.raises(Interrupted, match=f"at step {step} of 34 .* train --resume {tmp_path}"):
            train(tmp_path / "a", "epochs=2")
    resume(tmp_path / "a")
    assert files(tmp_path / "a") == files(run[0].path)


class Killed(BaseException):
    """The process ends here; nothing catches this."""


@pytest.mark.parametrize("call", range(1, 14))
def test_a_run_killed_while_it_writes_a_file_resumes_to_the_same_weights_bit_for_bit(
    run, tmp_path, monkeypatch, call
):
    """The config, then the state, then for each epoch the checkpoint and the state."""
    sync, count = os.fsync, iter(range(1, 1000))

    def killed(descriptor):
        if next(count) == call:
            os.ftruncate(descriptor, 100)
            raise Killed
        sync(descriptor)

    path = tmp_path / "a"
    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", killed)
        patched.setattr(type(path), "unlink", lambda *args, **kwargs: None)  # .part is left behind
        with contextlib.suppress(Killed):
            train(path, "epochs=2")
    for file in path.glob("*.safetensors"):
        checkpoint.load(file)
    if (path / "config.json").exists():
        resume(path)
    else:
        train(path, "epochs=2")
    assert files(path) == files(run[0].path)


@pytest.mark.slow
def test_a_run_killed_twenty_times_at_any_moment_ends_with_the_same_weights(tmp_path):
    """kill -9 a random time after it went on, again and again; the end is as if nothing was."""
    fields = [word for change in SMALL for word in ("--set", change)]
    command = [sys.executable, "-m", "scratchgen", "train"]
    begin = [*command, "pixelcnn", *fields, "--epochs", "60", "--out"]
    subprocess.run([*begin, tmp_path / "whole"], check=True, stdout=subprocess.DEVNULL)
    rng, path = numpy.random.default_rng(0), tmp_path / "killed"
    for _ in range(20):
        going = [*command, "--resume", path] if (path / "config.json").exists() else [*begin, path]
        before = progress(path)
        process = subprocess.Popen(going, stdout=subprocess.DEVNULL)
        while progress(path) == before:
            assert process.poll() is None
            time.sleep(0.002)
        time.sleep(rng.uniform(0, 0.06))
        assert process.poll() is None, "killed before its end"
        process.kill()
        process.wait()
        for file in path.glob("*.safetensors"):
            checkpoint.load(file)
    subprocess.run([*command, "--resume", path], check=True, stdout=subprocess.DEVNULL)
    assert files(path) == files(tmp_path / "whole")


def progress(path):
    """Something that is another whenever the run has gone on."""
    return [file.stat().st_mtime_ns for file in sorted(path.glob("metrics.jsonl"))]


def test_every_part_of_the_optimisation_is_resumed_bit_for_bit(tmp_path, monkeypatch):
    changes = [
        "epochs=2",
        "optimiser=adamax",
        "schedule=cosine",
        "warmup=4",
        "clip=5",
        "average=0.9",
    ]
    train(tmp_path / "whole", *changes)
    with monkeypatch.context() as patched:
        at_step(20, patched, press_ctrl_c)
        with pytest.raises(Interrupted):
            train(tmp_path / "a", *changes)
    resume(tmp_path / "a")
    assert files(tmp_path / "a") == files(tmp_path / "whole")


def test_the_averaged_weights_are_those_validated_and_kept(tmp_path):
    folder, _ = train(tmp_path / "a", "epochs=1", "average=0.9")
    best, _ = checkpoint.load(folder.checkpoint)
    last, _ = checkpoint.load(folder.state)
    assert not numpy.allclose(best["first.weight"], last["weights.first.weight"], atol=1e-4)
    model = Run.open(folder.path).model()
    figure = nats_each(model, digits.load().validation).mean()
    assert figure == pytest.approx(lines(folder)[0]["validation_nats"], rel=1e-6)


def test_every_step_and_every_epoch_has_random_numbers_of_its_own(tmp_path):
    model = PixelCNN(PixelCNNConfig(channels=2, blocks=1), backend.default_rng(0))
    settings, folder = TrainingSettings(epochs=1), RunFolder(tmp_path)
    made = trainer.Trainer(model, IMAGES, digits.load(), settings, 0, folder)
    other = trainer.Trainer(model, IMAGES, digits.load(), settings, 1, folder)
    places = [(made, purpose, number) for purpose in (0, 1) for number in (0, 1, 2)]
    drawn = [owner._rng(*place).random(3) for owner, *place in [*places, (other, 0, 0)]]
    assert len({tuple(backend.to_numpy(x)) for x in drawn}) == 7


@pytest.mark.parametrize("change", ["schedule=cosine", "warmup=9", "clip=0.1", "optimiser=sgd"])
def test_each_setting_of_the_optimisation_changes_the_weights(run, tmp_path, change):
    folder, _ = train(tmp_path / "a", "epochs=1", change, "learning_rate=0.004")
    plain, _ = train(tmp_path / "b", "epochs=1", "learning_rate=0.004")
    assert folder.checkpoint.read_bytes() != plain.checkpoint.read_bytes()


def test_a_finished_run_can_be_trained_longer(run, tmp_path):
    train(tmp_path / "a", "epochs=1")
    resume(tmp_path / "a", "epochs=2")
    assert files(tmp_path / "a") == files(run[0].path)


def test_resuming_a_finished_run_changes_nothing(run, tmp_path):
    shutil.copytree(run[0].path, tmp_path / "a")
    resume(tmp_path / "a")
    assert files(tmp_path / "a") == files(run[0].path)


def test_a_loss_that_diverges_names_the_operation_and_keeps_the_last_good_state(tmp_path):
    with pytest.raises(RunError, match=r"the loss became .*conv.*try --set learning_rate=2.5e\+29"):
        train(tmp_path / "a", "learning_rate=1e30", "epochs=1")
    arrays, metadata = checkpoint.load(tmp_path / "a" / "state.safetensors")
    assert metadata["step"] == 0 and all(numpy.isfinite(x).all() for x in arrays.values())


def test_a_validation_figure_that_is_no_number_stops_the_run_too(tmp_path, monkeypatch):
    monkeypatch.setattr(type(IMAGES), "validate", lambda *_: ("nats", math.nan))
    with pytest.raises(RunError, match=r"the validation.s nats became nan by step 17"):
        train(tmp_path / "a", "epochs=1")


def test_a_run_is_loaded_in_three_lines(run):
    model = Run.open(run[0].path).model()
    images = model.sample(2, backend.default_rng(0))
    assert images.shape == (2, 8, 8, 1)


def test_the_weights_are_plain_safetensors(run):
    values = safetensors.numpy.load_file(run[0].checkpoint)
    assert values["blocks.0.conv.weight"].shape == (3, 3, 4, 4)


def test_float64_weights_are_trained_and_loaded_as_such(tmp_path):
    task = job.Job("pixelcnn", [*SMALL, "steps=2"], dtype="float64", out=tmp_path / "a")
    job.train(task, Console(file=io.StringIO()))
    assert Run.open(tmp_path / "a").model().first.weight.dtype == "float64"


def test_the_standard_error_is_that_of_a_mean(run):
    model, data = Run.open(run[0].path).model(), digits.load()
    data = dataclasses.replace(data, test=data.test[:20])
    figures = evaluate(model, IMAGES, data, "test")
    each = -model.log_prob(backend.asarray(data.test)).data
    each = backend.to_numpy(each)
    assert figures.nll_nats == pytest.approx(each.mean(), rel=1e-6)
    assert figures.nll_nats_standard_error == pytest.approx(scipy.stats.sem(each), rel=1e-5)
    assert figures.n == 20


def edited(folder, tmp_path, change):
    """A copy of the run with another config.json."""
    path = tmp_path / "edited"
    shutil.copytree(folder.path, path)
    config = json.loads((path / "config.json").read_text())
    change(config)
    (path / "config.json").write_text(json.dumps(config))
    return path


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda c: c.pop("seed"), "there is no entry 'seed'"),
        (lambda c: c.update(model="pixelrnn"), "unknown model 'pixelrnn'; did you mean 'pixelcnn'"),
        (lambda c: c["config"].update(channels="many"), "channels='many' is not of the type int"),
        (lambda c: c["config"].update(channels=7), "channels=7: channels must be even"),
        (lambda c: c["config"].update(widht=8), "unexpected keyword argument 'widht'"),
        (lambda c: c["config"].update(channels=16), "checkpoint.safetensors is not of the model"),
        (lambda c: c["config"].update(levels=9, height=7), "height=7: the images of digits have"),
    ],
)
def test_an_edited_configuration_is_one_clear_line(run, tmp_path, change, message):
    path = edited(run[0], tmp_path, change)
    with pytest.raises(RunError) as raised:
        opened = Run.open(path)
        opened.data()
        opened.model()
    assert message in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("keep", [0, 4, 300, -1])
def test_a_truncated_checkpoint_is_one_clear_line(run, tmp_path, keep):
    path = edited(run[0], tmp_path, lambda config: None) / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(RunError, match=r"checkpoint.safetensors .* is damaged or incomplete"):
        Run.open(path.parent).model()


def test_no_run_and_no_weights_are_clear_lines(tmp_path, monkeypatch):
    with pytest.raises(RunError, match="is not the folder of a run: there is no such folder"):
        Run.open(tmp_path / "a")
    with pytest.raises(RunError, match=r"is not the folder of a run: there is no config\.json"):
        Run.open(tmp_path)
    at_step(3, monkeypatch, press_ctrl_c)
    with pytest.raises(Interrupted, match="not validated yet"):
        train(tmp_path / "b")
    with pytest.raises(RunError, match="has no weights yet"):
        Run.open(tmp_path / "b").model()


def test_the_report_is_one_page_that_needs_no_other(run):
    page = (run[0].path / "report.html").read_text()
    assert "<svg" in page and "data:image/png;base64," in page and "the command" in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)


def test_a_checkpoint_round_trip_changes_nothing(tmp_path, rng):
    values = {"a.b": rng.standard_normal((2, 3)).astype("float32"), "c": numpy.array(2.5)}
    path = tmp_path / "weights.safetensors"
    checkpoint.save(path, values, {"step": 3, "nats": 2.5})
    found, metadata = checkpoint.load(path)
    assert metadata == {"step": 3, "nats": 2.5} and found.keys() == values.keys()
    for name, x in values.items():
        assert found[name].dtype == x.dtype
        numpy.testing.assert_array_equal(found[name], x)


def test_a_checkpoint_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    checkpoint.save(path, {"a": numpy.ones(2)}, {})

    def full(values, target, metadata):
        target.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(RunError, match=r"cannot write .*: No space left on device; .* is kept"):
        checkpoint.save(path, {"a": numpy.zeros(2)}, {})
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert checkpoint.load(path)[0]["a"].all()


def test_a_run_folder_is_never_written_over(tmp_path):
    names = [RunFolder.numbered(tmp_path / "runs", "pixelcnn").path.name for _ in range(3)]
    assert names == ["pixelcnn-1", "pixelcnn-2", "pixelcnn-3"]
    RunFolder.new(tmp_path / "mine").write_config({})
    with pytest.raises(RunError, match="holds a run already"):
        RunFolder.new(tmp_path / "mine")


def test_a_picture_is_a_grid_of_ink_on_white(tmp_path):
    images = numpy.zeros((3, 2, 4, 1), int)
    images[1], images[2, 0, 0] = 16, 8
    save_grid(tmp_path / "a.png", images, levels=17, columns=2, scale=1)
    grey = imread(tmp_path / "a.png")[..., 0]
    expected = numpy.ones((2 + 2 * (2 + 2), 2 + 2 * (4 + 2)))
    expected[2:4, 8:12] = 0
    expected[6, 2] = 0.5
    numpy.testing.assert_allclose(grey, expected, atol=1 / 255)


def test_changes_go_to_whichever_configuration_has_the_field():
    configs = [PixelCNNConfig(), TrainingSettings(epochs=1)]
    model, training = override(configs, ["channels=32", "learning_rate=1e-3", "channels=16"])
    assert model == PixelCNNConfig(channels=16)
    assert training == TrainingSettings(epochs=1, learning_rate=1e-3)


def test_no_field_of_a_preset_is_in_both_of_its_configurations():
    for preset in presets.PRESETS.values():
        assert not vars(preset.config).keys() & vars(preset.training).keys()
        preset.configured(preset.medium.load(preset.data, preset.levels), [])


def test_a_model_of_other_images_than_the_data_is_refused():
    with pytest.raises(UsageError, match="levels=16: the images of digits have levels 17"):
        IMAGES.check(PixelCNNConfig(levels=16), digits.load())


@pytest.fixture
def one_thread():
    """BLAS and all that is shared as it is run on one core, as by the command."""
    blas = threads._blas()
    if blas is None:
        yield
        return
    before = blas[0]()
    blas[1](1)
    yield
    blas[1](before)


ENOUGH = {  # changes of the preset, and the nats per unit (or the distance) that it must reach then
    "pixelcnn": ([], 81.0),
    "gatedpixelcnn": (["epochs=5"], 97.0),
    "pixelcnn++": (["epochs=5"], 90.0),
    "multiscale": (["epochs=5"], 95.0),
    "rowlstm": (["epochs=5"], 92.0),
    "diagonalbilstm": (["epochs=5"], 92.0),
    "fvbn": ([], 18.8),
    "nade": (["epochs=10"], 19.0),
    "made": ([], 17.0),
    "charlstm": (["epochs=1", "epoch_steps=100", "width=64"], 3.1),
    "chargru": (["epochs=1", "epoch_steps=100", "width=64"], 3.1),
    "wavenet": (["epochs=1"], 5.2),
    "gmm": (["epochs=10"], 98.0),
    "gmm-2d": (["components=16", "epochs=15"], 3.85),
    "bayes": (["epochs=3"], 95.0),
    "maf": (["epochs=20"], 101.0),
    "maf-2d": (["steps=300"], 4.1),
    "iaf": (["epochs=4", "average=0"], 107.5),
    "iaf-2d": (["steps=200"], 4.15),
    "spline": (["epochs=6"], 99.0),
    "spline-2d": (["epochs=2"], 3.8),
    "vae": (["epochs=15"], 99.0),
    "convvae": (["epochs=15"], 103.0),
    "iwae": (["epochs=10"], 99.0),
    "cvae": (["epochs=10"], 97.5),
    "autoencoder": (["epochs=10"], 88.0),
    "denoiser": (["epochs=10"], 98.0),
    "laddervae": (["epochs=20", "kl_warmup=100"], 102.0),
    "m2": (["epochs=5"], 108.0),
    "glow": (["epochs=4"], 99.0),
    "glow-2d": (["steps=300"], 4.05),
    "nice": (["epochs=40", "average=0.9"], 110.0),
    "nice-2d": (["epochs=2"], 4.3),
    "realnvp": (["epochs=8", "average=0.9"], 106.0),
    "realnvp-2d": (["epochs=2"], 4.15),
    "planarvae": (["epochs=10"], 101.0),
    "radialvae": (["epochs=10"], 104.0),
    "iafvae": (["epochs=10"], 101.0),
    "gumbelvae": ([], 98.0),
    "gan": (["epochs=5"], 6.0),
    "bigan": (["epochs=5"], 5.0),
    "progressivegan": (["epochs=10"], 11.0),
    "msggan": (["epochs=3"], 10.0),
    "stackgan": (["first_steps=1000", "divergence=0.05", "epochs=20"], 8.0),
    "gan-2d": (["epochs=4"], 0.8),
    "infogan": (["epochs=12"], 6.0),
    "pix2pix": (["epochs=5"], 2.0),
    "cyclegan": (["epochs=5"], 2.5),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", presets.PRESETS)
def test_the_preset_learns_what_it_should_on_its_own_data(tmp_path, name, one_thread):
    changes, bound = ENOUGH[name]
    job.train(job.Job(name, changes, out=tmp_path / "a"), Console(file=io.StringIO()))
    *_, epoch, test = lines(RunFolder(tmp_path / "a"))
    measure, _ = validation_of(epoch)
    assert test[f"test_{measure}"] < bound


def test_a_class_conditional_model_is_trained_and_measured_with_labels(tmp_path):
    changes = ["channels=4", "layers=1", "classes=10", "steps=2"]
    task = job.Job("gatedpixelcnn", changes, out=tmp_path / "a")
    folder = job.train(task, Console(file=io.StringIO()))
    opened, data = Run.open(folder.path), digits.load()
    model = opened.model()
    assert nats_each(model, data.test, data.labels["test"]).mean() == lines(folder)[-1]["test_nats"]
    IMAGES.draw(tmp_path / "three.png", opened, Request(4, label=3))
    IMAGES.draw(tmp_path / "halves.png", opened, Request(2, given="test"))
    with pytest.raises(UsageError, match="--label 10: the model's classes are 0 to 9"):
        IMAGES.draw(tmp_path / "ten.png", opened, Request(4, label=10))


@pytest.mark.parametrize(
    "classes, message", [(9, "classes=9: digits has 10 classes"), (10, "have no labels")]
)
def test_classes_that_the_data_do_not_have_are_refused(classes, message):
    data = digits.load()
    if classes == 10:
        data = dataclasses.replace(data, labels=None)
    with pytest.raises(UsageError, match=message):
        IMAGES.check(GatedPixelCNNConfig(classes=classes), data)


# ----------------------------------------------------------------- what a model may have besides


def test_a_model_that_has_to_be_initialised_sees_the_first_batch_once(tmp_path, monkeypatch):
    seen, first = [], []

    def initialise(self, batch, rng):
        seen.append(backend.to_numpy(batch))
        self.first.bias[...] = rng.random(self.first.bias.shape).astype("float32")
        first.append(backend.to_numpy(self.first.bias.data).copy())

    monkeypatch.setattr(PixelCNN, "initialise", initialise, raising=False)
    batches, loss = [], PixelCNN.loss

    @in_each_step
    def watch(batch):
        batches.append(backend.to_numpy(batch))

    def watching(self, batch, rng, step):
        watch(batch)
        return loss(self, batch, rng, step)

    monkeypatch.setattr(PixelCNN, "loss", watching)
    folder, _ = train(tmp_path / "a", "steps=2")
    assert len(seen) == 1 and (seen[0] == batches[0]).all()
    whole = folder.checkpoint.read_bytes()
    resume(folder.path, "steps=4")
    assert len(seen) == 1, "not when it goes on"
    again, _ = train(tmp_path / "b", "steps=2")
    assert again.checkpoint.read_bytes() == whole and (first[0] == first[1]).all()


def test_a_model_with_an_update_of_its_own_is_trained_by_that(tmp_path, monkeypatch):
    steps = []

    def update(self, batch, rng):
        steps.append(len(batch))
        self.output.bias[...] = self.output.bias.data + 1
        return {"nats": backend.asarray(float(len(steps)))}

    monkeypatch.setattr(PixelCNN, "update", update, raising=False)
    monkeypatch.setattr(PixelCNN, "loss", None)
    folder, _ = train(tmp_path / "a", "steps=3", "epoch_steps=3", "batch_size=2000", "average=0")
    assert steps == [1079] * 3 and lines(folder)[0]["train_nats"] == 2
    bias = Run.open(folder.path).model().output.bias.data
    assert (backend.to_numpy(bias) == 3).all()
    steps.clear()
    train(
        tmp_path / "b", "steps=3", "epoch_steps=3", "batch_size=2000", "average=0.5"
    )  # averaged like any other
    bias = Run.open(tmp_path / "b").model().output.bias.data
    numpy.testing.assert_allclose(backend.to_numpy(bias), (4 * 3 + 2 * 2 + 1) / 7, rtol=1e-6)


def test_what_a_loss_reports_beside_nats_is_recorded_and_drawn_and_survives_a_stop(
    tmp_path, monkeypatch
):
    loss = PixelCNN.loss

    def telling(self, batch, rng, step):
        nats, metrics = loss(self, batch, rng, step)
        more = {"step": backend.asarray(float(step)), "state": backend.asarray([1.0, 2.0])}
        return nats, {**metrics, **more}

    monkeypatch.setattr(PixelCNN, "loss", telling)
    monkeypatch.setattr(PixelCNN, "phase", lambda self, step: None, raising=False)
    folder, _ = train(tmp_path / "a", "epochs=2", "batch_size=1079", "epoch_steps=4")
    assert [record.get("train_step") for record in lines(folder)] == [1.5, 5.5, None]
    assert "train_state" not in lines(folder)[0]
    assert "<!-- step -->" in folder.report.read_text()

    at_step(7, monkeypatch, lambda: os.kill(os.getpid(), signal.SIGINT))
    changes = ("epochs=2", "batch_size=1079", "epoch_steps=4")
    with pytest.raises(Interrupted):
        train(tmp_path / "b", *changes)
    monkeypatch.setattr(PixelCNN, "loss", telling)
    resume(tmp_path / "b")
    assert lines(RunFolder(tmp_path / "b"))[1]["train_step"] == 5.5


def test_a_model_that_takes_in_all_the_data_at_once_is_not_given_them_in_batches(tmp_path):
    with pytest.raises(UsageError, match=r"batch_size=64: each step .* which would be 17 batches"):
        job.train(job.Job("gmm", ["batch_size=64"], out=tmp_path / "a"), Console(quiet=True))


def test_a_model_that_cannot_be_fitted_to_the_data_says_so_in_one_line(tmp_path):
    with pytest.raises(RunError, match=r"it cannot be fitted to digits: .*5000 components"):
        job.train(job.Job("gmm", ["components=5000"], out=tmp_path / "a"), Console(quiet=True))


def test_the_share_of_classes_told_rightly_is_measured_and_reported(tmp_path):
    output = io.StringIO()
    task = job.Job("bayes", ["epochs=1"], out=tmp_path / "a")
    folder = job.train(task, Console(file=output, width=200))
    data, model = digits.load(), Run.open(folder.path).model()
    told = backend.to_numpy(model.classify(backend.asarray(data.test)))
    share = (told == data.labels["test"]).mean()
    assert 0.9 < share < 1 and lines(folder)[-1]["test_accuracy"] == share
    assert f", {share:.1%} of classes right" in output.getvalue()
    assert IMAGES.accuracy(model, data, "train") != share
    without = dataclasses.replace(data, labels=None)
    assert IMAGES.accuracy(model, without, "test") is None


def test_no_likelihood_is_compared_with_what_is_none(tmp_path):
    output = io.StringIO()
    task = job.Job("autoencoder", ["steps=2", "hidden=8"], out=tmp_path / "a")
    folder = job.train(task, Console(file=output, width=200))
    assert "(of reconstruction, no likelihood)" in output.getvalue()
    assert "to compare" not in output.getvalue()
    assert not folder.sample("final.png").exists() and "reconstructions.png" in output.getvalue()
    with pytest.raises(UsageError, match="no distribution to draw from; --show reconstructions"):
        IMAGES.draw(tmp_path / "b.png", Run.open(folder.path), Request())


def test_an_option_of_samples_means_nothing_for_another_picture(tmp_path):
    task = job.Job("vae", ["steps=2", "hidden=8"], out=tmp_path / "a")
    run = Run.open(job.train(task, Console(quiet=True)).path)
    for option in ({"label": 3}, {"given": "test"}, {"temperature": 0.5}):
        request = Request(show="reconstructions", **option)
        with pytest.raises(UsageError, match=f"--{next(iter(option))}: means nothing with --show"):
            IMAGES.draw(tmp_path / "b.png", run, request)


def test_more_labels_than_images_are_refused():
    with pytest.raises(UsageError, match="labelled=2000: digits has 1079 images to train on"):
        presets.find("m2").configured(digits.load(), ["labelled=2000"])
