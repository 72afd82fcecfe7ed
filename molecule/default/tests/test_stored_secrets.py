# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Secrets in the database of MLflow: every process decrypts them, also after a restart and a rotation."""

from __future__ import annotations

import base64
import json
import os
import secrets as random
from collections.abc import Iterator
from typing import Any

import pytest
from mlflow_server import Server
from testinfra.host import Host

WEBHOOKS = "/api/2.0/mlflow/webhooks"
PROGRAM = "/usr/local/bin/mlflowctl run-job"
READY = "/usr/local/bin/mlflowctl ready --timeout 240"
STORE = "/etc/credstore/mlflow."
KEYS = ("webhook-encryption-key", "crypto-kek-passphrase")


def fernet_key() -> str:
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


@pytest.fixture(scope="module", autouse=True)
def two_workers(host: Host) -> Iterator[None]:
    """Run two workers. With one worker a test cannot detect that each process creates a key of its own."""
    settings = host.check_output("cat /etc/mlflow/server.json")
    host.check_output("printf %%s %s > /etc/mlflow/server.json", json.dumps({**json.loads(settings), "workers": 2}))
    host.check_output("systemctl reload mlflow")
    yield
    # The same content as the template, with the last line end.
    host.check_output("printf '%%s\\n' %s > /etc/mlflow/server.json", settings)
    host.check_output("systemctl reload mlflow")


@pytest.fixture(scope="module")
def webhook(server: Server, two_workers: None) -> Iterator[str]:
    """A disabled webhook with a secret. MLflow sends no event to a disabled webhook."""
    event = {"entity": "REGISTERED_MODEL", "action": "CREATED"}
    body = {"name": "ci", "url": "https://1.1.1.1/hook", "events": [event], "secret": "s3cret", "status": "DISABLED"}
    made = server.ask("POST", WEBHOOKS, signed_in=True, json=body)
    assert made.status_code == 200, made.text
    identifier: str = made.json()["webhook"]["webhook_id"]
    yield identifier
    assert server.ask("DELETE", f"{WEBHOOKS}/{identifier}", signed_in=True).status_code == 200


@pytest.fixture(scope="module")
def gateway_secret(server: Server, two_workers: None) -> Iterator[str]:
    """An API key of the gateway."""
    body = {
        "secret_name": f"key-{random.token_hex(4)}",
        "secret_value": {"api_key": "sk-1234567890"},
        "provider": "openai",
    }
    made = server.ask("POST", "/api/3.0/mlflow/gateway/secrets/create", signed_in=True, json=body)
    assert made.status_code == 200, made.text
    identifier: str = made.json()["secret"]["secret_id"]
    yield identifier
    query = {"secret_id": identifier}
    assert server.ask("DELETE", "/api/3.0/mlflow/gateway/secrets/delete", signed_in=True, json=query).status_code == 200


def statuses(server: Server, times: int = 20) -> list[int]:
    """Return the statuses of requests, each on a connection of its own."""
    return [server.ask("GET", WEBHOOKS, signed_in=True).status_code for _ in range(times)]


def found(host: Host, command: str = "check") -> dict[str, Any]:
    document: dict[str, Any] = json.loads(host.check_output(f"{PROGRAM} stored-secrets {command}"))
    return document


def test_there_are_two_workers(host: Host) -> None:
    workers = host.check_output("pgrep -u mlflow -f 'multiprocessing.spawn|spawn_main'").split()
    assert len(workers) == 2


def test_every_worker_reads_a_webhook_with_a_secret(server: Server, host: Host, webhook: str) -> None:
    """Every second response was 500, and every response after a restart: each process had a random key of its own."""
    assert statuses(server) == [200] * 20
    host.check_output("systemctl restart mlflow")
    assert host.run(READY).rc == 0
    assert statuses(server) == [200] * 20


def test_the_passphrase_of_the_gateway_is_not_the_public_default(server: Server) -> None:
    answer = server.ask("GET", "/ajax-api/3.0/mlflow/gateway/secrets/config", signed_in=True)
    assert (answer.status_code, answer.json()["using_default_passphrase"]) == (200, False)


