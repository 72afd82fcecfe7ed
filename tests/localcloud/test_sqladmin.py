# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Cloud SQL Admin against the contract, on an engine in memory."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import threading
import time
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from localcloud.engine.fake import FakeDatabases
from localcloud.services.sqladmin.api import instances
from localcloud.services.sqladmin.secrets import verifier
from tests.localcloud.compute_client import Compute
from tests.localcloud.harness import Local, Session

ROOT = "/sqladmin/sql/v1beta4/projects/mlflow-local"
INSTANCES = f"{ROOT}/instances"
DATABASE = f"{INSTANCES}/db"
NETWORK = "projects/mlflow-local/global/networks/net"
BODY: dict[str, Any] = {
    "name": "db",
    "region": "europe-west1",
    "databaseVersion": "POSTGRES_17",
    "rootPassword": "root-secret",
    "settings": {
        "tier": "db-custom-1-3840",
        "edition": "ENTERPRISE",
        "ipConfiguration": {"ipv4Enabled": False, "privateNetwork": NETWORK, "sslMode": "ENCRYPTED_ONLY"},
    },
}


@pytest.fixture
def sql(local: Local, owner: Session) -> Session:
    """Return a session as the owner, in a project whose network has a private services connection."""
    compute = Compute(local)
    compute.network()
    body = {"name": "one", "addressType": "INTERNAL", "purpose": "VPC_PEERING", "network": "global/networks/net"}
    compute.made("global/addresses", body | {"prefixLength": 24})
    path = "/servicenetworking/v1/services/servicenetworking.googleapis.com/connections"
    network = "projects/100000000001/global/networks/net"
    operation = owner.call("POST", path, json={"network": network, "reservedPeeringRanges": ["one"]})
    local.cloud.operations.wait(operation["name"].removeprefix("operations/"), 10)
    return owner


def done(session: Session, verb: str, path: str, body: Any = None, error: str | None = None) -> Any:
    """Send a request, wait for the operation, assert its error or success."""
    operation = session.call(verb, path, **({"json": body} if body is not None else {}))
    session.local.cloud.operations.wait(operation["name"], 20)
    operation = session.call("GET", f"{ROOT}/operations/{operation['name']}")
    assert operation["status"] == "DONE"
    if error is None:
        assert "error" not in operation, operation
    else:
        assert error in operation["error"]["errors"][0]["message"]
    return operation


def settings(**changes: Any) -> dict[str, Any]:
    return {**BODY, "settings": {**BODY["settings"], **changes}}


def reason(answer: Any) -> str:
    return str(answer["error"]["errors"][0]["reason"])


@pytest.fixture
def made(sql: Session) -> Session:
    done(sql, "POST", INSTANCES, BODY)
    return sql


def engine(session: Session) -> FakeDatabases:
    databases = session.local.cloud.engine.databases
    assert isinstance(databases, FakeDatabases)
    return databases


def statements(session: Session) -> str:
    return "\n".join(text for all_of in engine(session).statements.values() for _, text in all_of)


def test_create(made: Session) -> None:
    got = made.call("GET", DATABASE)
    assert got["state"] == "RUNNABLE"
    assert got["connectionName"] == "mlflow-local:europe-west1:db"
    assert got["selfLink"] == "https://sqladmin.googleapis.com/sql/v1beta4/projects/mlflow-local/instances/db"
    assert got["settings"]["settingsVersion"] == "1"
    assert got["settings"]["dataDiskSizeGb"] == "10"
    assert [a["type"] for a in got["ipAddresses"]] == ["PRIVATE"]
    assert "rootPassword" not in got
    (spec,) = engine(made).specs.values()
    assert (spec.version, spec.ip, spec.network) == (
        "POSTGRES_17",
        got["ipAddresses"][0]["ipAddress"],
        "mlflow-local/net",
    )
    assert spec.require_ssl
    assert made.call("GET", INSTANCES)["items"] == [got]
    assert made.call("GET", DATABASE.replace("sql/v1beta4", "v1")) == got
    assert [d["name"] for d in made.call("GET", f"{DATABASE}/databases")["items"]] == ["postgres"]
    assert [u["name"] for u in made.call("GET", f"{DATABASE}/users")["items"]] == ["postgres"]


