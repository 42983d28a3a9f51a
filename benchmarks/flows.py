"""One training step of Real NVP in the plane, against the same flow in PyTorch eager at its best.

A step goes from a batch of points (N, 2) to the changed weights: the loss in nats, the backward
pass, and Adam. In so small a model most of the time is what it takes to call operations, and to
write them down and walk back through them. PyTorch gets the same equations with its fused Adam; it
is timed with each number of threads, and the fastest counts. That the two are one model is checked:
as many parameters, and with the same values the same loss.
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
from scratchgen.models.flows.realnvp import RealNVPPoints, RealNVPPointsConfig

RATE = 1e-4  # the learning rate


@dataclass(frozen=True)
class Case:
    """Points of a normal distribution, for a flow with networks of three dense layers."""

    batch: int
    couplings: int = 8
    hidden: int = 64

    def __str__(self) -> str:
        return f"Real NVP, {self.couplings} couplings, hidden {self.hidden}, batch {self.batch}"


CASES = (Case(256),)


def rows(seconds: float = 2.0) -> Iterator[dict]:
    """One row for each case, timed in turns with PyTorch if it is installed."""
    for case in CASES:
        yield against(str(case), ours(case), peers(case), seconds)


def _model(case: Case) -> RealNVPPoints:
    config = RealNVPPointsConfig(couplings=case.couplings, hidden=case.hidden)
    model = RealNVPPoints(config, backend.default_rng(0))
    disturb(model)
    return model


def _batch(case: Case) -> numpy.ndarray:
    return numpy.random.default_rng(0).standard_normal((case.batch, 2)).astype("float32")


def ours(case: Case) -> Callable[[], None]:
    """The step as a program of this library."""
    return training_step(_model(case), _batch(case), RATE)


# ---------------------------------------------------------------------------- the same in PyTorch


def peers(case: Case) -> dict[str, Callable[[], None]]:
    """The step in PyTorch, with one thread and with all; nothing if it is not installed."""
    try:
        import torch
    except ImportError:
        return {}
    return {
        f"torch eager, threads: {threads}": _in_torch(torch, case, threads)
        for threads in sorted({1, torch.get_num_threads()})
    }


def _in_torch(torch: Any, case: Case, threads: int) -> Callable[[], None]:
    model, batch = _model(case), _batch(case)
    x, flow = torch.from_numpy(batch), _TorchRealNVP(torch, model)
    optimiser = torch.optim.Adam(flow.parameters, RATE, fused=True)
    _check(model, flow, batch, x)

    def run() -> None:
        torch.set_num_threads(threads)
        optimiser.zero_grad()
        flow.loss(x).backward()
        optimiser.step()

    return run


class _TorchRealNVP:
    """The flow of ``model``, with its values."""

    def __init__(self, torch: Any, model: RealNVPPoints) -> None:
        self.torch = torch
        self.parameters: list[Any] = []
        self.couplings = [self._coupling(c) for c in model.transform.transforms]

    def _coupling(self, coupling: Any) -> tuple[Any, Any, Any, list[tuple[Any, Any]]]:
        network = coupling.network
        layers = [
            (self._parameter(layer.weight.data.T), self._parameter(layer.bias.data))
            for layer in (*network.hidden, network.output)
        ]
        mask = self.torch.from_numpy(backend.to_numpy(coupling.mask))
        return mask, 1 - mask, self._parameter(coupling.scale.data), layers

    def _parameter(self, array: Any) -> Any:
        copy = numpy.ascontiguousarray(backend.to_numpy(array)).copy()
        self.parameters.append(self.torch.from_numpy(copy).requires_grad_())
        return self.parameters[-1]

    def loss(self, x: Any) -> Any:
        """−ln p in nats per point, for points x (N, 2)."""
        torch, total = self.torch, 0.0
        for mask, changed, scale, layers in self.couplings:
            h = mask * x
            for weight, bias in layers[:-1]:
                h = torch.relu(torch.nn.functional.linear(h, weight, bias))
            s, t = torch.nn.functional.linear(h, *layers[-1]).chunk(2, -1)
            s = changed * scale * torch.tanh(s)
            x = x * torch.exp(s) + changed * t
            total = total + s.sum(-1)
        log_p = (-0.5 * x * x - 0.5 * math.log(2 * math.pi)).sum(-1)
        return -(log_p + total).mean()


def _check(model: RealNVPPoints, flow: _TorchRealNVP, batch: numpy.ndarray, x: Any) -> None:
    count = sum(math.prod(p.shape) for p in model.parameters().values())
    assert sum(p.numel() for p in flow.parameters) == count
    expected = model.loss(backend.asarray(batch), None)[0].item()
    found = flow.loss(x).item()
    assert math.isclose(found, expected, rel_tol=1e-5), (found, expected)
