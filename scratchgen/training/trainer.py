"""The training loop: steps of an optimiser, validation, and the best weights so far."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn, Protocol

import numpy

from autograd import backend
from autograd.debug import debug
from autograd.replay import recorded
from scratchgen.errors import Interrupted, RunError, UsageError
from scratchgen.metrics import bits_per_dimension
from scratchgen.training.animation import Animation
from scratchgen.training.evaluation import digits
from scratchgen.training.media.medium import Medium
from scratchgen.training.optimisation import Optimisation, under
from scratchgen.training.run_folder import RunFolder
from scratchgen.training.settings import TrainingSettings

REPORT_EVERY = 5
"""Steps between two reports of the loss. In between, a GPU is not made to wait for the CPU."""

SAVE_EVERY = 60.0
"""Seconds between two saves of the state, besides those after each epoch."""

_ORDER, _STEP, _INITIAL = range(3)  # what random numbers are for


class Callback(Protocol):
    """What is told how far training is."""

    def steps(self, step: int, epoch: int, metrics: Mapping[str, float], per_second: float) -> None:
        """What was reported of the last few steps, and the speed in units of the medium."""

    def epoch(self, record: dict[str, Any]) -> None:
        """An epoch's line of ``metrics.jsonl``."""


class Trainer:
    """Trains ``model``, by its ``loss(batch, rng, step)``, on the batches that the medium makes.

    A model whose parts play against each other has ``players``, of each the module and how many
    turns it has in a step, and ``turns(batch, rng, step)``, which yields (player, loss, metrics):
    after each of them that player's parameters change. One with ``update(batch, rng)`` changes its
    parameters itself. One with ``begins_anew(step)`` says at which steps the optimisers are to
    forget what they remember of gradients.

    Steps are recorded and replayed (:mod:`autograd.replay`), which changes no bit. What a step does
    may depend on its number: a model then has ``phase(step)``, which is equal for steps that do the
    same, and None for one that no other is like.

    After each epoch the validation part decides whether the weights are the best so far; these are
    written to the run folder at once. (Of players, who have no common aim, the latest are kept.) So
    is the state: the weights as they are, the optimisers' memory, the step, what the feed carries
    from batch to batch, and the draws of the animated picture. The random numbers of a step are a
    function of the seed and the step's number, so there is no more to it, and a run that goes on
    from its state takes the very same steps.
    """

    def __init__(
        self,
        model: Any,
        medium: Medium,
        data: Any,
        settings: TrainingSettings,
        seed: int,
        folder: RunFolder,
    ) -> None:
        self.model, self.medium, self.data, self.settings = model, medium, data, settings
        self.seed, self.folder = seed, folder
        self.feed = medium.feed(model, data, settings.batch_size)
        self.batches = settings.epoch_steps or self.feed.batches  # of one epoch
        self.total = settings.steps or settings.epochs * self.batches  # steps
        self.epochs = math.ceil(self.total / self.batches)
        if hasattr(model, "update") and self.feed.batches > 1:
            raise UsageError(
                f"batch_size={settings.batch_size}: each step of this model takes in all the data, "
                f"which would be {self.feed.batches} batches; choose a larger one"
            )
        self.players = getattr(model, "players", {"": (model, 1)})
        self.optimisations = {
            name: Optimisation(module, settings, self.total * turns)
            for name, (module, turns) in self.players.items()
        }
        path = folder.sample("training.png")
        self.animation = Animation(path, lambda draws: medium.picture(model, data, draws))
        self._replayed = recorded(self._take)
        self.step = 0
        self.best_epoch = 0  # 0: none yet
        self.best = math.inf  # what the validation said then
        self._sums: dict[str, float] = {}  # in this epoch so far: metrics summed over units,
        self._count = 0  # and these
        self._seconds = 0.0  # of training before this process
        self._timed = [0, 0.0]  # units of this epoch and the seconds they took, in this process
        self._started = self._saved = time.perf_counter()

    @property
    def epoch(self) -> int:
        """The number of the epoch that the last step belongs to, from 1."""
        return max(1, math.ceil(self.step / self.batches))

    @property
    def _at_end_of_epoch(self) -> bool:
        return self.step % self.batches == 0 or self.step == self.total

    def run(self, *callbacks: Callback, stop: Callable[[], bool] = lambda: False) -> None:
        """Train to the end, or until ``stop()``. The model is left with the best weights.

        Raises RunError if the loss is not a finite number any more, and Interrupted if stopped. In
        both cases what is in the run folder can be trained on, and its best weights be used.
        """
        if not self.folder.state.exists():
            self._initialise()
            self.save()
        with numpy.errstate(over="ignore", invalid="ignore"):  # reported once, as RunError
            while self.step < self.total and not self._without_progress():
                self._one_epoch(callbacks, stop)
                record = self._validate()
                for callback in callbacks:
                    callback.epoch(record)
                if stop():
                    raise Interrupted(self._left())
        self.model.load(self.folder.load_checkpoint())

    def _initialise(self) -> None:
        """Show the first batch to a model with parameters that are to suit the data."""
        if hasattr(self.model, "initialise"):
            batch, _ = next(self.feed.after(0, lambda number: self._rng(_ORDER, number)))
            try:
                self.model.initialise(batch, self._rng(_INITIAL, 0))
            except ValueError as error:
                raise RunError(f"it cannot be fitted to {self.data.name}: {error}") from error

    def _without_progress(self) -> bool:
        """Whether validation has not become better for as long as the patience lasts."""
        epochs = self.step // self.batches  # done
        return 0 < self.settings.patience <= epochs - self.best_epoch

    def _one_epoch(self, callbacks: Sequence[Callback], stop: Callable[[], bool]) -> None:
        """Train on the steps of one epoch; on the rest of them after a state from within it."""
        for sums, units, seconds in self._intervals(stop):
            for name, total in sums.items():
                if not math.isfinite(total):
                    self._diverged(name, total)
            self._sums = {name: self._sums.get(name, 0.0) + x for name, x in sums.items()}
            self._count += units
            self._timed = [self._timed[0] + units, self._timed[1] + seconds]
            for callback in callbacks:
                means = {name: total / units for name, total in sums.items()}
                callback.steps(self.step, self.epoch, means, units / seconds)
            if self._at_end_of_epoch:
                return  # saved with the validation figure
            if stop():
                self.save()
                raise Interrupted(self._left())
            if time.perf_counter() - self._saved > SAVE_EVERY:
                self.save()

    def _intervals(self, stop: Callable[[], bool]) -> Iterator[tuple[dict, int, float]]:
        """Train to the end of the epoch, and report every few steps.

        Yields the metrics, each summed over the units since the last report, their number, and
        the seconds they took.
        """
        last = min((self.step // self.batches + 1) * self.batches, self.total)
        batches = self.feed.after(self.step, lambda number: self._rng(_ORDER, number))
        sums: dict[str, Any] = {}
        units, began = 0, time.perf_counter()
        while self.step < last:
            batch, count = next(batches)
            for name, value in self._one_step(batch).items():
                sums[name] = sums.get(name, 0.0) + value * count
            units += count
            if self._at_end_of_epoch or self.step % REPORT_EVERY == 0 or stop():
                found = {name: total.item() for name, total in sums.items()}
                yield found, units, time.perf_counter() - began
                sums, units, began = {}, 0, time.perf_counter()

    def _one_step(self, batch: Any) -> dict[str, Any]:
        """One update of the parameters; what is reported of it per unit, still on the device."""
        rng = self._rng(_STEP, self.step)
        if hasattr(self.model, "begins_anew") and self.model.begins_anew(self.step):
            for optimisation in self.optimisations.values():
                optimisation.restart()
        if hasattr(self.model, "update"):  # by rules of its own, without a gradient
            metrics = self.model.update(batch, rng)
            self.optimisations[""].changed()
        else:
            phase = self.model.phase(self.step) if hasattr(self.model, "phase") else 0
            take = self._take if phase is None else self._replayed
            metrics = take(batch, rng, phase)
        self.feed.keep(metrics)
        self.step += 1
        # in float64, in which sums of float32 are exact, or nearly
        scalars = {name: x for name, x in metrics.items() if getattr(x, "ndim", None) == 0}
        return {name: x.astype("float64") for name, x in scalars.items()}

    def _take(self, batch: Any, rng: Any, phase: Any) -> dict[str, Any]:
        """The turns of a step, or its only one, with the changes that follow from their losses."""
        metrics: dict[str, Any] = {}
        moved: list[Optimisation] = []
        for player, loss, found in self._turns(batch, rng):
            while moved:  # after its turn a model may still have bounded its weights
                moved.pop().changed()
            loss.backward()
            self.optimisations[player].step()
            moved.append(self.optimisations[player])
            metrics |= found
        moved.pop().changed()
        return metrics

    def _turns(self, batch: Any, rng: Any) -> Iterator[tuple[str, Any, dict[str, Any]]]:
        if hasattr(self.model, "turns"):
            yield from self.model.turns(batch, rng, self.step)
        else:
            yield "", *self.model.loss(batch, rng, self.step)

    def _rng(self, purpose: int, number: int) -> Any:
        """A generator of its own for each step, and for the order of the data in each epoch."""
        entropy = numpy.random.SeedSequence([self.seed, purpose, number])
        return backend.default_rng(int(entropy.generate_state(1, "uint64")[0]))

    def _validate(self) -> dict[str, Any]:
        """Keep the weights if they are the best so far. Returns the epoch's line of metrics."""
        with contextlib.ExitStack() as averages:
            for optimisation in self.optimisations.values():
                averages.enter_context(optimisation.averaged())
            name, value = self.medium.validate(self.model, self.data)
            if math.isfinite(value) and (value < self.best or len(self.players) > 1):
                self.best_epoch, self.best = self.epoch, value
                metadata = {"epoch": self.epoch, "step": self.step, f"validation_{name}": value}
                self.folder.save_checkpoint(self.model.values(), metadata)
            if math.isfinite(value):
                self._show()
        if not math.isfinite(value):
            self._diverged(f"validation's {name}", value)
        seconds = self._seconds + time.perf_counter() - self._started
        record = {
            "epoch": self.epoch,
            "step": self.step,
            **{f"train_{name}": total / self._count for name, total in self._sums.items()},
            f"validation_{name}": value,
            **self._in_bits(name, value),
            "best_epoch": self.best_epoch,
            f"{self.medium.unit}s_per_second": self._timed[0] / self._timed[1],
            "seconds": seconds,
        }
        self.folder.add_metrics(record)
        self._sums, self._count, self._timed = {}, 0, [0, 0.0]
        self.save()
        return record

    def _show(self) -> None:
        """Add what is drawn now to the animated picture, if the medium has this of the model.

        It is written before the state: when that is of the last epoch, so is the picture.
        """
        draws = self.medium.in_training(self.model, self.data, self.seed)
        if draws is not None:
            self.animation.add(self.epoch, draws)
            self.animation.write()

    def _in_bits(self, name: str, value: float) -> dict[str, float]:
        if name != "nats":
            return {}
        bits = bits_per_dimension(value, self.medium.dimensions(self.data))
        return {"validation_bits_per_dimension": bits}

    # ------------------------------------------------------------------------------------- state

    def save(self) -> None:
        """Write the state to the run folder."""
        self._saved = time.perf_counter()
        arrays = {f"weights.{path}": x for path, x in self.model.values().items()}
        for player, optimisation in self.optimisations.items():
            arrays |= {_prefix(player) + key: x for key, x in optimisation.state().items()}
        arrays |= {f"feed.{name}": x for name, x in self.feed.state().items()}
        arrays |= {f"animation.{name}": x for name, x in self.animation.state().items()}
        metadata = {
            "step": self.step,
            "best_epoch": self.best_epoch,
            "best": self.best if self.best_epoch else None,
            "sums": self._sums,
            "count": self._count,
            "seconds": self._seconds + self._saved - self._started,
        }
        self.folder.save_state(arrays, metadata)

    def restore(self) -> None:
        """Go back to the state in the run folder; to the very start if there is none."""
        if not self.folder.state.exists():
            return
        arrays, metadata = self.folder.load_state()
        try:
            self.model.load(under("weights.", arrays))
            for player, optimisation in self.optimisations.items():
                optimisation.load_state(under(_prefix(player), arrays))
            self.feed.load_state(under("feed.", arrays))
            self.animation.load_state(under("animation.", arrays))
        except ValueError as error:
            raise RunError(f"{self.folder.state} is not of this model: {error}") from error
        self.step = metadata["step"]
        self.best_epoch = metadata["best_epoch"]
        self.best = metadata["best"] if self.best_epoch else math.inf
        self._sums, self._count = metadata["sums"], metadata["count"]
        self._seconds = metadata["seconds"]
        self.folder.forget_metrics_after(self.step)

    def _left(self) -> str:
        """What is left of a run that was stopped."""
        best = (
            f"best so far epoch {self.best_epoch}, validation {self.best:.{digits(self.best)}f}"
            if self.best_epoch
            else "not validated yet"
        )
        return (
            f"interrupted at step {self.step} of {self.total} ({best}); "
            f"go on with: scratchgen train --resume {self.folder.path}"
        )

    def _diverged(self, name: str, value: float) -> NoReturn:
        """Raise RunError, naming the operation that made the first number that is none."""
        what = "the loss" if name == "nats" else f"the {name}"
        raise RunError(
            f"{what} became {value} by step {self.step}: {self._first_fault()}; "
            f"try --set learning_rate={self.settings.learning_rate / 4:g} "
            f"(the last good state and weights are in {self.folder.path})"
        )

    def _first_fault(self) -> str:
        """Take the steps since the last state again, with the engine's checks of every operation.

        On its way there training does not pay for these checks.
        """
        last = self.step
        self.restore()
        try:
            with debug():
                while self.step < last:
                    for _ in self._intervals(lambda: False):
                        pass
                self.medium.validate(self.model, self.data)
        except FloatingPointError as error:
            return f"{error} (step {self.step + 1})"
        return "no operation makes it out of finite numbers"


def _prefix(player: str) -> str:
    """Of the names of what a player's optimisation has to remember."""
    return f"{player}." if player else ""
