"""Points: fed in a new random order every epoch, measured one by one, drawn as a scatter plot."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy

import autograd.numpy as np
from autograd import backend, grad, no_grad
from scratchgen.data import points
from scratchgen.data.points import PointData
from scratchgen.data.toys import TOYS, Gaussians
from scratchgen.errors import UsageError
from scratchgen.judging import scores
from scratchgen.training import plots
from scratchgen.training.media.examples import Examples, batches_of
from scratchgen.training.media.judging import (
    Judgement,
    check_collapse,
    drawn,
    is_judged,
    of_draws,
)
from scratchgen.training.media.medium import (
    Medium,
    Request,
    check_classes,
    check_show,
    classes_in_turn,
    examples_of_a_step,
)

if TYPE_CHECKING:
    from scratchgen.training.run import Run

SHOWN = 2_000
"""Points of a picture."""

JUDGED = 512
"""Points at most next to which draws are judged: a transport takes the cube of their number."""


class Points(Medium):
    name = "points"
    unit = "point"
    bits = "bits per dimension"
    suffix = ".png"
    takes = ("label", "show")

    def load(self, name: str, levels: int | None) -> PointData:
        if levels is not None:
            raise UsageError(f"levels={levels}: points are real numbers")
        return points.load(name)

    def fields(self, data: PointData) -> dict[str, int]:
        return {"dimensions": data.dimensions}

    def check(self, config: Any, data: PointData) -> None:
        if config.dimensions != data.dimensions:
            raise UsageError(
                f"dimensions={config.dimensions}: the points of {data.name} have {data.dimensions}"
            )
        check_classes(config, data, self.name)

    def description(self, data: PointData) -> dict[str, Any]:
        return {"low": data.train.min(0).tolist(), "high": data.train.max(0).tolist()}

    def dimensions(self, data: PointData) -> int:
        return data.dimensions

    def feed(self, model: Any, data: PointData, batch_size: int) -> Examples:
        x, labels = _as_of(model, data.train), _labels(model, data, "train")
        return Examples(x, labels, examples_of_a_step(model, batch_size))

    def nats(
        self,
        model: Any,
        data: PointData,
        part: str,
        quick: bool = False,
        samples: int | None = None,
    ) -> tuple[numpy.ndarray, int]:
        x, labels, found = _as_of(model, data.part(part)), _labels(model, data, part), []
        with no_grad():
            for piece, context in batches_of(x, labels, size=1_000):
                log_prob = backend.to_numpy(model.log_prob(piece, context))
                found.append(-log_prob.astype("float64"))
        return numpy.concatenate(found), len(x)

    def validate(self, model: Any, data: PointData) -> tuple[str, float]:
        """Of a model without a density the Wasserstein distance between points and draws."""
        if not is_judged(model):
            return super().validate(model, data)
        real, fake, labels = _to_compare(model, data, "validation")
        check_collapse(model, fake, labels)
        return "wasserstein", _distance(real, fake)

    def judge(self, model: Any, data: PointData, part: str) -> Judgement:
        real, fake, _ = _to_compare(model, data, part)
        distance = _distance(real, fake)
        measures, text = {"wasserstein": distance}, f"Wasserstein distance {distance:.3f}"
        if isinstance(toy := TOYS.get(data.name), Gaussians):
            modes = scores.modes_found(fake, backend.to_numpy(toy.centres), toy.sigma)
            measures |= {"modes": modes.found, "near_modes": modes.share}
            text += f", {modes.found} of {toy.classes} modes, {modes.share:.1%} of draws near one"
        return Judgement({**measures, "draws": len(fake)}, text, of_draws(fake))

    def attainable(self, data: PointData) -> str:
        n = min(len(data.test), len(data.validation), JUDGED)
        distance = _distance(data.test[:n], data.validation[:n])
        return f"Wasserstein distance {distance:.3f} of {n} points of the validation part"

    def references(self, data: PointData) -> dict[str, float]:
        truth = {} if data.entropy is None else {"the density itself": data.entropy}
        if numpy.linalg.matrix_rank(numpy.cov(data.train.T)) < data.dimensions:
            return truth  # all points lie in a plane, where a Gaussian has no density
        return {**truth, "one Gaussian": _gaussian_nats(data.train, data.test)}

    def shows(self, model: Any) -> tuple[str, ...]:
        if model.config.dimensions != 2 or model.config.classes:
            return ()
        if is_judged(model):
            return ("critic",)
        return ("density", "layers") if hasattr(model, "transform") else ("density",)

    def in_training(self, model: Any, data: PointData, seed: int) -> numpy.ndarray | None:
        return _samples(model, Request(seed=seed))[0] if is_judged(model) else None

    def picture(self, model: Any, data: PointData, draws: numpy.ndarray) -> numpy.ndarray:
        labels = classes_in_turn(model.config.classes, len(draws), None)
        return plots.pixels(plots.points(draws, labels, *_square(self.description(data))))

    def draw(self, path: Path, run: Run, request: Request) -> None:
        """A scatter plot of samples; or one of the pictures that it ``shows``."""
        model, (low, high) = run.model(), _square(run.description["medium"])
        check_show(request, self.shows(model))
        if request.show == "density":
            plots.density(path, lambda x: self._density(model, x), low, high)
        elif request.show == "layers":
            plots.transport(path, _on_their_way(model, request), low, high)
        elif request.show == "critic":
            samples, _ = _samples(model, request)
            data = run.data().test[: len(samples)]
            score, slope = (partial(f, model) for f in (_scores, _slopes))
            plots.critic(path, score, slope, data, samples, low, high)
        else:
            plots.save(plots.points(*_samples(model, request), low, high), path)

    @staticmethod
    def _density(model: Any, x: numpy.ndarray) -> numpy.ndarray:
        """p(x) of host arrays (N, D)."""
        with no_grad():
            found = [model.log_prob(part) for (part,) in batches_of(_as_of(model, x), size=5_000)]
        return numpy.exp(numpy.concatenate([backend.to_numpy(log_p) for log_p in found]))


POINTS = Points()


def _as_of(model: Any, x: numpy.ndarray) -> numpy.ndarray:
    """In the type of the model's parameters."""
    return x.astype(model.dtype)


