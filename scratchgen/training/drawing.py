"""Pictures drawn by a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy

from autograd import backend
from scratchgen import data as datasets
from scratchgen.data.images import PARTS
from scratchgen.errors import RunError, UsageError
from scratchgen.training import presets
from scratchgen.training.pictures import save_grid
from scratchgen.training.run import Run


def samples(
    path: Path,
    run: Run,
    n: int,
    *,
    temperature: float = 1.0,
    seed: int = 0,
    label: int | None = None,
) -> None:
    """``n`` images, as one picture.

    Those of a class-conditional model are of the class ``label``, or of all of them in turn. Raises
    UsageError if there is no such class.
    """
    images = run.model().sample(
        n,
        backend.default_rng(seed),
        context=_labels(run, n, label),
        temperature=temperature,
    )
    save_grid(path, backend.to_numpy(images), run.config.levels)


def _labels(run: Run, n: int, label: int | None) -> Any:
    classes = getattr(run.config, "classes", 0)
    if label is not None and not 0 <= label < classes:
        there_are = f"0 to {classes - 1}" if classes else "none: it was not trained with any"
        raise UsageError(f"--label {label}: the model's classes are {there_are}")
    if not classes:
        return None
    return backend.asarray(numpy.arange(n) % classes if label is None else numpy.full(n, label))


def completions(
    path: Path,
    run: Run,
    n: int,
    given: str,
    half: str,
    *,
    temperature: float = 1.0,
    seed: int = 0,
) -> None:
    """Images, what is known of them, and their completions, in three columns.

    ``given`` is a part of the run's own data, or other data of the same form, by name or path, of
    which the test part is taken. Raises UsageError if there are fewer, RunError if they have
    another form.
    """
    images, labels = _given(run, given)
    if len(images) < n:
        raise UsageError(f"-n {n}: there are {len(images)} images in {given}")
    images = images[:n]
    known = known_half(half, run.config.height, run.config.width)
    completed = run.model().sample(
        n,
        backend.default_rng(seed),
        given=backend.asarray(images),
        known=backend.asarray(known),
        context=None if labels is None else backend.asarray(labels[:n]),
        temperature=temperature,
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
        return data.part(given), presets.labels_of(run.config, data, given)
    data = datasets.load(given, run.config.levels)
    try:
        presets.check_fits(run.config, data)
    except UsageError as error:
        raise RunError(f"--given {given}: the model draws other images: {error}") from error
    return data.test, presets.labels_of(run.config, data, "test")
