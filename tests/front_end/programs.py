# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The programs of the front end: where the tests find nginx and OAuth2-Proxy, and how they start and stop them."""

from __future__ import annotations

import platform
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _oauth2_proxy_binary as binary

REPOSITORY = Path(__file__).parents[2]
START_SECONDS = 30.0


def nginx() -> Path:
    """Return the program that scripts/install.sh provides."""
    script = REPOSITORY / "scripts" / "nginx.sh"
    found = subprocess.run([script], capture_output=True, text=True)
    if found.returncode:
        found = subprocess.run([script, "install"], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    return Path(found.stdout.strip())


def nginx_facts() -> dict[str, str]:
    """Return the facts of the Debian release with this nginx."""
    version = subprocess.run([nginx(), "-v"], capture_output=True, text=True, check=True).stderr
    # Debian 12 has 1.22, Debian 13 has 1.26.
    minor = int(version.partition("nginx/1.")[2].split(".")[0])
    return {"distribution": "Debian", "distribution_major_version": "13" if minor >= 25 else "12"}


def oauth2_proxy(role: Path, version: str, cache: Path) -> Path:
    """Return OAuth2-Proxy from the cache of the role. The first call builds it in minutes, as the role does."""
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
    request = binary.Request(version, architecture, "build", cache)
    sums = (role / "files" / "oauth2-proxy.sum").read_text(encoding="utf-8")
    return binary.cached(request) or binary.build(request, sums, role / "files" / "go-requirements.txt", print)


def accepts(path: Path | int) -> bool:
    """Return whether a Unix socket, or a port of the loopback interface, accepts connections."""
    family = socket.AF_INET if isinstance(path, int) else socket.AF_UNIX
    with socket.socket(family) as probe:
        try:
            probe.connect(("127.0.0.1", path) if isinstance(path, int) else str(path))
        except OSError:
            return False
    return True


def answers(path: Path) -> bool:
    """Return whether a program answers on a Unix socket that another process has opened."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0.2)
        probe.connect(str(path))
        probe.sendall(b"GET /ping HTTP/1.0\r\n\r\n")
        try:
            return bool(probe.recv(1))
        except TimeoutError:
            return False


def free_port() -> int:
    """Return a free port of the loopback interface."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def listening(path: Path) -> Iterator[socket.socket]:
    """Yield a Unix socket that queues connections, as systemd does for a service."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(64)
        yield listener
    path.unlink()


def activated(command: Sequence[str], listener: socket.socket) -> list[str]:
    """Return a command that gets the socket as systemd passes it."""
    script = f'exec 3<&{listener.fileno()}; export LISTEN_FDS=1 LISTEN_PID=$$; exec "$@"'
    return ["bash", "-c", script, "bash", *command]


@contextmanager
def running(
    command: Sequence[str],
    log: Path,
    ready: Callable[[], bool],
    *,
    environment: Mapping[str, str] | None = None,
    descriptors: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the end of the block. Fail with the end of its log if it does not become ready."""
    with (
        log.open("ab") as output,
        subprocess.Popen(
            command, stdout=output, stderr=output, env=environment, pass_fds=tuple(descriptors)
        ) as process,
    ):
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
