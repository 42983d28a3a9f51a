"""The PixelCNN: a training step, and sampling.

Two networks are timed. The *plain* one is a stack of masked convolutions as in most tutorials:
7×7 with mask A, seven 3×3 with mask B, and two 1×1. The other is this library's own, with residual
blocks, which has dropout.

A step goes from a batch of levels (N, H, W, 1) to the changed weights: the loss in nats, the
backward pass, and Adam. Peers get the same layers, and multiply masked weights by their mask.
PyTorch is timed in its natural layout and in channels-last, JAX in channels-last.

Sampling is timed by rows of pixels. Here, a new pixel is computed from the kept features of those
before it; in PyTorch one runs the whole network for each pixel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy

from autograd import backend, no_grad
from autograd.nn import relu
from benchmarks.bench import Bench
from benchmarks.models.steps import TOLERANCE, JaxStep, torch_compiled, torch_eager, torch_step
from benchmarks.sampling import disturb
from benchmarks.timing import Program, training_step
from scratchgen.models.autoregressive.images import AutoregressiveModel, CachedGeneration
from scratchgen.models.autoregressive.pixelcnn import PixelCNN, PixelCNNConfig
from scratchgen.models.images import logits_of, sample_of
from scratchgen.nn import MaskedConv
from scratchgen.nn.initialisers import glorot_normal
from scratchgen.nn.masked import causal_mask

RATE = 1e-4  # the learning rate; low, for the levels are noise


@dataclass(frozen=True)
class Case:
    """Images of side × side pixels, for a network of the default width and depth or a plain one."""

    batch: int
    side: int
    levels: int
    plain: bool = False
    channels: int = 64
    depth: int = 7  # of the plain network: layers 3×3
    dropout: float = 0.3

    def __str__(self) -> str:
        name = f"PixelCNN 7x7 and {self.depth} of 3x3" if self.plain else "PixelCNN"
        return f"{name}, {self.batch}x{self.side}x{self.side}, {self.levels} levels"


PLAIN = Case(32, 28, 2, plain=True)
CASES = (PLAIN, Case(64, 8, 17), Case(32, 28, 2), Case(32, 28, 256))
DRAWN = Case(16, 28, 2, plain=True)


def benches() -> list[Bench]:
    """A training step of each case, and the sampling of a row of pixels."""
    return [*map(_step, CASES), _sampling(DRAWN)]


def _step(case: Case) -> Bench:
    peers = {"torch": in_torch, "torch-compile": in_torch_compiled, "jax": in_jax}
    return Bench(
        f"{case}: step",
        partial(ours, case),
        {family: partial(make, case) for family, make in peers.items()},
    )


def _sampling(case: Case) -> Bench:
    return Bench(
        f"{case}: sampling, a row of pixels",
        partial(sampling, case),
        {"torch": partial(sampling_in_torch, case)},
    )


# ----------------------------------------------------------------------------------------- ours


class PlainPixelCNN(AutoregressiveModel):
    """Masked convolutions one after another, with rectifiers between them."""

    def __init__(self, config: PixelCNNConfig, rng: Any) -> None:
        self.config, channels = config, config.channels
        self.first = MaskedConv(1, channels, config.first_size, "A", rng)
        self.blocks = [MaskedConv(channels, channels, 3, "B", rng) for _ in range(config.blocks)]
        self.hidden = MaskedConv(channels, channels, 1, "B", rng)
        self.output = MaskedConv(channels, logits_of(config.levels), 1, "B", rng, glorot_normal)

    def embed(self, x: Any) -> Any:
        return self.scaled(x)

    def network(self, embedded: Any, rng: Any = None, context: Any = None) -> Any:
        return self.forward(embedded, lambda conv, h: conv(h))[..., None, :]

    def forward(self, h: Any, apply: Callable[[MaskedConv, Any], Any]) -> Any:
        """All layers: (N, H, W, 1) → (N, H, W, logits)."""
        h = apply(self.first, h)
        for conv in self.blocks:
            h = apply(conv, relu(h))
        return apply(self.output, relu(apply(self.hidden, relu(h))))

    def cached(self, n: int, context: Any) -> CachedGeneration:
        return _Cached(self, n, context)


class _Cached(CachedGeneration):
    def logits(self, row: int, column: int, colour: int) -> Any:
        self.place = row, column, colour
        return self.model.forward(self.embedded, self.apply)[:, 0, 0]


Model = PixelCNN | PlainPixelCNN


def model_of(case: Case) -> Model:
    """The network of a case, always with the same values."""
    size = {"height": case.side, "width": case.side, "levels": case.levels}
    rng = backend.default_rng(0)
    if case.plain:
        plain = PixelCNNConfig(
            **size, channels=case.channels, blocks=case.depth, first_size=7, dropout=0.0
        )
        return PlainPixelCNN(plain, rng)
    model = PixelCNN(PixelCNNConfig(**size, channels=case.channels, dropout=case.dropout), rng)
    disturb(model)
    return model


def batch_of(case: Case) -> numpy.ndarray:
    """Noise in place of images, the same at each step."""
    shape = (case.batch, case.side, case.side, 1)
    return numpy.random.default_rng(0).integers(case.levels, size=shape)


def ours(case: Case) -> Program:
    """The step as a program of this library."""
    return training_step(model_of(case), batch_of(case), RATE)


def sampling(case: Case) -> Program:
    """The next row of images that are drawn pixel by pixel; below the last one others begin."""
    model, rng, places = model_of(case), backend.default_rng(2), _places(case)
    state: Any = None

    def run() -> None:
        nonlocal state
        with no_grad():
            for row, column in next(places):
                if row == column == 0:
                    state = model.cached(case.batch, None)
                level = sample_of(state.logits(row, column, 0), rng, 1.0)
                state.put(row, column, 0, level)

    return run


def _places(case: Case) -> Iterator[list[tuple[int, int]]]:
    """Row after row of pixels, for ever."""
    while True:
        for row in range(case.side):
            yield [(row, column) for column in range(case.side)]


# ---------------------------------------------------------------------------- the same in PyTorch


def in_torch(case: Case, device: str) -> dict[str, Program]:
    """The step in PyTorch, in each layout."""
    return _torch_steps(case, device, torch_eager)


def in_torch_compiled(case: Case, device: str) -> dict[str, Program]:
    """The same with the loss, and so its backward pass, compiled."""
    return _torch_steps(case, device, torch_compiled)


def _torch_steps(case: Case, device: str, made: Callable) -> dict[str, Program]:
    import torch

    programs = {}
    for layout in ("contiguous", "channels last"):
        network = TorchPixelCNN(torch, model_of(case), layout, device)
        x = torch.from_numpy(batch_of(case)[..., 0]).to(device)  # (N, H, W)
        check(case, network.parameters, network.loss(x, training=False).item(), device)
        loss = made(torch, network.loss)
        step = partial(loss, x, training=True)
        programs[layout] = torch_step(torch, step, network.parameters, RATE)
    return programs


def sampling_in_torch(case: Case, device: str) -> dict[str, Program]:
    """The next row, each of its pixels by the whole network."""
    import torch

    model = model_of(case)
    network = TorchPixelCNN(torch, model, "channels last", device)
    given = torch.from_numpy(batch_of(case)[..., 0]).to(device)
    check(case, network.parameters, network.loss(given, training=False).item(), device)
    x, places = torch.zeros_like(given), _places(case)

    @torch.no_grad()
    def run() -> None:
        for row, column in next(places):
            logits = network.logits(x, training=False)[:, :, row, column]
            x[:, row, column] = logits[:, 0].sigmoid().bernoulli().long()

    return {"the whole network for each pixel": run}


class TorchPixelCNN:
    """The network of ``model``, with its values; one colour."""

    def __init__(self, torch: Any, model: Model, layout: str, device: str) -> None:
        formats = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
        self.torch, self.config, self.layout = torch, model.config, formats[layout]
        self.device = device
        self.parameters: list[Any] = []
        self.first, self.hidden, self.output = map(
            self._conv, (model.first, model.hidden, model.output)
        )
        self.blocks = [list(map(self._conv, convs_of(block))) for block in model.blocks]
        self.place = None
        if isinstance(model, PixelCNN):
            axes = (torch.linspace(-1, 1, n, device=device) for n in model.shape[:2])
            self.place = torch.stack(torch.meshgrid(*axes, indexing="ij"))  # (2, H, W)

    def _conv(self, conv: MaskedConv) -> Callable[[Any], Any]:
        torch = self.torch
        array = backend.to_numpy(conv.weight.data).transpose(3, 2, 0, 1).copy()
        weight = torch.from_numpy(array).to(self.device, memory_format=self.layout)
        bias = torch.from_numpy(backend.to_numpy(conv.bias.data).copy()).to(self.device)
        weight.requires_grad_()
        bias.requires_grad_()
        self.parameters += [weight, bias]
        mask, side = torch.tensor(conv.taps, dtype=weight.dtype, device=self.device), len(conv.taps)
        if mask.all():
            return lambda h: torch.nn.functional.conv2d(h, weight, bias)
        return lambda h: torch.nn.functional.conv2d(h, weight * mask, bias, padding=side // 2)

    def loss(self, x: Any, training: bool) -> Any:
        """−ln p in nats per image, for levels x (N, H, W)."""
        F = self.torch.nn.functional
        logits = self.logits(x, training)
        if self.config.levels == 2:
            total = F.binary_cross_entropy_with_logits(logits[:, 0], x.float(), reduction="sum")
        else:
            total = F.cross_entropy(logits, x, reduction="sum")
        return total / len(x)

    def logits(self, x: Any, training: bool) -> Any:
        """(N, logits, H, W) for levels x (N, H, W)."""
        F = self.torch.nn.functional
        h = (x.float() * (2 / (self.config.levels - 1)) - 1)[:, None]
        if self.place is not None:
            h = self.torch.cat([h, self.place.expand(len(x), -1, -1, -1)], 1)
        h = self.first(h.contiguous(memory_format=self.layout))  # (N, C, H, W)
        for block in self.blocks:
            if len(block) == 1:
                h = block[0](F.relu(h))
            else:
                squeeze, conv, expand = block
                f = F.relu(conv(F.relu(squeeze(F.relu(h)))))
                h = h + expand(F.dropout(f, self.config.dropout, training))
        return self.output(F.relu(self.hidden(F.relu(h))))


def convs_of(block: Any) -> list[MaskedConv]:
    """The convolutions of a residual block, or the one of a plain network."""
    return [block] if isinstance(block, MaskedConv) else [block.squeeze, block.conv, block.expand]


def check(case: Case, parameters: Any, found: float, device: str) -> None:
    """That a peer has as many parameters, and the loss ``found`` without dropout is the same."""
    model = model_of(case)
    count = sum(math.prod(p.shape) for p in model.parameters().values())
    assert sum(math.prod(p.shape) for p in parameters) == count
    expected = model.loss(backend.asarray(batch_of(case)), None)[0].item()
    assert math.isclose(found, expected, rel_tol=TOLERANCE[device]), (found, expected)


# -------------------------------------------------------------------------------- the same in JAX


def in_jax(case: Case, device: str) -> dict[str, Program]:
    """The step in JAX, in channels-last."""
    return {"channels last": jax_step(case, device)}


def jax_step(case: Case, device: str) -> JaxStep:
    """The step in JAX; its parameters have our names and shapes."""
    import jax

    model = model_of(case)
    network = _JaxPixelCNN(jax, model)
    values, x = model.values(), batch_of(case)
    check(case, values.values(), float(jax.jit(network.loss)(values, None, x)[0]), device)
    key = jax.random.key(0, impl="rbg") if model.config.dropout else None  # the fastest kind
    return JaxStep(jax, network.loss, values, (x,), RATE, device, key)


class _JaxPixelCNN:
    """The network of ``model``, as functions of its values."""

    def __init__(self, jax: Any, model: Model) -> None:
        self.jax, self.config, self.plain = jax, model.config, isinstance(model, PlainPixelCNN)

    def loss(self, values: Any, key: Any, x: Any) -> tuple[Any, Any]:
        """−ln p in nats per image, for levels x (N, H, W, 1); without a key there is no dropout."""
        nn, np = self.jax.nn, self.jax.numpy
        logits, key = self._logits(values, key, x)
        if self.config.levels == 2:
            nats = nn.softplus(logits) - x * logits
        else:
            nats = -np.take_along_axis(nn.log_softmax(logits), x, axis=-1)
        return nats.sum() / len(x), key

    def _logits(self, values: Any, key: Any, x: Any) -> tuple[Any, Any]:
        relu, random = self.jax.nn.relu, self.jax.random
        conv = partial(self._conv, values)
        h = conv("first", self._embed(x))  # (N, H, W, C)
        for i in range(self.config.blocks):
            if self.plain:
                h = conv(f"blocks.{i}", relu(h))
                continue
            f = conv(f"blocks.{i}.squeeze", relu(h))
            f = relu(conv(f"blocks.{i}.conv", relu(f)))
            if key is not None:
                key, own = random.split(key)
                kept = 1 - self.config.dropout
                f = f * random.bernoulli(own, kept, f.shape) / kept
            h = h + conv(f"blocks.{i}.expand", f)
        return conv("output", relu(conv("hidden", relu(h)))), key

    def _embed(self, x: Any) -> Any:
        np = self.jax.numpy
        h = x * np.float32(2 / (self.config.levels - 1)) - 1
        if self.plain:
            return h
        axes = (np.linspace(-1, 1, n) for n in x.shape[1:3])
        place = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)  # (H, W, 2)
        return np.concatenate([h, np.broadcast_to(place, (len(x), *place.shape))], axis=-1)

    def _conv(self, values: Any, name: str, h: Any) -> Any:
        weight, bias = values[f"{name}.weight"], values[f"{name}.bias"]
        if len(weight) == 1:
            return h @ weight[0, 0] + bias
        taps = numpy.array(causal_mask(len(weight), "A" if name == "first" else "B"))
        weight = weight * taps[..., None, None]
        layouts = ("NHWC", "HWIO", "NHWC")
        conv = self.jax.lax.conv_general_dilated
        return conv(h, weight, (1, 1), "SAME", dimension_numbers=layouts) + bias
