"""The passes of a kernel as programs to time: here, and in PyTorch.

Each pass leaves the gradients where a layer in the middle of a network would: those of hidden
values go on to the layer before, those of parameters stay with these. The backward pass alone goes
through the same graph every time, which it has to retain.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy

from autograd import Tensor, backend
from autograd.changes import next_number
from autograd.core import Node, backward_pass
from benchmarks.kernels.kernel import (
    BACKWARD,
    BOTH,
    CONSTANT,
    FORWARD,
    HIDDEN,
    Case,
    Data,
    Input,
    in_a_tuple,
)
from benchmarks.timing import Program


class _Hidden(Node):
    """Some layer's output: a gradient is wanted, and what becomes of it is not this one's cost."""

    __slots__ = ("gradient",)

    def __init__(self, array: Any) -> None:
        self.name = "hidden"
        self.number = next_number()
        self.parents = []
        self.vjps = self._keep
        self.shape, self.dtype = array.shape, array.dtype
        self.gradient: Any = None

    def _keep(self, g: Any) -> list[Any]:
        self.gradient = g
        return []


class _Passes:
    """What both ways to run a case have in common."""

    run: Callable[[], Any]
    outputs: tuple[Any, ...] = ()  # of the graph that is walked every time

    @property
    def passes(self) -> dict[str, Program]:
        return {FORWARD: self.run, BACKWARD: self.backward, BOTH: self.both}

    def backward(self) -> None:
        if not self.outputs:
            self.outputs = in_a_tuple(self.run())
        self._pull_back(self.outputs, retain=True)

    def both(self) -> None:
        self._pull_back(in_a_tuple(self.run()), retain=False)

    def _pull_back(self, outputs: tuple[Any, ...], retain: bool) -> None:
        """Leave the gradients of all variables."""
        raise NotImplementedError


class Ours(_Passes):
    """A case on the current backend."""

    def __init__(self, case: Case, data: Data) -> None:
        self.variables: list[Tensor] = []  # in the order of the inputs
        self.run = case.ours(*map(self._variable, data.inputs))
        self.gradients = [backend.asarray(g) for g in data.gradients]

    def _variable(self, given: Input) -> Any:
        array = backend.asarray(given.array)
        if given.role == CONSTANT:
            return array
        variable = Tensor(array, _Hidden(array)) if given.role == HIDDEN else Tensor(array)
        self.variables.append(variable)
        return variable

    def _pull_back(self, outputs: tuple[Any, ...], retain: bool) -> None:
        for variable in self.variables:
            variable.grad = None
        if len(outputs) == 1:
            outputs[0].backward(self.gradients[0], retain_graph=retain)
            return
        seeds = [(y.node, g) for y, g in zip(outputs, self.gradients, strict=True)]
        for leaf, g in backward_pass(seeds, retain_graph=retain):
            leaf.tensor().grad = g  # type: ignore[attr-defined]

    def results(self) -> list[numpy.ndarray]:
        """The outputs, and then the gradients that the last backward pass has left."""
        found = [*in_a_tuple(self.run()), *(self._gradient(v) for v in self.variables)]
        return [backend.to_numpy(a) for a in found]

    @staticmethod
    def _gradient(variable: Tensor) -> Any:
        node = variable.node
        return node.gradient if isinstance(node, _Hidden) else variable.grad


class InTorch(_Passes):
    """A case in PyTorch, in one layout."""

    def __init__(
        self, torch: Any, case: Case, data: Data, device: str = "cpu", channels_last: bool = False
    ) -> None:
        self.torch, self.case, self.device, self.channels_last = torch, case, device, channels_last
        self.variables: list[Any] = []
        self.axes: list[Any] = []  # of the variables
        self.run = case.in_torch(torch, *map(self._variable, data.inputs))
        self.gradients = [self._tensor(g, case.output_axes) for g in data.gradients]

    def _tensor(self, array: numpy.ndarray, axes: tuple[int, ...] | None) -> Any:
        if axes is not None:
            array = numpy.ascontiguousarray(array.transpose(axes))
        made = self.torch.from_numpy(array).to(self.device)
        if self.channels_last and made.ndim == 4:
            made = made.contiguous(memory_format=self.torch.channels_last)
        return made

    def _variable(self, given: Input) -> Any:
        made = self._tensor(given.array, given.axes)
        if given.role == CONSTANT:
            return made
        variable = made.requires_grad_() if given.role == HIDDEN else self.torch.nn.Parameter(made)
        self.variables.append(variable)
        self.axes.append(given.axes)
        return variable

    def _pull_back(self, outputs: tuple[Any, ...], retain: bool) -> None:
        for variable in self.variables:
            variable.grad = None
        if len(outputs) == 1:
            outputs[0].backward(self.gradients[0], retain_graph=retain)
        else:
            self.torch.autograd.backward(outputs, self.gradients, retain_graph=retain)

    def results(self) -> list[numpy.ndarray]:
        """The outputs and gradients, with the axes in our order."""
        outputs = [(y, self.case.output_axes) for y in in_a_tuple(self.run())]
        found = outputs + [(v.grad, a) for v, a in zip(self.variables, self.axes, strict=True)]
        return [_in_our_order(t.detach().cpu().numpy(), axes) for t, axes in found]


def _in_our_order(array: numpy.ndarray, axes: Sequence[int] | None) -> numpy.ndarray:
    return array if axes is None else array.transpose(numpy.argsort(axes))


def torch_variants(case: Case, data: Data, device: str) -> dict[str, dict[str, Program]]:
    """By variant, the programs of each pass: each layout there is, on one thread and on all.

    On a GPU float32 is to mean float32, as here: convolutions in TF32 have a third of its digits.
    """
    import torch

    torch.backends.cudnn.allow_tf32 = False
    found = {}
    for layout in ("contiguous", "channels last") if case.has_layouts else ("",):
        made = InTorch(torch, case, data, device, layout == "channels last")
        for threads in _threads(torch) if device == "cpu" else (0,):
            parts = [layout, f"threads: {threads}" if threads else ""]
            found[", ".join(filter(None, parts))] = {
                which: _on_threads(torch, threads, run) for which, run in made.passes.items()
            }
    return found


def _threads(torch: Any) -> Sequence[int]:
    """One and all, whatever the last program has set."""
    global _all_threads
    _all_threads = _all_threads or torch.get_num_threads()
    return sorted({1, _all_threads})


_all_threads = 0


def _on_threads(torch: Any, count: int, run: Callable[[], Any]) -> Program:
    if not count:
        return run

    def on_threads() -> None:
        if torch.get_num_threads() != count:  # to ask takes 0.1 µs, to set it some
            torch.set_num_threads(count)
        run()

    return on_threads
