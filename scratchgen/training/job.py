"""A whole training run: from the name of a model and a seed to a run folder."""

from __future__ import annotations

import contextlib
import dataclasses
import platform
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from rich.console import Console

import scratchgen
from autograd import backend
from scratchgen.config import assigned
from scratchgen.errors import RunError
from scratchgen.training import presets
from scratchgen.training.evaluation import evaluate
from scratchgen.training.media.medium import Request
from scratchgen.training.progress import ProgressBar
from scratchgen.training.report import page
from scratchgen.training.run import Run
from scratchgen.training.run_folder import RunFolder
from scratchgen.training.trainer import Trainer


@dataclass(frozen=True)
class Job:
    """What ``scratchgen train`` was asked for."""

    model: str
    changes: Sequence[str] = ()
    """Fields of the model's configuration or of the training settings, as "field=value"."""
    data: str | None = None
    """A data set by name or path; None for the one that the model comes with."""
    seed: int = 0
    dtype: str = "float32"
    out: Path | None = None
    """The run folder; None for a new one in ``runs``."""
    command: str = ""


def train(job: Job, console: Console) -> RunFolder:
    """Train on the current backend, evaluate on the test part, draw samples, and say so.

    The same job on the same backend and number of threads gives the same weights, bit for bit.
    Raises UsageError for what does not exist, RunError for what cannot be done, and on Ctrl-C
    Interrupted, after the state was saved.
    """
    preset = presets.find(job.model)
    levels = assigned(job.changes, "levels") or preset.levels
    data = preset.medium.load(job.data or preset.data, levels)
    config, settings = preset.configured(data, job.changes)
    folder = RunFolder.new(job.out) if job.out else RunFolder.numbered(Path("runs"), job.model)
    description = {
        "command": job.command,
        "model": job.model,
        "data": data.name,
        "seed": job.seed,
        "backend": backend.current(),
        "dtype": job.dtype,
        "medium": preset.medium.description(data),
        "config": dataclasses.asdict(config),
        "training": dataclasses.asdict(settings),
        "versions": {
            "scratchgen": scratchgen.__version__,
            "python": platform.python_version(),
            "numpy": numpy.__version__,
        },
    }
    folder.write_config(description)
    _train(Run(folder, description), data, console)
    return folder


def resume(path: Path, changes: Sequence[str], console: Console) -> RunFolder:
    """Go on with the run in that folder, from its last state, as :func:`train` would have.

    ``changes``: "epochs=…" or "steps=…", to train longer than was first asked for. The backend has
    to be the one that the run began on.
    """
    run = Run.open(path)
    if run.description["backend"] != backend.current():
        raise RunError(
            f"{path} was trained on the backend {run.description['backend']!r}; "
            f"go on with --backend {run.description['backend']}"
        )
    if changes:
        run = run.changed(changes)
        run.folder.write_config(run.description)
    _train(run, run.data(), console)
    return run.folder


def _train(run: Run, data: Any, console: Console) -> None:
    model = run.new_model()
    medium = run.medium.ready(model, data, run.folder.path)
    trainer = Trainer(model, medium, data, run.settings, run.seed, run.folder)
    trainer.restore()
    bar = ProgressBar(console, trainer.step, trainer.total, trainer.epochs, medium, data)
    with bar, _interruptions() as stop:
        trainer.run(bar, stop=stop)
    _finish(run, trainer, console)


@contextlib.contextmanager
def _interruptions() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed: the step under way is finished first. Pressed again, it ends."""
    asked = threading.Event()

    def ask(*_: Any) -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        asked.set()

    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set  # signals are the main thread's affair
        return
    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


def _finish(run: Run, trainer: Trainer, console: Console) -> None:
    """Evaluate the best weights on the test part, draw samples from them, write the report."""
    medium, data, folder = trainer.medium, trainer.data, trainer.folder
    figures = evaluate(trainer.model, medium, data, "test")
    folder.forget_metrics_after(trainer.step)  # a test figure from before the run was prolonged
    measured = {f"test_{name}": x for name, x in figures.record().items()}
    folder.add_metrics({"epoch": trainer.best_epoch, **measured})
    drawn: dict[str, str | None] = {"final": None} if medium.draws(trainer.model) else {}
    drawn |= {name: name for name in medium.shows(trainer.model)}
    paths = [folder.sample(name + medium.suffix) for name in drawn]
    for path, show in zip(paths, drawn.values(), strict=True):
        medium.draw(path, run, Request(seed=run.seed, show=show))
    result = [
        f"test: {figures.sentence(medium)} "
        f"({figures.count(medium)}, weights of epoch {trainer.best_epoch})"
    ]
    if compared := figures.comparison(medium, data):
        result.append(f"to compare: {compared}")
    folder.write_report(page(folder, medium, result))
    where = (f"samples: {paths[0]}", f"report: {folder.report}", f"run folder: {folder.path}")
    moving = [f"training: {trainer.animation.path}"] if trainer.animation.draws else []
    for line in (*moving, *result, *where):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
