"""Gated recurrent unit (Cho et al. 2014), with the reset gate after the product, as in PyTorch.

The definition comes first, written as the equations are. Then comes a whole sequence as a single
operation, whose gradients are written by hand. It equals the definition, and falls back on it for
gradients of higher order.

Weights have the gates side by side, in the order r, z, n (reset, update, candidate) as in PyTorch:
``w_x`` is its ``weight_ih.T``, ``w_h`` its ``weight_hh.T``, ``b`` its ``bias_ih`` and, of r and z,
its ``bias_hh`` added, whose last third is ``b_h``.
"""

from __future__ import annotations

from typing import Any

import numpy

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

_FORMULA = (
    r"(r, z) = \sigma(x_t W_x + h_{t-1} W_h + b), \quad "
    r"n = \tanh(x_t W_x + b + r \odot (h_{t-1} W_h + b_h)), \quad h_t = z h_{t-1} + (1 - z) n"
)


def _cell_samples(d: Draw) -> Call:
    n, channels, hidden = d.integer(0, 3), d.integer(1, 2), d.integer(1, 3)
    return call(d.array((n, channels)), *_parameters(d, n, channels, hidden))


def _parameters(d: Draw, n: int, channels: int, hidden: int) -> list[Any]:
    shapes = [(n, hidden), (channels, 3 * hidden), (hidden, 3 * hidden), (3 * hidden,), (hidden,)]
    return [d.array(shape) for shape in shapes]


def _zeros(*shapes: tuple[int, ...]) -> Call:
    return call(*map(numpy.zeros, shapes))


@composite(
    _FORMULA,
    _cell_samples,
    [
        _zeros((2, 3), (2, 4), (3, 12), (5, 12), (12,), (4,)),  # w_h of another hidden size
        _zeros((2, 3), (1, 4), (3, 12), (4, 12), (12,), (4,)),  # h of another batch size
        _zeros((2, 3), (2, 4), (3, 16), (4, 16), (16,), (4,)),  # four gates
        _zeros((2, 3), (2, 4), (3, 12), (4, 12), (12,), (12,)),  # b_h of three gates
        _zeros((2, 6, 3), (2, 4), (3, 12), (4, 12), (12,), (4,)),  # a sequence
    ],
)
def gru_cell(x, h, w_x, w_h, b, b_h):
    """One step of a GRU.

    Arguments: ``x`` (N, C), the state ``h`` (N, H), ``w_x`` (C, 3H), ``w_h`` (H, 3H), ``b`` (3H,),
    gates in the order r, z, n, and ``b_h`` (H,).
    Returns: the new ``h`` (N, H).
    Raises ValueError for shapes that do not fit.
    """
    _check_shapes("gru_cell", "x (batch, channels)", x, h, w_x, w_h, b, b_h)
    return _cell_definition(x, h, w_x, w_h, b, b_h)


def _cell_definition(x, h, w_x, w_h, b, b_h):
    r_x, z_x, n_x = np.split(x @ w_x + b, 3, axis=-1)  # (N, H) each
    r_h, z_h, n_h = np.split(h @ w_h, 3, axis=-1)
    r, z = sigmoid(r_x + r_h), sigmoid(z_x + z_h)
    n = np.tanh(n_x + r * (n_h + b_h))
    return z * h + (1 - z) * n


def gru_definition(x, h0, w_x, w_h, b, b_h):
    """All steps, one after the other: (all hₜ, the last h)."""
    h, hs = h0, []
    for t in range(x.shape[1]):
        h = _cell_definition(x[:, t], h, w_x, w_h, b, b_h)
        hs.append(h)
    return np.stack(hs, axis=1), h


def _check_shapes(name: str, expected_x: str, x, h, w_x, w_h, b, b_h) -> None:
    if x.ndim != expected_x.count(",") + 1 or w_h.ndim != 2:
        raise ValueError(
            f"{name}: expected {expected_x} and w_h (hidden, 3 hidden), got {x.shape}, {w_h.shape}"
        )
    if 0 in x.shape[1:]:
        raise ValueError(f"{name}: x {x.shape} holds nothing to read")
    hidden = w_h.shape[0]
    for argument, value, expected in (
        ("w_h (hidden, 3 hidden)", w_h, (hidden, 3 * hidden)),
        ("h (batch, hidden)", h, (x.shape[0], hidden)),
        ("w_x (channels, 3 hidden)", w_x, (x.shape[-1], 3 * hidden)),
        ("b (3 hidden,)", b, (3 * hidden,)),
        ("b_h (hidden,)", b_h, (hidden,)),
    ):
        if value.shape != expected:
            raise ValueError(
                f"{name}: {argument} has shape {value.shape}, expected {expected} "
                f"for x {x.shape} and w_h {w_h.shape}"
            )


# ------------------------------------------------------------------------------ a whole sequence


