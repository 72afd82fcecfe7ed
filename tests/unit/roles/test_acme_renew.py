# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The program that renews the server certificate on the VM, with scripted HTTP responses."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import requests
import responses
import trustme

from tests.unit.roles.programs import load

NAME = "mlflow.example.com"
URL = "https://secretmanager.googleapis.com/v1/projects/my-project/secrets/mlflow-certificate"
CONFIG = {
    "project": "my-project",
    "secret": "mlflow-certificate",
    "hostname": NAME,
    "directory": "https://acme.example.com/directory",
    "terms_agreed": True,
    "email": "",
    "profile": "",
    "challenge": "http-01",
    "record": {},
    "ca_file": "",
    "interval_hours": 4,
    "jitter_minutes": 60,
}
RECORD = {"project": "dns-owner", "zone": "example-com", "name": f"_acme-challenge.{NAME}."}
ORIGIN = "Directory: https://acme.example.com/directory\nProfile: \n"
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
CA = trustme.CA()


@pytest.fixture
def renew(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setitem(sys.modules, "fetch", load("credentials", "fetch"))
    monkeypatch.setitem(sys.modules, "dns_record", load("acme", "dns_record"))
    return load("acme", "renew")


@pytest.fixture
def api() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


def certificate(*names: str, age: timedelta, lifetime: timedelta, now: datetime = NOW) -> str:
    begin = now - age
    issued = CA.issue_cert(*(names or [NAME]), not_before=begin, not_after=begin + lifetime)
    return issued.private_key_pem.bytes().decode() + issued.cert_chain_pems[0].bytes().decode()


DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("age", "lifetime", "reason"),
    [
        (60 * DAY - MINUTE, 90 * DAY, ""),
        (60 * DAY, 90 * DAY, "two thirds of its lifetime are over, it ends at 2026-07-01 12:00 UTC"),
        (4 * DAY - MINUTE, 6 * DAY, ""),
        (4 * DAY, 6 * DAY, "two thirds of its lifetime are over"),
        (7 * DAY, 6 * DAY, "two thirds of its lifetime are over"),
    ],
)
def test_a_certificate_is_due_at_two_thirds_of_its_lifetime(
    renew: ModuleType, age: timedelta, lifetime: timedelta, reason: str
) -> None:
    said = renew.due(ORIGIN + certificate(age=age, lifetime=lifetime), CONFIG, NOW)
    assert said.startswith(reason)
    assert bool(said) == bool(reason)


@pytest.mark.parametrize(
    ("stored", "changed", "reason"),
    [
        ("", {}, "there is no certificate"),
        (certificate(age=DAY, lifetime=90 * DAY), {}, "the certificate is not from an ACME directory"),
        (
            ORIGIN + certificate(age=DAY, lifetime=90 * DAY),
            {"directory": "https://acme.example.com/directory2"},
            "the certificate is from another directory",
        ),
        (ORIGIN + certificate(age=DAY, lifetime=90 * DAY), {"profile": "shortlived"}, "or has another profile"),
        (ORIGIN + certificate(age=DAY, lifetime=90 * DAY), {"hostname": "b.example.com"}, f"is for {NAME}"),
        (ORIGIN + certificate(age=DAY, lifetime=90 * DAY), {"hostname": NAME.upper()}, ""),
        (ORIGIN + certificate(f"www.{NAME}", NAME, age=DAY, lifetime=90 * DAY), {}, ""),
    ],
)
def test_another_origin_or_name_is_due_at_once(
    renew: ModuleType, stored: str, changed: dict[str, str], reason: str
) -> None:
    said = renew.due(stored, CONFIG | changed, NOW)
    assert reason in said
    assert bool(said) == bool(reason)


