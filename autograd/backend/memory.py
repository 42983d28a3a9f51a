"""A setting of the process that saves a quarter of the time of training a small model.

Every operation makes a new array. The C library gives the memory of a large one back to the system
as soon as it is freed, and gets it back page by page, filled with zeros, for the next. Kept in the
process, it is used again at once: a training step of the PixelCNN took 54 ms, and 40 so.
"""

from __future__ import annotations

import ctypes
import os

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_… in <malloc.h>
_VARIABLES = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "GLIBC_TUNABLES")


def keep_freed_memory() -> bool:
    """Have the C library keep up to 1 GiB of freed memory in this process, for later arrays.

    For commands and benchmarks to call at their start: it concerns the whole process, so importing
    a library never does it. Returns whether it was done. It is not where the environment already
    says how memory is to be handled (MALLOC_TRIM_THRESHOLD_, MALLOC_MMAP_THRESHOLD_,
    GLIBC_TUNABLES), nor where the C library is not glibc.
    """
    if any(name in os.environ for name in _VARIABLES):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library; Windows
        return False
    largest = 32 * 2**20  # of one array; glibc takes no more
    return bool(mallopt(_MMAP_THRESHOLD, largest) and mallopt(_TRIM_THRESHOLD, 2**30))
