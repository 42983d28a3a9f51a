"""WaveNet: dilated causal convolutions predict each sample of a sound from those before it.

A. van den Oord, S. Dieleman, H. Zen, K. Simonyan, O. Vinyals, A. Graves, N. Kalchbrenner, A. Senior
and K. Kavukcuoglu (2016), "WaveNet: a generative model for raw audio".

A sound is a sequence of samples, each a µ-law code from 0 to 255 (:mod:`scratchgen.data.wav`; §2.2
of the paper). The density of a sequence is the product of categorical distributions (eq. 1):

    p(x) = Π_t p(x_t | x_1, …, x_{t−1})

*Dilation* (§2.1). A causal convolution with kernel 2 sees two positions, d apart. If each layer's d
is twice that of the one below, few layers see far. The input is shifted by one, so that below x_t
stands the sample before it. What each layer reads for p(x_t):

    p(x_t)      ·  ·  ·  ·  ·  ·  ·  ■
    d = 4       ·  ·  ·  ▪  ·  ·  ·  ▪
    d = 2       ·  ▪  ·  ▪  ·  ▪  ·  ▪
    d = 1       ▪  ▪  ▪  ▪  ▪  ▪  ▪  ▪
               x_{t−8}     …       x_{t−1}

*Layers* (§2.3, eq. 2, and §2.4). Each has a gated unit, a residual connection to the next layer,
and a skip connection to the output. *Conditions* h (§2.5) are a label's one-hot vector, the same at
all positions (global), or features that change along the sequence, upsampled to its positions
(local):

    z = tanh(W_f ∗ x + V_f h) ⊙ σ(W_g ∗ x + V_g h)        x ← x + R z        s ← s + S z
    logits = W'' relu(W' relu(s))

*Generation*. To run the network for each new sample costs as much as the receptive field is long.
But all that a layer needs of the past are its own inputs, which were known d positions ago: with a
queue of them (:mod:`scratchgen.nn.causal`), a sample costs one position of each layer (T. L. Paine
et al. 2016, "Fast WaveNet generation algorithm").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import autograd.numpy as np
from autograd import Tensor, constant, no_grad
from autograd.nn import conv_transpose, gated, joined_matmul, relu
from scratchgen.config import require
from scratchgen.distributions import categorical
from scratchgen.nn import CausalConv, Dense, Embedding, Module
from scratchgen.nn.initialisers import glorot_normal, zeros

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class WaveNetConfig:
    """Two stacks with dilations 1, 2, …, 512: each sample is predicted from 2047 before it."""

    levels: int = 256
    """Codes of a sample, 0 … levels − 1."""
    stacks: int = 2
    """Times that the dilations grow from 1 to their largest."""
    layers: int = 10
    """Of a stack; their dilations are 1, 2, 4, …, 2^(layers − 1)."""
    kernel: int = 2
    """Positions that a convolution sees."""
    residual: int = 32
    """Features of a position between layers."""
    skip: int = 64
    """Features that the outputs of all layers are summed up to."""
    classes: int = 0
    """Labels (speakers) that a sequence is conditioned on; 0 for none."""
    features: int = 0
    """Numbers in a frame of the local conditioning; 0 for none."""
    hop: int = 80
    """Samples that a frame of features stands for."""
    window: int = 4000
    """Samples of a training example."""

    def __post_init__(self) -> None:
        for name in ("levels", "kernel"):
            require(self, getattr(self, name) >= 2, name, "at least 2")
        for name in ("stacks", "layers", "residual", "skip", "hop", "window"):
            require(self, getattr(self, name) >= 1, name, "at least 1")
        for name in ("classes", "features"):
            require(self, getattr(self, name) >= 0, name, "at least 1, or 0 for none")

    @property
    def dilations(self) -> list[int]:
        """Of all layers, from the first to the last."""
        return [2**i for i in range(self.layers)] * self.stacks

    @property
    def receptive_field(self) -> int:
        """r = 1 + Σ (k − 1) d: of all samples, p(x_t | …) depends on x_{t−r}, …, x_{t−1}."""
        return 1 + sum((self.kernel - 1) * d for d in self.dilations)


class Conditions(NamedTuple):
    """What the sequences are conditioned on; what the model has no use for must be None."""

    labels: Any = None
    """Integers (N,)."""
    features: Any = None
    """(N, frames, features); frame i stands for the samples i · hop to (i + 1) · hop − 1."""


# --------------------------------------------------------------------------------------- layers


class GatedLayer(Module):
    """A dilated convolution, its gated unit, and the way to the next layer, unless it is the last.

    The skip connection is the model's own: see :meth:`WaveNet.logits`. The residual one has no
    bias, as the layers that it leads to have theirs.
    """

    def __init__(self, config: WaveNetConfig, dilation: int, last: bool, rng: Any) -> None:
        c = config.residual
        self.conv = CausalConv(c, 2 * c, config.kernel, dilation, rng, glorot_normal)
        self.residual = None if last else Tensor(glorot_normal(rng, (c, c), fan_in=c, fan_out=c))
        if config.classes:
            self.labels = Embedding(config.classes, 2 * c, rng, zeros)
        if f := config.features:
            self.features = Tensor(glorot_normal(rng, (f, 2 * c), fan_in=f, fan_out=2 * c))

    def __call__(self, x: Any, labels: Any, features: Any) -> tuple[Any, Any]:
        """z and the next layer's x, both (N, T, C), for labels (N,) and features (N, T, F)."""
        y = self.conv(x)  # (N, T, 2C): the filter and the gate by one product
        if labels is not None:
            y = y + self.labels(labels)[:, None]
        if features is not None:
            y = y + np.matmul(features, self.features)
        z = gated(y)
        return z, x if self.residual is None else x + np.matmul(z, self.residual)


