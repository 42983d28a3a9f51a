"""Transforms that only move numbers about: they keep volumes, so their log-determinant is 0.

L. Dinh, J. Sohl-Dickstein and S. Bengio (2017), "Density estimation using Real NVP", §3.6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import autograd.numpy as np
from autograd.nn import depth_to_space, space_to_depth
from scratchgen.transforms.transform import Transform, check_width, no_change


class Permutation(Transform):
    """z_i = x_{order_i} over the last axis."""

    buffers = ("order",)

    def __init__(self, order: Sequence[int]) -> None:
        """``order``: the numbers from 0 on, each once. Raises ValueError if they are not."""
        if sorted(order) != list(range(len(order))):
            raise ValueError(f"Permutation: {list(order)} are not the numbers from 0, each once")
        self.order = np.array(list(order))

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        check_width(self, x, len(self.order))
        return x[..., self.order], no_change(x)

    def inverse(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        check_width(self, z, len(self.order))
        return z[..., np.argsort(self.order)], no_change(z)


class Squeeze(Transform):
    """Each 2 × 2 pixels become one with four times the channels: (H, W, C) → (H/2, W/2, 4C)."""

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        return space_to_depth(x, 2), no_change(x)

    def inverse(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        return depth_to_space(z, 2), no_change(z)


class Flatten(Transform):
    """All numbers of an example in a row: (N, *shape) → (N, d)."""

    def __init__(self, shape: Sequence[int]) -> None:
        self.shape = tuple(shape)

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        if x.shape[1:] != self.shape:
            expected = ", ".join(map(str, self.shape))
            raise ValueError(f"Flatten: input {tuple(x.shape)}, expected (N, {expected})")
        return x.reshape(len(x), math.prod(self.shape)), no_change(x)

    def inverse(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        return z.reshape(len(z), *self.shape), no_change(z)


class Split(Transform):
    """Half of the channels are done with, and ``inner`` acts on the others: (N, …, C) → (N, d).

    The multi-scale architecture: numbers that are split off early went through few layers, and the
    later layers have the less to do. ``inner`` ends flat; its numbers are the last half of z.
    """

    def __init__(self, inner: Transform) -> None:
        self.inner = inner

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        done, going_on = _halves(x)
        z, log_det = self.inner.forward(going_on, context, rng)
        return self._joined(done, z), log_det

    def inverse(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        done, z = np.split(z, 2, axis=-1)
        x, log_det = self.inner.inverse(z, context)
        return np.concatenate([done.reshape(x.shape), x], -1), log_det

    def initialise(self, x: Any, context: Any = None) -> Any:
        done, going_on = _halves(x)
        return self._joined(done, self.inner.initialise(going_on, context))

    def _joined(self, done: Any, z: Any) -> Any:
        return np.concatenate([done.reshape(z.shape), z], -1)


def _halves(x: Any) -> Any:
    """Of the channels."""
    if x.shape[-1] % 2:
        raise ValueError(f"Split: {x.shape[-1]} channels have no halves; input {tuple(x.shape)}")
    return np.split(x, 2, axis=-1)
