"""Pictures of what a model's codes stand for: of each image a vector z, and of each z an image.

A model says which it has, ``pictures``. For these it needs ``mean_code(x, context) -> z (N, d)``
and ``mean(z, context) -> images``, and for reconstructions ``reconstruct(x, context) -> images``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
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
    _PICTURES[name](path, Coded(run, model), n)


class Coded:
    """A model, and the images of the test part, to and from codes, all in the host's memory."""

    def __init__(self, run: Run, model: Any) -> None:
        data = run.data()
        self.model, self.x, self.levels = model, data.test, data.levels
        self.shown = None if data.labels is None else data.labels["test"]
        """The class of each, if it is known."""
        self.labels = given_labels(run.config, data, "test")
        """What the model is told of it; None if nothing."""

    def labels_of(self, which: Any) -> Any:
        """The labels of some of the images, on the device; None for a model without classes."""
        return None if self.labels is None else backend.asarray(self.labels[which])

    def codes(self, which: Any) -> numpy.ndarray:
        """The codes (n, d) of some of the images."""
        x = backend.asarray(self.x[which])
        return backend.to_numpy(self.model.mean_code(x, self.labels_of(which)))

    def images(self, z: numpy.ndarray, of: numpy.ndarray) -> numpy.ndarray:
        """What codes z (rows, n, d) stand for, each row with the label of an image: (rows · n, …).

        ``of``: the numbers of these images, (rows,).
        """
        rows, n, d = z.shape
        labels = self.labels_of(of.repeat(n))
        return backend.to_numpy(self.model.mean(backend.asarray(z.reshape(rows * n, d)), labels))


def _reconstructions(path: Path, coded: Coded, n: int | None) -> None:
    """Images, and beside each the mean of what the model makes of its code."""
    x = coded.x[: n or 32]
    labels = coded.labels_of(slice(len(x)))
    again = backend.to_numpy(coded.model.reconstruct(backend.asarray(x), labels))
    pairs = numpy.stack([x, again], axis=1).reshape(-1, *again.shape[1:])
    save_grid(path, pairs, coded.levels, columns=8)


def _interpolations(path: Path, coded: Coded, n: int | None) -> None:
    """A row for each pair of images: their codes, and codes on the line between, as images.

    Of a class-conditional model both are of one class.
    """
    first, second = pairs(coded.labels, len(coded.x), n or 8)
    a, b = coded.codes(first)[:, None], coded.codes(second)[:, None]
    way = numpy.linspace(0, 1, STEPS)[:, None].astype(a.dtype)
    between = coded.images(a + way * (b - a), first)  # (rows, STEPS, d)
    save_grid(path, between, coded.levels, columns=STEPS)


def pairs(labels: Any, count: int, rows: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Indices of pairs of images, by chance with a fixed seed; with labels of one class each.

    Where there are too few images they come again, an image alone in its class with itself.
    """
    order = numpy.random.default_rng(0).permutation(count)
    if labels is None:
        order = numpy.resize(order, 2 * rows)
        return order[:rows], order[rows:]
    alike = [order[labels[order] == label] for label in numpy.unique(labels)[:rows]]
    found = numpy.stack([numpy.resize(of_class, 2) for of_class in alike])
    return found[:, 0], found[:, 1]


def _traversals(path: Path, coded: Coded, n: int | None) -> None:
    """A row for each of the numbers of z that tell images apart most: it over the range of codes.

    The others stay what they are in the code of the first image.
    """
    codes = coded.codes(slice(None))
    most = numpy.argsort(-codes.var(axis=0))[: n or 8]
    z = numpy.tile(codes[0], (len(most), STEPS, 1))
    for row, number in enumerate(most):
        z[row, :, number] = numpy.linspace(codes[:, number].min(), codes[:, number].max(), STEPS)
    save_grid(path, coded.images(z, numpy.zeros(len(most), int)), coded.levels, columns=STEPS)


def _plane(path: Path, coded: Coded, n: int | None) -> None:
    """What two latent numbers stand for: at the quantiles of codes images, and where codes lie.

    As in Kingma and Welling (2014), figure 4, but for the quantiles, which there are the prior's:
    not every model has a prior, and few images' codes lie where it has its tails.
    """
    codes, side = coded.codes(slice(None)), n or SIDE
    middle = (numpy.arange(side) + 0.5) / side
    across, up = numpy.quantile(codes, middle, axis=0).T.astype(codes.dtype)
    z = numpy.stack(numpy.meshgrid(across, up[::-1]), -1)  # (side, side, 2)
    figure = Figure(figsize=(11, 5.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(grid(coded.images(z, numpy.zeros(side, int)), coded.levels, side))
    left.set_axis_off()
    left.set_title(f"at quantiles {0.5 / side:.3f} to {1 - 0.5 / side:.3f} of the codes' numbers")
    classes = coded.shown
    colours = {} if classes is None else {"c": classes, "cmap": "tab10"}
    points = right.scatter(codes[:, 0], codes[:, 1], s=8, **colours)
    if classes is not None:
        figure.colorbar(points, ax=right, label="class")
    right.set_title("mean codes of the test part")
    right.set_aspect("equal")
    save(figure, path)


_PICTURES: dict[str, Callable[[Path, Coded, int | None], None]] = {
    "reconstructions": _reconstructions,
    "interpolations": _interpolations,
    "traversals": _traversals,
    "plane": _plane,
}
