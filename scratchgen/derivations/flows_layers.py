"""The layers of flows: why their inverses and determinants are cheap.

L. Dinh, J. Sohl-Dickstein and S. Bengio (2017), "Density estimation using Real NVP";
G. Papamakarios, T. Pavlakou and I. Murray (2017), "Masked autoregressive flow for density
estimation"; D. P. Kingma and P. Dhariwal (2018), "Glow".
"""

from __future__ import annotations

from functools import partial
from typing import Any

import autograd.numpy as np
from autograd import constant, jacobian, no_grad
from scratchgen.derivations.claim import claim
from scratchgen.derivations.proof import Proof
from scratchgen.derivations.small_models import (
    log_det_jacobian,
    matrix_of,
    positive,
    randomised,
)
from scratchgen.nn import MLP
from scratchgen.transforms.actnorm import ActNorm
from scratchgen.transforms.autoregressive import MaskedAutoregressive
from scratchgen.transforms.coupling import (
    AdditiveCoupling,
    AffineCoupling,
    checkerboard,
    half,
)
from scratchgen.transforms.invertible1x1 import Invertible1x1
from scratchgen.transforms.shapes import Permutation, Squeeze
from scratchgen.transforms.transform import Compose, Inverse, Transform

D = 4
"""Numbers of a point."""

# ---------------------------------------------------------------------------------- autoregressive


def _autoregressive(rng: Any) -> MaskedAutoregressive:
    return randomised(MaskedAutoregressive(D, rng, hidden=8, layers=1), rng)


@claim(
    section="flows",
    statement=r"\frac{\partial z_i}{\partial x_j} = 0\ (j > i), \quad"
    r" \ln \left| \det \frac{\partial z}{\partial x} \right| = -\sum_i \alpha_i",
    says="A triangular Jacobian has the product of its diagonal as its determinant.",
    source="Papamakarios et al., §3.1",
    method="Jacobian",
    wrong={
        "the sign of α": {"total": lambda alpha: np.sum(alpha, axis=1)},
        "the diagonal added up, not its logarithms": {
            "total": lambda alpha: np.log(np.sum(np.exp(-alpha), axis=1))
        },
    },
)
def a_triangular_jacobian_needs_its_diagonal_only(
    proof: Proof, *, total=lambda alpha: -np.sum(alpha, axis=1)
) -> None:
    """z_i = (x_i − µ_i(x_<i)) exp(−α_i(x_<i)) does not depend on x_j of j > i: lower triangular.

    Expand the determinant by the first row, which has one entry that is not 0, and so on: it is
    Π_i ∂z_i/∂x_i = Π_i exp(−α_i). What µ and α are below the diagonal does not matter.
    """
    transform = _autoregressive(proof.rng)
    x = proof.rng.standard_normal((3, D))
    matrix = matrix_of(lambda v: transform.forward(v)[0], x[0])
    proof.step("∂z/∂x", matrix)
    proof.equal("above the diagonal", np.triu(matrix, 1), np.zeros((D, D)), rounding=0)
    _, alpha = transform.conditionals(x)
    found, condition = log_det_jacobian(lambda v: transform.forward(v)[0], x)
    # a factorisation; α by a network of D + 8 products
    rounding = D * D * condition + D + 8
    proof.equal("ln |det ∂z/∂x|", found, total(alpha), rounding=rounding, scale=1.0)


def _given_noise(transform: MaskedAutoregressive, z: Any) -> Any:
    mean, log_scale = transform.conditionals(z)
    return (z - mean) * np.exp(-log_scale)


def _given_data(transform: MaskedAutoregressive, z: Any) -> Any:
    x, _ = transform.inverse(z)
    mean, log_scale = transform.conditionals(x)
    return (z - mean) * np.exp(-log_scale)


