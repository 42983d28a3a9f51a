"""Training runs: the loop, the folder that it leaves behind, and how to open it again."""

from scratchgen.training.run import Run

__all__ = ["Run"]
