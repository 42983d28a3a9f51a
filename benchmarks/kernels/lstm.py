"""An LSTM over whole sequences, against PyTorch's fused one."""

from __future__ import annotations

from typing import Any

import numpy

import autograd.numpy as np
from autograd.nn.lstm import lstm
from benchmarks.kernels.kernel import PARAMETER, Case, Input, Kernel, Run


def _case(batch: int, steps: int, channels: int, hidden: int) -> Case:
    """From x, the weights and the bias to all h. For each example and step, with C and H:

    4 H sums of C + H products and a bias; four activations; c = f c + i g, h = o τ with τ = tanh c,
    three products, a sum and τ: 8 H (C + H) + 9 H.

    Back through h and c, for each of H: h̄ comes from two sides (1), c̄ += h̄ o (1 − τ²) takes 5,
    c̄ f for the step before 1, and the sums that enter the gates

        ō = h̄ τ (o − o²),   ī = c̄ g (i − i²),   f̄ = c̄ c₋₁ (f − f²),   ḡ = c̄ i (1 − g²)

    4 each: 23 H. Of these 4 H numbers, products with the weights make x̄ and the h̄ before, products
    with x and the h before the weights' gradients, each 8 H (C + H) in all; sums make b̄: 4 H.
    """

    def inputs(rng: numpy.random.Generator) -> list[Input]:
        scale = hidden**-0.5
        return [
            Input(rng.normal(size=(batch, steps, channels))),
            Input(rng.uniform(-scale, scale, (channels, 4 * hidden)), PARAMETER, (1, 0)),
            Input(rng.uniform(-scale, scale, (hidden, 4 * hidden)), PARAMETER, (1, 0)),
            Input(rng.uniform(-scale, scale, 4 * hidden), PARAMETER, again=False),
        ]

    products = 8 * hidden * (channels + hidden)
    counts = products + 9 * hidden, 2 * products + 27 * hidden
    times = batch * steps
    name = f"LSTM {channels} to {hidden}, {batch}x{steps}"
    return Case(name, inputs, _ours, _in_torch, (times * counts[0], times * counts[1]))


def _ours(x: Any, w_x: Any, w_h: Any, b: Any) -> Run:
    state = np.zeros((len(x), len(w_h)), x.dtype)
    return lambda: lstm(x, state, state, w_x, w_h, b)[0]


def _in_torch(torch: Any, x: Any, w_x: Any, w_h: Any, b: Any) -> Run:
    hidden, channels = w_h.shape[1], w_x.shape[1]
    layer = torch.nn.LSTM(channels, hidden, batch_first=True, device=x.device, dtype=x.dtype)
    layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0 = w_x, w_h, b
    with torch.no_grad():
        layer.bias_hh_l0.zero_()
    layer.flatten_parameters()

    def run() -> Any:
        layer.bias_hh_l0.grad = None
        return layer(x)[0]

    return run


KERNEL = Kernel(
    "lstm",
    _case(1, 1, 1, 1),
    (_case(4, 8, 8, 8), _case(32, 16, 64, 64), _case(32, 64, 128, 256)),
)
