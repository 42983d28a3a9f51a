"""Memory that kernels work in: the same again, made ready again, and for one thread alone."""

import threading

import numpy
import pytest

from autograd import backend
from autograd.backend import scratch
from autograd.backend.scratch import kept


class Two:
    """Two arrays of ``count`` numbers, the first of them to begin with zeros."""

    def __init__(self, empty, dtype, count):
        self.first, self.second = empty((count, 3), dtype), empty((count,), dtype)

    def begin(self):
        self.first[...] = 0


@pytest.fixture(autouse=True)
def nothing_kept_yet(monkeypatch):
    if backend.current() != "numpy":
        pytest.skip("memory is kept on NumPy only")
    monkeypatch.setattr(scratch, "_own", scratch._Own())


def test_the_same_kind_of_work_gets_the_same_again_and_it_begins_anew():
    before = kept(Two, numpy.float32)(5)
    before.first[...] = 1
    again = kept(Two, numpy.float32)(5)
    assert again is before and not again.first.any()


def test_arrays_have_their_shapes_and_dtypes_and_do_not_overlap():
    found = kept(Two, numpy.float64)(5)
    assert (found.first.shape, found.second.shape) == ((5, 3), (5,))
    assert found.first.dtype == found.second.dtype == numpy.float64
    assert found.first.flags.c_contiguous and found.first.flags.aligned
    assert not numpy.may_share_memory(found.first, found.second)


@pytest.mark.parametrize("other", [(numpy.float32, 6), (numpy.float64, 5)])
def test_other_kinds_of_work_are_other_views_of_the_same_memory(other):
    dtype, count = other
    one, two = kept(Two, numpy.float32)(5), kept(Two, dtype)(count)
    assert one is not two and numpy.may_share_memory(one.first, two.first)


def test_what_needs_more_than_a_thread_keeps_has_memory_of_its_own_that_is_not_kept():
    count = scratch.ROOM // 12 + 1
    one, two = kept(Two, numpy.float32)(count), kept(Two, numpy.float32)(count)
    assert one is not two and not numpy.may_share_memory(one.first, two.first)
    assert len(one.second) == count and not scratch._own.made


def test_each_thread_has_its_own():
    found = [kept(Two, numpy.float32)(5)]
    thread = threading.Thread(target=lambda: found.append(kept(Two, numpy.float32)(5)))
    thread.start()
    thread.join()
    assert not numpy.may_share_memory(found[0].first, found[1].first)


def test_no_more_kinds_are_kept_than_the_limit():
    for count in range(1, scratch.KINDS + 10):
        kept(Two, numpy.float32)(count)
    assert len(scratch._own.made) <= scratch.KINDS


def test_other_backends_make_it_each_time():
    with backend.using("strict"):
        one, two = kept(Two, numpy.float32)(5), kept(Two, numpy.float32)(5)
        assert one is not two and backend.get_array_module(one.first).__name__.endswith("strict")
    assert not scratch._own.made
