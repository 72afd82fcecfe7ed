#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_iam_member
short_description: Manage a role of a member
version_added: 0.1.0
description:
  - Adds one member to one binding of the IAM policy of a project, a bucket, a secret, a service account or a managed
    zone of Cloud DNS, or removes the member.
  - Other members, bindings, conditions and audit settings of the policy do not change, even if another client changes
    them at the same time.
  - IAM needs up to a minute to know a new service account. The module repeats requests that fail for this reason.
  - A deleted account stays in a policy as C(deleted:serviceAccount:ADDRESS?uid=ID). A deleted account with the name of
    O(member) is replaced in the binding, or removed together with O(member). Deleted accounts with other names stay.
    If Google refuses to write a deleted account back and names the account, the module removes the account and returns
    it in RV(removed_deleted_members).
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
options:
  scope:
    description: Type of the resource on which the role is granted.
    type: str
    required: true
    choices: [project, bucket, secret, service_account, managed_zone]
  resource:
    description:
      - Name of the bucket, the secret or the managed zone, or the ID or e-mail address of the service account.
      - Needed with each O(scope) except V(project). With V(project) the resource is O(project).
    type: str
  role:
    description: The role, such as V(roles/logging.logWriter).
    type: str
    required: true
  member:
    description: The principal, such as V(serviceAccount:mlflow-server@my-project.iam.gserviceaccount.com).
    type: str
    required: true
  condition:
    description:
      - Condition of the binding. The condition is part of the binding's identity. A binding of the same role with
        another condition, or without a condition, is another binding and does not change.
    type: dict
    suboptions:
      title:
        description: Short name of the condition.
        type: str
        required: true
      expression:
        description: The condition in the Common Expression Language.
        type: str
        required: true
      description:
        description: Free text.
        type: str
  public_members:
    description:
      - V(absent) also removes C(allUsers) and C(allAuthenticatedUsers) from every binding of the policy.
      - If not set, they stay as they are.
    type: str
    choices: [absent]
  absent_roles:
    description:
      - Other roles that O(member) must not have in the same policy. The module removes the member from their bindings
        without a condition.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Allow a VM to write logs
  mlops.mlflow_gcp.gcp_iam_member:
    project: my-project
    scope: project
    role: roles/logging.logWriter
    member: serviceAccount:mlflow-server@my-project.iam.gserviceaccount.com

- name: Allow the VM to read one secret
  mlops.mlflow_gcp.gcp_iam_member:
    project: my-project
    scope: secret
    resource: mlflow-admin-password
    role: roles/secretmanager.secretAccessor
    member: serviceAccount:mlflow-server@my-project.iam.gserviceaccount.com
    public_members: absent
    absent_roles: [roles/secretmanager.secretVersionAdder]

- name: Allow the VM to change one record set of a managed zone
  mlops.mlflow_gcp.gcp_iam_member:
    project: my-project
    scope: managed_zone
    resource: example-com
    role: roles/dns.admin
    member: serviceAccount:mlflow-server@my-project.iam.gserviceaccount.com
    condition:
      title: One TXT record
      expression: >-
        (resource.type == 'dns.googleapis.com/ResourceRecordSet'
        && resource.name.endsWith('/rrsets/www.example.com./TXT'))
        || resource.type != 'dns.googleapis.com/ResourceRecordSet'
"""

RETURN = r"""
resource:
  description: The role, the member and the condition. Null when absent.
  returned: success
  type: dict
  sample:
    role: roles/logging.logWriter
    member: serviceAccount:mlflow-server@my-project.iam.gserviceaccount.com
removed_deleted_members:
  description: Members that were removed because their accounts are deleted and Google refused to write them back.
  returned: success
  type: list
  elements: str
  sample: []