class WaveNet(Module):
    """p(x), or p(x | conditions), for sequences x (N, T) of codes."""

    def __init__(self, config: WaveNetConfig, rng: Any) -> None:
        self.config = config
        dilations = config.dilations
        # The first layer is a table: a convolution of one-hot vectors adds up the rows of its
        # weights where the ones are, and to look them up takes a levels-th of the time.
        self.first = Embedding(config.levels, config.residual, rng)
        self.layers = [
            GatedLayer(config, dilation, i == len(dilations), rng)
            for i, dilation in enumerate(dilations, 1)
        ]
        if f := config.features:  # at first, a frame is repeated hop times
            self.upsample = Tensor(np.ones((config.hop, 1, 1), "float32") * np.eye(f, dtype="f4"))
        self.skip = Dense(len(dilations) * config.residual, config.skip, rng)
        self.hidden = Dense(config.skip, config.skip, rng)
        self.output = Dense(config.skip, config.levels, rng, glorot_normal)

    def network(self, embedded: Any, labels: Any = None, features: Any = None) -> Any:
        """Logits (N, T, levels) of every sample given those before it.

        ``embedded``: ``embed(x)``. ``labels``: (N,). ``features``: (N, T, F), upsampled.
        """
        _, outputs = self.run_layers(embedded, labels, features)
        return self.logits(outputs)

    def embed(self, x: Any) -> Any:
        """What stands below each sample, that before it: (N, T) → (N, T, C). The first has zeros.

        Zeros are also what the convolutions see before them, so a sequence begins out of nothing.
        """
        nothing = np.zeros((len(x), 1, self.config.residual), self.first.weight.dtype)
        return np.concatenate([nothing, self.first(x[:, :-1])], axis=1)

    def run_layers(self, x: Any, labels: Any, features: Any) -> tuple[list[Any], list[Any]]:
        """The inputs x and the gated outputs z of all layers, (N, T, C) each."""
        inputs, outputs = [], []
        for layer in self.layers:
            inputs.append(x)
            z, x = layer(x, labels, features)
            outputs.append(z)
        return inputs, outputs

    def logits(self, outputs: list[Any]) -> Any:
        """Logits (…, levels) from the gated outputs z of all layers, (…, C) each.

        The skip connections add up Σ_l z_l S_l. This is one product, of (z_1, z_2, …) and S_1, S_2
        … stacked as ``skip``, while a sum would be read and written anew for each layer.
        """
        return self.head(joined_matmul(outputs, self.skip.weight) + self.skip.bias)

    def head(self, s: Any) -> Any:
        """Logits (…, levels) from the sum of the skip connections, (…, skip)."""
        return self.output(relu(self.hidden(relu(s))))

    # ------------------------------------------------------------------------------- likelihood

    def log_prob(self, x: Any, context: Conditions | None = None, *, rng: Any = None) -> Any:
        """ln p(x) in nats per sequence: x (N, T) of codes 0 … levels − 1 → (N,).

        The sequence is a whole one: before it there was nothing. ``rng`` is not used: there is no
        dropout. Raises ValueError for inputs and conditions that do not fit the model.
        """
        if x.ndim != 2 or x.shape[1] == 0:
            raise ValueError(f"WaveNet: codes {tuple(x.shape)}, expected (N, T) with T at least 1")
        labels, features = self.conditions(context, *x.shape)
        logits = self.network(self.embed(x), labels, features)
        return np.sum(categorical.log_prob(logits, x), axis=1)

    def loss(self, batch: Any, rng: Any, step: Any = None) -> tuple[Any, dict[str, Any]]:
        """−ln p of a batch of sequences, in nats per sample, and what to report about it.

        The batch is a pair (codes, :class:`Conditions` or None), or the codes alone.
        """
        x, context = batch if isinstance(batch, tuple) else (batch, None)
        nats = -np.mean(self.log_prob(x, context, rng=rng)) / x.shape[1]
        return nats, {"nats": constant(nats)}

    def conditions(self, context: Conditions | None, n: int, length: int) -> tuple[Any, Any]:
        """The labels (n,) and the features at all samples (n, length, features), or None for each.

        Raises ValueError if one is missing, too much, or of another shape.
        """
        context = context or Conditions()
        labels, features = context.labels, context.features
        _check_given("labels", labels, self.config.classes, f"0 … {self.config.classes - 1}")
        _check_given("features", features, self.config.features, "(N, frames, features)")
        if labels is not None and labels.shape != (n,):
            raise ValueError(f"WaveNet: labels {tuple(labels.shape)}, expected ({n},)")
        if features is not None:
            features = self._upsampled(features, n, length)
        return labels, features

    def _upsampled(self, features: Any, n: int, length: int) -> Any:
        """A transposed convolution (§2.5): (n, frames, features) → (n, length, features)."""
        count, hop = self.config.features, self.config.hop
        frames = math.ceil(length / hop)
        shape = tuple(features.shape)
        if len(shape) != 3 or shape[0] != n or shape[1] < frames or shape[2] != count:
            raise ValueError(
                f"WaveNet: features {shape}, expected ({n}, frames, {count}) with at least "
                f"{frames} frames: {length} samples, {hop} to a frame"
            )
        features = features.astype(self.upsample.dtype)
        return conv_transpose(features[:, :frames], self.upsample, stride=hop)[:, :length]

    # --------------------------------------------------------------------------------- sampling

    def sample(
        self,
        n: int,
        rng: Any,
        length: int,
        method: str = "cached",
        given: Any = None,
        temperature: float = 1.0,
        context: Conditions | None = None,
    ) -> Any:
        """``n`` sequences (n, length) of codes, drawn one by one from their distributions.

        ``method``: "cached" keeps what the layers will need again, and computes for a new sample
        only one position of each; "naive" runs the network on the receptive field of each sample.
        With the same ``rng`` both give the same codes.

        ``given``: codes (n, P), or (P,) for all, that the sequences go on from; they are not in
        the result. Features must cover them too.
        ``temperature`` divides the logits: below 1 samples are more likely ones, and less varied.
        """
        if method not in ("cached", "naive"):
            raise ValueError(f"sample: there are the methods 'cached' and 'naive', not {method!r}")
        if length < 0:
            raise ValueError(f"sample: length={length}: it must be at least 0")
        given = np.zeros(0, int) if given is None else given
        if given.ndim not in (1, 2) or given.shape[:-1] not in ((), (n,)):
            raise ValueError(f"sample: given {tuple(given.shape)}, expected ({n}, P) or (P,)")
        given = np.broadcast_to(given, (n, given.shape[-1]))
        if length == 0:
            return np.zeros((n, 0), int)
        start, stop = given.shape[1], given.shape[1] + length
        with no_grad():
            conditions = self.conditions(context, n, stop)
            way = CachedGeneration if method == "cached" else Generation
            state = way(self, given, length, *conditions)
            for t in range(start, stop):
                state.put(t, categorical.sample(state.logits(t), rng, temperature=temperature))
        return state.codes[:, start:]


