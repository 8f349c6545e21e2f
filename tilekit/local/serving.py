"""One port: requests with the service's target are ours, the rest is S3 by moto.

Head and body of an answer go out in one write, since two cost a client the delay of an
acknowledgement (about 40 ms), and connections are kept open, as the service keeps them. Of moto only S3 and STS
answer; what resets or inspects it does not. `gate` says who may come in at all.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import threading
import time
from collections.abc import Iterable
from typing import Any
from xml.sax.saxutils import escape

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import ThreadedWSGIServer

from tilekit.local import gate
from tilekit.local.application import Application, Reply
from tilekit.local.protocol import BODY_LIMIT, CONTENT_TYPE, ServiceFault
from tilekit.local.signing import Request, Signature, read_signature
from tilekit.local.usage import USAGE_PATH, usage_report

_LOG = logging.getLogger("tilekit.local")
_BUFFER = 1 << 16
_DRAINED = 1 << 26
_BESIDE = ("s3", "sts")  # what moto may answer
_S3_CODES = {
    "InvalidSignatureException": ("SignatureDoesNotMatch", 403),
    "UnrecognizedClientException": ("InvalidAccessKeyId", 403),
    "IncompleteSignatureException": ("AuthorizationHeaderMalformed", 400),
}


class PortRefused(Exception):
    """The port cannot be had; why, in the system's words."""


class LocalServer(ThreadedWSGIServer):  # type: ignore[misc]
    """A threaded server around the application; `server_port` is the port it listens on.

    At most MOST_CONNECTIONS at once: others wait in the queue of the system.
    """

    daemon_threads = True
    block_on_close = False
    request_queue_size = 256

    def __init__(self, host: str, port: int, application: Application) -> None:
        self.application = application
        self.bound = host
        self.names = gate.host_names(host, application.backend.settings.hosts)
        self._room = threading.BoundedSemaphore(gate.MOST_CONNECTIONS)
        super().__init__(host, port, DomainDispatcherApplication(create_backend_app), Handler)

    def server_bind(self) -> None:
        """Take the port. Raises PortRefused: at an OSError werkzeug would speak for itself, and exit."""
        try:
            super().server_bind()
        except OSError as exc:
            raise PortRefused(exc.strerror) from exc

    def process_request(self, request: Any, client_address: Any) -> None:
        """Begin a connection's thread, once there is room for it."""
        self._room.acquire()
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._room.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """One connection, from its first request to its end."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error of the server."""
        _LOG.debug("connection of %s ended", client_address, exc_info=True)

    def log(self, type: str, message: str, *args: Any) -> None:
        """Say nothing: each request has its answer."""


