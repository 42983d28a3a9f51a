"""Parameters as one vector, and the optimisers of HIPS/autograd's programs."""

from typing import NamedTuple

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd.numpy as np
from autograd import Tensor, builtins, elementwise_grad, grad
from autograd.backend import asarray, to_numpy
from autograd.misc import flatten
from autograd.misc.fixed_points import fixed_point
from autograd.misc.flatten import flatten_func
from autograd.misc.optimizers import adam, rmsprop, sgd
from autograd.structures import flatten as leaves_of
from autograd.test_util import check_grads


class Layer(NamedTuple):
    weight: object
    bias: object


shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)
arrays = st.builds(lambda s, t: numpy.ones(s, t), shapes, st.sampled_from(["float32", "float64"]))
structures = st.recursive(
    arrays | st.floats(-1, 1),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=2), inner, max_size=3)
        | st.builds(Layer, inner, inner)
        | st.tuples(inner, inner)
    ),
    max_leaves=6,
)


def on_device(structure):
    leaves, rebuild = leaves_of(structure)
    return rebuild([asarray(x) if isinstance(x, numpy.ndarray) else x for x in leaves])


@given(structures)
def test_a_structure_survives_the_way_to_a_vector_and_back(value):
    vector, unflatten = flatten(on_device(value))
    assert vector.ndim == 1
    back = unflatten(vector)
    assert type(back) is type(on_device(value)) or isinstance(value, float)
    expected, _ = leaves_of(value)
    for a, b in zip(leaves_of(back)[0], leaves_of_sorted(value), strict=True):
        assert a.shape == numpy.shape(b)
        assert a.dtype == numpy.result_type(b)
        numpy.testing.assert_array_equal(to_numpy(a), b)
    assert sum(numpy.size(x) for x in expected) == vector.size


def leaves_of_sorted(value):
    """The leaves in the order of sorted keys."""
    if isinstance(value, dict):
        return [leaf for key in sorted(value) for leaf in leaves_of_sorted(value[key])]
    if isinstance(value, tuple | list):
        return [leaf for item in value for leaf in leaves_of_sorted(item)]
    return [value]


def test_the_order_in_which_a_dict_was_filled_does_not_matter():
    first, unflatten = flatten({"b": asarray(numpy.zeros(2)), "a": asarray(numpy.ones(1))})
    second, _ = flatten({"a": asarray(numpy.ones(1)), "b": asarray(numpy.zeros(2))})
    numpy.testing.assert_array_equal(to_numpy(first), to_numpy(second))
    assert to_numpy(unflatten(first)["a"]) == 1


def test_both_ways_are_differentiable():
    parameters = {"w": asarray(numpy.arange(4.0).reshape(2, 2)), "b": asarray(numpy.ones(2))}

    def through(parameters):
        vector, unflatten = flatten(parameters)
        again = unflatten(vector * vector)
        return np.sum(again["w"]) + 3 * np.sum(again["b"])

    gradient = grad(through)(parameters)
    numpy.testing.assert_array_equal(to_numpy(gradient["w"]), [[0.0, 2.0], [4.0, 6.0]])
    numpy.testing.assert_array_equal(to_numpy(gradient["b"]), [6.0, 6.0])


def test_a_vector_of_another_length_is_refused():
    _, unflatten = flatten([asarray(numpy.zeros((2, 2)))])
    with pytest.raises(ValueError, match=r"expected a vector \(4,\), got \(3,\)"):
        unflatten(asarray(numpy.zeros(3)))


def test_a_function_of_a_structure_becomes_one_of_a_vector():
    example = {"a": asarray(numpy.ones(2)), "b": 2.0}
    flat, unflatten, vector = flatten_func(lambda p, k: {"y": k * p["a"] * p["b"]}, example)
    numpy.testing.assert_array_equal(to_numpy(flat(vector, 3.0)), [6.0, 6.0])
    assert set(unflatten(vector)) == {"a", "b"}


# ------------------------------------------------------------------------------------ optimisers


