"""Around the game: the layers of its networks, what codes tell, and scores of what was drawn.

T. Miyato et al. (2018), "Spectral normalization for generative adversarial networks"; A. Radford,
L. Metz and S. Chintala (2016), "Unsupervised representation learning with deep convolutional
generative adversarial networks"; X. Chen et al. (2016), "InfoGAN"; J. Donahue, P. Krähenbühl and T.
Darrell (2017), "Adversarial feature learning"; T. Salimans et al. (2016), "Improved techniques for
training GANs"; M. Heusel et al. (2017), "GANs trained by a two time-scale update rule converge to a
local Nash equilibrium".
"""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy
from scipy.optimize import linear_sum_assignment

import autograd.numpy as np
from autograd import backend, grad
from autograd.nn import conv, log_softmax, one_hot, softmax
from autograd.nn.conv import conv_transpose
from scratchgen.derivations.claim import claim
from scratchgen.derivations.discrete import entropy, js, kl, mutual_information, roundings
from scratchgen.derivations.proof import Proof
from scratchgen.judging.scores import frechet_distance, inception_score
from scratchgen.models.adversarial.infogan import InfoGAN, InfoGANConfig
from scratchgen.models.adversarial.losses import LOSSES
from scratchgen.nn import SpectralDense

# ------------------------------------------------------------------------- spectral normalisation

VALUES = (3.0, 2.0, 1.0, 0.5)
"""Singular values of the matrices here."""


def _reflection(rng: Any, size: int) -> Any:
    """An orthogonal matrix: 1 − 2 a aᵀ / aᵀa."""
    a = rng.standard_normal((size,))
    return np.eye(size) - 2 * np.outer(a, a) / np.sum(a * a)


def _layer(rng: Any) -> tuple[SpectralDense, Any, Any]:
    """A layer from 5 to 4 units of weights with VALUES, and their first singular vectors v, u."""
    layer = SpectralDense(5, 4, rng)
    layer.astype("float64")
    right, left = _reflection(rng, 5)[:, :4], _reflection(rng, 4)
    layer.weight[...] = (right * np.array(VALUES)) @ left
    return layer, right[:, 0], left[0]


def _by_all(layer: SpectralDense, rng: Any) -> Any:
    """W over the root of the sum of its squares, which is that of all σ²."""
    return layer.weight.data / np.linalg.norm(layer.weight.data)


@claim(
    section="adversarial",
    statement=r"0 \leq \sigma_1 - u_n^\top W v_n \leq \dfrac{\sigma_1}{2}"
    r"\left(\dfrac{\sigma_2}{\sigma_1}\right)^{4 n - 2} \tan^2 \alpha_0",
    says="Power iteration finds the largest singular value; over it, a layer is 1-Lipschitz.",
    source="Miyato et al., algorithm 1 and eq. 8; G. Golub and C. Van Loan (2013), theorem 8.2.1",
    method="closed form",
    wrong={
        "u not kept for the next time": {"normalised": lambda layer, rng: layer.normalised()},
        "the norm of all entries": {"normalised": _by_all},
    },
)
def spectral_normalisation_makes_layers_lipschitz(
    proof: Proof, *, normalised=SpectralDense.normalised
) -> None:
    """With W = Σ σ_i u_i v_iᵀ, Wᵀ multiplies u's part along u_i by σ_i, and so W does v's.

    The start u has an angle α₀ to u₁. After n iterations the parts of v_n are in relation to the
    first at most (σ₂/σ₁)^(2n−1) times as large as those of u: tan α ≤ (σ₂/σ₁)^(2n−1) tan α₀. The
    layer divides by uᵀ W v = ‖W v_n‖, no more than σ₁, and no less than

    σ₁ cos α ≥ σ₁ (1 − ½ tan² α)

    In the limit ‖W̄‖₂ = 1, and no two outputs are farther apart than their inputs.
    """
    layer, v, u = _layer(proof.rng)
    cosine = np.sum(u * layer.left)
    proof.step("cos α₀", cosine)
    tangent, norm = (1 - cosine**2) / cosine**2, np.linalg.norm(layer.weight.data)
    for n in range(1, 61):
        ratio = norm / np.linalg.norm(normalised(layer, proof.rng).data)  # = uᵀ W v
        if n in (1, 2, 4, 8, 60):
            missing = VALUES[0] - ratio
            bound = VALUES[0] / 2 * (VALUES[1] / VALUES[0]) ** (4 * n - 2) * tangent
            # W itself, its norm, a product by it, and the quotient: sums of 20 at most
            rounding, size = 4 * 20, VALUES[0]
            proof.at_most(f"0 ≤ σ₁ − uᵀWv, n = {n}", 0.0, missing, rounding=rounding, scale=size)
            proof.at_most(f"σ₁ − uᵀWv, n = {n}", missing, bound, rounding=rounding, scale=size)
    a, b = proof.rng.standard_normal((20, 5)), proof.rng.standard_normal((20, 5))
    along = np.concatenate([a - b, v[None]]) @ normalised(layer, None)
    inputs = np.concatenate([np.sum((a - b) ** 2, axis=1), np.ones(1)])
    outputs = np.sum(along * along, axis=1)
    proof.at_most("‖W̄(a − b)‖² ≤ ‖a − b‖²", outputs, inputs, rounding=2 * rounding)
    proof.equal("‖W̄ v₁‖² = ‖v₁‖²", outputs[-1], inputs[-1], rounding=2 * rounding)


