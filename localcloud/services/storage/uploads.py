# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Uploads: simple, multipart and resumable."""

from __future__ import annotations

import base64
import collections
import email.parser
import email.policy
import json
import mimetypes
import os
import re
import threading
import uuid
from collections.abc import Iterable
from typing import IO, Any
from urllib.parse import quote

from starlette.responses import JSONResponse, Response

from localcloud.core.errors import ApiError
from localcloud.core.store import Collection
from localcloud.framework.service import Call, Json
from localcloud.services.storage.api import api, base_url, bucket_of, media, project_of
from localcloud.services.storage.blobs import Part, Stored, blobs, checked
from localcloud.services.storage.documents import New, new_object
from localcloud.services.storage.objects import check_name, require_write, save, shown

# The service stores a multiple of this size of each chunk but the last.
QUANTUM = 256 * 1024
_WEEK = 7 * 86400
_PARAMETERS = (
    "ifGenerationMatch", "ifGenerationNotMatch", "ifMetagenerationMatch", "ifMetagenerationNotMatch",
)  # fmt: skip
_locks: collections.defaultdict[str, threading.Lock] = collections.defaultdict(threading.Lock)


def _invalid(message: str, reason: str = "invalid") -> ApiError:
    return ApiError(400, reason, message)


@api.method("storage.objects.insert", permission=None, project=project_of)
def insert(call: Call) -> Json | Response:
    """Create an object, by the kind of upload in `uploadType`."""
    if not call.upload:
        bucket, name, metadata = _begin(call, call.body)
        return _finish(call, bucket, name, metadata, blobs(call.cloud).write(()))
    kind = call.query.get("uploadType") or call.query.get("upload_protocol")
    if call.query.get("upload_id"):
        return resume(call, call.query["upload_id"])
    if call.request.method != "POST":
        raise ApiError(405, "methodNotAllowed", "Only an upload session goes on with this method.")
    if kind == "resumable":
        return _open(call)
    if kind not in ("media", "multipart"):
        raise _invalid("Invalid uploadType", "badRequest")
    header = call.request.headers.get("content-type", "")
    if kind == "media":
        metadata, content_type, part = {}, header, Part(media(call))
    else:
        metadata, content_type, part = _related(media(call), header)
    bucket, name, metadata = _begin(call, metadata)
    if content_type:
        metadata.setdefault("contentType", content_type)
    return _finish(call, bucket, name, metadata, blobs(call.cloud).write(part))


def _begin(call: Call, body: Json) -> tuple[Json, str, Json]:
    """Check name and permission; return (bucket, object's name, metadata)."""
    contract = next(call.service.contracts())
    metadata = contract.request(contract.methods["storage.objects.insert"], body)
    metadata = {k: v for k, v in metadata.items() if v is not None}
    name = str(call.params.get("name") or call.query.get("name") or metadata.get("name") or "")
    check_name(name)
    bucket = bucket_of(call)
    require_write(call, bucket, name)
    if call.params.get("contentEncoding"):
        metadata.setdefault("contentEncoding", call.params["contentEncoding"])
    return bucket, name, metadata


def _finish(call: Call, bucket: Json, name: str, metadata: Json, stored: Stored) -> Json:
    return shown(call, save(call, bucket, _new(call, name, metadata, stored, call.caller.member)))


def _new(call: Call, name: str, metadata: Json, stored: Stored, creator: str) -> New:
    wanted = {"crc32c": metadata.get("crc32c") or "", "md5": metadata.get("md5Hash") or ""}
    for value in ",".join(call.request.headers.getlist("x-goog-hash")).split(","):
        key, _, digest = value.strip().partition("=")
        wanted[key] = digest or wanted.get(key, "")
    try:
        checked(stored, wanted, _invalid)
    except ApiError:
        blobs(call.cloud).delete(stored.id)
        raise
    return new_object(name, metadata, stored, creator)


# -- multipart/related: metadata, then bytes


