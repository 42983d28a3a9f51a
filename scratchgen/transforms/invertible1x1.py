"""The invertible 1 × 1 convolution: a matrix mixes the channels of each pixel.

D. P. Kingma and P. Dhariwal (2018), "Glow: Generative flow with invertible 1 × 1 convolutions",
§3.2. A coupling changes half of the channels only, so these have to change places in between. A
permutation does that; an invertible matrix W, the same for every pixel ij of h × w, can learn to
do it better (eq. 9):

    z_ij = W x_ij        ln |det ∂z/∂x| = h w ln |det W|

The determinant of any W of c channels takes O(c³). With W in the form of its LU decomposition it
is that of a triangular matrix, and takes O(c) (eqs. 10 and 11):

    W = P L (U + diag s)        ln |det W| = Σ_c ln |s_c|

P is a permutation, L is lower triangular with ones on its diagonal, and U upper triangular with
zeros there. At first W is a random rotation (or reflection), which keeps volumes. P and the signs
of s stay what they were then; L, U and ln |s| are learnt, and whatever these are, W is not
singular. Its inverse is not computed either: each triangle is solved for, from its corner.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd import Tensor
from autograd.numpy.linalg import solve_triangular
from scratchgen.nn.initialisers import orthogonal
from scratchgen.transforms.transform import Transform, check_width, per_channel


class Invertible1x1(Transform):
    """z = W x over the last axis, (N, …, channels): of images, and of points (N, channels) too."""

    buffers = ("permutation", "sign")

    def __init__(self, channels: int, rng: Any) -> None:
        weight = orthogonal(rng, (channels, channels), channels, channels)
        self.permutation, triangles = lu(weight)  # P
        diagonal = np.diagonal(triangles)  # s
        self.sign = np.sign(diagonal)
        self.log_scale = Tensor(np.log(np.abs(diagonal)))
        self.below = Tensor(np.tril(triangles, -1))  # L without its diagonal
        self.above = Tensor(np.triu(triangles, 1))  # U

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        check_width(self, x, len(self.sign))
        lower, upper = self._triangles()
        weight = self.permutation @ lower @ upper
        return np.matmul(x, weight.T), per_channel(x, self.log_scale)

    def inverse(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        """Raises LinAlgError, a ValueError, if an s is so small that it is rounded to 0."""
        check_width(self, z, len(self.sign))
        lower, upper = self._triangles()
        columns = z.reshape(-1, len(self.sign)).T  # of each pixel its channels
        columns = solve_triangular(lower, self.permutation.T @ columns, lower=True)
        columns = solve_triangular(upper, columns)
        return columns.T.reshape(z.shape), -per_channel(z, self.log_scale)

    def _triangles(self) -> tuple[Any, Any]:
        """L and U + diag s. What is stored on the other side of the diagonals is not used."""
        one = np.diag(np.ones_like(self.sign))
        scale = self.sign * np.exp(self.log_scale)
        return np.tril(self.below, -1) + one, np.triu(self.above, 1) + np.diag(scale)


def lu(matrix: Any) -> tuple[Any, Any]:
    """P, and in one matrix L (below the diagonal, its ones left out) and U, of matrix = P L U.

    By Gaussian elimination of one column after the other. The row to eliminate with is the one
    whose entry in the column is largest, so that no entry of L is above 1.
    """
    n = len(matrix)
    rest, order = matrix.copy(), np.arange(n)
    for k in range(n):
        pivot = k + np.argmax(np.abs(rest[k:, k])).item()
        swapped = np.arange(n)
        swapped[k], swapped[pivot] = pivot, k
        rest, order = rest[swapped], order[swapped]
        rest[k + 1 :, k] /= rest[k, k]
        rest[k + 1 :, k + 1 :] -= rest[k + 1 :, k : k + 1] * rest[k, k + 1 :]
    # row i of L U is row order_i of the matrix
    permutation = (np.arange(n)[:, None] == order).astype(matrix.dtype)
    return permutation, rest
