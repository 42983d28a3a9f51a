"""Where claims are found: the sections of this package, and files of the user's own."""

from __future__ import annotations

import difflib
import fnmatch
import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

from scratchgen.derivations.claim import Claim, claims_in
from scratchgen.errors import RunError, UsageError, unknown

SECTIONS = {
    "gradients": "Gradients",
    "information": "Information theory",
    "autoregressive": "Autoregressive models",
    "latent": "Latent variables",
    "mixtures": "Mixtures, EM and mean field",
    "flows": "Flows",
    "adversarial": "Adversarial models",
    "optimisation": "Optimisation and initialisation",
}
"""Each is a module of this package, and those whose names begin with its name and a _."""


def claims() -> list[Claim]:
    """All claims of the package, section by section. Raises ValueError if two share a name."""
    import scratchgen.derivations as package

    names = [module.name for module in pkgutil.iter_modules(package.__path__)]
    modules = [
        importlib.import_module(f"{package.__name__}.{name}")
        for section in SECTIONS
        for name in names
        if name == section or name.startswith(f"{section}_")
    ]
    return distinct(modules)


def load(source: str) -> list[Claim]:
    """The claims in a Python file, in the files of a folder, or in an importable module.

    Raises UsageError if there is no such thing or no claim in it, RunError if it cannot be run.
    """
    path = Path(source)
    if path.is_dir():
        paths = sorted(path.glob("*.py"))
    elif path.suffix == ".py" or path.exists():
        paths = [path]
    else:
        return _some(source, [_imported(source)])
    return _some(source, [_executed(path) for path in paths])


def find(claims: Sequence[Claim], patterns: Iterable[str], section: str | None) -> list[Claim]:
    """Those of a section (None for all) whose names match one of the patterns (none for all).

    A pattern is a part of a name, or has wildcards: ``kl``, ``*-ln-2``. Raises UsageError for a
    section that is not there and a pattern that matches nothing.
    """
    sections = list(dict.fromkeys(claim.section for claim in claims))
    if section is not None and section not in sections:
        raise unknown("section", section, sections)
    chosen = [claim for claim in claims if section in (None, claim.section)]
    patterns = list(patterns)
    for pattern in patterns:
        if not any(_matches(claim, pattern) for claim in chosen):
            raise _none_matches(pattern, [claim.name for claim in chosen])
    return [c for c in chosen if not patterns or any(_matches(c, p) for p in patterns)]


def named(claims: Sequence[Claim], name: str) -> Claim:
    """The claim of this name, or the only one whose name has this in it."""
    found = [claim for claim in claims if claim.name == name]
    found = found or find(claims, [name], None)
    if len(found) > 1:
        names = ", ".join(claim.name for claim in found)
        raise UsageError(f"{name!r} is in the names of several claims: {names}")
    return found[0]


def _matches(claim: Claim, pattern: str) -> bool:
    pattern = pattern.replace("_", "-")
    return pattern in claim.name or fnmatch.fnmatch(claim.name, pattern)


def _none_matches(pattern: str, names: Sequence[str]) -> UsageError:
    """With the nearest name, or the name that has the nearest word."""
    words = {word: name for name in reversed(names) for word in name.split("-")}
    near = difflib.get_close_matches(pattern, [*names, *words], n=1, cutoff=0.5)
    hint = f"; did you mean {words.get(near[0], near[0])!r}?" if near else ""
    return UsageError(f"no claim matches {pattern!r}{hint} ('scratchgen verify --list' names all)")


def distinct(modules: Iterable[ModuleType]) -> list[Claim]:
    found: dict[str, Claim] = {}
    for claim in (claim for module in modules for claim in claims_in(module)):
        if claim.name in found:
            places = (found[claim.name].derive.__module__, claim.derive.__module__)
            raise ValueError(f"claim {claim.name} is in both {' and '.join(places)}")
        found[claim.name] = claim
    return list(found.values())


def _some(source: str, modules: Iterable[ModuleType]) -> list[Claim]:
    found = distinct(modules)
    if not found:
        raise UsageError(f"--from {source}: no claims there; decorate a function with @claim(…)")
    return found


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UsageError(f"--from {name}: no such file, folder or module ({error})") from error


def _executed(path: Path) -> ModuleType:
    """The file as a module that is named after it and is not to be imported by that name."""
    name = f"claims of {path}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None or not path.exists():
        raise UsageError(f"--from {path}: no such Python file")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise RunError(f"{path}: {type(error).__name__}: {error}") from error
    return module
