"""Integrals over the plane, of densities that a model has learnt."""

import numpy

from autograd import backend, no_grad

AT_ONCE = 50_000  # points of the grid


def integral(model, low, high, steps, context=None):
    """∫ p(x) dx over the square [low, high]², of a model in float64; ``context``: one label.

    By the midpoint rule with steps² points. The square must hold the tails: what is outside of it
    is missing from the sum.
    """
    log_p, area = log_densities(model, low, high, steps, context)
    return numpy.exp(log_p).sum() * area


def entropy(model, low, high, steps, context=None):
    """−∫ p(x) ln p(x) dx, likewise, in nats."""
    log_p, area = log_densities(model, low, high, steps, context)
    return -(numpy.exp(log_p) * log_p).sum() * area


def log_densities(model, low, high, steps, context=None):
    """ln p in the middle of each of steps² squares, and the area of one."""
    side = (high - low) / steps
    axis = low + side * (numpy.arange(steps) + 0.5)
    grid = numpy.stack(numpy.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    with no_grad():
        log_p = [
            backend.to_numpy(model.log_prob(backend.asarray(grid[i : i + AT_ONCE]), context))
            for i in range(0, len(grid), AT_ONCE)
        ]
    return numpy.concatenate(log_p), side**2
