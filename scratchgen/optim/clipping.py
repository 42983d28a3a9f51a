"""Gradients that are too long made shorter."""

from __future__ import annotations

from collections.abc import Iterable

import autograd.numpy as np
from autograd import Tensor
from autograd.backend import Array
from scratchgen.optim.flat import FlatParameters


def clip_by_norm(parameters: FlatParameters | Iterable[Tensor], largest: float) -> Array:
    """Scale all gradients by one factor, so that their norm is at most ``largest``.

        ‖g‖ = √(Σ over all parameters of g²),   g ← g · min(1, largest / ‖g‖)

    Called between the backward pass and the optimiser's step. On ``optimiser.flat`` it is a pass
    over one array; on parameters it works on one ``grad`` after the other. A parameter without a
    gradient counts 0. Returns the norm before, on the device: ``.item()`` reads it. A norm that
    overflows is infinite and makes the gradients 0; with a NaN among them, all become NaN.

    R. Pascanu, T. Mikolov and Y. Bengio (2013), "On the difficulty of training recurrent neural
    networks", algorithm 1. Raises ValueError if ``largest`` is not above 0.
    """
    if not largest > 0:
        raise ValueError(f"clip_by_norm: the largest norm is {largest}, not above 0")
    if isinstance(parameters, FlatParameters):
        gradient = parameters.gather_gradients()
        norm = np.sqrt(np.dot(gradient, gradient))
        gradient *= largest / np.maximum(norm, largest)
        return norm
    having = [x for x in parameters if x.grad is not None]
    if not having:
        raise ValueError("clip_by_norm: no parameter has a gradient; call backward() first")
    flat = [x.grad.reshape(-1) for x in having]
    norm = np.sqrt(sum(np.dot(g, g) for g in flat))
    for x in having:
        x.grad = x.grad * (largest / np.maximum(norm, largest))
    return norm
