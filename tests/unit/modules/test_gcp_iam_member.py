# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mlops.mlflow_gcp.plugins.modules import gcp_iam_member

from tests.unit.harness import Cloud, FakeClock, Play

ROLE = "roles/logging.logWriter"
MEMBER = "serviceAccount:mlflow-server@my-project.iam.gserviceaccount.com"
ADDER = "roles/secretmanager.secretVersionAdder"
OTHER = "user:someone@example.com"
PROJECT = "v1/projects/my-project"
V3 = {"options": {"requestedPolicyVersion": 3}}
CONDITION = {"title": "until spring", "expression": "request.time < timestamp('2027-03-01T00:00:00Z')"}
# Two bindings that must not change: another role, and our role with a condition.
FOREIGN: list[dict[str, Any]] = [
    {"role": "roles/owner", "members": [OTHER]},
    {"role": ROLE, "members": [OTHER], "condition": CONDITION},
]


def policy(*bindings: dict[str, Any], etag: str = "one") -> dict[str, Any]:
    return {"version": 3, "etag": etag, "bindings": [*FOREIGN, *bindings], "auditConfigs": [{"service": "allServices"}]}


def ours(*members: str) -> dict[str, Any]:
    return {"role": ROLE, "members": list(members)}


def reads(cloud: Cloud, answer: dict[str, Any]) -> None:
    cloud.expect("POST", "cloudresourcemanager", f"{PROJECT}:getIamPolicy", answer, body=V3)


def writes(cloud: Cloud, desired: dict[str, Any]) -> None:
    cloud.expect("POST", "cloudresourcemanager", f"{PROJECT}:setIamPolicy", desired, body={"policy": desired})


def run(play: Play, **params: Any) -> dict[str, Any]:
    return play(gcp_iam_member, **{"scope": "project", "role": ROLE, "member": MEMBER, **params})


def test_adds_a_binding_and_keeps_the_others(cloud: Cloud, play: Play) -> None:
    reads(cloud, policy())
    reads(cloud, policy())
    writes(cloud, policy(ours(MEMBER)))
    reads(cloud, policy(ours(MEMBER)))
    result = run(play)
    assert result["changed"]
    assert result["resource"] == {"role": ROLE, "member": MEMBER}
    assert result["diff"]["before"] == {}
    assert result["diff"]["after"] == {"role": ROLE, "member": MEMBER}


def test_joins_the_members_of_its_binding(cloud: Cloud, play: Play) -> None:
    reads(cloud, policy(ours(OTHER)))
    reads(cloud, policy(ours(OTHER)))
    writes(cloud, policy(ours(OTHER, MEMBER)))
    reads(cloud, policy(ours(OTHER, MEMBER)))
    assert run(play)["changed"]


def test_a_condition_is_a_binding_of_its_own(cloud: Cloud, play: Play) -> None:
    reads(cloud, policy(ours(MEMBER)))
    desired = policy(ours(MEMBER))
    desired["bindings"][1] = {**desired["bindings"][1], "members": [OTHER, MEMBER]}
    reads(cloud, policy(ours(MEMBER)))
    writes(cloud, desired)
    reads(cloud, desired)
    result = run(play, condition=CONDITION)
    assert result["changed"]
    assert result["resource"]["condition"] == CONDITION


@pytest.mark.parametrize("spelled", [MEMBER, MEMBER.replace("mlflow-server", "MLflow-Server")])
def test_an_equal_resource_is_not_changed(cloud: Cloud, play: Play, spelled: str) -> None:
    reads(cloud, policy(ours(OTHER, MEMBER)))
    result = run(play, member=spelled)
    assert not result["changed"]
    assert result["diff"]["before"] == result["diff"]["after"]


