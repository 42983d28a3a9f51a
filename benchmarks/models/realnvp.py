"""Real NVP in the plane: a training step, and ten thousand samples.

A step goes from a batch of points (N, 2) to the changed weights: the loss in nats, the backward
pass, and Adam. Samples are noise that goes back through the couplings. In so small a model most of
the time is what it takes to call operations, and to write them down and walk back through them.

Peers get the same equations. PyTorch is timed with one thread and with as many as there are cores.
That they are one model is checked: as many parameters, with the same values the same loss, and of
the same noise the same points.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy

from autograd import backend, no_grad
from benchmarks.bench import Bench
from benchmarks.models.draws import jax_draws, torch_samplings
from benchmarks.models.steps import (
    TOLERANCE,
    JaxStep,
    torch_compiled,
    torch_eager,
    torch_steps,
)
from benchmarks.sampling import disturb
from benchmarks.timing import Program, training_step
from scratchgen.models.flows.realnvp import RealNVPPoints, RealNVPPointsConfig

RATE = 1e-4  # the learning rate


@dataclass(frozen=True)
class Case:
    """Points of a normal distribution, for a flow with networks of three dense layers."""

    batch: int = 256
    couplings: int = 8
    hidden: int = 64
    points: int = 10_000  # that are drawn

    def __str__(self) -> str:
        return f"Real NVP, {self.couplings} couplings, hidden {self.hidden}"


CASE = Case()


def benches(case: Case = CASE) -> list[Bench]:
    """A training step, and sampling."""
    step = {"torch": in_torch, "torch-compile": in_torch_compiled, "jax": in_jax}
    sampling = {
        "torch": sampling_in_torch,
        "torch-compile": sampling_in_torch_compiled,
        "jax": sampling_in_jax,
    }
    return [
        _bench(case, f"{case}, batch {case.batch}: step", ours, step),
        _bench(case, f"{case}: {case.points:,} samples", ours_sampling, sampling),
    ]


def _bench(case: Case, name: str, ours: Callable, peers: Mapping[str, Callable]) -> Bench:
    made = {family: partial(make, case) for family, make in peers.items()}
    return Bench(name, partial(ours, case), made)


# ----------------------------------------------------------------------------------------- ours


def model_of(case: Case) -> RealNVPPoints:
    """The flow of a case, always with the same values."""
    config = RealNVPPointsConfig(couplings=case.couplings, hidden=case.hidden)
    model = RealNVPPoints(config, backend.default_rng(0))
    disturb(model)
    return model


def batch_of(case: Case) -> numpy.ndarray:
    """Points, the same at each step."""
    return numpy.random.default_rng(0).standard_normal((case.batch, 2)).astype("float32")


def ours(case: Case) -> Program:
    """The step as a program of this library."""
    return training_step(model_of(case), batch_of(case), RATE)


def ours_sampling(case: Case) -> Program:
    """Sampling as a program of this library."""
    return partial(model_of(case).sample, case.points, backend.default_rng(2))


# ---------------------------------------------------------------------------- the same in PyTorch


def in_torch(case: Case, device: str) -> dict[str, Program]:
    """The step in PyTorch, with each number of threads."""
    return _steps(case, device, torch_eager)


def in_torch_compiled(case: Case, device: str) -> dict[str, Program]:
    """The same with the loss, and so its backward pass, compiled."""
    return _steps(case, device, torch_compiled)


def _steps(case: Case, device: str, made: Callable) -> dict[str, Program]:
    import torch

    x = torch.from_numpy(batch_of(case)).to(device)
    return torch_steps(torch, lambda: _checked(torch, case, device), x, RATE, device, made)


def sampling_in_torch(case: Case, device: str) -> dict[str, Program]:
    """Sampling in PyTorch, with each number of threads."""
    return _samplings(case, device, torch_eager)


def sampling_in_torch_compiled(case: Case, device: str) -> dict[str, Program]:
    """The same, compiled."""
    return _samplings(case, device, torch_compiled)


def _samplings(case: Case, device: str, made: Callable) -> dict[str, Program]:
    import torch

    sample = _checked(torch, case, device).sample
    return torch_samplings(torch, sample, case.points, device, made)


def _checked(torch: Any, case: Case, device: str) -> TorchRealNVP:
    network = TorchRealNVP(torch, model_of(case), device)
    check(case, *found_in_torch(torch, case, network), device)
    return network


class TorchRealNVP:
    """The flow of ``model``, with its values."""

    def __init__(self, torch: Any, model: RealNVPPoints, device: str = "cpu") -> None:
        self.torch, self.device = torch, device
        self.parameters: list[Any] = []
        composed: Any = model.transform
        self.couplings = [self._coupling(c) for c in composed.transforms]

    def _coupling(self, coupling: Any) -> tuple[Any, Any, list[tuple[Any, Any]], Any]:
        network = coupling.network
        layers = [
            (self._parameter(layer.weight.data.T), self._parameter(layer.bias.data))
            for layer in (*network.hidden, network.output)
        ]
        mask = self.torch.tensor(backend.to_numpy(coupling.mask), device=self.device)
        return mask, 1 - mask, layers, self._parameter(coupling.scale.data)

    def _parameter(self, array: Any) -> Any:
        copy = numpy.ascontiguousarray(backend.to_numpy(array)).copy()
        self.parameters.append(self.torch.from_numpy(copy).to(self.device).requires_grad_())
        return self.parameters[-1]

    def _scale_and_shift(self, x: Any, coupling: Any) -> tuple[Any, Any]:
        torch = self.torch
        mask, changed, layers, scale = coupling
        h = mask * x
        for weight, bias in layers[:-1]:
            h = torch.relu(torch.nn.functional.linear(h, weight, bias))
        s, t = torch.nn.functional.linear(h, *layers[-1]).chunk(2, -1)
        return changed * scale * torch.tanh(s), changed * t

    def loss(self, x: Any) -> Any:
        """−ln p in nats per point, for points x (N, 2)."""
        total = 0.0
        for coupling in self.couplings:
            s, t = self._scale_and_shift(x, coupling)
            x = x * self.torch.exp(s) + t
            total = total + s.sum(-1)
        log_p = (-0.5 * x * x - 0.5 * math.log(2 * math.pi)).sum(-1)
        return -(log_p + total).mean()

    def points(self, z: Any) -> Any:
        """The points that noise z (N, 2) becomes."""
        for coupling in reversed(self.couplings):
            s, t = self._scale_and_shift(z, coupling)
            z = (z - t) * self.torch.exp(-s)
        return z

    def sample(self, n: int) -> Any:
        """``n`` points (n, 2)."""
        return self.points(self.torch.randn(n, 2, device=self.device))


def found_in_torch(torch: Any, case: Case, flow: TorchRealNVP) -> tuple[Any, float, numpy.ndarray]:
    """Parameters, loss and points of PyTorch's flow, for :func:`check`."""
    x = torch.from_numpy(batch_of(case)).to(flow.device)
    with torch.no_grad():
        return flow.parameters, flow.loss(x).item(), flow.points(x).cpu().numpy()


