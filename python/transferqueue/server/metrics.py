"""The metrics process: HTTP for Prometheus. The keeper starts it if ``metrics.enabled`` is set.

It is apart from the core, so that whatever a stranger does to its port costs a page of numbers and nothing else. It only reads: GET
of one page. It asks the core at most every half second, has room for few visitors, and drops those who say nothing. Bound to the
loopback address, it answers only requests that name this host (a web page elsewhere can't have a browser read it for it); bound
elsewhere, only those that carry the token of ``TRANSFERQUEUE_METRICS_TOKEN``.
"""

from __future__ import annotations

import argparse
import hmac
import os
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref import simple_server

from transferqueue._job_folder import JobFolder
from transferqueue.options import METRICS_TOKEN_VARIABLE, is_loopback
from transferqueue.server import hosted
from transferqueue.server.metrics_page import CoreNumbers, QueueCollector
from transferqueue.server.plain_wire import PlainWire

#: Visitors at a time; more are shown the door at once.
MOST_VISITORS = 32
VISITOR_TIMEOUT_S = 10.0

#: A WSGI application, PEP 3333.
App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


class Visit(simple_server.WSGIRequestHandler):
    """A visitor's connection; silent ones are dropped, none is logged."""

    timeout = VISITOR_TIMEOUT_S

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


class Server(socketserver.ThreadingMixIn, simple_server.WSGIServer):
    """The HTTP server: a thread for each visitor."""

    daemon_threads = True
    request_queue_size = 2 * MOST_VISITORS

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._room = threading.BoundedSemaphore(MOST_VISITORS)

    def verify_request(self, *_: Any) -> bool:
        """Tell whether there is room for one more."""
        return self._room.acquire(blocking=False)

    def process_request_thread(self, *visit: Any) -> None:
        """Answer a visitor, on a thread of its own."""
        try:
            super().process_request_thread(*visit)
        finally:
            self._room.release()

    def server_bind(self) -> None:
        """Bind, without a look-up of the host's name, which may take long."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def handle_error(self, *_: Any) -> None:
        """Say nothing of visitors who leave early."""


class MetricsServer:
    """A running server.

    Parameters
    ----------
    host, port
        Where; port 0 takes a free one.
    app
        What answers.
    """

    def __init__(self, host: str, port: int, app: App) -> None:
        kind = type("Server6", (Server,), {"address_family": socket.AF_INET6}) if ":" in host else Server
        self._server = kind((host, port), Visit)
        self._server.set_app(app)
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """``host:port``."""
        host = self._server.server_name
        return f"[{host}]:{self._server.server_port}" if ":" in host else f"{host}:{self._server.server_port}"

    def wait(self, timeout_s: float | None = None) -> bool:
        """Return True when it has ended, False after `timeout_s` seconds."""
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


def guard(app: App, host: str, token: str | None) -> App:
    """`app` for those who may see it.

    Parameters
    ----------
    app
        The page.
    host
        Where the server is bound.
    token
        What visitors have to show; None on the loopback address.
    """

    def refuse(start_response: Callable[..., Any], status: str, *headers: tuple[str, str]) -> Iterable[bytes]:
        start_response(status, [("Content-Type", "text/plain"), *headers])
        return [status.encode()]

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return refuse(start_response, "405 Method Not Allowed", ("Allow", "GET, HEAD"))
        if environ.get("PATH_INFO") not in ("/metrics", "/"):
            return refuse(start_response, "404 Not Found")
        if token is not None:
            shown = environ.get("HTTP_AUTHORIZATION", "").encode("latin-1", "replace")
            if not hmac.compare_digest(shown, f"Bearer {token}".encode()):
                return refuse(start_response, "401 Unauthorized", ("WWW-Authenticate", "Bearer"))
        elif not is_loopback(name_of(environ.get("HTTP_HOST", host))):
            return refuse(start_response, "403 Forbidden")
        return app(environ, start_response)

    return answer


def name_of(host: str) -> str:
    """The host's name of a Host header."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def start(
    folder: JobFolder, config: dict[str, Any], _arguments: argparse.Namespace
) -> tuple[hosted.Server, dict[str, Any]]:
    """Start the server on the configured address."""
    from prometheus_client import CollectorRegistry, make_wsgi_app

    registry = CollectorRegistry(auto_describe=False)
    registry.register(QueueCollector(CoreNumbers(lambda: PlainWire(folder.core_socket))))
    host, port = config["metrics"]["host"], config["metrics"]["port"]
    token = None if is_loopback(host) else os.environ[METRICS_TOKEN_VARIABLE]
    server = MetricsServer(host, port, guard(make_wsgi_app(registry), host, token))
    return server, {"address": server.endpoint}


if __name__ == "__main__":
    sys.exit(hosted.serve("metrics", start, None))
