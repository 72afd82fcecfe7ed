# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Real MLflow clients, a metadata server with short-lived tokens, and a server that checks each token."""

from __future__ import annotations

import base64
import configparser
import importlib.metadata
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import tomllib

PACKAGE = Path(__file__).parents[1]
LIFETIME = 6.0
"""Seconds. The package refreshes such a token after three seconds, so a request may take three seconds."""
CLIENT = """
import mlflow, os, pathlib, sys, time
client = mlflow.MlflowClient()
print(mlflow.__version__, client.get_experiment("0").name)
begin = time.monotonic()
while time.monotonic() - begin < float(sys.argv[1]):
    client.log_metric("1", "loss", 0.5)
    time.sleep(0.1)
file = pathlib.Path(sys.argv[2], "model.txt")
file.write_text("model")
client.log_artifact("1", str(file))
"""


@dataclass
class Google:
    """The metadata server of a VM."""

    issued: int = 0
    works: bool = True

    def get(self, path: str, query: dict[str, str]) -> tuple[int, str, Any]:
        if path.endswith("/identity") and not self.works:
            return 404, "text/html", "<p>no service account</p>"
        if path.endswith("/identity"):
            assert query["format"] == "full"
            self.issued += 1
            return 200, "application/text", self._token(query["audience"])
        if path.endswith("/default/"):
            return 200, "application/json", {"email": "robot@p.iam.gserviceaccount.com", "scopes": []}
        return 200, "application/text", "project"

    def _token(self, audience: str) -> str:
        now = time.time()
        claims = {"aud": audience, "email": "robot@p.iam.gserviceaccount.com", "iat": now, "exp": now + LIFETIME}
        parts = (json.dumps(part).encode() for part in ({"alg": "none", "number": self.issued}, claims, {}))
        return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


@dataclass
class Tracking:
    """An MLflow server that refuses wrong and expired tokens."""

    audience: str = ""
    headers: list[dict[str, str]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    uploaded: list[str] = field(default_factory=list)

    def request(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str, Any]:
        self.headers.append(headers)
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        if scheme != "Bearer" or not self._valid(token):
            self.refused.append(f"{method} {path} {scheme}")
            return 401, "application/json", {"error_code": "UNAUTHENTICATED", "message": "wrong token"}
        if method == "PUT" and "/mlflow-artifacts/artifacts/" in path:
            self.uploaded.append(path)
        run = {"run_id": "1", "run_uuid": "1", "experiment_id": "0", "status": "RUNNING", "start_time": 1}
        run |= {"artifact_uri": "mlflow-artifacts:/0/1/artifacts", "lifecycle_stage": "active"}
        experiment = {"experiment_id": "0", "name": "Default", "lifecycle_stage": "active", "artifact_location": "/0"}
        answers: dict[str, Any] = {
            "/experiments/get": {"experiment": experiment},
            "/runs/get": {"run": {"info": run, "data": {}}},
        }
        return 200, "application/json", next((a for end, a in answers.items() if path.endswith(end)), {})

    def _valid(self, token: str) -> bool:
        claims = json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))
        return bool(claims["aud"] == self.audience and time.time() < claims["exp"])


