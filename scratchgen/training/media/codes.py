"""Pictures of what a model's codes stand for: of each image a vector z, and of each z an image.

A model says which it has, ``pictures``. For these it needs ``mean_code(x, context) -> z (N, d)``
and ``mean(z, context) -> images``, and for reconstructions ``reconstruct(x, context) -> images``.
For translations it needs ``source(x)`` and ``translated(source, rng) -> images`` alone.
For factors it needs ``mean`` alone, of noise: ``noise(n, rng)`` is z, a category as a vector, and
codes from −1 to 1, of which the configuration has ``latents``, ``categories`` and ``codes``.
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


def _factors(path: Path, coded: Coded, n: int | None) -> None:
    """What category and codes stand for: each row of a grid is a category."""
    grids = {
        title: grid(coded.images(z, numpy.zeros(len(z), int)), coded.levels, z.shape[1])
        for title, z in factors(coded.model, n or STEPS).items()
    }
    height, width, _ = next(iter(grids.values())).shape
    size = (4.6 * len(grids), 0.5 + 4.4 * height / width)
    figure = Figure(figsize=size, layout="constrained")
    figure.supylabel("categories")
    axes = figure.subplots(1, len(grids), squeeze=False)[0]
    for one, (title, picture) in zip(axes, grids.items(), strict=True):
        one.imshow(picture)
        one.set_axis_off()
        one.set_title(title)
    save(figure, path)


def factors(model: Any, columns: int) -> dict[str, numpy.ndarray]:
    """Noise (categories, columns, d) for each grid, by its title.

    In the first, each column has other noise, all rows the same; in the others, one for each code
    but four at most, all have that of its first column, and that code goes from −1 to 1, others 0.
    """
    config = model.config
    noise = backend.to_numpy(model.noise(columns, backend.default_rng(0)))
    noise = numpy.tile(noise, (config.categories, 1, 1))
    codes = config.latents + config.categories  # where they begin
    noise[..., config.latents : codes] = numpy.eye(config.categories)[:, None]
    found = {"other noise in each column": noise}
    for number in range(min(config.codes, 4)):
        alike = noise[:, :1].repeat(columns, axis=1)
        alike[..., codes:] = 0
        alike[..., codes + number] = numpy.linspace(-1, 1, columns)
        found[f"code {number + 1} from −1 to 1"] = alike
    return found


def _translations(path: Path, coded: Coded, n: int | None) -> None:
    """In each row the source of an image, the image made of it, and the image.

    Of a model that goes both ways in the fourth place the source that it makes of that image.
    """
    model, x = coded.model, backend.asarray(coded.x[: n or 16])
    source = model.source(x)
    shown = [source, model.translated(source, backend.default_rng(0)), x]
    if hasattr(model, "translated_back"):
        shown.append(model.translated_back(x))
    rows = numpy.stack([backend.to_numpy(images) for images in shown], axis=1)
    save_grid(path, rows.reshape(-1, *rows.shape[2:]), coded.levels, columns=len(shown))


_PICTURES: dict[str, Callable[[Path, Coded, int | None], None]] = {
    "reconstructions": _reconstructions,
    "interpolations": _interpolations,
    "traversals": _traversals,
    "plane": _plane,
    "translations": _translations,
    "factors": _factors,
}
