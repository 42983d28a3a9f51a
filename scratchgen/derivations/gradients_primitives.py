"""Gradients of primitives: one claim for each family of the engine's operations.

The differentials of the linear-algebra ones are those of M. B. Giles (2008), "Collected matrix
derivative results for forward and reverse mode algorithmic differentiation".
"""

from __future__ import annotations

import math
from typing import Any

import autograd.numpy as np
from autograd import grad, hessian, jacobian, make_vjp
from autograd.nn import gated, leaky_relu, relu, sigmoid, softplus
from scratchgen.derivations.claim import claim
from scratchgen.derivations.differences import along, slope
from scratchgen.derivations.proof import Proof

RICHARDSON = "Richardson's remainder and rounding"


@claim(
    section="gradients",
    statement=r"y_i = f(x_i): \quad \frac{\partial y_i}{\partial x_j} = [i = j]\, f'(x_i)"
    "\n" + r"\sigma' = \sigma (1 - \sigma), \quad \tanh' = 1 - \tanh^2",
    says="A function of each element alone has a diagonal Jacobian, often known from its output.",
    source="Griewank & Walther (2008), Evaluating derivatives, chapter 2",
    method="Jacobian",
    wrong={
        "the rule of tanh fed with its input": {"tanh_slope": lambda x, y: 1 - x * x},
        "the rule of the logistic function without 1 − σ": {"sigmoid_slope": lambda x, y: y},
    },
)
def elementwise_functions_have_diagonal_jacobians(
    proof: Proof,
    *,
    tanh_slope=lambda x, y: 1 - y * y,
    sigmoid_slope=lambda x, y: y * (1 - y),
) -> None:
    """Nothing but x_i enters y_i, so no element beside the diagonal is other than 0. On it:

    tanh x = s / c with s′ = c and c′ = s          tanh′ = (c² − s²) / c² = 1 − tanh²
    σ(x) = 1 / (1 + e⁻ˣ)                           σ′ = e⁻ˣ / (1 + e⁻ˣ)² = σ (1 − σ)
    ln(1 + eˣ)                                     its slope is eˣ / (1 + eˣ) = σ
    """
    x = 0.5 + proof.rng.random((4,))  # above 0, for √ and ln
    functions = {
        "exp": (np.exp, lambda x, y: y),
        "log": (np.log, lambda x, y: 1 / x),
        "sqrt": (np.sqrt, lambda x, y: 0.5 / y),
        "sin": (np.sin, lambda x, y: np.cos(x)),
        "tanh": (np.tanh, tanh_slope),
        "sigmoid": (sigmoid, sigmoid_slope),
        "softplus": (softplus, lambda x, y: sigmoid(x)),
        "relu": (relu, lambda x, y: x / x),
        "leak": (lambda x: leaky_relu(-x, 0.2), lambda x, y: -0.2 + 0 * x),  # below 0
    }
    for name, (f, derivative) in functions.items():
        found = jacobian(f)(x)
        # a function, off by 2, and up to four operations on it
        proof.equal(f"∂{name}(x)/∂x", found, np.diag(derivative(x, f(x))), rounding=6, scale=1.0)
        steep, bound = slope(along(f, x, np.ones(4)), rounding=4)
        proof.within(
            f"{name}′ against differences", np.sum(found, axis=1), steep, bound, RICHARDSON
        )
    t, s = np.tanh(x), sigmoid(x)
    halves = np.diag(tanh_slope(x, t) * s), np.diag(t * sigmoid_slope(x, s))
    found = jacobian(gated)(np.concatenate([x, x]))
    expected = np.concatenate(halves, axis=1)
    proof.equal("∂ tanh(a) σ(b) / ∂(a, b)", found, expected, rounding=12, scale=1.0)


