# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Layer 3: the convergence of a resource, with a resource kind that has a field of each type."""

from __future__ import annotations

import types
from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._fields import Field
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._module import run
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._options import wait
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._resource import Resource

from tests.unit.harness import Cloud, FakeClock, Play

Json = dict[str, Any]
ALL = "projects/my-project/zones/z/things"
ONE = f"{ALL}/t"


class Thing(Resource):
    kind = "thing"
    collection = "projects/{project}/zones/{zone}/things"
    guard = "fingerprint"
    busy = ("PROVISIONING",)
    broken = ("FAILED",)
    options = {  # noqa: RUF012
        "name": {"type": "str", "required": True},
        "zone": {"type": "str", "default": "z"},
        "size": {"type": "int"},
        "network": {"type": "str"},
        "ranges": {"type": "list", "elements": "str"},
        "labels": {"type": "dict"},
        "password": {"type": "str", "no_log": True},
        "token": {"type": "str", "no_log": True},
        "power": {"type": "str"},
        **wait(),
    }
    fields = {  # noqa: RUF012
        "size": Field(convert="int64"),
        "network": Field(link="projects/{project}/global/networks/{}", immutable=True),
        "ranges": Field(unordered=True),
        "labels": Field(via="set_labels"),
        "password": Field(compare=False),
        "token": Field(),
        "power": Field(at="status", via="set_power", create=False),
    }

    def set_power(self, body: Json, current: Json) -> None:
        self.call("POST", f"{self.self_path}/stop")


thing = types.SimpleNamespace(main=lambda: run(Thing))


def there(**changes: Any) -> Json:
    return {"name": "t", "status": "RUNNING", "fingerprint": "f1", "labelFingerprint": "l1", **changes}


def test_patches_first_then_each_method_with_a_fresh_fingerprint(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, there(size="1", labels={"a": "1"}))
    cloud.mutates("PATCH", "compute", ONE, body={"size": "2", "fingerprint": "f1"})
    cloud.get("compute", ONE, there(size="2", labels={"a": "1"}, labelFingerprint="l2"))
    cloud.mutates("POST", "compute", f"{ONE}/setLabels", body={"labels": {"b": "2"}, "labelFingerprint": "l2"})
    cloud.get("compute", ONE, there(size="2", labels={"b": "2"}))
    assert play(thing, name="t", labels={"b": 2}, size=2)["changed"]


def test_a_dropped_range_is_removed(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, there(ranges=["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16"]))
    cloud.mutates("PATCH", "compute", ONE, body={"ranges": ["10.1.0.0/16", "10.0.0.0/8"], "fingerprint": "f1"})
    cloud.get("compute", ONE, there(ranges=["10.1.0.0/16", "10.0.0.0/8"]))
    result = play(thing, name="t", ranges=["10.1.0.0/16", "10.0.0.0/8"])
    assert result["diff"]["before"]["ranges"] == ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16"]
    assert result["diff"]["after"]["ranges"] == ["10.0.0.0/8", "10.1.0.0/16"]


def test_fields_outside_the_creation_are_set_after_it(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, None)
    body = {"name": "t", "network": "projects/my-project/global/networks/n"}
    cloud.mutates("POST", "compute", ALL, body=body)
    cloud.get("compute", ONE, there())
    cloud.mutates("POST", "compute", f"{ONE}/stop")
    cloud.get("compute", ONE, there(status="TERMINATED"))
    assert play(thing, name="t", network="n", power="TERMINATED")["resource"]["status"] == "TERMINATED"


