"""The training loop: steps of an optimiser, validation, and the best weights so far."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any, Protocol

import numpy

import autograd.numpy as np
from autograd import backend
from scratchgen.data import ImageData
from scratchgen.errors import Interrupted, RunError
from scratchgen.metrics import bits_per_dimension
from scratchgen.optim import Adam
from scratchgen.training.evaluation import mean_nats
from scratchgen.training.run_folder import RunFolder
from scratchgen.training.settings import TrainingSettings

REPORT_EVERY = 5
"""Steps between two reports of the loss. In between, a GPU is not made to wait for the CPU."""


class Progress(Protocol):
    """What a trainer tells about how far it is."""

    def steps(self, step: int, epoch: int, nats: float, images_per_second: float) -> None:
        """The loss over the last few steps."""

    def epoch(self, record: dict[str, Any]) -> None:
        """An epoch's line of ``metrics.jsonl``."""


class Trainer:
    """Trains ``model``, by its ``loss(batch, rng)``, on the training part of ``data``.

    After each epoch the validation part decides whether the weights are the best so far; these are
    written to the run folder at once, so that nothing is lost when a run is stopped.
    """

    def __init__(
        self,
        model: Any,
        data: ImageData,
        settings: TrainingSettings,
        rng: Any,
        folder: RunFolder,
    ) -> None:
        self.model, self.data, self.settings = model, data, settings
        self.rng, self.folder = rng, folder
        self.optimiser = Adam(model.parameters().values(), settings.learning_rate)
        self.images = backend.asarray(data.train)
        self.batches = math.ceil(len(data.train) / settings.batch_size)  # of one epoch
        self.total = settings.steps or settings.epochs * self.batches  # steps
        self.epochs = math.ceil(self.total / self.batches)
        self.step = 0
        self.epoch = 0
        self.best_epoch = 0  # 0: none yet
        self.best_nats = math.inf
        self._started = time.perf_counter()

    def run(self, progress: Progress) -> None:
        """Train to the end. The model is left with the best weights.

        Raises RunError if the loss is not a finite number any more, and on Ctrl-C Interrupted. In
        both cases the best weights so far are in the run folder.
        """
        try:
            with numpy.errstate(over="ignore", invalid="ignore"):  # reported once, as RunError
                while self.step < self.total:
                    self.epoch += 1
                    train_nats, images_per_second = self._one_epoch(progress)
                    progress.epoch(self._validate(train_nats, images_per_second))
        except KeyboardInterrupt:
            raise Interrupted(self._keep()) from None
        self.model.load(self._best)

    def _keep(self) -> str:
        """What is left of a run that was stopped."""
        at = f"interrupted at step {self.step} of {self.total}"
        if self.best_epoch == 0:
            self._save(None)
            return f"{at}, before the first validation; weights saved in {self.folder.checkpoint}"
        best = f"epoch {self.best_epoch}, validation {self.best_nats:.2f} nats"
        return f"{at}; the best weights so far ({best}) are in {self.folder.checkpoint}"

    def _save(self, nats: float | None) -> None:
        """Write the weights as they are now to the run folder."""
        metadata = {"epoch": self.epoch, "step": self.step, "validation_nats": nats}
        self._best = self.model.values()
        self.folder.save_checkpoint(self._best, metadata)

    def _one_epoch(self, progress: Progress) -> tuple[float, float]:
        """Train on every image once; the mean loss in nats and the images per second."""
        nats, count = 0.0, 0
        began = time.perf_counter()
        for losses, images, seconds in self._intervals():
            self._check(losses)
            nats += losses
            count += images
            progress.steps(self.step, self.epoch, losses / images, images / seconds)
        return nats / count, count / (time.perf_counter() - began)

    def _intervals(self) -> Iterator[tuple[float, int, float]]:
        """Train on every image once, and report every few steps.

        Yields the loss in nats summed over the images since the last report, their number, and
        the seconds they took.
        """
        order = np.argsort(self.rng.random(len(self.images)))
        size = self.settings.batch_size
        losses, images, began = 0.0, 0, time.perf_counter()
        for i in range(self.batches):
            batch = self.images[order[i * size : (i + 1) * size]]
            losses = losses + self._one_step(batch) * len(batch)
            images += len(batch)
            last = i == self.batches - 1 or self.step == self.total
            if last or self.step % REPORT_EVERY == 0:
                yield losses.item(), images, time.perf_counter() - began
                losses, images, began = 0.0, 0, time.perf_counter()
            if last:
                return

    def _one_step(self, batch: Any) -> Any:
        """One update of the parameters; the loss in nats, still on the device."""
        loss, metrics = self.model.loss(batch, self.rng)
        loss.backward()
        self.optimiser.step()
        self.step += 1
        return metrics["nats"]

    def _validate(self, train_nats: float, images_per_second: float) -> dict[str, Any]:
        """Keep the weights if they are the best so far. Returns the epoch's line of metrics."""
        nats = mean_nats(self.model, self.data.validation)
        self._check(nats)
        if nats < self.best_nats:
            self._save(nats)
            self.best_epoch, self.best_nats = self.epoch, nats
        record = {
            "epoch": self.epoch,
            "step": self.step,
            "train_nats": train_nats,
            "validation_nats": nats,
            "validation_bits_per_dimension": bits_per_dimension(nats, math.prod(self.data.shape)),
            "best_epoch": self.best_epoch,
            "images_per_second": images_per_second,
            "seconds": time.perf_counter() - self._started,
        }
        self.folder.add_metrics(record)
        return record

    def _check(self, nats: float) -> None:
        """Raise RunError if training has diverged."""
        if not math.isfinite(nats):
            raise RunError(
                f"the loss became {nats} by step {self.step}; "
                f"try --set learning_rate={self.settings.learning_rate / 4:g}"
            )
