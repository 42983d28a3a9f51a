"""Optimisers: they change a model's parameters in place, outside the graph."""

from scratchgen.optim.adam import Adam
from scratchgen.optim.flat import FlatParameters

__all__ = ["Adam", "FlatParameters"]
