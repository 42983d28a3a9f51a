"""Derivatives by differences, with a bound on how far off they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np

EPSILON = 2.0**-52
"""Of float64: the distance from 1 to the next number."""


def central(phi: Callable[[float], Any], h: float) -> Any:
    """(φ(h) − φ(−h)) / 2h = φ′(0) + h² φ‴ / 6 with φ‴ from somewhere in between."""
    return (phi(h) - phi(-h)) / (2 * h)


def slope(phi: Callable[[float], Any], *, rounding: float, h: float = 2.0**-7) -> tuple[Any, Any]:
    """φ′(0) of a smooth function of t, in float64, and a bound on its error.

    Of D(h) = φ′ + h² φ‴ / 6 + h⁴ φ⁽⁵⁾ / 120 + …, two steps give R(h) = (4 D(h/2) − D(h)) / 3,
    without the term in h² (L. F. Richardson 1911). What is left of R is of order h⁴, so that of
    R(h/2) is a sixteenth of that of R(h): their difference is fifteen times as large as the error
    of R(h/2), and serves as its bound. To this comes the rounding of φ, of ``rounding`` errors one
    after the other: at most rounding · ε |φ| / (h/4) in D(h/4), and 5/3 of that in R.
    """
    coarse, middle, fine = (central(phi, step) for step in (h, h / 2, h / 4))
    first, second = (4 * middle - coarse) / 3, (4 * fine - middle) / 3
    size = np.maximum(abs(phi(h)), abs(phi(-h)))
    return second, abs(first - second) + 5 / 3 * rounding * EPSILON * size / (h / 4)


def along(f: Callable[[Any], Any], x: Any, v: Any) -> Callable[[float], Any]:
    """φ(t) = f(x + t v), whose slope at 0 is ⟨∇f(x), v⟩."""
    return lambda t: f(x + t * v)
