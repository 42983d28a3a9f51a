"""Convolution over one, two or more spatial dimensions, and its transpose.

    y[n, o, c'] = b[c'] + Σ_t Σ_c  x[n, s·o + d·t − p, c] · w[t, c, c']

with n the image; o and t positions in the output and in the kernel, of one number for each spatial
dimension; c and c' channels; stride s, dilation d and padding p. Outside its sides x is zero. As
everywhere in this field, it is a cross-correlation: the kernel is not flipped.

Three functions form a closed family: x ↦ y itself, its transpose :func:`conv_input_grad`, and
:func:`conv_weight_grad`. Each is linear in either argument, and its gradients are written with the
other two; so there are derivatives of every order. How they are computed stands in
:mod:`autograd.nn.conv_kernels`. In memory stay, for the backward pass, x and w and nothing else.

The options that all of them take:

``stride``, ``dilation``
    A number, or one for each dimension.
``padding``
    ``"valid"``: none. ``"same"``: dilation·(kernel − 1) zeros in all, half of them in front and the
    odd one behind, so that a kernel of odd side is centred on input stride·o, and the output has
    ⌈side / stride⌉ positions. ``"causal"``, over one dimension: all of them in front, so that
    output o reads no input after stride·o. Or a number; or for each dimension a number or a pair
    (in front, behind).
``taps``
    Which positions of the kernel count: a boolean mask of its shape, on the host; None for all. The
    others take no time, and have gradient zero. A masked convolution (van den Oord et al. 2016)
    with 5 of 9 taps takes little more than 5/9 of the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy

from autograd.core import defvjp
from autograd.nn import conv_kernels
from autograd.nn.conv_geometry import Geometry, Padding, Sides, each, geometry_of, pads
from autograd.numpy.reductions import broadcast_to
from autograd.table import Call, Draw, call, operation

Numbers = int | Sequence[int]

# -------------------------------------------------------------------------------------- samples


def _drawn(d: Draw) -> tuple[Sides, numpy.ndarray, dict[str, Any]]:
    """Small sides, a weight, and options that they allow."""
    dims = d.choice([1, 1, 2])
    kernel = tuple(d.integer(1, 3 if dims == 1 else 2) for _ in range(dims))
    pairs = [(d.integer(0, 2), d.integer(0, 2)) for _ in kernel]
    mask = (d.array(kernel) > 0).tolist()
    options = {
        "stride": d.choice([1, 2, tuple(d.integer(1, 3) for _ in kernel)]),
        "padding": d.choice(["same", "valid", 1, pairs, "causal" if dims == 1 else "same"]),
        "dilation": d.choice([1, 2]),
        "taps": d.choice([None, mask if numpy.any(mask) else None]),
    }
    sides = tuple(options["dilation"] * (k - 1) + d.integer(1, 3) for k in kernel)
    return sides, d.array((*kernel, d.integer(1, 2), d.integer(1, 3))), options


def _conv_samples(d: Draw) -> Call:
    sides, w, options = _drawn(d)
    x = d.array((d.integer(0, 2), *sides, w.shape[-2]))
    return call(x, w, d.choice([None, d.array(w.shape[-1:])]), **options)


def _input_grad_samples(d: Draw) -> Call:
    sides, w, options = _drawn(d)
    x_shape = (d.integer(0, 2), *sides, w.shape[-2])
    out = geometry_of(sides, w.shape[:-2], **options).out
    return call(d.array((x_shape[0], *out, w.shape[-1])), w, x_shape, **options)


def _weight_grad_samples(d: Draw) -> Call:
    (g, w, x_shape), options = _input_grad_samples(d)
    return call(d.array(x_shape), g, w.shape, **options)


def _transpose_samples(d: Draw) -> Call:
    (g, w, _), options = _input_grad_samples(d)
    options["output_padding"] = d.choice([0, None])
    b = d.choice([None, d.array(w.shape[-2:-1])])
    if not isinstance(options["padding"], str):  # that could leave nothing
        options["padding"] = tuple((k - 1) // 2 for k in w.shape[:-2])
    return call(g, w, b, **options)


_X, _W, _Y = numpy.zeros((2, 5, 5, 3)), numpy.zeros((3, 3, 3, 4)), numpy.zeros((2, 3, 3, 4))
_WRONG_OPTIONS: list[dict[str, Any]] = [
    {"dilation": 3},
    {"stride": 0},
    {"stride": (1, 1, 1)},
    {"padding": "causal"},
    {"padding": "full"},
    {"padding": -1},
    {"padding": (1, 2, 3)},
    {"taps": numpy.ones(9, bool)},
    {"taps": numpy.zeros((3, 3), bool)},
    {"taps": numpy.ones((3, 3))},
]

# ----------------------------------------------------------------------------------- the family


@operation(
    r"y_c = \sum_n \sum_o x_{n o c}",
    lambda d: call(d.array(d.shape(min_ndim=1, max_ndim=4))),
    [call(numpy.zeros(()))],
    analytic=True,
)
def sum_positions(x: Any) -> Any:
    """The sum over all axes but the last: the gradient of a bias. (N, *sides, C) -> (C,)."""
    return conv_kernels.sum_positions(x)


def _sum_rule(_, x):
    shape = x.shape
    return lambda g: broadcast_to(g, shape)


defvjp(sum_positions, _sum_rule)


@operation(
    r"y_{n o c'} = b_{c'} + \sum_t \sum_c x_{n,\, s o + d t - p,\, c} \, w_{t c c'}",
    _conv_samples,
    [
        call(_X, numpy.zeros((3, 3, 2, 4))),
        call(_X, numpy.zeros((3, 3, 4))),
        call(_X[0, 0], numpy.zeros((3, 4))),
        call(_X, numpy.zeros((7, 7, 3, 4))),
        call(_X, _W, numpy.zeros(3)),
        *(call(_X, _W, **options) for options in _WRONG_OPTIONS),
    ],
    analytic=True,
)
def conv(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Numbers = 1,
    padding: Padding = "valid",
    dilation: Numbers = 1,
    taps: Any = None,
) -> Any:
    """Convolution: (N, *sides, C_in), (*kernel, C_in, C_out), (C_out,) -> (N, *out, C_out).

    Along each dimension, out = ⌊(side + padding − dilation·(kernel − 1) − 1) / stride⌋ + 1.
    """
    geometry = _geometry(x.shape, w.shape, stride, padding, dilation, taps)
    _check_bias(b, w.shape[-1])
    return conv_kernels.gather(x, _flat(w), b, geometry)


@operation(
    r"\bar x_{n i c} = \sum_{o, t :\, s o + d t - p = i} \sum_{c'} \bar y_{n o c'} w_{t c c'}",
    _input_grad_samples,
    [
        call(_Y, _W, (2, 6, 5, 3)),
        call(_Y, _W, (3, 5, 5, 3)),
        call(_Y, _W, (2, 5, 5, 2)),
        call(_Y[..., :3], _W, (2, 5, 5, 3)),
        call(_Y, _W[0], (2, 5, 3)),
    ],
    analytic=True,
)
def conv_input_grad(
    g: Any,
    w: Any,
    x_shape: tuple[int, ...],
    *,
    stride: Numbers = 1,
    padding: Padding = "valid",
    dilation: Numbers = 1,
    taps: Any = None,
) -> Any:
    """The transpose of x ↦ conv(x, w): (N, *out, C_out) -> ``x_shape`` = (N, *sides, C_in)."""
    geometry = _geometry(x_shape, w.shape, stride, padding, dilation, taps)
    _check_output(g.shape, x_shape, w.shape, geometry)
    return conv_kernels.scatter(g, _flat(w), None, geometry)


@operation(
    r"\bar w_{t c c'} = \sum_n \sum_o x_{n,\, s o + d t - p,\, c} \, \bar y_{n o c'}",
    _weight_grad_samples,
    [
        call(_X, _Y, (3, 4, 3, 4)),
        call(_X, _Y, (3, 3, 2, 4)),
        call(_X, _Y, (3, 3, 3, 5)),
        call(_X, _Y[:1], (3, 3, 3, 4)),
        call(_X, _Y[0], (3, 3, 3, 4)),
    ],
    analytic=True,
)
def conv_weight_grad(
    x: Any,
    g: Any,
    w_shape: tuple[int, ...],
    *,
    stride: Numbers = 1,
    padding: Padding = "valid",
    dilation: Numbers = 1,
    taps: Any = None,
) -> Any:
    """Gradient of ⟨conv(x, w), g⟩ with respect to w, of ``w_shape`` = (*kernel, C_in, C_out)."""
    geometry = _geometry(x.shape, w_shape, stride, padding, dilation, taps)
    _check_output(g.shape, x.shape, w_shape, geometry)
    return conv_kernels.correlate(x, g, geometry).reshape(w_shape)


def _conv_to_input(_, x, w, b=None, **options):
    shape = x.shape
    return lambda g: conv_input_grad(g, w, shape, **options)


def _conv_to_weight(_, x, w, b=None, **options):
    shape = w.shape
    return lambda g: conv_weight_grad(x, g, shape, **options)


def _to_bias(_, x, w, b, **options):
    return lambda g: sum_positions(g)


defvjp(conv, _conv_to_input, _conv_to_weight, _to_bias)


def _input_grad_to_weight(_, g, w, x_shape, **options):
    shape = w.shape
    return lambda x: conv_weight_grad(x, g, shape, **options)


defvjp(
    conv_input_grad,
    lambda _, g, w, x_shape, **options: lambda x: conv(x, w, **options),
    _input_grad_to_weight,
)


def _weight_grad_to_input(_, x, g, w_shape, **options):
    shape = x.shape
    return lambda w: conv_input_grad(g, w, shape, **options)


defvjp(
    conv_weight_grad,
    _weight_grad_to_input,
    lambda _, x, g, w_shape, **options: lambda w: conv(x, w, **options),
)

# ------------------------------------------------------------------------ transposed convolution


@operation(
    r"y_{n i c} = b_c + \sum_{o, t :\, s o + d t - p = i} \sum_{c'} x_{n o c'} w_{t c c'}",
    _transpose_samples,
    [
        call(_X, _W),
        call(_Y, _W[0]),
        call(_Y, _W, numpy.zeros(4)),
        call(_Y, _W, padding=4),
        call(_Y, _W, output_padding=1),
        call(_Y, _W, stride=2, output_padding=-1),
    ],
    analytic=True,
)
def conv_transpose(
    x: Any,
    w: Any,
    b: Any = None,
    *,
    stride: Numbers = 1,
    padding: Padding = "valid",
    dilation: Numbers = 1,
    output_padding: Numbers | None = None,
    taps: Any = None,
) -> Any:
    """Transposed convolution: (N, *sides, C_in), (*kernel, C_out, C_in) -> (N, *out, C_out).

    It goes the way of :func:`conv_input_grad`: with the same weight and options it leads from the
    output of a :func:`conv` to its input, so that ⟨conv(y, w), x⟩ = ⟨y, conv_transpose(x, w)⟩.
    (Radford et al. 2015 draw images with it, stride 2 doubling their sides.) Several sides y have
    the same conv(y); the smallest one is taken, and ``output_padding`` < stride more:

        out = stride·(side − 1) + dilation·(kernel − 1) + 1 − padding + output_padding

    where padding counts both ends. If it is "same" or "causal", ``output_padding`` is stride − 1
    unless given, and out = stride·side.
    """
    _check_axes(x.shape, w.shape)
    out = _transposed_sides(x.shape[1:-1], w.shape[:-2], stride, padding, dilation, output_padding)
    y_shape = (len(x), *out, w.shape[-2])
    geometry = _geometry(y_shape, w.shape, stride, padding, dilation, taps)
    if x.shape[-1] != w.shape[-1]:
        raise ValueError(
            f"input has {x.shape[-1]} channels, weight expects {w.shape[-1]}; "
            f"input {x.shape}, weight {w.shape}"
        )
    _check_bias(b, w.shape[-2])
    return conv_kernels.scatter(x, _flat(w), b, geometry)


def _transposed_sides(
    sides: Sides, kernel: Sides, stride: Numbers, padding: Padding, dilation: Numbers, extra: Any
) -> Sides:
    dims = len(sides)
    strides, dilations = each(stride, dims, "stride"), each(dilation, dims, "dilation")
    if extra is None:
        extra = [s - 1 if padding in ("same", "causal") else 0 for s in strides]
    extra = each(extra, dims, "output_padding")
    if any(not 0 <= e < s for e, s in zip(extra, strides, strict=True)):
        raise ValueError(
            f"output_padding {extra} must be at least 0 and less than stride {strides}"
        )
    before, after = pads(padding, kernel, dilations)
    out = tuple(
        s * (side - 1) + d * (k - 1) + 1 - a - b + e
        for side, k, s, d, a, b, e in zip(
            sides, kernel, strides, dilations, before, after, extra, strict=True
        )
    )
    if min(out) < 1:
        raise ValueError(f"padding {padding!r} leaves nothing: the result would have sides {out}")
    return out


def _transpose_to_input(_, x, w, b=None, *, output_padding=None, **options):
    return lambda g: conv(g, w, **options)


def _transpose_to_weight(_, x, w, b=None, *, output_padding=None, **options):
    shape = w.shape
    return lambda g: conv_weight_grad(g, x, shape, **options)


defvjp(conv_transpose, _transpose_to_input, _transpose_to_weight, _to_bias)

# --------------------------------------------------------------------------------------- checks


def _geometry(
    x_shape: tuple, w_shape: tuple, stride: Numbers, padding: Padding, dilation: Numbers, taps: Any
) -> Geometry:
    _check_axes(x_shape, w_shape)
    if x_shape[-1] != w_shape[-2]:
        raise ValueError(
            f"input has {x_shape[-1]} channels, weight expects {w_shape[-2]}; "
            f"input {tuple(x_shape)}, weight {tuple(w_shape)}"
        )
    return geometry_of(tuple(x_shape[1:-1]), tuple(w_shape[:-2]), stride, padding, dilation, taps)


def _check_axes(x_shape: tuple, w_shape: tuple) -> None:
    if len(x_shape) != len(w_shape) or len(x_shape) < 3:
        raise ValueError(
            f"(N, *sides, C_in) and (*kernel, C_in, C_out) must have as many axes, at least three; "
            f"input {tuple(x_shape)}, weight {tuple(w_shape)}"
        )


def _check_output(g_shape: tuple, x_shape: tuple, w_shape: tuple, geometry: Geometry) -> None:
    """Whether ``g_shape`` is that of the convolution's result."""
    expected = (x_shape[0], *geometry.out, w_shape[-1])
    if tuple(g_shape) != expected:
        raise ValueError(
            f"an input {tuple(x_shape)} and a weight {tuple(w_shape)} give {expected}, "
            f"but the gradient has shape {tuple(g_shape)}"
        )


def _check_bias(b: Any, channels: int) -> None:
    if b is not None and b.shape != (channels,):
        raise ValueError(f"bias is {b.shape}, and must be ({channels},)")


def _flat(w: Any) -> Any:
    """(*kernel, C_in, C_out) -> (positions, C_in, C_out)."""
    return w.reshape(-1, *w.shape[-2:])
