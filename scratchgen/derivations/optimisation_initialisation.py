"""Initialisation: how large weights must be for signals to get through a deep network.

For weights that are independent, of mean 0 and variance σ², and inputs x that are given,

    y = Σ_i w_i x_i,        E y = 0,        E y² = Σ_i E w_i² x_i² = σ² ‖x‖² = n σ² · (mean of x²)

as E w_i w_j = 0 for i ≠ j. Nothing but this, and what a rectifier does to it, is in the rules of
:mod:`scratchgen.nn.initialisers`.
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import autograd.numpy as np
from autograd import backend, constant, make_vjp
from autograd.nn import leaky_relu, relu
from scratchgen.derivations.claim import claim
from scratchgen.derivations.figures import axes
from scratchgen.derivations.proof import Proof
from scratchgen.models.adversarial.networks import small_normal
from scratchgen.nn import (
    BatchNorm,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    orthogonal,
)

UNITS = 20_000
"""Independent units, of which each is a draw."""


def _outputs(init: Any, rng: Any, x: Any) -> Any:
    """y (UNITS,) of as many units of weights ``init`` that all read x (n,)."""
    return x @ init(rng, (len(x), UNITS), len(x), UNITS).astype("float64")


@claim(
    section="optimisation",
    statement=r"\mathbb{E}\left(\sum_i w_i x_i\right)^2 = n \sigma^2 \cdot"
    r" \frac{1}{n} \sum_i x_i^2"
    "\n" + r"\sigma^2 = \dfrac{1}{n}: \quad \mathbb{E}\, y^2 = \overline{x^2}",
    says="A linear unit of n inputs keeps their mean square if its weights have variance 1 / n.",
    source="Y. LeCun, L. Bottou, G. Orr and K.-R. Müller (1998), Efficient backprop, §4.6",
    method="enumeration",
    wrong={
        "the variance of the inputs in place of their mean square": {"moment": np.var},
        "a standard deviation of 1 / n": {"variance": lambda n: 1 / n**2},
    },
)
def a_linear_unit_needs_one_over_its_inputs(
    proof: Proof, *, moment=lambda x: np.mean(x * x), variance=lambda n: 1 / n
) -> None:
    """E y² = Σ_ij E w_i w_j x_i x_j = σ² Σ_i x_i², as the terms with i ≠ j are 0.

    For weights ±σ with even chances that mean is one over 2ⁿ sums. What the inputs must have is a
    mean square; behind a rectifier their mean is not 0, and their variance is less.
    """
    x = 0.5 + proof.rng.random((8,))
    signs = np.array(list(product((-1.0, 1.0), repeat=8)))  # (2⁸, 8)
    sigma = math.sqrt(variance(8))
    # sums of 8 terms, of 2⁸ squares, the root
    every = np.mean((sigma * signs @ x) ** 2)
    proof.equal("E y², weights ±σ", every, moment(x), rounding=2**8 + 2 * 8 + 4)
    y = _outputs(lecun_normal, proof.rng, x)
    proof.mean("E y, LeCun's weights", y, 0.0)
    proof.mean("E y², LeCun's weights", y * y, 8 * variance(8) * moment(x))


@claim(
    section="optimisation",
    statement=r"\mathbb{E}\, \max(y, 0)^2 = \frac{1}{2} \mathbb{E}\, y^2: \quad"
    r" \sigma^2 = \dfrac{2}{n}",
    says="A rectifier lets half of the mean square through; weights of twice the variance undo it.",
    source="K. He, X. Zhang, S. Ren and J. Sun (2015), Delving deep into rectifiers, eq. 10",
    method="Monte Carlo",
    wrong={
        "as if the rectifier lost nothing": {"normal": lecun_normal},
        "the rectifier's variance in place of its mean square": {
            "moment": lambda z: (z - np.mean(z)) ** 2
        },
    },
)
def rectifiers_halve_the_mean_square(
    proof: Proof, *, normal=he_normal, moment=lambda z: z * z
) -> None:
    """If the weights are distributed symmetrically, so is y. Half of E y² then is from y > 0:

    E max(y, 0)² = ½ E y² = ½ n σ² · (mean of x²)

    which is the mean of x² for σ² = 2/n, whatever the weights' distribution: normal, or uniform
    over ± √(6/n), of variance a² / 3 = 2/n. (The variance of max(y, 0) is less, by its mean
    squared.)
    """
    x = 0.5 + proof.rng.random((16,))
    exact = np.mean(x * x)
    for name, init in (("normal", normal), ("uniform", he_uniform)):
        z = relu(_outputs(init, proof.rng, x))
        proof.mean(f"E max(y, 0)², {name}", moment(z), exact)


@claim(
    section="optimisation",
    statement=r"\mathbb{E}\, \mathrm{leaky}_a(y)^2 = \frac{1 + a^2}{2} \mathbb{E}\, y^2: \quad"
    r" \sigma^2 = \dfrac{2}{(1 + a^2)\, n}"
    "\n" + r"\sigma = 0.02,\ a = 0.2: \quad n = 4808 \approx 4 \cdot 4 \cdot 300",
    says="DCGAN's 0.02 is right behind leaky rectifiers for 300 channels; fewer are damped.",
    source="He et al. (2015), eq. 15; A. Radford, L. Metz and S. Chintala (2016), §4",
    method="Monte Carlo",
    wrong={
        "the slope not squared": {"kept": lambda a: (1 + a) / 2},
        "as a rectifier that does not leak much": {"kept": lambda a: 0.5 * (1 - a)},
    },
)
def dcgans_weights_fit_three_hundred_channels(
    proof: Proof, *, kept=lambda a: (1 + a * a) / 2
) -> None:
    """leaky(y)² + leaky(−y)² = (1 + a²) y², and y and −y are alike probable, so that E leaky(y)² is
    half of the mean of that. With weights of N(0, 0.02²) a layer multiplies mean squares by

    n · 0.02² (1 + 0.2²) / 2 = n / 4808,        n = 4 · 4 · channels

    by 0.21 for 64 channels, by 1.7 for 512. What makes up for it is batch normalisation.
    """
    slope, x = 0.2, 0.5 + proof.rng.random((16,))
    y = _outputs(small_normal, proof.rng, x)
    exact = 16 * 0.02**2 * kept(slope) * np.mean(x * x)
    proof.mean("E leaky(y)²", leaky_relu(y, slope) ** 2, exact)
    both = leaky_relu(y, slope) ** 2 + leaky_relu(-y, slope) ** 2
    # a² and the squares 3 each, and the sum
    proof.equal("leaky(y)² + leaky(−y)²", both, 2 * kept(slope) * y * y, rounding=8)
    inputs = 1 / (0.02**2 * kept(slope))
    proof.step("inputs for a factor 1", inputs)
    proof.within("channels", inputs / 16, 300.0, 1.0, "rounded to whole channels")


def _pairs(init: Any, rng: Any, n_in: int, n_out: int) -> Any:
    """Independent weight matrices (UNITS, n_in, n_out)."""
    return init(rng, (UNITS, n_in, n_out), n_in, n_out).astype("float64")


@claim(
    section="optimisation",
    statement=r"\mathbb{E}\, y^2 = n \sigma^2\, \overline{x^2}, \quad"
    r" \mathbb{E}\, \overline{x}^2 = n' \sigma^2\, \overline{u^2}"
    "\n" + r"\sigma^2 = \dfrac{2}{n + n'}: \quad n \sigma^2 + n' \sigma^2 = 2",
    says="Forward a layer multiplies by its inputs, backward by its outputs; Glorot averages them.",
    source="X. Glorot and Y. Bengio (2010), eqs. 10 to 12 and 16",
    method="Monte Carlo",
    wrong={
        "the mean of the two variances": {"variance": lambda n, m: (1 / n + 1 / m) / 2},
        "the forward rule for both": {"variance": lambda n, m: 1 / n},
    },
)
def glorots_variance_is_a_compromise(proof: Proof, *, variance=lambda n, m: 2 / (n + m)) -> None:
    """y = Wᵀ x sums n terms, the gradient x̄ = W u sums n′. To keep mean squares one needs σ² = 1/n
    and 1/n′, both only if n = n′. With the mean of n and n′ in their place, one factor is as much
    above 1 as the other is below, and through layers whose sides alternate neither grows.

    The uniform distribution over ± √(6 / (n + n′)) has the same variance.
    """
    n, m = 12, 4
    x, u = 0.5 + proof.rng.random((n,)), 0.5 + proof.rng.random((m,))
    forward, backward = n * variance(n, m), m * variance(n, m)
    proof.step("forward factor", forward)
    proof.step("backward factor", backward)
    for name, init in (("normal", glorot_normal), ("uniform", glorot_uniform)):
        w = _pairs(init, proof.rng, n, m)
        y, x_bar = np.einsum("i,kij->kj", x, w)[:, 0], np.einsum("kij,j->ki", w, u)[:, 0]
        proof.mean(f"E y², {name}", y * y, forward * np.mean(x * x))
        proof.mean(f"E x̄², {name}", x_bar * x_bar, backward * np.mean(u * u))
    proof.equal("forward + backward", forward + backward, 2.0, rounding=4)


NETWORKS, WIDTH, DEPTH = 2000, 24, 4


def _deep(init: Any, rng: Any, count: int, depth: int, width: int = WIDTH) -> list[Any]:
    """Mean squares (count,) behind each of ``depth`` rectified layers, of as many networks."""
    x, moments = np.ones((count, 1, width)), []
    for _ in range(depth):
        x = relu(x @ init(rng, (count, width, width), width, width).astype("float64"))
        moments.append(np.mean(x * x, axis=(1, 2)))
    return moments


def _moment_against_depth() -> Any:
    rng, depths = Proof("moments").rng, list(range(1, 31))
    figure, panel = axes("layer", "mean square of the activations", y_scale="log")
    for name, init, factor in (
        ("He, 2 / n", he_normal, 1.0),
        ("Glorot and LeCun, 1 / n", glorot_normal, 0.5),
        ("3 / n", lambda *of: math.sqrt(1.5) * he_normal(*of), 1.5),
    ):
        moments = [np.mean(m) for m in _deep(init, rng, 4, len(depths), 128)]
        line = panel.plot(depths, backend.to_numpy(np.stack(moments)), ".", label=name)[0]
        panel.plot(depths, [factor**k for k in depths], color=line.get_color(), linewidth=0.8)
    panel.legend(frameon=False, fontsize=9)
    return figure


@claim(
    section="optimisation",
    statement=r"\mathbb{E}\, \overline{x_L^2} = \left(\dfrac{n \sigma^2}{2}\right)^L"
    r" \overline{x_0^2}",
    says="A wrong variance is raised to the power of the depth: signals die away or explode.",
    source="He et al. (2015), eqs. 9 and 10",
    method="Monte Carlo",
    wrong={
        "Glorot's weights do not shrink under rectifiers": {"glorot": 1.0},
        "once for the whole network": {"power": lambda factor, depth: factor},
    },
    figure=_moment_against_depth,
)
def a_wrong_variance_is_raised_to_the_depth(
    proof: Proof, *, glorot=0.5, power=lambda factor, depth: factor**depth
) -> None:
    """Given x_{l−1}, each unit of layer l has E x_l² = ½ n σ² · (mean of x_{l−1}²), whichever
    x_{l−1} is. By the law of total expectation the factors multiply: L layers, (n σ² / 2)^L.

    2/n keeps it. Glorot's 1/n leaves 2^−L, 10⁻⁹ after 30 layers; 3/n makes 10⁵ of it.
    """
    for name, init, factor in (("He", he_normal, 1.0), ("Glorot", glorot_normal, glorot)):
        last = _deep(init, proof.rng, NETWORKS, DEPTH)[-1]
        proof.mean(f"E x², {name}, {DEPTH} layers", last, power(factor, DEPTH))


@claim(
    section="optimisation",
    statement=r"Q^\top Q = I: \quad \|Q x\| = \|x\|"
    "\n" + r"\|Q_L \cdots Q_1 x\| = \|x\|",
    says="Orthogonal weights keep every length, at any depth, and not only on average.",
    source="A. Saxe, J. McClelland and S. Ganguli (2014), Exact solutions",
    method="closed form",
    wrong={
        "normal weights of the same variance": {"init": lecun_normal},
        "uniform weights of the same variance": {
            "init": lambda *of: (he_uniform(*of) / math.sqrt(2)).astype("float32")
        },
    },
)
def orthogonal_weights_keep_every_length(proof: Proof, *, init=orthogonal) -> None:
    """‖Q x‖² = xᵀ Qᵀ Q x = xᵀ x. All singular values are 1; those of independent weights of
    variance 1/n spread from 0 to 2, and those of a product of L of them ever further.

    A matrix of more rows than columns has orthonormal columns, one of more columns orthonormal
    rows.
    """
    n, depth = 8, 10
    q = init(proof.rng, (n, n), n, n)
    # in float32: entries that are rounded, and sums of n of them
    proof.equal("Qᵀ Q", q.T @ q, np.eye(n, dtype="float32"), rounding=2 * n, scale=1.0)
    x = 1 + proof.rng.random((n,)).astype("float32")
    length, y = np.linalg.norm(x), x
    for _ in range(depth):
        y = y @ init(proof.rng, (n, n), n, n)
    proof.equal("‖x Q_1 … Q_10‖", np.linalg.norm(y), length, rounding=2 * n * depth)
    tall, wide = init(proof.rng, (n, 3), n, 3), init(proof.rng, (3, n), 3, n)
    eye = np.eye(3, dtype="float32")
    proof.equal("Qᵀ Q, tall", tall.T @ tall, eye, rounding=2 * n, scale=1.0)
    proof.equal("Q Qᵀ, wide", wide @ wide.T, eye, rounding=2 * n, scale=1.0)


def _as_factored(rng: Any, shape: tuple[int, ...], fan_in: int, fan_out: int) -> Any:
    """Q of Q R as the library returns it, its signs uncorrected."""
    return np.linalg.qr(rng.standard_normal(shape))[0]


@claim(
    section="optimisation",
    statement=r"Q \sim \mathrm{Haar}: \quad \mathbb{E}\, Q_{i j} = 0, \quad"
    r" \mathbb{E}\, Q_{i j}^2 = \dfrac{1}{n}",
    says="No orthogonal matrix is preferred, once the signs of the factorisation are set right.",
    source="F. Mezzadri (2007), How to generate random matrices, §5",
    method="Monte Carlo",
    wrong={"Q as the factorisation leaves it": {"init": _as_factored}},
)
def orthogonal_weights_prefer_no_direction(proof: Proof, *, init=orthogonal) -> None:
    """If P Q is distributed as Q for each orthogonal P, it is so for the P that changes one row's
    sign and for those that exchange rows: E Q_ij = 0, and E Q_ij² is the same for all i. As columns
    have length 1, it is 1/n.

    Householder's factorisation chooses the signs of Q's columns by what is stable, not by chance:
    its Q_11 is never positive. Mezzadri makes the diagonal of R positive.
    """
    n, count = 3, 500
    q = np.stack([init(proof.rng, (n, n), n, n) for _ in range(count)]).astype("float64")
    proof.mean("E Q_ij", q.reshape(count, n * n), np.zeros(n * n))
    proof.mean("E Q_ij²", q.reshape(count, n * n) ** 2, np.full(n * n, 1 / n))


@claim(
    section="optimisation",
    statement=r"\mathrm{BN}(c\, W x) = \mathrm{BN}(W x)"
    "\n" + r"\dfrac{\partial \mathrm{BN}(c\, W x)}{\partial (c\, W)} ="
    r" \dfrac{1}{c} \dfrac{\partial \mathrm{BN}(W x)}{\partial W}",
    says="Behind a layer that is normalised the size of its weights sets only how fast they turn.",
    source="Ioffe & Szegedy (2015), §3.3",
    method="closed form",
    wrong={
        "gradients that grow with the weights": {"scaled": lambda g, c: g * c},
        "gradients of any weights alike": {"scaled": lambda g, c: g},
    },
)
def normalised_layers_forget_the_size_of_weights(
    proof: Proof, *, scaled=lambda g, c: g / c
) -> None:
    """µ and σ of c y are c times those of y, so (c y − c µ) / c σ is what it was. The chain rule,
    on both sides of L(c W) = L(W) as functions of W: c ∇L(c W) = ∇L(W).

    So it does not matter that DCGAN's weights are all of N(0, 0.02²), as nearly all its layers are
    normalised: weights half as large learn by gradients twice as large.
    """
    layer, x = BatchNorm(3, epsilon=0.0), proof.rng.standard_normal((8, 4))
    layer.astype("float64")
    w = small_normal(proof.rng, (4, 3)).astype("float64")
    u, c = proof.rng.standard_normal((8, 3)), 50.0

    def output(w: Any) -> Any:
        return layer(x @ w, proof.rng)

    # products of 4, two means of 8, as many backward and a product of 8, by numbers up to |x u| / σ
    rounding = 4 + 2 * (8 + 4)
    proof.equal("BN(c W x)", constant(output(c * w)), constant(output(w)), rounding=2 * rounding)
    pull = [make_vjp(output)(weight)[0](u) for weight in (w, c * w)]
    size = np.sum(np.abs(x)) * np.max(np.abs(u)) / np.min(np.std(x @ w, axis=0)) / c
    proof.equal("∇ by c W", pull[1], scaled(pull[0], c), rounding=4 * rounding, scale=size)
