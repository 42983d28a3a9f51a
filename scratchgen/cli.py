"""The command ``scratchgen``; what each of its words does is in :mod:`scratchgen.commands`.

Exit codes: 0 done; 1 it could not be done; 2 what was asked for does not exist or makes no sense;
130 interrupted by Ctrl-C. Whatever goes wrong is one line; ``--debug`` shows the traceback too.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import scratchgen
from scratchgen.commands import (
    data,
    evaluate,
    explain,
    game,
    leaderboard,
    models,
    sample,
    train,
    verify,
)
from scratchgen.errors import RunError, UsageError, unknown

COMMANDS = {
    "train": train,
    "sample": sample,
    "evaluate": evaluate,
    "leaderboard": leaderboard,
    "verify": verify,
    "explain": explain,
    "game": game,
    "models": models,
    "data": data,
}


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
    for name, command in COMMANDS.items():
        word = commands.add_parser(
            name,
            help=command.SUMMARY,
            description=command.__doc__,
            epilog=f"example: {command.EXAMPLE}",
            allow_abbrev=False,
        )
        command.add_arguments(word)
        word.add_argument("--debug", action="store_true", help="show tracebacks")
        word.set_defaults(run=command.run, parser=word)
    return parser
