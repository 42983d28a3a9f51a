"""Random initial weights whose scale keeps activations and gradients of a deep network alike.

With inputs of variance 1, independent weights of variance σ² and ``fan_in`` inputs to each unit, a
linear unit has variance fan_in · σ². The rules below choose σ² so that this is neither blown up
nor damped from layer to layer.
"""

from __future__ import annotations

import math
from typing import Any

import autograd.numpy as np


def glorot_normal(rng: Any, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Any:
    """N(0, 2 / (fan_in + fan_out)), float32: for layers followed by a linear or tanh unit.

    The compromise between keeping variances forward (1 / fan_in) and backward (1 / fan_out):
    X. Glorot and Y. Bengio (2010), "Understanding the difficulty of training deep feedforward
    neural networks", eq. 12, there for the uniform distribution of the same variance.
    """
    return _normal(rng, shape, math.sqrt(2 / (fan_in + fan_out)))


def he_normal(rng: Any, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Any:
    """N(0, 2 / fan_in), float32: for layers whose input comes from a ReLU, which halves E x².

    K. He et al. (2015), "Delving deep into rectifiers", eq. 10. ``fan_out`` is not used.
    """
    return _normal(rng, shape, math.sqrt(2 / fan_in))


def zeros(rng: Any, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Any:
    """Zeros: for the last layer of a residual branch, which then starts out adding nothing."""
    return np.zeros(shape, "float32")


def _normal(rng: Any, shape: tuple[int, ...], scale: float) -> Any:
    return (rng.standard_normal(shape) * scale).astype("float32")
