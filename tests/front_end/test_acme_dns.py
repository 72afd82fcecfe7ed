# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The ACME client of the VM with the challenge DNS-01, a real certificate authority (pebble) and the local cloud.

No web server listens: port 80 is closed to the certificate authority.
"""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import subprocess
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from localcloud.services.dns.names import hosted_zones
from tests.front_end import programs
from tests.front_end.acme_directory import AcmeDirectory, acme_directory
from tests.front_end.client import NAME
from tests.front_end.site import ROLES
from tests.front_end.test_acme import KEY
from tests.localcloud.harness import PLATFORM, Local, Session

OWNER = "dns-owner"
ACCOUNT = "mlflow-server@mlflow-local.iam.gserviceaccount.com"
ROLE = f"projects/{OWNER}/roles/acmeChallenge"
RECORD = f"_acme-challenge.{NAME}."
ZONE = f"/dns/v1/projects/{OWNER}/managedZones/example"
TXT = f"{ZONE}/rrsets/{RECORD}/TXT"
SECRET = "/secretmanager/v1/projects/mlflow-local/secrets/mlflow-certificate"
FOREIGN = {"name": RECORD, "type": "TXT", "ttl": 300, "rrdatas": ['"theirs"']}
# The program with the Python of the system, and so with Debian's ACME library, as on a VM. google-auth may be missing
# there. On a VM the token is from the metadata server.
DRIVER = """
import json, os, sys
import requests

given = json.load(sys.stdin)
sys.path.append(given["packages"])
import dns_record, fetch, renew

session = requests.Session()
session.headers["Authorization"] = f"Bearer {given['token']}"
fetch.identity = lambda _timeout: (session, "mlflow-local")
fetch.ENDPOINT, dns_record.ENDPOINT = f"{given['url']}/secretmanager", given["url"]
ask = dns_record.answers
dns_record.answers = lambda server, value: server.startswith("ns-cloud-") and ask("127.0.0.1", value, given["port"])
if given["killed"]:
    dns_record.Records._wait_for_servers = lambda *_: os.kill(os.getpid(), 9)
