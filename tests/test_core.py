"""The contracts of the engine: memory, sharing, dtypes, changes in place, errors."""

import gc
import sys
import weakref

import numpy
import pytest

import autograd.numpy as np
from autograd import Tensor, backend, core, grad, no_grad
from autograd.core import backward_pass, captured
from autograd.debug import debug, float32_only, profile
from autograd.extend import defvjp, defvjp_argnums, primitive


def array(*values, dtype=float):
    return backend.asarray(numpy.array(values, dtype))


def host(x):
    return backend.to_numpy(x.data if isinstance(x, Tensor) else x)


# ------------------------------------------------------------------------------ what it computes


def test_a_variable_used_twice_gets_the_sum_of_both_gradients():
    x = Tensor(array(3.0))
    (x * x + 2 * x).sum().backward()
    assert host(x.grad) == 8.0


def test_gradients_add_up_over_backward_passes_until_cleared():
    x = Tensor(array(3.0))
    for expected in (6.0, 12.0):
        (x * x).sum().backward()
        assert host(x.grad) == expected
    x.grad = None
    (x * x).sum().backward()
    assert host(x.grad) == 6.0


def test_derivatives_of_any_order_by_create_graph():
    x = Tensor(array(0.7))
    y = np.sin(x).sum()
    values = []
    for _ in range(5):
        x.grad = None
        y.backward(create_graph=True)
        y = x.grad.sum()
        values.append(float(host(y)))
    numpy.testing.assert_allclose(
        values, [numpy.cos(0.7), -numpy.sin(0.7), -numpy.cos(0.7), numpy.sin(0.7), numpy.cos(0.7)]
    )


def test_an_operation_that_reads_its_own_output_has_its_third_derivative():
    # the weak link from a rule to its output must survive two rounds of recording
    third = host(grad(grad(grad(lambda x: np.exp(2 * x))))(0.3))
    assert float(third) == pytest.approx(8 * numpy.exp(0.6), rel=1e-14)


def test_constants_and_unused_inputs_cost_no_node():
    x = Tensor(array(1.0, 2.0))
    node = (x * array(3.0, 4.0)).node
    assert len(node.parents) == 1


def test_without_recording_results_are_plain_arrays():
    x = Tensor(array(1.0))
    with no_grad():
        assert not isinstance(x * 2, Tensor)

    @no_grad()
    def double(x):
        return x * 2

    assert not isinstance(double(x), Tensor)
    assert isinstance(x * 2, Tensor)


def test_recording_comes_back_after_an_error_in_the_backward_pass():
    @primitive
    def f(x):
        return x + 0

    def fail(g):
        raise ValueError("no")

    defvjp(f, lambda _, x: fail)
    with pytest.raises(ValueError, match="backward of f: no"):
        f(Tensor(array(1.0))).sum().backward()
    assert core.is_recording()


def test_a_primitive_with_several_results_gets_zeros_for_those_not_used():
    @primitive
    def both(x, y):
        return x * y, x + y

    defvjp(
        both,
        lambda _, x, y: lambda gs: gs[0] * y + gs[1],
        lambda _, x, y: lambda gs: gs[0] * x + gs[1],
    )
    x, y = Tensor(array(2.0)), Tensor(array(5.0))
    product, total = both(x, y)
    (product * 10).sum().backward(retain_graph=True)
    assert (host(x.grad), host(y.grad)) == (50.0, 20.0)
    x.grad = y.grad = None
    (product * total * total).sum().backward()  # (xy)(x+y)²: both results, one of them twice
    assert host(x.grad) == 5 * 49 + 10 * 2 * 7


def test_one_rule_for_all_arguments():
    @primitive
    def f(x, y, z):
        return x * y * z

    defvjp_argnums(
        f,
        lambda argnums, ans, args, kwargs: (
            lambda g: [
                g * [args[1] * args[2], args[0] * args[2], args[0] * args[1]][i] for i in argnums
            ]
        ),
    )
    x, z = Tensor(array(2.0)), Tensor(array(5.0))
    f(x, array(3.0), z).sum().backward()
    assert (host(x.grad), host(z.grad)) == (15.0, 6.0)


# ----------------------------------------------------------------------------------------- memory


