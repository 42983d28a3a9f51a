"""Products: matrices, tensors, and Einstein's summation."""

from __future__ import annotations

import string
from typing import Any

import numpy

from autograd.backend import xp
from autograd.backend.products import matmul_on_one_core, product
from autograd.core import defvjp, defvjp_argnums
from autograd.numpy.reductions import broadcast_to
from autograd.numpy.shapes import as_array, expand_dims, reshape, swapaxes, transpose
from autograd.table import Call, Draw, call, composite, operation


def _matmul_samples(d: Draw) -> Call:
    n, k, m = (d.integer(0, 3) for _ in range(3))
    left, right = d.broadcastable(2, max_ndim=2)
    a = d.choice([(*left, n, k), (k,)])
    b = d.choice([(*right, k, m), (k, m), (k,)])
    return call(d.array(a), d.array(b))


@operation(
    r"Y = X_1 X_2", _matmul_samples, [call(numpy.zeros((2, 3)), numpy.zeros((2, 3)))], analytic=True
)
def matmul(x1, x2):
    """Matrix product over the last two axes; the others broadcast. Vectors as in NumPy."""
    if xp.ndim(x2) == 2 and xp.ndim(x1) == 1:
        return matmul_on_one_core(x1, x2)
    if xp.ndim(x1) < 2 or xp.ndim(x2) != 2 or x1.shape[-1] != len(x2):
        return xp.matmul(x1, x2)
    if x1.ndim == 2:
        return product(x1, x2)
    # one product over all rows, not one for each matrix
    return product(_rows(x1), x2).reshape((*x1.shape[:-1], x2.shape[-1]))


def matmul_to(x1: Any, x2: Any, out: Any) -> None:
    """:func:`matmul` of arrays whose product is a matrix, written to ``out``."""
    if x1.ndim == x2.ndim == 2:
        product(x1, x2, out=out)
    else:
        xp.matmul(x1, x2, out=out)


def _matmul_left(_, x1, x2):
    """X̄₁ = Ȳ X₂ᵀ"""
    if x2.ndim == 1:
        return lambda g: expand_dims(g, -1) * x2
    if x1.ndim == 1:
        return lambda g: matmul(x2, expand_dims(g, -1))[..., 0]
    if x2.ndim == 2:
        return lambda g: matmul(g, x2.T)
    return lambda g: matmul(g, swapaxes(x2, -1, -2))


def _matmul_right(_, x1, x2):
    """X̄₂ = X₁ᵀ Ȳ"""
    if x1.ndim == 1 and x2.ndim == 1:
        return lambda g: g * x1
    if x1.ndim == 1:
        return lambda g: expand_dims(x1, -1) * expand_dims(g, -2)
    if x2.ndim == 1:
        return lambda g: matmul(swapaxes(x1, -1, -2), expand_dims(g, -1))[..., 0]
    if x2.ndim == 2:
        return lambda g: matmul(_rows(x1).T, _rows(g))
    return lambda g: matmul(swapaxes(x1, -1, -2), g)


def _rows(x: Any) -> Any:
    """``x`` with all axes but the last in one."""
    return x if x.ndim == 2 else reshape(x, (int(numpy.prod(x.shape[:-1])), x.shape[-1]))


defvjp(matmul, _matmul_left, _matmul_right)


def _tensordot_samples(d: Draw) -> Call:
    i, j, k, m = (d.integer(0, 3) for _ in range(4))
    return d.choice(
        [
            call(d.array((i, j, k)), d.array((j, k, m)), 2),
            call(d.array((i, j, k)), d.array((k, m)), 1),
            call(d.array((i, j, k)), d.array((m, k, i)), [[0, -1], [2, 1]]),
            call(d.array((i, j)), d.array((m,)), 0),
        ]
    )


