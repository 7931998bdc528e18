"""``python -m transferqueue`` is the console script ``transferqueue``."""

import sys

from transferqueue.cli import main

if __name__ == "__main__":
    sys.exit(main())
