"""All parameters of a model in one buffer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import autograd.numpy as np
from autograd import Tensor, changes


class FlatParameters:
    """One buffer of which the parameters become views, and one for their gradients.

    An optimiser then makes a few passes over one long array, instead of as many for each of dozens
    of small ones: on a GPU each of those would be a kernel launch.
    """

    def __init__(self, parameters: Iterable[Tensor]) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError("there are no parameters to optimise")
        dtypes = {x.dtype for x in self.parameters}
        if len(dtypes) > 1:
            raise ValueError(f"the parameters are of several dtypes: {sorted(map(str, dtypes))}")
        self.data = np.concatenate([x.data.reshape(-1) for x in self.parameters])
        self.gradient = np.zeros_like(self.data)
        self._gradients = self._views(self.gradient)
        for x, view in zip(self.parameters, self._views(self.data), strict=True):
            x.data = view

    def collect_gradients(self) -> Any:
        """Move each parameter's ``grad`` into the buffer and clear it; one that has none counts 0.

        Returns the buffer.
        """
        for x, view in zip(self.parameters, self._gradients, strict=True):
            view[...] = 0.0 if x.grad is None else x.grad
            x.grad = None
        return self.gradient

    def changed(self) -> None:
        """Tell the engine that ``data`` was changed, so that no rule reads old values as new."""
        changes.note(self.data)

    def _views(self, flat: Any) -> list[Any]:
        views, start = [], 0
        for x in self.parameters:
            views.append(flat[start : start + x.size].reshape(x.shape))
            start += x.size
        return views