@pytest.mark.parametrize(
    ("status", "reason", "message"),
    [
        (409, "ABORTED", "There were concurrent policy changes."),
        (412, "conditionNotMet", "etag"),
        (400, "INVALID_ARGUMENT", "Service account mlflow-server@my-project.iam.gserviceaccount.com does not exist."),
    ],
)
def test_reads_the_policy_again_after_a_conflict_or_for_a_new_member(
    cloud: Cloud, play: Play, clock: FakeClock, status: int, reason: str, message: str
) -> None:
    reads(cloud, policy())
    reads(cloud, policy())
    refused = {"policy": policy(ours(MEMBER))}
    cloud.fails("POST", "cloudresourcemanager", f"{PROJECT}:setIamPolicy", status, reason, message, body=refused)
    reads(cloud, policy(ours(OTHER), etag="two"))
    writes(cloud, policy(ours(OTHER, MEMBER), etag="two"))
    reads(cloud, policy(ours(OTHER, MEMBER), etag="three"))
    assert run(play)["changed"]
    assert clock.sleeps


def test_does_not_wait_for_ever_for_a_member(
    cloud: Cloud, play: Play, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "sleep", lambda _: setattr(clock, "time", clock.time + 100))
    reads(cloud, policy())
    for _ in range(2):
        reads(cloud, policy())
        cloud.fails(
            "POST",
            "cloudresourcemanager",
            f"{PROJECT}:setIamPolicy",
            400,
            "INVALID_ARGUMENT",
            "Service account x does not exist.",
            body={"policy": policy(ours(MEMBER))},
        )
    result = run(play, fails=True)
    assert f"Cannot create {ROLE} for {MEMBER} on project my-project" in result["msg"]
    assert "Service account x does not exist." in result["msg"]


def test_other_refusals_are_told_at_once(cloud: Cloud, play: Play) -> None:
    reads(cloud, policy())
    reads(cloud, policy())
    body = {"policy": policy(ours(MEMBER))}
    cloud.fails("POST", "cloudresourcemanager", f"{PROJECT}:setIamPolicy", 400, "badRequest", "bad role", body=body)
    assert "bad role" in run(play, fails=True)["msg"]


def test_plans_without_writing(cloud: Cloud, play: Play) -> None:
    reads(cloud, policy())
    result = run(play, check=True)
    assert result["changed"]
    assert result["diff"]["after"] == {"role": ROLE, "member": MEMBER}
    reads(cloud, policy(ours(MEMBER)))
    assert run(play, check=True, state="absent")["changed"]


def test_takes_the_member_out_and_nothing_else(cloud: Cloud, play: Play) -> None:
    reads(cloud, policy(ours(OTHER, MEMBER)))
    reads(cloud, policy(ours(OTHER, MEMBER)))
    writes(cloud, policy(ours(OTHER)))
    result = run(play, state="absent")
    assert result["changed"]
    assert result["diff"]["before"] == {"role": ROLE, "member": MEMBER}
    assert result["diff"]["after"] == {}


def test_a_binding_without_members_is_removed(cloud: Cloud, play: Play) -> None:
    reads(cloud, policy(ours(MEMBER)))
    reads(cloud, policy(ours(MEMBER)))
    writes(cloud, policy())
    assert run(play, state="absent")["changed"]
    reads(cloud, policy())
    assert not run(play, state="absent")["changed"]


def test_a_member_that_was_removed_concurrently_is_done(cloud: Cloud, play: Play) -> None:
    reads(cloud, policy(ours(MEMBER)))
    reads(cloud, policy())
    assert run(play, state="absent")["changed"]