def _summed(u: Any, shape: tuple[int, ...]) -> Any:
    """``u`` (3, 4) summed over the axes that an array of ``shape`` is repeated along."""
    sides = (1,) * (2 - len(shape)) + shape
    axes = tuple(axis for axis, side in enumerate(sides) if side == 1)
    return np.sum(u, axis=axes, keepdims=True).reshape(shape)


@claim(
    section="gradients",
    statement=r"\langle B x, u \rangle = \langle x, B^\top u \rangle,"
    "\n" + r"(B x)_{i j} = x_j, \quad (B^\top u)_j = \sum_i u_{i j}",
    says="What was repeated on the way forward is summed on the way back, and the reverse.",
    source="Griewank & Walther (2008), Evaluating derivatives, chapter 3",
    method="adjoint identity",
    wrong={
        "the mean in place of the sum": {
            "back": lambda u, shape: _summed(u, shape) / (u.size / math.prod(shape))
        },
    },
)
def the_transpose_of_broadcasting_is_a_sum(proof: Proof, *, back=_summed) -> None:
    """B has a single 1 in each row, in the column of the element that is repeated there. Then

    ⟨B x, u⟩ = Σ_ij x_j u_ij = Σ_j x_j Σ_i u_ij

    so Bᵀ sums what each of the copies is told. And (Bᵀ)ᵀ = B: the gradient of a sum is repeated.
    """
    z, u = proof.rng.standard_normal((3, 4)), proof.rng.standard_normal((3, 4))
    for shape in ((4,), (1, 4), (3, 1), ()):
        x = proof.rng.standard_normal(shape)
        gradient = grad(lambda x: np.sum(x * z * u))(x)  # the engine broadcasts x to z
        # sums of up to 12 terms, of two products each
        proof.equal(
            f"Bᵀ u, x of shape {shape}", gradient, back(z * u, shape), rounding=14, scale=12.0
        )
        size = np.sum(np.abs(x * u))
        left, right = np.sum(np.broadcast_to(x, u.shape) * u), np.sum(x * back(u, shape))
        proof.equal(f"⟨B x, u⟩, x of shape {shape}", left, right, rounding=14 + 12, scale=size)


@claim(
    section="gradients",
    statement=r"\nabla \|x\| = n = \dfrac{x}{\|x\|}, \quad \|n\| = 1"
    "\n" + r"\nabla^2 \|x\| = \dfrac{I - n\, n^\top}{\|x\|}",
    says="A norm grows along the unit vector and is curved in every other direction but this one.",
    source="Boyd & Vandenberghe (2004), Convex optimization, §A.4",
    method="closed form",
    wrong={
        "the gradient of half the squared norm": {"unit": lambda x: x},
        "curved along x as well": {"projected": lambda n: 0 * n},
    },
)
def the_norm_grows_along_the_unit_vector(
    proof: Proof, *, unit=lambda x: x / np.linalg.norm(x), projected=lambda n: n
) -> None:
    """With s = Σ x_i² and ‖x‖ = √s: ∂‖x‖/∂x_i = 2 x_i / 2√s = x_i / ‖x‖ = n_i. Once more,

    ∂n_i/∂x_j = [i = j] / ‖x‖ − x_i x_j / ‖x‖³ = ([i = j] − n_i n_j) / ‖x‖

    As ‖t x‖ = t ‖x‖, Euler's theorem says ⟨x, n⟩ = ‖x‖, and ∇²‖x‖ x = 0.
    """
    x = 1 + proof.rng.random((5,))
    n, length = grad(np.linalg.norm)(x), np.linalg.norm(x)
    proof.step("∇‖x‖", n)
    # a sum of 5 squares, the root, the quotient; twice for the second derivative
    proof.equal("∇‖x‖", n, unit(x), rounding=5 + 4)
    proof.equal("⟨x, ∇‖x‖⟩", np.sum(x * unit(x)), length, rounding=2 * (5 + 4))
    curved = hessian(np.linalg.norm)(x)
    expected = (np.eye(5) - np.outer(n, projected(n))) / length
    proof.equal("∇²‖x‖", curved, expected, rounding=4 * (5 + 4), scale=1.0)


