# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Multipart uploads of the XML API (https://cloud.google.com/storage/docs/multipart-uploads)."""

from __future__ import annotations

import datetime
from collections.abc import Iterator

from starlette.responses import Response

from localcloud.core.errors import ApiError
from localcloud.framework.service import Call, Json
from localcloud.services.storage.api import base_url, media, quoted
from localcloud.services.storage.blobs import Part, blobs
from localcloud.services.storage.documents import New, timestamp
from localcloud.services.storage.multipart_uploads import MultipartUploads
from localcloud.services.storage.objects import save
from localcloud.services.storage.xml_documents import Children, XmlError, answer, parsed
from localcloud.services.storage.xml_objects import admit, admit_write, created, etag_of, metadata_of, receive

_LEAST = 5 * 2**20
_MOST_PARTS = 10_000
_LARGEST_DOCUMENT = 4 * 2**20
_CREATE = "storage.multipartUploads.create"


def initiate(call: Call, bucket: Json, name: str) -> Response:
    """Begin an upload. Its metadata are those of the object."""
    admit(call, bucket, _CREATE, name=name)
    _refuse_preconditions(call)
    admit_write(call, bucket, name)
    upload = MultipartUploads(call.cloud, bucket).begin(name, metadata_of(call), call.caller.member)
    fields = (("Bucket", bucket["resource"]["name"]), ("Key", name), ("UploadId", upload["id"]))
    return answer("InitiateMultipartUploadResult", fields)


def _refuse_preconditions(call: Call) -> None:
    if any(name.startswith("x-goog-if-") for name in call.request.headers):
        raise XmlError(400, "InvalidArgument", "Invalid argument.", "Multipart uploads have no preconditions.")


def put_part(call: Call, bucket: Json, name: str) -> Response:
    """Store the body as a part. A part of the same number is replaced."""
    admit(call, bucket, _CREATE, "storage.objects.create", name=name)
    uploads, id, number = MultipartUploads(call.cloud, bucket), call.query["uploadId"], call.query["partNumber"]
    uploads.get(name, id)
    if not (number.isascii() and number.isdigit() and 1 <= int(number) <= _MOST_PARTS):
        details = f"Part number must be an integer between 1 and {_MOST_PARTS}, inclusive."
        raise XmlError(400, "InvalidArgument", "Invalid argument.", details)
    stored = receive(call)
    try:
        uploads.put_part(name, id, int(number), stored)
    except XmlError:
        blobs(call.cloud).delete(stored.id)
        raise
    headers = {"ETag": etag_of({"md5Hash": stored.md5}), "X-Goog-Hash": f"crc32c={stored.crc32c},md5={stored.md5}"}
    return Response(headers=headers, media_type="text/html")


def complete(call: Call, bucket: Json, name: str) -> Response:
    """Concatenate the named parts to an object and remove the upload."""
    admit(call, bucket, _CREATE, name=name)
    admit_write(call, bucket, name)
    uploads, id = MultipartUploads(call.cloud, bucket), call.query["uploadId"]
    upload = uploads.get(name, id)
    parts = _selected(_listed(media(call).read(_LARGEST_DOCUMENT)), uploads.parts(id))
    store = blobs(call.cloud)

    def joined() -> Iterator[bytes]:
        for part in parts:
            with store.path(part["blob"]).open("rb") as file:
                yield from Part(file)

    def finish() -> list[str]:
        # A part may be replaced, or the upload aborted or completed, while the parts are copied.
        gone = uploads.remove(name, id)
        if not {part["blob"] for part in parts} <= set(gone):
            raise _invalid_part()
        return gone

    try:
        stored = store.write(joined(), md5=False)
    except FileNotFoundError as error:
        uploads.get(name, id)
        raise _invalid_part() from error
    # As at Google, the object has no MD5 hash.
    new = New(name, upload["metadata"], stored.id, stored.size, stored.crc32c, creator=upload["creator"])
    resource = save(call, bucket, new, finish)["resource"]
    bucket_name = bucket["resource"]["name"]
    fields = (
        ("Location", f"{base_url(call)}/{bucket_name}/{quoted(name)}"), ("Bucket", bucket_name), ("Key", name),
        ("ETag", etag_of(resource)),
    )  # fmt: skip
    response = answer("CompleteMultipartUploadResult", fields)
    response.headers.update({k: v for k, v in created(resource).headers.items() if k.startswith("x-goog-")})
    return response


def _listed(body: bytes) -> list[tuple[int, str]]:
    """Return number and ETag of the parts in the body of a request."""
    found = []
    for part in parsed(body).iter("Part"):
        number, etag = (part.findtext("PartNumber") or "").strip(), (part.findtext("ETag") or "").strip()
        if not number.isdigit() or not etag:
            raise XmlError(400, "MalformedXML", "A part needs a PartNumber and an ETag.")
        found.append((int(number), etag.strip('"')))
    if not found:
        raise XmlError(400, "MalformedXML", "You must specify at least one part.")
    return found


