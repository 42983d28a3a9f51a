"""A core for each thread, so that two threads never share one while another is idle.

After a pause a thread that is woken up often finds itself on the core of the one that woke it, and
stays there for 30 ms or, in PyTorch, for as long as one looked: the same step took 5.3 or 7.8 ms
here, and 3.8 or 6.4 there. Which of them came was luck.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import importlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from autograd.backend import threads


def pin(families: Sequence[str] = ("torch",)) -> list[int]:
    """Keep this thread on the first core, and each that helps it, ours or a peer's, on another.

    Returns the cores. Where processes may not choose their cores, as on other systems than Linux,
    nothing is kept anywhere. What the environment says about OpenMP, whose threads PyTorch has,
    stays as it is. The peers of these families are started first: they take note of the cores there
    are. JAX goes before PyTorch: OpenMP keeps whoever loads it on the first core from then on, and
    XLA's threads, which begin where the one is that makes them, would all be there.
    """
    known = hasattr(os, "sched_getaffinity")
    cores = sorted(os.sched_getaffinity(0)) if known else []
    if known:
        os.environ.setdefault("OMP_PROC_BIND", "true")
        os.environ.setdefault("OMP_PLACES", ",".join(f"{{{core}}}" for core in cores))
    for family in sorted(families, key=list(_START).index):
        _START[family]()
    if known:
        os.sched_setaffinity(0, cores[:1])
        _spread(threads.helpers(), cores[1:])
        _spread(_named("tf_XLAEigen"), cores)  # this thread waits while they compute
    return cores


def _spread(found: Sequence[int], cores: Sequence[int]) -> None:
    """Each of these threads on a core of its own, as far as there are cores."""
    for thread, core in zip(found, cores, strict=False):
        os.sched_setaffinity(thread, {core})


def _named(name: str) -> list[int]:
    """The threads of this process that the system knows by that name."""
    tasks = Path("/proc/self/task")
    return sorted(int(x.parent.name) for x in tasks.glob("*/comm") if x.read_text().strip() == name)


def _start_torch() -> None:
    with contextlib.suppress(ImportError):
        importlib.import_module("torch")


def _start_compiled() -> None:
    """What torch.compile makes asks for OpenMP by its plain name.

    Where PyTorch has it under another, that is a second one, which has to see all cores as well.

    What is compiled goes to a folder of this process, unless the environment names one: a process
    that was ended as it wrote there would leave half a library to the next.
    """
    if "TORCHINDUCTOR_CACHE_DIR" not in os.environ:
        folder = os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp(prefix="torch-compile-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
    _start_torch()
    with contextlib.suppress(OSError):
        ctypes.CDLL("libgomp.so.1")


def _start_jax() -> None:
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # GPU memory: leave us some
    with contextlib.suppress(ImportError):
        importlib.import_module("jax").devices()


_START = {"jax": _start_jax, "torch": _start_torch, "torch-compile": _start_compiled}
"""In the order in which they are to be started."""