@claim(
    section="adversarial",
    statement=r"\nabla_W \langle G, \bar{W} \rangle = \frac{1}{\sigma}"
    r"\left(G - \langle G, \bar{W} \rangle\, u_1 v_1^\top\right)",
    says="The gradient by normalised weights leaves out what would only make them larger.",
    source="Miyato et al., eqs. 9 to 12",
    method="closed form",
    wrong={
        "σ taken for a constant": {"share": 0.0},
        "σ multiplied in, not divided out": {"power": 1.0},
    },
)
def the_gradient_of_normalised_weights(proof: Proof, *, share=1.0, power=-1.0) -> None:
    """As ‖u‖ = ‖v‖ = 1 stay, and W v = σ u, uᵀW = σ vᵀ: dσ = uᵀ dW v + σ (duᵀ u + vᵀ dv) = uᵀ dW v.

    d⟨G, W / σ⟩ = ⟨G, dW⟩ / σ − ⟨G, W⟩ dσ / σ² = ⟨G − ⟨G, W̄⟩ u vᵀ, dW⟩ / σ

    Along W itself it is 0, ⟨W, G⟩ − ⟨G, W̄⟩ σ = 0: W̄ does not depend on how long W is. To the layer
    u and v are constants, and it is right all the same.
    """
    layer, v, u = _layer(proof.rng)
    for _ in range(60):
        layer.normalised(proof.rng)
    weight, g = layer.weight.data, proof.rng.standard_normal((5, 4))

    def loss(weight: Any) -> Any:
        layer.weight = weight
        return np.sum(g * layer.normalised())

    found = grad(loss)(weight)
    along = np.sum(g * weight) / VALUES[0]
    right = VALUES[0] ** power * (g - share * along * np.outer(v, u))
    # singular vectors as in the claim before, and two sums of 20; σ₁ / (σ₁ − σ₂) of it in u and v
    rounding = 4 * 20 * VALUES[0] / (VALUES[0] - VALUES[1]) + 2 * 20
    size = (np.max(np.abs(g)) + np.sum(np.abs(g * weight)) / VALUES[0]) / VALUES[0]
    proof.equal("∇⟨G, W̄⟩", found, right, rounding=rounding, scale=size)
    terms = np.abs(weight * found)
    proof.equal("⟨W, ∇⟩", np.sum(weight * found), 0.0, rounding=rounding, scale=np.sum(terms))


# ------------------------------------------------------------------------- transposed convolution


def _with_zeros(u: Any) -> Any:
    """u (N, H, W, C) with a zero after each of its values, downwards and to the right."""
    wide = np.stack([u, 0 * u], axis=3)
    tall = np.stack([wide, 0 * wide], axis=2)
    return tall.reshape(len(u), 2 * u.shape[1], 2 * u.shape[2], u.shape[3])


def _turned(w: Any) -> Any:
    return np.swapaxes(np.flip(w, axis=(0, 1)), 2, 3)