def test_the_server_proves_itself(made: Session) -> None:
    shown = made.call("GET", DATABASE)["serverCaCert"]
    authority = x509.load_pem_x509_certificate(shown["cert"].encode())
    (spec,) = engine(made).specs.values()
    certificate = x509.load_pem_x509_certificate(spec.server_certificate.encode())
    certificate.verify_directly_issued_by(authority)
    assert made.call("GET", f"{DATABASE}/listServerCas")["certs"] == [shown]


def test_the_authority_is_rotated_and_back(made: Session) -> None:
    """Clients that trust all listed CAs can connect at every moment."""

    def listed() -> tuple[list[str], str]:
        answer = made.call("GET", f"{DATABASE}/listServerCas")
        return [certificate["sha1Fingerprint"] for certificate in answer["certs"]], answer["activeVersion"]

    def shown_by_the_server() -> str:
        instance = made.call("GET", DATABASE)
        authority = x509.load_pem_x509_certificate(instance["serverCaCert"]["cert"].encode())
        (spec,) = engine(made).specs.values()
        certificate = x509.load_pem_x509_certificate(spec.server_certificate.encode())
        certificate.verify_directly_issued_by(authority)
        key = serialization.load_pem_private_key(spec.server_key.encode(), None)
        assert key.public_key() == certificate.public_key()
        return str(instance["serverCaCert"]["sha1Fingerprint"])

    (first,), active = listed()
    assert "Add one first" in made.call("POST", f"{DATABASE}/rotateServerCa", 400, json={})["error"]["message"]
    done(made, "POST", f"{DATABASE}/addServerCa")
    (_, second), active = listed()
    assert active == first == shown_by_the_server()
    assert "upcoming" in made.call("POST", f"{DATABASE}/addServerCa", 400)["error"]["message"]
    done(made, "POST", f"{DATABASE}/rotateServerCa", {})
    assert listed() == ([first, second], second)
    assert shown_by_the_server() == second
    done(made, "POST", f"{DATABASE}/rotateServerCa", {"rotateServerCaContext": {"nextVersion": first}})
    assert listed() == ([first, second], first)
    assert shown_by_the_server() == first


def test_no_password_is_kept(made: Session) -> None:
    done(made, "POST", f"{DATABASE}/users", {"name": "mlflow", "password": "user-secret"})
    done(made, "PUT", f"{DATABASE}/users?name=mlflow", {"name": "mlflow", "password": "changed-secret"})
    kept = str(made.local.cloud.store.execute("SELECT * FROM documents"))
    for password in ("root-secret", "user-secret", "changed-secret"):
        assert password not in kept
        assert password not in statements(made)
    assert statements(made).count("SCRAM-SHA-256$4096:") == 3