class Handler(MotoRequestHandler):  # type: ignore[misc]
    """Answers one connection's requests, one after another."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = _BUFFER
    timeout = gate.IDLE_SECONDS
    server: LocalServer

    def handle_expect_100(self) -> bool:
        """Let the client send its body now."""
        self.send_response_only(100)
        self.end_headers()
        self.wfile.flush()
        return True

    def run_wsgi(self) -> None:
        """Answer one request."""
        if not gate.host_allowed(self.headers.get("Host"), self.server.bound, self.server.names):
            self._refuse(421, "MisdirectedRequest", "This server does not answer to that Host name.")
        elif not gate.origin_allowed(self.headers.get("Origin")):
            self._refuse(403, "AccessDenied", "Pages from other places may not call this server.")
        elif self.command == "OPTIONS":
            self._send(200, [], b"")
        else:
            self._answer()

    def _answer(self) -> None:
        ours = "X-Amz-Target" in self.headers or self._is_json()
        body = self._read_body(BODY_LIMIT if ours else gate.MOST_BODY)
        if body is None:
            return
        request = Request(
            self.command, self.path, dict(self.headers.items()), hashlib.sha256(body).hexdigest()
        )
        if ours:
            self._reply(self.server.application.answer(request, body))
        elif self.path == USAGE_PATH:
            report = usage_report(self.server.application.backend)
            self._send(200, [("Content-Type", "application/json")], report)
        else:
            self._answer_s3(request, body)

    def _is_json(self) -> bool:
        return (
            self.command == "POST"
            and self.path == "/"
            and CONTENT_TYPE in self.headers.get("Content-Type", "")
        )

    def _read_body(self, most: int) -> bytes | None:
        """The body; None where the request was answered here, or its sender went away."""
        if "Transfer-Encoding" in self.headers:
            return self._read_chunks(most)
        text = self.headers.get("Content-Length") or "0"
        if not (text.isascii() and text.isdigit() and len(text) < 20):
            self._refuse(400, "InvalidRequest", "Content-Length is no number.")
            return None
        length = int(text)
        if length > most:
            self._drain(min(length, _DRAINED))
            self._refuse_size(most)
            return None
        body: bytes = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return None
        return body

    def _drain(self, length: int) -> None:
        """Read on, so that a client that sends first and listens then hears the refusal."""
        while length > 0 and (part := self.rfile.read(min(length, _BUFFER))):
            length -= len(part)

    def _read_chunks(self, most: int) -> bytes | None:
        parts: list[bytes] = []
        size = 0
        try:
            stream = self.make_environ()["wsgi.input"]
            while part := stream.read(_BUFFER):
                size += len(part)
                if size > most:
                    self._refuse_size(most)
                    return None
                parts.append(part)
        except (OSError, ValueError):
            self._refuse(400, "InvalidRequest", "The body's chunks cannot be read.")
            return None
        return b"".join(parts)

    def _refuse_size(self, most: int) -> None:
        if most == BODY_LIMIT:
            self.close_connection = True
            fault = ServiceFault("RequestEntityTooLargeException", "The request body is too large.", 413)
            self._reply(self.server.application.refusal(fault))
        else:
            self._refuse(400, "EntityTooLarge", f"The body is larger than {most} bytes.")

    def _reply(self, reply: Reply) -> None:
        head = [("x-amzn-RequestId", reply.request_id), ("Content-Type", CONTENT_TYPE)]
        if not reply.drop:
            self._send(reply.status, head, reply.body)
            return
        self.close_connection = True
        if reply.body:
            self._send(
                reply.status,
                [*head, ("Content-Length", str(len(reply.body)))],
                reply.body[: len(reply.body) // 2],
            )

    def _answer_s3(self, request: Request, body: bytes) -> None:
        application = self.server.application
        try:
            signature = read_signature(request)
            if signature is not None:
                application.keys.check(request, signature)
            elif application.keys.known or not _is_signed_otherwise(self.path, self.headers, body):
                self._refuse(403, "AccessDenied", "The request has no signature of version 4.", close=False)
                return
        except ServiceFault as fault:
            code, status = _S3_CODES.get(fault.code, ("AccessDenied", 403))
            self._refuse(status, code, fault.message, close=False)
            return
        problem = self._problem(signature)
        if problem is not None:
            self._refuse(*problem, close=False)
            return
        rule = application.backend.faults.next_fault(f"S3.{self.command}")
        if rule is not None:
            time.sleep(rule.delay)
        if rule is None or rule.late or not rule.fails:
            status, headers, data = self._forward(body, remembered=True)
            if rule is None or not rule.fails:
                self._send(status, headers, data)
                return
        if rule.drop:
            self.close_connection = True
        else:
            self._refuse(
                rule.http_status, rule.error or "", rule.message or "A fault on demand.", close=False
            )

    def _problem(self, signature: Signature | None) -> tuple[int, str, str] | None:
        if gate.is_motos_own(self.path):
            return 404, "NoSuchKey", "There is nothing here."
        if signature is not None and signature.service not in _BESIDE:
            return (
                403,
                "AccessDenied",
                f"This local server answers rekognition, s3 and sts, not {signature.service}.",
            )
        if signature is None or signature.service == "s3":
            wrong = gate.bucket_problem(self.path, self.headers.get("Host"))
            if wrong is not None:
                return 400, "InvalidBucketName", wrong
        return None

    def _forward(self, body: bytes, *, remembered: bool) -> tuple[int, list[tuple[str, str]], bytes]:
        """moto's answer. What it breaks on is something it does not do."""
        environ = self.make_environ()
        environ["wsgi.input"] = io.BytesIO(body)
        environ["CONTENT_LENGTH"] = str(len(body))
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        started: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            started[:] = [status, headers]
            return lambda data: None

        try:
            answer: Iterable[bytes] = self.server.app(environ, start_response)
            try:
                data = b"".join(answer)
            finally:
                close = getattr(answer, "close", None)
                if close is not None:
                    close()
            status = int(started[0].split()[0])
        except Exception:  # noqa: BLE001 - one bad request must not take the connection with it
            _LOG.exception("S3 could not answer %s %s", self.command, self.path)
            status, data = 500, b""
        if status >= 500:
            text = _s3_error("NotImplemented", "This local S3 does not do what was asked.")
            return 501, [("Content-Type", "application/xml")], text
        if remembered and self.command in ("PUT", "POST", "DELETE") and status < 300:
            self.server.application.backend.buckets.remember(self.path)
        return status, started[1], data

    def _refuse(self, status: int, code: str, message: str, *, close: bool = True) -> None:
        """An error in S3's form. `close`: what the client still sends is not read."""
        self.close_connection = self.close_connection or close
        self._send(status, [("Content-Type", "application/xml")], _s3_error(code, message))

    def _send(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        names = set()
        own = gate.cors_headers(self.headers)
        for name, value in [*headers, *own]:
            low = name.lower()
            if low in ("connection", "transfer-encoding") or (
                low.startswith("access-control-") and (name, value) not in own
            ):
                continue
            self.send_header(name, value)
            names.add(low)
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


def _is_signed_otherwise(path: str, headers: Any, body: bytes) -> bool:
    """Whether this is a link by version 2 or a form that a browser posts with a signed policy in it.

    Both carry a signature that is not verified here, so they count only where no keys are given.
    """
    query = path.partition("?")[2]
    if all(f"{name}=" in query for name in ("AWSAccessKeyId", "Signature", "Expires")):
        return True
    kind = headers.get("Content-Type", "")
    return kind.startswith("multipart/form-data") and b'name="policy"' in body and b"X-Amz-Signature" in body


def _s3_error(code: str, message: str) -> bytes:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{escape(code)}</Code>'
        f"<Message>{escape(message)}</Message></Error>"
    ).encode()


def quiet_moto() -> None:
    """Let moto need no account settings of the surrounding shell."""
    os.environ.setdefault("MOTO_ALLOW_NONEXISTENT_REGION", "true")