@claim(
    section="adversarial",
    statement=r"\langle A x, u \rangle = \langle x, A^\top u \rangle,"
    r"\quad (A x)(o) = \sum_t w(t)\, x(2 o + t - 1)"
    "\n" + r"(A^\top u)(i) = \sum_t w(t)^\top z(i + 1 - t),\quad z(2 o) = u(o)",
    says="What doubles a generator's image is the adjoint of what halves a critic's.",
    source="Radford, Metz & Chintala, §3; V. Dumoulin and F. Visin (2016), §4",
    method="adjoint identity",
    wrong={
        "values repeated, no zeros between": {
            "spread": lambda u: np.repeat(np.repeat(u, 2, 1), 2, 2)
        },
        "the kernel not turned": {"turned": lambda w: np.swapaxes(w, 2, 3)},
    },
)
def generators_run_critics_backwards(proof: Proof, *, spread=_with_zeros, turned=_turned) -> None:
    """A convolution with stride 2 keeps every other position. Put i = 2o + t − 1 in

    ⟨A x, u⟩ = Σ_o Σ_t u(o) w(t) x(2o + t − 1) = Σ_i x(i) Σ_t w(t)ᵀ u((i + 1 − t) / 2)

    of which only those t count that leave a whole o. With z, u with zeros between, that is an
    ordinary convolution of z by the turned kernel: of "fractional stride".
    """
    x, w = proof.rng.standard_normal((2, 6, 8, 2)), proof.rng.standard_normal((3, 3, 2, 3))
    u = proof.rng.standard_normal((2, 3, 4, 3))
    down, up = conv(x, w, stride=2, padding="same"), conv_transpose(u, w, stride=2, padding="same")
    left, right = np.sum(down * u), np.sum(x * up)
    sizes = conv(np.abs(x), np.abs(w), stride=2, padding="same")
    # sums of 9 taps and 2 or 3 channels, then of the 192 numbers of x
    rounding, size = 27 + 192, np.sum(sizes * np.abs(u))
    proof.equal("⟨A x, u⟩", left, right, rounding=rounding, scale=size)
    plain = conv(spread(u), turned(w), padding="same")
    proof.equal("conv of u with zeros between", plain, up, rounding=27)


# ---------------------------------------------------------------------------- what codes tell

IMAGES, CATEGORIES, OF_EACH = 5, 4, 15


def _bound(model: InfoGAN, codes: Any, log_q: Any) -> Any:
    """L_I of codes (N, K) and what is read of their images, ln q(c | x) (N, K)."""
    noise = np.concatenate([np.zeros((len(codes), 1)), codes], axis=1)
    return model.information(noise, log_q, np.zeros((len(codes), 0)))[0]


@claim(
    section="adversarial",
    statement=r"L_I = H(c) + E \ln q(c \mid x) = I(c; x) - "
    r"E\, \mathrm{KL}(p(c \mid x) \,\|\, q(c \mid x))",
    says="What a network reads of the code is a lower bound of what the image tells of it.",
    source="Chen et al., eq. 4",
    method="enumeration",
    wrong={
        "H(c) forgotten": {"bound": lambda *read: _bound(*read) - math.log(CATEGORIES)},
        "the divergence the wrong way round": {"divergence": lambda p, q: kl(q, p)},
    },
)
def infogan_bounds_the_information(proof: Proof, *, bound=_bound, divergence=kl) -> None:
    """Multiply and divide by q(c | x) under the logarithm of the posterior:

    I(c; x) = H(c) − H(c | x) = H(c) + E ln p(c | x)
            = H(c) + E ln q(c | x) + E ln (p(c | x) / q(c | x))

    The last is a divergence, so L_I ≤ I, with equality for q = p(c | x). A q that knows nothing,
    1/K, gives L_I = 0. (A batch holds each of K categories as often, with images made of them.)
    """
    config = InfoGANConfig(2, 2, latents=1, hidden=2, layers=1, categories=CATEGORIES, codes=0)
    model, rng = InfoGAN(config, proof.rng), proof.rng
    c = np.repeat(np.arange(CATEGORIES), OF_EACH)
    some = rng.integers(0, IMAGES, (CATEGORIES, OF_EACH - IMAGES))
    every = np.zeros((CATEGORIES, 1), int) + np.arange(IMAGES)
    x = np.concatenate([every, some], axis=1).reshape(-1)
    code, image = one_hot(c, CATEGORIES, "float64"), one_hot(x, IMAGES, "float64")
    joint = image.T @ code / len(c)  # p(x, c)
    marginal = np.sum(joint, axis=1)
    log_q, posterior = log_softmax(rng.standard_normal((IMAGES, 4))), joint / marginal[:, None]
    apart = [divergence(posterior[k], np.exp(log_q[k])) for k in range(IMAGES)]
    gap, told = np.sum(marginal * np.stack(apart)), mutual_information(joint)
    proof.step("I(c; x)", told)
    proof.step("E KL", gap)
    # a mean over the batch; divergences of tables, whose logarithms are at most 3 or so
    rounding, size = 2 * len(c) + 2 * roundings(IMAGES * CATEGORIES), math.log(IMAGES * CATEGORIES)
    least = bound(model, code, log_q[x])
    proof.equal("L_I", least, told - gap, rounding=rounding, scale=size)
    proof.at_most("L_I ≤ I", least, told, rounding=rounding, scale=size)
    best = bound(model, code, np.log(posterior)[x])
    proof.equal("L_I of the posterior", best, told, rounding=rounding, scale=size)
    proof.equal("L_I of 1/K", bound(model, code, 0 * code), 0.0, rounding=rounding, scale=size)


