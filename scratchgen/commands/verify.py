"""Run the derivations that the models rest on: both sides of each claim, and how far they differ.

A tolerance is derived, not chosen: rounding, truncation, or a quantile of the standard error. The
exit code is 1 if a claim fails.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from scratchgen.commands import common
from scratchgen.errors import RunError

SUMMARY = "check the derivations numerically"
EXAMPLE = "scratchgen verify kl --section latent"


def add_arguments(parser: Any) -> None:
    parser.add_argument(
        "patterns",
        metavar="PATTERN",
        nargs="*",
        help="part of a claim's name, or with wildcards; default: all claims",
    )
    parser.add_argument("--section", metavar="S", help="only the claims of this section")
    common.add_claims(parser)
    parser.add_argument("--list", action="store_true", help="name the claims, run none")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with all of them")
    common.add_seed(parser)
    common.add_machine(parser)


def run(args: Any, command: str) -> None:
    seed = common.seed(args)
    with common.machine(args):
        from rich.console import Console
        from rich.progress import track

        from scratchgen.derivations import registry, report
        from scratchgen.derivations.run import verify

        console = Console(highlight=False)
        claims = registry.find(common.claims(args), args.patterns, args.section)
        if args.list:
            for claim in claims:
                console.print(f"{claim.section:15}{claim.name}", markup=False, soft_wrap=True)
            return
        errors = Console(stderr=True)
        results = list(
            track(
                verify(claims, seed),
                "verifying",
                total=len(claims),
                console=errors,
                transient=True,
                disable=not errors.is_terminal,
            )
        )
        if args.html:
            _write_page(args.html, results, command)
        if args.json:
            print(json.dumps([result.record() for result in results], indent=2, ensure_ascii=False))
        else:
            for section in dict.fromkeys(claim.section for claim in claims):
                of_it = [result for result in results if result.claim.section == section]
                console.print(report.table(section, of_it, console.width), "")
            console.print(report.summary(results), markup=False)
            if args.html:
                console.print(str(args.html), markup=False, soft_wrap=True)
    failed = [result for result in results if not result.passed]
    if failed:
        reasons = "; ".join(f"{result.claim.name} ({result.failure})" for result in failed)
        raise RunError(f"{len(failed)} of {len(results)} claims failed: {reasons}")


def _write_page(path: Path, results: Any, command: str) -> None:
    from scratchgen.derivations.page import page

    text = page(results, command)
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunError(f"cannot write {path}: {error.strerror or error}") from error
