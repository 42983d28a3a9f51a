"""Invertible functions, and what they do to a density.

If z = f(x) is invertible and differentiable, and z has the density p_Z, then x has the density

    ln p(x) = ln p_Z(f(x)) + ln |det ∂f/∂x|

(L. Dinh, D. Krueger and Y. Bengio 2014, "NICE: Non-linear independent components estimation"):
where f spreads points apart, x lies denser than z. The last term is ``log_det``. Of
functions applied one after the other they add up, and that of an inverse is the negative:

    ln |det ∂(g ∘ f)/∂x| = ln |det ∂g/∂y| + ln |det ∂f/∂x|,    ln |det ∂f⁻¹/∂z| = −ln |det ∂f/∂x|

So long as each has an inverse and a determinant that are cheap, a long chain of simple functions
is a rich density that can be both computed and drawn from.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import autograd.numpy as np
from scratchgen.nn import Module


class InverseNotAvailable(NotImplementedError):
    """The transform is invertible, but its inverse has no closed form."""


class Transform(Module):
    """An invertible function of each example of a batch, x (N, …) → z (N, …).

    ``context`` (N, C) are numbers that the function may depend on, or None. It need not be
    invertible in these.
    """

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        """From data to noise: z = f(x) (N, …) and ln |det ∂z/∂x| (N,).

        ``rng``: a generator in training, for dropout and the like; None for the function itself.
        """
        raise NotImplementedError

    def inverse(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        """From noise to data: x = f⁻¹(z) (N, …) and ln |det ∂x/∂z| (N,), −that of ``forward``.

        Raises InverseNotAvailable if there is no closed form.
        """
        raise InverseNotAvailable(f"{type(self).__name__} has no inverse in closed form")

    def initialise(self, x: Any, context: Any = None) -> Any:
        """Set parameters that are to suit the data from a first batch of these. Returns f(x).

        Called once, before training, without a graph.
        """
        return self.forward(x, context)[0]


class Compose(Transform):
    """z = f_L(… f_2(f_1(x))): the transforms in the order in which data pass through them."""

    def __init__(self, transforms: Sequence[Transform]) -> None:
        self.transforms = list(transforms)

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        total = no_change(x)
        for transform in self.transforms:
            x, log_det = transform.forward(x, context, rng)
            total = total + log_det
        return x, total

    def inverse(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        total = no_change(z)
        for transform in reversed(self.transforms):
            z, log_det = transform.inverse(z, context)
            total = total + log_det
        return z, total

    def initialise(self, x: Any, context: Any = None) -> Any:
        for transform in self.transforms:
            x = transform.initialise(x, context)
        return x


class Inverse(Transform):
    """The transform the other way round: its ``forward`` is the ``inverse`` of the one given.

    ``initialise`` sets nothing: the one given is set from its own data, which come out here.
    """

    def __init__(self, transform: Transform) -> None:
        self.transform = transform

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        return self.transform.inverse(x, context)

    def inverse(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        return self.transform.forward(z, context)


def no_change(x: Any) -> Any:
    """The log-determinant (N,) of what keeps volumes."""
    return np.zeros(len(x), x.dtype)


def per_example(x: Any) -> Any:
    """The sum over all axes but the first: (N, …) → (N,)."""
    return np.sum(x, axis=tuple(range(1, x.ndim)))


def per_channel(x: Any, log_scale: Any) -> Any:
    """ln |det| (N,) where each channel of x (N, …, channels) is scaled, by exp(log_scale).

    As often as there are pixels: h w Σ_c log_scale_c for images, Σ_c log_scale_c for points.
    """
    return no_change(x) + math.prod(x.shape[1:-1]) * np.sum(log_scale)


def check_width(transform: Transform, x: Any, width: int) -> None:
    """Raise ValueError unless x is (N, …, width)."""
    if x.ndim < 2 or x.shape[-1] != width:
        raise ValueError(
            f"{type(transform).__name__}: input {tuple(x.shape)}, expected (N, …, {width})"
        )


def check_vectors(transform: Transform, x: Any, width: int) -> None:
    """Raise ValueError unless x is (N, width)."""
    if x.ndim != 2 or x.shape[1] != width:
        raise ValueError(
            f"{type(transform).__name__}: input {tuple(x.shape)}, expected (N, {width})"
        )