def _labels(model: Any, data: PointData, part: str) -> Any:
    if not getattr(model.config, "classes", 0):
        return None
    assert data.labels is not None  # Points.check has seen to it
    return data.labels[part]


def _to_compare(model: Any, data: PointData, part: str) -> tuple[numpy.ndarray, numpy.ndarray, Any]:
    """The first points of a part, as many draws, and the labels if the model is given these."""
    real, labels = data.part(part)[:JUDGED], _labels(model, data, part)
    labels = None if labels is None else labels[:JUDGED]
    return real, drawn(model, len(real), labels), labels


def _distance(real: numpy.ndarray, fake: numpy.ndarray) -> float:
    """W₁ of points and draws; no number if some draw is none."""
    return scores.wasserstein_distance(real, fake) if numpy.isfinite(fake).all() else math.nan


def _gaussian_nats(train: numpy.ndarray, test: numpy.ndarray) -> float:
    """Mean −ln N(x; µ, Σ) of ``test`` with the mean and the covariance of ``train``."""
    centred = test - train.mean(0)
    covariance = numpy.atleast_2d(numpy.cov(train.T, bias=True))
    squares = (centred * numpy.linalg.solve(covariance, centred.T).T).sum(1)
    _, log_det = numpy.linalg.slogdet(covariance)
    return float(0.5 * (squares.mean() + log_det + train.shape[1] * math.log(2 * math.pi)))


def _square(about: dict[str, Any]) -> tuple[float, float]:
    """The range of the pictures' axes: that of the training points, and a little more.

    ``about``: what :meth:`Points.description` says of them.
    """
    low, high = min(about["low"]), max(about["high"])
    margin = 0.1 * (high - low) or 1.0  # all points may be the same
    return low - margin, high + margin


def _samples(model: Any, request: Request) -> tuple[numpy.ndarray, Any]:
    """Points, and their labels if the model is conditioned on these."""
    n = request.n or SHOWN
    labels = classes_in_turn(getattr(model.config, "classes", 0), n, request.label)
    context = None if labels is None else backend.asarray(labels)
    x = model.sample(
        n,
        backend.default_rng(request.seed),
        context=context,
        temperature=request.temperature,
    )
    return backend.to_numpy(x), labels


def _scores(model: Any, x: numpy.ndarray) -> numpy.ndarray:
    """What the critic gives host arrays (N, D): (N,)."""
    with no_grad():
        return backend.to_numpy(model.critic(backend.asarray(_as_of(model, x))))


def _slopes(model: Any, x: numpy.ndarray) -> numpy.ndarray:
    """Where its scores rise, and how fast: (N, D)."""
    slope = grad(lambda x: np.sum(model.critic(x)))(backend.asarray(_as_of(model, x)))
    return backend.to_numpy(slope)


def _on_their_way(model: Any, request: Request) -> list[numpy.ndarray]:
    """Samples before the first transform, and after each, from noise to data."""
    with no_grad():
        stages = model.transported(request.n or SHOWN, backend.default_rng(request.seed))
    return [backend.to_numpy(x) for x in stages]
