"""python -m benchmarks COMMAND [--json [FILE]] [--seconds S]"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy
import scipy
from rich.console import Console
from rich.table import Table

from autograd.backend.memory import keep_freed_memory
from autograd.backend.threads import OneBlasThread
from benchmarks.cores import pin

COMMANDS = {
    "overhead": "graph building and walking: additions, a small MLP, a double backward",
    "kernels": "convolutions and LSTM, forward and backward",
    "training": "a training step of the PixelCNN: forward, backward, Adam",
    "wavenet": "a training step of the WaveNet",
    "characters": "a training step of the character models",
    "vae": "a training step of the VAE 784-400-20",
    "vae-learning": "what it learns of Fashion-MNIST, beside PyTorch (minutes)",
    "gan": "a turn of each player of a DCGAN with the loss wgan-gp",
    "gan-learning": "what that of the preset learns of digits and clothes (minutes)",
    "flows": "a training step of Real NVP in the plane",
    "learning": "what the character LSTM learns, beside PyTorch (minutes)",
    "sampling": "cached against naive sampling of the PixelCNN and the gated one (no PyTorch)",
    "batches": "the same over the size of the batch (no PyTorch)",
    "generation": "cached against naive generation by the WaveNet (no PyTorch)",
    "modes": "modes that generators find, by their loss (minutes, no PyTorch)",
}
COLUMNS = ("ours, ms", "peer, ms", "ratio", "quartiles")


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    keep_freed_memory()  # for the peer as for us
    pin()  # likewise
    module = importlib.import_module(f"benchmarks.{options.command.replace('-', '_')}")
    console = Console(stderr=True)
    rows = []
    with console.status("timing …") as status, OneBlasThread():
        for row in module.rows(seconds=options.seconds):
            rows.append(row)
            status.update(f"timed {len(rows)}: {row['name']}")
    result = {"command": options.command, "machine": machine(), "rows": rows}
    if options.json is None:
        Console().print(_table(result, module))
    elif options.json == "-":
        print(json.dumps(result, indent=2))
    else:
        Path(options.json).write_text(json.dumps(result, indent=2) + "\n")
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    listing = "\n".join(f"  {name:12} {what}" for name, what in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=f"Timings against PyTorch eager, in turns in one process.\n\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument(
        "--json", nargs="?", const="-", metavar="FILE", help="JSON to FILE, or to the terminal"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="to spend on each row")
    return parser.parse_args(arguments)


def machine() -> dict[str, Any]:
    """What the timings were taken on."""
    found = {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
    }
    try:
        import torch
    except ImportError:
        return found
    return {**found, "torch": torch.__version__}


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _table(result: dict[str, Any], module: ModuleType) -> Table:
    """The rows as a table, with the module's own ``COLUMNS`` and ``cells`` if it has them."""
    about = ", ".join(f"{key} {value}" for key, value in result["machine"].items())
    table = Table(title=result["command"], caption=about)
    table.add_column("program")
    for column in getattr(module, "COLUMNS", COLUMNS):
        table.add_column(column, justify="right")
    cells = getattr(module, "cells", _cells)
    for row in result["rows"]:
        table.add_row(row["name"], *cells(row))
    return table


def _cells(row: dict[str, Any]) -> list[str]:
    ours = f"{row['ours_ms']:.3g}"
    if row["peer"] is None:
        return [ours, "not installed", "", ""]
    low, high = row["spread"]
    return [ours, f"{row['peer_ms']:.3g}", f"{row['ratio']:.2f}", f"{low:.2f} to {high:.2f}"]


if __name__ == "__main__":
    sys.exit(main())
