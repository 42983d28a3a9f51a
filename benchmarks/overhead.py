"""What a step costs before any arithmetic to speak of: Python and the engine, against PyTorch.

The arrays are so small that nearly all of the time is overhead: building the graph, walking it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy

import autograd.numpy as np
from autograd import Tensor, backend, grad
from autograd.nn import relu
from benchmarks.timing import against

CHAIN = 1000
BATCH, WIDTH = 32, 64


def rows(seconds: float = 2.0) -> Iterator[dict]:
    """One row for each program, timed in turns with PyTorch eager if it is installed."""
    for name, ours, peer in (
        (f"chain of {CHAIN} additions of a constant", chain(constant=True), "chain_of_constants"),
        (f"chain of {CHAIN} additions of a variable", chain(constant=False), "chain_of_variables"),
        ("MLP 3x64, batch 32: forward and backward", mlp(), "mlp"),
        ("MLP 3x64, batch 32: WGAN-GP double backward", gradient_penalty(), "gradient_penalty"),
    ):
        yield against(name, ours, _torch(peer), seconds)


def chain(constant: bool) -> Callable[[], Any]:
    """y = x + c + c + …, forward and backward."""
    x = Tensor(numpy.ones(1, "float32"))
    one = backend.asarray(numpy.ones(1, "float32"))
    c = one if constant else Tensor(one)

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


def mlp() -> Callable[[], Any]:
    """Mean square of the output; gradients with respect to all weights."""
    parameters = [Tensor(a) for a in _weights()]
    x = backend.asarray(_batch())

    def run() -> None:
        for p in parameters:
            p.grad = None
        np.mean(_network(x, parameters) ** 2).backward()

    return run


def gradient_penalty() -> Callable[[], Any]:
    """(‖∇ₓ D(x)‖ − 1)², differentiated by the weights (Gulrajani et al. 2017, eq. 3)."""
    parameters = [Tensor(a) for a in _weights()]
    x = backend.asarray(_batch())

    def run() -> None:
        for p in parameters:
            p.grad = None
        slope = grad(lambda x: np.sum(_network(x, parameters)))(x)
        lengths = np.sqrt(np.sum(slope**2, axis=1))
        np.mean((lengths - 1.0) ** 2).backward()

    return run


# ------------------------------------------------------------------------- the same in PyTorch


def _torch(name: str) -> dict[str, Callable[[], Any]]:
    """The program on one thread and on two: the faster counts."""
    try:
        import torch
    except ImportError:
        return {}
    programs = {
        "chain_of_constants": lambda: _torch_chain(torch, True),
        "chain_of_variables": lambda: _torch_chain(torch, False),
        "mlp": lambda: _torch_mlp(torch, penalty=False),
        "gradient_penalty": lambda: _torch_mlp(torch, penalty=True),
    }
    return {
        f"torch eager, {count} threads": _on_threads(torch, count, programs[name]())
        for count in (1, 2)
    }


def _on_threads(torch: Any, count: int, run: Callable[[], Any]) -> Callable[[], Any]:
    def on_threads() -> None:
        torch.set_num_threads(count)
        run()

    return on_threads


def _torch_chain(torch: Any, constant: bool) -> Callable[[], Any]:
    x, c = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=not constant)

    def run() -> None:
        y = x
        for _ in range(CHAIN):
            y = y + c
        y.backward()

    return run


def _torch_mlp(torch: Any, penalty: bool) -> Callable[[], Any]:
    parameters = [torch.tensor(a, requires_grad=True) for a in _weights()]
    x = torch.tensor(_batch(), requires_grad=penalty)

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
