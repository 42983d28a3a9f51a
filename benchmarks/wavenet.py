"""A training step of the WaveNet, against the same network in PyTorch eager at its best.

A step goes from a batch of codes (N, T) to the changed weights: the loss, the backward
pass, and Adam. PyTorch gets the same layers, ``conv1d`` in its own layout (N, C, T) with zeros
padded on the left, and its fused Adam. Its skip connections are one product for all layers, as ours
are, or a sum over them; the faster way counts. That the two are one network is checked: as many
parameters, and with the same values the same loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy

from autograd import backend
from benchmarks.timing import against
from scratchgen.models.autoregressive.wavenet import WaveNet, WaveNetConfig
from scratchgen.optim import Adam

RATE = 1e-4  # the learning rate; low, for the codes are noise
SHAPE = (4, 4000)  # of a batch: sequences, samples


def rows(seconds: float = 8.0) -> Iterator[dict]:
    """The row of a training step of the default network, timed in turns with PyTorch."""
    config = WaveNetConfig()
    layers = len(config.dilations)
    widths = f"{config.residual} residual and {config.skip} skip channels"
    name = f"WaveNet, {layers} layers, {widths}, {SHAPE[0]}x{SHAPE[1]}"
    yield against(name, ours(config), peers(config), seconds)


def _model(config: WaveNetConfig) -> WaveNet:
    return WaveNet(config, backend.default_rng(0))


def _batch(config: WaveNetConfig) -> numpy.ndarray:
    return numpy.random.default_rng(0).integers(config.levels, size=SHAPE)


def ours(config: WaveNetConfig) -> Callable[[], None]:
    """The step as a program of this library."""
    model, x = _model(config), backend.asarray(_batch(config))
    optimiser = Adam(model.parameters().values(), RATE)

    def run() -> None:
        model.loss(x, None)[0].backward()
        optimiser.step()

    return run


# ---------------------------------------------------------------------------- the same in PyTorch


def peers(config: WaveNetConfig) -> dict[str, Callable[[], None]]:
    """The step in PyTorch, with each way to the skip; nothing if it is not installed."""
    try:
        import torch
    except ImportError:
        return {}
    return {
        "torch eager, one skip product": _in_torch(torch, config, together=True),
        "torch eager, skips summed": _in_torch(torch, config, together=False),
    }


def _in_torch(torch: Any, config: WaveNetConfig, together: bool) -> Callable[[], None]:
    model, batch = _model(config), _batch(config)
    x = torch.from_numpy(batch)
    network = _TorchWaveNet(torch, model, together)
    optimiser = torch.optim.Adam(network.parameters, RATE, fused=True)
    _check(model, network, batch, x)

    def run() -> None:
        optimiser.zero_grad()
        network.loss(x).backward()
        optimiser.step()

    return run


class _TorchWaveNet:
    """The network of ``model``, without conditions, with its values."""

    def __init__(self, torch: Any, model: WaveNet, together: bool) -> None:
        self.torch, self.together = torch, together
        self.parameters: list[Any] = []
        self.first = self._parameter(model.first.weight.data)
        self.layers = []
        for layer in model.layers:
            conv = self._kernel(layer.conv.weight.data), self._parameter(layer.conv.bias.data)
            residual = None if layer.residual is None else self._kernel(layer.residual.data[None])
            self.layers.append((*conv, layer.conv.dilation, residual))
        parts = 1 if together else len(model.layers)
        weight = backend.to_numpy(model.skip.weight)
        self.skips = [self._kernel(part[None]) for part in numpy.split(weight, parts)]
        self.skip_bias = self._parameter(model.skip.bias.data)
        self.hidden, self.output = (
            (self._kernel(dense.weight.data[None]), self._parameter(dense.bias.data))
            for dense in (model.hidden, model.output)
        )

    def _parameter(self, array: Any) -> Any:
        value = self.torch.from_numpy(backend.to_numpy(array).copy()).requires_grad_()
        self.parameters.append(value)
        return value

    def _kernel(self, array: Any) -> Any:
        """(k, C, D) → (D, C, k)"""
        return self._parameter(numpy.ascontiguousarray(backend.to_numpy(array).transpose(2, 1, 0)))

    def loss(self, x: Any) -> Any:
        """−ln p in nats per sample, for codes x (N, T)."""
        F = self.torch.nn.functional
        h = F.pad(F.embedding(x[:, :-1], self.first).transpose(1, 2), (1, 0))  # (N, C, T)
        outputs = []
        for weight, bias, dilation, residual in self.layers:
            past = dilation * (weight.shape[-1] - 1)
            y = F.conv1d(F.pad(h, (past, 0)), weight, bias, dilation=dilation)
            f, g = y.chunk(2, dim=1)
            z = self.torch.tanh(f) * self.torch.sigmoid(g)
            outputs.append(z)
            if residual is not None:
                h = h + F.conv1d(z, residual)
        s = self._skip(outputs)
        logits = F.conv1d(F.relu(F.conv1d(F.relu(s), *self.hidden)), *self.output)
        return F.cross_entropy(logits, x)

    def _skip(self, outputs: list[Any]) -> Any:
        conv1d = self.torch.nn.functional.conv1d
        if self.together:
            return conv1d(self.torch.cat(outputs, 1), self.skips[0], self.skip_bias)
        s = conv1d(outputs[0], self.skips[0], self.skip_bias)
        for z, weight in zip(outputs[1:], self.skips[1:], strict=True):
            s = s + conv1d(z, weight)
        return s


def _check(model: WaveNet, network: _TorchWaveNet, batch: numpy.ndarray, x: Any) -> None:
    count = sum(math.prod(p.shape) for p in model.parameters().values())
    assert sum(p.numel() for p in network.parameters) == count
    expected = model.loss(backend.asarray(batch), None)[0].item()
    found = network.loss(x).item()
    assert math.isclose(found, expected, rel_tol=1e-5), (found, expected)
