"""Which modes do generators find, by the loss that they learn from? (No PyTorch.)

Points of eight Gaussians on a ring and of twenty-five on a grid are learnt by the model of
``scratchgen train gan-2d``, with each of the losses in turn and all else alike, for 1,000 steps and
for 4,000, from five seeds. The critic has the preset's turns in a step with the Wasserstein losses,
which ask for a critic near its best, and one with the others. The averaged weights are judged.

A mode is found if a sample lies near it, within 3 σ, as 98.9 % of its own points do. As a few
strays are enough for that, the rarest mode is given too: the samples nearest to it, in parts of
what it is due. And as points spread evenly over the square find all modes as well, with a share of
them near one by chance, these are judged too, and so are points of the density itself.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Iterator
from typing import Any

import numpy

from autograd import backend, no_grad
from benchmarks.bench import Options
from scratchgen.data import toys
from scratchgen.judging.scores import modes_found
from scratchgen.models.adversarial.losses import LOSSES
from scratchgen.models.adversarial.points import PointGAN
from scratchgen.optim import Adam, ExponentialMovingAverage, cosine
from scratchgen.training import presets

COLUMNS = ("modes found", "worst seed", "near a mode", "rarest mode", "seconds a run")
STEPS = {"eight-gaussians": 1_000, "grid": 4_000}
"""Of training: twenty-five modes take longer to find than eight."""
SEEDS = range(5)
SAMPLES = 2_500


def rows(options: Options) -> Iterator[dict]:
    """A row for each set of points and loss. Steps are counted, not seconds."""
    counter = itertools.count()
    for name, steps in STEPS.items():
        toy = toys.find(name)
        assert isinstance(toy, toys.Gaussians)
        for reference, x in _references(toy).items():
            judged = _judged(x, toy)
            yield {
                "name": f"{name}, {reference}",
                "steps": 0,
                "of": toy.classes,
                **{figure: [value] for figure, value in judged.items()},
                "seconds": 0.0,
            }
        for loss in LOSSES:
            options.began(f"{name}, {loss}", next(counter), len(STEPS) * len(LOSSES))
            began = time.perf_counter()
            runs = [_judged(_drawn(trained(loss, toy, seed, steps)), toy) for seed in SEEDS]
            yield {
                "name": f"{name}, {loss}",
                "steps": steps,
                "of": toy.classes,
                **{figure: [run[figure] for run in runs] for figure in runs[0]},
                "seconds": (time.perf_counter() - began) / len(runs),
            }


def cells(row: dict) -> list[str]:
    """A row as text, for ``COLUMNS``: means over the seeds."""
    return [
        f"{numpy.mean(row['modes']):.1f} of {row['of']}",
        f"{min(row['modes'])}",
        f"{numpy.mean(row['near']):.1%}",
        f"{numpy.mean(row['rarest']):.2f}",
        f"{row['seconds']:.0f}",
    ]


def trained(loss: str, toy: toys.Toy, seed: int, steps: int) -> PointGAN:
    """The model after so many steps by the settings of its preset, with averaged weights."""
    preset, rng = presets.find("gan-2d"), backend.default_rng(seed)
    settings = preset.training
    turns = preset.config.critic_steps if loss.startswith("wgan") else 1
    model = PointGAN(dataclasses.replace(preset.config, loss=loss, critic_steps=turns), rng)
    optimisers = {
        player: Adam(module.parameters().values(), settings.learning_rate, settings.beta1)
        for player, (module, _) in model.players.items()
    }
    average = ExponentialMovingAverage(optimisers["generator"].flat, settings.average)
    for step in range(steps):
        points = toy.sample(settings.batch_size * turns, rng).astype("float32")
        for player, minimised, _ in model.turns(points, rng, step):
            minimised.backward()
            optimisers[player].learning_rate = settings.learning_rate * cosine(step, steps)
            optimisers[player].step()
        average.update()
    model.generator.load(_averaged(model, average))
    return model


def _averaged(model: PointGAN, average: ExponentialMovingAverage) -> dict[str, numpy.ndarray]:
    with average.in_place():
        return model.generator.values()


def _drawn(model: PointGAN) -> Any:
    with no_grad():
        return model.sample(SAMPLES, backend.default_rng(0))


def _references(toy: toys.Gaussians) -> dict[str, Any]:
    """What no model made: points of the density, and points all over the square it lies in."""
    rng = backend.default_rng(0)
    reach = float(numpy.abs(backend.to_numpy(toy.centres)).max()) + 3 * toy.sigma
    return {
        "the density": toy.sample(SAMPLES, rng),
        "evenly spread": (2 * rng.random((SAMPLES, 2)) - 1) * reach,
    }


def _judged(x: Any, toy: toys.Gaussians) -> dict[str, float]:
    found = modes_found(backend.to_numpy(x), backend.to_numpy(toy.centres), toy.sigma)
    counts = numpy.bincount(backend.to_numpy(toy.label(x)), minlength=toy.classes)
    rarest = counts.min() * toy.classes / SAMPLES
    return {"modes": found.found, "near": found.share, "rarest": float(rarest)}
