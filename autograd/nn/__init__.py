"""Functions of neural networks, differentiable to any order. Channels are the last axis."""

from autograd.nn.activations import (
    elu,
    gelu,
    leaky_relu,
    log_softmax,
    relu,
    sigmoid,
    softmax,
    softplus,
)
from autograd.nn.conv import conv, conv_transpose
from autograd.nn.dropout import dropout
from autograd.nn.embedding import embedding, one_hot
from autograd.nn.losses import sigmoid_cross_entropy, softmax_cross_entropy

__all__ = [
    "conv",
    "conv_transpose",
    "dropout",
    "elu",
    "embedding",
    "gelu",
    "leaky_relu",
    "log_softmax",
    "one_hot",
    "relu",
    "sigmoid",
    "sigmoid_cross_entropy",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
]
