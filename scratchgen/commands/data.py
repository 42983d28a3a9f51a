"""List the data that models can be trained on: what they are, and how to get them."""

from __future__ import annotations

from typing import Any

from scratchgen.errors import unknown

SUMMARY = "list the data, or fetch some"
EXAMPLE = "scratchgen data --download fashion-mnist"


def add_arguments(parser: Any) -> None:
    parser.add_argument("--download", metavar="NAME", help="fetch this data set, and check it")


def run(args: Any, command: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from scratchgen.data import catalogue, mnist

    console = Console(highlight=False)
    if args.download is not None:
        if args.download not in mnist.SOURCES:
            raise unknown("data set to download", args.download, mnist.SOURCES)
        console.print(str(mnist.download(args.download)), markup=False, soft_wrap=True)
        return
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for entry in catalogue.entries():
        missing = "" if entry.present else " (not here yet)"
        table.add_row(Text(entry.name, "bold"), Text(entry.what + missing))
        for word in ("shape", "source", "licence", "get"):
            table.add_row(f"  {word}", Text(getattr(entry, word)))
    console.print(table)
