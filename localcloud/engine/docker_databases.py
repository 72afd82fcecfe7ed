# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Database servers as containers with PostgreSQL as PID 1, data and backups in Docker volumes.

The superuser is ``cloudsqladmin``, as on Cloud SQL; it connects only through the server's Unix socket. Users
authenticate by SCRAM. Backups are physical copies (``pg_basebackup``): a restore brings back every database, role and
password.
"""

from __future__ import annotations

import csv
import io
import json
import re
import socket
import tarfile
from dataclasses import asdict, replace
from typing import Any, cast

import docker
from docker.errors import APIError
from docker.errors import NotFound as DockerNotFound
from docker.models.containers import Container
from docker.utils.socket import demux_adaptor, frames_iter

from localcloud.engine import docker_common as common
from localcloud.engine import image
from localcloud.engine.base import DatabaseSpec, EngineError, NotFound

KIND = "database"
SUPERUSER = "cloudsqladmin"
_BACKUPS = f"{common.PREFIX}-backups"
_DATA = "/var/lib/postgresql/data"
_CONFIG = "/etc/mlflow-localcloud"
_SPEC = f"{_CONFIG}/spec.json"
_START_SECONDS = 60
_STOP_SECONDS = 60
_BACKUP_ID = re.compile(r"[A-Za-z0-9_.-]+")


class DockerDatabases:
    """:class:`localcloud.engine.base.Databases` on Docker."""

    def __init__(self, client: docker.DockerClient | None = None) -> None:
        self._client = client or common.connect()

    def create(self, spec: DatabaseSpec) -> None:
        name = image_name(spec.version)
        self.delete(spec.id)  # remains of an interrupted attempt
        tag = image.ensure(name, self._client)
        network = common.ensure_network(self._client, spec.network, spec.range_cidr)
        self._client.volumes.create(_volume(spec.id), labels=common.labels("data", spec.id))
        self._client.volumes.create(_BACKUPS, labels=common.labels("backups", "all"))
        api = self._client.api
        host_config = api.create_host_config(
            binds=[f"{_volume(spec.id)}:{_DATA}", f"{_BACKUPS}:/backups"],
            network_mode=network,
            log_config=common.LOGS,
            shm_size="256m",
        )
        try:
            made = api.create_container(
                tag,
                name=common.container_name(KIND, spec.id),
                hostname=spec.id[:63],
                labels=common.labels(KIND, spec.id),
                host_config=host_config,
                networking_config=common.one_card(self._client, network, spec.ip),
                stop_signal="SIGINT",  # PostgreSQL's fast shutdown: roll back, write, exit
            )
            container = self._client.containers.get(made["Id"])
            _configure(container, spec)
            container.start()
        except APIError as error:
            self.delete(spec.id)
            raise EngineError(f"database {spec.id} could not be created: {error.explanation}") from error
        self._wait(spec.id)

    def start(self, id: str) -> None:
        try:
            common.find(self._client, KIND, id).start()
        except APIError as error:
            raise EngineError(f"database {id} does not start: {error.explanation}") from error
        self._wait(id)

    def stop(self, id: str) -> None:
        container = common.find(self._client, KIND, id)
        if container.status == "running":
            container.stop(timeout=_STOP_SECONDS)

    def restart(self, id: str, flags: dict[str, str] | None = None) -> None:
        container = common.find(self._client, KIND, id)
        if flags is not None:
            _configure(container, replace(_read_spec(container), flags=dict(flags)))
        self.stop(id)
        self.start(id)

    def delete(self, id: str) -> None:
        common.remove(self._client, KIND, id)
        try:
            self._client.volumes.get(_volume(id)).remove(force=True)
        except DockerNotFound:
            return

    def running(self, id: str) -> bool:
        return common.running(self._client, KIND, id)

    def ids(self) -> list[str]:
        return common.ids(self._client, KIND)

    def set_require_ssl(self, id: str, require_ssl: bool) -> None:
        """Set whether new connections must use TLS."""
        container = common.find(self._client, KIND, id)
        _configure(container, replace(_read_spec(container), require_ssl=require_ssl))
        self._reload(container)

    def set_certificate(self, id: str, certificate: str, key: str) -> None:
        """Replace the server certificate for new connections."""
        container = common.find(self._client, KIND, id)
        _configure(container, replace(_read_spec(container), server_certificate=certificate, server_key=key))
        self._reload(container)

    def execute(self, id: str, sql: str, *, database: str = "postgres") -> list[list[str]]:
        command = ["psql", "-X", "-q", "--csv", "-t", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose"]
        # Use standard input: statements may contain passwords, which must not appear on a command line.
        status, output, errors = self._exec(id, [*command, "-U", SUPERUSER, "-d", database, "-f", "-"], sql)
        if status != 0:
            raise EngineError(f"PostgreSQL refused: {errors.strip() or output.strip()}")
        # A row with a single NULL is an empty line, which the csv module reads as a row without columns.
        return [row or [""] for row in csv.reader(io.StringIO(output))]

    def backup(self, id: str, backup_id: str) -> None:
        path = _backup_path(id, backup_id)
        # Write to a temporary name first: a backup must be complete or absent.
        script = (
            f"set -e; mkdir -p /backups/{id}; rm -rf {path}.part {path}; "
            f"pg_basebackup -U {SUPERUSER} -D {path}.part --checkpoint=fast --wal-method=stream; mv {path}.part {path}"
        )
        status, output, errors = self._exec(id, ["sh", "-c", script])
        if status != 0:
            raise EngineError(f"database {id} could not be backed up: {errors.strip() or output.strip()}")

    def restore(self, id: str, backup_id: str, from_id: str) -> None:
        container = common.find(self._client, KIND, id)
        path = _backup_path(from_id, backup_id)
        # Check the backup before any data is removed.
        script = (
            f"set -e; test -e {path}/PG_VERSION || exit 44; cmp -s {path}/PG_VERSION {_DATA}/PG_VERSION || exit 45; "
            f"find {_DATA} -mindepth 1 -delete; cp -a {path}/. {_DATA}/"
        )
        running = container.status == "running"
        if running:
            self.stop(id)
        try:
            status, output = self._one_off(image.tag(image_name(_read_spec(container).version)), id, script)
            if status == 44:
                raise NotFound(f"there is no backup {backup_id} of database {from_id}")
            if status == 45:
                raise EngineError(f"backup {backup_id} of {from_id} is of another PostgreSQL version than {id}")
            if status != 0:
                raise EngineError(f"backup {backup_id} of {from_id} could not be restored: {output}")
        finally:
            if running:
                self.start(id)

    def delete_backup(self, id: str, backup_id: str) -> None:
        try:
            self._client.volumes.get(_BACKUPS)
        except DockerNotFound:
            return
        images = self._client.images.list(filters={"label": image.LABEL})
        name = next((tag for found in images for tag in found.tags if "/postgres-" in tag), None)
        if name is not None:
            self._one_off(name, None, f"rm -rf {_backup_path(id, backup_id)}")

    def _reload(self, container: Container) -> None:
        if container.status == "running":
            container.exec_run(["sh", "-c", f"chown postgres {_CONFIG}/server.key"])
            container.kill("SIGHUP")

    def _wait(self, id: str) -> None:
        def ready() -> bool:
            container = common.find(self._client, KIND, id)
            if container.status == "exited":
                raise EngineError(f"database {id} does not start:\n{common.tail(container)}")
            return bool(container.exec_run(["pg_isready", "-q", "-U", SUPERUSER], user="postgres").exit_code == 0)

        def try_ready() -> bool:
            try:
                return ready()
            except APIError:  # the container exited between the two calls
                return False

        common.wait_until(try_ready, _START_SECONDS, f"database {id} did not answer")

    def _exec(self, id: str, command: list[str], input: str = "") -> tuple[int, str, str]:
        container = common.find(self._client, KIND, id)
        if container.status != "running":
            raise EngineError(f"database {id} is not running")
        api = self._client.api
        created = api.exec_create(container.id, command, stdin=True, user="postgres")
        stream = api.exec_start(created["Id"], socket=True)
        raw = cast("socket.socket", getattr(stream, "_sock", stream))
        raw.settimeout(None)
        raw.sendall(input.encode())
        raw.shutdown(socket.SHUT_WR)
        parts: dict[str, list[bytes]] = {"out": [], "err": []}
        try:
            for frame in frames_iter(stream, tty=False):  # type: ignore[no-untyped-call]
                out, complaint = demux_adaptor(*frame)
                parts["out"].append(out or b"")
                parts["err"].append(complaint or b"")
        finally:
            stream.close()
        status = api.exec_inspect(created["Id"])["ExitCode"]
        output, errors = (b"".join(parts[name]).decode(errors="replace") for name in ("out", "err"))
        return int(status or 0), output, errors

    def _one_off(self, tag: str, id: str | None, script: str) -> tuple[int, str]:
        """Run a script in a temporary container with the backups and, if `id` is given, a server's data."""
        volumes = {_BACKUPS: {"bind": "/backups", "mode": "rw"}}
        if id is not None:
            volumes[_volume(id)] = {"bind": _DATA, "mode": "rw"}
        container = self._client.containers.run(
            tag,
            ["sh", "-c", script],
            detach=True,
            network_mode="none",
            volumes=volumes,
            labels=common.labels("task", id or "backups"),
        )
        try:
            status = int(container.wait()["StatusCode"])
            return status, common.tail(container)
        finally:
            container.remove(force=True)


