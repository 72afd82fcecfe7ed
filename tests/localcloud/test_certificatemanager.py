# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Certificate Manager against the contract: DNS authorizations and their operations."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.localcloud.harness import Local, Session

Call = Callable[..., Any]
ROOT = "/certificatemanager/v1/"
LOCATION = "projects/mlflow-local/locations/global"
PARENT = f"{ROOT}{LOCATION}/dnsAuthorizations"
NAME = f"{LOCATION}/dnsAuthorizations/mlflow"
BODY = {"domain": "mlflow.example.com", "labels": {"app": "mlflow"}}
CREATE = "certificatemanager.projects.locations.dnsAuthorizations.create"


@pytest.fixture(autouse=True)
def _enabled(local: Local) -> None:
    local.enable("certificatemanager")


def slow(call: Call) -> None:
    """Give operations the durations of Google: six seconds."""
    call("PUT", "/localcloud/profile", json={"latency": "google"})


def done(call: Call, operation: Any) -> Any:
    """Poll an operation as a client does, and return it."""
    deadline = time.monotonic() + 30
    while not operation.get("done"):
        assert time.monotonic() < deadline, operation
        operation = call("GET", ROOT + operation["name"])
    return operation


def create(call: Call, name: str = "mlflow", parent: str = PARENT, **fields: Any) -> Any:
    return done(call, call("POST", f"{parent}?dnsAuthorizationId={name}", json=BODY | fields))


def test_an_authorization_from_creation_to_deletion(call: Call) -> None:
    started = call("POST", f"{PARENT}?dnsAuthorizationId=mlflow", json=BODY)
    assert started["name"].startswith(f"{LOCATION}/operations/operation-")
    finished = done(call, started)
    metadata = finished["metadata"]
    assert metadata.pop("createTime") <= metadata.pop("endTime")
    assert metadata == {
        "@type": "type.googleapis.com/google.cloud.certificatemanager.v1.OperationMetadata",
        "target": NAME,
        "verb": "create",
        "requestedCancellation": False,
        "apiVersion": "v1",
    }
    response = finished["response"]
    assert response.pop("@type") == "type.googleapis.com/google.cloud.certificatemanager.v1.DnsAuthorization"
    assert "error" not in finished
    made = call("GET", ROOT + NAME)
    assert made == response
    assert (made["name"], made["type"], made["labels"]) == (NAME, "FIXED_RECORD", {"app": "mlflow"})
    record = made["dnsResourceRecord"]
    assert (record["name"], record["type"]) == ("_acme-challenge.mlflow.example.com.", "CNAME")
    assert record["data"].endswith(".authorize.certificatemanager.goog.")
    assert call("GET", PARENT)["dnsAuthorizations"] == [made]

    body = {"description": "new", "labels": {"app": "x"}}
    changed = done(call, call("PATCH", f"{ROOT}{NAME}?updateMask=description", json=body))["response"]
    assert (changed["description"], changed["labels"]) == ("new", {"app": "mlflow"})
    assert changed["dnsResourceRecord"] == record

    removed = done(call, call("DELETE", ROOT + NAME))
    assert removed["response"] == {"@type": "type.googleapis.com/google.protobuf.Empty"}
    call("GET", ROOT + NAME, 404)
    assert call("GET", PARENT) == {}
    # A record that stays in the zone fits the next authorization of the domain.
    assert create(call)["response"]["dnsResourceRecord"] == record


def test_records_of_one_project_in_a_region(call: Call) -> None:
    parent = f"{ROOT}projects/100000000001/locations/europe-west1/dnsAuthorizations"
    made = create(call, parent=parent)["response"]
    assert made["name"] == "projects/mlflow-local/locations/europe-west1/dnsAuthorizations/mlflow"
    assert made["type"] == "PER_PROJECT_RECORD"
    challenge, _, domain = made["dnsResourceRecord"]["name"].partition(".")
    assert (len(challenge), domain) == (len("_acme-challenge_") + 16, "mlflow.example.com.")
    create(call)
    everywhere = call("GET", f"{ROOT}projects/mlflow-local/locations/-/dnsAuthorizations")["dnsAuthorizations"]
    assert len(everywhere) == 2
    assert len(call("GET", PARENT)["dnsAuthorizations"]) == 1


