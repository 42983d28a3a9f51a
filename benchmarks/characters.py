"""A training step of the character models, against the same in PyTorch.

A step goes from a window of each text to the changed weights: the loss, from the state that the
window before left, the backward pass, gradients clipped, and Adam. PyTorch gets its own fused LSTM
or GRU and its fused Adam; it is timed on one thread and on two, and the faster one counts.

The two begin with the same weights, and that they are one model is checked: the same loss. (What
they learn from a text is compared in :mod:`benchmarks.learning`.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy

from autograd import backend, no_grad
from benchmarks.timing import against
from scratchgen.models.autoregressive.characters import CharacterConfig, CharacterModel
from scratchgen.optim import Adam, clip_by_norm

TEXTS, STEPS = 32, 64  # of a window
CLIP = 1.0  # the largest norm of the gradient


def rows(seconds: float = 2.0) -> Iterator[dict]:
    """One row for each cell, timed in turns with PyTorch if it is installed."""
    for cell in ("lstm", "gru"):
        config = CharacterConfig(cell=cell)
        name = f"{config.layers} x {cell.upper()} {config.width}, {TEXTS}x{STEPS}"
        yield against(name, ours(config), peers(config), seconds)


def _batch(config: CharacterConfig) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Noise in place of text, the same at each step."""
    rng = numpy.random.default_rng(0)
    previous, targets = rng.integers(config.characters, size=(2, TEXTS, STEPS))
    return previous, targets


def ours(config: CharacterConfig) -> Callable[[], None]:
    """The step as a program of this library."""
    learner, batch = Ours(config), _batch(config)
    return lambda: learner.step(*batch, 1e-4)


def peers(config: CharacterConfig) -> dict[str, Callable[[], None]]:
    """The step in PyTorch on one thread and on two; nothing if it is not installed."""
    try:
        import torch
    except ImportError:
        return {}
    return {f"torch eager, {count} threads": _in_torch(torch, config, count) for count in (1, 2)}


def _in_torch(torch: Any, config: CharacterConfig, threads: int) -> Callable[[], None]:
    learner, batch = InTorch(torch, config), _batch(config)
    _check(Ours(config), learner, batch)

    def run() -> None:
        torch.set_num_threads(threads)
        learner.step(*batch, 1e-4)

    return run


def _check(ours: Ours, theirs: InTorch, batch: tuple[numpy.ndarray, numpy.ndarray]) -> None:
    for _ in range(2):  # the second time from the state that the first has left
        expected, found = ours.nats(*batch), theirs.nats(*batch)
        assert math.isclose(found, expected, rel_tol=1e-5), (found, expected)
    ours.restart()
    theirs.restart()


# ---------------------------------------------------------------------------------- learners


class Ours:
    """A model in training, and the state that the last window has left."""

    def __init__(self, config: CharacterConfig) -> None:
        self.config = config
        self.model = CharacterModel(config, backend.default_rng(0))
        self.optimiser = Adam(self.model.parameters().values())
        self.restart()

    def restart(self) -> None:
        """The next window begins its texts."""
        self.state: list[Any] | None = None

    def step(self, previous: numpy.ndarray, targets: numpy.ndarray, rate: float) -> None:
        self._loss(previous, targets).backward()
        clip_by_norm(self.optimiser.flat, CLIP)
        self.optimiser.learning_rate = rate
        self.optimiser.step()

    def nats(self, previous: numpy.ndarray, targets: numpy.ndarray) -> float:
        """−ln p per character of a window, read without learning."""
        with no_grad():
            return self._loss(previous, targets).item()

    def _loss(self, previous: numpy.ndarray, targets: numpy.ndarray) -> Any:
        before = self.model.start(len(targets)) if self.state is None else self.state
        batch = backend.asarray(previous), backend.asarray(targets), before
        loss, metrics = self.model.loss(batch, None)
        self.state = metrics["state"]
        return loss


class InTorch:
    """The same in PyTorch, with the same values to begin with."""

    def __init__(self, torch: Any, config: CharacterConfig) -> None:
        self.torch, self.config = torch, config
        sizes = config.embedding, config.width, config.layers
        self.embedding = torch.nn.Embedding(config.characters + 1, config.embedding)
        kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[config.cell]
        self.layers = kind(*sizes, batch_first=True)
        self.output = torch.nn.Linear(config.width, config.characters)
        self._load(Ours(config).model.values())
        parts = (self.embedding, self.layers, self.output)
        self.parameters = [x for part in parts for x in part.parameters() if x.requires_grad]
        self.optimiser = torch.optim.Adam(self.parameters, fused=True)
        self.restart()

    def _load(self, values: dict[str, numpy.ndarray]) -> None:
        loaded = {
            self.embedding.weight: values["embedding.weight"],
            self.output.weight: values["output.weight"].T,
            self.output.bias: values["output.bias"],
        }
        for i in range(self.config.layers):
            ours = {name: values.get(f"layers.{i}.{name}") for name in _OF_A_LAYER}
            theirs = {name: getattr(self.layers, f"{name}_l{i}") for name in _OF_A_TORCH_LAYER}
            loaded[theirs["weight_ih"]] = ours["weight_x"].T
            loaded[theirs["weight_hh"]] = ours["weight_h"].T
            loaded[theirs["bias_ih"]] = ours["bias"]
            self._second_bias(theirs["bias_hh"])
        with self.torch.no_grad():
            for parameter, value in loaded.items():
                parameter.copy_(self.torch.from_numpy(value.copy()))

    def _second_bias(self, bias: Any) -> None:
        """Zeros, to which what would only add to the first bias is fixed; of a GRU, n learns."""
        self.torch.nn.init.zeros_(bias)
        if self.config.cell == "lstm":
            bias.requires_grad_(False)
        else:
            learns = self.torch.arange(len(bias)) >= 2 * self.config.width
            bias.register_hook(lambda gradient: gradient * learns)

    def restart(self) -> None:
        """The next window begins its texts."""
        self.state: Any = None

    def step(self, previous: numpy.ndarray, targets: numpy.ndarray, rate: float) -> None:
        self.optimiser.zero_grad()
        self._loss(previous, targets).backward()
        self.torch.nn.utils.clip_grad_norm_(self.parameters, CLIP)
        self.optimiser.param_groups[0]["lr"] = rate
        self.optimiser.step()

    def nats(self, previous: numpy.ndarray, targets: numpy.ndarray) -> float:
        """−ln p per character of a window, read without learning."""
        with self.torch.no_grad():
            return self._loss(previous, targets).item()

    def _loss(self, previous: numpy.ndarray, targets: numpy.ndarray) -> Any:
        read, labels = map(self.torch.from_numpy, (previous, targets))
        h, state = self.layers(self.embedding(read), self.state)
        if self.config.cell == "lstm":
            self.state = tuple(x.detach() for x in state)
        else:
            self.state = state.detach()
        logits = self.output(h)  # (N, T, characters)
        return self.torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())


_OF_A_LAYER = ("weight_x", "weight_h", "bias")
_OF_A_TORCH_LAYER = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
