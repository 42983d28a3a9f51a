"""Training as an animated picture: what a generator makes of the same input, epoch after epoch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy
from PIL import Image

from scratchgen.training.checkpoint import replacing

MOST = 64
"""Frames, beside the latest: of a longer training every second epoch is one, or every fourth …"""

FRAME, LAST = 150, 2_000
"""Milliseconds that a frame is seen, and the last one."""


class Animation:
    """The draws after each epoch, which are kept with the state of a run, and the file they make.

    What is shown after an epoch depends on that epoch alone, not on where training will end or was
    interrupted: the same run always leaves the same file.
    """

    def __init__(self, path: Path, picture: Callable[[numpy.ndarray], numpy.ndarray]) -> None:
        """``picture``: draws (n, …) → (height, width, 3) of 0 … 255."""
        self.path, self._picture = path, picture
        self.draws: dict[int, numpy.ndarray] = {}  # by epoch
        self._frames: dict[int, Image.Image] = {}  # of these, as far as they were needed

    def add(self, epoch: int, draws: numpy.ndarray) -> None:
        """Have them shown as what there is after that epoch, the latest."""
        self._frames.pop(epoch, None)
        self.draws = {n: x for n, x in (self.draws | {epoch: draws}).items() if _shown(n, epoch)}

    def write(self) -> None:
        """Write the file, if there is anything to show. Raises RunError if that cannot be done."""
        if not self.draws:
            return
        self._frames = {
            epoch: self._frames.get(epoch) or Image.fromarray(self._picture(x))
            for epoch, x in sorted(self.draws.items())
        }
        first, *others = self._frames.values()
        durations = [FRAME] * len(others) + [LAST]
        with replacing(self.path) as temporary:
            first.save(
                temporary, "PNG", save_all=True, append_images=others, duration=durations, loop=0
            )

    def state(self) -> dict[str, numpy.ndarray]:
        """Host arrays by name."""
        return {str(epoch): x for epoch, x in self.draws.items()}

    def load_state(self, arrays: Mapping[str, numpy.ndarray]) -> None:
        self.draws = {int(epoch): x for epoch, x in arrays.items()}
        self._frames = {}


def _shown(epoch: int, latest: int) -> bool:
    """Whether an epoch is one of those in the picture when the latest has ended."""
    spacing = 1
    while latest > MOST * spacing:
        spacing *= 2
    return epoch == latest or (epoch - 1) % spacing == 0
