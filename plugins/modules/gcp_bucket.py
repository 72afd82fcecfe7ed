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
  - Bucket names are global in Google Cloud. A bucket that belongs to another project is refused, even if this
    account may write to the bucket.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp.progress
  - mlops.mlflow_gcp.gcp
  - mlops.mlflow_gcp.gcp.state
options:
  name:
    description: Name of the bucket.
    type: str
    required: true
  project_number:
    description:
      - Number of the project, such as RV(mlops.mlflow_gcp.gcp_services#module:project_number).
      - If not set, the module reads the number with one more request.
    type: str
  location:
    description:
      - Region, dual-region or multi-region, such as V(europe-west1) or V(EU).
      - Cannot be changed after creation.
    type: str
  storage_class:
    description: Default storage class of new objects.
    type: str
    choices: [STANDARD, NEARLINE, COLDLINE, ARCHIVE]
  uniform_bucket_level_access:
    description: Whether only IAM controls access, and the access control lists of objects are ignored.
    type: bool
    default: true
  public_access_prevention:
    description:
      - V(enforced) prevents public access to the bucket.
      - V(inherited) uses the organisation's policy.
    type: str
    default: enforced
    choices: [enforced, inherited]
  versioning:
    description: Whether a noncurrent version is kept when an object is overwritten or deleted.
    type: bool
  soft_delete_retention_seconds:
    description:
      - Number of seconds in which deleted objects can be restored, from 604800 (7 days) to 7776000 (90 days).
      - V(0) disables soft delete.
    type: int
  requester_pays:
    description: Whether each request must name a project that pays for the request. Other requests are refused.
    type: bool
  default_event_based_hold:
    description: Whether new objects get an event-based hold, so that they cannot be deleted or overwritten.
    type: bool
  retention_period_seconds:
    description:
      - Number of seconds after the write in which an object cannot be deleted or overwritten (retention policy).
      - V(0) removes the policy. Google refuses to shorten or remove a locked policy.
    type: int
  ip_filter_mode:
    description: Whether the IP filter refuses requests according to their network.
    type: str
    choices: [Enabled, Disabled]
  labels:
    description: Labels. Replaces the existing map.
    type: dict
  lifecycle_rules:
    description: Lifecycle rules. Replaces the existing list.
    type: list
    elements: dict
    suboptions:
      action:
        description: The action.
        type: dict
        required: true
        suboptions:
          type:
            description: Type of the action.
            type: str
            required: true
            choices: [Delete, SetStorageClass, AbortIncompleteMultipartUpload]
          storage_class:
            description: The new storage class, with V(SetStorageClass).
            type: str
      condition:
        description: Conditions of the action. All conditions must be met.
        type: dict
        required: true
        suboptions:
          age:
            description: Days since the object was written.
            type: int
          created_before:
            description: The object was written before this day, such as V(2026-01-31).
            type: str
          days_since_noncurrent_time:
            description: Days since the object became a noncurrent version.
            type: int
          is_live:
            description: Whether the object is the current version.
            type: bool
          matches_prefix:
            description: The object's name begins with one of these prefixes.
            type: list
            elements: str
          matches_storage_class:
            description: The object has one of these storage classes.
            type: list
            elements: str
          matches_suffix:
            description: The object's name ends with one of these suffixes.
            type: list
            elements: str
          num_newer_versions:
            description: The object has at least this many newer versions.
            type: int
  force:
    description:
      - With O(state=absent), also delete all objects in the bucket, including noncurrent versions.
      - Without O(force), the module refuses to delete a bucket that is not empty.
      - Objects are deleted in parallel. After an interrupted run, the next run deletes the remaining objects.
      - The time limit O(timeout) restarts after each deleted object.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Create a private bucket that keeps old versions for a month
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

- name: Delete a bucket and all objects in it
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
from ..module_utils._errors import RefusedError
from ..module_utils._fields import Field
from ..module_utils._module import run
from ..module_utils._objects import in_parallel
from ..module_utils._progress import OPTION, Progress
from ..module_utils._resource import Resource

PARALLEL = 10  # deletions at a time; requests keeps this many connections
EMPTY_ATTEMPTS = 3


class Bucket(Resource):
    """Manage storage.buckets."""

    api = "storage"
    kind = "bucket"
    collection = "b"
    create_query = {"project": "{project}"}
    guard = "ifMetagenerationMatch"
    formats = {
        "name": _formats.bucket,
        "project_number": _formats.project_number,
        "location": _formats.location,
        "soft_delete_retention_seconds": _formats.soft_delete,
        "labels": _formats.labels,
    }
    options = {
        "name": {"type": "str", "required": True},
        "project_number": {"type": "str"},
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
        """Return the value in capital letters, as the API returns locations."""
        return value.upper()

    def retention(self, seconds: int) -> Json | None:
        """Return the retention policy, or None for 0 seconds."""
        return {"retentionPeriod": str(seconds)} if seconds else None

    def current_value(self, option: str, current: Json) -> Any:
        """Return the current value. The API omits the filter of a bucket that never had a filter."""
        has = super().current_value(option, current)
        return has or "Disabled" if option == "ip_filter_mode" else has

    def create(self, body: Json) -> None:
        """Create the bucket. Omit options that remove a filter or a retention policy: a new bucket has neither."""
        unneeded = {"ipFilter": {"mode": "Disabled"}, "retentionPolicy": None}
        super().create({key: value for key, value in body.items() if key not in unneeded or value != unneeded[key]})

    def read(self) -> Json | None:
        """Return the bucket. Explain a 403, because another project may own the name."""
        try:
            return super().read()
        except GoogleError as error:
            if error.code != 403 or error.service_disabled:
                raise
            raise RefusedError(
                f"{self.title} exists, but this account may not read it: {error}. Either the bucket belongs to another "
                "project (bucket names are global in Google Cloud: choose another name), or the account "
                f"lacks the permission storage.buckets.get in project {self.params['project']} (role "
                "roles/storage.admin has it)."
            ) from error

    @cached_property
    def project_number(self) -> str:
        """Return the project's number, also if a new project has not enabled Resource Manager yet."""
        try:
            return super().project_number
        except GoogleError as error:
            if not error.service_disabled:
                raise
        # Service Usage is available in every project and has the project's number in its resource names.
        path = f"v1/projects/{self.params['project']}/services/cloudresourcemanager.googleapis.com"
        return str(self.client.get("serviceusage", path)["name"]).split("/")[1]

    def check(self, current: Json) -> None:
        """Refuse a bucket of another project, because its owner can read all objects in it."""
        if str(current.get("projectNumber")) != self.project_number:
            raise RefusedError(
                f"{self.title} belongs to another project (number {current.get('projectNumber')}; project "
                f"{self.params['project']} has number {self.project_number}). Bucket names are global in "
                "Google Cloud: choose another name."
            )

    def delete(self, current: Json) -> None:
        """Delete the bucket. Google deletes only an empty bucket."""
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
                if attempts:  # another client wrote an object in the meantime
                    continue
                raise RefusedError(
                    f"Cannot delete {self.title}: {error} Check the objects in the bucket, and delete them first with "
                    f"`gcloud storage rm --recursive --all-versions 'gs://{self.params['name']}/**'`, or set force."
                ) from error
            return

    def empty(self) -> None:
        """Delete all versions of all objects, one page at a time, so that an interrupted run makes progress."""
        progress = Progress(self.params["progress_file"], self.client.clock)
        progress.begin(f"Deleting the objects of bucket {self.params['name']}: {{}} versions deleted")
        objects = f"{self.self_path}/o"

        def delete(found: Json) -> None:
            path = f"{objects}/{quote(found['name'], safe='')}"
            try:
                self.client.request("DELETE", "storage", path, params={"generation": found["generation"]})
            except GoogleError as error:
                if error.code != 404:  # another client deleted the version in the meantime
                    raise
            progress.step()

        for page in self.client.pages("storage", objects, {"versions": "true"}):
            self.client.renew()
            items = page.get("items") or []
            in_parallel(self.client, delete, items, PARALLEL if len(items) >= PARALLEL else 1)


def main() -> None:
    """Run the module."""
    run(Bucket)


if __name__ == "__main__":
    main()
