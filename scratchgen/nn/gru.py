"""The gated recurrent unit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
from autograd import Tensor
from autograd.nn import gru, gru_cell
from scratchgen.nn.initialisers import glorot_uniform, orthogonal
from scratchgen.nn.module import Module


class GRU(Module):
    """A recurrent layer that overwrites some of its state at each step and keeps the rest.

        r, z = σ(x_t W_x + h_{t−1} W_h + b)                      each with its own columns
        n = tanh(x_t W_x + b + r ⊙ (h_{t−1} W_h + b_h))          likewise
        h_t = z ⊙ h_{t−1} + (1 − z) ⊙ n

    The reset gate r chooses what of the state enters the candidate n, the update gate z where the
    state stays as it is. K. Cho et al. (2014), "Learning phrase representations using RNN
    encoder-decoder for statistical machine translation", eqs. 5 to 8; there r multiplies h_{t−1}
    itself. Here, as in cuDNN and PyTorch, it multiplies what W_h makes of it, so that one product
    serves the three gates. Each gate's W_h starts orthogonal.

    Parameters: ``weight_x`` (C, 3H), ``weight_h`` (H, 3H) and ``bias`` (3H,), with the gates in the
    order r, z, n, and ``bias_h`` (H,).
    """

    def __init__(self, inputs: int, hidden: int, rng: Any, init: Callable = glorot_uniform) -> None:
        self.weight_x = Tensor(init(rng, (inputs, 3 * hidden), fan_in=inputs, fan_out=hidden))
        gates = [orthogonal(rng, (hidden, hidden), hidden, hidden) for _ in range(3)]
        self.weight_h = Tensor(np.concatenate(gates, axis=1))
        self.bias = Tensor(np.zeros(3 * hidden, "float32"))
        self.bias_h = Tensor(np.zeros(hidden, "float32"))

    def __call__(self, x: Any, state: tuple[Any] | None = None) -> tuple[Any, tuple[Any]]:
        """Read sequences (N, T, C), from the state (h,), h of (N, H), or from zeros.

        Returns all h (N, T, H) and the last state, from which a next call goes on. Raises
        ValueError for sequences without elements.
        """
        (h,) = self.start(len(x)) if state is None else state
        hs, h = gru(x, h, self.weight_x, self.weight_h, self.bias, self.bias_h)
        return hs, (h,)

    def step(self, x: Any, state: tuple[Any]) -> tuple[Any]:
        """Read one element (N, C) of each sequence, as sampling does. Returns the new state."""
        return (gru_cell(x, *state, self.weight_x, self.weight_h, self.bias, self.bias_h),)

    def start(self, count: int) -> tuple[Any]:
        """The state (h,) before the first element of ``count`` sequences: zeros (count, H)."""
        return (np.zeros((count, self.weight_h.shape[0]), self.weight_h.dtype),)
