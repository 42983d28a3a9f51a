"""Which inputs each output of a convolution reads: sides, stride, padding, dilation, taps."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy

Sides = tuple[int, ...]
Index = tuple[slice, ...]
Padding = str | int | Sequence[int | tuple[int, int]]


class Box(NamedTuple):
    """A rectangle of taps. All of a kernel's is one box, but a mask may leave several."""

    positions: tuple[range, ...]  # in the kernel, for each spatial dimension
    offsets: tuple[range, ...]  # from stride · (output position) to the input position read there

    @property
    def shape(self) -> Sides:
        return tuple(map(len, self.offsets))


class Read(NamedTuple):
    """What the outputs read through one tap, apart from the zeros around the input."""

    tap: int  # its place in Geometry.numbers
    outputs: Index  # those that read inside the input
    inputs: Index  # what they read, in the same order
    zeros: int  # how many outputs read a zero instead


@dataclass(frozen=True)
class Geometry:
    """Output position o reads, through a tap, the input position stride·o + offset of the tap.

    What lies outside of the input is zero. All tuples have an entry for each spatial dimension.
    """

    sides: Sides  # of the input
    out: Sides  # of the output
    kernel: Sides
    stride: Sides
    boxes: tuple[Box, ...]

    @cached_property
    def numbers(self) -> list[int]:
        """Which tap of the flattened kernel is read first, second, and so on."""
        shape = self.kernel
        scales = [math.prod(shape[i + 1 :]) for i in range(len(shape))]
        taps = (tap for box in self.boxes for tap in itertools.product(*box.positions))
        return [sum(t * scale for t, scale in zip(tap, scales, strict=True)) for tap in taps]

    @cached_property
    def before(self) -> Sides:
        """How many zeros are read in front of the input."""
        lowest = [min(box.offsets[i][0] for box in self.boxes) for i in range(len(self.sides))]
        return tuple(max(0, -low) for low in lowest)

    @cached_property
    def padded(self) -> Sides:
        """The sides of the input and of all zeros that are read around it."""
        found = []
        for i, side in enumerate(self.sides):
            highest = max(box.offsets[i][-1] for box in self.boxes)
            end = self.stride[i] * (self.out[i] - 1) + highest + 1
            found.append(self.before[i] + max(side, end))
        return tuple(found)

    @cached_property
    def inside(self) -> Index:
        """Where the input lies within the padded input."""
        pairs = zip(self.before, self.sides, strict=True)
        return (slice(None), *(slice(start, start + side) for start, side in pairs))

    @cached_property
    def windows(self) -> list[Index]:
        """What each tap reads of the padded input, for all output positions."""
        taps = (tap for box in self.boxes for tap in itertools.product(*box.offsets))
        return [(slice(None), *map(self._along, range(len(tap)), tap)) for tap in taps]

    def _along(self, i: int, offset: int) -> slice:
        start = self.before[i] + offset
        return slice(start, start + self.stride[i] * (self.out[i] - 1) + 1, self.stride[i])

    @cached_property
    def reads(self) -> list[Read]:
        """What the outputs read through each tap; first the tap with the fewest zeros."""
        taps = (tap for box in self.boxes for tap in itertools.product(*box.offsets))
        return sorted(map(self._read, range(len(self.numbers)), taps), key=lambda r: r[-1])

    def _read(self, number: int, tap: Sides) -> Read:
        dims = zip(self.sides, self.out, self.stride, tap, strict=True)
        outputs, inputs = zip(*itertools.starmap(_inside, dims), strict=True)
        zeros = math.prod(self.out) - math.prod(part.stop - part.start for part in outputs)
        return Read(number, (slice(None), *outputs), (slice(None), *inputs), zeros)

    @cached_property
    def is_pointwise(self) -> bool:
        """Whether each output reads just the input at its own position."""
        return self.sides == self.out == self.padded and len(self.numbers) == 1

    @cached_property
    def transposed(self) -> list[tuple[Index, Geometry | None]]:
        """The input gradient as convolutions of ȳ, one for each residue r of positions mod stride.

        Input i = stride·q + r was read at o through the taps of offset ≡ r, with
        o = (i − offset) / stride = q + (r − offset) / stride. So the gradients of all inputs of
        residue r are a convolution of ȳ with stride one. None: nobody reads them.
        """
        found = []
        for residues in itertools.product(*map(range, self.stride)):
            index = [slice(r, None, s) for r, s in zip(residues, self.stride, strict=True)]
            sides = [len(range(side)[part]) for side, part in zip(self.sides, index, strict=True)]
            boxes = [box for box in self._boxes_of(residues) if all(box.shape)]
            geometry = Geometry(
                self.out, tuple(sides), self.kernel, (1,) * len(sides), tuple(boxes)
            )
            found.append(((slice(None), *index), geometry if boxes and all(sides) else None))
        return found

    def _boxes_of(self, residues: Sides) -> Iterator[Box]:
        for box in self.boxes:
            positions, offsets = [], []
            for r, s, ts, os in zip(residues, self.stride, *box, strict=True):
                mine = [i for i, offset in enumerate(os) if (offset - r) % s == 0]
                part = as_range(mine[::-1])  # as offsets are subtracted, their order is reversed
                positions.append(as_range([ts[i] for i in part]))
                offsets.append(as_range([(r - os[i]) // s for i in part]))
            yield Box(tuple(positions), tuple(offsets))


def _inside(side: int, out: int, stride: int, offset: int) -> tuple[slice, slice]:
    """The outputs o for which stride·o + offset lies inside the input, and those inputs."""
    first = max(0, -(offset // stride))
    end = max(first, min(out, (side - 1 - offset) // stride + 1))
    start = stride * first + offset
    return slice(first, end), slice(start, start + stride * (end - first), stride)


def as_range(values: Sequence[int]) -> range:
    """Equally spaced integers as a range."""
    if len(values) < 2:
        return range(values[0], values[0] + 1) if values else range(0)
    step = values[1] - values[0]
    return range(values[0], values[-1] + step, step)


# ------------------------------------------------------------------------------------- options


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
    mask = None if taps is None else _as_tuples(taps, kernel)
    return _geometry(sides, kernel, strides, dilations, before, after, mask)


@functools.lru_cache(maxsize=1024)
def _geometry(
    sides: Sides,
    kernel: Sides,
    stride: Sides,
    dilation: Sides,
    before: Sides,
    after: Sides,
    mask: tuple | None,
) -> Geometry:
    reach = tuple(d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    padded = tuple(map(sum, zip(before, sides, after, strict=True)))
    if any(side < r for side, r in zip(padded, reach, strict=True)):
        raise ValueError(
            f"a kernel of {kernel} with dilation {dilation} reaches over {reach} positions, the "
            f"input has only {sides}, and {padded} with its padding; pad more, or use less"
        )
    out = tuple((side - r) // s + 1 for side, r, s in zip(padded, reach, stride, strict=True))
    boxes = []
    for positions in _rectangles(kernel, mask):
        ranges = zip(positions, dilation, before, strict=True)
        offsets = (range(d * t.start - b, d * (t.stop - 1) - b + 1, d) for t, d, b in ranges)
        boxes.append(Box(positions, tuple(offsets)))
    return Geometry(sides, out, kernel, stride, tuple(boxes))


def _rectangles(kernel: Sides, mask: tuple | None) -> list[tuple[range, ...]]:
    """The positions in the kernel that count, in as few rectangles as a scan by rows finds."""
    if mask is None:
        return [tuple(map(range, kernel))]
    found: list[tuple[range, ...]] = []
    kept = numpy.array(mask)
    for row in itertools.product(*map(range, kernel[:-1])):
        for counts, run in itertools.groupby(range(kernel[-1]), lambda i: kept[(*row, i)]):  # noqa: B023
            if not counts:
                continue
            ranges = (*(range(i, i + 1) for i in row), as_range(list(run)))
            joined = _joined(found[-1], ranges) if found and row else None
            found[-1:] = [joined] if joined else [*found[-1:], ranges]
    return found


def _joined(above: tuple[range, ...], row: tuple[range, ...]) -> tuple[range, ...] | None:
    """A rectangle and the row right below it as one, if it has the same width."""
    if (*above[:-2], above[-1]) != (*row[:-2], row[-1]) or above[-2].stop != row[-2].start:
        return None
    return (*row[:-2], range(above[-2].start, row[-2].stop), row[-1])


def _as_tuples(taps: Any, kernel: Sides) -> tuple:
    """A mask in a form that can be looked up."""
    mask = numpy.asarray(taps)
    if mask.shape != kernel or mask.dtype != bool or not mask.any():
        raise ValueError(
            f"taps must be a boolean mask of the kernel's shape {kernel} that leaves some; "
            f"this one is {mask.dtype} {mask.shape} and leaves {numpy.count_nonzero(mask)}"
        )

    def tuples(nested: Any) -> Any:
        return tuple(map(tuples, nested)) if isinstance(nested, list) else nested

    return tuples(mask.tolist())


def each(value: int | Sequence[int], dims: int, name: str) -> Sides:
    """One number for each spatial dimension."""
    values = (value,) * dims if isinstance(value, int) else tuple(value)
    if len(values) != dims:
        raise ValueError(f"{name} {value!r} must be a number, or one for each of {dims} dimensions")
    return values


def pads(padding: Padding, kernel: Sides, dilation: Sides) -> tuple[Sides, Sides]:
    """How many zeros in front and behind, for each dimension."""
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if isinstance(padding, str):
        return _named_pads(padding, reach)
    given: Iterable = [padding] * len(reach) if isinstance(padding, int) else padding
    pairs = [(pad, pad) if isinstance(pad, int) else tuple(pad) for pad in given]
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
