"""A DCGAN with the loss wgan-gp: a turn of the critic, one of the generator, and a thousand images.

The critic scores data and draws; its slopes by images in between, squared, are differentiated by
its weights, a gradient of second order, and Adam changes these. The turn of the generator goes
through the critic, whose weights are constants then. Images are (N, 28, 28, 1).

Peers get the same weights. PyTorch is timed with channels first and with channels last, with one
thread and with as many as there are cores; JAX with channels last. That they are one model is
checked: with the same weights and the same random numbers, the same losses and the same draws.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy

from autograd import backend
from autograd.replay import recorded
from benchmarks.bench import Bench
from benchmarks.models.draws import jax_draws, torch_draws
from benchmarks.models.gan_peers import PLAYERS, JaxGAN, TorchGAN
from benchmarks.models.steps import (
    TOLERANCE,
    JaxStep,
    threads,
    torch_compiled,
    torch_eager,
    torch_step,
)
from benchmarks.sampling import disturb
from benchmarks.timing import Program
from scratchgen.models.adversarial.gan import GAN, GANConfig
from scratchgen.optim import Adam

CONFIG = GANConfig(28, 28, levels=256, loss="wgan-gp", network="conv", hidden=64, latents=64)
RATE = 1e-4  # the learning rate


@dataclass(frozen=True)
class Case:
    """A convolutional GAN, how many images it learns from and how many it draws."""

    config: GANConfig = CONFIG
    batch: int = 64
    images: int = 1_000

    def __str__(self) -> str:
        return f"{self.config.height}x{self.config.width}, batch {self.batch}: step"


CASE = Case()


def benches(case: Case = CASE) -> list[Bench]:
    """A turn of each player, and sampling."""
    turn = {"torch": in_torch, "jax": in_jax}
    compiled = {**turn, "torch-compile": in_torch_compiled}
    sampling = {
        "torch": sampling_in_torch,
        "torch-compile": sampling_in_torch_compiled,
        "jax": sampling_in_jax,
    }
    return [
        # what torch.compile makes of a loss has no second derivative: without it for the critic
        _bench(f"WGAN-GP critic, {case}", ours, turn, case, "critic"),
        _bench(f"WGAN-GP generator, {case}", ours, compiled, case, "generator"),
        _bench(f"DCGAN: {case.images:,} images", ours_sampling, sampling, case),
    ]


def _bench(name: str, ours: Callable, peers: Mapping[str, Callable], *what: Any) -> Bench:
    made = {family: partial(make, *what) for family, make in peers.items()}
    return Bench(name, partial(ours, *what), made)


# ----------------------------------------------------------------------------------------- ours


def model_of(case: Case) -> GAN:
    """The networks of a case, always with the same values."""
    model = GAN(case.config, backend.default_rng(0))
    disturb(model)
    return model


def batch_of(case: Case) -> numpy.ndarray:
    """Noise in place of images, the same at each step."""
    shape = (case.batch, case.config.height, case.config.width, 1)
    return numpy.random.default_rng(0).integers(case.config.levels, size=shape)


def loss_of(model: GAN, player: str, x: Any, rng: Any) -> Any:
    """What that player minimises, for images ``x`` of levels."""
    if player == "critic":
        return model.critic_loss(model.real(x), rng)
    return model.generator_loss(len(x), rng)


def turn_of(model: GAN, player: str, images: numpy.ndarray, rng: Any) -> Program:
    """The loss of that player, the backward pass, and a step of Adam."""
    x, (module, _) = backend.asarray(images), model.players[player]
    optimiser = Adam(module.parameters().values(), RATE)

    @recorded  # as in training
    def step(x: Any, rng: Any) -> None:
        loss_of(model, player, x, rng).backward()
        optimiser.step()

    return partial(step, x, rng)


def ours(case: Case, player: str) -> Program:
    """The turn as a program of this library."""
    return turn_of(model_of(case), player, batch_of(case), backend.default_rng(0))


def ours_sampling(case: Case) -> Program:
    """Sampling as a program of this library."""
    return partial(model_of(case).sample, case.images, backend.default_rng(2))


# ---------------------------------------------------------------------------- the same in PyTorch


def in_torch(case: Case, player: str, device: str) -> dict[str, Program]:
    """The turn in PyTorch, in both layouts, with each number of threads."""
    import torch

    x = torch.from_numpy(batch_of(case)).permute(0, 3, 1, 2).to(device)
    return {
        variant: torch_step(
            torch, partial(network.loss, player, x), network.parameters[player], RATE, count
        )
        for variant, network, count in _torch_variants(torch, case, device)
    }


def in_torch_compiled(case: Case, player: str, device: str) -> dict[str, Program]:
    """The turn of the generator with the loss, and so its backward pass, compiled."""
    import torch

    assert player == "generator"
    programs = {}
    for variant, network, count in _torch_variants(torch, case, device):
        network.freeze(True)
        loss = partial(torch_compiled(torch, network.generator_loss), case.batch)
        programs[variant] = torch_step(torch, loss, network.parameters[player], RATE, count)
    return programs


def sampling_in_torch(case: Case, device: str) -> dict[str, Program]:
    """Sampling in PyTorch, in both layouts, with each number of threads."""
    return _torch_samplings(case, device, torch_eager)


def sampling_in_torch_compiled(case: Case, device: str) -> dict[str, Program]:
    """The same, compiled."""
    return _torch_samplings(case, device, torch_compiled)


def _torch_samplings(case: Case, device: str, made: Callable) -> dict[str, Program]:
    import torch

    return {
        variant: torch_draws(torch, made(torch, network.sample), case.images, count)
        for variant, network, count in _torch_variants(torch, case, device)
    }


def _torch_variants(torch: Any, case: Case, device: str) -> Iterator[tuple[str, TorchGAN, int]]:
    """Each variant's name, a checked network, and a number of threads."""
    for last in (False, True):
        model = model_of(case)
        check(torch, model, TorchGAN(torch, model, last, device), batch_of(case))
        for count in threads(device):
            name = f"channels {'last' if last else 'first'}, threads: {count}"
            yield name, TorchGAN(torch, model_of(case), last, device), count


