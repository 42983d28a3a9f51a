"""What the VAE 784-400-20 learns of Fashion-MNIST, made binary, beside the same in PyTorch.

Both begin with the same weights, take the same batches in the same order for :data:`EPOCHS` epochs,
and are measured alike on the first :data:`IMAGES` test images: the bound L, the mean of one draw
each, and the estimate of ln p(x) from :data:`DRAWS` importance weights. The noise ε is each one's
own. The images are those of ``SCRATCHGEN_DATA`` (``scratchgen data``).
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any

import numpy

from autograd import backend, no_grad
from autograd.replay import recorded
from benchmarks.bench import Options
from benchmarks.models.vae import CONFIG, TorchVAE
from scratchgen import data
from scratchgen.models.latent.vae import VAE
from scratchgen.optim import Adam

COLUMNS = ("bound, nats", "ln p, nats", "training, s")
EPOCHS = 10
BATCH = 128
RATE = 1e-3
IMAGES = 1_000
DRAWS = 5_000
AT_ONCE = 20  # images, with AT_ONCE · PIECE codes in memory
PIECE = 500


def rows(options: Options) -> Iterator[dict]:
    """A row for each of the two. Epochs are counted, not seconds."""
    import torch

    images = data.load("fashion-mnist", 2)
    learners: dict[str, Ours | InTorch] = {"here": Ours(), "PyTorch": InTorch(torch)}
    for done, (name, learner) in enumerate(learners.items()):
        options.began(f"{name}, {EPOCHS} epochs", done, len(learners))
        start = time.perf_counter()
        for batch in _batches(images.train):
            learner.step(batch)
        spent = time.perf_counter() - start
        test = images.test[:IMAGES]
        parts = [test[i : i + AT_ONCE] for i in range(0, IMAGES, AT_ONCE)]
        log_w = [learner.log_weights(x) for x in parts]  # (DRAWS, AT_ONCE) each
        yield {
            "name": f"{name}, {EPOCHS} epochs",
            "bound": float(numpy.mean([w.mean() for w in log_w])),
            "log_p": float(numpy.mean([_log_mean(w) for w in log_w])),
            "training_s": spent,
        }


def cells(row: dict) -> list[str]:
    """A row as text, for ``COLUMNS``."""
    return [f"{row['bound']:.2f}", f"{row['log_p']:.2f}", f"{row['training_s']:.0f}"]


def _batches(images: numpy.ndarray) -> Iterator[numpy.ndarray]:
    rng = numpy.random.default_rng(0)
    for _ in range(EPOCHS):
        order = rng.permutation(len(images))
        for start in range(0, len(order), BATCH):
            yield images[order[start : start + BATCH]]


def _log_mean(log_w: numpy.ndarray) -> Any:
    """ln of the mean of each column's exponentials."""
    most = log_w.max(0)
    return most + numpy.log(numpy.exp(log_w - most).mean(0))


class Ours:
    """The model of this library."""

    def __init__(self) -> None:
        self.model = VAE(CONFIG, backend.default_rng(0))
        self.optimiser = Adam(self.model.parameters().values(), RATE)
        self.rng = backend.default_rng(1)
        self._replayed = recorded(self._step)  # as in training

    def step(self, x: numpy.ndarray) -> None:
        self._replayed(backend.asarray(x), self.rng)

    def _step(self, x: Any, rng: Any) -> None:
        self.model.loss(x, rng)[0].backward()
        self.optimiser.step()

    def log_weights(self, x: numpy.ndarray) -> numpy.ndarray:
        """ln w of DRAWS codes of each image: (DRAWS, N), float64."""
        x = backend.asarray(x)
        with no_grad():
            found = [self.model.log_weights(x, PIECE, self.rng) for _ in range(DRAWS // PIECE)]
        return numpy.concatenate([backend.to_numpy(w) for w in found]).astype("float64")


class InTorch:
    """The same network in PyTorch, from the same weights."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        torch.manual_seed(1)
        self.network = TorchVAE(torch, VAE(CONFIG, backend.default_rng(0)))
        self.optimiser = torch.optim.Adam(self.network.parameters, RATE, fused=True)

    def step(self, x: numpy.ndarray) -> None:
        self.optimiser.zero_grad()
        self.network.loss(self._rows(x)).backward()
        self.optimiser.step()

    def log_weights(self, x: numpy.ndarray) -> numpy.ndarray:
        with self.torch.no_grad():
            found = [self._log_weights(self._rows(x)) for _ in range(DRAWS // PIECE)]
        return numpy.concatenate([w.numpy() for w in found]).astype("float64")

    def _rows(self, x: numpy.ndarray) -> Any:
        return self.torch.from_numpy(x.reshape(len(x), -1).astype("float32"))

    def _log_weights(self, x: Any) -> Any:
        mean, log_std = self.network.posterior(x)
        noise = self.torch.randn(PIECE, *mean.shape)
        z = mean + log_std.exp() * noise
        logits = self.network.decode(z)
        log_p = (x * logits - self.torch.nn.functional.softplus(logits)).sum(-1)
        log_prior = -0.5 * (z**2 + math.log(2 * math.pi)).sum(-1)
        log_q = -(0.5 * (noise**2 + math.log(2 * math.pi)) + log_std).sum(-1)
        return log_p + log_prior - log_q
