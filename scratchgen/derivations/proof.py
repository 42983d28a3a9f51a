"""What a derivation writes down: its steps, and comparisons whose tolerances are derived.

A tolerance is never chosen until a test passes. It follows from why two sides that are equal on
paper differ in a computer, which :class:`Proof` has a method for each:

**rounding** (:meth:`Proof.equal`, :meth:`Proof.at_most`). Every operation is right up to a relative
error of ε/2. Sides that go through n operations one after the other, each of which amplifies an
error by κ at most, agree up to n κ ε in relation to the largest number in them;

**truncation** (:meth:`Proof.within`). A quotient of differences, a sum in place of an integral, a
series broken off: the theorem that says what they tend to says also how far off they are;

**chance** (:meth:`Proof.mean`). The mean of N independent draws lies within t s/√N of what it
estimates, except with the probability LEVEL.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from typing import Any

import numpy
from scipy import stats

from autograd import backend

LEVEL = 1e-5
"""The probability that a comparison of a mean fails although the claim is true."""

TINY = float(numpy.finfo(float).tiny)


@dataclass(frozen=True)
class Step:
    """A quantity of the derivation, and its value."""

    what: str
    value: Any


@dataclass(frozen=True)
class Comparison:
    """Two sides, how far they differ and may differ: those of the worst element."""

    what: str
    relation: str
    """=, ≤, ≠; up to chance ≈ or ≲"""
    left: float
    right: float
    error: float
    tolerance: float
    because: str
    """where the tolerance comes from"""
    elements: int
    level: float = 0.0
    """the probability that it fails although the claim is true"""

    @property
    def passed(self) -> bool:
        return self.error <= self.tolerance

    @property
    def reason(self) -> str:
        """Where the tolerance comes from, and of how many elements this is the worst."""
        return (
            f"{self.because}, the worst of {self.elements}" if self.elements > 1 else self.because
        )

    @property
    def ratio(self) -> float:
        """error / tolerance: above 1 if it fails."""
        if math.isnan(self.tolerance):
            return math.inf
        return self.error / max(self.tolerance, TINY)


class Proof:
    """The record of one run of a derivation. Sides are numbers, arrays or Tensors."""

    def __init__(self, name: str, seed: int = 0) -> None:
        digest = hashlib.sha256(f"{name} {seed}".encode()).digest()
        self.rng = backend.default_rng(int.from_bytes(digest[:4], "little"))
        """a generator on the current backend, of its own for each claim and seed"""
        self.lines: list[Step | Comparison] = []

    @property
    def comparisons(self) -> list[Comparison]:
        return [line for line in self.lines if isinstance(line, Comparison)]

    @property
    def steps(self) -> list[Step]:
        return [line for line in self.lines if isinstance(line, Step)]

    def step(self, what: str, value: Any) -> None:
        """Note the value of a quantity, to be shown by ``scratchgen explain``."""
        self.lines.append(Step(what, backend.to_numpy(value).copy()))

    def equal(
        self, what: str, left: Any, right: Any, *, rounding: float, scale: Any = None
    ) -> None:
        """left = right, up to ``rounding`` · ε · ``scale``.

        ``rounding``: how many rounding errors can add up one after the other in the longer side,
        times how much they are amplified (say why beside it); the sum of n terms counts as n, as
        errors may all have one sign. ``scale``: the size of the numbers that are rounded, where it
        is not that of the result (as in a difference of large numbers); by default the largest
        finite |left| or |right|. ε is that of the coarser of the sides.
        """
        sides = _sides(left, right)
        self._compare(what, "=", sides, _gap(*sides), *_rounded(sides, rounding, scale))

    def at_most(
        self, what: str, left: Any, right: Any, *, rounding: float, scale: Any = None
    ) -> None:
        """left ≤ right, up to rounding as in :meth:`equal`; the error is by how much it is not."""
        sides = _sides(left, right)
        above = numpy.where(sides[0] <= sides[1], 0.0, _gap(*sides))
        self._compare(what, "≤", sides, above, *_rounded(sides, rounding, scale))

    def within(self, what: str, left: Any, right: Any, tolerance: Any, because: str) -> None:
        """|left − right| ≤ ``tolerance``, a bound in closed form; ``because`` says which."""
        sides = _sides(left, right)
        self._compare(what, "=", sides, _gap(*sides), tolerance, because)

    def differ(self, what: str, left: Any, right: Any, by: float) -> None:
        """|left − right| ≥ ``by``, of every element; the error is what is missing of it."""
        sides = _sides(left, right)
        missing = numpy.maximum(by - _gap(*sides), 0.0)
        tolerance, _ = _rounded(sides, 1, None)  # the subtraction
        self._compare(what, "≠", sides, missing, tolerance, f"provably {by:.3g} apart, or more")

    def mean(self, what: str, draws: Any, right: Any) -> None:
        """E[draws] = right, of independent draws (N,) or, k means at once, (N, k).

        The tolerance is t s/√N with s the standard deviation of the draws and t the two-sided
        quantile of Student's distribution with N − 1 degrees of freedom at LEVEL, shared by the k
        columns (Bonferroni). That is exact for normal draws. For others the mean is normal in the
        limit, which is near enough where N is thousands and the draws have no heavy tails. To this
        comes the rounding of the mean, ε log₂ N (NumPy adds in pairs).
        """
        mean, tolerance, because = _mean(draws, tails=2)
        sides = _sides(mean, right)
        self._compare(what, "≈", sides, _gap(*sides), tolerance, because, LEVEL)

    def mean_at_most(self, what: str, draws: Any, right: Any) -> None:
        """E[draws] ≤ right, likewise, with the one-sided quantile."""
        mean, tolerance, because = _mean(draws, tails=1)
        sides = _sides(mean, right)
        above = numpy.where(sides[0] <= sides[1], 0.0, _gap(*sides))
        self._compare(what, "≲", sides, above, tolerance, because, LEVEL)

    def _compare(
        self,
        what: str,
        relation: str,
        sides: tuple[numpy.ndarray, numpy.ndarray],
        error: numpy.ndarray,
        tolerance: Any,
        because: str,
        level: float = 0.0,
    ) -> None:
        """Record the element with the largest error / tolerance."""
        bounds = numpy.asarray(backend.to_numpy(tolerance), float)
        left, right, error, bounds = numpy.broadcast_arrays(*sides, error, bounds)
        if not error.size:
            raise ValueError(f"{what}: nothing to compare, the sides are empty")
        with numpy.errstate(over="ignore"):  # where nothing is tolerated, ratios may be infinite
            ratio = numpy.where(numpy.isnan(bounds), numpy.inf, error / numpy.fmax(bounds, TINY))
        worst = numpy.unravel_index(int(numpy.argmax(ratio)), error.shape)
        a, b, gap, bound = (float(x[worst]) for x in (left, right, error, bounds))
        self.lines.append(Comparison(what, relation, a, b, gap, bound, because, error.size, level))


def _sides(left: Any, right: Any) -> tuple[numpy.ndarray, numpy.ndarray]:
    a, b = backend.to_numpy(left), backend.to_numpy(right)
    if a.shape != b.shape and a.ndim and b.ndim:
        raise ValueError(f"the sides have the shapes {a.shape} and {b.shape}")
    return a, b


def _gap(left: numpy.ndarray, right: numpy.ndarray) -> numpy.ndarray:
    """|left − right|: 0 where both are the same infinity, infinite where one is not a number."""
    same = left == right
    difference = numpy.abs(numpy.where(same, 0.0, left) - numpy.where(same, 0.0, right))
    return numpy.where(numpy.isnan(difference), numpy.inf, difference)


def _mean(draws: Any, tails: int) -> tuple[numpy.ndarray, numpy.ndarray, str]:
    """The means (k,) of draws (N,) or (N, k), how far they may be off, and that in words."""
    columns = numpy.ascontiguousarray(numpy.atleast_2d(backend.to_numpy(draws).T), float)
    k, count = columns.shape
    quantile = float(stats.t.isf(LEVEL / (tails * k), count - 1))
    standard_error = columns.std(axis=1, ddof=1) / math.sqrt(count)
    rounding = math.log2(count) * numpy.finfo(float).eps * numpy.abs(columns).mean(axis=1)
    because = f"{quantile:.2f} standard errors of {count:,} draws"
    return columns.mean(axis=1), quantile * standard_error + rounding, because


def _rounded(sides: tuple[numpy.ndarray, numpy.ndarray], rounding: float, scale: Any) -> Any:
    """The tolerance ``rounding`` · ε · ``scale``, and the same in words."""
    kinds = [x.dtype for x in sides if x.dtype.kind in "fc"]
    epsilon = max((float(numpy.finfo(kind).eps) for kind in kinds), default=2.0**-52)
    if scale is None:
        sizes = numpy.abs(numpy.concatenate([x.ravel() for x in sides]))
        scale = float(numpy.max(sizes, where=numpy.isfinite(sizes), initial=TINY))
        of = f"{scale:.3g}"
    else:
        scale = numpy.abs(backend.to_numpy(scale))
        of = f"{float(scale):.3g}" if not scale.ndim else "its scale"
    because = f"{rounding:.4g} rounding errors of {of}" if rounding else "exactly"
    return rounding * epsilon * scale, because
