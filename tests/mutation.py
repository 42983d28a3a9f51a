"""Do the tests notice a wrong gradient? Plant every fault one at a time and see.

    python -m tests.mutation             # all operations and the engine
    python -m tests.mutation reductions  # those with this in their name

In the gradient rule of each primitive, for each of its inputs, a fault is planted (:data:`FAULTS`),
and the checks that tests/test_operations.py makes of that operation are run until one fails. Then
the mutant is killed; a mutant that passes them all survives, and shows what the samples miss. Into
the engine, faults are planted by changing a line of a function in memory (:data:`ENGINE`), and its
own tests are run, then the table's. Nothing on disk is touched, and every fault is taken out again.

Exit code 1 if a mutant survives, or if a check fails without any fault.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import functools
import inspect
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy
import pytest

import autograd.nn
import autograd.scipy.special  # noqa: F401 (so that the table is whole)
from autograd.core import Rules
from autograd.table import Draw, Operation, operations
from autograd.test_util import check_grads
from tests.drawing import LAYOUTS, on_backend
from tests.faults import ENGINE, FAULTS, Fault, changed, let_through, planted, without_result
from tests.test_operations import check_against_the_oracles

SEEDS = 40  # samples to choose from, so that each input of each operation is met
TRIES = 6  # samples on which a mutant may survive

# ----------------------------------------------------------------------------------- what is tried


@dataclass(frozen=True)
class Target:
    """A primitive, and the operations of the table whose checks should notice its faults."""

    name: str
    rules: Rules
    tested_by: list[Operation]


@dataclass(frozen=True)
class Sample:
    """What one seed gives an operation to work on."""

    seed: int
    sizes: dict[int, int]  # of the arguments to differentiate by, the empty ones left out
    results: int  # that the operation returns


@dataclass(frozen=True)
class Mutant:
    """A fault in the rule for one argument."""

    name: str
    argument: int
    fault: Fault
    seeds: list[int] | None  # of the samples that meet it; None: not known
    has_effect: Callable[[], bool] = lambda: True  # known once it has been tried


@dataclass(frozen=True)
class Result:
    """What became of a mutant."""

    mutant: str
    fate: str  # killed, SURVIVED, or BROKEN: the check fails without a fault, too
    note: str  # what noticed it

    def __str__(self) -> str:
        return f"{self.fate:8}  {self.mutant}{'  ← ' if self.note else ''}{self.note}"


class Broken(Exception):
    """A check fails without any fault, so that it tells nothing."""


@functools.cache
def targets() -> dict[str, Target]:
    """The primitives of the table, and those that its composite operations use for themselves."""
    found = [Target(op.name, op.function.rules, [op])  # type: ignore[attr-defined]
             for op in operations.values() if op.primitive]  # fmt: skip
    known = {id(target.rules) for target in found}
    homes: dict[str, list[Operation]] = {}
    for op in operations.values():
        homes.setdefault(op.function.__module__, []).append(op)
    for home, ops in homes.items():
        for value in vars(sys.modules[home]).values():
            rules = getattr(value, "rules", None)
            if isinstance(rules, Rules) and id(rules) not in known and value.__module__ == home:
                known.add(id(rules))
                name = f"{home.removeprefix('autograd.')}.{value.__name__}"
                found.append(Target(name, rules, ops))
    return {target.name: target for target in found}


@functools.cache
def samples(name: str) -> list[Sample]:
    """Samples whose result is not empty, the smallest first."""
    op = operations[name]
    found = []
    for seed in range(SEEDS):
        args, kwargs = op.samples(Draw(seed))
        bound = inspect.signature(op.function).bind(*args, **kwargs).args
        sizes = {i: x.size for i, x in enumerate(bound)
                 if isinstance(x, numpy.ndarray) and x.dtype.kind == "f" and x.size}  # fmt: skip
        args, kwargs = on_backend(args, kwargs)
        try:
            result = op.function(*args, **kwargs)
        except Exception:
            result = numpy.zeros(1)  # the checks will fail likewise, and that is reported
        items = result if isinstance(result, tuple | list) else (result,)
        if any(getattr(item, "size", 1) for item in items):
            found.append(Sample(seed, sizes, len(items)))
    return sorted(found, key=lambda sample: sum(sample.sizes.values()))


def mutants(target: Target) -> Iterator[Mutant]:
    """Every fault for every argument of a primitive."""
    rules = target.rules
    if target.name not in operations:
        for argument in sorted(rules.makers):
            yield from (_mutant(fault, argument, None) for fault in FAULTS)
        return
    met = samples(target.name)
    reached = {argument for sample in met for argument in sample.sizes}
    own = set(rules.makers) if rules.for_all is None else reached - rules.constants
    for argument in sorted(own):
        seeds = [sample.seed for sample in met if argument in sample.sizes]
        yield from (_mutant(fault, argument, seeds) for fault in FAULTS)
        several = [sample.results for sample in met if sample.results > 1]
        for k in range(min(several, default=0)):
            seeds = [s.seed for s in met if argument in s.sizes and s.results > 1]
            effect: list[bool] = []
            name = f"without result {k}, argument {argument}"
            yield Mutant(name, argument, without_result(k, effect), seeds, partial(any, effect))
    for argument in sorted(reached & rules.constants):
        seeds = [sample.seed for sample in met if argument in sample.sizes]
        yield _mutant(let_through, argument, seeds)


def _mutant(fault: Fault, argument: int, seeds: list[int] | None) -> Mutant:
    return Mutant(f"{fault.__name__}, argument {argument}", argument, fault, seeds)


def kill(target: Target, mutant: Mutant) -> str:
    """What noticed the fault; nothing if it survives."""
    for op in target.tested_by:
        seeds = mutant.seeds
        if seeds is None:
            seeds = [sample.seed for sample in samples(op.name)]
        for order in (1, 2):  # the second order contains the first, but the first is quick
            for seed in spread(seeds):
                with planted(target.rules, mutant.argument, mutant.fault):
                    noticed = fails(op, seed, order)
                if noticed and (why := fails_anyway(op.name, seed, order)):
                    raise Broken(f"{op.name}, seed {seed}: {why} without a fault")
                if noticed:
                    return f"{op.name}, seed {seed}, order {order}: {noticed}"
    return ""


def spread(seeds: list[int]) -> list[int]:
    """The smallest few, which are quick, and some of the larger ones."""
    half = TRIES // 2
    rest = seeds[half:]
    return seeds[:half] + rest[:: max(1, len(rest) // half)][:half]


def fails(op: Operation, seed: int, order: int) -> str:
    """The error of the check of tests/test_operations.py, by its class, if it fails."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if order == 2:
                check_against_the_oracles(op, Draw(seed))
            else:
                _first_order(op, Draw(seed))
    except Exception as error:
        return type(error).__name__
    return ""