# -------------------------------------------------------------------------------- the same in JAX


def in_jax(case: Case, device: str) -> dict[str, Program]:
    """The step in JAX."""
    return {"": jax_step(case, device)}


def jax_step(case: Case, device: str) -> JaxStep:
    """The step in JAX; its parameters have our names and shapes."""
    import jax

    flow, values = JaxRealNVP(jax, case), model_of(case).values()
    check(case, *found_in_jax(jax, case, flow, values), device)
    loss = lambda values, _, x: (flow.loss(values, x), None)  # noqa: E731
    return JaxStep(jax, loss, values, (batch_of(case),), RATE, device)


def sampling_in_jax(case: Case, device: str) -> dict[str, Program]:
    """Sampling in JAX, with random numbers that are the same on all devices, and with others."""
    import jax

    flow, values = JaxRealNVP(jax, case), model_of(case).values()
    check(case, *found_in_jax(jax, case, flow, values), device)
    return {
        kind: jax_draws(jax, flow.sample, values, case.points, device, kind)
        for kind in ("threefry2x32", "rbg")
    }


class JaxRealNVP:
    """The same flow, as functions of its values by name."""

    def __init__(self, jax: Any, case: Case) -> None:
        self.jax, self.couplings = jax, case.couplings

    def _scale_and_shift(self, values: Any, i: int, x: Any) -> tuple[Any, Any]:
        nn, np = self.jax.nn, self.jax.numpy
        name = f"transform.transforms.{i}"
        mask = numpy.array([1, 0] if i % 2 == 0 else [0, 1], "float32")
        h = mask * x
        for layer in ("hidden.0", "hidden.1"):
            h = nn.relu(_dense(values, f"{name}.network.{layer}", h))
        s, t = np.split(_dense(values, f"{name}.network.output", h), 2, -1)
        return (1 - mask) * values[f"{name}.scale"] * np.tanh(s), (1 - mask) * t

    def loss(self, values: Any, x: Any) -> Any:
        """−ln p in nats per point, for points x (N, 2)."""
        total = 0.0
        for i in range(self.couplings):
            s, t = self._scale_and_shift(values, i, x)
            x = x * self.jax.numpy.exp(s) + t
            total = total + s.sum(-1)
        log_p = (-0.5 * x * x - 0.5 * math.log(2 * math.pi)).sum(-1)
        return -(log_p + total).mean()

    def points(self, values: Any, z: Any) -> Any:
        """The points that noise z (N, 2) becomes."""
        for i in reversed(range(self.couplings)):
            s, t = self._scale_and_shift(values, i, z)
            z = (z - t) * self.jax.numpy.exp(-s)
        return z

    def sample(self, values: Any, key: Any, n: int) -> tuple[Any, Any]:
        """``n`` points (n, 2), and the next key."""
        key, own = self.jax.random.split(key)
        return self.points(values, self.jax.random.normal(own, (n, 2))), key


def _dense(values: Any, name: str, h: Any) -> Any:
    return h @ values[f"{name}.weight"] + values[f"{name}.bias"]


def found_in_jax(
    jax: Any, case: Case, flow: JaxRealNVP, values: Any
) -> tuple[Any, float, numpy.ndarray]:
    """Parameters, loss and points of JAX's flow, for :func:`check`."""
    x = batch_of(case)
    points = jax.jit(flow.points)(values, x)
    return values.values(), float(jax.jit(flow.loss)(values, x)), numpy.asarray(points)


# --------------------------------------------------------------------------------------- the check


def check(case: Case, parameters: Any, loss: float, points: numpy.ndarray, device: str) -> None:
    """That a peer has as many parameters, and the same loss and, of noise, the same points."""
    model, x = model_of(case), backend.asarray(batch_of(case))
    count = sum(math.prod(p.shape) for p in model.parameters().values())
    assert sum(math.prod(p.shape) for p in parameters) == count
    expected = model.loss(x, None)[0].item()
    assert math.isclose(loss, expected, rel_tol=TOLERANCE[device]), (loss, expected)
    with no_grad():
        ours = backend.to_numpy(model.transform.inverse(x, None)[0])
    assert abs(points - ours).max() < 10 * TOLERANCE[device] * abs(ours).max()
