# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The TXT record of a DNS-01 challenge, with scripted responses of Cloud DNS and a name server."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import requests
import responses
from dnslib import QTYPE, RR, TXT, DNSRecord

from tests.unit.roles.programs import load

NAME = "_acme-challenge.mlflow.example.com."
ZONE = "https://dns.googleapis.com/dns/v1/projects/dns-owner/managedZones/example-com"
SET = f"{ZONE}/rrsets/{NAME}/TXT"
FOREIGN = {"name": NAME, "type": "TXT", "ttl": 300, "rrdatas": ['"theirs"']}
BOTH = FOREIGN | {"rrdatas": ['"theirs"', '"proof"']}
OURS = FOREIGN | {"ttl": 60, "rrdatas": ['"proof"']}


class Vm:
    """The program with a clock of its own, and name servers that answer."""

    def __init__(self, folder: Path, api: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch) -> None:
        self.program: ModuleType = load("acme", "dns_record")
        self.api, self.note, self.seconds = api, folder / "challenge.json", 0.0
        self.asked: list[str] = []
        self.silent: set[str] = set()
        self.records = self.program.Records(requests.Session(), self.note, lambda: self.seconds, self._sleep)
        self.value = self.program.Value("dns-owner", "example-com", NAME, "proof")
        monkeypatch.setattr(self.program, "answers", self._answers)

    def _sleep(self, seconds: float) -> None:
        self.seconds += seconds

    def _answers(self, server: str, _value: Any) -> bool:
        self.asked.append(server)
        return server not in self.silent

    def has(self, record_set: dict[str, Any] | None) -> None:
        """Script the next answer about the record set."""
        missing = {"error": {"message": "The 'parameters.name' resource does not exist."}}
        self.api.get(SET, json=record_set or missing, status=200 if record_set else 404)

    def servers(self, *names: str) -> None:
        self.api.get(ZONE, json={"nameServers": [f"{name}." for name in names]})

    def sent(self) -> list[Any]:
        """Return the bodies of the changes."""
        return [json.loads(call.request.body or "") for call in self.api.calls if call.request.method == "POST"]


@pytest.fixture
def api() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(registry=responses.registries.OrderedRegistry) as mock:
        yield mock


@pytest.fixture
def vm(tmp_path: Path, api: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch) -> Vm:
    return Vm(tmp_path, api, monkeypatch)


def scripted(vm: Vm, *, before: Any, after: Any, states: tuple[str, ...] = ("done",)) -> None:
    """Script the creation and the removal of the value."""
    vm.has(before)
    vm.api.post(f"{ZONE}/changes", json={"id": "7"})
    for status in states:
        vm.api.get(f"{ZONE}/changes/7", json={"id": "7", "status": status})
    vm.servers("ns1.example.com", "ns2.example.com")
    vm.has(after)
    vm.api.post(f"{ZONE}/changes", json={"id": "8"})


def test_the_record_exists_until_the_end_of_the_block(vm: Vm) -> None:
    scripted(vm, before=None, after=OURS)
    with vm.records.published(vm.value):
        assert vm.sent() == [{"additions": [OURS]}]
        assert sorted(vm.asked) == ["ns1.example.com", "ns2.example.com"]
        assert json.loads(vm.note.read_text())[0]["text"] == "proof"
    assert vm.sent()[1:] == [{"deletions": [OURS]}]
    assert json.loads(vm.note.read_text()) == []


def test_values_of_other_clients_stay(vm: Vm) -> None:
    scripted(vm, before=FOREIGN, after=BOTH)
    with vm.records.published(vm.value):
        pass
    assert vm.sent() == [
        {"deletions": [FOREIGN], "additions": [BOTH]},
        {"deletions": [BOTH], "additions": [FOREIGN]},
    ]


def test_the_record_is_removed_after_a_failure(vm: Vm) -> None:
    scripted(vm, before=None, after=OURS)
    with pytest.raises(RuntimeError, match="caa"), vm.records.published(vm.value):
        raise RuntimeError("caa")
    assert vm.sent()[1:] == [{"deletions": [OURS]}]


def test_a_pending_change_and_a_slow_name_server(vm: Vm) -> None:
    """The status `done` does not tell that the name servers answer."""
    scripted(vm, before=None, after=OURS, states=("pending", "pending", "done"))
    vm.silent = {"ns2.example.com"}
    with vm.records.published(vm.value):
        # The certificate authority decides: a firewall may block the questions.
        assert vm.seconds > vm.program.SERVERS_SECONDS
        assert vm.asked.count("ns1.example.com") == 1
        assert vm.asked.count("ns2.example.com") > 10


