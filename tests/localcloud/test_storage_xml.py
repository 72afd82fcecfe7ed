# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Objects of the XML API: ranges, conditions, checksums, CORS, refusals."""

from __future__ import annotations

import base64
import datetime
import email.utils
import hashlib
from typing import Any
from xml.etree import ElementTree

import google_crc32c
import pytest
import requests

from tests.localcloud.harness import Local, Session
from tests.localcloud.sign_in import session

B = "/storage/v1/b"
UNIFORM = {"iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}}}
HOURS = datetime.timedelta(hours=1)


@pytest.fixture
def gcs(owner: Session) -> Session:
    """Return the owner, with a bucket with the object `a`."""
    owner.call("POST", f"{B}?project=mlflow-local", json={"name": "bucket", **UNIFORM})
    send(owner, "PUT", "/bucket/a", data=b"hello", headers={"Content-Type": "text/plain"})
    return owner


def send(session: Session, verb: str, path: str, code: int = 200, **options: Any) -> requests.Response:
    response = session.http.request(verb, session.local.url + path, **options)
    assert response.status_code == code, response.text
    return response


def code_of(response: requests.Response) -> str:
    return str(ElementTree.fromstring(response.text).findtext("Code"))


def test_an_object(gcs: Session) -> None:
    headers = {
        "Content-Type": "text/x-log", "Cache-Control": "no-transform", "Content-Disposition": "inline",
        "x-goog-meta-run": "1", "x-goog-storage-class": "NEARLINE",
    }  # fmt: skip
    sent = send(gcs, "PUT", "/bucket/dir/b", data=b"data", headers=headers)
    etag = f'"{hashlib.md5(b"data").hexdigest()}"'
    assert sent.headers["etag"] == etag
    found = gcs.call("GET", f"{B}/bucket/o/dir%2Fb")
    assert (found["metadata"], found["storageClass"], found["size"]) == ({"run": "1"}, "NEARLINE", "4")
    assert sent.headers["x-goog-generation"] == found["generation"]
    for verb, content in (("GET", b"data"), ("HEAD", b"")):
        answer = send(gcs, verb, "/bucket/dir/b")
        assert answer.content == content
        assert answer.headers["content-length"] == "4"
        assert (answer.headers["etag"], answer.headers["x-goog-meta-run"]) == (etag, "1")
        assert answer.headers["x-goog-hash"] == f"crc32c={found['crc32c']},md5={found['md5Hash']}"
        assert {name: answer.headers[name] for name in headers} == headers
    send(gcs, "DELETE", "/bucket/dir/b", 204)
    assert code_of(send(gcs, "GET", "/bucket/dir/b", 404)) == "NoSuchKey"
    assert send(gcs, "HEAD", "/bucket/dir/b", 404).content == b""


def test_the_host_name_has_the_bucket(gcs: Session) -> None:
    hosts = session(gcs.local)
    token = gcs.http.credentials.token  # type: ignore[attr-defined]
    for url in ("https://bucket.storage.googleapis.com/a", "https://storage.googleapis.com/bucket/a"):
        assert hosts.get(url, headers={"Authorization": f"Bearer {token}"}).text == "hello"
        assert code_of(hosts.get(url)) == "AccessDenied"
    assert code_of(hosts.get("https://other.storage.googleapis.com/a")) == "NoSuchBucket"
    # Other APIs have no objects.
    assert hosts.get("https://compute.googleapis.com/bucket/a").headers["content-type"].startswith("text/html")
    assert hosts.get("https://storage.googleapis.com/storage/v1/a").headers["content-type"].startswith("text/html")
    assert send(gcs, "GET", "/compute/bucket/a", 404).headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("wanted", "code", "text"),
    [("bytes=1-2", 206, "el"), ("bytes=3-", 206, "lo"), ("bytes=-2", 206, "lo"), ("bytes=9-", 416, None)],
)
def test_ranges(gcs: Session, wanted: str, code: int, text: str | None) -> None:
    answer = send(gcs, "GET", "/bucket/a", code, headers={"Range": wanted})
    if text is None:
        assert (code_of(answer), answer.headers["content-range"]) == ("InvalidRange", "bytes */5")
    else:
        assert answer.text == text