@pytest.mark.parametrize(
    ("name", "fields", "field"),
    [
        ("1a", {}, "dns_authorization_id"),
        ("a_b", {}, "dns_authorization_id"),
        ("a", {"domain": "*.example.com"}, "dns_authorization.domain"),
        ("a", {"domain": "example.com."}, "dns_authorization.domain"),
        ("a", {"domain": None}, "dns_authorization.domain"),
        ("a", {"labels": {"App": "x"}}, "dns_authorization.labels"),
    ],
)
def test_refused_authorizations(call: Call, name: str, fields: dict[str, Any], field: str) -> None:
    error = call("POST", f"{PARENT}?dnsAuthorizationId={name}", 400, json=BODY | fields)["error"]
    assert error["details"][0]["fieldViolations"][0]["field"] == field
    assert call("GET", f"{ROOT}{LOCATION}/operations") == {}


def test_refused_changes(call: Call) -> None:
    create(call)
    error = call("POST", f"{PARENT}?dnsAuthorizationId=mlflow", 409, json=BODY)["error"]
    assert (error["status"], error["message"]) == ("ALREADY_EXISTS", f"Resource '{NAME}' already exists")
    assert (
        "immutable"
        in call("PATCH", f"{ROOT}{NAME}?updateMask=domain", 400, json={"domain": "x.com"})["error"]["message"]
    )
    assert "unknown" in call("PATCH", f"{ROOT}{NAME}?updateMask=colour", 400, json={})["error"]["message"]
    call("PATCH", ROOT + NAME, 400, json={"description": "x"})
    call("PATCH", f"{ROOT}{LOCATION}/dnsAuthorizations/other?updateMask=labels", 404, json={})
    call("DELETE", f"{ROOT}{LOCATION}/dnsAuthorizations/other", 404)
    message = call("GET", f"{ROOT}projects/mlflow-local/locations/moon/dnsAuthorizations", 403)["error"]["message"]
    assert message == "Permission denied on 'locations/moon' (or it may not exist)."


def test_permissions(local: Local, call: Call) -> None:
    create(call)
    (operation,) = call("GET", f"{ROOT}{LOCATION}/operations")["operations"]
    viewer = local.session_as(local.account("viewer", "roles/certificatemanager.viewer"))
    viewer.call("GET", ROOT + NAME)
    viewer.call("GET", ROOT + operation["name"])
    for verb, path in (("DELETE", NAME), ("DELETE", operation["name"]), ("POST", operation["name"] + ":cancel")):
        assert "Permission 'certificatemanager." in viewer.call(verb, ROOT + path, 403)["error"]["message"]
    editor = local.session_as(local.account("editor", "roles/certificatemanager.editor"))
    create(editor.call, "by-editor")
    editor.call("DELETE", ROOT + NAME, 403)
    local.cloud.projects.disable("mlflow-local", "certificatemanager.googleapis.com")
    assert call("GET", ROOT + NAME, 403)["error"]["details"][0]["reason"] == "SERVICE_DISABLED"


# -- operations


def test_one_operation_at_a_time(call: Call) -> None:
    slow(call)
    call("POST", f"{PARENT}?dnsAuthorizationId=mlflow", json=BODY)
    error = call("POST", f"{PARENT}?dnsAuthorizationId=mlflow", 409, json=BODY)["error"]
    assert (error["status"], error["message"]) == ("ABORTED", "unable to queue the operation")
    call("POST", f"{PARENT}?dnsAuthorizationId=other", json=BODY)
    call("GET", ROOT + NAME, 404)


