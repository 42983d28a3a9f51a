"""Text as a sequence of characters. Without any file: the source of Python's standard library."""

from __future__ import annotations

import sysconfig
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy

from scratchgen.data.images import PARTS
from scratchgen.errors import RunError, UsageError, unknown

UNKNOWN = "\N{REPLACEMENT CHARACTER}"
"""Stands for every character that is not in the vocabulary."""

PIECES = 100
"""Into how many a single text is cut, to be split."""


@dataclass(frozen=True)
class TextData:
    """Characters as integers, their places in the vocabulary."""

    name: str
    vocabulary: str
    """Every character once, in the order of their code points."""
    train: numpy.ndarray
    """(T,) int32; likewise the other parts."""
    validation: numpy.ndarray
    test: numpy.ndarray

    def part(self, name: str) -> numpy.ndarray:
        """The part "train", "validation" or "test". Raises UsageError for any other."""
        if name not in PARTS:
            raise unknown("part of the data", name, PARTS)
        characters: numpy.ndarray = getattr(self, name)
        return characters

    def encode(self, text: str) -> numpy.ndarray:
        """The places of the text's characters in the vocabulary, (T,) int32.

        Raises UsageError for a character outside it, unless it has :data:`UNKNOWN`.
        """
        return encode(text, self.vocabulary)

    def decode(self, codes: Sequence[int] | numpy.ndarray) -> str:
        """The text that these places in the vocabulary spell."""
        return decode(codes, self.vocabulary)


def load(path: Path | None = None, minimum: int = 10) -> TextData:
    """The text of a UTF-8 file, or by default of Python's standard library, in a fixed split.

    The documents of the library are its top-level modules by name; a file is cut into 100 pieces
    of equal length instead. Document i is in the test part if i mod 5 = 4, in the validation part
    if i mod 5 = 3, and in the training part otherwise.

    The vocabulary is that of the training part: its characters that occur ``minimum`` times or
    more. Others become :data:`UNKNOWN`. Raises RunError, one line, if there is no such text.
    """
    if path is None:
        name, documents = "python", _standard_library()
    else:
        name, text = str(path), _read(path)
        if len(text) < PIECES:
            raise RunError(f"{path}: {len(text)} characters; at least {PIECES} are needed")
        cuts = [i * len(text) // PIECES for i in range(PIECES + 1)]
        documents = [text[cuts[i] : cuts[i + 1]] for i in range(PIECES)]
    texts = [
        "".join(d for i, d in enumerate(documents) if i % 5 in r) for r in ((0, 1, 2), (3,), (4,))
    ]
    counts = Counter(texts[0])
    kept = {character for character, count in counts.items() if count >= minimum}
    vocabulary = "".join(sorted(kept | {UNKNOWN}))
    return TextData(name, vocabulary, *(encode(text, vocabulary) for text in texts))


def decode(codes: Sequence[int] | numpy.ndarray, vocabulary: str) -> str:
    """The text that these places in the vocabulary spell."""
    return "".join(vocabulary[int(code)] for code in codes)


def encode(text: str, vocabulary: str) -> numpy.ndarray:
    """The places of the text's characters in the vocabulary, (T,) int32.

    Raises UsageError for a character outside it, unless it has :data:`UNKNOWN`.
    """
    places = {character: i for i, character in enumerate(vocabulary)}
    other = places.get(UNKNOWN)
    if other is None and not set(text) <= set(vocabulary):
        strange = sorted(set(text) - set(vocabulary))[0]
        raise UsageError(f"the character {strange!r} is not in the vocabulary: {vocabulary!r}")
    return numpy.array([places.get(character, other) for character in text], "int32")


def _standard_library() -> list[str]:
    folder = Path(sysconfig.get_path("stdlib"))
    paths = sorted(folder.glob("*.py"))
    if len(paths) < 5:
        raise RunError(f"{folder}: {len(paths)} source files of Python's library; give a text file")
    return [_read(path) for path in paths]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise RunError(f"{path}: not UTF-8 at byte {error.start}; convert it first") from error
