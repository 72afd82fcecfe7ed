# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A certificate authority with an ACME directory (pebble), which asks the name server of the local cloud."""

from __future__ import annotations

import json
import os
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from localcloud.engine.base import HostedZone, RecordSet, ZoneLookup
from localcloud.engine.dns import NameServer, Resolver
from tests.front_end import programs
from tests.front_end.client import NAME

BINDING = {"eab_key_id": "kid-1", "eab_hmac_key": "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"}


@dataclass
class AcmeDirectory:
    """The running certificate authority."""

    folder: Path
    port: int
    management_port: int
    records: list[RecordSet]
    names_port: int = 0
    """The port of the name server."""

    @property
    def url(self) -> str:
        """Return the URL of the directory."""
        return f"https://127.0.0.1:{self.port}/dir"

    @property
    def ca_file(self) -> Path:
        """Return the CA file for the connection to the directory."""
        return self.folder / "directory-ca.pem"

    @property
    def log(self) -> str:
        """Return the log of pebble."""
        return (self.folder / "pebble.log").read_text(errors="replace")

    def root(self) -> str:
        """Return the root certificate, in PEM form, which clients of the server trust."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        url = f"https://127.0.0.1:{self.management_port}/roots/0"
        with urllib.request.urlopen(url, context=context, timeout=10) as answer:
            text: str = answer.read().decode()
        return text


@contextmanager
def acme_directory(
    folder: Path,
    http_port: int,
    *,
    binding: bool = False,
    lifetime: int = 518400,
    zone_of: ZoneLookup | None = None,
) -> Iterator[AcmeDirectory]:
    """Run pebble. It connects to `http_port` of the loopback interface, and signs for `lifetime` seconds.

    By default the name server has one zone with `records`.
    """
    ports = programs.free_port(), programs.free_port(), programs.free_port()
    made = AcmeDirectory(folder, ports[0], ports[1], [_record(NAME, "A", "127.0.0.1")], ports[2])
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(made.ca_file))
    issued = authority.issue_cert("127.0.0.1")
    issued.cert_chain_pems[0].write_to_path(str(folder / "directory.pem"))
    issued.private_key_pem.write_to_path(str(folder / "directory.key"))
    settings: dict[str, Any] = {
        "listenAddress": f"127.0.0.1:{made.port}",
        "managementListenAddress": f"127.0.0.1:{made.management_port}",
        "certificate": str(folder / "directory.pem"),
        "privateKey": str(folder / "directory.key"),
        "httpPort": http_port,
        "tlsPort": programs.free_port(),
        "certificateValidityPeriod": lifetime,
        "externalAccountBindingRequired": binding,
        "externalAccountMACKeys": {BINDING["eab_key_id"]: BINDING["eab_hmac_key"]} if binding else {},
    }
    (folder / "pebble.json").write_text(json.dumps({"pebble": settings}))

    def one_zone(name: str) -> HostedZone | None:
        inside = name == f"{NAME}." or name.endswith(f".{NAME}.")
        soa = _record(NAME, "SOA", f"ns.{NAME}. admin.{NAME}. 1 2 3 4 5")
        return HostedZone(f"{NAME}.", (soa, *made.records)) if inside else None

    names = NameServer(Resolver(lambda _name: None, [], zone_of=zone_of or one_zone), "127.0.0.1", made.names_port)
    names.start()
    command = ["pebble", "-config", str(folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{made.names_port}"]
    try:
        with programs.running(
            command,
            folder / "pebble.log",
            lambda: programs.accepts(made.management_port) and programs.accepts(made.port),
            # Without a pause before each validation, and with a challenge for each order. By default pebble rejects
            # some good nonces, so clients must retry.
            environment=os.environ | {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0"},
        ):
            yield made
    finally:
        names.stop()


def _record(name: str, kind: str, data: str) -> RecordSet:
    return RecordSet(f"{name}.", kind, 60, (data,))