def _others(x: Any) -> Any:
    """∏_{j ≠ i} x_j for each i."""
    table = np.where(np.eye(len(x)) == 1, 1.0, x)
    return np.prod(table, axis=1)


@claim(
    section="gradients",
    statement=r"\dfrac{\partial}{\partial x_i} \prod_j x_j = \prod_{j \neq i} x_j",
    says="The gradient of a product leaves a factor out, which is not the product by that factor.",
    source="Griewank & Walther (2008), Evaluating derivatives: Speelpenning's product",
    method="closed form",
    wrong={
        "the product divided by the factor, 0 / 0 = 0": {
            "others": lambda x: np.where(x == 0, 0.0, np.prod(x) / np.where(x == 0, 1.0, x))
        },
        "the whole product": {"others": lambda x: np.prod(x) + 0 * x},
    },
)
def the_gradient_of_a_product_leaves_a_factor_out(proof: Proof, *, others=_others) -> None:
    """∏ x_j is linear in each factor, and ∏_{j ≠ i} x_j is what x_i is multiplied by.

    Where x_i ≠ 0 that is ∏ x_j / x_i. Where one factor is 0 the quotient is 0 / 0, but the gradient
    is not: there, and only there, it is the product of the others.
    """
    x = 1 + proof.rng.random((5,))
    place = np.arange(5) == 2
    for what, factors in (("no zero", x), ("a zero", np.where(place, 0.0, x))):
        # four products, from either side
        proof.equal(f"∇ ∏ x, {what}", grad(np.prod)(factors), others(factors), rounding=2 * 4)


@claim(
    section="gradients",
    statement=r"Y = A B: \quad \overline{A} = \overline{Y} B^\top, \quad"
    r" \overline{B} = A^\top \overline{Y}",
    says="Each factor's gradient is the product's times the other factor, transposed.",
    source="Giles (2008), §2.2",
    method="adjoint identity",
    wrong={
        "the other factor not transposed": {"left": lambda u, b: u @ b},
        "multiplied from the wrong side": {"right": lambda a, u: u @ a.T},
    },
)
def each_factor_gets_the_other_one_transposed(
    proof: Proof, *, left=lambda u, b: u @ b.T, right=lambda a, u: a.T @ u
) -> None:
    """With ⟨X, Y⟩ = tr Xᵀ Y, whose factors may be moved around in a circle, and dY = dA B + A dB:

    ⟨Ȳ, dA B⟩ = tr Ȳᵀ dA B = tr B Ȳᵀ dA = ⟨Ȳ Bᵀ, dA⟩
    ⟨Ȳ, A dB⟩ = tr Ȳᵀ A dB              = ⟨Aᵀ Ȳ, dB⟩
    """
    a, b, u, v = (proof.rng.standard_normal((4, 4)) for _ in range(4))
    pull_a, pull_b = make_vjp(lambda a: a @ b)(a)[0], make_vjp(lambda b: a @ b)(b)[0]
    # products of 4 terms
    proof.equal("Ā", pull_a(u), left(u, b), rounding=2 * 4)
    proof.equal("B̄", pull_b(u), right(a, u), rounding=2 * 4)
    size = np.sum(np.abs(u) * (np.abs(v) @ np.abs(b)))
    proof.equal("⟨Ȳ, dA B⟩", np.sum(u * (v @ b)), np.sum(left(u, b) * v), rounding=20, scale=size)
    size = np.sum(np.abs(u) * (np.abs(a) @ np.abs(v)))
    proof.equal("⟨Ȳ, A dB⟩", np.sum(u * (a @ v)), np.sum(right(a, u) * v), rounding=20, scale=size)


def _scattered(index: list[int], u: Any, size: int) -> Any:
    """Eᵀ u, with E having a 1 at (k, index[k]): those of equal index are added."""
    chosen = np.array(index)[:, None] == np.arange(size)
    return np.sum(chosen * u[:, None], axis=0)


