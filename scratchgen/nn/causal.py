"""Causal convolutions of sequences, all positions at once or one after another.

An output reads the input of its own position and earlier ones, ``dilation`` apart (here 4):

    y    ·  ·  ·  ·  ·  ■             y_t = b + Σ_j x_{t − (k − 1 − j) d} w_j
            ┌───────────┤
    x    ·  ▪  ·  ·  ·  ▪                j = 0 … k − 1, and x is zero before its first element

To generate a sequence these inputs need not be computed anew for each output: a queue hands each of
them out when its time has come (T. L. Paine et al. 2016, "Fast WaveNet generation algorithm").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
from autograd import Tensor
from autograd.nn import conv
from scratchgen.nn.initialisers import he_normal
from scratchgen.nn.module import Module


class CausalConv(Module):
    """A dilated causal convolution: (N, T, C) → (N, T, D); no output sees a later input."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int,
        dilation: int,
        rng: Any,
        init: Callable = he_normal,
    ) -> None:
        self.dilation = dilation
        fans = {"fan_in": kernel * inputs, "fan_out": kernel * outputs}
        self.weight = Tensor(init(rng, (kernel, inputs, outputs), **fans))
        self.bias = Tensor(np.zeros(outputs, "float32"))

    def __call__(self, x: Any) -> Any:
        return conv(x, self.weight, self.bias, padding="causal", dilation=self.dilation)

    @property
    def matrix(self) -> Any:
        """The weights of all taps as one matrix (k · C, D), the plain array: see :class:`Queue`."""
        return self.weight.data.reshape(-1, self.weight.shape[-1])

    def start(self, x: Any) -> Queue:
        """The queue after the inputs x (N, T, C), a plain array; T = 0 for none yet."""
        return Queue(x, len(self.weight), self.dilation)

    def step(self, x: Any, queue: Queue) -> Any:
        """The output (N, D) at the next position, whose input is x (N, C); plain arrays."""
        return queue.read(x) @ self.matrix + self.bias.data


class Queue:
    """The last inputs of a causal convolution, in a ring of as many places as its dilation is.

    Position t has place t mod d, and there the inputs t, t − d, t − 2d, … lie side by side, just as
    the output t reads them: one product with :attr:`CausalConv.matrix` makes it. The time of a step
    does not depend on the dilation.
    """

    def __init__(self, x: Any, kernel: int, dilation: int) -> None:
        n, length, self._channels = x.shape
        zeros = np.zeros((n, kernel * dilation, self._channels), x.dtype)
        last = np.concatenate([zeros, x], axis=1)[:, length:]  # k·d inputs, the oldest first
        taps = last.reshape(n, kernel, dilation, self._channels)
        self._ring = taps.transpose(2, 0, 1, 3).reshape(dilation, n, kernel * self._channels)
        self._place = 0  # of the next position

    def read(self, x: Any) -> Any:
        """Add x (N, C), and get what the output there reads, the oldest first: (N, k · C).

        The result is a view, valid until the ring has come round to it.
        """
        place, channels = self._ring[self._place], self._channels
        end = place.shape[1]
        for i in range(channels, end, channels):
            place[:, i - channels : i] = place[:, i : i + channels]
        place[:, end - channels :] = x
        self._place = (self._place + 1) % len(self._ring)
        return place