@pytest.mark.parametrize(
    ("scope", "resource", "read", "write", "wrapped"),
    [
        (
            "bucket",
            "artifacts",
            ("GET", "storage", "b/artifacts/iam", {"optionsRequestedPolicyVersion": "3"}),
            ("PUT", "storage", "b/artifacts/iam"),
            False,
        ),
        (
            "secret",
            "password",
            ("GET", "secretmanager", f"{PROJECT}/secrets/password:getIamPolicy", gcp_iam_member._READ),
            ("POST", "secretmanager", f"{PROJECT}/secrets/password:setIamPolicy"),
            True,
        ),
        (
            "service_account",
            "server",
            (
                "POST",
                "iam",
                f"{PROJECT}/serviceAccounts/server@my-project.iam.gserviceaccount.com:getIamPolicy",
                gcp_iam_member._READ,
            ),
            ("POST", "iam", f"{PROJECT}/serviceAccounts/server@my-project.iam.gserviceaccount.com:setIamPolicy"),
            True,
        ),
        (
            "managed_zone",
            "example-com",
            ("POST", "dns", "projects/my-project/managedZones/example-com:getIamPolicy", {}),
            ("POST", "dns", "projects/my-project/managedZones/example-com:setIamPolicy"),
            True,
        ),
    ],
)
def test_scopes(cloud: Cloud, play: Play, scope: str, resource: str, read: Any, write: Any, wrapped: bool) -> None:
    method, api, path, query = read
    desired = policy(ours(MEMBER))
    asked: Any = {"query": query} if query else {"body": V3}
    for answer in (policy(), policy()):
        cloud.expect(method, api, path, answer, **asked)
    cloud.expect(*write, desired, body={"policy": desired} if wrapped else desired)
    cloud.expect(method, api, path, desired, **asked)
    assert run(play, scope=scope, resource=resource)["changed"]


def test_a_refused_policy_of_a_managed_zone_names_the_role(cloud: Cloud, play: Play) -> None:
    """Cloud DNS answers only `Forbidden`."""
    path = "projects/my-project/managedZones/example-com:getIamPolicy"
    cloud.fails("POST", "dns", path, 403, "PERMISSION_DENIED", "Forbidden", body=V3)
    said = run(play, fails=True, scope="managed_zone", resource="example-com")["msg"]
    assert "has managed zone example-com, and grant this account the role roles/dns.admin" in said


def test_plans_for_a_resource_that_does_not_exist_yet(cloud: Cloud, play: Play) -> None:
    path = f"{PROJECT}/secrets/password:getIamPolicy"
    cloud.get("secretmanager", path, None, query=gcp_iam_member._READ)
    result = run(play, check=True, scope="secret", resource="password")
    assert result["changed"]
    assert result["resource"] == {"role": ROLE, "member": MEMBER}


def test_fails_for_a_resource_that_does_not_exist(cloud: Cloud, play: Play) -> None:
    path = f"{PROJECT}/secrets/password:getIamPolicy"
    cloud.get("secretmanager", path, None, query=gcp_iam_member._READ)
    cloud.get("secretmanager", path, None, query=gcp_iam_member._READ)
    result = run(play, fails=True, scope="secret", resource="password")
    assert "on secret password" in result["msg"]
    assert not result["changed"]


def test_needs_to_know_on_what(play: Play) -> None:
    assert "resource" in run(play, fails=True, scope="bucket")["msg"]


def test_waits_for_a_service_account_that_is_too_new_to_have_a_policy(
    cloud: Cloud, play: Play, clock: FakeClock
) -> None:
    path = "v1/projects/my-project/serviceAccounts/new@my-project.iam.gserviceaccount.com"
    query = {"options.requestedPolicyVersion": "3"}
    for _ in range(2):
        cloud.fails("POST", "iam", f"{path}:getIamPolicy", 404, "NOT_FOUND", query=query)
    cloud.expect("POST", "iam", f"{path}:getIamPolicy", {"etag": "one"}, query=query)
    binding = {"role": ROLE, "members": [MEMBER]}
    body = {"policy": {"etag": "one", "bindings": [binding], "version": 3}}
    cloud.expect("POST", "iam", f"{path}:setIamPolicy", {}, body=body)
    cloud.expect("POST", "iam", f"{path}:getIamPolicy", {"bindings": [binding]}, query=query)
    desired = {"scope": "service_account", "resource": "new", "role": ROLE, "member": MEMBER}
    assert play(gcp_iam_member, **desired)["changed"]
    assert clock.sleeps