def test_a_verifier_is_scram() -> None:
    """The format of RFC 5803 and the computation of RFC 5802."""
    found = re.fullmatch(r"SCRAM-SHA-256\$4096:(.+)\$(.+):(.+)", verifier("pencil"))
    assert found
    salt, stored, server = (base64.b64decode(g) for g in found.groups())
    salted = hashlib.pbkdf2_hmac("sha256", b"pencil", salt, 4096)
    assert hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest() == stored
    assert hmac.digest(salted, b"Server Key", "sha256") == server


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        (BODY | {"name": "Db"}, 400, "Invalid instance name"),
        (BODY | {"databaseVersion": "POSTGRES_14"}, 400, "POSTGRES_15, POSTGRES_17"),
        (BODY | {"databaseVersion": "MYSQL_8_0"}, 400, "POSTGRES_15, POSTGRES_17"),
        (settings(tier=None), 400, "Missing parameter: tier"),
        (settings(edition=None), 400, "Invalid Tier (db-custom-1-3840) for (ENTERPRISE_PLUS) Edition"),
        (settings(tier="db-perf-optimized-N-2"), 400, "for (ENTERPRISE) Edition"),
        (settings(tier="db-custom-3-3840"), 400, "must be 1 or even"),
        (settings(tier="db-custom-1-3841"), 400, "multiple of 256"),
        (settings(ipConfiguration={"ipv4Enabled": True}), 501, "a public address alone"),
        (settings(ipConfiguration={"ipv4Enabled": False}), 400, "At least one of Public IP or Private IP"),
        (settings(databaseFlags=[{"name": "colour", "value": "red"}]), 400, "Invalid flag name (colour)"),
        (settings(databaseFlags=[{"name": "max_connections", "value": "many"}]), 400, "Invalid flag value"),
        (settings(databaseFlags=[{"name": "max_connections", "value": "1"}]), 400, "Invalid flag value"),
        (settings(availabilityType="REGIONAL"), 400, "Backups"),
    ],
)
def test_what_cannot_be(sql: Session, body: Any, code: int, words: str) -> None:
    assert words in sql.call("POST", INSTANCES, code, json=body)["error"]["message"]
    assert "items" not in sql.call("GET", INSTANCES)


def test_postgres_15_is_enterprise(sql: Session) -> None:
    done(sql, "POST", INSTANCES, settings(edition=None) | {"databaseVersion": "POSTGRES_15"})
    assert sql.call("GET", DATABASE)["settings"]["edition"] == "ENTERPRISE"


def test_a_private_address_needs_the_connection(local: Local, owner: Session) -> None:
    Compute(local).network()
    error = owner.call("POST", INSTANCES, 400, json=BODY)
    assert "has no private services connection" in error["error"]["message"]
    owner.call("GET", DATABASE, 404)


def test_names(made: Session) -> None:
    assert reason(made.call("POST", INSTANCES, 409, json=BODY)) == "instanceAlreadyExists"
    for path in ("", "/databases", "/users", "/backupRuns"):
        assert reason(made.call("GET", f"{INSTANCES}/none{path}", 404)) == "instanceDoesNotExist"
    assert reason(made.call("DELETE", f"{INSTANCES}/none", 404)) == "instanceDoesNotExist"
    assert reason(made.call("GET", f"{ROOT}/operations/none", 404)) == "operationDoesNotExist"


def test_writes_are_serial(sql: Session) -> None:
    sql.call("PUT", "/localcloud/profile", json={"latency": "google", "scale": 0.01})
    operation = sql.call("POST", INSTANCES, json=BODY)
    assert operation["status"] == "PENDING"
    assert sql.call("GET", DATABASE)["state"] == "PENDING_CREATE"
    assert reason(sql.call("PATCH", DATABASE, 409, json={"settings": {}})) == "operationInProgress"
    assert reason(sql.call("DELETE", DATABASE, 409)) == "operationInProgress"
    # The instance's state does not allow databases yet.
    assert reason(sql.call("POST", f"{DATABASE}/databases", 400, json={"name": "x"})) == "invalidState"


def test_deletion_protection(sql: Session) -> None:
    done(sql, "POST", INSTANCES, settings(deletionProtectionEnabled=True))
    assert "protected" in sql.call("DELETE", DATABASE, 400)["error"]["message"]
    done(sql, "PATCH", DATABASE, {"settings": {"deletionProtectionEnabled": False}})
    done(sql, "DELETE", DATABASE)
    assert reason(sql.call("GET", DATABASE, 404)) == "instanceDoesNotExist"
    assert engine(sql).specs == {}
    done(sql, "POST", INSTANCES, BODY)
    assert [u["name"] for u in sql.call("GET", f"{DATABASE}/users")["items"]] == ["postgres"]


