# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""The API object and shared functions: names, permissions, preconditions, links."""

from __future__ import annotations

import base64
import functools
import time
from collections.abc import Callable
from typing import IO, Any
from urllib.parse import quote

from localcloud.access.auth import unauthenticated
from localcloud.access.refusals import BriefRefusals
from localcloud.core.errors import ApiError, Dialect
from localcloud.framework.lifecycle import Resources
from localcloud.framework.service import Call, Handler, Json, RawHandler, Service


class _Storage(Service):
    """The service. Every call has the latency of the profile of the bucket's project."""

    def method(self, method_id: str, **checks: Any) -> Callable[[Handler], Handler]:
        """Bind a handler to a contract method."""
        return _also(super().method(method_id, **checks))

    def route(self, methods: str, pattern: str, **options: Any) -> Callable[[RawHandler], RawHandler]:
        """Bind a handler to a path outside the contract."""
        return _also(super().route(methods, pattern, **options))


def _also(bind: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Bind the delayed handler and return the original handler, which other handlers call."""

    def decorate(handler: Callable[[Call], Any]) -> Callable[[Call], Any]:
        @functools.wraps(handler)
        def slowed(call: Call) -> Any:
            time.sleep(call.cloud.profiles.of(project_of(call)).seconds("storage_call"))
            return handler(call)

        bind(slowed)
        return handler

    return decorate


class _Refusals(BriefRefusals):
    def denied(self, host: str, permission: str, resource: str) -> ApiError:
        """Return the refusal of a caller without a permission."""
        message = (
            f"The caller does not have {permission} access to the Google Cloud Storage resource. "
            f"Permission '{permission}' denied on resource (or it may not exist)."
        )
        return ApiError(403, "forbidden", message)


_INITIAL = ("storage", "storage-api", "storage-component")

api = _Storage(
    "storage",
    ("v1",),
    subdomains=True,
    anonymous=True,
    dialect=Dialect.REASON,
    refusals=_Refusals(),
    initial_apis=tuple(f"{name}.googleapis.com" for name in _INITIAL),
)

GOOGLE = "https://www.googleapis.com/storage/v1"


def bucket_key(bucket: str) -> str:
    """Return the relative name of a bucket: all projects share one namespace."""
    return f"projects/_/buckets/{bucket}"


def full_name(bucket: str, *rest: str) -> str:
    """Return the full resource name under which policies are stored."""
    return f"//{api.host}/{'/'.join((bucket_key(bucket), *rest))}"


def _missing(_: str) -> ApiError:
    return ApiError(404, "notFound", "The specified bucket does not exist.")


def buckets(call: Call) -> Resources:
    """Return the buckets: documents {"project": id, "resource": the bucket as clients see it}."""
    return Resources(call.cloud, "storage.buckets", missing=_missing)


def bucket_of(call: Call, name: str | None = None) -> Json:
    """Return the document of the named bucket, by default the bucket in the path. Raises 404."""
    if name is None:
        name = str(call.params["bucket"])
    return buckets(call).get(bucket_key(name))


def project_of(call: Call) -> str | None:
    """Return the project of the bucket in the path."""
    for parameter in ("bucket", "sourceBucket", "destinationBucket"):
        if parameter in call.params:
            found = buckets(call).find(bucket_key(call.params[parameter]))
            return str(found["project"]) if found else None
    return call.project


def uniform(bucket: Json) -> bool:
    """Return whether only the bucket's policy applies (uniform bucket-level access)."""
    return bool(bucket["resource"]["iamConfiguration"]["uniformBucketLevelAccess"]["enabled"])


def require(call: Call, bucket: Json, *permissions: str, name: str | None = None, creator: str | None = None) -> None:
    """Raise 401 or 403 unless the caller has the permissions on the bucket, or on an object in it.

    Without uniform access the objects' default access list applies, too: the project's owners, editors and viewers, and
    the object's creator.
    """
    bucket_name = bucket["resource"]["name"]
    rest = ("objects", name) if name is not None else ()
    for permission in permissions:
        full = full_name(bucket_name, *rest)
        if call.cloud.permissions.allowed(call.caller, permission, bucket["project"], full):
            continue
        if name is not None and not uniform(bucket):
            by_default = call.cloud.permissions.allowed(call.caller, permission, None, full_name(bucket_name, "acl"))
            owned = creator is not None and creator == call.caller.member and call.caller.email
            if by_default or (owned and permission in ("storage.objects.get", "storage.objects.update")):
                continue
        if not call.caller.email:
            raise unauthenticated("CREDENTIALS_MISSING")
        raise api.denied(permission, "/".join((bucket_key(bucket_name), *rest)))


def media(call: Call) -> IO[bytes]:
    """Return the body of an upload or of a raw route."""
    if call.media is None:
        raise TypeError("not an upload")
    return call.media


def base_url(call: Call) -> str:
    """Return scheme and authority of the caller's endpoint, for links that clients follow."""
    host = call.request.headers.get("host", "")
    if host.split(":")[0].endswith(".googleapis.com"):
        return "https://storage.googleapis.com"
    return f"{call.request.url.scheme}://{host}"


def etag(*numbers: int) -> str:
    """Return an etag from counters: a protobuf message in base64, as at Google."""
    data = b""
    for field, number in enumerate(numbers, 1):
        data += bytes([field << 3])
        while number > 0x7F:
            data += bytes([number & 0x7F | 0x80])
            number >>= 7
        data += bytes([number])
    return base64.b64encode(data).decode()


def quoted(name: str) -> str:
    """Return an object's name as one path segment."""
    return quote(name, safe="")


def condition_failed() -> ApiError:
    """Return a 412."""
    return ApiError(412, "conditionNotMet", "At least one of the pre-conditions you specified did not hold.")


class NotModified(Exception):  # noqa: N818 - not an error
    """A reader's `if…NotMatch` matched: 304."""


def check_preconditions(params: Json, current: Json | None, *, prefix: str = "if", reading: bool = False) -> None:
    """Check the generation and metageneration preconditions in the parameters against the current resource.

    A missing object has generation 0 and no metageneration. Raises 412, or NotModified for reads with `if…NotMatch`.
    """

    def value(field: str) -> str | None:
        return str(current[field]) if current else ("0" if field == "generation" else None)

    for word, field in (("Generation", "generation"), ("Metageneration", "metageneration")):
        wanted: Any = params.get(f"{prefix}{word}Match")
        if wanted is not None and value(field) != str(wanted):
            raise condition_failed()
        unwanted: Any = params.get(f"{prefix}{word}NotMatch")
        if unwanted is not None and value(field) == str(unwanted):
            if reading:
                raise NotModified
            raise condition_failed()