def _related(file: IO[bytes], header: str) -> tuple[Json, str, Part]:
    found = re.search(r"boundary=(?:'([^']+)'|\"([^\"]+)\"|([^;\s]+))", header)
    if not header.startswith("multipart/") or not found:
        raise _invalid("Missing or malformed boundary in the Content-Type header of a multipart upload.", "badContent")
    boundary = b"--" + next(g for g in found.groups() if g).encode()
    _, start = _headers_after(file, _after(file, 0, boundary))
    end = _after(file, start, b"\n" + boundary)
    file.seek(start)
    raw = file.read(end - start - len(boundary) - 1)
    try:
        metadata = json.loads(raw) if raw.strip() else {}
    except ValueError as error:
        raise _invalid(f"Metadata part is not JSON: {error}", "parseError") from error
    second, data = _headers_after(file, end)
    # The bytes end before the last delimiter. Search it from the end: the bytes may be large.
    size = file.seek(0, os.SEEK_END)
    tail_at = max(data - 2, size - len(boundary) - 4096)
    file.seek(tail_at)
    tail = file.read()
    close = tail.rfind(b"\n" + boundary + b"--")
    if close < 0:
        raise _invalid("Missing end boundary in multipart body.", "badContent")
    stop = tail_at + close
    if close and tail[close - 1 : close] == b"\r":
        stop -= 1
    content_type = second.get("content-type") or ""
    if second.get("content-transfer-encoding", "").lower() == "base64":
        file.seek(data)
        return metadata, content_type, _memory(base64.b64decode(file.read(stop - data)))
    return metadata, content_type, Part(file, data, max(stop - data, 0))


def _memory(data: bytes) -> Any:
    return (data,)


def _after(file: IO[bytes], start: int, wanted: bytes) -> int:
    """Return the offset after the next occurrence, within the first megabytes."""
    file.seek(start)
    head = file.read(4 * 2**20)
    at = head.find(wanted)
    if at < 0:
        raise _invalid("Malformed multipart body.", "badContent")
    return start + at + len(wanted)


def _headers_after(file: IO[bytes], start: int) -> tuple[dict[str, str], int]:
    """Return the headers of the part whose delimiter line ends at or after `start`, and the offset of its content."""
    file.seek(start)
    head = file.read(64 * 1024)
    line = head.find(b"\n") + 1
    if head[line : line + 2] == b"\r\n" or head[line : line + 1] == b"\n":
        return {}, start + line + (2 if head[line : line + 1] == b"\r" else 1)
    found = re.search(rb"\r?\n\r?\n", head[line:])
    if not found:
        raise _invalid("Malformed multipart body.", "badContent")
    parsed = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(head[line : line + found.end()])
    return {k.lower(): str(v) for k, v in parsed.items()}, start + line + found.end()


# -- resumable sessions


def _sessions(call: Call) -> Collection:
    return call.cloud.store.collection("storage.uploads")


def _open(call: Call) -> Response:
    """Open a session. As at Google, its URI is sufficient to continue."""
    raw = media(call).read()
    try:
        body = json.loads(raw) if raw.strip() else {}
    except ValueError as error:
        raise _invalid(f"Invalid JSON payload received. {error}", "parseError") from error
    bucket, name, metadata = _begin(call, body)
    headers = call.request.headers
    if headers.get("x-upload-content-type"):
        metadata.setdefault("contentType", headers["x-upload-content-type"])
    id = open_session(call, bucket, name, metadata, headers.get("x-upload-content-length", ""))
    location = (
        f"{base_url(call)}/upload/storage/v1/b/{quote(bucket['resource']['name'])}/o"
        f"?uploadType=resumable&name={quote(name, safe='')}&upload_id={id}"
    )
    return Response(status_code=200, headers={"Location": location, "X-GUploader-UploadID": id})


def open_session(call: Call, bucket: Json, name: str, metadata: Json, length: str) -> str:
    """Create a session and return its ID. The length is empty if the client does not know it."""
    id = uuid.uuid4().hex
    session = {
        "bucket": bucket["resource"]["name"],
        "name": name,
        "metadata": metadata,
        "parameters": {k: call.params[k] for k in _PARAMETERS if k in call.params},
        "creator": call.caller.member,
        "length": int(length) if length.isdigit() else None,
        "received": 0,
        "opened": call.cloud.clock.time(),
        "object": None,
    }
    _expire(call)
    blobs(call.cloud).upload(id).touch(mode=0o600)
    _sessions(call).put(id, session)
    return id


