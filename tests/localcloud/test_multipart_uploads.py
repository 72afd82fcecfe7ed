# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Multipart uploads of the XML API, with Google's transfer manager and against the documented limits."""

from __future__ import annotations

import base64
import hashlib
import os
import pathlib
from typing import Any
from xml.etree import ElementTree

import google_crc32c
import pytest
import requests
from google.auth.transport.requests import AuthorizedSession
from google.cloud import storage
from google.cloud.storage import transfer_manager
from google.oauth2.credentials import Credentials

from localcloud.access.credentials import OWNER_EMAIL
from localcloud.services.storage.blobs import blobs
from tests.localcloud.harness import PLATFORM, Local, Session

B = "/storage/v1/b"
UNIFORM = {"iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}}}
PATH = "/bucket/dir/a%20b"
NAME = "dir/a b"
LEAST = 5 * 2**20
DAY = 86400


@pytest.fixture
def gcs(owner: Session) -> Session:
    """Return the owner, with a bucket without soft deletion."""
    body = {"name": "bucket", "softDeletePolicy": {"retentionDurationSeconds": "0"}, **UNIFORM}
    owner.call("POST", f"{B}?project=mlflow-local", json=body)
    return owner


def begin(session: Session, path: str = PATH, **headers: str) -> str:
    """Begin an upload; return its ID."""
    answer = ElementTree.fromstring(session.call("POST", f"{path}?uploads", headers=headers))
    assert answer.tag == "{http://s3.amazonaws.com/doc/2006-03-01/}InitiateMultipartUploadResult"
    return str(answer.findtext("{*}UploadId"))


def part(session: Session, upload: str, number: int | str, data: bytes, code: int = 200, **headers: str) -> str:
    """Upload a part; return its ETag."""
    url = f"{session.local.url}{PATH}?partNumber={number}&uploadId={upload}"
    response = session.http.put(url, data=data, headers={name.replace("_", "-"): v for name, v in headers.items()})
    assert response.status_code == code, response.text
    return response.headers.get("etag", "") or response.text


def body(*parts: tuple[int, str]) -> str:
    listed = "".join(f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in parts)
    return f"<CompleteMultipartUpload>{listed}</CompleteMultipartUpload>"


def complete(session: Session, upload: str, *parts: tuple[int, str], code: int = 200) -> Any:
    return ElementTree.fromstring(session.call("POST", f"{PATH}?uploadId={upload}", code, data=body(*parts)))


def code_of(answer: str | ElementTree.Element) -> str:
    root = ElementTree.fromstring(answer) if isinstance(answer, str) else answer
    return str(root.findtext("Code"))


def files(session: Session) -> int:
    return len([path for path in (session.local.home / "objects").rglob("*") if path.is_file()])


def fields(answer: str, element: str, field: str) -> list[str]:
    found = [each for each in ElementTree.fromstring(answer).iter() if each.tag.endswith(f"}}{element}")]
    return [str(each.findtext(f"{{*}}{field}")) for each in found]


def test_the_transfer_manager(gcs: Session, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.local.url)
    client = storage.Client(project="mlflow-local", credentials=gcs.local.credentials())
    data = os.urandom(2 * LEAST + 17)
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_bytes(data)
    blob = client.bucket("bucket").blob("dir/ä b")
    blob.metadata = {"run": "1"}
    transfer_manager.upload_chunks_concurrently(
        str(source), blob, content_type="text/x-log", chunk_size=LEAST, worker_type="thread"
    )
    found = client.bucket("bucket").get_blob("dir/ä b")
    assert (found.size, found.content_type, found.metadata) == (len(data), "text/x-log", {"run": "1"})
    crc = base64.b64encode(google_crc32c.Checksum(data).digest()).decode()
    assert (found.crc32c, found.md5_hash) == (crc, None)
    transfer_manager.download_chunks_concurrently(found, str(target), chunk_size=2**22, worker_type="thread")
    assert target.read_bytes() == data
    assert files(gcs) == 1


def test_an_upload(gcs: Session) -> None:
    upload = begin(gcs, **{"Content-Type": "text/plain", "x-goog-meta-run": "1"})
    first, last = os.urandom(LEAST), b"end"
    tags = [part(gcs, upload, 10_000, last), part(gcs, upload, 2, first)]
    assert tags[1] == f'"{hashlib.md5(first).hexdigest()}"'
    assert gcs.call("GET", f"{B}/bucket/o") == {"kind": "storage#objects"}
    done = complete(gcs, upload, (2, tags[1]), (10_000, tags[0]))
    assert done.findtext("{*}Key") == NAME
    assert done.findtext("{*}Location") == f"{gcs.local.url}/bucket/dir%2Fa%20b"
    answer = gcs.http.get(gcs.local.url + PATH)
    assert answer.content == first + last
    assert (answer.headers["content-type"], answer.headers["x-goog-meta-run"]) == ("text/plain", "1")
    assert answer.headers["etag"] == done.findtext("{*}ETag")
    assert "md5" not in answer.headers["x-goog-hash"]
    assert files(gcs) == 1
    assert code_of(complete(gcs, upload, (2, tags[1]), code=404)) == "NoSuchUpload"


def test_a_part_is_replaced(gcs: Session) -> None:
    upload = begin(gcs)
    old, new = part(gcs, upload, 1, b"old"), part(gcs, upload, 1, b"new")
    assert code_of(complete(gcs, upload, (1, old), code=400)) == "InvalidPart"
    complete(gcs, upload, (1, new.strip('"')))
    assert gcs.call("GET", PATH) == "new"
    assert files(gcs) == 1


def test_parts_that_are_not_listed_are_dropped(gcs: Session) -> None:
    upload = begin(gcs)
    tags = [part(gcs, upload, number, b"%d" % number) for number in (1, 2)]
    complete(gcs, upload, (2, tags[1]))
    assert gcs.call("GET", PATH) == "2"
    assert files(gcs) == 1


def test_refused_lists_of_parts(gcs: Session) -> None:
    upload = begin(gcs)
    one, two = part(gcs, upload, 1, b"x" * (LEAST - 1)), part(gcs, upload, 2, b"y")
    for parts, code in (
        (((2, two), (1, one)), "InvalidPartOrder"),
        (((1, one), (1, one)), "InvalidPartOrder"),
        (((1, one), (3, two)), "InvalidPart"),
        (((1, two),), "InvalidPart"),
        (((1, one), (2, two)), "EntityTooSmall"),
        ((), "MalformedXML"),
    ):
        assert code_of(complete(gcs, upload, *parts, code=400)) == code
    complete(gcs, upload, (1, one))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<CompleteMultipartUpload><Part>",
        "<CompleteMultipartUpload><Part><PartNumber>a</PartNumber><ETag>b</ETag></Part></CompleteMultipartUpload>",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><CompleteMultipartUpload>&b;</CompleteMultipartUpload>",
        "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><CompleteMultipartUpload/>",
    ],
)
def test_malformed_lists_of_parts(gcs: Session, text: str) -> None:
    upload = begin(gcs)
    part(gcs, upload, 1, b"x")
    assert code_of(gcs.call("POST", f"{PATH}?uploadId={upload}", 400, data=text)) == "MalformedXML"


