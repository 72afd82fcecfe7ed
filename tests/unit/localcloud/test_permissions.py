# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""IAM policies and permission checks, without HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

import pytest

from localcloud.access.auth import ANONYMOUS, Principal
from localcloud.access.permissions import Permissions, account_resource, project_resource
from localcloud.access.projects import Projects
from localcloud.core.clock import Clock
from localcloud.core.errors import ApiError
from localcloud.core.profile import Profiles
from localcloud.core.propagation import Propagation
from localcloud.core.store import Store

Json = dict[str, Any]
PROJECT = project_resource("p")
SECRET = "//secretmanager.googleapis.com/projects/p/secrets/s"
BUCKET = "//storage.googleapis.com/projects/_/buckets/b"
ANN, ROBOT = Principal("ann@example.com"), Principal("robot@p.iam.gserviceaccount.com")
VIEWER, ACCESSOR = "roles/secretmanager.viewer", "roles/secretmanager.secretAccessor"
OPEN = {"title": "t", "expression": "true"}


class FixedClock(Clock):
    seconds = 1_700_000_000.0

    def time(self) -> float:
        return self.seconds


class World:
    """The permissions of one project `p` with the number 100, and the objects that they use."""

    def __init__(self) -> None:
        self.store, self.clock = Store(":memory:"), FixedClock()
        self.projects = Projects(self.store)
        self.projects.add("p", "100", "P", self.clock.now(), {}, None)
        self.projects.add("q", "200", "Q", self.clock.now(), {}, None)
        self.profiles = Profiles(self.store)
        self.propagation = Propagation(self.profiles, self.clock)
        self.accounts = self.store.collection("iam.serviceAccounts")
        self.accounts.put(ROBOT.email, {})
        self.permissions = Permissions(
            self.store, self.projects, self.clock, self.propagation, ["secretmanager.googleapis.com"]
        )

    def bind(self, resource: str, role: str, *members: str, condition: Json | None = None, **options: Any) -> Json:
        binding: Json = {"role": role, "members": list(members)} | ({"condition": condition} if condition else {})
        return self.permissions.set_policy(resource, {"version": 3, "bindings": [binding]}, **options)

    def refused(self, resource: str, role: str, *members: str, **options: Any) -> tuple[int, str | None, str]:
        before = self.permissions.policy(resource, 3)
        with pytest.raises(ApiError) as caught:
            self.bind(resource, role, *members, **options)
        assert self.permissions.policy(resource, 3) == before
        return caught.value.code, caught.value.status, caught.value.message

    def custom_role(self, name: str, *permissions: str) -> str:
        self.permissions.custom_roles.create(name, {"includedPermissions": list(permissions)})
        return name


@pytest.fixture
def world() -> World:
    return World()


# -- policies


def test_names_of_resources() -> None:
    assert project_resource("p") == "//cloudresourcemanager.googleapis.com/projects/p"
    assert account_resource("p", "a@b") == "//iam.googleapis.com/projects/p/serviceAccounts/a@b"


def test_a_policy_that_was_never_set(world: World) -> None:
    assert world.permissions.policy(SECRET) == {"etag": "ACAB"}
    assert not world.permissions.allowed(ANN, "secretmanager.secrets.get", "p", SECRET)


def test_each_write_changes_the_etag(world: World) -> None:
    first = world.permissions.set_policy(SECRET, {"etag": "ACAB", "bindings": []})
    second = world.permissions.set_policy(SECRET, {"etag": first["etag"]})
    assert [base64.b64decode(each["etag"]) for each in (first, second)] == [
        b"\x07\x00\x00\x00\x00\x00\x00\x01",
        b"\x07\x00\x00\x00\x00\x00\x00\x02",
    ]
    assert first == {"version": 1, "etag": first["etag"]}
    assert world.permissions.policy(SECRET) == second
    with pytest.raises(ApiError) as caught:
        world.permissions.set_policy(SECRET, {"etag": first["etag"]})
    assert (caught.value.code, caught.value.status) == (409, "ABORTED")
    assert caught.value.message == (
        "There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff. "
        f"The request's ETag '{first['etag']}' did not match the current policy's ETag '{second['etag']}'."
    )