def _expire(call: Call) -> None:
    """Remove sessions older than a week."""
    for id, session in _sessions(call).items():
        if session["opened"] + _WEEK < call.cloud.clock.time():
            _sessions(call).delete(id)
            blobs(call.cloud).upload(id).unlink(missing_ok=True)


def resume(call: Call, id: str) -> Response:
    """Handle a request of a session. Its answer is 308 while the upload is incomplete."""
    with _locks[id]:
        return _resume(call, id)


def uploaded(call: Call, id: str) -> Json | None:
    """Return the document of the object of a finished session, or None."""
    session = _sessions(call).get(id)
    return session and session["object"]


def _resume(call: Call, id: str) -> Response:
    session = _sessions(call).get(id)
    if session is None or session["bucket"] != call.params["bucket"]:
        raise ApiError(404, "notFound", "The upload session was not found.")
    if call.request.method == "DELETE":
        _sessions(call).delete(id)
        blobs(call.cloud).upload(id).unlink(missing_ok=True)
        return Response(status_code=499)
    if session["object"] is not None:
        return JSONResponse(shown(call, session["object"]))
    start, end, total = _content_range(call, session)
    if start is not None:
        _append(call, id, session, start, end, total)
    elif total is not None and total < session["received"]:
        raise _invalid(f"Invalid request. {session['received']} bytes have been received, more than {total}.")
    if total is None or session["received"] < total:
        return _incomplete(session)
    stored = blobs(call.cloud).adopt(id)
    call.params |= session["parameters"]
    try:
        bucket = bucket_of(call, session["bucket"])
        new = _new(call, session["name"], _typed(session), stored, session["creator"])
        document = save(call, bucket, new)
    except ApiError:
        _sessions(call).delete(id)
        raise
    _sessions(call).put(id, session | {"object": document})
    return JSONResponse(shown(call, document))


def _typed(session: Json) -> Json:
    metadata: Json = session["metadata"]
    if not metadata.get("contentType"):
        guessed = mimetypes.guess_type(session["name"])[0]
        return metadata | ({"contentType": guessed} if guessed else {})
    return metadata


def _incomplete(session: Json) -> Response:
    headers = {"Range": f"bytes=0-{session['received'] - 1}"} if session["received"] else {}
    return Response(status_code=308, headers=headers)


def _content_range(call: Call, session: Json) -> tuple[int | None, int, int | None]:
    """Return (start or None for a query, end, total or None)."""
    size = media(call).seek(0, os.SEEK_END)
    header = call.request.headers.get("content-range")
    if header is None:
        return session["received"], session["received"] + size, session["received"] + size
    found = re.fullmatch(r"bytes\s+(?:(\d+)-(\d+)|\*)/(\d+|\*)", header.strip())
    if not found:
        raise _invalid("Failed to parse Content-Range header.", "badRequest")
    first, last, whole = found.groups()
    total = int(whole) if whole != "*" else None
    if total is not None and session["length"] not in (None, total):
        raise _invalid(f"Invalid request. The upload was announced with {session['length']} bytes, not {total}.")
    if first is None:
        if size:
            raise _invalid("Content-Range says that there is no content.", "badRequest")
        return None, 0, total
    start, end = int(first), int(last) + 1
    if end - start != size:
        raise _invalid(
            f"Invalid request. There were {size} byte(s) in the request body. There should have been {end - start} "
            f"byte(s) (from offset {start} to offset {end - 1}) according to the Content-Range header."
        )
    if total is not None and end > total:
        raise _invalid("Content-Range ends behind the total.", "badRequest")
    return start, end, total


def _append(call: Call, id: str, session: Json, start: int, end: int, total: int | None) -> None:
    """Append a chunk to the upload's file. The document has the number of valid bytes."""
    received = int(session["received"])
    if start > received:
        message = (
            f"Invalid request. According to the Content-Range header, the upload offset is {start} byte(s), which "
            f"exceeds already uploaded size of {received} byte(s)."
        )
        raise ApiError(503, "backendError", message)
    if total is None or end < total:
        end -= end % QUANTUM
    if end <= received:
        return
    _write(blobs(call.cloud).upload(id), received, Part(media(call), received - start, end - received))
    session["received"] = end
    _sessions(call).put(id, session)


def _write(path: Any, offset: int, chunks: Iterable[bytes]) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.truncate()
        for chunk in chunks:
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
