"""Gradients: what a derivative is compared with, and how near the comparison can come.

The example throughout is L(x) = ln Σ_i exp x_i, whose gradient is the softmax p of x. Along a
direction v, φ(t) = L(x + t v) is the cumulant generating function of v under p:

    φ′ = E_p v,      φ″ = Var_p v,      φ‴ = E_p (v − E_p v)³

B. Fornberg (1981), "Numerical differentiation of analytic functions"; W. Squire and G. Trapp
(1998), "Using complex variables to estimate derivatives of real functions".
"""

from __future__ import annotations

import math
from typing import Any

import autograd.numpy as np
from autograd import backend, grad, hessian, make_jvp, make_vjp
from autograd.nn import conv, softmax
from autograd.nn.conv import conv_transpose, conv_weight_grad
from scratchgen.derivations.claim import claim
from scratchgen.derivations.differences import EPSILON, along, central
from scratchgen.derivations.figures import axes
from scratchgen.derivations.proof import Proof

CLASSES = 4


def log_sum_exp(x: Any) -> Any:
    """L(x) of x (K,), real or complex."""
    return np.log(np.sum(np.exp(x)))


def _along(rng: Any) -> tuple[Any, Any, Any, Any]:
    """φ for random x and v, its slope by the gradient rules, and the constants of its errors.

    Truncation: |φ‴| ≤ R³ / 6√3 for values v of range R, reached by a coin that shows one of the two
    extremes with probability (1 − 1/√3) / 2. Rounding: each of the K terms and sums, of x + t v and
    of the logarithm, in units of ε; v is between 0 and 1.
    """
    x, v = rng.standard_normal((CLASSES,)), rng.random((CLASSES,))
    phi = along(log_sum_exp, x, v)
    third = (np.max(v) - np.min(v)) ** 3 / (6 * math.sqrt(3))
    size = 2 * EPSILON * (CLASSES + np.max(np.abs(x)) + np.abs(phi(0.0)))
    return phi, np.sum(grad(log_sum_exp)(x) * v), third / 6, size


def _forward(phi: Any, h: float) -> Any:
    return (phi(h) - phi(0.0)) / h


def _complex(phi: Any, h: float) -> Any:
    return np.imag(phi(1j * h)) / h


def _error_against_step() -> Any:
    phi, slope, a, b = _along(Proof("error against step").rng)
    steps = [2.0**-k for k in range(1, 45)]
    figure, panel = axes("step h", "error", x_scale="log", y_scale="log")
    for name, quotient in (
        ("one-sided", _forward),
        ("central", central),
        ("complex step", _complex),
    ):
        errors = np.stack([np.abs(quotient(phi, h) - slope) for h in steps])
        shown = backend.to_numpy(errors) + EPSILON / 4  # so that an error of 0 is drawn, too
        panel.plot(steps, shown, ".-", markersize=4, linewidth=0.8, label=name)
    bound = backend.to_numpy(np.stack([a * h * h + b / h for h in steps]))
    panel.plot(steps, bound, "--", color="grey", label="bound on the central one")
    panel.axvline(float(backend.to_numpy((b / (2 * a)) ** (1 / 3))), color="grey", linewidth=0.5)
    panel.legend(frameon=False, fontsize=9)
    return figure


@claim(
    section="gradients",
    statement=r"\left|\frac{\varphi(h) - \varphi(-h)}{2 h} - \varphi'(0)\right| \leq"
    r" \frac{h^2}{6} \max |\varphi'''| + \frac{\delta}{h}"
    "\n" + r"\mathrm{least\ at}\ h^3 = 3 \delta / \max |\varphi'''|",
    says="A quotient of differences has a best step: longer ones cut off, shorter ones round off.",
    source="Fornberg (1981)",
    method="finite differences",
    wrong={"one-sided differences": {"quotient": _forward}},
    figure=_error_against_step,
)
def differences_have_a_best_step(proof: Proof, *, quotient=central) -> None:
    """By Taylor's theorem, φ(±h) = φ ± h φ′ + h² φ″ / 2 ± h³ φ‴ / 6 with φ‴ from in between.

    In the difference the even terms cancel. What is left, divided by 2h, is φ′ + h² φ‴ / 6. If each
    value of φ is off by δ at most, the quotient is by δ / h more:

    error ≤ a h² + δ / h,       a = max |φ‴| / 6

    The right side is least where 2 a h = δ / h², at h³ = δ / 2a, and is 3 (a δ² / 4)^⅓ there. With
    δ of the order of ε the best step is about ε^⅓ and the least error ε^⅔: a third of the digits
    is lost.
    """
    phi, slope, a, b = _along(proof.rng)
    proof.step("φ′(0) = ⟨∇L(x), v⟩", slope)
    for k in (2, 6, 10, 14, 18, 24, 30, 40):
        h = 2.0**-k
        because = "max |φ‴| h² / 6 + δ / h"
        proof.within(f"quotient, h = 2^−{k}", quotient(phi, h), slope, a * h * h + b / h, because)
    best, least = (b / (2 * a)) ** (1 / 3), 3 * (a * b * b / 4) ** (1 / 3)
    proof.step("the best step", best)
    proof.within("at the best step", quotient(phi, best), slope, least, "3 (a δ² / 4)^⅓")


