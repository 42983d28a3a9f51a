"""python -m benchmarks COMMAND [NAME ...] [--backend numpy,cupy] [--peers torch,torch-compile,jax]

Exit codes: 0 done; 1 a backend or a peer cannot run here; 2 what was asked for does not exist, is
not installed or makes no sense; 130 interrupted by Ctrl-C, with what had been timed kept.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from autograd import backend
from autograd.backend.memory import keep_freed_memory
from autograd.backend.threads import OneBlasThread
from benchmarks import bench, chart, report
from benchmarks.arguments import Parser, check_picture, check_seconds, check_writable
from benchmarks.bench import BACKENDS, FAMILIES, Options, missing
from benchmarks.cores import pin
from benchmarks.machine import machine
from scratchgen.errors import RunError, UsageError, unknown


@dataclass(frozen=True)
class Command:
    """What a command is for, what may follow it, and the peers that it cannot do without."""

    what: str
    takes: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()


WIDTH = 140  # of a table that goes to a file
BENCHES, BACKEND, TORCH = ("names", "backend", "peers"), ("backend",), ("torch",)
COMMANDS = {
    "kernels": Command("operations, against what the machine can do", BENCHES),
    "models": Command("a training step of each model, and sampling", BENCHES),
    "scaling": Command("how time and memory grow with each size", ("names", "backend")),
    "overhead": Command("what a step costs before any arithmetic", ("backend", "peers")),
    "replay": Command("what it gains to replay a recorded step", ("names",)),
    "sampling": Command("cached against naive sampling of PixelCNNs", BACKEND),
    "batches": Command("the same over the size of the batch", BACKEND),
    "generation": Command("cached against naive generation by the WaveNet", BACKEND),
    "learning": Command("what the character LSTM learns, beside PyTorch (minutes)", needs=TORCH),
    "vae-learning": Command(
        "what the VAE learns of Fashion-MNIST, beside PyTorch (minutes)", needs=TORCH
    ),
    "gan-learning": Command(
        "what a DCGAN learns of digits and clothes, beside PyTorch (minutes)", needs=TORCH
    ),
    "modes": Command("modes that generators find, by their loss (minutes)"),
    "report": Command("a page of all recorded results (report --help)"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (by default the process's own); the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        if argv[:1] == ["report"]:
            return report.main(argv[1:])
        return _run(_parse(argv))
    except UsageError as error:
        return _complain(str(error), 2)
    except (RunError, backend.BackendNotAvailable) as error:
        return _complain(str(error), 1)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)


def _complain(message: str, code: int) -> int:
    print(f"benchmarks: {message}", file=sys.stderr)
    return code


def _run(asked: argparse.Namespace) -> int:
    module = importlib.import_module(f"benchmarks.{asked.command.replace('-', '_')}")
    for name in asked.names:
        if name not in module.ALL:
            raise unknown("bench", name, module.ALL)
    for name in asked.backend:
        with backend.using(name):
            pass  # which says now what is missing, not after minutes
    families = _families(asked)
    _check_files(asked, module)
    kept = keep_freed_memory()  # for the peers as for us
    about = machine(asked.backend, families, pin(families), kept)
    result: dict[str, Any] = {"command": asked.command, "machine": about, "rows": []}
    try:
        with _progress() as began, OneBlasThread():
            options = Options(asked.names, asked.backend, families, asked.seconds, began)
            for row in _rows(module, options, COMMANDS[asked.command]):
                result["rows"].append(row)  # one by one: they stay if one fails
    except KeyboardInterrupt:
        result["interrupted"] = True
        return _complain(f"interrupted; rows timed before: {len(result['rows'])}", 130)
    finally:
        if result["rows"]:
            _show(result, module, asked)
    return 0


# ------------------------------------------------------------------------------ what is asked for


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
        raise unknown("command", argv[0], COMMANDS)
    listing = "\n".join(f"  {name:13} {command.what}" for name, command in COMMANDS.items())
    parser = Parser(
        prog="python -m benchmarks",
        description=f"Timings, in turns with other libraries in one process.\n\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("command", metavar="COMMAND")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these benches")
    parser.add_argument("--backend", help=f"one or more of {','.join(BACKENDS)}")
    parser.add_argument("--peers", help=f"one or more of {','.join(FAMILIES)}, or none")
    parser.add_argument("--json", nargs="?", const="-", metavar="FILE", help=_JSON)
    parser.add_argument("--chart", metavar="FILE.png", help="draw the ratios")
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help=_SECONDS)
    asked, rest = parser.parse_known_intermixed_args(argv)
    if rest:
        raise unknown("argument", rest[0], parser._option_string_actions)
    for taken, given in vars(asked).items():
        if taken in BENCHES and given and taken not in COMMANDS[asked.command].takes:
            raise UsageError(f"{asked.command}: takes no {taken}")
    check_seconds(asked.seconds)
    asked.backend = _words("backend", asked.backend or "numpy", BACKENDS)
    return asked


_JSON = "write JSON to FILE, or print it; in a folder FILE it is DEVICE/COMMAND.json"
_SECONDS = "to spend on each bench, shared by all its programs (2); scaling and kernels take a part"


def _check_files(asked: argparse.Namespace, module: ModuleType) -> None:
    """Whether what is to be written can be."""
    if asked.json not in (None, "-") and not Path(asked.json).is_dir():
        check_writable("--json", Path(asked.json))
    if asked.chart is not None:
        check_picture("--chart", Path(asked.chart))
        if "peers" not in COMMANDS[asked.command].takes and not hasattr(module, "chart"):
            raise UsageError(f"argument --chart: {asked.command} has no ratios to draw")


def _words(kind: str, text: str, existing: Sequence[str]) -> list[str]:
    """Words with commas between them, each of which exists."""
    words = list(dict.fromkeys(text.split(",")))
    for word in words:
        if word not in existing:
            raise unknown(kind, word, existing)
    return words


def _families(asked: argparse.Namespace) -> list[str]:
    """The peers: those asked for, which must be there; or PyTorch, if it is."""
    devices = ["cuda" if name == "cupy" else "cpu" for name in asked.backend]
    for reason in (missing(family, "cpu") for family in COMMANDS[asked.command].needs):
        if reason is not None:
            raise UsageError(f"{asked.command}: {reason}")
    if asked.peers == "none":
        return []
    families = _words("peer", asked.peers or "torch", FAMILIES)
    lacking = [missing(family, device) for family in families for device in devices]
    lacking = [reason for reason in lacking if reason is not None]
    if lacking and asked.peers:
        raise UsageError(lacking[0])
    return [] if lacking else families


# ------------------------------------------------------------------------------------------- timing


def _rows(module: ModuleType, options: Options, command: Command) -> Iterator[dict[str, Any]]:
    if command.takes != BACKEND:
        yield from module.rows(options)
        return
    for name in options.backends:
        with backend.using(name):
            for row in module.rows(options):
                yield {"backend": name, **row}


@contextlib.contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """Shows what is being timed, how many of how many, and how long the rest will take."""
    count = MofNCompleteColumn()
    columns: list[Any] = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), count]
    columns += [TimeElapsedColumn(), TextColumn("left:"), TimeRemainingColumn()]
    console = Console(stderr=True)
    settings: Any = {"transient": True, "disable": not console.is_terminal}
    with Progress(*columns, console=console, speed_estimate_period=1e6, **settings) as shown:
        task = shown.add_task("setting up", total=None)

        def began(what: str, done: int, total: int) -> None:
            shown.update(task, description=what, completed=done, total=total)

        yield began


# ------------------------------------------------------------------------------------------ showing


def _show(result: dict[str, Any], module: ModuleType, asked: argparse.Namespace) -> None:
    text = json.dumps(result, indent=2) + "\n"
    if asked.json is None:
        width = None if sys.stdout.isatty() else WIDTH
        Console(width=width).print(_table(result, module))
    elif asked.json == "-":
        print(text, end="")
    else:
        file = Path(asked.json)
        if file.is_dir():
            file = file / result["machine"]["device"] / f"{asked.command}.json"
            file.parent.mkdir(exist_ok=True)
        file.write_text(text)
    if asked.chart is not None:
        getattr(module, "chart", chart.chart)(result["rows"], asked.chart)


def _table(result: dict[str, Any], module: ModuleType) -> Table:
    """The rows as a table, with the module's own ``COLUMNS`` and ``cells`` if it has them."""
    about = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    table = Table(title=result["command"], caption=about)
    table.add_column("program")
    for column in getattr(module, "COLUMNS", bench.COLUMNS):
        table.add_column(column, justify="right")
    for row in result["rows"]:
        table.add_row(row["name"], *getattr(module, "cells", bench.cells)(row))
    return table


if __name__ == "__main__":
    sys.exit(main())