def test_a_cancelled_operation_changes_nothing(call: Call) -> None:
    slow(call)
    started = call("POST", f"{PARENT}?dnsAuthorizationId=mlflow", json=BODY)
    assert "done" not in started
    began = time.monotonic()
    assert call("POST", f"{ROOT}{started['name']}:cancel", json={}) == {}
    finished = done(call, started)
    assert time.monotonic() - began < 4, "the cancellation does not wait for the operation's duration"
    assert finished["metadata"]["requestedCancellation"] is True
    assert (finished["error"]["code"], "response" in finished) == (1, False)
    call("GET", ROOT + NAME, 404)
    call("POST", f"{ROOT}{started['name']}:cancel", json={})
    assert call("GET", ROOT + started["name"]) == finished


def test_a_deleted_operation_goes_on(local: Local, call: Call) -> None:
    call("PUT", "/localcloud/profile", json={"latency": "google", "scale": 0.2})
    started = call("POST", f"{PARENT}?dnsAuthorizationId=mlflow", json=BODY)
    assert call("DELETE", ROOT + started["name"]) == {}
    call("GET", ROOT + started["name"], 404)
    assert call("GET", f"{ROOT}{LOCATION}/operations") == {}
    deadline = time.monotonic() + 20
    while not call("GET", PARENT):
        assert time.monotonic() < deadline
    deadline = time.monotonic() + 20
    while local.cloud.store.collection("operations").list():
        assert time.monotonic() < deadline, "the document of the deleted operation stays"


def test_a_restart_resumes_and_cancels(local: Local, owner: Session) -> None:
    call = owner.call
    slow(call)
    kept = call("POST", f"{PARENT}?dnsAuthorizationId=kept", json=BODY)
    local.restart()
    call("PUT", "/localcloud/profile", json={"name": "none"})
    assert "error" not in done(call, call("GET", ROOT + kept["name"]))
    assert call("GET", f"{ROOT}{LOCATION}/dnsAuthorizations/kept")["domain"] == "mlflow.example.com"


def test_lists_of_operations(call: Call) -> None:
    create(call, "a")
    create(call, "b", f"{ROOT}projects/mlflow-local/locations/europe-west1/dnsAuthorizations")
    create(call, "c")
    path = f"{ROOT}{LOCATION}/operations"
    targets = [each["metadata"]["target"].rpartition("/")[2] for each in call("GET", path)["operations"]]
    assert targets == ["c", "a"]
    first = call("GET", f"{path}?pageSize=1")
    assert len(first["operations"]) == 1
    rest = call("GET", f"{path}?pageSize=1&pageToken={first['nextPageToken']}")
    assert [len(rest["operations"]), "nextPageToken" in rest] == [1, False]
    assert len(call("GET", f"{ROOT}projects/mlflow-local/locations/-/operations")["operations"]) == 3
    call("GET", f"{path}?filter=done%3Dtrue", 501)
    name = first["operations"][0]["name"]
    call("GET", ROOT + name.replace("global", "europe-west1"), 404)
    call("GET", ROOT + name.replace("mlflow-local", "100000000001"))
    call("DELETE", ROOT + name)
    call("GET", ROOT + name, 404)


def test_operations_of_other_services_are_not_found(local: Local, call: Call) -> None:
    body = {"name": "net", "autoCreateSubnetworks": False}
    operation = call("POST", "/compute/v1/projects/mlflow-local/global/networks", json=body)
    call("GET", f"{ROOT}{LOCATION}/operations/{operation['name']}", 404)


def test_a_fault_in_the_operation(call: Call) -> None:
    call("POST", "/localcloud/faults", json={"method": CREATE, "code": 503, "operation": True})
    finished = create(call)
    assert (finished["error"]["code"], "response" in finished) == (14, False)
    call("GET", ROOT + NAME, 404)
