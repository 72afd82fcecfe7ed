# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Objects: metadata, bytes, lists, changes, deletion."""

from __future__ import annotations

import base64
import binascii
import functools
import re
from collections.abc import Callable, Iterator

from starlette.responses import Response

from localcloud.core.errors import ApiError
from localcloud.framework.lifecycle import merge
from localcloud.framework.service import Call, Json
from localcloud.services.storage.api import (
    NotModified,
    api,
    base_url,
    bucket_of,
    check_preconditions,
    project_of,
    quoted,
    require,
)
from localcloud.services.storage.blobs import blobs
from localcloud.services.storage.documents import SETTABLE, New, Objects
from localcloud.services.storage.download import download


def shown(call: Call, document: Json) -> Json:
    """Return an object as its callers see it. Its mediaLink has the endpoint of the caller, since clients follow it."""
    resource: Json = document["resource"]
    path = f"/download/storage/v1/b/{resource['bucket']}/o/{quoted(resource['name'])}"
    return resource | {"mediaLink": f"{base_url(call)}{path}?generation={resource['generation']}&alt=media"}


def check_name(name: str) -> None:
    """Raise 400 for an invalid object name."""
    if not name:
        raise ApiError(400, "required", "Required")
    if len(name.encode()) > 1024 or "\n" in name or "\r" in name or name in (".", ".."):
        raise ApiError(
            400, "invalid", f"Disallowed unicode characters present in object name '{name}' or it is too long."
        )


def save(call: Call, bucket: Json, new: New, also: Callable[[], list[str]] = list) -> Json:
    """Create an object, check the preconditions again within the transaction, return its document.

    `also` runs in the transaction and returns more blobs to delete.
    """
    name = bucket["resource"]["name"]
    try:
        with call.cloud.store.transaction():
            bucket = bucket_of(call, name)
            document, gone = Objects(call.cloud, name).put(
                new, lambda current: check_preconditions(call.params, current and current["resource"]), bucket
            )
            gone = [*gone, *also()]
    except ApiError:
        blobs(call.cloud).delete(new.blob)
        raise
    blobs(call.cloud).delete(*gone)
    return document


def require_write(call: Call, bucket: Json, name: str) -> None:
    """Check permissions (to overwrite, delete too) and preconditions before the upload starts."""
    require(call, bucket, "storage.objects.create", name=name)
    current = Objects(call.cloud, bucket["resource"]["name"]).live(name)
    if current:
        require(call, bucket, "storage.objects.delete", name=name)
    check_preconditions(call.params, current and current["resource"])


@api.method("storage.objects.get", permission=None, project=project_of)
def get(call: Call) -> Json | Response:
    """Return an object's metadata or, with `alt=media`, its bytes."""
    bucket = bucket_of(call)
    name = call.params["object"]
    objects = Objects(call.cloud, call.params["bucket"])
    generation = call.params.get("generation")
    if call.params.get("softDeleted"):
        require(call, bucket, "storage.objects.get", name=name)
        return shown(call, objects.soft_deleted(name, generation or ""))
    document = objects.find(name, generation)
    require(call, bucket, "storage.objects.get", name=name, creator=document["creator"] if document else None)
    document = objects.get(name, generation)
    resource = document["resource"]
    try:
        check_preconditions(call.params, resource, reading=True)
    except NotModified:
        return Response(status_code=304)
    if call.query.get("alt") == "media":
        return download(call.request, resource, blobs(call.cloud).path(document["blob"]))
    return shown(call, document)


# -- lists


@functools.cache
def _glob(pattern: str) -> re.Pattern[str]:
    """Compile a glob of Cloud Storage: `*` and `?` stop at slashes, `**` does not, `[…]` and `{a,b}`."""
    text, depth = "", 0
    for piece in re.findall(r"\*\*|\[[^\]]+\]|\\.|.", pattern, re.DOTALL):
        if piece == "**":
            text += ".*"
        elif piece in ("*", "?"):
            text += "[^/]" + ("*" if piece == "*" else "")
        elif len(piece) > 1 and piece[0] == "[":
            text += "[" + piece[1:-1].replace("\\", "\\\\").replace("!", "^", 1) + "]"
        elif piece == "{":
            text, depth = text + "(?:", depth + 1
        elif piece == "}" and depth:
            text, depth = text + ")", depth - 1
        elif piece == "," and depth:
            text += "|"
        else:
            text += re.escape(piece.removeprefix("\\") or piece)
    return re.compile(text, re.DOTALL)