def test_conditions(gcs: Session) -> None:
    head = send(gcs, "HEAD", "/bucket/a").headers
    changed = email.utils.parsedate_to_datetime(head["last-modified"])
    before, after = (email.utils.format_datetime(changed + offset, usegmt=True) for offset in (-HOURS, HOURS))
    for headers, code in (
        ({"If-Match": head["etag"]}, 200),
        ({"If-Match": '"other"'}, 412),
        ({"If-None-Match": f'"other", {head["etag"]}'}, 304),
        ({"If-None-Match": "*"}, 304),
        ({"If-None-Match": '"other"', "If-Modified-Since": after}, 200),
        ({"If-Modified-Since": before}, 200),
        ({"If-Modified-Since": after}, 304),
        ({"If-Unmodified-Since": before}, 412),
        ({"If-Unmodified-Since": after}, 200),
        ({"If-Unmodified-Since": "yesterday"}, 200),
        ({"x-goog-if-generation-match": head["x-goog-generation"]}, 200),
        ({"x-goog-if-generation-match": "1"}, 412),
    ):
        answer = send(gcs, "GET", "/bucket/a", code, headers=headers)
        if code == 412:
            assert code_of(answer) == "PreconditionFailed"
    new = {"x-goog-if-generation-match": "0"}
    assert code_of(send(gcs, "PUT", "/bucket/a", 412, data=b"x", headers=new)) == "PreconditionFailed"
    send(gcs, "PUT", "/bucket/new", data=b"x", headers=new)
    send(gcs, "DELETE", "/bucket/a", 412, headers={"x-goog-if-generation-match": "1"})
    assert send(gcs, "GET", f"/bucket/a?generation={head['x-goog-generation']}").text == "hello"


def test_checksums(gcs: Session) -> None:
    md5 = base64.b64encode(hashlib.md5(b"x").digest()).decode()
    crc = base64.b64encode(google_crc32c.Checksum(b"x").digest()).decode()
    for headers in ({"Content-MD5": md5}, {"x-goog-hash": f"crc32c={crc},md5={md5}"}, {"x-goog-hash": f"crc32c={crc}"}):
        send(gcs, "PUT", "/bucket/b", data=b"x", headers=headers)
        assert code_of(send(gcs, "PUT", "/bucket/a", 400, data=b"y", headers=headers)) == "BadDigest"
    assert send(gcs, "GET", "/bucket/a").text == "hello"


@pytest.mark.parametrize(
    ("data", "code"), [(b"", "EntityTooSmall"), (b"x", None), (b"xxx", None), (b"xxxx", "EntityTooLarge")]
)
def test_a_limited_length(gcs: Session, data: bytes, code: str | None) -> None:
    limits = {"x-goog-content-length-range": "1,3"}
    answer = send(gcs, "PUT", "/bucket/b", 400 if code else 200, data=data, headers=limits)
    assert not code or code_of(answer) == code


def test_the_default_content_type(gcs: Session) -> None:
    send(gcs, "PUT", "/bucket/b", data=b"x")
    assert send(gcs, "GET", "/bucket/b").headers["content-type"] == "application/octet-stream"


def test_metadata_beyond_ascii(gcs: Session) -> None:
    send(gcs, "PUT", "/bucket/b", data=b"x", headers={"x-goog-meta-name": "ä€".encode()})
    assert gcs.call("GET", f"{B}/bucket/o/b")["metadata"] == {"name": "ä€"}
    gcs.call("PATCH", f"{B}/bucket/o/b", json={"metadata": {"no header": "x", "lines": "a\r\nb: c"}})
    headers = send(gcs, "GET", "/bucket/b").headers
    found = {name: value for name, value in headers.items() if name.startswith("x-goog-meta-")}
    assert found == {"x-goog-meta-name": "%C3%A4%E2%82%AC", "x-goog-meta-lines": "a%0D%0Ab: c"}


