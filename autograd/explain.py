"""One operation, whole: formula, source, gradient rule, live checks, and cost.

    python -m autograd.explain tanh     # all about tanh
    python -m autograd.explain          # the operations that there are

Exit code 0; 1 if one of the checks failed; 2 if there is no such operation.
"""

from __future__ import annotations

import argparse
import inspect
import itertools
import os
import statistics
import sys
import textwrap
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy

import autograd.nn
import autograd.numpy
import autograd.scipy.special  # noqa: F401 (so that the table is whole)
from autograd import backend, core
from autograd.backend import is_array
from autograd.core import Tensor
from autograd.errors import describe
from autograd.graph import human, retained
from autograd.latex import plain
from autograd.source import Excerpt, source_of
from autograd.structures import flatten
from autograd.table import Call, Draw, Operation, find, operations
from autograd.test_util import Check, GradientError, agreement, check_grads

WIDTH = 80
SOURCE_WIDTH = 88  # at which authors begin a new line of a docstring, less its indentation
ORACLES = ("central differences", "complex step", "adjoint identity")
SIZE = 1_000_000  # elements of the arguments that are timed, where an operation's samples scale
TRIAL = 1_000  # elements of a first try
PATIENCE = 2.0  # seconds that one run on these may take


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m autograd.explain",
        description="Formula, source, gradient, live checks and cost of one operation.",
    )
    parser.add_argument("name", nargs="?", help="such as tanh; without it, all are listed")
    parser.add_argument("--seeds", type=int, default=5, help="samples to check (default: 5)")
    options = parser.parse_args(argv)
    if options.name is None:
        print(listing())
        return 0
    try:
        op = find(options.name)
    except KeyError as error:
        print(error.args[0], file=sys.stderr)
        return 2
    print(text(op))
    card, passed = scorecard(op, options.seeds)
    print(f"\n{card}", flush=True)
    print(f"\n{cost(op)}")
    return 0 if passed else 1


def listing() -> str:
    """All operations by file, each with its formula."""
    parts = []
    for place, group in itertools.groupby(
        operations.values(), lambda op: op.name.rpartition(".")[0]
    ):
        ops = list(group)
        margin = 2 + max(len(_short(op)) for op in ops) + 2
        parts.append(f"{place}\n" + "\n".join(
            textwrap.fill(
                plain(op.formula) or op.formula,
                WIDTH,
                initial_indent=f"  {_short(op)}".ljust(margin),
                subsequent_indent=" " * margin,
            )
            for op in ops
        ))  # fmt: skip
    return "\n\n".join([*parts, "python -m autograd.explain NAME tells all about one of them."])


def _short(op: Operation) -> str:
    return op.name.rpartition(".")[2]


# ------------------------------------------------------------------------------- what is written


def text(op: Operation) -> str:
    """Formula, signature, docstring and source."""
    source = source_of(op)
    kind = "a primitive" if op.primitive else "made of other operations"
    formula = plain(op.formula)
    parts = [
        _heading(f"{op.name}, {kind}"),
        *([_wrapped(formula)] if formula else []),
        _wrapped(f"LaTeX: {op.formula}"),
        "",
        _folded(f"{_short(op)}{inspect.signature(op.function)}"),
        *map(_wrapped, _unwrapped(inspect.getdoc(op.function) or "")),
        "",
        _heading("Forward"),
        *map(_quoted, source.forward),
        _heading("Gradient"),
    ]
    if source.gradient:
        parts += map(_quoted, source.gradient)
    elif op.primitive and _is_constant(op):
        parts.append("None: the result is constant almost everywhere.\n")
    elif op.primitive:
        parts.append("The rules are in the row above: they take g = ȳ to x̄.\n")
    else:
        parts.append("That of the operations it is made of.\n")
    if source.helpers:
        parts += [_heading("Helpers"), *map(_quoted, source.helpers)]
    return "\n".join(parts).rstrip()


def _is_constant(op: Operation) -> bool:
    rules: Any = op.function.rules  # type: ignore[attr-defined]
    return rules.for_all is None and not rules.makers


