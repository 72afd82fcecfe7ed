# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Slow uploads of a measurement: each in pieces, without a retry, and verified at the end."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.support.upload import PIECE, Trickle, Uploads


class Server(BaseHTTPRequestHandler):
    """Store uploads, except those with a scripted status. An upload with the name `lost` is accepted and not stored."""

    kept: dict[str, bytes]
    answers: dict[str, int]

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        name = self.path.rpartition("/")[2]
        status = self.answers.get(name, 200)
        if status == 200 and name != "lost":
            self.kept[self.path] = content
        self.answer(status)

    def do_GET(self) -> None:
        self.answer(200 if self.path in self.kept else 404, self.kept.get(self.path, b""))

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(200, json.dumps({"experiment_id": "7"}).encode())

    def answer(self, status: int, content: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def uploads(monkeypatch: pytest.MonkeyPatch) -> Iterator[Uploads]:
    for name in ("USERNAME", "PASSWORD", "SERVER_CERT_PATH"):
        monkeypatch.setenv(f"MLFLOW_TRACKING_{name}", "x")
    Server.kept, Server.answers = {}, {}
    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Uploads(f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
        thread.join()


def test_a_body_is_sent_in_pieces_with_a_pause_before_each() -> None:
    pauses: list[int] = []
    body = Trickle(bytes(PIECE * 2 + 1), lambda: pauses.append(1))
    assert len(body) == PIECE * 2 + 1
    assert [len(body.read(size)) for size in (PIECE * 9, -1, PIECE, PIECE)] == [PIECE, PIECE, 1, 0]
    assert len(pauses) == 3


def test_an_accepted_upload_is_stored(uploads: Uploads) -> None:
    assert uploads.create_experiment("e") == "7"
    pauses: list[int] = []
    content = bytes(range(256)) * 32
    uploads.upload("7/0.bin", content, lambda: pauses.append(1))
    assert Server.kept == {"/api/2.0/mlflow-artifacts/artifacts/7/0.bin": content}
    assert len(pauses) == 2
    assert uploads.report() == {"uploads": 1, "failed": 0, "causes": {}, "wrong": []}


def test_a_failure_is_counted_and_not_repeated(uploads: Uploads) -> None:
    Server.answers = {"bad": 503}
    uploads.upload("7/bad", b"x", lambda: None)
    uploads.url = "http://127.0.0.1:1"
    uploads.upload("7/away", b"x", lambda: None)
    assert uploads.report() == {
        "uploads": 2,
        "failed": 2,
        "causes": {"HTTP 503": 1, "ConnectionError": 1},
        "wrong": [],
    }


def test_a_lost_upload_is_reported(uploads: Uploads) -> None:
    uploads.upload("7/lost", b"x", lambda: None)
    assert uploads.report()["wrong"] == ["7/lost"]
