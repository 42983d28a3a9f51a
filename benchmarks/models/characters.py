"""The character models: a training step, and writing texts.

A step goes from a window of each text to the changed weights: the loss, from the state that the
window before left, the backward pass, gradients clipped (in the larger models), and Adam. PyTorch
gets its own fused LSTM or GRU; it is timed on one thread and on all, and the faster one counts. JAX
scans over the steps, in one program or with eight of them written out.

All begin with the same weights, and that they are one model is checked: the same loss. (What they
learn from a text is compared in :mod:`benchmarks.learning`.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy

from autograd import backend, no_grad
from autograd.backend.whole import whole
from autograd.replay import recorded
from benchmarks.bench import Bench
from benchmarks.models.steps import TOLERANCE, JaxStep, threads, torch_compiled, torch_eager
from benchmarks.timing import Program
from scratchgen.models.autoregressive.characters import CharacterConfig, CharacterModel
from scratchgen.optim import Adam, clip_by_norm

RATE = 1e-4  # the learning rate; low, for the texts are noise
CLIP = 1.0  # the largest norm of the gradient
UNROLLED = (1, 8)  # steps of a sequence in one turn of JAX's loop


@dataclass(frozen=True)
class Case:
    """A network, and how much it reads in a step."""

    config: CharacterConfig
    clip: float | None = CLIP
    texts: int = 32
    steps: int = 64  # of a window

    def __str__(self) -> str:
        c = self.config
        sizes = f"{c.layers} x {c.cell.upper()} {c.embedding}-{c.width}"
        return f"{sizes}, {c.characters} characters, {self.texts}x{self.steps}"


CASES = (
    Case(CharacterConfig(layers=1, embedding=128), clip=None),
    Case(CharacterConfig(cell="lstm")),
    Case(CharacterConfig(cell="gru")),
)
WRITTEN = Case(CharacterConfig(), steps=200)


def benches() -> list[Bench]:
    """A training step of each case, and the writing of whole texts."""
    return [*map(_step, CASES), _sampling(WRITTEN)]


def _step(case: Case) -> Bench:
    peers = {"torch": in_torch, "torch-compile": in_torch_compiled, "jax": in_jax}
    return Bench(
        f"{case}: step",
        partial(ours, case),
        {family: partial(make, case) for family, make in peers.items()},
    )


def _sampling(case: Case) -> Bench:
    return Bench(
        f"{case}: sampling", partial(sampling, case), {"torch": partial(sampling_in_torch, case)}
    )


def batch_of(case: Case) -> tuple[numpy.ndarray, numpy.ndarray]:
    """Noise in place of text, the same at each step."""
    rng = numpy.random.default_rng(0)
    previous, targets = rng.integers(case.config.characters, size=(2, case.texts, case.steps))
    return previous, targets


# ----------------------------------------------------------------------------------------- ours


def ours(case: Case) -> Program:
    """The step as a program of this library."""
    learner = Ours(case.config, case.clip)
    previous, targets = map(backend.asarray, batch_of(case))
    return lambda: learner.step(previous, targets, RATE)


def sampling(case: Case) -> Program:
    """Whole texts, character by character."""
    model, rng = CharacterModel(case.config, backend.default_rng(0)), backend.default_rng(2)
    return lambda: model.sample(case.texts, rng, case.steps)


class Ours:
    """A model in training, and the state that the last window has left."""

    def __init__(self, config: CharacterConfig, clip: float | None = CLIP) -> None:
        self.config, self.clip = config, clip
        self.model = CharacterModel(config, backend.default_rng(0))
        self.optimiser = Adam(self.model.parameters().values())
        self._replayed = recorded(self._step)  # as in training
        self.restart()

    def restart(self) -> None:
        """The next window begins its texts."""
        self.state: list[Any] | None = None

    def step(self, previous: Any, targets: Any, rate: float) -> None:
        self.optimiser.learning_rate = rate
        self.state = self._replayed(*self._batch(previous, targets))

    def _step(self, *batch: Any) -> Any:
        loss, metrics = self.model.loss(batch, None)
        loss.backward()
        self._change()
        return metrics["state"]

    @whole
    def _change(self) -> None:
        if self.clip is not None:
            clip_by_norm(self.optimiser.flat, self.clip)
        self.optimiser.step()

    def nats(self, previous: Any, targets: Any) -> float:
        """−ln p per character of a window, read without learning."""
        with no_grad():
            loss, metrics = self.model.loss(self._batch(previous, targets), None)
        self.state = metrics["state"]
        return loss.item()

    def _batch(self, previous: Any, targets: Any) -> tuple[Any, Any, list[Any]]:
        before = self.model.start(len(targets)) if self.state is None else self.state
        return backend.asarray(previous), backend.asarray(targets), before


# ---------------------------------------------------------------------------- the same in PyTorch


def in_torch(case: Case, device: str) -> dict[str, Program]:
    """The step in PyTorch, on one thread and on all."""
    return _torch_steps(case, device, torch_eager)


def in_torch_compiled(case: Case, device: str) -> dict[str, Program]:
    """The same with the loss, and so its backward pass, compiled around the fused LSTM or GRU."""
    return _torch_steps(case, device, torch_compiled)


def _torch_steps(case: Case, device: str, made: Callable) -> dict[str, Program]:
    import torch

    def on(count: int) -> Program:
        learner = InTorch(torch, case.config, device, case.clip, partial(made, torch))
        previous, targets = (torch.from_numpy(codes).to(device) for codes in batch_of(case))
        torch.set_num_threads(count)
        _check(case, learner, device)

        def run() -> None:
            torch.set_num_threads(count)  # of the whole process
            learner.step(previous, targets, RATE)

        return run

    return {f"threads: {count}": on(count) for count in threads(device)}


def sampling_in_torch(case: Case, device: str) -> dict[str, Program]:
    """Whole texts in PyTorch, on one thread and on all."""
    import torch

    learner = InTorch(torch, case.config, device)
    _check(case, learner, device)

    def on(count: int) -> Program:
        def run() -> None:
            torch.set_num_threads(count)
            learner.sample(case.texts, case.steps)

        return run

    return {f"threads: {count}": on(count) for count in threads(device)}


def _check(case: Case, theirs: InTorch, device: str) -> None:
    ours, batch = Ours(case.config), batch_of(case)
    for _ in range(2):  # the second time from the state that the first has left
        expected, found = ours.nats(*batch), theirs.nats(*batch)
        assert math.isclose(found, expected, rel_tol=TOLERANCE[device]), (found, expected)
    theirs.restart()
    count = sum(math.prod(p.shape) for p in ours.model.parameters().values())
    assert sum(math.prod(p.shape) for p in theirs.values().values()) == count


class InTorch:
    """The same in PyTorch, with the same values to begin with.

    ``made`` makes of the loss what is called for it, such as a compiled one.
    """

    def __init__(
        self,
        torch: Any,
        config: CharacterConfig,
        device: str = "cpu",
        clip: float | None = CLIP,
        made: Callable[[Callable], Callable] = lambda loss: loss,
    ) -> None:
        self.torch, self.config, self.device, self.clip = torch, config, device, clip
        sizes = config.embedding, config.width, config.layers
        self.embedding = torch.nn.Embedding(config.characters + 1, config.embedding, device=device)
        kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[config.cell]
        self.layers = kind(*sizes, batch_first=True, device=device)
        self.output = torch.nn.Linear(config.width, config.characters, device=device)
        self._load(CharacterModel(config, backend.default_rng(0)).values())
        parts = (self.embedding, self.layers, self.output)
        self.parameters = [x for part in parts for x in part.parameters() if x.requires_grad]
        self.optimiser = torch.optim.Adam(self.parameters, fused=True)
        self.read = made(self._read)
        self.restart()

    def _load(self, values: dict[str, numpy.ndarray]) -> None:
        for i in range(self.config.layers):
            self._second_bias(getattr(self.layers, f"bias_hh_l{i}"))
        with self.torch.no_grad():
            for name, parameter in self._named().items():
                parameter.copy_(self.torch.from_numpy(values[name].copy()))

    def _second_bias(self, bias: Any) -> None:
        """Zeros, to which what would only add to the first bias is fixed; of a GRU, n learns."""
        self.torch.nn.init.zeros_(bias)
        if self.config.cell == "lstm":
            bias.requires_grad_(False)
        else:
            learns = self.torch.arange(len(bias), device=self.device) >= 2 * self.config.width
            bias.register_hook(lambda gradient: gradient * learns)

    def _named(self) -> dict[str, Any]:
        """The parameters by our names and in our shapes."""
        named = {
            "embedding.weight": self.embedding.weight,
            "output.weight": self.output.weight.T,
            "output.bias": self.output.bias,
        }
        for i in range(self.config.layers):
            named[f"layers.{i}.weight_x"] = getattr(self.layers, f"weight_ih_l{i}").T
            named[f"layers.{i}.weight_h"] = getattr(self.layers, f"weight_hh_l{i}").T
            named[f"layers.{i}.bias"] = getattr(self.layers, f"bias_ih_l{i}")
            if self.config.cell == "gru":
                second = getattr(self.layers, f"bias_hh_l{i}")
                named[f"layers.{i}.bias_h"] = second[2 * self.config.width :]
        return named

    def values(self) -> dict[str, numpy.ndarray]:
        """Copies of the parameters, by our names and in our shapes."""
        return {k: x.detach().cpu().numpy().copy() for k, x in self._named().items()}

    def restart(self) -> None:
        """The next window begins its texts."""
        self.state: Any = None

    def step(self, previous: Any, targets: Any, rate: float) -> None:
        self.optimiser.zero_grad()
        self._loss(previous, targets).backward()
        if self.clip is not None:
            self.torch.nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimiser.param_groups[0]["lr"] = rate
        self.optimiser.step()

    def nats(self, previous: Any, targets: Any) -> float:
        """−ln p per character of a window, read without learning."""
        with self.torch.no_grad():
            return self._loss(previous, targets).item()

    def sample(self, n: int, length: int) -> Any:
        """Texts (n, length) of codes, drawn character by character."""
        torch, state = self.torch, None
        code = torch.full((n, 1), self.config.characters, device=self.device)
        codes = []
        with torch.no_grad():
            for _ in range(length):
                h, state = self.layers(self.embedding(code), state)
                code = torch.multinomial(self.output(h[:, 0]).softmax(-1), 1)
                codes.append(code)
        return torch.cat(codes, 1)

    def _loss(self, previous: Any, targets: Any) -> Any:
        codes = (self.torch.as_tensor(x, device=self.device) for x in (previous, targets))
        loss, self.state = self.read(*codes, self.state)
        return loss

    def _read(self, previous: Any, targets: Any, state: Any) -> tuple[Any, Any]:
        """The loss of a window, and the state after it."""
        h, state = self.layers(self.embedding(previous), state)
        after = state.detach() if self.config.cell == "gru" else tuple(x.detach() for x in state)
        logits = self.output(h)  # (N, T, characters)
        cross_entropy = self.torch.nn.functional.cross_entropy
        return cross_entropy(logits.flatten(0, 1), targets.flatten()), after


# -------------------------------------------------------------------------------- the same in JAX


def in_jax(case: Case, device: str) -> dict[str, Program]:
    """The step in JAX, with one step of a sequence in each turn of the loop or with several."""
    return {f"unrolled by {count}": jax_step(case, device, count) for count in UNROLLED}


def jax_step(case: Case, device: str, unrolled: int) -> JaxStep:
    """The step in JAX; its parameters have our names and shapes."""
    import jax

    config, batch = case.config, batch_of(case)
    model = CharacterModel(config, backend.default_rng(0))
    loss = partial(_jax_loss, jax, config, unrolled)
    values = model.values()
    states = 2 if config.cell == "lstm" else 1
    start = [numpy.zeros((case.texts, config.width), "f4") for _ in range(states * config.layers)]
    ours, state, nats = Ours(config), start, jax.jit(loss)
    for _ in range(2):
        found, state = nats(values, state, *batch)
        expected = ours.nats(*batch)
        assert math.isclose(float(found), expected, rel_tol=TOLERANCE[device]), (found, expected)
    return JaxStep(jax, loss, values, batch, RATE, device, start, case.clip)


def _jax_loss(
    jax: Any,
    config: CharacterConfig,
    unrolled: int,
    values: Mapping[str, Any],
    state: list[Any],
    previous: Any,
    targets: Any,
) -> tuple[Any, list[Any]]:
    """The loss of a window, and the state after it."""
    np = jax.numpy
    cell = {"lstm": _jax_lstm, "gru": _jax_gru}[config.cell]
    parts = len(state) // config.layers
    h = values["embedding.weight"][previous.T]  # (T, N, C)
    after: list[Any] = []
    for i in range(config.layers):
        own = {name: values[f"layers.{i}.{name}"] for name in _OF_A_CELL[config.cell]}
        read = h @ own["weight_x"] + own["bias"]  # of all steps at once
        before = tuple(state[i * parts : (i + 1) * parts])
        last, h = jax.lax.scan(partial(cell, jax, own), before, read, unroll=unrolled)
        after += last
    logits = h @ values["output.weight"] + values["output.bias"]  # (T, N, characters)
    log_p = np.take_along_axis(jax.nn.log_softmax(logits), targets.T[..., None], axis=-1)
    return -log_p.mean(), after


def _jax_lstm(jax: Any, values: Mapping[str, Any], state: Any, read: Any) -> tuple[Any, Any]:
    h, c = state
    i, f, g, o = jax.numpy.split(read + h @ values["weight_h"], 4, axis=-1)
    sigmoid, tanh = jax.nn.sigmoid, jax.numpy.tanh
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)
    return (h, c), h


def _jax_gru(jax: Any, values: Mapping[str, Any], state: Any, read: Any) -> tuple[Any, Any]:
    (h,) = state
    r_x, z_x, n_x = jax.numpy.split(read, 3, axis=-1)
    r_h, z_h, n_h = jax.numpy.split(h @ values["weight_h"], 3, axis=-1)
    r, z = jax.nn.sigmoid(r_x + r_h), jax.nn.sigmoid(z_x + z_h)
    n = jax.numpy.tanh(n_x + r * (n_h + values["bias_h"]))
    h = z * h + (1 - z) * n
    return (h,), h


_OF_A_CELL = {
    "lstm": ("weight_x", "weight_h", "bias"),
    "gru": ("weight_x", "weight_h", "bias", "bias_h"),
}
