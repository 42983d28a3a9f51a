"""Where threads are kept, in a process of its own."""

import json
import os
import subprocess
import sys

import pytest

from benchmarks import cores

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="no choice of cores here"),
    pytest.mark.skipif("len(os.sched_getaffinity(0)) < 2", reason="there is one core"),
]

PROGRAM = """
import json, os, sys
from benchmarks import cores
found = cores.pin(sys.argv[1:])
of = lambda ids: [sorted(os.sched_getaffinity(i)) for i in ids]
print(json.dumps([found, of([0]), of(cores.threads.helpers()), of(cores._named("tf_XLAEigen"))]))
"""


def pinned(*families):
    argv = [sys.executable, "-c", PROGRAM, *families]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_this_thread_is_on_the_first_core_and_its_helpers_are_on_the_others():
    found, here, helpers, _ = pinned()
    assert found == sorted(os.sched_getaffinity(0))
    assert here == [found[:1]]
    assert helpers and all(where[0] in found[1:] for where in helpers)


@pytest.mark.peers
def test_xla_has_a_thread_on_each_core_though_openmp_keeps_the_first_one():
    pytest.importorskip("jax")
    pytest.importorskip("torch")
    found, here, _, xla = pinned("torch", "jax")
    assert here == [found[:1]]
    assert sorted(xla) == [[core] for core in found]


@pytest.mark.peers
def test_what_is_compiled_goes_to_a_folder_that_ends_with_the_process(monkeypatch):
    pytest.importorskip("torch")
    program = "import os; from benchmarks import cores; cores.pin(['torch-compile'])"
    program += "; folder = os.environ['TORCHINDUCTOR_CACHE_DIR']; assert os.path.isdir(folder)"
    argv = [sys.executable, "-c", program + "; print(folder)"]
    folder = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    assert folder and not os.path.exists(folder)
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/elsewhere")
    argv = [sys.executable, "-c", program.replace("assert", "") + "; print(folder)"]
    assert subprocess.run(argv, capture_output=True, text=True).stdout == "/elsewhere\n"


def test_threads_are_found_by_their_name():
    assert cores._named("no thread has this name") == []
