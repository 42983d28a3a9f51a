"""A run of sampling by a peer: how it is called, whatever the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.models.steps import jax_device, threads
from benchmarks.timing import Program


def torch_draws(torch: Any, sample: Callable[[int], Any], n: int, count: int) -> Program:
    """``sample(n)`` on ``count`` threads, with nothing kept for a backward pass."""

    def run() -> Any:
        torch.set_num_threads(count)
        with torch.no_grad():
            return sample(n)

    return run


def torch_samplings(
    torch: Any,
    sample: Callable[[int], Any],
    n: int,
    device: str,
    made: Callable[[Any, Callable], Callable],
) -> dict[str, Program]:
    """``sample(n)`` with each number of threads. ``made(torch, sample)``: what is timed of it."""
    return {
        f"threads: {count}": torch_draws(torch, made(torch, sample), n, count)
        for count in threads(device)
    }


def jax_draws(
    jax: Any, sample: Callable, values: Any, n: int, device: str, kind: str = "threefry2x32"
) -> Program:
    """``sample(values, key, n)`` jitted; it returns what it drew and the next key, of that kind.

    On a GPU whoever takes the time waits, for the last run.
    """
    place = jax_device(jax, device)
    values, key = jax.device_put((values, jax.random.key(2, impl=kind)), place)
    jitted = jax.jit(sample, static_argnums=2, donate_argnums=1)

    def run() -> Any:
        nonlocal key
        drawn, key = jitted(values, key, n)
        return jax.block_until_ready(drawn) if device == "cpu" else drawn

    return run
