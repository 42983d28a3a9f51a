"""Steps that a recording might get wrong: taken by themselves and recorded, each in its own world.

After every call results and state must be the same bits, whether it is replayed or not.
"""

import itertools
import threading
import warnings

import numpy
import pytest

import autograd.numpy as np
from autograd import Tensor, backend, make_vjp, no_grad  # noqa: F401 (pytestmark)
from autograd.backend.whole import whole
from autograd.core import primitive
from autograd.replay import AGAIN, NotReplayed, recorded
from scratchgen.optim import Adam
from tests.test_replay import draws, same

pytestmark = pytest.mark.skipif(
    "backend.current() != 'numpy'", reason="steps are recorded on NumPy only"
)

MATRICES = [(x,) for x in draws(4, 4)]
TWICE_THE_SAME = [MATRICES[0], *MATRICES[:1], *MATRICES[1:4]]
"""Full batches: the two calls that are recorded have nothing to tell them apart."""


def four():
    return numpy.zeros(4, "float32")


def weights():
    return Tensor(numpy.ones(4, "float32"))


def average_scaled_then_added_to():
    mean = four()

    def step(x):
        nonlocal mean
        mean *= 0.9  # NumPy's, unseen
        mean += 0.1 * np.mean(x, axis=0)
        return x - mean

    return step, lambda: mean


def average_added_to_then_scaled():
    mean = four()

    def step(x):
        nonlocal mean
        mean += np.mean(x, axis=0)
        mean *= 0.9

    return step, lambda: mean


def change_read_through_a_view():
    mean = four()

    def step(x):
        nonlocal mean
        np.copyto(mean, np.mean(x, axis=0))
        mean *= 2
        return np.exp(mean[:2])

    return step, lambda: mean


def counter_that_is_an_array():
    count = four()

    def step(x):
        nonlocal count
        count += 1
        return x * count

    return step, lambda: count


def trained_by(change, optimiser=True):
    """A step of one weight vector, with ``change(w)`` between backward pass and optimiser."""

    def world():
        w = weights()
        adam = Adam([w], 0.5) if optimiser else None

        def step(x):
            loss = np.sum(np.tanh(x * w))
            loss.backward()
            found = change(w)
            if adam:
                adam.step()
            else:
                w.grad = None
            return loss, found

        return step, lambda: w.data

    return world


def descend(w):
    w.data -= 0.1 * w.grad


def assign(w):
    w[...] = w.data - 0.1 * w.grad


def decay_in_the_gradient(w):
    w.grad = w.grad + 0.1 * w.data


def scale_the_gradient(w):
    w.grad *= numpy.array([1, 2, -3, 4], "float32")


def weights_changed_after_the_optimiser(change):
    def world():
        w = weights()
        adam = Adam([w], 0.5)

        def step(x):
            loss = np.sum(np.tanh(x * w))
            loss.backward()
            adam.step()
            change(w)
            return loss

        return step, lambda: w.data

    return world


def decay(w):
    w.data *= 0.9


def weights_that_stand_still_at_first():
    v, gate = weights(), Tensor(four())
    adam = Adam([v, gate], 0.1)

    def step(x):
        doubled = v.data * 2.0  # NumPy's, unseen; v has gradient 0 while the gate is closed
        loss = np.sum(np.tanh(x * gate * v) - gate) + np.sum(doubled * x)
        loss.backward()
        adam.step()
        return loss

    return step, lambda: v.data


def into_an_array(write):
    """``write(x, array)`` into one that is there, which is then read."""

    def world():
        array = numpy.zeros((4, 4), "float32")

        def step(x):
            write(x, array)
            return np.exp(array * 1.0) if write is copied else None

        return step, lambda: array

    return world


def copied(x, array):
    np.copyto(array, np.tanh(x))


def whole_that_returns_what_it_is_given():
    sums = []

    @whole
    def noted(x):
        sums.append(x.sum())
        return x

    return lambda x: noted(np.exp(x)) * 2.0, lambda: numpy.array(sums)


def whole_that_adds_to_a_list():
    found = []

    @whole
    def note(found, x):
        found.append(float(x.sum()))

    return lambda x: note(found, np.exp(x)), lambda: numpy.array(found)