def test_refusals(gcs: Session, local: Local) -> None:
    assert code_of(send(gcs, "GET", "/missing/a", 404)) == "NoSuchBucket"
    assert code_of(send(gcs, "PUT", f"/bucket/{'x' * 1025}", 400, data=b"x")) == "InvalidArgument"
    for verb, path, headers in (
        ("GET", "/bucket", {}),
        ("GET", "/bucket/a?acl", {}),
        ("PUT", "/bucket/a?partNumber=1", {}),
        ("POST", "/bucket/a", {}),
        ("PUT", "/bucket/b", {"x-goog-copy-source": "/bucket/a"}),
    ):
        assert code_of(send(gcs, verb, path, 501, headers=headers)) == "NotImplemented"
    bad = requests.get(f"{local.url}/bucket/a", headers={"Authorization": "Bearer abc"}, timeout=10)
    assert (bad.status_code, code_of(bad)) == (401, "AuthenticationRequired")
    viewer = local.session_as(local.account("viewer", "roles/storage.objectViewer"))
    assert send(viewer, "GET", "/bucket/a").text == "hello"
    for verb, permission in (("PUT", "create"), ("DELETE", "delete")):
        refused = send(viewer, verb, "/bucket/a", 403, data=b"x")
        assert f"viewer@mlflow-local.iam.gserviceaccount.com does not have storage.objects.{permission}" in refused.text


def test_a_fault_has_the_form_of_the_api(gcs: Session) -> None:
    fault = {"method": "storage.raw", "path": "/bucket/*", "code": 503, "retry_after": "3"}
    gcs.call("POST", "/localcloud/faults", json=fault)
    answer = send(gcs, "PUT", "/bucket/b", 503, data=b"x")
    assert (code_of(answer), answer.headers["retry-after"]) == ("ServiceUnavailable", "3")


def test_the_project_needs_the_api(gcs: Session, local: Local) -> None:
    local.cloud.projects.disable("mlflow-local", "storage.googleapis.com")
    assert code_of(send(gcs, "GET", "/bucket/a", 403)) == "AccessDenied"


def test_cors(gcs: Session) -> None:
    origin = "https://mlflow.example.com"
    entry = {
        "origin": [origin],
        "method": ["GET", "PUT"],
        "responseHeader": ["Content-Type", "ETag"],
        "maxAgeSeconds": 60,
    }
    url = f"{gcs.local.url}/bucket/a"
    ask = {"Origin": origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "content-type"}
    assert "access-control-allow-origin" not in requests.options(url, headers=ask, timeout=10).headers
    gcs.call("PATCH", f"{B}/bucket", json={"cors": [entry | {"maxAgeSeconds": 60}]})
    answer = requests.options(url, headers=ask, timeout=10)
    assert answer.status_code == 200
    expected = {
        "access-control-allow-origin": origin, "access-control-allow-methods": "GET,PUT",
        "access-control-allow-headers": "Content-Type,ETag", "access-control-max-age": "60", "vary": "Origin",
    }  # fmt: skip
    assert {name: answer.headers[name] for name in expected} == expected
    for changed in ({"Origin": "https://evil.example.com"}, {"Access-Control-Request-Method": "DELETE"}):
        answer = requests.options(url, headers=ask | changed, timeout=10)
        assert "access-control-allow-origin" not in answer.headers
    # The answer to the request itself, also to a refused request: a page can read the error.
    assert send(gcs, "GET", "/bucket/a", headers={"Origin": origin}).headers["access-control-allow-origin"] == origin
    refused = requests.get(url, headers={"Origin": origin}, timeout=10)
    assert (refused.status_code, refused.headers["access-control-expose-headers"]) == (403, "Content-Type, ETag")
    assert (
        "access-control-allow-origin" not in send(gcs, "DELETE", "/bucket/a", 204, headers={"Origin": origin}).headers
    )
    gcs.call("PATCH", f"{B}/bucket", json={"cors": [{"origin": ["*"], "method": ["GET"]}]})
    answer = send(gcs, "GET", "/bucket/a", 404, headers={"Origin": "https://any.example.com"})
    assert answer.headers["access-control-allow-origin"] == "*"
