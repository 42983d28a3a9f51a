"""Training on text and sound: what is fed, measured and drawn, and runs that resume."""

import dataclasses
import io
import json
import math
import os
import signal

import numpy
import pytest
from rich.console import Console
from scipy.io import wavfile

from autograd import backend
from autograd.backend.whole import whole as in_each_step
from scratchgen import metrics
from scratchgen.data import sound, text, wav
from scratchgen.errors import Interrupted, RunError, UsageError
from scratchgen.models.autoregressive.characters import CharacterConfig, CharacterModel
from scratchgen.models.autoregressive.wavenet import WaveNet, WaveNetConfig
from scratchgen.training import Run, job, presets
from scratchgen.training.evaluation import evaluate
from scratchgen.training.media.medium import Request
from scratchgen.training.media.sound import SOUND
from scratchgen.training.media.text import TEXT

RHYME = "baa baa black sheep, have you any wool?\nyes sir, yes sir, three bags full;\n" * 40
SMALL_TEXT = ["width=12", "embedding=4", "layers=2", "window=16", "batch_size=4"]
SMALL_SOUND = ["stacks=1", "layers=3", "residual=4", "skip=4", "window=200", "batch_size=3"]


@pytest.fixture
def rhyme(tmp_path):
    path = tmp_path / "rhyme.txt"
    path.write_text(RHYME, encoding="utf-8")
    return path


@pytest.fixture
def voices(tmp_path):
    """Noise of 1,000 samples per second by two speakers, a loud one and a soft one."""
    rng = numpy.random.default_rng(0)
    for speaker, loud in {"loud": 0.9, "soft": 0.1}.items():
        (tmp_path / "voices" / speaker).mkdir(parents=True)
        for i in range(5):
            values = rng.uniform(-loud, loud, 1500 + 100 * i).astype("float32")
            wav.write(tmp_path / "voices" / speaker / f"{i}.wav", wav.Recording(1000, values))
    return tmp_path / "voices"


def train(model, data, out, changes):
    output = io.StringIO()
    asked = job.Job(model, changes, data=str(data), out=out, command="the command")
    folder = job.train(asked, Console(file=output, width=100))
    return folder, output.getvalue()


def weights(folder):
    return folder.checkpoint.read_bytes()


def files(folder):
    """The weights, what was drawn, and the figures without the times they took."""
    drawn = {path.name: path.read_bytes() for path in (folder.path / "samples").iterdir()}
    figures = [
        {k: x for k, x in record.items() if "second" not in k} for record in folder.read_metrics()
    ]
    return weights(folder), drawn, figures


# --------------------------------------------------------------------------------------- streams


def test_each_stream_is_read_in_order_with_the_state_that_its_last_window_left(rhyme):
    data = text.load(rhyme)
    config = CharacterConfig(characters=len(data.vocabulary), width=3, window=10)
    model = CharacterModel(config, backend.default_rng(0))
    feed = TEXT.feed(model, data, 4)
    length = len(data.train) // 4
    assert feed.batches == math.ceil(length / 10)
    batches = feed.after(0, None)
    targets, previous = [], []
    for i in range(feed.batches):
        (before, batch, state), count = next(batches)
        targets.append(backend.to_numpy(batch))
        previous.append(backend.to_numpy(before))
        assert count == targets[-1].size
        assert all((backend.to_numpy(x) == i).all() for x in state), "zeros, then what was kept"
        feed.keep({"state": [x * 0 + i + 1 for x in state]})
    found, before = numpy.concatenate(targets, 1), numpy.concatenate(previous, 1)
    numpy.testing.assert_array_equal(found, data.train[: 4 * length].reshape(4, -1))
    numpy.testing.assert_array_equal(before[:, 1:], found[:, :-1])
    assert (before[:, 0] == model.nothing).all()
    (before, _, state), _ = next(batches)
    assert not any(backend.to_numpy(x).any() for x in state), "a new pass starts from nothing"


def test_the_figure_of_a_text_is_its_pieces_mean_log_probability(rhyme, monkeypatch):
    monkeypatch.setattr("scratchgen.training.media.text.PIECE", 50)
    data = text.load(rhyme)
    config = CharacterConfig(characters=len(data.vocabulary), width=3, window=10)
    model = CharacterModel(config, backend.default_rng(0))
    found = evaluate(model, TEXT, data, "test")
    pieces = [data.test[i : i + 50] for i in range(0, len(data.test) - 49, 50)]
    each = [-model.log_prob(backend.asarray(x[None])).item() / 50 for x in pieces]
    assert found.nll_nats == pytest.approx(numpy.mean(each), rel=1e-5)
    assert found.bits_per_dim == pytest.approx(found.nll_nats / math.log(2))
    assert found.n == 50 * len(pieces)