dns_record.CHANGE_SECONDS, dns_record.REMOVE_SECONDS = 2.0, 1.0
sys.exit(renew.main(["--config", given["config"]]))
"""


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Local]:
    running = Local(tmp_path_factory.mktemp("cloud"))
    running.start()
    running.other_project(OWNER)
    running.enable("secretmanager", "iam")
    running.enable("dns", "iam", project=OWNER)
    running.grant("serviceAccount:owner@mlflow-local.iam.gserviceaccount.com", "roles/owner", project=OWNER)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def directory(local: Local, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AcmeDirectory]:
    closed = programs.free_port()
    with acme_directory(tmp_path_factory.mktemp("pebble"), closed, zone_of=hosted_zones(local.cloud)) as made:
        yield made


@pytest.fixture(scope="module")
def owner(local: Local) -> Session:
    """Create the zone and the account of the VM. Return a session of the owner."""
    session = local.session()
    body = {"name": "example", "dnsName": f"{NAME}.", "description": ""}
    session.call("POST", ZONE.rpartition("/")[0], json=body)
    # The custom role of the documentation. roles/dns.admin, the default, has more permissions.
    (permissions,) = re.findall(r"--permissions=(\S+)", (ROLES.parent / "docs" / "certificates.md").read_text())
    role = {"title": "ACME challenge", "includedPermissions": permissions.split(",")}
    made = session.call("POST", f"/iam/v1/projects/{OWNER}/roles", json={"roleId": "acmeChallenge", "role": role})
    assert made["name"] == ROLE
    local.account("mlflow-server")
    return session


@dataclass
class Vm:
    """A VM with the ACME client."""

    local: Local
    directory: AcmeDirectory
    folder: Path

    def run(self, *, killed: bool = False) -> subprocess.CompletedProcess[str]:
        """Run the service once."""
        self.folder.mkdir(exist_ok=True)
        config = {
            "project": "mlflow-local",
            "secret": "mlflow-certificate",
            "hostname": NAME,
            "directory": self.directory.url,
            "terms_agreed": True,
            "email": "",
            "profile": "",
            "challenge": "dns-01",
            "record": {"project": OWNER, "zone": "example", "name": RECORD},
            "ca_file": str(self.directory.ca_file),
            "interval_hours": 4,
            "jitter_minutes": 60,
        }
        account = {"key": KEY, "directory": self.directory.url, "eab_key_id": "", "eab_hmac_key": ""}
        (self.folder / "config.json").write_text(json.dumps(config))
        (self.folder / "account").write_text(json.dumps(account))
        token = self.local.cloud.auth.issue_access_token(ACCOUNT, [PLATFORM]).token
        packages = sysconfig.get_paths()["purelib"]
        given = {
            "packages": packages,
            "token": token,
            "url": self.local.url,
            "port": self.directory.names_port,
            "killed": killed,
        }
        folders = {name: str(self.folder) for name in ("RUNTIME_DIRECTORY", "STATE_DIRECTORY", "CREDENTIALS_DIRECTORY")}
        path = f"{ROLES / 'acme' / 'files'}:{ROLES / 'credentials' / 'files'}"
        return subprocess.run(
            ["/usr/bin/python3", "-c", DRIVER],
            input=json.dumps(given | {"config": str(self.folder / "config.json")}),
            env=os.environ | folders | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
        )


@pytest.fixture
def vm(local: Local, directory: AcmeDirectory, owner: Session, tmp_path: Path) -> Iterator[Vm]:
    """Yield a VM that may change the TXT record, which has a value of another client. No certificate is stored."""
    parent, _, name = SECRET.rpartition("/")
    owner.call("POST", f"{parent}?secretId={name}", json={"replication": {"automatic": {}}})
    roles = ("roles/secretmanager.secretAccessor", "roles/secretmanager.secretVersionAdder")
    bindings = [{"role": role, "members": [f"serviceAccount:{ACCOUNT}"]} for role in roles]
    owner.call("POST", f"{SECRET}:setIamPolicy", json={"policy": {"bindings": bindings}})
    types = "resource.type == 'dns.googleapis.com/ResourceRecordSet'"
    expression = f"({types} && resource.name.endsWith('/rrsets/{RECORD}/TXT')) || {types.replace('==', '!=')}"
    grant(owner, {"title": "one", "expression": expression})
    owner.call("POST", f"{ZONE}/rrsets", json=FOREIGN)
    yield Vm(local, directory, tmp_path / "vm")
    owner.call("DELETE", TXT)
    owner.call("DELETE", SECRET)


def grant(owner: Session, *conditions: dict[str, str]) -> None:
    """Let the VM change the zone under each of the conditions."""
    member = f"serviceAccount:{ACCOUNT}"
    bindings = [{"role": ROLE, "members": [member], "condition": each} for each in conditions]
    owner.call("POST", f"{ZONE}:setIamPolicy", json={"policy": {"version": 3, "bindings": bindings}})


def stored(owner: Session) -> str:
    """Return the certificate in Secret Manager."""
    data: Any = owner.call("GET", f"{SECRET}/versions/latest:access")["payload"]["data"]
    return base64.b64decode(data).decode()


def orders(directory: AcmeDirectory) -> int:
    return directory.log.count("Issued certificate")


def test_a_certificate_without_port_80(vm: Vm, owner: Session) -> None:
    done = vm.run()
    assert done.returncode == 0, done.stderr
    pem = stored(owner)
    found = x509.load_pem_x509_certificate(pem[pem.index("-----BEGIN CERT") :].encode())
    assert "Pebble Intermediate CA" in found.issuer.rfc4514_string()
    assert (vm.folder / "certificate.pem").read_text() == pem
    assert owner.call("GET", TXT)["rrdatas"] == FOREIGN["rrdatas"]
    changes = owner.call("GET", f"{ZONE}/changes")["changes"][-2:]
    assert [len(change["additions"][0]["rrdatas"]) for change in changes] == [2, 1]

    # A new VM serves the stored certificate.
    before = orders(vm.directory)
    assert before > 0
    new = Vm(vm.local, vm.directory, vm.folder.with_name("new"))
    assert new.run().returncode == 0
    assert (new.folder / "certificate.pem").read_text() == pem
    assert orders(vm.directory) == before


def test_the_value_of_a_killed_run_is_removed_by_the_next_run(vm: Vm, owner: Session) -> None:
    assert vm.run(killed=True).returncode == -signal.SIGKILL
    assert len(owner.call("GET", TXT)["rrdatas"]) == 2
    done = vm.run()
    assert done.returncode == 0, done.stderr
    assert owner.call("GET", TXT)["rrdatas"] == FOREIGN["rrdatas"]


def test_a_vm_without_the_permission_names_the_remedy(vm: Vm, owner: Session) -> None:
    grant(owner)
    before = orders(vm.directory)
    done = vm.run()
    assert done.returncode == 1
    assert f"managed zone example of project {OWNER}: HTTP 403: Forbidden. The server keeps" in done.stderr
    assert "Run site.yml, which grants the VM the permission on the record." in done.stderr
    assert orders(vm.directory) == before
