"""Layers that give activations mean 0 and variance 1, and then learn another mean and variance.

Both take each example by itself, so they compute the same in training and after it. (Batch
normalisation does not: there, examples of a batch influence one another.)
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd import Tensor
from scratchgen.nn.module import Module


class LayerNorm(Module):
    """y = γ (x − µ) / √(σ² + ε) + β, with the mean µ and variance σ² over the channels: (…, C).

    Each position of an image or sequence is normalised by itself, so nothing leaks from one to
    another: it can be used in autoregressive models.

    J. L. Ba, J. R. Kiros and G. E. Hinton (2016), "Layer normalization", eqs. 3 and 4.
    """

    def __init__(self, channels: int, epsilon: float = 1e-5) -> None:
        self.epsilon = epsilon
        self.gain = Tensor(np.ones(channels, "float32"))
        self.bias = Tensor(np.zeros(channels, "float32"))

    def __call__(self, x: Any) -> Any:
        _check_channels("LayerNorm", x, self.gain)
        return _normalised(x, (-1,), self.epsilon) * self.gain + self.bias


class GroupNorm(Module):
    """y = γ (x − µ) / √(σ² + ε) + β, with µ and σ² over all positions of a group of channels.

    For (N, …, C) of any number of positions; the channels of a group are neighbours. One group is
    layer normalisation of whole images, C groups are instance normalisation. Every position is
    influenced by all others: it must not be used where some may not be known.

    Y. Wu and K. He (2018), "Group normalization", eqs. 1, 2, 6 and 7. Raises ValueError if the
    groups would not be equal.
    """

    def __init__(self, groups: int, channels: int, epsilon: float = 1e-5) -> None:
        if groups < 1 or channels % groups:
            raise ValueError(f"GroupNorm: {channels} channels are not {groups} equal groups")
        self.groups, self.epsilon = groups, epsilon
        self.gain = Tensor(np.ones(channels, "float32"))
        self.bias = Tensor(np.zeros(channels, "float32"))

    def __call__(self, x: Any) -> Any:
        _check_channels("GroupNorm", x, self.gain)
        grouped = x.reshape(len(x), -1, self.groups, x.shape[-1] // self.groups)  # (N, P, G, C/G)
        return _normalised(grouped, (1, 3), self.epsilon).reshape(x.shape) * self.gain + self.bias


def _normalised(x: Any, axes: tuple[int, ...], epsilon: float) -> Any:
    centred = x - np.mean(x, axis=axes, keepdims=True)
    return centred / np.sqrt(np.mean(centred * centred, axis=axes, keepdims=True) + epsilon)


def _check_channels(layer: str, x: Any, gain: Tensor) -> None:
    """Raise ValueError; one channel would otherwise be taken for all of them."""
    if x.ndim < 2 or x.shape[-1] != gain.size:
        raise ValueError(f"{layer}: input {x.shape}, expected {gain.size} channels: (N, …, C)")
