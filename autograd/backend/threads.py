"""Sharing work on the CPU between cores: each core takes part of the examples of a batch.

NumPy runs elementwise work and copies on one core; only its matrix product, by BLAS, takes several.
A kernel that copies, multiplies and adds therefore gains from being split as a whole: every core
works on its own examples, in its own cache, and nobody waits at every product for the others.
While it lasts, BLAS is told to use one thread a call; its threads and ours would fight for cores.

(For the same reason nothing here uses :mod:`scipy.linalg.blas`: SciPy brings a second BLAS with
threads of its own. They wait for work in a busy loop, and on two cores a product by one library
right after a product by the other took 4 ms in place of 0.13.)
"""

from __future__ import annotations

import contextlib
import contextvars
import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterator
from functools import partial
from queue import SimpleQueue
from typing import Any, TypeVar

import numpy

from autograd import backend
from autograd.backend.signals import Signal

CACHE = 2**20  # bytes that a core keeps close to itself, roughly

STREAM = 2**23
"""Bytes of a block for work that is a few passes over numbers.

In less, two cores would ask so often for Python's lock that they wait for each other most of the
time: 800,000 numbers of a rectifier's gradient take 0.3 ms in blocks of 8 MB, and 0.9 in 1 MB.
"""

WORTH_SHARING = 2**20  # products or numbers: it takes 15 to 60 µs to set another core to work

_NAME = "autograd"  # of the threads that help

T = TypeVar("T")


