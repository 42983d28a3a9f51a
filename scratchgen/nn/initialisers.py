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


def glorot_uniform(rng: Any, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Any:
    """U(−a, a) with a = √(6 / (fan_in + fan_out)), float32: the variance of :func:`glorot_normal`.

    Glorot and Bengio (2010), eq. 16, the "normalized initialization".
    """
    return _uniform(rng, shape, math.sqrt(6 / (fan_in + fan_out)))


def he_uniform(rng: Any, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Any:
    """U(−a, a) with a = √(6 / fan_in), float32: the variance of :func:`he_normal`, 2 / fan_in.

    He et al. (2015), eq. 10. ``fan_out`` is not used.
    """
    return _uniform(rng, shape, math.sqrt(6 / fan_in))


def lecun_normal(rng: Any, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Any:
    """N(0, 1 / fan_in), float32: a linear unit of inputs of variance 1 has variance 1.

    Y. LeCun et al. (1998), "Efficient backprop", §4.6. For layers followed by a linear unit or by
    SELU. ``fan_out`` is not used.
    """
    return _normal(rng, shape, math.sqrt(1 / fan_in))


def orthogonal(rng: Any, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Any:
    """A matrix of orthonormal columns (or rows, if there are fewer), float32, drawn uniformly.

    It keeps lengths, however often it is applied: for the recurrent weights of a recurrent network.
    The matrix is (all axes but the last, the last). The fans are not used.

    A. M. Saxe, J. L. McClelland and S. Ganguli (2014), "Exact solutions to the nonlinear dynamics
    of learning in deep linear neural networks". F. Mezzadri (2007), "How to generate random
    matrices from the classical compact groups", §5: Q of a normal matrix's Q R is uniform when the
    diagonal of R is made positive.
    """
    rows, columns = math.prod(shape[:-1]), shape[-1]
    normal = rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(normal)
    q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return (q if rows >= columns else q.T).reshape(shape).astype("float32")


def zeros(rng: Any, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Any:
    """Zeros: for the last layer of a residual branch, which then starts out adding nothing."""
    return np.zeros(shape, "float32")


def _normal(rng: Any, shape: tuple[int, ...], scale: float) -> Any:
    return (rng.standard_normal(shape) * scale).astype("float32")


def _uniform(rng: Any, shape: tuple[int, ...], bound: float) -> Any:
    return ((2 * rng.random(shape) - 1) * bound).astype("float32")
