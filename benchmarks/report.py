"""python -m benchmarks report [--html FILE] [--results FOLDER]

All recorded results on one page: of each device the machine, the tables, the charts; and the CPU
beside the GPU. The file needs no other.
"""

from __future__ import annotations

import html
import importlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from benchmarks import bench, chart
from benchmarks.arguments import Parser, check_writable
from benchmarks.kernels import crossover
from scratchgen.derivations.figures import figure_svg
from scratchgen.errors import RunError
from scratchgen.page import DARK, document

RESULTS = Path(__file__).parent / "results"
LONG = 40  # rows of a table

Results = dict[str, dict[str, dict[str, Any]]]
"""By device and command."""

_STYLE = f"""{DARK}
h2 {{ margin-top: 3rem; border-top: 2px solid var(--line); padding-top: 1rem }}
div.wide {{ overflow-x: auto }} figure {{ margin: .8rem 0 }}
td, th {{ text-align: right; border-bottom: 1px solid var(--line) }}
td {{ font-variant-numeric: tabular-nums }}
td:first-child, th:first-child, table.about td {{ text-align: left }}
table.about td {{ white-space: normal }}
"""


def main(argv: Sequence[str]) -> int:
    """Write the page; the exit code. Raises :class:`RunError` if nothing has been recorded."""
    parser = Parser(prog="python -m benchmarks report", description=__doc__)
    parser.add_argument("--html", default="benchmarks.html", metavar="FILE", help="the page")
    parser.add_argument("--results", default=RESULTS, type=Path, metavar="FOLDER")
    asked = parser.parse_args(argv)
    check_writable("--html", Path(asked.html))
    Path(asked.html).write_text(page(recorded(asked.results)), encoding="utf-8")
    print(f"written: {asked.html}")
    return 0


def recorded(folder: Path) -> Results:
    """The results in FOLDER/DEVICE/COMMAND.json."""
    found: Results = {}
    for file in sorted(folder.glob("*/*.json")):
        try:
            result = json.loads(file.read_text(encoding="utf-8"))
            found.setdefault(file.parent.name, {})[result["command"]] = result
        except (ValueError, KeyError, TypeError) as error:
            raise RunError(f"{file}: not a result of a benchmark ({error})") from error
    if not found:
        raise RunError(f"no results in {folder}; python -m benchmarks models --json {folder}")
    return found


def page(results: Results) -> str:
    """All results as HTML."""
    body = [
        '<p class="pale">Ratios are times here by those of a peer, within the same turn: below 1, '
        "this library is faster. Quartiles are those of the ratio over turns.</p>",
        *(_device(name, commands) for name, commands in results.items()),
        _beside(results),
    ]
    return document("Benchmarks", body, style=_STYLE, width=64)


# ------------------------------------------------------------------------------------ of one device


def _device(name: str, commands: Mapping[str, dict[str, Any]]) -> str:
    machines = [result["machine"] for result in commands.values()]
    about = max(machines, key=len)
    parts = [f"<h2>{html.escape(name)}</h2>", _about(about)]
    for command, result in commands.items():
        parts.append(_command(name, command, result))
        if result["machine"] != about:
            other = _about(result["machine"])
            parts.append(f"<details><summary>recorded on</summary>{other}</details>")
    return "\n".join(parts)


def _command(device: str, command: str, result: Mapping[str, Any]) -> str:
    rows = [{"backend": "numpy", "family": None, **row} for row in result["rows"]]
    key = f"{device}-{command}"
    parts = [f'<h3 id="{key}">{html.escape(command)}</h3>']
    if "interrupted" in result:
        parts.append('<p class="pale">Interrupted: not all was timed.</p>')
    if any("roofline" in row for row in rows):
        parts.append(_figure(chart.rooflines(rows), key, "part of the roofline, by kernel"))
    elif any("axis" in row for row in rows):
        parts.append(_figure(chart.growth(_lines({device: rows})), key, "time over size"))
    elif any(row.get("peer") for row in rows):
        parts.append(_figure(chart.ratios(rows), key, "ratios to peers"))
    return "\n".join([*parts, _table(*_cells(command, rows))])


