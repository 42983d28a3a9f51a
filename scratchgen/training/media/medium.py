"""What a kind of data has to say so that models of it can be trained, measured and drawn from.

The trainer, the commands and the report know no images, no text and no sound: they ask the medium
of the model (:class:`scratchgen.training.presets.Preset`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy

from scratchgen.errors import UsageError, unknown
from scratchgen.training.media.judging import Judgement, is_judged

if TYPE_CHECKING:
    from scratchgen.training.run import Run


@dataclass(frozen=True)
class Request:
    """What to draw from a model; None for what suits the medium."""

    n: int | None = None
    temperature: float = 1.0
    seed: int = 0
    label: int | None = None
    """The class of all of them."""
    given: str | None = None
    """A part of the data, or other data, to go on from or to complete."""
    known: str | None = None
    """Which half of given images is known."""
    prompt: str | None = None
    """A text to go on from."""
    length: float | None = None
    """Characters of text, or seconds of sound."""
    show: str | None = None
    """Another picture of the model than samples of it: one of those that the medium ``shows``."""


@dataclass(frozen=True)
class Figure:
    """What a model's nats are, for those who read them."""

    kind: str = "likelihood"
    """likelihood: −ln p itself; bound: on average at least that; or reconstruction: no likelihood,
    for that of x given its own code."""
    importance_samples: int | None = None
    """From how many draws a bound is."""

    @property
    def sign(self) -> str:
        """What stands before the number."""
        return "≤ " if self.kind == "bound" else ""

    @property
    def remark(self) -> str:
        """What stands after it."""
        if self.kind == "bound":
            samples = "sample" if self.importance_samples == 1 else "samples"
            return f" (a bound, from {self.importance_samples} importance {samples})"
        return " (of reconstruction, no likelihood)" if self.kind == "reconstruction" else ""


class Feed(Protocol):
    """The batches of a training run, a function of the seed and the step."""

    batches: int
    """That go once through the training data."""

    def after(self, step: int, rng: Callable[[int], Any]) -> Iterator[tuple[Any, int]]:
        """Batches for ``model.loss``, each with the number of its units, from that step on.

        ``rng(k)`` is the k-th random generator. It does not end.
        """

    def keep(self, metrics: Mapping[str, Any]) -> None:
        """Take note of what the loss of the last batch reported."""

    def state(self) -> dict[str, Any]:
        """What is carried from one batch to the next: host arrays by name."""

    def load_state(self, arrays: Mapping[str, Any]) -> None:
        """Carry on from there."""


