# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The programs of the front end: where the tests find nginx and OAuth2-Proxy, and how they start and stop them."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
OAUTH2_PROXY = "github.com/oauth2-proxy/oauth2-proxy/v7"
OAUTH2_PROXY_VERSION = "7.15.6"
START_SECONDS = 30.0


def nginx() -> Path:
    """Return the program that scripts/install.sh provides."""
    script = REPOSITORY / "scripts" / "nginx.sh"
    found = subprocess.run([script], capture_output=True, text=True)
    if found.returncode:
        found = subprocess.run([script, "install"], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return Path(found.stdout.strip())


def oauth2_proxy() -> Path:
    """Return OAuth2-Proxy from the cache. The first call builds it with the Go of the system, in minutes."""
    directory = REPOSITORY / ".cache" / "oauth2-proxy" / OAUTH2_PROXY_VERSION
    program = directory / "oauth2-proxy"
    if not program.exists():
        go = shutil.which("go")
        assert go, "there is no program go on PATH to build OAuth2-Proxy"
        environment = {**os.environ, "GOBIN": str(directory), "CGO_ENABLED": "0"}
        package = f"{OAUTH2_PROXY}@v{OAUTH2_PROXY_VERSION}"
        built = subprocess.run([go, "install", package], env=environment, capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
    return program


def accepts(path: Path | int) -> bool:
    """Return whether a Unix socket, or a port of the loopback interface, accepts connections."""
    family = socket.AF_INET if isinstance(path, int) else socket.AF_UNIX
    with socket.socket(family) as probe:
        try:
            probe.connect(("127.0.0.1", path) if isinstance(path, int) else str(path))
        except OSError:
            return False
    return True


def free_port() -> int:
    """Return a port of the loopback interface that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(command: Sequence[str], log: Path, ready: Callable[[], bool]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the end of the block. Fail with the end of its log if it does not become ready."""
    with log.open("ab") as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        try:
            deadline = time.monotonic() + START_SECONDS
            while not ready():
                late = process.poll() is not None or time.monotonic() > deadline
                assert not late, f"{command[0]} does not start: {log.read_text(errors='replace')[-2000:]}"
                time.sleep(0.02)
            yield process
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
