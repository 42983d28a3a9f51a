"""Convolutions, forward and backward, against PyTorch eager at its best.

Each case is one layer in the middle of a network: from x, w and b to y, and from ȳ to x̄, w̄ and b̄.
PyTorch is timed in its natural layout and in channels-last, and the faster one counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy

from autograd import Tensor, backend
from autograd.extend import defvjp, primitive
from autograd.nn import conv, conv_transpose
from benchmarks import lstm
from benchmarks.timing import against

MASK_B = ((True, True, True), (True, True, False), (False, False, False))


@dataclass(frozen=True)
class Case:
    """A layer: shapes as ours, (N, *sides, C_in) and (*kernel, C_in, C_out)."""

    name: str
    x: tuple[int, ...]
    w: tuple[int, ...]  # for a transposed convolution (*kernel, C_out, C_in)
    options: dict[str, Any] = field(default_factory=dict)
    transposed: bool = False


CASES = (
    Case("3x3, 64 to 64, 32x28x28", (32, 28, 28, 64), (3, 3, 64, 64), {"padding": 1}),
    Case(
        "3x3 mask B, 64 to 64, 32x28x28",
        (32, 28, 28, 64),
        (3, 3, 64, 64),
        {"padding": 1, "taps": MASK_B},
    ),
    Case("1x1, 64 to 64, 32x28x28", (32, 28, 28, 64), (1, 1, 64, 64)),
    Case("7x7, 1 to 64, 32x28x28", (32, 28, 28, 1), (7, 7, 1, 64), {"padding": 3}),
    Case(
        "causal k=2 d=4, 32 to 64, 4x4000",
        (4, 4000, 32),
        (2, 32, 64),
        {"padding": "causal", "dilation": 4},
    ),
    Case(
        "4x4 stride 2, 64 to 128, 64x28x28",
        (64, 28, 28, 64),
        (4, 4, 64, 128),
        {"stride": 2, "padding": 1},
    ),
    Case(
        "4x4 stride 2 up, 128 to 64, 64x14x14",
        (64, 14, 14, 128),
        (4, 4, 64, 128),
        {"stride": 2, "padding": 1},
        transposed=True,
    ),
    Case("3x3, 64 to 64, 64x8x8", (64, 8, 8, 64), (3, 3, 64, 64), {"padding": 1}),
    Case(
        "3x3 mask B, 64 to 64, 64x8x8",
        (64, 8, 8, 64),
        (3, 3, 64, 64),
        {"padding": 1, "taps": MASK_B},
    ),
)


def rows(seconds: float = 2.0) -> Iterator[dict]:
    """One row for each case, timed in turns with PyTorch if it is installed."""
    for case in CASES:
        yield against(case.name, ours(case), peers(case), seconds)
    yield lstm.row(seconds)


def _arrays(case: Case) -> list[numpy.ndarray]:
    """x, w, b and ȳ, float32."""
    rng = numpy.random.default_rng(0)
    b = numpy.zeros(case.w[-2] if case.transposed else case.w[-1])
    arrays = [rng.normal(size=case.x), 0.05 * rng.normal(size=case.w), b]
    arrays = [a.astype("float32") for a in arrays]
    function = conv_transpose if case.transposed else conv
    y = function(*map(backend.asarray, arrays), **case.options)
    return [*arrays, rng.normal(size=y.shape).astype("float32")]


@primitive
def _hidden(one: Any, x: Any) -> Any:
    return x


# x is not a variable but some layer's output: its gradient is wanted, and there it ends
defvjp(_hidden, lambda _, one, x: lambda g: g[(0,) * g.ndim])


def ours(case: Case) -> Callable[[], None]:
    """The case as a program of this library."""
    x, w, b, g = map(backend.asarray, _arrays(case))
    one, w, b = Tensor(backend.asarray(numpy.ones((), "float32"))), Tensor(w), Tensor(b)
    function = conv_transpose if case.transposed else conv

    def run() -> None:
        w.grad = b.grad = None
        function(_hidden(one, x), w, b, **case.options).backward(g)

    return run


# ---------------------------------------------------------------------------- the same in PyTorch


def peers(case: Case) -> dict[str, Callable[[], None]]:
    """The case in PyTorch, in each layout that it has; nothing if it is not installed."""
    try:
        import torch
    except ImportError:
        return {}
    two_dimensional = len(case.x) == 4
    layouts = ["contiguous", "channels last"] if two_dimensional else ["contiguous"]
    return {f"torch eager, {layout}": _in_torch(torch, case, layout) for layout in layouts}


def _in_torch(torch: Any, case: Case, layout: str) -> Callable[[], None]:
    memory = torch.channels_last if layout == "channels last" else torch.contiguous_format

    def tensor(array: numpy.ndarray, order: tuple[int, ...]) -> Any:
        made = torch.from_numpy(numpy.ascontiguousarray(array.transpose(order)))
        return made.contiguous(memory_format=memory)

    x, w, b, g = _arrays(case)
    dims = len(case.x) - 2
    data = (0, dims + 1, *range(1, dims + 1))  # (N, H, W, C) -> (N, C, H, W)
    x, g = tensor(x, data).requires_grad_(), tensor(g, data)
    w = tensor(w, (dims + 1, dims, *range(dims))).requires_grad_()
    b = torch.from_numpy(b).requires_grad_()
    function = _torch_function(torch, case)

    def run() -> None:
        x.grad = w.grad = b.grad = None
        function(x, w, b).backward(g)

    return run


def _torch_function(torch: Any, case: Case) -> Callable[[Any, Any, Any], Any]:
    F = torch.nn.functional
    options = dict(case.options)
    taps = options.pop("taps", None)
    if options.get("padding") == "causal":
        reach = options["dilation"] * (case.w[0] - 1)
        options["padding"] = 0
        return lambda x, w, b: F.conv1d(F.pad(x, (reach, 0)), w, b, **options)
    if case.transposed:
        return lambda x, w, b: F.conv_transpose2d(x, w, b, **options)
    if taps is not None:
        mask = torch.tensor(taps, dtype=torch.float32)
        return lambda x, w, b: F.conv2d(x, w * mask, b, **options)
    return lambda x, w, b: F.conv2d(x, w, b, **options)
