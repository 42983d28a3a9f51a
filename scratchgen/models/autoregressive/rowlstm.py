"""Row LSTM: a PixelRNN that goes over an image row by row, all pixels of a row at once.

A. van den Oord, N. Kalchbrenner and K. Kavukcuoglu (2016), "Pixel Recurrent Neural Networks", §3.1.

The state of a pixel is computed from those of the three pixels above it, by a convolution, and from
its own features and those to its left (mask B). So in one layer the pixel ■ sees a triangle of the
pixels above it, one more on either side with each row, and one further to the left by mask B:

    ▪ ▪ ▪ ▪ ▪ ▪ ·
    · ▪ ▪ ▪ ▪ · ·
    · · ▪ ■ · · ·

Each further layer adds a column on the left and none on the right, so however many there are, the
network does not see all earlier pixels. In return it takes only as many steps as the image has
rows. The rest is in :mod:`.pixelrnn`.
"""

from __future__ import annotations

from typing import Any

from scratchgen.models.autoregressive.pixelrnn import (
    CachedStates,
    LineLSTM,
    PixelRNN,
    PixelRNNConfig,
    RecurrentLayer,
    States,
)


class RowLayer(RecurrentLayer):
    """A residual layer with one LSTM, from the first row to the last."""

    def __init__(self, config: PixelRNNConfig, rng: Any) -> None:
        self.lstm = LineLSTM(config, (1, 3), (1, 3), rng)
        super().__init__(config, rng)

    def states(self, x: Any) -> Any:
        return self.lstm.scan(self.lstm.input(x), axis=1)


class RowLSTM(PixelRNN):
    """p(x) for images x (N, height, width, colours) of integer levels."""

    layer = RowLayer

    def cached(self, n: int, context: Any) -> CachedStates:
        return _Cached(self, n, context)


class _Cached(CachedStates):
    """Images being generated: a step of each LSTM for each value."""

    def __init__(self, model: RowLSTM, n: int, context: Any) -> None:
        super().__init__(model, n, context)
        above = [(-1, -1), (-1, 0), (-1, 1)]
        self._states = {x: States(x.lstm, self.image, above, (-1, 0)) for x in model.layers}

    def states(self, layer: RowLayer, x: Any) -> Any:
        z = self.apply(layer.lstm.input, x)[:, 0, 0]
        return self._states[layer].step(z, *self.place)[:, None, None]