CODES, LN_4 = 3, math.log(4)
Map = tuple[int, ...]
"""A function of the numbers below CODES, as a list of its values."""

SURE = 800.0
"""A score whose probability is 1 in float64."""


def _joints(encoder: Map, generator: Map) -> tuple[Any, Any]:
    """P and Q as tables of x and z."""
    codes = range(CODES)
    p = [[float(encoder[x] == z) / CODES for z in codes] for x in codes]
    q = [[float(generator[z] == x) / CODES for z in codes] for x in codes]
    return np.array(p), np.array(q)


def _on_both(encoder: Map, generator: Map) -> int:
    """How many codes come back: z = E(G(z))."""
    return sum(encoder[generator[z]] == z for z in range(CODES))


def _alike(encoder: Map, generator: Map) -> int:
    """All of them if all codes and images are made, whichever of which."""
    return CODES if len(set(encoder)) == len(set(generator)) == CODES else 0


@claim(
    section="adversarial",
    statement=r"\max_D V = -\frac{m}{n} \ln 4, \quad m = |\{z : E(G(z)) = z\}|"
    "\n" + r"V = -\ln 4 \quad \Leftrightarrow \quad E = G^{-1}",
    says="Against a critic of pairs encoder and generator win by undoing each other, and only so.",
    source="Donahue, Krähenbühl & Darrell, theorem 2",
    method="enumeration",
    wrong={
        "alike as wholes, not as pairs": {"returned": _alike},
        "ln 2 for each": {"each": math.log(2)},
    },
)
def bigan_inverts_at_the_optimum(proof: Proof, *, returned=_on_both, each=LN_4) -> None:
    """All 27 × 27 pairs of functions E of 3 images and G of 3 codes, all equally likely.

    P is uniform on the pairs (x, E(x)), Q on (G(z), z). The best critic is sure of pairs that only
    one of them has, and adds nothing to V there; where both are it says ½, which adds (1/n) ln ½
    from either side:

    V = −(m/n) 2 ln 2,        m the number of pairs of both

    (G(z), z) is of both if E(G(z)) = z. Where all are, m = n, P = Q, V = −ln 4 and E undoes G, and
    as they are functions of a finite set, G undoes E. One pair less, and V is higher by ln 4 / n.
    """
    maps = list(product(range(CODES), repeat=CODES))
    pairs, values = list(product(maps, maps)), []
    for encoder, generator in pairs:
        coded = {(x, encoder[x]) for x in range(CODES)}
        drawn = {(generator[z], z) for z in range(CODES)}
        real = [0.0 if pair in drawn else SURE for pair in coded]
        fake = [0.0 if pair in coded else -SURE for pair in drawn]
        values.append(-LOSSES["saturating"].critic(np.array(real), np.array(fake)))
    value = np.stack(values)
    claimed = np.array([-returned(*pair) / CODES * each for pair in pairs])
    proof.equal("V at D*", value, claimed, rounding=3 * CODES)
    undone = np.array([_on_both(*pair) == CODES for pair in pairs])
    proof.equal("V of inverses", value[undone], -LN_4, rounding=3 * CODES)
    # a little less than ln 4 / n, for rounding
    proof.differ("V of others", value[~undone], -LN_4, by=0.999 * LN_4 / CODES)
    some = slice(5 * len(maps), 7 * len(maps))  # an encoder onto all codes, and one that is not
    shared = np.stack([2 * js(*_joints(*pair)) - LN_4 for pair in pairs[some]])
    proof.equal("2 JS(P, Q) − ln 4", shared, value[some], rounding=roundings(9), scale=math.log(9))


