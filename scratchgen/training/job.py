"""A whole training run: from the name of a model and a seed to a run folder."""

from __future__ import annotations

import dataclasses
import math
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from rich.console import Console

import scratchgen
from autograd import backend
from scratchgen import metrics
from scratchgen.config import override
from scratchgen.data import ImageData
from scratchgen.errors import UsageError
from scratchgen.training import presets
from scratchgen.training.evaluation import mean_nats
from scratchgen.training.pictures import save_grid
from scratchgen.training.progress import ProgressBar
from scratchgen.training.run_folder import RunFolder
from scratchgen.training.trainer import Trainer

SAMPLES = 64
"""How many images the picture of samples shows."""


@dataclass(frozen=True)
class Job:
    """What ``scratchgen train`` was asked for."""

    model: str
    changes: Sequence[str] = ()
    """Fields of the model's configuration or of the training settings, as "field=value"."""
    seed: int = 0
    out: Path | None = None
    """The run folder; None for a new one in ``runs``."""
    command: str = ""


def train(job: Job, console: Console) -> RunFolder:
    """Train on the current backend, evaluate on the test part, draw samples, and say so.

    The same job on the same backend and number of threads gives the same weights, bit for bit.
    Raises UsageError for what does not exist, RunError for what cannot be done, and on Ctrl-C
    Interrupted, with the best weights so far in the run folder.
    """
    preset = presets.find(job.model)
    config, settings = override([preset.config, preset.training], job.changes)
    data = preset.data()
    check_fits(config, data)
    rng = backend.default_rng(job.seed)
    model = preset.model(config, rng)
    folder = RunFolder(job.out) if job.out else RunFolder.numbered(Path("runs"), job.model)
    folder.write_config(_description(job, config, settings, data))
    trainer = Trainer(model, data, settings, rng, folder)
    with ProgressBar(console, trainer.total, trainer.epochs, math.prod(data.shape)) as bar:
        trainer.run(bar)
    _finish(trainer, job.seed, console)
    return folder


def check_fits(config: Any, data: ImageData) -> None:
    """Raise UsageError unless the model is one of images like those of ``data``."""
    height, width, _ = data.shape
    for name, value in {"height": height, "width": width, "levels": data.levels}.items():
        if getattr(config, name) != value:
            raise UsageError(
                f"{name}={getattr(config, name)}: the images of {data.name} have {name} {value}"
            )


def _description(job: Job, config: Any, settings: Any, data: ImageData) -> dict[str, Any]:
    return {
        "command": job.command,
        "model": job.model,
        "data": data.name,
        "seed": job.seed,
        "backend": backend.current(),
        "config": dataclasses.asdict(config),
        "training": dataclasses.asdict(settings),
        "versions": {
            "scratchgen": scratchgen.__version__,
            "python": platform.python_version(),
            "numpy": numpy.__version__,
        },
    }


def _finish(trainer: Trainer, seed: int, console: Console) -> None:
    """Evaluate the best weights on the test part, and draw samples from them."""
    model, data, folder = trainer.model, trainer.data, trainer.folder
    nats = mean_nats(model, data.test)
    bits = metrics.bits_per_dimension(nats, math.prod(data.shape))
    folder.add_metrics(
        {"epoch": trainer.best_epoch, "test_nats": nats, "test_bits_per_dimension": bits}
    )
    samples = backend.to_numpy(model.sample(SAMPLES, backend.default_rng(seed)))
    picture = folder.picture("final")
    save_grid(picture, samples, data.levels)
    uniform = metrics.uniform_nats(data.shape, data.levels)
    independent = metrics.independent_nats(data.train, data.test, data.levels)
    for line in (
        f"test: {nats:.2f} nats per image, {bits:.3f} bits per dimension "
        f"({len(data.test)} images, weights of epoch {trainer.best_epoch})",
        f"to compare: independent pixels {independent:.2f} nats, uniform {uniform:.2f}",
        f"samples: {picture}",
        f"run folder: {folder.path}",
    ):
        console.print(line, highlight=False, soft_wrap=True, markup=False)
