"""All claims on one page: contents, formulas, verdicts, derivations. The file needs no other."""

from __future__ import annotations

import html
from collections.abc import Sequence

from autograd.latex import plain
from scratchgen.derivations.figures import figure_svg, formula_svg
from scratchgen.derivations.registry import SECTIONS
from scratchgen.derivations.report import number, summary
from scratchgen.derivations.run import Result
from scratchgen.page import DARK, document

_STYLE = f"""{DARK}
a {{ color: var(--link) }} h1, h2, h3 {{ line-height: 1.25 }} h2 {{ margin-top: 3rem }}
article {{ border-top: 1px solid var(--line); padding: .3rem 0 1rem }}
h3 {{ margin: .8rem 0 .2rem; font-size: 1.1rem }}
.pale {{ font-size: .875rem; margin: .3rem 0; overflow-wrap: anywhere }}
.statement, .numbers {{ overflow-x: auto; padding: .6rem 0 }}
.statement svg {{ display: block; margin: .5rem 0 }} figure {{ margin: .5rem 0 }}
.holds {{ color: var(--good) }} .fails {{ color: var(--bad); font-weight: bold }}
td.n {{ font-variant-numeric: tabular-nums }} pre {{ padding: .7rem .9rem; font-size: .8125rem }}
nav ul {{ padding-left: 1.2rem; columns: 22rem }} nav li {{ break-inside: avoid }}
"""


def page(results: Sequence[Result], command: str) -> str:
    """``results`` as HTML; ``command`` is the line that made them."""
    sections: dict[str, list[Result]] = {}
    for result in results:
        sections.setdefault(result.claim.section, []).append(result)
    body = [
        f"<p>{html.escape(summary(results))}</p><pre>{html.escape(command)}</pre>",
        "<nav>",
        *(_contents(section, inside) for section, inside in sections.items()),
        "</nav>",
        *(_section(section, inside) for section, inside in sections.items()),
    ]
    return document("Derivations, verified", body, style=_STYLE, width=52)


def _contents(section: str, results: Sequence[Result]) -> str:
    entries = (
        f'<li><a href="#{result.claim.name}">{html.escape(result.claim.says)}</a>'
        f"{'' if result.passed else ' ' + _verdict(result)}</li>"
        for result in results
    )
    held = sum(result.passed for result in results)
    heading = f'<a href="#section-{section}">{html.escape(SECTIONS.get(section, section))}</a>'
    count = f"{held} of {len(results)} hold"
    return f"<details><summary>{heading}: {count}</summary><ul>{''.join(entries)}</ul></details>"


def _section(section: str, results: Sequence[Result]) -> str:
    heading = html.escape(SECTIONS.get(section, section))
    claims = "\n".join(map(_claim, results))
    return f'<section><h2 id="section-{section}">{heading}</h2>\n{claims}</section>'


def _claim(result: Result) -> str:
    claim = result.claim
    words = [html.escape(word) for word in (claim.source, claim.method) if word]
    facts = " · ".join([_verdict(result), *words, f"<code>{claim.name}</code>"])
    failure = "" if result.passed else f'<p class="fails">{html.escape(result.failure)}</p>'
    return "\n".join(
        [
            f'<article id="{claim.name}"><h3>{html.escape(claim.says)}</h3>',
            f'<div class="statement">{_statement(claim.statement, claim.says)}</div>',
            f'<p class="pale">{facts}</p>{failure}',
            _numbers(result),
            _figure(result),
            _folded("Derivation", claim.derivation),
            _folded("Code", claim.code),
            "</article>",
        ]
    )


def _verdict(result: Result) -> str:
    return (
        '<span class="holds">✓ holds</span>'
        if result.passed
        else '<span class="fails">✗ fails</span>'
    )


def _statement(statement: str, says: str) -> str:
    """Its formulas, one below the other; as they were written if they cannot be typeset."""
    shown = []
    for latex in statement.splitlines():
        alt = plain(latex) or latex
        try:
            shown.append(formula_svg(latex, alt))
        except ValueError:
            shown.append(f"<code>{html.escape(latex)}</code>")
    return "".join(shown)


def _numbers(result: Result) -> str:
    rows = "".join(
        f"<tr><td>{html.escape(c.what)}</td><td class=n>{number(c.left)} {c.relation} "
        f"{number(c.right)}</td><td class=n>{c.error:.1e}</td><td class=n>{c.tolerance:.1e}</td>"
        f"<td>{html.escape(c.reason)}</td></tr>"
        for c in result.proof.comparisons
    )
    head = "<tr><th></th><th>sides</th><th>error</th><th>tolerance</th><th>which is</th></tr>"
    return f'<div class="numbers"><table>{head}{rows}</table></div>' if rows else ""


def _figure(result: Result) -> str:
    if result.claim.figure is None:
        return ""
    alt = f"figure: {result.claim.says}"
    return f"<figure>{figure_svg(result.claim.figure(), result.claim.name, alt)}</figure>"


def _folded(heading: str, text: str) -> str:
    return (
        f"<details><summary>{heading}</summary><pre>{html.escape(text)}</pre></details>"
        if text
        else ""
    )
