"""Long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).

The definition comes first, written as the equations are (Graves 2013, without peepholes). Then
come one step and a whole sequence as single operations, whose gradients are written by hand. They
equal the definition, and fall back on it for gradients of higher order.

Weights have the gates side by side, in the order i, f, g, o (input, forget, candidate, output) as
in PyTorch: ``w_x`` is its ``weight_ih.T``, ``w_h`` its ``weight_hh.T`` and ``b`` the sum of its two
biases.
"""

from __future__ import annotations

from typing import Any

import numpy

from autograd import backend
from autograd import numpy as np
from autograd.backend import Array, xp
from autograd.backend.threads import in_parts
from autograd.backend.whole import whole
from autograd.core import Tensor, constant, defvjp_argnums, is_recording, primitive
from autograd.nn.activations import sigmoid
from autograd.nn.recurrent import (
    by_definition,
    by_gate,
    in_blocks_of_columns,
    multiply,
    total,
    transposed,
    weights_gradient,
    work,
)
from autograd.table import Call, Draw, call, composite

# ------------------------------------------------------------------------------- the definition


def lstm_cell_definition(x, h, c, w_x, w_h, b):
    """One step: (hₜ, cₜ) from xₜ, hₜ₋₁ and cₜ₋₁."""
    z = x @ w_x + h @ w_h + b  # (N, 4H)
    i, f, g, o = np.split(z, 4, axis=-1)  # (N, H) each
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return h, c


def lstm_definition(x, h0, c0, w_x, w_h, b):
    """All steps, one after the other: (all hₜ, the last h, the last c)."""
    h, c, hs = h0, c0, []
    for t in range(x.shape[1]):
        h, c = lstm_cell_definition(x[:, t], h, c, w_x, w_h, b)
        hs.append(h)
    return np.stack(hs, axis=1), h, c


# ------------------------------------------------------------------------------------- one step


def _cell_samples(d: Draw) -> Call:
    n, channels, hidden = d.integer(0, 3), d.integer(1, 2), d.integer(1, 3)
    return call(d.array((n, channels)), *_parameters(d, n, channels, hidden))


def _parameters(d: Draw, n: int, channels: int, hidden: int) -> list[Any]:
    shapes = [(n, hidden), (n, hidden), (channels, 4 * hidden), (hidden, 4 * hidden), (4 * hidden,)]
    return [d.array(shape) for shape in shapes]


def _zeros(*shapes: tuple[int, ...]) -> Call:
    return call(*map(numpy.zeros, shapes))


_FORMULA = (
    r"(i, f, g, o) = (\sigma, \sigma, \tanh, \sigma)(x_t W_x + h_{t-1} W_h + b), \quad "
    r"c_t = f c_{t-1} + i g, \quad h_t = o \tanh c_t"
)


@composite(
    _FORMULA,
    _cell_samples,
    [
        _zeros((2, 3), (2, 4), (2, 4), (3, 16), (5, 16), (16,)),  # w_h of another hidden size
        _zeros((2, 3), (2, 4), (2, 5), (3, 16), (4, 16), (16,)),  # c of another hidden size
        _zeros((2, 3), (1, 4), (2, 4), (3, 16), (4, 16), (16,)),  # h of another batch size
        _zeros((2, 3), (2, 4), (2, 4), (3, 12), (4, 12), (12,)),  # three gates
        _zeros((2, 6, 3), (2, 4), (2, 4), (3, 16), (4, 16), (16,)),  # a sequence
    ],
)
def lstm_cell(x, h, c, w_x, w_h, b):
    """One step of an LSTM.

    Arguments: ``x`` (N, C), the states ``h`` and ``c`` (N, H), ``w_x`` (C, 4H), ``w_h`` (H, 4H),
    ``b`` (4H,), gates in the order i, f, g, o.
    Returns: the new ``h`` and ``c``, (N, H) each.
    Kept for the gradient: the gates' activations and the new c, besides the arguments.
    Raises ValueError for shapes that do not fit.
    """
    _check_shapes("lstm_cell", "x (batch, channels)", x, h, c, w_x, w_h, b)
    return _cell(x, h, c, w_x, w_h, b, [])


