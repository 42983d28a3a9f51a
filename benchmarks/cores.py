"""A core for each thread, so that two threads never share one while another is idle.

After a pause a thread that is woken up often finds itself on the core of the one that woke it, and
stays there for 30 ms or, in PyTorch, for as long as one looked: the same step took 5.3 or 7.8 ms
here, and 3.8 or 6.4 there. Which of them came was luck.
"""

from __future__ import annotations

import contextlib
import os

from autograd.backend import threads


def pin() -> None:
    """Keep this thread on the first core, and each that helps it, ours or PyTorch's, on another.

    Where processes may not choose their cores, as on other systems than Linux, nothing happens.
    What the environment says about OpenMP, whose threads PyTorch has, stays as it is.
    """
    if not hasattr(os, "sched_setaffinity"):
        return
    cores = sorted(os.sched_getaffinity(0))
    os.environ.setdefault("OMP_PROC_BIND", "true")
    os.environ.setdefault("OMP_PLACES", ",".join(f"{{{core}}}" for core in cores))
    with contextlib.suppress(ImportError):
        import torch  # noqa: F401  # which takes note of the cores there are before this has one
    os.sched_setaffinity(0, cores[:1])
    for helper, core in zip(threads.helpers(), cores[1:], strict=False):
        os.sched_setaffinity(helper, {core})
