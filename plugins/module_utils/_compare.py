# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Compare a manifest with the objects of a bucket, in the order of names: pure functions with one name in memory."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from ._client import Json


@dataclass
class Name:
    """A name with its entry in the manifest and its objects."""

    name: str
    desired: Json | None = None
    live: Json | None = None
    versions: list[Json] = field(default_factory=list)  # in the manifest's bucket, including the live version

    @property
    def same(self) -> bool:
        """Return whether the live object equals the manifest's entry."""
        return self.desired is not None and self.live is not None and equal(self.desired, self.live)

    @property
    def source(self) -> Json | None:
        """Return the version to copy: the recorded generation, or one with the same bytes, or None."""
        desired = self.desired
        if desired is None:
            return None
        exact = (one for one in self.versions if one["generation"] == desired["generation"])
        return next(exact, None) or next((one for one in self.versions if equal(desired, one)), None)


def equal(desired: Json, found: Json) -> bool:
    """Return whether two generations have the same bytes, by size and checksum."""
    if str(desired["size"]) != str(found["size"]):
        return False
    keys = [key for key in ("md5Hash", "crc32c") if desired.get(key) and found.get(key)]
    return bool(keys) and all(desired[key] == found[key] for key in keys)


def walk(manifest: Iterable[Json], versions: Iterable[Json], target: Iterable[Json] | None) -> Iterator[Name]:
    """Yield every name of the manifest and the buckets.

    ``versions`` lists the manifest's bucket with noncurrent versions. ``target`` lists the bucket to restore, or is
    None if it is the manifest's bucket.
    """
    streams = [
        ((item["name"], 0, item) for item in manifest),
        ((item["name"], 1, item) for item in versions),
        ((item["name"], 2, item) for item in target or ()),
    ]
    merged = _merge(streams)
    for name, items in groupby(merged, key=lambda entry: entry[0]):
        found = Name(name)
        for _name, kind, item in items:
            if kind == 0:
                found.desired = item
            elif kind == 1:
                found.versions.append(item)
                if target is None and not item.get("timeDeleted"):
                    found.live = item
            else:
                found.live = item
        yield found


def _merge(streams: Iterable[Iterator[tuple[str, int, Json]]]) -> Iterator[tuple[str, int, Json]]:
    # Python orders text by code points. The service lists names in the order of their UTF-8 bytes, which is the same.

    return heapq.merge(*streams, key=lambda entry: entry[:2])
