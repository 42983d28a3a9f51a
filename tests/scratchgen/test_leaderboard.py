"""The table of all densities of images."""

import io
import json

import pytest
from matplotlib.image import imread
from rich.console import Console

from scratchgen import cli
from scratchgen.errors import RunError
from scratchgen.training import job, leaderboard
from scratchgen.training.run_folder import RunFolder

QUICK = ["epochs=1", "channels=4", "steps=2"]


def rows(out, names=("pixelcnn",)):
    return list(leaderboard.rows(names, QUICK, 0, out, Console(file=io.StringIO())))


def test_a_row_has_the_figures_of_the_run_and_a_second_time_it_is_read(tmp_path, monkeypatch):
    found = rows(tmp_path)
    assert [(row.model, row.levels) for row in found] == [
        ("pixelcnn", 17),
        ("independent pixels", 17),
        ("uniform", 17),
        ("pixelcnn", 2),
        ("independent pixels", 2),
        ("uniform", 2),
    ]
    for row in (found[0], found[3]):
        folder = RunFolder(tmp_path / f"pixelcnn-{row.levels}")
        *_, last, test = folder.read_metrics()
        assert (row.nats, row.training_seconds) == (test["test_nats"], last["seconds"])
        assert folder.read_config()["config"]["levels"] == row.levels
    assert round(found[1].nats, 2) == 106.94
    monkeypatch.setattr(job, "train", None)  # not called again
    again = rows(tmp_path)
    assert [row.nats for row in again] == [row.nats for row in found]


def test_a_run_that_is_not_finished_is_gone_on_with(tmp_path):
    found = rows(tmp_path)
    metrics = tmp_path / "pixelcnn-17" / "metrics.jsonl"
    metrics.write_text("\n".join(metrics.read_text().splitlines()[:-1]) + "\n")
    assert rows(tmp_path)[0].nats == found[0].nats


def test_a_run_of_other_settings_is_not_taken_for_one_of_these(tmp_path):
    rows(tmp_path)
    with pytest.raises(RunError, match="trained with other settings; choose another --out"):
        list(leaderboard.rows(["pixelcnn"], ["epochs=1"], 0, tmp_path, Console(file=io.StringIO())))


def test_the_table_is_written_as_markdown_chart_and_json_with_the_best_first(tmp_path):
    found = rows(tmp_path)
    markdown, chart, record = leaderboard.write(found, tmp_path)
    text = markdown.read_text(encoding="utf-8")
    assert text.count("| --- |") == 2 and text.count("| pixelcnn |") == 2
    first = text.splitlines()[2:5]
    nats = [float(line.split("|")[2].split("±")[0]) for line in first]
    assert nats == sorted(nats) and len(nats) == 3
    assert imread(chart).shape[:2] == (225, 1000)
    assert len(json.loads(record.read_text())) == len(found)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["pixelcn"], "did you mean 'pixelcnn'?"),
        (["charlstm"], "unknown density of images 'charlstm'"),
        (["--epochs", "0"], "--epochs 0: at least 1"),
    ],
)
def test_what_does_not_exist_is_refused_before_anything_is_trained(argv, message, capsys):
    assert cli.main(["leaderboard", *argv]) == 2
    assert message in capsys.readouterr().err
