"""Every density of images on the same digits, in one table: with 17 grey levels, and with 2."""

from __future__ import annotations

import dataclasses
import json
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure
from rich.console import Console

from autograd import backend
from scratchgen.data import digits
from scratchgen.data.images import requantise
from scratchgen.errors import RunError
from scratchgen.metrics import bits_per_dimension
from scratchgen.training import job, presets
from scratchgen.training.checkpoint import replacing
from scratchgen.training.media.images import IMAGES
from scratchgen.training.run import Run
from scratchgen.training.run_folder import RunFolder

LEVELS = (digits.LEVELS, 2)
SAMPLES = 64
COLUMNS = ("model", "nats", "bits/dim", "parameters", "training, s", f"{SAMPLES} samples, s")


@dataclass(frozen=True)
class Row:
    """A model's figures on the test part of the digits."""

    model: str
    levels: int
    nats: float
    standard_error: float | None = None
    """Of the nats; None for what is no trained model, as are the others below."""
    importance_samples: int | None = None
    """From how many draws the nats are a bound; None if they are −ln p itself."""
    parameters: int | None = None
    training_seconds: float | None = None
    sampling_seconds: float | None = None

    @property
    def sign(self) -> str:
        """What stands before the nats."""
        return "" if self.importance_samples is None else "≤ "

    def cells(self) -> list[str]:
        """As text, for ``COLUMNS``."""
        error = "" if self.standard_error is None else f" ± {self.standard_error:.2f}"
        shape = digits.load().shape
        return [
            self.model,
            f"{self.sign}{self.nats:.2f}{error}",
            f"{bits_per_dimension(self.nats, math.prod(shape)):.3f}",
            "" if self.parameters is None else f"{self.parameters:,}",
            "" if self.training_seconds is None else f"{self.training_seconds:.0f}",
            "" if self.sampling_seconds is None else f"{self.sampling_seconds:.3f}",
        ]


def entrants() -> list[str]:
    """The models of which there can be a row: densities of images, trained on the digits.

    Those given the class of an image have an easier task, and are left out.
    """
    return [name for name, preset in presets.PRESETS.items() if _comparable(preset)]


def _comparable(preset: presets.Preset) -> bool:
    given = getattr(preset.config, "classes", 0) and not hasattr(preset.config, "labelled")
    return preset.density and preset.medium is IMAGES and preset.data == "digits" and not given


def rows(
    names: Sequence[str], changes: Sequence[str], seed: int, out: Path, console: Console
) -> Iterator[Row]:
    """A row for each model and number of levels, and for what any model should beat.

    What is in ``out`` already is read, and gone on with if it is not finished; the rest is trained.
    Raises RunError for a run in there of other settings.
    """
    for levels in LEVELS:
        for name, preset in presets.PRESETS.items():
            if name in names and {preset.levels, preset.compared_at} <= {None, levels}:
                console.print(f"{name}, {levels} levels", style="bold")
                yield _row(name, levels, changes, seed, out / f"{name}-{levels}", console)
        references = IMAGES.references(requantise(digits.load(), levels))
        yield from (Row(name, levels, nats) for name, nats in references.items())


def _row(
    name: str, levels: int, changes: Sequence[str], seed: int, path: Path, console: Console
) -> Row:
    folder, changes = RunFolder(path), [f"levels={levels}", *changes]
    if not folder.config.exists():
        set_each = " ".join(f"--set {change}" for change in changes)
        command = f"scratchgen train {name} {set_each} --seed {seed}"
        job.train(job.Job(name, changes, seed=seed, out=path, command=command), console)
    _check(Run.open(path), changes, seed)
    if "test_nats" not in (folder.read_metrics() or [{}])[-1]:
        job.resume(path, [], console)
    *_, last, test = folder.read_metrics()
    model = Run.open(path).model()
    start = time.perf_counter()
    backend.to_numpy(model.sample(SAMPLES, backend.default_rng(seed)))
    return Row(
        name,
        levels,
        test["test_nats"],
        test["test_nats_standard_error"],
        test["test_importance_samples"],
        sum(math.prod(x.shape) for x in model.parameters().values()),
        last["seconds"],
        time.perf_counter() - start,
    )


def _check(run: Run, changes: Sequence[str], seed: int) -> None:
    """Raise RunError unless it is the run that would have been made now."""
    preset = run.preset
    data = preset.medium.load(preset.data, run.config.levels)
    if (*preset.configured(data, changes), seed) != (run.config, run.settings, run.seed):
        raise RunError(
            f"{run.folder.path} was trained with other settings; choose another --out, or remove it"
        )


def ranked(found: Sequence[Row]) -> Iterator[tuple[int, list[Row]]]:
    """For each number of levels its rows, the best first."""
    for levels in LEVELS:
        yield levels, sorted((row for row in found if row.levels == levels), key=lambda r: r.nats)


def write(found: Sequence[Row], out: Path) -> list[Path]:
    """The table as Markdown, as a chart and as JSON; the paths of these."""
    paths = [out / f"leaderboard.{suffix}" for suffix in ("md", "png", "json")]
    with replacing(paths[0]) as path:
        path.write_text(_markdown(found), encoding="utf-8")
    with replacing(paths[1]) as path:
        _chart(found).savefig(path, format="png", dpi=100)
    with replacing(paths[2]) as path:
        records = [dataclasses.asdict(row) for row in found]
        path.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    return paths


def _markdown(found: Sequence[Row]) -> str:
    lines = []
    for levels, best in ranked(found):
        lines += ["| " + " | ".join((f"{levels} levels", *COLUMNS[1:])) + " |"]
        lines += ["| --- |" + " ---: |" * (len(COLUMNS) - 1)]
        lines += ["| " + " | ".join(row.cells()) + " |" for row in best]
        lines += [""]
    return "\n".join(lines)


def _chart(found: Sequence[Row]) -> Figure:
    """A point for each model's nats, the best on top, with twice its standard error either way.

    That of a bound is hollow.
    """
    most = max(sum(row.levels == levels for row in found) for levels in LEVELS)
    figure = Figure(figsize=(10, 1.5 + 0.25 * most), layout="constrained")
    for axes, (levels, best) in zip(figure.subplots(1, len(LEVELS)), ranked(found), strict=True):
        models = [row for row in reversed(best) if row.standard_error is not None]
        others = [f"{row.model} {row.nats:.1f}" for row in best if row.standard_error is None]
        for row in models:
            error, fill = 2 * (row.standard_error or 0), "white" if row.sign else "C0"
            axes.errorbar(row.nats, row.model, xerr=error, fmt="o", color="C0", mfc=fill, capsize=3)
        axes.set_title(f"{levels} levels ({', '.join(others)})", loc="left", fontsize=10)
        axes.set_xlabel("nats per image ± 2 standard errors (○: at most)")
        axes.grid(axis="x", alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    return figure
