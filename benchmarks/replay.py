"""What it gains to replay a recorded step (:mod:`autograd.replay`), in turns with the same step.

The step is that of training: the loss of a batch, the backward pass, Adam. Replayed it is a
program without a graph, and elementwise results go to buffers that are planned once; not replayed
it is written down and walked back through each time. The numbers are the same. (Other backends
than NumPy replay nothing.)

Besides the times a row has

    calls             of which the program consists
    lines             of its source, with those that end a variable
    buffer_bytes      of the buffers that are planned for it
    recording_steps   how many steps, not replayed, take as long as the first three calls, in which
                      it is recorded, planned and written (and taken)
    pays_after        how many steps a training needs until it has gained more than that cost
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy

import autograd.numpy as np
from autograd import backend
from autograd.program import Program
from autograd.recording import record
from autograd.replay import recorded
from benchmarks import chart as charts
from benchmarks.bench import Options
from benchmarks.models import characters, pixelcnn, realnvp, vae
from benchmarks.timing import interleave, step_of
from scratchgen.errors import RunError
from scratchgen.models.autoregressive.characters import CharacterConfig, CharacterModel
from scratchgen.models.flows.spline import SplinePoints, SplinePointsConfig
from scratchgen.nn import MLP

COLUMNS = (
    "replayed, ms",
    "not, ms",
    "replayed / not",
    "quartiles",
    "calls",
    "buffers, KiB",
    "recording, steps",
    "pays after, steps",
)
NOT = "not replayed"
chart = charts.chart  # of the ratios
RATE = 1e-4  # the learning rate; low, for some batches are noise
RECORDED = 3  # calls, before replays begin
PLAIN = 3  # steps before the recording, whose median its cost is told in

Step = tuple[Callable[..., None], tuple[Any, Any]]
"""A step, and what to call it with."""


def _vae() -> Step:
    return step_of(vae.model_of(vae.CASE), vae.batch_of(vae.CASE), RATE)


def _realnvp() -> Step:
    return step_of(realnvp.model_of(realnvp.CASE), realnvp.batch_of(realnvp.CASE), RATE)


class _Regression:
    """A network of three hidden layers, and the mean square of what it puts out."""

    def __init__(self, width: int) -> None:
        self.network = MLP(width, 1, backend.default_rng(0), hidden=width, layers=3)
        self.parameters = self.network.parameters

    def loss(self, x: Any, _: Any) -> tuple[Any, dict[str, Any]]:
        return np.mean(self.network(x) ** 2), {}


def _mlp() -> Step:
    return step_of(_Regression(64), _normal(32, 64), RATE)


def _spline() -> Step:
    return step_of(
        SplinePoints(SplinePointsConfig(), backend.default_rng(0)), _normal(256, 2), RATE
    )


def _pixelcnn() -> Step:
    case = pixelcnn.Case(64, 8, 17)
    return step_of(pixelcnn.model_of(case), pixelcnn.batch_of(case), RATE)


def _characters() -> Step:
    case = characters.Case(CharacterConfig())
    model = CharacterModel(case.config, backend.default_rng(0))
    return step_of(model, (*characters.batch_of(case), model.start(case.texts)), RATE)


def _normal(*shape: int) -> numpy.ndarray:
    return numpy.random.default_rng(0).standard_normal(shape, "float32")


STEPS: dict[str, tuple[str, Callable[[], Step]]] = {
    "vae": ("VAE 784-400-20, batch 128", _vae),
    "realnvp": ("Real NVP, 8 couplings, hidden 64, batch 256", _realnvp),
    "mlp": ("MLP 3x64, batch 32", _mlp),
    "spline": ("spline flow in the plane, batch 256", _spline),
    "pixelcnn": ("PixelCNN, 64x8x8, 17 levels", _pixelcnn),
    "lstm": ("2 x LSTM 256, 32x64 characters", _characters),
}

ALL = tuple(STEPS)
"""The names that may follow the command."""


def rows(options: Options) -> Iterator[dict[str, Any]]:
    """A row for each step. Raises RunError if one cannot be replayed."""
    chosen = options.names or ALL
    for done, which in enumerate(chosen):
        name, made = STEPS[which]
        options.began(name, done, len(chosen))
        yield {"name": f"{name}: step", **_row(name, made, options.seconds)}


def _row(name: str, made: Callable[[], Step], seconds: float) -> dict[str, Any]:
    step, args = made()
    plain_ms = statistics.median(_ms(partial(step, *args)) for _ in range(1 + PLAIN))
    replayed = recorded(step)
    recording_ms = sum(_ms(partial(replayed, *args)) for _ in range(RECORDED))
    if replayed.refusal is not None:
        raise RunError(f"{name}: the step is not replayed: {replayed.refusal}")
    about = _about(step, args, replayed.source)
    other, others = made()  # of its own weights, for they stay where they are
    peers = {NOT: {"": partial(other, *others)}}
    (timed,) = interleave(partial(replayed, *args), peers, seconds)
    gain = timed["peer_ms"] - timed["ours_ms"]
    return {
        "backend": backend.current(),
        **timed,
        **about,
        "recording_steps": recording_ms / plain_ms,
        "pays_after": (recording_ms - RECORDED * plain_ms) / gain if gain > 0 else None,
    }


def _about(step: Callable[..., None], args: tuple[Any, Any], source: str) -> dict[str, int]:
    """Of the program: its calls, its lines, the bytes of its buffers."""
    lines = [line.strip() for line in source.splitlines() if not line.startswith("#")]
    begins = ("def ", "del ", "return ")
    calls = [line for line in lines if not line.startswith(begins) and not line.endswith("= []")]
    recording, _ = record(step, args)
    size = Program(recording).bytes
    return {"calls": len(calls), "lines": len(lines), "buffer_bytes": size}


def _ms(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return 1e3 * (time.perf_counter() - start)


def cells(row: dict[str, Any]) -> list[str]:
    """A row as text, for ``COLUMNS``."""
    low, high = row["spread"]
    after = "never" if row["pays_after"] is None else str(math.ceil(max(0.0, row["pays_after"])))
    return [
        f"{row['ours_ms']:.3g}",
        f"{row['peer_ms']:.3g}",
        f"{row['ratio']:.2f}",
        f"{low:.2f} to {high:.2f}",
        str(row["calls"]),
        f"{row['buffer_bytes'] / 1024:.0f}",
        f"{row['recording_steps']:.1f}",
        after,
    ]
