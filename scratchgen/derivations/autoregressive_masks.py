"""Masks and receptive fields: what an output of an autoregressive network depends on.

What a network depends on is read off its Jacobian. Weights are all positive here, so that no two
paths cancel: an entry of the Jacobian is 0 if and only if there is no path.

M. Germain, K. Gregor, I. Murray and H. Larochelle (2015), "MADE"; A. van den Oord et al. (2016),
"Pixel recurrent neural networks", "Conditional image generation with PixelCNN decoders" and
"WaveNet".
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy
from matplotlib.figure import Figure

import autograd.numpy as np
from autograd import backend, grad, jacobian
from scratchgen.derivations.claim import claim
from scratchgen.derivations.proof import Proof
from scratchgen.derivations.small_models import positive, randomised, some_seed
from scratchgen.models.autoregressive.gatedpixelcnn import GatedPixelCNN, GatedPixelCNNConfig
from scratchgen.models.autoregressive.made import MADE, MADEConfig
from scratchgen.models.autoregressive.pixelcnn import PixelCNN, PixelCNNConfig
from scratchgen.models.autoregressive.wavenet import WaveNetConfig
from scratchgen.nn import CausalConv, MaskedConv
from scratchgen.nn.causal import Queue


def _reached(derivative: Any) -> Any:
    """1 where there is a path, 0 where there is none."""
    return (derivative != 0).astype("float64")


def _table(panel: Any, title: str, found: Any) -> None:
    """Draw a matrix of numbers, each above 0 a blue cell."""
    shown = numpy.where(found > 0, 1.0, math.nan)
    panel.pcolormesh(shown, cmap="Blues", vmin=0, vmax=1.7, edgecolors="grey", linewidth=0.3)
    panel.invert_yaxis()
    panel.set(title=title, xticks=[], yticks=[], aspect="equal")


# ------------------------------------------------------------------------------------------ MADE


def _masks_of_made() -> Any:
    config = MADEConfig(height=1, width=6, order="raster", hidden=8)
    masks = MADE(config, Proof("masks").rng).masks[0]
    degrees = numpy.argsort(masks.degrees[1], kind="stable")
    first, last = (backend.to_numpy(m) for m in (masks.hidden[0], masks.output))
    figure = Figure(figsize=(6, 2.6), layout="constrained")
    tables = {
        "from x to h": first[:, degrees],
        "from h to l": last[degrees],
        "paths from x to l": first.astype(int) @ last.astype(int),
    }
    for panel, (name, found) in zip(figure.subplots(1, 3), tables.items(), strict=True):
        _table(panel, name, found)
    return figure


@claim(
    section="autoregressive",
    statement=r"\left( M^{W_1} M^{W_2} M^{V} \right)_{ij} = 0"
    r"\quad \mathrm{unless}\quad m(i) < m(j)",
    says="Of the paths through MADE's masks none leads to a value from itself or a later one.",
    source="Germain et al., eqs. 8 and 9",
    method="Jacobian",
    wrong={
        "outputs connected to units of their own degree": {"counts": lambda m, n: m <= n},
        "all outputs connected": {"counts": lambda m, n: m <= n + m},
    },
    figure=_masks_of_made,
)
def the_product_of_mades_masks_is_strictly_triangular(
    proof: Proof, *, counts=lambda m, n: m < n
) -> None:
    """Entry (i, j) of the product counts the paths from x_i to l_j: Σ_k Σ_k' [m(i) ≤ m(k)]
    [m(k) ≤ m(k')] [m(k') < m(j)]. A term is 1 only if

    m(i) ≤ m(k) ≤ m(k') < m(j)

    so x_i is generated before x_j. With rows and columns in the order of generation the product
    is strictly upper triangular, and so is the Jacobian ∂l_j/∂x_i.
    """
    d = 6
    config = MADEConfig(
        height=1, width=d, order="random", order_seed=some_seed(proof.rng), hidden=40, layers=2
    )
    model = positive(MADE(config, proof.rng), proof.rng)
    masks = model.masks[0]
    values, units = (backend.asarray(masks.degrees[i]) for i in (0, -1))
    last = counts(units[:, None], values).astype(int)
    paths = masks.hidden[0].astype(int) @ masks.hidden[1].astype(int) @ last
    proof.step("paths from x_i to l_j", paths)
    later = (values[:, None] >= values).astype(int)
    proof.equal("paths not from earlier values", paths * later, np.zeros((d, d)), rounding=0)
    found = jacobian(lambda x: model.logits(x[None])[0])(proof.rng.random((d,)) + 0.5)
    earlier = (values < values[:, None]).astype("float64")  # rows are outputs
    proof.equal("∂l_j/∂x_i ≠ 0", _reached(found), earlier, rounding=0)


# --------------------------------------------------------------------------------- masks A and B


@claim(
    section="autoregressive",
    statement=r"\frac{\partial l_i}{\partial x_j} = 0 \quad \mathrm{for}\ j \geq i,"
    r"\quad \neq 0\ \mathrm{for}\ j = i - 1",
    says="Mask A once and mask B ever after let each value see those before it, and not itself.",
    source="van den Oord et al. (2016), PixelRNN, §3.4 and figure 2",
    method="Jacobian",
    wrong={
        "mask B in the first layer": {"kinds": ("B", "B")},
        "mask A in each layer": {"kinds": ("A", "A")},
    },
)
def mask_a_first_and_then_mask_b(proof: Proof, *, kinds=("A", "B")) -> None:
    """Of an image of 2 × 3 pixels in red, green and blue the 18 values stand in raster order.

    A layer of mask A leads from value j to the features of value i only if j < i, one of mask B if
    j ≤ i. In a chain A B … B of them, j < … ≤ … ≤ i, so the Jacobian is strictly lower triangular.
    B in the first place makes it triangular, with the diagonal; A in each place leaves out the
    value just before, as j < k < i takes another in between.
    """
    shape = (2, 3, 3)
    first = MaskedConv(3, 6, 3, kinds[0], proof.rng, colours=3)
    second = MaskedConv(6, 3, 3, kinds[1], proof.rng, colours=3)
    first, second = positive(first, proof.rng), positive(second, proof.rng)

    def values(x: Any) -> Any:
        return second(first(x.reshape(1, *shape))).reshape(-1)

    found = _reached(jacobian(values)(proof.rng.random((18,))))
    proof.step("∂l_i/∂x_j ≠ 0", found)
    proof.equal("of j ≥ i", np.triu(found), np.zeros((18, 18)), rounding=0)
    # blue of a pixel at the end of a row is no neighbour of red at the beginning of the next
    neighbours = [i for i in range(1, 18) if i % 9]
    before = np.stack([found[i, i - 1] for i in neighbours])
    proof.equal("of j = i − 1, in a row", before, np.ones(len(neighbours)), rounding=0)


# -------------------------------------------------------------------- receptive fields of images

SIDE, ROW, COLUMN = 9, 6, 4
"""Of the images, and the place of the output that is looked at."""


def field(model: Any, embedded: Any) -> Any:
    """Of which pixels the logit at (ROW, COLUMN) depends on the level: (SIDE, SIDE) of 0 and 1."""
    logit = grad(lambda e: np.sum(model.network(e)[0, ROW, COLUMN]))
    return _reached(logit(embedded)[0, :, :, 0])


def within(up: int, left: int, right: Any) -> Any:
    """1 for up to ``up`` rows above, from ``left`` columns before to ``right``(rows above)."""
    rows = [[ROW - i for _ in range(SIDE)] for i in range(SIDE)]
    last = [[right(ROW - i) if i <= ROW else -SIDE for _ in range(SIDE)] for i in range(SIDE)]
    above, until = np.array(rows), np.array(last)
    across = np.arange(SIDE) - COLUMN
    inside = (above >= 0) & (above <= up) & (across >= -left) & (across <= until)
    return inside.astype("float64")


def _staircase(side: int, blocks: int) -> Any:
    return lambda k: side + min(k - 1, blocks) if k else -1


def _rectangle(side: int, blocks: int) -> Any:
    return lambda k: side + blocks if k else -1


def _plain(rng: Any, size: int, blocks: int) -> Any:
    config = PixelCNNConfig(
        height=SIDE, width=SIDE, levels=2, channels=2, blocks=blocks, first_size=size
    )
    return positive(PixelCNN(config, rng), rng)


def _gated(rng: Any, size: int, layers: int) -> Any:
    config = GatedPixelCNNConfig(
        height=SIDE, width=SIDE, levels=2, channels=2, layers=layers, first_size=size
    )
    return positive(GatedPixelCNN(config, rng), rng, spread=0.1)


def _receptive_fields() -> Any:
    rng = Proof("receptive fields").rng
    embedded = rng.random((1, SIDE, SIDE, 3))
    figure = Figure(figsize=(6, 3.2), layout="constrained")
    panels = figure.subplots(1, 2)
    networks = {"PixelCNN": _plain(rng, 3, 3), "gated PixelCNN": _gated(rng, 3, 3)}
    for panel, (name, model) in zip(panels, networks.items(), strict=True):
        seen = backend.to_numpy(field(model, embedded))
        _table(panel, name, seen)
        earlier = [(i, j) for i in range(SIDE) for j in range(SIDE) if (i, j) < (ROW, COLUMN)]
        for i, j in earlier:
            if i >= ROW - 4 and not seen[i, j]:
                panel.plot(j + 0.5, i + 0.5, "x", color="#d05020", markersize=7)
        panel.plot(COLUMN + 0.5, ROW + 0.5, "s", color="grey", markersize=9)
    figure.supxlabel("■ the pixel, blue what it sees, × its blind spot", fontsize=9)
    return figure


@claim(
    section="autoregressive",
    statement=r"\{ (-k, c):\; 0 \leq k \leq s + n,\; -(s + n) \leq c \leq r_k \}"
    "\n" + r"r_0 = -1, \quad r_k = s + \min(k - 1, n)",
    says="PixelCNN's receptive field has a slanting edge, beyond which is its blind spot.",
    source="van den Oord et al. (2016), Gated PixelCNN, §2.2 and figure 1",
    method="Jacobian",
    wrong={
        "no blind spot": {"right": _rectangle},
        "the first kernel forgotten": {"right": lambda s, n: _staircase(1, n)},
    },
    figure=_receptive_fields,
)
def pixelcnn_has_a_blind_spot(proof: Proof, *, right=_staircase) -> None:
    """After a kernel of side 2s + 1 with mask A come n of side 3 with mask B. One step of these is

    (0, −1), (0, 0), (−1, −1), (−1, 0) or (−1, 1)        (rows down, columns to the right)

    so none goes to the right without going up. To get k rows up and as far to the right as can be,
    the first kernel goes one row up and s columns to the right, and k − 1 others go one of each,
    r_k = s + k − 1; beyond k = n + 1 the first kernel has to go up more, and r_k = s + n. To the
    left each goes all the way: s + n in all. Everything in between can be reached too.
    """
    embedded = proof.rng.random((1, SIDE, SIDE, 3))
    for size, blocks in ((3, 1), (3, 3), (5, 1), (5, 2)):
        s, n = size // 2, blocks
        found = field(_plain(proof.rng, size, blocks), embedded)
        proof.step(f"seen, s = {s}, n = {n}", found)
        expected = within(s + n, s + n, right(s, n))
        proof.equal(f"receptive field, s = {s}, n = {n}", found, expected, rounding=0)


@claim(
    section="autoregressive",
    statement=r"\{ (-k, c):\; 1 \leq k \leq s + n,\; |c| \leq s + n \}"
    "\n" + r"\cup\; \{ (0, c):\; -(s + n) \leq c \leq -1 \}",
    says="The gated PixelCNN sees every earlier pixel within its reach: it has no blind spot.",
    source="van den Oord et al. (2016), Gated PixelCNN, §2.2",
    method="Jacobian",
    wrong={"the blind spot of one masked stack": {"right": _staircase}},
)
def the_gated_pixelcnn_has_no_blind_spot(proof: Proof, *, right=_rectangle) -> None:
    """The vertical stack sees whole rows above, s of them at first and one more with each layer,
    and as many columns to both sides: a rectangle, k from 1 to s + n and |c| ≤ s + n.

    The horizontal stack sees s pixels to the left at first, one more with each layer, and gets the
    vertical stack's features of its own place. Together these are all earlier pixels within s + n.
    """
    embedded = proof.rng.random((1, SIDE, SIDE, 3))
    for size, layers in ((3, 1), (3, 2), (5, 1)):
        s, n = size // 2, layers
        found = field(_gated(proof.rng, size, layers), embedded)
        expected = within(s + n, s + n, right(s, n))
        proof.equal(f"receptive field, s = {s}, n = {n}", found, expected, rounding=0)


# ----------------------------------------------------------------------------- dilated convolution


def _causal(kernel: int, dilations: Sequence[int], rng: Any) -> list[CausalConv]:
    return [positive(CausalConv(1, 1, kernel, d, rng), rng) for d in dilations]


@claim(
    section="autoregressive",
    statement=r"r = 1 + (k - 1) \sum_{l} d_l",
    says="Dilations add up: doubled from layer to layer, they make a field of exponential length.",
    source="van den Oord et al. (2016), WaveNet, §2.1",
    method="Jacobian",
    wrong={
        "the position itself counted in each layer": {"field": lambda k, ds: k * sum(ds)},
        "layers without dilation": {"field": lambda k, ds: 1 + (k - 1) * len(ds)},
        "the position itself not counted": {"field": lambda k, ds: (k - 1) * sum(ds)},
    },
)
def dilations_add_up(proof: Proof, *, field=lambda k, ds: 1 + (k - 1) * sum(ds)) -> None:
    """A layer reads t, t − d, …, t − (k − 1) d, so it reaches (k − 1) d further back than the next.

    These add up, and the position t itself is one more. With k = 2 and dilations 1, 2, …, 2^(L−1)
    the L layers reach r = 2^L positions, each by one path: that which the digits of t − s are.
    """
    length = 40
    for kernel, dilations in ((2, [1, 2, 4, 8]), (3, [1, 2, 4]), (2, [1, 2, 1, 2]), (4, [3, 1])):
        layers = _causal(kernel, dilations, proof.rng)

        def last(x: Any, layers: Any = layers) -> Any:
            for layer in layers:
                x = layer(x)
            return x[0, -1, 0]

        seen = _reached(grad(last)(proof.rng.random((1, length, 1)))[0, :, 0])
        r = field(kernel, dilations)
        expected = (np.arange(length) >= length - r).astype("float64")
        proof.equal(f"positions seen, k = {kernel}, d = {dilations}", seen, expected, rounding=0)
    config = WaveNetConfig()
    r = field(config.kernel, config.dilations)
    proof.equal("WaveNet's receptive field", config.receptive_field, r, rounding=0)


@claim(
    section="autoregressive",
    statement=r"y_t = b + \sum_{j=0}^{k-1} w_j\, x_{t - (k - 1 - j) d}",
    says="A queue of its last inputs is all that a causal convolution needs of the past.",
    source="T. L. Paine et al. (2016), Fast WaveNet generation algorithm",
    method="step by step",
    wrong={"a queue of neighbours, as without dilation": {"apart": lambda d: 1}},
)
def a_queue_gives_what_the_convolution_gives(proof: Proof, *, apart=lambda d: d) -> None:
    """At t the layer reads t − (k − 1) d, …, t − d, t: its inputs at the same t modulo d.

    So they are kept in d queues of k places by turns. To put in x_t and multiply what lies in its
    queue by the weights is to have y_t, in k C D operations, however long the sequence is.
    """
    kernel, channels, length = 3, 2, 14
    for dilation in (2, 4):
        conv = randomised(CausalConv(channels, 3, kernel, dilation, proof.rng), proof.rng)
        x = proof.rng.standard_normal((2, length, channels))
        queue = Queue(x[:, :0], kernel, apart(dilation))
        steps = np.stack([conv.step(x[:, t], queue) for t in range(length)], axis=1)
        # sums of k C products and the bias, in another order
        size = np.max(np.abs(conv.weight.data)) * np.max(np.abs(x)) * kernel * channels + 1.0
        rounding = kernel * channels + 1
        proof.equal(f"step by step, d = {dilation}", steps, conv(x), rounding=rounding, scale=size)
