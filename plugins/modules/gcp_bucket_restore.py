#!/usr/bin/python
# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0

from __future__ import annotations

DOCUMENTATION = r"""
module: gcp_bucket_restore
short_description: Restore a bucket from a manifest
version_added: 0.1.0
description:
  - Restores the objects of a bucket, or of another bucket, to the state that
    M(mlops.mlflow_gcp.gcp_bucket_manifest) recorded.
  - Only objects that differ in size or checksum are copied, within Cloud Storage, from the recorded generations.
  - Before any change, the module checks that every needed generation exists, unless O(lost=skip). The lifecycle rules
    of the bucket determine how long overwritten and deleted versions exist. The module warns about a manifest that is
    older than that.
  - After the restore, the module compares the bucket with the manifest again.
author:
  - the mlops.mlflow_gcp authors (@mlops)
extends_documentation_fragment:
  - mlops.mlflow_gcp.gcp.progress
  - mlops.mlflow_gcp.gcp
options:
  bucket:
    description: The bucket to restore.
    type: str
    required: true
  manifest_bucket:
    description: The bucket of the manifest.
    type: str
    required: true
  manifest:
    description: Name of the manifest.
    type: str
    required: true
  others:
    description:
      - Whether to keep or delete objects that are not in the manifest.
      - V(delete) makes them noncurrent versions if the bucket has versioning.
    type: str
    default: keep
    choices: [keep, delete]
  lost:
    description:
      - How to handle objects whose generation no longer exists.
      - V(refuse) fails and changes nothing.
      - V(skip) restores all other objects, does not change the objects of those names, and warns.
    type: str
    default: refuse
    choices: [refuse, skip]
  read_bytes:
    description:
      - Download up to this number of bytes, and compare the objects with the checksums of the manifest. V(-1) reads
        all objects.
      - Objects are read in the order of their names. An object larger than the remaining number of bytes is skipped.
    type: int
    default: 0
  parallel:
    description: Number of objects that are copied, deleted or read at a time.
    type: int
    default: 8
"""

EXAMPLES = r"""
- name: Restore the artifact bucket from Monday's manifest
  mlops.mlflow_gcp.gcp_bucket_restore:
    project: my-project
    bucket: my-project-mlflow-artifacts
    manifest_bucket: my-project-mlflow-backups
    manifest: backups/monday/artifacts.ndjson.gz
"""

RETURN = r"""
manifest:
  description: The manifest's first line.
  returned: success
  type: dict
  sample:
    bucket: my-project-mlflow-artifacts
    objects: 1200
    bytes: 31457280
objects:
  description:
    - Number of objects of each kind. C(same) are equal to the manifest, C(copied) were restored, C(copied_bytes) is
      the size of those, C(other) are not in the manifest, C(lost) cannot be restored, C(read) and C(read_bytes) were
      downloaded and compared.
  returned: success
  type: dict
  sample: {same: 1198, copied: 2, copied_bytes: 2048, other: 3, lost: 0, read: 0, read_bytes: 0}
lost:
  description: The names of all objects that cannot be restored, with O(lost=skip).
  returned: success
  type: list
  elements: str
  sample: []
examples:
  description: The first ten names of each kind.
  returned: success
  type: dict
  sample: {copied: [1/run/artifacts/model.pkl], other: []}
"""

import json
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import IO, Any

from ..module_utils import _compare, _formats, _manifest, _objects
from ..module_utils._action import Action, Plan, run_action
from ..module_utils._client import GoogleError, Json
from ..module_utils._errors import RefusedError
from ..module_utils._progress import OPTION, Progress

FIELDS = "name,generation,size,crc32c,md5Hash,timeDeleted"
SHOWN = 10