def test_the_reference_is_the_cross_entropy_of_the_histogram():
    train, test = numpy.array([0, 0, 1]), numpy.array([0, 1, 2, 2])
    p = numpy.array([3, 2, 1, 1]) / 7  # one more of each of four levels
    expected = -numpy.log(p[[0, 1, 2, 2]]).mean()
    assert metrics.marginal_nats(train, test, 4) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", ["charlstm", "chargru"])
def test_a_text_run_learns_and_draws_text_after_the_prompt(rhyme, tmp_path, name):
    changes = [*SMALL_TEXT, "steps=60", "epoch_steps=30", "learning_rate=0.02", "warmup=0"]
    folder, output = train(name, rhyme, tmp_path / "a", changes)
    test = folder.read_metrics()[-1]
    assert test["test_nats"] < TEXT.references(text.load(rhyme))["independent characters"]
    assert "nats per character" in output and "to compare: independent characters" in output
    assert "<pre>" in folder.report.read_text(encoding="utf-8")
    run = Run.open(folder.path)
    rhyme.unlink()  # the vocabulary is in the run folder
    TEXT.draw(tmp_path / "x.txt", run, Request(n=2, prompt="baa €", length=7))
    one, two = (tmp_path / "x.txt").read_text(encoding="utf-8").split("\n" + "-" * 80 + "\n")
    assert one[:5] == two[:5] == "baa €" and len(one) == 12 and len(two) == 13  # a line's end
    with pytest.raises(UsageError, match=r"--length 0.5: a text has a whole number"):
        TEXT.draw(tmp_path / "y.txt", run, Request(length=0.5))
    TEXT.draw(tmp_path / "y.txt", run, Request(n=1, length=30, seed=1))
    assert len((tmp_path / "y.txt").read_text(encoding="utf-8")) == 31


@pytest.mark.parametrize("step", [3, 25])
def test_a_text_run_that_was_stopped_resumes_bit_for_bit_with_the_state_it_carried(
    rhyme, tmp_path, monkeypatch, step
):
    changes = [*SMALL_TEXT, "steps=40", "epoch_steps=20"]
    whole, _ = train("charlstm", rhyme, tmp_path / "whole", changes)
    stopped = tmp_path / "stopped"
    with monkeypatch.context() as patched:
        press_ctrl_c_at(step, CharacterModel, patched)
        with pytest.raises(Interrupted):
            train("charlstm", rhyme, stopped, changes)
    folder = job.resume(stopped, [], Console(file=io.StringIO()))
    assert files(folder) == files(whole)


def press_ctrl_c_at(step, model, monkeypatch):
    loss, count = model.loss, iter(range(1, 1000))

    @in_each_step
    def act():
        if next(count) == step:
            os.kill(os.getpid(), signal.SIGINT)

    def acting(self, batch, rng, number):
        act()
        return loss(self, batch, rng)

    monkeypatch.setattr(model, "loss", acting)


@pytest.mark.parametrize(
    ("content", "changes", "message"),
    [
        ("", [], "0 characters; at least 100"),
        ("a", [], "1 characters; at least 100"),
        ("ab" * 60, ["batch_size=100"], "batch_size=100: there are 60 characters"),
        (RHYME, ["characters=7"], "characters=7: .*rhyme.txt has"),
    ],
)
def test_texts_that_are_too_short_or_do_not_fit_are_refused(
    rhyme, tmp_path, content, changes, message
):
    rhyme.write_text(content, encoding="utf-8")
    with pytest.raises((RunError, UsageError), match=message):
        train("charlstm", rhyme, tmp_path / "a", [*SMALL_TEXT, *changes])


# ----------------------------------------------------------------------------------------- sound


def test_the_speech_of_the_package_has_its_split():
    data = sound.load()
    assert data.rate == 8000 and data.levels == 256
    seconds = [
        round(sum(map(len, data.part(p))) / 8000, 2) for p in ("train", "validation", "test")
    ]
    assert seconds == [15.39, 6.05, 3.29]
    assert {x.dtype for x in data.train} == {numpy.dtype("uint8")}


def test_a_single_recording_is_cut_by_time_and_folders_are_speakers(tmp_path, voices):
    values = numpy.linspace(-1, 1, 1000).astype("float32")
    wav.write(tmp_path / "one.wav", wav.Recording(8000, values))
    data = sound.load(tmp_path / "one.wav", levels=16)
    assert [len(data.part(p)[0]) for p in ("train", "validation", "test")] == [600, 200, 200]
    joined = numpy.concatenate([data.train[0], data.validation[0], data.test[0]])
    numpy.testing.assert_array_equal(joined, numpy.sort(joined))
    assert joined.min() == 0 and joined.max() == 15
    data = sound.load(voices)
    assert data.speakers == ["loud", "soft"]
    assert data.labels == {"train": [0, 0, 0, 1, 1, 1], "validation": [0, 1], "test": [0, 1]}


