"""Coupling layers: half of the numbers stay as they are, and say what becomes of the others.

L. Dinh, J. Sohl-Dickstein and S. Bengio (2017), "Density estimation using Real NVP"; the additive
ones: L. Dinh, D. Krueger and Y. Bengio (2014), "NICE: Non-linear independent components
estimation".

A mask m is 1 where x passes unchanged, and only there a network sees it. What it puts out scales
and shifts the rest (Real NVP, eq. 9):

    (ŝ, t) = (1 − m) ⊙ network(m ⊙ x),    s = a ⊙ tanh ŝ
    z = x ⊙ exp(s) + t

Whatever the network is, this can be undone: m ⊙ z = m ⊙ x, so that it can be asked again, and
x = (z − t) ⊙ exp(−s). With the unchanged numbers first, the Jacobian is triangular:

    ∂z/∂x = ( I        0           )        ln |det ∂z/∂x| = Σ_i s_i
            ( ∂z₂/∂x₁  diag exp(s) )

The tanh and the learnt a bound the scales: exp(s) lies between exp(−|a|) and exp(|a|), however far
from the data an input is. With s = 0 what is left is the additive coupling of NICE (eqs. 9 and 10),
which keeps volumes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import autograd.numpy as np
from autograd import Tensor
from scratchgen.transforms.transform import Transform, no_change, per_example

# ---------------------------------------------------------------------------------------- masks


def half(width: int, flip: bool = False) -> Any:
    """1 for the first half of ``width`` numbers, or with ``flip`` for the second: (width,)."""
    if width < 2:
        raise ValueError(f"half: {width} numbers have no halves; at least 2")
    first = np.arange(width) < width // 2
    return (first != flip).astype("float32")


def channelwise(channels: int, flip: bool = False) -> Any:
    """1 for the first half of the channels of every pixel, or with ``flip`` for the second: (C,).

    After :class:`~scratchgen.transforms.shapes.Squeeze` the first half are the pixels of even rows.
    """
    return half(channels, flip)


def checkerboard(height: int, width: int, flip: bool = False) -> Any:
    """1 where row + column is even, or with ``flip`` where it is odd: (H, W, 1)."""
    even = (np.arange(height)[:, None] + np.arange(width)) % 2 == 0
    return (even != flip).astype("float32")[..., None]


# ------------------------------------------------------------------------------------ transforms


class Coupling(Transform):
    """What both have in common: the mask (1 where x passes unchanged) and the network."""

    def __init__(self, mask: Any, network: Callable[[Any, Any, Any], Any]) -> None:
        """``mask`` broadcasts to one x. ``network``: (x, context, rng) → numbers for each of x."""
        self.mask, self.changed, self.network = mask, 1 - mask, network

    def _ask_network(self, x: Any, context: Any, rng: Any, outputs: int) -> Any:
        """What the network makes of m ⊙ x: (N, …, width) → (N, …, outputs · width)."""
        ends = zip(reversed(self.mask.shape), reversed(x.shape[1:]), strict=False)
        if self.mask.ndim >= x.ndim or any(m not in (1, side) for m, side in ends):
            name = type(self).__name__
            raise ValueError(f"{name}: input {tuple(x.shape)}, mask {tuple(self.mask.shape)}")
        h = self.network(self.mask * x, context, rng)
        if h.shape != (*x.shape[:-1], outputs * x.shape[-1]):
            raise ValueError(
                f"{type(self).__name__}: the network puts out {tuple(h.shape)} for an input "
                f"{tuple(x.shape)}, expected {outputs} for each number"
            )
        return h


class AdditiveCoupling(Coupling):
    """z = x + (1 − m) ⊙ t̂: the network puts out one number for each of x, t̂ (N, …, width)."""

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        return x + self._shift(x, context, rng), no_change(x)

    def inverse(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        return z - self._shift(z, context), no_change(z)

    def _shift(self, x: Any, context: Any, rng: Any = None) -> Any:
        return self.changed * self._ask_network(x, context, rng, 1)


class AffineCoupling(Coupling):
    """z = x ⊙ exp(s) + t: the network puts out two for each of x, (ŝ, t̂) (N, …, 2 · width)."""

    def __init__(self, mask: Any, network: Callable[[Any, Any, Any], Any]) -> None:
        super().__init__(mask, network)
        self.scale = Tensor(np.ones(mask.shape[-1:], "float32"))  # a
        of_all = mask.shape[-1] == 1  # the same for all channels
        self.both = self.changed if of_all else np.concatenate([self.changed] * 2, -1)

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        s, t = self._scale_and_shift(x, context, rng)
        return x * np.exp(s) + t, per_example(s)

    def inverse(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        s, t = self._scale_and_shift(z, context)
        return (z - t) * np.exp(-s), -per_example(s)

    def _scale_and_shift(self, x: Any, context: Any, rng: Any = None) -> tuple[Any, Any]:
        s, t = np.split(self.both * self._ask_network(x, context, rng, 2), 2, axis=-1)
        return self.scale * np.tanh(s), t