def test_checksums_and_numbers_of_parts(gcs: Session) -> None:
    upload = begin(gcs)
    md5 = base64.b64encode(hashlib.md5(b"x").digest()).decode()
    crc = base64.b64encode(google_crc32c.Checksum(b"x").digest()).decode()
    part(gcs, upload, 1, b"x", content_md5=md5, x_goog_hash=f"crc32c={crc},md5={md5}")
    assert code_of(part(gcs, upload, 2, b"y", 400, content_md5=md5)) == "BadDigest"
    assert code_of(part(gcs, upload, 2, b"y", 400, x_goog_hash=f"crc32c={crc}")) == "BadDigest"
    for number in (0, 10_001, "a", "-1"):
        assert code_of(part(gcs, upload, number, b"x", 400)) == "InvalidArgument"
    assert fields(gcs.call("GET", f"{PATH}?uploadId={upload}"), "Part", "PartNumber") == ["1"]
    assert files(gcs) == 1


def test_an_aborted_upload(gcs: Session) -> None:
    upload = begin(gcs)
    part(gcs, upload, 1, b"x")
    assert files(gcs) == 1
    gcs.call("DELETE", f"{PATH}?uploadId={upload}", 204)
    assert files(gcs) == 0
    for verb in ("DELETE", "GET", "POST"):
        assert code_of(gcs.call(verb, f"{PATH}?uploadId={upload}", 404, data=body((1, "x")))) == "NoSuchUpload"
    assert code_of(part(gcs, upload, 1, b"x", 404)) == "NoSuchUpload"
    assert files(gcs) == 0


