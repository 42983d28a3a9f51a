"""The command ``scratchgen``.

Exit codes: 0 done; 1 it could not be done; 2 what was asked for does not exist or makes no sense;
130 interrupted by Ctrl-C. Whatever goes wrong is one line; ``--debug`` shows the traceback too.
"""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import scratchgen
from scratchgen.errors import RunError, UsageError, unknown

COMMANDS = ("train",)


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments (by default the process's own); the exit code."""
    argv = list(sys.argv[1:] if argv is None else argv)
    try:
        args = _parse(argv)
        args.run(args, shlex.join(["scratchgen", *argv]))
    except KeyboardInterrupt as error:
        return _complain(str(error) or "interrupted", 130)
    except UsageError as error:
        return _complain(str(error), 2)
    except Exception as error:
        if "--debug" in argv:
            raise
        message = " ".join(str(error).split()) or type(error).__name__
        hint = "" if isinstance(error, RunError | ImportError) else " (--debug shows where)"
        return _complain(message + hint, 1)
    return 0


def _complain(message: str, code: int) -> int:
    print(f"scratchgen: {message}", file=sys.stderr)
    return code


def _parse(argv: list[str]) -> Any:
    if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
        raise unknown("command", argv[0], COMMANDS)
    args, rest = _parser().parse_known_args(argv)
    if rest:
        options = [o for action in args.parser._actions for o in action.option_strings]
        raise unknown("argument", rest[0], options)
    return args


def _parser() -> _Parser:
    parser = _Parser(
        prog="scratchgen",
        description="Train deep generative models, written from first principles.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=scratchgen.__version__)
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    _add_train(commands)
    return parser


def _add_train(commands: Any) -> None:
    train = commands.add_parser(
        "train",
        help="train a model on the data that come with the package",
        description="Train a model, evaluate it on the test part of its data, and draw samples.",
        epilog="example: scratchgen train pixelcnn --epochs 10 --set channels=32",
        allow_abbrev=False,
    )
    train.add_argument("model", metavar="MODEL", help="pixelcnn")
    length = train.add_mutually_exclusive_group()
    length.add_argument("--epochs", type=int, metavar="N", help="passes over the training data")
    length.add_argument("--steps", type=int, metavar="N", help="or updates of the parameters")
    train.add_argument("--seed", type=int, default=0, metavar="S", help="default: 0")
    train.add_argument("--backend", default="numpy", help="numpy (default) or cupy, on a GPU")
    train.add_argument("--threads", type=int, metavar="N", help="of the CPU; default: 1")
    train.add_argument(
        "--out", type=Path, metavar="DIR", help="run folder; default: runs/MODEL-1 …"
    )
    train.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="FIELD=VALUE",
        dest="changes",
        help="change a field of the model or of its training; may be repeated",
    )
    train.add_argument("--debug", action="store_true", help="show tracebacks")
    train.set_defaults(run=_train, parser=train)


def _train(args: Any, command: str) -> None:
    _set_threads(args.threads)
    from rich.console import Console

    from autograd import backend
    from autograd.backend.memory import keep_freed_memory
    from scratchgen.training.job import Job, train

    if args.backend not in backend.NAMES:
        raise unknown("backend", args.backend, backend.NAMES)
    if args.seed < 0:
        raise UsageError(f"--seed {args.seed}: a seed is 0 or more")
    changes = list(args.changes)
    for name in ("epochs", "steps"):
        value = getattr(args, name)
        if value is not None and value < 1:
            raise UsageError(f"--{name} {value}: at least 1")
        if value is not None:
            changes.append(f"{name}={value}")
    keep_freed_memory()
    job = Job(args.model, changes, args.seed, args.out, command)
    with backend.using(args.backend):
        train(job, Console())


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
