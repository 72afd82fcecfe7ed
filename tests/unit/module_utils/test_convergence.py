# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Layer 3 without a module: requests, pauses, errors and diffs of a convergence."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._client import Client, GoogleError
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._convergence import Convergence
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._errors import RefusedError
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._fields import Field, Map
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._resource import Resource

from tests.unit.harness import Cloud, FakeClock

Json = dict[str, Any]
ALL = "projects/p/global/boxes"
ONE = f"{ALL}/b"


class Box(Resource):
    """A kind whose fields are all patched."""

    kind = "box"
    collection = "projects/{project}/global/boxes"
    guard = "fingerprint"
    busy = ("PENDING",)
    broken = ("FAILED", "LOST")
    options = {  # noqa: RUF012
        "token": {"type": "str", "no_log": True},
        "login": {"type": "dict", "options": {"user": {"type": "str"}, "key": {"type": "str", "no_log": True}}},
        "rule": {"type": "dict", "options": {"days": {"type": "int"}}},
        "disk": {"type": "dict", "options": {"disk_type": {"type": "str"}}},
        "ranges": {"type": "list", "options": {"ports": {"type": "list"}}},
    }
    fields = {  # noqa: RUF012
        "size": Field(),
        "machine_type": Field(immutable=True),
        "zone_name": Field(at="place.zone", immutable=True),
        "ranges": Field(unordered=True),
        "labels": Field(),
        "rule": Field(exact=True),
        "token": Field(immutable=True),
        "login": Field(),
        "note": Field(hidden=True),
        "image": Field(compare=False),
        "disk": Field(),
    }


class MaskedBox(Box):
    patch_style = "mask"
    guard = ""


class BucketLikeBox(Box):
    guard = "ifMetagenerationMatch"

    def current_value(self, option: str, current: Json) -> Any:
        """Return the current value. The API omits the default."""
        return super().current_value(option, current) or ("small" if option == "size" else None)


@pytest.fixture
def client(clock: FakeClock) -> Client:
    return Client(requests.Session(), timeout=600, clock=clock, rand=lambda: 1.0, environ={})


def box(client: Client, *, kind: type[Resource] = Box, check: bool = False, **params: Any) -> Convergence:
    return Convergence(kind(client, {"project": "p", "name": "b", **params}), check_mode=check)


def there(**changes: Any) -> Json:
    return {"name": "b", "status": "READY", **changes}


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


def test_the_diff_shows_the_removed_parts(cloud: Cloud, client: Client) -> None:
    disk = {"diskType": "ssd", "sizeGb": "10"}
    cloud.get("compute", ONE, there(ranges=["c", "b", "a"], rule={"days": 1, "isLive": False}, disk=disk))
    changes = {"ranges": ["b", "a"], "rule": {"days": 1}, "disk": {"disk_type": "hdd"}}
    result = box(client, check=True, **changes).converge("present")
    # The service adds no keys to an exact structure, so an additional key is a difference.
    before = {"ranges": ["a", "b", "c"], "rule": {"days": 1, "isLive": False}, "disk": {"diskType": "ssd"}}
    assert result.diff["before"] == before
    assert result.diff["after"] == {"ranges": ["a", "b"], "rule": {"days": 1}, "disk": {"diskType": "hdd"}}


def test_the_diff_shows_equal_parts_in_the_same_order(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there(ranges=[{"ports": ["2", "1"]}, {"ports": ["3"]}]))
    result = box(client, check=True, ranges=[{"ports": ["1", "2"]}]).converge("present")
    assert result.diff["before"] == {"ranges": [{"ports": ["1", "2"]}, {"ports": ["3"]}]}
    assert result.diff["after"] == {"ranges": [{"ports": ["1", "2"]}]}


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


def test_the_diff_of_a_deletion_hides_secrets(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there(size="2", token="secret", note="x", place={"zone": "z"}))
    result = box(client, check=True).converge("absent")
    assert result.changed is True
    before = {"size": "2", "token": "(hidden)", "note": "(hidden)", "place": {"zone": "z"}}
    assert result.diff == {"before": before, "after": {}, "before_header": "box b", "after_header": "box b"}


def test_the_diff_of_a_deletion_without_fields_has_the_name(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there())
    assert box(client, check=True).converge("absent").diff["before"] == {"name": "b"}


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


# -- diffs


def test_the_diff_of_a_creation(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, None)
    result = box(client, check=True, ranges=["b", "a", "b"], note="x", image="i").converge("present")
    after = {"ranges": ["a", "b"], "note": "(hidden)", "image": "i"}
    assert result.diff == {"before": {}, "after": after, "before_header": "box b", "after_header": "box b"}
    assert result.resource == {"name": "b", "ranges": ["b", "a", "b"], "image": "i"}
    assert result.pending is False


