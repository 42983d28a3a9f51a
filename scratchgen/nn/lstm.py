"""The long short-term memory layer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
from autograd import Tensor
from autograd.nn import lstm, lstm_cell
from scratchgen.nn.initialisers import glorot_uniform, orthogonal
from scratchgen.nn.module import Module


class LSTM(Module):
    """A recurrent layer with a memory c that is added to rather than overwritten.

        i, f, o = σ(x_t W_x + h_{t−1} W_h + b)      g = tanh(…)      each with its own columns
        c_t = f c_{t−1} + i g,   h_t = o tanh(c_t)

    S. Hochreiter and J. Schmidhuber (1997), "Long short-term memory"; the forget gate f is that of
    F. Gers, J. Schmidhuber and F. Cummins (2000), "Learning to forget". Its bias starts at 1, so
    that the memory lasts at first: R. Jozefowicz, W. Zaremba and I. Sutskever (2015), "An empirical
    exploration of recurrent network architectures". Each gate's W_h starts orthogonal.

    Parameters: ``weight_x`` (C, 4H), ``weight_h`` (H, 4H) and ``bias`` (4H,), with the gates in the
    order i, f, g, o.
    """

    def __init__(self, inputs: int, hidden: int, rng: Any, init: Callable = glorot_uniform) -> None:
        self.weight_x = Tensor(init(rng, (inputs, 4 * hidden), fan_in=inputs, fan_out=hidden))
        gates = [orthogonal(rng, (hidden, hidden), hidden, hidden) for _ in range(4)]
        self.weight_h = Tensor(np.concatenate(gates, axis=1))
        self.bias = Tensor(np.zeros(4 * hidden, "float32"))
        self.bias[hidden : 2 * hidden] = 1.0

    def __call__(self, x: Any, state: tuple[Any, Any] | None = None) -> tuple[Any, tuple[Any, Any]]:
        """Read sequences (N, T, C), from the state (h, c), (N, H) each, or from zeros.

        Returns all h (N, T, H) and the last state, from which a next call goes on.
        """
        h, c = self.start(len(x)) if state is None else state
        hs, h, c = lstm(x, h, c, self.weight_x, self.weight_h, self.bias)
        return hs, (h, c)

    def step(self, x: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        """Read one element (N, C) of each sequence, as sampling does. Returns the new state."""
        return lstm_cell(x, *state, self.weight_x, self.weight_h, self.bias)

    def start(self, count: int) -> tuple[Any, Any]:
        """The state (h, c) before the first element of ``count`` sequences: zeros (count, H)."""
        shape = (count, self.weight_h.shape[0])
        return np.zeros(shape, self.weight_h.dtype), np.zeros(shape, self.weight_h.dtype)