def _cells(command: str, rows: Sequence[dict[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Headings and texts: those of the command, or else whatever numbers the rows have."""
    try:
        module: Any = importlib.import_module(f"benchmarks.{command.replace('-', '_')}")
    except ModuleNotFoundError:  # of a command that was
        module = None
    columns = getattr(module, "COLUMNS", bench.COLUMNS)
    cells = getattr(module, "cells", bench.cells)
    try:
        return ["", *columns], [[row["name"], *cells(row)] for row in rows]
    except (KeyError, TypeError):  # recorded when it told other things
        names = [name for name in rows[0] if name != "name"]
        return ["", *names], [[row["name"], *(_text(row.get(n)) for n in names)] for row in rows]


def _text(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str("" if value is None else value)


# ----------------------------------------------------------------------------- the CPU and the GPU


def _lines(of_devices: Mapping[str, Sequence[dict[str, Any]]]) -> dict[str, dict[str, list]]:
    """Rows of ``scaling`` as series: by line, then by machine, (size, ms)."""
    lines: dict[str, dict[str, list]] = {}
    for device, rows in of_devices.items():
        for row in rows:
            series = lines.setdefault(f"{row['model']}: {row['axis']}", {})
            which = f"{'GPU' if row['backend'] == 'cupy' else 'CPU'}, {device}"
            series.setdefault(which, []).append((row["value"], row["ours_ms"]))
    return lines


def _beside(results: Results) -> str:
    """Where both were recorded: how long each takes, and from which size on the GPU is faster."""
    models = list(_pairs(_rows(commands, "models") for commands in results.values()))
    scaling = {device: _rows(commands, "scaling") for device, commands in results.items()}
    lines = {
        name: series
        for name, series in _lines(scaling).items()
        if len({which[:3] for which in series}) == 2
    }
    kernels = list(_kernels(_rows(commands, "kernels") for commands in results.values()))
    parts = ["<h2>CPU beside GPU</h2>"]
    if not (models or lines or kernels):
        parts.append('<p class="pale">Nothing was recorded on both; --backend cupy does it.</p>')
    if models:
        parts.append(_table(["", "CPU, ms", "GPU, ms", "CPU / GPU"], models))
    if lines:
        parts.append(_figure(chart.growth(lines), "beside", "time over size on CPU and GPU"))
        crossings = [[name, _overtaking(series)] for name, series in lines.items()]
        parts.append(_table(["", "the GPU is faster from"], crossings))
    if kernels:
        parts.append(_table(["kernel", "dtype", "pass", "the GPU is faster from"], kernels))
    return "\n".join(parts)


def _kernels(devices: Iterable[Sequence[dict[str, Any]]]) -> Iterator[list[str]]:
    """Of each kernel, dtype and pass the bytes from which on the GPU is faster."""
    rows = [row for rows in devices for row in rows if "kernel" in row]
    found = {
        tuple(row[key] for key in crossover.KEYS): row["overtakes"]
        for row in crossover.with_crossovers(rows)
        if "overtakes" in row
    }
    for key, size in found.items():
        yield [*key, _from(None if size is None else size / 1e6, " MB")]


def _from(size: float | None, unit: str = "") -> str:
    """0 stands for all sizes that were timed, None for none of them."""
    if size is None:
        return "no size timed"
    return f"{size:.3g}{unit}" if size else "all sizes timed"


def _rows(commands: Mapping[str, dict[str, Any]], command: str) -> list[dict[str, Any]]:
    return commands.get(command, {"rows": []})["rows"]


def _pairs(devices: Iterable[Sequence[dict[str, Any]]]) -> Iterator[list[str]]:
    """Of each program its shortest times on a CPU and on a GPU."""
    times: dict[str, dict[str, float]] = {}
    for rows in devices:
        for row in rows:
            found = times.setdefault(row["name"], {})
            found[row["backend"]] = min(row["ours_ms"], found.get(row["backend"], row["ours_ms"]))
    for name, found in times.items():
        if len(found) == 2:
            cpu, gpu = found["numpy"], found["cupy"]
            yield [name, f"{cpu:.3g}", f"{gpu:.3g}", f"{cpu / gpu:.1f}"]


def _overtaking(series: chart.Series) -> str:
    """The size from which on the fastest GPU is faster than the fastest CPU."""
    best: dict[str, dict[float, float]] = {"CPU": {}, "GPU": {}}
    for which, points in series.items():
        for size, ms in points:
            found = best[which[:3]]
            found[size] = min(ms, found.get(size, ms))
    sizes = sorted(best["CPU"].keys() & best["GPU"].keys())
    if not sizes:
        return _from(None)
    cpu, gpu = ([best[which][size] for size in sizes] for which in ("CPU", "GPU"))
    size = crossover.crossover(sizes, cpu, gpu)
    return _from(None if math.isinf(size) else size)


# --------------------------------------------------------------------------------------------- HTML


def _about(machine: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{html.escape(name.replace('_', ' '))}</th><td>{html.escape(str(value))}</td></tr>"
        for name, value in machine.items()
    )
    return f'<table class="about">{rows}</table>'


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a long one is folded."""
    head = "".join(f"<th>{html.escape(column)}</th>" for column in columns)
    body = [f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows]
    lines = "\n".join(body)
    table = f'<div class="wide"><table><tr>{head}</tr>\n{lines}</table></div>'
    if len(body) <= LONG:
        return table
    return f"<details><summary>{len(body)} rows</summary>{table}</details>"


def _figure(figure: Figure, key: str, alt: str) -> str:
    with matplotlib.rc_context({"svg.fonttype": "none"}):  # letters as text: a tenth of the size
        return f"<figure>{figure_svg(figure, key, alt)}</figure>"
