"""What the recurrent layers have in common: how their steps are computed fast.

A step waits for the one before, but no sequence waits for another. So each core reads some of the
examples of a batch, from the first step to the last, and the cores wait for each other but once.

The same weights are multiplied at every step, with a few rows, h of (n, H). OpenBLAS would copy the
weights into an order of its own each time; of products of at most a million multiplications it
copies nothing (:mod:`autograd.backend.products`). So the weights are cut into blocks of columns,
once for all steps, and a step is a stack of small products: for 16 rows and 384 to 1024 channels,
in float32 on one core, 106 GFLOP/s in place of 46.

Within an array each gate is a block of memory of its own, (gates, ..., n, H), where they are side
by side in the weights, (K, gates · H): elementwise work on a gate takes half the time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from autograd import backend
from autograd.backend import Array, xp
from autograd.backend.products import LIGHT, SMALL
from autograd.functional import make_vjp

WIDTHS = 64, 32, 16  # of a block, the best first
LONG = 2**21  # multiplications of a step, from which on two cores take less time than one


def by_gate(w: Array, gates: int) -> Array:
    """(..., K, gates · H) -> (gates, ..., K, H), a view."""
    split = w.reshape(*w.shape[:-1], gates, w.shape[-1] // gates)
    return split.transpose(split.ndim - 2, *range(split.ndim - 2), split.ndim - 1)


def in_blocks_of_columns(w: Array, rows: int) -> Array:
    """w (gates, K, M) as (gates, blocks, K, M / blocks), to be multiplied by ``rows`` rows."""
    gates, channels, columns = w.shape
    fitting = (
        width for width in WIDTHS if columns % width == 0 and rows * channels * width <= SMALL
    )
    width = columns if backend.current() == "cupy" else next(fitting, columns)
    blocks = w.reshape(gates, channels, columns // max(1, width), width).swapaxes(1, 2)
    return xp.ascontiguousarray(blocks)


def multiply(x: Array, blocks: Array, out: Array) -> None:
    """x @ w for w in blocks: x (n, K), or (gates, n, K), to ``out`` (gates, n, M)."""
    _, count, _, width = blocks.shape
    gates, n, _ = out.shape
    xp.matmul(x[..., None, :, :], blocks, out=out.reshape(gates, n, count, width).swapaxes(1, 2))


def transposed(w: Array, gates: int) -> Array:
    """w (K, gates · H) as (gates, H, K), a view of rows that do not start a power of two apart.

    Such rows compete for the same places in a cache when an array is read across them.
    """
    if backend.current() == "numpy":
        wide = xp.empty((w.shape[0], w.shape[1] + 16), w.dtype)[:, :-16]
        wide[...] = w
        w = wide
    return by_gate(w, gates).swapaxes(1, 2)


def weights_gradient(u: Array, dz: Array) -> Array:
    """Σ uᵀ z̄ over steps and examples, u (T, n, K) and z̄ (gates, T, n, H): (K, gates · H)."""
    gates, steps, n, hidden = dz.shape
    rows = u.reshape(steps * n, u.shape[2])
    dw = xp.empty((rows.shape[1], gates * hidden), dz.dtype)
    for gate in range(gates):
        columns = dw[:, gate * hidden : (gate + 1) * hidden]
        columns[...] = rows.T @ dz[gate].reshape(steps * n, hidden)
    return dw


def total(arrays: Sequence[Array]) -> Array:
    """Their sum, in the memory of the first."""
    result = arrays[0]
    for more in arrays[1:]:
        result += more
    return result


def work(n: int, steps: int, multiplications: int) -> int:
    """The size of n sequences' work, as :func:`~autograd.backend.threads.in_parts` counts it.

    None worth sharing if a step is short: Python runs one thread at a time between its products.
    """
    at_a_step = n * multiplications
    return steps * at_a_step // LIGHT if at_a_step >= LONG else 0


def by_definition(
    definition: Callable, argnums: list[int], args: tuple, gradients: tuple
) -> list[Any]:
    """The gradients with respect to arguments ``argnums``, recorded."""

    def function(chosen: list[Any]) -> Any:
        new = list(args)
        for i, arg in zip(argnums, chosen, strict=True):
            new[i] = arg
        return definition(*new)

    pull_back, _ = make_vjp(function)([args[i] for i in argnums])
    return pull_back(gradients)
