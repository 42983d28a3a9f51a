"""Text: read in parallel streams, whose state goes on from window to window; drawn as text."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy

from autograd import backend, no_grad
from scratchgen import metrics
from scratchgen.data import text
from scratchgen.data.loading import existing
from scratchgen.data.text import TextData
from scratchgen.errors import UsageError
from scratchgen.training.checkpoint import replacing
from scratchgen.training.media.medium import Medium, Request

if TYPE_CHECKING:
    from scratchgen.training.run import Run

PIECE = 2_000
"""Characters of a piece of text that is measured from nothing."""

QUICK = 64
"""As many such pieces at most are measured in training, and at a time."""


class Text(Medium):
    name = "text"
    unit = "character"
    bits = "bits per character"
    suffix = ".txt"
    takes = ("prompt", "length")

    def load(self, name: str, levels: int | None) -> TextData:
        return text.load() if name == "python" else text.load(existing(name, ("python",)))

    def fields(self, data: TextData) -> dict[str, int]:
        return {"characters": len(data.vocabulary)}

    def check(self, config: Any, data: TextData) -> None:
        if config.characters != len(data.vocabulary):
            raise UsageError(
                f"characters={config.characters}: {data.name} has {len(data.vocabulary)}"
            )

    def description(self, data: TextData) -> dict[str, Any]:
        return {"vocabulary": data.vocabulary}

    def feed(self, model: Any, data: TextData, batch_size: int) -> Streams:
        if len(data.train) < batch_size:
            raise UsageError(
                f"batch_size={batch_size}: there are {len(data.train)} characters to train on"
            )
        return Streams(model, data.train, batch_size)

    def nats(
        self,
        model: Any,
        data: TextData,
        part: str,
        quick: bool = False,
        samples: int | None = None,
    ) -> tuple[numpy.ndarray, int]:
        """Of pieces of 2,000 characters, each read from nothing, without what is left over.

        A shorter text is one piece.
        """
        codes = data.part(part)
        length = min(PIECE, len(codes))
        pieces = codes[: len(codes) // length * length].reshape(-1, length)
        if quick and len(pieces) > QUICK:
            pieces = pieces[:: -(-len(pieces) // QUICK)]
        found = []
        with no_grad():
            for first in range(0, len(pieces), QUICK):
                nats = -model.log_prob(backend.asarray(pieces[first : first + QUICK]))
                found.append(backend.to_numpy(nats).astype("float64") / length)
        return numpy.concatenate(found), pieces.size

    def references(self, data: TextData) -> dict[str, float]:
        levels = len(data.vocabulary)
        return {
            "independent characters": metrics.marginal_nats(data.train, data.test, levels),
            "uniform": math.log(levels),
        }

    def draw(self, path: Path, run: Run, request: Request) -> None:
        """Texts, each with the prompt before it; a line between two."""
        vocabulary = run.description["medium"]["vocabulary"]
        length = request.length or 1_000
        if length != int(length):
            raise UsageError(f"--length {length}: a text has a whole number of characters")
        prompt = text.encode(request.prompt or "", vocabulary)
        codes = run.model().sample(
            request.n or 1,
            backend.default_rng(request.seed),
            int(length),
            prompt=backend.asarray(prompt),
            temperature=request.temperature,
        )
        drawn = [text.decode(row, vocabulary) for row in backend.to_numpy(codes)]
        between = "\n" + "-" * 80 + "\n"
        with replacing(path) as temporary:
            written = between.join((request.prompt or "") + sample for sample in drawn)
            temporary.write_text(written + "\n", encoding="utf-8")


TEXT = Text()


class Streams:
    """A text cut into as many equal streams as a batch has rows, read side by side.

    Each batch is the next window of every stream, with the state that the model was left in by the
    window before. At the beginning of the streams it is that before any character.
    """

    def __init__(self, model: Any, codes: numpy.ndarray, count: int) -> None:
        self.model, self.window = model, model.config.window
        length = len(codes) // count
        targets = codes[: count * length].reshape(count, length)
        previous = numpy.roll(targets, 1, axis=1)
        previous[:, 0] = model.nothing
        self.targets, self.previous = backend.asarray(targets), backend.asarray(previous)
        self.batches = math.ceil(length / self.window)
        self._carried: list[Any] = model.start(count)

    def after(self, step: int, rng: Callable[[int], Any]) -> Iterator[tuple[Any, int]]:
        while True:
            first = step % self.batches * self.window
            if first == 0:
                self._carried = self.model.start(len(self.targets))
            window = slice(first, first + self.window)
            targets = self.targets[:, window]
            yield (self.previous[:, window], targets, self._carried), targets.size
            step += 1

    def keep(self, metrics: Mapping[str, Any]) -> None:
        self._carried = metrics["state"]

    def state(self) -> dict[str, Any]:
        arrays = (getattr(x, "data", x) for x in self._carried)
        return {str(i): backend.to_numpy(x).copy() for i, x in enumerate(arrays)}

    def load_state(self, arrays: Mapping[str, Any]) -> None:
        self._carried = [backend.asarray(arrays[str(i)]) for i in range(len(arrays))]
