"""NADE: hidden units that take in one value after the other, with weights shared by all steps.

H. Larochelle and I. Murray (2011), "The Neural Autoregressive Distribution Estimator".

Before each value of a binary vector x there is a layer of H hidden units that sees the values
before it, and all these layers use the same weights W:

    h_i = σ(c + Σ_{j<i} W_j x_j)
    p(x_i = 1 | x_<i) = σ(b_i + V_i · h_i)

Two layers in turn differ by one term, so that their inputs follow by a recursion, and the whole
vector costs O(HD) and not O(HD²):

    a_1 = c,   a_{i+1} = a_i + W_i x_i,   h_i = σ(a_i)

         x_1           x_2           x_3
          │ W_1         │ W_2         │ W_3
    c ─ a_1 ─ + ───── a_2 ─ + ───── a_3 ─ + ── …
         │             │             │
        h_1           h_2           h_3
         │ V_1         │ V_2         │ V_3
         l_1           l_2           l_3

Sampling goes along this recursion. For the likelihood all x are known, and the recursion need not
be taken step by step: the a_i are the running sums of c, W_1 x_1, W_2 x_2, …, without the last of
them. These are D additions likewise, in one operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd import Tensor, backend
from autograd.nn import dropout, sigmoid
from scratchgen.config import require
from scratchgen.models.autoregressive.binary import BinaryConfig, BinaryModel, steps_of
from scratchgen.nn.initialisers import glorot_normal


@dataclass(frozen=True)
class NADEConfig(BinaryConfig):
    """The defaults train well on the packaged digits, made binary."""

    hidden: int = 200
    """Hidden units; H in the paper."""
    dropout: float = 0.2
    """Rate of the hidden units that are dropped in training, each for a whole image."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.hidden >= 1, "hidden", "at least 1")
        require(self, 0 <= self.dropout < 1, "dropout", "from 0 to below 1")


class NADE(BinaryModel):
    """p(x) for images x (N, height, width, colours) of zeros and ones.

    Row t of the parameters ``inputs`` (W), ``outputs`` (V), (D, H), and ``bias`` (b), (D,), belongs
    to the value that is generated at step t.
    """

    def __init__(self, config: NADEConfig, rng: Any) -> None:
        super().__init__(config)
        shape = (config.dimensions, config.hidden)
        fans = {"fan_in": config.dimensions, "fan_out": config.hidden}
        self.inputs = Tensor(glorot_normal(rng, shape, **fans))
        self.hidden_bias = Tensor(np.zeros(config.hidden, "float32"))
        self.outputs = Tensor(glorot_normal(rng, shape, **fans))
        self.bias = Tensor(np.zeros(config.dimensions, "float32"))
        self.steps = [step - 1 for step in steps_of(self.order)]

    def logits(self, v: Any, rng: Any = None) -> Any:
        """All logits: (N, D) → (N, D). ``rng``: a generator for dropout, or None."""
        ordered = v[:, backend.asarray(self.order)]
        # c is what a value before all others adds, that is always 1; the last value is not seen
        seen = np.concatenate([np.ones((len(v), 1), v.dtype), ordered[:, :-1]], 1)
        rows = np.concatenate([self.hidden_bias[None], self.inputs[:-1]])
        a = np.cumsum(np.einsum("nd,dh->ndh", seen, rows), axis=1)
        h = sigmoid(a)  # (N, D, H)
        if rng is not None and self.config.dropout:
            kept = np.ones((len(v), 1, self.config.hidden), h.dtype)
            h = h * dropout(kept, self.config.dropout, rng)
        logits = np.einsum("ndh,dh->nd", h, self.outputs) + self.bias
        return logits[:, backend.asarray(self.steps)]

    def cached(self, n: int, context: Any = None) -> Any:
        return _Cached(self, n)


class _Cached:
    """Vectors being generated, by the recursion."""

    def __init__(self, model: NADE, n: int) -> None:
        self.model = model
        self.a = np.zeros((n, 1), model.bias.dtype) + model.hidden_bias.data  # (n, H)

    def logit(self, i: int) -> Any:
        step = self.model.steps[i]
        return np.matmul(sigmoid(self.a), self.model.outputs[step]) + self.model.bias[step]

    def put(self, i: int, value: Any) -> None:
        self.a += value[:, None] * self.model.inputs[self.model.steps[i]].data
