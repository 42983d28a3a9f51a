"""Steps that are recorded and replayed: the same bits, and never anything else unnoticed."""

import warnings

import numpy
import pytest

import autograd.numpy as np
from autograd import Tensor, backend, make_vjp
from autograd.backend.whole import whole
from autograd.debug import debug
from autograd.nn import dense, dense_relu, dropout, softmax_cross_entropy
from autograd.replay import MANY, NotReplayed, recorded
from autograd.structures import like
from autograd.table import Draw, operations
from scratchgen.optim import Adam

pytestmark = pytest.mark.skipif(
    "backend.current() != 'numpy'", reason="steps are recorded on NumPy only"
)


def draws(*shape, seed=0, count=6):
    return numpy.random.default_rng(seed).standard_normal((count, *shape)).astype("float32")


class Classifier:
    """Two dense layers with dropout, and how they are trained."""

    def __init__(self):
        rng = numpy.random.default_rng(1)
        shapes = [(5, 7), (7,), (7, 3), (3,)]
        self.weights = [Tensor(rng.standard_normal(s).astype("float32")) for s in shapes]
        self.optimiser = Adam(self.weights, 1e-2)

    def loss(self, x, labels, rng):
        h = dropout(dense_relu(x, *self.weights[:2]), 0.3, rng)
        logits = dense(np.tanh(h) * 2.0 + h, *self.weights[2:])
        return np.mean(softmax_cross_entropy(logits, labels)), logits

    def step(self, x, labels, rng):
        loss, logits = self.loss(x, labels, rng)
        loss.backward()
        self.optimiser.step()
        return {"loss": loss, "logits": logits.detach(), "count": len(x)}


