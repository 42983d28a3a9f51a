"""Layers: objects that hold parameters and are called on arrays, channels last."""

from scratchgen.nn.batch_norm import BatchNorm
from scratchgen.nn.causal import CausalConv
from scratchgen.nn.conv import Conv
from scratchgen.nn.convnet import ConvNet
from scratchgen.nn.dense import Dense
from scratchgen.nn.embedding import Embedding
from scratchgen.nn.gru import GRU
from scratchgen.nn.halve import Double, Halve
from scratchgen.nn.initialisers import (
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    orthogonal,
    zeros,
)
from scratchgen.nn.lstm import LSTM
from scratchgen.nn.masked import MaskedConv
from scratchgen.nn.mlp import MLP
from scratchgen.nn.module import Module
from scratchgen.nn.normalisation import GroupNorm, LayerNorm
from scratchgen.nn.shifted import ShiftedConv, ShiftedConvTranspose
from scratchgen.nn.spectral_norm import SpectralConv, SpectralDense
from scratchgen.nn.weight_norm import WeightNormConv, WeightNormDense

__all__ = [
    "GRU",
    "LSTM",
    "MLP",
    "BatchNorm",
    "CausalConv",
    "Conv",
    "ConvNet",
    "Dense",
    "Double",
    "Embedding",
    "GroupNorm",
    "Halve",
    "LayerNorm",
    "MaskedConv",
    "Module",
    "ShiftedConv",
    "ShiftedConvTranspose",
    "SpectralConv",
    "SpectralDense",
    "WeightNormConv",
    "WeightNormDense",
    "glorot_normal",
    "glorot_uniform",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "orthogonal",
    "zeros",
]
