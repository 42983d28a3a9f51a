"""Gradients of layers and losses: convolutions, normalisations, cross-entropies."""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd import constant, grad, hessian, jacobian, make_vjp
from autograd.nn import conv, sigmoid, sigmoid_cross_entropy, softmax, softmax_cross_entropy
from autograd.nn.conv import conv_transpose
from autograd.nn.embedding import one_hot
from scratchgen.derivations.claim import claim
from scratchgen.derivations.proof import Proof
from scratchgen.nn import BatchNorm, CausalConv, LayerNorm, MaskedConv, WeightNormDense

KERNEL, SIDE = 3, 3


def _turned(w: Any) -> Any:
    """The kernel (k, C, C′) of sequences turned around, its channels exchanged."""
    return np.swapaxes(np.flip(w, axis=0), 1, 2)


def _stretched(u: Any, stride: int) -> Any:
    """``stride`` − 1 zeros between every two positions of u (N, T, C)."""
    n, length, channels = u.shape
    spread = np.stack([u] + [0 * u] * (stride - 1), axis=2)
    return spread.reshape(n, stride * length, channels)[:, : stride * (length - 1) + 1]


@claim(
    section="gradients",
    statement=r"y(o) = \sum_t w(t)\, x(s o + d t)"
    "\n" + r"\overline{x}(i) = \sum_t w(t)^\top\, \mathrm{stretched}(\overline{y})(i - d t)",
    says="A stride becomes zeros between the outputs on the way back; a dilation stays as it is.",
    source="V. Dumoulin and F. Visin (2016), A guide to convolution arithmetic, chapter 4",
    method="adjoint identity",
    wrong={
        "outputs repeated in place of zeros": {
            "stretched": lambda u, s: np.repeat(u, s, axis=1)[:, : s * (u.shape[1] - 1) + 1]
        },
        "the kernel not turned": {"turned": lambda w: np.swapaxes(w, 1, 2)},
    },
)
def a_stride_becomes_zeros_on_the_way_back(
    proof: Proof, *, stretched=_stretched, turned=_turned
) -> None:
    """⟨y, u⟩ = Σ_o Σ_t u(o) w(t) x(s o + d t). Put i = s o + d t: what x(i) is multiplied by is

    Σ_t w(t)ᵀ u((i − d t) / s)        of those t where the quotient is a whole number.

    With û(s o) = u(o) and û = 0 elsewhere, the condition goes: Σ_t w(t)ᵀ û(i − d t), a convolution
    of stride 1 and the same dilation by the turned kernel. It is what generators upsample with.
    """
    w = proof.rng.standard_normal((KERNEL, 2, 3))
    for s, d in ((1, 1), (2, 1), (1, 2), (2, 2), (3, 2)):
        x = proof.rng.standard_normal((2, s * (SIDE - 1) + d * (KERNEL - 1) + 1, 2))
        u = proof.rng.standard_normal((2, SIDE, 3))
        around = ((0, 0), (d * (KERNEL - 1), d * (KERNEL - 1)), (0, 0))
        back = conv(np.pad(stretched(u, s), around), turned(w), dilation=d)
        forward = conv(x, w, stride=s, dilation=d)
        what, size = f"stride {s}, dilation {d}", np.sum(np.abs(x * back)) + 1.0
        # 3 taps of up to 3 channels, then sums of 18 and 2·2·11 numbers
        left, right = np.sum(forward * u), np.sum(x * back)
        proof.equal(f"⟨y, u⟩, {what}", left, right, rounding=9 + 44, scale=size)
        found = conv_transpose(u, w, stride=s, dilation=d)
        proof.equal(f"conv_transpose, {what}", found, back, rounding=9, scale=9.0)
        gradient = make_vjp(lambda x: conv(x, w, stride=s, dilation=d))(x)[0](u)  # noqa: B023
        proof.equal(f"x̄, {what}", gradient, back, rounding=9, scale=9.0)