def number_returned_that_counts():
    calls = 0

    def step(x):
        nonlocal calls
        calls += 1
        return np.exp(x), calls

    return step, four


def error_that_is_caught():
    @whole
    def check(x):
        if x.sum() < 0:
            raise ValueError

    def step(x):
        try:
            check(x)
        except ValueError:
            return x * 2.0
        return x * 3.0

    return step, four


def of(function):
    """A world without state."""
    return lambda: (function, four)


def windows(x):
    found = numpy.lib.stride_tricks.sliding_window_view(np.exp(x), 2, axis=0)
    z = np.sin(np.cos(np.tanh(x)))  # would use the buffer of exp(x) if its views did not keep it
    return np.sum(found, axis=-1), z


def scalar_in_place(x):
    total = np.sum(x)
    total += 1.0
    return total


def number_used_three_times():
    w = Tensor(numpy.ones((), "float32"))

    def step(x):
        (np.sum(w * x) + np.sum(w * w) + np.exp(w)).backward()

    def gradient():
        found, w.grad = w.grad, None
        return found

    return step, gradient


def rows(*signs):
    return [(numpy.array(x, "float32"),) for x in signs]


ONE_LEFT = rows([1, 2, -1], [2, 3, -1], [1, -1, -1], [-1, 2, 3])

IN_ORDERS = numpy.ascontiguousarray, numpy.asfortranarray, numpy.flipud, numpy.asfortranarray


def made_anew_and_written(write):
    """An array that the step makes itself, by NumPy alone, and then changes."""

    def step(x):
        y = numpy.zeros((4, 4), "float32")
        write(y, x)
        return np.exp(y)

    return of(step)


def list_with_a_view():
    @primitive
    def tail(x, kept):
        kept.append(x[1:])
        return x[0] * 2.0

    def step(x):
        kept = []
        y = tail(np.exp(x), kept)
        z = np.sin(np.tanh(x))  # would use the buffer of exp(x) if the list did not keep it
        return y, z, kept[0] * 3.0

    return step, four


def row_that_depends_on_a_value(x):
    return np.exp(x)[np.argmax(x[:, 0])] * 2.0, np.sin(np.tanh(x))


def gradients_that_add_up_at_home():
    w = weights()
    adam = Adam([w], 0.1)

    def step(x):
        np.sum(np.tanh(x * w)).backward()

    calls = itertools.count(1)

    def left():
        found = w.grad.copy()
        if next(calls) not in (4, 5):
            adam.step()
        return found, w.data.copy()

    return step, left


