"""What models and layers have in common: named parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from autograd import Tensor, backend


class Module:
    """An object whose attributes are parameters (Tensors), other modules, or lists of modules.

    There is no other state: what a module computes depends on its parameters and its arguments
    alone, and there is no training mode to switch. A layer that behaves at random in training takes
    a generator ``rng``, and is deterministic when it gets None.
    """

    def parameters(self) -> dict[str, Tensor]:
        """All parameters by attribute path, such as ``blocks.3.conv.weight``, in a fixed order."""
        return {path: getattr(owner, name) for path, owner, name in self._places("")}

    def values(self) -> dict[str, Any]:
        """Copies of the parameters' values, as host (NumPy) arrays by path."""
        return {path: backend.to_numpy(x.data).copy() for path, x in self.parameters().items()}

    def load(self, values: Mapping[str, Any]) -> None:
        """Set the parameters, in place, to arrays by path. Raises ValueError if they do not fit."""
        parameters = self.parameters()
        if missing := parameters.keys() - values.keys():
            raise ValueError(f"load: no value for the parameter {min(missing)!r}")
        if extra := values.keys() - parameters.keys():
            raise ValueError(f"load: there is no parameter {min(extra)!r} in this model")
        for path, x in parameters.items():
            if x.shape != values[path].shape:
                raise ValueError(
                    f"load: {path} has shape {x.shape}, the value {values[path].shape}"
                )
        for path, x in parameters.items():
            x[...] = backend.asarray(values[path], dtype=x.dtype)

    def astype(self, dtype: str) -> None:
        """Make every parameter anew with this dtype ("float32", "float64")."""
        for _, owner, name in list(self._places("")):
            setattr(owner, name, Tensor(getattr(owner, name).data.astype(dtype)))

    def _places(self, prefix: str) -> Iterator[tuple[str, Module, str]]:
        """(path, module that holds it, attribute name) of each parameter."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                yield prefix + name, self, name
            elif isinstance(value, Module):
                yield from value._places(f"{prefix}{name}.")
            elif isinstance(value, list | tuple):
                for i, item in enumerate(value):
                    if isinstance(item, Module):
                        yield from item._places(f"{prefix}{name}.{i}.")
