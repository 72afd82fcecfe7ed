# Copyright (c) 2026, the mlops.mlflow_gcp authors
# SPDX-License-Identifier: Apache-2.0
"""Secret Manager, IAM, IAM Credentials, Resource Manager, Service Usage and OAuth 2, over HTTP."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import google_crc32c
import pytest
import requests
from google.auth.transport.requests import Request
from google.oauth2 import id_token, service_account

from tests.localcloud.harness import PLATFORM, Local, Session

Call = Callable[..., Any]
SECRETS = "/secretmanager/v1/projects/mlflow-local/secrets"
ACCOUNTS = "/iam/v1/projects/mlflow-local/serviceAccounts"
USAGE = "/serviceusage/v1/projects/mlflow-local/services"
OWNER = "owner@mlflow-local.iam.gserviceaccount.com"
AUTOMATIC = {"replication": {"automatic": {}}}


def payload(data: bytes) -> dict[str, Any]:
    return {"payload": {"data": base64.b64encode(data).decode(), "dataCrc32c": str(google_crc32c.value(data))}}


# -- Secret Manager


def test_versions_of_a_secret(call: Call) -> None:
    call("POST", f"{SECRETS}?secretId=a", json=AUTOMATIC)
    assert call("POST", f"{SECRETS}?secretId=a", 409, json=AUTOMATIC)["error"]["status"] == "ALREADY_EXISTS"
    call("GET", f"{SECRETS}/a/versions/latest:access", 404)
    for data in (b"one", b"two"):
        call("POST", f"{SECRETS}/a:addVersion", json=payload(data))
    answer = call("GET", f"{SECRETS}/a/versions/latest:access")
    assert answer["name"] == "projects/100000000001/secrets/a/versions/2"
    assert answer["payload"] == payload(b"two")["payload"]
    call("POST", f"{SECRETS}/a/versions/2:disable", json={})
    # `latest` is the newest version, even a disabled version.
    assert call("GET", f"{SECRETS}/a/versions/latest:access", 400)["error"]["status"] == "FAILED_PRECONDITION"
    call("POST", f"{SECRETS}/a/versions/2:enable", json={})
    call("GET", f"{SECRETS}/a/versions/2:access")
    assert "destroyTime" in call("POST", f"{SECRETS}/a/versions/2:destroy", json={})
    call("POST", f"{SECRETS}/a/versions/2:enable", 400, json={})
    answer = call("GET", f"{SECRETS}/a/versions?filter=state:ENABLED")
    assert [v["name"][-1] for v in answer["versions"]] == ["1"]
    call("DELETE", f"{SECRETS}/a")
    call("GET", f"{SECRETS}/a", 404)
    call("POST", f"{SECRETS}?secretId=a", json=AUTOMATIC)
    call("GET", f"{SECRETS}/a/versions/1", 404)
    assert call("POST", f"{SECRETS}/a:addVersion", json=payload(b"new"))["name"].endswith("/versions/1")


def test_the_limits_of_a_payload(call: Call) -> None:
    call("POST", f"{SECRETS}?secretId=a", json=AUTOMATIC)
    call("POST", f"{SECRETS}/a:addVersion", json=payload(b"x" * 65536))
    assert "65536" in call("POST", f"{SECRETS}/a:addVersion", 400, json=payload(b"x" * 65537))["error"]["message"]
    call("POST", f"{SECRETS}/a:addVersion", 400, json=payload(b""))
    wrong = payload(b"x")
    wrong["payload"]["dataCrc32c"] = "1"
    assert "CRC32C" in call("POST", f"{SECRETS}/a:addVersion", 400, json=wrong)["error"]["message"]


def test_a_secret_needs_a_good_name_and_a_replication(call: Call) -> None:
    call("POST", f"{SECRETS}?secretId=a.b", 400, json=AUTOMATIC)
    call("POST", SECRETS, 400, json=AUTOMATIC)
    call("POST", f"{SECRETS}?secretId=a", 400, json={})


def test_pages_and_patches_of_secrets(call: Call) -> None:
    for name in "abc":
        call("POST", f"{SECRETS}?secretId={name}", json=AUTOMATIC | {"labels": {"app": name}})
    first = call("GET", f"{SECRETS}?pageSize=2")
    assert (len(first["secrets"]), first["totalSize"]) == (2, 3)
    rest = call("GET", f"{SECRETS}?pageSize=2&pageToken={first['nextPageToken']}")
    assert "nextPageToken" not in rest
    assert len(call("GET", f"{SECRETS}?filter=labels.app=b")["secrets"]) == 1
    changed = call(
        "PATCH", f"{SECRETS}/a?updateMask=labels", json={"labels": {"app": "z"}, "etag": first["secrets"][0]["etag"]}
    )
    assert changed["labels"] == {"app": "z"}
    stale = {"labels": {}, "etag": first["secrets"][0]["etag"]}
    call("PATCH", f"{SECRETS}/a?updateMask=labels", 400, json=stale)
    call("PATCH", f"{SECRETS}/a?updateMask=replication", 400, json=AUTOMATIC)


def test_a_secrets_own_policy(local: Local, call: Call) -> None:
    reader = local.session_as(local.account("reader"))
    email = "reader@mlflow-local.iam.gserviceaccount.com"
    for name in "ab":
        call("POST", f"{SECRETS}?secretId={name}", json=AUTOMATIC)
        call("POST", f"{SECRETS}/{name}:addVersion", json=payload(b"x"))
    reader.call("GET", f"{SECRETS}/a/versions/1:access", 403)
    policy = call("GET", f"{SECRETS}/a:getIamPolicy")
    assert policy == {"etag": "ACAB"}
    binding = {"role": "roles/secretmanager.secretAccessor", "members": [f"serviceAccount:{email}"]}
    policy = call("POST", f"{SECRETS}/a:setIamPolicy", json={"policy": policy | {"bindings": [binding]}})
    assert policy["bindings"] == [binding]
    reader.call("GET", f"{SECRETS}/a/versions/latest:access")
    reader.call("GET", f"{SECRETS}/b/versions/latest:access", 403)
    stale = {"policy": {"etag": "ACAB", "bindings": []}}
    assert call("POST", f"{SECRETS}/a:setIamPolicy", 409, json=stale)["error"]["status"] == "ABORTED"


# -- Resource Manager


def test_a_project_in_both_versions(call: Call) -> None:
    old = call("GET", "/cloudresourcemanager/v1/projects/mlflow-local")
    new = call("GET", "/cloudresourcemanager/v3/projects/mlflow-local")
    assert (old["projectNumber"], old["lifecycleState"]) == ("100000000001", "ACTIVE")
    assert (new["name"], new["state"]) == ("projects/100000000001", "ACTIVE")
    assert call("GET", "/cloudresourcemanager/v3/projects/100000000001") == new
    assert call("GET", "/cloudresourcemanager/v1/projects?filter=projectId:mlflow-*") == {"projects": [old]}
    call("GET", "/cloudresourcemanager/v3/projects/unknown-one", 403)


def test_a_projects_policy(local: Local, call: Call) -> None:
    email = local.account("somebody")
    path = "/cloudresourcemanager/v1/projects/mlflow-local"
    asked = {"options": {"requestedPolicyVersion": 3}}
    policy = call("POST", f"{path}:getIamPolicy", json=asked)
    condition = {"title": "t", "expression": 'resource.name.startsWith("projects/100000000001/secrets/x")'}
    conditional = {"role": "roles/secretmanager.admin", "members": [f"serviceAccount:{email}"], "condition": condition}
    both = policy | {"bindings": [*policy["bindings"], conditional]}
    assert "version 3" in call("POST", f"{path}:setIamPolicy", 400, json={"policy": both})["error"]["message"]
    call("POST", f"{path}:setIamPolicy", json={"policy": both | {"version": 3}})
    assert call("POST", f"{path}:setIamPolicy", 409, json={"policy": policy})["error"]["code"] == 409
    # A caller of an older version sees that the binding has a condition, and cannot remove it by writing the policy.
    plain = call("POST", f"{path}:getIamPolicy", json={})
    assert any("_withcond_" in b["role"] for b in plain["bindings"])
    call("POST", f"{path}:setIamPolicy", 400, json={"policy": plain})
    somebody = local.session_as(email)
    for name in ("x1", "y1"):
        call("POST", f"{SECRETS}?secretId={name}", json=AUTOMATIC)
    somebody.call("GET", f"{SECRETS}/x1")
    somebody.call("GET", f"{SECRETS}/y1", 403)


@pytest.mark.parametrize(
    ("binding", "words"),
    [
        (
            {"role": "roles/viewer", "members": ["serviceAccount:gone@mlflow-local.iam.gserviceaccount.com"]},
            "does not exist",
        ),
        ({"role": "roles/viewer", "members": ["robot:x"]}, "unknown type"),
        ({"role": "roles/nothing", "members": ["user:a@example.com"]}, "not supported"),
    ],
)
def test_a_binding_that_google_refuses(call: Call, binding: dict[str, Any], words: str) -> None:
    path = "/cloudresourcemanager/v3/projects/mlflow-local"
    policy = call("POST", f"{path}:getIamPolicy", json={})
    body = {"policy": {"etag": policy["etag"], "bindings": [*policy["bindings"], binding]}}
    assert words in call("POST", f"{path}:setIamPolicy", 400, json=body)["error"]["message"]


def finished(call: Call, prefix: str, operation: dict[str, Any]) -> dict[str, Any]:
    """Poll until an operation is done."""
    for _ in range(200):
        if operation.get("done"):
            return operation
        time.sleep(0.02)
        operation = call("GET", f"{prefix}/{operation['name']}")
    raise AssertionError(f"still not done: {operation}")


def test_a_new_project_is_its_creators(call: Call) -> None:
    operation = call("POST", "/cloudresourcemanager/v1/projects", json={"projectId": "another-one", "name": "Another"})
    done = finished(call, "/cloudresourcemanager/v1", operation)
    assert done["response"]["projectNumber"] == "100000000002"
    assert call("GET", "/cloudresourcemanager/v1/projects/another-one")["name"] == "Another"
    call("POST", "/cloudresourcemanager/v3/projects", 409, json={"projectId": "another-one"})
    error = call("GET", "/secretmanager/v1/projects/another-one/secrets", 403)["error"]
    assert error["details"][0]["reason"] == "SERVICE_DISABLED"


# -- Service Usage


def test_apis_are_enabled_and_disabled(local: Local, call: Call) -> None:
    before = call("GET", f"{USAGE}/run.googleapis.com")
    assert (before["state"], before["name"]) == ("DISABLED", "projects/100000000001/services/run.googleapis.com")
    operation = call("POST", f"{USAGE}:batchEnable", json={"serviceIds": ["run.googleapis.com", "dns.googleapis.com"]})
    done = finished(call, "/serviceusage/v1", operation)
    assert [s["state"] for s in done["response"]["services"]] == ["ENABLED", "ENABLED"]
    again = call("POST", f"{USAGE}/run.googleapis.com:enable", json={})
    assert (again["name"], again["done"]) == ("operations/noop.DONE_OPERATION", True)
    names = {s["config"]["name"] for s in call("GET", f"{USAGE}?filter=state:ENABLED&pageSize=200")["services"]}
    assert {"run.googleapis.com", "serviceusage.googleapis.com"} <= names
    finished(call, "/serviceusage/v1", call("POST", f"{USAGE}/run.googleapis.com:disable", json={}))
    assert not local.cloud.projects.enabled("mlflow-local", "run.googleapis.com")
    # An API that the index of the discovery documents lacks, and one without a document of its own.
    assert call("GET", f"{USAGE}/certificatemanager.googleapis.com")["config"]["title"] == "Certificate Manager API"
    assert call("GET", f"{USAGE}/cloudapis.googleapis.com")["config"]["title"] == "Google Cloud APIs"
    call("POST", f"{USAGE}/nonsense.googleapis.com:enable", 403, json={})
    call("POST", f"{USAGE}:batchEnable", 400, json={"serviceIds": [f"s{n}.googleapis.com" for n in range(21)]})


# -- IAM


def test_the_life_of_a_service_account(call: Call) -> None:
    made = call("POST", ACCOUNTS, json={"accountId": "mlflow-server", "serviceAccount": {"displayName": "MLflow"}})
    email = "mlflow-server@mlflow-local.iam.gserviceaccount.com"
    assert made["name"] == f"projects/mlflow-local/serviceAccounts/{email}"
    call("POST", ACCOUNTS, 409, json={"accountId": "mlflow-server"})
    call("POST", ACCOUNTS, 400, json={"accountId": "Bad"})
    assert call("GET", f"/iam/v1/projects/-/serviceAccounts/{made['uniqueId']}")["email"] == email
    body = {"serviceAccount": {"displayName": "New"}, "updateMask": "displayName"}
    assert call("PATCH", f"{ACCOUNTS}/{email}", json=body)["displayName"] == "New"
    assert len(call("GET", ACCOUNTS)["accounts"]) == 2
    call("POST", f"{ACCOUNTS}/{email}:disable", json={})
    assert call("GET", f"{ACCOUNTS}/{email}")["disabled"] is True
    call("POST", f"{ACCOUNTS}/{email}:enable", json={})
    call("DELETE", f"{ACCOUNTS}/{email}")
    call("GET", f"{ACCOUNTS}/{email}", 404)
    restored = call("POST", f"/iam/v1/projects/-/serviceAccounts/{made['uniqueId']}:undelete", json={})
    assert restored["restoredAccount"]["email"] == email


def test_a_deleted_account_stays_in_policies_as_such(local: Local, call: Call) -> None:
    """Google shows it as `deleted:` with its number. A new account with the same name is another identity."""
    email = local.account("somebody", "roles/viewer")
    number = call("GET", f"{ACCOUNTS}/{email}")["uniqueId"]
    live, gone = f"serviceAccount:{email}", f"deleted:serviceAccount:{email}?uid={number}"
    project = "/cloudresourcemanager/v1/projects/mlflow-local"
    call("POST", f"{SECRETS}?secretId=one", json=AUTOMATIC)
    call("POST", "/storage/v1/b?project=mlflow-local", json={"name": "a-bucket-of-the-test"})
    condition = {"title": "t", "expression": "true"}
    binding = {"role": "roles/viewer", "members": [live.replace("somebody", "SomeBody")], "condition": condition}
    call("POST", f"{SECRETS}/one:setIamPolicy", json={"policy": {"version": 3, "bindings": [binding]}})
    bucket = call("GET", "/storage/v1/b/a-bucket-of-the-test/iam")
    bucket["bindings"].append({"role": "roles/storage.objectViewer", "members": [live]})
    call("PUT", "/storage/v1/b/a-bucket-of-the-test/iam", json=bucket)

    def members() -> list[str]:
        policies = [
            call("POST", f"{project}:getIamPolicy", json={}),
            call("GET", f"{SECRETS}/one:getIamPolicy?options.requestedPolicyVersion=3"),
            call("GET", "/storage/v1/b/a-bucket-of-the-test/iam"),
        ]
        found = [m for policy in policies for b in policy["bindings"] for m in b["members"]]
        return [m for m in found if "somebody" in m]

    assert members() == [live] * 3
    call("DELETE", f"{ACCOUNTS}/{email}")
    assert members() == [gone] * 3
    call("POST", ACCOUNTS, json={"accountId": "somebody"})
    assert members() == [gone] * 3
    local.session_as(email).call("GET", "/cloudresourcemanager/v1/projects/mlflow-local", 403)
    # The stored deleted account may be written back; other deleted accounts cannot be added.
    policy = call("POST", f"{project}:getIamPolicy", json={})
    call("POST", f"{project}:setIamPolicy", json={"policy": policy})
    policy = call("POST", f"{project}:getIamPolicy", json={})
    policy["bindings"].append({"role": "roles/viewer", "members": [gone.replace(f"={number}", "=1")]})
    error = call("POST", f"{project}:setIamPolicy", 400, json={"policy": policy})["error"]
    assert "deleted principal" in error["message"]
    call("DELETE", f"{ACCOUNTS}/{email}")
    call("POST", f"/iam/v1/projects/-/serviceAccounts/{number}:undelete", json={})
    assert members() == [live] * 3


def key_of(call: Call, email: str) -> dict[str, Any]:
    made = call("POST", f"{ACCOUNTS}/{email}/keys", json={})
    found: dict[str, Any] = json.loads(base64.b64decode(made["privateKeyData"]))
    return found


def test_a_key_works_until_it_is_deleted(local: Local, call: Call) -> None:
    email = local.account("worker", "roles/secretmanager.viewer")
    info = key_of(call, email)
    credentials = service_account.Credentials.from_service_account_info(info, scopes=[PLATFORM])
    credentials.refresh(Request())
    headers = {"Authorization": f"Bearer {credentials.token}"}
    assert requests.get(local.url + SECRETS, headers=headers, timeout=10).status_code == 200
    assert len(call("GET", f"{ACCOUNTS}/{email}/keys")["keys"]) == 1
    call("DELETE", f"{ACCOUNTS}/{email}/keys/{info['private_key_id']}")
    with pytest.raises(Exception, match="Invalid JWT Signature"):
        service_account.Credentials.from_service_account_info(info, scopes=[PLATFORM]).refresh(Request())


def test_a_self_signed_token_is_accepted(local: Local, call: Call) -> None:
    info = key_of(call, local.account("jwt-user", "roles/secretmanager.viewer"))
    credentials = service_account.Credentials.from_service_account_info(info)
    signed = credentials.with_always_use_jwt_access(True)
    signed._create_self_signed_jwt("https://secretmanager.googleapis.com/")
    signed.refresh(Request())
    headers = {"Authorization": f"Bearer {signed.token}"}
    assert requests.get(local.url + SECRETS, headers=headers, timeout=10).status_code == 200


def test_an_id_token_verifies_with_the_published_keys(local: Local) -> None:
    credentials = service_account.IDTokenCredentials.from_service_account_file(
        str(local.home / "credentials.json"), target_audience="https://mlflow.example"
    )
    credentials.refresh(Request())
    for path in ("/oauth2/v1/certs", "/oauth2/v3/certs"):
        if path.endswith("v3/certs"):
            keys = requests.get(local.url + "/oauth2" + path, timeout=10)
            assert keys.status_code == 200, keys.text
            assert keys.json()["keys"][0]["kty"] == "RSA"
            continue
        claims = id_token.verify_token(
            credentials.token, Request(), audience="https://mlflow.example", certs_url=local.url + path
        )
        assert claims["email"] == OWNER
        assert claims["iss"] == "https://accounts.google.com"


def test_token_endpoint_and_tokeninfo(local: Local, owner: Session) -> None:
    for form, error in (({"grant_type": "password"}, "unsupported_grant_type"), ({}, "unsupported_grant_type")):
        response = requests.post(local.url + "/oauth2/token", data=form, timeout=10)
        assert (response.status_code, response.json()["error"]) == (400, error)
    grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "a.b.c"}
    assert requests.post(local.url + "/oauth2/token", data=grant, timeout=10).json()["error"] == "invalid_grant"
    owner.call("GET", SECRETS)
    token = owner.http.credentials.token
    info = requests.get(local.url + "/oauth2/tokeninfo", params={"access_token": token}, timeout=10).json()
    assert (info["email"], info["scope"]) == (OWNER, PLATFORM)


# -- IAM Credentials


def test_impersonation_needs_its_own_permission(local: Local, call: Call) -> None:
    target = local.account("target", "roles/secretmanager.viewer")
    path = f"/iamcredentials/v1/projects/-/serviceAccounts/{target}"
    # The role of an owner does not include the creation of tokens.
    message = call("POST", f"{path}:generateAccessToken", 403, json={"scope": [PLATFORM]})["error"]["message"]
    assert "iam.serviceAccounts.getAccessToken" in message
    binding = {"role": "roles/iam.serviceAccountTokenCreator", "members": [f"serviceAccount:{OWNER}"]}
    call("POST", f"{ACCOUNTS}/{target}:setIamPolicy", json={"policy": {"bindings": [binding]}})
    answer = call("POST", f"{path}:generateAccessToken", json={"scope": [PLATFORM], "lifetime": "600s"})
    headers = {"Authorization": f"Bearer {answer['accessToken']}"}
    assert requests.get(local.url + SECRETS, headers=headers, timeout=10).status_code == 200
    denied = requests.post(f"{local.url}{SECRETS}?secretId=a", json=AUTOMATIC, headers=headers, timeout=10)
    assert denied.status_code == 403
    token = call("POST", f"{path}:generateIdToken", json={"audience": "x", "includeEmail": True})["token"]
    claims = id_token.verify_token(token, Request(), audience="x", certs_url=local.url + "/oauth2/v1/certs")
    assert claims["email"] == target
    call("POST", f"{path}:generateAccessToken", 400, json={"scope": [PLATFORM], "lifetime": "99999s"})


def test_the_scope_with_which_google_auth_impersonates(local: Local) -> None:
    """Google's REST reference names the scope, the discovery document does not. Other services refuse it."""
    caller, target = (
        local.account("caller", "roles/owner", "roles/iam.serviceAccountTokenCreator"),
        local.account("target"),
    )
    session = local.session_as(caller, "https://www.googleapis.com/auth/iam")
    path = f"/iamcredentials/v1/projects/-/serviceAccounts/{target}"
    session.call("POST", f"{path}:generateIdToken", json={"audience": "x"})
    session.call("POST", f"{path}:generateAccessToken", json={"scope": [PLATFORM]})
    session.call("GET", SECRETS, 403)


def test_signatures_verify_with_the_published_certificate(local: Local, call: Call) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    email = local.account("signer")
    binding = {"role": "roles/iam.serviceAccountTokenCreator", "members": [f"serviceAccount:{OWNER}"]}
    call("POST", f"{ACCOUNTS}/{email}:setIamPolicy", json={"policy": {"bindings": [binding]}})
    path = f"/iamcredentials/v1/projects/-/serviceAccounts/{email}"
    signed = call("POST", f"{path}:signBlob", json={"payload": base64.b64encode(b"blob").decode()})
    published = call("GET", f"/iamcredentials/robot/v1/metadata/x509/{email}")
    key = x509.load_pem_x509_certificate(published[signed["keyId"]].encode()).public_key()
    assert isinstance(key, rsa.RSAPublicKey)
    key.verify(base64.b64decode(signed["signedBlob"]), b"blob", padding.PKCS1v15(), hashes.SHA256())
    jwt = call("POST", f"{path}:signJwt", json={"payload": json.dumps({"sub": "me"})})["signedJwt"]
    assert json.loads(base64.urlsafe_b64decode(jwt.split(".")[1] + "=="))["sub"] == "me"
    call("POST", f"{path}:signJwt", 400, json={"payload": "not json"})