@pytest.mark.parametrize("code", [403, 404, 409, 412, 503])
def test_a_refused_change_reads_the_record_set_again(vm: Vm, code: int) -> None:
    """A new permission takes effect later (403), and another client may change the record set."""
    vm.has(None)
    vm.api.post(f"{ZONE}/changes", status=code, json={"error": {"message": "Forbidden"}})
    scripted(vm, before=FOREIGN, after=BOTH)
    with vm.records.published(vm.value):
        pass
    assert vm.sent()[1] == {"deletions": [FOREIGN], "additions": [BOTH]}


def test_a_lost_response_is_no_second_change(vm: Vm) -> None:
    vm.has(None)
    vm.api.post(f"{ZONE}/changes", body=requests.ConnectionError("reset"))
    vm.has(OURS)
    vm.servers()
    vm.has(OURS)
    vm.api.post(f"{ZONE}/changes", json={"id": "8"})
    with vm.records.published(vm.value):
        pass
    assert [sorted(change) for change in vm.sent()] == [["additions"], ["deletions"]]


def test_a_cname_is_final_and_names_the_remedy(vm: Vm) -> None:
    vm.has(None)
    vm.api.post(f"{ZONE}/changes", status=400, json={"error": {"message": "has a set of the type 'CNAME'"}})
    vm.has(None)
    with pytest.raises(vm.program.RecordError, match="example-com of project dns-owner: HTTP 400") as caught:
        vm.records.published(vm.value).__enter__()
    assert "no CNAME record" in caught.value.remedy
    assert vm.seconds == 0


def test_a_routing_policy_of_another_owner_is_not_replaced(vm: Vm) -> None:
    policy = {"name": NAME, "type": "TXT", "routingPolicy": {"wrr": {}}}
    vm.has(policy)
    vm.has(policy)
    with pytest.raises(vm.program.RecordError, match="routing policy"):
        vm.records.published(vm.value).__enter__()


def test_a_failed_removal_does_not_lose_the_certificate(vm: Vm, capsys: pytest.CaptureFixture[str]) -> None:
    """The next run removes the value."""
    vm.has(None)
    vm.api.post(f"{ZONE}/changes", json={"id": "7"})
    vm.api.get(f"{ZONE}/changes/7", json={"status": "done"})
    vm.servers()
    vm.has(OURS)
    vm.api.post(f"{ZONE}/changes", status=400, json={"error": {"message": "no"}})
    with vm.records.published(vm.value):
        pass
    assert f"The TXT record {NAME} was not removed: managed zone example-com" in capsys.readouterr().err
    vm.has(BOTH)
    vm.api.post(f"{ZONE}/changes", json={"id": "8"})
    vm.records.remove_left_over("dns-owner", "example-com")
    assert vm.sent()[-1] == {"deletions": [BOTH], "additions": [FOREIGN]}
    vm.records.remove_left_over("dns-owner", "example-com")


def test_a_value_in_a_former_zone_is_forgotten(vm: Vm) -> None:
    """The VM may not change this zone anymore, so each run would fail again."""
    for zone, left in (("example-com", 1), ("example-new", 0)):
        vm.note.write_text(json.dumps([vm.program.asdict(vm.value)]))
        vm.api.get(SET, status=400, json={"error": {"message": "no"}})
        vm.records.remove_left_over("dns-owner", zone)
        assert len(json.loads(vm.note.read_text())) == left


@pytest.mark.parametrize("note", ['[{"project": "dns-', '[{"other": "x"}]'])
def test_an_unreadable_note_does_not_prevent_an_order(vm: Vm, note: str) -> None:
    """A killed run may have written a part of it."""
    vm.note.write_text(note)
    vm.records.remove_left_over("dns-owner", "example-com")


@pytest.mark.parametrize(
    ("texts", "found"), [(["proof"], True), (["theirs", "proof"], True), (["proof2"], False), ([], False)]
)
def test_a_name_server_is_asked_for_the_value(texts: list[str], found: bool) -> None:
    program = load("acme", "dns_record")
    value = program.Value("dns-owner", "example-com", NAME, "proof")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        questions: list[DNSRecord] = []

        def reply() -> None:
            packet, client = server.recvfrom(4096)
            questions.append(DNSRecord.parse(packet))
            answer = questions[0].reply()
            for text in texts:
                answer.add_answer(RR(NAME, QTYPE.TXT, rdata=TXT(text), ttl=60))
            server.sendto(answer.pack(), client)

        thread = threading.Thread(target=reply)
        thread.start()
        assert program.answers("127.0.0.1", value, server.getsockname()[1]) is found
        thread.join()
    assert (str(questions[0].q.qname), questions[0].q.qtype, questions[0].header.rd) == (NAME, QTYPE.TXT, 0)


def test_a_name_server_without_an_answer() -> None:
    program = load("acme", "dns_record")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    assert not program.answers("127.0.0.1", program.Value("p", "z", NAME, "proof"), port)