STALE = f"deleted:{MEMBER}?uid=123456789012345678901"
GONE = [f"deleted:{kind}:Gone@example.com?uid={n}" for n, kind in enumerate(("user", "group", "serviceAccount"), 1)]
SECRET = f"{PROJECT}/secrets/it"
ACCOUNT = f"{PROJECT}/serviceAccounts/it@my-project.iam.gserviceaccount.com"
SCOPES = {
    "project": ("cloudresourcemanager", "POST", f"{PROJECT}:getIamPolicy", "POST", f"{PROJECT}:setIamPolicy"),
    "bucket": ("storage", "GET", "b/it/iam", "PUT", "b/it/iam"),
    "secret": ("secretmanager", "GET", f"{SECRET}:getIamPolicy", "POST", f"{SECRET}:setIamPolicy"),
    "service_account": ("iam", "POST", f"{ACCOUNT}:getIamPolicy", "POST", f"{ACCOUNT}:setIamPolicy"),
}
QUERIES = {"bucket": {"optionsRequestedPolicyVersion": "3"}}


def reads_at(cloud: Cloud, scope: str, answer: dict[str, Any]) -> None:
    api, method, path = SCOPES[scope][:3]
    if scope == "project":
        cloud.expect(method, api, path, answer, body=V3)
    else:
        cloud.expect(method, api, path, answer, query=QUERIES.get(scope, {"options.requestedPolicyVersion": "3"}))


def writes_at(cloud: Cloud, scope: str, desired: dict[str, Any], refusal: str = "") -> None:
    api, _, _, method, path = SCOPES[scope]
    body = desired if scope == "bucket" else {"policy": desired}
    if refusal:
        cloud.fails(method, api, path, 400, "INVALID_ARGUMENT", refusal, body=body)
    else:
        cloud.expect(method, api, path, desired, body=body)


@pytest.mark.parametrize("condition", [None, CONDITION], ids=["plain", "conditional"])
@pytest.mark.parametrize("scope", SCOPES)
def test_replaces_a_deleted_account_of_the_same_name(
    cloud: Cloud, play: Play, scope: str, condition: dict[str, str] | None
) -> None:
    """A recreated account is another identity. Its deleted member stayed in the policy, and setIamPolicy failed."""
    extra = {"condition": condition} if condition else {}
    other = {"role": "roles/viewer", "members": [*GONE, STALE]}
    binding = {"role": ROLE, "members": [*GONE, OTHER, STALE.replace("mlflow-server", "MLflow-Server")], **extra}
    stored = {"version": 3, "etag": "one", "bindings": [other, binding]}
    desired = stored | {"bindings": [other, binding | {"members": [*GONE, OTHER, MEMBER]}]}
    reads_at(cloud, scope, stored)
    reads_at(cloud, scope, stored)
    writes_at(cloud, scope, desired)
    reads_at(cloud, scope, desired)
    result = run(play, scope=scope, resource=None if scope == "project" else "it", condition=condition)
    assert result["changed"]
    assert result["removed_deleted_members"] == []


@pytest.mark.parametrize("members", [[STALE], [MEMBER, STALE]])
def test_removes_the_deleted_account_too(cloud: Cloud, play: Play, members: list[str]) -> None:
    reads(cloud, policy(ours(*members, *GONE)))
    reads(cloud, policy(ours(*members, *GONE)))
    writes(cloud, policy(ours(*GONE)))
    assert run(play, state="absent")["changed"]


def test_a_policy_with_deleted_accounts_of_others_is_read_again_when_it_is_refused(
    cloud: Cloud, play: Play, clock: FakeClock
) -> None:
    """The account was undeleted or purged between reading and writing. The resulting 400 was not retried."""
    reads(cloud, policy(ours(*GONE)))
    reads(cloud, policy(ours(*GONE)))
    writes_at(cloud, "project", policy(ours(*GONE, MEMBER)), "Request contains an invalid argument.")
    reads(cloud, policy(ours("user:gone@example.com"), etag="two"))
    writes(cloud, policy(ours("user:gone@example.com", MEMBER), etag="two"))
    reads(cloud, policy(ours("user:gone@example.com", MEMBER), etag="three"))
    result = run(play)
    assert result["changed"]
    assert result["removed_deleted_members"] == []
    assert clock.sleeps