def _samples(d: Draw) -> Call:
    n, steps, channels, hidden = d.integer(0, 2), d.integer(1, 3), d.integer(1, 2), d.integer(1, 2)
    return call(d.array((n, steps, channels)), *_parameters(d, n, channels, hidden))


@composite(
    _FORMULA,
    _samples,
    [
        _zeros((2, 6, 3), (2, 4), (3, 12), (5, 12), (12,), (4,)),  # w_h of another hidden size
        _zeros((2, 6, 3), (2, 4), (4, 12), (4, 12), (12,), (4,)),  # w_x for other channels
        _zeros((2, 6, 3), (2, 4), (3, 12), (4, 12), (4,), (4,)),  # the bias of one gate
        _zeros((2, 0, 3), (2, 4), (3, 12), (4, 12), (12,), (4,)),  # no steps
        _zeros((2, 3), (2, 4), (3, 12), (4, 12), (12,), (4,)),  # one step
    ],
)
def gru(x, h0, w_x, w_h, b, b_h):
    """A GRU over whole sequences.

    Arguments: ``x`` (N, T, C), the initial state ``h0`` (N, H), ``w_x`` (C, 3H), ``w_h`` (H, 3H),
    ``b`` (3H,), gates in the order r, z, n, and ``b_h`` (H,).
    Returns: all ``hs`` (N, T, H), and the last h (N, H).
    Kept for the gradient: the gates' activations and h W_h + b_h of the candidates, 4 N T H
    numbers, besides the arguments and ``hs``; nothing if no argument is a Tensor.
    Raises ValueError for shapes that do not fit.
    """
    args = x, h0, w_x, w_h, b, b_h
    _check_shapes("gru", "x (batch, time, channels)", *args)
    wanted = is_recording() and any(isinstance(arg, Tensor) for arg in args)
    return _sequence(*args, [] if wanted else None)


@primitive
def _sequence(x, h0, w_x, w_h, b, b_h, kept):
    """(hs, h); ``kept``, an empty list or None, receives what the rule reads."""
    dtype = numpy.result_type(*(a.dtype for a in (x, h0, w_x, w_h, b, b_h)))
    w_x = xp.concatenate([w_x, b[None]]).astype(dtype)  # (C + 1, 3H)
    only_n = xp.concatenate([xp.zeros(2 * len(w_h), dtype), b_h])
    w_h = xp.concatenate([w_h, only_n[None]]).astype(dtype)  # (H + 1, 3H)
    n, steps, _ = x.shape
    hs = xp.empty((n, steps, h0.shape[1]), dtype)

    def part(start: int, stop: int) -> tuple[slice, Array, Array]:
        some = slice(start, stop)
        return some, *_forward(x[some], h0[some], w_x, w_h, hs[some], kept is not None)

    parts = in_parts(part, n, work(n, steps, w_x.size + w_h.size))
    if kept is not None:
        kept += parts
    return hs, hs[:, -1].copy()


def _forward(
    x: Array, h0: Array, w_x: Array, w_h: Array, hs: Array, keep: bool
) -> tuple[Array, Array]:
    """All h, written to ``hs``, and gates (3, T, n, H) and h W_h + b_h of n (T, n, H).

    Of some examples; without ``keep``, of gates and h W_h + b_h only those of the last step.
    """
    (n, steps, _), hidden = x.shape, h0.shape[1]
    w_x, w_h = (in_blocks_of_columns(by_gate(w, 3), n) for w in (w_x, w_h))
    for sigmoids in (w_x[:2], w_h[:2]):
        sigmoids *= 0.5  # σ(s) = (1 + tanh(s/2)) / 2
    u, h = _with_one(x, hs.dtype), _with_one(h0[:, None], hs.dtype, steps + 1)
    gates = xp.empty((3, steps if keep else 1, n, hidden), hs.dtype)
    candidates = xp.empty((steps if keep else 1, n, hidden), hs.dtype)
    from_h = xp.empty((3, n, hidden), hs.dtype)
    for t in range(steps):
        place = t if keep else 0
        sums = gates[:, place]
        multiply(u[t], w_x, sums)
        multiply(h[t], w_h, from_h)
        candidates[place] = from_h[2]
        _step(sums, from_h, h[t, :, :-1], h[t + 1, :, :-1])
    hs[...] = h[1:, :, :-1].swapaxes(0, 1)
    return gates, candidates


def _with_one(x: Array, dtype: Any, steps: int | None = None) -> Array:
    """[x 1] with the steps first, (T, n, C + 1), or with room for more steps."""
    n, known, channels = x.shape
    y = xp.empty((steps or known, n, channels + 1), dtype)
    y[:known, :, :-1] = x.swapaxes(0, 1)
    y[:, :, -1] = 1
    return y


