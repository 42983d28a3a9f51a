"""Are these gradients right? Four oracles, for this library's operations and for your own.

    check_grads(f, modes=["rev"], order=2)(x, y)

raises :class:`GradientError`, naming the input, the element and both values, if a derivative is
wrong; otherwise it returns a list of :class:`Check`, one for each oracle, input and order.

With s(x) = ⟨u, f(x)⟩ for a random u, the four are:

* **central differences**, (s(x + he) − s(x − he)) / 2h, whose error is of order h² from the series
  and ε/h from rounding. The step is chosen for each element on its own error-versus-step curve:
  where neighbouring steps agree best. Where the slopes to the left and to the right differ however
  small the step, f is not differentiable: that is reported, not averaged over;
* the **complex step** (Squire & Trapp 1998), Im s(x + ihe) / h with h = 1e-30, which subtracts
  nothing and so loses nothing to rounding, where f is analytic;
* the **adjoint identity** ⟨Jv, u⟩ = ⟨v, Jᵀu⟩, between forward and reverse mode;
* **agreement of backends**, where this machine has several.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy

from autograd import backend
from autograd.functional import make_jvp, make_vjp
from autograd.structures import flatten

STEPS = tuple(2.0**-k for k in (7, 10, 13, 16, 19))
COMPLEX_STEP = 1e-30
Arrays = list[numpy.ndarray]


class GradientError(AssertionError):
    """A derivative disagrees with an oracle."""


@dataclass(frozen=True)
class Check:
    """What one oracle found for one input. Errors are relative to 1 + |value|."""

    oracle: str
    order: int
    argument: int
    element: tuple[int, ...]  # where the error is largest
    claimed: float  # what the gradient rules say there
    found: float  # what the oracle says there
    error: float
    tolerance: float
    step: float | None = None  # of the differences, there
    kinks: tuple[tuple[int, ...], ...] = ()  # elements where f is not differentiable

    @property
    def passed(self) -> bool:
        return self.error <= self.tolerance

    def __str__(self) -> str:
        where = f"input {self.argument}, element {self.element}"
        kinks = f"; not differentiable at {list(self.kinks)}" if self.kinks else ""
        return (
            f"{self.oracle}, order {self.order}, {where}: the rules say {self.claimed!r}, the "
            f"oracle {self.found!r} (error {self.error:.1e}, tolerance {self.tolerance:.0e}){kinks}"
        )


def check_grads(
    f: Callable,
    modes: Iterable[str] = ("fwd", "rev"),
    order: int = 2,
    *,
    analytic: bool = False,
    seed: int = 0,
) -> Callable[..., list[Check]]:
    """Check the derivatives of ``f``, up to ``order``, at the arguments given to the result.

    ``modes``: "rev" for vector-Jacobian products, "fwd" for Jacobian-vector products.
    ``analytic``: f accepts complex numbers and is analytic, so the complex step applies.
    Floating-point arrays and numbers among the arguments are differentiated by; others are not.
    """
    modes = {modes} if isinstance(modes, str) else set(modes)
    if not modes <= {"fwd", "rev"}:
        raise ValueError(f"check_grads: modes are 'fwd' and 'rev', not {modes}")

    def check(*args: Any, **kwargs: Any) -> list[Check]:
        function, inputs = _of_floats(f, args, kwargs)
        checks = list(_checks(function, inputs, modes, order, analytic, seed))
        wrong = [result for result in checks if not result.passed]
        if wrong:
            name = getattr(f, "__name__", "function")
            raise GradientError("\n".join([f"the gradient of {name} is wrong:", *map(str, wrong)]))
        return checks

    return check


def _of_floats(f: Callable, args: tuple, kwargs: dict) -> tuple[Callable, Arrays]:
    """``f`` as a function from the list of its floating-point inputs to that of its outputs."""
    leaves, rebuild = flatten([list(args), kwargs])
    at = [i for i, leaf in enumerate(leaves) if _is_float(leaf)]

    def function(values: list[Any]) -> list[Any]:
        new = list(leaves)
        for i, value in zip(at, values, strict=True):
            new[i] = value
        args, kwargs = rebuild(new)
        outputs, _ = flatten(f(*args, **kwargs))
        return [y for y in outputs if getattr(getattr(y, "dtype", None), "kind", "f") in "fc"]

    return function, [backend.to_numpy(leaves[i]).astype(float) for i in at]


def _is_float(x: Any) -> bool:
    return isinstance(x, float) or (backend.is_array(x) and x.dtype.kind == "f")


def _checks(
    function: Callable, inputs: Arrays, modes: set[str], order: int, analytic: bool, seed: int
) -> Iterator[Check]:
    rng = numpy.random.default_rng(seed)
    u = [rng.uniform(0.5, 1.5, y.shape) for y in on_host(function, inputs)]
    if not any(y.size for y in u):
        return

    def s(values: Arrays) -> Any:
        outputs = on_host(function, values)
        return sum(numpy.vdot(a, b) for a, b in zip(u, outputs, strict=True))

    gradients = pull_back(function, inputs, u)
    for i, (x, gradient) in enumerate(zip(inputs, gradients, strict=True)):
        if gradient.shape != x.shape:
            raise GradientError(f"input {i} has shape {x.shape}, its gradient {gradient.shape}")
        if "rev" in modes and x.size:
            yield central_differences(s, inputs, i, gradient)
            if analytic:
                yield complex_step(s, inputs, i, gradient)
    if "fwd" in modes and any(x.size for x in inputs):
        v = [rng.uniform(0.5, 1.5, x.shape) for x in inputs]
        yield adjoint_identity(function, inputs, u, v, gradients)
    if order > 1:
        count = len(inputs)

        def pulled_back(values: list[Any]) -> list[Any]:
            return make_vjp(function)(list(values[:count]))[0](list(values[count:]))

        for check in _checks(pulled_back, [*inputs, *u], modes, order - 1, False, seed + 1):
            yield replace(check, order=check.order + 1)


def on_host(function: Callable, inputs: Arrays) -> Arrays:
    """``function`` run on the current backend, from host arrays to host arrays."""
    outputs = function([backend.asarray(x) for x in inputs])
    return [backend.to_numpy(y.data if hasattr(y, "node") else y) for y in outputs]


def pull_back(function: Callable, inputs: Arrays, u: Arrays) -> Arrays:
    """Jᵀu by the gradient rules, likewise."""
    vjp, _ = make_vjp(function)([backend.asarray(x) for x in inputs])
    return [backend.to_numpy(g) for g in vjp([backend.asarray(y) for y in u])]


# --------------------------------------------------------------------------------- the oracles


def central_differences(s: Callable, inputs: Arrays, argument: int, claimed: Any) -> Check:
    """The gradient of the scalar ``s`` with respect to one input, element by element."""
    middle = s(inputs)
    kinks = []
    worst: Check | None = None
    for element in numpy.ndindex(inputs[argument].shape):
        ahead = [s(_moved(inputs, argument, element, h)) for h in STEPS]
        behind = [s(_moved(inputs, argument, element, -h)) for h in STEPS]
        jumps = [a - 2 * middle + b for a, b in zip(ahead, behind, strict=True)]
        jumps = [abs(jump) / h for jump, h in zip(jumps, STEPS, strict=True)]
        slopes = [(a - b) / (2 * h) for a, b, h in zip(ahead, behind, STEPS, strict=True)]
        if jumps[-1] > 1e-3 * (1 + abs(slopes[-1])) and jumps[-1] > 0.5 * jumps[-2]:
            kinks.append(element)
            continue
        spread = [abs(slopes[k] - slopes[k + 1]) for k in range(len(STEPS) - 1)]
        best = int(numpy.argmin(spread)) + 1
        rounding = 4 * numpy.finfo(float).eps * abs(middle) / STEPS[best]
        uncertain = (10 * spread[best - 1] + rounding) / (1 + abs(slopes[best]))
        tolerance = min(1e-4, 1e-7 + uncertain)
        check = _compare(
            "central differences", argument, element, claimed[element], slopes[best], tolerance
        )
        if worst is None or check.error / check.tolerance > worst.error / worst.tolerance:
            worst = replace(check, step=STEPS[best])
    if worst is None:  # kinks everywhere
        worst = _compare("central differences", argument, (), 0.0, 0.0, 0.0)
    return replace(worst, kinks=tuple(kinks))


def complex_step(s: Callable, inputs: Arrays, argument: int, claimed: Any) -> Check:
    """The same for a function that is analytic in the complex plane."""
    checks = []
    for element in numpy.ndindex(inputs[argument].shape):
        moved = _moved(inputs, argument, element, 1j * COMPLEX_STEP)
        slope = numpy.imag(s(moved)) / COMPLEX_STEP
        checks.append(_compare("complex step", argument, element, claimed[element], slope, 1e-10))
    return max(checks, key=lambda check: check.error)


def adjoint_identity(
    function: Callable, inputs: Arrays, u: Arrays, v: Arrays, gradients: Arrays
) -> Check:
    """⟨Jv, u⟩ by forward mode against ⟨v, Jᵀu⟩ by reverse mode."""
    jvp = make_jvp(function)([backend.asarray(x) for x in inputs])
    _, tangents = jvp([backend.asarray(x) for x in v])
    forward = sum(numpy.vdot(a, backend.to_numpy(b)) for a, b in zip(u, tangents, strict=True))
    reverse = sum(numpy.vdot(a, b) for a, b in zip(v, gradients, strict=True))
    return _compare("adjoint identity", 0, (), reverse, forward, 1e-10)


def agreement(f: Callable, args: tuple, kwargs: dict, names: Iterable[str]) -> list[Check]:
    """Values and gradients on each of the backends ``names`` against those on the first."""
    function, inputs = _of_floats(f, args, kwargs)
    first, *others = [_on(name, function, inputs) for name in names]
    checks = []
    for values in others:
        for i, (a, b) in enumerate(zip(first, values, strict=True)):
            checks += [
                _compare("backends", i, element, a[element], b[element], 1e-10)
                for element in numpy.ndindex(a.shape)
            ]
    return checks


def _on(name: str, function: Callable, inputs: Arrays) -> Arrays:
    with backend.using(name):
        outputs = on_host(function, inputs)
        return outputs + pull_back(function, inputs, [numpy.ones(y.shape) for y in outputs])


def _moved(inputs: Arrays, argument: int, element: tuple[int, ...], step: complex) -> Arrays:
    moved = list(inputs)
    moved[argument] = inputs[argument].astype(numpy.result_type(inputs[argument], type(step)))
    moved[argument][element] += step
    return moved


def _compare(oracle, argument, element, claimed, found, tolerance) -> Check:
    claimed, found = float(claimed), float(found)
    error = abs(claimed - found) / (1 + abs(found))
    if numpy.isnan(error):
        error = numpy.inf
    return Check(oracle, 1, argument, element, claimed, found, error, tolerance)
