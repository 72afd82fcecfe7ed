# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Signed URLs that Google's clients make without a private key, and refusals of altered URLs."""

from __future__ import annotations

import datetime
import hashlib
import pathlib
import shutil
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit
from xml.etree import ElementTree

import pytest
import requests
from google.api_core.exceptions import GoogleAPICallError
from google.auth.exceptions import TransportError
from google.auth.transport import requests as transport
from google.cloud import storage
from google.oauth2.credentials import Credentials

from localcloud.access.permissions import account_resource
from localcloud.core.settings import PROJECT
from tests.localcloud.gcloud import Gcloud
from tests.localcloud.harness import PLATFORM, Local, Session
from tests.localcloud.sign_in import session

NAME = "runs/1 2/ä+b?c#d[e]~.txt"
UNIFORM = {"iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}}}
CREATOR = "roles/iam.serviceAccountTokenCreator"
Sign = Callable[..., str]


@pytest.fixture
def signer(local: Local, owner: Session) -> str:
    """Return a service account that may sign as itself, with access to the objects of the new bucket."""
    owner.call("POST", "/storage/v1/b?project=mlflow-local", json={"name": "bucket", **UNIFORM})
    email = local.account("server", "roles/storage.objectUser")
    policy = {"bindings": [{"role": CREATOR, "members": [f"serviceAccount:{email}"]}]}
    local.cloud.permissions.set_policy(account_resource(PROJECT, email), policy)
    return email


@pytest.fixture
def web(local: Local) -> requests.Session:
    """Return a client without credentials."""
    return session(local)


@pytest.fixture
def sign(local: Local, signer: str, web: requests.Session, monkeypatch: pytest.MonkeyPatch) -> Sign:
    """Return `sign("GET", …)`: Google's client calls signBlob and returns a URL for 600 seconds."""
    made = transport.Request
    monkeypatch.setattr(transport, "Request", lambda given=None: made(given or web))
    token = local.cloud.auth.issue_access_token(signer, [PLATFORM]).token
    client = storage.Client(project=PROJECT, credentials=Credentials(token))

    def sign(method: str, name: str = NAME, **options: Any) -> str:
        options = {"expiration": datetime.timedelta(seconds=600)} | options
        blob = client.bucket("bucket").blob(name)
        return str(
            blob.generate_signed_url(
                version="v4", method=method, service_account_email=signer, access_token=token, **options
            )
        )

    return sign


def error(response: requests.Response, status: int, code: str) -> dict[str, str]:
    """Assert that a response is a refusal; return its elements."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/xml; charset=UTF-8"
    found = {each.tag: each.text or "" for each in ElementTree.fromstring(response.text)}
    assert found["Code"] == code, found
    return found


@pytest.mark.parametrize("options", [{}, {"virtual_hosted_style": True}], ids=["path", "virtual-hosted"])
def test_a_server_signs_without_a_key(sign: Sign, web: requests.Session, options: dict[str, Any]) -> None:
    headers = {"x-goog-meta-run": "1  2", "x-goog-meta-list": "b ,  a", "Cache-Control": "no-store"}
    url = sign("PUT", content_type="text/plain", headers=headers, **options)
    sent = web.put(url, data=b"hello", headers=headers | {"Content-Type": "text/plain"})
    assert sent.status_code == 200, sent.text
    assert sent.headers["etag"] == f'"{hashlib.md5(b"hello").hexdigest()}"'
    read = web.get(sign("GET", **options))
    assert (read.status_code, read.content, read.headers["content-type"]) == (200, b"hello", "text/plain")
    head = web.head(sign("HEAD", **options))
    assert (head.status_code, head.headers["content-length"], head.content) == (200, "5", b"")
    assert web.delete(sign("DELETE", **options)).status_code == 204
    gone = error(web.get(sign("GET", **options)), 404, "NoSuchKey")
    assert gone["Details"] == f"No such object: bucket/{NAME}"


def test_the_same_object_has_both_apis(sign: Sign, web: requests.Session, owner: Session) -> None:
    assert web.put(sign("PUT"), data=b"hello").status_code == 200
    assert owner.call("GET", f"/storage/v1/b/bucket/o/{quote(NAME, safe='')}?alt=media") == "hello"


def test_the_signer_chooses_headers_of_the_answer(sign: Sign, web: requests.Session) -> None:
    web.put(sign("PUT"), data=b"hello")
    url = sign("GET", response_disposition="attachment; filename*=a b+c&d€\r\n.txt", response_type="text/x-log")
    answer = web.get(url, headers={"Range": "bytes=1-2"})
    assert (answer.status_code, answer.text) == (206, "el")
    assert answer.headers["content-disposition"] == "attachment; filename*=a b+c&d%E2%82%AC%0D%0A.txt"
    assert answer.headers["content-type"] == "text/x-log"


SIGNED_PARTS = {
    "method": lambda url: ("GET", url, {}),
    "object": lambda url: ("PUT", url.replace("/runs/1", "/runs/2"), {}),
    "bucket": lambda url: ("PUT", url.replace("/bucket/", "/other/"), {}),
    "host": lambda url: ("PUT", url.replace("//storage.", "//bucket.storage."), {}),
    "location": lambda url: ("PUT", url.replace("%2Fauto%2F", "%2Feurope-west1%2F"), {}),
    "date": lambda url: ("PUT", bump(url, "X-Goog-Date"), {}),
    "duration": lambda url: ("PUT", url.replace("X-Goog-Expires=600", "X-Goog-Expires=604800"), {}),
    "signer": lambda url: ("PUT", url.replace("Credential=server%40", "Credential=owner%40"), {}),
    "signature": lambda url: ("PUT", url[:-1] + ("0" if url[-1] != "0" else "1"), {}),
    "value of a header": lambda url: ("PUT", url, {"Content-Type": "text/html"}),
    "value of x-goog-meta": lambda url: ("PUT", url, {"x-goog-meta-run": "2"}),
    "fewer signed headers": lambda url: ("PUT", url.replace("content-type%3Bhost", "host"), {}),
    "value of a parameter": lambda url: ("PUT", url.replace("partNumber=1", "partNumber=2"), {}),
    "another parameter": lambda url: ("PUT", f"{url}&generation=1", {}),
    "second duration": lambda url: ("PUT", f"{url}&x-goog-expires=604800", {}),
}


def bump(url: str, parameter: str) -> str:
    value = dict(parse_qsl(urlsplit(url).query))[parameter]
    return url.replace(value, f"{value[:-1]}{'A' if value[-1] != 'Z' else ''}"[:-1] + f"{(int(value[-2]) + 1) % 10}Z")


@pytest.mark.parametrize("part", SIGNED_PARTS)
def test_an_altered_url_is_refused(sign: Sign, web: requests.Session, owner: Session, part: str) -> None:
    owner.call("POST", "/storage/v1/b?project=mlflow-local", json={"name": "other", **UNIFORM})
    headers = {"Content-Type": "text/plain", "x-goog-meta-run": "1"}
    begun = owner.call("POST", f"/bucket/{quote(NAME)}?uploads")
    upload = ElementTree.fromstring(begun).findtext("{*}UploadId")
    url = sign("PUT", headers=dict(headers), query_parameters={"partNumber": "1", "uploadId": upload})
    method, altered, changed = SIGNED_PARTS[part](url)
    assert (method, altered, changed) != ("PUT", url, {})
    refused = web.request(method, altered, data=b"hello", headers=headers | changed)
    fields = error(refused, 403, "SignatureDoesNotMatch")
    assert fields["Message"] == "Access denied."
    assert fields["CanonicalRequest"].splitlines()[0] == method
    digest = hashlib.sha256(fields["CanonicalRequest"].encode()).hexdigest()
    assert fields["StringToSign"].splitlines()[0] == "GOOG4-RSA-SHA256"
    assert fields["StringToSign"].splitlines()[-1] == digest
    for bucket in ("bucket", "other"):
        assert "items" not in owner.call("GET", f"/storage/v1/b/{bucket}/o")
    assert "<Part>" not in owner.call("GET", f"/bucket/{quote(NAME)}?uploadId={upload}")
    assert web.put(url, data=b"hello", headers=headers).status_code == 200
    assert "<Part>" in owner.call("GET", f"/bucket/{quote(NAME)}?uploadId={upload}")


@pytest.mark.parametrize("name", ["Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature"])
def test_an_incomplete_url_is_refused(sign: Sign, web: requests.Session, name: str) -> None:
    url = sign("GET")
    kept = [each for each in urlsplit(url).query.split("&") if not each.startswith(f"X-Goog-{name}=")]
    refused = web.get(urlsplit(url)._replace(query="&".join(kept)).geturl())
    assert error(refused, 400, "MalformedSecurityHeader")["ParameterName"] == f"x-goog-{name.lower()}"


@pytest.mark.parametrize(
    ("old", "new", "parameter"),
    [
        ("GOOG4-RSA-SHA256", "GOOG4-HMAC-SHA256", "x-goog-algorithm"),
        ("%2Fstorage%2F", "%2Fs3%2F", "x-goog-credential"),
        ("goog4_request", "aws4_request", "x-goog-credential"),
        ("Expires=600", "Expires=0", "x-goog-expires"),
        ("Expires=600", "Expires=604801", "x-goog-expires"),
        ("Expires=600", "Expires=-1", "x-goog-expires"),
        ("Signature=", "Signature=xyz", "x-goog-signature"),
        ("SignedHeaders=host", "SignedHeaders=range", "host"),
        ("SignedHeaders=host", "SignedHeaders=host%3Bx-goog-meta-a", "x-goog-meta-a"),
    ],
)
def test_a_malformed_url_is_refused(sign: Sign, web: requests.Session, old: str, new: str, parameter: str) -> None:
    url = sign("GET")
    assert old in url
    refused = error(web.get(url.replace(old, new)), 400, "MalformedSecurityHeader")
    assert refused["ParameterName"] == parameter


def test_the_date_is_that_of_the_credential(sign: Sign, web: requests.Session) -> None:
    url = sign("GET")
    date = dict(parse_qsl(urlsplit(url).query))["X-Goog-Date"]
    for bad, parameter in (("20200101T000000Z", "x-goog-credential"), (f"{date[:8]}T0", "x-goog-date")):
        refused = error(web.get(url.replace(date, bad)), 400, "MalformedSecurityHeader")
        assert refused["ParameterName"] == parameter


def test_each_google_header_is_signed(sign: Sign, web: requests.Session) -> None:
    refused = web.put(sign("PUT"), data=b"x", headers={"x-goog-meta-owner": "me"})
    assert error(refused, 400, "MalformedSecurityHeader")["ParameterName"] == "x-goog-meta-owner"
    url = sign("PUT", content_type="text/plain")
    refused = web.put(url, data=b"x")
    fields = error(refused, 400, "MalformedSecurityHeader")
    assert fields["ParameterName"] == "content-type"
    assert fields["Details"].endswith("Header was included in signedheaders, but not in the request.")


def test_a_url_expires(sign: Sign, web: requests.Session, local: Local, monkeypatch: pytest.MonkeyPatch) -> None:
    web.put(sign("PUT"), data=b"hello")
    url = sign("GET")
    begin = datetime.datetime.strptime(dict(parse_qsl(url))["X-Goog-Date"], "%Y%m%dT%H%M%S%z")
    monkeypatch.setattr(local.cloud.clock, "time", lambda: begin.timestamp() + 600)
    assert web.get(url).status_code == 200
    monkeypatch.setattr(local.cloud.clock, "time", lambda: begin.timestamp() + 601)
    refused = error(web.get(url), 400, "ExpiredToken")
    end = (begin + datetime.timedelta(seconds=600)).isoformat()
    assert refused["Details"] == f"The provided token has expired. Request signature expired at: {end}"
    monkeypatch.setattr(local.cloud.clock, "time", lambda: begin.timestamp() - 901)
    error(web.get(url), 403, "RequestTimeTooSkewed")


def test_the_signers_permission_counts_at_the_time_of_use(
    sign: Sign, web: requests.Session, local: Local, signer: str
) -> None:
    put, get = sign("PUT"), sign("GET")
    assert web.put(put, data=b"hello").status_code == 200
    resource = f"//cloudresourcemanager.googleapis.com/projects/{PROJECT}"
    policy = local.cloud.permissions.policy(resource, 3)
    bindings = [each for each in policy["bindings"] if each["role"] != "roles/storage.objectUser"]
    local.cloud.permissions.set_policy(resource, policy | {"bindings": bindings})
    refused = error(web.get(get), 403, "AccessDenied")
    assert refused["Details"] == (
        f"{signer} does not have storage.objects.get access to the Google Cloud Storage object. Permission "
        "'storage.objects.get' denied on resource (or it may not exist)."
    )
    assert "storage.objects.create" in error(web.put(put, data=b"x"), 403, "AccessDenied")["Details"]


def test_a_disabled_account_signs_nothing(sign: Sign, web: requests.Session, owner: Session, signer: str) -> None:
    url = sign("GET")
    owner.call("POST", f"/iam/v1/projects/{PROJECT}/serviceAccounts/{signer}:disable")
    error(web.get(url), 403, "InvalidSecurity")


def test_signing_needs_the_permission(sign: Sign, local: Local, signer: str) -> None:
    local.cloud.permissions.set_policy(account_resource(PROJECT, signer), {"bindings": []})
    with pytest.raises((TransportError, GoogleAPICallError), match="signBlob"):
        sign("GET")


def test_a_url_has_no_other_credentials(sign: Sign, web: requests.Session) -> None:
    error(web.get(sign("GET"), headers={"Authorization": "Bearer abc"}), 401, "AuthenticationRequired")


def test_a_signed_payload_is_checked(sign: Sign, web: requests.Session, owner: Session) -> None:
    digest = {"x-goog-content-sha256": hashlib.sha256(b"hello").hexdigest()}
    url = sign("PUT", headers=dict(digest))
    error(web.put(url, data=b"other", headers=digest), 400, "BadDigest")
    assert "items" not in owner.call("GET", "/storage/v1/b/bucket/o")
    assert web.put(url, data=b"hello", headers=digest).status_code == 200


def test_a_signed_resumable_upload(sign: Sign, web: requests.Session, owner: Session) -> None:
    opened = web.post(sign("RESUMABLE", content_type="text/plain"), headers={
        "x-goog-resumable": "start", "Content-Type": "text/plain",
    })  # fmt: skip
    assert opened.status_code == 201, opened.text
    uri = opened.headers["location"]
    half = 256 * 1024
    data = b"x" * half + b"y" * 10
    sent = web.put(uri, data=data[:half], headers={"Content-Range": f"bytes 0-{half - 1}/{len(data)}"})
    assert (sent.status_code, sent.headers["range"]) == (308, f"bytes=0-{half - 1}")
    last = {"Content-Range": f"bytes {half}-{len(data) - 1}/{len(data)}"}
    sent = web.put(uri, data=data[half:], headers=last)
    assert (sent.status_code, sent.headers["etag"]) == (200, f'"{hashlib.md5(data).hexdigest()}"')
    found = owner.call("GET", f"/storage/v1/b/bucket/o/{quote(NAME, safe='')}")
    assert (found["size"], found["contentType"]) == (str(len(data)), "text/plain")


def test_the_log_has_no_signature(sign: Sign, web: requests.Session, local: Local) -> None:
    web.put(sign("PUT"), data=b"hello")
    calls = [call for call in local.cloud.calls.since() if call["verb"] == "PUT"]
    assert [call["status"] for call in calls] == [200]
    assert "goog" not in str(calls).lower().replace("googleapis", "")


def test_gcloud_signs_as_another_account(local: Local, signer: str, owner: Session, tmp_path: pathlib.Path) -> None:
    if not shutil.which("gcloud"):
        pytest.skip("gcloud is not installed")
    owner.call("POST", "/upload/storage/v1/b/bucket/o?uploadType=media&name=a~b%20c", data=b"hello")
    local.grant("serviceAccount:owner@mlflow-local.iam.gserviceaccount.com", CREATOR)
    options = ("--duration=10m", "--region=europe-west1", f"--impersonate-service-account={signer}")
    found = Gcloud(local, tmp_path / "gcloud")("storage", "sign-url", "gs://bucket/a~b c", *options)
    url = found[0]["signed_url"]
    assert url.startswith(f"{local.url}/bucket/a~b%20c?x-goog-signature=")
    assert requests.get(url, timeout=10).text == "hello"
    error(requests.put(url, data=b"x", timeout=10), 403, "SignatureDoesNotMatch")
