"""Draws of a model without a density, judged: next to data, as a classifier of these sees both."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy

from autograd import backend
from scratchgen.data import ImageData
from scratchgen.errors import RunError
from scratchgen.judging import classifier, scores
from scratchgen.judging.classifier import Classifier
from scratchgen.training import checkpoint
from scratchgen.training.media.examples import batches_of

if TYPE_CHECKING:
    from scratchgen.training.media.medium import Medium

AT_A_TIME = 500
"""Draws."""


@dataclass(frozen=True)
class Judgement:
    """What there is to say of a model's draws next to data, in place of a likelihood."""

    measures: Mapping[str, float]
    """By the names under which they are recorded."""
    text: str
    """The same as users read it."""
    remarks: tuple[str, ...]
    """What it is from."""

    def sentence(self, medium: Medium) -> str:
        return self.text

    def count(self, medium: Medium) -> str:
        return "; ".join(self.remarks)

    def comparison(self, medium: Medium, data: Any) -> str:
        """What there is to compare it with."""
        return medium.attainable(data)

    def record(self) -> dict[str, Any]:
        """As it is kept in ``metrics.jsonl``."""
        return dict(self.measures)

    def fields(self) -> dict[str, Any]:
        """All of it, in one level."""
        return dict(self.measures)


def is_judged(model: Any) -> bool:
    """Whether there is no likelihood to measure: players make a model that only draws."""
    return hasattr(model, "players")


def drawn(model: Any, n: int, labels: Any = None) -> numpy.ndarray:
    """Draws (n, …) of a model, given labels (n,) of the host or None; always the same ones."""
    rng, found = backend.default_rng(0), []
    for start in range(0, n, AT_A_TIME):
        context = None if labels is None else backend.asarray(labels[start : start + AT_A_TIME])
        x = model.sample(min(AT_A_TIME, n - start), rng, context=context)
        found.append(backend.to_numpy(x))
    return numpy.concatenate(found)


def translates(model: Any) -> bool:
    """Whether it makes images of sources, which it makes of images, in place of noise."""
    return hasattr(model, "translated")


def translations(model: Any, x: numpy.ndarray) -> tuple[numpy.ndarray, numpy.ndarray]:
    """The sources of images x (N, …) and what a model makes of these; always the same."""
    rng, found = backend.default_rng(0), []
    for (part,) in batches_of(x, size=AT_A_TIME):
        source = model.source(part)
        found.append((backend.to_numpy(source), backend.to_numpy(model.translated(source, rng))))
    sources, made = zip(*found, strict=True)
    return numpy.concatenate(sources), numpy.concatenate(made)


def all_the_same(draws: numpy.ndarray) -> bool:
    """Whether several draws (N, …) are one and the same point."""
    return len(draws) > 1 and bool((draws == draws[:1]).all())


def of_draws(draws: numpy.ndarray) -> tuple[str, ...]:
    """How many a judgement is from, and whether they are any use."""
    return (f"{len(draws)} draws", *("all the same",) * all_the_same(draws))


def check_collapse(model: Any, draws: numpy.ndarray, labels: Any = None) -> None:
    """Raise RunError if the generator makes the same of all noise: it does not recover from that.

    Images of the same levels may still differ before these are rounded, as at the very start.
    """
    if not all_the_same(draws):
        return
    noise = model.noise(len(draws), backend.default_rng(0))
    context = None if labels is None else backend.asarray(labels)
    if all_the_same(backend.to_numpy(model.draws(noise, context))):
        raise RunError(
            f"the generator collapsed to one point: all {len(draws)} draws of the validation are "
            "the same; try another loss or a smaller learning rate (if an epoch ended before, its "
            "weights are in the run folder)"
        )


def with_errors(
    judged: Judgement, model: Any, x: numpy.ndarray, sources: numpy.ndarray, made: numpy.ndarray
) -> Judgement:
    """The judgement of translations with how far these are from the images x, and sources are.

    Mean absolute differences of values from 0 to 1; and that of the way there and back, for a model
    that goes both.
    """
    error, before = (
        float(numpy.abs(x - images.astype(float)).mean() / (model.config.levels - 1))
        for images in (made, sources)
    )
    measures = {**judged.measures, "error": error, "source_error": before}
    text = f"{judged.text}, {error:.3f} from the images (sources {before:.3f})"
    if hasattr(model, "cycle_error"):
        parts = [len(part) * model.cycle_error(part) for (part,) in batches_of(x, size=AT_A_TIME)]
        measures["cycle_error"] = sum(part.item() for part in parts) / len(x)
        text += f", {measures['cycle_error']:.3f} there and back"
    return Judgement(measures, text, judged.remarks)


