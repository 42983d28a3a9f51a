"""Which inputs each output of a convolution reads: sides, stride, padding, dilation, taps."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy

Sides = tuple[int, ...]
Index = tuple[slice, ...]
Padding = str | int | Sequence[int | tuple[int, int]]


@dataclass(frozen=True)
class Geometry:
    """Which inputs each output reads. All tuples have one entry for each spatial dimension.

    Output position o reads, through each tap t, input position stride·o + dilation·t − before.
    """

    sides: Sides  # of the input
    out: Sides  # of the output
    kernel: Sides
    stride: Sides
    dilation: Sides
    before: Sides  # zeros in front of the input
    after: Sides  # and behind it
    taps: tuple[Sides, ...]  # the positions in the kernel that count, in order

    @cached_property
    def padded(self) -> Sides:
        return _sums(self.before, self.sides, self.after)

    @cached_property
    def is_padded(self) -> bool:
        return self.padded != self.sides

    @cached_property
    def inside(self) -> Index:
        """Where the input lies within the padded input (N, *padded, C)."""
        pairs = zip(self.before, self.sides, strict=True)
        return (slice(None), *(slice(start, start + side) for start, side in pairs))

    @cached_property
    def windows(self) -> list[Index]:
        """What each tap reads of the padded input, over all output positions."""
        return [(slice(None), *map(self._along, range(len(tap)), tap)) for tap in self.taps]

    def _along(self, i: int, position: int) -> slice:
        start = self.dilation[i] * position
        return slice(start, start + self.stride[i] * (self.out[i] - 1) + 1, self.stride[i])

    @cached_property
    def is_pointwise(self) -> bool:
        """Whether each output reads one input, its own, as in a 1×1 convolution."""
        return len(self.taps) == 1 and self.sides == self.out and not self.is_padded

    @cached_property
    def tap_numbers(self) -> list[int]:
        """The taps' places in the flattened kernel."""
        weights = [1]
        for side in reversed(self.kernel[1:]):
            weights.insert(0, weights[0] * side)
        return [
            sum(t * weight for t, weight in zip(tap, weights, strict=True)) for tap in self.taps
        ]

    @cached_property
    def transposed(self) -> Geometry | None:
        """That of the input gradient, if it is a convolution of ȳ; None if it is not.

        Input i was read by output o = i + before − dilation·t if the stride is one. So x̄ is a
        convolution of ȳ with the taps in opposite order, t′ = kernel − 1 − t, and with
        dilation·(kernel − 1) − before zeros in front, if that is not negative.
        """
        reach = [d * (k - 1) for d, k in zip(self.dilation, self.kernel, strict=True)]
        before = tuple(r - b for r, b in zip(reach, self.before, strict=True))
        after = tuple(r - a for r, a in zip(reach, self.after, strict=True))
        if max(self.stride) > 1 or min(*before, *after) < 0:
            return None
        flipped = (
            tuple(k - 1 - t for k, t in zip(self.kernel, tap, strict=True)) for tap in self.taps
        )
        return Geometry(
            self.out,
            self.sides,
            self.kernel,
            self.stride,
            self.dilation,
            before,
            after,
            tuple(flipped),
        )


def geometry_of(
    sides: Sides,
    kernel: Sides,
    stride: int | Sequence[int],
    padding: Padding,
    dilation: int | Sequence[int],
    taps: Any,
) -> Geometry:
    """Check the options of a convolution and say which inputs each output reads."""
    dims = len(sides)
    strides, dilations = each(stride, dims, "stride"), each(dilation, dims, "dilation")
    if min(*strides, *dilations, *kernel) < 1:
        raise ValueError(
            f"stride {stride}, dilation {dilation} and kernel {kernel} must be positive"
        )
    before, after = pads(padding, kernel, dilations)
    return _geometry(sides, kernel, strides, dilations, before, after, _positions(taps, kernel))


@functools.lru_cache(maxsize=1024)
def _geometry(
    sides: Sides,
    kernel: Sides,
    stride: Sides,
    dilation: Sides,
    before: Sides,
    after: Sides,
    taps: tuple[Sides, ...],
) -> Geometry:
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    padded = _sums(before, sides, after)
    if any(side < r for side, r in zip(padded, reach, strict=True)):
        raise ValueError(
            f"a kernel of {kernel} with dilation {dilation} reaches over {reach} positions, the "
            f"input has only {sides}, and {padded} with its padding; pad more, or use less"
        )
    out = tuple((side - r) // s + 1 for side, r, s in zip(padded, reach, stride, strict=True))
    return Geometry(sides, out, kernel, stride, dilation, before, after, taps)


def _sums(*sides: Sides) -> Sides:
    return tuple(map(sum, zip(*sides, strict=True)))


def each(value: int | Sequence[int], dims: int, name: str) -> Sides:
    """One number for each dimension."""
    values = (value,) * dims if isinstance(value, int) else tuple(value)
    if len(values) != dims:
        raise ValueError(f"{name} {value!r} must be a number, or one for each of {dims} dimensions")
    return values


def pads(padding: Padding, kernel: Sides, dilation: Sides) -> tuple[Sides, Sides]:
    """Zeros in front and behind, for each dimension."""
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if isinstance(padding, str):
        return _named_pads(padding, reach)
    each: Iterable = [padding] * len(reach) if isinstance(padding, int) else padding
    pairs = [(pad, pad) if isinstance(pad, int) else tuple(pad) for pad in each]
    if len(pairs) != len(reach) or any(len(pair) != 2 or min(pair) < 0 for pair in pairs):
        raise ValueError(
            f"padding {padding!r} must be a number, or for each of {len(reach)} dimensions a "
            "number or a pair (in front, behind), none negative"
        )
    return tuple(pair[0] for pair in pairs), tuple(pair[1] for pair in pairs)


def _named_pads(padding: str, reach: list[int]) -> tuple[Sides, Sides]:
    none = (0,) * len(reach)
    if padding == "valid":
        return none, none
    if padding == "same":
        return tuple(r // 2 for r in reach), tuple(r - r // 2 for r in reach)
    if padding == "causal" and len(reach) == 1:
        return tuple(reach), none
    raise ValueError(
        f"padding {padding!r} over {len(reach)} dimensions: there are 'valid', 'same', "
        "'causal' (over one dimension), numbers and pairs"
    )


def _positions(taps: Any, kernel: Sides) -> tuple[Sides, ...]:
    """The positions in the kernel that count."""
    every = itertools.product(*map(range, kernel))
    if taps is None:
        return tuple(every)
    mask = numpy.asarray(taps)
    if mask.shape != kernel or mask.dtype != bool or not mask.any():
        raise ValueError(
            f"taps must be a boolean mask of the kernel's shape {kernel} that leaves some; "
            f"this one is {mask.dtype} {mask.shape} and leaves {numpy.count_nonzero(mask)}"
        )
    return tuple(itertools.compress(every, mask.ravel().tolist()))
