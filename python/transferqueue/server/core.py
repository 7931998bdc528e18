"""The core process: Python around the C# core that holds the rows. Started by the keeper."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from transferqueue._job_folder import JobFolder
from transferqueue.server import hosted


def start(
    folder: JobFolder, config: dict[str, Any], arguments: argparse.Namespace
) -> tuple[hosted.Server, dict[str, Any]]:
    """Start the core on the socket that the keeper owns."""
    from transferqueue import _core

    options = {
        "listen_fd": arguments.listen_fd,
        "keeper_fd": arguments.memory_fd,
        **{name: value for name, value in config["core"].items() if value is not None},
    }
    # A sampler of the user's own may come later.
    options["sampler_token"] = bytes.fromhex(folder.token.read_text(encoding="ascii"))
    return _core.serve_core(options), {"address": folder.address}


if __name__ == "__main__":
    sys.exit(hosted.serve("core", start, None))