def test_a_deleted_account_that_google_refuses_twice_is_removed(cloud: Cloud, play: Play) -> None:
    dead, alive = GONE[0], GONE[1].replace("Gone", "elsewhere")
    reads(cloud, policy(ours(dead, alive)))
    for _ in range(2):
        reads(cloud, policy(ours(dead, alive)))
        writes_at(cloud, "project", policy(ours(dead, alive, MEMBER)), "User gone@example.com does not exist.")
    reads(cloud, policy(ours(dead, alive)))
    writes(cloud, policy(ours(alive, MEMBER)))
    reads(cloud, policy(ours(alive, MEMBER)))
    assert run(play)["removed_deleted_members"] == [dead]


def test_no_role_is_given_to_a_deleted_account(cloud: Cloud, play: Play) -> None:
    reads(cloud, policy())
    assert "is a deleted account" in run(play, member=STALE, fails=True)["msg"]


@pytest.mark.parametrize("member", ["allUsers", "allAuthenticatedUsers"])
def test_removes_public_members(cloud: Cloud, play: Play, member: str) -> None:
    opened = policy(ours(MEMBER, member), {"role": "roles/viewer", "members": [member]})
    reads(cloud, opened)
    reads(cloud, opened)
    writes(cloud, policy(ours(MEMBER)))
    reads(cloud, policy(ours(MEMBER)))
    result = run(play, public_members="absent")
    assert result["changed"]
    assert result["diff"]["before"]["publicMembers"] == member
    assert result["diff"]["after"]["publicMembers"] == "absent"


def test_grants_a_role_and_removes_public_members_in_one_request(cloud: Cloud, play: Play) -> None:
    opened = policy({"role": "roles/viewer", "members": ["allUsers"]})
    reads(cloud, opened)
    reads(cloud, opened)
    writes(cloud, policy(ours(MEMBER)))
    reads(cloud, policy(ours(MEMBER)))
    assert run(play, public_members="absent")["changed"]


def test_removes_other_roles_of_the_member_and_no_other_member(cloud: Cloud, play: Play) -> None:
    """The same read shows the role and the absent roles."""
    adders = {"role": ADDER, "members": [OTHER]}
    surplus = policy(ours(MEMBER), adders | {"members": [OTHER, MEMBER]})
    reads(cloud, surplus)
    assert run(play, absent_roles=[ADDER], check=True)["changed"]
    reads(cloud, surplus)
    reads(cloud, surplus)
    writes(cloud, policy(ours(MEMBER), adders))
    reads(cloud, policy(ours(MEMBER), adders))
    result = run(play, absent_roles=[ADDER])
    assert result["changed"]
    assert result["diff"]["before"]["absentRoles"] == []
    reads(cloud, policy(ours(MEMBER), adders))
    assert not run(play, absent_roles=[ADDER])["changed"]


def test_grants_a_role_and_removes_another_in_one_request(cloud: Cloud, play: Play) -> None:
    before = policy({"role": ADDER, "members": [MEMBER]})
    reads(cloud, before)
    reads(cloud, before)
    writes(cloud, policy(ours(MEMBER)))
    reads(cloud, policy(ours(MEMBER)))
    assert run(play, absent_roles=[ADDER])["changed"]


def test_a_policy_without_public_members_is_not_changed(cloud: Cloud, play: Play) -> None:
    reads(cloud, policy(ours(MEMBER)))
    assert not run(play, public_members="absent")["changed"]


def test_removes_a_member_and_public_members_with_one_read(cloud: Cloud, play: Play) -> None:
    opened = policy(ours(OTHER), {"role": "roles/viewer", "members": ["allUsers"]})
    reads(cloud, opened)
    reads(cloud, opened)
    writes(cloud, policy(ours(OTHER)))
    result = run(play, state="absent", public_members="absent")
    assert result["changed"]
    assert result["diff"]["before"]["publicMembers"] == "allUsers"
    reads(cloud, policy(ours(OTHER)))
    assert not run(play, state="absent", public_members="absent")["changed"]