fails_anyway = functools.cache(lambda name, seed, order: fails(operations[name], seed, order))


def _first_order(op: Operation, draw: Draw) -> None:
    args, kwargs = op.samples(draw)
    function, arrays = op.of_arrays(*on_backend(args, kwargs, float, draw.choice(LAYOUTS)))
    check_grads(function, order=1, analytic=op.analytic)(*arrays)


def try_all(target: Target) -> Iterator[Result]:
    """Every fault in one primitive."""
    for mutant in mutants(target):
        name = f"{target.name}: {mutant.name}"
        if mutant.seeds == []:
            yield Result(name, "SURVIVED", "no sample meets this argument")
            continue
        try:
            noticed = kill(target, mutant)
        except Broken as broken:
            yield Result(target.name, "BROKEN", str(broken))
            return
        if mutant.has_effect():  # without a constant result, as a determinant's sign, all is right
            yield Result(name, "killed" if noticed else "SURVIVED", noticed)


# ---------------------------------------------------------------------------- the engine, tried


def engine_tests() -> list[Callable]:
    """The tests of the engine and of the transforms that need no fixture."""
    from tests import test_core, test_functional

    functions = [*vars(test_core).items(), *vars(test_functional).items()]
    tests = [test for name, test in functions if name.startswith("test_")]
    return [test for test in tests if not inspect.signature(test).parameters]


def first_failure(tests: list[Callable]) -> str:
    """The name of the first that fails."""
    for test in tests:
        try:
            test()
        except (Exception, pytest.fail.Exception):  # which pytest.raises raises
            return test.__name__
    return ""


def failures_in_the_table() -> Iterator[tuple[str, int, int]]:
    """(operation, seed, order) of the table's checks that fail."""
    for order in (1, 2):
        for op in operations.values():
            for seed in spread([sample.seed for sample in samples(op.name)])[::2]:
                if fails(op, seed, order):
                    yield op.name, seed, order


def try_engine() -> Iterator[Result]:
    """Every fault in the engine, before its own tests and then before the table's."""
    tests = engine_tests()
    if broken := first_failure(tests):
        yield Result("core", "BROKEN", f"{broken} fails without a fault")
        return
    anyway = set(failures_in_the_table())
    for name, function, line, faulty in ENGINE:
        with changed(function, line, faulty):
            noticed = first_failure(tests)
            if not noticed:
                new = (failure for failure in failures_in_the_table() if failure not in anyway)
                noticed = ", ".join(map(str, next(new, ())))
        place = f"{function.__module__.removeprefix('autograd.')}.{function.__qualname__}"  # type: ignore[attr-defined]
        yield Result(f"{place}: {name}", "killed" if noticed else "SURVIVED", noticed)


# -------------------------------------------------------------------------------------- the command


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutation",
        description="Plant faults in gradient rules and in the engine; see if the tests notice.",
    )
    parser.add_argument("pattern", nargs="?", default="", help="part of the operation's name")
    parser.add_argument("-v", "--verbose", action="store_true", help="list the killed ones, too")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes (default: all)")
    options = parser.parse_args(argv)
    start = time.perf_counter()
    results = []
    for result in run(options.pattern, options.jobs):
        results.append(result)
        if options.verbose or result.fate != "killed":
            print(result, flush=True)
    print(f"{summary(results)}; {time.perf_counter() - start:.0f} s")
    return 0 if results and all(result.fate == "killed" for result in results) else 1


def summary(results: list[Result]) -> str:
    count = Counter(result.fate for result in results)
    text = f"{count['killed'] + count['SURVIVED']} mutants: {count['killed']} killed, "
    text += f"{count['SURVIVED']} survived"
    if count["BROKEN"]:
        text += f"; of {count['BROKEN']} the checks fail without a fault"
    return text


def run(pattern: str = "", jobs: int = 1) -> Iterator[Result]:
    """All mutants of the primitives and of the engine that have ``pattern`` in their names."""
    names = [name for name in ("core", *targets()) if pattern in name]  # the engine takes longest
    if jobs == 1:
        for name in names:
            yield from _try_named(name)
        return
    with concurrent.futures.ProcessPoolExecutor(jobs) as pool:
        for results in pool.map(_try_named, names):
            yield from results


def _try_named(name: str) -> list[Result]:
    return list(try_engine() if name == "core" else try_all(targets()[name]))


if __name__ == "__main__":
    sys.exit(main())
