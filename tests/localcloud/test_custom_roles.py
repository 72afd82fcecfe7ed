# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Custom IAM roles. `gcloud iam roles create` answered 501, and a binding of a custom role granted nothing."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.localcloud.harness import Local, Session
from tests.localcloud.test_clients import Gcloud, gcloud

__all__ = ["gcloud"]

OWNER = "owner@mlflow-local.iam.gserviceaccount.com"
PROJECT = "/iam/v1/projects/mlflow-local"
ROLES = f"{PROJECT}/roles"
NAME = "projects/mlflow-local/roles/vm.reader"
SECRETS = "/secretmanager/v1/projects/mlflow-local/secrets"
POLICY = "/cloudresourcemanager/v1/projects/mlflow-local"
BODY = {
    "roleId": "vm.reader",
    "role": {
        "title": "VM reader",
        "description": "Reads VMs",
        "stage": "GA",
        "includedPermissions": ["compute.instances.list", "compute.instances.get"],
    },
}


def message(answer: Any, status: str) -> str:
    assert answer["error"]["status"] == status, answer
    return str(answer["error"]["message"])


def grant(call: Any, role: str, member: str, code: int = 200) -> Any:
    policy = call("POST", f"{POLICY}:getIamPolicy", json={"options": {"requestedPolicyVersion": 3}})
    policy["bindings"].append({"role": role, "members": [member]})
    return call("POST", f"{POLICY}:setIamPolicy", code, json={"policy": policy})


def test_life_of_a_custom_role(call: Any) -> None:
    made = call("POST", ROLES, json=BODY)
    assert made["name"] == NAME
    assert made["includedPermissions"] == ["compute.instances.get", "compute.instances.list"]
    assert (made["title"], made["description"], made["stage"]) == ("VM reader", "Reads VMs", "GA")
    assert call("GET", f"{ROLES}/vm.reader") == made
    assert call("GET", "/iam/v1/projects/100000000001/roles/vm.reader") == made
    assert "already exists" in message(call("POST", ROLES, 409, json=BODY), "ALREADY_EXISTS")

    changed = call("PATCH", f"{ROLES}/vm.reader?updateMask=title,stage", json={"title": "New", "stage": "BETA"})
    assert changed == made | {"title": "New", "stage": "BETA", "etag": changed["etag"]}
    assert changed["etag"] != made["etag"]
    stale = {"title": "Newer", "etag": made["etag"]}
    message(call("PATCH", f"{ROLES}/vm.reader?updateMask=title", 409, json=stale), "ABORTED")
    message(call("DELETE", f"{ROLES}/vm.reader?etag={made['etag'].replace('+', '%2B')}", 409), "ABORTED")
    removed = call("PATCH", f"{ROLES}/vm.reader?updateMask=description", json={"etag": changed["etag"]})
    assert "description" not in removed
    call("PATCH", f"{ROLES}/vm.reader?updateMask=nonsense", 400, json={})
    call("PATCH", f"{ROLES}/none?updateMask=title", 404, json={"title": "x"})

    assert call("DELETE", f"{ROLES}/vm.reader")["deleted"] is True
    assert call("GET", f"{ROLES}/vm.reader")["deleted"] is True
    for verb, path, body in (
        ("DELETE", f"{ROLES}/vm.reader", None),
        ("PATCH", f"{ROLES}/vm.reader?updateMask=title", {"title": "x"}),
    ):
        message(call(verb, path, 400, json=body), "FAILED_PRECONDITION")
    restored = call("POST", f"{ROLES}/vm.reader:undelete", json={})
    assert "deleted" not in restored
    message(call("POST", f"{ROLES}/vm.reader:undelete", 400, json={}), "FAILED_PRECONDITION")
    for verb, path in (("GET", f"{ROLES}/none"), ("DELETE", f"{ROLES}/none"), ("POST", f"{ROLES}/none:undelete")):
        call(verb, path, 404)


def test_stage_alpha_and_empty_fields_are_left_out(call: Any) -> None:
    made = call("POST", ROLES, json={"roleId": "abc", "role": {}})
    assert set(made) == {"name", "etag"}
    call("PATCH", f"{ROLES}/abc?updateMask=stage", json={"stage": "GA"})
    assert "stage" not in call("PATCH", f"{ROLES}/abc?updateMask=stage", json={"stage": "ALPHA"})


