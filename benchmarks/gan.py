"""A turn of the critic and one of the generator of a DCGAN, against PyTorch eager at its best.

The loss is wgan-gp: the critic scores data and draws, its slopes by images in between, squared, are
differentiated by its weights, a gradient of second order, and Adam changes these. The turn of the
generator goes through the critic, whose weights are constants then. Images are (N, 28, 28, 1).

PyTorch gets the same weights and its fused Adam; it is timed with channels first and with channels
last, with one thread and with as many as there are cores, and the fastest counts. That the two are
one model is checked: with the same weights and the same random numbers, the same losses.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy

from autograd import backend, constant
from benchmarks.sampling import disturb
from benchmarks.timing import against
from scratchgen.models.adversarial.gan import GAN, GANConfig
from scratchgen.models.adversarial.networks import SLOPE
from scratchgen.optim import Adam

CONFIG = GANConfig(28, 28, levels=256, loss="wgan-gp", network="conv", hidden=64, latents=64)
BATCH = 64
RATE = 1e-4  # the learning rate
PLAYERS = ("critic", "generator")


def rows(seconds: float = 2.0) -> Iterator[dict]:
    """A row for the turn of each player, timed in turns with PyTorch if it is installed."""
    for player in PLAYERS:
        yield against(f"{player}, 28x28, batch {BATCH}", ours(player), peers(player), seconds)


def _model() -> GAN:
    model = GAN(CONFIG, backend.default_rng(0))
    disturb(model)
    return model


def _batch() -> numpy.ndarray:
    return numpy.random.default_rng(0).integers(256, size=(BATCH, 28, 28, 1))


def _loss(model: GAN, player: str, x: Any, rng: Any) -> Any:
    """What that player minimises, for images ``x`` of levels."""
    if player == "critic":
        return model.critic_loss(model.real(x), rng)
    return model.generator_loss(len(x), rng)


def ours(player: str) -> Callable[[], None]:
    """The turn as a program of this library."""
    model, x, rng = _model(), backend.asarray(_batch()), backend.default_rng(0)
    module, _ = model.players[player]
    optimiser = Adam(module.parameters().values(), RATE, beta1=0.5)

    def run() -> None:
        _loss(model, player, x, rng).backward()
        optimiser.step()

    return run


# ---------------------------------------------------------------------------- the same in PyTorch


def peers(player: str) -> dict[str, Callable[[], None]]:
    """The turn in PyTorch, in both layouts, on one core and on all; nothing if not installed."""
    try:
        import torch
    except ImportError:
        return {}
    counts = sorted({1, os.cpu_count() or 1})
    return {
        f"torch eager, channels {'last' if last else 'first'}, threads: {count}": _in_torch(
            torch, player, count, last
        )
        for last in (False, True)
        for count in counts
    }


def _in_torch(torch: Any, player: str, threads: int, last: bool) -> Callable[[], None]:
    model = _model()
    x = torch.from_numpy(_batch()).permute(0, 3, 1, 2)
    check(torch, model, TorchGAN(torch, model, last), _batch())
    network = TorchGAN(torch, model, last)
    optimiser = torch.optim.Adam(network.parameters[player], RATE, betas=(0.5, 0.999), fused=True)

    def run() -> None:
        torch.set_num_threads(threads)
        optimiser.zero_grad()
        network.loss(player, x).backward()
        optimiser.step()

    return run


class TorchGAN:
    """The convolutional ``model`` with its values: of images whose sides can be halved so often.

    Its loss is wgan-gp, or nonsaturating with batch normalisation in the critic. ``last``: channels
    last.
    """

    def __init__(self, torch: Any, model: GAN, last: bool) -> None:
        self.torch, self.config = torch, model.config
        assert self.config.loss in ("wgan-gp", "nonsaturating")
        self.format = torch.channels_last if last else torch.contiguous_format
        self.smallest = model.generator.smallest
        self.parameters: dict[str, list[Any]] = {name: [] for name in PLAYERS}
        height, width, channels = self.smallest
        first, score = model.generator.first, model.critic.score
        # the smallest image is (C, H, W) here
        image = numpy.arange(height * width * channels).reshape(self.smallest)
        order = image.transpose(2, 0, 1).ravel()
        self.first = [
            self._parameter("generator", numpy.ascontiguousarray(_host(first.weight).T[order])),
            self._parameter("generator", _host(first.bias)[order]),
        ]
        self.score = [
            self._parameter("critic", numpy.ascontiguousarray(_host(score.weight).T[:, order])),
            self._parameter("critic", _host(score.bias)),
        ]
        self.double = [self._convolution("generator", layer) for layer in model.generator.double]
        self.halve = [self._convolution("critic", layer) for layer in model.critic.halve]
        self.norms = {
            player: [self._norm(player, layer) for layer in module.norms]
            for player, (module, _) in model.players.items()
        }

    def _parameter(self, player: str, value: numpy.ndarray) -> Any:
        x = self.torch.from_numpy(value.copy())
        if x.ndim == 4:
            x = x.contiguous(memory_format=self.format)
        self.parameters[player].append(x.requires_grad_())
        return x

    def _convolution(self, player: str, layer: Any) -> list[Any]:
        """Weight and bias, if there is one; of a transposed one too the inputs come first then."""
        weight = numpy.ascontiguousarray(_host(layer.weight).transpose(3, 2, 0, 1))
        bias = None if layer.bias is None else self._parameter(player, _host(layer.bias))
        return [self._parameter(player, weight), bias]

    def _norm(self, player: str, layer: Any) -> dict[str, Any]:
        return {
            "running_mean": self.torch.from_numpy(_host(layer.mean).copy()),
            "running_var": self.torch.from_numpy(_host(layer.variance).copy()),
            "weight": self._parameter(player, _host(layer.gain)),
            "bias": self._parameter(player, _host(layer.bias)),
        }

    def generator(self, z: Any, training: bool = True) -> Any:
        """(N, latents) → (N, 1, H, W)"""
        F = self.torch.nn.functional
        height, width, channels = self.smallest
        h = F.linear(z, *self.first).view(-1, channels, height, width)
        h = h.contiguous(memory_format=self.format)
        for norm, (weight, bias) in zip(self.norms["generator"], self.double, strict=True):
            h = F.relu(F.batch_norm(h, **norm, training=training, momentum=0.1))
            h = F.conv_transpose2d(h, weight, bias, stride=2, padding=1)
        return self.torch.tanh(h)

    def critic(self, x: Any) -> Any:
        """(N, 1, H, W) → (N,)"""
        F = self.torch.nn.functional
        for i, (weight, bias) in enumerate(self.halve):
            x = F.conv2d(x, weight, bias, stride=2, padding=1)
            if i and self.norms["critic"]:
                x = F.batch_norm(x, **self.norms["critic"][i - 1], training=True, momentum=0.1)
            x = F.leaky_relu(x, SLOPE)
        return F.linear(x.flatten(1), *self.score)[:, 0]

    def loss(self, player: str, x: Any, noise: Any = None, epsilon: Any = None) -> Any:
        """What that player minimises, for images (N, 1, H, W) of levels.

        ``noise`` (N, latents) and ``epsilon`` (N, 1, 1, 1) are drawn if they are None.
        """
        torch, softplus = self.torch, self.torch.nn.functional.softplus
        if noise is None:
            noise = torch.randn(len(x), self.config.latents)
        self._freeze(player == "generator")
        if player == "generator":
            scores = self.critic(self.generator(noise))
            return -scores.mean() if self.config.loss == "wgan-gp" else softplus(-scores).mean()
        real = (x.float() * (2 / (self.config.levels - 1)) - 1).contiguous(
            memory_format=self.format
        )
        with torch.no_grad():
            fake = self.generator(noise)
        if self.config.loss == "nonsaturating":
            return softplus(-self.critic(real)).mean() + softplus(self.critic(fake)).mean()
        loss = self.critic(fake).mean() - self.critic(real).mean()
        if epsilon is None:
            epsilon = torch.rand(len(x), 1, 1, 1)
        between = (epsilon * real + (1 - epsilon) * fake).requires_grad_()
        scores = self.critic(between)
        (slope,) = torch.autograd.grad(scores.sum(), between, create_graph=True)
        length = (slope.flatten(1).square().sum(1) + 1e-12).sqrt()
        return loss + self.config.penalty * (length - 1).square().mean()

    def _freeze(self, frozen: bool) -> None:
        for x in self.parameters["critic"]:
            x.requires_grad_(not frozen)


def _host(x: Any) -> numpy.ndarray:
    """A parameter or a buffer as a NumPy array."""
    return backend.to_numpy(constant(x))


def check(torch: Any, model: GAN, network: TorchGAN, images: numpy.ndarray) -> None:
    """Fail unless both have as many weights, and with the same random numbers the same losses."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2)
    for player, (module, _) in model.players.items():
        count = sum(math.prod(p.shape) for p in module.parameters().values())
        assert sum(p.numel() for p in network.parameters[player]) == count
        expected = _loss(model, player, backend.asarray(images), backend.default_rng(1)).item()
        rng = backend.default_rng(1)
        n, latents = len(images), model.config.latents
        drawn = rng.standard_normal((n, latents)), rng.random((n, 1, 1, 1))
        on_host = (torch.from_numpy(backend.to_numpy(a).astype("float32")) for a in drawn)
        found = network.loss(player, x, *on_host).item()
        assert math.isclose(found, expected, rel_tol=1e-4), (player, found, expected)
