# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""New objects from existing objects: copy, rewrite, move, compose."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from localcloud.core.errors import ApiError
from localcloud.framework.service import Call, Json
from localcloud.services.storage.api import api, bucket_of, check_preconditions, project_of, require
from localcloud.services.storage.blobs import Part, blobs
from localcloud.services.storage.documents import SETTABLE, New, Objects
from localcloud.services.storage.objects import check_name, require_write, save, shown


def _copy(call: Call, target: str) -> Json:
    """Copy an object. Both share the bytes, so one call is enough for any size."""
    given = call.params
    source_bucket, bucket = bucket_of(call, given["sourceBucket"]), bucket_of(call, target)
    name = given["destinationObject"]
    check_name(name)
    source = _source(call, source_bucket, given["sourceObject"], given.get("sourceGeneration"))
    require_write(call, bucket, name)
    resource = source["resource"]
    # A body replaces all of the source's metadata.
    metadata = {k: v for k, v in call.body.items() if v is not None and (k in SETTABLE or k == "storageClass")}
    if not metadata:
        metadata = {k: v for k, v in resource.items() if k in SETTABLE and k not in ("temporaryHold", "eventBasedHold")}
    else:
        metadata.setdefault("contentType", resource.get("contentType"))
    new = New(
        name, metadata, blobs(call.cloud).link(source["blob"]), int(resource["size"]), resource["crc32c"],
        resource.get("md5Hash"), resource.get("componentCount"), call.caller.member,
    )  # fmt: skip
    return save(call, bucket, new)


def _source(call: Call, bucket: Json, name: str, generation: str | None) -> Json:
    objects = Objects(call.cloud, bucket["resource"]["name"])
    found = objects.find(name, generation)
    require(call, bucket, "storage.objects.get", name=name, creator=found["creator"] if found else None)
    source = objects.get(name, generation)
    check_preconditions(call.params, source["resource"], prefix="ifSource")
    return source


@api.method("storage.objects.rewrite", permission=None, project=project_of)
def rewrite(call: Call) -> Json:
    """Copy an object. Always finished by the first call."""
    resource = shown(call, _copy(call, call.params["destinationBucket"]))
    return {
        "kind": "storage#rewriteResponse",
        "totalBytesRewritten": resource["size"],
        "objectSize": resource["size"],
        "done": True,
        "resource": resource,
    }


@api.method("storage.objects.compose", permission=None, project=project_of)
def compose(call: Call) -> Json:
    """Concatenate up to 32 objects of the bucket."""
    target, name = call.params["destinationBucket"], call.params["destinationObject"]
    check_name(name)
    bucket = bucket_of(call, target)
    parts = call.body.get("sourceObjects") or []
    if not parts:
        raise ApiError(400, "required", "You must provide at least one source component.")
    if len(parts) > 32:
        raise ApiError(400, "invalid", "The number of source components provided exceeds the maximum of 32.")
    require_write(call, bucket, name)
    sources = []
    for part in parts:
        source = _source(call, bucket, part.get("name") or "", part.get("generation"))
        wanted = (part.get("objectPreconditions") or {}).get("ifGenerationMatch")
        check_preconditions({"ifGenerationMatch": wanted}, source["resource"])
        sources.append(source)
    metadata = {k: v for k, v in (call.body.get("destination") or {}).items() if v is not None}
    metadata.setdefault("contentType", sources[0]["resource"].get("contentType"))
    store = blobs(call.cloud)

    def joined() -> Iterator[bytes]:
        for source in sources:
            with store.path(source["blob"]).open("rb") as file:
                yield from Part(file)

    try:
        stored = store.write(joined(), md5=False)
    except FileNotFoundError as error:
        raise ApiError(404, "notFound", "A source object was deleted meanwhile.") from error
    count = sum(int(s["resource"].get("componentCount") or 1) for s in sources)
    # A composite object has no MD5: the real service never reads the parts again.
    new = New(name, metadata, stored.id, stored.size, stored.crc32c, None, count, call.caller.member)
    document = save(call, bucket, new)
    if call.body.get("deleteSourceObjects"):
        _delete_sources(call, bucket, [s for s in sources if s["resource"]["name"] != name])
    return shown(call, document)


def _delete_sources(call: Call, bucket: Json, sources: list[Json]) -> None:
    objects = Objects(call.cloud, bucket["resource"]["name"])
    for source in sources:
        resource = source["resource"]
        require(call, bucket, "storage.objects.delete", name=resource["name"])
        with contextlib.suppress(ApiError):
            with call.cloud.store.transaction():
                found = objects.get(resource["name"], resource["generation"])
                gone = objects.delete(found, bucket, for_good=False)
            blobs(call.cloud).delete(*gone)
