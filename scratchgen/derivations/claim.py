"""A claim: a line of a derivation, beside the function that computes both of its sides.

    @claim(
        section="information",
        statement=r"H(X) \\leq \\ln K",
        says="No distribution over K classes has more entropy than the uniform one.",
        source="C. E. Shannon (1948), §6, property 2",
        method="closed form",
        wrong={"entropy in bits": {"unit": 1 / math.log(2)}},
    )
    def uniform_has_most_entropy(proof: Proof, *, unit=1.0) -> None:
        \"\"\"The derivation, line by line.\"\"\"
        logits = proof.rng.standard_normal((5, 4))
        ...

What may be got wrong is a keyword parameter, whose default is right. Each entry of ``wrong`` gives
it another value, a mistake that somebody could make, and must be found false: a claim that nothing
could refute says nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

METHODS = (
    "closed form",
    "enumeration",
    "quadrature",
    "finite differences",
    "complex step",
    "adjoint identity",
    "Jacobian",
    "step by step",
    "Monte Carlo",
    "exact transport",
)
"""How the two sides are come by: what makes it certain that they are not the same computation."""


@dataclass(frozen=True)
class Claim:
    """A statement, and the function that derives and checks it."""

    name: str
    """that of the function, with hyphens"""
    section: str
    """the part of the field that it belongs to"""
    statement: str
    """LaTeX; a formula on each line"""
    says: str
    """the same in one plain sentence"""
    source: str
    """the paper and its equation, or the lecture's example"""
    method: str
    """one of METHODS"""
    derive: Callable[..., None]
    """(proof, **variant) → None; its docstring is the derivation"""
    wrong: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """what is wrong → the keyword arguments of ``derive`` that make it so"""
    figure: Callable[[], Any] | None = None
    """() → a matplotlib Figure, where one says more"""

    @property
    def derivation(self) -> str:
        """The docstring of the function."""
        return inspect.getdoc(self.derive) or ""

    @property
    def code(self) -> str:
        """The function's source."""
        return inspect.getsource(self.derive)


def claim(
    *,
    statement: str,
    says: str,
    method: str,
    section: str = "own",
    source: str = "",
    wrong: Mapping[str, Mapping[str, Any]] | None = None,
    figure: Callable[[], Any] | None = None,
) -> Callable[[Callable[..., None]], Claim]:
    """Make a :class:`Claim` of the function below, of its name.

    Raises ValueError for a method that is none of METHODS, a wrong variant of a parameter that the
    function has not, and a name that the file has given to another claim before.
    """

    def make(derive: Callable[..., None]) -> Claim:
        name = derive.__name__.replace("_", "-")
        _check(name, derive, method, wrong or {})
        return Claim(
            name, section, statement.strip(), says, source, method, derive, wrong or {}, figure
        )

    return make


def claims_in(module: ModuleType) -> list[Claim]:
    """The claims that a module defines itself, in the order of its lines."""
    return [
        entry
        for entry in vars(module).values()
        if isinstance(entry, Claim) and entry.derive.__module__ == module.__name__
    ]


def _check(
    name: str, derive: Callable[..., None], method: str, wrong: Mapping[str, Mapping[str, Any]]
) -> None:
    if method not in METHODS:
        raise ValueError(f"claim {name}: no method {method!r}; there are {', '.join(METHODS)}")
    parameters = inspect.signature(derive).parameters
    for variant, changes in wrong.items():
        for parameter in changes:
            if parameter not in parameters:
                raise ValueError(f"claim {name}: {variant!r} sets {parameter}, which it has not")
        if not changes:
            raise ValueError(f"claim {name}: {variant!r} changes nothing")
    before = derive.__globals__.get(derive.__name__)
    if isinstance(before, Claim) and before.derive.__code__.co_filename == (
        derive.__code__.co_filename
    ):
        raise ValueError(f"claim {name}: there is another of this name before it")
