# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Bad input ends before anything is changed, with one message that names the setting, the value and the remedy."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from tests.e2e.deployment import Deployment, changes

CASES = {
    "missing project": ({"infrastructure_project": ""}, ["infrastructure_project is ''", "GOOGLE_CLOUD_PROJECT"]),
    "zone of another region": (
        {"infrastructure_zone": "us-central1-a"},
        ["infrastructure_zone 'us-central1-a'", "infrastructure_region 'europe-west1'"],
    ),
    "invalid CIDR": (
        {"infrastructure_client_source_ranges": ["10.0.0.1/8"]},
        ["infrastructure_client_source_ranges", "'10.0.0.1/8'", "CIDR"],
    ),
    "SSH for everybody": (
        {"infrastructure_ssh_source_ranges": ["0.0.0.0/0"]},
        ["infrastructure_ssh_source_ranges", "0.0.0.0/0", "never opened"],
    ),
    "unknown setting": ({"infrastructure_machine_typ": "e2-small"}, ["infrastructure_machine_typ"]),
    "key without certificate": (
        {"infrastructure_certificate_key_file": "/nowhere/key.pem"},
        ["infrastructure_certificate_key_file", "/nowhere/key.pem"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_setting(site: Deployment, case: str) -> None:
    settings, words = CASES[case]
    done = site.playbook("site.yml", "-e", json.dumps(settings), check=False, log="bad-input")
    assert done.returncode != 0
    said = " ".join(done.stdout.split())  # the callback folds long lines
    assert all(word in said for word in words), done.stdout[-3000:]
    assert changes(done.stdout).get("localhost", 0) == 0


def test_a_bucket_of_somebody_else(site: Deployment) -> None:
    other = f"{site.project[:24]}-other"
    site.call("POST", "cloudresourcemanager", "v3/projects", data=json.dumps({"projectId": other}))
    site.call("POST", "storage", f"b?project={other}", data=json.dumps({"name": f"{other}-taken"}))
    done = site.playbook("site.yml", "-e", f"infrastructure_bucket={other}-taken", check=False, log="bad-input")
    assert done.returncode != 0
    assert f"{other}-taken" in done.stdout
    assert changes(done.stdout).get("localhost", 0) == 0


def test_revoked_credentials(site: Deployment, tmp_path: Path) -> None:
    account = f"mlflow-server@{site.project}.iam.gserviceaccount.com"
    keys = f"v1/projects/{site.project}/serviceAccounts/{account}/keys"
    key = site.call("POST", "iam", keys, data="{}")
    revoked = tmp_path / "revoked.json"
    revoked.write_bytes(base64.b64decode(key["privateKeyData"]))
    site.call("DELETE", "iam", "v1/" + key["name"])
    before = site.environment["GOOGLE_APPLICATION_CREDENTIALS"]
    site.environment["GOOGLE_APPLICATION_CREDENTIALS"] = str(revoked)
    try:
        refused = site.playbook("playbooks/provision.yml", check=False, log="revoked")
    finally:
        site.environment["GOOGLE_APPLICATION_CREDENTIALS"] = before
    assert refused.returncode != 0
    assert "credentials" in refused.stdout
    assert "gcloud auth" in refused.stdout
    assert changes(refused.stdout).get("localhost", 0) == 0