REFUSED = {
    "average, scaled and added to": (average_scaled_then_added_to, MATRICES),
    "average, added to and scaled": (average_added_to_then_scaled, MATRICES),
    "change read through a view": (change_read_through_a_view, MATRICES),
    "counter": (counter_that_is_an_array, MATRICES),
    "descent by hand, in place": (trained_by(descend, optimiser=False), MATRICES),
    "gradient assigned": (trained_by(decay_in_the_gradient), MATRICES),
    "gradient scaled": (trained_by(scale_the_gradient), MATRICES),
    "gradient's norm": (trained_by(lambda w: (w.grad**2).sum()), MATRICES),
    "weights bounded": (
        weights_changed_after_the_optimiser(lambda w: numpy.clip(w.data, -0.9, 0.9, out=w.data)),
        MATRICES,
    ),
    "weights decayed": (weights_changed_after_the_optimiser(decay), MATRICES),
    "weights stand still at first": (weights_that_stand_still_at_first, MATRICES),
    "out by position, sum": (into_an_array(lambda x, a: np.exp(x).sum(0, None, a[0])), MATRICES),
    "out by position, dot": (
        into_an_array(lambda x, a: numpy.dot(np.exp(x), np.sin(x), a)),
        MATRICES,
    ),
    "out by position, clip": (into_an_array(lambda x, a: np.exp(x).clip(0, 1, a)), MATRICES),
    "mask of one": (of(lambda x: np.sum(np.exp(x[x > 0]))), ONE_LEFT),
    "count of a mask": (of(lambda x: np.sum(x) / len(x[x > 0])), ONE_LEFT),
    "count of nonzero": (of(lambda x: np.sum(x) / len(np.nonzero(x > 0)[0])), ONE_LEFT),
    "count of unique": (
        of(lambda x: np.sum(x) / len(numpy.unique(x))),
        rows([1, 1, 2], [3, 3, 2], [1, 2, 3]),
    ),
    "windows": (of(windows), MATRICES),
    "real, full batch": (of(lambda x: x.real * 2.0), TWICE_THE_SAME),
    "mT, full batch": (of(lambda x: np.exp(x.mT)), TWICE_THE_SAME),
    "third power of a number": (of(lambda x: np.sum(x) ** 3), [(x,) for x in draws(5, count=30)]),
    "number returned": (number_returned_that_counts, MATRICES),
    "whole returns its argument": (whole_that_returns_what_it_is_given, MATRICES),
    "whole adds to a list": (whole_that_adds_to_a_list, MATRICES),
    "error caught": (error_that_is_caught, rows([-1], [-2], [3], [4])),
    "out=None": (of(lambda x: numpy.sum(np.exp(x), axis=0, out=None)), MATRICES),
    "0 and -0": (
        of(lambda x, zero: np.divide(x, zero)),
        [(numpy.ones(3, "float32"), zero) for zero in (0.0, 0.0, 0.0, -0.0)],
    ),
}
"""What would be replayed to other numbers, if it were not noticed."""

ODD = {
    "number in place": (of(scalar_in_place), MATRICES),
    "number used three times": (number_used_three_times, MATRICES),
    "+x": (of(lambda x: +x), MATRICES),
    "divmod": (of(lambda x: divmod(x, 2.0)), MATRICES),
    "shifts": (of(lambda x: x.astype(int) << 2), MATRICES),
}
"""What NumPy's numbers, or Tensors, do in ways of their own."""

