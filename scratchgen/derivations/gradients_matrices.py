"""Gradients of inverses, determinants, factors and eigenvalues of matrices.

M. B. Giles (2008), "Collected matrix derivative results for forward and reverse mode algorithmic
differentiation"; I. Murray (2016), "Differentiation of the Cholesky decomposition".
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from autograd import backend, grad, jacobian, make_jvp, make_vjp
from scratchgen.derivations.claim import claim
from scratchgen.derivations.differences import EPSILON, along, central, slope
from scratchgen.derivations.figures import axes
from scratchgen.derivations.proof import Proof

N = 3


def _regular(rng: Any) -> Any:
    """A matrix 2 I + E with ‖E‖ ≤ 1.5, so that its inverse is of norm 2 at most."""
    return 2 * np.eye(N) + rng.random((N, N)) - 0.5


def _condition(a: Any) -> Any:
    """‖A‖ ‖A⁻¹‖, as a Python number."""
    return backend.to_numpy(np.linalg.norm(a) * np.linalg.norm(np.linalg.inv(a))).item()


def _symmetric(rng: Any) -> Any:
    v = rng.standard_normal((N, N))
    return v + v.T


@claim(
    section="gradients",
    statement=r"d(A^{-1}) = -A^{-1}\, dA\, A^{-1}"
    "\n" + r"Y = A^{-1}: \quad \overline{A} = -Y^\top \overline{Y}\, Y^\top",
    says="The slope −1/a² of a reciprocal, with one of the two factors on either side.",
    source="Giles (2008), §2.2",
    method="closed form",
    wrong={
        "without the sign": {"change": lambda y, v: y @ v @ y},
        "both factors on one side, as for numbers": {"change": lambda y, v: -v @ y @ y},
    },
)
def an_inverse_changes_by_itself_twice(proof: Proof, *, change=lambda y, v: -y @ v @ y) -> None:
    """Differentiate A Y = I:  dA Y + A dY = 0, so dY = −A⁻¹ dA Y = −Y dA Y. With ⟨X, Y⟩ = tr Xᵀ Y,

    ⟨Ȳ, dY⟩ = −tr Ȳᵀ Y dA Y = −tr Y Ȳᵀ Y dA = ⟨−Yᵀ Ȳ Yᵀ, dA⟩
    """
    a, v, u = _regular(proof.rng), proof.rng.random((N, N)), proof.rng.random((N, N))
    y, found = make_jvp(np.linalg.inv)(a)(v)
    proof.step("dA⁻¹", found)
    # n² κ for an inverse, which enters twice, and two products of n terms
    rounding = 2 * N**2 * _condition(a) + 2 * N
    proof.equal("dA⁻¹", found, change(y, v), rounding=rounding)
    back = make_vjp(np.linalg.inv)(a)[0](u)
    proof.equal("⟨Ȳ, dY⟩ = ⟨Ā, dA⟩", np.sum(u * change(y, v)), np.sum(back * v), rounding=rounding)


def _error_against_step() -> Any:
    rng = Proof("Jacobi's formula").rng
    a, v = _regular(rng), rng.standard_normal((N, N))
    exact = np.trace(np.linalg.inv(a) @ v)
    phi = along(lambda a: np.linalg.slogdet(a)[1], a, v)
    steps = [2.0**-k for k in range(1, 45)]

    def richardson(phi: Any, h: float) -> Any:
        return (4 * central(phi, h / 2) - central(phi, h)) / 3

    figure, panel = axes("step h", "error of d ln |det A|", x_scale="log", y_scale="log")
    for name, quotient, order in (
        ("one-sided, h", lambda phi, h: (phi(h) - phi(0.0)) / h, 1),
        ("central, h²", central, 2),
        ("Richardson's, h⁴", richardson, 4),
    ):
        errors = backend.to_numpy(np.stack([np.abs(quotient(phi, h) - exact) for h in steps]))
        line = panel.plot(steps, errors + EPSILON / 4, ".-", markersize=4, label=name)[0]
        power = [errors[0] * (h / steps[0]) ** order for h in steps]
        shown = [p if p > EPSILON else float("nan") for p in power]
        panel.plot(steps, shown, ":", color=line.get_color(), linewidth=0.8)
    panel.legend(frameon=False, fontsize=9)
    return figure


@claim(
    section="gradients",
    statement=r"d \ln |\det A| = \mathrm{tr}(A^{-1} dA)"
    "\n" + r"\nabla \ln |\det A| = A^{-\top}, \quad \nabla \det A = \det A \; A^{-\top}",
    says="A determinant grows by the trace of the relative change of its matrix.",
    source="C. G. J. Jacobi (1841); Giles (2008), §2.2",
    method="finite differences",
    wrong={
        "the inverse not transposed": {"gradient": np.linalg.inv},
        "the matrix itself in place of the inverse": {"gradient": lambda a: a},
    },
    figure=_error_against_step,
)
def jacobis_formula(proof: Proof, *, gradient=lambda a: np.linalg.inv(a).T) -> None:
    """Expand det A by row i: det A = Σ_j A_ij C_ij, where no cofactor C_ij contains A_ij. So

    ∂ det A / ∂A_ij = C_ij = det A (A⁻¹)_ji          by Cramer's rule,
    d ln |det A| = Σ_ij (A⁻¹)_ji dA_ij = tr(A⁻¹ dA)

    It is the log-determinant of every flow's learning rule.
    """
    a, v = _regular(proof.rng), proof.rng.standard_normal((N, N))
    log_det = lambda a: np.linalg.slogdet(a)[1]  # noqa: E731
    # n² κ for the factors, and the product with the determinant
    rounding = 2 * N**2 * _condition(a) + N
    proof.equal("∇ ln |det A|", grad(log_det)(a), gradient(a), rounding=rounding)
    proof.equal(
        "∇ det A", grad(np.linalg.det)(a), np.linalg.det(a) * gradient(a), rounding=rounding
    )
    steep, bound = slope(along(log_det, a, v / 4), rounding=rounding)
    left = np.sum(gradient(a) * v / 4)
    proof.within("tr(A⁻¹ V)", left, steep, bound, "Richardson's remainder and rounding")


def _half_diagonal(x: Any) -> Any:
    """Φ: the lower triangle of a matrix, with half of the diagonal."""
    return np.tril(x) - 0.5 * np.diag(np.diagonal(x))


@claim(
    section="gradients",
    statement=r"A = L L^\top: \quad dL = L\, \Phi(L^{-1}\, dA\, L^{-\top})"
    "\n" + r"\Phi(X) = \mathrm{tril}\, X - \frac{1}{2} \mathrm{diag}\, X",
    says="A Cholesky factor takes the lower half of a relative change, and half of its diagonal.",
    source="Murray (2016), on forward mode",
    method="closed form",
    wrong={
        "the diagonal not halved": {"lower": np.tril},
        "the diagonal left out": {"lower": lambda x: np.tril(x) - np.diag(np.diagonal(x))},
    },
)
def a_cholesky_factor_takes_half_of_the_change(proof: Proof, *, lower=_half_diagonal) -> None:
    """dA = dL Lᵀ + L dLᵀ. From the left by L⁻¹, from the right by L⁻ᵀ:

    L⁻¹ dA L⁻ᵀ = L⁻¹ dL + (L⁻¹ dL)ᵀ

    the sum of a lower triangular matrix and its transpose. The two overlap on the diagonal alone,
    so L⁻¹ dL is the lower triangle with half of the diagonal.
    """
    a, v = _regular(proof.rng), _symmetric(proof.rng)
    a = a @ a.T
    factor, found = make_jvp(np.linalg.cholesky)(a)(v)
    proof.step("dL", found)
    inverse = np.linalg.inv(factor)
    relative = inverse @ v @ inverse.T
    expected = factor @ lower(relative)
    # n² κ(L) for either of two inverses, the square of it for κ(A) in L itself
    rounding = 2 * N**2 * (_condition(factor) + _condition(a))
    proof.equal("dL", found, expected, rounding=rounding)
    change = expected @ factor.T + factor @ expected.T
    proof.equal("dL Lᵀ + L dLᵀ = dA", change, v, rounding=rounding)


@claim(
    section="gradients",
    statement=r"\lambda_k' = v_k^\top V v_k, \quad"
    r" \lambda_k'' = 2 \sum_{j \neq k} \dfrac{(v_j^\top V v_k)^2}{\lambda_k - \lambda_j}",
    says="An eigenvalue follows the change along its own vector, and is pushed away by the others.",
    source="Giles (2008), §3; T. Kato (1966), Perturbation theory, chapter II",
    method="closed form",
    wrong={
        "attracted by the others": {"push": -2.0},
        "half the push": {"push": 1.0},
    },
)
def eigenvalues_repel_one_another(proof: Proof, *, push=2.0) -> None:
    """Let A(t) = A + t V, A v_k = λ_k v_k with unit vectors. Differentiate, and take ⟨v_k, ·⟩:

    V v_k + A v_k′ = λ_k′ v_k + λ_k v_k′        ⇒    λ_k′ = v_kᵀ V v_k

    as v_kᵀ A = λ_k v_kᵀ. Take ⟨v_j, ·⟩ instead: v_jᵀ v_k′ = v_jᵀ V v_k / (λ_k − λ_j). Then

    λ_k″ = 2 v_kᵀ V v_k′ = 2 Σ_{j≠k} (v_jᵀ V v_k)² / (λ_k − λ_j)

    The largest eigenvalue is convex in t, the smallest concave.
    """
    q, _ = np.linalg.qr(_regular(proof.rng))
    values = np.array([-2.0, 1.0, 3.0])
    a, v = (q * values) @ q.T, _symmetric(proof.rng)
    phi = lambda t: np.linalg.eigvalsh(a + t * v)  # noqa: E731
    inside = q.T @ v @ q
    first, second = jacobian(phi)(0.0), jacobian(jacobian(phi))(0.0)
    proof.step("λ′", first)
    gaps = values[:, None] - values + np.eye(N)
    bent = push * np.sum(inside**2 * (1 - np.eye(N)) / gaps, axis=1)
    # products of n terms; vectors off by n² ‖A‖ / the least gap, 2, each time they enter
    rounding, size = 2 * N + 4 * N**2 * 3 / 2, np.linalg.norm(v)
    proof.equal("λ′", first, np.diagonal(inside), rounding=rounding, scale=size)
    proof.equal("λ″", second, bent, rounding=2 * rounding, scale=size**2)
