# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A control node with systemd: a container with the network and checkout of the host, and a separate Python."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from tests.e2e.deployment import BIN, REPO, Deployment

IMAGE = "mlflow-localcloud/debian-13"
# The virtual environment of the host needs a Python that the container does not have.
ENVIRONMENT = "/opt/control-host"
# The package index of the host and its CA certificates.
INDEX = ("UV_", "SSL_CERT_")
PASSED = ("GOOGLE_", "CLOUDSDK_", "MLFLOW_GCP_", "ANSIBLE_", "REQUESTS_CA_BUNDLE", "SSL_CERT_", "STORAGE_EMULATOR_HOST")


@dataclass
class ControlHost:
    """The container and the deployment that it controls."""

    container: Any
    deployment: Deployment

    def install(self) -> None:
        """Install the locked dependencies of a control node from pyproject.toml."""
        uv = str(BIN.resolve() / "uv")
        self.run(uv, "venv", "--quiet", "--python", "/usr/bin/python3", ENVIRONMENT)
        self.run(
            uv,
            "pip",
            "install",
            "--quiet",
            "--python",
            f"{ENVIRONMENT}/bin/python",
            "-c",
            "requirements.lock",
            "-r",
            "pyproject.toml",
        )

    def run(self, *command: str, check: bool = True) -> str:
        """Run a command; return its output."""
        environment = {k: v for k, v in os.environ.items() if k.startswith(INDEX)}
        environment |= {k: v for k, v in self.deployment.environment.items() if k.startswith(PASSED)}
        path = f"{ENVIRONMENT}/bin:/usr/bin:/bin:/usr/sbin:/sbin"
        done = self.container.exec_run(
            list(command),
            workdir=str(REPO),
            environment=environment | {"HOME": "/root", "PATH": path},
        )
        output = str(done.output.decode())
        assert done.exit_code == 0 or not check, f"{shlex.join(command)} ended with {done.exit_code}:\n{output[-4000:]}"
        return output

    def show(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", "--property", name, "--value", unit).strip()


@contextmanager
def control_host(deployment: Deployment) -> Iterator[ControlHost]:
    """Boot a control node; remove it at the end."""
    credentials = Path(deployment.environment["GOOGLE_APPLICATION_CREDENTIALS"]).parent
    shared = {str(path) for path in (REPO, BIN.parent.resolve(), deployment.artifacts, credentials)}
    volumes = {path: {"bind": path, "mode": "rw"} for path in shared}
    if trusted := os.environ.get("SSL_CERT_FILE"):
        volumes[trusted] = {"bind": trusted, "mode": "ro"}
    volumes |= {"/sys/fs/cgroup": {"bind": "/sys/fs/cgroup", "mode": "rw"}}
    container = docker.from_env().containers.run(
        IMAGE,
        # Start no unit that configures the network, because the container shares the network of the host.
        ["/lib/systemd/systemd", "--unit=basic.target"],
        detach=True,
        network_mode="host",
        cap_add=["SYS_ADMIN"],
        security_opt=["seccomp=unconfined", "apparmor=unconfined"],
        cgroupns="host",
        environment={"container": "docker"},
        stop_signal="RTMIN+3",
        tmpfs={"/run": "", "/run/lock": "", "/tmp": ""},
        volumes=volumes,
        labels={"mlflow-gcp-test": "control-host"},
    )
    try:
        host = ControlHost(container, deployment)
        host.install()
        yield host
    finally:
        container.remove(force=True)
