"""Settings of the process."""

import ctypes
import platform

import pytest

from autograd.backend import memory


@pytest.fixture
def options(monkeypatch):
    """What mallopt was told, in its place."""
    told = {}

    class Library:
        @staticmethod
        def mallopt(option, value):
            told[option] = value
            return 1

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Library)
    for name in memory._VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return told


def test_freed_memory_is_kept(options):
    assert memory.keep_freed_memory()
    assert options == {-1: 2**30, -3: 2**25}


def test_what_the_environment_says_about_memory_is_left_as_it_is(options, monkeypatch):
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.trim_threshold=1")
    assert not memory.keep_freed_memory() and not options


def test_another_c_library_is_left_alone(options, monkeypatch):
    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    assert not memory.keep_freed_memory()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")
def test_this_machines_c_library_accepts_the_values(monkeypatch):
    for name in memory._VARIABLES:
        monkeypatch.delenv(name, raising=False)
    assert memory.keep_freed_memory()
