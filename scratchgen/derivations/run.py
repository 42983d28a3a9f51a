"""Claims run one after the other, and what came of each."""

from __future__ import annotations

import operator
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from autograd import backend
from scratchgen.derivations.claim import Claim
from scratchgen.derivations.proof import Comparison, Proof


@dataclass(frozen=True)
class Result:
    """One run of a claim."""

    claim: Claim
    proof: Proof
    seconds: float
    exception: Exception | None = None

    @property
    def worst(self) -> Comparison | None:
        """The comparison with the largest error in relation to its tolerance.

        Where several have none, that of the largest tolerance.
        """
        key = operator.attrgetter("ratio", "tolerance")
        return max(self.proof.comparisons, key=key, default=None)

    @property
    def passed(self) -> bool:
        """Whether it ran to its end, compared something, and each comparison held."""
        made = self.proof.comparisons
        return self.exception is None and bool(made) and all(c.passed for c in made)

    @property
    def failure(self) -> str:
        """Why it did not pass, in one line; nothing if it did."""
        if self.exception is not None:
            message = " ".join(str(self.exception).split())
            return f"{type(self.exception).__name__}: {message}"
        worst = self.worst
        if worst is None:
            return "it compares nothing"
        if self.passed:
            return ""
        others = sum(not c.passed for c in self.proof.comparisons) - 1
        more = f" (and {others} more)" if others else ""
        return (
            f"{worst.what}: {worst.left:.6g} {worst.relation} {worst.right:.6g} is false, "
            f"error {worst.error:.1e}, tolerance {worst.tolerance:.1e}{more}"
        )

    @property
    def expected_false_alarms(self) -> float:
        """How often it fails at most, in the mean over seeds, although it is true."""
        return sum(c.level for c in self.proof.comparisons)

    def record(self) -> dict[str, Any]:
        """What ``--json`` prints of it; null for an error or tolerance that there is not."""
        worst = self.worst
        return {
            "name": self.claim.name,
            "section": self.claim.section,
            "source": self.claim.source,
            "method": self.claim.method,
            "error": None if worst is None else _finite(worst.error),
            "tolerance": None if worst is None else _finite(worst.tolerance),
            "passed": self.passed,
            "seconds": self.seconds,
        }


def verify(claims: Iterable[Claim], seed: int = 0) -> Iterator[Result]:
    """Run each of the claims on the current backend."""
    for claim in claims:
        yield run(claim, seed)


def run(claim: Claim, seed: int = 0, variant: Mapping[str, Any] | None = None) -> Result:
    """One claim, with what is got wrong in ``variant``. An exception of it is in the result."""
    proof = Proof(claim.name, seed)
    start = time.perf_counter()
    exception = None
    try:
        claim.derive(proof, **(variant or {}))
    except Exception as error:
        exception = error
    backend.synchronize()
    return Result(claim, proof, time.perf_counter() - start, exception)


def _finite(x: float) -> float | None:
    return x if abs(x) < float("inf") else None  # JSON has no infinity
