"""The training job: what it leaves behind, and that it is the same every time."""

import io
import json
import math

import numpy
import pytest
from matplotlib.image import imread
from rich.console import Console

from autograd import backend
from scratchgen.config import override
from scratchgen.data import digits
from scratchgen.errors import Interrupted, RunError, UsageError
from scratchgen.models.autoregressive.pixelcnn import PixelCNN, PixelCNNConfig
from scratchgen.training import checkpoint, job, presets, trainer
from scratchgen.training.evaluation import mean_nats
from scratchgen.training.pictures import save_grid
from scratchgen.training.run_folder import RunFolder
from scratchgen.training.settings import TrainingSettings

SMALL = ("channels=8", "blocks=1", "first_size=3")


def train(out, *changes, seed=0):
    output = io.StringIO()
    task = job.Job("pixelcnn", [*SMALL, *changes], seed, out, "the command")
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
    values, metadata = checkpoint.load(folder.checkpoint)
    config = PixelCNNConfig(channels=8, blocks=1, first_size=3)
    model = PixelCNN(config, backend.default_rng(5))
    model.load(values)
    records = lines(folder)
    best = min(records[:-1], key=lambda record: record["validation_nats"])
    assert metadata["epoch"] == best["epoch"]
    data = digits.load()
    assert mean_nats(model, data.validation) == pytest.approx(best["validation_nats"], rel=1e-6)
    assert mean_nats(model, data.test) == pytest.approx(records[-1]["test_nats"], rel=1e-6)


def test_the_output_ends_with_the_test_figure_and_the_picture(run):
    folder, output = run
    epoch1, epoch2, test, compare, samples, where = output.splitlines()
    assert epoch1.startswith("epoch 1/2: train ") and epoch2.startswith("epoch 2/2: train ")
    assert test.startswith(f"test: {lines(folder)[-1]['test_nats']:.2f} nats per image, ")
    assert compare == "to compare: independent pixels 106.94 nats, uniform 181.33"
    assert samples == f"samples: {folder.path / 'samples' / 'final.png'}"
    assert where == f"run folder: {folder.path}"
    assert imread(folder.path / "samples" / "final.png").shape == (8 * 80 + 16, 8 * 80 + 16, 4)


def test_the_best_weights_are_kept_when_later_ones_are_worse(tmp_path, monkeypatch):
    figures = iter([90.0, 80.0, 85.0])
    monkeypatch.setattr(trainer, "mean_nats", lambda model, images: next(figures))
    three, _ = train(tmp_path / "three", "epochs=3")
    figures = iter([90.0, 80.0])
    two, output = train(tmp_path / "two", "epochs=2")
    assert three.checkpoint.read_bytes() == two.checkpoint.read_bytes()
    assert lines(three)[-1] == lines(two)[-1], "the test figure is of the best weights"
    assert "weights of epoch 2" in output
    assert [record["best_epoch"] for record in lines(three)[:-1]] == [1, 2, 2]


def test_steps_stop_in_the_middle_of_an_epoch_and_still_validate(tmp_path):
    folder, _ = train(tmp_path / "a", "steps=20")
    assert [record.get("step") for record in lines(folder)] == [17, 20, None]


def stop_at(step, monkeypatch, error):
    """Have the model's loss raise ``error`` at that step."""
    loss, count = PixelCNN.loss, iter(range(1, 1000))

    def failing(self, batch, rng):
        if next(count) == step:
            raise error
        return loss(self, batch, rng)

    monkeypatch.setattr(PixelCNN, "loss", failing)


def test_ctrl_c_keeps_the_best_weights_so_far(tmp_path, monkeypatch):
    stop_at(20, monkeypatch, KeyboardInterrupt())
    with pytest.raises(Interrupted, match=r"at step 19 of 51; .*\(epoch 1, validation \d"):
        train(tmp_path / "a", "epochs=3")
    _, metadata = checkpoint.load(tmp_path / "a" / "checkpoint.safetensors")
    assert (metadata["epoch"], metadata["step"]) == (1, 17)


def test_ctrl_c_before_the_first_validation_keeps_the_weights_as_they_are(tmp_path, monkeypatch):
    stop_at(5, monkeypatch, KeyboardInterrupt())
    with pytest.raises(Interrupted, match="before the first validation; weights saved in"):
        train(tmp_path / "a", "epochs=3")
    _, metadata = checkpoint.load(tmp_path / "a" / "checkpoint.safetensors")
    assert metadata["step"] == 4


def test_a_loss_that_diverges_stops_the_run_and_says_what_to_try(tmp_path):
    with pytest.raises(RunError, match=r"the loss became .* try --set learning_rate=2.5e\+29"):
        train(tmp_path / "a", "learning_rate=1e30", "epochs=1")


def test_a_validation_figure_that_is_no_number_stops_the_run_too(tmp_path, monkeypatch):
    monkeypatch.setattr(trainer, "mean_nats", lambda model, images: math.nan)
    with pytest.raises(RunError, match="the loss became nan by step 17"):
        train(tmp_path / "a", "epochs=1")


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
    with pytest.raises(OSError, match="No space left"):
        checkpoint.save(path, {"a": numpy.zeros(2)}, {})
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert checkpoint.load(path)[0]["a"].all()


def test_a_run_folder_is_never_written_over(tmp_path):
    names = [RunFolder.numbered(tmp_path / "runs", "pixelcnn").path.name for _ in range(3)]
    assert names == ["pixelcnn-1", "pixelcnn-2", "pixelcnn-3"]
    RunFolder(tmp_path / "mine").write_config({})
    with pytest.raises(RunError, match="holds a run already"):
        RunFolder(tmp_path / "mine")


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
        job.check_fits(preset.config, preset.data())


def test_a_model_of_other_images_than_the_data_is_refused():
    with pytest.raises(UsageError, match="levels=16: the images of digits have levels 17"):
        job.check_fits(PixelCNNConfig(levels=16), digits.load())


@pytest.mark.slow
def test_the_preset_reaches_its_floor_on_the_test_part(tmp_path):
    job.train(job.Job("pixelcnn", out=tmp_path / "a"), Console(file=io.StringIO()))
    record = json.loads((tmp_path / "a" / "metrics.jsonl").read_text().splitlines()[-1])
    assert record["test_nats"] <= 86.5
