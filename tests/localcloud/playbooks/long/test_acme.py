# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The source of the certificate changes between the own CA and an ACME directory, whose certificates the VM stores."""

from __future__ import annotations

import base64
import json
import pathlib
from datetime import UTC, datetime, timedelta
from typing import Any

import trustme
from cryptography import x509

from tests.localcloud.harness import Local, Session
from tests.localcloud.playbooks.playbook import Playbook
from tests.localcloud.playbooks.test_dns import OWNER, Run, deployment, extra, run, zone

__all__ = ["deployment", "run", "zone"]  # fixtures

SECRET = "/secretmanager/v1/projects/mlflow-local/secrets/mlflow-certificate"
NAME = "mlflow.example.test"
ADDER = "roles/secretmanager.secretVersionAdder"
VM = "serviceAccount:mlflow-server@mlflow-local.iam.gserviceaccount.com"
OWN = {"deployment_hostname": NAME}
ACME = OWN | {
    "certificates_source": "acme",
    "certificates_acme_terms_agreed": True,
    "certificates_acme_eab_key_id": "kid-1",
    "certificates_acme_eab_hmac_key": "aGlkZGVuLWtleQ",
}


def stored(local: Local) -> str:
    answer = local.session().call("GET", f"{SECRET}/versions/latest:access")
    return base64.b64decode(answer["payload"]["data"]).decode()


def issuer(pem: str) -> str:
    return x509.load_pem_x509_certificate(pem[pem.index("-----BEGIN CERT") :].encode()).issuer.rfc4514_string()


def adders(local: Local) -> list[str]:
    """Return the principals that may add versions to the certificate."""
    bindings = local.session().call("GET", f"{SECRET}:getIamPolicy").get("bindings", [])
    return [member for each in bindings if each["role"] == ADDER for member in each["members"]]


def ordered() -> str:
    """Return a certificate as the VM stores it."""
    now = datetime.now(UTC)
    issued = trustme.CA().issue_cert(NAME, not_before=now, not_after=now + timedelta(days=6))
    pair = issued.private_key_pem.bytes() + issued.cert_chain_pems[0].bytes()
    return f"Directory: https://acme.example.com/dir\nProfile: \n{pair.decode()}"


def test_the_source_changes_to_an_acme_directory_and_back(
    empty: Local, playbook: Playbook, tmp_path: pathlib.Path
) -> None:
    with_acme, with_own = ("--extra-vars", json.dumps(ACME)), ("--extra-vars", json.dumps(OWN))
    assert playbook.to_the_end(*with_acme, "--check") > 0
    assert playbook.to_the_end(*with_acme) > 0
    assert ACME["certificates_acme_eab_hmac_key"] not in playbook.output
    # Before the first order the server has a certificate of the own CA.
    assert "MLflow CA" in issuer(stored(empty))
    assert adders(empty) == [VM]
    assert (playbook.state / "mlflow-local-mlflow" / "ca.pem").read_text().count("BEGIN CERTIFICATE") > 50
    assert playbook.to_the_end(*with_acme) == 0

    pem = ordered()
    data = base64.b64encode(pem.encode()).decode()
    empty.session().call("POST", f"{SECRET}:addVersion", json={"payload": {"data": data}})
    assert playbook.to_the_end(*with_acme) == 0
    assert stored(empty) == pem

    # Binding, CA file and certificate.
    assert playbook.to_the_end(*with_own, "--diff") == 3, playbook.output[-5000:]
    assert adders(empty) == []
    assert "MLflow CA" in issuer(stored(empty))
    assert playbook.to_the_end(*with_own) == 0


def bindings(session: Session) -> list[tuple[str, list[str], str]]:
    """Return role, principals and condition of each binding on the managed zone."""
    path = f"/dns/v1/projects/{OWNER}/managedZones/example-test:getIamPolicy"
    policy = session.call("POST", path, json={"options": {"requestedPolicyVersion": 3}})
    return [(each["role"], each["members"], each["condition"]["expression"]) for each in policy.get("bindings", [])]


def test_the_vm_may_change_one_record_with_a_dns_challenge(
    empty: Local, zone: Session, run: Run, deployment: tuple[str, list[dict[str, Any]]]
) -> None:
    """The zone is in another project. The permission ends with the challenge, and with the deployment."""
    empty.enable("iam")
    empty.account("mlflow-server")
    _address, described = deployment

    def changed(*arguments: str, tasks_from: str = "challenge_permission", challenge: str = "dns-01") -> int:
        include = {"name": "mlops.mlflow_gcp.certificates", "tasks_from": tasks_from}
        tasks = [*described, {"ansible.builtin.include_role": include}]
        return run(tasks, *extra(**ACME | {"certificates_acme_challenge": challenge}), *arguments)[0]

    # The binding and the stored record.
    assert changed("--check", "--diff") == 2
    assert bindings(zone) == []
    assert changed() == 2
    ((role, members, condition),) = bindings(zone)
    assert (role, members) == ("roles/dns.admin", [VM])
    assert "endsWith('/rrsets/_acme-challenge.mlflow.example.test./TXT')" in condition
    assert changed() == 0

    assert changed("--check", challenge="http-01") == 2
    assert len(bindings(zone)) == 1
    assert changed("--diff", challenge="http-01") == 2
    assert bindings(zone) == []
    assert changed() == 2
    assert changed(tasks_from="revoke") == 2
    assert bindings(zone) == []


def test_provision_and_destroy_with_a_dns_challenge(zone: Session, playbook: Playbook) -> None:
    playbook.to_the_end(*extra(**ACME | {"certificates_acme_challenge": "dns-01"}))
    assert [role for role, _, _ in bindings(zone)] == ["roles/dns.admin"]
    data = {"infrastructure_destroy_confirm": "mlflow-local/mlflow", "infrastructure_destroy_data": True}
    playbook.to_the_end(*extra(**data), playbook="destroy")
    assert bindings(zone) == []