def _check_shapes(name: str, expected_x: str, x, h, c, w_x, w_h, b) -> None:
    if x.ndim != expected_x.count(",") + 1 or w_h.ndim != 2:
        raise ValueError(
            f"{name}: expected {expected_x} and w_h (hidden, 4 hidden), got {x.shape}, {w_h.shape}"
        )
    if 0 in x.shape[1:]:
        raise ValueError(f"{name}: x {x.shape} holds nothing to read")
    hidden = w_h.shape[0]
    for argument, value, expected in (
        ("w_h (hidden, 4 hidden)", w_h, (hidden, 4 * hidden)),
        ("h (batch, hidden)", h, (x.shape[0], hidden)),
        ("c (batch, hidden)", c, (x.shape[0], hidden)),
        ("w_x (channels, 4 hidden)", w_x, (x.shape[-1], 4 * hidden)),
        ("b (4 hidden,)", b, (4 * hidden,)),
    ):
        if value.shape != expected:
            raise ValueError(
                f"{name}: {argument} has shape {value.shape}, expected {expected} "
                f"for x {x.shape} and w_h {w_h.shape}"
            )


@primitive
def _cell(x, h, c, w_x, w_h, b, kept):
    """(h, c); ``kept``, an empty list, receives what the rule reads."""
    sums = x @ w_x  # (N, 4H)
    sums += h @ w_h
    sums += b
    z, scale = by_gate(sums, 4), _scale(sums.dtype)
    z *= scale[0]
    h_new, c_new = xp.empty_like(c, z.dtype), xp.empty_like(c, z.dtype)
    _step(z, scale, c, c_new, h_new, xp.empty_like(c_new))
    kept += [z, c_new]
    return h_new, c_new


def _cell_rule(argnums, _, args, kwargs):
    x, h, c, w_x, w_h, _, (z, c_new) = args

    def vjp(gradients):
        if is_recording():
            return by_definition(lstm_cell_definition, argnums, args[:-1], gradients)
        dz, dc = _cell_backward(*gradients, constant(c), z, c_new)
        products = {
            0: lambda: dz @ constant(w_x).T,
            1: lambda: dz @ constant(w_h).T,
            2: lambda: dc,
            3: lambda: constant(x).T @ dz,
            4: lambda: constant(h).T @ dz,
            5: lambda: dz.sum(axis=0),
        }
        return [products[i]() for i in argnums]

    return vjp


defvjp_argnums(_cell, _cell_rule)


@whole
def _cell_backward(dh: Array, dc: Array, c: Array, z: Array, c_new: Array) -> tuple[Array, Array]:
    """The gradients of the sums that enter the gates, (N, 4H), and of the c before."""
    dc = dc.copy()
    dz = xp.empty((len(dc), 4 * dc.shape[1]), z.dtype)
    slopes = by_gate(dz, 4)
    via_h = _slopes(z, c, c_new, slopes)
    _step_back(slopes, via_h, z[1], dh, dc)
    return dz, dc


def _scale(dtype: Any) -> tuple[Array, Array]:
    """All four gates are a tanh(a s) + 1 − a of their sum s: σ with a = 1/2, tanh with a = 1."""
    a = backend.asarray(numpy.array([0.5, 0.5, 1, 0.5], dtype)[:, None, None])
    return a, 1 - a


def _step(z: Array, scale: tuple, c_before: Array, c: Array, h: Array, scratch: Array) -> None:
    """From ``z`` (4, N, H), the sums that enter i, f, g, o, times a of :func:`_scale`: c and h.

    All in place: z becomes the gates' activations.
    """
    a, rest = scale
    xp.tanh(z, out=z)
    z *= a
    z += rest
    xp.multiply(z[1], c_before, out=c)
    xp.multiply(z[0], z[2], out=scratch)
    c += scratch
    xp.tanh(c, out=scratch)
    xp.multiply(z[3], scratch, out=h)


def _slopes(z: Array, c_before: Array, c: Array, out: Array) -> Array:
    """What is known before the gradient is, of any number of steps: z and ``out`` (4, ..., N, H).

    ``z`` holds the activations. ``out`` receives ∂c/∂ the sums of i, f and g, and ∂h/∂ that of o;
    returned is ∂h/∂c = o (1 − tanh² c).
    """
    i, g, o = z[0], z[2], z[3]
    xp.multiply(z, z, out=out)
    xp.subtract(z[:2], out[:2], out=out[:2])  # σ' = σ (1 − σ)
    xp.subtract(1, out[2], out=out[2])  # tanh' = 1 − tanh²
    xp.subtract(o, out[3], out=out[3])
    through_c = xp.tanh(c)
    for gate, factor in enumerate((g, c_before, i, through_c)):
        slope = out[gate]
        slope *= factor
    through_c *= through_c
    xp.subtract(1, through_c, out=through_c)
    through_c *= o
    return through_c


