"""Derivatives of functions: nesting, structures, forward mode, checkpointing."""

import numpy
import pytest

import autograd.numpy as np
from autograd import (
    Tensor,
    backend,
    checkpoint,
    core,
    elementwise_grad,
    grad,
    grad_and_aux,
    grad_named,
    hessian,
    hessian_vector_product,
    jacobian,
    make_hvp,
    make_jvp,
    make_vjp,
    no_grad,
    tensor_jacobian_product,
    value_and_grad,
)
from autograd.test_util import GradientError, check_grads


def array(values, dtype=float):
    return backend.asarray(numpy.array(values, dtype))


def host(x):
    return backend.to_numpy(x.data if isinstance(x, Tensor) else x)


def test_nested_gradients_do_not_confuse_their_variables():
    # d/dx [x · d/dy (x + y)] = d/dx [x · 1] = 1, and not 2 (Siskind & Pearlmutter 2005)
    assert host(grad(lambda x: x * grad(lambda y: x + y)(1.0))(1.0)) == 1.0


def test_an_inner_gradient_with_respect_to_the_outer_variable():
    # d/dx [d/dy (x y²) at y = x] = d/dx 2x² = 4x
    assert host(grad(lambda x: grad(lambda y: x * y * y)(x))(3.0)) == 12.0


def test_gradients_of_gradients_to_any_depth():
    f = np.sin
    for expected in (numpy.cos(0.7), -numpy.sin(0.7), -numpy.cos(0.7), numpy.sin(0.7)):
        f = grad(f)
        assert host(f(0.7)) == pytest.approx(expected, rel=1e-14)


def test_dicts_lists_and_tuples_as_arguments_give_gradients_of_that_structure():
    parameters = {"w": array([1.0, 2.0]), "layers": [(array(3.0), 4.0)]}
    g = grad(lambda p: np.sum(p["w"] ** 2) * p["layers"][0][0] + p["layers"][0][1])(parameters)
    assert host(g["w"]).tolist() == [6.0, 12.0]
    assert (host(g["layers"][0][0]), host(g["layers"][0][1])) == (5.0, 1.0)
    assert isinstance(g["layers"][0], tuple)


def test_several_arguments_by_a_tuple_of_positions():
    a, b = grad(lambda x, y: x * y * y, (0, 1))(2.0, 3.0)
    assert (host(a), host(b)) == (9.0, 12.0)


def test_keyword_arguments_are_passed_on():
    assert host(grad(lambda x, power=1: x**power)(2.0, power=3)) == 12.0


def test_value_and_grad_are_plain_arrays():
    value, g = value_and_grad(lambda x: np.sum(x**2))(array([1.0, 2.0]))
    assert not isinstance(value, Tensor) and not isinstance(g, Tensor)
    assert host(value) == 5.0


def test_an_unused_argument_has_gradient_zero():
    assert host(grad(lambda x: np.sum(array([1.0])))(array([5.0]))).tolist() == [0.0]


def test_grad_and_aux_and_grad_named():
    g, aux = grad_and_aux(lambda x: (x**2, "note"))(3.0)
    assert (host(g), aux) == (6.0, "note")
    assert host(grad_named(lambda a, b: a * b**2, "b")(2.0, 3.0)) == 12.0


def test_the_gradient_of_a_vector_is_refused():
    with pytest.raises(TypeError, match=r"grad: .*scalar, but its result has shape \(2,\)"):
        grad(lambda x: x)(array([1.0, 2.0]))


def test_a_missing_argument_is_named():
    with pytest.raises(TypeError, match="no positional argument 1 among the 1 given"):
        grad(lambda x, y: x * y, 1)(2.0)


def test_elementwise_grad_is_the_derivative_at_each_element():
    x = numpy.linspace(-1, 1, 5)
    numpy.testing.assert_allclose(
        host(elementwise_grad(np.tanh)(array(x))), 1 - numpy.tanh(x) ** 2, rtol=1e-12
    )


