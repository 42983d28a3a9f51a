"""Invertible functions with their log-determinants, of which flows are made."""

from scratchgen.transforms.transform import (
    Compose,
    Inverse,
    InverseNotAvailable,
    Transform,
)

__all__ = [
    "Compose",
    "Inverse",
    "InverseNotAvailable",
    "Transform",
]
