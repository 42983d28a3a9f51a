"""Linear algebra: values against NumPy and SciPy, gradients where the table's samples do not go."""

import math

import numpy
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

import autograd.numpy as np
import autograd.scipy.linalg as spla
from autograd import Tensor, backend, grad
from autograd.backend import asarray, to_numpy
from autograd.test_util import check_grads

host_only = pytest.mark.skipif(
    backend.current() == "cupy", reason="a GPU reports no failure: the result is NaN"
)
stacks = st.sampled_from([(), (2,), (2, 0), (3, 2)])


def regular(rng, stack, n):
    return rng.uniform(-1, 1, (*stack, n, n)) + 2 * n * numpy.eye(n)


def symmetric(x):
    return 0.5 * (x + np.linalg.matrix_transpose(x))


def close(actual, expected, tolerance=1e-10):
    actual = actual.data if isinstance(actual, Tensor) else actual
    numpy.testing.assert_allclose(to_numpy(actual), expected, tolerance, tolerance)


# --------------------------------------------------------------------------------------- values


@given(stacks, st.integers(1, 4), st.integers(0, 99))
def test_values_are_numpys(stack, n, seed):
    a = regular(numpy.random.default_rng(seed), stack, n)
    x = asarray(a)
    close(np.linalg.inv(x), numpy.linalg.inv(a))
    close(np.linalg.det(x), numpy.linalg.det(a))
    close(np.linalg.slogdet(x).sign, numpy.linalg.slogdet(a).sign)
    close(np.linalg.slogdet(x).logabsdet, numpy.linalg.slogdet(a).logabsdet)
    close(np.linalg.pinv(x), numpy.linalg.pinv(a))
    for power in (-3, 0, 1, 6):
        close(np.linalg.matrix_power(x, power), numpy.linalg.matrix_power(a, power), 1e-9)


@given(stacks, st.integers(1, 4), st.integers(0, 99))
def test_symmetric_decompositions_are_numpys_and_read_the_same_triangle(stack, n, seed):
    a = regular(numpy.random.default_rng(seed), stack, n)  # not symmetric: two matrices in one
    x = asarray(a)
    close(np.linalg.cholesky(x), numpy.linalg.cholesky(a))
    close(np.linalg.cholesky(x, upper=True), numpy.linalg.cholesky(a, upper=True))
    for triangle in "LU":
        close(np.linalg.eigvalsh(x, triangle), numpy.linalg.eigvalsh(a, triangle))
        w, v = np.linalg.eigh(x, triangle)
        half = numpy.tril(a) if triangle == "L" else numpy.triu(a)
        whole = half + half.swapaxes(-1, -2) - a * numpy.eye(n)
        close((v * w[..., None, :]) @ np.linalg.matrix_transpose(v), whole)


@given(stacks, st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
def test_the_singular_value_decomposition_reconstructs_the_matrix(stack, m, n, seed):
    a = numpy.random.default_rng(seed).normal(size=(*stack, m, n))
    found = np.linalg.svd(asarray(a), full_matrices=False)
    close((found.U * found.S[..., None, :]) @ found.Vh, a)
    close(np.linalg.svd(asarray(a), compute_uv=False), numpy.linalg.svd(a, compute_uv=False))
    assert np.linalg.svd(asarray(a)).U.shape == (*stack, m, m)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ((3, 3), (3,)),
        ((3, 3), (3, 2)),
        ((4, 3, 3), (3,)),
        ((3, 3), (4, 3, 2)),
        ((4, 3, 3), (3, 2)),
        ((5, 1, 3, 3), (4, 3, 2)),
        ((0, 3, 3), (3, 2)),
    ],
)
def test_systems_broadcast_as_in_numpy(rng, left, right):
    a, b = regular(rng, left[:-2], 3), rng.normal(size=right)
    close(np.linalg.solve(asarray(a), asarray(b)), numpy.linalg.solve(a, b))
    for lower in (False, True):
        triangle = numpy.tril(a) if lower else numpy.triu(a)
        for trans, matrix in ((0, triangle), ("T", triangle.swapaxes(-1, -2))):
            x = np.linalg.solve_triangular(asarray(a), asarray(b), trans, lower)
            close(x, numpy.linalg.solve(matrix, b))
    check_grads(np.linalg.solve, order=1)(asarray(a), asarray(b))
    check_grads(np.linalg.solve_triangular, order=1)(asarray(a), asarray(b), "T", lower=True)