def loss(parameters, i=0):
    return np.sum((parameters["w"] - 1.0) ** 2) + (parameters["b"] + 2.0) ** 2


START = {"w": numpy.array([3.0, -1.0]), "b": 0.5}


@pytest.mark.parametrize(
    ("optimizer", "options"),
    [(sgd, {}), (rmsprop, {"num_iters": 500, "step_size": 0.01}), (adam, {"step_size": 0.1})],
)
def test_optimisers_find_the_minimum_and_report_every_step(optimizer, options):
    seen = []

    def callback(parameters, i, gradient):
        assert set(gradient) == set(parameters) == {"w", "b"}
        seen.append((i, float(to_numpy(loss(parameters)))))

    options = {"num_iters": 300, **options}
    found = optimizer(grad(loss), on_device(START), callback, **options)
    numpy.testing.assert_allclose(to_numpy(found["w"]), [1.0, 1.0], atol=0.02)
    numpy.testing.assert_allclose(to_numpy(found["b"]), -2.0, atol=0.02)
    assert [i for i, _ in seen] == list(range(options["num_iters"]))
    assert seen[0][1] == 4 + 4 + 6.25  # called before the first step
    assert not isinstance(found["w"], Tensor)


def test_first_steps_are_those_of_the_equations():
    x, g = asarray(numpy.zeros(2)), asarray(numpy.array([4.0, -0.1]))

    def after(optimizer, steps, **options):
        return to_numpy(optimizer(lambda x, i: g, x, num_iters=steps, **options))

    host = to_numpy(g)
    numpy.testing.assert_allclose(after(adam, 2, step_size=0.1), -0.2 * numpy.sign(host), 1e-6)
    numpy.testing.assert_allclose(after(sgd, 1, step_size=0.1), -0.1 * 0.1 * host)
    numpy.testing.assert_allclose(
        after(sgd, 2, step_size=0.1, mass=0.5), -0.1 * (0.5 + 0.75) * host
    )
    mean_square = 0.9 + 0.1 * host**2
    numpy.testing.assert_allclose(
        after(rmsprop, 1, step_size=0.1), -0.1 * host / numpy.sqrt(mean_square), 1e-6
    )


# ---------------------------------------------------------------------------------- fixed points


def root_by_descent(a):
    """√a as the fixed point of the steps x − (x² − a) / 20."""
    start = asarray(numpy.full(2, 5.0))

    def largest_step(x, before):
        return np.max(np.abs(x - before))

    return fixed_point(lambda a: lambda x: x - 0.05 * (x * x - a), a, start, largest_step, 1e-13)


def test_a_fixed_point_has_the_gradients_of_the_equation_it_solves():
    a = numpy.array([2.0, 5.0])
    numpy.testing.assert_allclose(to_numpy(root_by_descent(asarray(a))), numpy.sqrt(a))

    def slope(a):
        return elementwise_grad(root_by_descent)(a)

    numpy.testing.assert_allclose(to_numpy(slope(asarray(a))), 0.5 / numpy.sqrt(a))
    second = to_numpy(elementwise_grad(slope)(asarray(a)))
    numpy.testing.assert_allclose(second, -0.25 / a**1.5)


def test_a_fixed_point_of_a_structure_leaves_constants_alone():
    x = asarray(numpy.array([0.3, -0.2]))

    def solve(w):
        parameters = {"w": w, "x": x}
        start = asarray(numpy.zeros(2))
        return fixed_point(
            lambda p: lambda z: np.tanh(p["w"] * z + p["x"]),
            parameters,
            start,
            lambda a, b: np.max(np.abs(a - b)),
            1e-14,
        )

    check_grads(solve, order=1)(asarray(numpy.array([0.5, -0.4])))


# ------------------------------------------------------------------------------------- containers


def test_isinstance_looks_through_a_tensor():
    x = Tensor(asarray(numpy.ones(2)))
    assert builtins.isinstance(x, type(x.data)) and builtins.isinstance(x, Tensor)
    assert not builtins.isinstance(x, dict) and builtins.isinstance({}, builtins.dict)