def with_categories(
    judged: Judgement, model: Any, x: numpy.ndarray, labels: numpy.ndarray, told: Any
) -> Judgement:
    """The judgement with how far the categories that a model has for images x are their classes.

    For a model that found categories by itself, and tells them with ``recognise``. ``told``: the
    labels that it is given all the same, or None.
    """
    found = [
        backend.to_numpy(model.recognise(part, context)[0]).argmax(1)
        for part, context in batches_of(x, told)
    ]
    share = scores.agreement(numpy.concatenate(found), labels)
    text = f"{judged.text}, {share:.1%} of the images in the category of their class"
    return Judgement({**judged.measures, "categories": share}, text, judged.remarks)


class ImageJudge:
    """What compares images: a classifier of the data; without classes there are only pixels.

    The classifier is learnt when it is first needed, and kept in the folder of the run.
    """

    classifier: Classifier | None

    def __init__(self, data: ImageData, folder: Path | None = None) -> None:
        """Raises RunError if the one in the folder is damaged, or is of other images."""
        self.data = data
        path = None if folder is None else folder / "classifier.safetensors"
        if path is not None and path.exists():
            self.classifier = _loaded(data, path)
        else:
            self.classifier = classifier.trained(data)
            if path is not None and self.classifier is not None:
                checkpoint.save(path, self.classifier.values(), {"data": data.name})

    def distance(self, real: numpy.ndarray, fake: numpy.ndarray) -> float:
        """The Fréchet distance between images and draws."""
        return scores.frechet_distance(self._features(real), self._features(fake))

    def judgement(
        self, real: numpy.ndarray, fake: numpy.ndarray, asked: numpy.ndarray | None = None
    ) -> Judgement:
        """All there is to say of draws next to images, and of the classes ``asked`` for, if any."""
        x, y = self._features(real), self._features(fake)
        distance = scores.frechet_distance(x, y)
        precision, recall = scores.precision_and_recall(x, y)
        measures = {"frechet": distance, "precision": precision, "recall": recall}
        text = f"precision {precision:.2f}, recall {recall:.2f}"
        if self.classifier is None:
            remark = "no classifier to judge by: the images have no classes"
        else:
            assert self.data.labels is not None
            score = scores.inception_score(self.classifier.seen(fake).p)
            right = self.classifier.seen(self.data.test).right(self.data.labels["test"])
            measures |= {"inception_score": score, "classifier_accuracy": right}
            text = f"inception score {score:.2f} of {self.classifier.config.classes}, {text}"
            if asked is not None:
                measures["as_asked"] = self.classifier.seen(fake).right(asked)
                text += f", {measures['as_asked']:.1%} of the class asked for"
            remark = f"classifier {right:.1%} right"
        return Judgement(
            {**measures, "draws": len(fake)},
            f"{self.measure} {distance:.2f}, {text}",
            (*of_draws(fake), remark),
        )

    @property
    def measure(self) -> str:
        """What :meth:`distance` is, for users."""
        return "Fréchet distance" + (" of pixels" if self.classifier is None else "")

    def _features(self, images: numpy.ndarray) -> numpy.ndarray:
        if self.classifier is None:
            return images.reshape(len(images), -1) / (self.data.levels - 1)
        return self.classifier.seen(images).features


def _loaded(data: ImageData, path: Path) -> Classifier | None:
    found = classifier.untrained(data)
    remedy = "or remove it, and it is learnt again"
    try:
        values, _ = checkpoint.load(path)
    except RunError as error:
        raise RunError(f"{error}, {remedy}") from error
    try:
        if found is not None:
            found.load(values)
    except ValueError as error:
        mistaken = f"{path} is not of the images of {data.name}: {error}"
        raise RunError(f"{mistaken}; use the run's own, {remedy}") from error
    return found