def test_bindings_are_merged_and_sorted(world: World) -> None:
    other = {"title": "other", "expression": "false"}
    stored = world.permissions.set_policy(
        SECRET,
        {
            "version": 3,
            "bindings": [
                {"role": VIEWER, "members": ["user:Bob@Example.com", "user:ann@example.com"]},
                {"role": ACCESSOR, "members": ["user:ann@example.com"], "condition": OPEN},
                {"role": VIEWER, "members": ["user:bob@example.com"]},
                {"role": VIEWER},
                {"role": ACCESSOR, "members": ["user:bob@example.com"], "condition": dict(reversed(OPEN.items()))},
                {"role": ACCESSOR, "members": ["user:ann@example.com"], "condition": other},
                {"role": "roles/secretmanager.admin", "members": []},
            ],
        },
    )
    assert stored["version"] == 3
    assert stored["bindings"] == [
        {"role": ACCESSOR, "members": ["user:ann@example.com", "user:bob@example.com"], "condition": OPEN},
        {"role": ACCESSOR, "members": ["user:ann@example.com"], "condition": other},
        {"role": VIEWER, "members": ["user:ann@example.com", "user:bob@example.com"]},
    ]


def test_email_addresses_are_stored_in_lower_case(world: World) -> None:
    addresses = ["user:A@X.com", "group:A@X.com", "domain:X.com", "serviceAccount:A@developer.gserviceaccount.com"]
    stored_addresses = [
        "user:a@x.com",
        "group:a@x.com",
        "domain:x.com",
        "serviceAccount:a@developer.gserviceaccount.com",
    ]
    others = ["allUsers", "allAuthenticatedUsers", "principal://iam.googleapis.com/P", "principalSet://x/Y"]
    stored = world.bind(SECRET, VIEWER, *addresses, *others)
    assert stored["bindings"][0]["members"] == sorted([*stored_addresses, *others])


def test_the_version_is_three_only_with_conditions(world: World) -> None:
    assert world.bind(SECRET, VIEWER, ANN.member)["version"] == 1
    assert world.bind(SECRET, VIEWER, ANN.member, condition=OPEN)["version"] == 3


def test_audit_configuration_changes_only_with_the_mask(world: World) -> None:
    audit = [{"service": "allServices", "auditLogConfigs": [{"logType": "DATA_READ"}]}]
    policy = {"auditConfigs": audit}
    for mask in (None, "bindings"):
        assert "auditConfigs" not in world.permissions.set_policy(PROJECT, policy, mask=mask)
    assert world.permissions.set_policy(PROJECT, policy, mask="bindings,auditConfigs")["auditConfigs"] == audit
    assert world.permissions.set_policy(PROJECT, {}, mask="bindings")["auditConfigs"] == audit
    assert "auditConfigs" not in world.permissions.set_policy(PROJECT, {}, mask="auditConfigs")


def test_an_older_version_hides_the_condition(world: World) -> None:
    """A caller of an older version sees a changed role name, which a write refuses."""
    plain, conditional = {"role": VIEWER, "members": [ANN.member]}, {"role": ACCESSOR, "members": [ANN.member]}
    stored = world.permissions.set_policy(
        SECRET, {"version": 3, "bindings": [plain, conditional | {"condition": OPEN}]}
    )
    assert world.permissions.policy(SECRET, 3) == world.permissions.policy(SECRET, 4) == stored
    mark = hashlib.sha256(json.dumps(OPEN, sort_keys=True).encode()).hexdigest()[:20]
    hidden = conditional | {"role": f"{ACCESSOR}_withcond_{mark}"}
    expected = {"version": 1, "etag": stored["etag"], "bindings": [hidden, plain]}
    assert world.permissions.policy(SECRET) == world.permissions.policy(SECRET, 2) == expected
    message = f"Role {hidden['role']} is not supported: write back what requestedPolicyVersion 3 reads."
    assert world.refused(SECRET, hidden["role"], ANN.member) == (400, "INVALID_ARGUMENT", message)


def test_a_hidden_condition_of_a_custom_role_is_named(world: World) -> None:
    role = world.custom_role("projects/p/roles/mine", "secretmanager.secrets.get")
    world.bind(SECRET, role, ANN.member, condition=OPEN)
    (binding,) = world.permissions.policy(SECRET)["bindings"]
    assert "write back what requestedPolicyVersion 3 reads" in world.refused(SECRET, binding["role"], ANN.member)[2]


