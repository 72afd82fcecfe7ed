# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Objects of Cloud Storage: their bytes in and out, in pieces, with what was cut off taken up again."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import IO, Any
from urllib.parse import quote, urlencode

from ._client import Client, GoogleError, Json
from ._crc32c import crc32c as slow_crc32c

try:  # a hundred times as fast; the client libraries of Cloud Storage bring it
    from google_crc32c import extend
except ImportError:
    extend = None

try:
    import requests
    import urllib3
except ImportError:  # reported by whoever starts us
    pass

API = "storage"
PIECE = 8 * 2**20  # of an upload; a multiple of 256 KiB, as the service wants it
READ = 2**20
ATTEMPTS = 6


def path(bucket: str, name: str) -> str:
    """An object's path below the API's base address."""
    return f"b/{bucket}/o/{quote(name, safe='')}"


def find(client: Client, bucket: str, name: str) -> Json | None:
    """The live object, or None."""
    return client.find(API, path(bucket, name))


def each(client: Client, bucket: str, fields: str, **query: Any) -> Iterator[Json]:
    """Objects in the order of their names, a page at a time; ``fields`` are those that are asked for."""
    query = {"fields": f"nextPageToken,items({fields})", "maxResults": 1000, **query}
    for page in client.pages(API, f"b/{bucket}/o", query):
        client.renew()
        yield from page.get("items") or ()


def many(client: Client, work: Callable[[Json], None], items: Iterable[Json], parallel: int) -> None:
    """Do ``work`` for each item, several at a time; after a failure no other item is begun.

    The client's deadline starts again whenever an item is done. Few items wait in memory at any time.
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
    """Write ``size`` bytes of a file as the object that ``resource`` describes, in one step for whoever reads it.

    ``generation`` is that of the object it replaces, ``"0"`` where there must be none (HTTP 412 otherwise).
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
            # How much of it came through is for the service to say.
            answer = client.raw("PUT", API, session, data=b"", headers={"Content-Range": f"bytes */{size}"})
        if answer.status_code != 308:
            return dict(answer.json())
        came = int(answer.headers["Range"].rsplit("-", 1)[1]) + 1 if answer.headers.get("Range") else 0
        start, stuck = came, 0 if came > start else stuck + 1
    raise GoogleError(0, "connection", f"the upload of {resource['name']} gets no further than {start} bytes", api=API)


def read(client: Client, bucket: str, name: str, generation: str) -> Iterator[bytes]:
    """The bytes of one generation as they are stored; a connection that breaks is taken up where it broke."""
    url = client.base(API) + f"{path(bucket, name)}?{urlencode({'alt': 'media', 'generation': generation})}"
    offset, failures = 0, 0
    while True:
        # What is stored compressed comes as it is, so that sizes and checksums are those of the object.
        headers = {"Accept-Encoding": "gzip"} | ({"Range": f"bytes={offset}-"} if offset else {})
        begun = offset
        try:
            response = client.raw("GET", API, url, headers=headers, stream=True)
        except GoogleError as error:
            if error.code == 416:  # nothing is left after what came
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
        failures = failures + 1 if offset == begun else 0
        if failures >= ATTEMPTS:
            raise GoogleError(0, "connection", f"the download of {name} breaks off: {cause}", api=API) from cause
        client.clock.sleep(client.pause(failures))


class Digest:
    """The checksum that an object has: MD5, or CRC-32C where it was put together from parts."""

    def __init__(self, wanted: Mapping[str, Any]) -> None:
        self.wanted = str(wanted.get("md5Hash") or wanted.get("crc32c") or "")
        self._md5 = hashlib.md5(usedforsecurity=False) if wanted.get("md5Hash") else None
        self._crc = 0

    def update(self, data: bytes) -> None:
        """More of it."""
        if self._md5:
            self._md5.update(data)
        else:
            more: Callable[[int, bytes], int] = extend or slow_crc32c_extend
            self._crc = more(self._crc, data)

    def good(self) -> bool:
        """Whether all that came is what it should be."""
        found = self._md5.digest() if self._md5 else self._crc.to_bytes(4, "big")
        return base64.b64encode(found).decode() == self.wanted


def slow_crc32c_extend(checksum: int, data: bytes) -> int:
    """CRC-32C of what was before and ``data``."""
    return slow_crc32c(data, checksum)


def _base(client: Client, root: str) -> str:
    # …/storage/v1/ → …/upload/storage/v1/, also where gcloud's endpoint override says another host.
    head, _slash, tail = client.base(API).rpartition("storage/")
    return f"{head}{root}/{tail}"
