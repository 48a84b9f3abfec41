"""Requests to a running store (blocking): its coordinator over DIR/run/control.sock, the S3 port's health page."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
from pathlib import Path
from typing import Any

TIMEOUT_SECONDS = 5.0


class NoAnswer(Exception):
    """Nobody answers there, or not with success."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(control_socket: Path, method: str, path: str, body: object = None) -> Any:
    """The coordinator's JSON answer."""
    connection = _UnixConnection(control_socket)
    try:
        payload = None if body is None else json.dumps(body)
        connection.request(method, path, payload, {"Content-Type": "application/json"} if payload else {})
        answer = connection.getresponse()
        text = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise NoAnswer(f"{control_socket}: {error}") from error
    finally:
        connection.close()
    if answer.status >= http.HTTPStatus.BAD_REQUEST:
        raise NoAnswer(f"{control_socket}: {method} {path} answered {answer.status}: {text[:200]!r}")
    return json.loads(text) if text else None


def is_healthy(host: str, port: int, *, tls: bool) -> bool:
    """Whether the S3 port answers GET /-/healthz with 200."""
    connection: http.client.HTTPConnection
    if tls:
        # This asks our own process whether it is up; who it is, the certificate's names included, is not the question.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        connection = http.client.HTTPSConnection(host, port, timeout=TIMEOUT_SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", "/-/healthz", headers={"Connection": "close"})
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
