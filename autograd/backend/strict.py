"""NumPy behind an array type that behaves as a device array would, for tests.

A program that is right on NumPy may still fail on a GPU: it hands a NumPy array to a device
function, or lets Python read a device value (``if x > 0``, ``float(x)``), which waits for the
device. A :class:`StrictArray` raises :class:`HostDeviceError` in each of these places. Its values
are reached through ``.get()`` (device to host) and :func:`asarray` (host to device) alone.
"""

from __future__ import annotations

import builtins
import sys
from types import ModuleType
from typing import Any

import numpy
import scipy.linalg
import scipy.special


class HostDeviceError(TypeError):
    """Host and device were mixed, or a device value was read by an implicit conversion."""


class StrictArray:
    """A NumPy array that only this module's functions may touch."""

    __slots__ = ("__weakref__", "_base", "_host")
    __array_ufunc__ = None  # NumPy's own functions refuse it
    __array_namespace_name__ = "strict"

    def __init__(self, host: numpy.ndarray, base: StrictArray | None = None) -> None:
        self._host = host
        self._base = base

    def get(self) -> numpy.ndarray:
        """The values, copied to the host."""
        return self._host.copy()

    @property
    def base(self) -> Any:
        """The array that owns this one's memory, None if it does itself."""
        return self._base

    @property
    def _memory_owner(self) -> StrictArray:
        return self if self._base is None else self._base

    @property
    def T(self) -> StrictArray:  # noqa: N802 (NumPy's name)
        return StrictArray(self._host.T, self._memory_owner)

    def item(self) -> Any:
        """The value of a one-element array on the host, asked for explicitly."""
        return self._host.item()

    def tolist(self) -> Any:
        return self._host.tolist()

    def __len__(self) -> int:
        return len(self._host)

    def __setitem__(self, index: Any, value: Any) -> None:
        self._host[_unwrap(index)] = _unwrap(value)

    def __getitem__(self, index: Any) -> StrictArray:
        return _wrap(self._host[_unwrap(index)], (self,))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # such as __array_interface__, a way in behind our back
            raise AttributeError(name)
        value = getattr(self._host, name)  # shape, dtype, ndim, ... and methods
        return _device_function(value, self) if callable(value) else value

    def __repr__(self) -> str:
        return f"StrictArray({self._host!r})"

    def __array__(self, *args: Any, **kwargs: Any) -> numpy.ndarray:
        raise HostDeviceError("implicit conversion of a device array to NumPy; use to_numpy")

    def _refuse(self, *args: Any) -> Any:
        raise HostDeviceError("Python reads a device value implicitly, which waits for the device")

    __bool__ = __float__ = __int__ = __index__ = __iter__ = __complex__ = __contains__ = _refuse
    __hash__ = None  # type: ignore[assignment]


def _add_operator(name: str) -> None:
    def operator(self: StrictArray, *others: Any) -> Any:
        if builtins.any(hasattr(other, "node") for other in others):  # `any` may be NumPy's here
            return NotImplemented  # a Tensor: its reflected operator takes over
        return _wrap(getattr(self._host, name)(*map(_unwrap, others)), (self, *others))

    setattr(StrictArray, name, operator)


_BINARY = "add sub mul truediv floordiv mod pow matmul and or xor lshift rshift".split()
for _name in [*_BINARY, *("r" + name for name in _BINARY), *"lt le gt ge eq ne".split()]:
    _add_operator(f"__{_name}__")
for _name in ["neg", "pos", "abs", "invert"]:
    _add_operator(f"__{_name}__")


def _add_inplace_operator(name: str) -> None:
    def operator(self: StrictArray, other: Any) -> StrictArray:
        getattr(self._host, name)(_unwrap(other))
        return self

    setattr(StrictArray, name, operator)


for _name in ["iadd", "isub", "imul", "itruediv"]:
    _add_inplace_operator(f"__{_name}__")


def _unwrap(value: Any) -> Any:
    if isinstance(value, StrictArray):
        return value._host
    if isinstance(value, tuple | list):
        return type(value)(map(_unwrap, value))
    if isinstance(value, numpy.ndarray):
        raise HostDeviceError(f"a NumPy array {value.shape} meets device arrays; use asarray")
    return value


def _wrap(value: Any, arguments: Any = ()) -> Any:
    if isinstance(value, numpy.ndarray | numpy.generic):
        host = numpy.asarray(value)
        return StrictArray(host, _owner(host, arguments) if host.base is not None else None)
    if isinstance(value, tuple | list):
        items = [_wrap(item, arguments) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def _owner(host: numpy.ndarray, arguments: Any) -> StrictArray | None:
    """Which of the arguments' owners ``host`` is a view of."""
    for argument in arguments:
        if isinstance(argument, StrictArray) and numpy.may_share_memory(host, argument._host):
            return argument._memory_owner
    return None


def _device_function(function: Any, owner: StrictArray | None = None) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        values = function(*map(_unwrap, args), **{k: _unwrap(v) for k, v in kwargs.items()})
        return _wrap(values, (owner, *args) if owner is not None else args)

    call.__name__ = getattr(function, "__name__", "function")
    if isinstance(function, numpy.ufunc):
        call.at = _device_function(function.at)  # type: ignore[attr-defined]
        call.reduce = _device_function(function.reduce)  # type: ignore[attr-defined]
    return call


class _DeviceModule(ModuleType):
    """A module of host functions, offered as functions of device arrays."""

    def __init__(self, name: str, host: Any) -> None:
        super().__init__(name)
        self._host_module = host

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._host_module, name)
        if isinstance(value, ModuleType):
            value = _DeviceModule(f"{self.__name__}.{name}", value)
        elif callable(value) and not isinstance(value, type):
            value = _device_function(value)
        setattr(self, name, value)
        return value


def asarray(x: Any, dtype: Any = None) -> StrictArray:
    """From host to device."""
    if isinstance(x, StrictArray):
        return x if dtype is None or x.dtype == dtype else x.astype(dtype)
    return StrictArray(numpy.array(x, dtype=dtype))


def array(x: Any, dtype: Any = None, copy: bool = True) -> StrictArray:
    """A copy on the device, of host or device values."""
    return StrictArray(numpy.array(x._host if isinstance(x, StrictArray) else x, dtype=dtype))


class _Random:
    """``numpy.random.Generator`` whose draws are device arrays."""

    def __init__(self, seed: int | None) -> None:
        self._generator = numpy.random.default_rng(seed)
        self.bit_generator = self._generator.bit_generator

    def __getattr__(self, name: str) -> Any:
        return _device_function(getattr(self._generator, name))


class _RandomModule(_DeviceModule):
    @staticmethod
    def default_rng(seed: int | None = None) -> _Random:
        return _Random(seed)


ndarray = StrictArray
random = _RandomModule("strict.random", numpy.random)
linalg = _DeviceModule("strict.linalg", numpy.linalg)
special = _DeviceModule("strict.special", scipy.special)
scipy_linalg = _DeviceModule("strict.scipy_linalg", scipy.linalg)
_functions = _DeviceModule("strict", numpy)


def __getattr__(name: str) -> Any:
    value = getattr(_functions, name)
    setattr(sys.modules[__name__], name, value)
    return value
