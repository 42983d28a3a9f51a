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


def total(model, steps, reach=100.0, scale=2.0):
    """∫ p(x) dx over the plane out to ±reach: for sharp densities whose tails go far.

    By the midpoint rule in u, with each number of x = scale · sinh u: dx = scale · cosh u du.
    """
    side = 2 * numpy.arcsinh(reach / scale) / steps
    u = side * (numpy.arange(steps) + 0.5 - steps / 2)
    axis, stretch = scale * numpy.sinh(u), scale * numpy.cosh(u)
    log_p = _at(model, axis).reshape(steps, steps)
    return float(stretch @ numpy.exp(log_p) @ stretch) * side**2


def entropy(model, low, high, steps, context=None):
    """−∫ p(x) ln p(x) dx, likewise, in nats."""
    log_p, area = log_densities(model, low, high, steps, context)
    return -(numpy.exp(log_p) * log_p).sum() * area


def log_densities(model, low, high, steps, context=None):
    """ln p in the middle of each of steps² squares, and the area of one."""
    side = (high - low) / steps
    return _at(model, low + side * (numpy.arange(steps) + 0.5), context), side**2


def _at(model, axis, context=None):
    """ln p in all points both of whose numbers are in ``axis``."""
    grid = numpy.stack(numpy.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    with no_grad():
        log_p = [
            backend.to_numpy(model.log_prob(backend.asarray(grid[i : i + AT_ONCE]), context))
            for i in range(0, len(grid), AT_ONCE)
        ]
    return numpy.concatenate(log_p)