def labels_of(x):
    return (numpy.arange(len(x)) * 7 // 3) % 3


def test_training_is_the_same_bit_for_bit():
    ordinary, replayed = Classifier(), Classifier()
    step = recorded(replayed.step)
    for i, x in enumerate(draws(8, 5)):
        labels = (labels_of(x) + i) % 3
        expected = ordinary.step(x, labels, numpy.random.default_rng(i))
        found = step(x, labels, numpy.random.default_rng(i))
        assert found["loss"] == expected["loss"].data
        assert (found["logits"] == expected["logits"]).all()
        assert found["count"] == 8
        assert ordinary.optimiser.flat.data.tobytes() == replayed.optimiser.flat.data.tobytes()
    assert step.refusal is None
    assert "dense_relu(" in step.source


def test_there_is_no_source_before_it_was_recorded():
    step = recorded(lambda x: x * 2)
    with pytest.raises(RuntimeError, match="call it twice"):
        _ = step.source


def test_the_source_is_a_line_for_each_call():
    step = recorded(lambda x: np.exp(x * 2.0) + 1.0)
    for x in draws(4):
        step(x)
    lines = [line.strip() for line in step.source.splitlines() if not line.startswith("#")]
    assert [line.partition("(")[0] for line in lines[1:4]] == ["multiply", "exp", "add"]
    assert len(lines) == 5


def test_buffers_are_used_again_as_soon_as_nothing_reads_them():
    def chain(x):
        for _ in range(50):
            x = np.tanh(x) + 1.0
        return x

    step = recorded(chain)
    for x in draws(100):
        assert (step(x) == chain(x)).all()
    program = step._known[0][1]
    assert program.bytes <= 3 * 400


def test_a_view_of_a_buffer_keeps_it():
    def step(x):
        y = np.exp(x)
        first = y[:, :2]
        z = np.tanh(x)  # of the same size as y, which is still read through its view
        z = np.sin(z)
        return first * 2.0, np.sum(z)

    replayed = recorded(step)
    for x in draws(3, 4):
        for a, b in zip(replayed(x), step(x), strict=True):
            assert (a == b).all()


def test_what_is_returned_is_the_callers():
    step = recorded(lambda x: np.exp(x))
    results = [step(x) for x in draws(4)]
    for x, y in zip(draws(4), results, strict=True):
        assert (y == numpy.exp(x)).all()


READINGS = {
    "bool": lambda x: 1.0 if x[0] > 0 else 2.0,
    "float": lambda x: float(np.sum(x)),
    "int": lambda x: int(np.sum(x)),
    "index": lambda x: [1.0, 2.0][np.argmax(x) % 2],
    "item": lambda x: np.sum(x).item(),
    "tolist": lambda x: x.tolist()[0],
    "asarray": lambda x: numpy.asarray(x)[0],
    "python": lambda x: float(np.array_equal(x, x + 1)),
}


@pytest.mark.parametrize("name", READINGS)
def test_a_step_that_reads_a_value_is_not_replayed_and_says_so(name):
    def function(x):
        return x * READINGS[name](x)

    step = recorded(function)
    first, *others = draws(4)
    with pytest.warns(NotReplayed, match="it reads a value|which is no array"):
        found = step(first)
    assert (found == function(first)).all()
    for x in others:
        assert (step(x) == function(x)).all()


def test_a_step_that_keeps_an_array_is_not_replayed_and_goes_on():
    class Running:
        mean = numpy.zeros(4, "float32")

        def step(self, x):
            self.mean = 0.9 * self.mean + 0.1 * x
            return self.mean * 1.0

    ordinary, kept = Running(), Running()
    step = recorded(kept.step)
    for i, x in enumerate(draws(4)):
        if i == 0:
            with pytest.warns(NotReplayed, match="kept outside"):
                found = step(x)
        else:
            found = step(x)
        assert (found == ordinary.step(x)).all()


def test_an_array_that_is_written_in_place_is_written_in_each_replay():
    mean, other = numpy.zeros(4, "float32"), numpy.zeros(4, "float32")

    def update(mean, x):
        mean += np.exp(x)
        np.copyto(mean, np.sqrt(np.exp(mean)))
        mean *= x

    step = recorded(lambda x: update(mean, x))
    for x in draws(4):
        step(x)
        update(other, x)
        assert (mean == other).all()
    assert step.refusal is None


def test_a_change_that_is_not_of_the_steps_arrays_is_noticed_where_it_also_writes():
    mean = numpy.zeros(4, "float32")

    def step(x):
        numpy.add(mean, x, out=mean)
        numpy.multiply(mean, 0.9, out=mean)
        numpy.add(mean, x, out=mean)

    with pytest.warns(NotReplayed, match="in a way that is not seen"):
        recorded(step)(draws(4)[0])


def test_an_assignment_that_numpy_makes_by_itself_is_noticed():
    mean = numpy.zeros(4, "float32")

    def step(x):
        mean[...] = np.exp(x)

    with pytest.warns(NotReplayed, match="reads a value"):
        recorded(step)(draws(4)[0])


def test_what_depends_on_a_counter_is_noticed():
    count = 0

    def function(x):
        nonlocal count
        count += 1
        return x * float(count)

    step = recorded(function)
    first, second, third = draws(4, count=3)
    step(first)
    with pytest.warns(NotReplayed, match="multiply something else the second time"):
        assert (step(second) == second * 2.0).all()
    assert (step(third) == third * 3.0).all()


def test_numbers_drawn_behind_its_back_are_noticed():
    rng = numpy.random.default_rng(0)
    step = recorded(lambda x: x + rng.standard_normal(4).astype("float32"))
    first, second = draws(4, count=2)
    step(first)
    with pytest.warns(NotReplayed, match="add something else"):
        step(second)


def test_another_number_of_calls_is_noticed():
    depths = iter([2, 3])

    def function(x):
        for _ in range(next(depths)):
            x = np.exp(-x)
        return x

    step = recorded(function)
    step(draws(4)[0])
    with pytest.warns(NotReplayed, match="calls the first time"):
        step(draws(4)[1])


def test_other_shapes_and_other_numbers_are_recorded_by_themselves():
    step = recorded(lambda x, scale: np.exp(x) * scale)
    for scale in (1.0, 2.0):
        for shape in ((3,), (2, 3), ()):
            for x in draws(*shape):
                x = numpy.asarray(x)
                assert (step(x, scale) == numpy.exp(x) * scale).all()
    assert len(step._known) == 6


def test_too_many_signatures_are_a_reason():
    step = recorded(lambda x, i: x * i)
    x = draws(3)[0]
    for i in range(MANY):
        step(x, i)
    with pytest.warns(NotReplayed, match="different sets of shapes and numbers"):
        step(x, MANY)
    assert (step(x, 100) == x * 100).all()


def test_a_parameter_that_moved_is_found_where_it_is():
    ordinary, replayed = Classifier(), Classifier()
    step = recorded(replayed.step)
    for i, x in enumerate(draws(8, 5, count=9)):
        if i == 4:
            for model in (ordinary, replayed):
                model.optimiser = Adam(model.weights, 1e-2)
        arguments = x, labels_of(x)
        ordinary.step(*arguments, numpy.random.default_rng(i))
        step(*arguments, numpy.random.default_rng(i))
        assert ordinary.optimiser.flat.data.tobytes() == replayed.optimiser.flat.data.tobytes()
    assert step.refusal is None


def test_gradients_that_were_not_used_up_are_added_to():
    w = Tensor(numpy.ones(3, "float32"))

    @recorded
    def step(x):
        np.sum(np.exp(w * x)).backward()

    x = draws(3)[0]
    for _ in range(3):
        step(x)
        one = w.grad.copy()
        w.grad = None
    step(x)
    step(x)
    numpy.testing.assert_allclose(w.grad, 2 * one, rtol=1e-6)


def test_a_gradient_without_a_home_outlives_the_step():
    w, other = (Tensor(numpy.ones(3, "float32")) for _ in range(2))

    def function(w, x):
        y = w * x
        np.sum(y * y + np.tanh(y)).backward()
        return np.exp(np.cos(np.sin(x)))  # which would use a buffer that is free

    step = recorded(lambda x: function(w, x))
    for x in draws(3):
        w.grad = other.grad = None
        step(x)
        function(other, x)
        assert (w.grad == other.grad).all()


def test_a_product_that_is_a_gradient_is_written_where_gradients_are_kept():
    step = recorded(Classifier().step)
    for i, x in enumerate(draws(8, 5, count=3)):
        step(x, labels_of(x), numpy.random.default_rng(i))
    lines = [line.strip() for line in step.source.splitlines()]
    kept = {line.split("(")[1].split(",")[0] for line in lines if line.startswith("copyto(")}
    assert len(kept) == 2, "biases' gradients are sums"
    assert sum(line.startswith("matmul_to(") for line in lines) == 3


def copied(y, kept):
    numpy.copyto(kept, y)
    return y


def between(y, kept, read):
    numpy.copyto(kept, y)
    return read


SEEN = numpy.zeros((2, 3, 3), "float32")  # by the recorded step, and by the step


@whole
def look(x) -> None:
    """Reads what is not among its arguments: what the step with this x keeps."""
    for seen, kept in zip(SEEN, KEPT, strict=True):
        seen[...] = kept


KEPT = numpy.ones((2, 3, 3), "float32")

STEPS_WITH_A_COPY = {
    "alone": lambda x, kept: numpy.copyto(kept, np.matmul(x, x)),
    "given back": lambda x, kept: copied(np.matmul(x, x), kept),
    "read again": lambda x, kept: copied(np.matmul(x, x), kept) + 1.0,
    "a view given back": lambda x, kept: copied(np.matmul(x, x).T, kept),
    "elementwise": lambda x, kept: numpy.copyto(kept, np.exp(x)),
    "another shape": lambda x, kept: numpy.copyto(kept, np.exp(x[0])),
    "another kind": lambda x, kept: numpy.copyto(kept, np.exp(x.astype("float64"))),
    "kept read before": lambda x, kept: copied(x * kept, kept) + np.matmul(x, kept),
    "kept read between": lambda x, kept: between(np.matmul(x, x), kept, x * kept),
    "a view of kept": lambda x, kept: between(np.matmul(x, x), kept, x[1:] * kept[1:]),
    "kept read unseen": lambda x, kept: between(np.matmul(x, x), kept, look(x)),
    "twice": lambda x, kept: between(np.matmul(x, x), kept, numpy.copyto(kept, np.exp(x))),
    "its own": lambda x, kept: numpy.copyto(kept, np.matmul(x, kept)),
}


@pytest.mark.parametrize("name", STEPS_WITH_A_COPY)
def test_what_is_copied_to_where_it_stays_is_there_at_the_same_time_as_without_recording(name):
    function = STEPS_WITH_A_COPY[name]
    KEPT[...] = 1.0
    replayed, ordinary = KEPT
    step = recorded(lambda x: function(x, replayed))
    found, meant, seen = [], [], []
    for x in draws(3, 3):
        found.append(step(x))
        seen.append(SEEN[0].copy())
        meant.append(function(x, ordinary))
        assert (replayed == ordinary).all()
        assert name != "kept read unseen" or (seen[-1] == SEEN[1]).all()
    assert step.refusal is None
    for one, other in zip(found, meant, strict=True):  # what was returned is the caller's
        assert one is other is None or (numpy.asarray(one) == numpy.asarray(other)).all()


def test_second_derivatives_are_replayed():
    def penalty(x):
        w = Tensor(x)
        pull, _ = make_vjp(lambda w: np.sum(np.tanh(w) ** 3))(w)
        return pull(numpy.ones((), "float32"))

    step = recorded(penalty)
    for x in draws(4):
        assert (np.asarray(step(x)) == np.asarray(penalty(x))).all()


def test_whole_functions_are_called_each_time():
    seen = []

    @whole
    def note(x):
        seen.append(x.sum())

    @recorded
    def step(x):
        note(np.exp(x))

    data = draws(4)
    for x in data:
        step(x)
    assert seen == [numpy.exp(x).sum() for x in data]
    assert step.refusal is None


def test_an_observer_sees_every_operation():
    step = recorded(lambda x: np.log(x))
    for x in numpy.exp(draws(3)):
        step(x)
    zero = numpy.errstate(divide="ignore")
    with debug(), zero, pytest.raises(FloatingPointError, match="log"):
        step(numpy.zeros(3, "float32"))


def test_an_error_leaves_it_usable():
    def function(x, fail):
        if fail:
            raise KeyError("here")
        return np.exp(x)

    step = recorded(function)
    x = draws(3)[0]
    step(x, False)
    with pytest.raises(KeyError):
        step(x, True)
    assert (step(x, False) == numpy.exp(x)).all()
    assert (step(x, False) == numpy.exp(x)).all()


NOT_OF_ARRAYS_ALONE: set[str] = set()
"""Operations that look at values: they decide what is computed."""


@pytest.mark.parametrize("name", sorted(operations))
def test_every_operation_and_its_gradient_replay_to_the_same_bits(name):
    operation = operations[name]
    for seed in range(3):
        function, arrays = operation.of_arrays(*operation.samples(Draw(seed)))
        arrays = [backend.asarray(x) for x in arrays]

        def step(*arrays, function=function):
            pull, y = make_vjp(function, tuple(range(len(arrays))))(*arrays)
            leaves = y if isinstance(y, tuple | list) else [y]
            if not arrays or any(x.dtype.kind != "f" for x in leaves):
                return y
            ones = [np.ones(x.shape, x.dtype) for x in leaves]
            return y, pull(like(y, ones) if isinstance(y, tuple | list) else ones[0])

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotReplayed)
            replayed = recorded(step)
            for scale in (1.0, 1.001, 0.999, 1.0):
                given = [x * scale for x in arrays]
                assert same(replayed(*given), step(*given))
        assert (replayed.refusal is None) == (name not in NOT_OF_ARRAYS_ALONE), replayed.refusal


def same(a, b):
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(same, a, b))
    a, b = (x.data if isinstance(x, Tensor) else x for x in (a, b))
    a, b = numpy.asarray(a), numpy.asarray(b)
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()
