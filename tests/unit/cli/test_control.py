"""Asking a running store, against real sockets."""

from __future__ import annotations

import http.server
import json
import socketserver
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import control


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(200 if self.path in ("/-/healthz", "/status") else 404, {"path": self.path})

    def do_POST(self) -> None:
        self._answer(200, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, status: int, body: object) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def address_string(self) -> str:
        return "test"

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def unix(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "control.sock"
    with socketserver.ThreadingUnixStreamServer(str(path), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield path
        server.shutdown()
        thread.join()


@pytest.fixture
def port() -> Iterator[int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_address[1]
        server.shutdown()
        thread.join()


def test_ask_gives_the_json_answer(unix: Path) -> None:
    assert control.ask(unix, "GET", "/status") == {"path": "/status"}
    assert control.ask(unix, "POST", "/session/closed", {"slot": 1}) == {"slot": 1}


def test_refusal_and_silence_are_no_answer(unix: Path) -> None:
    with pytest.raises(control.NoAnswer, match="404"):
        control.ask(unix, "GET", "/else")
    with pytest.raises(control.NoAnswer):
        control.ask(unix.with_name("nobody.sock"), "GET", "/status")


def test_health_of_a_port(port: int) -> None:
    assert control.is_healthy("127.0.0.1", port, tls=False)
    assert not control.is_healthy("127.0.0.1", port, tls=True)
    assert not control.is_healthy("127.0.0.1", 1, tls=False)
