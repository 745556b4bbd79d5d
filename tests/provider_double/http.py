"""A threading HTTP server on 127.0.0.1 that leaves no connection open behind it."""

from __future__ import annotations

import io
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What is sent back; `half` sends half of the body and closes the connection.

    `drip` seconds pass between two bytes of the body, `drip_head` between two of what comes before it.
    """

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    half: bool = False
    drip: float = 0.0
    drip_head: float = 0.0


Responder = Callable[[str, Mapping[str, str], bytes], Response | None]
"""From target, headers in lower case and body to the response; None closes the connection without one."""


class HttpServer:
    """Answers POST requests on a free port, one thread for each connection."""

    def __init__(self, respond: Responder) -> None:
        self._server = _Server(respond)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self.port = int(self._server.server_address[1])

    @property
    def connections(self) -> int:
        """How many are open."""
        return self._server.connections

    def start(self) -> None:
        """Accept connections."""
        self._thread.start()

    def stop(self) -> None:
        """Close the port and every connection, and wait for their threads."""
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    request_queue_size = 256

    def __init__(self, respond: Responder) -> None:
        self.respond = respond
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def connections(self) -> int:
        with self._lock:
            return len(self._open)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        with self._lock:
            connections = list(self._open)
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A caller that gave up is part of the tests.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Else the body of an answer would wait some 40 ms for the acknowledgement of its head.
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_POST(self) -> None:
        size = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(size)
        if len(body) < size:  # who sent it was killed
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        response = cast(_Server, self.server).respond(self.path, headers, body)
        if response is None:
            self.close_connection = True
            return
        self._send(self._head(response), response.drip_head)
        self._send(response.body[: len(response.body) // 2] if response.half else response.body, response.drip)
        self.close_connection = self.close_connection or response.half

    def _head(self, response: Response) -> bytes:
        out, self.wfile = self.wfile, io.BytesIO()
        self.send_response(response.status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(response.body)))
        for name, value in response.headers.items():
            self.send_header(name, value)
        self.end_headers()
        head, self.wfile = self.wfile.getvalue(), out
        return head

    def _send(self, data: bytes, drip: float) -> None:
        if not drip:
            self.wfile.write(data)
            return
        for at in range(len(data)):
            self.wfile.write(data[at : at + 1])
            self.wfile.flush()
            time.sleep(drip)

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: what arrived is in the double's own log."""
