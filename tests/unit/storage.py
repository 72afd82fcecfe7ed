# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Scripted objects of Cloud Storage: uploads in a session, downloads, listings."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

from ansible_collections.mlops.mlflow_gcp.plugins.module_utils import _client, _manifest
from ansible_collections.mlops.mlflow_gcp.plugins.module_utils._crc32c import crc32c

from tests.unit.harness import Cloud, Json

SESSION = "https://storage.googleapis.com/upload/storage/v1/session"


def asks(request: Any) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(request.url).query, keep_blank_values=True))


def one(bucket: str, name: str) -> str:
    return f"b/{bucket}/o/{quote(name, safe='')}"


def stored(name: str, generation: int, data: bytes, **more: Any) -> Json:
    """Return an object with these bytes as the API returns it."""
    md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
    crc = base64.b64encode(crc32c(data).to_bytes(4, "big")).decode()
    return {
        "name": name,
        "generation": str(generation),
        "size": str(len(data)),
        "md5Hash": md5,
        "crc32c": crc,
        **more,
    }


def lists(cloud: Cloud, bucket: str, *pages: list[Json], **query: str) -> None:
    """Expect a listing, page by page, with any requested fields."""
    for number, page in enumerate(pages):
        wanted = query | ({"pageToken": f"page-{number}"} if number else {})

        def matches(request: Any, wanted: dict[str, str] = wanted) -> tuple[bool, str]:
            asked = {key: value for key, value in asks(request).items() if key not in {"fields", "maxResults"}}
            return asked == wanted, f"query is {asked}, expected {wanted}"

        answer: Json = {"items": page} if page else {}
        if number + 1 < len(pages):
            answer["nextPageToken"] = f"page-{number + 1}"
        cloud.script.add(
            "GET", f"{_client.ENDPOINTS['storage']}b/{bucket}/o", match=[matches], json=answer, content_type=None
        )


def uploads(cloud: Cloud, bucket: str, resource: Json, generation: str, answer: Json) -> list[bytes]:
    """Expect an upload in one request; return the uploaded content."""
    brought: list[bytes] = []

    def begins(request: Any) -> tuple[bool, str]:
        sent, asked = json.loads(request.body), asks(request)
        said = {key: value for key, value in sent.items() if key != "metadata"}
        good = said == resource and asked["uploadType"] == "resumable" and asked["ifGenerationMatch"] == generation
        return good, f"{sent} {asked}"

    def brings(request: Any) -> tuple[bool, str]:
        size = len(request.body or b"")
        span = f"bytes 0-{size - 1}/{size}"
        brought[:] = [request.body]
        return request.headers["Content-Range"] == span, f"{request.headers['Content-Range']}, expected {span}"

    url = f"https://storage.googleapis.com/upload/storage/v1/b/{bucket}/o"
    cloud.script.add("POST", url, match=[begins], headers={"Location": SESSION})
    cloud.script.add("PUT", SESSION, match=[brings], json=answer)
    return brought


def downloads(cloud: Cloud, bucket: str, name: str, generation: str, data: bytes) -> None:
    """Expect a download of one generation."""

    def matches(request: Any) -> tuple[bool, str]:
        return asks(request) == {"alt": "media", "generation": generation}, str(asks(request))

    url = _client.ENDPOINTS["storage"] + one(bucket, name)
    cloud.script.add("GET", url, match=[matches], body=data, headers={"Content-Length": str(len(data))})


def manifest(objects: list[Json], /, **header: Any) -> bytes:
    """Return a stored manifest."""
    lines = b"".join(json.dumps(item).encode() + b"\n" for item in objects)
    said = {
        "bucket": "artifacts",
        "time": "2026-11-01T00:00:00Z",
        "objects": len(objects),
        "bytes": sum(int(item["size"]) for item in objects),
        "sha256": hashlib.sha256(lines).hexdigest(),
    }
    return _manifest.head(said | header) + gzip.compress(lines)