def _check_given(name: str, value: Any, wanted: int, expected: str) -> None:
    """Raise ValueError unless there is a value where one is wanted, and only there."""
    if wanted and value is None:
        raise ValueError(f"WaveNet: the model is conditioned on {name}: pass {name}, {expected}")
    if not wanted and value is not None:
        raise ValueError(f"WaveNet: the model is not conditioned on {name}: they must be None")


# ------------------------------------------------------------------------------------- sampling


class Generation:
    """Sequences being generated: here the naive way, each sample from its receptive field."""

    def __init__(self, model: WaveNet, given: Any, length: int, labels: Any, features: Any) -> None:
        self.model, self.labels, self.features = model, labels, features
        new = np.zeros((len(given), length), int)
        self.codes = np.concatenate([given.astype(int), new], axis=1)
        self.embedded = model.embed(self.codes)

    def logits(self, t: int) -> Any:
        """Logits (n, levels) of sample t given those before it."""
        _, outputs = self.run_layers(t + 1)
        return self.model.logits([z[:, -1] for z in outputs])

    def run_layers(self, stop: int) -> tuple[list[Any], list[Any]]:
        """:meth:`WaveNet.run_layers` on the receptive field that ends before ``stop``."""
        field = slice(max(0, stop - self.model.config.receptive_field), stop)
        features = None if self.features is None else self.features[:, field]
        return self.model.run_layers(self.embedded[:, field], self.labels, features)

    def put(self, t: int, codes: Any) -> None:
        """Set sample t to codes (n,)."""
        self.codes[:, t] = codes
        if t + 1 < self.codes.shape[1]:
            self.embedded[:, t + 1] = self.model.first(codes)


