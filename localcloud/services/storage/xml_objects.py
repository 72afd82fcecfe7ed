# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Objects of the XML API. They are those of the JSON API."""

from __future__ import annotations

import base64
import datetime
import email.utils
import hashlib
import os
import re
from typing import IO

from starlette.responses import Response

from localcloud.core.errors import ApiError
from localcloud.framework.service import Call, Json
from localcloud.services.storage.api import (
    NotModified,
    base_url,
    check_preconditions,
    condition_failed,
    media,
    quoted,
    require,
)
from localcloud.services.storage.blobs import Part, Stored, blobs, checked
from localcloud.services.storage.documents import Objects, new_object
from localcloud.services.storage.download import download, header_text, headers_of
from localcloud.services.storage.objects import check_name, require_write, save
from localcloud.services.storage.signed_urls import unicode
from localcloud.services.storage.uploads import open_session, resume, uploaded
from localcloud.services.storage.xml_documents import XmlError

_FIELDS = {
    "cache-control": "cacheControl", "content-disposition": "contentDisposition", "content-encoding": "contentEncoding",
    "content-language": "contentLanguage", "content-type": "contentType", "x-goog-custom-time": "customTime",
    "x-goog-storage-class": "storageClass",
}  # fmt: skip
_METADATA = "x-goog-meta-"
_PRECONDITIONS = {
    "x-goog-if-generation-match": "ifGenerationMatch", "x-goog-if-metageneration-match": "ifMetagenerationMatch",
}  # fmt: skip
_UNSUPPORTED = ("x-goog-copy-source", "x-goog-acl", "x-goog-encryption-key", "x-goog-encryption-kms-key-name")
# Query parameters with which an authenticated reader chooses headers of the answer.
_CHOSEN = {"response-content-type": "Content-Type", "response-content-disposition": "Content-Disposition"}


def admit(call: Call, bucket: Json, *permissions: str, name: str | None = None, creator: str | None = None) -> None:
    """Raise 403 unless the caller has the permissions on the bucket, or on an object in it."""
    for permission in permissions:
        try:
            require(call, bucket, permission, name=name, creator=creator)
        except ApiError as error:
            details = (
                f"{call.caller.email or 'Anonymous caller'} does not have {permission} access to the Google Cloud "
                f"Storage {'bucket' if name is None else 'object'}. Permission '{permission}' denied on resource (or "
                "it may not exist)."
            )
            raise XmlError(403, "AccessDenied", "Access denied.", details) from error


def admit_write(call: Call, bucket: Json, name: str) -> None:
    """Check name, headers, permissions (to overwrite, delete too) and preconditions of a new object."""
    check_name(name)
    for header in _UNSUPPORTED:
        if header in call.request.headers:
            raise ApiError(501, None, f"The local cloud does not have the header {header}.")
    _take_preconditions(call)
    overwrites = Objects(call.cloud, bucket["resource"]["name"]).live(name) is not None
    permissions = ("storage.objects.create", *(("storage.objects.delete",) if overwrites else ()))
    admit(call, bucket, *permissions, name=name)
    require_write(call, bucket, name)


def metadata_of(call: Call) -> Json:
    """Return the metadata of a new object from the headers."""
    headers = call.request.headers
    metadata: Json = {field: unicode(headers[header]) for header, field in _FIELDS.items() if header in headers}
    custom = {name: unicode(value) for name, value in headers.items() if name.startswith(_METADATA)}
    custom = {name.removeprefix(_METADATA): value for name, value in custom.items()}
    return metadata | ({"metadata": custom} if custom else {})


def etag_of(resource: Json) -> str:
    """Return the ETag of the XML API: the MD5 hash in hexadecimal, if the object has one."""
    digest = resource.get("md5Hash")
    return f'"{base64.b64decode(digest).hex() if digest else resource["etag"]}"'


def receive(call: Call) -> Stored:
    """Write the body as a blob. Raises 400 if the body does not fit the headers."""
    body = media(call)
    _check_length(call, body)
    wanted = {"md5": call.request.headers.get("content-md5", "")}
    for value in ",".join(call.request.headers.getlist("x-goog-hash")).split(","):
        name, _, digest = value.strip().partition("=")
        wanted |= {name: digest} if digest else {}
    _check_payload(call, body)
    stored = blobs(call.cloud).write(Part(body))
    try:
        checked(stored, wanted, _bad_digest)
    except ApiError:
        blobs(call.cloud).delete(stored.id)
        raise
    return stored


def _bad_digest(details: str) -> XmlError:
    message = "The Content-MD5 or checksum value that you specified did not match what the server received."
    return XmlError(400, "BadDigest", message, details)


def _check_length(call: Call, body: IO[bytes]) -> None:
    limits = call.request.headers.get("x-goog-content-length-range")
    if limits is None:
        return
    least, _, most = limits.partition(",")
    if not least.strip().isdigit() or not most.strip().isdigit():
        raise XmlError(400, "InvalidArgument", "Invalid argument.", f"Invalid x-goog-content-length-range: {limits}")
    size = body.seek(0, os.SEEK_END)
    if size < int(least):
        message = "Your proposed upload is smaller than the minimum object size specified in your request."
        raise XmlError(400, "EntityTooSmall", message)
    if size > int(most):
        message = "Your proposed upload is larger than the maximum object size specified in your request."
        raise XmlError(400, "EntityTooLarge", message)


