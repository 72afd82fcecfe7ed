# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The first run of a user whose gcloud is configured for another project.

`gcloud auth application-default login` writes that project into the credentials. IAM, Resource Manager and Service
Networking must be enabled in it, regardless of the deployment's project.
"""

from __future__ import annotations

import json
import pathlib
import re
import time

import pytest

from localcloud.core.errors import error_info
from localcloud.core.faults import Fault
from tests.localcloud.harness import Local
from tests.localcloud.playbooks.playbook import Door, Playbook

EMAIL = "someone@example.com"
OTHER = "other-project"
# Propagation delays as at Google, divided by ten.
LATE = {"api_enablement": 6, "service_accounts": 2, "iam_grants": 6}
BUSY = error_info("CONCURRENT_OPERATIONS_QUOTA_EXCEEDED", "compute.googleapis.com", containerType="PROJECT")
PASSES = (
    Fault(
        "serviceusage.services.batchEnable",
        code=400,
        reason="FAILED_PRECONDITION",
        message="Another activation or deactivation is in progress for this service.",
    ),
    Fault(
        "compute.networks.insert", code=403, reason="rateLimitExceeded", message="Rate Limit Exceeded", details=[BUSY]
    ),
)


@pytest.fixture
def user(empty: Local, playbook: Playbook, tmp_path: pathlib.Path) -> str:
    """Make the owner of both projects the user, with credentials that name the other project; return its number."""
    empty.other_project(OTHER, "100000000099")
    empty.grant(f"user:{EMAIL}", "roles/owner", project=OTHER)
    path = tmp_path / "application_default_credentials.json"
    path.write_text(json.dumps(empty.user(EMAIL, "roles/owner", quota_project=OTHER)))
    playbook.environment["GOOGLE_APPLICATION_CREDENTIALS"] = str(path)
    return "100000000099"


def test_the_first_run_of_a_user_with_another_quota_project(empty: Local, playbook: Playbook, user: str) -> None:
    empty.cloud.profiles.change(dict(LATE))
    for fault in PASSES:
        empty.cloud.faults.script(fault)
    assert playbook.run() == 0, playbook.output[-5000:]
    assert empty.cloud.faults.describe()["scripted"] == []
    assert any(call["status"] == 403 for call in empty.cloud.calls.since())  # for APIs that were enabled a moment ago
    assert "the quota project of these credentials" not in " ".join(playbook.output.split())


@pytest.mark.parametrize("arguments", [(), ("--check", "--diff")], ids=["run", "check"])
def test_a_chosen_quota_project_without_the_apis_is_told_at_once(
    playbook: Playbook, door: Door, user: str, arguments: tuple[str, ...]
) -> None:
    playbook.environment["GOOGLE_CLOUD_QUOTA_PROJECT"] = OTHER
    begin = time.monotonic()
    assert playbook.run(*arguments) == 2
    took = time.monotonic() - begin
    said = " ".join(playbook.output.split())
    assert f"the quota project of these credentials is {user}, in which iam.googleapis.com is not enabled" in said
    assert f"GOOGLE_CLOUD_QUOTA_PROJECT is {OTHER}: unset it, or set it to mlflow-local." in said
    assert not re.search("gcloud services enable", said)
    assert door.changing == []
    assert took < 60  # formerly five minutes, with wrong advice


def test_impersonation_says_which_api_it_needs(empty: Local, playbook: Playbook, door: Door, user: str) -> None:
    email = empty.account("deployer", "roles/owner")
    empty.grant(f"user:{EMAIL}", "roles/iam.serviceAccountTokenCreator")
    playbook.environment["CLOUDSDK_AUTH_IMPERSONATE_SERVICE_ACCOUNT"] = email
    assert playbook.run() == 2
    said = " ".join(playbook.output.split())
    # A playbook cannot enable the API: each of its requests needs a token of the account.
    assert f"gcloud services enable iamcredentials.googleapis.com --project={user}" in said
    assert "Log in" not in said
    assert [call for call in door.changing if not call.endswith(":generateAccessToken")] == []