class Vm:
    """The program on a VM whose secret has a value."""

    def __init__(
        self, renew: ModuleType, api: responses.RequestsMock, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.renew, self.api, self.folder = renew, api, folder
        (folder / "config.json").write_text(json.dumps(CONFIG))
        account = {"key": "KEY", "directory": CONFIG["directory"], "eab_key_id": "", "eab_hmac_key": ""}
        (folder / "account").write_text(json.dumps(account))
        monkeypatch.setenv("RUNTIME_DIRECTORY", str(folder))
        monkeypatch.setenv("STATE_DIRECTORY", str(folder))
        monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(folder))
        monkeypatch.setattr(renew.fetch, "identity", lambda _timeout: (requests.Session(), "my-project"))
        self.orders: list[Any] = []
        self.answer: str | Exception = ""
        issue = SimpleNamespace(Order=SimpleNamespace, Account=SimpleNamespace, issue=self._issue)
        monkeypatch.setitem(sys.modules, "issue", issue)

    def _issue(self, order: Any, account: Any, publish: Any) -> str:
        self.orders.append((order, account))
        if order.challenge == "dns-01":
            with publish(SimpleNamespace(token="../token", content="proof")):
                return str(self.answer)
        with publish(SimpleNamespace(token="../token", content="proof")):
            shown = self.folder / "challenges" / "token"
            assert (shown.read_text(), shown.stat().st_mode & 0o777) == ("proof", 0o644)
        assert not shown.exists()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def store(self, pem: str) -> None:
        data = base64.b64encode(pem.encode()).decode()
        self.api.get(f"{URL}/versions/latest:access", json={"payload": {"data": data}})

    def use_dns(self) -> Path:
        """Configure the challenge DNS-01; return the file with the values that may exist."""
        (self.folder / "config.json").write_text(json.dumps(CONFIG | {"challenge": "dns-01", "record": RECORD}))
        return self.folder / "challenge.json"

    def run(self, *arguments: str) -> int:
        code: int = self.renew.main(["--config", str(self.folder / "config.json"), *arguments])
        return code