def _entries(call: Call) -> Iterator[tuple[str, Json | None]]:
    """Yield (name, document) or (prefix, None), sorted by name."""
    given = call.params
    prefix, delimiter = given.get("prefix") or "", given.get("delimiter") or ""
    start, end = (given.get("startOffset") or "").encode(), (given.get("endOffset") or "").encode()
    pattern = given.get("matchGlob")
    objects = Objects(call.cloud, given["bucket"])
    seen = None
    for document in objects.list(prefix, versions=bool(given.get("versions")), soft=bool(given.get("softDeleted"))):
        name = document["resource"]["name"]
        if (start and name.encode() < start) or (end and name.encode() >= end):
            continue
        if pattern and not _glob(pattern).fullmatch(name):
            continue
        at = name.find(delimiter, len(prefix)) if delimiter else -1
        if at < 0:
            yield name, document
            continue
        folder = name[: at + len(delimiter)]
        if folder == name and given.get("includeTrailingDelimiter"):
            yield name, document
        if folder != seen:
            seen = folder
            yield folder, None


@api.method("storage.objects.list", permission=None, project=project_of)
def list_objects(call: Call) -> Json:
    """Return the objects of a bucket, sorted by name, with prefixes up to the delimiter."""
    require(call, bucket_of(call), "storage.objects.list")
    if call.params.get("softDeleted") and call.params.get("versions"):
        raise ApiError(400, "invalid", "softDeleted and versions exclude each other.")
    size = min(int(call.params.get("maxResults") or 1000), 1000)
    after = _after(call.params.get("pageToken"))
    items: list[Json] = []
    prefixes: list[str] = []
    answer: Json = {"kind": "storage#objects"}
    last = ""
    for name, document in _entries(call):
        generation = f"{int(document['resource']['generation']):020d}" if document else ""
        position = f"{name}\n{generation}"
        if after is not None and (name.encode(), generation) <= after:
            continue
        if len(items) + len(prefixes) >= size:
            answer["nextPageToken"] = base64.urlsafe_b64encode(last.encode()).decode()
            break
        last = position
        if document:
            items.append(shown(call, document))
        else:
            prefixes.append(name)
    if prefixes:
        answer["prefixes"] = prefixes
    if items:
        answer["items"] = items
    return answer


def _after(token: str | None) -> tuple[bytes, str] | None:
    if not token:
        return None
    try:
        name, _, generation = base64.b64decode(token, altchars=b"-_", validate=True).decode().rpartition("\n")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ApiError(400, "invalid", "Invalid pageToken") from error
    return name.encode(), generation


# -- changes


@api.method("storage.objects.patch", permission=None, project=project_of)
def patch(call: Call) -> Json:
    """Merge a change of metadata. Null removes a field."""
    change = {k: v for k, v in call.body.items() if k in SETTABLE}
    bucket = bucket_of(call)
    name, generation = call.params["object"], call.params.get("generation")
    objects = Objects(call.cloud, call.params["bucket"])
    found = objects.find(name, generation)
    require(call, bucket, "storage.objects.update", name=name, creator=found["creator"] if found else None)
    with call.cloud.store.transaction():
        check_preconditions(call.params, objects.get(name, generation)["resource"])
        document = objects.change(name, generation, lambda old: merge(old, change))
    return shown(call, document)


@api.method("storage.objects.delete", permission=None, project=project_of)
def delete(call: Call) -> None:
    """Delete the live generation (a versioned bucket keeps it), or permanently a given generation."""
    bucket = bucket_of(call)
    name, generation = call.params["object"], call.params.get("generation")
    require(call, bucket, "storage.objects.delete", name=name)
    objects = Objects(call.cloud, call.params["bucket"])
    with call.cloud.store.transaction():
        document = objects.get(name, generation)
        check_preconditions(call.params, document["resource"])
        gone = objects.delete(document, bucket_of(call), for_good=generation is not None)
    blobs(call.cloud).delete(*gone)


@api.method("storage.objects.restore", permission=None, project=project_of)
def restore(call: Call) -> Json:
    """Restore a softly deleted generation as a new live generation."""
    bucket = bucket_of(call)
    name = call.params["object"]
    require(call, bucket, "storage.objects.create", "storage.objects.restore", name=name)
    objects = Objects(call.cloud, call.params["bucket"])
    with call.cloud.store.transaction():
        old = objects.soft_deleted(name, call.params["generation"])
        resource = old["resource"]
        new = New(
            name, resource, old["blob"], int(resource["size"]), resource["crc32c"], resource.get("md5Hash"),
            resource.get("componentCount"), old["creator"],
        )  # fmt: skip
        document, gone = objects.put(
            new, lambda current: check_preconditions(call.params, current and current["resource"]), bucket
        )
        objects.undelete(old)
    blobs(call.cloud).delete(*gone)
    return shown(call, document)
