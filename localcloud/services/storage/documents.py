# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The metadata of objects: live, noncurrent and softly deleted generations of one bucket."""

from __future__ import annotations

import builtins
import datetime
from collections.abc import Callable
from dataclasses import dataclass

from localcloud.core.errors import ApiError
from localcloud.framework.cloud import Cloud
from localcloud.framework.service import Json
from localcloud.services.storage.api import GOOGLE, etag, quoted
from localcloud.services.storage.blobs import Stored, blobs

# Fields of an object that its writers may set.
SETTABLE = (
    "cacheControl", "contentDisposition", "contentEncoding", "contentLanguage", "contentType", "customTime",
    "eventBasedHold", "metadata", "temporaryHold", "retention", "contexts",
)  # fmt: skip


def timestamp(moment: float) -> str:
    """Return a time as RFC 3339 in UTC with milliseconds."""
    return datetime.datetime.fromtimestamp(moment, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def _seconds(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


@dataclass(frozen=True)
class New:
    """A new object: its writer's metadata and its bytes."""

    name: str
    metadata: Json
    blob: str
    size: int
    crc32c: str
    md5: str | None = None
    component_count: int | None = None
    creator: str = ""


def new_object(name: str, metadata: Json, stored: Stored, creator: str) -> New:
    """Return an object for newly written bytes."""
    return New(name, metadata, stored.id, stored.size, stored.crc32c, stored.md5, creator=creator)


class Objects:
    """Documents {"blob": file, "creator": IAM member, "resource": the object}, by name or by name and generation."""

    def __init__(self, cloud: Cloud, bucket: str) -> None:
        self._cloud = cloud
        self.bucket = bucket
        self._live = cloud.store.collection(f"storage.objects:{bucket}")
        self._noncurrent = cloud.store.collection(f"storage.noncurrent:{bucket}")
        self._soft = cloud.store.collection(f"storage.softDeleted:{bucket}")

    @staticmethod
    def _key(name: str, generation: str) -> str:
        # Object names contain no line feed.
        return f"{name}\n{int(generation):020d}"

    # -- reads

    def live(self, name: str) -> Json | None:
        """Return the live generation, or None."""
        return self._live.get(name)

    def find(self, name: str, generation: str | None = None) -> Json | None:
        """Return the given generation, or the live generation; None if there is none."""
        found = self._live.get(name)
        if generation is None or (found and found["resource"]["generation"] == generation):
            return found
        return self._noncurrent.get(self._key(name, generation)) if generation.isdigit() else None

    def get(self, name: str, generation: str | None = None) -> Json:
        """Return the given generation, or the live generation. Raises 404."""
        found = self.find(name, generation)
        if found is None:
            raise ApiError(
                404, "notFound", f"No such object: {self.bucket}/{name}" + (f"#{generation}" if generation else "")
            )
        return found

    def soft_deleted(self, name: str, generation: str) -> Json:
        """Return a softly deleted generation. Raises 404."""
        self.purge()
        found = self._soft.get(self._key(name, generation)) if generation.isdigit() else None
        if found is None:
            raise ApiError(404, "notFound", f"No such object: {self.bucket}/{name}")
        return found

    def list(self, prefix: str = "", *, versions: bool = False, soft: bool = False) -> list[Json]:
        """Return the documents, sorted by name and generation."""
        if soft:
            self.purge()
            found = self._soft.list(prefix)
        else:
            found = self._live.list(prefix) + (self._noncurrent.list(prefix) if versions else [])
        if soft or versions:
            found.sort(key=lambda d: (d["resource"]["name"].encode(), int(d["resource"]["generation"])))
        return found

    def any(self) -> bool:
        """Return whether the bucket has objects, live or not."""
        return bool(self._live.items() or self._noncurrent.items())

    # -- writes, inside a transaction; afterwards the caller deletes the returned blobs

    def put(self, new: New, check: Callable[[Json | None], None], bucket: Json) -> tuple[Json, builtins.list[str]]:
        """Create a live generation if `check(the live one)` allows it; return (document, blobs to delete)."""
        current = self._live.get(new.name)
        check(current)
        gone = self._retire(current, bucket) if current else []
        moment = self._cloud.clock.time()
        least = int(current["resource"]["generation"]) + 1 if current else 0
        generation = max(int(moment * 1_000_000), least, self._last_generation() + 1)
        self._cloud.store.collection("storage.generations").put(self.bucket, {"last": generation})
        now = timestamp(moment)
        resource: Json = {k: v for k, v in new.metadata.items() if k in SETTABLE and v is not None} | {
            "kind": "storage#object",
            "id": f"{self.bucket}/{new.name}/{generation}",
            "selfLink": f"{GOOGLE}/b/{self.bucket}/o/{quoted(new.name)}",
            "name": new.name,
            "bucket": self.bucket,
            "generation": str(generation),
            "metageneration": "1",
            "storageClass": new.metadata.get("storageClass") or bucket["resource"]["storageClass"],
            "size": str(new.size),
            "crc32c": new.crc32c,
            "etag": etag(generation, 1),
            "timeCreated": now,
            "updated": now,
            "timeStorageClassUpdated": now,
            "timeFinalized": now,
        }
        if new.md5:
            resource["md5Hash"] = new.md5
        if new.component_count:
            resource["componentCount"] = new.component_count
        if bucket["resource"].get("defaultEventBasedHold"):
            resource.setdefault("eventBasedHold", True)
        period = (bucket["resource"].get("retentionPolicy") or {}).get("retentionPeriod")
        if period:
            resource["retentionExpirationTime"] = timestamp(moment + int(period))
        document = {"blob": new.blob, "creator": new.creator, "resource": resource}
        self._live.put(new.name, document)
        return document, gone

    def change(self, name: str, generation: str | None, change: Callable[[Json], Json]) -> Json:
        """Change a generation's metadata as a new metageneration; returns the document."""
        document = self.get(name, generation)
        resource = change(document["resource"])
        number = int(resource["metageneration"]) + 1
        resource |= {
            "metageneration": str(number),
            "etag": etag(int(resource["generation"]), number),
            "updated": self._cloud.clock.now(),
        }
        document["resource"] = resource
        if "timeDeleted" in resource:
            self._noncurrent.put(self._key(name, resource["generation"]), document)
        else:
            self._live.put(name, document)
        return document

    def delete(self, document: Json, bucket: Json, *, for_good: bool) -> builtins.list[str]:
        """Delete a generation; return blobs to delete. Unless `for_good`, a versioned bucket keeps it as noncurrent."""
        name, generation = document["resource"]["name"], document["resource"]["generation"]
        if "timeDeleted" in document["resource"]:
            self._check_held(document)
            self._noncurrent.delete(self._key(name, generation))
            return self._soften(document, bucket)
        gone = self._retire(document, bucket, for_good=for_good)
        self._live.delete(name)
        return gone

    def undelete(self, document: Json) -> None:
        """Drop a softly deleted generation that was restored. Its blob stays."""
        resource = document["resource"]
        self._soft.delete(self._key(resource["name"], resource["generation"]))

    def forget(self) -> builtins.list[str]:
        """Drop all documents of a deleted bucket; return the blobs to delete."""
        gone = []
        for collection in (self._live, self._noncurrent, self._soft):
            for key, document in collection.items():
                gone.append(document["blob"])
                collection.delete(key)
        return gone

    def purge(self) -> None:
        """Delete softly deleted objects whose retention is over."""
        now, gone = self._cloud.clock.now(), []
        with self._cloud.store.transaction():
            for key, document in self._soft.items():
                if document["resource"]["hardDeleteTime"] <= now:
                    self._soft.delete(key)
                    gone.append(document["blob"])
        blobs(self._cloud).delete(*gone)

    def _last_generation(self) -> int:
        found = self._cloud.store.collection("storage.generations").get(self.bucket)
        return int(found["last"]) if found else 0

    def _retire(self, document: Json, bucket: Json, *, for_good: bool = False) -> builtins.list[str]:
        if (bucket["resource"].get("versioning") or {}).get("enabled") and not for_good:
            resource = document["resource"] | {"timeDeleted": self._cloud.clock.now()}
            self._noncurrent.put(self._key(resource["name"], resource["generation"]), document | {"resource": resource})
            return []
        self._check_held(document)
        return self._soften(document, bucket)

    def _soften(self, document: Json, bucket: Json) -> builtins.list[str]:
        seconds = int(bucket["resource"]["softDeletePolicy"]["retentionDurationSeconds"])
        if not seconds:
            return [str(document["blob"])]
        moment = self._cloud.clock.time()
        resource = document["resource"] | {
            "softDeleteTime": timestamp(moment),
            "hardDeleteTime": timestamp(moment + seconds),
        }
        self._soft.put(self._key(resource["name"], resource["generation"]), document | {"resource": resource})
        return []

    def _check_held(self, document: Json) -> None:
        resource = document["resource"]
        name = f"{self.bucket}/{resource['name']}"
        for field, words in (("temporaryHold", "temporary hold"), ("eventBasedHold", "event-based hold")):
            if resource.get(field):
                message = (
                    f"Object '{name}' is under active {words} and cannot be deleted, overwritten or archived "
                    "until hold is removed."
                )
                raise ApiError(403, "forbidden", message)
        expires = resource.get("retentionExpirationTime")
        if expires and _seconds(expires) > self._cloud.clock.time():
            message = (
                f"Object '{name}' is subject to bucket's retention policy or object retention and cannot be deleted or "
                f"overwritten until {expires}"
            )
            raise ApiError(403, "retentionPolicyNotMet", message)
