"""Optimisers: they change a model's parameters in place, outside the graph."""

from collections.abc import Callable

from scratchgen.optim.adam import Adam, Adamax, AdamW
from scratchgen.optim.averaging import ExponentialMovingAverage
from scratchgen.optim.clipping import clip_by_norm
from scratchgen.optim.flat import FlatParameters
from scratchgen.optim.optimiser import Optimiser
from scratchgen.optim.rmsprop import RMSprop
from scratchgen.optim.schedules import constant, cosine, exponential, linear_warmup
from scratchgen.optim.sgd import SGD

OPTIMISERS: dict[str, Callable[..., Optimiser]] = {
    "adam": Adam,
    "adamax": Adamax,
    "adamw": AdamW,
    "rmsprop": RMSprop,
    "sgd": SGD,
}
"""By name. Each takes (parameters, learning_rate) and its own settings by keyword."""

__all__ = [
    "OPTIMISERS",
    "SGD",
    "Adam",
    "AdamW",
    "Adamax",
    "ExponentialMovingAverage",
    "FlatParameters",
    "Optimiser",
    "RMSprop",
    "clip_by_norm",
    "constant",
    "cosine",
    "exponential",
    "linear_warmup",
]