def test_rows_are_under_the_keys_in_use(host: Host, webhook: str, gateway_secret: str) -> None:
    rows = found(host)
    # Other tests leave API keys of the gateway.
    assert rows["webhooks"]["current"] == 1
    assert rows["gateway"]["current"] >= 1
    assert [rows[kind][state] for kind in ("webhooks", "gateway") for state in ("earlier", "unreadable")] == [[]] * 4


def test_a_rotation_re_encrypts_at_the_cutover(
    server: Server, host: Host, secrets: dict[str, str], webhook: str, gateway_secret: str
) -> None:
    """Rotate as playbooks/rotate.yml does, then back. The rotation does not wait for the end of the old process."""
    keys = found(host)["gateway"]["current"]
    new = {"webhook-encryption-key": fernet_key(), "crypto-kek-passphrase": random.token_hex(20)}
    try:
        for name, key in new.items():
            host.check_output(f"printf '%%s\\n%%s' %s %s > {STORE}{name}", key, secrets[f"mlflow.{name}"])
        host.check_output(f"{PROGRAM} --after-cutover stored-secrets reencrypt")
        host.check_output("systemctl reload mlflow")
        assert statuses(server) == [200] * 20
        assert found(host, "reencrypt")["changed"] is False
        rows = found(host)
        assert (rows["webhooks"]["current"], rows["gateway"]["current"]) == (1, keys)
    finally:
        for name, key in new.items():
            host.check_output(f"printf '%%s\\n%%s' %s %s > {STORE}{name}", secrets[f"mlflow.{name}"], key)
        host.check_output("systemctl reload mlflow")
    # Without `reencrypt --after-cutover` the server cannot read the rows until `reencrypt` runs.
    assert set(statuses(server)) == {500}
    rows = found(host)
    assert (len(rows["webhooks"]["earlier"]), len(rows["gateway"]["earlier"])) == (1, keys)
    assert found(host, "reencrypt")["changed"] is True
    assert statuses(server) == [200] * 20
    for name in KEYS:
        host.check_output(f"printf %%s %s > {STORE}{name}", secrets[f"mlflow.{name}"])
    host.check_output("systemctl reload mlflow")
    assert statuses(server) == [200] * 20


def test_a_webhook_that_no_key_decrypts_can_be_disabled(server: Server, host: Host, webhook: str) -> None:
    """A server with a random key wrote the webhook. MLflow cannot list, change or delete such a row."""
    code = "from cryptography.fernet import Fernet; print(Fernet(Fernet.generate_key()).encrypt(b's').decode())"
    lost = host.check_output("/opt/mlflow/current/bin/python -c %s", code)
    update = f"update webhooks set secret = '{lost}', status = 'ACTIVE' where webhook_id = '{webhook}'"
    host.check_output("runuser -u postgres -- psql -q mlflow -c %s", update)
    assert set(statuses(server)) == {500}
    assert found(host, "reencrypt")["webhooks"]["unreadable"] == [f"ci ({webhook})"]
    assert set(statuses(server, 4)) == {500}, "without the option no webhook is disabled"
    assert found(host, "reencrypt --disable-unreadable-webhooks")["changed"] is True
    assert statuses(server) == [200] * 20
    (row,) = server.ask("GET", WEBHOOKS, signed_in=True).json()["webhooks"]
    assert row["status"] == "DISABLED"
    answer = server.ask("PATCH", f"{WEBHOOKS}/{webhook}", signed_in=True, json={"secret": "entered again"})
    assert answer.status_code == 200, answer.text
    assert found(host)["webhooks"] == {"current": 1, "earlier": [], "unreadable": []}


def test_the_programs_output_holds_no_key(host: Host, secrets: dict[str, str], webhook: str) -> None:
    text = host.check_output(f"{PROGRAM} stored-secrets check") + host.check_output("journalctl --no-pager -o cat")
    assert not [name for name in KEYS if secrets[f"mlflow.{name}"] in text]