@claim(
    section="gradients",
    statement=r"\varphi'(0) = \frac{\mathrm{Im}\, \varphi(i h)}{h} + O(h^2)",
    says="A step into the complex plane subtracts nothing, so it can be as short as one likes.",
    source="Squire & Trapp (1998)",
    method="complex step",
    wrong={"the same step along the real axis": {"quotient": central}},
)
def a_complex_step_rounds_nothing_off(proof: Proof, *, quotient=_complex) -> None:
    """For an analytic φ that is real on the real axis,

    φ(ih) = φ(0) + i h φ′ − h² φ″ / 2 − i h³ φ‴ / 6 + …

    whose imaginary part is h φ′ up to h³. No difference of near numbers is taken, so h = 10⁻²⁰⁰ is
    as good as 10⁻²⁰, and h² below every rounding error.
    """
    phi, slope, _, _ = _along(proof.rng)
    proof.step("⟨∇L(x), v⟩", slope)
    for h in (1e-20, 1e-100, 1e-200):
        # exponentials 4 and K terms in either of them, and as many in the softmax
        rounding = 2 * (CLASSES + 4)
        proof.equal(f"Im φ(ih) / h, h = {h:.0e}", quotient(phi, h), slope, rounding=rounding)


def _network(rng: Any) -> Any:
    weight = rng.standard_normal((CLASSES, CLASSES)) / 2
    return lambda x: np.tanh(weight @ softmax(x))


def _reverse(f: Any, x: Any, u: Any) -> Any:
    return make_vjp(f)(x)[0](u)


def _forwards(f: Any, x: Any, v: Any) -> Any:
    return make_jvp(f)(x)(v)[1]


@claim(
    section="gradients",
    statement=r"\langle J v, u \rangle = \langle v, J^\top u \rangle",
    says="What runs backwards through a function is the transpose of what runs forwards.",
    source="A. Griewank and A. Walther (2008), Evaluating derivatives, §3.2",
    method="adjoint identity",
    wrong={"the Jacobian not transposed": {"back": _forwards}},
)
def reverse_mode_is_the_transpose(proof: Proof, *, back=_reverse) -> None:
    """The Jacobian of f = f₂ ∘ f₁ is J = J₂ J₁. Neither mode ever makes that matrix:

    forward     v ↦ J₂ (J₁ v)           from the input on
    reverse     u ↦ J₁ᵀ (J₂ᵀ u)         from the output back

    and ⟨J v, u⟩ = uᵀ J v = ⟨v, Jᵀ u⟩.
    """
    f, x, v, u = _network(proof.rng), *(proof.rng.standard_normal((CLASSES,)) for _ in range(3))
    forward, backward = _forwards(f, x, v), back(f, x, u)
    proof.step("J v", forward)
    proof.step("Jᵀ u", backward)
    # softmax, its rule, the product, tanh and the inner product: sums of K terms, 4 roundings each
    sizes = np.sum(np.abs(forward * u)) + np.sum(np.abs(v * backward))
    left, right = np.sum(forward * u), np.sum(v * backward)
    proof.equal("⟨J v, u⟩", left, right, rounding=5 * (CLASSES + 4), scale=sizes + 1.0)


def _turned(w: Any) -> Any:
    """The kernel (k, k, C, C′) turned by 180°, its channels exchanged."""
    return np.swapaxes(np.flip(w, axis=(0, 1)), 2, 3)