def test_the_diff_of_a_creation_without_options_has_the_name(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, None)
    assert box(client, check=True).converge("present").diff["after"] == {"name": "b"}


# -- requests


def test_a_patch_without_the_guard_in_the_resource(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there(size="1"))
    cloud.expect("PATCH", "compute", ONE, {}, body={"size": "2"})
    cloud.get("compute", ONE, there(size="2"))
    assert box(client, size="2").converge("present").changed


def test_a_creation_has_its_query(cloud: Cloud, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Box, "create_query", {"boxId": "{name}"})
    cloud.expect("POST", "compute", ALL, {}, body={"name": "b"}, query={"boxId": "b"})
    box(client).resource.create({"name": "b"})


def test_a_merge_patch_removes_labels(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there(labels={"goog-x": "1", "old": "1", "same": "1"}))
    cloud.expect("PATCH", "compute", ONE, {}, body={"labels": {"new": "1", "same": "1", "old": None}})
    cloud.get("compute", ONE, there(labels={"new": "1", "same": "1"}))
    assert box(client, labels={"new": "1", "same": "1"}).converge("present").changed


def test_a_mask_has_the_changed_paths_only(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there(size="1", ranges=["a"], labels={"goog-x": "1", "old": "1"}))
    body = {"size": "2", "labels": {"new": "1", "goog-x": "1"}}
    cloud.expect("PATCH", "compute", ONE, {}, body=body, query={"updateMask": "size,labels"})
    cloud.get("compute", ONE, there(size="2", ranges=["a"], labels={"new": "1"}))
    changes = {"size": "2", "ranges": ["a"], "labels": {"new": "1"}}
    assert box(client, kind=MaskedBox, **changes).converge("present").changed


def test_a_bucket_is_guarded_by_its_metageneration(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there(size="1", metageneration="7"))
    cloud.expect("PATCH", "compute", ONE, {}, body={"size": "2"}, query={"ifMetagenerationMatch": "7"})
    cloud.get("compute", ONE, there(size="2"))
    assert box(client, kind=BucketLikeBox, size="2").converge("present").changed


@pytest.mark.parametrize(
    ("current", "sent"),
    [
        ({}, {"labels": {"a": "1"}, "labelFingerprint": ""}),
        (
            {"labelFingerprint": "l1", "labels": {"goog-x": "1", "b": "2"}},
            {"labels": {"goog-x": "1", "a": "1"}, "labelFingerprint": "l1"},
        ),
    ],
)
def test_set_labels_keeps_the_labels_of_google(cloud: Cloud, client: Client, current: Json, sent: Json) -> None:
    cloud.expect("POST", "compute", f"{ONE}/setLabels", {}, body=sent)
    box(client).resource.set_labels({"labels": Map({"a": "1"})}, current)


@pytest.mark.parametrize("wait", [True, False])
def test_an_operation_is_awaited_if_wait_is_set(cloud: Cloud, client: Client, wait: bool) -> None:
    resource = box(client, wait=wait).resource
    running = {
        "kind": "compute#operation",
        "name": "o",
        "status": "RUNNING",
        "selfLink": "https://x/projects/p/global/operations/o",
    }
    cloud.expect("POST", "compute", ONE, running)
    if wait:
        cloud.expect("POST", "compute", "projects/p/global/operations/o/wait", running | {"status": "DONE"})
    assert resource.call("POST", ONE)["status"] == ("DONE" if wait else "RUNNING")
    cloud.expect("POST", "compute", ONE, {"name": "no operation"})
    assert resource.call("POST", ONE) == {"name": "no operation"}
    # An operation that ended with an error fails in both cases.
    failed = running | {"status": "DONE", "error": {"errors": [{"code": "BAD", "message": "why"}]}}
    cloud.expect("POST", "compute", ONE, failed)
    with pytest.raises(GoogleError, match="why"):
        resource.call("POST", ONE)


def test_a_call_of_another_api(cloud: Cloud, client: Client) -> None:
    cloud.expect("POST", "sql", "v1/x", {"name": "y"}, body={"a": 1}, query={"b": "2"})
    assert box(client).resource.call("POST", "v1/x", {"a": 1}, {"b": "2"}, api="sql") == {"name": "y"}


