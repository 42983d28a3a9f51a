"""The page of all recorded results, from a small folder of made-up ones."""

import json
import re

import pytest

from benchmarks import __main__ as command
from benchmarks import chart

MACHINE = {"processor": "A <Processor>", "cores": 2, "numpy": "2.0"}


def bench_row(backend, ms):
    row = {"name": "VAE: step", "backend": backend, "ours_ms": ms, "turns": 7}
    peer = {"family": "torch", "peer": "torch eager", "peer_ms": 2.0}
    return {**row, **peer, "ratio": ms / 2, "spread": [ms / 2.2, ms / 1.8]}


def scaling_row(backend, value, ms):
    axis = {"model": "VAE", "axis": "batch", "value": value}
    return {"name": f"VAE, batch {value}", "backend": backend, "ours_ms": ms, **axis}


def kernel_row(backend, size, ms):
    kernel = {"kernel": "matmul", "size": f"{size} rows", "dtype": "float32", "pass": "forward"}
    rates = {"bytes": 1e6 * size, "roofline": 0.5, "bound": "memory"}
    return {"name": f"matmul {size}", "backend": backend, "ours_ms": ms, **kernel, **rates}


def record(folder, device, name, rows, **more):
    (folder / device).mkdir(exist_ok=True)
    result = {"command": name, "machine": MACHINE, "rows": rows, **more}
    (folder / device / f"{name}.json").write_text(json.dumps(result))


@pytest.fixture
def folder(tmp_path):
    """CPU and GPU: on the GPU everything takes 8 ms, on the CPU as many as the size says."""
    for device, backend in (("a-cpu", "numpy"), ("a-gpu", "cupy")):
        times = {n: n if backend == "numpy" else 8 for n in (1, 4, 16, 64)}
        record(tmp_path, device, "models", [bench_row(backend, times[16])])
        record(tmp_path, device, "scaling", [scaling_row(backend, *x) for x in times.items()])
        record(tmp_path, device, "kernels", [kernel_row(backend, *x) for x in times.items()])
    return tmp_path


def written(folder, *more):
    file = folder / "page.html"
    assert command.main(["report", "--html", str(file), "--results", str(folder), *more]) == 0
    return file.read_text()


def test_the_page_needs_no_other_file(folder):
    page = written(folder)
    assert not re.search(r'(src|href)="(?!#)', page)
    assert page.count("<svg") == 7 and page.count("<h2>") == 3
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert "A &lt;Processor&gt;" in page


def test_the_page_says_from_where_on_the_gpu_is_faster(folder):
    page = written(folder)
    assert "<td>VAE: batch</td><td>8</td>" in page
    assert "<td>matmul</td><td>float32</td><td>forward</td><td>8 MB</td>" in page
    assert "<td>VAE: step</td><td>16</td><td>8</td><td>2.0</td>" in page


def test_one_device_alone_has_nothing_beside_it(tmp_path):
    record(tmp_path, "a-cpu", "models", [bench_row("numpy", 3.0)], interrupted=True)
    page = written(tmp_path)
    assert "Nothing was recorded on both" in page and "Interrupted" in page


def test_results_of_a_command_that_was_are_shown_all_the_same(tmp_path):
    record(tmp_path, "a-cpu", "flows", [{"name": "old", "some_ms": 1.2345}])
    record(tmp_path, "a-cpu", "modes", [{"name": "of other columns", "modes": 3}])
    page = written(tmp_path)
    assert "<td>old</td>" in page and "1.23" in page and "of other columns" in page


def test_no_results_are_one_line(tmp_path, capsys):
    assert command.main(["report", "--results", str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"benchmarks: no results in {tmp_path}; python -m benchmarks models --json {tmp_path}\n"
    )


def test_a_file_that_is_no_result_is_named(tmp_path, capsys):
    (tmp_path / "a-cpu").mkdir()
    (tmp_path / "a-cpu" / "models.json").write_text("{")
    assert command.main(["report", "--results", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    assert "models.json: not a result" in err and err.count("\n") == 1


def test_exponents_are_those_of_the_larger_half():
    points = [(1, 5.0), (2, 5.0), (4, 16.0), (8, 64.0), (16, 256.0)]
    assert chart.exponent(points) == pytest.approx(2)
