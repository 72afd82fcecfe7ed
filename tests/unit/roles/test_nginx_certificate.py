# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The role nginx refuses certificate files that nginx cannot load or that no client accepts."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from tests.strict_tls import extended, handshake
from tests.unit.roles.evaluated import evaluated
from tests.unit.roles.noting import PLAYBOOK, ROOT, collection, note, play

NOW = datetime.now(UTC)
DAY = timedelta(days=1)
KEY, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))


def certificate(name: str, key: ec.EllipticCurvePrivateKey, begin: datetime, end: datetime) -> x509.Certificate:
    """Return a certificate that the CA of these tests signed."""
    subject, issuer = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, each)]) for each in (name, "authority"))
    made = x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
    made = made.serial_number(x509.random_serial_number()).not_valid_before(begin).not_valid_after(end)
    return extended(made, key, OTHER, ca=name == "authority").sign(OTHER, SHA256())


def private(layout: PrivateFormat = PrivateFormat.PKCS8, encryption: KeySerializationEncryption | None = None) -> bytes:
    return KEY.private_bytes(Encoding.PEM, layout, encryption or NoEncryption())


PASSPHRASE = BestAvailableEncryption(b"correct-horse")
SERVER = certificate("server", KEY, NOW - DAY, NOW + DAY)
PEM = SERVER.public_bytes(Encoding.PEM)
# An expired CA certificate may stay in a chain, for old clients.
AUTHORITY = certificate("authority", OTHER, NOW - 2 * DAY, NOW - DAY).public_bytes(Encoding.PEM)
ENDED = certificate("server", KEY, NOW - 2 * DAY, NOW - DAY).public_bytes(Encoding.PEM)
LATER = certificate("server", KEY, NOW + DAY, NOW + 2 * DAY).public_bytes(Encoding.PEM)
FOREIGN = certificate("server", OTHER, NOW - DAY, NOW + DAY).public_bytes(Encoding.PEM)
# Chain, key and parts of the error message. Without parts the files are accepted.
CASES: dict[str, tuple[bytes, bytes, list[str]]] = {
    "good": (PEM + AUTHORITY, private(), []),
    "good, in the older form": (b"Bag Attributes\n" + PEM, private(PrivateFormat.TraditionalOpenSSL), []),
    "of another key": (
        FOREIGN + AUTHORITY,
        private(),
        [
            "nginx_certificate_key_file is '{key}'",
            "not the key of",
            "'{chain}' (nginx_certificate_file)",
            "Give a key and a certificate",
        ],
    ),
    "CA certificate first": (FOREIGN + PEM, private(), ["not the key of", "certificate of the server first"]),
    "passphrase": (
        PEM,
        private(encryption=PASSPHRASE),
        ["nginx_certificate_key_file is '{key}', which has a passphrase", "openssl pkey -in {key} -out"],
    ),
    "passphrase, in the older form": (
        PEM,
        private(PrivateFormat.TraditionalOpenSSL, PASSPHRASE),
        ["which has a passphrase"],
    ),
    "key in another form": (
        PEM,
        private(PrivateFormat.OpenSSH),
        ["nginx_certificate_key_file is '{key}', which is no private key in PEM form", "Give the key"],
    ),
    "no key": (PEM, PEM, ["no private key"]),
    "no certificate": (
        private(),
        private(),
        ["nginx_certificate_file is '{chain}', which is no chain", "it contains no certificate", "Give a file with"],
    ),
    "not in PEM form": (SERVER.public_bytes(Encoding.DER), private(), ["no chain of certificates in PEM form"]),
    "truncated": (PEM + AUTHORITY[:200], private(), ["number 2 cannot be read"]),
    "expired": (
        ENDED,
        private(),
        ["nginx_certificate_file is '{chain}'", f"to {NOW - DAY:%Y-%m-%d %H:%M:%S} UTC", "that is valid now"],
    ),
    "not yet valid": (LATER, private(), [f"valid only from {NOW + DAY:%Y-%m-%d %H:%M:%S}"]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("given")


@pytest.fixture(scope="module")
def output(folder: Path) -> dict[str, Any]:
    """Return the output of one run for all cases.

    No host can be reached, because the role reads the files on the control node.
    """
    hosts = {}
    for number, (chain, key, _) in enumerate(CASES.values()):
        paths = {"nginx_certificate_file": f"{number}.crt", "nginx_certificate_key_file": f"{number}.key"}
        for (name, file), content in zip(paths.items(), (chain, key), strict=True):
            (folder / file).write_bytes(content)
            paths[name] = str(folder / file)
        hosts[f"case-{number}"] = {"ansible_host": "192.0.2.1", "ansible_python_interpreter": "/nowhere", **paths}
    # An inventory may contain the control node, with a Python that has no library cryptography.
    localhost = {"ansible_connection": "local", "ansible_python_interpreter": "/nowhere"}
    inventory = {"cases": {"hosts": hosts}, "ungrouped": {"hosts": {"localhost": localhost}}}
    (folder / "hosts.json").write_text(json.dumps(inventory))
    given = {"certificate": "nginx_certificate_file", "key": "nginx_certificate_key_file"}
    role = {"name": "mlops.mlflow_gcp.nginx", "tasks_from": "validate_certificate"}
    checks = {"hosts": "cases", "gather_facts": False, "become": True}
    checks["tasks"] = [
        {"include_role": role, "vars": {f"nginx_validated_{part}": name for part, name in given.items()}}
    ]
    (folder / "play.yml").write_text(json.dumps([checks]))
    environment = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
    environment |= {
        "ANSIBLE_ANY_ERRORS_FATAL": "false",
        "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
        "ANSIBLE_HOME": str(folder / "home"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
    }
    command = [PLAYBOOK, "-vvv", "-i", "hosts.json", "play.yml"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    print(done.stdout[-10000:] + done.stderr)
    output: dict[str, Any] = json.loads(done.stdout[done.stdout.index("\n{") :])
    return output


def test_the_certificate_of_these_tests_passes_strict_verification() -> None:
    authority = certificate("authority", OTHER, NOW - DAY, NOW + DAY).public_bytes(Encoding.PEM)
    handshake(PEM.decode(), private().decode(), authority.decode())


@pytest.mark.parametrize("case", CASES)
def test_certificate_files_are_refused_or_accepted(folder: Path, output: dict[str, Any], case: str) -> None:
    number = list(CASES).index(case)
    results = [task["hosts"].get(f"case-{number}", {}) for task in output["plays"][0]["tasks"]]
    failed = [result for result in results if result.get("failed") or result.get("unreachable")]
    words = CASES[case][2]
    assert len(failed) == bool(words), failed
    for word in words:
        assert word.format(chain=folder / f"{number}.crt", key=folder / f"{number}.key") in failed[0]["msg"]


def test_output_contains_no_private_key(output: dict[str, Any]) -> None:
    everything = json.dumps(output)
    for layout in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL):
        # The first line contains the private part, or most of it. The output may contain the public part after it.
        assert private(layout).decode().splitlines()[1] not in everything


def test_certificate_and_key_are_written_in_one_file(tmp_path: Path) -> None:
    """With two files, a killed run could leave a key and a certificate that do not match."""
    collection(tmp_path, "nginx", noted=["copy"])
    note(tmp_path, ["copy"])
    (tmp_path / "chain.pem").write_bytes(PEM + AUTHORITY)
    (tmp_path / "key.pem").write_bytes(private())
    settings = {
        "deployment_project": "my-project",
        "nginx_certificate_source": "files",
        "nginx_certificate_file": str(tmp_path / "chain.pem"),
        "nginx_certificate_key_file": str(tmp_path / "key.pem"),
    }
    role = {"name": "mlops.mlflow_gcp.nginx", "tasks_from": "certificate_files"}
    assert play(tmp_path, "localhost", role, [], settings, check=True).returncode == 0
    (copied,) = [json.loads(line) for line in (tmp_path / "asked.jsonl").read_text().splitlines()]
    assert (copied["content"].encode(), copied["mode"]) == (private() + PEM + AUTHORITY, "0600")
    assert evaluated("{{ __nginx_certificate }}", "nginx", **settings) == copied["dest"]
    assert evaluated("{{ __nginx_certificate_key }}", "nginx", **settings) == copied["dest"]
