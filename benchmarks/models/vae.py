"""The VAE 784-400-20: a training step, and a thousand samples.

A step goes from a batch of binary images (N, 28, 28, 1) to the changed weights: the bound with one
draw z = µ + σ ε, the backward pass, and Adam. Samples are z ~ N(0, 1), decoded, and each pixel then
drawn with its probability.

Peers get the same weights. PyTorch is timed with one thread and with as many as there are cores,
the samples of JAX with two kinds of random numbers. That they are one network is checked: with the
same weights and the same noise, the same loss, and of the same codes the same images' logits.
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
from scratchgen.models.latent.vae import VAE, VAEConfig

CONFIG = VAEConfig(28, 28, levels=2, latents=20, hidden=400, dropout=0.0)
RATE = 1e-4  # the learning rate; low, for the images are noise


@dataclass(frozen=True)
class Case:
    """A dense VAE of binary images with one hidden layer, how many it learns from and draws."""

    config: VAEConfig = CONFIG
    batch: int = 128
    images: int = 1_000

    def __str__(self) -> str:
        return f"VAE {self.config.dimensions}-{self.config.hidden}-{self.config.latents}"


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
        _bench(case, f"batch {case.batch}: step", ours, step),
        _bench(case, f"{case.images:,} samples", ours_sampling, sampling),
    ]


def _bench(case: Case, what: str, ours: Callable, peers: Mapping[str, Callable]) -> Bench:
    separator = ", " if what.endswith("step") else ": "
    made = {family: partial(make, case) for family, make in peers.items()}
    return Bench(f"{case}{separator}{what}", partial(ours, case), made)


# ----------------------------------------------------------------------------------------- ours


def model_of(case: Case) -> VAE:
    """The network of a case, always with the same values."""
    model = VAE(case.config, backend.default_rng(0))
    disturb(model)
    return model


def batch_of(case: Case) -> numpy.ndarray:
    """Noise in place of images, the same at each step."""
    shape = (case.batch, case.config.height, case.config.width, 1)
    return numpy.random.default_rng(0).integers(2, size=shape)


def ours(case: Case) -> Program:
    """The step as a program of this library."""
    return training_step(model_of(case), batch_of(case), RATE)


def ours_sampling(case: Case) -> Program:
    """Sampling as a program of this library."""
    return partial(model_of(case).sample, case.images, backend.default_rng(2))


# ---------------------------------------------------------------------------- the same in PyTorch


def in_torch(case: Case, device: str) -> dict[str, Program]:
    """The step in PyTorch, with each number of threads."""
    return _steps(case, device, torch_eager)


def in_torch_compiled(case: Case, device: str) -> dict[str, Program]:
    """The same with the loss, and so its backward pass, compiled."""
    return _steps(case, device, torch_compiled)


def _steps(case: Case, device: str, made: Callable) -> dict[str, Program]:
    import torch

    x = torch.from_numpy(batch_of(case)).reshape(case.batch, -1).to(device)
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
    return torch_samplings(torch, sample, case.images, device, made)


def _checked(torch: Any, case: Case, device: str) -> TorchVAE:
    network = TorchVAE(torch, model_of(case), device)
    check(case, *found_in_torch(torch, case, network), device)
    return network


class TorchVAE:
    """The dense VAE ``model`` of binary images, with its values."""

    def __init__(self, torch: Any, model: VAE, device: str = "cpu") -> None:
        self.torch, self.latents, self.device = torch, model.config.latents, device
        self.parameters: list[Any] = []
        encoder: Any = model.encoder  # a dense one
        decoder = model.decoder
        self.encoder = [self._dense(layer) for layer in encoder.hidden]
        self.code = self._dense(model.code)
        self.decoder = [self._dense(layer) for layer in decoder.hidden]
        self.output = self._dense(decoder.output)

    def _dense(self, layer: Any) -> Callable[[Any], Any]:
        torch = self.torch
        weight = self._parameter(backend.to_numpy(layer.weight.data).T)
        bias = self._parameter(backend.to_numpy(layer.bias.data))
        return lambda h: torch.nn.functional.linear(h, weight, bias)

    def _parameter(self, array: numpy.ndarray) -> Any:
        self.parameters.append(self.torch.tensor(array.copy(), device=self.device))
        return self.parameters[-1].requires_grad_()

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

    def sample(self, n: int) -> Any:
        """``n`` binary images (n, 784)."""
        torch = self.torch
        p = self.decode(torch.randn(n, self.latents, device=self.device)).sigmoid()
        return (torch.rand_like(p) < p).long()


def found_in_torch(torch: Any, case: Case, network: TorchVAE) -> tuple[Any, float, numpy.ndarray]:
    """Parameters, loss and logits of PyTorch's network, for :func:`check`."""
    x = torch.from_numpy(batch_of(case)).reshape(case.batch, -1).to(network.device)
    noise = torch.from_numpy(noise_of(case)).to(network.device)
    with torch.no_grad():
        return (
            network.parameters,
            network.loss(x, noise).item(),
            network.decode(noise).cpu().numpy(),
        )


