"""The training step of a peer, from the loss to the changed weights, each library at its best.

A model file writes its network down once for each library, as a loss; what is around it, the
backward pass, Adam and how it is all compiled, is the same for every model, and is here.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy

from benchmarks.timing import Program

TOLERANCE = {"cpu": 1e-5, "cuda": 2e-3}
"""How much losses may differ, relatively: on a GPU peers round products to TF32 by default."""

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8


def threads(device: str) -> tuple[int, ...]:
    """Numbers of threads worth trying: for a small network one may be faster than all."""
    return (1, os.cpu_count() or 1) if device == "cpu" and os.cpu_count() != 1 else (1,)


# ------------------------------------------------------------------------------------ PyTorch


def torch_step(
    torch: Any,
    loss: Callable[[], Any],
    parameters: Iterable[Any],
    rate: float,
    count: int | None = None,
) -> Program:
    """The loss, its backward pass, and Adam as one fused operation, on ``count`` threads (or all).

    The number of threads is that of the whole process, so each program sets it for itself.
    """
    optimiser = torch.optim.Adam(parameters, rate, fused=True)
    count = count or os.cpu_count() or 1

    def run() -> None:
        torch.set_num_threads(count)
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()

    return run


def torch_steps(
    torch: Any,
    network: Callable[[], Any],
    batch: Any,
    rate: float,
    device: str,
    made: Callable[[Any, Callable], Callable],
) -> dict[str, Program]:
    """The step with each number of threads: of a network's ``loss(batch)``, for its ``parameters``.

    ``network()`` is another one each time. ``made(torch, loss)``: what is timed of a loss.
    """
    programs = {}
    for count in threads(device):
        own = network()
        loss = partial(made(torch, own.loss), batch)
        programs[f"threads: {count}"] = torch_step(torch, loss, own.parameters, rate, count)
    return programs


def torch_eager(torch: Any, function: Callable[..., Any]) -> Callable[..., Any]:
    """A function as it is."""
    return function


def torch_compiled(torch: Any, loss: Callable[..., Any]) -> Callable[..., Any]:
    """The loss compiled, and with it its backward pass."""
    return torch.compile(loss, dynamic=False)


# ---------------------------------------------------------------------------------------- JAX


class JaxStep:
    """One jitted program: the loss, its gradient, and Adam; what it changes it writes in place.

    ``loss(parameters, carry, *batch)`` returns the loss and the next carry: what is handed on from
    step to step besides the weights, such as the state of a recurrent network or a random key.
    """

    def __init__(
        self,
        jax: Any,
        loss: Callable[..., Any],
        parameters: Mapping[str, numpy.ndarray],
        batch: tuple[Any, ...],
        rate: float,
        device: str,
        carry: Any = None,
        clip: float | None = None,
    ) -> None:
        self.jax, self.loss, self.rate, self.clip = jax, loss, rate, clip
        self.waits = device == "cpu"  # on a GPU whoever takes the time waits, for the last step
        place = jax_device(jax, device)
        zeros = {name: numpy.zeros_like(value) for name, value in parameters.items()}
        state = dict(parameters), zeros, zeros, numpy.float32(0), carry
        self.state = jax.device_put(state, place, may_alias=False)
        self.batch = jax.device_put(batch, place)
        self.step = jax.jit(self._step, donate_argnums=0)

    def __call__(self) -> Any:
        """A step. Returns the loss before it."""
        self.state, loss = self.step(self.state, *self.batch)
        return self.jax.block_until_ready(loss) if self.waits else loss

    @property
    def parameters(self) -> dict[str, numpy.ndarray]:
        """The values now."""
        return {name: numpy.array(value) for name, value in self.state[0].items()}

    def _step(self, state: Any, *batch: Any) -> Any:
        np, tree = self.jax.numpy, partial(self.jax.tree.map)
        parameters, means, squares, t, carry = state
        gradient = self.jax.value_and_grad(self.loss, has_aux=True)
        (loss, carry), g = gradient(parameters, carry, *batch)
        if self.clip is not None:
            norm = np.sqrt(sum(np.vdot(x, x) for x in self.jax.tree.leaves(g)))
            factor = np.minimum(1.0, self.clip / norm)
            g = tree(lambda x: x * factor, g)
        t = t + 1
        means = tree(lambda m, x: BETA1 * m + (1 - BETA1) * x, means, g)
        squares = tree(lambda v, x: BETA2 * v + (1 - BETA2) * x * x, squares, g)
        scale, root = self.rate / (1 - BETA1**t), np.sqrt(1 - BETA2**t)
        parameters = tree(
            lambda p, m, v: p - scale * m / (np.sqrt(v) / root + EPSILON),
            parameters,
            means,
            squares,
        )
        return (parameters, means, squares, t, carry), loss


def jax_device(jax: Any, device: str) -> Any:
    """JAX's name of the device that PyTorch calls "cpu" or "cuda"."""
    return jax.devices({"cpu": "cpu", "cuda": "gpu"}[device])[0]