def _step_back(slopes: Array, through_c: Array, f: Array, dh: Array, dc: Array) -> None:
    """The way back through :func:`_step`, from h̄ and c̄ to the gradients of the sums and c̄ before.

    ``dc`` is c̄, apart from what comes through h, and becomes that of the c before. Of what
    :func:`_slopes` gives, ``slopes`` become the gradients, and ``through_c`` is used up.
    """
    through_c *= dh
    dc += through_c
    of_c, of_h = slopes[:3], slopes[3]
    of_c *= dc
    of_h *= dh
    dc *= f


# ------------------------------------------------------------------------------ a whole sequence


def _samples(d: Draw) -> Call:
    n, steps, channels, hidden = d.integer(0, 2), d.integer(1, 3), d.integer(1, 2), d.integer(1, 2)
    return call(d.array((n, steps, channels)), *_parameters(d, n, channels, hidden))


@composite(
    _FORMULA,
    _samples,
    [
        _zeros((2, 6, 3), (2, 4), (2, 4), (3, 16), (5, 16), (16,)),  # w_h of another hidden size
        _zeros((2, 6, 3), (2, 4), (2, 4), (4, 16), (4, 16), (16,)),  # w_x for other channels
        _zeros((2, 6, 3), (2, 4), (2, 4), (3, 16), (4, 16), (4,)),  # the bias of one gate
        _zeros((2, 0, 3), (2, 4), (2, 4), (3, 16), (4, 16), (16,)),  # no steps
        _zeros((2, 3), (2, 4), (2, 4), (3, 16), (4, 16), (16,)),  # one step
    ],
)
def lstm(x, h0, c0, w_x, w_h, b):
    """An LSTM over whole sequences.

    Arguments: ``x`` (N, T, C), the initial states ``h0`` and ``c0`` (N, H), ``w_x`` (C, 4H),
    ``w_h`` (H, 4H), ``b`` (4H,), gates in the order i, f, g, o.
    Returns: all ``hs`` (N, T, H), and the last h and c, (N, H) each.
    Kept for the gradient: the gates' activations and all c, 5 N T H numbers, besides the arguments
    and ``hs``; nothing if no argument is a Tensor.
    Raises ValueError for shapes that do not fit.
    """
    args = x, h0, c0, w_x, w_h, b
    _check_shapes("lstm", "x (batch, time, channels)", *args)
    wanted = is_recording() and any(isinstance(arg, Tensor) for arg in args)
    return _sequence(*args, [] if wanted else None)


@primitive
def _sequence(x, h0, c0, w_x, w_h, b, kept):
    """(hs, h, c); ``kept``, an empty list or None, receives what the rule reads."""
    dtype = numpy.result_type(*(a.dtype for a in (x, h0, c0, w_x, w_h, b)))
    w = xp.concatenate([w_x, w_h, b[None]]).astype(dtype)  # (C + H + 1, 4H)
    (n, steps, _), hidden = x.shape, len(w_h)
    hs, c = xp.empty((n, steps, hidden), dtype), xp.empty((n, hidden), dtype)

    def part(start: int, stop: int) -> tuple[slice, Array, Array]:
        some = slice(start, stop)
        gates, cells = _forward(x[some], h0[some], c0[some], w, hs[some], kept is not None)
        c[some] = cells[-1]
        return some, gates, cells

    parts = in_parts(part, n, work(n, steps, w.size))
    if kept is not None:
        kept += parts
    return hs, hs[:, -1].copy(), c