RIGHT = {
    "in place, seen": (into_an_array(copied), MATRICES),
    "assignment by hand": (trained_by(assign, optimiser=False), MATRICES),
    "nothing": (of(lambda x: (np.exp(x[:0]) * 2.0, np.sum(np.exp(x[:0])), np.exp(x))), MATRICES),
    "orders of memory": (
        of(lambda x: (np.exp(x) + np.tanh(x.T), np.exp(x)[::-1] * 2.0, np.exp(x).sum())),
        [(order(x),) for order in IN_ORDERS for x in draws(60, 60)],
    ),
    "types": (
        of(
            lambda x: (
                np.exp(x).astype("float64") * x,
                (x > 0) & (x < 1),
                ~(x > 0),
                (x > 0) * np.exp(x),
            )
        ),
        [*MATRICES[:4], *[(x.astype("float64"),) for (x,) in MATRICES]],
    ),
    "as large and of another type": (
        of(lambda x: np.exp(x) * (np.tanh(x) > 0).astype("int32") + np.abs(x.astype("int32"))),
        MATRICES,
    ),
    "powers": (
        of(lambda x: (x**0.5, x**-1, x**2, x**3, 2.0**x)),
        [(x,) for x in numpy.exp(draws(500))],
    ),
    "in place on what it made": (of(lambda x: np.exp(x.copy().__iadd__(1))), MATRICES),
    "1, 1.0 and True": (
        of(lambda x, one: np.multiply(x, one)),
        [(numpy.arange(3), one) for one in (1, 1, 1, 1.0, 1.0, 1.0, True, True)],
    ),
    "types of one size": (
        of(lambda x: (x * 2, np.abs(x) - x)),
        [(x.astype(kind),) for kind in ("float32", "int32", "uint32") for (x,) in MATRICES[:3]],
    ),
    "structures": (
        of(lambda d: np.concatenate([d["a"], np.exp(d["b"][0])])),
        [({"a": x, "b": (2 * x,)},) for x in draws(4)],
    ),
    "several views": (of(lambda x: [y * 2.0 for y in numpy.split(np.exp(x), 2)]), MATRICES),
    "indices": (
        of(lambda x: (x[..., None][1:, 0], x[[0, 2], 1:], x[np.argsort(x[:, 0])])),
        MATRICES,
    ),
    "made anew, add.at": (
        made_anew_and_written(lambda y, x: numpy.add.at(y, [0, 0], x[:2])),
        TWICE_THE_SAME,
    ),
    "made anew, copyto": (
        made_anew_and_written(lambda y, x: np.copyto(y, x, where=x > 0)),
        TWICE_THE_SAME,
    ),
    "made anew, out": (made_anew_and_written(lambda y, x: numpy.add(y, x, out=y)), TWICE_THE_SAME),
    "list with a view": (list_with_a_view, MATRICES),
    "row by a value": (of(row_that_depends_on_a_value), MATRICES),
    "gradients that add up": (gradients_that_add_up_at_home, [*MATRICES, *MATRICES]),
    "ties": (
        of(lambda x: (x <= 0, x < 0, x >= 0, x > 0, x == 0, x != 0, x // 2, 7 % (x + 5))),
        [(numpy.array(x),) for x in ([0, 1, -1], [1, 0, 0], [0, 0, -2], [3, 0, -1])],
    ),
    "bits": (
        of(lambda x: (x & 3, 5 | x, x ^ 6, ~x, -x, abs(x), 2 - x, 2**x, x @ x, 2 / x)),
        [(numpy.array(x),) for x in ([7, 1, 2], [1, 4, 6], [3, 5, 2], [3, 8, 1])],
    ),
    "not a number": (of(lambda x: np.log(x) + np.maximum(x, np.log(-x))), MATRICES),
}


def _world(cases, mark):
    return [pytest.param(*case, id=name, marks=mark) for name, case in cases.items()]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("world", "arguments"),
    [
        *_world(RIGHT, []),
        *_world(REFUSED, []),
        *_world(ODD, []),
    ],
)
def test_a_recorded_step_does_what_the_step_does(world, arguments):
    (ordinary, left), (step, left_too) = world(), world()
    step = recorded(step)
    for given in arguments:
        expected = ordinary(*given)
        assert alike(step(*given), expected)
        assert alike(left_too(), left())


def alike(a, b):
    if isinstance(a, tuple | list) or a is None:
        return type(a) is type(b) and (a is None or all(map(alike, a, b)))
    return same(a, b)


@pytest.mark.parametrize(
    "use",
    [
        lambda x, calls: np.sum(x, axis=calls % 2),
        lambda x, calls: np.multiply(x.astype(int), [1, 1.0, True][calls % 3]),
        lambda x, calls: np.reshape(x, [(2, 8), (8, 2)][calls % 2]),
        lambda x, calls: x[[slice(1), slice(2, 3)][calls % 2]],
        lambda x, calls: x[[..., None][calls % 2]],
        lambda x, calls: x.astype(["float32", "float64"][calls % 2]),
        lambda x, calls: np.divide(x, [float("inf"), -float("inf")][calls % 2]),
        lambda x, calls: np.add(x, numpy.array([[0.0, -0.0][calls % 2]], "float32")),
        lambda x, calls: np.add(x, numpy.zeros(1, ["float32", "float64"][calls % 2])),
    ],
)
def test_whatever_is_another_in_the_second_call_is_noticed(use):
    calls = itertools.count()
    step = recorded(lambda x: use(x, next(calls)))
    step(*MATRICES[0])
    with pytest.warns(NotReplayed, match="the second time"):
        step(*MATRICES[0])


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng, x: rng.shuffle([1, 2, 3]),
        lambda rng, x: rng.bit_generator.random_raw(),
        lambda rng, x: rng.spawn(1)[0].random(3),
    ],
)
def test_what_a_generator_does_unseen_is_a_reason(draw):
    step, x = recorded(lambda x, rng: draw(rng, x)), numpy.arange(4)
    with pytest.warns(NotReplayed, match="it uses its generator's"):
        step(x, numpy.random.default_rng(0))


