"""What a training step costs as its problem grows: time and memory against size, with exponents.

Of each model one size is doubled again and again, all else staying as it is, and a step (the loss,
the backward pass, Adam) is timed on batches of noise. A power law c · n^p is then fitted to the
times by least squares in logarithms. In theory p is known for large n: products of matrices take
nearly all of the time by then, and their sizes tell.

The exponent given is that of the larger half of the sizes. A small step costs what it takes to call
operations, however little they compute, so that over all sizes p comes out too low (it is given
too, as ``exponent_of_all``): 0.4 says nothing about what a yet larger step will take. Where p is
below the expected even so, fixed costs have not become small yet; the time for each of the n^p
units (``unit_us``) shows whether they still do.

Memory is the most that a step takes: the buffers that a recorded one works in, and what it makes
anew. Weights and Adam's averages are not counted. It is measured in other calls, as to follow each
allocation takes time.
"""

from __future__ import annotations

import gc
import importlib
import math
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy

from autograd import backend
from benchmarks.bench import Options, Program
from benchmarks.timing import interleave, training_step
from scratchgen.models.autoregressive.characters import CharacterConfig, CharacterModel
from scratchgen.models.autoregressive.pixelcnn import PixelCNN, PixelCNNConfig
from scratchgen.models.autoregressive.wavenet import WaveNet, WaveNetConfig
from scratchgen.models.flows.realnvp import RealNVPPoints, RealNVPPointsConfig
from scratchgen.models.latent.vae import VAE, VAEConfig

COLUMNS = ("ms", "MiB", "µs a unit", "time ~", "of all", "expected", "memory ~", "expected")
ROUNDS = 3  # over all sizes of a line: a machine's speed drifts, and they are to be compared
PART = 0.5  # of the seconds asked for is spent on each size: there are forty
RATE = 1e-4  # the learning rate; low, for the batches are noise


# ----------------------------------------------------------------------------------------- lines


@dataclass(frozen=True)
class Line:
    """A model whose ``axis`` takes the ``values``; ``made`` is a model and a batch of such a size.

    ``expected``: the exponents of time and memory for large values.
    """

    model: str
    axis: str
    values: tuple[int, ...]
    made: Callable[[int], tuple[Any, Any]]
    expected: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.model}: {self.axis}"


def _vae(batch: int = 128, hidden: int = 400) -> tuple[Any, Any]:
    config = VAEConfig(28, 28, levels=2, latents=20, hidden=hidden, dropout=0.0)
    return VAE(config, backend.default_rng(0)), _noise(2, (batch, 28, 28, 1))


def _pixelcnn(batch: int, side: int, blocks: int = 6) -> tuple[Any, Any]:
    config = PixelCNNConfig(side, side, levels=17, blocks=blocks)
    return PixelCNN(config, backend.default_rng(0)), _noise(17, (batch, side, side, 1))


def _characters(length: int = 64, width: int = 256) -> tuple[Any, Any]:
    config = CharacterConfig(width=width, window=length)
    model, texts = CharacterModel(config, backend.default_rng(0)), 32
    previous, targets = (_noise(config.characters, (texts, length)) for _ in range(2))
    return model, (previous, targets, model.start(texts))


def _wavenet(length: int) -> tuple[Any, Any]:
    config = WaveNetConfig()
    return WaveNet(config, backend.default_rng(0)), _noise(config.levels, (4, length))


def _realnvp(couplings: int) -> tuple[Any, Any]:
    model = RealNVPPoints(RealNVPPointsConfig(couplings=couplings), backend.default_rng(0))
    points = numpy.random.default_rng(0).standard_normal((256, 2), "float32")
    return model, backend.asarray(points)


def _noise(levels: int, shape: tuple[int, ...]) -> Any:
    return backend.asarray(numpy.random.default_rng(0).integers(levels, size=shape))


