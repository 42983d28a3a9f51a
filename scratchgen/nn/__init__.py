"""Layers: objects that hold parameters and are called on arrays, channels last."""

from scratchgen.nn.conv import Conv
from scratchgen.nn.dense import Dense
from scratchgen.nn.initialisers import glorot_normal, he_normal, zeros
from scratchgen.nn.masked import MaskedConv
from scratchgen.nn.module import Module

__all__ = ["Conv", "Dense", "MaskedConv", "Module", "glorot_normal", "he_normal", "zeros"]
