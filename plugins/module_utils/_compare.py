# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""A manifest against what a bucket has, both in the order of names: pure functions that hold one name at a time."""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import groupby

from ._client import Json


@dataclass
class Name:
    """One name: what the manifest says, and what there is of it."""

    name: str
    wanted: Json | None = None
    live: Json | None = None
    versions: list[Json] = field(default_factory=list)  # in the bucket that the manifest is of, live one included

    @property
    def same(self) -> bool:
        """Whether the live object is what the manifest says."""
        return self.wanted is not None and self.live is not None and equal(self.wanted, self.live)

    @property
    def source(self) -> Json | None:
        """The version to copy: the one written down, or another with the same bytes; None where they are lost."""
        wanted = self.wanted
        if wanted is None:
            return None
        exact = (one for one in self.versions if one["generation"] == wanted["generation"])
        return next(exact, None) or next((one for one in self.versions if equal(wanted, one)), None)


def equal(wanted: Json, found: Json) -> bool:
    """Whether two generations have the same bytes, by size and checksum."""
    if str(wanted["size"]) != str(found["size"]):
        return False
    keys = [key for key in ("md5Hash", "crc32c") if wanted.get(key) and found.get(key)]
    return bool(keys) and all(wanted[key] == found[key] for key in keys)


def walk(manifest: Iterable[Json], versions: Iterable[Json], target: Iterable[Json] | None) -> Iterator[Name]:
    """Every name that occurs anywhere.

    ``versions`` is a listing with noncurrent versions of the bucket that the manifest is of. ``target`` is a listing of
    the bucket to be restored, None where it is the same.
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
                found.wanted = item
            elif kind == 1:
                found.versions.append(item)
                if target is None and not item.get("timeDeleted"):
                    found.live = item
            else:
                found.live = item
        yield found


def _merge(streams: Iterable[Iterator[tuple[str, int, Json]]]) -> Iterator[tuple[str, int, Json]]:
    # Python orders text by code points, which is the order of its UTF-8 bytes, in which the service lists names.

    return heapq.merge(*streams, key=lambda entry: entry[:2])