def test_jacobian_and_hessian_of_a_quadratic_form():
    a = numpy.random.default_rng(0).normal(size=(3, 3))
    x = array([1.0, -2.0, 0.5])
    f = lambda x: np.dot(x, np.dot(array(a), x))  # noqa: E731
    numpy.testing.assert_allclose(host(jacobian(lambda x: np.dot(array(a), x))(x)), a)
    numpy.testing.assert_allclose(host(hessian(f)(x)), a + a.T, atol=1e-14)
    v = array([1.0, 0.0, 2.0])
    expected = (a + a.T) @ host(v)
    numpy.testing.assert_allclose(host(hessian_vector_product(f)(x, v)), expected)
    hvp, _ = make_hvp(f)(x)
    numpy.testing.assert_allclose(host(hvp(v)), expected)


def test_tensor_jacobian_product_contracts_the_output():
    u = array([2.0, -1.0])
    g = tensor_jacobian_product(lambda x: x**2)(array([3.0, 4.0]), u)
    assert host(g).tolist() == [12.0, -8.0]


def test_make_vjp_can_be_applied_again_and_again():
    vjp, value = make_vjp(lambda x: x**2)(array([1.0, 2.0]))
    assert host(value).tolist() == [1.0, 4.0]
    for scale in (1.0, 3.0):
        assert host(vjp(array([scale, scale]))).tolist() == [2 * scale, 4 * scale]
    with pytest.raises(ValueError, match=r"shape \(3,\), the output \(2,\)"):
        vjp(array([1.0, 1.0, 1.0]))


def test_forward_mode_is_the_jacobian_times_a_vector():
    def f(x):
        return np.stack([x[0] * x[1], np.sin(x[0]), x[1] ** 3])

    x, v = array([0.5, 2.0]), array([1.0, -1.0])
    _, tangent = make_jvp(f)(x)(v)
    numpy.testing.assert_allclose(host(tangent), host(jacobian(f)(x)) @ host(v))
    assert not isinstance(tangent, Tensor)


def test_forward_mode_can_be_differentiated():
    # d/dx [x · 3y²] with tangent 1 at y = 2
    assert host(grad(lambda x: make_jvp(lambda y: x * y**3)(2.0)(1.0)[1])(5.0)) == 12.0


def test_a_gradient_that_depends_on_parameters_is_a_tensor_and_reaches_them():
    w = Tensor(array([2.0, 3.0]))
    slope = grad(lambda x: np.sum(w * x**2))(array([1.0, 1.0]))  # 2wx
    np.sum(slope**2).backward()  # Σ 4w²x²
    assert host(w.grad).tolist() == [16.0, 24.0]
    with no_grad():
        assert not isinstance(grad(lambda x: np.sum(w * x))(array([1.0, 1.0])), Tensor)


def test_gradients_of_functions_leave_other_gradients_alone():
    w = Tensor(array([2.0]))
    grad(lambda x: np.sum(w * x))(array([1.0]))
    assert w.grad is None


# -------------------------------------------------------------------------------- checkpointing


def chain(w):
    def f(x):
        for _ in range(5):
            x = np.tanh(x * w) + x
        return x

    return f


def test_checkpoint_gives_the_same_gradients_also_of_captured_parameters():
    results = []
    for wrap in (lambda f: f, checkpoint):
        w, x = Tensor(array([0.5, -0.3])), Tensor(array([1.0, 2.0]))
        np.sum(wrap(chain(w))(x) ** 2).backward()
        results.append((host(x.grad), host(w.grad)))
    numpy.testing.assert_allclose(results[0], results[1], rtol=1e-14)


def test_checkpoint_under_double_backward():
    results = []
    for wrap in (lambda f: f, checkpoint):
        w, x = Tensor(array([0.5, -0.3])), Tensor(array([1.0, 2.0]))
        np.sum(wrap(chain(w))(x) ** 2).backward(create_graph=True)
        penalty = np.sum(x.grad**2)
        x.grad = w.grad = None
        penalty.backward()
        results.append((host(x.grad), host(w.grad)))
    numpy.testing.assert_allclose(results[0], results[1], rtol=1e-12)