@claim(
    section="gradients",
    statement=r"\langle w \star x, u \rangle = \langle x, w^\top \star u \rangle,"
    "\n" + r"(w^\top \star u)(i) = \sum_t w(t)^\top u(i - t)",
    says="The transpose of a convolution is a convolution by the turned kernel, padded all around.",
    source="V. Dumoulin and F. Visin (2016), A guide to convolution arithmetic, §4",
    method="adjoint identity",
    wrong={
        "the kernel not turned": {"turned": lambda w: np.swapaxes(w, 2, 3)},
        "turned along one side only": {
            "turned": lambda w: np.swapaxes(np.flip(w, axis=0), 2, 3),
        },
    },
)
def the_transpose_of_a_convolution(proof: Proof, *, turned=_turned) -> None:
    """Let y(o) = Σ_t w(t) x(o + t), with positions o inside the image and t inside the kernel.

    ⟨y, u⟩ = Σ_o Σ_t u(o) w(t) x(o + t)           put i = o + t:
           = Σ_i x(i) Σ_t w(t) u(i − t)           which is ⟨x, wᵀ ⋆ u⟩
           = Σ_t w(t) Σ_o u(o) x(o + t)           which is ⟨w, x ⋆ u⟩, the gradient by the kernel

    In the second line t is subtracted: u is convolved with the kernel turned around, and reaches
    k − 1 positions beyond its own sides.
    """
    x = proof.rng.standard_normal((2, 5, 6, 2))
    w = proof.rng.standard_normal((3, 3, 2, 3))
    u = proof.rng.standard_normal((2, 3, 4, 3))
    value = np.sum(conv(x, w) * u)
    proof.step("⟨w ⋆ x, u⟩", value)
    # sums of 9 taps and 2 or 3 channels, then of the 72 or 120 numbers of y or x
    rounding, size = 27 + 120, np.sum(conv(np.abs(x), np.abs(w)) * np.abs(u))
    around = np.pad(u, ((0, 0), (2, 2), (2, 2), (0, 0)))
    for what, other in (
        ("⟨x, conv of u by the turned kernel⟩", np.sum(x * conv(around, turned(w)))),
        ("⟨x, conv_transpose(u, w)⟩", np.sum(x * conv_transpose(u, w))),
        ("⟨w, conv_weight_grad(x, u)⟩", np.sum(w * conv_weight_grad(x, u, w.shape))),
        ("⟨x, ∂⟨w ⋆ x, u⟩/∂x⟩", np.sum(x * grad(lambda x: np.sum(conv(x, w) * u))(x))),
    ):
        proof.equal(what, other, value, rounding=rounding, scale=size)


@claim(
    section="gradients",
    statement=r"\nabla^2 \ln \sum_i e^{x_i} = \mathrm{diag}(p) - p\, p^\top"
    "\n" + r"v^\top \nabla^2 L\, v = \mathrm{Var}_p\, v \geq 0",
    says="The second derivative of log-sum-exp is the covariance of a choice by softmax.",
    source="S. Boyd and L. Vandenberghe (2004), Convex optimization, §3.1.5",
    method="closed form",
    wrong={"the mean not subtracted": {"mean": lambda p: 0 * p}},
)
def the_hessian_of_log_sum_exp_is_a_covariance(proof: Proof, *, mean=lambda p: p) -> None:
    """∂L/∂x_i = exp x_i / Σ_k exp x_k = p_i, and again by the quotient rule

    ∂p_i/∂x_j = [i = j] p_i − p_i p_j

    Hence vᵀ ∇²L v = Σ p_i v_i² − (Σ p_i v_i)², a variance, so L is convex.
    """
    x, v = proof.rng.standard_normal((CLASSES,)), proof.rng.standard_normal((CLASSES,))
    p = softmax(x)
    found = hessian(log_sum_exp)(x)
    proof.step("∇²L", found)
    # two passes over a logarithm, a sum of K terms and K exponentials, by numbers below 1
    rounding = 4 * (CLASSES + 4)
    covariance = np.diag(p) - np.outer(mean(p), p)
    proof.equal("∇²L", found, covariance, rounding=rounding, scale=1.0)
    variance = np.sum(p * v * v) - np.sum(mean(p) * v) ** 2
    size = np.sum(v * v)
    proof.equal("vᵀ ∇²L v", v @ found @ v, variance, rounding=rounding + CLASSES**2, scale=size)
    proof.at_most("0 ≤ vᵀ ∇²L v", 0.0, v @ found @ v, rounding=rounding, scale=size)
