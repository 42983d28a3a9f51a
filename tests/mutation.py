"""Do the tests notice a wrong gradient? Plant every fault one at a time and see.

    python -m tests.mutation             # all operations and the engine
    python -m tests.mutation reductions  # those with this in their name

In the gradient rule of each primitive, for each of its inputs, a fault is planted (:data:`FAULTS`),
and the checks that tests/test_operations.py makes of that operation are run until one fails. Then
the mutant is killed; a mutant that passes them all survives, and shows what the samples miss. Into
the engine, faults are planted by changing a line of a function in memory (:data:`ENGINE`), and the
tests of tests/test_core.py are run. Nothing on disk is touched, and every fault is taken out again.

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
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy
import pytest

import autograd.nn
import autograd.scipy.special  # noqa: F401 (so that the table is whole)
from autograd.backend import xp
from autograd.core import Rules
from autograd.table import Draw, Operation, operations
from autograd.test_util import check_grads
from tests.drawing import LAYOUTS, on_backend
from tests.faults import ENGINE, FAULTS, Fault, changed, planted, without_result
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
class Result:
    """What became of a mutant."""

    mutant: str
    killed: bool
    note: str  # what noticed it

    def __str__(self) -> str:
        fate = "killed" if self.killed else "SURVIVED"
        return f"{fate:8}  {self.mutant}{'  ← ' if self.note else ''}{self.note}"


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
def samples(name: str) -> list[tuple[int, dict[int, int], int]]:
    """(seed, {argument: size} of the arrays to differentiate by, number of results), by size."""
    op = operations[name]
    found = []
    for seed in range(SEEDS):
        args, kwargs = op.samples(Draw(seed))
        bound = inspect.signature(op.function).bind(*args, **kwargs).args
        sizes = {i: x.size for i, x in enumerate(bound)
                 if isinstance(x, numpy.ndarray) and x.dtype.kind == "f" and x.size}  # fmt: skip
        result = op.function(*on_backend(args, kwargs)[0], **on_backend(args, kwargs)[1])
        items = result if isinstance(result, tuple | list) else (result,)
        if any(numpy.prod(xp.shape(item)) for item in items):
            found.append((seed, sizes, len(items) if isinstance(result, tuple) else 1))
    return sorted(found, key=lambda sample: sum(sample[1].values()))


def mutants(target: Target) -> Iterator[tuple[str, int, Fault, list[int] | None]]:
    """(name, argument, fault, seeds of samples that meet it; None for any)."""
    rules = target.rules
    if target.name not in operations:
        for argument in sorted(rules.makers):
            for fault in FAULTS:
                yield f"{fault.__name__}, argument {argument}", argument, fault, None
        return
    met = samples(target.name)
    reached = {argument for _, sizes, _ in met for argument in sizes}
    own = set(rules.makers) if rules.for_all is None else reached - rules.constants
    for argument in sorted(own):
        seeds = [seed for seed, sizes, _ in met if argument in sizes]
        for fault in FAULTS:
            yield f"{fault.__name__}, argument {argument}", argument, fault, seeds
    for argument in sorted(reached & rules.constants):
        seeds = [seed for seed, sizes, _ in met if argument in sizes]
        yield f"let through, argument {argument}", argument, lambda rule: rule, seeds


def kill(target: Target, argument: int, fault: Fault, seeds: list[int] | None) -> str:
    """What noticed the fault; nothing if it survives."""
    for op in target.tested_by:
        chosen = [seed for seed, *_ in samples(op.name)] if seeds is None else seeds
        for order in (1, 2):  # the second order contains the first, but the first is quick
            for seed in spread(chosen):
                with planted(target.rules, argument, fault):
                    noticed = fails(op, seed, order)
                if noticed:
                    if why := fails_anyway(op.name, seed, order):
                        return f"{BROKEN}{op.name}, seed {seed}: {why}"
                    return f"seed {seed}, order {order}"
    return ""


BROKEN = "fails without a fault: "


def spread(seeds: list[int]) -> list[int]:
    """The smallest few, which are quick, and some of the larger ones."""
    half = TRIES // 2
    rest = seeds[half:]
    return seeds[:half] + rest[:: max(1, len(rest) // half)][:half]


def fails(op: Operation, seed: int, order: int) -> str:
    """The first line of what the check of tests/test_operations.py says, if it fails."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if order == 2:
                check_against_the_oracles(op, Draw(seed))
            else:
                _first_order(op, Draw(seed))
    except Exception as error:
        return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
    return ""


fails_anyway = functools.cache(lambda name, seed, order: fails(operations[name], seed, order))


def _first_order(op: Operation, draw: Draw) -> None:
    args, kwargs = op.samples(draw)
    function, arrays = op.of_arrays(*on_backend(args, kwargs, float, draw.choice(LAYOUTS)))
    check_grads(function, order=1, analytic=op.analytic)(*arrays)


def try_all(target: Target) -> Iterator[Result]:
    """Every fault in one primitive."""
    for name, argument, fault, seeds in mutants(target):
        if seeds == []:
            yield Result(f"{target.name}: {name}", False, "no sample meets this argument")
            continue
        noticed = kill(target, argument, fault, seeds)
        survived = not noticed or noticed.startswith(BROKEN)
        yield Result(f"{target.name}: {name}", not survived, noticed)
    for argument, k, seeds in _results(target):
        effect: list[bool] = []
        noticed = kill(target, argument, without_result(k, effect), seeds)
        if any(effect):  # else that result is constant, as the sign of a determinant is
            name = f"{target.name}: without result {k}, argument {argument}"
            yield Result(name, bool(noticed) and not noticed.startswith(BROKEN), noticed)


def _results(target: Target) -> Iterator[tuple[int, int, list[int]]]:
    """(argument, result, seeds) for operations that return several."""
    if target.name not in operations:
        return
    met = [sample for sample in samples(target.name) if sample[2] > 1]
    for argument in sorted({argument for _, sizes, _ in met for argument in sizes}):
        for k in range(min((count for *_, count in met), default=0)):
            if argument not in target.rules.constants:
                yield argument, k, [seed for seed, sizes, _ in met if argument in sizes]


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
            for seed in spread([seed for seed, *_ in samples(op.name)]):
                if fails(op, seed, order):
                    yield op.name, seed, order


def try_engine() -> Iterator[Result]:
    """Every fault in the engine, before its own tests and then before the table's."""
    tests = engine_tests()
    if broken := first_failure(tests):
        yield Result("core", False, f"{BROKEN}{broken}")
        return
    anyway = set(failures_in_the_table())
    for failure in sorted(anyway):
        yield Result("core", False, BROKEN + "{}, seed {}, order {}".format(*failure))
    for name, function, line, faulty in ENGINE:
        with changed(function, line, faulty):
            noticed = first_failure(tests)
            if not noticed:
                new = (failure for failure in failures_in_the_table() if failure not in anyway)
                noticed = ", ".join(map(str, next(new, ())))
        place = f"{function.__module__.removeprefix('autograd.')}.{function.__qualname__}"  # type: ignore[attr-defined]
        yield Result(f"{place}: {name}", bool(noticed), noticed)


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
        if options.verbose or not result.killed:
            print(result, flush=True)
    killed = sum(result.killed for result in results)
    seconds = time.perf_counter() - start
    print(f"{len(results)} mutants: {killed} killed, {len(results) - killed} survived; "
          f"{seconds:.0f} s")  # fmt: skip
    return 0 if results and killed == len(results) else 1


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
