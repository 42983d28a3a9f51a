"""The only place that knows NumPy from CuPy.

Everything above works on *arrays* and asks this module for the functions that act on them:

    from autograd.backend import xp     # the current array module: NumPy's functions by their names

    backend.use("cupy")                 # from here on, arrays are made on the GPU
    with backend.using("numpy"): ...    # for a while

Three backends exist: ``numpy``, ``cupy``, and ``strict``: NumPy behind an array type that refuses
whatever a device array would refuse, so that a machine without a GPU finds every leak between host
and device (:mod:`autograd.backend.strict`). Arrays never move by themselves; :func:`asarray` and
:func:`to_numpy` are where they do.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy

Array = Any
"""An array of the current backend: ``numpy.ndarray``, ``cupy.ndarray`` or ``StrictArray``."""

NAMES = ("numpy", "cupy", "strict")


class BackendNotAvailable(ImportError):
    """The backend that was asked for cannot run on this machine."""


class _Namespace:
    """The functions of the current array module.

    Its ``__dict__`` *is* the module's, so ``xp.exp`` costs one look-up and no function call.
    """

    def __getattr__(self, name: str) -> Any:  # the module's own lazy attributes, such as ``fft``
        return getattr(_state.module, name)


class _State:
    name: str
    module: ModuleType
    special: ModuleType
    linalg: ModuleType


_state = _State()
xp: Any = _Namespace()


def use(name: str) -> None:
    """Make ``name`` ("numpy", "cupy" or "strict") the backend of everything that follows.

    Raises :class:`BackendNotAvailable` with what is missing and how to get it.
    """
    if name not in NAMES:
        raise ValueError(f"backend: no backend {name!r}; there are {', '.join(NAMES)}")
    module, special, linalg = _load(name)
    _state.name, _state.module, _state.special, _state.linalg = name, module, special, linalg
    xp.__dict__ = module.__dict__


@contextlib.contextmanager
def using(name: str) -> Iterator[None]:
    """:func:`use` within a ``with`` block."""
    before = _state.name
    use(name)
    try:
        yield
    finally:
        use(before)


def current() -> str:
    """The name of the current backend."""
    return _state.name


def available() -> list[str]:
    """The names of the backends that can run on this machine."""
    names = []
    for name in NAMES:
        with contextlib.suppress(BackendNotAvailable):
            _load(name)
            names.append(name)
    return names


def special() -> Any:
    """The current backend's ``scipy.special``."""
    return _state.special


def linalg() -> Any:
    """The current backend's ``scipy.linalg``."""
    return _state.linalg


def get_array_module(x: Any) -> Any:
    """The module whose functions act on ``x``: ``numpy``, ``cupy`` or ``strict``."""
    if hasattr(x, "node"):  # a Tensor
        x = x.data
    if hasattr(x, "__cuda_array_interface__"):
        return importlib.import_module("cupy")
    if getattr(x, "__array_namespace_name__", "") == "strict":
        return importlib.import_module("autograd.backend.strict")
    return numpy


def is_array(x: Any) -> bool:
    """Whether ``x`` is an array (or a NumPy scalar) of any backend."""
    if isinstance(x, numpy.ndarray | numpy.generic):
        return True
    return hasattr(x, "__cuda_array_interface__") or hasattr(x, "__array_namespace_name__")


def asarray(x: Any, dtype: Any = None) -> Array:
    """``x`` (numbers, lists, NumPy or device arrays) as an array of the current backend."""
    if get_array_module(x) is not _state.module:
        x = to_numpy(x)
    if hasattr(x, "__array_namespace_name__") and dtype in (None, x.dtype):
        return x  # of a recorded step, too, which would take a conversion for a look at the values
    return _state.module.asarray(x, dtype=dtype)


def to_numpy(x: Any) -> numpy.ndarray:
    """``x`` (a Tensor's value, too) as a NumPy array in the host's memory."""
    if hasattr(x, "node"):  # a Tensor
        x = x.data
    if hasattr(x, "get"):  # CuPy's and the strict backend's way from device to host
        return x.get()
    return numpy.asarray(x)


def synchronize() -> None:
    """Wait until the device has done all that it was asked to. Nothing to wait for on a CPU."""
    if _state.name == "cupy":
        _state.module.cuda.get_current_stream().synchronize()


def default_rng(seed: int | None = None) -> Any:
    """A generator of random arrays on the current backend, as ``numpy.random.default_rng``."""
    return _state.module.random.default_rng(seed)


def _load(name: str) -> tuple[ModuleType, ModuleType, ModuleType]:
    """The backend's ``numpy``, ``scipy.special`` and ``scipy.linalg``."""
    if name == "numpy":
        special, linalg = map(importlib.import_module, ["scipy.special", "scipy.linalg"])
        return numpy, special, linalg
    if name == "strict":
        strict = importlib.import_module("autograd.backend.strict")
        return strict, strict.special, strict.scipy_linalg
    return _load_cupy()


def _load_cupy() -> tuple[ModuleType, ModuleType, ModuleType]:
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        raise BackendNotAvailable(
            "backend 'cupy': CuPy is not installed; "
            "pip install 'scratchgen[cuda13]' (or cuda12, as the driver has it)"
        ) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise BackendNotAvailable(
            f"backend 'cupy': CuPy is installed, but no NVIDIA GPU answers ({error}); "
            "install the driver, or use the backend 'numpy'"
        ) from error
    if count == 0:
        raise BackendNotAvailable("backend 'cupy': there is no NVIDIA GPU; use the backend 'numpy'")
    special, linalg = map(importlib.import_module, ["cupyx.scipy.special", "cupyx.scipy.linalg"])
    return cupy, special, linalg


use("numpy")