def image_name(version: str) -> str:
    """Return the image for a Cloud SQL version: ``POSTGRES_17`` → ``postgres-17``."""
    name = version.lower().replace("_", "-")
    if name not in image.RECIPES or not name.startswith("postgres-"):
        known = sorted(recipe.upper().replace("-", "_") for recipe in image.RECIPES if recipe.startswith("postgres-"))
        raise EngineError(f"{version} is not among the versions of the local cloud: {', '.join(known)}")
    return name


def postgresql_conf(flags: dict[str, str]) -> str:
    """Return the server's configuration. Cloud SQL's own flags (``cloudsql.…``) are dropped."""
    settings = {
        "listen_addresses": "*",  # the container's interface on the peered range, and its loopback
        "port": "5432",
        "unix_socket_directories": "/run/postgresql",
        "ssl": "on",
        "ssl_cert_file": f"{_CONFIG}/server.crt",
        "ssl_key_file": f"{_CONFIG}/server.key",
        "ssl_min_protocol_version": "TLSv1.2",
        "password_encryption": "scram-sha-256",
        "max_connections": "100",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "logging_collector": "off",
        **{key: value for key, value in flags.items() if not key.startswith("cloudsql.")},
    }
    return "".join(f"{key} = '{_quoted(value)}'\n" for key, value in sorted(settings.items()))


