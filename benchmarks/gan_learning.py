"""What the DCGAN of ``scratchgen train gan`` learns of digits and clothes, beside PyTorch.

The two begin with the same weights and take the same batches in the same order, for as many steps,
by Adam with the same settings, and the same running average of the generator's weights; that they
are one model is checked, by their losses of the first batch. The noise of training is each one's
own. What the averaged weights make of one and the same noise is judged by one classifier, next to
the test part; so is the validation part in place of draws, for what can be attained.

Time is that of training alone. The two take turns, of :data:`TURN` steps each. The clothes are the
Fashion-MNIST of ``SCRATCHGEN_DATA`` (``scratchgen data``).
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any

import numpy

from autograd import backend
from autograd.replay import recorded
from benchmarks.bench import Options
from benchmarks.models.gan import PLAYERS, TorchGAN, check
from benchmarks.sampling import disturb
from benchmarks.timing import PAUSE
from scratchgen import data
from scratchgen.models.adversarial.gan import GAN, GANConfig
from scratchgen.optim import Adam, ExponentialMovingAverage
from scratchgen.training import presets
from scratchgen.training.media.judging import ImageJudge

COLUMNS = ("Fréchet", "inception score", "precision", "recall", "training, s")
DATA = ("digits", "fashion-mnist")
SETTINGS = presets.find("gan").training
STEPS = SETTINGS.epochs * SETTINGS.epoch_steps
TURN = 100
JUDGED = 5_000  # images at most, of each
AT_ONCE = 500


def rows(options: Options) -> Iterator[dict]:
    """A row for each of the two, and for data. Steps are counted, not seconds."""
    import torch

    for done, name in enumerate(DATA):
        options.began(f"{name}, both in turns, {STEPS} steps", done, len(DATA))
        images = data.load(name)
        judge, test = ImageJudge(images), images.test[:JUDGED]
        config = presets.find("gan").configured(images, [])[0]
        learners = {"here": Ours(config), "PyTorch": InTorch(torch, config)}
        _check(torch, config, images.train[: SETTINGS.batch_size])
        spent = _train(list(learners.values()), images.train)
        for (which, learner), took in zip(learners.items(), spent, strict=True):
            found = judge.judgement(test, _levels(learner, config, len(test))).measures
            yield {"name": f"{name}, {which}", "steps": STEPS, **found, "training_s": took}
        attained = judge.judgement(test, images.validation[:JUDGED]).measures
        yield {"name": f"{name}, validation part", "steps": 0, **attained, "training_s": 0.0}


def cells(row: dict) -> list[str]:
    """A row as text, for ``COLUMNS``."""
    measures = ("frechet", "inception_score", "precision", "recall")
    return [*(f"{row[name]:.2f}" for name in measures), f"{row['training_s']:.0f}"]


def _train(learners: list[Any], images: numpy.ndarray) -> list[float]:
    """Train them on the same batches, in turns; the seconds that each took."""
    spent = [0.0] * len(learners)
    batches = _batches(images)
    for _ in range(STEPS // TURN):
        some = list(itertools.islice(batches, TURN))
        for i, learner in enumerate(learners):
            time.sleep(PAUSE)
            start = time.perf_counter()
            for batch in some:
                learner.step(batch)
            spent[i] += time.perf_counter() - start
    return spent


def _batches(images: numpy.ndarray) -> Iterator[numpy.ndarray]:
    rng, size = numpy.random.default_rng(0), SETTINGS.batch_size
    while True:
        order = rng.permutation(len(images))
        for start in range(0, len(order), size):
            yield images[order[start : start + size]]


def _levels(learner: Any, config: GANConfig, n: int) -> numpy.ndarray:
    """``n`` draws as images of levels, always of the same noise."""
    z = numpy.random.default_rng(0).standard_normal((n, config.latents)).astype("float32")
    x = numpy.concatenate([learner.draws(z[i : i + AT_ONCE]) for i in range(0, n, AT_ONCE)])
    return numpy.rint((x + 1) * ((config.levels - 1) / 2)).astype(int)


def _model(config: GANConfig) -> GAN:
    return GAN(config, backend.default_rng(0))


def _check(torch: Any, config: GANConfig, images: numpy.ndarray) -> None:
    """With larger weights than the first ones, whose scores are all next to 0."""
    model = _model(config)
    disturb(model)
    check(torch, model, TorchGAN(torch, model, last=False), images)


class Ours:
    """The model of this library."""

    def __init__(self, config: GANConfig) -> None:
        self.model, self.rng = _model(config), backend.default_rng(1)
        self.optimisers = {
            name: Adam(module.parameters().values(), SETTINGS.learning_rate, SETTINGS.beta1)
            for name, (module, _) in self.model.players.items()
        }
        flat = self.optimisers["generator"].flat
        self.average = ExponentialMovingAverage(flat, SETTINGS.average)
        self._replayed = recorded(self._step)  # as in training

    def step(self, x: numpy.ndarray) -> None:
        self._replayed(backend.asarray(x), self.rng)
        self.average.update()

    def _step(self, x: Any, rng: Any) -> None:
        for player, loss, _ in self.model.turns(x, rng):
            loss.backward()
            self.optimisers[player].step()

    def draws(self, z: numpy.ndarray) -> numpy.ndarray:
        """(N, latents) → (N, H, W, 1), from −1 to 1."""
        with self.average.in_place():
            return backend.to_numpy(self.model.draws(backend.asarray(z)))


class InTorch:
    """The same networks in PyTorch, from the same weights."""

    def __init__(self, torch: Any, config: GANConfig) -> None:
        torch.manual_seed(1)
        self.torch, self.network = torch, TorchGAN(torch, _model(config), last=False)
        self.optimisers = {
            player: torch.optim.Adam(
                self.network.parameters[player],
                SETTINGS.learning_rate,
                betas=(SETTINGS.beta1, 0.999),
                fused=True,
            )
            for player in PLAYERS
        }
        self.weights = self.network.parameters["generator"]
        self.sums = [torch.zeros_like(weight) for weight in self.weights]
        self.steps = 0

    def step(self, x: numpy.ndarray) -> None:
        x = self.torch.from_numpy(x).permute(0, 3, 1, 2)
        for player, optimiser in self.optimisers.items():
            optimiser.zero_grad()
            self.network.loss(player, x).backward()
            optimiser.step()
        self.steps += 1
        with self.torch.no_grad():
            for total, weight in zip(self.sums, self.weights, strict=True):
                total.lerp_(weight, 1 - SETTINGS.average)

    def draws(self, z: numpy.ndarray) -> numpy.ndarray:
        """The same; with the average of the weights in their place."""
        with self.torch.no_grad():
            before = [weight.clone() for weight in self.weights]
            for weight, total in zip(self.weights, self.sums, strict=True):
                weight.copy_(total / (1 - SETTINGS.average**self.steps))
            x = self.network.generator(self.torch.from_numpy(z), training=False)
            for weight, value in zip(self.weights, before, strict=True):
                weight.copy_(value)
        return numpy.asarray(x.permute(0, 2, 3, 1))
