"""Gradients of compositions: the chain rule, second derivatives, and recurrent layers over time."""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd import (
    backend,
    constant,
    grad,
    hessian,
    hessian_vector_product,
    jacobian,
    make_jvp,
)
from autograd.nn import lstm, lstm_cell, softmax
from scratchgen.derivations.claim import claim
from scratchgen.derivations.differences import EPSILON, along, central, slope
from scratchgen.derivations.figures import axes
from scratchgen.derivations.proof import Proof
from scratchgen.nn import GRU, LSTM

RICHARDSON = "Richardson's remainder and rounding"

N = 4


def _product(matrices: list[Any]) -> Any:
    """J_T … J_1 of [J_1, …, J_T]."""
    product = matrices[0]
    for matrix in matrices[1:]:
        product = matrix @ product
    return product


@claim(
    section="gradients",
    statement=r"J_{f \circ g}(x) = J_f(g(x))\, J_g(x)",
    says="The Jacobian of a composition is the product of the Jacobians, each where its input is.",
    source="Griewank & Walther (2008), Evaluating derivatives, chapter 3",
    method="Jacobian",
    wrong={
        "in the order of the computation": {"product": lambda js: _product(js[::-1])},
        "all taken at x": {"at": lambda x, y: x},
    },
)
def a_composition_multiplies_jacobians(
    proof: Proof, *, product=_product, at=lambda x, y: y
) -> None:
    """g(x + v) = g(x) + J_g v + …, and f(g(x) + w) = f(g(x)) + J_f(g(x)) w + … with w = J_g v.

    Matrices do not commute: what is computed first stands on the right. A loss's Jacobian is a row,
    so from the left all products are of a row and a matrix, which is why networks run backwards.
    """
    a, b = (proof.rng.standard_normal((N, N)) for _ in range(2))
    x = proof.rng.standard_normal((N,))
    layers = [lambda x: np.tanh(a @ x), softmax, lambda x: b @ (x * x)]
    matrices, h = [], x
    for layer in layers:
        matrices.append(jacobian(layer)(at(x, h)))
        h = layer(h)
    whole = jacobian(lambda x: layers[2](layers[1](layers[0](x))))(x)
    # three rules of N terms and 4 operations, and two products of N terms
    size = np.linalg.norm(a) * np.linalg.norm(b)
    proof.equal("J", whole, product(matrices), rounding=3 * (N + 4) + 2 * N, scale=size)


def _curved(rng: Any) -> Any:
    """A function of x (N,) with curvature everywhere."""
    a = rng.standard_normal((N, N)) / 2
    return lambda x: np.sum(np.tanh(a @ x) ** 2) + np.log(np.sum(np.exp(x)))