def test_checkpoint_keeps_its_arguments_alone():
    x = Tensor(numpy.ones(1000)) * 1.0

    def kept(y):
        arrays = {}
        for node in core.ancestors([y.node]):
            for value in core.captured(node):
                a = value.data if isinstance(value, Tensor) else value
                arrays[id(a)] = a.nbytes
        return sum(arrays.values())

    assert kept(checkpoint(chain(2.0))(x)) == 8000
    assert kept(chain(2.0)(x)) == 5 * 8000


def test_checkpoint_of_structures_and_of_plain_arrays():
    pair = checkpoint(lambda d: (d["a"] * 2, [d["b"], "label"]))
    x = Tensor(array([1.0]))
    first, (second, label) = pair({"a": x, "b": array([7.0])})
    np.sum(first).backward()
    assert host(x.grad).tolist() == [2.0] and host(second).tolist() == [7.0] and label == "label"
    assert not isinstance(checkpoint(lambda x: x * 2)(array([1.0])), Tensor)


# ------------------------------------------------------------------------------------- check_grads


def test_check_grads_accepts_a_right_gradient_and_tells_the_step_it_chose():
    checks = check_grads(lambda x, y: np.sin(x) * y, analytic=True)(array([0.3, 0.8]), 2.0)
    oracles = {check.oracle for check in checks}
    assert oracles == {"central differences", "complex step", "adjoint identity"}
    assert {check.order for check in checks} == {1, 2}
    assert all(check.step for check in checks if check.oracle == "central differences")


def test_check_grads_names_input_element_and_both_values():
    from autograd.extend import defvjp, primitive

    @primitive
    def scaled(x, y):
        return x * y

    defvjp(scaled, lambda _, x, y: lambda g: g * y, lambda _, x, y: lambda g: g * x * 1.001)
    with pytest.raises(GradientError, match=r"scaled.*\n.*input 1, element \(\d,\): the rules say"):
        check_grads(scaled, order=1)(array([1.0, 2.0]), array([3.0, 4.0]))


def test_check_grads_finds_a_wrong_second_derivative_behind_a_right_first_one():
    from autograd.extend import defvjp, primitive

    @primitive
    def cube(x):
        return x**3

    def rule(_, x):
        square = 3 * (x.data if isinstance(x, Tensor) else x) ** 2  # no longer depends on x
        return lambda g: g * square

    defvjp(cube, rule)
    check_grads(cube, order=1)(array([1.0, 2.0]))
    with pytest.raises(GradientError, match="order 2"):
        check_grads(cube, order=2)(array([1.0, 2.0]))


def test_check_grads_reports_points_of_non_differentiability():
    checks = check_grads(np.absolute, modes=["rev"], order=1)(array([1.0, 0.0, -2.0]))
    assert checks[0].kinks == ((1,),)


def test_check_grads_on_integers_and_wrong_modes():
    check_grads(lambda x, i: x[i], order=2)(array([1.0, 2.0]), 1)
    with pytest.raises(ValueError, match="modes are 'fwd' and 'rev'"):
        check_grads(np.exp, modes=["forward"])(1.0)


# ----------------------------------------------------------- what would lose a gradient silently


def test_a_complex_result_is_refused():
    with pytest.raises(TypeError, match=r"multiply: the result is complex128, and gradients are"):
        grad(lambda x: np.sum((x * 1j).real))(array([1.0]))


def test_the_gradient_of_an_index_or_a_truth_value_is_refused():
    with pytest.raises(TypeError, match="must return a floating-point number, not int64"):
        grad(np.argmax)(array([1.0, 2.0]))


def test_auxiliary_values_are_plain():
    _, aux = grad_and_aux(lambda x: (x**2, {"twice": 2 * x}))(3.0)
    assert not isinstance(aux["twice"], Tensor)
