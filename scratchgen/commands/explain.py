"""Show one claim whole: what it says, its derivation, the numbers of each step, and its code.

Also what it refuses: mistakes that could be made in it, each of which is computed and found false.
"""

from __future__ import annotations

from typing import Any

from scratchgen.commands import common
from scratchgen.errors import RunError

SUMMARY = "show a derivation step by step"
EXAMPLE = "scratchgen explain cross-entropy-is-entropy-plus-divergence"


def add_arguments(parser: Any) -> None:
    parser.add_argument(
        "claim", metavar="NAME", help="of a claim, or a part of it; see: scratchgen verify --list"
    )
    common.add_claims(parser)
    common.add_seed(parser)
    common.add_machine(parser)


def run(args: Any, command: str) -> None:
    seed = common.seed(args)
    with common.machine(args):
        from rich.console import Console
        from rich.syntax import Syntax

        from scratchgen.derivations import registry, report
        from scratchgen.derivations.run import run as derive

        claim = registry.named(common.claims(args), args.claim)
        result = derive(claim, seed)
        variants = [(what, derive(claim, seed, change)) for what, change in claim.wrong.items()]
        console = Console(highlight=False)
        console.print(report.whole(result, variants))
        if console.is_terminal:
            console.print(Syntax(claim.code, "python", theme="ansi_dark", word_wrap=True))
        else:
            print(claim.code, end="")
    if not result.passed:
        raise RunError(f"{claim.name} fails: {result.failure}")
