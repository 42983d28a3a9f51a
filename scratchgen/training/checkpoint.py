"""Arrays in a file: safetensors, which holds arrays and a few strings, and no code to run."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from scratchgen.errors import RunError

_KEY = "scratchgen"  # one JSON string: safetensors keeps several in no fixed order


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write to, which becomes ``path`` when the block ends well and leaves no trace else.

    Its content is on the disk before it takes the name. Raises RunError if it cannot be written.
    """
    temporary = path.with_name(path.name + ".part")
    try:
        yield temporary
        with temporary.open("r+b") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except (OSError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RunError(f"cannot write {path}: {reason}; what was there before is kept") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def save(path: Path, values: Mapping[str, Any], metadata: Mapping[str, Any]) -> None:
    """Write host arrays by name, and metadata that JSON can hold.

    The file is replaced whole or not at all, wherever this is stopped, and the same content gives
    the same bytes. Raises RunError if it cannot be written.
    """
    with replacing(path) as temporary:
        save_file(dict(values), temporary, {_KEY: json.dumps(metadata)})


def load(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The arrays by name (NumPy) and the metadata that :func:`save` wrote.

    Raises RunError if the file is missing, damaged or incomplete.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = json.loads((file.metadata() or {}).get(_KEY, "{}"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise RunError(f"there is no file {path}") from None
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from error
    except (SafetensorError, ValueError) as error:
        size = path.stat().st_size
        raise RunError(
            f"{path} ({size:,} bytes) is damaged or incomplete ({error}); use another copy of it"
        ) from error
    return arrays, metadata