@pytest.mark.parametrize("trans", [0, 1, 2, "N", "T", "C"])
def test_triangular_systems_are_scipys_and_read_one_triangle(rng, trans):
    a, b = regular(rng, (), 4), rng.normal(size=(4, 2))
    expected = scipy.linalg.solve_triangular(a, b, trans, lower=True)
    a[numpy.triu_indices(4, 1)] = numpy.nan
    for stack in ((), (2,)):
        x = Tensor(asarray(numpy.broadcast_to(a, (*stack, 4, 4))))
        y = spla.solve_triangular(x, asarray(b), trans, lower=True)
        close(y, numpy.broadcast_to(expected, (*stack, 4, 2)))
        y.sum().backward()
        gradient = to_numpy(x.grad)
        assert (numpy.triu(gradient, 1) == 0).all() and numpy.isfinite(gradient).all()


ORDERS = [None, "fro", 1, 2, 3, math.inf, "nuc", -2]


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("order", ORDERS)
def test_norms_are_numpys(rng, order, keepdims):
    x = rng.normal(size=(2, 3, 4))
    for axis in (-1, 1, (0, 2), (-1, 0)):
        is_matrix = isinstance(axis, tuple)
        if is_matrix == (order in (None, "fro", 2, -2, "nuc")) or order in (None, 2):
            expected = numpy.linalg.norm(x, order, axis, keepdims)
            close(np.linalg.norm(asarray(x), order, axis, keepdims), expected)
    if order in (None, "fro", 2, -2, "nuc"):
        close(np.linalg.norm(asarray(x[0]), order), numpy.linalg.norm(x[0], order))


# ------------------------------------------------------------------------------------ gradients


@given(stacks, st.integers(1, 4), st.integers(0, 99))
def test_a_function_of_eigenvalues_and_vectors_has_the_gradient_of_the_matrix_function(
    stack, n, seed
):
    rng = numpy.random.default_rng(seed)
    c, x = asarray(rng.normal(size=(n, n))), asarray(regular(rng, stack, n))

    def by_eigh(x):
        w, v = np.linalg.eigh(symmetric(x))
        return np.sum(c * ((v * w[..., None, :] ** 2) @ np.linalg.matrix_transpose(v)))

    def direct(x):
        return np.sum(c * np.linalg.matrix_power(symmetric(x), 2))

    close(grad(by_eigh)(x), to_numpy(grad(direct)(x)), 1e-8)


@given(stacks, st.integers(1, 4), st.integers(1, 4), st.integers(0, 99))
def test_a_function_of_all_singular_factors_has_the_gradient_of_the_matrix_function(
    stack, m, n, seed
):
    rng = numpy.random.default_rng(seed)
    c, x = asarray(rng.normal(size=(m, n))), asarray(rng.normal(size=(*stack, m, n)))

    def by_svd(x):
        u, s, vh = np.linalg.svd(x, full_matrices=False)
        return np.sum(c * ((u * s[..., None, :] ** 3) @ vh))

    def direct(x):
        return np.sum(c * (x @ np.linalg.matrix_transpose(x) @ x))

    close(grad(by_svd)(x), to_numpy(grad(direct)(x)), 1e-6)


def test_log_determinants_by_four_ways_have_one_gradient(rng):
    x = asarray(rng.normal(size=(3, 4, 4)))
    eye = asarray(numpy.eye(4))

    def gradient_by(log_det):
        return to_numpy(grad(lambda x: np.sum(log_det(x @ np.linalg.matrix_transpose(x) + eye)))(x))

    expected = gradient_by(lambda a: np.linalg.slogdet(a)[1])
    by_root = gradient_by(lambda a: 2 * np.log(np.diagonal(np.linalg.cholesky(a), 0, -2, -1)))
    close(asarray(by_root), expected)
    close(asarray(gradient_by(lambda a: np.log(np.linalg.eigvalsh(a)))), expected)
    close(asarray(gradient_by(lambda a: np.log(np.linalg.det(a)))), expected)


@pytest.mark.parametrize("upper", [False, True])
def test_only_the_triangle_that_is_read_gets_a_gradient(rng, upper):
    x = asarray(regular(rng, (), 4))
    unread = numpy.tril if upper else numpy.triu
    for f in (
        lambda a: np.linalg.cholesky(a, upper=upper).sum(),
        lambda a: np.sum(np.linalg.eigvalsh(a, "U" if upper else "L") ** 2),
    ):
        gradient = to_numpy(grad(f)(x))
        assert (unread(gradient, -1 if upper else 1) == 0).all()
        assert (gradient != 0).sum() == 10


