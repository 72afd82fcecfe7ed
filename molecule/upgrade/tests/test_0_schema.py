# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The schema jobs: copy and restore of the databases, also killed at each statement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.machine import Machine

KILLER = Path(__file__).parents[1] / "files" / "kill_schema.py"
PROGRAM = "/opt/mlflow/program"
CREDENTIALS = "/run/killed"
NAMES = ("--auth-database", "killed_auth")


@pytest.fixture(scope="module", autouse=True)
def _credentials(machine: Machine) -> None:
    machine.shell(
        f"install -d -o mlflow -m 700 {CREDENTIALS}; sed s,/mlflow$,/killed, /etc/credstore/mlflow.database-uri"
        f" | install -o mlflow -m 600 /dev/stdin {CREDENTIALS}/mlflow.database-uri"
    )
    # The tests do not cover a power cut, so PostgreSQL needs no fsync.
    machine.sql("postgres", "ALTER SYSTEM SET fsync = off; SELECT pg_reload_conf();")


def schema(machine: Machine, *arguments: str) -> dict[str, Any]:
    """Run a schema command on the databases of this test."""
    python = f"{machine.release('3.17.2')}/bin/python"
    environment = ("runuser", "-u", "mlflow", "--", "env", f"CREDENTIALS_DIRECTORY={CREDENTIALS}")
    answer = machine.run(*environment, python, "-I", PROGRAM, "schema", *arguments, *NAMES, check=False)
    document: dict[str, Any] = json.loads(answer)
    return document


def test_killed_at_each_statement(machine: Machine) -> None:
    """A restore after each kill gives the old data, and a copy never loses the original."""
    python = f"{machine.release('3.17.2')}/bin/python"
    environment = ("runuser", "-u", "mlflow", "--", "env", f"CREDENTIALS_DIRECTORY={CREDENTIALS}")
    told = machine.run(*environment, python, "-I", "-", PROGRAM, "killed_auth", given=KILLER.read_text())
    print(told)
    points = {line.split(":")[0]: int(line.split()[1]) for line in told.splitlines()}
    assert points["copy_dies"] >= 10
    assert points["restore_dies"] >= 7
    assert points["forget_dies"] >= 5


def test_copy_has_owner_privileges_settings_and_comment(machine: Machine) -> None:
    describe = (
        "SELECT pg_get_userbyid(datdba), (SELECT array_agg(a ORDER BY a::text) FROM unnest(datacl) AS a),"
        " shobj_description(oid, 'pg_database'),"
        " (SELECT array_agg(setrole::regrole || ' ' || array_to_string(setconfig, ';') ORDER BY setrole)"
        "  FROM pg_db_role_setting WHERE setdatabase = pg_database.oid) FROM pg_database WHERE datname = '{}';"
    )
    machine.sql(
        "postgres",
        "CREATE ROLE reader; GRANT CONNECT ON DATABASE killed TO reader; REVOKE CONNECT ON DATABASE killed FROM PUBLIC;"
        "COMMENT ON DATABASE killed IS 'ours';"
        'ALTER DATABASE killed SET search_path = public, "odd name";'
        "ALTER ROLE mlflow IN DATABASE killed SET work_mem = '8MB';",
    )
    before = machine.sql("postgres", describe.format("killed"))
    assert "reader=c" in before
    assert schema(machine, "copy", "--id", "x")["copied"] == ["killed", "killed_auth"]
    assert machine.sql("postgres", describe.format("killed")) == before
    assert schema(machine, "restore", "--id", "y")["restored"] == []
    assert schema(machine, "restore", "--id", "x")["restored"] == ["killed", "killed_auth"]
    assert machine.sql("postgres", describe.format("killed")) == before


def test_older_release_refuses_to_migrate(machine: Machine) -> None:
    machine.sql("killed", "CREATE TABLE alembic_version AS SELECT 'fromthefuture' AS version_num;")
    machine.sql("killed", "GRANT SELECT ON alembic_version TO mlflow;")
    assert schema(machine, "heads")["tracking"]["known"] is False
    python = f"{machine.release('3.17.2')}/bin/python"
    as_server = f"runuser -u mlflow -- env CREDENTIALS_DIRECTORY={CREDENTIALS}"
    command = f"{as_server} {python} -I {PROGRAM} schema migrate {' '.join(NAMES)}"
    assert "does not know the database's revision" in machine.shell(f"{command} 2>&1 || true")


def test_unreachable_database_is_reported(machine: Machine) -> None:
    machine.shell(f"sed -i s,@127.0.0.1/,@127.0.0.1:1/, {CREDENTIALS}/mlflow.database-uri")
    python = f"{machine.release('3.17.2')}/bin/python"
    job = f"{python} -I {PROGRAM} schema size {' '.join(NAMES)}"
    error = machine.shell(
        f"runuser -u mlflow -- env CREDENTIALS_DIRECTORY={CREDENTIALS} {job} 2>&1 || echo exit code $?"
    )
    assert error.splitlines()[-2].startswith("OperationalError")
    assert error.splitlines()[-1] == "exit code 1"
    assert machine.run("cat", f"{CREDENTIALS}/mlflow.database-uri").split(":")[2].split("@")[0] not in error