@claim(
    section="gradients",
    statement=r"\nabla^2 f\, v = \nabla \langle \nabla f, v \rangle = \dfrac{d}{dt}"
    r" \nabla f(x + t v) \; (t = 0)"
    "\n" + r"\langle \nabla^2 f\, v, u \rangle = \langle v, \nabla^2 f\, u \rangle",
    says="Three ways to multiply by a Hessian that never make it, and it is symmetric.",
    source="B. A. Pearlmutter (1994), Fast exact multiplication by the Hessian",
    method="finite differences",
    wrong={
        "the gradient along v, times the gradient": {
            "product": lambda f, x, v: grad(f)(x) * np.sum(grad(f)(x) * v)
        },
        "the diagonal of the Hessian alone": {
            "product": lambda f, x, v: np.diagonal(hessian(f)(x)) * v
        },
    },
)
def a_hessian_need_not_be_made(
    proof: Proof, *, product=lambda f, x, v: make_jvp(grad(f))(x)(v)[1]
) -> None:
    """The rows of ∇²f are the gradients of the components of ∇f, so

    ∇⟨∇f, v⟩ = Σ_i v_i ∇(∂_i f) = ∇²f v             reverse mode over reverse mode,
    d/dt ∇f(x + t v) = ∇²f v                        forward mode over reverse mode.

    By Schwarz ∂_i ∂_j f = ∂_j ∂_i f. Either costs a few times what f does, the Hessian N times.
    """
    f, x = _curved(proof.rng), proof.rng.standard_normal((N,))
    v, u = proof.rng.standard_normal((N,)), proof.rng.standard_normal((N,))
    forward, whole = product(f, x, v), hessian(f)(x)
    proof.step("∇²f", whole)
    # two passes over two sums of N terms and 4 operations, twice for the derivative of the rules
    rounding, size = 4 * 2 * (N + 4), 2 * np.linalg.norm(v) * np.sum(np.abs(whole))
    again = hessian_vector_product(f)(x, v)
    proof.equal("forward over reverse", forward, whole @ v, rounding=rounding, scale=size)
    proof.equal("reverse over reverse", again, whole @ v, rounding=rounding, scale=size)
    proof.within(
        "d/dt ∇f(x + t v)", forward, *slope(along(grad(f), x, v), rounding=rounding), RICHARDSON
    )
    left, right = np.sum(forward * u), np.sum(v * product(f, x, u))
    size = size * np.sum(np.abs(u))
    proof.equal("⟨∇²f v, u⟩ = ⟨v, ∇²f u⟩", left, right, rounding=rounding + N, scale=size)


STEPS = 6


def _unrolled(rng: Any, through: Any) -> tuple[Any, Any, Any, Any, Any]:
    """The last output's product with a random vector as a function of W_h: fused, and by steps.

    And W_h, a direction, and how many roundings there are.
    """
    layer = LSTM(2, 3, rng)
    layer.astype("float64")
    w_x, w_h, b = (constant(w) for w in (layer.weight_x, layer.weight_h, layer.bias))
    x, u = rng.standard_normal((1, STEPS, 2)), 1 + rng.random((1, 3))
    zeros = np.zeros((1, 3))

    def fused(w_h: Any) -> Any:
        return np.sum(u * lstm(x, zeros, zeros, w_x, w_h, b)[1])

    def by_steps(w_h: Any) -> Any:
        h, c = zeros, zeros
        for t in range(STEPS):
            h, c = lstm_cell(x[:, t], through(h), through(c), w_x, w_h, b)
        return np.sum(u * h)

    # at each step the products have 5 terms, the gates and the memory 10 operations
    return fused, by_steps, w_h, 0.3 * rng.standard_normal(w_h.shape), STEPS * (5 + 10)


def _error_against_step() -> Any:
    fused, _, w, v, _ = _unrolled(Proof("through time").rng, lambda state: state)
    exact, phi = np.sum(grad(fused)(w) * v), along(fused, w, v)
    steps = [2.0**-k for k in range(1, 45)]
    figure, panel = axes("step h", "error against the gradient", x_scale="log", y_scale="log")
    for name, quotient in (
        ("one-sided", lambda h: (phi(h) - phi(0.0)) / h),
        ("central", lambda h: central(phi, h)),
        ("Richardson's", lambda h: (4 * central(phi, h / 2) - central(phi, h)) / 3),
    ):
        errors = backend.to_numpy(np.stack([np.abs(quotient(h) - exact) for h in steps]))
        panel.plot(steps, errors + EPSILON / 4, ".-", markersize=4, linewidth=0.8, label=name)
    _, cut, _, _, _ = _unrolled(Proof("through time").rng, constant)
    wrong = backend.to_numpy(np.abs(np.sum(grad(cut)(w) * v) - exact)).item()
    panel.axhline(wrong, linestyle="--", color="grey", label="truncated to the last step")
    panel.legend(frameon=False, fontsize=9)
    return figure


