# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The XML API: objects by path (`/BUCKET/OBJECT`) or by host name (`BUCKET.storage.googleapis.com/OBJECT`)."""

from __future__ import annotations

from collections.abc import Callable

from starlette.responses import Response

from localcloud.core.errors import ApiError
from localcloud.framework.consumer import require_enabled
from localcloud.framework.scopes import check_scopes
from localcloud.framework.service import Bound, Call, Json
from localcloud.services.storage import xml_objects, xml_uploads
from localcloud.services.storage.api import api, bucket_of, project_of
from localcloud.services.storage.cors import allow, preflight
from localcloud.services.storage.signed_urls import is_signed, signer
from localcloud.services.storage.xml_documents import XmlError, refusal

_Operation = Callable[[Call, Json, str], Response]

_VERBS = "GET HEAD PUT POST DELETE OPTIONS"
# Unknown paths of the JSON API are not buckets.
_PATH = r"/(?!(?:upload/|download/|resumable/upload/)?storage/v1/|batch(?:/|$))(?P<bucket>[^/]+)(?:/(?P<object>.*))?"
# The operations by HTTP method and query parameter, with the method of the JSON API that has the same OAuth scopes.
_OPERATIONS: dict[tuple[str, str], tuple[_Operation, str]] = {
    ("GET", ""): (xml_objects.get, "get"),
    ("HEAD", ""): (xml_objects.get, "get"),
    ("PUT", ""): (xml_objects.put, "insert"),
    ("DELETE", ""): (xml_objects.delete, "delete"),
    ("POST", ""): (xml_objects.start_resumable, "insert"),
    ("PUT", "upload_id"): (xml_objects.resume_upload, "insert"),
    ("DELETE", "upload_id"): (xml_objects.resume_upload, "insert"),
    ("POST", "uploads"): (xml_uploads.initiate, "insert"),
    ("PUT", "uploadId"): (xml_uploads.put_part, "insert"),
    ("POST", "uploadId"): (xml_uploads.complete, "insert"),
    ("DELETE", "uploadId"): (xml_uploads.abort, "delete"),
    ("GET", "uploadId"): (xml_uploads.list_parts, "get"),
}
_OF_BUCKETS: dict[tuple[str, str], tuple[_Operation, str]] = {("GET", "uploads"): (xml_uploads.list_uploads, "list")}
# Parameters that choose other operations of Google's API.
_UNSUPPORTED = (
    "acl", "append", "attributes", "billing", "compose", "cors", "delete", "encryption", "legal-hold", "lifecycle",
    "location", "logging", "object-lock", "partNumber", "policy", "retention", "storageClass", "tagging", "tier",
    "uploadId", "uploads", "versioning", "versions", "website",
)  # fmt: skip


@api.route(_VERBS, _PATH, anonymous=True, fallback=True, refuse=refusal)
def handle(call: Call) -> Response:
    """Handle a request of the XML API, with the CORS configuration of its bucket."""
    bucket = None
    try:
        bucket = bucket_of(call)
        if call.request.method == "OPTIONS":
            return preflight(bucket, call.request)
        response = _operate(call, bucket, call.params.get("object") or "")
    except ApiError as error:
        response = refusal(error)
    if bucket:
        allow(bucket, call.request, response)
    return response


def _operate(call: Call, bucket: Json, name: str) -> Response:
    signed = is_signed(call)
    if signed:
        if "authorization" in call.request.headers:
            details = "A request has either a signed URL or the header Authorization."
            raise XmlError(400, "InvalidArgument", "Invalid argument.", details)
        call.caller = signer(call)
    operation, equivalent = _operation(call, name)
    if signed and call.request.method == "POST" and operation is not xml_objects.start_resumable:
        # Google's documentation: "Signed URLs can only be used for POST requests that initiate a resumable upload."
        raise ApiError(501, None, "The local cloud does not have signed URLs that begin or complete multipart uploads.")
    call.request.state.project = bucket["project"]  # for the log
    contract = next(api.contracts())
    check_scopes(call.caller, contract.methods[f"storage.objects.{equivalent}"], api)
    require_enabled(call, Bound(handle, None, None, project_of))
    return operation(call, bucket, name)


def _operation(call: Call, name: str) -> tuple[_Operation, str]:
    method, given = call.request.method, call.query.keys()
    operations = _OPERATIONS if name else _OF_BUCKETS
    for parameter in ("uploads", "uploadId", "upload_id"):
        if parameter in given and (method, parameter) in operations:
            if (method, parameter) == ("PUT", "uploadId") and "partNumber" not in given:
                raise XmlError(400, "InvalidArgument", "Invalid argument.", "Missing partNumber.")
            return operations[method, parameter]
    if (method, "") in operations and not any(parameter in given for parameter in _UNSUPPORTED):
        return operations[method, ""]
    scope = "objects" if name else "buckets"
    raise ApiError(501, None, f"The local cloud does not have this {method} request for {scope} of the XML API.")