@pytest.mark.parametrize(
    ("role_id", "role"),
    [
        ("ab", {}),
        ("a" * 65, {}),
        ("with-dash", {}),
        ("", {}),
        ("fine", {"title": "t" * 101}),
        ("fine", {"title": "ä" * 51}),
        ("fine", {"description": "d" * 257}),
        ("fine", {"stage": "FINISHED"}),
        ("fine", {"name": "projects/mlflow-local/roles/fine"}),
        ("fine", {"includedPermissions": ["compute.instances.fly"]}),
        ("fine", {"includedPermissions": ["compute.nonsense.get"]}),
        ("fine", {"includedPermissions": ["nonsense"]}),
        ("fine", {"includedPermissions": ["nothing.instances.get"]}),
        ("fine", {"includedPermissions": ["compute.*"]}),
        ("fine", {"includedPermissions": ["resourcemanager.projects.list"]}),
    ],
)
def test_bad_roles_are_refused(call: Any, role_id: str, role: dict[str, Any]) -> None:
    message(call("POST", ROLES, 400, json={"roleId": role_id, "role": role}), "INVALID_ARGUMENT")
    assert call("GET", f"{ROLES}?showDeleted=true") == {}


def test_an_unknown_permission_is_named(call: Any) -> None:
    body = {"roleId": "fine", "role": {"includedPermissions": ["compute.instances.get", "compute.instances.fly"]}}
    text = message(call("POST", ROLES, 400, json=body), "INVALID_ARGUMENT")
    assert text == "Permission compute.instances.fly is not valid."
    elsewhere = ["pubsub.topics.publish", "resourcemanager.tagKeys.get", "iam.workloadIdentityPools.list"]
    call("POST", ROLES, json={"roleId": "fine", "role": {"includedPermissions": elsewhere}})
    call("PATCH", f"{ROLES}/fine", 400, json={"includedPermissions": ["compute.instances.fly"]})


def test_lists_have_views_pages_and_deleted_roles(call: Any) -> None:
    for number in range(3):
        call("POST", ROLES, json={"roleId": f"role{number}", "role": BODY["role"]})
    call("DELETE", f"{ROLES}/role1")
    basic = call("GET", ROLES)["roles"]
    assert [r["name"][-5:] for r in basic] == ["role0", "role2"]
    assert "includedPermissions" not in basic[0]
    assert call("GET", f"{ROLES}?view=FULL")["roles"][0]["includedPermissions"]
    assert [r.get("deleted") for r in call("GET", f"{ROLES}?showDeleted=true")["roles"]] == [None, True, None]
    page = call("GET", f"{ROLES}?pageSize=1")
    rest = call("GET", f"{ROLES}?pageSize=1&pageToken={page['nextPageToken']}")
    assert [r["name"][-5:] for r in page["roles"] + rest["roles"]] == ["role0", "role2"]
    assert "nextPageToken" not in rest
    by_parent = call("GET", "/iam/v1/roles?parent=projects/mlflow-local&view=FULL")["roles"]
    assert [r["name"][-5:] for r in by_parent] == ["role0", "role2"]
    predefined = call("GET", "/iam/v1/roles?view=FULL&pageSize=1000")["roles"]
    viewer = next(r for r in predefined if r["name"] == "roles/compute.viewer")
    assert "compute.instances.get" in viewer["includedPermissions"]
    assert "compute.instances.get" in call("GET", "/iam/v1/roles/compute.viewer")["includedPermissions"]


def test_a_member_has_exactly_the_permissions_of_the_role(local: Local, call: Any) -> None:
    """A binding of a custom role grants its permissions, unless the role is disabled or deleted."""
    body = {"roleId": "reader", "role": {"includedPermissions": ["secretmanager.secrets.list"]}}
    role = call("POST", ROLES, json=body)["name"]
    member = local.session_as(local.account("someone"))
    member.call("GET", SECRETS, 403)
    grant(call, role, f"serviceAccount:{local.account('other')}")
    member.call("GET", SECRETS, 403)
    grant(call, role, "serviceAccount:someone@mlflow-local.iam.gserviceaccount.com")
    member.call("GET", SECRETS)
    create = {"replication": {"automatic": {}}}
    member.call("POST", f"{SECRETS}?secretId=a", 403, json=create)

    call("PATCH", f"{ROLES}/reader", json={"includedPermissions": ["secretmanager.secrets.create"]})
    member.call("GET", SECRETS, 403)
    member.call("POST", f"{SECRETS}?secretId=a", json=create)
    for off, on in (
        (("PATCH", f"{ROLES}/reader", {"stage": "DISABLED"}), ("PATCH", f"{ROLES}/reader", {"stage": "GA"})),
        (("DELETE", f"{ROLES}/reader", None), ("POST", f"{ROLES}/reader:undelete", {})),
    ):
        call(off[0], off[1], json=off[2])
        member.call("POST", f"{SECRETS}?secretId=b", 403, json=create)
        call(on[0], on[1], json=on[2])
        member.call("POST", f"{SECRETS}?secretId=a", 409, json=create)


