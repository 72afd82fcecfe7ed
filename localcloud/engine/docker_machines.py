# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""VMs as containers with systemd as PID 1, one network interface and a disk of their own."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import docker
from docker.errors import APIError

from localcloud.engine import docker_common as common
from localcloud.engine import image
from localcloud.engine.base import EngineError, MachineSpec, printed

KIND = "machine"
_STOP_SECONDS = 90
_METADATA_ADDRESS = "169.254.169.254"


class DockerMachines:
    """:class:`localcloud.engine.base.Machines` on Docker.

    ``authority`` is the PEM file of the local cloud's CA. VMs trust it from their first boot.
    """

    def __init__(self, client: docker.DockerClient | None = None, authority: Path | None = None) -> None:
        self._client = client or common.connect()
        self._authority = authority

    def create(self, spec: MachineSpec) -> None:
        common.remove(self._client, KIND, spec.id)  # remains of an interrupted attempt
        tag = image.ensure(spec.image, self._client)
        network = common.ensure_network(self._client, spec.network, spec.subnetwork_cidr)
        hostname, _, domain = spec.hostname.partition(".")
        api = self._client.api
        host_config = api.create_host_config(
            # SYS_PTRACE: a unit with PrivateUsers= and ProtectProc= needs it.
            cap_add=["SYS_ADMIN", "NET_ADMIN", "SYS_PTRACE"],
            # systemd needs mount. The host's cgroup namespace with a bind mount of the hierarchy works on cgroup v1, v2
            # and hybrid; with a private namespace, Debian 13's journald fails.
            security_opt=["seccomp=unconfined", "apparmor=unconfined"],
            binds=["/sys/fs/cgroup:/sys/fs/cgroup:rw"],
            tmpfs={"/run": "", "/run/lock": "", "/tmp": "exec,mode=1777"},  # noqa: S108 - the VM's own directory
            dns=[_METADATA_ADDRESS],
            dns_search=[*([domain] if domain else []), "google.internal"],
            extra_hosts={"metadata.google.internal": _METADATA_ADDRESS},
            network_mode=network,
            log_config=common.LOGS,
        )
        host_config["CgroupnsMode"] = "host"
        try:
            made = api.create_container(
                tag,
                # systemd passes credentials (LoadCredential=) over shared mounts; a container starts without them.
                command=["/bin/sh", "-c", "mount --make-rshared / && exec /lib/systemd/systemd"],
                name=common.container_name(KIND, spec.id),
                hostname=hostname,
                domainname=domain or None,
                labels=common.labels(KIND, spec.id),
                host_config=host_config,
                networking_config=common.one_card(self._client, network, spec.internal_ip),
                tty=True,  # /dev/console, where systemd logs the boot
                stop_signal="SIGRTMIN+3",  # systemd: power off cleanly
            )
            container = self._client.containers.get(made["Id"])
            files = {"/etc/mlflow-localcloud/machine": common.File(f"{spec.id}\n")}
            if self._authority is not None and self._authority.exists():
                path = f"/usr/local/share/ca-certificates/{image.PREFIX}.crt"
                files[path] = common.File(self._authority.read_bytes())
            common.put_files(container, files)
            container.start()
        except APIError as error:
            common.remove(self._client, KIND, spec.id)
            raise EngineError(f"machine {spec.name} could not be created: {error.explanation}") from error

    def start(self, id: str) -> None:
        try:
            common.find(self._client, KIND, id).start()
        except APIError as error:
            raise EngineError(f"machine {id} does not start: {error.explanation}") from error

    def stop(self, id: str) -> None:
        container = common.find(self._client, KIND, id)
        if container.status == "running":
            container.stop(timeout=_STOP_SECONDS)

    def reset(self, id: str) -> None:
        container = common.find(self._client, KIND, id)
        if container.status == "running":
            container.kill("SIGKILL")
            container.wait(timeout=30)
        container.start()

    def delete(self, id: str) -> None:
        common.remove(self._client, KIND, id)

    def running(self, id: str) -> bool:
        return common.running(self._client, KIND, id)

    def ids(self) -> list[str]:
        return common.ids(self._client, KIND)

    def run(self, id: str, *command: str) -> tuple[int, str]:
        """Run a command in the VM as root, for diagnosis and tests; return exit status and output."""
        result = common.find(self._client, KIND, id).exec_run(list(command), demux=False)
        return int(result.exit_code or 0), cast("bytes", result.output).decode(errors="replace")

    def console(self, id: str) -> str:
        """Return the VM's console output since its creation, with SSH host keys in the place of cloud-init's."""
        text = common.console(common.find(self._client, KIND, id))
        if not self.running(id):
            return text
        status, keys = self.run(id, "sh", "-c", "cat /etc/ssh/ssh_host_*_key.pub")
        return text + printed(keys.split("\n")[:-1]) if status == 0 else text
