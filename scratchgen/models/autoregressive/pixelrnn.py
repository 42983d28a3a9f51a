"""PixelRNN: a recurrent network over the rows or diagonals of an image predicts each pixel.

A. van den Oord, N. Kalchbrenner and K. Kavukcuoglu (2016), "Pixel Recurrent Neural Networks".

The density is that of the PixelCNN (:mod:`.pixelcnn`): p(x) = Π_i p(x_i | x_<i), in raster order
and for each pixel in the order of its colours. The network (table 1) is a masked convolution of the
image, residual layers of an LSTM each, and two layers on the features of a pixel. Its LSTM goes
over an image line by line, the state (h, c) of a line being computed at once (eq. 3):

    i, f, o = σ(K_ss ∗ h_{t−1} + K_is ∗ x_t)      g = tanh(…)      each with its own kernels
    c_t = f ⊙ c_{t−1} + i ⊙ g,   h_t = o ⊙ tanh(c_t)

The lines are rows in the Row LSTM (:mod:`.rowlstm`) and diagonals in the Diagonal BiLSTM
(:mod:`.diagonalbilstm`). The input-to-state part K_is ∗ x is masked, as a pixel's own line holds
later pixels too, and is computed for the whole image at once. The state-to-state part K_ss ∗ h is
not masked, even if a pixel has several colours: all of the line before is known.

A layer's residual connection (figure 5, right) goes around the LSTM, of half as many features:

    ┌──────────────────────────────────┐
    x ── K_is ── LSTM ── 1 × 1 conv ── + ──
    2h     4h     h          2h
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd import Tensor
from autograd.nn import conv, dropout, relu, sigmoid
from scratchgen.config import require
from scratchgen.models.autoregressive.images import AutoregressiveModel, CachedGeneration
from scratchgen.models.images import ImageConfig, logits_of
from scratchgen.nn import MaskedConv, Module
from scratchgen.nn.initialisers import glorot_normal, lecun_normal, zeros

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class PixelRNNConfig(ImageConfig):
    """Of both kinds. The defaults train well on the packaged digits.

    The Diagonal BiLSTM does so with one layer, which sees all earlier pixels.
    """

    hidden: int = 48
    """Features of a pixel in the state of an LSTM, h in the paper; 2h between the layers."""
    layers: int = 2
    """Residual layers, each of an LSTM, or of one from either side."""
    first_size: int = 5
    """Side of the first layer's kernel, which has mask A."""
    dropout: float = 0.4
    """Rate of the features of each layer's LSTM that are dropped in training."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self, self.layers >= 1, "layers", "at least 1")
        multiple = self.hidden >= 1 and self.hidden % self.colours == 0
        require(self, multiple, "hidden", f"a multiple of colours={self.colours}")
        odd = self.first_size >= 3 and self.first_size % 2 == 1
        require(self, odd, "first_size", "odd, from 3 up")
        require(self, 0 <= self.dropout < 1, "dropout", "from 0 to below 1")


# --------------------------------------------------------------------------------------- layers


class LineLSTM(Module):
    """An LSTM whose state is that of a line of pixels, each with h features.

    ``input_size`` and ``state_size`` are those (height, width) of the kernels. The state-to-state
    kernel reaches the pixels of the line before: as many on both sides, (1, 3), or upwards, (2, 1).
    The bias of the forget gate starts at 1 (see :class:`scratchgen.nn.LSTM`).
    """

    def __init__(
        self, config: PixelRNNConfig, input_size: Any, state_size: tuple[int, int], rng: Any
    ) -> None:
        hidden, colours = config.hidden, config.colours
        self.colour_size = hidden // colours
        self.input = MaskedConv(
            2 * hidden, 4 * hidden, input_size, "B", rng, lecun_normal, colours=colours
        )
        gates = np.zeros((colours, 4, self.colour_size), "float32")
        gates[:, 1] = 1
        self.input.bias[...] = gates.reshape(-1)
        height, width = state_size
        fan_in = height * width * hidden
        shape = (height, width, hidden, 4 * hidden)
        self.weight = Tensor(lecun_normal(rng, shape, fan_in=fan_in, fan_out=hidden))
        self.padding = ((height - 1, 0), (width // 2, width // 2))

    def scan(self, z: Any, axis: int) -> Any:
        """All h, from the input-to-state part z (N, H, W, 4h), whose lines follow along ``axis``.

        One line after another; before the first of them the state is zero.
        """
        lines = np.split(z, z.shape[axis], axis)
        shape = (*lines[0].shape[:-1], z.shape[-1] // 4)
        h, c, hs = np.zeros(shape, z.dtype), np.zeros(shape, z.dtype), []
        for line in lines:
            h, c = self.cell(line + conv(h, self.weight, padding=self.padding), c)
            hs.append(h)
        return np.concatenate(hs, axis)

    def cell(self, z: Any, c: Any) -> tuple[Any, Any]:
        """(h, c) from what enters the gates, i, f, g, o of each colour in turn, and the c before.

        (…, 4h) and (…, h) → (…, h) twice; of all colours, or of one.
        """
        gates = z.reshape(*z.shape[:-1], -1, 4, self.colour_size)
        i, f, g, o = (gate.reshape(c.shape) for gate in np.split(gates, 4, -2))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        return sigmoid(o) * np.tanh(c), c


class RecurrentLayer(Module):
    """x + f(x), where f is one LSTM or several and a 1 × 1 convolution of their h, ``expand``.

    The convolution starts at zero, so that a new layer is the identity (see :mod:`.pixelcnn`).
    """

    def __init__(self, config: PixelRNNConfig, rng: Any) -> None:
        hidden = config.hidden
        self.expand = MaskedConv(hidden, 2 * hidden, 1, "B", rng, zeros, colours=config.colours)

    def states(self, x: Any) -> Any:
        """The h of a whole image: (N, H, W, 2h) → (N, H, W, h)."""
        raise NotImplementedError


# ---------------------------------------------------------------------------------------- model


class PixelRNN(AutoregressiveModel):
    """p(x) for images x (N, height, width, colours) of integer levels.

    A kind of PixelRNN adds ``layer`` and ``cached``.
    """

    layer: Any
    """The class of its layers, a kind of :class:`RecurrentLayer`."""

    def __init__(self, config: PixelRNNConfig, rng: Any) -> None:
        self.config = config
        features, colours = 2 * config.hidden, config.colours
        out = colours * logits_of(config.levels)
        self.first = MaskedConv(3 * colours, features, config.first_size, "A", rng, colours=colours)
        self.layers = [self.layer(config, rng) for _ in range(config.layers)]
        self.hidden = MaskedConv(features, features, 1, "B", rng, colours=colours)
        self.output = MaskedConv(features, out, 1, "B", rng, glorot_normal, colours=colours)

    def network(self, embedded: Any, rng: Any = None, context: Any = None) -> Any:
        """Logits (N, H, W, colours, levels) of every value given those before it.

        ``embedded``: the image, ``embed(x)``. ``rng``: a generator for dropout; None (as in
        evaluation) for no dropout. ``context`` is None: the model has no classes.
        """
        y = self.forward(embedded, lambda layer, x: layer(x), lambda layer, x: layer.states(x), rng)
        return y.reshape(*y.shape[:-1], self.config.colours, -1)

    def forward(
        self,
        x: Any,
        apply: Callable[[MaskedConv, Any], Any],
        states: Callable[[Any, Any], Any],
        rng: Any = None,
    ) -> Any:
        """All layers: (N, H, W, 3 · colours) → (N, H, W, colours · levels).

        ``apply`` and ``states`` say how a convolution and the LSTM of a layer are applied: to a
        whole image, or to one value in sampling.
        """
        x = apply(self.first, x)
        for layer in self.layers:
            h = states(layer, x)
            if rng is not None:
                h = dropout(h, self.config.dropout, rng)
            x = x + apply(layer.expand, h)
        return apply(self.output, relu(apply(self.hidden, relu(x))))


# ------------------------------------------------------------------------------------- sampling


class CachedStates(CachedGeneration):
    """Images being generated, with the states of all earlier pixels kept."""

    def logits(self, row: int, column: int, colour: int) -> Any:
        self.place = row, column, colour
        return self.model.forward(self.embedded, self.apply, self.states)[:, 0, 0]

    def states(self, layer: Any, x: Any) -> Any:
        """The h of the value at ``place``, from x (n, 1, 1, C): (n, 1, 1, h / colours)."""
        raise NotImplementedError


class States:
    """The h and c of an LSTM at the pixels of images: zero until computed, and around the image.

    ``taps``: where the state-to-state kernel of ``lstm`` finds the h before, as (rows, columns)
    from the pixel. ``memory``: likewise, the one place of the c before.
    """

    def __init__(
        self, lstm: LineLSTM, image: Any, taps: list[tuple[int, int]], memory: tuple[int, int]
    ) -> None:
        n, height, width, _ = image.shape
        shape = (n, height + 1, width + 2, lstm.weight.shape[2])
        self.h, self.c = (np.zeros(shape, lstm.weight.dtype) for _ in range(2))
        self.lstm, self.taps, self.memory = lstm, taps, memory

    def step(self, z: Any, row: int, column: int, colour: int | None = None) -> Any:
        """Compute and keep the state of a pixel, for one colour or all. Returns its h.

        ``z``, the input-to-state part: (n, 4h) → (n, h); of one colour (n, 4h / colours) and so on.
        """
        weight = self.lstm.weight
        weight = weight.reshape(-1, weight.shape[-1])  # (taps · h, 4h)
        group = self._group(colour)
        if colour is not None:
            weight = weight[:, 4 * group.start : 4 * group.stop]
        row, column = row + 1, column + 1  # there are zeros around the image
        before = np.concatenate([self.h[:, row + i, column + j] for i, j in self.taps], -1)
        i, j = self.memory
        c = self.c[:, row + i, column + j, group]
        h, c = self.lstm.cell(z + np.matmul(before, weight), c)
        self.h[:, row, column, group], self.c[:, row, column, group] = h, c
        return h

    def at(self, row: int, column: int, colour: int) -> Any:
        """The h of one colour at a pixel: (n, h / colours); row −1 is above the image."""
        return self.h[:, row + 1, column + 1, self._group(colour)]

    def _group(self, colour: int | None) -> slice:
        """The features of a colour, or all."""
        size = self.lstm.colour_size
        return slice(None) if colour is None else slice(colour * size, (colour + 1) * size)
