"""Errors that a user can cause, as the commands report them: one line each."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UsageError(Exception):
    """What was asked for does not exist or makes no sense; the message says what does."""


class RunError(Exception):
    """What was asked for makes sense, but could not be done."""


class Interrupted(KeyboardInterrupt):
    """The user pressed Ctrl-C; the message says what was kept."""


def unknown(kind: str, name: str, existing: Iterable[str]) -> UsageError:
    """An error for a ``name`` that is none of the ``existing`` ones, with the nearest of them."""
    existing = list(existing)
    near = difflib.get_close_matches(name, existing, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return UsageError(f"unknown {kind} {name!r}{hint} (there are: {', '.join(existing)})")