LINES = {
    "vae-batch": Line(
        "VAE 784-400-20", "batch", (64, 128, 256, 512, 1024), lambda n: _vae(batch=n), (1, 1)
    ),
    "vae-width": Line(  # there is one hidden layer, between the image and the code: n weights each
        "VAE 784-n-20, batch 128",
        "width",
        (100, 200, 400, 800, 1600),
        lambda n: _vae(hidden=n),
        (1, 1),
    ),
    "pixelcnn-resolution": Line(  # the sides of images, of n² pixels
        "PixelCNN, batch 8", "resolution", (4, 8, 16, 32), lambda n: _pixelcnn(8, n), (2, 2)
    ),
    "pixelcnn-depth": Line(
        "PixelCNN, 64x8x8", "depth", (2, 4, 8, 16, 32), lambda n: _pixelcnn(64, 8, n), (1, 1)
    ),
    "lstm-length": Line(
        "2 x LSTM 256, 32 texts",
        "length",
        (8, 16, 32, 64, 128),
        lambda n: _characters(length=n),
        (1, 1),
    ),
    "lstm-width": Line(  # n² weights; what is kept of 32 · 64 characters, n each, takes more memory
        "2 x LSTM n, 32x64",
        "width",
        (32, 64, 128, 256, 512),
        lambda n: _characters(width=n),
        (2, 1),
    ),
    "wavenet-length": Line(
        "WaveNet, 20 layers, batch 4", "length", (250, 500, 1000, 2000, 4000), _wavenet, (1, 1)
    ),
    "realnvp-depth": Line("Real NVP, batch 256", "depth", (2, 4, 8, 16, 32), _realnvp, (1, 1)),
}

ALL = tuple(LINES)
"""The names that may follow the command."""


# ---------------------------------------------------------------------------------------- timing


def rows(options: Options) -> Iterator[dict[str, Any]]:
    """A row for each size of each line, the exponents of its line with it: two minutes at most."""
    lines = [LINES[name] for name in options.names or ALL]
    work = [(name, line) for line in lines for name in options.backends]
    for done, (name, line) in enumerate(work):
        options.began(f"{line} ({name})", done, len(work))
        with backend.using(name):
            yield from measured(line, PART * options.seconds)


def measured(line: Line, seconds: float) -> list[dict[str, Any]]:
    """The rows of one line, on the current backend; ``seconds`` for the times of each."""
    programs = {value: training_step(*line.made(value), RATE) for value in line.values}
    memory = {value: peak_mib(program) for value, program in programs.items()}
    times = _times(programs, seconds)
    fitted = _fitted(line, times, memory)
    return [_row(line, value, times[value], memory[value], fitted) for value in line.values]


def _times(programs: Mapping[int, Program], seconds: float) -> dict[int, float]:
    """Milliseconds that a call of each takes."""
    device = "cuda" if backend.current() == "cupy" else "cpu"
    found: dict[int, list[float]] = {value: [] for value in programs}
    for _ in range(ROUNDS):
        for value, program in programs.items():
            (row,) = interleave(program, {}, seconds / ROUNDS, min_turns=2, device=device)
            found[value].append(row["ours_ms"])
    return {value: float(numpy.median(times)) for value, times in found.items()}


def _row(
    line: Line, value: int, ms: float, memory: float, fitted: dict[str, float]
) -> dict[str, Any]:
    return {
        "name": f"{line} {value}",
        "backend": backend.current(),
        "model": line.model,
        "axis": line.axis,
        "value": value,
        "ours_ms": ms,
        "memory_mib": memory,
        "unit_us": 1e3 * ms / value ** line.expected[0],
        **fitted,
        **dict.fromkeys(("peer", "family", "peer_ms", "ratio", "spread")),
    }


