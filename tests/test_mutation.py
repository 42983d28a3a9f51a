"""Planted faults are noticed, and nothing of them stays behind. All of them: ``-m slow``."""

import dataclasses
import os

import numpy
import pytest

import autograd.numpy as np
from autograd import backend, core, grad
from autograd.table import find, operations
from tests import mutation
from tests.faults import ENGINE, FAULTS, changed, ignored, negated, planted


def slope(f, x):
    return float(backend.to_numpy(grad(lambda x: np.sum(f(x)))(backend.asarray([x])))[0])


@pytest.mark.parametrize(
    "name",
    [
        "numpy.elementwise.multiply",  # two inputs, broadcast
        "numpy.elementwise.floor",  # a constant
        "numpy.reductions.sum",  # linear
        "numpy.shapes.array_split",  # several results
        "numpy.shapes.concatenate_args",  # one rule for all inputs
        "nn.activations.softmax",  # another form when recorded
    ],
)
def test_no_fault_in_these_rules_survives(name):
    results = list(mutation.run(name))
    assert len(results) >= (1 if name.endswith("floor") else len(FAULTS))
    assert not [str(result) for result in results if result.fate != "killed"]


def test_a_fault_is_there_within_the_block_and_gone_after_it():
    rules = find("sin").function.rules
    with planted(rules, 0, negated):
        assert slope(np.sin, 0.3) == pytest.approx(-numpy.cos(0.3))
    assert slope(np.sin, 0.3) == pytest.approx(numpy.cos(0.3))


def test_a_fault_is_gone_after_an_error_too():
    before = slope(np.floor, 0.3), slope(np.sin, 0.3)
    for name in ("floor", "sin"):
        with pytest.raises(KeyError), planted(find(name).function.rules, 0, negated):
            raise KeyError
    assert (slope(np.floor, 0.3), slope(np.sin, 0.3)) == before


def test_a_fault_in_one_of_all_inputs_leaves_the_others_right():
    x = backend.asarray([2.0])
    with planted(find("concatenate_args").function.rules, 2, ignored):
        first, second = grad(lambda xs: np.sum(np.concatenate([xs[0], xs[1]])))([x, x])
    assert (first.item(), second.item()) == (1.0, 0.0)


def test_a_line_of_the_engine_is_changed_and_changed_back():
    add = ENGINE[2]
    assert add[1] is core.backward_pass
    with changed(*add[1:]):
        assert slope(lambda x: x * x, 3.0) == 3.0  # one of the two gradients is lost
    assert slope(lambda x: x * x, 3.0) == 6.0


@pytest.mark.parametrize("fault", ENGINE, ids=[name for name, *_ in ENGINE])
def test_the_faults_of_the_engine_fit_its_source(fault):
    with changed(*fault[1:]):
        pass


def test_a_fault_that_does_not_fit_the_source_is_refused():
    with (
        pytest.raises(ValueError, match=r"_fit no longer has the line 'x \+= 1' once"),
        changed(core._fit, "x += 1", "x += 2"),
    ):
        pass


def test_a_mutant_that_no_check_notices_survives_with_exit_code_1(monkeypatch, capsys):
    monkeypatch.setattr(mutation, "fails", lambda op, seed, order: "")
    assert mutation.main(["elementwise.tanh", "--jobs", "1"]) == 1
    output = capsys.readouterr().out
    assert output.count("SURVIVED") == len(FAULTS)
    assert f"{len(FAULTS)} mutants: 0 killed, {len(FAULTS)} survived" in output


def test_a_check_that_fails_without_a_fault_kills_nothing(monkeypatch):
    mutation.fails_anyway.cache_clear()
    monkeypatch.setattr(mutation, "fails", lambda op, seed, order: "GradientError")
    results = list(mutation.run("elementwise.tanh"))
    mutation.fails_anyway.cache_clear()
    assert [result.fate for result in results] == ["BROKEN"]
    assert "of 1 the checks fail without a fault" in mutation.summary(results)


def test_an_operation_that_raises_is_reported_and_stops_nothing(monkeypatch):
    def broken(*args):
        raise TypeError("oh")

    op = dataclasses.replace(find("tanh"), function=core.primitive(broken))
    core.defvjp(op.function, lambda _, x: lambda g: g)
    target = mutation.Target(op.name, op.function.rules, [op])
    monkeypatch.setitem(operations, op.name, op)
    mutation.samples.cache_clear()
    results = list(mutation.try_all(target))
    mutation.samples.cache_clear()
    mutation.fails_anyway.cache_clear()
    assert [result.fate for result in results] == ["BROKEN"]
    assert "TypeError without a fault" in results[0].note


def test_an_argument_that_no_sample_meets_is_a_survivor(monkeypatch):
    monkeypatch.setattr(mutation, "samples", lambda name: [])
    results = list(mutation.run("elementwise.tanh"))
    assert {result.note for result in results} == {"no sample meets this argument"}


def test_all_killed_gives_exit_code_0_and_the_count(capsys):
    assert mutation.main(["elementwise.exp2", "--jobs", "1", "-v"]) == 0
    output = capsys.readouterr().out
    assert output.count("killed  ") == len(FAULTS)
    assert f"{len(FAULTS)} mutants: {len(FAULTS)} killed, 0 survived" in output


@pytest.mark.slow
def test_no_fault_at_all_survives():
    results = list(mutation.run(jobs=os.cpu_count() or 1))
    assert not [str(result) for result in results if result.fate != "killed"]
