"""Data sets that come with the package, and what a data set is."""

from scratchgen.data.images import ImageData

__all__ = ["ImageData"]
