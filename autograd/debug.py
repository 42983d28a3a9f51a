"""Observers of the engine that find mistakes. They cost time: switch them on when in doubt.

with debug():                 # shows where a failing backward pass was recorded, where the
    train_step()              # first NaN arose, and which array was changed behind the graph
with float32_only(): ...      # any float64 is an error that names the operation
with profile() as times: ...  # where the time goes
"""

from __future__ import annotations

import contextlib
import os
import time
import traceback
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from autograd import backend, core
from autograd.backend import is_array, xp
from autograd.core import Node, Tensor
from autograd.errors import describe
from autograd.structures import flatten

_PACKAGE = os.path.dirname(__file__)


class Observer:
    """A hook that changes nothing: the base of those below, and of one's own."""

    def forward(self, name: str, args: tuple, run: Callable[[], Any]) -> Any:
        return run()

    def recorded(self, node: Node) -> None:
        pass

    def backward(self, node: Node, gradient: Any, run: Callable[[], Any]) -> Any:
        return run()


def debug() -> contextlib.AbstractContextManager[Any]:
    """Within this block:

    * an error in the backward pass says which line ran the forward operation;
    * the first operation, forward or backward, that makes a NaN or an infinity out of finite
      numbers raises FloatingPointError;
    * a plain array that the graph needs and that somebody changed raises RuntimeError.
    """
    return core.hook(_Debugger())


class _Debugger(Observer):
    def forward(self, name: str, args: tuple, run: Callable[[], Any]) -> Any:
        result = run()
        _report_not_finite(args, result)
        return result

    def recorded(self, node: Node) -> None:
        arrays = [_array(value) for value in core.captured(node)]
        node.note = _calling_line(), [(array, _checksum(array)) for array in arrays]

    def backward(self, node: Node, gradient: Any, run: Callable[[], Any]) -> Any:
        line, arrays = getattr(node, "note", ("a line before debug() began", []))
        for array, checksum in arrays:
            if _checksum(array) != checksum:
                raise RuntimeError(
                    f"an array {describe(array)} that its gradient needs was changed after "
                    f"the forward pass ran at {line}; pass a copy"
                )
        try:
            result = run()
            _report_not_finite((gradient,), result)
        except Exception as error:
            raise type(error)(f"{error}; the forward pass ran at {line}") from error
        return result


def _array(value: Any) -> Any:
    return value.data if isinstance(value, Tensor) else value


def _checksum(array: Any) -> int:
    return zlib.crc32(backend.to_numpy(array).tobytes())


def _calling_line() -> str:
    """The innermost line of the user's program, outside this package."""
    for frame in reversed(traceback.extract_stack()):
        if not frame.filename.startswith(_PACKAGE):
            return f"{frame.filename}:{frame.lineno} ({frame.line})"
    return "a line of this package"


def _report_not_finite(inputs: tuple, result: Any) -> None:
    bad = sum(map(_count_not_finite, flatten(result)[0]))
    if bad and not any(map(_count_not_finite, flatten(list(inputs))[0])):
        raise FloatingPointError(f"{bad} NaN or infinite numbers out of finite ones")


def _count_not_finite(x: Any) -> int:
    x = _array(x)
    if not is_array(x) or x.dtype.kind != "f":
        return 0
    return int(backend.to_numpy(~xp.isfinite(x)).sum())


def float32_only() -> contextlib.AbstractContextManager[Any]:
    """Within this block an operation that gives float64 raises TypeError, except ``astype``."""
    return core.hook(_Float32Only())


class _Float32Only(Observer):
    def forward(self, name: str, args: tuple, run: Callable[[], Any]) -> Any:
        result = run()
        if name != "astype":
            _refuse_float64(name, args, result)
        return result

    def backward(self, node: Node, gradient: Any, run: Callable[[], Any]) -> Any:
        result = run()
        _refuse_float64(f"the gradient of {node.name}", (gradient,), result)
        return result


def _refuse_float64(name: str, args: tuple, result: Any) -> None:
    for x in flatten(result)[0]:
        if getattr(x, "dtype", None) == "float64":
            arguments = ", ".join(map(describe, args))
            raise TypeError(f"{name} gave float64 within float32_only; its input was {arguments}")


@contextlib.contextmanager
def profile() -> Iterator[dict[str, list[float]]]:
    """Seconds of each run of each operation, "exp" forward and "exp ↩" backward.

    On a GPU every operation is waited for, so the sum is more than the program takes without.
    """
    times: dict[str, list[float]] = defaultdict(list)
    with core.hook(_Profiler(times)):
        yield times


class _Profiler(Observer):
    def __init__(self, times: dict[str, list[float]]) -> None:
        self.times = times

    def forward(self, name: str, args: tuple, run: Callable[[], Any]) -> Any:
        return self._timed(name, run)

    def backward(self, node: Node, gradient: Any, run: Callable[[], Any]) -> Any:
        return self._timed(f"{node.name} ↩", run)

    def _timed(self, name: str, run: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = run()
        backend.synchronize()
        self.times[name].append(time.perf_counter() - start)
        return result
