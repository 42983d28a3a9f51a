"""Data sets: what comes with the package, what can be fetched, and files of the user's own."""

from scratchgen.data.images import ImageData
from scratchgen.data.loading import load
from scratchgen.data.mnist import download

__all__ = ["ImageData", "download", "load"]
