"""List the models that can be trained; with a name, its fields and its source."""

from __future__ import annotations

import inspect
from typing import Any

SUMMARY = "list the models, or the fields of one"
EXAMPLE = "scratchgen models pixelcnn"


def add_arguments(parser: Any) -> None:
    parser.add_argument("model", metavar="MODEL", nargs="?", help="show its fields")


def run(args: Any, command: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from scratchgen.config import fields
    from scratchgen.training import presets

    console = Console(highlight=False)
    table = Table(box=None, pad_edge=False)
    if args.model is None:
        for heading in ("model", "data", "what it is"):
            table.add_column(heading)
        for name, preset in presets.PRESETS.items():
            table.add_row(name, preset.data, preset.summary)
        console.print(table)
        return
    preset = presets.find(args.model)
    source = inspect.getmodule(preset.model)
    assert source is not None and source.__doc__
    title, paper, *_ = source.__doc__.split("\n\n")
    console.print(" ".join(title.split()), markup=False)
    console.print("Source: " + " ".join(paper.split()), markup=False)
    console.print(f"Code: {source.__name__}\nData: {preset.data}\n", markup=False)
    for heading in ("field", "type", "default", "meaning"):
        table.add_column(heading)
    for field in (*fields(preset.config), *fields(preset.training)):
        table.add_row(field.name, field.kind, str(field.default), field.meaning)
    console.print(table)
    console.print(f"\nscratchgen train {args.model} --set FIELD=VALUE changes one.", markup=False)