def _selected(listed: list[tuple[int, str]], parts: list[Json]) -> list[Json]:
    """Return the documents of the listed parts. Raises 400 for a wrong order, unknown parts and small parts."""
    numbers = [number for number, _ in listed]
    if numbers != sorted(set(numbers)):
        message = (
            "The list of parts was not in ascending order. The parts list must be specified in order by part number."
        )
        raise XmlError(400, "InvalidPartOrder", message)
    known = {part["number"]: part for part in parts}
    for number, etag in listed:
        if number not in known or etag_of({"md5Hash": known[number]["md5"]}).strip('"') != etag:
            raise _invalid_part(number)
    selected = [known[number] for number in numbers]
    for part in selected[:-1]:
        if part["size"] < _LEAST:
            message = "Your proposed upload is smaller than the minimum allowed size."
            raise XmlError(400, "EntityTooSmall", message, f"Part {part['number']} has {part['size']} bytes.")
    return selected


def _invalid_part(number: int | None = None) -> XmlError:
    message = (
        "One or more of the specified parts could not be found. The part may not have been uploaded, or the specified "
        "entity tag may not match the part's entity tag."
    )
    return XmlError(400, "InvalidPart", message, f"Part {number}" if number else "")


def abort(call: Call, bucket: Json, name: str) -> Response:
    """Remove an upload and its parts."""
    admit(call, bucket, "storage.multipartUploads.abort", name=name)
    uploads, id = MultipartUploads(call.cloud, bucket), call.query["uploadId"]
    uploads.get(name, id)
    with call.cloud.store.transaction():
        gone = uploads.remove(name, id)
    blobs(call.cloud).delete(*gone)
    return Response(status_code=204)


def list_parts(call: Call, bucket: Json, name: str) -> Response:
    """Return the parts of an upload, sorted by number."""
    admit(call, bucket, "storage.multipartUploads.listParts", name=name)
    uploads, id = MultipartUploads(call.cloud, bucket), call.query["uploadId"]
    upload = uploads.get(name, id)
    after, most = _number(call, "part-number-marker", 0), _number(call, "max-parts", 1000)
    parts = [part for part in uploads.parts(id) if part["number"] > after]
    page = parts[:most]
    fields: list[tuple[str, str | Children]] = [
        ("Bucket", bucket["resource"]["name"]), ("Key", name), ("UploadId", id),
        ("StorageClass", upload["metadata"].get("storageClass") or bucket["resource"]["storageClass"]),
        ("PartNumberMarker", str(after)), ("MaxParts", str(most)),
        ("IsTruncated", str(len(parts) > most).lower()),
    ]  # fmt: skip
    if len(parts) > most:
        fields.append(("NextPartNumberMarker", str(page[-1]["number"])))
    for part in page:
        described = {
            "PartNumber": str(part["number"]), "LastModified": timestamp(part["modified"]),
            "ETag": etag_of({"md5Hash": part["md5"]}), "Size": str(part["size"]),
        }  # fmt: skip
        fields.append(("Part", tuple(described.items())))
    return answer("ListPartsResult", fields)


def list_uploads(call: Call, bucket: Json, name: str) -> Response:
    """Return the incomplete uploads of a bucket, sorted by name and ID."""
    admit(call, bucket, "storage.multipartUploads.list")
    if call.query.get("delimiter"):
        raise ApiError(501, None, "The local cloud does not list multipart uploads with a delimiter.")
    prefix, most = call.query.get("prefix", ""), _number(call, "max-uploads", 1000)
    marker = call.query.get("key-marker", ""), call.query.get("upload-id-marker", "")
    found = [each for each in MultipartUploads(call.cloud, bucket).list(prefix) if _after(each, *marker)]
    page = found[:most]
    fields: list[tuple[str, str | Children]] = [
        ("Bucket", bucket["resource"]["name"]), ("Prefix", prefix), ("KeyMarker", marker[0]),
        ("UploadIdMarker", marker[1]), ("MaxUploads", str(most)), ("IsTruncated", str(len(found) > most).lower()),
    ]  # fmt: skip
    if len(found) > most:
        fields += [("NextKeyMarker", page[-1]["name"]), ("NextUploadIdMarker", page[-1]["id"])]
    for upload in page:
        initiated = datetime.datetime.fromtimestamp(upload["initiated"], datetime.UTC)
        described = {
            "Key": upload["name"], "UploadId": upload["id"],
            "StorageClass": upload["metadata"].get("storageClass") or bucket["resource"]["storageClass"],
            "Initiated": initiated.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        }  # fmt: skip
        fields.append(("Upload", tuple(described.items())))
    return answer("ListMultipartUploadsResult", fields)


def _after(upload: Json, name: str, id: str) -> bool:
    """Return whether an upload is behind the markers. Without an ID, all uploads of the marker's name are before."""
    if id:
        return (upload["name"].encode(), upload["id"]) > (name.encode(), id)
    return bool(upload["name"].encode() > name.encode())


def _number(call: Call, parameter: str, most: int) -> int:
    """Return a number in the query; without one, `most`, which is also the maximum unless it is 0."""
    given = call.query.get(parameter, "")
    if not given:
        return most
    if not given.isascii() or not given.isdigit():
        raise XmlError(400, "InvalidArgument", "Invalid argument.", f"Invalid {parameter}: {given}")
    return min(int(given), most) if most else int(given)
