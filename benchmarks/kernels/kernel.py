"""A kernel in several sizes: what goes in, how it is computed here and in PyTorch, what it costs.

The cost is the least that any implementation has to do.

Floating-point operations are those of the equations: a product and a sum count as one each, and so
does an exponential, a logarithm or a tanh. (What that takes is no matter here: a kernel of such
functions is bound by the memory.) A sum of m products counts 2 m, as it begins at 0 or at a bias.
Products with the zeros of a mask or of a padding do not count, and an intermediate result that the
forward pass has is not computed again.

Bytes are those of the arrays at both ends, as if all between them stayed in the registers: going
forward, each input is read once and each output written once; going backward, each ȳ is read, each
input that the gradients depend on is read again, and each gradient is written. A pass of both does
one after the other: operations and bytes add up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy

from autograd import backend

HIDDEN, PARAMETER, CONSTANT = "hidden", "parameter", "constant"
FORWARD, BACKWARD, BOTH = PASSES = ("forward", "backward", "both")
DTYPES = ("float32", "float64")


@dataclass(frozen=True)
class Input:
    """An array that a kernel reads.

    It is ``hidden`` (some layer's output), a ``parameter``, or a ``constant``, of which no gradient
    is wanted. ``axes`` is their order in PyTorch, where that differs. ``again``: whether the
    gradients depend on its values.
    """

    array: numpy.ndarray
    role: str = HIDDEN
    axes: tuple[int, ...] | None = None
    again: bool = True


Run = Callable[[], Any]  # computes the outputs: one, or a tuple of them


@dataclass(frozen=True)
class Case:
    """A kernel in one size.

    ``ours`` makes of the inputs (Tensors, or plain arrays if constant) what computes the outputs;
    ``in_torch`` does it with the inputs as PyTorch has them. ``flops`` are those of the forward and
    of the backward pass.
    """

    name: str
    inputs: Callable[[numpy.random.Generator], Sequence[Input]]
    ours: Callable[..., Run]
    in_torch: Callable[..., Run]
    flops: tuple[int, int]
    output_axes: tuple[int, ...] | None = None  # their order in PyTorch, where that differs
    has_layouts: bool = False  # whether PyTorch knows channels-last for it


@dataclass(frozen=True)
class Kernel:
    """A name to pick it by, its sizes from small to large, and the tiniest there can be.

    The tiniest one takes as long as Python and, on a GPU, the launches do: it has one number to
    compute or a few.
    """

    name: str
    tiniest: Case
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Data:
    """The inputs of a case in one dtype, and the gradients ȳ with respect to its outputs."""

    inputs: Sequence[Input]
    gradients: Sequence[numpy.ndarray]

    def bytes(self, which: str) -> int:
        """How many a pass has to move at least."""
        outputs = sum(g.nbytes for g in self.gradients)
        forward = outputs + sum(i.array.nbytes for i in self.inputs)
        backward = outputs + sum(
            (i.again + (i.role != CONSTANT)) * i.array.nbytes for i in self.inputs
        )
        return {FORWARD: forward, BACKWARD: backward, BOTH: forward + backward}[which]


def data(case: Case, dtype: str) -> Data:
    """The same numbers each time."""
    rng = numpy.random.default_rng(0)
    inputs = [replace(i, array=_in(dtype, i.array)) for i in case.inputs(rng)]
    outputs = in_a_tuple(case.ours(*(backend.asarray(i.array) for i in inputs))())
    return Data(inputs, [_in(dtype, rng.normal(size=y.shape)) for y in outputs])


def _in(dtype: str, array: numpy.ndarray) -> numpy.ndarray:
    return array.astype(dtype) if array.dtype.kind == "f" else array


def in_a_tuple(outputs: Any) -> tuple[Any, ...]:
    """The outputs of a kernel, if there is only one too."""
    return outputs if isinstance(outputs, tuple) else (outputs,)


def flops(case: Case, which: str) -> int:
    """How many operations a pass has to do at least."""
    forward, backward = case.flops
    return {FORWARD: forward, BACKWARD: backward, BOTH: forward + backward}[which]