def test_an_older_version_hides_the_only_condition(world: World) -> None:
    world.bind(SECRET, VIEWER, ANN.member, condition=OPEN)
    (binding,) = world.permissions.policy(SECRET)["bindings"]
    assert binding["role"].startswith(f"{VIEWER}_withcond_")


def test_a_policy_without_conditions_is_equal_in_all_versions(world: World) -> None:
    stored = world.bind(SECRET, VIEWER, ANN.member)
    assert world.permissions.policy(SECRET, 1) == stored
    empty = world.permissions.set_policy(SECRET, {})
    assert world.permissions.policy(SECRET, 1) == empty


def test_a_deleted_resource_loses_its_policies(world: World) -> None:
    for resource in (SECRET, f"{SECRET}/versions/1", f"{SECRET}2", PROJECT):
        world.bind(resource, VIEWER, ANN.member)
    world.permissions.forget(SECRET)
    left = [
        r for r in (SECRET, f"{SECRET}/versions/1", f"{SECRET}2", PROJECT) if "version" in world.permissions.policy(r)
    ]
    assert left == [f"{SECRET}2", PROJECT]


def test_a_member_is_renamed_in_all_policies(world: World) -> None:
    deleted = f"deleted:{ROBOT.member}?uid=1"
    first = world.bind(SECRET, VIEWER, ROBOT.member, "user:zoe@example.com", "user:ann@example.com")
    second = world.bind(PROJECT, VIEWER, ROBOT.member)
    other = world.bind(BUCKET, VIEWER, ANN.member)
    world.permissions.set_policy(f"{BUCKET}2", {})
    world.permissions.rename(ROBOT.member, deleted)
    members = [deleted, "user:ann@example.com", "user:zoe@example.com"]
    assert world.permissions.policy(SECRET) == first | {"bindings": [{"role": VIEWER, "members": members}]}
    assert world.permissions.policy(PROJECT) == second | {"bindings": [{"role": VIEWER, "members": [deleted]}]}
    assert world.permissions.policy(BUCKET) == other


# -- refused policies


@pytest.mark.parametrize(
    ("role", "code", "message"),
    [
        ("roles/run.admin", 501, "roles/run.admin: the local cloud has no roles of this service."),
        (
            "roles/secretmanager.nothing",
            400,
            "Role roles/secretmanager.nothing is not supported for this resource.",
        ),
        ("roles/nothing", 400, "Role roles/nothing is not supported for this resource."),
        ("", 400, "Role  is not supported for this resource."),
        ("x/roles/run.admin", 400, "Role x/roles/run.admin is not supported for this resource."),
    ],
)
def test_unknown_roles_are_refused(world: World, role: str, code: int, message: str) -> None:
    code_and_status = (code, {400: "INVALID_ARGUMENT", 501: "UNIMPLEMENTED"}[code])
    assert world.refused(PROJECT, role, ANN.member) == (*code_and_status, message)


@pytest.mark.parametrize(
    "member",
    [
        "robot:x",
        "user:",
        "user:ann",
        "user:ann@",
        "user:ann@example.com x",
        "xuser:ann@example.com",
        "USER:ann@example.com",
        "domain:",
        "principal://",
        "allusers",
        "allUsers:x",
    ],
)
def test_malformed_members_are_refused(world: World, member: str) -> None:
    message = f"The member {member} is of an unknown type or its identifier is malformed."
    assert world.refused(PROJECT, VIEWER, ANN.member, member) == (400, "INVALID_ARGUMENT", message)


def test_unknown_service_accounts_are_refused(world: World) -> None:
    gone = "serviceAccount:gone@p.iam.gserviceaccount.com"
    message = "Service account gone@p.iam.gserviceaccount.com does not exist."
    assert world.refused(PROJECT, VIEWER, gone) == (400, "INVALID_ARGUMENT", message)
    assert world.refused(PROJECT, VIEWER, gone.replace("gone@", "Gone@")) == (400, "INVALID_ARGUMENT", message)
    # The accounts of Google's services, of Compute Engine and users are not in the project's list.
    for member in (
        "serviceAccount:service-100@gcp-sa-cloud-sql.iam.gserviceaccount.com",
        "serviceAccount:service-100@service-networking.iam.gserviceaccount.com",
        "serviceAccount:100-compute@developer.gserviceaccount.com",
        "user:gone@p.iam.gserviceaccount.com",
    ):
        assert world.bind(PROJECT, VIEWER, member)["bindings"] == [{"role": VIEWER, "members": [member]}]


