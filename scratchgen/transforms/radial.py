"""The radial transform: space is stretched, or squeezed, around one point.

D. J. Rezende and S. Mohamed (2015), "Variational inference with normalizing flows".

Every z moves along the ray on which it lies from a point z_0, by an amount that depends on its
distance r = ‖z − z_0‖ (eq. 14):

    f(z) = z + β h(r) (z − z_0),   h(r) = 1 / (α + r),   α > 0

In the D − 1 directions across the ray lengths are multiplied by 1 + β h(r), as r itself is, and
along it by the derivative of r (1 + β h(r)) by r. So (after eq. 14)

    det ∂f/∂z = (1 + β h)^(D−1) (1 + β h + β h' r)

With p = α h(r), which goes from 1 at z_0 to 0 far from it, and β = α m, these are simply

    f(z) = z + m p (z − z_0),   1 + β h = 1 + m p,   1 + β h + β h' r = 1 + m p²

and f is invertible if m > −1 (β > −α in the paper, appendix A.2), the same constraint as that of
:mod:`scratchgen.transforms.planar`, and met by the same function.

The distance r' = r (1 + m p) of f(z) from z_0 is a quadratic equation for r,

    r² + (α (1 + m) − r') r − α r' = 0

of which one root is not negative: that is the inverse.
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd.nn import softplus
from scratchgen.transforms.planar import Numbers, slope
from scratchgen.transforms.transform import Transform, check_vectors

LEAST_ALPHA = 1e-3


class Radial(Transform):
    """f(z) = z + β (z − z_0) / (α + ‖z − z_0‖) of vectors (N, D).

    ``context``: the width of the contexts that z_0, α and β are computed from; 0 if they are
    parameters themselves. It starts as the identity, with a point at random.
    """

    def __init__(self, dimensions: int, rng: Any, context: int = 0) -> None:
        self.dimensions = dimensions
        initial = np.concatenate([rng.standard_normal(dimensions), np.zeros(2)])
        self.numbers = Numbers(initial.astype("float32"), rng, context)

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        check_vectors(self, x, self.dimensions)
        centre, alpha, s = self._parameters(context)
        r = _length(x - centre)
        across, log_det = self._stretch(r, alpha, s)
        return centre + across * (x - centre), log_det

    def inverse(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        check_vectors(self, z, self.dimensions)
        centre, alpha, s = self._parameters(context)
        length = _length(z - centre)
        c = alpha * s - length
        root = np.sqrt(c * c + 4 * alpha * length)
        # of the two forms of the solution, the one that adds numbers of one sign
        up = c > 0
        r = np.where(up, 2 * alpha * length / np.where(up, root + c, 1.0), (root - c) / 2)
        across, log_det = self._stretch(r, alpha, s)
        return centre + (z - centre) / across, -log_det

    def _parameters(self, context: Any) -> tuple[Any, Any, Any]:
        """z_0, α and 1 + m."""
        numbers, d = self.numbers(context), self.dimensions
        alpha = LEAST_ALPHA + softplus(numbers[..., d : d + 1])
        return numbers[..., :d], alpha, slope(numbers[..., d + 1 :])

    def _stretch(self, r: Any, alpha: Any, s: Any) -> tuple[Any, Any]:
        """1 + m p, by which lengths across a ray are multiplied, (N, 1); and ln det (N,)."""
        p = alpha / (alpha + r)
        across = (1 - p) + p * s
        along = (1 - p * p) + p * p * s
        log_det = (self.dimensions - 1) * np.log(across) + np.log(along)
        return across, log_det[:, 0]


def _length(v: Any) -> Any:
    """‖v‖ of vectors (N, D): (N, 1). Where it is 0, so is its gradient."""
    square = np.sum(v * v, axis=-1, keepdims=True)
    nowhere = square == 0
    return np.where(nowhere, 0.0, np.sqrt(np.where(nowhere, 1.0, square)))
