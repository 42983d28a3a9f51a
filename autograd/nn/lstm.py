"""Long short-term memory (Hochreiter & Schmidhuber 1997, with the forget gate of Gers et al. 2000).

The definition comes first, written as the equations are (Graves 2013, without peepholes). Then
come one step and a whole sequence as single operations, whose gradients are written by hand. They
equal the definition, and fall back on it for gradients of higher order.

Weights have the gates side by side, in the order i, f, g, o (input, forget, candidate, output) as
in PyTorch: ``w_x`` is its ``weight_ih.T``, ``w_h`` its ``weight_hh.T`` and ``b`` the sum of its two
biases.
"""

from __future__ import annotations

import math
from typing import Any

import numpy

from autograd import backend
from autograd import numpy as np
from autograd.backend import xp
from autograd.backend.threads import AllBlasThreads
from autograd.core import Tensor, constant, defvjp_argnums, is_recording, primitive
from autograd.functional import make_vjp
from autograd.nn.activations import sigmoid
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


def _by_definition(definition: Any, argnums: list[int], args: tuple, gradients: tuple) -> list[Any]:
    """The gradients with respect to arguments ``argnums``, recorded."""

    def function(chosen):
        new = list(args)
        for i, arg in zip(argnums, chosen, strict=True):
            new[i] = arg
        return definition(*new)

    pull_back, _ = make_vjp(function)([args[i] for i in argnums])
    return pull_back(gradients)


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
    z = x @ w_x  # (N, 4H)
    z += h @ w_h
    z += b
    gates = _by_gate(z)
    for sigmoids in (gates[:2], gates[3]):
        sigmoids *= 0.5
    h_new, c_new = xp.empty_like(c, z.dtype), xp.empty_like(c, z.dtype)
    _step(gates, c, c_new, h_new, xp.empty_like(c_new))
    kept += [z, c_new]
    return h_new, c_new


def _cell_rule(argnums, _, args, kwargs):
    x, h, c, w_x, w_h, _, (z, c_new) = args

    def vjp(gradients):
        if is_recording():
            return _by_definition(lstm_cell_definition, argnums, args[:-1], gradients)
        dh, dc = gradients[0], gradients[1].copy()
        dz = xp.empty_like(z)
        _step_back(_by_gate(z), constant(c), c_new, dh, dc, _by_gate(dz), xp.empty_like(c_new))
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


