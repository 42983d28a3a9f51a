"""MADE: an autoencoder made autoregressive by masks on its weights.

M. Germain, K. Gregor, I. Murray and H. Larochelle (2015), "MADE: Masked Autoencoder for
Distribution Estimation".

An autoencoder's outputs l_1, …, l_D are the logits of all values of a binary vector x at once, if
no path leads to l_i from x_i or from a value generated after it. To see to that, every unit has a
degree m. That of a value, and of its output, is the step at which it is generated, from 1 to D;
that of a hidden unit is drawn at random from 1 to D − 1, and says how many of the first values it
may depend on. A weight counts (eqs. 8 and 9)

    into a hidden unit k, from a unit k' before it, if    m(k) ≥ m(k')
    into an output i, from a hidden unit k, if            m(i) > m(k)

so that along a path degrees never fall, and rise at its end. With three values that are generated
in the order x_2, x_1, x_3 and four hidden units:

                    to h, m =  1  1  2  2                        to l, m =  2  1  3
    from x_1, m = 2            ·  ·  ■  ■        from h_1, m = 1            ■  ·  ■
         x_2, m = 1            ■  ■  ■  ■             h_2, m = 1            ■  ·  ■
         x_3, m = 3            ·  ·  ·  ·             h_3, m = 2            ·  ·  ■
                                                      h_4, m = 2            ·  ·  ■

With these masks M and direct connections A from values to the outputs of later ones,

    h = relu(x (W ⊙ M_W) + c),   l = h (V ⊙ M_V) + b + x (A ⊙ M_A)

The degrees are arbitrary, and so may be the order. With several masks each step of training uses
one of them, drawn at random, so that units cannot rely on one another ("connectivity-agnostic
training"); with the order "agnostic" each has an order of its own ("order-agnostic training"). The
model is then an ensemble of its K masks, and a density, as each p_k is one:

    p(x) = 1/K Σ_k p_k(x)
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, ClassVar

import autograd.numpy as np
from autograd import Tensor, backend
from autograd.nn import dropout, relu
from autograd.scipy.special import logsumexp
from scratchgen.config import require
from scratchgen.distributions import bernoulli
from scratchgen.models.autoregressive.binary import (
    BinaryConfig,
    BinaryModel,
    Naive,
    VectorGeneration,
    earlier,
    generate,
    ordering,
    steps_of,
)
from scratchgen.nn.initialisers import glorot_normal
from scratchgen.nn.masked_dense import MaskedDense

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class MADEConfig(BinaryConfig):
    """The defaults train well on the packaged digits, made binary."""

    order: str = "agnostic"
    """Of the values: raster, row by row from the top; random; or agnostic, random for each mask."""
    hidden: int = 500
    """Units of a hidden layer."""
    layers: int = 1
    """Hidden layers."""
    direct: int = 1
    """1 to connect values with outputs directly as well, 0 not to."""
    masks: int = 16
    """How many there are; above 1 the model is an ensemble."""
    dropout: float = 0.1
    """Rate of the units of each hidden layer that are dropped in training."""

    orders: ClassVar[tuple[str, ...]] = ("raster", "random", "agnostic")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("hidden", "layers", "masks"):
            require(self, getattr(self, name) >= 1, name, "at least 1")
        require(self, self.direct in (0, 1), "direct", "0 or 1")
        require(self, 0 <= self.dropout < 1, "dropout", "from 0 to below 1")


# ---------------------------------------------------------------------------------------- masks


class Masks:
    """The masks of all layers, from one order and one choice of degrees."""

    def __init__(self, order: list[int], config: MADEConfig, chance: random.Random) -> None:
        self.order = order
        self.degrees = [steps_of(order)]  # of the values, then of each hidden layer's units
        for _ in range(config.layers):
            # one below the least of the layer before would be connected to nothing
            least, most = min(self.degrees[-1]), max(config.dimensions - 1, 1)
            self.degrees.append([chance.randint(least, most) for _ in range(config.hidden)])
        degrees = [backend.asarray(m) for m in self.degrees]
        self.hidden = [m[:, None] <= n for m, n in pairwise(degrees)]
        self.output = degrees[-1][:, None] < degrees[0]
        self.direct = earlier(order)


def choose(config: MADEConfig) -> list[Masks]:
    """All masks of the model; the first order is that of any model of binary images."""
    chance = random.Random(config.order_seed)
    order, found = ordering(config, chance), []
    for _ in range(config.masks):
        found.append(Masks(order, config, chance))
        if config.order == "agnostic":
            order = ordering(config, chance)
    return found


# ---------------------------------------------------------------------------------------- model


class MADE(BinaryModel):
    """p(x) for images x (N, height, width, colours) of zeros and ones."""

    def __init__(self, config: MADEConfig, rng: Any) -> None:
        super().__init__(config)
        d, hidden = config.dimensions, config.hidden
        self.hidden = [
            MaskedDense(inputs, hidden, rng) for inputs in [d] + [hidden] * (config.layers - 1)
        ]
        self.output = MaskedDense(hidden, d, rng, glorot_normal)
        if config.direct:
            self.direct = Tensor(np.zeros((d, d), "float32"))
        self.masks = choose(config)

    def logits(self, v: Any, rng: Any = None, masks: Masks | None = None) -> Any:
        """All logits with one choice of masks, by default the first: (N, D) → (N, D).

        ``rng``: a generator for dropout, or None.
        """
        masks = masks or self.masks[0]
        h = v
        for layer, mask in zip(self.hidden, masks.hidden, strict=True):
            h = relu(layer(h, mask))
            if rng is not None:
                h = dropout(h, self.config.dropout, rng)
        y = self.output(h, masks.output)
        if self.config.direct:
            y = y + np.matmul(v, self.direct * masks.direct)
        return y

    def log_prob(self, x: Any, context: Any = None, *, rng: Any = None) -> Any:
        """ln p(x) in nats per image: x (N, H, W, colours) of zeros and ones → (N,).

        ``rng``: a generator for dropout and for the choice of one of the masks, in training; None
        for the density itself, that of the ensemble of all. ``context`` is None: the model has no
        classes. Raises ValueError for images of another shape.
        """
        self.check(x)
        self.labels(context, len(x))
        v = self.embed(x)
        masks = self.masks
        if rng is not None and len(masks) > 1:
            masks = [masks[int(rng.random(1).item() * len(masks))]]
        each = [bernoulli.log_prob(self.logits(v, rng, m), v) for m in masks]
        return logsumexp(np.sum(np.stack(each), axis=-1), axis=0) - math.log(len(masks))

    def phase(self, step: int) -> int | None:
        """Of several masks each step draws one, and computes what that lets through."""
        return None if len(self.masks) > 1 else 0

    def cached(self, n: int, context: Any = None, masks: Masks | None = None) -> Any:
        return _Cached(self, n, masks or self.masks[0])

    def drawn(
        self, n: int, rng: Any, method: str, given: Any, known: Any, temperature: float
    ) -> Any:
        """For each vector one of the masks is drawn, and then its values along that one's order.

        That is drawing from the ensemble; where values are given, from that of their completions.
        """
        which = (rng.random(n) * len(self.masks)).astype(int)
        vectors = np.zeros((n, self.config.dimensions), int)
        for k, masks in enumerate(self.masks):
            rows = np.flatnonzero(which == k)
            state: VectorGeneration = (
                self.cached(len(rows), masks=masks)
                if method == "cached"
                else Naive(self, len(rows), partial(self.logits, masks=masks))
            )
            some, kept = (None if x is None else x[rows] for x in (given, known))
            vectors[rows] = generate(len(rows), masks.order, state, rng, some, kept, temperature)
        return vectors


# ------------------------------------------------------------------------------------- sampling


class _Cached:
    """Vectors being generated: in all D steps together, each weight is used once.

    A hidden unit of degree t is known as soon as the value of step t is, and what it adds to the
    layer after it is added then.
    """

    def __init__(self, model: MADE, n: int, masks: Masks) -> None:
        layers = [*model.hidden, model.output]
        self.weights = [
            layer.weight.data * mask
            for layer, mask in zip(layers, [*masks.hidden, masks.output], strict=True)
        ]
        self.direct = model.direct.data * masks.direct if model.config.direct else None
        empty = np.zeros((n, 1), model.output.bias.dtype)
        self.inputs = [empty + layer.bias.data for layer in layers]
        """Of each layer, before its activation; of the last, the logits."""
        self.steps = masks.degrees[0]
        self.units = [_by_degree(m, len(masks.order)) for m in masks.degrees[1:]]

    def logit(self, i: int) -> Any:
        return self.inputs[-1][:, i]

    def put(self, i: int, value: Any) -> None:
        self.inputs[0] += value[:, None] * self.weights[0][i]
        for layer, units in enumerate(self.units):
            now = units[self.steps[i]]  # the units of which all inputs are known from now on
            h = relu(self.inputs[layer][:, now])
            self.inputs[layer + 1] += np.matmul(h, self.weights[layer + 1][now])
        if self.direct is not None:
            self.inputs[-1] += value[:, None] * self.direct[i]


def _by_degree(degrees: list[int], most: int) -> list[Any]:
    """For each degree 0 … ``most`` the numbers of the units that have it."""
    units: list[list[int]] = [[] for _ in range(most + 1)]
    for k, degree in enumerate(degrees):
        units[degree].append(k)
    return [backend.asarray(numbers, dtype=int) for numbers in units]
