# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Upload, download and list objects of Cloud Storage in parts, and resume interrupted transfers."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import IO, Any
from urllib.parse import quote, urlencode

from ._client import Client, GoogleError, Json
from ._crc32c import crc32c as slow_crc32c

try:  # a hundred times faster; installed with the client libraries of Cloud Storage
    from google_crc32c import extend
except ImportError:
    extend = None

try:
    import requests
    import urllib3
except ImportError:  # the module reports _auth.IMPORT_ERROR
    pass

API = "storage"
PIECE = 8 * 2**20  # bytes of one upload request; the service requires a multiple of 256 KiB
READ = 2**20
ATTEMPTS = 6


def path(bucket: str, name: str) -> str:
    """Return the object's path below the API's base address."""
    return f"b/{bucket}/o/{quote(name, safe='')}"


def find(client: Client, bucket: str, name: str) -> Json | None:
    """Return the live object, or None."""
    return client.find(API, path(bucket, name))


def list_objects(client: Client, bucket: str, fields: str, **query: Any) -> Iterator[Json]:
    """Yield the objects in the order of their names, with the given ``fields``."""
    query = {"fields": f"nextPageToken,items({fields})", "maxResults": 1000, **query}
    for page in client.pages(API, f"b/{bucket}/o", query):
        client.renew()
        yield from page.get("items") or ()


def in_parallel(client: Client, work: Callable[[Json], None], items: Iterable[Json], parallel: int) -> None:
    """Run ``work`` for each item in parallel. Start no more items after a failure.

    The client's deadline restarts after each item. Only a few items are in memory at any time.
    """
    if parallel <= 1:
        for item in items:
            work(item)
            client.renew()
        return
    with ThreadPoolExecutor(parallel) as pool:
        running: set[Future[None]] = set()
        for item in items:
            running.add(pool.submit(work, item))
            if len(running) >= 2 * parallel:
                running = _finish(client, running)
        while running:
            running = _finish(client, running)


def _finish(client: Client, running: set[Future[None]]) -> set[Future[None]]:
    done, left = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        future.result()
    client.renew()
    return left


def upload(
    client: Client, bucket: str, resource: Json, file: IO[bytes], size: int, generation: str | None = None
) -> Json:
    """Upload ``size`` bytes of a file as the object ``resource``. Readers see either all bytes or the old object.

    ``generation`` is the generation of the object to replace, or ``"0"`` if no object may exist (else HTTP 412).
    """
    query = {"uploadType": "resumable", "fields": "name,generation,size,crc32c,md5Hash,timeCreated,metadata"}
    if generation is not None:
        query["ifGenerationMatch"] = generation
    url = _base(client, "upload/storage") + f"b/{bucket}/o?{urlencode(query)}"
    kind = {"X-Upload-Content-Type": resource.get("contentType", "application/octet-stream")}
    session = client.raw("POST", API, url, json=resource, headers=kind).headers["Location"]
    start, stuck = 0, 0
    while stuck < ATTEMPTS:
        file.seek(start)
        data = file.read(min(PIECE, size - start))
        span = f"bytes {start}-{start + len(data) - 1}/{size}" if data else f"bytes */{size}"
        try:
            answer = client.raw("PUT", API, session, data=data, headers={"Content-Range": span})
        except GoogleError as error:
            if error.code != 503 and error.reason != "connection":
                raise
            # Ask the service how many bytes arrived.
            answer = client.raw("PUT", API, session, data=b"", headers={"Content-Range": f"bytes */{size}"})
        if answer.status_code != 308:
            return dict(answer.json())
        came = int(answer.headers["Range"].rsplit("-", 1)[1]) + 1 if answer.headers.get("Range") else 0
        start, stuck = came, 0 if came > start else stuck + 1
    raise GoogleError(0, "connection", f"the upload of {resource['name']} stopped at {start} bytes", api=API)


def read(client: Client, bucket: str, name: str, generation: str) -> Iterator[bytes]:
    """Yield the stored bytes of one generation. Resume after a broken connection."""
    url = client.base(API) + f"{path(bucket, name)}?{urlencode({'alt': 'media', 'generation': generation})}"
    offset, retry = 0, client.retry()
    while True:
        # Disable decompression, so that sizes and checksums match the object.
        headers = {"Accept-Encoding": "gzip"} | ({"Range": f"bytes={offset}-"} if offset else {})
        begun = offset
        try:
            response = client.raw("GET", API, url, headers=headers, stream=True)
        except GoogleError as error:
            if error.code == 416:  # all bytes have arrived already
                return
            raise
        try:
            with response:
                for piece in response.raw.stream(READ, decode_content=False):
                    offset += len(piece)
                    yield piece
            length = response.headers.get("Content-Length")
            if length is None or offset - begun >= int(length):
                return
            cause: Exception | None = None
        except (urllib3.exceptions.HTTPError, requests.exceptions.RequestException) as error:
            cause = error
        if offset > begun:
            retry = client.retry()
        if retry.attempts + 1 >= ATTEMPTS or not retry.pause():
            raise GoogleError(0, "connection", f"the download of {name} was interrupted: {cause}", api=API) from cause


class Digest:
    """Checksum of an object: MD5, or CRC-32C for a composite object, which has no MD5."""

    def __init__(self, resource: Mapping[str, Any]) -> None:
        self.expected = str(resource.get("md5Hash") or resource.get("crc32c") or "")
        self._md5 = hashlib.md5(usedforsecurity=False) if resource.get("md5Hash") else None
        self._crc = 0

    def update(self, data: bytes) -> None:
        """Add data."""
        if self._md5:
            self._md5.update(data)
        else:
            more: Callable[[int, bytes], int] = extend or slow_crc32c_extend
            self._crc = more(self._crc, data)

    def good(self) -> bool:
        """Return whether the data matches the object's checksum."""
        found = self._md5.digest() if self._md5 else self._crc.to_bytes(4, "big")
        return base64.b64encode(found).decode() == self.expected


def slow_crc32c_extend(checksum: int, data: bytes) -> int:
    """Return the CRC-32C of the earlier data and ``data``."""
    return slow_crc32c(data, checksum)


def _base(client: Client, root: str) -> str:
    # …/storage/v1/ → …/upload/storage/v1/, also with another host from gcloud's endpoint override.
    head, _slash, tail = client.base(API).rpartition("storage/")
    return f"{head}{root}/{tail}"
