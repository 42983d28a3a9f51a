"""Pictures of what a model's codes stand for: of each image a vector z, and of each z an image.

A model says which it has, ``pictures``. For these it needs ``mean_code(x, context) -> z (N, d)``
and ``mean(z, context) -> images``, and for reconstructions ``reconstruct(x, context) -> images``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import scipy.special
from matplotlib.figure import Figure

from autograd import backend
from scratchgen.training.media.labels import given_labels
from scratchgen.training.pictures import grid, save_grid
from scratchgen.training.plots import save

if TYPE_CHECKING:
    from scratchgen.training.run import Run

STEPS = 10
"""Images of a row, from one end to the other."""

SIDE = 15
"""Images of a side of the plane."""


def shows(model: Any) -> tuple[str, ...]:
    """The pictures that there are of such a model."""
    names: tuple[str, ...] = getattr(model, "pictures", ())
    in_a_plane = "traversals" in names and model.config.latents == 2
    return (*names, "plane") if in_a_plane else names


def draw(path: Path, run: Run, model: Any, name: str, n: int | None) -> None:
    """The picture of that name, of images of the test part."""
    _PICTURES[name](path, run, model, n)


def _reconstructions(path: Path, run: Run, model: Any, n: int | None) -> None:
    """Images, and beside each the mean of what the model makes of its code."""
    x, labels = _images(run, model, n or 32)
    again = backend.to_numpy(model.reconstruct(x, labels))
    pairs = numpy.stack([backend.to_numpy(x), again], axis=1).reshape(-1, *again.shape[1:])
    save_grid(path, pairs, run.config.levels, columns=8)


def _interpolations(path: Path, run: Run, model: Any, n: int | None) -> None:
    """A row for each pair of images: their codes, and codes on the line between, as images.

    Of a class-conditional model both are of one class.
    """
    x, labels = _images(run, model, None)
    rows = n or 8
    first, second = _pairs(labels, len(x), rows)
    context = None if labels is None else labels[first].repeat(STEPS)
    a, b = (
        backend.to_numpy(model.mean_code(x[i], None if labels is None else labels[i]))
        for i in (first, second)
    )
    way = numpy.linspace(0, 1, STEPS)[None, :, None].astype(a.dtype)
    z = a[:, None] + way * (b - a)[:, None]  # (rows, STEPS, d)
    between = backend.to_numpy(model.mean(backend.asarray(z.reshape(-1, z.shape[-1])), context))
    save_grid(path, between, run.config.levels, columns=STEPS)


def _pairs(labels: Any, count: int, rows: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Indices of pairs of images, by chance with a fixed seed; with labels of one class each."""
    order = numpy.random.default_rng(0).permutation(count)
    if labels is None:
        return order[:rows], order[rows : 2 * rows]
    of = backend.to_numpy(labels)[order]
    found = [order[of == label][:2] for label in numpy.unique(of)[:rows]]
    return tuple(numpy.stack([pair for pair in found if len(pair) == 2], axis=1))  # type: ignore[return-value]


def _traversals(path: Path, run: Run, model: Any, n: int | None) -> None:
    """A row for each of the numbers of z that tell images apart most: it from −2.5 to 2.5.

    The others stay what they are in the code of one image.
    """
    x, labels = _images(run, model, None)
    codes = backend.to_numpy(model.mean_code(x, labels))
    most = numpy.argsort(-codes.var(axis=0))[: n or 8]
    z = numpy.tile(codes[0], (len(most), STEPS, 1))
    for row, number in enumerate(most):
        z[row, :, number] = numpy.linspace(-2.5, 2.5, STEPS)
    context = None if labels is None else labels[:1].repeat(len(most) * STEPS)
    images = model.mean(backend.asarray(z.reshape(-1, z.shape[-1])), context)
    save_grid(path, backend.to_numpy(images), run.config.levels, columns=STEPS)


def _plane(path: Path, run: Run, model: Any, n: int | None) -> None:
    """What two latent numbers stand for: at the quantiles of the prior images, and where codes lie.

    Kingma and Welling (2014), figure 4.
    """
    x, labels = _images(run, model, None)
    codes = backend.to_numpy(model.mean_code(x, labels))
    side = n or SIDE
    ticks = scipy.special.ndtri((numpy.arange(side) + 0.5) / side).astype(codes.dtype)
    z = numpy.stack(numpy.meshgrid(ticks, ticks[::-1]), -1).reshape(-1, 2)
    context = None if labels is None else labels[:1].repeat(len(z))
    images = backend.to_numpy(model.mean(backend.asarray(z), context))
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(grid(images, run.config.levels, side))
    left.set_axis_off()
    left.set_title(f"quantiles {0.5 / side:.3f} to {1 - 0.5 / side:.3f} of each latent number")
    shown = run.data().labels
    colour = None if shown is None else shown["test"][: len(codes)]
    points = right.scatter(codes[:, 0], codes[:, 1], c=colour, cmap="tab10", s=8)
    if colour is not None:
        figure.colorbar(points, ax=right, label="class")
    right.set_title("mean codes of the test part")
    right.set_aspect("equal")
    save(figure, path)


_PICTURES: dict[str, Callable[[Path, Run, Any, int | None], None]] = {
    "reconstructions": _reconstructions,
    "interpolations": _interpolations,
    "traversals": _traversals,
    "plane": _plane,
}


def _images(run: Run, model: Any, n: int | None) -> tuple[Any, Any]:
    """The first images of the test part, and their labels if the model is conditioned on these."""
    data = run.data()
    images, labels = data.test[:n], given_labels(run.config, data, "test")
    return backend.asarray(images), None if labels is None else backend.asarray(labels[:n])
