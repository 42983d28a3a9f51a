"""A training step of each model, and a run of sampling, against the same in other libraries."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from typing import Any

from benchmarks import bench

ALL = ("vae", "realnvp", "gan", "pixelcnn", "characters", "wavenet")
"""The files of this folder; each has ``benches() -> list[Bench]``."""


def rows(options: bench.Options) -> Iterator[dict[str, Any]]:
    """The rows of the models asked for, of all if none is."""
    modules = [importlib.import_module(f"benchmarks.models.{n}") for n in options.names or ALL]
    benches = [made for module in modules for made in module.benches()]
    return bench.rows(benches, options.backends, options.families, options.seconds, options.began)