@claim(
    section="flows",
    statement=r"x_i = (z_i - \mu_i(z_{<i}))\, e^{-\alpha_i(z_{<i})}"
    "\n" + r"\Leftrightarrow\; z_i = x_i\, e^{\alpha_i(z_{<i})} + \mu_i(z_{<i})",
    says="IAF is MAF run backwards: what the one does in one pass takes the other D.",
    source="Papamakarios et al., §3.2; D. P. Kingma et al. (2016), IAF",
    method="step by step",
    wrong={
        "conditioned on the data where the noise is meant": {"iaf": _given_data},
        "one pass for all numbers": {"passes": 1},
    },
)
def iaf_is_the_inverse_of_maf(proof: Proof, *, iaf=_given_noise, passes=D) -> None:
    """The map f: z_i = (x_i − µ_i(x_<i)) exp(−α_i(x_<i)) needs no z, and so takes one pass. MAF has
    it from data to noise; IAF takes the same map from noise to data.

    Its inverse x_i = z_i exp(α_i(x_<i)) + µ_i(x_<i) needs x_<i. Begin with any x, and put it in
    again and again: after k passes the first k numbers are right, as the k-th was computed from
    k − 1 that were. So it takes D passes, which is MAF's sampling, and IAF's density of given data.
    """
    transform = _autoregressive(proof.rng)
    z = proof.rng.standard_normal((3, D))
    with no_grad():
        drawn, _ = Inverse(transform).inverse(z)  # IAF: from noise to data
        sample, _ = transform.inverse(z)  # MAF: from noise to data
        x = np.zeros(z.shape)
        found = []
        for _ in range(passes):
            mean, log_scale = transform.conditionals(x)
            x = z * np.exp(log_scale) + mean
            found.append(x)
    # of each number a network of D + 8 products, then an exponential, amplified down the line
    rounding, size = D * (D + 8 + 4), np.max(np.abs(sample)) + 1.0
    proof.equal("IAF's draw", drawn, iaf(transform, z), rounding=rounding, scale=size)
    proof.equal("MAF's draw, by passes", x, sample, rounding=rounding, scale=size)
    for k, after in enumerate(found, 1):
        what = f"after pass {k}, its numbers"
        proof.equal(what, after[:, :k], sample[:, :k], rounding=rounding, scale=size)


# ---------------------------------------------------------------------------------------- couplings


def _affine(rng: Any, flip: bool = False) -> AffineCoupling:
    return randomised(AffineCoupling(half(D, flip), MLP(D, 2 * D, rng, hidden=6, layers=1)), rng)


