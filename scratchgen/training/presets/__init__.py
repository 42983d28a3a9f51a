"""The models that can be trained by name, each with its data set and settings that suit the two."""

from __future__ import annotations

from scratchgen.errors import unknown
from scratchgen.training.presets import adversarial, autoregressive, flows, latent
from scratchgen.training.presets.preset import Preset

__all__ = ["PRESETS", "Preset", "find"]

PRESETS: dict[str, Preset] = {
    **autoregressive.PRESETS,
    **latent.PRESETS,
    **flows.PRESETS,
    **adversarial.PRESETS,
}


def find(name: str) -> Preset:
    """The preset of that name. Raises UsageError, with the nearest name, if there is none."""
    if name not in PRESETS:
        raise unknown("model", name, PRESETS)
    return PRESETS[name]
