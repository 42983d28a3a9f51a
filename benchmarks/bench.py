"""One thing to time, here and in other libraries; and its timing, on each backend in turn.

A command of ``python -m benchmarks`` is a module with

    rows(options: Options) -> Iterator[dict]    # as they are timed; each has at least a "name"

and, if they suit it better than the ones here, COLUMNS (headings), cells(row) (a row's texts below
them), and chart(rows, file) in place of the ratios. One that takes names has ALL of them, too.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from autograd import backend
from benchmarks.timing import Program, interleave

BACKENDS = ("numpy", "cupy")
FAMILIES = ("torch", "torch-compile", "jax")
COLUMNS = ("backend", "ours, ms", "peer", "peer, ms", "ratio", "quartiles")


@dataclass(frozen=True)
class Bench:
    """One thing to time: ours, and the same of each peer that can do it.

    ``ours`` sets up, on the current backend; what it returns is timed. ``peers`` has, by family,
    a function from the device ("cpu" or "cuda") to programs by variant, such as a layout or a
    number of threads. The fastest variant counts.
    """

    name: str
    ours: Callable[[], Program]
    peers: Mapping[str, Callable[[str], Mapping[str, Program]]]


def _nothing(what: str, done: int, total: int) -> None:
    pass


@dataclass(frozen=True)
class Options:
    """What was asked for. ``began`` is to be told what is being timed, after how many of how many.

    ``names`` is empty for all there are.
    """

    names: Sequence[str] = ()
    backends: Sequence[str] = ("numpy",)
    families: Sequence[str] = ()
    seconds: float = 2.0
    began: Callable[[str, int, int], None] = _nothing


def rows(
    benches: Iterable[Bench],
    backends: Sequence[str],
    families: Sequence[str],
    seconds: float,
    began: Callable[[str, int, int], None] = _nothing,
) -> Iterator[dict[str, Any]]:
    """Time each bench on each backend: a row for each family.

    A row has name, backend, ours_ms, peer, family, peer_ms, ratio (ours / peer), spread (quartiles
    of the ratio) and turns. Those of a peer are None where the bench has none of the family.
    """
    work = [(name, bench) for bench in benches for name in backends]
    for done, (name, bench) in enumerate(work):
        began(f"{bench.name} ({name})", done, len(work))
        with backend.using(name):
            found = _timed(bench, families, seconds)
        for row in found:
            yield {"name": bench.name, "backend": name, **row}
        _forget()


def cells(row: dict[str, Any]) -> list[str]:
    """A row of a bench as text, for ``COLUMNS``."""
    ours = [row["backend"], f"{row['ours_ms']:.3g}"]
    if row["peer"] is None:
        return [*ours, f"no {row['family'] or 'peer installed'}", "", "", ""]
    low, high = row["spread"]
    ratio = [f"{row['ratio']:.2f}", f"{low:.2f} to {high:.2f}"]
    return [*ours, row["peer"], f"{row['peer_ms']:.3g}", *ratio]


def _timed(bench: Bench, families: Sequence[str], seconds: float) -> list[dict[str, Any]]:
    device = "cuda" if backend.current() == "cupy" else "cpu"
    peers = {
        family: bench.peers[family](device) if family in bench.peers else {} for family in families
    }
    return interleave(bench.ours(), peers, seconds, device=device)


def _forget() -> None:
    """Give the next bench a fresh start: the memory, and what PyTorch has compiled.

    (It compiles a function for eight sets of tensors, and then, without a word, no more.)
    """
    gc.collect()
    if dynamo := sys.modules.get("torch._dynamo"):
        dynamo.reset()


def installed(family: str) -> bool:
    """Whether this peer can be timed here, on a CPU."""
    return missing(family, "cpu") is None


def missing(family: str, device: str) -> str | None:
    """What keeps this peer from being timed on "cpu" or "cuda", and the remedy; None if nothing."""
    package = family.partition("-")[0]
    if importlib.util.find_spec(package) is None:
        return f"peer {family!r}: {package} is not installed; pip install {package}"
    if family == "torch-compile" and device == "cpu" and not _compilers():
        return f"peer {family!r}: there is no C++ compiler; install g++ or clang++"
    if device == "cuda" and not _has_cuda(package):
        return f"peer {family!r}: this {package} has no GPU; install one for CUDA"
    return None


def _compilers() -> list[str]:
    names = (os.environ.get("CXX"), "g++", "clang++")
    return [name for name in names if name and shutil.which(name)]


def _has_cuda(package: str) -> bool:
    module = importlib.import_module(package)
    if package == "torch":
        return bool(module.cuda.is_available())
    return any(device.platform == "gpu" for device in module.devices())