@claim(
    section="gradients",
    statement=r"y_t = \sum_j w_j\, x_{t - (k - 1 - j) d}"
    "\n" + r"\overline{x}_i = \sum_j w_j^\top\, \overline{y}_{i + (k - 1 - j) d}",
    says="What sees only the past on the way forward is told only by the future on the way back.",
    source="A. van den Oord et al. (2016), WaveNet, §2.1, transposed",
    method="adjoint identity",
    wrong={
        "time not reversed": {"reverse": lambda x: x},
        "the channels reversed as well": {"reverse": lambda x: np.flip(x, axis=(1, 2))},
    },
)
def the_transpose_of_a_causal_convolution_is_anticausal(
    proof: Proof, *, reverse=lambda x: np.flip(x, axis=1)
) -> None:
    """⟨y, u⟩ = Σ_t Σ_j u_t w_j x_{t−(k−1−j)d}: put i = t − (k − 1 − j) d, so t = i + (k − 1 − j) d.

    With time reversed, R u_t = u_{T−1−t}, the sum reads R x̄ = Σ_j w_jᵀ (R u)_{· − (k−1−j)d}: again
    a causal convolution, of the same kernel. So Cᵀ = R C R but for the channels, and the last input
    has its gradient from the last output alone.
    """
    layer = CausalConv(2, 2, KERNEL, 2, proof.rng)
    layer.astype("float64")
    x, u = proof.rng.standard_normal((2, 7, 2)), proof.rng.standard_normal((2, 7, 2))
    found = make_vjp(layer)(x)[0](u)
    w = np.swapaxes(constant(layer.weight), 1, 2)
    expected = reverse(conv(reverse(u), w, padding="causal", dilation=2))
    # 3 taps of 2 channels
    proof.equal("x̄ = R C R u", found, expected, rounding=6, scale=np.sum(np.abs(w)))
    early = u * (np.arange(7) < 3)[:, None]
    told = make_vjp(layer)(x)[0](early)
    proof.equal("x̄ after the last ȳ other than 0", told[:, 3:], 0.0, rounding=0)


@claim(
    section="gradients",
    statement=r"y = (m \odot w) \star x:"
    "\n" + r"\overline{w} = m \odot \overline{(m \odot w)}, \quad"
    r" \dfrac{\partial y_p}{\partial x_q} = 0 \ \mathrm{for}\ q \geq p",
    says="Masked weights never learn, and gradients reach earlier pixels only.",
    source="A. van den Oord et al. (2016), Pixel recurrent neural networks, §3.4",
    method="Jacobian",
    wrong={
        "mask B in the first layer": {"kind": "B"},
        "a gradient for all weights": {"mask": lambda m: 1 + 0 * m},
    },
)
def masked_weights_never_learn(proof: Proof, *, kind="A", mask=lambda m: m) -> None:
    """The Jacobian of m ⊙ w by w is the diagonal matrix of m, its own transpose: w̄ = m ⊙ (…).

    In raster order, y_p reads the pixels before p, so ∂y/∂x is a strictly lower triangular matrix.
    What runs backwards is its transpose, strictly upper: x̄_q is told by the pixels after q.
    """
    layer = MaskedConv(1, 1, KERNEL, kind, proof.rng)
    layer.astype("float64")
    image = proof.rng.standard_normal((1, 4, 4, 1))
    by_pixel = jacobian(layer)(image).reshape(16, 16)
    proof.equal("∂y_p/∂x_q on and above the diagonal", np.triu(by_pixel), 0.0, rounding=0)
    kept = (np.arange(9) < 4).reshape(3, 3, 1, 1) * 1.0  # mask A, by hand
    w, u = constant(layer.weight), proof.rng.standard_normal((1, 4, 4, 1))
    masked = make_vjp(lambda w: conv(image, w * kept, padding="same", taps=layer.taps))(w)[0](u)
    full = make_vjp(lambda w: conv(image, w, padding="same"))(w)[0](u)
    # 16 positions on either side
    proof.equal("w̄ = m ⊙ w̄", masked, mask(kept) * full, rounding=2 * 16, scale=16.0)


