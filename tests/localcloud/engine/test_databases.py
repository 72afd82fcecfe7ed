# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A database serves its own network over TLS and no other client; a restore brings back all its data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from localcloud.engine.authority import Authority
from localcloud.engine.base import DatabaseSpec, EngineError, NotFound
from localcloud.engine.nft_network import Outsider
from tests.localcloud.engine.world import DATABASE_IP, FAR, ONE, TWO, World, eventually, host_connects

SCRIPT = (
    "import psycopg2, sys;"
    "c = psycopg2.connect(host=sys.argv[1], user='app', dbname='app', password=sys.argv[2], sslmode=sys.argv[3],"
    " sslrootcert='/etc/ssl/certs/ca-certificates.crt', connect_timeout=5);"
    "q = c.cursor(); q.execute('select version from pg_stat_ssl where pid = pg_backend_pid()'); print(q.fetchone())"
)


@pytest.fixture(scope="module")
def psycopg(world: World) -> tuple[str, ...]:
    """Return the command of a PostgreSQL client in the VM one."""
    world.run(ONE, "systemctl", "is-system-running", "--wait")
    world.run(ONE, "apt-get", "update", "--quiet")
    world.run(ONE, "apt-get", "install", "--yes", "--no-install-recommends", "--quiet", "python3-psycopg2")
    return ("python3", "-c", SCRIPT, DATABASE_IP)


def test_login_over_verified_tls_from_a_machine(world: World, database: DatabaseSpec, psycopg: tuple[str, ...]) -> None:
    assert "TLSv1.3" in world.run(ONE, *psycopg, "it's secret", "verify-full")
    status, output = world.machines.run(ONE.id, *psycopg, "wrong", "require")
    assert status != 0
    assert "password authentication failed" in output
    status, output = world.machines.run(ONE.id, *psycopg, "it's secret", "disable")
    assert status != 0
    assert "no encryption" in output


def test_only_the_peered_network_reaches_it(world: World, database: DatabaseSpec, stranger: Outsider) -> None:
    assert world.connects(ONE, DATABASE_IP, 5432)
    assert world.connects(TWO, DATABASE_IP, 5432)
    assert not world.connects(FAR, DATABASE_IP, 5432)
    assert not stranger.can_connect(DATABASE_IP, 5432, 1)
    assert not host_connects(DATABASE_IP, 5432, 1)


def test_execute(world: World, database: DatabaseSpec) -> None:
    rows = world.databases.execute(database.id, "SELECT 1, 'a,\"b\"\nc', NULL; SELECT 'ü';", database="app")
    assert rows == [["1", 'a,"b"\nc', ""], ["ü"]]
    assert world.databases.execute(database.id, "SELECT rolsuper FROM pg_roles WHERE rolname = 'postgres'") == [["f"]]
    with pytest.raises(EngineError, match=r"nonsense.*does not exist"):
        world.databases.execute(database.id, "SELECT * FROM nonsense")


def test_restart_with_other_flags(world: World, database: DatabaseSpec) -> None:
    assert world.databases.execute(database.id, "SHOW work_mem") == [["7MB"]]
    world.databases.restart(database.id, {"work_mem": "9MB", "cloudsql.iam_authentication": "on"})
    assert world.databases.execute(database.id, "SHOW work_mem") == [["9MB"]]
    world.databases.restart(database.id)
    assert world.databases.execute(database.id, "SHOW work_mem") == [["9MB"]]
    with pytest.raises(EngineError, match="no_such_flag"):
        world.databases.restart(database.id, {"no_such_flag": "on"})
    world.databases.restart(database.id, {"work_mem": "7MB"})
    assert world.databases.running(database.id)


def test_backup_brings_back_rows_roles_and_passwords(
    world: World, database: DatabaseSpec, psycopg: tuple[str, ...]
) -> None:
    execute = world.databases.execute
    execute(database.id, "CREATE TABLE t AS SELECT 1 AS n", database="app")
    world.databases.backup(database.id, "1700000000001")
    execute(database.id, "UPDATE t SET n = 2; CREATE TABLE later (n int)", database="app")
    execute(database.id, "ALTER ROLE app PASSWORD 'another'; CREATE ROLE late")
    world.databases.restore(database.id, "1700000000001", database.id)
    assert execute(database.id, "SELECT n FROM t", database="app") == [["1"]]
    assert execute(database.id, "SELECT to_regclass('later')", database="app") == [[""]]
    assert execute(database.id, "SELECT count(*) FROM pg_roles WHERE rolname = 'late'") == [["0"]]
    assert "TLSv1.3" in world.run(ONE, *psycopg, "it's secret", "verify-full")

    world.databases.delete_backup(database.id, "1700000000001")
    with pytest.raises(NotFound):
        world.databases.restore(database.id, "1700000000001", database.id)
    assert execute(database.id, "SELECT n FROM t", database="app") == [["1"]]


def test_new_connections_see_another_certificate(
    world: World, database: DatabaseSpec, psycopg: tuple[str, ...], tmp_path: Path
) -> None:
    """After a rotation of the server's CA, clients that trust only the former CA are refused."""

    def login() -> tuple[int, str]:
        return world.machines.run(ONE.id, *psycopg, "it's secret", "verify-full")

    other = Authority(tmp_path / "other").issue("database", DATABASE_IP)
    world.databases.set_certificate(database.id, other.certificate, other.key)
    eventually(lambda: "certificate verify failed" in login()[1])
    world.databases.restart(database.id)
    assert "certificate verify failed" in login()[1]
    world.databases.set_certificate(database.id, database.server_certificate, database.server_key)
    eventually(lambda: login()[0] == 0)


def test_stop_and_start_keep_the_data(world: World, database: DatabaseSpec) -> None:
    world.databases.execute(database.id, "CREATE TABLE IF NOT EXISTS kept AS SELECT 5 AS n", database="app")
    world.databases.stop(database.id)
    assert not world.databases.running(database.id)
    with pytest.raises(EngineError, match="not running"):
        world.databases.execute(database.id, "SELECT 1")
    world.databases.start(database.id)
    assert world.databases.execute(database.id, "SELECT n FROM kept", database="app") == [["5"]]
    assert database.id in world.databases.ids()


def test_unknown_version(world: World, database: DatabaseSpec) -> None:
    with pytest.raises(EngineError, match="POSTGRES_9 is not among"):
        world.databases.create(replace(database, id="enginetest-old", version="POSTGRES_9"))
