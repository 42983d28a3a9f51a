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
from autograd.nn.batch_norm import batch_norm, batch_norm_with_statistics
from autograd.nn.conv import conv, conv_input_grad, conv_transpose, conv_weight_grad
from autograd.nn.dense import dense, dense_relu
from autograd.nn.dropout import dropout
from autograd.nn.embedding import embedding, one_hot
from autograd.nn.gated import gated
from autograd.nn.gru import gru, gru_cell
from autograd.nn.joined import joined_matmul
from autograd.nn.losses import sigmoid_cross_entropy, softmax_cross_entropy
from autograd.nn.lstm import lstm, lstm_cell
from autograd.nn.pooling import (
    average_pool,
    depth_to_space,
    max_pool,
    space_to_depth,
    upsample_nearest,
)

__all__ = [
    "average_pool",
    "batch_norm",
    "batch_norm_with_statistics",
    "conv",
    "conv_input_grad",
    "conv_transpose",
    "conv_weight_grad",
    "dense",
    "dense_relu",
    "depth_to_space",
    "dropout",
    "elu",
    "embedding",
    "gated",
    "gelu",
    "gru",
    "gru_cell",
    "joined_matmul",
    "leaky_relu",
    "log_softmax",
    "lstm",
    "lstm_cell",
    "max_pool",
    "one_hot",
    "relu",
    "sigmoid",
    "sigmoid_cross_entropy",
    "softmax",
    "softmax_cross_entropy",
    "softplus",
    "space_to_depth",
    "upsample_nearest",
]