@claim(
    section="gradients",
    statement=r"L = \ln \sum_k e^{x_k} - x_t: \quad \nabla L = p - e_t",
    says="A classifier's gradient is what it believes less what is true.",
    source="C. M. Bishop (2006), Pattern recognition and machine learning, eq. 4.109",
    method="closed form",
    wrong={
        "the truth less the belief": {"error": lambda p, y: y - p},
        "through the logarithm of one probability only": {"error": lambda p, y: p * y - y},
    },
)
def a_classifiers_gradient_is_belief_less_truth(proof: Proof, *, error=lambda p, y: p - y) -> None:
    """L = −ln p_t with p = softmax x, so that ln p_t = x_t − ln Σ_k exp x_k, and

    ∂L/∂x_j = exp x_j / Σ_k exp x_k − [j = t] = p_j − [j = t]

    It adds up to 0: a constant added to all logits changes no probability. And it never exceeds 1,
    however wrong the belief: logits of ±1000 have a gradient, too.
    """
    labels = np.array([0, 3, 1])
    for what, size in (("logits of order 1", 1.0), ("logits of order 1000", 1000.0)):
        x = size * proof.rng.standard_normal((3, 4))
        found = grad(lambda x: np.sum(softmax_cross_entropy(x, labels)))(x)
        # an exponential, a sum of 4 and a quotient, on either side
        expected = error(softmax(x), one_hot(labels, 4, "float64"))
        proof.equal(f"∇L, {what}", found, expected, rounding=2 * (4 + 4), scale=1.0)
        proof.equal(f"Σ ∂L/∂x_j, {what}", np.sum(found, axis=1), 0.0, rounding=12, scale=1.0)


@claim(
    section="gradients",
    statement=r"\nabla^2 L = \mathrm{diag}(p) - p\, p^\top, \quad \nabla^2 L\, 1 = 0"
    "\n"
    + r"0 \leq v^\top \nabla^2 L\, v \leq \frac{1}{2} \left(v^\top v - (1^\top v)^2 / K\right)",
    says="Cross-entropy is convex, flat along shifts of all logits, and bent by at most a half.",
    source="D. Böhning (1992), Multinomial logistic regression algorithm",
    method="closed form",
    wrong={
        "p pᵀ left out": {"belief": lambda p: 0 * p},
        "a quarter, as for two classes with one logit": {"most": 0.25},
    },
)
def cross_entropy_is_convex_and_bent_by_half(proof: Proof, *, belief=lambda p: p, most=0.5) -> None:
    """∂(p_i − [i = t])/∂x_j = [i = j] p_i − p_i p_j, whatever the label. Its rows add up to
    p_i − p_i = 0. vᵀ ∇²L v = Σ p_i v_i² − (Σ p_i v_i)² is the variance of v under p. With R the
    distance from the least v_i to the largest, that is R² / 4 at most, of a coin between these two.
    They alone put the sum of squared deviations from the plain mean at R² / 2 or more. Hence

    0 ≤ Var_p v ≤ R² / 4 ≤ ½ Σ_i (v_i − v̄)² = ½ (vᵀ v − (1ᵀ v)² / K)

    A step of 1 / ½ = 2 on the logits therefore never overshoots. A coin attains it.
    """
    labels, x = np.array(2), proof.rng.standard_normal((4,))
    found = hessian(lambda x: softmax_cross_entropy(x, labels))(x)
    p = softmax(x)
    # two passes over an exponential, a sum of 4 and a quotient
    rounding = 4 * (4 + 4)
    expected = np.diag(p) - np.outer(belief(p), p)
    proof.equal("∇²L", found, expected, rounding=rounding, scale=1.0)
    proof.equal("∇²L 1", np.sum(found, axis=1), 0.0, rounding=rounding, scale=1.0)
    slope = grad(lambda x: softmax_cross_entropy(x, labels))
    squared = grad(lambda x: np.sum(slope(x) ** 2))(x)
    twice = 2 * expected @ (p - one_hot(labels, 4, "float64"))
    proof.equal("∇ ‖∇L‖² = 2 ∇²L ∇L", squared, twice, rounding=2 * rounding, scale=4.0)
    between = np.array([0.0, 0.0, 40.0, 40.0])  # a coin of the last two
    sharp = hessian(lambda x: softmax_cross_entropy(x, labels))(between)
    v = np.concatenate([np.array([[0.0, 0.0, 1.0, -1.0]]), proof.rng.standard_normal((9, 4))])
    largest = most * (np.sum(v * v, axis=1) - np.sum(v, axis=1) ** 2 / 4)
    size = np.max(np.sum(v * v, axis=1))
    for what, matrix in (("at random", found), ("at a coin", sharp)):
        bent = np.sum((v @ matrix) * v, axis=1)
        proof.at_most(f"0 ≤ vᵀ ∇²L v {what}", 0.0, bent, rounding=rounding, scale=size)
        proof.at_most(f"vᵀ ∇²L v {what}", bent, largest, rounding=rounding, scale=size)


