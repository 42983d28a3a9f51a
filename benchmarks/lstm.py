"""An LSTM over whole sequences, forward and backward, against PyTorch's fused one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

import autograd.numpy as np
from autograd import Tensor, backend
from autograd.nn.lstm import lstm
from benchmarks.timing import against

BATCH, STEPS, CHANNELS, HIDDEN = 32, 64, 128, 256


def row(seconds: float = 2.0) -> dict:
    """From x, the weights and the bias to all h, and from their gradient to all gradients."""
    return against(f"LSTM {CHANNELS} to {HIDDEN}, {BATCH}x{STEPS}", ours(), peers(), seconds)


def _arrays() -> list[numpy.ndarray]:
    """x, w_x, w_h, b and the gradient with respect to all h, float32."""
    rng = numpy.random.default_rng(0)
    scale = HIDDEN**-0.5
    arrays = [
        rng.normal(size=(BATCH, STEPS, CHANNELS)),
        rng.uniform(-scale, scale, (CHANNELS, 4 * HIDDEN)),
        rng.uniform(-scale, scale, (HIDDEN, 4 * HIDDEN)),
        rng.uniform(-scale, scale, 4 * HIDDEN),
        rng.normal(size=(BATCH, STEPS, HIDDEN)),
    ]
    return [a.astype("float32") for a in arrays]


def ours() -> Callable[[], None]:
    """The case as a program of this library."""
    *arrays, g = map(backend.asarray, _arrays())
    x, w_x, w_h, b = variables = [Tensor(a) for a in arrays]
    state = np.zeros((BATCH, HIDDEN), "float32")

    def run() -> None:
        for variable in variables:
            variable.grad = None
        hs, _, _ = lstm(x, state, state, w_x, w_h, b)
        hs.backward(g)

    return run


def peers() -> dict[str, Callable[[], None]]:
    """The case in PyTorch on one thread and on two; nothing if it is not installed."""
    try:
        import torch
    except ImportError:
        return {}
    return {f"torch eager, {count} threads": _in_torch(torch, count) for count in (1, 2)}


def _in_torch(torch: Any, threads: int) -> Callable[[], None]:
    x, w_x, w_h, b, g = map(torch.from_numpy, _arrays())
    x.requires_grad_()
    layer = torch.nn.LSTM(CHANNELS, HIDDEN, batch_first=True)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(w_x.T)
        layer.weight_hh_l0.copy_(w_h.T)
        layer.bias_ih_l0.copy_(b)
        layer.bias_hh_l0.zero_()

    def run() -> None:
        torch.set_num_threads(threads)
        x.grad = None
        layer.zero_grad()
        layer(x)[0].backward(g)

    return run
