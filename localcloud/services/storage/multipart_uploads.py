# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The documents of multipart uploads of the XML API, and the lifecycle rules that remove incomplete uploads."""

from __future__ import annotations

import builtins
import uuid
from collections.abc import Iterator

from localcloud.framework.cloud import Cloud
from localcloud.framework.service import Json
from localcloud.services.storage.blobs import PARTS, Stored, blobs
from localcloud.services.storage.xml_documents import XmlError

ABORT = "AbortIncompleteMultipartUpload"
_DAY = 86400


class MultipartUploads:
    """Uploads of a bucket by name and ID: {"name", "id", "metadata", "creator", "initiated"}.

    Parts of all buckets by the upload's ID and number: {"number", "blob", "size", "md5", "crc32c", "modified"}.
    """

    def __init__(self, cloud: Cloud, bucket: Json) -> None:
        self._cloud = cloud
        self._bucket = bucket["resource"]
        self._uploads = cloud.store.collection(f"storage.multipartUploads:{self._bucket['name']}")
        self._parts = cloud.store.collection(PARTS)

    @staticmethod
    def _key(name: str, id: str) -> str:
        # Object names contain no line feed.
        return f"{name}\n{id}"

    def begin(self, name: str, metadata: Json, creator: str) -> Json:
        """Create an upload and return it."""
        upload: Json = {
            "name": name, "id": uuid.uuid4().hex, "metadata": metadata, "creator": creator,
            "initiated": self._cloud.clock.time(),
        }  # fmt: skip
        self._uploads.put(self._key(name, upload["id"]), upload)
        return upload

    def get(self, name: str, id: str) -> Json:
        """Return an upload. Raises 404 if it is unknown, completed, aborted or too old."""
        self._expire()
        return self._get(name, id)

    def _get(self, name: str, id: str) -> Json:
        found = self._uploads.get(self._key(name, id))
        if found is None:
            raise XmlError(404, "NoSuchUpload", "The requested upload was not found.")
        return found

    def list(self, prefix: str = "") -> list[Json]:
        """Return the incomplete uploads, sorted by name and ID."""
        self._expire()
        return self._uploads.list(prefix)

    def parts(self, id: str) -> builtins.list[Json]:
        """Return the parts of an upload, sorted by number."""
        return self._parts.list(f"{id}/")

    def put_part(self, name: str, id: str, number: int, stored: Stored) -> None:
        """Add a part, or replace the part of this number."""
        key = f"{id}/{number:05d}"
        with self._cloud.store.transaction():
            self._get(name, id)  # the upload may be aborted or completed meanwhile
            old = self._parts.get(key)
            part = {
                "number": number, "blob": stored.id, "size": stored.size, "md5": stored.md5, "crc32c": stored.crc32c,
                "modified": self._cloud.clock.time(),
            }  # fmt: skip
            self._parts.put(key, part)
        if old:
            blobs(self._cloud).delete(old["blob"])

    def remove(self, name: str, id: str) -> builtins.list[str]:
        """Remove an upload in the caller's transaction; return the blobs of its parts, to delete afterwards."""
        self._get(name, id)
        self._uploads.delete(self._key(name, id))
        return list(self._remove_parts(id))

    def forget(self) -> builtins.list[str]:
        """Remove the uploads of a deleted bucket in the caller's transaction; return the blobs to delete."""
        return [blob for upload in self._uploads.list() for blob in self.remove(upload["name"], upload["id"])]

    def _remove_parts(self, id: str) -> Iterator[str]:
        for key, part in self._parts.items(f"{id}/"):
            self._parts.delete(key)
            yield part["blob"]

    def _expire(self) -> None:
        """Remove the uploads that a lifecycle rule of the bucket selects. Google does it once a day, unasked."""
        rules = (self._bucket.get("lifecycle") or {}).get("rule") or []
        conditions = [rule["condition"] for rule in rules if rule["action"]["type"] == ABORT]
        if not conditions:
            return
        now, gone = self._cloud.clock.time(), []
        with self._cloud.store.transaction():
            for upload in self._uploads.list():
                if any(_selects(condition, upload, now) for condition in conditions):
                    gone += self.remove(upload["name"], upload["id"])
        blobs(self._cloud).delete(*gone)


def _selects(condition: Json, upload: Json, now: float) -> bool:
    name = upload["name"]
    prefixes, suffixes = condition.get("matchesPrefix"), condition.get("matchesSuffix")
    return (
        upload["initiated"] + int(condition.get("age") or 0) * _DAY <= now
        and (not prefixes or name.startswith(tuple(prefixes)))
        and (not suffixes or name.endswith(tuple(suffixes)))
    )
