# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A control host with systemd: a container that shares this host's network, checkout, Python and nothing else."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

from tests.e2e.deployment import BIN, REPO, Deployment

IMAGE = "mlflow-localcloud/debian-13"
PASSED = ("GOOGLE_", "CLOUDSDK_", "MLFLOW_GCP_", "ANSIBLE_", "REQUESTS_CA_BUNDLE", "SSL_CERT_", "STORAGE_EMULATOR_HOST")


@dataclass
class ControlHost:
    """The container, and the deployment that it looks after."""

    container: Any
    deployment: Deployment

    def run(self, *command: str, check: bool = True) -> str:
        """What a command prints."""
        environment = {k: v for k, v in self.deployment.environment.items() if k.startswith(PASSED)}
        done = self.container.exec_run(
            list(command),
            workdir=str(REPO),
            environment=environment | {"HOME": "/root", "PATH": f"{BIN}:/usr/bin:/bin:/usr/sbin:/sbin"},
        )
        output = str(done.output.decode())
        assert done.exit_code == 0 or not check, f"{shlex.join(command)} ended with {done.exit_code}:\n{output[-4000:]}"
        return output

    def show(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--property", name, "--value", unit).strip()


@contextmanager
def control_host(deployment: Deployment) -> Iterator[ControlHost]:
    """Boot one, and remove it."""
    # The virtual environment's Python may live elsewhere; that of /usr is the image's own.
    credentials = Path(deployment.environment["GOOGLE_APPLICATION_CREDENTIALS"]).parent
    paths = (REPO, BIN.parent.resolve(), Path(sys.base_prefix), deployment.artifacts, credentials)
    shared = {str(path) for path in paths}
    volumes = {path: {"bind": path, "mode": "rw"} for path in shared if path != "/usr"}
    volumes |= {"/sys/fs/cgroup": {"bind": "/sys/fs/cgroup", "mode": "rw"}}
    container = docker.from_env().containers.run(
        IMAGE,
        # Nothing that would look after the network, which is this host's.
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
        yield ControlHost(container, deployment)
    finally:
        container.remove(force=True)