def pg_hba(require_ssl: bool) -> str:
    """Return pg_hba.conf: users connect with SCRAM from the network, the superuser only from inside."""
    kind = "hostssl" if require_ssl else "host"
    return (
        f"local all {SUPERUSER} peer map=admin\n"
        f"local replication {SUPERUSER} peer map=admin\n"
        f"host all {SUPERUSER} all reject\n"
        f"{kind} all all all scram-sha-256\n"
    )


def _quoted(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''").replace("\n", " ")


def _configure(container: Container, spec: DatabaseSpec) -> None:
    document = asdict(spec)
    files = {
        f"{_CONFIG}/postgresql.conf": common.File(postgresql_conf(spec.flags)),
        f"{_CONFIG}/pg_hba.conf": common.File(pg_hba(spec.require_ssl)),
        f"{_CONFIG}/pg_ident.conf": common.File(f"admin postgres {SUPERUSER}\n"),
        f"{_CONFIG}/server.crt": common.File(spec.server_certificate),
        f"{_CONFIG}/server.key": common.File(spec.server_key, mode=0o600),
        _SPEC: common.File(json.dumps(document), mode=0o600),
    }
    common.put_files(container, files)


def _read_spec(container: Container) -> DatabaseSpec:
    """Return the spec, which is stored in the container so that later processes find it."""
    chunks, _ = container.get_archive(_SPEC)
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
        member = archive.extractfile(archive.getmembers()[0])
        if member is None:
            raise EngineError(f"{container.name} has lost its {_SPEC}")
        document: dict[str, Any] = json.load(member)
    return DatabaseSpec(**document)


def _volume(id: str) -> str:
    return f"{common.PREFIX}-data-{id}"


def _backup_path(id: str, backup_id: str) -> str:
    for part in (id, backup_id):
        if not _BACKUP_ID.fullmatch(part) or part.startswith("."):
            raise EngineError(f"{part!r} cannot name a backup")
    return f"/backups/{id}/{backup_id}"