def retained_bytes(*tensors):
    """The bytes that the graph behind ``tensors`` keeps alive, its leaves left out."""
    nodes = core.ancestors(t.node for t in tensors)
    leaves = {id(n.tensor().data) for n in nodes if isinstance(n, core.LeafNode)}
    arrays = {}
    for node in nodes:
        for value in captured(node):
            a = value.data if isinstance(value, Tensor) else value
            if id(a) not in leaves:
                arrays[id(a)] = a.nbytes
    return sum(arrays.values())


def test_linear_bias_tanh_retains_its_input_and_its_output_alone():
    # as PyTorch: the product's input (the weight is a leaf) and tanh's output
    x = backend.asarray(numpy.ones((128, 64)))
    w, b = Tensor(numpy.ones((64, 32))), Tensor(numpy.ones(32))
    y = np.tanh(np.matmul(x, w) + b)
    assert retained_bytes(y) == (128 * 64 + 128 * 32) * 8


def test_what_no_rule_reads_is_freed_at_once():
    x = Tensor(array(1.0, 2.0))
    middle = x + 1.0
    link = weakref.ref(middle)
    y = middle * 3.0
    del middle
    assert link() is None
    y.sum().backward()


def test_a_dropped_graph_is_freed_by_reference_counting_alone():
    gc.collect()
    gc.disable()
    try:
        x = Tensor(array(1.0, 2.0))
        y = np.tanh(np.exp(x)) / np.sqrt(x)  # these rules read their own outputs
        q, r = np.split(y, 2)
        links = [weakref.ref(y), weakref.ref(y.node), weakref.ref(q.node.parents[0])]
        del y, q, r
        assert [link() for link in links] == [None] * 3
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_the_graph_is_freed_as_the_backward_pass_goes():
    x = Tensor(array(1.0, 2.0))
    y = np.exp(x)
    z = (y * y).sum()
    z.backward()
    assert z.node.vjps is None and y.node.vjps is None
    with pytest.raises(RuntimeError, match=r"^backward of sum: .* freed .*retain_graph=True"):
        z.backward()


def test_a_graph_of_100_000_nodes_goes_backward_and_is_freed_without_recursion():
    limit = sys.getrecursionlimit()
    for backward in (True, False):
        x = Tensor(array(1.0))
        y = x
        for _ in range(100_000):
            y = y + 1.0
        if backward:
            y.sum().backward()
            assert host(x.grad) == 1.0
        del y
    assert sys.getrecursionlimit() == limit


def test_memory_stays_flat_over_10_000_steps_without_the_cyclic_collector():
    import tracemalloc

    rng = numpy.random.default_rng(0)
    w1, w2 = Tensor(rng.normal(size=(3, 8))), Tensor(rng.normal(size=(8, 1)))
    x = backend.asarray(rng.normal(size=(4, 3)))

    def step():
        loss = ((np.tanh(x @ w1) @ w2) ** 2).mean()
        loss.backward()
        for w in (w1, w2):
            w[...] = w.data - 0.001 * w.grad
            w.grad = None

    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        for _ in range(100):
            step()
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()  # tracing slows the steps between
        for _ in range(9_800):
            step()
        objects = len(gc.get_objects())
        tracemalloc.start()
        for _ in range(100):
            step()
        after = tracemalloc.get_traced_memory()[0]
        assert len(gc.get_objects()) - objects < 50
        assert after <= before + 10_000
    finally:
        tracemalloc.stop()
        gc.enable()


def test_no_two_gradients_share_memory():
    x, y, z = (Tensor(array(1.0, 2.0)) for _ in range(3))
    seed = array(1.0, 1.0)
    (x + y + z.reshape((2, 1)).reshape(2)).backward(seed)
    arrays = [x.grad, y.grad, z.grad, seed]
    for i, a in enumerate(arrays):
        for b in arrays[:i]:
            assert not numpy.shares_memory(_memory(a), _memory(b))
    x.grad *= 7  # which must not show elsewhere
    assert host(y.grad).tolist() == [1.0, 1.0]


def _memory(x):
    return getattr(x, "_host", x) if backend.current() == "strict" else host(x)


