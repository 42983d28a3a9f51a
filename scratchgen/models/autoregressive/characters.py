"""Character model: a recurrent network that predicts each character of a text from those before it.

A. Graves (2013), "Generating sequences with recurrent neural networks", §2 and §3. The layers are
LSTMs (S. Hochreiter and J. Schmidhuber 1997, :mod:`scratchgen.nn.lstm`) or GRUs (K. Cho et al.
2014, :mod:`scratchgen.nn.gru`).

The density of a text x_1, …, x_T is the product of the conditional distributions of its characters
(eq. 6), each categorical over the vocabulary:

    p(x) = Π_t p(x_t | x_1, …, x_{t−1})

What came before x_t is summed up in the state h of the layers, which reads one character a step:

    predicted     x_1     x_2     x_3
                   ↑       ↑       ↑
    state     h_0 → h_1 → h_2 → h_3 →
                   ↑       ↑       ↑
    read           ·      x_1     x_2

The first step reads "nothing yet" (·), a symbol with an embedding of its own. In training what is
read is the true text and not what was predicted, *teacher forcing* (R. Williams and D. Zipser 1989,
"A learning algorithm for continually running fully recurrent neural networks").

A text is longer than what can be kept for a backward pass. It is learnt in windows: the state is
carried from one to the next, so that the forward pass sees all that came before, but the gradient
ends at the window's edge, *truncated back-propagation through time* (R. Williams and J. Peng 1990,
"An efficient gradient-based algorithm for on-line training of recurrent network trajectories").

    x_1 … x_64   →   x_65 … x_128   →   x_129 …        → the state
        ←                  ←                ←          ← the gradient

Dropout acts between layers and not from step to step, or it would wipe out the memory
(W. Zaremba, I. Sutskever and O. Vinyals 2014, "Recurrent neural network regularization", §3.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import autograd.numpy as np
from autograd import constant, no_grad
from autograd.nn import dropout
from scratchgen.config import require
from scratchgen.distributions import categorical
from scratchgen.nn import GRU, LSTM, Dense, Embedding, Module
from scratchgen.nn.initialisers import glorot_normal

Cell = LSTM | GRU
CELLS: dict[str, type[Cell]] = {"lstm": LSTM, "gru": GRU}

# -------------------------------------------------------------------------------- configuration


@dataclass(frozen=True)
class CharacterConfig:
    """The defaults train well on Python's standard library within minutes."""

    characters: int = 100
    """Of the vocabulary; a text is codes 0 … characters − 1."""
    cell: str = "lstm"
    """lstm or gru."""
    layers: int = 2
    """Of such cells, each reading the states of the one below it."""
    width: int = 256
    """Numbers in the state h of a layer."""
    embedding: int = 64
    """Numbers that a character is read as."""
    dropout: float = 0.0
    """Rate of what each layer reads that is dropped in training."""
    window: int = 64
    """Characters that a gradient goes back through."""

    def __post_init__(self) -> None:
        require(self, self.characters >= 2, "characters", "at least 2")
        require(self, self.cell in CELLS, "cell", " or ".join(CELLS))
        for name in ("layers", "width", "embedding", "window"):
            require(self, getattr(self, name) >= 1, name, "at least 1")
        require(self, 0 <= self.dropout < 1, "dropout", "from 0 to below 1")


# ---------------------------------------------------------------------------------------- model