def test_a_new_service_account_is_unknown_during_its_propagation(world: World) -> None:
    world.profiles.change({"service_accounts": 20.0})
    world.propagation.begin("service_accounts", ROBOT.email, "p")
    assert world.refused(PROJECT, VIEWER, ROBOT.member)[2] == f"Service account {ROBOT.email} does not exist."
    world.clock.seconds += 20
    assert world.bind(PROJECT, VIEWER, ROBOT.member)


def test_deleted_accounts_can_stay_but_not_be_added(world: World) -> None:
    deleted = f"deleted:{ROBOT.member}?uid=1"
    message = f"Invalid argument: deleted principal {deleted} is not in the policy."
    assert world.refused(PROJECT, VIEWER, deleted) == (400, "INVALID_ARGUMENT", message)
    world.bind(PROJECT, VIEWER, ROBOT.member)
    world.permissions.rename(ROBOT.member, deleted)
    assert world.bind(PROJECT, VIEWER, deleted, ANN.member)["bindings"][0]["members"] == [deleted, ANN.member]
    # The members after a kept one are still checked.
    assert world.refused(PROJECT, VIEWER, deleted, "robot:x")[2].startswith("The member robot:x is of an unknown type")
    malformed = f"{deleted}x"
    assert world.refused(PROJECT, VIEWER, malformed)[2].startswith(f"The member {malformed} is of an unknown type")


@pytest.mark.parametrize("member", ["projectOwner:p", "projectEditor:p", "projectViewer:example.com:p"])
def test_only_buckets_have_convenience_members(world: World, member: str) -> None:
    message = f"Invalid argument: member {member} is not supported for this resource."
    assert world.refused(SECRET, VIEWER, member) == (400, "INVALID_ARGUMENT", message)
    assert world.bind(BUCKET, "roles/storage.legacyBucketReader", member, convenience=True)["bindings"]


def test_conditions_need_version_three(world: World) -> None:
    binding = {"role": VIEWER, "members": [ANN.member], "condition": OPEN}
    for version in ({}, {"version": None}, {"version": 1}, {"version": 2}):
        with pytest.raises(ApiError) as caught:
            world.permissions.set_policy(SECRET, {"bindings": [binding], **version})
        message = "A policy with conditional role bindings must set version 3."
        assert (caught.value.code, caught.value.message) == (400, message)
    assert world.permissions.set_policy(SECRET, {"bindings": [binding], "version": 3})


# -- custom roles


def test_only_custom_roles_of_the_project_can_be_granted(world: World) -> None:
    mine = world.custom_role("projects/p/roles/mine", "secretmanager.secrets.get")
    other = world.custom_role("projects/q/roles/other", "secretmanager.secrets.get")
    for role in (other, "projects/p/roles/none", "organizations/1/roles/x"):
        message = f"Role ({role}) does not exist in the resource's hierarchy."
        assert world.refused(PROJECT, role, ANN.member) == (400, "INVALID_ARGUMENT", message)
    # The project of the resource's name may be a number. A bucket's name does not contain the project.
    for resource, options in ((PROJECT, {}), (SECRET.replace("/p/", "/100/"), {}), (BUCKET, {"project": "p"})):
        assert world.bind(resource, mine, ANN.member, **options)["bindings"] == [
            {"role": mine, "members": [ANN.member]}
        ]
    assert world.refused(BUCKET, mine, ANN.member)[0] == 400
    assert world.refused(PROJECT.replace("/p", "/q"), mine, ANN.member)[0] == 400
    assert world.refused("//x/folders/projects/p", mine, ANN.member)[0] == 400
    # The role of every binding is checked.
    bindings = [{"role": role, "members": [ANN.member]} for role in (VIEWER, other)]
    with pytest.raises(ApiError, match="does not exist in the resource's hierarchy"):
        world.permissions.set_policy(PROJECT, {"bindings": bindings})
    assert world.permissions.allowed(ANN, "secretmanager.secrets.get", "p")