def test_rows_are_shuffled_as_they_would_be():
    def step(x, rng):
        y = x.copy()
        rng.shuffle(y)
        return y

    replayed, (x,) = recorded(step), MATRICES[0]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy, of what is no Sequence
        for seed in range(4):
            given = (x, numpy.random.default_rng(seed))
            assert same(replayed(*given), step(x, numpy.random.default_rng(seed)))


def test_a_replay_does_not_warn_of_what_rules_leave_out():
    def step(x):
        w = Tensor(x)
        pull, y = make_vjp(lambda w: np.sum(np.where(w > 0, np.sqrt(np.maximum(w, 0.0)), 0.0)))(w)
        return y, pull(numpy.ones((), "float32"))

    replayed, x = recorded(step), numpy.array([0.0, 4.0], "float32")
    with numpy.errstate(all="ignore"):
        for _ in range(3):
            replayed(x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        replayed(x)


@pytest.mark.parametrize(
    "views", [lambda x: numpy.split(x, 2), lambda x: numpy.broadcast_arrays(x, x)]
)
def test_views_that_are_returned_are_the_callers(views):
    step = recorded(lambda x: views(np.exp(x)))
    results = [step(x) for (x,) in MATRICES]
    for (x,), found in zip(MATRICES, results, strict=True):
        assert all(map(same, found, views(numpy.exp(x))))


@pytest.mark.filterwarnings("ignore")  # it is refused, as the first was changed
def test_an_array_that_is_no_result_is_the_callers_too():
    step = recorded(lambda x: (np.exp(x), numpy.zeros(3)))
    for (x,) in MATRICES:
        zeros = step(x)[1]
        assert not zeros.any()
        zeros += 1


def test_a_gradient_without_a_home_is_the_callers():
    w = weights()

    def step(x):
        np.sum(w * x + np.exp(w) * x).backward()  # arrives at w twice, and is added up

    replayed, found, expected = recorded(step), [], []
    for x in draws(4):
        for function, gradients in ((replayed, found), (step, expected)):
            w.grad = None
            function(x)
            gradients.append(w.grad)
    assert all(map(same, found, expected))


def test_a_tensor_among_the_arguments_is_itself():
    def step(w, x):
        np.sum(w * x).backward()

    step, (x, *_) = recorded(step), draws(3)
    first, second = (Tensor(numpy.ones((), "float32")) for _ in range(2))
    for _ in range(3):
        step(first, x)
        first.grad = None
    step(second, x)
    assert first.grad is None and second.grad == x.sum()


def test_an_argument_that_changes_inside_is_noticed():
    class Settings:
        scale = 1.0

    settings, step = Settings(), recorded(lambda x, settings: x * settings.scale)
    (x,) = MATRICES[0]
    with pytest.warns(NotReplayed, match="of type Settings"):
        step(x, settings)
    step(x, settings)
    settings.scale = 2.0
    assert same(step(x, settings), x * 2.0)


def test_constant_parameters_that_moved_are_noticed_when_it_is_recorded_again():
    w = weights()

    def step(x):
        with no_grad():
            return w * x

    replayed = recorded(step)
    for x in draws(4, count=3):
        replayed(x)
    Adam([w], 0.1)  # which has the weights in memory of its own
    w[...] = 5.0
    with pytest.warns(NotReplayed, match="multiply something else"):
        for _ in range(AGAIN[1]):
            replayed(x)
    assert same(replayed(x), step(x))


@pytest.mark.filterwarnings("ignore")
def test_what_is_a_view_of_an_argument_is_not_taken_for_a_constant():
    step, batch = recorded(lambda x: np.exp(x.real)), numpy.zeros(4, "float32")
    for x in draws(4, count=3):
        batch[...] = x  # the same memory each time
        step(batch)
    other = draws(4, seed=7)[0]
    assert same(step(other), numpy.exp(other))


def test_threads_do_not_share_buffers():
    def function(x):
        for _ in range(20):
            x = np.tanh(np.sin(x) + 1.0)
        return x

    step = recorded(function)
    given = draws(200, 200, count=3)
    expected = [function(x) for x in given]
    for x in given[:2]:
        step(x)
    wrong = []

    def work(i):
        wrong.extend(i for _ in range(20) if not same(step(given[i]), expected[i]))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
