"""Options that several commands have, and the process as all of them set it up."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scratchgen.errors import UsageError, unknown


def add_run(parser: Any) -> None:
    parser.add_argument("folder", metavar="RUN", type=Path, help="the folder of a training run")


def add_machine(parser: Any) -> None:
    parser.add_argument("--backend", default="numpy", help="numpy (default) or cupy, on a GPU")
    parser.add_argument("--threads", type=int, metavar="N", help="of the CPU; default: 1")


def add_seed(parser: Any) -> None:
    parser.add_argument("--seed", type=int, metavar="S", help="of the random numbers; default: 0")


def add_claims(parser: Any) -> None:
    parser.add_argument(
        "--from",
        dest="origin",
        metavar="PLACE",
        help="claims of your own: a Python file, a folder of them, or a module; only those",
    )


def claims(args: Any) -> list[Any]:
    """Those of the user's own that were asked for, or all that come with the package."""
    from scratchgen.derivations import registry

    return registry.load(args.origin) if args.origin else registry.claims()


def seed(args: Any) -> int:
    value = 0 if args.seed is None else args.seed
    if value < 0:
        raise UsageError(f"--seed {value}: a seed is 0 or more")
    return int(value)


@contextlib.contextmanager
def machine(args: Any) -> Iterator[None]:
    """Within this block, the backend and the threads are those asked for."""
    _set_threads(args.threads)
    from autograd import backend
    from autograd.backend.memory import keep_freed_memory
    from autograd.backend.threads import OneBlasThread

    if args.backend not in backend.NAMES:
        raise unknown("backend", args.backend, backend.NAMES)
    keep_freed_memory()
    with backend.using(args.backend), OneBlasThread():
        yield


def _set_threads(count: int | None) -> None:
    """Have NumPy compute on ``count`` threads; None for 1, or what the environment says.

    More than one pays on larger models and an idle machine only. On two cores, threads that wait
    for each other took the PixelCNN's run from 18 s to 20, and to 58 where others worked too. The
    number is also part of what makes a run reproducible bit for bit.
    """
    if count is not None and count < 1:
        raise UsageError(f"--threads {count}: at least 1")
    for name in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
        if count is not None or name not in os.environ:
            os.environ[name] = str(count or 1)  # read when NumPy is loaded, which is not yet
