"""What timings were taken on: the processor, the libraries and their settings, the GPU."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.metadata
import os
import platform
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy
import scipy

PEERS = {"torch": "torch", "torch-compile": "torch", "jax": "jax"}
"""Packages, by family."""


def machine(
    backends: Sequence[str] = ("numpy",),
    families: Sequence[str] = (),
    pinned: Sequence[int] = (),
    keeps_memory: bool = False,
) -> dict[str, Any]:
    """What the timings are taken on.

    ``pinned``: the cores on which the threads are kept, if they are. ``keeps_memory``: whether
    freed memory stays in the process (:func:`autograd.backend.memory.keep_freed_memory`).
    """
    return {
        "device": device_name(backends),
        "processor": _processor(),
        **_settings(),
        "cores": os.cpu_count(),
        "pinned": list(pinned),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "blas": blas(),
        "blas_threads": _blas_threads(),
        "freed memory": "kept" if keeps_memory else "as the system has it",
        **{PEERS[family]: importlib.metadata.version(PEERS[family]) for family in families},
        **(_gpu() if "cupy" in backends else {}),
    }


def device_name(backends: Sequence[str] = ("numpy",)) -> str:
    """The folder of this machine's results: "amd-epyc-2-cores", or with a GPU "nvidia-h200"."""
    if "cupy" in backends:
        return _as_a_name(_gpu()["gpu"])
    return f"{_as_a_name(_processor())}-{os.cpu_count()}-cores"


def _as_a_name(text: str) -> str:
    text = re.sub(r"\((r|tm)\)|\b(cpu|processor)\b|@.*", " ", text.lower())
    return "-".join(re.findall(r"[a-z0-9]+", text))


def _processor() -> str:
    return _cpuinfo().get("model name") or platform.processor() or platform.machine()


def _settings() -> dict[str, str]:
    """What else decides how fast the processor is, where it is known.

    The family and the model, as hosts of virtual machines shorten names, and what the environment
    tells OpenBLAS: processors of one name may differ in speed by two.
    """
    info = _cpuinfo()
    found = (
        {"family": f"{info['cpu family']}, model {info['model']}"} if "cpu family" in info else {}
    )
    return found | {name: x for name, x in os.environ.items() if name.startswith("OPENBLAS_")}


def _cpuinfo() -> dict[str, str]:
    """What Linux says about the first processor; nothing on other systems."""
    file = Path("/proc/cpuinfo")
    lines = file.read_text().partition("\n\n")[0].splitlines() if file.exists() else []
    pairs = (line.partition(":") for line in lines)
    return {name.strip(): value.strip() for name, _, value in pairs}


def blas() -> str:
    """Of NumPy's matrix products, with the processor that its kernels were written for."""
    config = _of_blas("config", ctypes.c_char_p)
    if config is not None:
        core = _of_blas("corename", ctypes.c_char_p)
        return (
            f"{' '.join(config().decode().split()[:2])} {core().decode() if core else ''}".strip()
        )
    found = numpy.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{found['name']} {found.get('version', '')}".strip()


def _blas_threads() -> int | None:
    threads = _of_blas("num_threads", ctypes.c_int)
    return None if threads is None else threads()


def _of_blas(what: str, kind: Any) -> Any:
    """The function of NumPy's OpenBLAS that tells this; None if its BLAS is another."""
    try:
        library = ctypes.CDLL(numpy._core._multiarray_umath.__file__)  # type: ignore[attr-defined]
    except (AttributeError, OSError):
        return None
    for name in ("scipy_openblas_get_{}64_", "openblas_get_{}"):  # NumPy's wheels, other builds
        with contextlib.suppress(AttributeError):
            function = library[name.format(what)]
            function.restype = kind
            return function
    return None


def _gpu() -> dict[str, Any]:
    """The GPU of CuPy, and the CUDA that it runs on."""
    cupy = importlib.import_module("cupy")
    runtime = cupy.cuda.runtime
    found = runtime.getDeviceProperties(cupy.cuda.Device().id)
    return {
        "gpu": found["name"].decode(),
        "gpu_memory_gib": round(found["totalGlobalMem"] / 2**30, 1),
        "cupy": cupy.__version__,
        "cuda": _version(runtime.runtimeGetVersion()),
        "driver_cuda": _version(runtime.driverGetVersion()),
    }


def _version(number: int) -> str:
    """CUDA's 13020 is 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"
