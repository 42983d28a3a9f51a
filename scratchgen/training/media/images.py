"""Images: fed in a new random order every epoch, measured one by one, drawn as a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy

from autograd import backend, no_grad
from scratchgen import data as datasets
from scratchgen import metrics
from scratchgen.data import ImageData
from scratchgen.data.images import PARTS
from scratchgen.errors import RunError, UsageError
from scratchgen.models.autoregressive.images import AutoregressiveModel
from scratchgen.models.bounds import BoundedModel
from scratchgen.training.media import codes
from scratchgen.training.media.examples import Examples, batches_of
from scratchgen.training.media.judging import (
    ImageJudge,
    Judgement,
    check_collapse,
    drawn,
    is_judged,
    translates,
    translations,
    with_categories,
    with_errors,
)
from scratchgen.training.media.labels import given_labels, labels_to_learn
from scratchgen.training.media.medium import (
    Figure,
    Medium,
    Request,
    check_classes,
    check_show,
    classes_in_turn,
    examples_of_a_step,
)
from scratchgen.training.pictures import grid, save_grid

if TYPE_CHECKING:
    from scratchgen.training.run import Run


QUICK = 8
"""Importance samples of the bound in a validation."""

PAIRS = 32
"""Of source and translation, in the animated picture of training."""

VALIDATED, JUDGED = 1_000, 5_000
"""Images at most next to which draws are judged, in a validation and at the end."""


class Images(Medium):
    name = "images"
    unit = "image"
    bits = "bits per dimension"
    suffix = ".png"
    takes = ("label", "given", "known", "show")

    def __init__(self, judge: ImageJudge | None = None) -> None:
        """``judge``: of the draws of models without a density; by default made when needed."""
        self._judge = judge

    def load(self, name: str, levels: int | None) -> ImageData:
        data = datasets.load(name, levels)
        if data.shape[-1] not in (1, 3):
            sides = " x ".join(map(str, data.shape))
            raise RunError(
                f"{data.name}: images of {sides}: the last number, of colours, is 1, for grey, "
                "or 3, for R, G, B; leave others out, or move the axis of colours to the end"
            )
        return data

    def fields(self, data: ImageData) -> dict[str, int]:
        height, width, colours = data.shape
        return {"height": height, "width": width, "colours": colours, "levels": data.levels}

    def check(self, config: Any, data: ImageData) -> None:
        for name, value in self.fields(data).items():
            if getattr(config, name) != value:
                raise UsageError(
                    f"{name}={getattr(config, name)}: the images of {data.name} have {name} {value}"
                )
        check_classes(config, data, self.name)
        if getattr(config, "labelled", 0) > len(data.train):
            there_are = f"{data.name} has {len(data.train)} images to train on"
            raise UsageError(f"labelled={config.labelled}: {there_are}; 0 for all")

    def dimensions(self, data: ImageData) -> int:
        return math.prod(data.shape)

    def ready(self, model: Any, data: ImageData, folder: Path) -> Images:
        return Images(ImageJudge(data, folder)) if is_judged(model) else self

    def feed(self, model: Any, data: ImageData, batch_size: int) -> Examples:
        labels = labels_to_learn(model.config, data)
        return Examples(data.train, labels, examples_of_a_step(model, batch_size))

    def figure(self, model: Any, samples: int | None = None) -> Figure:
        if isinstance(model, BoundedModel):
            return Figure("bound", samples or model.importance_samples)
        if samples is not None:
            raise UsageError(
                f"--importance-samples {samples}: the model has no latent variables to draw"
            )
        return Figure("likelihood" if hasattr(model, "log_prob") else "reconstruction")

    def nats(
        self,
        model: Any,
        data: ImageData,
        part: str,
        quick: bool = False,
        samples: int | None = None,
    ) -> tuple[numpy.ndarray, int]:
        samples = QUICK if quick else samples
        nats = nats_each(model, data.part(part), given_labels(model.config, data, part), samples)
        return nats, len(nats)

    def accuracy(self, model: Any, data: ImageData, part: str) -> float | None:
        if not hasattr(model, "classify") or data.labels is None:
            return None
        with no_grad():
            found = [backend.to_numpy(model.classify(x)) for (x,) in batches_of(data.part(part))]
        return float((numpy.concatenate(found) == data.labels[part]).mean())

    def validate(self, model: Any, data: ImageData) -> tuple[str, float]:
        """Of a model without a density the Fréchet distance between images and as many draws."""
        if not is_judged(model):
            return super().validate(model, data)
        real, labels = _to_compare(model, data, "validation", VALIDATED)
        if translates(model):
            _, made = translations(model, real)
            return "frechet", self._judge_of(data).distance(real, made)
        fake = drawn(model, len(real), labels)
        check_collapse(model, fake, labels)
        return "frechet", self._judge_of(data).distance(real, fake)

    def judge(self, model: Any, data: ImageData, part: str) -> Judgement:
        real, labels = _to_compare(model, data, part, JUDGED)
        if translates(model):
            sources, made = translations(model, real)
            judgement = self._judge_of(data).judgement(real, made)
            return with_errors(judgement, model, real, sources, made)
        judgement = self._judge_of(data).judgement(real, drawn(model, len(real), labels), labels)
        if data.labels is None or not hasattr(model, "recognise"):
            return judgement
        return with_categories(judgement, model, real, data.labels[part][: len(real)], labels)

    def attainable(self, data: ImageData) -> str:
        """Of the validation part, for the judge has learnt the training part by heart."""
        judge, other = self._judge_of(data), data.validation[:JUDGED]
        distance = judge.distance(data.test[:JUDGED], other)
        return f"{judge.measure} {distance:.2f} of {len(other)} images of the validation part"

    def _judge_of(self, data: ImageData) -> ImageJudge:
        return self._judge or ImageJudge(data)

    def references(self, data: ImageData) -> dict[str, float]:
        return {
            "independent pixels": metrics.independent_nats(data.train, data.test, data.levels),
            "uniform": metrics.uniform_nats(data.shape, data.levels),
        }

    def shows(self, model: Any) -> tuple[str, ...]:
        return codes.shows(model)

    def draws(self, model: Any) -> bool:
        return hasattr(model, "sample")

    def in_training(self, model: Any, data: ImageData, seed: int) -> numpy.ndarray | None:
        """Of a model that translates: sources of the validation part, each beside what it makes."""
        if not is_judged(model):
            return None
        if translates(model):
            pairs = numpy.stack(translations(model, data.validation[:PAIRS]), axis=1)
            shown = pairs.reshape(-1, *data.shape)
        else:
            shown = _sampled(model, Request(seed=seed))
        return shown.astype(numpy.min_scalar_type(data.levels - 1))  # for the state's file

    def picture(self, model: Any, data: ImageData, draws: numpy.ndarray) -> numpy.ndarray:
        return grid(draws, data.levels, columns=8 if translates(model) else 0)

    def draw(self, path: Path, run: Run, request: Request) -> None:
        """A grid of images; with ``given``, what completes halves of images, beside these.

        With ``show``, what the codes of images say instead: see :mod:`.codes`.
        """
        if request.given and request.label is not None:
            raise UsageError("--label: images to complete have labels of their own; leave it out")
        model = run.model()
        check_show(request, self.shows(model))
        if request.show:
            codes.draw(path, run, model, request.show, request.n)
        elif not self.draws(model):
            there_are = " or ".join(self.shows(model))
            raise UsageError(f"the model is no distribution to draw from; --show {there_are}")
        elif request.given:
            _completions(path, run, model, request, request.given)
        else:
            save_grid(path, _sampled(model, request), run.config.levels)


IMAGES = Images()


def nats_each(
    model: Any, images: Any, labels: Any = None, samples: int | None = None
) -> numpy.ndarray:
    """−ln p(x) in nats of each of ``images`` (N, …), host arrays: float64 (N,).

    −ln p(x | label) with ``labels`` (N,). Of a :class:`BoundedModel` a bound from ``samples`` draws
    (its own number if None), always the same ones; of an autoencoder −ln p(x | its code).
    """
    rng = backend.default_rng(0)

    def log_prob(x: Any, context: Any) -> Any:
        if isinstance(model, BoundedModel):
            return model.log_prob_iw(x, samples or model.importance_samples, rng, context)
        if hasattr(model, "log_prob"):
            return model.log_prob(x, context)
        return model.reconstruction(x)

    found = []
    with no_grad():
        for x, context in batches_of(images, labels):
            found.append(backend.to_numpy(-log_prob(x, context)).astype("float64"))
    return numpy.concatenate(found)


def _to_compare(model: Any, data: ImageData, part: str, n: int) -> tuple[Any, Any]:
    """The first images of a part, up to ``n``, and their labels if the model is given these."""
    labels = given_labels(model.config, data, part)
    return data.part(part)[:n], None if labels is None else labels[:n]


# -------------------------------------------------------------------------------------- pictures


def _sampled(model: Any, request: Request) -> numpy.ndarray:
    """Images (n, …): of a class-conditional model of the class asked for, or of each in turn."""
    n = request.n or 64
    labels = classes_in_turn(getattr(model.config, "classes", 0), n, request.label)
    images = model.sample(
        n,
        backend.default_rng(request.seed),
        context=None if labels is None else backend.asarray(labels),
        temperature=request.temperature,
    )
    return backend.to_numpy(images)


def _completions(path: Path, run: Run, model: Any, request: Request, given: str) -> None:
    """Images, what is known of them, and their completions, in three columns.

    ``given`` is a part of the run's own data, or other data of the same form, by name or path, of
    which the test part is taken. Raises UsageError if there are fewer, RunError if they have
    another form.
    """
    if not isinstance(model, AutoregressiveModel):
        raise UsageError("--given: only an autoregressive model completes images")
    n = request.n or 16
    images, labels = _given(run, given)
    if len(images) < n:
        raise UsageError(f"-n {n}: there are {len(images)} images in {given}")
    images = images[:n]
    known = known_half(request.known or "top", run.config.height, run.config.width)
    completed = model.sample(
        n,
        backend.default_rng(request.seed),
        given=backend.asarray(images),
        known=backend.asarray(known),
        context=None if labels is None else backend.asarray(labels[:n]),
        temperature=request.temperature,
    )
    hidden = numpy.where(known, images, numpy.nan)
    rows = numpy.stack([images, hidden, backend.to_numpy(completed)], axis=1)
    save_grid(path, rows.reshape(-1, *images.shape[1:]), run.config.levels, columns=3)


def known_half(half: str, height: int, width: int) -> numpy.ndarray:
    """A boolean mask (H, W, 1) that holds in one half: top, bottom, left or right."""
    row, column = numpy.indices((height, width))
    halves = {
        "top": row < height // 2,
        "bottom": row >= height // 2,
        "left": column < width // 2,
        "right": column >= width // 2,
    }
    return halves[half][..., None]


def _given(run: Run, given: str) -> tuple[numpy.ndarray, Any]:
    """Images, and their labels if the model is given these."""
    if given in PARTS:
        data = run.data()
        return data.part(given), given_labels(run.config, data, given)
    data = datasets.load(given, run.config.levels)
    try:
        IMAGES.check(run.config, data)
    except UsageError as error:
        raise RunError(f"--given {given}: the model draws other images: {error}") from error
    return data.test, given_labels(run.config, data, "test")
