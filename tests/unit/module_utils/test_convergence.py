# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Layer 3 without a module: the results and errors of a convergence."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._client import Client, GoogleError
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._convergence import Convergence
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._errors import RefusedError
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._fields import Field

from tests.unit.harness import Cloud, FakeClock
from tests.unit.module_utils.box import ALL, ONE, Box, BucketLikeBox, Json, box, there


@pytest.fixture
def client(clock: FakeClock) -> Client:
    return Client(requests.Session(), timeout=600, clock=clock, rand=lambda: 1.0, environ={})


# -- creation


def test_a_refused_name_is_an_error_of_the_creation(cloud: Cloud, client: Client) -> None:
    """409 for a name that exists but cannot be read, such as another customer's bucket."""
    convergence = box(client)
    cloud.get("compute", ONE, None)
    cloud.fails("POST", "compute", ALL, 409, "conflict", body={"name": "b"})
    cloud.get("compute", ONE, None)
    with pytest.raises(GoogleError, match="conflict"):
        convergence.converge("present")
    assert convergence.doing == "create"


def test_the_result_without_wait_is_the_resource(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, None)
    cloud.mutates("POST", "compute", ALL, body={"name": "b"})
    cloud.get("compute", ONE, there())
    result = box(client, wait=False)
    result.resource.wait = True  # the operation ends, and the resource is not in a transition
    assert result.converge("present").resource == there()

    cloud.get("compute", ONE, None)
    cloud.expect("POST", "compute", ALL, {}, body={"name": "b"})
    cloud.get("compute", ONE, there(status="PENDING"))
    pending = box(client, wait=False).converge("present")
    assert (pending.changed, pending.pending, pending.resource) == (True, True, there(status="PENDING"))

    cloud.get("compute", ONE, None)
    cloud.fails("POST", "compute", ALL, 409, "alreadyExists", body={"name": "b"})
    cloud.get("compute", ONE, there(status="PENDING"))
    pending = box(client, wait=False).converge("present")
    assert (pending.pending, pending.resource) == (True, there(status="PENDING"))


def test_a_resource_that_is_deleted_after_its_creation(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, None)
    cloud.expect("POST", "compute", ALL, {}, body={"name": "b"})
    cloud.get("compute", ONE, there(status="PENDING"))
    cloud.get("compute", ONE, None)
    with pytest.raises(RefusedError) as caught:
        box(client).converge("present")
    assert str(caught.value) == "Another client deleted box b after its creation. Run again."


def test_a_new_resource_is_invisible_for_at_most_90_seconds(cloud: Cloud, client: Client, clock: FakeClock) -> None:
    cloud.get("compute", ONE, None)
    cloud.expect("POST", "compute", ALL, {}, body={"name": "b"})
    for _ in range(14):
        cloud.get("compute", ONE, None)
    with pytest.raises(RefusedError) as caught:
        box(client).converge("present")
    assert str(caught.value) == "Cannot read box b after its creation. Run again in a minute."
    assert clock.sleeps == [1.0, 2.0, 4.0, *[8.0] * 10]


def test_another_error_after_the_creation_is_not_repeated(cloud: Cloud, clock: FakeClock) -> None:
    client = Client(requests.Session(), timeout=600, clock=clock, rand=lambda: 0.0, environ={})
    cloud.get("compute", ONE, None)
    cloud.expect("POST", "compute", ALL, {}, body={"name": "b"})
    cloud.fails("GET", "compute", ONE, 400, "invalid")
    with pytest.raises(GoogleError, match="invalid"):
        box(client).converge("present")
    assert not clock.sleeps