def test_a_creation_that_fails_stays(sql: Session) -> None:
    """With deletion protection it cannot be changed, and therefore cannot be deleted."""
    words = "Failed to create subnetwork. Please create Service Networking connection again."
    fault = {"method": "sql.instances.insert", "operation": True, "code": 400, "reason": "INTERNAL_ERROR"}
    for protected in (True, False):
        sql.call("POST", "/localcloud/faults", json=fault | {"message": words})
        operation = done(sql, "POST", INSTANCES, settings(deletionProtectionEnabled=protected), error=words)
        assert operation["error"]["errors"][0]["code"] == "INTERNAL_ERROR"
        assert sql.call("GET", DATABASE)["state"] == "FAILED"
        change = {"settings": {"deletionProtectionEnabled": False}}
        assert "is not running" in sql.call("PATCH", DATABASE, 400, json=change)["error"]["message"]
        sql.call("POST", f"{DATABASE}/databases", 400, json={"name": "x"})
        assert reason(sql.call("POST", INSTANCES, 409, json=BODY)) == "instanceAlreadyExists"
        if protected:
            sql.call("DELETE", DATABASE, 400)
            instances(sql.local.cloud).delete(DATABASE.partition("v1beta4/")[2])
    done(sql, "DELETE", DATABASE)
    done(sql, "POST", INSTANCES, BODY)


