"""What came of claims, as the terminal shows it: a table of many, or one whole."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Any

import numpy
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from autograd.latex import plain
from scratchgen.derivations.proof import Comparison, Step
from scratchgen.derivations.registry import SECTIONS
from scratchgen.derivations.run import Result

OTHERS = 51
"""The width of the columns beside the claims."""


def table(section: str, results: Sequence[Result], width: int) -> Table:
    """The claims of a section, a row each, on a terminal of this width."""
    title = SECTIONS.get(section, section)
    shown = Table(title=title, title_justify="left", box=None, pad_edge=False, expand=True)
    shown.add_column("claim", ratio=1, overflow="fold")
    shown.add_column("method", max_width=11)
    for heading in ("error", "tolerance"):
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("verdict", no_wrap=True)
    shown.add_column("seconds", justify="right", no_wrap=True)
    for result in results:
        worst = result.worst
        name = textwrap.fill(result.claim.name, max(width - OTHERS, 20))  # breaks it at hyphens
        shown.add_row(
            Text.assemble((name, "bold"), "\n", result.claim.says),
            result.claim.method,
            "" if worst is None else f"{worst.error:.1e}",
            "" if worst is None else f"{worst.tolerance:.1e}",
            Text("holds", "green") if result.passed else Text("FAILS", "bold red"),
            f"{result.seconds:.2f}",
        )
    return shown


def summary(results: Sequence[Result]) -> str:
    """How many hold, how long they took, and how many could fail by chance."""
    failed = sum(not result.passed for result in results)
    count = f"{len(results)} claims" if len(results) > 1 else "1 claim"
    seconds = sum(result.seconds for result in results)
    alarms = sum(result.expected_false_alarms for result in results)
    held = f"{failed} of them FAILS" if failed == 1 else f"{failed} of them FAIL"
    if not failed:
        held = "all hold" if len(results) > 1 else "it holds"
    chance = f"; false alarms expected by chance: {alarms:.1g}" if alarms else ""
    return f"{count}, {held}, in {seconds:.1f} s{chance}"


def whole(result: Result, variants: Sequence[tuple[str, Result]]) -> RenderableType:
    """All about one claim but its code: ``variants`` are what is wrong, and what came of it."""
    claim = result.claim
    formulas = "\n".join(plain(line) or line for line in claim.statement.splitlines())
    facts = [f"Source:  {claim.source}"] if claim.source else []
    section = SECTIONS.get(claim.section, claim.section)
    parts: list[Any] = [
        Text(claim.says, "bold"),
        Padding(Text(formulas), (1, 4)),
        Text("\n".join([*facts, f"Method:  {claim.method}", f"Section: {section}"])),
    ]
    if claim.derivation:
        parts += [_heading("Derivation"), Text(claim.derivation)]
    parts += [_heading("Numbers"), _numbers(result.proof.lines)]
    verdict = Text("It holds.", "green") if result.passed else Text("It FAILS: ", "bold red")
    parts.append(Padding(verdict + Text(result.failure), (1, 0, 0, 0)))
    if variants:
        parts += [_heading("What it refuses"), _refused(variants)]
    return Group(*parts, _heading("Code"))


def number(value: float) -> str:
    """Ten digits, without the zeros at the end."""
    return f"{value:.10g}"


def _heading(text: str) -> Padding:
    return Padding(Text(text, "bold underline"), (1, 0, 0, 0))


def _numbers(lines: Sequence[Step | Comparison]) -> Table:
    shown = Table(box=None, pad_edge=False, show_header=False)
    shown.add_column(overflow="fold")
    shown.add_column(overflow="fold")
    for line in lines:
        if isinstance(line, Step):
            shown.add_row(Text(line.what), Text(_value(line.value)))
            continue
        sides = f"{number(line.left)} {line.relation} {number(line.right)}"
        error = f"error {line.error:.1e}, tolerance {line.tolerance:.1e}: {line.reason}"
        colour = "green" if line.passed else "bold red"
        shown.add_row(Text(line.what, colour), Text(f"{sides}\n{error}"))
    return shown


def _refused(variants: Sequence[tuple[str, Result]]) -> Table:
    shown = Table(box=None, pad_edge=False, show_header=False)
    for what, result in variants:
        error = f"error {result.worst.error:.1e}" if result.worst else result.failure
        shown.add_row(Text(what), Text("NOT REFUSED" if result.passed else f"found false, {error}"))
    return shown


def _value(value: Any) -> str:
    if not value.ndim:
        return number(float(value)) if value.dtype.kind == "f" else str(value)
    return numpy.array2string(value, precision=6, threshold=60, edgeitems=3, suppress_small=True)