def test_a_gradient_that_arrives_by_broadcasting_is_a_writable_array():
    x = Tensor(array(1.0, 2.0))
    x.sum().backward()
    x.grad *= 2
    assert host(x.grad).tolist() == [2.0, 2.0]


# ----------------------------------------------------------------------------------------- dtypes


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_python_numbers_never_promote(dtype):
    x = Tensor(array(1.0, 2.0, dtype=dtype))
    y = (2.0 * x + 1) / 3 - x**2
    assert y.dtype == dtype
    y.sum().backward()
    assert x.grad.dtype == dtype


def test_a_gradient_has_its_inputs_dtype_where_dtypes_mix():
    x, y = Tensor(array(1.0, dtype="float32")), Tensor(array(2.0, dtype="float64"))
    (x * y).sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == ("float32", "float64")


def test_a_gradient_given_in_another_dtype_is_cast_to_that_of_its_tensor():
    x = Tensor(array(1.0, 2.0, dtype="float32"))
    x.backward(array(1.0, 2.0, dtype="float64"))
    assert x.grad.dtype == "float32"


@pytest.mark.parametrize("wrap", ["closure", "partial", "method"])
def test_what_a_rule_keeps_is_known_however_it_is_kept(wrap):
    import functools

    class Kept:
        def __init__(self, x):
            self.x = x

        def rule(self, g):
            return g * self.x

    @primitive
    def double(x):
        return 2 * x

    held = array(2.0, 2.0)
    rules = {
        "closure": lambda g: g * held,
        "partial": functools.partial(lambda x, g: g * x, held),
        "method": Kept(held).rule,
    }
    defvjp(double, lambda _, x: rules[wrap])
    kept = captured(double(Tensor(array(1.0, 1.0))).node)
    assert [id(value) for value in kept] == [id(held)]


def test_float32_only_names_the_operation_that_gave_float64():
    x = Tensor(array(1.0, dtype="float32"))
    with float32_only():
        np.exp(x * 2.0).sum().backward()
        with pytest.raises(TypeError, match="multiply gave float64"):
            x * array(2.0)


# -------------------------------------------------------------------------------- changes in place


def test_changing_a_needed_value_in_place_names_the_operation():
    x = Tensor(array(1.0, 2.0))
    y = np.exp(x) * x
    x[0] = 5.0
    with pytest.raises(RuntimeError, match=r"backward of multiply: .* shape \(2,\) .* in place"):
        y.sum().backward()


def test_a_change_through_a_view_of_the_same_memory_is_found_too():
    x = Tensor(array(1.0, 2.0))
    row = x.reshape((1, 2))
    y = row * row
    x[...] = 0.0
    with pytest.raises(RuntimeError, match="changed in place"):
        y.sum().backward()


def test_changing_a_value_that_no_gradient_needs_is_fine():
    x = Tensor(array(1.0, 2.0))
    y = x + 1.0
    x[0] = 5.0
    y.sum().backward()
    assert host(x.grad).tolist() == [1.0, 1.0]


def test_assignment_to_a_result_is_refused():
    y = Tensor(array(1.0, 2.0)) * 2.0
    with pytest.raises(TypeError, match=r"result of 'multiply'.*where"):
        y[0] = 1.0


def test_assignment_of_a_tensor_is_refused():
    x = Tensor(array(1.0, 2.0))
    with pytest.raises(TypeError, match="lose its gradient"):
        x[0] = x[1]


def test_adding_to_a_tensor_in_a_loop_makes_new_tensors():
    x = Tensor(array(1.0))
    y = x
    y += 1.0
    assert host(x) == 1.0 and host(y) == 2.0


def test_debug_finds_a_plain_array_changed_behind_the_graph():
    x, factor = Tensor(array(1.0, 2.0)), array(3.0, 4.0)
    with debug():
        y = x * factor
        factor[0] = 7.0
        with pytest.raises(RuntimeError, match=r"was changed after.*test_core\.py"):
            y.sum().backward()


# ------------------------------------------------------------------------------------------ errors


def test_shape_mismatch_names_the_operation_and_both_shapes():
    with pytest.raises(ValueError, match=r"^add: .*\(2, 3\) float64, \(4,\) float64$"):
        Tensor(numpy.zeros((2, 3))) + backend.asarray(numpy.zeros(4))