class BucketRestore(Action):
    """Restore storage.objects from a manifest."""

    api = "storage"
    doing = "restore bucket {bucket} from manifest {manifest}"
    formats = {"bucket": _formats.bucket, "manifest_bucket": _formats.bucket, "manifest": _formats.object_name}
    options = {
        "bucket": {"type": "str", "required": True},
        "manifest_bucket": {"type": "str", "required": True},
        "manifest": {"type": "str", "required": True},
        "others": {"type": "str", "default": "keep", "choices": ["keep", "delete"]},
        "lost": {"type": "str", "default": "refuse", "choices": ["refuse", "skip"]},
        "read_bytes": {"type": "int", "default": 0},
        "parallel": {"type": "int", "default": 8},
        **OPTION,
    }

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.files: list[IO[bytes]] = []
        self.progress = Progress(self.params["progress_file"], self.client.clock)
        self.lost: list[str] = []  # names from the last comparison

    def look(self) -> Plan:
        """Compare the bucket with the manifest. Write the steps to a file, because there may be many."""
        self.title_of_manifest = f"gs://{self.params['manifest_bucket']}/{self.params['manifest']}"
        bucket = self.client.find(self.api, f"b/{self.params['bucket']}")
        if bucket is None:
            raise RefusedError(f"Bucket {self.params['bucket']} does not exist. Create it first.")
        self.reader = _manifest.Reader(self._fetch())
        try:
            with_head = self.reader.__enter__()
            self.source = str(with_head.header["bucket"])
            self.steps = self._temporary()
            counts, examples = self.compare(self.steps)
        except _manifest.ManifestError as error:
            raise RefusedError(
                f"Manifest {self.title_of_manifest} is damaged: {error}. Nothing was changed. Use another backup."
            ) from error
        if counts["lost"]:
            self._tell_lost(counts, examples)
        self._warn_of_age(counts)
        deletes = self.params["others"] == "delete"
        after = counts | {"same": counts["same"] + counts["copied"], "copied": 0, "copied_bytes": 0}
        after |= {"other": 0} if deletes else {}
        changed = bool(counts["copied"] or (deletes and counts["other"]))
        values = {
            "manifest": self.reader.header,
            "objects": {key: counts[key] for key in ("same", "copied", "copied_bytes", "other", "lost")},
            "lost": self.lost,
            "examples": {key: examples[key] for key in ("copied", "other")},
        }
        values["objects"] |= {"read": 0, "read_bytes": 0}
        if not changed and self.params["read_bytes"]:
            values["objects"] |= self.compare_bytes()
        return Plan(changed, values, _told(counts, examples), _told(after, {}))

    def carry_out(self, plan: Plan) -> Json:
        """Copy and delete objects, then compare the bucket with the manifest again."""
        self.steps.seek(0)
        self._many("restored or deleted", self._step, (json.loads(line) for line in self.steps))
        known = set(self.lost)
        counts, examples = self.compare(None)
        lost = [name for name in self.lost if name not in known]
        if counts["copied"] or lost:
            names = [*examples["copied"], *lost]
            raise RefusedError(
                f"Bucket {self.params['bucket']} was restored from manifest {self.title_of_manifest}, but then "
                f"{counts['copied'] + len(lost)} objects changed again, such as {names[:3]}. Another client writes to "
                "the bucket. Stop the server and run again."
            )
        read = self.compare_bytes() if self.params["read_bytes"] else {}
        return {"objects": plan.values["objects"] | read}

    def leave(self) -> None:
        """Remove the temporary files."""
        for file in self.files:
            file.close()

    # Comparison -------------------------------------------------------------------------------------------------------

    def compare(self, steps: IO[bytes] | None) -> tuple[dict[str, int], dict[str, list[str]]]:
        """Count equal and different objects, and write the needed steps as lines into ``steps``."""
        self.lost = []
        counts = dict.fromkeys(("same", "copied", "copied_bytes", "other", "lost"), 0)
        examples: dict[str, list[str]] = {key: [] for key in ("same", "copied", "other", "lost")}
        target = None
        if self.params["bucket"] != self.source:
            target = _objects.list_objects(self.client, self.params["bucket"], FIELDS)
        versions = _objects.list_objects(self.client, self.source, FIELDS, versions="true")
        self.progress.begin(f"Bucket {self.params['bucket']}: {{}} objects compared with the manifest")
        for found in _compare.walk(self.reader.objects(), versions, target):
            self.progress.step()
            step: Json = {"name": found.name}
            if found.desired is None:
                if found.live is None:  # deleted before, or only in the other bucket
                    continue
                kind = "other"
                step["delete"] = found.live["generation"]
            elif found.same:
                kind = "same"
            elif found.source is None:
                kind = "lost"
                self.lost.append(found.name)
            else:
                kind = "copied"
                step["copy"] = found.source["generation"]
                counts["copied_bytes"] += int(found.desired["size"])
            counts[kind] += 1
            if len(examples[kind]) < SHOWN:
                examples[kind].append(found.name)
            if steps is not None and (kind == "copied" or (kind == "other" and self.params["others"] == "delete")):
                steps.write(json.dumps(step).encode() + b"\n")
        return counts, examples

    def compare_bytes(self) -> Json:
        """Download up to ``read_bytes`` of objects and compare their bytes with the manifest."""
        left, lock = self.params["read_bytes"], threading.Lock()
        total = {"read": 0, "read_bytes": 0}
        lost = set(self.lost)

        def some() -> Iterator[Json]:
            nonlocal left
            for item in self.reader.objects():
                if item["name"] in lost:
                    continue
                size = int(item["size"])
                if left < 0:
                    yield item
                elif size <= left:
                    left -= size
                    yield item

        def check(item: Json) -> None:
            live = _objects.find(self.client, self.params["bucket"], item["name"]) or {}
            digest = _objects.Digest(item)
            if live:
                for data in _objects.read(self.client, self.params["bucket"], item["name"], live["generation"]):
                    digest.update(data)
            if not live or not digest.good():
                raise RefusedError(
                    f"Object {item['name']} of bucket {self.params['bucket']} differs from its checksum in manifest "
                    f"{self.title_of_manifest}."
                )
            with lock:
                total["read"] += 1
                total["read_bytes"] += int(item["size"])

        self._many("read and compared", check, some())
        return total

    # Steps ------------------------------------------------------------------------------------------------------------

    def _step(self, step: Json) -> None:
        bucket, name = self.params["bucket"], step["name"]
        if "delete" in step:
            try:
                # A delete with a generation would be permanent. The precondition selects the compared generation.
                query = {"ifGenerationMatch": step["delete"]}
                self.client.request("DELETE", self.api, _objects.path(bucket, name), params=query)
            except GoogleError as error:
                if error.code != 404:
                    raise
            return
        path = f"{_objects.path(self.source, name)}/rewriteTo/{_objects.path(bucket, name)}"
        query = {"sourceGeneration": step["copy"], "fields": "done,rewriteToken"}
        while True:  # the copy of a large object, or to another location, takes several calls
            answer = self.client.request("POST", self.api, path, params=query)
            if answer.get("done"):
                return
            query["rewriteToken"] = answer["rewriteToken"]

    def _many(self, what: str, work: Callable[[Json], None], items: Iterable[Json]) -> None:
        self.progress.begin(f"Bucket {self.params['bucket']}: {{}} objects {what}")

        def one(item: Json) -> None:
            work(item)
            self.progress.step()

        _objects.in_parallel(self.client, one, items, self.params["parallel"])

    # Manifest ---------------------------------------------------------------------------------------------------------

    def _temporary(self) -> IO[bytes]:
        self.files.append(tempfile.TemporaryFile())  # noqa: SIM115 - closed by leave
        return self.files[-1]

    def _fetch(self) -> IO[bytes]:
        bucket, name = self.params["manifest_bucket"], self.params["manifest"]
        found = _objects.find(self.client, bucket, name)
        if found is None:
            raise RefusedError(f"Cannot find manifest {self.title_of_manifest}.")
        file, digest = self._temporary(), _objects.Digest(found)
        for data in _objects.read(self.client, bucket, name, found["generation"]):
            file.write(data)
            digest.update(data)
        if not digest.good():
            raise RefusedError(f"The download of manifest {self.title_of_manifest} has a wrong checksum. Run again.")
        return file

    def _tell_lost(self, counts: Json, examples: Json) -> None:
        message = (
            f"Bucket {self.source} no longer has {counts['lost']} of the generations in manifest "
            f"{self.title_of_manifest}, such as {examples['lost'][:3]}."
        )
        if self.params["lost"] == "skip":
            self.warn(f"{message} These objects are skipped.")
            return
        raise RefusedError(
            f"{message} Nothing was changed. Use a more recent backup. Objects that lifecycle rules deleted recently "
            "may still be soft-deleted: restore them (`gcloud storage restore --help`) and run again. To restore "
            "all other objects, set lost to skip (role backup: -e backup_restore_lost=skip)."
        )

    def _warn_of_age(self, counts: Json) -> None:
        bucket = self.client.find(self.api, f"b/{self.source}") or {}
        rules = (bucket.get("lifecycle") or {}).get("rule") or ()
        days = [
            rule.get("condition", {}).get("daysSinceNoncurrentTime")
            for rule in rules
            if rule.get("action", {}).get("type") == "Delete"
        ]
        kept = min((int(one) for one in days if one is not None), default=None)
        time = datetime.fromisoformat(self.reader.header["time"])
        if kept is not None and datetime.now(UTC) - time > timedelta(days=kept):
            self.warn(
                f"Manifest {self.title_of_manifest} was recorded at {self.reader.header['time']}. Bucket {self.source} "
                f"deletes noncurrent versions after {kept} days."
                + ("" if counts["lost"] else " All recorded generations still exist.")
            )


def _told(counts: Json, examples: Json) -> Json:
    return {"same": counts["same"], "differ": counts["copied"], "others": counts["other"]} | (
        {"examples": {key: examples[key] for key in ("copied", "other") if examples[key]}} if examples else {}
    )


def main() -> None:
    """Run the module."""
    run_action(BucketRestore)


if __name__ == "__main__":
    main()
