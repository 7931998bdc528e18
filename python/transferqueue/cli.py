"""The command line ``transferqueue``, also ``python -m transferqueue``."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from transferqueue._version import __version__

#: Command -> (module with a ``main(argv)``, what it does). A module loads when its command is asked for.
COMMANDS = {
    "bench": ("transferqueue.bench.run", "measure the workloads of docs/benchmarks.md on this machine"),
    "demo": ("transferqueue.demo.run", "watch a small transformer learn to add by GRPO, through the queue"),
    "migrate": ("transferqueue.migrate.run", "rewrite code that was written for the peer's old rows and names"),
    "serve": ("transferqueue.server.serve", "run a sidecar in the foreground"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    Parameters
    ----------
    argv
        Arguments without the program's name; None takes those of the process.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    if arguments and arguments[0] in COMMANDS:
        module = importlib.import_module(COMMANDS[arguments[0]][0])
        code: int = module.main(arguments[1:])
        return code
    parser = argparse.ArgumentParser(
        prog="transferqueue",
        description="Columns of samples between the stages of RL post-training.",
        epilog="`transferqueue COMMAND --help` tells a command's options.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, (_, text) in COMMANDS.items():
        commands.add_parser(name, help=text, add_help=False)
    parser.parse_args(arguments)
    parser.print_help()
    return 2