def cells(row: dict[str, Any]) -> list[str]:
    """A row as text, for ``COLUMNS``."""
    time, of_all, memory = (
        f"{row[name]:.2f}" for name in ("exponent", "exponent_of_all", "memory_exponent")
    )
    measured = [f"{row[name]:.3g}" for name in ("ours_ms", "memory_mib", "unit_us")]
    expected = [str(row[name]) for name in ("expected", "memory_expected")]
    return [*measured, time, of_all, expected[0], memory, expected[1]]


# ------------------------------------------------------------------------------------- exponents


def _fitted(
    line: Line, times: Mapping[int, float], memory: Mapping[int, float]
) -> dict[str, float]:
    larger = line.values[len(line.values) // 2 :]
    return {
        "exponent": exponent(larger, [times[value] for value in larger]),
        "exponent_of_all": exponent(line.values, [times[value] for value in line.values]),
        "expected": line.expected[0],
        "memory_exponent": exponent(larger, [memory[value] for value in larger]),
        "memory_expected": line.expected[1],
    }


def exponent(sizes: Sequence[float], costs: Sequence[float]) -> float:
    """p of cost = c · size^p: the slope of ln cost over ln size, by least squares."""
    x, y = numpy.log(sizes), numpy.log(costs)
    x = x - x.mean()
    return float(x @ y / (x @ x))


# ---------------------------------------------------------------------------------------- memory


def peak_mib(program: Program) -> float:
    """The most memory that a call works in, in MiB: what it allocates, and what the last one kept.

    On a CPU as Python's own allocators and NumPy report it, on a GPU as CuPy's pool hands it out.
    """
    program()  # what the first call makes to keep is not a step's
    if backend.current() == "cupy":
        return _peak_on_device(program)
    tracemalloc.start()
    try:
        program()  # a recorded step has its buffers from here on
        gc.collect()
        tracemalloc.reset_peak()
        program()
        return tracemalloc.get_traced_memory()[1] / 2**20
    finally:
        tracemalloc.stop()


def _peak_on_device(program: Program) -> float:
    hook: Any = importlib.import_module("cupy").cuda.MemoryHook

    class Peak(hook):
        name = "peak"
        now = most = 0

        def malloc_postprocess(self, mem_size: int, **_: Any) -> None:
            self.now += mem_size
            self.most = max(self.most, self.now)

        def free_postprocess(self, mem_size: int, **_: Any) -> None:
            self.now -= mem_size

    with Peak() as peak:
        program()
    return peak.most / 2**20


# ----------------------------------------------------------------------------------------- chart


def chart(rows: Sequence[dict[str, Any]], file: str) -> None:
    """Write time and memory over each axis to ``file``, in logarithms: a panel for each line."""
    figure_of: Any = importlib.import_module("matplotlib.figure").Figure
    lines = list(dict.fromkeys((row["model"], row["axis"]) for row in rows))
    across = min(4, len(lines))
    down = math.ceil(len(lines) / across)
    figure = figure_of(figsize=(3.4 * across, 2.9 * down), layout="constrained")
    for i, (model, axis) in enumerate(lines):
        panel = figure.add_subplot(down, across, i + 1, xscale="log", yscale="log")
        panel.set(title=model, xlabel=axis, ylabel="ms, MiB")
        of_line = [row for row in rows if (row["model"], row["axis"]) == (model, axis)]
        for name in dict.fromkeys(row["backend"] for row in of_line):
            _draw(panel, name, [row for row in of_line if row["backend"] == name])
        panel.legend(fontsize="x-small")
    figure.savefig(file, dpi=120)


def _draw(panel: Any, name: str, points: Sequence[dict[str, Any]]) -> None:
    values = [row["value"] for row in points]
    for what, cost, power, style in (
        ("ms", "ours_ms", "exponent", "o-"),
        ("MiB", "memory_mib", "memory_exponent", "s--"),
    ):
        label = f"{what}, {name}: n^{points[0][power]:.2f}"
        panel.plot(values, [row[cost] for row in points], style, label=label, markersize=4)
    panel.set_xticks(values, [str(value) for value in values])
    panel.set_xticks([], minor=True)
