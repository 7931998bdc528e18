"""The gateway process: NetMQ for other hosts, a client of the core for them. The keeper starts it if TCP is wanted."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from transferqueue._job_folder import JobFolder
from transferqueue.server import hosted


def start(
    folder: JobFolder, config: dict[str, Any], _arguments: argparse.Namespace
) -> tuple[hosted.Server, dict[str, Any]]:
    """Start the gateway on the configured address."""
    from transferqueue import _core

    options = {
        "listen": config["listen"],
        "core": folder.address,
        "token": bytes.fromhex(folder.token.read_text(encoding="ascii")),
    }
    server = _core.serve_gateway(options)
    return server, {"address": config["listen"], **server.answer}


if __name__ == "__main__":
    sys.exit(hosted.serve("gateway", start, None))
