"""The command line ``transferqueue``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from transferqueue._version import __version__


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    argv
        Arguments without the program's name; None takes those of the process.
    """
    parser = argparse.ArgumentParser(prog="transferqueue")
    parser.add_argument("--version", action="version", version=__version__)
    parser.parse_args(argv)
    parser.print_help()
    return 2
