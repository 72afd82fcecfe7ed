# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Starts the Docker engine if none answers, and stops it if this module started it."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import docker
from docker.errors import DockerException

from localcloud.engine import sysctls
from localcloud.engine.base import EngineError

_SECONDS = 60
_SYSTEMD = Path("/run/systemd/system")


def answers() -> bool:
    """Return whether a Docker engine answers."""
    try:
        client = docker.from_env(timeout=10)
        client.ping()
        client.close()
    except DockerException:
        return False
    return True


def ensure(home: Path) -> str:
    """Ensure that a Docker engine answers; return a description of the result. Raises EngineError with the remedy."""
    if answers():
        return "was running"
    if os.environ.get("DOCKER_HOST"):
        raise EngineError(
            f"no Docker engine answers at DOCKER_HOST={os.environ['DOCKER_HOST']}: start it, or unset DOCKER_HOST to "
            "use this host's own"
        )
    if _SYSTEMD.is_dir():
        done = subprocess.run(["systemctl", "start", "docker"], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise EngineError(f"`systemctl start docker` failed: {done.stderr.strip()}\n{_systemd_remedy()}")
        _wait(lambda: f"`systemctl start docker` succeeded, but nothing answers.\n{_systemd_remedy()}")
        return "started by systemd"
    if shutil.which("dockerd") is None:
        raise EngineError("there is no Docker engine: apt-get install docker.io")
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    # The engine needs forwarding, too, and enables it.
    sysctls.remember(home)
    log = home / "dockerd.log"
    log.touch(mode=0o600)
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["dockerd"], stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    _pid_file(home).write_text(f"{process.pid}\n")
    try:
        _wait(lambda: _diagnosis(log), process)
    except EngineError:
        _pid_file(home).unlink(missing_ok=True)
        sysctls.put_back(home)
        raise
    return f"started (process {process.pid}, log {log})"


def stop(home: Path) -> bool:
    """Stop the engine if :func:`ensure` started it as our process. Return whether it did."""
    path = _pid_file(home)
    if not path.exists():
        return False
    with contextlib.suppress(ValueError):  # the process was killed before it wrote its id
        _end(int(path.read_text()))
    path.unlink()
    return True


def _end(pid: int) -> None:
    if is_process(pid, "dockerd"):
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _SECONDS
        while is_process(pid, "dockerd") and time.monotonic() < deadline:
            time.sleep(0.2)


def is_process(pid: int, word: str) -> bool:
    """Return whether a process runs with this word in its command line: a pid file may be older than the last boot."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" and word in Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return False


def _pid_file(home: Path) -> Path:
    return home / "dockerd.pid"


def _wait(diagnosis: Callable[[], str], process: subprocess.Popen[bytes] | None = None) -> None:
    deadline = time.monotonic() + _SECONDS
    while not answers():
        ended = process is not None and process.poll() is not None
        if ended or time.monotonic() > deadline:
            words = diagnosis()
            if process is not None and not ended:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
            raise EngineError(f"the Docker engine did not start: {words}")
        time.sleep(0.3)


def _systemd_remedy() -> str:
    if shutil.which("dockerd") is None:
        return "There is no Docker engine: apt-get install docker.io"
    return (
        "The engine's own words are in `journalctl -u docker -n 20`: put right what they name (if it is masked, "
        "`systemctl unmask docker`), see that `systemctl start docker` works, then try again"
    )


def _diagnosis(log: Path) -> str:
    last = "\n".join(log.read_text(errors="replace").splitlines()[-8:])
    return f"{_remedy(last)}. Its last words ({log}):\n{last}"


def _remedy(last: str) -> str:
    """Return the remedy for an engine that failed with these last lines."""
    if "iptables" in last and any(word in last for word in ("nf_tables", "Failed to initialize nft", "legacy")):
        return (
            "its packet filter commands fail on this kernel. Try `update-alternatives --set iptables "
            "/usr/sbin/iptables-legacy` (or iptables-nft), then again"
        )
    if any(word in last for word in ("overlay", "storage driver", "graphdriver")):
        return (
            "it found no storage driver for /var/lib/docker, whose file system cannot be the base of an overlay. Mount "
            "one that can there (ext4 or xfs; in a container: a volume), then try again"
        )
    if "no space left on device" in last:
        return "the disk is full. Make room under /var/lib/docker (`df -h /var/lib/docker`), then try again"
    return "put right what its last words name, see that `dockerd`, run as root, stays up, then try again"