class CharacterModel(Module):
    """p(x) for texts x (N, T) of integer codes.

    The state is a flat list of arrays (N, width): of each layer in turn h and, of an LSTM, c.
    """

    def __init__(self, config: CharacterConfig, rng: Any) -> None:
        self.config = config
        inputs = [config.embedding] + [config.width] * (config.layers - 1)
        self.embedding = Embedding(config.characters + 1, config.embedding, rng)
        self.layers = [CELLS[config.cell](size, config.width, rng) for size in inputs]
        self.output = Dense(config.width, config.characters, rng, glorot_normal)

    @property
    def nothing(self) -> int:
        """The code that is read before the first character of a text."""
        return self.config.characters

    def start(self, n: int) -> list[Any]:
        """The state of ``n`` texts before any character."""
        return [x for layer in self.layers for x in layer.start(n)]

    def read(self, previous: Any, state: list[Any], rng: Any = None) -> tuple[Any, list[Any]]:
        """Logits (N, T, characters) of each next character, and the state after all.

        ``previous`` (N, T): the character before each predicted one, at least one. ``rng``: a
        generator for dropout; None (as in evaluation) for no dropout.
        """
        parts = len(state) // len(self.layers)
        after: list[Any] = []
        h = self.embedding(previous)  # (N, T, embedding)
        for i, layer in enumerate(self.layers):
            before = tuple(state[i * parts : (i + 1) * parts])
            h, new = _through(layer, self._dropped(h, rng), before)  # (N, T, width)
            after += new
        return self.output(self._dropped(h, rng)), after

    def _dropped(self, h: Any, rng: Any) -> Any:
        return h if rng is None else dropout(h, self.config.dropout, rng)

    def _windows(self, previous: Any, state: list[Any], rng: Any = None) -> Iterator[tuple]:
        """Read a text of any length: for each window its first place, logits and state after."""
        for first in range(0, previous.shape[1], self.config.window):
            window = previous[:, first : first + self.config.window]
            logits, state = self.read(window, state, rng)
            yield first, logits, state

    # ------------------------------------------------------------------------------- likelihood

    def loss(self, batch: Any, rng: Any, step: Any = None) -> tuple[Any, dict[str, Any]]:
        """−ln p of a window of each of N texts, in nats per character, and what to report about it.

        ``batch``: the characters ``previous`` (N, T) to those predicted, these, ``targets`` (N, T),
        and the state before. Reported are the nats and the state after, from which the next window
        goes on; no gradient goes back through it.
        """
        previous, targets, state = batch
        logits, state = self.read(previous, state, rng)
        nats = -np.mean(categorical.log_prob(logits, targets))
        return nats, {"nats": constant(nats), "state": [constant(x) for x in state]}

    def log_prob(self, x: Any, context: Any = None, *, rng: Any = None) -> Any:
        """ln p(x) in nats per text, for whole texts x (N, T) of codes: (N,).

        ``context`` is None: the model has no classes. ``rng``: a generator for dropout, in
        training; None for the density itself. The gradient goes back to the first character.
        Raises ValueError for texts of another form.
        """
        if context is not None:
            raise ValueError("CharacterModel is not class-conditional: context must be None")
        if x.ndim != 2:
            raise ValueError(f"CharacterModel: texts {tuple(x.shape)}, expected (N, T)")
        nothing = np.full((len(x), 1), self.nothing)
        previous = np.concatenate([nothing, x], axis=1)[:, :-1]
        state = self.start(len(x))
        total = np.zeros(len(x), state[0].dtype)
        for first, logits, _ in self._windows(previous, state, rng):
            targets = x[:, first : first + self.config.window]
            total = total + np.sum(categorical.log_prob(logits, targets), axis=1)
        return total

    # --------------------------------------------------------------------------------- sampling

    def sample(
        self,
        n: int,
        rng: Any,
        length: int,
        method: str = "cached",
        prompt: Any = None,
        temperature: float = 1.0,
    ) -> Any:
        """``n`` texts (n, length) of codes, drawn character by character.

        ``method``: "cached" keeps the state and reads each new character once; "naive" reads the
        whole text again for each. With the same ``rng`` both give the same texts.

        ``prompt``: codes (P,), of any length, that the texts go on from; they are not returned.
        ``temperature`` divides the logits: below 1 samples are more likely ones, and less varied.
        """
        if method not in ("cached", "naive"):
            raise ValueError(f"sample: there are the methods 'cached' and 'naive', not {method!r}")
        if length < 0:
            raise ValueError(f"sample: length={length}: it must be at least 0")
        prompt = np.zeros(0, int) if prompt is None else prompt
        if prompt.ndim != 1:
            raise ValueError(f"sample: the prompt has shape {tuple(prompt.shape)}, expected (P,)")
        known = 1 + len(prompt)
        text = np.full((n, known + length), self.nothing)
        text[:, 1:known] = prompt
        with no_grad():
            read, state = 0, self.start(n)
            for place in range(known, known + length):
                if method == "naive":
                    read, state = 0, self.start(n)
                _, logits, state = _last(self._windows(text[:, read:place], state))
                read = place
                text[:, place] = categorical.sample(logits[:, -1], rng, temperature=temperature)
        return text[:, known:]


def _through(layer: Cell, x: Any, state: tuple) -> tuple[Any, tuple]:
    """All h (N, T, H) of a layer and the state after; one element as a step, which is faster."""
    if x.shape[1] == 1:
        state = layer.step(x[:, 0], state)
        return state[0][:, None], state
    return layer(x, state)


def _last(items: Iterator[Any]) -> Any:
    """The last one; those before it are not kept."""
    for item in items:  # noqa: B007
        pass
    return item
