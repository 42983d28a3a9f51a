"""Work shared between cores: every part once, in order, with the errors and the context it had."""

import gc
import itertools
import threading
import weakref
from functools import lru_cache, partial

import numpy
import pytest

from autograd import backend
from autograd.backend import products, signals, threads

LARGE = 2**22  # a size that is worth sharing


@pytest.fixture(autouse=True)
def three_cores(monkeypatch):
    if backend.current() != "numpy" or threads._blas() is None:
        pytest.skip("work is shared between cores on NumPy only")
    monkeypatch.setattr(threads, "_cores", lambda: 3)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_the_parts_cover_the_range_and_their_results_are_in_order(count):
    parts = threads.in_parts(lambda start, stop: list(range(start, stop)), count, LARGE)
    assert list(itertools.chain(*parts)) == list(range(count)) and len(parts) == min(count, 3)


def test_little_work_is_one_part():
    assert threads.in_parts(lambda start, stop: (start, stop), 10, 100) == [(0, 10)]


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_an_error_in_any_part_is_raised_and_the_threads_go_on(failing):
    def work(start, stop):
        if start == failing:
            raise ZeroDivisionError(f"part {start}")
        return start

    with pytest.raises(ZeroDivisionError, match=f"part {failing}"):
        threads.in_parts(work, 3, LARGE)
    assert threads.in_parts(lambda start, stop: start, 3, LARGE) == [0, 1, 2]


def test_a_part_runs_in_the_context_of_the_caller():
    def work(start, stop):
        return numpy.log(numpy.zeros(1))

    with numpy.errstate(divide="raise"), pytest.raises(FloatingPointError):
        threads.in_parts(work, 3, LARGE)
    with numpy.errstate(divide="ignore"):
        assert threads.in_parts(work, 3, LARGE) == [-numpy.inf] * 3


def test_work_within_a_part_is_not_shared_again():
    def inner(start, stop):
        return stop - start

    parts = threads.in_parts(lambda start, stop: threads.in_parts(inner, 6, LARGE), 3, LARGE)
    assert [sum(part) for part in parts] == [6, 6, 6]


def test_work_within_the_callers_own_part_does_not_wait_for_threads_that_are_busy():
    """Both are: their parts do not end before the caller's does."""
    ended = threading.Event()

    def work(start, stop):
        if start:
            return [ended.wait(10)]
        try:
            return threads.in_parts(lambda i, j: (i, j), 6, LARGE)
        finally:
            ended.set()

    assert threads.in_parts(work, 3, LARGE) == [[(0, 6)], [True], [True]]
    with pytest.raises(ZeroDivisionError):
        threads.in_parts(lambda start, stop: 1 // start, 3, LARGE)
    assert len(threads.in_parts(lambda i, j: (i, j), 6, LARGE)) == 3, "shared again afterwards"


def test_a_task_is_done_whether_the_thread_waits_awake_or_asleep(monkeypatch):
    shared = partial(threads.in_parts, lambda start, stop: start, 3, LARGE)
    for looks in (1, 2**21):  # it sleeps at once, or hardly ever
        monkeypatch.setattr(signals, "LOOKS", looks)
        monkeypatch.setattr(threads, "_helpers", lru_cache(threads._helpers.__wrapped__))
        assert [shared() for _ in range(200)] == [[0, 1, 2]] * 200


def test_waiting_ends_with_the_signal_and_not_only_when_it_has_looked_often_enough(monkeypatch):
    monkeypatch.setattr(signals, "LOOKS", 2**45)  # hours
    signal = signals.Signal()
    signal.take_back()
    waiting = threading.Thread(target=signal.wait, daemon=True)
    waiting.start()
    signal.give()
    waiting.join(30)
    assert not waiting.is_alive()


def test_nothing_of_a_task_is_kept_when_it_is_done():
    array = numpy.zeros(10)
    gone = weakref.ref(array)
    threads.in_parts(lambda start, stop, x=array: x[start:stop].sum(), 10, LARGE)
    del array
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    "shape", [(5000, 30, 40), (40, 5000, 30), (40, 50, 6000), (300, 200, 100), (3, 2, 1)]
)
@pytest.mark.parametrize("transposed", [False, True])
def test_a_shared_product_is_the_product(shape, transposed, rng):
    m, k, n = shape
    x, y = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    if transposed:
        x, y = numpy.ascontiguousarray(x.T).T, numpy.ascontiguousarray(y.T).T
    numpy.testing.assert_allclose(products.product(x, y), x @ y, rtol=1e-10, atol=1e-10)
    mixed = products.product(x.astype("float32"), y)
    assert mixed.dtype == "float64"


def test_blas_has_one_thread_within_a_block_and_within_it_all_again_where_that_is_asked_for():
    get_threads, set_threads = threads._blas()
    before = get_threads()
    set_threads(3)
    try:
        with threads.AllBlasThreads():
            assert get_threads() == 3
        with threads.OneBlasThread(), threads.OneBlasThread():
            assert get_threads() == 1
            with threads.AllBlasThreads():
                assert get_threads() == 3
            assert get_threads() == 1
        assert get_threads() == 3
    finally:
        set_threads(before)
