"""Masked autoregressive transforms: each number is shifted and scaled given those before it.

G. Papamakarios, T. Pavlakou and I. Murray (2017), "Masked autoregressive flow for density
estimation".

With functions µ_i and α_i of the numbers x_1, …, x_{i−1} before x_i,

    z_i = (x_i − µ_i) exp(−α_i)          ln |det ∂z/∂x| = −Σ_i α_i
    x_i = z_i exp(α_i) + µ_i

for the Jacobian is triangular: no z_i depends on a later x_j, and on its diagonal is exp(−α_i). If
z is standard normal noise, every x_i is normal given those before it, with the mean µ_i and the
standard deviation exp α_i.

One network gives all µ and α at once, as no path through it leads to µ_i or α_i from x_i or from a
later number. Its masks are those of MADE (:mod:`scratchgen.models.autoregressive.made`). So z is
computed from x in one go. The way back takes a step for each number: µ_i and α_i are not known
before all of x_1, …, x_{i−1} are.

D. P. Kingma et al. (2016), "Improved variational inference with inverse autoregressive flow", take
it the other way round: what is known at once is the transform of noise, which is then cheap to draw
from. As a transform from data to noise that is ``Inverse(MaskedAutoregressive(…))``; to make a
posterior sample z_0 richer, it is ``forward`` itself: z_1, log_det = transform.forward(z_0), and
ln q(z_1) = ln q(z_0) − log_det.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import autograd.numpy as np
from autograd import backend
from autograd.nn import dropout, relu
from scratchgen.nn import Module
from scratchgen.nn.initialisers import zeros
from scratchgen.nn.masked_dense import MaskedDense
from scratchgen.transforms.transform import Transform, check_vectors, per_example


class MaskedNetwork(Module):
    """x (N, D) → (N, outputs · D), which are 0 at first: D numbers, then D more, and so on.

    The x that comes i-th in the order has the degree i, and so have the outputs of its place. The
    degrees of the hidden units are spread evenly from 1 to D − 1. A hidden unit depends on what is
    of at most its degree, an output on what is of less than its own: on the x before its place.

    The context enters every layer, with the degree 0. If there is one there are hidden units of
    degree 0 too: the first place sees nothing else, and could only be linear in it without them.
    """

    def __init__(
        self,
        order: Sequence[int],
        outputs: int,
        rng: Any,
        *,
        hidden: int = 64,
        layers: int = 2,
        context: int = 0,
        dropout: float = 0.0,
    ) -> None:
        d = len(order)
        self.context, self.rate = context, dropout
        widths = [context + d] + [context + hidden] * layers
        self.hidden = [MaskedDense(width, hidden, rng) for width in widths[:-1]]
        self.output = MaskedDense(widths[-1], outputs * d, rng, zeros)
        degrees = 1 + np.argsort(backend.asarray(order))
        least = 0 if context or d == 1 else 1
        of_units = least + np.arange(hidden) * (d - least) // hidden
        free = np.zeros(context, int)
        inputs = [np.concatenate([free, m])[:, None] for m in [degrees] + [of_units] * layers]
        self.masks = [m <= of_units for m in inputs[:-1]]
        self.masks.append(inputs[-1] < np.concatenate([degrees] * outputs))

    def __call__(self, x: Any, context: Any = None, rng: Any = None) -> Any:
        """``rng``: a generator for dropout in training, or None."""
        if (0 if context is None else context.shape[-1]) != self.context:
            found = "None" if context is None else tuple(context.shape)
            raise ValueError(f"MaskedNetwork: context {found}, expected {self.context} numbers")
        h = x
        for layer, mask in zip(self.hidden, self.masks[:-1], strict=True):
            h = relu(layer(_beside(context, h), mask))
            if rng is not None and self.rate:
                h = dropout(h, self.rate, rng)
        return self.output(_beside(context, h), self.masks[-1])


def _beside(context: Any, h: Any) -> Any:
    return h if context is None else np.concatenate([context, h], -1)


class MaskedAutoregressive(Transform):
    """z_i = (x_i − µ_i) exp(−α_i) for x (N, D), each given those before it; the identity at first.

    ``order``: forward, or reversed, from x_D to x_1. ``forward`` runs the network once, ``inverse``
    once for each number.

    The network's number s becomes α = a tanh(s / a), ``limit`` a: near to s where that is small,
    but never beyond ±a. So no number is scaled by more than exp(a), or less than exp(−a), whatever
    the parameters are, and a flow's density has light tails also where there were no data to learn
    from. The shift µ has no bound.
    """

    def __init__(
        self,
        dimensions: int,
        rng: Any,
        *,
        hidden: int = 64,
        layers: int = 2,
        context: int = 0,
        order: str = "forward",
        dropout: float = 0.0,
        limit: float = 2.0,
    ) -> None:
        if order not in ("forward", "reversed"):
            raise ValueError(f"MaskedAutoregressive: order={order!r}, expected forward or reversed")
        self.order = list(range(dimensions))[:: 1 if order == "forward" else -1]
        self.limit = limit
        sizes: dict[str, Any] = {"hidden": hidden, "layers": layers, "dropout": dropout}
        self.network = MaskedNetwork(self.order, 2, rng, context=context, **sizes)

    def conditionals(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        """µ and α of every number given those before it: (N, D) each."""
        mean, s = np.split(self.network(x, context, rng), 2, axis=-1)
        return mean, self.limit * np.tanh(s / self.limit)

    def forward(self, x: Any, context: Any = None, rng: Any = None) -> tuple[Any, Any]:
        check_vectors(self, x, len(self.order))
        mean, log_scale = self.conditionals(x, context, rng)
        return (x - mean) * np.exp(-log_scale), -per_example(log_scale)

    def inverse(self, z: Any, context: Any = None) -> tuple[Any, Any]:
        check_vectors(self, z, len(self.order))
        places = np.arange(len(self.order))
        x = np.zeros(z.shape, z.dtype)
        for i in self.order:  # those before it are known
            mean, log_scale = self.conditionals(x, context)
            x = np.where(places == i, z * np.exp(log_scale) + mean, x)
        return x, per_example(log_scale)  # no α depends on the last x
