"""A step written down, and whether two of these are of the same step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy

from autograd import core
from autograd.backend.whole import state
from autograd.core import Tensor, constant
from autograd.structures import flatten
from autograd.traced import Call, Recorder, Traced, Variable, written


@dataclass
class Recording:
    """All calls of a step, and where its values come from and go to."""

    calls: list[Call]
    inputs: list[Variable]  # the arrays and generators among the arguments
    rebuild: Callable[[list[Any]], Any]  # what is returned, from
    outputs: list[Any]  # these: results, or constants
    parameters: list[tuple[Tensor, Any]]  # and where their values are
    staying: set[int]  # owners of memory that is where it is in every replay
    refusal: str | None

    def constants(self) -> list[numpy.ndarray]:
        """Arrays that calls are given, and parameters' values."""
        found = [x for call in self.calls for x in _leaves([call.args, call.kwargs])]
        found += [data for _, data in self.parameters]
        return [x for x in found if isinstance(x, numpy.ndarray)]


def record(
    step: Callable[..., Any], args: tuple, before: Recording | None = None
) -> tuple[Recording, Any]:
    """Take the step, write it down, and return both the recording and what the step returned.

    ``before``: an earlier recording of it, whose constants are watched.
    """
    recorder = Recorder(before.constants() if before else ())
    leaves, rebuild = flatten(list(args))
    traced = [recorder.input(x) for x in leaves]
    state.recorder = recorder
    try:
        with core.hook(recorder):
            result = step(*rebuild(traced))
    finally:
        state.recorder = None
    returned, rebuild_result = flatten(result)
    returned = [constant(x) for x in returned]
    values = rebuild_result([x.plain if isinstance(x, Traced) else x for x in returned])
    recording = Recording(
        recorder.calls,
        [x.variable for x in traced if hasattr(x, "variable")],
        rebuild_result,
        [recorder.result(x) if isinstance(x, Traced) else x for x in returned],
        [(leaf, leaf.data) for leaf in recorder.leaves.values()],
        _staying(recorder, [x for x in leaves if isinstance(x, numpy.ndarray)]),
        None,
    )
    del result, returned, traced
    recorder.end()
    recording.refusal = recorder.refusal
    return recording, values


def _staying(recorder: Recorder, inputs: list[numpy.ndarray]) -> set[int]:
    """The owners of constants, whose memory is where it is in every replay."""
    given = {recorder.owner(x) for x in inputs}
    constants = (x for call in recorder.calls for x in _leaves([call.args, call.kwargs]))
    return {recorder.owner(x) for x in constants if isinstance(x, numpy.ndarray)} - given


def difference(first: Recording, second: Recording) -> str | None:
    """What shows that two recordings are not of the same calls on the same constants, or None."""
    ids = {id(array) for call in second.calls for array in written(call)}
    for a, b in zip(first.calls, second.calls, strict=False):
        names = [getattr(call.function, "__name__", "a function") for call in (a, b)]
        if a.function != b.function:
            return f"it called {names[0]} the first time, and {names[1]} in its place the second"
        if not _alike([a.args, a.kwargs], [b.args, b.kwargs], ids):
            return (
                f"it gave {names[1]} something else the second time: it depends on what is not "
                "among its arguments"
            )
        if a.made() != b.made():
            return f"{names[1]} gave an array of another shape or kind the second time"
    if len(first.calls) != len(second.calls):
        return f"it made {len(first.calls)} calls the first time, and {len(second.calls)} then"
    if not _alike(first.outputs, second.outputs, ids):
        return "it returned something else the second time, which is not made of its arguments"
    return None


def _alike(a: Any, b: Any, ids: set[int]) -> bool:
    """Whether constants are the same: arrays with these ``ids``, which are written to, as such."""
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(_alike(x, y, ids) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(_alike(a[key], b[key], ids) for key in a)
    if a is b:
        return True
    if isinstance(a, numpy.ndarray) or isinstance(b, numpy.ndarray):
        return id(b) not in ids and _same_bits(a, b)
    if isinstance(a, float | complex | numpy.generic):
        return type(a) is type(b) and repr(a) == repr(b)  # −0.0 is another than 0.0
    return type(a) is type(b) and not isinstance(a, Tensor) and a == b


def _same_bits(a: Any, b: Any) -> bool:
    """Whether two values are equal, NaN to NaN, and 0 not to −0."""
    if not isinstance(a, numpy.ndarray | numpy.generic):
        return a is b or a == b
    same = isinstance(b, numpy.ndarray | numpy.generic) and (a.shape, a.dtype) == (b.shape, b.dtype)
    return same and numpy.asarray(a).tobytes() == numpy.asarray(b).tobytes()


def _leaves(x: Any) -> list[Any]:
    return flatten(x)[0]