def _by_gate(z: Any) -> Any:
    """(N, 4H) → (4, N, H), a view."""
    n, width = z.shape
    return z.reshape(n, 4, width // 4).transpose(1, 0, 2)


def _step(z: Any, c_before: Any, c: Any, h: Any, scratch: Any) -> None:
    """From ``z`` (4, ...), the sums that enter i, f, g, o, compute ``c`` and ``h``.

    All in place: z becomes the gates' activations. The sums of i, f and o come halved: a sigmoid is
    σ(s) = (1 + tanh(s/2)) / 2, so one tanh serves all four gates.
    """
    xp.tanh(z, out=z)
    for sigmoids in (z[:2], z[3]):
        sigmoids *= 0.5
        sigmoids += 0.5
    xp.multiply(z[1], c_before, out=c)
    xp.multiply(z[0], z[2], out=scratch)
    c += scratch
    xp.tanh(c, out=scratch)
    xp.multiply(z[3], scratch, out=h)


def _step_back(z: Any, c_before: Any, c: Any, dh: Any, dc: Any, dz: Any, scratch: Any) -> None:
    """The way back through :func:`_step`, from h̄ and c̄ to z̄ and the c̄ before.

    ``z`` holds the activations. ``dz`` (4, ...) receives the gradient with respect to the sums (not
    halved); ``dc`` is c̄, apart from what comes through h, and becomes that of c_before.
    """
    i, f, g, o = z[0], z[1], z[2], z[3]
    di, df, dg, do = dz[0], dz[1], dz[2], dz[3]
    xp.multiply(z, z, out=dz)
    xp.subtract(z[:2], dz[:2], out=dz[:2])  # σ' = σ (1 − σ)
    xp.subtract(1, dg, out=dg)  # tanh' = 1 − tanh²
    xp.subtract(o, do, out=do)
    xp.tanh(c, out=scratch)
    do *= scratch
    do *= dh
    scratch *= scratch
    xp.subtract(1, scratch, out=scratch)
    scratch *= o
    scratch *= dh
    dc += scratch  # c̄ += h̄ o (1 − tanh² c)
    di *= g
    df *= c_before
    dg *= i
    dz = dz[:3]
    dz *= dc
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


# Inside, an array of one step has the examples as its last axis: gates (4H, N), states (H, N). The
# product of a step is then (4H, C + H + 1) by (C + H + 1, N): of [W_x W_h b] with [x; h; 1]. On two
# cores it runs at 170 GFLOP/s, as large products do, where the same with the examples first, (N, H)
# by (H, 4H), runs at 100; so the inputs' part gains nothing from a product of its own for all steps
# at once. And a gate is one block of memory.


@primitive
def _sequence(x, h0, c0, w_x, w_h, b, kept):
    """(hs, h, c); ``kept``, an empty list or None, receives what the rule reads."""
    dtype = numpy.result_type(*(a.dtype for a in (x, h0, c0, w_x, w_h, b)))
    w = _weights(w_x, w_h, b, dtype)
    with AllBlasThreads():
        u, gates, cells = _forward(x, h0, c0, w, kept is not None)
    if kept is not None:
        kept += [gates, cells]
    hs = u[1:, x.shape[2] : -1]  # (T, H, N)
    h, c = xp.ascontiguousarray(hs[-1].T), xp.ascontiguousarray(cells[-1].T)
    return xp.ascontiguousarray(hs.transpose(2, 0, 1)), h, c


def _weights(w_x: Any, w_h: Any, b: Any, dtype: Any) -> Any:
    """[W_x W_h b] as (4H, C + H + 1), halved for the sigmoids as :func:`_step` wants it."""
    channels, hidden = len(w_x), len(w_h)
    w = xp.empty((4 * hidden, channels + hidden + 1), dtype)
    w[:, :channels] = _spread(w_x).T
    w[:, channels:-1] = _spread(w_h).T
    w[:, -1] = b
    for sigmoids in (w[: 2 * hidden], w[3 * hidden :]):
        sigmoids *= 0.5
    return w


def _spread(x: Any) -> Any:
    """The same values, in rows that do not start a power of two apart.

    Such rows compete for the same places in a cache when an array is read across them: in NumPy,
    transposing [W_x W_h] with H = 256 took 1.1 ms from where it was and 0.23 from here.
    """
    if backend.current() != "numpy":
        return x
    rows = x.reshape(len(x), math.prod(x.shape[1:]))
    wide = xp.empty((rows.shape[0], rows.shape[1] + 16), x.dtype)[:, :-16]
    wide[...] = rows
    return wide.reshape(x.shape)


def _forward(x: Any, h0: Any, c0: Any, w: Any, keep: bool) -> tuple[Any, Any, Any]:
    """[x; h; 1] that each step reads (T + 1, C + H + 1, N), gates (T, 4, H, N), c (T + 1, H, N).

    Without ``keep``, of gates and c only those of the last step.
    """
    (n, steps, channels), hidden = x.shape, h0.shape[1]
    u = xp.empty((steps + 1, w.shape[1], n), w.dtype)
    u[:steps, :channels] = _spread(x).transpose(1, 2, 0)
    u[0, channels:-1] = h0.T
    u[:, -1] = 1
    gates = xp.empty((steps if keep else 1, 4, hidden, n), w.dtype)
    cells = xp.empty((steps + 1 if keep else 1, hidden, n), w.dtype)
    cells[0] = c0.T
    scratch = xp.empty((hidden, n), w.dtype)
    for t in range(steps):
        z = gates[t if keep else 0]
        xp.matmul(w, u[t], out=z.reshape(4 * hidden, n))
        before, after = (t, t + 1) if keep else (0, 0)
        _step(z, cells[before], cells[after], u[t + 1, channels:-1], scratch)
    return u, gates, cells


def _sequence_rule(argnums, outputs, args, kwargs):
    hs, (gates, cells) = outputs[0].data, args[-1]

    def vjp(gradients):
        if is_recording():
            return _by_definition(lstm_definition, argnums, args[:-1], gradients)
        with AllBlasThreads():
            found = through_time(gradients)
        return [found[i] for i in argnums]

    def through_time(gradients):
        x, h0, _, w_x, w_h, _ = map(constant, args[:-1])
        dz, dh0, dc0 = _backward(gradients, gates, cells, w_h)  # dz (4H, T, N)
        rows = dz.reshape(dz.shape[0], -1)  # (4H, T N)
        found = {1: dh0, 2: dc0}
        if 0 in argnums:
            dx = (w_x @ rows).reshape(w_x.shape[0], *dz.shape[1:])  # (C, T, N)
            found[0] = xp.ascontiguousarray(_spread(dx).transpose(2, 1, 0))
        if {3, 4, 5} & set(argnums):
            dw = _read(x, h0, hs) @ rows.T  # (C + H + 1, 4H)
            channels = x.shape[-1]
            found |= {3: dw[:channels], 4: dw[channels:-1], 5: dw[-1]}
        return found

    return vjp


defvjp_argnums(_sequence, _sequence_rule)


def _backward(gradients: tuple, gates: Any, cells: Any, w_h: Any) -> tuple[Any, Any, Any]:
    """Through time: the gradients with respect to the gates' sums (4H, T, N), h0 and c0."""
    steps, _, hidden, n = gates.shape
    from_above = xp.ascontiguousarray(_spread(gradients[0]).transpose(1, 2, 0))  # (T, H, N)
    dh, dc = gradients[1].T.copy(), gradients[2].T.copy()  # (H, N)
    dz = xp.empty((4 * hidden, steps, n), gates.dtype)
    step, scratch = xp.empty_like(gates[0]), xp.empty_like(cells[0])
    sums = step.reshape(4 * hidden, n)
    for t in reversed(range(steps)):
        dh += from_above[t]
        _step_back(gates[t], cells[t], cells[t + 1], dh, dc, step, scratch)
        dz[:, t] = sums
        xp.matmul(w_h, sums, out=dh)
    return dz, xp.ascontiguousarray(dh.T), xp.ascontiguousarray(dc.T)


def _read(x: Any, h0: Any, hs: Any) -> Any:
    """[x; h; 1] as the steps read them, (C + H + 1, T N)."""
    (n, steps, channels), hidden = x.shape, h0.shape[1]
    u = xp.empty((channels + hidden + 1, steps, n), hs.dtype)
    u[:channels] = _spread(x).transpose(2, 1, 0)
    u[channels:-1, 0] = h0.T
    u[channels:-1, 1:] = _spread(hs).transpose(2, 1, 0)[:, :-1]
    u[-1] = 1
    return u.reshape(channels + hidden + 1, -1)