def test_equal_eigenvalues_leave_functions_of_the_eigenvalues_their_gradient():
    a = asarray(numpy.eye(3))
    close(grad(lambda a: np.sum(np.linalg.eigvalsh(a) ** 3))(a), 3 * numpy.eye(3))
    close(grad(lambda a: np.linalg.norm(a, "nuc"))(a), numpy.eye(3))
    zeros = asarray(numpy.zeros((3, 2)))
    assert numpy.isfinite(to_numpy(grad(lambda a: np.linalg.norm(a, "nuc"))(zeros))).all()


def test_equal_eigenvalues_make_a_gradient_through_their_vectors_nan():
    a = asarray(numpy.diag([1.0, 1.0, 3.0]))
    assert numpy.isnan(to_numpy(grad(lambda a: np.linalg.eigh(a)[1][0, 0])(a))).any()
    assert numpy.isnan(to_numpy(grad(lambda a: np.linalg.svd(a).U[0, 1])(a))).any()
    third = to_numpy(grad(lambda a: np.sum(np.linalg.eigh(a)[1][:, 2] ** 2))(a))
    assert numpy.isfinite(third).all()  # that vector's eigenvalue is like no other


def test_results_that_are_not_used_cost_no_nan():
    a = Tensor(asarray(numpy.eye(2)))
    w, _ = np.linalg.eigh(a)
    w[0].backward()
    assert numpy.isfinite(to_numpy(a.grad)).all()


# --------------------------------------------------------------------------------- wrong use


def test_full_matrices_have_no_gradient_unless_square(rng):
    with pytest.raises(ValueError, match="full_matrices=False"):
        np.linalg.svd(Tensor(asarray(rng.normal(size=(3, 2)))))
    square = Tensor(asarray(rng.normal(size=(3, 3))))
    np.linalg.svd(square).U.sum().backward()


@host_only
def test_failures_name_the_operation():
    singular = Tensor(asarray(numpy.ones((2, 2))))
    with pytest.raises(numpy.linalg.LinAlgError, match=r"^inv: Singular matrix"):
        np.linalg.inv(singular)
    with pytest.raises(numpy.linalg.LinAlgError, match=r"^cholesky: .*positive definite"):
        np.linalg.cholesky(asarray(-numpy.eye(2)))
    with pytest.raises(numpy.linalg.LinAlgError, match=r"^backward of det"):
        np.linalg.det(singular).backward()
    with pytest.raises(ValueError, match=r"solve: 3 equations take right sides \(3,\)"):
        np.linalg.solve(asarray(numpy.eye(3)), asarray(numpy.ones(2)))


def test_what_has_no_gradient_refuses_tensors_or_takes_their_values():
    x = Tensor(asarray(numpy.eye(2)))
    assert int(to_numpy(np.linalg.matrix_rank(x))) == 2
    with pytest.raises(TypeError, match=r"^eig: this function has no gradient here"):
        np.linalg.eig(x)
    with pytest.raises(TypeError, match=r"^lu_factor: "):
        spla.lu_factor(x)
    with pytest.raises(AttributeError):
        np.linalg.no_such_function  # noqa: B018


# -------------------------------------------------------------------------------------- peers


@pytest.mark.peers
def test_gradients_are_those_of_torch(rng):
    torch = pytest.importorskip("torch")
    x = rng.normal(size=(3, 4, 4))
    c = rng.normal(size=(4, 4))

    def functions(np, sum, t):
        def definite(x):
            return x @ t(x) + asarray_like(np, numpy.eye(4))

        return [
            lambda x: sum(asarray_like(np, c) * np.linalg.cholesky(definite(x))),
            lambda x: sum(asarray_like(np, c) * np.linalg.eigh(definite(x))[1] ** 2),
            lambda x: sum(asarray_like(np, c) * np.linalg.svd(x, full_matrices=False)[0] ** 2),
            lambda x: sum(np.linalg.slogdet(x)[1]),
            lambda x: sum(np.linalg.solve(x, asarray_like(np, c))),
            lambda x: sum(asarray_like(np, c) * np.linalg.pinv(x)),
        ]

    def asarray_like(module, x):
        return torch.tensor(x) if module is torch else asarray(x)

    ours = functions(np, np.sum, np.linalg.matrix_transpose)
    theirs = functions(torch, torch.sum, lambda x: x.transpose(-1, -2))
    for f, g in zip(ours, theirs, strict=True):
        y = torch.tensor(x, requires_grad=True)
        g(y).backward()
        close(grad(f)(asarray(x)), y.grad.numpy(), 1e-8)