def test_an_upload_belongs_to_one_object(gcs: Session) -> None:
    upload = begin(gcs)
    for verb in ("GET", "DELETE"):
        assert code_of(gcs.call(verb, f"/bucket/other?uploadId={upload}", 404)) == "NoSuchUpload"
    assert code_of(gcs.call("PUT", f"/bucket/other?uploadId={upload}&partNumber=1", 404, data=b"x")) == "NoSuchUpload"


def test_lists(gcs: Session) -> None:
    uploads = {path: begin(gcs, path) for path in ("/bucket/b", "/bucket/a", PATH)}
    assert fields(gcs.call("GET", "/bucket?uploads"), "Upload", "Key") == ["a", "b", NAME]
    assert fields(gcs.call("GET", "/bucket?uploads&prefix=dir/"), "Upload", "UploadId") == [uploads[PATH]]
    first = gcs.call("GET", "/bucket?uploads&max-uploads=2")
    assert fields(first, "ListMultipartUploadsResult", "IsTruncated") == ["true"]
    (name,) = fields(first, "ListMultipartUploadsResult", "NextKeyMarker")
    (id,) = fields(first, "ListMultipartUploadsResult", "NextUploadIdMarker")
    assert (name, id) == ("b", uploads["/bucket/b"])
    rest = gcs.call("GET", f"/bucket?uploads&key-marker={name}&upload-id-marker={id}")
    assert fields(rest, "Upload", "Key") == [NAME]
    for number in (3, 1, 2):
        part(gcs, uploads[PATH], number, b"x" * number)
    path = f"{PATH}?uploadId={uploads[PATH]}"
    assert fields(gcs.call("GET", path), "Part", "Size") == ["1", "2", "3"]
    first = gcs.call("GET", f"{path}&max-parts=2")
    assert fields(first, "ListPartsResult", "NextPartNumberMarker") == ["2"]
    assert fields(gcs.call("GET", f"{path}&part-number-marker=2"), "Part", "PartNumber") == ["3"]
    assert code_of(gcs.call("GET", f"{path}&max-parts=x", 400)) == "InvalidArgument"


def test_permissions(gcs: Session, local: Local) -> None:
    """A creator can upload new objects, but cannot overwrite objects or list uploads of the bucket."""
    creator = local.session_as(local.account("creator", "roles/storage.objectCreator"))
    viewer = local.session_as(local.account("viewer", "roles/storage.objectViewer"))
    upload = begin(creator)
    tag = part(creator, upload, 1, b"x")
    assert fields(creator.call("GET", f"{PATH}?uploadId={upload}"), "Part", "Size") == ["1"]
    for session, verb, path, permission in (
        (viewer, "POST", f"{PATH}?uploads", "storage.multipartUploads.create"),
        (viewer, "PUT", f"{PATH}?partNumber=1&uploadId={upload}", "storage.multipartUploads.create"),
        (viewer, "POST", f"{PATH}?uploadId={upload}", "storage.multipartUploads.create"),
        (viewer, "DELETE", f"{PATH}?uploadId={upload}", "storage.multipartUploads.abort"),
        (viewer, "GET", f"{PATH}?uploadId={upload}", "storage.multipartUploads.listParts"),
        (creator, "GET", "/bucket?uploads", "storage.multipartUploads.list"),
    ):
        refused = session.call(verb, path, 403, data=body((1, tag)))
        assert code_of(refused) == "AccessDenied"
        assert f"'{permission}'" in refused
    complete(creator, upload, (1, tag))
    assert "'storage.objects.delete'" in creator.call("POST", f"{PATH}?uploads", 403)
    reader = local.session_as(
        local.account("reader", "roles/storage.admin"), "https://www.googleapis.com/auth/devstorage.read_only"
    )
    assert "insufficient authentication scopes" in reader.call("POST", "/bucket/new?uploads", 403)