# -------------------------------------------------------------------------------- the same in JAX


# On a CPU XLA is fast at convolutions but slow at their gradients, which are dilated ones.
_JAX_VARIANTS = {"convolutions": False, "products of matrices": True}


def in_jax(case: Case, player: str, device: str) -> dict[str, Program]:
    """The turn in JAX, with convolutions, and with products of matrices for them."""
    return {v: jax_turn(case, player, device, p) for v, p in _JAX_VARIANTS.items()}


def jax_turn(case: Case, player: str, device: str, products: bool) -> JaxStep:
    """The turn in JAX; its parameters have our names and shapes."""
    import jax

    model = model_of(case)
    network, values = JaxGAN(jax, model, products), model.values()
    check_jax(network, model, batch_of(case), device)
    names = set(model.parameters())
    learnt = {name: values.pop(name) for name in names if name.startswith(player)}
    running = {name: values.pop(name) for name in set(values) - names}
    carry = running, jax.random.key(0)
    loss = partial(network.drawn_loss, player)
    return JaxStep(jax, loss, learnt, (batch_of(case), values), RATE, device, carry)


def sampling_in_jax(case: Case, device: str) -> dict[str, Program]:
    """Sampling in JAX, likewise."""
    import jax

    model = model_of(case)

    def program(products: bool) -> Program:
        network = JaxGAN(jax, model, products)
        check_jax(network, model, batch_of(case), device)
        return jax_draws(jax, network.sample, model.values(), case.images, device)

    return {variant: program(products) for variant, products in _JAX_VARIANTS.items()}


# --------------------------------------------------------------------------------------- the check


def drawn(model: GAN, n: int, seed: int) -> tuple[numpy.ndarray, numpy.ndarray]:
    """What our model draws with that seed: noise (n, latents) and ε (n, 1, 1, 1)."""
    rng = backend.default_rng(seed)
    numbers = rng.standard_normal((n, model.config.latents)), rng.random((n, 1, 1, 1))
    noise, epsilon = (backend.to_numpy(x).astype("float32") for x in numbers)
    return noise, epsilon


def check(torch: Any, model: GAN, network: TorchGAN, images: numpy.ndarray) -> None:
    """Fail unless both have as many weights, and with the same random numbers the same losses."""
    x = torch.from_numpy(images).permute(0, 3, 1, 2).to(network.device)
    random = [torch.from_numpy(a).to(network.device) for a in drawn(model, len(images), 1)]
    with torch.no_grad():
        draws = network.generator(random[0], training=False).permute(0, 2, 3, 1).cpu().numpy()
    _check_draws(model, draws, random[0].cpu().numpy(), network.device)
    for player in PLAYERS:
        count = sum(p.numel() for p in network.parameters[player])
        found = network.loss(player, x, *random).item()
        _check_player(model, player, images, count, found, network.device)


def check_jax(network: JaxGAN, model: GAN, images: numpy.ndarray, device: str) -> None:
    """The same for JAX."""
    jax, values = network.jax, model.values()
    noise, epsilon = drawn(model, len(images), 1)
    draws, _ = jax.jit(network.generator, static_argnums=2)(values, noise, False)
    _check_draws(model, numpy.asarray(draws), noise, device)
    for player in PLAYERS:
        names = [name for name in model.parameters() if name.startswith(player)]
        found, _ = jax.jit(network.loss, static_argnums=0)(player, values, images, noise, epsilon)
        count = sum(values[name].size for name in names)
        _check_player(model, player, images, count, float(found), device)


def _check_player(
    model: GAN, player: str, images: numpy.ndarray, count: int, found: float, device: str
) -> None:
    module, _ = model.players[player]
    assert sum(math.prod(p.shape) for p in module.parameters().values()) == count
    expected = loss_of(model, player, backend.asarray(images), backend.default_rng(1)).item()
    assert math.isclose(found, expected, rel_tol=10 * TOLERANCE[device]), (player, found, expected)


def _check_draws(model: GAN, draws: numpy.ndarray, noise: numpy.ndarray, device: str) -> None:
    expected = backend.to_numpy(model.draws(backend.asarray(noise)))
    assert abs(draws - expected).max() < 10 * TOLERANCE[device]