@claim(
    section="gradients",
    statement=r"\dfrac{d L}{d W} = \sum_t \left(\dfrac{\partial s_t}{\partial W}\right)^\top"
    r" \left(\prod_{k > t} J_k\right)^\top \nabla L",
    says="A weight that is used at every step is told by every step, through all that came after.",
    source="P. J. Werbos (1990), Backpropagation through time",
    method="finite differences",
    wrong={"truncated to the last step": {"through": constant}},
    figure=_error_against_step,
)
def an_lstm_is_told_by_every_step(proof: Proof, *, through=lambda state: state) -> None:
    """s_t = (h_t, c_t) = f(x_t, s_{t−1}, W) with J_t = ∂f/∂s_{t−1}. A change of W acts at all
    steps:

    ds_t = J_t ds_{t−1} + ∂f_t/∂W dW,        so ds_T = Σ_t J_T … J_{t+1} ∂f_t/∂W dW

    transposed: the gradient runs back through the steps and leaves its share at each. If the state
    is cut out of the graph between steps, only the share of the last is left.
    """
    fused, by_steps, w, v, rounding = _unrolled(proof.rng, through)
    steep, bound = slope(along(fused, w, v), rounding=rounding)
    found = grad(by_steps)(w)
    proof.step("∂L/∂W_h along the direction", np.sum(found * v))
    proof.within("step by step", np.sum(found * v), steep, bound, RICHARDSON)
    proof.within("the fused rule", np.sum(grad(fused)(w) * v), steep, bound, RICHARDSON)
    proof.equal("both, each weight", grad(fused)(w), found, rounding=2 * rounding, scale=1.0)


@claim(
    section="gradients",
    statement=r"\dfrac{\partial h_T}{\partial h_0} = J_T \cdots J_2 J_1,"
    "\n" + r"h_t = z \odot h_{t-1} + (1 - z) \odot n",
    says="What a first state does to a last one is the product of what each step does to its own.",
    source="Y. Bengio, P. Simard and P. Frasconi (1994); K. Cho et al. (2014), eqs. 5 to 8",
    method="Jacobian",
    wrong={
        "in the order of time": {"product": lambda js: _product(js[::-1])},
        "as if the first step's Jacobian were everyone's": {
            "product": lambda js: _product([js[0]] * len(js))
        },
    },
)
def a_grus_memory_is_a_product_of_jacobians(proof: Proof, *, product=_product) -> None:
    """By the chain rule over time. With the update gate at z = 1, J = I and nothing is forgotten;
    otherwise ‖J_T … J_1‖ ≤ ∏ ‖J_t‖, which dies away or explodes with T unless the factors are
    about 1.

    Checked against differences, and the bound with Frobenius's norm.
    """
    layer = GRU(2, 3, proof.rng)
    layer.astype("float64")
    x, h = 2 * proof.rng.standard_normal((1, STEPS, 2)), proof.rng.standard_normal((1, 3))
    last = lambda h: constant(layer(x, (h,))[1][0])  # noqa: E731
    state, jacobians = h, []
    for t in range(STEPS):
        step = lambda h: layer.step(x[:, t], (h,))[0]  # noqa: B023, E731
        jacobians.append(constant(jacobian(step)(state)).reshape(3, 3))
        state = constant(step(state))
    whole = constant(jacobian(lambda h: layer(x, (h,))[1][0])(h)).reshape(3, 3)
    chain, v = product(jacobians), proof.rng.standard_normal((1, 3))
    proof.step("J", chain)
    # at each step sums of 3 terms, 12 operations and a product of 3 terms
    rounding = STEPS * (3 + 12 + 3)
    proof.equal("∂h_T/∂h_0", whole, chain, rounding=rounding, scale=1.0)
    steep, bound = slope(along(last, h, v), rounding=rounding)
    proof.within("J v", v @ chain.T, steep, bound, RICHARDSON)
    norms = np.prod(np.stack([np.linalg.norm(j) for j in jacobians]))
    proof.at_most("‖J‖", np.linalg.norm(chain), norms, rounding=rounding)
    layer.bias[...] = 100.0 * (np.arange(9) // 3 == 1)  # of the update gate: z is 1 but for e⁻⁸⁰
    proof.equal("h_T where z = 1", last(h), h, rounding=2 * STEPS)
