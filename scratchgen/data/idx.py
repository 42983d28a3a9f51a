"""The IDX file format, in which MNIST and its successors are distributed.

A file is a header and the numbers: two zero bytes, a code for the type of the numbers, the number
of dimensions, each dimension as four bytes, and then the array, row by row; all big-endian. Files
compressed by gzip are read as they are. The format is described on the page of MNIST, Y. LeCun,
C. Cortes, C. Burges, "The MNIST database of handwritten digits" (1998).
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy

from scratchgen.errors import RunError

TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_GZIP = b"\x1f\x8b"


def read(path: Path) -> numpy.ndarray:
    """The array in the file, in the machine's byte order.

    Raises RunError, one line that names the file, the numbers and a remedy, if the file cannot be
    read, is no IDX file, or holds more or fewer bytes than its header states.
    """
    content = _content(path)
    magic = content[:4]
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES or magic[3] == 0:
        raise RunError(
            f"{path}: not an IDX file: it begins with the bytes {magic.hex(' ') or '(none)'}, "
            "where IDX images begin with 00 00 08 03; get the file again"
        )
    dtype, dimensions = numpy.dtype(TYPES[magic[2]]), magic[3]
    start = 4 + 4 * dimensions
    if len(content) < start:
        raise RunError(
            f"{path}: truncated: a header of {dimensions} dimensions takes {start} bytes, the file "
            f"has {len(content)}; get the file again"
        )
    shape = struct.unpack(f">{dimensions}I", content[4:start])
    expected, found = math.prod(shape) * dtype.itemsize, len(content) - start
    if found != expected:
        what = "truncated" if found < expected else "too long"
        raise RunError(
            f"{path}: {what}: its header states {shape} numbers of {dtype.itemsize} bytes, "
            f"{expected} bytes in all, and {found} follow; get the file again"
        )
    array = numpy.frombuffer(content, dtype, offset=start).reshape(shape)
    return array.astype(dtype.newbyteorder("="))


def _content(path: Path) -> bytes:
    """The bytes of the file, decompressed if need be."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise RunError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not content.startswith(_GZIP):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise RunError(
            f"{path}: damaged or truncated: its {len(content)} bytes cannot be decompressed "
            f"({error}); get the file again"
        ) from error
