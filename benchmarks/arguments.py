"""What the words of a command line may be, and one line for what is wrong with them."""

from __future__ import annotations

import argparse
import math
import os
from pathlib import Path
from typing import NoReturn

from matplotlib.figure import Figure

from scratchgen.errors import UsageError


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, without the usage."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message)


def check_seconds(seconds: float) -> None:
    """Raise UsageError unless so many seconds can be spent."""
    if not 0 <= seconds < math.inf:
        raise UsageError(f"argument --seconds: {seconds:g} is not a time to spend")


def check_writable(option: str, file: Path) -> None:
    """Raise UsageError unless ``file`` can be written: now, and not after minutes."""
    if not file.parent.is_dir():
        raise UsageError(f"argument {option}: there is no folder {file.parent}")
    if file.is_dir():
        raise UsageError(f"argument {option}: {file} is a folder")
    if not os.access(file if file.exists() else file.parent, os.W_OK):
        raise UsageError(f"argument {option}: {file} cannot be written")


def check_picture(option: str, file: Path) -> None:
    """The same for a picture, whose format is told by the end of its name."""
    check_writable(option, file)
    known = sorted(Figure().canvas.get_supported_filetypes())
    if file.suffix[1:].lower() not in known:
        raise UsageError(f"argument {option}: {file} does not end in one of .{', .'.join(known)}")
