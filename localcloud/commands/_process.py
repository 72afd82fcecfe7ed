# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The background process that serves the local cloud: start it, find it, stop it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from localcloud.core.settings import Settings
from localcloud.engine.base import EngineError
from localcloud.engine.dockerd import is_process

_START_SECONDS = 60
_STOP_SECONDS = 30


def pid_file(settings: Settings) -> Path:
    """Return the file that holds the process id."""
    return settings.home / "serve.pid"


def log_file(settings: Settings) -> Path:
    """Return the process's log file."""
    return settings.home / "serve.log"


def find(settings: Settings) -> int | None:
    """Return the id of this home's serving process, or None."""
    try:
        pid = int(pid_file(settings).read_text())
    except (OSError, ValueError):
        return None
    # Compare whole arguments: the id may belong to another process by now, such as an editor of this package.
    return pid if is_process(pid, "\0".join(("", *_arguments(settings), ""))) else None


def _arguments(settings: Settings) -> tuple[str, ...]:
    return ("localcloud", "serve", "--home", str(settings.home))


def port(pid: int) -> int | None:
    """Return the port of a serving process, or None."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
        return int(words[words.index("--port") + 1])
    except (OSError, ValueError, IndexError):
        return None


def healthy(settings: Settings) -> bool:
    """Return whether the local cloud answers on its port."""
    return _accepted(settings, "GET", "health", seconds=5)


def reconcile(settings: Settings) -> bool:
    """Start stopped VMs and databases after an outage of the Docker engine. Return whether the call succeeded."""
    return _accepted(settings, "POST", "reconcile", seconds=60)


def set_profile(settings: Settings, name: str, scale: float) -> bool:
    """Set the profile of all projects without a profile of their own. Return whether the local cloud accepted it."""
    return _accepted(settings, "PUT", "profile", {"name": name, "scale": scale}, seconds=5)


def calls(settings: Settings, since: int | None) -> tuple[list[dict[str, Any]], int]:
    """Return the logged calls after a mark, and the mark of the latest call. Raises EngineError with the reason."""
    answer = request(settings, "GET", "calls" if since is None else f"calls?since={since}")
    return answer["calls"], int(answer["mark"])


def request(settings: Settings, verb: str, what: str, body: dict[str, object] | None = None) -> dict[str, Any]:
    """Send an admin request; return the answer. Raises EngineError with the reason."""
    try:
        return _answer(settings, verb, what, body, seconds=30)
    except urllib.error.HTTPError as error:
        with error:
            raise EngineError(_reason(error)) from error
    except OSError as error:
        raise EngineError(f"no local cloud answers at {settings.url}. Start it: python -m localcloud up") from error


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return str(json.load(error)["error"])
    except (ValueError, LookupError, TypeError):
        return f"{error.url} answers {error.code}. If the local cloud is older than this command, restart it"


def _accepted(
    settings: Settings, verb: str, what: str, body: dict[str, object] | None = None, *, seconds: float
) -> bool:
    try:
        _answer(settings, verb, what, body, seconds=seconds)
    except urllib.error.HTTPError as error:
        error.close()
        return False
    except OSError:
        return False
    return True


def _answer(
    settings: Settings, verb: str, what: str, body: dict[str, object] | None = None, *, seconds: float
) -> dict[str, Any]:
    """Send an admin request; return the answer. Raises OSError."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{settings.url}/localcloud/{what}", data, method=verb)  # noqa: S310 (always http)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=seconds) as response:
        return dict(json.load(response))


def start(settings: Settings, port: int) -> int:
    """Start the process, wait until it answers, return its id. Raises EngineError with the last lines of its log."""
    log = log_file(settings)
    command = [sys.executable, "-m", *_arguments(settings), "--port", str(port)]
    repository = Path(__file__).resolve().parents[2]
    log.touch(mode=0o600)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=repository, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    pid_file(settings).write_text(f"{process.pid}\n")
    deadline = time.monotonic() + _START_SECONDS
    while not healthy(settings):
        if process.poll() is not None or time.monotonic() > deadline:
            stop(settings)
            raise EngineError(f"the local cloud did not start; the end of {log}:\n{_tail(log)}")
        time.sleep(0.2)
    return process.pid


def stop(settings: Settings) -> bool:
    """Stop the process, by force if need be. Return whether there was a process."""
    pid = find(settings)
    if pid is not None:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        while find(settings) is not None:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                break
            time.sleep(0.1)
    pid_file(settings).unlink(missing_ok=True)
    return pid is not None


def _tail(path: Path) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-15:])
