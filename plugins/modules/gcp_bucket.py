#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_bucket
short_description: Manage a Cloud Storage bucket
version_added: 0.1.0
description:
  - Creates, updates and deletes a bucket of Google Cloud Storage.
  - Bucket names are shared by everybody on Google Cloud. A bucket that belongs to another project is refused,
    even where this account may write to it.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
options:
  name:
    description: The bucket's name.
    type: str
    required: true
  location:
    description:
      - Region, dual-region or multi-region, such as V(europe-west1) or V(EU).
      - Cannot be changed after creation.
    type: str
  storage_class:
    description: The class of objects that are written without one.
    type: str
    choices: [STANDARD, NEARLINE, COLDLINE, ARCHIVE]
  uniform_bucket_level_access:
    description: Whether only IAM decides on access, and not each object's list.
    type: bool
    default: true
  public_access_prevention:
    description:
      - V(enforced) makes it impossible to open the bucket to everybody.
      - V(inherited) leaves that to the organisation.
    type: str
    default: enforced
    choices: [enforced, inherited]
  versioning:
    description: Whether an object that is overwritten or deleted is kept as a noncurrent version.
    type: bool
  soft_delete_retention_seconds:
    description:
      - How long deleted objects can be restored, from 604800 (7 days) to 7776000 (90 days).
      - V(0) switches it off.
    type: int
  requester_pays:
    description: Whether each request must name a project that pays for it. Requests that name none are refused then.
    type: bool
  default_event_based_hold:
    description: Whether new objects are put on hold, so that they cannot be deleted or overwritten.
    type: bool
  retention_period_seconds:
    description:
      - How long an object cannot be deleted or overwritten after it was written (retention policy).
      - V(0) removes the policy. Google refuses to shorten or remove one that is locked.
    type: int
  ip_filter_mode:
    description: Whether requests are refused by the network that they come from.
    type: str
    choices: [Enabled, Disabled]
  labels:
    description: Labels. The whole map, so that a label which is not in it is removed.
    type: dict
  lifecycle_rules:
    description: What happens to objects as they age. The whole set, so that a rule which is not in it is removed.
    type: list
    elements: dict
    suboptions:
      action:
        description: What is done.
        type: dict
        required: true
        suboptions:
          type:
            description: The kind of action.
            type: str
            required: true
            choices: [Delete, SetStorageClass, AbortIncompleteMultipartUpload]
          storage_class:
            description: The new class, with V(SetStorageClass).
            type: str
      condition:
        description: When it is done. All of what is set must hold.
        type: dict
        required: true
        suboptions:
          age:
            description: Days since the object was written.
            type: int
          created_before:
            description: Written before this day, as V(2026-01-31).
            type: str
          days_since_noncurrent_time:
            description: Days since it became a noncurrent version.
            type: int
          is_live:
            description: Whether it is the current version.
            type: bool
          matches_prefix:
            description: Names that begin with one of these.
            type: list
            elements: str
          matches_storage_class:
            description: Of one of these classes.
            type: list
            elements: str
          matches_suffix:
            description: Names that end with one of these.
            type: list
            elements: str
          num_newer_versions:
            description: At least so many newer versions of it exist.
            type: int
  force:
    description:
      - With O(state=absent), delete what is in the bucket too, older versions included.
      - Without it, a bucket that is not empty is refused.
      - Objects are deleted in parallel. A run that was cut off goes on where it ended.
      - The time of O(timeout) starts again with every object that is deleted.
    type: bool
    default: false
  progress_file:
    description:
      - File that the module writes its progress to while it runs.
      - Set by the task's action plugin, which prints the progress every ten seconds.
    type: path
"""

EXAMPLES = r"""
- name: A private bucket that keeps old versions for a month
  mlops.mlflow_gcp.gcp_bucket:
    project: my-project
    name: my-project-mlflow-artifacts
    location: europe-west1
    versioning: true
    labels:
      app: mlflow
    lifecycle_rules:
      - action:
          type: Delete
        condition:
          days_since_noncurrent_time: 30

