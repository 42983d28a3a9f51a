"""Weights in a file: safetensors, which holds arrays and a few strings, and no code to run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.numpy import save_file

_KEY = "scratchgen"  # one JSON string: safetensors keeps several in no fixed order


def save(path: Path, values: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Write host arrays by name, and metadata that JSON can hold.

    The file is replaced whole or not at all, wherever this is stopped, and the same content gives
    the same bytes.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        save_file(dict(values), temporary, {_KEY: json.dumps(metadata)})
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays by name (NumPy) and the metadata that :func:`save` wrote."""
    with safe_open(path, framework="numpy") as file:
        metadata = json.loads((file.metadata() or {}).get(_KEY, "{}"))
        return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118
