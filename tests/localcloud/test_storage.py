# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Cloud Storage against the contract: buckets, uploads, generations, preconditions, permissions."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import time
from typing import Any
from urllib.parse import urlsplit

import google_crc32c
import pytest
import requests

from localcloud.services.storage.uploads import QUANTUM
from tests.localcloud.harness import Local, Session

B = "/storage/v1/b"
O = f"{B}/bucket/o"  # noqa: E741 - the API's own path
UP = "/upload/storage/v1/b/bucket/o"
UNIFORM = {"iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}}}


@pytest.fixture
def gcs(owner: Session) -> Session:
    """Return the owner, with a bucket without soft deletion."""
    body = {
        "name": "bucket",
        "location": "europe-west1",
        "softDeletePolicy": {"retentionDurationSeconds": "0"},
        **UNIFORM,
    }
    owner.call("POST", f"{B}?project=mlflow-local", json=body)
    return owner


def put(session: Session, name: str, data: bytes | str = "x", query: str = "", code: int = 200) -> Any:
    headers = {"Content-Type": "text/plain"}
    return session.call("POST", f"{UP}?uploadType=media&name={name}{query}", code, data=data, headers=headers)


def read(session: Session, name: str, code: int = 200, query: str = "", **headers: str) -> requests.Response:
    url = f"{session.local.url}{O}/{name}?alt=media{query}"
    response = session.http.get(url, headers=headers)
    assert response.status_code == code, response.text
    return response


def files(session: Session) -> int:
    return len([p for p in (session.local.home / "objects").rglob("*") if p.is_file()])


def reason(answer: Any) -> str:
    return str(answer["error"]["errors"][0]["reason"])


def test_each_call_takes_its_time(gcs: Session) -> None:
    gcs.call("PUT", "/localcloud/profile", json={"storage_call": 0.8, "scale": 0.1})
    begin = time.monotonic()
    put(gcs, "a")
    assert read(gcs, "a").text == "x"
    assert time.monotonic() - begin > 0.16


# -- buckets


def test_a_new_bucket(owner: Session) -> None:
    got = owner.call("POST", f"{B}?project=mlflow-local", json={"name": "new"})
    assert (got["location"], got["locationType"], got["storageClass"]) == ("US", "multi-region", "STANDARD")
    assert (got["projectNumber"], got["metageneration"], got["etag"]) == ("100000000001", "1", "CAE=")
    assert got["selfLink"] == "https://www.googleapis.com/storage/v1/b/new"
    assert got["softDeletePolicy"]["retentionDurationSeconds"] == "604800"
    assert got["iamConfiguration"]["uniformBucketLevelAccess"] == {"enabled": False}
    assert owner.call("GET", f"{B}/new") == got
    assert owner.call("GET", f"{B}?project=mlflow-local")["items"] == [got]


@pytest.mark.parametrize(
    "name", ["ab", "Upper", "a_" * 32, "-a", "goog-x", "my-google-x", "192.168.1.1", "a..b", "a b"]
)
def test_bucket_names(owner: Session, name: str) -> None:
    owner.call("POST", f"{B}?project=mlflow-local", 400, json={"name": name})


def test_a_taken_name(gcs: Session, local: Local) -> None:
    own = gcs.call("POST", f"{B}?project=mlflow-local", 409, json={"name": "bucket"})
    assert "you already own it" in own["error"]["message"]
    local.cloud.projects.add("other", "100000000002", "Other", local.cloud.clock.now(), {}, None)
    email = "owner@mlflow-local.iam.gserviceaccount.com"
    policy = {"bindings": [{"role": "roles/owner", "members": [f"serviceAccount:{email}"]}]}
    local.cloud.permissions.set_policy("//cloudresourcemanager.googleapis.com/projects/other", policy)
    theirs = gcs.call("POST", f"{B}?project=other", 409, json={"name": "bucket"})
    assert "not available" in theirs["error"]["message"]


def test_a_bucket_is_patched(gcs: Session) -> None:
    got = gcs.call("PATCH", f"{B}/bucket", json={"labels": {"a": "b", "c": "d"}, "versioning": {"enabled": True}})
    assert (got["metageneration"], got["labels"]) == ("2", {"a": "b", "c": "d"})
    assert gcs.call("PATCH", f"{B}/bucket", json={"labels": {"a": None}})["labels"] == {"c": "d"}
    assert reason(gcs.call("PATCH", f"{B}/bucket?ifMetagenerationMatch=1", 412, json={})) == "conditionNotMet"
    rules = {"lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {"age": 3}}]}}
    assert gcs.call("PATCH", f"{B}/bucket", json=rules)["lifecycle"] == rules["lifecycle"]
    gcs.call(
        "PATCH",
        f"{B}/bucket",
        400,
        json={"lifecycle": {"rule": [{"action": {"type": "Eat"}, "condition": {"age": 3}}]}},
    )
    gcs.call("PATCH", f"{B}/bucket", 400, json={"softDeletePolicy": {"retentionDurationSeconds": "60"}})


def test_a_bucket_with_objects_stays(gcs: Session) -> None:
    put(gcs, "a")
    assert reason(gcs.call("DELETE", f"{B}/bucket", 409)) == "conflict"
    gcs.call("DELETE", f"{O}/a", 204)
    gcs.call("DELETE", f"{B}/bucket", 204)
    assert "does not exist" in gcs.call("GET", f"{B}/bucket", 404)["error"]["message"]
    assert files(gcs) == 0


def test_policies(gcs: Session) -> None:
    policy = gcs.call("GET", f"{B}/bucket/iam?optionsRequestedPolicyVersion=3")
    roles = {b["role"]: b["members"] for b in policy["bindings"]}
    assert roles["roles/storage.legacyObjectOwner"] == ["projectEditor:mlflow-local", "projectOwner:mlflow-local"]
    policy["bindings"].append({"role": "roles/storage.objectViewer", "members": ["allUsers"]})
    new = gcs.call("PUT", f"{B}/bucket/iam", json=policy)
    assert reason(gcs.call("PUT", f"{B}/bucket/iam", 412, json=policy)) == "conditionNotMet"
    put(gcs, "a", "public")
    assert requests.get(f"{gcs.local.url}{O}/a?alt=media", timeout=10).text == "public"
    assert requests.get(f"{gcs.local.url}{B}/bucket", timeout=10).status_code == 401
    gcs.call("PATCH", f"{B}/bucket", json={"iamConfiguration": {"publicAccessPrevention": "enforced"}})
    assert reason(gcs.call("PUT", f"{B}/bucket/iam", 412, json=new)) == "conditionNotMet"


def test_permissions(gcs: Session, local: Local) -> None:
    put(gcs, "a")
    creator = local.session_as(local.account("creator", "roles/storage.objectCreator"))
    put(creator, "b")
    put(creator, "b", code=403)  # an overwrite needs the permission to delete
    creator.call("GET", f"{O}/a", 403)
    viewer = local.session_as(local.account("watcher", "roles/storage.objectViewer"))
    viewer.call("GET", f"{O}/a")
    viewer.call("DELETE", f"{O}/a", 403)
    local.session_as(local.account("nobody")).call("GET", O, 403)
    assert requests.get(f"{local.url}{O}/a", timeout=10).status_code == 401


def test_without_uniform_access_the_default_list_counts(owner: Session, local: Local) -> None:
    owner.call("POST", f"{B}?project=mlflow-local", json={"name": "bucket"})
    put(owner, "a")
    owner.call("GET", f"{O}/a")
    creator = local.session_as(local.account("creator", "roles/storage.objectCreator"))
    put(creator, "mine")
    creator.call("GET", f"{O}/mine")
    creator.call("GET", f"{O}/a", 403)


# -- uploads and downloads


def test_a_simple_upload(gcs: Session) -> None:
    got = put(gcs, "a%2Fb%20c", "hello")
    assert (got["name"], got["size"], got["contentType"], got["metageneration"]) == ("a/b c", "5", "text/plain", "1")
    assert got["md5Hash"] == base64.b64encode(hashlib.md5(b"hello").digest()).decode()
    assert got["crc32c"] == base64.b64encode(google_crc32c.value(b"hello").to_bytes(4, "big")).decode()
    assert got["selfLink"] == "https://www.googleapis.com/storage/v1/b/bucket/o/a%2Fb%20c"
    assert gcs.call("GET", urlsplit(got["mediaLink"]).path + "?alt=media") == "hello"
    assert gcs.call("GET", f"{O}/a%2Fb%20c") == got


def test_a_multipart_upload(gcs: Session) -> None:
    data = b"line\r\n--not-the-boundary\r\n\r\n--sep\r\n"
    metadata = {"name": "m", "metadata": {"k": "v"}, "md5Hash": base64.b64encode(hashlib.md5(data).digest()).decode()}
    body = (
        b"--sep\r\nContent-Type: application/json; charset=UTF-8\r\n\r\n" + json.dumps(metadata).encode()
        + b"\r\n--sep\r\nContent-Type: application/x-thing\r\n\r\n" + data + b"\r\n--sep--\r\n"
    )  # fmt: skip
    headers = {"Content-Type": 'multipart/related; boundary="sep"'}
    got = gcs.call("POST", f"{UP}?uploadType=multipart", data=body, headers=headers)
    assert (got["contentType"], got["metadata"]) == ("application/x-thing", {"k": "v"})
    assert read(gcs, "m").content == data
    wrong = body.replace(b"line", b"LINE")
    assert (
        "doesn't match"
        in gcs.call("POST", f"{UP}?uploadType=multipart", 400, data=wrong, headers=headers)["error"]["message"]
    )
    assert files(gcs) == 1


def opened(session: Session, name: str, **headers: str) -> str:
    response = session.http.post(f"{session.local.url}{UP}?uploadType=resumable", json={"name": name}, headers=headers)
    assert response.status_code == 200, response.text
    return response.headers["location"]


def test_a_resumable_upload(gcs: Session, local: Local) -> None:
    data = bytes(range(256)) * 4096  # four quanta
    uri = opened(gcs, "r", **{"X-Upload-Content-Type": "application/x-thing"})

    def send(start: int, end: int, total: str, uri: str = uri) -> requests.Response:
        # No token: the URI is sufficient.
        headers = {"Content-Range": f"bytes {start}-{end - 1}/{total}"}
        return requests.put(uri, data=data[start:end], headers=headers, timeout=10)

    def asked(uri: str = uri) -> requests.Response:
        return requests.put(uri, headers={"Content-Range": f"bytes */{len(data)}"}, timeout=10)

    assert asked().status_code == 308
    assert "range" not in asked().headers
    first = send(0, QUANTUM, "*")
    assert (first.status_code, first.headers["range"]) == (308, f"bytes=0-{QUANTUM - 1}")
    # Bytes beyond a whole quantum are dropped, stored bytes are skipped, a gap is refused.
    assert send(QUANTUM, QUANTUM + 1000, "*").headers["range"] == f"bytes=0-{QUANTUM - 1}"
    assert send(0, 2 * QUANTUM, "*").headers["range"] == f"bytes=0-{2 * QUANTUM - 1}"
    assert send(3 * QUANTUM, len(data), str(len(data))).status_code == 503
    local.restart()
    again = asked(uri.replace(urlsplit(uri).netloc, urlsplit(local.url).netloc))
    assert again.headers["range"] == f"bytes=0-{2 * QUANTUM - 1}"
    uri = uri.replace(urlsplit(uri).netloc, urlsplit(local.url).netloc)
    done = send(2 * QUANTUM, len(data), str(len(data)), uri)
    assert done.status_code == 200
    assert done.json()["contentType"] == "application/x-thing"
    assert done.json()["md5Hash"] == base64.b64encode(hashlib.md5(data).digest()).decode()
    assert asked(uri).json() == done.json()
    assert read(local.session(), "r").content == data


def test_a_resumable_upload_that_is_given_up(gcs: Session) -> None:
    uri = opened(gcs, "r")
    assert requests.delete(uri, timeout=10).status_code == 499
    assert requests.put(uri, data=b"x", timeout=10).status_code == 404
    gcs.call("GET", f"{O}/r", 404)


def test_resumable_checks(gcs: Session) -> None:
    uri = opened(gcs, "r", **{"X-Upload-Content-Length": "3"})
    put_ = requests.put
    assert put_(uri, data=b"abcd", headers={"Content-Range": "bytes 0-3/4"}, timeout=10).status_code == 400
    assert put_(uri, data=b"ab", headers={"Content-Range": "bytes 0-2/3"}, timeout=10).status_code == 400
    headers = {"Content-Range": "bytes 0-2/3", "X-Goog-Hash": "crc32c=AAAAAA=="}
    assert put_(uri, data=b"abc", headers=headers, timeout=10).status_code == 400
    gcs.call("GET", f"{O}/r", 404)


@pytest.mark.parametrize(
    ("wanted", "code", "text"),
    [("bytes=1-3", 206, "ell"), ("bytes=3-", 206, "lo"), ("bytes=-2", 206, "lo"), ("bytes=0-99", 206, "hello"),
     ("bytes=5-", 416, None), ("bytes=-0", 416, None), ("bytes=x", 200, "hello"), ("bytes=0-1,3-4", 200, "hello")],
)  # fmt: skip
def test_ranges(gcs: Session, wanted: str, code: int, text: str | None) -> None:
    put(gcs, "a", "hello")
    response = read(gcs, "a", code, Range=wanted)
    if text is not None:
        assert response.text == text
        assert response.headers["content-length"] == str(len(text))
    if code == 416:
        assert response.headers["content-range"] == "bytes */5"


def test_an_empty_object(gcs: Session) -> None:
    put(gcs, "empty", b"")
    assert read(gcs, "empty").content == b""


def test_gzip_is_unpacked_for_who_cannot_read_it(gcs: Session) -> None:
    put(gcs, "z", gzip.compress(b"plain"), "&contentEncoding=gzip")
    assert read(gcs, "z", **{"Accept-Encoding": "identity"}).content == b"plain"
    raw = read(gcs, "z", **{"Accept-Encoding": "gzip"})
    assert (raw.headers["content-encoding"], raw.content) == ("gzip", b"plain")


# -- generations


def test_preconditions(gcs: Session) -> None:
    first = put(gcs, "a", "1", "&ifGenerationMatch=0")["generation"]
    assert reason(put(gcs, "a", "2", "&ifGenerationMatch=0", 412)) == "conditionNotMet"
    second = put(gcs, "a", "2", f"&ifGenerationMatch={first}")["generation"]
    assert int(second) > int(first)
    gcs.call("GET", f"{O}/a?generation={first}", 404)
    gcs.call("GET", f"{O}/a?ifGenerationNotMatch={second}", 304)
    gcs.call("PATCH", f"{O}/a?ifMetagenerationMatch=2", 412, json={})
    gcs.call("DELETE", f"{O}/a?ifGenerationMatch={first}", 412)
    gcs.call("DELETE", f"{O}/a?ifGenerationMatch={second}", 204)
    assert files(gcs) == 0


def test_versions(gcs: Session) -> None:
    gcs.call("PATCH", f"{B}/bucket", json={"versioning": {"enabled": True}})
    first, second = (put(gcs, "a", text)["generation"] for text in ("1", "2"))
    assert read(gcs, "a", query=f"&generation={first}").text == "1"
    gcs.call("DELETE", f"{O}/a", 204)
    gcs.call("GET", f"{O}/a", 404)
    items = gcs.call("GET", f"{O}?versions=true")["items"]
    assert [(i["generation"], "timeDeleted" in i) for i in items] == [(first, True), (second, True)]
    assert reason(gcs.call("DELETE", f"{B}/bucket", 409)) == "conflict"
    for generation in (first, second):
        gcs.call("DELETE", f"{O}/a?generation={generation}", 204)
    assert "items" not in gcs.call("GET", f"{O}?versions=true")
    assert files(gcs) == 0


def test_soft_deletion(gcs: Session) -> None:
    gcs.call("PATCH", f"{B}/bucket", json={"softDeletePolicy": {"retentionDurationSeconds": "604800"}})
    generation = put(gcs, "a", "kept")["generation"]
    gcs.call("DELETE", f"{O}/a", 204)
    (item,) = gcs.call("GET", f"{O}?softDeleted=true")["items"]
    assert item["hardDeleteTime"] > item["softDeleteTime"]
    new = gcs.call("POST", f"{O}/a/restore?generation={generation}")
    assert new["generation"] != generation
    assert read(gcs, "a").text == "kept"
    assert "items" not in gcs.call("GET", f"{O}?softDeleted=true")


def test_metadata(gcs: Session) -> None:
    put(gcs, "a")
    got = gcs.call("PATCH", f"{O}/a", json={"metadata": {"a": "1", "b": "2"}, "cacheControl": "no-store"})
    assert got["metageneration"] == "2"
    assert gcs.call("PATCH", f"{O}/a", json={"metadata": {"a": None}})["metadata"] == {"b": "2"}
    assert read(gcs, "a").headers["cache-control"] == "no-store"
    gcs.call("PATCH", f"{O}/a", json={"temporaryHold": True})
    assert "temporary hold" in gcs.call("DELETE", f"{O}/a", 403)["error"]["message"]


# -- lists and copies


def test_lists(gcs: Session) -> None:
    for name in ("a", "b%2F1", "b%2F2", "b%2Fc%2F3", "d"):
        put(gcs, name)
    got = gcs.call("GET", f"{O}?delimiter=/")
    assert ([i["name"] for i in got["items"]], got["prefixes"]) == (["a", "d"], ["b/"])
    got = gcs.call("GET", f"{O}?delimiter=/&prefix=b/")
    assert ([i["name"] for i in got["items"]], got["prefixes"]) == (["b/1", "b/2"], ["b/c/"])
    seen, token = [], ""
    while True:
        page = gcs.call("GET", f"{O}?delimiter=/&maxResults=1{token}")
        seen += [i["name"] for i in page.get("items", ())] + page.get("prefixes", [])
        if "nextPageToken" not in page:
            break
        token = f"&pageToken={page['nextPageToken']}"
    assert seen == ["a", "b/", "d"]
    for pattern, wanted in (("b/*", ["b/1", "b/2"]), ("b/**", ["b/1", "b/2", "b/c/3"]), ("{a,d}", ["a", "d"])):
        got = gcs.call("GET", O, params={"matchGlob": pattern})
        assert [i["name"] for i in got["items"]] == wanted
    got = gcs.call("GET", f"{O}?startOffset=b&endOffset=d")
    assert [i["name"] for i in got["items"]] == ["b/1", "b/2", "b/c/3"]
    gcs.call("GET", f"{O}?pageToken=%21", 400)


def test_copies(gcs: Session) -> None:
    source = put(gcs, "a", "1")
    copy = gcs.call("POST", f"{O}/a/rewriteTo/b/bucket/o/b", json={})["resource"]
    assert (copy["contentType"], copy["md5Hash"]) == ("text/plain", source["md5Hash"])
    done = gcs.call("POST", f"{O}/a/rewriteTo/b/bucket/o/c", json={"metadata": {"k": "v"}})
    assert (done["done"], done["resource"]["metadata"]) == (True, {"k": "v"})
    assert read(gcs, "b").text == read(gcs, "c").text == "1"
    parts = {"sourceObjects": [{"name": "b"}, {"name": "c"}], "destination": {"contentType": "text/x"}}
    whole = gcs.call("POST", f"{O}/whole/compose", json=parts)
    assert (whole["componentCount"], whole["size"], whole["contentType"]) == (2, "2", "text/x")
    assert "md5Hash" not in whole
    assert read(gcs, "whole").text == "11"
    gcs.call("POST", f"{O}/whole/compose", 404, json={"sourceObjects": [{"name": "none"}]})


def test_a_crash_leaves_no_files(gcs: Session, local: Local) -> None:
    put(gcs, "a", "1")
    stray = local.home / "objects" / "zz" / "zz00"
    stray.parent.mkdir()
    stray.write_text("left over")
    local.restart()
    session = local.session()
    assert read(session, "a").text == "1"
    assert not stray.exists()
