"""What the character LSTM learns, beside the same in PyTorch, from the same text in the same order.

Both begin with the same weights and are trained by the settings of ``scratchgen train charlstm``,
as many steps as it takes, but for validations. Then both are measured on the whole validation part.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy

from benchmarks.bench import Options
from benchmarks.models.characters import InTorch, Ours
from scratchgen.data import text
from scratchgen.optim import cosine, linear_warmup
from scratchgen.training import presets

COLUMNS = ("bits per character", "training, s")
PIECES = 64  # that the validation part is cut into


def rows(options: Options) -> Iterator[dict]:
    """A row for each of the two. Steps are counted, not seconds."""
    import torch

    data, preset = text.load(), presets.find("charlstm")
    config, settings = preset.configured(data, [])
    steps = settings.epochs * settings.epoch_steps
    learners: dict[str, Ours | InTorch]
    learners = {"here": Ours(config), "PyTorch": InTorch(torch, config)}
    for done, (name, learner) in enumerate(learners.items()):
        options.began(f"{name}, {steps} steps", done, len(learners))
        windows = _windows(learner, data.train, settings.batch_size)
        start = time.perf_counter()
        for step in range(steps):
            factor = linear_warmup(step, settings.warmup) * cosine(step, steps)
            previous, targets = next(windows)
            learner.step(previous, targets, settings.learning_rate * factor)
        spent = time.perf_counter() - start
        bits = _bits(learner, data.validation)
        yield {"name": f"{name}, {steps} steps", "bits_per_character": bits, "training_s": spent}


def cells(row: dict) -> list[str]:
    """A row as text, for ``COLUMNS``."""
    return [f"{row['bits_per_character']:.4f}", f"{row['training_s']:.0f}"]


def _windows(learner: Ours | InTorch, codes: numpy.ndarray, texts: int) -> Iterator[tuple]:
    """(previous, targets) of all whole windows of ``texts`` equal parts of a text, for ever.

    The learner's state starts anew with the texts.
    """
    config = learner.config
    length = len(codes) // texts // config.window * config.window
    targets = codes[: len(codes) // texts * texts].reshape(texts, -1)[:, :length].astype(int)
    nothing = numpy.full((texts, 1), config.characters)
    previous = numpy.concatenate([nothing, targets[:, :-1]], axis=1)
    while True:
        learner.restart()
        for first in range(0, length, config.window):
            part = slice(first, first + config.window)
            yield previous[:, part], targets[:, part]


def _bits(learner: Ours | InTorch, codes: numpy.ndarray) -> float:
    """Mean −log₂ p of a character, without the last window of each piece."""
    count = len(codes) // PIECES // learner.config.window
    windows = _windows(learner, codes, PIECES)
    nats = [learner.nats(*next(windows)) for _ in range(count)]
    return float(numpy.mean(nats)) / math.log(2)