# ----------------------------------------------------------------------------------------- scores


@claim(
    section="adversarial",
    statement=r"\mathrm{IS} = \exp E_x \mathrm{KL}(p(y \mid x) \,\|\, p(y))"
    r" = \exp I(x; y), \quad 1 \leq \mathrm{IS} \leq K",
    says="The inception score is how many classes the images tell apart: from 1 to all K.",
    source="Salimans et al., §4",
    method="enumeration",
    wrong={
        "H(y) alone": {"information": lambda joint: entropy(np.sum(joint, axis=0))},
        "in bits": {"information": lambda joint: mutual_information(joint) / math.log(2)},
    },
)
def the_inception_score_counts_classes(proof: Proof, *, information=mutual_information) -> None:
    """All N images are as likely: p(x, y) = p(y | x) / N, and p(y) is the mean of p(y | x).

    E_x KL(p(y | x) ‖ p(y)) = Σ p(x, y) ln (p(x, y) / p(x) p(y)) = I(x; y) = H(y) − H(y | x)

    which is at least 0, at most H(y) ≤ ln K. It is 0 if all images look alike, and ln K if each is
    of one class beyond doubt, H(y | x) = 0, and all classes are as frequent, H(y) = ln K.
    """
    images, classes = 12, 4
    p = softmax(proof.rng.standard_normal((images, classes)))
    score, told = inception_score(backend.to_numpy(p)), information(p / images)
    proof.step("I(x; y)", told)
    # entropies of the table, ln 48 at most, whose errors the exponential makes relative ones
    rounding = roundings(images * classes) * math.log(images * classes)
    proof.equal("IS", score, np.exp(told), rounding=rounding)
    proof.at_most("1 ≤ IS", 1.0, score, rounding=rounding)
    proof.at_most("IS ≤ K", score, float(classes), rounding=rounding)
    same = backend.to_numpy(p[:1] + np.zeros((images, 1)))
    proof.equal("all alike", inception_score(same), 1.0, rounding=rounding)
    sure = numpy.eye(classes)[numpy.arange(images) % classes]
    proof.equal("all classes, beyond doubt", inception_score(sure), classes, rounding=rounding)


def _root_by_root(a: Any, b: Any) -> Any:
    return np.sum((np.sqrt(a) - np.sqrt(b)) ** 2)


@claim(
    section="adversarial",
    statement=r"d^2 = |\mu_1 - \mu_2|^2 + \sum_i \left(\sqrt{\lambda_i} - \sqrt{\nu_i}\right)^2,"
    r"\quad \Sigma_1 \Sigma_2 = \Sigma_2 \Sigma_1",
    says="Of covariances with the same axes, Fréchet's distance is between deviations along each.",
    source="Heusel et al., eq. 6; D. Dowson and B. Landau (1982)",
    method="closed form",
    wrong={
        "variances in place of deviations": {"between": lambda a, b: np.sum((a - b) ** 2)},
        "the covariance between forgotten": {"between": lambda a, b: np.sum(a + b)},
    },
)
def frechet_distance_of_common_axes(proof: Proof, *, between=_root_by_root) -> None:
    """In the common axes both covariances are diagonal, with variances λ and ν along them:

    tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½) = Σ λ + ν − 2 √(λ ν) = Σ (√λ − √ν)²

    Of one dimension, W₂² of two normal distributions, whose quantiles µ + σ z are taken to each
    other: E ((µ₁ + σ₁ z) − (µ₂ + σ₂ z))² = (µ₁ − µ₂)² + (σ₁ − σ₂)².

    (The points ±√((2D − 1) λ_i / 2) along the axis i have exactly those variances.)
    """
    d = 4
    axes, shift = _reflection(proof.rng, d), proof.rng.standard_normal((d,))
    first, second = 0.1 + proof.rng.random((d,)), 1 + 3 * proof.rng.random((d,))

    def cross(variances: Any) -> Any:
        arms = np.sqrt((2 * d - 1) / 2 * variances)[:, None] * axes
        return np.concatenate([arms, -arms])

    x, y = cross(first), cross(second) + shift
    found = frechet_distance(backend.to_numpy(x), backend.to_numpy(y))
    right = np.sum(shift**2) + between(first, second)
    proof.step("Σ (√λ − √ν)²", between(first, second))
    # two triangular roots of 2D points, and the singular values of a D × D product
    rounding, size = 2 * 2 * d + 2 * d * d, np.sum(shift**2) + np.sum(first + second)
    proof.equal("d²", found, right, rounding=rounding, scale=size)