- name: Neither the bucket nor what was in it
  mlops.mlflow_gcp.gcp_bucket:
    project: my-project
    name: my-project-scratch
    state: absent
    force: true
"""

RETURN = r"""
resource:
  description: >-
    The bucket as the API returns it, U(https://cloud.google.com/storage/docs/json_api/v1/buckets).
    Null when absent.
  returned: success
  type: dict
  sample:
    name: my-project-mlflow-artifacts
    location: EUROPE-WEST1
    projectNumber: "100000000001"
"""

from functools import cached_property
from typing import Any
from urllib.parse import quote

from ..module_utils import _formats
from ..module_utils._client import GoogleError, Json
from ..module_utils._fields import Field
from ..module_utils._objects import many
from ..module_utils._progress import OPTION, Progress
from ..module_utils._resource import RefusedError, Resource, run

PARALLEL = 10  # deletions at a time; requests keeps as many connections
EMPTY_ATTEMPTS = 3


class Bucket(Resource):
    """storage.buckets."""

    api = "storage"
    kind = "bucket"
    collection = "b"
    create_query = {"project": "{project}"}
    guard = "ifMetagenerationMatch"
    formats = {
        "name": _formats.bucket,
        "location": _formats.location,
        "soft_delete_retention_seconds": _formats.soft_delete,
        "labels": _formats.labels,
    }
    options = {
        "name": {"type": "str", "required": True},
        "location": {"type": "str"},
        "storage_class": {"type": "str", "choices": ["STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"]},
        "uniform_bucket_level_access": {"type": "bool", "default": True},
        "public_access_prevention": {"type": "str", "default": "enforced", "choices": ["enforced", "inherited"]},
        "versioning": {"type": "bool"},
        "soft_delete_retention_seconds": {"type": "int"},
        "requester_pays": {"type": "bool"},
        "default_event_based_hold": {"type": "bool"},
        "retention_period_seconds": {"type": "int"},
        "ip_filter_mode": {"type": "str", "choices": ["Enabled", "Disabled"]},
        "labels": {"type": "dict"},
        "force": {"type": "bool", "default": False},
        **OPTION,
        "lifecycle_rules": {
            "type": "list",
            "elements": "dict",
            "options": {
                "action": {
                    "type": "dict",
                    "required": True,
                    "options": {
                        "type": {
                            "type": "str",
                            "required": True,
                            "choices": ["Delete", "SetStorageClass", "AbortIncompleteMultipartUpload"],
                        },
                        "storage_class": {"type": "str"},
                    },
                },
                "condition": {
                    "type": "dict",
                    "required": True,
                    "options": {
                        "age": {"type": "int"},
                        "created_before": {"type": "str"},
                        "days_since_noncurrent_time": {"type": "int"},
                        "is_live": {"type": "bool"},
                        "matches_prefix": {"type": "list", "elements": "str"},
                        "matches_storage_class": {"type": "list", "elements": "str"},
                        "matches_suffix": {"type": "list", "elements": "str"},
                        "num_newer_versions": {"type": "int"},
                    },
                },
            },
        },
    }
    fields = {
        "location": Field(immutable=True, convert="upper"),
        "storage_class": Field(),
        "uniform_bucket_level_access": Field(at="iamConfiguration.uniformBucketLevelAccess.enabled"),
        "public_access_prevention": Field(at="iamConfiguration.publicAccessPrevention"),
        "versioning": Field(at="versioning.enabled"),
        "soft_delete_retention_seconds": Field(at="softDeletePolicy.retentionDurationSeconds", convert="int64"),
        "requester_pays": Field(at="billing.requesterPays"),
        "default_event_based_hold": Field(),
        "retention_period_seconds": Field(at="retentionPolicy", convert="retention"),
        "ip_filter_mode": Field(at="ipFilter.mode"),
        "labels": Field(),
        "lifecycle_rules": Field(at="lifecycle.rule", unordered=True, exact=True),
    }

    def upper(self, value: str) -> str:
        """Locations come back in capitals."""
        return value.upper()

    def retention(self, seconds: int) -> Json | None:
        """The retention policy, or none."""
        return {"retentionPeriod": str(seconds)} if seconds else None

    def has(self, option: str, current: Json) -> Any:
        """A bucket that never had a filter does not speak of one."""
        has = super().has(option, current)
        return has or "Disabled" if option == "ip_filter_mode" else has

    def create(self, body: Json) -> None:
        """A new bucket has no filter and no retention policy; what removes them is for a bucket that is there."""
        unneeded = {"ipFilter": {"mode": "Disabled"}, "retentionPolicy": None}
        super().create({key: value for key, value in body.items() if key not in unneeded or value != unneeded[key]})

    def read(self) -> Json | None:
        """A 403 is worth more words here: the name may be taken by somebody else."""
        try:
            return super().read()
        except GoogleError as error:
            if error.code != 403 or error.service_disabled:
                raise
            raise RefusedError(
                f"{self.title} is there, but this account may not look at it: {error}. Either it belongs to somebody "
                "else (bucket names are shared by everybody on Google Cloud: choose another name), or the account "
                f"lacks the permission storage.buckets.get in project {self.params['project']} (role "
                "roles/storage.admin has it)."
            ) from error

    @cached_property
    def project_number(self) -> str:
        """Wanted on a new project too, which has Cloud Storage and not yet Resource Manager."""
        try:
            return super().project_number
        except GoogleError as error:
            if not error.service_disabled:
                raise
        # Service Usage, which every project has, puts the number into its names.
        path = f"v1/projects/{self.params['project']}/services/cloudresourcemanager.googleapis.com"
        return str(self.client.get("serviceusage", path)["name"]).split("/")[1]

    def check(self, current: Json) -> None:
        """Whoever owns a bucket reads what is in it: never take somebody else's for ours."""
        if str(current.get("projectNumber")) != self.project_number:
            raise RefusedError(
                f"{self.title} belongs to another project (number {current.get('projectNumber')}; project "
                f"{self.params['project']} has number {self.project_number}). Bucket names are shared by everybody on "
                "Google Cloud: choose another name."
            )

    def delete(self, current: Json) -> None:
        """Only an empty bucket can be deleted."""
        attempts = EMPTY_ATTEMPTS if self.params["force"] else 1
        while True:
            attempts -= 1
            if self.params["force"]:
                self.empty()
            try:
                super().delete(current)
            except GoogleError as error:
                if error.code != 409:
                    raise
                if attempts:  # somebody wrote another object meanwhile
                    continue
                raise RefusedError(
                    f"{self.title} cannot be deleted: {error} Look at what is in it, and empty it first with "
                    f"`gcloud storage rm --recursive --all-versions 'gs://{self.params['name']}/**'`, or set force."
                ) from error
            return

    def empty(self) -> None:
        """Delete every object in every version, page by page: a run that is cut off has deleted what it listed."""
        progress = Progress(self.params["progress_file"], self.client.clock)
        progress.begin(f"Deleting the objects of bucket {self.params['name']}: {{}} versions deleted")
        objects = f"{self.self_path}/o"

        def delete(found: Json) -> None:
            path = f"{objects}/{quote(found['name'], safe='')}"
            try:
                self.client.request("DELETE", "storage", path, params={"generation": found["generation"]})
            except GoogleError as error:
                if error.code != 404:  # deleted by somebody else meanwhile
                    raise
            progress.step()

        for page in self.client.pages("storage", objects, {"versions": "true"}):
            self.client.renew()
            items = page.get("items") or []
            many(self.client, delete, items, PARALLEL if len(items) >= PARALLEL else 1)


def main() -> None:
    """Entry point."""
    run(Bucket)


if __name__ == "__main__":
    main()
