"""Timing in turns, and the command ``python -m benchmarks``; with a clock that programs turn."""

import json
import sys
from types import ModuleType, SimpleNamespace

import pytest

from benchmarks import __main__ as command
from benchmarks import bench, timing
from benchmarks.bench import Bench


class Clock:
    """Programs take what they say; the machine gets slower from round to round."""

    def __init__(self, monkeypatch, programs):
        self.now, self.pauses, self.programs = 0.0, 0, programs
        fake = SimpleNamespace(perf_counter=lambda: self.now, sleep=self.sleep)
        monkeypatch.setattr(timing, "time", fake)

    def sleep(self, seconds):
        self.pauses += 1
        self.now += seconds

    def program(self, ms):
        def run():
            slower = 1 + max(0, self.pauses - 1) // self.programs
            self.now += ms * slower / 1e3

        return run


def test_the_fastest_variant_of_each_family_counts(monkeypatch):
    clock = Clock(monkeypatch, programs=4)
    peers = {
        "torch": {"channels last": clock.program(4), "contiguous": clock.program(3.9)},
        "jax": {"": clock.program(1)},
    }
    torch, jax = timing.interleave(clock.program(2), peers, seconds=0.0)
    assert (torch["family"], torch["peer"]) == ("torch", "torch eager, contiguous")
    assert (jax["family"], jax["peer"]) == ("jax", "jax jitted")
    assert jax["ratio"] == pytest.approx(2) and torch["ratio"] == pytest.approx(2 / 3.9)


def test_the_ratio_is_that_within_a_turn(monkeypatch):
    clock = Clock(monkeypatch, programs=2)
    (row,) = timing.interleave(clock.program(2), {"jax": {"": clock.program(1)}}, seconds=0.0)
    assert row["spread"] == pytest.approx([2, 2])  # though the machine became 7 times slower
    assert row["ours_ms"] == pytest.approx(8) and row["peer_ms"] == pytest.approx(4)
    assert row["turns"] == 7


def test_a_variant_that_is_no_match_stops_being_timed(monkeypatch):
    clock = Clock(monkeypatch, programs=3)
    slow = []
    peers = {"torch": {"slow": lambda: slow.append(clock.program(50)()), "": clock.program(1)}}
    (row,) = timing.interleave(clock.program(1), peers, seconds=0.0)
    assert row["peer"] == "torch eager" and row["turns"] == 7
    assert len(slow) <= timing.WARM_UP + timing.TRIAL * 3


def test_first_calls_are_not_counted(monkeypatch):
    clock = Clock(monkeypatch, programs=2)
    calls = []

    def compiles():
        calls.append(0)
        clock.now += 10.0 if len(calls) <= timing.WARM_UP else 0.001

    (row,) = timing.interleave(clock.program(1), {"jax": {"": compiles}}, seconds=0.0)
    assert row["peer_ms"] == pytest.approx(1)


def fake_benches(clock):
    fast = {"torch": lambda device: {device: clock.program(1)}}
    return [
        Bench("both", lambda: clock.program(2), fast),
        Bench("ours", lambda: clock.program(3), {}),
    ]


def test_rows_of_benches_name_what_is_missing(monkeypatch):
    clock = Clock(monkeypatch, programs=2)
    began = []
    rows = list(
        bench.rows(fake_benches(clock), ["numpy"], ["torch"], 0.0, lambda *what: began.append(what))
    )
    assert [row["name"] for row in rows] == ["both", "ours"]
    assert [row["backend"] for row in rows] == ["numpy", "numpy"]
    assert rows[0]["peer"] == "torch eager, cpu"
    assert rows[1]["family"] == "torch" and rows[1]["peer"] is rows[1]["ratio"] is None
    assert began == [("both (numpy)", 0, 2), ("ours (numpy)", 1, 2)]
    (row, _) = bench.rows(fake_benches(clock), ["numpy"], [], 0.0)
    assert row["family"] is row["peer"] is None


@pytest.fixture
def fake(monkeypatch):
    """The command ``fake``, which leaves this process as it is."""
    clock, module = Clock(monkeypatch, programs=2), ModuleType("benchmarks.fake")
    module.ALL = ("one", "two")
    module.rows = lambda options: bench.rows(
        fake_benches(clock), options.backends, options.families, options.seconds, options.began
    )
    monkeypatch.setitem(sys.modules, "benchmarks.fake", module)
    monkeypatch.setitem(command.COMMANDS, "fake", command.Command("", command.BENCHES))
    monkeypatch.setattr(command, "pin", lambda families: [0, 1])
    monkeypatch.setattr(command, "keep_freed_memory", lambda: True)
    monkeypatch.setattr(command, "missing", lambda family, device: None)
    monkeypatch.setattr(command, "machine", lambda *_: {"device": "a-machine", "numpy": "2"})
    return module


