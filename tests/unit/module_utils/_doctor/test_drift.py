# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Convert a plan to the check result of drift."""

from __future__ import annotations

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.drift import drift
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.results import NotCheckedError
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._plan import Change, Failure, Plan


def printed(*changes: Change, failure: Failure | None = None) -> str:
    plan = Plan(list(changes), [failure] if failure else [])
    return f"a line of another plugin\n{plan.dump()}\n"


def changed(resource: str, *fields: str) -> Change:
    return Change("create", resource) if fields == ("missing",) else Change("change", resource, fields)


def test_no_drift() -> None:
    assert drift(printed(), 0).state == "ok"


def test_drift_warns() -> None:
    result = drift(printed(changed("network mlflow-network", "mtu"), changed('task "Save the file"')), 0)
    assert (result.state, result.value) == ("warn", '2 differ: network mlflow-network (mtu); task "Save the file"')
    assert "site.yml --check --diff" in result.remedy


@pytest.mark.parametrize("what", ["firewall rule mlflow-allow-https", "IAM member", "bucket artifacts"])
def test_a_public_firewall_rule_fails(what: str) -> None:
    result = drift(printed(changed("network mlflow-network", "mtu"), changed(what, "sourceRanges")), 0)
    assert result.state == "fail"
    assert f"{what} (sourceRanges)" in result.value


@pytest.mark.parametrize(
    ("what", "field", "state"),
    [
        ("instance mlflow-server", "tags.items", "fail"),
        ("instance mlflow-server", "labels.team", "warn"),
        ("Cloud SQL instance mlflow-database", "settings.ipConfiguration.ipv4Enabled", "fail"),
        ("Cloud SQL instance mlflow-database", "settings.activationPolicy", "fail"),
        ("Cloud SQL instance mlflow-database", "settings.userLabels.team", "warn"),
        ("service account mlflow-server", "disabled", "fail"),
        ("roles/storage.objectUser for serviceAccount:a@b on bucket c", "missing", "fail"),
        ("secret mlflow-ca", "labels.team", "warn"),
        ("record set mlflow.example.com. of type A in managed zone example-com", "rrdatas", "fail"),
    ],
)
def test_drift_that_blocks_or_exposes_the_service_fails(what: str, field: str, state: str) -> None:
    assert drift(printed(changed(what, field)), 0).state == state


@pytest.mark.parametrize(
    ("output", "code", "reason"),
    [
        (
            printed(failure=Failure("Create the network", "HTTP 403")),
            2,
            "Create the network: HTTP 403",
        ),
        ("ERROR! no such playbook", 1, "exit code 1: ERROR! no such playbook"),
        ("", 0, "no output"),
        ("a line of another plugin", 0, "exit code 0: a line of another plugin"),
    ],
)
def test_a_plan_without_an_end(output: str, code: int, reason: str) -> None:
    with pytest.raises(NotCheckedError, match=reason):
        drift(output, code)