def _wrapped(line: str) -> str:
    """``line`` indented by four, its continuation as far as the line itself."""
    margin = " " * (4 + len(line) - len(line.lstrip()))
    return textwrap.fill(
        line.lstrip(), WIDTH, initial_indent=margin, subsequent_indent=margin,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _unwrapped(docstring: str) -> list[str]:
    """The lines of a docstring, those joined that only the source's width has parted."""
    lines: list[str] = []
    room = 0  # in the line before
    for line in docstring.splitlines():
        if lines and line.strip() and lines[-1] and len(line.split()[0]) >= room:
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
        room = SOURCE_WIDTH - len(line)
    return lines


def _heading(title: str) -> str:
    return f"{title}\n{'─' * min(len(title), WIDTH)}"


def _quoted(excerpt: Excerpt) -> str:
    return f"# {excerpt.path}:{excerpt.line}\n{_folded(excerpt.text)}\n"


def _folded(source: str, width: int = WIDTH) -> str:
    """Source with the lines that are longer than the terminal continued on further ones."""
    lines = []
    for line in source.splitlines():
        indent = " " * (len(line) - len(line.lstrip()))
        comment = "# " if line.lstrip().startswith("# ") else ""
        begin = indent
        while len(line) > width:
            commas = [i + 2 for i in range(width - 1) if line.startswith((", ", "; "), i)]
            spaces = [i + 1 for i in range(width) if line[i] == " "]
            cut = max([i for i in commas if i > 0.6 * width] or spaces)
            if cut <= len(begin):  # one long word
                break
            lines.append(line[:cut].rstrip())
            begin = indent + (comment or " " * 8)
            line = begin + line[cut:].lstrip()
        lines.append(line)
    return "\n".join(lines)


# -------------------------------------------------------------------------------------- scorecard


def scorecard(op: Operation, seeds: int = 5) -> tuple[str, bool]:
    """What the oracles find on ``seeds`` of the operation's samples; whether all is well."""
    names = backend.available()
    checks: dict[tuple[str, int], list[Check]] = {}
    failures: list[str] = []
    sampled = 0
    for seed in range(4 * seeds):  # some samples are empty arrays
        function, arrays = _on_current_backend(op, op.samples(Draw(seed)))
        try:
            found = check_grads(function, order=2, analytic=op.analytic, seed=seed)(*arrays)
            found += agreement(function, arrays, {}, names)
        except GradientError as error:
            lines = str(error).splitlines()
            failures += [f"seed {seed}: {line}" for line in lines[1:] or lines]
            continue
        except Exception as error:  # of the operation or its rule: that is a finding, too
            failures.append(f"seed {seed}: {type(error).__name__}: {error}")
            continue
        for check in found:
            checks.setdefault((check.oracle, check.order), []).append(check)
            if not check.passed:
                failures.append(f"seed {seed}: {check}")
        sampled += bool(found)
        if sampled == seeds:
            break
    lines = [_heading(f"Scorecard: the worst of {sampled} samples"), _ROW.format(*_COLUMNS)]
    for order, oracle in itertools.product((1, 2), (*ORACLES, "backends")):
        key = f"{oracle} ({', '.join(names)})" if oracle == "backends" else oracle
        lines.append(_row(key, order, checks.get((oracle, order)), op, failures))
    lines += [textwrap.fill(line, WIDTH, subsequent_indent="    ") for line in failures]
    return "\n".join(line for line in lines if line), not failures


_COLUMNS = ("oracle", "order", "worst error", "tolerance", "")
_ROW = "{:<32} {:>5} {:>12} {:>10}  {}"


def _row(
    oracle: str, order: int, checks: list[Check] | None, op: Operation, failures: list[str]
) -> str:
    if any(f"{oracle.partition(' (')[0]}, order {order}" in failure for failure in failures):
        return _ROW.format(oracle, order, "", "", "FAILED")
    if not checks:
        applies = order == 1 and oracle == "complex step" and not op.analytic
        return _ROW.format(oracle, order, "–", "–", "not analytic") if applies else ""
    worst = max(checks, key=lambda check: check.error / (check.tolerance or 1.0))
    kinks = sum(len(check.kinks) for check in checks)
    note = f"ok, {kinks} kinks met" if kinks else "ok"
    return _ROW.format(oracle, order, f"{worst.error:.1e}", f"{worst.tolerance:.0e}", note)


def _on_current_backend(op: Operation, arguments: Call) -> tuple[Callable, tuple]:
    """The operation of its floating-point arrays; the others go to whichever backend it runs on."""

    def function(*arrays: Any) -> Any:
        return op.of_arrays(*_moved(arguments))[0](*arrays)

    function.__name__ = op.function.__name__
    return function, tuple(op.of_arrays(*arguments)[1])


def _moved(arguments: Call, dtype: Any = None) -> Call:
    """Arguments with their NumPy arrays on the current backend, floating-point ones as dtype."""

    def move(x: Any) -> Any:
        if not isinstance(x, numpy.ndarray):
            return x
        return backend.asarray(x.astype(dtype) if dtype and x.dtype.kind == "f" else x)

    leaves, rebuild = flatten(arguments)
    return rebuild([move(leaf) for leaf in leaves])


# ------------------------------------------------------------------------------------------- cost


def cost(op: Operation) -> str:
    """Time forward and backward, and the memory kept in between, on each backend present."""
    with warnings.catch_warnings(), numpy.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        arguments = _to_be_timed(op)
        rows = []
        for name in backend.available():
            if name == "strict":  # for tests, not for speed
                continue
            with backend.using(name):
                forward, backward, kept = _timed(op, arguments)
            rows.append(_COST.format(name, _seconds(forward), _seconds(backward), human(kept)))
    what = ", ".join(describe(x) for x in flatten(arguments)[0] if is_array(x))
    return "\n".join([
        _heading("Cost"),
        textwrap.fill(f"on {what.replace('float64', 'float32')}", WIDTH),
        _COST.format("backend", "forward", "backward", "kept*"),
        *rows,
        "* from the forward to the backward pass, besides the arguments",
    ])  # fmt: skip


_COST = "{:<10} {:>12} {:>12} {:>14}"


class _LargeDraw(Draw):
    """Draws shapes of about ``size`` elements."""

    def __init__(self, size: int) -> None:
        super().__init__(0)
        self.size = size

    def shape(self, min_ndim: int = 0, max_ndim: int = 3, min_side: int = 0, max_side: int = 3):
        ndim = min(max(2, min_ndim), max_ndim)
        return (round(self.size ** (1 / ndim)),) * ndim if ndim else ()

    def part_of(self, full: tuple[int, ...]) -> tuple[int, ...]:
        return full


def _to_be_timed(op: Operation) -> Call:
    """A sample of a million elements, if a small trial says that time and memory allow it."""
    trial = op.samples(_LargeDraw(TRIAL))
    args, kwargs = _moved(trial)
    size = _size(trial)
    results = _size(op.function(*args, **kwargs))
    if size > 0.9 * TRIAL and results <= 8 * size:  # not so the outer product
        seconds = sum(_timed(op, trial, repeats=2)[:2])
        if seconds * SIZE / TRIAL < PATIENCE:
            return op.samples(_LargeDraw(SIZE))
    return max((op.samples(Draw(seed)) for seed in range(10)), key=_size)


def _size(structure: Any) -> int:
    return sum(x.size for x in flatten(structure)[0] if is_array(x))


def _timed(op: Operation, arguments: Call, repeats: int = 15) -> tuple[float, float, int]:
    """Median seconds forward and backward (0 if constant), and the bytes kept in between."""
    args, kwargs = _variables(_moved(arguments, numpy.float32))
    forward: list[float] = []
    backward: list[float] = []
    kept = 0
    deadline = time.perf_counter() + PATIENCE
    while len(forward) < repeats and (not forward or time.perf_counter() < deadline):
        start = _now()
        ys = flatten(op.function(*args, **kwargs))[0]
        forward.append(_now() - start)
        seeds = [(y.node, backend.xp.ones_like(y.data)) for y in ys if isinstance(y, Tensor)]
        if not seeds:
            continue
        nodes = core.ancestors(node for node, _ in seeds)
        kept = sum(keeps for keeps, _ in retained(nodes).values())
        start = _now()
        core.backward_pass(seeds)
        backward.append(_now() - start)
    return statistics.median(forward), statistics.median(backward or [0.0]), kept


def _variables(arguments: Call) -> Call:
    leaves, rebuild = flatten(arguments)
    return rebuild([Tensor(x) if is_array(x) and x.dtype.kind == "f" else x for x in leaves])


def _now() -> float:
    backend.synchronize()
    return time.perf_counter()


def _seconds(seconds: float) -> str:
    if seconds == 0:
        return "–"
    unit = 1e-6 if seconds < 1e-3 else 1e-3 if seconds < 1 else 1.0
    return f"{seconds / unit:.3g} {({1e-6: 'µs', 1e-3: 'ms', 1.0: 's'})[unit]}"


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # whoever was reading has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