def _stretched(rng: Any, size: int) -> Any:
    """A symmetric matrix of eigenvalues between 0.3 and 2."""
    axes = _reflection(rng, size)
    return (axes * (0.3 + 1.7 * rng.random((size,)))) @ axes.T


def _stretched_and_turned(rng: Any, size: int) -> Any:
    return _stretched(rng, size) @ np.array([[0.0, -1.0], [1.0, 0.0]])


@claim(
    section="adversarial",
    statement=r"d^2(X, Y) \leq W_2^2(X, Y) = \min E |x - y|^2,"
    "\n" + r"d^2 = W_2^2 \quad \mathrm{for} \quad y = S x + b,\; S = S^\top > 0",
    says="Fréchet's distance is never more than transport, and just that where one is stretched.",
    source="M. Gelbrich (1990), theorem 2.1; Heusel et al., eq. 6",
    method="exact transport",
    wrong={
        "stretched and turned": {"stretching": _stretched_and_turned},
        "covariances over N − 1, the work over N": {"corrected": lambda n: 1.0},
    },
)
def frechet_distance_is_transport(
    proof: Proof, *, stretching=_stretched, corrected=lambda n: (n - 1) / n
) -> None:
    """S x + b is the slope of a convex function, ½ xᵀS x + bᵀx, and such maps waste nothing:

    Σ |x_i − y_i|² is least over all pairings where Σ ⟨x_i, y_i⟩ is greatest. For y = S x + b with
    S = RᵀR that is Σ ⟨R x_i, R x_j⟩ up to a constant, by Cauchy and Schwarz greatest for j = i.

    Its work, E |x − y|² = |µ₁ − µ₂|² + tr((1 − S) Σ (1 − S)), is d², as Σ₂ = S Σ S and the root of
    Σ Σ₂ = (Σ S)² is Σ S: d² = |µ₁ − µ₂|² + tr(Σ + S Σ S − 2 Σ S). For others the work is
    |µ₁ − µ₂|² + tr(Σ₁ + Σ₂ − 2 C) with C between x and y, of a trace up to that root's.
    """
    n = 12
    x, other = proof.rng.standard_normal((n, 2)), 2 * proof.rng.random((n, 2))
    y = x @ stretching(proof.rng, 2) + proof.rng.standard_normal((2,))
    for what, z in (("y = S x + b", y), ("others", other)):
        squares = np.sum((x[:, None] - z[None]) ** 2, axis=-1)
        rows, order = linear_sum_assignment(backend.to_numpy(squares))
        work = np.mean(squares[backend.asarray(rows), backend.asarray(order)])
        means = np.sum((np.mean(x, axis=0) - np.mean(z, axis=0)) ** 2)
        # scores divide covariances by n − 1
        spread = frechet_distance(backend.to_numpy(x), backend.to_numpy(z)) - means
        distance = means + corrected(n) * spread
        proof.step(f"W₂², {what}", work)
        # sums over n points, the roots' singular values, all of the size of mean squares
        rounding, size = 3 * n + 8, np.mean(np.sum(x**2, axis=1)) + np.mean(np.sum(z**2, axis=1))
        compare = proof.equal if z is y else proof.at_most
        compare(f"d², {what}", distance, work, rounding=rounding, scale=size)