class Medium:
    """A kind of data. The methods take the data that ``load`` returns."""

    name: str
    """As in "a model of images"."""
    unit: str
    """What figures are per: "image", "character"."""
    bits: str
    """What they are in bits: "bits per dimension"."""
    suffix: str
    """Of the file that ``draw`` writes."""
    takes: tuple[str, ...]
    """The fields of a :class:`Request` that mean something, beside n, temperature and seed."""

    def load(self, name: str, levels: int | None) -> Any:
        """The data of that name or path, with ``levels`` levels or their own."""
        raise NotImplementedError

    def fields(self, data: Any) -> dict[str, Any]:
        """The fields of a model's configuration that its data decide."""
        raise NotImplementedError

    def check(self, config: Any, data: Any) -> None:
        """Raise UsageError unless a model of this configuration is one of such data."""
        raise NotImplementedError

    def description(self, data: Any) -> dict[str, Any]:
        """What a run folder must remember of the data, to draw without them. For JSON."""
        return {}

    def dimensions(self, data: Any) -> int:
        """By how many numbers the nats of a unit are divided for ``bits``."""
        return 1

    def ready(self, model: Any, data: Any, folder: Path) -> Medium:
        """This medium with what it takes to measure such a model, kept in the folder of the run.

        Raises RunError if what is there cannot be used.
        """
        return self

    def feed(self, model: Any, data: Any, batch_size: int) -> Feed:
        """The batches to train ``model`` on."""
        raise NotImplementedError

    def figure(self, model: Any, samples: int | None = None) -> Figure:
        """What :meth:`nats` are of this model; ``samples``: for a bound, instead of its own number.

        Raises UsageError for a number of samples where nothing is drawn.
        """
        if samples is not None:
            raise UsageError(f"--importance-samples: nothing is drawn to measure {self.name}")
        return Figure()

    def nats(
        self, model: Any, data: Any, part: str, quick: bool = False, samples: int | None = None
    ) -> tuple[numpy.ndarray, int]:
        """Nats per unit of independent pieces of that part, and the number of units.

        ``quick``: in training, where a part of a large part, or a looser bound, will do.
        ``samples``: importance samples of a model that needs them, instead of its own number.
        """
        raise NotImplementedError

    def validate(self, model: Any, data: Any) -> tuple[str, float]:
        """What tells in training how good the model is, the less the better, and its name.

        Mean nats per unit of the validation part, if the model has a likelihood. Raises RunError if
        its draws have become all the same.
        """
        nats, _ = self.nats(model, data, "validation", quick=True)
        return "nats", float(nats.mean())

    def judge(self, model: Any, data: Any, part: str) -> Judgement:
        """What there is to say of draws of a model without a likelihood, next to that part."""
        raise NotImplementedError

    def accuracy(self, model: Any, data: Any, part: str) -> float | None:
        """The share of that part whose class the model tells; None if it tells none."""
        return None

    def draws(self, model: Any) -> bool:
        """Whether there is something to draw from such a model."""
        return True

    def shows(self, model: Any) -> tuple[str, ...]:
        """The names of pictures that there are of such a model, besides samples."""
        return ()

    def in_training(self, model: Any, data: Any, seed: int) -> numpy.ndarray | None:
        """Draws (n, …) to be seen after each epoch, always of the same noise, or the same sources.

        None for a model of which the likelihood tells how training goes.
        """
        return None

    def picture(self, model: Any, data: Any, draws: numpy.ndarray) -> numpy.ndarray:
        """What is seen of these draws: (height, width, 3) of 0 … 255."""
        raise NotImplementedError

    def references(self, data: Any) -> dict[str, float]:
        """Nats per unit that any model should beat on the test part, by what gives them."""
        raise NotImplementedError

    def attainable(self, data: Any) -> str:
        """What :meth:`judge` says first, of the validation part in place of draws."""
        raise NotImplementedError

    def draw(self, path: Path, run: Run, request: Request) -> None:
        """Write what is drawn to ``path``."""
        raise NotImplementedError


def examples_of_a_step(model: Any, batch_size: int) -> int:
    """Those that the model's loss, or the turns of its players, are given at a time."""
    return batch_size * (model.config.critic_steps if is_judged(model) else 1)


def check_show(request: Request, pictures: Sequence[str]) -> None:
    """Raise UsageError if there is no such picture of a model, beside samples."""
    name = request.show
    if name is None:
        return
    if not pictures:
        raise UsageError(f"--show {name}: of this model there are samples only")
    if name not in pictures:
        raise unknown("picture of this model", name, pictures)
    for option in ("label", "given", "known"):
        if getattr(request, option) is not None:
            raise UsageError(f"--{option}: means nothing with --show {name}")
    if request.temperature != 1:
        raise UsageError(f"--temperature: means nothing with --show {name}")


def check_classes(config: Any, data: Any, name: str) -> None:
    """Raise UsageError unless the labels of ``data``, images or points, are of the model's classes.

    ``name``: what the data are of.
    """
    classes = getattr(config, "classes", 0)
    if not classes:
        return
    if data.labels is None:
        raise UsageError(
            f"classes={classes}: the {name} of {data.name} have no labels; an .npz file "
            f"of {name} has them as the array 'labels'"
        )
    needed = 1 + max(int(labels.max()) for labels in data.labels.values())
    if needed > classes:
        raise UsageError(f"classes={classes}: {data.name} has {needed} classes")


def classes_in_turn(classes: int, n: int, label: int | None) -> numpy.ndarray | None:
    """The labels (n,) of what is drawn: all ``label``, or if None each class in turn.

    None for a model without classes. Raises UsageError if there is no such class.
    """
    if label is not None and not 0 <= label < classes:
        there_are = f"0 to {classes - 1}" if classes else "none: it was not trained with any"
        raise UsageError(f"--label {label}: the model's classes are {there_are}")
    if not classes:
        return None
    return numpy.arange(n) % classes if label is None else numpy.full(n, label)