def test_a_custom_role_works_on_a_bucket_and_on_a_secret(local: Local, call: Any) -> None:
    permissions = ["storage.objects.list", "secretmanager.versions.access"]
    body = {"roleId": "data", "role": {"includedPermissions": permissions}}
    role = call("POST", ROLES, json=body)["name"]
    member = local.session_as(local.account("someone"))
    binding = {"role": role, "members": ["serviceAccount:someone@mlflow-local.iam.gserviceaccount.com"]}
    call("POST", "/storage/v1/b?project=mlflow-local", json={"name": "some-bucket"})
    policy = call("GET", "/storage/v1/b/some-bucket/iam")
    call("PUT", "/storage/v1/b/some-bucket/iam", json=policy | {"bindings": [*policy["bindings"], binding]})
    member.call("GET", "/storage/v1/b/some-bucket/o")
    member.call("GET", "/storage/v1/b/some-bucket", 403)
    call("POST", f"{SECRETS}?secretId=a", json={"replication": {"automatic": {}}})
    call("POST", f"{SECRETS}/a:addVersion", json={"payload": {"data": "aGVsbG8="}})
    call("POST", f"{SECRETS}/a:setIamPolicy", json={"policy": {"bindings": [binding]}})
    member.call("GET", f"{SECRETS}/a/versions/1:access")
    member.call("GET", f"{SECRETS}/a", 403)


def test_only_an_existing_role_of_the_project_can_be_granted(local: Local, call: Any) -> None:
    member = f"serviceAccount:{local.account('someone')}"
    for role in ("projects/mlflow-local/roles/none", "projects/other/roles/abc", "organizations/1/roles/abc"):
        text = message(grant(call, role, member, 400), "INVALID_ARGUMENT")
        assert text == f"Role ({role}) does not exist in the resource's hierarchy."
    call("POST", ROLES, json=BODY)
    grant(call, NAME, member)
    call("DELETE", f"{ROLES}/vm.reader")
    message(grant(call, NAME, f"serviceAccount:{local.account('other')}", 400), "FAILED_PRECONDITION")
    # The existing binding is unchanged, also when another binding is added.
    bindings = grant(call, "roles/viewer", member)["bindings"]
    assert {"role": NAME, "members": [member]} in bindings


