"""``python -m scratchgen`` is the command ``scratchgen``."""

import sys

from scratchgen.cli import main

if __name__ == "__main__":
    sys.exit(main())
