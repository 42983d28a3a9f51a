"""Error messages that name the operation and what it was given."""

from __future__ import annotations

from typing import Any

from autograd.backend import is_array


def describe(value: Any) -> str:
    """Shape and type of an argument, for messages."""
    if hasattr(value, "node") or is_array(value):
        return f"{tuple(value.shape)} {value.dtype}"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(describe, value[:8]))}{', ...' if len(value) > 8 else ''}]"
    return (
        repr(value) if isinstance(value, bool | int | float | str | None) else type(value).__name__
    )


def named(error: Exception, name: str, args: tuple) -> Exception:
    """``error`` again, saying which operation raised it, on arguments of which shapes."""
    kind = type(error)
    if kind.__module__.partition(".")[0] in ("numpy", "cupy") and kind.__name__ != "LinAlgError":
        kind = next(base for base in kind.__mro__ if base.__module__ == "builtins")
    elif kind.__module__ not in ("builtins", "numpy.linalg") and kind.__module__[:9] != "autograd.":
        return error  # somebody's own: leave it as it is
    cause = getattr(error, "cause", error)  # of an operation inside this one, only the cause
    named = kind(f"{name}: {cause}; the arguments were {', '.join(map(describe, args))}")
    named.cause = cause  # type: ignore[attr-defined]
    return named