def test_the_checks_run_before_the_requests(cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise RefusedError("no")

    monkeypatch.setattr(Box, "check_create", refuse)
    for check in (True, False):
        cloud.get("compute", ONE, None)
        with pytest.raises(RefusedError):
            box(client, check=check).converge("present")
    monkeypatch.setattr(Box, "check", refuse)
    for state in ("present", "absent"):
        cloud.get("compute", ONE, there(size="1"))
        with pytest.raises(RefusedError):
            box(client, size="2").converge(state)


def test_a_creation_after_a_lost_response_is_completed(cloud: Cloud, client: Client) -> None:
    """Another client may have created the resource first, with other values."""
    for params in ({"wait": True}, {"wait": False}):
        cloud.get("compute", ONE, None)
        cloud.fails("POST", "compute", ALL, 409, "alreadyExists", body={"name": "b", "size": "2"})
        cloud.get("compute", ONE, there(size="1"))
        cloud.expect("PATCH", "compute", ONE, {}, body={"size": "2"})
        cloud.get("compute", ONE, there(size="2"))
        result = box(client, size="2", **params).converge("present")
        assert (result.changed, result.pending, result.resource) == (True, False, there(size="2"))


def test_a_failed_creation_is_refused(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, None)
    cloud.expect("POST", "compute", ALL, {}, body={"name": "b"})
    cloud.get("compute", ONE, there(status="PENDING"))
    cloud.get("compute", ONE, there(status="LOST"))
    with pytest.raises(RefusedError) as caught:
        box(client).converge("present")
    remedy = "Inspect the box in the console, or delete it (state: absent) and run again."
    assert str(caught.value) == f"box b is in state LOST. {remedy}"


# -- update


def test_a_transition_without_wait_is_pending(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there(status="PENDING", size="1"))
    result = box(client, size="2", wait=False).converge("present")
    assert (result.changed, result.pending, result.resource) == (False, True, there(status="PENDING", size="1"))


def test_the_check_reads_the_resource(cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[Json] = []
    monkeypatch.setattr(Box, "check", lambda _, current: checked.append(current))
    cloud.get("compute", ONE, there())
    box(client).converge("present")
    assert checked == [there()]


def test_the_comparison_starts_after_a_transition(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there(status="PENDING", size="1"))
    cloud.get("compute", ONE, there(size="2"))
    cloud.expect("PATCH", "compute", ONE, {}, body={"size": "3"})
    cloud.get("compute", ONE, there(size="3"))
    result = box(client, size="3").converge("present")
    assert (result.diff["before"], result.diff["after"]) == ({"size": "2"}, {"size": "3"})


def test_a_resource_that_disappears_in_a_transition_is_created(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there(status="PENDING", size="1"))
    cloud.get("compute", ONE, None)
    cloud.expect("POST", "compute", ALL, {}, body={"name": "b", "size": "1"})
    cloud.get("compute", ONE, there(size="1"))
    result = box(client, size="1").converge("present")
    assert (result.changed, result.diff["before"], result.diff["after"]) == (True, {}, {"size": "1"})


def test_a_resource_that_is_deleted_during_the_update(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there(size="1"))
    cloud.expect("PATCH", "compute", ONE, {}, body={"size": "2"})
    cloud.get("compute", ONE, None)
    with pytest.raises(RefusedError) as caught:
        box(client, size="2").converge("present")
    assert str(caught.value) == "Another client deleted box b during the update. Run again."


@pytest.mark.parametrize("wait", [True, False])
def test_the_state_after_an_update(cloud: Cloud, client: Client, wait: bool) -> None:
    cloud.get("compute", ONE, there(size="1"))
    cloud.expect("PATCH", "compute", ONE, {}, body={"size": "2"})
    cloud.get("compute", ONE, there(size="2", status="PENDING"))
    convergence = box(client, size="2", wait=wait)
    if wait:
        cloud.get("compute", ONE, there(size="2", status="FAILED"))
        with pytest.raises(RefusedError, match="box b is in state FAILED"):
            convergence.converge("present")
    else:
        result = convergence.converge("present")
        assert (result.pending, result.resource) == (True, there(size="2", status="PENDING"))


def test_the_plan_of_an_update(cloud: Cloud, client: Client) -> None:
    current = there(size="1", place={"zone": "z", "row": "r"}, token="t", note="old", login={"user": "u", "key": "k"})
    cloud.get("compute", ONE, current)
    changes = {"size": "2", "note": "new", "login": {"user": "v", "key": "k"}}
    result = box(client, check=True, zone_name="z", token="t", image="i", **changes).converge("present")
    assert (result.changed, result.pending) == (True, False)
    assert result.resource == current | {"size": "2", "image": "i"}
    same = {"place": {"zone": "z"}, "token": "(hidden)"}
    before = {"size": "1", "note": "(hidden)", "login": "(hidden)", **same}
    after = {"size": "2", "note": "(hidden, changed)", "login": "(hidden, changed)", **same}
    assert (result.diff["before"], result.diff["after"]) == (before, after)


def test_immutable_fields_are_refused(cloud: Cloud, client: Client) -> None:
    for check in (True, False):
        cloud.get("compute", ONE, there(machineType="a", place={"zone": "z"}, token="secret-1", size="1"))
        convergence = box(client, check=check, machine_type="b", zone_name="y", token="secret-2", size="2")
        with pytest.raises(RefusedError) as caught:
            convergence.converge("present")
        assert str(caught.value) == (
            "box b cannot change machine_type (current: 'a'; desired: 'b') and zone_name (current: 'z'; desired: 'y') "
            "and token (current: (hidden); desired: (hidden)) after its creation. Restore the current value, or delete "
            "the box first (state: absent), which destroys its data."
        )


def test_the_methods_run_in_the_order_of_the_fields(
    cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[Json] = []
    for name in ("set_a", "set_b"):
        monkeypatch.setattr(Box, name, lambda _, body, __: sent.append(body), raising=False)
    fields = {"size": Field(via="set_b"), "note": Field(via="set_a"), "image": Field(via="set_b")}
    monkeypatch.setattr(Box, "fields", fields)
    for size, note in (("1", "old"), ("2", "old"), ("2", "new")):
        cloud.get("compute", ONE, there(size=size, note=note))
    box(client, size="2", note="new").converge("present")
    assert sent == [{"size": "2"}, {"note": "new"}]


def test_a_kind_can_explain_its_broken_state(cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Box, "why_broken", lambda _, current: f"Read {current['log']}.")
    cloud.get("compute", ONE, there(status="FAILED", log="the log"))
    with pytest.raises(RefusedError) as caught:
        box(client).converge("present")
    assert str(caught.value) == "box b is in state FAILED. Read the log."


def test_only_a_difference_is_an_update(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there(size="1", ranges=["b", "a"], rule={"days": 1}))
    result = box(client, size="1", ranges=["a", "b"], image="new", rule={"days": 1}).converge("present")
    assert (result.changed, result.pending) == (False, False)
    assert result.diff["before"] == result.diff["after"] == {"size": "1", "ranges": ["a", "b"], "rule": {"days": 1}}


def test_an_additional_key_of_an_exact_structure_is_a_difference(cloud: Cloud, client: Client) -> None:
    for rule, changed in (({"days": 1}, False), ({"days": 1, "isLive": False}, True)):
        cloud.get("compute", ONE, there(rule=rule))
        assert box(client, check=True, rule={"days": 1}).converge("present").changed is changed


def test_an_organization_policy_is_not_a_conflict(cloud: Cloud, client: Client, clock: FakeClock) -> None:
    details = [{"reason": "CUSTOM_ORG_POLICY_VIOLATION", "metadata": {"customConstraints": "custom.x"}}]
    cloud.get("compute", ONE, there(size="1"))
    message = "Constraint constraints/compute.x violated"
    cloud.fails("PATCH", "compute", ONE, 412, "conditionNotMet", message, body={"size": "2"}, details=details)
    with pytest.raises(GoogleError, match="constraints/compute"):
        box(client, size="2").converge("present")
    assert not clock.sleeps


@pytest.mark.parametrize(("code", "method"), [(409, "DELETE"), (400, "PATCH")])
def test_other_errors_are_not_conflicts(cloud: Cloud, client: Client, clock: FakeClock, code: int, method: str) -> None:
    cloud.get("compute", ONE, there(size="1"))
    cloud.fails(method, "compute", ONE, code, "invalid", body={"size": "2"} if method == "PATCH" else None)
    convergence = box(client, size="2")
    with pytest.raises(GoogleError, match="invalid"):
        convergence.converge("absent" if method == "DELETE" else "present")
    assert convergence.changed is True
    assert not clock.sleeps


# -- further values


def test_more_values_come_from_a_real_resource_only(
    cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Box, "more", lambda _, current: {"of": current["size"]})
    cloud.get("compute", ONE, there(size="1"))
    assert box(client).converge("present").more == {"of": "1"}
    cloud.get("compute", ONE, there(size="1"))
    assert box(client, check=True, size="1").converge("present").more == {"of": "1"}
    cloud.get("compute", ONE, there(size="1"))
    assert box(client, check=True, size="2").converge("present").more == {}
    cloud.get("compute", ONE, None)
    assert box(client).converge("absent").more == {}


def test_an_error_of_further_values_is_an_error_of_reading(
    cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Json:
        raise GoogleError(500, "backendError", "no")

    monkeypatch.setattr(Box, "more", fail)
    cloud.get("compute", ONE, there(size="1"))
    cloud.expect("PATCH", "compute", ONE, {}, body={"size": "2"})
    cloud.get("compute", ONE, there(size="2"))
    convergence = box(client, size="2")
    with pytest.raises(GoogleError):
        convergence.converge("present")
    assert convergence.doing == "read"


def test_a_disabled_api_is_planned_as_absent(cloud: Cloud, client: Client) -> None:
    details = [{"reason": "SERVICE_DISABLED", "metadata": {"service": "compute.googleapis.com"}}]
    warnings: list[str] = []
    cloud.fails("GET", "compute", ONE, 403, "accessNotConfigured", details=details)
    convergence = Convergence(Box(client, {"project": "p", "name": "b"}), check_mode=True, warn=warnings.append)
    assert convergence.converge("present").changed
    assert warnings == ["The API compute is not enabled in this project. Its resources are planned as absent."]
    for check, code, reason in ((False, 403, "accessNotConfigured"), (True, 403, "forbidden")):
        cloud.fails("GET", "compute", ONE, code, reason, details=details if code == 403 and not check else None)
        with pytest.raises(GoogleError):
            box(client, check=check).converge("present")


# -- deletion


def test_an_absent_resource(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, None)
    result = box(client, kind=BucketLikeBox).converge("absent")
    assert result.changed is False
    assert result.diff == {"before": {}, "after": {}, "before_header": "box b", "after_header": "box b"}


def test_a_deletion_waits_for_the_end_of_a_transition(cloud: Cloud, client: Client, clock: FakeClock) -> None:
    cloud.get("compute", ONE, there(status="PENDING"))
    cloud.get("compute", ONE, there())
    cloud.expect("DELETE", "compute", ONE, {})
    assert box(client).converge("absent").changed
    # The resource may be absent then.
    cloud.get("compute", ONE, there(status="PENDING"))
    cloud.get("compute", ONE, None)
    assert box(client).converge("absent").changed
    # A plan does not wait, and a run without wait leaves the transition to the service.
    cloud.get("compute", ONE, there(status="PENDING"))
    assert box(client, check=True).converge("absent").changed
    cloud.get("compute", ONE, there(status="PENDING"))
    cloud.expect("DELETE", "compute", ONE, {})
    assert box(client, wait=False).converge("absent").changed
    assert not clock.sleeps


def test_a_deletion_that_another_client_completes(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there(size="2"))
    cloud.fails("DELETE", "compute", ONE, 412, "conditionNotMet")
    cloud.get("compute", ONE, None)
    result = box(client).converge("absent")
    assert (result.changed, result.diff["before"]) == (True, {"size": "2"})


def test_a_refused_deletion_is_an_error_of_the_deletion(cloud: Cloud, client: Client) -> None:
    convergence = box(client)
    cloud.get("compute", ONE, there())
    cloud.fails("DELETE", "compute", ONE, 400, "resourceInUse")
    with pytest.raises(GoogleError, match="resourceInUse"):
        convergence.converge("absent")
    assert convergence.doing == "delete"


def test_a_deletion_gets_the_current_resource(cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    deleted: list[Json] = []
    monkeypatch.setattr(Box, "delete", lambda _, current: deleted.append(current))
    cloud.get("compute", ONE, there(size="1"))
    box(client).converge("absent")
    assert deleted == [there(size="1")]
