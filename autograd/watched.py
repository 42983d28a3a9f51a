"""What a step changes in a way that its recording does not see.

A recording sees what is done to the step's own arrays. What NumPy does to others, such as a
running mean that decays, it does not; a replay would leave it out. So the arrays that stay from
step to step are watched while a step is recorded: between two calls that may change them they must
not change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy

from autograd.changes import owner_of
from autograd.core import Tensor

_HOW = (
    "in a way that is not seen, as no array of its own is in it; do it in a function that is "
    "marked as whole"
)


class Watch:
    """Arrays that stay, and what the calls of a recording have left in them."""

    def __init__(self, arrays: Iterable[numpy.ndarray]) -> None:
        self._owners = {id(owner_of(x)): owner_of(x) for x in arrays}
        self._left: dict[int, Any] = {}
        self._gradients: dict[int, tuple[Tensor, Any, Any]] = {}  # of leaves
        self.look()

    def look(self) -> None:
        """Take what is there for right: a call was made that may change anything."""
        self._left = {key: owner.copy() for key, owner in self._owners.items()}
        for leaf, _, _ in list(self._gradients.values()):
            self.given(leaf)

    def written(self, array: Any) -> None:
        """A call has written to this array, which is watched from now on."""
        owner = owner_of(array)
        if id(owner) in self._left and owner.flags.c_contiguous:
            _same_place(array, owner, self._left[id(owner)])[...] = array
        else:
            self._owners[id(owner)] = owner
            self._left[id(owner)] = owner.copy()

    def given(self, leaf: Tensor) -> None:
        """A gradient has arrived at this leaf, or was used up."""
        g = leaf.grad
        if not isinstance(g, numpy.ndarray | numpy.generic):
            self._gradients.pop(id(leaf), None)
            return
        self._gradients[id(leaf)] = leaf, g, numpy.array(g)
        if isinstance(g, numpy.ndarray) and id(owner_of(g)) in self._left:
            self.written(g)

    def changed(self, array: Any) -> str | None:
        """How this array, which is about to be written to, was changed unseen; None if not."""
        owner = owner_of(array)
        left = self._left.get(id(owner))
        if left is None or not owner.flags.c_contiguous:
            return None
        if _equal(array, _same_place(array, owner, left)):
            return None
        return f"it changes an array {array.shape} {_HOW}"

    def changes(self) -> Iterator[str]:
        """Of everything that was changed unseen, how."""
        for key, owner in self._owners.items():
            if not _equal(owner, self._left[key]):
                yield f"it changes an array {owner.shape} {_HOW}"
        for leaf, g, left in self._gradients.values():
            if leaf.grad is not g or not _equal(g, left):
                yield f"it changes the gradient of a parameter {leaf.shape} {_HOW}"


def _same_place(array: numpy.ndarray, owner: numpy.ndarray, copy: numpy.ndarray) -> numpy.ndarray:
    """The view of ``copy`` that corresponds to the view ``array`` of ``owner``."""
    offset = array.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
    return numpy.ndarray(array.shape, array.dtype, copy, offset, array.strides)


def _equal(a: Any, b: Any) -> bool:
    return numpy.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
