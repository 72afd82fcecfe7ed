# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Answer a DNS-01 challenge (RFC 8555, 8.4) with a TXT record in a managed zone of Cloud DNS.

The record set may have values of other clients. The program adds and removes only its own value. It notes the value in
a file before it adds the value, so a later run removes the value of a killed run.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rdatatype
import google.auth.exceptions
import requests

ENDPOINT = "https://dns.googleapis.com"
REQUEST_TIMEOUT = 20.0
TTL = 60
# New IAM bindings take effect within minutes (403). With 404, 409 and 412, another client has changed the record set.
TRANSIENT = {403, 404, 408, 409, 412, 429, 500, 502, 503, 504}
REMEDIES = {
    400: "The name _acme-challenge of the host name must have no CNAME record",
    403: "Run site.yml, which grants the VM the permission on the record",
}
CHANGE_SECONDS = 180.0
SERVERS_SECONDS = 120.0
REMOVE_SECONDS = 30.0
T = TypeVar("T")


class RecordError(Exception):
    """Cloud DNS did not change the record. `transient` is true if another attempt may succeed."""

    def __init__(self, message: str, *, transient: bool, remedy: str = "") -> None:
        super().__init__(message)
        self.transient, self.remedy = transient, remedy


@dataclass(frozen=True)
class Value:
    """A value of the TXT record set of a name, which ends with a dot."""

    project: str
    zone: str
    name: str
    text: str

    @property
    def data(self) -> str:
        """Return the value as Cloud DNS has it."""
        return f'"{self.text}"'


@dataclass
class Records:
    """The TXT records of this program in Cloud DNS. `note` is a file with the values that may exist."""

    session: requests.Session
    note: Path
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep

    @contextmanager
    def published(self, value: Value) -> Iterator[None]:
        """Show a value until the end of the block. A failed removal does not lose an issued certificate."""
        self._write([*self._noted(), value])
        try:
            change = self._repeat(lambda: self._edit(value, present=True), CHANGE_SECONDS)
            if change:
                self._repeat(lambda: self._check_change(value, change), CHANGE_SECONDS)
            self._wait_for_servers(value)
            yield
        finally:
            self._remove(value)

    def remove_left_over(self, project: str, zone: str) -> None:
        """Remove the values of killed runs. Forget those of another zone, which the VM may not change anymore."""
        for value in self._noted():
            if not self._remove(value) and (value.project, value.zone) != (project, zone):
                self._write([each for each in self._noted() if each != value])

    def _noted(self) -> list[Value]:
        try:
            return [Value(**each) for each in json.loads(self.note.read_text(encoding="utf-8"))]
        except (FileNotFoundError, ValueError, TypeError):  # killed while the file was written, or of another release
            return []

    def _write(self, values: list[Value]) -> None:
        self.note.write_text(json.dumps([asdict(each) for each in values]), encoding="utf-8")

    def _remove(self, value: Value) -> bool:
        try:
            self._repeat(lambda: self._edit(value, present=False), REMOVE_SECONDS)
        except RecordError as error:
            print(f"The TXT record {value.name} was not removed: {error}. It is harmless.", file=sys.stderr, flush=True)
            return False
        self._write([each for each in self._noted() if each != value])
        return True

    def _repeat(self, action: Callable[[], T], seconds: float) -> T:
        """Call a function again after transient errors."""
        deadline, pause = self.clock() + seconds, 1.0
        while True:
            try:
                return action()
            except RecordError as error:
                if not error.transient or self.clock() + pause > deadline:
                    raise
            self.sleep(pause)
            pause = min(pause * 2, 15.0)

    def _edit(self, value: Value, *, present: bool) -> str:
        """Add or remove a value; return the ID of the change, empty if nothing is to change."""
        old = self._call("GET", value, f"/rrsets/{value.name}/TXT", absent_ok=True)
        if old and not old.get("rrdatas"):
            raise RecordError(f"the record set {value.name} has a routing policy", transient=False)
        before = list(old.get("rrdatas") or ())
        after = [each for each in before if each != value.data] + ([value.data] if present else [])
        if sorted(before) == sorted(after):
            return ""
        change: dict[str, Any] = {"deletions": [old]} if old else {}
        if after:
            new = {"name": value.name, "type": "TXT", "ttl": old.get("ttl", TTL), "rrdatas": after}
            change["additions"] = [new]
        return str(self._call("POST", value, "/changes", change)["id"])

    def _check_change(self, value: Value, change: str) -> None:
        status = self._call("GET", value, f"/changes/{change}").get("status")
        if status != "done":
            raise RecordError(f"change {change} of managed zone {value.zone} is {status}", transient=True)

    def _wait_for_servers(self, value: Value) -> None:
        """Wait until the name servers of the zone answer: a change that is done may not have reached all of them.

        After the limit the certificate authority decides, because a firewall may block these questions.
        """
        zone = self._repeat(lambda: self._call("GET", value, ""), CHANGE_SECONDS)
        servers = {str(each).rstrip(".") for each in zone.get("nameServers") or ()}
        deadline = self.clock() + SERVERS_SECONDS
        while True:
            servers = {server for server in servers if not answers(server, value)}
            if not servers:
                return
            if self.clock() > deadline:
                print(f"Without an answer with the TXT record: {', '.join(sorted(servers))}.", flush=True)
                return
            self.sleep(2.0)

    def _call(self, method: str, value: Value, path: str, body: Any = None, *, absent_ok: bool = False) -> Any:
        """Return the answer about the zone of a value; empty if the record set is absent and `absent_ok`."""
        url = f"{ENDPOINT}/dns/v1/projects/{value.project}/managedZones/{value.zone}{path}"
        try:
            response = self.session.request(method, url, json=body, timeout=REQUEST_TIMEOUT)
        except (requests.RequestException, google.auth.exceptions.GoogleAuthError) as error:
            raise RecordError(f"{type(error).__name__}: {error}", transient=True) from error
        code = response.status_code
        if code == 404 and absent_ok:
            return {}
        try:
            document = response.json()
            if code == 200:
                return document
            message = document["error"]["message"]
        except (ValueError, KeyError, TypeError):
            message = response.reason
        raise RecordError(
            f"managed zone {value.zone} of project {value.project}: HTTP {code}: {message}",
            transient=code in TRANSIENT,
            remedy=REMEDIES.get(code, ""),
        )


def answers(server: str, value: Value, port: int = 53) -> bool:
    """Return whether a name server has the value."""
    question = dns.message.make_query(value.name, "TXT", use_edns=True)
    question.flags &= ~dns.flags.RD
    try:
        address = socket.getaddrinfo(server, port, socket.AF_INET, socket.SOCK_DGRAM)[0][4][0]
        reply = dns.query.udp_with_fallback(question, address, timeout=3.0, port=port)[0]
    except (OSError, dns.exception.DNSException):
        return False
    texts = [
        b"".join(record.strings) for answer in reply.answer if answer.rdtype == dns.rdatatype.TXT for record in answer
    ]
    return value.text.encode() in texts
