"""One port: requests with the service's target are ours, the rest is S3 by moto.

Head and body of an answer go out in one write, since two cost a client the delay of an
acknowledgement (about 40 ms), and connections are kept open, as the service keeps them.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import ThreadedWSGIServer

from tilekit.local.application import Application, Reply
from tilekit.local.protocol import CONTENT_TYPE
from tilekit.local.usage import USAGE_PATH, usage_report

_BUFFER = 1 << 16


class LocalServer(ThreadedWSGIServer):  # type: ignore[misc]
    """A threaded server around the application; `server_port` is the port it listens on."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, host: str, port: int, application: Application) -> None:
        self.application = application
        super().__init__(host, port, DomainDispatcherApplication(create_backend_app), Handler)

    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing: each request has its answer."""


class Handler(MotoRequestHandler):  # type: ignore[misc]
    """Answers one connection's requests, one after another."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = _BUFFER
    server: LocalServer

    def handle_expect_100(self) -> bool:
        """Let the client send its body now."""
        self.send_response_only(100)
        self.end_headers()
        self.wfile.flush()
        return True

    def run_wsgi(self) -> None:
        """Answer one request."""
        body = self._read_body()
        if body is None:
            return
        target = self.headers.get("X-Amz-Target", "")
        if target.startswith("RekognitionService") or (self._is_json() and not target):
            self._reply(self.server.application.answer(self.headers, body))
        elif self.path == USAGE_PATH:
            self._send(
                200, [("Content-Type", "application/json")], usage_report(self.server.application.service)
            )
        else:
            self._forward(body)

    def _is_s3(self) -> bool:
        return "/s3/aws4_request" in self.headers.get("Authorization", "")

    def _is_json(self) -> bool:
        return (
            self.command == "POST"
            and self.path == "/"
            and CONTENT_TYPE in self.headers.get("Content-Type", "")
        )

    def _read_body(self) -> bytes | None:
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            environ = self.make_environ()
            data: bytes = environ["wsgi.input"].read()
            return data
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if length < 0:
            self.close_connection = True
            self._send(400, [], b"")
            return None
        body: bytes = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return None
        return body

    def _reply(self, reply: Reply) -> None:
        if reply.drop:
            self.close_connection = True
            return
        head = [("x-amzn-RequestId", reply.request_id), ("Content-Type", CONTENT_TYPE)]
        self._send(reply.status, head, reply.body)

    def _forward(self, body: bytes) -> None:
        environ = self.make_environ()
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            started[:] = [status, headers]
            return lambda data: None

        answer: Iterable[bytes] = self.server.app(environ, start_response)
        try:
            data = b"".join(answer)
        finally:
            close = getattr(answer, "close", None)
            if close is not None:
                close()
        status = int(started[0].split()[0])
        if self.command in ("PUT", "POST", "DELETE") and status < 300 and self._is_s3():
            self.server.application.service.buckets.remember(self.path)
        self._send(status, started[1], data)

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        names = set()
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
                names.add(name.lower())
        if "content-length" not in names and status not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Say nothing."""

    def log_error(self, format: str, *args: Any) -> None:
        """Say nothing: a client that goes away is no error of the server."""


def quiet_moto() -> None:
    """Let moto need no account settings of the surrounding shell."""
    os.environ.setdefault("MOTO_ALLOW_NONEXISTENT_REGION", "true")
