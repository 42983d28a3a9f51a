"""What models and layers have in common: named parameters, and what is kept with them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from autograd import Tensor, backend, constant
from autograd.backend.whole import seen


class Module:
    """An object whose attributes are parameters (Tensors), other modules, or lists of modules.

    There is no other state: what a module computes depends on its parameters and its arguments
    alone, and there is no training mode to switch. A layer that behaves at random in training takes
    a generator ``rng``, and is deterministic when it gets None.

    Arrays that are no parameters but belong to the model all the same (a random permutation,
    running averages) are *buffers*: they are kept in checkpoints, and no optimiser sees them.
    """

    buffers: ClassVar[tuple[str, ...]] = ()
    """The names of the attributes that are buffers, arrays on the device."""

    def parameters(self) -> dict[str, Tensor]:
        """All parameters by attribute path, such as ``blocks.3.conv.weight``, in a fixed order."""
        return {path: x for path, x in self._everything().items() if isinstance(x, Tensor)}

    @property
    def dtype(self) -> Any:
        """Of the parameters: of the first, as all are made alike."""
        found = (getattr(owner, name) for _, owner, name in self._places(""))
        return next(x for x in found if isinstance(x, Tensor)).dtype

    def _everything(self) -> dict[str, Any]:
        """Parameters and buffers by attribute path."""
        return {path: getattr(owner, name) for path, owner, name in self._places("")}

    def values(self) -> dict[str, Any]:
        """Copies of all parameters and buffers, as host (NumPy) arrays by path."""
        found = self._everything().items()
        return {path: backend.to_numpy(constant(x)).copy() for path, x in found}

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """Within this block the parameters are constants: nothing is differentiated by them.

        For the turn of another player, whose loss goes through this module.
        """
        places = [place for place in self._places("") if isinstance(getattr(*place[1:]), Tensor)]
        tensors = [getattr(owner, name) for _, owner, name in places]
        for (_, owner, name), tensor in zip(places, tensors, strict=True):
            setattr(owner, name, seen(tensor.data))
        try:
            yield
        finally:
            for (_, owner, name), tensor in zip(places, tensors, strict=True):
                setattr(owner, name, tensor)

    def load(self, values: Mapping[str, Any]) -> None:
        """Set all of these, in place, to arrays by path. Raises ValueError if they do not fit."""
        parameters = self._everything()
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
        """Make every parameter and real buffer anew with this dtype ("float32", "float64")."""
        for _, owner, name in list(self._places("")):
            old = getattr(owner, name)
            if isinstance(old, Tensor):
                setattr(owner, name, Tensor(old.data.astype(dtype)))
            elif old.dtype.kind == "f":
                setattr(owner, name, old.astype(dtype))

    def _places(self, prefix: str) -> Iterator[tuple[str, Module, str]]:
        """(path, module that holds it, attribute name) of each parameter and buffer."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor) or name in self.buffers:
                yield prefix + name, self, name
            elif isinstance(value, Module):
                yield from value._places(f"{prefix}{name}.")
            elif isinstance(value, list | tuple):
                for i, item in enumerate(value):
                    if isinstance(item, Module):
                        yield from item._places(f"{prefix}{name}.{i}.")
