"""Python's own containers, under the names that programs for HIPS/autograd import.

There, containers have to be traced; here they are plain ones that hold Tensors.
"""

import builtins
from builtins import dict, list, tuple, type  # noqa: UP029 (they are what this module offers)
from typing import Any

from autograd.core import Tensor

__all__ = ["dict", "isinstance", "list", "tuple", "type"]


def isinstance(x: Any, kinds: Any) -> bool:
    """Whether ``x`` is of those kinds; for a Tensor, whether it or its value is."""
    found = builtins.isinstance(x, kinds)
    return found or (builtins.isinstance(x, Tensor) and builtins.isinstance(x.data, kinds))