@composite(
    r"y_{\dots} = \sum_{ij} x_{1, \dots ij}\, x_{2, ij \dots}",
    _tensordot_samples,
    [call(numpy.zeros((2, 3)), numpy.zeros((2, 3)), 1)],
    analytic=True,
)
def tensordot(a, b, axes=2):
    """Sum of products over the last ``axes`` axes of a and the first of b, or over given pairs."""
    a, b = as_array(a), as_array(b)
    if isinstance(axes, int):
        over_a, over_b = list(range(a.ndim - axes, a.ndim)), list(range(axes))
    else:
        pair = [[axis] if isinstance(axis, int) else list(axis) for axis in axes]
        over_a, over_b = [i % a.ndim for i in pair[0]], [i % b.ndim for i in pair[1]]
    kept_a = [i for i in range(a.ndim) if i not in over_a]
    kept_b = [i for i in range(b.ndim) if i not in over_b]
    if [a.shape[i] for i in over_a] != [b.shape[i] for i in over_b]:
        raise ValueError(
            f"tensordot: axes {over_a} of {a.shape} do not fit axes {over_b} of {b.shape}"
        )
    rows = [a.shape[i] for i in kept_a]
    columns = [b.shape[i] for i in kept_b]
    summed = _size(a.shape[i] for i in over_a)
    left = reshape(transpose(a, kept_a + over_a), (_size(rows), summed))
    right = reshape(transpose(b, over_b + kept_b), (summed, _size(columns)))
    return reshape(matmul(left, right), (*rows, *columns))


def _size(sides: Any) -> int:
    return int(numpy.prod(list(sides), dtype=int))


def _dot_samples(d: Draw) -> Call:
    k, shape = d.integer(0, 3), d.shape(max_ndim=2)
    return call(d.array((*shape, k)), d.array(d.choice([(k,), (k, 2), (2, k, 3)])))


