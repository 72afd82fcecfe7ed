#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_iam_member
short_description: Give a role to a member
version_added: 0.1.0
description:
  - Puts one member into one binding of the IAM policy of a project, a bucket, a secret or a service account,
    or takes it out.
  - Other members, bindings, conditions and audit settings of the policy stay as they are, even where somebody
    changes them at the same time.
  - IAM needs up to a minute until it knows a new service account; the module repeats what it refuses for that reason.
  - A deleted account stays in a policy as C(deleted:serviceAccount:ADDRESS?uid=ID). One that has the name of O(member)
    is replaced in the binding, or removed with it; those of other names stay. Where Google refuses to write one of
    them back and names it, it is left out and returned as RV(removed_deleted_members).
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
options:
  scope:
    description: What the role is given on.
    type: str
    required: true
    choices: [project, bucket, secret, service_account]
  resource:
    description:
      - The name of the bucket or of the secret, or the service account's ID or e-mail address.
      - Needed with each O(scope) but V(project), where it is O(project).
    type: str
  role:
    description: The role, such as V(roles/logging.logWriter).
    type: str
    required: true
  member:
    description: Who gets it, such as V(serviceAccount:mlflow-server@my-project.iam.gserviceaccount.com).
    type: str
    required: true
  condition:
    description:
      - When the role holds. It is part of the binding's identity, so that the same role with another condition,
        or with none, is another binding and stays as it is.
    type: dict
    suboptions:
      title:
        description: A short name for people.
        type: str
        required: true
      expression:
        description: The condition in the Common Expression Language.
        type: str
        required: true
      description:
        description: A text for people.
        type: str
  public_members:
    description:
      - V(absent) also removes C(allUsers) and C(allAuthenticatedUsers) from every binding of the policy.
      - Without it they stay as they are.
    type: str
    choices: [absent]
"""

EXAMPLES = r"""
- name: Let a machine write logs
  mlops.mlflow_gcp.gcp_iam_member:
    project: my-project
    scope: project
    role: roles/logging.logWriter
    member: serviceAccount:mlflow-server@my-project.iam.gserviceaccount.com

- name: Let it read one secret
  mlops.mlflow_gcp.gcp_iam_member:
    project: my-project
    scope: secret
    resource: mlflow-admin-password
    role: roles/secretmanager.secretAccessor
    member: serviceAccount:mlflow-server@my-project.iam.gserviceaccount.com
    public_members: absent
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
  description: Members that were left out since their accounts are deleted and Google refused to write them back.
  returned: success
  type: list
  elements: str
  sample: []
"""

from collections.abc import Callable
from typing import Any

from ..module_utils import _formats
from ..module_utils._client import GoogleError, Json
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
from ..module_utils._resource import VISIBLE_WITHIN, RefusedError, Resource, run

# Scope → API, the policy's resource, and the methods that read and write it. Version 3 or the conditions get lost.
_READ = {"options.requestedPolicyVersion": "3"}
_SCOPES = {
    "project": ("cloudresourcemanager", "v1/projects/{resource}"),
    "bucket": ("storage", "b/{resource}/iam"),
    "secret": ("secretmanager", "v1/projects/{project}/secrets/{resource}"),
    "service_account": ("iam", "v1/projects/{project}/serviceAccounts/{resource}"),
}


class IamMember(Resource):
    """One member of one binding of an IAM policy."""

    kind = "IAM member"
    create_body = {}
    formats = {"role": _formats.role, "member": _formats.member}
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
    }
    fields = {
        "role": Field(),
        "member": Field(),
        "condition": Field(),
        "public_members": Field(via="remove_public_members"),
    }

    def __init__(self, client: Any, params: Any) -> None:
        resource = params["resource"] or params["project"]
        if params["scope"] == "project":
            resource = params["project"]
        elif params["scope"] == "service_account":
            resource = account_email(resource, params["project"])
        super().__init__(client, {**params, "resource": resource})
        self.api, self.path = _SCOPES[params["scope"]]
        self.binding = (params["role"], params["member"], self.wanted().get("condition"))
        self.unwritable: set[str] = set()  # deleted accounts that Google refused to write back
        self.refused: set[str] = set()  # those that it named once
        self.written: list[str] = []  # deleted accounts in the policy that was sent last

    @property
    def title(self) -> str:
        """The role, the member and what it is given on."""
        scope = self.params["scope"].replace("_", " ")
        return f"{self.params['role']} for {self.params['member']} on {scope} {self.params['resource']}"

    def read(self) -> Json | None:
        """The member's place in the policy; what is not there has no policy."""
        try:
            policy = self._policy()
        except GoogleError as error:
            if error.code != 404:
                raise
            return None
        there = mentioned if self.params["state"] == "absent" else granted
        if not there(policy, *self.binding):
            return None
        wanted = self.wanted()
        if "public_members" in wanted:
            wanted["public_members"] = ", ".join(public(policy)) or "absent"
        return self.document(wanted)

    def check_create(self) -> None:
        """Google takes a deleted account back into a policy, but never into another one."""
        if self.params["member"].startswith(DELETED):
            raise RefusedError(
                f"member '{self.params['member']}' is a deleted account, which no role can be given to. "
                "Name the account itself, such as serviceAccount:mlflow-server@my-project.iam.gserviceaccount.com."
            )

    def found(self) -> Json:
        """Which members had to go."""
        return {"removed_deleted_members": sorted(self.unwritable)}

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
        """Put the member in."""
        private = "public_members" in self.wanted()

        def change(policy: Json) -> Json:
            changed = policy if granted(policy, *self.binding) else grant(policy, *self.binding)
            return without(changed, PUBLIC) if private and public(policy) else changed

        self._edit(change)

    def remove_public_members(self, body: Json, current: Json) -> None:
        """Take those out that stand for everybody."""
        self._edit(lambda policy: without(policy, PUBLIC) if public(policy) else policy)

    def delete(self, current: Json) -> None:
        """Take the member out."""
        self._edit(lambda policy: revoke(policy, *self.binding) if mentioned(policy, *self.binding) else policy)

    def _edit(self, change: Callable[[Json], Json]) -> None:
        """Read, change and write the policy, all of it again when somebody was faster: its etag tells."""

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

        self.insist(attempt, self._passes, VISIBLE_WITHIN)

    def _passes(self, error: GoogleError) -> bool:
        """Whether it passes by itself: a changed policy, or a service account that is too new or just deleted."""
        if error.code == 404:
            return self.params["scope"] == "service_account"
        if error.code == 400 and self.written:
            # An account was undeleted or purged meanwhile, which the next reading shows. One that is named twice stays.
            named = {member for member in self.written if _address(member) in error.message.lower()}
            self.unwritable |= named & self.refused
            self.refused |= named
            return True
        return error.code in {409, 412} or (error.code == 400 and "does not exist" in error.message)


def _address(member: str) -> str:
    # of deleted:KIND:ADDRESS?uid=ID
    return member.split(":", 2)[-1].split("?uid=")[0].lower()


def main() -> None:
    """Entry point."""
    needs = [("scope", scope, ["resource"]) for scope in _SCOPES if scope != "project"]
    run(IamMember, required_if=needs)


if __name__ == "__main__":
    main()
