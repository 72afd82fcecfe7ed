# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The deployment's own authority and what it signs, in a Secret Manager that only notes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography import x509

from tests.unit.roles.noting import collection, note, play

HOSTNAME = ".".join(["MLflow", "a" * 60, "b" * 60, "c" * 60, "eu.test"])


class Issuer:
    """The tasks that issue the server's certificate, and the secrets that they store."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        collection(folder, "infrastructure")
        note(folder, ["gcp_secret"])
        (folder / "state").mkdir()

    def __call__(self, stored: dict[str, str], **settings: str) -> dict[str, str]:
        """Run them with these secrets there; the secrets that they stored."""
        answers = [({"module": "gcp_secret", "name": name}, {"payload": stored[name]}) for name in stored]
        settings |= {"infrastructure_state_directory": str(self.folder / "state"), "__infrastructure_ip": "192.0.2.7"}
        role = {"name": "mlops.mlflow_gcp.infrastructure", "tasks_from": "certificate"}
        nothing: tuple[dict[str, str], dict[str, Any]] = ({"module": "gcp_secret"}, {"payload": None})
        done = play(self.folder, "localhost", role, [*answers, nothing], settings, check=False)
        assert done.returncode == 0
        asked = [json.loads(line) for line in (self.folder / "asked.jsonl").read_text().splitlines()]
        return {call["name"]: call["payload"] for call in asked if "payload" in call}


def test_a_certificate_for_any_name_and_once(tmp_path: Path) -> None:
    """A common name has room for 64 characters, which hostnames and the names of projects do not keep to."""
    issuer = Issuer(tmp_path)
    settings = {
        "infrastructure_project": "example.com:my-project-with-a-very-long-id",
        "infrastructure_name": "a-name-of-20-letters",
        "infrastructure_hostname": HOSTNAME,
    }
    stored = issuer({}, **settings)
    assert set(stored) == {"a-name-of-20-letters-ca", "a-name-of-20-letters-certificate"}
    server, authority = x509.load_pem_x509_certificates(stored["a-name-of-20-letters-certificate"].encode())
    server.verify_directly_issued_by(authority)
    names = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [HOSTNAME]
    assert server.subject.rfc4514_string()  # clients that are strict refuse an empty one
    assert issuer(stored, **settings) == {}