def test_a_deleted_custom_role_cannot_get_new_members(world: World) -> None:
    role = world.custom_role("projects/p/roles/mine", "secretmanager.secrets.get")
    world.bind(SECRET, role, ANN.member)
    assert world.permissions.allowed(ANN, "secretmanager.secrets.get", None, SECRET)
    documents = world.store.collection("iam.customRoles")
    documents.put(role, {**(documents.get(role) or {}), "deleted": True, "deleteSeconds": world.clock.seconds})
    assert not world.permissions.allowed(ANN, "secretmanager.secrets.get", None, SECRET)
    message = f"Role ({role}) is in a deleted state: it cannot be granted until it is undeleted."
    assert world.refused(SECRET, role, ANN.member, "user:bob@example.com") == (400, "FAILED_PRECONDITION", message)
    assert world.refused(PROJECT, role, ANN.member) == (400, "FAILED_PRECONDITION", message)
    assert world.bind(SECRET, role, ANN.member)["bindings"] == [{"role": role, "members": [ANN.member]}]
    both = [{"role": role, "members": [ANN.member]}, {"role": VIEWER, "members": ["user:bob@example.com"]}]
    world.permissions.set_policy(SECRET, {"bindings": both})
    assert world.refused(SECRET, role, "user:bob@example.com") == (400, "FAILED_PRECONDITION", message)
    assert world.permissions.set_policy(SECRET, {"bindings": [{"role": role}]})
    # After the final deletion the bindings are gone.
    world.permissions.set_policy(SECRET, {"bindings": [both[1]]})
    policies = world.store.collection("iam.policies")
    policies.put(SECRET, {**(policies.get(SECRET) or {}), "bindings": both})
    assert world.permissions.policy(SECRET)["bindings"] == both
    world.clock.seconds += 8 * 24 * 3600
    assert world.permissions.policy(SECRET)["bindings"] == [both[1]]


# -- checks


def test_a_policy_grants_on_the_resource_and_below(world: World) -> None:
    get = "secretmanager.secrets.get"
    world.bind(SECRET, VIEWER, ANN.member)
    for resource in (SECRET, f"{SECRET}/versions/1", f"{SECRET}/versions"):
        assert world.permissions.allowed(ANN, get, "p", resource)
    for resource in (f"{SECRET}2", SECRET.rpartition("/")[0], BUCKET, None):
        assert not world.permissions.allowed(ANN, get, "p", resource)
    assert not world.permissions.allowed(ROBOT, get, "p", SECRET)
    assert not world.permissions.allowed(ANN, "secretmanager.versions.access", "p", SECRET)


def test_a_policy_of_the_project_grants_on_its_resources(world: World) -> None:
    get = "secretmanager.secrets.get"
    world.bind(PROJECT, VIEWER, ANN.member)
    assert world.permissions.allowed(ANN, get, "p")
    assert world.permissions.allowed(ANN, get, "p", SECRET)
    assert not world.permissions.allowed(ANN, get, "q", SECRET)
    assert not world.permissions.allowed(ANN, get, None, SECRET)
    assert not world.permissions.allowed(ANN, get)


def test_a_policy_of_a_collection_with_an_odd_path(world: World) -> None:
    world.bind(f"{SECRET}/versions", VIEWER, ANN.member)
    assert world.permissions.allowed(ANN, "secretmanager.secrets.get", None, f"{SECRET}/versions")
    for resource in (SECRET, f"{SECRET}/versions/1"):
        assert not world.permissions.allowed(ANN, "secretmanager.secrets.get", None, resource)


def test_every_binding_and_member_counts(world: World) -> None:
    bindings: list[Json] = [
        {"role": "roles/compute.viewer", "members": [ANN.member]},
        {"role": ACCESSOR, "members": [ROBOT.member]},
        {"role": VIEWER, "members": [ANN.member], "condition": {"expression": "false"}},
        {"role": "roles/secretmanager.admin", "members": ["user:a@x.com", ANN.member, "user:z@x.com"]},
    ]
    # The stored order is kept, so that a binding that grants nothing comes first.
    world.store.collection("iam.policies").put(SECRET, {"etag": "x", "bindings": bindings})
    assert world.permissions.allowed(ANN, "secretmanager.secrets.get", None, SECRET)
    assert world.permissions.allowed(ANN, "secretmanager.versions.access", None, SECRET)


def test_public_members(world: World) -> None:
    get = "secretmanager.secrets.get"
    world.bind(SECRET, VIEWER, "allUsers")
    assert world.permissions.allowed(ANONYMOUS, get, None, SECRET)
    assert world.permissions.allowed(ANN, get, None, SECRET)
    world.bind(SECRET, VIEWER, "allAuthenticatedUsers")
    assert not world.permissions.allowed(ANONYMOUS, get, None, SECRET)
    assert world.permissions.allowed(ANN, get, None, SECRET)