def test_integers_cannot_have_gradients():
    with pytest.raises(TypeError, match=r"floating-point data, not int64; convert with .astype"):
        Tensor(numpy.arange(3))
    with pytest.raises(TypeError, match="integer 3"):
        grad(lambda x: x * x)(3)


def test_backward_of_a_non_scalar_asks_for_a_gradient():
    with pytest.raises(ValueError, match=r"shape \(2,\) is not a scalar; pass the gradient"):
        (Tensor(array(1.0, 2.0)) * 2).backward()
    with pytest.raises(ValueError, match=r"shape \(3,\), the Tensor \(2,\)"):
        (Tensor(array(1.0, 2.0)) * 2).backward(array(1.0, 1.0, 1.0))


def test_a_rule_that_gives_a_wrong_shape_is_named():
    @primitive
    def f(x):
        return x * 2

    defvjp(f, lambda _, x: lambda g: g[:1].sum() * array(1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match=r"backward of f: .*\(3,\) for an input \(2,\)"):
        f(Tensor(array(1.0, 2.0))).sum().backward()


def test_an_argument_without_a_rule_is_refused_at_once():
    @primitive
    def f(x, y):
        return x * y

    defvjp(f, lambda _, x, y: lambda g: g * y)
    with pytest.raises(NotImplementedError, match="f: no gradient is defined"):
        f(1.0, Tensor(array(1.0)))


def test_a_function_without_a_gradient_refuses_tensors():
    with pytest.raises(TypeError, match="percentile: this function has no gradient here"):
        np.percentile(Tensor(array(1.0, 2.0)), 50)


def test_numpys_own_functions_refuse_tensors():
    with pytest.raises(TypeError):
        numpy.exp(Tensor(array(1.0)))
    with pytest.raises(TypeError, match=r"autograd\.numpy"):
        numpy.asarray(Tensor(array(1.0)))


def test_debug_shows_the_line_that_ran_the_forward_operation():
    @primitive
    def f(x):
        return x + 0

    def fail(g):
        raise ValueError("no")

    defvjp(f, lambda _, x: fail)
    with debug(), pytest.raises(ValueError, match=r"test_core\.py:\d+ \(y = f"):
        y = f(Tensor(array(1.0)))
        y.sum().backward()


def test_debug_reports_the_first_nan_where_it_arises():
    x = Tensor(array(-1.0, 4.0))
    with (
        debug(),
        numpy.errstate(all="ignore"),
        pytest.raises(FloatingPointError, match=r"^sqrt: 1 NaN"),
    ):
        np.exp(np.sqrt(x)).sum()


def test_debug_reports_an_infinity_that_arises_in_the_backward_pass():
    x = Tensor(array(0.0, 4.0))
    with debug(), numpy.errstate(all="ignore"):
        y = np.sqrt(x).sum()
        with pytest.raises(FloatingPointError, match=r"^backward of sqrt: 1 NaN or inf"):
            y.backward()


def test_profile_counts_forward_and_backward():
    x = Tensor(array(1.0))
    with profile() as times:
        np.exp(np.exp(x)).sum().backward()
    assert len(times["exp"]) == 2 and len(times["exp ↩"]) == 2


def test_targets_limit_the_backward_pass_to_what_leads_to_them():
    x, w = Tensor(array(2.0)), Tensor(array(3.0))
    y = (x * w * w).sum()
    calls = []

    class Watch:
        def forward(self, name, args, run):
            return run()

        def recorded(self, node):
            pass

        def backward(self, node, gradient, run):
            calls.append(node.name)
            return run()

    with core.hook(Watch()):
        [(node, g)] = backward_pass([(y.node, array(1.0).reshape(()))], [x.node])
    assert node is x.node and host(g) == 9.0
    assert w.grad is None and x.grad is None


@pytest.mark.parametrize("create_graph", [False, True])
@pytest.mark.parametrize("shape", [(), (3,)])
def test_gradients_of_several_backward_passes_add_up(shape, create_graph):
    x = Tensor(backend.asarray(numpy.full(shape, 2.0)))
    for _ in range(3):
        np.sum(x * x).backward(create_graph=create_graph)
    numpy.testing.assert_array_equal(backend.to_numpy(x.grad), numpy.full(shape, 12.0))
