"""Train a model, evaluate it on the test part of its data, and draw samples.

Ctrl-C saves the run; --resume goes on with it, and ends with the same weights, bit for bit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from scratchgen.commands import common
from scratchgen.errors import UsageError, unknown

SUMMARY = "train a model"
EXAMPLE = "scratchgen train pixelcnn --epochs 10 --set channels=32"
DTYPES = ("float32", "float64")


def add_arguments(parser: Any) -> None:
    parser.add_argument(
        "model", metavar="MODEL", nargs="?", help="see: scratchgen models; not with --resume"
    )
    parser.add_argument(
        "--data", metavar="NAME|PATH", help="see: scratchgen data; default: the model's own"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        dest="changes",
        help="change a field of the model or of its training; may be repeated",
    )
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=int, metavar="N", help="passes over the training data")
    length.add_argument("--steps", type=int, metavar="N", help="or updates of the parameters")
    common.add_seed(parser)
    common.add_machine(parser)
    parser.add_argument("--dtype", metavar="TYPE", help="float32 (default) or float64")
    parser.add_argument(
        "--out", type=Path, metavar="DIR", help="run folder; default: runs/MODEL-1 …"
    )
    parser.add_argument(
        "--resume", type=Path, metavar="DIR", help="go on with the run in this folder"
    )


def run(args: Any, command: str) -> None:
    _check(args)
    length = [f"{name}={n}" for name in ("epochs", "steps") if (n := getattr(args, name))]
    if args.epochs:
        length.append("steps=0")
    with common.machine(args):
        from rich.console import Console

        from scratchgen.training import job

        if args.resume:
            job.resume(args.resume, length, Console())
            return
        asked = job.Job(
            model=args.model,
            changes=[*args.changes, *length],
            data=args.data,
            seed=common.seed(args),
            dtype=args.dtype or "float32",
            out=args.out,
            command=command,
        )
        job.train(asked, Console())


def _check(args: Any) -> None:
    """Raise UsageError for what contradicts itself."""
    common.seed(args)
    for name in ("epochs", "steps"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name} {value}: at least 1")
    if args.dtype and args.dtype not in DTYPES:
        raise unknown("dtype", args.dtype, DTYPES)
    if not args.resume and not args.model:
        raise UsageError("train: which MODEL? 'scratchgen models' lists them")
    if args.resume:
        for name in ("model", "data", "changes", "seed", "dtype", "out"):
            if getattr(args, name) not in (None, []):
                word = {"changes": "--set", "model": "a MODEL"}.get(name, f"--{name}")
                raise UsageError(
                    f"--resume goes on with the settings in {args.resume}; leave out {word}"
                )