def test_starts_without_waiting_and_waits_in_a_second_run(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    cloud.get("compute", ONE, None)
    cloud.expect("POST", "compute", ALL, {"kind": "compute#operation", "status": "RUNNING"}, body={"name": "t"})
    cloud.get("compute", ONE, there(status="PROVISIONING"))
    started = play(thing, name="t", wait=False)
    assert started["changed"]
    assert started["pending"]
    assert not clock.sleeps

    cloud.get("compute", ONE, there(status="PROVISIONING"))
    again = play(thing, name="t", wait=False)
    assert not again["changed"]
    assert again["pending"]

    for status in ("PROVISIONING", "PROVISIONING", "PROVISIONING", "RUNNING"):
        cloud.get("compute", ONE, there(status=status))
    waited = play(thing, name="t")
    assert not waited["changed"]
    assert not waited["pending"]
    assert clock.sleeps


def test_the_wait_for_a_state_has_a_deadline(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    for _ in range(4):
        cloud.get("compute", ONE, there(status="PROVISIONING"))
    result = play(thing, fails=True, name="t", timeout=6)
    assert "still PROVISIONING after 6 s" in result["msg"]
    assert "Run again" in result["msg"]
    assert sum(clock.sleeps) < 6


def test_a_broken_resource_is_told(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, there(status="FAILED"))
    assert "thing t is in state FAILED" in play(thing, fails=True, name="t")["msg"]


def test_merges_again_after_a_concurrent_change(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    url = f"{ONE}/setLabels"
    cloud.get("compute", ONE, there(size="1"))
    cloud.mutates("PATCH", "compute", ONE, body={"size": "2", "fingerprint": "f1"})
    cloud.get("compute", ONE, there(size="2"))
    cloud.fails("POST", "compute", url, 412, "conditionNotMet", body={"labels": {"a": "1"}, "labelFingerprint": "l1"})
    cloud.get("compute", ONE, there(size="2", labelFingerprint="l2"))
    cloud.fails("POST", "compute", url, 409, "aborted", body={"labels": {"a": "1"}, "labelFingerprint": "l2"})
    cloud.get("compute", ONE, there(size="2", labels={"a": "1"}, labelFingerprint="l3"))
    result = play(thing, name="t", labels={"a": "1"}, size=2)
    # Another writer set our label meanwhile, but the size was still our change.
    assert result["changed"]
    assert result["diff"]["before"]["size"] == "1"
    assert len(clock.sleeps) == 2


def test_a_change_that_another_client_made_first_is_not_reported(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, there(size="1"))
    cloud.fails("PATCH", "compute", ONE, 412, "conditionNotMet", body={"size": "2", "fingerprint": "f1"})
    cloud.get("compute", ONE, there(size="2", fingerprint="f2"))
    result = play(thing, name="t", size=2)
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"] == {"size": "2"}


def test_gives_up_on_a_conflict_that_stays(cloud: Cloud, play: Play) -> None:
    for _ in range(6):
        cloud.get("compute", ONE, there(size="1"))
        cloud.fails("PATCH", "compute", ONE, 412, "conditionNotMet", body={"size": "2", "fingerprint": "f1"})
    assert "Another client is changing the resource" in play(thing, fails=True, name="t", size=2)["msg"]


def test_a_value_that_the_service_normalises_is_sent_once(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, there(ranges=["10.0.0.0/8"]))
    cloud.mutates("PATCH", "compute", ONE, body={"ranges": ["10.0.0.1/8"], "fingerprint": "f1"})
    cloud.get("compute", ONE, there(ranges=["10.0.0.0/8"]))
    assert play(thing, name="t", ranges=["10.0.0.1/8"])["changed"]


def test_a_new_resource_may_be_invisible_for_a_while(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, None)
    cloud.mutates("POST", "compute", ALL, body={"name": "t"})
    cloud.get("compute", ONE, None)
    cloud.fails("GET", "compute", ONE, 403, "forbidden")
    cloud.get("compute", ONE, there())
    assert play(thing, name="t")["resource"]["name"] == "t"


def test_secrets_stay_out_of_results_diffs_and_errors(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, None)
    body = {"name": "t", "password": "hunter2-new", "token": "token-new"}
    cloud.fails("POST", "compute", ALL, 400, "invalid", "Invalid value for password: hunter2-new", body=body)
    failed = play(thing, fails=True, name="t", password="hunter2-new", token="token-new")
    assert "hunter2" not in str(failed)
    assert "Invalid value for password" in failed["msg"]

    cloud.get("compute", ONE, there(token="token-old"))
    planned = play(thing, check=True, name="t", password="hunter2-new", token="token-new")
    assert planned["diff"]["before"] == {"token": "(hidden)"}
    assert planned["diff"]["after"] == {"token": "(hidden, changed)"}
    assert "hunter2" not in str(planned)
    assert "token-new" not in str(planned)


def test_forbidden_is_not_absent(cloud: Cloud, play: Play) -> None:
    message = "Required 'compute.things.get' permission for 'projects/my-project'"
    for state in ("present", "absent"):
        cloud.fails("GET", "compute", ONE, 403, "forbidden", message)
        result = play(thing, fails=True, name="t", state=state)
        assert result["msg"].startswith(f"Cannot read thing t in project my-project: {message}")
        assert "The account lacks the permission compute.things.get." in result["msg"]


def test_a_plan_for_an_empty_project_takes_a_disabled_api_as_absent(cloud: Cloud, play: Play) -> None:
    details = [{"reason": "SERVICE_DISABLED", "metadata": {"service": "compute.googleapis.com"}}]
    cloud.fails("GET", "compute", ONE, 403, "accessNotConfigured", details=details)
    cloud.get("serviceusage", "v1/projects/my-project/services/compute.googleapis.com", {"state": "DISABLED"})
    planned = play(thing, check=True, name="t")
    assert planned["changed"]
    assert "not enabled" in str(planned["warnings"])
    cloud.fails("GET", "compute", ONE, 403, "accessNotConfigured", details=details)
    cloud.get("serviceusage", "v1/projects/my-project/services/compute.googleapis.com", {"state": "DISABLED"})
    result = play(thing, fails=True, name="t")
    assert "gcloud services enable compute.googleapis.com --project=my-project" in result["msg"]


def test_waits_for_an_api_that_was_enabled_a_moment_ago(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    details = [{"reason": "SERVICE_DISABLED", "metadata": {"service": "compute.googleapis.com"}}]
    for _ in range(2):
        cloud.fails("GET", "compute", ONE, 403, "accessNotConfigured", details=details)
        cloud.get("serviceusage", "v1/projects/my-project/services/compute.googleapis.com", {"state": "ENABLED"})
    cloud.get("compute", ONE, None)
    assert not play(thing, name="t", state="absent")["changed"]
    assert len(clock.sleeps) == 2


def test_a_plan_on_the_quota_of_another_project_is_an_error(cloud: Cloud, play: Play) -> None:
    service = "compute.googleapis.com"
    details = [{"reason": "SERVICE_DISABLED", "metadata": {"service": service, "consumer": "projects/7"}}]
    cloud.fails("GET", "compute", ONE, 403, "accessNotConfigured", details=details)
    known = {"name": f"projects/42/services/{service}", "state": "ENABLED"}
    cloud.get("serviceusage", f"v1/projects/my-project/services/{service}", known)
    result = play(thing, check=True, fails=True, name="t")
    assert (
        "the quota project of these credentials is 7, in which compute.googleapis.com is not enabled" in result["msg"]
    )
    assert "Run `gcloud auth application-default set-quota-project my-project`." in result["msg"]


def test_does_not_insist_where_service_usage_may_not_be_asked(cloud: Cloud, play: Play) -> None:
    details = [{"reason": "SERVICE_DISABLED", "metadata": {"service": "compute.googleapis.com"}}]
    cloud.fails("GET", "compute", ONE, 403, "accessNotConfigured", details=details)
    path = "v1/projects/my-project/services/compute.googleapis.com"
    cloud.fails("GET", "serviceusage", path, 403, "PERMISSION_DENIED")
    result = play(thing, fails=True, name="t")
    assert result["reason"] == "SERVICE_DISABLED"


@pytest.mark.parametrize(
    ("status", "reason", "message", "advice"),
    [
        (403, "QUOTA_EXCEEDED", "Quota 'CPUS' exceeded", "iam-admin/quotas?project=my-project"),
        (403, "BILLING_DISABLED", "no billing", "billing/linkedaccount?project=my-project"),
        (404, "notFound", "network not found", "all resources that the task names exist"),
        (400, "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "no e2 left", "choose another zone"),
    ],
)
def test_errors_name_the_remedy(cloud: Cloud, play: Play, status: int, reason: str, message: str, advice: str) -> None:
    cloud.get("compute", ONE, None)
    cloud.fails("POST", "compute", ALL, status, reason, message, body={"name": "t"})
    result = play(thing, fails=True, name="t")
    assert result["msg"].startswith(f"Cannot create thing t in project my-project: {message}")
    assert advice in result["msg"]
    assert (result["code"], result["reason"]) == (status, reason)


def test_an_expired_access_token_is_told(cloud: Cloud, play: Play) -> None:
    cloud.fails("GET", "compute", ONE, 401, "authError", "Invalid Credentials")
    result = play(thing, fails=True, name="t")
    assert "Google refused the credentials" in result["msg"]
    assert "The credentials are from auth_kind access_token" in result["msg"]
    assert "gcloud auth print-access-token" in result["msg"]
    assert result["code"] == 401


def test_a_concurrent_deletion_is_no_error(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, there())
    cloud.fails("DELETE", "compute", ONE, 404, "notFound")
    assert play(thing, name="t", state="absent")["changed"]


def test_a_missing_key_file_is_told(play: Play) -> None:
    result = play(thing, fails=True, name="t", auth_kind="service_account_file", service_account_file="/nowhere.json")
    assert "No usable Google credentials" in result["msg"]
    assert "/nowhere.json" in result["msg"]


def test_the_environment_says_where_credentials_come_from(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCP_AUTH_KIND", "service_account_file")
    monkeypatch.setenv("GCP_SERVICE_ACCOUNT_FILE", "/from/the/environment.json")
    assert "/from/the/environment.json" in play(thing, fails=True, name="t", auth_kind=None)["msg"]


def test_a_lost_answer_to_a_creation_is_waited_for_like_any_other(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, None)
    cloud.fails("POST", "compute", ALL, 503, "backendError", body={"name": "t"})
    cloud.fails("POST", "compute", ALL, 409, "alreadyExists", body={"name": "t"})
    cloud.get("compute", ONE, there(status="PROVISIONING"))
    cloud.get("compute", ONE, there(status="PROVISIONING"))
    cloud.get("compute", ONE, there())
    result = play(thing, name="t")
    assert result["changed"]
    assert not result["pending"]
    assert result["resource"]["status"] == "RUNNING"


def test_a_lost_answer_to_a_creation_is_ignored_without_wait(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, None)
    cloud.fails("POST", "compute", ALL, 503, "backendError", body={"name": "t", "size": "1"})
    cloud.fails("POST", "compute", ALL, 409, "alreadyExists", body={"name": "t", "size": "1"})
    cloud.get("compute", ONE, there(status="PROVISIONING"))
    assert play(thing, name="t", size=1, wait=False)["pending"]


def test_a_lost_answer_to_a_creation_that_failed_is_told(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, None)
    cloud.fails("POST", "compute", ALL, 409, "alreadyExists", body={"name": "t"})
    cloud.get("compute", ONE, there(status="FAILED"))
    assert "in state FAILED" in play(thing, fails=True, name="t")["msg"]


@pytest.mark.parametrize("wait", [True, False])
def test_a_plan_compares_a_resource_with_a_running_operation(
    cloud: Cloud, play: Play, clock: FakeClock, wait: bool
) -> None:
    cloud.get("compute", ONE, there(status="PROVISIONING", size="1"))
    planned = play(thing, check=True, name="t", size=2, wait=wait)
    assert planned["changed"]
    assert planned["diff"]["before"] == {"size": "1"}
    cloud.get("compute", ONE, there(status="PROVISIONING", size="2"))
    same = play(thing, check=True, name="t", size=2, wait=wait)
    assert not same["changed"]
    assert same["pending"]
    assert not clock.sleeps


def test_an_immediate_failure_is_reported_without_wait(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, None)
    failed = {"kind": "compute#operation", "status": "DONE", "error": {"errors": [{"code": "BAD", "message": "why"}]}}
    cloud.expect("POST", "compute", ALL, failed, body={"name": "t"})
    assert "why" in play(thing, fails=True, name="t", wait=False)["msg"]


def test_an_operation_that_another_one_is_in_the_way_of_is_started_again(
    cloud: Cloud, play: Play, clock: FakeClock
) -> None:
    busy = {"errors": [{"code": "INVALID", "message": "There is a peering operation in progress on the network."}]}
    cloud.get("compute", ONE, there())
    cloud.mutates("DELETE", "compute", ONE, failure=busy)
    cloud.mutates("DELETE", "compute", ONE)
    assert play(thing, name="t", state="absent")["changed"]
    ids = [request.params["requestId"] for request in cloud.requests if request.method == "DELETE"]
    assert len(set(ids)) == 2  # a repeated request ID would return the failed operation


def test_a_failed_operation_is_no_trouble_with_the_network(cloud: Cloud, play: Play) -> None:
    cloud.get("compute", ONE, None)
    failed = {"kind": "compute#operation", "status": "DONE", "error": {"errors": [{"code": "BAD", "message": "why"}]}}
    cloud.expect("POST", "compute", ALL, failed, body={"name": "t"})
    assert "network" not in play(thing, fails=True, name="t")["msg"]


@pytest.mark.parametrize("option", ["name", "project"])
def test_an_empty_variable_is_no_name(play: Play, option: str) -> None:
    assert play(thing, fails=True, **{"name": "t", option: ""})["msg"] == f"{option} must not be empty."


def test_gives_up_on_a_created_resource_that_stays_unreadable(cloud: Cloud, play: Play, clock: FakeClock) -> None:
    cloud.get("compute", ONE, None)
    cloud.mutates("POST", "compute", ALL, body={"name": "t"})
    begin = clock.time
    for _ in range(4):
        cloud.get("compute", ONE, None)
    cloud.script.assert_all_requests_are_fired = False
    assert "Cannot read thing t after its creation" in play(thing, fails=True, name="t", timeout=6)["msg"]
    assert clock.time - begin < 6
