# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The local cloud of a benchmark, in this process, and clients in processes of their own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import https_proxy
from localcloud.commands.env import variables
from localcloud.core.profile import PROFILES
from localcloud.engine.authority import Authority
from tests.localcloud.harness import Local

REPOSITORY = Path(__file__).parents[1]
CALL_SECONDS = PROFILES["google"].storage_call
"""The duration of each API call at Google."""


@dataclass(frozen=True)
class Run:
    """A finished client."""

    seconds: float
    peak_mb: float
    """Peak of the resident memory."""
    output: bytes


@dataclass(frozen=True)
class Cloud:
    """A local cloud, and the environment variables of its clients."""

    local: Local
    folder: Path
    environment: Mapping[str, str]

    def run(self, *command: str) -> Run:
        """Run a client in the repository. Raises SystemExit if the client fails."""
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
            begin = time.monotonic()
            process = subprocess.Popen(command, cwd=REPOSITORY, env=self.environment, stdout=output, stderr=errors)
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - begin
            process.returncode = os.waitstatus_to_exitcode(status)
            output.seek(0)
            errors.seek(0)
            content = output.read()
            if process.returncode:
                text = (content + errors.read()).decode(errors="replace")
                raise SystemExit(f"error: {' '.join(command)}: exit status {process.returncode}\n{text[-5000:]}")
        return Run(seconds, usage.ru_maxrss / 1024, content)


def slow(application: Any) -> Any:
    """Return ASGI middleware that answers each API call after the time that a call takes at Google."""

    async def asgi(scope: Any, receive: Any, send: Any) -> None:
        if not scope.get("path", "").startswith("/localcloud/"):
            await asyncio.sleep(CALL_SECONDS)
        await application(scope, receive, send)

    return asgi


@contextmanager
def serving(door: Callable[[Any], Any] = slow) -> Iterator[Cloud]:
    """Run a local cloud with an empty project; all its clients send HTTPS requests to Google's host names."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = Authority(folder / "authority")
        local = Local(folder / "home", door=door)
        local.start()
        try:
            with https_proxy.serve(local.port, https_proxy.server_context(authority, folder)) as proxy:
                yield Cloud(local, folder, environment(local, folder, proxy, authority))
        finally:
            local.stop()


def environment(local: Local, folder: Path, proxy: str, authority: Authority) -> dict[str, str]:
    """Return the environment variables of a client."""
    ours = {k: v for k, v in variables(local.settings).items() if "_ENDPOINT_OVERRIDES_" not in k}
    proxies = {"https_proxy": proxy, "HTTPS_PROXY": proxy, "no_proxy": "127.0.0.1", "NO_PROXY": "127.0.0.1"}
    return {
        **os.environ,
        **ours,
        **proxies,
        "REQUESTS_CA_BUNDLE": str(authority.path),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
        "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
        "GCP_SCOPES": "https://www.googleapis.com/auth/cloud-platform",
        "MLFLOW_GCP_STATE_DIRECTORY": str(folder / "state"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


def interleaved(clients: Mapping[str, Callable[[], Run]], rounds: int) -> dict[str, list[Run]]:
    """Run all clients in each round, after one round that is not measured."""
    runs: dict[str, list[Run]] = {name: [] for name in clients}
    for number in range(rounds + 1):
        for name, client in clients.items():
            print(f"==> round {number}: {name}", file=sys.stderr, flush=True)
            measured = client()
            if number:
                runs[name].append(measured)
    return runs
