"""Compare every density of images on the same digits, by the likelihood of the same test part.

Each is trained by its own defaults, unless a run of it is in the folder already.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scratchgen.commands import common
from scratchgen.errors import UsageError, unknown

SUMMARY = "compare all densities of images on the digits"
EXAMPLE = "scratchgen leaderboard made pixelcnn --epochs 5 --out runs/quick"


def add_arguments(parser: Any) -> None:
    parser.add_argument(
        "models", metavar="MODEL", nargs="*", help="only these; default: all there are"
    )
    parser.add_argument("--epochs", type=int, metavar="N", help="in place of each model's own")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        default=Path("runs/leaderboard"),
        help="folder of the runs and the table; default: runs/leaderboard",
    )
    common.add_seed(parser)
    common.add_machine(parser)


def run(args: Any, command: str) -> None:
    if args.epochs is not None and args.epochs < 1:
        raise UsageError(f"--epochs {args.epochs}: at least 1")
    with common.machine(args):
        from rich.console import Console
        from rich.table import Table

        from scratchgen.training import leaderboard

        entrants = leaderboard.entrants()
        for name in args.models:
            if name not in entrants:
                raise unknown("density of images", name, entrants)
        console = Console(highlight=False)
        names = args.models or entrants
        changes = [] if args.epochs is None else [f"epochs={args.epochs}"]
        found = list(leaderboard.rows(names, changes, common.seed(args), args.out, console))
        for levels, best in leaderboard.ranked(found):
            table = Table(title=f"{levels} levels", title_justify="left", box=None, pad_edge=False)
            for i, heading in enumerate(leaderboard.COLUMNS):
                table.add_column(heading, justify="right" if i else "left", no_wrap=not i)
            for row in best:
                table.add_row(*row.cells())
            console.print(table, "")
        for path in leaderboard.write(found, args.out):
            console.print(str(path), markup=False, soft_wrap=True)
