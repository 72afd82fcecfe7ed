# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Downloads of objects: ranges, checksums in headers, files of any size."""

from __future__ import annotations

import gzip
import pathlib
import re
from collections.abc import Iterator
from typing import IO
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from localcloud.core.errors import ApiError
from localcloud.framework.service import Json
from localcloud.services.storage.blobs import CHUNK, Part


def download(request: Request, resource: Json, path: pathlib.Path) -> Response:
    """Return the object's bytes, or a range of them. Opens the file now: a later deletion does not interrupt it."""
    size = int(resource["size"])
    headers = headers_of(resource)
    encoding = resource.get("contentEncoding")
    readable = "gzip" in request.headers.get("accept-encoding", "")
    if encoding == "gzip" and not readable and "no-transform" not in resource.get("cacheControl", ""):
        # As at Google: decompressed for clients that do not accept gzip, and then without ranges.
        headers["Warning"] = "214 UploadServer gunzipped"
        return StreamingResponse(_unpacked(path.open("rb")), headers=headers)
    if encoding:
        headers["Content-Encoding"] = encoding
    headers["Accept-Ranges"] = "bytes"
    start, end = 0, size
    wanted = _range(request.headers.get("range"), size)
    if wanted is not None:
        start, end = wanted
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
    headers["Content-Length"] = str(end - start)
    status = 200 if wanted is None else 206
    return StreamingResponse(_chunks(path.open("rb"), start, end - start), status_code=status, headers=headers)


def headers_of(resource: Json) -> dict[str, str]:
    """Return the headers that describe an object."""
    hashes = [f"crc32c={resource['crc32c']}"]
    if resource.get("md5Hash"):
        hashes.append(f"md5={resource['md5Hash']}")
    headers = {
        "Content-Type": resource.get("contentType") or "application/octet-stream",
        "ETag": resource["etag"],
        "X-Goog-Generation": resource["generation"],
        "X-Goog-Metageneration": resource["metageneration"],
        "X-Goog-Hash": ",".join(hashes),
        "X-Goog-Storage-Class": resource["storageClass"],
        "X-Goog-Stored-Content-Encoding": resource.get("contentEncoding") or "identity",
        "X-Goog-Stored-Content-Length": resource["size"],
        "Cache-Control": resource.get("cacheControl") or "no-cache, no-store, max-age=0, must-revalidate",
        "Vary": "Origin, X-Origin",
    }
    for field, header in (("contentDisposition", "Content-Disposition"), ("contentLanguage", "Content-Language")):
        if resource.get(field):
            headers[header] = header_text(resource[field])
    return headers


def header_text(value: str) -> str:
    """Return a value of metadata as a header has it: control characters and characters beyond ASCII are encoded."""
    return quote(value, safe=" !\"#$&'()*+,/:;<=>?@[]^_`{|}~%")


def _range(header: str | None, size: int) -> tuple[int, int] | None:
    """Return (start, end) of a range request; None for the whole, also for an invalid header or several ranges."""
    found = re.fullmatch(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", header or "")
    if not found or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        start, end = max(size - int(last), 0), size
        satisfiable = int(last) > 0 and size > 0
    else:
        start, end = int(first), min(int(last) + 1, size) if last else size
        if last and int(last) < start:
            return None
        satisfiable = start < size
    if not satisfiable:
        message = f"The requested range cannot be satisfied: {header}"
        raise ApiError(416, "requestedRangeNotSatisfiable", message, headers={"Content-Range": f"bytes */{size}"})
    return start, end


def _chunks(file: IO[bytes], start: int, length: int) -> Iterator[bytes]:
    with file:
        yield from Part(file, start, length)


def _unpacked(file: IO[bytes]) -> Iterator[bytes]:
    with file, gzip.GzipFile(fileobj=file) as unpacked:
        while chunk := unpacked.read(CHUNK):
            yield chunk