# -------------------------------------------------------------------------------- the same in JAX


def in_jax(case: Case, device: str) -> dict[str, Program]:
    """The step in JAX."""
    import jax

    network, values = JaxVAE(jax, case.config), model_of(case).values()
    check(case, *found_in_jax(jax, case, network, values), device)
    key = jax.random.key(0)
    return {"": JaxStep(jax, network.noisy_loss, values, (batch_of(case),), RATE, device, key)}


def sampling_in_jax(case: Case, device: str) -> dict[str, Program]:
    """Sampling in JAX, with random numbers that are the same on all devices, and with others."""
    import jax

    network, values = JaxVAE(jax, case.config), model_of(case).values()
    check(case, *found_in_jax(jax, case, network, values), device)
    return {
        kind: jax_draws(jax, network.sample, values, case.images, device, kind)
        for kind in ("threefry2x32", "rbg")
    }


class JaxVAE:
    """The same network, as functions of its values by name."""

    def __init__(self, jax: Any, config: VAEConfig) -> None:
        self.jax, self.config = jax, config

    def _layers(self, values: Any, name: str, h: Any) -> Any:
        for i in range(self.config.layers):
            h = self.jax.nn.relu(_dense(values, f"{name}.hidden.{i}", h))
        return h

    def decode(self, values: Any, z: Any) -> Any:
        """Logits (N, 784)."""
        return _dense(values, "decoder.output", self._layers(values, "decoder", z))

    def noisy_loss(self, values: Any, key: Any, x: Any) -> tuple[Any, Any]:
        """−L in nats per image, for binary x (N, H, W, 1), with noise drawn; and the next key."""
        key, own = self.jax.random.split(key)
        noise = self.jax.random.normal(own, (len(x), self.config.latents))
        return self.loss(values, x, noise), key

    def loss(self, values: Any, x: Any, noise: Any) -> Any:
        """The same with the noise given."""
        np = self.jax.numpy
        x = x.reshape(len(x), -1).astype("float32")
        h = self._layers(values, "encoder", x * 2 - 1)
        mean, log_std = np.split(_dense(values, "code", h), 2, -1)
        std = np.exp(log_std)
        logits = self.decode(values, mean + std * noise)
        reconstruction = (self.jax.nn.softplus(logits) - x * logits).sum()
        kl = 0.5 * (mean**2 + std**2 - 1 - 2 * log_std).sum()
        return (reconstruction + kl) / len(x)

    def sample(self, values: Any, key: Any, n: int) -> tuple[Any, Any]:
        """``n`` binary images (n, 784), and the next key."""
        random = self.jax.random
        key, of_codes, of_pixels = random.split(key, 3)
        z = random.normal(of_codes, (n, self.config.latents))
        p = self.jax.nn.sigmoid(self.decode(values, z))
        return random.bernoulli(of_pixels, p).astype(int), key


def _dense(values: Any, name: str, h: Any) -> Any:
    return h @ values[f"{name}.weight"] + values[f"{name}.bias"]


def found_in_jax(
    jax: Any, case: Case, network: JaxVAE, values: Any
) -> tuple[Any, float, numpy.ndarray]:
    """Parameters, loss and logits of JAX's network, for :func:`check`."""
    noise = noise_of(case)
    loss = jax.jit(network.loss)(values, batch_of(case), noise)
    return values.values(), float(loss), numpy.asarray(jax.jit(network.decode)(values, noise))


# --------------------------------------------------------------------------------------- the check


def noise_of(case: Case, seed: int = 0) -> numpy.ndarray:
    """What our model draws for ε with that seed: (N, latents)."""
    noise = backend.default_rng(seed).standard_normal((case.batch, case.config.latents))
    return backend.to_numpy(noise).astype("float32")


def check(case: Case, parameters: Any, loss: float, logits: numpy.ndarray, device: str) -> None:
    """That a peer has as many parameters, and of the same noise the same loss and logits."""
    model = model_of(case)
    count = sum(math.prod(p.shape) for p in model.parameters().values())
    assert sum(math.prod(p.shape) for p in parameters) == count
    expected = model.loss(backend.asarray(batch_of(case)), backend.default_rng(0))[0].item()
    assert math.isclose(loss, expected, rel_tol=TOLERANCE[device]), (loss, expected)
    with no_grad():
        ours = backend.to_numpy(model.decode(backend.asarray(noise_of(case))))
    tolerance = 10 * TOLERANCE[device] * abs(ours).max()
    assert abs(logits.reshape(ours.shape) - ours).max() < tolerance