@composite(
    r"y_{im} = \sum_k x_{1, ik}\, x_{2, km}",
    _dot_samples,
    [call(numpy.zeros((2, 3)), numpy.zeros((2, 3)))],
    analytic=True,
)
def dot(a, b):
    """Sum of products over the last axis of a and the last but one of b; numbers multiply."""
    a, b = as_array(a), as_array(b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    if a.ndim <= 2 and b.ndim <= 2:
        return matmul(a, b)
    return tensordot(a, b, [[-1], [max(b.ndim - 2, 0)]])


@composite(
    r"y_{ij} = \sum_k x_{1, ik}\, x_{2, jk}",
    lambda d: call(d.array((2, 3)), d.array(d.choice([(3,), (1, 3), (2, 2, 3)]))),
    [call(numpy.zeros((2, 3)), numpy.zeros((3, 2)))],
    analytic=True,
)
def inner(a, b):
    """Sum of products over the last axes of both; numbers multiply."""
    a, b = as_array(a), as_array(b)
    if a.ndim == 0 or b.ndim == 0:
        return a * b
    return tensordot(a, b, [[-1], [-1]])


@composite(
    r"y_{ij} = x_{1, i}\, x_{2, j}",
    lambda d: call(d.array(d.shape()), d.array(d.shape())),
    [call("text", numpy.zeros(3))],
    analytic=True,
)
def outer(a, b):
    """All products of an element of a with one of b, both flattened."""
    return reshape(a, (-1, 1)) * reshape(b, (1, -1))


@composite(
    r"Y = \begin{pmatrix} x_{1, 11} X_2 & \cdots \\ \vdots & \ddots \end{pmatrix}",
    lambda d: call(d.array(d.shape(max_ndim=2)), d.array(d.shape(max_ndim=2))),
    [call("text", numpy.zeros(3))],
    analytic=True,
)
def kron(a, b):
    """Kronecker product: ``b`` once for each element of ``a``, scaled by it."""
    a, b = as_array(a), as_array(b)
    ndim = max(a.ndim, b.ndim)
    sides_a = (1,) * (ndim - a.ndim) + a.shape
    sides_b = (1,) * (ndim - b.ndim) + b.shape
    a = reshape(a, [n for side in sides_a for n in (side, 1)])
    b = reshape(b, [n for side in sides_b for n in (1, side)])
    return reshape(a * b, [m * n for m, n in zip(sides_a, sides_b, strict=True)])


# ------------------------------------------------------------------------------------- einsum


def _einsum_samples(d: Draw) -> Call:
    sides = {letter: d.integer(1, 3) for letter in "ijkb"}
    subscripts = d.choice(
        ["ij,jk->ik", "ij->ji", "ij->", "ii->i", "ii", "i,j->ij", "bij,bjk->bik", "ij,ij->i",
         "ij,jk,k->i", "ij,k->ij", "...ij,...jk->...ik", "...i->...", "iij->j", "bi,bij,bj->b"]
    )  # fmt: skip
    operands = []
    for term in subscripts.partition("->")[0].split(","):
        batch = (2,) if "..." in term and d.boolean() else ()
        operands.append(d.array(batch + tuple(sides[i] for i in term.replace("...", ""))))
    return call(subscripts, *operands)


@operation(
    r"y_{ik} = \sum_j x_{1, ij}\, x_{2, jk}",
    _einsum_samples,
    [call("ij,jk->ik", numpy.zeros((2, 3)), numpy.zeros((2, 3)))],
    analytic=True,
)
def einsum(subscripts, *operands):
    """Einstein's summation, as ``numpy.einsum`` with a string of subscripts."""
    return xp.einsum(subscripts, *operands, optimize=len(operands) > 1)


def _einsum_rule(argnums, _, args, kwargs):
    subscripts, *operands = args
    terms, output = _explicit(subscripts, [x.ndim for x in operands])

    def vjp(g):
        return [_einsum_gradient(i - 1, g, terms, output, operands) for i in argnums]

    return vjp


defvjp_argnums(einsum, _einsum_rule)


def _explicit(subscripts: str, ndims: list[int]) -> tuple[list[str], str]:
    """The operands' and the output's letters, with letters of their own in place of ``...``."""
    if not isinstance(subscripts, str):
        raise TypeError("the subscripts must be a string, such as 'ij,jk->ik', for a gradient")
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    unused = [letter for letter in string.ascii_letters if letter not in subscripts]
    extra = [n - len(t.replace("...", "")) for t, n in zip(terms, ndims, strict=True)]
    batch = "".join(unused[: max(extra)])  # aligned at the right, as in broadcasting
    terms = [t.replace("...", batch[len(batch) - n :]) for t, n in zip(terms, extra, strict=True)]
    if not arrow:
        letters = "".join(terms)
        output = "..." if "..." in inputs else ""
        output += "".join(sorted(i for i in set(letters) - set(batch) if letters.count(i) == 1))
    return terms, output.replace("...", batch)


def _einsum_gradient(i: int, g: Any, terms: list[str], output: str, operands: list[Any]) -> Any:
    """The sum with ȳ in the place of operand i, and i's letters as the output."""
    others = [j for j in range(len(terms)) if j != i]
    distinct = "".join(dict.fromkeys(terms[i]))
    found = "".join(x for x in distinct if x in output or any(x in terms[j] for j in others))
    inputs = ",".join([output, *(terms[j] for j in others)])
    x = einsum(f"{inputs}->{found}", g, *(operands[j] for j in others))
    sides = dict(zip(terms[i], operands[i].shape, strict=True))
    for position, letter in enumerate(distinct):  # a letter of i alone was summed: all alike
        if letter not in found:
            x = expand_dims(x, position)
    sides_of_x = {
        letter: max(n, sides[letter]) for letter, n in zip(distinct, x.shape, strict=True)
    }
    x = broadcast_to(x, tuple(sides_of_x[letter] for letter in distinct))
    return _on_diagonal(x, distinct, terms[i])


def _on_diagonal(x: Any, distinct: str, term: str) -> Any:
    """For an operand such as x_ii, of which only the diagonal was read: zeros elsewhere."""
    letters, inputs, eyes = list(distinct), "", []
    unused = [letter for letter in string.ascii_letters if letter not in term]
    target = ""
    for letter in term:
        if letter not in target:
            target += letter
            continue
        other = unused.pop()
        target += other
        inputs += f",{letter}{other}"
        eyes.append(xp.eye(x.shape[letters.index(letter)], dtype=x.dtype))
    return einsum(f"{distinct}{inputs}->{target}", x, *eyes) if eyes or target != distinct else x
