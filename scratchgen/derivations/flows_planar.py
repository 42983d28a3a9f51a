"""Planar, Sylvester and radial flows: determinants of changes of low rank.

D. J. Rezende and S. Mohamed (2015), "Variational inference with normalizing flows".
"""

from __future__ import annotations

from typing import Any

import autograd.numpy as np
from scratchgen.derivations.claim import claim
from scratchgen.derivations.proof import Proof
from scratchgen.derivations.small_models import log_det_jacobian, matrix_of, randomised
from scratchgen.transforms.planar import Planar, slope
from scratchgen.transforms.radial import Radial

D = 4
"""Numbers of a point."""


@claim(
    section="flows",
    statement=r"\det (I + u\, v^\top) = 1 + v^\top u"
    "\n" + r"\det \frac{\partial f}{\partial z} = 1 + \tanh'(w^\top z + b)\, w^\top \hat{u}",
    says="A change of rank one has a determinant of D operations: so has a planar flow.",
    source="Rezende & Mohamed, eqs. 11 and 12",
    method="Jacobian",
    wrong={
        "the sign": {"determinant": lambda u, v: 1 - np.sum(u * v)},
        "as if volumes were kept": {"determinant": lambda u, v: 1 + 0 * np.sum(u * v)},
        "lengths in place of the inner product": {
            "determinant": lambda u, v: 1 + np.sqrt(np.sum(u * u) * np.sum(v * v))
        },
    },
)
def the_matrix_determinant_lemma(
    proof: Proof, *, determinant=lambda u, v: 1 + np.sum(u * v)
) -> None:
    """Multiply out, and take determinants of the triangular block matrices, which are 1:

    ( I    0 ) ( I + u vᵀ   u ) (  I    0 )     ( I      u     )
    ( vᵀ   1 ) (    0       1 ) ( −vᵀ   1 )  =  ( 0   1 + vᵀ u )

    The planar flow f(z) = z + û tanh(wᵀz + b) has the Jacobian I + û (tanh'(wᵀz + b) w)ᵀ.
    """
    u, v = proof.rng.standard_normal((D,)), proof.rng.standard_normal((D,))
    u = u + (1 + np.abs(np.sum(u * v)) - np.sum(u * v)) * v / np.sum(v * v)  # vᵀu ≥ 1
    matrix = np.eye(D) + np.outer(u, v)
    condition = float(np.linalg.cond(matrix).item())
    found = np.linalg.det(matrix)
    proof.equal("det (I + u vᵀ)", found, determinant(u, v), rounding=D * D * condition)
    planar = randomised(Planar(D, proof.rng), proof.rng, spread=1.0)
    numbers = planar.numbers(None).data
    w, free, b = numbers[:D], numbers[D : 2 * D], numbers[2 * D]
    wu = np.sum(w * free)
    hat = free + (slope(wu) - 1 - wu) * w / np.sum(w * w)
    z = proof.rng.standard_normal((1, D))
    h = np.tanh(np.sum(w * z[0]) + b)
    right = determinant(hat, (1 - h * h) * w)
    log_det_j, condition = log_det_jacobian(lambda x: planar.forward(x)[0], z)
    proof.step("det ∂f/∂z", right)
    # a factorisation; inner products of D terms, a dozen more, in numbers of the condition's size
    rounding = D * D * condition + 2 * (2 * D + 12) * condition
    proof.equal("det of a planar flow", np.exp(log_det_j[0]), right, rounding=rounding)
    found = np.exp(planar.forward(z)[1][0])
    proof.equal("exp(log_det)", found, right, rounding=rounding)


@claim(
    section="flows",
    statement=r"\det (I_D + A B) = \det (I_M + B A)",
    says="A change of rank M has the determinant of a matrix M × M.",
    source="J. J. Sylvester (1851); R. van den Berg et al. (2018), Sylvester flows, theorem 1",
    method="Jacobian",
    wrong={
        "M planar flows side by side": {"small": lambda a, b: np.diag(np.diagonal(b @ a))},
        "a column and a row left out": {"small": lambda a, b: (b @ a)[1:, 1:]},
    },
)
def sylvesters_determinant_identity(proof: Proof, *, small=lambda a, b: b @ a) -> None:
    """By blocks, eliminating once the one and once the other,

    det ( I_D   −A ) = det I_M · det (I_D + A B) = det I_D · det (I_M + B A)
        ( B    I_M )

    With M = 1 it is the matrix determinant lemma. A Sylvester flow f(z) = z + A tanh(B z + b), with
    M hidden units, has the Jacobian I_D + A diag(tanh') B, so B A takes the factors tanh'.
    """
    d, m = 6, 2
    a, b = proof.rng.random((d, m)), proof.rng.random((m, d))
    bias, z = proof.rng.standard_normal((m,)), proof.rng.standard_normal((d,)) / 4
    h = np.tanh(b @ z + bias)
    matrix = matrix_of(lambda v: v + np.tanh(v @ b.T + bias) @ a.T, z)
    proof.step("∂f/∂z", matrix)
    condition = float(np.linalg.cond(matrix).item())
    reduced = small(a, (1 - h * h)[:, None] * b)
    right = np.linalg.det(np.eye(len(reduced)) + reduced)
    proof.equal("det ∂f/∂z", np.linalg.det(matrix), right, rounding=d * d * condition)


def _radial_determinant(across: Any, along: Any) -> Any:
    return (D - 1) * np.log(across) + np.log(along)


@claim(
    section="flows",
    statement=r"\det \frac{\partial f}{\partial z} = (1 + \beta h)^{D-1}"
    r" (1 + \beta h + \beta h'(r)\, r)",
    says="A radial flow stretches D − 1 directions across the ray alike, and one along it.",
    source="Rezende & Mohamed, eq. 14 and after",
    method="Jacobian",
    wrong={
        "all D directions alike": {"log_det": lambda across, _: D * np.log(across)},
        "D directions across": {
            "log_det": lambda across, along: D * np.log(across) + np.log(along)
        },
    },
)
def a_radial_flow_stretches_along_and_across(proof: Proof, *, log_det=_radial_determinant) -> None:
    """With v = z − z_0, r = ‖v‖ and h = 1 / (α + r), f(z) = z + β h(r) v, and ∇r = v / r. So

    ∂f/∂z = (1 + β h) I + β h'(r) v vᵀ / r

    Any vector at a right angle to v is multiplied by 1 + β h; v itself by that plus β h' r.
    """
    transform = randomised(Radial(D, proof.rng), proof.rng)
    transform.numbers.own[D + 1] = 2.0  # β is far from 0
    centre, alpha, stretch = transform.numbers.own.data[:D], *transform._parameters(None)[1:]
    z = proof.rng.standard_normal((3, D))
    r = np.sqrt(np.sum((z - centre) ** 2, axis=1))
    alpha, beta = alpha.data, (alpha * (stretch - 1)).data
    h = 1 / (alpha + r)
    across, along = 1 + beta * h, 1 + beta * h - beta * h * h * r
    right = log_det(across, along)
    found, condition = log_det_jacobian(lambda v: transform.forward(v)[0], z)
    proof.step("ln |det ∂f/∂z|", found)
    # a factorisation; a length of D terms and 8 operations, logarithms of numbers above 1
    rounding = D * D * condition + D * (D + 8)
    proof.equal("ln |det ∂f/∂z|", found, right, rounding=rounding, scale=1.0)
    proof.equal("log_det", transform.forward(z)[1], right, rounding=rounding, scale=1.0)
