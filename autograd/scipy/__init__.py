"""The parts of SciPy that have gradients here, under SciPy's names."""

from autograd.scipy import linalg, special, stats

__all__ = ["linalg", "special", "stats"]