def _step(sums: Array, from_h: Array, h: Array, out: Array) -> None:
    """The h after ``h`` to ``out``, from the inputs' sums and those of h, (3, N, H), r's, z's, n's.

    In place: ``sums`` become the gates' activations, ``from_h`` is used up. Sums of r and z come
    halved.
    """
    rz, n = sums[:2], sums[2]
    rz += from_h[:2]
    xp.tanh(rz, out=rz)
    rz *= 0.5
    rz += 0.5
    candidate = from_h[2]
    candidate *= sums[0]
    n += candidate
    xp.tanh(n, out=n)
    xp.subtract(h, n, out=out)
    out *= sums[1]
    out += n  # z h + (1 − z) n


def _sequence_rule(argnums, outputs, args, kwargs):
    hs, parts = outputs[0].data, args[-1]

    def vjp(gradients):
        if is_recording():
            return by_definition(gru_definition, argnums, args[:-1], gradients)
        x, h0, w_x, w_h, _, _ = map(constant, args[:-1])
        found = _all_gradients(gradients, x, h0, w_x, w_h, hs, parts)
        return [found[i] for i in argnums]

    return vjp


defvjp_argnums(_sequence, _sequence_rule)


@whole
def _all_gradients(
    gradients: tuple, x: Array, h0: Array, w_x: Array, w_h: Array, hs: Array, parts: list
) -> list[Array]:
    """The gradients with respect to all six arguments."""
    (n, steps, channels), hidden = x.shape, len(w_h)
    # what x enters are the sums of n, r and z, in this order, and what h enters those of r, z and n
    for_x, for_h = transposed(xp.roll(w_x, hidden, axis=1), 3), transposed(w_h, 3)
    dx, dh0 = xp.empty(x.shape, hs.dtype), xp.empty(h0.shape, hs.dtype)

    def of_parts(first: int, last: int) -> tuple[Array, Array]:
        dw_x, dw_h = [], []
        for some, gates, candidates in parts[first:last]:
            before = _with_one(h0[some][:, None], hs.dtype, steps)
            before[1:, :, :-1] = hs[some, :-1].swapaxes(0, 1)
            dz, dh0[some] = _backward(
                gradients[0][some], gradients[1][some], gates, candidates, before, for_h
            )
            rows = dz[:3].reshape(3, -1, hidden)
            dx[some] = (rows @ for_x).sum(0).reshape(steps, -1, channels).swapaxes(0, 1)
            dw_x.append(weights_gradient(_with_one(x[some], hs.dtype), dz[:3]))
            dw_h.append(weights_gradient(before, dz[1:]))
        return total(dw_x), total(dw_h)

    found = in_parts(of_parts, len(parts), work(n, steps, w_x.size + w_h.size))
    dw_x, dw_h = map(total, zip(*found, strict=True))
    dw_x = xp.roll(dw_x, -hidden, axis=1)
    return [dx, dh0, dw_x[:-1], dw_h[:-1], dw_x[-1], dw_h[-1, 2 * hidden :]]


def _backward(
    of_hs: Array, of_h: Array, gates: Array, candidates: Array, before: Array, w_h: Array
) -> tuple[Array, Array]:
    """Through time: the gradients of the sums (4, T, n, H) that :func:`_slopes` tells, and of h0.

    ``before`` (T, n, H + 1): [h 1] as the steps read it.
    """
    _, steps, n, hidden = gates.shape
    weights = in_blocks_of_columns(w_h, n)
    dz = _slopes(gates, candidates, before[:, :, :-1])
    dh, ways = of_h.copy(), xp.empty((4, n, hidden), gates.dtype)
    for t in reversed(range(steps)):
        dh += of_hs[:, t]
        at_step = dz[:, t]
        at_step *= dh
        multiply(at_step[1:], weights, ways[:3])
        xp.multiply(dh, gates[1, t], out=ways[3])  # to the h before through r, z, n, and past them
        ways.sum(axis=0, out=dh)
    return dz, dh


def _slopes(gates: Array, candidates: Array, h: Array) -> Array:
    """∂hₜ/∂ the sums of n, r, z, and h W_h + b_h of n, (4, T, n, H), all steps at once.

    All are known before the gradient is. ``h`` (T, n, H) is that before each step.
    """
    r, z, n = gates[0], gates[1], gates[2]
    slopes = xp.empty((4, *n.shape), n.dtype)
    of_n, of_r, of_z, of_product = slopes[0], slopes[1], slopes[2], slopes[3]
    xp.subtract(1, z, out=of_z)
    xp.multiply(n, n, out=of_n)
    xp.subtract(1, of_n, out=of_n)
    of_n *= of_z  # (1 − z) (1 − n²)
    of_z *= z
    xp.subtract(h, n, out=of_r)
    of_z *= of_r  # (h − n) z (1 − z)
    xp.multiply(of_n, r, out=of_product)
    xp.subtract(1, r, out=of_r)
    of_r *= of_product
    of_r *= candidates  # ∂h/∂n (h W_h + b_h) r (1 − r)
    return slopes
