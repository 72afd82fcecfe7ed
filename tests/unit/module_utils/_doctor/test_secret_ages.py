# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The check result of the ages of secrets."""

from __future__ import annotations

from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.cloud import Cloud as Google
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._doctor.secret_ages import secret_ages

from tests.unit.harness import PROJECT, Cloud
from tests.unit.module_utils._doctor.google import NOW, ago


def versions(cloud: Cloud, name: str, *days: float) -> None:
    found = [{"name": f"…/versions/{n}", "createTime": ago(days=age)} for n, age in enumerate(days)]
    path = f"v1/projects/{PROJECT}/secrets/{name}/versions"
    cloud.get("secretmanager", path, {"versions": found} if found else {}, query={"filter": "state:ENABLED"})


def test_ages_of_secrets(cloud: Cloud, google: Google) -> None:
    versions(cloud, "a", 500, 10)
    versions(cloud, "b", 20)
    result = secret_ages(google, ["a", "b"], NOW.timestamp(), 365)
    assert (result.state, result.value) == ("ok", "2 secrets, the oldest 20 days old (b)")


def test_old_secrets(cloud: Cloud, google: Google) -> None:
    versions(cloud, "a", 500, 400)
    versions(cloud, "b", 20)
    result = secret_ages(google, ["a", "b"], NOW.timestamp(), 365)
    assert (result.state, result.value) == ("warn", "a 400 days old")
    assert result.remedy == "ansible-playbook playbooks/rotate.yml"


def test_a_secret_without_a_version(cloud: Cloud, google: Google) -> None:
    versions(cloud, "a")
    result = secret_ages(google, ["a"], NOW.timestamp(), 365)
    assert (result.state, result.value) == ("fail", "a has no enabled version")