@claim(
    section="gradients",
    statement=r"L = \ln(1 + e^x) - t x: \quad L' = \sigma(x) - t,"
    "\n" + r"L(x, 1) = -\ln \mathrm{softmax}(x, 0)_1",
    says="With two classes and the other logit fixed at 0, softmax is the logistic function.",
    source="C. M. Bishop (2006), Pattern recognition and machine learning, eqs. 4.57 and 4.91",
    method="closed form",
    wrong={
        "the slope of the squared error": {
            "slope": lambda x, t: (sigmoid(x) - t) * sigmoid(x) * (1 - sigmoid(x))
        },
        "the label's sign lost": {"slope": lambda x, t: sigmoid(x) + t - 1},
    },
)
def two_classes_need_one_logit(proof: Proof, *, slope=lambda x, t: sigmoid(x) - t) -> None:
    """softmax(x, 0) = (eˣ, 1) / (1 + eˣ) = (σ(x), 1 − σ(x)). For a target t between 0 and 1,

    L = −t ln σ − (1 − t) ln (1 − σ) = ln(1 + eˣ) − t x,        L′ = σ − t

    No factor σ (1 − σ) is left, which would make confident mistakes unlearnable.
    """
    x, t = 3 * proof.rng.standard_normal((6,)), proof.rng.random((6,))
    found = grad(lambda x: np.sum(sigmoid_cross_entropy(x, t)))(x)
    # an exponential, a sum and a quotient, on either side
    proof.equal("L′", found, slope(x, t), rounding=2 * 4, scale=1.0)
    pairs = np.stack([x, 0 * x], axis=1)
    zeros = np.zeros(6, int)
    true, false = softmax_cross_entropy(pairs, zeros), softmax_cross_entropy(pairs, zeros + 1)
    both, size = t * true + (1 - t) * false, np.max(np.abs(x)) + 1.0
    proof.equal("L", sigmoid_cross_entropy(x, t), both, rounding=2 * 8, scale=size)


def _centred(x: Any) -> Any:
    """(x − µ) / σ over the last axis."""
    middle = x - np.mean(x, axis=-1, keepdims=True)
    return middle / np.sqrt(np.mean(middle * middle, axis=-1, keepdims=True))


def _projected(u: Any, normal: Any) -> Any:
    """u without its parts along 1 and along x̂."""
    along_it = np.mean(u * normal, axis=-1, keepdims=True)
    return u - np.mean(u, axis=-1, keepdims=True) - normal * along_it


