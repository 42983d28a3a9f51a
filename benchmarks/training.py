"""One training step of the PixelCNN, against the same network in PyTorch eager at its best.

A step goes from a batch of levels (N, H, W, 1) to the changed weights: the loss in nats with
dropout, the backward pass, and Adam. PyTorch gets the same layers, multiplies masked weights by
their mask, and uses its fused Adam; it is timed in its natural layout and in channels-last, and the
faster one counts. That the two are one network is checked: as many parameters, and with the same
values, without dropout, the same loss.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy

from autograd import backend
from benchmarks.sampling import disturb
from benchmarks.timing import against, training_step
from scratchgen.models.autoregressive.pixelcnn import PixelCNN, PixelCNNConfig
from scratchgen.nn import MaskedConv

RATE = 1e-4  # the learning rate; low, for the levels are noise


@dataclass(frozen=True)
class Case:
    """Images of side × side pixels, for a network of the default width and depth."""

    batch: int
    side: int
    levels: int

    def __str__(self) -> str:
        return f"PixelCNN, {self.batch}x{self.side}x{self.side}, {self.levels} levels"


CASES = (Case(64, 8, 17), Case(32, 28, 2), Case(32, 28, 256))


def rows(seconds: float = 2.0) -> Iterator[dict]:
    """One row for each case, timed in turns with PyTorch if it is installed."""
    for case in CASES:
        yield against(str(case), ours(case), peers(case), seconds)


def _model(case: Case) -> PixelCNN:
    config = PixelCNNConfig(case.side, case.side, levels=case.levels)
    model = PixelCNN(config, backend.default_rng(0))
    disturb(model)
    return model


def _batch(case: Case) -> numpy.ndarray:
    shape = (case.batch, case.side, case.side, 1)
    return numpy.random.default_rng(0).integers(case.levels, size=shape)


def ours(case: Case) -> Callable[[], None]:
    """The step as a program of this library."""
    return training_step(_model(case), _batch(case), RATE)


# ---------------------------------------------------------------------------- the same in PyTorch


def peers(case: Case) -> dict[str, Callable[[], None]]:
    """The step in PyTorch, in each layout; nothing if it is not installed."""
    try:
        import torch
    except ImportError:
        return {}
    layouts = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
    return {
        f"torch eager, {name}": _in_torch(torch, case, layout) for name, layout in layouts.items()
    }


def _in_torch(torch: Any, case: Case, layout: Any) -> Callable[[], None]:
    model, batch = _model(case), _batch(case)
    x = torch.from_numpy(batch[..., 0])  # (N, H, W)
    network = _TorchPixelCNN(torch, model, layout)
    optimiser = torch.optim.Adam(network.parameters, RATE, fused=True)
    _check(model, network, batch, x)

    def run() -> None:
        optimiser.zero_grad()
        network.loss(x, training=True).backward()
        optimiser.step()

    return run


class _TorchPixelCNN:
    """The network of ``model``, with its values; one colour."""

    def __init__(self, torch: Any, model: PixelCNN, layout: Any) -> None:
        self.torch, self.config, self.layout = torch, model.config, layout
        self.parameters: list[Any] = []
        self.first, self.hidden, self.output = map(
            self._conv, (model.first, model.hidden, model.output)
        )
        self.blocks = [
            [self._conv(conv) for conv in (block.squeeze, block.conv, block.expand)]
            for block in model.blocks
        ]
        rows, columns = (torch.linspace(-1, 1, n) for n in model.shape[:2])
        self.place = torch.stack(torch.meshgrid(rows, columns, indexing="ij"))  # (2, H, W)

    def _conv(self, conv: MaskedConv) -> Callable[[Any], Any]:
        torch = self.torch
        array = backend.to_numpy(conv.weight.data).transpose(3, 2, 0, 1).copy()
        weight = torch.from_numpy(array).contiguous(memory_format=self.layout).requires_grad_()
        bias = torch.from_numpy(backend.to_numpy(conv.bias.data).copy()).requires_grad_()
        self.parameters += [weight, bias]
        mask, side = torch.tensor(conv.taps, dtype=torch.float32), len(conv.taps) // 2
        if mask.all():
            return lambda h: torch.nn.functional.conv2d(h, weight, bias)
        return lambda h: torch.nn.functional.conv2d(h, weight * mask, bias, padding=side)

    def loss(self, x: Any, training: bool) -> Any:
        """−ln p in nats per image, for levels x (N, H, W)."""
        F = self.torch.nn.functional
        logits = self._logits(x, training)
        if self.config.levels == 2:
            total = F.binary_cross_entropy_with_logits(logits[:, 0], x.float(), reduction="sum")
        else:
            total = F.cross_entropy(logits, x, reduction="sum")
        return total / len(x)

    def _logits(self, x: Any, training: bool) -> Any:
        F = self.torch.nn.functional
        scaled = (x.float() * (2 / (self.config.levels - 1)) - 1)[:, None]
        place = self.place.expand(len(x), -1, -1, -1)
        h = self.torch.cat([scaled, place], 1).contiguous(memory_format=self.layout)
        h = self.first(h)  # (N, C, H, W)
        for squeeze, conv, expand in self.blocks:
            f = F.relu(conv(F.relu(squeeze(F.relu(h)))))
            h = h + expand(F.dropout(f, self.config.dropout, training))
        return self.output(F.relu(self.hidden(F.relu(h))))


def _check(model: PixelCNN, network: _TorchPixelCNN, batch: numpy.ndarray, x: Any) -> None:
    count = sum(math.prod(p.shape) for p in model.parameters().values())
    assert sum(p.numel() for p in network.parameters) == count
    expected = model.loss(backend.asarray(batch), None)[0].item()
    found = network.loss(x, training=False).item()
    assert math.isclose(found, expected, rel_tol=1e-5), (found, expected)