def _forward(
    x: Array, h0: Array, c0: Array, w: Array, hs: Array, keep: bool
) -> tuple[Array, Array]:
    """All h, written to ``hs``, and gates (4, T, n, H) and c (T + 1, n, H) of some examples.

    Without ``keep``, of gates and c only those of the last step.
    """
    (n, steps, channels), hidden = x.shape, h0.shape[1]
    scale = _scale(w.dtype)
    weights = in_blocks_of_columns(by_gate(w, 4), n)
    weights *= scale[0][:, None]
    u = _read(x, h0, steps + 1, w.dtype)
    gates = xp.empty((4, steps if keep else 1, n, hidden), w.dtype)
    cells = xp.empty((steps + 1 if keep else 1, n, hidden), w.dtype)
    cells[0] = c0
    scratch = xp.empty((n, hidden), w.dtype)
    for t in range(steps):
        z = gates[:, t if keep else 0]
        multiply(u[t], weights, z)
        before, after = (t, t + 1) if keep else (0, 0)
        _step(z, scale, cells[before], cells[after], u[t + 1, :, channels:-1], scratch)
    hs[...] = u[1:, :, channels:-1].swapaxes(0, 1)
    return gates, cells


def _read(x: Array, h0: Array, steps: int, dtype: Any) -> Array:
    """[x h 1] as the steps read them, (steps, n, C + H + 1), as far as it is known: no h but h0."""
    n, length, channels = x.shape
    u = xp.empty((steps, n, channels + h0.shape[1] + 1), dtype)
    u[:length, :, :channels] = x.swapaxes(0, 1)
    u[0, :, channels:-1] = h0
    u[:, :, -1] = 1
    return u


def _sequence_rule(argnums, outputs, args, kwargs):
    hs, parts = outputs[0].data, args[-1]

    def vjp(gradients):
        if is_recording():
            return by_definition(lstm_definition, argnums, args[:-1], gradients)
        x, h0, _, w_x, w_h, _ = map(constant, args[:-1])
        found = _all_gradients(gradients, x, h0, w_x, w_h, hs, parts)
        return [found[i] for i in argnums]

    return vjp


defvjp_argnums(_sequence, _sequence_rule)


@whole
def _all_gradients(
    gradients: tuple, x: Array, h0: Array, w_x: Array, w_h: Array, hs: Array, parts: list
) -> list[Array]:
    """The gradients with respect to all six arguments."""
    n, steps, channels = x.shape
    w = transposed(xp.concatenate([w_x, w_h]), 4)  # (4, H, C + H)
    dx, dh0, dc0 = (xp.empty(a.shape, hs.dtype) for a in (x, h0, h0))

    def of_parts(first: int, last: int) -> Any:
        dw = []
        for some, gates, cells in parts[first:last]:
            dz, du, dc0[some] = _backward([g[some] for g in gradients], gates, cells, w)
            dx[some] = du[:-1, :, :channels].swapaxes(0, 1)
            dh0[some] = du[0, :, channels:]
            u = _read(x[some], h0[some], steps, hs.dtype)
            u[1:, :, channels:-1] = hs[some, :-1].swapaxes(0, 1)
            dw.append(weights_gradient(u, dz))
        return total(dw)

    dw = total(in_parts(of_parts, len(parts), work(n, steps, w.size)))  # (C + H + 1, 4H)
    return [dx, dh0, dc0, dw[:channels], dw[channels:-1], dw[-1]]


def _backward(gradients: list, gates: Array, cells: Array, w: Array) -> tuple[Array, Array, Array]:
    """Through time: the gradients of the gates' sums (4, T, n, H), of [x h] (T + 1, n, C + H), c0.

    Those of [x h] are at the step that reads them; of what is read after the last one there is h.
    """
    _, steps, n, hidden = gates.shape
    dhs, dh, dc = gradients[0], gradients[1], gradients[2].copy()
    weights = in_blocks_of_columns(w, n)
    dz = xp.empty_like(gates)
    through_c = _slopes(gates, cells[:-1], cells[1:], dz)
    du = xp.empty((steps + 1, n, w.shape[2]), gates.dtype)
    du[-1, :, -hidden:] = dh
    by_gates = xp.empty((4, n, w.shape[2]), gates.dtype)
    for t in reversed(range(steps)):
        dh = du[t + 1, :, -hidden:]
        dh += dhs[:, t]
        _step_back(dz[:, t], through_c[t], gates[1, t], dh, dc)
        multiply(dz[:, t], weights, by_gates)
        by_gates.sum(axis=0, out=du[t])
    return dz, du, dc