def test_a_table_has_a_row_for_each_bench(fake, capsys):
    assert command.main(["fake", "--seconds", "0"]) == 0
    out = capsys.readouterr().out
    assert "torch eager, cpu" in out and "no torch" in out and "a-machine" in out


def test_json_goes_to_a_file_or_to_the_folder_of_the_device(fake, tmp_path):
    assert command.main(["fake", "one", "--seconds", "0", "--json", f"{tmp_path}/a.json"]) == 0
    assert command.main(["fake", "--seconds", "0", "--json", str(tmp_path)]) == 0
    result = json.loads((tmp_path / "a.json").read_text())
    assert result["command"] == "fake" and len(result["rows"]) == 2
    assert json.loads((tmp_path / "a-machine" / "fake.json").read_text())["rows"]


def test_a_chart_is_a_png(fake, tmp_path):
    assert command.main(["fake", "--seconds", "0", "--chart", f"{tmp_path}/a.png"]) == 0
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_chart_without_ratios_says_so(fake, tmp_path, capsys):
    arguments = ["fake", "--seconds", "0", "--peers", "none", "--chart", f"{tmp_path}/a.png"]
    assert command.main(arguments) == 2
    assert "no ratio to a peer" in capsys.readouterr().err


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_what_was_timed_is_kept(fake, tmp_path, capsys, error):
    whole = fake.rows

    def rows(options):
        yield next(whole(options))
        raise error

    fake.rows = rows
    arguments = ["fake", "--seconds", "0", "--json", f"{tmp_path}/a.json"]
    if error is RuntimeError:
        with pytest.raises(RuntimeError):
            command.main(arguments)
    else:
        assert command.main(arguments) == 130
        assert capsys.readouterr().err == "benchmarks: interrupted; rows timed before: 1\n"
    result = json.loads((tmp_path / "a.json").read_text())
    assert [row["name"] for row in result["rows"]] == ["both"]
    assert result.get("interrupted", False) == (error is KeyboardInterrupt)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ("modles", "unknown command 'modles'; did you mean"),
        ("fake tow", "unknown bench 'tow'; did you mean 'two'"),
        ("fake --peers tirch", "unknown peer 'tirch'; did you mean 'torch'"),
        ("fake --backend nunpy", "unknown backend 'nunpy'; did you mean 'numpy'"),
        ("fake --chrat x.png", "unknown argument '--chrat'; did you mean '--chart'"),
        ("fake --seconds soon", "argument --seconds: invalid float value: 'soon'"),
        ("fake --seconds -1", "argument --seconds: -1 is not a time to spend"),
        ("fake --seconds nan", "argument --seconds: nan is not a time to spend"),
        ("fake --json nowhere/a.json", "argument --json: there is no folder nowhere"),
        ("fake --chart nowhere/a.png", "argument --chart: there is no folder nowhere"),
        ("fake --chart a.pgn", "argument --chart: a.pgn does not end in one of ."),
        ("fake --chart a", "argument --chart: a does not end in one of ."),
        ("modes --chart a.png", "argument --chart: modes has no ratios to draw"),
        ("report --html nowhere/a.html", "argument --html: there is no folder nowhere"),
        ("report --hmtl a.html", "unrecognized arguments: --hmtl a.html"),
        ("replay --peers torch", "replay: takes no peers"),
        ("learning --peers jax", "learning: takes no peers"),
        ("modes grid", "modes: takes no names"),
        ("", "required: COMMAND"),
    ],
)
def test_a_wrong_word_is_one_line(fake, capsys, arguments, says):
    assert command.main(arguments.split()) == 2
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1 and err.startswith("benchmarks: ")


def test_a_peer_that_is_not_installed(fake, monkeypatch, capsys):
    monkeypatch.setattr(command, "missing", bench.missing)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert command.main(["fake", "--peers", "torch-compile"]) == 2
    assert "torch is not installed; pip install torch" in capsys.readouterr().err
    assert not bench.installed("jax")
    assert command.main(["fake", "--seconds", "0"]) == 0  # it was not asked for
    assert "no peer installed" in capsys.readouterr().out


def test_a_command_says_which_peer_it_needs(fake, monkeypatch, capsys):
    monkeypatch.setattr(command, "missing", bench.missing)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert command.main(["learning"]) == 2
    assert "learning: peer 'torch': torch is not installed" in capsys.readouterr().err


def test_a_backend_that_cannot_run_is_said_before_anything_is_timed(fake, capsys):
    if "cupy" in command.backend.available():
        pytest.skip("there is a GPU")
    assert command.main(["fake", "--backend", "numpy,cupy"]) == 1
    err = capsys.readouterr().err
    assert "backend 'cupy'" in err and err.count("\n") == 1


def test_old_commands_are_told_the_backend(fake, monkeypatch, capsys):
    monkeypatch.setitem(command.COMMANDS, "fake", command.Command("", command.BACKEND))
    fake.rows = lambda options: iter([{"name": command.backend.current()}])
    assert command.main(["fake", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == [{"backend": "numpy", "name": "numpy"}]