@claim(
    section="gradients",
    statement=r"\hat{x} = \dfrac{x - \mu}{\sigma}: \quad \overline{x} = \frac{1}{\sigma}"
    r" \left(u - \frac{1}{n} 1 1^\top u - \frac{1}{n} \hat{x} \hat{x}^\top u\right)"
    "\n" + r"\langle \overline{x}, 1 \rangle = \langle \overline{x}, \hat{x} \rangle = 0",
    says="Behind a normalisation there is no gradient along what it takes away: shift and scale.",
    source="Ioffe & Szegedy (2015), §3; Ba, Kiros & Hinton (2016), §5.1",
    method="closed form",
    wrong={
        "mean and variance taken for constants": {"projected": lambda u, normal: u},
        "the variance taken for a constant": {
            "projected": lambda u, normal: u - np.mean(u, axis=-1, keepdims=True)
        },
    },
)
def normalisation_projects_gradients(proof: Proof, *, projected=_projected) -> None:
    """∂µ/∂x_j = 1/n and ∂σ/∂x_j = x̂_j / n. So, from x̂_i = (x_i − µ) / σ,

    ∂x̂_i/∂x_j = ([i = j] − 1/n) / σ − x̂_i x̂_j / (n σ)

    a symmetric projector divided by σ, orthogonal to 1 and to x̂ (as ⟨1, x̂⟩ = 0, ⟨x̂, x̂⟩ = n). It
    must be so: x + c and c x have the same x̂.

    Layers add ε to σ²; here it is 0. Layer normalisation is over the channels of a position, batch
    normalisation over the examples for each channel.
    """
    x, u = proof.rng.standard_normal((3, 6)), proof.rng.standard_normal((3, 6))
    layer, batch = LayerNorm(6, epsilon=0.0), BatchNorm(3, epsilon=0.0)
    layer.astype("float64")
    batch.astype("float64")
    over_batch = lambda x: batch(x.T, proof.rng).T  # noqa: E731
    normal, sigma = _centred(x), np.std(x, axis=-1, keepdims=True)
    expected = projected(u, normal) / sigma
    # means of 6 for µ, σ, and the two of the gradient, by numbers up to |u| / σ
    rounding, size = 6 * 6, np.max(np.abs(u) / sigma)
    for name, function in (("layer", layer), ("batch", over_batch)):
        found = make_vjp(function)(x)[0](u)
        proof.equal(f"x̄, {name} norm", found, expected, rounding=rounding, scale=size)
    proof.equal("⟨x̄, 1⟩", np.sum(expected, axis=-1), 0.0, rounding=6 * rounding, scale=size)
    against = np.sum(expected * normal, axis=-1)
    proof.equal("⟨x̄, x̂⟩", against, 0.0, rounding=6 * rounding, scale=size)


@claim(
    section="gradients",
    statement=r"w = g \dfrac{v}{\|v\|}: \quad \overline{v} = \dfrac{g}{\|v\|}"
    r" \left(\overline{w} - n\, n^\top \overline{w}\right), \quad n = \dfrac{v}{\|v\|}"
    "\n" + r"\|v - \eta \overline{v}\|^2 = \|v\|^2 + \eta^2 \|\overline{v}\|^2",
    says="A normalised direction can only turn, and its length grows with every plain step.",
    source="Salimans & Kingma (2016), eqs. 3 and 4",
    method="closed form",
    wrong={
        "the length taken for a constant": {"turn": lambda w_bar, n: w_bar},
        "the part along v, not across it": {"turn": lambda w_bar, n: n * np.sum(n * w_bar, axis=0)},
    },
)
def a_normalised_direction_can_only_turn(
    proof: Proof, *, turn=lambda w_bar, n: w_bar - n * np.sum(n * w_bar, axis=0)
) -> None:
    """∂n/∂v = (I − n nᵀ) / ‖v‖, a projector across v. So v̄ = g (I − n nᵀ) w̄ / ‖v‖ and ⟨v, v̄⟩ =
    0.

    By Pythagoras the step −η v̄ makes v longer. As v̄ goes down with 1 / ‖v‖, the angle of a step,
    about η ‖v̄‖ / ‖v‖, does with 1 / ‖v‖²: too large a learning rate settles by itself.
    """
    layer = WeightNormDense(5, 3, proof.rng)
    layer.astype("float64")
    layer.gain[...] = 1.0 + proof.rng.random((3,))
    x, u = proof.rng.standard_normal((4, 5)), proof.rng.standard_normal((4, 3))
    np.sum(layer(x) * u).backward()
    v, found = constant(layer.direction), layer.direction.grad
    w_bar, length = x.T @ u, np.sqrt(np.sum(v * v, axis=0))
    expected = constant(layer.gain) / length * turn(w_bar, v / length)
    # sums of 4 examples, and of 5 weights twice, by numbers up to g |w̄| / ‖v‖
    rounding, size = 4 + 2 * (5 + 4), 5 * np.max(np.abs(w_bar) / length)
    proof.equal("v̄", found, expected, rounding=rounding, scale=size)
    across = np.sum(v * expected, axis=0)
    proof.equal("⟨v, v̄⟩", across, 0.0, rounding=rounding, scale=size * np.max(length))
    eta = 0.1
    after = np.sum((v - eta * expected) ** 2, axis=0)
    pythagoras = length**2 + eta**2 * np.sum(expected**2, axis=0)
    proof.equal("‖v − η v̄‖²", after, pythagoras, rounding=2 * rounding, scale=size**2)