def test_what_is_given_goes_on_in_the_voice_of_its_own_speaker_unless_told(
    voices, tmp_path, monkeypatch
):
    folder, _ = train("wavenet", voices, tmp_path / "a", [*SMALL_SOUND, "classes=2", "steps=1"])
    run, heard = Run.open(folder.path), []
    data = run.data()
    soft_first = dataclasses.replace(
        data, test=data.test[::-1], labels={**data.labels, "test": data.labels["test"][::-1]}
    )
    monkeypatch.setattr(Run, "data", lambda self: soft_first)
    sample = WaveNet.sample

    def listening(self, n, rng, length, given=None, context=None, **options):
        heard.append((backend.to_numpy(given), backend.to_numpy(context.labels).tolist()))
        return sample(self, n, rng, length, given=given, context=context, **options)

    monkeypatch.setattr(WaveNet, "sample", listening)
    for label in (None, 0):
        asked = Request(n=2, given="test", length=0.01, label=label)
        SOUND.draw(tmp_path / "x.wav", run, asked)
    SOUND.draw(tmp_path / "x.wav", run, Request(given=str(voices), length=0.01, label=1))
    assert [labels for _, labels in heard] == [[1, 1], [0, 0], [1]]
    numpy.testing.assert_array_equal(heard[0][0], data.test[1])
    numpy.testing.assert_array_equal(heard[2][0], data.test[0])


def test_longer_pieces_count_for_more(voices, tmp_path):
    config = WaveNetConfig(stacks=1, layers=2, residual=2, skip=2)
    model = WaveNet(config, backend.default_rng(0))
    data = sound.load(voices)
    parts = [data.test[0][:900], data.test[1][:100]]  # a piece each
    found = evaluate(model, SOUND, dataclasses.replace(data, test=parts), "test")
    total = -sum(model.log_prob(backend.asarray(x[None])).item() for x in parts)
    assert found.n == 1000 and found.nll_nats == pytest.approx(total / 1000, rel=1e-5)


def test_a_single_piece_has_no_standard_error(voices):
    model = WaveNet(WaveNetConfig(stacks=1, layers=2, residual=2), backend.default_rng(0))
    data = sound.load(voices)
    found = evaluate(model, SOUND, dataclasses.replace(data, test=[data.test[0][:900]]), "test")
    assert found.nll_nats_standard_error is None
    assert "±" not in found.sentence(SOUND)


def test_recordings_that_cannot_be_used_are_one_line(tmp_path):
    with pytest.raises(RunError, match="holds no WAV files"):
        sound.load(tmp_path)
    for i, rate in enumerate((8000, 16000)):
        wav.write(tmp_path / f"{i}.wav", wav.Recording(rate, numpy.zeros(600, "float32")))
    with pytest.raises(RunError, match="recordings of 8000 and 16000 Hz"):
        sound.load(tmp_path)
    wav.write(tmp_path / "short.wav", wav.Recording(8000, numpy.zeros(400, "float32")))
    with pytest.raises(RunError, match=r"short.wav: 80 samples for validation; at least 100"):
        sound.load(tmp_path / "short.wav")


def test_features_tell_loud_from_silent_and_high_from_low():
    time = numpy.arange(1600) / 8000
    tones = [numpy.sin(2 * math.pi * f * time) for f in (300, 3000)]
    silence = numpy.zeros(1600)
    low, high, none = (
        sound.features(wav.mu_law_encode(x), 256, 8000, 80, 6) for x in (*tones, silence)
    )
    assert low.shape == (20, 6) and low.dtype == "float32"
    assert (low[5:-5].argmax(1) < 2).all() and (high[5:-5].argmax(1) == 5).all()
    assert (none.max(1) < low[5:-5].max(1).min()).all()
    assert len(sound.features(wav.mu_law_encode(silence[:81]), 256, 8000, 80, 6)) == 2