def in_parts(work: Callable[[int, int], T], count: int, size: int) -> list[T]:
    """``work(start, stop)`` for consecutive parts of ``range(count)``, one for each core.

    ``size`` says how many products or numbers there are to handle. Few of them are left to one
    core. There is also only one part on a GPU, where BLAS cannot be told how many threads to use,
    and within a part.
    """
    if backend.current() != "numpy" or _blas() is None or _within.part:
        return [work(0, count)]
    if size < WORTH_SHARING:
        with OneBlasThread():
            return [work(0, count)]
    parts = min(count, _cores())
    if parts <= 1:
        return [work(0, count)]
    ends = [count * i // parts for i in range(parts + 1)]
    threads = _helpers(os.getpid())
    with OneBlasThread():
        started = []
        for i in range(1, parts):
            # in this thread's context, such as numpy.errstate
            run = partial(contextvars.copy_context().run, work, ends[i], ends[i + 1])
            started.append(threads[(i - 1) % len(threads)].start(run))
        try:
            _within.part = True
            first = work(ends[0], ends[1])
        finally:
            _within.part = False
            others = [end() for end in started]
    for _, error in others:
        if error is not None:
            raise error
    return [first, *(result for result, _ in others)]


def blocks(start: int, stop: int, bytes_each: int, stream: bool = False) -> Iterator[slice]:
    """The examples from ``start`` to ``stop``, as many at a time as a core's cache has room for.

    ``stream``: for work that has no products (:data:`STREAM`). On a GPU blocks are larger.
    """
    room = 2**28 if backend.current() == "cupy" else STREAM if stream else CACHE
    count = max(1, min(stop - start, room // max(1, bytes_each)))
    for first in range(start, stop, count):
        yield slice(first, min(first + count, stop))


def in_blocks(
    make: Callable[[int], T], start: int, stop: int, bytes_each: int, stream: bool = False
) -> Iterator[tuple[slice, T]]:
    """The same :func:`blocks`, each with the memory to work in, ``make(how many)``.

    It is the same memory again if there are as many.
    """
    room_for, memory = 0, None
    for block in blocks(start, stop, bytes_each, stream):
        count = block.stop - block.start
        if memory is None or room_for != count:
            room_for, memory = count, make(count)
        yield block, memory


def _cores() -> int:
    """As many as BLAS would take, so that its own settings (OPENBLAS_NUM_THREADS) hold here too."""
    blas = _blas()
    if blas is None:
        return 1
    return _single.before if _single.depth else blas[0]()


def helpers() -> list[int]:
    """The system's numbers of the threads that help, for a benchmark that says where they run."""
    threads = (helper.thread.native_id for helper in _helpers(os.getpid()))
    return [number for number in threads if number is not None]


class _Helper:
    """A thread that does what it is given.

    It waits for the next task awake for a while, before it sleeps: handing over a task and getting
    it back takes 15 µs then, and 60 to 100 otherwise.
    """

    def __init__(self) -> None:
        self._tasks: SimpleQueue[tuple[Callable[[], Any], SimpleQueue[Any]]] = SimpleQueue()
        self._called, self._finished = Signal(), Signal()
        self.thread = threading.Thread(target=self._serve, name=_NAME, daemon=True)
        self.thread.start()

    def start(self, run: Callable[[], Any]) -> Callable[[], tuple[Any, BaseException | None]]:
        """Have it call ``run``. What is returned waits for the result, or None, and the error."""
        done: SimpleQueue[Any] = SimpleQueue()
        self._finished.take_back()
        self._tasks.put((run, done))
        self._called.give()
        return partial(self._end, done)

    def _end(self, done: SimpleQueue[Any]) -> tuple[Any, BaseException | None]:
        if done.empty():
            self._finished.wait()
        result: tuple[Any, BaseException | None] = done.get()
        return result

    def _serve(self) -> None:
        _within.part = True
        while True:
            self._called.take_back()
            if self._tasks.empty():  # looked at after that, or a call between them would be missed
                self._called.wait()
            run, done = self._tasks.get()
            try:
                done.put((run(), None))
            except BaseException as error:  # raised again where it was asked for
                done.put((None, error))
            del run, done  # or their arrays would live on until the next task
            self._finished.give()


@functools.lru_cache(maxsize=1)
def _helpers(process: int) -> list[_Helper]:
    """One for each core but the first. A forked process starts its own: it has no other threads."""
    return [_Helper() for _ in range(max(1, (os.cpu_count() or 1) - 1))]


class _Within(threading.local):
    part = False  # whether this thread is at work on a part: the others are, too


_within = _Within()


@functools.cache
def _blas() -> tuple[Any, Any] | None:
    """How to ask NumPy's OpenBLAS for its number of threads, and to set it; None if it has none."""
    try:
        library: Any = ctypes.CDLL(numpy._core._multiarray_umath.__file__)  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return None
    for name in ("scipy_openblas_{}_num_threads64_", "openblas_{}_num_threads"):
        with contextlib.suppress(AttributeError):  # NumPy's own wheels, then other builds
            return library[name.format("get")], library[name.format("set")]
    return None


class _Single:
    lock = threading.Lock()
    depth = 0  # calls under way that need BLAS to use one thread
    before = 1  # how many it used before the first of them


_single = _Single()


class OneBlasThread:
    """Matrix products within this block stay on the core that asks for them.

    So do small ones next to work in parts: a product by several threads leaves them in a busy loop
    for 20 ms, in which they take half of a core away from whatever follows.

    To tell BLAS so takes 2 µs, a tenth of the time of a small product: commands and benchmarks do
    it once, around all that they run. (Nor is this a generator, which would take a third one.)
    """

    def __enter__(self) -> None:
        self.blas = _blas() if backend.current() == "numpy" else None
        if self.blas is None:
            return
        get_threads, set_threads = self.blas
        with _single.lock:
            if _single.depth == 0:
                _single.before = get_threads()
                set_threads(1)
            _single.depth += 1

    def __exit__(self, *_: object) -> None:
        if self.blas is None:
            return
        with _single.lock:
            _single.depth -= 1
            if _single.depth == 0:
                self.blas[1](_single.before)


class AllBlasThreads:
    """Matrix products within this block take as many cores as BLAS was told to, as by default.

    Within :class:`OneBlasThread`, for what makes so many products in turn, each of the one before,
    that there is nothing else to share between cores.
    """

    def __enter__(self) -> None:
        self._tell(_single.before)

    def __exit__(self, *_: object) -> None:
        self._tell(1)

    def _tell(self, count: int) -> None:
        if backend.current() != "numpy" or _within.part:
            return
        with _single.lock:
            if _single.depth and (blas := _blas()):
                blas[1](count)