@contextmanager
def serving(answer: Callable[[str, str, dict[str, str]], tuple[int, str, Any]]) -> Iterator[str]:
    """Serve on a loopback port; yield host and port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, kind, content = answer(self.command, self.path, dict(self.headers))
            body = (content if isinstance(content, str) else json.dumps(content)).encode()
            self.send_response(status)
            for name, value in (("Content-Type", kind), ("Content-Length", len(body)), ("Metadata-Flavor", "Google")):
                self.send_header(name, str(value))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do  # noqa: N815 - http.server determines the names

        def log_message(self, *arguments: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@dataclass
class World:
    """Both servers, and the environment of a client."""

    google: Google
    tracking: Tracking
    environment: dict[str, str]

    def run(self, client: list[str], home: Path, seconds: float) -> subprocess.CompletedProcess[str]:
        """Run the program of the client."""
        return subprocess.run(
            [*client, "-c", CLIENT, str(seconds), str(home)],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            cwd=home,
        )


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    google, tracking = Google(), Tracking()

    def metadata(method: str, path: str, headers: dict[str, str]) -> tuple[int, str, Any]:
        url = urlsplit(path)
        return google.get(url.path, {name: values[0] for name, values in parse_qs(url.query).items()})

    def mlflow(method: str, path: str, headers: dict[str, str]) -> tuple[int, str, Any]:
        return tracking.request(method, urlsplit(path).path, headers)

    with serving(metadata) as metadata_host, serving(mlflow) as mlflow_host:
        tracking.audience = f"http://{mlflow_host}"
        # Both would replace MLFLOW_TRACKING_TOKEN.
        netrc = tmp_path / ".netrc"
        netrc.write_text("machine 127.0.0.1 login user password secret\n")
        netrc.chmod(0o600)
        basic = {"MLFLOW_TRACKING_USERNAME": "user", "MLFLOW_TRACKING_PASSWORD": "password"}
        environment = os.environ | basic
        environment |= {
            "HOME": str(tmp_path),
            "NO_PROXY": "127.0.0.1",
            "GCE_METADATA_HOST": metadata_host,
            "GCE_METADATA_IP": metadata_host,
            "MLFLOW_TRACKING_URI": tracking.audience,
            "MLFLOW_TRACKING_AUTH": "google",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
        }
        yield World(google, tracking, environment)


@pytest.fixture
def installed(world: World, tmp_path: Path) -> list[str]:
    """Return the Python of the tests, with this package on its path and the metadata that pip would install."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    folder = tmp_path / "packages" / "mlflow_gcp_auth-0.dist-info"
    folder.mkdir(parents=True)
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0\n")
    points = configparser.ConfigParser()
    points.read_dict(project["entry-points"])
    with (folder / "entry_points.txt").open("w") as file:
        points.write(file)
    world.environment["PYTHONPATH"] = os.pathsep.join([str(folder.parent), str(PACKAGE / "src")])
    return [sys.executable]


def assert_refreshed(world: World, tmp_path: Path, client: list[str]) -> str:
    """Run a client for longer than the lifetime of a token; return its output."""
    done = world.run(client, tmp_path, 1.25 * LIFETIME)
    assert done.returncode == 0, done.stderr
    assert not world.tracking.refused
    assert world.google.issued >= 2
    tokens = {headers["Authorization"] for headers in world.tracking.headers}
    assert len(tokens) == world.google.issued
    assert [path.rpartition("/")[2] for path in world.tracking.uploaded] == ["model.txt"]
    return done.stdout


def test_the_installed_mlflow(world: World, installed: list[str], tmp_path: Path) -> None:
    output = assert_refreshed(world, tmp_path, installed)
    assert output.split() == [importlib.metadata.version("mlflow"), "Default"]


def test_a_failure_reaches_the_user(world: World, installed: list[str], tmp_path: Path) -> None:
    world.google.works = False
    done = world.run(installed, tmp_path, 0)
    assert done.returncode != 0
    assert "Attach a service account to this VM instance" in done.stderr
    # The request was not sent without a token, and not repeated.
    assert not world.tracking.headers


def test_without_this_package_the_server_refuses(world: World, tmp_path: Path) -> None:
    """MLflow only warns if the plugin is missing."""
    world.environment["PYTHONPATH"] = ""
    done = world.run([sys.executable], tmp_path, 0)
    assert done.returncode != 0
    assert "Could not find any registered plugin for google" in done.stderr
    assert world.tracking.refused


def index() -> dict[str, str]:
    """Return the package index of pip as environment of uv."""
    known = os.environ.get("UV_DEFAULT_INDEX") or os.environ.get("PIP_INDEX_URL")
    return {"UV_DEFAULT_INDEX": known} if known else {}


@pytest.mark.parametrize("release", ["2.22.5", importlib.metadata.version("mlflow")])
def test_mlflow_skinny(world: World, tmp_path: Path, release: str) -> None:
    """In an own virtual environment with the wheel of this package. Needs a package index."""
    folder = tmp_path / "venv"
    python = folder / "bin" / "python"
    base = f"{sys.base_prefix}/bin/python{sys.version_info[0]}.{sys.version_info[1]}"
    options = ["--quiet", "--system-certs"]
    for command in (
        ["venv", *options, "--python", base, str(folder)],
        ["pip", "install", *options, "--python", str(python), f"mlflow-skinny=={release}", str(PACKAGE)],
    ):
        done = subprocess.run(
            [sys.executable, "-m", "uv", *command], env=os.environ | index(), capture_output=True, text=True
        )
        if "Failed to fetch" in done.stderr:
            pytest.skip(f"no package index: {done.stderr}")
        assert done.returncode == 0, done.stderr
    assert assert_refreshed(world, tmp_path, [str(python)]).split() == [release, "Default"]
