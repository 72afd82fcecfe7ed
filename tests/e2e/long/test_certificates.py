# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Renewals on a VM with the ACME directory of the local cloud: under load, killed and failed, then other sources.

Each of the first tests lets the server serve a certificate that is due. The last test needs a certificate of the
directory.
"""

from __future__ import annotations

import base64
import json
import re
import ssl
import subprocess
import sys
import time
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from cryptography import x509
from requests.utils import DEFAULT_CA_BUNDLE_PATH

from tests.e2e.deployment import REPO, Deployment
from tests.e2e.test_doctor import SLOW
from tests.support.background import Target, background
from tests.support.connections import Connections
from tests.support.tunnel import tunnel

DIRECTORY = "https://169.254.169.254:14000/dir"
# A second CA of the directory. It has signed the certificates that are due.
FORMER = trustme.CA()
COMPANY = trustme.CA()
PENDING = "/var/lib/mlflow-acme/pending.pem"
START = "sudo systemctl start mlflow-acme"
TIMER = "systemctl show mlflow-acme.timer --property NextElapseUSecMonotonic --property Triggers"
BEGIN = "-----BEGIN CERTIFICATE-----"
ADDER = "roles/secretmanager.secretVersionAdder"


def hostname(site: Deployment) -> str:
    return str(site.settings["deployment_hostname"])


def serial(pem: str) -> int:
    """Return the serial number of the first certificate."""
    return x509.load_pem_x509_certificate(pem[pem.index(BEGIN) :].encode()).serial_number


def certificates_of_directory(site: Deployment) -> str:
    """Return the CA certificates of the directory: of its TLS certificate, and of the certificates that it signs."""
    command = [sys.executable, "-m", "localcloud", "acme"]
    return subprocess.run(command, cwd=REPO, env=site.environment, check=True, stdout=subprocess.PIPE, text=True).stdout


@pytest.fixture(scope="module")
def site(local_cloud: None) -> Iterator[Deployment]:
    """Yield a deployment whose certificate is from the ACME directory."""
    made = deployed()
    yield made
    confirm = f"infrastructure_destroy_confirm={made.project}/mlflow"
    made.playbook("playbooks/destroy.yml", "-e", confirm, "-e", "infrastructure_destroy_data=true", log="destroy")
    made.call("DELETE", "dns", f"projects/{made.project}/managedZones/test")


def deployed() -> Deployment:
    """Deploy in a new project with a DNS zone."""
    project = f"mlflow-e2e-{uuid.uuid4().hex[:8]}"
    made = Deployment(project=project, artifacts=REPO / "artifacts" / "e2e" / project, settings={})
    made.create_project()
    made.call("POST", "serviceusage", f"v1/projects/{project}/services/dns.googleapis.com:enable")
    zone = {"name": "test", "dnsName": f"{project}.test.", "description": "Tests"}
    made.call("POST", "dns", f"projects/{project}/managedZones", data=json.dumps(zone))
    given = made.artifacts / "acme-ca.pem"
    given.write_text(certificates_of_directory(made) + FORMER.cert_pem.bytes().decode())
    # With `files`, the control node trusts its CA certificates.
    public = Path(made.environment.get("REQUESTS_CA_BUNDLE") or DEFAULT_CA_BUNDLE_PATH)
    bundle = made.artifacts / "control-node-ca.pem"
    bundle.write_text(public.read_text() + COMPANY.cert_pem.bytes().decode())
    made.environment["REQUESTS_CA_BUNDLE"] = str(bundle)
    made.settings |= {
        "deployment_hostname": f"mlflow.{project}.test",
        "dns_managed_zone": "test",
        "infrastructure_subnetwork_range": "10.171.0.0/20",
        "infrastructure_database_deletion_protection": False,
        "certificates_source": "acme",
        "certificates_acme_directory": DIRECTORY,
        "certificates_acme_terms_agreed": True,
        "certificates_acme_ca_file": str(given),
    }
    made.playbook("site.yml", log="site")
    return made


@pytest.fixture
def clients(site: Deployment) -> Connections:
    """Return clients that trust every certificate of this file."""
    return connections(site)


def connections(site: Deployment) -> Connections:
    trusted = site.ca.read_text() + COMPANY.cert_pem.bytes().decode()
    return Connections((site.address, 443), hostname(site), trusted)


def served(clients: Connections) -> x509.Certificate:
    """Return the certificate that the server shows to a new client."""
    found = clients.ask()
    assert found, clients.failures
    return found


def wait_until_served(clients: Connections, number: int) -> None:
    """Wait until new clients get a certificate. nginx reloads in the background."""
    deadline = time.monotonic() + 30
    while served(clients).serial_number != number:
        assert time.monotonic() < deadline, f"the server does not show {number}"
        time.sleep(0.1)


def installed(site: Deployment) -> int:
    """Return the serial number of the certificate that nginx loads."""
    return serial(site.ssh(f"sudo sed -n '/{BEGIN}/,$p' /run/credstore/nginx.certificate"))


def issued(site: Deployment) -> set[int]:
    """Return the serial numbers of all certificates of the host name, from the log of the directory."""
    home = Path(site.environment["MLFLOW_LOCALCLOUD_HOME"])
    context = ssl.create_default_context(cafile=str(home / "ca" / "ca.crt"))
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    serials = set()
    for found in re.findall(r"Issued certificate serial (\w+)", (home / "acme" / "pebble.log").read_text()):
        # Other deployments may use the directory.
        with opener.open(f"https://127.0.0.1:8715/cert-status-by-serial/{found}", timeout=10) as answer:
            certificate = x509.load_pem_x509_certificate(json.load(answer)["Certificate"].encode())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if hostname(site) in names.get_values_for_type(x509.DNSName):
            serials.add(certificate.serial_number)
    return serials


def serve_due_certificate(site: Deployment, clients: Connections) -> int:
    """Let the server serve a certificate of 90 days with 10 days left; return its serial number."""
    begin = datetime.now(UTC) - timedelta(days=80)
    made = FORMER.issue_cert(hostname(site), not_before=begin, not_after=begin + timedelta(days=90))
    pair = (made.private_key_pem.bytes() + made.cert_chain_pems[0].bytes()).decode()
    pem = f"Directory: {DIRECTORY}\nProfile: \n{pair}"
    data = base64.b64encode(pem.encode()).decode()
    secret = f"v1/projects/{site.project}/secrets/mlflow-certificate"
    site.call("POST", "secretmanager", f"{secret}:addVersion", data=json.dumps({"payload": {"data": data}}))
    # As at the boot of the VM. Only the test starts the renewal.
    site.ssh("sudo systemctl stop mlflow-acme.timer")
    site.ssh("sudo systemctl restart mlflow-credentials && sudo systemctl reload nginx")
    wait_until_served(clients, serial(pem))
    return serial(pem)


def renew(site: Deployment, clients: Connections) -> int:
    """Renew the certificate; wait until the server shows the new one and return its serial number."""
    site.ssh(START)
    new = installed(site)
    wait_until_served(clients, new)
    return new


def assert_kept(site: Deployment, clients: Connections, number: int) -> None:
    """Assert that the server keeps a certificate."""
    assert (installed(site), served(clients).serial_number) == (number, number)


def kill_when(site: Deployment, condition: str) -> None:
    """Start a renewal. Kill its process when the condition holds on the VM."""
    site.ssh(
        "sudo systemctl start --no-block mlflow-acme"
        f" && timeout 60 sudo sh -c 'until {condition}; do sleep 0.1; done'"
        " && sudo systemctl kill --kill-whom=main --signal=KILL mlflow-acme"
        " && timeout 60 sh -c 'while systemctl is-active mlflow-acme | grep -q activating; do sleep 0.1; done'"
    )
    assert site.ssh("systemctl show --property Result --value mlflow-acme").strip() == "signal"


def journal(site: Deployment) -> str:
    """Return the last message of the ACME client."""
    return site.ssh("sudo journalctl _SYSTEMD_UNIT=mlflow-acme.service --lines 1 --output cat").strip()


@contextmanager
def port_80_closed(site: Deployment) -> Iterator[None]:
    """Deny connections to port 80 with a firewall rule."""
    rules = f"projects/{site.project}/global/firewalls"
    rule = {
        "name": "deny-http",
        "network": f"projects/{site.project}/global/networks/mlflow-network",
        "direction": "INGRESS",
        "priority": 100,
        "denied": [{"IPProtocol": "tcp", "ports": ["80"]}],
        "sourceRanges": ["0.0.0.0/0"],
    }
    finish(site, site.call("POST", "compute", rules, data=json.dumps(rule)))
    try:
        yield
    finally:
        finish(site, site.call("DELETE", "compute", f"{rules}/deny-http"))


def finish(site: Deployment, operation: dict[str, Any]) -> None:
    """Wait for an operation of Compute Engine."""
    wait = f"projects/{site.project}/global/operations/{operation['name']}/wait"
    assert site.call("POST", "compute", wait)["status"] == "DONE"


@contextmanager
def directory_away(site: Deployment) -> Iterator[None]:
    """Let the VM refuse its own connections to the directory."""
    rule = "to 169.254.169.254 ipproto tcp dport 14000 prohibit"
    site.ssh(f"sudo ip rule add {rule}")
    try:
        yield
    finally:
        site.ssh(f"sudo ip rule delete {rule}")


@contextmanager
def storage_refused(site: Deployment) -> Iterator[None]:
    """Remove the permission of the VM to store the certificate."""
    secret = f"v1/projects/{site.project}/secrets/mlflow-certificate"
    policy = site.call("GET", "secretmanager", f"{secret}:getIamPolicy")
    without = policy | {"bindings": [each for each in policy["bindings"] if each["role"] != ADDER]}
    assert without != policy
    del policy["etag"]
    site.call("POST", "secretmanager", f"{secret}:setIamPolicy", data=json.dumps({"policy": without}))
    try:
        yield
    finally:
        site.call("POST", "secretmanager", f"{secret}:setIamPolicy", data=json.dumps({"policy": policy}))


def test_a_reload_of_systemd_keeps_the_time_of_the_next_renewal(site: Deployment) -> None:
    """site.yml reloads systemd. The service must not start while site.yml sets up another source."""
    before = site.ssh(TIMER)
    assert "mlflow-acme.service" in before
    site.ssh("sudo systemctl daemon-reload")
    assert site.ssh(TIMER) == before


def test_a_renewal_under_load(site: Deployment, clients: Connections) -> None:
    """New connections, and a kept connection."""
    old, before = serve_due_certificate(site, clients), issued(site)
    trusted = site.artifacts / "trusted.pem"
    trusted.write_text(clients.trusted)
    url = f"https://{hostname(site)}"
    with tunnel(lambda _name: clients.address) as proxy, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTTPS_PROXY", proxy)
        with background("probe", Target(url, trusted, site.admin[1]), 300) as probe, clients.repeated():
            new = renew(site, clients)
            time.sleep(2)
            report = probe.report()
    assert clients.failures == []
    assert (report["failed"], report["requests"] > 20) == (0, True), report
    assert issued(site) - before == {new}
    seen = [found.serial_number for found in clients.certificates]
    assert seen.count(old) > 20
    assert seen[-1] == new
    # The certificate is not due now.
    assert renew(site, clients) == new
    assert issued(site) - before == {new}


def test_a_renewal_is_killed_before_its_order_is_finalised(site: Deployment, clients: Connections) -> None:
    old, before = serve_due_certificate(site, clients), issued(site)
    # The directory waits for an answer to the challenge.
    with port_80_closed(site):
        kill_when(site, "ls /run/mlflow-acme/challenges/?*")
    assert_kept(site, clients, old)
    assert issued(site) == before
    new = renew(site, clients)
    assert issued(site) - before == {new}
    assert site.ssh("ls /run/mlflow-acme/challenges 2>/dev/null", check=False) == ""


def test_a_renewal_is_killed_before_its_certificate_is_stored(site: Deployment, clients: Connections) -> None:
    """The next run stores and installs the certificate of the killed run, without a new order."""
    old, before = serve_due_certificate(site, clients), issued(site)
    with storage_refused(site):
        kill_when(site, f"test -e {PENDING}")
        pending = serial(site.ssh(f"sudo sed -n '/{BEGIN}/,$p' {PENDING}"))
    assert_kept(site, clients, old)
    assert issued(site) - before == {pending}
    assert renew(site, clients) == pending
    assert issued(site) - before == {pending}
    assert serial(site.secret("mlflow-certificate")) == pending
    assert site.ssh(f"sudo ls {PENDING}", check=False) == ""


def test_failed_orders_keep_the_certificate(site: Deployment, clients: Connections) -> None:
    old, before = serve_due_certificate(site, clients), issued(site)
    for failure, cause, remedy in [
        (directory_away, "unreachable: ", "Let the VM connect to the directory"),
        (port_80_closed, "connection: ", "Open port 80 to the certificate authority"),
    ]:
        with failure(site):
            site.ssh(START, check=False)
            assert_kept(site, clients, old)
            message = journal(site)
        assert f"Cannot get a certificate for {hostname(site)} from {DIRECTORY}: {cause}" in message
        assert "The server keeps its certificate, which is valid until 20" in message
        assert "The next attempt starts by 20" in message
        assert remedy in message
    assert issued(site) == before
    results = site.doctor(*SLOW)
    assert (results["certificate"]["state"], results["units"]["state"]) == ("warn", "warn"), results
    assert results["certificate"]["value"].startswith("trusted, 9 days left")
    assert "journalctl -u mlflow-acme" in results["certificate"]["remedy"]
    assert "mlflow-acme.service" in results["units"]["value"]
    new = renew(site, clients)
    assert issued(site) - before == {new}
    assert site.ssh("systemctl is-failed mlflow-acme", check=False).strip() == "inactive"


def test_the_source_changes_under_load(site: Deployment, clients: Connections) -> None:
    """From the directory to a file, to the own CA and back to the directory."""
    pair = COMPANY.issue_cert(hostname(site))
    key, chain = site.artifacts / "company.key", site.artifacts / "company.pem"
    pair.private_key_pem.write_to_path(str(key))
    pair.cert_chain_pems[0].write_to_path(str(chain))
    files = {"certificates_file": str(chain), "certificates_key_file": str(key)}
    before = issued(site)
    issuers = [served(clients).issuer.rfc4514_string()]
    with clients.repeated(pause=0.2):
        for source, given in [("files", files), ("ca", {}), ("acme", {})]:
            site.settings |= {
                "certificates_source": source,
                "certificates_file": "",
                "certificates_key_file": "",
            } | given
            site.playbook("site.yml", log=f"site-{source}")
            wait_until_served(clients, installed(site))
            issuers.append(served(clients).issuer.rfc4514_string())
    assert clients.failures == []
    company = x509.load_pem_x509_certificate(COMPANY.cert_pem.bytes()).subject.rfc4514_string()
    assert issuers[1] == company
    assert "MLflow CA of" in issuers[2]
    assert "Pebble Intermediate CA" in issuers[0]
    assert "Pebble Intermediate CA" in issuers[3]
    assert len(issued(site) - before) == 1
