# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Bad input fails before any change, with one message that names the variable, the value and the remedy.

The real playbooks run on an empty project: no changing call may reach the cloud, and no directory for the deployment's
state may be created.
"""

from __future__ import annotations

import json
import pathlib
import re

import pytest

from tests.localcloud.harness import Local
from tests.localcloud.playbooks.playbook import RECAP, Door, Playbook

PROJECT = "mlflow-local"
ERROR = re.compile(r"^\[ERROR\]: (.*)$", re.MULTILINE)
BUCKET = "//storage.googleapis.com/projects/_/buckets/taken-by-another"
ENABLE = f"POST /serviceusage/v1/projects/{PROJECT}/services:batchEnable"


@pytest.fixture(autouse=True)
def _elsewhere(playbook: Playbook, tmp_path: pathlib.Path) -> None:
    """Set an environment without any Google login."""
    playbook.environment |= {"HOME": str(tmp_path), "CLOUDSDK_CONFIG": str(tmp_path / "gcloud")}


def refused(playbook: Playbook, *arguments: str) -> str:
    """Run site.yml, which must fail without a change; return its message."""
    assert playbook.run(*arguments, playbook="site") == 2, playbook.output[-5000:]
    recap = RECAP.search(playbook.output)
    assert recap, playbook.output[-5000:]
    assert recap.groups()[1:] == ("0", "1"), playbook.output[-5000:]
    assert not playbook.state.exists()
    errors = ERROR.findall(playbook.output)
    assert len(errors) == 1, playbook.output[-5000:]
    return str(errors[0])


SETTINGS = {
    "malformed values": (
        {
            "deployment_zone": "us-central1-a",
            "infrastructure_client_source_ranges": ["10.0.0.1/8"],
            "infrastructure_subnetwork_range": "10.128.0.0",
            "deployment_labels": {"team": "Data Science", "live": True, "Owner": "me"},
            "secrets_locations": ["europe-west1", "Europe"],
        },
        [
            *["deployment_zone 'us-central1-a'", "deployment_region 'europe-west1'", "example europe-west1-b"],
            *["infrastructure_client_source_ranges holds '10.0.0.1/8'", "such as 10.128.0.0/20"],
            "infrastructure_subnetwork_range holds '10.128.0.0'",
            *["deployment_labels holds", "'Data Science' of key 'team'", "value true of key 'live'", "key 'Owner'"],
            *["secrets_locations holds", "'Europe'", "region"],
        ],
    ),
    "two unknown role variables": (
        {"mlflow_worker": "hunter2", "deploymnt_name": "x"},
        [
            *["Unknown role variable deploymnt_name.", "Did you mean deployment_name?"],
            *["Unknown role variable mlflow_worker.", "Did you mean mlflow_workers?"],
        ],
    ),
}


@pytest.mark.parametrize("case", SETTINGS)
def test_bad_setting(playbook: Playbook, door: Door, case: str) -> None:
    settings, words = SETTINGS[case]
    said = refused(playbook, "-e", json.dumps(settings))
    assert [word for word in words if word not in said] == []
    assert "hunter2" not in playbook.output
    assert door.changing == []


def test_a_plan_refuses_what_google_would_refuse(playbook: Playbook, door: Door) -> None:
    """Check mode accepted a label with a space; the real run failed after it had created the network."""
    said = refused(playbook, "--check", "-e", json.dumps({"deployment_labels": {"Team": "x"}}))
    assert "deployment_labels holds key 'Team'" in said
    assert door.changing == []


# tests/unit/playbooks/test_structure.py proves that the other playbooks begin alike.
def test_missing_project(playbook: Playbook, door: Door) -> None:
    del playbook.environment["GOOGLE_CLOUD_PROJECT"], playbook.environment["CLOUDSDK_CORE_PROJECT"]
    said = refused(playbook)
    assert "deployment_project is " in said
    assert "export GOOGLE_CLOUD_PROJECT" in said
    assert door.changing == []


def test_mistyped_project_where_it_is_exported(empty: Local, playbook: Playbook, door: Door) -> None:
    """The inventory queries the project, too. No other inventory plugin may report an error about the file."""
    empty.enable("compute")
    playbook.environment["GOOGLE_CLOUD_PROJECT"] = "mlflow-lokal"
    said = refused(playbook)
    assert "deployment_project is 'mlflow-lokal': there is no such project" in said
    assert "export GOOGLE_CLOUD_PROJECT" in said
    assert door.changing == []
    quiet(playbook)


def quiet(playbook: Playbook) -> None:
    """Assert that at most one warning of ours precedes the message: the inventory is empty for the same reason."""
    before = playbook.output.partition("PLAY [")[0]
    assert before.count("The inventory has no VMs.") == 1
    assert "Failed to parse" not in before
    assert "Unable to parse" not in before


def test_region_that_is_not_there(empty: Local, playbook: Playbook, door: Door) -> None:
    empty.enable("compute")
    said = refused(playbook, "-e", "deployment_region=europe-west99")
    words = ["deployment_region 'europe-west99'", "The regions are asia-east1", "Set them in group_vars/all.yml"]
    assert [word for word in words if word not in said] == []
    assert door.changing == []


def test_zone_that_only_an_enabled_api_can_tell(playbook: Playbook, door: Door) -> None:
    """A project without Compute Engine does not list zones: the playbook enables its APIs and changes nothing else."""
    assert playbook.run("-e", "deployment_zone=europe-west1-a", playbook="site") == 2
    (said,) = ERROR.findall(playbook.output)
    assert "deployment_zone is 'europe-west1-a'" in said
    assert "europe-west1-b, europe-west1-c, europe-west1-d. Set them" in said
    assert door.changing == [ENABLE]
    assert not playbook.state.exists()


@pytest.mark.parametrize("seen", [True, False])
def test_bucket_of_somebody_else(empty: Local, playbook: Playbook, door: Door, seen: bool) -> None:
    """With a bucket that this account may see, as the owner of both projects, and with a bucket that it may not see."""
    session, manager = empty.session(), "cloudresourcemanager"
    empty.enable(manager)
    session.call("POST", f"/{manager}/v3/projects", json={"projectId": "another-owner"})
    empty.cloud.projects.disable(PROJECT, f"{manager}.googleapis.com")
    session.call("POST", "/storage/v1/b?project=another-owner", json={"name": "taken-by-another"})
    if not seen:
        for resource in (f"//{manager}.googleapis.com/projects/another-owner", BUCKET):
            policy = empty.cloud.permissions.policy(resource, 3)
            empty.cloud.permissions.set_policy(resource, policy | {"bindings": []})
    said = refused(playbook, "-e", "infrastructure_bucket=taken-by-another")
    assert "infrastructure_bucket is 'taken-by-another'" in said
    assert ("belongs to another project" if seen else "this account may not read it") in said
    assert "choose another name" in said
    assert door.changing == []


def test_bucket_in_another_place(empty: Local, playbook: Playbook, door: Door) -> None:
    bucket = {"name": f"{PROJECT}-mlflow-artifacts", "location": "US"}
    empty.session().call("POST", f"/storage/v1/b?project={PROJECT}", json=bucket)
    said = refused(playbook)
    assert f"infrastructure_bucket is '{bucket['name']}' and infrastructure_bucket_location 'EUROPE-WEST1'" in said
    assert "cannot change location (current: 'US'" in said
    assert door.changing == []


def test_revoked_key(empty: Local, playbook: Playbook, door: Door) -> None:
    key = empty.home / "credentials.json"
    document = json.loads(key.read_text())
    account = f"/iam/v1/projects/{PROJECT}/serviceAccounts/{document['client_email']}"
    empty.enable("iam")
    empty.session().call("DELETE", f"{account}/keys/{document['private_key_id']}")
    said = refused(playbook)
    assert "Google refused the credentials" in said
    assert f"GOOGLE_APPLICATION_CREDENTIALS '{key}' (account {document['client_email']})" in said
    assert "Export the file of a valid key" in said
    assert door.changing == []
    quiet(playbook)


def test_expired_token(playbook: Playbook, door: Door) -> None:
    playbook.environment |= {"GCP_AUTH_KIND": "access_token", "CLOUDSDK_AUTH_ACCESS_TOKEN": "ya29.expired"}
    said = refused(playbook)
    assert "auth_kind access_token" in said
    assert "export CLOUDSDK_AUTH_ACCESS_TOKEN" in said
    assert "gcloud auth print-access-token" in said
    assert "ya29.expired" not in playbook.output
    assert door.changing == []
    quiet(playbook)


def test_missing_key_file(playbook: Playbook, door: Door) -> None:
    playbook.environment["GOOGLE_APPLICATION_CREDENTIALS"] = "/nowhere/key.json"
    said = refused(playbook)
    assert "No usable Google credentials" in said
    assert "GOOGLE_APPLICATION_CREDENTIALS '/nowhere/key.json'" in said
    assert "gcloud auth application-default login" in said
    assert door.changing == []
    quiet(playbook)
