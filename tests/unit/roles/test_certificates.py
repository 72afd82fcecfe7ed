# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The CA of the deployment and its certificates, with a fake Secret Manager."""

from __future__ import annotations

import json
import re
import ssl
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from tests.strict_tls import certificates, handshake
from tests.unit.roles.evaluated import described, load
from tests.unit.roles.noting import collection, note, play

HOSTNAME = ".".join(["MLflow", "a" * 60, "b" * 60, "c" * 60, "eu.test"])


class Issuer:
    """The tasks that issue the server's certificate, and the secrets that they store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        collection(folder, "certificates")
        note(folder, ["gcp_secret", "gcp_iam_member"])
        (folder / "state").mkdir()

    def __call__(self, stored: dict[str, str], **settings: str) -> dict[str, str]:
        """Run the tasks with these existing secrets; return the stored secrets."""
        answers = [({"module": "gcp_secret", "name": name}, {"payload": stored[name]}) for name in stored]
        settings |= {
            "deployment_state_directory": str(self.folder / "state"),
            "certificates_address": "192.0.2.7",
        }
        role = {"name": "mlops.mlflow_gcp.certificates"}
        nothing: tuple[dict[str, str], dict[str, Any]] = ({"module": "gcp_secret"}, {"payload": None})
        done = play(self.folder, "localhost", role, [*answers, nothing], settings, check=False)
        assert done.returncode == 0
        asked = [json.loads(line) for line in (self.folder / "asked.jsonl").read_text().splitlines()]
        adders = [call["resource"] for call in asked if call["module"] == "gcp_iam_member"]
        assert adders == (["mlflow-certificate"] if settings.get("certificates_source") == "acme" else [])
        return {call["name"]: call["payload"] for call in asked if "payload" in call}


def test_a_certificate_for_any_name_and_once(tmp_path: Path) -> None:
    """A common name has at most 64 characters. Hostnames and project names may be longer."""
    issuer = Issuer(tmp_path)
    settings = {
        "deployment_project": "example.com:my-project-with-a-very-long-id",
        "deployment_name": "a-name-of-20-letters",
        "infrastructure_bucket": "artifacts-bucket",
        "infrastructure_backups_bucket": "backups-bucket",
        "deployment_hostname": HOSTNAME,
    }
    stored = issuer({}, **settings)
    assert set(stored) == {"a-name-of-20-letters-ca", "a-name-of-20-letters-certificate"}
    server, authority = x509.load_pem_x509_certificates(stored["a-name-of-20-letters-certificate"].encode())
    server.verify_directly_issued_by(authority)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [HOSTNAME]
    assert server.subject.rfc4514_string()  # strict clients refuse an empty subject
    assert issuer(stored, **settings) == {}


NAMED = {"deployment_project": "my-project", "deployment_name": "mlflow"}


@pytest.mark.parametrize("hostname", ["", "mlflow.example.com"])
def test_strict_clients_accept_an_issued_certificate(tmp_path: Path, hostname: str) -> None:
    stored = Issuer(tmp_path)({}, deployment_hostname=hostname, **NAMED)
    pair = stored["mlflow-certificate"]
    handshake(certificates(pair), pair, (tmp_path / "state" / "ca.pem").read_text(), hostname or "192.0.2.7")


def test_a_certificate_that_strict_clients_refuse_is_renewed(tmp_path: Path) -> None:
    """The certificate was kept until it expired, although clients with Python 3.13 refused it."""
    issuer = Issuer(tmp_path)
    stored = issuer({}, deployment_hostname="mlflow.example.com", **NAMED)
    old = without_identifier(stored["mlflow-certificate"], stored["mlflow-ca"])
    with pytest.raises(ssl.SSLCertVerificationError, match="Missing Authority Key Identifier"):
        handshake(certificates(old), old, certificates(stored["mlflow-ca"]), "mlflow.example.com")
    renewed = issuer(stored | {"mlflow-certificate": old}, deployment_hostname="mlflow.example.com", **NAMED)
    assert set(renewed) == {"mlflow-certificate"}
    pair = renewed["mlflow-certificate"]
    handshake(certificates(pair), pair, certificates(stored["mlflow-ca"]), "mlflow.example.com")


def without_identifier(pair: str, authority: str) -> str:
    """Sign the certificate again without the extension that identifies the issuer's key."""
    key = serialization.load_pem_private_key(authority.encode(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    server, *rest = x509.load_pem_x509_certificates(pair.encode())
    made = x509.CertificateBuilder(server.issuer, server.subject, server.public_key(), server.serial_number)
    made = made.not_valid_before(server.not_valid_before_utc).not_valid_after(server.not_valid_after_utc)
    for extension in server.extensions:
        if not isinstance(extension.value, x509.AuthorityKeyIdentifier):
            made = made.add_extension(extension.value, extension.critical)
    chain = [made.sign(key, SHA256()), *rest]
    pem = "".join(each.public_bytes(serialization.Encoding.PEM).decode() for each in chain)
    return pair[: pair.index("-----BEGIN CERTIFICATE-----")] + pem


ACME = {
    "certificates_source": "acme",
    "certificates_acme_terms_agreed": "true",
    "deployment_hostname": "mlflow.example.com",
}


def test_an_acme_directory_replaces_a_certificate_of_the_own_ca(tmp_path: Path) -> None:
    """Until the first order succeeds, the server has a certificate of the own CA. Clients trust both."""
    issuer = Issuer(tmp_path)
    binding = {"certificates_acme_eab_key_id": "kid-1", "certificates_acme_eab_hmac_key": "a2V5"}
    stored = issuer({}, **ACME, **binding, **NAMED)
    assert set(stored) == {"mlflow-ca", "mlflow-certificate", "mlflow-acme-account"}
    account = json.loads(stored["mlflow-acme-account"])
    assert account["key"].startswith("-----BEGIN RSA PRIVATE KEY-----")
    assert (account["eab_key_id"], account["eab_hmac_key"]) == ("kid-1", "a2V5")
    trusted = (tmp_path / "state" / "ca.pem").read_text()
    pair = stored["mlflow-certificate"]
    handshake(certificates(pair), pair, trusted, "mlflow.example.com")
    assert trusted.count("BEGIN CERTIFICATE") > 50

    # The stored binding stays without the variables. The module compares the payload.
    assert json.loads(issuer(stored, **ACME, **NAMED)["mlflow-acme-account"]) == account


def test_a_certificate_of_an_acme_directory_is_kept_and_the_own_ca_replaces_it(tmp_path: Path) -> None:
    issuer = Issuer(tmp_path)
    stored = issuer({}, deployment_hostname="mlflow.example.com", **NAMED)
    (tmp_path / "other").mkdir()
    other = Issuer(tmp_path / "other")({}, deployment_hostname="mlflow.example.com", **NAMED)
    foreign = stored | {"mlflow-certificate": f"Directory: x\nProfile: \n{other['mlflow-certificate']}"}
    assert set(issuer(foreign, **ACME, **NAMED)) == {"mlflow-acme-account"}
    assert set(issuer(foreign, deployment_hostname="mlflow.example.com", **NAMED)) == {"mlflow-certificate"}


@pytest.mark.parametrize("hostname", ["mlflow.example.com", "192.0.2.7"])
def test_strict_clients_accept_a_certificate_made_on_the_vm(tmp_path: Path, hostname: str) -> None:
    """If nginx_certificate_source is `generated`, the VM makes it. A certificate without the identifier is replaced."""
    tasks = collection(tmp_path, "nginx") / "nginx" / "tasks" / "certificate_generated.yml"
    # These tests may run without root.
    tasks.write_text(re.sub(r" +(owner|group): root\n| +notify: .*\n", "", tasks.read_text()))
    note(tmp_path, [])
    tls = tmp_path / "tls"
    settings: dict[str, Any] = {
        "deployment_project": "my-project",
        "nginx_certificate_source": "generated",
        "nginx_hostnames": [hostname],
        "__nginx_tls": str(tls),
        "__nginx_certificate": str(tls / "server.crt"),
        "__nginx_certificate_key": str(tls / "server.key"),
        "__nginx_packages": {"stdout_lines": ["python3-cryptography installed"]},
        "__nginx_present": {"stdout_lines": []},
    }
    role = {"name": "mlops.mlflow_gcp.nginx", "tasks_from": "certificate_generated"}
    assert play(tmp_path, "localhost", role, [], settings, check=False).returncode == 0
    server, key, authority = (tls / name for name in ("server.crt", "server.key", "ca.crt"))
    handshake(server.read_text(), key.read_text(), authority.read_text(), hostname)

    if hostname == "192.0.2.7":
        return
    server.write_text(without_identifier(server.read_text(), (tls / "ca.key").read_text()))
    settings["__nginx_present"]["stdout_lines"] = [str(each) for each in (server, key, authority)]
    assert play(tmp_path, "localhost", role, [], settings, check=False).returncode == 0
    handshake(server.read_text(), key.read_text(), authority.read_text(), hostname)


DNS = ACME | {"certificates_acme_challenge": "dns-01", "dns_managed_zone": "example-com", "dns_project": "dns-owner"}
RECORD = {"project": "dns-owner", "zone": "example-com", "name": "_acme-challenge.mlflow.example.com."}
GRANTED = RECORD | {"role": "roles/dns.admin"}
FORMER = GRANTED | {"zone": "example-old"}
CUSTOM = "projects/dns-owner/roles/acmeChallenge"


def challenge(settings: dict[str, str], recorded: dict[str, str]) -> list[bool]:
    """Return whether the tasks about the record of the challenge run, and which of them: revoke, store, grant."""
    fact = described(**settings)
    fact["state"]["records"] = {"challenge": recorded} if recorded else {}
    variables = load("defaults/main.yml", "certificates") | load("vars/main.yml", "certificates") | settings
    variables["mlflow_deployment"] = fact
    tasks = load("tasks/main.yml", "certificates")[0]["block"]
    (included,) = (each for each in tasks if each.get("ansible.builtin.include_tasks") == "challenge_permission.yml")
    conditions = [task["when"] for task in (included, *load("tasks/challenge_permission.yml", "certificates"))]
    return [Templar(DataLoader(), variables=variables).evaluate_conditional(each) for each in conditions]


@pytest.mark.parametrize(
    ("settings", "recorded", "expected"),
    [
        (DNS, {}, [True, False, True, True]),
        (DNS, GRANTED, [True, False, False, True]),
        (DNS, FORMER, [True, True, True, True]),
        (DNS | {"certificates_acme_dns_role": CUSTOM}, GRANTED, [True, True, True, True]),
        (ACME, GRANTED, [True, True, False, False]),
        ({}, GRANTED, [True, True, False, False]),
    ],
    ids=["new", "again", "other zone", "other role", "to http", "to the own ca"],
)
def test_the_permission_on_the_record_of_a_challenge(
    settings: dict[str, str], recorded: dict[str, str], expected: list[bool]
) -> None:
    assert challenge(settings, recorded) == expected


@pytest.mark.parametrize("settings", [{}, ACME])
def test_other_deployments_read_no_policy_of_a_zone(settings: dict[str, str]) -> None:
    assert not challenge(settings, {})[0]


@pytest.mark.parametrize("refused", [False, True])
def test_a_permission_on_another_record_is_revoked_first(tmp_path: Path, refused: bool) -> None:
    """A permission that cannot be revoked is reported."""
    collection(tmp_path, "certificates")
    note(tmp_path, ["gcp_iam_member", "gcp_bucket_object", "mlflow_lock", "mlflow_state_info"])
    forbidden = ({"module": "gcp_iam_member", "state": "absent"}, {"failed": True, "msg": "Forbidden"})
    role = {"name": "mlops.mlflow_gcp.certificates", "tasks_from": "challenge_permission"}
    answers = [forbidden] * refused
    settings = DNS | NAMED | {"certificates_acme_dns_role": CUSTOM}
    done = play(tmp_path, "localhost", role, answers, settings, check=False, records={"challenge": FORMER})
    assert done.returncode == 0
    assert ("WARNING: the permission of the VM on the record" in done.stdout) == refused
    asked = [json.loads(line) for line in (tmp_path / "asked.jsonl").read_text().splitlines()]
    calls = [call for call in asked if call["module"] in ("gcp_iam_member", "gcp_bucket_object")]
    revoked, *forgotten, stored, granted = calls
    assert [call["state"] for call in forgotten] == ["absent"] * (not refused)
    assert {call["name"] for call in (*forgotten, stored)} == {"deployments/my-project/mlflow/challenge.json"}
    assert json.loads(stored["content"]) == RECORD | {"role": CUSTOM}
    assert (revoked["state"], revoked["resource"], granted["resource"]) == ("absent", "example-old", "example-com")
    assert (revoked["role"], granted["role"]) == ("roles/dns.admin", CUSTOM)
    for call in (revoked, granted):
        assert (call["scope"], call["project"]) == ("managed_zone", "dns-owner")
        assert call["member"] == "serviceAccount:mlflow-server@my-project.iam.gserviceaccount.com"
        names = re.findall(r"endsWith\('/rrsets/(\S+)/TXT'\)", call["condition"]["expression"])
        assert names == ["_acme-challenge.mlflow.example.com."]