@pytest.fixture
def vm(renew: ModuleType, api: responses.RequestsMock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Vm:
    return Vm(renew, api, tmp_path, monkeypatch)


def test_a_valid_certificate_is_not_ordered_again(vm: Vm) -> None:
    """A new VM serves the stored certificate."""
    pem = ORIGIN + certificate(age=DAY, lifetime=90 * DAY, now=datetime.now(UTC))
    vm.store(pem)
    assert vm.run() == 0
    assert vm.orders == []
    written = vm.folder / "certificate.pem"
    assert (written.read_text(), written.stat().st_mode & 0o777) == (pem, 0o600)


def test_a_new_certificate_is_stored_before_it_is_installed(vm: Vm) -> None:
    vm.store(certificate(age=DAY, lifetime=90 * DAY))
    vm.answer = certificate(age=DAY, lifetime=90 * DAY, now=datetime.now(UTC))
    added = vm.api.post(f"{URL}:addVersion", json={})
    assert vm.run() == 0
    ((order, account),) = vm.orders
    assert (order.hostname, order.directory, account.key) == (NAME, CONFIG["directory"], "KEY")
    payload = json.loads(added.calls[0].request.body or "")["payload"]
    assert (
        base64.b64decode(payload["data"]).decode() == ORIGIN + vm.answer == (vm.folder / "certificate.pem").read_text()
    )
    assert payload["dataCrc32c"] == str(vm.renew.fetch.crc32c((ORIGIN + vm.answer).encode()))


def test_a_failed_order_keeps_the_certificate_and_names_cause_and_next_attempt(
    vm: Vm, capsys: pytest.CaptureFixture[str]
) -> None:
    vm.store(ORIGIN + certificate(age=80 * DAY, lifetime=90 * DAY))
    vm.answer = RuntimeError("rateLimited: too many certificates")
    vm.answer.remedy = "Wait"  # type: ignore[attr-defined]
    assert vm.run() == 1
    said = capsys.readouterr().err
    assert (
        f"Cannot get a certificate for {NAME} from {CONFIG['directory']}: rateLimited: too many certificates." in said
    )
    assert "keeps its certificate, which is valid until 2026-06-11 12:00 UTC." in said
    assert "The next attempt starts by 20" in said
    assert said.endswith("Wait.\n")
    assert not (vm.folder / "certificate.pem").exists()


def test_a_certificate_that_cannot_be_stored_is_not_installed(vm: Vm, capsys: pytest.CaptureFixture[str]) -> None:
    """Another VM would not have it, and would order again. This VM stores it in its next attempt."""
    vm.store("")
    vm.answer = certificate(age=DAY, lifetime=90 * DAY, now=datetime.now(UTC))
    refusal = vm.api.post(f"{URL}:addVersion", status=400, json={"error": {"message": "too large"}})
    assert vm.run() == 1
    pending = vm.folder / "pending.pem"
    assert pending.stat().st_mode & 0o777 == 0o600
    output = capsys.readouterr()
    assert "secret mlflow-certificate: HTTP 400: too large" in output.err
    assert "PRIVATE KEY" not in output.out + output.err
    assert "Run site.yml" in output.err
    assert not (vm.folder / "certificate.pem").exists()

    vm.api.remove(refusal)
    vm.api.post(f"{URL}:addVersion", json={})
    assert vm.run() == 0
    assert len(vm.orders) == 1
    assert (vm.folder / "certificate.pem").read_text() == ORIGIN + vm.answer
    assert not pending.exists()


def test_a_pending_certificate_of_another_directory_is_not_stored(vm: Vm) -> None:
    vm.store("")
    other = ORIGIN.replace("acme.example.com", "staging.example.com")
    (vm.folder / "pending.pem").write_text(other + certificate(age=DAY, lifetime=90 * DAY, now=datetime.now(UTC)))
    vm.answer = certificate(age=DAY, lifetime=90 * DAY, now=datetime.now(UTC))
    vm.api.post(f"{URL}:addVersion", json={})
    assert vm.run() == 0
    assert len(vm.orders) == 1
    assert (vm.folder / "certificate.pem").read_text() == ORIGIN + vm.answer


def test_transient_errors_of_secret_manager_are_tried_again(renew: ModuleType, api: responses.RequestsMock) -> None:
    url, pauses = f"{URL}:addVersion", []
    api.post(url, status=403, json={"error": {"message": "the binding is new"}})
    api.post(url, body=requests.ConnectionError("no route"))
    api.post(url, json={})
    renew.store(requests.Session(), CONFIG, "x", clock=lambda: 0.0, sleep=pauses.append)
    assert pauses == [1.0, 2.0]


@pytest.mark.parametrize(("status", "word"), [(200, '{"due": ""}'), (500, "cannot be read")])
def test_the_check_orders_nothing(
    vm: Vm, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, status: int, word: str
) -> None:
    if status == 200:
        vm.store(ORIGIN + certificate(age=DAY, lifetime=90 * DAY, now=datetime.now(UTC)))
    else:
        vm.api.get(f"{URL}/versions/latest:access", status=status, json={"error": {"message": "down"}})
    assert vm.run("--check") == 0
    assert word in capsys.readouterr().out
    assert vm.orders == []


def test_a_dns_challenge_is_a_record_of_the_host_name(vm: Vm, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []

    @contextmanager
    def published(_records: Any, value: Any) -> Iterator[None]:
        shown.append(value)
        yield

    records = sys.modules["dns_record"].Records
    monkeypatch.setattr(records, "published", published)
    vm.use_dns()
    vm.store("")
    vm.answer = certificate(age=DAY, lifetime=90 * DAY, now=datetime.now(UTC))
    vm.api.post(f"{URL}:addVersion", json={})
    assert vm.run() == 0
    assert [asdict(value) for value in shown] == [RECORD | {"text": "proof"}]
    assert not (vm.folder / "challenges").exists()


def test_a_value_of_a_killed_run_is_removed_without_an_order(vm: Vm) -> None:
    """Also by a run that has nothing to order, but not by a check."""
    value = RECORD | {"text": "old"}
    note = vm.use_dns()
    note.write_text(json.dumps([value]))
    vm.store(ORIGIN + certificate(age=DAY, lifetime=90 * DAY, now=datetime.now(UTC)))
    assert vm.run("--check") == 0
    zone = "https://dns.googleapis.com/dns/v1/projects/dns-owner/managedZones/example-com"
    found = {"name": value["name"], "type": "TXT", "ttl": 60, "rrdatas": ['"old"']}
    vm.api.get(f"{zone}/rrsets/{value['name']}/TXT", json=found)
    removed = vm.api.post(f"{zone}/changes", json={"id": "7"})
    assert vm.run() == 0
    assert json.loads(removed.calls[0].request.body or "") == {"deletions": [found]}
    assert json.loads(note.read_text()) == []
    assert vm.orders == []
