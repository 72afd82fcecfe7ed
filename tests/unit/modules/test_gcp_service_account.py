# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_service_account

from tests.unit.harness import Cloud, FakeClock, Play

EMAIL = "mlflow-server@my-project.iam.gserviceaccount.com"
ALL = "v1/projects/my-project/serviceAccounts"
ONE = f"{ALL}/{EMAIL}"
ACCOUNT: dict[str, Any] = {
    "name": f"projects/my-project/serviceAccounts/{EMAIL}",
    "email": EMAIL,
    "displayName": "MLflow",
    "description": "of the test",
    "uniqueId": "1",
}


def test_creates_and_waits_until_it_is_visible(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    cloud.get("iam", ONE, None)
    body = {"accountId": "mlflow-server", "serviceAccount": {"displayName": "MLflow"}}
    cloud.expect("POST", "iam", ALL, ACCOUNT, body=body)
    cloud.get("iam", ONE, None)
    cloud.fails("GET", "iam", ONE, 403, "IAM_PERMISSION_DENIED")
    cloud.get("iam", ONE, ACCOUNT)
    result = play(gcp_service_account, name="mlflow-server", display_name="MLflow")
    assert result["changed"]
    assert result["resource"] == ACCOUNT
    assert len(clock.sleeps) == 2
    assert result["diff"]["after"] == {"displayName": "MLflow"}


def test_gives_up_after_a_while(cloud: Cloud, play: Play, clock: FakeClock, monkeypatch: Any) -> None:
    monkeypatch.setattr(clock, "sleep", lambda _: setattr(clock, "time", clock.time + 100))
    cloud.get("iam", ONE, None)
    cloud.expect("POST", "iam", ALL, ACCOUNT, body={"accountId": "mlflow-server", "serviceAccount": {}})
    cloud.get("iam", ONE, None)
    cloud.get("iam", ONE, None)
    assert (
        "after its creation. Run again in a minute"
        in play(gcp_service_account, fails=True, name="mlflow-server")["msg"]
    )


def test_a_plan_knows_the_address(cloud: Cloud, play: Play) -> None:
    cloud.get("iam", ONE, None)
    result = play(gcp_service_account, check=True, name="mlflow-server", disabled=True)
    assert result["changed"]
    assert result["resource"] == {"email": EMAIL, "disabled": True}


def test_a_project_of_a_domain(cloud: Cloud, play: Play) -> None:
    email = "mlflow-server@team.example.com.iam.gserviceaccount.com"
    cloud.get("iam", f"v1/projects/example.com:team/serviceAccounts/{email}", None)
    result = play(gcp_service_account, check=True, name="mlflow-server", project="example.com:team")
    assert result["resource"]["email"] == email


def test_an_equal_resource_is_not_changed(cloud: Cloud, play: Play) -> None:
    cloud.get("iam", ONE, ACCOUNT)
    result = play(gcp_service_account, name="mlflow-server", display_name="MLflow", disabled=False)
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]


def test_updates_and_clears(cloud: Cloud, play: Play) -> None:
    cloud.get("iam", ONE, ACCOUNT)
    body = {"serviceAccount": {"displayName": "New", "description": ""}, "updateMask": "displayName,description"}
    cloud.expect("PATCH", "iam", ONE, ACCOUNT, body=body)
    cloud.get("iam", ONE, ACCOUNT | {"displayName": "New", "description": ""})
    result = play(gcp_service_account, name="mlflow-server", display_name="New", description="")
    assert result["changed"]
    assert result["diff"]["before"] == {"displayName": "MLflow", "description": "of the test"}
    assert result["diff"]["after"] == {"displayName": "New", "description": ""}


def test_disables_and_enables(cloud: Cloud, play: Play) -> None:
    cloud.get("iam", ONE, ACCOUNT)
    cloud.fails("POST", "iam", f"{ONE}:disable", 404, "notFound", body={})  # a server that does not see the account yet
    cloud.expect("POST", "iam", f"{ONE}:disable", {}, body={})
    cloud.get("iam", ONE, ACCOUNT | {"disabled": True})
    assert play(gcp_service_account, name="mlflow-server", disabled=True)["changed"]
    cloud.get("iam", ONE, ACCOUNT | {"disabled": True})
    cloud.expect("POST", "iam", f"{ONE}:enable", {}, body={})
    cloud.get("iam", ONE, ACCOUNT)
    assert play(gcp_service_account, name="mlflow-server", disabled=False)["changed"]


def test_deletes(cloud: Cloud, play: Play) -> None:
    cloud.get("iam", ONE, ACCOUNT)
    assert play(gcp_service_account, check=True, name="mlflow-server", state="absent")["changed"]
    cloud.get("iam", ONE, ACCOUNT)
    cloud.expect("DELETE", "iam", ONE)
    result = play(gcp_service_account, name="mlflow-server", state="absent")
    assert result["changed"]
    assert result["diff"]["before"]["displayName"] == "MLflow"
    cloud.get("iam", ONE, None)
    assert not play(gcp_service_account, name="mlflow-server", state="absent")["changed"]


def test_may_not_look(cloud: Cloud, play: Play) -> None:
    cloud.fails("GET", "iam", ONE, 403, "IAM_PERMISSION_DENIED", "Permission 'iam.serviceAccounts.get' denied")
    result = play(gcp_service_account, fails=True, check=True, name="mlflow-server")
    assert "iam.serviceAccounts.get" in result["msg"]