@claim(
    section="flows",
    statement=r"z_2 = x_2 \odot e^{s(x_1)} + t(x_1)"
    "\n" + r"\Leftrightarrow\; x_2 = (z_2 - t(x_1)) \odot e^{-s(x_1)}"
    "\n" + r"\ln |\det J| = \sum_i s_i(x_1)",
    says="A coupling is undone without undoing its network, which sees what passed unchanged.",
    source="Dinh et al. (2017), eqs. 4 to 8",
    method="Jacobian",
    wrong={
        "scaled back before the shift": {"undo": lambda z, s, t: z * np.exp(-s) - t},
        "the scale not inverted": {"undo": lambda z, s, t: (z - t) * np.exp(s)},
    },
)
def an_affine_coupling_is_inverted_without_its_network(
    proof: Proof, *, undo=lambda z, s, t: (z - t) * np.exp(-s)
) -> None:
    """z_1 = x_1, so s(z_1) and t(z_1) are those of x_1, whatever the network is. Of the Jacobian

    ∂z/∂x = ( I           0         )
            ( ∂z_2/∂x_1   diag e^s  )

    the block ∂z_2/∂x_1, that is all of the network's derivatives, does not enter the determinant.
    """
    coupling = _affine(proof.rng)
    x = proof.rng.standard_normal((3, D))
    z, log_det = coupling.forward(x)
    s, t = coupling._scale_and_shift(z, None)
    # an exponential of numbers up to 1, a product, a sum and back; the network of 24 products
    rounding, size = 2 * 24 + 12, np.max(np.abs(constant(z))) + 1.0
    proof.equal("x from z", undo(z, s, t), x, rounding=rounding, scale=size)
    proof.equal("inverse", coupling.inverse(z)[0], undo(z, s, t), rounding=rounding, scale=size)
    matrix = matrix_of(lambda v: coupling.forward(v)[0], x[0])
    proof.step("∂z/∂x", matrix)
    proof.equal("∂z_1/∂x", matrix[: D // 2], np.eye(D)[: D // 2], rounding=0)
    found, condition = log_det_jacobian(lambda v: coupling.forward(v)[0], x)
    of_matrix = D * D * condition + 24
    proof.equal("ln |det J|", found, np.sum(s, axis=1), rounding=of_matrix, scale=1.0)
    proof.equal("log_det", log_det, np.sum(s, axis=1), rounding=D)


def _seen_by_mask(coupling: AdditiveCoupling, x: Any) -> Any:
    return coupling.forward(x)[0]


def _all_seen(coupling: AdditiveCoupling, x: Any) -> Any:
    return x + coupling.changed * coupling.network(x, None, None)


def _all_changed(coupling: AdditiveCoupling, x: Any) -> Any:
    return x + coupling.network(coupling.mask * x, None, None)


@claim(
    section="flows",
    statement=r"z_1 = x_1,\quad z_2 = x_2 + m(x_1): \quad \det \frac{\partial z}{\partial x} = 1",
    says="An additive coupling moves points and keeps every volume.",
    source="L. Dinh, D. Krueger and Y. Bengio (2014), NICE, §3.2",
    method="Jacobian",
    wrong={
        "the network sees what it shifts": {"function": _all_seen},
        "both halves shifted": {"function": _all_changed},
    },
)
def an_additive_coupling_keeps_volumes(proof: Proof, *, function=_seen_by_mask) -> None:
    """The Jacobian is ( I  0 ; ∂m/∂x_1  I ): triangular with ones on its diagonal.

    That takes a network which sees one half and shifts the other. A residual block x + m(x) has the
    determinant det (I + ∂m/∂x), for which there is no short way.
    """
    network = MLP(D, D, proof.rng, hidden=6, layers=1)
    coupling = positive(AdditiveCoupling(half(D), network), proof.rng)
    x = proof.rng.random((3, D))
    found, condition = log_det_jacobian(lambda v: function(coupling, v), x)
    proof.step("ln |det ∂z/∂x|", found)
    rounding = D * D * condition
    log_det = coupling.forward(x)[1]
    proof.equal("ln |det ∂z/∂x|", found, np.zeros(3), rounding=rounding, scale=1.0)
    proof.equal("log_det", log_det, found, rounding=rounding, scale=1.0)


def _noise_of(transform: Transform, x: Any) -> Any:
    return transform.forward(x)[0]


def _alternating(i: int) -> bool:
    return i % 2 == 1


@claim(
    section="flows",
    statement=r"z_2 = g(x_2; x_1),\; z_1 = g(x_1; z_2),\; z_2 \leftarrow g(z_2; z_1)",
    says="Two couplings by turns change every number; three let every one depend on every other.",
    source="L. Dinh, D. Krueger and Y. Bengio (2014), NICE, §3.2; Dinh et al. (2017), §3.5",
    method="Jacobian",
    wrong={
        "the same half each time": {"flip": lambda i: False},
        "dependence on all after two": {"mixed_after": 2},
    },
)
def couplings_by_turns_cover_all_dimensions(
    proof: Proof, *, flip=_alternating, mixed_after=3
) -> None:
    """A number that passed unchanged has a row of the identity in the Jacobian; after the first
    coupling that is half of them, after the second none.

    Row by row, the second half then knows itself and x_1: z_2,i = g(x_2,i; x_1), not the x_2,j
    beside it. The first half knows all of z_2, hence all of x. In the third coupling the second
    half learns of the first half all that this knows.

    The halves of an image may be those of a checkerboard: of two neighbours one sees the other.
    """
    x = proof.rng.random((1, D)) + 0.5
    layers = []
    for i in range(3):
        network = MLP(D, 2 * D, proof.rng, hidden=6, layers=1)
        coupling = AffineCoupling(half(D, flip(i)), network)
        layers.append(positive(coupling, proof.rng, spread=0.3))
    for count, unchanged in ((1, D // 2), (2, 0), (3, 0)):
        stack = Compose(layers[:count])
        matrix = matrix_of(partial(_noise_of, stack), x[0])
        proof.step(f"∂z/∂x after {count}", matrix)
        left = np.sum(np.all(matrix == np.eye(D), axis=1))
        proof.equal(f"unchanged after {count}", left, unchanged, rounding=0)
        if count == mixed_after:
            proof.equal(f"dependences after {count}", np.sum(matrix != 0), D * D, rounding=0)
    board = checkerboard(3, 4)[..., 0]
    for what, pairs in (
        ("below", board[1:] + board[:-1]),
        ("beside", board[:, 1:] + board[:, :-1]),
    ):
        proof.equal(f"of a pixel and that {what} it one is seen", pairs, 1.0, rounding=0)


# --------------------------------------------------------------------------- channels and pixels


@claim(
    section="flows",
    statement=r"W = P L (U + \mathrm{diag}\, s)"
    "\n" + r"\ln |\det J| = h w \ln |\det W| = h w \sum_c \ln |s_c|",
    says="A 1 × 1 convolution applies its matrix to each pixel, and counts as often.",
    source="Kingma & Dhariwal, eqs. 9 to 11",
    method="Jacobian",
    wrong={
        "one pixel counted": {"times": lambda h, w, c: 1},
        "each channel counted again": {"times": lambda h, w, c: h * w * c},
    },
)
def a_one_by_one_convolution_counts_each_pixel(
    proof: Proof, *, times=lambda h, w, c: h * w
) -> None:
    """With the pixels one after the other the Jacobian has h w blocks W on its diagonal, and so the
    determinant (det W)^(h w).

    det P = ±1, det L = 1 as its diagonal is of ones, and det (U + diag s) = Π s: O(c) in place of
    O(c³) operations.
    """
    h, w, c = 2, 3, 3
    layer = randomised(Invertible1x1(c, proof.rng), proof.rng)
    layer.log_scale[...] = 0.2 + proof.rng.random((c,))  # their sum is not 0
    layer.permutation = np.roll(np.eye(c), 1, axis=0)  # a cycle: P is not its own inverse
    x = proof.rng.standard_normal((1, h, w, c))
    lower, upper = layer._triangles()
    weight = constant(layer.permutation @ lower @ upper)
    proof.step("W", weight)
    per_pixel = np.linalg.slogdet(weight)[1]
    found, condition = log_det_jacobian(lambda v: layer.forward(v)[0], x)
    rounding = (h * w * c) ** 2 * condition
    right = times(h, w, c) * per_pixel
    proof.equal("ln |det J|", found[0], right, rounding=rounding)
    proof.equal("Σ ln |s|", np.sum(layer.log_scale), per_pixel, rounding=c * c * condition)
    z, log_det = layer.forward(x)
    proof.equal("log_det", log_det[0], right, rounding=h * w * c * c * condition)
    back = layer.inverse(z)[0]
    proof.equal("x from z", back, x, rounding=4 * c * c * condition)


@claim(
    section="flows",
    statement=r"z_c = (x_c - m_c) / \sigma_c: \quad \ln |\det J| = -h w \sum_c \ln \sigma_c",
    says="Normalised by its first batch, each channel has mean 0 and variance 1, and a volume.",
    source="Kingma & Dhariwal, §3.1 and table 1",
    method="Jacobian",
    wrong={
        "divided by the variance": {"power": 2.0},
        "the volume forgotten": {"volume": 0.0},
    },
)
def actnorm_sets_a_scale_of_known_volume(proof: Proof, *, power=1.0, volume=1.0) -> None:
    """The mean of (x − m) / σ over the batch and its pixels is 0 and its variance Var x / σ² = 1.

    Each of the h w pixels has the diagonal Jacobian 1/σ, and later batches are scaled by the same.
    """
    n, h, w, c = 5, 2, 2, 3
    scales = np.array([0.25, 3.0, 4.0])
    x = scales * proof.rng.standard_normal((n, h, w, c)) + 1.0
    layer = ActNorm(c)
    layer.astype("float64")
    with no_grad():
        layer.initialise(x)
    sigma = np.std(x, axis=(0, 1, 2)) ** power
    z, log_det = layer.forward(x)
    # sums of n h w terms twice, of numbers m / σ times as large as z
    rounding, size = 2 * n * h * w, 1.0 + np.max(np.abs(np.mean(x, axis=(0, 1, 2)) / sigma))
    mine = (x - np.mean(x, axis=(0, 1, 2))) / sigma
    proof.equal("z", z, mine, rounding=rounding, scale=size * 4)
    proof.equal("Var z", np.var(z, axis=(0, 1, 2)), np.ones(c), rounding=rounding, scale=size)
    found, condition = log_det_jacobian(lambda v: layer.forward(v)[0], x[:1])
    right = -volume * h * w * np.sum(np.log(sigma))
    of_matrix = (h * w * c) ** 2 * condition + rounding
    proof.equal("ln |det J|", found[0], right, rounding=of_matrix, scale=1.0)
    proof.equal("log_det", log_det[0], right, rounding=rounding, scale=1.0)


def _squeezed(x: Any) -> Any:
    return Squeeze().forward(x)[0]


def _permuted(x: Any) -> Any:
    return Permutation([2, 0, 3, 1]).forward(x)[0]


def _sums_and_differences(x: Any) -> Any:
    """The Haar transform of the four, without its factor ½."""
    a, b, c, d = np.split(_squeezed(x), 4, axis=-1)
    return np.concatenate([a + b + c + d, a - b + c - d, a + b - c - d, a - b - c + d], axis=-1)


@claim(
    section="flows",
    statement=r"P^\top P = I \;\Rightarrow\; |\det P| = 1",
    says="To move numbers about, as squeezing and permuting do, keeps volumes.",
    source="Dinh et al. (2017), §3.6",
    method="Jacobian",
    wrong={
        "sums and differences in place of the pixels": {"squeeze": _sums_and_differences},
        "a channel twice, another not at all": {
            "permute": lambda x: np.stack([x[..., i] for i in (2, 0, 2, 1)], axis=-1)
        },
    },
)
def moving_numbers_keeps_volumes(proof: Proof, *, squeeze=_squeezed, permute=_permuted) -> None:
    """Each z is one of the x, and each x becomes one z: the Jacobian has a single 1 in each row and
    column. Pᵀ P = I, so (det P)² = 1.
    """
    x = proof.rng.standard_normal((2, 4, 1))
    for name, function, numbers in (
        ("squeeze", squeeze, x),
        ("permutation", permute, proof.rng.standard_normal((1, 2, 4))),
    ):
        flat = jacobian(lambda v, f=function, s=numbers.shape: f(v.reshape(1, *s)).reshape(-1))
        matrix = flat(numbers.reshape(-1))
        proof.equal(f"Pᵀ P, {name}", matrix.T @ matrix, np.eye(x.size), rounding=0)