class CachedGeneration(Generation):
    """The same with a queue of the inputs of each layer.

    A sample takes a few operations on small arrays for each layer, and calling them is most of its
    time. To have fewer of them, the sum of all that is added to W ∗ x is made ready for all layers
    at once, and both halves of the gated unit are one tanh, as 2 σ(g) = 1 + tanh(g / 2): what makes
    g is halved beforehand, and so is what reads z.
    """

    def __init__(self, model: WaveNet, given: Any, length: int, labels: Any, features: Any) -> None:
        super().__init__(model, given, length, labels, features)
        start, c = given.shape[1], model.config.residual
        inputs = self.run_layers(start)[0] if start else [self.embedded[:, :0]] * len(model.layers)
        half = np.where(np.arange(2 * c) < c, 1.0, 0.5).astype(self.embedded.dtype)
        self.layers, shifts = [], []
        for layer, x in zip(model.layers, inputs, strict=True):
            residual = None if layer.residual is None else layer.residual.data / 2
            self.layers.append((layer.conv.start(x), layer.conv.matrix * half, residual))
            shift = layer.conv.bias.data[None]
            shifts.append(half * (shift if labels is None else shift + layer.labels(labels)))
        self.shifts = np.stack(shifts)  # (layers, n or 1, 2C)
        if features is not None:
            self.weights = np.stack([layer.features.data * half for layer in model.layers])

    def logits(self, t: int) -> Any:
        x, c = self.embedded[:, t], self.embedded.shape[2]
        shifts = self.shifts
        if self.features is not None:
            shifts = shifts + np.matmul(self.features[:, t], self.weights)
        outputs = []
        for i, (queue, matrix, residual) in enumerate(self.layers):
            y = np.tanh(queue.read(x) @ matrix + shifts[i])
            z = y[:, :c] * (1 + y[:, c:])  # twice that of the paper
            outputs.append(z)
            if residual is not None:
                x = x + z @ residual
        return self.model.head(self.model.skip(np.concatenate(outputs, axis=-1) / 2))
