# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The role `secrets` grants the VM access to its secrets."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.unit.roles.noting import collection, note, play

ADDER = "roles/secretmanager.secretVersionAdder"
ACME = {"certificates_source": "acme", "certificates_acme_terms_agreed": "true", "deployment_hostname": "a.example.com"}


@pytest.mark.parametrize(("settings", "added"), [({}, set()), (ACME, {"mlflow-certificate"})], ids=["ca", "acme"])
def test_the_vm_adds_versions_only_to_a_certificate_that_it_renews(
    tmp_path: Path, settings: dict[str, str], added: set[str]
) -> None:
    collection(tmp_path, "secrets")
    note(tmp_path, ["gcp_secret", "gcp_iam_member"])
    named = {"deployment_project": "my-project", "deployment_state_directory": str(tmp_path / "state")}
    done = play(tmp_path, "localhost", {"name": "mlops.mlflow_gcp.secrets"}, [], settings | named, check=False)
    assert done.returncode == 0
    asked = [json.loads(line) for line in (tmp_path / "asked.jsonl").read_text().splitlines()]
    calls = [call for call in asked if call["module"] == "gcp_iam_member" and call.get("state") != "absent"]
    assert {call["resource"] for call in calls if call["absent_roles"] != [ADDER]} == added
    assert "mlflow-certificate" in {call["resource"] for call in calls}
