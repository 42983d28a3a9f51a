"""Every operation in the table, against the four oracles, and on wrong inputs."""

import inspect

import numpy
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd.nn
import autograd.scipy.special  # noqa: F401 (so that the table is whole)
from autograd import Tensor, backend
from autograd.structures import flatten
from autograd.table import Draw, operations
from autograd.test_util import check_grads
from tests.drawing import LAYOUTS, HypothesisDraw, on_backend

every = pytest.mark.parametrize("op", operations.values(), ids=operations)


@every
@given(data=st.data())
def test_first_and_second_order_gradients_agree_with_the_oracles(op, data):
    check_against_the_oracles(op, HypothesisDraw(data))


@every
@pytest.mark.parametrize("seed", range(4))
def test_the_same_on_larger_samples(op, seed):
    # hypothesis prefers what is small, and most shapes drawn have a side of 0 or 1 somewhere
    seeds = range(16 * seed, 16 * (seed + 1))
    check_against_the_oracles(op, Draw(max(seeds, key=lambda s: numbers(op.samples(Draw(s))))))


def numbers(call):
    """How many numbers there are in the arrays of a call."""
    leaves, _ = flatten(list(call))
    return sum(x.size for x in leaves if isinstance(x, numpy.ndarray) and x.dtype.kind == "f")


def check_against_the_oracles(op, draw):
    args, kwargs = op.samples(draw)
    args, kwargs = on_backend(args, kwargs, float, draw.choice(LAYOUTS))
    function, arrays = op.of_arrays(args, kwargs)
    checks = check_grads(function, order=2, analytic=op.analytic)(*arrays)
    assert all(not check.kinks for check in checks), "the samples meet kinks"


@every
@given(data=st.data(), dtype=st.sampled_from(["float32", "float64"]))
def test_values_and_gradients_keep_the_dtype_and_the_shape(op, data, dtype):
    args, kwargs = op.samples(HypothesisDraw(data))
    args, kwargs = on_backend(args, kwargs, dtype)
    leaves, rebuild = flatten([list(args), kwargs])
    tensors = [Tensor(x) if backend.is_array(x) and x.dtype.kind == "f" else x for x in leaves]
    before = [backend.to_numpy(x).copy() for x in leaves if backend.is_array(x)]
    args, kwargs = rebuild(tensors)
    for y in flatten(op.function(*args, **kwargs))[0]:
        if not isinstance(y, Tensor):
            continue
        if op.function.__name__ != "astype":
            assert y.dtype == dtype
        y.backward(backend.asarray(numpy.ones(y.shape, y.dtype)), retain_graph=True)
    for x in tensors:
        if isinstance(x, Tensor) and x.grad is not None:
            assert (x.grad.shape, x.grad.dtype) == (x.shape, x.dtype)
    after = [backend.to_numpy(x) for x in leaves if backend.is_array(x)]
    for a, b in zip(before, after, strict=True):
        numpy.testing.assert_array_equal(a, b, "an argument was changed")


@every
@given(data=st.data())
def test_plain_arrays_give_plain_arrays_of_the_same_value(op, data):
    args, kwargs = on_backend(*op.samples(HypothesisDraw(data)))
    leaves, rebuild = flatten([list(args), kwargs])
    plain = flatten(op.function(*args, **kwargs))[0]
    tensors = [Tensor(x) if backend.is_array(x) and x.dtype.kind == "f" else x for x in leaves]
    args, kwargs = rebuild(tensors)
    tracked = flatten(op.function(*args, **kwargs))[0]
    for a, b in zip(plain, tracked, strict=True):
        assert not isinstance(a, Tensor)
        b = b.data if isinstance(b, Tensor) else b
        numpy.testing.assert_array_equal(backend.to_numpy(a), backend.to_numpy(b))


@every
def test_wrong_inputs_give_one_error_that_names_the_operation(op):
    assert op.wrong, "every operation has wrong inputs in the table"
    for args, kwargs in op.wrong:
        args, kwargs = on_backend(args, kwargs)
        with pytest.raises((ValueError, TypeError, IndexError)) as caught:
            op.function(*args, **kwargs)
        assert "\n" not in str(caught.value)


@every
def test_every_operation_has_a_formula_samples_and_a_docstring(op):
    assert op.formula and op.samples and op.function.__doc__
    if op.primitive:
        rules = op.function.rules
        given = rules.makers or rules.for_all or rules.constants
        assert given, "a primitive without a gradient rule"


@every
def test_rules_take_their_arguments_by_the_operations_names(op):
    # or a call with keywords would fail in the middle of the forward pass
    if not op.primitive:
        return
    own = list(inspect.signature(op.function.__wrapped__).parameters.values())
    if any(p.kind is p.VAR_POSITIONAL for p in own):
        return
    for maker in op.function.rules.makers.values():
        _, *others = inspect.signature(maker).parameters.values()
        if any(p.kind is p.VAR_KEYWORD for p in others):
            continue
        names = [p.name for p in others if p.kind is not p.VAR_POSITIONAL]
        assert names == [p.name for p in own[: len(names)]]
        defaults = [p.default for p in others if p.kind is not p.VAR_POSITIONAL]
        assert defaults == [p.default for p in own[: len(names)]]
