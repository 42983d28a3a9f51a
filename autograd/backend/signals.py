"""A signal between threads that wait awake: it arrives in 1 µs, where to be woken up takes 50.

A thread that sleeps has to be given a core again, and a virtual core that had nothing to do has to
be given a real one first. Threads that take turns many times a millisecond therefore wait in a busy
loop, as those of OpenMP and BLAS do. Such a loop in Python would hold the lock that only one thread
of Python can have, and the others could not go on. NumPy lets go of that lock while it works: so it
is NumPy that looks, with a reduction that ends at the first ``True`` of a row, over rows in which
every number is the same byte of memory.
"""

from __future__ import annotations

import numpy

LOOKS = 2**21  # until a waiting thread gives up: 1 ms

ROWS = 300


class Signal:
    """What one thread gives, and another waits for a while.

    It says that it is worth looking, not what there is to find: a thread that finds nothing then
    has to wait in another way, asleep.

    Whoever sees a signal wants Python's lock next, and whoever gave it still has that for some
    microseconds, until its own call of NumPy. To wait for a lock is to sleep. So there are further
    rows, of what is always ``True``, which take a little longer than that.
    """

    def __init__(self) -> None:
        self._given = numpy.ones(ROWS, bool)
        self._looks = numpy.broadcast_to(self._given[:, None], (ROWS, LOOKS))

    def give(self) -> None:
        """Let whoever waits go on."""
        self._given[0] = True

    def take_back(self) -> None:
        """Begin anew: :meth:`wait` will wait."""
        self._given[0] = False

    def wait(self) -> None:
        """Return when the signal is given, or was, or after 1 ms at the latest."""
        numpy.logical_or.reduce(self._looks, axis=1)
