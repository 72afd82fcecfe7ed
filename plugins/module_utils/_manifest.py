# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Read and write a bucket's manifest: every live object with its generation, as compressed lines of JSON.

The first line has the number of objects, the number of their bytes, and the SHA-256 of the other lines. It is known
last. Gzip files can be concatenated, so the first line is a separate gzip file before the others. Reader and writer
process one line at a time, because a bucket may have millions of objects.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Any

from ._client import Json

FORMAT = "mlops.mlflow_gcp/bucket-manifest/1"
CONTENT_TYPE = "application/gzip"
# The recorded fields of an object. FIELDS requests them.
KEYS = (
    "name", "generation", "size", "crc32c", "md5Hash", "timeCreated", "customTime", "contentType", "contentEncoding",
    "storageClass", "metadata",
)  # fmt: skip
FIELDS = ",".join(KEYS)


class ManifestError(Exception):
    """The manifest is damaged, or the file is not a manifest."""


def write(file: IO[bytes], objects: Iterable[Json]) -> Json:
    """Write the lines of the objects, which must be in the order of their names, and return the counts."""
    digest, count, size, last = hashlib.sha256(), 0, 0, ""
    with gzip.GzipFile(fileobj=file, mode="wb", mtime=0, compresslevel=6) as packed:
        for item in objects:
            if count and item["name"] <= last:
                raise ManifestError(f"the service listed {item['name']!r} after {last!r}")
            last = item["name"]
            line = _line({key: item[key] for key in KEYS if key in item})
            packed.write(line)
            digest.update(line)
            count += 1
            size += int(item["size"])
    return {"objects": count, "bytes": size, "sha256": digest.hexdigest()}


def head(header: Json) -> bytes:
    """Return the first line as a separate gzip file."""
    return gzip.compress(_line({"format": FORMAT, **header}), mtime=0)


class Reader:
    """Reader of a manifest file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.header: Json = {}

    def __enter__(self) -> Reader:
        try:
            with gzip.GzipFile(fileobj=self._at_start(), mode="rb") as lines:
                first = json.loads(lines.readline())
        except (OSError, EOFError, ValueError, zlib.error) as error:
            raise ManifestError(f"it cannot be read: {error}") from error
        if not isinstance(first, dict) or first.get("format") != FORMAT:
            raise ManifestError(f"its first line does not have the format {FORMAT}")
        self.header = first
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def objects(self) -> Iterator[Json]:
        """Yield every object in the order of names. At the end raise ManifestError if the checksum differs."""
        digest, count, size = hashlib.sha256(), 0, 0
        try:
            with gzip.GzipFile(fileobj=self._at_start(), mode="rb") as lines:
                lines.readline()
                for line in lines:
                    item = json.loads(line)
                    digest.update(line)
                    count += 1
                    size += int(item["size"])
                    yield item
        except (OSError, EOFError, ValueError, KeyError, TypeError, zlib.error) as error:
            raise ManifestError(f"it ends after {count} objects: {error}") from error
        found: dict[str, Any] = {"objects": count, "bytes": size, "sha256": digest.hexdigest()}
        for key, value in found.items():
            if self.header.get(key) != value:
                raise ManifestError(
                    f"its first line records {key} {self.header.get(key)}, but the other lines have {value}"
                )

    def _at_start(self) -> IO[bytes]:
        self._file.seek(0)
        return self._file


def _line(value: Json) -> bytes:
    return json.dumps(value, separators=(",", ":"), sort_keys=True, ensure_ascii=False).encode() + b"\n"