@pytest.mark.parametrize(
    ("kind", "role"),
    [("projectOwner", "roles/owner"), ("projectEditor", "roles/editor"), ("projectViewer", "roles/viewer")],
)
def test_convenience_members(world: World, kind: str, role: str) -> None:
    """`projectOwner:p` means the members of roles/owner in the policy of the project p."""

    def allowed(principal: Principal) -> bool:
        return world.permissions.allowed(principal, "storage.buckets.get", None, BUCKET)

    world.projects.add("example.com:d", "300", "D", world.clock.now(), {}, None)
    for project, policy in (("p", PROJECT), ("100", PROJECT), ("example.com:d", project_resource("example.com:d"))):
        world.bind(BUCKET, "roles/storage.legacyBucketReader", f"{kind}:{project}", convenience=True)
        world.permissions.set_policy(policy, {})
        assert not allowed(ANN)
        other = {"role": "roles/browser", "members": [ROBOT.member]}
        world.permissions.set_policy(policy, {"bindings": [other, {"role": role, "members": [ANN.member]}]})
        assert allowed(ANN)
        assert not allowed(ROBOT)
    world.bind(BUCKET, "roles/storage.legacyBucketReader", f"{kind}:unknown", convenience=True)
    assert not allowed(ANN)


def test_a_condition_reads_the_resource_and_the_time(world: World) -> None:
    get = "secretmanager.secrets.get"

    def allowed(expression: str, resource: str | None = SECRET) -> bool:
        world.bind(PROJECT, VIEWER, ANN.member, condition={"title": "t", "expression": expression})
        return world.permissions.allowed(ANN, get, "p", resource)

    # Secret Manager names the project by its number, even for a request with its ID.
    assert allowed("resource.name == 'projects/100/secrets/s'")
    assert allowed("resource.name == 'projects/100/secrets/s'", SECRET.replace("/p/", "/100/"))
    assert allowed("resource.name == 'projects/100/secrets/s/versions/1'", f"{SECRET}/versions/1")
    assert allowed("resource.name == 'projects/unknown/secrets/s'", SECRET.replace("/p/", "/unknown/"))
    assert allowed("resource.service == 'secretmanager.googleapis.com'")
    assert not allowed("resource.name == 'projects/p/secrets/s'")
    # Other services use the name of the request.
    assert allowed("resource.name == 'projects/p/serviceAccounts/a'", account_resource("p", "a"))
    # Without a resource, the condition reads the resource of the policy.
    assert allowed("resource.name == 'projects/p'", None)
    assert allowed("request.time == timestamp('2023-11-14T22:13:20Z')")
    assert not allowed("request.time != timestamp('2023-11-14T22:13:20Z')")


def test_a_new_grant_has_no_effect_during_its_propagation(world: World) -> None:
    get = "secretmanager.secrets.get"
    world.profiles.change({"iam_grants": 60.0}, "p")

    def allowed(principal: Principal, resource: str = SECRET) -> bool:
        return world.permissions.allowed(principal, get, None, resource)

    world.bind(SECRET, VIEWER, ANN.member)
    assert not allowed(ANN)
    world.clock.seconds += 60
    assert allowed(ANN)
    # The old member keeps its access, and the new member waits.
    world.bind(SECRET, VIEWER, ANN.member, ROBOT.member)
    assert (allowed(ANN), allowed(ROBOT)) == (True, False)
    # A changed condition is a new grant.
    world.bind(SECRET, VIEWER, ANN.member, condition=OPEN)
    assert not allowed(ANN)
    world.clock.seconds += 60
    # The order of a condition's keys has no meaning.
    world.bind(SECRET, VIEWER, ANN.member, condition=dict(reversed(OPEN.items())))
    assert allowed(ANN)
    # A new resource has its first policy at once. Another project has its own profile.
    world.bind(f"{SECRET}2", VIEWER, ANN.member, initial=True)
    assert allowed(ANN, f"{SECRET}2")
    other = SECRET.replace("/p/", "/q/")
    world.bind(other, VIEWER, ANN.member)
    assert allowed(ANN, other)
    world.bind(BUCKET, VIEWER, ANN.member, project="p")
    assert not allowed(ANN, BUCKET)
    world.bind(BUCKET, VIEWER, ROBOT.member)
    assert allowed(ROBOT, BUCKET)