def _check_payload(call: Call, body: IO[bytes]) -> None:
    wanted = call.request.headers.get("x-goog-content-sha256", "UNSIGNED-PAYLOAD")
    if wanted == "UNSIGNED-PAYLOAD":
        return
    digest = hashlib.sha256()
    for chunk in Part(body):
        digest.update(chunk)
    if digest.hexdigest() != wanted.lower():  # Google's code for this refusal is not documented.
        raise _bad_digest(f"Provided x-goog-content-sha256 {wanted} doesn't match calculated {digest.hexdigest()}.")


def _take_preconditions(call: Call) -> None:
    for header, parameter in _PRECONDITIONS.items():
        value = call.request.headers.get(header)
        if value is not None:
            call.params[parameter] = value


def created(resource: Json) -> Response:
    """Return the answer to an upload."""
    headers = {name: value for name, value in headers_of(resource).items() if name.startswith("X-Goog-")}
    return Response(headers=headers | {"ETag": etag_of(resource)}, media_type="text/html")


# -- requests


def get(call: Call, bucket: Json, name: str) -> Response:
    """Return an object's bytes, or for HEAD only the headers."""
    objects = Objects(call.cloud, bucket["resource"]["name"])
    generation = call.query.get("generation")
    document = objects.find(name, generation)
    admit(call, bucket, "storage.objects.get", name=name, creator=document["creator"] if document else None)
    document = objects.get(name, generation)
    resource = document["resource"]
    _take_preconditions(call)
    try:
        check_preconditions(call.params, resource, reading=True)
        _check_conditions(call, resource)
    except NotModified:
        return Response(status_code=304, headers={"ETag": etag_of(resource)})
    if call.request.method == "HEAD":
        headers = headers_of(resource) | {"Accept-Ranges": "bytes", "Content-Length": resource["size"]}
        encoding = {"Content-Encoding": resource["contentEncoding"]} if resource.get("contentEncoding") else {}
        response = Response(headers=headers | encoding)
    else:
        response = download(call.request, resource, blobs(call.cloud).path(document["blob"]))
    response.headers["ETag"] = etag_of(resource)
    response.headers["Last-Modified"] = email.utils.format_datetime(_updated(resource), usegmt=True)
    for key, value in (resource.get("metadata") or {}).items():
        # The JSON API accepts keys that are not names of headers.
        if re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", key):
            response.headers[f"{_METADATA}{key}"] = header_text(value)
    for parameter, header in _CHOSEN.items():
        if call.query.get(parameter) and call.caller.email:
            response.headers[header] = header_text(call.query[parameter])
    return response


def _updated(resource: Json) -> datetime.datetime:
    """Return the time of the last change in whole seconds, as headers have it."""
    return datetime.datetime.fromisoformat(resource["updated"]).replace(microsecond=0)


def _check_conditions(call: Call, resource: Json) -> None:
    """Check the conditions of RFC 9110. Raises 412, or NotModified."""
    headers, etag, changed = call.request.headers, etag_of(resource), _updated(resource)
    if "if-match" in headers:
        if not _names(headers["if-match"], etag):
            raise condition_failed()
    elif (since := _date(headers.get("if-unmodified-since"))) and changed > since:
        raise condition_failed()
    if "if-none-match" in headers:
        if _names(headers["if-none-match"], etag):
            raise NotModified
    elif (since := _date(headers.get("if-modified-since"))) and changed <= since:
        raise NotModified


def _names(header: str, etag: str) -> bool:
    return header.strip() == "*" or etag in [each.strip().removeprefix("W/") for each in header.split(",")]


def _date(header: str | None) -> datetime.datetime | None:
    """Return a date in a header; None for an invalid date, which RFC 9110 ignores."""
    try:
        found = email.utils.parsedate_to_datetime(header or "")
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=datetime.UTC)


def put(call: Call, bucket: Json, name: str) -> Response:
    """Create an object from the body."""
    admit_write(call, bucket, name)
    new = new_object(name, metadata_of(call), receive(call), call.caller.member)
    return created(save(call, bucket, new)["resource"])


def delete(call: Call, bucket: Json, name: str) -> Response:
    """Delete the live generation, or permanently a given generation."""
    admit(call, bucket, "storage.objects.delete", name=name)
    _take_preconditions(call)
    generation = call.query.get("generation")
    objects = Objects(call.cloud, bucket["resource"]["name"])
    with call.cloud.store.transaction():
        document = objects.get(name, generation)
        check_preconditions(call.params, document["resource"])
        gone = objects.delete(document, bucket, for_good=generation is not None)
    blobs(call.cloud).delete(*gone)
    return Response(status_code=204)


def start_resumable(call: Call, bucket: Json, name: str) -> Response:
    """Open a session of a resumable upload. As at Google, its URI is sufficient to continue."""
    if call.request.headers.get("x-goog-resumable") != "start":
        raise ApiError(501, None, "The local cloud does not have uploads by forms.")
    admit_write(call, bucket, name)
    length = call.request.headers.get("x-upload-content-length", "")
    id = open_session(call, bucket, name, metadata_of(call), length)
    location = f"{base_url(call)}/{bucket['resource']['name']}/{quoted(name)}?upload_id={id}"
    return Response(status_code=201, headers={"Location": location, "X-GUploader-UploadID": id})


def resume_upload(call: Call, bucket: Json, name: str) -> Response:
    """Handle a request of a session of a resumable upload."""
    id = call.query["upload_id"]
    response = resume(call, id)
    document = uploaded(call, id)
    return created(document["resource"]) if document and response.status_code == 200 else response
