"""Sampling colder or hotter than the model: p_T(x) ∝ p(x)^{1/T}."""

from __future__ import annotations

from typing import Any


def tempered(logits: Any, temperature: float) -> Any:
    """Logits of p_T: those of p over T. T → 0 leaves only the likeliest x, T → ∞ all x alike.

    At T = 1 these are the logits themselves. Raises ValueError unless T is above 0.
    """
    if not temperature > 0:
        raise ValueError(f"temperature={temperature}: temperature must be above 0")
    return logits if temperature == 1 else logits / temperature
