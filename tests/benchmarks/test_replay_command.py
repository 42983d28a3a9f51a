"""The command ``replay``, on the smallest of its steps."""

import pytest

from autograd import backend
from benchmarks import chart, replay, timing
from benchmarks.bench import Options
from scratchgen.errors import RunError

pytestmark = pytest.mark.skipif("backend.current() != 'numpy'", reason="only NumPy replays")


@pytest.fixture(autouse=True)
def hurried(monkeypatch):
    monkeypatch.setattr(timing, "PAUSE", 0)
    monkeypatch.setattr(timing, "TURN", 0)


def test_a_row_compares_the_step_with_itself_and_tells_of_its_program(tmp_path):
    (row,) = replay.rows(Options(names=["mlp"], seconds=0.0))
    assert row["name"] == "MLP 3x64, batch 32: step" and row["backend"] == backend.current()
    assert row["family"] == row["peer"] == "not replayed"
    assert row["ours_ms"] > 0 and row["peer_ms"] > 0
    # four products forward, four for weights' gradients, and three for those of layers' inputs
    assert 4 + 4 + 3 < row["calls"] < row["lines"]
    batch, width = 32, 64
    assert row["buffer_bytes"] >= 3 * batch * width * 4 / 3  # the rectified sums, or their likes
    assert row["recording_steps"] > 2
    assert len(replay.cells(row)) == len(replay.COLUMNS)
    file = tmp_path / "a.png"
    replay.chart([row], str(file))
    assert file.read_bytes().startswith(b"\x89PNG") and row["family"] in chart.COLOURS


def test_what_never_pays_is_said():
    row = dict.fromkeys(["ours_ms", "peer_ms", "ratio", "recording_steps"], 1.0)
    row |= {"spread": [1, 1], "calls": 1, "buffer_bytes": 0, "pays_after": None}
    assert replay.cells(row)[-1] == "never"
    assert replay.cells(row | {"pays_after": 2.1})[-1] == "3"
    assert replay.cells(row | {"pays_after": -1.0})[-1] == "0"


@pytest.mark.filterwarnings("ignore::autograd.replay.NotReplayed")
def test_a_step_that_cannot_be_replayed_is_named(monkeypatch):
    def kept():
        made = []
        return lambda x, _: made.append(x * 2), (backend.xp.ones(3), None)

    monkeypatch.setattr(replay, "STEPS", {"mlp": ("a keeper", kept)})
    with pytest.raises(RunError, match="a keeper: the step is not replayed: an array"):
        list(replay.rows(Options(names=["mlp"], seconds=0.0)))


@pytest.mark.parametrize("name", ["vae", "realnvp", "spline", "pixelcnn", "lstm"])
def test_the_other_steps_can_be_taken(name):
    step, args = replay.STEPS[name][1]()
    before = [p.copy() for p in _parameters(step)]
    step(*args)
    assert any((p != q).any() for p, q in zip(_parameters(step), before, strict=True))


def _parameters(step):
    model = next(c.cell_contents for c in step.__closure__ if hasattr(c.cell_contents, "loss"))
    return [backend.to_numpy(p.data) for p in model.parameters().values()]
