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
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._fields import Field
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


def test_another_error_after_the_creation_is_not_repeated(cloud: Cloud, client: Client, clock: FakeClock) -> None:
    cloud.get("compute", ONE, None)
    cloud.expect("POST", "compute", ALL, {}, body={"name": "b"})
    cloud.fails("GET", "compute", ONE, 400, "invalid")
    with pytest.raises(GoogleError, match="invalid"):
        box(client).converge("present")
    assert not clock.sleeps


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


# -- diffs


def test_the_diff_of_a_creation(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, None)
    result = box(client, check=True, ranges=["b", "a", "b"], note="x", image="i").converge("present")
    after = {"ranges": ["a", "b"], "note": "(hidden)", "image": "i"}
    assert result.diff == {"before": {}, "after": after, "before_header": "box b", "after_header": "box b"}
    assert result.resource == {"name": "b", "ranges": ["b", "a", "b"], "image": "i"}


def test_the_diff_of_a_creation_without_options_has_the_name(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, None)
    assert box(client, check=True).converge("present").diff["after"] == {"name": "b"}


# -- requests


def test_a_patch_without_the_guard_in_the_resource(cloud: Cloud, client: Client) -> None:
    cloud.get("compute", ONE, there(size="1"))
    cloud.expect("PATCH", "compute", ONE, {}, body={"size": "2"})
    cloud.get("compute", ONE, there(size="2"))
    assert box(client, size="2").converge("present").changed


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


@pytest.mark.parametrize(("current", "sent"), [({}, ""), ({"labelFingerprint": "l1"}, "l1")])
def test_set_labels_sends_the_fingerprint(cloud: Cloud, client: Client, current: Json, sent: str) -> None:
    body = {"labels": {"a": "1"}, "labelFingerprint": sent}
    cloud.expect("POST", "compute", f"{ONE}/setLabels", {}, body=body)
    box(client).resource.set_labels({"labels": {"a": "1"}}, current)


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
