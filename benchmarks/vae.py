"""One training step of the VAE 784-400-20, against the same network in PyTorch eager at its best.

A step goes from a batch of binary images (N, 28, 28, 1) to the changed weights: the bound with one
draw z = µ + σ ε, the backward pass, and Adam. PyTorch gets the same weights and its fused Adam; it
is timed with one thread and with as many as there are cores, and the faster one counts. That the
two are one network is checked: with the same weights and the same noise, the same loss.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy

from autograd import backend
from benchmarks.sampling import disturb
from benchmarks.timing import against, training_step
from scratchgen.models.latent.vae import VAE, VAEConfig

CONFIG = VAEConfig(28, 28, levels=2, latents=20, hidden=400, dropout=0.0)
BATCH = 128
RATE = 1e-4  # the learning rate; low, for the images are noise


def rows(seconds: float = 2.0) -> Iterator[dict]:
    """One row, timed in turns with PyTorch if it is installed."""
    yield against(f"VAE 784-400-20, batch {BATCH}", ours(), peers(), seconds)


def _model() -> VAE:
    model = VAE(CONFIG, backend.default_rng(0))
    disturb(model)
    return model


def _batch() -> numpy.ndarray:
    return numpy.random.default_rng(0).integers(2, size=(BATCH, 28, 28, 1))


def ours() -> Callable[[], None]:
    """The step as a program of this library."""
    return training_step(_model(), _batch(), RATE)


# ---------------------------------------------------------------------------- the same in PyTorch


def peers() -> dict[str, Callable[[], None]]:
    """The step in PyTorch, on one core and on all; nothing if it is not installed."""
    try:
        import torch
    except ImportError:
        return {}
    counts = sorted({1, os.cpu_count() or 1})
    return {f"torch eager, threads: {count}": _in_torch(torch, count) for count in counts}


def _in_torch(torch: Any, threads: int) -> Callable[[], None]:
    model = _model()
    network = TorchVAE(torch, model)
    x = torch.from_numpy(_batch()).reshape(BATCH, -1)
    _check(torch, model, network)
    optimiser = torch.optim.Adam(network.parameters, RATE, fused=True)

    def run() -> None:
        torch.set_num_threads(threads)
        optimiser.zero_grad()
        network.loss(x).backward()
        optimiser.step()

    return run


class TorchVAE:
    """The dense VAE ``model`` of binary images, with its values."""

    def __init__(self, torch: Any, model: VAE) -> None:
        self.torch, self.latents = torch, model.config.latents
        self.parameters: list[Any] = []
        encoder, decoder = model.encoder, model.decoder
        self.encoder = [self._dense(layer) for layer in encoder.hidden]
        self.code = self._dense(model.code)
        self.decoder = [self._dense(layer) for layer in decoder.hidden]
        self.output = self._dense(decoder.output)

    def _dense(self, layer: Any) -> Callable[[Any], Any]:
        torch = self.torch
        weight = torch.from_numpy(backend.to_numpy(layer.weight.data).T.copy()).requires_grad_()
        bias = torch.from_numpy(backend.to_numpy(layer.bias.data).copy()).requires_grad_()
        self.parameters += [weight, bias]
        return lambda h: torch.nn.functional.linear(h, weight, bias)

    def posterior(self, x: Any) -> tuple[Any, Any]:
        """µ and ln σ of q(z | x), for binary x (N, 784)."""
        h = x.float() * 2 - 1
        for layer in self.encoder:
            h = self.torch.relu(layer(h))
        return self.code(h).chunk(2, -1)

    def decode(self, z: Any) -> Any:
        """Logits (…, 784)."""
        for layer in self.decoder:
            z = self.torch.relu(layer(z))
        return self.output(z)

    def loss(self, x: Any, noise: Any = None) -> Any:
        """−L in nats per image, for binary x (N, 784); ``noise`` is ε, drawn if it is None."""
        mean, log_std = self.posterior(x)
        std = log_std.exp()
        z = mean + std * (self.torch.randn_like(std) if noise is None else noise)
        F = self.torch.nn.functional
        reconstruction = F.binary_cross_entropy_with_logits(
            self.decode(z), x.float(), reduction="sum"
        )
        kl = 0.5 * (mean**2 + std**2 - 1 - 2 * log_std).sum()
        return (reconstruction + kl) / len(x)


def _check(torch: Any, model: VAE, network: TorchVAE) -> None:
    count = sum(math.prod(p.shape) for p in model.parameters().values())
    assert sum(p.numel() for p in network.parameters) == count
    x = _batch()
    noise = backend.default_rng(0).standard_normal((BATCH, model.config.latents))
    expected = model.loss(backend.asarray(x), backend.default_rng(0))[0].item()
    noise = torch.from_numpy(backend.to_numpy(noise).astype("float32"))
    found = network.loss(torch.from_numpy(x).reshape(BATCH, -1), noise).item()
    assert math.isclose(found, expected, rel_tol=1e-5), (found, expected)
