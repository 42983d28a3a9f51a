"""Helpers around gradients, with the names of HIPS/autograd."""

from autograd.misc.flatten import flatten

__all__ = ["flatten"]
