# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_secrets_info

from tests.unit.harness import Cloud, Play

ALL = "v1/projects/my-project/secrets"
QUERY = {"filter": "labels.app=mlflow AND labels.mlflow-deployment=team"}


def test_lists_the_secrets_with_the_labels(cloud: Cloud, play: Play) -> None:
    pages = [["team-user-bob", "team-ca"], ["team-user-alice"]]
    answers = [{"secrets": [{"name": f"projects/42/secrets/{name}"} for name in page]} for page in pages]
    cloud.get("secretmanager", ALL, answers[0] | {"nextPageToken": "2"}, query=QUERY)
    cloud.get("secretmanager", ALL, answers[1], query=QUERY | {"pageToken": "2"})
    result = play(gcp_secrets_info, labels={"mlflow-deployment": "team", "app": "mlflow"})
    assert result["names"] == ["team-ca", "team-user-alice", "team-user-bob"]
    assert not result["changed"]


def test_no_secret_is_an_empty_list(cloud: Cloud, play: Play) -> None:
    cloud.get("secretmanager", ALL, {}, query={"filter": "labels.app=mlflow"})
    assert play(gcp_secrets_info, labels={"app": "mlflow"})["names"] == []


def test_check_mode_works_in_an_empty_project(cloud: Cloud, play: Play) -> None:
    details = [{"reason": "SERVICE_DISABLED", "metadata": {"service": "secretmanager.googleapis.com"}}]
    query = {"filter": "labels.app=mlflow"}
    cloud.fails("GET", "secretmanager", ALL, 403, "PERMISSION_DENIED", details=details, query=query)
    cloud.get("serviceusage", "v1/projects/my-project/services/secretmanager.googleapis.com", {"state": "DISABLED"})
    assert play(gcp_secrets_info, check=True, labels={"app": "mlflow"})["names"] == []


def test_a_label_that_no_secret_can_have_is_refused(play: Play) -> None:
    assert "labels" in play(gcp_secrets_info, fails=True, labels={"App": "mlflow"})["msg"]


def test_an_error_is_reported(cloud: Cloud, play: Play) -> None:
    cloud.fails("GET", "secretmanager", ALL, 403, "forbidden", query={"filter": "labels.app=mlflow"})
    assert "Cannot list the secrets" in play(gcp_secrets_info, fails=True, labels={"app": "mlflow"})["msg"]