def test_the_first_backup_is_in_the_way(sql: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    backup, go = engine(sql).backup, threading.Event()
    monkeypatch.setattr(engine(sql), "backup", lambda *arguments: (go.wait(20), backup(*arguments)))
    sql.call("PUT", "/localcloud/profile", json={"sql_first_backup": True, "sql_invalid_state": True})
    done(sql, "POST", INSTANCES, settings(backupConfiguration={"enabled": True}))
    assert "items" not in sql.call("GET", f"{DATABASE}/backupRuns")
    done(sql, "DELETE", DATABASE)
    recovers = {"enabled": True, "pointInTimeRecoveryEnabled": True}
    done(sql, "POST", INSTANCES, settings(backupConfiguration=recovers))
    reasons = [reason(sql.call("POST", f"{DATABASE}/databases", 409, json={"name": "x"})) for _attempt in range(4)]
    assert reasons == ["operationInProgress", "invalidState"] * 2
    (pending,) = sql.local.cloud.operations.pending(DATABASE.partition("v1beta4/")[2])
    go.set()
    sql.local.cloud.operations.wait(pending["name"], 20)
    (run,) = sql.call("GET", f"{DATABASE}/backupRuns")["items"]
    assert (run["type"], run["status"]) == ("AUTOMATED", "SUCCESSFUL")
    done(sql, "POST", f"{DATABASE}/databases", {"name": "x"})


def test_settings_version(made: Session) -> None:
    done(made, "PATCH", DATABASE, {"settings": {"userLabels": {"a": "b"}, "settingsVersion": "1"}})
    stale = made.call("PATCH", DATABASE, 412, json={"settings": {"userLabels": {}, "settingsVersion": 1}})
    assert reason(stale) == "staleData"
    assert made.call("GET", DATABASE)["settings"]["settingsVersion"] == "2"
    assert reason(made.call("PUT", DATABASE, 400, json={"settings": BODY["settings"]})) == "required"
    done(made, "PUT", DATABASE, {"settings": BODY["settings"] | {"settingsVersion": "2"}})
    assert "userLabels" not in made.call("GET", DATABASE)["settings"]


def test_a_patch_merges(made: Session) -> None:
    flags = [{"name": "max_connections", "value": "200"}]
    done(made, "PATCH", DATABASE, {"settings": {"databaseFlags": flags, "backupConfiguration": {"enabled": True}}})
    got = made.call("GET", DATABASE)["settings"]
    assert got["databaseFlags"] == flags
    assert got["backupConfiguration"]["enabled"] is True
    assert got["backupConfiguration"]["startTime"] == "04:00"
    assert got["tier"] == "db-custom-1-3840"
    (spec,) = engine(made).specs.values()
    assert spec.flags == {"max_connections": "200"}
    assert ("restart", spec.id) in engine(made).log
    done(made, "PATCH", DATABASE, {"settings": {"databaseFlags": []}})
    assert "databaseFlags" not in made.call("GET", DATABASE)["settings"]


def test_tls_can_be_asked_for_later(sql: Session) -> None:
    addresses = {k: v for k, v in BODY["settings"]["ipConfiguration"].items() if k != "sslMode"}
    done(sql, "POST", INSTANCES, settings(ipConfiguration=addresses))
    (spec,) = engine(sql).specs.values()
    assert not spec.require_ssl
    # A name with the project's number is the same network.
    same = NETWORK.replace("mlflow-local", "100000000001")
    change = {"ipConfiguration": {"sslMode": "ENCRYPTED_ONLY", "privateNetwork": same}}
    done(sql, "PATCH", DATABASE, {"settings": change})
    (spec,) = engine(sql).specs.values()
    assert spec.require_ssl
    # The other network exists, but has no private services connection.
    Compute(sql.local).network("net2")
    other = {"ipConfiguration": {"privateNetwork": NETWORK + "2"}}
    refused = sql.call("PATCH", DATABASE, 400, json={"settings": other})
    assert "has no private services connection" in refused["error"]["message"]


def test_a_public_address_comes_and_goes(made: Session) -> None:
    """The address does not answer, but a client that checks the exposure sees it and can remove it."""
    (private,) = made.call("GET", DATABASE)["ipAddresses"]
    networks = [{"name": "everybody", "value": "0.0.0.0/0"}]
    done(made, "PATCH", DATABASE, {"settings": {"ipConfiguration": {"ipv4Enabled": True}}})
    done(made, "PATCH", DATABASE, {"settings": {"ipConfiguration": {"authorizedNetworks": networks}}})
    got = made.call("GET", DATABASE)
    assert [address["type"] for address in got["ipAddresses"]] == ["PRIMARY", "PRIVATE"]
    assert got["settings"]["ipConfiguration"]["authorizedNetworks"] == networks
    wrong = {"ipConfiguration": {"authorizedNetworks": [{"value": "everybody"}]}}
    made.call("PATCH", DATABASE, 400, json={"settings": wrong})
    done(made, "PATCH", DATABASE, {"settings": {"ipConfiguration": {"ipv4Enabled": False}}})
    assert made.call("GET", DATABASE)["ipAddresses"] == [private]


def test_stop_and_start(made: Session) -> None:
    done(made, "PATCH", DATABASE, {"settings": {"activationPolicy": "NEVER"}})
    assert not engine(made).on
    assert reason(made.call("POST", f"{DATABASE}/databases", 400, json={"name": "x"})) == "invalidState"
    assert made.call("GET", DATABASE)["state"] == "RUNNABLE"
    for path in ("databases", "databases/postgres", "users"):
        answer = made.call("GET", f"{DATABASE}/{path}", 400)
        assert answer["error"]["message"] == "Invalid request: Invalid request since instance is not running."
    done(made, "PATCH", DATABASE, {"settings": {"activationPolicy": "ALWAYS"}})
    assert engine(made).on


def test_disks_do_not_shrink(made: Session) -> None:
    done(made, "PATCH", DATABASE, {"settings": {"dataDiskSizeGb": "20"}})
    made.call("PATCH", DATABASE, 400, json={"settings": {"dataDiskSizeGb": "10"}})


def test_databases(made: Session) -> None:
    operation = done(made, "POST", f"{DATABASE}/databases", {"name": "mlflow"})
    assert (operation["operationType"], operation["targetId"]) == ("CREATE_DATABASE", "db")
    got = made.call("GET", f"{DATABASE}/databases/mlflow")
    assert (got["charset"], got["collation"]) == ("UTF8", "en_US.UTF8")
    assert 'CREATE DATABASE "mlflow" OWNER cloudsqlsuperuser' in statements(made)
    assert reason(made.call("POST", f"{DATABASE}/databases", 409, json={"name": "mlflow"})) == "alreadyExists"
    made.call("GET", f"{DATABASE}/databases/other", 404)
    done(made, "DELETE", f"{DATABASE}/databases/mlflow")
    made.call("DELETE", f"{DATABASE}/databases/mlflow", 404)
    made.call("DELETE", f"{DATABASE}/databases/postgres", 400)


def test_names_are_quoted(made: Session) -> None:
    name = """a"b'; DROP DATABASE postgres; --"""
    done(made, "POST", f"{DATABASE}/databases", {"name": name})
    assert """CREATE DATABASE "a""b'; DROP DATABASE postgres; --" OWNER""" in statements(made)
    assert """datname = 'a"b''; DROP DATABASE postgres; --';""" in statements(made)
    made.call("POST", f"{DATABASE}/databases", 400, json={"name": "a\n\\! id"})
    made.call("POST", f"{DATABASE}/databases", 400, json={"name": "x" * 64})


def users(session: Session) -> dict[str, Any]:
    """Return the users of the instance by name."""
    return {user["name"]: user for user in session.call("GET", f"{DATABASE}/users")["items"]}


def test_users(made: Session) -> None:
    operation = done(made, "POST", f"{DATABASE}/users", {"name": "mlflow", "password": "secret"})
    assert operation["operationType"] == "CREATE_USER"
    assert "password" not in users(made)["mlflow"]
    assert 'CREATE ROLE "mlflow" LOGIN CREATEDB CREATEROLE PASSWORD \'SCRAM-SHA-256$' in statements(made)
    assert 'GRANT cloudsqlsuperuser TO "mlflow"' in statements(made)
    assert (
        reason(made.call("POST", f"{DATABASE}/users", 409, json={"name": "mlflow", "password": "x"})) == "alreadyExists"
    )
    made.call("POST", f"{DATABASE}/users", 400, json={"name": "pg_x", "password": "x"})
    made.call("POST", f"{DATABASE}/users", 400, json={"name": "x"})
    made.call("POST", f"{DATABASE}/users", 501, json={"name": "x@y", "type": "CLOUD_IAM_USER"})
    made.call("PUT", f"{DATABASE}/users?name=nobody", 404, json={"name": "nobody", "password": "x"})
    # All recorded clients name the user twice. Google's answer to two different names is unknown.
    for body in ({}, {"name": "postgres"}, {"name": "mlflow", "instance": "x"}, {"name": "mlflow", "project": "x"}):
        made.call("PUT", f"{DATABASE}/users?name=mlflow", 400, json=body | {"password": "x"})
    named = {"name": "mlflow", "instance": "db", "project": "mlflow-local", "password": "x"}
    done(made, "PUT", f"{DATABASE}/users?name=mlflow", named)
    done(made, "DELETE", f"{DATABASE}/users?name=mlflow")
    assert "mlflow" not in users(made)


def test_a_refusal_by_postgresql_is_the_operations_error(made: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    from localcloud.engine.base import EngineError

    def refuse(*args: Any, **options: Any) -> list[list[str]]:
        raise EngineError(
            "PostgreSQL refused: psql:<stdin>:1: ERROR:  42501: no right\nLINE 1: CREATE ROLE SCRAM-SHA-256$"
        )

    monkeypatch.setattr(engine(made), "execute", refuse)
    operation = done(made, "POST", f"{DATABASE}/users", {"name": "mlflow", "password": "s"}, error="Detail: no right")
    assert "SCRAM" not in str(operation)
    assert "mlflow" not in users(made)


def test_backups(made: Session) -> None:
    done(made, "POST", f"{DATABASE}/databases", {"name": "before"})
    operation = done(made, "POST", f"{DATABASE}/backupRuns", {"description": "by hand"})
    id = operation["backupContext"]["backupId"]
    run = made.call("GET", f"{DATABASE}/backupRuns/{id}")
    assert (run["status"], run["type"], run["description"]) == ("SUCCESSFUL", "ON_DEMAND", "by hand")
    done(made, "DELETE", f"{DATABASE}/databases/before")
    done(made, "POST", f"{DATABASE}/databases", {"name": "after"})
    context = {"restoreBackupContext": {"backupRunId": id, "instanceId": "db", "project": "mlflow-local"}}
    done(made, "POST", f"{DATABASE}/restoreBackup", context)
    names = [d["name"] for d in made.call("GET", f"{DATABASE}/databases")["items"]]
    assert names == ["before", "postgres"]
    assert [r["id"] for r in made.call("GET", f"{DATABASE}/backupRuns")["items"]] == [id]
    wrong = {"restoreBackupContext": context["restoreBackupContext"] | {"backupRunId": "1"}}
    made.call("POST", f"{DATABASE}/restoreBackup", 404, json=wrong)
    done(made, "DELETE", f"{DATABASE}/backupRuns/{id}")
    assert "items" not in made.call("GET", f"{DATABASE}/backupRuns")
    assert engine(made).backups == {}


def test_a_final_backup_outlives_its_instance(made: Session) -> None:
    done(made, "POST", f"{DATABASE}/databases", {"name": "kept"})
    done(made, "DELETE", f"{DATABASE}?enableFinalBackup=true&finalBackupDescription=last")
    (backup,) = made.call("GET", f"{ROOT}/backups")["backups"]
    assert (backup["type"], backup["description"], backup["state"]) == ("FINAL", "last", "SUCCESSFUL")
    done(made, "POST", INSTANCES, BODY)
    done(made, "POST", f"{DATABASE}/restoreBackup", {"backup": backup["name"]})
    assert "kept" in [d["name"] for d in made.call("GET", f"{DATABASE}/databases")["items"]]
    done(made, "DELETE", f"/sqladmin/sql/v1beta4/{backup['name']}")
    assert made.call("GET", f"{ROOT}/backups") == {}


def test_an_interrupted_creation_goes_on(sql: Session, local: Local) -> None:
    sql.call("PUT", "/localcloud/profile", json={"latency": "google", "scale": 1})
    operation = sql.call("POST", INSTANCES, json=BODY)
    assert operation["status"] != "DONE"
    sql.call("PUT", "/localcloud/profile", json={"name": "none"})
    local.restart()
    session = local.session()
    local.cloud.operations.wait(operation["name"], 20)
    assert session.call("GET", DATABASE)["state"] == "RUNNABLE"


def test_a_server_that_should_run_is_started_again(made: Session, local: Local) -> None:
    databases = engine(made)
    (id,) = databases.ids()
    databases.stop(id)  # as after a reboot of the host
    made.call("POST", "/localcloud/reconcile")
    for _ in range(100):
        if databases.running(id):
            break
        time.sleep(0.05)
    assert databases.running(id)
    done(made, "PATCH", DATABASE, {"settings": {"activationPolicy": "NEVER"}})
    local.cloud.reconcile()
    time.sleep(0.2)
    assert not databases.running(id)


def test_permissions(made: Session, local: Local) -> None:
    nobody = local.session_as(local.account("nobody"))
    assert reason(nobody.call("GET", DATABASE, 403)) == "notAuthorized"
    client = local.session_as(local.account("client", "roles/cloudsql.client"))
    assert client.call("GET", DATABASE)["ipAddresses"][0]["type"] == "PRIVATE"
    client.call("POST", f"{DATABASE}/users", 403, json={"name": "x", "password": "x"})


def test_operations_are_listed(made: Session) -> None:
    items = made.call("GET", f"{ROOT}/operations?instance=db")["items"]
    assert [o["operationType"] for o in items] == ["CREATE"]
    assert made.call("GET", f"{ROOT}/operations?instance=other") == {"kind": "sql#operationsList"}