def test_an_anonymous_caller(gcs: Session) -> None:
    refused = requests.post(f"{gcs.local.url}{PATH}?uploads", timeout=10)
    assert (refused.status_code, code_of(refused.text)) == (403, "AccessDenied")
    assert "Anonymous caller does not have storage.multipartUploads.create access" in refused.text


def test_a_lifecycle_rule_aborts_uploads(gcs: Session, local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    rule = {"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": 7, "matchesPrefix": ["dir/"]}}
    gcs.call("PATCH", f"{B}/bucket", json={"lifecycle": {"rule": [rule]}})
    upload, other = begin(gcs), begin(gcs, "/bucket/other")
    part(gcs, upload, 1, b"x")
    token = local.cloud.auth.issue_access_token(OWNER_EMAIL, [PLATFORM], 9 * DAY).token
    later = Session(local, AuthorizedSession(Credentials(token)))
    now = local.cloud.clock.time()
    monkeypatch.setattr(local.cloud.clock, "time", lambda: now + 7 * DAY - 60)
    assert fields(later.call("GET", "/bucket?uploads"), "Upload", "UploadId") == [upload, other]
    monkeypatch.setattr(local.cloud.clock, "time", lambda: now + 7 * DAY)
    assert fields(later.call("GET", "/bucket?uploads"), "Upload", "UploadId") == [other]
    assert files(gcs) == 0
    bad = rule | {"condition": {"age": 7, "isLive": True}}
    assert "isLive" in str(later.call("PATCH", f"{B}/bucket", 400, json={"lifecycle": {"rule": [bad]}}))


def test_a_deleted_bucket_drops_uploads(gcs: Session) -> None:
    upload = begin(gcs)
    part(gcs, upload, 1, b"x")
    gcs.call("DELETE", f"{B}/bucket", 204)
    assert files(gcs) == 0
    gcs.call("POST", f"{B}?project=mlflow-local", json={"name": "bucket", **UNIFORM})
    assert code_of(part(gcs, upload, 1, b"x", 404)) == "NoSuchUpload"


def test_parts_survive_a_restart(gcs: Session, local: Local) -> None:
    upload = begin(gcs)
    tag = part(gcs, upload, 1, b"hello")
    (local.home / "objects" / "uploads" / "remains").write_bytes(b"of a crash")
    local.restart()
    again = local.session()
    complete(again, upload, (1, tag))
    assert again.call("GET", PATH) == "hello"
    assert files(again) == 1


def test_completion_of_an_upload_that_is_aborted_meanwhile(
    gcs: Session, local: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    upload = begin(gcs)
    tag = part(gcs, upload, 1, b"x")
    store = blobs(local.cloud)
    write = store.write

    def abort_first(*arguments: Any, **options: Any) -> Any:
        stored = write(*arguments, **options)
        gcs.call("DELETE", f"{PATH}?uploadId={upload}", 204)
        return stored

    monkeypatch.setattr(store, "write", abort_first)
    assert code_of(complete(gcs, upload, (1, tag), code=404)) == "NoSuchUpload"
    assert gcs.call("GET", f"{B}/bucket/o") == {"kind": "storage#objects"}
    assert files(gcs) == 0