def _written(index: list[int], u: Any, size: int) -> Any:
    found = np.zeros(size)
    for k, i in enumerate(index):
        found[i] = u[k]
    return found


@claim(
    section="gradients",
    statement=r"y_k = x_{I_k}: \quad \overline{x}_i = \sum_{k : I_k = i} \overline{y}_k",
    says="What was read twice is written to twice, and the two add up.",
    source="Griewank & Walther (2008), Evaluating derivatives, chapter 3",
    method="adjoint identity",
    wrong={"the last one overwrites the others": {"scattered": _written}},
)
def the_transpose_of_a_gather_adds(proof: Proof, *, scattered=_scattered) -> None:
    """y = E x with a single 1 in each row of E, at (k, I_k). Then Eᵀ ȳ has at i the sum of all ȳ_k
    with I_k = i: of an embedding's row, the sum over all places where its symbol stands.
    """
    index = [0, 2, 2, 1, 2]
    x, u = proof.rng.standard_normal((4,)), 1 + proof.rng.random((5,))
    gather = lambda x: x[np.array(index)]  # noqa: E731
    found = make_vjp(gather)(x)[0](u)
    proof.step("x̄", found)
    # no more than 3 are added, then 5
    proof.equal("x̄", found, scattered(index, u, 4), rounding=3)
    size = np.sum(np.abs(gather(x) * u))
    back = np.sum(x * scattered(index, u, 4))
    proof.equal("⟨E x, u⟩ = ⟨x, Eᵀ u⟩", np.sum(gather(x) * u), back, rounding=8, scale=size)


def _rank(x: Any) -> Any:
    """How many elements are smaller than each."""
    return np.sum(x[:, None] > x, axis=1)


@claim(
    section="gradients",
    statement=r"\dfrac{\partial}{\partial x_i} \langle \mathrm{sort}\, x, u \rangle ="
    r" u_{\mathrm{rank}(i)}"
    "\n" + r"\max y \geq \max x + \langle \nabla \max x, y - x \rangle",
    says="Sorting hands each gradient back to where its element came from; max is its last place.",
    source="Boyd & Vandenberghe (2004), Convex optimization, §3.1.3 and §3.2.3",
    method="closed form",
    wrong={"put where the sorted one was taken from": {"rank": np.argsort}},
)
def sorting_is_a_permutation_that_runs_back(proof: Proof, *, rank=_rank) -> None:
    """Near an x without ties, the order stays, and sort x = P x with a fixed permutation P:

    (P x)_r = x_i with r = rank(i),        (Pᵀ u)_i = u_rank(i)

    ``argsort`` is the way forth, from r to i; the way back is its inverse. The largest is u = the
    last unit vector. Where several are largest, max has no gradient, but any mean of theirs is
    below it everywhere, as max is convex.
    """
    steps = np.cumsum(0.1 + proof.rng.random((6,)))
    x = steps[np.array([1, 2, 0, 4, 5, 3])]  # two cycles of three: not its own inverse
    u = np.cumsum(0.1 + proof.rng.random((6,)))
    found = grad(lambda x: np.sum(np.sort(x) * u))(x)
    # an element is moved, nothing is computed
    proof.equal("∇⟨sort x, u⟩", found, u[rank(x)], rounding=0)
    last = (np.arange(6) == 5) * 1.0
    proof.equal("∇ max x", grad(np.max)(x), last[rank(x)], rounding=0)
    tied, y = np.array([1.0, 3.0, 3.0]), 4 * proof.rng.standard_normal((20, 3))
    slack = np.max(y, axis=1) - 3.0 - (y - tied) @ grad(np.max)(tied)
    proof.at_most("max x + ⟨g, y − x⟩ ≤ max y", 0.0, slack, rounding=4, scale=30.0)
