"""``/live``, ``/ready`` and ``/metrics`` over HTTP: one thread, one request at a time.

A request has a few seconds from its first byte to the last of the answer. Nothing of it is
logged, and nothing can be changed through this port.
"""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from prometheus_client import CONTENT_TYPE_LATEST

from deid_node.errors import SettingsInvalid

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deid_node.config.schema import Monitor

REQUEST_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.5
JSON: Final = "application/json"


class Watched(Protocol):
    """What is asked about."""

    def is_live(self) -> bool:
        """Tell whether the node does its work; if not, it must be started again."""

    def ready(self) -> Mapping[str, bool]:
        """Tell of each part whether it can do its work now."""

    def exposition(self) -> bytes:
        """Give the metrics."""


class MonitorServer:
    """Answers from entering to leaving; a context manager.

    Parameters
    ----------
    settings
        Address and port; without a port nothing is listened on.
    watched
        The node.

    Raises
    ------
    SettingsInvalid
        On entering, if the address is not ours or its port is taken.
    """

    def __init__(self, settings: Monitor, watched: Watched) -> None:
        self._settings = settings
        self._watched = watched
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        """Listen."""
        bind, port = self._settings.bind, self._settings.port
        if port is None:
            return self
        try:
            self._server = _Server((bind, port), self._watched)
        except OSError:
            raise SettingsInvalid(f"cannot listen on {bind}:{port} for monitoring") from None
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_SECONDS,), name="monitor", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        """Close the port."""
        if self._server is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


class _Server(HTTPServer):
    def __init__(self, address: tuple[str, int], watched: Watched) -> None:
        self.watched = watched
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind without asking a name server what this machine is called."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as the base class has it
        """Answer, and cut off whoever takes too long."""
        timer = threading.Timer(REQUEST_SECONDS, _cut, (request,))
        timer.daemon = True
        timer.start()
        try:
            super().process_request(request, client_address)
        finally:
            timer.cancel()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as above
        """Say nothing: the base class writes a traceback."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    server_version = "deid-node"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer one request."""
        match self.path.partition("?")[0]:
            case "/live":
                is_live = self.server.watched.is_live()
                self._answer(is_live, {"live": is_live})
            case "/ready":
                missing = [part for part, is_so in self.server.watched.ready().items() if not is_so]
                self._answer(not missing, {"ready": not missing, "not_ready": missing})
            case "/metrics":
                self._send(HTTPStatus.OK, CONTENT_TYPE_LATEST, self.server.watched.exposition())
            case _:
                self._send(HTTPStatus.NOT_FOUND, JSON, b"{}\n")

    def do_HEAD(self) -> None:
        """Answer without a body."""
        self.do_GET()

    def log_message(self, *_arguments: object) -> None:
        """Say nothing: the base class writes what the peer sent."""

    def _answer(self, is_good: bool, told: Mapping[str, object]) -> None:  # noqa: FBT001 - the answer itself
        status = HTTPStatus.OK if is_good else HTTPStatus.SERVICE_UNAVAILABLE
        self._send(status, JSON, json.dumps(told).encode() + b"\n")

    def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
