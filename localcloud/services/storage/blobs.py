# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The bytes of objects: files under `objects/` in the local cloud's home, written durably, never changed."""

from __future__ import annotations

import base64
import hashlib
import os
import pathlib
import threading
import uuid
import weakref
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import google_crc32c

from localcloud.framework.cloud import Cloud

CHUNK = 2**20
# The documents of the parts of multipart uploads.
PARTS = "storage.multipartParts"


@dataclass(frozen=True)
class Stored:
    """A file on disk, with its size and its checksums in base64, as objects contain them. `md5` may be empty."""

    id: str
    size: int
    md5: str
    crc32c: str


class Part:
    """A range of a seekable file, read in chunks."""

    def __init__(self, file: IO[bytes], start: int = 0, length: int | None = None) -> None:
        self._file = file
        self._start = start
        self._length = length

    def __iter__(self) -> Iterator[bytes]:
        self._file.seek(self._start)
        left = self._length
        while left is None or left > 0:
            chunk = self._file.read(CHUNK if left is None else min(CHUNK, left))
            if not chunk:
                return
            if left is not None:
                left -= len(chunk)
            yield chunk


class Blobs:
    """Files by id. A rename or an overwrite of an object does not change the file, so readers are not disturbed."""

    def __init__(self, home: pathlib.Path) -> None:
        self._root = home / "objects"
        self._uploads = self._root / "uploads"
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._uploads.mkdir(exist_ok=True)

    def path(self, id: str) -> pathlib.Path:
        """Return the path of a blob."""
        return self._root / id[:2] / id

    def upload(self, id: str) -> pathlib.Path:
        """Return the path of an unfinished upload."""
        return self._uploads / id

    def write(self, chunks: Iterable[bytes], *, md5: bool = True) -> Stored:
        """Write a new blob, with or without an MD5 hash. It is on disk when this function returns."""
        id = uuid.uuid4().hex
        temporary = self.upload(f"{id}.tmp")
        digest = hashlib.md5(usedforsecurity=False) if md5 else None
        crc, size = google_crc32c.Checksum(), 0
        try:
            with temporary.open("wb") as file:
                for chunk in chunks:
                    file.write(chunk)
                    if digest:
                        digest.update(chunk)
                    crc.update(chunk)
                    size += len(chunk)
                file.flush()
                os.fsync(file.fileno())
            self._place(temporary, id)
        finally:
            temporary.unlink(missing_ok=True)
        hashed = base64.b64encode(digest.digest()).decode() if digest else ""
        return Stored(id, size, hashed, base64.b64encode(crc.digest()).decode())

    def adopt(self, upload: str) -> Stored:
        """Turn a finished upload's file into a blob with the upload's id. Idempotent after a crash."""
        path = self.path(upload) if self.path(upload).exists() else self.upload(upload)
        md5, crc, size = hashlib.md5(usedforsecurity=False), google_crc32c.Checksum(), 0
        with path.open("rb") as file:
            for chunk in Part(file):
                md5.update(chunk)
                crc.update(chunk)
                size += len(chunk)
        if path != self.path(upload):
            self._place(path, upload)
        return Stored(upload, size, base64.b64encode(md5.digest()).decode(), base64.b64encode(crc.digest()).decode())

    def link(self, id: str) -> str:
        """Create another blob with the same bytes, without a copy."""
        new = uuid.uuid4().hex
        self.path(new).parent.mkdir(exist_ok=True)
        os.link(self.path(id), self.path(new))
        _sync(self.path(new).parent)
        return new

    def delete(self, *ids: str) -> None:
        """Remove blobs. Open readers are not disturbed."""
        for id in ids:
            self.path(id).unlink(missing_ok=True)

    def sweep(self, blobs: set[str], uploads: set[str]) -> None:
        """Remove files without a document, left by a crash between the two writes."""
        for path in self._uploads.iterdir():
            if path.name not in uploads:
                path.unlink(missing_ok=True)
        for path in self._root.glob("??/*"):
            if path.name not in blobs:
                path.unlink(missing_ok=True)

    def _place(self, source: pathlib.Path, id: str) -> None:
        target = self.path(id)
        new = not target.parent.exists()
        target.parent.mkdir(exist_ok=True)
        source.replace(target)
        _sync(target.parent)
        if new:
            _sync(self._root)


def _sync(directory: pathlib.Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_ALL: weakref.WeakKeyDictionary[Cloud, Blobs] = weakref.WeakKeyDictionary()
_lock = threading.Lock()


def blobs(cloud: Cloud) -> Blobs:
    """Return the blobs of a local cloud. The first call removes remains of a crash."""
    with _lock:
        found = _ALL.get(cloud)
        if found is None:
            found = Blobs(cloud.settings.home)
            rows = cloud.store.execute(
                "SELECT json_extract(body, '$.blob') FROM documents WHERE kind LIKE 'storage.objects:%'"
                " OR kind LIKE 'storage.noncurrent:%' OR kind LIKE 'storage.softDeleted:%' OR kind = ?",
                (PARTS,),
            )
            uploads = {key for key, _ in cloud.store.collection("storage.uploads").items()}
            found.sweep({row[0] for row in rows} | uploads, uploads)
            _ALL[cloud] = found
        return found


def checked(stored: Stored, wanted: dict[str, str], error: Callable[[str], Any]) -> None:
    """Raise `error(message)` if a checksum from the caller differs from the stored checksum."""
    for name, label, actual in (("crc32c", "CRC32C", stored.crc32c), ("md5", "MD5 hash", stored.md5)):
        if wanted.get(name) and wanted[name] != actual:
            raise error(f'Provided {label} "{wanted[name]}" doesn\'t match calculated {label} "{actual}".')