@pytest.mark.parametrize("features", [0, 3])
def test_windows_lie_within_a_recording_and_bring_its_label_and_features(voices, features):
    data = sound.load(voices)
    config = WaveNetConfig(
        stacks=1, layers=2, residual=2, skip=2, window=330, classes=2, features=features, hop=50
    )
    feed = SOUND.feed(WaveNet(config, backend.default_rng(0)), data, 8)
    length = 300 if features else 330  # whole frames
    batches = feed.after(0, lambda number: backend.default_rng(number))
    starts = set()
    for _ in range(5):
        (codes, context), count = next(batches)
        assert count == 8 * length and codes.shape == (8, length)
        rows = zip(backend.to_numpy(codes), backend.to_numpy(context.labels), strict=True)
        for k, (row, label) in enumerate(rows):
            i, start = _found(data, row)
            starts.add((i, start))
            assert label == data.labels["train"][i]
            if features:
                whole = sound.features(data.train[i], 256, data.rate, 50, features)
                expected = whole[start // 50 : start // 50 + 6]
                numpy.testing.assert_array_equal(backend.to_numpy(context.features)[k], expected)
    assert len(starts) > 20, "windows begin anywhere"
    again, _ = next(feed.after(4, lambda number: backend.default_rng(number)))
    numpy.testing.assert_array_equal(backend.to_numpy(again[0]), backend.to_numpy(codes))


def _found(data, window):
    """Which recording the window is of, and where."""
    for i, recording in enumerate(data.train):
        views = numpy.lib.stride_tricks.sliding_window_view(recording, len(window))
        places = numpy.flatnonzero((views == window).all(1))
        if len(places) == 1:
            return i, int(places[0])
    raise AssertionError("the window is in no recording")


@pytest.mark.parametrize("changes", [[], ["classes=2"], ["features=4", "hop=50"]])
def test_a_sound_run_measures_and_draws_and_goes_on(voices, tmp_path, changes):
    folder, output = train(
        "wavenet", voices, tmp_path / "a", [*SMALL_SOUND, *changes, "steps=3", "epoch_steps=2"]
    )
    assert "nats per sample" in output and "to compare: independent samples" in output
    rate, values = wavfile.read(folder.path / "samples" / "final.wav")
    assert rate == 1000 and len(values) == (1900 if "features=4" in changes else 2000)
    assert (folder.path / "samples" / "final.png").stat().st_size > 1000
    assert "<audio" in folder.report.read_text(encoding="utf-8")
    run = Run.open(folder.path)
    SOUND.draw(tmp_path / "x.wav", run, Request(n=2, length=0.1, given="validation"))
    _, values = wavfile.read(tmp_path / "x.wav")
    given = 0 if "features=4" in changes else 1000  # the last second
    assert len(values) == 2 * (given + 100) + 250
    if given:
        heard = wav.mu_law_decode(run.data().validation[0][-1000:])
        numpy.testing.assert_allclose(values[:given] / 32768, heard, atol=1e-4)
    if not changes:
        with pytest.raises(UsageError, match="--label 0: the model's classes are none"):
            SOUND.draw(tmp_path / "y.wav", run, Request(label=0))


def test_a_sound_run_that_was_stopped_resumes_bit_for_bit(voices, tmp_path, monkeypatch):
    changes = [*SMALL_SOUND, "steps=8", "epoch_steps=4"]
    whole, _ = train("wavenet", voices, tmp_path / "whole", changes)
    with monkeypatch.context() as patched:
        press_ctrl_c_at(5, WaveNet, patched)
        with pytest.raises(Interrupted):
            train("wavenet", voices, tmp_path / "stopped", changes)
    folder = job.resume(tmp_path / "stopped", [], Console(file=io.StringIO()))
    assert files(folder) == files(whole)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["classes=3"], "classes=3: .* has 2"),
        (["levels=1"], "levels=1: 2 to 65536"),
    ],
)
def test_a_model_of_other_sounds_than_the_data_is_refused(voices, tmp_path, changes, message):
    with pytest.raises(UsageError, match=message):
        train("wavenet", voices, tmp_path / "a", changes)
    with pytest.raises(UsageError, match="speech does not say who speaks"):
        presets.find("wavenet").configured(sound.load(), ["classes=2"])


def test_sound_of_another_rate_is_not_gone_on_from(voices, tmp_path):
    folder, _ = train("wavenet", voices, tmp_path / "a", [*SMALL_SOUND, "steps=1"])
    wav.write(tmp_path / "other.wav", wav.Recording(8000, numpy.zeros(800, "float32")))
    with pytest.raises(RunError, match="of 8000 Hz; the model speaks at 1000"):
        SOUND.draw(
            tmp_path / "x.wav", Run.open(folder.path), Request(given=str(tmp_path / "other.wav"))
        )


def test_the_run_folder_says_what_it_takes_to_draw(rhyme, voices, tmp_path):
    folder, _ = train("charlstm", rhyme, tmp_path / "a", [*SMALL_TEXT, "steps=1"])
    assert json.loads(folder.config.read_text())["medium"] == {
        "vocabulary": text.load(rhyme).vocabulary
    }