def test_a_deleted_role_is_kept_for_seven_days_and_its_id_for_37(
    local: Local, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    call("POST", ROLES, json=BODY)
    member = f"serviceAccount:{local.account('someone')}"
    grant(call, NAME, member)
    call("DELETE", f"{ROLES}/vm.reader")
    text = message(call("POST", ROLES, 400, json=BODY), "FAILED_PRECONDITION")
    assert "deleted state" in text
    now = time.time()

    def after(days: float) -> Session:
        monkeypatch.setattr(local.cloud.clock, "time", lambda: now + days * 24 * 3600)
        return local.session_as(OWNER)

    after(6.9).call("GET", f"{ROLES}/vm.reader")
    later = after(7.1)
    later.call("GET", f"{ROLES}/vm.reader", 404)
    later.call("POST", f"{ROLES}/vm.reader:undelete", 404, json={})
    assert later.call("GET", f"{ROLES}?showDeleted=true") == {}
    assert NAME not in [b["role"] for b in later.call("POST", f"{POLICY}:getIamPolicy", json={})["bindings"]]
    assert "marked for deletion" in message(later.call("POST", ROLES, 400, json=BODY), "FAILED_PRECONDITION")
    after(37.1).call("POST", ROLES, json=BODY)


def test_management_of_roles_needs_permissions(local: Local, call: Any) -> None:
    """An editor may read custom roles, but not write them: a role is a way to get other permissions."""
    call("POST", ROLES, json=BODY)
    editor = local.session_as(local.account("editor", "roles/editor"))
    admin = local.session_as(local.account("admin", "roles/iam.roleAdmin"))
    editor.call("GET", f"{ROLES}/vm.reader")
    for verb, path, body in (
        ("POST", ROLES, {"roleId": "other"}),
        ("PATCH", f"{ROLES}/vm.reader", {"title": "x"}),
        ("DELETE", f"{ROLES}/vm.reader", None),
        ("POST", f"{ROLES}/vm.reader:undelete", {}),
    ):
        editor.call(verb, path, 403, json=body)
        admin.call(verb, path, json=body)


def test_roles_of_organizations_are_not_here(call: Any) -> None:
    for verb, path in (("POST", "roles"), ("GET", "roles"), ("GET", "roles/abc"), ("DELETE", "roles/abc")):
        options = {"json": {"roleId": "abc"}} if verb == "POST" else {}
        text = message(call(verb, f"/iam/v1/organizations/1/{path}", 501, **options), "UNIMPLEMENTED")
        assert "iam.organizations.roles" in text
    call("GET", "/iam/v1/roles?parent=organizations/1", 501)


def test_testable_permissions_and_grantable_roles(local: Local, call: Any) -> None:
    path = "/iam/v1/permissions:queryTestablePermissions"
    body: dict[str, Any] = {"fullResourceName": "//cloudresourcemanager.googleapis.com/projects/mlflow-local"}
    found: list[Any] = []
    while True:
        answer = call("POST", path, json=body | {"pageSize": 1000})
        found += answer["permissions"]
        if "nextPageToken" not in answer:
            break
        body["pageToken"] = answer["nextPageToken"]
    by_name = {p["name"]: p for p in found}
    assert len(by_name) == len(found) > 1000
    assert by_name["compute.instances.get"] == {"name": "compute.instances.get", "stage": "GA"}
    assert by_name["resourcemanager.projects.list"]["customRolesSupportLevel"] == "NOT_SUPPORTED"
    local.cloud.projects.disable("mlflow-local", "sqladmin.googleapis.com")
    on_project = {"fullResourceName": body["fullResourceName"], "pageSize": 50}
    some = {p["name"]: p for p in call("POST", path, json=on_project)["permissions"]}
    assert some["cloudsql.backupRuns.create"]["apiDisabled"] is True
    bucket = {"fullResourceName": "//storage.googleapis.com/projects/_/buckets/b"}
    names = [p["name"] for p in call("POST", path, json=bucket)["permissions"]]
    assert "storage.objects.get" in names
    assert all(n.startswith("storage.") for n in names)
    for name, code in (("nonsense", 400), ("//cloudresourcemanager.googleapis.com/organizations/1", 501)):
        call("POST", path, code, json={"fullResourceName": name})
    call("POST", path, 403, json={"fullResourceName": "//cloudresourcemanager.googleapis.com/projects/nobodys"})

    call("POST", ROLES, json=BODY)
    query = "/iam/v1/roles:queryGrantableRoles"
    grantable = [r["name"] for r in call("POST", query, json=on_project | {"pageSize": 3000})["roles"]]
    assert {"roles/owner", "roles/compute.admin", NAME} <= set(grantable)
    assert "roles/storage.legacyBucketOwner" not in grantable
    assert "roles/storage.legacyBucketOwner" in [r["name"] for r in call("POST", query, json=bucket)["roles"]]


def test_gcloud(gcloud: Gcloud) -> None:
    role = ("vm.reader", "--project=mlflow-local")
    permissions = "--permissions=compute.instances.get,compute.instances.list"
    made = gcloud("iam", "roles", "create", *role, "--title=VM reader", permissions, "--stage=GA")
    assert made["name"] == NAME
    changed = gcloud("iam", "roles", "update", *role, "--add-permissions=secretmanager.secrets.list")
    assert len(changed["includedPermissions"]) == 3
    gcloud("iam", "service-accounts", "create", "someone")
    member = "--member=serviceAccount:someone@mlflow-local.iam.gserviceaccount.com"
    policy = gcloud("projects", "add-iam-policy-binding", "mlflow-local", member, f"--role={NAME}", "--condition=None")
    assert NAME in [b["role"] for b in policy["bindings"]]
    gcloud("iam", "roles", "delete", *role)
    assert gcloud("iam", "roles", "list", "--project=mlflow-local") == []
    assert len(gcloud("iam", "roles", "list", "--project=mlflow-local", "--show-deleted")) == 1
    gcloud("iam", "roles", "undelete", *role)
    assert gcloud("iam", "roles", "describe", *role)["title"] == "VM reader"
    gcloud("iam", "roles", "copy", "--source=vm.reader", "--source-project=mlflow-local", "--destination=copy",
           "--dest-project=mlflow-local")  # fmt: skip
    resource = "//cloudresourcemanager.googleapis.com/projects/mlflow-local"
    assert len(gcloud("iam", "list-testable-permissions", resource)) > 1000
    assert NAME in [r["name"] for r in gcloud("iam", "list-grantable-roles", resource)]
