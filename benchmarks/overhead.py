"""What a step costs before any arithmetic to speak of: Python and the engine, against PyTorch.

The arrays are so small that nearly all of the time is overhead: building the graph, walking it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy

import autograd.numpy as np
from autograd import Tensor, backend, grad
from autograd.nn import relu
from benchmarks import bench
from benchmarks.bench import Bench, Options
from benchmarks.timing import Program

CHAIN = 1000
BATCH, WIDTH = 32, 64


def rows(options: Options) -> Iterator[dict]:
    """One row for each program and peer, of which only PyTorch eager has them."""
    benches = [
        Bench(name, ours, {"torch": partial(_torch, peer)})
        for name, ours, peer in (
            (f"chain of {CHAIN} additions of a constant", chain_of_constants, _torch_constants),
            (f"chain of {CHAIN} additions of a variable", chain_of_variables, _torch_variables),
            ("MLP 3x64, batch 32: forward and backward", mlp, _torch_mlp),
            ("MLP 3x64, batch 32: WGAN-GP double backward", gradient_penalty, _torch_penalty),
        )
    ]
    return bench.rows(benches, options.backends, options.families, options.seconds, options.began)


def chain_of_constants() -> Program:
    """y = x + c + c + …, forward and backward."""
    return _chain(_one())


def chain_of_variables() -> Program:
    """The same, where c is to have a gradient too."""
    return _chain(Tensor(_one()))


def _one() -> Any:
    return backend.asarray(numpy.ones(1, "float32"))


def _chain(c: Any) -> Program:
    x = Tensor(_one())

    def run() -> None:
        y = x
        for _ in range(CHAIN):
            y = y + c
        y.backward()

    return run


def _weights() -> list[numpy.ndarray]:
    rng = numpy.random.default_rng(0)
    sides = [(WIDTH, WIDTH)] * 3 + [(WIDTH, 1)]
    weights = [rng.normal(0, 0.1, side).astype("float32") for side in sides]
    return [a for w in weights for a in (w, numpy.zeros(w.shape[1], "float32"))]


def _batch() -> numpy.ndarray:
    return numpy.random.default_rng(1).normal(size=(BATCH, WIDTH)).astype("float32")


def _network(x: Any, parameters: list[Tensor]) -> Any:
    for i in (0, 2, 4):
        x = relu(x @ parameters[i] + parameters[i + 1])
    return x @ parameters[6] + parameters[7]


def mlp() -> Program:
    """Mean square of the output; gradients with respect to all weights."""
    parameters = [Tensor(backend.asarray(a)) for a in _weights()]
    x = backend.asarray(_batch())

    def run() -> None:
        for p in parameters:
            p.grad = None
        np.mean(_network(x, parameters) ** 2).backward()

    return run


def gradient_penalty() -> Program:
    """(‖∇ₓ D(x)‖ − 1)², differentiated by the weights (Gulrajani et al. 2017, eq. 3)."""
    parameters = [Tensor(backend.asarray(a)) for a in _weights()]
    x = backend.asarray(_batch())

    def run() -> None:
        for p in parameters:
            p.grad = None
        slope = grad(lambda x: np.sum(_network(x, parameters)))(x)
        lengths = np.sqrt(np.sum(slope**2, axis=1))
        np.mean((lengths - 1.0) ** 2).backward()

    return run


# ------------------------------------------------------------------------- the same in PyTorch


def _torch(made: Callable[[Any, str], Program], device: str) -> dict[str, Program]:
    """The program on one thread and on two, of which the faster counts."""
    import torch

    counts = (1, 2) if device == "cpu" else (1,)
    return {f"threads: {count}": _on_threads(torch, count, made(torch, device)) for count in counts}


def _on_threads(torch: Any, count: int, run: Program) -> Program:
    def on_threads() -> None:
        torch.set_num_threads(count)
        run()

    return on_threads


def _torch_constants(torch: Any, device: str) -> Program:
    return _torch_chain(torch, torch.ones(1, device=device))


def _torch_variables(torch: Any, device: str) -> Program:
    return _torch_chain(torch, torch.ones(1, device=device, requires_grad=True))


def _torch_chain(torch: Any, c: Any) -> Program:
    x = torch.ones(1, device=c.device, requires_grad=True)

    def run() -> None:
        y = x
        for _ in range(CHAIN):
            y = y + c
        y.backward()

    return run


def _torch_penalty(torch: Any, device: str) -> Program:
    return _torch_mlp(torch, device, penalty=True)


def _torch_mlp(torch: Any, device: str, penalty: bool = False) -> Program:
    parameters = [torch.tensor(a, device=device, requires_grad=True) for a in _weights()]
    x = torch.tensor(_batch(), device=device, requires_grad=penalty)

    def network(x: Any) -> Any:
        for i in (0, 2, 4):
            x = torch.relu(x @ parameters[i] + parameters[i + 1])
        return x @ parameters[6] + parameters[7]

    def run() -> None:
        for p in parameters:
            p.grad = None
        if not penalty:
            network(x).square().mean().backward()
            return
        (slope,) = torch.autograd.grad(network(x).sum(), x, create_graph=True)
        ((slope.square().sum(1).sqrt() - 1) ** 2).mean().backward()

    return run
