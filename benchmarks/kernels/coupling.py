"""A coupling layer of Real NVP with its network: small matrices and elementwise work by turns."""

from __future__ import annotations

import itertools
from typing import Any

import numpy

from autograd import backend
from benchmarks.kernels.kernel import PARAMETER, Case, Input, Kernel, Run
from scratchgen.nn import MLP
from scratchgen.transforms.coupling import AffineCoupling, half


def _case(batch: int, width: int, hidden: int) -> Case:
    """z = x ⊙ exp(s) + t and ln |det|, where m = 0: s = a ⊙ tanh ŝ, (ŝ, t) = network(m ⊙ x).

    With D numbers an example, half of them read by the network and half of them changed, two
    hidden layers of H with rectifiers: D H / 2 + H² + H D products, each with its sum, and 2 H
    maxima. For each number that is changed: tanh, a ·, exp, x ·, + t and a sum: 6.

    Going backward, three products in place of one for these layers (x̄ and w̄ of each), 2 H
    selections, and sums for the biases, 2 H + D. For each number that is changed: s̄ = z̄ x exp(s) +
    l̄, x̄ = z̄ exp(s), ā = Σ s̄ τ and ŝ̄ = s̄ a (1 − τ²) are 2, 1, 2 and 4. Where none is, z̄ is added
    to what the network sends: 1.
    """

    def inputs(rng: numpy.random.Generator) -> list[Input]:
        widths = [width, hidden, hidden, 2 * width]
        found = [Input(rng.normal(size=(batch, width))), Input(numpy.ones(width), PARAMETER)]
        for a, b in itertools.pairwise(widths):
            found.append(Input(rng.normal(0, (a + b) ** -0.5, (a, b)), PARAMETER, (1, 0)))
            found.append(Input(rng.normal(0, 0.1, b), PARAMETER, again=False))
        return found

    changed = width // 2
    read = width - changed
    products = read * hidden + hidden * hidden + 2 * hidden * changed
    forward = 2 * products + 2 * hidden + 6 * changed
    backward = 4 * products + 4 * hidden + 2 * changed + 9 * changed + read
    name = f"coupling layer, {width} numbers, hidden {hidden}, batch {batch}"
    return Case(name, inputs, _ours, _in_torch, (batch * forward, batch * backward))


def _mask(width: int) -> numpy.ndarray:
    return backend.to_numpy(half(width))


def _ours(x: Any, a: Any, *parameters: Any) -> Run:
    width, hidden = parameters[0].shape
    network = MLP(width, 2 * width, backend.default_rng(0), hidden=hidden)
    layers = [*network.hidden, network.output]
    for layer, weight, bias in zip(layers, parameters[::2], parameters[1::2], strict=True):
        layer.weight, layer.bias = weight, bias
    coupling = AffineCoupling(half(width).astype(x.dtype), network)
    coupling.scale = a
    return lambda: coupling.forward(x)


def _in_torch(torch: Any, x: Any, a: Any, *parameters: Any) -> Run:
    linear = torch.nn.functional.linear
    mask = torch.from_numpy(_mask(x.shape[1])).to(x)
    changed = 1 - mask
    layers = list(zip(parameters[::2], parameters[1::2], strict=True))

    def run() -> Any:
        h = mask * x
        for weight, bias in layers[:-1]:
            h = torch.relu(linear(h, weight, bias))
        s, t = linear(h, *layers[-1]).chunk(2, -1)
        s = changed * a * torch.tanh(s)
        return x * torch.exp(s) + changed * t, s.sum(-1)

    return run


KERNEL = Kernel(
    "coupling",
    _case(1, 2, 1),
    (_case(16, 2, 8), _case(256, 2, 64), _case(1024, 64, 256)),
)
