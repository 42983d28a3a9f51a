"""A page of HTML that needs no other file: its frame, and the style that all pages share."""

from __future__ import annotations

import html
from collections.abc import Iterable

DARK = """
:root { color-scheme: light dark; --good: #18794e; --bad: #c4291c; --link: #0b5cad }
@media (prefers-color-scheme: dark) { :root { --text: #ddd; --page: #16181b; --pale: #9a9a9a;
        --line: #383c42; --box: #202429; --good: #4cc38a; --bad: #ff8a7a; --link: #7cb8ff } }
"""
"""The colours where the reader's screen is dark, for a page whose pictures have no ground."""

_STYLE = """
:root { --text: #222; --page: #fff; --pale: #666; --line: #ddd; --box: #f5f5f5 }
body { font: 16px/1.5 system-ui, sans-serif; margin: 1.5rem auto; padding: 0 1rem;
       color: var(--text); background: var(--page) }
.pale, th { color: var(--pale) } summary { cursor: pointer }
table { border-collapse: collapse; font-size: .875rem }
td, th { text-align: left; padding: .15rem .9rem .15rem 0; font-weight: normal;
         white-space: nowrap }
figure svg { max-width: 100%; height: auto } pre { background: var(--box); overflow-x: auto }
"""


def document(title: str, body: Iterable[str], *, style: str, width: int) -> str:
    """The page with this title above the lines of its body, of ``width`` rem at most.

    ``style`` comes after what all pages have, and may change it.
    """
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{html.escape(title)}</title>",
            f"<style>{_STYLE}body {{ max-width: {width}rem }}\n{style}</style></head>",
            f"<body><h1>{html.escape(title)}</h1>",
            *body,
            "</body></html>\n",
        ]
    )
