"""Deep generative models from first principles, on the autograd engine beside this package.

Importing this package loads nothing heavy, so that the commands can answer at once and can set up
the process before NumPy is loaded.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

__version__ = "0.1.0"


def _check_autograd() -> None:
    """Raise ImportError unless ``import autograd`` will find this project's own package.

    The name is also that of HIPS/autograd on PyPI. Of two packages of one name the first on the
    path wins, or the one that was installed last.
    """
    spec = importlib.util.find_spec("autograd")
    if spec is None or spec.origin is None:
        raise ImportError(
            "scratchgen: its package 'autograd' is not installed; reinstall scratchgen"
        )
    if "from autograd import backend" not in Path(spec.origin).read_text(encoding="utf-8"):
        raise ImportError(
            f"scratchgen: {spec.origin} is another package of the name 'autograd' (HIPS/autograd?) "
            "in place of the one that scratchgen brings; uninstall it ('pip uninstall autograd'), "
            "then reinstall scratchgen"
        )


_check_autograd()
