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
        self._data = self._views(self.data)
        for x, view, gradient in zip(self.parameters, self._data, self._gradients, strict=True):
            x.data, x.home = view, gradient

    def gather_gradients(self) -> Any:
        """Make each parameter's ``grad`` a view of one buffer; one that has none becomes 0.

        Returns the buffer: what is changed in it is changed in the parameters' ``grad``. Raises
        RuntimeError if the parameters are another buffer's by now.
        """
        for x, view, gradient in zip(self.parameters, self._data, self._gradients, strict=True):
            if x.data is not view:
                raise RuntimeError(
                    f"a parameter of shape {x.shape} was moved to other memory since this "
                    "optimiser was made, as by another optimiser; use the latest one"
                )
            if x.grad is not gradient:  # it is if they were gathered before
                gradient[...] = 0.0 if x.grad is None else x.grad
                x.grad = gradient
        return self.gradient

    def collect_gradients(self) -> Any:
        """As :meth:`gather_gradients`, and clear each parameter's ``grad``."""
        self.gather_gradients()
        for x in self.parameters:
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