"""

from collections.abc import Callable
from typing import Any

from ..module_utils import _formats
from ..module_utils._client import GoogleError, Json
from ..module_utils._dns import forbidden
from ..module_utils._errors import RefusedError
from ..module_utils._fields import Field
from ..module_utils._iam import (
    DELETED,
    PUBLIC,
    account_email,
    deleted,
    grant,
    granted,
    mentioned,
    public,
    revoke,
    without,
)
from ..module_utils._module import run
from ..module_utils._resource import VISIBLE_WITHIN, Resource

# Scope → API, the resource of the policy, and the methods that read and write it. Versions before 3 lose conditions.
_READ = {"options.requestedPolicyVersion": "3"}
_SCOPES = {
    "project": ("cloudresourcemanager", "v1/projects/{resource}"),
    "bucket": ("storage", "b/{resource}/iam"),
    "secret": ("secretmanager", "v1/projects/{project}/secrets/{resource}"),
    "service_account": ("iam", "v1/projects/{project}/serviceAccounts/{resource}"),
    "managed_zone": ("dns", "projects/{project}/managedZones/{resource}"),
}


class IamMember(Resource):
    """Manage one member of one binding of an IAM policy."""

    kind = "IAM member"
    create_body = {}
    formats = {"role": _formats.role, "member": _formats.member, "absent_roles": _formats.each(_formats.role)}
    options = {
        "scope": {"type": "str", "required": True, "choices": list(_SCOPES)},
        "resource": {"type": "str"},
        "role": {"type": "str", "required": True},
        "member": {"type": "str", "required": True},
        "condition": {
            "type": "dict",
            "options": {
                "title": {"type": "str", "required": True},
                "expression": {"type": "str", "required": True},
                "description": {"type": "str"},
            },
        },
        "public_members": {"type": "str", "choices": ["absent"]},
        "absent_roles": {"type": "list", "elements": "str"},
    }
    fields = {
        "role": Field(),
        "member": Field(),
        "condition": Field(),
        "public_members": Field(via="restrict"),
        "absent_roles": Field(via="restrict"),
    }

    def __init__(self, client: Any, params: Any) -> None:
        resource = params["resource"] or params["project"]
        if params["scope"] == "project":
            resource = params["project"]
        elif params["scope"] == "service_account":
            resource = account_email(resource, params["project"])
        super().__init__(client, {**params, "resource": resource})
        self.api, self.path = _SCOPES[params["scope"]]
        self.binding = (params["role"], params["member"], self.desired().get("condition"))
        self.unwritable: set[str] = set()  # deleted accounts that Google refused to write back
        self.refused: set[str] = set()  # deleted accounts that Google named once
        self.written: list[str] = []  # deleted accounts in the policy that was sent last

    @property
    def title(self) -> str:
        """Return the role, the member and the resource."""
        scope = self.params["scope"].replace("_", " ")
        return f"{self.params['role']} for {self.params['member']} on {scope} {self.params['resource']}"

    def read(self) -> Json | None:
        """Return the member's binding; an absent resource has no policy."""
        try:
            policy = self._policy()
        except GoogleError as error:
            if error.code != 404:
                raise
            return None
        desired = self.desired()
        if "public_members" in desired:
            desired["public_members"] = ", ".join(public(policy)) or "absent"
        if "absent_roles" in desired:
            desired["absent_roles"] = [each for each in self.params["absent_roles"] if not self._has(policy, each)]
        if self.params["state"] == "present" and not granted(policy, *self.binding):
            return None
        if self.params["state"] == "absent" and self._without_member(policy) is policy:
            return None
        return self.document(desired)

    def check_create(self) -> None:
        """Refuse to add a deleted account: Google only accepts it in a policy that already has it."""
        if self.params["member"].startswith(DELETED):
            raise RefusedError(
                f"Cannot grant a role to member '{self.params['member']}', which is a deleted account. "
                "Set an existing account, such as serviceAccount:mlflow-server@my-project.iam.gserviceaccount.com."
            )

    def found(self) -> Json:
        """Return the deleted members that were removed."""
        return {"removed_deleted_members": sorted(self.unwritable)}

    def explain(self, error: GoogleError) -> str:
        """Return the role that Cloud DNS does not name."""
        if self.params["scope"] != "managed_zone":
            return ""
        return forbidden(error, self.params["resource"], self.params["project"])

    def _policy(self) -> Json:
        scope, path = self.params["scope"], self.self_path
        if scope == "bucket":
            return self.client.get(self.api, path, {"optionsRequestedPolicyVersion": "3"})
        if scope == "secret":
            return self.client.get(self.api, f"{path}:getIamPolicy", _READ)
        if scope == "service_account":
            return self.client.request("POST", self.api, f"{path}:getIamPolicy", params=_READ)
        body = {"options": {"requestedPolicyVersion": 3}}
        return self.client.request("POST", self.api, f"{path}:getIamPolicy", body=body)

    def create(self, body: Json) -> None:
        """Add the member."""
        self._edit(
            lambda policy: self._restricted(policy if granted(policy, *self.binding) else grant(policy, *self.binding))
        )

    def restrict(self, body: Json, current: Json) -> None:
        """Remove public members, and the member from the roles that it must not have."""
        self._edit(self._restricted)

    def delete(self, current: Json) -> None:
        """Remove the member."""
        self._edit(self._without_member)

    def _without_member(self, policy: Json) -> Json:
        return self._restricted(revoke(policy, *self.binding) if mentioned(policy, *self.binding) else policy)

    def _has(self, policy: Json, role: str) -> bool:
        return mentioned(policy, role, self.params["member"], None)

    def _restricted(self, policy: Json) -> Json:
        """Return the policy without public members, if they are not allowed, and without the absent roles."""
        if self.params["public_members"] and public(policy):
            policy = without(policy, PUBLIC)
        for role in self.params["absent_roles"] or ():
            if self._has(policy, role):
                policy = revoke(policy, role, self.params["member"], None)
        return policy

    def _edit(self, change: Callable[[Json], Json]) -> None:
        """Read, change and write the policy. Repeat this if the etag shows a concurrent change."""

        def attempt() -> None:
            policy = self._policy()
            changed = change(policy)
            if changed is policy:
                return
            changed = without(changed, self.unwritable) if self.unwritable else changed
            self.written = deleted(changed)
            if self.params["scope"] == "bucket":
                self.call("PUT", self.self_path, changed)
            else:
                self.call("POST", f"{self.self_path}:setIamPolicy", {"policy": changed})

        self.retry(attempt, self._is_temporary, VISIBLE_WITHIN)

    def _is_temporary(self, error: GoogleError) -> bool:
        """Return whether the error is temporary: a changed policy, or a service account that is new or just deleted."""
        if error.code == 404:
            return self.params["scope"] == "service_account"
        if error.code == 400 and self.written:
            # An account was undeleted or purged in the meantime. The next read shows that. A second refusal is final.
            named = {member for member in self.written if _address(member) in error.message.lower()}
            self.unwritable |= named & self.refused
            self.refused |= named
            return True
        return error.code in {409, 412} or (error.code == 400 and "does not exist" in error.message)


def _address(member: str) -> str:
    # of deleted:KIND:ADDRESS?uid=ID
    return member.split(":", 2)[-1].split("?uid=")[0].lower()


def main() -> None:
    """Run the module."""
    needs = [("scope", scope, ["resource"]) for scope in _SCOPES if scope != "project"]
    run(IamMember, required_if=needs)


if __name__ == "__main__":
    main()