def test_a_mutation_is_repeated_while_another_operation_runs(cloud: Cloud, client: Client, clock: FakeClock) -> None:
    busy = {"errors": [{"code": "CONCURRENT_OPERATIONS_QUOTA_EXCEEDED", "message": "wait"}]}
    for _ in range(5):
        cloud.mutates("POST", "compute", ONE, failure=busy)
    cloud.mutates("POST", "compute", ONE)
    box(client).resource.call("POST", ONE)
    assert clock.sleeps == [2.0, 4.0, 8.0, 15.0, 15.0]


# -- transitions


def test_a_transition_is_polled_until_the_deadline(cloud: Cloud, client: Client, clock: FakeClock) -> None:
    resource = box(client).resource
    for status in ("PENDING", "PENDING", "PENDING", "PENDING", "PENDING", "READY"):
        cloud.get("compute", ONE, there(status=status))
    assert resource.settle(there(status="PENDING")) == there()
    assert clock.sleeps == [2.0, 4.0, 8.0, 15.0, 15.0]
    assert resource.settle(there()) == there()
    assert resource.settle(None) is None
    for _ in range(99):
        cloud.get("compute", ONE, there(status="PENDING"))
    cloud.script.assert_all_requests_are_fired = False
    with pytest.raises(GoogleError) as caught:
        resource.settle(there(status="PENDING"))
    assert (caught.value.code, caught.value.reason, caught.value.api) == (0, "deadlineExceeded", "compute")
    assert caught.value.message == "the state is still PENDING after 600 s"


def test_running_operations_end_before_the_first_poll(
    cloud: Cloud, client: Client, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = {
        "kind": "compute#operation",
        "name": "o",
        "status": "RUNNING",
        "selfLink": "https://x/projects/p/global/operations/o",
    }
    monkeypatch.setattr(Box, "running_operations", lambda _: [running])
    cloud.expect("POST", "compute", "projects/p/global/operations/o/wait", running | {"status": "DONE"})
    cloud.get("compute", ONE, there())
    resource = box(client).resource
    assert resource.settle(there(status="PENDING")) == there()
    assert resource.settle(there()) == there()
    assert not clock.sleeps


# -- names and values


def test_titles_and_paths(client: Client) -> None:
    assert box(client).resource.title == "box b"
    assert Box(client, {"project": "p", "name": ""}).title == Box(client, {"project": "p"}).title == "box"
    assert box(client).resource.self_path == ONE


def test_the_project_number(cloud: Cloud, client: Client) -> None:
    assert Box(client, {"project": 42}).project_number == "42"
    cloud.get("cloudresourcemanager", "v1/projects/p", {"projectNumber": 7})
    resource = box(client).resource
    assert resource.project_number == resource.project_number == "7"


def test_secrets_below_an_option_hide_the_option(client: Client) -> None:
    resource = box(client).resource
    assert [option for option in Box.fields if resource.hides(option)] == ["token", "login", "note"]


# -- requests that must not run twice


def lost(code: int, reason: str, url: str = "https://x") -> GoogleError:
    return GoogleError(code, reason, "no", url=url)


@pytest.mark.parametrize("error", [lost(0, "connection"), lost(500, "internalError"), lost(503, "backendError")])
@pytest.mark.parametrize("arrived", [True, False])
def test_a_lost_response_is_repeated_only_if_the_request_did_not_arrive(
    client: Client, clock: FakeClock, error: GoogleError, arrived: bool
) -> None:
    sent: list[int] = []

    def send() -> None:
        sent.append(1)
        if len(sent) == 1:
            raise error

    box(client).resource.send_once(send, lambda: arrived)
    assert len(sent) == (1 if arrived else 2)
    assert clock.sleeps == [2.0]


@pytest.mark.parametrize(
    "error",
    [
        lost(499, "cancelled"),
        lost(400, "invalid"),
        lost(500, "internalError", url=""),
        lost(0, "deadlineExceeded", url=""),
        lost(0, "connection", url=""),
    ],
)
def test_another_error_is_not_repeated(client: Client, clock: FakeClock, error: GoogleError) -> None:
    sent: list[int] = []

    def send() -> None:
        sent.append(1)
        raise error

    with pytest.raises(GoogleError):
        box(client).resource.send_once(send, lambda: False)
    assert (len(sent), clock.sleeps) == (1, [])


def test_a_request_is_repeated_for_at_most_two_minutes(client: Client, clock: FakeClock) -> None:
    def send() -> None:
        raise lost(503, "backendError")

    with pytest.raises(GoogleError):
        box(client).resource.send_once(send, lambda: False)
    assert clock.sleeps == [2.0, 4.0, 8.0, *[15.0] * 7]
