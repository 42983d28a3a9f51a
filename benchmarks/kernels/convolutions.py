"""Convolutions of each kind, each as one layer in the middle of a network.

PyTorch is timed in its natural layout and in channels-last, and the faster one counts.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy

from autograd.nn import conv, conv_transpose
from autograd.nn.conv_geometry import geometry_of
from benchmarks.kernels.kernel import PARAMETER, Case, Input, Kernel, Run

MASK_B = ((True, True, True), (True, True, False), (False, False, False))

Shape = tuple[int, ...]


def convolution(
    name: str, x: Shape, w: Shape, options: dict[str, Any] | None = None, transposed: bool = False
) -> Case:
    """Shapes as ours: (N, *sides, C_in), and (*kernel, C_in, C_out), if transposed C_out first."""
    options = options or {}
    dims = len(x) - 2
    first = (0, dims + 1, *range(1, dims + 1))  # (N, H, W, C) -> (N, C, H, W)
    channels_out = w[-2] if transposed else w[-1]

    def inputs(rng: numpy.random.Generator) -> list[Input]:
        return [
            Input(rng.normal(size=x), axes=first),
            Input(0.05 * rng.normal(size=w), PARAMETER, (dims + 1, dims, *range(dims))),
            Input(rng.normal(size=channels_out), PARAMETER, again=False),
        ]

    def ours(x: Any, w: Any, b: Any) -> Run:
        function = conv_transpose if transposed else conv
        return lambda: function(x, w, b, **options)

    def in_torch(torch: Any, x: Any, w: Any, b: Any) -> Run:
        function = _torch_function(torch, w, dims, options, transposed)
        return lambda: function(x, w, b)

    counts = _flops(x, w, options, transposed)
    return Case(name, inputs, ours, in_torch, counts, first, has_layouts=dims == 2)


def _flops(x: Shape, w: Shape, options: dict[str, Any], transposed: bool) -> tuple[int, int]:
    """Of y_{n o c'} = b_{c'} + Σ_t Σ_c x_{n, s o + d t − p, c} w_{t c c'}, and of its gradients.

    With P pairs of an output position o and a tap t that reads inside of the input there are
    N P C C' products in y, as many in x̄ and as many in w̄, and b̄ is a sum of all ȳ. The transposed
    convolution goes from y's place to x's through the same pairs.
    """
    kernel = w[:-2]
    settings = {"stride": 1, "padding": "valid", "dilation": 1, "taps": None, **options}
    read = _transposed_sides(x[1:-1], kernel, settings) if transposed else x[1:-1]
    geometry = geometry_of(read, kernel, **settings)
    pairs = sum(math.prod(geometry.out) - tap.zeros for tap in geometry.reads)
    outputs = math.prod(read) * w[-2] if transposed else math.prod(geometry.out) * w[-1]
    products = x[0] * pairs * w[-1] * w[-2]
    return 2 * products, 4 * products + x[0] * outputs


def _transposed_sides(sides: Shape, kernel: Shape, settings: dict[str, Any]) -> Shape:
    """What a transposed convolution makes of ``sides``: stride (side − 1) + kernel − 2 padding."""
    stride, padding = settings["stride"], settings["padding"]
    return tuple(stride * (s - 1) + k - 2 * padding for s, k in zip(sides, kernel, strict=True))


def _torch_function(
    torch: Any, w: Any, dims: int, options: dict[str, Any], transposed: bool
) -> Callable[[Any, Any, Any], Any]:
    F = torch.nn.functional
    options = dict(options)
    taps = options.pop("taps", None)
    if options.get("padding") == "causal":
        reach = options["dilation"] * (w.shape[-1] - 1)
        options["padding"] = 0
        return lambda x, w, b: F.conv1d(F.pad(x, (reach, 0)), w, b, **options)
    function = getattr(F, f"conv_transpose{dims}d" if transposed else f"conv{dims}d")
    if taps is not None:
        mask = torch.tensor(taps, dtype=w.dtype, device=w.device)
        return lambda x, w, b: function(x, w * mask, b, **options)
    return lambda x, w, b: function(x, w, b, **options)


# ------------------------------------------------------------------------------------- the kinds

SAME: dict[str, Any] = {"padding": 1}
MASKED: dict[str, Any] = {"padding": 1, "taps": MASK_B}
HALVING: dict[str, Any] = {"stride": 2, "padding": 1}
CAUSAL: dict[str, Any] = {"padding": "causal", "dilation": 4}


Sizes = Sequence[tuple[Shape, int]]  # x, and how many channels come out

SQUARES: Sizes = [((1, 8, 8, 8), 8), ((64, 8, 8, 64), 64), ((32, 28, 28, 64), 64)]
GREY: Sizes = [((1, 8, 8, 1), 8), ((64, 8, 8, 1), 64), ((32, 28, 28, 1), 64)]
DOWN: Sizes = [((1, 8, 8, 8), 8), ((64, 8, 8, 64), 128), ((64, 28, 28, 64), 128)]
UP: Sizes = [((1, 4, 4, 8), 8), ((64, 4, 4, 128), 64), ((64, 14, 14, 128), 64)]
WAVES: Sizes = [((1, 64, 8), 8), ((4, 400, 32), 64), ((4, 4000, 32), 64)]


def _images(
    name: str,
    kind: str,
    side: int,
    sizes: Sizes,
    options: Any = None,
    up: bool = False,
    tiniest: Shape = (1, 1, 1, 1),
) -> Kernel:
    """Over images; ``up``: transposed. ``tiniest``: with one channel, the least that goes."""

    def case(x: Shape, channels: int) -> Case:
        w = (side, side, *((channels, x[-1]) if up else (x[-1], channels)))
        label = f"{kind}, {x[-1]} to {channels}, {'x'.join(map(str, x[:-1]))}"
        return convolution(label, x, w, options, up)

    return Kernel(name, case(tiniest, 1), tuple(itertools.starmap(case, sizes)))


def _waves(name: str, sizes: Sizes) -> Kernel:
    def case(x: Shape, channels: int) -> Case:
        label = f"causal k=2 d=4, {x[-1]} to {channels}, {x[0]}x{x[1]}"
        return convolution(label, x, (2, x[-1], channels), CAUSAL)

    return Kernel(name, case((1, 1, 1), 1), tuple(itertools.starmap(case, sizes)))


KERNELS = (
    _images("conv-3x3", "3x3", 3, SQUARES, SAME),
    _images("conv-masked", "3x3 mask B", 3, SQUARES, MASKED),
    _images("conv-1x1", "1x1", 1, SQUARES),
    _images("conv-7x7", "7x7", 7, GREY, {"padding": 3}),
    _waves("conv-causal", WAVES),
    _images("conv-strided", "4x4 stride 2", 4, DOWN, HALVING, tiniest=(1, 2, 2, 1)),
    _images("conv-transposed", "4x4 stride 2 up", 4, UP, HALVING, up=True),
)
